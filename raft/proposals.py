"""What became of the entries that this server proposed: lost with a truncated tail, or unknown.

Owns the ranges of entries of the terms that this server led and that are not yet committed.
Committed ones are told by `EntriesCommitted`. Knows nothing of how entries come to be.
"""

from __future__ import annotations

from raft.core import Core
from raft.entries import LogIds
from raft.outputs import ProposalsExpired, ProposalsLost


class Proposals:
    """Own entries of former leaderships, a range for each term that still has some."""

    __slots__ = ("_core", "_ranges")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ranges: list[LogIds] = []

    def led(self, term: int, first: int) -> None:
        """Note the end of a leadership whose own entries begin at `first`."""
        core = self._core
        first = max(first, core.commit + 1)
        if first <= core.log.last_index:
            self._ranges.append(LogIds(term, first, core.log.last_index))

    def truncated(self, index: int) -> None:
        """Tell whose entries are lost as everything from `index` on is replaced."""
        kept: list[LogIds] = []
        for ids in self._uncommitted():
            if ids.first < index:
                kept.append(LogIds(ids.term, ids.first, min(ids.last, index - 1)))
            if ids.last >= index:
                lost = LogIds(ids.term, max(ids.first, index), ids.last)
                self._core.emit(ProposalsLost(lost))
        self._ranges = kept

    def replaced(self, index: int) -> None:
        """Tell what becomes of own entries as a snapshot up to `index` replaces the log.

        It replaces a log that is not the leader's at `index`, so behind it everything is lost.
        """
        self.truncated(index + 1)
        for ids in self._ranges:
            self._core.emit(ProposalsExpired(ids))
        self._ranges = []

    def _uncommitted(self) -> list[LogIds]:
        """Return the ranges without what was committed meanwhile."""
        commit = self._core.commit
        return [
            LogIds(ids.term, max(ids.first, commit + 1), ids.last)
            for ids in self._ranges
            if ids.last > commit
        ]
