"""The store: one deterministic state, changed by commands and read directly.

Owns the order in which a command is checked, applied and reported, and nothing else: what
commands do is in applying/; what they do it to is in state/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import attrs

from kvstore import commands
from kvstore.acl.access import Acl
from kvstore.applying import administration, reading, session_commands, transactions
from kvstore.applying.transactions import MAY_CHANGE, OPERATIONS, transact
from kvstore.change import CHANGED_KEY, Event, make_event
from kvstore.commands import Command, Count, Keys, Range
from kvstore.config import INTEGER_MAX, TIME_MAX, Config
from kvstore.entry import BARE, BONDS, Entry, Record, make_entry, new_tuple
from kvstore.errors import CompactedRevision, FutureRevision, ImportRefused, StaleIndex
from kvstore.keys import prefix_end
from kvstore.refusals import Compacted, Future, Malformed, Refusal
from kvstore.results import Applied, KeysOk, RangeOk, Result
from kvstore.snapshots.export import Scalar, View
from kvstore.snapshots.importing import Continuation, Importer
from kvstore.state.digest import EntriesDigest, header_hash, rows_hash, total
from kvstore.state.invariants import check_invariants
from kvstore.state.sessions import Session
from kvstore.state.state import State, expiries

CommandT = TypeVar("CommandT")
ResultT = TypeVar("ResultT")

# What `range` is given besides a prefix, mostly.
_NOTHING: Final = (None,) * 5


def _check(_state: State, _command: commands.Check) -> Refusal:
    return Malformed("command", "is a check, which stands in transactions only")


_HANDLERS: Final[Mapping[type, Callable[[State, Any], Result]]] = {
    **OPERATIONS,
    commands.Check: _check,
    commands.Txn: transact,
    commands.SessionOpen: session_commands.open_session,
    commands.SessionRenew: session_commands.renew_sessions,
    commands.SessionClose: session_commands.close_session,
    commands.Invalidate: session_commands.invalidate,
    commands.Tick: session_commands.tick,
    commands.Rebase: administration.rebase,
    commands.Compact: administration.compact,
    commands.SetQuota: administration.set_quota,
    commands.DropQuota: administration.drop_quota,
    commands.SetPolicy: administration.set_policy,
    commands.DropPolicy: administration.drop_policy,
    commands.SetRole: administration.set_role,
    commands.DropRole: administration.drop_role,
    commands.SetToken: administration.set_token,
    commands.DropToken: administration.drop_token,
    commands.Configure: administration.configure,
    commands.Noop: administration.noop,
    commands.Unknown: administration.unknown,
}


class Store:
    """A key-value tree as a replicated state machine.

    Args:
        config: The configuration to begin with; the same on every replica. Later ones come by
            the `Configure` command.

    Raises:
        TypeError: `config` is none.

    >>> from kvstore.commands import Put
    >>> store = Store()
    >>> applied = store.apply(Put("web/port", b"80"))
    >>> applied.index, applied.changed, store.get("web/port").value
    (1, True, b'80')
    """

    __slots__ = ("_digest", "_records", "_state")

    def __init__(self, config: Config | None = None) -> None:
        config = Config() if config is None else config
        if type(config) is not Config:
            raise TypeError(f"config must be a Config, not {type(config).__name__}")
        self._state = State(config)
        self._records = self._state.tree.records
        self._digest = EntriesDigest()

    # --- the one input

    def apply(
        self,
        command: Command,
        *,
        index: int | None = None,
        now: int | None = None,
        actor: str | None = None,
    ) -> Applied:
        """Apply the next command of the log.

        Everything that a log may hold is answered, refusals included. What raises is a mistake of
        the program, and changed nothing.

        Args:
            command: The command.
            index: Its index in the log, above that of the last one; up to 2**63 - 1. None for the
                next one.
            now: The proposer's time in milliseconds, 0 to 2**62; None leaves logical time alone.
            actor: The accessor id of the token by whose rights it acts; None is the anonymous
                one. Without access control it does not matter.

        Returns:
            The answer, and what changed.

        Raises:
            StaleIndex: `index` is not above the last one applied.
            TypeError: `command` is no command, or an argument of a wrong type.
            ValueError: `index` or `now` is out of range.
        """
        state = self._state
        handler = _HANDLERS.get(type(command))
        if handler is None:
            raise TypeError(f"{type(command).__name__} is no command")
        if index is None:
            index = state.index + 1
            if index > INTEGER_MAX:
                raise _index_error(index, state.index)
        elif type(index) is not int or not state.index < index <= INTEGER_MAX:
            raise _index_error(index, state.index)
        if actor is not None:
            _check_actor(actor)
        if now is not None:
            _check_time(now)
            if type(command) is not commands.Rebase:
                state.advance(now)
        state.now = now
        state.actor = actor
        state.index = index
        history = state.tree.history
        before = history.sequence
        result = handler(state, command)
        changed = history.sequence - before
        if not changed:
            applied = Applied(index, False, result, ())
        else:
            # None of the newest is freed yet.
            made: list[Any] = history.changes
            changes = (made[-1],) if changed == 1 else tuple(made[-changed:])
            applied = Applied(index, True, result, changes)
        if history.sequence >= history.tend_at:
            first = history.freed
            self._digest.take(state.tend(), first)
        return applied

    def query(self, command: Command, *, actor: str | None = None) -> Result:
        """Answer a read by the rights of an actor, without a place in the log.

        Args:
            command: `Get`, `Range`, `Count`, `Keys`, or a `Txn` of nothing but these and `Check`.
            actor: As in `apply`.

        Returns:
            What `apply` would answer; `Malformed` for a command that may change something.

        Raises:
            TypeError: `command` is no command, or `actor` is no text.
        """
        kind = type(command)
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise TypeError(f"{kind.__name__} is no command")
        _check_actor(actor)
        self._state.actor = actor
        if type(command) is commands.Txn:
            return transactions.query(self._state, command)
        return handler(self._state, command) if kind in transactions.READS else MAY_CHANGE

    def read(self, command: Command) -> Result:
        """Answer a read as `query` does, with all rights.

        Raises:
            TypeError: `command` is no command.
        """
        state = self._state
        guarded, state.guarded = state.guarded, False
        try:
            return self.query(command)
        finally:
            state.guarded = guarded

    # --- reads by the program that holds the store, which may read everything

    def get(self, key: str, revision: int | None = None) -> Entry | None:
        """Return what a key holds, or None if it is absent.

        Args:
            key: The key.
            revision: As of this revision, or None for now.

        Raises:
            CompactedRevision: `revision` is below the floor of the history.
            FutureRevision: `revision` is above the applied index.

        Complexity: O(1); O(changes of the key since then) for the past.
        """
        if revision is not None:
            return self._past(key, revision)
        try:
            record = self._records[key]
        except (KeyError, TypeError):
            _check_text("key", key)
            return None
        if record[BONDS] is None:
            # What `make_entry` does, without the call: this is done millions of times a second.
            return new_tuple(Entry, record[:BONDS] + BARE)
        return make_entry(record, self._state.expires(record))

    def range(
        self,
        prefix: str | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        revision: int | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> RangeOk:
        """Return the entries of a selection in the order of keys; `Range` has more options.

        Args:
            prefix: The keys that begin with this; or use `start` and `end`.
            start: The first key.
            end: The first key beyond, or None.
            revision: As of this revision, or None for now.
            limit: Entries at most, or None.
            after: Go on behind this key.

        Raises:
            CompactedRevision: `revision` is below the floor of the history.
            FutureRevision: `revision` is above the applied index.
            ValueError: The arguments don't go together, or one is of a wrong type or out of range.

        Complexity: O(log n + entries returned).
        """
        rest = (start, end, revision, limit, after)
        if type(prefix) is str and rest == _NOTHING:
            return self._list(prefix)
        command = Range(prefix, start, end, revision, limit, after)
        return self._read(reading.range_, command)

    def count(
        self,
        prefix: str | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        revision: int | None = None,
    ) -> int:
        """Return how many keys a selection has; arguments and errors as for `range`.

        Complexity: O(log n) for now.
        """
        return self._read(reading.count, Count(prefix, start, end, revision)).count

    def keys(
        self,
        prefix: str = "",
        *,
        separator: str = "/",
        limit: int | None = None,
        after: str | None = None,
        revision: int | None = None,
    ) -> KeysOk:
        """Return the names below a prefix, folded at a separator; errors as for `range`.

        Complexity: O(names log n) for now, whatever is folded away.
        """
        return self._read(reading.keys, Keys(prefix, separator, limit, after, revision))

    def records(self, prefix: str = "") -> Iterator[Record]:
        """Return the records of the keys below a prefix in order, as `kvstore.entry` has them.

        The cheapest way to look at many: no entries are made. The store must not be written
        meanwhile.
        """
        _check_text("prefix", prefix)
        records = self._state.tree.records
        return map(records.__getitem__, self._state.tree.keys.between(prefix, prefix_end(prefix)))

    def changes_since(self, revision: int, prefix: str = "") -> tuple[Event, ...]:
        """Return the changes below a prefix after a revision, deletions included, in order.

        Raises:
            CompactedRevision: `revision` is below the floor of the history.
            FutureRevision: `revision` is above the applied index.

        Complexity: O(all changes since then).
        """
        self._check_revision(revision)
        _check_text("prefix", prefix)
        history = self._state.tree.history
        sequences = range(history.first_after(revision), history.sequence)
        changes = map(history.at, sequences)
        return tuple(
            make_event(change, previous=True)
            for change in changes
            if change[CHANGED_KEY].startswith(prefix)
        )

    def index_of(self, key: str) -> int:
        """Return the index of the last change of a key, deletions included.

        Of an absent key whose past is forgotten it is the floor, or the last change in its
        directory if that is lower; of one that never was, 1, or 0 before the first command. It
        never goes back.
        """
        _check_text("key", key)
        return self._state.index_to_wait(self._state.tree.index_of(key))

    def index_below(self, prefix: str) -> int:
        """Return the index of the last change of any key below a prefix, deletions included.

        It never goes back, and changes of other keys do not move it; where the past is
        forgotten, as `index_of`.

        Complexity: O(1) for "" and for prefixes that end with the separator, the first
        `kvstore.state.directories.LEVELS_MAX` levels of them; else O(keys below the prefix).
        """
        _check_text("prefix", prefix)
        tree = self._state.tree
        directory = tree.directories.indexed(prefix)
        if directory == prefix:
            index = tree.index_below(prefix)
        else:
            index = tree.index_between(prefix, prefix_end(prefix), directory)
        return self._state.index_to_wait(index)

    # --- what else there is to know

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._state.config

    @property
    def applied_index(self) -> int:
        """The index of the last command applied, 0 before the first."""
        return self._state.index

    @property
    def revision(self) -> int:
        """The index of the last command that changed a key, 0 before the first."""
        return self._state.tree.revision

    @property
    def floor(self) -> int:
        """The oldest revision that can be read."""
        return self._state.tree.history.floor

    @property
    def clock(self) -> int:
        """Logical time in milliseconds."""
        return self._state.clock

    @property
    def next_deadline(self) -> int | None:
        """The first logical time at which something is due: when to propose a `Tick`; or None.

        In terms of the proposer's `now`, subtract `clock_offset`.
        """
        return self._state.next_deadline()

    @property
    def clock_offset(self) -> int:
        """What is added to a proposer's `now` to give logical time, in milliseconds."""
        return self._state.offset

    @property
    def state(self) -> State:
        """The parts of the state, for watches and dialects. To be read only."""
        return self._state

    @property
    def acl(self) -> Acl:
        """Policies, roles and tokens, and what they decide. To be read only."""
        return self._state.acl

    def session(self, id: str) -> Session | None:  # noqa: A002 (the field's name)
        """Return a session, or None if there is none of that id (any more)."""
        _check_text("id", id)
        return self._state.sessions.table.get(id)

    def session_deadline(self, id: str) -> int | None:  # noqa: A002
        """Return the logical time at which a session ends unless it is renewed, or None."""
        _check_text("id", id)
        return self._state.sessions.deadlines.table.get(id)

    def session_keys(self, id: str) -> tuple[str, ...]:  # noqa: A002
        """Return the keys that a session holds or owns, in order."""
        _check_text("id", id)
        return tuple(self._state.sessions.keys(id))

    def sessions(self) -> tuple[Session, ...]:
        """Return all sessions in the order of their ids."""
        table = self._state.sessions.table
        return tuple(table[id_] for id_ in sorted(table))

    def lock_delay(self, key: str) -> int | None:
        """Return the logical time until which a key cannot be locked, None if it can be."""
        _check_text("key", key)
        return self._state.sessions.delay(key, self._state.clock)

    @property
    def stats(self) -> Stats:
        """Sizes of the state."""
        state = self._state
        history = state.tree.history
        return Stats(
            len(state.tree.records),
            len(history),
            history.floor,
            len(state.sessions.table),
            len(state.deadlines.table),
            len(state.tree.directories),
            len(history.pins),
        )

    def digest(self) -> int:
        """Return a number of 64 bits that is the same on replicas in the same state.

        Complexity: O(n) the first time; then O(changes since the last time, sessions, locks and
        other small parts).
        """
        entries = self._digest.value(self._state.tree)
        with View(self._state) as view:
            rest = (rows_hash(section, rows) for section, rows in view.small_batches())
            return total(entries, *rest, header_hash(view.header))

    def view(self) -> View:
        """Open a view of the state as it is, to be told row by row while writes go on.

        Complexity: O(1): microseconds at any size.
        """
        return View(self._state)

    def check_invariants(self) -> None:
        """Raise AssertionError if parts of the state contradict each other. For tests: O(n)."""
        check_invariants(self._state)

    # --- snapshots

    @classmethod
    def importer(cls, header: Mapping[str, Scalar], since: int | None = None) -> StoreImporter:
        """Begin a new store from the header of a view.

        Args:
            header: The header.
            since: None; what is new since an index goes into the store that `continuation` of
                it is called on.

        Raises:
            ImportRefused: The header is none, or `since` is not None.
        """
        _check_header(header)
        if since is not None:
            raise ImportRefused(f"what is new since {since} makes no store alone")
        return StoreImporter(Importer(header), cls._of)

    def continuation(self, header: Mapping[str, Scalar], since: int | None) -> StoreImporter:
        """Begin to bring this store forward, by what a view told since its applied index.

        The store must not be used until the import is finished or given up.

        Raises:
            ImportRefused: The header is none, or does not go on from this store.
        """
        _check_header(header)
        if since is None:
            raise ImportRefused("this is a whole store, nothing to bring one forward")
        return StoreImporter(Continuation(header, since, self._state), self._of)

    # --- internals

    @classmethod
    def _of(cls, state: State) -> Store:
        store = cls(state.config)
        store._state = state
        store._records = state.tree.records
        return store

    def _list(self, prefix: str) -> RangeOk:
        """Return everything below a prefix, now."""
        state = self._state
        tree = state.tree
        keys = tree.keys.between(prefix, prefix_end(prefix))
        records = tuple(map(self._records.__getitem__, keys))
        # Of a directory with keys in it the index is the one it has.
        index = tree.directories.index(prefix) if keys else None
        if index is None:
            index = state.index_to_wait(tree.index_below(tree.directories.indexed(prefix)))
        deadlines = expiries(state, records) if state.deadlines.table else ()
        return RangeOk(records, len(records), None, False, index, state.index, False, (), deadlines)

    def _past(self, key: str, revision: int) -> Entry | None:
        _check_text("key", key)
        self._check_revision(revision)
        record = self._state.tree.past(key, revision)
        return None if record is None else make_entry(record)

    def _check_revision(self, revision: int) -> None:
        if type(revision) is not int:
            raise TypeError(f"revision must be a whole number, not {type(revision).__name__}")
        refusal = reading.revision_fault(self._state, revision)
        if refusal is not None:
            raise _error_of(refusal)

    def _read(
        self, read: Callable[[State, CommandT], ResultT | Refusal], command: CommandT
    ) -> ResultT:
        """Run a read by the rights of the program, which are all."""
        state = self._state
        guarded, state.guarded = state.guarded, False
        try:
            result = read(state, command)
        finally:
            state.guarded = guarded
        if isinstance(result, Refusal):
            raise _error_of(result)
        return result


