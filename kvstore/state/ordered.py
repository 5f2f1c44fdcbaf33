"""Keys in order, for trees that grow by the hundred thousand a second.

A list of chunks, each a sorted list with a tail of new keys that is put in order when somebody
looks. A creation then costs a search among the chunks and an append, and a chunk is sorted as a
whole when it has doubled: half of what `SortedList.add` takes at 100,000 keys and a fifth at a
million. Nothing ever touches more than one chunk at once, so that there are no pauses.

Complexity: what is called O(log n) is amortised: sorting and splitting chunks, and counting their
lengths anew after a split, is spread over the keys that made it necessary.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final

#: Keys of a chunk after it was split; it is split at twice that.
CHUNK: Final = 1000

#: Keys among which the end of a short list is looked for.
NEAR: Final = 16

#: Tails up to this length are inserted key by key; longer ones are worth sorting the chunk.
TAIL: Final = 32


class OrderedKeys:
    """A sorted set of strings. Keys that are added must be absent, those removed present.

    >>> keys = OrderedKeys(["b", "d"])
    >>> keys.add("c")
    >>> keys.between("c", None), keys.count("", "d")
    (['c', 'd'], 2)
    """

    __slots__ = ("_bounds", "_chunks", "_length", "_settled", "_sums")

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """Begin with keys in ascending order. Complexity: O(n)."""
        size = len(keys)
        # Invariant: chunk i holds the keys from bounds[i - 1] up to but not including bounds[i].
        self._chunks = [list(keys[i : i + CHUNK]) for i in range(0, size, CHUNK)] or [[]]
        self._bounds = [chunk[0] for chunk in self._chunks[1:]]
        # How many keys of each chunk are in order; those behind are its tail.
        self._settled = [len(chunk) for chunk in self._chunks]
        self._length = size
        # A Fenwick tree over the lengths of chunks; empty if it has to be made anew.
        self._sums: list[int] = []

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self.between("", None))

    # --- writing

    def add(self, key: str) -> None:
        """Add a key that is absent. Complexity: O(log n)."""
        position = bisect_right(self._bounds, key)
        chunk = self._chunks[position]
        chunk.append(key)
        self._length += 1
        if self._sums:
            self._shift(position, 1)
        if len(chunk) >= 2 * CHUNK:
            self._split(position)

    def remove(self, key: str) -> None:
        """Remove a key that is present. Complexity: O(log n)."""
        position = bisect_right(self._bounds, key)
        chunk = self._chunks[position]
        if len(chunk) != self._settled[position]:
            self._settle(position)
        place = bisect_left(chunk, key)
        assert chunk[place] == key, key
        del chunk[place]
        self._settled[position] -= 1
        self._length -= 1
        if self._sums:
            self._shift(position, -1)
        if not chunk and len(self._chunks) > 1:
            self._drop(position)

    # --- reading

    def between(
        self, low: str, high: str | None, limit: int | None = None, *, reverse: bool = False
    ) -> list[str]:
        """Return the keys from `low` up to but not including `high`, the first `limit` of them.

        Args:
            low: The first key.
            high: The first key beyond, None for no end.
            limit: Keys at most, None for all.
            reverse: Begin at the end.

        Complexity: O(log n + keys returned).
        """
        bounds = self._bounds
        position = bisect_right(bounds, low)
        if high is None:
            last = len(bounds)
        elif position == len(bounds) or high <= bounds[position]:
            # All in one chunk, as mostly: this is the way of short lists.
            chunk = self._chunks[position]
            if len(chunk) != self._settled[position]:
                self._settle(position)
            start = bisect_left(chunk, low)
            # Few keys are found sooner by looking at few.
            end = bisect_left(chunk, high, start, min(start + NEAR, len(chunk)))
            if end == start + NEAR:
                end = bisect_left(chunk, high, end)
            found = chunk[start:end]
            if reverse:
                found.reverse()
            return found if limit is None else found[:limit]
        else:
            last = bisect_left(bounds, high, position)
        positions = range(position, last + 1)
        found = []
        for place in reversed(positions) if reverse else positions:
            part = self._slice(place, low, high)
            if reverse:
                part.reverse()
            found += part
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    def has(self, low: str, high: str | None) -> bool:
        """Return whether there is a key from `low` up to but not including `high`.

        Complexity: O(log n).
        """
        return bool(self.between(low, high, 1))

    def count(self, low: str, high: str | None) -> int:
        """Return how many keys there are from `low` up to but not including `high`.

        Complexity: O(log n).
        """
        if high is not None and high <= low:
            return 0
        below = self._length if high is None else self._rank(high)
        return below - self._rank(low)

    def check_invariants(self) -> None:
        """Raise AssertionError if chunks, bounds and lengths do not fit together."""
        assert len(self._chunks) == len(self._bounds) + 1 == len(self._settled)
        for position, chunk in enumerate(self._chunks):
            settled = self._settled[position]
            assert len(chunk) < 2 * CHUNK
            assert 0 <= settled <= len(chunk)
            assert chunk[:settled] == sorted(set(chunk[:settled]))
            assert len(set(chunk)) == len(chunk)
            if position:
                assert all(key >= self._bounds[position - 1] for key in chunk)
            if position < len(self._bounds):
                assert all(key < self._bounds[position] for key in chunk)
        assert self._length == sum(map(len, self._chunks))
        if self._sums:
            sums, self._sums = self._sums, []
            self._add_up()
            assert sums == self._sums

    # --- internals

    def _slice(self, position: int, low: str, high: str | None) -> list[str]:
        chunk = self._chunks[position]
        if len(chunk) != self._settled[position]:
            self._settle(position)
        start = bisect_left(chunk, low)
        return chunk[start:] if high is None else chunk[start : bisect_left(chunk, high, start)]

    def _rank(self, key: str) -> int:
        """Return how many keys are below one."""
        position = bisect_right(self._bounds, key)
        chunk = self._chunks[position]
        if len(chunk) != self._settled[position]:
            self._settle(position)
        if not self._sums:
            self._add_up()
        rank = bisect_left(chunk, key)
        while position:
            rank += self._sums[position]
            position &= position - 1
        return rank

    def _settle(self, position: int) -> None:
        """Put the tail of a chunk in order."""
        chunk = self._chunks[position]
        settled = self._settled[position]
        if len(chunk) - settled > TAIL:
            chunk.sort()
        else:
            tail = chunk[settled:]
            del chunk[settled:]
            for key in tail:
                insort(chunk, key)
        self._settled[position] = len(chunk)

    def _split(self, position: int) -> None:
        chunk = self._chunks[position]
        chunk.sort()
        upper = chunk[CHUNK:]
        del chunk[CHUNK:]
        self._chunks.insert(position + 1, upper)
        self._bounds.insert(position, upper[0])
        self._settled[position : position + 1] = [CHUNK, len(upper)]
        self._sums = []

    def _drop(self, position: int) -> None:
        """Remove an empty chunk; its neighbour takes over its part of the order."""
        del self._chunks[position]
        del self._settled[position]
        del self._bounds[max(0, position - 1)]
        self._sums = []

    def _add_up(self) -> None:
        """Make the tree of lengths: sums[i] counts the chunks from i - (i & -i) to i - 1."""
        sums = [0, *map(len, self._chunks)]
        for place in range(1, len(sums)):
            above = place + (place & -place)
            if above < len(sums):
                sums[above] += sums[place]
        self._sums = sums

    def _shift(self, position: int, by: int) -> None:
        sums = self._sums
        place = position + 1
        while place < len(sums):
            sums[place] += by
            place += place & -place
