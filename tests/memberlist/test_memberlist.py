"""One member from outside: what it takes, what it refuses, and how it ends and begins again."""

import json
import math
import random
from typing import Any

import pytest

from memberlist import (
    BroadcastFinished,
    BroadcastOutcome,
    Config,
    Event,
    JoinFinished,
    Keyring,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    Memberlist,
    MemberlistLeft,
    MemberUpdated,
    MergeRefused,
    MessageDelivered,
    MessageReceived,
    NameConflict,
    Node,
    NodeRefused,
    NotRunning,
    OpenStream,
    PacketRejected,
    PayloadTooLarge,
    PingCompleted,
    PingFailed,
    QueueFull,
    SendDatagram,
    UnknownMember,
    UserStateReceived,
)
from memberlist.messages import Ping
from memberlist.node import ALIVE, DEAD, INCARNATION_MAX, LEFT, SUSPECT
from memberlist.packet import encode_compound
from tests.memberlist.vocabulary import (
    VERSIONS,
    Sent,
    User,
    ack,
    ack_from,
    address,
    alive,
    dead,
    deliver,
    drain,
    encode,
    hears,
    indirect_ping,
    left,
    machine,
    nack,
    news,
    next_probe,
    node,
    of,
    ping,
    run,
    sent,
    suspect,
)
from tests.memberlist.wire import Wire, accepts, push_pull, tells

IDLE: dict[str, Any] = {"probe_interval": 1e6}  # so that nothing happens by itself
KEY, NEW_KEY = bytes(16), bytes(range(32))


def make(**options: Any) -> Memberlist:
    """Return a member of default configuration, some arguments changed."""
    arguments: dict[str, Any] = {
        "name": "a",
        "address": address("a"),
        "config": Config.lan(),
        "rng": random.Random(1),
        "now": 0.0,
    }
    return Memberlist(**(arguments | options))


# --- coming to be ----------------------------------------------------------------------------


def test_a_new_member_knows_itself_and_waits_for_company() -> None:
    a = make(meta=b"role=db")

    assert a.name == "a"
    assert a.config == Config.lan()
    assert a.node == Node("a", address("a"), b"role=db", VERSIONS, 1, ALIVE)
    assert a.members == a.nodes == (a.node,)
    assert a.member("a") is a.node
    assert a.member("b") is None
    assert (a.incarnation, a.health, a.is_leaving, a.is_over) == (1, 0, False, False)
    assert a.poll() is None


def test_a_new_life_begins_above_the_incarnations_of_the_last() -> None:
    assert make(incarnation=41).incarnation == 42
    assert make(incarnation=INCARNATION_MAX - 1).incarnation == INCARNATION_MAX


def test_known_members_are_taken_for_alive_and_the_others_of_a_snapshot_are_not() -> None:
    snapshot = [node("b"), node("c", 3, DEAD), node("d", 3, LEFT), node("e", 2, SUSPECT), node("a")]

    a = make(known=snapshot, incarnation=6)

    assert [member.name for member in a.nodes] == ["b", "a"]
    assert a.incarnation == 7
    assert a.poll() is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": ""}, ValueError),
        ({"name": "a" * 513}, ValueError),
        ({"name": b"a"}, TypeError),
        ({"address": ("0.0.0.0", 7946)}, ValueError),
        ({"address": ("host.example", 7946)}, ValueError),
        ({"address": ("10.0.0.1", 0)}, ValueError),
        ({"incarnation": -1}, ValueError),
        ({"incarnation": INCARNATION_MAX + 1}, ValueError),
        ({"meta": bytes(513)}, PayloadTooLarge),
        ({"meta": "text"}, TypeError),
        ({"meta": bytes(512), "config": Config.lan(datagram_size=512)}, PayloadTooLarge),
        ({"now": math.nan}, ValueError),
        ({"now": math.inf}, ValueError),
    ],
)
def test_a_member_that_could_not_live_is_not_made(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make(**options)


def test_metadata_that_no_packet_holds_is_refused_with_what_would_fit() -> None:
    with pytest.raises(PayloadTooLarge) as refusal:
        make(meta=bytes(512), config=Config.lan(datagram_size=512))

    fitting = refusal.value.limit
    assert 300 < fitting < 512
    with pytest.raises(PayloadTooLarge):
        make(meta=bytes(fitting + 1), config=Config.lan(datagram_size=512))
    assert make(meta=bytes(fitting), config=Config.lan(datagram_size=512)).node.meta == bytes(
        fitting
    )


# --- packets ---------------------------------------------------------------------------------


def test_three_pings_in_a_packet_are_answered_three_times() -> None:
    a = machine("a")

    outputs = hears(a, ping(1), ping(2), ping(3), now=0.0)

    assert outputs == [sent("b", ack(1)), sent("b", ack(2)), sent("b", ack(3))]


def test_one_packet_cannot_ask_for_an_answer_to_each_of_its_many_pings() -> None:
    a = machine("a")

    outputs = hears(a, *(ping(number) for number in range(20)), now=0.0)

    assert outputs[:16] == [sent("b", ack(number)) for number in range(16)]
    assert (
        outputs[16:]
        == [PacketRejected(address("b"), "too-many-pings", "more than 16 in one packet")] * 4
    )
    assert hears(a, ping(99), ping(100), now=0.0) == [sent("b", ack(99)), sent("b", ack(100))]


def test_a_ping_for_another_name_is_not_answered() -> None:
    assert hears(machine("a"), ping(1, to="z"), now=0.0) == [
        PacketRejected(address("b"), "wrong-node", "z")
    ]


def test_a_ping_for_anybody_is_answered_where_it_came_from() -> None:
    a = machine("a")

    deliver(a, Ping(5, ""), source=("192.0.2.7", 1234), now=0.0)

    assert drain(a) == [sent(("192.0.2.7", 1234), ack(5))]


def test_a_payload_of_the_application_is_handed_on() -> None:
    assert hears(machine("a"), User(b"hello"), User(b""), now=0.0) == [
        MessageReceived(address("b"), b"hello", reliable=False),
        MessageReceived(address("b"), b"", reliable=False),
    ]


def test_acks_and_nacks_that_nobody_waits_for_are_ignored() -> None:
    assert hears(machine("a"), ack(1), nack(2), now=0.0) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x0d\x81\xa5Error\xa1x", "unknown-type"),
        (b"\x06", "unknown-type"),
        (bytes([200]), "unknown-type"),
        (b"\x00", "malformed"),
        (b"\x04\x80", "bad-name"),
        (b"\x07", "truncated"),
        (b"\x09\xff", "malformed"),
        (b"\x0c\0\0\0\0\x08x", "crc"),
        (b"\xf4\x03dc1\x08x", "label"),
    ],
)
def test_a_packet_that_is_none_is_rejected_with_its_reason(data: bytes, reason: str) -> None:
    a = machine("a")

    a.receive_datagram(data, address("b"), 1.0)

    (rejected,) = drain(a)
    assert isinstance(rejected, PacketRejected)
    assert (rejected.source, rejected.reason) == (address("b"), reason)
    assert a.stats.rejected == {reason: 1}


