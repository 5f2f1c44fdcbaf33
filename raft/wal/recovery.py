"""Reading the write-ahead log back: from the bytes of its segments to what was stored.

Owns the push parser of segments, and the decision between a torn tail and corruption. Knows
nothing of files: the driver feeds it their contents, segment by segment; nor of what the records
add up to (`raft.wal.replay`).

A record that can't be read is a hole. Nothing behind a hole is replayed. What is behind it is
only searched for a proof that the hole was durable once: then it is corruption, an error, and the
server must not start from this log, because it may have acknowledged what stood there. Without
such a proof it is what a crash left of the last writes, which nobody was told of.
"""

from __future__ import annotations

from typing import Final

from raft.errors import RaftError
from raft.stored import HardState
from raft.wal.records import (
    FORMAT_VERSION,
    HEADER_BYTES,
    PREAMBLE_BYTES,
    RECORD_MAGIC,
    Body,
    Header,
    RecordKind,
    decode_body,
    decode_header,
    decode_preamble,
    encode_body,
    is_body,
    segment_seed,
)
from raft.wal.recovered import Recovered, TornTail
from raft.wal.replay import Replay

FIRST_SEGMENT_BYTES: Final = PREAMBLE_BYTES + HEADER_BYTES + len(encode_body(Body(HardState())))
"""What the first segment of a new log begins with; no more is there until that is durable."""


class WalCorrupted(RaftError):
    """The log lacks what was durable once: this server has lost its memory and must not start.

    It can come back as a new server, under a new id, or from a copy of its disk.

    Attributes:
        segment: Where.
        position: Byte in it.
        reason: What is wrong there.
    """

    def __init__(self, segment: int, position: int, reason: str) -> None:
        super().__init__(f"segment {segment}, byte {position}: {reason}")
        self.segment = segment
        self.position = position
        self.reason = reason


class WalForeign(RaftError):
    """A segment of another log, another place, or a format that this version does not know.

    Attributes:
        segment: Which, by the name that it was given.
        reason: What it is instead.
    """

    def __init__(self, segment: int, reason: str) -> None:
        super().__init__(f"segment {segment}: {reason}")
        self.segment = segment
        self.reason = reason


