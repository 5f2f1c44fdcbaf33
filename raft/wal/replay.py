"""The state that the records of a log add up to, one after the other.

Owns what each record does to the hard state, the snapshot and the entries before it. Knows
nothing of bytes, segments or damage (`raft.wal.recovery`).
"""

from __future__ import annotations

from raft.entries import NO_ENTRIES, Entries, Mark, TermRun, slice_marks, slice_runs
from raft.stored import HardState
from raft.wal.records import Body, SnapshotMarker


class Replay:
    """The state that records add up to."""

    __slots__ = ("_first", "_marks", "_payloads", "_runs", "hard_state", "snapshot")

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.snapshot: SnapshotMarker | None = None
        self._first = 1
        self._runs: list[TermRun] = []
        self._payloads: list[bytes] = []
        self._marks: list[Mark] = []

    def apply(self, body: Body) -> None:
        """Make a record take effect.

        Raises:
            ValueError: Its entries leave a gap.
        """
        self.hard_state = body.hard_state
        if body.truncate_from:
            self._truncate(body.truncate_from)
        if body.snapshot is not None:
            self._install(body.snapshot)
        if body.entries:
            self._append(body.entries)

    def entries(self) -> Entries:
        """Return the log.

        Raises:
            ValueError: It begins too late for the snapshot.
        """
        if self._first > self._behind + 1:
            raise ValueError(f"nothing tells of the entries before {self._first}")
        if not self._payloads:
            return NO_ENTRIES
        return Entries(self._first, tuple(self._runs), tuple(self._payloads), tuple(self._marks))

    def begin_at(self, index: int) -> None:
        """Begin with a log that went up to `index` - 1, of which nothing is known."""
        self._first = index

    @property
    def _behind(self) -> int:
        """Index of the snapshot."""
        return 0 if self.snapshot is None else self.snapshot.index

    def _install(self, snapshot: SnapshotMarker) -> None:
        """Take over a snapshot; entries that contradict it, or end before it, are void."""
        self.snapshot = snapshot
        index, last = snapshot.index, self._first + len(self._payloads) - 1
        if index >= self._first and (
            index > last or slice_runs(self._runs, index, index)[0][1] != snapshot.term
        ):
            self._truncate(self._first)

    def _truncate(self, index: int) -> None:
        """Remove entries from an index on."""
        if index >= self._first + len(self._payloads):
            return
        index = max(index, self._first)
        self._runs[:] = slice_runs(self._runs, self._first, index - 1)
        self._marks[:] = slice_marks(self._marks, self._first, index - 1)
        del self._payloads[index - self._first :]

    def _append(self, entries: Entries) -> None:
        """Replace everything from the first index of entries on."""
        follows = self._first + len(self._payloads)
        if not self._payloads:
            follows = max(follows, self._behind + 1)
        if entries.first_index > follows:
            raise ValueError(f"entry {entries.first_index} does not follow")
        self._truncate(entries.first_index)
        if not self._payloads:
            # The first that are known, or they replace some of a segment that was deleted.
            self._first = entries.first_index
        runs = entries.runs
        if self._runs and self._runs[-1][1] == runs[0][1]:
            runs = runs[1:]
        self._runs += runs
        self._payloads += entries.payloads
        self._marks += entries.marks
