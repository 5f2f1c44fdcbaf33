"""Streams: joins, push/pulls, reliable messages, stream pings; their limits, deadlines and ends."""

import random
from typing import Any

import pytest

from memberlist import (
    CloseStream,
    JoinFinished,
    Keyring,
    MemberJoined,
    MemberLeft,
    Memberlist,
    MemberlistLeft,
    MemberSuspected,
    MergeRefused,
    MessageDelivered,
    MessageFailed,
    MessageReceived,
    OpenStream,
    PacketRejected,
    ProbeFailed,
    QueueFull,
    SeedOutcome,
    SendStream,
    StreamRejected,
    UserStateReceived,
)
from memberlist.exchange import JOIN_CONCURRENCY, push_pull_scale
from memberlist.messages import Ack, ErrorReply, Ping, PushPull, UserMessage
from memberlist.node import DEAD, LEFT, SUSPECT
from memberlist.streams import encode_push_pull, seal_stream
from tests.memberlist.vocabulary import (
    WITHOUT_STREAM_PING,
    address,
    alive,
    deliver,
    drain,
    evidence,
    machine,
    next_probe,
    node,
    of,
    run,
    sent,
    suspect,
    timeline,
)
from tests.memberlist.wire import Said, accepts, push_pull, speech, stream_bytes, tells

KEY, OTHER_KEY = bytes(16), bytes(range(32))
TEN = 10.0  # the LAN's stream timeout, seconds


def nonces(size: int) -> bytes:
    return bytes(size)


def sealed(message: Any, *, reply: bool = True, **changes: Any) -> bytes:
    """Return all the bytes of one direction under other layers than none."""
    layers: dict[str, Any] = {
        "label": b"",
        "keyring": None,
        "verify_outgoing": True,
        "encryption_version": 1,
        "compression": False,
        "entropy": nonces,
        "reply": reply,
    }
    return seal_stream(stream_bytes(message), **(layers | changes))


def joining(*seeds: str, **changes: Any) -> tuple[Memberlist, list[int]]:
    """Return a member that has just called `join`, and its streams."""
    a = machine("a", fresh=True, **changes)
    a.join([address(seed) for seed in seeds], 0.0)
    return a, [output.stream for output in of(OpenStream, drain(a))]


# --- joining ---------------------------------------------------------------------------------


def test_a_join_opens_a_stream_to_its_seed_and_speaks_only_when_it_is_open() -> None:
    a = machine("a")

    number = a.join([address("b")], 1.0)

    assert number == 1
    assert drain(a) == [OpenStream(2, address("b"), TEN)]

    a.stream_opened(2, 1.1)

    assert speech(a) == [Said(2, push_pull(a.node, join=True))]


def test_what_a_join_tells_is_as_fresh_as_the_moment_at_which_the_stream_opens() -> None:
    a, (stream,) = joining("b")
    a.update_meta(b"newer", 0.5)
    drain(a)

    a.stream_opened(stream, 1.0)

    assert speech(a) == [Said(2, push_pull(node("a", 2, meta=b"newer"), join=True))]


def test_a_join_learns_whom_its_seed_knows_and_reports_the_outcome() -> None:
    a, (stream,) = joining("b")
    a.stream_opened(stream, 0.1)
    drain(a)

    tells(a, stream, push_pull(node("b"), node("c", 4), node("a")), now=0.2)

    assert speech(a) == [
        CloseStream(2),
        MemberJoined(node("b")),
        MemberJoined(node("c", 4)),
        JoinFinished(1, 1, (SeedOutcome(address("b"), joined=True),)),
    ]
    assert [member.name for member in a.members] == ["a", "b", "c"]
    assert a.stats.push_pulls == 1


def test_each_seed_of_a_join_has_its_outcome_in_the_order_given() -> None:
    a, (first, second, third, fourth) = joining("b", "c", "d", "e")
    for stream in (first, third, fourth):
        a.stream_opened(stream, 0.1)
    drain(a)

    a.stream_closed(second, 0.2)
    tells(a, third, ErrorReply("go away"), now=0.3)
    tells(a, fourth, push_pull(node("e"), node("a")), now=0.4)
    outputs = speech(a) + run(a, 10.0)

    assert of(JoinFinished, outputs) == [
        JoinFinished(
            1,
            1,
            (
                SeedOutcome(address("b"), joined=False, reason="timeout"),
                SeedOutcome(address("c"), joined=False, reason="unreachable"),
                SeedOutcome(address("d"), joined=False, reason="go away"),
                SeedOutcome(address("e"), joined=True),
            ),
        )
    ]
    assert of(StreamRejected, outputs) == [
        StreamRejected(4, address("c"), "unreachable", ""),
        StreamRejected(6, address("d"), "refused", "go away"),
        StreamRejected(2, address("b"), "timeout", ""),
    ]


