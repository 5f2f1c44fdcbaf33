"""Entries of the log, one and many: what is replicated, stored and handed to the application.

Owns `Entries`, a run of consecutive entries as one value: payloads in one tuple, terms as runs,
and what is not the application's (empty entries, configurations) marked beside them. So a batch
of a thousand entries is one object that leader, followers, disk and application share, and no
step of the protocol does work for each entry. Knows nothing of who sends or stores them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from operator import itemgetter
from typing import TypeAlias, overload

from attrs import frozen

from raft.membership.configuration import Configuration

#: Largest index and largest term: what formats with signed integers of 64 bits can hold.
INDEX_MAX = TERM_MAX = 2**63 - 1
#: First index and term of consecutive entries of one term.
TermRun: TypeAlias = tuple[int, int]
#: Index of an entry that is not the application's, and its configuration or, if empty, None.
Mark: TypeAlias = tuple[int, Configuration | None]
#: What a configuration counts for in sizes, bytes.
CONFIGURATION_SIZE = 256
#: Returns the index of a run or a mark: the key to search for it.
index_of: Callable[[tuple[int, object]], int] = itemgetter(0)


@frozen(order=True)
class LogId:
    """Where an entry stands: no two different entries ever have the same (log matching)."""

    term: int
    index: int


class EntryKind(Enum):
    """What an entry is for."""

    COMMAND = "command"
    """The application's."""
    EMPTY = "empty"
    """The first of a leader's term, which commits those of earlier terms (paper 8); on a witness
    also what is a command elsewhere."""
    CONFIGURATION = "configuration"
    """The configuration that is in force once it is applied; the payload is its context."""


@frozen
class Entry:
    """One entry of the log.

    Attributes:
        term: Of the leader that made it, at least 1.
        index: Its place, the first is 1.
        payload: The command; for a configuration the context that was given with the change.
        kind: What it is for.
        configuration: The configuration, if that is what it is for.
    """

    term: int
    index: int
    payload: bytes = b""
    kind: EntryKind = EntryKind.COMMAND
    configuration: Configuration | None = None


class LogIds(Sequence[LogId]):
    """The places of consecutive entries of one term, without an object for each.

    Attributes:
        term: Their term.
        first: Index of the first.
        last: Index of the last.
    """

    __slots__ = ("first", "last", "term")

    def __init__(self, term: int, first: int, last: int) -> None:
        self.term = term
        self.first = first
        self.last = last

    def __len__(self) -> int:
        return self.last - self.first + 1

    @overload
    def __getitem__(self, at: int) -> LogId: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[LogId]: ...
    def __getitem__(self, at: int | slice) -> LogId | Sequence[LogId]:
        indexes = range(self.first, self.last + 1)[at]
        if isinstance(indexes, int):
            return LogId(self.term, indexes)
        return [LogId(self.term, index) for index in indexes]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogIds):
            return NotImplemented
        return (self.term, self.first, self.last) == (other.term, other.first, other.last)

    __hash__ = None  # type: ignore[assignment]  # a sequence, as a list

    def __repr__(self) -> str:
        return f"LogIds(term={self.term}, first={self.first}, last={self.last})"


