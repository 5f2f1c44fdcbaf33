"""What our Consul says: the rules of its state store and the words of its endpoints."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from kvstore.acl.access import AclMode
from kvstore.commands import Configure, SetQuota
from kvstore.dialects.consul import CONFIG, VALUE_SIZE_MAX, Consul
from kvstore.dialects.consul_messages import ConsulError, KVOp, KVPair, SessionEntry, TxnError, Verb
from kvstore.dialects.consul_transactions import OPERATIONS_MAX
from kvstore.store import Store


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ConsulError) as refused:
        call()
    return refused.value.status, refused.value.message


def one(consul: Consul, key: str) -> KVPair:
    (pair,) = consul.kv_get(key)[1]
    return pair


# --- reads and writes


def test_an_absent_key_has_an_index_and_no_entry() -> None:
    assert Consul().kv_get("a") == (1, ())


def test_an_entry_tells_its_indexes() -> None:
    consul = Consul()
    consul.kv_put("a", b"1", flags=42)
    consul.kv_put("a", b"2", flags=43)

    assert consul.kv_get("a") == (2, (KVPair("a", b"2", 43, 1, 2),))


def test_an_empty_value_reads_back_as_none() -> None:
    consul = Consul()
    consul.kv_put("a", b"")

    assert one(consul, "a").value is None


def test_a_write_that_changes_nothing_moves_no_index() -> None:
    consul = Consul()
    consul.kv_put("a", b"1")
    consul.kv_put("a", b"1")

    assert one(consul, "a").modify_index == 1


def test_a_write_keeps_the_lock_of_another() -> None:
    consul = Consul()
    session = consul.session_create("n")
    consul.kv_put("a", b"1", acquire=session)

    assert consul.kv_put("a", b"2")
    assert one(consul, "a").session == session


@pytest.mark.parametrize(("cas", "done"), [(0, False), (1, True), (2, False)])
def test_a_write_may_depend_on_the_index(cas: int, done: bool) -> None:
    consul = Consul()
    consul.kv_put("a", b"1")

    assert consul.kv_put("a", b"2", cas=cas) is done


@pytest.mark.parametrize(("cas", "done"), [(0, True), (50, False)])
def test_an_index_of_0_means_an_absent_key(cas: int, done: bool) -> None:
    assert Consul().kv_put("a", cas=cas) is done


@pytest.mark.parametrize(("cas", "done"), [(0, False), (1, True), (2, False), (None, True)])
def test_a_deletion_may_depend_on_the_index(cas: int | None, done: bool) -> None:
    consul = Consul()
    consul.kv_put("a")

    assert consul.kv_delete("a", cas=cas) is done
    assert len(consul.kv_get("a")[1]) == (not done)


def test_an_absent_key_is_deleted_already_whatever_the_index() -> None:
    consul = Consul()

    assert consul.kv_delete("a")
    assert consul.kv_delete("a", cas=7)


def test_a_tree_is_a_prefix_not_a_path() -> None:
    consul = Consul()
    for key in ("foo", "foo/bar", "foobar", "fo"):
        consul.kv_put(key)
    assert [pair.key for pair in consul.kv_get("foo", recurse=True)[1]] == [
        "foo",
        "foo/bar",
        "foobar",
    ]

    consul.kv_delete("foo", recurse=True)

    assert consul.kv_keys()[1] == ("fo",)


def test_keys_are_folded_behind_the_separator() -> None:
    consul = Consul()
    for key in ("foo/bar/baz", "foo/bar/zip", "foo/bar/zip/zam"):
        consul.kv_put(key)

    assert consul.kv_keys("foo/bar/", separator="/")[1] == (
        "foo/bar/baz",
        "foo/bar/zip",
        "foo/bar/zip/",
    )


def test_the_index_of_a_prefix_does_not_fall_when_its_newest_key_goes() -> None:
    consul = Consul()
    consul.kv_put("a/1")
    consul.kv_put("a/2")
    consul.kv_delete("a/2")

    assert consul.kv_get("a/", recurse=True)[0] == 3


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda consul: consul.kv_get(""), 400, "Missing key name"),
        (lambda consul: consul.kv_put(""), 400, "Missing key name"),
        (lambda consul: consul.kv_delete(""), 400, "Missing key name"),
        (
            lambda consul: consul.kv_put("a", cas=1, acquire="s"),
            400,
            "Conflicting flags: cas and acquire",
        ),
        (
            lambda consul: consul.kv_delete("a", recurse=True, cas=1),
            400,
            "Conflicting flags: cas and recurse",
        ),
        (lambda consul: consul.kv_put("a", acquire=""), 500, "missing session"),
        (lambda consul: consul.kv_put("a", acquire="s"), 500, 'invalid session "s"'),
        (
            lambda consul: consul.kv_put("a", bytes(VALUE_SIZE_MAX + 1)),
            413,
            "Request body(524289 bytes) too large, max size: 524288 bytes.",
        ),
    ],
)
def test_a_mistake_is_told_in_consuls_words(
    call: Callable[[Consul], object], status: int, words: str
) -> None:
    consul = Consul()

    assert refusal(lambda: call(consul)) == (status, words)
    assert consul.kv_keys()[1] == ()


def test_what_consul_has_no_words_for_is_told_in_the_stores() -> None:
    consul = Consul()
    consul.store.apply(SetQuota("", max_keys=0))

    status, words = refusal(lambda: consul.kv_put("a"))

    assert status == 500
    assert words.startswith("kvstore: ")


def test_without_a_right_everything_is_denied() -> None:
    consul = Consul()
    watch = consul.wait("a", 1, 0.0)
    consul.store.apply(Configure(attrs.evolve(CONFIG, acl=AclMode.DENY)))

    denied = (403, "Permission denied")
    assert refusal(lambda: consul.kv_get("a")) == denied
    assert refusal(lambda: consul.kv_put("a")) == denied
    assert refusal(lambda: consul.session_create("n")) == denied
    consul.handle_timeout(400.0)
    assert refusal(lambda: consul.poll(watch)) == denied
    assert consul.txn([KVOp("set", "a")]).errors == (TxnError(0, "Permission denied"),)


# --- locks


def test_a_lock_is_held_by_one_session_and_counts_its_holders() -> None:
    consul = Consul()
    first, second = consul.session_create("n"), consul.session_create("n")

    assert consul.kv_put("a", b"1", acquire=first)
    assert not consul.kv_put("a", b"2", acquire=second)
    assert consul.kv_put("a", b"3", acquire=first)
    assert one(consul, "a").lock_index == 1
    assert not consul.kv_put("a", release=second)
    assert not consul.kv_put("a", release="nobody")
    assert consul.kv_put("a", release=first)
    assert consul.kv_put("a", acquire=second)

    pair = one(consul, "a")
    assert (pair.lock_index, pair.session, pair.value) == (2, second, None)


def test_a_lock_cannot_be_taken_for_a_while_after_its_session_ended() -> None:
    consul = Consul()
    first = consul.session_create("n", lock_delay=15.0, now=0)
    consul.kv_put("a", acquire=first)
    consul.session_destroy(first)
    second = consul.session_create("n")

    assert not consul.kv_put("a", acquire=second, now=14_999)
    assert consul.kv_put("a", acquire=second, now=15_000)


@pytest.mark.parametrize(("behavior", "left"), [("release", 1), ("delete", 0)])
def test_a_session_that_ends_releases_or_deletes(behavior: str, left: int) -> None:
    consul = Consul()
    session = consul.session_create("n", behavior=behavior)  # type: ignore[arg-type]
    consul.kv_put("a", b"1", acquire=session)

    assert consul.session_destroy(session)
    assert consul.session_destroy(session)

    pairs = consul.kv_get("a")[1]
    assert [pair.session for pair in pairs] == [""] * left


# --- sessions


def test_a_session_tells_what_it_was_made_of() -> None:
    consul = Consul()

    session = consul.session_create("web-1", name="x", checks=("serfHealth", "db"), ttl=20)

    expected = SessionEntry(session, "x", "web-1", ("serfHealth", "db"), "release", 20, 15, 1)
    assert consul.session_info(session) == expected
    assert consul.session_list() == consul.session_list("web-1") == (expected,)
    assert consul.session_list("web-2") == ()
    assert consul.session_info("nobody") is None


def test_a_session_lasts_twice_its_ttl_and_is_renewed() -> None:
    consul = Consul()
    session = consul.session_create("n", ttl=10, now=0)
    consul.session_renew(session, now=5_000)

    assert consul.tick(24_999) == ()
    assert consul.tick(25_000) == (session,)
    assert refusal(lambda: consul.session_renew(session)) == (
        404,
        f"Session id '{session}' not found",
    )


def test_a_tick_ends_all_that_is_due_however_much_that_is() -> None:
    consul = Consul()
    for _ in range(1_001):
        consul.session_create("n", ttl=10, now=0)

    assert len(consul.tick(20_000)) == 1_001


def test_a_ttl_out_of_range_is_refused() -> None:
    assert refusal(lambda: Consul().session_create("n", ttl=5)) == (
        400,
        "Invalid Session TTL '5000000000', must be between [10s=24h0m0s]",
    )


def test_sessions_end_with_their_checks_and_their_node() -> None:
    consul = Consul()
    one_, two = consul.session_create("n", checks=("db",)), consul.session_create("n")

    assert consul.check_critical("m", "db") == ()
    assert consul.check_critical("n", "db") == (one_,)
    assert consul.deregister("n") == (two,)


# --- blocking queries


def test_a_blocking_query_answers_when_its_key_changes() -> None:
    consul = Consul()
    consul.kv_put("a", b"1")
    wait = consul.wait("a", consul.kv_get("a")[0], 0.0)
    consul.kv_put("b")
    assert consul.poll(wait) is None

    consul.kv_put("a", b"2")

    assert consul.poll(wait) == consul.kv_get("a")


def test_a_blocking_query_answers_when_its_time_is_over() -> None:
    consul = Consul()
    consul.kv_put("a/1")
    before = consul.kv_get("a/", recurse=True)
    wait = consul.wait("a/", before[0], 10.0, recurse=True, wait=5.0)
    assert consul.next_timeout() == 15.0

    consul.handle_timeout(15.0)

    assert consul.poll(wait) == before


def test_a_blocking_query_lasts_ten_minutes_at_most() -> None:
    consul = Consul()
    consul.wait("a", 1, 0.0, wait=10_000.0)

    assert consul.next_timeout() == 600.0


def test_a_blocking_query_without_an_index_does_not_block() -> None:
    consul = Consul()

    assert consul.poll(consul.wait("a", 0, 0.0)) == (1, ())


# --- transactions


def test_a_transaction_answers_each_verb() -> None:
    consul = Consul()
    session = consul.session_create("n")
    for key in ("index", "gone", "tree/1", "tree/2", "cas", "stale"):
        consul.kv_put(key, b"old")
    indexes = {key: one(consul, key).modify_index for key in ("index", "cas", "stale")}

    answer = consul.txn(
        [
            KVOp("set", "set", b"1", flags=7),
            KVOp("cas", "cas", b"2", index=indexes["cas"]),
            KVOp("lock", "lock", b"3", session=session),
            KVOp("check-session", "lock", session=session),
            KVOp("unlock", "lock", b"4", session=session),
            KVOp("get", "set"),
            KVOp("get-or-empty", "absent"),
            KVOp("get-or-empty", "set"),
            KVOp("get-tree", "tree/"),
            KVOp("check-index", "index", index=indexes["index"]),
            KVOp("check-not-exists", "absent"),
            KVOp("delete", "gone"),
            KVOp("delete-tree", "tree/"),
            KVOp("delete-cas", "stale", index=indexes["stale"]),
        ]
    )

    assert answer.errors == ()
    assert [(pair.key, pair.value) for pair in answer.results] == [
        ("set", None),
        ("cas", None),
        ("lock", None),
        ("lock", None),
        ("lock", None),
        ("set", b"1"),
        ("absent", None),
        ("set", b"1"),
        ("tree/1", b"old"),
        ("tree/2", b"old"),
        ("index", None),
    ]
    assert consul.kv_keys()[1] == ("cas", "index", "lock", "set")


def test_every_operation_that_fails_is_told_and_nothing_is_done() -> None:
    consul = Consul()
    holder, other = consul.session_create("n"), consul.session_create("n")
    consul.kv_put("a", b"1")
    consul.kv_put("lock", acquire=holder)
    before = consul.kv_get("", recurse=True)
    index = one(consul, "a").modify_index

    answer = consul.txn(
        [
            KVOp("set", "new"),
            KVOp("cas", "a", index=99),
            KVOp("lock", "lock", session=other),
            KVOp("lock", "lock", session="nobody"),
            KVOp("unlock", "lock", session=other),
            KVOp("get", "absent"),
            KVOp("check-index", "a", index=99),
            KVOp("check-index", "absent", index=0),
            KVOp("check-session", "lock", session=other),
            KVOp("check-session", "absent"),
            KVOp("check-not-exists", "a"),
            KVOp("delete-cas", "a", index=99),
        ]
    )

    sessions = f'current session "{holder}" != "{other}"'
    assert answer.results == ()
    assert answer.errors == (
        TxnError(1, 'failed to set key "a", index is stale'),
        TxnError(2, 'failed to lock key "lock", lock is already held'),
        TxnError(3, 'invalid session "nobody"'),
        TxnError(4, 'failed to unlock key "lock", lock isn\'t held, or is held by another session'),
        TxnError(5, 'key "absent" doesn\'t exist'),
        TxnError(6, f'failed index check for key "a", current modify index {index} != 99'),
        TxnError(7, 'failed to check index, key "absent" doesn\'t exist'),
        TxnError(8, f'failed session check for key "lock", {sessions}'),
        TxnError(9, 'failed to check session, key "absent" doesn\'t exist'),
        TxnError(10, 'key "a" exists'),
        TxnError(11, 'failed to delete key "a", index is stale'),
    )
    assert consul.kv_get("", recurse=True) == before


def test_what_is_wrong_on_sight_is_told_alone() -> None:
    consul = Consul()
    first = consul.session_create("n", now=0)
    consul.kv_put("a", acquire=first)
    consul.session_destroy(first)
    second = consul.session_create("n")

    answer = consul.txn(
        [
            KVOp("set", ""),
            KVOp("lock", "a", session=second),
            KVOp("unlock", "a"),
            KVOp("get", "absent"),
        ]
    )

    assert answer.errors == (
        TxnError(0, "Must provide key"),
        TxnError(1, 'failed to lock key "a" due to lock delay'),
        TxnError(2, "missing session"),
    )


def test_a_quota_is_told_in_the_stores_words() -> None:
    consul = Consul()
    consul.store.apply(SetQuota("", max_keys=0))

    (error,) = consul.txn([KVOp("set", "a")]).errors

    assert error.op_index == 0
    assert error.what.startswith("kvstore: ")


def test_a_transaction_has_a_limit() -> None:
    operations = [KVOp("get-or-empty", "a")] * (OPERATIONS_MAX + 1)

    assert Consul().txn(operations[1:]).errors == ()
    assert refusal(lambda: Consul().txn(operations)) == (
        413,
        "Transaction contains too many operations (129 > 128)",
    )


def test_a_verb_that_is_none_is_a_mistake() -> None:
    verb: Verb = "upsert"  # type: ignore[assignment]

    with pytest.raises(ValueError, match="unknown KV verb 'upsert'"):
        Consul().txn([KVOp(verb, "a")])


def test_a_store_with_a_lower_limit_refuses_in_its_own_words() -> None:
    consul = Consul(Store(attrs.evolve(CONFIG, operations_max=1)))

    status, words = refusal(lambda: consul.txn([KVOp("set", "a"), KVOp("set", "b")]))

    assert status == 500
    assert words.startswith("kvstore: ")
