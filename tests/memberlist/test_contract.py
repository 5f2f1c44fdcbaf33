"""The machine under the contract's battery: hostile bytes, wrong calls, odd times."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memberlist import Config, Keyring, Memberlist, MemberlistError
from memberlist.codec import encode_compressed
from memberlist.messages import Ack, ErrorReply, Ping, UserMessage
from memberlist.node import DEAD, INCARNATION_MAX, LEFT, SUSPECT
from memberlist.packet import encode_compound, label_header
from memberlist.streams import seal_stream
from tests.contract import Battery, Call, Step, assert_same_under_hash_seeds, call
from tests.memberlist.vocabulary import (
    User,
    ack,
    address,
    alive,
    dead,
    drain,
    encode,
    indirect_ping,
    left,
    nack,
    node,
    ping,
    suspect,
)
from tests.memberlist.wire import push_pull, stream_bytes
from tests.strategies import hostile, logs, mangled

KEY = bytes(range(16))


def nonces(size: int) -> bytes:
    return bytes(size)


def make(rng: random.Random, now: float, *, talking: bool, keys: tuple[bytes, ...]) -> Memberlist:
    """Return a member of a small cluster, with little room in every queue."""
    config = Config.local(
        streams_max=3,
        outbound_streams_max=4,
        user_broadcasts_max=5,
        pending_pings_max=4,
        members_max=12,
        remembered_max=2,
        gossip_to_the_dead_time=2.0,
        heal_interval=3.0 if talking else 0.0,
        push_pull_interval=4.0 if talking else 0.0,
        gossip_interval=0.1 if talking else 0.0,
        label=b"dc1" if keys else b"",
        user_state_size_max=64,
        user_message_size_max=64,
        frame_size_max=4096,
        stream_decompressed_max=4096,
        compression_size_min=0,
        verify_incoming=False,
        allowed_networks=("10.0.0.0/8", "2001:db8::/32"),
    )
    return Memberlist(
        "a",
        address("a"),
        config,
        rng=rng,
        now=now,
        keyring=Keyring(keys),
        entropy=nonces,
        known=[node("b"), node("c")],
        user_state=lambda join: b"join" if join else b"",
        accept=lambda member: member.meta != b"evil",
        accept_merge=lambda members: all(member.meta != b"worse" for member in members),
    )


# Refused whatever the state: a wrong argument, or that it has left already.
MISUSE = (
    call("join", []),
    call("join", [("", 1)]),
    call("join", ["10.0.0.2:7946"]),
    call("leave", timeout=0.0),
    call("leave", timeout=float("nan")),
    call("update_meta", bytes(600)),
    call("update_meta", "text"),
    call("update_ping_payload", bytes(1400)),
    call("broadcast", bytes(1400)),
    call("broadcast", b"x", key=["unhashable"]),
    call("broadcast", b"x", priority=10),
    call("message", "nobody", b"x"),
    call("message", "b", bytes(65), reliable=True),
    call("message", ("10.0.0.2", 7946), b"x", reliable=True),
    call("message", ("10.0.0.2", 0), b"x"),
    call("ping", "nobody"),
)


def battery(*, talking: bool = True, keys: tuple[bytes, ...] = ()) -> Battery:
    return Battery(
        make=functools.partial(make, talking=talking, keys=keys),
        refusals=(MemberlistError,),
        misuse=MISUSE,
        queries={"member": ("b",)},
        ending=call("leave"),
        revives=frozenset(("rejoin",)),
        outputs_max=60,
    )


# --- what may come ---------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "z")
PACKETS = [
    *(encode(ping(number, to)) for number, to in enumerate(("a", "", "b"))),
    *(encode(about(name, 1, by="z")) for name in NAMES for about in (suspect, dead)),
    *(encode(alive(name, incarnation)) for name in NAMES for incarnation in (1, 2, 3)),
    *(encode(left(name, 2)) for name in NAMES),
    encode(alive("b", 4, at=address("y"))),
    encode(alive("a", 4, at=address("y"))),
    encode(alive("a", 9, meta=b"not ours")),
    encode(alive("d", meta=b"evil")),
    encode(alive("d", at=("192.0.2.1", 7946))),
    encode(alive("d", at=("2001:db8::1", 7946), versions=b"")),
    encode(suspect("a", INCARNATION_MAX, by="b")),
    encode(dead("b", INCARNATION_MAX, by="c")),
    encode(indirect_ping(5, "b"), indirect_ping(6, "q", nack=False)),
    encode(ack(1, b"payload"), nack(1), User(b"hello")),
    encode_compressed(encode_compound([encode(ping(8)), encode(User(b"x" * 40))])),
    label_header(b"dc1") + encode(ping(9)),
    label_header(b"dc1") + Keyring([KEY]).seal(encode(ping(10)), b"dc1", bytes(12), 1),
]
STREAM_MESSAGES: list[Any] = [
    push_pull(node("b", 2), node("d"), node("a"), state=b"state"),
    push_pull(node("b", 1, DEAD), node("c", 1, LEFT), node("d", 1, SUSPECT), join=True),
    push_pull(node("e", meta=b"worse"), join=True),
    push_pull(node("a", 7, meta=b"not ours"), node("e", versions=bytes([3, 5, 3, 0, 0, 0]))),
    push_pull(state=bytes(65)),
    Ping(3, "a"),
    Ping(3, "z"),
    Ack(3),
    UserMessage(b"reliable"),
    UserMessage(bytes(65)),
    ErrorReply("no"),
]
STREAMS = [
    seal_stream(
        stream_bytes(message),
        label=label,
        keyring=Keyring([KEY] if keyed else []),
        verify_outgoing=True,
        encryption_version=1,
        compression=keyed,
        entropy=nonces,
        reply=False,
    )
    for message in STREAM_MESSAGES
    for label, keyed in ((b"", False), (b"", True), (b"dc1", True))
]

peers = st.sampled_from([*(address(name) for name in NAMES), ("2001:db8::1", 7946)])
members = st.sampled_from(NAMES)
numbers = st.integers(-1, 24)
payloads = st.binary(max_size=80)


def calls(method: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """Draw calls of one input."""
    return st.tuples(*args).map(lambda drawn: Call(method, drawn))


@st.composite
def broadcasts(draw: st.DrawFn) -> Call:
    options: dict[str, object] = {}
    if draw(st.booleans()):
        options["key"] = draw(st.sampled_from("kl"))
    if draw(st.booleans()):
        options["priority"] = draw(st.integers(-1, 10))
    return Call("broadcast", (draw(payloads),), options=options)


@st.composite
def messages(draw: st.DrawFn) -> Call:
    to = draw(st.one_of(members, peers))
    return Call("message", (to, draw(payloads)), options={"reliable": draw(st.booleans())})


pieces = st.one_of(
    st.sampled_from(STREAMS),
    mangled(STREAMS),
    st.tuples(st.sampled_from(STREAMS), st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
)
datagrams = calls("receive_datagram", hostile(PACKETS), peers)
stream_reports = st.one_of(
    calls("stream_accepted", peers),
    calls("stream_opened", numbers),
    calls("stream_received", numbers, pieces),
    calls("stream_closed", numbers),
)
commands = st.one_of(
    calls("join", st.lists(peers, max_size=10)),
    calls("update_meta", payloads),
    calls("update_ping_payload", payloads),
    broadcasts(),
    messages(),
    calls("ping", members),
    st.just(call("leave", timeout=0.3)),
    calls("rejoin"),
    calls("handle_timeout"),
)


# --- the battery -----------------------------------------------------------------------------


@settings(max_examples=30)
@given(logs(datagrams, stream_reports, commands, size_max=20, step_max=2.0))
@example([call("leave", timeout=0.3), call("rejoin", now=0.1), call("leave", now=9.0)])
@example([call("join", [(f"10.3.0.{number}", 7946) for number in range(1, 11)]), call("leave")])
def test_it_obeys_the_contract(log: list[Call]) -> None:
    battery().check(log)


@settings(max_examples=15)
@given(logs(datagrams, stream_reports, commands, size_max=20, step_max=2.0))
def test_it_obeys_the_contract_with_label_and_keys(log: list[Call]) -> None:
    battery(keys=(KEY,)).check(log)


@settings(max_examples=15)
@given(logs(datagrams, commands, size_max=12, step_max=60.0))
def test_it_obeys_the_contract_when_hardly_ever_woken(log: list[Call]) -> None:
    battery(talking=False).check(log)


@given(st.lists(st.tuples(hostile(PACKETS, size_max=200), peers), max_size=20))
def test_no_packet_breaks_an_invariant(packets: list[tuple[bytes, Any]]) -> None:
    a = make(random.Random(1), 0.0, talking=True, keys=())

    for data, source in packets:
        a.receive_datagram(data, source, 1.0)
        a.check_invariants()


@given(st.lists(pieces, max_size=8), st.lists(st.integers(1, 60), max_size=8))
def test_no_stream_breaks_an_invariant(chunks: list[bytes], cuts: list[int]) -> None:
    a = make(random.Random(1), 0.0, talking=True, keys=())
    a.join([address("b")], 0.0)
    accepted = a.stream_accepted(address("b"), 0.0)

    for chunk, cut in zip(chunks, cuts, strict=False):
        for stream in (2, accepted):
            a.stream_received(stream, chunk[:cut], 1.0)
            a.stream_received(stream, chunk[cut:], 1.0)
            a.check_invariants()


# --- C14 for each command --------------------------------------------------------------------

STATES: dict[str, list[Call]] = {
    "running": [],
    "busy": [
        call("broadcast", b"x"),
        call("join", [address("d")]),
        call("receive_datagram", encode(suspect("b", by="c")), address("c")),
    ],
    "leaving": [call("leave")],
    "over": [call("leave", timeout=0.5), call("handle_timeout", now=0.6)],
}


@pytest.mark.parametrize("wrong", MISUSE, ids=lambda wrong: f"{wrong.method}")
@pytest.mark.parametrize("state", STATES)
def test_a_refused_command_leaves_no_trace(state: str, wrong: Call) -> None:
    rng = random.Random(1)
    a = make(rng, 0.0, talking=True, keys=())
    for each in STATES[state]:
        getattr(a, each.method)(*each.args, each.now, **each.options)
    before, draws = a.dump(), rng.getstate()
    drain(a)

    with pytest.raises((ValueError, TypeError, MemberlistError)):
        getattr(a, wrong.method)(*wrong.args, 1.0, **wrong.options)

    assert a.dump() == before
    assert rng.getstate() == draws
    assert a.poll() is None


# --- the same under any hash seed ------------------------------------------------------------


def trace() -> Iterable[Step]:
    """Return what a member does with a long log of everything, for two key sets."""
    chance = random.Random(7)
    log = []
    now = 0.0
    for number in range(150):
        now += chance.random() * 0.5
        source = address(chance.choice(NAMES))
        match number % 5:
            case 0 | 1:
                log.append(call("receive_datagram", chance.choice(PACKETS), source, now=now))
            case 2:
                log.append(call("stream_accepted", source, now=now))
                stream, data = chance.randrange(30), chance.choice(STREAMS)
                log.append(call("stream_received", stream, data, now=now))
            case 3:
                log.append(call("broadcast", b"%d" % number, now=now, key=chance.choice("klm")))
            case 4:
                log.append(call("join", [address(name) for name in NAMES], now=now))
                log.append(call("stream_opened", chance.randrange(30) * 2, now=now))
    return [*battery().trace(log), *battery(keys=(KEY,)).trace(log)]


def test_it_is_the_same_under_any_hash_seed() -> None:
    steps = list(trace())

    assert len(steps) > 400
    assert sum(bool(step.outputs) for step in steps) > 150
    assert_same_under_hash_seeds(trace)
