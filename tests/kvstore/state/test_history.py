"""The history: what is kept, what is forgotten, and what is freed when."""

from __future__ import annotations

from kvstore.change import Change
from kvstore.entry import Record
from kvstore.state.history import SWEEP, History


def history(count: int, limit: int | None = None, age: int | None = None) -> History:
    """Return a history of one key's changes, one for each revision."""
    made = History(limit, age)
    for _ in range(count):
        append(made)
    return made


def append(made: History, revision: int | None = None) -> None:
    sequence = made.sequence
    revision = sequence + 1 if revision is None else revision
    old = made.changes[-1][2] if made.changes and made.changes[-1] else None
    record: Record = ("a", b"", 0, 1, revision, sequence + 1, None, sequence, -1)
    change: Change = (revision, "a", record, old, 0, -1)
    made.changes.append(change)
    made.sequence += 1


def test_places_are_found_by_revision() -> None:
    made = history(10)

    assert [made.first_after(revision) for revision in (0, 1, 9, 10, 99)] == [0, 1, 9, 10, 10]
    assert made.at(3)[0] == 4
    assert len(made) == 10


def test_the_past_of_a_key_is_walked_back() -> None:
    made = history(10)
    newest = made.at(9)[2]

    for revision in range(1, 11):
        found = made.past(newest, -1, revision)
        assert found is not None
        assert found[4] == revision
    assert made.past(newest, -1, 0) is None
    assert made.trace(None, -1, 5) == (None, -1)


def test_a_floor_forgets_and_tells_how_much() -> None:
    made = history(10)

    assert made.raise_floor(4) == 4
    assert (made.floor, made.floor_sequence, len(made)) == (4, 4, 6)
    assert made.tend_at == 0
    assert [change[0] for change in made.free(4)] == [1, 2, 3, 4]
    assert made.tend_at > 10


def test_a_pin_holds_back_what_is_freed_and_nothing_else() -> None:
    made = history(10)
    pin = made.pin()

    made.raise_floor(6)

    assert (made.floor, made.free_to) == (6, 0)
    assert made.tend_at > 10
    later = made.pin()
    made.unpin(pin)
    assert made.free_to == 6
    assert made.tend_at == 0
    made.unpin(later)
    assert made.free_to == 6


def test_a_list_of_freed_changes_is_moved_when_half_of_it_is_empty() -> None:
    made = history(4 * SWEEP)

    made.raise_floor(2 * SWEEP)
    made.free(2 * SWEEP)
    assert (made.base, len(made.changes)) == (0, 4 * SWEEP)
    made.raise_floor(2 * SWEEP + 1)
    made.free(2 * SWEEP + 1)

    assert (made.base, made.freed) == (2 * SWEEP + 1, 2 * SWEEP + 1)
    assert made.at(2 * SWEEP + 1)[0] == 2 * SWEEP + 2


def test_a_limit_cuts_only_when_it_is_worth_it() -> None:
    made = history(SWEEP + 9, limit=10)
    made.cut()
    assert made.floor == 0

    append(made)
    made.cut()

    assert (len(made), made.floor) == (10, SWEEP)
    unlimited = history(5)
    unlimited.cut()
    assert unlimited.floor == 0


def test_a_cut_keeps_revisions_whole() -> None:
    made = History(10, None)
    for _ in range(SWEEP + 10):
        append(made, 1)

    made.cut()
    assert made.floor == 0
    append(made, 2)
    made.cut()

    assert (made.floor, len(made)) == (0, SWEEP + 11)


def test_an_age_forgets_in_pieces() -> None:
    made = History(None, 160)
    for step in range(30):
        made.mark(step * 10)
        append(made)

    assert made.floor == 13
    made.configure(None, None)
    assert len(made.marks) == 0
    made.mark(9999)
    assert (made.floor, len(made.marks)) == (13, 0)


def test_times_without_changes_forget_nothing_new() -> None:
    made = History(None, 160)
    append(made)
    for step in range(100):
        made.mark(step * 100)

    assert (made.floor, len(made)) == (1, 0)
    assert len(made.marks) < 5
