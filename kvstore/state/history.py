"""The history: every change above the floor, in order, once, for everybody.

Reads of the past, watches, "what changed since", previous values and open views all read this
one list. A record tells the place of its own change, and a change tells the record before it:
from what a key is now, its past is reached by walking back.

The floor is the oldest revision that can be read. It is part of the state: the configuration and
`Compact` move it. What lies below is freed later, piece by piece, and not while a view needs it;
that is local and shows in no answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Final, cast

from kvstore.change import LINK, NO_LINK, OLD, REVISION, Change
from kvstore.entry import MOD_REVISION, SEQUENCE, Record

#: Changes freed by one command at most, and the least by which a limited history is cut.
SWEEP: Final = 1024

#: As many pieces an age is cut in: a change is forgotten at most a piece too late.
MARKS: Final = 16

_NEVER: Final = 1 << 63
# Freed changes are never asked for theirs.
_revision = cast("Callable[[Change | None], int]", itemgetter(REVISION))


class History:
    """Changes by sequence, their place in the order of all changes ever.

    Attributes:
        changes: The changes that are kept, the first with the sequence `base`; None if freed.
        base: The sequence of the first in the list.
        sequence: The sequence of the next change; how many there were ever.
        floor: The oldest revision that can be read.
        floor_sequence: The sequence of the first change above the floor.
        freed: The sequence below which changes are freed. Invariant: base <= freed <=
            floor_sequence <= sequence.
        tend_at: The sequence from which on the history needs tending.
        marks: (clock, sequence): how many changes there were at a logical time, ascending.
        pins: The sequences from which on open views need the changes.
    """

    __slots__ = (
        "_age",
        "_limit",
        "base",
        "changes",
        "floor",
        "floor_sequence",
        "freed",
        "marks",
        "pins",
        "sequence",
        "tend_at",
    )

    def __init__(self, limit: int | None, age: int | None) -> None:
        self.changes: list[Change | None] = []
        self.base = 0
        self.sequence = 0
        self.floor = 0
        self.floor_sequence = 0
        self.freed = 0
        self.tend_at = _NEVER
        self.marks: deque[tuple[int, int]] = deque()
        self.pins: list[int] = []
        self._limit = limit
        self._age = age
        self.plan()

    def __len__(self) -> int:
        """Number of changes above the floor."""
        return self.sequence - self.floor_sequence

    # --- queries

    def at(self, sequence: int) -> Change:
        """Return the change of a sequence that is kept."""
        change = self.changes[sequence - self.base]
        assert change is not None, sequence
        return change

    def since(self, sequence: int) -> list[Change]:
        """Return the changes from a sequence on, which is kept. Complexity: O(changes returned)."""
        return cast("list[Change]", self.changes[sequence - self.base :])

    def first_after(self, revision: int) -> int:
        """Return the sequence of the first change above a revision, not below the freed ones.

        Complexity: O(log n).
        """
        low = self.freed - self.base
        return self.base + bisect_right(self.changes, revision, lo=low, key=_revision)

    def past(self, record: Record | None, link: int, revision: int) -> Record | None:
        """Return what a key was at a revision that can be read; arguments as for `trace`."""
        return self.trace(record, link, revision)[0]

    def trace(self, record: Record | None, link: int, revision: int) -> tuple[Record | None, int]:
        """Return what a key was at a revision that can be read, and by which deletion.

        Args:
            record: What it is now, None if it is absent.
            link: The sequence of the deletion if it is absent, or -1.
            revision: The revision to go back to.

        Returns:
            The record and -1; or, if it was absent, None and the sequence of the deletion, if
            that is remembered, or -1.

        Complexity: O(changes of the key since then).
        """
        changes, base = self.changes, self.base
        while True:
            if record is not None:
                if record[MOD_REVISION] <= revision:
                    return record, NO_LINK
                change = changes[record[SEQUENCE] - base]
            elif link < self.freed:
                return None, NO_LINK
            else:
                change = changes[link - base]
            assert change is not None
            if record is None and change[REVISION] <= revision:
                return None, link
            record, link = change[OLD], change[LINK]

    # --- the floor

    def configure(self, limit: int | None, age: int | None) -> None:
        """Set how much is kept: changes, and milliseconds of logical time; None for all."""
        self._limit, self._age = limit, age
        if age is None:
            self.marks.clear()
        self.plan()

    def raise_floor(self, revision: int) -> int:
        """Forget the changes up to a revision, and return how many these are."""
        before = self.floor_sequence
        self.floor = revision
        self.floor_sequence = self.first_after(revision)
        self.plan()
        return self.floor_sequence - before

    def cut(self) -> None:
        """Forget what is beyond the limit, if that is enough to be worth it.

        All changes of one revision are kept or forgotten together.
        """
        if self._limit is None or len(self) < self._limit + self._slack():
            return
        if self._limit:
            floor = self.at(self.sequence - self._limit)[REVISION] - 1
        else:
            floor = self.at(self.sequence - 1)[REVISION]
        if floor > self.floor:
            self.raise_floor(floor)

    def mark(self, clock: int) -> None:
        """Note a logical time, and forget what is older than the age, if there is one."""
        if self._age is None:
            return
        marks = self.marks
        if not marks or clock - marks[-1][0] >= max(1, self._age // MARKS):
            marks.append((clock, self.sequence))
        sequence = self.floor_sequence
        while marks[0][0] <= clock - self._age and len(marks) > 1:
            sequence = marks.popleft()[1]
        if sequence > self.floor_sequence:
            self.raise_floor(self.at(sequence - 1)[REVISION])

    # --- freeing

    @property
    def free_to(self) -> int:
        """The sequence below which changes can be freed: no read and no view needs them."""
        return min(self.floor_sequence, *self.pins) if self.pins else self.floor_sequence

    def pin(self) -> int:
        """Keep what is above the floor now until it is unpinned; return the pin."""
        self.pins.append(self.floor_sequence)
        self.plan()
        return self.floor_sequence

    def unpin(self, pin: int) -> None:
        """Let go what a pin kept."""
        self.pins.remove(pin)
        self.plan()

    def free(self, to: int) -> list[Change]:
        """Free the changes below a sequence, and return them.

        Complexity: O(number of them), amortised.
        """
        low, high = self.freed - self.base, to - self.base
        freed = self.changes[low:high]
        self.changes[low:high] = [None] * (high - low)
        self.freed = to
        # The list is moved only when half of it is empty, so that each change moves it once.
        if high > SWEEP and high * 2 > len(self.changes):
            del self.changes[:high]
            self.base = to
        self.plan()
        return cast("list[Change]", freed)

    def plan(self) -> None:
        """Work out from when on the history needs tending."""
        if self.freed < self.free_to:
            self.tend_at = 0
        elif self._limit is None:
            self.tend_at = _NEVER
        else:
            self.tend_at = self.floor_sequence + self._limit + self._slack()

    def _slack(self) -> int:
        """How much more than the limit is kept before it is cut again."""
        assert self._limit is not None
        return max(SWEEP, self._limit // 8)
