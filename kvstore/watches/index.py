"""Who watches a key: exact keys, prefixes and ranges, found without asking every watch.

A prefix that ends with the separator is found by the directories above a key; any other begins a
name in one directory, and is found by the lengths of those. What matches all keys of a directory
is remembered under the directory's number, so that most changes cost one search, however many
watches there are. Ranges are held in a tree over their ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Generic, TypeAlias, TypeVar

from kvstore.state.directories import LEVELS_MAX, NO_DIRECTORY, Directories, directory_of

WatchT = TypeVar("WatchT")

#: The first key of a range, the first beyond or None, and its watch.
_Range: TypeAlias = tuple[str, str | None, WatchT]

_NONE: Final[Mapping[int, Any]] = MappingProxyType({})

#: Watches that are remembered for one directory, if it does not share them with the one above.
TOGETHER_MAX: Final = 64

#: Ranges that came or went before the rest is sorted anew, at least.
CHANGES_MIN: Final = 16

#: Stands for watches that were not looked for; a list, so that it is no other sequence's equal.
UNKNOWN: Final[Sequence[Any]] = []


class WatchIndex(Generic[WatchT]):
    """Watches by what they select.

    Args:
        separator: What ends the name of a directory; any other gives the same answers, slower.

    Attributes:
        remembered: What `remember` returned for a directory, by its number and one, or UNKNOWN;
            first those of keys without a directory. To be `forget`-ed when numbers are given to
            other directories.
        has_more: Whether there are watches that it does not return.
    """

    __slots__ = (
        "_exact",
        "_known",
        "_partial",
        "_prefixes",
        "_ranges",
        "_separator",
        "has_more",
        "remembered",
    )

    def __init__(self, separator: str) -> None:
        self._separator = separator
        # By key, and by prefix, the watches by id.
        self._exact: dict[str, dict[int, WatchT]] = {}
        self._prefixes: dict[str, dict[int, WatchT]] = {}
        # Of prefixes that go on behind a directory: how many of each length, by directory.
        self._partial: dict[str, dict[int, int]] = {}
        self._ranges: _Ranges[WatchT] = _Ranges()
        self.remembered: list[Sequence[WatchT] | None] = [()]
        # The numbers of the directories of which something is remembered.
        self._known: list[int] = []
        self.has_more = False

    # --- writing

    def add_key(self, id_: int, watch: WatchT, key: str) -> None:
        """Add the watch of one key."""
        self._exact.setdefault(key, {})[id_] = watch
        self._look()

    def remove_key(self, id_: int, key: str) -> None:
        """Remove it."""
        watches = self._exact[key]
        del watches[id_]
        if not watches:
            del self._exact[key]
        self._look()

    def add_prefix(self, id_: int, watch: WatchT, prefix: str) -> None:
        """Add the watch of all keys that begin with a text."""
        watches = self._prefixes.get(prefix)
        if watches is None:
            watches = self._prefixes[prefix] = {}
            self._count(prefix, 1)
        watches[id_] = watch
        self._look()

    def remove_prefix(self, id_: int, prefix: str) -> None:
        """Remove it."""
        watches = self._prefixes[prefix]
        del watches[id_]
        if not watches:
            del self._prefixes[prefix]
            self._count(prefix, -1)
        self._look()

    def add_range(self, id_: int, watch: WatchT, low: str, high: str | None) -> None:
        """Add the watch of the keys from `low` up to but not including `high`."""
        self._ranges.add(id_, watch, low, high)
        self._look()

    def remove_range(self, id_: int) -> None:
        """Remove it."""
        self._ranges.remove(id_)
        self._look()

    # --- reading

    def find(self, key: str) -> Sequence[WatchT]:
        """Return the watches of a key, each once.

        Complexity: O(directories above, and lengths of prefixes that go on behind them); O(log
        ranges) for each range it lies in.
        """
        directory = directory_of(key, self._separator)
        found = list(self.more(directory, key))
        text = directory
        while text:
            found += self._prefixes.get(text, _NONE).values()
            above = directory_of(text[:-1], self._separator)
            found += self._going_on(above, text[:-1])
            text = above
        found += self._prefixes.get("", _NONE).values()
        return found

    def more(self, directory: str, key: str) -> Sequence[WatchT]:
        """Return the watches of a key, but not those of all keys of its directory."""
        found = self._going_on(directory, key)
        found += self._exact.get(key, _NONE).values()
        if self._ranges:
            found += self._ranges.over(key)
        return found

    def remember(self, number: int, directories: Directories) -> Sequence[WatchT] | None:
        """Return, and remember, the watches of all keys of a directory.

        Args:
            number: The number of the directory.
            directories: What it is a number of.

        Returns:
            The watches; None if its keys may lie in deeper directories, which have no number.

        Complexity: O(lengths of prefixes that go on behind the directory above).
        """
        if number == NO_DIRECTORY:
            return self.remembered[0]
        name, parent = directories.names[number], directories.parents[number]
        above_name = directories.names[parent] if parent >= 0 else ""
        above = self.remembered[parent + 1]
        if above is UNKNOWN:
            above = self.remember(parent, directories)
        watches: Sequence[WatchT] | None = None
        if above is not None and name.count(self._separator) < LEVELS_MAX:
            own = self._prefixes.get(name, _NONE).values()
            partial = self._going_on(above_name, name[:-1]) if self._partial else ()
            if own or partial:
                watches = (*above, *partial, *own)
                if len(watches) > TOGETHER_MAX:
                    # To tell them all costs more than to find them, and to remember them for
                    # each directory would take as much room as both numbers multiplied.
                    return watches
            else:
                watches = above
        self.remembered[number + 1] = watches
        self._known.append(number)
        return watches

    def make_room(self, directories: int) -> None:
        """Make the list of what is remembered as long as there are directories."""
        missing = directories + 1 - len(self.remembered)
        if missing > 0:
            self.remembered += [UNKNOWN] * missing

    # --- internals

    def _going_on(self, directory: str, text: str) -> list[WatchT]:
        """Return the watches of prefixes of a text that go on behind a directory.

        Args:
            directory: The directory.
            text: What is in it: a key, or the name of a directory without its last separator.
        """
        found: list[WatchT] = []
        for length in self._partial.get(directory, ()):
            if length <= len(text):
                found += self._prefixes.get(text[:length], _NONE).values()
        return found

    def forget(self) -> None:
        """Forget what is remembered. Complexity: O(what was remembered since the last time)."""
        for number in self._known:
            self.remembered[number + 1] = UNKNOWN
        self._known.clear()
        self.remembered[0] = tuple(self._prefixes.get("", _NONE).values())

    def _look(self) -> None:
        """Note that watches came or went."""
        self.forget()
        self.has_more = bool(self._exact or self._partial or self._ranges)

    def _count(self, prefix: str, by: int) -> None:
        """Count a prefix that goes on behind a directory up or down."""
        directory = directory_of(prefix, self._separator)
        if directory == prefix:
            return
        lengths = self._partial.setdefault(directory, {})
        count = lengths.get(len(prefix), 0) + by
        if count:
            lengths[len(prefix)] = count
        else:
            del lengths[len(prefix)]
        if not lengths:
            del self._partial[directory]


class _Ranges(Generic[WatchT]):
    """Ranges, and which of them a key lies in.

    The ranges are sorted by their first keys, with a tree over their ends that tells for each
    half whether any reaches beyond a key. A few that came since are looked at one by one, and a
    few that went are passed over, until it is worth making the tree anew.
    """

    __slots__ = ("_ends", "_gone", "_lows", "_new", "_ranges", "_sorted")

    def __init__(self) -> None:
        self._ranges: dict[int, _Range[WatchT]] = {}
        # Those that are not in the tree, and how many in the tree are over.
        self._new: dict[int, _Range[WatchT]] = {}
        self._gone = 0
        self._sorted: list[tuple[int, _Range[WatchT]]] = []
        self._lows: list[str] = []
        # Node 1 is the root, node n has the children 2n and 2n + 1: the last end below each.
        self._ends: list[str | None] = []

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def add(self, id_: int, watch: WatchT, low: str, high: str | None) -> None:
        """Add a range."""
        self._ranges[id_] = self._new[id_] = (low, high, watch)

    def remove(self, id_: int) -> None:
        """Remove a range."""
        del self._ranges[id_]
        if self._new.pop(id_, None) is None:
            self._gone += 1
        if not self._ranges:
            self._sort()

    def over(self, key: str) -> list[WatchT]:
        """Return the watches of the ranges that a key lies in.

        Complexity: O(log ranges) for each that is found, and O(sqrt ranges); O(n log n) once in
        so many changes.
        """
        changes = len(self._new) + self._gone
        if changes > CHANGES_MIN and changes * changes > CHANGES_MIN * len(self._ranges):
            self._sort()
        limit = bisect_right(self._lows, key)
        size = len(self._ends) // 2
        ranges = self._ranges
        found = []
        # Nodes to look at, the left ones last in and first out.
        nodes = [(1, 0, size)] if limit else []
        while nodes:
            node, first, width = nodes.pop()
            end = self._ends[node]
            if first >= limit or (end is not None and end <= key):
                continue
            if width == 1:
                id_, one = self._sorted[first]
                if ranges.get(id_) is one:
                    found.append(one[2])
                continue
            half = width // 2
            nodes += ((2 * node + 1, first + half, half), (2 * node, first, half))
        for low, high, watch in self._new.values():
            if low <= key and (high is None or key < high):
                found.append(watch)
        return found

    def _sort(self) -> None:
        ordered = sorted(self._ranges.items(), key=_low_and_id)
        size = 1
        while size < len(ordered):
            size *= 2
        # Empty leaves end before every key.
        ends: list[str | None] = [""] * (2 * size)
        ends[size : size + len(ordered)] = [high for _, (_, high, _) in ordered]
        for node in range(size - 1, 0, -1):
            left, right = ends[2 * node], ends[2 * node + 1]
            ends[node] = None if left is None or right is None else max(left, right)
        self._lows = [low for _, (low, _, _) in ordered]
        self._ends = ends
        self._sorted = ordered
        self._new, self._gone = {}, 0


def _low_and_id(item: tuple[int, tuple[str, str | None, object]]) -> tuple[str, int]:
    return item[1][0], item[0]
