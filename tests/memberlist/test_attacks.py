"""What strangers and hasty callers may try: nothing raises, grows without bound or takes long.

Each test is an attack that once worked.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from memberlist import (
    CloseStream,
    Config,
    Memberlist,
    MemberlistLeft,
    MergeRefused,
    Node,
    PacketRejected,
    PingFailed,
    StreamRejected,
)
from memberlist.codec import encode_compressed, encode_node_state, encode_ping
from memberlist.dialect import encode_raw, encode_uint
from memberlist.node import ALIVE
from memberlist.packet import encode_compound
from tests.memberlist.vocabulary import (
    VERSIONS,
    Sent,
    ack,
    address,
    alive,
    deliver,
    drain,
    encode,
    hears,
    left,
    machine,
    node,
    of,
    ping,
    sent,
    suspect,
)
from tests.memberlist.wire import accepts, push_pull, tells


def entries(count: int, body: bytes) -> bytes:
    """Return a push/pull of `count` entries that are `body` together."""
    head = b"\x06\x83\xa4Join\xc2\xa5Nodes" + encode_uint(count) + b"\xacUserStateLen\x00"
    return head + body


def cpu_seconds(action: Callable[[], object]) -> float:
    """Return the processor time that an action takes, at the best of three tries."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        action()
        times.append(time.process_time() - begun)
    return min(times)


# --- bytes of peers never raise --------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 900, 1000, 1020])
def test_a_state_nested_deeper_than_python_prints_is_refused_like_any_other(depth: int) -> None:
    a = machine("a")
    stream = accepts(a, now=1.0)
    entry = b"\x83\xa4Addr\xa4\x0a\0\0\x02\xa4Name\xa1x\xa5State" + b"\x91" * depth + b"\x00"

    a.stream_received(stream, entries(1, entry), 1.0)

    assert of(PacketRejected, drain(a)) == [
        PacketRejected(
            address("b"), "bad-state", "1 entries of a push/pull that describe no member"
        )
    ]


# --- memory ----------------------------------------------------------------------------------


