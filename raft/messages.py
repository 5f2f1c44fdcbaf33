"""What servers say to each other: one slotted class for each message, in the paper's words.

Owns the shapes. Knows nothing of bytes (`raft.codec`) or of what a message does to its receiver.
Messages are plain classes because they are made on the hottest paths; treat them as immutable.
Nothing checks the types of their fields: decoding has to (`raft.codec` does), and then any values
will do.

Every message has `to` and `source`, ids of servers, and `term`: the sender's term, except
- `RequestPreVote`, which carries the term that its sender would campaign in, and the grant of one,
  which repeats that;
- `Propose`, `ReadIndex` and `TransferLeadership`, which are requests of clients passed on by a
  follower and carry 0: no term makes them stale.

Names are the paper's, shorter where they stand in a message of their own: `prev_index` is its
prevLogIndex, `commit` its leaderCommit, `last_index` of a request for a vote its lastLogIndex,
`index` and `index_term` of a snapshot its lastIncludedIndex and lastIncludedTerm. An answer says
`rejected` where the paper's says not success, and `granted` for voteGranted.

Source: Raft paper figure 2 and figure 13; dissertation 3.10, 6.4 and 9.6; etcd-io/raft raft.proto.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, TypeAlias

from raft.entries import NO_ENTRIES, Entries
from raft.errors import Drop
from raft.membership.configuration import Configuration


class Refusal(Enum):
    """Why a vote was not granted; the member `NONE` stands for one that was."""

    NONE = ""
    STALE_TERM = "the voter is in a later term"
    VOTED = "the voter gave its vote to another"
    LOG = "the voter's log is more up to date"
    LEADER_ALIVE = "the voter hears from a leader"
    NOT_A_MEMBER = "the voter hears from a leader, whose configuration lacks the candidate"
    PRIORITY = "the voter has a higher priority"
    REGRESSED = "the voter lost a part of its log and may not vote"
    LEASE = "the voter restarted and may have promised a leader to be patient"


class _Message:
    """What all messages share: how they compare and print, for tests and traces."""

    __slots__ = ("source", "term", "to")

    #: Names of the fields in the order of the constructor.
    fields: ClassVar[tuple[str, ...]]

    to: str
    source: str
    term: int

    def __init_subclass__(cls) -> None:
        cls.fields = ("to", "source", "term", *cls.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({shown})"


class AppendEntries(_Message):
    """The leader's entries, and what they follow; without entries a probe.

    Attributes:
        prev_index: Index of the entry before them.
        prev_term: Its term.
        entries: The entries.
        commit: The leader's commit index.
    """

    __slots__ = ("prev_index", "prev_term", "entries", "commit")  # noqa: RUF023  # constructor's

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        prev_index: int,
        prev_term: int,
        entries: Entries = NO_ENTRIES,
        commit: int = 0,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.prev_index = prev_index
        self.prev_term = prev_term
        self.entries = entries
        self.commit = commit


class AppendEntriesResponse(_Message):
    """What a follower has, durably, or that it lacks what the entries follow.

    Attributes:
        rejected: Whether the log did not match.
        index: If accepted, the last index up to which the follower's durable log is the
            leader's; if rejected, the `prev_index` that didn't match.
        hint_index: If rejected, where the leader should look next: the follower's last index at
            or before `index` whose term is not above `prev_term`.
        hint_term: If rejected, the term of that entry; 0 if unknown.
        regressed: Whether the follower lost entries that it had acknowledged; then `index` is
            all that it has for sure.
    """

    __slots__ = ("rejected", "index", "hint_index", "hint_term", "regressed")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        rejected: bool,
        index: int,
        hint_index: int = 0,
        hint_term: int = 0,
        regressed: bool = False,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.rejected = rejected
        self.index = index
        self.hint_index = hint_index
        self.hint_term = hint_term
        self.regressed = regressed


class Heartbeat(_Message):
    """The leader is alive, and so much is committed of what the receiver has.

    Attributes:
        commit: At most what the receiver is known to have (or it would commit a conflict).
        match: What the receiver is known to have: it acknowledged that in this term. If it does
            not, it lost a part of its log.
        round: Number of the round of heartbeats within the term, which the answer repeats; 0 if
            no answer is wanted and only `commit` is news.
        quiesce: Whether the leader falls silent: the receiver stops its timer if it has
            everything.
    """

    __slots__ = ("commit", "match", "round", "quiesce")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        commit: int = 0,
        match: int = 0,
        round: int = 0,  # noqa: A002  # the field's name
        quiesce: bool = False,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.commit = commit
        self.match = match
        self.round = round
        self.quiesce = quiesce


class HeartbeatResponse(_Message):
    """A heartbeat was heard.

    Attributes:
        round: That of the heartbeat; 0 from a follower that wakes a quiescent leader.
    """

    __slots__ = ("round",)

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        round: int = 0,  # noqa: A002  # the field's name
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.round = round


class RequestVote(_Message):
    """A candidate asks for a vote. It leaves only when all that it claims is durable.

    Attributes:
        last_index: Index of the candidate's last entry.
        last_term: Its term.
        commit: The candidate's commit index.
        commit_term: Term of the entry there: the receiver commits it too if it has that entry.
        priority: The candidate's priority.
        transfer: Whether the leader asked for it: then its being alive is no objection.
    """

    __slots__ = (  # noqa: RUF023
        "last_index",
        "last_term",
        "commit",
        "commit_term",
        "priority",
        "transfer",
    )

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        last_index: int,
        last_term: int,
        commit: int = 0,
        commit_term: int = 0,
        priority: int = 0,
        transfer: bool = False,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.last_index = last_index
        self.last_term = last_term
        self.commit = commit
        self.commit_term = commit_term
        self.priority = priority
        self.transfer = transfer


class RequestVoteResponse(_Message):
    """An answer to `RequestVote`.

    Attributes:
        granted: Whether the vote was given.
        refusal: Why it was not.
        commit: The voter's commit index.
        commit_term: Term of the entry there.
    """

    __slots__ = ("granted", "refusal", "commit", "commit_term")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        granted: bool,
        refusal: Refusal = Refusal.NONE,
        commit: int = 0,
        commit_term: int = 0,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.granted = granted
        self.refusal = refusal
        self.commit = commit
        self.commit_term = commit_term


class RequestPreVote(_Message):
    """A server asks who would vote for it in the term `term`, in which it is not yet.

    Attributes:
        last_index: As in `RequestVote`, as all other fields.
        last_term: See there.
        commit: See there.
        commit_term: See there.
        priority: See there.
    """

    __slots__ = ("last_index", "last_term", "commit", "commit_term", "priority")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        last_index: int,
        last_term: int,
        commit: int = 0,
        commit_term: int = 0,
        priority: int = 0,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.last_index = last_index
        self.last_term = last_term
        self.commit = commit
        self.commit_term = commit_term
        self.priority = priority


class RequestPreVoteResponse(_Message):
    """An answer to `RequestPreVote`: a grant has the request's term, a refusal the voter's own.

    Attributes:
        granted: Whether the vote would be given.
        refusal: Why it would not.
        commit: The voter's commit index.
        commit_term: Term of the entry there.
    """

    __slots__ = ("granted", "refusal", "commit", "commit_term")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        granted: bool,
        refusal: Refusal = Refusal.NONE,
        commit: int = 0,
        commit_term: int = 0,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.granted = granted
        self.refusal = refusal
        self.commit = commit
        self.commit_term = commit_term


class InstallSnapshot(_Message):
    """A part of the leader's snapshot, for a follower that is behind the log's start.

    Attributes:
        index: Last index that the snapshot covers.
        index_term: Term of the entry there.
        configuration: The configuration in force there.
        configuration_index: Index of the entry that brought it.
        size: Bytes of the whole snapshot.
        checksum: CRC-32 of the whole snapshot.
        offset: Where the chunk begins.
        chunk: The bytes; fewer than the leader's chunk size only at the end.
    """

    __slots__ = (  # noqa: RUF023
        "index",
        "index_term",
        "configuration",
        "configuration_index",
        "size",
        "checksum",
        "offset",
        "chunk",
    )

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        index: int,
        index_term: int,
        configuration: Configuration,
        configuration_index: int,
        size: int,
        checksum: int,
        offset: int,
        chunk: bytes,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.index = index
        self.index_term = index_term
        self.configuration = configuration
        self.configuration_index = configuration_index
        self.size = size
        self.checksum = checksum
        self.offset = offset
        self.chunk = chunk


class InstallSnapshotResponse(_Message):
    """How much of a snapshot a follower has.

    That all of it is installed is told by an accepting `AppendEntriesResponse`.

    Attributes:
        index: That of the snapshot.
        offset: Bytes that the follower has from the beginning; where to go on.
        refused: Whether it can't take this snapshot at all (too large, damaged).
    """

    __slots__ = ("index", "offset", "refused")

    def __init__(
        self, to: str, source: str, term: int, index: int, offset: int, refused: bool = False
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.index = index
        self.offset = offset
        self.refused = refused


class TimeoutNow(_Message):
    """The leader asks the receiver to campaign at once: leadership is transferred to it."""

    __slots__ = ()

    def __init__(self, to: str, source: str, term: int) -> None:
        self.to = to
        self.source = source
        self.term = term


class TransferLeadership(_Message):
    """A follower passes on the wish that the leader hand over. Its term is 0.

    Attributes:
        transferee: Who shall lead.
    """

    __slots__ = ("transferee",)

    def __init__(self, to: str, source: str, term: int, transferee: str) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.transferee = transferee


class ReadIndex(_Message):
    """A follower asks up to where it must have applied to read. Its term is 0.

    Attributes:
        request: Number that the answer repeats; never used twice, not even by later lives.
    """

    __slots__ = ("request",)

    def __init__(self, to: str, source: str, term: int, request: int) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.request = request


class ReadIndexResponse(_Message):
    """The answer to `ReadIndex`.

    Attributes:
        request: That of the question.
        index: Reads are right once this is applied.
        refused: Whether the asked one can't tell.
    """

    __slots__ = ("request", "index", "refused")  # noqa: RUF023

    def __init__(
        self, to: str, source: str, term: int, request: int, index: int, refused: bool = False
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.request = request
        self.index = index
        self.refused = refused


class Propose(_Message):
    """A follower forwards proposals. Its term is 0.

    Attributes:
        request: Number that the answer repeats; never used twice, not even by later lives.
        payloads: What is proposed, in order.
    """

    __slots__ = ("request", "payloads")  # noqa: RUF023

    def __init__(
        self, to: str, source: str, term: int, request: int, payloads: tuple[bytes, ...]
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.request = request
        self.payloads = payloads


class ProposeResponse(_Message):
    """Where forwarded proposals stand in the leader's log, or why they don't.

    Attributes:
        request: That of the question.
        log_term: Term of their entries.
        first_index: Index of the first.
        reason: Why they were dropped, or None.
    """

    __slots__ = ("request", "log_term", "first_index", "reason")  # noqa: RUF023

    def __init__(
        self,
        to: str,
        source: str,
        term: int,
        request: int,
        log_term: int = 0,
        first_index: int = 0,
        reason: Drop | None = None,
    ) -> None:
        self.to = to
        self.source = source
        self.term = term
        self.request = request
        self.log_term = log_term
        self.first_index = first_index
        self.reason = reason


Message: TypeAlias = (
    AppendEntries
    | AppendEntriesResponse
    | Heartbeat
    | HeartbeatResponse
    | RequestVote
    | RequestVoteResponse
    | RequestPreVote
    | RequestPreVoteResponse
    | InstallSnapshot
    | InstallSnapshotResponse
    | TimeoutNow
    | TransferLeadership
    | ReadIndex
    | ReadIndexResponse
    | Propose
    | ProposeResponse
)

#: Every kind of message; the position is the number that the codec writes.
KINDS: tuple[type[Message], ...] = (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    RequestVote,
    RequestVoteResponse,
    RequestPreVote,
    RequestPreVoteResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    TimeoutNow,
    TransferLeadership,
    ReadIndex,
    ReadIndexResponse,
    Propose,
    ProposeResponse,
)
