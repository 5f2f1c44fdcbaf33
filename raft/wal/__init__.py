"""A write-ahead log without I/O: what a server must not forget, as bytes for files of the driver's.

`WalWriter` turns `Persist`s into bytes to append; `Recovery` turns the bytes back into what a
server starts from, and tells what a crash left of the last write from corruption.

Rules for the driver. Each is what makes recovery right after a crash at any moment:

1. A segment is a new file, named by its number, that begins with what `begin_segment` returned.
   Sync the segment before, which ends in a mark, then the new file and its directory; report
   that with `synced`. The writer refuses to go on before.
2. Append what `append` and `mark` return, in that order, to the latest segment only.
3. Report `synced(number)`, and `persisted(seq)` to the machine, only after a sync of every file
   that holds records up to it. Any number of records may share one sync.
4. A snapshot's data is a file of its own: synced, and its directory, before the `Persist` that
   has it is appended. Keep it until a later snapshot's record is durable.
5. After each sync append `mark()`, without syncing that. It is what lets recovery tell a damaged
   last record from a torn one.
6. Start from `Recovery`, fed with all segments there are, in order. Sync every file that was read
   before the machine is made: what only the operating system remembered is acted on now. Then
   begin a new segment; never append to an old one, nor cut or repair it.
7. Delete only the segments that `release` returned, oldest first, and sync the directory after
   each: if the oldest came back without the next, there would be a gap.
8. Stop at the first error of a write or a sync. A sync that failed may have dropped what it was
   to write: it must not be tried again, only recovered from.

>>> from raft import Entries, HardState, Persist
>>> writer = WalWriter(Recovery().finish(), log_id=bytes(16))
>>> file = writer.begin_segment()  # appended, and synced with its directory
>>> writer.synced(writer.last_number)
>>> file += writer.append(Persist(1, HardState(1, "n1"), Entries(1, ((1, 1),), (b"set x 1",))))
>>> writer.synced(writer.last_number)  # once it is: now `persisted(1, now)`
>>> file += writer.mark()
>>> recovery = Recovery()
>>> recovery.begin(1)
>>> recovery.feed(file)
>>> recovery.finish().stored().entries
<Entries 1/1>
"""

from __future__ import annotations

from raft.wal.records import SnapshotMarker
from raft.wal.recovered import Recovered, SnapshotMissing, TornTail
from raft.wal.recovery import Recovery, WalCorrupted, WalForeign
from raft.wal.writer import SEGMENT_BYTES, WalWriter

__all__ = [
    "SEGMENT_BYTES",
    "Recovered",
    "Recovery",
    "SnapshotMarker",
    "SnapshotMissing",
    "TornTail",
    "WalCorrupted",
    "WalForeign",
    "WalWriter",
]
