"""A disk that keeps only what was synced, and a driver of the write-ahead log on it.

For simulations and tests of storage: `SimulatedDisk` loses, tears and flips what real disks may,
from a seed; `WalDriver` follows the rules of `raft.wal` step by step, and is the shortest example
of a driver. Neither does any I/O.

What a crash does to bytes that were not synced: of each file a random length of them is left, and
of that each sector is either written, or zero, or half of it; a file whose directory entry was
not synced may be gone. What was synced stays, until `flip` damages it.

Source: Pillai et al., All File Systems Are Not Created Equal (2014): appends are neither atomic
nor ordered across sectors, and new names need a sync of the directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from raft.outputs import Persist
from raft.stored import SnapshotData, Stored
from raft.wal import WalWriter
from raft.wal_recovery import Recovered, Recovery


class DiskStopped(Exception):
    """The simulated disk reached `stop_at`: the process is to crash here."""


class _File:
    """Bytes as they would be read now, and how many of them are durable."""

    __slots__ = ("content", "durable", "is_named")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = 0
        # Whether the directory entry is durable.
        self.is_named = False


class SimulatedDisk:
    """Files by name, with what a crash may do to them.

    Args:
        rng: Decides what a crash leaves.
        sector: Bytes that are written or lost together.

    Attributes:
        operations: How often anything was done; the disk stops working at `stop_at`.
        stop_at: Number of operations after which every further one raises `DiskStopped`, or
            None.
    """

    def __init__(self, rng: Random, sector: int = 512) -> None:
        self.operations = 0
        self.stop_at: int | None = None
        self._rng = rng
        self._sector = sector
        self._files: dict[str, _File] = {}
        # Deleted, but the directory was not synced since.
        self._deleted: dict[str, _File] = {}

    def names(self) -> list[str]:
        """Return the names of all files, in order."""
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return bytes(self._files[name].content)

    def append(self, name: str, data: bytes) -> None:
        """Write behind the end of a file, which is made if it isn't there."""
        self._count()
        self._files.setdefault(name, _File()).content += data

    def sync(self, name: str) -> None:
        """Make a file's content durable."""
        self._count()
        file = self._files[name]
        file.durable = len(file.content)

    def sync_directory(self) -> None:
        """Make durable which files there are."""
        self._count()
        self._deleted.clear()
        for file in self._files.values():
            file.is_named = True

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._count()
        self._deleted[name] = self._files.pop(name)

    def crash(self) -> None:
        """Lose power: keep what was synced, and of the rest what chance leaves."""
        rng = self._rng
        self.stop_at = None
        for name, file in sorted(self._deleted.items()):
            if rng.random() < 0.5 and name not in self._files:
                self._files[name] = file
        self._deleted.clear()
        for name in self.names():
            file = self._files[name]
            if not file.is_named and rng.random() < 0.5:
                del self._files[name]
                continue
            file.content[file.durable :] = self._left_of(bytes(file.content[file.durable :]))
            # After the restart this is what the disk has.
            file.durable, file.is_named = len(file.content), True

    def flip(self, name: str, position: int, mask: int) -> None:
        """Damage a byte that was written: turn round the bits of `mask`."""
        self._files[name].content[position] ^= mask

    def _left_of(self, data: bytes) -> bytes:
        """Return what a crash leaves of bytes that were not synced."""
        rng = self._rng
        kept = data[: rng.randint(0, len(data))] if rng.random() < 0.7 else data
        left = bytearray()
        for begin in range(0, len(kept), self._sector):
            sector = kept[begin : begin + self._sector]
            fate = rng.random()
            if fate < 0.15:
                sector = bytes(len(sector))
            elif fate < 0.25:
                half = rng.randint(0, len(sector))
                sector = sector[:half] + bytes(len(sector) - half)
            left += sector
        return bytes(left)

    def _count(self) -> None:
        """Count one operation, or refuse it."""
        if self.stop_at is not None and self.operations >= self.stop_at:
            raise DiskStopped
        self.operations += 1


