"""Linearizable reads without an entry in the log: ReadIndex, and leases.

Owns the reads that wait, of this server's application and, while it leads, of followers. Knows
nothing of how rounds of heartbeats are confirmed.

A read is right at an index if that index was committed when a quorum still took its leader for
the leader, after the read began. So a leader notes its commit index, has a round of heartbeats
sent (reads that begin before it is fetched share it), and the read may go on once a quorum has
answered that round and the index is applied. A leader that has not yet committed an entry of its
own term does not know what is committed; that holds for the only server of a cluster too.

What is asked is asked again when the leader changes or an answer may be lost: until it expires, a
read fails for no other reason.

Source: Raft dissertation 6.4; etcd-io/raft read_only.go. Deviations: rounds are numbered by the
leader, so that no answer to an earlier question confirms a later one (etcd issue 20418), and a
server alone doesn't skip the own-term rule.
"""

from __future__ import annotations

from collections import deque

from raft.errors import ReadRefused
from raft.messages import ReadIndex, ReadIndexResponse
from raft.outputs import ReadFailed, ReadFailure, ReadReady, Role, SendMessage
from raft.server.core import Core, Intent
from raft.server.leading import Leader


class Reads:
    """The reads of one server.

    Attributes:
        leader: This server's leadership, or None; set by the machine.
        pending: Reads of our application without an outcome.
        postponed: As a leader, what waits for an entry of our term: who asked, and its number.
        unconfirmed: As a leader, what waits for a quorum: the round of heartbeats that has to be
            answered, the index that can be told then, who asked, and its number.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_core",
        "_deadlines",
        "_intent",
        "_joinable",
        "_unasked",
        "leader",
        "pending",
        "postponed",
        "unconfirmed",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self.leader: Leader | None = None
        self.pending: set[int] = set()
        self.postponed: list[tuple[str, int]] = []
        self.unconfirmed: deque[tuple[int, int, str, int]] = deque()
        # When each read of our application expires, in order.
        self._deadlines: deque[tuple[float, int]] = deque()
        # Those that nobody was asked about yet, and those that are right once an index is applied.
        self._unasked: list[int] = []
        self._answered: list[tuple[int, int]] = []
        # As a follower: when the leader was asked last, and for which reads, by the number of the
        # request; oldest first. One that was not fetched yet can be joined.
        self._asked: dict[int, tuple[float, list[int]]] = {}
        self._joinable: int | None = None
        self._intent: Intent = (self._render, None)

    # --- our application's reads

    def read(self, now: float, *, lease: bool) -> int:
        """Begin a read; return its number.

        Raises:
            ReadRefused: Too many wait, or leases are switched off.
        """
        core, leader = self._core, self.leader
        if lease and not core.config.lease_reads:
            raise ReadRefused("leases are switched off", core.leader)
        if len(self.pending) >= core.config.reads_max:
            raise ReadRefused("too many reads wait", core.leader)
        core.clock(now)
        number = core.next_handle()
        self.pending.add(number)
        self._deadlines.append((core.now + core.config.read_limit, number))
        if lease and leader is not None and leader.rounds.has_lease and leader.has_committed:
            self._answer(core.id, number, core.commit)
        else:
            self._unasked.append(number)
            self._ask()
        return number

    def _ask(self) -> None:
        """Ask whoever leads about the reads that nobody was asked about."""
        core = self._core
        if not self._unasked or core.leader is None:
            return
        numbers, self._unasked = self._unasked, []
        if self.leader is not None:
            for number in numbers:
                self._lead(core.id, number)
            self.leader.rounds.confirm()
        elif self._joinable is not None:
            self._asked[self._joinable][1].extend(numbers)
        else:
            self._joinable = core.next_request()
            self._asked[self._joinable] = core.now, numbers
            core.outputs.append(self._intent)

    def _render(self, _: None) -> SendMessage | None:
        """Return the request to the leader, which from now on no read can join."""
        core, number = self._core, self._joinable
        self._joinable = None
        if number is None:
            return None  # The leader changed, or all have expired.
        assert core.leader is not None
        return SendMessage(ReadIndex(core.leader, core.id, 0, number))

    def _finish(self, number: int) -> bool:
        """Forget a read that has its outcome; return whether it was waiting for one."""
        if number not in self.pending:
            return False
        self.pending.remove(number)
        while self._deadlines and self._deadlines[0][1] not in self.pending:
            self._deadlines.popleft()
        return True

    def _fail(self, number: int, reason: ReadFailure) -> None:
        """Tell that a read has no answer."""
        self._finish(number)
        self._core.stats.reads_failed += 1
        self._core.emit(ReadFailed(number, reason, self._core.leader))

    def on_applied(self) -> None:
        """Let reads go on whose index is applied now, and ask what waited for our own term."""
        if self._answered:
            answered, self._answered = self._answered, []
            for number, index in answered:
                self._answer(self._core.id, number, index)
        if self.postponed and self.leader is not None and self.leader.has_committed:
            postponed, self.postponed = self.postponed, []
            for source, number in postponed:
                self._lead(source, number)
            self.leader.rounds.confirm()

    @property
    def is_idle(self) -> bool:
        """Whether no read waits, here or of another server."""
        return not (self.pending or self.postponed or self.unconfirmed)

    def begin_leading(self, leader: Leader) -> None:
        """Answer the reads that waited for a leader, as we are it."""
        self.leader = leader
        self._ask()

    def on_leader_changed(self) -> None:
        """Ask the next leader instead."""
        if self.is_idle:
            return
        own = self._core.id
        waiting = [number for source, number in self.postponed if source == own]
        waiting += [number for _, _, source, number in self.unconfirmed if source == own]
        self.postponed.clear()
        self.unconfirmed.clear()
        for _, numbers in self._asked.values():
            waiting += numbers
        self._asked.clear()
        self._joinable = None
        self._unasked += [number for number in waiting if number in self.pending]
        if self._core.role is not Role.LEADER:
            self._ask()

    def on_heartbeat(self) -> None:
        """Ask the leader, who is there, about what it refused or did not answer for a while.

        The numbers stay the same: an answer to the first question is as good.
        """
        core = self._core
        self._ask()
        long_ago = core.now - core.config.election_timeout / 2
        while self._asked:
            request, (asked_at, numbers) = next(iter(self._asked.items()))
            if asked_at > long_ago or request == self._joinable:
                return
            del self._asked[request]
            assert core.leader is not None
            self._asked[request] = core.now, numbers
            core.send(ReadIndex(core.leader, core.id, 0, request))

    # --- the leader's part

    def _lead(self, source: str, number: int) -> None:
        """Have a quorum confirm that we lead, to answer at the present commit index."""
        leader = self.leader
        assert leader is not None
        if leader.has_committed:
            commit = self._core.commit
            self.unconfirmed.append((leader.rounds.begin(), commit, source, number))
        else:
            self.postponed.append((source, number))

    def on_confirmed(self, confirmed: int) -> None:
        """Answer what waited for a round of heartbeats that a quorum has answered."""
        unconfirmed = self.unconfirmed
        while unconfirmed and unconfirmed[0][0] <= confirmed:
            _, index, source, number = unconfirmed.popleft()
            self._answer(source, number, index)

    def _answer(self, source: str, number: int, index: int) -> None:
        """Tell who asked that a read is right once `index` is applied."""
        core = self._core
        if source != core.id:
            core.send(ReadIndexResponse(source, core.id, core.term, number, index))
        elif index > core.applied:
            self._answered.append((number, index))
        elif self._finish(number):
            core.stats.reads += 1
            core.emit(ReadReady(number, index))

    def on_read_index(self, message: ReadIndex) -> None:
        """Take up a follower's question, unless we don't lead."""
        core = self._core
        waiting = len(self.unconfirmed) + len(self.postponed)
        if self.leader is None or waiting >= core.config.reads_max:
            core.send(
                ReadIndexResponse(message.source, core.id, core.term, message.request, 0, True)
            )
            return
        self._lead(message.source, message.request)
        self.leader.rounds.confirm()

    def on_read_index_response(self, message: ReadIndexResponse) -> None:
        """Let the reads of a request go on once the index is applied."""
        if message.request not in self._asked or message.request == self._joinable:
            return  # An answer that came twice, or to a question of a former life.
        if message.source != self._core.leader:
            self._core.reject(message, "not from the leader")
            return
        _, numbers = self._asked.pop(message.request)
        if message.refused:
            self._unasked += numbers  # To be asked again with the next heartbeat.
            return
        for number in numbers:
            self._answer(self._core.id, number, message.index)

    # --- time

    def next_timeout(self) -> float | None:
        """Return when the oldest read expires, or None."""
        return self._deadlines[0][0] if self._deadlines else None

    def handle_timeout(self) -> None:
        """Give up what has waited too long."""
        core = self._core
        reason = ReadFailure.NO_LEADER if core.leader is None else ReadFailure.EXPIRED
        failed = core.stats.reads_failed
        while self._deadlines and self._deadlines[0][0] <= core.now:
            self._fail(self._deadlines[0][1], reason)
        if core.stats.reads_failed > failed:
            self._forget_finished()

    def _forget_finished(self) -> None:
        """Keep nothing about reads of our own that are no longer waited for."""
        pending, own = self.pending, self._core.id
        self._unasked = [number for number in self._unasked if number in pending]
        self._answered = [item for item in self._answered if item[0] in pending]
        self.postponed = [item for item in self.postponed if item[0] != own or item[1] in pending]
        self.unconfirmed = deque(
            item for item in self.unconfirmed if item[2] != own or item[3] in pending
        )
        self._asked = {
            request: asked
            for request, asked in self._asked.items()
            if not pending.isdisjoint(asked[1])
        }
        if self._joinable not in self._asked:
            self._joinable = None

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert not self._deadlines or self._deadlines[0][1] in self.pending
        assert {number for _, number in self._deadlines} >= self.pending
        assert self.leader is not None or not (self.postponed or self.unconfirmed)