def test_a_stream_that_ends_before_the_answer_fails_its_seed() -> None:
    a, (stream,) = joining("b")
    a.stream_opened(stream, 0.1)
    drain(a)

    a.stream_received(stream, stream_bytes(push_pull(node("b")))[:-1], 0.2)
    a.stream_closed(stream, 0.3)

    assert speech(a) == [
        CloseStream(2),
        StreamRejected(2, address("b"), "closed", ""),
        JoinFinished(1, 0, (SeedOutcome(address("b"), joined=False, reason="closed"),)),
    ]
    assert a.members == (a.node,)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (bytes([200]), "unknown-type", "unknown-type: a stream does not carry type 200"),
        (stream_bytes(Ack(1)), "unexpected-message", "Ack"),
        (stream_bytes(UserMessage(b"x")), "unexpected-message", "UserMessage"),
    ],
)
def test_an_answer_that_is_no_state_fails_the_seed(answer: bytes, reason: str, detail: str) -> None:
    a, (stream,) = joining("b")
    a.stream_opened(stream, 0.1)
    drain(a)

    a.stream_received(stream, answer, 0.2)

    assert speech(a) == [
        CloseStream(2),
        StreamRejected(2, address("b"), reason, detail),
        JoinFinished(1, 0, (SeedOutcome(address("b"), joined=False, reason=detail),)),
    ]
    assert a.stats.rejected == {reason: 1}


def test_seeds_may_be_ipv6_or_host_names_that_the_driver_resolves() -> None:
    a = machine("a")
    seeds = [("2001:db8::7", 7946), ("db.example", 8000)]

    a.join(seeds, 0.0)

    assert drain(a) == [OpenStream(2, seeds[0], TEN), OpenStream(4, seeds[1], TEN)]


def test_a_join_tries_few_seeds_at_once_and_goes_on_when_one_is_done() -> None:
    names = "bcdefghijkl"
    a, streams = joining(*names)

    assert len(streams) == JOIN_CONCURRENCY

    a.stream_closed(streams[0], 0.1)

    assert speech(a) == [
        CloseStream(2),
        StreamRejected(2, address("b"), "unreachable", ""),
        OpenStream(18, address("j"), TEN),
    ]

    for stream in [*streams[1:], 18, 20, 22]:
        a.stream_closed(stream, 0.2)
    (finished,) = of(JoinFinished, drain(a))

    assert (finished.contacted, len(finished.seeds)) == (0, len(names))


def test_joins_are_told_apart_by_their_numbers() -> None:
    a, (first,) = joining("b")

    assert a.join([address("c")], 0.0) == 2
    drain(a)
    a.stream_closed(4, 0.1)
    a.stream_closed(first, 0.2)

    assert [event.join for event in of(JoinFinished, drain(a))] == [2, 1]


def test_a_join_vetoed_here_is_a_refused_seed_and_changes_nothing() -> None:
    a, (stream,) = joining("b", options={"accept_merge": lambda nodes: len(nodes) < 2})
    a.stream_opened(stream, 0.1)
    drain(a)

    tells(a, stream, push_pull(node("b"), node("a"), join=True), now=0.2)

    assert speech(a) == [
        CloseStream(2),
        MergeRefused(address("b"), "not-accepted"),
        JoinFinished(1, 0, (SeedOutcome(address("b"), joined=False, reason="not-accepted"),)),
    ]
    assert a.members == (a.node,)
    assert a.stats.rejected == {"merge-refused": 1}


def test_a_member_that_comes_back_corrects_its_seed_at_once() -> None:
    # The seed still holds a newer incarnation of us, with other metadata.
    a, (stream,) = joining("b")
    a.stream_opened(stream, 0.1)
    drain(a)

    tells(a, stream, push_pull(node("b"), node("a", 9, meta=b"old")), now=0.2)
    outputs = drain(a)

    assert a.incarnation == 10
    assert of(type(sent("b")), outputs) == [sent("b", alive("a", 10))]


def test_a_seed_known_by_host_name_only_is_corrected_by_gossip() -> None:
    a = machine("a")
    a.join([("db.example", 8000)], 0.0)
    a.stream_opened(2, 0.1)
    drain(a)

    tells(a, 2, push_pull(node("b"), node("a", 9)), now=0.2)
    outputs = drain(a)

    assert a.incarnation == 10
    assert of(type(sent("b")), outputs) == []


# --- serving push/pulls ----------------------------------------------------------------------


