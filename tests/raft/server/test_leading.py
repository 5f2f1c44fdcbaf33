"""What a leader does beside replication: proposals, changes, transfers, heartbeats, sleep."""

from __future__ import annotations

import pytest

from raft import (
    AddLearner,
    AddVoter,
    AddWitness,
    BacklogDrained,
    Change,
    ChangePending,
    ChangeRefusal,
    ChangeRefused,
    Config,
    Configuration,
    ConfigurationChanged,
    ConfigurationMismatch,
    DemoteVoter,
    Drop,
    NotLeader,
    ProposalDropped,
    QuiescenceChanged,
    RemoveMember,
    Role,
    Stored,
    TransferFinished,
    TransferOutcome,
    TransferRefused,
    Transition,
)
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    RequestVote,
    TimeoutNow,
    TransferLeadership,
)
from tests.raft.vocabulary import THREE, Servers, drain, of, sent, voters

FOUR = (*THREE, "d")
FIVE = (*FOUR, "e")


def led(*names: str, **options: object) -> Servers:
    """Return servers of which a leads."""
    servers = Servers(*(names or THREE), **options)  # type: ignore[arg-type]
    servers.elect("a")
    return servers


# --- proposals


def test_proposals_end_up_everywhere_in_order() -> None:
    servers = led()

    first = servers["a"].propose(b"x", servers.now)
    more = servers["a"].propose_many([b"y", b"z"], servers.now)
    servers.deliver()

    assert (first.index, more[0].index, len(more)) == (3, 4, 2)
    assert servers.applied == {name: [(3, b"x"), (4, b"y"), (5, b"z")] for name in THREE}


def test_a_thousand_proposals_between_two_polls_are_one_message_for_each_follower() -> None:
    servers = led()
    for number in range(1000):
        servers["a"].propose(b"%d" % number, servers.now)

    messages = of(AppendEntries, sent(drain(servers["a"])))

    assert [(message.to, len(message.entries)) for message in messages] == [
        ("b", 1000),
        ("c", 1000),
    ]


def test_only_a_leader_takes_proposals() -> None:
    servers = led()

    with pytest.raises(NotLeader) as refused:
        servers["b"].propose(b"x", servers.now)

    assert refused.value.leader == "a"


def test_proposals_beyond_the_backlog_are_dropped_until_some_are_committed() -> None:
    servers = led(config=Config(uncommitted_size_max=10))
    servers["a"].propose(bytes(20), servers.now)

    with pytest.raises(ProposalDropped) as refused:
        servers["a"].propose(b"x", servers.now)
    assert refused.value.reason is Drop.BACKLOG_FULL
    servers["a"].propose(b"", servers.now)

    servers.deliver()
    servers["a"].propose(bytes(10), servers.now)


def test_proposals_without_bytes_fill_the_backlog_too() -> None:
    servers = led(config=Config(uncommitted_entries_max=3))
    servers["a"].propose_many([b""] * 2, servers.now)

    with pytest.raises(ProposalDropped) as refused:
        servers["a"].propose_many([b""] * 2, servers.now)
    assert refused.value.reason is Drop.BACKLOG_FULL
    servers["a"].propose(b"", servers.now)
    with pytest.raises(ProposalDropped):
        servers["a"].propose(b"", servers.now)

    assert servers["a"].last_index == 5


def test_what_finds_nothing_waiting_is_taken_however_much_it_is() -> None:
    servers = led(config=Config(uncommitted_entries_max=3, uncommitted_size_max=3))

    servers["a"].propose_many([b"x"] * 10, servers.now)
    servers.deliver()

    assert len(servers.applied["c"]) == 10


def test_a_full_backlog_leaves_room_for_a_change() -> None:
    servers = led(config=Config(uncommitted_entries_max=3))
    servers["a"].propose_many([b""] * 4, servers.now)

    log_id = servers["a"].change([RemoveMember("c")], servers.now)
    servers.deliver()

    assert servers["a"].configuration_index == log_id.index


