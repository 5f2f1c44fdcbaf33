"""Writing the write-ahead log: bytes for the driver to append, and when what may be deleted.

Owns the sequence of records and segments. Does no I/O: the driver owns files, syncs and names,
by the rules that `raft.wal` states. The way back is `raft.wal.recovery`.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

from raft.entries import Entries
from raft.outputs import Persist
from raft.stored import HardState
from raft.wal.records import (
    BODY_BYTES_MAX,
    LOG_ID_BYTES,
    PREAMBLE_BYTES,
    Body,
    RecordKind,
    SnapshotMarker,
    encode_body,
    encode_preamble,
    encode_record,
    segment_seed,
    split_entries,
)
from raft.wal.recovered import Recovered

SEGMENT_BYTES: Final = 64 * 2**20
"""Size at which a segment is full unless told otherwise, as in etcd."""


class WalWriter:
    """Turns `Persist`s into bytes to append.

    Args:
        recovered: What `Recovery` found, of a new log too.
        log_id: 16 random bytes for a new log; those of an old one stay.
        segment_bytes: Size from which `is_full` asks for a new segment.

    Raises:
        ValueError: `log_id` is missing for a new log, or is not 16 bytes.

    Attributes:
        segment: Number of the segment to append to; 0 before the first `begin_segment`.
        last_number: Number of the last record.
    """

    def __init__(
        self,
        recovered: Recovered,
        *,
        log_id: bytes | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        log_id = recovered.log_id or log_id
        if log_id is None or len(log_id) != LOG_ID_BYTES:
            raise ValueError(f"a new log needs a random id of {LOG_ID_BYTES} bytes")
        if segment_bytes < 1:
            raise ValueError("segment_bytes must be at least 1")
        self.segment = 0
        self.last_number = recovered.last_number
        self._log_id = log_id
        self._segment_bytes = segment_bytes
        # Rule 6: what was recovered has been synced.
        self._durable = recovered.last_number
        self._hard_state = recovered.hard_state
        self._snapshot = recovered.snapshot
        self._durable_snapshot_index = recovered.snapshot.index if recovered.snapshot else 0
        # Number of the record and index, of snapshots that are not known to be durable.
        self._snapshots_pending: list[tuple[int, int]] = []
        # What the log goes up to, as a segment's first record tells; the snapshot does not count.
        self._last_index = recovered.entries.last_index if recovered.entries else 0
        # Segments in order, with the largest index of an entry in each.
        self._segments = dict(recovered.segments)
        # Number of the first record of `segment`.
        self._header_number = 0
        self._position = 0
        self._seed = 0

    @property
    def is_full(self) -> bool:
        """Whether a new segment should begin before the next record."""
        return self._position >= self._segment_bytes

    @property
    def durable(self) -> int:
        """Number up to which all records are durable."""
        return self._durable

    def begin_segment(self) -> bytes:
        """Return what a new file begins with; `segment` is its number from now on."""
        self.segment = max(self._segments, default=0) + 1
        self._segments[self.segment] = 0
        self._seed = segment_seed(self._log_id, self.segment)
        self._position = PREAMBLE_BYTES
        self._header_number = self.last_number + 1
        log = Entries(self._last_index + 1, (), ())
        body = encode_body(Body(self._hard_state, self._snapshot, entries=log))
        return encode_preamble(self._log_id, self.segment) + self._record(RecordKind.SEGMENT, body)

    def append(self, persist: Persist, *, marker: SnapshotMarker | None = None) -> bytes:
        """Return the records of a `Persist`; `last_number` is that of the last of them.

        Args:
            persist: What the machine asked to be written; in the order in which it did.
            marker: That of its snapshot, if it has one and the checksum is known already. Without
                it the checksum is computed here, over all of the data.

        Raises:
            ValueError: No segment was begun, or it was not reported to be durable (rule 1), or
                an entry is too large.
        """
        self._check_begun()
        if persist.snapshot is not None and marker is None:
            marker = SnapshotMarker.of(persist.snapshot)
        bodies = []
        truncate_from, snapshot = persist.truncate_from, marker
        for part in split_entries(persist.entries):
            body = Body(_until(persist.hard_state, part), snapshot, truncate_from, part)
            bodies.append(encode_body(body))
            truncate_from, snapshot = 0, None
        if max(map(len, bodies)) > BODY_BYTES_MAX:
            raise ValueError(f"an entry is larger than the limit of {BODY_BYTES_MAX} bytes")
        records = [self._record(RecordKind.PERSIST, encoded) for encoded in bodies]
        self._hard_state = persist.hard_state
        if persist.truncate_from:
            self._last_index = min(self._last_index, persist.truncate_from - 1)
        if marker is not None:
            self._snapshot = marker
            self._snapshots_pending.append((self.last_number, marker.index))
        if persist.entries:
            largest = max(self._segments[self.segment], persist.entries.last_index)
            self._segments[self.segment] = largest
            self._last_index = persist.entries.last_index
        return records[0] if len(records) == 1 else b"".join(records)

    def mark(self) -> bytes:
        """Return a record that says how far all is durable.

        Raises:
            ValueError: As for `append`.
        """
        self._check_begun()
        return self._record(RecordKind.MARK, b"")

    def synced(self, number: int) -> None:
        """Report that all records up to a number are durable.

        Raises:
            ValueError: There is no such record yet.
        """
        if number > self.last_number:
            raise ValueError(f"record {number} is still to come")
        self._durable = max(self._durable, number)
        while self._snapshots_pending and self._snapshots_pending[0][0] <= number:
            self._durable_snapshot_index = self._snapshots_pending.pop(0)[1]

    def release(self, *, trailing: int = 1024) -> tuple[int, ...]:
        """Return the segments that are not needed any more, oldest first, and forget them.

        Args:
            trailing: Entries to keep behind the last durable snapshot, for slow followers.

        Returns:
            Those without an entry behind that; never the one to append to, nor any before that
            one is durable.
        """
        if not self.segment or self._durable < self._header_number:
            return ()
        covered = self._durable_snapshot_index - trailing
        released = tuple(
            takewhile(
                lambda segment: segment != self.segment and self._segments[segment] <= covered,
                self._segments,
            )
        )
        for segment in released:
            del self._segments[segment]
        return released

    def _check_begun(self) -> None:
        """Refuse to append to no segment, or to one that is not durable."""
        if not self.segment:
            raise ValueError("begin a segment first")
        if self._durable < self._header_number:
            raise ValueError("a segment is durable before anything is appended to it")

    def _record(self, kind: RecordKind, body: bytes) -> bytes:
        """Return the next record."""
        number = self.last_number + 1
        record = encode_record(kind, body, number, self._durable, self._seed + self._position)
        self.last_number = number
        self._position += len(record)
        return record


def _until(state: HardState, part: Entries) -> HardState:
    """Return a hard state whose commit index is not ahead of a part of the entries."""
    if not part or state.commit <= part.last_index:
        return state
    return HardState(state.term, state.voted_for, part.last_index, state.regressed)
