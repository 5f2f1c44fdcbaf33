"""The leader's side: probes, windows, conflicts, snapshots when they are due, commit news."""

from __future__ import annotations

import pytest

from raft import Config, ProgressState, Raft, Role
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    Message,
    RequestVoteResponse,
)
from tests.raft.vocabulary import THREE, Servers, drain, machine, of, persist_all, sent

PLAIN = Config(pre_vote=False, check_quorum=False)


def leader(*, config: Config = PLAIN, answered: bool = True, **options: object) -> Raft:
    """Return the leader a of a, b and c, whose first entry b has acknowledged."""
    made = machine("a", config=config, **options)  # type: ignore[arg-type]
    made.campaign(0.0)
    persist_all(made)
    made.receive(RequestVoteResponse("a", "b", made.term, True), 0.0)
    persist_all(made)
    assert made.role is Role.LEADER
    if answered:
        accept(made, made.last_index)
        persist_all(made)
    return made


def accept(server: Raft, index: int, source: str = "b") -> None:
    server.receive(AppendEntriesResponse("a", source, server.term, False, index), 0.0)


def refuse(server: Raft, index: int, hint: int, hint_term: int = 1, source: str = "b") -> None:
    message = AppendEntriesResponse("a", source, server.term, True, index, hint, hint_term)
    server.receive(message, 0.0)


def to(name: str, server: Raft) -> list[Message]:
    """Return what a server sends to another."""
    return [message for message in sent(persist_all(server)) if message.to == name]


def batches(messages: list[Message]) -> list[tuple[int, int]]:
    """Return the first and last index of each message with or without entries."""
    return [(m.prev_index + 1, m.prev_index + len(m.entries)) for m in of(AppendEntries, messages)]


def state(server: Raft, name: str = "b") -> tuple[str, int, int]:
    """Return state, match and next of a follower."""
    [peer] = [peer for peer in server.status().peers if peer.id == name]
    return peer.state.value, peer.match, peer.next


# --- probing


def test_one_probe_at_a_time() -> None:
    server = leader(answered=False)
    assert state(server, "c") == ("probe", 0, 2)

    server.propose(b"x", 0.0)
    server.propose(b"y", 0.0)

    assert batches(to("c", server)) == []


def test_a_probes_answer_begins_replication() -> None:
    server = leader(answered=False)
    server.propose(b"x", 0.0)

    accept(server, 2)

    assert state(server) == ("replicate", 2, 3)
    assert batches(to("b", server)) == [(3, 3)]


def test_an_answered_heartbeat_lets_the_next_probe_go() -> None:
    server = leader(answered=False)

    server.receive(HeartbeatResponse("a", "c", 2, 0), 0.0)

    assert batches(to("c", server)) == [(2, 2)]


def test_a_conflict_is_found_by_terms_not_one_by_one() -> None:
    server = leader(terms=[1, 1, 1, 4, 4, 4], term=4, answered=False)

    refuse(server, 7, 6, 3)
    assert batches(to("b", server)) == [(5, 8)]

    accept(server, 8)
    assert state(server) == ("replicate", 8, 9)


@pytest.mark.parametrize(
    ("hint", "hint_term", "first"), [(6, 0, 7), (3, 1, 4), (0, 0, 1), (2, 0, 3), (-5, 0, 1)]
)
def test_where_to_look_next_is_the_followers_hint(hint: int, hint_term: int, first: int) -> None:
    server = leader(terms=[1, 1, 1, 4, 4, 4], term=4, answered=False)

    refuse(server, 7, hint, hint_term)

    assert batches(to("b", server)) == [(first, 8)]


def test_an_old_rejection_changes_nothing() -> None:
    server = leader(terms=[1, 1, 1], answered=False)

    refuse(server, 2, 1)

    assert batches(to("b", server)) == []
    assert state(server) == ("probe", 0, 5)


def test_a_late_rejection_does_not_go_below_what_was_acknowledged() -> None:
    server = leader(terms=[1, 1, 1])
    assert state(server) == ("replicate", 5, 6)

    refuse(server, 4, 1)

    assert state(server) == ("replicate", 5, 6)