def test_a_leader_takes_no_more_than_its_own_disk_can_follow() -> None:
    servers = led(config=Config(uncommitted_size_max=10))
    servers.slow.add("a")
    for _ in range(2):
        servers["a"].propose(bytes(5), servers.now)
        servers.deliver()
    assert servers["a"].commit_index == 4

    refusals = []
    for _ in range(2):
        with pytest.raises(ProposalDropped) as refused:
            servers["a"].propose(bytes(6), servers.now)
        refusals.append((servers["a"].applied_index, refused.value.reason))
        first, *_ = servers.waiting["a"]
        servers["a"].persisted(first.seq, servers.now)

    assert refusals == [(2, Drop.DISK_BEHIND), (3, Drop.DISK_BEHIND)]
    servers.sync("a")
    servers["a"].propose(bytes(6), servers.now)


@pytest.mark.parametrize(
    "config", [Config(uncommitted_size_max=3), Config(uncommitted_entries_max=3)]
)
def test_who_was_refused_is_told_when_there_is_room(config: Config) -> None:
    servers = led(config=config)
    servers["a"].propose_many([b"x"] * 3, servers.now)
    servers.deliver()
    assert of(BacklogDrained, servers.events["a"]) == []
    servers["a"].propose_many([b"x"] * 3, servers.now)
    with pytest.raises(ProposalDropped):
        servers["a"].propose(b"x", servers.now)

    servers.deliver()
    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    assert of(BacklogDrained, servers.events["a"]) == [BacklogDrained()]


@pytest.mark.parametrize(
    ("config", "payload"),
    [(Config(uncommitted_size_max=3), b"x"), (Config(uncommitted_entries_max=3), b"")],
)
def test_there_is_no_room_while_most_of_the_backlog_waits(config: Config, payload: bytes) -> None:
    servers = led(config=config)
    servers["a"].propose_many([payload] * 5, servers.now)
    servers.pump()
    with pytest.raises(ProposalDropped):
        servers["a"].propose(b"x", servers.now)

    servers["a"].receive(AppendEntriesResponse("a", "b", 2, False, 4), servers.now)
    servers.pump("a")

    assert servers["a"].applied_index == 4
    assert of(BacklogDrained, servers.events["a"]) == []


# --- changes


def test_a_single_change_comes_into_force_when_it_is_committed() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    assert servers["d"].configuration == Configuration()

    log_id = servers["a"].change([AddVoter("d")], servers.now)
    assert servers["a"].configuration == voters(*THREE)
    servers.deliver()

    for name in FOUR:
        assert servers[name].configuration == voters(*FOUR)
        assert servers[name].configuration_index == log_id.index
    assert servers.event("a", ConfigurationChanged) == ConfigurationChanged(
        voters(*FOUR), voters(*THREE), log_id.index
    )


def test_a_change_tells_its_context_to_everyone() -> None:
    servers = led()

    servers["a"].change(Change([AddLearner("d")], context=b"10.0.0.4"), servers.now)
    servers.deliver()

    assert servers.event("b", ConfigurationChanged).context == b"10.0.0.4"


def test_one_change_at_a_time() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    log_id = servers["a"].change([AddVoter("d")], servers.now)

    with pytest.raises(ChangePending) as refused:
        servers["a"].change([RemoveMember("b")], servers.now)

    assert refused.value.index == log_id.index
    servers.deliver()
    servers["a"].change([RemoveMember("b")], servers.now)


def test_a_new_leader_waits_for_what_it_took_over() -> None:
    """There may be a change among it that is not in force."""
    servers = led(config=Config(pre_vote=False, check_quorum=False))
    servers["a"].propose(b"x", servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse))
    servers["b"].campaign(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse))
    assert servers.leaders() == ["b"]

    with pytest.raises(ChangePending) as refused:
        servers["b"].change([AddLearner("d")], servers.now)

    assert refused.value.index == 3
    servers.advance(0.2)
    servers["b"].change([AddLearner("d")], servers.now)


def test_a_change_can_be_bound_to_the_configuration_it_was_made_for() -> None:
    servers = led()

    with pytest.raises(ConfigurationMismatch) as refused:
        servers["a"].change([AddLearner("d")], servers.now, expected_index=7)
    assert (refused.value.expected, refused.value.actual) == (7, 1)

    servers["a"].change([AddLearner("d")], servers.now, expected_index=1)


def test_a_change_that_is_not_allowed_is_refused_with_the_reason() -> None:
    servers = led()

    with pytest.raises(ChangeRefused) as refused:
        servers["a"].change(Change.leave_joint(), servers.now)

    assert refused.value.refusal is ChangeRefusal.NOT_JOINT
    with pytest.raises(NotLeader):
        servers["b"].change([AddLearner("d")], servers.now)


