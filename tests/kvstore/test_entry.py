"""Entries: what a record says, by names, and for ever."""

from __future__ import annotations

import pytest

from kvstore.entry import NO_BONDS, Entry, make_bonds, make_entry, shared


def test_an_entry_tells_what_its_record_says() -> None:
    plain = ("web/port", b"80", 5, 7, 9, 2, None, 4, -1)
    bound = ("web/lock", b"", 0, 7, 9, 2, (1, "s1", 9, "s2", 5000), 4, -1)

    assert make_entry(plain) == Entry("web/port", b"80", 5, 7, 9, 2)
    assert make_entry(bound, 8000) == Entry(
        "web/lock", b"", 0, 7, 9, 2, 1, "s1", 9, "s2", 5000, 8000
    )


def test_an_entry_can_not_be_changed_and_is_hashable() -> None:
    entry = make_entry(("web/port", b"80", 0, 7, 9, 2, None, 4, -1))

    with pytest.raises(AttributeError):
        entry.value = b"81"  # type: ignore[misc]
    assert {entry: 1}[Entry("web/port", b"80", 0, 7, 9, 2)] == 1


def test_bonds_have_one_form() -> None:
    assert make_bonds(*NO_BONDS) is None
    assert make_bonds(0, "", 0, "s", None) == (0, "", 0, "s", None)


def test_replicas_share_all_of_a_record_but_the_number_of_its_directory() -> None:
    here = ("web/port", b"80", 0, 7, 9, 2, None, 4, 1)
    there = ("web/port", b"80", 0, 7, 9, 2, None, 4, 8)

    assert shared(here) == shared(there)
    assert shared(None) is None
