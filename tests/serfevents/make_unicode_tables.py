"""Write the data of serfevents/expressions/unicode_tables.py anew from RE2, which Serf follows.

Run `python -m tests.serfevents.make_unicode_tables` and put what it prints in place of the three
constants. It is no test: expressions/test_unicode_tables.py compares the tables with RE2's at every
code point.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from serfevents.expressions.unicode_tables import CATEGORIES, CODE_POINTS, SCRIPTS, SURROGATES

LINE = 88

# RE2 reads UTF-8, which has no surrogates.
EVERYTHING = "".join(chr(code) for code in range(CODE_POINTS) if code not in SURROGATES)


def owners(names: Sequence[str], re2: Any) -> bytearray:
    """Return, for each code point, the number of the class that it is in, from 1; or 0."""
    found = bytearray(CODE_POINTS)
    for number, name in enumerate(names, 1):
        if name == "Cs":
            found[SURROGATES.start : SURROGATES.stop] = bytes([number]) * len(SURROGATES)
            continue
        for match in re2.finditer(rf"\p{{{name}}}+", EVERYTHING):
            for character in match.group():
                found[ord(character)] = number
    return found


def orbits(re2: Any) -> list[list[int]]:
    """Return the groups of code points that are one under case folding, lowest first."""
    cased = sorted(
        {
            ord(form)
            for character in EVERYTHING
            for form in (character, *unicodedata.normalize("NFKC", character))
            if len({character, character.lower(), character.upper(), character.title()}) > 1
            for form in (form, form.lower(), form.upper(), form.title(), form.casefold())
            if len(form) == 1
        }
    )
    text = "".join(map(chr, cased))
    found = [[ord(each) for each in re2.findall(rf"(?i)\x{{{code:x}}}", text)] for code in cased]
    return [
        orbit
        for code, orbit in zip(cased, found, strict=True)
        if len(orbit) > 1 and orbit[0] == code
    ]


def variable(number: int) -> bytes:
    """Return a number of any size, seven bits to a byte, the lowest first."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def runs(owner: bytearray) -> Iterator[bytes]:
    """Yield the class and the length of each run of neighbours of one class."""
    start = 0
    for code in range(1, CODE_POINTS + 1):
        if code == CODE_POINTS or owner[code] != owner[start]:
            yield variable(owner[start]) + variable(code - start)
            start = code


def packed_orbits(groups: Iterable[Sequence[int]]) -> Iterator[bytes]:
    """Yield each orbit: its size, then the distance of each member from the one before it."""
    first = 0
    for orbit in groups:
        yield variable(len(orbit)) + variable(orbit[0] - first)
        yield from (variable(b - a) for a, b in pairwise(orbit))
        first = orbit[0]


def constant(name: str, pieces: Iterable[bytes]) -> str:
    """Return the source of one constant."""
    text = zlib.compress(b"".join(pieces), 9).hex()
    lines = [f'    "{text[at : at + LINE]}"' for at in range(0, len(text), LINE)]
    return "\n".join([f"{name} = (", *lines, ")"])


def tables(re2: Any) -> str:
    """Return the source of the three constants."""
    return "\n".join(
        [
            constant("_CATEGORY_RUNS", runs(owners(CATEGORIES, re2))),
            constant("_SCRIPT_RUNS", runs(owners(SCRIPTS, re2))),
            constant("_ORBITS", packed_orbits(orbits(re2))),
        ]
    )


if __name__ == "__main__":
    import re2

    print(tables(re2))
