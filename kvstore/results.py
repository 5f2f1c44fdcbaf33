"""What commands answer when they are not refused, and what `Store.apply` returns.

Results hold the records of the store, which are immutable, and make an `Entry` of one when it is
asked for: most results are never looked at. Those of single keys are built by a plain
constructor; nothing may assign to their fields.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from kvstore.change import Change, Event, make_event
from kvstore.config import Config
from kvstore.entry import (
    BONDS,
    KEY,
    LOCK_COUNT,
    LOCK_SESSION,
    Entry,
    Record,
    all_shared,
    make_entry,
    shared,
)
from kvstore.refusals import Refusal
from kvstore.state.sessions import Session


@attrs.define(unsafe_hash=True)
class PutOk:
    """A key was written, or is as it should be already.

    Attributes:
        record: The record that stands now.
        previous_record: The one it replaced, if it was asked for and there was one.
        created: Whether the key was absent.
        expires: Logical milliseconds at which the key will be deleted, or None.
    """

    record: Record = attrs.field(eq=shared)
    previous_record: Record | None = attrs.field(eq=shared)
    created: bool
    expires: int | None = None

    @property
    def key(self) -> str:
        """The final key."""
        return self.record[KEY]

    @property
    def entry(self) -> Entry:
        """The entry that stands now."""
        return make_entry(self.record, self.expires)

    @property
    def previous(self) -> Entry | None:
        """The entry it replaced, if it was asked for and there was one."""
        return _entry_or_none(self.previous_record)


@attrs.define(unsafe_hash=True)
class DeleteOk:
    """Keys are gone.

    Attributes:
        count: How many there were; 0 is fine.
        previous_records: What was deleted, if it was asked for.
        next: The first key left over because of the limit, to go on with as `start`; or None.
    """

    count: int
    previous_records: tuple[Record, ...] = attrs.field(default=(), eq=all_shared)
    next: str | None = None

    @property
    def previous(self) -> tuple[Entry, ...]:
        """The deleted entries in the order of keys, if they were asked for."""
        return tuple(map(make_entry, self.previous_records))


@attrs.frozen
class TouchOk:
    """The ttl of keys began anew.

    Attributes:
        count: Of how many.
    """

    count: int


@attrs.frozen
class Fencing:
    """A token that a protected resource can compare: a greater count is a later holder.

    Attributes:
        key: The lock.
        lock_count: How often it was taken.
        session: Who holds it.
    """

    key: str
    lock_count: int
    session: str


@attrs.define(unsafe_hash=True)
class LockOk:
    """The session holds the lock.

    Attributes:
        record: The record of the locked key.
        fresh: Whether it did not hold it before.
        expires: Logical milliseconds at which the key will be deleted, or None.
    """

    record: Record = attrs.field(eq=shared)
    fresh: bool
    expires: int | None = None

    @property
    def entry(self) -> Entry:
        """The locked entry."""
        return make_entry(self.record, self.expires)

    @property
    def fencing(self) -> Fencing:
        """The token for resources that the lock protects."""
        bonds = self.record[BONDS]
        assert bonds is not None
        return Fencing(self.record[KEY], bonds[LOCK_COUNT], bonds[LOCK_SESSION])


@attrs.define(unsafe_hash=True)
class UnlockOk:
    """The lock is free.

    Attributes:
        record: The record of the key; the last one if the key was deleted.
        deleted: Whether the key was deleted.
        expires: Logical milliseconds at which the key will be deleted, or None.
    """

    record: Record = attrs.field(eq=shared)
    deleted: bool
    expires: int | None = None

    @property
    def entry(self) -> Entry:
        """The entry of the key; the last one if the key was deleted."""
        return make_entry(self.record, self.expires)


@attrs.frozen
class CheckOk:
    """A check passed.

    Attributes:
        record: The record that was compared; None if the key was absent or a selection checked.
    """

    record: Record | None = attrs.field(eq=shared)

    @property
    def entry(self) -> Entry | None:
        """The entry that was compared."""
        return _entry_or_none(self.record)


@attrs.define(unsafe_hash=True)
class GetOk:
    """What a key holds.

    Attributes:
        record: Its record, or None if it is absent.
        expires: Logical milliseconds at which the key will be deleted, or None.
        index: The index of the last change of the key, as `Store.index_of` gives it.
        revision: The revision that was read.
    """

    record: Record | None = attrs.field(eq=shared)
    expires: int | None
    index: int
    revision: int

    @property
    def entry(self) -> Entry | None:
        """The entry, or None if the key is absent."""
        record = self.record
        return None if record is None else make_entry(record, self.expires)


@attrs.define(unsafe_hash=True)
class RangeOk:
    """What a selection holds.

    Attributes:
        records: The records in order. With `keys_only` their values are empty.
        count: Keys in the whole selection at the revision, whatever limits and filters; of those
            the actor may read.
        next: The last key told, if limits cut the answer and it is in the order of keys: to go on
            with as `after`; or None.
        more: Whether limits cut the answer.
        index: To wait with: the last change under the selection is not above it, and whatever
            changes later is.
        revision: The revision that was read.
        filtered: Whether keys were left out that the actor may not read; never told to the
            anonymous one. It tells that there are such keys, as the peer does: see Consul's
            X-Consul-Results-Filtered-By-ACLs.
        deleted: Keys that `include_deleted_since` asked for with the index of their deletion, in
            the order of keys.
        expiries: When the keys in it that have a ttl will be deleted, by key.
    """

    records: tuple[Record, ...] = attrs.field(eq=all_shared)
    count: int
    next: str | None
    more: bool
    index: int
    revision: int
    filtered: bool = False
    deleted: tuple[tuple[str, int], ...] = ()
    expiries: tuple[tuple[str, int], ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries in order."""
        if not self.expiries:
            return tuple(map(make_entry, self.records))
        expiries = dict(self.expiries)
        return tuple(make_entry(record, expiries.get(record[KEY])) for record in self.records)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in order."""
        return tuple(record[KEY] for record in self.records)


@attrs.frozen
class CountOk:
    """How many keys a selection has.

    Attributes:
        count: The number; of those the actor may read.
        index: To wait with, as in `RangeOk`.
        revision: The revision that was read.
        filtered: As of `RangeOk`.
    """

    count: int
    index: int
    revision: int
    filtered: bool = False


@attrs.frozen
class KeysOk:
    """Names under a prefix.

    Attributes:
        names: Keys, and cuts that stand for the keys behind them, in order.
        next: The last name, if the limit cut the answer: to go on with as `after`; or None.
        index: To wait with, as in `RangeOk`.
        revision: The revision that was read.
        filtered: As of `RangeOk`.
    """

    names: tuple[str, ...]
    next: str | None
    index: int
    revision: int
    filtered: bool = False


@attrs.frozen
class TxnOk:
    """A transaction is done.

    Attributes:
        branch: Whether the checks passed and `then` was run; False for `otherwise`.
        results: One for each operation of the branch, by position.
    """

    branch: bool
    results: tuple[Result, ...]


@attrs.frozen
class SessionOk:
    """A session began.

    Attributes:
        session: The session.
        deadline: Logical milliseconds at which it ends unless renewed, or None.
    """

    session: Session
    deadline: int | None


@attrs.frozen
class RenewOk:
    """Sessions were renewed.

    Attributes:
        deadlines: The id of each known session, in the order asked, with the logical
            milliseconds at which it now ends, or None for never.
        missing: The ids that no session has (any more).
    """

    deadlines: tuple[tuple[str, int | None], ...]
    missing: tuple[str, ...]


@attrs.frozen
class CloseOk:
    """Sessions ended.

    Attributes:
        sessions: Their ids in order; empty if there were none.
        released: Keys whose locks were freed.
        deleted: Keys that were deleted.
    """

    sessions: tuple[str, ...]
    released: int
    deleted: int


@attrs.frozen
class TickOk:
    """What was due has ended.

    Attributes:
        sessions: The ids of the sessions that ended, in order.
        keys: How many keys were deleted because their own ttl ran out.
        more: Whether more is due: tick again.
    """

    sessions: tuple[str, ...]
    keys: int
    more: bool


@attrs.frozen
class RebaseOk:
    """The clock goes on by the new proposer's.

    Attributes:
        offset: Milliseconds added to `now` from here on.
    """

    offset: int


@attrs.frozen
class CompactOk:
    """History below the floor is forgotten.

    Attributes:
        floor: The oldest revision that can be read.
        dropped: How many changes were given up.
    """

    floor: int
    dropped: int


@attrs.frozen
class ConfigureOk:
    """The configuration was replaced.

    Attributes:
        old: What it was.
    """

    old: Config


@attrs.frozen
class Ok:
    """It is done."""


Success: TypeAlias = (
    PutOk
    | DeleteOk
    | TouchOk
    | LockOk
    | UnlockOk
    | CheckOk
    | GetOk
    | RangeOk
    | CountOk
    | KeysOk
    | TxnOk
    | SessionOk
    | RenewOk
    | CloseOk
    | TickOk
    | RebaseOk
    | CompactOk
    | ConfigureOk
    | Ok
)

Result: TypeAlias = Success | Refusal


class Applied:
    """What applying one command did.

    Attributes:
        index: The index it was applied at.
        changed: Whether it moved the store's revision, which then is the index.
        result: The answer, or the refusal.
        changes: What it changed, in order; at most one change for each key.
    """

    __slots__ = ("changed", "changes", "index", "result")

    def __init__(
        self, index: int, changed: bool, result: Result, changes: tuple[Change, ...]
    ) -> None:
        self.index = index
        self.changed = changed
        self.result = result
        self.changes = changes

    @property
    def ok(self) -> bool:
        """Whether the command was not refused."""
        return not isinstance(self.result, Refusal)

    @property
    def events(self) -> tuple[Event, ...]:
        """The changes as a watch tells them, with the entries before."""
        return tuple(make_event(change, previous=True) for change in self.changes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Applied):
            return NotImplemented
        mine = (self.index, self.changed, self.result, self.events)
        return mine == (other.index, other.changed, other.result, other.events)

    __hash__ = None  # type: ignore[assignment]  # a report, no key

    def __repr__(self) -> str:
        return f"Applied(index={self.index}, changed={self.changed}, result={self.result!r})"


def _entry_or_none(record: Record | None) -> Entry | None:
    return None if record is None else make_entry(record)
