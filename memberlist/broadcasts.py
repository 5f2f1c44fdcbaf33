"""What still has to be told, and how often: SWIM's infection-style dissemination buffer.

Owns the order in which broadcasts are handed out, supersession by key and the transmit limit.
Knows nothing of packets, members or time. Handing out costs O(what is handed out), whatever the
length of the queue: broadcasts lie in tiers by transmits, and in buckets by size within a tier.

Source: SWIM section 4.1 (prefer the least-sent); memberlist `queue.go`.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort


def retransmit_limit(mult: int, n: int) -> int:
    """Return how often each broadcast is sent in a cluster of n members.

    Source: SWIM section 4.1 (lambda log n); memberlist `retransmitLimit`.

    >>> retransmit_limit(3, 1), retransmit_limit(3, 99)
    (3, 6)
    """
    return mult * math.ceil(math.log10(n + 1))


class Broadcast:
    """One message in the queue.

    Attributes:
        message: The bytes, type byte included.
        key: A newer broadcast of this key supersedes it; None for none.
        number: The owner's name for it.
        transmits: How often it was handed out.
        queued: Whether it still waits; False once sent enough, superseded or dropped.
    """

    __slots__ = ("key", "message", "number", "queued", "transmits")

    def __init__(self, message: bytes, key: str | None, number: int) -> None:
        self.message = message
        self.key = key
        self.number = number
        self.transmits = 0
        self.queued = True


class _Tier:
    """Broadcasts that were sent equally often: stacks by size, newest on top."""

    __slots__ = ("buckets", "sizes")

    def __init__(self) -> None:
        self.buckets: dict[int, list[Broadcast]] = {}
        # Invariant: the keys of `buckets` in ascending order; no bucket is empty.
        self.sizes: list[int] = []

    def push_all(self, size: int, chunk: list[Broadcast]) -> None:
        """Stack broadcasts of one size, the newest last."""
        bucket = self.buckets.get(size)
        if bucket is None:
            insort(self.sizes, size)
            self.buckets[size] = chunk
        else:
            bucket += chunk

    def drop_bucket(self, index: int) -> None:
        del self.buckets[self.sizes.pop(index)]


class BroadcastQueue:
    """Broadcasts, least-sent first; among these the largest that fits, then the newest.

    Deviation: the newest of a tier is who came to it last, which a stack knows for nothing;
    memberlist compares running numbers, and loses a message when they start anew.

    >>> queue = BroadcastQueue()
    >>> _ = queue.add(b"old", key="a"), queue.add(b"news", key="a"), queue.add(b"b")
    >>> queue.take(room=20, parts=8, limit=2)
    ([b'news', b'b'], [])
    """

    __slots__ = ("_keyed", "_stale", "_tiers", "count")

    def __init__(self) -> None:
        self._tiers: list[_Tier] = [_Tier()]
        self._keyed: dict[str, Broadcast] = {}
        # Superseded broadcasts stay in their bucket until met; bounded by compaction.
        self._stale = 0
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def add(self, message: bytes, *, key: str | None = None, number: int = 0) -> Broadcast | None:
        """Queue a message and return the one that it superseded, if any."""
        broadcast = Broadcast(message, key, number)
        superseded = None
        if key is not None:
            superseded = self.discard(key)
            self._keyed[key] = broadcast
        self._tiers[0].push_all(len(message), [broadcast])
        self.count += 1
        return superseded

    def holds(self, key: str) -> bool:
        """Whether a broadcast of this key waits."""
        return key in self._keyed

    def discard(self, key: str) -> Broadcast | None:
        """Take the broadcast of this key out of the queue and return it, if there is one."""
        broadcast = self._keyed.pop(key, None)
        if broadcast is None:
            return None
        self._end(broadcast)
        self._stale += 1
        if self._stale > 64 + self.count:
            self._compact()
        return broadcast

    def take(self, *, room: int, parts: int, limit: int) -> tuple[list[bytes], list[Broadcast]]:
        """Hand out as many messages as fit, each counted as sent once.

        Args:
            room: Bytes; each message costs its size + 2 (its place in a compound's table).
            parts: At most so many messages.
            limit: A message handed out so often is finished.

        Returns:
            The messages, and the broadcasts that are finished with this hand-out.
        """
        messages: list[bytes] = []
        taken: list[tuple[int, list[Broadcast]]] = []
        for transmits, tier in enumerate(self._tiers):
            if tier.sizes and tier.sizes[0] + 2 <= room and len(messages) < parts:
                begun = len(taken)
                room = self._take_from(tier, room, parts, messages, taken)
                for _, chunk in taken[begun:]:
                    for broadcast in chunk:
                        broadcast.transmits = transmits + 1
        finished: list[Broadcast] = []
        # In reverse, so that the newest ends on top of its new stack again.
        for size, chunk in reversed(taken):
            transmits = chunk[0].transmits
            if transmits < limit:
                self._tier(transmits).push_all(size, chunk)
            else:
                finished += chunk
        for broadcast in finished:
            self._finish(broadcast)
        return messages, finished

    def _take_from(
        self,
        tier: _Tier,
        room: int,
        parts: int,
        messages: list[bytes],
        taken: list[tuple[int, list[Broadcast]]],
    ) -> int:
        """Move what fits from one tier to `taken`, a stack at a time; return the room left."""
        sizes = tier.sizes
        index = bisect_right(sizes, room - 2) - 1
        while index >= 0 and len(messages) < parts:
            size = sizes[index]
            bucket = tier.buckets[size]
            fitting = min(room // (size + 2), parts - len(messages))
            chunk = bucket[-fitting:]
            del bucket[-fitting:]
            if self._stale:
                met = len(chunk)
                chunk = [broadcast for broadcast in chunk if broadcast.queued]
                self._stale -= met - len(chunk)
            if chunk:
                messages += [broadcast.message for broadcast in reversed(chunk)]
                taken.append((size, chunk))
                room -= len(chunk) * (size + 2)
            if not bucket:
                tier.drop_bucket(index)
                index -= 1
            index = min(index, bisect_right(sizes, room - 2) - 1)
        return room

    def clear(self) -> list[Broadcast]:
        """Take every broadcast out of the queue and return them, the least-sent first."""
        dropped = [
            broadcast
            for tier in self._tiers
            for size in tier.sizes
            for broadcast in tier.buckets[size]
            if broadcast.queued
        ]
        for broadcast in dropped:
            self._finish(broadcast)
        self._tiers = [_Tier()]
        self._stale = 0
        return dropped

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        stacked = [b for tier in self._tiers for size in tier.sizes for b in tier.buckets[size]]
        assert sum(b.queued for b in stacked) == self.count
        assert len(stacked) - self.count == self._stale
        assert all(b.queued and b.key == key for key, b in self._keyed.items())
        assert all(sorted(tier.buckets) == tier.sizes for tier in self._tiers)
        assert all(all(tier.buckets.values()) for tier in self._tiers)

    def _tier(self, transmits: int) -> _Tier:
        while len(self._tiers) <= transmits:
            self._tiers.append(_Tier())
        return self._tiers[transmits]

    def _end(self, broadcast: Broadcast) -> None:
        broadcast.queued = False
        self.count -= 1

    def _finish(self, broadcast: Broadcast) -> None:
        self._end(broadcast)
        if broadcast.key is not None:
            del self._keyed[broadcast.key]

    def _compact(self) -> None:
        """Drop superseded broadcasts from the stacks; their share is bounded by `discard`."""
        tiers = self._tiers
        self._tiers = [_Tier() for _ in tiers]
        for old, new in zip(tiers, self._tiers, strict=True):
            for size in old.sizes:
                for broadcast in old.buckets[size]:
                    if broadcast.queued:
                        new.push_all(size, [broadcast])
        self._stale = 0
