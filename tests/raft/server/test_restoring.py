"""Beginning a new life with what is on disk."""

from __future__ import annotations

import random

import pytest

from raft import (
    Config,
    Configuration,
    ConfigurationChanged,
    Entries,
    EntriesCommitted,
    Entry,
    EntryKind,
    HardState,
    LogRegression,
    Raft,
    Role,
    Snapshot,
    Stored,
    StoredInvalid,
)
from tests.raft.vocabulary import THREE, drain, entries, founding, of, voters

SNAPSHOT = Snapshot(5, 2, voters(*THREE), 1, b"state")


def start(
    *,
    snapshot: Snapshot | None = None,
    log: Entries | None = None,
    term: int = 9,
    commit: int = 0,
    applied: int = 0,
) -> Raft:
    stored = Stored(
        hard_state=HardState(term, None, commit),
        snapshot=snapshot,
        entries=log or Entries.of([]),
        applied=applied,
    )
    return Raft("a", Config(), rng=random.Random(1), now=0.0, stored=stored)


def test_a_new_server_has_nothing() -> None:
    server = Raft("a", Config(), rng=random.Random(1), now=0.0)

    assert (server.term, server.last_index, server.role) == (0, 0, Role.FOLLOWER)
    assert server.configuration == Configuration()
    assert server.next_timeout() is None


def test_term_vote_and_log_are_those_of_the_former_life() -> None:
    stored = Stored(hard_state=HardState(4, "b", 2), entries=entries(1, 3))

    server = Raft("a", Config(), rng=random.Random(1), now=0.0, stored=stored)

    assert (server.term, server.voted_for, server.commit_index) == (4, "b", 2)
    assert server.entries(1, 2) == entries(1, 3)


def test_what_is_committed_behind_the_applied_index_is_handed_out() -> None:
    server = start(log=entries(1, 1, 1, 1), commit=3, applied=1)

    [committed] = of(EntriesCommitted, drain(server))

    assert [entry.index for entry in committed.entries] == [2, 3]


def test_what_was_applied_is_committed_whatever_the_hard_state_says() -> None:
    server = start(log=entries(1, 1, 1), commit=0, applied=2)

    assert (server.commit_index, server.applied_index) == (2, 2)
    assert drain(server) == []


def test_the_configuration_is_that_of_the_applied_index() -> None:
    later = Entry(1, 3, b"", EntryKind.CONFIGURATION, voters("a"))
    log = Entries.of([founding(voters(*THREE)), *entries(1, first=2), later])

    server = start(log=log, commit=2, applied=2)
    assert (server.configuration, server.configuration_index) == (voters(*THREE), 1)
    server = start(log=log, commit=3, applied=3)
    assert (server.configuration, server.configuration_index) == (voters("a"), 3)
    server = start(log=log, commit=3, applied=2)
    assert (server.configuration, server.configuration_index) == (voters("a"), 3)
    assert of(ConfigurationChanged, drain(server)) != []


def test_the_configuration_of_a_snapshot_is_in_force() -> None:
    server = start(snapshot=SNAPSHOT, applied=5)

    assert (server.configuration, server.configuration_index) == (voters(*THREE), 1)
    assert (server.commit_index, server.applied_index, server.first_index) == (5, 5, 6)
    assert server.snapshot == SNAPSHOT


def test_entries_follow_the_snapshot() -> None:
    server = start(snapshot=SNAPSHOT, log=entries(2, 3, first=6), commit=6)

    assert (server.term_at(5), server.term_at(6), server.last_index) == (2, 2, 7)
    assert [e.index for o in of(EntriesCommitted, drain(server)) for e in o.entries] == [6]


def test_entries_that_overlap_the_snapshot_serve_slow_followers() -> None:
    server = start(snapshot=SNAPSHOT, log=entries(1, 1, 2, 3, first=3))

    # The term before the first entry is not known: that entry serves as the base.
    assert (server.first_index, server.last_index) == (4, 6)
    assert [server.term_at(index) for index in (2, 3, 4, 5, 6)] == [None, 1, 1, 2, 3]
    assert server.applied_index == 5


def test_one_entry_that_the_snapshot_ends_with_is_enough_of_a_base() -> None:
    server = start(snapshot=SNAPSHOT, log=entries(2, first=5))

    assert (server.first_index, server.last_index, server.term_at(5)) == (6, 5, 2)


def test_entries_before_the_snapshot_are_dropped() -> None:
    server = start(snapshot=SNAPSHOT, log=entries(1, 1, first=2))

    assert (server.first_index, server.last_index) == (6, 5)


@pytest.mark.parametrize(
    ("terms", "last"), [((1, 1, 1, 1, 1), 5), ((1, 1, 1, 1, 1, 1), 5), ((1, 1, 1, 1, 1, 2, 3), 7)]
)
def test_entries_that_a_snapshot_replaced_are_dropped(terms: tuple[int, ...], last: int) -> None:
    server = start(snapshot=SNAPSHOT, log=entries(*terms))

    assert (server.first_index, server.last_index) == (6, last)


def test_a_gap_behind_the_snapshot_is_refused() -> None:
    with pytest.raises(StoredInvalid, match="do not follow"):
        start(snapshot=SNAPSHOT, log=entries(3, first=7))


def test_a_log_that_begins_late_without_a_snapshot_is_refused() -> None:
    with pytest.raises(StoredInvalid, match="do not follow"):
        start(log=entries(3, first=2))


def test_entries_of_a_later_term_than_the_hard_states_are_refused() -> None:
    with pytest.raises(StoredInvalid, match="term 3 in term 2"):
        start(log=entries(3), term=2)


@pytest.mark.parametrize(("commit", "applied"), [(5, 0), (0, 5)])
def test_a_log_that_lost_its_tail_is_told(commit: int, applied: int) -> None:
    server = start(log=entries(1, 1), commit=commit, applied=applied)

    assert of(LogRegression, drain(server)) == [LogRegression(2, 5)]
    assert server.status().regressed
    assert server.commit_index == 2


def test_a_server_that_may_not_vote_and_lost_more_still_may_not() -> None:
    stored = Stored(hard_state=HardState(1, None, 5, regressed=True), entries=entries(1, 1))

    server = Raft("a", Config(), rng=random.Random(1), now=0.0, stored=stored)

    assert of(LogRegression, drain(server)) == [LogRegression(2, 5)]
    assert server.status().regressed
