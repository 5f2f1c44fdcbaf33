"""The client: one node's coordinate, moved by samples of round trip times to its peers.

Owns the checks that both profiles share and the counters; the rules own the arithmetic. Knows
nothing of time, of the network, or of other peers' coordinates (`Peers` keeps those).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from vivaldi.config import Config, Profile
from vivaldi.coordinate import Coordinate, Interval, confidence_band
from vivaldi.errors import InvalidCoordinate, Rejection, SampleRejected
from vivaldi.memory import Memory, aged
from vivaldi.serf_rule import SerfRule
from vivaldi.stats import Stats
from vivaldi.steady_rule import SteadyRule, check_ranges

BAND_FACTOR = 1.6
"""Errors on either side of an estimate that cover four fifths of PlanetLab's pairs."""


class Client:
    """One node's network coordinate.

    A cell: a function of its constructor arguments, `rng` and the sequence of its inputs, to
    the bit. It has no time and no queue of outputs; `update` returns what it did. Whatever a
    peer sends is either used or refused with `SampleRejected`, and a refusal changes nothing
    but a counter.

    Args:
        config: Profile and parameters.
        rng: Source of the directions in which nodes on one spot part; one per client.

    >>> client = Client(Config(dimensions=2), rng=Random(7))
    >>> peer = Coordinate((0.03, 0.04), error=0.2, height=0.001)
    >>> for _ in range(100):
    ...     coordinate = client.update("peer", peer, 0.080)
    >>> f"{client.distance_to(peer):.2f} seconds"
    '0.08 seconds'
    """

    def __init__(self, config: Config | None = None, *, rng: Random) -> None:
        self.config = Config() if config is None else config
        self.stats = Stats()
        rule = SerfRule if self.config.profile is Profile.SERF else SteadyRule
        self._rule: SerfRule | SteadyRule = rule(self.config, rng, self.stats)
        self._dimensions = self.config.dimensions
        self._space = self.config.space

    @property
    def coordinate(self) -> Coordinate:
        """The coordinate to tell peers; the last one that `update` returned."""
        return self._rule.coordinate

    @property
    def working(self) -> Coordinate:
        """The coordinate before averaging: what samples move. Serf's profile publishes it."""
        return self._rule.working

    @property
    def peers_known(self) -> int:
        """Peers of which round trip times are remembered; at most `Config.peers_max`."""
        return len(self._rule.filters)

    def distance_to(self, other: Coordinate) -> float:
        """Return the estimated round trip time to a peer in seconds.

        Raises:
            IncompatibleCoordinates: `other` belongs to another space.
        """
        return self._rule.coordinate.distance_to(other)

    def interval_to(self, other: Coordinate) -> Interval:
        """Return the estimated round trip time with its confidence band.

        The band covers the true round trip time of at least four fifths of the pairs on
        PlanetLab. It says nothing of whether the peer can be reached.

        Args:
            other: The coordinate of a peer; an error out of range counts as the largest.

        Raises:
            IncompatibleCoordinates: `other` belongs to another space.
        """
        own = self._rule.coordinate
        unsure = self.config.error_max
        other_error = other.error if 0.0 <= other.error <= unsure else unsure
        return confidence_band(own.distance_to(other), own.error, other_error, factor=BAND_FACTOR)

    def update(self, peer: str, other: Coordinate, rtt: float) -> Coordinate:
        """Move by one sample: a peer, the coordinate it claims, the round trip measured.

        Args:
            peer: Name of the peer, the key of its latency filter.
            other: What the peer claims.
            rtt: Seconds, 0 <= rtt <= `Config.rtt_max`.

        Returns:
            The new coordinate, to tell peers.

        Raises:
            InvalidCoordinate: `other` is of another space or out of range; see its `reason`.
            InvalidRtt: `rtt` is out of range or not a number.

        Complexity: O(dimensions).
        """
        rule = self._rule
        try:
            if len(other.vector) != self._dimensions or other.space != self._space:
                self._check_space(other)
            coordinate = rule.update(peer, other, rtt)
        except SampleRejected as rejected:
            self.stats.rejected[rejected.reason] += 1
            raise
        stats = self.stats
        stats.updates += 1
        if rtt == 0.0:
            stats.zero_rtts += 1
        return coordinate

    def _check_space(self, other: Coordinate) -> None:
        """Raise `InvalidCoordinate` if `other` is of another space or other dimensions."""
        if other.space != self._space:
            raise InvalidCoordinate(Rejection.SPACE)
        if len(other.vector) != self._dimensions:
            raise InvalidCoordinate(Rejection.DIMENSIONS)

    def set_coordinate(self, coordinate: Coordinate) -> None:
        """Continue from a coordinate of one's own choice; filters and counters stay.

        Raises:
            InvalidCoordinate: It is of another space or out of range.
        """
        self._check_own(coordinate, self._rule.check)
        self._rule.replace(coordinate)

    def _check_own(self, own: Coordinate, check_fields: Callable[[Coordinate], None]) -> None:
        """Raise and count `InvalidCoordinate` unless `own` may become the node's coordinate."""
        try:
            self._check_space(own)
            check_fields(own)
        except SampleRejected as rejected:
            self.stats.rejected[rejected.reason] += 1
            raise

    def forget(self, peer: str) -> None:
        """Drop the round trip times of a peer that has left; unknown ones are ignored."""
        self._rule.filters.forget(peer)

    def export(self) -> Memory:
        """Return what a restart should remember: the coordinate and the round trip times."""
        return Memory(self.coordinate, self._rule.filters.export())

    def restore(self, memory: Memory, *, age: float) -> None:
        """Continue from what `export` returned before a restart.

        The ranges are checked as the default profile does it, in Serf's profile too; then the
        coordinate's confidence is capped and falls with its age. So a bad state does not
        survive. Round trip times are dropped when they are too old.

        Args:
            memory: What was exported.
            age: Seconds since then, >= 0; from the caller's clock.

        Raises:
            InvalidCoordinate: It is of another space or out of range.
            ValueError: `age` is negative or not finite.
        """
        younger = aged(memory, age=age, error_max=self.config.error_max)
        # Before it is aged, as the cap on confidence would hide an error out of range.
        self._check_own(memory.coordinate, partial(check_ranges, config=self.config))
        self._rule.replace(younger.coordinate)
        self._rule.filters.restore(younger.round_trips, self.config.rtt_max)

    def check_invariants(self) -> None:
        """Assert what always holds between two inputs; for tests, never in production."""
        own = self.coordinate
        assert len(own.vector) == self._dimensions
        assert own.is_finite, own
        if self.config.profile is Profile.STEADY:
            # In Serf's profile, as in Serf, a peer's negative error can drive any field anywhere.
            check_ranges(own, self.config)
            check_ranges(self.working, self.config)
            assert own.height >= self.config.height_min, own
        assert self.peers_known <= self.config.peers_max
