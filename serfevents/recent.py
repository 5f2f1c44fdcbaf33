"""Payloads that came lately: gossip brings each of them many times.

A repeat is told by its bytes alone, before anything is decoded. Two generations, so that
forgetting the oldest costs nothing. Knows nothing of what the bytes say.
"""

from __future__ import annotations

from typing import Final

#: Larger payloads are not remembered; what gossip brings fits a packet.
PAYLOAD_SIZE_MAX: Final = 2048


class RecentPayloads:
    """Remembers at least the newest half of `limit` payloads, and at most `limit`."""

    __slots__ = ("_generation", "_older", "_younger")

    def __init__(self, limit: int) -> None:
        self._generation = limit // 2
        self._younger: set[bytes] = set()
        self._older: set[bytes] = set()

    def __contains__(self, payload: bytes) -> bool:
        return payload in self._younger or payload in self._older

    def __len__(self) -> int:
        return len(self._younger) + len(self._older)

    def add(self, payload: bytes) -> None:
        """Remember a payload."""
        if len(payload) > PAYLOAD_SIZE_MAX:
            return
        if len(self._younger) >= self._generation:
            self._older, self._younger = self._younger, set()
        if self._generation:
            self._younger.add(payload)
