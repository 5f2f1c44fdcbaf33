"""Programs put together: where they go, and what they may grow to."""

from __future__ import annotations

import pytest

from serfevents.errors import InvalidExpression
from serfevents.expressions.character_sets import CharacterSet
from serfevents.expressions.program import (
    COPIES_MAX,
    HEIGHT_MAX,
    SIZE_MAX,
    Fragment,
    Jump,
    Split,
    alternated,
    captured,
    concatenated,
    repeated,
)

A, B, C = (CharacterSet([(ord(each), ord(each))]) for each in "abc")
LETTERS = {A: "a", B: "b", C: "c"}


def one(characters: CharacterSet) -> Fragment:
    return Fragment([characters])


def words(fragment: Fragment, length_max: int) -> set[str]:
    """Return every word up to a length that the program accepts, found by walking it."""
    found, seen = set(), set()
    pending = [(0, "")]
    while pending:
        place, word = state = pending.pop()
        if state in seen or len(word) > length_max:
            continue
        seen.add(state)
        if place == len(fragment.instructions):
            found.add(word)
            continue
        match fragment.instructions[place]:
            case CharacterSet() as characters:
                pending.append((place + 1, word + LETTERS[characters]))
            case Split(offset):
                pending += [(place + 1, word), (place + offset, word)]
            case Jump(offset):
                pending.append((place + offset, word))
            case other:
                raise AssertionError(other)
    return found


def test_a_concatenation_is_one_after_the_other() -> None:
    assert words(concatenated([one(A), one(B), one(A)]), 5) == {"aba"}


def test_one_piece_and_one_choice_are_themselves() -> None:
    piece = one(A)

    assert concatenated([piece]) is piece
    assert alternated([piece]) is piece


def test_an_empty_concatenation_is_the_empty_word() -> None:
    assert words(concatenated([]), 5) == {""}


def test_an_alternation_is_any_of_its_choices() -> None:
    choices = [concatenated([one(A), one(B)]), one(C), concatenated([])]

    assert words(alternated(choices), 5) == {"ab", "c", ""}


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0, None, {"", "a", "aa", "aaa"}),
        (1, None, {"a", "aa", "aaa"}),
        (2, None, {"aa", "aaa"}),
        (0, 1, {"", "a"}),
        (0, 0, {""}),
        (2, 2, {"aa"}),
        (1, 3, {"a", "aa", "aaa"}),
    ],
)
def test_a_repeat_is_so_many_times(least: int, most: int | None, expected: set[str]) -> None:
    assert words(repeated(one(A), least, most, counted=True), 3) == expected


def test_repeats_of_what_may_be_empty_come_to_an_end() -> None:
    optional = repeated(one(A), 0, 1, counted=False)

    assert words(repeated(optional, 0, None, counted=False), 2) == {"", "a", "aa"}
    assert words(repeated(concatenated([]), 1, None, counted=False), 2) == {""}


def test_a_piece_that_is_several_long_is_repeated_whole() -> None:
    piece = alternated([concatenated([one(A), one(B)]), one(C)])

    assert words(repeated(piece, 2, 2, counted=True), 9) == {"abab", "abc", "cab", "cc"}


def test_copies_of_copies_are_limited_together() -> None:
    ten = repeated(one(A), 10, 10, counted=True)
    hundred = repeated(captured(ten), 10, None, counted=True)

    assert repeated(hundred, 0, 10, counted=True).copies == COPIES_MAX
    with pytest.raises(InvalidExpression) as refused:
        repeated(hundred, 11, 11, counted=True)
    assert refused.value.reason == "invalid-repeat-size"


def test_the_piece_of_most_copies_counts_for_what_it_is_part_of() -> None:
    many = repeated(one(A), 501, 501, counted=True)

    for whole in (concatenated([many, one(B)]), alternated([one(B), many]), captured(many)):
        assert whole.copies == 501
        assert repeated(whole, 1, 1, counted=True).copies == 501
        with pytest.raises(InvalidExpression, match="invalid-repeat-size"):
            repeated(whole, 2, 2, counted=True)


def test_no_copies_at_all_are_no_copies_of_anything() -> None:
    none = repeated(repeated(one(A), 600, 600, counted=True), 0, 0, counted=True)

    assert none.copies == 1
    assert repeated(none, 1000, 1000, counted=True).instructions == []


def test_uncounted_repeats_are_not_limited_by_copies() -> None:
    thousand = repeated(one(A), 1000, 1000, counted=True)

    assert repeated(thousand, 1, None, counted=False).copies == 1000


@pytest.mark.parametrize(("least", "most"), [(2, 2), (0, 2), (3, None), (0, 1000)])
def test_a_repeat_is_refused_before_it_takes_memory(least: int, most: int | None) -> None:
    large = Fragment([A] * (SIZE_MAX // 2 + 1))

    with pytest.raises(InvalidExpression) as refused:
        repeated(large, least, most, counted=True)

    assert refused.value.reason == "too-large"


def test_a_concatenation_and_an_alternation_are_limited_in_size() -> None:
    half = Fragment([A] * (SIZE_MAX // 2))

    assert len(concatenated([half, half]).instructions) == SIZE_MAX
    with pytest.raises(InvalidExpression, match="too-large"):
        concatenated([half, half, one(A)])
    with pytest.raises(InvalidExpression, match="too-large"):
        alternated([half, half])


def test_nesting_is_limited() -> None:
    fragment = one(A)
    while fragment.height < HEIGHT_MAX:
        fragment = captured(fragment)

    with pytest.raises(InvalidExpression) as refused:
        captured(fragment)

    assert refused.value.reason == "nested-too-deeply"


@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_any_count_of_one_character_fits(count: int) -> None:
    assert len(repeated(one(A), count, count, counted=True).instructions) == count
    assert len(repeated(one(A), 0, count, counted=True).instructions) == 2 * count
    assert len(repeated(one(A), count, None, counted=True).instructions) == count + 1
