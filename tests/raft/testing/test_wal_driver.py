"""The shortest driver of the log: it remembers what it wrote, and its snapshots."""

from __future__ import annotations

from random import Random

import pytest

from raft.entries import NO_ENTRIES, Entries
from raft.membership.configuration import Configuration
from raft.outputs import Persist
from raft.stored import HardState, Snapshot
from raft.testing import SimulatedDisk, WalDriver
from raft.wal import SnapshotMissing

LOG = bytes(16)


def test_a_driver_remembers_what_it_wrote() -> None:
    disk = SimulatedDisk(Random(1))
    entries = Entries(1, ((1, 1),), (b"x", b"y"))

    seq = WalDriver(disk, log_id=LOG).write([Persist(5, HardState(1, "n1"), entries)])
    stored = WalDriver(disk, log_id=LOG).load()

    assert seq == 5
    assert stored.hard_state == HardState(1, "n1")
    assert stored.entries == entries


def test_nothing_to_write_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nothing to write"):
        WalDriver(SimulatedDisk(Random(1)), log_id=LOG).write([])


def test_only_the_newest_snapshot_is_kept() -> None:
    disk = SimulatedDisk(Random(1))
    driver = WalDriver(disk, log_id=LOG)
    for index in (1, 2, 3):
        snapshot = Snapshot(index, 1, Configuration(("n1",)), 1, b"as of %d" % index)
        driver.write([Persist(index, HardState(1), NO_ENTRIES, snapshot)])

    snapshots = [name for name in disk.names() if name.endswith(".snapshot")]

    assert [disk.read(name) for name in snapshots] == [b"as of 3"]
    assert WalDriver(disk, log_id=LOG).load().snapshot == snapshot


def test_a_snapshot_that_a_crash_tore_is_written_anew() -> None:
    disk = SimulatedDisk(Random(1))
    snapshot = Snapshot(1, 1, Configuration(("n1",)), 1, b"data")
    persist = Persist(1, HardState(1), NO_ENTRIES, snapshot)
    driver = WalDriver(disk, log_id=LOG)
    disk.append(f"{3:020}.snapshot", b"da")  # the next life's first record is the third

    WalDriver(disk, log_id=LOG).write([persist])

    assert driver.load().snapshot is None
    assert WalDriver(disk, log_id=LOG).load().snapshot == snapshot


def test_a_damaged_snapshot_is_not_started_from() -> None:
    disk = SimulatedDisk(Random(1))
    snapshot = Snapshot(1, 1, Configuration(("n1",)), 1, b"data")
    WalDriver(disk, log_id=LOG).write([Persist(1, HardState(1), NO_ENTRIES, snapshot)])
    (name,) = [name for name in disk.names() if name.endswith(".snapshot")]

    disk.flip(name, 0, 1)

    with pytest.raises(SnapshotMissing):
        WalDriver(disk, log_id=LOG)
