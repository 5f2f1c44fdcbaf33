"""The log of one server in a directory, by the rules of `raft.wal`.

Owns files, their names and what is synced when. Blocking: run it in a thread of its own. After
the first error it must not be used any more, only opened anew, by another process if need be: a
sync that failed may have dropped what it was to write.

    00000001.wal ...                  segments of the log
    00000000000000000042.snapshot     the data of a snapshot, by the number of its record
    lock                              held while a process uses the directory

Source: the rules for drivers in `raft.wal`; raft.testing.WalDriver keeps them too, on a
disk that fails.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from raft import Persist, Stored
from raft.stored import SnapshotData
from raft.wal import SEGMENT_BYTES, Recovered, Recovery, WalWriter

_READ_BYTES: Final = 1 << 20


class DirectoryInUse(Exception):
    """Another process keeps its log there: two would destroy it."""


class LogDirectory:
    """A server's memory on disk.

    Args:
        path: A directory of its own; it is made if it isn't there.
        segment_bytes: Size from which a new segment begins.
        trailing: Entries that are kept behind a snapshot.

    Raises:
        DirectoryInUse: Another process has it.
        raft.wal.WalCorrupted: What was durable once can't be read. The server must not
            start from it.
        raft.wal.WalForeign: It is another log's, or another version's.
        raft.wal.SnapshotMissing: The log tells of a snapshot that is not there.
        OSError: The disk failed.

    Attributes:
        recovered: What the log said when it was opened.
        stored: What the server starts from.
        syncs: How often entries were synced, for statistics.
    """

    def __init__(
        self, path: Path, *, segment_bytes: int = SEGMENT_BYTES, trailing: int = 1024
    ) -> None:
        self._path = path
        self._trailing = trailing
        self.syncs = 0
        path.mkdir(parents=True, exist_ok=True)
        _sync_path(path.parent)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        self._segment = -1
        try:
            self._claim()
            self.recovered = self._recover()
            # Of the newest snapshot; None without one.
            self._snapshot: Path | None = None
            # Whether there may be snapshots that are not the newest.
            self._has_obsolete = True
            self.stored = self._with_snapshot()
            self._writer = WalWriter(
                self.recovered, log_id=os.urandom(16), segment_bytes=segment_bytes
            )
            self._begin_segment()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the directory; everything that was reported is durable already."""
        if self._segment >= 0:
            os.close(self._segment)
        os.close(self._lock)

    def write(self, persists: Sequence[Persist]) -> int:
        """Make `Persist`s durable with one sync, and return the `seq` that may be reported.

        Args:
            persists: In order; at least one.

        Raises:
            OSError: The disk failed.
        """
        writer = self._writer
        if writer.is_full:
            os.fsync(self._segment)  # the mark at its end
            self._begin_segment()
        for persist in persists:
            if persist.snapshot is not None:
                self._keep(persist.snapshot.data)
            _write(self._segment, writer.append(persist))
        os.fsync(self._segment)
        self.syncs += 1
        writer.synced(writer.last_number)
        _write(self._segment, writer.mark())
        self._clean()
        return persists[-1].seq

    # --- opening

    def _claim(self) -> None:
        """Be the only one here, until the process ends."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(f"{self._path} is in use") from None

    def _recover(self) -> Recovered:
        """Read the log, and make durable what was read (rule 6)."""
        recovery = Recovery()
        for path in self._names(".wal"):
            recovery.begin(int(path.stem))
            with path.open("rb") as file:
                while data := file.read(_READ_BYTES):
                    recovery.feed(data)
        recovered = recovery.finish()
        for path in (*self._names(".wal"), *self._names(".snapshot")):
            _sync_path(path)
        _sync_path(self._path)
        return recovered

    def _with_snapshot(self) -> Stored:
        """Return what the log said, with the snapshot's data."""
        marker = self.recovered.snapshot
        for path in reversed(self._names(".snapshot") if marker is not None else ()):
            data = path.read_bytes()
            if marker is not None and marker.matches(data):
                self._snapshot = path
                return self.recovered.stored(data, trailing=self._trailing)
        return self.recovered.stored(trailing=self._trailing)

    # --- writing

    def _begin_segment(self) -> None:
        """Begin a segment (rule 1)."""
        writer = self._writer
        data = writer.begin_segment()
        path = self._path / f"{writer.segment:08}.wal"
        if self._segment >= 0:
            os.close(self._segment)
        self._segment = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        _write(self._segment, data)
        os.fsync(self._segment)
        _sync_path(self._path)
        writer.synced(writer.last_number)

    def _keep(self, data: SnapshotData) -> None:
        """Make a snapshot's data durable (rule 4), in a file that never had another's."""
        path = self._path / f"{self._writer.last_number + 1:020}.snapshot"
        # One of that name is what a crash left of a snapshot whose record was never written.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            _write(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        _sync_path(self._path)
        self._snapshot = path
        self._has_obsolete = True

    def _clean(self) -> None:
        """Delete what is not needed any more (rules 4 and 7)."""
        for segment in self._writer.release(trailing=self._trailing):
            (self._path / f"{segment:08}.wal").unlink()
            _sync_path(self._path)
        if self._has_obsolete:
            self._has_obsolete = False
            for path in self._names(".snapshot"):
                if path != self._snapshot:
                    path.unlink()

    def _names(self, ending: str) -> list[Path]:
        return sorted(self._path.glob(f"*{ending}"))


def _write(file: int, data: SnapshotData) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_path(path: Path) -> None:
    """Make durable what is in a file, or which files are in a directory."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