def test_several_changes_go_through_a_joint_configuration_that_is_left_by_itself() -> None:
    servers = led(*FIVE, configuration=voters(*THREE))

    servers["a"].change([AddVoter("d"), AddVoter("e"), RemoveMember("b")], servers.now)
    servers.deliver()

    told = [event.configuration for event in of(ConfigurationChanged, servers.events["a"])]
    assert [configuration.is_joint for configuration in told] == [True, False]
    assert servers["e"].configuration == voters("a", "c", "d", "e")


def test_a_joint_configuration_is_left_explicitly_if_so_asked() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    servers["a"].change(Change([AddVoter("d")], Transition.EXPLICIT), servers.now)
    servers.deliver()
    servers.advance(3.0)
    assert servers["a"].configuration.is_joint

    servers["a"].change(Change.leave_joint(), servers.now)
    servers.deliver()

    assert servers["d"].configuration == voters(*FOUR)


def test_a_joint_configuration_needs_both_majorities() -> None:
    servers = led(*FIVE, configuration=voters(*THREE))
    change = Change([AddVoter("d"), AddVoter("e"), RemoveMember("b")], Transition.EXPLICIT)
    servers["a"].change(change, servers.now)
    servers.deliver()
    assert servers["a"].configuration.is_joint
    before = servers["a"].commit_index

    # A majority of a, c, d, e but not of a, b, c.
    servers.isolate("b")
    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    assert servers["a"].commit_index == before

    servers.heal()
    servers.advance(0.5)
    assert servers["a"].commit_index > before


def test_the_next_leader_leaves_a_joint_configuration_too() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    servers["a"].change(Change([AddVoter("d")], Transition.IMPLICIT), servers.now)
    # The old leader gets no answer to the leaving entry, if it sends one at all.
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse) or m.index < 4)
    assert servers["a"].configuration.is_joint
    servers.isolate("a")
    servers.network.clear()

    servers.advance(5.0)

    [leader] = servers.leaders()
    assert servers[leader].configuration == voters(*FOUR)


def test_a_removed_leader_steps_down_and_another_takes_over_at_once() -> None:
    servers = led()

    servers["a"].change([RemoveMember("a")], servers.now)
    servers.deliver()

    assert servers["a"].role is Role.FOLLOWER
    assert len(servers.leaders()) == 1
    assert {servers[name].configuration for name in ("b", "c")} == {voters("b", "c")}
    assert servers["a"].next_timeout() is None


def test_a_removed_leader_without_heirs_steps_down_too() -> None:
    servers = led("a", "b", configuration=Configuration(voters=("a", "b")))
    servers["a"].change(Change([RemoveMember("a")], Transition.EXPLICIT), servers.now)
    servers.deliver()
    servers["a"].change(Change.leave_joint(), servers.now)

    servers.deliver()

    assert servers.leaders() == ["b"]


def test_a_removed_member_is_told_and_does_not_disturb() -> None:
    servers = led()

    servers["a"].change([RemoveMember("c")], servers.now)
    servers.deliver()

    assert servers["c"].configuration == voters("a", "b")
    assert servers["c"].next_timeout() is None


def test_a_removed_member_that_lacks_the_change_is_not_told_what_it_lacks() -> None:
    servers = led()
    servers.isolate("c")

    servers["a"].change([RemoveMember("c")], servers.now)
    servers.deliver()
    servers.heal()
    servers.advance(5.0)

    assert servers["c"].configuration == voters(*THREE)
    assert servers.leaders() == ["a"]


def test_a_demoted_voter_becomes_a_learner_without_loss_of_availability() -> None:
    servers = led()

    change = Change([DemoteVoter("c")], Transition.IMPLICIT)
    servers["a"].change(change, servers.now)
    servers.deliver()

    expected = Configuration(voters=("a", "b"), learners=("c",))
    assert servers["c"].configuration == expected
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    assert servers.applied["c"][-1][1] == b"x"


def test_a_leader_that_is_being_removed_counts_only_in_the_old_half() -> None:
    servers = led()
    servers["a"].change(Change([RemoveMember("a")], Transition.EXPLICIT), servers.now)
    servers.deliver()
    servers.advance(5.0)
    assert servers.leaders() == ["a"]
    before = servers["a"].commit_index

    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    assert servers["a"].commit_index == before


