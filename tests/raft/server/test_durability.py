"""What waits for the disk and what does not; group commit; no ABA."""

from __future__ import annotations

import pytest

from raft import Config, EntriesCommitted, Output, Persist, Role, UnknownSequence
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
)
from tests.raft.vocabulary import drain, entries, machine, of, persist_all, sent

PLAIN = Config(pre_vote=False, check_quorum=False)


def append(*terms: int, prev: tuple[int, int], term: int, commit: int = 0) -> AppendEntries:
    new = entries(*terms, first=prev[0] + 1)
    return AppendEntries("a", "b", term, *prev, new, commit)


def acknowledged(outputs: list[Output]) -> list[int]:
    """Return the indexes that were acknowledged."""
    found = of(AppendEntriesResponse, sent(outputs))
    return [message.index for message in found if not message.rejected]


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, 1, prev=(1, 1), term=1), 0.0)

    early = drain(server)
    server.persisted(1, 0.0)

    assert acknowledged(early) == []
    assert acknowledged(drain(server)) == [3]


def test_a_vote_request_leaves_only_when_term_vote_and_log_are_durable() -> None:
    """A candidate that crashes could else be elected without what its voters relied on."""
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)
    drain(server)
    server.campaign(0.0)

    early = drain(server)
    [persist] = of(Persist, early)
    server.persisted(persist.seq - 1, 0.0)
    between = drain(server)
    server.persisted(persist.seq, 0.0)
    late = drain(server)

    assert of(RequestVote, sent(early)) == of(RequestVote, sent(between)) == []
    assert [message.to for message in of(RequestVote, sent(late))] == ["b", "c"]


def test_a_pre_vote_request_needs_no_disk() -> None:
    server = machine("a")

    server.campaign(0.0)

    assert [message.to for message in of(RequestPreVote, sent(drain(server)))] == ["b", "c"]


def test_the_own_vote_counts_only_when_it_is_durable() -> None:
    server = machine("a", "a", config=PLAIN)
    server.campaign(0.0)
    assert server.role is Role.CANDIDATE

    [persist] = of(Persist, drain(server))
    server.persisted(persist.seq, 0.0)

    assert server.status().role is Role.LEADER


def test_a_leaders_entries_leave_at_once_but_its_own_log_counts_when_durable() -> None:
    server = machine("a", "a", "b", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)
    persist_all(server)
    server.receive(AppendEntriesResponse("a", "b", 2, False, 2), 0.0)
    persist_all(server)
    assert server.commit_index == 2

    server.propose(b"x", 0.0)
    outputs = drain(server)
    server.receive(AppendEntriesResponse("a", "b", 2, False, 3), 0.0)
    assert of(AppendEntries, sent(outputs)) != []
    assert server.commit_index == 2

    [persist] = of(Persist, outputs)
    server.persisted(persist.seq, 0.0)
    assert server.commit_index == 3


def test_what_is_committed_is_handed_out_only_when_it_is_durable_here() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1, commit=2), 0.0)
    early = drain(server)
    assert server.commit_index == 2

    server.persisted(1, 0.0)

    assert of(EntriesCommitted, early) == []
    assert [len(output.entries) for output in of(EntriesCommitted, drain(server))] == [1]


def test_answers_to_heartbeats_need_no_disk() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)

    server.receive(Heartbeat("a", "b", 1, 1, 1, 4), 0.0)

    assert HeartbeatResponse("b", "a", 1, 4) in sent(drain(server))


def test_answers_to_pre_votes_wait_for_the_term_that_they_tell() -> None:
    server = machine("a", config=PLAIN)
    server.receive(Heartbeat("a", "b", 5), 0.0)
    server.forget_leader(0.0)

    server.receive(RequestPreVote("a", "c", 6, 9, 9), 0.0)
    early = sent(drain(server))
    server.persisted(1, 0.0)

    assert of(RequestPreVoteResponse, early) == []
    assert [m.granted for m in of(RequestPreVoteResponse, sent(drain(server)))] == [True]


def test_all_between_two_polls_is_one_write_and_one_acknowledgement() -> None:
    server = machine("a", config=PLAIN)
    for index in range(1, 9):
        server.receive(append(1, prev=(index, 1), term=1), 0.0)

    outputs = drain(server)
    server.persisted(1, 0.0)

    [persist] = of(Persist, outputs)
    assert len(persist.entries) == 8
    assert acknowledged(drain(server)) == [9]


def test_several_writes_are_reported_by_the_last() -> None:
    server = machine("a", config=PLAIN)
    for index in range(1, 4):
        server.receive(append(1, prev=(index, 1), term=1), 0.0)
        drain(server)

    server.persisted(3, 0.0)

    assert acknowledged(drain(server)) == [2, 3, 4]


def test_each_write_lets_go_what_waited_for_it() -> None:
    server = machine("a", config=PLAIN)
    for index in range(1, 4):
        server.receive(append(1, prev=(index, 1), term=1), 0.0)
        drain(server)

    found = []
    for seq in (1, 2, 3):
        server.persisted(seq, 0.0)
        found.append(acknowledged(drain(server)))

    assert found == [[2], [3], [4]]


