"""Reads of the naive model: what a selection, a filter, an order and a limit leave of a dict.

Owns one function for each operation that reads, and comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from kvstore.acl.access import Level
from kvstore.commands import Check, Count, Get, Keys, Range
from kvstore.entry import Entry
from kvstore.keys import prefix_end
from kvstore.refusals import CheckFailed, Compacted, Future
from kvstore.results import CheckOk, CountOk, GetOk, KeysOk, RangeOk
from kvstore.testing.naive_run import Refused, Run
from kvstore.testing.naive_state import Bounds, Entries, record_of, select, size_of

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}

_SORT_KEYS: Final[dict[str, Callable[[Entry], Any]]] = {
    "key": lambda entry: entry.key,
    "version": lambda entry: entry.version,
    "create": lambda entry: entry.create_revision,
    "mod": lambda entry: entry.mod_revision,
    "value": lambda entry: entry.value,
}


def bounds_of(command: Any) -> Bounds:
    """Return the bounds of a command with a selection."""
    if command.prefix is not None:
        return command.prefix, prefix_end(command.prefix)
    return command.start, command.end


def chosen(command: Range, selected: Sequence[Entry]) -> tuple[list[Entry], str | None]:
    """Return what a range tells of the selected entries, and the last key if it was cut."""
    entries = [entry for entry in selected if _passes(command, entry)]
    # Python sorts stably, reversed too: equal ones stay in the order of keys.
    entries.sort(key=_SORT_KEYS[command.sort], reverse=command.descending)
    if command.after is not None:
        entries = [entry for entry in entries if _is_behind(command, entry.key)]
    limit = len(entries) if command.limit is None else command.limit
    told: list[Entry] = []
    size = 0
    for each in entries:
        entry = each._replace(value=b"") if command.keys_only else each
        size += size_of(entry)
        too_large = command.max_bytes is not None and size > command.max_bytes
        if len(told) == limit or (told and too_large):
            return told, told[-1].key
        told.append(entry)
    return told, None


def _is_behind(command: Range, key: str) -> bool:
    assert command.after is not None
    return key < command.after if command.descending else key > command.after


def _passes(command: Range, entry: Entry) -> bool:
    """Return whether an entry passes the filters of a range."""
    return (
        (command.min_mod_revision is None or entry.mod_revision >= command.min_mod_revision)
        and (command.max_mod_revision is None or entry.mod_revision <= command.max_mod_revision)
        and (
            command.min_create_revision is None
            or entry.create_revision >= command.min_create_revision
        )
        and (
            command.max_create_revision is None
            or entry.create_revision <= command.max_create_revision
        )
    )


def folded(command: Keys, keys: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the names that a list tells of some sorted keys, and the last one if it was cut."""
    names: list[str] = []
    for key in keys:
        head, separator, _ = key[len(command.prefix) :].partition(command.separator or "\0")
        name = command.prefix + head + separator
        if name not in names:
            names.append(name)
    if command.after is not None:
        names = [name for name in names if name > command.after]
    if command.limit is None or len(names) <= command.limit:
        return names, None
    return names[: command.limit], names[command.limit - 1]


def failing(command: Check, entries: Entries) -> tuple[str, Entry | None] | None:
    """Return the first key that does not pass a check with its entry, None if all pass.

    Where nothing was selected the key is the beginning of the selection.
    """
    if command.key is not None:
        entry = entries.get(command.key)
        return None if _holds(command, entry) else (command.key, entry)
    bounds = bounds_of(command)
    selected = select(entries, bounds)
    for entry in selected:
        if not _holds(command, entry):
            return entry.key, entry
    return None if selected or _holds(command, None) else (bounds[0], None)


def _holds(command: Check, entry: Entry | None) -> bool:
    """Return whether one entry, or its absence, passes a check."""
    compare = _OPERATORS[command.operator]
    found: object
    if command.target == "exists":
        found = entry is not None
    elif command.target == "value":
        if entry is None:
            return False
        found = entry.value
    elif command.target in {"lock", "owner"}:
        found = "" if entry is None else getattr(entry, _FIELDS[command.target])
    else:
        found = 0 if entry is None else getattr(entry, _FIELDS[command.target])
    return compare(found, command.operand)


_FIELDS: Final = {
    "lock": "lock_session",
    "owner": "owner",
    "create": "create_revision",
    "mod": "mod_revision",
    "version": "version",
    "flags": "flags",
}


