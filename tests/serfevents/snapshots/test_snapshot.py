"""A snapshot file written: what is worth a line, and when the file is compacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.records import (
    Alive,
    Clock,
    Coordinate,
    EventClock,
    Leave,
    NotAlive,
    QueryClock,
    Record,
    Recovered,
)
from serfevents.snapshots.reader import Restored, SnapshotReader
from serfevents.snapshots.snapshot import (
    BYTES_PER_MEMBER,
    FLUSH_INTERVAL,
    RETRY_INTERVAL,
    SIZE_MIN,
    Snapshot,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "snapshots.json"

N1 = Alive("n1", ("127.0.0.1", 7946))
N2 = Alive("n2", ("127.0.0.1", 7947))


def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(VECTORS.read_text())["snapshots"]
    return found


def read(file: bytes, *, rejoin_after_leave: bool = False) -> Restored:
    reader = SnapshotReader(rejoin_after_leave=rejoin_after_leave)
    reader.receive(file)
    return reader.restored()


def written(snapshot: Snapshot, *records: Record) -> bytes:
    return b"".join(map(snapshot.append, records))


def test_a_life_is_written_as_serf_writes_it() -> None:
    life: list[Record] = [N1, N2, Clock(4), EventClock(6), EventClock(6), EventClock(5)]
    life += [QueryClock(9), NotAlive("n2"), Clock(10), Alive("n6", ("2001:db8::1", 1))]
    life += [N1, NotAlive("n2"), NotAlive("n1"), Clock(20), Leave(), N1]

    assert written(Snapshot(), *life) == vectors()["write"]["file"].encode()


def test_a_file_is_compacted_when_serf_compacts_it() -> None:
    snapshot = Snapshot(size_min=1)
    file = written(snapshot, N1, Clock(7))

    # The period of compaction is twelve lines; Serf's own run ended at the same one.
    for ltime in range(13, 120):
        file += snapshot.append(EventClock(ltime))
        if snapshot.is_large:
            file = snapshot.compacted()
            snapshot.replaced()

    assert file == vectors()["compaction"]["file"].encode()
    assert snapshot.size == len(file)


def test_what_says_nothing_new_is_not_written() -> None:
    snapshot = Snapshot()
    first = written(snapshot, N1, Clock(5), EventClock(6), QueryClock(7))

    old: list[Record] = [N1, NotAlive("n2"), Clock(5), Clock(4), EventClock(6), QueryClock(0)]

    again = written(snapshot, *old, Coordinate("{}"))

    assert again == b""
    assert snapshot.size == len(first)


def test_a_member_at_another_address_is_written_again() -> None:
    snapshot = Snapshot()
    moved = Alive("n1", ("127.0.0.1", 1))

    file = written(snapshot, N1, moved)

    assert read(file).recovered.alive == (moved,)


def test_after_a_leave_only_our_own_clock_is_written_until_we_resume() -> None:
    snapshot = Snapshot()
    written(snapshot, N1, Clock(1), Leave())

    after = written(snapshot, Leave(), N2, NotAlive("n1"), EventClock(9), QueryClock(9), Clock(2))
    snapshot.resume()
    resumed = written(snapshot, N2, EventClock(9), Leave())

    assert after == b"clock: 2\n"
    assert resumed == b"alive: n2 127.0.0.1:7947\nevent-clock: 9\nleave\n"


def test_a_leave_voids_the_members_in_a_compacted_file_too_but_no_clock() -> None:
    snapshot = Snapshot()
    written(snapshot, N1, Clock(3), EventClock(4), Leave(), Clock(5))

    file = snapshot.compacted()

    assert file == b"leave\nclock: 5\nevent-clock: 4\nquery-clock: 0\n"
    assert read(file).left


def test_who_rejoins_after_a_leave_keeps_the_members() -> None:
    snapshot = Snapshot(rejoin_after_leave=True)
    written(snapshot, N1, Clock(3), Leave())

    file = snapshot.compacted()

    assert read(file, rejoin_after_leave=True).recovered == Recovered((N1,), 3)
    assert read(file).recovered == Recovered((), 3)


def test_a_restart_goes_on_where_the_file_ended() -> None:
    before = Snapshot()
    file = written(before, N1, N2, Clock(3), EventClock(4), QueryClock(5))
    restored = read(file + b"clock: 9")

    after = Snapshot(restored)
    more = written(after, N1, Clock(3), EventClock(4), QueryClock(5), NotAlive("n2"), Clock(4))

    assert more == b"not-alive: n2\nclock: 4\n"
    assert after.size == len(file) + len(more)
    assert read(file + more).recovered == Recovered((N1,), 4, 4, 5)


def test_a_restart_after_a_leave_records_again() -> None:
    file = written(Snapshot(), N1, Leave())

    assert Snapshot(read(file)).append(N1) != b""


@pytest.mark.parametrize(
    ("members", "size_min", "expected"),
    [
        (0, SIZE_MIN, 131_072),
        (512, SIZE_MIN, 131_072),
        (513, SIZE_MIN, 131_328),
        (1000, SIZE_MIN, 256_000),
        (3, 1, 768),
        (0, 0, 0),
    ],
)
def test_a_file_may_grow_to_the_size_that_serf_allows(
    members: int, size_min: int, expected: int
) -> None:
    alive = tuple(Alive(f"n{number}", ("127.0.0.1", 1)) for number in range(members))

    snapshot = Snapshot(Restored(Recovered(alive), end=expected), size_min=size_min)

    assert snapshot.size_max == expected
    assert not snapshot.is_large
    assert Snapshot(Restored(Recovered(alive), end=expected + 1), size_min=size_min).is_large


def test_long_names_do_not_have_the_file_compacted_at_every_line() -> None:
    snapshot = Snapshot(size_min=1)
    compactions = 0
    for number in range(100):
        snapshot.append(Alive(f"{number}" * BYTES_PER_MEMBER * 4, ("127.0.0.1", 1)))
    for ltime in range(1, 5000):
        snapshot.append(Clock(ltime))
        if snapshot.is_large:
            compactions += 1
            snapshot.replaced()

    assert compactions == 1


@pytest.mark.parametrize(
    "member",
    [Alive("n\nleave", ("127.0.0.1", 1)), Alive("n", ("nowhere", 1)), Alive("\ud800", N1.address)],
)
def test_a_member_that_can_t_be_a_line_is_dropped_and_counted(member: Alive) -> None:
    snapshot = Snapshot()

    assert written(snapshot, member, NotAlive(member.name)) == b""
    assert snapshot.unwritable == 1
    assert snapshot.compacted() == b"clock: 0\nevent-clock: 0\nquery-clock: 0\n"


@pytest.mark.parametrize("record", [Clock(2**64), EventClock(2**64), QueryClock(2**64)])
def test_a_lamport_time_beyond_64_bits_is_the_caller_s_mistake(record: Record) -> None:
    snapshot = Snapshot()

    with pytest.raises(ValueError, match="64 bits"):
        snapshot.append(record)

    assert snapshot.size == 0
    assert snapshot.append(Clock(1)) == b"clock: 1\n"


def test_intervals_are_those_of_serf() -> None:
    assert (FLUSH_INTERVAL, RETRY_INTERVAL) == (0.5, 30.0)


RECORDS = st.lists(
    st.one_of(
        st.builds(Alive, st.sampled_from(["a", "b c", "d\n", ""]), st.just(N1.address)),
        st.builds(NotAlive, st.sampled_from(["a", "b c", "d\n", ""])),
        st.builds(Clock, st.integers(0, 9)),
        st.builds(EventClock, st.integers(0, 9)),
        st.builds(QueryClock, st.integers(0, 9)),
        st.builds(Leave),
    ),
    max_size=30,
)


@given(RECORDS, st.booleans(), st.sampled_from([0, 60, 10_000]))
def test_what_was_written_is_what_is_read(
    records: list[Record], rejoin: bool, size_min: int
) -> None:
    snapshot = Snapshot(size_min=size_min, rejoin_after_leave=rejoin)
    file = b""
    for record in records:
        file += snapshot.append(record)
        if snapshot.is_large:
            file = snapshot.compacted()
            snapshot.replaced()

    restored = read(file, rejoin_after_leave=rejoin)
    compacted = read(snapshot.compacted(), rejoin_after_leave=rejoin)

    assert snapshot.size == len(file)
    assert restored.damages == compacted.damages == ()
    assert restored.recovered.alive == compacted.recovered.alive
    assert restored.left == compacted.left
    if rejoin or Leave() not in records:
        assert restored.recovered == compacted.recovered
