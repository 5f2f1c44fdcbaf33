"""The steps over a disk that loses what was not synced: no crash loses file and replacement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import assert_never

import pytest

from serfevents.records import Alive, Clock, EventClock, Record, Recovered
from serfevents.snapshots.reader import Restored, SnapshotReader
from serfevents.snapshots.snapshot import Snapshot
from serfevents.snapshots.steps import (
    REPLACEMENT_SUFFIX,
    RemoveFile,
    RenameFile,
    Step,
    SyncFile,
    SyncFolder,
    TruncateFile,
    WriteFile,
    replacing_steps,
    starting_steps,
)

PATH = "folder/snapshot"
SPARE = PATH + REPLACEMENT_SUFFIX

# Bytes from one way of tearing a file to the next; no divisor of a line's length.
CUT = 4

MEMBERS = tuple(Alive(f"n{number}", ("127.0.0.1", 7000 + number)) for number in range(4))


class Disk:
    """Files as programs see them, and what of them a crash may leave.

    A content is safe once its file was synced; until then a crash leaves a beginning of what was
    written since, or zeros in its place. A change of names is safe once the folder was synced;
    until then a crash leaves the first so many of them, in their order, as journals do.
    """

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.safe_contents: list[bytes] = []
        self.names: dict[str, int] = {}
        self.safe_names: list[dict[str, int]] = [{}]

    def read(self, path: str) -> bytes | None:
        return self.contents[self.names[path]] if path in self.names else None

    def append(self, path: str, content: bytes) -> None:
        self.contents[self.names[path]] += content

    def do(self, step: Step) -> None:
        match step:
            case WriteFile(path, content):
                if path in self.names:
                    self.contents[self.names[path]] = content
                else:
                    self.contents.append(content)
                    self.safe_contents.append(b"")
                    self._name({**self.names, path: len(self.contents) - 1})
            case TruncateFile(path, size):
                content = self.contents[self.names[path]]
                assert size <= len(content)
                self.contents[self.names[path]] = content[:size]
            case SyncFile(path):
                self.safe_contents[self.names[path]] = self.contents[self.names[path]]
            case RenameFile(path, target):
                names = {name: file for name, file in self.names.items() if name != path}
                self._name({**names, target: self.names[path]})
            case RemoveFile(path):
                self._name({name: file for name, file in self.names.items() if name != path})
            case SyncFolder():
                self.safe_names = [self.names]
            case _:
                assert_never(step)

    def _name(self, names: dict[str, int]) -> None:
        self.names = names
        self.safe_names.append(names)

    def crashes(self) -> Iterator[Disk]:
        """Yield each disk that a crash may leave now."""
        for names in self.safe_names:
            files = sorted(set(names.values()))
            for contents in product(*(self._leftovers(file) for file in files)):
                disk = Disk()
                disk.contents = list(self.contents)
                for file, content in zip(files, contents, strict=True):
                    disk.contents[file] = content
                disk.safe_contents = list(disk.contents)
                disk.names = names
                disk.safe_names = [names]
                yield disk

    def _leftovers(self, file: int) -> list[bytes]:
        safe, written = self.safe_contents[file], self.contents[file]
        if safe.startswith(written):
            # It was cut, or nothing was written.
            return [safe] if safe == written else [safe, written]
        if not written.startswith(safe):
            return [safe, b"", written[: len(written) // 2], written]
        new = written[len(safe) :]
        cuts = [safe + new[:size] for size in range(0, len(new), CUT)]
        return [*cuts, written, safe + bytes(len(new))]


def read(content: bytes | None) -> Restored | None:
    if content is None:
        return None
    reader = SnapshotReader()
    reader.receive(content)
    return reader.restored()


def start(disk: Disk) -> Snapshot:
    """Start as a driver does, and return the snapshot to go on with."""
    chosen, steps = starting_steps(PATH, read(disk.read(PATH)), read(disk.read(SPARE)))
    for step in steps:
        disk.do(step)
    return Snapshot(chosen, size_min=0)


def recovered(disk: Disk) -> Recovered:
    """Return what a driver that starts on a disk starts from; check that it can go on."""
    snapshot = start(disk)
    content = disk.read(PATH)
    assert content is not None
    assert disk.read(SPARE) is None
    restored = read(content)
    assert restored is not None
    # Nothing is torn any more: the next line stands for itself.
    assert restored.size == restored.end == snapshot.size
    disk.append(PATH, snapshot.append(Clock(1000)))
    after = read(disk.read(PATH))
    assert after is not None
    assert after.recovered.clock == 1000
    assert after.recovered.alive == restored.recovered.alive
    return restored.recovered


def lived(disk: Disk) -> Snapshot:
    """Live until the file is synced with two members and a clock, and two more are not."""
    snapshot = start(disk)
    synced: list[Record] = [*MEMBERS[:2], Clock(5)]
    not_synced: list[Record] = [*MEMBERS[2:], EventClock(7)]
    disk.append(PATH, b"".join(map(snapshot.append, synced)))
    disk.do(SyncFile(PATH))
    disk.append(PATH, b"".join(map(snapshot.append, not_synced)))
    return snapshot


def safe(found: Recovered) -> bool:
    """Return whether what was synced before is all there."""
    return found.alive[:2] == MEMBERS[:2] and found.clock == 5


def losses(
    disk: Disk, steps: Sequence[Step], start_again: Callable[[Disk], Recovered]
) -> list[str]:
    """Return the crashes, before and after each step, that lose what was synced before."""
    found = []
    for done in range(len(steps) + 1):
        if done:
            disk.do(steps[done - 1])
        for number, crashed in enumerate(disk.crashes()):
            if not safe(start_again(crashed)):
                found.append(f"after {done} steps, way {number}")
    return found


def test_no_crash_while_the_file_is_replaced_loses_it() -> None:
    disk = Disk()
    snapshot = lived(disk)

    assert losses(disk, replacing_steps(PATH, snapshot.compacted()), recovered) == []


def test_when_the_file_was_replaced_the_whole_of_it_is_safe() -> None:
    disk = Disk()
    snapshot = lived(disk)
    for step in replacing_steps(PATH, snapshot.compacted()):
        disk.do(step)
    snapshot.replaced()
    disk.append(PATH, snapshot.append(EventClock(8)))

    found = [recovered(crashed) for crashed in disk.crashes()]

    # Torn at each place, whole, and with zeros in place of the last line.
    assert len(found) == len(range(0, len(b"event-clock: 8\n"), CUT)) + 2
    assert {each.alive for each in found} == {MEMBERS}
    assert {each.event_clock for each in found} == {7, 8}


def test_no_crash_while_a_crash_is_made_good_loses_the_file() -> None:
    disk = Disk()
    snapshot = lived(disk)
    seen = 0

    for step in replacing_steps(PATH, snapshot.compacted()):
        disk.do(step)
        for crashed in disk.crashes():
            pair = read(crashed.read(PATH)), read(crashed.read(SPARE))
            assert losses(crashed, starting_steps(PATH, *pair)[1], recovered) == []
            seen += 1

    assert seen > 100


def test_no_crash_at_the_first_start_of_all_leaves_a_file_that_can_t_be_used() -> None:
    disk = Disk()
    steps = starting_steps(PATH, None, None)[1]

    for step in steps:
        disk.do(step)
        for crashed in disk.crashes():
            assert recovered(crashed) == Recovered()

    assert steps == (WriteFile(PATH, b""), SyncFile(PATH), SyncFolder(PATH))


def as_serf_does(content: bytes) -> list[Step]:
    """The old file is deleted before the new one takes its name."""
    return [
        WriteFile(SPARE, content),
        SyncFile(SPARE),
        RemoveFile(PATH),
        RenameFile(SPARE, PATH),
    ]


def renamed_before_it_is_synced(content: bytes) -> list[Step]:
    return [WriteFile(SPARE, content), RenameFile(SPARE, PATH), SyncFile(PATH), SyncFolder(PATH)]


def written_where_it_stands(content: bytes) -> list[Step]:
    return [WriteFile(PATH, content), SyncFile(PATH)]


@pytest.mark.parametrize(
    "steps", [as_serf_does, renamed_before_it_is_synced, written_where_it_stands]
)
def test_other_orders_lose_the_file_so_the_disk_can_tell(
    steps: Callable[[bytes], list[Step]],
) -> None:
    disk = Disk()
    content = lived(disk).compacted()

    def without_replacement(crashed: Disk) -> Recovered:
        # As Serf starts: it opens or makes the file and never looks at the replacement.
        restored = read(crashed.read(PATH))
        return restored.recovered if restored else Recovered()

    assert losses(disk, steps(content), without_replacement) != []


def test_what_serf_s_own_order_loses_is_found_by_our_start() -> None:
    disk = Disk()
    content = lived(disk).compacted()

    assert losses(disk, as_serf_does(content), recovered) == []


# --- starting


def content_of(*members: Alive, torn: bytes = b"") -> bytes:
    return b"".join(map(Snapshot().append, members)) + torn


def disk_with(**files: bytes) -> Disk:
    disk = Disk()
    for name, content in files.items():
        path = {"file": PATH, "spare": SPARE}[name]
        for step in (WriteFile(path, content), SyncFile(path), SyncFolder(path)):
            disk.do(step)
    return disk


def test_a_whole_file_is_used_as_it_is() -> None:
    current = read(content_of(MEMBERS[0]))
    assert current is not None

    assert starting_steps(PATH, current, None) == (current, ())


def test_a_torn_file_is_cut_before_anything_is_appended() -> None:
    current = read(content_of(MEMBERS[0], torn=b"alive: n1"))
    assert current is not None

    chosen, steps = starting_steps(PATH, current, None)

    assert chosen is current
    assert steps == (TruncateFile(PATH, current.end), SyncFile(PATH))


def test_a_replacement_that_never_took_the_name_is_removed() -> None:
    disk = disk_with(file=content_of(MEMBERS[0]), spare=content_of(MEMBERS[1], torn=b"x"))

    assert recovered(disk).alive == MEMBERS[:1]


def test_a_replacement_that_has_nothing_is_removed_too() -> None:
    disk = disk_with(spare=b"torn")

    assert recovered(disk) == Recovered()


@pytest.mark.parametrize("left_by_serf", [{}, {"file": b""}, {"file": b"torn"}])
def test_a_replacement_without_its_file_takes_its_name(left_by_serf: dict[str, bytes]) -> None:
    disk = disk_with(**left_by_serf, spare=content_of(*MEMBERS, torn=b"torn"))

    assert recovered(disk).alive == MEMBERS


@pytest.mark.parametrize("left_by_serf", [{}, {"file": b""}])
def test_no_crash_while_serf_s_is_made_good_loses_it(left_by_serf: dict[str, bytes]) -> None:
    disk = disk_with(**left_by_serf, spare=content_of(*MEMBERS) + b"clock: 5\n")

    _, steps = starting_steps(PATH, read(disk.read(PATH)), read(disk.read(SPARE)))

    assert losses(disk, steps, recovered) == []
