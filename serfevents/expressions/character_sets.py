"""Which characters one step of an expression accepts: ranges, categories and scripts of Unicode.

It owns membership, with or without regard to case, and the names of the classes that Perl and
POSIX gave to ASCII. It knows no syntax and no program.

Sources: RE2's syntax page; Go's regexp/syntax (perl_groups.go, unicode tables and folding).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final, TypeAlias

from attrs import frozen

from serfevents.expressions.unicode_tables import (
    CATEGORIES,
    CODE_POINTS,
    SCRIPTS,
    category,
    orbit,
    script,
)

# First and last code point, both included.
Range: TypeAlias = tuple[int, int]

EVERYTHING: Final = ((0, CODE_POINTS - 1),)

_WORD: Final = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))

PERL_CLASSES: Final[Mapping[str, tuple[Range, ...]]] = {
    "d": ((0x30, 0x39),),
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
    "w": _WORD,
}

POSIX_CLASSES: Final[Mapping[str, tuple[Range, ...]]] = {
    "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": ((0x30, 0x39),),
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": _WORD,
    "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
}


@frozen
class NamedClass:
    """A class that has a name of its own: what it holds, and whether the rest is meant.

    Attributes:
        ranges: What it holds by code point.
        category: The beginning of the general categories that it holds, such as `L` or `Lu`.
        script: The script that it holds.
        negated: Whether it stands for everything else.
    """

    ranges: tuple[Range, ...] = ()
    category: str = ""
    script: str = ""
    negated: bool = False

    def accepts(self, codes: tuple[int, ...]) -> bool:
        """Return whether it stands for a character that has these code points as its cases."""
        return any(map(self._holds, codes)) is not self.negated

    def _holds(self, code: int) -> bool:
        if self.category:
            return category(code).startswith(self.category)
        if self.script:
            return script(code) == self.script
        return any(first <= code <= last for first, last in self.ranges)


def unicode_class(name: str, *, negated: bool) -> NamedClass | None:
    """Return the class of a category, such as `L` or `Lu`, of a script, or of `Any` character.

    Names are case-sensitive and have no long forms, as in Go up to 1.24 and in RE2. None if there
    is no such class.
    """
    if name == "Any":
        return NamedClass(ranges=EVERYTHING, negated=negated)
    if name in CATEGORIES or name in {each[0] for each in CATEGORIES}:
        return NamedClass(category=name, negated=negated)
    if name in SCRIPTS:
        return NamedClass(script=name, negated=negated)
    return None


class CharacterSet:
    """The characters that one step accepts.

    Case is folded before anything is negated: `(?i)[^k]` refuses K and the Kelvin sign too.

    >>> letters = CharacterSet([(97, 99)], fold=True)
    >>> letters.accepts(ord("B")), letters.accepts(ord("d"))
    (True, False)
    """

    __slots__ = ("_bounds", "_classes", "_fold", "_negated")

    def __init__(
        self,
        ranges: Iterable[Range] = (),
        classes: Iterable[NamedClass] = (),
        *,
        fold: bool = False,
        negated: bool = False,
    ) -> None:
        # A set may list one class hundreds of times; each is asked once.
        self._classes = tuple(dict.fromkeys(classes))
        self._bounds = _bounds(ranges)
        self._fold = fold
        self._negated = negated

    def accepts(self, code: int) -> bool:
        """Return whether a character is in the set. O(log ranges + classes)."""
        codes = orbit(code) if self._fold else (code,)
        found = any(bisect_right(self._bounds, each) % 2 for each in codes) or any(
            each.accepts(codes) for each in self._classes
        )
        return found is not self._negated


def _bounds(ranges: Iterable[Range]) -> list[int]:
    """Return where membership changes, beginning with the first member. Ranges may overlap."""
    joined: list[list[int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last + 1)
        else:
            joined.append([first, last + 1])
    return list(chain.from_iterable(joined))
