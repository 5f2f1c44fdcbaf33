"""The simulated disk: what is synced stays, what is not may go, tear or come back."""

from __future__ import annotations

from random import Random

import pytest

from raft.testing.simulated_disk import DiskStopped, SimulatedDisk


def left_after_crashes(*, synced: bytes, unsynced: bytes, named: bool) -> set[bytes | None]:
    """Return what many crashes leave of one file; None if it is gone."""
    found: set[bytes | None] = set()
    for seed in range(300):
        disk = SimulatedDisk(Random(seed), sector=4)
        disk.append("a", synced)
        disk.sync("a")
        if named:
            disk.sync_directory()
        disk.append("a", unsynced)
        disk.crash()
        found.add(disk.read("a") if "a" in disk.names() else None)
    return found


def test_a_crash_leaves_what_was_synced_and_anything_of_the_rest() -> None:
    found = left_after_crashes(synced=b"safe", unsynced=b"12345678", named=True)

    assert all(content is not None and content.startswith(b"safe") for content in found)
    # Nothing, all, a part, the second sector without the first, and half a sector.
    for rest in (b"", b"12345678", b"123456", b"\0\0\0\0" + b"5678", b"1234" + b"56\0\0"):
        assert b"safe" + rest in found


def test_a_file_whose_name_was_not_synced_may_be_gone() -> None:
    assert left_after_crashes(synced=b"safe", unsynced=b"", named=False) == {None, b"safe"}


def test_a_deleted_file_may_come_back_until_the_directory_is_synced() -> None:
    def names(seed: int, *, sync: bool, again: bool = False) -> list[str]:
        disk = SimulatedDisk(Random(seed))
        disk.append("a", b"x")
        disk.sync("a")
        disk.sync_directory()
        disk.delete("a")
        if again:
            disk.append("a", b"y")
            disk.sync("a")
        if sync:
            disk.sync_directory()
        disk.crash()
        return disk.names()

    assert {len(names(seed, sync=False)) for seed in range(20)} == {0, 1}
    assert {len(names(seed, sync=True)) for seed in range(20)} == {0}
    assert {len(names(seed, sync=True, again=True)) for seed in range(20)} == {1}
    assert {len(names(seed, sync=False, again=True)) for seed in range(20)} == {0, 1}


def test_what_a_crash_left_is_durable() -> None:
    disk = SimulatedDisk(Random(1))
    disk.append("a", b"")
    disk.sync_directory()
    disk.append("a", b"x" * 5000)
    disk.crash()
    left = disk.read("a")

    disk.crash()

    assert disk.read("a") == left


def test_a_stopped_disk_does_nothing_more() -> None:
    disk = SimulatedDisk(Random(1))
    disk.append("a", b"x")
    disk.stop_at = disk.operations

    with pytest.raises(DiskStopped):
        disk.append("a", b"y")
    with pytest.raises(DiskStopped):
        disk.sync("a")
    with pytest.raises(DiskStopped):
        disk.sync_directory()
    with pytest.raises(DiskStopped):
        disk.delete("a")
    assert disk.read("a") == b"x"


def test_a_flipped_bit_is_read() -> None:
    disk = SimulatedDisk(Random(1))
    disk.append("a", b"abc")

    disk.flip("a", 1, 0x03)

    assert disk.read("a") == b"aac"
