"""Lifeguard's local health multiplier: a score that saturates on both sides, and what it scales."""

import json
from pathlib import Path

import pytest

from memberlist.awareness import Awareness

VECTORS = Path(__file__).parent.parent / "interop" / "vectors" / "memberlist.json"


def test_a_new_node_is_healthy() -> None:
    health = Awareness(limit=8)

    assert health.score == 0
    assert health.scale(1.5) == 1.5


def test_the_score_saturates_at_zero_and_below_its_limit() -> None:
    """Source: memberlist's own table (awareness_test.go)."""
    health = Awareness(limit=8)
    deltas = [0, -1, -10, 1, -1, 10, -1, -1, -1, -1, -1, -1, -1, -1]

    assert [health.apply(delta) for delta in deltas] == [0, 0, 0, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0, 0]


def test_applying_returns_the_score_that_it_keeps() -> None:
    health = Awareness(limit=3)

    assert (health.apply(9), health.score) == (2, 2)


def test_a_limit_of_one_keeps_everybody_healthy() -> None:
    health = Awareness(limit=1)

    assert health.apply(5) == 0
    assert health.scale(2.0) == 2.0


@pytest.mark.parametrize(("score", "scaled"), [(0, 0.5), (1, 1.0), (7, 4.0)])
def test_durations_grow_with_the_score(score: int, scaled: float) -> None:
    """Lifeguard, LHA-Probe: x (LHM + 1)."""
    health = Awareness(limit=8)
    health.apply(score)

    assert health.scale(0.5) == scaled


def test_it_agrees_with_hashicorps_implementation() -> None:
    vector = json.loads(VECTORS.read_text())["functions"]["awareness"]
    health = Awareness(limit=vector["max"])

    for step in vector["steps"]:
        assert health.apply(step["delta"]) == step["score"]
        assert round(health.scale(1.0) * 1e9) == step["scaled_1s_ns"]
