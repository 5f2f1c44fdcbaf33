"""The snapshot's file on a real disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from examples.serf.files import FileError
from examples.serf.journal import Journal
from examples.serf.snapshots import SnapshotFile
from serfevents.records import Alive, Clock, EventClock, Leave, NotAlive
from serfevents.snapshots.snapshot import SIZE_MIN

ADDRESS = ("10.0.0.1", 7946)


class Disk:
    """A file, and the journal of those who open it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self._opened: list[SnapshotFile] = []

    def open(self, *, rejoin_after_leave: bool = False) -> SnapshotFile:
        journal = Journal(clock=lambda: 0.0)
        journal.listen("trace", self.lines.append)
        file = SnapshotFile(self.path, rejoin_after_leave=rejoin_after_leave, journal=journal)
        self._opened.append(file)
        return file

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20.0):
                await work()
            for file in self._opened:
                file.close()

        asyncio.run(bounded())

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "snapshot")


def test_what_was_appended_is_recovered(disk: Disk) -> None:
    async def work() -> None:
        first = disk.open()
        for record in (Alive("a", ADDRESS), Alive("b", ADDRESS), NotAlive("b"), EventClock(7)):
            first.append(record)
        first.close()

        recovered = disk.open().recovered
        assert recovered.alive == (Alive("a", ADDRESS),)
        assert recovered.event_clock == 7

    disk.run(work)


def test_lines_are_written_soon(disk: Disk) -> None:
    async def work() -> None:
        disk.open().append(Clock(3))
        assert disk.path.read_bytes() == b""

        while disk.path.read_bytes() != b"clock: 3\n":  # noqa: ASYNC110 - a file is no future
            await asyncio.sleep(0.05)

    disk.run(work)


def test_a_leave_is_written_at_once_and_makes_void_what_came_before(disk: Disk) -> None:
    async def work() -> None:
        first = disk.open()
        first.append(Alive("a", ADDRESS))
        first.append(Leave())
        assert disk.path.read_bytes() == b"alive: a 10.0.0.1:7946\nleave\n"

        assert disk.open().recovered.alive == ()
        assert disk.open(rejoin_after_leave=True).recovered.alive == (Alive("a", ADDRESS),)

    disk.run(work)


def test_a_torn_line_is_cut_off(disk: Disk) -> None:
    disk.path.write_bytes(b"clock: 5\nalive: a 10.0")

    async def work() -> None:
        file = disk.open()
        assert file.recovered.clock == 5
        file.append(Clock(6))
        file.close()

    disk.run(work)
    assert disk.path.read_bytes() == b"clock: 5\nclock: 6\n"
    assert disk.said("line 2 of the snapshot is dropped: torn b'alive: a 10.0'")


def test_a_file_that_has_grown_is_replaced(disk: Disk) -> None:
    async def work() -> None:
        file = disk.open()
        for number in range(SIZE_MIN // 10):
            file.append(Clock(number + 1))
        file.append(Leave())
        file.close()

    disk.run(work)
    expected = b"leave\nclock: 13107\nevent-clock: 0\nquery-clock: 0\n"
    assert disk.path.read_bytes() == expected
    assert [path.name for path in disk.path.parent.iterdir()] == ["snapshot"]
    assert disk.said("Compacted the snapshot")


def test_a_replacement_that_took_no_name_is_found(disk: Disk) -> None:
    """Serf deletes the file before it renames the new one."""
    disk.path.with_name("snapshot.compact").write_bytes(b"clock: 9\n")

    async def work() -> None:
        assert disk.open().recovered.clock == 9

    disk.run(work)
    assert disk.path.read_bytes() == b"clock: 9\n"


def test_a_replacement_that_fails_leaves_the_file_in_use(disk: Disk) -> None:
    async def work() -> None:
        file = disk.open()
        disk.path.with_name("snapshot.compact").mkdir()
        for number in range(SIZE_MIN // 10):
            file.append(Clock(number + 1))
        file.append(Leave())
        file.append(Clock(99999))
        file.close()

    disk.run(work)
    assert disk.said("[ERR] serf: Failed to update snapshot")
    assert disk.path.read_bytes().endswith(b"leave\nclock: 99999\n")


def test_a_file_that_can_not_be_opened_is_refused(disk: Disk) -> None:
    disk.path.mkdir()

    async def work() -> None:
        with pytest.raises(FileError, match="can't open the snapshot"):
            disk.open()

    disk.run(work)


def test_what_comes_after_a_leave_counts_only_if_we_are_back(disk: Disk) -> None:
    async def work() -> None:
        file = disk.open()
        file.append(Leave())
        file.append(Alive("a", ADDRESS))
        file.resume()
        file.append(Alive("b", ADDRESS))
        file.close()

        assert disk.open().recovered.alive == (Alive("b", ADDRESS),)

    disk.run(work)
