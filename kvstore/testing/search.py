"""The search for a linearization of one part of a history: Wing and Gong's, with Lowe's memory.

Owns `Search`: it tries operations one after the other, each at a moment between its call and its
return, until all that returned are placed or nothing is left to try. It can be paused after any
number of steps, so that many parts share one budget. It knows one part, no keys and no reports.

How a configuration (what is linearized so far, and the state after it) is written:
- Operations that returned are numbered in order of their returns. `base` is the first of them
  that is not linearized; nothing whose call comes after that return can be next. `mask` has a bit
  for each linearized one beyond it, counted from `base`, so it stays as small as the number of
  clients however long the history is.
- Operations that never returned are numbered in order of their calls; `pending` has their bits.

What is never tried twice (Lowe's memory), and what need not be tried at all:
- a configuration that was seen before, or one that differs from it only in having spent more
  operations that never returned: so what would change nothing is not spent at all;
- the later of two equal operations that never returned, while the earlier is to be had;
- anything else, while a pure operation (`Model.is_pure`) is legal: it is in nobody's way, so it
  goes first. What is left out by this rule is a sequence without it, which can be had from one
  with it by striking it out.

Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
linearizability" (2017), section 4; Porcupine checker.go (the same loop over a linked list).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from kvstore.testing.histories import Operation
from kvstore.testing.models import Model

# How many of the longest partial linearizations are kept for the report.
LONGEST_KEPT: Final = 5

# An index beyond every list of candidates: this configuration has nothing else to try.
_NOTHING_ELSE: Final = 1 << 60

# base, mask, pending and state, as above.
_Configuration: TypeAlias = tuple[int, int, int, Any]

# An operation and the configuration after it.
_Choice: TypeAlias = tuple[int, _Configuration]


class Timeline:
    """The order of calls and returns in one part, and who may go next at each return.

    Attributes:
        operations: Those that returned, in order of returns, then those that did not, in order of
            calls: the numbers of this module index it.
        order: For each of them, its place in the history that was given.
        returned: How many of them returned.
        calls: For each operation, the place of its call among all calls and returns.
        returns: For each operation that returned, the place of its return.
        pure: For each operation, whether it leaves every state as it is.
        candidates: For each operation that returned, those open just before its return, itself
            included, in order of calls.
        eager: The pure ones of `candidates`.
        pending: For each operation that returned, how many of those that never returned were
            called before its return.
        twins: For each operation that never returned, the number among them of the one before it
            with an equal input, or -1.

    Complexity: O(n log n + n c) time and O(n c) memory for n operations, c at once at most.
    """

    def __init__(self, model: Model[Any, Any, Any], operations: Sequence[Operation]) -> None:
        pure = [model.is_pure(each.input, each.output) for each in operations]
        events: list[tuple[float, int, int]] = []
        for number, each in enumerate(operations):
            if each.returned is not None:
                events.append((each.called, 0, number))
                events.append((each.returned, 1, number))
            elif not pure[number]:
                # One that is pure and never returned tells nothing: it may as well be forgotten.
                events.append((each.called, 0, number))
        events.sort()
        order = [number for _, is_return, number in events if is_return]
        self.returned = len(order)
        order += [
            number
            for _, is_return, number in events
            if not is_return and operations[number].returned is None
        ]
        self.order = order
        self.operations = [operations[number] for number in order]
        self.pure = [pure[number] for number in order]
        self.twins = _twins([each.input for each in self.operations[self.returned :]])
        self.calls = [0] * len(order)
        self.returns = [0] * self.returned
        self.candidates: list[tuple[int, ...]] = []
        self.eager: list[tuple[int, ...]] = []
        self.pending: list[int] = []
        self._sweep(events, {number: rank for rank, number in enumerate(order)})

    def _sweep(self, events: list[tuple[float, int, int]], rank: dict[int, int]) -> None:
        """Walk over calls and returns once, keeping who is open."""
        is_open: dict[int, None] = {}
        pending = 0
        for place, (_, is_return, number) in enumerate(events):
            operation = rank[number]
            if is_return:
                self.returns[operation] = place
                self.candidates.append(tuple(is_open))
                self.eager.append(tuple(each for each in is_open if self.pure[each]))
                self.pending.append(pending)
                del is_open[operation]
                continue
            self.calls[operation] = place
            if operation < self.returned:
                is_open[operation] = None
            else:
                pending += 1


def _twins(requests: list[Any]) -> list[int]:
    """Return for each request the index of the last equal one before it, or -1."""
    last: dict[Any, int] = {}
    twins = []
    for index, request in enumerate(requests):
        try:
            twins.append(last.get(request, -1))
            last[request] = index
        except TypeError:  # not hashable: no twin is known, which only costs time
            twins.append(-1)
    return twins


class Search:
    """One search, from the first step to the last, in as many pieces as one likes.

    Attributes:
        timeline: What is searched.
        steps: Steps of the model so far.
        legal: True or False once the search is over, None before.
        longest: The longest partial linearizations met so far, as numbers of operations; of a
            legal history the one that is complete (perhaps without some that never returned).
        furthest: The greatest `base` of any of them: its return is where the search is stuck.
        seen: The states reached, by (base, mask, state), with the smallest sets of `pending`.
    """

    def __init__(self, model: Model[Any, Any, Any], operations: Sequence[Operation]) -> None:
        self.timeline = Timeline(model, operations)
        self.steps = 0
        self.legal: bool | None = None if self.timeline.returned else True
        self.longest: list[tuple[int, ...]] = [()]
        self.furthest = 0
        self._step = model.step
        # The configuration looked at, how many of its candidates were tried, and then what is left
        # to try of the operations that never returned.
        self._now: _Configuration = (0, 0, 0, model.initial())
        self._tried = 0
        self._spares: list[_Choice] | None = None
        self.seen: dict[tuple[int, int, Any], list[int]] = {(0, 0, self._now[3]): [0]}
        # The way there: the same three of each configuration before, and the choice in it.
        self._path: list[tuple[_Configuration, int, list[_Choice] | None, int]] = []

    def run(self, steps: int) -> None:
        """Take `steps` steps of the model and a few more, or as many as it needs to be over."""
        until = self.steps + steps
        while self.legal is None:
            if self.steps >= until:
                self._note_longest()
                return
            if (choice := self._choose()) is not None:
                operation, after = choice
                self._path.append((self._now, self._tried, self._spares, operation))
                self._now, self._tried, self._spares = after, 0, None
                if after[0] == self.timeline.returned:
                    self.legal = True
                    self._note_longest()
                continue
            self._note_longest()
            if not self._path:
                self.legal = False
                return
            self._now, self._tried, self._spares, _ = self._path.pop()

    def _choose(self) -> _Choice | None:
        """Return the next operation to place here with what follows, None if nothing is left."""
        if not self._tried and (number := self._legal_pure()) is not None:
            self._tried, self._spares = _NOTHING_ELSE, []
            after = self._placed(number, self._now[3])
            return (number, after) if self._is_new(after) else None
        return self._next_returned() or self._next_pending()

    def _legal_pure(self) -> int | None:
        """Return a pure operation that is legal here, if there is one."""
        base, mask, _, state = self._now
        for number in self.timeline.eager[base]:
            if mask >> (number - base) & 1:
                continue
            each = self.timeline.operations[number]
            self.steps += 1
            if self._step(state, each.input, each.output)[0]:
                return number
        return None

    def _next_returned(self) -> _Choice | None:
        """Return the next of the operations that returned, with what follows."""
        timeline = self.timeline
        base, mask, _, state = self._now
        candidates = timeline.candidates[base]
        while self._tried < len(candidates):
            number = candidates[self._tried]
            self._tried += 1
            # A pure operation would have gone first if it were legal.
            if mask >> (number - base) & 1 or timeline.pure[number]:
                continue
            each = timeline.operations[number]
            self.steps += 1
            legal, following = self._step(state, each.input, each.output)
            if legal and self._is_new(after := self._placed(number, following)):
                return number, after
        return None

    def _next_pending(self) -> _Choice | None:
        """Return the next of the operations that never returned, with what follows."""
        if self._spares is None:
            self._spares = self._all_pending()
        return self._spares.pop() if self._spares else None

    def _all_pending(self) -> list[_Choice]:
        """Return what follows from each operation that never returned, the first one last.

        They are remembered all at once, before any is gone into: if each were gone into at once,
        {1}, {1, 2}, {1, 2, 3} would be seen before {2} and {3}, which make them needless, and so
        with every subset.
        """
        timeline = self.timeline
        base, mask, pending, state = self._now
        found: list[_Choice] = []
        for place in range(timeline.pending[base]):
            twin = timeline.twins[place]
            if pending >> place & 1 or (twin >= 0 and not pending >> twin & 1):
                continue
            each = timeline.operations[timeline.returned + place]
            self.steps += 1
            legal, following = self._step(state, each.input, each.output)
            after = (base, mask, pending | 1 << place, following)
            if legal and self._is_new(after):
                found.append((timeline.returned + place, after))
        found.reverse()
        return found

    def _placed(self, number: int, state: Any) -> _Configuration:
        """Return the configuration after an operation that returned, in canonical form."""
        base, mask, pending, _ = self._now
        mask |= 1 << (number - base)
        while mask & 1:
            mask >>= 1
            base += 1
        return base, mask, pending, state

    def _is_new(self, configuration: _Configuration) -> bool:
        """Return whether there is a point in looking at a configuration, and remember it."""
        base, mask, pending, state = configuration
        known = self.seen.get((base, mask, state))
        if known is None:
            self.seen[base, mask, state] = [pending]
            return True
        for other in known:
            if other & pending == other:
                return False
        known.append(pending)
        return True

    def _note_longest(self) -> None:
        """Keep the way here if none went further, up to a few of equal length."""
        here = (self._now[0], len(self._path))
        if here < (self.furthest, len(self.longest[0])):
            return
        if here > (self.furthest, len(self.longest[0])):
            self.longest = []
            self.furthest = here[0]
        way = tuple(operation for _, _, _, operation in self._path)
        if len(self.longest) < LONGEST_KEPT and way not in self.longest:
            self.longest.append(way)
