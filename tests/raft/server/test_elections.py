"""Who leads: pre-vote, loyalty to a leader, priorities, learners, restarts."""

from __future__ import annotations

import pytest

from raft import (
    CampaignRefused,
    Cause,
    Config,
    Configuration,
    ElectionFailed,
    Entries,
    Entry,
    EntryKind,
    LeaderChanged,
    NotLeader,
    Persist,
    Refusal,
    Role,
    RoleChanged,
)
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    Message,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
)
from tests.raft.vocabulary import (
    THREE,
    Servers,
    drain,
    machine,
    of,
    persist_all,
    sent,
)

PLAIN = Config(pre_vote=False, check_quorum=False)
FIVE = ("a", "b", "c", "d", "e")


def answer(messages: list[Message]) -> tuple[int, bool, Refusal]:
    """Return the term, the grant and the refusal of the only answer to a candidate."""
    [found] = [
        (message.term, message.granted, message.refusal)
        for message in messages
        if isinstance(message, (RequestVoteResponse, RequestPreVoteResponse))
    ]
    return found


# --- roles


def test_a_new_term_begins_with_a_new_time_to_wait() -> None:
    """Also if the candidate that told of it gets no vote, as in etcd-io/raft becomeFollower."""
    server = machine("a", terms=[1, 1], config=PLAIN)
    before = server.next_timeout()

    server.receive(RequestVote("a", "b", 2, 1, 1), 0.5)

    assert answer(sent(persist_all(server, 0.5))) == (2, False, Refusal.LOG)
    after = server.next_timeout()
    assert after != before
    assert 1.5 <= (after or 0.0) <= 2.5


@pytest.mark.parametrize("config", [PLAIN, Config(check_quorum=False)])
def test_who_campaigns_follows_nobody(config: Config) -> None:
    server = machine("a", config=config)
    server.receive(Heartbeat("a", "b", 1), 0.0)
    drain(server)

    server.campaign(0.1)

    assert server.leader is None
    assert [changed.leader for changed in of(LeaderChanged, drain(server))] == [None]


def test_a_role_that_stays_is_no_news() -> None:
    server = machine("a")

    for term in (2, 3):
        server.receive(Heartbeat("a", "b", term), 0.0)

    assert of(RoleChanged, drain(server)) == []


def test_who_begins_to_follow_a_leader_keeps_the_time_that_it_drew() -> None:
    server = machine("a")
    due = server.next_timeout() or 0.0

    server.receive(Heartbeat("a", "b", 1), 0.5)

    assert server.next_timeout() == due + 0.5


def test_a_follower_that_campaigns_has_not_failed() -> None:
    server = machine("a")

    server.handle_timeout(10.0)

    assert server.role is Role.PRE_CANDIDATE
    assert of(ElectionFailed, drain(server)) == []


def test_terms_led_are_counted() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers.elect("b")
    servers.elect("a")

    assert [servers[name].stats.elections_won for name in THREE] == [2, 1, 0]


# --- pre-vote


def test_grants_that_come_late_make_no_candidate_of_a_follower() -> None:
    server = machine("a")
    server.campaign(0.0)
    server.receive(Heartbeat("a", "b", 1), 0.1)

    for name in ("b", "c"):
        server.receive(RequestPreVoteResponse("a", name, 2, granted=True), 0.2)

    assert (server.role, server.term, server.leader) == (Role.FOLLOWER, 1, "b")


@pytest.mark.parametrize("config", [PLAIN, Config()])
def test_a_vote_that_was_not_granted_is_none_whatever_reason_it_gives(config: Config) -> None:
    server = machine("a", config=config)
    server.campaign(0.0)
    persist_all(server)

    kind = RequestPreVoteResponse if config.pre_vote else RequestVoteResponse
    for name in ("b", "c"):
        server.receive(kind("a", name, server.term, False, Refusal.NONE), 0.0)

    assert server.role is Role.FOLLOWER
    [failed] = of(ElectionFailed, drain(server))
    assert failed.refusals == (("b", Refusal.NONE), ("c", Refusal.NONE))


