"""The log in memory: terms, slices, conflicts.

Owns the entries behind a base (the last one that was compacted), as a list of payloads beside
runs of terms, so that appending, slicing and comparing thousands of entries are a few steps.
Knows nothing of who commits or stores them.

Source: Raft paper figure 2 and 5.3; etcd-io/raft log.go for the search by term.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from raft.entries import (
    CONFIGURATION_SIZE,
    NO_ENTRIES,
    Entries,
    Mark,
    TermRun,
    index_of,
    slice_marks,
    slice_runs,
)
from raft.membership.configuration import Configuration


class Log:
    """Consecutive entries behind a base whose term is known.

    Attributes:
        base_index: Index before the first entry here; 0 if the log begins at the beginning.
        base_term: Term of the entry there; 0 at 0.
        last_index: Index of the last entry; `base_index` if there is none.
        last_term: Its term.
        last_mark: Index of the last entry that is not the application's; 0 if none is here.
    """

    __slots__ = (
        "_marks",
        "_memo",
        "_payloads",
        "_runs",
        "base_index",
        "base_term",
        "last_index",
        "last_mark",
        "last_term",
    )

    def __init__(self, base_index: int = 0, base_term: int = 0) -> None:
        self._payloads: list[bytes] = []
        self._runs: list[TermRun] = []
        self._marks: list[Mark] = []
        # The slice that was made last: leader, disk and followers mostly want the same one.
        self._memo = NO_ENTRIES
        self.base_index = base_index
        self.base_term = base_term
        self.last_index = base_index
        self.last_term = base_term
        self.last_mark = 0

    @property
    def first_index(self) -> int:
        """Index of the first entry that is here, or would be."""
        return self.base_index + 1

    def term_at(self, index: int) -> int | None:
        """Return the term of an entry or of the base; None if it is compacted or not there yet."""
        if index > self.last_index:
            return None
        runs = self._runs
        if runs and index >= runs[-1][0]:
            return self.last_term
        if index <= self.base_index:
            return self.base_term if index == self.base_index else None
        return runs[bisect_right(runs, index, key=index_of) - 1][1]

    def entries(self, first: int, last: int) -> Entries:
        """Return the entries from `first` to `last`, both included and here."""
        memo = self._memo
        if memo.first_index == first and len(memo.payloads) == last - first + 1:
            return memo
        if first > last:
            return NO_ENTRIES
        assert first > self.base_index
        assert last <= self.last_index
        base = self.base_index + 1
        payloads = tuple(self._payloads[first - base : last + 1 - base])
        runs = self._runs
        terms = ((first, runs[-1][1]),) if first >= runs[-1][0] else slice_runs(runs, first, last)
        self._memo = Entries(first, terms, payloads, slice_marks(self._marks, first, last))
        return self._memo

    def entries_within(self, first: int, last: int, count_max: int, size_max: int) -> Entries:
        """Return as many entries from `first` on as the limits allow, and at least one."""
        found = self._memo
        if last >= first + count_max:
            last = first + count_max - 1
        if found.first_index != first or len(found.payloads) != last - first + 1:
            found = self.entries(first, last)
        if found.size <= size_max:
            return found
        sizes = list(map(len, found.payloads))
        for index, configuration in found.marks:
            sizes[index - first] += CONFIGURATION_SIZE if configuration is not None else 0
        fitting = bisect_right(list(accumulate(sizes)), size_max)
        return found.between(first, first + max(fitting, 1) - 1)

    def marks(self, first: int, last: int) -> tuple[Mark, ...]:
        """Return the marks of the entries from `first` to `last`."""
        return slice_marks(self._marks, first, last) if first <= self.last_mark else ()

    def has_configuration(self, first: int, last: int) -> bool:
        """Return whether one of the entries from `first` to `last` is a configuration."""
        return any(configuration is not None for _, configuration in self.marks(first, last))

    def configuration_at(self, index: int) -> tuple[int, Configuration] | None:
        """Return the last configuration at or before `index` and its index, if it is here."""
        for at, configuration in reversed(self.marks(self.base_index + 1, index)):
            if configuration is not None:
                return at, configuration
        return None

    def context_at(self, index: int) -> bytes:
        """Return the payload of an entry that is here."""
        return self._payloads[index - self.base_index - 1]

    # --- growing, by a leader

    def append(self, term: int, payloads: tuple[bytes, ...], size: int = -1) -> Entries:
        """Append the application's entries of one term; return them."""
        first = self._grow(term, payloads)
        self._memo = Entries(first, ((first, term),), payloads, (), size)
        return self._memo

    def append_mark(
        self, term: int, configuration: Configuration | None = None, context: bytes = b""
    ) -> int:
        """Append an empty entry, or a configuration with its context; return its index."""
        index = self._grow(term, (context,))
        self._marks.append((index, configuration))
        self.last_mark = index
        return index

    def _grow(self, term: int, payloads: tuple[bytes, ...]) -> int:
        """Append payloads; return the index of the first."""
        assert term >= self.last_term
        first = self.last_index + 1
        if not self._runs or term != self.last_term:
            self._runs.append((first, term))
            self.last_term = term
        self._payloads.extend(payloads)
        self.last_index += len(payloads)
        return first

    # --- growing, by a follower

    def first_missing(self, entries: Entries) -> int:
        """Return the index of the first of `entries` that is not here, or 0 if all are.

        Terms never fall along a log: where both ends of a run agree, all of it does. The entry
        before the first has to be here, and there has to be one.
        """
        ends = [*(first - 1 for first, _ in entries.runs[1:]), entries.last_index]
        for (first, term), last in zip(entries.runs, ends, strict=True):
            if self.term_at(first) != term:
                return first
            if self.term_at(last) != term:
                at = bisect_right(self._runs, first, key=index_of)
                return self._runs[at][0] if at < len(self._runs) else self.last_index + 1
        return 0

    def extend(self, entries: Entries) -> None:
        """Append entries that follow the last one."""
        assert entries.first_index == self.last_index + 1
        runs = entries.runs
        if not self._runs or runs[-1][1] != self.last_term:
            joins = self._runs and runs[0][1] == self.last_term
            self._runs.extend(runs[1:] if joins else runs)
            self.last_term = runs[-1][1]
        if entries.marks:
            self._marks.extend(entries.marks)
            self.last_mark = entries.marks[-1][0]
        self._payloads.extend(entries.payloads)
        self.last_index += len(entries.payloads)
        self._memo = entries

    def truncate(self, index: int) -> None:
        """Remove the entry at `index` and all behind it."""
        assert self.base_index < index <= self.last_index
        del self._payloads[index - self.base_index - 1 :]
        del self._runs[bisect_left(self._runs, index, key=index_of) :]
        del self._marks[bisect_left(self._marks, index, key=index_of) :]
        self.last_mark = self._marks[-1][0] if self._marks else 0
        self._memo = NO_ENTRIES
        self.last_index = index - 1
        self.last_term = self._runs[-1][1] if self._runs else self.base_term

    def last_not_above(self, index: int, term: int) -> tuple[int, int]:
        """Return the last index at or before `index` whose term is not above `term`, and its term.

        It is where two logs may agree at best; the term is 0 if it is compacted.
        """
        index = min(index, self.last_index)
        found = self.term_at(index)
        if found is None or found <= term:
            return index, found or 0
        at = bisect_right(self._runs, term, key=lambda run: run[1])
        if at == 0:
            return self.base_index, self.base_term
        index = self._runs[at][0] - 1
        return index, self._runs[at - 1][1]

    # --- shrinking

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, which is here."""
        term = self.term_at(index)
        assert term is not None
        count = index - self.base_index
        if count == 0:
            return
        del self._payloads[:count]
        self._runs[:] = slice_runs(self._runs, index + 1, self.last_index)
        del self._marks[: bisect_right(self._marks, index, key=index_of)]
        self.last_mark = self._marks[-1][0] if self._marks else 0
        self._memo = NO_ENTRIES
        self.base_index = index
        self.base_term = term

    def restart(self, index: int, term: int) -> None:
        """Forget all entries: what is up to `index` is in a snapshot."""
        self._payloads.clear()
        self._runs.clear()
        self._marks.clear()
        self.last_mark = 0
        self._memo = NO_ENTRIES
        self.base_index = self.last_index = index
        self.base_term = self.last_term = term

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert self.last_index == self.base_index + len(self._payloads)
        indexes = [index for index, _ in self._runs]
        terms = [term for _, term in self._runs]
        assert indexes == sorted(set(indexes))
        assert terms == sorted(set(terms))
        assert indexes[:1] == ([self.base_index + 1] if self._payloads else [])
        assert not terms or terms[0] >= self.base_term
        assert self.last_term == (terms[-1] if terms else self.base_term)
        marked = [index for index, _ in self._marks]
        assert self.last_mark == (marked[-1] if marked else 0)
        assert marked == sorted(set(marked))
        assert all(self.base_index < index <= self.last_index for index in marked)
