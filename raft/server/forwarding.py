"""Proposals that a follower forwards to its leader, until their outcome is known.

Owns the requests that wait. Knows nothing of what is proposed. The network may lose a request,
its answer, or deliver it twice; then it is applied twice, which only sessions can tell.

Source: Raft dissertation 6.2; etcd-io/raft (MsgProp). Deviation: every batch ends in an outcome.
"""

from __future__ import annotations

from raft.entries import LogIds
from raft.errors import Drop, NotLeader, ProposalDropped
from raft.messages import Propose, ProposeResponse
from raft.outputs import ForwardFinished, Outcome
from raft.server.core import Core
from raft.server.leading import Leader


class _Batch:
    """One forwarded batch: how many proposals, until when to wait, and where they stand."""

    __slots__ = ("count", "due", "ids", "leader")

    def __init__(self, count: int, due: float, leader: str) -> None:
        self.count = count
        self.due = due
        self.leader = leader
        self.ids: LogIds | None = None


class Forwarding:
    """The forwarded batches of one server.

    Attributes:
        leader: This server's leadership, or None; set by the machine.
        batches: Those that wait for their outcome, by the numbers of their requests, in order of
            deadlines, as all wait equally long.
    """

    __slots__ = ("_core", "batches", "leader")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.leader: Leader | None = None
        self.batches: dict[int, _Batch] = {}

    def forward(self, payloads: tuple[bytes, ...], size: int, now: float) -> int:
        """Propose here if we lead, else there; return the number of the request.

        Raises:
            ProposalDropped: Forwarding is off, too many wait, or no leader is known.
        """
        core = self._core
        if not core.config.forwarding:
            raise ProposalDropped(Drop.FORWARDING_OFF, core.leader)
        if len(self.batches) >= core.config.forwarded_max:
            raise ProposalDropped(Drop.TOO_MANY, core.leader)
        if core.leader is None:
            raise ProposalDropped(Drop.NO_LEADER)
        ids = None if self.leader is None else self._append(payloads, size, now)
        core.clock(now)
        number = core.next_handle()
        batch = _Batch(len(payloads), core.now + core.config.forward_limit, core.leader)
        batch.ids = ids
        self.batches[number] = batch
        if ids is None:
            core.send(Propose(core.leader, core.id, 0, number, payloads))
        return number

    def on_propose(self, message: Propose) -> None:
        """Propose what a follower forwards, and tell where it stands."""
        core = self._core
        answer = ProposeResponse(message.source, core.id, core.term, message.request)
        try:
            ids = self._propose(message.payloads)
        except ProposalDropped as dropped:
            answer.reason = dropped.reason
        else:
            answer.log_term, answer.first_index = ids.term, ids.first
        core.send(answer)

    def _propose(self, payloads: tuple[bytes, ...]) -> LogIds:
        """Propose for another server."""
        config = self._core.config
        if self.leader is None:
            raise NotLeader
        if not config.forwarding:
            raise ProposalDropped(Drop.FORWARDING_OFF)
        if not payloads or max(map(len, payloads)) > config.payload_size_max:
            raise ProposalDropped(Drop.TOO_LARGE)
        return self._append(payloads, sum(map(len, payloads)), self._core.now)

    def _append(self, payloads: tuple[bytes, ...], size: int, now: float) -> LogIds:
        """Propose as the leader; return where it stands."""
        assert self.leader is not None
        first = self.leader.propose(payloads, size, now)
        return LogIds(self._core.term, first, first + len(payloads) - 1)

    def on_propose_response(self, message: ProposeResponse) -> None:
        """Learn where a batch stands, or that it was dropped."""
        batch = self.batches.get(message.request)
        if batch is None or batch.ids is not None or batch.leader != message.source:
            return  # An answer that came twice, or too late.
        if message.reason is not None:
            self._finish(message.request, Outcome.DROPPED, reason=message.reason)
            return
        last = message.first_index + batch.count - 1
        batch.ids = LogIds(message.log_term, message.first_index, last)
        self.on_applied()

    def on_applied(self) -> None:
        """Tell the outcome of batches whose place in the log is applied."""
        core = self._core
        for number, batch in list(self.batches.items()):
            ids = batch.ids
            if ids is None or ids.last > core.applied:
                continue
            terms = [core.log.term_at(index) for index in (ids.first, ids.last)]
            if None in terms:
                self._finish(number, Outcome.EXPIRED, ids)
            elif terms == [ids.term, ids.term]:
                self._finish(number, Outcome.COMMITTED, ids)
            else:
                self._finish_in_parts(number, ids)

    def _finish_in_parts(self, number: int, ids: LogIds) -> None:
        """Tell the outcome of a batch of which another leader replaced the end, or all."""
        log = self._core.log
        lost = next(i for i in range(ids.first, ids.last + 1) if log.term_at(i) != ids.term)
        if lost > ids.first:
            committed = LogIds(ids.term, ids.first, lost - 1)
            self._core.emit(ForwardFinished(number, Outcome.COMMITTED, committed))
        self._finish(number, Outcome.LOST, LogIds(ids.term, lost, ids.last))

    def _finish(
        self, number: int, outcome: Outcome, ids: LogIds | None = None, reason: Drop | None = None
    ) -> None:
        """Tell the outcome of a batch, and forget it."""
        del self.batches[number]
        self._core.emit(ForwardFinished(number, outcome, ids, reason, self._core.leader))

    def next_timeout(self) -> float | None:
        """Return when the oldest batch expires, or None."""
        return next(iter(self.batches.values())).due if self.batches else None

    def handle_timeout(self) -> None:
        """Give up what has waited too long."""
        while self.batches:
            number, batch = next(iter(self.batches.items()))
            if batch.due > self._core.now:
                return
            self._finish(number, Outcome.EXPIRED, batch.ids)
