"""The follower's side: what it takes, refuses, commits; a log that lost its tail."""

from __future__ import annotations

import pytest

from raft import (
    AddVoter,
    Config,
    Configuration,
    DemoteVoter,
    Entry,
    EntryKind,
    LogRegression,
    Persist,
    ProposalsLost,
    QuiescenceChanged,
    Raft,
    Refusal,
    Role,
)
from raft.entries import Entries, LogIds
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    RequestVote,
    RequestVoteResponse,
)
from tests.raft.vocabulary import (
    THREE,
    Servers,
    drain,
    entries,
    machine,
    of,
    persist_all,
    sent,
)

PLAIN = Config(pre_vote=False, check_quorum=False)


@pytest.mark.parametrize(
    "unsound",
    [
        AppendEntries("a", "b", 2, 1, 1, entries(1, first=3)),
        AppendEntries("a", "b", 2, 1, 1, entries(3, first=2)),
        AppendEntries("a", "b", 2, 1, 2, entries(1, first=2)),
    ],
)
def test_entries_that_no_leader_can_have_are_rejected(unsound: AppendEntries) -> None:
    server = machine("a")

    server.receive(unsound, 0.0)

    assert server.stats.rejected == {"unsound entries": 1}
    assert server.last_index == 1


@pytest.mark.parametrize(
    "config", [Config(uncommitted_size_max=6), Config(uncommitted_entries_max=6)]
)
def test_a_follower_takes_no_more_than_its_disk_can_follow(config: Config) -> None:
    server = machine("a", config=config)
    for index in (1, 3, 5):
        server.receive(AppendEntries("a", "b", 1, index, 1, entries(1, 1, first=index + 1)), 1.0)
        drain(server)

    taken = server.last_index
    server.receive(AppendEntries("a", "b", 1, taken, 1, entries(1, first=taken + 1)), 2.0)

    assert server.last_index == taken < 8
    assert server.stats.rejected["disk behind"] > 0
    assert server.leader == "b"
    assert (server.next_timeout() or 0.0) > 3.0


def test_a_follower_whose_disk_was_behind_catches_up() -> None:
    servers = Servers(*THREE, config=Config(uncommitted_entries_max=2, append_entries_max=1))
    servers.elect("a")
    servers.slow.add("b")
    for number in range(9):
        servers["a"].propose(b"%d" % number, servers.now)
        servers.deliver()
    assert servers["b"].last_index < servers["a"].last_index

    servers.slow.clear()
    servers.sync("b")
    servers.advance(0.3)

    assert servers.applied["b"] == servers.applied["a"]
    assert len(servers.applied["a"]) == 9
    assert servers.leaders() == ["a"]


def test_what_is_committed_is_acknowledged_without_a_look() -> None:
    server = machine("a", terms=[1, 1], commit=3)

    server.receive(AppendEntries("a", "b", 1, 1, 0, entries(1, first=2)), 0.0)
    server.receive(AppendEntries("a", "b", 1, -7, 0), 0.0)

    assert [m.index for m in of(AppendEntriesResponse, sent(persist_all(server)))] == [3, 3]


def test_a_follower_commits_no_more_than_the_message_proves() -> None:
    """What it has behind the new entries may be another leader's."""
    server = machine("a", terms=[1, 1, 1], term=2)

    server.receive(AppendEntries("a", "b", 2, 2, 1, commit=4), 0.0)

    assert server.commit_index == 2


def test_a_follower_that_has_some_of_the_entries_appends_the_rest() -> None:
    server = machine("a", terms=[1, 1])

    server.receive(AppendEntries("a", "b", 1, 1, 1, entries(1, 1, 1, first=2)), 0.0)
    [persist] = of(Persist, drain(server))

    assert server.last_index == 4
    assert persist.entries == entries(1, first=4)


def test_a_heartbeat_commits_what_it_says() -> None:
    server = machine("a", terms=[1, 1])

    server.receive(Heartbeat("a", "b", 1, 2, 3), 0.0)
    assert server.commit_index == 2

    server.receive(Heartbeat("a", "b", 1, 1, 3), 0.0)
    assert server.commit_index == 2


def test_each_heartbeat_of_the_leader_puts_off_the_campaign() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 1.0)
    due = server.next_timeout() or 0.0

    server.receive(Heartbeat("a", "b", 1), 1.5)

    assert server.next_timeout() == due + 0.5


def test_a_heartbeat_that_wants_no_answer_gets_none() -> None:
    server = machine("a")

    server.receive(Heartbeat("a", "b", 1, round=0), 0.0)
    assert sent(persist_all(server)) == []
    server.receive(Heartbeat("a", "b", 1, round=7), 0.0)

    assert sent(persist_all(server)) == [HeartbeatResponse("b", "a", 1, 7)]


