"""When a coordinate is worth publishing: only when it changed so much that others care.

Published here means told to a directory, such as Consul's catalogue; peers get
`Client.coordinate` with each answer anyway, and need none of this.

Owns the coordinate that was last published and the rule of significant change. A gossip of
each update costs a cluster more than the coordinates are worth (consul #5874, consul-esm #214).

Source: Ledlie (2006), application-level coordinates; the thresholds are ours.
"""

from __future__ import annotations

from math import isfinite

from vivaldi.coordinate import Coordinate


class Publisher:
    """Decides for one node which of its coordinates to publish.

    A coordinate is published when it moved (vector, height and adjustment together) by more
    than `distance_min` and by more than `share` of its norm (its typical distance to others,
    as the default profile keeps the centroid at the origin), or when its error changed by half
    of itself and 0.05.

    Args:
        share: Of the norm; > 0. The estimates of others are off by this much more at most.
        distance_min: Seconds; >= 0. Consul's maintainers suggested 50 microseconds.

    Raises:
        ValueError: An argument is out of range.

    >>> publisher = Publisher()
    >>> publisher.offer(Coordinate((0.100, 0.0)))
    True
    >>> publisher.offer(Coordinate((0.101, 0.0)))
    False
    """

    def __init__(self, *, share: float = 0.05, distance_min: float = 50e-6) -> None:
        if not (isfinite(share) and share > 0.0):
            raise ValueError(f"share is {share}, it must be finite and greater than 0")
        if not (isfinite(distance_min) and distance_min >= 0.0):
            raise ValueError(f"distance_min is {distance_min}, it must be finite and at least 0")
        self._share = share
        self._distance_min = distance_min
        self.published: Coordinate | None = None

    def offer(self, coordinate: Coordinate) -> bool:
        """Return whether to publish `coordinate`; if so, it is the one published from now on.

        Args:
            coordinate: What the last `Client.update` returned.
        """
        last = self.published
        if last is not None and last.is_compatible_with(coordinate):
            moved = last.displacement_to(coordinate) + abs(coordinate.adjustment - last.adjustment)
            learned = abs(coordinate.error - last.error)
            if (
                moved <= self._distance_min or moved <= self._share * last.norm
            ) and learned <= 0.05 + 0.5 * last.error:
                return False
        self.published = coordinate
        return True
