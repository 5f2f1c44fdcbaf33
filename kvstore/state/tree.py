"""The tree: what every key is, in order, with what it was.

Owns the records by key, the order of live keys, deleted keys that the history remembers, and the
two things that every change of a key does: it becomes a part of the history and moves the index
of the directories above. Knows no sessions, quotas or rights, and decides nothing.

A dict for point reads and a sorted list of live keys beside it: the fastest of the structures
that were measured, as only creations and deletions touch the order.
"""

from __future__ import annotations

from kvstore.change import CHANGED_KEY, NEW, NO_LINK, REVISION, Change
from kvstore.entry import DIRECTORY, KEY, MOD_REVISION, SEQUENCE, VALUE, Bonds, Record
from kvstore.keys import prefix_end
from kvstore.state.directories import Directories, directory_of
from kvstore.state.history import SWEEP, History
from kvstore.state.ordered import OrderedKeys
from kvstore.state.quotas import key_size


class Records(dict[str, Record]):
    """Records by key: a dict that the garbage collector never takes its eyes off.

    It stops tracking a plain dict of atomic values, and begins again with the next write, as if
    the dict were new: a million entries are then looked at in the middle of a command, for 20 ms.
    """

    __slots__ = ()


class Tree:
    """Records by key, and everything that is the same for all changes of keys.

    Attributes:
        records: The record of each live key.
        keys: The live keys in order.
        tombstones: The sequence of the deletion of each deleted key that the history may remember.
        deleted_keys: Those keys in order.
        history: All changes above the floor.
        directories: The revision of the last change below each directory.
        revision: The index of the last change, 0 if there was none.
    """

    __slots__ = (
        "deleted_keys",
        "directories",
        "history",
        "keys",
        "records",
        "revision",
        "tombstones",
    )

    def __init__(self, history: History, directories: Directories) -> None:
        self.records = Records()
        self.keys: OrderedKeys = OrderedKeys()
        self.tombstones: dict[str, int] = {}
        self.deleted_keys: OrderedKeys = OrderedKeys()
        self.history = history
        self.directories = directories
        self.revision = 0

    # --- changes

    def update(
        self, index: int, old: Record, value: bytes, flags: int, bonds: Bonds | None, cause: int
    ) -> Record:
        """Replace what a key holds. Complexity: O(depth)."""
        history = self.history
        sequence = history.sequence
        history.sequence = sequence + 1
        key, _, _, created, _, version, _, _, directory = old
        new = (key, value, flags, created, index, version + 1, bonds, sequence, directory)
        self.records[key] = new
        history.changes.append((index, key, new, old, cause, NO_LINK))
        self.revision = index
        # What `touch` does: this is the way of most commands.
        directories = self.directories
        if directories.saved:
            directories.save(directory)
        revisions, parents = directories.revisions, directories.parents
        while directory >= 0:
            revisions[directory] = index
            directory = parents[directory]
        return new

    def create(
        self, index: int, key: str, value: bytes, flags: int, bonds: Bonds | None, cause: int
    ) -> Record:
        """Add a key that is absent. Complexity: O(log n)."""
        history = self.history
        sequence = history.sequence
        history.sequence = sequence + 1
        directories = self.directories
        directory = directories.number(key)
        new = (key, value, flags, index, index, 1, bonds, sequence, directory)
        self.records[key] = new
        self.keys.add(key)
        link = NO_LINK
        if key in self.tombstones:
            link = self.tombstones.pop(key)
            self.deleted_keys.remove(key)
        history.changes.append((index, key, new, None, cause, link))
        self.revision = index
        if directories.saved:
            directories.save(directory)
        revisions, parents = directories.revisions, directories.parents
        while directory >= 0:
            revisions[directory] = index
            directory = parents[directory]
        return new

    def delete(self, index: int, old: Record, cause: int) -> None:
        """Remove a key that is there. Complexity: O(log n)."""
        key = old[KEY]
        del self.records[key]
        self.keys.remove(key)
        history = self.history
        sequence = history.sequence
        history.sequence = sequence + 1
        history.changes.append((index, key, None, old, cause, NO_LINK))
        self.tombstones[key] = sequence
        self.deleted_keys.add(key)
        self.directories.touch(old[DIRECTORY], index)
        self.revision = index

    def commit(
        self, index: int, key: str, new: Record | None, old: Record | None, cause: int
    ) -> None:
        """Make one change of what a transaction did to a key, in place already."""
        history = self.history
        sequence = history.sequence
        history.sequence = sequence + 1
        link = NO_LINK
        if new is None:
            assert old is not None
            directory = old[DIRECTORY]
            self.tombstones[key] = sequence
            self.deleted_keys.add(key)
        else:
            directory = self.directories.number(key)
            new = (*new[:SEQUENCE], sequence, directory)
            self.records[key] = new
            if old is None and key in self.tombstones:
                link = self.tombstones.pop(key)
                self.deleted_keys.remove(key)
        history.changes.append((index, key, new, old, cause, link))
        self.directories.touch(directory, index)
        self.revision = index

    def replay(self, change: Change) -> None:
        """Make a change as another replica made it."""
        revision, key, new, _, cause, _ = change
        old = self.records.get(key)
        if new is None:
            del self.records[key]
            self.keys.remove(key)
        elif old is None:
            self.keys.add(key)
        self.commit(revision, key, new, old, cause)

    def sweep(self) -> list[Change]:
        """Free some of the changes that nothing needs any more, and return them.

        Complexity: O(SWEEP log n).
        """
        history = self.history
        to = min(history.free_to, history.freed + SWEEP)
        first = history.freed
        freed = history.free(to)
        tombstones = self.tombstones
        for sequence, change in enumerate(freed, first):
            if change[NEW] is None and tombstones.get(change[CHANGED_KEY]) == sequence:
                self._forget(change[CHANGED_KEY])
        return freed

    def _forget(self, key: str) -> None:
        """Forget that a key was there, and with it directories that hold nothing else."""
        del self.tombstones[key]
        self.deleted_keys.remove(key)
        floor = self.history.floor
        for name in self.directories.above(key):
            if (self.directories.index(name) or 0) > floor or self.keys.has(name, prefix_end(name)):
                return
            if not self.directories.release(name, floor):
                return

    # --- queries

    def weigh(self, prefix: str) -> tuple[int, int]:
        """Return the keys below a prefix and their bytes. Complexity: O(keys below it)."""
        records = self.records
        keys = self.keys.between(prefix, prefix_end(prefix))
        return len(keys), sum(key_size(key) + len(records[key][VALUE]) for key in keys)

    def past(self, key: str, revision: int) -> Record | None:
        """Return what a key was at a revision. Complexity: O(its changes since then)."""
        record = self.records.get(key)
        link = self.tombstones.get(key, NO_LINK) if record is None else NO_LINK
        return self.history.past(record, link, revision)

    def index_of(self, key: str) -> int:
        """Return the index of the last change of a key, as far as it is remembered.

        Of an absent key whose past is forgotten it is the floor, or the last change in its
        directory if that is lower.
        """
        record = self.records.get(key)
        if record is not None:
            return record[MOD_REVISION]
        sequence = self.tombstones.get(key, NO_LINK)
        if sequence >= self.history.floor_sequence:
            return self.history.at(sequence)[REVISION]
        return min(self.history.floor, self.index_below(self.directories.indexed(key)))

    def index_below(self, name: str) -> int:
        """Return the index of the last change below an indexed directory, "" for the whole tree.

        Of one without keys whose past is forgotten it is the floor, or the last change in the
        directory above if that is lower: it never goes back, and moves for no stranger.
        """
        floor = self.history.floor
        bound = self.revision + 1
        while name:
            index = self.directories.index(name)
            if index is not None and (index > floor or self.keys.has(name, prefix_end(name))):
                return min(index, bound)
            bound = floor
            name = directory_of(name[:-1], self.directories.separator)
        return min(self.revision, bound)

    def index_between(self, low: str, high: str | None, directory: str) -> int:
        """Return the index of the last change in any range, as far as it is remembered.

        Args:
            low: The first key.
            high: The first key beyond, or None.
            directory: An indexed directory that holds the whole range.

        Complexity: O(keys in the range).
        """
        records, tombstones, history = self.records, self.tombstones, self.history
        index = min(history.floor, self.index_below(directory))
        for key in self.keys.between(low, high):
            index = max(index, records[key][MOD_REVISION])
        for key in self.deleted_keys.between(low, high):
            if tombstones[key] >= history.floor_sequence:
                index = max(index, history.at(tombstones[key])[REVISION])
        return index

    def past_between(self, low: str, high: str | None, revision: int) -> list[Record]:
        """Return what the keys of a range were at a revision, in order.

        Complexity: O(keys in the range, live and remembered, and their changes since then).
        """
        keys = self.keys.between(low, high)
        if deleted_keys := self.deleted_keys.between(low, high):
            keys = sorted(keys + deleted_keys)
        found = (self.past(key, revision) for key in keys)
        return [record for record in found if record is not None]

    def deleted_between(self, low: str, high: str | None, since: int) -> list[tuple[str, int]]:
        """Return the keys of a range that were deleted after a revision, and when, in order.

        Complexity: O(deleted keys of the range that are remembered).
        """
        first = self.history.first_after(max(since, self.history.floor))
        tombstones, at = self.tombstones, self.history.at
        deleted_keys = self.deleted_keys.between(low, high)
        return [
            (key, at(tombstones[key])[REVISION]) for key in deleted_keys if tombstones[key] >= first
        ]
