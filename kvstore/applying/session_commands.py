"""What the commands on sessions do, and what time does to sessions and keys.

The end of a session deletes the keys it owns, frees or deletes the keys it holds, in the order of
keys and as one revision, and arms their lock-delays. Whatever ends one, the rules are the same.

Source: Consul agent/consul/state/session.go (invalidation), agent/consul/session_ttl.go; etcd
server/lease/lessor.go (bounded sweeps).
"""

from __future__ import annotations

from typing import Final

from kvstore.applying.draft import Draft
from kvstore.applying.fields import (
    META_MAX,
    NAME_SIZE_MAX,
    choice_fault,
    number_fault,
    optional_fault,
    text_fault,
    texts_fault,
)
from kvstore.change import Cause
from kvstore.commands import Invalidate, SessionClose, SessionOpen, SessionRenew, Tick
from kvstore.config import INTEGER_MAX, Config
from kvstore.entry import (
    BONDS,
    FLAGS,
    LOCK_COUNT,
    LOCK_SESSION,
    OWNER,
    TTL,
    VALUE,
    make_bonds,
)
from kvstore.refusals import BadTtl, Malformed, Refusal, SessionExists, TooLarge
from kvstore.results import CloseOk, RenewOk, SessionOk, TickOk
from kvstore.state.sessions import Session
from kvstore.state.state import State

_SESSION: Final = int(Cause.SESSION)
_TTL: Final = int(Cause.TTL)

#: Names in one list of a session.
_BINDINGS_MAX: Final = 1000
#: Ended lock-delays that are forgotten by one command.
_DELAYS: Final = 1000


def open_session(state: State, command: SessionOpen) -> SessionOk | Refusal:
    """Begin a session."""
    if (refusal := session_fault(state.config, command)) is not None:
        return refusal
    config = state.config
    id_ = f"{state.index:016x}" if command.id is None else command.id
    session = Session(
        id_,
        command.ttl,
        command.on_end,
        min(command.lock_delay, config.lock_delay_max),
        command.bindings,
        command.name,
        command.meta,
        state.index,
    )
    if (refusal := state.denied("session_open", session.node)) is not None:
        return refusal
    if id_ in state.sessions.table:
        return SessionExists(id_)
    state.sessions.add(session)
    return SessionOk(session, _arm(state, session))


def renew_sessions(state: State, command: SessionRenew) -> RenewOk | Refusal:
    """Begin the ttl of sessions anew."""
    if (refusal := texts_fault("ids", command.ids, NAME_SIZE_MAX)) is not None:
        return refusal
    table = state.sessions.table
    ids = tuple(dict.fromkeys(command.ids))
    for id_ in ids:
        if id_ in table and (refusal := state.denied("session_renew", table[id_].node)) is not None:
            return refusal
    known = tuple((id_, _arm(state, table[id_])) for id_ in ids if id_ in table)
    return RenewOk(known, tuple(id_ for id_ in ids if id_ not in table))


def close_session(state: State, command: SessionClose) -> CloseOk | Refusal:
    """End a session."""
    if (refusal := text_fault("id", command.id, NAME_SIZE_MAX)) is not None:
        return refusal
    session = state.sessions.table.get(command.id)
    if session is None:
        return CloseOk((), 0, 0)
    if (refusal := state.denied("session_close", session.node)) is not None:
        return refusal
    return _End(state).sessions([session.id])


def invalidate(state: State, command: Invalidate) -> CloseOk | Refusal:
    """End the sessions with some bindings."""
    refusal = texts_fault("bindings", command.bindings, NAME_SIZE_MAX)
    if refusal is not None or (refusal := state.denied("invalidate", "")) is not None:
        return refusal
    return _End(state).sessions(state.sessions.bound(command.bindings))


def tick(state: State, command: Tick) -> TickOk | Refusal:
    """End what is due."""
    if (refusal := number_fault("limit", command.limit, 1)) is not None:
        return refusal
    sessions, now, left = state.sessions, state.clock, command.limit
    ending: list[str] = []
    for id_ in sessions.deadlines.due(now, left):
        left -= 1 + sessions.key_count(id_)
        if left < 0 and ending:
            break
        ending.append(id_)
    keys = state.deadlines.due(now, left) if left > 0 else []
    ending.sort()
    end = _End(state)
    count = end.keys(sorted(keys))
    end.sessions(ending)
    sessions.sweep_delays(now, _DELAYS)
    following = state.next_deadline()
    return TickOk(tuple(ending), count, following is not None and following <= now)


