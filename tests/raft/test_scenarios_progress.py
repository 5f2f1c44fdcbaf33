"""What must always happen in the end, as stories: nobody waits for ever."""

from __future__ import annotations

import pytest

from raft import (
    Config,
    Configuration,
    Drop,
    ProposalDropped,
    RemoveMember,
    Role,
)
from raft.messages import AppendEntries, HeartbeatResponse, RequestVoteResponse
from tests.raft.test_scenarios_safety import PLAIN, led, on_disk
from tests.raft.vocabulary import THREE, Servers, machine, persist_all


def test_a_transfer_ends_when_its_time_is_over() -> None:
    servers = led()
    servers.isolate("b")
    servers["a"].propose(b"x", servers.now)
    servers["a"].transfer("b", servers.now)

    servers["a"].handle_timeout(servers.now + servers.config.transfer_limit)

    assert servers["a"].status().transferee is None


def test_a_leader_without_a_quorum_ends() -> None:
    servers = led()

    servers["a"].handle_timeout(servers.now + 2 * servers.config.election_timeout)

    assert servers["a"].role is Role.FOLLOWER


def test_an_earlier_term_with_the_longer_log_is_elected_in_the_end() -> None:
    """Else nobody is: the others are in a later term, and their logs are too short."""
    servers = Servers(*THREE)
    servers.start("a", on_disk(THREE, 2, 2, term=2))
    servers.start("b", on_disk(THREE, term=5))
    servers.start("c", on_disk(THREE, term=5))
    servers.isolate("c")

    servers.advance(30.0)

    assert servers.leaders() == ["a"]


def test_a_server_that_was_cut_off_in_a_later_term_comes_back() -> None:
    """It has no vote before the others campaign, and the leader's messages are of the past."""
    rolling = {"c": Config(pre_vote=False)}
    servers = led(configs=rolling)
    servers.isolate("c")
    servers.advance(5.0)
    assert servers["c"].term > servers["a"].term
    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    servers.heal()
    servers.advance(10.0)

    assert len(servers.leaders()) == 1
    assert servers["c"].applied_index == servers["a"].applied_index == servers["a"].last_index


def test_a_server_that_was_cut_off_and_asks_first_disturbs_nobody() -> None:
    servers = led()
    term = servers["a"].term
    servers.isolate("c")
    servers.advance(20.0)

    servers.heal()
    servers["c"].campaign(servers.now)
    servers.deliver()
    servers.advance(5.0)

    assert (servers.leaders(), servers["c"].term) == (["a"], term)


def test_a_learner_of_a_later_term_disturbs_nobody_for_long() -> None:
    """hashicorp/raft issue 524: a non-voter made its leader step down again and again."""
    configuration = Configuration(voters=THREE, learners=("d",))
    servers = led(*THREE, "d", configuration=configuration)
    late = AppendEntries("d", "x", 9, 0, 0)
    servers["d"].receive(late, servers.now)
    servers.advance(10.0)
    assert len(servers.leaders()) == 1
    leader, term = servers.leaders()[0], servers["a"].term

    servers.advance(30.0)

    assert (servers.leaders(), servers["a"].term, servers["d"].leader) == ([leader], term, leader)


def test_each_server_in_turn_can_lead() -> None:
    servers = Servers(*THREE)

    for name in (*THREE, *THREE):
        servers.elect(name)
        servers[name].propose(name.encode(), servers.now)
        servers.deliver()
    servers.advance(1.0)

    assert [payload for _, payload in servers.applied["b"]] == [b"a", b"b", b"c", b"a", b"b", b"c"]
    assert servers.applied["a"] == servers.applied["b"] == servers.applied["c"]


def test_a_pre_vote_that_ends_in_a_tie_is_repeated() -> None:
    servers = Servers(*THREE)
    for name in THREE:
        servers[name].campaign(servers.now)
    servers.deliver()

    servers.advance(10.0)

    assert len(servers.leaders()) == 1


def test_the_removal_of_a_follower_causes_no_election() -> None:
    servers = led()
    term = servers["a"].term

    servers["a"].change([RemoveMember("c")], servers.now)
    servers.advance(20.0)

    assert (servers.leaders(), servers["a"].term, servers["b"].term) == (["a"], term, term)


def test_two_of_whom_the_leader_is_removed_go_on_as_one() -> None:
    """etcd issue 12359: the survivor may neither know that the change is committed nor campaign."""
    servers = led("a", "b")
    servers["a"].change([RemoveMember("a")], servers.now)
    servers.deliver()

    servers.isolate("a")
    servers.advance(10.0)

    assert servers.leaders() == ["b"]
    assert servers["b"].configuration.members == ("b",)


def test_a_leader_that_is_cut_off_loses_what_it_took_and_says_so() -> None:
    servers = led()
    servers.isolate("a")
    servers["a"].propose(b"lost", servers.now)
    servers.advance(5.0)
    [leader] = servers.leaders()
    servers[leader].propose(b"kept", servers.now)

    servers.heal()
    servers.advance(5.0)

    commands = [payload for _, payload in servers.applied["a"]]
    assert (b"kept" in commands, b"lost" in commands) == (True, False)


def test_a_probe_that_was_lost_is_sent_again() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)
    persist_all(server)
    server.handle_timeout(server.next_timeout() or 0.0)
    persist_all(server)

    server.receive(HeartbeatResponse("a", "b", 2, 1), 0.0)
    again = [o for o in persist_all(server) if "AppendEntries(" in repr(o)]

    assert len(again) == 1


def test_who_is_not_the_leader_says_who_is() -> None:
    servers = led()

    with pytest.raises(ProposalDropped) as caught:
        servers["b"].propose(b"x", servers.now)

    assert (caught.value.reason, caught.value.leader) == (Drop.NOT_LEADER, "a")
