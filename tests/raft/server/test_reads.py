"""Linearizable reads: rounds that a quorum answers, leases that are sound, and followers' reads."""

from __future__ import annotations

import pytest

from raft import (
    Config,
    Configuration,
    ReadFailed,
    ReadFailure,
    ReadReady,
    ReadRefused,
    RemoveMember,
    Role,
    TransferFinished,
)
from raft.messages import (
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndex,
    ReadIndexResponse,
    RequestPreVoteResponse,
    RequestVoteResponse,
    TimeoutNow,
)
from tests.raft.vocabulary import THREE, Servers, drain, machine, of, persist_all, sent

LEASES = Config(lease_reads=True, clock_drift_bound=0.25)


def led(*names: str, **options: object) -> Servers:
    servers = Servers(*(names or THREE), **options)  # type: ignore[arg-type]
    servers.advance(5.0)
    if servers.leaders() != ["a"]:
        servers["a" if not servers.leaders() else servers.leaders()[0]].transfer("a", servers.now)
        servers.deliver()
    servers.advance(0.5)
    assert servers.leaders() == ["a"]
    return servers


# --- by a quorum


@pytest.mark.parametrize("name", THREE)
def test_a_read_shows_everything_that_was_committed_before(name: str) -> None:
    servers = led()
    for number in range(3):
        log_id = servers["a"].propose(b"%d" % number, servers.now)
        servers.deliver()

        read = servers[name].read(servers.now)
        servers.deliver()

        assert servers.event(name, ReadReady) == ReadReady(read, log_id.index)
        assert servers.applied[name][-1] == (log_id.index, b"%d" % number)


def test_a_read_without_a_quorum_waits_and_fails_in_the_end() -> None:
    servers = led()
    servers.isolate("a")
    read = servers["a"].read(servers.now)

    servers.advance(0.9)
    assert of(ReadReady, servers.events["a"]) == []
    servers.advance(1.2)

    failed = servers.event("a", ReadFailed)
    assert failed == ReadFailed(read, ReadFailure.NO_LEADER)


def test_only_an_answer_to_a_round_that_began_after_the_read_confirms_it() -> None:
    servers = led()
    servers.now += 0.1
    servers["a"].handle_timeout(servers.now)
    old = of(Heartbeat, sent(drain(servers["a"])))
    read = servers["a"].read(servers.now)
    new = of(Heartbeat, sent(drain(servers["a"])))
    assert new[0].round == old[0].round + 1

    for name in ("b", "c"):
        servers["a"].receive(HeartbeatResponse("a", name, servers["a"].term, old[0].round), 105.7)
    assert of(ReadReady, drain(servers["a"])) == []
    servers["a"].receive(HeartbeatResponse("a", "b", servers["a"].term, new[0].round), 105.7)

    assert [ready.read for ready in of(ReadReady, drain(servers["a"]))] == [read]


def test_reads_between_two_polls_share_one_round() -> None:
    servers = led()
    servers.pump()

    reads = [servers["a"].read(servers.now) for _ in range(100)]
    messages = sent(drain(servers["a"]))

    assert [type(message) for message in messages] == [Heartbeat, Heartbeat]
    for message in messages:
        servers.network.append(message)
    servers.deliver()
    assert [ready.read for ready in of(ReadReady, servers.events["a"])] == reads


def test_followers_reads_between_two_polls_share_one_request() -> None:
    servers = led()

    reads = [servers["b"].read(servers.now) for _ in range(100)]
    messages = sent(drain(servers["b"]))

    assert [type(message) for message in messages] == [ReadIndex]
    servers.network.append(messages[0])
    servers.deliver()
    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == reads


def test_a_learners_answer_confirms_nothing() -> None:
    configuration = Configuration(voters=("a", "b", "c"), learners=("d",))
    servers = led("a", "b", "c", "d", configuration=configuration)
    for name in ("b", "c"):
        servers.isolate(name)

    servers["a"].read(servers.now)
    servers.deliver()

    assert of(ReadReady, servers.events["a"]) == []


# --- the first entry of the term


