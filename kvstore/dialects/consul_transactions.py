"""Consul's transactions: its verbs as operations of the store, and the answers back.

Source: Consul agent/consul/state/txn.go, agent/consul/txn_endpoint.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from kvstore.commands import (
    Check,
    Delete,
    DeleteRange,
    Get,
    Lock,
    Operation,
    Put,
    Range,
    Txn,
    Unlock,
)
from kvstore.dialects.consul_messages import KVOp, KVPair, TxnAnswer, TxnError, Verb
from kvstore.entry import Entry
from kvstore.refusals import (
    CasMismatch,
    CheckFailed,
    Denied,
    Held,
    NoSession,
    NotHeld,
    Refusal,
    TxnFailed,
)
from kvstore.results import (
    CheckOk,
    DeleteOk,
    GetOk,
    LockOk,
    PutOk,
    RangeOk,
    Result,
    TxnOk,
    UnlockOk,
)
from kvstore.store import Store

#: Operations of a transaction at most.
OPERATIONS_MAX: Final = 128

_WITH_VALUE: Final = ("get", "get-or-empty", "get-tree")


def pair(entry: Entry) -> KVPair:
    """Return an entry as Consul tells it."""
    return KVPair(
        entry.key,
        entry.value or None,
        entry.flags,
        entry.create_revision,
        entry.mod_revision,
        entry.lock_count,
        entry.lock_session,
    )


_OPERATIONS: Final[Mapping[Verb, Callable[[KVOp], Operation]]] = {
    "set": lambda op: Put(op.key, op.value, op.flags),
    "cas": lambda op: Put(op.key, op.value, op.flags, op.index),
    "lock": lambda op: Lock(op.key, op.session, op.value, op.flags),
    "unlock": lambda op: Unlock(op.key, op.session, op.value, op.flags),
    "get": lambda op: Txn(then=(Check(op.key), Get(op.key))),
    "get-or-empty": lambda op: Get(op.key),
    "get-tree": lambda op: Range(op.key),
    "check-index": lambda op: _both(op, Check(op.key, "mod", "=", op.index)),
    "check-session": lambda op: _both(op, Check(op.key, "lock", "=", op.session)),
    "check-not-exists": lambda op: Check(op.key, "exists", "=", operand=False),
    "delete": lambda op: Delete(op.key),
    "delete-tree": lambda op: DeleteRange(prefix=op.key),
    "delete-cas": lambda op: Delete(op.key, op.index),
}


def _both(op: KVOp, check: Check) -> Txn:
    """Check that a key is there, which the store's comparisons of stamps do not ask."""
    return Txn(then=(Check(op.key), check))


def operation(op: KVOp) -> Operation:
    """Return what the store is told for a verb.

    Raises:
        ValueError: There is no such verb.
    """
    if op.verb not in _OPERATIONS:
        raise ValueError(f"unknown KV verb {op.verb!r}")
    return _OPERATIONS[op.verb](op)


def pre_check(store: Store, operations: Sequence[KVOp]) -> tuple[TxnError, ...]:
    """Return what Consul refuses before it looks at the rest: keys not given, locks delayed."""
    errors = []
    for place, op in enumerate(operations):
        if not op.key and op.verb not in ("get-tree", "delete-tree"):
            errors.append(TxnError(place, "Must provide key"))
        elif op.verb in ("lock", "unlock") and not op.session:
            errors.append(TxnError(place, "missing session"))
        elif op.verb == "lock" and store.lock_delay(op.key) is not None:
            errors.append(TxnError(place, _DELAYED.format(key=op.key)))
    return tuple(errors)


def answer(operations: Sequence[KVOp], result: TxnOk | TxnFailed) -> TxnAnswer:
    """Return what Consul answers."""
    if isinstance(result, TxnOk):
        both = zip(operations, result.results, strict=True)
        return TxnAnswer(tuple(told for op, done in both for told in _results(op, done)))
    errors: dict[int, TxnError] = {}
    for error in result.errors:
        # A whole transaction is refused by a quota only, which Consul does not know.
        place = error.path[1] if error.path else 0
        assert isinstance(place, int)
        errors.setdefault(place, TxnError(place, _words(operations[place], error.refusal)))
    return TxnAnswer((), tuple(errors[place] for place in sorted(errors)))


def _results(op: KVOp, result: Result) -> Iterable[KVPair]:
    for entry in _entries(op, result):
        told = pair(entry)
        blank = op.verb not in _WITH_VALUE
        yield KVPair(told.key, None, *_stamps(told)) if blank else told


def _stamps(told: KVPair) -> tuple[int, int, int, int, str]:
    return told.flags, told.create_index, told.modify_index, told.lock_index, told.session


def _entries(op: KVOp, result: Result) -> tuple[Entry, ...]:
    match result:
        case DeleteOk():
            return ()
        case RangeOk():
            return result.entries
        case TxnOk(_, results):
            # The check that the key is there came first.
            return _entries(op, results[-1])
        case GetOk() | CheckOk() if result.entry is None:
            return (Entry(op.key, b"", 0, 0, 0, 0),) if op.verb == "get-or-empty" else ()
        case _:
            assert isinstance(result, PutOk | LockOk | UnlockOk | GetOk | CheckOk)
            assert result.entry is not None
            return (result.entry,)


_WORDS: Final[Mapping[Verb, str]] = {
    "cas": 'failed to set key "{key}", index is stale',
    "delete-cas": 'failed to delete key "{key}", index is stale',
    "lock": 'failed to lock key "{key}", lock is already held',
    "unlock": 'failed to unlock key "{key}", lock isn\'t held, or is held by another session',
    "check-not-exists": 'key "{key}" exists',
    "get": 'key "{key}" doesn\'t exist',
}
_DELAYED: Final = 'failed to lock key "{key}" due to lock delay'


def _words(op: KVOp, refusal: Refusal) -> str:
    """Return Consul's words for a refusal; where it has none, the store's."""
    match refusal:
        case Denied():
            return "Permission denied"
        case NoSession(session):
            return f'invalid session "{session}"'
        case CheckFailed(_, current) if op.verb in ("check-index", "check-session"):
            return _check_words(op, current)
        case CasMismatch() | Held() | NotHeld() | CheckFailed():
            return _WORDS[op.verb].format(key=op.key)
        case _:
            return f"kvstore: {refusal}"


def _check_words(op: KVOp, current: Entry | None) -> str:
    what = op.verb.removeprefix("check-")
    if current is None:
        return f'failed to check {what}, key "{op.key}" doesn\'t exist'
    found = (
        f"current modify index {current.mod_revision} != {op.index}"
        if what == "index"
        else f'current session "{current.lock_session}" != "{op.session}"'
    )
    return f'failed {what} check for key "{op.key}", {found}'