def test_a_removed_member_that_refuses_entries_is_told_nothing() -> None:
    servers = led()
    servers.slow.add("c")
    servers["a"].change([RemoveMember("c")], servers.now)
    servers.deliver()
    servers["a"].receive(AppendEntriesResponse("a", "c", 2, True, 2), servers.now)
    servers["a"].receive(HeartbeatResponse("a", "c", 2, 0), servers.now)
    assert sent(drain(servers["a"])) == []

    servers["a"].receive(AppendEntriesResponse("a", "c", 2, False, 3), servers.now)

    assert [message.to for message in sent(drain(servers["a"]))] == ["c"]
    servers.check()


def test_a_smaller_quorum_commits_what_was_waiting() -> None:
    servers = led("a", "b")
    servers["a"].change([RemoveMember("b")], servers.now)
    servers.deliver(keep=lambda m: not (isinstance(m, AppendEntriesResponse) and m.index > 3))
    log_id = servers["a"].propose(b"x", servers.now)

    servers.deliver()

    assert servers["a"].commit_index == log_id.index


def test_a_witness_gets_no_payloads() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    servers["a"].change([AddWitness("d")], servers.now)
    servers.deliver()

    servers["a"].propose(b"secret", servers.now)
    servers.deliver()

    last = servers["a"].last_index
    assert [entry.payload for entry in servers["a"].entries(last, last)] == [b"secret"]
    assert [entry.payload for entry in servers["d"].entries(last, last)] == [b""]
    assert servers["d"].commit_index == last


def test_a_witness_has_nothing_to_apply_even_before_it_knows_that_it_is_one() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    servers["a"].propose(b"before", servers.now)
    servers.deliver()
    servers["a"].change([AddWitness("d")], servers.now)
    servers["a"].propose(b"after", servers.now)
    servers.deliver()

    assert servers["d"].applied_index == servers["a"].applied_index
    assert servers.applied["d"] == []
    assert len(servers.applied["b"]) == 2


def test_a_witness_is_told_the_context_of_changes() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))

    servers["a"].change(Change([AddWitness("d")], context=b"10.0.0.4"), servers.now)
    servers.deliver()

    assert servers.event("d", ConfigurationChanged).context == b"10.0.0.4"


# --- transfers


def test_leadership_is_handed_over() -> None:
    servers = led()

    servers["a"].transfer("b", servers.now)
    servers.deliver()

    assert servers.leaders() == ["b"]
    finished = servers.event("a", TransferFinished)
    assert finished == TransferFinished("b", TransferOutcome.COMPLETED)


def test_leadership_is_handed_over_by_way_of_a_follower() -> None:
    servers = led()

    servers["b"].transfer("c", servers.now)
    servers.deliver()

    assert servers.leaders() == ["c"]


def test_the_transferee_gets_all_entries_first() -> None:
    servers = led()
    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    servers.heal()

    servers["a"].transfer("c", servers.now)
    servers.deliver()

    assert servers.leaders() == ["c"]
    assert servers.applied["c"] == [(3, b"x")]


def test_proposals_and_changes_are_dropped_meanwhile() -> None:
    servers = led()
    servers["a"].transfer("b", servers.now)

    with pytest.raises(ProposalDropped) as refused:
        servers["a"].propose(b"x", servers.now)
    assert (refused.value.reason, refused.value.leader) == (Drop.TRANSFERRING, "b")
    with pytest.raises(ProposalDropped) as refused:
        servers["a"].change([AddLearner("d")], servers.now)
    assert refused.value.reason is Drop.TRANSFERRING


def test_a_transfer_that_takes_too_long_is_given_up() -> None:
    servers = led()
    servers.isolate("b")
    servers["a"].transfer("b", servers.now)

    servers.advance(1.1)

    finished = servers.event("a", TransferFinished)
    assert finished == TransferFinished("b", TransferOutcome.EXPIRED)
    servers["a"].propose(b"x", servers.now)
    assert servers.leaders() == ["a"]


def test_naming_the_same_transferee_again_does_not_prolong_it() -> None:
    servers = led()
    servers.isolate("b")
    servers["a"].transfer("b", servers.now)
    servers.advance(0.6)

    servers["a"].transfer("b", servers.now)
    servers.advance(0.6)

    assert servers.event("a", TransferFinished).outcome is TransferOutcome.EXPIRED