def test_a_bad_part_does_not_harm_the_others() -> None:
    a = machine("a")
    parts = [encode(ping(1)), b"\xc8", b"\x04\x80", encode(ping(2))]

    a.receive_datagram(encode_compound(parts) + b"", address("b"), 1.0)

    assert drain(a) == [
        sent("b", ack(1)),
        PacketRejected(address("b"), "unknown-type", "200"),
        PacketRejected(address("b"), "bad-name", "bad-name: a name of 0 bytes"),
        sent("b", ack(2)),
    ]


def test_the_complete_parts_of_a_packet_that_was_cut_off_count() -> None:
    a = machine("a")
    data = encode(ping(1), ping(2), ping(3))

    a.receive_datagram(data[:-1], address("b"), 1.0)

    assert drain(a) == [
        PacketRejected(address("b"), "truncated", "1 parts of a compound are cut off"),
        sent("b", ack(1)),
        sent("b", ack(2)),
    ]


@pytest.mark.parametrize("data", [bytearray(b"\x08x"), memoryview(b"\x08x"), "\x08x", None])
def test_only_bytes_are_taken(data: Any) -> None:
    a = machine("a")

    with pytest.raises(TypeError, match="a packet is bytes"):
        a.receive_datagram(data, address("b"), 1.0)
    with pytest.raises(TypeError, match="stream data is bytes"):
        a.stream_received(1, data, 1.0)
    assert a.dump() == machine("a").dump()


# --- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [5.0, -math.inf, math.nan])
def test_a_time_that_is_none_or_lies_behind_counts_as_the_newest_seen(now: float) -> None:
    a = machine("a", knows="b")
    a.handle_timeout(9.0)
    drain(a)

    a.receive_datagram(encode(ping(1)), address("b"), now)
    a.ping("b", now)
    a.handle_timeout(now)

    assert a.dump()["now"] == 9.0
    a.check_invariants()


def test_time_without_end_is_refused_everywhere_before_anything_changes() -> None:
    a = machine("a", knows="b")
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("handle_timeout", ()),
        ("receive_datagram", (encode(ping(1)), address("b"))),
        ("stream_accepted", (address("b"),)),
        ("stream_opened", (2,)),
        ("stream_received", (2, b"x")),
        ("stream_closed", (2,)),
        ("join", ([address("b")],)),
        ("leave", ()),
        ("update_meta", (b"x",)),
        ("update_ping_payload", (b"x",)),
        ("broadcast", (b"x",)),
        ("message", ("b", b"x")),
        ("ping", ("b",)),
    ]

    for method, args in calls:
        with pytest.raises(ValueError, match="time must be finite"):
            getattr(a, method)(*args, math.inf)

    assert a.dump() == machine("a", knows="b").dump()
    assert drain(a) == []


def test_an_early_timeout_does_nothing() -> None:
    a = machine("a", knows="b")
    due = a.next_timeout()
    assert due is not None

    a.handle_timeout(math.nextafter(due, 0.0))

    assert (drain(a), a.next_timeout()) == ([], due)


def test_a_sleep_of_an_hour_blames_nobody_and_fires_each_timer_once() -> None:
    names = "bcdefgh"
    a = machine("a", knows=names, gossip_interval=0.2, push_pull_interval=30.0, heal_interval=60.0)
    members = a.members
    asleep = next_probe(a).at  # A ping is under way when it falls asleep.
    a.broadcast(b"before", asleep)
    awake = asleep + 3600.0

    a.handle_timeout(awake)
    outputs = drain(a)

    # One round of gossip, one of helpers asked, one push/pull.
    assert [len(of(kind, outputs)) for kind in (Sent, OpenStream)] == [6, 1]
    assert of(Event, outputs) == [BroadcastFinished(1, BroadcastOutcome.SENT, 4)]
    assert a.members == members
    due = a.next_timeout()
    assert due is not None
    assert due > awake


# --- joining ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [[], [("10.0.0.2", 0)], [("", 7946)], ["10.0.0.2:7946"], [()]])
def test_a_join_needs_seeds_that_are_addresses(seeds: Any) -> None:
    a = machine("a", **IDLE)
    before = a.dump()

    with pytest.raises(ValueError, match=r"."):
        a.join(seeds, 1.0)

    assert a.dump() == before
    assert drain(a) == []


