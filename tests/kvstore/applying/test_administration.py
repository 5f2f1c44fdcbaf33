"""Commands on the store as a whole: time, history, rights, configuration."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from kvstore.acl.access import AclMode
from kvstore.acl.rules import Level, Policy, Role, Rule, Token
from kvstore.commands import (
    Compact,
    Configure,
    Create,
    Delete,
    DeleteRange,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Invalidate,
    Noop,
    Put,
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
from kvstore.config import FEATURE_LEVEL, Config
from kvstore.errors import CompactedRevision
from kvstore.refusals import Compacted, Denied, Future, Malformed, TooLarge, Unsupported
from kvstore.results import CompactOk, ConfigureOk, Ok, RebaseOk, TickOk
from kvstore.store import Store
from tests.kvstore.driving import done, made, refused

POLICY = Policy("reader", (Rule("key", "a/", Level.READ, prefix=True),))


def test_doing_nothing_carries_an_index_and_a_time() -> None:
    store = Store()

    assert done(store, Noop(), Ok, now=500) == Ok()
    assert (store.applied_index, store.revision, store.clock) == (1, 0, 500)


def test_what_cannot_be_read_is_refused_by_all_alike() -> None:
    refusal = refused(Store(), Unknown("put/9", "of a newer version"), Unsupported)

    assert (refusal.kind, refusal.reason) == ("put/9", "of a newer version")


# --- time


def test_time_never_goes_back() -> None:
    store = made(Noop(), now=1000)

    made(Noop(), store=store, now=400)
    made(Noop(), store=store)

    assert store.clock == 1000


def test_a_new_leader_goes_on_from_the_time_of_the_old_one() -> None:
    store = made(SessionOpen("s", 2000), now=10_000)

    result = done(store, Rebase(), RebaseOk, now=500_000)

    assert (result.offset, store.clock, store.clock_offset) == (-490_000, 10_000, -490_000)
    assert done(store, Tick(), TickOk, now=501_999).sessions == ()
    assert done(store, Tick(), TickOk, now=502_000).sessions == ("s",)


def test_a_leader_whose_clock_is_behind_does_not_stop_time() -> None:
    store = made(SessionOpen("s", 2000), now=10_000)

    made(Rebase(), store=store, now=5)

    assert done(store, Tick(), TickOk, now=2005).sessions == ("s",)


def test_a_leader_ahead_that_does_not_rebase_ends_sessions_early() -> None:
    # The driver's duty: without Rebase the clock jumps, and that is what it means.
    store = made(SessionOpen("s", 2000), now=10_000)

    assert done(store, Tick(), TickOk, now=500_000).sessions == ("s",)


def test_rebasing_needs_a_time() -> None:
    assert refused(Store(), Rebase(), Malformed).field == "now"


# --- history


def test_compaction_forgets_what_is_below_the_floor() -> None:
    store = made(Put("a", b"1"), Put("b"), Put("a", b"2"), Delete("b"), Put("a", b"3"))

    assert done(store, Compact(3), CompactOk) == CompactOk(3, 3)

    assert store.floor == 3
    entry = store.get("a", revision=3)
    assert entry is not None
    assert entry.value == b"2"
    assert store.get("b", revision=3) is not None
    with pytest.raises(CompactedRevision):
        store.get("a", revision=2)
    assert store.stats.history == 2
    store.check_invariants()


def test_compaction_goes_forward_only_and_not_beyond_what_is_there() -> None:
    store = made(Put("a"), Put("b"), Compact(2))

    assert refused(store, Compact(2), Compacted).floor == 2
    assert refused(store, Compact(99), Future).newest == 5
    assert refused(store, Compact(-1), Malformed).field == "revision"
    assert done(store, Compact(6), CompactOk).dropped == 0


def test_a_key_deleted_below_the_floor_is_forgotten_with_its_directories() -> None:
    store = made(Put("a/b/c"), Put("x"), Delete("a/b/c"), Compact(3), Noop())

    assert store.stats.directories == 0
    assert store.index_below("a/b/") == 3
    made(Put("y"), Compact(6), store=store)
    assert store.index_below("a/b/") == 6
    store.check_invariants()


def test_history_is_cut_when_there_is_enough_too_much() -> None:
    store = Store(Config(history_changes=100))

    floors = []
    for number in range(3000):
        made(Put("a", b"%d" % number), store=store)
        floors.append(store.floor)

    assert floors[1122:1125] == [0, 1024, 1024]
    assert store.stats.history == 100 + (3000 - 1124) % 1024
    assert len(store.state.tree.history.changes) < 4 * 1024
    store.check_invariants()


def test_without_a_limit_all_is_kept_until_it_is_compacted() -> None:
    store = Store(Config(history_changes=None))
    for number in range(3000):
        made(Put("a", b"%d" % number), store=store)

    assert (store.floor, store.stats.history) == (0, 3000)
    assert store.get("a", revision=1) is not None
    made(Compact(2999), store=store)
    for _ in range(5):
        made(Noop(), store=store)
    assert len([one for one in store.state.tree.history.changes if one]) == 1
    store.check_invariants()


def test_a_history_of_nothing_keeps_only_the_present() -> None:
    store = Store(Config(history_changes=0))
    for number in range(1024):
        made(Put("a", b"%d" % number), store=store)

    assert (store.floor, store.stats.history) == (1024, 0)


def test_changes_are_forgotten_when_they_are_old() -> None:
    store = Store(Config(history_age=1600))
    for second in range(40):
        made(Put("a", b"%d" % second), store=store, now=second * 100)

    # The last change 1600 ms ago was the 23rd, at 2200 ms; pieces are 100 ms.
    assert store.floor == 23
    store.check_invariants()


def test_a_long_revision_is_kept_or_forgotten_as_a_whole() -> None:
    store = Store(Config(history_changes=10))
    for number in range(5000):
        made(Put(f"{number}"), store=store)
    made(Put("x", b"1"), store=store)
    made(DeleteRange(""), store=store)

    assert store.floor < store.revision
    assert store.count("", revision=store.revision - 1) == 5001
    for number in range(1200):
        made(Put("x", b"%d" % number), store=store)
    assert store.floor > 5002
    for _ in range(10):
        made(Noop(), store=store)
    assert store.state.tree.tombstones == {}
    store.check_invariants()


# --- rights


def test_policies_roles_and_tokens_are_set_and_dropped() -> None:
    store = made(
        SetPolicy(POLICY), SetRole(Role("r", ("reader",))), SetToken(Token("t", roles=("r",)))
    )

    assert store.acl.policies["reader"] == POLICY
    assert list(store.acl.roles) == ["r"]
    assert list(store.acl.tokens) == ["t"]
    made(DropToken("t"), DropRole("r"), DropPolicy("reader"), DropPolicy("reader"), store=store)
    assert (list(store.acl.roles), list(store.acl.tokens)) == ([], [])


def test_what_cannot_be_set_is_refused_with_the_reason() -> None:
    store = Store()

    refusal = refused(store, SetRole(Role("r", ("missing",))), Malformed)
    assert str(refusal) == "role cannot be set: there is no policy 'missing'"
    refused(store, SetToken(Token("t", policies=("missing",))), Malformed)
    refused(store, SetPolicy(Policy("global-management")), Malformed)


WRONG: Any = object()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (SetPolicy(WRONG), "policy"),
        (SetRole(WRONG), "role"),
        (SetToken(WRONG), "token"),
        (DropPolicy(WRONG), "name"),
        (DropRole(WRONG), "name"),
        (DropToken(WRONG), "accessor"),
        (SetQuota(WRONG, 1), "prefix"),
        (SetQuota("a"), "max_keys"),
        (SetQuota("a", -1), "max_keys"),
        (SetQuota("a", 1, "2"), "max_bytes"),  # type: ignore[arg-type]
        (DropQuota(WRONG), "prefix"),
        (Compact(WRONG), "revision"),
        (Configure(WRONG), "config"),
    ],
)
def test_a_malformed_field_is_refused_and_named(command: Any, field: str) -> None:
    assert refused(Store(), command, Malformed).field == field


@pytest.mark.parametrize(
    "command",
    [
        Put("a"),
        Create("a"),
        Delete("a"),
        SessionOpen("new"),
        SessionRenew(("s",)),
        SessionClose("s"),
        Invalidate(("x",)),
        Compact(1),
        SetQuota("a", 1),
        DropQuota("a"),
        SetPolicy(POLICY),
        SetRole(Role("r")),
        SetToken(Token("t")),
        DropPolicy("reader"),
        DropRole("r"),
        DropToken("t"),
        Configure(Config()),
    ],
)
def test_everything_but_time_needs_a_right(command: Any) -> None:
    store = made(SessionOpen("s"), Configure(Config(acl=AclMode.DENY)))

    refusal = refused(store, command, Denied)

    assert "denied" in str(refusal)
    made(Noop(), Tick(), store=store, now=5)


def test_a_token_that_was_revoked_or_has_expired_gets_nothing_done() -> None:
    store = made(SetToken(Token("t", management=True, expires=1000)))
    made(SetToken(Token("u", management=True)), Configure(Config(acl=AclMode.ALLOW)), store=store)

    assert store.apply(Put("a"), actor="t", now=999).ok
    assert not store.apply(Put("a", b"1"), actor="t", now=1000).ok
    assert store.apply(DropToken("u"), actor="u").ok
    assert not store.apply(Put("a", b"2"), actor="u").ok


# --- configuration


def test_the_configuration_is_replaced_as_a_whole() -> None:
    store = Store()
    config = attrs.evolve(store.config, value_size_max=3, history_changes=5)

    assert done(store, Configure(config), ConfigureOk) == ConfigureOk(Config())

    assert store.config == config
    assert refused(store, Put("a", b"1234"), TooLarge).limit == 3


def test_a_feature_that_this_build_has_not_is_refused_and_levels_never_fall() -> None:
    store = Store()

    refused(store, Configure(Config(feature_level=FEATURE_LEVEL + 1)), Unsupported)
    store.state.config = attrs.evolve(Config(), feature_level=FEATURE_LEVEL + 1)
    assert store.apply(Configure(Config())).result.code == "malformed"  # type: ignore[union-attr]


def test_the_separator_changes_while_no_key_is_remembered() -> None:
    store = made(Configure(Config(separator=".")), Put("a.b"), Put("a.c"))

    assert store.index_below("a.") == 3
    assert refused(store, Configure(Config()), Malformed).field == "separator"
    made(Delete("a.b"), Delete("a.c"), store=store)
    assert refused(store, Configure(Config()), Malformed).field == "separator"
    made(Compact(store.applied_index), Noop(), Configure(Config()), Put("a/b"), store=store)
    assert store.index_below("a/") == store.revision