def test_another_transferee_replaces_the_first() -> None:
    servers = led()
    servers.isolate("b")
    servers["a"].transfer("b", servers.now)

    servers["a"].transfer("c", servers.now)
    servers.deliver()

    outcomes = [(e.to, e.outcome) for e in of(TransferFinished, servers.events["a"])]
    assert outcomes == [("b", TransferOutcome.REPLACED), ("c", TransferOutcome.COMPLETED)]


def test_a_transferee_that_is_removed_ends_the_transfer() -> None:
    servers = led()
    servers.cut.add(("a", "c"))
    servers["a"].change([RemoveMember("c")], servers.now)
    servers["a"].transfer("c", servers.now)

    servers.deliver()

    finished = servers.event("a", TransferFinished)
    assert finished == TransferFinished("c", TransferOutcome.REMOVED)
    servers["a"].propose(b"x", servers.now)


def test_a_transfer_ends_with_any_other_leader() -> None:
    servers = led(config=Config(check_quorum=False, pre_vote=False))
    servers.isolate("b")
    servers["a"].transfer("b", servers.now)

    servers["c"].campaign(servers.now)
    servers.deliver()

    assert servers.leaders() == ["c"]
    finished = servers.event("a", TransferFinished)
    assert finished == TransferFinished("b", TransferOutcome.STEPPED_DOWN)


@pytest.mark.parametrize(("to", "why"), [("a", "already"), ("x", "not a voter")])
def test_a_transfer_to_who_can_not_take_over_is_refused(to: str, why: str) -> None:
    servers = led()

    with pytest.raises(TransferRefused, match=why):
        servers["a"].transfer(to, servers.now)


def test_a_follower_without_a_leader_can_not_pass_a_wish_on() -> None:
    with pytest.raises(NotLeader):
        Servers(*THREE)["a"].transfer("b", 100.0)


def test_a_wish_that_can_not_be_granted_is_rejected() -> None:
    servers = led()

    servers["a"].receive(TransferLeadership("a", "b", 0, "x"), servers.now)
    servers["b"].receive(TransferLeadership("b", "c", 0, "a"), servers.now)

    assert servers["a"].stats.rejected == {"transfer refused": 1}
    assert servers.leaders() == ["a"]


def test_a_joint_configuration_is_left_after_a_transfer_that_failed() -> None:
    servers = led(*FOUR, configuration=voters(*THREE))
    servers["a"].change(Change([AddVoter("d")], Transition.IMPLICIT), servers.now)
    servers.isolate("b")
    servers["a"].transfer("b", servers.now)
    servers.deliver()
    assert servers["a"].configuration.is_joint

    servers.advance(2.0)

    assert servers["a"].configuration == voters(*FOUR)


@pytest.mark.parametrize("term", [1, 2])
def test_a_server_that_can_not_lead_does_not_take_over(term: int) -> None:
    servers = led(*FOUR, configuration=voters(*THREE))

    servers["d"].receive(TimeoutNow("d", "a", term), servers.now)

    assert servers["d"].role is Role.FOLLOWER


def test_a_stale_wish_to_take_over_is_ignored() -> None:
    servers = led()

    servers["b"].receive(TimeoutNow("b", "c", 1), servers.now)

    assert servers["b"].role is Role.FOLLOWER


# --- heartbeats


def test_a_heartbeat_tells_only_what_its_receiver_has() -> None:
    servers = led()
    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    servers.heal()
    servers.now += 0.1
    servers["a"].handle_timeout(servers.now)

    messages = of(Heartbeat, sent(drain(servers["a"])))

    assert {m.to: (m.commit, m.match) for m in messages} == {"b": (3, 3), "c": (2, 2)}


def test_answers_of_strangers_and_to_rounds_never_begun_are_rejected() -> None:
    servers = led()

    servers["a"].receive(HeartbeatResponse("a", "x", 2, 1), servers.now)
    servers["a"].receive(HeartbeatResponse("a", "b", 2, 99), servers.now)
    servers["a"].receive(AppendEntriesResponse("a", "x", 2, False, 2), servers.now)
    servers["a"].receive(AppendEntriesResponse("a", "b", 2, False, 99), servers.now)

    assert servers["a"].stats.rejected == {
        "answer of a stranger": 2,
        "round never sent": 1,
        "index beyond the log": 1,
    }


# --- sleep


SLEEPY = Config(quiescence=True)


