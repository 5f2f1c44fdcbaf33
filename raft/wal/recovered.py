"""What a log says, and what a server starts from because of it.

Owns how the log and the snapshot's data, which is in a file of its own, come together. Knows
nothing of bytes (`raft.wal.recovery`).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from raft.entries import NO_ENTRIES, Entries
from raft.errors import RaftError
from raft.stored import HardState, Snapshot, SnapshotData, Stored
from raft.wal.records import SnapshotMarker


class SnapshotMissing(RaftError):
    """The data of the snapshot that the log tells of is not there, or is not what was written.

    Attributes:
        marker: What it should be.
    """

    def __init__(self, marker: SnapshotMarker) -> None:
        super().__init__(f"no snapshot of {marker.size} bytes as of index {marker.index}")
        self.marker = marker


@frozen
class TornTail:
    """Where the log ends before its bytes do: what a crash left of the last writes.

    Attributes:
        segment: Where.
        position: Byte in it at which the first unreadable record begins.
    """

    segment: int
    position: int


@frozen
class Recovered:
    """What a log says: all that was durable, and perhaps more that was written.

    Attributes:
        hard_state: Term, vote, commit index.
        snapshot: The last snapshot, without its data, or None.
        entries: The log.
        torn: Where it was cut, or None.
        log_id: The random id of the log, or None if there is none yet.
        last_number: Number of the last record.
        segments: For each segment, in order, the largest index of an entry in it, or 0.
    """

    hard_state: HardState
    snapshot: SnapshotMarker | None
    entries: Entries
    torn: TornTail | None
    log_id: bytes | None
    last_number: int
    segments: Mapping[int, int] = field(factory=dict)

    def stored(
        self, data: SnapshotData | None = None, *, applied: int = 0, trailing: int = 1024
    ) -> Stored:
        """Return what a server starts from.

        Args:
            data: That of the snapshot; None only if there is no snapshot.
            applied: Index up to which the application's own state is durable, if it is; at
                least the snapshot's index counts.
            trailing: Entries that are kept behind the snapshot, for slow followers.

        Raises:
            SnapshotMissing: `data` is not what the log tells of.
        """
        marker = self.snapshot
        if marker is None:
            return Stored(hard_state=self.hard_state, entries=self.entries, applied=applied)
        if data is None or not marker.matches(data):
            raise SnapshotMissing(marker)
        entries = self.entries
        first = max(entries.first_index, marker.index + 1 - trailing)
        if first > entries.first_index:
            last = entries.last_index
            entries = entries.between(first, last) if first <= last else NO_ENTRIES
        return Stored(
            hard_state=self.hard_state,
            snapshot=Snapshot(
                marker.index,
                marker.term,
                marker.configuration,
                marker.configuration_index,
                data,
            ),
            entries=entries,
            applied=max(applied, marker.index),
        )
