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
from math import isfinite, sqrt
from random import Random

from vivaldi.config import Config
from vivaldi.coordinate import Coordinate
from vivaldi.errors import InvalidCoordinate, InvalidRtt, Rejection
from vivaldi.filters import LatencyFilters
from vivaldi.stats import Stats
from vivaldi.vectors import SAME_PLACE, difference, distance, length, moved, random_direction

FLOOR = 1e-6
"""Least round trip time in seconds, and least sum of two errors."""

NANOSECONDS_END = float(1 << 63)
"""Distances of so many nanoseconds overflow Serf's durations (on amd64) to `OVERFLOWN`."""

OVERFLOWN = -9223372036.0 - 0.854775808
"""Seconds in the most negative duration."""


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
        self._window = [0.0] * config.adjustment_window
        self._window_index = 0
        # Invariant: sum of the window before the index, added from the left.
        self._window_sum = 0.0

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
        """Move by one sample of the same space and dimensions; returns the new coordinate."""
        if len(other.vector) == 8:
            return self._update_8(peer, other, rtt)
        own = self.coordinate
        size = distance(own.vector, other.vector)
        force, error, _, rtt = self._spring(peer, other, rtt, size)
        own = apply_force(own, force, other, height_min=self._config.height_min, rng=self._rng)
        heights = distance(own.vector, other.vector) + own.height + other.height
        adjustment = self._adjust(rtt - heights)
        norm = length(own.vector)
        pull, _ = self._gravity(norm, own.height, adjustment)
        own = apply_force(
            own, pull, self._origin, height_min=self._config.height_min, rng=self._rng
        )
        own = Coordinate(own.vector, error, adjustment, own.height, own.space)
        return self._keep(norm + pull, own)

    def _update_8(self, peer: str, other: Coordinate, rtt: float) -> Coordinate:
        """Do what `update` does in eight dimensions, the vectors written out: twice as fast."""
        own = self.coordinate
        a0, a1, a2, a3, a4, a5, a6, a7 = own.vector
        b0, b1, b2, b3, b4, b5, b6, b7 = other.vector
        d0 = a0 - b0
        d1 = a1 - b1
        d2 = a2 - b2
        d3 = a3 - b3
        d4 = a4 - b4
        d5 = a5 - b5
        d6 = a6 - b6
        d7 = a7 - b7
        size = sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7)
        force, error, height, rtt = self._spring(peer, other, rtt, size)
        if size <= SAME_PLACE:
            apart, size = random_direction(8, self._rng), 1.0
            d0, d1, d2, d3, d4, d5, d6, d7 = apart
        inverse = 1.0 / size
        a0 += d0 * inverse * force
        a1 += d1 * inverse * force
        a2 += d2 * inverse * force
        a3 += d3 * inverse * force
        a4 += d4 * inverse * force
        a5 += d5 * inverse * force
        a6 += d6 * inverse * force
        a7 += d7 * inverse * force
        d0 = a0 - b0
        d1 = a1 - b1
        d2 = a2 - b2
        d3 = a3 - b3
        d4 = a4 - b4
        d5 = a5 - b5
        d6 = a6 - b6
        d7 = a7 - b7
        size = sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7)
        norm = sqrt(a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3 + a4 * a4 + a5 * a5 + a6 * a6 + a7 * a7)
        adjustment = self._adjust(rtt - (size + height + other.height))
        pull, risen = self._gravity(norm, height, adjustment)
        if norm <= SAME_PLACE:
            apart = random_direction(8, self._rng)
            vector = moved((a0, a1, a2, a3, a4, a5, a6, a7), apart, 1.0, pull)
        else:
            inverse = 1.0 / norm
            vector = (
                a0 + a0 * inverse * pull,
                a1 + a1 * inverse * pull,
                a2 + a2 * inverse * pull,
                a3 + a3 * inverse * pull,
                a4 + a4 * inverse * pull,
                a5 + a5 * inverse * pull,
                a6 + a6 * inverse * pull,
                a7 + a7 * inverse * pull,
            )
        return self._keep(norm + pull, Coordinate(vector, error, adjustment, risen, own.space))

    def _spring(
        self, peer: str, other: Coordinate, rtt: float, size: float
    ) -> tuple[float, float, float, float]:
        """Check and filter a sample; return force, new error, new height, filtered rtt.

        Args:
            peer: Name of the peer.
            other: Its coordinate, not checked yet.
            rtt: Seconds, not checked yet.
            size: Seconds between the two vectors.
        """
        config, own = self._config, self.coordinate
        height, other_height = own.height, other.height
        heights = size + height + other_height
        estimate = heights + own.adjustment + other.adjustment
        # A finite sum has finite terms; only a suspicious one is worth a look at each field.
        if not isfinite(estimate + other.error):
            self.check(other)
        if not 0.0 <= rtt <= config.rtt_max:
            raise InvalidRtt(Rejection.RTT_RANGE)
        rtt = self.filters.push(peer, rtt)
        if not estimate > 0.0:
            estimate = heights
        estimate = estimate * 1e9 // 1.0 / 1e9 if estimate < 1.0 else truncated(estimate)
        target = rtt if rtt > FLOOR else FLOOR
        error = own.error
        total = error + other.error
        weight = error / (total if total > FLOOR else FLOOR)
        gain = config.error_step * weight
        error = gain * (abs(estimate - target) / target) + error * (1.0 - gain)
        if error > config.error_max:
            error = config.error_max
        force = config.position_step * weight * (target - estimate)
        if size > SAME_PLACE:
            height = (height + other_height) * force / size + height
            if height < config.height_min:
                height = config.height_min
        return force, error, height, rtt

    def _adjust(self, residual: float) -> float:
        """Return the adjustment with one more residual: half the mean of the window."""
        window, index = self._window, self._window_index
        if not window:
            return self.coordinate.adjustment
        window[index] = residual
        # Serf adds the whole window up; the part before the index has been added already.
        total = added(window[index:], self._window_sum)
        self._window_index = index = index + 1
        if index < len(window):
            self._window_sum += residual
        else:
            self._window_index, self._window_sum = 0, 0.0
        return total / (2.0 * len(window))

    def _gravity(self, norm: float, height: float, adjustment: float) -> tuple[float, float]:
        """Return the force towards the origin, at most 0, and the height that it leaves."""
        config = self._config
        least = config.height_min
        heights = norm + least + height
        estimate = heights + adjustment
        if not estimate > 0.0:
            estimate = heights
        pull = estimate * 1e9 // 1.0 / 1e9 if estimate < 1.0 else truncated(estimate)
        pull /= config.gravity_rho
        pull *= -pull
        if norm > SAME_PLACE:
            height = (height + least) * pull / norm + height
            if height < least:
                height = least
        return pull, height

    def _keep(self, suspect: float, own: Coordinate) -> Coordinate:
        """Keep and return the new coordinate, or a fresh one if a field is not finite.

        Args:
            suspect: Finite if the vector is.
            own: The new coordinate.
        """
        if not isfinite(suspect + own.error + own.adjustment + own.height) and not own.is_finite:
            self._stats.resets += 1
            own = self._fresh()
        self.coordinate = own
        return own


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
    if distance < 1.0:
        return int(distance * 1e9) / 1e9
    nanoseconds = distance * 1e9
    if not nanoseconds < NANOSECONDS_END:
        return OVERFLOWN
    whole, rest = divmod(int(nanoseconds), 1000000000)
    return whole + rest / 1e9
