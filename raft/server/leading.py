"""What a leader does beside replication: proposals, changes, its timers, handing over, sleep.

Owns everything that exists only while leading: it is made anew for each term led, so nothing of
one leadership can leak into the next. Knows nothing of elections.

Source: Raft paper 5.2 and 8; dissertation 3.10, 4.1 to 4.3 and 6.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raft.config import Config
from raft.entries import LogId
from raft.errors import (
    ChangePending,
    ConfigurationMismatch,
    Drop,
    ProposalDropped,
    TransferRefused,
)
from raft.membership.changes import Change
from raft.messages import (
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotResponse,
    TimeoutNow,
)
from raft.outputs import BacklogDrained, Cause, QuiescenceChanged, TransferOutcome
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability
from raft.server.progress import PROBE, REPLICATE, Progress
from raft.server.replication import Replication
from raft.server.rounds import Rounds
from raft.server.transfer import Transfer


class Leader:
    """One leadership, from the election that was won to its end.

    Args:
        core: The machine's common ground.
        durability: What of our own log is durable.
        applying: Who is told what is committed.
        transfer: The handing over of leadership.
        step_down: Ends this leadership.
        confirmed: Told the latest round of heartbeats that a quorum answered.

    Attributes:
        first_index: Index of the empty entry that begins the term.
        replication: The followers.
        rounds: What their answers to heartbeats prove.
    """

    __slots__ = (
        "_applying",
        "_backlog",
        "_backlog_size",
        "_core",
        "_dropping",
        "_durability",
        "_heartbeat_due",
        "_pending_change_index",
        "_quorum_due",
        "_step_down",
        "_transfer",
        "first_index",
        "replication",
        "rounds",
    )

    def __init__(
        self,
        core: Core,
        durability: Durability,
        applying: Applying,
        *,
        transfer: Transfer,
        step_down: Callable[[Cause], None],
        confirmed: Callable[[int], None],
    ) -> None:
        self._core = core
        self._durability = durability
        self._applying = applying
        self._transfer = transfer
        self._step_down = step_down
        self.replication = Replication(core, durability, applying, self._on_caught_up)
        self._heartbeat_due = core.now + core.config.heartbeat_interval
        self._quorum_due = core.now + core.config.election_timeout
        self.rounds = Rounds(core, self.replication, confirmed)
        # Last index and size of each batch of proposals that is not applied: that waits for a
        # quorum, or for our own disk.
        self._backlog: deque[tuple[int, int]] = deque()
        self._backlog_size = 0
        self._dropping = False
        # What we took over may contain a change that is not yet in force.
        self._pending_change_index = core.log.last_index
        # A new leader commits what it took over by an entry of its own term (paper 8).
        self.first_index = core.log.append_mark(core.term)
        durability.changed()
        self.replication.nudge_all()

    # --- proposals

    def propose(self, payloads: tuple[bytes, ...], size: int, now: float) -> int:
        """Append proposals of `size` bytes to the log and have them replicated.

        Returns:
            The index of the first.

        Raises:
            ProposalDropped: Leadership is handed over, or too much is under way already.
        """
        core, log = self._core, self._core.log
        if core.applied < log.last_index or self._transfer.to is not None:
            self._check_room(len(payloads), size)
        if not now <= core.now:
            core.clock(now)
        first = log.append(core.term, payloads, size).first_index
        core.stats.proposed += len(payloads)
        self._appended(size)
        return first

    def _check_room(self, count: int, size: int) -> None:
        """Refuse proposals that may not be appended now."""
        self._check_no_transfer()
        core, config = self._core, self._core.config
        waiting, waiting_size = core.log.last_index - core.applied, self._backlog_size
        if waiting + count > config.uncommitted_entries_max or (
            waiting_size and size and waiting_size + size > config.uncommitted_size_max
        ):
            self._dropping = True
            disk_behind = self._durability.index < core.commit
            raise ProposalDropped(Drop.DISK_BEHIND if disk_behind else Drop.BACKLOG_FULL, core.id)

    def _tell_of_room(self) -> None:
        """Tell whoever was refused once there is room again."""
        core, config = self._core, self._core.config
        waiting = core.log.last_index - core.applied
        if waiting < config.uncommitted_entries_max and (
            self._backlog_size < config.uncommitted_size_max
        ):
            self._dropping = False
            core.emit(BacklogDrained())

    def _check_no_transfer(self) -> None:
        """Refuse whatever may not be appended while leadership is handed over."""
        if self._transfer.to is not None:
            raise ProposalDropped(Drop.TRANSFERRING, self._transfer.to)

    def _appended(self, size: int) -> None:
        """Have new entries written and sent."""
        self._backlog_size += size
        self._backlog.append((self._core.log.last_index, size))
        self._durability.changed(size)
        self.replication.nudge_all()

    # --- changes of the configuration

    def change(self, change: Change, expected_index: int | None, now: float) -> LogId:
        """Append the configuration that a change leads to.

        Raises:
            ProposalDropped: As for proposals.
            ChangePending: An earlier one may not be in force yet.
            ConfigurationMismatch: The one in force is not the expected one.
            ChangeRefused: It doesn't allow the change.
        """
        core = self._core
        self._check_no_transfer()
        if self._pending_change_index > core.applied:
            raise ChangePending(self._pending_change_index)
        if expected_index is not None and expected_index != core.configuration_index:
            raise ConfigurationMismatch(expected_index, core.configuration_index)
        configuration = core.configuration.apply(change)
        core.clock(now)
        index = core.log.append_mark(core.term, configuration, change.context)
        self._pending_change_index = index
        self._appended(0)
        return LogId(core.term, index)

    def on_applied(self) -> None:
        """Note that more was handed out: sizes, and a joint configuration that can be left."""
        backlog, core = self._backlog, self._core
        while backlog and backlog[0][0] <= core.applied:
            self._backlog_size -= backlog.popleft()[1]
        if self._dropping:
            self._tell_of_room()
        if core.configuration.auto_leave and core.applied >= self._pending_change_index:
            self._leave_joint()

    def _leave_joint(self) -> None:
        """Propose to leave the joint configuration; if that can't be now, later is as good."""
        if self._transfer.to is None:
            self.change(Change.leave_joint(), None, self._core.now)

    def on_configuration(self) -> None:
        """Take over the configuration that came into force, or leave if it has no place for us."""
        core, replication = self._core, self.replication
        replication.update_members(core.log.last_index + 1)
        if not core.configuration.is_electable(core.id):
            self._leave()
            return
        transferee = self._transfer.to
        if transferee is not None and not core.configuration.is_electable(transferee):
            self._transfer.end(TransferOutcome.REMOVED)
        replication.try_commit()
        replication.nudge_all()
        self.rounds.confirm()

    def _leave(self) -> None:
        """Step down as one that is no voter, after telling others what is committed.

        The one that has most takes over at once, so that nobody has to miss a leader first.
        """
        core, peers = self._core, self.replication.peers.values()
        for peer in peers:
            if min(peer.match, core.commit) > peer.sent_commit:
                core.send(self.replication.heartbeat(peer, 0))
        # There is one: witnesses alone are no quorum of any configuration.
        heirs = [p for p in peers if core.configuration.is_electable(p.id)]
        heir = max(heirs, key=lambda peer: peer.match)
        core.send(TimeoutNow(heir.id, core.id, core.term))
        self._step_down(Cause.REMOVED)

    # --- answers

    @property
    def has_committed(self) -> bool:
        """Whether an entry of this term is committed: only then is the commit index up to date."""
        return self._core.commit >= self.first_index

    def on_heartbeat_response(self, message: HeartbeatResponse) -> None:
        """Take note that a follower hears us."""
        peer = self.replication.peer_of(message)
        if peer is not None:
            if message.round > self.rounds.latest:
                self._core.reject(message, "round never sent")
                return
            peer.heard_at = self._core.now
            self.replication.on_heartbeat_response(peer, message.round)
            self.rounds.answered()

    def on_snapshot_response(self, message: InstallSnapshotResponse) -> None:
        """Take note of how much of a snapshot a follower has."""
        peer = self.replication.peer_of(message)
        if peer is not None:
            peer.heard_at = self._core.now
            self.replication.on_snapshot_response(peer, message)

    # --- time

    def next_timeout(self) -> float | None:
        """Return when something is due, or None while the group sleeps."""
        if self._core.quiescent:
            return None
        due = self._heartbeat_due
        return min(due, self._quorum_due) if self._core.config.check_quorum else due

    def handle_timeout(self) -> None:
        """Do what is due."""
        core = self._core
        if core.quiescent:
            return
        if core.config.check_quorum and self._quorum_due <= core.now:
            self._quorum_due = self.replication.quorum_heard_at() + core.config.election_timeout
            if self._quorum_due <= core.now:
                self._step_down(Cause.QUORUM_LOST)
                return
        if self._heartbeat_due <= core.now:
            self._heartbeat_due = core.now + core.config.heartbeat_interval
            self.rounds.begin()
            self.rounds.confirm()
            if core.configuration.auto_leave:
                self.on_applied()

    def on_reload(self, before: Config) -> None:
        """Take over other intervals and windows."""
        core = self._core
        self._heartbeat_due = min(self._heartbeat_due, core.now + core.config.heartbeat_interval)
        self._quorum_due = self.replication.quorum_heard_at() + core.config.election_timeout
        self.replication.on_reload(before)

    # --- handing over

    def transfer(self, to: str, now: float) -> None:
        """Hand leadership to `to`, as soon as it has all entries (dissertation 3.10).

        Raises:
            TransferRefused: It can't lead.
        """
        core = self._core
        if to == core.id:
            raise TransferRefused("it leads already")
        if not core.configuration.is_electable(to):
            raise TransferRefused(f"{to} is not a voter that may lead")
        core.clock(now)
        if to == self._transfer.to:
            return
        self._transfer.begin(to)
        self.rounds.end_leases()
        peer = self.replication.peers[to]
        if peer.match == core.log.last_index:
            self._on_caught_up(peer)
        else:
            peer.probe_due = True
            self.replication.nudge(peer)

    def _on_caught_up(self, peer: Progress) -> None:
        """Tell the transferee to campaign once it has everything."""
        if peer.id == self._transfer.to:
            self._core.send(TimeoutNow(peer.id, self._core.id, self._core.term))

    # --- quiescence

    def quiesce(self) -> bool:
        """Put the group to sleep if everyone has and knows everything; return whether it sleeps."""
        core, peers = self._core, self.replication.peers.values()
        last = core.log.last_index
        idle = (
            core.applied == last
            and self._transfer.to is None
            and self._durability.is_idle
            and not core.configuration.is_joint
            and all(peer.state is REPLICATE and peer.match == last for peer in peers)
        )
        if idle and not core.quiescent:
            for peer in peers:
                peer.round_due = 0
                peer.sent_commit = last
                core.send(Heartbeat(peer.id, core.id, core.term, last, last, quiesce=True))
            core.quiescent = True
            core.emit(QuiescenceChanged(quiescent=True))
        return idle

    def wake(self) -> None:
        """Take up heartbeats again; nobody was to be heard meanwhile."""
        core = self._core
        for peer in self.replication.peers.values():
            peer.heard_at = core.now
        self._quorum_due = core.now + core.config.election_timeout
        self._heartbeat_due = core.now + core.config.heartbeat_interval
        self.rounds.begin()

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        core = self._core
        self.replication.check_invariants()
        assert core.log.term_at(self.first_index) in (core.term, None)
        assert self._backlog_size == sum(size for _, size in self._backlog)
        self.rounds.check_invariants(transferring=self._transfer.to is not None)
        assert all(
            peer.state is not PROBE or len(peer.ends) == 0
            for peer in self.replication.peers.values()
        )