def asleep() -> Servers:
    servers = led(config=SLEEPY)
    servers.advance(0.5)
    assert servers["a"].quiesce(servers.now)
    servers.deliver()
    return servers


def test_a_sleeping_group_has_no_timers_and_sends_nothing() -> None:
    servers = asleep()

    assert [server.next_timeout() for server in servers.machines.values()] == [None] * 3
    assert servers.event("b", QuiescenceChanged).quiescent
    servers.advance(1000.0)
    assert servers.leaders() == ["a"]
    assert servers["a"].quiesce(servers.now)


def test_a_late_timeout_does_not_wake_a_group() -> None:
    servers = asleep()

    for server in servers.machines.values():
        server.handle_timeout(servers.now + 100.0)

    assert all(server.status().quiescent for server in servers.machines.values())


def test_a_proposal_wakes_the_group() -> None:
    servers = asleep()

    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    servers.advance(5.0)

    assert servers.applied["c"] == [(3, b"x")]
    assert not any(server.status().quiescent for server in servers.machines.values())
    assert servers.leaders() == ["a"]


@pytest.mark.parametrize(
    "stir",
    [
        lambda servers: servers["b"].wake(servers.now),
        lambda servers: servers["b"].read(servers.now),
        lambda servers: servers["b"].unreachable("a", servers.now),
        lambda servers: servers["a"].wake(servers.now),
        lambda servers: servers["b"].receive(RequestVote("b", "x", 9, 1, 1), servers.now),
    ],
)
def test_whatever_happens_wakes_the_group_and_its_leader_stays(stir: object) -> None:
    servers = asleep()

    stir(servers)  # type: ignore[operator]
    servers.deliver()
    servers.advance(3.0)

    assert servers.leaders() == ["a"]
    assert not servers["c"].status().quiescent


def test_a_group_whose_leader_died_elects_another_once_it_is_told() -> None:
    servers = asleep()
    servers.isolate("a")

    servers["b"].unreachable("a", servers.now)
    servers["c"].unreachable("a", servers.now)
    servers.advance(5.0)

    assert set(servers.leaders()) - {"a"} != set()


def test_late_answers_do_not_wake_a_group() -> None:
    servers = asleep()

    servers["a"].receive(HeartbeatResponse("a", "b", 2, 1), servers.now)
    servers["a"].receive(AppendEntriesResponse("a", "b", 2, False, 2), servers.now)
    servers["b"].receive(Heartbeat("b", "a", 2, 2, 2, 0, True), servers.now)

    assert all(server.status().quiescent for server in servers.machines.values())


def test_a_group_that_is_not_idle_does_not_sleep() -> None:
    servers = led(config=SLEEPY)
    servers["a"].propose(b"x", servers.now)
    assert not servers["a"].quiesce(servers.now)
    servers.deliver()
    assert servers["a"].quiesce(servers.now)


def test_only_a_leader_puts_a_group_to_sleep_and_only_if_configured() -> None:
    assert not led()["a"].quiesce(100.0)
    assert not led(config=SLEEPY)["b"].quiesce(100.0)


def test_a_follower_that_is_not_configured_to_sleep_stays_awake() -> None:
    servers = led(config=SLEEPY, configs={"c": Config()})
    servers["a"].quiesce(servers.now)
    servers.deliver()

    assert not servers["c"].status().quiescent
    servers.advance(5.0)
    assert servers.leaders() == ["a"]


def test_a_follower_that_lacks_entries_stays_awake() -> None:
    servers = led(config=SLEEPY)

    servers["b"].receive(Heartbeat("b", "a", 2, 1, 1, 0, True), servers.now)

    assert not servers["b"].status().quiescent


# --- one server


def test_a_server_alone_leads_and_commits() -> None:
    servers = led("a")

    log_id = servers["a"].propose(b"x", servers.now)
    servers.deliver()
    servers.advance(10.0)

    assert servers.applied["a"] == [(log_id.index, b"x")]
    assert servers.leaders() == ["a"]


def test_a_cluster_grows_from_one() -> None:
    servers = led("a")
    for name in ("b", "c"):
        servers.start(name, Stored())
        servers["a"].change([AddLearner(name)], servers.now)
        servers.deliver()
        servers["a"].change([AddVoter(name)], servers.now)
        servers.deliver()

    assert {server.configuration for server in servers.machines.values()} == {voters(*THREE)}
