"""The replicated state, and the funnel through which every change of a key goes.

Owns how the parts hang together: what a change of a key means for sessions, deadlines and quotas.
Decides nothing: what a command does is written in `kvstore.applying`, over the interface that
`State` has in common with the `Draft` of a transaction (`Space`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from kvstore.acl.access import OPERATIONS, Acl, AclMode
from kvstore.acl.rules import Level
from kvstore.change import Change
from kvstore.config import INTEGER_MAX, Config
from kvstore.entry import BONDS, KEY, TTL, VALUE, Bonds, Entry, Record, make_entry
from kvstore.refusals import Denied, Refusal, TooLarge
from kvstore.state.deadlines import Deadlines
from kvstore.state.directories import Directories
from kvstore.state.history import History
from kvstore.state.quotas import Quotas, weight
from kvstore.state.sequences import Sequences
from kvstore.state.sessions import Sessions
from kvstore.state.tree import Tree

# A key, its record before, the size of its value after or None if it is then absent, and its
# bonds after.
Move: TypeAlias = tuple[str, Record | None, int | None, Bonds | None]


class Space(Protocol):
    """Where an operation takes place: the state itself, or a draft of it."""

    @property
    def state(self) -> State:
        """The state."""

    def update(
        self, old: Record, value: bytes, flags: int, bonds: Bonds | None, cause: int
    ) -> Record:
        """Replace what a key holds, and return its new record."""

    def create(self, key: str, value: bytes, flags: int, bonds: Bonds | None, cause: int) -> Record:
        """Add a key that is absent, and return its record."""

    def delete(self, old: Record, cause: int) -> None:
        """Remove a key that is there."""

    def rearm(self, key: str, ttl: int) -> int:
        """Begin the ttl of a key anew, and return when it ends."""

    def expires(self, record: Record) -> int | None:
        """Return when the key of a record that stands now will be deleted, None for never."""

    def put_sequence(self, directory: str, number: int) -> None:
        """Set the next number of a directory; 0 forgets it."""

    def room(
        self, key: str, old: Record | None, size: int, bonds: Bonds | None, /
    ) -> Refusal | None:
        """Return why a key cannot become so large or so bound, None if it can."""

    def past(self, key: str, revision: int) -> Record | None:
        """Return what a key was at a revision before this command."""

    def past_between(self, low: str, high: str | None, revision: int) -> list[Record]:
        """Return what the keys of a range were at a revision before this command, in order."""

    def deleted_between(self, low: str, high: str | None, since: int) -> list[tuple[str, int]]:
        """Return the keys of a range that were deleted after a revision, and when, in order."""

    def is_now(self, revision: int) -> bool:
        """Return whether what was at a revision is what is now, in this space."""

    def force(self, key: str) -> None:
        """Make a revision of a key even if nothing is different in the end."""

    def index_to_wait(self, index: int) -> int:
        """Return the index to wait with after a read, given what the state knows."""


class State:
    """Everything that is the same on every replica.

    Attributes:
        config: The configuration.
        tree: Keys, history and prefix index.
        index: The index of the command last applied, or being applied.
        clock: Logical time in milliseconds.
        offset: What is added to the proposer's `now` to give logical time.
        now: The proposer's time of the command being applied, None if it came without.
        actor: The accessor id of who gave the command being applied, or None.
        sessions: Sessions, their deadlines, and lock-delays.
        deadlines: When keys with a ttl are deleted.
        sequences: The next number of each directory in which names were given.
        quotas: Limits of subtrees, and what is below.
        acl: Policies, roles and tokens.
        guarded: Whether access is controlled.
        limited: Whether there are quotas.
    """

    __slots__ = (
        "acl",
        "actor",
        "clock",
        "config",
        "deadlines",
        "guarded",
        "index",
        "limited",
        "now",
        "offset",
        "quotas",
        "sequences",
        "sessions",
        "tree",
    )

    def __init__(self, config: Config) -> None:
        self.config = config
        history = History(config.history_changes, config.history_age)
        self.tree = Tree(history, Directories(config.separator))
        self.index = 0
        self.clock = 0
        self.offset = 0
        self.now: int | None = None
        self.actor: str | None = None
        self.sessions = Sessions()
        self.deadlines = Deadlines()
        self.sequences = Sequences()
        self.quotas = Quotas()
        self.acl = Acl(config.acl)
        self.guarded = config.acl is not AclMode.OFF
        self.limited = False

    @property
    def state(self) -> State:
        """Itself: the space of single commands."""
        return self

    # --- changes of single commands

    def update(
        self, old: Record, value: bytes, flags: int, bonds: Bonds | None, cause: int
    ) -> Record:
        """Replace what a key holds, and return its new record."""
        new = self.tree.update(self.index, old, value, flags, bonds, cause)
        if self.limited or bonds is not old[BONDS]:
            self.settle(old[KEY], old, new)
        return new

    def create(self, key: str, value: bytes, flags: int, bonds: Bonds | None, cause: int) -> Record:
        """Add a key that is absent, and return its record."""
        new = self.tree.create(self.index, key, value, flags, bonds, cause)
        if self.limited or bonds is not None:
            self.settle(key, None, new)
        return new

    def delete(self, old: Record, cause: int) -> None:
        """Remove a key that is there."""
        self.tree.delete(self.index, old, cause)
        if self.limited or old[BONDS] is not None:
            self.settle(old[KEY], old, None)

    def settle(self, key: str, old: Record | None, new: Record | None) -> None:
        """Follow a change of a key in sessions, deadlines and quotas."""
        old_bonds = None if old is None else old[BONDS]
        new_bonds = None if new is None else new[BONDS]
        if old_bonds != new_bonds:
            self.sessions.bind(key, old_bonds, new_bonds)
            if new_bonds is None or new_bonds[TTL] is None:
                self.deadlines.disarm(key)
        if self.limited:
            keys_before, size_before = weight(key, None if old is None else len(old[VALUE]))
            keys, size = weight(key, None if new is None else len(new[VALUE]))
            self.quotas.count(key, keys - keys_before, size - size_before)

    def rearm(self, key: str, ttl: int) -> int:
        """Begin the ttl of a key anew, and return when it ends."""
        return self.deadlines.arm(key, self.clock, ttl)

    def put_sequence(self, directory: str, number: int) -> None:
        """Set the next number of a directory; 0 forgets it."""
        self.sequences.put(directory, number)

    def room(
        self, key: str, old: Record | None, size: int, bonds: Bonds | None, /
    ) -> Refusal | None:
        """Return why a key cannot become so large or so bound, None if it can."""
        if self.limited or (bonds is not None and (old is None or bonds != old[BONDS])):
            return self.refuse([(key, old, size, bonds)])
        return None

    def refuse(self, moves: Sequence[Move]) -> Refusal | None:
        """Return why keys cannot change so, None if they can."""
        gains = self.sessions.gains(
            (None if old is None else old[BONDS], bonds) for _, old, _, bonds in moves
        )
        limit = self.config.session_keys_max
        for session, gain in sorted(gains.items()):
            count = self.sessions.key_count(session) + gain
            if gain > 0 and count > limit:
                return TooLarge("session", count, limit)
        if not self.limited:
            return None
        plus = []
        for key, old, size, _ in moves:
            keys_before, size_before = weight(key, None if old is None else len(old[VALUE]))
            keys_after, size_after = weight(key, size)
            plus.append((key, keys_after - keys_before, size_after - size_before))
        return self.quotas.room(plus)

    # --- the rest of a space

    def force(self, key: str) -> None:
        """Nothing: a single command makes its change as it goes."""

    def past(self, key: str, revision: int) -> Record | None:
        """Return what a key was at a revision."""
        return self.tree.past(key, revision)

    def past_between(self, low: str, high: str | None, revision: int) -> list[Record]:
        """Return what the keys of a range were at a revision, in order."""
        return self.tree.past_between(low, high, revision)

    def deleted_between(self, low: str, high: str | None, since: int) -> list[tuple[str, int]]:
        """Return the keys of a range that were deleted after a revision, and when, in order."""
        return self.tree.deleted_between(low, high, since)

    def is_now(self, revision: int) -> bool:
        """Return whether nothing changed after a revision."""
        return revision >= self.tree.revision

    def index_to_wait(self, index: int) -> int:
        """Return it, or 1 where nothing ever changed: whoever waits with 0 does not wait."""
        return index or min(1, self.index)

    # --- rights

    def denied(self, operation: str, label: str) -> Refusal | None:
        """Return why the actor may not do something, None if it may.

        Args:
            operation: One of `kvstore.acl.access.OPERATIONS` that needs a right.
            label: To what: a key, the node of a session, or "" for the store.
        """
        if not self.guarded:
            return None
        right = OPERATIONS[operation]
        assert right is not None, operation
        authorizer = self.acl.authorizer(self.actor, self.clock)
        if (
            authorizer is not None
            and right.resource == "key"
            and not right.whole
            and authorizer.allows_key(label, right.level)
        ):
            return None
        decision = self.acl.explain(self.actor, operation, label, now=self.clock)
        return None if decision.allowed else Denied(operation, label, str(decision))

    def range_denied(
        self, operation: str, low: str, high: str | None, *, level: Level = Level.WRITE
    ) -> Refusal | None:
        """Return why the actor has not a right on all of a range, None if it has."""
        if not self.guarded:
            return None
        authorizer = self.acl.authorizer(self.actor, self.clock)
        if authorizer is None:
            return self.denied(operation, low)
        decision = authorizer.decide_range(low, high, level)
        return None if decision.allowed else Denied(operation, low, str(decision))

    # --- entries

    def expires(self, record: Record) -> int | None:
        """Return when the key of a record that stands now will be deleted, None for never."""
        bonds = record[BONDS]
        return None if bonds is None else self.deadlines.table.get(record[KEY])

    def reconfigure(self, config: Config) -> None:
        """Replace the configuration."""
        self.config = config
        self.tree.history.configure(config.history_changes, config.history_age)
        self.acl.set_mode(config.acl)
        self.guarded = config.acl is not AclMode.OFF

    # --- time

    def advance(self, now: int) -> None:
        """Let logical time go on to the proposer's; it never goes back."""
        self.clock = min(max(self.clock, now + self.offset), INTEGER_MAX)
        self.tree.history.mark(self.clock)

    def next_deadline(self) -> int | None:
        """Return the first logical time at which a session or key is due, or None."""
        both = (self.deadlines.next, self.sessions.deadlines.next)
        return min((deadline for deadline in both if deadline is not None), default=None)

    def tend(self) -> list[Change]:
        """Cut the history to its limit and free a piece of what nothing needs any more.

        Returns:
            The changes that were freed.
        """
        history = self.tree.history
        history.cut()
        return self.tree.sweep() if history.freed < history.free_to else []


def entry_of(space: Space, record: Record | None) -> Entry | None:
    """Return the entry of a record that stands now."""
    return None if record is None else make_entry(record, space.expires(record))


def expiries(space: Space, records: Iterable[Record]) -> tuple[tuple[str, int], ...]:
    """Return when those of some keys that have a ttl will be deleted."""
    found = ((one[KEY], space.expires(one)) for one in records if one[BONDS] is not None)
    return tuple((key, expires) for key, expires in found if expires is not None)