# --- leaving and coming back -----------------------------------------------------------------


def test_a_leave_alone_is_over_at_once() -> None:
    a = machine("a")

    a.leave(1.0)

    assert drain(a) == [MemberlistLeft(told=True)]
    assert (a.is_leaving, a.is_over, a.next_timeout()) == (True, True, None)
    assert a.members == ()
    assert a.node.state is LEFT


def test_a_leave_is_told_in_our_own_name_and_ends_when_it_was() -> None:
    a = machine("a", knows="b", retransmit_mult=2, **IDLE)

    a.leave(1.0)

    assert (a.is_leaving, a.is_over) == (True, False)
    assert news(a, 1.0) == (left("a"),)
    assert news(a, 1.0) == (left("a"),)
    a.handle_timeout(1.0)
    assert drain(a) == [MemberlistLeft(told=True)]
    assert a.is_over


def test_a_leave_that_nobody_hears_ends_at_its_timeout() -> None:
    a = machine("a", knows="b", **IDLE)

    a.leave(1.0, timeout=3.0)

    assert a.next_timeout() == 4.0
    assert run(a, 4.0) == [MemberlistLeft(told=False)]


def test_a_leave_that_was_told_when_its_timeout_came_was_told() -> None:
    a = machine("a", knows="bcd", gossip_interval=0.2, retransmit_mult=1, **IDLE)
    a.leave(1.0, timeout=0.5)

    a.handle_timeout(100.0)  # Late: the farewell is told and the timeout is due at once.

    assert of(MemberlistLeft, drain(a)) == [MemberlistLeft(told=True)]


def test_a_second_leave_changes_nothing() -> None:
    a = machine("a", knows="b", **IDLE)
    a.leave(1.0, timeout=3.0)
    before = a.dump()

    a.leave(1.0, timeout=0.1)

    assert a.dump() == before
    run(a, 4.0)
    a.leave(5.0)
    assert drain(a) == []


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.inf, math.nan])
def test_the_timeout_of_a_leave_is_positive_and_finite(timeout: float) -> None:
    a = machine("a", knows="b")

    with pytest.raises(ValueError, match="timeout must be positive and finite"):
        a.leave(1.0, timeout=timeout)
    assert not a.is_leaving


def test_who_leaves_answers_still_and_does_not_refute() -> None:
    a = machine("a", knows="b", **IDLE)
    a.leave(1.0)
    news(a, 1.0)

    outputs = hears(a, ping(1), suspect("a", by="b"), dead("a", by="b"), alive("a", 7), now=1.5)

    assert [output.messages[0] for output in of(Sent, outputs)] == [ack(1)]
    assert (a.incarnation, a.health, a.node.state) == (1, 0, LEFT)


def test_who_leaves_may_not_join_nor_change_but_may_talk() -> None:
    a = machine("a", knows="b", **IDLE)
    a.leave(1.0)

    with pytest.raises(NotRunning):
        a.join([address("b")], 1.0)
    with pytest.raises(NotRunning):
        a.update_meta(b"x", 1.0)
    assert a.broadcast(b"last words", 1.0) == 1
    assert a.message("b", b"bye", 1.0) == 0
    assert a.ping("b", 1.0)


def finished(**changes: Any) -> Memberlist:
    """Return a member whose leave is complete."""
    a = machine("a", knows="bc", **(IDLE | changes))
    a.leave(1.0, timeout=1.0)
    run(a, 2.0)
    assert a.is_over
    return a


def test_after_the_end_inputs_are_ignored_and_commands_refused() -> None:
    a = finished()
    before = a.dump()

    deliver(a, ping(1), alive("d"), now=3.0)
    assert a.stream_accepted(address("b"), 3.0) == -1
    tells(a, -1, push_pull(node("d")), now=3.0)
    a.stream_opened(2, 3.0)
    a.stream_closed(2, 3.0)
    a.handle_timeout(4000.0)
    a.leave(5.0)
    a.update_ping_payload(b"x", 5.0)
    commands: list[tuple[str, tuple[Any, ...]]] = [
        ("join", ([address("b")],)),
        ("update_meta", (b"x",)),
        ("broadcast", (b"x",)),
        ("message", ("b", b"x")),
        ("ping", ("b",)),
    ]
    for method, args in commands:
        with pytest.raises(NotRunning):
            getattr(a, method)(*args, 6.0)

    assert drain(a) == []
    assert a.dump() | {"now": 0} == before | {"now": 0}
    a.check_invariants()


def test_outputs_from_before_the_end_can_still_be_polled() -> None:
    a = machine("a")
    deliver(a, ping(1), now=0.5)
    a.leave(1.0)

    assert drain(a) == [sent("b", ack(1)), MemberlistLeft(told=True)]


def test_a_rejoin_comes_back_above_the_farewell_and_asks_somebody_what_happened() -> None:
    a = finished()

    a.rejoin(10.0)

    (opening,) = drain(a)
    assert isinstance(opening, OpenStream)
    assert opening.to in (address("b"), address("c"))
    assert (a.is_leaving, a.is_over, a.incarnation) == (False, False, 2)
    assert [member.name for member in a.members] == ["b", "c", "a"]
    assert news(a, 10.0) == (alive("a", 2),)
    assert a.next_timeout() is not None
    a.check_invariants()


def test_a_rejoin_forgets_who_was_gone_and_doubts_nobody() -> None:
    a = machine("a", knows="bcde", **IDLE)
    hears(a, dead("b", by="c"), now=0.0)
    hears(a, left("d"), now=0.0)
    hears(a, suspect("e", by="c"), now=0.0)
    a.leave(1.0, timeout=1.0)
    run(a, 2.0)

    a.rejoin(10.0)

    assert [(member.name, member.state) for member in a.nodes] == [
        ("c", ALIVE),
        ("e", ALIVE),
        ("a", ALIVE),
    ]
    a.check_invariants()


