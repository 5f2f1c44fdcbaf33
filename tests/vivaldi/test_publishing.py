from __future__ import annotations

import pytest

from tests.vivaldi.conftest import at
from vivaldi import Coordinate, Publisher


def test_the_first_coordinate_is_published() -> None:
    publisher = Publisher()

    assert publisher.published is None
    assert publisher.offer(at(0.1))
    assert publisher.published == at(0.1)


@pytest.mark.parametrize(
    ("then", "published"),
    [
        (at(0.100, height=0.003), False),
        (at(0.105, height=0.003), False),
        (at(0.106, height=0.003), True),
        (at(0.0973, 0.0, height=0.0055), True),
        (at(0.100, height=0.003, error=0.34), False),
        (at(0.100, height=0.003, error=0.36), True),
        (at(0.100, height=0.003, error=0.04), True),
        (at(0.100, height=0.003, space="wan"), True),
    ],
)
def test_a_change_is_published_when_it_matters(then: Coordinate, published: bool) -> None:
    publisher = Publisher(share=0.05)
    publisher.offer(at(0.100, height=0.003, error=0.2))

    assert publisher.offer(then) is published
    assert publisher.published == (then if published else at(0.100, height=0.003, error=0.2))


def test_small_steps_add_up() -> None:
    publisher = Publisher()

    offers = [publisher.offer(at(0.100 + 0.001 * i)) for i in range(13)]

    assert [i for i, offered in enumerate(offers) if offered] == [0, 6, 12]


def test_less_than_the_minimum_is_never_worth_it() -> None:
    publisher = Publisher(distance_min=50e-6)
    publisher.offer(at(0.00001, height=0.00001))

    assert not publisher.offer(at(0.00004, height=0.00001))
    assert publisher.offer(at(0.00007, height=0.00001))


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        Publisher(share=share)


@pytest.mark.parametrize("minimum", [-1e-6, float("nan"), float("inf")])
def test_a_bad_minimum_is_refused(minimum: float) -> None:
    with pytest.raises(ValueError, match="distance_min is"):
        Publisher(distance_min=minimum)
