"""What the naive model does beside keys: sessions, time, history, quotas, access.

Owns one function for each command that is not an operation on keys, over a `Run`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kvstore.acl.access import Policy, Role, Token
from kvstore.change import Cause
from kvstore.commands import (
    Compact,
    Configure,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Invalidate,
    Noop,
    Rebase,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Tick,
    Unknown,
)
from kvstore.refusals import (
    BadTtl,
    Compacted,
    Future,
    Malformed,
    OverAlready,
    SessionExists,
    Unsupported,
)
from kvstore.results import (
    CloseOk,
    CompactOk,
    ConfigureOk,
    Ok,
    RebaseOk,
    RenewOk,
    Result,
    SessionOk,
    TickOk,
)
from kvstore.state.sessions import Session
from kvstore.testing.naive_run import Refused, Run

# --- sessions


def session_open(run: Run, command: SessionOpen) -> SessionOk:
    """See `SessionOpen`."""
    state, config = run.state, run.state.config
    id_ = f"{run.index:016x}" if command.id is None else command.id
    session = Session(
        id_,
        command.ttl,
        command.on_end,
        min(command.lock_delay, config.lock_delay_max),
        command.bindings,
        command.name,
        command.meta,
        run.index,
    )
    low, high = config.session_ttl_min, config.session_ttl_max
    if command.ttl is not None and not low <= command.ttl <= high:
        raise Refused(BadTtl(command.ttl, low, high))
    run.allow("session_open", session.node)
    if id_ in state.sessions:
        raise Refused(SessionExists(id_))
    state.sessions[id_] = session
    return SessionOk(session, _renew(run, session))


def _renew(run: Run, session: Session) -> int | None:
    """Begin the ttl of a session, and return when it ends."""
    if session.ttl is None:
        return None
    deadline = run.clock + session.ttl * run.state.config.session_grace
    run.state.deadlines[session.id] = deadline
    return deadline


def session_renew(run: Run, command: SessionRenew) -> RenewOk:
    """See `SessionRenew`."""
    state = run.state
    ids = tuple(dict.fromkeys(command.ids))
    known = [state.sessions[id_] for id_ in ids if id_ in state.sessions]
    for session in known:
        run.allow("session_renew", session.node)
    return RenewOk(
        tuple((session.id, _renew(run, session)) for session in known),
        tuple(id_ for id_ in ids if id_ not in state.sessions),
    )


def session_close(run: Run, command: SessionClose) -> CloseOk:
    """See `SessionClose`."""
    session = run.state.sessions.get(command.id)
    if session is None:
        return CloseOk((), 0, 0)
    run.allow("session_close", session.node)
    return CloseOk((session.id,), *_end(run, session))


def invalidate(run: Run, command: Invalidate) -> CloseOk:
    """See `Invalidate`."""
    run.allow("invalidate")
    bound = [
        session
        for _, session in sorted(run.state.sessions.items())
        if set(session.bindings) & set(command.bindings)
    ]
    counts = [_end(run, session) for session in bound]
    released = sum(count for count, _ in counts)
    deleted = sum(count for _, count in counts)
    return CloseOk(tuple(session.id for session in bound), released, deleted)


def _end(run: Run, session: Session) -> tuple[int, int]:
    """End a session; return how many keys were released, and how many deleted."""
    state = run.state
    released = deleted = 0
    for key in state.keys_of(session.id):
        entry = state.entries[key]
        if entry.lock_session == session.id and session.lock_delay:
            state.delays[key] = run.clock + session.lock_delay
        if entry.owner == session.id or session.on_end == "delete":
            run.remove(entry, Cause.SESSION)
            deleted += 1
        else:
            free = entry._replace(lock_session="", lock_revision=0)
            run.write(entry, free, Cause.SESSION)
            released += 1
    del state.sessions[session.id]
    state.deadlines.pop(session.id, None)
    return released, deleted


# --- time


def tick(run: Run, command: Tick) -> TickOk:
    """See `Tick`."""
    state = run.state
    due = sorted((at, id_) for id_, at in state.deadlines.items() if at <= run.clock)
    ending: list[str] = []
    left = command.limit
    for _, id_ in due:
        # A session costs as much as there are keys to free or delete; the first always ends.
        left -= 1 + len(state.keys_of(id_))
        if ending and left < 0:
            break
        ending.append(id_)
    # Keys have to wait for all sessions that are due.
    keys = sorted(_due_keys(run)[: max(0, left)])
    for key in keys:
        run.remove(state.entries[key], Cause.TTL)
    ending.sort()
    for id_ in ending:
        _end(run, state.sessions[id_])
    more = len(due) > len(ending) or bool(_due_keys(run))
    return TickOk(tuple(ending), len(keys), more)


def _due_keys(run: Run) -> list[str]:
    """Return the keys whose time has come, in the order of their deadlines."""
    due = [
        (entry.expires, key)
        for key, entry in run.state.entries.items()
        if entry.expires is not None and entry.expires <= run.clock
    ]
    return [key for _, key in sorted(due)]


def rebase(run: Run, command: Rebase) -> RebaseOk:  # noqa: ARG001 - one signature for all
    """See `Rebase`."""
    if run.now is None:
        raise Refused(Malformed("now", "is missing"))
    run.state.offset = run.clock - run.now
    return RebaseOk(run.state.offset)


# --- upkeep


def compact(run: Run, command: Compact) -> CompactOk:
    """See `Compact`."""
    run.allow("compact")
    past = run.past
    if command.revision <= past.floor:
        raise Refused(Compacted(command.revision, past.floor))
    if command.revision > run.index:
        raise Refused(Future(command.revision, run.index))
    dropped = sum(past.floor < at <= command.revision for at in past.changes)
    past.floor = command.revision
    past.deletions = [(key, at) for key, at in past.deletions if at > command.revision]
    return CompactOk(past.floor, dropped)


def set_quota(run: Run, command: SetQuota) -> Ok:
    """See `SetQuota`."""
    run.check_text("prefix", command.prefix)
    run.allow("set_quota")
    limits = (command.max_keys, command.max_bytes)
    usage = run.state.usage(command.prefix)
    for what, limit, used in zip(("keys", "bytes"), limits, usage, strict=True):
        if limit is not None and used > limit:
            raise Refused(OverAlready(command.prefix, what, limit, used))
    run.state.quotas[command.prefix] = limits
    return Ok()


def drop_quota(run: Run, command: DropQuota) -> Ok:
    """See `DropQuota`."""
    run.allow("drop_quota")
    run.state.quotas.pop(command.prefix, None)
    return Ok()


def configure(run: Run, command: Configure) -> ConfigureOk:
    """See `Configure`."""
    run.allow("configure")
    old = run.state.config
    if command.config.separator != old.separator and run.state.entries:
        raise Refused(Malformed("config", "changes the separator of a store with keys"))
    run.state.config = command.config
    run.acl.set_mode(command.config.acl)
    return ConfigureOk(old)


def noop(run: Run, command: Noop) -> Ok:  # noqa: ARG001
    """See `Noop`."""
    return Ok()


def unknown(run: Run, command: Unknown) -> Ok:  # noqa: ARG001
    """See `Unknown`."""
    raise Refused(Unsupported(command.kind, command.reason))


# --- access


def set_policy(run: Run, command: SetPolicy) -> Ok:
    """See `SetPolicy`."""
    run.allow("set_policy")
    _check_problem(run, "policy", command.policy)
    run.acl.set_policy(command.policy)
    return Ok()


def set_role(run: Run, command: SetRole) -> Ok:
    """See `SetRole`."""
    run.allow("set_role")
    _check_problem(run, "role", command.role)
    run.acl.set_role(command.role)
    return Ok()


def set_token(run: Run, command: SetToken) -> Ok:
    """See `SetToken`."""
    run.allow("set_token")
    _check_problem(run, "token", command.token)
    run.acl.set_token(command.token)
    return Ok()


def _check_problem(run: Run, field: str, value: Policy | Role | Token) -> None:
    if (problem := run.acl.problem(value)) is not None:
        raise Refused(Malformed(field, problem))


def drop_policy(run: Run, command: DropPolicy) -> Ok:
    """See `DropPolicy`."""
    run.allow("drop_policy")
    run.acl.drop_policy(command.name)
    return Ok()


def drop_role(run: Run, command: DropRole) -> Ok:
    """See `DropRole`."""
    run.allow("drop_role")
    run.acl.drop_role(command.name)
    return Ok()


def drop_token(run: Run, command: DropToken) -> Ok:
    """See `DropToken`."""
    run.allow("drop_token")
    run.acl.drop_token(command.accessor)
    return Ok()


UPKEEP: Final[dict[type, Callable[[Run, Any], Result]]] = {
    SessionOpen: session_open,
    SessionRenew: session_renew,
    SessionClose: session_close,
    Invalidate: invalidate,
    Tick: tick,
    Rebase: rebase,
    Compact: compact,
    SetQuota: set_quota,
    DropQuota: drop_quota,
    Configure: configure,
    Noop: noop,
    Unknown: unknown,
    SetPolicy: set_policy,
    SetRole: set_role,
    SetToken: set_token,
    DropPolicy: drop_policy,
    DropRole: drop_role,
    DropToken: drop_token,
}
