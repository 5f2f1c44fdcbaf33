"""The leader's side of replication: send each follower what it lacks, count what is stored.

Owns the followers' progress, what is sent to them and the commit rule. Knows nothing of when
heartbeats are due, of reads, or of changes.

Nothing is sent when it happens: a follower for which there is something new gets one intent in
the queue, and what is new when that is fetched goes out together. So a thousand proposals
between two polls are one message for each follower.

Source: Raft paper 5.3, 5.4.2 and figure 2 (rules for leaders); dissertation 10.2.1; etcd-io/raft
raft.go for the reactions to each answer.
"""

from __future__ import annotations

from collections.abc import Callable

from raft.config import Config
from raft.entries import NO_ENTRIES, Entries
from raft.membership.quorum import INFINITY, majority_reached
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
)
from raft.outputs import SendMessage
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability
from raft.server.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from raft.server.snapshot_sending import SnapshotSending


def _window(config: Config) -> tuple[int, int, int]:
    """Return what limits how much may be under way to one follower."""
    return config.inflight_messages_max, config.inflight_size_max, config.append_size_max


class Replication:
    """Brings the followers' logs to where ours is; one object for each leadership.

    Args:
        core: The machine's common ground.
        durability: What of our own log is durable.
        applying: Who is told what is committed.
        caught_up: Called when a follower acknowledged our last entry.

    Attributes:
        peers: The progress of every other member, in order of ids.
    """

    __slots__ = (
        "_applying",
        "_caught_up",
        "_core",
        "_departed",
        "_durability",
        "_halves",
        "_render",
        "peers",
    )

    def __init__(
        self,
        core: Core,
        durability: Durability,
        applying: Applying,
        caught_up: Callable[[Progress], None],
    ) -> None:
        self._core = core
        self._durability = durability
        self._applying = applying
        self._caught_up = caught_up
        self._render = self._render_next
        self.peers: dict[str, Progress] = {}
        # Members that the configuration in force removed and that may not know yet.
        self._departed: dict[str, Progress] = {}
        # The other voters of each half that has voters, and whether we are one of that half.
        self._halves: list[tuple[list[Progress], bool]] = []
        self.update_members(core.log.last_index + 1)

    # --- members

    def update_members(self, next_index: int) -> None:
        """Take over the configuration in force; members that it lacks are told so."""
        core = self._core
        configuration, before = core.configuration, self.peers
        self.peers = {}
        for member in configuration.members:
            if member == core.id:
                continue
            peer = before.pop(member, None)
            if peer is None:
                peer = Progress(member, next_index, core.now)
                peer.intent = (self._render, peer)
            peer.is_witness = member in configuration.witnesses
            self.peers[member] = peer
        self._halves = [
            ([self.peers[voter] for voter in half if voter != core.id], core.id in half)
            for half in (configuration.voters, configuration.voters_outgoing)
            if half
        ]
        self._departed = before
        for peer in list(before.values()):
            peer.gone = True
            self._say_goodbye(peer, peer.match)

    def stop(self) -> None:
        """Send nothing more: leadership has ended."""
        for peer in self.peers.values():
            peer.gone = True

    # --- what a quorum has

    def committed_index(self) -> int:
        """Return the highest index that a quorum has durably; our own log counts if it is so."""
        reached = INFINITY
        for peers, include_own in self._halves:
            indexes = [peer.match for peer in peers]
            if include_own:
                indexes.append(self._durability.index)
            index = majority_reached(indexes)
            if index < reached:  # noqa: PLR1730  # on the hottest path, `min` is a call too many
                reached = index
        return reached

    def quorum_round(self) -> int:
        """Return the latest round of heartbeats that a quorum has answered."""
        reached = INFINITY
        for peers, include_own in self._halves:
            rounds = [peer.round for peer in peers]
            if include_own:
                rounds.append(INFINITY)
            reached = min(reached, majority_reached(rounds))
        return reached

    def quorum_heard_at(self) -> float:
        """Return since when no quorum was heard, seconds."""
        reached = self._core.now
        for peers, include_own in self._halves:
            times = [peer.heard_at for peer in peers]
            if include_own:
                times.append(self._core.now)
            reached = min(reached, majority_reached(times))
        return reached

    def try_commit(self) -> None:
        """Commit what a quorum has, if its last entry is of our own term (paper 5.4.2).

        Entries of earlier terms are committed along with it, never by being counted: another
        leader could still replace them (figure 8).
        """
        core = self._core
        index = self.committed_index()
        if index > core.commit and core.log.term_at(index) == core.term:
            self._applying.commit(index)
            for peer in self.peers.values():
                if peer.sent_commit < peer.match:
                    self.nudge(peer)

    # --- sending

    def nudge(self, peer: Progress) -> None:
        """Have sent what is new for a follower, once."""
        if not peer.queued:
            peer.queued = True
            self._core.outputs.append(peer.intent)

    def nudge_all(self) -> None:
        """Have sent what is new to every follower that can take it now."""
        outputs = self._core.outputs
        for peer in self.peers.values():
            if not peer.queued:
                peer.queued = True
                outputs.append(peer.intent)

    def _render_next(self, peer: Progress) -> SendMessage | None:
        """Return the next message to a follower, or None if there is nothing it can take."""
        if peer.gone:
            return None
        core = self._core
        if peer.round_due:
            round_due, peer.round_due = peer.round_due, 0
            core.outputs.appendleft(peer.intent)
            return SendMessage(self.heartbeat(peer, round_due))
        message: AppendEntries | InstallSnapshot | None
        if peer.state is REPLICATE:
            is_new = peer.next <= core.log.last_index or peer.probe_due
            message = self._next_entries(peer) if is_new else None
        elif peer.state is PROBE:
            message = self._next_probe(peer)
        else:
            message = peer.sending.next_chunk(peer.id, core.id, core.term)
        if message is None:
            peer.queued = False
            if peer.sent_commit < core.commit and peer.sent_commit < peer.match:
                return SendMessage(self.heartbeat(peer, 0))
            return None
        if peer.next <= core.log.last_index or peer.state is SNAPSHOT:
            core.outputs.appendleft(peer.intent)
        else:
            peer.queued = False
        return SendMessage(message)

    def heartbeat(self, peer: Progress, round_due: int) -> Heartbeat:
        """Return a heartbeat, with what is committed of what the follower has, and no more."""
        core = self._core
        commit = core.commit
        if commit > peer.match:  # noqa: PLR1730  # hot
            commit = peer.match
        if commit > peer.sent_commit:  # noqa: PLR1730  # hot
            peer.sent_commit = commit
        return Heartbeat(peer.id, core.id, core.term, commit, peer.match, round_due)

    def _next_entries(self, peer: Progress) -> AppendEntries | InstallSnapshot | None:
        """Return the next entries behind those that are under way, as far as there is room."""
        log, config = self._core.log, self._core.config
        first, last = peer.next, log.last_index
        if (
            first <= last
            and peer.inflight_size < config.inflight_size_max
            and len(peer.ends) < config.inflight_messages_max
        ):
            if first <= log.base_index:
                return self._begin_snapshot(peer)
            entries = log.entries_within(
                first, last, config.append_entries_max, config.append_size_max
            )
            message = self._append_message(peer, entries)
            peer.sent(first + len(entries.payloads) - 1, entries.size)
            return message
        if not peer.probe_due:
            return None
        # Full of what may be lost: something without entries can still find that out.
        return self._begin_snapshot(peer) if first <= log.base_index else self._append_message(peer)

    def _next_probe(self, peer: Progress) -> AppendEntries | InstallSnapshot | None:
        """Return entries, or none if there are none, to find out where the logs agree."""
        log, config = self._core.log, self._core.config
        first, last = peer.next, log.last_index
        if peer.paused or (first > last and not peer.probe_due and peer.match == first - 1):
            return None
        if first <= log.base_index:
            return self._begin_snapshot(peer)
        entries = NO_ENTRIES
        if first <= last:
            entries = log.entries_within(
                first, last, config.append_entries_max, config.append_size_max
            )
        peer.paused = True
        return self._append_message(peer, entries)

    def _append_message(self, peer: Progress, entries: Entries = NO_ENTRIES) -> AppendEntries:
        """Return a message with entries behind what the follower has or is sent."""
        core = self._core
        prev, commit = peer.next - 1, core.commit
        prev_term = core.log.term_at(prev)
        assert prev_term is not None
        peer.probe_due = False
        told = prev + len(entries.payloads)
        if told > commit:  # noqa: PLR1730  # hot
            told = commit
        if told > peer.sent_commit:  # noqa: PLR1730  # hot
            peer.sent_commit = told
        if peer.is_witness:
            entries = entries.without_payloads()
        return AppendEntries(peer.id, core.id, core.term, prev, prev_term, entries, commit)

    # --- snapshots

    def _begin_snapshot(self, peer: Progress) -> InstallSnapshot | None:
        """Send the snapshot to a follower whose next entry is compacted, if it is there."""
        core, snapshot = self._core, self._core.snapshot
        assert snapshot is not None
        if core.now - peer.heard_at >= core.config.election_timeout:
            return None
        core.stats.snapshots_sent += 1
        sending = SnapshotSending(snapshot, core.config, core.now, is_witness=peer.is_witness)
        peer.send_snapshot(sending, snapshot.index)
        peer.sent_commit = max(peer.sent_commit, snapshot.index)
        return sending.next_chunk(peer.id, core.id, core.term)

    def on_snapshot_response(self, peer: Progress, message: InstallSnapshotResponse) -> None:
        """Go on behind what the follower has of the snapshot."""
        if peer.state is not SNAPSHOT or peer.sending.index != message.index:
            return
        if message.refused:
            self.snapshot_failed(peer)
        elif peer.sending.acknowledged(message.offset, self._core.now):
            self.nudge(peer)

    def snapshot_failed(self, peer: Progress) -> None:
        """Give a snapshot up; the next heartbeat that is answered begins anew."""
        if peer.state is SNAPSHOT:
            peer.probe()
            peer.paused = True

    # --- answers

    def on_append_response(self, message: AppendEntriesResponse) -> None:
        """Learn what a follower has, or where to look for where the logs agree."""
        core, peer = self._core, self.peers.get(message.source) or self.peer_of(message)
        if peer is None:
            return
        index = message.index
        if not 0 <= index <= core.log.last_index:
            core.reject(message, "index beyond the log")
            return
        peer.heard_at = core.now
        if message.rejected:
            self._on_rejection(peer, message)
            return
        if peer.acknowledged(index) and index > core.commit:
            self.try_commit()
        if peer.state is not REPLICATE:
            self._leave_state(peer, index)
        if peer.gone:
            return  # What was committed by this ended our leadership.
        last = core.log.last_index
        if not peer.queued and (
            peer.next <= last or (peer.sent_commit < core.commit and peer.sent_commit < peer.match)
        ):
            self.nudge(peer)
        if peer.match == last:
            self._caught_up(peer)

    def _leave_state(self, peer: Progress, index: int) -> None:
        """Replicate to a follower that has what was asked for, or enough of it.

        It has enough of a snapshot if entries can go on, or a newer snapshot.
        """
        base = self._core.log.base_index
        if peer.state is PROBE:
            if index == peer.match:
                peer.replicate()
        elif peer.match >= base or peer.match >= peer.sending.index:
            peer.replicate()

    def peer_of(
        self, message: AppendEntriesResponse | HeartbeatResponse | InstallSnapshotResponse
    ) -> Progress | None:
        """Return the progress of who answers, or reject the answer of a stranger."""
        peer = self.peers.get(message.source)
        if peer is None:
            peer = self._departed.get(message.source)
            if peer is None:
                self._core.reject(message, "answer of a stranger")
            elif isinstance(message, AppendEntriesResponse) and not message.rejected:
                self._say_goodbye(peer, message.index)
            return None
        return peer

    def _say_goodbye(self, peer: Progress, match: int) -> None:
        """Tell a removed member that it is, if it has the entry, so that it doesn't campaign."""
        peer.match = max(peer.match, match)
        if peer.match >= self._core.configuration_index:
            self._departed.pop(peer.id, None)
            self._core.send(self.heartbeat(peer, 0))

    def _on_rejection(self, peer: Progress, message: AppendEntriesResponse) -> None:
        """Look further back."""
        log = self._core.log
        if message.regressed:
            peer.regressed(message.index)
            self.nudge(peer)
            return
        hint = message.hint_index
        if message.hint_term:
            hint, _ = log.last_not_above(hint, message.hint_term)
        if peer.state is not SNAPSHOT and peer.rejected(message.index, hint):
            self.nudge(peer)

    def on_heartbeat_response(self, peer: Progress, round_heard: int) -> None:
        """Find out about what may have been lost."""
        peer.round = max(peer.round, round_heard)
        if peer.state is SNAPSHOT:
            if peer.sending.retry(self._core.now):
                self.nudge(peer)
            return
        peer.paused = False
        if peer.match < self._core.log.last_index:
            peer.probe_due = True
            self.nudge(peer)

    def on_reload(self, before: Config) -> None:
        """Take over other limits: who has more under way than may be now is probed anew."""
        config = self._core.config
        if _window(config) != _window(before):
            for peer in self.peers.values():
                full = peer.inflight_size >= config.inflight_size_max
                if peer.state is REPLICATE and (
                    full or len(peer.ends) > config.inflight_messages_max
                ):
                    peer.probe()
        self.nudge_all()

    def unreachable(self, peer: Progress) -> None:
        """Send no more behind what may be lost."""
        if peer.state is REPLICATE:
            peer.probe()

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        core = self._core
        assert list(self.peers) == [m for m in core.configuration.members if m != core.id]
        for peer in self.peers.values():
            peer.check_invariants()
            assert not peer.gone
            assert peer.next <= core.log.last_index + 1 or peer.state is SNAPSHOT
            assert peer.match <= core.log.last_index
            config = core.config
            assert len(peer.ends) <= config.inflight_messages_max
            assert not peer.ends or peer.inflight_size_before_last < config.inflight_size_max
