"""A snapshot file read in pieces: Serf's files as Serf reads them, torn and damaged ones too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.records import Alive, Recovered
from serfevents.snapshots.lines import LINE_MAX
from serfevents.snapshots.reader import (
    DAMAGES_MAX,
    EXCERPT_MAX,
    MEMBERS_MAX,
    Damage,
    Restored,
    SnapshotReader,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "snapshots.json"

# What a serf agent of Debian (0.9.4) wrote: it started, a second member came, an event and a query
# were sent, and the second one left; then the second one's own file.
FIRST_AGENT = b"""\
alive: one 127.0.0.1:28101
alive: two 127.0.0.1:28102
clock: 1
event-clock: 1
query-clock: 1
clock: 2
not-alive: two
"""
SECOND_AGENT = b"""\
alive: two 127.0.0.1:28102
alive: one 127.0.0.1:28101
clock: 1
event-clock: 1
query-clock: 1
leave
clock: 2
"""
ONE = Alive("one", ("127.0.0.1", 28101))
TWO = Alive("two", ("127.0.0.1", 28102))


def read(*pieces: bytes, rejoin_after_leave: bool = False) -> Restored:
    reader = SnapshotReader(rejoin_after_leave=rejoin_after_leave)
    for piece in pieces:
        reader.receive(piece)
    return reader.restored()


def replay_vectors() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(VECTORS.read_text())["snapshots"]["replay"]
    return cases


@pytest.mark.parametrize("case", replay_vectors(), ids=lambda case: repr(case["file"][:30]))
def test_a_file_adds_up_to_what_serf_makes_of_it(case: dict[str, Any]) -> None:
    restored = read(case["file"].encode(), rejoin_after_leave=case["rejoin_after_leave"])

    addresses = {
        each.name: ("[{}]:{}" if ":" in each.address[0] else "{}:{}").format(*each.address)
        for each in restored.recovered.alive
    }
    # Serf keeps an address that nothing can join; here it is a damaged line.
    expected = {name: text for name, text in case["alive"].items() if not text.endswith("\r")}
    assert addresses == expected
    assert restored.recovered.clock == case["clock"]
    assert restored.recovered.event_clock == case["event_clock"]
    assert restored.recovered.query_clock == case["query_clock"]


def test_the_file_of_a_running_agent_is_read() -> None:
    restored = read(FIRST_AGENT)

    assert restored == Restored(Recovered((ONE,), 2, 1, 1), lines=7, end=117, size=117)


def test_the_file_of_an_agent_that_left_has_only_what_came_after() -> None:
    assert read(SECOND_AGENT) == Restored(
        Recovered((), 2, 0, 0), left=True, lines=7, end=108, size=108
    )


def test_a_leave_counts_unless_one_asks_otherwise() -> None:
    reader = SnapshotReader()
    reader.receive(SECOND_AGENT)

    assert reader.restored() == read(SECOND_AGENT)


def test_a_leave_is_overlooked_by_who_rejoins() -> None:
    restored = read(SECOND_AGENT, rejoin_after_leave=True)

    assert restored.recovered == Recovered((TWO, ONE), 2, 1, 1)
    assert restored.left


def test_who_is_seen_alive_after_a_leave_ends_it() -> None:
    restored = read(SECOND_AGENT + b"alive: one 127.0.0.1:28101\n")

    assert restored.recovered == Recovered((ONE,), 2, 0, 0)
    assert not restored.left


def test_members_are_in_the_order_in_which_they_were_first_written() -> None:
    restored = read(FIRST_AGENT + b"alive: two 127.0.0.1:28102\nalive: one 127.0.0.1:9\n")

    assert restored.recovered.alive == (Alive("one", ("127.0.0.1", 9)), TWO)


def test_nothing_read_is_nothing_restored() -> None:
    assert read() == read(b"") == Restored()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_of_any_size_add_up_to_the_same(size: int) -> None:
    file = FIRST_AGENT + b"damaged\n" + SECOND_AGENT + b"torn"

    assert read(*(file[at : at + size] for at in range(0, len(file), size))) == read(file)


@pytest.mark.parametrize("cut", range(len(FIRST_AGENT)))
def test_a_torn_file_is_good_up_to_its_last_line(cut: int) -> None:
    torn = FIRST_AGENT[:cut]
    whole = torn[: torn.rfind(b"\n") + 1]

    restored = read(torn)

    assert restored.recovered == read(whole).recovered
    assert (restored.end, restored.size) == (len(whole), cut)
    expected = [Damage(whole.count(b"\n") + 1, len(whole), "torn", torn[len(whole) :])]
    assert list(restored.damages) == (expected if len(whole) < cut else [])
    assert restored.damage_count == len(restored.damages)


def test_a_tail_of_zeros_as_file_systems_leave_it_is_torn() -> None:
    restored = read(FIRST_AGENT + bytes(100_000))

    assert restored.recovered == read(FIRST_AGENT).recovered
    assert restored.end == len(FIRST_AGENT)
    assert restored.damages == (Damage(8, 117, "torn", bytes(EXCERPT_MAX)),)


def test_damaged_lines_are_skipped_and_told() -> None:
    restored = read(
        b"alive: one 127.0.0.1:28101\n"
        b"clock: 5x\n"
        b"alive: two nowhere\n"
        b"\xff\x00\n"
        b"\n"
        b"# comment\n"
        b"coordinate: {}\n"
        b"clock: 7\n"
        b"eve"
    )

    assert restored.recovered == Recovered((ONE,), clock=7)
    assert restored.damages == (
        Damage(2, 27, "number", b"clock: 5x"),
        Damage(3, 37, "address", b"alive: two nowhere"),
        Damage(4, 56, "unknown", b"\xff\x00"),
        Damage(5, 59, "unknown", b""),
        Damage(9, 94, "torn", b"eve"),
    )
    assert (restored.lines, restored.end, restored.size) == (8, 94, 97)


def test_only_the_first_damages_are_told_but_all_are_counted() -> None:
    restored = read(b"x\n" * 1000 + b"torn")

    assert [each.line for each in restored.damages] == list(range(1, DAMAGES_MAX + 1))
    assert restored.damage_count == 1001
    assert len(read(b"x\n" * 1000).damages) == DAMAGES_MAX


def test_a_line_without_end_costs_no_more_than_a_line() -> None:
    reader = SnapshotReader()
    reader.receive(b"alive: one 127.0.0.1:28101\nalive: ")
    for _ in range(300):
        reader.receive(b"n" * 10_000)

    assert len(reader._held) == LINE_MAX + 1
    torn = reader.restored()
    reader.receive(b" 127.0.0.1:1\nclock: 3\n")
    ended = reader.restored()

    assert torn.damages[0].reason == "torn"
    assert torn.size == 27 + 7 + 3_000_000
    assert ended.recovered == Recovered((ONE,), clock=3)
    assert ended.damages == (Damage(2, 27, "too-long", b"alive: " + b"n" * (EXCERPT_MAX - 7)),)
    assert ended.end == ended.size == 27 + 7 + 3_000_000 + 13 + 9


def test_members_beyond_their_limit_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serfevents.snapshots.reader.MEMBERS_MAX", 2)

    restored = read(FIRST_AGENT[:54] + b"alive: three 127.0.0.1:3\nalive: two 127.0.0.1:28102\n")

    assert MEMBERS_MAX > 2
    assert restored.recovered.alive == (ONE, TWO)
    assert [(each.line, each.reason) for each in restored.damages] == [(3, "too-many-members")]


LINES = st.sampled_from(
    [
        b"alive: a 127.0.0.1:1\n",
        b"alive: b [::1]:2\n",
        b"not-alive: a\n",
        b"clock: 5\n",
        b"event-clock: 18446744073709551615\n",
        b"query-clock: 18446744073709551616\n",
        b"leave\n",
        b"# no\n",
        b"\n",
        b"alive: \xff\n",
        b"cloc",
    ]
)


@given(st.lists(LINES | st.binary(max_size=40)), st.booleans())
def test_no_content_raises_and_pieces_do_not_matter(pieces: list[bytes], rejoin: bool) -> None:
    restored = read(*pieces, rejoin_after_leave=rejoin)

    file = b"".join(pieces)
    assert restored == read(file, rejoin_after_leave=rejoin)
    assert restored.size == len(file)
    assert restored.end == file.rfind(b"\n") + 1
    assert restored.recovered == read(file[: restored.end], rejoin_after_leave=rejoin).recovered
