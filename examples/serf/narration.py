"""What the log says of the composite's events, in Serf's words where Serf has some.

Source: the messages of serf's serf.go and memberlist's state.go, net.go.
"""

from __future__ import annotations

from examples.serf.agent import NotSent
from examples.serf.journal import Journal
from memberlist import (
    AccusationRefuted,
    HealthChanged,
    MemberFailed,
    MemberRefuted,
    MemberSuspected,
    MergeRefused,
    NodeRefused,
    PacketRejected,
    ProbeFailed,
    StreamRejected,
)
from serfevents import (
    Change,
    MembersChanged,
    NameConflictDecided,
    NameConflictSeen,
    PayloadRejected,
)

WORDS = {
    Change.JOIN: "EventMemberJoin",
    Change.LEAVE: "EventMemberLeave",
    Change.FAILED: "EventMemberFailed",
    Change.UPDATE: "EventMemberUpdate",
    Change.REAP: "EventMemberReap",
}


def narrate(event: object, journal: Journal) -> None:  # noqa: C901, PLR0912 - a table
    """Say what happened, if that is worth a line."""
    match event:
        case MembersChanged(change, members):
            for member in members:
                journal.info("serf", f"{WORDS[change]}: {member.name} {member.address[0]}")
        case MemberSuspected(node):
            journal.info("memberlist", f"Suspect {node.name} has failed, no acks received")
        case MemberRefuted(node, seconds):
            journal.info("memberlist", f"{node.name} is alive after all, {seconds:.1f} s later")
        case MemberFailed(node, declared_by, evidence):
            others = 0 if evidence is None else len(evidence.confirmed_by)
            text = f"Marking {node.name} as failed, suspect timeout reached ({others} peer "
            journal.info("memberlist", f"{text}confirmations), says {declared_by}")
        case ProbeFailed(probe):
            journal.debug("memberlist", f"Failed ping: {probe.node} (timeout reached)")
        case AccusationRefuted(accuser, claim):
            journal.warn("memberlist", f"Refuting a {claim} message (from: {accuser})")
        case HealthChanged(score, previous, cause):
            journal.debug("memberlist", f"health score {previous} -> {score}: {cause}")
        case NodeRefused(node, reason):
            journal.warn("memberlist", f"ignoring {node.name}: {reason}")
        case PacketRejected(source, reason, detail) | StreamRejected(_, source, reason, detail):
            journal.error("memberlist", f"{reason}: {detail} from={source[0]}:{source[1]}")
        case MergeRefused(source, reason):
            journal.error("memberlist", f"merge refused: {reason} from={source[0]}:{source[1]}")
        case NameConflictSeen(name, address, other, _):
            text = f"Name conflict for '{name}' both {address[0]}:{address[1]} and"
            journal.warn("serf", f"{text} {other[0]}:{other[1]} are claiming")
        case NameConflictDecided(kept, votes, ours):
            verdict = "majority" if kept else "minority"
            text = f"{verdict} in name conflict resolution [{ours} / {votes}]"
            (journal.info if kept else journal.error)("serf", text)
        case PayloadRejected(source, reason, detail):
            journal.warn("serf", f"{reason}: {detail} from={source}")
        case NotSent(payload, reason):
            journal.warn("serf", f"could not send {len(payload)} bytes: {reason}")
