"""Raft and the key-value store as one machine, under the contract of both.

Owns which entries are proposed and who waits for them. It has no sockets, no disk and no clock,
so that `raft.testing` runs it as it runs a plain `Raft`, and the server of this example runs it
over TCP. `SendMessage` and `Persist` are passed on for the driver, events for whoever listens;
`EntriesCommitted` too, after it was applied here.

Source: Raft dissertation 6.4 (reads), 6.3 (sessions), 5.1 (memory-based snapshots).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite
from random import Random
from typing import Final, TypeAlias

from attrs import frozen

from examples.replicated.replica import Replica, request_entry, upkeep_entry
from examples.replicated.wire import Answer, Refused, Retry
from kvstore.commands import Command, Rebase, Tick
from raft import (
    Config,
    Configuration,
    Drop,
    EntriesCommitted,
    LogId,
    Message,
    Output,
    ProposalDropped,
    ProposalsExpired,
    ProposalsLost,
    Raft,
    ReadFailed,
    ReadReady,
    ReadRefused,
    Role,
    SnapshotInstalled,
    Stored,
)

#: Entries between two snapshots, unless told otherwise.
COMPACT_EVERY: Final = 10_000

#: Seconds after which a leader proposes again what ends sessions and keys that are due.
TICK_INTERVAL: Final = 0.5


@frozen
class Answered:
    """What became of a request.

    Attributes:
        request: What `execute` or `query` returned.
        answer: Its answer.
    """

    request: int
    answer: Answer


ReplicatedOutput: TypeAlias = Output | Answered


class ReplicatedStore:
    """One server of a replicated store.

    Args:
        id: As for `Raft`.
        config: As for `Raft`.
        rng: As for `Raft`.
        now: The present time.
        stored: What is on disk; the state begins with its snapshot.
        compact_every: Entries between two snapshots.

    Attributes:
        raft: The server's consensus: for queries only, inputs go through the methods here.
        replica: The state: for queries only.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  # the word for it
        config: Config,
        *,
        rng: Random,
        now: float,
        stored: Stored | None = None,
        compact_every: int = COMPACT_EVERY,
    ) -> None:
        stored = stored or Stored()
        self.raft = Raft(id, config, rng=rng, now=now, stored=stored)
        self.replica = Replica()
        if stored.snapshot is not None:
            self.replica.restore(bytes(stored.snapshot.data))
        self._outputs: deque[ReplicatedOutput] = deque()
        self._count = 0
        # Requests with the term of their entry, by the index that it has.
        self._proposed: dict[int, tuple[int, int]] = {}
        # Requests with what they ask, by the number of the read that permits an answer.
        self._queries: dict[int, tuple[int, bytes]] = {}
        self._compact_every = compact_every
        self._writing: _Writing | None = None
        # Term in which the clock of the store was told to go on by ours.
        self._rebased_term = 0
        # When a leader has to end what is due; None if nothing is, or it doesn't lead.
        self._tick_at: float | None = None
        # Not before this; a tick that was proposed takes a while.
        self._tick_from = now
        # The newest time given; an older one counts as this.
        self._now = now

    # --- the contract

    def poll(self) -> ReplicatedOutput | None:
        """Return the oldest output not yet fetched, or None.

        Entries are applied here, so that what Raft builds when it is polled is as large as it can
        be; what follows from them is begun by the next input.
        """
        if not self._outputs:
            output = self.raft.poll()
            if output is None:
                return None
            self._take(output)
        return self._outputs.popleft()

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        due, tick = self.raft.next_timeout(), self._tick_at
        return due if tick is None else tick if due is None else min(due, tick)

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; earlier calls change nothing."""
        now = self._clock(now)
        due = self.next_timeout()
        self.raft.handle_timeout(now)
        if due is None or now < due:
            return
        if self._tick_at is not None and self._tick_at <= now:
            self._tick_from = now + TICK_INTERVAL
            self._propose_upkeep(Tick(), now)
        self._look_after(now)

    # --- inputs from network and disk, as for `Raft`

    def receive(self, message: Message, now: float) -> None:
        """Take a message of a peer."""
        now = self._clock(now)
        self.raft.receive(message, now)
        self._look_after(now)

    def persisted(self, seq: int, now: float) -> None:
        """Note that everything up to `Persist(seq)` is durable."""
        now = self._clock(now)
        self.raft.persisted(seq, now)
        self._look_after(now)

    def unreachable(self, peer: str, now: float) -> None:
        """Note that a server can't be reached."""
        now = self._clock(now)
        self.raft.unreachable(peer, now)
        self._look_after(now)

    # --- inputs from operators, as for `Raft`

    def bootstrap(self, configuration: Configuration, now: float) -> None:
        """Found a cluster."""
        now = self._clock(now)
        self.raft.bootstrap(configuration, now)
        self._look_after(now)

    def campaign(self, now: float) -> None:
        """Try to be elected without waiting."""
        now = self._clock(now)
        self.raft.campaign(now)
        self._look_after(now)

    def transfer(self, to: str, now: float) -> None:
        """Have another server lead."""
        now = self._clock(now)
        self.raft.transfer(to, now)
        self._look_after(now)

    # --- inputs from clients

    def execute(self, request: bytes, now: float) -> int:
        """Have a session's request executed once; only the leader can.

        Args:
            request: What `raft.sessions` encoded. Any bytes are answered.
            now: The present time.

        Returns:
            A number that `Answered` repeats, unless the server crashes before.
        """
        now = self._clock(now)
        payload = request_entry(request, _milliseconds(now))
        number = self._number()
        try:
            entry = self.raft.propose(payload, now)
        except ProposalDropped as dropped:
            if dropped.reason is Drop.TOO_LARGE:
                self._answer(number, Refused(dropped.reason.value))
            else:
                self._answer(number, Retry(dropped.reason.value, dropped.leader))
        else:
            self._proposed[entry.index] = (number, entry.term)
        self._look_after(now)
        return number

    def query(self, command: bytes, now: float) -> int:
        """Have a read answered, linearizably, by this server.

        Args:
            command: What `kvstore.encode_command` made of one that changes nothing. Any
                bytes are answered.
            now: The present time.

        Returns:
            A number that `Answered` repeats, unless the server crashes before.
        """
        if type(command) is not bytes:
            raise TypeError("a command must be bytes")
        now = self._clock(now)
        number = self._number()
        try:
            read = self.raft.read(now)
        except ReadRefused as refused:
            self._answer(number, Retry(str(refused), refused.leader))
        else:
            self._queries[read] = (number, command)
        self._look_after(now)
        return number

    # --- outputs

    def _take(self, output: Output) -> None:
        """Do what an output of Raft asks of the application, and pass it on."""
        self._outputs.append(output)
        match output:
            case EntriesCommitted():
                self._apply(output)
            case SnapshotInstalled(snapshot):
                self.replica.restore(bytes(snapshot.data))
                self._writing = None
            case ReadReady(read):
                number, command = self._queries.pop(read)
                self._answer(number, self.replica.query(command))
            case ReadFailed(read, reason, leader):
                number, _ = self._queries.pop(read)
                self._answer(number, Retry(reason.value, leader))
            case ProposalsLost(ids) | ProposalsExpired(ids):
                for each in ids:
                    self._lose(each)
            case _:
                pass

    def _apply(self, committed: EntriesCommitted) -> None:
        """Apply entries, and answer those who wait for them."""
        for index, payload in committed.commands():
            answer = self.replica.apply(index, payload)
            waiting = self._proposed.get(index)
            if waiting is None or waiting[1] != committed.entries.term_at(index):
                continue
            del self._proposed[index]
            assert answer is not None, "nobody waits for upkeep"
            self._answer(waiting[0], answer)

    def _lose(self, entry: LogId) -> None:
        """Answer a request whose entry is gone, or may be: its session knows."""
        waiting = self._proposed.pop(entry.index, None)
        if waiting is not None:
            assert waiting[1] == entry.term, "one entry at a time stands at an index"
            self._answer(waiting[0], Retry("another leader took over", self.raft.leader))

    def _answer(self, number: int, answer: Answer) -> None:
        self._outputs.append(Answered(number, answer))

    def _clock(self, now: float) -> float:
        """Return the newest time given, which entries bear: time never goes back.

        Raises:
            ValueError: It is no time.
        """
        if not isfinite(now):
            raise ValueError(f"not a time: {now}")
        self._now = max(self._now, now)
        return self._now

    def _number(self) -> int:
        self._count += 1
        return self._count

    # --- upkeep: what an input does besides

    def _look_after(self, now: float) -> None:
        """Begin what follows from what was applied, and from leading."""
        if self.raft.role is not Role.LEADER:
            self._tick_at = None
        else:
            if self._rebased_term != self.raft.term:
                self._rebased_term = self.raft.term
                self._propose_upkeep(Rebase(), now)
            due = self.replica.store.next_deadline
            if due is None:
                self._tick_at = None
            else:
                seconds = (due - self.replica.store.clock_offset) / 1000
                self._tick_at = max(seconds, self._tick_from)
        if self._writing is not None:
            self._write_on(now)
        elif self.replica.index - self._snapshot_index() >= self._compact_every:
            self._writing = _Writing(self.replica.index, self.replica.snapshot_pieces())

    def _propose_upkeep(self, command: Command, now: float) -> None:
        """Propose a command of our own; if that can't be, whoever leads next will."""
        with suppress(ProposalDropped):
            self.raft.propose(upkeep_entry(command, _milliseconds(now)), now)

    def _snapshot_index(self) -> int:
        snapshot = self.raft.snapshot
        return 0 if snapshot is None else snapshot.index

    def _write_on(self, now: float) -> None:
        """Make one more piece of a snapshot; hand it over once it is whole."""
        writing = self._writing
        assert writing is not None
        piece = next(writing.source, None)
        if piece is not None:
            writing.pieces.append(piece)
            return
        self._writing = None
        self.raft.compact(writing.index, b"".join(writing.pieces), now)


class _Writing:
    """A snapshot that is being made while the store goes on."""

    __slots__ = ("index", "pieces", "source")

    def __init__(self, index: int, source: Iterator[bytes]) -> None:
        self.index = index
        self.source = source
        self.pieces: list[bytes] = []


def _milliseconds(now: float) -> int:
    return max(0, int(now * 1000))
