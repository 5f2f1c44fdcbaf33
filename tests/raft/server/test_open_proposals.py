"""What becomes of a former leader's entries: decided once their places are, never before."""

from __future__ import annotations

from random import Random

import pytest

from raft import Config, EntriesCommitted, ProposalsExpired, ProposalsLost, Role
from raft.entries import LogIds
from raft.messages import AppendEntries, RequestVoteResponse
from raft.outputs import Output
from raft.server.core import Core
from raft.server.open_proposals import OpenProposals
from tests.raft.vocabulary import Servers, entries, machine, of, persist_all

PLAIN = Config(pre_vote=False, check_quorum=False)
FIVE = ("a", "b", "c", "d", "e")


def test_what_the_next_leader_removes_may_be_committed_by_the_one_after_it() -> None:
    servers = Servers(*FIVE, config=PLAIN)
    servers.elect("a")
    # Only c gets the command of a.
    ids = servers["a"].propose(b"x", servers.now)
    servers.deliver(keep=lambda message: message.to == "c")
    # b is elected without it, and its own entry takes its place at a, and nowhere else.
    servers.isolate("c")
    servers["b"].campaign(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntries) or m.to == "a")
    assert servers.leaders() == ["b"]
    assert servers["a"].term_at(ids.index) != ids.term
    servers.network.clear()

    # c, whose log is as up to date as those of d and e, is elected and commits it after all.
    servers.heal()
    servers.isolate("b")
    for _ in range(2):
        servers["c"].campaign(servers.now)
        servers.deliver()
    servers.advance(1.0)

    assert servers["c"].role is Role.LEADER
    assert servers.applied["a"] == [(ids.index, b"x")]
    assert of(ProposalsLost, servers.events["a"]) == []


def test_a_part_that_was_committed_is_not_told_again() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)
    server.propose_many([b"x"] * 3, 0.0)
    persist_all(server)

    server.receive(AppendEntries("a", "b", 3, 2, 2, commit=2), 0.0)
    server.receive(AppendEntries("a", "b", 3, 5, 2, commit=4), 0.0)
    early = persist_all(server)
    server.receive(AppendEntries("a", "b", 3, 4, 2, entries(3, first=5), 5), 0.0)
    late = persist_all(server)

    assert [event.entries.last_index for event in of(EntriesCommitted, early)] == [4]
    assert of(ProposalsLost, early) == []
    assert of(ProposalsLost, late) == [ProposalsLost(LogIds(2, 5, 5))]


def test_what_no_longer_has_a_place_is_lost_at_once() -> None:
    server = machine("a", config=PLAIN)
    server.receive(AppendEntries("a", "b", 2, 1, 1, entries(2, 2, 2, first=2), 1), 0.0)
    persist_all(server)
    server.campaign(0.0)
    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 3, True), 0.0)
    server.propose(b"x", 0.0)
    persist_all(server)

    # The next leader's log ends far in front of ours, and nobody proposes anything more.
    server.receive(AppendEntries("a", "c", 4, 1, 1, entries(4, first=2), 2), 0.0)
    told = persist_all(server)

    assert of(ProposalsLost, told) == [ProposalsLost(LogIds(3, 6, 6))]


@pytest.mark.parametrize(
    ("ids", "expected", "left"),
    [
        (LogIds(2, 3, 8), [ProposalsExpired(LogIds(2, 3, 8))], []),
        (
            LogIds(2, 3, 12),
            [ProposalsExpired(LogIds(2, 3, 8)), ProposalsLost(LogIds(2, 9, 12))],
            [],
        ),
        (LogIds(2, 9, 12), [ProposalsLost(LogIds(2, 9, 12))], []),
        (LogIds(2, 10, 12), [ProposalsLost(LogIds(2, 10, 12))], []),
        (LogIds(4, 10, 12), [], [LogIds(4, 10, 12)]),
        (LogIds(3, 3, 12), [ProposalsExpired(LogIds(3, 3, 9))], [LogIds(3, 10, 12)]),
        (LogIds(3, 3, 9), [ProposalsExpired(LogIds(3, 3, 9))], []),
    ],
)
def test_a_snapshot_decides_what_its_last_term_tells(
    ids: LogIds, expected: list[Output], left: list[LogIds]
) -> None:
    """The entry at its last index is known by its term, and what is before it is not known."""
    core = Core("a", Config(), Random(1), 0.0, lambda _: None)
    proposals = OpenProposals(core)
    proposals.ranges.append(ids)

    proposals.replaced(9, 3)

    assert list(core.outputs) == expected
    assert proposals.ranges == left
