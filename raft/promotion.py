"""When a learner is ready to vote: it has caught up, and can keep up.

A server that is given a vote before it has the log takes availability away: until it has caught
up, nothing is committed that needs it. How far it is behind at one moment says little, as the log
goes on growing; so its catching up is measured in rounds. A round lasts until the learner has all
that the leader's log had when the round began. Each is shorter than the one before if the learner
is faster than the log grows, and one that lasts less than an election timeout shows that a vote
costs the cluster no more than a leader's failure would.

Owns the rounds of one learner. Knows nothing of machines: it is shown the leader's `Status` now and
then, such as after each `AppendEntriesResponse` or by a timer, and answers.

Source: Raft dissertation 4.2.1.
"""

from __future__ import annotations

from enum import Enum

from raft.outputs import Role
from raft.status import Status

ROUNDS_MAX = 10
"""Rounds after which a learner counts as too slow, as in the dissertation."""


class Readiness(Enum):
    """What is known of a learner."""

    CATCHING_UP = "it lacks what the log had when the round began"
    READY = "its last round was shorter than an election timeout: promote it"
    TOO_SLOW = "no round was short enough: it can't keep up"
    SILENT = "the leader has not heard it for an election timeout"
    UNKNOWN = "this server does not lead, or the learner is no member"


class CatchUp:
    """The rounds in which one learner catches up with one leader.

    Args:
        learner: Its id.
        election_timeout: The cluster's, seconds (`Config.election_timeout`).
        rounds_max: Rounds that it has.

    Attributes:
        rounds: Rounds that have ended.

    Raises:
        ValueError: `election_timeout` or `rounds_max` is not above 0.

    >>> from raft.testing import Cluster
    >>> from raft import AddLearner
    >>> cluster = Cluster(seed=1)
    >>> names = cluster.start(3)
    >>> leader = cluster.elect()
    >>> added = cluster.add("n4")
    >>> machine = cluster.machine(leader)
    >>> change = cluster.change(AddLearner("n4"))
    >>> catch_up = CatchUp("n4", machine.config.election_timeout)
    >>> cluster.run_until(
    ...     lambda: catch_up.observe(machine.status(), cluster.now) is Readiness.READY, within=5.0
    ... )
    True
    """

    __slots__ = ("_began", "_leading", "_learner", "_rounds_max", "_target", "_timeout", "rounds")

    def __init__(
        self, learner: str, election_timeout: float, *, rounds_max: int = ROUNDS_MAX
    ) -> None:
        if not election_timeout > 0:
            raise ValueError(f"an election timeout is above 0, not {election_timeout}")
        if rounds_max < 1:
            raise ValueError(f"rounds_max must be at least 1, not {rounds_max}")
        self._learner = learner
        self._timeout = election_timeout
        self._rounds_max = rounds_max
        self.rounds = 0
        # Whose rounds these are: the leader and its term. Another leader begins anew, as it knows
        # nothing yet of what the learner has.
        self._leading: tuple[str, int] | None = None
        self._target = 0
        self._began = 0.0

    def observe(self, status: Status, now: float) -> Readiness:
        """Look at how far the learner is; a round lasts until it is seen to have ended.

        Args:
            status: The leader's.
            now: When it was so, seconds on the leader's clock; not before earlier ones.

        Returns:
            Whether to promote it now. `TOO_SLOW` stands as long as the same server leads.
        """
        peer = next((peer for peer in status.peers if peer.id == self._learner), None)
        if status.role is not Role.LEADER or peer is None:
            return Readiness.UNKNOWN
        if self._leading != (status.id, status.term):
            self._leading = status.id, status.term
            self.rounds = 0
            self._begin(status, now)
        if peer.silent_for >= self._timeout:
            return Readiness.SILENT
        while peer.match >= self._target and self.rounds < self._rounds_max:
            if now - self._began < self._timeout:
                return Readiness.READY
            self.rounds += 1
            self._begin(status, now)
        return Readiness.TOO_SLOW if self.rounds == self._rounds_max else Readiness.CATCHING_UP

    def _begin(self, status: Status, now: float) -> None:
        """Begin a round."""
        self._target = status.last_index
        self._began = now
