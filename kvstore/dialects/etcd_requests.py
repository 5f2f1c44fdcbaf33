"""What etcd refuses before it looks at any key: missing keys, contradictions, too much at once.

Source: etcd api/v3rpc/key.go (checkRangeRequest and its siblings, checkIntervals).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvstore.dialects.etcd_keys import bounds, to_text
from kvstore.dialects.etcd_messages import (
    Code,
    DeleteRangeRequest,
    EtcdError,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

#: Operations and comparisons at one level of a transaction, nested ones counted in.
OPERATIONS_MAX: Final = 128

#: Bytes of keys and values in one request; etcd counts the encoded message.
REQUEST_SIZE_MAX: Final = 1_572_864

_Range = tuple[str, str | None]


def sorts_first_keys_only(request: RangeRequest) -> bool:
    """Return whether etcd sorts no more than the first keys, those that a limit lets through.

    It does where a target is named without an order and nothing is filtered: one key more than
    the limit is read, in the order of keys, and what was read is sorted.
    """
    return (
        request.limit > 0
        and request.sort_order == "NONE"
        and request.sort_target != "KEY"
        and not request.min_mod_revision
        and not request.max_mod_revision
        and not request.min_create_revision
        and not request.max_create_revision
    )


def check(request: RequestOp) -> None:
    """Raise what etcd says against a request's form.

    Raises:
        EtcdError: The form is wrong.
    """
    _check(request, OPERATIONS_MAX)
    if isinstance(request, TxnRequest):
        _check_intervals(request.success)
        _check_intervals(request.failure)
    if _size(request) > REQUEST_SIZE_MAX:
        raise _invalid("request is too large")


def _invalid(message: str) -> EtcdError:
    return EtcdError(Code.INVALID_ARGUMENT, f"etcdserver: {message}")


def _check(request: RequestOp, budget: int) -> None:
    if isinstance(request, TxnRequest):
        _check_txn(request, budget)
        return
    if not request.key:
        raise _invalid("key is not provided")
    if isinstance(request, PutRequest):
        if request.ignore_value and request.value:
            raise _invalid("value is provided")
        if request.ignore_lease and request.lease:
            raise _invalid("lease is provided")


def _check_txn(request: TxnRequest, budget: int) -> None:
    size = max(len(request.compare), len(request.success), len(request.failure))
    if size > budget:
        raise _invalid("too many operations in txn request")
    if not all(compare.key for compare in request.compare):
        raise _invalid("key is not provided")
    for one in (*request.success, *request.failure):
        _check(one, budget - size)


def _size(request: RequestOp) -> int:
    if isinstance(request, TxnRequest):
        return sum(map(_size, (*request.success, *request.failure)))
    return len(request.key) + (len(request.value) if isinstance(request, PutRequest) else 0)


def _check_intervals(operations: Iterable[RequestOp]) -> tuple[set[str], list[_Range]]:
    """Refuse keys that are put twice, or put and deleted; return what is put and deleted.

    Then and else of one nested transaction exclude each other, and may put the same key.
    """
    operations = tuple(operations)
    deleted = [
        bounds(one.key, one.range_end) for one in operations if isinstance(one, DeleteRangeRequest)
    ]
    put: set[str] = set()
    for one in operations:
        if not isinstance(one, TxnRequest):
            continue
        put_then, deleted_then = _check_intervals(one.success)
        put_else, deleted_else = _check_intervals(one.failure)
        _check_puts(put_then, put, deleted)
        _check_puts(put_else - put_then, put, deleted)
        _check_puts(put_else, (), deleted)
        put |= put_then | put_else
        deleted += deleted_then + deleted_else
    for one in operations:
        if isinstance(one, PutRequest):
            _check_puts((to_text(one.key),), put, deleted)
            put.add(to_text(one.key))
    return put, deleted


def _check_puts(keys: Iterable[str], put: Iterable[str], deleted: list[_Range]) -> None:
    put = frozenset(put)
    for key in keys:
        if key in put or any(_covers(one, key) for one in deleted):
            raise _invalid("duplicate key given in txn request")


def _covers(selected: _Range, key: str) -> bool:
    start, end = selected
    return start <= key and (end is None or key < end)
