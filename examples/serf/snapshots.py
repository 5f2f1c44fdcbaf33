"""The snapshot's file: what an agent recovers from after a restart, in Serf's own format.

`serfevents` decides every line and every step; here they are carried out, in their order. Writes
are small and rare (one each half second at most), so they are done on the loop itself.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, assert_never

from examples.serf.files import FileError, open_private, sync_folder
from examples.serf.journal import Journal
from serfevents import Recovered
from serfevents.records import Leave, Record
from serfevents.snapshots.reader import Restored, SnapshotReader
from serfevents.snapshots.snapshot import FLUSH_INTERVAL, RETRY_INTERVAL, Snapshot
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

CHUNK = 1 << 16


class SnapshotFile:
    """One agent's snapshot, open from its start to its end.

    Args:
        path: The file; it is made if it is not there.
        rejoin_after_leave: Whether what was before a leave counts.
        journal: For damages, and for a disk that fails.

    Attributes:
        recovered: What the agent's earlier life left.

    Raises:
        FileError: The file can't be read or made.
    """

    def __init__(self, path: Path, *, rejoin_after_leave: bool, journal: Journal) -> None:
        self._path = str(path)
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._lines = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._retry_at = 0.0
        try:
            current = read(path, rejoin_after_leave=rejoin_after_leave)
            spare = path.with_name(path.name + REPLACEMENT_SUFFIX)
            replacement = read(spare, rejoin_after_leave=rejoin_after_leave)
            restored, steps = starting_steps(self._path, current, replacement)
            for step in steps:
                carry_out(step)
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise FileError(f"can't open the snapshot {path}: {error.strerror}") from None
        for damage in restored.damages:
            text = f"line {damage.line} of the snapshot is dropped: {damage.reason}"
            journal.warn("serf", f"{text} {damage.excerpt!r}")
        self.recovered: Recovered = restored.recovered
        self._snapshot = Snapshot(restored, rejoin_after_leave=rejoin_after_leave)

    def append(self, record: Record) -> None:
        """Write a record, soon; a leave at once and for sure."""
        self._lines += self._snapshot.append(record)
        if isinstance(record, Leave):
            self._flush(sync=True)
        elif self._lines and self._timer is None:
            self._timer = self._loop.call_later(FLUSH_INTERVAL, self._flush)

    def resume(self) -> None:
        """Take it that we are back after a leave, without a restart."""
        self._snapshot.resume()

    def close(self) -> None:
        """Write what is to be written, and close; a second call does nothing."""
        if not self._file.closed:
            self._flush(sync=True)
            self._file.close()

    def _flush(self, *, sync: bool = False) -> None:
        """Write the lines that were gathered, and replace the file if it has become too large."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            if self._lines:
                lines, self._lines = bytes(self._lines), bytearray()
                self._file.write(lines)
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
            if self._snapshot.is_large and self._loop.time() >= self._retry_at:
                self._replace()
        except OSError as error:
            self._journal.error("serf", f"Failed to update snapshot: {error}")
            self._retry_at = self._loop.time() + RETRY_INTERVAL

    def _replace(self) -> None:
        """Have a compacted file take the name."""
        for step in replacing_steps(self._path, self._snapshot.compacted()):
            carry_out(step)
        renamed = Path(self._path).open("ab")  # noqa: SIM115 - open from now on
        self._file.close()
        self._file = renamed
        self._snapshot.replaced()
        self._journal.debug("serf", "Compacted the snapshot")


def read(path: Path, *, rejoin_after_leave: bool) -> Restored | None:
    """Return what a file adds up to, or None if there is no such file.

    Raises:
        OSError: It is there but can't be read.
    """
    reader = SnapshotReader(rejoin_after_leave=rejoin_after_leave)
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                reader.receive(data)
    except FileNotFoundError:
        return None
    return reader.restored()


def carry_out(step: Step) -> None:
    """Do one step.

    Raises:
        OSError: It can't be done.
    """
    match step:
        case WriteFile(path, content):
            with open_private(Path(path)) as file:
                file.write(content)
        case TruncateFile(path, size):
            os.truncate(path, size)
        case SyncFile(path):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        case RenameFile(path, target):
            Path(path).replace(target)
        case RemoveFile(path):
            Path(path).unlink(missing_ok=True)
        case SyncFolder(path):
            sync_folder(Path(path).parent)
        case _:
            assert_never(step)