def test_a_new_leader_answers_when_it_has_committed_an_entry_of_its_term() -> None:
    servers = Servers(*THREE)
    servers["a"].campaign(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse))
    assert servers.leaders() == ["a"]
    mine, remote = servers["a"].read(servers.now), servers["b"].read(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntriesResponse))
    assert of(ReadReady, servers.events["a"] + servers.events["b"]) == []

    servers.advance(0.2)

    assert servers.event("a", ReadReady) == ReadReady(mine, 2)
    assert servers.event("b", ReadReady) == ReadReady(remote, 2)


def test_a_server_alone_does_not_know_what_it_committed_before_its_term_begins() -> None:
    """Its commit index need not have been durable (etcd raft pull 105)."""
    server = machine("a", "a", terms=[1], commit=1)
    server.campaign(0.0)
    drain(server)
    server.persisted(1, 0.0)
    assert server.role is Role.LEADER

    read = server.read(0.0)
    assert of(ReadReady, drain(server)) == []
    server.persisted(2, 0.0)
    outputs = drain(server)

    assert [type(output).__name__ for output in outputs] == ["EntriesCommitted", "ReadReady"]
    assert outputs[1] == ReadReady(read, 3)


def test_a_removed_leader_whose_configuration_has_one_other_voter_answers_nothing() -> None:
    servers = led("a", "b")
    servers["a"].change([RemoveMember("a")], servers.now)
    servers.deliver()

    read = servers["a"].read(servers.now)
    servers.deliver()
    servers.isolate("a")
    servers["b"].propose(b"x", servers.now)
    servers.deliver()

    assert read not in {ready.read for ready in of(ReadReady, servers.events["a"])}


# --- changes of the leader, lost messages


def test_reads_that_wait_are_asked_of_the_next_leader() -> None:
    servers = led(config=Config(pre_vote=False, check_quorum=False))
    servers.isolate("a")
    own, other = servers["a"].read(servers.now), servers["b"].read(servers.now)
    servers.deliver()
    servers.heal()

    servers["c"].campaign(servers.now)
    servers.deliver()
    servers.advance(0.5)

    assert [ready.read for ready in of(ReadReady, servers.events["a"])] == [own]
    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [other]


def test_a_follower_that_becomes_leader_answers_its_own_reads() -> None:
    servers = led(config=Config(pre_vote=False, check_quorum=False))
    servers.isolate("a")
    read = servers["b"].read(servers.now)
    servers.deliver()

    servers["b"].campaign(servers.now)
    servers.deliver()

    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


def test_a_read_begun_without_a_leader_waits_for_one() -> None:
    servers = Servers(*THREE)
    read = servers["b"].read(servers.now)

    servers.elect("a")
    servers.deliver()

    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


@pytest.mark.parametrize("lost", [ReadIndex, ReadIndexResponse])
def test_a_question_or_answer_that_was_lost_is_asked_again(lost: type[Message]) -> None:
    servers = led()
    read = servers["b"].read(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, lost))
    assert of(ReadReady, servers.events["b"]) == []

    servers.advance(0.7)

    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


def test_a_refused_read_is_asked_again_with_the_next_heartbeat() -> None:
    servers = led(configs={"a": Config(reads_max=1)})
    servers["a"].receive(ReadIndex("a", "c", 0, 1), servers.now)
    read = servers["b"].read(servers.now)
    servers.pump("b")
    [question] = [servers.network.pop()]
    servers["a"].receive(question, servers.now)
    answers = of(ReadIndexResponse, sent(drain(servers["a"])))
    assert [answer.refused for answer in answers] == [True]
    servers["b"].receive(answers[0], servers.now)

    servers.advance(0.3)

    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


def test_a_follower_refuses_others_reads() -> None:
    servers = led()

    servers["b"].receive(ReadIndex("b", "c", 0, 5), servers.now)

    [answer] = of(ReadIndexResponse, sent(drain(servers["b"])))
    assert (answer.request, answer.refused) == (5, True)


def test_an_answer_to_a_question_of_a_former_life_confirms_nothing() -> None:
    servers = led()
    servers["b"].read(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, ReadIndexResponse))
    [old] = [1]
    servers.restart("b")
    servers.advance(0.3)
    read = servers["b"].read(servers.now)

    for request in range(old, 5):
        message = ReadIndexResponse("b", "a", servers["a"].term, request, 1)
        servers["b"].receive(message, servers.now)
    servers.pump("b")

    assert of(ReadReady, servers.events["b"]) == []
    servers.deliver()
    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


