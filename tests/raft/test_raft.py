"""The machine's inputs and queries: arguments, bootstrap, compaction, recovery, odd messages."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raft import (
    AddLearner,
    AlreadyBootstrapped,
    CompactionRefused,
    Config,
    Configuration,
    ConfigurationChanged,
    EntriesCommitted,
    LogId,
    NotLeader,
    Persist,
    ProposalDropped,
    Raft,
    Role,
    Snapshot,
    Stored,
)
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotResponse,
    Message,
    ProposeResponse,
    ReadIndexResponse,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
)
from tests.raft.vocabulary import (
    THREE,
    Servers,
    drain,
    machine,
    of,
    persist_all,
    sent,
    voters,
)


def new(name: str = "a", now: float = 0.0) -> Raft:
    return Raft(name, Config(), rng=random.Random(1), now=now)


# --- bootstrap


def test_a_cluster_is_founded_by_one_of_its_voters() -> None:
    servers = Servers(*THREE, configuration=voters("x", "y"))
    assert {server.configuration for server in servers.machines.values()} == {Configuration()}

    servers["a"].bootstrap(voters(*THREE), servers.now)
    servers.advance(5.0)

    assert {server.configuration for server in servers.machines.values()} == {voters(*THREE)}
    assert servers.leaders() == ["a"]


def test_a_cluster_is_founded_by_all_of_its_voters_alike() -> None:
    servers = Servers(*THREE, configuration=voters("x", "y"))
    for name in THREE:
        servers[name].bootstrap(voters(*THREE), servers.now)

    servers.advance(5.0)
    [leader] = servers.leaders()
    servers[leader].propose(b"x", servers.now)
    servers.deliver()

    assert [len(applied) for applied in servers.applied.values()] == [1, 1, 1]


def test_founding_is_the_first_entry_of_the_log() -> None:
    server = new()

    server.bootstrap(voters("a"), 0.0)
    outputs = persist_all(server)

    [persist] = of(Persist, outputs)
    assert [(e.term, e.index, e.configuration) for e in persist.entries] == [(1, 1, voters("a"))]
    assert of(ConfigurationChanged, outputs) == [
        ConfigurationChanged(voters("a"), Configuration(), 1)
    ]


@pytest.mark.parametrize("stir", ["bootstrapped", "voted"])
def test_a_server_with_a_past_founds_nothing(stir: str) -> None:
    server = new()
    if stir == "voted":
        server.receive(RequestVote("a", "b", 1, 1, 1), 0.0)
    else:
        server.bootstrap(voters("a"), 0.0)

    with pytest.raises(AlreadyBootstrapped):
        server.bootstrap(voters("a"), 0.0)


# --- compaction


def applied_to(index: int, **limits: int) -> Raft:
    config = Config(**limits)  # type: ignore[arg-type]
    return machine("a", terms=[1] * (index - 1), commit=index, config=config)


def test_a_snapshot_replaces_the_log_behind_it() -> None:
    server = applied_to(9, trailing_entries=3)

    server.compact(7, b"state", 0.0)
    [persist] = of(Persist, drain(server))

    assert persist.snapshot == Snapshot(7, 1, voters(*THREE), 1, b"state")
    assert server.snapshot is persist.snapshot
    assert list(persist.entries) == []
    assert (server.first_index, server.last_index) == (5, 9)
    server.check_invariants()


def test_fewer_entries_than_are_to_be_kept_are_all_kept() -> None:
    server = applied_to(9, trailing_entries=100)

    server.compact(7, b"state", 0.0)

    assert server.first_index == 1


def test_the_configuration_of_a_second_snapshot_may_be_that_of_the_first() -> None:
    server = applied_to(9, trailing_entries=0)
    server.compact(7, b"state", 0.0)

    server.compact(9, memoryview(b"later"), 0.0)

    assert server.snapshot is not None
    assert server.snapshot.configuration == voters(*THREE)
    assert server.snapshot.configuration_index == 1


def test_what_was_handed_out_is_not_lost_by_compaction() -> None:
    servers = Servers(*THREE, config=Config(trailing_entries=0))
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)
    servers.deliver(keep=lambda m: m.to != "b" or isinstance(m, AppendEntries))
    servers["b"].receive(Heartbeat("b", "a", 2, 3, 3), servers.now)

    servers["b"].compact(3, b"state", servers.now)
    outputs = drain(servers["b"])

    assert [list(o.commands()) for o in of(EntriesCommitted, outputs)] == [[(3, b"x")]]


def test_batches_on_either_side_of_a_change_survive_compaction() -> None:
    servers = Servers("a", config=Config(trailing_entries=0))
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)
    servers["a"].change([AddLearner("b")], servers.now)
    servers["a"].propose(b"y", servers.now)
    [persist] = of(Persist, drain(servers["a"]))
    servers["a"].persisted(persist.seq, servers.now)

    servers["a"].compact(5, b"state", servers.now)
    outputs = drain(servers["a"])

    told = [o for o in outputs if isinstance(o, (EntriesCommitted, ConfigurationChanged))]
    assert [type(o) for o in told] == [EntriesCommitted, ConfigurationChanged, EntriesCommitted]
    assert [e.index for o in of(EntriesCommitted, told) for e in o.entries] == [3, 4, 5]


def test_only_what_was_handed_out_can_be_compacted_and_only_forward() -> None:
    server = applied_to(9)
    server.compact(7, b"state", 0.0)

    with pytest.raises(CompactionRefused, match="handed out"):
        server.compact(10, b"state", 0.0)
    with pytest.raises(CompactionRefused, match="already"):
        server.compact(7, b"state", 0.0)
    with pytest.raises(CompactionRefused, match="already"):
        new().compact(0, b"state", 0.0)


# --- recovery


def test_a_lost_quorum_can_be_overruled() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers["a"].propose(b"kept", servers.now)
    servers.isolate("a")
    servers["a"].propose(b"never committed", servers.now)
    servers.deliver()

    log_id = servers["a"].unsafe_force_configuration(voters("a"), servers.now)
    servers.pump()
    servers["a"].campaign(servers.now)
    servers.deliver()

    assert log_id == LogId(3, 5)
    assert servers.leaders() == ["a"]
    assert [payload for _, payload in servers.applied["a"]] == [b"kept", b"never committed"]
    assert servers["a"].configuration == voters("a")


def test_recovery_needs_a_configuration_that_lets_it_lead() -> None:
    with pytest.raises(ValueError, match="voter"):
        machine("a").unsafe_force_configuration(voters("b"), 0.0)


# --- messages that can't be


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Heartbeat("b", "c", 1), "not for us"),
        (Heartbeat("a", "a", 1), "from ourselves"),
        (Heartbeat("a", "b", 0), "no term"),
        (RequestVote("a", "b", -3, 1, 1), "no term"),
    ],
)
def test_messages_that_can_not_be_are_rejected(message: Message, reason: str) -> None:
    server = machine("a")

    server.receive(message, 0.0)

    assert server.stats.rejected == {reason: 1}
    assert server.term == 1


@pytest.mark.parametrize("kind", [Heartbeat, TimeoutNow])
def test_there_is_no_other_leader_in_a_leaders_term(kind: type) -> None:
    servers = Servers(*THREE)
    servers.elect("a")

    servers["a"].receive(kind("a", "b", 2), servers.now)

    assert servers["a"].stats.rejected == {"another leader in our term": 1}
    assert servers.leaders() == ["a"]


def test_messages_of_no_known_kind_are_rejected() -> None:
    class Strange(TimeoutNow):
        __slots__ = ()

    server = machine("a")

    server.receive(Strange("a", "b", 1), 0.0)

    assert server.stats.rejected == {"unknown kind": 1}


@pytest.mark.parametrize(
    "answer",
    [
        AppendEntriesResponse("a", "b", 1, False, 5),
        HeartbeatResponse("a", "b", 1, 5),
        InstallSnapshotResponse("a", "b", 1, 5, 5),
        RequestVoteResponse("a", "b", 1, True),
        RequestPreVoteResponse("a", "b", 1, True),
        ReadIndexResponse("a", "b", 1, 5, 5),
        ProposeResponse("a", "b", 1, 5, 1, 5),
    ],
)
def test_answers_to_what_was_not_asked_change_nothing(answer: Message) -> None:
    server = machine("a")
    deadline = server.next_timeout()

    server.receive(answer, 0.0)

    assert drain(server) == []
    assert server.next_timeout() == deadline


def test_a_granted_pre_vote_of_a_term_to_come_is_no_reason_to_go_there() -> None:
    server = machine("a")

    server.receive(RequestPreVoteResponse("a", "b", 5, True), 0.0)
    assert server.term == 1
    server.receive(RequestPreVoteResponse("a", "b", 5, False), 0.0)
    assert server.status().term == 5


# --- arguments


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("propose", ("text",), TypeError),
        ("propose_many", ([],), ValueError),
        ("propose_many", ([b"x", bytearray(b"y")],), TypeError),
        ("forward", ([],), ValueError),
        ("change", ([AddLearner("d"), "x"],), TypeError),
        ("transfer", ("",), ValueError),
        ("compact", ("1", b""), TypeError),
        ("compact", (True, b""), TypeError),
        ("compact", (1, "text"), TypeError),
        ("bootstrap", (Configuration(),), ValueError),
        ("bootstrap", ("a",), TypeError),
        ("unsafe_force_configuration", (Configuration(),), ValueError),
    ],
)
def test_wrong_arguments_are_refused(
    method: str, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        getattr(machine("a"), method)(*arguments, 0.0)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), -float("inf"), 1e13])
def test_a_server_begins_at_a_time_that_can_be(now: float) -> None:
    with pytest.raises(ValueError, match="time"):
        new(now=now)
    with pytest.raises(TypeError, match="time"):
        new(now="1")  # type: ignore[arg-type]


def test_no_time_is_beyond_the_range_of_deadlines() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 2), 0.0)
    drain(server)
    with pytest.raises(ValueError, match="time"):
        server.persisted(1, float("inf"))
    server.persisted(1, 0.0)
    with pytest.raises(ValueError, match="time"):
        machine("a").handle_timeout(float("inf"))


def test_a_payload_beyond_the_limit_is_dropped() -> None:
    servers = Servers("a", config=Config(payload_size_max=3))
    servers.elect("a")

    with pytest.raises(ProposalDropped):
        servers["a"].propose(b"four", servers.now)
    with pytest.raises(ProposalDropped):
        servers["a"].propose_many([b"one", b"four"], servers.now)


def test_an_id_must_be_one() -> None:
    with pytest.raises(ValueError, match="id"):
        new("")


# --- queries


def test_a_server_tells_about_itself() -> None:
    server = machine("a", terms=[1, 1], commit=2)

    assert (server.id, server.config, server.voted_for) == ("a", Config(), None)
    assert (server.first_index, server.last_index, server.commit_index) == (1, 3, 2)
    assert (server.configuration_index, server.snapshot) == (1, None)
    assert len(server.entries(-5, 99)) == 3
    status = server.status()
    assert (status.durable_index, status.snapshot_index, status.peers) == (3, 0, ())


def test_a_leader_tells_about_everyone() -> None:
    servers = Servers(
        "a", "b", "c", configuration=Configuration(voters=("a", "b"), learners=("c",))
    )
    servers.elect("a")

    peers = servers["a"].status().peers

    assert [(peer.id, peer.match, peer.is_learner) for peer in peers] == [
        ("b", 2, False),
        ("c", 2, True),
    ]


def test_a_large_batch_is_handed_out_in_parts() -> None:
    servers = Servers("a", config=Config(committed_entries_max=4))
    servers.elect("a")

    servers["a"].propose_many([b"x"] * 10, servers.now)
    servers.deliver()

    sizes = [len(event.entries) for event in of(EntriesCommitted, servers.events["a"])]
    assert sizes[-3:] == [4, 4, 2]


def test_the_driver_of_a_follower_may_tell_of_peers_too() -> None:
    server = machine("a")

    server.unreachable("b", 0.0)
    server.snapshot_failed("b", 0.0)

    assert drain(server) == []


def test_a_follower_takes_no_commands() -> None:
    with pytest.raises(NotLeader):
        machine("a").propose(b"x", 0.0)


def test_a_server_joins_by_its_name() -> None:
    servers = Servers("a")
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    servers.start("b", Stored())
    servers["a"].change([AddLearner("b")], servers.now)
    servers.deliver()

    assert servers.applied["b"] == [(3, b"x")]
    assert servers["b"].role is Role.FOLLOWER
    servers.check()


def test_outputs_print_what_they_say() -> None:
    servers = Servers("a", "b")
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)

    shown = [repr(output) for output in drain(servers["a"])]

    assert shown[0] == "Persist(3, HardState(term=2, voted_for='a', commit=2), <Entries 2/3>)"
    assert shown[1].startswith("SendMessage(AppendEntries(to='b', source='a', term=2, ")
    assert sent([]) == []
