"""What the commands on single keys do, alone and in a transaction.

Each operation is a function of a space and a command that makes its change and returns its
answer, or returns a refusal and changes nothing. In a transaction the space is a draft.

Source: Consul agent/consul/state/kvs.go (writes that change nothing, locks, compare-and-set),
etcd server/etcdserver/txn (keeping the value), ZooKeeper DataTree (versions, sequential names).
"""

from __future__ import annotations

from typing import Final, cast

from kvstore.applying.fields import (
    NAME_SIZE_MAX,
    choice_fault,
    flags_fault,
    key_fault,
    number_fault,
    optional_fault,
    selection,
    switch_fault,
    text_fault,
    texts_fault,
    value_fault,
)
from kvstore.change import Cause
from kvstore.commands import KEEP, Create, Delete, DeleteRange, Keep, Lock, Put, Touch, Unlock
from kvstore.config import INTEGER_MAX, KEY_SIZE_LIMIT, UNSIGNED_MAX
from kvstore.entry import (
    BONDS,
    FLAGS,
    KEY,
    LOCK_COUNT,
    LOCK_SESSION,
    MOD_REVISION,
    NO_BONDS,
    OWNER,
    TTL,
    VALUE,
    VERSION,
    Bonds,
    Record,
    make_bonds,
    make_entry,
)
from kvstore.refusals import (
    CasMismatch,
    Delayed,
    Exists,
    Held,
    Malformed,
    NoSession,
    NotFound,
    NotHeld,
    Refusal,
    VersionMismatch,
)
from kvstore.results import DeleteOk, LockOk, PutOk, TouchOk, UnlockOk
from kvstore.state.directories import directory_of
from kvstore.state.state import Space, State, entry_of

_COMMAND: Final = int(Cause.COMMAND)
_LOCK: Final = int(Cause.LOCK)
_UNLOCK: Final = int(Cause.UNLOCK)
_RANGE: Final = int(Cause.RANGE)


def put(  # noqa: C901, PLR0911 (one path, in order)
    space: Space, command: Put
) -> PutOk | Refusal:
    """Write a key."""
    state = space.state
    key, value, flags = command.key, command.value, command.flags
    old = state.tree.records.get(key) if type(key) is str else None
    config = state.config
    # Most writes have nothing that could be refused, which is sooner seen than asked.
    is_plain = (
        type(value) is bytes
        and len(value) <= config.value_size_max
        and type(flags) is int
        and 0 <= flags <= UNSIGNED_MAX
        and command.cas is None
        and command.if_version is None
        and command.keep_value is command.force is command.want_previous is False
        and not state.guarded
        and (
            old is not None
            or (
                type(key) is str
                and key.isascii()
                and 0 < len(key) <= config.key_size_max
                and "\0" not in key
            )
        )
    )
    if not is_plain and (refusal := _put_refused(space, command, old)) is not None:
        return refusal
    before = bonds = None if old is None else old[BONDS]
    if command.owner is not KEEP or command.ttl is not KEEP:
        rebound = _rebound(state, before, command.owner, command.ttl)
        if isinstance(rebound, Refusal):
            return rebound
        bonds = before if rebound == before else rebound
    if flags is KEEP:
        flags = 0 if old is None else old[FLAGS]
    if old is None:
        if bonds is not None or state.limited:
            return _add(space, key, value, flags, bonds, _COMMAND)
        return PutOk(space.create(key, value, flags, None, _COMMAND), None, True)
    if command.keep_value:
        value = old[VALUE]
    changed = value != old[VALUE] or flags != old[FLAGS] or bonds is not before or command.force
    if changed and (bonds is not before or state.limited):
        refusal = space.room(key, old, len(value), bonds)
        if refusal is not None:
            return refusal
    expires = None if bonds is None else _rearm(space, key, bonds)
    previous = old if command.want_previous else None
    if not changed:
        return PutOk(old, previous, False, expires)
    if command.force:
        space.force(key)
    return PutOk(space.update(old, value, flags, bonds, _COMMAND), previous, False, expires)