def test_a_push_pull_is_answered_with_our_state_as_it_was_and_then_merged() -> None:
    a = machine("a", knows="c", options={"user_state": lambda join: b"join" if join else b"sync"})
    stream = accepts(a, "b", now=1.0)

    tells(a, stream, push_pull(node("b"), node("d"), join=True, state=b"theirs"), now=1.1)

    assert stream == 1
    assert speech(a) == [
        Said(1, push_pull(node("c"), node("a"), join=True, state=b"join")),
        CloseStream(1),
        MemberJoined(node("b")),
        MemberJoined(node("d")),
        UserStateReceived(address("b"), b"theirs", join=True),
    ]


def test_a_push_pull_that_is_no_join_asks_nobodys_leave() -> None:
    options = {"user_state": lambda join: b"join" if join else b"", "accept_merge": lambda _: False}
    a = machine("a", options=options)
    stream = accepts(a, now=1.0)

    tells(a, stream, push_pull(node("b")), now=1.1)

    assert speech(a) == [Said(1, push_pull(a.node)), CloseStream(1), MemberJoined(node("b"))]


def test_a_push_pull_believes_who_left_but_only_suspects_who_is_said_to_be_dead() -> None:
    a = machine("a", knows="bcde")
    stream = accepts(a, "b", now=1.0)

    state = push_pull(node("b"), node("c", 1, LEFT), node("d", 1, DEAD), node("e", 1, SUSPECT))
    tells(a, stream, state, now=1.0)

    assert speech(a)[2:] == [
        MemberLeft(node("c", 1, LEFT)),
        MemberSuspected(node("d", 1, SUSPECT), evidence("a", since=1.0, timeout=24.0)),
        MemberSuspected(node("e", 1, SUSPECT), evidence("a", since=1.0, timeout=24.0)),
    ]


def test_members_that_no_common_protocol_unites_are_refused_as_a_whole() -> None:
    a = machine("a", knows="c")
    stream = accepts(a, now=1.0)

    tells(a, stream, push_pull(node("b", versions=bytes([3, 5, 3, 0, 0, 0]))), now=1.0)
    outputs = speech(a)

    assert outputs[1:] == [
        CloseStream(1),
        MergeRefused(
            address("b"),
            "protocol version 2 of a member is not within 3 to 5, which all alive ones speak",
        ),
    ]
    assert a.member("b") is None
    assert a.stats.push_pulls == 0


def test_entries_that_describe_no_member_are_left_out_counted_and_told() -> None:
    a = machine("a")
    stream = accepts(a, now=1.0)
    nameless = encode_push_pull(False, [node("b"), node("c")], b"").replace(b"\xa1c", b"\xa0")

    a.stream_received(stream, nameless, 1.0)

    assert speech(a) == [
        PacketRejected(
            address("b"), "bad-name", "1 entries of a push/pull that describe no member"
        ),
        Said(1, push_pull(a.node)),
        CloseStream(1),
        MemberJoined(node("b")),
    ]
    assert a.stats.rejected == {"bad-name": 1}


def test_a_user_state_above_its_limit_stays_at_home_and_is_counted() -> None:
    a = machine("a", user_state_size_max=8, options={"user_state": lambda _: b"123456789"})
    stream = accepts(a, now=1.0)

    tells(a, stream, push_pull(node("b")), now=1.0)

    assert speech(a)[0] == Said(1, push_pull(a.node))
    assert a.stats.rejected == {"user-state-too-large": 1}


def test_a_user_state_at_its_limit_goes_out_and_comes_in() -> None:
    a = machine("a", user_state_size_max=8, options={"user_state": lambda _: b"12345678"})
    stream = accepts(a, now=1.0)

    tells(a, stream, push_pull(node("b"), state=b"abcdefgh"), now=1.0)
    outputs = speech(a)

    assert outputs[0] == Said(1, push_pull(a.node, state=b"12345678"))
    assert outputs[-1] == UserStateReceived(address("b"), b"abcdefgh", join=False)


# --- what serving refuses --------------------------------------------------------------------


def refusal(data: bytes, **changes: Any) -> list[Any]:
    """Return what a member makes of these bytes on an accepted stream."""
    a = machine("a", fresh=True, **changes)
    accepts(a, now=1.0)
    a.stream_received(1, data, 1.0)
    a.check_invariants()
    return speech(a)


