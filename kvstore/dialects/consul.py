"""Consul's key-value store and sessions: its verbs, fields, error texts and numbers.

A thin façade for programs that come from Consul, and a stand-in for it in tests. HTTP is left to
the caller: what would be headers and bodies are values here. What differs:

- Time passes only by the `now` (milliseconds) that calls carry; sessions end by `tick`, after
  twice their ttl as Consul's servers wait. A new leader starts no timer anew.
- The lock-delay is part of the state: it survives a change of leader, and holds in every case.
- An index never goes back: nothing is reaped from below it, and an absent key is not woken by
  strangers. Consul slides back to the newest survivor.
- Keys are non-empty text without NUL, of 1,024 bytes at most; Consul's only limit is the URL.
- Checks are names that the caller invalidates: there is no catalog here that knows their state.
- Ids of sessions are made from the log, not at random.

Source: Consul agent/kvs_endpoint.go, agent/session_endpoint.go, agent/txn_endpoint.go,
agent/consul/state/kvs.go and txn.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from kvstore.commands import (
    Command,
    Delete,
    DeleteRange,
    Get,
    Invalidate,
    Keys,
    Lock,
    Operation,
    Put,
    Range,
    SessionClose,
    SessionOpen,
    SessionRenew,
    Tick,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.dialects.consul_messages import (
    Behavior,
    ConsulError,
    KVOp,
    KVPair,
    SessionEntry,
    TxnAnswer,
)
from kvstore.dialects.consul_transactions import (
    OPERATIONS_MAX,
    answer,
    operation,
    pair,
    pre_check,
)
from kvstore.refusals import (
    BadTtl,
    CasMismatch,
    Delayed,
    Denied,
    Held,
    NoSession,
    NotHeld,
    Refusal,
    TxnFailed,
)
from kvstore.results import (
    CloseOk,
    DeleteOk,
    GetOk,
    KeysOk,
    LockOk,
    PutOk,
    RangeOk,
    RenewOk,
    Result,
    SessionOk,
    TickOk,
    TxnOk,
    UnlockOk,
)
from kvstore.state.sessions import Session
from kvstore.store import Store
from kvstore.watches.watches import Watches

ResultT = TypeVar("ResultT")

VALUE_SIZE_MAX: Final = 512 * 1024

CONFIG: Final = Config(
    value_size_max=VALUE_SIZE_MAX,
    operations_max=10_000,
    session_ttl_min=10_000,
    session_ttl_max=86_400_000,
    session_grace=2,
    session_keys_max=2**30,
    lock_delay_max=60_000,
)
"""What a store is made with that stands for Consul's: its limits."""

# Refusals for which Consul's answer is a plain false.
_FALSE: Final = (CasMismatch, Held, Delayed, NotHeld)


