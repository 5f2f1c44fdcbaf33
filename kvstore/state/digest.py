"""A digest of the state: two replicas at one index have the same, or they have diverged.

The sum, modulo 2**64, of a hash of each row of the export, and of one of its header: the order of
rows does not matter, so that the part of the entries follows the changes instead of being
computed anew. The history is not in it: how much of it is kept is in the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import attrs
import msgpack

from kvstore.change import NEW, OLD, Change
from kvstore.entry import DIRECTORY, Record
from kvstore.state.tree import Tree

_MASK: Final = (1 << 64) - 1
_pack: Final = msgpack.Packer(use_bin_type=True, strict_types=False).pack


#: The sections of the export that are left out: they follow from the entries and the past.
LEFT_OUT: Final = frozenset({"directories", "changes"})


def row_hash(section: str, row: object) -> int:
    """Return the hash of one row. The row consists of what msgpack can hold."""
    packed = _pack((section, row))
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "big")


def rows_hash(section: str, rows: Iterable[Any]) -> int:
    """Return the sum of the hashes of rows; of what is a value, it is that of its fields."""
    return sum(row_hash(section, _plain(row)) for row in rows)


def _plain(row: Any) -> object:
    # Most rows are tuples, and asking those costs nothing.
    return attrs.astuple(row) if type(row) is not tuple and attrs.has(type(row)) else row


def header_hash(header: Mapping[str, object]) -> int:
    """Return the hash of a header."""
    return row_hash("header", sorted(header.items()))


def total(*parts: int) -> int:
    """Return the digest of which these are the parts."""
    return sum(parts) & _MASK


class EntriesDigest:
    """The sum of the hashes of all entries, brought up to date when it is asked for.

    It is computed from all entries the first time, and then from the changes since. Local: a
    restored store begins anew, with the same result.
    """

    __slots__ = ("_sequence", "_sum")

    def __init__(self) -> None:
        self._sum = 0
        # The changes below this are in the sum; None until it is asked for.
        self._sequence: int | None = None

    def value(self, tree: Tree) -> int:
        """Return the sum now. Complexity: O(n) the first time, then O(changes since)."""
        history = tree.history
        if self._sequence is None:
            self._sum = sum(map(_record_hash, tree.records.values())) & _MASK
            self._sequence = history.sequence
        else:
            self.take(map(history.at, range(self._sequence, history.sequence)), self._sequence)
        return self._sum

    def take(self, changes: Iterable[Change], first: int) -> None:
        """Follow some changes, of which those in the sum already are passed over.

        Args:
            changes: In order.
            first: The sequence of the first.
        """
        if self._sequence is None:
            return
        total = self._sum
        for sequence, change in enumerate(changes, first):
            if sequence >= self._sequence:
                self._sequence = sequence + 1
                if (new := change[NEW]) is not None:
                    total += _record_hash(new)
                if (old := change[OLD]) is not None:
                    total -= _record_hash(old)
        self._sum = total & _MASK


def _record_hash(record: Record) -> int:
    return row_hash("entries", record[:DIRECTORY])