def test_votes_are_not_enough_while_a_committed_configuration_is_not_in_force() -> None:
    """Honest votes come later; a server does not take office by others."""
    server = machine("a", config=PLAIN)
    new = Entry(1, 2, b"", EntryKind.CONFIGURATION, Configuration(("a", "b", "c", "d")))
    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of([new]), 1), 0.0)
    drain(server)
    server.campaign(2.0)

    for name in ("b", "c"):
        vote = RequestVoteResponse("a", name, 2, True, commit=2, commit_term=1)
        server.receive(vote, 2.0)

    assert (server.role, server.commit_index) == (Role.CANDIDATE, 2)
    assert server.configuration_index == 1


def test_a_vote_that_is_asked_for_again_is_not_written_again() -> None:
    server = machine("a", config=PLAIN)
    for _ in range(2):
        server.receive(RequestVote("a", "b", 2, 9, 9), 0.0)
        outputs = persist_all(server)

    assert answer(sent(outputs)) == (2, True, Refusal.NONE)
    assert of(Persist, outputs) == []


def test_a_pre_vote_for_a_term_in_which_we_voted_is_refused() -> None:
    server = machine("a", term=2, vote="c", config=PLAIN)

    server.receive(RequestPreVote("a", "b", 2, 9, 9), 0.0)

    assert answer(sent(persist_all(server))) == (2, False, Refusal.VOTED)


def test_a_refused_pre_vote_is_no_refused_vote() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)

    for name in ("b", "c"):
        server.receive(RequestPreVoteResponse("a", name, 2, False, Refusal.LOG), 0.0)

    assert (server.role, server.term) == (Role.CANDIDATE, 2)


def test_a_pre_vote_is_not_enough_while_a_committed_configuration_is_not_in_force() -> None:
    """By the one before it this server might be elected beside another (etcd issue 12133)."""
    server = machine("a")
    new = Entry(1, 2, b"", EntryKind.CONFIGURATION, Configuration(("a", "b", "c", "d")))
    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of([new]), 1), 0.0)
    [persist] = of(Persist, drain(server))
    server.campaign(2.0)

    grant = RequestPreVoteResponse("a", "b", 2, True, commit=2, commit_term=1)
    server.receive(grant, 2.0)
    assert (server.role, server.commit_index) == (Role.PRE_CANDIDATE, 2)

    server.persisted(persist.seq, 2.0)
    server.handle_timeout(9.0)
    assert server.configuration_index == 2
    assert [message.to for message in of(RequestPreVote, sent(drain(server)))][-3:] == [
        "b",
        "c",
        "d",
    ]


def test_a_pre_candidate_changes_neither_term_nor_vote() -> None:
    server = machine("a")

    server.campaign(0.0)
    messages = sent(persist_all(server))

    assert (server.role, server.term, server.voted_for) == (Role.PRE_CANDIDATE, 1, None)
    assert messages == [RequestPreVote(to, "a", 2, 1, 1, 1, 1) for to in ("b", "c")]


def test_a_majority_of_pre_votes_begins_the_election() -> None:
    server = machine("a")
    server.campaign(0.0)

    server.receive(RequestPreVoteResponse("a", "b", 2, True), 0.0)

    assert (server.role, server.term, server.voted_for) == (Role.CANDIDATE, 2, "a")


def test_a_majority_of_refusals_ends_the_campaign_in_the_same_term() -> None:
    server = machine("a")
    server.campaign(0.0)
    drain(server)

    for name, why in (("c", Refusal.LOG), ("b", Refusal.LEADER_ALIVE)):
        server.receive(RequestPreVoteResponse("a", name, 1, False, why), 0.0)

    assert (server.role, server.term) == (Role.FOLLOWER, 1)
    refusals = (("b", Refusal.LEADER_ALIVE), ("c", Refusal.LOG))
    assert of(ElectionFailed, drain(server)) == [ElectionFailed(2, True, refusals)]


def test_asking_in_advance_binds_nobody() -> None:
    server = machine("a")

    server.receive(RequestPreVote("a", "b", 9, 1, 1), 0.0)

    assert answer(sent(persist_all(server))) == (9, True, Refusal.NONE)
    assert (server.term, server.voted_for) == (1, None)


