"""Reads: of one key, of selections, of names folded at a separator; now and in the past.

Each is a function of a space and a command, as in operations.py, and changes nothing. What the
actor may not read is a refusal for a single key, and left out of selections, which tell so to
actors with a token of their own.

Source: etcd server/mvcc (order of filters, sorting and limit; counts), Consul
agent/consul/kvs_endpoint.go (folding, filtering).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, starmap
from operator import itemgetter
from typing import Final, TypeAlias

from kvstore.acl.authorizer import Authorizer
from kvstore.acl.rules import ANONYMOUS, Level
from kvstore.applying.fields import (
    Bounds,
    choice_fault,
    key_fault,
    number_fault,
    optional_fault,
    selection,
    switch_fault,
    text_fault,
)
from kvstore.commands import Count, Get, Keys, Range
from kvstore.config import KEY_SIZE_LIMIT
from kvstore.entry import CREATE_REVISION, KEY, MOD_REVISION, VALUE, VERSION, Record
from kvstore.keys import prefix_end
from kvstore.refusals import Compacted, Denied, Future, Malformed, Refusal
from kvstore.results import CountOk, GetOk, KeysOk, RangeOk
from kvstore.state.ordered import OrderedKeys
from kvstore.state.quotas import key_size
from kvstore.state.state import Space, State, expiries

_SORTS: Final = {
    "version": itemgetter(VERSION),
    "create": itemgetter(CREATE_REVISION),
    "mod": itemgetter(MOD_REVISION),
    "value": itemgetter(VALUE),
}
_TARGETS: Final = ("key", *_SORTS)

#: Keys looked at together when names are folded.
_BATCH_MIN: Final = 8
_BATCH_MAX: Final = 512

# What leaves out the keys that may not be read, None if nothing has to.
Filter: TypeAlias = Authorizer | None


def get(space: Space, command: Get) -> GetOk | Refusal:
    """Read one key."""
    state = space.state
    key, revision = command.key, command.revision
    refusal = key_fault(key) or revision_fault(state, revision)
    if refusal is not None:
        return refusal
    if state.guarded and (refusal := state.denied("get", key)) is not None:
        return refusal
    index = space.index_to_wait(state.tree.index_of(key))
    if revision is not None and not space.is_now(revision):
        return GetOk(space.past(key, revision), None, index, revision)
    record = state.tree.records.get(key)
    expires = None if record is None else space.expires(record)
    return GetOk(record, expires, index, state.index if revision is None else revision)


def range_(space: Space, command: Range) -> RangeOk | Refusal:
    """Read the entries of a selection."""
    state = space.state
    bounds = selection(command)
    if isinstance(bounds, Refusal):
        return bounds
    readable = _range_fault(state, command) or _readable(state, bounds)
    if isinstance(readable, Refusal):
        return readable
    source = _Source(space, bounds, command.revision, readable)
    low, high = bounds
    if command.after is not None:
        low, high = _behind(command.after, low, high, command.descending)
    if command.sort == "key" and not _has_filters(command):
        limit = None if command.limit is None else command.limit + 1
        found = source.between(low, high, limit, reverse=command.descending)
    else:
        found = _filter_and_sort(source.between(low, high), command)
    found, more = _cut(found, command)
    last = found[-1][KEY] if found else command.after
    if command.keys_only:
        found = [(record[KEY], b"", *record[2:]) for record in found]
    revision = command.revision
    return RangeOk(
        tuple(found),
        source.count(*bounds),
        last if more and command.sort == "key" else None,
        more,
        wait_index(space, bounds),
        state.index if revision is None else revision,
        source.filtered,
        _deleted(space, bounds, command.include_deleted_since, readable),
        expiries(space, found) if source.is_now else (),
    )


def count(space: Space, command: Count) -> CountOk | Refusal:
    """Count the keys of a selection."""
    state = space.state
    bounds = selection(command)
    if isinstance(bounds, Refusal):
        return bounds
    readable = revision_fault(state, command.revision) or _readable(state, bounds)
    if isinstance(readable, Refusal):
        return readable
    source = _Source(space, bounds, command.revision, readable)
    revision = state.index if command.revision is None else command.revision
    return CountOk(source.count(*bounds), wait_index(space, bounds), revision, source.filtered)


def keys(space: Space, command: Keys) -> KeysOk | Refusal:
    """List keys, folded at a separator."""
    state = space.state
    prefix, separator, after = command.prefix, command.separator, command.after
    refusal = (
        text_fault("prefix", prefix, KEY_SIZE_LIMIT)
        or text_fault("separator", separator, KEY_SIZE_LIMIT)
        or optional_fault("limit", command.limit)
        or (None if after is None else text_fault("after", after, KEY_SIZE_LIMIT))
        or revision_fault(state, command.revision)
    )
    if refusal is not None:
        return refusal
    high = prefix_end(prefix)
    readable = _readable(state, (prefix, high))
    if isinstance(readable, Refusal):
        return readable
    source = _Source(space, (prefix, high), command.revision, readable)
    low = prefix if after is None else _behind_name(after, prefix, separator)
    limit = command.limit
    names: list[str] = []
    if low is not None:
        wanted = None if limit is None else limit + 1
        names = _fold(source.keys, (max(low, prefix), high), prefix, separator, wanted)
    following = None
    if limit is not None and len(names) > limit:
        names = names[:limit]
        following = names[-1] if names else after
    return KeysOk(
        tuple(names),
        following,
        wait_index(space, (prefix, high)),
        state.index if command.revision is None else command.revision,
        source.filtered,
    )


class _Source:
    """The keys of a selection that are to be read, with their records.

    Attributes:
        keys: The keys in order; more than the selection if nothing has to be left out.
        filtered: Whether keys of the selection were left out, for who is known to ask.
        is_now: Whether the present is read, not the past.
    """

    __slots__ = ("_records", "filtered", "is_now", "keys")

    def __init__(
        self, space: Space, bounds: Bounds, revision: int | None, readable: Filter
    ) -> None:
        tree = space.state.tree
        self.filtered = False
        self.is_now = revision is None or space.is_now(revision)
        self.keys = tree.keys
        self._records: Mapping[str, Record] = tree.records
        if revision is not None and not self.is_now:
            past = space.past_between(*bounds, revision)
            self._records = {record[KEY]: record for record in past}
            self.keys = OrderedKeys(list(self._records))
        if readable is not None:
            parts = readable.reach(*bounds)
            allowed = readable.filter_keys(chain.from_iterable(starmap(self.keys.between, parts)))
            # Who shows no token may be anybody, and is not told that there is more (Consul's
            # agent/consul/rpc.go maskResultsFilteredByACLs).
            known = space.state.actor not in {None, ANONYMOUS}
            self.filtered = known and len(allowed) < self.keys.count(*bounds)
            self.keys = OrderedKeys(allowed)

    def count(self, low: str, high: str | None) -> int:
        """Return how many keys there are in a range."""
        return self.keys.count(low, high)

    def between(
        self, low: str, high: str | None, limit: int | None = None, *, reverse: bool = False
    ) -> list[Record]:
        """Return the records of the keys in a range."""
        found = self.keys.between(low, high, limit, reverse=reverse)
        return list(map(self._records.__getitem__, found))


def revision_fault(state: State, revision: int | None) -> Refusal | None:
    """Return why a revision cannot be read, None if it can; None is the present."""
    if revision is None:
        return None
    if (refusal := number_fault("revision", revision)) is not None:
        return refusal
    if revision > state.index:
        return Future(revision, state.index)
    floor = state.tree.history.floor
    return Compacted(revision, floor) if revision < floor else None


def wait_index(space: Space, bounds: Bounds) -> int:
    """Return an index to wait with for changes in a range. Complexity: O(length of a key).

    That of the lowest directory that holds the whole range: the last change in the range is not
    above it, and whatever changes later is.
    """
    tree = space.state.tree
    return space.index_to_wait(tree.index_below(tree.directories.enclosing(*bounds)))


# --- selections


def _range_fault(state: State, command: Range) -> Refusal | None:
    """Return why the options of a range don't go together, None if they do."""
    after = command.after
    return (
        revision_fault(state, command.revision)
        or optional_fault("limit", command.limit)
        or optional_fault("max_bytes", command.max_bytes)
        or choice_fault("sort", command.sort, _TARGETS)
        or switch_fault("descending", command.descending)
        or switch_fault("keys_only", command.keys_only)
        or _filters_fault(command)
        or (None if after is None else text_fault("after", after, KEY_SIZE_LIMIT))
        or (_after_fault(command) if after is not None else None)
        or _since_fault(state, command)
    )


