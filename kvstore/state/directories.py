"""The prefix index: the revision of the last change below each directory.

A directory is the part of a key up to and including a separator. Every change of a key is a
change of all directories above it, deletions included, so that the index of a directory never
goes back and moves for nothing else. The root, "", is not kept: its index is the store's revision.

Directories have numbers, and records carry the number of theirs: an update climbs the tree by
numbers, without cutting and hashing strings. Numbers are local; they are never told.

Only the first levels of a key are directories of their own, so that a key of nothing but
separators does not cost its size squared. Prefixes below are found by looking at their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from kvstore.keys import prefix_end

NO_DIRECTORY: Final = -1

#: Revisions that changed since a view was opened, as they were then, by number.
Saved: TypeAlias = dict[int, int]

#: Levels that are indexed.
LEVELS_MAX: Final = 32


def directory_of(key: str, separator: str) -> str:
    """Return the directory of a key: all up to its last separator, "" if it has none.

    >>> directory_of("web/port/http", "/")
    'web/port/'
    """
    return key[: key.rfind(separator) + 1]


def common_prefix(one: str, other: str) -> str:
    """Return what two texts begin with alike.

    >>> common_prefix("web/a", "web/b")
    'web/'
    """
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:place]
    return min(one, other, key=len)


class Directories:
    """Directories by name and by number.

    Attributes:
        separator: The character that ends a directory's name.
        names: The name of each directory by its number.
        reused: How often a number was given to another directory.
        revisions: The revision of the last change below each directory, by number.
        parents: The number of the directory above each.
        saved: For each open view the revisions that it has to see. Who writes a revision without
            `touch` asks first whether there is any, and then calls `save`.
    """

    __slots__ = (
        "_children",
        "_free",
        "_numbers",
        "names",
        "parents",
        "reused",
        "revisions",
        "saved",
        "separator",
    )

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self.names: list[str] = []
        self.reused = 0
        self._numbers: dict[str, int] = {}
        self.revisions: list[int] = []
        self.parents: list[int] = []
        self.saved: list[Saved] = []
        # How many directories are right below each, and numbers that can be given anew.
        self._children: list[int] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def index(self, name: str) -> int | None:
        """Return the revision of the last change below a directory, None if it is not known."""
        number = self._numbers.get(name)
        return None if number is None else self.revisions[number]

    def indexed(self, key: str) -> str:
        """Return the lowest directory above a key, or a prefix, that is indexed by its depth."""
        name = directory_of(key, self.separator)
        if name.count(self.separator) <= LEVELS_MAX:
            return name
        cut = -1
        for _ in range(LEVELS_MAX):
            cut = name.index(self.separator, cut + 1)
        return name[: cut + 1]

    def enclosing(self, low: str, high: str | None) -> str:
        """Return the lowest directory, indexed by its depth, that holds all of a range."""
        if high is None:
            return ""
        if prefix_end(low) == high:
            return self.indexed(low)
        return self.indexed(common_prefix(low, high))

    def above(self, key: str) -> Iterator[str]:
        """Yield the names of the indexed directories above a key, the lowest first."""
        name = self.indexed(key)
        while name:
            yield name
            name = directory_of(name[:-1], self.separator)

    def number(self, key: str) -> int:
        """Return the number of the lowest directory above a key; it is made if it is new.

        Complexity: O(length of the key); O(depth) strings of that length if it is new.
        """
        name = key[: key.rfind(self.separator) + 1]
        number = self._numbers.get(name)
        if number is not None:
            return number
        if not name:
            return NO_DIRECTORY
        if name.count(self.separator) > LEVELS_MAX:
            name = self.indexed(name)
            number = self._numbers.get(name)
        return self._make(name) if number is None else number

    def touch(self, number: int, revision: int) -> None:
        """Note a change in a directory, and so in all above. Complexity: O(depth)."""
        if self.saved:
            self.save(number)
        revisions, parents = self.revisions, self.parents
        while number >= 0:
            revisions[number] = revision
            number = parents[number]

    def assign(self, name: str, revision: int) -> None:
        """Put a directory at a revision, as an export tells it; those above are told too."""
        number = self.number(name)
        self.revisions[number] = revision

    def release(self, name: str, floor: int) -> bool:
        """Forget a directory without keys, if its last change is not above `floor`.

        Returns:
            Whether it is gone, so that the one above may be without keys too.
        """
        number = self._numbers.get(name)
        if number is None or self._children[number] or self.revisions[number] > floor:
            return False
        del self._numbers[name]
        parent = self.parents[number]
        if parent >= 0:
            self._children[parent] -= 1
        self._free.append(number)
        return True

    def fits(self, changes: Iterable[tuple[int, int]]) -> bool:
        """Return whether directories and revisions are those of some changes, or later ones.

        Args:
            changes: The number of a directory with the revision of a change in it.
        """
        revisions, parents = self.revisions, self.parents
        used = set()
        for number, revision in changes:
            if number >= 0:
                if revisions[number] < revision:
                    return False
                used.add(number)
        for number in list(used):
            above = parents[number]
            while above >= 0 and above not in used:
                used.add(above)
                above = parents[above]
        below = ((parents[number], revisions[number]) for number in used)
        return len(used) == len(self._numbers) and all(
            above < 0 or revisions[above] >= revision for above, revision in below
        )

    # --- views

    def save(self, number: int) -> None:
        """Save the revisions of a directory and of those above for the open views."""
        while number >= 0:
            for saved in self.saved:
                saved.setdefault(number, self.revisions[number])
            number = self.parents[number]

    def freeze(self) -> Saved:
        """Open a view of the revisions as they are; `thaw` closes it. Complexity: O(1)."""
        saved: Saved = {}
        self.saved.append(saved)
        return saved

    def thaw(self, saved: Saved) -> None:
        """Close a view."""
        self.saved = [one for one in self.saved if one is not saved]

    def index_in(self, saved: Saved, name: str) -> int:
        """Return the revision of a directory, that had keys or a history then, in a view."""
        number = self._numbers[name]
        return saved.get(number, self.revisions[number])

    # --- internals

    def _make(self, name: str) -> int:
        """Make a directory and those above that are missing; return its number."""
        above = name[: name.rfind(self.separator, 0, -1) + 1]
        parent = self._numbers.get(above) if above else NO_DIRECTORY
        return self._add(name, self._make(above) if parent is None else parent)

    def _add(self, name: str, parent: int) -> int:
        if self._free:
            number = self._free.pop()
            self.reused += 1
            self.names[number] = name
            self.parents[number] = parent
            self.revisions[number] = self._children[number] = 0
        else:
            number = len(self.revisions)
            self.revisions.append(0)
            self.names.append(name)
            self.parents.append(parent)
            self._children.append(0)
        self._numbers[name] = number
        if parent >= 0:
            self._children[parent] += 1
        return number
