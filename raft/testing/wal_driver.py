"""The shortest driver of the write-ahead log: the rules of `raft.wal` step by step.

On a simulated disk; a real one does the same with files. It does no group commit of its own: what
is written together is synced together.
"""

from __future__ import annotations

from collections.abc import Iterable

from raft.outputs import Persist
from raft.stored import SnapshotData, Stored
from raft.testing.simulated_disk import SimulatedDisk
from raft.wal.recovered import Recovered
from raft.wal.recovery import Recovery
from raft.wal.writer import WalWriter


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
