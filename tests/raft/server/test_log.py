"""The log: growing, comparing, truncating, compacting; against a plain list of entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.entries import CONFIGURATION_SIZE, NO_ENTRIES, Entries, Entry, EntryKind
from raft.server.log import Log
from tests.raft.vocabulary import entries, voters


def log(*terms: int, base: tuple[int, int] = (0, 0)) -> Log:
    made = Log(*base)
    if terms:
        made.extend(entries(*terms, first=base[0] + 1))
    return made


def test_a_new_log_is_empty() -> None:
    made = Log()

    assert (made.first_index, made.last_index, made.last_term) == (1, 0, 0)
    assert (made.term_at(0), made.term_at(1), made.term_at(-1)) == (0, None, None)


def test_terms_are_known_from_the_base_to_the_last() -> None:
    made = log(3, 3, 5, base=(10, 2))

    assert [made.term_at(i) for i in range(9, 15)] == [None, 2, 3, 3, 5, None]


def test_a_leader_appends_commands_and_marks() -> None:
    made = log(1)

    made.append(2, (b"x", b"y"))
    assert made.append_mark(2) == 4
    assert made.append_mark(3, voters("a"), b"why") == 5

    assert list(made.entries(2, 5)) == [
        Entry(2, 2, b"x"),
        Entry(2, 3, b"y"),
        Entry(2, 4, b"", EntryKind.EMPTY),
        Entry(3, 5, b"why", EntryKind.CONFIGURATION, voters("a")),
    ]
    assert made.context_at(5) == b"why"


def test_one_slice_is_shared_by_all_who_want_it() -> None:
    made = log(1, 1)
    appended = made.append(1, (b"x",))

    assert made.entries(3, 3) is appended
    assert made.entries(1, 3) is made.entries(1, 3)
    assert made.entries(3, 2) == NO_ENTRIES


def test_a_slice_keeps_to_limits_but_has_at_least_one() -> None:
    made = Log()
    made.append(1, (b"aaaa", b"bbbb", b"cc"))

    def last(count_max: int, size_max: int) -> int:
        return made.entries_within(1, 3, count_max, size_max).last_index

    assert [last(9, 1), last(9, 7), last(9, 8), last(9, 10), last(2, 99)] == [1, 1, 2, 3, 2]


def test_a_configuration_counts_in_limits() -> None:
    made = Log()
    made.append_mark(1, voters("a"))
    made.append_mark(1)
    made.append(1, (b"x",))

    assert made.entries_within(1, 3, 9, CONFIGURATION_SIZE).last_index == 2
    assert made.entries_within(1, 3, 9, 1).last_index == 1


@pytest.mark.parametrize(
    ("sent", "first", "missing"),
    [
        ([1, 2, 3], 1, 0),
        ([2, 3], 2, 0),
        ([3], 3, 0),
        ([1, 2, 3, 4], 1, 4),
        ([2, 3, 4, 4], 2, 4),
        ([4, 4], 4, 4),
        ([4, 4], 1, 1),
        ([1, 4, 4], 2, 2),
        ([1, 1, 4], 1, 2),
        ([2, 4, 4], 2, 3),
        ([2, 2, 4], 2, 3),
    ],
)
def test_the_first_that_is_missing_or_conflicts_is_found(
    sent: list[int], first: int, missing: int
) -> None:
    made = log(1, 2, 3)

    assert made.first_missing(entries(*sent, first=first)) == missing


TERMS = st.lists(st.integers(1, 4), max_size=12).map(sorted)


@given(TERMS, TERMS.filter(bool), st.integers(0, 12))
def test_the_first_missing_is_that_of_a_comparison_one_by_one(
    ours: list[int], theirs: list[int], start: int
) -> None:
    start = min(start, len(ours), len(theirs) - 1)
    made, sent = log(*ours), entries(*theirs).between(start + 1, len(theirs))

    expected = next(
        (
            index
            for index in range(start + 1, len(theirs) + 1)
            if index > len(ours) or ours[index - 1] != theirs[index - 1]
        ),
        0,
    )
    assert made.first_missing(sent) == expected


@given(TERMS, st.integers(0, 15), st.integers(0, 5))
def test_the_last_not_above_a_term_is_that_of_a_search_one_by_one(
    terms: list[int], index: int, term: int
) -> None:
    made = log(*terms)

    found = max(
        (i for i in range(min(index, len(terms)) + 1) if ([0, *terms])[i] <= term), default=0
    )
    assert made.last_not_above(index, term) == (found, [0, *terms][found])


def test_the_last_not_above_a_term_may_be_compacted() -> None:
    assert log(5, base=(10, 4)).last_not_above(11, 3) == (10, 4)
    assert log(5, base=(10, 4)).last_not_above(7, 3) == (7, 0)


def test_truncating_removes_entries_runs_and_marks() -> None:
    made = log(1, 1)
    made.append_mark(2)
    made.append_mark(3)

    made.truncate(3)
    made.check_invariants()

    assert (made.last_index, made.last_term) == (2, 1)
    assert made.marks(1, 9) == ()
    made.truncate(1)
    assert (made.last_index, made.last_term) == (0, 0)
    made.check_invariants()


def test_extending_joins_runs_of_one_term() -> None:
    made = log(1, 2)

    made.extend(entries(2, 3, first=3))
    made.check_invariants()

    assert made.entries(1, 4).runs == ((1, 1), (2, 2), (4, 3))


def test_compacting_keeps_the_term_of_the_base() -> None:
    made = log(1, 1, 2)
    made.append_mark(2)

    made.compact(2)
    made.check_invariants()
    made.compact(2)

    assert (made.first_index, made.base_term, made.last_index) == (3, 1, 4)
    assert [entry.term for entry in made.entries(3, 4)] == [2, 2]
    made.compact(4)
    made.check_invariants()
    assert (made.base_index, made.base_term, made.last_term) == (4, 2, 2)


def test_a_log_restarts_behind_a_snapshot() -> None:
    made = log(1, 1, 2)

    made.restart(9, 4)
    made.check_invariants()

    assert (made.base_index, made.last_index, made.last_term) == (9, 9, 4)


def test_configurations_are_found_by_index() -> None:
    made = log(1)
    made.append_mark(1, voters("a"))
    made.append_mark(1)
    made.append_mark(1, voters("b"))

    assert made.configuration_at(1) is None
    assert made.configuration_at(3) == (2, voters("a"))
    assert made.configuration_at(4) == (4, voters("b"))
    assert made.has_configuration(3, 4)
    assert not made.has_configuration(3, 3)


@given(st.lists(st.tuples(st.sampled_from("ametrc"), st.integers(1, 9)), max_size=30))
def test_a_log_is_a_list_of_entries(steps: list[tuple[str, int]]) -> None:
    made, model, base = Log(), list[Entry](), 0
    for what, number in steps:
        term = max(made.last_term, 1) + number // 5
        index = made.last_index + 1
        match what:
            case "a":
                made.append(term, (b"p",) * number)
                model += [Entry(term, index + i, b"p") for i in range(number)]
            case "m":
                made.append_mark(term)
                model.append(Entry(term, index, b"", EntryKind.EMPTY))
            case "e":
                made.extend(entries(term, term + 1, first=index))
                model += entries(term, term + 1, first=index)
            case "t" if base < index - number:
                made.truncate(index - number)
                model = [entry for entry in model if entry.index < index - number]
            case "c" if base <= index - number:
                base = index - number
                made.compact(base)
                model = [entry for entry in model if entry.index > base]
            case "r" if number == 9:
                base = index + 3
                made.restart(base, made.last_term + 1)
                model = []
            case _:
                pass
        made.check_invariants()
        assert list(made.entries(base + 1, made.last_index)) == model
        assert made.entries(base + 1, made.last_index) == Entries.of(model)
