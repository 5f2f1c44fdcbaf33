"""What the naive model does to keys: one function for each operation that may change one."""

from __future__ import annotations

from typing import Any

from kvstore.change import Cause
from kvstore.commands import KEEP, Create, Delete, DeleteRange, Lock, Put, Touch, Unlock
from kvstore.entry import Entry
from kvstore.keys import prefix_end
from kvstore.refusals import (
    CasMismatch,
    Delayed,
    Exists,
    Held,
    NoSession,
    NotFound,
    NotHeld,
    VersionMismatch,
)
from kvstore.results import DeleteOk, LockOk, PutOk, TouchOk, UnlockOk
from kvstore.testing.naive_reads import bounds_of
from kvstore.testing.naive_run import Refused, Run
from kvstore.testing.naive_state import Bounds, record_of, select


def put(run: Run, command: Put) -> PutOk:
    """See `Put`."""
    old = run.state.entries.get(command.key)
    if old is None:
        run.check_text("key", command.key)
    run.allow("put", command.key)
    run.check_value(command.value)
    _compare(command.key, old, command.cas, command.if_version)
    base = _blank(command.key) if old is None else old
    value = command.value
    if command.keep_value:
        if old is None:
            raise Refused(NotFound(command.key))
        value = old.value
    new = base._replace(
        value=value,
        flags=base.flags if command.flags is KEEP else command.flags,
        owner=base.owner if command.owner is KEEP else _owner(run, command.owner),
        ttl=base.ttl if command.ttl is KEEP else command.ttl,
    )
    entry = run.write(old, new, Cause.COMMAND, force=command.force)
    previous = None if old is None or not command.want_previous else record_of(old)
    return PutOk(record_of(entry), previous, old is None, entry.expires)


def _owner(run: Run, owner: Any) -> str:
    """Return the owner that a command names, which must be a session."""
    if owner is None:
        return ""
    if owner not in run.state.sessions:
        raise Refused(NoSession(owner))
    return str(owner)


def _compare(key: str, old: Entry | None, cas: int | None, if_version: int | None) -> None:
    """Refuse what is not at the revision or version that a command asks for."""
    if cas is not None and cas != (0 if old is None else old.mod_revision):
        raise Refused(CasMismatch(key, cas, old))
    if if_version is not None and if_version != (0 if old is None else old.version):
        raise Refused(VersionMismatch(key, if_version, old))


def create(run: Run, command: Create) -> PutOk:
    """See `Create`."""
    key = command.key
    directory = key[: key.rfind(run.state.config.separator) + 1]
    number = run.state.sequences.get(directory, 0)
    if command.sequence == "counter":
        # Names that others gave by hand are passed over.
        first = command.key + str(number).zfill(command.width)
        if first in run.state.entries:
            run.allow("create", first)
        while command.key + str(number).zfill(command.width) in run.state.entries:
            number += 1
        key += str(number).zfill(command.width)
    elif command.sequence == "revision":
        key += str(run.index).zfill(20)
    run.check_text("key", key)
    run.allow("create", key)
    run.check_value(command.value)
    owner = _owner(run, command.owner)
    if key in run.state.entries:
        raise Refused(Exists(run.state.entries[key]))
    new = _blank(key)._replace(
        value=command.value, flags=command.flags, owner=owner, ttl=command.ttl
    )
    entry = run.write(None, new, Cause.COMMAND)
    if command.sequence == "counter":
        run.state.sequences[directory] = number + 1
    return PutOk(record_of(entry), None, True, entry.expires)


def delete(run: Run, command: Delete) -> DeleteOk:
    """See `Delete`."""
    old = run.state.entries.get(command.key)
    run.allow("delete", command.key)
    if old is None:
        return DeleteOk(0)
    _compare(command.key, old, command.cas, command.if_version)
    run.remove(old, Cause.COMMAND)
    return DeleteOk(1, (record_of(old),) if command.want_previous else ())


def delete_range(run: Run, command: DeleteRange) -> DeleteOk:
    """See `DeleteRange`."""
    low, high = bounds_of(command)
    run.allow("delete_range", low, end=high)
    selected = select(run.state.entries, (low, high))
    limit = len(selected) if command.limit is None else command.limit
    gone, left = selected[:limit], selected[limit:]
    for entry in gone:
        run.remove(entry, Cause.RANGE)
    if not left:
        _forget_sequences(run, (low, high))
    previous = tuple(map(record_of, gone)) if command.want_previous else ()
    return DeleteOk(len(gone), previous, left[0].key if left else None)


def _forget_sequences(run: Run, bounds: Bounds) -> None:
    """Forget the counters of directories of which nothing can be left."""
    low, high = bounds
    for directory in list(run.state.sequences):
        beyond = prefix_end(directory)
        if low <= directory and (high is None or (beyond is not None and beyond <= high)):
            del run.state.sequences[directory]


def touch(run: Run, command: Touch) -> TouchOk:
    """See `Touch`."""
    touched = set()
    for key in command.keys:
        run.allow("touch", key)
        entry = run.state.entries.get(key)
        if entry is not None and entry.ttl is not None:
            expires = run.clock + entry.ttl
            run.state.entries[key] = entry._replace(expires=expires)
            touched.add(key)
    return TouchOk(len(touched))


# --- locks


def lock(run: Run, command: Lock) -> LockOk:
    """See `Lock`."""
    key, session = command.key, command.session
    old = run.state.entries.get(key)
    run.allow("lock", key)
    if old is None:
        run.check_text("key", key)
    if command.value is not KEEP:
        run.check_value(command.value)
    if session not in run.state.sessions:
        raise Refused(NoSession(session))
    base = _blank(key) if old is None else old
    fresh = base.lock_session != session
    if fresh and base.lock_session:
        raise Refused(Held(key, base.lock_session, base.lock_revision))
    until = run.state.delays.get(key, 0)
    if fresh and until > run.clock:
        raise Refused(Delayed(key, until, run.clock))
    new = _refilled(base, command)
    if fresh:
        new = new._replace(
            lock_session=session,
            lock_count=base.lock_count + 1,
            lock_revision=run.index,
        )
    entry = run.write(old, new, Cause.LOCK)
    return LockOk(record_of(entry), fresh, entry.expires)


def unlock(run: Run, command: Unlock) -> UnlockOk:
    """See `Unlock`."""
    key = command.key
    run.allow("unlock", key)
    if command.value is not KEEP:
        run.check_value(command.value)
    old = run.state.entries.get(key)
    if old is None or old.lock_session != command.session:
        raise Refused(NotHeld(key, "" if old is None else old.lock_session))
    if command.delete:
        run.remove(old, Cause.UNLOCK)
        return UnlockOk(record_of(old), True)
    new = _refilled(old, command)._replace(lock_session="", lock_revision=0)
    entry = run.write(old, new, Cause.UNLOCK)
    return UnlockOk(record_of(entry), False, entry.expires)


def _refilled(entry: Entry, command: Lock | Unlock) -> Entry:
    """Return an entry with the value and flags that come with a lock."""
    return entry._replace(
        value=entry.value if command.value is KEEP else command.value,
        flags=entry.flags if command.flags is KEEP else command.flags,
    )


def _blank(key: str) -> Entry:
    """Return what a key is before it is written."""
    return Entry(key, b"", 0, 0, 0, 0)
