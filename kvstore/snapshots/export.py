"""The state of a store as plain rows: what snapshots are written from and read into.

Owns which parts the replicated state has, in which order they are told, and what a row of each
looks like; knows no bytes: how rows are written is snapshot.py's, what holds
together and shows damage frames.py's.

A `View` is the state as of one index. It is made in microseconds at any size and stays what it
is while writes go on: entries are read as of its revision from the history, whose sweeping the
view holds back, and what the small tables lose while a view is open is saved for it.

`View.batches()` tells the state in sections, in this order, each in one canonical order, so that
two replicas at one index tell the same rows.

    section       row
    "entries"     (key, value, flags, create_revision, mod_revision, version, bonds, sequence),
                  by key; `bonds` is None or (lock_count, lock_session, lock_revision, owner, ttl)
    "deadlines"   (key, expires) of entries with a ttl, by key
    "sessions"    (id, ttl, on_end, lock_delay, bindings, name, meta, create_revision, deadline),
                  by id; ttl and deadline may be None
    "delays"      (key, until) of lock-delays that have not run out, by key
    "sequences"   (directory, next number), by directory
    "directories" (directory, revision of the last change below it), by directory
    "quotas"      (prefix, max_keys, max_bytes), by prefix; limits may be None
    "policies"    `Policy`, by name, without the built-in one
    "roles"       `Role`, by name
    "tokens"      `Token`, by accessor
    "marks"       (clock, sequence): how many changes there were at that logical time, ascending;
                  only with a `history_age`
    "changes"     (revision, key, new, old, cause, link), by sequence, without gaps, from the first
                  change above the floor; `new` is a row of entries, or None for a deletion; `old`
                  is one if the change replaced an entry whose own change is not in the section,
                  else its sequence, or None if the key was absent; `link` is the sequence of the
                  deletion before a creation, or -1

Rows consist of str, bytes, int, None and tuples (the values of the access control list apart).
`View.header` is a flat dict of str to int, str, bool or None: see `HEADER`, and the
configuration's fields under "config." names.

An incremental export, `batches(since=index)`, tells the same sections but no entries, no
directories and no marks older than it, and of the changes only those with a greater revision.
`Importer` makes a state of a full export, `Continuation` brings one forward by an incremental one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Self, TypeAlias

import attrs

from kvstore.acl.access import AclMode
from kvstore.acl.rules import GLOBAL_MANAGEMENT
from kvstore.change import NO_LINK, Change
from kvstore.config import Config
from kvstore.entry import DIRECTORY, MOD_REVISION, SEQUENCE
from kvstore.errors import CompactedRevision, FutureRevision
from kvstore.state.directories import directory_of
from kvstore.state.state import State
from kvstore.state.tables import Frozen

Scalar: TypeAlias = "int | str | bool | None"
Batch: TypeAlias = "tuple[str, list[Any]]"

#: Rows told at once: a millisecond's work.
BATCH: Final = 1024

#: Tables up to this size are sorted at once; the deadlines of more keys are found by walking keys.
SORTED_MAX: Final = 10_000

#: The names in a header, besides those of the configuration.
HEADER: Final = (
    "applied_index",
    "revision",
    "floor",
    "floor_sequence",
    "sequence",
    "clock",
    "offset",
)

SECTIONS: Final = (
    "entries",
    "deadlines",
    "sessions",
    "delays",
    "sequences",
    "directories",
    "quotas",
    "policies",
    "roles",
    "tokens",
    "marks",
    "changes",
)
"""In the order in which they are told."""


class View:
    """A state as of one index, while it goes on changing.

    Opening one takes microseconds at any size. Close it when it is not needed any more: until
    then it holds back the freeing of history.

    Complexity: each batch O(BATCH log n), and O(n log n) for the few rows of a small table.
    """

    __slots__ = (
        "_clock",
        "_config",
        "_deadlines",
        "_delays",
        "_directories",
        "_end",
        "_first",
        "_frozen",
        "_marks",
        "_numbers",
        "_pin",
        "_saved",
        "_sections",
        "_session_deadlines",
        "_sessions",
        "_tree",
        "applied_index",
        "revision",
    )

    def __init__(self, state: State) -> None:
        tree, history = state.tree, state.tree.history
        self.applied_index = state.index
        self.revision = tree.revision
        self._config = state.config
        self._clock = state.clock
        self._numbers = (history.floor, history.floor_sequence, history.sequence, state.offset)
        self._first, self._end = history.floor_sequence, history.sequence
        self._marks = tuple(history.marks)
        self._tree = tree
        self._directories = tree.directories
        self._saved = tree.directories.freeze()
        self._pin: int | None = history.pin()
        sessions = state.sessions
        self._deadlines = state.deadlines.table.freeze()
        self._sessions = sessions.table.freeze()
        self._session_deadlines = sessions.deadlines.table.freeze()
        self._delays = sessions.delays.table.freeze()
        self._sections: dict[str, Frozen[Any]] = {
            "sequences": state.sequences.table.freeze(),
            "quotas": state.quotas.table.freeze(),
            "policies": state.acl.tables[0].freeze(),
            "roles": state.acl.tables[1].freeze(),
            "tokens": state.acl.tables[2].freeze(),
        }

    def close(self) -> None:
        """Let go what the view holds back. Closing it again does nothing."""
        if self._pin is None:
            return
        self._tree.history.unpin(self._pin)
        self._pin = None
        self._directories.thaw(self._saved)
        self._deadlines.close()
        self._sessions.close()
        self._session_deadlines.close()
        self._delays.close()
        for frozen in self._sections.values():
            frozen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def header(self) -> dict[str, Scalar]:
        """What there is to tell but rows: see `HEADER`; the configuration under "config."."""
        floor, floor_sequence, sequence, offset = self._numbers
        return {
            "applied_index": self.applied_index,
            "revision": self.revision,
            "floor": floor,
            "floor_sequence": floor_sequence,
            "sequence": sequence,
            "clock": self._clock,
            "offset": offset,
            **config_scalars(self._config),
        }

    def batches(self, since: int | None = None) -> Iterator[Batch]:
        """Yield the name of a section with some of its rows, in the order of `SECTIONS`.

        Where there is much to look at and nothing to tell, batches without rows come between, so
        that nobody waits long for the next.

        Args:
            since: Tell only what a store at this applied index lacks, None for everything.

        Raises:
            CompactedRevision: `since` is below the floor: only everything will do.
            FutureRevision: `since` is above the index of the view.
        """
        floor = self._numbers[0]
        if since is not None and since < floor:
            raise CompactedRevision(since, floor)
        if since is not None and since > self.applied_index:
            raise FutureRevision(since, self.applied_index)
        return self._batches(since)

    def _batches(self, since: int | None) -> Iterator[Batch]:
        sections: dict[str, Iterator[list[Any]]] = {
            "entries": self._entries() if since is None else iter(()),
            "deadlines": self._deadline_rows(),
            "directories": self._directory_rows() if since is None else iter(()),
            "changes": self._changes(since),
            **self._small(),
        }
        for name in SECTIONS:
            for rows in sections[name]:
                yield name, rows

    def small_batches(self) -> Iterator[Batch]:
        """Yield as `batches` the sections other than entries, directories and changes."""
        sections = {"deadlines": self._deadline_rows(), **self._small()}
        for name, batches in sections.items():
            for rows in batches:
                if rows:
                    yield name, rows

    # --- sections

    def _keys(self) -> Iterator[list[str]]:
        """Yield in order, in pieces, all keys that were live or remembered then, and more."""
        keys, deleted_keys = self._tree.keys, self._tree.deleted_keys
        low, more = "", True
        while more:
            found = keys.between(low, None, BATCH)
            more = len(found) == BATCH
            # The first text above the last key, as no key holds a NUL.
            high = found[-1] + "\0" if more else None
            if len(deleted_keys):
                found = sorted(found + deleted_keys.between(low, high))
            yield found
            low = high or low

    def _entries(self) -> Iterator[list[Any]]:
        past, revision, records = self._tree.past, self.revision, self._tree.records
        for keys in self._keys():
            rows = []
            for key in keys:
                record = records.get(key)
                if record is None or record[MOD_REVISION] > revision:
                    record = past(key, revision)
                    if record is None:
                        continue
                rows.append(record[:DIRECTORY])
            yield rows

    def _directory_rows(self) -> Iterator[list[Any]]:
        """Yield the directories above keys that were live or remembered then."""
        tree, separator = self._tree, self._directories.separator
        open_directories: list[str] = []
        for keys in self._keys():
            rows = []
            for key in keys:
                last = open_directories[-1] if open_directories else ""
                if directory_of(key, separator) == last or not self._remembered(key):
                    continue
                while open_directories and not key.startswith(open_directories[-1]):
                    open_directories.pop()
                known = len(open_directories)
                names = list(tree.directories.above(key))[::-1]
                for name in names[known:]:
                    open_directories.append(name)
                    rows.append((name, self._directories.index_in(self._saved, name)))
            yield rows

    def _remembered(self, key: str) -> bool:
        """Return whether a key was live then, or its deletion above the floor."""
        tree = self._tree
        record = tree.records.get(key)
        link = tree.tombstones.get(key, NO_LINK) if record is None else NO_LINK
        record, link = tree.history.trace(record, link, self.revision)
        return record is not None or link >= self._first

    def _deadline_rows(self) -> Iterator[list[Any]]:
        frozen = self._deadlines
        if len(frozen) <= SORTED_MAX:
            yield from _cut(frozen)
            return
        for keys in self._keys():
            found = ((key, frozen.get(key)) for key in keys)
            yield [row for row in found if row[1] is not None]

    def _small(self) -> dict[str, Iterator[list[Any]]]:
        quotas = ((prefix, *limits) for prefix, limits in self._sections["quotas"])
        policies = self._sections["policies"]
        return {
            "sessions": _cut(self._session_rows()),
            "delays": _cut(row for row in self._delays if row[1] > self._clock),
            "sequences": _cut(self._sections["sequences"]),
            "quotas": _cut(quotas),
            "policies": _cut(value for name, value in policies if name != GLOBAL_MANAGEMENT),
            "roles": _cut(value for _, value in self._sections["roles"]),
            "tokens": _cut(value for _, value in self._sections["tokens"]),
            "marks": _cut(self._marks),
        }

    def _session_rows(self) -> Iterator[Any]:
        for id_, session in self._sessions:
            fields = attrs.astuple(session, recurse=False)
            yield (*fields, self._session_deadlines.get(id_))

    def _changes(self, since: int | None) -> Iterator[list[Any]]:
        history = self._tree.history
        first = self._first
        if since is not None:
            first = max(first, history.first_after(since))
        for start in range(first, self._end, BATCH):
            sequences = range(start, min(start + BATCH, self._end))
            yield [self._change_row(history.at(sequence), first) for sequence in sequences]

    def _change_row(self, change: Change, first: int) -> tuple[Any, ...]:
        """Return the row of a change; `first` is the sequence of the first that is told."""
        revision, key, new, old, cause, link = change
        # What is forgotten is forgotten, also where it was not freed yet.
        link = link if link >= self._first else NO_LINK
        before: object = None
        if old is not None:
            before = old[SEQUENCE] if old[SEQUENCE] >= first else old[:DIRECTORY]
        return revision, key, None if new is None else new[:DIRECTORY], before, cause, link


def config_scalars(config: Config) -> dict[str, Scalar]:
    """Return the fields of a configuration as they stand in a header."""
    scalars: dict[str, Scalar] = {}
    for name, value in attrs.asdict(config).items():
        # Enums are told by their numbers.
        scalars[f"config.{name}"] = int(value) if isinstance(value, AclMode) else value
    return scalars


def _cut(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield rows in pieces."""
    rows = iter(rows)
    while piece := list(islice(rows, BATCH)):
        yield piece
