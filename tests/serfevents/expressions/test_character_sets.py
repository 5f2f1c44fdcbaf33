"""Membership in sets of characters: ranges, named classes, case and negation."""

# ruff: noqa: RUF001 - letters that look alike are the point here

from __future__ import annotations

import pytest

from serfevents.expressions.character_sets import (
    EVERYTHING,
    PERL_CLASSES,
    POSIX_CLASSES,
    CharacterSet,
    NamedClass,
    unicode_class,
)


def accepted(characters: CharacterSet, text: str) -> str:
    return "".join(each for each in text if characters.accepts(ord(each)))


def test_a_range_holds_both_its_ends() -> None:
    assert accepted(CharacterSet([(ord("b"), ord("d"))]), "abcde") == "bcd"


def test_ranges_may_overlap_touch_and_come_in_any_order() -> None:
    ranges = [(104, 106), (97, 102), (98, 99), (103, 103), (110, 110)]

    assert accepted(CharacterSet(ranges), "`abcdefghijklmno") == "abcdefghijn"


def test_a_negated_set_holds_the_rest() -> None:
    assert accepted(CharacterSet([(98, 98)], negated=True), "abc\n") == "ac\n"


def test_an_empty_set_holds_nothing_and_its_negation_everything() -> None:
    assert accepted(CharacterSet(), "a\n\ufffd") == ""
    assert accepted(CharacterSet(negated=True), "a\n\ufffd") == "a\n\ufffd"


def test_case_is_folded_before_anything_is_negated() -> None:
    k = [(ord("k"), ord("k"))]

    assert accepted(CharacterSet(k, fold=True), "kK\u212aj") == "kK\u212a"
    assert accepted(CharacterSet(k, fold=True, negated=True), "kK\u212aj") == "j"


def test_a_negated_class_within_a_set_is_folded_before_it_is_negated() -> None:
    not_upper = NamedClass(category="Lu", negated=True)

    assert accepted(CharacterSet(classes=[not_upper]), "aA1") == "a1"
    assert accepted(CharacterSet(classes=[not_upper], fold=True), "aA1") == "1"


def test_classes_and_ranges_add_up() -> None:
    mixed = CharacterSet([(ord("a"), ord("a"))], [NamedClass(PERL_CLASSES["d"])])

    assert accepted(mixed, "/0a9:b") == "0a9"


@pytest.mark.parametrize(
    ("name", "held", "refused"),
    [
        ("L", "aAʰ中", "1 ."),
        ("Lu", "AΣ", "aσ1"),
        ("Greek", "αΣ", "aя"),
        ("Any", "a\n\ufffd", ""),
        ("C", "\x00\u200b", "a"),
    ],
)
def test_a_class_of_unicode_has_its_characters(name: str, held: str, refused: str) -> None:
    plain, negated = (unicode_class(name, negated=negated) for negated in (False, True))

    assert plain is not None
    assert negated is not None
    assert accepted(CharacterSet(classes=[plain]), held + refused) == held
    assert accepted(CharacterSet(classes=[negated]), held + refused) == refused


@pytest.mark.parametrize("name", ["", "l", "Cn", "Letter", "greek", "X", "^L", "any"])
def test_other_names_of_unicode_are_none(name: str) -> None:
    assert unicode_class(name, negated=False) is None


def test_an_unassigned_code_point_is_in_no_category() -> None:
    other = unicode_class("C", negated=False)

    assert other is not None
    assert not CharacterSet(classes=[other]).accepts(0x378)


def test_the_classes_of_posix_and_perl_are_those_of_ascii() -> None:
    ascii_text = "".join(map(chr, range(256)))
    by_name = {
        name: accepted(CharacterSet(ranges), ascii_text) for name, ranges in POSIX_CLASSES.items()
    }
    low = [each for each in ascii_text if each.isascii()]

    assert by_name["alnum"] == "".join(each for each in low if each.isalnum())
    assert by_name["alpha"] == "".join(each for each in low if each.isalpha())
    assert by_name["ascii"] == "".join(low)
    assert by_name["blank"] == "\t "
    assert by_name["cntrl"] == "".join(each for each in low if ord(each) < 32 or each == "\x7f")
    assert by_name["digit"] == "0123456789"
    assert by_name["graph"] == "".join(each for each in low if each.isprintable() and each != " ")
    assert by_name["lower"] == "".join(each for each in low if each.islower())
    assert by_name["print"] == "".join(each for each in low if each.isprintable())
    assert by_name["punct"] == "".join(
        each for each in by_name["graph"] if each not in by_name["alnum"]
    )
    assert by_name["space"] == "\t\n\v\f\r "
    assert by_name["upper"] == "".join(each for each in low if each.isupper())
    assert set(by_name["word"]) == {*by_name["alnum"], "_"}
    assert set(by_name["xdigit"]) == set("0123456789abcdefABCDEF")
    assert PERL_CLASSES["d"] == POSIX_CLASSES["digit"]
    assert PERL_CLASSES["w"] == POSIX_CLASSES["word"]
    # Perl's space has no vertical tab, POSIX's has.
    assert accepted(CharacterSet(PERL_CLASSES["s"]), ascii_text) == "\t\n\f\r "


def test_everything_is_every_code_point() -> None:
    every = CharacterSet(EVERYTHING)

    assert every.accepts(0)
    assert every.accepts(0x10FFFF)
