"""Everything that a machine puts out: effects for the driver, events for the application.

Effects are imperatives; events are past tense. They come in one queue, in the order in which
things happened. `SendMessage`, `Persist` and `EntriesCommitted` are built when they are fetched,
from all that is new then, so that what happens between two polls travels together; they are
plain slotted classes, because they are made on the hottest paths: never change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias

from attrs import frozen

from raft.entries import Entries, LogIds
from raft.errors import Drop
from raft.membership.configuration import Configuration
from raft.messages import Message, Refusal
from raft.stored import HardState, Snapshot


class Role(Enum):
    """What a server does (paper figure 4; pre-candidates are of dissertation 9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


# --- effects ---------------------------------------------------------------------------------


class SendMessage:
    """Send `message` to the server that `message.to` names; it may be lost.

    Nothing needs to be written first: what depends on that comes out only after `persisted`.
    """

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message

    @property
    def to(self) -> str:
        """Whom to send it to."""
        return self.message.to

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SendMessage) and self.message == other.message

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"SendMessage({self.message!r})"


class Persist:
    """Write this, durably, and report `persisted(seq)`.

    `Persist`s reach the disk in order. Any number may be written at once and reported by the
    last one's `seq`. A server that can't write has to stop: never report what was not done.

    Attributes:
        seq: Rises by one from each to the next, the first is 1.
        hard_state: Replaces the one written before.
        snapshot: If not None, replaces the one written before, and entries up to its index are
            no longer needed. Write it before the entries.
        entries: Replace everything from `entries.first_index` on; if there are none, the log
            stays as it is, unless `truncate_from` is set.
        truncate_from: If above 0, entries at this index and behind it are to be removed first.
    """

    __slots__ = ("entries", "hard_state", "seq", "snapshot", "truncate_from")

    def __init__(
        self,
        seq: int,
        hard_state: HardState,
        entries: Entries,
        snapshot: Snapshot | None = None,
        truncate_from: int = 0,
    ) -> None:
        self.seq = seq
        self.hard_state = hard_state
        self.entries = entries
        self.snapshot = snapshot
        self.truncate_from = truncate_from

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Persist) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        more = f", snapshot={self.snapshot!r}" if self.snapshot is not None else ""
        more += f", truncate_from={self.truncate_from}" if self.truncate_from else ""
        return f"Persist({self.seq}, {self.hard_state!r}, {self.entries!r}{more})"


# --- events: the log -------------------------------------------------------------------------


class EntriesCommitted:
    """Entries are committed, and durable here: apply them, in order.

    Each index comes once, without gaps, beginning behind `Stored.applied` or the snapshot that
    was installed last; a proposal's outcome is known when its `LogId` comes.

    A witness has nothing to apply, and needs no application: what are commands elsewhere are
    empty entries there.

    Attributes:
        entries: All of them; `commands()` has what is the application's.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Entries) -> None:
        self.entries = entries

    def commands(self) -> Iterable[tuple[int, bytes]]:
        """Return index and payload of each of the application's entries."""
        return self.entries.commands()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntriesCommitted) and self.entries == other.entries

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"EntriesCommitted({self.entries!r})"


@frozen
class SnapshotInstalled:
    """A leader's snapshot is durable here: replace the application's state by it."""

    snapshot: Snapshot


@frozen
class ProposalsLost:
    """Other entries are committed in the places of some that this server proposed as leader.

    They will never take effect: propose them again if that is wanted.

    Attributes:
        ids: Which; consecutive, of one term.
    """

    ids: LogIds


@frozen
class ProposalsExpired:
    """Entries that this server proposed as leader disappeared behind another's snapshot.

    Whether they were committed can't be told from the log any more: sessions tell.

    Attributes:
        ids: Which; consecutive, of one term.
    """

    ids: LogIds


class Outcome(Enum):
    """How something ended that this server asked for."""

    COMMITTED = "committed"
    """It took effect."""
    DROPPED = "dropped"
    """It never began and never will."""
    LOST = "lost"
    """It began, and was replaced by another leader's entries: it will never take effect."""
    EXPIRED = "expired"
    """No answer came in time: it may or may not take effect."""


@frozen
class ForwardFinished:
    """A forwarded batch of proposals has its outcome; after `EntriesCommitted` if committed.

    Attributes:
        request: What `forward` returned.
        outcome: How it ended.
        ids: Where the batch stands in the log, if that is known.
        reason: Why it was dropped.
        leader: Who leads as far as is known.
    """

    request: int
    outcome: Outcome
    ids: LogIds | None = None
    reason: Drop | None = None
    leader: str | None = None


