"""Refusals: one tree, each with what a caller needs to know."""

import pytest

from serfevents import (
    DecodeError,
    NotRunning,
    PayloadTooLarge,
    QueueFull,
    RotationRunning,
    SerfEventsError,
    UnknownQuery,
    UnsupportedVersion,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DecodeError("malformed"), "malformed"),
        (DecodeError("malformed", "cut off"), "malformed: cut off"),
        (PayloadTooLarge("query", 9, 8), "a query of 9 bytes exceeds the limit of 8"),
        (QueueFull("intents", 8), "the queue of intents holds its limit of 8 already"),
        (UnknownQuery(7, "expired"), "query 7 can't be answered: expired"),
        (UnsupportedVersion("a query", 4), "a query needs protocol version 4"),
        (RotationRunning("one runs"), "one runs"),
        (NotRunning("it is over"), "it is over"),
    ],
)
def test_a_refusal_says_why(error: SerfEventsError, text: str) -> None:
    assert isinstance(error, SerfEventsError)
    assert str(error) == text


def test_a_refusal_carries_its_facts() -> None:
    too_large, full = PayloadTooLarge("query", 9, 8), QueueFull("intents", 8)
    unknown, unsupported = UnknownQuery(7, "expired"), UnsupportedVersion("a query", 4)

    assert (too_large.what, too_large.size, too_large.limit) == ("query", 9, 8)
    assert (full.queue, full.limit) == ("intents", 8)
    assert (unknown.query, unknown.reason) == (7, "expired")
    assert (unsupported.what, unsupported.needed) == ("a query", 4)
    assert DecodeError("malformed").reason == "malformed"
