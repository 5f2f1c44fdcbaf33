"""Sequence counters: the numbers that a directory gave to names in it.

They count what was given, not what is there: a name is never given twice, until the directory
is deleted as a whole. ZooKeeper counts every child, and in 32 bits.
"""

from __future__ import annotations

from kvstore.keys import prefix_end
from kvstore.state.ordered import OrderedKeys
from kvstore.state.tables import Table


class Sequences:
    """The next number of each directory.

    Attributes:
        table: The numbers by directory.
    """

    __slots__ = ("_names", "table")

    def __init__(self) -> None:
        self.table: Table[int] = Table()
        self._names = OrderedKeys()

    def next(self, directory: str) -> int:
        """Return the next number of a directory."""
        return self.table.get(directory, 0)

    def put(self, directory: str, number: int) -> None:
        """Set the next number of a directory; 0 forgets it."""
        if directory not in self.table:
            if number:
                self._names.add(directory)
                self.table.assign(directory, number)
        elif number:
            self.table.assign(directory, number)
        else:
            self._names.remove(directory)
            self.table.discard(directory)

    def covered(self, low: str, high: str | None) -> list[str]:
        """Return the directories of which every possible key is in a range, in order."""
        return [name for name in self._names.between(low, high) if _ends_by(name, high)]


def _ends_by(directory: str, high: str | None) -> bool:
    if high is None:
        return True
    end = prefix_end(directory)
    return end is not None and end <= high