def test_a_rejoin_while_leaving_calls_the_leave_off() -> None:
    a = machine("a", knows="b", **IDLE)
    a.leave(1.0, timeout=3.0)
    news(a, 1.0)

    a.rejoin(2.0)
    outputs = run(a, 100.0)

    assert of(MemberlistLeft, outputs) == []
    assert (a.is_over, a.is_leaving, a.incarnation) == (False, False, 2)


def test_a_member_may_leave_and_come_back_again_and_again() -> None:
    a = machine("a", knows="b", **IDLE)

    for life in range(1, 4):
        assert a.incarnation == life
        a.leave(10.0 * life, timeout=1.0)
        assert run(a, 10.0 * life + 1.0)[-1] == MemberlistLeft(told=False)
        a.rejoin(10.0 * life + 5.0)
        drain(a)
        a.check_invariants()


def test_a_second_farewell_is_told_as_well_as_the_first() -> None:
    a = machine("a", knows="b", retransmit_mult=1, **IDLE)
    a.leave(1.0)
    news(a, 1.0)
    a.handle_timeout(1.0)
    assert drain(a) == [MemberlistLeft(told=True)]
    a.rejoin(2.0)
    news(a, 2.0)

    a.leave(3.0)
    a.handle_timeout(3.0)

    assert of(MemberlistLeft, drain(a)) == []
    assert news(a, 3.0) == (left("a", 2),)


def test_only_who_left_can_rejoin() -> None:
    a = machine("a", knows="b")

    with pytest.raises(ValueError, match="it has not left"):
        a.rejoin(1.0)
    assert drain(a) == []


def test_a_rejoin_at_the_top_of_incarnations_stays_there() -> None:
    a = machine("a", options={"incarnation": INCARNATION_MAX - 1})
    a.leave(1.0)

    a.rejoin(2.0)

    assert a.incarnation == INCARNATION_MAX


# --- our own record --------------------------------------------------------------------------


def test_new_metadata_are_announced_under_a_new_incarnation() -> None:
    a = machine("a", knows="b")

    a.update_meta(b"new", 1.0)

    assert a.node == node("a", 2, meta=b"new")
    assert drain(a) == []
    assert news(a, 1.0) == (alive("a", 2, meta=b"new"),)


@pytest.mark.parametrize(
    ("meta", "error"), [(bytes(513), PayloadTooLarge), ("x", TypeError), (None, TypeError)]
)
def test_metadata_out_of_range_change_nothing(meta: Any, error: type[Exception]) -> None:
    a = machine("a", knows="b")
    before = a.dump()

    with pytest.raises(error):
        a.update_meta(meta, 1.0)

    assert a.dump() == before


def test_the_ping_payload_rides_on_every_ack() -> None:
    a = machine("a", knows="b")
    a.update_ping_payload(b"coordinates", 1.0)

    assert hears(a, ping(1), now=1.0) == [sent("b", ack(1, b"coordinates"))]

    a.update_ping_payload(b"", 1.0)

    assert hears(a, ping(2), now=1.0) == [sent("b", ack(2))]


def test_a_ping_payload_must_fit_the_packet_of_an_ack() -> None:
    a = machine("a", knows="b")

    with pytest.raises(PayloadTooLarge) as refusal:
        a.update_ping_payload(bytes(1360), 1.0)
    with pytest.raises(TypeError):
        a.update_ping_payload("x", 1.0)  # type: ignore[arg-type] # that is the point
    assert hears(a, ping(1), now=1.0) == [sent("b", ack(1))]

    a.update_ping_payload(bytes(refusal.value.limit), 1.0)

    (packet,) = [hears(a, ping(2**32 - 1), now=1.0)]
    assert len(packet) == 1


# --- broadcasts, messages, pings -------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "options", "error"),
    [
        (b"x", {"priority": 10}, ValueError),
        (b"x", {"priority": -1}, ValueError),
        (b"x", {"priority": 1.5}, ValueError),
        (b"x", {"priority": "high"}, ValueError),
        (b"x", {"key": 5}, TypeError),
        (b"x", {"key": []}, TypeError),
        ("x", {}, TypeError),
        (bytes(1400), {}, PayloadTooLarge),
        (bytes(1400), {"priority": 3}, PayloadTooLarge),
    ],
)
def test_a_broadcast_out_of_range_changes_nothing(
    payload: Any, options: Any, error: type[Exception]
) -> None:
    a = machine("a", knows="b")
    before = a.dump()

    with pytest.raises(error):
        a.broadcast(payload, 1.0, **options)

    assert a.dump() == before
    assert a.broadcast(b"first", 1.0) == 1


def test_a_full_queue_of_broadcasts_does_not_even_move_time() -> None:
    a = machine("a", knows="b", user_broadcasts_max=1)
    a.broadcast(b"one", 1.0)
    before = a.dump()

    with pytest.raises(QueueFull):
        a.broadcast(b"two", 2.0)

    assert a.dump() == before


def test_a_message_goes_at_once_to_its_member_or_to_any_address() -> None:
    a = machine("a", knows="b")
    a.broadcast(b"news stay where they are", 1.0)

    assert a.message("b", b"hello", 1.0) == 0
    assert a.message(("192.0.2.9", 1234), b"stranger", 1.0) == 0
    assert a.message("a", b"myself", 1.0) == 0

    assert drain(a) == [
        sent("b", User(b"hello")),
        sent(("192.0.2.9", 1234), User(b"stranger")),
        sent("a", User(b"myself")),
    ]