def test_an_old_acknowledgement_does_not_end_probing() -> None:
    server = leader()
    server.unreachable("b", 0.0)

    accept(server, 1)
    assert state(server) == ("probe", 2, 3)

    accept(server, 2)
    assert state(server) == ("replicate", 2, 3)


# --- replicating


def test_entries_follow_each_other_without_waiting() -> None:
    server = leader()
    found = []
    for payload in (b"x", b"y", b"z"):
        server.propose(payload, 0.0)
        found += batches(to("b", server))

    assert found == [(3, 3), (4, 4), (5, 5)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"append_entries_max": 2}, [(3, 4), (5, 6), (7, 7)]),
        ({"append_size_max": 1}, [(3, 3), (4, 4), (5, 5), (6, 6), (7, 7)]),
        ({"append_size_max": 25}, [(3, 4), (5, 6), (7, 7)]),
        ({"append_entries_max": 2, "inflight_messages_max": 2}, [(3, 4), (5, 6)]),
        ({"append_size_max": 20, "inflight_size_max": 40}, [(3, 4), (5, 6)]),
    ],
)
def test_messages_and_what_is_under_way_are_limited(
    limits: dict[str, int], expected: list[tuple[int, int]]
) -> None:
    config = Config(pre_vote=False, check_quorum=False, **limits)  # type: ignore[arg-type]
    server = leader(config=config)

    server.propose_many([bytes(10)] * 5, 0.0)

    assert batches(to("b", server)) == expected


def full_window() -> Raft:
    """Return a leader whose window to b is full, with an entry that has no room."""
    config = Config(pre_vote=False, check_quorum=False, inflight_messages_max=2)
    server = leader(config=config)
    for payload in (b"x", b"y", b"z"):
        server.propose(payload, 0.0)
        persist_all(server)
    assert state(server) == ("replicate", 2, 5)
    return server


def test_an_answer_frees_its_place_in_the_window() -> None:
    server = full_window()
    accept(server, 2)
    assert batches(to("b", server)) == []

    accept(server, 3)

    assert batches(to("b", server)) == [(5, 5)]


def test_a_full_window_lets_only_a_message_without_entries_through() -> None:
    server = full_window()

    for _ in range(2):
        server.receive(HeartbeatResponse("a", "b", 2, 0), 0.0)
        assert batches(to("b", server)) == [(5, 4)]


def test_a_full_window_behind_a_compaction_ends_in_a_snapshot() -> None:
    """Nothing else could ever tell the follower what it lacks (etcd raft issue 31)."""
    config = Config(pre_vote=False, check_quorum=False, inflight_messages_max=1, trailing_entries=0)
    server = leader(config=config)
    for payload in (b"x", b"y", b"z"):
        server.propose(payload, 0.0)
        persist_all(server)
        accept(server, server.last_index, "c")
    server.compact(5, b"state", 0.0)
    persist_all(server)

    server.receive(HeartbeatResponse("a", "b", 2, 0), 0.0)

    assert [type(message) for message in to("b", server)] == [InstallSnapshot]


def test_what_may_be_lost_is_found_out_by_a_message_without_entries() -> None:
    server = leader()
    server.propose(b"lost", 0.0)
    drain(server)

    server.receive(HeartbeatResponse("a", "b", 2, 0), 0.0)
    assert batches(to("b", server)) == [(4, 3)]

    refuse(server, 3, 2, 2)
    assert batches(to("b", server)) == [(3, 3)]


def test_an_unreachable_follower_is_probed_from_what_it_has() -> None:
    server = leader()
    server.propose(b"x", 0.0)
    drain(server)

    server.unreachable("b", 0.0)
    server.unreachable("x", 0.0)

    assert state(server) == ("probe", 2, 3)
    server.unreachable("b", 0.0)
    assert state(server) == ("probe", 2, 3)


def test_a_follower_says_why_it_does_not_advance() -> None:
    server = full_window()
    assert server.status().peers[0].waiting_for == "answers: too many messages are under way"
    assert server.status().peers[1].waiting_for == "the answer to a probe"


