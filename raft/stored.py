"""What a server keeps on disk: its hard state, its log, its snapshot.

Owns these values and what makes them consistent. Knows nothing of formats (`raft.wal`).

Source: Raft paper figure 2 (persistent state) and section 7.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from raft.entries import NO_ENTRIES, Entries
from raft.membership.configuration import Configuration

#: Contents of a snapshot: bytes, or a view of a memory map so that it is never copied whole.
SnapshotData: TypeAlias = bytes | memoryview


class HardState:
    """The small part of what must survive a crash. Plain because each `Persist` has one.

    Attributes:
        term: Latest term that the server has been in.
        voted_for: Whom it voted for in that term, or None.
        commit: Index known to be committed. It may lag behind, but never behind what it was when an
            entry of the log was handed out: who has a later configuration in its log must know
            that an earlier one is committed (`raft.server.applying`).
        regressed: Whether the server lost entries it had acknowledged, and so may not vote until
            it has been a learner.
    """

    __slots__ = ("commit", "regressed", "term", "voted_for")

    def __init__(
        self,
        term: int = 0,
        voted_for: str | None = None,
        commit: int = 0,
        regressed: bool = False,
    ) -> None:
        self.term = term
        self.voted_for = voted_for
        self.commit = commit
        self.regressed = regressed

    def _astuple(self) -> tuple[int, str | None, int, bool]:
        return self.term, self.voted_for, self.commit, self.regressed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HardState):
            return NotImplemented
        return self._astuple() == other._astuple()

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        barred = ", regressed=True" if self.regressed else ""
        state = f"term={self.term}, voted_for={self.voted_for!r}, commit={self.commit}"
        return f"HardState({state}{barred})"


@frozen
class Snapshot:
    """The application's state after a prefix of the log, which it replaces.

    Attributes:
        index: Last index that it covers.
        term: Term of the entry there.
        configuration: The configuration in force there.
        configuration_index: Index of the entry that brought it; at most `index`.
        data: The application's state.
    """

    index: int
    term: int
    configuration: Configuration
    configuration_index: int
    data: SnapshotData = field(repr=False)


@frozen(kw_only=True)
class Stored:
    """What is read from disk when a server starts; a new server has nothing.

    It is what all `Persist`s that were durable say together: of hard states and snapshots the
    last; of entries all, where those of a later `Persist` replace everything from their first
    index on; and none up to the snapshot's index, unless they are kept behind it.

    Attributes:
        hard_state: Term, vote and commit index.
        snapshot: The last snapshot, or None.
        entries: The log behind the snapshot; it may begin earlier, and then overlaps it.
        applied: Index up to which the application's own state is durable, at least the
            snapshot's; what is committed behind it is handed out (again).
    """

    hard_state: HardState = field(factory=HardState)
    snapshot: Snapshot | None = None
    entries: Entries = NO_ENTRIES
    applied: int = 0


#: The disk of a new server.
NOTHING_STORED = Stored()
