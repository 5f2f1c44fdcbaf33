"""Many entries as one value: slices, terms, marks, sizes."""

from __future__ import annotations

import pytest

from raft.entries import CONFIGURATION_SIZE, NO_ENTRIES, Entries, Entry, EntryKind, LogId, LogIds
from tests.raft.vocabulary import entries, voters

NO_OP = Entry(2, 3, b"", EntryKind.EMPTY)
CHANGE = Entry(2, 4, b"why", EntryKind.CONFIGURATION, voters("a"))
MIXED = (Entry(1, 1, b"x"), Entry(1, 2, b"yy"), NO_OP, CHANGE, Entry(2, 5, b"zzz"))


def test_entries_made_of_single_ones_are_those_again() -> None:
    made = Entries.of(MIXED)

    assert tuple(made) == MIXED
    assert [made[at] for at in range(5)] == list(MIXED)
    assert (made[-1], list(made[1:3])) == (MIXED[-1], list(MIXED[1:3]))
    assert (made.first_index, made.last_index, made.last_term, len(made)) == (1, 5, 2, 5)
    assert made.runs == ((1, 1), (3, 2))


def test_none_at_all_have_no_last() -> None:
    assert Entries.of([]) == NO_ENTRIES
    assert (NO_ENTRIES.last_index, NO_ENTRIES.last_term, NO_ENTRIES.size) == (0, 0, 0)
    assert list(NO_ENTRIES.commands()) == []


def test_commands_are_the_applications_entries_only() -> None:
    assert list(Entries.of(MIXED).commands()) == [(1, b"x"), (2, b"yy"), (5, b"zzz")]
    assert list(entries(1, 1, first=7).commands()) == [(7, b"1/7"), (8, b"1/8")]


def test_the_size_counts_payloads_and_configurations() -> None:
    assert Entries.of(MIXED).size == 1 + 2 + 3 + 3 + CONFIGURATION_SIZE
    assert Entries.of(MIXED[:3]).size == 3


@pytest.mark.parametrize("first", range(1, 6))
@pytest.mark.parametrize("count", range(1, 6))
def test_a_part_is_what_single_entries_say(first: int, count: int) -> None:
    last = min(first + count - 1, 5)
    whole = Entries.of(MIXED)

    part = whole.between(first, last)

    assert tuple(part) == MIXED[first - 1 : last]
    assert part == Entries.of(MIXED[first - 1 : last])
    assert [part.term_at(i) for i in range(first, last + 1)] == [
        entry.term for entry in MIXED[first - 1 : last]
    ]


def test_the_whole_is_no_copy() -> None:
    whole = Entries.of(MIXED)

    assert whole.between(1, 5) is whole


def test_a_witness_gets_terms_and_configurations_but_no_payloads() -> None:
    bare = Entries.of(MIXED).without_payloads()

    assert [(entry.term, entry.index, entry.configuration) for entry in bare] == [
        (entry.term, entry.index, entry.configuration) for entry in MIXED
    ]
    assert {entry.payload for entry in bare if entry.configuration is None} == {b""}
    assert list(bare.commands()) == []


def test_a_witness_is_told_the_context_of_a_configuration() -> None:
    change = Entry(1, 1, b"why", EntryKind.CONFIGURATION, voters("a"))

    assert list(Entries.of([change]).without_payloads()) == [change]


@pytest.mark.parametrize("wrong", [[Entry(1, 1), Entry(1, 3)], [Entry(2, 1), Entry(1, 2)]])
def test_entries_with_gaps_or_falling_terms_are_refused(wrong: list[Entry]) -> None:
    with pytest.raises(ValueError, match=r"not the next|falls"):
        Entries.of(wrong)


def test_entries_are_compared_by_what_they_say() -> None:
    assert entries(1, 2) == entries(1, 2)
    assert entries(1, 2) != entries(1, 2, first=2)
    assert entries(1) != NO_ENTRIES
    assert entries(1) != (Entry(1, 1),)


def test_entries_print_where_they_stand() -> None:
    assert repr(entries(1, 1, 2)) == "<Entries 1/1 1/2 2/3>"
    assert repr(entries(*[1] * 9)).endswith(" ...>")


def test_log_ids_are_a_sequence() -> None:
    ids = LogIds(3, 7, 9)

    assert list(ids) == [LogId(3, 7), LogId(3, 8), LogId(3, 9)]
    assert (ids[-1], ids[1:]) == (LogId(3, 9), [LogId(3, 8), LogId(3, 9)])
    assert ids == LogIds(3, 7, 9)
    assert ids != LogIds(3, 7, 8)
    assert ids != [LogId(3, 7)]
    assert repr(ids) == "LogIds(term=3, first=7, last=9)"
