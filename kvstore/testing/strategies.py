"""Hypothesis strategies for commands, and for logs of them.

Owns what a random command looks like: well-formed, of a small world, so that random commands
meet (the same few keys, sessions, revisions and prefixes), and of every kind. What they do is
the store's affair. This is the only module of the package that needs `hypothesis`, so nothing
else imports it: `from kvstore.testing import strategies`.

>>> from hypothesis import find
>>> from kvstore.commands import Lock
>>> find(commands(), lambda command: isinstance(command, Lock)).key
'a'
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvstore.acl.access import AclMode, Level, Policy, Role, Rule, Token
from kvstore.commands import (
    KEEP,
    Check,
    Command,
    Compact,
    Configure,
    Count,
    Create,
    Delete,
    DeleteRange,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Get,
    Invalidate,
    Keys,
    Lock,
    Noop,
    Operation,
    Put,
    Range,
    Rebase,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Tick,
    Touch,
    Txn,
    Unlock,
)
from kvstore.config import Config

__all__ = ["LogEntry", "World", "commands", "logs", "operations", "reads", "transactions", "writes"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class World:
    """What random commands are about.

    Attributes:
        keys: The keys, of several directories, some the beginning of others.
        prefixes: What ranges select by.
        values: The values; the empty one among them.
        sessions: Ids of sessions, opened and not.
        bindings: What sessions depend on.
        revisions: The greatest number that commands name as a revision.
        ttl_max: Milliseconds of the longest ttl of a key.
        time_step_max: Milliseconds between two entries of a log at most.
        actors: Accessors of tokens, and None, that commands are applied with.
        depth: Levels of nested transactions.
    """

    keys: tuple[str, ...] = ("a", "a/", "a/b", "a/b/c", "a/c", "ab", "b", "b/c", "é/\U0001f40b")
    prefixes: tuple[str, ...] = ("", "a", "a/", "a/b", "a/b/", "b", "b/", "é", "x")
    values: tuple[bytes, ...] = (b"", b"x", b"longer value")
    sessions: tuple[str, ...] = ("s1", "s2", "s3")
    bindings: tuple[str, ...] = ("node:web-1", "node:web-2", "check:web-1/serf")
    revisions: int = 25
    ttl_max: int = 5_000
    time_step_max: int = 3_000
    actors: tuple[str | None, ...] = (None, "alice", "bob")
    depth: int = 3


SMALL: Final = World()

LogEntry: TypeAlias = tuple[Command, int | None, str | None]
"""What stands in a log: the command, `now` and the actor."""


def weighted(*choices: tuple[int, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """Return a strategy that takes each of some others as often as its number says.

    `one_of` would take the branches of all of them alike, and equal ones once.
    """
    table = [which for count, which in choices for _ in range(count)]
    return st.integers(0, len(table) - 1).flatmap(table.__getitem__)


def optional(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    """Return a strategy for None, mostly, or a value."""
    return weighted((3, st.none()), (1, strategy))


def _revisions(world: World) -> SearchStrategy[int]:
    return st.integers(0, world.revisions)


def _flags() -> SearchStrategy[int]:
    return st.sampled_from([0, 1, 2**64 - 1])


def _selections(world: World) -> SearchStrategy[dict[str, str | None]]:
    """Return a strategy for the fields that select keys."""
    keys = st.sampled_from(world.keys)
    prefixes = st.sampled_from(world.prefixes).map(_prefix)
    ranges = st.builds(_range, keys, st.one_of(st.none(), keys))
    return st.one_of(prefixes, ranges)


def _prefix(prefix: str) -> dict[str, str | None]:
    return {"prefix": prefix}


def _range(start: str, end: str | None) -> dict[str, str | None]:
    return {"start": start, "end": end}


def _puts(world: World) -> SearchStrategy[Put]:
    return st.builds(
        Put,
        st.sampled_from(world.keys),
        st.sampled_from(world.values),
        flags=st.one_of(st.just(0), _flags(), st.just(KEEP)),
        cas=optional(_revisions(world)),
        if_version=optional(st.integers(0, 3)),
        owner=st.one_of(st.just(KEEP), st.none(), st.sampled_from(world.sessions)),
        ttl=st.one_of(st.just(KEEP), st.none(), st.integers(1, world.ttl_max)),
        force=st.booleans(),
        want_previous=st.booleans(),
    )


def _keeping_puts(world: World) -> SearchStrategy[Put]:
    return st.builds(
        Put,
        st.sampled_from(world.keys),
        flags=_flags(),
        owner=st.one_of(st.just(KEEP), st.none()),
        keep_value=st.just(value=True),
    )


def _creates(world: World) -> SearchStrategy[Create]:
    return st.builds(
        Create,
        st.sampled_from(world.keys),
        st.sampled_from(world.values),
        _flags(),
        owner=optional(st.sampled_from(world.sessions)),
        ttl=optional(st.integers(1, world.ttl_max)),
        sequence=st.sampled_from([None, "counter", "revision"]),
        width=st.sampled_from([1, 2, 10, 20]),
    )


def writes(world: World = SMALL) -> SearchStrategy[Operation]:
    """Return a strategy for operations that may change keys, transactions apart."""
    keys, sessions = st.sampled_from(world.keys), st.sampled_from(world.sessions)
    values = st.one_of(st.just(KEEP), st.sampled_from(world.values))
    flags = st.one_of(st.just(KEEP), _flags())
    plain = st.builds(Put, keys, st.sampled_from(world.values))
    return weighted(
        (4, plain),
        (2, st.builds(Put, keys, st.sampled_from(world.values), owner=sessions)),
        (3, _puts(world)),
        (1, _keeping_puts(world)),
        (3, _creates(world)),
        (2, _deletes(world)),
        (1, _delete_ranges(world)),
        (1, st.builds(Touch, st.lists(keys, max_size=3, unique=True).map(tuple))),
        (4, st.builds(Lock, keys, sessions, values, flags)),
        (2, st.builds(Unlock, keys, sessions, values, flags, st.booleans())),
    )


def _deletes(world: World) -> SearchStrategy[Delete]:
    return st.builds(
        Delete,
        st.sampled_from(world.keys),
        optional(_revisions(world)),
        optional(st.integers(0, 3)),
        st.booleans(),
    )


def _delete_ranges(world: World) -> SearchStrategy[DeleteRange]:
    return st.builds(
        lambda selection, limit, previous: DeleteRange(
            **selection, limit=limit, want_previous=previous
        ),
        _selections(world),
        optional(st.integers(1, 3)),
        st.booleans(),
    )


def reads(world: World = SMALL) -> SearchStrategy[Get | Range | Count | Keys]:
    """Return a strategy for reads, of now and of the past."""
    past = optional(_revisions(world))
    return st.one_of(
        st.builds(Get, st.sampled_from(world.keys), past),
        _ranges(world),
        st.builds(
            lambda selection, revision: Count(**selection, revision=revision),
            _selections(world),
            past,
        ),
        _lists(world),
    )


def _lists(world: World) -> SearchStrategy[Keys]:
    return st.builds(
        Keys,
        st.sampled_from(world.prefixes),
        st.sampled_from(["/", "", "b"]),
        optional(st.integers(1, 3)),
        optional(st.sampled_from([*world.keys, *world.prefixes])),
        optional(_revisions(world)),
    )


def _ranges(world: World) -> SearchStrategy[Range]:
    bounds = optional(_revisions(world))
    names = ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")
    filters = st.fixed_dictionaries({}, optional=dict.fromkeys(names, bounds))
    times = st.one_of(
        st.fixed_dictionaries({"revision": bounds}),
        st.fixed_dictionaries({"include_deleted_since": bounds}),
    )
    orders = st.one_of(
        st.fixed_dictionaries(
            {"descending": st.booleans(), "after": optional(st.sampled_from(world.keys))}
        ),
        st.fixed_dictionaries(
            {
                "descending": st.booleans(),
                "sort": st.sampled_from(["version", "create", "mod", "value"]),
            }
        ),
    )
    limits = st.fixed_dictionaries(
        {
            "limit": optional(st.integers(1, 4)),
            "max_bytes": optional(st.integers(1, 40)),
            "keys_only": st.booleans(),
        }
    )
    return st.builds(
        lambda *fields: Range(**{name: each for field in fields for name, each in field.items()}),
        _selections(world),
        filters,
        times,
        orders,
        limits,
    )


def _checks(world: World) -> SearchStrategy[Check]:
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    numbers = st.sampled_from(["create", "mod", "version", "flags"])
    keys = st.sampled_from(world.keys).map(lambda key: {"key": key})
    comparisons = st.one_of(
        st.tuples(st.just("exists"), st.sampled_from(["=", "!="]), st.booleans()),
        st.tuples(st.just("value"), operators, st.sampled_from(world.values)),
        st.tuples(numbers, operators, _revisions(world)),
        st.tuples(
            st.sampled_from(["lock", "owner"]), operators, st.sampled_from(["", *world.sessions])
        ),
    )
    return st.builds(
        lambda selection, comparison: Check(
            **selection, target=comparison[0], operator=comparison[1], operand=comparison[2]
        ),
        st.one_of(keys, keys, _selections(world)),
        comparisons,
    )


def operations(world: World = SMALL) -> SearchStrategy[Operation]:
    """Return a strategy for what may stand in a transaction, nested ones included."""
    return _operations(world, world.depth - 1)


def _operations(world: World, depth: int) -> SearchStrategy[Operation]:
    flat = [(6, writes(world)), (2, reads(world)), (1, _checks(world))]
    return weighted(*flat, *([(1, _transactions(world, depth))] if depth > 0 else []))


def transactions(world: World = SMALL) -> SearchStrategy[Txn]:
    """Return a strategy for transactions with checks, both branches, and nested ones."""
    return _transactions(world, world.depth)


def _transactions(world: World, depth: int) -> SearchStrategy[Txn]:
    branch = st.deferred(lambda: st.lists(_operations(world, depth - 1), max_size=4).map(tuple))
    return st.builds(
        Txn, st.lists(_checks(world), max_size=2).map(tuple), branch, branch, st.booleans()
    )


def _sessions(world: World) -> SearchStrategy[Command]:
    ids = st.sampled_from(world.sessions)
    bindings = st.lists(st.sampled_from(world.bindings), max_size=2, unique=True).map(tuple)
    opens = st.builds(
        SessionOpen,
        st.one_of(ids, st.none()),
        st.one_of(st.none(), st.integers(500, 6_000)),
        st.sampled_from(["release", "delete"]),
        st.sampled_from([0, 1_000, 15_000, 100_000]),
        bindings,
    )
    return weighted(
        (5, opens),
        (2, st.builds(SessionRenew, st.lists(ids, max_size=3, unique=True).map(tuple))),
        (1, st.builds(SessionClose, ids)),
        (1, st.builds(Invalidate, bindings)),
    )


def _upkeep(world: World) -> SearchStrategy[Command]:
    prefixes = st.sampled_from(world.prefixes)
    keys, sizes = st.integers(0, 6), st.integers(0, 60)
    quotas = st.one_of(
        st.builds(SetQuota, prefixes, keys),
        st.builds(SetQuota, prefixes, max_bytes=sizes),
        st.builds(SetQuota, prefixes, keys, sizes),
    )
    return weighted(
        (4, st.builds(Tick, st.sampled_from([1000, 2, 1]))),
        (1, st.builds(Rebase)),
        (1, st.builds(Compact, _revisions(world))),
        (2, quotas),
        (1, st.builds(DropQuota, prefixes)),
        (1, st.builds(Noop)),
        (1, _configurations()),
    )


def _configurations() -> SearchStrategy[Configure]:
    """Return a strategy for configurations, mostly with room for everything in the world."""
    return st.builds(
        Configure,
        st.builds(
            Config,
            key_size_max=_mostly(1024, 4),
            value_size_max=_mostly(1024, 1),
            operations_max=_mostly(128, 2),
            depth_max=_mostly(8, 1),
            session_grace=_mostly(1, 2),
            lock_delay_max=_mostly(60_000, 500, 0),
            session_keys_max=_mostly(5_000, 2, 1),
        ),
    )


def _mostly(usual: int, *others: int) -> SearchStrategy[int]:
    return weighted((5, st.just(usual)), (1, st.sampled_from(others)))


def _access(world: World) -> SearchStrategy[Command]:
    names = st.sampled_from(["p1", "p2"])
    labels = st.sampled_from(world.prefixes)
    levels = st.sampled_from(list(Level))
    rules = st.one_of(
        st.builds(Rule, st.just("key"), labels, levels, st.booleans()),
        st.builds(
            Rule,
            st.just("session"),
            st.sampled_from(["web-1", ""]),
            st.sampled_from([Level.DENY, Level.READ, Level.WRITE]),
            st.just(value=True),
        ),
        st.builds(
            Rule,
            st.sampled_from(["acl", "operator"]),
            level=st.sampled_from([Level.WRITE, Level.DENY]),
        ),
    )
    many = st.lists(rules, max_size=3).map(tuple)
    links = st.lists(names, max_size=2, unique=True).map(tuple)
    actors = st.sampled_from([actor for actor in world.actors if actor is not None])
    return st.one_of(
        st.builds(SetPolicy, st.builds(Policy, names, many)),
        st.builds(DropPolicy, names),
        st.builds(SetRole, st.builds(Role, st.just("r1"), links)),
        st.builds(DropRole, st.just("r1")),
        st.builds(
            SetToken,
            st.builds(
                Token,
                actors,
                policies=links,
                roles=st.sampled_from([(), ("r1",)]),
                rules=many,
                management=st.booleans(),
                expires=optional(st.integers(0, 20 * world.time_step_max)),
            ),
        ),
        st.builds(DropToken, actors),
        st.builds(
            Configure,
            st.builds(Config, acl=st.sampled_from(list(AclMode)), list_needs_right=st.booleans()),
        ),
    )


def commands(world: World = SMALL, *, access: bool = False) -> SearchStrategy[Command]:
    """Return a strategy for commands of every kind.

    Args:
        world: What they are about.
        access: Whether policies, roles, tokens and the mode of access control are among them.
    """
    return weighted(
        (8, writes(world)),
        (2, reads(world)),
        (3, transactions(world)),
        (3, _sessions(world)),
        (3, _upkeep(world)),
        *([(4, _access(world))] if access else []),
    )


def logs(
    world: World = SMALL, *, access: bool = False, min_size: int = 0, max_size: int = 40
) -> SearchStrategy[list[LogEntry]]:
    """Return a strategy for logs: commands with the time, mostly given and rising, and actors.

    Most of them begin with the sessions of the world, so that there is something to lock with.

    Args:
        world: What they are about.
        access: Whether access control is changed, and commands have actors.
        min_size: Entries behind that beginning at least.
        max_size: Entries behind that beginning at most.
    """
    steps = st.one_of(
        st.integers(0, world.time_step_max),
        st.integers(0, world.time_step_max),
        st.none(),
        st.integers(-world.time_step_max, 0),
    )
    actors = st.sampled_from(world.actors) if access else st.none()
    entries = st.tuples(commands(world, access=access), steps, actors)
    beginnings = st.sampled_from([_beginning(world), _beginning(world), []])
    rest = st.lists(entries, min_size=min_size, max_size=max_size)
    return st.builds(lambda first, then: _timed([*first, *then]), beginnings, rest)


def _beginning(world: World) -> list[LogEntry]:
    """Return entries that open the sessions, each of another kind."""
    first, *others = world.sessions
    binding = world.bindings[:1]
    commands: list[Command] = [SessionOpen(first)]
    commands += [SessionOpen(id_, 4_000, "delete", 1_000, binding) for id_ in others]
    return [(command, 0, None) for command in commands]


def _timed(entries: list[LogEntry]) -> list[LogEntry]:
    """Return a log with the sums of the steps for times."""
    now = 1_000
    timed: list[LogEntry] = []
    for command, step, actor in entries:
        now = max(0, now + (step or 0))
        needs_time = isinstance(command, Rebase)
        timed.append((command, now if step is not None or needs_time else None, actor))
    return timed
