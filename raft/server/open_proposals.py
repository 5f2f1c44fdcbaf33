"""What became of the entries that this server proposed while it led: lost, or unknown.

Owns the ranges of entries of the terms that this server led and that are still open. Committed
ones are told by `EntriesCommitted`. Knows nothing of how entries come to be.

That the next leader has an entry removed from this server's log does not decide: another server
may keep it, be elected after that leader's own entries got nowhere, and commit it after all. It is
lost only once something else is committed in its place, or anything of a later term before it.
"""

from __future__ import annotations

from raft.entries import LogIds
from raft.outputs import ProposalsExpired, ProposalsLost
from raft.server.core import Core


class OpenProposals:
    """Own entries of former leaderships of which it is not known what becomes.

    Attributes:
        ranges: Those whose places are not yet applied, a range for each term that has some.
    """

    __slots__ = ("_core", "ranges")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.ranges: list[LogIds] = []

    def add(self, term: int, first: int) -> None:
        """Note the end of a leadership whose own entries begin at `first`."""
        core = self._core
        first = max(first, core.commit + 1)
        if first <= core.log.last_index:
            self.ranges.append(LogIds(term, first, core.log.last_index))

    def on_applied(self) -> None:
        """Tell which entries are lost as others were applied in their places."""
        ranges, self.ranges = self.ranges, []
        for ids in ranges:
            self._decide(ids)

    def _decide(self, ids: LogIds) -> None:
        """Close the part of a range that is decided: behind a lost entry all are lost."""
        core, applied = self._core, self._core.applied
        term_at = core.log.term_at
        if ids.first > applied:
            # Terms never fall along a log: behind a committed entry of a later term is no place.
            if (core.log.term_at(applied) or 0) > ids.term:
                core.emit(ProposalsLost(ids))
            else:
                self.ranges.append(ids)
        elif term_at(min(ids.last, applied)) != ids.term:
            lost = next(
                index for index in range(ids.first, applied + 1) if term_at(index) != ids.term
            )
            core.emit(ProposalsLost(LogIds(ids.term, lost, ids.last)))
        elif ids.last > applied:
            self.ranges.append(LogIds(ids.term, applied + 1, ids.last))

    def replaced(self, index: int, term: int) -> None:
        """Tell what becomes of own entries as a snapshot takes the place of the log.

        Args:
            index: Last index that it covers: of what is before that nothing is known any more.
            term: Term of the entry there. If it is another, all that was behind is lost.
        """
        ranges, self.ranges = self.ranges, []
        for ids in ranges:
            known = index if ids.term != term else index + 1
            if ids.first < known:
                expired = LogIds(ids.term, ids.first, min(ids.last, known - 1))
                self._core.emit(ProposalsExpired(expired))
            if ids.last < known:
                continue
            rest = LogIds(ids.term, max(ids.first, known), ids.last)
            if rest.first == index or term > ids.term:
                self._core.emit(ProposalsLost(rest))
            else:
                self.ranges.append(rest)
