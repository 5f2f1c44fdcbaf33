"""What other implementations test, as stories of ours: etcd-io/raft, raft-rs, hashicorp/raft."""

from __future__ import annotations

import pytest

from raft import (
    AddVoter,
    Config,
    Configuration,
    EntriesCommitted,
    PromoteLearner,
    ProposalDropped,
    ReadReady,
    RemoveMember,
    Role,
    SnapshotInstalled,
    TransferFinished,
    TransferOutcome,
)
from raft.messages import AppendEntries, HeartbeatResponse, RequestVote, RequestVoteResponse
from tests.raft.test_scenarios_safety import PLAIN, led
from tests.raft.vocabulary import THREE, Servers, of, voters

FIVE = (*THREE, "d", "e")


@pytest.mark.parametrize(
    ("size", "up", "elected"),
    [(1, 1, True), (3, 3, True), (3, 2, True), (3, 1, False), (4, 2, False), (5, 3, True)],
)
@pytest.mark.parametrize("pre_vote", [True, False])
def test_an_election_takes_a_majority(size: int, up: int, elected: bool, pre_vote: bool) -> None:
    """etcd-io/raft TestLeaderElection."""
    names = FIVE[:size]
    servers = Servers(*names, config=Config(pre_vote=pre_vote, check_quorum=False))
    for name in names[up:]:
        servers.isolate(name)

    servers["a"].campaign(servers.now)
    servers.deliver()

    waiting = Role.PRE_CANDIDATE if pre_vote else Role.CANDIDATE
    assert servers["a"].role is (Role.LEADER if elected else waiting)


def test_messages_of_a_leader_of_old_are_ignored() -> None:
    """etcd-io/raft TestOldMessages."""
    servers = led(config=PLAIN)
    old = servers["a"].term
    servers.elect("b")
    servers.elect("a")
    last = servers["a"].last_index

    for name in ("a", "c"):
        late = AppendEntries(name, "b", old + 1, last, servers["a"].term)
        servers[name].receive(late, servers.now)
    assert servers["c"].leader == "a"

    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    assert servers.leaders() == ["a"]
    assert [servers.applied[name][-1] for name in THREE] == [(last + 1, b"x")] * 3


def test_adding_a_member_twice_is_harmless() -> None:
    """etcd-io/raft TestRawNodeProposeAddDuplicateNode."""
    servers = led(*THREE, "d", configuration=voters(*THREE))
    for _ in range(2):
        servers["a"].change([AddVoter("d")], servers.now)
        servers.deliver()

    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    assert servers["d"].configuration == voters(*THREE, "d")
    assert servers.applied["d"][-1][1] == b"x"


def test_what_a_leader_could_not_commit_does_not_fill_its_next_term() -> None:
    """raft-rs test_uncommitted_state_advance_ready_from_last_term."""
    config = Config(pre_vote=False, check_quorum=False, uncommitted_size_max=10)
    servers = led(config=config)
    servers.isolate("a")
    servers["a"].propose(bytes(10), servers.now)
    with pytest.raises(ProposalDropped):
        servers["a"].propose(b"x", servers.now)

    servers["b"].campaign(servers.now)
    servers.deliver()
    servers.heal()
    servers.advance(1.0)
    servers["a"].campaign(servers.now)
    servers.deliver(keep=lambda message: not isinstance(message, AppendEntries))

    assert servers.leaders() == ["a"]
    servers["a"].propose(bytes(10), servers.now)


def test_a_leader_without_a_quorum_does_not_grow_without_bound() -> None:
    """etcd-io/raft TestRawNodeBoundedLogGrowthWithPartition."""
    config = Config(check_quorum=False, uncommitted_size_max=100)
    servers = led(config=config)
    servers.isolate("a")
    before, dropped = servers["a"].last_index, 0

    for _ in range(1000):
        try:
            servers["a"].propose(bytes(10), servers.now)
        except ProposalDropped:
            dropped += 1

    assert (servers["a"].last_index - before, dropped) == (10, 990)


def test_a_read_is_confirmed_by_the_quorum_that_is_left() -> None:
    """raft-rs test_read_when_quorum_becomes_less."""
    servers = led("a", "b")
    servers.advance(0.3)
    read = servers["a"].read(servers.now)
    servers.deliver(keep=lambda message: not isinstance(message, HeartbeatResponse))
    assert of(ReadReady, servers.events["a"]) == []

    servers["a"].change([RemoveMember("b")], servers.now)
    servers.deliver(keep=lambda message: not isinstance(message, HeartbeatResponse))

    assert [event.read for event in of(ReadReady, servers.events["a"])] == [read]


