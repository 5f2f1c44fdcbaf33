"""A linearizability checker: could one system, doing one thing at a time, have answered this?

Owns `check` and its report. The history is cut into parts by the model's key, and each part is
searched alone (kvstore.testing.search); parts share one budget fairly, so that a hard one hides
no violation of another. It knows no clock: whoever has one may hand in `expired`.

>>> from kvstore.testing.histories import Operation
>>> from kvstore.testing.models import Read, Registers, Write
>>> history = [
...     Operation("alice", Write(1), called=0, returned=10, output=None),
...     Operation("bob", Read(), called=2, returned=4, output=1),
...     Operation("bob", Read(), called=5, returned=9, output=None),
... ]
>>> report = check(Registers(), history)
>>> report.verdict
<Verdict.ILLEGAL: 'illegal'>
>>> report.parts[0].window.states, report.parts[0].window.stuck.output
((1,), None)

Source: Wing and Gong (1993); Lowe, "Testing for linearizability" (2017); Horn and Kroening,
"Faster linearizability checking via P-compositionality" (2015); Porcupine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Any, Final

import attrs

from kvstore.testing.histories import Operation
from kvstore.testing.models import InputT, Model, OutputT, StateT
from kvstore.testing.search import Search
from kvstore.testing.windows import Window, shortest_window

__all__ = ["STEPS_MAX", "Part", "Report", "Verdict", "check"]

STEPS_MAX: Final = 2_000_000
"""Steps of the model in one check, unless told otherwise: some seconds, at most some 500 MB."""

# Steps that each part gets in the first round; every round doubles them. It is also how often
# `expired` is asked at first, so it takes a few milliseconds.
_ROUND_STEPS = 1_000

# The most that one part gets in one round, so that `expired` is asked several times a second.
_ROUND_STEPS_MAX = 64_000


class Verdict(Enum):
    """What a check found."""

    LEGAL = "legal"
    ILLEGAL = "illegal"
    UNDECIDED = "undecided"


@attrs.frozen
class Part:
    """The verdict on the operations of one key.

    Attributes:
        key: The key, as `Model.key` returned it.
        verdict: The verdict on this part alone.
        operations: Its history, in order of calls.
        linearizations: Of a legal part, one order in which everything may have taken effect
            (without operations that never returned, as far as they need not have). Otherwise
            the longest partial ones met: at most five, at least one, perhaps the empty one. Each
            is a sequence of places in `operations`.
        stuck: Of a part that is not legal, the operation that none of `linearizations` includes
            though it returns before anything else that is missing in them.
        window: Of an illegal part, the smallest stretch that shows it.
    """

    key: Hashable
    verdict: Verdict
    operations: tuple[Operation, ...]
    linearizations: tuple[tuple[int, ...], ...]
    stuck: Operation | None
    window: Window | None


@attrs.frozen
class Report:
    """The verdict on a history.

    Attributes:
        verdict: ILLEGAL if any part is, else UNDECIDED if any part is, else LEGAL.
        parts: The verdicts by key, in order of their first calls.
        steps: Steps of the model that it took, windows not counted.
    """

    verdict: Verdict
    parts: tuple[Part, ...]
    steps: int

    @property
    def illegal(self) -> tuple[Part, ...]:
        """The parts that are illegal."""
        return tuple(part for part in self.parts if part.verdict is Verdict.ILLEGAL)


def check(
    model: Model[StateT, InputT, OutputT],
    history: Iterable[Operation],
    *,
    steps: int = STEPS_MAX,
    expired: Callable[[], bool] = lambda: False,
) -> Report:
    """Return whether a history is linearizable with respect to a sequential model.

    Args:
        model: What the system does when it does one thing at a time.
        history: The operations, in any order.
        steps: Steps of the model after which to give up, > 0; the same history with the same
            limit always gives the same report.
        expired: Asked every few milliseconds; True gives up at once. Hand in a look at your clock
            to limit the time: `lambda: time.monotonic() > deadline`.

    Raises:
        ValueError: `steps` is not positive.
        TypeError: A state or a key of the model is not hashable.

    Complexity: O(n c) where each operation overlaps at most c others and reads tell enough;
    exponential in c at worst, and in the number of operations that never returned.
    """
    if steps <= 0:
        raise ValueError(f"a check needs at least one step, not {steps}")
    # Whether its requests are the model's is the caller's affair: histories mix their types.
    anything: Model[Any, Any, Any] = model
    parts: dict[Hashable, list[Operation]] = {}
    for operation in sorted(history, key=lambda each: each.called):
        parts.setdefault(anything.key(operation.input), []).append(operation)
    searches = [Search(model, operations) for operations in parts.values()]
    _run_fairly(searches, steps, expired)
    reports = tuple(
        _report(model, key, operations, search)
        for (key, operations), search in zip(parts.items(), searches, strict=True)
    )
    verdicts = {part.verdict for part in reports}
    if Verdict.ILLEGAL in verdicts:
        verdict = Verdict.ILLEGAL
    elif Verdict.UNDECIDED in verdicts:
        verdict = Verdict.UNDECIDED
    else:
        verdict = Verdict.LEGAL
    return Report(verdict, reports, sum(search.steps for search in searches))


def _run_fairly(searches: list[Search], steps: int, expired: Callable[[], bool]) -> None:
    """Run all searches in turn until they are over or the limit is reached."""
    turn = _ROUND_STEPS
    left = [search for search in searches if search.legal is None]
    while left:
        for search in left:
            if steps <= 0 or expired():
                return
            before = search.steps
            search.run(min(turn, steps))
            steps -= search.steps - before
        left = [search for search in left if search.legal is None]
        turn = min(2 * turn, _ROUND_STEPS_MAX)


def _report(
    model: Model[Any, Any, Any],
    key: Hashable,
    operations: list[Operation],
    search: Search,
) -> Part:
    """Return the report on one part."""
    order = search.timeline.order
    linearizations = tuple(tuple(order[number] for number in way) for way in search.longest)
    if search.legal:
        return Part(key, Verdict.LEGAL, tuple(operations), linearizations, None, None)
    stuck = search.timeline.operations[search.furthest]
    if search.legal is None:
        return Part(key, Verdict.UNDECIDED, tuple(operations), linearizations, stuck, None)
    window = shortest_window(model, search)
    return Part(key, Verdict.ILLEGAL, tuple(operations), linearizations, stuck, window)