@pytest.mark.parametrize(
    ("heartbeat", "config", "sleeps"),
    [
        (Heartbeat("a", "b", 1, 3, 3, quiesce=True), Config(quiescence=True), 1),
        (Heartbeat("a", "b", 1, 3, 3, quiesce=False), Config(quiescence=True), 0),
        (Heartbeat("a", "b", 1, 3, 3, quiesce=True), Config(quiescence=False), 0),
        (Heartbeat("a", "b", 1, 2, 3, quiesce=True), Config(quiescence=True), 0),
    ],
)
def test_a_follower_sleeps_if_the_leader_does_and_nothing_is_missing(
    heartbeat: Heartbeat, config: Config, sleeps: int
) -> None:
    server = machine("a", terms=[1, 1], config=config)

    for _ in range(2):
        server.receive(heartbeat, 0.0)

    assert len(of(QuiescenceChanged, drain(server))) == sleeps
    assert (server.next_timeout() is None) == bool(sleeps)


def test_refused_entries_are_counted() -> None:
    server = machine("a")

    server.receive(AppendEntries("a", "b", 1, 5, 1), 0.0)

    assert server.stats.appends_rejected == 1


def test_a_probe_is_answered_however_far_the_disk_is_behind() -> None:
    server = machine("a", config=Config(uncommitted_entries_max=1))
    server.receive(AppendEntries("a", "b", 1, 1, 1, entries(1, first=2)), 0.0)
    drain(server)

    server.receive(AppendEntries("a", "b", 1, 7, 1), 0.0)
    server.persisted(1, 0.0)

    answers = of(AppendEntriesResponse, sent(drain(server)))
    assert [(answer.rejected, answer.index) for answer in answers] == [(False, 2), (True, 7)]


def test_a_former_leader_is_told_which_of_its_proposals_are_lost() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers.elect("a")
    servers.isolate("a")
    servers["a"].propose(b"kept?", servers.now)
    ids = servers["a"].propose_many([b"x", b"y"], servers.now)
    servers.deliver()
    servers["b"].campaign(servers.now)
    servers.deliver()

    servers.heal()
    servers.advance(1.0)

    lost = servers.event("a", ProposalsLost).ids
    assert lost == LogIds(2, 3, ids.last)
    assert servers["a"].stats.truncated == 3
    assert servers.applied["a"] == servers.applied["b"] == []


def test_what_was_committed_after_all_is_not_lost() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse))
    servers["a"].propose(b"y", servers.now)
    servers.isolate("a")
    servers.deliver()
    servers["b"].campaign(servers.now)
    servers.deliver()

    servers.heal()
    servers.advance(1.0)

    assert servers.event("a", ProposalsLost).ids == LogIds(2, 4, 4)
    assert servers.applied["a"] == [(3, b"x")]


# --- a log that lost what it had acknowledged


def forgetful() -> Servers:
    """Return servers of which c comes back without its last entries."""
    servers = Servers(*THREE)
    servers.elect("a")
    servers["a"].propose_many([b"x", b"y"], servers.now)
    servers.deliver()
    disk = servers.disks["c"]
    disk.entries = disk.entries[:1]
    disk.hard_state.commit = 1
    servers.restart("c")
    return servers


def test_a_follower_that_lost_its_tail_is_told_and_gets_it_again() -> None:
    servers = forgetful()

    servers.advance(0.5)

    assert servers.event("c", LogRegression) == LogRegression(1, 4)
    assert servers["c"].status().regressed
    assert servers.applied["c"] == [(3, b"x"), (4, b"y")]


def test_it_neither_votes_nor_campaigns_even_after_a_restart() -> None:
    servers = forgetful()
    servers.advance(0.5)
    servers.restart("c")

    servers["c"].receive(RequestVote("c", "b", 9, 99, 9), servers.now)
    [vote] = of(RequestVoteResponse, sent(persist_all(servers["c"], servers.now)))

    assert not vote.granted
    assert servers["c"].next_timeout() is None


def test_it_may_again_once_it_was_a_learner() -> None:
    servers = forgetful()
    servers.advance(0.5)

    servers["a"].change([DemoteVoter("c")], servers.now)
    servers.deliver()
    assert not servers["c"].status().regressed
    servers["a"].change([AddVoter("c")], servers.now)
    servers.deliver()

    assert servers["c"].next_timeout() is not None
    servers["a"].transfer("c", servers.now)
    servers.deliver()
    assert servers["c"].role is Role.LEADER


def test_a_log_that_is_shorter_than_its_commit_index_is_noticed_at_the_start() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    disk = servers.disks["c"]
    disk.entries = disk.entries[:1]
    disk.hard_state.commit = 3

    servers.restart("c")

    assert servers.event("c", LogRegression) == LogRegression(1, 3)
    servers.restart("c")
    assert servers["c"].status().regressed


