"""One heap of deadlines, so that a machine has a single aggregated timeout.

Owns the order in which equal deadlines fire (that of arming, so that the same inputs give
the same outputs) and cancellation. Knows nothing of what a timer means.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, TypeAlias

#: An armed timer: deadline, counter, what to call (None once cancelled), its argument.
Timer: TypeAlias = list[Any]


class Timers:
    """Deadlines with an action each; cancelling costs O(1), arming O(log n)."""

    __slots__ = ("_cancelled", "_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._count = 0
        # Invariant: how many cancelled entries the heap still holds; never more than half + 64.
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def arm(self, at: float, action: Callable[[Any], None], argument: object = None) -> Timer:
        """Have `pop_due` return `action` and `argument` at `at`; keep the result to cancel."""
        self._count += 1
        timer: Timer = [at, self._count, action, argument]
        heapq.heappush(self._heap, timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget an armed timer. One that fired, was cancelled or is None is no mistake."""
        if timer is None or timer[2] is None:
            return
        timer[2] = timer[3] = None
        self._cancelled += 1
        heap = self._heap
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        if self._cancelled > 64 + len(heap) // 2:
            self._heap = [entry for entry in heap if entry[2] is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next(self) -> float | None:
        """Return the earliest deadline, or None."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> tuple[Callable[[Any], None], Any] | None:
        """Remove and return the earliest action whose deadline is `now` or before."""
        heap = self._heap
        if not heap or heap[0][0] > now:
            return None
        timer = heapq.heappop(heap)
        action, argument = timer[2], timer[3]
        timer[2] = None
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        return action, argument

    def clear(self) -> None:
        """Forget every timer."""
        for timer in self._heap:
            timer[2] = None
        self._heap.clear()
        self._cancelled = 0

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert not self._heap or self._heap[0][2] is not None, "a cancelled timer leads the heap"
        assert self._cancelled == sum(entry[2] is None for entry in self._heap)
