"""Whom a query concerns. (Upstream's vectors are in wire/test_vectors.py.)"""

import pytest

from serfevents import DecodeError, InvalidExpression
from serfevents.filters import MEMO_SIZE_MAX, compile_filters, encode_filters, matches


def test_without_filters_everybody_is_concerned() -> None:
    assert encode_filters((), {}) == ()
    assert matches((), "a", {})


def test_names_and_all_tags_must_match() -> None:
    filters = encode_filters(("a", "b"), {"role": "^web", "dc": "aws$"})

    assert matches(filters, "a", {"role": "web-1", "dc": "east-aws"})
    assert not matches(filters, "c", {"role": "web-1", "dc": "east-aws"})
    assert not matches(filters, "a", {"role": "web-1", "dc": "aws-east"})
    assert not matches(filters, "a", {"role": "web-1"})


def test_a_missing_tag_is_the_empty_text() -> None:
    assert matches(encode_filters((), {"role": "^$"}), "a", {})


def test_a_long_filter_works_as_well() -> None:
    many = [f"n{number}" for number in range(MEMO_SIZE_MAX)]

    assert matches(encode_filters(many, {}), "n7", {})
    assert not matches(encode_filters(many, {}), "a", {})


def test_an_expression_that_is_none_is_refused_by_who_asks() -> None:
    with pytest.raises(InvalidExpression):
        encode_filters((), {"role": "("})


def test_a_filter_that_is_none_is_refused_by_who_is_asked() -> None:
    with pytest.raises(DecodeError):
        compile_filters([b"\x07"])
    with pytest.raises(InvalidExpression):
        compile_filters([b"\x01\x82\xa4Expr\xa1(\xa3Tag\xa4role"])


def test_a_hostile_expression_costs_little() -> None:
    """Backtracking would take 2**40 steps."""
    filters = encode_filters((), {"role": "^(a+)+$"})

    assert not matches(filters, "a", {"role": "a" * 40 + "b"})
