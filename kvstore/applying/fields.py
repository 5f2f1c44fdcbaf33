"""Whether the fields of a command are what they must be; a refusal tells which is not.

A log may hold anything: these checks are made when a command is applied, on every replica alike,
and before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, TypeAlias

from kvstore.config import INTEGER_MAX, KEY_SIZE_LIMIT, UNSIGNED_MAX, Config
from kvstore.keys import prefix_end
from kvstore.refusals import Malformed, Refusal, TooLarge

#: The first key of a range, and the first beyond or None.
Bounds: TypeAlias = tuple[str, str | None]

#: Items in a list of keys or names, characters of a name for people, and pairs of meta.
ITEMS_MAX = 100_000
NAME_SIZE_MAX = 4096
META_MAX = 64

# Python refuses to write numbers of thousands of digits.
_TOLD_BITS_MAX = 128


def text_fault(field: str, text: object, limit: int) -> Refusal | None:
    """Return why something is no text of at most `limit` bytes, None if it is."""
    if type(text) is not str:
        return Malformed(field, f"must be text, not {type(text).__name__}")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return Malformed(field, "holds a lone surrogate")
    return TooLarge(field, size, limit) if size > limit else None


def key_fault(key: object, limit: int = KEY_SIZE_LIMIT) -> Refusal | None:
    """Return why something is no key of at most `limit` bytes, None if it is one.

    The configured limit is for keys that are created: lowered, it must not put those that are
    there out of reach.
    """
    if type(key) is str and key.isascii() and 0 < len(key) <= limit:
        return Malformed("key", "holds a NUL") if "\0" in key else None
    fault = text_fault("key", key, limit)
    if fault is not None:
        return fault
    if not key:
        return Malformed("key", "is empty")
    assert isinstance(key, str)
    return Malformed("key", "holds a NUL") if "\0" in key else None


def value_fault(value: object, config: Config) -> Refusal | None:
    """Return why something is no value, None if it is one."""
    if type(value) is not bytes:
        return Malformed("value", f"must be bytes, not {type(value).__name__}")
    if len(value) > config.value_size_max:
        return TooLarge("value", len(value), config.value_size_max)
    return None


def number_fault(
    field: str, number: object, low: int = 0, high: int = INTEGER_MAX
) -> Refusal | None:
    """Return why something is no whole number within bounds, None if it is."""
    if type(number) is not int:
        return Malformed(field, f"must be a whole number, not {type(number).__name__}")
    if not low <= number <= high:
        return Malformed(field, f"must be {low} to {high}, not {told(number)}")
    return None


def told(number: int) -> str:
    """Return a number as it is told; one that is too large to be written out, by its size.

    >>> told(-7), told(10**5000)
    ('-7', 'a number of 16610 bits')
    """
    size = number.bit_length()
    return str(number) if size <= _TOLD_BITS_MAX else f"a number of {size} bits"


def optional_fault(
    field: str, number: object, low: int = 0, high: int = INTEGER_MAX
) -> Refusal | None:
    """Return why something is neither None nor a whole number within bounds, None if it is."""
    return None if number is None else number_fault(field, number, low, high)


def flags_fault(flags: object) -> Refusal | None:
    """Return why something cannot be the flags of an entry, None if it can."""
    return number_fault("flags", flags, 0, UNSIGNED_MAX)


def choice_fault(field: str, value: object, choices: Collection[object]) -> Refusal | None:
    """Return why something is none of a few words, None if it is."""
    if type(value) is str and value in choices:
        return None
    return Malformed(field, f"must be one of {', '.join(map(repr, choices))}")


def switch_fault(field: str, value: object) -> Refusal | None:
    """Return why something is no bool, None if it is."""
    return None if type(value) is bool else Malformed(field, "must be a bool")


def texts_fault(field: str, texts: object, limit: int, items: int = ITEMS_MAX) -> Refusal | None:
    """Return why something is no tuple of texts, None if it is."""
    if type(texts) is not tuple:
        return Malformed(field, f"must be a tuple, not {type(texts).__name__}")
    if len(texts) > items:
        return TooLarge(field, len(texts), items)
    for text in texts:
        if (fault := text_fault(field, text, limit)) is not None:
            return fault
    return None


class Selecting(Protocol):
    """A command with a selection."""

    @property
    def prefix(self) -> str | None:
        """The keys that begin with this."""

    @property
    def start(self) -> str | None:
        """The first key."""

    @property
    def end(self) -> str | None:
        """The first key beyond."""


def selection(command: Selecting) -> Bounds | Refusal:
    """Return the range that a command selects, or why it selects none.

    An end that is not above the start selects nothing, which is no fault.
    """
    prefix, start, end = command.prefix, command.start, command.end
    if prefix is not None:
        if start is not None or end is not None:
            return Malformed("prefix", "excludes start and end")
        fault = text_fault("prefix", prefix, KEY_SIZE_LIMIT)
        return (prefix, prefix_end(prefix)) if fault is None else fault
    if start is None:
        return Malformed("start", "is missing: a selection is a prefix, or a start and an end")
    for field, text in (("start", start), ("end", "" if end is None else end)):
        # One more than a key: the first text above the longest key is a bound too.
        if (fault := text_fault(field, text, KEY_SIZE_LIMIT + 1)) is not None:
            return fault
    return start, end
