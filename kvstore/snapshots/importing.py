"""A state made of exported rows: the other end of export.py.

Rows may come from anywhere: each is looked at before it is used (imported_rows.py), and the whole
must fit together in the end. What does not is an `ImportRefused`, and nothing else is ever raised
for it; whoever imports gets a new state or none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import accumulate, chain, pairwise
from math import inf
from typing import Any, Final

from kvstore.acl.access import Acl
from kvstore.acl.rules import Policy, Role, Token
from kvstore.change import CHANGED_KEY, NEW, NO_LINK, OLD, REVISION, Change
from kvstore.entry import BONDS, DIRECTORY, KEY, MOD_REVISION, SEQUENCE, TTL, VALUE, Record
from kvstore.errors import ImportRefused
from kvstore.keys import prefix_end
from kvstore.snapshots.export import SECTIONS, Scalar
from kvstore.snapshots.imported_entries import Entries
from kvstore.snapshots.imported_rows import (
    ChangeRow,
    read_change,
    read_header,
    read_mark,
    read_pair,
    read_quota,
    read_session,
)
from kvstore.state.deadlines import Deadlines
from kvstore.state.directories import NO_DIRECTORY
from kvstore.state.ordered import OrderedKeys
from kvstore.state.quotas import Limits, Quotas, key_size
from kvstore.state.sequences import Sequences
from kvstore.state.sessions import Session
from kvstore.state.state import State
from kvstore.state.tree import Tree

_VALUES: Final[Mapping[str, type]] = {"policies": Policy, "roles": Role, "tokens": Token}


class _Small:
    """The sections of which an export always tells everything."""

    def __init__(self) -> None:
        self.deadlines: list[tuple[str, int]] = []
        self.sessions: list[tuple[Session, int | None]] = []
        self.delays: list[tuple[str, int]] = []
        self.sequences: list[tuple[str, int]] = []
        self.quotas: list[tuple[str, Limits]] = []
        self.policies: list[Policy] = []
        self.roles: list[Role] = []
        self.tokens: list[Token] = []
        self.marks: list[tuple[int, int]] = []

    def add(self, section: str, rows: list[Any]) -> None:
        """Take rows."""
        if section in _VALUES:
            if any(type(row) is not _VALUES[section] for row in rows):
                raise ImportRefused(f"one of the {section} is none")
            getattr(self, section).extend(rows)
        elif section == "sessions":
            self.sessions += map(read_session, rows)
        elif section == "quotas":
            self.quotas += map(read_quota, rows)
        elif section == "marks":
            self.marks += map(read_mark, rows)
        else:
            getattr(self, section).extend(map(read_pair, rows))

    def check(self, sequence: int, with_ttl: set[str], parties: set[str]) -> None:
        """Refuse rows that do not fit together, or not to the keys.

        Args:
            sequence: How many changes there were ever.
            with_ttl: The keys that have a ttl.
            parties: The sessions that keys depend on.
        """
        ids = [session.id for session, _ in self.sessions]
        _check_order("sessions", ids)
        for section in ("deadlines", "delays", "sequences", "quotas"):
            _check_order(section, [row[0] for row in getattr(self, section)])
        for section in ("policies", "roles"):
            _check_order(section, [value.name for value in getattr(self, section)])
        _check_order("tokens", [token.accessor for token in self.tokens])
        if {key for key, _ in self.deadlines} != with_ttl:
            raise ImportRefused("the deadlines are not those of the keys with a ttl")
        if not parties <= set(ids):
            raise ImportRefused("a key depends on a session that is not there")
        try:
            Acl().load(self.policies, self.roles, self.tokens)
        except ValueError as error:
            raise ImportRefused(str(error)) from None
        if any(not number for _, number in self.sequences):
            raise ImportRefused("a directory gave no number")
        if any(
            mark[0] >= following[0] or mark[1] > following[1]
            for mark, following in pairwise([*self.marks, (inf, sequence)])
        ):
            raise ImportRefused("the marks are not in order")

    def install(self, state: State) -> None:
        """Make them those of a state whose keys are in place."""
        state.acl.load(self.policies, self.roles, self.tokens)
        state.deadlines = Deadlines()
        for key, expires in self.deadlines:
            state.deadlines.put(key, expires)
        state.sessions.replace(session for session, _ in self.sessions)
        for session, deadline in self.sessions:
            if deadline is not None:
                state.sessions.deadlines.put(session.id, deadline)
        state.sessions.delays = Deadlines()
        for key, until in self.delays:
            state.sessions.delays.put(key, until)
        state.sequences = Sequences()
        for directory, number in self.sequences:
            state.sequences.put(directory, number)
        state.quotas = Quotas()
        state.quotas.load(self.quotas, _usages(state.tree, [prefix for prefix, _ in self.quotas]))
        state.limited = bool(self.quotas)
        state.tree.history.marks.clear()
        state.tree.history.marks.extend(self.marks)


def _usages(tree: Tree, prefixes: list[str]) -> list[tuple[int, int]]:
    """Return the keys and bytes below each prefix, as `Tree.weigh` does for one.

    Complexity: O(keys + prefixes log keys), however many prefixes a key has.
    """
    if not prefixes:
        return []
    keys, records = list(tree.keys), tree.records
    sizes = (key_size(key) + len(records[key][VALUE]) for key in keys)
    sums = list(accumulate(sizes, initial=0))
    found = []
    for prefix in prefixes:
        end = prefix_end(prefix)
        low = bisect_left(keys, prefix)
        high = len(keys) if end is None else bisect_left(keys, end)
        found.append((high - low, sums[high] - sums[low]))
    return found


class _Import(ABC):
    """What importing everything and importing what is new have in common."""

    def __init__(self, header: Mapping[str, Scalar]) -> None:
        # What takes the rows of the sections that are not small.
        self._takers: dict[str, Callable[[list[Any]], None]] = {"changes": self._add_changes}
        self._numbers, self._config = read_header(header)
        self._revision_max = self._numbers["revision"]
        self._end = self._numbers["sequence"]
        self._small = _Small()
        self._section = 0

    @abstractmethod
    def _add_changes(self, rows: list[Any]) -> None:
        """Take the rows of changes."""

    def add(self, section: str, rows: list[Any]) -> None:
        """Take rows of a section; sections come in their order.

        Raises:
            ImportRefused: A row is malformed or out of order.
        """
        place = SECTIONS.index(section) if section in SECTIONS else -1
        if place < self._section:
            raise ImportRefused(f"{section} come too late, or are no section")
        self._section = place
        take = self._takers.get(section)
        if take is not None:
            take(rows)
        elif hasattr(self._small, section):
            self._small.add(section, rows)
        else:
            raise ImportRefused(f"an incremental export tells no {section}")


def _check_order(section: str, names: list[str]) -> None:
    if any(name >= following for name, following in pairwise(names)):
        raise ImportRefused(f"the {section} are not in order")


class Importer(_Import):
    """Makes a new state of a full export.

    Args:
        header: That of the view.

    Raises:
        ImportRefused: The header is none.
    """

    def __init__(self, header: Mapping[str, Scalar]) -> None:
        super().__init__(header)
        self._state = State(self._config)
        tree, history, numbers = self._state.tree, self._state.tree.history, self._numbers
        self._entries = Entries(
            tree.directories,
            revision_max=self._revision_max,
            end=self._end,
            floor=numbers["floor"],
            first=numbers["floor_sequence"],
        )
        tree.records = self._entries.records
        self._takers |= {"entries": self._entries.add, "directories": self._add_directories}
        history.base = history.freed = history.floor_sequence = numbers["floor_sequence"]
        history.sequence = numbers["floor_sequence"]
        history.floor = numbers["floor"]
        history.plan()
        # The sequence of the last change of each key.
        self._tips: dict[str, int] = {}

    def finish(self) -> State:
        """Return the state.

        Raises:
            ImportRefused: Rows are missing, or contradict each other.
        """
        state, tree, history = self._state, self._state.tree, self._state.tree.history
        newest = history.at(history.sequence - 1)[REVISION] if len(history) else None
        if history.sequence != self._end or (
            self._revision_max > history.floor if newest is None else self._revision_max != newest
        ):
            raise ImportRefused("changes are missing")
        self._check_tips()
        tree.keys = OrderedKeys(self._entries.keys)
        tree.deleted_keys = OrderedKeys(sorted(tree.tombstones))
        tree.revision = self._revision_max
        bound = self._entries.bound
        for record in bound:
            state.sessions.bind(record[KEY], None, record[BONDS])
        with_ttl = {record[KEY] for record in bound if _ttl(record) is not None}
        self._small.check(self._end, with_ttl, set(state.sessions.parties()))
        self._small.install(state)
        self._check_directories()
        set_numbers(state, self._numbers)
        return state

    def _add_directories(self, rows: list[Any]) -> None:
        directories = self._state.tree.directories
        for name, revision in map(read_pair, rows):
            if not name or directories.indexed(name) != name or revision > self._revision_max:
                raise ImportRefused("a directory is none, or changes in the future")
            directories.assign(name, revision)

    def _add_changes(self, rows: list[Any]) -> None:
        tree, history = self._state.tree, self._state.tree.history
        number = tree.directories.number
        for row in rows:
            told = read_change(row, number, self._revision_max, self._end, tree.records)
            sequence = history.sequence
            change = self._link(told, sequence)
            history.changes.append(change)
            history.sequence = sequence + 1
            self._tips[change[1]] = sequence
            if change[NEW] is None:
                tree.tombstones[change[1]] = sequence
            else:
                tree.tombstones.pop(change[1], None)

    def _link(self, told: ChangeRow, sequence: int) -> Change:
        """Return the change that a row tells, if it goes on from what is there."""
        revision, key, new, before, cause, link = told
        history = self._state.tree.history
        newest = history.at(sequence - 1)[0] if len(history.changes) else history.floor + 1
        if revision < newest:
            raise ImportRefused("the changes are not in order")
        old: Record | None
        if key in self._tips:
            tip = history.at(self._tips[key])
            old = tip[NEW]
            wanted = (NO_LINK, old[SEQUENCE]) if old is not None else (self._tips[key], None)
            if (link, before) != wanted or tip[0] >= revision:
                raise ImportRefused("a change does not go on from the one before")
        else:
            if isinstance(before, int) or link != NO_LINK:
                raise ImportRefused("a change goes on from one that is not there")
            old = before
            if old is not None and (
                old[MOD_REVISION] > history.floor or old[SEQUENCE] >= history.floor_sequence
            ):
                raise ImportRefused("a change replaces what was changed later")
        if new is not None:
            if new[SEQUENCE] != sequence:
                raise ImportRefused("a change is not at its place")
            live = self._state.tree.records.get(key)
            if live is not None and live[SEQUENCE] == sequence:
                if live[:DIRECTORY] != new[:DIRECTORY]:
                    raise ImportRefused("an entry is not what its change made it")
                # One record for both, as in the store it comes from.
                new = live
        return (revision, key, new, old, cause, link)

    def _check_tips(self) -> None:
        """Refuse entries and changes that contradict each other."""
        tree, history = self._state.tree, self._state.tree.history
        for key, sequence in self._tips.items():
            if tree.records.get(key) is not history.at(sequence)[NEW]:
                raise ImportRefused("an entry is not what its last change made it")
        if any(key not in self._tips for key in self._entries.fresh):
            raise ImportRefused("the change of an entry is missing")

    def _check_directories(self) -> None:
        tree, history = self._state.tree, self._state.tree.history
        live = self._entries.newest.items()
        number = tree.directories.number
        dead = ((number(key), history.at(at)[REVISION]) for key, at in tree.tombstones.items())
        if not tree.directories.fits(chain(live, dead)):
            raise ImportRefused("the directories are not those of the keys")


class Continuation(_Import):
    """Brings a state forward by an incremental export.

    Args:
        header: That of the view.
        since: The index that the export was made since.
        base: A state at that index. Nobody may use it until the end; then `finish` changes it, or
            refuses and leaves it as it is.

    Raises:
        ImportRefused: The header is none, or does not go on from the base.
    """

    def __init__(self, header: Mapping[str, Scalar], since: int, base: State) -> None:
        super().__init__(header)
        history, numbers = base.tree.history, self._numbers
        if not (
            base.index == since <= numbers["applied_index"]
            and history.floor <= numbers["floor"] <= since
            and history.first_after(numbers["floor"]) == numbers["floor_sequence"]
            and base.config.separator == self._config.separator
        ):
            raise ImportRefused("the export does not go on from this state")
        self._base = base
        self._first = history.sequence
        self._newest = since
        self._changes: list[Change] = []
        # What each key is after its last change, and by which.
        self._tips: dict[str, tuple[Record | None, int]] = {}

    def finish(self) -> State:
        """Return the base, brought forward.

        Raises:
            ImportRefused: Rows are missing, or contradict each other or the base.
        """
        base = self._base
        newest = self._changes[-1][REVISION] if self._changes else base.tree.revision
        if self._first + len(self._changes) != self._end or newest != self._revision_max:
            raise ImportRefused("changes are missing")
        self._small.check(self._end, *self._dependencies())
        for change in self._changes:
            base.tree.replay(change)
            self._bind(change)
        history = base.tree.history
        base.reconfigure(self._config)
        if self._numbers["floor"] > history.floor:
            history.raise_floor(self._numbers["floor"])
        self._small.install(base)
        set_numbers(base, self._numbers)
        return base

    def _add_changes(self, rows: list[Any]) -> None:
        for row in rows:
            # Directories are given when all is known to fit.
            told = read_change(row, lambda _: NO_DIRECTORY, self._revision_max, self._end)
            revision, key, new, _, cause, link = told
            sequence = self._first + len(self._changes)
            if revision <= (self._newest if not self._changes else self._newest - 1):
                raise ImportRefused("the changes are not in order")
            self._newest = revision
            old = self._before(told)
            if new is not None and new[SEQUENCE] != sequence:
                raise ImportRefused("a change is not at its place")
            self._changes.append((revision, key, new, old, cause, link))
            self._tips[key] = (new, sequence)

    def _before(self, told: ChangeRow) -> Record | None:
        """Return the record that a change replaces, if it goes on from what is there."""
        revision, key, _, before, _, link = told
        tree = self._base.tree
        wanted: object
        if key in self._tips:
            old, sequence = self._tips[key]
            wanted = sequence if old is not None else None
            tombstone = sequence if old is None else NO_LINK
            last = self._changes[sequence - self._first][REVISION]
        else:
            old, last = tree.records.get(key), 0
            wanted = old
            tombstone = tree.tombstones.get(key, NO_LINK) if old is None else NO_LINK
        same = before == wanted
        if isinstance(before, tuple) and isinstance(wanted, tuple):
            same = before[:DIRECTORY] == wanted[:DIRECTORY]
        if tombstone < self._numbers["floor_sequence"]:
            tombstone = NO_LINK
        if not same or link != tombstone or last >= revision:
            raise ImportRefused("a change does not go on from the one before")
        return old

    def _dependencies(self) -> tuple[set[str], set[str]]:
        """Return the keys that will have a ttl, and the sessions that keys will depend on."""
        base = self._base
        with_ttl = set(base.deadlines.table)
        moves = []
        for change in self._changes:
            new, old = change[NEW], change[OLD]
            with_ttl.discard(change[CHANGED_KEY])
            if new is not None and _ttl(new) is not None:
                with_ttl.add(change[CHANGED_KEY])
            moves.append((old and old[BONDS], new and new[BONDS]))
        gains = base.sessions.gains(moves)
        parties = base.sessions.parties() | gains.keys()
        count = base.sessions.key_count
        return with_ttl, {one for one in parties if count(one) + gains.get(one, 0) > 0}

    def _bind(self, change: Change) -> None:
        new, old = change[NEW], change[OLD]
        self._base.sessions.bind(change[CHANGED_KEY], old and old[BONDS], new and new[BONDS])


def set_numbers(state: State, numbers: Mapping[str, int]) -> None:
    """Set what a header tells besides the history."""
    state.index = numbers["applied_index"]
    state.clock = numbers["clock"]
    state.offset = numbers["offset"]


def _ttl(record: Record) -> int | None:
    bonds = record[BONDS]
    return None if bonds is None else bonds[TTL]
