"""Transactions: branches chosen before, all or nothing, and what is left in the end."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.acl.access import AclMode
from kvstore.acl.rules import Level, Policy, Rule, Token
from kvstore.commands import (
    Check,
    Create,
    Delete,
    DeleteRange,
    Get,
    Lock,
    Noop,
    Put,
    SessionOpen,
    Touch,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.refusals import (
    Refusal,
    TooDeep,
    TooLarge,
    TooManyOperations,
    TxnFailed,
)
from kvstore.results import DeleteOk, GetOk, PutOk, TxnOk
from kvstore.store import Store
from tests.kvstore.driving import done, keys, made, refused


def paths(refusal: TxnFailed) -> list[tuple[tuple[str | int, ...], str]]:
    return [(error.path, error.code) for error in refusal.errors]


def test_results_stand_where_their_operations_do() -> None:
    store = made(Put("a", b"1"))

    result = done(store, Txn((), (Get("a"), Delete("absent"), Put("b"), Get("b"))), TxnOk)

    kinds = [type(one) for one in result.results]
    assert (result.branch, kinds) == (True, [GetOk, DeleteOk, PutOk, GetOk])


def test_all_changes_have_one_revision_in_the_order_of_first_writes() -> None:
    store = made(Put("a"), Put("b"))

    applied = store.apply(Txn((), (Put("c"), Put("b", b"1"), Delete("a"), Put("c", b"2"))))

    assert [(event.kind, event.key, event.revision) for event in applied.events] == [
        ("put", "c", 3),
        ("put", "b", 3),
        ("delete", "a", 3),
    ]
    store.check_invariants()


def test_an_empty_transaction_is_done_without_a_revision() -> None:
    applied = Store().apply(Txn())

    assert (applied.result, applied.changed) == (TxnOk(True, ()), False)


# --- branches


def test_checks_choose_the_branch() -> None:
    store = made(Put("a", b"1"))
    command = Txn((Check("a", "value", "=", b"1"),), (Put("then"),), (Put("otherwise"),))

    assert done(store, command, TxnOk).branch
    made(Put("a", b"2"), store=store)
    assert not done(store, command, TxnOk).branch

    assert keys(store) == ["a", "otherwise", "then"]


def test_the_branches_of_all_levels_are_chosen_on_the_state_before() -> None:
    store = Store()
    inner = Txn((Check("a"),), (Put("saw"),), (Put("saw-not"),))

    result = done(store, Txn((), (Put("a"), inner)), TxnOk)

    assert result.results[1] == TxnOk(False, result.results[1].results)  # type: ignore[union-attr]
    assert keys(store) == ["a", "saw-not"]


def test_checks_of_a_branch_that_is_not_taken_do_not_matter() -> None:
    malformed = Txn((Check("a", "age"),))  # type: ignore[arg-type]

    assert done(Store(), Txn((Check("a"),), (malformed,), (Put("b"),)), TxnOk).branch is False


# --- all or nothing


def test_every_refusal_is_told_with_its_place() -> None:
    store = made(SessionOpen("s"), Put("a"), Lock("held", "s"))
    inner = Txn((Check("absent"),), (), (Put("x"), Delete("a", cas=9)))

    refusal = refused(
        store,
        Txn(
            (),
            (
                Put("new"),
                Put("a", cas=0),
                Create("a"),
                inner,
                Lock("held", "t"),
                Unlock("a", "s"),
                Check("new", "version", "=", 2),
                Get("a", 99),
                Put("a", owner="nobody"),
            ),
        ),
        TxnFailed,
    )

    assert paths(refusal) == [
        (("then", 1), "cas_mismatch"),
        (("then", 2), "exists"),
        (("then", 3, "otherwise", 1), "cas_mismatch"),
        (("then", 4), "no_session"),
        (("then", 5), "not_held"),
        (("then", 6), "check_failed"),
        (("then", 7), "future"),
        (("then", 8), "no_session"),
    ]
    assert keys(store) == ["a", "held"]


def test_the_first_refusal_can_be_enough() -> None:
    command = Txn((), (Put("a", cas=1), Txn((), (Put("b", cas=1),))), stop_at_first=True)

    assert paths(refused(Store(), command, TxnFailed)) == [(("then", 0), "cas_mismatch")]


def test_a_failed_transaction_leaves_keys_order_sessions_and_deadlines_alone() -> None:
    store = made(SessionOpen("s"), Put("a", ttl=50), Put("b"), Lock("c", "s"), now=0)

    refused(
        store,
        Txn(
            (),
            (
                Put("a", b"x", ttl=99),
                Delete("b"),
                Put("new"),
                Delete("new"),
                Put("b", b"again"),
                Unlock("c", "s"),
                DeleteRange("a"),
                Touch(("a",)),
                Create("q", sequence="counter"),
                Put("a", cas=77),
            ),
        ),
        TxnFailed,
    )

    assert store.next_deadline == 50
    assert keys(store) == ["a", "b", "c"]
    assert store.session_keys("s") == ("c",)


# --- the net effect


def test_a_key_written_often_changes_once() -> None:
    store = made(Put("a", b"1"))

    applied = store.apply(Txn((), (Put("a", b"2"), Put("a", b"3"), Put("a", b"4"))))

    (event,) = applied.events
    assert event.entry is not None
    assert event.previous is not None
    assert (event.entry.value, event.entry.version, event.previous.value) == (b"4", 2, b"1")


def test_what_ends_as_it_was_is_no_change() -> None:
    store = made(Put("a", b"1"))

    applied = store.apply(
        Txn((), (Put("a", b"2"), Put("a", b"1"), Put("new"), Delete("new"), Get("a")))
    )

    assert (applied.ok, applied.changed, store.revision) == (True, False, 1)
    assert store.get("a") == made(Put("a", b"1")).get("a")


def test_a_forced_write_is_a_change_in_the_end_too() -> None:
    store = made(Put("a", b"1"))

    applied = store.apply(Txn((), (Put("a", b"1", force=True),)))

    assert applied.changed
    entry = store.get("a")
    assert entry is not None
    assert entry.version == 2


def test_deleted_and_written_again_is_a_new_life_and_one_change() -> None:
    store = made(Put("a", b"1"), Put("a", b"2"))

    applied = store.apply(Txn((), (Delete("a"), Put("a", b"2"))))

    (event,) = applied.events
    assert event.entry is not None
    assert (event.kind, event.entry.create_revision, event.entry.version) == ("put", 3, 1)
    assert store.get("a", revision=2) == event.previous


def test_taken_and_given_back_is_a_change_of_the_count() -> None:
    store = made(SessionOpen("s"), Put("a"))

    made(Txn((), (Lock("a", "s"), Unlock("a", "s"))), store=store)

    entry = store.get("a")
    assert entry is not None
    assert (entry.lock_count, entry.lock_session) == (1, "")


def test_a_key_created_and_changed_is_at_version_one() -> None:
    store = made(Txn((), (Put("a", b"1"), Put("a", b"2"))))

    entry = store.get("a")
    assert entry is not None
    assert (entry.value, entry.version) == (b"2", 1)


def test_ttls_begin_when_the_transaction_is_done() -> None:
    store = made(Txn((), (Put("a", ttl=50), Put("b", ttl=60), Delete("b"))), now=100)

    assert store.next_deadline == 150
    made(Txn((), (Put("a", ttl=None),)), store=store)
    assert store.next_deadline is None
    store.check_invariants()


def test_the_keys_of_a_session_are_bounded_in_the_end() -> None:
    store = made(SessionOpen("s"), store=Store(Config(session_keys_max=1)))

    refusal = refused(store, Txn((), (Put("a", owner="s"), Put("b", owner="s"))), TxnFailed)
    made(Txn((), (Put("a", owner="s"), Put("b", owner="s"), Delete("a"))), store=store)

    assert isinstance(refusal.errors[0].refusal, TooLarge)
    assert store.session_keys("s") == ("b",)


def test_a_name_in_a_transaction_holds_the_revision() -> None:
    store = made(Put("x"))

    result = done(store, Txn((), (Create("q/", sequence="revision"),)), TxnOk)

    assert isinstance(result.results[0], PutOk)
    assert result.results[0].key == "q/00000000000000000002"


# --- what cannot be tried


def test_operations_are_bounded_with_checks_and_all_branches() -> None:
    store = Store(Config(operations_max=4))

    made(Txn((Check("a"),), (Put("a"), Txn((), (Put("b"),)))), store=store)
    command = Txn((Check("a"),), (Put("a"),), (Put("b"), Txn((), (Put("c"),))))
    refusal = refused(store, command, TooManyOperations)

    assert (refusal.limit, refusal.got) == (4, 5)


def test_nesting_is_bounded_at_any_depth() -> None:
    store = Store(Config(depth_max=2))
    deep = Txn()
    for _ in range(100_000):
        deep = Txn((), (deep,))

    made(Txn((), (Txn((), (Put("a"),)),)), store=store)
    assert refused(store, Txn((), (Txn((), (Txn(),)),)), TooDeep).limit == 2
    assert isinstance(store.apply(deep).result, TooDeep)
    while deep.then:  # so that the interpreter need not free it by recursion
        deep = deep.then[0]  # type: ignore[assignment]


def test_a_transaction_that_stands_in_many_places_is_not_walked_through_for_each() -> None:
    few = Txn((), (Get("a"),))
    for _ in range(20):
        few = Txn((), (few, few, few))

    refusal = refused(Store(Config(depth_max=32)), few, TooManyOperations)

    # 3 + 9 + 27 + 81 and those of the next level: a million of millions are left alone.
    assert (refusal.limit, refusal.got) == (128, 3 + 9 + 27 + 81 + 243)


def test_of_operations_and_levels_the_first_level_that_is_too_much_counts() -> None:
    store = Store(Config(operations_max=2, depth_max=2))
    deep = Txn((), (Txn((), (Txn(),)),))

    assert refused(store, deep, TooDeep).limit == 2
    assert refused(store, Txn((), (Get("a"), Get("b"), deep)), TooManyOperations).got == 3


def test_what_is_no_operation_is_refused_with_its_place() -> None:
    wrong: Any = Noop()
    store = Store()

    refusal = refused(store, Txn((), (Put("a"), wrong, Txn((wrong,), (wrong,)))), TxnFailed)

    assert paths(refusal) == [
        (("then", 1), "unsupported"),
        (("then", 2, "when", 0), "malformed"),
        (("then", 2, "then", 0), "unsupported"),
    ]


def test_what_is_malformed_in_a_query_is_refused_as_in_a_command() -> None:
    store = Store(Config(depth_max=2))
    deep = Txn()
    for _ in range(100_000):
        deep = Txn((), (deep,))
    wrong: Any = None

    for command in (deep, Txn(wrong), Txn((), wrong), Txn((), (wrong,)), Txn(stop_at_first=wrong)):
        result = store.query(command)
        assert result == store.read(command) == store.apply(command).result
        assert isinstance(result, Refusal)
    while deep.then:  # so that the interpreter need not free it by recursion
        deep = deep.then[0]  # type: ignore[assignment]


@pytest.mark.parametrize(
    "command",
    [
        Txn([]),  # type: ignore[arg-type]
        Txn((), "ab"),  # type: ignore[arg-type]
        Txn((), (), None),  # type: ignore[arg-type]
        Txn(stop_at_first=1),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_transaction_is_refused(command: Txn) -> None:
    assert paths(refused(Store(), command, TxnFailed)) == [((), "malformed")]


# --- rights


def test_what_may_not_be_read_or_written_is_a_refusal_in_a_transaction() -> None:
    store = Store(Config(acl=AclMode.DENY))
    acl = store.state.acl
    acl.set_policy(Policy("p", (Rule("key", "a/", Level.READ, prefix=True),)))
    acl.set_token(Token("alice", policies=("p",)))
    acl.set_token(Token("root", management=True))
    store.apply(Put("a/1"), actor="root")

    def failing(command: Txn) -> list[tuple[tuple[str | int, ...], str]]:
        result = store.apply(command, actor="alice").result
        assert isinstance(result, Refusal)
        assert isinstance(result, TxnFailed)
        return paths(result)

    assert store.apply(Txn((Check("a/1"), Check(prefix="a/")), (Get("a/1"),)), actor="alice").ok
    assert failing(Txn((Check("b"), Check(prefix="")))) == [
        (("when", 0), "denied"),
        (("when", 1), "denied"),
    ]
    assert failing(Txn((), (Put("a/1"), Get("b"), DeleteRange("a/"), Touch(("a/1",))))) == [
        (("then", 0), "denied"),
        (("then", 1), "denied"),
        (("then", 2), "denied"),
        (("then", 3), "denied"),
    ]
