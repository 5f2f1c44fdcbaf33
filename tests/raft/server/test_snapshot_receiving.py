"""Receiving a snapshot: chunks in order, resumed, checked, durable before it is told."""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

import pytest

from raft import (
    Config,
    ConfigurationChanged,
    EntriesCommitted,
    Persist,
    ProposalsExpired,
    ProposalsLost,
    Raft,
    Role,
    Snapshot,
    SnapshotInstalled,
)
from raft.entries import LogIds
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
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
    remembered,
    sent,
    voters,
)

STATE = b"application state"
PLAIN = Config(pre_vote=False, check_quorum=False)


def chunk(start: int, count: int, /, **changes: Any) -> InstallSnapshot:
    """Return a part of a snapshot of index 9, term 3."""
    fields: dict[str, Any] = {
        "to": "a",
        "source": "b",
        "term": 3,
        "index": 9,
        "index_term": 3,
        "configuration": voters("a", "b"),
        "configuration_index": 5,
        "size": len(STATE),
        "checksum": crc32(STATE),
        "offset": start,
        "chunk": STATE[start : start + count],
    }
    return InstallSnapshot(**(fields | changes))


def give(server: Raft, message: InstallSnapshot) -> list[tuple[int, bool]]:
    """Give a chunk; return the offsets that are told, and whether they refuse."""
    server.receive(message, 0.0)
    answers = of(InstallSnapshotResponse, sent(drain(server)))
    return [(answer.offset, answer.refused) for answer in answers]


def test_chunks_are_put_together_and_told_once_they_are_durable() -> None:
    server = machine("a")
    assert give(server, chunk(0, 10)) == [(10, False)]
    server.receive(chunk(10, 10), 0.0)

    outputs = drain(server)
    [persist] = of(Persist, outputs)
    assert persist.snapshot == Snapshot(9, 3, voters("a", "b"), 5, STATE)
    assert (persist.truncate_from, persist.hard_state.commit) == (10, 9)
    assert (sent(outputs), of(SnapshotInstalled, outputs)) == ([], [])

    server.persisted(persist.seq, 0.0)
    outputs = drain(server)
    assert of(SnapshotInstalled, outputs) == [SnapshotInstalled(persist.snapshot)]
    changed = ConfigurationChanged(voters("a", "b"), voters(*THREE), 5)
    assert of(ConfigurationChanged, outputs) == [changed]
    assert sent(outputs) == [AppendEntriesResponse("b", "a", 3, False, 9)]
    assert (server.applied_index, server.last_index, server.first_index) == (9, 9, 10)
    assert server.configuration_index == 5


def test_an_installed_snapshot_is_the_last_one() -> None:
    server = machine("a")
    server.receive(chunk(0, 99), 0.0)

    assert server.snapshot == Snapshot(9, 3, voters("a", "b"), 5, STATE)
    assert server.status().snapshot_index == 9


def test_who_sends_chunks_is_the_leader_and_alive() -> None:
    server = machine("a")
    server.campaign(0.5)

    server.receive(chunk(0, 2, term=1), 1.0)
    server.receive(chunk(2, 2, term=1), 8.0)

    assert (server.role, server.leader) == (Role.FOLLOWER, "b")
    assert (server.next_timeout() or 0.0) >= 9.0


def test_a_snapshot_of_just_what_is_committed_is_acknowledged() -> None:
    server = machine("a", terms=[3] * 8, commit=9)

    server.receive(chunk(0, 99), 0.0)

    outputs = persist_all(server)
    assert sent(outputs) == [AppendEntriesResponse("b", "a", 3, False, 9)]
    assert of(SnapshotInstalled, outputs) == []


def test_a_snapshot_overtakes_entries_on_their_way_to_disk() -> None:
    server = machine("a", config=Config(uncommitted_entries_max=1))
    server.receive(AppendEntries("a", "b", 3, 1, 1, entries(3, first=2)), 0.0)
    drain(server)

    server.receive(chunk(0, 99), 0.0)

    assert server.last_index == 9


def test_a_snapshot_of_no_term_is_not_taken() -> None:
    server = Raft("a", Config(), rng=random.Random(1), now=0.0)

    server.receive(chunk(0, 99, index_term=0), 0.0)

    assert server.stats.rejected == {"unsound snapshot": 1}


def test_a_part_outlives_entries_that_it_does_not_cover() -> None:
    server = machine("a", term=3)
    give(server, chunk(0, 10))
    server.receive(AppendEntries("a", "b", 3, 1, 1, entries(3, first=2), 2), 0.0)
    persist_all(server)
    assert server.applied_index == 2

    server.receive(chunk(10, 99), 0.0)

    assert of(SnapshotInstalled, persist_all(server)) != []


