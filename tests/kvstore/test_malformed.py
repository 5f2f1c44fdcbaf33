"""A log may hold anything: a field of a wrong type is a result, never an error, in any command."""

from __future__ import annotations

from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import attrs
import pytest

from kvstore.acl.access import Policy, Role, Token
from kvstore.codec.codec import decode_result, encode_result
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
    Operation,
    Put,
    Range,
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
    Unknown,
    Unlock,
)
from kvstore.config import Config
from kvstore.refusals import Malformed, Refusal, TxnFailed
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store
from tests.kvstore.driving import contents, made, refused

#: Of each command with fields one that is well-formed; `seed()` is where all of them are done.
COMMANDS: Final[tuple[Command, ...]] = (
    Put("a/1", b"new"),
    Create("a/new", b"new"),
    Create("a/", b"new", sequence="counter"),
    Delete("a/1"),
    DeleteRange("a/"),
    DeleteRange(start="a", end="b"),
    Touch(("a/1",)),
    Lock("a/1", "s"),
    Unlock("b/1", "s"),
    Get("a/1"),
    Range("a/"),
    Range(start="a", end="b"),
    Count("a/"),
    Keys("a/"),
    Txn((Check("a/1"),), (Put("a/1", b"new"),), (Put("a/1", b"new"),)),
    SessionOpen("t", 10_000),
    SessionRenew(("s",)),
    SessionClose("s"),
    Invalidate(("node:1",)),
    Tick(),
    Compact(2),
    SetQuota("a/", 10, 10_000),
    DropQuota("b/"),
    SetPolicy(Policy("new")),
    DropPolicy("p"),
    SetRole(Role("new")),
    DropRole("r"),
    SetToken(Token("new")),
    DropToken("t"),
    Configure(Config(operations_max=7)),
)
OPERATIONS: Final = tuple(one for one in COMMANDS if isinstance(one, get_args(Operation)))
CHECKS: Final = (
    Check("a/1"),
    Check(prefix="a/"),
    Check(start="a", end="b"),
    Check("a/1", "value", "=", b"old"),
    Check("a/1", "version", "=", 1),
    Check("a/1", "owner", "=", "s"),
)

#: One value of each type that a field might be given, and texts that name nothing.
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    7,
    1.5,
    float("nan"),
    float("inf"),
    "text",
    "\ud800",
    b"bytes",
    bytearray(b"bytes"),
    (7,),
    (None,),
    ("a", b"b"),
    ["a"],
    {"a": "b"},
    {"a"},
    KEEP,
    object(),
    Config,
    Put("a/1"),
)


def seed() -> Store:
    """Return a store in which every command of `COMMANDS` would do something."""
    return made(
        SessionOpen("s", 10_000, bindings=("node:1",)),
        Put("a/1", b"old", owner="s", ttl=60_000),
        Put("a/2", b"old"),
        Lock("b/1", "s"),
        SetQuota("b/", 10, 10_000),
        SetPolicy(Policy("p")),
        SetRole(Role("r")),
        SetToken(Token("t")),
    )


def takes(hint: Any, value: Any) -> bool:
    """Return whether a value is one that a field of this type may have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return type(value) is str and value in arguments
    if origin is tuple:
        kinds = arguments[:1] * len(value) if type(value) is tuple else ()
        return type(value) is tuple and all(map(takes, kinds, value))
    if arguments:
        return any(takes(one, value) for one in arguments)
    if hint is str:
        return type(value) is str and value != "\ud800"
    return type(value) is (NoneType if hint is None else hint)


def wrong_of(command: Any) -> list[Any]:
    """Return a command with each field in turn of every type that it must not have."""
    hints = get_type_hints(type(command))
    return [
        attrs.evolve(command, **{field.name: value})
        for field in attrs.fields(type(command))
        for value in VALUES
        if not takes(hints[field.name], value)
    ]


def short(command: Any) -> str:
    return type(command).__name__


@pytest.mark.parametrize("command", COMMANDS, ids=short)
def test_the_command_is_well_formed_to_begin_with(command: Command) -> None:
    assert seed().apply(command).ok


@pytest.mark.parametrize("command", COMMANDS, ids=short)
def test_a_field_of_a_wrong_type_is_refused_and_changes_nothing(command: Command) -> None:
    store = seed()

    for wrong in wrong_of(command):
        refusal = refused(store, wrong, Refusal)
        if isinstance(refusal, TxnFailed):
            (error, *_) = refusal.errors
            refusal = error.refusal
        assert refusal.code in {"malformed", "unsupported"}, wrong


@pytest.mark.parametrize("command", OPERATIONS, ids=short)
def test_it_is_refused_in_a_transaction_as_well(command: Operation) -> None:
    store = seed()

    for wrong in wrong_of(command):
        refusal = refused(store, Txn((), (Put("a/2", b"new"), wrong)), TxnFailed)
        assert refusal.errors[0].path[:2] == ("then", 1)


@pytest.mark.parametrize("check", CHECKS, ids=short)
def test_a_check_of_a_wrong_type_is_refused_where_it_stands(check: Check) -> None:
    store = seed()

    for wrong in wrong_of(check):
        (error,) = refused(store, Txn((wrong,)), TxnFailed).errors
        assert (error.path, type(error.refusal)) == (("when", 0), Malformed), wrong


@pytest.mark.parametrize("command", COMMANDS, ids=short)
def test_a_query_of_a_wrong_type_is_refused_alike(command: Command) -> None:
    store = seed()
    before, digest = contents(store), store.digest()

    for wrong in wrong_of(command):
        assert isinstance(store.query(wrong), Refusal), wrong

    assert (contents(store), store.digest()) == (before, digest)


#: Values of right types at the ends of what can be, and beyond.
ENDS: Final[tuple[Any, ...]] = (
    *(-(10**5000), -1, 0, 1, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**5000),
    *("", "\0", "/", "a", "\U0010ffff", "\ud7ff", "\ue000", "é" * 40_000, "x" * 70_000),
    *(b"", b"x" * 600_000),
    *((), ("",), ("a", "a"), ("a",) * 2000, (("a", "b"),), (("a", "b", "c"),), ((),) * 65),
)


@pytest.mark.parametrize("command", COMMANDS, ids=short)
def test_the_ends_of_what_can_be_are_done_or_refused_and_outlive_a_snapshot(
    command: Command,
) -> None:
    hints = get_type_hints(type(command))
    for field in attrs.fields(type(command)):
        store = seed()
        for value in ENDS:
            if takes(hints[field.name], value):
                before = contents(store)
                applied = store.apply(attrs.evolve(command, **{field.name: value}), now=2**40)
                assert applied.ok or contents(store) == before
                assert decode_result(encode_result(applied.result)) == applied.result
        store.check_invariants()
        reader = SnapshotReader(Store.importer, verify=True)
        reader.feed(b"".join(SnapshotWriter(store.view())))
        assert reader.finish().digest() == store.digest()


@pytest.mark.parametrize("value", [value for value in VALUES if type(value) is not str])
def test_what_nobody_can_read_is_told_in_texts_only(value: Any) -> None:
    for command in (Unknown(value), Unknown("text", value)):
        assert refused(Store(), command, Malformed).field in {"kind", "reason"}
