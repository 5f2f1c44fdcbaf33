"""The state of the naive model: dicts that are copied and scanned, and nothing clever.

Owns what the model remembers, and the questions that are answered by looking at all of it: what
a selection holds, what a session holds, how full a subtree is. Knows no commands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from kvstore.change import Cause, Change
from kvstore.config import Config
from kvstore.entry import Entry, Record, make_bonds
from kvstore.state.sessions import Session

Entries: TypeAlias = dict[str, Entry]

# The first key, and the first beyond or None.
Bounds: TypeAlias = tuple[str, str | None]


@attrs.define
class State:
    """All that the model remembers of now. A command works on a copy, which it keeps or drops.

    Attributes:
        config: The configuration.
        entries: What every key is, with the logical time of its deletion.
        causes: Why each key that this command has changed last changed, in order of first changes.
        forced: Keys of which a revision was asked for whatever changes.
        sessions: The sessions by id.
        deadlines: When each session with a ttl ends, in logical milliseconds.
        delays: Until when keys cannot be locked.
        sequences: The next number of each directory that gave one.
        quotas: Keys and bytes at most, by prefix.
        offset: Milliseconds from the proposer's time to logical time.
    """

    config: Config
    entries: Entries = attrs.Factory(dict)
    causes: dict[str, Cause] = attrs.Factory(dict)
    forced: set[str] = attrs.Factory(set)
    sessions: dict[str, Session] = attrs.Factory(dict)
    deadlines: dict[str, int] = attrs.Factory(dict)
    delays: dict[str, int] = attrs.Factory(dict)
    sequences: dict[str, int] = attrs.Factory(dict)
    quotas: dict[str, tuple[int | None, int | None]] = attrs.Factory(dict)
    offset: int = 0

    def copy(self) -> State:
        """Return a copy that shares nothing that changes."""
        return State(
            self.config,
            dict(self.entries),
            dict(self.causes),
            set(self.forced),
            dict(self.sessions),
            dict(self.deadlines),
            dict(self.delays),
            dict(self.sequences),
            dict(self.quotas),
            self.offset,
        )

    def keys_of(self, session: str) -> list[str]:
        """Return the keys that a session owns or holds locked, in order."""
        return [
            key
            for key, entry in sorted(self.entries.items())
            if session in (entry.owner, entry.lock_session)
        ]

    def usage(self, prefix: str) -> tuple[int, int]:
        """Return how many keys begin with a prefix, and the bytes of them and their values."""
        below = [entry for key, entry in self.entries.items() if key.startswith(prefix)]
        return len(below), sum(size_of(entry) for entry in below)


@attrs.define
class Past:
    """What the model remembers of before.

    Attributes:
        floor: The oldest revision that can be read.
        revision: The index of the last change.
        states: The entries after each change, oldest first, each with its revision.
        changes: The revision of each change of a key.
        deletions: The key and the revision of each deletion.
    """

    floor: int = 0
    revision: int = 0
    states: list[tuple[int, Entries]] = attrs.Factory(lambda: [(0, {})])
    changes: list[int] = attrs.Factory(list)
    deletions: list[tuple[str, int]] = attrs.Factory(list)

    def at(self, revision: int) -> Entries:
        """Return the entries as of a revision."""
        return [entries for at, entries in self.states if at <= revision][-1]

    def last_change(self, key: str, entries: Entries) -> int:
        """Return the revision of the last change of a key, or 1 if none is remembered."""
        if key in entries:
            return entries[key].mod_revision
        deleted = [revision for name, revision in self.deletions if name == key]
        return max([1, *deleted])


def size_of(entry: Entry) -> int:
    """Return the bytes of a key in UTF-8 and its value."""
    return len(entry.key.encode()) + len(entry.value)


def select(entries: Entries, bounds: Bounds) -> list[Entry]:
    """Return what lies within bounds, in the order of keys."""
    start, end = bounds
    return [
        entry
        for key, entry in sorted(entries.items())
        if start <= key and (end is None or key < end)
    ]


def record_of(entry: Entry) -> Record:
    """Return the record of an entry, as results hold it.

    The place in the history and the number of the directory are left out: no `Entry` tells them.
    """
    bonds = make_bonds(
        entry.lock_count, entry.lock_session, entry.lock_revision, entry.owner, entry.ttl
    )
    return (
        entry.key,
        entry.value,
        entry.flags,
        entry.create_revision,
        entry.mod_revision,
        entry.version,
        bonds,
        0,
        0,
    )


def changes_between(
    before: Entries, after: Entries, causes: dict[str, Cause], revision: int
) -> Iterable[Change]:
    """Yield what became of keys, in the order in which they were first changed."""
    for key, cause in causes.items():
        old, new = before.get(key), after.get(key)
        yield (
            revision,
            key,
            None if new is None else record_of(new),
            None if old is None else record_of(old),
            cause,
            -1,
        )
