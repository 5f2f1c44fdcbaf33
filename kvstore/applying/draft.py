"""A draft: the space of a transaction, in which nothing is final.

Operations write in place, where later ones see it, and the draft remembers what each key was.
In the end either all of it becomes one change for each key that is different, or every key is put
back. Cheaper than working on a copy, as most transactions succeed.
"""

from __future__ import annotations

from kvstore.change import NO_LINK
from kvstore.config import INTEGER_MAX
from kvstore.entry import (
    BONDS,
    CREATE_REVISION,
    FLAGS,
    KEY,
    MOD_REVISION,
    TTL,
    VALUE,
    VERSION,
    Bonds,
    Record,
)
from kvstore.refusals import Refusal
from kvstore.state.directories import NO_DIRECTORY
from kvstore.state.state import State

_NOT_YET = -1


class Draft:
    """Changes of a state under way; ends with `commit` or `roll_back`."""

    __slots__ = ("_before", "_causes", "_forced", "_numbers", "_rearmed", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        # What each key that was written was before, in the order of the first writes.
        self._before: dict[str, Record | None] = {}
        self._causes: dict[str, int] = {}
        self._forced: dict[str, None] = {}
        self._rearmed: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    @property
    def state(self) -> State:
        """The state, with what was written in the draft so far."""
        return self._state

    # --- what operations need of a space

    def update(
        self, old: Record, value: bytes, flags: int, bonds: Bonds | None, cause: int
    ) -> Record:
        """Replace what a key holds, and return its new record."""
        index = self._state.index
        # A key gets one version for each revision, however often it is written.
        version = old[VERSION] if old[MOD_REVISION] == index else old[VERSION] + 1
        key, created = old[KEY], old[CREATE_REVISION]
        new = (key, value, flags, created, index, version, bonds, _NOT_YET, NO_DIRECTORY)
        self._note(key, old, cause)
        self._state.tree.records[key] = new
        return new

    def create(self, key: str, value: bytes, flags: int, bonds: Bonds | None, cause: int) -> Record:
        """Add a key that is absent, and return its record."""
        index = self._state.index
        new = (key, value, flags, index, index, 1, bonds, _NOT_YET, NO_DIRECTORY)
        self._note(key, None, cause)
        self._state.tree.records[key] = new
        self._state.tree.keys.add(key)
        return new

    def delete(self, old: Record, cause: int) -> None:
        """Remove a key that is there."""
        key = old[KEY]
        self._note(key, old, cause)
        del self._state.tree.records[key]
        self._state.tree.keys.remove(key)

    def rearm(self, key: str, ttl: int) -> int:
        """Begin the ttl of a key anew when the draft is committed; return when it will end."""
        expires = min(self._state.clock + ttl, INTEGER_MAX)
        self._rearmed[key] = expires
        return expires

    def expires(self, record: Record) -> int | None:
        """Return when the key of a record that stands now will be deleted, None for never."""
        bonds = record[BONDS]
        if bonds is None or bonds[TTL] is None:
            return None
        return self._rearmed.get(record[KEY]) or self._state.expires(record)

    def put_sequence(self, directory: str, number: int) -> None:
        """Set the next number of a directory; 0 forgets it."""
        sequences = self._state.sequences
        self._numbers.setdefault(directory, sequences.next(directory))
        sequences.put(directory, number)

    def room(
        self, _key: str, _old: Record | None, _size: int, _bonds: Bonds | None, /
    ) -> Refusal | None:
        """None: what there is room for is looked at in the end."""
        return None

    def past(self, key: str, revision: int) -> Record | None:
        """Return what a key was at a revision before the draft."""
        tree = self._state.tree
        if key not in self._before:
            return tree.past(key, revision)
        before = self._before[key]
        link = tree.tombstones.get(key, NO_LINK) if before is None else NO_LINK
        return tree.history.past(before, link, revision)

    def past_between(self, low: str, high: str | None, revision: int) -> list[Record]:
        """Return what the keys of a range were at a revision before the draft, in order."""
        tree = self._state.tree
        written = [key for key in self._before if key >= low and (high is None or key < high)]
        keys = {*tree.keys.between(low, high), *tree.deleted_keys.between(low, high), *written}
        found = (self.past(key, revision) for key in sorted(keys))
        return [record for record in found if record is not None]

    def deleted_between(self, low: str, high: str | None, since: int) -> list[tuple[str, int]]:
        """Return the keys of a range that were deleted after a revision, and when, in order."""
        state = self._state
        records = state.tree.records
        found = dict(state.tree.deleted_between(low, high, since))
        for key, before in self._before.items():
            if key in records:
                found.pop(key, None)
            elif before is not None and key >= low and (high is None or key < high):
                found[key] = state.index
        return sorted(found.items())

    def is_now(self, revision: int) -> bool:
        """Return whether what was at a revision is what is now, in the draft."""
        if self._before:
            return revision == self._state.index
        return revision >= self._state.tree.revision

    def index_to_wait(self, index: int) -> int:
        """Return the index of the draft once it wrote anything, as that is what will be."""
        return self._state.index if self._before else self._state.index_to_wait(index)

    def force(self, key: str) -> None:
        """Make a revision of a key even if nothing is different in the end."""
        self._forced[key] = None

    # --- the end

    def commit(self) -> Refusal | None:
        """Make it final, or put everything back and return why there is no room for it."""
        state = self._state
        records = state.tree.records
        net = []
        for key, before in self._before.items():
            after = records.get(key)
            if before is not None and after is not None and self._is_same(key, before, after):
                records[key] = before
            elif before is not after:
                net.append((key, before, after))
        refusal = state.refuse(
            [
                (key, before, None, None)
                if after is None
                else (key, before, len(after[VALUE]), after[BONDS])
                for key, before, after in net
            ]
        )
        if refusal is not None:
            self.roll_back()
            return refusal
        for key, before, after in net:
            state.tree.commit(state.index, key, after, before, self._causes[key])
            state.settle(key, before, after)
        for key in self._rearmed:
            record = records.get(key)
            bonds = None if record is None else record[BONDS]
            if bonds is not None and bonds[TTL] is not None:
                state.rearm(key, bonds[TTL])
        return None

    def roll_back(self) -> None:
        """Put everything back."""
        tree = self._state.tree
        for key, before in self._before.items():
            present = key in tree.records
            if before is not None:
                tree.records[key] = before
                if not present:
                    tree.keys.add(key)
            elif present:
                del tree.records[key]
                tree.keys.remove(key)
        for directory, number in self._numbers.items():
            self._state.sequences.put(directory, number)

    def _note(self, key: str, old: Record | None, cause: int) -> None:
        self._before.setdefault(key, old)
        self._causes[key] = cause

    def _is_same(self, key: str, before: Record, after: Record) -> bool:
        """Return whether nothing is different in the end but the stamps of the draft."""
        return key not in self._forced and (
            before[CREATE_REVISION] == after[CREATE_REVISION]
            and before[VALUE] == after[VALUE]
            and before[FLAGS] == after[FLAGS]
            and before[BONDS] == after[BONDS]
        )
