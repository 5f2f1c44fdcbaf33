"""Linearizability by its definition: every order of every subset. Slow, and plainly right.

It shares nothing with the checker but the models. Herlihy and Wing 1990: a history is
linearizable if some order of its operations is legal in sequence and keeps every pair that did
not overlap; what never returned may be in it or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from kvstore.testing import Model, Operation

History = Sequence[Operation]


def precedes(one: Operation, other: Operation) -> bool:
    """Whether one operation was over before the other began."""
    return one.returned is not None and one.returned < other.called


def orders(operations: History) -> Iterator[tuple[Operation, ...]]:
    """All orders in which nothing comes after what it precedes."""
    for order in permutations(operations):
        if not any(precedes(late, early) for early, late in combinations(order, 2)):
            yield order


def subsets(required: History, optional: History) -> Iterator[tuple[Operation, ...]]:
    """All choices of operations that contain the required ones."""
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            yield (*required, *chosen)


def outcome(model: Model[Any, Any, Any], state: Any, order: History) -> tuple[bool, Any]:
    """Whether an order is legal from a state, and the state after it."""
    for each in order:
        legal, state = model.step(state, each.input, each.output)
        if not legal:
            return False, state
    return True, state


def is_linearizable(model: Model[Any, Any, Any], history: History) -> bool:
    """The definition, for a history of one key."""
    required = [each for each in history if each.returned is not None]
    optional = [each for each in history if each.returned is None]
    return any(
        outcome(model, model.initial(), order)[0]
        for chosen in subsets(required, optional)
        for order in orders(chosen)
    )


def possible_states(model: Model[Any, Any, Any], history: History, moment: float) -> set[Any]:
    """Every state that the system can have been in at a moment between calls and returns."""
    began = [each for each in history if each.called < moment]
    required = [each for each in began if each.returned is not None and each.returned < moment]
    optional = [each for each in began if each not in required]
    outcomes = (
        outcome(model, model.initial(), order)
        for chosen in subsets(required, optional)
        for order in orders(chosen)
    )
    return {state for legal, state in outcomes if legal}


def is_possible_from(
    model: Model[Any, Any, Any], states: set[Any], history: History, begin: float, end: float
) -> bool:
    """Whether what happened between two moments can have happened from any of some states."""
    overlapping = [
        each
        for each in history
        if each.called < end and (each.returned is None or each.returned >= begin)
    ]
    required = [
        each
        for each in overlapping
        if each.called >= begin and each.returned is not None and each.returned <= end
    ]
    optional = [each for each in overlapping if each not in required]
    return any(
        outcome(model, state, order)[0]
        for chosen in subsets(required, optional)
        for order in orders(chosen)
        for state in states
    )