class StoreImporter:
    """Takes the rows of a view, and becomes a store in the end.

    Args:
        source: What they are put together by.
        make: Makes a store of the state.
    """

    __slots__ = ("_make", "_source")

    def __init__(self, source: Importer | Continuation, make: Callable[[State], Store]) -> None:
        self._source = source
        self._make = make

    def add(self, section: str, rows: list[Any]) -> None:
        """Take rows of a section; sections come in the order of `export.SECTIONS`.

        Raises:
            ImportRefused: A row is malformed or out of order.
        """
        self._source.add(section, rows)

    def finish(self, digest: int | None = None) -> Store:
        """Return the store.

        Args:
            digest: What the digest of a new store must be; None if it does not matter.

        Raises:
            ImportRefused: Rows are missing, or contradict each other, or the digest is another.
        """
        store = self._make(self._source.finish())
        if digest is not None and store.digest() != digest:
            raise ImportRefused("the digest is not the one of the store that was written")
        return store


@attrs.frozen
class Stats:
    """Sizes of a store.

    Attributes:
        keys: Live keys.
        history: Changes above the floor.
        floor: The oldest revision that can be read.
        sessions: Sessions.
        deadlines: Keys with a ttl.
        directories: Directories in the prefix index.
        views: Open views.
    """

    keys: int
    history: int
    floor: int
    sessions: int
    deadlines: int
    directories: int
    views: int


