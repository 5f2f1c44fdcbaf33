"""Rows of peers' checklists that no other file tells: etcd-io/raft, raft-rs, hashicorp/raft."""

from __future__ import annotations

import pytest

from raft import (
    AddVoter,
    Change,
    Config,
    Configuration,
    DemoteVoter,
    LogIds,
    PromoteLearner,
    ProposalsLost,
    ReadReady,
    RemoveMember,
    Role,
    TransferFinished,
    TransferOutcome,
    Transition,
)
from raft.messages import AppendEntriesResponse, Heartbeat, RequestVote, RequestVoteResponse
from raft.stored import HardState, Stored
from tests.raft.test_scenarios_safety import PLAIN, led, on_disk
from tests.raft.vocabulary import THREE, Servers, drain, machine, of, persist_all, sent

FIVE = (*THREE, "d", "e")
MIXED = {"b": Config(pre_vote=False), "c": Config(pre_vote=False)}


# --- elections


@pytest.mark.parametrize("name", THREE)
def test_a_cluster_in_which_not_all_ask_first_elects_whoever_asks(name: str) -> None:
    """hashicorp/raft TestRaft_PreVoteMixedCluster, etcd-io/raft newPreVoteMigrationCluster."""
    servers = Servers(*THREE, configs=MIXED)

    servers.elect(name)

    assert servers.leaders() == [name]


def test_the_log_of_the_latest_term_loses_legally_to_a_majority_that_lacks_it() -> None:
    """etcd-io/raft TestLeaderElectionOverwriteNewerLogs: nobody committed what c has alone."""
    servers = Servers(*FIVE, config=PLAIN)
    servers.start("a", on_disk(FIVE, 1, term=1))
    servers.start("b", on_disk(FIVE, 1, term=1))
    servers.start("c", on_disk(FIVE, 2, term=2))
    for name in ("d", "e"):
        log = on_disk(FIVE, term=2).entries
        servers.start(name, Stored(hard_state=HardState(2, "c", 1), entries=log, applied=1))

    servers["a"].campaign(servers.now)
    servers.deliver()
    assert (servers["a"].role, servers["a"].term) == (Role.FOLLOWER, 2)

    servers["a"].campaign(servers.now)
    servers.deliver()
    assert (servers.leaders(), servers["a"].term) == (["a"], 3)
    assert {servers[name].term_at(2) for name in FIVE} == {1}


def test_a_first_election_needs_no_wait() -> None:
    """etcd-io/raft TestLeaderElectionWithCheckQuorum: nobody heard a leader, so nobody is loyal."""
    servers = Servers(*THREE)

    servers["a"].campaign(servers.now)
    servers.deliver()

    assert servers.leaders() == ["a"]


# --- membership


def test_a_new_member_that_is_silent_does_not_depose_the_leader_at_once() -> None:
    """etcd-io/raft TestAddNodeCheckQuorum: it counts as heard when it is added."""
    servers = led("a", configuration=Configuration(voters=["a"]))
    servers.advance(5.5)  # the quorum is looked at each second: next in half a one

    servers["a"].change([AddVoter("b")], servers.now)
    servers.deliver()
    servers.advance(0.9)
    assert servers.leaders() == ["a"]

    servers.advance(0.2)
    assert servers.leaders() == []


def test_the_removal_of_who_is_no_member_changes_nothing() -> None:
    """hashicorp/raft TestRaft_RemoveUnknownPeer."""
    servers = led()
    before = servers["a"].configuration

    servers["a"].change([RemoveMember("nobody")], servers.now)
    servers.deliver()

    assert servers["b"].configuration == before
    servers["a"].propose(b"x", servers.now)


def test_a_change_that_another_leader_replaces_never_comes_into_force() -> None:
    """hashicorp/raft rolls it back on truncation; here it was not in force anywhere."""
    servers = led(config=PLAIN)
    servers.isolate("a")
    lost = servers["a"].change([RemoveMember("c")], servers.now)
    servers.elect("b")
    servers.heal()
    servers["b"].propose(b"x", servers.now)
    servers.advance(1.0)

    assert servers.event("a", ProposalsLost).ids == LogIds(lost.term, lost.index, lost.index)
    assert {servers[name].configuration.voters for name in THREE} == {THREE}
    servers.restart("a")
    assert servers["a"].configuration.voters == THREE


def changed_while_away(*changes: AddVoter | DemoteVoter | PromoteLearner) -> Servers:
    """Return a cluster of voters a, b, c and learner d: changed and compacted while c, d are away.

    They hear of it by a snapshot.
    """
    config = Config(trailing_entries=0)
    servers = led(
        *THREE, "d", configuration=Configuration(voters=THREE, learners=["d"]), config=config
    )
    for name in ("c", "d"):
        servers.isolate(name)
    for change in changes:
        servers["a"].change([change], servers.now)
        servers.deliver()
    servers["a"].compact(servers["a"].applied_index, b"state", servers.now)
    servers.heal()
    servers.advance(2.0)
    return servers


