"""Serf's update rule, to the bit: what `Config.serf()` selects.

Owns the order of the steps (filter, spring, adjustment, gravity, reset) and nothing else.
It keeps Serf's weaknesses too, as a node among Serf agents should behave like one:
`SteadyRule` is the better rule.

Deviation: a filter of size 0 panics in Serf; here the newest sample counts.
Deviation: the filters of at most `Config.peers_max` peers are kept; Serf keeps them until a
peer is forgotten.

Source: serf/coordinate, written down in the Vivaldi paper (2004), section 2.5, with the height
vector of section 5.4, the adjustment of Lee et al. and the gravity of Ledlie et al. (2007).
"""

# Comparisons are written out: `min` and `max` are calls, and would slow each update by a fifth.
# ruff: noqa: FURB136, PLR1730

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from random import Random

from vivaldi.config import Config
from vivaldi.coordinate import Coordinate
from vivaldi.errors import InvalidCoordinate, InvalidRtt, Rejection
from vivaldi.filters import LatencyFilters
from vivaldi.stats import Stats
from vivaldi.vectors import SAME_PLACE, difference, distance, moved, random_direction

FLOOR = 1e-6
"""Least round trip time in seconds, and least sum of two errors."""

NANOSECONDS_END = float(1 << 63)
"""Distances of so many nanoseconds overflow Serf's durations (on amd64) to `OVERFLOWN`."""

OVERFLOWN = -9223372036.0 - 0.854775808
"""Seconds in the most negative duration."""

blank: Callable[[type[Coordinate]], Coordinate] = object.__new__
"""Makes a coordinate without its fields: the call of `__init__` is a fortieth of an update."""


class SerfRule:
    """The state of one Serf node: coordinate, adjustment window, latency filters."""

    def __init__(self, config: Config, rng: Random, stats: Stats) -> None:
        self._config = config
        self._rng = rng
        self._stats = stats
        self.filters = LatencyFilters(
            config.filter_window, config.filter_percentile, config.peers_max
        )
        self.coordinate = self._origin = self._fresh()
        self._rho = config.gravity_rho
        self._rtt_max = config.rtt_max
        self._error_max = config.error_max
        self._error_step = config.error_step
        self._position_step = config.position_step
        self._height_min = config.height_min
        # The window of Serf is a ring: residuals of this turn, then those of the last one.
        # Invariant: len(newer) + len(older) == Config.adjustment_window; older is empty only
        # if there is no window.
        self._newer: list[float] = []
        self._older = [0.0] * config.adjustment_window
        # Invariant: sum of `newer`, added from the left.
        self._newer_sum = 0.0
        self._divisor = 2.0 * config.adjustment_window

    def _fresh(self) -> Coordinate:
        config = self._config
        return Coordinate(
            (0.0,) * config.dimensions, config.error_max, 0.0, config.height_min, config.space
        )

    @property
    def working(self) -> Coordinate:
        """The coordinate itself, as nothing is averaged here."""
        return self.coordinate

    def check(self, other: Coordinate) -> None:
        """Raise `InvalidCoordinate` unless every field is finite, all that Serf asks for."""
        if not other.is_finite:
            raise InvalidCoordinate(Rejection.NOT_FINITE)

    def replace(self, coordinate: Coordinate) -> None:
        """Continue from a coordinate that has been checked."""
        self.coordinate = coordinate

    def update(self, peer: str, other: Coordinate, rtt: float) -> Coordinate:
        """Move by one sample of the same space and dimensions; returns the new coordinate.

        This is `_update_any` written out for eight dimensions and samples that meet none of its
        guards: the same bits in half the time. Up to three assignments in a row are as fast as
        single ones, more would build a tuple.
        """
        own = self.coordinate
        if len(other.vector) != 8:
            return self._update_any(peer, other, rtt)
        a0, a1, a2, a3, a4, a5, a6, a7 = own.vector
        b0, b1, b2, b3, b4, b5, b6, b7 = other.vector
        d0, d1, d2 = a0 - b0, a1 - b1, a2 - b2
        d3, d4, d5 = a3 - b3, a4 - b4, a5 - b5
        d6, d7 = a6 - b6, a7 - b7
        size = sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7)
        height, other_height, error = own.height, other.height, own.error
        estimate = size + height + other_height + own.adjustment + other.adjustment
        total = error + other.error
        # A finite sum has finite terms: no field of `other` needs a look of its own.
        if not (size > SAME_PLACE and 0.0 < estimate < 1.0 and FLOOR < total < inf):
            return self._update_any(peer, other, rtt)
        if not 0.0 <= rtt <= self._rtt_max:
            raise InvalidRtt(Rejection.RTT_RANGE)
        rtt = self.filters.push(peer, rtt)
        target = rtt if rtt > FLOOR else FLOOR
        weight, wrong = error / total, target - estimate * 1e9 // 1.0 / 1e9
        gain, force = self._error_step * weight, self._position_step * weight * wrong
        error = gain * ((wrong if wrong > 0.0 else -wrong) / target) + error * (1.0 - gain)
        if error > self._error_max:
            error = self._error_max
        height, least = (height + other_height) * force / size + height, self._height_min
        if height < least:
            height = least
        inverse = 1.0 / size
        a0, a1, a2 = a0 + d0 * inverse * force, a1 + d1 * inverse * force, a2 + d2 * inverse * force
        a3, a4, a5 = a3 + d3 * inverse * force, a4 + d4 * inverse * force, a5 + d5 * inverse * force
        a6, a7 = a6 + d6 * inverse * force, a7 + d7 * inverse * force
        d0, d1, d2 = a0 - b0, a1 - b1, a2 - b2
        d3, d4, d5 = a3 - b3, a4 - b4, a5 - b5
        d6, d7 = a6 - b6, a7 - b7
        size = sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7)
        norm = sqrt(a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3 + a4 * a4 + a5 * a5 + a6 * a6 + a7 * a7)
        adjustment = self._adjust(rtt - (size + height + other_height))
        estimate = norm + least + height + adjustment
        pull = estimate * 1e9 // 1.0 / 1e9 / self._rho
        pull *= -pull
        if not (norm > SAME_PLACE and 0.0 < estimate < 1.0 and pull > -1.0 and error >= 0.0):
            vector = (a0, a1, a2, a3, a4, a5, a6, a7)
            return self._settle(Coordinate(vector, error, adjustment, height, own.space))
        height, inverse = (height + least) * pull / norm + height, 1.0 / norm
        self.coordinate = new = blank(Coordinate)
        new.vector = (
            a0 + a0 * inverse * pull,
            a1 + a1 * inverse * pull,
            a2 + a2 * inverse * pull,
            a3 + a3 * inverse * pull,
            a4 + a4 * inverse * pull,
            a5 + a5 * inverse * pull,
            a6 + a6 * inverse * pull,
            a7 + a7 * inverse * pull,
        )
        new.height = height if height > least else least
        new.error, new.adjustment, new.space = error, adjustment, own.space
        return new

    def _update_any(self, peer: str, other: Coordinate, rtt: float) -> Coordinate:
        """Do what `update` does, for any sample in any number of dimensions."""
        config, own = self._config, self.coordinate
        self.check(other)
        if not 0.0 <= rtt <= config.rtt_max:
            raise InvalidRtt(Rejection.RTT_RANGE)
        rtt = self.filters.push(peer, rtt)
        target = max(rtt, FLOOR)
        wrong = target - estimated(own, other)
        weight = own.error / max(own.error + other.error, FLOOR)
        gain = config.error_step * weight
        error = gain * (abs(wrong) / target) + own.error * (1.0 - gain)
        error = min(error, config.error_max)
        force = config.position_step * weight * wrong
        own = apply_force(own, force, other, height_min=config.height_min, rng=self._rng)
        adjustment = self._adjust(
            rtt - (distance(own.vector, other.vector) + own.height + other.height)
        )
        return self._settle(Coordinate(own.vector, error, adjustment, own.height, own.space))

    def _adjust(self, residual: float) -> float:
        """Return the adjustment with one more residual: half the mean of the window."""
        older = self._older
        if not older:
            return self.coordinate.adjustment
        del older[0]
        self._newer.append(residual)
        self._newer_sum = start = self._newer_sum + residual
        # Serf adds up the whole window, from its first slot; the newer ones come first there.
        adjustment = added(older, start) / self._divisor
        if not older:
            self._older, self._newer, self._newer_sum = self._newer, older, 0.0
        return adjustment

    def _settle(self, own: Coordinate) -> Coordinate:
        """Let gravity pull at `own`, then keep and return it, or a fresh one if not finite."""
        config = self._config
        pull = estimated(self._origin, own) / config.gravity_rho
        pull *= -pull
        own = apply_force(own, pull, self._origin, height_min=config.height_min, rng=self._rng)
        if not own.is_finite:
            self._stats.resets += 1
            own = self._fresh()
        self.coordinate = own
        return own


