"""Simulated disks: what is durable, and what a crash leaves."""

from __future__ import annotations

from random import Random

import pytest

from raft import HardState, Persist, Snapshot, Stored
from raft.entries import NO_ENTRIES, Entries
from raft.testing import Disk, WalDisk
from tests.raft.vocabulary import entries, voters

ABC = voters("a", "b", "c")


def persist(
    seq: int,
    written: Entries = NO_ENTRIES,
    *,
    term: int = 1,
    snapshot: Snapshot | None = None,
    truncate_from: int = 0,
) -> Persist:
    return Persist(seq, HardState(term), written, snapshot, truncate_from)


def disk(*persists: Persist, trailing: int = 0) -> Disk:
    """Return a disk on which these are durable."""
    found = Disk(trailing)
    for each in persists:
        found.write(each)
    found.sync(len(persists))
    return found


def kept(found: Disk) -> list[tuple[int, int]]:
    """Return term and index of the durable entries."""
    return [(entry.term, entry.index) for entry in found.stored().entries]


def test_a_new_disk_has_nothing() -> None:
    assert Disk().stored() == Stored()


def test_entries_replace_those_that_were_there() -> None:
    found = disk(persist(1, entries(1, 1, 1)), persist(2, entries(2, first=2), term=2))

    assert kept(found) == [(1, 1), (2, 2)]
    assert found.stored().hard_state == HardState(2)
    assert (found.first_index, found.last_index) == (1, 2)
    assert [found.term_at(index) for index in (0, 1, 2, 3)] == [None, 1, 2, None]


def test_what_is_not_synced_is_not_durable() -> None:
    found = disk(persist(1, entries(1)))
    found.write(persist(2, entries(1, first=2)))

    assert kept(found) == [(1, 1)]
    assert found.sync(1) == 2
    assert kept(found) == [(1, 1), (1, 2)]


def test_a_crash_leaves_some_first_part_of_what_was_not_synced() -> None:
    left = set()
    for seed in range(30):
        found = disk(persist(1, entries(1)))
        for seq in (2, 3, 4):
            found.write(persist(seq, entries(1, first=seq)))
        found.crash(Random(seed))
        assert not found.pending
        left.add(found.last_index)

    assert left == {1, 2, 3, 4}


def test_an_own_snapshot_forgets_what_is_behind_the_trailing_entries() -> None:
    found = disk(
        persist(1, entries(1, 1, 1, 1)),
        persist(2, snapshot=Snapshot(3, 1, ABC, 1, b"")),
        trailing=1,
    )

    assert kept(found) == [(1, 3), (1, 4)]
    assert found.stored().applied == 3
    assert found.covers(1, 1)
    assert found.covers(4, 1)
    assert not found.covers(4, 2)
    assert not found.covers(5, 1)
    assert found.covers(0, 0)


def test_a_leaders_snapshot_takes_the_place_of_what_differs() -> None:
    found = disk(
        persist(1, entries(1, 1, 1, 1, 1)),
        persist(
            2, entries(2, first=4), term=2, snapshot=Snapshot(3, 2, ABC, 1, b""), truncate_from=4
        ),
        trailing=9,
    )

    assert kept(found) == [(2, 4)]
    assert found.term_at(3) == 2


def test_a_leaders_snapshot_beyond_the_log_replaces_it() -> None:
    found = disk(
        persist(1, entries(1)),
        persist(2, term=2, snapshot=Snapshot(9, 2, ABC, 1, b""), truncate_from=10),
    )

    assert kept(found) == []
    assert (found.last_index, found.term_at(9)) == (9, 2)


def test_a_leaders_snapshot_that_agrees_keeps_what_it_covers() -> None:
    found = disk(
        persist(1, entries(1, 1, 1, 1)),
        persist(2, snapshot=Snapshot(3, 1, ABC, 1, b""), truncate_from=4),
        trailing=9,
    )

    assert kept(found) == [(1, 1), (1, 2), (1, 3)]


def test_the_applications_own_state_is_kept() -> None:
    found = disk(persist(1, entries(1, 1)))
    found.checkpoint(2, b"state")

    found.crash(Random(1))

    assert found.stored().applied == 2
    assert found.state == b"state"


def test_a_liar_loses_what_was_durable() -> None:
    found = disk(persist(1, entries(1, 1)))

    found.lose(1)

    assert kept(found) == [(1, 1)]
    assert found.is_liar


def test_a_gap_is_refused() -> None:
    found = disk(persist(1, entries(1)))
    found.write(persist(2, entries(1, first=3)))

    with pytest.raises(AssertionError, match="a gap"):
        found.sync(1)


@pytest.mark.parametrize("number", range(40))
def test_real_bytes_come_back_after_a_crash_anywhere(number: int) -> None:
    found = WalDisk(Random(number), trailing=2)
    found.write(persist(1, entries(1, 1, 1)))
    found.sync(1)
    found.write(persist(2, entries(1, first=4)))
    found.write(persist(3, term=2, snapshot=Snapshot(2, 1, ABC, 1, b"data")))
    found.write(persist(4, entries(2, first=4), term=2))
    found.write(
        persist(5, term=3, snapshot=Snapshot(9, 3, ABC, 1, b"other"), truncate_from=10),
    )

    found.crash(Random(number))

    stored = found.stored()
    assert stored.hard_state.term == found.hard_state.term >= 1
    assert found.last_index >= 3
    assert stored.snapshot == found.snapshot
    found.checkpoint(3, b"")
    assert found.stored().applied >= 3
    found.write(persist(1, term=4))
    found.sync(1)
    found.crash(Random(number))
    assert found.hard_state.term == 4