def test_a_part_that_entries_have_overtaken_is_not_kept() -> None:
    server = machine("a", term=3)
    large = chunk(0, 0, size=10**6, chunk=bytes(10**5))
    give(server, large)
    before = remembered(server)

    server.receive(AppendEntries("a", "b", 3, 1, 1, entries(*[3] * 8, first=2), 9), 0.0)
    persist_all(server)

    assert remembered(server) < before - 90_000


def test_an_empty_snapshot_is_one_chunk() -> None:
    server = machine("a")

    server.receive(chunk(0, 0, size=0, checksum=0), 0.0)

    assert of(SnapshotInstalled, persist_all(server)) != []


def test_a_chunk_that_comes_twice_or_too_early_is_answered_with_what_is_here() -> None:
    server = machine("a")

    assert give(server, chunk(5, 5)) == [(0, False)]
    assert give(server, chunk(0, 5)) == [(5, False)]
    assert give(server, chunk(0, 5)) == [(5, False)]
    assert give(server, chunk(9, 5)) == [(5, False)]
    assert give(server, chunk(5, 5)) == [(10, False)]


def test_another_leader_goes_on_with_the_same_snapshot() -> None:
    server = machine("a")
    give(server, chunk(0, 10))

    assert give(server, chunk(0, 10, term=4, source="c")) == [(10, False)]


def test_another_snapshot_begins_anew() -> None:
    server = machine("a")
    give(server, chunk(0, 10))

    assert give(server, chunk(0, 4, checksum=1)) == [(4, False)]


def test_a_crash_in_the_middle_begins_anew() -> None:
    servers = Servers(*THREE, config=Config(trailing_entries=0, snapshot_chunk_size=4))
    servers.elect("a")
    servers.isolate("c")
    servers["a"].propose_many([b"x"] * 5, servers.now)
    servers.deliver()
    servers["a"].compact(7, STATE, servers.now)
    servers.heal()
    servers.advance(0.3, deliver=False)
    while servers.network and servers["c"].status().snapshot_index == 0:
        message = servers.network.popleft()
        servers[message.to].receive(message, servers.now)
        servers.pump(message.to)
        if isinstance(message, InstallSnapshot) and message.offset == 8:
            break
    servers.network.clear()

    servers.restart("c")
    servers.advance(5.0)

    assert servers.applied["c"] == [(7, STATE)]


@pytest.mark.parametrize(
    "unsound",
    [
        chunk(0, 5, size=1 << 40),
        chunk(0, 5, size=-1),
        chunk(0, 5, offset=99),
        chunk(0, 5, offset=-1),
        chunk(0, 5, chunk=b"x" * 99),
        chunk(0, 5, index_term=0),
        chunk(0, 5, index_term=4),
        chunk(0, 5, configuration_index=10),
        chunk(0, 5, configuration_index=-1),
    ],
)
def test_a_snapshot_that_can_not_be_one_is_refused(unsound: InstallSnapshot) -> None:
    server = machine("a")

    assert give(server, unsound) == [(0, True)]
    assert server.stats.rejected == {"unsound snapshot": 1}


def test_a_damaged_snapshot_is_refused_and_begins_anew() -> None:
    server = machine("a")
    give(server, chunk(0, 10))

    assert give(server, chunk(10, 10, chunk=b"damages")) == [(0, True)]
    assert server.stats.rejected == {"damaged snapshot": 1}
    assert give(server, chunk(0, 10)) == [(10, False)]


def test_a_snapshot_of_what_is_committed_here_is_not_needed() -> None:
    server = machine("a", terms=[1] * 9, commit=10, term=3)

    server.receive(chunk(0, 5), 0.0)
    outputs = persist_all(server)

    assert sent(outputs) == [AppendEntriesResponse("b", "a", 3, False, 10)]
    assert server.last_index == 10


def test_a_snapshot_of_what_the_log_has_only_commits_it() -> None:
    server = machine("a", terms=[3] * 9, term=3)

    server.receive(chunk(0, 5), 0.0)
    outputs = persist_all(server)

    assert sent(outputs) == [AppendEntriesResponse("b", "a", 3, False, 9)]
    assert (server.commit_index, server.last_index) == (9, 10)
    assert of(SnapshotInstalled, outputs) == []