class Consul:
    """Consul's KV, transactions and sessions, over a store of its own or one that is given.

    Args:
        store: The store, made with `CONFIG`; a new one if None.
        token: The accessor id of the token that all calls carry; None is the anonymous one.
            Several façades may share one store.

    >>> consul = Consul()
    >>> consul.kv_put("web/port", b"80")
    True
    >>> index, pairs = consul.kv_get("web/port")
    >>> pairs[0].modify_index == index
    True
    """

    def __init__(self, store: Store | None = None, *, token: str | None = None) -> None:
        self.store = Store(CONFIG) if store is None else store
        self.token = token
        self._hub = Watches(self.store)
        # What blocking queries ask: answered by the rights of the token.
        self._waits: dict[int, Get | Range] = {}

    # --- keys

    def kv_get(self, key: str, *, recurse: bool = False) -> tuple[int, tuple[KVPair, ...]]:
        """Return the index to wait with, and the entries: none is Consul's 404.

        Raises:
            ConsulError: The key is missing or the token may not read it.
        """
        return _read(self._query(_get(key, recurse=recurse)))

    def kv_keys(self, prefix: str = "", *, separator: str = "") -> tuple[int, tuple[str, ...]]:
        """Return the index to wait with, and the keys, folded behind each separator."""
        result = self._query(Keys(prefix, separator))
        assert isinstance(result, KeysOk)
        return max(1, result.index), result.names

    def kv_put(
        self,
        key: str,
        value: bytes = b"",
        *,
        flags: int = 0,
        cas: int | None = None,
        acquire: str | None = None,
        release: str | None = None,
        now: int | None = None,
    ) -> bool:
        """Write a key, and return whether it was done.

        Args:
            key: The key.
            value: Its value; an empty one reads back as None.
            flags: Opaque number.
            cas: Only at this modify index; 0 only if the key is absent.
            acquire: The session that shall hold its lock.
            release: The session that shall give it back.
            now: The proposer's milliseconds.

        Raises:
            ConsulError: The key is missing, parameters conflict, the session is unknown, the
                value too large, or the token has no right.
        """
        _check_key(key)
        _check_flags(cas=cas, acquire=acquire, release=release)
        if len(value) > VALUE_SIZE_MAX:
            words = f"Request body({len(value)} bytes) too large, max size: {VALUE_SIZE_MAX} bytes."
            raise ConsulError(413, words)
        command: Command
        if acquire is not None:
            command = Lock(key, _session(acquire), value, flags)
        elif release is not None:
            command = Unlock(key, _session(release), value, flags)
        else:
            command = Put(key, value, flags, cas)
        return self._done(command, now)

    def kv_delete(
        self, key: str, *, recurse: bool = False, cas: int | None = None, now: int | None = None
    ) -> bool:
        """Delete a key, or every key that begins with it; return whether it was done.

        An absent key is deleted already, whatever `cas` says; `cas` of 0 never deletes.

        Raises:
            ConsulError: The key is missing, parameters conflict, or the token has no right.
        """
        if recurse:
            if cas is not None:
                raise ConsulError(400, "Conflicting flags: cas and recurse")
            return self._done(DeleteRange(prefix=key), now)
        _check_key(key)
        return self._done(Delete(key, cas), now)

    def txn(self, operations: Sequence[KVOp], *, now: int | None = None) -> TxnAnswer:
        """Run operations as one: all of them, or none and every error.

        Results are told as Consul does: none for a deletion, one for each entry of a tree.

        Raises:
            ConsulError: There are too many operations.
        """
        if len(operations) > OPERATIONS_MAX:
            count = f"{len(operations)} > {OPERATIONS_MAX}"
            raise ConsulError(413, f"Transaction contains too many operations ({count})")
        if errors := pre_check(self.store, operations):
            return TxnAnswer((), errors)
        result = self._apply(Txn(then=tuple(map(operation, operations))), now)
        if isinstance(result, Refusal) and not isinstance(result, TxnFailed):
            raise _refused(result)
        assert isinstance(result, TxnOk | TxnFailed)
        return answer(operations, result)

    # --- blocking queries

    def wait(
        self, key: str, index: int, now: float, *, recurse: bool = False, wait: float = 300.0
    ) -> int:
        """Begin a blocking query; return its id, to be polled.

        Args:
            key: The key, or the prefix.
            index: The index of an earlier answer; below 1 the answer is ready at once.
            now: Seconds on the caller's monotonic clock.
            recurse: Whether `key` is a prefix.
            wait: Seconds until it answers in any case; 600 at most, as in Consul. Jitter is the
                caller's.

        Raises:
            ConsulError: The key is missing.
        """
        query = _get(key, recurse=recurse)
        number = self._hub.wait(query, index if index >= 1 else -1, now, timeout=min(wait, 600.0))
        self._waits[number] = query
        return number

    def poll(self, wait: int) -> tuple[int, tuple[KVPair, ...]] | None:
        """Return the answer of a blocking query once it is ready, as `kv_get` does; else None.

        Raises:
            ConsulError: The token may not read it.
            UnknownWatch: There is no such blocking query, or its answer was fetched.
        """
        if self._hub.poll(wait) is None:
            return None
        return _read(self._query(self._waits.pop(wait)))

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due for a blocking query, or None."""
        return self._hub.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """End the blocking queries whose time is over."""
        self._hub.handle_timeout(now)

    # --- sessions

    def session_create(
        self,
        node: str,
        *,
        name: str = "",
        checks: Sequence[str] = ("serfHealth",),
        behavior: Behavior = "release",
        ttl: float = 0,
        lock_delay: float = 15.0,
        now: int | None = None,
    ) -> str:
        """Begin a session, and return its id.

        Args:
            node: The node it belongs to.
            name: For people to read.
            checks: Names of the node's checks that end it when they turn critical.
            behavior: What its end does to the keys that it holds.
            ttl: Seconds that it lasts without renewal: 10 to 86,400, or 0 for ever.
            lock_delay: Seconds for which those keys cannot be locked afterwards; 60 at most.
            now: The proposer's milliseconds.

        Raises:
            ConsulError: The ttl is out of its range, or the token has no right.
        """
        bindings = (f"node:{node}", *(f"check:{node}/{check}" for check in checks))
        command = SessionOpen(
            ttl=round(ttl * 1000) or None,
            on_end=behavior,
            lock_delay=round(lock_delay * 1000),
            bindings=bindings,
            name=name,
        )
        return self._expect(SessionOk, command, now).session.id

    def session_destroy(self, id: str, *, now: int | None = None) -> bool:  # noqa: A002
        """End a session; an unknown one has ended already."""
        self._expect(CloseOk, SessionClose(id), now)
        return True

    def session_renew(self, id: str, *, now: int | None = None) -> SessionEntry:  # noqa: A002
        """Begin a session's time anew.

        Raises:
            ConsulError: The session is unknown.
        """
        if self._expect(RenewOk, SessionRenew((id,)), now).missing:
            raise ConsulError(404, f"Session id '{id}' not found")
        session = self.store.session(id)
        assert session is not None
        return _entry(session)

    def session_info(self, id: str) -> SessionEntry | None:  # noqa: A002
        """Return a session, or None."""
        session = self.store.session(id)
        return None if session is None else _entry(session)

    def session_list(self, node: str | None = None) -> tuple[SessionEntry, ...]:
        """Return all sessions, or those of one node, in the order of their ids."""
        sessions = self.store.sessions()
        return tuple(_entry(one) for one in sessions if node is None or one.node == node)

    def check_critical(self, node: str, check: str, *, now: int | None = None) -> tuple[str, ...]:
        """A check turned critical: end the sessions that depend on it; return their ids."""
        return self._expect(CloseOk, Invalidate((f"check:{node}/{check}",)), now).sessions

    def deregister(self, node: str, *, now: int | None = None) -> tuple[str, ...]:
        """A node is gone: end its sessions; return their ids."""
        return self._expect(CloseOk, Invalidate((f"node:{node}",)), now).sessions

    def tick(self, now: int) -> tuple[str, ...]:
        """Let time pass: end the sessions that are due; return their ids.

        Args:
            now: Milliseconds on the proposer's clock.
        """
        ended: list[str] = []
        more = True
        while more:
            result = self._expect(TickOk, Tick(), now)
            ended += result.sessions
            more = result.more
        return tuple(ended)

    # --- internals

    def _apply(self, command: Command, now: int | None) -> Result:
        applied = self.store.apply(command, now=now, actor=self.token)
        self._hub.publish(applied)
        return applied.result

    def _expect(self, kind: type[ResultT], command: Command, now: int | None) -> ResultT:
        result = self._apply(command, now)
        if isinstance(result, Refusal):
            raise _refused(result)
        assert isinstance(result, kind), result
        return result

    def _done(self, command: Command, now: int | None) -> bool:
        result = self._apply(command, now)
        if isinstance(result, _FALSE):
            return False
        if isinstance(result, Refusal):
            raise _refused(result)
        assert isinstance(result, PutOk | DeleteOk | LockOk | UnlockOk), result
        return True

    def _query(self, query: Operation) -> Result:
        result = self.store.query(query, actor=self.token)
        if isinstance(result, Refusal):
            raise _refused(result)
        return result


def _get(key: str, *, recurse: bool) -> Get | Range:
    if recurse:
        return Range(key)
    _check_key(key)
    return Get(key)


def _read(result: Result) -> tuple[int, tuple[KVPair, ...]]:
    """Return the index, which is never 0, and the entries of a read."""
    if isinstance(result, GetOk):
        entries = () if result.entry is None else (result.entry,)
        return max(1, result.index), tuple(map(pair, entries))
    assert isinstance(result, RangeOk)
    return max(1, result.index), tuple(map(pair, result.entries))


def _entry(session: Session) -> SessionEntry:
    checks = tuple(
        binding.partition("/")[2] for binding in session.bindings if binding.startswith("check:")
    )
    return SessionEntry(
        session.id,
        session.name,
        session.node,
        checks,
        session.on_end,
        session.ttl / 1000 if session.ttl else 0,
        session.lock_delay / 1000,
        session.create_revision,
    )


def _check_key(key: str) -> None:
    if not key:
        raise ConsulError(400, "Missing key name")


def _check_flags(**flags: object) -> None:
    given = [name for name, value in flags.items() if value is not None]
    if len(given) > 1:
        raise ConsulError(400, f"Conflicting flags: {' and '.join(given)}")


def _session(session: str) -> str:
    if not session:
        raise ConsulError(500, "missing session")
    return session


def _refused(refusal: Refusal) -> ConsulError:
    """Return Consul's error for a refusal; what it has no words for is told in the store's."""
    match refusal:
        case Denied():
            return ConsulError(403, "Permission denied")
        case NoSession(session):
            return ConsulError(500, f'invalid session "{session}"')
        case BadTtl(ttl):
            nanoseconds = ttl * 1_000_000
            words = f"Invalid Session TTL '{nanoseconds}', must be between [10s=24h0m0s]"
            return ConsulError(400, words)
        case _:
            return ConsulError(500, f"kvstore: {refusal}")
