"""What is due when: names with a logical time each, the next ones first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from kvstore.config import INTEGER_MAX
from kvstore.state.tables import Table


class Deadlines:
    """Names by deadline.

    The heap holds stale pairs beside the true ones, which the table tells apart; it is made anew
    when more than half of it is stale, so that renewals cost O(log n) and no memory.

    Attributes:
        table: The deadline of each name, in logical milliseconds.
    """

    __slots__ = ("_heap", "table")

    def __init__(self) -> None:
        self.table: Table[int] = Table()
        # Invariant: every row of the table is in the heap, and the first in the heap is true.
        self._heap: list[tuple[int, str]] = []

    @property
    def next(self) -> int | None:
        """The first deadline, or None."""
        return self._heap[0][0] if self._heap else None

    def arm(self, name: str, now: int, after: int) -> int:
        """Set or move a deadline, and return it. Complexity: O(log n), amortised."""
        deadline = min(now + after, INTEGER_MAX)
        self.put(name, deadline)
        return deadline

    def put(self, name: str, deadline: int) -> None:
        """Set or move a deadline to a time. Complexity: O(log n), amortised."""
        self.table.assign(name, deadline)
        heappush(self._heap, (deadline, name))
        self._settle()

    def disarm(self, name: str) -> None:
        """Take a deadline away if there is one."""
        if self.table.discard(name) is not None:
            self._settle()

    def due(self, now: int, limit: int) -> list[str]:
        """Return the first `limit` names whose time has come, in the order of their deadlines.

        They stay until they are disarmed. Complexity: O(limit log n).
        """
        heap = self._heap
        found: dict[str, int] = {}
        while heap and heap[0][0] <= now and len(found) < limit:
            pair = heappop(heap)
            if self.table.get(pair[1]) == pair[0]:
                found[pair[1]] = pair[0]
        for name, deadline in found.items():
            heappush(heap, (deadline, name))
        self._settle()
        return list(found)

    def _settle(self) -> None:
        if len(self._heap) > 2 * len(self.table) + 64:
            self._heap = [(deadline, name) for name, deadline in self.table.items()]
            heapify(self._heap)
        heap, get = self._heap, self.table.get
        while heap and get(heap[0][1]) != heap[0][0]:
            heappop(heap)
