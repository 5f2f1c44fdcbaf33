"""How news leave: gossip rounds, news beside other messages, fair shares, and never too large."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memberlist import (
    BroadcastFinished,
    BroadcastOutcome,
    Config,
    Keyring,
    MemberForgotten,
    Memberlist,
    MemberlistLeft,
    Node,
    PacketRejected,
    PayloadTooLarge,
    QueueFull,
    SendDatagram,
)
from memberlist.messages import IndirectPing, Ping
from memberlist.packet import PacketCodec, PacketLimits
from tests.memberlist.vocabulary import (
    WITHOUT_CRC,
    Sent,
    User,
    ack,
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
    news,
    next_probe,
    node,
    of,
    ping,
    run,
    sent,
    suspect,
    timeline,
)

SENT, SUPERSEDED, DROPPED = BroadcastOutcome
TALKING: dict[str, Any] = {"gossip_interval": 0.2, "probe_interval": 1e6}  # gossip, but no probes


def gossip_of(machine: Memberlist, until: float) -> list[Sent]:
    """Return what a member sends until then."""
    return of(Sent, run(machine, until))


# --- gossip rounds ---------------------------------------------------------------------------


def test_news_go_to_a_few_random_members_each_round_until_told_often_enough() -> None:
    a = machine("a", knows="bcdefghi", fresh=True, **TALKING, retransmit_mult=4)

    line = timeline(a, 60.0)
    rounds = sorted({at for at, _ in line})

    # Nine members: 4 x ceil(log10(10)) transmits, three a round.
    assert [output.messages for _, output in line if isinstance(output, Sent)] == [
        (alive("a", 1),)
    ] * 4
    assert len(rounds) == 2
    assert 0.0 < rounds[0] <= 0.2
    assert rounds[1] - rounds[0] == pytest.approx(0.2)
    for at in rounds:
        targets = [output.to for then, output in line if then == at and isinstance(output, Sent)]
        assert len(set(targets)) == len(targets)
        assert address("a") not in targets


def test_each_member_of_a_round_is_told_what_was_told_least() -> None:
    a = machine("a", knows="bcd", **TALKING, retransmit_mult=1)
    a.broadcast(b"one", 0.0)
    a.broadcast(b"two", 0.0)

    (first,) = gossip_of(a, 1.0)

    assert first.messages == (User(b"two"), User(b"one"))


def test_a_member_with_no_news_is_silent_and_does_not_even_wake() -> None:
    a = machine("a", knows="bcd", **TALKING)

    line = timeline(a, 999.0)

    assert of(Sent, [output for _, output in line]) == []
    assert [at for at, _ in line] == []


def test_a_lone_member_keeps_its_news_until_somebody_is_there() -> None:
    a = machine("a", fresh=True, **TALKING)

    assert gossip_of(a, 999.0) == []
    due = a.next_timeout()
    assert due is not None
    assert due > 999.0

    hears(a, alive("b"), now=999.0)

    assert {output.messages for output in gossip_of(a, 999.5)} == {(alive("b"), alive("a", 1))}


def test_gossip_can_be_turned_off_by_interval_or_by_number() -> None:
    for change in ({"gossip_interval": 0.0}, {"gossip_nodes": 0}):
        a = machine("a", knows="bcd", fresh=True, **(TALKING | change))

        assert gossip_of(a, 999.0) == []


def test_the_dead_are_told_for_a_while_and_those_who_left_never() -> None:
    a = machine("a", knows="bcd", **TALKING, gossip_to_the_dead_time=30.0)
    hears(a, dead("c", by="b"), source="b", now=0.0)
    hears(a, left("d"), source="b", now=0.0)
    gossip_of(a, 10.0)

    a.broadcast(b"while it is dead", 10.0)
    told = {output.to for output in gossip_of(a, 29.0)}

    assert told == {address("b"), address("c")}


def test_the_dead_are_told_no_longer_than_that() -> None:
    # Its reaping is due at the same moment; a broadcast just before is told to the living only.
    a = machine("a", knows="bc", **TALKING, gossip_to_the_dead_time=30.0)
    hears(a, dead("c", by="b"), source="b", now=0.0)
    gossip_of(a, 10.0)
    a.broadcast(b"late", 29.999)

    outputs = run(a, 40.0)

    assert {output.to for output in of(Sent, outputs)} == {address("b")}
    assert of(MemberForgotten, outputs) != []


def test_the_suspected_are_told() -> None:
    a = machine("a", knows="b", **TALKING)
    hears(a, suspect("b", by="c"), source="c", now=0.0)

    assert {output.to for output in gossip_of(a, 1.0)} == {address("b")}


def test_gossip_stops_when_the_last_other_member_is_forgotten() -> None:
    a = machine("a", knows="b", **TALKING, gossip_to_the_dead_time=1.0)
    hears(a, left("b"), source="b", now=0.0)
    a.broadcast(b"to nobody", 0.5)

    run(a, 2.0)

    assert a.members == (a.node,)
    assert a.dump()["user_queue"] == 1
    assert timeline(a, 999.0) == []


def test_newer_news_of_a_member_replace_older_ones() -> None:
    a = machine("a", knows="bc")

    hears(a, suspect("c", by="b"), now=1.0)
    hears(a, dead("c", by="b"), now=1.0)
    hears(a, alive("c", 2), now=1.0)

    assert news(a, 1.0) == (alive("c", 2),)


def test_what_no_packet_can_carry_is_not_gossiped_but_counted() -> None:
    a = machine("a", knows="b", datagram_size=512)
    hears(a, alive("b", 2), now=1.0)
    hears(a, suspect("b", 2, by="x" * 505), now=1.0)
    a.check_invariants()

    assert news(a, 1.0) == ()
    assert a.stats.rejected == {"too-large-to-gossip": 1}


# --- news beside other messages --------------------------------------------------------------


def test_an_answer_carries_news_in_the_same_packet() -> None:
    a = machine("a", knows="b")
    a.broadcast(b"hello", 1.0)

    assert hears(a, ping(7), now=1.0) == [sent("b", ack(7), User(b"hello"))]


def test_relayed_pings_and_probes_carry_news_too() -> None:
    a = machine("a", knows="b")
    a.broadcast(b"hello", 1.0)

    (relayed,) = hears(a, indirect_ping(7, "c"), now=1.0)
    probed = next_probe(a).packet

    assert [message for message in relayed.messages if isinstance(message, User)] == [
        User(b"hello")
    ]
    assert probed.messages[1:] == (User(b"hello"),)


def test_a_packet_is_filled_but_for_what_would_not_fit() -> None:
    a = machine("a", knows="b", datagram_size=1400)
    for size in (300, 301, 302, 303, 304):
        a.broadcast(bytes(size), 1.0)

    (first,) = hears(a, ping(7), now=1.0)
    (second,) = hears(a, ping(8), now=1.0)

    assert [len(message.payload) for message in first.messages[1:]] == [304, 303, 302, 301]
    assert [len(message.payload) for message in second.messages[1:]] == [300, 304, 303, 302]


def test_a_message_that_fills_its_packet_goes_alone() -> None:
    a = machine("a", knows="b")
    a.update_ping_payload(bytes(1350), 0.0)
    a.broadcast(bytes(100), 0.0)

    assert hears(a, ping(7), now=0.0) == [sent("b", ack(7, bytes(1350)))]
    assert a.dump()["user_queue"] == 1


def test_no_compound_has_more_parts_than_old_peers_can_read() -> None:
    a = machine("a", knows="b", datagram_size=65507, **TALKING)
    for number in range(400):
        a.broadcast(b"%d" % number, 0.0)

    (gossip, *_) = gossip_of(a, 0.2)
    (answer,) = hears(a, ping(7), now=0.3)

    assert (len(gossip.messages), len(answer.messages)) == (127, 127)


def test_the_parts_of_both_queues_count_together() -> None:
    a = machine("a", knows="b", datagram_size=65507, **TALKING)
    for number in range(1, 101):
        deliver(a, alive(f"n{number}"), now=0.0)
        a.broadcast(b"%d" % number, 0.0)
    drain(a)

    (gossip, *_) = gossip_of(a, 0.2)

    assert len(gossip.messages) == 127
    assert len(of(User, gossip.messages)) == 27


@pytest.mark.parametrize(("excess", "sizes"), [(0, [1400]), (1, [712, 688])])
def test_gossip_fills_a_packet_to_the_last_byte(excess: int, sizes: list[int]) -> None:
    a = machine("a", knows="b", **TALKING, retransmit_mult=1)
    # 1400 less 5 for the CRC, 2 for the compound, 2 for each part and 1 for each type byte.
    a.broadcast(bytes(706), 0.0)
    a.broadcast(bytes(1387 - 706 + excess), 0.0)

    while (due := a.next_timeout()) is not None and due < 10.0:
        a.handle_timeout(due)

    assert [len(output.data) for output in raw(a)] == sizes


@pytest.mark.parametrize(("excess", "news_told"), [(0, 1), (1, 0)])
def test_news_fill_the_packet_of_an_answer_to_the_last_byte(excess: int, news_told: int) -> None:
    a = machine("a", knows="b")
    answer = len(encode(ack(7)))
    # Room for a CRC is kept, because some of what is sent this way has one.
    a.broadcast(bytes(1400 - 5 - 2 - 2 - answer - 2 - 1 + excess), 0.0)

    (output,) = hears(a, ping(7), now=0.0)

    assert len(output.messages) == 1 + news_told


def raw(machine: Memberlist) -> list[SendDatagram]:
    outputs = []
    while (output := machine.poll()) is not None:
        outputs.append(output)
    return of(SendDatagram, outputs)


def test_only_who_understands_a_checksum_gets_one() -> None:
    a = machine("a", knows=["b", node("c", versions=WITHOUT_CRC)], **TALKING, retransmit_mult=2)
    a.broadcast(b"gossip", 0.0)
    a.message("b", b"direct", 0.0)
    a.message("c", b"direct", 0.0)
    a.message(address("b"), b"to an address", 0.0)

    outputs: list[Any] = []
    while (due := a.next_timeout()) is not None and due < 1.0:
        a.handle_timeout(due)
    while (output := a.poll()) is not None:
        outputs.append((output.to, output.data[0]) if isinstance(output, SendDatagram) else output)

    assert sorted(of(tuple, outputs)) == [
        (address("b"), 8),  # to an address: nobody says who is there
        (address("b"), 12),
        (address("b"), 12),
        (address("c"), 8),
        (address("c"), 8),
    ]


# --- user broadcasts -------------------------------------------------------------------------


def test_a_broadcast_that_was_told_often_enough_is_sent() -> None:
    a = machine("a", knows="bcd", **TALKING, retransmit_mult=2)

    number = a.broadcast(b"hello", 0.0)
    outputs = run(a, 10.0)

    assert [output.messages for output in of(Sent, outputs)] == [(User(b"hello"),)] * 2
    assert of(BroadcastFinished, outputs) == [BroadcastFinished(number, SENT, 2)]
    assert a.stats.broadcasts_sent == 1


def test_a_newer_broadcast_of_the_same_key_supersedes() -> None:
    a = machine("a", knows="b")

    first = a.broadcast(b"old", 0.0, key="k")
    other = a.broadcast(b"other", 0.0, key="l")
    again = a.broadcast(b"elsewhere", 0.0, key="k", priority=5)
    assert news(a, 0.0) == (User(b"elsewhere"), User(b"other"), User(b"old"))
    second = a.broadcast(b"new", 0.0, key="k")

    assert drain(a) == [BroadcastFinished(first, SUPERSEDED, 1)]
    assert news(a, 0.0) == (User(b"elsewhere"), User(b"new"), User(b"other"))
    assert len({first, other, again, second}) == 4
    assert a.stats.broadcasts_superseded == 1


def test_broadcasts_without_a_key_never_supersede() -> None:
    a = machine("a", knows="b")

    a.broadcast(b"one", 0.0)
    a.broadcast(b"one", 0.0)

    assert news(a, 0.0) == (User(b"one"), User(b"one"))


def test_what_still_waits_at_the_end_is_dropped() -> None:
    a = machine("a", knows="b", gossip_interval=0.0)
    number = a.broadcast(b"hello", 0.0, priority=3)
    news(a, 0.0)
    urgent = a.broadcast(b"urgent", 0.0, priority=9)

    a.leave(0.0, timeout=0.001)
    outputs = run(a, 2.0)

    assert of((BroadcastFinished, MemberlistLeft), outputs) == [
        BroadcastFinished(urgent, DROPPED, 0),
        BroadcastFinished(number, DROPPED, 1),
        MemberlistLeft(told=False),
    ]
    assert a.stats.broadcasts_dropped == 2
    assert (a.dump()["user_queue"], a.dump()["membership_queue"]) == (0, 0)
    a.check_invariants()


def test_higher_priorities_go_first() -> None:
    a = machine("a", knows="b")
    for priority in (0, 9, 4):
        a.broadcast(b"%d" % priority, 0.0, priority=priority)

    assert news(a, 0.0) == (User(b"9"), User(b"4"), User(b"0"))


def test_a_priority_that_has_nothing_left_to_say_makes_room_for_the_others() -> None:
    a = machine("a", knows="b", retransmit_mult=1)
    a.broadcast(b"urgent", 0.0, priority=9)
    assert news(a, 0.0) == (User(b"urgent"),)
    a.broadcast(b"later", 0.0)

    assert news(a, 0.0) == (User(b"later"),)
    assert news(a, 0.0) == ()


def test_broadcasts_are_bounded_when_they_are_given() -> None:
    a = machine("a", knows="b", user_broadcasts_max=2)
    a.broadcast(b"one", 0.0, key="k")
    a.broadcast(b"two", 0.0)

    with pytest.raises(QueueFull, match="user broadcasts") as refusal:
        a.broadcast(b"three", 0.0)
    with pytest.raises(QueueFull):
        a.broadcast(b"three", 0.0, key="k", priority=1)
    assert refusal.value.limit == 2

    a.broadcast(b"instead", 0.0, key="k")
    a.check_invariants()

    assert a.dump()["user_queue"] == 2


@pytest.mark.parametrize(
    ("changes", "keyring", "limit"),
    [
        # 1400 less 5 for a CRC, 4 for a compound of one and 1 for the type byte; then what else.
        ({}, None, 1390),
        ({}, Keyring(), 1361),
        ({}, Keyring([bytes(16)]), 1361),
        ({"protocol_version": 1}, Keyring([bytes(16)]), 1345),
        ({"label": b"dc1"}, None, 1385),
        ({"datagram_size": 512}, None, 502),
    ],
)
def test_a_broadcast_must_fit_a_packet_with_all_its_headers(
    changes: dict[str, Any], keyring: Keyring | None, limit: int
) -> None:
    options = {"keyring": keyring, "entropy": bytes}
    a = machine("a", knows="b", fresh=True, **TALKING, **changes, options=options)

    with pytest.raises(PayloadTooLarge) as refusal:
        a.broadcast(bytes(limit + 1), 0.0)
    assert (refusal.value.size, refusal.value.limit) == (limit + 1, limit)

    number = a.broadcast(bytes(limit), 0.0)
    assert BroadcastFinished(number, SENT, 4) in run(a, 10.0)


# --- leaving ---------------------------------------------------------------------------------


def test_a_farewell_is_told_as_often_as_other_news() -> None:
    a = machine("a", knows="bcd", **TALKING, retransmit_mult=2)
    a.leave(0.0)

    outputs = run(a, 10.0)

    assert [output.messages for output in of(Sent, outputs)] == [(left("a"),)] * 2
    assert outputs[-1] == MemberlistLeft(told=True)


def test_news_of_others_that_are_told_are_no_farewell() -> None:
    a = machine("a", knows="bc", retransmit_mult=2)
    hears(a, alive("c"), now=0.0)
    assert news(a, 0.0) == (alive("c"),)
    a.leave(0.0)

    assert news(a, 0.0) == (left("a"), alive("c"))
    a.handle_timeout(0.0)
    assert drain(a) == []

    assert news(a, 0.0) == (left("a"),)
    a.handle_timeout(0.0)
    assert drain(a) == [MemberlistLeft(told=True)]


# --- nobody starves --------------------------------------------------------------------------


def churn(machine: Memberlist, rounds: int) -> list[list[Any]]:
    """Have a member hear of more changes than its packets can carry; return its packets."""
    packets = []
    for number in range(rounds):
        for name in range(1, 31):
            deliver(machine, alive(f"n{name}", number + 2, meta=bytes(100)), now=float(number))
        drain(machine)
        (answer,) = of(Sent, hears(machine, ping(number), now=float(number)))
        packets.append([type(message) for message in answer.messages])
    return packets


def test_user_broadcasts_do_not_starve_under_churn() -> None:
    a = machine("a", knows="b", retransmit_mult=1)
    numbers = [a.broadcast(bytes(1000), 0.0) for _ in range(5)]

    packets = churn(a, 20)

    assert sum(User in packet for packet in packets) == 10
    assert a.stats.broadcasts_sent == len(numbers)


def test_membership_does_not_starve_under_a_flood_of_broadcasts() -> None:
    a = machine("a", knows="b")
    for _ in range(1000):
        a.broadcast(bytes(1000), 0.0, priority=9)

    packets = churn(a, 20)

    with_news = [packet for packet in packets if packet.count(Node) > 5]
    assert len(with_news) == 10
    assert all(len(packet) > 1 for packet in packets)


@pytest.mark.parametrize(("share", "users_first"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_the_share_says_how_often_broadcasts_go_first(share: float, users_first: int) -> None:
    a = machine("a", knows="b", user_broadcast_share=share)
    for _ in range(1000):
        a.broadcast(bytes(1000), 0.0)

    packets = churn(a, 20)

    assert sum(packet[1] is User for packet in packets) == users_first


def test_what_the_first_leaves_goes_to_the_second() -> None:
    a = machine("a", knows="b", user_broadcast_share=0.0)
    a.broadcast(b"hello", 0.0)
    hears(a, alive("c"), now=0.0)

    assert news(a, 0.0) == (alive("c"), User(b"hello"))


def test_every_answer_is_an_answer_however_much_there_is_to_tell() -> None:
    a = machine("a", knows="b")
    for _ in range(1000):
        a.broadcast(bytes(1000), 0.0)

    answers = [of(Sent, hears(a, ping(number), now=0.0))[0].messages[0] for number in range(100)]

    assert answers == [ack(number) for number in range(100)]


# --- no packet is ever too large -------------------------------------------------------------


KEYS = (None, (), (bytes(16),), (bytes(32), bytes(16)))
CHANGES = st.fixed_dictionaries(
    {
        "datagram_size": st.integers(512, 3000),
        "label": st.binary(max_size=64),
        "protocol_version": st.sampled_from([1, 2, 5]),
        "compression": st.booleans(),
        "compression_size_min": st.sampled_from([0, 512]),
        "verify_outgoing": st.booleans(),
    }
)


class Listener:
    """The other side of every packet: opens what a member sends, and seals what it hears."""

    def __init__(self, a: Memberlist, keyring: Keyring | None) -> None:
        config = a.config
        self.a = a
        self.now = 0.0
        self.codec = PacketCodec(
            label=config.label,
            label_check_skipped=False,
            keyring=keyring,
            verify_incoming=config.verify_outgoing,
            verify_outgoing=True,
            encryption_version=1,
            compression=False,
            compression_size_min=0,
            entropy=bytes,
            limits=PacketLimits(parts=127, depth=4, decompressed_size=1 << 20),
        )
        self.sizes: list[int] = []
        self.parts: list[int] = []

    def tell(self, *messages: Any) -> None:
        """Send the member one packet."""
        data = self.codec.seal(encode(*messages), crc=False)
        self.a.receive_datagram(data, address("b"), self.now)
        self.listen()

    def listen(self) -> None:
        """Read what the member sends: every packet must be whole and within its size."""
        while (output := self.a.poll()) is not None:
            if isinstance(output, PacketRejected):
                assert output.reason == "name-too-large"
            if isinstance(output, SendDatagram):
                assert len(output.data) <= self.a.config.datagram_size
                message = self.codec.open(output.data)
                parts, lost = self.codec.split(message) if message[0] in (7, 9) else ([message], 0)
                assert lost == 0
                assert len(parts) <= 127
                self.sizes.append(len(output.data))

    def wait(self, seconds: float) -> None:
        """Let time pass for the member."""
        end = self.now + seconds
        while (due := self.a.next_timeout()) is not None and due <= end:
            self.now = due
            self.a.handle_timeout(due)
            self.listen()
        self.now = end


def largest(refused: Callable[[bytes], object]) -> int:
    """Return the size of the largest payload that a command takes."""
    with pytest.raises(PayloadTooLarge) as refusal:
        refused(bytes(70_000))
    return refusal.value.limit


@given(
    CHANGES,
    st.sampled_from(KEYS),
    st.lists(st.integers(0, 3000), max_size=12),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x7FF), min_size=1, max_size=120),
    st.lists(st.sampled_from([1, 40, 128, 300, 512]), min_size=1, max_size=5),
)
@example({"datagram_size": 512}, None, [502], "a" * 200, [255, 128, 1])
@example({"datagram_size": 512}, None, [], "a" * 100, [270, 271, 272, 300, 399, 404])
@example({"datagram_size": 1400, "protocol_version": 1}, (bytes(16),), [1], "a" * 240, [512])
def test_no_datagram_ever_exceeds_its_size(
    changes: dict[str, Any],
    keys: tuple[bytes, ...] | None,
    sizes: list[int],
    name: str,
    lengths: list[int],
) -> None:
    keyring = None if keys is None else Keyring(keys)
    quiet: dict[str, Any] = {"push_pull_interval": 0.0, "stream_pings": False, "meta_size_max": 0}
    config = Config.lan(**quiet, **changes)
    rng = random.Random(1)
    a = Memberlist(name, address("a"), config, rng=rng, now=0.0, keyring=keyring, entropy=bytes)
    b = Listener(a, keyring)

    for number, length in enumerate(lengths):
        peer = f"{number}".ljust(length, "p")
        b.tell(node(peer, at=(f"10.0.9.{number + 1}", 65535), meta=bytes(length)))
        relayed = IndirectPing(2, "c" * length, address("c"), True, address("b"), "b")
        b.tell(suspect(peer, by="q" * length), Ping(2**32 - 1, a.name))
        b.tell(Ping(1, a.name, address("b"), "b"), relayed)
    for size in (*sizes, largest(lambda payload: a.broadcast(payload, b.now))):
        with contextlib.suppress(PayloadTooLarge):
            a.broadcast(bytes(size), b.now)
        b.tell(Ping(3, a.name, address("b"), "b"))
    b.wait(3.0)
    if keyring is not None:
        keyring.add(bytes(range(24)))  # From nothing, perhaps, to encrypted.
    direct = largest(lambda payload: a.message(address("b"), payload, b.now))
    a.message(address("b"), bytes(direct), b.now)
    a.update_ping_payload(bytes(largest(lambda payload: a.update_ping_payload(payload, 0.0))), 0.0)
    b.tell(Ping(2**32 - 1, a.name))
    b.wait(20.0)
    a.check_invariants()

    assert len(b.sizes) >= 5


@given(st.sampled_from(KEYS[1:]), st.binary(max_size=64), st.sampled_from([1, 2]))
def test_the_room_of_a_packet_is_used_to_the_last_byte(
    keys: tuple[bytes, ...], label: bytes, version: int
) -> None:
    # A payload of the largest size, to a peer with checksums, encrypted: nothing is left over,
    # but for version 0's padding.
    keyring = Keyring(keys)
    config = Config.lan(label=label, protocol_version=version, compression=False)
    a = Memberlist(
        "a",
        address("a"),
        config,
        rng=random.Random(1),
        now=0.0,
        keyring=keyring,
        entropy=bytes,
        known=[node("b")],
    )
    keyring.add(bytes(24))

    a.message("b", bytes(largest(lambda payload: a.message("b", payload, 0.0))), 0.0)

    (packet,) = of(SendDatagram, drain(a))
    assert 1400 - 15 * (version == 1) <= len(packet.data) <= 1400
