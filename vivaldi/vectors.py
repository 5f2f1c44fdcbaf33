"""Arithmetic on position vectors: tuples of floats, summed from left to right.

`math.dist`, `math.hypot` and `sum` round differently from one Python version to the next;
these functions use only operations that IEEE 754 fixes, so that the same samples give the
same bits everywhere, and Serf's bits too. Where the default profile spends its time, eight
dimensions, the default, are written out: that halves the time of an update
(tests/benchmarks/bench_vivaldi.py).
"""

from __future__ import annotations

from math import sqrt
from random import Random
from typing import TypeAlias

Vector: TypeAlias = tuple[float, ...]

SAME_PLACE = 1e-6
"""Seconds; two positions closer than this have no direction between them (Serf's threshold)."""


def length(a: Vector) -> float:
    """Return the Euclidean length of `a`.

    >>> length((2.0, 3.0, 6.0))
    7.0
    """
    squares = 0.0
    for x in a:
        squares += x * x
    return sqrt(squares)


def distance(a: Vector, b: Vector) -> float:
    """Return the length of `a - b`, for vectors of one length.

    >>> distance((3.0, 4.0), (0.0, 0.0))
    5.0
    """
    squares = 0.0
    for x, y in zip(a, b, strict=True):
        squares += (x - y) * (x - y)
    return sqrt(squares)


def difference(a: Vector, b: Vector) -> tuple[Vector, float]:
    """Return `a - b` and its length, for vectors of one length.

    >>> difference((3.0, 4.0), (0.0, 0.0))
    ((3.0, 4.0), 5.0)
    """
    apart = tuple([x - y for x, y in zip(a, b, strict=True)])
    return apart, length(apart)


def difference_and_length(a: Vector, b: Vector) -> tuple[Vector, float, float]:
    """Return `a - b`, its length, and the length of `b`.

    >>> difference_and_length((3.0, 4.0), (0.0, 1.0))[2]
    1.0
    """
    if len(a) == 8:
        a0, a1, a2, a3, a4, a5, a6, a7 = a
        b0, b1, b2, b3, b4, b5, b6, b7 = b
        a0 -= b0
        a1 -= b1
        a2 -= b2
        a3 -= b3
        a4 -= b4
        a5 -= b5
        a6 -= b6
        a7 -= b7
        return (
            (a0, a1, a2, a3, a4, a5, a6, a7),
            sqrt(a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3 + a4 * a4 + a5 * a5 + a6 * a6 + a7 * a7),
            sqrt(b0 * b0 + b1 * b1 + b2 * b2 + b3 * b3 + b4 * b4 + b5 * b5 + b6 * b6 + b7 * b7),
        )
    apart = tuple([x - y for x, y in zip(a, b, strict=True)])
    return apart, length(apart), length(b)


def scaled(a: Vector, factor: float) -> Vector:
    """Return `a * factor`."""
    return tuple([x * factor for x in a])


def moved(a: Vector, apart: Vector, inverse: float, force: float) -> Vector:
    """Return `a` moved by `force` along `apart`, whose length is `1 / inverse`.

    The direction is rounded before it is multiplied by the force, as Serf does it.
    """
    return tuple([x + d * inverse * force for x, d in zip(a, apart, strict=True)])


def stepped(a: Vector, apart: Vector, factor: float, b: Vector, pull: float) -> Vector:
    """Return `a + apart * factor - b * pull`."""
    if len(a) == 8:
        a0, a1, a2, a3, a4, a5, a6, a7 = a
        d0, d1, d2, d3, d4, d5, d6, d7 = apart
        b0, b1, b2, b3, b4, b5, b6, b7 = b
        return (
            a0 + d0 * factor - b0 * pull,
            a1 + d1 * factor - b1 * pull,
            a2 + d2 * factor - b2 * pull,
            a3 + d3 * factor - b3 * pull,
            a4 + d4 * factor - b4 * pull,
            a5 + d5 * factor - b5 * pull,
            a6 + d6 * factor - b6 * pull,
            a7 + d7 * factor - b7 * pull,
        )
    return tuple([x + d * factor - y * pull for x, d, y in zip(a, apart, b, strict=True)])


def blended(a: Vector, b: Vector, share: float) -> Vector:
    """Return `a` moved by `share` of the way to `b`; 0 <= share <= 1.

    >>> blended((0.0, 1.0), (1.0, 1.0), 0.25)
    (0.25, 1.0)
    """
    if len(a) == 8:
        a0, a1, a2, a3, a4, a5, a6, a7 = a
        b0, b1, b2, b3, b4, b5, b6, b7 = b
        return (
            a0 + (b0 - a0) * share,
            a1 + (b1 - a1) * share,
            a2 + (b2 - a2) * share,
            a3 + (b3 - a3) * share,
            a4 + (b4 - a4) * share,
            a5 + (b5 - a5) * share,
            a6 + (b6 - a6) * share,
            a7 + (b7 - a7) * share,
        )
    return tuple([x + (y - x) * share for x, y in zip(a, b, strict=True)])


def random_direction(dimensions: int, rng: Random) -> Vector:
    """Return a unit vector of random direction; draws once per dimension, in order."""
    draws = tuple([rng.random() - 0.5 for _ in range(dimensions)])
    size = length(draws)
    if size > SAME_PLACE:
        return scaled(draws, 1.0 / size)
    return (1.0,) + (0.0,) * (dimensions - 1)
