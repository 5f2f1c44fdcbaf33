"""Wrong keys, garbage and half sentences: they harm nobody."""

from __future__ import annotations

import socket
from random import Random

import pytest

from memberlist import Address, JoinFinished, SeedOutcome
from tests.interop.agents import Agent, Member, alive, free_address, packet, send, until
from tests.interop.conftest import StartAgent, StartMember

pytestmark = pytest.mark.interop

KEY, WRONG = bytes(range(32)), bytes(32)


def refused(us: Member, *seeds: Address) -> tuple[SeedOutcome, ...]:
    """Join in vain and return the outcomes."""
    number = us.call(lambda machine, now: machine.join(seeds, now))
    until(lambda: [e for e in us.of("JoinFinished") if e.join == number])
    finished: JoinFinished = next(e for e in us.of("JoinFinished") if e.join == number)
    assert finished.contacted == 0
    return finished.seeds


@pytest.mark.parametrize("key", [None, WRONG], ids=["no key", "another key"])
def test_a_member_without_the_key_gets_nowhere(
    key: bytes | None, agent: StartAgent, member: StartMember
) -> None:
    them, inside, outside = agent("them", key=KEY), member("in", key=KEY), member("out", key=key)
    inside.join(them.address)

    theirs = refused(outside, them.address)
    ours = refused(outside, inside.address)

    assert all(seed.reason for seed in (*theirs, *ours))
    until(lambda: set(them.members()) == {"in", "them"})
    assert [node.name for node in outside.ask(lambda machine: machine.members)] == ["out"]
    assert inside.state("out") == "unknown"
    until(lambda: inside.state("them") == "alive" and inside.health() == 0)


def test_an_agent_without_the_key_gets_nowhere(agent: StartAgent, member: StartMember) -> None:
    us, them = member("us", key=KEY), agent("them")

    assert not them.join(us.address)

    assert us.state("them") == "unknown"
    assert us.of("StreamRejected") != []
    assert list(them.members()) == ["them"]


def test_a_seed_that_nobody_listens_on_is_reported(member: StartMember) -> None:
    us = member("us")

    (outcome,) = refused(us, free_address())

    assert outcome.reason == "unreachable"


def garbage(seed: int) -> list[bytes]:
    """Return broken packets: noise, cut and mutated messages, nests and false promises."""
    rng = Random(seed)
    good = alive("ghost", ("127.0.0.1", 9))
    noise = [rng.randbytes(rng.randrange(1, 200)) for _ in range(100)]
    cut = [good[:length] for length in range(1, len(good), 7)]
    flipped = []
    for _ in range(100):
        changed = bytearray(good)
        changed[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        flipped.append(bytes(changed))
    # What would crash the agent itself (short version arrays) is not sent to
    # it; that we survive those too is a matter of our codec's tests.
    return [*noise, *cut, b"\x07\xff", b"\x0c\x00\x00\x00\x00\x00", b"\x09\x81", *flipped]


def test_garbage_packets_change_nothing(agent: StartAgent, member: StartMember) -> None:
    them, us = agent("them", key=KEY), member("us", key=KEY)
    us.join(them.address)

    for data in garbage(1):
        send(data, us.address)
        send(data, them.address)

    until(lambda: us.of("PacketRejected"))
    check_that_all_is_well(them, us)
    assert us.state("ghost") == "unknown"


def test_garbage_packets_change_nothing_in_plain_pools_either(member: StartMember) -> None:
    """Without the agent, which mutated version bytes can crash: it has no check of them."""
    us, friend = member("us"), member("friend")
    us.join(friend.address)

    for data in garbage(2):
        send(data, us.address)

    until(lambda: us.of("PacketRejected"))
    until(lambda: us.state("friend") == "alive" and us.health() == 0)


def test_truncated_streams_change_nothing(agent: StartAgent, member: StartMember) -> None:
    """Half an exchange, a promise never kept, an unknown kind, and silence."""
    them, us = agent("them"), member("us")
    us.join(them.address)
    header = packet(6, Join=True, Nodes=3, UserStateLen=100)

    for data in (header, header + b"\x87", packet(0, SeqNo=1, Node="us")[:5], b"\x0a\xff", b"\xf0"):
        for address in (us.address, them.address):
            with socket.create_connection(address, 5.0) as connection:
                connection.sendall(data)
    with socket.create_connection(us.address, 5.0) as silent:
        silent.settimeout(10.0)
        assert silent.recv(1) == b""  # given up after `stream_timeout`

    until(lambda: us.of("StreamRejected"))
    check_that_all_is_well(them, us)


def check_that_all_is_well(them: Agent, us: Member) -> None:
    probes = us.ask(lambda machine: machine.stats.probes)
    until(lambda: us.ask(lambda machine: machine.stats.probes) > probes + 2)
    us.join(them.address)
    assert them.process.poll() is None
    assert us.state("them") == "alive"
    assert them.status("us") == "alive"
    assert us.of("MemberSuspected") == []
    assert us.health() == 0
    us.ask(lambda machine: machine.check_invariants())
