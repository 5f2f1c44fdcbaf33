"""What a member that means no good can do, and what it must not cost."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from serfevents import InvalidExpression, KeysAnswered, PayloadRejected
from serfevents.filters import INSTRUCTIONS_MAX, encode_filters
from serfevents.keys import KEYS_MAX
from serfevents.wire.codec import encode_filter, encode_key_response
from serfevents.wire.messages import KeyResponse, PushPull, TagFilter
from tests.serfevents.vocabulary import (
    Sent,
    Told,
    ack,
    answer,
    drain,
    hears,
    joins,
    machine,
    merges,
    only,
    query,
    wait,
)


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
    """One query would bring its victim eleven answers of each member."""
    a = machine("a", knows=["b", *(f"n{number}" for number in range(20))])
    forged = query(source="b", at=("192.0.2.1", 53), flags=1, relay_factor=10)
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


def test_a_state_full_of_absurd_times_is_one_rejection() -> None:
    a = machine("a", knows="b")
    for told in (
        PushPull(ltime=1, status_ltimes={f"n{number}": 1 << 63 for number in range(1000)}),
        PushPull(
            ltime=1,
            left=tuple(f"n{number}" for number in range(1000)),
            status_ltimes={f"n{number}": 1 << 63 for number in range(1000)},
        ),
        PushPull(
            ltime=1,
            leaving=tuple(f"n{number}" for number in range(1000)),
            status_ltimes={f"n{number}": 1 << 63 for number in range(1000)},
        ),
    ):
        merges(a, told)

        assert [each.reason for each in drain(a)] == ["ltime-too-far"]


def test_a_full_table_does_not_forget_ourselves_while_we_leave() -> None:
    a = machine("a", knows="b", members_max=2)
    a.leave(0.0)
    wait(a, 5.0)
    a.membership_left(5.0)
    joins(a, "c", now=5.1)

    assert a.own.name == "a"
    assert a.stats.rejected["table-full"] == 1


def test_one_text_is_not_taken_for_several_names() -> None:
    a = machine("a", knows="b")

    with pytest.raises(TypeError, match="several names"):
        a.query("load", b"", 0.0, nodes="web")


def test_a_time_that_is_no_number_is_refused() -> None:
    a = machine("a", knows="b")

    with pytest.raises(ValueError, match="finite"):
        a.handle_timeout(math.nan)
    with pytest.raises(ValueError, match="finite"):
        a.receive(b"", None, math.nan)


def test_members_that_make_up_keys_cost_little() -> None:
    a = machine("a", knows="bcdef")
    a.list_keys(0.0)
    asked = only(drain(a), Told)[0].message
    for name in "bcdef":
        keys = tuple(f"{name}{number}" for number in range(1000))
        told = KeyResponse(result=True, keys=keys, primary_key=name)
        hears(a, answer(asked, name, encode_key_response(told)), source=name)

    answered = only(wait(a, 60.0), KeysAnswered)[0]
    assert len(answered.keys) == KEYS_MAX