def create(space: Space, command: Create) -> PutOk | Refusal:
    """Write a key that is absent."""
    state = space.state
    config = state.config
    key, number = command.key, 0
    if (refusal := _name_fault(command)) is not None:
        return refusal
    if command.sequence is not None:
        named = _next_name(state, command)
        if isinstance(named, Refusal):
            return named
        key, number = named
    # Who may not write the key learns nothing else, such as whether a session exists.
    refusal = (
        key_fault(key, config.key_size_max)
        or state.denied("create", key)
        or value_fault(command.value, config)
        or flags_fault(command.flags)
        or _keep_fault(command)
    )
    if refusal is not None:
        return refusal
    bonds = _rebound(state, None, command.owner, command.ttl)
    if isinstance(bonds, Refusal):
        return bonds
    if (old := state.tree.records.get(key)) is not None:
        return Exists(make_entry(old, space.expires(old)))
    result = _add(space, key, command.value, command.flags, bonds, _COMMAND)
    if command.sequence == "counter" and not isinstance(result, Refusal):
        space.put_sequence(directory_of(key, config.separator), number + 1)
    return result


def delete(space: Space, command: Delete) -> DeleteOk | Refusal:
    """Delete a key."""
    state = space.state
    key = command.key
    old = state.tree.records.get(key) if type(key) is str else None
    if old is None and (refusal := key_fault(key)) is not None:
        return refusal
    if state.guarded and (refusal := state.denied("delete", key)) is not None:
        return refusal
    if type(command.want_previous) is not bool:
        return cast("Refusal", switch_fault("want_previous", command.want_previous))
    if command.cas is not None or command.if_version is not None:
        refusal = _mismatch(space, key, old, command.cas, command.if_version)
        if refusal is not None and (old is not None or isinstance(refusal, Malformed)):
            return refusal
    if old is None:
        return DeleteOk(0)
    space.delete(old, _COMMAND)
    return DeleteOk(1, (old,) if command.want_previous else ())


def delete_range(space: Space, command: DeleteRange) -> DeleteOk | Refusal:
    """Delete the keys of a selection."""
    state = space.state
    bounds = selection(command)
    if isinstance(bounds, Refusal):
        return bounds
    refusal = optional_fault("limit", command.limit, 1) or switch_fault(
        "want_previous", command.want_previous
    )
    if refusal is not None or (refusal := state.range_denied("delete_range", *bounds)) is not None:
        return refusal
    tree = state.tree
    limit = None if command.limit is None else command.limit + 1
    keys = tree.keys.between(*bounds, limit)
    rest = None
    if command.limit is not None and len(keys) > command.limit:
        rest = keys.pop()
    else:
        for directory in state.sequences.covered(*bounds):
            space.put_sequence(directory, 0)
    records = tree.records
    gone = [records[key] for key in keys]
    for old in gone:
        space.delete(old, _RANGE)
    return DeleteOk(len(gone), tuple(gone) if command.want_previous else (), rest)


def touch(space: Space, command: Touch) -> TouchOk | Refusal:
    """Begin the ttl of keys anew."""
    state = space.state
    refusal = texts_fault("keys", command.keys, KEY_SIZE_LIMIT)
    if refusal is not None:
        return refusal
    for key in command.keys:
        if (refusal := state.denied("touch", key)) is not None:
            return refusal
    count = 0
    for key in dict.fromkeys(command.keys):
        record = state.tree.records.get(key)
        bonds = None if record is None else record[BONDS]
        if bonds is not None and bonds[TTL] is not None:
            space.rearm(key, bonds[TTL])
            count += 1
    return TouchOk(count)


