"""A transfer of leadership that was asked of this leader, until it is known how it ended.

Owns its deadline and outcome; it outlives the leadership, because only the next leader's name
tells. Knows nothing of how the transferee is brought up to date.

Source: Raft dissertation 3.10.
"""

from __future__ import annotations

from raft.outputs import TransferFinished, TransferOutcome
from raft.server.core import Core


class Transfer:
    """At most one transfer at a time.

    Attributes:
        to: The transferee, or None.
    """

    __slots__ = ("_core", "_due", "to")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due = 0.0
        self.to: str | None = None

    def begin(self, to: str) -> None:
        """Hand over to `to`, and no longer to another."""
        self.end(TransferOutcome.REPLACED)
        self.to = to
        self._due = self._core.now + self._core.config.transfer_limit

    def end(self, outcome: TransferOutcome) -> None:
        """Tell how the transfer ended, if there is one."""
        if self.to is not None:
            self._core.emit(TransferFinished(self.to, outcome))
            self.to = None

    def leader_changed(self, leader: str | None) -> None:
        """Take note of who leads now."""
        if leader is not None and self.to is not None:
            completed = leader == self.to
            self.end(TransferOutcome.COMPLETED if completed else TransferOutcome.STEPPED_DOWN)

    def next_timeout(self) -> float | None:
        """Return when the transfer is given up, or None."""
        return None if self.to is None else self._due

    def handle_timeout(self) -> None:
        """Give the transfer up if it took too long; a leader then goes on leading."""
        if self._due <= self._core.now:
            self.end(TransferOutcome.EXPIRED)