def test_a_read_waits_until_what_it_depends_on_is_applied() -> None:
    servers = led()
    servers.slow.add("b")
    log_id = servers["a"].propose(b"x", servers.now)
    servers.deliver()
    read = servers["b"].read(servers.now)
    servers.deliver()
    assert of(ReadReady, servers.events["b"]) == []

    servers.sync("b")
    servers.deliver()

    assert servers.event("b", ReadReady) == ReadReady(read, log_id.index)
    kinds = [type(event).__name__ for event in servers.events["b"][-2:]]
    assert kinds == ["EntriesCommitted", "ReadReady"]


def test_a_read_that_expired_gets_no_late_answer() -> None:
    servers = led()
    read = servers["b"].read(servers.now)
    servers.pump("b")
    [question] = [servers.network.pop()]
    servers.advance(2.5, deliver=False)
    assert servers.event("b", ReadFailed).read == read

    servers["b"].receive(
        ReadIndexResponse("b", "a", servers["b"].term, question.request, 2),  # type: ignore[union-attr]
        servers.now,
    )
    servers.pump("b")

    assert of(ReadReady, servers.events["b"]) == []


def test_a_read_expires_although_a_leader_is_known() -> None:
    server = machine("a", config=Config(read_timeout=0.1))
    server.receive(Heartbeat("a", "b", 1), 0.0)
    first, second = server.read(0.0), server.read(0.05)
    drain(server)

    server.handle_timeout(0.1)
    assert of(ReadFailed, drain(server)) == [ReadFailed(first, ReadFailure.EXPIRED, "b")]
    assert server.next_timeout() == pytest.approx(0.15)
    server.handle_timeout(0.2)
    assert of(ReadFailed, drain(server)) == [ReadFailed(second, ReadFailure.EXPIRED, "b")]


def test_too_many_reads_are_refused() -> None:
    server = machine("a", config=Config(reads_max=2))
    server.read(0.0)
    server.read(0.0)

    with pytest.raises(ReadRefused, match="too many"):
        server.read(0.0)


def test_a_leaders_read_that_expired_gets_no_late_answer() -> None:
    servers = led(config=Config(check_quorum=False, pre_vote=False))
    servers.cut = {("b", "a"), ("c", "a")}
    read = servers["a"].read(servers.now)
    servers.advance(2.1)
    assert servers.event("a", ReadFailed).read == read

    servers.heal()
    servers.advance(0.3)

    assert servers.leaders() == ["a"]
    assert of(ReadReady, servers.events["a"]) == []


def test_a_question_about_reads_that_expired_is_not_asked_again() -> None:
    server = machine("a", config=Config(read_timeout=0.2))
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    drain(server)
    server.read(0.15)
    [question] = of(ReadIndex, sent(drain(server)))
    server.receive(ReadIndexResponse("a", "b", 1, question.request, 99), 0.15)
    server.handle_timeout(0.25)
    assert len(of(ReadFailed, drain(server))) == 1

    server.receive(Heartbeat("a", "b", 1, 0, 0, 9), 0.9)

    assert of(ReadIndex, sent(drain(server))) == []


def test_a_question_that_nobody_waits_for_is_not_sent() -> None:
    servers = led()
    servers["b"].read(servers.now)

    servers["b"].handle_timeout(servers.now + 2.5)

    assert of(ReadIndex, sent(drain(servers["b"]))) == []


# --- leases


def test_a_lease_answers_at_once() -> None:
    servers = led(config=LEASES)
    log_id = servers["a"].propose(b"x", servers.now)
    servers.deliver()

    read = servers["a"].read(servers.now, lease=True)
    outputs = drain(servers["a"])

    assert outputs == [ReadReady(read, log_id.index)]


def test_leases_have_to_be_switched_on() -> None:
    with pytest.raises(ReadRefused, match="switched off"):
        machine("a").read(0.0, lease=True)


def test_a_lease_ends_before_anyone_else_can_lead() -> None:
    """Etcd's rule lets a leader that was cut off answer for up to another election timeout."""
    servers = led(config=LEASES)
    servers.isolate("a")
    confirmed = servers.now
    servers.advance(0.7)
    servers["a"].read(servers.now, lease=True)
    servers.pump()
    assert len(of(ReadReady, servers.events["a"])) == 1

    servers.now = confirmed + 0.8
    servers["a"].read(servers.now, lease=True)
    servers.deliver()

    assert len(of(ReadReady, servers.events["a"])) == 1