def lock(space: Space, command: Lock) -> LockOk | Refusal:  # noqa: PLR0911 (refusals)
    """Take the lock of a key."""
    state = space.state
    key, session = command.key, command.session
    refusal = key_fault(key) or text_fault("session", session, NAME_SIZE_MAX)
    if refusal is not None or (refusal := state.denied("lock", key)) is not None:
        return refusal
    old = state.tree.records.get(key)
    if old is None and (refusal := key_fault(key, state.config.key_size_max)) is not None:
        return refusal
    content = _content(state, old, command.value, command.flags)
    if isinstance(content, Refusal):
        return content
    value, flags = content
    if session not in state.sessions.table:
        return NoSession(session)
    before = None if old is None else old[BONDS]
    count, holder, since, owner, ttl = before or NO_BONDS
    if holder not in {"", session}:
        return Held(key, holder, since)
    fresh = not holder
    if fresh and (until := state.sessions.delay(key, state.clock)) is not None:
        return Delayed(key, until, state.clock)
    bonds = before
    if fresh:
        bonds = make_bonds(count + 1, session, state.index, owner, ttl)
    if old is None:
        added = _add(space, key, value, flags, bonds, _LOCK)
        return added if isinstance(added, Refusal) else LockOk(added.record, True, None)
    changed = _change(space, old, value, flags, bonds, _LOCK)
    return changed if isinstance(changed, Refusal) else LockOk(changed[0], fresh, changed[1])


def unlock(space: Space, command: Unlock) -> UnlockOk | Refusal:
    """Give back the lock of a key."""
    state = space.state
    key, session = command.key, command.session
    refusal = (
        key_fault(key)
        or text_fault("session", session, NAME_SIZE_MAX)
        or switch_fault("delete", command.delete)
    )
    if refusal is not None or (refusal := state.denied("unlock", key)) is not None:
        return refusal
    old = state.tree.records.get(key)
    content = _content(state, old, command.value, command.flags)
    if isinstance(content, Refusal):
        return content
    bonds = None if old is None else old[BONDS]
    if old is None or bonds is None or not session or bonds[LOCK_SESSION] != session:
        return NotHeld(key, "" if bonds is None else bonds[LOCK_SESSION])
    if command.delete:
        space.delete(old, _UNLOCK)
        return UnlockOk(old, True)
    free = make_bonds(bonds[LOCK_COUNT], "", 0, bonds[OWNER], bonds[TTL])
    changed = _change(space, old, *content, free, _UNLOCK)
    return changed if isinstance(changed, Refusal) else UnlockOk(changed[0], False, changed[1])


# --- what they have in common


def _put_refused(  # noqa: PLR0911 (refusals)
    space: Space, command: Put, old: Record | None
) -> Refusal | None:
    """Return why a key cannot be written so, None if it can."""
    state = space.state
    if old is None and (refusal := key_fault(command.key, state.config.key_size_max)) is not None:
        return refusal
    if state.guarded and (refusal := state.denied("put", command.key)) is not None:
        return refusal
    value, flags = command.value, command.flags
    if type(value) is not bytes or len(value) > state.config.value_size_max:
        return value_fault(value, state.config)
    if flags is not KEEP and (type(flags) is not int or not 0 <= flags <= UNSIGNED_MAX):
        return flags_fault(flags)
    if (refusal := _switches_fault(command)) is not None:
        return refusal
    if command.keep_value and old is None:
        return NotFound(command.key)
    if command.cas is None and command.if_version is None:
        return None
    return _mismatch(space, command.key, old, command.cas, command.if_version)


def _switches_fault(command: Put) -> Refusal | None:
    return (
        switch_fault("keep_value", command.keep_value)
        or switch_fault("force", command.force)
        or switch_fault("want_previous", command.want_previous)
    )


def _add(
    space: Space, key: str, value: bytes, flags: int, bonds: Bonds | None, cause: int
) -> PutOk | Refusal:
    """Add a key that is absent, if there is room."""
    if (refusal := space.room(key, None, len(value), bonds)) is not None:
        return refusal
    record = space.create(key, value, flags, bonds, cause)
    return PutOk(record, None, True, None if bonds is None else _rearm(space, key, bonds))


