"""What is on disk, what is on its way there, and what has to wait for it.

Owns the `Persist`s and the gate behind which messages wait. Knows nothing of what they mean.

Whatever a message claims has to be durable before the message leaves: terms and votes, entries
that are acknowledged, and the whole log that a candidate boasts of. So a message that is given
to `send_when_durable` waits for everything that is not durable at that moment. All else, above
all a leader's entries, leaves at once: the disks of leader and followers work side by side.

A later truncation takes back what an earlier write will report: an entry of the same index and
term may come again, and only its own write counts (no ABA).

Source: Raft paper figure 2 ("updated on stable storage before responding"); dissertation 10.2.1;
etcd-io/raft's asynchronous storage writes. Deviation: etcd's let vote requests leave before what
they claim is durable; a candidate that crashes then can be elected without what its voters have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raft.entries import NO_ENTRIES
from raft.errors import UnknownSequence
from raft.messages import AppendEntriesResponse, Message
from raft.outputs import Persist, SendMessage
from raft.server.core import Core, Intent
from raft.stored import HardState, Snapshot


class Durability:
    """The machine's writes, in order, and the messages that wait for them.

    Attributes:
        index: Up to here the log is durable. Invariant: index <= log.last_index, except while a
            snapshot that replaces the log is on its way.
        snapshot_due: A leader's snapshot that is not durable yet: the log behind it can't be
            handed out.
    """

    __slots__ = (
        "_confirmed",
        "_core",
        "_deliver",
        "_dirty",
        "_durable_size",
        "_gate",
        "_intent",
        "_outstanding",
        "_queued",
        "_seq",
        "_snapshot",
        "_snapshot_seq",
        "_taken_size",
        "_truncate_from",
        "_unsaved_from",
        "index",
        "snapshot_due",
    )

    def __init__(self, core: Core, deliver: Callable[[Message], None]) -> None:
        self._core = core
        self._deliver = deliver
        self.index = core.log.last_index
        self.snapshot_due: Snapshot | None = None
        # Invariant: everything before this index is in some Persist that was handed out.
        self._unsaved_from = core.log.last_index + 1
        self._truncate_from = 0
        self._snapshot: Snapshot | None = None
        self._snapshot_seq = 0
        # Sequence number of the Persist handed out last, and of the one reported last.
        self._seq = 0
        self._confirmed = 0
        # Bytes of all entries and leaders' snapshots that were ever to be written, and of those
        # that are; what was replaced meanwhile counts as long as it waits.
        self._taken_size = 0
        self._durable_size = 0
        # Of each Persist in between: its number, and up to where the log is durable after it, as
        # an index and as bytes.
        self._outstanding: deque[tuple[int, int, int]] = deque()
        # Whether something waits to be handed out, and whether an intent to do so is queued.
        self._dirty = False
        self._queued = False
        self._gate: deque[tuple[int, Message]] = deque()
        self._intent: Intent = (self._render, None)

    @property
    def is_idle(self) -> bool:
        """Whether everything is durable."""
        return not self._dirty and self._confirmed == self._seq

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the disk that no more should be taken."""
        config = self._core.config
        return (
            self._core.log.last_index - self.index >= config.uncommitted_entries_max
            or self._taken_size - self._durable_size >= config.uncommitted_size_max
        )

    # --- what changed

    def changed(self, size: int = 0) -> None:
        """Have the hard state and all new entries, `size` bytes more, written."""
        self._dirty = True
        self._taken_size += size
        if not self._queued and len(self._outstanding) < self._core.config.persists_max:
            self._queued = True
            self._core.outputs.append(self._intent)

    def term_began(self) -> None:
        """Have a new term written, and no longer say what was to be said in earlier ones.

        It is of no use to anyone any more; of what was acknowledged, the new leader may replace
        a part before it is durable.
        """
        term = self._core.term
        if self._gate:
            self._gate = deque(item for item in self._gate if item[1].term >= term)
        self.changed()

    def truncated(self, index: int) -> None:
        """Note that the log's entries from `index` on were removed."""
        self._take_back(index - 1)
        self._unsaved_from = min(self._unsaved_from, index)

    def compacted(self, snapshot: Snapshot) -> None:
        """Have our own snapshot written; the log behind it stays as it is."""
        self._snapshot = snapshot
        self.changed()

    def replaced(self, snapshot: Snapshot, kept: int) -> None:
        """Have a leader's snapshot written in place of the log, of which `kept` was right."""
        self._take_back(kept)
        self._snapshot = self.snapshot_due = snapshot
        self._snapshot_seq = self._seq + 1
        self._truncate_from = self._unsaved_from = snapshot.index + 1
        self.changed(len(snapshot.data))

    def _take_back(self, index: int) -> None:
        """Have no write that was handed out count for what is behind `index`.

        Acknowledgements that wait stay: those of earlier terms are gone, and what the leader of
        this term was told that it has, it never replaces by something else.
        """
        self.index = min(self.index, index)
        self._outstanding = deque(
            (seq, min(last, index), size) for seq, last, size in self._outstanding
        )

    # --- out

    def _render(self, _: None) -> Persist | None:
        """Return everything that is not yet written."""
        core, log = self._core, self._core.log
        self._queued = self._dirty = False
        seq = self._seq = self._seq + 1
        first, last = self._unsaved_from, log.last_index
        self._unsaved_from = last + 1
        self._outstanding.append((seq, last, self._taken_size))
        entries = log.entries(first, last) if first <= last else NO_ENTRIES
        state = HardState(core.term, core.voted_for, core.commit, core.regressed)
        if self._snapshot is None:
            return Persist(seq, state, entries)
        snapshot, truncate_from = self._snapshot, self._truncate_from
        self._snapshot, self._truncate_from = None, 0
        return Persist(seq, state, entries, snapshot, truncate_from)

    def send_when_durable(self, message: Message) -> None:
        """Queue a message as soon as everything that is new now is durable.

        One to ourselves, our vote in a term that just began, is delivered then: it counts no
        earlier than others'.
        """
        seq = self._seq + self._dirty
        if seq > self._confirmed:
            self._hold(seq, message)
        else:
            self._core.send(message)

    def _hold(self, seq: int, message: Message) -> None:
        """Keep a message until a write is durable, unless too many wait: any may be lost.

        Only our own vote may not; there is one in a term, and none of the terms before.
        """
        core = self._core
        if len(self._gate) < core.config.gated_messages_max or message.to == core.id:
            self._gate.append((seq, message))
        else:
            core.stats.gated_dropped += 1

    def acknowledge(self, leader: str, index: int) -> None:
        """Tell the leader that everything up to `index` is durable here, once it is.

        Of acknowledgements that wait for the same write, the last says all.
        """
        core, gate = self._core, self._gate
        seq = self._seq + self._dirty
        if gate and gate[-1][0] == seq:
            waiting = gate[-1][1]
            if (
                type(waiting) is AppendEntriesResponse
                and not waiting.rejected
                and waiting.index <= index
                and waiting.term == core.term
                and waiting.to == leader
            ):
                waiting.index = index
                return
        message = AppendEntriesResponse(leader, core.id, core.term, False, index)
        if seq > self._confirmed:
            self._hold(seq, message)
        else:
            core.outputs.append(SendMessage(message))

    # --- in

    def confirm(self, seq: int, now: float) -> Snapshot | None:
        """Note that everything up to a Persist is durable.

        Returns:
            The leader's snapshot that has become durable by this, if one has.

        Raises:
            UnknownSequence: It was never handed out.
        """
        if type(seq) is not int or not 0 < seq <= self._seq:
            raise UnknownSequence(f"{seq!r} was never handed out; the last Persist was {self._seq}")
        if not now <= self._core.now:
            self._core.clock(now)
        outstanding = self._outstanding
        while outstanding and outstanding[0][0] <= seq:
            self._confirmed, self.index, self._durable_size = outstanding.popleft()
        if self._dirty and not self._queued:
            self.changed()
        if self.snapshot_due is not None and self._snapshot_seq <= self._confirmed:
            snapshot, self.snapshot_due = self.snapshot_due, None
            return snapshot
        return None

    def release(self) -> None:
        """Let go what waited for what is durable now."""
        core = self._core
        while self._gate and self._gate[0][0] <= self._confirmed:
            message = self._gate.popleft()[1]
            if message.to == core.id:
                self._deliver(message)
            else:
                core.outputs.append(SendMessage(message))

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        log = self._core.log
        assert self.index <= max(log.last_index, self._core.commit)
        assert self._unsaved_from <= log.last_index + 1
        assert len(self._outstanding) <= self._core.config.persists_max
        assert not self._queued or self._dirty
        seqs = [seq for seq, _, _ in self._outstanding]
        assert seqs == list(range(self._confirmed + 1, self._seq + 1))
        assert [seq for seq, _ in self._gate] == sorted(seq for seq, _ in self._gate)
        assert all(seq > self._confirmed for seq, _ in self._gate)
        assert len(self._gate) <= self._core.config.gated_messages_max + 1
        assert self._dirty or self._outstanding or self._taken_size == self._durable_size