def estimated(own: Coordinate, other: Coordinate) -> float:
    """Return the distance of two coordinates as Serf's durations hold it.

    Source: serf/coordinate DistanceTo.
    """
    heights = distance(own.vector, other.vector) + own.height + other.height
    estimate = heights + own.adjustment + other.adjustment
    return truncated(estimate if estimate > 0.0 else heights)


def apply_force(
    own: Coordinate, force: float, other: Coordinate, *, height_min: float, rng: Random
) -> Coordinate:
    """Return `own` pushed away from `other`, or pulled towards it if `force` is negative.

    Args:
        own: The coordinate to move.
        force: Seconds; the vector moves by as much, the height in proportion to the heights.
        other: A coordinate of the same space and dimensions.
        height_min: Seconds, lower bound of the height.
        rng: Chooses the direction if the two are on one spot; the height then stays.

    Source: serf/coordinate ApplyForce.

    >>> here, there = Coordinate((0.0, 2.9), height=0.0), Coordinate((0.0, 0.0), height=0.0)
    >>> apply_force(there, 5.3, here, height_min=0.0, rng=Random(1)).vector
    (0.0, -5.3)
    """
    apart, size = difference(own.vector, other.vector)
    height = own.height
    if size > SAME_PLACE:
        vector = moved(own.vector, apart, 1.0 / size, force)
        height = max((height + other.height) * force / size + height, height_min)
    else:
        vector = moved(own.vector, random_direction(len(apart), rng), 1.0, force)
    return Coordinate(vector, own.error, own.adjustment, height, own.space)


def added_in_order(values: list[float], start: float) -> float:
    """Return `start` plus each value, rounded at each step, the first one first."""
    for value in values:
        start += value
    return start


# Up to Python 3.11 `sum` does just this and is faster; later ones compensate for rounding.
added: Callable[[list[float], float], float] = (
    sum if sum([1e100, 1.0, -1e100]) == 0.0 else added_in_order
)


def truncated(distance: float) -> float:
    """Return seconds cut to whole nanoseconds, as Serf's durations hold them.

    >>> truncated(0.0123456789999)
    0.012345678
    """
    nanoseconds = distance * 1e9
    if not -NANOSECONDS_END <= nanoseconds < NANOSECONDS_END:
        return OVERFLOWN
    if distance < 1.0:
        return int(nanoseconds) / 1e9
    whole, rest = divmod(int(nanoseconds), 1000000000)
    return whole + rest / 1e9
