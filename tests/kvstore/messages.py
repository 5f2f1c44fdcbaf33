"""Commands and results of every kind: one with all fields set, and strategies for any."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from kvstore import commands as c
from kvstore import refusals as r
from kvstore import results as s
from kvstore.acl.access import AclMode, Level, Policy, Role, Rule, Token
from kvstore.commands import KEEP, Command
from kvstore.config import Config
from kvstore.entry import Entry, Record
from kvstore.results import Result
from kvstore.state.sessions import Session

RULES = (
    Rule("key", "web/", Level.WRITE, prefix=True),
    Rule("service", "web", Level.READ, intentions=Level.DENY),
    Rule("operator", level=Level.READ),
)
POLICY = Policy("web", RULES, "for the web")
ROLE = Role("ops", ("web", "db"), "for operators")
TOKEN = Token("alice", "secret", ("web",), ("ops",), RULES, True, 9_000_000_000, "a person")
CONFIG = Config(history_changes=None, history_age=60_000, acl=AclMode.DENY, list_needs_right=True)
SESSION = Session("s1", 10_000, "delete", 15_000, ("node:web-1",), "web", (("a", "b"),), 7)

PLAIN: Record = ("web/port", b"80", 0, 7, 9, 2, None, 12, -1)
BOUND: Record = ("web/lock", b"", 2**64 - 1, 7, 9, 2, (1, "s1", 9, "s2", 5000), 13, -1)
ENTRY = Entry("web/lock", b"", 2**64 - 1, 7, 9, 2, 1, "s1", 9, "s2", 5000, 8000)
BARE = Entry("web/port", b"80", 0, 7, 9, 2)

#: Of each command one with its required fields only, where it has others, and one with all.
COMMANDS: list[Command] = [
    c.Put("web/port"),
    c.Put("web/port", b"80"),
    c.Put("a", b"\x00\xff", 2**64 - 1, 9, 2, "s1", 5000, True, True, True),
    c.Put("a", flags=KEEP, owner=None, ttl=None),
    c.Create("a"),
    c.Create("a", b"b", 1, "s1", 5000, "counter", 20),
    c.Delete("a"),
    c.Delete("a", 9, 2, True),
    c.DeleteRange(prefix=""),
    c.DeleteRange(None, "a", "b", 10, True),
    c.Touch(("a", "b")),
    c.Lock("a", "s1"),
    c.Lock("a", "s1", b"b", 1),
    c.Unlock("a", "s1"),
    c.Unlock("a", "s1", b"b", 1, True),
    c.Check("a"),
    c.Check("a", "version", "=", 1),
    c.Check(None, "value", "!=", b"b", "p", "s", "e"),
    c.Check("a", "lock", "=", ""),
    c.Get("a"),
    c.Get("a", 9),
    c.Range(prefix="a"),
    c.Range("a", "b", "c", 1, 2, "d", 3, True, "mod", True, 4, 5, 6, 7, 8),
    c.Count("a"),
    c.Count("a", "b", "c", 9),
    c.Keys(),
    c.Keys("a", ".", 10, "b", 9),
    c.Txn(),
    c.Txn(
        (c.Check("a", "mod", ">", 5),),
        (c.Put("a", b"b"), c.Txn((), (c.Delete("b"),)), c.Check("a")),
        (c.Get("c"), c.Unlock("a", "s1")),
        True,
    ),
    c.SessionOpen(),
    c.SessionOpen("s1", 10_000, "delete", 0, ("node:a", "check:b"), "n", (("a", "b"), ("", ""))),
    c.SessionRenew(()),
    c.SessionRenew(("s1", "s2")),
    c.SessionClose("s1"),
    c.Invalidate(("node:a",)),
    c.Tick(),
    c.Tick(10),
    c.Rebase(),
    c.Compact(9),
    c.SetQuota("a"),
    c.SetQuota("a", 10, 1000),
    c.DropQuota("a"),
    c.SetPolicy(Policy("empty")),
    c.SetPolicy(POLICY),
    c.DropPolicy("web"),
    c.SetRole(Role("empty")),
    c.SetRole(ROLE),
    c.DropRole("ops"),
    c.SetToken(Token("nobody")),
    c.SetToken(TOKEN),
    c.DropToken("alice"),
    c.Configure(CONFIG),
    c.Configure(Config()),
    c.Noop(),
]

FAILURES = (
    r.TxnError(("then", 2, "otherwise", 0), r.Held("a", "s1", 9)),
    r.TxnError((), r.QuotaExceeded("web/", "keys", 10, 12)),
    r.TxnError(("then", 3), r.TxnFailed((r.TxnError(("then", 0), r.NotFound("a")),))),
)

RESULTS: list[Result] = [
    s.PutOk(PLAIN, None, True),
    s.PutOk(BOUND, PLAIN, False, 8000),
    s.DeleteOk(0),
    s.DeleteOk(2, (PLAIN, BOUND), "x"),
    s.TouchOk(2),
    s.LockOk(BOUND, True),
    s.LockOk(BOUND, False, 8000),
    s.UnlockOk(PLAIN, False),
    s.UnlockOk(PLAIN, True, 8000),
    s.CheckOk(None),
    s.CheckOk(PLAIN),
    s.GetOk(None, None, 9, 10),
    s.GetOk(BOUND, 8000, 9, 10),
    s.RangeOk((), 0, None, False, 9, 10),
    s.RangeOk((PLAIN, BOUND), 5, "b", True, 9, 10, True, (("x", 8),), (("web/lock", 8000),)),
    s.CountOk(3, 9, 10),
    s.CountOk(3, 9, 10, True),
    s.KeysOk((), None, 9, 10),
    s.KeysOk(("a", "b/"), "b/", 9, 10, True),
    s.TxnOk(False, ()),
    s.TxnOk(True, (s.PutOk(PLAIN, None, True), s.TxnOk(False, (s.DeleteOk(1),)))),
    s.SessionOk(SESSION, None),
    s.SessionOk(SESSION, 20_000),
    s.RenewOk((), ()),
    s.RenewOk((("s1", 20_000), ("s2", None)), ("s3",)),
    s.CloseOk(("s1",), 2, 3),
    s.TickOk(("s1", "s2"), 3, True),
    s.RebaseOk(-5),
    s.CompactOk(9, 100),
    s.ConfigureOk(CONFIG),
    s.Ok(),
    r.CasMismatch("a", 9, None),
    r.CasMismatch("a", 0, BARE),
    r.VersionMismatch("a", 1, None),
    r.VersionMismatch("a", 1, ENTRY),
    r.Exists(ENTRY),
    r.NotFound("a"),
    r.Held("a", "s1", 9),
    r.Delayed("a", 9000, 8000),
    r.NotHeld("a", ""),
    r.NoSession("s1"),
    r.SessionExists("s1"),
    r.BadTtl(1, 10, 100),
    r.CheckFailed("a", None),
    r.CheckFailed("a", BARE),
    r.Compacted(5, 9),
    r.Future(20, 10),
    r.TooLarge("value", 100, 10),
    r.QuotaExceeded("web/", "bytes", 10, 12),
    r.OverAlready("web/", "keys", 10, 12),
    r.Denied("put", "a", "key write on 'a' is denied"),
    r.TooManyOperations(128, 200),
    r.TooDeep(8),
    r.Malformed("key", "is empty"),
    r.Unsupported("command 99", "no command has the number 99"),
    r.TxnFailed(()),
    r.TxnFailed(FAILURES),
]

# --- any

TEXTS = st.text(max_size=8)
BYTES = st.binary(max_size=8)
SIGNED = st.integers(-(2**63), 2**64 - 1)
KEEPS = st.just(KEEP)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "bytes": BYTES,
    "int": SIGNED,
    "bool": st.booleans(),
    "None": st.none(),
    "Keep": KEEPS,
    "OnEnd": st.sampled_from(["release", "delete"]),
    "SequenceMode": st.sampled_from(["counter", "revision"]),
    "Target": st.sampled_from(["exists", "value", "lock"]),
    "Operator": st.sampled_from(["=", "!=", "<"]),
    "SortTarget": st.sampled_from(["key", "mod"]),
    "Record": st.tuples(TEXTS, BYTES, SIGNED, SIGNED, SIGNED, SIGNED, st.none(), SIGNED).map(
        lambda fields: (*fields, -1)
    ),
    "Entry": st.just(ENTRY),
    "Session": st.just(SESSION),
    "Config": st.builds(Config, key_size_max=st.integers(1, 99), acl=st.sampled_from(AclMode)),
    "Policy": st.builds(
        Policy,
        TEXTS.filter(bool),
        st.lists(
            st.builds(
                Rule,
                st.just("key"),
                TEXTS,
                st.sampled_from(Level),
                st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
    ),
    "Role": st.builds(Role, TEXTS.filter(bool), st.lists(TEXTS.filter(bool)).map(tuple)),
    "Token": st.builds(Token, TEXTS.filter(bool), expires=st.none() | st.integers(0, 2**63 - 1)),
    "Check": st.deferred(lambda: any_of(c.Check)),
    "Operation": st.deferred(lambda: operations()),  # noqa: PLW0108
    "Result": st.deferred(lambda: any_result()),  # noqa: PLW0108
    "TxnError": st.deferred(
        lambda: st.builds(
            r.TxnError,
            st.lists(TEXTS | st.integers(0, 99), max_size=3).map(tuple),
            st.sampled_from([e for e in RESULTS if isinstance(e, r.Refusal)]),
        )
    ),
}


def typed(annotation: str) -> st.SearchStrategy[Any]:
    """Return a strategy for what an annotation of a message's field allows."""
    if annotation.startswith("tuple[") and annotation.endswith(", ...]"):
        return st.lists(typed(annotation[6:-6]), max_size=3).map(tuple)
    if annotation.startswith("tuple["):
        return st.tuples(*[typed(each) for each in annotation[6:-1].split(", ")])
    return st.one_of([SCALARS[each] for each in annotation.split(" | ")])


def any_of(cls: type) -> st.SearchStrategy[Any]:
    """Return a strategy for a class of messages, from the annotations of its fields."""
    fields = cls.__attrs_attrs__  # type: ignore[attr-defined] # every message is of attrs
    return st.builds(cls, **{f.name: typed(f.type) for f in fields})


OPERATIONS = [c.Put, c.Create, c.Delete, c.DeleteRange, c.Touch, c.Lock, c.Unlock, c.Check, c.Get,
              c.Range, c.Count, c.Keys]  # fmt: skip


def operations() -> st.SearchStrategy[Any]:
    """Return a strategy for what may stand in a transaction."""
    return st.one_of([any_of(cls) for cls in OPERATIONS])


def any_command() -> st.SearchStrategy[Any]:
    """Return a strategy for commands of every kind."""
    return st.sampled_from(sorted({type(each) for each in COMMANDS}, key=_name)).flatmap(any_of)


def any_result() -> st.SearchStrategy[Any]:
    """Return a strategy for results and refusals of every kind."""
    return st.sampled_from(sorted({type(each) for each in RESULTS}, key=_name)).flatmap(any_of)


def _name(cls: type) -> str:
    return cls.__name__
