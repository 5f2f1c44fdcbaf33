"""What can be refused, and how: one small tree of exceptions.

A command that raises has changed nothing. `DecodeError` is raised by the codec's functions only;
inside the machine it becomes a `PacketRejected` or `StreamRejected` event.
"""

from __future__ import annotations


class MemberlistError(Exception):
    """Base of every refusal of this package."""


class DecodeError(MemberlistError):
    """Bytes of a peer that are not what the protocol allows, or exceed a named limit.

    Attributes:
        reason: A short stable word for counters and events, such as `truncated` or `too-large`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class UnknownMember(MemberlistError):
    """The named member is not in the table, or is not reachable any more (dead or left)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no reachable member is called {name!r}")
        self.name = name


class PayloadTooLarge(MemberlistError):
    """A payload or metadata that can't be sent within its limit.

    Attributes:
        size: Bytes that were offered.
        limit: Bytes that are allowed.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes exceed the limit of {limit}")
        self.size = size
        self.limit = limit


class QueueFull(MemberlistError):
    """A bounded queue has no room; try again after some of it was sent.

    Attributes:
        limit: Entries that the queue holds.
    """

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"the queue of {queue} holds its limit of {limit} already")
        self.queue = queue
        self.limit = limit


class KeyringError(MemberlistError):
    """A keyring operation that would leave the ring unusable."""


class NotRunning(MemberlistError):
    """The machine has left, or is leaving: only `rejoin` brings it back."""
