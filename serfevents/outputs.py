"""Everything that a machine puts out: effects for the driver, events for the application.

Effects are imperatives and may fail; events are past tense. They come in one queue, in the order
in which things happened.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import frozen

from serfevents.members import Member
from serfevents.records import Address, Record

# --- effects ---------------------------------------------------------------------------------


class Kind(Enum):
    """What a broadcast is about; each kind has its own queue in Serf, drained in this order."""

    INTENT = "intent"
    QUERY = "query"
    EVENT = "event"


@frozen
class Broadcast:
    """Gossip `payload` to all members, as memberlist's user message.

    Report `broadcast_finished(number)` once it was sent often enough, was superseded or dropped:
    the queues' depths are counted by it.

    Attributes:
        number: For the report; unique in the machine's life.
        payload: The bytes.
        kind: What it is about.
        key: A later broadcast of the same key supersedes this one; None for none.
    """

    number: int
    payload: bytes
    kind: Kind
    key: str | None = None

    @property
    def priority(self) -> int:
        """0 for events, 1 for queries, 2 for intents: higher ones go first."""
        return _PRIORITIES[self.kind]


_PRIORITIES = {Kind.EVENT: 0, Kind.QUERY: 1, Kind.INTENT: 2}


@frozen
class SendReply:
    """Send `payload` to one member directly, best effort, as memberlist's user message.

    Attributes:
        to: Where to.
        name: Who lives there, as far as known; else empty.
        payload: The bytes.
    """

    to: Address
    name: str
    payload: bytes


@frozen
class UpdateMeta:
    """Announce new metadata, with memberlist's `update_meta`: our tags have changed."""

    meta: bytes


class KeyChange(Enum):
    """What is done to a keyring, in Serf's words."""

    INSTALL = "install-key"
    USE = "use-key"
    REMOVE = "remove-key"


@frozen
class ChangeKeyring:
    """Change our keyring, store it where it must last, then report `keyring_changed(number)`.

    The member that asked is told what the report says.

    Attributes:
        number: For the report.
        change: What to do.
        key: The key, raw.
    """

    number: int
    change: KeyChange
    key: bytes


@frozen
class Reconnect:
    """Try to join a failed member again, with memberlist's `join`; no report is wanted."""

    name: str
    address: Address


@frozen
class Rejoin:
    """Try to join the cluster of an earlier life, through one address after the other.

    Attributes:
        addresses: Members that were alive in the snapshot, shuffled.
    """

    addresses: tuple[Address, ...]


@frozen
class LeaveMembership:
    """Our leave intent was told: call memberlist's `leave`, then report `membership_left`."""


@frozen
class Remember:
    """Append a record to the snapshot, if one is kept."""

    record: Record


# --- events: members -------------------------------------------------------------------------


class Change(Enum):
    """What happened to members, under the names that Serf's event handlers know."""

    JOIN = "member-join"
    LEAVE = "member-leave"
    FAILED = "member-failed"
    UPDATE = "member-update"
    REAP = "member-reap"


@frozen
class MembersChanged:
    """The same happened to one or more members.

    Attributes:
        change: What.
        members: To whom, as they are now; one each unless changes are coalesced. Not empty.
    """

    change: Change
    members: tuple[Member, ...]


@frozen
class NameConflictSeen:
    """Another member of this name turned up at another address.

    Attributes:
        name: The disputed name.
        address: Where we know it; ours if the name is ours.
        other: Where the other one is.
        voting: Whether it is put to the vote now, as our own name.
    """

    name: str
    address: Address
    other: Address
    voting: bool


@frozen
class NameConflictDecided:
    """The vote over our own name is over.

    Attributes:
        kept: Whether we stay. True if nobody answered: silence is no verdict. If False, the
            machine is over: stop memberlist too, without leaving, since the name isn't ours.
        votes: Members that answered with an address.
        ours: How many of them believe it to be ours.
    """

    kept: bool
    votes: int
    ours: int


# --- events: user events and queries ---------------------------------------------------------


@frozen
class UserEventReceived:
    """A user event, of our own or another's, for the first time.

    Attributes:
        ltime: Its Lamport time; events of one member come in this order unless gossip overtook.
        name: What happened.
        payload: The application's bytes.
        coalesce: Whether only the newest of a name matters.
    """

    ltime: int
    name: str
    payload: bytes
    coalesce: bool