def test_a_lease_is_measured_from_the_sending_of_what_a_quorum_answered() -> None:
    server = machine("a", config=LEASES)
    server.campaign(5.0)
    server.receive(RequestPreVoteResponse("a", "b", 2, True), 5.0)
    persist_all(server, 5.0)
    server.receive(RequestVoteResponse("a", "b", 2, True), 5.0)
    persist_all(server, 5.0)
    server.receive(AppendEntriesResponse("a", "b", 2, False, 2), 5.0)
    server.handle_timeout(5.1)
    persist_all(server, 5.1)

    server.receive(HeartbeatResponse("a", "b", 2, 1), 5.5)
    first = server.read(5.85, lease=True)
    second = server.read(5.95, lease=True)

    assert [ready.read for ready in of(ReadReady, drain(server))] == [first]
    assert first != second


def test_without_a_lease_the_read_goes_the_long_way() -> None:
    servers = led(config=LEASES)
    servers["a"].transfer("b", servers.now)
    read = servers["a"].read(servers.now, lease=True)
    servers.pump()
    assert of(ReadReady, servers.events["a"]) == []

    servers.deliver()

    assert read in {ready.read for ready in of(ReadReady, servers.events["a"])}


def test_there_is_no_lease_in_a_term_in_which_leadership_was_transferred() -> None:
    """The transferee is bound by no patience, and what told it to campaign may be late."""
    servers = led(config=LEASES)
    servers["a"].transfer("b", servers.now)
    late: list[Message] = []

    def keep(message: Message) -> bool:
        if isinstance(message, TimeoutNow):
            late.append(message)
        return not isinstance(message, TimeoutNow)

    servers.deliver(keep)
    servers.advance(2.0)
    assert servers.event("a", TransferFinished).to == "b"
    assert servers.leaders() == ["a"]
    servers.isolate("a")
    servers["b"].receive(late[0], servers.now)
    servers.deliver()
    assert servers["b"].role is Role.LEADER
    servers["b"].propose(b"new", servers.now)
    servers.deliver()

    servers["a"].read(servers.now, lease=True)
    servers.deliver()

    assert of(ReadReady, servers.events["a"]) == []


def test_a_follower_may_ask_for_a_lease_and_goes_the_long_way() -> None:
    servers = led(config=LEASES)

    read = servers["b"].read(servers.now, lease=True)
    servers.deliver()

    assert [ready.read for ready in of(ReadReady, servers.events["b"])] == [read]


def test_a_lease_is_no_use_before_an_entry_of_the_term_is_committed() -> None:
    servers = Servers(*THREE, config=LEASES)
    servers.advance(2.0, deliver=False)
    servers.network.clear()
    servers["a"].campaign(servers.now)

    def keep(message: Message) -> bool:
        return not isinstance(message, AppendEntriesResponse)

    servers.deliver(keep)
    servers.now += 0.11
    servers["a"].handle_timeout(servers.now)
    servers.deliver(keep)

    servers["a"].read(servers.now, lease=True)

    assert servers["a"].commit_index == 1
    assert of(ReadReady, drain(servers["a"])) == []


@pytest.mark.parametrize("joins", [False, True])
def test_a_question_that_was_not_asked_is_not_answered(joins: bool) -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    [question] = of(ReadIndex, sent(persist_all(server)))
    if joins:
        server.read(0.0)

    server.receive(ReadIndexResponse("a", "b", 1, question.request + 1, 1), 0.0)

    assert of(ReadReady, drain(server)) == []


def test_a_read_does_not_join_others_that_have_expired() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    server.receive(Heartbeat("a", "b", 1), 2.0)
    server.handle_timeout(2.5)

    read = server.read(2.5)

    [question] = of(ReadIndex, sent(persist_all(server)))
    server.receive(ReadIndexResponse("a", "b", 1, question.request, 1), 2.6)
    assert [ready.read for ready in of(ReadReady, drain(server))] == [read]


def test_a_read_joins_those_of_which_only_some_have_expired() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    reads = [server.read(1.0)]
    server.receive(Heartbeat("a", "b", 1), 2.0)
    server.handle_timeout(2.5)

    reads.append(server.read(2.5))

    [question] = of(ReadIndex, sent(persist_all(server)))
    server.receive(ReadIndexResponse("a", "b", 1, question.request, 1), 2.6)
    assert [ready.read for ready in of(ReadReady, drain(server))] == reads


