"""Answers: they make entries when they are asked for, and are equal where replicas agree."""

from __future__ import annotations

from typing import Any

from kvstore.change import Cause, Event, make_event
from kvstore.commands import Delete, Lock, Put, SessionOpen
from kvstore.entry import Entry, Record, make_bonds, make_entry, shared
from kvstore.results import (
    Applied,
    CheckOk,
    DeleteOk,
    Fencing,
    GetOk,
    LockOk,
    Ok,
    PutOk,
    RangeOk,
    UnlockOk,
)
from kvstore.store import Store
from tests.kvstore.driving import made

RECORD: Record = ("a", b"1", 2, 3, 4, 5, None, 6, 7)
BOUND: Record = ("b", b"", 0, 3, 4, 5, (1, "s", 4, "o", 90), 6, 7)


def elsewhere(record: Record) -> Record:
    """Return the record as a replica has it that numbers its directories otherwise."""
    return (*record[:-1], 99)


def test_answers_tell_entries() -> None:
    entry = Entry("a", b"1", 2, 3, 4, 5)
    bound = Entry("b", b"", 0, 3, 4, 5, 1, "s", 4, "o", 90, 500)

    assert PutOk(RECORD, BOUND, False).entry == entry
    assert PutOk(BOUND, None, False, 500).entry == bound
    assert PutOk(RECORD, None, True).previous is None
    assert DeleteOk(1, (RECORD,)).previous == (entry,)
    assert LockOk(BOUND, True, 500).entry == UnlockOk(BOUND, False, 500).entry == bound
    assert LockOk(BOUND, True).fencing == Fencing("b", 1, "s")
    assert (CheckOk(RECORD).entry, CheckOk(None).entry) == (entry, None)
    assert GetOk(BOUND, 500, 4, 9).entry == bound
    ranged = RangeOk((RECORD, BOUND), 2, None, False, 4, 9, expiries=(("b", 500),))
    assert ranged.entries == (entry, bound)
    assert ranged.keys == ("a", "b")


def test_answers_of_two_replicas_are_equal_whatever_is_local() -> None:
    pairs: list[tuple[Any, Any]] = [
        (PutOk(one, one, True), PutOk(elsewhere(one), elsewhere(one), True))
        for one in (RECORD, BOUND)
    ]
    pairs.append((DeleteOk(1, (RECORD,)), DeleteOk(1, (elsewhere(RECORD),))))
    pairs.append((GetOk(RECORD, None, 1, 1), GetOk(elsewhere(RECORD), None, 1, 1)))

    for one, other in pairs:
        assert one == other
        assert hash(one) == hash(other)
    assert PutOk(RECORD, None, True) != PutOk(BOUND, None, True)
    assert shared(None) is None


def test_bonds_have_one_form() -> None:
    assert make_bonds(0, "", 0, "", None) is None
    assert make_bonds(1, "", 0, "", None) == (1, "", 0, "", None)


def test_an_event_tells_a_change_with_what_was_asked_for() -> None:
    change = (9, "b", BOUND, RECORD, 1, -1)

    assert make_event(change) == Event("put", "b", 9, make_entry(BOUND), None, Cause.LOCK)
    full = make_event(change, previous=True, keys_only=True)
    assert full.previous == Entry("a", b"", 2, 3, 4, 5)
    assert make_event((9, "a", None, RECORD, 4, -1)).kind == "delete"


def test_what_was_applied_is_equal_to_the_same_elsewhere() -> None:
    def apply() -> list[Applied]:
        store = made(SessionOpen("s"))
        return [store.apply(command) for command in (Put("x/a"), Lock("x/a", "s"), Delete("x/a"))]

    assert apply() == apply()
    assert apply()[0] != apply()[1]
    assert Applied(1, False, Ok(), ()) != 1
    assert Store().apply(Put("a")).ok
