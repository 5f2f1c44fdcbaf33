"""Tag expressions: whether a tag's value matches what a query's filter asks, at a bounded cost.

Serf filters by Go's regular expressions, which are RE2's. This module owns the search: a set of
places in a program moves on with each character, so that no expression and no text makes it go
back. It remembers the moves that it made, within a limit. The syntax is parser.py's.

Cost: a search takes at most O(length of the text * `SIZE_MAX`) steps, whatever the expression;
compiling one O(its length + `SIZE_MAX`) for each level of nesting. An expression whose program
would exceed `SIZE_MAX` is refused, which RE2 and Go do far later.

Why not a binding of RE2: it is a compiled library, it differs from Go's where parser.py says so,
and its own limits let one expression of a peer take megabytes. The tests hold both side by side.

Text that was no UTF-8: a tag is decoded with `surrogateescape`, and each byte that was escaped is
read as U+FFFD, as Go reads it.

Source: RE2 (wiki Syntax; re2/dfa.cc for the remembered moves); Go's regexp; serf/query.go
shouldProcessQuery.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from itertools import chain
from typing import Final

from serfevents.expressions.character_sets import CharacterSet
from serfevents.expressions.parser import parse_expression
from serfevents.expressions.program import Assertion, Instruction, Jump, Split

# Places and moves that one expression remembers before it begins to remember anew: some 350 kB. A
# member asks about its own few tags, which takes a move for each of their characters.
REMEMBERED_MAX: Final = 5_000

_SURROGATES: Final = re.compile("[\ud800-\udfff]")

# Stands for what comes after the last character of a text.
_END: Final = ""


class _Side(Enum):
    """What is on one side of a place between characters, as far as assertions ask."""

    NOTHING = 0
    NEWLINE = 1
    WORD = 2
    OTHER = 3


class _State:
    """Places that are active before a character, and the moves from there that were made already.

    Attributes:
        places: Instructions, lowest first; the start is always among them, for a match may begin
            anywhere.
        before: What the last character was.
        moves: The state after each character; None where the text matches before it.
    """

    __slots__ = ("before", "moves", "places")

    def __init__(self, places: tuple[int, ...], before: _Side) -> None:
        self.places = places
        self.before = before
        self.moves: dict[str, _State | None] = {}


class TagExpression:
    """A compiled expression. Made by `compile_expression`.

    Attributes:
        expression: The text that it was made from.
        size: Instructions of its program, which a search costs at most for each character.
    """

    __slots__ = (
        "_asserts",
        "_needs",
        "_offsets",
        "_remembered",
        "_sets",
        "_states",
        "expression",
        "size",
    )

    def __init__(self, expression: str, program: Sequence[Instruction]) -> None:
        self.expression = expression
        self.size = len(program)
        # Of each instruction: the characters that it consumes, if any; else the assertions that it
        # needs, and where it goes on without consuming.
        self._sets = [each if isinstance(each, CharacterSet) else None for each in program]
        self._needs = [int(each) if isinstance(each, Assertion) else 0 for each in program]
        self._asserts = any(self._needs)
        # Copies of a piece are the same instructions, so what is kept of each is shared.
        offsets = {each: _offsets(each) for each in program}
        self._offsets = [offsets[each] for each in program]
        self._states: dict[tuple[tuple[int, ...], _Side], _State] = {}
        self._remembered = 0

    def __repr__(self) -> str:
        return f"TagExpression({self.expression!r})"

    def search(self, text: str) -> bool:
        """Return whether any part of the text matches.

        Args:
            text: A tag's value; surrogates in it stand for bytes that were no UTF-8.

        Complexity: O(length * `size`) at worst, O(length) over moves made before.

        >>> compile_expression("^web-[0-9]+$").search("web-12")
        True
        >>> compile_expression("(?i)EAST").search("north-west")
        False
        """
        if not text.isascii():
            text = _SURROGATES.sub("\ufffd", text)
        state = self._state((0,), _Side.NOTHING)
        for character in chain(text, (_END,)):
            moves = state.moves
            following = moves[character] if character in moves else self._move(state, character)
            if following is None:
                return True
            state = following
        return False

    def _move(self, state: _State, character: str) -> _State | None:
        """Return the state after a character, None if the text matches before it; remember it."""
        after = _side(character)
        places = self._step(state, character, _holding(state.before, after))
        if self._remembered > REMEMBERED_MAX:
            self._forget()
        following = None
        if places is not None:
            following = self._state(places, after)
        state.moves[character] = following
        self._remembered += 1
        return following

    def _step(self, state: _State, character: str, holding: Assertion) -> tuple[int, ...] | None:
        """Return the places after a character; None if the end of the program is reached."""
        needs, sets, offsets = self._needs, self._sets, self._offsets
        missing = ~int(holding)
        seen = bytearray(self.size)
        verdicts: dict[CharacterSet, bool] = {}
        reached = []
        pending = list(state.places)
        while pending:
            place = pending.pop()
            if place == self.size:
                return None
            if seen[place]:
                continue
            seen[place] = 1
            accepted = sets[place]
            if accepted is None:
                if not needs[place] & missing:
                    for offset in offsets[place]:
                        pending.append(place + offset)  # noqa: PERF401 - a list would cost more
            elif character:
                verdict = verdicts.get(accepted)
                if verdict is None:
                    verdict = verdicts[accepted] = accepted.accepts(ord(character))
                if verdict:
                    reached.append(place + 1)
        reached.sort()
        return (0, *reached)

    def _state(self, places: tuple[int, ...], before: _Side) -> _State:
        """Return the one state of these places."""
        # Without assertions nothing asks what the last character was: fewer states.
        if not self._asserts:
            before = _Side.OTHER
        state = self._states.get((places, before))
        if state is None:
            state = self._states[places, before] = _State(places, before)
            self._remembered += len(places)
        return state

    def _forget(self) -> None:
        """Forget all moves, those of states that are still in use as well."""
        for state in self._states.values():
            state.moves.clear()
        self._states.clear()
        self._remembered = 0


def _offsets(instruction: Instruction) -> tuple[int, ...]:
    """Return where the machine is next, from an instruction, when it has done it."""
    match instruction:
        case Split(offset):
            return 1, offset
        case Jump(offset):
            return (offset,)
        case _:
            return (1,)


def _side(character: str) -> _Side:
    """Return what a character is to an assertion. Words are ASCII's, as everywhere in RE2."""
    if character == _END:
        return _Side.NOTHING
    if character == "\n":
        return _Side.NEWLINE
    if character.isascii() and (character.isalnum() or character == "_"):
        return _Side.WORD
    return _Side.OTHER