def test_a_pre_vote_is_granted_in_a_later_term_whoever_had_our_vote() -> None:
    server = machine("a", vote="c")

    server.receive(RequestPreVote("a", "b", 2, 1, 1), 0.0)

    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


def test_a_pre_candidate_of_an_earlier_term_learns_ours() -> None:
    """Else one of a lower term with a longer log and one the other way round wait for ever."""
    server = machine("a", term=5)

    server.receive(RequestPreVote("a", "b", 3, 9, 2), 0.0)

    assert answer(sent(persist_all(server))) == (5, False, Refusal.STALE_TERM)


def test_a_candidate_of_an_earlier_term_learns_ours() -> None:
    server = machine("a", term=5)

    server.receive(RequestVote("a", "b", 3, 9, 2), 0.0)

    assert answer(sent(persist_all(server))) == (5, False, Refusal.STALE_TERM)


def test_an_answer_to_a_vote_is_none_to_a_pre_vote() -> None:
    server = machine("a")
    server.campaign(0.0)

    server.receive(RequestVoteResponse("a", "b", 1, True), 0.0)

    assert server.role is Role.PRE_CANDIDATE


def test_a_late_pre_vote_does_not_count_in_the_election() -> None:
    server = machine("a", *FIVE)
    server.campaign(0.0)
    for name in ("b", "c"):
        server.receive(RequestPreVoteResponse("a", name, 2, True), 0.0)
    persist_all(server)

    for name in ("d", "e"):
        server.receive(RequestPreVoteResponse("a", name, 2, True), 0.0)

    assert server.role is Role.CANDIDATE


def test_the_first_answer_of_each_voter_counts() -> None:
    server = machine("a", *FIVE, config=PLAIN)
    server.campaign(0.0)
    persist_all(server)

    for granted in (True, True, True):
        server.receive(RequestVoteResponse("a", "b", 2, granted), 0.0)
    assert server.role is Role.CANDIDATE

    server.receive(RequestVoteResponse("a", "c", 2, True), 0.0)
    assert server.status().role is Role.LEADER


def test_a_vote_of_an_earlier_election_does_not_count() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    server.campaign(0.0)
    persist_all(server)

    server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)

    assert (server.role, server.term) == (Role.CANDIDATE, 3)


def test_a_lost_election_leaves_the_vote_as_it_is() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)

    for name in ("b", "c"):
        server.receive(RequestVoteResponse("a", name, 2, False, Refusal.LOG), 0.0)

    assert (server.role, server.term, server.voted_for) == (Role.FOLLOWER, 2, "a")


def test_a_campaign_without_an_answer_is_told_and_repeated() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)
    at = server.next_timeout()
    assert at is not None

    server.handle_timeout(at)

    assert of(ElectionFailed, drain(server)) == [ElectionFailed(2, False, ())]
    assert (server.role, server.term) == (Role.CANDIDATE, 3)


# --- loyalty to a leader that is heard


def test_who_hears_a_leader_refuses_others_and_says_why() -> None:
    server = machine("a", *FIVE)
    server.receive(Heartbeat("a", "b", 1), 5.0)
    drain(server)

    server.receive(RequestVote("a", "c", 2, 9, 1), 5.9)
    assert answer(sent(persist_all(server))) == (2, False, Refusal.LEADER_ALIVE)
    server.receive(RequestPreVote("a", "stranger", 2, 9, 1), 5.9)
    assert answer(sent(persist_all(server))) == (1, False, Refusal.NOT_A_MEMBER)
    assert (server.term, server.leader) == (1, "b")

    server.receive(RequestVote("a", "c", 2, 9, 1), 6.0)
    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


def test_the_leader_itself_is_no_rival_of_the_leader() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 5.0)

    server.receive(RequestPreVote("a", "b", 2, 9, 1), 5.1)

    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


def test_a_candidate_that_the_leader_sent_gets_a_vote_at_once() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 5.0)

    server.receive(RequestVote("a", "c", 2, 9, 1, transfer=True), 5.1)

    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


