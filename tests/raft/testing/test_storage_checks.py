"""The checks for storages: ours passes them, and each planted fault is found by one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from raft.entries import NO_ENTRIES, Entries, Entry, EntryKind
from raft.membership.configuration import Configuration
from raft.outputs import Persist
from raft.stored import HardState, Snapshot, Stored
from raft.testing.simulated_disk import SimulatedDisk
from raft.testing.storage_checks import (
    STORAGE_CHECKS,
    Open,
    PersistModel,
    check_crashes,
    essence,
)
from raft.testing.wal_driver import WalDriver

LOG = bytes(16)


class Memory:
    """What a place holds.

    Attributes:
        stored: What is there.
    """

    def __init__(self) -> None:
        self.stored = Stored()


class MemoryStorage:
    """The simplest right storage: it keeps its place's state in memory.

    Faulty ones override one method each.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.loaded = memory.stored

    def load(self) -> Stored:
        return self.loaded

    def write(self, persists: Sequence[Persist]) -> None:
        for persist in persists:
            old = self.memory.stored
            log = self.truncated(old.entries, persist.truncate_from)
            log = self.replaced(log, persist.snapshot)
            log = self.appended(log, persist.entries)
            self.memory.stored = Stored(
                hard_state=self.state(old.hard_state, persist.hard_state),
                snapshot=self.snapshot(old.snapshot, persist.snapshot),
                entries=log,
            )

    def truncated(self, log: Entries, index: int) -> Entries:
        return Entries.of(entry for entry in log if not index or entry.index < index)

    def replaced(self, log: Entries, snapshot: Snapshot | None) -> Entries:
        if snapshot is None:
            return log
        agrees = any((entry.index, entry.term) == (snapshot.index, snapshot.term) for entry in log)
        return log if agrees else NO_ENTRIES

    def appended(self, log: Entries, new: Entries) -> Entries:
        if not new:
            return log
        kept = [entry for entry in log if entry.index < new.first_index]
        return Entries.of([*kept, *new])

    def state(self, old: HardState, new: HardState) -> HardState:
        return new

    def snapshot(self, old: Snapshot | None, new: Snapshot | None) -> Snapshot | None:
        return new or old


class KeepsOldVote(MemoryStorage):
    def state(self, old: HardState, new: HardState) -> HardState:
        return HardState(new.term, new.voted_for or old.voted_for, new.commit, new.regressed)


class ForgetsRegression(MemoryStorage):
    def state(self, old: HardState, new: HardState) -> HardState:
        return HardState(new.term, new.voted_for, new.commit)


class KeepsTheLongerTail(MemoryStorage):
    def appended(self, log: Entries, new: Entries) -> Entries:
        tail = [entry for entry in log if new and entry.index > new.last_index]
        last = new.last_term if new else 0
        kept = [Entry(max(entry.term, last), entry.index, entry.payload) for entry in tail]
        return Entries.of([*super().appended(log, new), *kept] if new else list(log))


class IgnoresTruncation(MemoryStorage):
    def truncated(self, log: Entries, index: int) -> Entries:
        return log


class ForgetsKinds(MemoryStorage):
    def appended(self, log: Entries, new: Entries) -> Entries:
        plain = [Entry(entry.term, entry.index, entry.payload) for entry in new]
        return super().appended(log, Entries.of(plain))


class DropsLogAtSnapshot(MemoryStorage):
    def replaced(self, log: Entries, snapshot: Snapshot | None) -> Entries:
        return log if snapshot is None else NO_ENTRIES


class KeepsContradictedLog(MemoryStorage):
    def replaced(self, log: Entries, snapshot: Snapshot | None) -> Entries:
        if snapshot is None or snapshot.index > log.last_index:
            return super().replaced(log, snapshot)
        return log


class KeepsFirstSnapshot(MemoryStorage):
    def snapshot(self, old: Snapshot | None, new: Snapshot | None) -> Snapshot | None:
        return old or new


class WritesTheLastOnly(MemoryStorage):
    def write(self, persists: Sequence[Persist]) -> None:
        if len(persists) > 1 and persists[-1].entries:
            persists = persists[-1:]
        super().write(persists)


class LosesTheFirstOfEachLife(MemoryStorage):
    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.lost = memory.stored != Stored()

    def write(self, persists: Sequence[Persist]) -> None:
        super().write(persists[1:] if self.lost and len(persists) > 2 else persists)
        self.lost = False


