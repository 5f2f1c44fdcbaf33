"""Checks for a storage of one's own: does it remember what a server must not forget.

For tests of drivers. A storage is anything with `load` and `write`; each of `STORAGE_CHECKS` takes
a function that opens one place, and raises `AssertionError` if what it finds there after opening
it again is not what was written. With pytest:

    @pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
    def test_my_storage(check, tmp_path):
        check(lambda: MyStorage(tmp_path))

A storage that is written against the few operations of `SimulatedDisk` can be crashed after each
of them, too: `check_crashes`.

Source: the idea is openraft's suite for log stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol, TypeAlias

from raft.entries import NO_ENTRIES, Entries, Entry, EntryKind
from raft.membership.configuration import Configuration
from raft.outputs import Persist
from raft.stored import HardState, Snapshot, Stored
from raft.testing.simulated_disk import DiskStopped, SimulatedDisk


class Storage(Protocol):
    """What a driver needs of a disk."""

    def load(self) -> Stored:
        """Return what was there when it was opened."""

    def write(self, persists: Sequence[Persist], /) -> object:
        """Write these, in order; they are durable when this returns."""


Open: TypeAlias = Callable[[], Storage]

_VOTERS = Configuration(("n1", "n2", "n3"))


def essence(stored: Stored) -> tuple[HardState, Snapshot | None, list[Entry]]:
    """Return what matters of a state: entries behind the snapshot may be there or not."""
    behind = stored.snapshot.index if stored.snapshot else 0
    log = [entry for entry in stored.entries if entry.index > behind]
    return stored.hard_state, stored.snapshot, log


class PersistModel:
    """Makes `Persist`s as a server does, and knows what each prefix of them comes to.

    Args:
        rng: Decides what the server does.
        start: What it starts from.

    Attributes:
        states: What a server would start from after each prefix, the empty one first.
    """

    def __init__(self, rng: Random, start: Stored) -> None:
        self.states = [start]
        self._rng = rng

    def next(self) -> Persist:
        """Return the next `Persist`: entries, replaced ones, a vote, or a snapshot."""
        kind = self._rng.random()
        if kind < 0.1:
            return self._snapshot_of_leader()
        if kind < 0.2:
            return self._snapshot_of_own()
        if kind < 0.3:
            return self._vote()
        return self._entries(replace=kind < 0.5)

    def put(
        self,
        hard_state: HardState,
        entries: Entries = NO_ENTRIES,
        snapshot: Snapshot | None = None,
        truncate_from: int = 0,
    ) -> Persist:
        """Return a given `Persist`, and note entry by entry what it comes to."""
        old = self.states[-1]
        log = {entry.index: entry for entry in old.entries}
        if truncate_from:
            log = {index: entry for index, entry in log.items() if index < truncate_from}
        if snapshot is not None and (
            snapshot.index not in log or log[snapshot.index].term != snapshot.term
        ):
            log = {}
        if entries:
            log = {index: entry for index, entry in log.items() if index < entries.first_index}
            log |= {entry.index: entry for entry in entries}
        newest = snapshot or old.snapshot
        self.states.append(
            Stored(
                hard_state=hard_state,
                snapshot=newest,
                entries=Entries.of(log.values()),
                applied=newest.index if newest else 0,
            )
        )
        return Persist(len(self.states) - 1, hard_state, entries, snapshot, truncate_from)

    def prefix(self, stored: Stored) -> int:
        """Return how many `Persist`s a state is what became of, or -1 if it is of none."""
        found = essence(stored)
        for number in range(len(self.states) - 1, -1, -1):
            if essence(self.states[number]) == found:
                return number
        return -1

    # --- internals

    def _bounds(self) -> tuple[int, int, int]:
        """Return a term, a commit index and the last index, as they might be next."""
        old = self.states[-1]
        behind = old.snapshot.index if old.snapshot else 0
        last = max(old.entries.last_index if old.entries else 0, behind)
        term = max(1, old.hard_state.term + (self._rng.random() < 0.3))
        commit = self._rng.randint(min(max(old.hard_state.commit, behind), last), last)
        return term, commit, last

    def _vote(self) -> Persist:
        term, commit, _ = self._bounds()
        return self.put(HardState(term + 1, "n2", commit))

    def _entries(self, *, replace: bool) -> Persist:
        rng = self._rng
        term, commit, last = self._bounds()
        first, truncate_from = last + 1, 0
        if replace and last > commit:
            first, term = rng.randint(commit + 1, last), term + 1
            truncate_from = rng.choice((0, first))
        made = [
            Entry(term, index, rng.randbytes(rng.randint(0, 30)))
            for index in range(first, first + rng.randint(1, 6))
        ]
        return self.put(HardState(term, None, commit), Entries.of(made), None, truncate_from)

    def _snapshot_of_leader(self) -> Persist:
        """Install one that lies beyond the end of the log."""
        term, _, last = self._bounds()
        index = last + self._rng.randint(1, 5)
        data = self._rng.randbytes(self._rng.randint(0, 80))
        return self.put(
            HardState(term, None, index), snapshot=Snapshot(index, term, _VOTERS, 1, data)
        )

    def _snapshot_of_own(self) -> Persist:
        """Compact up to a committed entry, if there is one."""
        term, commit, _ = self._bounds()
        old = self.states[-1]
        log = old.entries
        first = max(log.first_index, old.snapshot.index + 1 if old.snapshot else 1)
        if not log or commit < first:
            return self.put(HardState(term, None, commit))
        index = self._rng.randint(first, commit)
        data = self._rng.randbytes(self._rng.randint(0, 80))
        snapshot = Snapshot(index, log.term_at(index), _VOTERS, 1, data)
        return self.put(HardState(term, None, commit), snapshot=snapshot)


# --- single checks


def _same(found: Stored, expected: Stored) -> None:
    """Assert that what was found is what was written."""
    assert essence(found) == essence(expected), f"{found}\nis not\n{expected}"


def _writes(open_storage: Open, *written: tuple[HardState, Entries, Snapshot | None, int]) -> None:
    """Write each of these on its own, open the place again after each, and compare."""
    model = PersistModel(Random(0), Stored())
    for one in written:
        open_storage().write([model.put(*one)])
        _same(open_storage().load(), model.states[-1])


def _log(first: int, *terms: int) -> Entries:
    """Return entries of these terms."""
    return Entries.of(
        Entry(term, index, b"%d/%d" % (term, index)) for index, term in enumerate(terms, first)
    )


def a_new_place_is_empty(open_storage: Open) -> None:
    """Nothing is there before anything was written, however often it is opened."""
    for _ in range(2):
        found = open_storage().load()
        _same(found, Stored())
        assert found.applied == 0, found.applied


def term_vote_and_commit_index_are_kept_together(open_storage: Open) -> None:
    """The last hard state is there, whole: an old vote in a new term would be a second vote."""
    states = [
        HardState(1, "n1", 0),
        HardState(2, None, 0),
        HardState(2, "n2", 0),
        HardState(2**40, "n3", 0, regressed=True),
        HardState(2**40 + 1),
    ]
    _writes(open_storage, *((state, NO_ENTRIES, None, 0) for state in states))


def entries_of_every_kind_are_kept(open_storage: Open) -> None:
    """Commands, empty ones, configurations with their contexts; small and large payloads."""
    kinds = Entries.of(
        [
            Entry(1, 1, kind=EntryKind.EMPTY),
            Entry(1, 2, b""),
            Entry(1, 3, b"context", EntryKind.CONFIGURATION, _VOTERS),
            Entry(4, 4, bytes(range(256)) * 1000),
            Entry(2**40, 5, kind=EntryKind.EMPTY),
        ]
    )
    _writes(open_storage, (HardState(2**40), kinds, None, 0))


def entries_replace_everything_from_their_first_index_on(open_storage: Open) -> None:
    """A shorter run of a later term leaves nothing of the longer one before."""
    state = HardState(3)
    _writes(
        open_storage,
        (state, _log(1, 1, 1, 1, 1), None, 0),
        (state, _log(2, 2), None, 0),
        (state, _log(3, 3, 3), None, 0),
        (state, _log(1, 3), None, 0),
    )


def a_truncation_removes_the_tail(open_storage: Open) -> None:
    """Without entries, and before those that come with it."""
    state = HardState(2)
    _writes(
        open_storage,
        (state, _log(1, 1, 1, 1, 1), None, 0),
        (state, NO_ENTRIES, None, 3),
        (state, _log(2, 2), None, 2),
        (state, NO_ENTRIES, None, 3),
        (state, NO_ENTRIES, None, 1),
    )


def a_snapshot_leaves_the_entries_behind_it(open_storage: Open) -> None:
    """Of a prefix of the log: what follows stays."""
    state = HardState(1, None, 3)
    _writes(
        open_storage,
        (state, _log(1, 1, 1, 1, 1, 1), None, 0),
        (state, NO_ENTRIES, Snapshot(2, 1, _VOTERS, 1, b"two"), 0),
        (state, _log(6, 1), None, 0),
        (state, NO_ENTRIES, Snapshot(3, 1, _VOTERS, 1, b""), 0),
    )


def a_snapshot_replaces_a_log_that_it_contradicts(open_storage: Open) -> None:
    """Beyond the end, or of another term than the entry at its index (paper 7)."""
    state = HardState(3)
    _writes(
        open_storage,
        (state, _log(1, 1, 1, 1), None, 0),
        (state, NO_ENTRIES, Snapshot(2, 3, _VOTERS, 1, b"two"), 0),
        (state, _log(3, 3), None, 0),
        (state, _log(10, 3, 3), Snapshot(9, 3, _VOTERS, 1, b"nine"), 0),
        (state, NO_ENTRIES, Snapshot(20, 3, _VOTERS, 1, memoryview(b"twenty")), 0),
    )


def many_are_written_as_one_by_one(open_storage: Open) -> None:
    """A group commit comes to the same, in order."""
    model = PersistModel(Random(1), Stored())
    open_storage().write([model.next() for _ in range(50)])
    _same(open_storage().load(), model.states[-1])


def nothing_is_forgotten_over_many_lives(open_storage: Open) -> None:
    """Random histories, opened again and again without having been closed."""
    for seed in range(5):
        rng = Random(seed)
        model = PersistModel(rng, open_storage().load())
        for _ in range(20):
            storage = open_storage()
            _same(storage.load(), model.states[-1])
            for _ in range(rng.randint(1, 5)):
                storage.write([model.next() for _ in range(rng.randint(1, 4))])


STORAGE_CHECKS: tuple[Callable[[Open], None], ...] = (
    a_new_place_is_empty,
    term_vote_and_commit_index_are_kept_together,
    entries_of_every_kind_are_kept,
    entries_replace_everything_from_their_first_index_on,
    a_truncation_removes_the_tail,
    a_snapshot_leaves_the_entries_behind_it,
    a_snapshot_replaces_a_log_that_it_contradicts,
    many_are_written_as_one_by_one,
    nothing_is_forgotten_over_many_lives,
)
"""All checks of a storage; each wants a place of its own, where nothing is yet."""


# --- crashes


def check_crashes(open_on: Callable[[SimulatedDisk], Storage], rng: Random, *, lives: int) -> None:
    """Crash a storage on a simulated disk again and again, and look what it remembers.

    Args:
        open_on: Opens it on a disk.
        rng: Decides what is written, when it ends, and what each crash leaves.
        lives: How often it is opened, written to, and killed or cut from power.

    Raises:
        AssertionError: It forgot what it had written, or found what it never wrote.
    """
    disk = SimulatedDisk(rng, sector=64)
    state = Stored()
    for _ in range(lives):
        disk.stop_at = disk.operations + int(2 ** rng.uniform(0, 8))
        model = PersistModel(rng, state)
        written = _live(open_on, disk, model, rng)
        if rng.random() < 0.6:
            disk.crash()
        disk.stop_at = None

        found = open_on(disk).load()
        prefix = model.prefix(found)
        assert prefix >= 0, f"nothing that was written comes to {found}"
        assert prefix >= written, f"{written} were written, {prefix} are remembered"
        state = model.states[prefix]
        # What it has told once must not change, whatever happens next.
        disk.crash()


def _live(
    open_on: Callable[[SimulatedDisk], Storage],
    disk: SimulatedDisk,
    model: PersistModel,
    rng: Random,
) -> int:
    """Write until the disk stops or much is written; return how many `Persist`s were."""
    written = 0
    try:
        storage = open_on(disk)
        _same(storage.load(), model.states[0])
        for _ in range(60):
            storage.write([model.next() for _ in range(rng.randint(1, 4))])
            written = len(model.states) - 1
    except DiskStopped:
        pass
    return written