def test_a_suspected_member_can_be_reached_and_a_dead_one_cannot() -> None:
    a = machine("a", knows="bc")
    hears(a, suspect("b", by="c"), now=0.0)
    hears(a, dead("c", by="b"), now=0.0)

    assert a.message("b", b"x", 1.0) == 0
    for name in ("c", "nobody"):
        with pytest.raises(UnknownMember, match=name):
            a.message(name, b"x", 1.0)
        with pytest.raises(UnknownMember, match=name):
            a.message(name, b"x", 1.0, reliable=True)
        with pytest.raises(UnknownMember, match=name):
            a.ping(name, 1.0)


@pytest.mark.parametrize(
    ("to", "payload", "reliable", "error"),
    [
        ("b", bytes(1395), False, PayloadTooLarge),
        ("b", bytes(33), True, PayloadTooLarge),
        ("b", "x", False, TypeError),
        (("192.0.2.9", 1234), b"x", True, ValueError),
        (("", 1234), b"x", False, ValueError),
        (None, b"x", False, ValueError),
    ],
)
def test_a_message_out_of_range_changes_nothing(
    to: Any, payload: Any, reliable: bool, error: type[Exception]
) -> None:
    a = machine("a", knows="b", user_message_size_max=32)
    before = a.dump()

    with pytest.raises(error):
        a.message(to, payload, 1.0, reliable=reliable)

    assert a.dump() == before
    assert drain(a) == []


def test_a_ping_by_hand_tells_the_round_trip_and_the_payload() -> None:
    a = machine("a", knows="b", **IDLE)
    number = a.ping("b", 1.0)
    assert drain(a) == [sent("b", Ping(number, "b", address("a"), "a"))]

    ack_from(a, "b", number, now=1.25, payload=b"coordinates")
    ack_from(a, "b", number, now=1.3)

    assert drain(a) == [PingCompleted(number, "b", 0.25, b"coordinates")]


def test_a_ping_by_hand_that_is_not_answered_fails_and_blames_nobody() -> None:
    a = machine("a", knows="b", **IDLE)
    number = a.ping("b", 1.0)
    drain(a)

    assert run(a, 1.4) == []
    assert run(a, 1.5) == [PingFailed(number, "b")]
    assert (a.health, a.member("b")) == (0, node("b"))


def test_pings_that_wait_are_bounded() -> None:
    a = machine("a", knows="b", pending_pings_max=2, **IDLE)
    a.ping("b", 1.0)
    a.ping("a", 1.0)
    drain(a)

    with pytest.raises(QueueFull, match="pings"):
        a.ping("b", 1.0)
    assert hears(a, indirect_ping(7, "c"), now=1.0) == [
        PacketRejected(address("b"), "too-many-pings", "c")
    ]

    run(a, 1.5)
    assert a.ping("b", 1.5)


def test_an_unanswered_ping_is_tried_on_a_stream_too() -> None:
    a = machine("a", knows="b", stream_pings=True)
    probed = next_probe(a)

    a.handle_timeout(probed.at + 0.5)

    assert [opening.to for opening in of(OpenStream, drain(a))] == [address("b")]


def test_a_name_from_elsewhere_is_believed_when_its_old_address_is_silent() -> None:
    a = machine("a", knows="b", **IDLE)
    moved = alive("b", 2, at=address("m"))

    (asked,) = hears(a, moved, source="m", now=1.0)
    assert (asked.to, asked.messages[0].node) == (address("b"), "b")

    assert MemberUpdated(moved, node("b")) in run(a, 3.0)


def test_what_a_seed_holds_against_us_is_corrected_at_once_where_it_has_an_address() -> None:
    told = []
    for seed in (address("b"), ("db.example", 7946)):
        a = machine("a")
        a.join([seed], 0.0)
        tells(a, 2, push_pull(node("b"), node("a", 9, meta=b"old")), now=0.2)
        told += of(Sent, drain(a))

    assert told == [sent("b", alive("a", 10))]


# --- vetoes ----------------------------------------------------------------------------------


def test_a_member_that_is_not_accepted_is_not_let_in_nor_gossiped() -> None:
    a = machine("a", options={"accept": lambda node: node.meta != b"evil"})

    outputs = hears(a, alive("b", meta=b"evil"), alive("c", meta=b"good"), now=0.0)

    assert outputs == [
        NodeRefused(alive("b", meta=b"evil"), "not-accepted"),
        MemberJoined(alive("c", meta=b"good")),
    ]
    assert news(a, 0.0) == (alive("c", meta=b"good"),)
    assert a.stats.rejected == {"not-accepted": 1}


def test_a_known_member_keeps_what_was_accepted() -> None:
    a = machine("a", options={"accept": lambda node: node.meta != b"evil"})
    hears(a, alive("b", 2), now=0.0)

    assert hears(a, alive("b", 3, meta=b"evil"), now=0.0) == [
        NodeRefused(alive("b", 3, meta=b"evil"), "not-accepted")
    ]
    assert a.member("b") == alive("b", 2)


@pytest.mark.parametrize(
    ("networks", "host", "allowed"),
    [
        (None, "192.0.2.1", True),
        (("10.0.0.0/8",), "10.9.8.7", True),
        (("10.0.0.0/8",), "192.0.2.1", False),
        (("10.0.0.0/8", "192.0.2.0/24"), "192.0.2.1", True),
        (("10.0.0.0/8",), "2001:db8::1", False),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        ((), "10.0.0.1", False),
    ],
)
def test_addresses_must_lie_in_the_allowed_networks(
    networks: tuple[str, ...] | None, host: str, allowed: bool
) -> None:
    a = machine("a", allowed_networks=networks)
    stranger = alive("b", at=(host, 7946))

    outputs = hears(a, stranger, now=0.0)

    refused = NodeRefused(stranger, "address-not-allowed")
    assert outputs == [MemberJoined(stranger) if allowed else refused]
    assert (a.member("b") is not None) == allowed