class Recovery:
    """Reads a log: for each segment in ascending order `begin` and `feed`, then `finish`.

    It holds the log that is left and one record at a time, whatever it is fed.

    >>> Recovery().finish().entries
    <Entries >
    """

    def __init__(self) -> None:
        self._replay = Replay()
        self._log_id: bytes | None = None
        self._segment = 0
        # For each segment that was begun, the largest index of an entry in it.
        self._segments: dict[int, int] = {}
        # Number of the last record that was replayed; 0 before the first.
        self._number = 0
        self._is_first = True
        # What was fed and not yet understood, and where in the segment that begins.
        self._buffer = bytearray()
        self._position = 0
        self._seed = 0
        self._wants_preamble = False
        self._wants_segment_record = False
        # Bytes of the longest segment so far.
        self._longest = 0
        # Where the record after the last one should be, once something else was found there.
        self._hole: TornTail | None = None

    def begin(self, segment: int) -> None:
        """Begin with a segment.

        Args:
            segment: Its number, by its name.

        Raises:
            ValueError: It does not come after the one before.
            WalCorrupted: As for `feed`.
        """
        if segment <= self._segment:
            raise ValueError(f"segment {segment} after segment {self._segment}")
        self._end_segment()
        self._segment = segment
        self._segments[segment] = 0
        self._buffer.clear()
        self._position = 0
        self._wants_preamble = self._wants_segment_record = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the segment, however they are cut.

        Raises:
            WalCorrupted: What was durable once can't be read.
            WalForeign: The segment is not one of this log and version.
        """
        self._buffer += data
        if self._wants_preamble and len(self._buffer) >= PREAMBLE_BYTES:
            self._read_preamble()
        if self._wants_preamble:
            return
        while self._is_in_order() and self._read_record():
            pass
        if not self._is_in_order():
            self._search_proof()

    def finish(self) -> Recovered:
        """Return what the log says.

        Raises:
            WalCorrupted: As for `feed`, or entries behind the snapshot are missing.
        """
        self._end_segment()
        # Only a segment's first record, which is durable before any other is written, tells what
        # was before. That none can be read is harmless only if none was ever durable.
        if self._is_first and (
            self._longest > FIRST_SEGMENT_BYTES or min(self._segments, default=1) > 1
        ):
            raise self._corrupted("the beginning of the log can't be read")
        try:
            entries = self._replay.entries()
        except ValueError as error:
            raise WalCorrupted(self._segment, self._position, str(error)) from None
        return Recovered(
            self._replay.hard_state,
            self._replay.snapshot,
            entries,
            self._hole,
            self._log_id,
            self._number,
            self._segments,
        )

    # --- internals

    def _is_in_order(self) -> bool:
        """Whether a record is to be read next: nothing is missing, or this segment may explain
        why, by beginning where the hole is.
        """  # noqa: D205
        return self._hole is None or self._wants_segment_record

    def _open_hole(self) -> None:
        """Note that the next record can't be read; what follows is only searched."""
        self._wants_preamble = self._wants_segment_record = False
        if self._hole is None:
            self._hole = TornTail(self._segment, self._position)

    def _corrupted(self, reason: str) -> WalCorrupted:
        """Return the error for what stands at the hole, or here."""
        at = self._hole or TornTail(self._segment, self._position)
        return WalCorrupted(at.segment, at.position, reason)

    def _end_segment(self) -> None:
        """Judge what is left of a segment when no more of it comes."""
        if self._buffer and self._hole is None:
            self._open_hole()
        self._longest = max(self._longest, self._position + len(self._buffer))

    def _consume(self, size: int) -> None:
        """Leave bytes behind."""
        del self._buffer[:size]
        self._position += size

    def _read_preamble(self) -> None:
        """Read how the segment begins."""
        self._wants_preamble = False
        preamble = decode_preamble(bytes(self._buffer[:PREAMBLE_BYTES]))
        if preamble is None:
            self._open_hole()
            log_id = self._log_id or bytes(16)
        else:
            version, log_id, segment = preamble
            if version != FORMAT_VERSION:
                raise WalForeign(self._segment, f"of version {version}, not {FORMAT_VERSION}")
            if segment != self._segment:
                raise WalForeign(self._segment, f"called {segment} by its preamble")
            if self._log_id not in (None, log_id):
                raise WalForeign(self._segment, "of another log")
            self._log_id = log_id
            self._consume(PREAMBLE_BYTES)
        self._seed = segment_seed(log_id, self._segment)

    def _read_record(self) -> bool:
        """Read one record; return whether there may be another."""
        if len(self._buffer) < HEADER_BYTES:
            return False
        seed = self._seed + self._position
        header = decode_header(bytes(self._buffer[:HEADER_BYTES]), seed)
        if header is None:
            self._open_hole()
            return False
        end = HEADER_BYTES + header.size
        if len(self._buffer) < end:
            return False
        body = bytes(self._buffer[HEADER_BYTES:end])
        if not is_body(header, body, seed):
            self._open_hole()
            return False
        if self._wants_segment_record and not self._continues(header):
            return False
        if header.number != self._number + 1 or (
            (header.kind is RecordKind.SEGMENT) is not self._wants_segment_record
        ):
            raise self._corrupted("a record out of order")
        self._take(header, body)
        self._consume(end)
        return True

    def _continues(self, header: Header) -> bool:
        """Return whether a segment's first record follows the last record that was read."""
        if self._is_first:
            self._number = header.number - 1  # the segments before are not needed any more
        if header.number > self._number + 1:
            self._open_hole()
            return False
        # A recovery ended at the hole, if there is one, and went on in this segment.
        self._hole = None
        return True

    def _take(self, header: Header, body: bytes) -> None:
        """Let a record take effect."""
        is_first = self._is_first
        self._wants_segment_record = self._is_first = False
        self._number = header.number
        if header.kind is RecordKind.MARK:
            return
        try:
            decoded = decode_body(body)
            if is_first:
                self._replay.begin_at(decoded.entries.first_index)
            self._replay.apply(decoded)
        except ValueError as error:
            raise self._corrupted(str(error)) from None
        entries = decoded.entries
        if entries:
            largest = max(self._segments[self._segment], entries.last_index)
            self._segments[self._segment] = largest

    def _search_proof(self) -> None:
        """Search for a record that says that the one at the hole was durable.

        Raises:
            WalCorrupted: One does.
        """
        at = 0
        buffer = self._buffer
        while (at := buffer.find(RECORD_MAGIC, at)) >= 0 and at + HEADER_BYTES <= len(buffer):
            head = bytes(buffer[at : at + HEADER_BYTES])
            header = decode_header(head, self._seed + self._position + at)
            if header is not None and header.durable > self._number:
                raise self._corrupted(f"record {self._number + 1} was durable and can't be read")
            at += 1
        rest = len(RECORD_MAGIC) - 1 if at < 0 else len(buffer) - at
        self._consume(max(0, len(buffer) - rest))