def kept_of_one(make: Callable[[int], bytes], *, knows: list[str | Node]) -> float:
    """Return how many bytes a member keeps of each of fifty packets."""
    a = machine("a", knows=knows)
    packets = [make(number) for number in range(50)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for packet in packets:
        a.receive_datagram(packet, address("b"), 1.0)
        drain(a)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return kept / len(packets)


def test_pings_of_strangers_with_huge_names_are_not_remembered() -> None:
    kept = kept_of_one(
        lambda number: encode_ping(1, "a", address("b"), f"{number}" + "x" * 60_000), knows=[]
    )

    assert kept < 2_000


def test_an_accuser_with_a_huge_name_is_not_heard() -> None:
    names = [f"n{number}" for number in range(50)]
    kept = kept_of_one(
        lambda number: encode(suspect(names[number], by=f"{number}" + "x" * 60_000)),
        knows=[node(name) for name in names],
    )

    assert kept < 4_000


@pytest.mark.parametrize(("size", "heard"), [(512, True), (513, False)])
def test_accusers_names_are_as_long_as_members(size: int, heard: bool) -> None:
    a = machine("a", knows="bc")

    hears(a, suspect("c", by="x" * size), now=1.0)

    assert ("c" in a.dump()["suspicions"]) == heard
    assert a.stats.rejected == ({} if heard else {"bad-name": 1})


# --- time ------------------------------------------------------------------------------------


def test_entries_that_describe_nobody_are_tolerated_up_to_a_number() -> None:
    a = machine("a")
    few, many = accepts(a, now=1.0), accepts(a, now=1.0)

    a.stream_received(few, entries(1024, b"\x80" * 1024), 1.0)
    a.stream_received(many, entries(1 << 20, b"\x80" * 1025), 1.0)

    assert of(StreamRejected, drain(a)) == [
        StreamRejected(
            many,
            address("b"),
            "too-many-refused",
            "too-many-refused: the last as bad-name: a name of 0 bytes",
        )
    ]


def test_a_small_stream_of_a_million_empty_members_costs_little() -> None:
    data = encode_compressed(entries(1 << 20, b"\x80" * (1 << 20)))
    a = machine("a")

    spent = cpu_seconds(lambda: a.stream_received(accepts(a, now=1.0), data, 1.0))

    assert len(data) < 4_000
    assert spent < 0.3


def test_a_small_packet_expands_to_no_more_than_the_largest_one() -> None:
    clears = b"\x00\x01\x02\x04\x08\x10\x20\x40\x80" * 28_000  # LZW's clear code and nothing else
    bomb = encode_compressed(b"\x09\x82\xa4Algo\x00\xa3Buf" + encode_raw(clears))
    a = machine("a")

    a.receive_datagram(bomb, address("b"), 1.0)

    assert len(bomb) < 4_000
    assert a.stats.rejected == {"too-large": 1}


@pytest.mark.parametrize("kind", ["direct", "indirect"])
def test_one_packet_of_pings_is_not_answered_by_a_flood(kind: str) -> None:
    a = machine("a", knows="bc")
    indirect = b"\x01\x83\xa4Node\xa1c\xa5SeqNo\x01\xa6Target\xa4\x0a\0\0\x03"
    asked = encode(ping(1)) if kind == "direct" else indirect

    a.receive_datagram(encode_compound([asked] * 100), address("b"), 1.0)

    outputs = drain(a)
    assert len(of(Sent, outputs)) == 16
    assert a.stats.rejected == {"too-many-pings": 84}
    assert hears(a, ping(2), alive("c", 1), now=1.0) == [sent("b", ack(2))]


def test_a_member_that_is_corrected_again_and_again_gets_no_news_with_it() -> None:
    a = machine("a", knows="b")
    a.broadcast(b"x" * 1000, 1.0)

    outputs = hears(a, *[alive("b", 0, meta=bytes([n])) for n in range(50)], now=1.0)

    assert outputs == [sent("b", node("b"))] * 50


# --- one input, one result -------------------------------------------------------------------


def test_a_ping_means_the_same_whatever_was_heard_before() -> None:
    named, nameless = ping(1), encode_ping(1, "a", address("b"), "")
    head = nameless[: nameless.index(b"SeqNo") + 5]
    mixed = head + encode(named)[encode(named).index(b"SeqNo") + 5 :]
    a = machine("a")

    a.receive_datagram(mixed, address("y"), 1.0)
    cold = drain(a)
    for usual in (encode(named), nameless):
        a.receive_datagram(usual, address("b"), 1.0)
    drain(a)
    a.receive_datagram(mixed, address("y"), 1.0)

    assert cold == drain(a) == [sent("y", ack(1))]


@pytest.mark.parametrize("piece", [100, 1 << 20])
def test_an_entry_is_too_large_however_its_stream_is_cut(piece: int) -> None:
    huge = encode_node_state(node("b", meta=b"x" * 70_000))
    data = entries(2, huge + encode_node_state(node("c")))
    a = machine("a")
    stream = accepts(a, now=1.0)

    for start in range(0, len(data), piece):
        a.stream_received(stream, data[start : start + piece], 1.0)

    assert [rejected.reason for rejected in of(StreamRejected, drain(a))] == ["too-large"]
    assert a.members == (a.node,)


def test_of_several_versions_that_do_not_fit_the_first_is_told() -> None:
    misfits = [node(f"n{n}", versions=bytes([1, 5, n, 0, 0, 0])) for n in range(200, 9, -1)]
    a = machine("a")

    tells(a, accepts(a, now=1.0), push_pull(*misfits), now=1.0)

    (refused,) = of(MergeRefused, drain(a))
    assert refused.reason.startswith("protocol version 200 of a member")


# --- callers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [1.7e18, 1.7e12, 1e300, 10**400, -1e300])
def test_a_time_in_another_unit_is_refused_before_it_stops_all_timers(now: float) -> None:
    with pytest.raises(ValueError, match="time must be finite, and within 1e\\+12 seconds"):
        Memberlist("a", address("a"), Config.lan(), rng=Random(1), now=now)


@pytest.mark.parametrize("now", [9e11, 1e9, 0, -1e12])
def test_at_every_time_that_is_taken_each_wake_up_leads_further(now: float) -> None:
    a = machine("a", knows="b", now=now, probe_interval=0.002, probe_timeout=0.001)
    a.broadcast(b"hello", now)

    for _ in range(20):
        due = a.next_timeout()
        assert due is not None
        a.handle_timeout(due)
        later = a.next_timeout()
        assert later is not None
        assert later > due


def test_a_time_that_no_float_can_be_added_to_is_refused_before_anything_changes() -> None:
    class Exact(int):
        pass

    a = machine("a", knows="b")
    before = a.dump()

    with pytest.raises(TypeError, match="time is a number of seconds, not Decimal"):
        a.handle_timeout(Decimal(5))  # type: ignore[arg-type]
    assert a.dump() == before

    a.handle_timeout(Exact(5))
    assert a.dump()["now"] == 5


@pytest.mark.parametrize("field", ["gossip_interval", "push_pull_interval", "heal_interval"])
def test_a_period_is_at_least_a_millisecond_or_none(field: str) -> None:
    for period in (1e-300, 0.0009, -1.0):
        with pytest.raises(ValueError, match=field):
            Config.lan(**{field: period})
    with pytest.raises(TypeError, match=field):
        Config.lan(**{field: False})

    assert getattr(Config.lan(**{field: 0}), field) == 0


def test_early_is_free_while_leaving_too() -> None:
    a = machine("a", knows="b", retransmit_mult=1, probe_interval=100.0)
    a.leave(1.0, timeout=5.0)
    a.handle_timeout(2.0)
    hears(a, left("b"), now=3.0)
    a.handle_timeout(3.0)
    assert drain(a) == []

    hears(a, ping(1, by="z"), source="z", now=4.0)

    assert a.next_timeout() == 4.0, "it was told to somebody: over as soon as it wakes"
    a.handle_timeout(4.0)
    assert drain(a) == [MemberlistLeft(told=True)]


def test_a_ping_that_a_leave_overtakes_fails() -> None:
    a = machine("a", knows="b", probe_interval=100.0)
    number = a.ping("b", 1.0)
    deliver(a, alive("b", 2, at=address("x")), source="x", now=1.0)  # and one to check a claim
    a.leave(1.0, timeout=0.1)
    drain(a)

    a.handle_timeout(1.1)

    assert drain(a) == [PingFailed(number, "b"), MemberlistLeft(told=False)]


def test_a_member_of_an_earlier_life_has_its_address_as_peers_tell_it() -> None:
    mapped, v6 = ("::ffff:10.0.0.2", 7946), ("2001:DB8::0001", 7946)

    a = machine("a", knows=[node("b", at=mapped), node("c", at=v6), node("d")])

    assert [member.address for member in a.members if member is not a.node] == [
        ("10.0.0.2", 7946),
        ("2001:db8::1", 7946),
        address("d"),
    ]


def known(**changes: Any) -> Node:
    fields: dict[str, Any] = {
        "name": "b",
        "address": address("b"),
        "meta": b"",
        "versions": VERSIONS,
        "incarnation": 1,
        "state": ALIVE,
    }
    return Node(**(fields | changes))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("b", TypeError),
        (known(name=5), TypeError),
        (known(name=""), ValueError),
        (known(name="é" * 257), ValueError),
        (known(address=("10.0.0.2", 0)), ValueError),
        (known(meta="text"), TypeError),
        (known(meta=bytes(513)), ValueError),
        (known(versions="text"), TypeError),
        (known(versions=b"abc"), ValueError),
        (known(incarnation=-1), ValueError),
        (known(incarnation=1 << 32), ValueError),
        (known(incarnation=1.0), TypeError),
    ],
)
def test_an_earlier_life_holds_only_members_that_peers_could_have_told_of(
    bad: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Memberlist(
            "a",
            address("a"),
            Config.lan(),
            rng=Random(1),
            now=0.0,
            known=[bad],
        )


def test_a_member_of_an_earlier_life_may_have_the_longest_name_or_one_that_is_no_text() -> None:
    longest, odd = known(name="x" * 512, meta=bytes(512), versions=b""), known(name="\udcff")

    a = machine("a", knows=[longest, odd])

    assert a.nodes[:2] == (longest, odd)


def test_a_member_that_was_pushed_to_the_highest_incarnation_can_start_again() -> None:
    a = machine("a", knows="b")
    hears(a, suspect("a", (1 << 32) - 2, by="x"), now=1.0)

    again = machine("a", knows="b", options={"incarnation": a.incarnation})

    assert again.incarnation == a.incarnation == (1 << 32) - 1


def test_streams_that_are_opened_and_left_are_closed() -> None:
    a = machine("a", streams_max=4)
    numbers = [accepts(a, now=1.0) for _ in range(1000)]

    over = [output.stream for output in of(CloseStream, drain(a))]

    assert over == numbers[4:]
    a.check_invariants()
