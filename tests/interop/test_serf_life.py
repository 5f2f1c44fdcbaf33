"""The life of a member in a pool of real Serf agents, plain and encrypted, compressed and not.

Serf's agents learn of us what `serf members` shows; we learn of them what our events say.
"""

from __future__ import annotations

from typing import Any

import pytest

from memberlist.outputs import MessageReceived
from tests.interop.agents import (
    Agent,
    Member,
    free_address,
    leave_intent,
    packet,
    send,
    tags,
    until,
)
from tests.interop.conftest import StartAgent, StartMember

pytestmark = pytest.mark.interop

AES_128 = bytes(range(16))
AES_256 = bytes(range(32))

MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "uncompressed": ({"compression": False}, {"compression": False}),
    "AES-128": ({"key": AES_128}, {"key": AES_128}),
    "AES-256": ({"key": AES_256}, {"key": AES_256}),
    "AES-256-uncompressed": (
        {"key": AES_256, "compression": False},
        {"key": AES_256, "compression": False},
    ),
    # Protocol 1 encrypts with padding (v0), as agents of the first years do.
    "AES-256-v0": ({"key": AES_256}, {"key": AES_256, "protocol_version": 1}),
}


@pytest.fixture(params=list(MODES))
def pair(
    request: pytest.FixtureRequest, agent: StartAgent, member: StartMember
) -> tuple[Agent, Member]:
    theirs, ours = MODES[request.param]
    return agent("them", "-tag=role=web", **theirs), member("us", meta=tags(a="1"), **ours)


def test_a_member_lives_with_an_agent_from_join_to_leave(pair: tuple[Agent, Member]) -> None:
    them, us = pair

    us.join(them.address)

    until(lambda: them.status("us") == "alive")
    assert them.members()["us"]["tags"] == {"a": "1"}
    assert us.state("them") == "alive"
    assert us.view("them").meta == tags(role="web")

    check_that_metadata_travels(them, us)
    check_that_user_messages_travel(them, us)
    check_that_suspicions_are_refuted(them, us)

    # Having to refute cost each of them a point, which the next good probe gives back.
    until(lambda: us.health() == 0)
    until(lambda: them.info("health_score") == "0")
    us.call(lambda machine, now: machine.broadcast(leave_intent("us", 1000), now))
    until(lambda: them.status("us") == "leaving")
    us.call(lambda machine, now: machine.leave(now))
    until(lambda: them.status("us") == "left")
    until(lambda: us.of("MemberlistLeft"))
    assert us.of("MemberlistLeft")[0].told
    assert us.of("PacketRejected") == []
    assert us.of("StreamRejected") == []


def check_that_metadata_travels(them: Agent, us: Member) -> None:
    us.call(lambda machine, now: machine.update_meta(tags(a="2", b="x" * 100), now))
    until(lambda: them.members()["us"]["tags"] == {"a": "2", "b": "x" * 100})

    assert them.cli("tags", "-set", "role=db").returncode == 0
    until(lambda: us.view("them").meta == tags(role="db"))
    assert [e.node.name for e in us.of("MemberUpdated")] == ["them"]


def check_that_user_messages_travel(them: Agent, us: Member) -> None:
    assert them.cli("event", "-coalesce=false", "deploy", "v1").returncode == 0
    received = b"\xa4Name\xa6deploy\xa7Payload\xa2v1"
    until(lambda: [e for e in us.of("MessageReceived") if received in e.payload])
    assert all(isinstance(e, MessageReceived) for e in us.of("MessageReceived"))

    event = packet(3, CC=False, LTime=50, Name="hello", Payload=b"from us")
    us.call(lambda machine, now: machine.broadcast(event, now))
    until(lambda: int(them.info("event_time")) == 51)


def check_that_suspicions_are_refuted(them: Agent, us: Member) -> None:
    """Forge an accusation of each and send it to the accused, through the right encryption."""
    before = us.incarnation()
    theirs = us.view("them").incarnation
    forged = packet(3, From="forger", Incarnation=before, Node="us")
    accuse = packet(3, From="forger", Incarnation=theirs, Node="them")
    if us.keyring is None:
        send(forged, us.address)
        send(accuse, them.address)
    else:
        send(us.keyring.seal(forged, b"", bytes(12)), us.address)
        send(us.keyring.seal(accuse, b"", bytes(12)), them.address)

    until(lambda: us.incarnation() > before)
    until(lambda: us.view("them").incarnation > theirs)
    refuted = us.of("AccusationRefuted")
    assert [(e.accuser, e.claim) for e in refuted] == [("forger", "suspect")]
    assert them.status("us") == "alive"
    assert us.state("them") == "alive"


def test_an_agent_may_join_us_and_leave(pair: tuple[Agent, Member]) -> None:
    them, us = pair

    assert them.join(us.address)

    until(lambda: us.state("them") == "alive")
    until(lambda: them.status("us") == "alive")
    assert them.cli("leave").returncode == 0
    until(lambda: us.state("them") == "left")
    assert [e.node.name for e in us.of("MemberLeft")] == ["them"]
    assert us.of("MemberFailed") == []


def test_ipv6_members_live_together(agent: StartAgent, member: StartMember) -> None:
    try:
        free_address("::1")
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    them, us, friend = agent("them", host="::1"), member("us", host="::1"), member("f", host="::1")

    us.join(them.address)
    assert them.join(friend.address)

    until(lambda: them.status("us") == them.status("f") == "alive")
    until(lambda: us.state("f") == us.state("them") == "alive")
    assert us.view("them").address == them.address
    probes = us.ask(lambda machine: machine.stats.probes)
    until(lambda: us.ask(lambda machine: machine.stats.probes) > probes + 2)
    assert us.of("MemberSuspected") == us.of("PacketRejected") == []


def test_a_leave_without_serfs_own_intent_shows_as_failed_there(
    agent: StartAgent, member: StartMember
) -> None:
    """Serf does not look at memberlist's state: the intent is the application's to send."""
    them, us = agent("them"), member("us")
    us.join(them.address)

    us.call(lambda machine, now: machine.leave(now))

    until(lambda: them.status("us") == "failed")
    until(lambda: us.of("MemberlistLeft"))
    assert us.of("MemberlistLeft")[0].told


def test_who_left_may_come_back_in_the_same_object(agent: StartAgent, member: StartMember) -> None:
    them, us = agent("them"), member("us")
    us.join(them.address)
    us.call(lambda machine, now: machine.leave(now))
    until(lambda: them.status("us") == "failed")

    us.call(lambda machine, now: machine.rejoin(now))
    us.join(them.address)

    until(lambda: them.status("us") == "alive")
    assert us.state("them") == "alive"