@frozen
class LogRegression:
    """This server lost entries that it had acknowledged: its disk did not keep its word.

    It goes on receiving entries, and neither votes nor campaigns until its cluster has made it a
    learner (or removed it) and a voter again, or forever if it is replaced by another id. In the
    term in which it is readmitted it never votes. A vote that it lost of a still later term it
    could give twice: only a new id is safe against that.

    Attributes:
        last_index: The last entry that is here.
        expected_index: What it must have had at least.
    """

    last_index: int
    expected_index: int


# --- events: reads ---------------------------------------------------------------------------


class ReadFailure(Enum):
    """Why a read has no answer; it can be repeated."""

    NO_LEADER = "no leader is known"
    LEADER_CHANGED = "the leader changed meanwhile"
    REFUSED = "the asked leader could not tell"
    EXPIRED = "no quorum answered in time"


@frozen
class ReadReady:
    """A read may be answered now from the application's state: it shows all that it must.

    It comes after every `EntriesCommitted` that the read depends on.

    Attributes:
        read: What `read` returned.
        index: The read is linearizable with everything applied up to here.
    """

    read: int
    index: int


@frozen
class ReadFailed:
    """A read could not be confirmed.

    Attributes:
        read: What `read` returned.
        reason: Why.
        leader: Who leads as far as is known.
    """

    read: int
    reason: ReadFailure
    leader: str | None = None


# --- events: roles, members ------------------------------------------------------------------


class Cause(Enum):
    """Why a role changed."""

    TIMEOUT = "no leader was heard in time"
    CAMPAIGN = "the application asked"
    TRANSFER = "the leader handed over"
    PRE_VOTE_WON = "a quorum would vote"
    ELECTION_WON = "a quorum voted"
    ELECTION_LOST = "a quorum can no longer be had"
    HIGHER_TERM = "a message of a later term came"
    LEADER_HEARD = "a leader of this term was heard"
    QUORUM_LOST = "no quorum was heard in time"
    REMOVED = "the configuration gives it no vote"
    STEPPED_DOWN = "the application asked it to step down"
    FORCED = "the configuration was forced"


@frozen
class RoleChanged:
    """This server changed its role.

    Attributes:
        role: The new one.
        previous: The old one.
        term: The term it is in now.
        cause: Why.
    """

    role: Role
    previous: Role
    term: int
    cause: Cause


@frozen
class LeaderChanged:
    """Another leader is known, or none.

    Attributes:
        leader: Its id, or None.
        term: The term it leads.
    """

    leader: str | None
    term: int


@frozen
class ElectionFailed:
    """A campaign of this server won no quorum; the next follows by itself.

    Attributes:
        term: The term that it campaigned for.
        pre_vote: Whether it only asked who would vote.
        refusals: Who refused and why, in order of ids. `Refusal.NOT_A_MEMBER` is a hint that
            this server was removed and did not hear of it.
    """

    term: int
    pre_vote: bool
    refusals: tuple[tuple[str, Refusal], ...]


@frozen
class ConfigurationChanged:
    """A configuration came into force: its entry is committed and handed out, or a snapshot's.

    It comes before the `EntriesCommitted` of later entries, and after that of earlier ones.

    Attributes:
        configuration: The new one.
        previous: The old one.
        index: Of the entry that brought it.
        context: What the application gave with the change; b"" from a snapshot.
    """

    configuration: Configuration
    previous: Configuration
    index: int
    context: bytes = b""


class TransferOutcome(Enum):
    """How a transfer of leadership ended."""

    COMPLETED = "another leads"
    EXPIRED = "the transferee did not take over in time"
    REMOVED = "the transferee is no longer a voter"
    REPLACED = "another transferee was named"
    STEPPED_DOWN = "leadership ended otherwise"


@frozen
class TransferFinished:
    """A transfer of leadership that was asked of this leader has ended.

    Attributes:
        to: The transferee.
        outcome: How.
    """

    to: str
    outcome: TransferOutcome


@frozen
class BacklogDrained:
    """Proposals that this leader dropped as too many were under way would now be taken."""


@frozen
class QuiescenceChanged:
    """This server fell silent, or woke."""

    quiescent: bool


@frozen
class MessageRejected:
    """A message was not taken, and changed nothing.

    Attributes:
        source: Whom it names as its sender.
        kind: The message's class.
        reason: Why, in a few words that don't vary: a key of `Stats.rejected`.
    """

    source: str
    kind: str
    reason: str


Effect: TypeAlias = SendMessage | Persist
Event: TypeAlias = (
    EntriesCommitted
    | SnapshotInstalled
    | ReadReady
    | ReadFailed
    | RoleChanged
    | LeaderChanged
    | ConfigurationChanged
    | ElectionFailed
    | ProposalsLost
    | ProposalsExpired
    | ForwardFinished
    | TransferFinished
    | LogRegression
    | BacklogDrained
    | QuiescenceChanged
    | MessageRejected
)
Output: TypeAlias = Effect | Event