def test_a_learner_becomes_a_voter_by_a_snapshot() -> None:
    """etcd-io/raft TestLearnerPromotion by way of TestRestoreLearnerPromotion."""
    servers = changed_while_away(PromoteLearner("d"))

    assert servers["d"].snapshot is not None
    assert servers["d"].configuration.voters == (*THREE, "d")
    servers.elect("d")


def test_a_voter_becomes_a_learner_by_a_snapshot() -> None:
    """etcd-io/raft TestRestoreVoterToLearner."""
    servers = changed_while_away(DemoteVoter("c"))

    assert servers["c"].snapshot is not None
    assert servers["c"].configuration.learners == ("c", "d")
    assert servers["c"].next_timeout() is None


def test_an_outgoing_voter_keeps_its_vote_by_a_snapshot() -> None:
    """etcd-io/raft TestRestoreWithVotersOutgoing."""
    config = Config(trailing_entries=0)
    servers = led(config=config)
    servers.isolate("c")
    joint = Configuration(voters=["a", "b"], voters_outgoing=THREE)
    servers["a"].change(Change([RemoveMember("c")], Transition.EXPLICIT), servers.now)
    servers.deliver()
    servers["a"].compact(servers["a"].applied_index, b"state", servers.now)
    servers.heal()
    servers.advance(2.0)

    assert servers["c"].snapshot is not None
    assert servers["c"].configuration == joint
    assert servers["c"].next_timeout() is not None


# --- reads, transfers


def test_a_learner_may_ask_for_a_read() -> None:
    """etcd-io/raft TestReadOnlyForNewLeader's kin: TestReadOnlyWithLearner."""
    servers = led(*THREE, "d", configuration=Configuration(voters=THREE, learners=["d"]))
    log_id = servers["a"].propose(b"x", servers.now)
    servers.deliver()

    read = servers["d"].read(servers.now)
    servers.deliver()

    assert servers.event("d", ReadReady) == ReadReady(read, log_id.index)


def test_a_candidate_of_a_later_term_ends_a_transfer() -> None:
    """etcd-io/raft TestLeaderTransferReceiveHigherTermVote."""
    servers = led(config=PLAIN)
    servers.isolate("c")
    servers["a"].transfer("c", servers.now)
    servers.pump()

    servers["b"].campaign(servers.now)
    servers.deliver()

    assert servers.leaders() == ["b"]
    assert servers.event("a", TransferFinished) == TransferFinished(
        "c", TransferOutcome.STEPPED_DOWN
    )


def test_a_transfer_that_was_given_up_does_not_hold_up_the_next_leadership() -> None:
    """hashicorp/raft issue 696: the flag of a transfer outlived the leadership."""
    servers = led(config=PLAIN)
    servers.isolate("c")
    servers["a"].transfer("c", servers.now)
    servers.elect("b")
    servers.elect("a")

    servers["a"].propose(b"x", servers.now)


# --- replication


@pytest.mark.parametrize("kind", ["acknowledgement", "rejection"])
def test_what_is_said_in_a_term_to_come_ends_a_leadership(kind: str) -> None:
    """etcd-io/raft TestDisruptiveFollower: an answer alone tells the leader of a later term."""
    server = machine(terms=[1])
    server.campaign(0.0)
    persist_all(server)

    server.receive(AppendEntriesResponse("a", "b", 9, kind == "rejection", 0), 0.0)

    assert (server.role, server.term, server.leader) == (Role.FOLLOWER, 9, None)


def test_a_heartbeat_never_takes_the_commit_index_back() -> None:
    """etcd-io/raft TestHandleHeartbeat."""
    server = machine(terms=[1, 1, 1], commit=3)

    server.receive(Heartbeat("a", "b", 1, 1, 3, 1), 0.0)

    assert server.commit_index == 3


def test_a_voter_that_voted_in_a_later_term_keeps_its_vote_over_a_restart() -> None:
    """hashicorp/raft issue 661: term and vote are one record."""
    servers = Servers(*THREE, config=PLAIN)
    servers["a"].receive(RequestVote("a", "b", 7, 9, 7), servers.now)
    servers.pump()
    servers.restart("a")
    drain(servers["a"])

    servers["a"].receive(RequestVote("a", "c", 7, 9, 7), servers.now)

    [answer] = of(RequestVoteResponse, sent(persist_all(servers["a"], servers.now)))
    assert not answer.granted
