"""Records: what is written is read, and what is not a record is not taken for one."""

from __future__ import annotations

from zlib import crc32

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.entries import Entries
from raft.membership.configuration import Configuration
from raft.packing import pack_entries
from raft.stored import HardState, Snapshot
from raft.wal.records import (
    HEADER_BYTES,
    PREAMBLE_BYTES,
    RECORD_MAGIC,
    Body,
    Header,
    RecordKind,
    SnapshotMarker,
    decode_body,
    decode_header,
    decode_preamble,
    encode_body,
    encode_preamble,
    encode_record,
    is_body,
    segment_seed,
    split_entries,
)
from tests.raft.test_packing import SAMPLE

LOG = bytes(range(16))

SNAPSHOT = Snapshot(6, 2, Configuration(("n1",)), 3, b"state")


# --- preambles


def test_a_preamble_tells_version_log_and_segment() -> None:
    preamble = encode_preamble(LOG, 7)

    assert len(preamble) == PREAMBLE_BYTES
    assert decode_preamble(preamble) == (1, LOG, 7)


@pytest.mark.parametrize("position", range(PREAMBLE_BYTES))
def test_a_damaged_preamble_is_none(position: int) -> None:
    damaged = bytearray(encode_preamble(LOG, 7))
    damaged[position] ^= 1

    assert decode_preamble(bytes(damaged)) is None


# --- records


@given(st.sampled_from(RecordKind), st.binary(), st.integers(1, 2**60), st.integers(0, 2**60))
def test_a_record_survives(kind: RecordKind, body: bytes, number: int, durable: int) -> None:
    seed = segment_seed(LOG, 3) + 2**31

    record = encode_record(kind, body, number, durable, seed)
    header = decode_header(record, seed)

    assert header == Header(kind, len(body), number, durable, crc32(body, seed & 0xFFFFFFFF))
    assert is_body(header, record[HEADER_BYTES:], seed)


@pytest.mark.parametrize("position", range(HEADER_BYTES))
def test_a_damaged_head_is_none(position: int) -> None:
    damaged = bytearray(encode_record(RecordKind.PERSIST, b"body", 1, 0, 5))
    damaged[position] ^= 0x80

    assert decode_header(bytes(damaged), 5) is None


def test_a_damaged_body_is_not_that_of_the_record() -> None:
    header = decode_header(encode_record(RecordKind.PERSIST, b"body", 1, 0, 5), 5)

    assert header is not None
    assert not is_body(header, b"bodx", 5)


def test_a_record_of_another_log_segment_or_place_is_none() -> None:
    seed = segment_seed(LOG, 3) + 100
    record = encode_record(RecordKind.PERSIST, b"body", 1, 0, seed)

    for other in (segment_seed(bytes(16), 3) + 100, segment_seed(LOG, 4) + 100, seed + 1):
        assert decode_header(record, other) is None


def test_a_kind_that_this_version_does_not_know_is_none() -> None:
    record = encode_record(4, b"", 1, 0, 5)  # type: ignore[arg-type] # of a later version

    assert record.startswith(RECORD_MAGIC)
    assert decode_header(record, 5) is None


# --- bodies


@pytest.mark.parametrize(
    "body",
    [
        Body(HardState()),
        Body(HardState(3, "n2", 7, regressed=True)),
        Body(HardState(3), SnapshotMarker.of(SNAPSHOT)),
        Body(HardState(5), None, 4, SAMPLE),
    ],
)
def test_a_body_survives(body: Body) -> None:
    assert decode_body(encode_body(body)) == body


NO_COLUMNS = pack_entries(Entries(1, (), ()))


@pytest.mark.parametrize(
    "elements",
    [
        None,
        7,
        [],
        [0, None, 0, False, None, 0],
        [-1, None, 0, False, None, 0, *NO_COLUMNS],
        [True, None, 0, False, None, 0, *NO_COLUMNS],
        [0, b"n1", 0, False, None, 0, *NO_COLUMNS],
        [0, None, 0.5, False, None, 0, *NO_COLUMNS],
        [0, None, 0, 0, None, 0, *NO_COLUMNS],
        [0, None, 0, False, 7, 0, *NO_COLUMNS],
        [0, None, 0, False, [1, 1, b"", 1, 1, 1], 0, *NO_COLUMNS],
        [0, None, 0, False, [1, 1, Configuration().encode(), 1, -1, 1], 0, *NO_COLUMNS],
        [0, None, 0, False, [1, 1, 7, 1, 1, 1], 0, *NO_COLUMNS],
        [0, None, 0, False, [1, 1], 0, *NO_COLUMNS],
        [0, None, 0, False, None, -1, *NO_COLUMNS],
        [0, None, 0, False, None, 0, *NO_COLUMNS, 0],
        [0, None, 0, False, None, 0, 0, *NO_COLUMNS[1:]],
    ],
)
def test_what_is_no_body_is_a_value_error(elements: object) -> None:
    with pytest.raises(ValueError, match=r"body|number|hard state|unpack|index|configuration"):
        decode_body(msgpack.packb(elements))


def test_a_checksum_that_was_made_on_the_way_is_not_made_again() -> None:
    checksum = 0
    for piece in (b"st", b"", b"ate"):
        checksum = crc32(piece, checksum)

    assert SnapshotMarker.of(SNAPSHOT, checksum) == SnapshotMarker.of(SNAPSHOT)
    assert SnapshotMarker.of(SNAPSHOT, 7).checksum == 7


def test_a_marker_knows_its_data() -> None:
    marker = SnapshotMarker.of(SNAPSHOT)

    assert (marker.size, marker.checksum) == (5, crc32(b"state"))
    assert marker.matches(b"state")
    assert marker.matches(memoryview(b"state"))
    assert not marker.matches(b"State")
    assert not marker.matches(b"state ")


# --- parts


def test_entries_below_the_limit_stay_together() -> None:
    assert list(split_entries(SAMPLE)) == [SAMPLE]
    assert list(split_entries(Entries(1, (), ()))) == [Entries(1, (), ())]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 12))
def test_large_ones_are_split_into_parts_that_follow_each_other(
    sizes: list[int], limit: int
) -> None:
    entries = Entries(5, ((5, 1),), tuple(bytes(size) for size in sizes))

    parts = list(split_entries(entries, limit))

    assert [entry for part in parts for entry in part] == list(entries)
    for part in parts:
        assert part.size <= limit or sum(1 for payload in part.payloads if payload) == 1
