"""Quotas: counted as it changes, all of them above a key."""

from __future__ import annotations

from kvstore.commands import (
    Create,
    Delete,
    DeleteRange,
    DropQuota,
    Lock,
    Put,
    SessionOpen,
    SetQuota,
    Txn,
    Unlock,
)
from kvstore.refusals import OverAlready, QuotaExceeded, TxnFailed
from kvstore.results import PutOk, SessionOk
from kvstore.state.quotas import Quotas, key_size, weight
from kvstore.store import Store
from tests.kvstore.driving import done, keys, made, refused


def test_a_key_counts_its_bytes_and_those_of_its_value() -> None:
    assert (key_size("abc"), key_size("ä")) == (3, 2)
    assert weight("abc", 10) == (1, 13)
    assert weight("abc", None) == (0, 0)


def test_a_quota_bounds_the_keys_of_its_prefix() -> None:
    store = made(SetQuota("a/", max_keys=2), Put("a/1"), Put("a/2"), Put("b/1"))

    refusal = refused(store, Put("a/3"), QuotaExceeded)

    assert (refusal.prefix, refusal.what, refusal.limit, refusal.over_by) == ("a/", "keys", 2, 1)
    made(Put("a/1", b"still may be written"), Delete("a/2"), Put("a/3"), store=store)


def test_a_quota_bounds_the_bytes_of_keys_and_values() -> None:
    store = made(SetQuota("a/", max_bytes=10), Put("a/1", b"12345"))

    refusal = refused(store, Put("a/1", b"12345678"), QuotaExceeded)

    assert (refusal.what, refusal.wanted, refusal.over_by) == ("bytes", 11, 1)
    made(Put("a/1", b"1234567"), store=store)


def test_all_quotas_above_a_key_apply() -> None:
    store = made(SetQuota("", max_keys=3), SetQuota("a/b/", max_keys=1), Put("a/b/1"), Put("a/2"))

    assert refused(store, Put("a/b/3"), QuotaExceeded).prefix == "a/b/"
    made(Put("x"), store=store)
    assert refused(store, Put("y"), QuotaExceeded).prefix == ""


def test_every_kind_of_write_counts() -> None:
    store = made(SetQuota("a/", max_keys=1), SessionOpen("s"), Lock("a/1", "s"))

    refused(store, Lock("a/2", "s"), QuotaExceeded)
    refused(store, Create("a/n", sequence="counter"), QuotaExceeded)
    refused(store, Create("a/2"), QuotaExceeded)
    made(SetQuota("a/", max_bytes=10), store=store)
    refused(store, Lock("a/1", "s", b"x" * 8), QuotaExceeded)
    refused(store, Unlock("a/1", "s", b"x" * 8), QuotaExceeded)
    made(SetQuota("a/", max_keys=1), store=store)
    assert done(store, Put("a/1", b"x" * 100), PutOk).created is False
    made(DeleteRange("a/"), Create("a/2"), store=store)


def test_a_transaction_is_judged_by_what_is_left_in_the_end() -> None:
    store = made(SetQuota("a/", max_keys=1), Put("a/1"))

    made(Txn((), (Put("a/2"), Delete("a/1"))), store=store)
    refusal = refused(store, Txn((), (Put("a/3"), Put("b"))), TxnFailed)

    assert keys(store) == ["a/2"]
    assert [(error.path, error.code) for error in refusal.errors] == [((), "quota")]


def test_what_makes_a_full_subtree_smaller_is_possible() -> None:
    store = made(Put("a/1", b"12345"), Put("a/2", b"1"), SetQuota("a/", max_bytes=12))

    made(Put("a/1", b"1234"), Put("a/2", b"12"), Delete("a/1"), store=store)


def test_a_quota_below_what_is_there_is_refused_and_tells_how_much_that_is() -> None:
    store = made(Put("a/1", b"12345"), Put("a/2"))

    refusal = refused(store, SetQuota("a/", max_keys=5, max_bytes=10), OverAlready)

    assert (refusal.what, refusal.limit, refusal.current) == ("bytes", 10, 11)
    assert refused(store, SetQuota("a/", max_keys=1), OverAlready).what == "keys"


def test_a_quota_is_replaced_and_dropped_by_its_prefix() -> None:
    store = made(SetQuota("a/", max_keys=1), Put("a/1"))

    made(SetQuota("a/", max_keys=2), Put("a/2"), store=store)
    refused(store, Put("a/3"), QuotaExceeded)
    made(DropQuota("a/"), DropQuota("a/"), Put("a/3"), store=store)

    store.check_invariants()


def test_a_key_that_is_shorter_than_a_prefix_is_not_below_it() -> None:
    quotas = Quotas()
    quotas.set("a/b/", (1, None), (0, 0))

    assert list(quotas.above("a/")) == []
    assert list(quotas.above("a/b/c")) == ["a/b/"]
    assert quotas.usage("x") is None


def test_counts_follow_every_change() -> None:
    store = Store()
    made(SetQuota("", max_bytes=1000), SetQuota("a", max_keys=9), store=store)

    made(Put("a", b"1"), Put("ab", b"12"), Put("a", b"123"), Delete("ab"), Put("b"), store=store)

    assert store.state.quotas.usage("") == (2, 5)
    assert store.state.quotas.usage("a") == (1, 4)


def test_a_lock_may_not_bring_more_bytes_than_fit() -> None:
    store = Store()
    session = store.apply(SessionOpen()).result
    assert isinstance(session, SessionOk)
    store.apply(Put("a/1", b"1"))
    store.apply(SetQuota("a/", max_bytes=6))

    refusal = refused(store, Lock("a/1", session.session.id, b"12345678"), QuotaExceeded)

    assert (refusal.what, refusal.limit) == ("bytes", 6)