@pytest.mark.parametrize(
    ("data", "changes", "reason", "detail"),
    [
        (bytes([7]), {}, "unknown-type", "a stream does not carry type 7"),
        (b"\x06\x01", {}, "malformed", None),
        (
            stream_bytes(push_pull(node("b"), state=b"123456789")),
            {"user_state_size_max": 8},
            "too-large",
            "a user state of 9 bytes, above 8",
        ),
        (
            stream_bytes(push_pull(node("b"), node("c"), node("d"))),
            {"push_pull_nodes_max": 2},
            "too-large",
            "3 members",
        ),
        (
            stream_bytes(UserMessage(b"123456789")),
            {"user_message_size_max": 8},
            "too-large",
            "a user message of 9 bytes, above 8",
        ),
        (
            sealed(push_pull(node("b")), label=b"dc1", reply=False),
            {},
            "label",
            "another label",
        ),
        (stream_bytes(push_pull(node("b"))), {"label": b"dc1"}, "label", "no label"),
        (
            sealed(push_pull(node("b")), keyring=Keyring([KEY])),
            {},
            "encrypted",
            "the stream is encrypted and we have no key",
        ),
    ],
)
def test_what_cannot_be_served_is_answered_with_its_reason(
    data: bytes, changes: dict[str, Any], reason: str, detail: str | None
) -> None:
    words, closing, event = refusal(data, **changes)

    assert closing == CloseStream(1)
    assert (event.reason, event.stream, event.source) == (reason, 1, address("b"))
    assert words == Said(1, ErrorReply(event.detail))
    if detail is not None:
        assert event.detail == f"{reason}: {detail}"


def test_limits_are_checked_before_the_body_comes() -> None:
    a = machine("a", user_message_size_max=8)
    accepts(a, now=1.0)
    data = stream_bytes(UserMessage(b"123456789"))

    a.stream_received(1, data[:-9], 1.0)

    assert of(StreamRejected, drain(a)) == [
        StreamRejected(
            1, address("b"), "too-large", "too-large: a user message of 9 bytes, above 8"
        )
    ]


@pytest.mark.parametrize("message", [Ack(1), ErrorReply("what?")])
def test_a_message_that_only_answers_is_refused_as_a_question(message: Any) -> None:
    assert refusal(stream_bytes(message)) == [
        CloseStream(1),
        StreamRejected(1, address("b"), "unexpected-message", type(message).__name__),
    ]


def test_a_served_stream_that_ends_early_is_dropped() -> None:
    a = machine("a")
    accepts(a, now=1.0)
    a.stream_received(1, stream_bytes(push_pull(node("b")))[:5], 1.0)

    a.stream_closed(1, 1.1)

    assert speech(a) == [CloseStream(1), StreamRejected(1, address("b"), "closed", "")]
    assert a.dump()["streams_open"] == 0


def test_a_served_stream_has_the_stream_timeout_and_not_a_moment_more() -> None:
    a = machine("a", stream_timeout=3.0)
    accepts(a, now=1.0)
    a.stream_received(1, b"\x06", 3.9)

    assert timeline(a, 3.99) == []
    assert timeline(a, 4.0) == [
        (4.0, CloseStream(1)),
        (4.0, StreamRejected(1, address("b"), "timeout", "")),
    ]


def test_streams_above_the_limit_are_closed_at_once_and_counted() -> None:
    a = machine("a", streams_max=2)

    assert [accepts(a, name, now=1.0) for name in "bcd"] == [1, 3, 5]
    assert speech(a) == [
        CloseStream(5),
        StreamRejected(5, address("d"), "too-many-streams", ""),
    ]

    a.stream_closed(1, 1.1)
    drain(a)

    assert accepts(a, "e", now=1.2) == 7
    assert drain(a) == []
    assert a.stats.streams_accepted == 4
    assert a.stats.rejected == {"too-many-streams": 1, "closed": 1}
    a.check_invariants()


# --- bytes in pieces, ids out of place -------------------------------------------------------


@pytest.mark.parametrize(
    "layers",
    [
        {},
        {"compression": True},
        {"keyring": Keyring([KEY])},
        {"keyring": Keyring([KEY]), "encryption_version": 0, "compression": True},
        {"label": b"dc1"},
        {"label": b"dc1", "keyring": Keyring([KEY]), "compression": True},
    ],
)
def test_a_stream_may_be_cut_anywhere(layers: dict[str, Any]) -> None:
    data = sealed(push_pull(node("b"), node("c"), state=b"state"), reply=False, **layers)
    options = {"keyring": layers.get("keyring"), "entropy": nonces}

    for cut in range(len(data) + 1):
        a = machine("a", fresh=True, label=layers.get("label", b""), options=options)
        accepts(a, now=1.0)
        a.stream_received(1, data[:cut], 1.0)
        a.stream_received(1, b"", 1.0)
        a.stream_received(1, data[cut:], 1.1)
        outputs = drain(a)

        assert of((MemberJoined, UserStateReceived), outputs) == [
            MemberJoined(node("b")),
            MemberJoined(node("c")),
            UserStateReceived(address("b"), b"state", join=False),
        ]


def test_a_stream_may_come_byte_by_byte() -> None:
    a = machine("a")
    accepts(a, now=1.0)

    for byte in stream_bytes(push_pull(node("b"), node("c"))):
        a.stream_received(1, bytes([byte]), 1.0)

    assert of(MemberJoined, drain(a)) == [MemberJoined(node("b")), MemberJoined(node("c"))]


