"""The bytes of the write-ahead log: preamble of a segment, records, and what they say.

Owns the format. Knows nothing of segments' lives (`raft.wal.writer`) nor of recovery
(`raft.wal.recovery`).

A segment is a file: a preamble, a record that repeats the state so far, then one record for each
`Persist`. Every record tells, besides its own number, up to which number all were durable when
it was written. That is what tells corruption from a torn tail: a bad record is corruption if a
later one says that it was durable once, and a torn tail if none does.

Checksums are seeded with the log's random id, the segment and the position. So neither a payload
that imitates a record, nor an old record in a recycled or misplaced block, passes for one.

Source: the rule of torn tails is our own; record and segment are as in etcd's wal package, the
checksum is CRC-32 (zlib).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from zlib import crc32

import msgpack
from attrs import frozen

from raft.entries import INDEX_MAX, NO_ENTRIES, Entries
from raft.membership.configuration import Configuration
from raft.packing import pack_entries, unpack_entries
from raft.stored import HardState, Snapshot, SnapshotData

FORMAT_VERSION = 1
"""Last byte of the magic of segments; a log of another version is refused, not guessed at."""

LOG_ID_BYTES = 16
"""Length of the random id that all segments of a log share."""

BODY_BYTES_MAX = 2**31
"""Largest body of a record; what is larger can't be written."""

SPLIT_BYTES = 16 * 2**20
"""Payload bytes from which the entries of one `Persist` are written as several records."""

_MAGIC = b"RAFTWAL"
_PREAMBLE = Struct("<7sB16sQI")
PREAMBLE_BYTES = _PREAMBLE.size

#: Begins every record; sought to find records behind a damaged one.
RECORD_MAGIC = b"\xf5\xd7\x1a"
# Magic, kind, size of the body, number, durable number, checksum of the body; then its own.
_HEADER = Struct("<3sBIQQI")
_CHECKSUM = Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
_U32 = 0xFFFFFFFF


class RecordKind(IntEnum):
    """What a record is."""

    SEGMENT = 1
    """First of a segment: the hard state and the snapshot before it."""
    PERSIST = 2
    """One `Persist`, or a part of a very large one."""
    MARK = 3
    """Nothing but how far all is durable."""


_KINDS = frozenset(RecordKind)


@frozen
class SnapshotMarker:
    """What the log keeps of a snapshot; its data is in a file of its own.

    Attributes:
        index: Last index that it covers.
        term: Term of the entry there.
        configuration: The configuration in force there.
        configuration_index: Index of the entry that brought it.
        size: Bytes of the data.
        checksum: CRC-32 of the data.
    """

    index: int
    term: int
    configuration: Configuration
    configuration_index: int
    size: int
    checksum: int

    @classmethod
    def of(cls, snapshot: Snapshot, checksum: int | None = None) -> SnapshotMarker:
        """Return the marker of a snapshot.

        Args:
            snapshot: The snapshot.
            checksum: CRC-32 of its data, if it is known: who writes the data piece by piece gets
                it on the way, by `zlib.crc32(piece, checksum)`. Else it is computed in one go,
                about a second for a gigabyte; in a thread of its own that holds nobody up.

        Complexity: O(1) with a checksum, else O(bytes of the data).
        """
        data = snapshot.data
        return cls(
            snapshot.index,
            snapshot.term,
            snapshot.configuration,
            snapshot.configuration_index,
            len(memoryview(data).cast("B")),
            crc32(data) if checksum is None else checksum,
        )

    def matches(self, data: SnapshotData) -> bool:
        """Return whether `data` is what the marker was made of. Complexity: O(bytes)."""
        return len(memoryview(data).cast("B")) == self.size and crc32(data) == self.checksum


@frozen
class Body:
    """What a record says, all of which holds from there on.

    Attributes:
        hard_state: The hard state.
        snapshot: A new snapshot, or None; of a segment's first record the latest.
        truncate_from: If above 0, entries from this index on are gone.
        entries: Replace everything from their first index on, if there are any; a segment's first
            record has none, and its log goes up to their first index.
    """

    hard_state: HardState
    snapshot: SnapshotMarker | None = None
    truncate_from: int = 0
    entries: Entries = NO_ENTRIES


@frozen
class Header:
    """The head of a record.

    Attributes:
        kind: What it is.
        size: Bytes of the body.
        number: Rises by one from each record to the next, across segments; the first is 1.
        durable: Number up to which all records were durable when it was written.
        checksum: Of the body.
    """

    kind: RecordKind
    size: int
    number: int
    durable: int
    checksum: int


# --- segments