@pytest.mark.parametrize(
    ("stranger", "reason"),
    [
        (alive("b", versions=bytes([0, 5, 2, 0, 0, 0])), "bad-versions"),
        (alive("b", versions=bytes([3, 2, 2, 0, 0, 0])), "bad-versions"),
        (alive("b", at=("10.0.0.2", 0)), "bad-address"),
        (alive("b", meta=bytes(513)), "meta-too-large"),
    ],
)
def test_strangers_that_cannot_be_members_are_refused(stranger: Node, reason: str) -> None:
    a = machine("a")

    (output,) = hears(a, stranger, now=0.0)

    assert output == NodeRefused(stranger, reason)
    assert a.members == (a.node,)


def test_names_too_long_for_a_packet_are_refused() -> None:
    a = machine("a", datagram_size=512)
    longest = 503 - 128 - 1
    there = ("10.0.0.2", 7946)

    assert hears(a, alive("b" * (longest + 1), at=there), now=0.0) == [
        NodeRefused(alive("b" * (longest + 1), at=there), "name-too-large")
    ]
    assert hears(a, alive("b" * longest, at=there), now=0.0) == [
        MemberJoined(alive("b" * longest, at=there))
    ]


def test_a_full_table_lets_nobody_in() -> None:
    a = machine("a", knows="b", members_max=2)

    assert hears(a, alive("c"), now=0.0) == [NodeRefused(alive("c"), "table-full")]
    assert of(MemberUpdated, hears(a, alive("b", 2, meta=b"new"), now=0.0)) != []


# --- looking at it ---------------------------------------------------------------------------


def test_one_call_dumps_the_whole_state_as_plain_values() -> None:
    a = machine("a", knows="bc", push_pull_interval=30.0)
    hears(a, suspect("b", by="c"), alive("d", 3, meta=b"\xff"), User(b"x"), now=1.0)
    a.broadcast(b"x", 1.0)
    a.ping("c", 1.0)
    a.join([address("e")], 1.0)
    a.receive_datagram(b"\xff", address("z"), 1.0)

    dump = a.dump()

    assert json.loads(json.dumps(dump)) == dump
    assert {key: dump[key] for key in ("name", "now", "incarnation", "health")} == {
        "name": "a",
        "now": 1.0,
        "incarnation": 1,
        "health": 0,
    }
    assert (dump["leaving"], dump["over"]) == (False, False)
    assert dump["next_timeout"] == a.next_timeout()
    assert (dump["pings_waiting"], dump["streams_open"]) == (1, 1)
    assert (dump["membership_queue"], dump["user_queue"]) == (2, 1)
    assert dump["remembered"] == []
    assert dump["members"]["d"] == {
        "state": "alive",
        "incarnation": 3,
        "address": "10.0.0.4:7946",
        "versions": list(VERSIONS),
        "meta": "ff",
        "since": None,
    }
    assert dump["members"]["b"]["since"] == 1.0
    assert dump["suspicions"] == {
        "b": {"suspected_by": "c", "confirmed_by": [], "since": 1.0, "deadline": 5.0}
    }
    assert dump["stats"]["rejected"] == {"unknown-type": 1}
    assert dump["stats"]["suspicions"] == 1


def test_a_dump_is_a_copy() -> None:
    a = machine("a", knows="b")
    a.dump()["stats"]["rejected"]["mine"] = 1
    a.dump()["members"].clear()

    assert a.stats.rejected == {}
    assert set(a.dump()["members"]) == {"a", "b"}


def test_packets_and_bytes_are_counted_both_ways() -> None:
    a = make(config=Config.lan(compression=False))
    data = encode(ping(1))

    a.receive_datagram(data, address("b"), 0.0)
    a.receive_datagram(b"\xff", address("b"), 0.0)
    sizes = [len(output.data) for output in of(SendDatagram, [a.poll()])]

    assert (a.stats.packets_received, a.stats.bytes_received) == (2, len(data) + 1)
    assert (a.stats.packets_sent, a.stats.bytes_sent) == (1, sum(sizes))


# --- several members -------------------------------------------------------------------------


def cluster(*names: str, options: dict[str, dict[str, Any]] | None = None, **changes: Any) -> Wire:
    """Return members that gossip and have all joined the first one."""
    talking: dict[str, Any] = {"gossip_interval": 0.2}
    members = [
        machine(name, seed=seed, fresh=True, options=(options or {}).get(name), **talking | changes)
        for seed, name in enumerate(names)
    ]
    wire = Wire(*members)
    for name in names[1:]:
        wire.call(name, "join", [address(names[0])])
    wire.run(5.0)
    return wire


def names_at(wire: Wire, name: str) -> list[str]:
    return sorted(member.name for member in wire[name].members)


def test_members_that_join_one_seed_all_come_to_know_each_other() -> None:
    wire = cluster("a", "b", "c", "d")

    assert [names_at(wire, name) for name in "abcd"] == [["a", "b", "c", "d"]] * 4
    assert sorted(event.node.name for event in wire.heard("a", MemberJoined)) == ["b", "c", "d"]
    assert [event.contacted for event in wire.heard("d", JoinFinished)] == [1]
    assert [wire[name].health for name in "abcd"] == [0, 0, 0, 0]