def test_reports_about_streams_that_are_unknown_or_done_are_ignored() -> None:
    a, (stream,) = joining("b")

    a.stream_opened(99, 0.1)
    a.stream_received(98, b"what", 0.1)
    a.stream_closed(97, 0.1)
    a.stream_closed(stream, 0.1)
    drain(a)
    a.stream_opened(stream, 0.2)
    a.stream_received(stream, b"what", 0.2)
    a.stream_closed(stream, 0.2)
    a.stream_closed(stream, 0.2)

    assert drain(a) == []


def test_a_stream_opens_once_and_an_accepted_one_never() -> None:
    a, (stream,) = joining("b")
    accepts(a, now=0.1)
    a.stream_opened(stream, 0.1)
    drain(a)

    a.stream_opened(stream, 0.2)
    a.stream_opened(1, 0.2)

    assert drain(a) == []


def test_an_answer_before_the_report_of_opening_counts() -> None:
    a, (stream,) = joining("b")

    tells(a, stream, push_pull(node("b"), node("a")), now=0.1)

    assert of(JoinFinished, drain(a)) == [
        JoinFinished(1, 1, (SeedOutcome(address("b"), joined=True),))
    ]


def test_what_comes_after_the_message_is_ignored() -> None:
    a = machine("a")
    accepts(a, now=1.0)

    a.stream_received(1, stream_bytes(UserMessage(b"one")) + stream_bytes(UserMessage(b"two")), 1.0)

    assert speech(a) == [
        CloseStream(1),
        MessageReceived(address("b"), b"one", reliable=True),
    ]


# --- layers ----------------------------------------------------------------------------------


def test_the_opening_side_says_the_label_and_the_answer_does_not() -> None:
    a, (stream,) = joining("b", label=b"dc1")
    a.stream_opened(stream, 0.1)
    accepts(a, "c", now=0.1)
    a.stream_received(1, sealed(Ping(7, "a"), label=b"dc1", reply=False), 0.1)

    opening, answer = of(SendStream, drain(a))

    assert opening.data[:5] == b"\xf4\x03dc1"
    assert answer.data == stream_bytes(Ack(7))

    a.stream_received(stream, stream_bytes(push_pull(node("b"))), 0.2)

    assert of(JoinFinished, drain(a))[0].contacted == 1


@pytest.mark.parametrize("version", [1, 2])
def test_streams_are_encrypted_with_the_primary_key_of_the_moment(version: int) -> None:
    keyring = Keyring([KEY])
    a, (stream,) = joining(
        "b", protocol_version=version, options={"keyring": keyring, "entropy": nonces}
    )
    keyring.add(OTHER_KEY)
    keyring.use(OTHER_KEY)
    keyring.remove(KEY)

    a.stream_opened(stream, 0.1)
    (opening,) = of(SendStream, drain(a))

    expected = sealed(
        push_pull(a.node, join=True), keyring=Keyring([OTHER_KEY]), encryption_version=version - 1
    )
    assert opening.data == expected


def test_keys_may_rotate_while_a_stream_is_open() -> None:
    keyring = Keyring([KEY])
    a, (stream,) = joining("b", options={"keyring": keyring})
    answer = sealed(push_pull(node("b"), node("a")), keyring=Keyring([OTHER_KEY]))
    a.stream_received(stream, answer[:20], 0.1)

    keyring.add(OTHER_KEY)
    a.stream_received(stream, answer[20:], 0.2)

    assert of(JoinFinished, drain(a))[0].contacted == 1


def test_a_stream_with_a_removed_key_is_refused() -> None:
    keyring = Keyring([KEY])
    a, (stream,) = joining("b", options={"keyring": keyring})
    keyring.add(OTHER_KEY)
    keyring.use(OTHER_KEY)
    keyring.remove(KEY)

    a.stream_received(stream, sealed(push_pull(node("b")), keyring=Keyring([KEY])), 0.1)

    assert [event.reason for event in of(StreamRejected, drain(a))] == ["decrypt"]


def test_plain_streams_are_refused_only_where_encryption_is_required() -> None:
    reasons = []
    for verify_incoming in (True, False):
        a, (stream,) = joining(
            "b", verify_incoming=verify_incoming, options={"keyring": Keyring([KEY])}
        )
        tells(a, stream, push_pull(node("b"), node("a")), now=0.1)
        (finished,) = of(JoinFinished, drain(a))
        reasons.append(finished.seeds[0].reason)

    assert reasons == ["plaintext: the stream is not encrypted but must be", ""]


def test_a_keyring_that_does_not_verify_outgoing_speaks_plainly() -> None:
    a, (stream,) = joining("b", verify_outgoing=False, options={"keyring": Keyring([KEY])})

    a.stream_opened(stream, 0.1)

    assert speech(a) == [Said(2, push_pull(a.node, join=True))]


