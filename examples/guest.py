"""What a guest of a Serf pool owes its hosts, beyond memberlist's own protocol.

Serf lives in the bytes that memberlist leaves to the application: tags in the metadata, a state
in every push/pull, and an *intent* broadcast before a leave (without it Serf shows a member that
left as failed). This is the least of it; the package `serfevents` is the whole.

Source: Serf's `messages.go`, `delegate.go`.
"""

from __future__ import annotations

from typing import Any

import msgpack

#: Serf's own protocol versions (memberlist's application versions): lowest, highest, spoken.
SERF_VERSIONS = (2, 5, 5)

_LEAVE, _JOIN, _PUSH_PULL = 0, 1, 2


def encode_tags(tags: dict[str, str]) -> bytes:
    """Return tags as a member's metadata."""
    return b"\xff" + _pack(tags)


class SerfGuest:
    """Keep Serf's member clock for one member, and speak the three messages that use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = 1  # Lamport time: greater than any that was heard

    def state(self, join: bool) -> bytes:
        """Return our part of a push/pull: clocks, no events (for `user_state`)."""
        del join
        return bytes([_PUSH_PULL]) + _pack(
            {
                "EventLTime": 1,
                "Events": [],
                "LTime": self.clock,
                "LeftMembers": [],
                "QueryLTime": 1,
                "StatusLTimes": {self.name: 1},
            }
        )

    def hear(self, payload: bytes) -> None:
        """Take a peer's message or push/pull state; the newest time in it moves our clock."""
        if not payload or payload[0] not in (_LEAVE, _JOIN, _PUSH_PULL):
            return
        try:
            fields = msgpack.unpackb(payload[1:], raw=True)
        except (ValueError, TypeError):
            return
        heard = fields.get(b"LTime") if isinstance(fields, dict) else None
        if isinstance(heard, int) and self.clock <= heard < 2**63:
            self.clock = heard + 1

    def leave_intent(self) -> bytes:
        """Return what to broadcast before leaving."""
        self.clock += 1
        return bytes([_LEAVE]) + _pack({"LTime": self.clock, "Node": self.name, "Prune": False})


def _pack(value: dict[str, Any]) -> bytes:
    """Encode in Serf's dialect, which knows neither str8 nor bin."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed
