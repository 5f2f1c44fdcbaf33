"""Sessions: what holds locks and owns keys, until it ends.

Owns the sessions by id, what each is bound to, which keys depend on it, when it ends, and the
delays that its end leaves on the locks it held. All times are logical: they come from the log,
and so survive a change of leader, a restart and a snapshot.

Source: Consul agent/consul/state/session.go, with deadlines and delays made part of the state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from kvstore.entry import LOCK_SESSION, OWNER, Bonds
from kvstore.state.deadlines import Deadlines
from kvstore.state.tables import Table


@attrs.frozen
class Session:
    """One session.

    Attributes:
        id: Its id.
        ttl: Milliseconds it lasts without renewal, before the configured grace; None for ever.
        on_end: What its end does to keys it holds locked.
        lock_delay: Milliseconds for which those keys cannot be locked afterwards.
        bindings: Names whose invalidation ends it.
        name: For people to read.
        meta: Opaque pairs.
        create_revision: The index of the command that began it.
    """

    id: str
    ttl: int | None
    on_end: Literal["release", "delete"]
    lock_delay: int
    bindings: tuple[str, ...]
    name: str
    meta: tuple[tuple[str, str], ...]
    create_revision: int

    @property
    def node(self) -> str:
        """The node it belongs to, by its first binding "node:..."; "" without one.

        Rights on sessions are rights on their nodes.
        """
        for binding in self.bindings:
            if binding.startswith("node:"):
                return binding[len("node:") :]
        return ""


class Sessions:
    """All sessions, and what hangs on each.

    Attributes:
        table: The sessions by id.
        deadlines: When each session with a ttl ends.
        delays: Until when a key cannot be locked, by key.
    """

    __slots__ = ("_bound", "_keys", "deadlines", "delays", "table")

    def __init__(self) -> None:
        self.table: Table[Session] = Table()
        self.deadlines = Deadlines()
        self.delays = Deadlines()
        # The keys that each session holds or owns, and the sessions with each binding, as dicts
        # for their order.
        self._keys: dict[str, dict[str, None]] = {}
        self._bound: dict[str, dict[str, None]] = {}

    def add(self, session: Session) -> None:
        """Add a session whose id is free."""
        self.table.assign(session.id, session)
        for binding in session.bindings:
            self._bound.setdefault(binding, {})[session.id] = None

    def remove(self, session: Session) -> None:
        """Remove a session on which no key depends any more."""
        assert session.id not in self._keys, session.id
        self.table.discard(session.id)
        self.deadlines.disarm(session.id)
        for binding in session.bindings:
            bound = self._bound.get(binding, {})
            bound.pop(session.id, None)
            if not bound:
                self._bound.pop(binding, None)

    def replace(self, sessions: Iterable[Session]) -> None:
        """Replace all sessions, without deadlines yet; what keys depend on stays."""
        self.table, self.deadlines, self._bound = Table(), Deadlines(), {}
        for session in sessions:
            self.add(session)

    def parties(self) -> set[str]:
        """Return the sessions that keys depend on."""
        return set(self._keys)

    def keys(self, session: str) -> list[str]:
        """Return the keys that a session holds or owns, in order."""
        return sorted(self._keys.get(session, ()))

    def key_count(self, session: str) -> int:
        """Return how many keys a session holds or owns."""
        return len(self._keys.get(session, ()))

    def gains(self, moves: Iterable[tuple[Bonds | None, Bonds | None]]) -> dict[str, int]:
        """Return how many keys more, or less, each session would have.

        Args:
            moves: The bonds of each key before and after.
        """
        gains: dict[str, int] = {}
        for old, new in moves:
            for session in _parties(old):
                gains[session] = gains.get(session, 0) - 1
            for session in _parties(new):
                gains[session] = gains.get(session, 0) + 1
        return gains

    def bound(self, bindings: Iterable[str]) -> list[str]:
        """Return the sessions with any of some bindings, in the order of ids."""
        found = {id_ for binding in bindings for id_ in self._bound.get(binding, ())}
        return sorted(found)

    def bind(self, key: str, old: Bonds | None, new: Bonds | None) -> None:
        """Note on which sessions a key depends now."""
        for session in _parties(old):
            keys = self._keys[session]
            keys.pop(key, None)
            if not keys:
                del self._keys[session]
        for session in _parties(new):
            self._keys.setdefault(session, {})[key] = None

    def delay(self, key: str, now: int) -> int | None:
        """Return until when a key cannot be locked, None if it can be."""
        until = self.delays.table.get(key)
        return until if until is not None and until > now else None

    def sweep_delays(self, now: int, limit: int) -> None:
        """Forget some delays that have run out; they count no longer anyway."""
        for key in self.delays.due(now, limit):
            self.delays.disarm(key)


def _parties(bonds: Bonds | None) -> list[str]:
    """Return the sessions in the bonds of a key, each once."""
    if bonds is None:
        return []
    holder, owner = bonds[LOCK_SESSION], bonds[OWNER]
    return [one for one in (holder, owner if owner != holder else "") if one]
