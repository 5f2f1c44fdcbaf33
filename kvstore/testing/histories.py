"""Histories: what clients asked of a system, when, and what it answered.

Owns `Operation` and `Recorder`. Knows no model and no verdict: a history is an observation.
Times are whatever the caller measured, as long as they compare; only their order matters.

Source: Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects"
(1990), section 2: an operation is an interval from its call to its return.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Final, Literal

import attrs

__all__ = ["UNKNOWN", "Operation", "Recorder", "Unknown"]


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return self.name


UNKNOWN: Final[Literal[Unknown.UNKNOWN]] = Unknown.UNKNOWN
"""The output of an operation whose answer was never seen."""


@attrs.frozen
class Operation:
    """One request of one client, from its call to its return.

    Two operations are concurrent unless one returned before the other was called; at equal times
    a call counts as earlier than a return, so they are concurrent.

    Attributes:
        client: Who asked; any label that sorts the picture's rows by first appearance.
        input: The request, as the model understands it.
        called: When the request was sent.
        returned: When the answer came, not before `called`. None if none ever did: the operation
            may have taken effect at any time since, or never.
        output: The answer, `UNKNOWN` if it was not seen. A returned operation has taken effect
            even if its answer is unknown.
    """

    client: Hashable
    input: object
    called: float
    returned: float | None = None
    output: object = UNKNOWN

    def __attrs_post_init__(self) -> None:
        if self.returned is None:
            if self.output is not UNKNOWN:
                raise ValueError(f"an operation that never returned has the output {self.output!r}")
        elif not self.called <= self.returned:
            raise ValueError(f"returned at {self.returned}, before the call at {self.called}")


@attrs.define
class _Call:
    """An operation under way; `returned` and `output` are filled in by its return."""

    client: Hashable
    input: object
    called: float
    returned: float | None = None
    output: object = UNKNOWN


class Recorder:
    """Write a history down while it happens, in the order of the calls made here.

    Time is the number of calls and returns so far, which is all a check needs: no clock is read.
    Ask `operations` at any moment; what has not returned by then is an operation without answer.

    >>> recorder = Recorder()
    >>> first = recorder.called("alice", "increment")
    >>> second = recorder.called("bob", "increment")
    >>> recorder.returned(first, 1)
    >>> [(each.client, each.called, each.returned, each.output) for each in recorder.operations]
    [('alice', 0, 2, 1), ('bob', 1, None, UNKNOWN)]
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._time = 0

    def called(self, client: Hashable, request: object) -> int:
        """Note that a client sends a request now; return the number of the operation."""
        self._calls.append(_Call(client, request, self._tick()))
        return len(self._calls) - 1

    def returned(self, operation: int, output: object = UNKNOWN) -> None:
        """Note that an operation is answered now.

        An operation whose fate is open, such as a time-out, simply never returns.

        Raises:
            ValueError: There is no such operation, or it has returned already.
        """
        if not 0 <= operation < len(self._calls):
            raise ValueError(f"there is no operation {operation}")
        call = self._calls[operation]
        if call.returned is not None:
            raise ValueError(f"operation {operation} has returned already")
        call.returned = self._tick()
        call.output = output

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What was recorded so far, in order of calls."""
        return tuple(
            Operation(call.client, call.input, call.called, call.returned, call.output)
            for call in self._calls
        )

    def _tick(self) -> int:
        self._time += 1
        return self._time - 1
