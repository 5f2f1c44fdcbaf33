"""The default update rule: accurate, stable, hard to poison.

It differs from Serf's rule, and from the paper, in what the measurements asked for
(`python -m tests.benchmarks.vivaldi_figures` prints them):

1. A step is weighted by typical over sampled round trip time, so that relative errors shrink
   and near peers, which people look for, count more than far ones.
2. Vector and height move together so that the estimate changes by exactly the force
   (the vector-with-height norm of the paper, section 5.4).
3. A sample whose residual is many times what one's own error explains is trusted less, down
   to not at all. Its residual is measured against sampled plus typical round trip time,
   otherwise near peers would be the suspects. An error of `LOST` or more trusts everybody: a node
   that was dragged away, or whose network has changed, finds back.
4. What a peer claims is checked for sign and range, and its claim to be right counts no more
   than `CLAIM_MIN`.
5. The published coordinate is a moving average of the working one, fast while the error is
   large or samples are few.
6. A small share of each trusted peer's position is subtracted, which holds the centroid of
   all nodes at the origin. Nothing else pulls towards the origin, as that would shrink
   distances.

Invariants: all fields are finite, errors within [ERROR_MIN, error_max], heights within
[height_min, rtt_max], the vector no longer than `REACH` times rtt_max. One sample moves the
working coordinate by at most position_step times the larger of round trip time and estimate;
the published one only ever goes a part of the way to it.
"""

# Comparisons are written out: `min` and `max` are calls, and would slow each update by a fifth.
# ruff: noqa: FURB136, PLR1730

from __future__ import annotations

from random import Random

from vivaldi.config import Config
from vivaldi.coordinate import Coordinate
from vivaldi.errors import InvalidCoordinate, InvalidRtt, Rejection
from vivaldi.filters import LatencyFilters
from vivaldi.stats import Stats
from vivaldi.vectors import (
    SAME_PLACE,
    blended,
    difference_and_length,
    length,
    random_direction,
    stepped,
)

ERROR_MIN = 0.005
"""Lower bound of the own error: a node that is sure of itself would never move again."""

CLAIM_MIN = 0.05
"""A peer that claims a smaller error is treated as if it claimed this one."""

WRONG_MAX = 2.0
"""Upper bound of the relative error that one sample can bring into the moving average."""

NEAR_MAX = 3.0
"""Upper bound of typical over sampled round trip time as a weight of a step."""

DOUBT_SCALE = 2.0
"""Residuals of so many times the own error are trusted by half."""

DOUBT_ERROR_MIN = 0.15
"""Least own error in the formula of trust."""

DOUBT_MIN = 0.3
"""Least share with which a sample that is not trusted still enters the error."""

LOST = 1.0
"""A node with this error or more, or with two thirds of error_max, trusts every sample alike."""

STEP_MIN, STEP_MAX = 0.25, 0.8
"""Bounds of the step, which is the own error in between."""

TYPICAL_SHARE = 0.1
"""Weight of a sample in the moving average of round trip times."""

REACH = 4.0
"""Vectors longer than this many times rtt_max are refused, and made anew if one's own."""

FOLLOWED_SAMPLES = 20
"""Divided by the samples since the start: the largest share of the way to the working coordinate
that the published one goes in one step."""

SAMPLES_MAX = 400
"""Samples since the start are counted to here; each one while lost takes `FOLLOWED_SAMPLES` off."""

SETTLED = 0.1
"""Below this error centring weakens with it: where estimates can be perfect, it must not bias."""

CENTRING_REACH = 10.0
"""Centring takes peers at most this many round trips away at face value."""


def check_ranges(other: Coordinate, config: Config) -> None:
    """Raise `InvalidCoordinate` unless every field of `other` is finite and within its range."""
    longest = config.rtt_max
    if not other.is_finite:
        raise InvalidCoordinate(Rejection.NOT_FINITE)
    if not 0.0 <= other.error <= config.error_max:
        raise InvalidCoordinate(Rejection.ERROR_RANGE)
    if not 0.0 <= other.height <= longest:
        raise InvalidCoordinate(Rejection.HEIGHT_RANGE)
    if not -longest <= other.adjustment <= longest:
        raise InvalidCoordinate(Rejection.ADJUSTMENT_RANGE)
    if not length(other.vector) <= REACH * longest:
        raise InvalidCoordinate(Rejection.VECTOR_RANGE)