def test_streams_are_compressed_where_the_configuration_says_so() -> None:
    a, (stream,) = joining("b", compression=True)

    a.stream_opened(stream, 0.1)
    (opening,) = of(SendStream, drain(a))

    assert opening.data == sealed(push_pull(a.node, join=True), compression=True)


# --- reliable messages -----------------------------------------------------------------------


def test_a_reliable_message_is_written_with_its_end_and_delivered_when_the_peer_closes() -> None:
    a = machine("a", knows="b")

    number = a.message("b", b"hello", 1.0, reliable=True)

    assert drain(a) == [OpenStream(number, address("b"), TEN)]

    a.stream_opened(number, 1.1)

    assert speech(a) == [Said(number, UserMessage(b"hello"), eof=True)]

    a.stream_closed(number, 1.2)

    assert speech(a) == [CloseStream(number), MessageDelivered(number, "b")]


def test_a_reliable_message_to_nobody_home_fails() -> None:
    a = machine("a", knows="b")
    number = a.message("b", b"hello", 1.0, reliable=True)
    drain(a)

    a.stream_closed(number, 1.1)

    assert speech(a) == [CloseStream(number), MessageFailed(number, "b", "unreachable")]


def test_a_reliable_message_whose_stream_never_ends_fails_at_the_timeout() -> None:
    a = machine("a", knows="b", stream_timeout=2.0)
    number = a.message("b", b"hello", 1.0, reliable=True)
    a.stream_opened(number, 1.1)
    drain(a)

    assert of(MessageFailed, run(a, 2.99)) == []
    assert of((CloseStream, MessageFailed), run(a, 3.0)) == [
        CloseStream(number),
        MessageFailed(number, "b", "timeout"),
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (stream_bytes(ErrorReply("too much")), "too much"),
        (stream_bytes(Ack(1)), "unexpected-message"),
        (bytes([200]), "unknown-type"),
    ],
)
def test_a_reliable_message_that_the_peer_objects_to_fails_with_its_words(
    answer: bytes, reason: str
) -> None:
    a = machine("a", knows="b")
    number = a.message("b", b"hello", 1.0, reliable=True)
    a.stream_opened(number, 1.1)
    drain(a)

    a.stream_received(number, answer, 1.2)

    assert speech(a) == [CloseStream(number), MessageFailed(number, "b", reason)]


def test_commands_open_no_more_streams_than_the_limit() -> None:
    a = machine("a", knows="b", outbound_streams_max=3)
    accepts(a, now=1.0)
    numbers = [a.message("b", b"x", 1.0, reliable=True) for _ in range(3)]

    with pytest.raises(QueueFull, match="outbound streams"):
        a.message("b", b"x", 1.0, reliable=True)
    with pytest.raises(QueueFull):
        a.join([address("c")], 1.0)
    assert a.message("b", b"x", 1.0) == 0

    a.stream_closed(numbers[0], 1.1)

    assert a.join([address("c")], 1.2) == 1


# --- stream pings ----------------------------------------------------------------------------


def unanswered_probe(**changes: Any) -> tuple[Memberlist, int, float]:
    """Return a member whose direct ping was not answered, its sequence number and the time."""
    a = machine("a", knows="b", stream_pings=True, **changes)
    probed = next_probe(a)
    at = probed.at + a.config.probe_timeout
    a.handle_timeout(at)
    return a, probed.sequence, at


def test_a_missing_ack_is_asked_for_on_a_stream_within_the_probes_deadline() -> None:
    a, sequence, at = unanswered_probe()

    (opening,) = drain(a)

    assert isinstance(opening, OpenStream)
    assert (opening.stream, opening.to) == (2, address("b"))
    assert opening.timeout == pytest.approx(0.5)

    a.stream_opened(2, at)

    assert speech(a) == [Said(2, Ping(sequence, "b", address("a"), "a"))]

    tells(a, 2, Ack(sequence), now=at)

    assert speech(a) == [CloseStream(2)]
    assert run(a, at + 0.5) == []
    assert a.stats.stream_pings_needed == 1


@pytest.mark.parametrize("answer", [Ack(12345), ErrorReply("no"), push_pull(node("b"))])
def test_another_answer_on_the_stream_does_not_save_the_probe(answer: Any) -> None:
    a, _, at = unanswered_probe()
    a.stream_opened(2, at)
    drain(a)

    tells(a, 2, answer, now=at)

    assert speech(a) == [CloseStream(2)]
    (failed,) = of(ProbeFailed, run(a, at + 0.6))
    assert failed.probe.stream == "failed"


