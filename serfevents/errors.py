"""What can be refused, and how: one small tree of exceptions.

A command that raises has changed nothing. `DecodeError` is raised by the codec's functions only;
inside the machine it becomes a `PayloadRejected` event.
"""

from __future__ import annotations


class SerfEventsError(Exception):
    """Base of every refusal of this package."""


class DecodeError(SerfEventsError):
    """Bytes of a peer that are not what the protocol allows, or exceed a named limit.

    Attributes:
        reason: A short stable word for counters and events, such as `malformed` or `too-large`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class InvalidExpression(SerfEventsError):
    """A tag expression that RE2 refuses too, or that would cost more than is allowed.

    Attributes:
        reason: A short stable word for counters and events, such as `invalid-escape` or
            `too-large`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class PayloadTooLarge(SerfEventsError):
    """An event, a query, an answer or tags that exceed their limit.

    Attributes:
        what: What is too large: `user event`, `query`, `response` or `tags`.
        size: Bytes that were offered, encoded where `limit` is for the encoding.
        limit: Bytes that are allowed.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"a {what} of {size} bytes exceeds the limit of {limit}")
        self.what = what
        self.size = size
        self.limit = limit


class QueueFull(SerfEventsError):
    """A bounded queue has no room; try again after some of it was sent, or answered.

    Attributes:
        queue: What the queue holds.
        limit: How many of them.
    """

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"the queue of {queue} holds its limit of {limit} already")
        self.queue = queue
        self.limit = limit


class UnknownQuery(SerfEventsError):
    """A query that never came, was answered already, or whose deadline has passed.

    Attributes:
        query: The number that was given.
        reason: `unknown`, `answered` or `expired`.
    """

    def __init__(self, query: int, reason: str) -> None:
        super().__init__(f"query {query} can't be answered: {reason}")
        self.query = query
        self.reason = reason


class UnsupportedVersion(SerfEventsError):
    """The configured protocol version has no such message.

    Attributes:
        what: What was asked for.
        needed: The lowest protocol version that has it.
    """

    def __init__(self, what: str, needed: int) -> None:
        super().__init__(f"{what} needs protocol version {needed}")
        self.what = what
        self.needed = needed


class RotationRunning(SerfEventsError):
    """Another staged key rotation is under way; one at a time."""


class NotRunning(SerfEventsError):
    """The machine has left, is leaving, or was shut down."""