def test_a_snapshot_replaces_a_log_that_conflicts() -> None:
    server = machine("a", terms=[2] * 12, term=3)

    server.receive(chunk(0, 99), 0.0)
    persist_all(server)
    server.receive(AppendEntries("a", "b", 3, 9, 3, entries(3, first=10), 10), 0.0)
    outputs = persist_all(server)

    assert [entry.index for o in of(EntriesCommitted, outputs) for entry in o.entries] == [10]
    assert (server.first_index, server.last_index) == (10, 10)


def test_what_was_handed_out_but_not_fetched_comes_before_the_snapshot() -> None:
    server = machine("a", terms=[1, 1, 2], term=3)
    server.receive(AppendEntries("a", "b", 3, 3, 1, commit=3), 0.0)

    server.receive(chunk(0, 99), 0.0)
    outputs = persist_all(server)

    handed = [e.index for o in of(EntriesCommitted, outputs) for e in o.entries]
    assert handed == [2, 3]
    kinds = [type(o) for o in outputs if isinstance(o, (EntriesCommitted, SnapshotInstalled))]
    assert kinds == [EntriesCommitted, SnapshotInstalled]


def test_entries_that_follow_the_snapshot_travel_with_it() -> None:
    server = machine("a")
    server.receive(chunk(0, 99), 0.0)

    server.receive(AppendEntries("a", "b", 3, 9, 3, entries(3, 3, first=10), 11), 0.0)
    [persist] = of(Persist, drain(server))
    assert persist.snapshot is not None
    assert persist.entries.first_index == 10
    server.persisted(persist.seq, 0.0)
    outputs = drain(server)

    told = [o for o in outputs if isinstance(o, (EntriesCommitted, SnapshotInstalled))]
    assert [type(o) for o in told] == [SnapshotInstalled, EntriesCommitted]
    acknowledged = of(AppendEntriesResponse, sent(outputs))
    assert [message.index for message in acknowledged] == [11]


def test_a_server_does_not_campaign_before_its_snapshot_is_installed() -> None:
    server = machine("a")
    server.receive(chunk(0, 99), 0.0)
    drain(server)

    assert server.next_timeout() is None
    server.persisted(1, 0.0)
    assert server.next_timeout() is not None


def test_a_second_snapshot_overtakes_the_first_on_its_way_to_disk() -> None:
    server = machine("a")
    server.receive(chunk(0, 99), 0.0)
    drain(server)
    server.receive(chunk(0, 99, index=20, configuration_index=20), 0.0)
    [second] = of(Persist, drain(server))

    server.persisted(second.seq - 1, 0.0)
    assert of(SnapshotInstalled, drain(server)) == []
    server.persisted(second.seq, 0.0)

    assert [o.snapshot.index for o in of(SnapshotInstalled, drain(server))] == [20]


def test_snapshots_on_their_way_to_disk_are_bounded() -> None:
    server = machine("a", config=Config(uncommitted_size_max=2 * len(STATE)))
    for index in (9, 20, 30, 40):
        server.receive(chunk(0, 99, index=index, configuration_index=index), 0.0)
        drain(server)

    assert server.last_index == 20
    assert server.stats.rejected == {"disk behind": 2}


def test_a_part_that_is_no_longer_needed_is_dropped() -> None:
    server = machine("a", term=3)
    give(server, chunk(0, 10))
    server.receive(AppendEntries("a", "b", 3, 1, 1, entries(*[3] * 8, first=2), 5), 0.0)
    persist_all(server)
    assert give(server, chunk(10, 0, term=3, index=9)) == []

    server.receive(AppendEntries("a", "b", 3, 9, 3, commit=9), 0.0)
    persist_all(server)

    assert server.applied_index == 9


def test_own_proposals_behind_a_snapshot_are_lost_and_those_in_it_unknown() -> None:
    server = machine("a", config=PLAIN)
    server.campaign(0.0)
    persist_all(server)
    server.receive(RequestVoteResponse("a", "b", 2, True), 0.0)
    server.propose_many([b"x"] * 10, 0.0)
    persist_all(server)

    server.receive(chunk(0, 99), 0.0)
    outputs = drain(server)

    assert of(ProposalsLost, outputs) == [ProposalsLost(LogIds(2, 9, 12))]
    assert of(ProposalsExpired, outputs) == [ProposalsExpired(LogIds(2, 3, 8))]


def test_a_leader_takes_no_snapshot() -> None:
    servers = Servers(*THREE)
    servers.elect("a")

    servers["a"].receive(chunk(0, 99, term=2), servers.now)

    assert servers["a"].stats.rejected == {"another leader in our term": 1}
