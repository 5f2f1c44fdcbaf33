"""What one member still has to gossip, as a peer's queues would hand it out.

Owns the order, supersession by key and the limit of transmits. Knows nothing of time and links.
Part of the simulator; no machine uses it.

Source: serf/delegate.go GetBroadcasts, memberlist/queue.go.
"""

from __future__ import annotations

import math

from serfevents.outputs import Broadcast


class GossipQueue:
    """Broadcasts: intents before queries before events, the least-sent first, then the newest.

    The newest first is what peers do, and what makes gossip overtake itself without any fault.
    """

    __slots__ = ("_entries", "_keys", "_mult")

    def __init__(self, mult: int) -> None:
        """Hold nothing yet; each broadcast is sent `mult` x ceil(log10(n + 1)) times."""
        self._mult = mult
        self._entries: dict[int, tuple[Broadcast, int]] = {}  # By number: with its transmits.
        self._keys: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, broadcast: Broadcast) -> int:
        """Take a broadcast; return the number of the one that it supersedes, or 0."""
        superseded = 0
        if broadcast.key is not None:
            superseded = self._keys.get(broadcast.key, 0)
            self._entries.pop(superseded, None)
            self._keys[broadcast.key] = broadcast.number
        self._entries[broadcast.number] = (broadcast, 0)
        return superseded

    def take(self, members: int, room: int) -> tuple[tuple[bytes, ...], list[int]]:
        """Return what fits into one packet, and the numbers of those that were sent often enough.

        Args:
            members: How many there are, ourselves included.
            room: Bytes of the packet.
        """
        limit = self._mult * math.ceil(math.log10(members + 1))
        payloads, finished = [], []
        for broadcast, transmits in sorted(self._entries.values(), key=_order):
            if len(broadcast.payload) > room:
                continue
            room -= len(broadcast.payload)
            payloads.append(broadcast.payload)
            if transmits + 1 < limit:
                self._entries[broadcast.number] = (broadcast, transmits + 1)
            else:
                self._forget(broadcast)
                finished.append(broadcast.number)
        return tuple(payloads), finished

    def clear(self) -> list[int]:
        """Drop everything; return the numbers."""
        numbers = list(self._entries)
        self._entries.clear()
        self._keys.clear()
        return numbers

    def _forget(self, broadcast: Broadcast) -> None:
        del self._entries[broadcast.number]
        if broadcast.key is not None:
            del self._keys[broadcast.key]


def _order(entry: tuple[Broadcast, int]) -> tuple[int, int, int]:
    broadcast, transmits = entry
    return -broadcast.priority, transmits, -broadcast.number
