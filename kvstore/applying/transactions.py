"""Transactions: checks that choose a branch, then operations of which all are done or none.

The branches of all levels are chosen first, on the state before (etcd's rule); operations then
see what earlier ones did, and every one that refuses is told, with its place (Consul's).

Source: etcd server/etcdserver/txn/txn.go; Consul agent/consul/state/txn.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from kvstore import commands
from kvstore.applying import checks, operations, reading
from kvstore.applying.draft import Draft
from kvstore.applying.fields import switch_fault
from kvstore.commands import Check, Txn
from kvstore.refusals import (
    CheckFailed,
    Malformed,
    Refusal,
    TooDeep,
    TooManyOperations,
    TxnError,
    TxnFailed,
    Unsupported,
)
from kvstore.results import Result, Success, TxnOk
from kvstore.state.state import Space, State

Path: TypeAlias = tuple[str | int, ...]

OPERATIONS: Final[Mapping[type, Callable[[Space, Any], Result]]] = {
    commands.Put: operations.put,
    commands.Create: operations.create,
    commands.Delete: operations.delete,
    commands.DeleteRange: operations.delete_range,
    commands.Touch: operations.touch,
    commands.Lock: operations.lock,
    commands.Unlock: operations.unlock,
    commands.Check: checks.check,
    commands.Get: reading.get,
    commands.Range: reading.range_,
    commands.Count: reading.count,
    commands.Keys: reading.keys,
}
"""What each operation of a transaction does, transactions in it apart."""

READS: Final = (Check, commands.Get, commands.Range, commands.Count, commands.Keys)
"""Operations that change nothing."""

_NO_CHECK: Final = Malformed("when", "takes checks only")

MAY_CHANGE: Final = Malformed("command", "may change something")
"""The answer to what is asked as a query and is none."""


def transact(state: State, command: Txn) -> TxnOk | Refusal:
    """Run a transaction."""
    return _shape_fault(state, command) or _run(state, command)


def query(state: State, command: Txn) -> TxnOk | Refusal:
    """Run a transaction that changes nothing, whatever branches it takes."""
    if (refusal := _shape_fault(state, command)) is not None:
        return refusal
    return _run(state, command) if _is_read_only(command) else MAY_CHANGE


def _run(state: State, command: Txn) -> TxnOk | Refusal:
    run = _Run(state, command.stop_at_first)
    plan = run.plan(command, ())
    if run.errors:
        return TxnFailed(tuple(run.errors))
    result = run.execute(plan, ())
    if run.errors:
        run.draft.roll_back()
    elif (refusal := run.draft.commit()) is None:
        return result
    else:
        run.errors.append(TxnError((), refusal))
    return TxnFailed(tuple(run.errors))


def _is_read_only(command: Txn) -> bool:
    operations = (*command.then, *command.otherwise)
    return all(_is_read_only(one) if type(one) is Txn else type(one) in READS for one in operations)


class _Plan:
    """A transaction whose branches are chosen.

    Attributes:
        branch: Whether it is `then`.
        operations: Those of the branch, with plans for the transactions among them.
    """

    __slots__ = ("branch", "operations")

    def __init__(self, branch: bool, operations: Sequence[object]) -> None:
        self.branch = branch
        self.operations = operations


class _Run:
    """One transaction being run.

    Attributes:
        draft: Where it runs.
        errors: The refusals so far.
    """

    __slots__ = ("_state", "_stop_at_first", "draft", "errors")

    def __init__(self, state: State, stop_at_first: bool) -> None:
        self._state = state
        self._stop_at_first = stop_at_first
        self.draft = Draft(state)
        self.errors: list[TxnError] = []

    def plan(self, command: Txn, path: Path) -> _Plan:
        """Choose the branches of a transaction and of those in its branch."""
        branch = True
        for place, condition in enumerate(command.when):
            result = checks.check(self._state, condition)
            if isinstance(result, CheckFailed):
                branch = False
            elif isinstance(result, Refusal):
                self.errors.append(TxnError((*path, "when", place), result))
        name = _name(branch)
        chosen = command.then if branch else command.otherwise
        planned = [
            self.plan(one, (*path, name, place)) if isinstance(one, Txn) else one
            for place, one in enumerate(chosen)
        ]
        return _Plan(branch, planned)

    def execute(self, plan: _Plan, path: Path) -> TxnOk:
        """Run the operations of a plan, and collect what they refuse."""
        name = _name(plan.branch)
        results: list[Success] = []
        for place, one in enumerate(plan.operations):
            if self.errors and self._stop_at_first:
                break
            here = (*path, name, place)
            if isinstance(one, _Plan):
                results.append(self.execute(one, here))
                continue
            result = OPERATIONS[type(one)](self.draft, one)
            if isinstance(result, Refusal):
                self.errors.append(TxnError(here, result))
            else:
                results.append(result)
        return TxnOk(plan.branch, tuple(results))


def _name(branch: bool) -> str:
    return "then" if branch else "otherwise"


def _shape_fault(state: State, command: Txn) -> Refusal | None:
    """Return why a transaction cannot be run, None if it can be tried.

    It is looked at level by level, and no further than it may be long or deep: transactions that
    stand in several places of others are few in memory, but not to those who walk through them.
    """
    limit, levels = state.config.operations_max, state.config.depth_max
    errors: list[TxnError] = []
    size = 0
    level: list[tuple[Path, Txn]] = [((), command)]
    while level:
        if not levels:
            return TooDeep(state.config.depth_max)
        levels -= 1
        sound = []
        for path, one in level:
            if (refusal := _fields_fault(one)) is not None:
                errors.append(TxnError(path, refusal))
            else:
                sound.append((path, one))
                size += len(one.when) + len(one.then) + len(one.otherwise)
        if size > limit:
            return TooManyOperations(limit, size)
        level = [inner for path, one in sound for inner in _look_into(path, one, errors)]
    return TxnFailed(tuple(errors)) if errors else None


def _look_into(path: Path, command: Txn, errors: list[TxnError]) -> Iterator[tuple[Path, Txn]]:
    """Yield the transactions in a transaction; note in `errors` what is no operation."""
    for place, condition in enumerate(command.when):
        if type(condition) is not Check:
            errors.append(TxnError((*path, "when", place), _NO_CHECK))
    for name, branch in (("then", command.then), ("otherwise", command.otherwise)):
        for place, one in enumerate(branch):
            if type(one) is Txn:
                yield (*path, name, place), one
            elif type(one) not in OPERATIONS:
                refusal = Unsupported(type(one).__name__, "it is no operation of a transaction")
                errors.append(TxnError((*path, name, place), refusal))


def _fields_fault(command: Txn) -> Refusal | None:
    for name in ("when", "then", "otherwise"):
        if type(getattr(command, name)) is not tuple:
            return Malformed(name, "must be a tuple")
    return switch_fault("stop_at_first", command.stop_at_first)
