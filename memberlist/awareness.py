"""Lifeguard's local health multiplier: how far a node doubts itself before it doubts others.

Source: Lifeguard (2018), LHA-Probe; memberlist `awareness.go`.
"""

from __future__ import annotations


class Awareness:
    """A saturating score: 0 is healthy, `limit` - 1 is the worst.

    >>> health = Awareness(limit=8)
    >>> health.apply(+3), health.apply(-1), health.scale(1.0)
    (3, 2, 3.0)
    """

    __slots__ = ("limit", "score")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Invariant: 0 <= score < limit.
        self.score = 0

    def apply(self, delta: int) -> int:
        """Add `delta` within the bounds and return the new score."""
        self.score = min(max(self.score + delta, 0), self.limit - 1)
        return self.score

    def scale(self, duration: float) -> float:
        """Return `duration` x (score + 1), in the unit of `duration`."""
        return duration * (self.score + 1)
