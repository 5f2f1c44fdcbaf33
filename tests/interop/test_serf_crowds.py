"""Many members: large exchanges with an agent, and a mixed pool that stays calm."""

from __future__ import annotations

import time
from functools import partial

import pytest

from memberlist import Memberlist
from tests.interop.agents import Member, alive, tags, until
from tests.interop.conftest import StartAgent, StartMember

pytestmark = pytest.mark.interop

CROWD = 900


def populate(us: Member) -> None:
    """Tell us of a crowd that does not exist; nobody probes it while we are alone."""
    for number in range(CROWD):
        message = alive(f"ghost-{number}", (f"127.1.{number // 250}.{number % 250 + 1}", 7946))
        us.call(partial(receive, message))


def receive(message: bytes, machine: Memberlist, now: float) -> None:
    machine.receive_datagram(message, ("127.0.0.1", 9), now)


@pytest.mark.parametrize("compression", [True, False], ids=["compressed", "uncompressed"])
def test_an_exchange_of_900_members_both_ways(
    compression: bool, agent: StartAgent, member: StartMember
) -> None:
    still = {"probe_interval": 1000.0, "gossip_interval": 0.0, "compression": compression}
    them = agent("them", compression=compression)
    full, fresh = member("full", meta=tags(a="1"), **still), member("fresh", **still)
    populate(full)

    full.join(them.address)

    until(lambda: len(them.members()) == CROWD + 2)
    shown = them.members()
    assert shown["ghost-899"]["tags"] == {"role": "crowd"}
    assert shown["full"]["tags"] == {"a": "1"}

    fresh.join(them.address)

    known = {node.name for node in fresh.ask(lambda machine: machine.nodes)}
    assert known == {*shown, "fresh"}
    assert full.of("StreamRejected") == fresh.of("StreamRejected") == []


def test_a_mixed_pool_stays_calm(agent: StartAgent, member: StartMember) -> None:
    """Three of theirs, four of ours: nobody is suspected, everybody is healthy."""
    theirs = [agent(f"them-{number}") for number in range(3)]
    ours = [member(f"us-{number}") for number in range(4)]
    for other in theirs[1:]:
        assert other.join(theirs[0].address)
    for one in ours:
        one.join(theirs[0].address)
    until(lambda: all(len(one.ask(lambda m: m.members)) == 7 for one in ours))
    until(lambda: all(len(other.members()) == 7 for other in theirs))

    time.sleep(12.0)  # the claim is that nothing happens: there is no condition to wait for

    for one in ours:
        assert one.health() == 0
        for kind in ("MemberSuspected", "MemberFailed", "PacketRejected", "StreamRejected"):
            assert one.of(kind) == []
        assert one.ask(lambda machine: machine.stats.probes) >= 10
    for other in theirs:
        assert other.info("health_score") == "0"
        assert {member["status"] for member in other.members().values()} == {"alive"}
        assert "Suspect" not in other.written()
