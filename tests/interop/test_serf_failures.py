"""Members that die, freeze and wake up again, on either side of a mixed pool."""

from __future__ import annotations

import pytest

from tests.interop.agents import Agent, Member, text, until
from tests.interop.conftest import StartAgent, StartMember, StartProcess

pytestmark = pytest.mark.interop

#: memberlist's LAN profile, where its helpers' nacks come too late for a healthy prober.
LAN = {
    "probe_timeout": 0.5,
    "indirect_checks": 3,
    "suspicion_mult": 4,
    "gossip_interval": 0.2,
}

#: An unconfirmed suspicion lasts 18 s in a handful of members, and the local profile of Serf's
#: agents gossips a confirmation to two members only, which may be the dead ones.
DETECTION = 45.0


def both_see_alive(them: Agent, us: Member, names: tuple[str, ...]) -> bool:
    return all(them.status(name) == us.state(name) == "alive" for name in names)


def both_saw_fail(them: Agent, us: Member, names: tuple[str, ...], since: int) -> bool:
    """Serf keeps a failed member for a day; we forget it soon, so our word for it is the event."""
    failed = {e.node.name for e in us.of("MemberFailed", since)}
    return failed == set(names) and all(them.status(name) == "failed" for name in names)


def test_frozen_and_killed_members_of_both_sides_are_detected_by_both(
    agent: StartAgent, member: StartMember, process: StartProcess
) -> None:
    """SIGSTOP is detected, SIGCONT comes back, `kill -9` is detected: for theirs and ours."""
    them, us = agent("them"), member("us")
    us.join(them.address)
    their, our = agent("their-victim"), process("our-victim", them.address)
    assert their.join(us.address)
    victims = ("their-victim", "our-victim")
    until(lambda: both_see_alive(them, us, victims))

    their.pause()
    our.pause()
    until(lambda: both_saw_fail(them, us, victims, 0), DETECTION)

    expired = [event for event in us.of("MemberFailed") if event.declared_by == "us"]
    assert all(event.evidence is not None for event in expired)

    their.resume()
    our.resume()
    until(lambda: both_see_alive(them, us, victims), DETECTION)
    assert us.state("them") == "alive"

    so_far = len(us.events)
    their.kill()
    our.kill()
    until(lambda: both_saw_fail(them, us, victims, so_far), DETECTION)
    until(lambda: us.health() == 0)
    assert us.state("them") == "alive"
    assert them.status("us") == "alive"


def test_a_restarted_member_of_theirs_is_alive_again(
    agent: StartAgent, member: StartMember
) -> None:
    """A new process under the same name and address begins with incarnation 1 again."""
    us = member("us")
    them = agent("them")
    us.join(them.address)
    them.kill()
    until(lambda: us.state("them") == "dead", DETECTION)

    again = agent("them", f"-bind={text(them.address)}")
    us.join(them.address)

    until(lambda: us.state("them") == "alive")
    until(lambda: again.status("us") == "alive")


@pytest.mark.parametrize("profile", ["local", "lan"])
def test_a_death_leaves_the_living_healthy(
    profile: str, agent: StartAgent, member: StartMember
) -> None:
    """Helpers of theirs say too late that they got no answer either: that is not our illness.

    (Among agents alone the same death raises scores: their helpers' nacks come too late.)
    """
    theirs = [agent(f"them-{number}", f"-profile={profile}") for number in range(2)]
    settings = LAN if profile == "lan" else {}
    ours = [member(f"us-{number}", **settings) for number in range(3)]
    assert theirs[1].join(theirs[0].address)
    for one in ours:
        one.join(theirs[0].address)
    until(lambda: all(len(one.ask(lambda machine: machine.members)) == 5 for one in ours))

    theirs[1].kill()
    until(lambda: all(one.state("them-1") == "dead" for one in ours), DETECTION)

    assert sum(len(one.of("ProbeFailed")) for one in ours) > 0
    assert [event for one in ours for event in one.of("HealthChanged")] == []