def _segment_name(segment: int) -> str:
    return f"{segment:08}.wal"


class WalDriver:
    """Keeps a server's memory on a disk; what a real driver does with files, it does here.

    Making one recovers what is there.

    Args:
        disk: Where.
        log_id: 16 random bytes, for a new log.
        segment_bytes: Size from which a new segment begins.
        trailing: Entries that are kept behind a snapshot.

    Attributes:
        recovered: What the log said.
    """

    def __init__(
        self,
        disk: SimulatedDisk,
        *,
        log_id: bytes,
        segment_bytes: int = 64 * 2**20,
        trailing: int = 1024,
    ) -> None:
        self._disk = disk
        self._trailing = trailing
        # Of the newest snapshot; "" without one.
        self._snapshot_name = ""
        self.recovered = self._recover()
        self._stored = self._with_snapshot()
        self._writer = WalWriter(self.recovered, log_id=log_id, segment_bytes=segment_bytes)
        self._begin_segment()

    def load(self) -> Stored:
        """Return what the server starts from."""
        return self._stored

    def write(self, persists: Iterable[Persist]) -> int:
        """Write `Persist`s with one sync, and return the `seq` that may be reported.

        Raises:
            ValueError: There are none.
        """
        disk, writer = self._disk, self._writer
        seq = 0
        if writer.is_full:
            disk.sync(_segment_name(writer.segment))  # the mark at its end
            self._begin_segment()
        name = _segment_name(writer.segment)
        for persist in persists:
            if persist.snapshot is not None:
                self._keep(persist.snapshot.data)
            disk.append(name, writer.append(persist))
            seq = persist.seq
        if not seq:
            raise ValueError("nothing to write")
        disk.sync(name)
        writer.synced(writer.last_number)
        disk.append(name, writer.mark())
        self._clean()
        return seq

    def _recover(self) -> Recovered:
        """Read the log, and make durable what was read (rule 6)."""
        recovery = Recovery()
        for name in self._names(".wal"):
            recovery.begin(int(name.partition(".")[0]))
            recovery.feed(self._disk.read(name))
        recovered = recovery.finish()
        for name in self._disk.names():
            self._disk.sync(name)
        self._disk.sync_directory()
        return recovered

    def _with_snapshot(self) -> Stored:
        """Return what the log said, with the snapshot's data."""
        marker = self.recovered.snapshot
        data = None
        for name in self._names(".snapshot") if marker is not None else ():
            data = self._disk.read(name)
            if marker is not None and marker.matches(data):
                self._snapshot_name = name
                break
        return self.recovered.stored(data, trailing=self._trailing)

    def _begin_segment(self) -> None:
        """Begin a segment (rule 1)."""
        disk, writer = self._disk, self._writer
        data = writer.begin_segment()
        name = _segment_name(writer.segment)
        disk.append(name, data)
        disk.sync(name)
        disk.sync_directory()
        writer.synced(writer.last_number)

    def _keep(self, data: SnapshotData) -> None:
        """Make a snapshot's data durable (rule 4), in a file that never had another's."""
        disk = self._disk
        self._snapshot_name = f"{self._writer.last_number + 1:020}.snapshot"
        if self._snapshot_name in disk.names():  # torn by a crash, and no record tells of it
            disk.delete(self._snapshot_name)
        disk.append(self._snapshot_name, bytes(data))
        disk.sync(self._snapshot_name)
        disk.sync_directory()

    def _clean(self) -> None:
        """Delete what is not needed any more (rules 4 and 7)."""
        for segment in self._writer.release(trailing=self._trailing):
            self._disk.delete(_segment_name(segment))
            self._disk.sync_directory()
        for name in self._names(".snapshot"):
            if name != self._snapshot_name:
                self._disk.delete(name)

    def _names(self, ending: str) -> list[str]:
        return [name for name in self._disk.names() if name.endswith(ending)]
