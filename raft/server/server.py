"""One server's parts and how they work together: the paper's rules for servers.

Owns the wiring, the comparison of terms, the dispatch of messages by kind, and waking. The rules
themselves live in the modules beside this one (see `raft.server`). Knows nothing of what
applications may ask for (`raft.raft`).

Source: Raft paper figure 2 ("rules for servers") and 5.1; etcd-io/raft raft.go Step.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

from raft.config import Config
from raft.entries import TERM_MAX
from raft.errors import TransferRefused
from raft.membership.configuration import Configuration
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    Message,
    Propose,
    ProposeResponse,
    ReadIndex,
    ReadIndexResponse,
    Refusal,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
    TransferLeadership,
)
from raft.outputs import Cause, QuiescenceChanged, Role
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability
from raft.server.elections import NO_REFUSAL, Elections
from raft.server.following import Following
from raft.server.forwarding import Forwarding
from raft.server.leading import Leader
from raft.server.open_proposals import OpenProposals
from raft.server.reads import Reads
from raft.server.restoring import restore
from raft.server.snapshot_receiving import SnapshotReceiving
from raft.server.transfer import Transfer
from raft.stored import Stored

FOLLOWER = Role.FOLLOWER

#: Kinds that clients cause and followers pass on: no term makes them stale.
_TERMLESS = frozenset((Propose, ReadIndex, TransferLeadership))
#: Kinds that only the leader of their term sends.
_FROM_LEADERS = frozenset((AppendEntries, Heartbeat, InstallSnapshot))


class Server:
    """The parts of one machine.

    Attributes:
        core: Their common ground.
        durability: What is on disk.
        applying: What is handed out.
        elections: Who leads.
        leader: Our leadership, or None.
        reads: The reads that wait.
        forwarding: The forwarded proposals that wait.
        transfer: The handing over of leadership.
    """

    __slots__ = (
        "_following",
        "_proposals",
        "_receiving",
        "applying",
        "core",
        "durability",
        "elections",
        "forwarding",
        "leader",
        "reads",
        "transfer",
    )

    def __init__(
        self, own_id: str, config: Config, rng: Random, now: float, stored: Stored
    ) -> None:
        self.core = core = Core(own_id, config, rng, now, self._on_leader_changed)
        regression = restore(core, stored)
        self.leader: Leader | None = None
        self.durability = Durability(core, self.step)
        self.applying = Applying(core, self.durability, self._on_switched, self._on_applied)
        self._proposals = OpenProposals(core)
        self.transfer = Transfer(core)
        self.reads = Reads(core)
        self.forwarding = Forwarding(core)
        self.elections = Elections(
            core,
            self.durability,
            self.applying,
            begin_leading=self._begin_leading,
            end_leading=self._end_leading,
            restarted=stored.hard_state.term > 0,
        )
        follower = (core, self.durability, self.applying, self.elections)
        self._following = Following(*follower)
        self._receiving = SnapshotReceiving(*follower, self._proposals)
        if regression is not None:
            core.emit(regression)
            if not core.regressed:
                core.regressed = True
                self.durability.changed()
        self.applying.apply()

    # --- time and disk -----------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        leader = self.leader
        times = (
            self.elections.next_timeout() if leader is None else leader.next_timeout(),
            self.reads.next_timeout(),
            self.transfer.next_timeout(),
            self.forwarding.next_timeout(),
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self) -> None:
        """Do what is due."""
        self.transfer.handle_timeout()
        if self.leader is not None:
            self.leader.handle_timeout()
        else:
            self.elections.handle_timeout()
        self.reads.handle_timeout()
        self.forwarding.handle_timeout()

    def persisted(self, seq: int, now: float) -> None:
        """Let go on what waited for a write.

        Raises:
            UnknownSequence: It was never handed out.
        """
        core = self.core
        snapshot = self.durability.confirm(seq, now)
        if snapshot is not None:
            self.applying.installed(snapshot)
        if self.leader is not None and self.durability.index > core.commit:
            self.leader.replication.try_commit()
        self.durability.release()
        if core.commit > core.applied:
            self.applying.apply()

    def reload(self, config: Config) -> None:
        """Take over another configuration of the machine."""
        core = self.core
        before, core.config = core.config, config
        self.elections.on_reload(before)
        if self.leader is not None:
            self.leader.on_reload(before)

    # --- terms -------------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Handle a message of ourselves, if its term still allows it.

        It always does, as what waits for the disk is dropped when a term begins; but a vote that
        counted in another term would be a catastrophe, and one comparison is not.
        """
        if self.admit(message):  # pragma: no branch  # see above
            self.HANDLERS[type(message)](self, message)

    def admit(self, message: Message) -> bool:  # noqa: PLR0911  # a return for each rule
        """Compare terms as all servers do (paper 5.1); return whether to handle the message."""
        core, term, kind = self.core, message.term, type(message)
        if term == core.term > 0:
            return True
        if kind in _TERMLESS:
            return True
        if not 0 < term <= TERM_MAX:
            core.reject(message, "no term" if term < 1 else "term out of range")
            return False
        if term < core.term:
            self._answer_from_the_past(message)
            return False
        if isinstance(message, (RequestVote, RequestPreVote)):
            refusal = self.elections.loyal_refusal(message)
            if refusal is not NO_REFUSAL:
                self.elections.answer(message, refusal)
                return False
        if isinstance(message, RequestPreVote):
            return True
        if isinstance(message, RequestPreVoteResponse) and message.granted:
            return True
        leader = message.source if kind in _FROM_LEADERS else None
        self.elections.become_follower(term, leader, Cause.HIGHER_TERM)
        return True

    def _answer_from_the_past(self, message: Message) -> None:
        """Tell our term to a leader or candidate of an earlier one; drop all else.

        A server that was cut off in a later term could else never be reached by a leader that
        does not know of that term (etcd issue 8501).
        """
        core = self.core
        if isinstance(message, (RequestVote, RequestPreVote)):
            self.elections.answer(message, Refusal.STALE_TERM)
        elif type(message) in _FROM_LEADERS:
            self.durability.send_when_durable(
                AppendEntriesResponse(message.source, core.id, core.term, True, 0)
            )

    # --- messages of our term ----------------------------------------------------------------

    def _from_leader(self, message: Message) -> bool:
        """Return whether the term's leader can have sent this: we are not it."""
        if self.leader is not None:
            self.core.reject(message, "another leader in our term")
            return False
        return True

    def _on_append(self, message: AppendEntries) -> None:
        if self.leader is None or self._from_leader(message):
            self._following.on_append(message)

    def _on_heartbeat(self, message: Heartbeat) -> None:
        if self.leader is None or self._from_leader(message):
            self._following.on_heartbeat(message)
            if message.round and self.reads.pending:
                self.reads.on_heartbeat()

    def _on_install_snapshot(self, message: InstallSnapshot) -> None:
        if self._from_leader(message):
            self._receiving.on_chunk(message)

    def _on_append_response(self, message: AppendEntriesResponse) -> None:
        if self.leader is not None:
            self.leader.replication.on_append_response(message)

    def _on_heartbeat_response(self, message: HeartbeatResponse) -> None:
        if self.leader is not None:
            self.leader.on_heartbeat_response(message)

    def _on_snapshot_response(self, message: InstallSnapshotResponse) -> None:
        if self.leader is not None:
            self.leader.on_snapshot_response(message)

    def _on_request_vote(self, message: RequestVote) -> None:
        self.elections.on_request_vote(message)

    def _on_vote_response(self, message: RequestVoteResponse) -> None:
        self.elections.on_vote_response(message)

    def _on_request_pre_vote(self, message: RequestPreVote) -> None:
        self.elections.on_request_pre_vote(message)

    def _on_pre_vote_response(self, message: RequestPreVoteResponse) -> None:
        self.elections.on_pre_vote_response(message)

    def _on_timeout_now(self, message: TimeoutNow) -> None:
        if not self._from_leader(message):
            return
        if self.core.leader not in (None, message.source):
            self.core.reject(message, "not from the leader")
        elif self.elections.may_take_over():
            self.elections.campaign(Cause.TRANSFER)

    def _on_transfer_leadership(self, message: TransferLeadership) -> None:
        if self.leader is None:
            return
        try:
            self.leader.transfer(message.transferee, self.core.now)
        except TransferRefused:
            self.core.reject(message, "transfer refused")

    def _on_read_index(self, message: ReadIndex) -> None:
        self.reads.on_read_index(message)

    def _on_read_index_response(self, message: ReadIndexResponse) -> None:
        self.reads.on_read_index_response(message)

    def _on_propose(self, message: Propose) -> None:
        self.forwarding.on_propose(message)

    def _on_propose_response(self, message: ProposeResponse) -> None:
        self.forwarding.on_propose_response(message)

    HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        AppendEntries: _on_append,
        AppendEntriesResponse: _on_append_response,
        Heartbeat: _on_heartbeat,
        HeartbeatResponse: _on_heartbeat_response,
        RequestVote: _on_request_vote,
        RequestVoteResponse: _on_vote_response,
        RequestPreVote: _on_request_pre_vote,
        RequestPreVoteResponse: _on_pre_vote_response,
        InstallSnapshot: _on_install_snapshot,
        InstallSnapshotResponse: _on_snapshot_response,
        TimeoutNow: _on_timeout_now,
        TransferLeadership: _on_transfer_leadership,
        ReadIndex: _on_read_index,
        ReadIndexResponse: _on_read_index_response,
        Propose: _on_propose,
        ProposeResponse: _on_propose_response,
    }

    # --- what the parts tell each other ------------------------------------------------------

    def _begin_leading(self) -> None:
        """Lead the term for which we were elected."""
        self.leader = Leader(
            self.core,
            self.durability,
            self.applying,
            transfer=self.transfer,
            step_down=self.step_down,
            confirmed=self.reads.on_confirmed,
        )
        self.forwarding.leader = self.leader
        self.reads.begin_leading(self.leader)

    def _end_leading(self) -> None:
        """Remember what is still open of the leadership that ends."""
        leader = self.leader
        assert leader is not None
        self._proposals.add(self.core.term, leader.first_index + 1)
        leader.replication.stop()
        self.leader = self.forwarding.leader = self.reads.leader = None
        if self.core.quiescent:
            self.core.quiescent = False
            self.core.emit(QuiescenceChanged(quiescent=False))

    def step_down(self, cause: Cause) -> None:
        """Follow nobody, in the same term."""
        self.elections.become_follower(self.core.term, None, cause)

    def _on_leader_changed(self, leader: str | None) -> None:
        """Tell all that wait for a leader."""
        self.transfer.leader_changed(leader)
        self.reads.on_leader_changed()

    def _on_switched(self, previous: Configuration) -> None:
        """Do what a configuration that came into force demands."""
        core, elections = self.core, self.elections
        if core.regressed and core.id not in core.configuration.all_voters:
            # As a learner we get everything again; we vote once we are trusted with a vote anew.
            # The vote of the present term may be among what was lost: none is given in it again.
            core.voted_for = core.voted_for or core.leader or core.id
            core.regressed = False
            self.durability.changed()
        if self.leader is not None:
            self.leader.on_configuration()
        elif core.role is not FOLLOWER and not elections.is_promotable:
            self.step_down(Cause.REMOVED)
        elif not previous.is_electable(core.id):
            elections.rearm()

    def _on_applied(self) -> None:
        """Let go on what waited for entries to be applied."""
        if self.leader is not None:
            self.leader.on_applied()
        if self.reads.pending or self.reads.postponed:
            self.reads.on_applied()
        if self.forwarding.batches:
            self.forwarding.on_applied()
        if self._proposals.ranges:
            self._proposals.on_applied()
        if self._receiving.offset:
            self._receiving.on_applied()

    def wake_if_quiescent(self) -> None:
        """Wake the group if it sleeps."""
        if self.core.quiescent:
            self.wake()

    def is_reason_to_wake(self, message: Message) -> bool:
        """Return whether a message that comes to a sleeping server is reason to wake.

        Whatever ends the term does: nobody but the leader who put us to sleep would wake us.
        """
        if message.term > self.core.term:
            return True
        if type(message) is Heartbeat:
            return not message.quiesce
        if type(message) is HeartbeatResponse:
            return message.round == 0
        return type(message) is not AppendEntriesResponse or message.rejected

    def wake(self) -> None:
        """Take up heartbeats and timers again; a follower has its leader do so."""
        core = self.core
        core.quiescent = False
        core.emit(QuiescenceChanged(quiescent=False))
        if self.leader is not None:
            self.leader.wake()
            return
        core.leader_heard_at = core.now
        self.elections.rearm()
        assert core.leader is not None, "a follower sleeps only if its leader told it to"
        core.send(HeartbeatResponse(core.leader, core.id, core.term))