def test_what_is_handed_out_after_a_restart_follows_what_was_applied() -> None:
    """etcd-io/raft TestRawNodeCommitPaginationAfterRestart: no matter how batches were cut."""
    servers = led("a", config=Config(committed_entries_max=2))
    servers["a"].propose_many([b"%d" % number for number in range(10)], servers.now)
    servers.deliver()
    assert servers["a"].last_index == 12

    servers.configs["a"] = Config(committed_entries_max=3)
    servers.start("a", servers.disks["a"].stored(applied=7))
    servers["a"].campaign(servers.now)
    servers.deliver()

    batches = [event.entries for event in of(EntriesCommitted, servers.events["a"])]
    assert batches[0].first_index == 8
    assert [b.first_index for b in batches[1:]] == [a.last_index + 1 for a in batches[:-1]]
    assert max(len(batch) for batch in batches) <= 3


def test_a_slow_follower_catches_up_after_a_compaction() -> None:
    """etcd-io/raft TestSlowNodeRestore."""
    servers = led(config=Config(trailing_entries=0))
    servers.isolate("c")
    for number in range(100):
        servers["a"].propose(b"%d" % number, servers.now)
        servers.deliver()
    servers["a"].compact(servers["a"].applied_index, b"hundred", servers.now)

    servers.heal()
    servers.advance(1.0)
    servers["a"].propose(b"next", servers.now)
    servers.deliver()

    assert servers.event("c", SnapshotInstalled).snapshot.data == b"hundred"
    assert servers.applied["c"] == [(102, b"hundred"), (103, b"next")]


def test_leadership_is_handed_to_one_that_needs_a_snapshot_first() -> None:
    """etcd-io/raft TestLeaderTransferAfterSnapshot."""
    servers = led(config=Config(trailing_entries=0))
    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    servers["a"].compact(servers["a"].applied_index, b"state", servers.now)
    servers.heal()
    servers.advance(0.1)

    servers["a"].transfer("c", servers.now)
    servers.advance(0.5)

    assert servers.leaders() == ["c"]
    assert servers.event("a", TransferFinished).outcome is TransferOutcome.COMPLETED


def test_a_promoted_learner_can_lead() -> None:
    """hashicorp/raft TestRaft_AddKnownPeer and its neighbours."""
    configuration = Configuration(voters=("a", "b"), learners=("c",))
    servers = led(*THREE, configuration=configuration)
    servers["a"].change([PromoteLearner("c")], servers.now)
    servers.deliver()

    servers["a"].transfer("c", servers.now)
    servers.deliver()

    assert servers.leaders() == ["c"]


def test_half_a_cluster_removes_nobody() -> None:
    """hashicorp/raft TestRaft_RemoveFollower_SplitCluster."""
    servers = led(*FIVE[:4])
    before = servers["a"].configuration
    for one in ("a", "b"):
        for other in ("c", "d"):
            servers.cut |= {(one, other), (other, one)}

    servers["a"].change([RemoveMember("d")], servers.now)
    servers.advance(10.0)
    assert {servers[name].configuration for name in FIVE[:4]} == {before}
    assert servers.leaders() == []

    servers.heal()
    servers.advance(10.0)
    assert len({servers[name].configuration for name in FIVE[:3]}) == 1
    assert len(servers.leaders()) == 1


def test_votes_that_come_late_elect_no_second_leader() -> None:
    """hashicorp/raft TestRaft_FuzzyLeadership, slow votes."""
    servers = Servers(*FIVE, config=PLAIN)
    servers["a"].campaign(servers.now)
    servers.pump()
    late = list(servers.network)
    servers.network.clear()
    servers.isolate("a")
    servers["b"].campaign(servers.now)
    servers.deliver(lambda message: isinstance(message, (RequestVote, RequestVoteResponse)))
    assert (servers.leaders(), servers["a"].term) == (["b"], servers["b"].term)

    servers.heal()
    servers.network.extend(late)
    servers.deliver()

    assert servers.leaders() == ["b"]


def test_a_follower_that_was_out_of_reach_is_sent_entries_as_before() -> None:
    """etcd-io/raft heartbeat_resp_recovers_from_probing."""
    servers = led()
    servers["a"].unreachable("b", servers.now)
    before = {peer.id: peer.state.value for peer in servers["a"].status().peers}

    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    after = {peer.id: peer.state.value for peer in servers["a"].status().peers}
    assert (before["b"], before["c"]) == ("probe", "replicate")
    assert set(after.values()) == {"replicate"}
