"""What can be asked about a machine: one immutable picture of everything that matters.

Owns the shapes and the words for why a follower does not advance. Knows nothing of rules.

Source: etcd-io/raft status.go.
"""

from __future__ import annotations

from attrs import frozen

from raft.membership.configuration import Configuration
from raft.outputs import Role
from raft.server.core import Core
from raft.server.leading import Leader
from raft.server.progress import PROBE, SNAPSHOT, Progress, ProgressState


@frozen
class PeerStatus:
    """A leader's view of one other member.

    Attributes:
        id: The member.
        match: Up to here its durable log is the leader's.
        next: Index of the next entry to send.
        state: How entries are sent.
        inflight: Unanswered messages with entries, and their bytes.
        inflight_size: Bytes of entries in them.
        silent_for: Seconds since it was last heard.
        is_learner: Whether it has no vote.
        waiting_for: Why it gets no entries right now; "" if nothing holds them up.
    """

    id: str
    match: int
    next: int
    state: ProgressState
    inflight: int
    inflight_size: int
    silent_for: float
    is_learner: bool
    waiting_for: str


@frozen
class Status:
    """One server's state, as a value.

    Attributes:
        id: The server.
        role: What it does.
        term: Latest term it has been in.
        voted_for: Whom it voted for in that term.
        leader: Who leads, as far as it knows.
        commit_index: Up to where its log is known to be committed.
        applied_index: Up to where it was handed out.
        durable_index: Up to where it is on disk.
        first_index: First entry in memory.
        last_index: Last entry.
        snapshot_index: What the last snapshot covers; 0 without one.
        configuration: The one in force.
        configuration_index: Index of the entry that brought it.
        regressed: Whether it lost entries and may not vote.
        quiescent: Whether the group sleeps.
        transferee: Whom leadership is being handed to.
        peers: The other members in order of ids; only a leader knows them.
    """

    id: str
    role: Role
    term: int
    voted_for: str | None
    leader: str | None
    commit_index: int
    applied_index: int
    durable_index: int
    first_index: int
    last_index: int
    snapshot_index: int
    configuration: Configuration
    configuration_index: int
    regressed: bool
    quiescent: bool
    transferee: str | None
    peers: tuple[PeerStatus, ...]


def peer_statuses(core: Core, leader: Leader | None) -> tuple[PeerStatus, ...]:
    """Return how far each other member is."""
    if leader is None:
        return ()
    return tuple(_peer_status(core, peer) for peer in leader.replication.peers.values())


def _peer_status(core: Core, peer: Progress) -> PeerStatus:
    """Return how far one member is."""
    return PeerStatus(
        peer.id,
        peer.match,
        peer.next,
        peer.state,
        len(peer.ends),
        peer.inflight_size,
        core.now - peer.heard_at,
        peer.id not in core.configuration.all_voters,
        _waiting_for(core, peer),
    )


def _waiting_for(core: Core, peer: Progress) -> str:
    """Return why a member gets no entries right now."""
    config = core.config
    if core.now - peer.heard_at >= config.election_timeout and not core.quiescent:
        return "it is not heard"
    if peer.state is SNAPSHOT:
        return f"{peer.sending.acked} of {peer.sending.size} bytes of a snapshot are there"
    if peer.state is PROBE and peer.paused:
        return "the answer to a probe"
    if len(peer.ends) >= config.inflight_messages_max:
        return "answers: too many messages are under way"
    if peer.inflight_size >= config.inflight_size_max:
        return "answers: too many bytes are under way"
    return ""