class RemembersTheFuture(MemoryStorage):
    def load(self) -> Stored:
        return Stored(hard_state=HardState(9)) if self.loaded == Stored() else self.loaded


class AppliedTooMuch(MemoryStorage):
    def load(self) -> Stored:
        return Stored(applied=1) if self.loaded == Stored() else self.loaded


FAULTS = [
    KeepsOldVote,
    ForgetsRegression,
    KeepsTheLongerTail,
    IgnoresTruncation,
    ForgetsKinds,
    DropsLogAtSnapshot,
    KeepsContradictedLog,
    KeepsFirstSnapshot,
    WritesTheLastOnly,
    LosesTheFirstOfEachLife,
    RemembersTheFuture,
    AppliedTooMuch,
]


def opener(kind: type[MemoryStorage]) -> Open:
    """Return a function that opens a new place in memory."""
    memory = Memory()
    return lambda: kind(memory)


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: str(check.__name__))
def test_the_write_ahead_log_passes(check: Callable[[Open], None]) -> None:
    disk = SimulatedDisk(Random(1))

    check(lambda: WalDriver(disk, log_id=LOG, segment_bytes=2000, trailing=3))


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: str(check.__name__))
def test_the_simplest_right_storage_passes(check: Callable[[Open], None]) -> None:
    check(opener(MemoryStorage))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: type[MemoryStorage]) -> None:
    found = []
    for check in STORAGE_CHECKS:
        try:
            check(opener(fault))
        except (AssertionError, ValueError):
            found.append(check)

    assert found


def test_every_check_finds_a_fault() -> None:
    useless = set(STORAGE_CHECKS)
    for fault in FAULTS:
        for check in STORAGE_CHECKS:
            try:
                check(opener(fault))
            except (AssertionError, ValueError):
                useless.discard(check)

    assert not useless


# --- crashes


class UnsyncedStorage(MemoryStorage):
    """Says that it is on a disk, and is: but a crash takes it away."""

    def __init__(self, memory: Memory, disk: SimulatedDisk) -> None:
        if disk.names() == []:
            memory.stored = Stored()
            disk.append("here", b"")
        super().__init__(memory)


def test_a_storage_that_a_crash_empties_is_found() -> None:
    memory = Memory()

    with pytest.raises(AssertionError, match=r"were written|is not"):
        check_crashes(lambda disk: UnsyncedStorage(memory, disk), Random(1), lives=20)


def test_a_storage_that_makes_things_up_is_found() -> None:
    class Inventive(UnsyncedStorage):
        def load(self) -> Stored:
            if self.loaded == Stored():
                return self.loaded
            return Stored(hard_state=HardState(2**50))

    memory = Memory()

    with pytest.raises(AssertionError, match="nothing that was written comes to"):
        check_crashes(lambda disk: Inventive(memory, disk), Random(1), lives=20)


# --- the model


def test_a_model_makes_everything_that_a_server_writes() -> None:
    model = PersistModel(Random(1), Stored())
    made = [model.next() for _ in range(500)]

    assert any(one.snapshot and one.snapshot.index > 0 for one in made)
    assert any(one.truncate_from for one in made)
    assert any(one.hard_state.voted_for for one in made)
    assert any(not one.entries and one.snapshot is None for one in made)
    assert any(
        before.entries and one.entries and one.entries.first_index <= before.entries.last_index
        for before, one in pairwise(made)
    )


def test_a_model_knows_its_prefixes() -> None:
    model = PersistModel(Random(1), Stored())
    model.put(HardState(1), Entries.of([Entry(1, 1, kind=EntryKind.EMPTY)]))

    assert model.prefix(model.states[1]) == 1
    assert model.prefix(Stored()) == 0
    assert model.prefix(Stored(hard_state=HardState(7))) == -1


def test_entries_behind_the_snapshot_do_not_matter() -> None:
    snapshot = Snapshot(2, 1, Configuration(("n1",)), 1, b"")
    log = Entries.of([Entry(1, index) for index in (1, 2, 3)])

    long = Stored(snapshot=snapshot, entries=log, applied=2)
    short = Stored(snapshot=snapshot, entries=log.between(3, 3), applied=2)

    assert essence(long) == essence(short)