@pytest.mark.parametrize("kind", [RequestVote, RequestPreVote])
def test_without_check_quorum_nobody_is_loyal(kind: type[RequestVote | RequestPreVote]) -> None:
    server = machine("a", config=Config(check_quorum=False))
    server.receive(Heartbeat("a", "b", 1), 5.0)

    server.receive(kind("a", "c", 2, 9, 1), 5.1)

    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


@pytest.mark.parametrize("check_quorum", [False, True])
def test_few_who_hear_a_leader_without_a_quorum_keep_nobody_from_leading(
    check_quorum: bool,
) -> None:
    """A leader that does not step down may else block all others, though a majority is there."""
    servers = Servers(*THREE, "d", "e", config=Config(check_quorum=check_quorum))
    servers.elect("a")
    servers.isolate("e")
    servers.cut |= {("a", "c"), ("c", "a"), ("a", "d"), ("d", "a")}

    servers.advance(6.0)

    assert {"b", "c", "d"} & {*servers.leaders()}
    assert servers["b"].leader in ("b", "c", "d")


def test_a_leader_that_hears_its_quorum_is_loyal_to_itself() -> None:
    servers = Servers(*THREE)
    leader = servers.elect("a")

    leader.receive(RequestVote("a", "b", 9, 99, 9), servers.now)

    assert (leader.role, leader.term) == (Role.LEADER, 2)


def test_a_leader_is_loyal_to_itself_however_long_ago_it_was_elected() -> None:
    servers = Servers(*THREE)
    leader = servers.elect("a")
    servers.advance(30.0)

    leader.receive(RequestVote("a", "b", 9, 99, 9), servers.now)

    assert (leader.role, leader.term) == (Role.LEADER, 2)


def test_who_sleeps_is_loyal_to_a_leader_that_sleeps_too() -> None:
    server = machine("a", config=Config(quiescence=True))
    server.receive(Heartbeat("a", "b", 1, 1, 1, quiesce=True), 0.0)

    server.receive(RequestPreVote("a", "c", 2, 9, 1), 50.0)

    assert answer(sent(persist_all(server))) == (1, False, Refusal.LEADER_ALIVE)


def test_a_server_that_was_cut_off_does_not_depose_the_leader() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers.isolate("c")
    servers.advance(20.0)

    servers.heal()
    servers.advance(5.0)

    assert (servers.leaders(), servers["c"].term) == (["a"], 2)


def test_without_pre_vote_a_leader_learns_of_a_later_term_and_begins_anew() -> None:
    """A stuck candidate would else neither vote nor be reached (etcd issue 8501)."""
    servers = Servers(*THREE, config=Config(pre_vote=False))
    servers.elect("a")
    servers.isolate("c")
    servers.advance(20.0)
    assert servers["c"].term > servers["a"].term

    servers.heal()
    servers.advance(5.0)

    assert len(servers.leaders()) == 1
    assert {server.term for server in servers.machines.values()} == {servers["c"].term}


def test_a_later_leader_deposes_an_earlier_one_that_comes_back() -> None:
    servers = Servers(*THREE, config=Config(check_quorum=False, pre_vote=False))
    servers.elect("a")
    servers.isolate("a")
    servers["b"].campaign(servers.now)
    servers.deliver()
    assert servers.leaders() == ["a", "b"]

    servers.heal()
    servers.advance(1.0)

    assert servers.leaders() == ["b"]
    changed = of(RoleChanged, servers.events["a"])[-1]
    assert (changed.role, changed.cause) == (Role.FOLLOWER, Cause.HIGHER_TERM)


# --- who may campaign


def test_a_server_without_a_configuration_waits() -> None:
    servers = Servers(*THREE, configuration=Configuration(voters=("b", "c")))

    assert servers["a"].next_timeout() is None
    with pytest.raises(CampaignRefused, match="not a voter"):
        servers["a"].campaign(servers.now)
    servers["a"].handle_timeout(servers.now + 100.0)
    assert servers["a"].role is Role.FOLLOWER


def test_a_learner_votes_but_does_not_campaign() -> None:
    """The candidate's configuration may be newer than the learner's (etcd issue 10998)."""
    servers = Servers(*THREE, configuration=Configuration(voters=("a", "b"), learners=("c",)))

    assert servers["c"].next_timeout() is None
    servers["c"].receive(RequestVote("c", "a", 2, 1, 1), servers.now)

    assert answer(sent(persist_all(servers["c"], servers.now))) == (2, True, Refusal.NONE)


