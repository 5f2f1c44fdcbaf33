"""One server's disk, record by record: what is durable, and what was only handed over.

Owns what a crash keeps. Knows nothing of formats (`raft.wal`) or of who writes: a `Persist` is
durable or not. What is durable is also what the invariants compare the protocol's claims with.
"""

from __future__ import annotations

from collections import deque
from random import Random

from raft.entries import NO_ENTRIES, Entries, Entry
from raft.outputs import Persist
from raft.stored import HardState, Snapshot, Stored


class Disk:
    """What one server has written.

    Args:
        trailing: Entries that are kept behind a snapshot.

    Attributes:
        hard_state: The durable term, vote and commit index.
        snapshot: The durable snapshot, or None.
        pending: `Persist`s that were handed over and are not durable, oldest first.
        applied: Up to where the application's own state is durable.
        is_liar: Whether it ever lost what was durable (`lose`).
        state: That state, as the application made it; None if it never did.
    """

    __slots__ = (
        "_base",
        "_entries",
        "applied",
        "hard_state",
        "is_liar",
        "pending",
        "snapshot",
        "state",
        "trailing",
    )

    def __init__(self, trailing: int = 0) -> None:
        self.hard_state = HardState()
        self.snapshot: Snapshot | None = None
        self.pending: deque[Persist] = deque()
        self.applied = 0
        self.state: bytes | None = None
        self.trailing = trailing
        self.is_liar = False
        self._base = 0  # Index before the first of the entries.
        self._entries: list[Entry] = []

    @property
    def first_index(self) -> int:
        """Index of the first durable entry, or of where it would be."""
        return self._base + 1

    @property
    def last_index(self) -> int:
        """Index up to which the log, the snapshot included, is durable."""
        return self._base + len(self._entries)

    def term_at(self, index: int) -> int | None:
        """Return the term of a durable entry; None if it is not here."""
        if self._base < index <= self._base + len(self._entries):
            return self._entries[index - self._base - 1].term
        if self.snapshot is not None and index == self.snapshot.index:
            return self.snapshot.term
        return None

    def covers(self, index: int, term: int) -> bool:
        """Return whether an entry is durable here, itself or within the snapshot."""
        if self.snapshot is not None and index < self.snapshot.index and index <= self._base:
            return True
        return index == 0 or self.term_at(index) == term

    def write(self, persist: Persist) -> None:
        """Take a `Persist`; it is not durable yet."""
        self.pending.append(persist)

    def sync(self, count: int) -> int:
        """Make the oldest `count` of what was handed over durable; return the last one's `seq`."""
        seq = 0
        for _ in range(count):
            persist = self.pending.popleft()
            self._keep(persist)
            seq = persist.seq
        return seq

    def checkpoint(self, index: int, state: bytes) -> None:
        """Keep the application's own state, durably."""
        self.applied, self.state = index, state

    def crash(self, rng: Random) -> None:
        """Lose power: of what was not synced some first part is left."""
        if self.pending:
            self.sync(rng.randint(0, len(self.pending)))
            self.pending.clear()

    def lose(self, index: int) -> None:
        """Lose the durable entries behind `index`: a disk that did not keep its word."""
        assert self._base <= index
        self.is_liar = True
        del self._entries[index - self._base :]

    def stored(self) -> Stored:
        """Return what a server starts from."""
        covered = self.snapshot.index if self.snapshot is not None else 0
        entries = Entries.of(self._entries) if self._entries else NO_ENTRIES
        return Stored(
            hard_state=self.hard_state,
            snapshot=self.snapshot,
            entries=entries,
            applied=max(self.applied, covered),
        )

    def _keep(self, persist: Persist) -> None:
        """Make one `Persist` durable."""
        self.hard_state = persist.hard_state
        if persist.snapshot is not None:
            self._keep_snapshot(persist.snapshot, persist.truncate_from)
        entries = persist.entries
        if entries.payloads:
            assert entries.first_index <= self.last_index + 1, f"a gap before {entries!r}"
            self._cut(entries.first_index)
            self._entries.extend(entries)

    def _keep_snapshot(self, snapshot: Snapshot, truncate_from: int) -> None:
        """Replace the snapshot, and forget what it covers but for the trailing entries."""
        foreign = truncate_from and self.term_at(snapshot.index) != snapshot.term
        self.snapshot = snapshot
        if truncate_from:
            self._cut(truncate_from)
        if foreign or self.last_index < snapshot.index:
            self._entries.clear()
            self._base = snapshot.index
            return
        gone = max(0, snapshot.index - self.trailing - self._base)
        del self._entries[:gone]
        self._base += gone

    def _cut(self, index: int) -> None:
        """Remove the entries from `index` on."""
        del self._entries[max(0, index - self._base - 1) :]
