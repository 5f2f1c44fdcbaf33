"""Fields of commands: what they may hold, and that a refusal names the field."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.applying.fields import (
    choice_fault,
    flags_fault,
    key_fault,
    number_fault,
    optional_fault,
    selection,
    switch_fault,
    text_fault,
    texts_fault,
    value_fault,
)
from kvstore.commands import Count
from kvstore.config import KEY_SIZE_LIMIT, Config
from kvstore.refusals import Malformed, Refusal, TooLarge


class Text(str):
    """Text of another type, which may compare and hash as it likes."""

    __slots__ = ()


def told(fault: Refusal | None) -> tuple[str, str] | None:
    """Return what kind of fault it is and which field it names."""
    if fault is None:
        return None
    assert isinstance(fault, Malformed | TooLarge)
    return fault.code, fault.field if isinstance(fault, Malformed) else fault.what


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("a", None),
        ("ä" * 5, None),
        ("x" * 10, None),
        ("x" * 11, ("too_large", "key")),
        ("ä" * 6, ("too_large", "key")),
        ("", ("malformed", "key")),
        ("a\0b", ("malformed", "key")),
        ("ä\0", ("malformed", "key")),
        ("\ud800", ("malformed", "key")),
        (b"a", ("malformed", "key")),
        (None, ("malformed", "key")),
        (Text("a"), ("malformed", "key")),
    ],
)
def test_a_key_is_text_of_a_bounded_size_without_nul(key: Any, fault: Any) -> None:
    assert told(key_fault(key, 10)) == fault


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (text_fault("name", "ä", 2), None),
        (text_fault("name", "ä", 1), ("too_large", "name")),
        (text_fault("name", 1, 9), ("malformed", "name")),
        (number_fault("limit", 0), None),
        (number_fault("limit", -1), ("malformed", "limit")),
        (number_fault("limit", 2**63), ("malformed", "limit")),
        (number_fault("limit", True), ("malformed", "limit")),
        (number_fault("limit", 1.0), ("malformed", "limit")),
        (number_fault("limit", None), ("malformed", "limit")),
        (optional_fault("limit", None), None),
        (optional_fault("limit", "1"), ("malformed", "limit")),
        (flags_fault(2**64 - 1), None),
        (flags_fault(2**64), ("malformed", "flags")),
        (choice_fault("sort", "key", ("key", "mod")), None),
        (choice_fault("sort", "age", ("key", "mod")), ("malformed", "sort")),
        (choice_fault("sort", [], ("key", "mod")), ("malformed", "sort")),
        (switch_fault("force", False), None),
        (switch_fault("force", 0), ("malformed", "force")),
        (texts_fault("ids", ("a", "b"), 1), None),
        (texts_fault("ids", ["a"], 1), ("malformed", "ids")),
        (texts_fault("ids", ("a", "bb"), 1), ("too_large", "ids")),
        (texts_fault("ids", ("a", "b"), 1, 1), ("too_large", "ids")),
        (value_fault(b"12", Config(value_size_max=2)), None),
        (value_fault(b"123", Config(value_size_max=2)), ("too_large", "value")),
        (value_fault(bytearray(b"1"), Config()), ("malformed", "value")),
    ],
)
def test_a_fault_names_its_field(fault: Refusal | None, expected: Any) -> None:
    assert told(fault) == expected


@pytest.mark.parametrize(
    ("command", "bounds"),
    [
        (Count(""), ("", None)),
        (Count("a/"), ("a/", "a0")),
        (Count(start="a"), ("a", None)),
        (Count(start="a", end="b"), ("a", "b")),
        (Count(start="b", end="a"), ("b", "a")),
        (Count(), ("malformed", "start")),
        (Count(end="b"), ("malformed", "start")),
        (Count("a", start="a"), ("malformed", "prefix")),
        (Count("a", end="b"), ("malformed", "prefix")),
        (Count("x" * (KEY_SIZE_LIMIT + 1)), ("too_large", "prefix")),
        (Count(start="x" * (KEY_SIZE_LIMIT + 1)), ("x" * (KEY_SIZE_LIMIT + 1), None)),
        (Count(start="x" * (KEY_SIZE_LIMIT + 2)), ("too_large", "start")),
        (Count(start="a", end="\ud800"), ("malformed", "end")),
    ],
)
def test_a_selection_is_a_prefix_or_a_start_and_an_end(command: Count, bounds: Any) -> None:
    found = selection(command)

    assert (told(found) if isinstance(found, Refusal) else found) == bounds
