"""Checks: comparisons of what keys are with what they should be.

Source: etcd server/etcdserver/txn (applyCompare), whose rules for absent keys are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from kvstore.acl.rules import Level
from kvstore.applying.fields import (
    NAME_SIZE_MAX,
    choice_fault,
    key_fault,
    selection,
    text_fault,
)
from kvstore.commands import Check
from kvstore.entry import (
    BONDS,
    CREATE_REVISION,
    FLAGS,
    LOCK_SESSION,
    MOD_REVISION,
    OWNER,
    VALUE,
    VERSION,
    Record,
)
from kvstore.refusals import CheckFailed, Malformed, Refusal
from kvstore.results import CheckOk
from kvstore.state.state import Space, entry_of

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_NUMBERS: Final = {
    "create": CREATE_REVISION,
    "mod": MOD_REVISION,
    "version": VERSION,
    "flags": FLAGS,
}
_SESSIONS: Final = {"lock": LOCK_SESSION, "owner": OWNER}
_OPERANDS: Final[dict[str, type]] = {
    "exists": bool,
    "value": bytes,
    **dict.fromkeys(_NUMBERS, int),
    **dict.fromkeys(_SESSIONS, str),
}


def check(space: Space, command: Check) -> CheckOk | Refusal:
    """Compare a key, or every key of a selection."""
    state = space.state
    if (refusal := _comparison_fault(command)) is not None:
        return refusal
    if command.key is None:
        return _check_selection(space, command)
    if command.prefix is not None or command.start is not None or command.end is not None:
        return Malformed("key", "excludes a selection")
    refusal = key_fault(command.key) or state.denied("check", command.key)
    if refusal is not None:
        return refusal
    record = state.tree.records.get(command.key)
    if _passes(record, command):
        return CheckOk(record)
    return CheckFailed(command.key, entry_of(space, record))


def _comparison_fault(command: Check) -> Refusal | None:
    refusal = choice_fault("target", command.target, _OPERANDS) or choice_fault(
        "operator", command.operator, _OPERATORS
    )
    if refusal is not None:
        return refusal
    wanted = _OPERANDS[command.target]
    if type(command.operand) is not wanted:
        return Malformed("operand", f"must be {wanted.__name__} to compare {command.target}")
    return text_fault("operand", command.operand, NAME_SIZE_MAX) if wanted is str else None


def _check_selection(space: Space, command: Check) -> CheckOk | Refusal:
    state = space.state
    bounds = selection(command)
    if isinstance(bounds, Refusal):
        return bounds
    if (refusal := state.range_denied("check", *bounds, level=Level.READ)) is not None:
        return refusal
    records = state.tree.records
    keys = state.tree.keys.between(*bounds)
    for key in keys:
        if not _passes(records[key], command):
            return CheckFailed(key, entry_of(space, records[key]))
    if not keys and not _passes(None, command):
        return CheckFailed(bounds[0], None)
    return CheckOk(None)


def _passes(record: Record | None, command: Check) -> bool:
    target, operand = command.target, command.operand
    compare = _OPERATORS[command.operator]
    if target == "exists":
        return compare(record is not None, operand)
    if target == "value":
        return record is not None and compare(record[VALUE], operand)
    if target in _NUMBERS:
        return compare(0 if record is None else record[_NUMBERS[target]], operand)
    bonds = None if record is None else record[BONDS]
    return compare("" if bonds is None else bonds[_SESSIONS[target]], operand)
