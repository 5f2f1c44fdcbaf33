"""What a member that means no good can do, and what it must not cost."""

from __future__ import annotations

import tracemalloc

import pytest

from serfevents import InvalidExpression, PayloadRejected
from serfevents.codec import encode_filter
from serfevents.filters import INSTRUCTIONS_MAX, encode_filters
from serfevents.messages import TagFilter
from tests.serfevents.vocabulary import Sent, ack, drain, hears, machine, only, query


def test_the_expressions_of_one_query_cost_together_what_one_may() -> None:
    """A query has room for a hundred filters; each of these takes some 20 ms to compile."""
    costly = [
        encode_filter(TagFilter("role", "(.{0,30}){0,30}" + "x" * count)) for count in range(100)
    ]
    a = machine("a", knows="b")
    hears(a, query(filters=tuple(costly)), source="b")

    rejected = [each for each in drain(a) if isinstance(each, PayloadRejected)]
    assert [each.reason for each in rejected] == ["bad-filter"]
    assert str(INSTRUCTIONS_MAX) in rejected[0].detail


def test_what_all_would_refuse_is_not_asked() -> None:
    half = "a{0,999}b{0,999}"

    assert encode_filters((), {"role": half})
    with pytest.raises(InvalidExpression, match="instructions"):
        encode_filters((), {"role": half, "dc": "c{0,999}"})


def test_answers_are_not_multiplied_towards_an_address_that_is_no_members() -> None:
    """One query would bring its victim two hundred answers of each member."""
    a = machine("a", knows=["b", *(f"n{number}" for number in range(20))])
    forged = query(source="b", at=("192.0.2.1", 53), flags=1, relay_factor=255)
    hears(a, forged, source="b")

    assert only(drain(a), Sent) == [Sent("b", ack(forged, "a"))]


def test_a_query_that_waits_for_its_answer_costs_little() -> None:
    """It may be large, and wait for centuries."""
    a = machine("a", knows="b", queue_depth_max=1)
    tracemalloc.start()
    for number in range(100):
        asked = query(ltime=number, id=number, timeout=1e9, payload=bytes(100_000))
        hears(a, asked, source="b")
        drain(a)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1_000_000


def test_who_asks_has_no_endless_name() -> None:
    a = machine("a", knows="b")
    hears(a, query(source="b" * 513, at=("10.0.0.2", 7946)), source="b")

    assert [each.reason for each in drain(a)] == ["bad-name"]