class SteadyRule:
    """The state of one node: working and published coordinate, latency filters.

    Attributes:
        coordinate: The published one, which peers are told.
        filters: What is remembered of each peer.
    """

    def __init__(self, config: Config, rng: Random, stats: Stats) -> None:
        self._config = config
        self._rng = rng
        self._stats = stats
        self._vector_max = REACH * config.rtt_max
        self._lost = min(LOST, config.error_max * 2.0 / 3.0)
        # Invariant: the two together stay within position_step, see CENTRING_REACH.
        self._centring = min(config.centring, config.position_step / (2.0 * CENTRING_REACH))
        self._step_max = config.position_step - CENTRING_REACH * self._centring
        self._reset()

    def _reset(self) -> None:
        config = self._config
        self.filters = LatencyFilters(
            config.filter_window, config.filter_percentile, config.peers_max
        )
        self._samples = 0
        self._typical = 0.0
        self.replace(
            Coordinate(
                (0.0,) * config.dimensions, config.error_max, 0.0, config.height_min, config.space
            )
        )

    @property
    def working(self) -> Coordinate:
        """The coordinate that samples move and the published one follows."""
        return Coordinate(self._vector, self._error, 0.0, self._height, self._config.space)

    def replace(self, coordinate: Coordinate) -> None:
        """Continue from a coordinate that has been checked."""
        self._vector = coordinate.vector
        self._height = max(coordinate.height, self._config.height_min)
        self._error = max(coordinate.error, ERROR_MIN)
        self.coordinate = self.working

    def check(self, other: Coordinate) -> None:
        """Raise `InvalidCoordinate` unless every field is finite and within its range."""
        check_ranges(other, self._config)

    def update(self, peer: str, other: Coordinate, rtt: float) -> Coordinate:
        """Move by one sample of the same space and dimensions; returns the new coordinate."""
        config = self._config
        rtt_max = config.rtt_max
        other_error, other_height = other.error, other.height
        apart, size, outlying = difference_and_length(self._vector, other.vector)
        distance = size + self._height + other_height
        if not (
            0.0 <= other_error <= config.error_max
            and 0.0 <= other_height <= rtt_max
            and -rtt_max <= other.adjustment <= rtt_max
            and outlying <= self._vector_max
        ):
            self.check(other)
        if not 0.0 <= rtt <= rtt_max:
            raise InvalidRtt(Rejection.RTT_RANGE)
        estimate = distance + other.adjustment
        if not estimate > 0.0:
            estimate = distance
        rtt = self.filters.push(peer, rtt)
        if rtt < config.clock_resolution:
            # The clock says only "less than its grain"; an estimate below that is right.
            rtt = config.clock_resolution
            if estimate < rtt:
                estimate = rtt
        share = TYPICAL_SHARE if self._samples > 8 else 1.0 / (self._samples + 1.0)
        typical = self._typical = self._typical + share * (rtt - self._typical)
        larger = rtt if rtt > estimate else estimate
        step, trust = self._learn(other_error, rtt, abs(rtt - estimate), typical)
        force = step * (rtt - estimate)
        pull = self._pull(outlying, larger) if trust > 0.5 else 0.0
        if size > SAME_PLACE:
            factor = force / distance
            self._vector = stepped(self._vector, apart, factor, other.vector, pull)
            height = self._height + (self._height + other_height) * factor
            # A peer's negative adjustment can ask for more than any peer would accept.
            height = height if height < rtt_max else rtt_max
            self._height = height if height > config.height_min else config.height_min
        else:
            apart = random_direction(len(apart), self._rng)
            self._vector = stepped(self._vector, apart, force, other.vector, pull)
        # A step ends at most three rtt_max from the peer (two heights and its adjustment, all
        # claimed and as large as may be); half of one more is left for the pull.
        if outlying > (REACH - 3.5) * rtt_max and length(self._vector) > self._vector_max:
            self._stats.resets += 1
            self._reset()
            return self.coordinate
        return self._publish()

    def _pull(self, outlying: float, larger: float) -> float:
        """Return the share of a peer's position to subtract, so that the centroid stays put.

        Args:
            outlying: Seconds from the origin to the peer.
            larger: Seconds, the larger of round trip time and estimate.
        """
        pull = self._centring
        if self._error < SETTLED:
            share = self._error / SETTLED
            pull *= share * share
        if outlying > CENTRING_REACH * larger:
            pull *= CENTRING_REACH * larger / outlying
        return pull

    def _learn(
        self, other_error: float, rtt: float, residual: float, typical: float
    ) -> tuple[float, float]:
        """Update the own error; return the share of the residual to move by, and the trust.

        Args:
            other_error: What the peer claims; within its range.
            rtt: Seconds, > 0.
            residual: Seconds between round trip time and estimate, >= 0.
            typical: Seconds, the moving average of round trip times, > 0.
        """
        config = self._config
        error = self._error
        weight = error / (error + (other_error if other_error > CLAIM_MIN else CLAIM_MIN))
        trust = 1.0
        if error < self._lost:
            expected = error if error > DOUBT_ERROR_MIN else DOUBT_ERROR_MIN
            doubt = residual / ((rtt + typical) * DOUBT_SCALE * expected)
            doubt *= doubt
            trust = 1.0 / (1.0 + doubt * doubt)
        wrong = residual / rtt
        gain = config.error_step * weight * (trust if trust > DOUBT_MIN else DOUBT_MIN)
        learned = error + gain * ((wrong if wrong < WRONG_MAX else WRONG_MAX) - error)
        if learned > config.error_max:
            learned = config.error_max
        self._error = learned if learned > ERROR_MIN else ERROR_MIN
        near = typical / rtt
        step = error if error < STEP_MAX else STEP_MAX
        step = (step if step > STEP_MIN else STEP_MIN) * weight * trust
        step *= near if near < NEAR_MAX else NEAR_MAX
        return (step if step < self._step_max else self._step_max), trust

    def _publish(self) -> Coordinate:
        """Let the published coordinate follow the working one; return it."""
        config = self._config
        error = self._error
        vector, height = self._vector, self._height
        samples = self._samples
        if error >= self._lost:
            samples = samples - FOLLOWED_SAMPLES if samples > FOLLOWED_SAMPLES else 0
        elif samples < SAMPLES_MAX:
            samples += 1
        self._samples = samples
        share = 3.0 * error * error
        if share * samples > FOLLOWED_SAMPLES:
            share = FOLLOWED_SAMPLES / samples
        if share < config.averaging:
            share = config.averaging
        if share < 1.0:
            before = self.coordinate
            vector = blended(before.vector, vector, share)
            height = before.height + (height - before.height) * share
        own = self.coordinate = Coordinate(vector, error, 0.0, height, config.space)
        return own