def test_a_window_can_be_full_of_bytes() -> None:
    config = Config(pre_vote=False, check_quorum=False, append_size_max=10, inflight_size_max=10)
    server = leader(config=config)
    server.propose(bytes(10), 0.0)
    persist_all(server)

    assert server.status().peers[0].waiting_for == "answers: too many bytes are under way"
    server.handle_timeout(0.9)
    assert server.status().peers[0].silent_for == 0.9


def test_a_silent_follower_is_said_to_be_so() -> None:
    server = leader()

    server.handle_timeout(1.5)

    assert server.status().peers[0].waiting_for == "it is not heard"


def test_nothing_holds_up_a_follower_that_has_everything() -> None:
    assert leader().status().peers[0].waiting_for == ""


# --- commit news


def test_who_has_an_entry_is_told_that_it_is_committed() -> None:
    server = leader()
    server.propose(b"x", 0.0)
    persist_all(server)

    accept(server, 3)

    assert to("b", server) == [Heartbeat("b", "a", 2, 3, 3)]


def test_who_lacks_an_entry_hears_that_it_is_committed_when_it_has_it() -> None:
    server = leader()
    accept(server, 2, "c")
    server.propose(b"x", 0.0)
    persist_all(server)
    accept(server, 3)
    persist_all(server)

    accept(server, 3, "c")

    assert to("c", server) == [Heartbeat("c", "a", 2, 3, 3)]


def test_commit_news_travel_with_entries_if_there_are_any() -> None:
    server = leader()
    server.propose(b"x", 0.0)
    persist_all(server)

    accept(server, 3)
    server.propose(b"y", 0.0)
    messages = to("b", server)

    assert [type(message) for message in messages] == [AppendEntries]
    assert [message.commit for message in of(AppendEntries, messages)] == [3]


def test_entries_of_an_earlier_leadership_are_not_sent_any_more() -> None:
    server = leader()
    server.propose(b"x", 0.0)

    server.step_down(0.0)

    assert sent(drain(server)) == []


# --- snapshots


def behind_the_log(**limits: object) -> Raft:
    """Return a leader that must send b a snapshot of index 4, with entries up to 5."""
    options = {"trailing_entries": 0, "snapshot_chunk_size": 2, "snapshot_chunks_max": 2}
    config = Config(pre_vote=False, check_quorum=False, **(options | limits))  # type: ignore[arg-type]
    server = leader(config=config, answered=False)
    for payload in (b"x", b"y", b"z"):
        server.propose(payload, 0.0)
    persist_all(server)
    accept(server, 2, "c")
    persist_all(server)
    accept(server, 5, "c")
    persist_all(server)
    server.compact(4, b"state", 0.0)
    refuse(server, 1, 0, 0)
    return server


def chunks(messages: list[Message]) -> list[tuple[int, bytes]]:
    return [(message.offset, message.chunk) for message in of(InstallSnapshot, messages)]


def more(server: Raft, offset: int, *, refused: bool = False, index: int = 4) -> None:
    message = InstallSnapshotResponse("a", "b", server.term, index, offset, refused)
    server.receive(message, 0.0)


def test_a_follower_behind_the_logs_start_gets_the_snapshot() -> None:
    server = behind_the_log()

    [message] = of(InstallSnapshot, to("b", server))

    assert (message.index, message.index_term, message.size) == (4, 2, 5)
    assert message.configuration == server.configuration
    assert state(server) == ("snapshot", 0, 5)
    waiting = server.status().peers[0].waiting_for
    assert waiting == "0 of 5 bytes of a snapshot are there"


def test_chunks_follow_each_other_as_they_are_acknowledged() -> None:
    server = behind_the_log()
    found = [chunks(to("b", server))]
    for offset in (2, 4):
        more(server, offset)
        found.append(chunks(to("b", server)))

    assert found == [[(0, b"st")], [(2, b"at"), (4, b"e")], []]


