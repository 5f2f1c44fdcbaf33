"""What is put out: words, priorities, and that nothing of it can be changed."""

from typing import get_args

import attrs
import pytest

from serfevents import (
    Broadcast,
    Change,
    Effect,
    Event,
    KeyChange,
    KeysAnswered,
    Kind,
    Output,
    Stage,
)


def test_an_output_is_an_effect_or_an_event() -> None:
    assert set(get_args(Output)) == {*get_args(Effect), *get_args(Event)}
    assert not {*get_args(Effect)} & {*get_args(Event)}


@pytest.mark.parametrize("kind", get_args(Output))
def test_an_output_can_not_be_changed(kind: type) -> None:
    names = [field.name for field in attrs.fields(kind)]
    output = kind(*([None] * len(names)))

    for name in names:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(output, name, 1)


def test_intents_go_before_queries_and_these_before_events() -> None:
    order = [Broadcast(1, b"", kind).priority for kind in (Kind.EVENT, Kind.QUERY, Kind.INTENT)]

    assert order == [0, 1, 2]


def test_changes_are_named_as_handlers_know_them() -> None:
    assert [each.value for each in Change] == [
        "member-join",
        "member-leave",
        "member-failed",
        "member-update",
        "member-reap",
    ]
    assert [each.value for each in KeyChange] == ["install-key", "use-key", "remove-key"]
    assert next(iter(Stage)).value == "install"


@pytest.mark.parametrize(
    ("responses", "errors", "error"),
    [
        (3, 0, ""),
        (3, 1, "1/3 nodes reported failure"),
        (2, 0, "2/3 nodes reported success"),
        (2, 2, "2/3 nodes reported failure"),
    ],
)
def test_a_key_operation_says_why_it_failed_in_serfs_words(
    responses: int, errors: int, error: str
) -> None:
    assert KeysAnswered(1, "use-key", 3, responses, errors, (), (), ()).error == error