class Entries(Sequence[Entry]):
    """Consecutive entries of a log, as a value that is never changed.

    Attributes:
        first_index: Index of the first; for no entries, where they would begin.
        runs: First index and term of each run of one term, in order; () for no entries.
        payloads: The payload of each entry; b"" for empty ones, the context for configurations.
        marks: Index and configuration of those that are not the application's, in order; the
            configuration is None for empty entries.
        size: Bytes of all payloads; configurations count for `CONFIGURATION_SIZE` more.

    Iterating makes an `Entry` of each; `commands` is the fast way to the application's.
    """

    __slots__ = ("first_index", "marks", "payloads", "runs", "size")

    def __init__(
        self,
        first_index: int,
        runs: tuple[TermRun, ...],
        payloads: tuple[bytes, ...],
        marks: tuple[Mark, ...] = (),
        size: int = -1,
    ) -> None:
        self.first_index = first_index
        self.runs = runs
        self.payloads = payloads
        self.marks = marks
        self.size = size if size >= 0 else _size_of(payloads, marks)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Return single entries as one value.

        Raises:
            ValueError: They are not consecutive, or terms fall.
        """
        listed = list(entries)
        runs: list[TermRun] = []
        marks: list[Mark] = []
        for number, entry in enumerate(listed):
            if entry.index != listed[0].index + number:
                raise ValueError(f"entry {entry.index} is not the next one")
            if not runs or entry.term != runs[-1][1]:
                if runs and entry.term < runs[-1][1]:
                    raise ValueError(f"the term falls to {entry.term} at index {entry.index}")
                runs.append((entry.index, entry.term))
            if entry.kind is not EntryKind.COMMAND:
                marks.append((entry.index, entry.configuration))
        first = listed[0].index if listed else 1
        payloads = tuple(entry.payload for entry in listed)
        return cls(first, tuple(runs), payloads, tuple(marks))

    @property
    def last_index(self) -> int:
        """Index of the last; one before `first_index` for no entries."""
        return self.first_index + len(self.payloads) - 1

    @property
    def last_term(self) -> int:
        """Term of the last; 0 for no entries."""
        return self.runs[-1][1] if self.runs else 0

    def term_at(self, index: int) -> int:
        """Return the term of an entry, which must be one of these."""
        assert self.first_index <= index <= self.last_index
        return self.runs[bisect_right(self.runs, index, key=index_of) - 1][1]

    def commands(self) -> Iterable[tuple[int, bytes]]:
        """Return the index and payload of each of the application's entries.

        >>> no_op = Entry(3, 7, kind=EntryKind.EMPTY)
        >>> list(Entries.of([no_op, Entry(3, 8, b"set x")]).commands())
        [(8, b'set x')]
        """
        numbered = zip(range(self.first_index, self.last_index + 1), self.payloads, strict=True)
        if not self.marks:
            return numbered
        marked = {index for index, _ in self.marks}
        return [pair for pair in numbered if pair[0] not in marked]

    def between(self, first: int, last: int) -> Entries:
        """Return those from index `first` to `last`, both included; all must be among these."""
        if first == self.first_index and last == self.last_index:
            return self
        assert self.first_index <= first
        assert last <= self.last_index
        return Entries(
            first,
            slice_runs(self.runs, first, last),
            self.payloads[first - self.first_index : last - self.first_index + 1],
            slice_marks(self.marks, first, last),
        )

    def without_payloads(self) -> Entries:
        """Return the same entries for a witness, which keeps their terms and configurations.

        Commands are marked as empty entries: whoever has them can tell that there is nothing to
        apply, even before it learns that it is a witness.
        """
        configurations = dict(self.marks)
        marks = tuple(
            (index, configurations.get(index))
            for index in range(self.first_index, self.last_index + 1)
        )
        payloads = tuple(
            b"" if configuration is None else payload
            for (_, configuration), payload in zip(marks, self.payloads, strict=True)
        )
        return Entries(self.first_index, self.runs, payloads, marks)

    def __len__(self) -> int:
        return len(self.payloads)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, range(self.first_index, self.last_index + 1))

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | Sequence[Entry]:
        indexes = range(self.first_index, self.last_index + 1)[at]
        return self._entry(indexes) if isinstance(indexes, int) else list(map(self._entry, indexes))

    def _entry(self, index: int) -> Entry:
        """Return one entry."""
        term, payload = self.term_at(index), self.payloads[index - self.first_index]
        at = bisect_left(self.marks, index, key=index_of)
        if at == len(self.marks) or self.marks[at][0] != index:
            return Entry(term, index, payload)
        configuration = self.marks[at][1]
        kind = EntryKind.EMPTY if configuration is None else EntryKind.CONFIGURATION
        return Entry(term, index, payload, kind, configuration)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries):
            return NotImplemented
        if not self.payloads:
            return not other.payloads
        return (self.first_index, self.runs, self.payloads, self.marks) == (
            other.first_index,
            other.runs,
            other.payloads,
            other.marks,
        )

    __hash__ = None  # type: ignore[assignment]  # a sequence, as a list

    def __repr__(self) -> str:
        shown = [f"{entry.term}/{entry.index}" for entry in self[:8]]
        more = ["..."] if len(self) > 8 else []
        return f"<Entries {' '.join(shown + more)}>"


def _size_of(payloads: tuple[bytes, ...], marks: tuple[Mark, ...]) -> int:
    """Return what entries count for in limits, bytes."""
    configurations = sum(configuration is not None for _, configuration in marks) if marks else 0
    return sum(map(len, payloads)) + CONFIGURATION_SIZE * configurations


def slice_runs(runs: Sequence[TermRun], first: int, last: int) -> tuple[TermRun, ...]:
    """Return the runs of terms of the entries from `first` to `last`."""
    if first > last:
        return ()
    begin = bisect_right(runs, first, key=index_of) - 1
    end = bisect_right(runs, last, key=index_of)
    return ((first, runs[begin][1]), *runs[begin + 1 : end])


def slice_marks(marks: Sequence[Mark], first: int, last: int) -> tuple[Mark, ...]:
    """Return the marks of the entries from `first` to `last`."""
    if not marks or marks[-1][0] < first:
        return ()
    begin = bisect_left(marks, first, key=index_of)
    return tuple(marks[begin : bisect_right(marks, last, key=index_of)])


#: No entries at all.
NO_ENTRIES = Entries(1, (), ())
