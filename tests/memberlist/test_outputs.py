"""Outputs: two families in one queue, unchangeable, each said to be one or the other."""

import inspect
from typing import get_args

import attrs
import pytest

from memberlist import (
    Effect,
    Event,
    MemberJoined,
    OpenStream,
    Output,
    PingCompleted,
    SendDatagram,
    outputs,
)
from tests.memberlist.vocabulary import address, evidence, node

# Records that outputs carry, and what sorts them.
PARTS = {"ProbeRecord", "Evidence", "SeedOutcome"}


def test_every_output_is_an_effect_or_an_event_and_none_is_both() -> None:
    effects, events = set(get_args(Effect)), set(get_args(Event))
    classes = {
        each
        for name, each in inspect.getmembers(outputs, attrs.has)
        if each.__module__ == outputs.__name__ and name not in PARTS
    }

    assert effects | events == set(get_args(Output)) == classes
    assert effects & events == set()


def test_effects_are_imperatives_and_events_are_past() -> None:
    assert {each.__name__ for each in get_args(Effect)} == {
        "SendDatagram",
        "OpenStream",
        "SendStream",
        "CloseStream",
    }
    past = ("ed", "Left", "Forgotten", "Conflict")
    assert [each.__name__ for each in get_args(Event) if not each.__name__.endswith(past)] == []


def test_an_output_cannot_be_changed_and_equals_its_like() -> None:
    joined, opening = MemberJoined(node("b")), OpenStream(2, address("b"), 1.0)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        joined.node = node("c")  # type: ignore[misc] # that is the point
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        opening.stream = 4  # type: ignore[misc] # that is the point
    assert joined == MemberJoined(node("b"))
    assert hash(opening) == hash(OpenStream(2, address("b"), 1.0))


def test_only_the_two_hottest_outputs_are_not_frozen() -> None:
    soft = [each for each in get_args(Output) if each.__setattr__ is object.__setattr__]

    assert soft == [SendDatagram, PingCompleted]


def test_evidence_says_who_when_and_how_healthy_we_were() -> None:
    found = evidence("a", "b", "c", since=1.0, timeout=2.0, health=3)

    assert (found.suspected_by, found.confirmed_by) == ("a", ("b", "c"))
    assert (found.since, found.timeout, found.probe, found.health) == (1.0, 2.0, None, 3)