def _filters_fault(command: Range) -> Refusal | None:
    return (
        optional_fault("min_mod_revision", command.min_mod_revision)
        or optional_fault("max_mod_revision", command.max_mod_revision)
        or optional_fault("min_create_revision", command.min_create_revision)
        or optional_fault("max_create_revision", command.max_create_revision)
    )


def _after_fault(command: Range) -> Refusal | None:
    if command.sort == "key":
        return None
    return Malformed("after", "goes on in the order of keys only")


def _since_fault(state: State, command: Range) -> Refusal | None:
    since = command.include_deleted_since
    if since is None:
        return None
    if command.revision is not None:
        return Malformed("include_deleted_since", "is about the present, not about a revision")
    return revision_fault(state, since)


def _readable(state: State, bounds: Bounds) -> Filter | Refusal:
    """Return what leaves out the keys that the actor may not read, or why it reads none."""
    if not state.guarded:
        return None
    authorizer = state.acl.authorizer(state.actor, state.clock)
    if authorizer is None:
        return state.denied("range", bounds[0])
    if state.config.list_needs_right:
        decision = authorizer.decide_range(*bounds, Level.LIST)
        if not decision.allowed:
            return Denied("list", bounds[0], str(decision))
    return None if authorizer.allows_range(*bounds, Level.READ) else authorizer