def encode_preamble(log_id: bytes, segment: int) -> bytes:
    """Return the first bytes of a segment."""
    body = _PREAMBLE.pack(_MAGIC, FORMAT_VERSION, log_id, segment, 0)[: -_CHECKSUM.size]
    return body + _CHECKSUM.pack(crc32(body))


def decode_preamble(data: bytes) -> tuple[int, bytes, int] | None:
    """Return the version, the log's id and the segment's number, or None if it is damaged."""
    magic, version, log_id, segment, checksum = _PREAMBLE.unpack(data)
    if magic != _MAGIC or checksum != crc32(data[: -_CHECKSUM.size]):
        return None
    return version, log_id, segment


def segment_seed(log_id: bytes, segment: int) -> int:
    """Return what the checksums of a segment's records are seeded with, besides positions."""
    return crc32(encode_preamble(log_id, segment)[: -_CHECKSUM.size])


# --- records


def encode_record(kind: RecordKind, body: bytes, number: int, durable: int, seed: int) -> bytes:
    """Return a record.

    Args:
        kind: What it is.
        body: Encoded body, at most `BODY_BYTES_MAX`; empty for a mark.
        number: Its number.
        durable: Number up to which all records are known to be durable.
        seed: `segment_seed` plus the position of the record in the segment.
    """
    seed &= _U32
    head = _HEADER.pack(RECORD_MAGIC, kind, len(body), number, durable, crc32(body, seed))
    return head + _CHECKSUM.pack(crc32(head, seed)) + body


def decode_header(data: bytes, seed: int) -> Header | None:
    """Return the head of the record that `data` begins with, or None if none does.

    Args:
        data: At least `HEADER_BYTES` bytes.
        seed: As for `encode_record`.
    """
    head = data[: _HEADER.size]
    (checksum,) = _CHECKSUM.unpack_from(data, _HEADER.size)
    if not head.startswith(RECORD_MAGIC) or checksum != crc32(head, seed & _U32):
        return None
    _, kind, size, number, durable, body_checksum = _HEADER.unpack(head)
    if kind not in _KINDS:
        return None
    return Header(RecordKind(kind), size, number, durable, body_checksum)


def is_body(header: Header, body: bytes, seed: int) -> bool:
    """Return whether `body` is that of a record."""
    return crc32(body, seed & _U32) == header.checksum


# --- bodies


def encode_body(body: Body) -> bytes:
    """Return what a record says as bytes."""
    state, marker = body.hard_state, body.snapshot
    packed = None
    if marker is not None:
        packed = (
            marker.index,
            marker.term,
            marker.configuration.encode(),
            marker.configuration_index,
            marker.size,
            marker.checksum,
        )
    return bytes(
        msgpack.packb(
            (
                state.term,
                state.voted_for,
                state.commit,
                state.regressed,
                packed,
                body.truncate_from,
                *pack_entries(body.entries),
            )
        )
    )


def decode_body(data: bytes) -> Body:
    """Return what the body of a record says.

    Raises:
        ValueError: It is none of this version, although the checksums were right.
    """
    try:
        elements = msgpack.unpackb(data, use_list=False, max_array_len=64, max_map_len=0)
        term, voted_for, commit, regressed, packed, truncate_from, *columns = elements
        marker = None
        if packed is not None:
            index, marker_term, configuration, configuration_index, size, checksum = packed
            _check_numbers(index, marker_term, configuration_index, size, checksum)
            decoded = Configuration.decode(configuration)
            marker = SnapshotMarker(
                index, marker_term, decoded, configuration_index, size, checksum
            )
        _check_numbers(term, commit, truncate_from)
        if type(regressed) is not bool or not (voted_for is None or type(voted_for) is str):
            raise ValueError("not a hard state")
        state = HardState(term, voted_for, commit, regressed)
        return Body(state, marker, truncate_from, unpack_entries(columns))
    except TypeError as error:
        raise ValueError(f"not the body of a record: {error}") from None


def _check_numbers(*numbers: object) -> None:
    """Raise ValueError unless all are whole numbers from 0 on."""
    for number in numbers:
        if type(number) is not int or not 0 <= number <= INDEX_MAX:
            raise ValueError(f"not a number of the log: {number!r}")


def split_entries(entries: Entries, limit: int = SPLIT_BYTES) -> Iterable[Entries]:
    """Yield entries in parts of about `limit` payload bytes, at least one entry each.

    To have written only the first of them is as if the rest had not been asked for yet.
    """
    if entries.size <= limit:
        yield entries
        return
    first, size = entries.first_index, 0
    for index, payload in enumerate(entries.payloads, start=entries.first_index):
        if size and size + len(payload) > limit:
            yield entries.between(first, index - 1)
            first, size = index, 0
        size += len(payload)
    yield entries.between(first, entries.last_index)
