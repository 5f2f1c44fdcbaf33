"""The packed tables against RE2's at every code point, and against Python's where both know it."""

# ruff: noqa: RUF001 - letters that look alike are the point here

from __future__ import annotations

import unicodedata

import pytest

from serfevents.expressions.unicode_tables import (
    CATEGORIES,
    CODE_POINTS,
    SCRIPTS,
    SURROGATES,
    category,
    orbit,
    script,
)
from tests.serfevents.make_unicode_tables import orbits, owners


@pytest.mark.parametrize(
    ("character", "expected"),
    [("A", "Lu"), ("a", "Ll"), ("ǅ", "Lt"), ("ʰ", "Lm"), ("א", "Lo"), ("٣", "Nd"), ("€", "Sc")],
)
def test_a_character_has_its_category(character: str, expected: str) -> None:
    assert category(ord(character)) == expected


@pytest.mark.parametrize(
    ("character", "expected"),
    [("a", "Latin"), ("α", "Greek"), ("я", "Cyrillic"), ("中", "Han"), ("1", "Common")],
)
def test_a_character_has_its_script(character: str, expected: str) -> None:
    assert script(ord(character)) == expected


def test_an_unassigned_code_point_has_neither() -> None:
    assert category(0x378) == ""
    assert script(0x378) == ""
    assert category(CODE_POINTS - 1) == ""


def test_surrogates_have_a_category_of_their_own() -> None:
    assert {category(code) for code in SURROGATES} == {"Cs"}


@pytest.mark.parametrize("each", ["kK\u212a", "sSſ", "σςΣ", "ßẞ", "1", "i", "\u0130", "\u0131"])
def test_an_orbit_holds_what_differs_only_in_case(each: str) -> None:
    expected = {ord(character) for character in ("iI" if each == "i" else each)}

    assert {tuple(sorted(orbit(code))) for code in expected} == {tuple(sorted(expected))}


def test_categories_are_those_of_python_wherever_both_know_the_character() -> None:
    different = [
        code
        for code in range(CODE_POINTS)
        if (known := unicodedata.category(chr(code))) != "Cn" and category(code) not in {"", known}
    ]

    # Unicode has changed its mind on a handful between two of its versions.
    assert len(different) < 20


def test_categories_are_those_of_re2_at_every_code_point() -> None:
    re2 = pytest.importorskip("re2", reason="google-re2 is not installed")

    expected = [("", *CATEGORIES)[owner] for owner in owners(CATEGORIES, re2)]

    assert [category(code) for code in range(CODE_POINTS)] == expected


def test_scripts_are_those_of_re2_at_every_code_point() -> None:
    re2 = pytest.importorskip("re2", reason="google-re2 is not installed")

    expected = [("", *SCRIPTS)[owner] for owner in owners(SCRIPTS, re2)]

    assert [script(code) for code in range(CODE_POINTS)] == expected


def test_orbits_are_those_of_re2() -> None:
    re2 = pytest.importorskip("re2", reason="google-re2 is not installed")

    expected = {code: tuple(group) for group in orbits(re2) for code in group}

    assert {c: orbit(c) for c in range(CODE_POINTS) if len(orbit(c)) > 1} == expected
