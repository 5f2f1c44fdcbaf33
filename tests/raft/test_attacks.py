"""What hostile or broken peers and careless callers may try: nothing raises, grows or is believed.

Each test is a message or a call that was once taken wrongly.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from raft import (
    CampaignRefused,
    Config,
    Configuration,
    Entries,
    Entry,
    EntryKind,
    MessageRejected,
    QuiescenceChanged,
    Raft,
    ReadFailed,
    Role,
    RoleChanged,
)
from raft.entries import INDEX_MAX, TERM_MAX
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    InstallSnapshot,
    ReadIndex,
    ReadIndexResponse,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
)
from tests.raft.vocabulary import (
    Servers,
    drain,
    entries,
    machine,
    of,
    persist_all,
    remembered,
    sent,
    snapshot,
    voters,
)


def rejections(server: Raft) -> list[str]:
    return [output.reason for output in of(MessageRejected, drain(server))]


def compacted(term: int = 3) -> Raft:
    """Return a follower whose whole log is in a snapshot of index 10."""
    server = machine(term=term)
    drain(server)
    chunk = snapshot(10, term, "a", "b", "c")
    install = install_snapshot(10, term, term, chunk.configuration)
    server.receive(install, 0.0)
    persist_all(server)
    assert (server.first_index, server.last_index) == (11, 10)
    return server


def install_snapshot(
    index: int, index_term: int, term: int, configuration: Configuration | None = None
) -> InstallSnapshot:
    configuration = voters("a", "b", "c") if configuration is None else configuration
    return InstallSnapshot("a", "b", term, index, index_term, configuration, 1, 0, 0, 0, b"")


def asleep() -> Raft:
    """Return a follower whose group sleeps."""
    server = machine(config=Config(quiescence=True))
    server.receive(Heartbeat("a", "b", 1, 1, 1, quiesce=True), 0.0)
    assert QuiescenceChanged(quiescent=True) in drain(server)
    return server


# --- messages


def test_a_conflict_with_the_term_of_a_snapshot_is_answered() -> None:
    server = compacted()

    server.receive(AppendEntries("a", "b", 3, 10, 1), 0.0)

    (answer,) = of(AppendEntriesResponse, sent(persist_all(server)))
    assert answer.rejected


def test_a_message_of_a_later_term_wakes_a_sleeping_follower() -> None:
    server = asleep()

    server.receive(AppendEntriesResponse("a", "c", 2, False, 1), 0.0)
    server.receive(RequestVote("a", "c", 2, 1, 1), 0.0)

    assert QuiescenceChanged(quiescent=False) in drain(server)
    assert server.next_timeout() is not None


def test_no_term_is_beyond_what_can_be_written() -> None:
    server = machine()

    server.receive(Heartbeat("a", "b", TERM_MAX + 1), 0.0)
    server.receive(RequestPreVote("a", "b", TERM_MAX + 1, 9, 9), 0.0)

    assert rejections(server) == ["term out of range"] * 2
    assert server.term == 1


def test_the_last_term_of_all_is_not_campaigned_out_of() -> None:
    server = machine()
    server.receive(Heartbeat("a", "b", TERM_MAX), 0.0)

    with pytest.raises(CampaignRefused):
        server.campaign(0.0)

    assert server.term == TERM_MAX
    assert server.next_timeout() is None


def test_there_is_no_recovery_out_of_the_last_term() -> None:
    server = machine()
    server.receive(Heartbeat("a", "b", TERM_MAX - 1), 0.0)
    before = server.status()

    with pytest.raises(CampaignRefused, match="last term"):
        server.unsafe_force_configuration(voters("a"), 0.0)
    assert server.status() == before


def test_recovery_leaves_a_term_to_be_elected_in() -> None:
    server = machine()
    server.receive(Heartbeat("a", "b", TERM_MAX - 2), 0.0)

    server.unsafe_force_configuration(voters("a"), 0.0)
    persist_all(server)
    server.campaign(0.0)
    persist_all(server)

    assert (server.role, server.term) == (Role.LEADER, TERM_MAX)


def test_votes_of_strangers_are_rejected_and_not_kept() -> None:
    server = machine(config=Config(pre_vote=False))
    server.campaign(0.0)
    persist_all(server)

    for number in range(100):
        server.receive(RequestVoteResponse("a", f"stranger {number}", 2, False), 0.0)

    assert server.stats.rejected == {"vote of a stranger": 100}
    drain(server)
    server.handle_timeout(10.0)
    assert "stranger" not in repr(drain(server))


def test_a_pre_vote_for_an_earlier_campaign_does_not_count() -> None:
    server = machine(term=3)
    server.campaign(0.0)

    roles = []
    for term in (3, 9, 4):
        server.receive(RequestPreVoteResponse("a", "b", term, granted=True), 0.0)
        roles.append(server.role)

    assert roles == [Role.PRE_CANDIDATE, Role.PRE_CANDIDATE, Role.CANDIDATE]


def test_only_the_leader_can_hand_over() -> None:
    server = machine()
    server.receive(Heartbeat("a", "b", 1), 0.0)
    drain(server)

    server.receive(TimeoutNow("a", "c", 1), 0.0)

    assert rejections(server) == ["not from the leader"]
    assert (server.role, server.leader) == (Role.FOLLOWER, "b")


def test_a_heartbeat_that_contradicts_itself_bars_nobody_from_voting() -> None:
    server = machine()
    drain(server)

    server.receive(Heartbeat("a", "b", 1, commit=INDEX_MAX, match=0), 0.0)

    assert rejections(server) == ["unsound heartbeat"]
    assert not server.status().regressed


def test_a_configuration_without_voters_is_not_taken() -> None:
    server = machine()
    drain(server)
    nobody = Entry(1, 2, b"", EntryKind.CONFIGURATION, Configuration())

    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of([nobody]), 2), 0.0)
    server.receive(install_snapshot(9, 1, 1, Configuration()), 0.0)

    assert rejections(server) == ["unsound entries", "unsound snapshot"]
    assert server.last_index == 1


def test_a_snapshot_of_an_earlier_term_than_what_is_committed_is_not_taken() -> None:
    server = compacted()

    server.receive(install_snapshot(12, 2, 3), 0.0)

    assert rejections(server) == ["unsound snapshot"]


def test_a_snapshot_behind_which_no_entry_can_stand_is_not_taken() -> None:
    server = machine()
    drain(server)

    server.receive(install_snapshot(INDEX_MAX, 1, 1), 0.0)

    assert rejections(server) == ["unsound snapshot"]


def test_only_the_leader_answers_reads() -> None:
    server = machine()
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    (question,) = of(ReadIndex, sent(persist_all(server)))

    server.receive(ReadIndexResponse("a", "c", 1, question.request, 1), 0.0)

    assert rejections(server) == ["not from the leader"]


# --- calls


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("receive", [Heartbeat("a", "b", 2)]),
        ("handle_timeout", []),
        ("campaign", []),
        ("read", []),
        ("propose", [b"x"]),
        ("step_down", []),
    ],
)
def test_a_time_that_is_no_number_is_refused(method: str, arguments: list[Any]) -> None:
    servers = Servers("a", config=Config())
    server = servers.elect("a")
    before = server.status()

    with pytest.raises(ValueError, match="time"):
        getattr(server, method)(*arguments, float("nan"))

    assert server.status() == before
    assert drain(server) == []


def test_leases_are_not_ended_by_a_campaign_at_no_time() -> None:
    server = machine(config=Config(lease_reads=True))
    server.receive(Heartbeat("a", "b", 1), 5.0)

    with pytest.raises(ValueError, match="time"):
        server.campaign(float("nan"))

    assert server.leader == "b"


def test_a_log_without_any_configuration_can_be_compacted() -> None:
    server = Raft("a", Config(), rng=random.Random(1), now=0.0)
    server.receive(AppendEntries("a", "b", 1, 0, 0, entries(1, 1), 2), 0.0)
    persist_all(server)

    server.compact(2, b"state", 0.0)

    assert server.snapshot is not None
    assert server.snapshot.configuration == Configuration()


def test_stepping_down_asleep_tells_that_sleep_has_ended() -> None:
    servers = Servers("a", config=Config(quiescence=True))
    server = servers.elect("a")
    assert server.quiesce(servers.now)
    drain(server)

    server.step_down(servers.now)

    outputs = drain(server)
    assert QuiescenceChanged(quiescent=False) in outputs
    assert of(RoleChanged, outputs)


# --- long runs


@pytest.mark.parametrize("role", ["no leader", "silent leader", "leader without quorum"])
def test_reads_that_expired_leave_nothing_behind(role: str) -> None:
    server = machine(config=Config(check_quorum=False, pre_vote=False))
    if role == "leader without quorum":
        server.campaign(0.0)
        persist_all(server)
        server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)
        persist_all(server)
        assert server.role is Role.LEADER
    now = 0.0

    for number in range(600):
        if number == 300:
            before = remembered(server)
        now += 0.1
        if role == "silent leader":
            server.receive(Heartbeat("a", "b", 1), now)
        else:
            server.handle_timeout(now)
        server.read(now)
        server.handle_timeout(now)
        outputs = drain(server)

    assert of(ReadFailed, outputs) or server.stats.reads_failed > 300
    assert remembered(server) < before + 10_000


def test_answers_for_an_index_that_never_comes_are_not_kept() -> None:
    server = machine()
    now = 0.0

    for number in range(600):
        if number == 300:
            before = remembered(server)
        now += 0.1
        server.receive(Heartbeat("a", "b", 1), now)
        server.read(now)
        for question in of(ReadIndex, sent(persist_all(server, now))):
            answer = ReadIndexResponse("a", "b", 1, question.request, INDEX_MAX)
            server.receive(answer, now)
        server.handle_timeout(now)

    assert remembered(server) < before + 10_000
