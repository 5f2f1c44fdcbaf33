"""The shortest illegal window: the smallest stretch of a history that shows it is not legal.

Owns `shortest_window`. It takes a search that failed and knows nothing of how it went about it,
apart from what it saw: since it looked everywhere, it knows every state that the system can have
been in at any moment.

A window ends with the earliest return that no linearization gets past; it begins with the latest
call such that what happens from there on is impossible from every state that was possible then.
An operation that was under way already when the window begins may have taken effect before it,
so within the window it may also do nothing.

Nobody else offers this: Porcupine shows the longest partial linearizations of the whole history,
Knossos the last configurations before the one operation that failed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import attrs

from kvstore.testing.histories import Operation
from kvstore.testing.models import Model
from kvstore.testing.search import Search, Timeline

# Steps that looking for a short window may take; beyond it the window begins with the history.
# Histories that are illegal at all are as a rule so within a few operations of where they get
# stuck, which takes some hundred steps.
WINDOW_STEPS_MAX: Final = 1_000_000


@attrs.frozen
class Window:
    """A stretch of one part's history that is illegal by itself.

    Attributes:
        begin: The time of the call that it begins with.
        end: The time of the return that it ends with, which nothing explains.
        states: All states that were possible at `begin`, in order of discovery.
        operations: What was under way between the two, in order of calls.
        stuck: The operation that returns at `end`.
        is_shortest: False if it had to be left at the beginning of the history, because looking
            for a later one took too long.
    """

    begin: float
    end: float
    states: tuple[Hashable, ...]
    operations: tuple[Operation, ...]
    stuck: Operation
    is_shortest: bool


def shortest_window(model: Model[Any, Any, Any], search: Search) -> Window:
    """Return the shortest window of a part that `search` found illegal.

    Complexity: as a rule O(c) small searches, c being the operations under way at once; they
    share `WINDOW_STEPS_MAX` steps.
    """
    timeline = search.timeline
    stuck = search.furthest
    reached = _reached(search)
    budget = WINDOW_STEPS_MAX
    starts = sorted(call for call in timeline.calls if call <= timeline.calls[stuck])
    for start in reversed(starts[1:]):
        states = tuple(dict.fromkeys(s for low, high, s in reached if low <= start <= high))
        budget -= len(reached)
        if budget <= 0:
            break
        attempt = Search(_Possible(model, states), _excerpt(timeline, start, stuck))
        attempt.run(budget)
        budget -= attempt.steps
        if attempt.legal is False:
            return _window(timeline, start, stuck, states, is_shortest=True)
    return _window(timeline, starts[0], stuck, (model.initial(),), is_shortest=budget > 0)


def _reached(search: Search) -> list[tuple[int, int, Hashable]]:
    """Return every state that was reached, with the first and last place it was possible at.

    A place is a moment just before the call or return of that number.
    """
    timeline = search.timeline
    # The last call among the first n operations that may have changed something.
    last_calls = [-1]
    for number in range(timeline.returned):
        call = -1 if timeline.pure[number] else timeline.calls[number]
        last_calls.append(max(last_calls[-1], call))
    reached = []
    for (base, mask, state), spent in search.seen.items():
        last = last_calls[base]
        for number in _bits(mask, base):
            if not timeline.pure[number]:
                last = max(last, timeline.calls[number])
        for pending in spent:
            calls = [timeline.calls[each] for each in _bits(pending, timeline.returned)]
            reached.append((max([last, *calls]) + 1, timeline.returns[base], state))
    return reached


def _bits(mask: int, offset: int) -> list[int]:
    """Return the places of the bits of a mask, moved by an offset."""
    return [offset + place for place in range(mask.bit_length()) if mask >> place & 1]


def _overlapping(timeline: Timeline, start: int, stuck: int) -> list[int]:
    """Return the operations under way between a place and a return, in order of calls."""
    end = timeline.returns[stuck]
    numbers = [
        number
        for number, call in enumerate(timeline.calls)
        if call < end and not (number < timeline.returned and timeline.returns[number] < start)
    ]
    return sorted(numbers, key=lambda number: timeline.calls[number])


def _excerpt(timeline: Timeline, start: int, stuck: int) -> list[Operation]:
    """Return the history of a window, in terms of `_Possible`, with places for times."""
    end = timeline.returns[stuck]
    excerpt: list[Operation] = []
    for number in _overlapping(timeline, start, stuck):
        each, call = timeline.operations[number], timeline.calls[number]
        is_optional = call < start
        if is_optional and timeline.pure[number]:
            continue
        request = _Request(each.input, each.output, is_optional)
        if number < timeline.returned and timeline.returns[number] <= end:
            excerpt.append(Operation(each.client, request, call, timeline.returns[number]))
        else:
            excerpt.append(Operation(each.client, request, call))
    return excerpt


def _window(
    timeline: Timeline, start: int, stuck: int, states: tuple[Hashable, ...], *, is_shortest: bool
) -> Window:
    """Return the window between the call at a place and a return."""
    numbers = _overlapping(timeline, start, stuck)
    first = next(each for each in numbers if timeline.calls[each] == start)
    last = timeline.operations[stuck]
    assert last.returned is not None
    return Window(
        timeline.operations[first].called,
        last.returned,
        states,
        tuple(timeline.operations[each] for each in numbers),
        last,
        is_shortest,
    )


@attrs.frozen
class _Request:
    """A request with the answer it got (if any), and whether it may be over already."""

    input: Any
    output: Any
    is_optional: bool


class _Possible(Model[frozenset[Any], _Request, Any]):
    """Another model, begun in any of several states: its state is the set of possible ones."""

    def __init__(self, model: Model[Any, Any, Any], states: tuple[Hashable, ...]) -> None:
        self._model = model
        self._states = frozenset(states)

    def initial(self) -> frozenset[Any]:
        """Return the states at the beginning of the window."""
        return self._states

    def step(
        self,
        state: frozenset[Any],
        request: _Request,
        output: Any,  # noqa: ARG002 - in `request`
    ) -> tuple[bool, frozenset[Any]]:
        """Return whether any state allows the answer, and those that follow."""
        steps = (self._model.step(each, request.input, request.output) for each in state)
        after = frozenset(following for legal, following in steps if legal)
        if request.is_optional:
            after |= state
        return bool(after), after
