"""A table of peers' coordinates: who is near, in which order, in which datacenter.

Owns the last coordinate of each peer. Knows nothing of how coordinates come about, nor
whether a peer can be reached: an estimate is not reachability.

Source: Consul's `?near=` sorting and its order of datacenters; serf issues #730 and #761 ask
for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from math import dist, inf

from vivaldi.coordinate import Coordinate
from vivaldi.errors import IncompatibleCoordinates, InvalidCoordinate, Rejection


class Peers:
    """The known coordinates of one space, by the peer's name.

    Peers stand in the order in which they were added; that order breaks ties. A peer without
    coordinate is known too, at infinite distance.

    Args:
        space: Tag of the space whose coordinates are taken.
        dimensions: Length of their vectors.

    Memory: about 200 bytes per peer beside its coordinate, until `remove`.

    >>> peers = Peers(dimensions=2)
    >>> peers.put("far", Coordinate((0.3, 0.4)))
    >>> peers.put("near", Coordinate((0.03, 0.04)))
    >>> [name for name, _ in peers.rank(Coordinate((0.0, 0.0)))]
    ['near', 'far']
    """

    def __init__(self, *, space: str = "", dimensions: int = 8) -> None:
        self.space = space
        self.dimensions = dimensions
        self._coordinates: dict[str, Coordinate | None] = {}
        self._datacenters: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._coordinates)

    def __contains__(self, peer: str) -> bool:
        return peer in self._coordinates

    def get(self, peer: str) -> Coordinate | None:
        """Return the coordinate of `peer`, None if it or the peer is unknown."""
        return self._coordinates.get(peer)

    def put(self, peer: str, coordinate: Coordinate | None, *, datacenter: str = "") -> None:
        """Add a peer, or replace what is known of it; it keeps its place.

        Args:
            peer: Name of the peer.
            coordinate: Its coordinate, None if it is unknown.
            datacenter: Name of the place that `datacenters` counts it for; replaced too, so
                repeat it with each new coordinate.

        Raises:
            InvalidCoordinate: It is of another space or dimensions, not finite, or has a
                negative height.
        """
        if coordinate is not None:
            self._check(coordinate)
        self._coordinates[peer] = coordinate
        self._datacenters[peer] = datacenter

    def _check(self, coordinate: Coordinate) -> None:
        if coordinate.space != self.space:
            raise InvalidCoordinate(Rejection.SPACE)
        if coordinate.dimensions != self.dimensions:
            raise InvalidCoordinate(Rejection.DIMENSIONS)
        if not coordinate.is_finite:
            raise InvalidCoordinate(Rejection.NOT_FINITE)
        # Else a liar would be the nearest peer of everybody, at less than zero seconds.
        if coordinate.height < 0.0:
            raise InvalidCoordinate(Rejection.HEIGHT_RANGE)

    def remove(self, peer: str) -> None:
        """Forget a peer; an unknown one is ignored."""
        self._coordinates.pop(peer, None)
        self._datacenters.pop(peer, None)

    def rank(
        self, origin: Coordinate, peers: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return peers by estimated round trip time, the nearest first.

        Args:
            origin: Where to measure from.
            peers: Names to rank, in the order that breaks ties; unknown ones are ranked last.
                None means all peers of the table.

        Returns:
            Name and seconds of each; infinite for a peer without coordinate.

        Raises:
            IncompatibleCoordinates: `origin` belongs to another space.

        Complexity: O(n log n); 10,000 peers take a few milliseconds.
        """
        self._check_origin(origin)
        if peers is None:
            names, coordinates = list(self._coordinates), list(self._coordinates.values())
        else:
            names = list(peers)
            coordinates = [self._coordinates.get(name) for name in names]
        known = [coordinate for coordinate in coordinates if coordinate is not None]
        distances = _distances(origin, known)
        if len(known) < len(names):
            pairs = list(zip(names, coordinates, strict=True))
            names = [name for name, c in pairs if c is not None]
            names += [name for name, c in pairs if c is None]
            distances += [inf] * (len(names) - len(known))
        order = sorted(range(len(names)), key=distances.__getitem__)
        return [(names[i], distances[i]) for i in order]

    def _check_origin(self, origin: Coordinate) -> None:
        if origin.space != self.space or origin.dimensions != self.dimensions:
            raise IncompatibleCoordinates(
                f"no distance from {origin.dimensions} dimensions of space {origin.space!r} "
                f"to {self.dimensions} of {self.space!r}"
            )

    def nearest(self, origin: Coordinate, count: int = 1) -> list[tuple[str, float]]:
        """Return the `count` nearest peers with a coordinate, fewer if there are not as many.

        Raises:
            IncompatibleCoordinates: `origin` belongs to another space.
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError(f"count is {count}, it must be at least 0")
        return [pair for pair in self.rank(origin)[:count] if pair[1] < inf]

    def within(self, origin: Coordinate, rtt: float) -> list[tuple[str, float]]:
        """Return the peers at most `rtt` seconds away, the nearest first.

        Raises:
            IncompatibleCoordinates: `origin` belongs to another space.
        """
        return [pair for pair in self.rank(origin) if pair[1] <= rtt and pair[1] < inf]

    def datacenters(self, origin: Coordinate, *, own: str | None = None) -> list[tuple[str, float]]:
        """Return the datacenters by the median distance of their peers, as Consul does.

        The upper median counts; peers without coordinate are left out, and a datacenter of
        only such peers comes last. Names break ties.

        Args:
            origin: Where to measure from.
            own: Datacenter that counts as zero seconds away, None for none.

        Raises:
            IncompatibleCoordinates: `origin` belongs to another space.
        """
        members: dict[str, list[float]] = {name: [] for name in self._datacenters.values()}
        for peer, seconds in self.rank(origin):
            if seconds < inf:
                members[self._datacenters[peer]].append(seconds)
        medians = {name: m[len(m) // 2] if m else inf for name, m in members.items()}
        if own in medians:
            medians[own] = 0.0
        return sorted(medians.items(), key=lambda pair: (pair[1], pair[0]))


def _distances(origin: Coordinate, coordinates: list[Coordinate]) -> list[float]:
    """Return `origin.distance_to` each of the coordinates, in one go."""
    height, adjustment = origin.height, origin.adjustment
    lengths = map(dist, repeat(origin.vector), [c.vector for c in coordinates])
    return [
        adjusted
        if (adjusted := (raw := size + height + c.height) + adjustment + c.adjustment) > 0.0
        else raw
        for size, c in zip(lengths, coordinates, strict=True)
    ]