def test_members_live_at_ipv6_addresses_too() -> None:
    there, here = ("2001:DB8::000a", 7946), ("2001:db8::b", 7946)
    a = make(address=there, config=Config.lan(push_pull_interval=0.0))
    b = make(name="b", address=here, rng=random.Random(2))
    wire = Wire(a, b)

    b.join([("2001:db8::a", 7946)], 0.0)
    wire.pump()
    wire.run(30.0)

    assert [member.address for member in b.members] == [here, ("2001:db8::a", 7946)]
    assert [member.name for member in a.members] == ["a", "b"]
    assert (a.health, b.health) == (0, 0)
    assert of((NameConflict, MemberFailed), wire.events["a"] + wire.events["b"]) == []


def test_a_leave_is_seen_as_a_leave_and_a_return_as_a_join() -> None:
    wire = cluster("a", "b", "c")
    wire.heard("a")

    wire.call("c", "leave")
    wire.run(5.0)

    assert wire.heard("c", MemberlistLeft) == [MemberlistLeft(told=True)]
    assert wire.heard("a", (MemberLeft, MemberFailed)) == [MemberLeft(node("c", 1, LEFT))]

    wire.call("c", "rejoin")
    wire.run(5.0)

    assert wire.heard("a", (MemberJoined, MemberFailed)) == [MemberJoined(node("c", 2))]
    assert [names_at(wire, name) for name in "abc"] == [["a", "b", "c"]] * 3


def test_a_name_that_left_may_come_back_from_elsewhere_at_once() -> None:
    wire = cluster("a", "b", "c")
    wire.call("c", "leave")
    wire.run(5.0)
    wire.remove("c")
    wire.heard("a")

    moved = make(name="c", address=address("m"), incarnation=1, now=wire.now)
    wire.add(moved)
    moved.join([address("b")], wire.now)
    wire.run(5.0)

    assert wire.heard("a", MemberJoined) == [MemberJoined(node("c", 2, at=address("m")))]


def test_new_metadata_reach_everybody_once() -> None:
    wire = cluster("a", "b", "c")

    wire.call("b", "update_meta", b"new")
    wire.run(5.0)

    for name in "ac":
        assert wire.heard(name, MemberUpdated) == [
            MemberUpdated(node("b", 2, meta=b"new"), node("b"))
        ]


def test_a_broadcast_reaches_everybody_and_its_outcome_is_told() -> None:
    wire = cluster("a", "b", "c", "d")

    number = wire.call("a", "broadcast", b"hello")
    wire.run(5.0)

    for name in "bcd":
        assert set(wire.heard(name, MessageReceived)) == {
            MessageReceived(address("a"), b"hello", reliable=False)
        }
    assert wire.heard("a", (BroadcastFinished, MessageReceived)) == [
        BroadcastFinished(number, BroadcastOutcome.SENT, 4)
    ]


def test_direct_messages_arrive_both_ways() -> None:
    wire = cluster("a", "b")

    wire.call("a", "message", "b", b"quick")
    number = wire.call("a", "message", "b", bytes(100_000), reliable=True)
    wire.call("b", "message", "b", b"to myself", reliable=True)

    assert wire.heard("b", MessageReceived) == [
        MessageReceived(address("a"), b"quick", reliable=False),
        MessageReceived(address("a"), bytes(100_000), reliable=True),
        MessageReceived(address("b"), b"to myself", reliable=True),
    ]
    assert wire.heard("a", MessageDelivered) == [MessageDelivered(number, "b")]


def test_ping_payloads_travel_both_ways() -> None:
    wire = cluster("a", "b")
    for name in "ab":
        wire.call(name, "update_ping_payload", b"at " + name.encode())
        wire.heard(name)

    wire.run(5.0)

    assert {(event.node, event.payload) for event in wire.heard("a", PingCompleted)} == {
        ("b", b"at b")
    }
    assert {(event.node, event.payload) for event in wire.heard("b", PingCompleted)} == {
        ("a", b"at a")
    }


def test_user_states_travel_both_ways_with_a_join() -> None:
    options = {
        name: {"user_state": lambda join, name=name: f"{name} {join}".encode()} for name in "ab"
    }
    wire = cluster("a", "b", options=options)

    assert wire.heard("a", UserStateReceived) == [
        UserStateReceived(address("b"), b"b True", join=True)
    ]
    assert wire.heard("b", UserStateReceived) == [
        UserStateReceived(address("a"), b"a True", join=True)
    ]


def test_a_join_may_be_vetoed() -> None:
    def nobody(_: object) -> bool:
        return False

    vetoed = cluster(*"ab", options={name: {"accept_merge": nobody} for name in "ab"})
    refused = [MergeRefused(address(other), "not-accepted") for other in "ba"]

    assert [names_at(vetoed, name) for name in "ab"] == [["a"], ["b"]]
    assert [vetoed.events[name][0] for name in "ab"] == refused
    (join,) = vetoed.heard("b", JoinFinished)
    assert (join.contacted, join.seeds[0].reason) == (0, "not-accepted")


def test_a_member_that_accepts_nobody_stays_alone_whatever_others_believe() -> None:
    wire = cluster(*"ab", options={"a": {"accept": lambda node: node.name == "a"}})

    assert names_at(wire, "a") == ["a"]
    assert {event.reason for event in wire.heard("a", NodeRefused)} == {"not-accepted"}


def test_a_crash_is_noticed_by_everybody() -> None:
    wire = cluster("a", "b", "c")
    wire.remove("c")

    wire.run(60.0)

    for name in "ab":
        (failed,) = wire.heard(name, MemberFailed)
        assert (failed.node.name, failed.declared_by in "ab") == ("c", True)
        assert failed.evidence is not None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"label": b"dc1"}, {"label": b"dc2"}),
        ({"label": b"dc1"}, {}),
        ({}, {"label": b"dc1"}),
    ],
)
def test_clusters_of_other_labels_do_not_mix(ours: Any, theirs: Any) -> None:
    a = make(config=Config.lan(**ours))
    b = make(name="b", address=address("b"), config=Config.lan(**theirs), rng=random.Random(2))
    wire = Wire(a, b)

    b.join([address("a")], 0.0)
    wire.pump()
    b.message(address("a"), b"hello", 0.0)
    wire.pump()

    assert (len(a.members), len(b.members)) == (1, 1)
    assert wire.heard("b", JoinFinished)[0].contacted == 0
    assert [event.reason for event in wire.heard("a", PacketRejected)] == ["label"]


