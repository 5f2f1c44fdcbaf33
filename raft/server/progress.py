"""A leader's view of one follower: what it has, what is under way, how much may be.

Owns the three states and their windows. Knows nothing of messages or of the log.

Source: Raft dissertation 10.2.1 (pipelining); etcd-io/raft tracker/progress.go, inflights.go.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from typing import Any


class ProgressState(Enum):
    """How entries are sent to a follower."""

    PROBE = "probe"
    """Where the logs agree is not known: one message, then its answer."""
    REPLICATE = "replicate"
    """Many messages under way, each behind the last."""
    SNAPSHOT = "snapshot"
    """What it lacks is compacted: it gets a snapshot."""


PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


class Progress:
    """What a leader knows of one follower.

    Attributes:
        id: The follower.
        match: Up to here its durable log is the leader's (the paper's matchIndex).
            Invariant: match < next.
        next: Index of the next entry to send (nextIndex).
        state: How entries are sent.
        paused: In PROBE, whether the answer to a probe is awaited.
        probe_due: Whether to send a message without entries even if nothing is new: an answer
            to the last ones may have been lost.
        sent_commit: The commit index that it knows, if nothing was lost.
        heard_at: When it was last heard in this term, seconds.
        round: The latest round of heartbeats that it answered.
        round_due: The round of which a heartbeat waits to be sent; 0 if none.
        is_witness: Whether it gets no payloads.
        ends: Last index of each message with entries that is unanswered, in order.
        inflight_size: Bytes of entries in them.
        queued: Whether the leader's queue of outputs holds an intent to send to it.
        gone: Whether leadership ended or the follower is no member: nothing is sent any more.
        intent: What is queued to send to it; made once.
        sending: The snapshot that is being sent, in SNAPSHOT.
    """

    __slots__ = (
        "_sizes",
        "ends",
        "gone",
        "heard_at",
        "id",
        "inflight_size",
        "intent",
        "is_witness",
        "match",
        "next",
        "paused",
        "probe_due",
        "queued",
        "round",
        "round_due",
        "sending",
        "sent_commit",
        "state",
    )

    def __init__(self, follower: str, next_index: int, now: float) -> None:
        self.id = follower
        self.match = 0
        self.next = next_index
        self.state = PROBE
        self.paused = False
        self.probe_due = False
        self.sent_commit = 0
        self.heard_at = now
        self.round = 0
        self.round_due = 0
        self.is_witness = False
        self.queued = False
        self.gone = False
        self.intent: Any = None
        self.sending: Any = None
        self.ends: list[int] = []
        # The size of each message with entries that is unanswered.
        self._sizes: list[int] = []
        self.inflight_size = 0

    def sent(self, last: int, size: int) -> None:
        """Note a message with entries up to `last`, in REPLICATE."""
        self.next = last + 1
        self.ends.append(last)
        self._sizes.append(size)
        self.inflight_size += size

    @property
    def inflight_size_before_last(self) -> int:
        """What `inflight_size` was when the last message under way was sent, or less."""
        return self.inflight_size - self._sizes[-1]

    def acknowledged(self, index: int) -> bool:
        """Note that it has everything up to `index`; return whether that is news."""
        ends = self.ends
        if ends and ends[0] <= index:
            if ends[-1] <= index:
                ends.clear()
                self._sizes.clear()
                self.inflight_size = 0
            else:
                count = bisect_right(ends, index)
                self.inflight_size -= sum(self._sizes[:count])
                del ends[:count]
                del self._sizes[:count]
        if index >= self.next:
            self.next = index + 1
        if index <= self.match:
            return False
        self.match = index
        self.paused = False
        return True

    def rejected(self, index: int, hint: int) -> bool:
        """Note that the entry at `index` is not the leader's; return whether that is news.

        Args:
            index: Of the entry before those that were sent.
            hint: Where the logs may agree at best.
        """
        if self.state is REPLICATE:
            # What it has acknowledged it has: a rejection of that is an old one.
            if index <= self.match:
                return False
            self.probe()
            return True
        if self.next - 1 != index:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.paused = False
        return True

    def regressed(self, index: int) -> None:
        """Note that it lost what is behind `index`."""
        self.match = min(self.match, index)
        self.round = 0
        self.probe()

    def probe(self) -> None:
        """Find out anew where the logs agree, from what is known for sure on."""
        self._enter(PROBE)
        self.next = self.match + 1
        self.sent_commit = min(self.sent_commit, self.match)

    def replicate(self) -> None:
        """Send everything that comes, one behind the other."""
        self._enter(REPLICATE)
        self.next = self.match + 1

    def send_snapshot(self, sending: Any, index: int) -> None:
        """Send a snapshot up to `index` instead of entries."""
        self._enter(SNAPSHOT)
        self.next = index + 1
        self.sending = sending

    def _enter(self, state: ProgressState) -> None:
        """Change the state; nothing is under way in the new one."""
        self.state = state
        self.paused = False
        self.sending = None
        self.ends.clear()
        self._sizes.clear()
        self.inflight_size = 0

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert self.match < self.next, f"{self.id}: match {self.match}, next {self.next}"
        assert self.inflight_size == sum(self._sizes)
        assert len(self.ends) == len(self._sizes)
        assert self.ends == sorted(self.ends)
        assert not self.ends or (self.state is REPLICATE and self.match < self.ends[0])
        assert (self.sending is not None) == (self.state is SNAPSHOT)
