"""A dict that can be read as it was when a view of it was opened.

Small parts of the state are held in such tables. Opening a view costs nothing; while one is
open, the first write to a row saves what the view has to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

ValueT = TypeVar("ValueT")


class _Absent:
    """The type of `_ABSENT`, which a view saves for a row that was not there."""


_ABSENT: Final = _Absent()


class Frozen(Generic[ValueT]):
    """A table as it was when this view of it was opened.

    Attributes:
        saved: What rows were before they were written, by key.
    """

    __slots__ = ("_rows", "saved")

    def __init__(self, rows: Table[ValueT]) -> None:
        self._rows = rows
        self.saved: dict[str, ValueT | _Absent] = {}

    def get(self, key: str) -> ValueT | None:
        """Return the row of a key, or None."""
        if key not in self.saved:
            return self._rows.get(key)
        found = self.saved[key]
        return None if isinstance(found, _Absent) else found

    def __iter__(self) -> Iterator[tuple[str, ValueT]]:
        """Iterate over the keys, in order, with their rows. Complexity: O(n log n) at once."""
        for key in sorted(self._rows.keys() | self.saved.keys()):
            row = self.get(key)
            if row is not None:
                yield key, row

    def __len__(self) -> int:
        """Number of rows at most: it may be fewer, if rows were written since."""
        return len(self._rows) + len(self.saved)

    def close(self) -> None:
        """Close the view."""
        self._rows.thaw(self)


class Table(dict[str, ValueT], Generic[ValueT]):
    """A dict that is written by `assign` and `discard` only, and can be frozen.

    >>> table = Table({"a": 1})
    >>> frozen = table.freeze()
    >>> table.assign("b", 2)
    >>> table.discard("a")
    1
    >>> list(frozen), dict(table)
    ([('a', 1)], {'b': 2})
    """

    __slots__ = ("_frozen",)

    def __init__(self, rows: Mapping[str, ValueT] | None = None) -> None:
        super().__init__(rows or {})
        self._frozen: list[Frozen[ValueT]] = []

    def assign(self, key: str, value: ValueT) -> None:
        """Write a row."""
        if self._frozen:
            self._save(key)
        self[key] = value

    def discard(self, key: str) -> ValueT | None:
        """Remove a row if it is there, and return it."""
        if self._frozen:
            self._save(key)
        return self.pop(key, None)

    def freeze(self) -> Frozen[ValueT]:
        """Open a view of the table as it is. Complexity: O(1)."""
        frozen = Frozen(self)
        self._frozen.append(frozen)
        return frozen

    def thaw(self, frozen: Frozen[ValueT]) -> None:
        """Close a view."""
        self._frozen = [one for one in self._frozen if one is not frozen]

    def _save(self, key: str) -> None:
        for frozen in self._frozen:
            if key not in frozen.saved:
                frozen.saved[key] = self.get(key, _ABSENT)