def _holding(before: _Side, after: _Side) -> Assertion:
    """Return the assertions that hold between two characters."""
    holding = Assertion(0)
    if before is _Side.NOTHING:
        holding |= Assertion.TEXT_BEGINS
    if after is _Side.NOTHING:
        holding |= Assertion.TEXT_ENDS
    if before in {_Side.NOTHING, _Side.NEWLINE}:
        holding |= Assertion.LINE_BEGINS
    if after in {_Side.NOTHING, _Side.NEWLINE}:
        holding |= Assertion.LINE_ENDS
    if (before is _Side.WORD) is not (after is _Side.WORD):
        return holding | Assertion.WORD_BOUNDARY
    return holding | Assertion.NO_WORD_BOUNDARY


def compile_expression(expression: str) -> TagExpression:
    """Compile an expression of a filter.

    Args:
        expression: In the syntax of RE2 and Go; not anchored.

    Raises:
        InvalidExpression: RE2 refuses it too, or its program would be too large; `reason` tells.

    Complexity: O(length + `SIZE_MAX`) for each level of nesting.

    >>> compile_expression("(?=web)")
    Traceback (most recent call last):
    serfevents.errors.InvalidExpression: invalid-group: '(?=web)'
    """
    return TagExpression(expression, parse_expression(expression).instructions)