def regressed() -> Raft:
    """Return a server that has just learned from a, who leads term 2, what it lost."""
    server = machine("c", term=2)
    server.receive(Heartbeat("c", "a", 2, commit=1, match=4), 0.0)
    return server


def test_what_was_acknowledged_is_lost_even_if_it_is_not_committed() -> None:
    outputs = drain(regressed())

    assert of(LogRegression, outputs) == [LogRegression(1, 4)]


def test_a_loss_is_told_only_once_it_is_on_disk() -> None:
    server = regressed()

    outputs = drain(server)
    [persist] = of(Persist, outputs)
    assert persist.hard_state.regressed
    assert sent(outputs) == []
    server.persisted(persist.seq, 0.0)

    [answer] = of(AppendEntriesResponse, sent(drain(server)))
    assert (answer.regressed, answer.rejected, answer.index) == (True, True, 1)


def readmitted(configuration: Configuration) -> Raft:
    """Return such a server to which a configuration was committed since."""
    server = regressed()
    new = Entry(2, 2, b"", EntryKind.CONFIGURATION, configuration)
    server.receive(AppendEntries("c", "a", 2, 1, 1, Entries.of([new]), 2), 0.0)
    persist_all(server)
    assert server.configuration == configuration
    return server


def test_who_lost_a_vote_gives_none_again_in_its_term() -> None:
    """It may have voted for whoever led then, or for another: the leader's is as good as any."""
    server = readmitted(Configuration(voters=("a", "b"), learners=("c",)))
    assert not server.status().regressed
    server.forget_leader(0.0)

    server.receive(RequestVote("c", "b", 2, 9, 9), 0.0)
    [same_term] = of(RequestVoteResponse, sent(persist_all(server)))
    server.receive(RequestVote("c", "b", 3, 9, 9), 0.0)
    [next_term] = of(RequestVoteResponse, sent(persist_all(server)))

    assert (same_term.granted, same_term.refusal) == (False, Refusal.VOTED)
    assert next_term.granted


@pytest.mark.parametrize(
    ("vote", "forgets", "expected"), [("b", False, "b"), (None, False, "a"), (None, True, "c")]
)
def test_who_lost_a_vote_takes_it_for_given(vote: str | None, forgets: bool, expected: str) -> None:
    """For whom does not matter: but one that it does remember is never another."""
    server = machine("c", term=2, vote=vote)
    server.receive(Heartbeat("c", "a", 2, commit=1, match=4), 0.0)
    learner = Configuration(voters=("a", "b"), learners=("c",))
    new = Entry(2, 2, b"", EntryKind.CONFIGURATION, learner)
    server.receive(AppendEntries("c", "a", 2, 1, 1, Entries.of([new]), 2), 0.0)
    if forgets:
        server.forget_leader(0.0)

    persist_all(server)

    assert server.configuration == learner
    assert server.voted_for == expected


def test_who_stays_a_voter_is_not_trusted_again() -> None:
    server = readmitted(Configuration(voters=("a", "c")))

    assert server.status().regressed


def test_it_is_told_once_what_is_lost() -> None:
    servers = forgetful()
    for _ in range(2):
        servers["c"].receive(Heartbeat("c", "a", 2, 4, 4), servers.now)
    servers.pump("c")

    assert len(of(LogRegression, servers.events["c"])) == 1


def test_proposals_of_two_terms_are_lost_where_they_were_replaced() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers.elect("a")
    servers.isolate("a")
    servers["a"].propose(b"first", servers.now)
    servers["a"].step_down(servers.now)
    for machine_ in ("b", "c"):
        servers.cut.discard(("a", machine_))
        servers.cut.discard((machine_, "a"))
    servers["a"].campaign(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, (AppendEntries, AppendEntriesResponse)))
    servers["a"].propose(b"second", servers.now)
    servers.pump()
    servers.network.clear()
    last = servers["a"].last_index

    new = entries(*[9] * (last - 2), first=3)
    servers["a"].receive(AppendEntries("a", "b", 9, 2, 2, new), servers.now)
    servers.pump("a")
    before = of(ProposalsLost, servers.events["a"])
    servers["a"].receive(AppendEntries("a", "b", 9, last, 9, commit=last), servers.now)
    servers.pump("a")

    assert before == []
    lost = [event.ids for event in of(ProposalsLost, servers.events["a"])]
    assert lost == [LogIds(2, 3, 3), LogIds(3, last, last)]


def test_entries_that_are_the_same_are_not_written_again() -> None:
    server = machine("a", terms=[1, 1])

    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of(entries(1, 1, first=2))), 0.0)

    assert of(Persist, drain(server)) == []
