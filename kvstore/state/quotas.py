"""Quotas: what subtrees may hold, counted as it changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from kvstore.refusals import QuotaExceeded
from kvstore.state.tables import Table

# Keys and bytes at most.
Limits: TypeAlias = tuple[int | None, int | None]

_WHAT: Final = ("keys", "bytes")


def key_size(key: str) -> int:
    """Return the bytes of a key in UTF-8."""
    return len(key) if key.isascii() else len(key.encode())


def weight(key: str, value_size: int | None) -> tuple[int, int]:
    """Return the keys and the bytes that an entry counts for; None if there is none."""
    return (0, 0) if value_size is None else (1, key_size(key) + value_size)


class Quotas:
    """Limits by prefix, and how much is below each.

    Attributes:
        table: The limits of each prefix.
    """

    __slots__ = ("_lengths", "_usage", "table")

    def __init__(self) -> None:
        self.table: Table[Limits] = Table()
        # Keys and bytes below each prefix; the lengths of prefixes, ascending.
        self._usage: dict[str, tuple[int, int]] = {}
        self._lengths: list[int] = []

    def usage(self, prefix: str) -> tuple[int, int] | None:
        """Return the keys and the bytes below the prefix of a quota, None if it is none."""
        return self._usage.get(prefix)

    def set(self, prefix: str, limits: Limits, usage: tuple[int, int]) -> None:
        """Set or replace a quota over what is counted below its prefix."""
        self.table.assign(prefix, limits)
        self._usage[prefix] = usage
        self._measure()

    def load(self, rows: Iterable[tuple[str, Limits]], usages: Iterable[tuple[int, int]]) -> None:
        """Begin with quotas over what is counted below each."""
        for (prefix, limits), usage in zip(rows, usages, strict=True):
            self.table.assign(prefix, limits)
            self._usage[prefix] = usage
        self._measure()

    def drop(self, prefix: str) -> None:
        """Take a quota away if there is one."""
        if self.table.discard(prefix) is not None:
            del self._usage[prefix]
            self._measure()

    def above(self, key: str) -> Iterator[str]:
        """Yield the prefixes of quotas that a key counts for, the shortest first."""
        for length in self._lengths:
            if length > len(key):
                return
            if key[:length] in self._usage:
                yield key[:length]

    def room(self, moves: Iterable[tuple[str, int, int]]) -> QuotaExceeded | None:
        """Return why entries cannot change so, None if they can.

        What makes a subtree smaller is always possible, however full it is.

        Args:
            moves: For each key how many keys and bytes come on top.
        """
        sums: dict[str, tuple[int, int]] = {}
        for key, keys, size in moves:
            for prefix in self.above(key):
                sum_keys, sum_size = sums.get(prefix, (0, 0))
                sums[prefix] = (sum_keys + keys, sum_size + size)
        for prefix, more in sorted(sums.items()):
            usage, limits = self._usage[prefix], self.table[prefix]
            for what, has, plus, limit in zip(_WHAT, usage, more, limits, strict=True):
                if limit is not None and plus > 0 and has + plus > limit:
                    return QuotaExceeded(prefix, what, limit, has + plus)
        return None

    def count(self, key: str, keys: int, size: int) -> None:
        """Note that an entry changed: how many keys and bytes came on top."""
        for prefix in self.above(key):
            has_keys, has_size = self._usage[prefix]
            self._usage[prefix] = (has_keys + keys, has_size + size)

    def _measure(self) -> None:
        self._lengths = sorted({len(prefix) for prefix in self.table})