def test_a_write_of_what_was_truncated_since_does_not_count() -> None:
    """The entry of index 2 and term 2 is written, overwritten and comes again: ABA."""
    server = machine("a", config=PLAIN)
    server.receive(append(2, prev=(1, 1), term=2), 0.0)
    drain(server)
    server.receive(append(3, prev=(1, 1), term=3), 0.0)
    drain(server)
    server.receive(append(2, 4, prev=(1, 1), term=4), 0.0)
    drain(server)

    durable = []
    for seq in (1, 2, 3):
        server.persisted(seq, 0.0)
        durable.append(server.status().durable_index)

    assert durable == [1, 1, 3]


def test_a_truncation_before_the_write_is_fetched_writes_only_what_is_left() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(2, 2, 2, prev=(1, 1), term=2), 0.0)
    drain(server)
    server.receive(append(3, prev=(2, 2), term=3), 0.0)
    server.receive(append(4, prev=(1, 1), term=4), 0.0)

    [persist] = of(Persist, drain(server))

    assert [(entry.term, entry.index) for entry in persist.entries] == [(4, 2)]


def test_what_was_truncated_since_is_not_acknowledged() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(2, 2, 2, prev=(1, 1), term=2), 0.0)
    drain(server)
    server.receive(append(3, prev=(2, 2), term=3), 0.0)

    outputs = persist_all(server)

    assert acknowledged(outputs) == [3]
    assert [message.term for message in of(AppendEntriesResponse, sent(outputs))] == [3]


def test_a_refusal_between_two_acknowledgements_keeps_them_apart() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)
    server.receive(append(1, prev=(7, 1), term=1), 0.0)
    server.receive(append(1, prev=(2, 1), term=1), 0.0)

    found = of(AppendEntriesResponse, sent(persist_all(server)))

    assert [(message.rejected, message.index) for message in found] == [
        (False, 2),
        (True, 7),
        (False, 3),
    ]


def test_writes_beyond_the_limit_join_the_next_one() -> None:
    server = machine("a", config=Config(pre_vote=False, check_quorum=False, persists_max=2))
    writes = []
    for index in range(1, 6):
        server.receive(append(1, prev=(index, 1), term=1), 0.0)
        writes += of(Persist, drain(server))
    assert [write.entries.last_index for write in writes] == [2, 3]

    server.persisted(1, 0.0)
    [third] = of(Persist, drain(server))
    server.persisted(third.seq, 0.0)

    assert (third.entries.first_index, third.entries.last_index) == (4, 6)
    assert acknowledged(drain(server))[-1] == 6


@pytest.mark.parametrize("wrong", [0, -1, 2, "1", True, None])
def test_a_report_of_what_was_never_handed_out_is_refused(wrong: int) -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)
    drain(server)

    with pytest.raises(UnknownSequence):
        server.persisted(wrong, 0.0)

    server.persisted(1, 0.0)
    server.persisted(1, 0.0)
    assert acknowledged(drain(server)) == [2]


def test_messages_that_wait_for_a_disk_are_bounded() -> None:
    server = machine("a", config=Config(check_quorum=False, gated_messages_max=64))
    server.receive(Heartbeat("a", "b", 2), 0.0)
    [persist] = of(Persist, drain(server))

    for _ in range(1000):
        server.receive(RequestVote("a", "c", 2, 9, 9), 0.0)
    server.receive(AppendEntries("a", "b", 2, 1, 1), 0.0)
    server.check_invariants()
    server.persisted(persist.seq, 0.0)

    assert len(sent(drain(server))) == 64
    assert server.stats.gated_dropped == 1001 - 64


def test_the_own_vote_waits_however_much_does() -> None:
    server = machine("a", "a", "b", config=Config(check_quorum=False, gated_messages_max=64))
    server.receive(Heartbeat("a", "b", 2), 0.0)
    drain(server)
    server.forget_leader(0.0)
    for _ in range(64):
        server.receive(RequestPreVote("a", "b", 4, 9, 9), 0.0)
    server.campaign(0.0)
    server.receive(RequestPreVoteResponse("a", "b", 3, True), 0.0)

    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 3, True), 0.0)

    assert server.stats.gated_dropped == 1
    assert server.role is Role.LEADER


def test_campaigns_on_a_disk_that_stalls_do_not_pile_up() -> None:
    server = machine("a", config=PLAIN)
    for number in range(1, 50):
        server.handle_timeout(number * 100.0)
    server.check_invariants()

    requests = of(RequestVote, sent(persist_all(server, 5000.0)))

    assert [(message.to, message.term) for message in requests] == [("b", 50), ("c", 50)]


def test_what_was_to_be_said_in_an_earlier_term_is_not_said_any_more() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)
    drain(server)

    server.receive(Heartbeat("a", "c", 2), 0.0)

    assert acknowledged(persist_all(server)) == []


def test_what_is_durable_already_is_acknowledged_at_once() -> None:
    server = machine("a", config=PLAIN)
    server.receive(append(1, prev=(1, 1), term=1), 0.0)
    persist_all(server)

    server.receive(append(1, prev=(1, 1), term=1), 0.0)

    assert acknowledged(drain(server)) == [2]