def test_a_witness_votes_but_does_not_campaign() -> None:
    servers = Servers(*THREE, configuration=Configuration(voters=THREE, witnesses=("c",)))
    servers.isolate("b")

    assert servers["c"].next_timeout() is None
    servers["a"].campaign(servers.now)
    servers.deliver()

    assert servers.leaders() == ["a"]


def test_a_leader_does_not_campaign() -> None:
    servers = Servers(*THREE)
    servers.elect("a")

    with pytest.raises(CampaignRefused, match="leads already"):
        servers["a"].campaign(servers.now)


def test_nobody_campaigns_by_a_configuration_that_is_known_to_be_replaced() -> None:
    """Its majority and that of the new one need not meet (etcd issue 12133)."""
    server = machine("a")
    new = Entry(1, 2, b"", EntryKind.CONFIGURATION, Configuration(voters=FIVE))
    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of([new]), 2), 0.0)
    drain(server)
    at = server.next_timeout()
    assert at is not None

    server.handle_timeout(at)
    assert server.role is Role.FOLLOWER
    with pytest.raises(CampaignRefused, match="not yet in force"):
        server.campaign(at)
    later = server.next_timeout()
    assert later is not None
    assert later > at

    server.persisted(1, at)
    server.handle_timeout(later)
    assert server.status().role is Role.PRE_CANDIDATE


def test_commands_that_are_not_applied_hinder_nobody() -> None:
    server = machine("a", terms=[1, 1], commit=3)

    server.campaign(0.0)

    assert server.role is Role.PRE_CANDIDATE


# --- priorities


def prioritised(own: int, **options: object) -> list[Message]:
    server = machine("a", config=Config(check_quorum=False, priority=own), **options)  # type: ignore[arg-type]
    server.receive(RequestVote("a", "b", 2, 2, 1, priority=3), 0.0)
    return sent(persist_all(server))


def test_one_of_a_lower_priority_is_refused_unless_its_log_is_longer() -> None:
    assert answer(prioritised(4, terms=[1])) == (2, False, Refusal.PRIORITY)
    assert answer(prioritised(3, terms=[1])) == (2, True, Refusal.NONE)
    assert answer(prioritised(4)) == (2, True, Refusal.NONE)


def test_a_priority_of_one_that_can_not_lead_counts_for_nothing() -> None:
    server = machine("x", *THREE, terms=[1], config=Config(check_quorum=False, priority=9))

    server.receive(RequestVote("x", "b", 2, 2, 1), 0.0)

    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


# --- commit indexes in votes


@pytest.mark.parametrize("granted", [True, False])
def test_a_candidate_learns_what_is_committed_from_answers(granted: bool) -> None:
    """Of two servers of which one is removed, the other could else be stuck (etcd 12359)."""
    server = machine("a", terms=[1, 1])
    server.campaign(0.0)

    server.receive(RequestPreVoteResponse("a", "b", 2, granted, commit=3, commit_term=1), 0.0)

    assert server.commit_index == 3


def test_a_candidate_that_learns_of_its_removal_gives_up() -> None:
    server = machine("a")
    gone = Entry(1, 2, b"", EntryKind.CONFIGURATION, Configuration(voters=("b", "c")))
    server.receive(AppendEntries("a", "b", 1, 1, 1, Entries.of([gone])), 0.0)
    persist_all(server)
    server.campaign(0.0)
    drain(server)

    server.receive(RequestPreVoteResponse("a", "b", 2, True, commit=2, commit_term=1), 0.0)

    changed = of(RoleChanged, drain(server))
    assert [(each.role, each.cause) for each in changed] == [(Role.FOLLOWER, Cause.REMOVED)]
    assert server.next_timeout() is None


@pytest.mark.parametrize("kind", [RequestVote, RequestPreVote])
def test_a_voter_learns_what_is_committed_from_a_candidate_that_it_refuses(kind: type) -> None:
    server = machine("a", terms=[1, 1, 1], config=PLAIN)

    server.receive(kind("a", "b", 2, 3, 1, 3, 1), 0.0)

    assert server.commit_index == 3


