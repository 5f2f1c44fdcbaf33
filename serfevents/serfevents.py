"""The machine: one member's events layer, without sockets, clock or threads.

Owns the inputs, their checks, and the wiring of the parts. The rules themselves live in
user_events.py (what happened), queries.py (what is asked), membership.py (who is here, and who
means to leave), keys.py (encryption keys) and conflict.py (whose name it is). It knows nothing of
memberlist: a composite turns memberlist's events into inputs, and these outputs into its commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeVar

from attrs import asdict

from serfevents.answers import Answers
from serfevents.arguments import check_address, check_bytes, check_name, check_text, check_time
from serfevents.config import PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN, Config
from serfevents.conflict import NameConflicts
from serfevents.core import Core
from serfevents.errors import DecodeError, NotRunning, SerfEventsError, UnsupportedVersion
from serfevents.filters import encode_filters
from serfevents.keys import LIST_KEYS, KeyManager, Keys
from serfevents.members import Member
from serfevents.membership import Membership
from serfevents.outputs import (
    KeyChange,
    Kind,
    LeaveMembership,
    Left,
    Output,
    Rejoin,
    Rotation,
    UpdateMeta,
)
from serfevents.queries import INTERNAL_PREFIX, PING, QUERY_VERSION, Queries, check_filter_arguments
from serfevents.recent import RecentPayloads
from serfevents.records import Address, Alive, Leave, Recovered
from serfevents.roster import Roster, is_active
from serfevents.rotation import KeyRotation, check_key, check_rotation
from serfevents.stats import Stats
from serfevents.tags import encode_tags
from serfevents.timers import Timer
from serfevents.user_events import UserEvents
from serfevents.wire.messages import MessageType, PushPull, Query
from serfevents.wire.states import decode_state, encode_state

_T = TypeVar("_T")

#: Memberlist's protocol minimum, maximum and current, of a member that doesn't say otherwise.
MEMBERLIST_VERSIONS: Final = bytes((1, 5, 2))

#: Longest that a query stays open, in seconds.
QUERY_TIMEOUT_MAX: Final = 86400.0

_GOSSIPED: Final = (
    MessageType.USER_EVENT.value,
    MessageType.QUERY.value,
    MessageType.JOIN.value,
    MessageType.LEAVE.value,
)


class SerfEvents:
    """One member: feed it what arrives, do what it puts out, wake it when it asks.

    Every input takes the caller's monotonic time in seconds as its last positional argument and
    queues outputs; `poll` hands them out one by one. Options follow the time.

    Args:
        name: Unique in the cluster; at most 128 bytes.
        address: The IP and port at which others reach this member: where answers go.
        config: How it behaves.
        rng: The only source of chance.
        now: The present time.
        tags: How this member describes itself; `meta` is what memberlist has to announce.
        versions: Six bytes: memberlist's protocol minimum, maximum, current, then Serf's own.
        keys: Supplies the keyring, primary key first; None if there is no encryption. Pure.
        recovered: What a snapshot of an earlier life adds up to.
        forget_after: Overrides how long a failed or left member is kept: given the member and the
            configured timeout, returns seconds. Pure.

    Raises:
        ValueError, TypeError: An argument is out of its range.
        PayloadTooLarge: The tags are.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        config: Config = Config(),  # noqa: B008 -- frozen
        *,
        rng: Random,
        now: float,
        tags: Mapping[str, str] = {},
        versions: bytes | None = None,
        keys: Callable[[], Sequence[bytes]] | None = None,
        recovered: Recovered = Recovered(),  # noqa: B008 -- frozen
        forget_after: Callable[[Member, float], float] | None = None,
    ) -> None:
        self._core = Core(check_name(name), config, rng, check_time(now), recovered)
        self._meta = encode_tags(tags, config.protocol_version)
        if versions is None:
            versions = MEMBERLIST_VERSIONS + bytes(
                (PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, config.protocol_version)
            )
        elif len(check_bytes(versions, "versions")) != 6:
            raise ValueError(f"versions are six bytes, not {versions!r}")
        self._address = check_address(address)
        self._wire(keys, forget_after, recovered)
        self._recent = RecentPayloads(config.recent_payloads_max)
        self._over = self._shut_down = False
        self._leave_broadcast = 0
        self._leave_timer: Timer | None = None
        self._departing = False
        self._ignore_old = False
        self._membership.joined(name, self._address, self._meta, versions)
        self._membership.start()
        self._offer_rejoin(recovered)

    def _wire(
        self,
        keys: Callable[[], Sequence[bytes]] | None,
        forget_after: Callable[[Member, float], float] | None,
        recovered: Recovered,
    ) -> None:
        """Make the parts and tell each whom it may ask."""
        core, roster = self._core, Roster()
        self._roster = roster
        self._answers = Answers(core, roster, _after(recovered.query_clock))
        self._queries = Queries(core, roster, self._address, self._answers.take_own)
        self._answers.queries = self._queries
        self._membership = Membership(
            core, roster, forget_after=forget_after, gone=self._queries.member_gone
        )
        self._events = UserEvents(core, _after(recovered.event_clock))
        self._keys = Keys(core, self._answers, keys)
        self._manager = KeyManager(core, roster, self._queries)
        self._rotation = KeyRotation(core, self._manager)
        self._conflicts = NameConflicts(core, roster, self._queries, self._answers, self._stop)
        self._answers.internal[PING.removeprefix(INTERNAL_PREFIX)] = _answer_nothing
        self._handlers: dict[int, Callable[[bytes, str | Address | None], bool]] = {
            MessageType.USER_EVENT.value: self._events.receive,
            MessageType.QUERY.value: self._answers.receive,
            MessageType.QUERY_RESPONSE.value: self._queries.receive,
            MessageType.JOIN.value: self._membership.receive_join,
            MessageType.LEAVE.value: self._membership.receive_leave,
            MessageType.RELAY.value: self._answers.relay,
        }

    def _offer_rejoin(self, recovered: Recovered) -> None:
        """Ask to join the members of an earlier life, in an order of chance."""
        core = self._core
        addresses = [each.address for each in recovered.alive if each.name != core.name]
        if addresses:
            core.rng.shuffle(addresses)
            core.emit(Rejoin(tuple(addresses)))

    # --- queries -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Our own name."""
        return self._core.name

    @property
    def config(self) -> Config:
        """How we behave."""
        return self._core.config

    @property
    def meta(self) -> bytes:
        """Our tags as the metadata that memberlist announces."""
        return self._meta

    @property
    def own(self) -> Member:
        """Our own record."""
        entry = self._roster.get(self._core.name)
        assert entry is not None
        return entry.member

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody, ourselves and the failed and left included, in order of arrival. O(n)."""
        return tuple(entry.member for entry in self._roster)

    def member(self, name: str) -> Member | None:
        """Return a member's record in whatever status, or None. O(1)."""
        entry = self._roster.get(name)
        return None if entry is None else entry.member

    def state(self, join: bool = False) -> bytes:  # noqa: ARG002 -- as memberlist asks for it
        """Return our part of a push/pull, for memberlist's `user_state`. Pure. O(n)."""
        state = PushPull(
            event_ltime=self._core.event_clock.time,
            events=tuple(self._events.buffer),
            query_ltime=self._core.query_clock.time,
        )
        self._membership.describe(state)
        return encode_state(state)

    def statistics(self) -> dict[str, str]:
        """Return what `serf info` shows of the events layer, under its names."""
        core, roster = self._core, self._roster
        values = {
            "members": len(roster),
            "failed": len(roster.failed),
            "left": len(roster.left),
            "member_time": core.clock.time,
            "event_time": core.event_clock.time,
            "query_time": core.query_clock.time,
            "intent_queue": core.depth(Kind.INTENT),
            "event_queue": core.depth(Kind.EVENT),
            "query_queue": core.depth(Kind.QUERY),
        }
        encrypted = str(self._keys.is_encrypted).lower()
        return {key: str(value) for key, value in values.items()} | {"encrypted": encrypted}

    @property
    def stats(self) -> Stats:
        """Counters; read only."""
        return self._core.stats

    @property
    def default_query_timeout(self) -> float:
        """How long a query stays open if its asker doesn't say, in seconds."""
        return self._queries.default_timeout

    @property
    def rotation(self) -> Rotation | None:
        """The key rotation that runs, as far as it has come."""
        return self._rotation.running

    @property
    def is_leaving(self) -> bool:
        """Whether `leave` was called, and `rejoin` not since."""
        return self._core.leaving

    @property
    def is_over(self) -> bool:
        """Whether it has left or was shut down: inputs are ignored."""
        return self._over

    # --- outputs and time --------------------------------------------------------------------

    def poll(self) -> Output | None:
        """Return the oldest output not yet fetched, or None. Changes nothing else."""
        outputs = self._core.outputs
        return outputs.popleft() if outputs else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None if never. Pure."""
        return self._core.timers.next()

    def handle_timeout(self, now: float) -> None:
        """Fire what is due at `now`; early calls do nothing, late ones fire each timer once."""
        if self._over:
            return
        self._advance(now)
        core = self._core
        # What these timers arm anew is due later, unless its period is 0.
        while (due := core.timers.pop_due(core.now)) is not None:
            due[0](due[1])

    # --- inputs from the network -------------------------------------------------------------

    def receive(self, payload: bytes, source: str | Address | None, now: float) -> None:
        """Take a user message of memberlist's, gossiped or direct, whatever it holds."""
        if type(payload) is not bytes:
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        if self._over:
            return
        core = self._core
        if not now <= core.now:
            core.now = check_time(now)
        stats = core.stats
        stats.messages_received += 1
        stats.bytes_received += len(payload)
        if payload in self._recent:
            stats.duplicates += 1
            return
        handler = self._handlers.get(payload[0]) if payload else None
        if handler is None:
            core.reject(source, "unknown-type", str(payload[:1]))
            return
        try:
            if handler(payload, source) and payload[0] in _GOSSIPED:
                self._recent.add(payload)
        except DecodeError as error:
            core.reject(source, error.reason, str(error))

    def merge(
        self, state: bytes, now: float, *, join: bool, source: str | Address | None = None
    ) -> None:
        """Take another member's part of a push/pull; `join` if it was part of a join."""
        check_bytes(state, "a state")
        if self._over:
            return
        self._advance(now)
        core = self._core
        config = core.config
        try:
            decoded = decode_state(
                state,
                size_max=config.state_size_max,
                members_max=config.members_max,
                events_size_max=config.event_buffer_size_max,
            )
            self._membership.merge(decoded, source)
            self._merge_events(decoded, source, join=join)
        except DecodeError as error:
            core.reject(source, error.reason, str(error))

    def _merge_events(self, state: PushPull, source: str | Address | None, *, join: bool) -> None:
        core = self._core
        # Nothing was sent yet with the time of a clock.
        if state.event_ltime:
            core.witness(core.event_clock, state.event_ltime - 1, source)
        if state.query_ltime:
            core.witness(core.query_clock, state.query_ltime - 1, source)
        if join and self._ignore_old:
            self._events.ignore_before(min(state.event_ltime, core.event_clock.time))
        self._events.replay(state.events, source)

    def member_joined(
        self, name: str, address: Address, meta: bytes, versions: bytes, now: float
    ) -> None:
        """Take from memberlist that a member is alive that was unknown, dead or left."""
        if self._enter(now):
            self._membership.joined(name, address, meta, versions)

    def member_updated(
        self, name: str, address: Address, meta: bytes, versions: bytes, now: float
    ) -> None:
        """Take from memberlist that a member changed its metadata, address or versions."""
        if self._enter(now):
            self._membership.updated(name, address, meta, versions)

    def member_failed(self, name: str, now: float) -> None:
        """Take from memberlist that a member was declared dead."""
        if self._enter(now) and name != self._core.name:
            self._membership.failed(name)

    def member_left(self, name: str, now: float) -> None:
        """Take from memberlist that a member left on purpose."""
        if self._enter(now) and name != self._core.name:
            self._membership.left(name)

    def name_conflict(self, name: str, other: Address, now: float) -> None:
        """Take from memberlist that a known name was announced from another address."""
        if self._enter(now):
            self._conflicts.seen(name, other)

    # --- reports of the driver ---------------------------------------------------------------

    def broadcast_finished(self, number: int, now: float) -> None:
        """Take that a `Broadcast` was sent often enough, was superseded or dropped."""
        # Counted also when it is over: the depths go on from there after a `rejoin`.
        was_waiting = self._core.broadcast_finished(number)
        if self._enter(now) and was_waiting and number == self._leave_broadcast:
            self._depart(None)

    def join_begun(self, now: float, *, ignore_old: bool = False) -> None:
        """Take that memberlist's `join` was called.

        Args:
            now: The present time.
            ignore_old: Until `join_ended`, events of a state that is merged are not delivered.
        """
        if self._enter(now):
            self._ignore_old = ignore_old

    def join_ended(self, contacted: int, now: float) -> None:
        """Take how many seeds were reached; our join intent is broadcast if any was."""
        if not self._enter(now):
            return
        self._ignore_old = False
        if contacted > 0 and not self._core.leaving:
            self._membership.announce()

    def membership_left(self, now: float) -> None:
        """Take that memberlist's `leave` is complete, as `LeaveMembership` asked for."""
        if not self._enter(now) or not self._departing:
            return
        self._departing = False
        core = self._core
        self._membership.left(core.name)
        delay = core.config.leave_propagate_delay
        if delay:
            self._leave_timer = core.timers.arm(core.now + delay, self._complete_leave)
        else:
            self._complete_leave(None)

    def keyring_changed(self, number: int, now: float, *, error: str = "") -> None:
        """Take what became of a `ChangeKeyring`: why it failed, or that it is done and stored."""
        if self._enter(now):
            self._keys.changed(number, error)

    # --- inputs from the application ---------------------------------------------------------

    def fire(self, name: str, payload: bytes, now: float, *, coalesce: bool = True) -> int:
        """Send a user event to all members, ourselves included, and return its Lamport time."""
        self._require_running()
        check_text(name, "a name")
        check_bytes(payload, "a payload")
        return self._at(now, lambda: self._events.fire(name, payload, coalesce=coalesce))

    def query(
        self,
        name: str,
        payload: bytes,
        now: float,
        *,
        nodes: Iterable[str] = (),
        tags: Mapping[str, str] = {},
        ack: bool = False,
        relay_factor: int = 0,
        timeout: float | None = None,
        broadcast: bool = True,
    ) -> int:
        """Ask all members, or those that match the filters, and return the query's number.

        Outputs: `QueryAcknowledged` and `QueryAnswered` for each member, then `QueryFinished`.

        Args:
            name: What is asked; not `_serf_*`, except for `_serf_ping` without a payload, which
                members acknowledge but don't tell their application of.
            payload: The application's bytes.
            now: The present time.
            nodes: Only members of these names; none means all.
            tags: Only members whose tags match these expressions (RE2, unanchored), all of them.
            ack: Whether members shall say that it arrived.
            relay_factor: Members, 0 to 255, through which each answer is sent besides.
            timeout: Seconds for which answers are taken; by default
                `default_query_timeout(members, ...)`.
            broadcast: Whether it is gossiped. If not, it goes straight to the members concerned,
                at most `config.direct_query_max`, and none of them passes it on.
        """
        self._require_running()
        check_text(name, "a name")
        check_bytes(payload, "a payload")
        if name.startswith(INTERNAL_PREFIX) and (name != PING or payload):
            raise ValueError(f"queries named {INTERNAL_PREFIX}* are Serf's own")
        nodes = check_filter_arguments(nodes, tags)
        if timeout is not None and not 0 < timeout <= QUERY_TIMEOUT_MAX:
            raise ValueError(f"a timeout is within (0, {QUERY_TIMEOUT_MAX}] s, not {timeout!r}")
        filters = encode_filters(nodes, tags)
        _check_relay_factor(relay_factor)
        self._require_queries()
        return self._at(
            now,
            lambda: self._queries.ask(
                name,
                payload,
                filters=filters,
                ack=ack,
                relay_factor=relay_factor,
                timeout=timeout,
                broadcast=broadcast,
            ),
        )

    def respond(self, query: int, payload: bytes, now: float) -> None:
        """Answer a query, once, by the number of its `QueryReceived`."""
        self._require_running()
        check_bytes(payload, "a payload")
        self._at(now, lambda: self._answers.respond(query, payload))

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Describe ourselves anew. Outputs: `UpdateMeta`, `MembersChanged`."""
        self._require_staying()
        meta = encode_tags(tags, self.config.protocol_version)
        self._advance(now)
        self._meta = meta
        own = self.own
        self._membership.updated(own.name, own.address, meta, own.versions)
        self._core.emit(UpdateMeta(meta))

    def leave(self, now: float) -> None:
        """Leave on purpose. Outputs: a `Broadcast`, `LeaveMembership`, at the end `Left`."""
        self._require_staying()
        self._advance(now)
        core = self._core
        core.leaving = True
        core.remember_clocks()
        core.remember(Leave())
        number = self._membership.declare_leave(core.name, prune=False)
        if self._roster.active_count == 1:
            # Nobody is there to be told.
            self._depart(None)
            return
        self._leave_broadcast = number
        at = core.now + core.config.broadcast_timeout
        self._leave_timer = core.timers.arm(at, self._depart)

    def rejoin(self, now: float) -> None:
        """Come back after a `leave`, in the same object; call it with memberlist's."""
        if self._shut_down:
            raise NotRunning("it was shut down")
        core = self._core
        if not core.leaving:
            raise ValueError("it has not left: there is nothing to come back from")
        self._advance(now)
        core.timers.cancel(self._leave_timer)
        self._leave_timer, self._leave_broadcast = None, 0
        core.leaving = self._departing = False
        if self._over:
            self._over = False
            self._membership.start()
        for entry in self._roster:
            # The leave made void what the snapshot said of them.
            if is_active(entry) and entry.member.name != core.name:
                core.remember(Alive(entry.member.name, entry.member.address))
        self._membership.come_back()

    def shutdown(self, now: float) -> None:
        """End at once, without leaving: others will see a failure."""
        if self._enter(now):
            self._stop()

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> None:
        """Declare that a failed member has left; with `prune` it is forgotten altogether."""
        self._require_running()
        if check_name(name) == self._core.name:
            raise ValueError("to leave oneself, call leave")
        self._at(now, lambda: self._force_leave(name, prune=prune))

    def _force_leave(self, name: str, *, prune: bool) -> None:
        self._core.require_room(Kind.INTENT)
        self._membership.declare_leave(name, prune=prune)

    def install_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members install a key; return the operation's number.

        Outputs: `KeysAnswered`, once.
        """
        check_key(key)
        return self._operate(KeyChange.INSTALL.value, key, relay_factor, now)

    def use_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members encrypt with an installed key; return the operation's number."""
        check_key(key)
        return self._operate(KeyChange.USE.value, key, relay_factor, now)

    def remove_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members remove a key that is not in use; return the operation's number."""
        check_key(key)
        return self._operate(KeyChange.REMOVE.value, key, relay_factor, now)

    def list_keys(self, now: float, *, relay_factor: int = 0) -> int:
        """Ask all members which keys they have; return the operation's number."""
        return self._operate(LIST_KEYS, b"", relay_factor, now)

    def _operate(self, name: str, key: bytes, relay_factor: int, now: float) -> int:
        self._require_running()
        self._require_queries()
        _check_relay_factor(relay_factor)
        return self._at(now, lambda: self._manager.ask(name, key, relay_factor=relay_factor))

    def rotate_keys(self, rotation: bytes | Rotation, now: float) -> None:
        """Replace all keys by one, in stages each of which is verified on every member.

        Outputs: `RotationAdvanced` for each stage, `RotationStopped` if one failed.

        Args:
            rotation: The new key, or a rotation that was stopped.
            now: The present time.
        """
        self._require_running()
        self._require_queries()
        checked = check_rotation(rotation)
        self._at(now, lambda: self._rotation.begin(checked))

    def check_invariants(self) -> None:
        """Assert everything that must always hold; for tests and simulations. O(n)."""
        self._core.timers.check_invariants()
        self._core.check_invariants()
        self._roster.check_invariants()
        self._events.buffer.check_invariants()
        self._answers.check_invariants()
        self._queries.check_invariants()
        assert self._core.member_count == len(self._roster)
        assert not self._over or self.next_timeout() is None

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain values, for a bug report. O(n)."""
        core = self._core
        return {
            "name": core.name,
            "now": core.now,
            "leaving": core.leaving,
            "over": self._over,
            "next_timeout": self.next_timeout(),
            "timers": len(core.timers),
            "statistics": self.statistics(),
            "event_buffer_size": self._events.buffer.size,
            "event_ltime_min": self._events.buffer.ltime_min,
            "queries_open": self._queries.open_count,
            "queries_pending": self._answers.pending_count,
            "early_intents": self._membership.early_count,
            "rotation": repr(self._rotation.running),
            "members": {
                entry.member.name: {
                    "status": entry.status.name.lower(),
                    "address": "{}:{}".format(*entry.member.address),
                    "status_ltime": entry.status_ltime,
                    "tags": dict(entry.member.tags),
                    "versions": list(entry.member.versions),
                }
                for entry in self._roster
            },
            "stats": asdict(core.stats),
        }

    # --- internals ---------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Take the caller's time; an older one counts as the newest seen."""
        if not now <= self._core.now:  # nor is it no number
            self._core.now = check_time(now)

    def _enter(self, now: float) -> bool:
        """Take the time of an input; return False if it comes too late to matter."""
        if self._over:
            return False
        self._advance(now)
        return True

    def _at(self, now: float, act: Callable[[], _T]) -> _T:
        """Do what may be refused; a refusal leaves no trace."""
        before = self._core.now
        self._advance(now)
        try:
            return act()
        except (SerfEventsError, ValueError):
            self._core.now = before
            raise

    def _require_running(self) -> None:
        if self._over:
            raise NotRunning("it is over")

    def _require_staying(self) -> None:
        if self._over or self._core.leaving:
            raise NotRunning("it has left, or is leaving")

    def _require_queries(self) -> None:
        if self.config.protocol_version < QUERY_VERSION:
            raise UnsupportedVersion("a query", QUERY_VERSION)

    def _depart(self, _: object) -> None:
        """Our intent was told, or its time is up: leave the membership."""
        core = self._core
        core.timers.cancel(self._leave_timer)
        self._leave_timer, self._leave_broadcast = None, 0
        self._departing = True
        core.emit(LeaveMembership())

    def _complete_leave(self, _: object) -> None:
        self._finish()
        self._core.emit(Left())

    def _stop(self) -> None:
        self._shut_down = True
        self._finish()

    def _finish(self) -> None:
        """End everything but the outputs that wait."""
        self._over = True
        self._rotation.stop()
        self._queries.stop()
        self._answers.stop()
        self._events.stop()
        self._membership.stop()
        self._core.remember_clocks()
        self._core.timers.clear()


def _after(ltime: int) -> int:
    """Return the first Lamport time that was not seen before a restart; 0 if none was."""
    return ltime + 1 if ltime else 0


def _answer_nothing(_: int, __: Query) -> None:
    """A ping is answered by its acknowledgement."""


def _check_relay_factor(relay_factor: int) -> None:
    if not isinstance(relay_factor, int) or not 0 <= relay_factor <= 255:
        raise ValueError(f"a relay factor is a number from 0 to 255, not {relay_factor!r}")
