"""Checks: what is compared, of keys and of selections, there or not."""

from __future__ import annotations

import pytest

from kvstore.commands import Check, Lock, Put, SessionOpen, Txn
from kvstore.refusals import CheckFailed, Malformed, TxnFailed
from kvstore.results import CheckOk, TxnOk
from kvstore.store import Store
from tests.kvstore.driving import done, made, refused


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (Check("a"), True),
        (Check("a", operand=False), False),
        (Check("absent"), False),
        (Check("absent", operand=False), True),
        (Check("a", "value", "=", b"1"), True),
        (Check("a", "value", "!=", b"1"), False),
        (Check("a", "value", "<", b"2"), True),
        (Check("a", "value", ">", b"2"), False),
        (Check("absent", "value", "=", b""), False),
        (Check("absent", "value", "!=", b""), False),
        (Check("a", "create", "=", 2), True),
        (Check("a", "mod", ">=", 4), True),
        (Check("a", "mod", ">", 4), False),
        (Check("a", "version", "<=", 2), True),
        (Check("a", "version", "<", 2), False),
        (Check("a", "flags", "=", 7), True),
        (Check("absent", "version", "=", 0), True),
        (Check("absent", "mod", "<", 1), True),
        (Check("a", "lock", "=", "s"), True),
        (Check("a", "lock", "=", ""), False),
        (Check("b", "lock", "=", ""), True),
        (Check("absent", "lock", "=", ""), True),
        (Check("b", "owner", "=", "s"), True),
        (Check("a", "owner", "!=", "s"), True),
        (Check(prefix="", target="version", operator=">", operand=0), True),
        (Check(prefix="", target="version", operator=">", operand=1), False),
        (Check(start="a", end="b", target="flags", operator="=", operand=7), True),
        (Check(prefix="none", target="version", operator="=", operand=0), True),
        (Check(prefix="none"), False),
        (Check(prefix="none", target="value", operator="!=", operand=b""), False),
    ],
)
def test_checks_compare(check: Check, passes: bool) -> None:
    store = made(SessionOpen("s"), Put("a", b"0", 7), Put("b", owner="s"), Lock("a", "s", b"1"))

    assert done(store, Txn((check,)), TxnOk).branch is passes
    result = store.apply(Txn((), (check,))).result
    assert isinstance(result, TxnOk) is passes


def test_a_check_among_the_operations_has_to_pass() -> None:
    store = made(Put("a", b"1"))

    result = done(store, Txn((), (Check("a"), Check(prefix="a"))), TxnOk)
    refusal = refused(store, Txn((), (Put("b"), Check("b", "mod", "=", 1))), TxnFailed)

    assert isinstance(result.results[0], CheckOk)
    assert result.results[0].entry == store.get("a")
    assert result.results[1] == CheckOk(None)
    failed = refusal.errors[0].refusal
    assert isinstance(failed, CheckFailed)
    assert (failed.key, failed.current is not None) == ("b", True)
    assert store.get("b") is None


@pytest.mark.parametrize(
    ("check", "field"),
    [
        (Check("a", "age"), "target"),  # type: ignore[arg-type]
        (Check("a", operator="~"), "operator"),  # type: ignore[arg-type]
        (Check("a", "version", "=", True), "operand"),
        (Check("a", "value", "=", "text"), "operand"),
        (Check("a", prefix="b"), "key"),
        (Check("a", end="b"), "key"),
        (Check(), "start"),
        (Check(""), "key"),
    ],
)
def test_a_malformed_check_is_refused_where_it_stands(check: Check, field: str) -> None:
    store = Store()

    for command, path in ((Txn((check,)), "when"), (Txn((), (check,)), "then")):
        (error,) = refused(store, command, TxnFailed).errors
        assert error.path == (path, 0)
        assert isinstance(error.refusal, Malformed)
        assert error.refusal.field == field


def test_a_check_stands_in_transactions_only() -> None:
    assert refused(Store(), Check("a"), Malformed).field == "command"
