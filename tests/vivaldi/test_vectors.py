from __future__ import annotations

from random import Random

import pytest

from vivaldi import vectors
from vivaldi.vectors import Vector


def draw(rng: Random, dimensions: int) -> Vector:
    return tuple([rng.gauss(0.0, 1.0) for _ in range(dimensions)])


def test_lengths_and_differences_are_serfs_worked_examples() -> None:
    # serf/coordinate's own unit test of vectors.
    apart, size = vectors.difference((1.0, 2.0, 3.0), (0.5, 0.6, 0.7))

    unit = vectors.scaled(apart, 1.0 / size)
    assert vectors.length((1.0, -2.0, 3.0)) == 3.7416573867739413
    assert unit == pytest.approx((0.18257418583505536, 0.511207720338155, 0.8398412548412546))
    assert vectors.distance((1.0, 2.0, 3.0), (0.5, 0.6, 0.7)) == size


def test_eight_dimensions_written_out_are_the_loop_to_the_bit(seed: int) -> None:
    # A ninth component of zero takes the loop and adds nothing.
    rng = Random(seed)
    for _ in range(100):
        a, b, c = draw(rng, 8), draw(rng, 8), draw(rng, 8)
        share, pull = rng.random(), rng.random()

        stepped = vectors.stepped((*a, 0.0), (*b, 0.0), share, (*c, 0.0), pull)
        blended = vectors.blended((*a, 0.0), (*b, 0.0), share)
        apart, size, length = vectors.difference_and_length((*a, 0.0), (*b, 0.0))

        assert (*vectors.stepped(a, b, share, c, pull), 0.0) == stepped
        assert (*vectors.blended(a, b, share), 0.0) == blended
        assert vectors.difference_and_length(a, b) == (apart[:8], size, length)
        assert vectors.difference(a, b) == (apart[:8], size)


def test_a_step_follows_the_difference_and_leaves_the_peers_position() -> None:
    assert vectors.stepped((1.0, 2.0), (1.0, 0.0), 0.5, (10.0, 20.0), 0.1) == (0.5, 0.0)
    assert vectors.moved((1.0, 2.0), (2.0, 0.0), 0.5, -3.0) == (-2.0, 2.0)
    assert vectors.blended((1.0, 2.0), (2.0, 0.0), 0.5) == (1.5, 1.0)


@pytest.mark.parametrize("dimensions", [1, 2, 8])
def test_a_random_direction_has_length_one_and_follows_the_seed(dimensions: int) -> None:
    one = vectors.random_direction(dimensions, Random(1))

    assert vectors.length(one) == pytest.approx(1.0)
    assert one == vectors.random_direction(dimensions, Random(1))


def test_draws_without_direction_give_the_first_axis() -> None:
    class Middle(Random):
        def random(self) -> float:
            return 0.5

    assert vectors.random_direction(3, Middle()) == (1.0, 0.0, 0.0)