def test_a_label_and_a_key_together_are_no_obstacle() -> None:
    options = {name: {"keyring": Keyring([KEY])} for name in "abc"}

    wire = cluster("a", "b", "c", label=b"dc1", compression=True, options=options)

    assert [names_at(wire, name) for name in "abc"] == [["a", "b", "c"]] * 3
    assert all(data[:6] == b"\xf4\x03dc1\x01" for _, _, data in wire.packets)


def test_the_wrong_key_harms_nobody() -> None:
    options = {"a": {"keyring": Keyring([KEY])}, "b": {"keyring": Keyring([NEW_KEY])}}

    wire = cluster("a", "b", options=options)
    wire.call("b", "message", address("a"), b"hello")

    assert [names_at(wire, name) for name in "ab"] == [["a"], ["b"]]
    assert [event.reason for event in wire.heard("a", PacketRejected)] == ["decrypt"]


@pytest.mark.parametrize(("ours", "theirs"), [(2, 1), (2, 3), (3, 2), (3, 1), (5, 1)])
def test_members_of_all_protocol_versions_live_together(ours: int, theirs: int) -> None:
    keys = {name: {"keyring": Keyring([KEY])} for name in "ab"}
    a = machine("a", fresh=True, protocol_version=ours, options=keys["a"])
    b = machine("b", seed=2, fresh=True, protocol_version=theirs, options=keys["b"])
    wire = Wire(a, b)

    b.join([address("a")], 0.0)
    wire.pump()
    wire.run(30.0)

    assert [names_at(wire, name) for name in "ab"] == [["a", "b"]] * 2
    assert (a.health, b.health) == (0, 0)


def test_applications_whose_protocols_do_not_overlap_are_refused() -> None:
    a = machine("a", fresh=True, app_versions=(1, 2, 2))
    b = machine("b", seed=2, fresh=True, app_versions=(3, 4, 3))
    wire = Wire(a, b)

    b.join([address("a")], 0.0)
    wire.pump()

    assert [names_at(wire, name) for name in "ab"] == [["a"], ["b"]]
    assert len(wire.heard("a", MergeRefused)) == 1
    assert wire.heard("b", JoinFinished)[0].seeds[0].reason.startswith("application version")


def test_encryption_is_rolled_out_in_four_steps_without_a_gap() -> None:
    # One member at a time: keys but neither check; then send; then insist.
    names = "abc"
    keyrings = {name: Keyring() for name in names}
    steps: list[dict[str, Any]] = [
        {"verify_incoming": False, "verify_outgoing": False},
        {"verify_incoming": False, "verify_outgoing": True},
        {"verify_incoming": True, "verify_outgoing": True},
    ]
    wire = cluster(*names, options={name: {"keyring": keyrings[name]} for name in names})

    for step in steps:
        for name in names:
            old = wire[name]
            keyrings[name] = Keyring([KEY])
            wire.remove(name)
            new = machine(
                name,
                fresh=True,
                seed=9,
                now=wire.now,
                gossip_interval=0.2,
                knows=[member for member in old.members if member.name != name],
                options={"keyring": keyrings[name], "incarnation": old.incarnation},
                **step,
            )
            wire.add(new)
            wire.call(name, "join", [address(other) for other in names if other != name])
            wire.run(10.0)

            assert [names_at(wire, each) for each in names] == [["a", "b", "c"]] * 3
            for each in names:
                assert wire.heard(each, (MemberFailed, PacketRejected, MergeRefused)) == []

    wire.packets.clear()
    wire.run(10.0)
    assert {data[0] for _, _, data in wire.packets} == {1}


def test_keys_rotate_while_everybody_runs() -> None:
    keyrings = {name: Keyring([KEY]) for name in "abc"}
    wire = cluster("a", "b", "c", options={name: {"keyring": keyrings[name]} for name in "abc"})

    for change in ("add", "use"):
        for name in "abc":
            getattr(keyrings[name], change)(NEW_KEY)
            wire.run(3.0)
    for name in "abc":
        keyrings[name].remove(KEY)
        wire.run(3.0)

    assert [names_at(wire, name) for name in "abc"] == [["a", "b", "c"]] * 3
    assert [wire[name].health for name in "abc"] == [0, 0, 0]
    for name in "abc":
        assert wire.heard(name, (PacketRejected, MemberFailed)) == []


def test_a_member_may_start_without_keys_and_encrypt_from_the_first_one_on() -> None:
    keyrings = {name: Keyring() for name in "ab"}
    wire = cluster("a", "b", options={name: {"keyring": keyrings[name]} for name in "ab"})
    assert names_at(wire, "a") == ["a", "b"]
    wire.packets.clear()

    for keyring in keyrings.values():
        keyring.add(KEY)
    wire.run(5.0)

    assert {data[0] for _, _, data in wire.packets} == {1}
    assert names_at(wire, "a") == ["a", "b"]


def test_a_member_accepts_a_stream_again_after_it_came_back() -> None:
    a = finished()
    a.rejoin(10.0)
    drain(a)

    number = accepts(a, "b", now=10.0)
    tells(a, number, push_pull(node("d")), now=10.0)

    assert number == 1
    assert of(MemberJoined, drain(a)) == [MemberJoined(node("d"))]