@frozen
class QueryReceived:
    """A question that concerns us, of our own or another's, for the first time.

    Attributes:
        query: Our number for it: `respond(query, payload)` answers it, once.
        ltime: Its Lamport time.
        id: The asker's number for it.
        name: What is asked.
        payload: The application's bytes.
        source: Who asks; empty from members that don't tell.
        deadline: Until when an answer is taken, seconds of the caller's clock.
    """

    query: int
    ltime: int
    id: int
    name: str
    payload: bytes
    source: str
    deadline: float


@frozen
class QueryAcknowledged:
    """A member said that our query arrived; once for each.

    Attributes:
        query: The number that `query` returned.
        source: Who said so.
    """

    query: int
    source: str


@frozen
class QueryAnswered:
    """A member answered our query; once for each.

    Attributes:
        query: The number that `query` returned.
        source: Who answered.
        payload: The answer.
    """

    query: int
    source: str
    payload: bytes


@frozen
class QueryFinished:
    """Our query is over: everyone expected has answered, or its time is up.

    Attributes:
        query: The number that `query` returned.
        expected: Members that it concerned and that are still there.
        acks: How many said that it arrived.
        responses: How many answered.
        complete: Whether nobody was missing at the end.
    """

    query: int
    expected: int
    acks: int
    responses: int
    complete: bool


# --- events: keys ----------------------------------------------------------------------------


@frozen
class KeysAnswered:
    """A key operation of ours is over: what the whole cluster said.

    Attributes:
        operation: The number that the command returned.
        name: What was asked: `install-key`, `use-key`, `remove-key` or `list-keys`.
        members: How many members there are.
        responses: How many answered.
        errors: How many of them failed.
        messages: Pairs of a member's name and what it remarked, in the order of arrival.
        keys: Pairs of a key (base64) and how many members have it.
        primary_keys: Pairs of a key (base64) and how many members encrypt with it.
    """

    operation: int
    name: str
    members: int
    responses: int
    errors: int
    messages: tuple[tuple[str, str], ...]
    keys: tuple[tuple[str, int], ...]
    primary_keys: tuple[tuple[str, int], ...]

    @property
    def error(self) -> str:
        """Why it didn't work everywhere, in Serf's words; empty if it did."""
        if self.errors:
            return f"{self.errors}/{self.members} nodes reported failure"
        if self.responses != self.members:
            return f"{self.responses}/{self.members} nodes reported success"
        return ""


class Stage(Enum):
    """How far a staged key rotation has come: what is to be done next."""

    INSTALL = "install"
    VERIFY_INSTALLED = "verify-installed"
    USE = "use"
    VERIFY_USED = "verify-used"
    REMOVE = "remove"
    VERIFY_REMOVED = "verify-removed"
    DONE = "done"


@frozen
class Rotation:
    """A key rotation as far as it has come: store it to resume, also elsewhere.

    Attributes:
        key: The new key, raw.
        stage: What is to be done next.
        old_keys: Keys that are to be removed, raw; known from `VERIFY_INSTALLED` on.
    """

    key: bytes
    stage: Stage = Stage.INSTALL
    old_keys: tuple[bytes, ...] = ()


@frozen
class RotationAdvanced:
    """A stage of the rotation is complete on every member; with `Stage.DONE` all of it."""

    rotation: Rotation


@frozen
class RotationStopped:
    """A stage failed: nothing more happens until `rotate_keys(rotation)` resumes it.

    Attributes:
        rotation: How far it came.
        reason: Why it stopped.
        result: What the cluster said; None if it was not asked.
    """

    rotation: Rotation
    reason: str
    result: KeysAnswered | None


# --- events: ourselves, and what was refused -------------------------------------------------


@frozen
class Left:
    """Our leave is complete: the machine is over until `rejoin`."""


@frozen
class PayloadRejected:
    """A payload, or a part of one, was dropped.

    Attributes:
        source: Where it came from, as given to the input.
        reason: A short stable word, also the key in `SerfEvents.stats.rejected`.
        detail: More for a person.
    """

    source: str | Address | None
    reason: str
    detail: str


Effect: TypeAlias = (
    Broadcast
    | SendReply
    | UpdateMeta
    | ChangeKeyring
    | Reconnect
    | Rejoin
    | LeaveMembership
    | Remember
)
Event: TypeAlias = (
    MembersChanged
    | NameConflictSeen
    | NameConflictDecided
    | UserEventReceived
    | QueryReceived
    | QueryAcknowledged
    | QueryAnswered
    | QueryFinished
    | KeysAnswered
    | RotationAdvanced
    | RotationStopped
    | Left
    | PayloadRejected
)
Output: TypeAlias = Effect | Event