def _change(
    space: Space, old: Record, value: bytes, flags: int, bonds: Bonds | None, cause: int
) -> tuple[Record, int | None] | Refusal:
    """Replace what a key holds if anything is different; return the record and its deadline."""
    key = old[KEY]
    changed = value != old[VALUE] or flags != old[FLAGS] or bonds != old[BONDS]
    if changed and (refusal := space.room(key, old, len(value), bonds)) is not None:
        return refusal
    expires = None if bonds is None else _rearm(space, key, bonds)
    return (space.update(old, value, flags, bonds, cause) if changed else old), expires


def _rearm(space: Space, key: str, bonds: Bonds) -> int | None:
    """Begin the ttl of a key anew if it has one; return when it ends."""
    return None if bonds[TTL] is None else space.rearm(key, bonds[TTL])


def _mismatch(
    space: Space, key: str, old: Record | None, cas: int | None, version: int | None
) -> Refusal | None:
    """Return why a write may not go on from what the key is, None if it may."""
    refusal = optional_fault("cas", cas) or optional_fault("if_version", version)
    if refusal is not None:
        return refusal
    if cas is not None and cas != (0 if old is None else old[MOD_REVISION]):
        return CasMismatch(key, cas, entry_of(space, old))
    if version is not None and version != (0 if old is None else old[VERSION]):
        return VersionMismatch(key, version, entry_of(space, old))
    return None


def _rebound(
    state: State, bonds: Bonds | None, owner: str | Keep | None, ttl: int | Keep | None
) -> Bonds | Refusal | None:
    """Return bonds with another owner or ttl, or why they cannot be had."""
    count, holder, since, old_owner, old_ttl = bonds or NO_BONDS
    if owner is KEEP:
        owner = old_owner
    elif owner is None:
        owner = ""
    else:
        if (refusal := text_fault("owner", owner, NAME_SIZE_MAX)) is not None:
            return refusal
        if owner not in state.sessions.table:
            return NoSession(owner)
    if ttl is KEEP:
        ttl = old_ttl
    elif ttl is not None and (refusal := number_fault("ttl", ttl, 1)) is not None:
        return refusal
    return make_bonds(count, holder, since, owner, ttl)


def _content(
    state: State, old: Record | None, value: bytes | Keep, flags: int | Keep
) -> tuple[bytes, int] | Refusal:
    """Return the value and flags that a lock's key shall have."""
    if value is KEEP:
        value = b"" if old is None else old[VALUE]
    elif (refusal := value_fault(value, state.config)) is not None:
        return refusal
    if flags is KEEP:
        flags = 0 if old is None else old[FLAGS]
    elif (refusal := flags_fault(flags)) is not None:
        return refusal
    return value, flags


def _name_fault(command: Create) -> Refusal | None:
    """Return why a command cannot make a name, None if it can."""
    fault = number_fault("width", command.width, 1, 20)
    if fault is not None or command.sequence is None:
        return fault
    # How long the stem may be is a matter of the name that is made of it.
    return choice_fault("sequence", command.sequence, ("counter", "revision")) or text_fault(
        "key", command.key, INTEGER_MAX
    )


def _keep_fault(command: Create) -> Refusal | None:
    fields: tuple[tuple[str, object], ...] = (("owner", command.owner), ("ttl", command.ttl))
    for field, value in fields:
        if value is KEEP:
            return Malformed(field, "has nothing to be kept")
    return None


def _next_name(state: State, command: Create) -> tuple[str, int] | Refusal:
    """Return the name that comes next, and its number, or why there is none for the actor.

    Complexity: O(names that were given by hand since a number was given last).
    """
    if command.sequence == "revision":
        return f"{command.key}{state.index:020d}", state.index
    records, width = state.tree.records, command.width
    number = state.sequences.next(directory_of(command.key, state.config.separator))
    key = f"{command.key}{number:0{width}d}"
    # Who may not write the next name neither makes the store look for another nor hears of it.
    if key in records and (refusal := state.denied("create", key)) is not None:
        return refusal
    # Names that were given by hand are passed over, each once.
    while (key := f"{command.key}{number:0{width}d}") in records:
        number += 1
    return key, number
