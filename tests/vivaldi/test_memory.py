from __future__ import annotations

import json

import pytest

from tests.vivaldi.conftest import at, client, listen
from vivaldi import Config, Coordinate, DecodeError, InvalidCoordinate, Memory, Rejection


def test_a_restart_with_memory_continues_where_it_was_but_less_sure() -> None:
    node, restarted = client(), client(seed=2)
    listen(node, at(0.05, error=0.1), 0.060, 200, "alice")

    text = json.dumps(node.export().to_json())
    restarted.restore(Memory.from_json(json.loads(text)), age=0.0)

    assert restarted.coordinate.vector == node.coordinate.vector
    assert restarted.coordinate.height == node.coordinate.height
    assert (node.coordinate.error < 0.3, restarted.coordinate.error) == (True, 0.3)
    assert restarted.export().round_trips == node.export().round_trips


@pytest.mark.parametrize(
    ("age", "error", "peers"),
    [(0.0, 0.4, 1), (3600.0, 0.5, 1), (3601.0, 0.5, 0), (36000.0, 1.4, 0), (1e9, 1.5, 0)],
)
def test_memory_loses_confidence_with_age_and_its_round_trips_after_an_hour(
    age: float, error: float, peers: int
) -> None:
    node = client()

    node.restore(Memory(at(0.05, error=0.4), (("alice", (0.1, 0.2)),)), age=age)

    assert node.coordinate.error == pytest.approx(error, abs=1e-3)
    assert node.peers_known == peers


def test_restored_round_trips_are_bounded_and_checked() -> None:
    node = client(Config(filter_window=3, peers_max=2))
    samples = (0.1, -1.0, 0.2, float("nan"), 11.0, 0.3)

    node.restore(Memory(at(), (("a", (0.1,)), ("b", (0.1,)), ("c", samples))), age=1.0)

    assert node.export().round_trips == (("b", (0.1,)), ("c", (0.3,)))


def test_without_a_filter_nothing_is_restored_but_the_coordinate() -> None:
    node = client(Config(filter_window=0))

    node.restore(Memory(at(0.05), (("a", (0.1,)),)), age=1.0)

    assert node.export().coordinate.vector == at(0.05).vector
    assert node.export().round_trips == ()


@pytest.mark.parametrize(
    ("coordinate", "reason"),
    [
        (at(1e6), Rejection.VECTOR_RANGE),
        (at(space="wan"), Rejection.SPACE),
        (Coordinate((0.0,) * 3), Rejection.DIMENSIONS),
    ],
)
def test_bad_memory_is_refused_and_changes_nothing(
    coordinate: Coordinate, reason: Rejection
) -> None:
    node = client(at=at(0.01))

    with pytest.raises(InvalidCoordinate) as caught:
        node.restore(Memory(coordinate, (("a", (0.1,)),)), age=0.0)

    assert caught.value.reason is reason
    assert (node.coordinate, node.peers_known) == (at(0.01), 0)


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf")])
def test_an_age_that_is_none_is_refused(age: float) -> None:
    with pytest.raises(ValueError, match="age is"):
        client().restore(Memory(at()), age=age)


def test_the_memory_keeps_its_space() -> None:
    memory = Memory(at(0.05, space="wan"))

    assert Memory.from_json(memory.to_json()) == memory


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {},
        {"Space": ""},
        {"Space": 7, "RoundTrips": [], "Coordinate": {}},
        {"Space": "", "RoundTrips": 7, "Coordinate": {}},
        {"Space": "", "RoundTrips": [7], "Coordinate": {}},
        {"Space": "", "RoundTrips": [["a", ["b"]]], "Coordinate": {}},
        {"Space": "", "RoundTrips": [[1, [0.1]]], "Coordinate": {}},
        {"Space": "", "RoundTrips": [], "Coordinate": 7},
    ],
    ids=repr,
)
def test_a_document_of_another_shape_is_no_memory(fields: object) -> None:
    with pytest.raises(DecodeError):
        Memory.from_json(fields)
