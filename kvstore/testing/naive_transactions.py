"""Transactions of the naive model: the branches are chosen first, then everything is tried.

Owns the nesting of operations, and so the table of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kvstore.commands import (
    Check,
    Count,
    Create,
    Delete,
    DeleteRange,
    Get,
    Keys,
    Lock,
    Operation,
    Put,
    Range,
    Touch,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.refusals import TooDeep, TooManyOperations, TxnError, TxnFailed
from kvstore.results import Result, TxnOk
from kvstore.testing import naive_operations, naive_reads
from kvstore.testing.naive_reads import failing
from kvstore.testing.naive_run import Refused, Run

# --- transactions


def txn(run: Run, command: Txn) -> TxnOk:
    """See `Txn`."""
    _check_shape(run.state.config, command)
    errors: list[TxnError] = []
    plan = _plan(run, command, (), errors)
    if errors:
        raise Refused(TxnFailed(tuple(errors)))
    before = run.state.copy()
    result = _branch(run, command, plan, (), errors)
    if not errors:
        try:
            run.check_room(before)
        except Refused as refused:
            errors.append(TxnError((), refused.refusal))
    if errors:
        raise Refused(TxnFailed(tuple(errors[:1] if command.stop_at_first else errors)))
    return result


def _plan(
    run: Run, command: Txn, path: tuple[str | int, ...], errors: list[TxnError]
) -> dict[tuple[str | int, ...], bool]:
    """Return which branch each transaction takes, by its path, decided before any operation."""
    passes = True
    for place, check in enumerate(command.when):
        try:
            naive_reads.allow_check(run, check)
            passes = failing(check, run.state.entries) is None and passes
        except Refused as refused:
            errors.append(TxnError((*path, "when", place), refused.refusal))
    plan = {path: passes}
    name, operations = _taken(command, passes)
    for place, each in enumerate(operations):
        if isinstance(each, Txn):
            plan |= _plan(run, each, (*path, name, place), errors)
    return plan


def _branch(
    run: Run,
    command: Txn,
    plan: dict[tuple[str | int, ...], bool],
    path: tuple[str | int, ...],
    errors: list[TxnError],
) -> TxnOk:
    """Run the operations of the branch that was decided, collecting refusals."""
    name, operations = _taken(command, plan[path])
    results: list[Result] = []
    for place, each in enumerate(operations):
        at = (*path, name, place)
        if isinstance(each, Txn):
            results.append(_branch(run, each, plan, at, errors))
            continue
        before = run.state.copy()
        try:
            results.append(OPERATIONS[type(each)](run, each))
        except Refused as refused:
            run.state = before
            errors.append(TxnError(at, refused.refusal))
    return TxnOk(plan[path], tuple(results))


def _taken(command: Txn, passes: bool) -> tuple[str, tuple[Operation, ...]]:
    return ("then", command.then) if passes else ("otherwise", command.otherwise)


def _check_shape(config: Config, command: Txn) -> None:
    """Refuse a transaction with too many operations or levels, by the first level that is."""
    got, level = 0, [command]
    for _ in range(config.depth_max):
        got += sum(len(each.when) + len(each.then) + len(each.otherwise) for each in level)
        if got > config.operations_max:
            raise Refused(TooManyOperations(config.operations_max, got))
        operations = [one for each in level for one in (*each.then, *each.otherwise)]
        level = [one for one in operations if isinstance(one, Txn)]
    if level:
        raise Refused(TooDeep(config.depth_max))


OPERATIONS: Final[dict[type, Callable[[Run, Any], Result]]] = {
    Put: naive_operations.put,
    Create: naive_operations.create,
    Delete: naive_operations.delete,
    DeleteRange: naive_operations.delete_range,
    Touch: naive_operations.touch,
    Lock: naive_operations.lock,
    Unlock: naive_operations.unlock,
    Check: naive_reads.check,
    Get: naive_reads.get,
    Range: naive_reads.read_range,
    Count: naive_reads.count,
    Keys: naive_reads.keys,
    Txn: txn,
}