def test_a_question_that_was_refused_is_asked_again_and_not_answered() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    [first] = of(ReadIndex, sent(persist_all(server)))
    server.receive(ReadIndexResponse("a", "b", 1, first.request, 0, True), 0.0)
    assert of(ReadReady, drain(server)) == []

    server.receive(Heartbeat("a", "b", 1, round=1), 0.1)

    assert len(of(ReadIndex, sent(persist_all(server)))) == 1


@pytest.mark.parametrize("committed", [False, True])
def test_a_group_does_not_sleep_while_a_followers_read_waits(committed: bool) -> None:
    servers = led(config=Config(quiescence=True))
    if not committed:
        servers.isolate("c")
        servers["a"].step_down(servers.now)
        servers["a"].campaign(servers.now)
        servers.deliver(lambda message: not isinstance(message, AppendEntriesResponse))
    servers["a"].receive(ReadIndex("a", "b", 0, 7), servers.now)

    assert not servers["a"].quiesce(servers.now)
    servers["a"].step_down(servers.now)
    servers["a"].check_invariants()


@pytest.mark.parametrize("committed", [False, True])
def test_a_followers_question_outlives_the_leaders_own_reads(committed: bool) -> None:
    config = Config(check_quorum=False, read_timeout=0.5)
    servers = Servers(*THREE, config=config)
    servers["a"].campaign(servers.now)
    servers.deliver(lambda message: committed or not isinstance(message, AppendEntriesResponse))
    for name in ("b", "c"):
        servers.isolate(name)
    servers["a"].read(servers.now)
    servers["a"].receive(ReadIndex("a", "b", 0, 7), servers.now)
    servers.advance(0.7)
    assert of(ReadFailed, servers.events["a"]) != []

    servers.heal()
    servers.advance(0.2, deliver=False)
    answers: list[Message] = []

    def keep(message: Message) -> bool:
        answers.append(message)
        return True

    servers.deliver(keep)
    assert [answer.request for answer in of(ReadIndexResponse, answers)] == [7]


def test_a_server_alone_always_has_a_lease() -> None:
    servers = Servers("a", config=LEASES)
    servers.advance(1.0)
    servers.elect("a")
    servers.advance(10.0)

    read = servers["a"].read(servers.now, lease=True)

    assert [ready.read for ready in of(ReadReady, drain(servers["a"]))] == [read]


def test_rounds_that_nobody_answers_are_forgotten_in_the_end() -> None:
    servers = led(config=Config(check_quorum=False, pre_vote=False))
    servers.isolate("a")
    servers.advance(60.0)

    servers.heal()
    servers["a"].read(servers.now)
    servers.deliver()

    servers.check()


@pytest.mark.parametrize("index", [1, 2])
def test_what_comes_for_a_read_that_has_expired_is_no_answer(index: int) -> None:
    server = machine("a", terms=[1])
    server.receive(Heartbeat("a", "b", 1), 0.0)
    late = server.read(0.0)
    in_time = server.read(1.0)
    [question] = of(ReadIndex, sent(persist_all(server)))
    server.receive(Heartbeat("a", "b", 1), 2.0)
    server.handle_timeout(2.5)
    assert [failed.read for failed in of(ReadFailed, drain(server))] == [late]

    server.receive(ReadIndexResponse("a", "b", 1, question.request, index), 2.6)
    server.receive(Heartbeat("a", "b", 1, 2, 2), 2.7)

    assert [ready.read for ready in of(ReadReady, drain(server))] == [in_time]
    server.check_invariants()


def test_a_question_whose_reads_have_all_expired_is_not_asked_again() -> None:
    server = machine("a")
    server.receive(Heartbeat("a", "b", 1), 0.0)
    server.read(0.0)
    assert of(ReadIndex, sent(persist_all(server))) != []
    server.receive(Heartbeat("a", "b", 1), 2.0)
    server.handle_timeout(2.5)
    assert server.leader == "b"

    server.receive(Heartbeat("a", "b", 1, round=1), 2.6)

    assert of(ReadIndex, sent(persist_all(server))) == []
