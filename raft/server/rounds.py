"""Rounds of heartbeats: what it proves that a quorum has answered one, for reads and for leases.

Owns their numbers within a term, when each was sent, and the lease. Knows nothing of when a
heartbeat is due, nor of what waits for an answer.

Each heartbeat carries the number of its round and each answer repeats it, so an answer proves
that its sender took this leader for the leader after the round began, and nothing later. Reads
that began before the round are thereby right; and the round's time is the beginning of a lease.

Source: Raft dissertation 6.4 and 6.4.1. Deviation: a lease is counted from when the round was
sent, as the dissertation has it, and not from when it was answered, as etcd-io/raft's is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raft.server.core import Core
from raft.server.replication import Replication

#: Rounds whose time is remembered; of older ones an answer is no lease.
_ROUNDS_MAX = 256


class Rounds:
    """The rounds of one leadership.

    Args:
        core: The machine's common ground.
        replication: The followers, who are sent heartbeats and answer.
        confirmed: Told the latest round that a quorum answered.

    Attributes:
        latest: Number of the round that began last; the first is 1.
    """

    __slots__ = (
        "_confirmed",
        "_core",
        "_lease_begin",
        "_lease_void",
        "_replication",
        "_times",
        "latest",
    )

    def __init__(
        self, core: Core, replication: Replication, confirmed: Callable[[int], None]
    ) -> None:
        self._core = core
        self._replication = replication
        self._confirmed = confirmed
        # Number and time of rounds that no quorum has answered yet; times never fall.
        self._times: deque[tuple[int, float]] = deque()
        self._lease_begin = float("-inf")
        self._lease_void = False
        self.latest = 0

    def begin(self) -> int:
        """Have a heartbeat sent to everyone; return the number of the round.

        A round that is not fetched yet is joined: it is sent after this moment as well.
        """
        if not self._is_open():
            self.latest += 1
            self._times.append((self.latest, self._core.now))
            if len(self._times) > _ROUNDS_MAX:
                self._times.popleft()
            for peer in self._replication.peers.values():
                peer.round_due = self.latest
            self._replication.nudge_all()
        return self.latest

    def _is_open(self) -> bool:
        """Return whether no heartbeat of the latest round was fetched yet."""
        peers, latest = self._replication.peers.values(), self.latest
        return bool(peers) and latest > 0 and all(peer.round_due == latest for peer in peers)

    def confirm(self) -> None:
        """Note the latest round that a quorum answered: a lease from when it was sent."""
        confirmed = min(self._replication.quorum_round(), self.latest)
        times = self._times
        while times and times[0][0] <= confirmed:
            self._lease_begin = times.popleft()[1]
        self._confirmed(confirmed)

    def answered(self) -> None:
        """Note that an answer came: some round may be confirmed by it."""
        if self._times:
            self.confirm()

    @property
    def has_lease(self) -> bool:
        """Whether no other server can lead now (dissertation 6.4.1).

        A quorum heard of us after the lease began, and will not vote for an election timeout.
        """
        core = self._core
        return not self._lease_void and (core.now < self._lease_begin + core.config.lease_duration)

    def end_leases(self) -> None:
        """Have no lease any more in this term, as leadership is transferred.

        Whoever is told to take over is not bound by what others promised, and may have been told
        long ago by a message that is late.
        """
        self._lease_void = True

    def check_invariants(self, *, transferring: bool) -> None:
        """Assert what must always hold; for tests."""
        assert not transferring or self._lease_void
        assert list(self._times) == sorted(self._times)
        assert all(number <= self.latest for number, _ in self._times)