def _check_revision(run: Run, revision: int | None) -> None:
    """Refuse a revision that cannot be read."""
    if revision is not None and revision > run.index:
        raise Refused(Future(revision, run.index))
    if revision is not None and revision < run.past.floor:
        raise Refused(Compacted(revision, run.past.floor))


def _entries(run: Run, revision: int | None) -> Entries:
    """Return the entries as of a revision, or as this command has made them."""
    if revision is None or revision == run.index:
        return run.state.entries
    if revision >= run.past.revision and not run.state.causes:
        return run.state.entries
    return {key: entry._replace(expires=None) for key, entry in run.past.at(revision).items()}


def _revision_read(run: Run, revision: int | None) -> int:
    return run.index if revision is None else revision


def allow_check(run: Run, command: Check) -> None:
    """Refuse a check of what the actor may not read."""
    if command.key is not None:
        run.allow("check", command.key)
    else:
        run.allow_range("check", bounds_of(command), Level.READ)


def check(run: Run, command: Check) -> CheckOk:
    """See `Check`."""
    allow_check(run, command)
    found = failing(command, run.state.entries)
    if found is not None:
        raise Refused(CheckFailed(*found))
    entry = None if command.key is None else run.state.entries.get(command.key)
    return CheckOk(None if entry is None else record_of(entry))


def get(run: Run, command: Get) -> GetOk:
    """See `Get`."""
    _check_revision(run, command.revision)
    run.allow("get", command.key)
    entry = _entries(run, command.revision).get(command.key)
    return GetOk(
        None if entry is None else record_of(entry),
        None if entry is None else entry.expires,
        run.past.last_change(command.key, run.state.entries),
        _revision_read(run, command.revision),
    )


def read_range(run: Run, command: Range) -> RangeOk:
    """See `Range`."""
    _check_revision(run, command.revision)
    _check_revision(run, command.include_deleted_since)
    bounds = bounds_of(command)
    readable, filtered = _readable(run, bounds, command.revision)
    told, last = chosen(command, readable)
    return RangeOk(
        tuple(map(record_of, told)),
        len(readable),
        last if command.sort == "key" else None,
        last is not None,
        _index_of(run, bounds),
        _revision_read(run, command.revision),
        filtered,
        _deleted(run, bounds, command.include_deleted_since),
        tuple((entry.key, entry.expires) for entry in told if entry.expires is not None),
    )


def _readable(run: Run, bounds: Bounds, revision: int | None) -> tuple[list[Entry], bool]:
    """Return the entries within bounds that the actor may read, and whether others are told of."""
    if not run.is_known():
        run.allow("range", bounds[0])
    if run.state.config.list_needs_right:
        run.allow_range("list", bounds, Level.LIST)
    selected = select(_entries(run, revision), bounds)
    readable = [entry for entry in selected if run.may("range", entry.key)]
    return readable, len(readable) < len(selected) and not run.is_anonymous()


def _deleted(run: Run, bounds: Bounds, since: int | None) -> tuple[tuple[str, int], ...]:
    """Return the keys deleted after a revision and absent since, with the last deletion."""
    if since is None:
        return ()
    low, high = bounds
    deletions = [*run.past.deletions, *((key, run.index) for key in sorted(run.before))]
    last = {
        key: revision
        for key, revision in deletions
        if revision > since
        and key not in run.state.entries
        and low <= key
        and (high is None or key < high)
    }
    return tuple((key, last[key]) for key in sorted(last) if run.may("range", key))


def count(run: Run, command: Count) -> CountOk:
    """See `Count`."""
    _check_revision(run, command.revision)
    bounds = bounds_of(command)
    readable, filtered = _readable(run, bounds, command.revision)
    return CountOk(
        len(readable), _index_of(run, bounds), _revision_read(run, command.revision), filtered
    )


def keys(run: Run, command: Keys) -> KeysOk:
    """See `Keys`."""
    _check_revision(run, command.revision)
    bounds = (command.prefix, prefix_end(command.prefix))
    readable, filtered = _readable(run, bounds, command.revision)
    names, last = folded(command, [entry.key for entry in readable])
    return KeysOk(
        tuple(names), last, _index_of(run, bounds), _revision_read(run, command.revision), filtered
    )


def _index_of(run: Run, bounds: Bounds) -> int:
    """Return the revision of the last change within bounds, or 1 if none is remembered."""
    low, high = bounds
    known = [entry.mod_revision for entry in select(run.state.entries, bounds)]
    known += [
        revision
        for key, revision in run.past.deletions
        if low <= key and (high is None or key < high)
    ]
    return max([1, *known])
