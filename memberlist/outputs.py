"""Everything that a machine puts out: effects for the driver, events for the application.

Effects are imperatives and may fail; events are past tense and carry their evidence. They come
in one queue, in the order in which things happened.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import define, frozen

from memberlist.node import Address, Node

# --- effects ---------------------------------------------------------------------------------


@define
class SendDatagram:
    """Send one UDP packet. Not frozen only because it is the hottest output; never change it.

    Attributes:
        to: The receiver's address.
        data: At most `Config.datagram_size` bytes.
    """

    to: Address
    data: bytes


@frozen
class OpenStream:
    """Connect to `to` and report `stream_opened` or `stream_closed` for `stream`.

    Attributes:
        stream: Even number chosen by the machine.
        to: The receiver; for a seed the host may be a name that the driver resolves.
        timeout: Seconds after which the machine gives the stream up by itself.
    """

    stream: int
    to: Address
    timeout: float


@frozen
class SendStream:
    """Write `data` to the stream; with `eof`, close our direction after it."""

    stream: int
    data: bytes
    eof: bool = False


@frozen
class CloseStream:
    """Close the stream after what was written has gone out; nothing more will be read."""

    stream: int


# --- evidence --------------------------------------------------------------------------------


@frozen
class ProbeRecord:
    """What one probe tried, as evidence.

    Attributes:
        node: The member that was probed.
        sent_at: When the direct ping went out, in seconds of the caller's clock.
        ended_at: When the probe was given up or answered.
        helpers: Names of the members that were asked to ping it indirectly.
        nacks: How many of them said that they got no answer either.
        nacks_expected: How many could have said so.
        stream: The stream fallback ping: `off`, `pending`, `failed` or `answered`.
        health: Our own health score while it ran; 0 is healthy.
    """

    node: str
    sent_at: float
    ended_at: float
    helpers: tuple[str, ...]
    nacks: int
    nacks_expected: int
    stream: str
    health: int


@frozen
class Evidence:
    """Why a member is suspected or was declared dead.

    Attributes:
        suspected_by: Who said so first; our own name if our probe failed.
        confirmed_by: Who confirmed it independently, in order.
        since: When the suspicion began here, seconds of the caller's clock.
        timeout: Seconds that were allowed for a refutation, as of now.
        probe: Our own failed probe, if that began it.
        health: Our own health score at this moment.
    """

    suspected_by: str
    confirmed_by: tuple[str, ...]
    since: float
    timeout: float
    probe: ProbeRecord | None
    health: int


class BroadcastOutcome(Enum):
    """How a user broadcast ended.

    `SENT` as often as the retransmit limit asks, `SUPERSEDED` by a newer one of its key, or
    `DROPPED` because it still waited when we were gone.
    """

    SENT = "sent"
    SUPERSEDED = "superseded"
    DROPPED = "dropped"


@frozen
class SeedOutcome:
    """What became of one seed of a join.

    Attributes:
        seed: The address as it was given.
        joined: Whether a full exchange with it succeeded.
        reason: Empty when it did; else why not (`unreachable`, `timeout`, `refused`, the peer's
            own words, ...).
    """

    seed: Address
    joined: bool
    reason: str = ""


# --- events: members -------------------------------------------------------------------------


@frozen
class MemberJoined:
    """A member is alive that was unknown, dead or left before."""

    node: Node


@frozen
class MemberUpdated:
    """A member changed its metadata, its address or its versions."""

    node: Node
    previous: Node


@frozen
class MemberSuspected:
    """A member is suspected; it has `evidence.timeout` seconds to refute.

    It comes again for a newer incarnation: the member refuted elsewhere and is suspected anew.
    """

    node: Node
    evidence: Evidence


@frozen
class SuspicionConfirmed:
    """Another member suspects it too, which shortens the time that is left."""

    node: Node
    evidence: Evidence


@frozen
class MemberRefuted:
    """A suspected member announced itself anew: it is alive again.

    Attributes:
        node: The new record.
        suspected_for: Seconds that the suspicion lasted here.
    """

    node: Node
    suspected_for: float


@frozen
class MemberFailed:
    """A member was declared dead: by our timer, or by `declared_by`.

    Attributes:
        node: The record, in state dead.
        declared_by: Whose word it is; our own name if our suspicion timer ran out.
        evidence: The suspicion that preceded it here, if there was one.
    """

    node: Node
    declared_by: str
    evidence: Evidence | None


@frozen
class MemberLeft:
    """A member left on purpose."""

    node: Node


@frozen
class MemberForgotten:
    """A dead or left member was reaped from the table, `gossip_to_the_dead_time` later.

    Those that are in the table when we leave ourselves are forgotten without it.
    """

    node: Node


@frozen
class NodeRefused:
    """A member was not let in, or not changed.

    Attributes:
        node: The record that was announced.
        reason: A short stable word, also the key in `Memberlist.stats.rejected`: `bad-versions`,
            `meta-too-large`, `bad-address`, `address-not-allowed`, `table-full`,
            `name-too-large` or `not-accepted` (by `accept`).
    """

    node: Node
    reason: str


@frozen
class NameConflict:
    """Somebody announces a known name from another address; it was not believed.

    Attributes:
        existing: The member as we know it.
        other: The record that was announced.
    """

    existing: Node
    other: Node


@frozen
class AccusationRefuted:
    """Somebody holds us for suspect, dead or other than we are, and we answered.

    Attributes:
        accuser: Who said so (a name, or an address if the message named nobody).
        claim: `suspect`, `dead` or `alive` (with data that is not ours).
        incarnation: Our new incarnation.
    """

    accuser: str
    claim: str
    incarnation: int


# --- events: ourselves -----------------------------------------------------------------------


@frozen
class HealthChanged:
    """The local health score (Lifeguard's LHM) moved.

    Attributes:
        score: New score; 0 is healthy.
        previous: Score before.
        cause: `probe-answered`, `probe-failed`, `nack-missed`, `refuted` or `late`.
    """

    score: int
    previous: int
    cause: str


@frozen
class ProbeFailed:
    """A probe of ours got no answer by any way."""

    probe: ProbeRecord


@frozen
class JoinFinished:
    """A join has tried all of its seeds.

    Attributes:
        join: The number that `join` returned.
        contacted: With how many seeds states were exchanged.
        seeds: One outcome for each, in the order given.
    """

    join: int
    contacted: int
    seeds: tuple[SeedOutcome, ...]


@frozen
class MemberlistLeft:
    """Our leave has been told (or its time ran out): the machine is over until `rejoin`.

    Attributes:
        told: Whether the news was sent as often as the retransmit limit asks.
    """

    told: bool


# --- events: the application's traffic -------------------------------------------------------


@frozen
class MessageReceived:
    """A payload of another member's application: from a broadcast or a direct message.

    Attributes:
        source: Where the packet or stream came from: for a broadcast who passed it on, for a
            stream a port at which nobody listens.
        payload: The bytes.
        reliable: Whether it came on a stream.
    """

    source: Address
    payload: bytes
    reliable: bool


@frozen
class MessageDelivered:
    """A reliable message was written to its member's stream, and nothing was said against it.

    The protocol has no receipt: the member closes the stream once it has read the message, and a
    connection that breaks at that moment looks the same.
    """

    message: int
    to: str


@frozen
class MessageFailed:
    """A reliable message could not be delivered.

    Attributes:
        message: The number that `message` returned.
        to: The member's name.
        reason: `unreachable`, `timeout`, `left` (we did), the peer's own words, or why its answer
            could not be read.
    """

    message: int
    to: str
    reason: str


@frozen
class BroadcastFinished:
    """A user broadcast left the queue.

    Attributes:
        broadcast: The number that `broadcast` returned.
        outcome: How it ended.
        transmits: How often it was sent.
    """

    broadcast: int
    outcome: BroadcastOutcome
    transmits: int


@frozen
class UserStateReceived:
    """The application's state of another member, from a push/pull.

    Attributes:
        source: The other side of the stream.
        state: What its `user_state` supplied; never empty.
        join: Whether the exchange was part of a join, of ours or of theirs.
    """

    source: Address
    state: bytes
    join: bool


@define
class PingCompleted:
    """A direct ping was answered. Not frozen only because every probe ends in one.

    Attributes:
        ping: The number that `ping` returned, or None for the failure detector's own.
        node: The member's name.
        rtt: Seconds from sending to the answer.
        payload: What the member attached to its ack.
    """

    ping: int | None
    node: str
    rtt: float
    payload: bytes


@frozen
class PingFailed:
    """A manual ping was not answered in `Config.probe_timeout`."""

    ping: int
    node: str


# --- events: what was refused ----------------------------------------------------------------


@frozen
class PacketRejected:
    """A packet, or a part of one, was dropped.

    Attributes:
        source: Where it came from.
        reason: A short stable word, also the key in `Memberlist.stats.rejected`.
        detail: More for a person.
    """

    source: Address
    reason: str
    detail: str


@frozen
class StreamRejected:
    """A push/pull of ours, or a stream of somebody else's, ended without its exchange.

    How our reliable messages and fallback pings end is told by `MessageFailed` and the probe.

    Attributes:
        stream: Its number.
        source: The other side.
        reason: A short stable word, also the key in `Memberlist.stats.rejected`.
        detail: More for a person.
    """

    stream: int
    source: Address
    reason: str
    detail: str


@frozen
class MergeRefused:
    """A whole push/pull was not merged; `merge-refused` counts it in `Memberlist.stats.rejected`.

    Attributes:
        source: The other side of the stream.
        reason: What is wrong with the version ranges, or `not-accepted`: by `accept_merge`, which
            is asked about joins only.
    """

    source: Address
    reason: str


Effect: TypeAlias = SendDatagram | OpenStream | SendStream | CloseStream
Event: TypeAlias = (
    MemberJoined
    | MemberUpdated
    | MemberSuspected
    | SuspicionConfirmed
    | MemberRefuted
    | MemberFailed
    | MemberLeft
    | MemberForgotten
    | NodeRefused
    | NameConflict
    | AccusationRefuted
    | HealthChanged
    | ProbeFailed
    | JoinFinished
    | MemberlistLeft
    | MessageReceived
    | MessageDelivered
    | MessageFailed
    | BroadcastFinished
    | UserStateReceived
    | PingCompleted
    | PingFailed
    | PacketRejected
    | StreamRejected
    | MergeRefused
)
Output: TypeAlias = Effect | Event
