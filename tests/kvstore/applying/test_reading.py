"""Reads: of one key, of selections, of folded names; now and in the past."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from kvstore.acl.access import AclMode
from kvstore.acl.rules import ANONYMOUS, Level, Policy, Role, Rule, Token
from kvstore.commands import (
    Command,
    Compact,
    Count,
    Create,
    Delete,
    DeleteRange,
    Get,
    Keys,
    Put,
    Range,
    SetPolicy,
    SetRole,
    SetToken,
    Txn,
)
from kvstore.config import Config
from kvstore.refusals import Compacted, Denied, Future, Malformed
from kvstore.results import CountOk, GetOk, KeysOk, RangeOk, TxnOk
from kvstore.store import Store
from tests.kvstore.driving import answer, done, made, refused


def listed(store: Store, command: Range) -> list[str]:
    return list(done(store, command, RangeOk).keys)


def named(store: Store, command: Keys) -> list[str]:
    return list(done(store, command, KeysOk).names)


def shop() -> Store:
    """Keys of several sizes and ages: mod revisions 6, 2, 7, 4, 5 in the order of keys."""
    return made(
        Put("a", b"ccc"),
        Put("b", b"b"),
        Put("c", b"1"),
        Put("d", b"aa"),
        Put("e", b"dddd"),
        Put("a", b"ccc2"),
        Put("c", b"2"),
    )


# --- one key


def test_a_key_is_read_with_its_index() -> None:
    store = made(Put("a", b"1"), Put("b"))

    result = done(store, Get("a"), GetOk)

    assert result.entry is not None
    assert (result.entry.value, result.index, result.revision) == (b"1", 1, 3)
    assert done(store, Get("absent"), GetOk).entry is None


def test_a_key_is_read_as_it_was() -> None:
    store = made(Put("a", b"1"), Put("b"), Put("a", b"2", ttl=5), Delete("a"), Put("a", b"3"))

    seen = [done(store, Get("a", revision), GetOk).entry for revision in range(6)]

    assert [entry and entry.value for entry in seen] == [None, b"1", b"1", b"2", None, b"3"]
    assert [entry.version for entry in seen if entry] == [1, 1, 2, 1]
    assert [entry.expires for entry in seen if entry] == [None] * 4


def test_a_revision_that_is_forgotten_or_not_there_is_refused() -> None:
    store = made(Put("a"), Put("a", b"1"), Compact(2))

    assert refused(store, Get("a", 1), Compacted).floor == 2
    assert done(store, Get("a", 2), GetOk).entry is not None
    assert refused(store, Get("a", 9), Future).newest == 6
    for command in (Range("", revision=1), Count("", revision=1), Keys(revision=1)):
        refused(store, command, Compacted)


# --- selections


def test_a_selection_is_a_prefix_or_a_range() -> None:
    store = shop()

    assert listed(store, Range("")) == ["a", "b", "c", "d", "e"]
    assert listed(store, Range("c")) == ["c"]
    assert listed(store, Range(start="b", end="d")) == ["b", "c"]
    assert listed(store, Range(start="d")) == ["d", "e"]
    assert listed(store, Range(start="d", end="b")) == []


def test_a_limit_cuts_and_tells_where_to_go_on() -> None:
    store = shop()

    first = done(store, Range("", limit=2), RangeOk)
    second = done(store, Range("", limit=3, after=first.next), RangeOk)

    assert (first.keys, first.next, first.more, first.count) == (("a", "b"), "b", True, 5)
    assert (second.keys, second.next, second.more, second.count) == (
        ("c", "d", "e"),
        None,
        False,
        5,
    )
    assert done(store, Range("", limit=0), RangeOk).more
    assert done(store, Range("", limit=0, after="c"), RangeOk).next == "c"


def test_descending_begins_at_the_end_and_goes_on_downwards() -> None:
    store = shop()

    first = done(store, Range("", limit=2, descending=True), RangeOk)

    assert (first.keys, first.next) == (("e", "d"), "d")
    assert listed(store, Range("", after="d", descending=True)) == ["c", "b", "a"]
    assert listed(store, Range(start="b", end="d", after="e", descending=True)) == ["c", "b"]


def test_keys_can_be_told_without_values() -> None:
    store = shop()

    entry = done(store, Range("a", keys_only=True), RangeOk).entries[0]

    assert (entry.value, entry.mod_revision) == (b"", 6)


def test_bytes_are_bounded_but_the_first_entry_always_fits() -> None:
    store = shop()

    assert listed(store, Range("", max_bytes=7)) == ["a", "b"]
    assert listed(store, Range("", max_bytes=0)) == ["a"]
    assert done(store, Range("", max_bytes=1000), RangeOk).more is False


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Range("", sort="mod"), "bdeac"),
        (Range("", sort="mod", descending=True), "caedb"),
        (Range("", sort="create"), "abcde"),
        (Range("", sort="create", descending=True), "edcba"),
        (Range("", sort="version"), "bdeac"),
        (Range("", sort="version", descending=True), "acbde"),
        (Range("", sort="value"), "cdbae"),
        (Range("", sort="value", limit=2), "cd"),
        (Range("", min_mod_revision=5), "ace"),
        (Range("", max_mod_revision=4), "bd"),
        (Range("", min_create_revision=2, max_create_revision=4), "bcd"),
        (Range("", min_mod_revision=5, limit=2), "ac"),
        (Range("", min_mod_revision=5, descending=True, limit=2), "ec"),
    ],
)
def test_filters_come_before_sorting_and_sorting_before_limits(
    command: Range, expected: str
) -> None:
    store = shop()

    assert "".join(listed(store, command)) == expected


def test_only_the_order_of_keys_tells_where_to_go_on() -> None:
    store = shop()

    assert done(store, Range("", sort="mod", limit=2), RangeOk).next is None
    assert done(store, Range("", sort="mod", limit=2), RangeOk).more
    assert done(store, Range("", min_mod_revision=5, limit=2), RangeOk).next == "c"


def test_a_selection_is_read_as_it_was_deleted_keys_included() -> None:
    store = made(Put("a/1"), Put("a/2"), Delete("a/1"), Put("a/3"), DeleteRange("a/"))

    seen = [listed(store, Range("a/", revision=revision)) for revision in range(6)]

    assert seen == [[], ["a/1"], ["a/1", "a/2"], ["a/2"], ["a/2", "a/3"], []]
    assert done(store, Count("a/", revision=4), CountOk).count == 2
    assert named(store, Keys("", revision=2)) == ["a/"]
    assert named(store, Keys("a/", revision=2)) == ["a/1", "a/2"]


def test_what_changed_since_includes_deletions() -> None:
    store = made(Put("a"), Put("b"), Put("c"), Put("b", b"1"), Delete("a"), Delete("c"), Put("c"))

    result = done(store, Range("", min_mod_revision=4, include_deleted_since=3), RangeOk)

    assert (result.keys, result.deleted) == (("b", "c"), (("a", 5),))
    assert done(store, Range("", include_deleted_since=5), RangeOk).deleted == ()
    assert done(store, Range("b", include_deleted_since=0), RangeOk).deleted == ()


def test_what_was_deleted_before_the_floor_cannot_be_told() -> None:
    store = made(Put("a"), Delete("a"), Put("b"), Compact(2))

    assert refused(store, Range("", include_deleted_since=1), Compacted).floor == 2
    assert done(store, Range("", include_deleted_since=2), RangeOk).deleted == ()


def test_expiring_keys_tell_when() -> None:
    store = made(Put("a", ttl=10), Put("b"), now=100)

    entries = done(store, Range(""), RangeOk).entries

    assert [entry.expires for entry in entries] == [110, None]
    assert [entry.expires for entry in store.range("").entries] == [110, None]


def test_counting_is_exact_whatever_the_limit() -> None:
    store = shop()

    assert done(store, Count(start="b", end="e"), CountOk).count == 3
    assert (store.count(""), store.count("x"), store.count(start="d")) == (5, 0, 2)


# --- folding


def tree() -> Store:
    return made(
        *(
            Put(key)
            for key in (
                "foo/bar/baz",
                "foo/bar/zip",
                "foo/bar/zip/zam",
                "foo/bar/zip/zim",
                "foo/zoo",
                "foobar",
                "top",
            )
        )
    )


def test_names_are_cut_behind_the_separator_and_told_once() -> None:
    store = tree()

    assert named(store, Keys("foo/bar/")) == ["foo/bar/baz", "foo/bar/zip", "foo/bar/zip/"]
    assert named(store, Keys()) == ["foo/", "foobar", "top"]
    assert named(store, Keys("foo")) == ["foo/", "foobar"]
    assert named(store, Keys("foo/bar/zip/")) == ["foo/bar/zip/zam", "foo/bar/zip/zim"]
    assert named(store, Keys("absent/")) == []


def test_any_text_may_be_the_separator_and_none_folds_nothing() -> None:
    store = tree()

    assert named(store, Keys("foo", "ba")) == ["foo/ba", "foo/zoo", "fooba"]
    assert named(store, Keys("f", "oo")) == ["foo"]
    assert len(named(store, Keys("", ""))) == 7


def test_names_are_limited_and_go_on() -> None:
    store = tree()

    first = done(store, Keys("foo", limit=1), KeysOk)
    second = done(store, Keys("foo", limit=1, after=first.next), KeysOk)

    assert (first.names, first.next) == (("foo/",), "foo/")
    assert (second.names, second.next) == (("foobar",), None)
    assert done(store, Keys("foo", limit=0), KeysOk).names == ()
    assert named(store, Keys("foo/", after="foo/bar/")) == ["foo/zoo"]
    assert named(store, Keys("b", after="z")) == []


def test_folding_skips_what_it_hides() -> None:
    store = made(*(Put(f"d{number // 100:02}/{number:04}") for number in range(3000)))
    made(*(Put(f"plain{number:03}") for number in range(700)), store=store)

    assert named(store, Keys()) == [
        *(f"d{number:02}/" for number in range(30)),
        *(f"plain{number:03}" for number in range(700)),
    ]


def test_a_limit_ends_the_search_for_names() -> None:
    store = made(*(Put(f"{number:02}") for number in range(30)))

    assert named(store, Keys(limit=2)) == ["00", "01"]
    assert named(store, Keys(limit=20, after="05"))[-1] == "25"


def test_the_last_name_may_have_nothing_beyond_it() -> None:
    top = "\U0010ffff"
    many = made(*(Put(f"{top}{number}") for number in range(20)))
    assert named(many, Keys("", top)) == [top]

    store = made(Put(top + "x"), Put(top + top))

    assert named(store, Keys("", top)) == [top]
    assert named(store, Keys("", top, after=top)) == []


# --- indexes to wait with


def test_the_index_of_a_read_is_above_all_changes_it_saw_and_not_above_later_ones() -> None:
    store = made(Put("a/x"), Put("b/y"), Put("c"))

    assert done(store, Range("a/"), RangeOk).index == 1
    assert done(store, Range(start="b/a", end="b/z"), RangeOk).index == 2
    assert done(store, Count("b/y"), CountOk).index == 2
    assert done(store, Keys("a/"), KeysOk).index == 1
    assert done(store, Range(""), RangeOk).index == 3
    assert done(store, Range(start="a"), RangeOk).index == 3
    assert done(store, Get("absent/key"), GetOk).index == 1


def test_in_a_transaction_that_wrote_the_index_is_its_own() -> None:
    store = made(Put("a/x"))

    result = done(store, Txn((), (Range("a/"), Put("b"), Range("a/"), Count("a/"))), TxnOk)

    assert [getattr(one, "index", None) for one in result.results] == [1, None, 2, 2]


# --- reads in transactions


def test_reads_in_a_transaction_see_what_it_did_and_what_was() -> None:
    store = made(Put("a", b"1"), Put("b", b"1"), Delete("b"), Put("b", b"2"), Put("c"))

    result = done(
        store,
        Txn(
            (),
            (
                Put("a", b"2"),
                Delete("b"),
                Put("d", b"new"),
                Range(""),
                Range("", revision=5),
                Get("b", 2),
                Get("b", 6),
                Range("", revision=2),
                Range("", include_deleted_since=2),
                Put("b"),
                Range("", include_deleted_since=2),
                Get("d", 5),
            ),
        ),
        TxnOk,
    ).results

    now, before, b_then, b_now, older, deleted, again, never = (
        result[place] for place in (3, 4, 5, 6, 7, 8, 10, 11)
    )
    assert isinstance(now, RangeOk)
    assert isinstance(before, RangeOk)
    assert isinstance(older, RangeOk)
    assert isinstance(deleted, RangeOk)
    assert isinstance(again, RangeOk)
    assert (now.keys, before.keys, older.keys) == (("a", "c", "d"), ("a", "b", "c"), ("a", "b"))
    assert [entry.value for entry in before.entries] == [b"1", b"2", b""]
    assert isinstance(b_then, GetOk)
    assert isinstance(b_now, GetOk)
    assert isinstance(never, GetOk)
    assert (b_then.entry and b_then.entry.value, b_now.entry, never.entry) == (b"1", None, None)
    assert deleted.deleted == (("b", 6),)
    assert again.deleted == ()


def test_what_a_transaction_deleted_is_told_where_it_was_and_if_it_was_there() -> None:
    store = made(Put("a"), Put("b"))

    result = done(
        store,
        Txn(
            (),
            (
                Delete("a"),
                Delete("b"),
                Put("aa"),
                Delete("aa"),
                Range("a", include_deleted_since=0),
            ),
        ),
        TxnOk,
    ).results[-1]

    assert isinstance(result, RangeOk)
    assert result.deleted == (("a", 3),)


# --- rights


def guarded(mode: AclMode = AclMode.DENY, **options: Any) -> Store:
    store = Store(Config(acl=mode, **options))
    acl = store.state.acl
    rules = (
        Rule("key", "a/", Level.READ, prefix=True),
        Rule("key", "a/secret/", Level.DENY, prefix=True),
        Rule("key", "l/", Level.LIST, prefix=True),
    )
    acl.set_policy(Policy("reader", rules))
    acl.set_role(Role("role", ("reader",)))
    acl.set_token(Token("alice", roles=("role",)))
    acl.set_token(Token("root", management=True))
    for key in ("a/1", "a/2", "a/secret/x", "b/1", "l/1"):
        store.apply(Put(key), actor="root")
    store.apply(Delete("a/2"), actor="root")
    store.apply(Put("a/3"), actor="root")
    return store


def by_alice(store: Store, command: Any) -> Any:
    return store.query(command, actor="alice")


def test_what_may_not_be_read_is_left_out_and_told() -> None:
    store = guarded()

    result = by_alice(store, Range("", include_deleted_since=0))
    assert (result.keys, result.filtered, result.count) == (("a/1", "a/3", "l/1"), True, 3)
    assert result.deleted == (("a/2", 6),)
    clear = by_alice(store, Range(start="a/", end="a/9"))
    assert (clear.keys, clear.filtered) == (("a/1", "a/3"), False)
    assert by_alice(store, Count("")) == CountOk(3, 7, 7, filtered=True)
    names = by_alice(store, Keys("a/"))
    assert (names.names, names.filtered) == (("a/1", "a/3"), True)


def test_the_anonymous_actor_is_not_told_that_something_was_left_out() -> None:
    store = guarded()
    store.state.acl.set_token(Token(ANONYMOUS, policies=("reader",)))

    for actor in (None, ANONYMOUS):
        for command in (Range(""), Count(""), Keys("a/"), Range("", revision=5)):
            result: Any = store.query(command, actor=actor)
            assert result.filtered is False
            assert result != by_alice(store, command)
            assert attrs.evolve(result, filtered=True) == by_alice(store, command)


def test_a_single_key_that_may_not_be_read_is_refused_by_its_rule() -> None:
    store = guarded()

    refusal = by_alice(store, Get("a/secret/x"))

    assert isinstance(refusal, Denied)
    assert (refusal.operation, refusal.label) == ("get", "a/secret/x")
    assert 'key_prefix "a/secret/"' in str(refusal)
    assert by_alice(store, Get("a/1")).entry.key == "a/1"


def test_deleted_keys_that_may_not_be_read_are_not_told_either() -> None:
    store = guarded()
    store.apply(Delete("b/1"), actor="root")

    assert by_alice(store, Range("", include_deleted_since=7)).deleted == ()
    assert store.range("").filtered is False


def test_the_right_to_list_can_be_asked_for() -> None:
    store = guarded(list_needs_right=True)

    assert isinstance(by_alice(store, Range("a/")), Denied)
    assert by_alice(store, Range("a/")).operation == "list"
    assert by_alice(store, Keys("l/")).names == ("l/1",)


def test_an_unknown_actor_reads_nothing_whatever_the_default() -> None:
    store = guarded(AclMode.ALLOW)

    assert isinstance(store.query(Range(""), actor="mallory"), Denied)
    assert isinstance(store.query(Get("a/1"), actor="mallory"), Denied)


def test_the_program_itself_reads_everything() -> None:
    store = guarded()

    assert store.count("") == 5
    assert store.keys().names == ("a/", "b/", "l/")
    assert store.get("b/1") is not None
    assert isinstance(store.read(Get("b/1")), GetOk)
    assert isinstance(answer(store, Get("b/1")), Denied)


def test_rights_are_commands_like_others() -> None:
    store = Store(Config(acl=AclMode.DENY))
    store.state.acl.set_token(Token("root", management=True))
    policy = Policy("p", (Rule("key", "a", Level.READ, prefix=True),))
    for command in (
        SetPolicy(policy),
        SetRole(Role("r", ("p",))),
        SetToken(Token("bob", roles=("r",))),
    ):
        assert store.apply(command, actor="root").ok
        assert not store.apply(command, actor="bob").ok

    assert isinstance(store.apply(Get("a"), actor="bob").result, GetOk)
    assert isinstance(store.apply(Put("a"), actor="bob").result, Denied)


# --- what is refused

WRONG: Any = object()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Range(), "start"),
        (Range("a", start="b"), "prefix"),
        (Range("", limit=-1), "limit"),
        (Range("", max_bytes=-1), "max_bytes"),
        (Range("", sort="age"), "sort"),  # type: ignore[arg-type]
        (Range("", sort=WRONG), "sort"),
        (Range("", descending=1), "descending"),  # type: ignore[arg-type]
        (Range("", keys_only="no"), "keys_only"),  # type: ignore[arg-type]
        (Range("", min_mod_revision=-1), "min_mod_revision"),
        (Range("", max_mod_revision="1"), "max_mod_revision"),  # type: ignore[arg-type]
        (Range("", min_create_revision=True), "min_create_revision"),
        (Range("", max_create_revision=2**63), "max_create_revision"),
        (Range("", after=5), "after"),  # type: ignore[arg-type]
        (Range("", after="a", sort="mod"), "after"),
        (Range("", revision="1"), "revision"),  # type: ignore[arg-type]
        (Range("", revision=-1), "revision"),
        (Range("", revision=0, include_deleted_since=0), "include_deleted_since"),
        (Range("", include_deleted_since=-1), "revision"),
        (Count(start=5), "start"),  # type: ignore[arg-type]
        (Keys(5), "prefix"),  # type: ignore[arg-type]
        (Keys("", b"/"), "separator"),  # type: ignore[arg-type]
        (Keys(limit=-1), "limit"),
        (Keys(after=5), "after"),  # type: ignore[arg-type]
        (Keys(revision=1.0), "revision"),  # type: ignore[arg-type]
        (Get("a", -1), "revision"),
    ],
)
def test_a_malformed_field_is_refused_and_named(command: Command, field: str) -> None:
    assert refused(shop(), command, Malformed).field == field


def test_sequential_names_are_read_like_others() -> None:
    store = made(Create("q/", sequence="counter"), Create("q/", sequence="counter"))

    assert listed(store, Range("q/")) == ["q/0000000000", "q/0000000001"]
