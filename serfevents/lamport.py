"""Lamport's logical clock: one number that is always ahead of everything it has seen.

Knows nothing of what is stamped. Source: Lamport, Time, Clocks, and the Ordering of Events in a
Distributed System (1978); serf/lamport.go.
"""

from __future__ import annotations

from typing import Final

#: Lamport times are u64 on the wire.
LTIME_MAX: Final = 2**64 - 1


class LamportClock:
    """A logical clock.

    Attributes:
        time: What the next message would be stamped with; 0 before the first increment. It never
            goes back, and stops at `LTIME_MAX` (where Serf's begins anew at 0).

    >>> clock = LamportClock()
    >>> clock.increment(), clock.witness(41), clock.witness(30)
    (1, 42, 42)
    """

    __slots__ = ("time",)

    def __init__(self, time: int = 0) -> None:
        self.time = time

    def increment(self) -> int:
        """Move on by one and return the new time."""
        if self.time < LTIME_MAX:
            self.time += 1
        return self.time

    def witness(self, ltime: int) -> int:
        """Move ahead of a time that was seen on a message; return the time now."""
        if ltime >= self.time:
            self.time = min(ltime + 1, LTIME_MAX)
        return self.time