@pytest.mark.parametrize(("commit", "term"), [(3, 2), (9, 1), (3, 0), (1, 1)])
def test_what_is_committed_elsewhere_is_learned_only_if_it_is_here(commit: int, term: int) -> None:
    server = machine("a", terms=[1, 1, 1], config=PLAIN)

    server.receive(RequestVote("a", "b", 2, 3, 1, commit, term), 0.0)

    assert server.commit_index == 1


# --- leaders come and go


def test_a_leader_that_hears_no_quorum_steps_down() -> None:
    servers = Servers(*FIVE)
    servers.elect("a")
    for name in ("c", "d", "e"):
        servers.isolate(name)

    servers.advance(1.2)

    changed = of(RoleChanged, servers.events["a"])[-1]
    assert (changed.role, changed.cause) == (Role.FOLLOWER, Cause.QUORUM_LOST)


def test_a_leader_that_hears_a_quorum_goes_on() -> None:
    servers = Servers(*FIVE)
    servers.elect("a")
    for name in ("d", "e"):
        servers.isolate(name)

    servers.advance(30.0)

    assert servers.leaders() == ["a"]


def test_without_check_quorum_a_leader_goes_on_alone() -> None:
    servers = Servers(*THREE, config=Config(check_quorum=False))
    servers.elect("a")
    servers.isolate("a")

    servers.advance(30.0)

    assert "a" in servers.leaders()


def test_a_leader_can_be_told_to_step_down() -> None:
    servers = Servers(*THREE)
    leader = servers.elect("a")

    leader.step_down(servers.now)

    assert (leader.role, leader.leader, leader.term) == (Role.FOLLOWER, None, 2)
    with pytest.raises(NotLeader):
        leader.step_down(servers.now)


def test_a_forgotten_leader_can_be_replaced_at_once() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers.isolate("a")
    for name in ("b", "c"):
        servers[name].forget_leader(servers.now)
        assert servers[name].leader is None

    servers["b"].campaign(servers.now)
    servers.deliver()

    assert servers["b"].role is Role.LEADER
    servers["b"].forget_leader(servers.now)
    assert servers["b"].leader == "b"


def test_forgetting_a_leader_does_not_end_the_patience_it_was_given() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 5.0)
    due = server.next_timeout()

    server.forget_leader(5.1)

    assert server.next_timeout() == due
    assert due is not None
    assert due > 5.1


def test_changes_of_the_leader_are_told_once_each() -> None:
    servers = Servers(*THREE)
    servers.elect("a")
    servers.advance(3.0)

    assert of(LeaderChanged, servers.events["b"]) == [LeaderChanged("a", 2)]


# --- patience that leases build on


LEASES = Config(lease_reads=True)


def test_a_restarted_server_votes_for_nobody_for_a_while() -> None:
    server = machine("a", config=LEASES)

    server.receive(RequestVote("a", "b", 2, 1, 1), 0.9)
    assert answer(sent(persist_all(server))) == (2, False, Refusal.LEASE)
    with pytest.raises(CampaignRefused, match="lease"):
        server.campaign(0.9)

    server.receive(RequestVote("a", "b", 2, 1, 1), 1.0)
    assert answer(sent(persist_all(server))) == (2, True, Refusal.NONE)


def test_a_server_that_hears_a_leader_does_not_break_its_lease() -> None:
    server = machine("a", config=LEASES)
    server.receive(Heartbeat("a", "b", 1), 5.0)

    with pytest.raises(CampaignRefused, match="lease"):
        server.campaign(5.9)
    with pytest.raises(CampaignRefused, match="lease"):
        server.forget_leader(5.9)

    server.campaign(6.0)
    assert server.role is Role.PRE_CANDIDATE


def test_an_answer_from_the_past_tells_a_leader_our_term() -> None:
    server = machine("a", term=7)

    server.receive(Heartbeat("a", "b", 3), 0.0)

    assert sent(persist_all(server)) == [AppendEntriesResponse("b", "a", 7, True, 0)]
