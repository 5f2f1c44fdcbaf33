"""Programs for a machine that is in many places at once, and how they are put together.

A program is a list of instructions whose jumps are relative, so that a repeated piece is copied as
it is. It answers only whether an expression matches: lazy and greedy repeats are the same to it,
and groups leave no trace. It owns the pieces and their limits; it knows neither the syntax nor the
text.

Source: Thompson, "Regular Expression Search Algorithm" (1968); Russ Cox, "Regular Expression
Matching: the Virtual Machine Approach" (2009); RE2's and Go's limits on repeats and nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Final, TypeAlias

from attrs import frozen

from serfevents.errors import InvalidExpression
from serfevents.expressions.character_sets import CharacterSet

# RE2's and Go's own limits: copies that nested counted repeats may ask for, and nesting.
COPIES_MAX: Final = 1000
HEIGHT_MAX: Final = 1000

# Instructions of one program. Deviation: RE2 allows a third of a million and Go some three million,
# which a hostile expression of a hundred bytes reaches; each costs a step for each character. Any
# counted repeat of one character that RE2 allows fits, also with a lower bound.
SIZE_MAX: Final = 4096


class Assertion(IntFlag):
    """What must hold between two characters; as a set, what does hold there."""

    TEXT_BEGINS = 1
    TEXT_ENDS = 2
    LINE_BEGINS = 4
    LINE_ENDS = 8
    WORD_BOUNDARY = 16
    NO_WORD_BOUNDARY = 32


@frozen
class Split:
    """Go on with the next instruction, and also so many instructions from here."""

    offset: int


@frozen
class Jump:
    """Go on so many instructions from here."""

    offset: int


# A character set consumes one character; an assertion none. Past the last one, the text matches.
Instruction: TypeAlias = CharacterSet | Assertion | Split | Jump


@frozen
class Fragment:
    """A piece of a program, entered at its first instruction and left past its last.

    Attributes:
        instructions: The piece itself.
        copies: How many copies its innermost piece is asked for by counted repeats; >= 1.
        height: Nested operators; >= 1.
    """

    instructions: Sequence[Instruction] = ()
    copies: int = 1
    height: int = 1


def concatenated(fragments: Sequence[Fragment]) -> Fragment:
    """Return the fragments, one after the other."""
    if len(fragments) == 1:
        return fragments[0]
    instructions = [each for fragment in fragments for each in fragment.instructions]
    return _over(fragments, instructions)


def alternated(fragments: Sequence[Fragment]) -> Fragment:
    """Return a choice of one of the fragments."""
    if len(fragments) == 1:
        return fragments[0]
    size = sum(len(each.instructions) + 2 for each in fragments) - 2
    _check_size(size)
    instructions: list[Instruction] = []
    for fragment in fragments[:-1]:
        instructions.append(Split(len(fragment.instructions) + 2))
        instructions += fragment.instructions
        instructions.append(Jump(size - len(instructions)))
    instructions += fragments[-1].instructions
    return _over(fragments, instructions)


def captured(fragment: Fragment) -> Fragment:
    """Return a fragment in parentheses that capture: deeper, but not otherwise different."""
    return _over([fragment], fragment.instructions)


def repeated(fragment: Fragment, least: int, most: int | None, *, counted: bool) -> Fragment:
    """Return a fragment, so many times.

    Args:
        fragment: What is repeated.
        least: Times at least, >= 0.
        most: Times at most, >= `least`; None for any number.
        counted: Whether it was written with a count, which alone is subject to `COPIES_MAX`.

    Raises:
        InvalidExpression: More copies, instructions or nesting than allowed.
    """
    copies = fragment.copies
    if counted:
        times = least if most is None else most
        copies = 1 if most == 0 else copies * max(1, times)
        if times >= 2 and copies > COPIES_MAX:
            raise InvalidExpression("invalid-repeat-size", f"{copies} copies of one piece")
    body = fragment.instructions
    size = len(body) * max(least, 1) + 2 if most is None else (len(body) + 1) * most - least
    _check_size(size)
    if most is None and least == 0:
        instructions = [Split(len(body) + 2), *body, Jump(-len(body) - 1)]
    elif most is None:
        instructions = [*list(body) * least, Split(-len(body))]
    else:
        instructions = list(body) * least
        # Each further copy may be the last: from before it one leaves the whole, not only it. Else
        # all of them would be active at once.
        for rest in range(most - least, 0, -1):
            instructions += [Split(rest * (len(body) + 1)), *body]
    return _over([fragment], instructions, copies)


def _over(
    fragments: Sequence[Fragment], instructions: Sequence[Instruction], copies: int | None = None
) -> Fragment:
    """Return what an operator makes of its operands."""
    _check_size(len(instructions))
    height = 1 + max((each.height for each in fragments), default=0)
    if height > HEIGHT_MAX:
        raise InvalidExpression("nested-too-deeply", f"more than {HEIGHT_MAX} levels")
    if copies is None:
        copies = max((each.copies for each in fragments), default=1)
    return Fragment(instructions, copies, height)


def _check_size(size: int) -> None:
    """Refuse a program before it takes memory."""
    if size > SIZE_MAX:
        raise InvalidExpression("too-large", f"more than {SIZE_MAX} instructions")