def test_a_stream_ping_that_cannot_connect_or_is_garbled_does_not_save_the_probe() -> None:
    for harm in ("refused", "garbled"):
        a, _, at = unanswered_probe()
        if harm == "refused":
            a.stream_closed(2, at)
        else:
            a.stream_received(2, b"\xff", at)

        assert of(CloseStream, drain(a)) == [CloseStream(2)]
        (failed,) = of(ProbeFailed, run(a, at + 0.6))
        assert failed.probe.stream == "failed"


def test_a_stream_ping_ends_with_its_probe() -> None:
    a, _, at = unanswered_probe()
    drain(a)

    outputs = run(a, at + 0.6)

    assert len(of(ProbeFailed, outputs)) == 1
    assert of(CloseStream, outputs) == [CloseStream(2)]
    assert a.dump()["streams_open"] == 0


def test_a_woken_late_probe_gives_its_stream_ping_a_little_time_still() -> None:
    a = machine("a", knows="b", stream_pings=True, blame_lateness=True)
    probed = next_probe(a)

    a.handle_timeout(probed.at + 100.0)

    openings = of(OpenStream, drain(a))
    assert [opening.timeout for opening in openings] == [0.001]


def test_peers_too_old_for_stream_pings_get_none() -> None:
    a = machine("a", knows=[node("b", versions=WITHOUT_STREAM_PING)], stream_pings=True)
    next_probe(a)

    assert of(OpenStream, run(a, 5.0)) == []


@pytest.mark.parametrize("name", ["a", ""])
def test_a_stream_ping_for_us_or_for_anybody_is_answered(name: str) -> None:
    a = machine("a")
    stream = accepts(a, now=1.0)

    tells(a, stream, Ping(77, name), now=1.0)

    assert speech(a) == [Said(1, Ack(77)), CloseStream(1)]


def test_a_stream_ping_for_somebody_else_is_closed_without_a_word() -> None:
    a = machine("a")
    stream = accepts(a, now=1.0)

    tells(a, stream, Ping(77, "z"), now=1.0)

    assert speech(a) == [CloseStream(1)]


# --- the periodic push/pull ------------------------------------------------------------------


def test_a_push_pull_goes_to_a_random_member_once_a_period() -> None:
    a = machine("a", knows="bc", push_pull_interval=30.0, probe_interval=1000.0)

    line = timeline(a, 600.0)
    openings = [(at, output.to) for at, output in line if isinstance(output, OpenStream)]

    first = openings[0][0]
    assert 0.0 < first <= 30.0
    assert [at for at, _ in openings] == [pytest.approx(first + 30.0 * n) for n in range(20)]
    assert {to for _, to in openings} == {address("b"), address("c")}


def test_a_push_pull_goes_to_nobody_who_is_suspected() -> None:
    a = machine("a", knows="bc", push_pull_interval=30.0, probe_interval=1000.0)
    deliver(a, suspect("c", by="b"), now=0.0)

    openings = of(OpenStream, run(a, 600.0))

    assert {opening.to for opening in openings} == {address("b")}


def test_a_push_pull_of_the_period_is_no_join() -> None:
    a = machine("a", knows="b", push_pull_interval=30.0, probe_interval=1000.0)
    at = a.next_timeout()
    assert at is not None
    run(a, at)
    a.stream_opened(2, at)

    assert speech(a) == [Said(2, push_pull(node("b"), node("a")))]

    tells(a, 2, push_pull(node("b"), node("a"), node("c")), now=30.1)

    assert speech(a) == [CloseStream(2), MemberJoined(node("c"))]


def test_whom_the_healer_contacts_is_asked_as_by_a_join_that_nobody_waits_for() -> None:
    a = machine("a", heal_interval=60.0)
    a.join([address("b")], 0.0)
    a.stream_closed(2, 0.1)
    drain(a)

    (opening,) = of(OpenStream, run(a, 60.0))
    a.stream_opened(opening.stream, 60.0)

    assert speech(a) == [Said(4, push_pull(a.node, join=True))]

    tells(a, 4, push_pull(node("b"), node("a")), now=60.1)

    assert speech(a) == [CloseStream(4), MemberJoined(node("b"))]


@pytest.mark.parametrize("start", range(10))
def test_some_rounds_of_gossip_after_a_join_somebody_else_is_asked_too(start: int) -> None:
    """Who joins at the same moment is heard of by gossip only, which misses one now and then."""
    a = machine("a", seed=start, push_pull_interval=1e6, gossip_interval=0.2, probe_interval=1e6)
    a.join([address("b")], 0.0)
    drain(a)
    a.stream_opened(2, 0.1)
    tells(a, 2, push_pull(node("b"), node("c"), node("a")), now=0.2)

    line = timeline(a, 1000.0)
    openings = [at for at, output in line if isinstance(output, OpenStream)]

    assert len(openings) == 1
    assert 1.2 <= openings[0] <= 2.2


