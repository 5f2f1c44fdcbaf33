"""What every part of one machine shares: the state of the paper's figure 2, and the outputs.

Owns the queue of outputs, and what is remembered of time and leader. Knows nothing of rules.

The queue holds outputs and intents. An intent is a pair of a function and its argument, which
makes the output when it is fetched, from the state of that moment; it returns None if there is
nothing to put out any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from raft.arguments import TIME_MAX
from raft.config import Config
from raft.membership.configuration import Configuration
from raft.messages import Message
from raft.outputs import LeaderChanged, MessageRejected, Output, Role, SendMessage
from raft.server.log import Log
from raft.stats import Stats
from raft.stored import Snapshot

Intent: TypeAlias = tuple[Callable[[Any], Output | None], Any]


class Core:
    """The common ground of a machine's parts; in brackets, what the paper's figure 2 calls it.

    Attributes:
        id: Our own.
        config: How we behave.
        rng: The only source of chance.
        now: Newest time that any input gave, seconds; it never goes back.
        term: Latest term we have been in (currentTerm). Persistent.
        voted_for: Whom we voted for in it (votedFor). Persistent.
        regressed: Whether we lost acknowledged entries. Persistent.
        log: The entries. Persistent.
        snapshot: The last snapshot. Persistent.
        commit: Index up to which the log is known to be committed (commitIndex).
        applied: Index up to which it was handed out (lastApplied). Invariant: applied <= commit.
        configuration: That of `applied`; it decides who votes and who is sent entries.
        configuration_index: Index of the entry that brought it.
        role: What we do.
        leader: Who leads the term, as far as is known.
        leader_heard_at: When that leader was last heard, seconds.
        quiescent: Whether the group sleeps: no heartbeats, no timers.
        outputs: Not yet fetched outputs and intents, oldest first.
        stats: The machine's counters.
    """

    __slots__ = (
        "_handle",
        "_leader_changed",
        "_request",
        "applied",
        "commit",
        "config",
        "configuration",
        "configuration_index",
        "id",
        "leader",
        "leader_heard_at",
        "log",
        "now",
        "outputs",
        "quiescent",
        "regressed",
        "rng",
        "role",
        "snapshot",
        "stats",
        "term",
        "voted_for",
    )

    def __init__(
        self,
        own_id: str,
        config: Config,
        rng: Random,
        now: float,
        leader_changed: Callable[[str | None], None],
    ) -> None:
        self.id = own_id
        self.config = config
        self.rng = rng
        self.now = now
        self.term = 0
        self.voted_for: str | None = None
        self.regressed = False
        self.log = Log()
        self.snapshot: Snapshot | None = None
        self.commit = 0
        self.applied = 0
        self.configuration = Configuration()
        self.configuration_index = 0
        self.role = Role.FOLLOWER
        self.leader: str | None = None
        self.leader_heard_at = now
        self.quiescent = False
        self.outputs: deque[Output | Intent] = deque()
        self.stats = Stats()
        self._leader_changed = leader_changed
        # Answers to what a former life asked may still come: begin where it hardly was.
        self._handle = self._request = rng.getrandbits(48)

    def clock(self, now: float) -> None:
        """Take note of the time, which never goes back.

        Raises:
            ValueError: It is none.
        """
        if not now <= self.now:  # so that what is no number is refused, too
            if not now <= TIME_MAX:
                raise ValueError(f"time must be within {TIME_MAX:.0e} seconds, not {now}")
            self.now = now

    def emit(self, output: Output) -> None:
        """Queue one output."""
        self.outputs.append(output)

    def send(self, message: Message) -> None:
        """Queue a message that depends on nothing durable."""
        self.outputs.append(SendMessage(message))

    def reject(self, message: Message, reason: str) -> None:
        """Drop a message: count it and say why."""
        self.stats.reject(reason)
        source = getattr(message, "source", "")
        self.outputs.append(MessageRejected(source, type(message).__name__, reason))

    def follow(self, leader: str | None) -> None:
        """Note who leads, and say so if that is news."""
        if leader != self.leader:
            self.leader = leader
            self.outputs.append(LeaderChanged(leader, self.term))
            self._leader_changed(leader)

    def next_handle(self) -> int:
        """Return a number for what the application asks, that no former life used."""
        self._handle += 1
        return self._handle

    def next_request(self) -> int:
        """Return a number for what we ask another server, that no former life used."""
        self._request += 1
        return self._request

    @property
    def commit_term(self) -> int:
        """Term of the entry at the commit index; 0 at 0."""
        return self.log.term_at(self.commit) or 0
