r"""The syntax of Go's regular expressions, which is RE2's, read into programs.

It owns the grammar: what Go accepts is accepted, what it refuses is refused, for a reason with a
name. It does not know how a program runs. One pass over the expression with a stack of its own, so
that no nesting exhausts Python's.

Sources: RE2's syntax page; Go's regexp/syntax (parse.go), flags `Perl`, as `regexp.MatchString`
uses it. Where the two differ, Go is followed, for Serf is written in it: `\C`, names of groups
that are not ASCII, and a count with a leading zero are not taken as RE2 takes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import Final

from serfevents.errors import InvalidExpression
from serfevents.expressions.character_sets import (
    PERL_CLASSES,
    POSIX_CLASSES,
    CharacterSet,
    NamedClass,
    Range,
    unicode_class,
)
from serfevents.expressions.program import (
    COPIES_MAX,
    SIZE_MAX,
    Assertion,
    Fragment,
    alternated,
    captured,
    concatenated,
    repeated,
)
from serfevents.expressions.unicode_tables import CODE_POINTS

# Each of these patterns is anchored and has no choice to come back to: linear in what it reads.
_COUNT: Final = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_OCTAL: Final = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_HEXADECIMAL: Final = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")
_UNICODE_CLASS: Final = re.compile(r"[pP](?:\{(\^?)([^}]*)\}|(.))", re.DOTALL)
_GROUP_NAME: Final = re.compile(r"\(\?P?<([0-9A-Za-z_]+)>")
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_SIMPLE_REPEATS: Final[dict[str, tuple[int, int | None]]] = {
    "*": (0, None),
    "+": (1, None),
    "?": (0, 1),
}
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ASSERTIONS: Final = {
    "A": Assertion.TEXT_BEGINS,
    "z": Assertion.TEXT_ENDS,
    "b": Assertion.WORD_BOUNDARY,
    "B": Assertion.NO_WORD_BOUNDARY,
}
_NEWLINE: Final = (10, 10)


class _Flags(IntFlag):
    """What `(?imsU)` turns on. Ungreedy is taken and means nothing: a match is a match."""

    FOLD = 1
    MULTILINE = 2
    DOT_TAKES_NEWLINE = 4
    UNGREEDY = 8


_FLAG_LETTERS: Final = dict(zip("imsU", _Flags, strict=True))


class _Group:
    """A group that is still open: its finished choices, and the pieces of the one being read."""

    __slots__ = ("captures", "choices", "flags_outside", "pieces")

    def __init__(self, flags_outside: _Flags, *, captures: bool) -> None:
        self.flags_outside = flags_outside
        self.captures = captures
        self.choices: list[Fragment] = []
        self.pieces: list[Fragment] = []

    def end_choice(self) -> None:
        """End what was read as one choice of the group, at `|` or `)`."""
        self.choices.append(concatenated(self.pieces))
        self.pieces = []

    def close(self) -> Fragment:
        """Return the whole group."""
        self.end_choice()
        whole = alternated(self.choices)
        return captured(whole) if self.captures else whole


class _Parser:
    """One expression being read, from left to right."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0
        self._flags = _Flags(0)
        self._groups = [_Group(self._flags, captures=False)]
        self._names: set[str] = set()
        # Where a repeat ended: another one there would repeat the repeat.
        self._repeat_end = -1
        # Invariant: at least the instructions of all pieces that are held.
        self._size = 0
        # Where the next `:]` is, if it was looked for; it is looked for once, however many `[:`.
        self._posix_end = -1

    def parse(self) -> Fragment:
        """Return the program of the whole expression."""
        readers: dict[str, Callable[[], None]] = {
            "(": self._open,
            "|": self._bar,
            ")": self._close,
            "[": self._bracket,
            ".": self._dot,
            "^": self._caret,
            "$": self._dollar,
            "*": self._repeat,
            "+": self._repeat,
            "?": self._repeat,
            "{": self._repeat,
            "\\": self._backslash,
        }
        while self._at < len(self._text):
            readers.get(self._text[self._at], self._literal)()
        if len(self._groups) > 1:
            raise self._refusal("missing-parenthesis")
        return self._groups[0].close()

    def _refusal(self, reason: str, start: int = 0, end: int | None = None) -> InvalidExpression:
        return InvalidExpression(reason, repr(self._text[start:end])[:80])

    # --- pieces

    def _push(self, fragment: Fragment) -> None:
        """Add a piece, within the limit for all of them together."""
        self._size += len(fragment.instructions)
        if self._size > SIZE_MAX:
            raise InvalidExpression("too-large", f"more than {SIZE_MAX} instructions")
        self._groups[-1].pieces.append(fragment)

    def _push_set(
        self,
        ranges: Sequence[Range],
        classes: Sequence[NamedClass] = (),
        *,
        negated: bool = False,
    ) -> None:
        fold = _Flags.FOLD in self._flags
        self._push(Fragment([CharacterSet(ranges, classes, fold=fold, negated=negated)]))

    def _push_literal(self, code: int) -> None:
        self._push_set([(code, code)])

    def _literal(self) -> None:
        self._push_literal(ord(self._text[self._at]))
        self._at += 1

    def _dot(self) -> None:
        self._at += 1
        self._push_set(() if _Flags.DOT_TAKES_NEWLINE in self._flags else (_NEWLINE,), negated=True)

    def _caret(self) -> None:
        self._at += 1
        multiline = _Flags.MULTILINE in self._flags
        self._push(Fragment([Assertion.LINE_BEGINS if multiline else Assertion.TEXT_BEGINS]))

    def _dollar(self) -> None:
        self._at += 1
        multiline = _Flags.MULTILINE in self._flags
        self._push(Fragment([Assertion.LINE_ENDS if multiline else Assertion.TEXT_ENDS]))

    # --- groups

    def _open(self) -> None:
        """Read what opens a group, or sets flags within the one that is open."""
        start = self._at
        outside = self._flags
        captures = True
        if not self._text.startswith("(?", start):
            self._at += 1
        elif named := _GROUP_NAME.match(self._text, start):
            if named[1] in self._names:
                raise self._refusal("duplicate-name", start, named.end())
            self._names.add(named[1])
            self._at = named.end()
        elif flags := _FLAGS.match(self._text, start):
            for letter in flags[1]:
                self._flags |= _FLAG_LETTERS[letter]
            for letter in flags[2] or "":
                self._flags &= ~_FLAG_LETTERS[letter]
            self._at = flags.end()
            if flags[3] == ")":
                return
            captures = False
        else:
            raise self._refusal("invalid-group", start)
        self._groups.append(_Group(outside, captures=captures))

    def _bar(self) -> None:
        self._at += 1
        # A choice costs a split and a jump.
        self._size += 2
        self._groups[-1].end_choice()

    def _close(self) -> None:
        self._at += 1
        if len(self._groups) == 1:
            raise self._refusal("unexpected-parenthesis")
        group = self._groups.pop()
        self._flags = group.flags_outside
        whole = group.close()
        self._size -= len(whole.instructions)
        self._push(whole)

    # --- repeats

    def _repeat(self) -> None:
        """Read a repeat of the piece before it; a `{` that counts nothing is a literal."""
        start = self._at
        if self._text[start] == "{":
            count = _COUNT.match(self._text, start)
            if count is None:
                self._literal()
                return
            least = self._times(count[1])
            most = None if count[2] == "," else self._times(count[3] or count[1])
            if most is not None and most < least:
                raise self._refusal("invalid-repeat-size", start, count.end())
            self._at = count.end()
        else:
            count = None
            least, most = _SIMPLE_REPEATS[self._text[start]]
            self._at += 1
        if self._text.startswith("?", self._at):
            self._at += 1
        if self._repeat_end == start:
            raise self._refusal("invalid-repeat", start, self._at)
        pieces = self._groups[-1].pieces
        if not pieces:
            raise self._refusal("missing-argument", start, self._at)
        piece = pieces.pop()
        self._size -= len(piece.instructions)
        self._push(repeated(piece, least, most, counted=count is not None))
        self._repeat_end = self._at

    def _times(self, digits: str) -> int:
        """Return a count; of many digits, only that they are too many."""
        if len(digits) > len(str(COPIES_MAX)) or int(digits) > COPIES_MAX:
            raise self._refusal("invalid-repeat-size", self._at)
        return int(digits)

    # --- escapes

    def _backslash(self) -> None:
        """Read an escape outside of brackets."""
        letter = self._text[self._at + 1 : self._at + 2]
        if letter == "Q":
            begin = self._at + 2
            end = self._text.find(r"\E", begin)
            self._at = len(self._text) if end < 0 else end + 2
            for character in self._text[begin : len(self._text) if end < 0 else end]:
                self._push_literal(ord(character))
        elif letter in _ASSERTIONS:
            self._at += 2
            self._push(Fragment([_ASSERTIONS[letter]]))
        elif named := self._escaped_class():
            self._push_set((), (named,))
        else:
            self._push_literal(self._escaped_character())

    def _escaped_class(self) -> NamedClass | None:
        r"""Read a class such as `\d` or `\p{Greek}`, if that is what comes."""
        start = self._at
        letter = self._text[start + 1 : start + 2]
        if letter.lower() in PERL_CLASSES:
            self._at += 2
            return NamedClass(PERL_CLASSES[letter.lower()], negated=letter.isupper())
        if letter not in {"p", "P"}:
            return None
        found = _UNICODE_CLASS.match(self._text, start + 1)
        if found is not None:
            negated = (letter == "P") is not bool(found[1])
            if named := unicode_class(found[3] or found[2], negated=negated):
                self._at = found.end()
                return named
        raise self._refusal("invalid-class", start)

    def _escaped_character(self) -> int:
        """Read an escape that stands for one character."""
        start = self._at
        after = start + 1
        if after == len(self._text):
            raise self._refusal("trailing-backslash", start)
        letter = self._text[after]
        if octal := _OCTAL.match(self._text, after):
            self._at = octal.end()
            return int(octal[0], 8)
        if hexadecimal := _HEXADECIMAL.match(self._text, after):
            digits = (hexadecimal[1] or hexadecimal[2]).lstrip("0") or "0"
            if len(digits) <= 6 and (code := int(digits, 16)) < CODE_POINTS:
                self._at = hexadecimal.end()
                return code
        elif letter in _CONTROLS:
            self._at = after + 1
            return _CONTROLS[letter]
        elif letter.isascii() and not letter.isalnum():
            self._at = after + 1
            return ord(letter)
        raise self._refusal("invalid-escape", start, after + 1)

    # --- brackets

    def _bracket(self) -> None:
        """Read a class in brackets."""
        start = self._at
        ranges: list[Range] = []
        classes: list[NamedClass] = []
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        first = True
        while first or not self._text.startswith("]", self._at):
            first = False
            if named := self._posix_class() or self._escaped_class_in_bracket():
                classes.append(named)
            else:
                ranges.append(self._range(start))
        self._at += 1
        self._push_set(ranges, classes, negated=negated)

    def _posix_class(self) -> NamedClass | None:
        """Read a class such as `[:alpha:]`, if that is what comes."""
        begin = self._at + 2
        if not self._text.startswith("[:", self._at):
            return None
        if self._posix_end < begin:
            end = self._text.find(":]", begin)
            self._posix_end = len(self._text) if end < 0 else end
        if self._posix_end == len(self._text):
            return None
        name = self._text[begin : self._posix_end]
        ranges = POSIX_CLASSES.get(name.removeprefix("^"))
        if ranges is None:
            raise self._refusal("invalid-class", self._at, self._posix_end + 2)
        self._at = self._posix_end + 2
        return NamedClass(ranges, negated=name.startswith("^"))

    def _escaped_class_in_bracket(self) -> NamedClass | None:
        return self._escaped_class() if self._text.startswith("\\", self._at) else None

    def _range(self, bracket: int) -> Range:
        """Read one character of a class, or a range of them."""
        start = self._at
        low = high = self._bracket_character(bracket)
        # A hyphen before the closing bracket is itself.
        if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
            if self._at + 1 == len(self._text):
                raise self._refusal("missing-bracket", bracket)
            self._at += 1
            high = self._bracket_character(bracket)
        if high < low:
            raise self._refusal("invalid-range", start, self._at)
        return low, high

    def _bracket_character(self, bracket: int) -> int:
        if self._at == len(self._text):
            raise self._refusal("missing-bracket", bracket)
        if self._text[self._at] == "\\":
            return self._escaped_character()
        self._at += 1
        return ord(self._text[self._at - 1])


def parse_expression(expression: str) -> Fragment:
    """Return the program of an expression in Go's syntax.

    Args:
        expression: Its text; bytes that were no UTF-8 are surrogates in it.

    Raises:
        InvalidExpression: Go refuses it too, or its program exceeds `SIZE_MAX`.

    Complexity: O(length) and O(`SIZE_MAX`) for each level of nesting.
    """
    if _SURROGATE.search(expression):
        raise InvalidExpression("invalid-utf8")
    return _Parser(expression).parse()