def _error_of(refusal: Refusal) -> Exception:
    """Return the error that a refusal of a direct read is raised as."""
    if isinstance(refusal, Compacted):
        return CompactedRevision(refusal.revision, refusal.floor)
    if isinstance(refusal, Future):
        return FutureRevision(refusal.revision, refusal.newest)
    return ValueError(str(refusal))


def _index_error(index: object, applied_index: int) -> Exception:
    if type(index) is not int:
        return TypeError(f"index must be a whole number, not {type(index).__name__}")
    if index > INTEGER_MAX:
        return ValueError(f"index {index} is above 2**63 - 1")
    return StaleIndex(index, applied_index)


def _check_text(name: str, text: object) -> None:
    if type(text) is not str:
        raise TypeError(f"{name} must be text, not {type(text).__name__}")


def _check_header(header: object) -> None:
    if not isinstance(header, Mapping):
        raise TypeError(f"a header must be a mapping, not {type(header).__name__}")


def _check_time(now: object) -> None:
    if type(now) is not int:
        raise TypeError(f"now must be whole milliseconds, not {type(now).__name__}")
    if not 0 <= now <= TIME_MAX:
        raise ValueError(f"now must be 0 to 2**62, not {now}")


def _check_actor(actor: object) -> None:
    if actor is not None and type(actor) is not str:
        raise TypeError(f"actor must be text or None, not {type(actor).__name__}")