def test_an_installed_snapshot_is_followed_by_entries() -> None:
    server = behind_the_log()
    persist_all(server)

    accept(server, 4)

    assert state(server) == ("replicate", 4, 5)
    assert batches(to("b", server)) == [(5, 5)]


def test_a_follower_that_got_entries_from_elsewhere_needs_no_snapshot() -> None:
    """It may have caught up to our log's start below the snapshot's end (etcd raft pull 110)."""
    server = behind_the_log()
    persist_all(server)
    accept(server, 5)

    assert state(server) == ("replicate", 5, 6)


def test_a_follower_is_not_sent_entries_while_it_gets_a_snapshot() -> None:
    server = behind_the_log()
    persist_all(server)

    server.propose(b"new", 0.0)
    accept(server, 1)
    refuse(server, 4, 1)

    assert to("b", server) == []
    assert state(server) == ("snapshot", 1, 5)


def test_a_snapshot_that_was_compacted_away_is_followed_by_the_next() -> None:
    server = behind_the_log()
    persist_all(server)
    accept(server, 5, "c")
    server.propose(b"new", 0.0)
    persist_all(server)
    accept(server, 6, "c")
    persist_all(server)
    server.compact(6, b"later", 0.0)

    accept(server, 4)

    assert [message.index for message in of(InstallSnapshot, to("b", server))] == [6]


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_a_snapshot_that_failed_is_tried_again_with_the_next_heartbeat(how: str) -> None:
    server = behind_the_log()
    persist_all(server)
    if how == "refused":
        more(server, 0, refused=True)
    else:
        server.snapshot_failed("b", 0.0)
        server.snapshot_failed("b", 0.0)
        server.snapshot_failed("x", 0.0)
    assert state(server) == ("probe", 0, 1)
    assert to("b", server) == []

    server.receive(HeartbeatResponse("a", "b", 2, 0), 0.0)

    assert chunks(to("b", server)) == [(0, b"st")]


def test_an_answer_about_another_snapshot_is_ignored() -> None:
    server = behind_the_log()
    persist_all(server)

    more(server, 2, index=3)
    more(server, 99)
    server.receive(InstallSnapshotResponse("a", "c", 2, 4, 2), 0.0)
    server.receive(InstallSnapshotResponse("a", "x", 2, 4, 2), 0.0)

    assert to("b", server) == []


def test_a_chunk_that_was_lost_is_sent_again_after_a_while() -> None:
    server = behind_the_log()
    persist_all(server)

    server.receive(HeartbeatResponse("a", "b", 2, 0), 0.5)
    assert chunks(to("b", server)) == []
    server.receive(HeartbeatResponse("a", "b", 2, 0), 1.0)

    assert chunks(to("b", server)) == [(0, b"st")]


def test_a_silent_follower_gets_no_snapshot_until_it_is_heard() -> None:
    servers = Servers(*THREE, config=Config(trailing_entries=0))
    servers.elect("a")
    servers.isolate("b")
    for number in range(3):
        servers["a"].propose(b"%d" % number, servers.now)
        servers.deliver()
    servers.advance(3.0)
    servers["a"].compact(5, b"state", servers.now)
    servers.pump()
    servers.network.clear()
    servers["a"].unreachable("b", servers.now)
    servers["a"].propose(b"more", servers.now)
    assert of(InstallSnapshot, sent(drain(servers["a"]))) == []

    servers.heal()
    servers.advance(3.0)

    assert servers.applied["b"][0] == (5, b"state")


# --- lost logs


def test_what_a_follower_lost_is_sent_again() -> None:
    server = leader(terms=[1, 1])
    message = AppendEntriesResponse("a", "b", server.term, True, 1, regressed=True)

    server.receive(message, 0.0)

    assert state(server) == ("probe", 1, 2)
    assert batches(to("b", server)) == [(2, 4)]


def test_a_leader_that_is_deposed_forgets_its_followers() -> None:
    server = leader()
    assert [peer.state for peer in server.status().peers] == [
        ProgressState.REPLICATE,
        ProgressState.PROBE,
    ]

    server.receive(Heartbeat("a", "b", 9), 0.0)

    assert server.status().peers == ()
