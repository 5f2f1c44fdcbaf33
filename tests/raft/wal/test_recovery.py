"""Reading a log back: what every kind of ending, gap and damage comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from raft.entries import NO_ENTRIES, Entries, Entry, EntryKind
from raft.membership.configuration import Configuration
from raft.outputs import Persist
from raft.stored import HardState, Snapshot, Stored
from raft.wal.records import (
    HEADER_BYTES,
    PREAMBLE_BYTES,
    RECORD_MAGIC,
    Body,
    RecordKind,
    SnapshotMarker,
    encode_body,
    encode_preamble,
    encode_record,
    segment_seed,
)
from raft.wal.recovered import Recovered, SnapshotMissing, TornTail
from raft.wal.recovery import FIRST_SEGMENT_BYTES, Recovery, WalCorrupted, WalForeign
from raft.wal.writer import WalWriter

LOG = b"0123456789abcdef"
ONE = Configuration(("n1",))


def recover(segments: Mapping[int, bytes], *, step: int = 0) -> Recovered:
    """Return what segments say, fed whole or in pieces of `step` bytes."""
    recovery = Recovery()
    for number, content in segments.items():
        recovery.begin(number)
        size = step or len(content) or 1
        for begin in range(0, len(content), size):
            recovery.feed(content[begin : begin + size])
    return recovery.finish()


def entries(first: int, *terms: int) -> Entries:
    """Return entries from an index on, one of each term, with telling payloads."""
    return Entries.of(
        Entry(term, index, b"%d/%d" % (term, index)) for index, term in enumerate(terms, first)
    )


def persist(
    first: int = 1,
    *terms: int,
    term: int = 1,
    snapshot: Snapshot | None = None,
    truncate_from: int = 0,
) -> Persist:
    """Return a `Persist` of some entries."""
    return Persist(
        0, HardState(term), entries(first, *terms) if terms else NO_ENTRIES, snapshot, truncate_from
    )


def snapshot(index: int, term: int = 1) -> Snapshot:
    """Return a snapshot."""
    return Snapshot(index, term, ONE, 1, b"as of %d" % index)


def written(
    *groups: Iterable[Persist], recovered: Recovered | None = None, mark: bool = True
) -> tuple[int, bytes, WalWriter]:
    """Return number and content of a new segment with groups of records, each synced, and its
    writer.
    """
    writer = WalWriter(recovered or Recovery().finish(), log_id=LOG)
    content = writer.begin_segment()
    writer.synced(writer.last_number)
    for group in groups:
        for one in group:
            content += writer.append(one)
        writer.synced(writer.last_number)
        if mark:
            content += writer.mark()
    return writer.segment, content, writer


def log_of(*groups: Iterable[Persist], mark: bool = True) -> bytes:
    """Return the content of the first segment."""
    return written(*groups, mark=mark)[1]


# --- what a log says


def test_no_segments_are_a_new_log() -> None:
    recovered = recover({})

    assert recovered == Recovered(HardState(), None, NO_ENTRIES, None, None, 0, {})
    assert recovered.stored() == Stored()


@pytest.mark.parametrize("step", [0, 1, 7, 100])
def test_records_add_up_however_the_bytes_are_cut(step: int) -> None:
    log = log_of([persist(1, 1, 1, term=1)], [persist(3, 2, term=2), persist(term=3)])

    recovered = recover({1: log}, step=step)

    assert recovered.hard_state == HardState(3)
    assert recovered.entries == entries(1, 1, 1, 2)
    assert recovered.torn is None
    assert recovered.log_id == LOG
    assert recovered.segments == {1: 3}
    assert recovered.last_number == 6  # of the segment, three records, two marks


def test_entries_replace_everything_from_their_first_index_on() -> None:
    log = log_of([persist(1, 1, 1, 1), persist(2, 2), persist(3, 2, 3)])

    assert recover({1: log}).entries == entries(1, 1, 2, 2, 3)


def test_a_truncation_removes_the_tail() -> None:
    log = log_of([persist(1, 1, 1, 1), persist(truncate_from=2)])

    assert recover({1: log}).entries == entries(1, 1)


def test_a_truncation_behind_the_end_removes_nothing() -> None:
    log = log_of([persist(truncate_from=1), persist(1, 1), persist(truncate_from=2)])

    assert recover({1: log}).entries == entries(1, 1)


def test_a_truncation_comes_before_the_entries_of_the_same_record() -> None:
    log = log_of([persist(1, 1, 1, 1), persist(2, 2, truncate_from=2)])

    assert recover({1: log}).entries == entries(1, 1, 2)


def test_marks_of_entries_go_with_them() -> None:
    first = Entries.of([Entry(1, 1, b"", configuration=ONE, kind=EntryKind.CONFIGURATION)])
    second = Entries.of([Entry(2, 1, b"", kind=EntryKind.EMPTY), Entry(2, 2, b"x")])
    log = log_of([Persist(0, HardState(1), first), Persist(0, HardState(2), second)])

    assert recover({1: log}).entries == second


def test_marks_before_a_truncation_stay() -> None:
    marked = Entries.of(
        Entry(term, index, kind=EntryKind.EMPTY) for index, term in enumerate((1, 2, 3, 3), 1)
    )
    log = log_of([Persist(0, HardState(3), marked), persist(truncate_from=4)])

    assert recover({1: log}).entries == marked.between(1, 3)


# --- snapshots


def test_a_snapshot_leaves_the_entries_that_agree_with_it() -> None:
    log = log_of([persist(1, 1, 1, 1, 1), persist(snapshot=snapshot(2))])

    recovered = recover({1: log})

    assert recovered.snapshot == SnapshotMarker.of(snapshot(2))
    assert recovered.entries == entries(1, 1, 1, 1, 1)


@pytest.mark.parametrize("index", [2, 4, 5, 9])
def test_a_snapshot_that_the_log_contradicts_or_does_not_reach_replaces_it(index: int) -> None:
    log = log_of([persist(1, 1, 1, 1, 1), persist(snapshot=snapshot(index, term=2))])

    assert recover({1: log}).entries == NO_ENTRIES


def test_entries_follow_a_snapshot_in_the_same_record() -> None:
    log = log_of([persist(1, 1, 1), persist(8, 3, 3, snapshot=snapshot(7, term=2))])

    recovered = recover({1: log})

    assert recovered.entries == entries(8, 3, 3)
    assert recovered.stored(b"as of 7") == Stored(
        hard_state=HardState(1), snapshot=snapshot(7, term=2), entries=entries(8, 3, 3), applied=7
    )


def test_a_server_starts_with_some_entries_behind_the_snapshot() -> None:
    log = log_of([persist(1, *[1] * 9), persist(snapshot=snapshot(6))])
    recovered = recover({1: log})

    assert recovered.stored(b"as of 6").entries == entries(1, *[1] * 9)
    assert recovered.stored(b"as of 6", trailing=2).entries == entries(5, *[1] * 5)
    assert recovered.stored(b"as of 6", trailing=0).entries == entries(7, *[1] * 3)
    assert recovered.stored(b"as of 6", applied=8).applied == 8
    assert recovered.stored(b"as of 6", applied=3).applied == 6


def test_a_server_starts_without_entries_if_all_are_in_the_snapshot() -> None:
    recovered = recover({1: log_of([persist(1, 1, 1), persist(snapshot=snapshot(2))])})

    assert recovered.stored(b"as of 2", trailing=0).entries == NO_ENTRIES


@pytest.mark.parametrize("data", [None, b"", b"as of 3"])
def test_a_server_does_not_start_without_its_snapshot(data: bytes | None) -> None:
    recovered = recover({1: log_of([persist(1, 1, 1), persist(snapshot=snapshot(2))])})

    with pytest.raises(SnapshotMissing, match="no snapshot of 7 bytes as of index 2") as missing:
        recovered.stored(data)
    assert missing.value.marker == SnapshotMarker.of(snapshot(2))


# --- several segments


def two_segments(taken: Snapshot | None = None) -> tuple[bytes, bytes]:
    """Return two segments of one life, with three entries each; a snapshot begins the second."""
    writer = WalWriter(Recovery().finish(), log_id=LOG)
    contents = []
    for first in (1, 4):
        content = writer.begin_segment()
        writer.synced(writer.last_number)
        if taken is not None and first > 1:
            content += writer.append(persist(snapshot=taken))
        content += writer.append(persist(first, 1, 1, 1))
        writer.synced(writer.last_number)
        contents.append(content + writer.mark())
    return contents[0], contents[1]


def test_segments_follow_each_other() -> None:
    first, second = two_segments()

    recovered = recover({1: first, 2: second})

    assert recovered.entries == entries(1, 1, 1, 1, 1, 1, 1)
    assert recovered.segments == {1: 3, 2: 6}


def test_what_was_deleted_from_the_front_is_told_by_the_rest() -> None:
    _, second = two_segments(snapshot(3))

    recovered = recover({2: second})

    assert recovered.snapshot == SnapshotMarker.of(snapshot(3))
    assert recovered.entries == entries(4, 1, 1, 1)
    assert recovered.segments == {2: 6}


def test_a_segment_repeats_hard_state_and_snapshot() -> None:
    writer = written([persist(1, 1, 1, 1, term=4, snapshot=snapshot(3))])[2]

    recovered = recover({2: writer.begin_segment()})

    assert recovered.hard_state == HardState(4)
    assert recovered.snapshot == SnapshotMarker.of(snapshot(3))
    assert recovered.entries == NO_ENTRIES


def test_segments_come_in_ascending_order() -> None:
    recovery = Recovery()
    recovery.begin(2)

    with pytest.raises(ValueError, match="segment 2 after segment 2"):
        recovery.begin(2)


def test_a_missing_segment_is_corruption() -> None:
    first, second = two_segments()
    third = recover({1: first, 2: second})

    _, content, _ = written([persist(7, 1)], recovered=third)

    with pytest.raises(WalCorrupted, match="segment 3, byte 36: record 4 was durable"):
        recover({1: first, 3: content})


def test_a_log_whose_beginning_was_deleted_too_early_is_corruption() -> None:
    first, second = two_segments(snapshot(2))

    assert recover({1: first, 2: second}).entries == entries(1, *[1] * 6)
    with pytest.raises(WalCorrupted, match="nothing tells of the entries before 4"):
        recover({2: second})


def test_that_all_entries_were_deleted_too_early_is_seen_too() -> None:
    _, first, writer = written([persist(1, 1)])
    second = writer.begin_segment()

    assert recover({1: first, 2: second}).entries == entries(1, 1)
    with pytest.raises(WalCorrupted, match="nothing tells of the entries before 2"):
        recover({2: second})


def test_entries_may_replace_some_of_a_segment_that_was_deleted() -> None:
    writer = written([persist(1, 1, 1, 1, 1)])[2]
    second = writer.begin_segment()
    writer.synced(writer.last_number)
    second += writer.append(persist(5, 1, 1))
    second += writer.append(persist(3, 2, 2, 2, 2))
    second += writer.append(persist(snapshot=snapshot(4, term=2)))

    assert recover({2: second}).entries == entries(3, 2, 2, 2, 2)


def test_entries_that_leave_a_gap_are_corruption() -> None:
    log = log_of([persist(1, 1), persist(3, 1)])

    with pytest.raises(WalCorrupted, match="entry 3 does not follow"):
        recover({1: log})


# --- torn tails


def test_a_log_may_end_anywhere_behind_what_is_known_to_be_durable() -> None:
    """The last record was never reported: every part of it is a torn tail."""
    _, content, writer = written([persist(1, 1)])
    whole = content + writer.append(persist(2, 1))

    for size in range(len(content) + 1, len(whole)):
        recovered = recover({1: whole[:size]})

        assert recovered.entries == entries(1, 1)
        assert recovered.torn == TornTail(1, len(content))
    assert recover({1: content}).torn is None
    assert recover({1: whole}).entries == entries(1, 1, 1)


def test_nothing_behind_a_torn_record_is_replayed() -> None:
    """Sectors reach the disk in any order: the second record did, the first did not."""
    _, content, writer = written([persist(1, 1)])
    torn, whole = writer.append(persist(2, 1)), writer.append(persist(3, 1))

    recovered = recover({1: content + bytes(len(torn)) + whole})

    assert recovered.entries == entries(1, 1)
    assert recovered.torn == TornTail(1, len(content))


def test_a_log_goes_on_in_a_new_segment_behind_a_torn_tail() -> None:
    _, content, writer = written([persist(1, 1)])
    torn = content + writer.append(persist(2, 1))[:-1]
    number, second, _ = written([persist(2, 2)], recovered=recover({1: torn}))

    recovered = recover({1: torn, 2: second})

    assert number == 2
    assert recovered.entries == entries(1, 1, 2)
    assert recovered.torn is None


def test_a_whole_record_behind_a_torn_one_stays_void_once_the_log_went_on() -> None:
    _, content, writer = written([persist(1, 1)])
    torn, whole = writer.append(persist(2, 1)), writer.append(persist(3, 1))
    first = content + bytes(len(torn)) + whole
    _, second, _ = written([persist(2, 2)], recovered=recover({1: first}))

    assert recover({1: first, 2: second}).entries == entries(1, 1, 2)


@pytest.mark.parametrize("size", range(FIRST_SEGMENT_BYTES + 1))
def test_a_first_segment_that_was_never_durable_is_a_new_log(size: int) -> None:
    recovered = recover({1: log_of()[:size]})

    assert recovered.stored() == Stored()
    assert recovered.segments == {1: 0}
    assert (recovered.last_number == 1) == (size == FIRST_SEGMENT_BYTES)


def test_a_damaged_first_segment_is_a_new_log_only_if_nothing_was_behind_its_beginning() -> None:
    damaged = bytearray(log_of())
    damaged[-1] ^= 1

    assert recover({1: bytes(damaged)}).stored() == Stored()
    with pytest.raises(WalCorrupted, match="the beginning of the log can't be read"):
        recover({1: bytes(damaged) + b"?"})


@pytest.mark.parametrize("size", [0, 1, 40, 80])
def test_the_log_goes_on_behind_segments_that_were_never_durable(size: int) -> None:
    """Two crashes, each while a segment was made."""
    segments = {1: log_of()[:size]}
    segments[2] = written(recovered=recover(segments))[1][:size]
    number, content, _ = written([persist(1, 1)], recovered=recover(segments))

    assert number == 3
    assert recover(segments | {3: content}).entries == entries(1, 1)


def test_a_segment_that_was_never_durable_may_be_the_first_that_is_left() -> None:
    """It was made, a crash tore it, another took its place, and those before were deleted."""
    first, second = two_segments(snapshot(3))
    torn = second[:50]
    _, third, _ = written([persist(snapshot=snapshot(3))], recovered=recover({1: first, 2: torn}))

    assert recover({2: torn, 3: third}).snapshot == SnapshotMarker.of(snapshot(3))


@pytest.mark.parametrize("size", [0, 1, 40, 80])
def test_a_later_segment_that_was_never_durable_takes_nothing_away(size: int) -> None:
    _, first, writer = written([persist(1, 1)])

    recovered = recover({1: first, 2: writer.begin_segment()[:size]})

    assert recovered.entries == entries(1, 1)
    assert recovered.torn == (TornTail(2, min(size, 36) if size > 1 else 0) if size else None)


# --- corruption


def test_a_damaged_record_that_a_later_one_knows_to_be_durable_is_corruption() -> None:
    _, content, writer = written([persist(1, 1)], mark=False)
    damaged = bytearray(content)
    damaged[-1] ^= 1

    with pytest.raises(WalCorrupted, match="record 2 was durable and can't be read") as corrupted:
        recover({1: bytes(damaged) + writer.mark()})
    assert corrupted.value.segment == 1
    assert corrupted.value.position == FIRST_SEGMENT_BYTES
    assert recover({1: bytes(damaged)}).torn == TornTail(1, FIRST_SEGMENT_BYTES)


@pytest.mark.parametrize("step", [0, 1, 31, 50])
def test_no_byte_of_what_is_durable_can_change_unseen(step: int) -> None:
    log = log_of([persist(1, 1)], [persist(2, 1), persist(3, 1, term=2)])
    durable = len(log) - HEADER_BYTES  # the last mark was not synced

    for position in range(durable):
        damaged = bytearray(log)
        damaged[position] ^= 1 << position % 8

        with pytest.raises(WalCorrupted):
            recover({1: bytes(damaged)}, step=step)


def test_no_byte_of_an_earlier_segment_can_change_unseen() -> None:
    first, second = two_segments()

    for position in range(len(first) - HEADER_BYTES):
        damaged = bytearray(first)
        damaged[position] ^= 0x10

        with pytest.raises(WalCorrupted):
            recover({1: bytes(damaged), 2: second})


def test_no_byte_of_a_last_segment_can_change_unseen() -> None:
    first, second = two_segments()

    for position in range(len(second) - HEADER_BYTES):
        damaged = bytearray(second)
        damaged[position] ^= 0x10

        with pytest.raises(WalCorrupted):
            recover({1: first, 2: bytes(damaged)})
        with pytest.raises(WalCorrupted):
            recover({2: bytes(damaged)})


def test_a_log_that_was_cut_short_is_corruption_if_more_was_durable() -> None:
    first, second = two_segments()

    for size in range(len(first) - HEADER_BYTES):
        with pytest.raises(WalCorrupted):
            recover({1: first[:size], 2: second})


def test_damage_behind_the_durable_part_is_a_torn_tail() -> None:
    _, content, writer = written([persist(1, 1)])
    log = content + writer.append(persist(2, 1))

    for position in range(len(content), len(log)):
        damaged = bytearray(log)
        damaged[position] ^= 1

        assert recover({1: bytes(damaged)}).entries == entries(1, 1)


def test_a_payload_that_imitates_a_record_proves_nothing() -> None:
    """Without the log's random id a client can't make a record that says that it was durable."""
    _, content, writer = written([persist(1, 1)])
    fake = encode_record(RecordKind.MARK, b"", 99, 98, 0)
    torn = bytearray(writer.append(Persist(0, HardState(1), Entries(2, ((2, 1),), (fake * 9,)))))
    torn[HEADER_BYTES + 3] ^= 1

    assert fake in torn
    assert recover({1: content + torn}).torn == TornTail(1, len(content))


def test_a_proof_that_arrives_in_two_pieces_is_one() -> None:
    _, content, writer = written([persist(1, 1)], mark=False)
    damaged = content[:-1] + b"\1" + RECORD_MAGIC * 3 + b"more" + bytes(HEADER_BYTES)
    proof = encode_record(RecordKind.MARK, b"", 9, 2, segment_seed(LOG, 1) + len(damaged))

    for step in range(1, HEADER_BYTES + 2):
        with pytest.raises(WalCorrupted):
            recover({1: damaged + proof}, step=step)
    assert writer.last_number == 2


# --- what is not this log


def crafted(*records: tuple[RecordKind, int, bytes], segment: int = 1) -> bytes:
    """Return a segment with records of right checksums, whatever they say."""
    content = encode_preamble(LOG, segment)
    for kind, number, body in records:
        seed = segment_seed(LOG, segment) + len(content)
        content += encode_record(kind, body, number, number - 1, seed)
    return content


EMPTY = encode_body(Body(HardState()))


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([(RecordKind.PERSIST, 1, EMPTY)], "a record out of order"),
        (
            [(RecordKind.SEGMENT, 1, EMPTY), (RecordKind.SEGMENT, 2, EMPTY)],
            "a record out of order",
        ),
        ([(RecordKind.SEGMENT, 1, EMPTY), (RecordKind.MARK, 3, b"")], "a record out of order"),
        ([(RecordKind.SEGMENT, 1, EMPTY), (RecordKind.PERSIST, 2, b"?")], "not the body"),
    ],
)
def test_records_that_no_writer_writes_are_corruption(
    records: list[tuple[RecordKind, int, bytes]], reason: str
) -> None:
    with pytest.raises(WalCorrupted, match=reason):
        recover({1: crafted(*records)})


def test_a_segment_that_begins_before_the_end_of_the_last_is_corruption() -> None:
    with pytest.raises(WalCorrupted, match="a record out of order"):
        recover(
            {
                1: crafted((RecordKind.SEGMENT, 1, EMPTY), (RecordKind.MARK, 2, b"")),
                2: crafted((RecordKind.SEGMENT, 2, EMPTY), segment=2),
            }
        )


def test_a_segment_of_another_log_is_refused() -> None:
    first, _ = two_segments()
    other = WalWriter(recover({1: first}), log_id=LOG)
    content = other.begin_segment()
    foreign = encode_preamble(bytes(16), 2) + content[PREAMBLE_BYTES:]

    with pytest.raises(WalForeign, match="segment 2: of another log"):
        recover({1: first, 2: foreign})


def test_a_segment_under_another_name_is_refused() -> None:
    with pytest.raises(WalForeign, match="segment 7: called 1 by its preamble") as refused:
        recover({7: log_of()})
    assert refused.value.segment == 7


def test_a_log_of_a_later_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft.wal.records.FORMAT_VERSION", 2)
    later = log_of([persist(1, 1)])

    with pytest.raises(WalForeign, match="segment 1: of version 2, not 1"):
        recover({1: later})