def _behind(after: str, low: str, high: str | None, descending: bool) -> Bounds:
    """Return what is left of a range behind a key."""
    if descending:
        return low, after if high is None else min(high, after)
    # No key holds a NUL, so that this is the first text above the key.
    return max(low, after + "\0"), high


def _has_filters(command: Range) -> bool:
    return not (
        command.min_mod_revision is None
        and command.max_mod_revision is None
        and command.min_create_revision is None
        and command.max_create_revision is None
    )


def _filter_and_sort(records: list[Record], command: Range) -> list[Record]:
    least_mod, least_create = command.min_mod_revision or 0, command.min_create_revision or 0
    most_mod, most_create = command.max_mod_revision, command.max_create_revision
    found = [
        record
        for record in records
        if record[MOD_REVISION] >= least_mod
        and record[CREATE_REVISION] >= least_create
        and (most_mod is None or record[MOD_REVISION] <= most_mod)
        and (most_create is None or record[CREATE_REVISION] <= most_create)
    ]
    if command.sort != "key":
        found.sort(key=_SORTS[command.sort], reverse=command.descending)
    elif command.descending:
        found.reverse()
    return found


def _cut(records: list[Record], command: Range) -> tuple[list[Record], bool]:
    """Return the records that fit the limits, and whether any do not."""
    limit, max_bytes = command.limit, command.max_bytes
    fit = len(records) if limit is None else min(limit, len(records))
    if max_bytes is not None:
        size = 0
        for place in range(fit):
            size += key_size(records[place][KEY])
            if not command.keys_only:
                size += len(records[place][VALUE])
            if size > max_bytes and place:
                fit = place
                break
    return (records, False) if fit == len(records) else (records[:fit], True)


def _deleted(
    space: Space, bounds: Bounds, since: int | None, readable: Filter
) -> tuple[tuple[str, int], ...]:
    """Return the keys of a range that were deleted after a revision, and when."""
    if since is None:
        return ()
    found = space.deleted_between(*bounds, since)
    if readable is not None:
        allowed = set(readable.filter_keys(key for key, _ in found))
        found = [(key, revision) for key, revision in found if key in allowed]
    return tuple(found)


# --- folding


def _fold(
    keys: OrderedKeys, bounds: Bounds, prefix: str, separator: str, limit: int | None
) -> list[str]:
    """Return the names that the keys of a range fold to, the first `limit` of them.

    Keys behind a cut are not visited: the search goes on at the first key beyond them.

    Complexity: O(names log n).
    """
    following: str | None = bounds[0]
    names: list[str] = []
    size = _BATCH_MIN
    while following is not None and (limit is None or len(names) < limit):
        low = following
        batch = keys.between(low, bounds[1], size)
        for key in batch:
            if following is None or key < following:
                continue
            name = _name(key, prefix, separator)
            names.append(name)
            following = _beyond(name, prefix, separator)
        if len(batch) < size:
            break
        # Few at once while most of them are folded away, many while most of them are told.
        folded = following is None or names[-1] != batch[-1]
        size = _BATCH_MIN if folded else min(2 * size, _BATCH_MAX)
    return names if limit is None else names[:limit]


def _name(key: str, prefix: str, separator: str) -> str:
    """Return the name that a key below a prefix folds to."""
    cut = key.find(separator, len(prefix)) if separator else -1
    return key if cut < 0 else key[: cut + len(separator)]


def _behind_name(after: str, prefix: str, separator: str) -> str | None:
    """Return the first text whose name is above a text, which need not be a name itself."""
    if after.startswith(prefix):
        after = _name(after, prefix, separator)
    return _beyond(after, prefix, separator)


def _beyond(name: str, prefix: str, separator: str) -> str | None:
    """Return the first text beyond a name and what it stands for, None if there is none."""
    if separator and name.endswith(separator) and len(name) >= len(prefix) + len(separator):
        return prefix_end(name)
    return name + "\0"