class _End:
    """What ends with one command, as one revision."""

    __slots__ = ("_draft", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._draft = Draft(state)

    def keys(self, keys: list[str]) -> int:
        """Delete keys whose ttl ran out, and return how many; `sessions` makes it final."""
        for key in keys:
            self._draft.delete(self._state.tree.records[key], _TTL)
        return len(keys)

    def sessions(self, ids: list[str]) -> CloseOk:
        """End sessions, in this order, and make everything final."""
        sessions = self._state.sessions
        released = deleted = 0
        delays: dict[str, int] = {}
        for id_ in ids:
            session = sessions.table[id_]
            for key in sessions.keys(id_):
                kept = self._part(session, key, delays)
                released += kept is True
                deleted += kept is False
        refusal = self._draft.commit()
        assert refusal is None, refusal
        for id_ in ids:
            sessions.remove(sessions.table[id_])
        for key, delay in delays.items():
            until = sessions.delay(key, self._state.clock) or 0
            sessions.delays.put(key, max(until, min(self._state.clock + delay, INTEGER_MAX)))
        # More than came, as nobody proposes a tick for what has no deadline.
        sessions.sweep_delays(self._state.clock, 2 * len(delays))
        return CloseOk(tuple(ids), released, deleted)

    def _part(self, session: Session, key: str, delays: dict[str, int]) -> bool | None:
        """Part a key from a session that ends; return whether it was released or deleted."""
        record = self._state.tree.records.get(key)
        if record is None:
            # Another session that ends in the same step owned it, or its ttl ran out.
            return None
        bonds = record[BONDS]
        assert bonds is not None
        holds = bonds[LOCK_SESSION] == session.id
        if holds and session.lock_delay:
            delays[key] = session.lock_delay
        if bonds[OWNER] == session.id or session.on_end == "delete":
            self._draft.delete(record, _SESSION)
            return False
        free = make_bonds(bonds[LOCK_COUNT], "", 0, bonds[OWNER], bonds[TTL])
        self._draft.update(record, record[VALUE], record[FLAGS], free, _SESSION)
        return True


def _arm(state: State, session: Session) -> int | None:
    """Begin the ttl of a session, and return when it ends."""
    if session.ttl is None:
        return None
    span = session.ttl * state.config.session_grace
    return state.sessions.deadlines.arm(session.id, state.clock, span)


def session_fault(config: Config, command: SessionOpen) -> Refusal | None:
    """Return why a session cannot be as it is asked for, None if it can."""
    refusal = (
        (None if command.id is None else text_fault("id", command.id, NAME_SIZE_MAX))
        or (Malformed("id", "is empty") if command.id == "" else None)
        or optional_fault("ttl", command.ttl)
        or choice_fault("on_end", command.on_end, ("release", "delete"))
        or number_fault("lock_delay", command.lock_delay)
        or texts_fault("bindings", command.bindings, NAME_SIZE_MAX, _BINDINGS_MAX)
        or text_fault("name", command.name, NAME_SIZE_MAX)
        or _meta_fault(command.meta)
    )
    if refusal is not None or command.ttl is None:
        return refusal
    minimum, maximum = config.session_ttl_min, config.session_ttl_max
    return None if minimum <= command.ttl <= maximum else BadTtl(command.ttl, minimum, maximum)


def _meta_fault(meta: object) -> Refusal | None:
    if type(meta) is not tuple:
        return Malformed("meta", "must be a tuple of pairs")
    if len(meta) > META_MAX:
        return TooLarge("meta", len(meta), META_MAX)
    for pair in meta:
        if type(pair) is not tuple or len(pair) != 2:
            return Malformed("meta", "must be a tuple of pairs")
        if (refusal := texts_fault("meta", pair, NAME_SIZE_MAX)) is not None:
            return refusal
    return None