def test_a_join_does_not_put_off_a_push_pull_that_is_due_earlier() -> None:
    changes: dict[str, Any] = {
        "push_pull_interval": 0.5,
        "gossip_interval": 0.2,
        "probe_interval": 1e6,
    }
    a, unmoved = machine("a", knows="c", **changes), machine("a", knows="c", **changes)
    a.join([address("b")], 0.0)
    drain(a)
    a.stream_opened(2, 0.0)
    tells(a, 2, push_pull(node("b"), node("a")), now=0.0)

    first, expected = (
        next(at for at, output in timeline(each, 10.0) if isinstance(output, OpenStream))
        for each in (a, unmoved)
    )

    assert first == expected


def test_a_join_that_reached_nobody_and_one_without_push_pulls_ask_nobody_else() -> None:
    a = machine("a", knows="c", push_pull_interval=1e6, probe_interval=1e6)
    a.join([address("b")], 0.0)
    a.stream_closed(2, 0.1)
    quiet = machine("a", knows="c", probe_interval=1e6)
    quiet.join([address("b")], 0.0)
    quiet.stream_opened(2, 0.1)
    tells(quiet, 2, push_pull(node("b"), node("a")), now=0.2)
    drain(a)
    drain(quiet)

    assert of(OpenStream, run(a, 1000.0)) == []
    assert of(OpenStream, run(quiet, 1000.0)) == []


def test_all_streams_together_hold_no_more_than_the_limit() -> None:
    """A stranger could open each of them and never say the rest."""
    begun = b"\x0a" + (2000).to_bytes(4, "big") + bytes(895)
    limits: dict[str, Any] = {"streams_buffered_max": 2048, "frame_size_max": 2048}
    keyed = machine("a", fresh=True, options={"keyring": Keyring([KEY])}, **limits)
    first, second, third = (accepts(keyed, now=0.0) for _ in range(3))
    for stream in (first, second, third):
        keyed.stream_received(stream, begun, 0.1)

    rejections = of(StreamRejected, drain(keyed))

    assert [(each.stream, each.reason) for each in rejections] == [(third, "too-large")]
    keyed.check_invariants()

    keyed.stream_closed(first, 0.2)
    fourth = accepts(keyed, now=0.2)
    keyed.stream_received(fourth, begun, 0.3)

    assert of(StreamRejected, drain(keyed))[0].stream == first
    assert keyed.stats.rejected["too-large"] == 1
    keyed.check_invariants()


def test_push_pulls_can_be_turned_off_and_need_somebody() -> None:
    assert of(OpenStream, run(machine("a", knows="b", push_pull_interval=0.0), 200.0)) == []
    assert of(OpenStream, run(machine("a", push_pull_interval=30.0), 200.0)) == []


def test_push_pulls_become_rarer_as_the_cluster_grows() -> None:
    assert [push_pull_scale(30.0, n) for n in (1, 32, 33, 64, 65, 128, 129)] == [
        30.0,
        30.0,
        60.0,
        60.0,
        90.0,
        90.0,
        120.0,
    ]


# --- the end ---------------------------------------------------------------------------------


def test_the_end_closes_every_stream_and_tells_whoever_waited() -> None:
    a = machine("a")
    a.join([address(name) for name in "bcdefghijkl"], 0.0)
    number = a.message("a", b"x", 0.0, reliable=True)
    accepts(a, "z", now=0.0)
    drain(a)

    a.leave(0.1)
    outputs = speech(a)

    assert of(OpenStream, outputs) == []
    assert [closing.stream for closing in of(CloseStream, outputs)] == [
        *range(2, 18, 2),
        number,
        1,
    ]
    assert of(MessageFailed, outputs) == [MessageFailed(number, "a", "left")]
    assert of(JoinFinished, outputs) == [
        JoinFinished(
            1,
            0,
            tuple(
                SeedOutcome(address(name), joined=False, reason="left") for name in "bcdefghijkl"
            ),
        )
    ]
    assert outputs[-1] == MemberlistLeft(told=True)
    assert a.dump()["streams_open"] == 0


def test_nonces_come_from_entropy_and_never_repeat_by_the_rng() -> None:
    drawn = random.Random(3)
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return drawn.randbytes(size)

    options = {"keyring": Keyring([KEY]), "entropy": entropy}
    a, (stream,) = joining("b", options=options)
    asked.clear()

    a.stream_opened(stream, 0.1)

    assert asked == [12]


def test_a_merge_names_the_source_of_its_state() -> None:
    a = machine("a")
    accepts(a, "q", now=1.0)

    tells(a, 1, PushPull(False, [node("q")], b"s"), now=1.0)

    assert of(UserStateReceived, drain(a)) == [UserStateReceived(address("q"), b"s", join=False)]
