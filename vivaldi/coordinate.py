"""A network coordinate: where a node sits, how sure it is, and what distance that means.

Owns the formula of distance, its confidence band and the two encodings that Serf and Consul
use. Knows nothing of samples or of how a coordinate comes about.

Source: serf/coordinate (fields, distance), serf's ping delegate (payload), Consul's HTTP API
(field names in JSON); Lee et al. for the adjustment term, Vivaldi (2004) for the height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import dist, isfinite, sqrt

import attrs
import msgpack

from vivaldi.errors import DecodeError, IncompatibleCoordinates
from vivaldi.vectors import Vector, length

PING_VERSION = 1
"""First byte of the payload that Serf puts into the acknowledgement of a ping."""

DIMENSIONS_MAX = 64
"""More dimensions than this are refused when decoding and in `Config`; Serf uses 8."""

PAYLOAD_BYTES_MAX = 2048
"""A longer payload is not a coordinate: 64 dimensions take 630 bytes."""


@attrs.frozen
class Interval:
    """An estimated round trip time with a band around it; all in seconds, >= 0.

    Attributes:
        low: Lower end of the band, <= `estimate`.
        estimate: The distance between the two coordinates.
        high: Upper end of the band, >= `estimate`.
    """

    low: float
    estimate: float
    high: float


class Coordinate:
    """A position in a space whose distances are round trip times. Treat it as immutable.

    A slotted class with a plain constructor, not a frozen one: each update makes one, and
    freezing would take a tenth of the time of an update.

    Attributes:
        vector: Euclidean part; seconds, a tuple of length `dimensions`.
        error: How wrong the node believes its estimates to be, as a share of the round trip
            time; 0.0 is perfect, 1.5 is a node that knows nothing.
        adjustment: Seconds added to each distance, may be negative (Serf's profile only).
        height: Seconds from the node to the core of the network, its access link; > 0.
        space: Tag of the space, such as "lan" or "wan"; never on the wire. Distances exist
            only within one space.
    """

    __slots__ = ("adjustment", "error", "height", "space", "vector")

    def __init__(
        self,
        vector: Vector,
        error: float = 1.5,
        adjustment: float = 0.0,
        height: float = 10e-6,
        space: str = "",
    ) -> None:
        self.vector = vector
        self.error = error
        self.adjustment = adjustment
        self.height = height
        self.space = space

    def __repr__(self) -> str:
        position = ", ".join(f"{x:.6g}" for x in self.vector)
        tag = f", space={self.space!r}" if self.space else ""
        return (
            f"Coordinate(({position}), error={self.error:.4g}, "
            f"adjustment={self.adjustment:.4g}, height={self.height:.4g}{tag})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coordinate):
            return NotImplemented
        return self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]  # keys of dicts are names, not positions

    def _fields(self) -> tuple[Vector, float, float, float, str]:
        return self.vector, self.error, self.adjustment, self.height, self.space

    @property
    def dimensions(self) -> int:
        """Length of the vector."""
        return len(self.vector)

    @property
    def is_finite(self) -> bool:
        """Whether no field is infinite or not a number."""
        return all(map(isfinite, (*self.vector, self.error, self.adjustment, self.height)))

    def is_compatible_with(self, other: Coordinate) -> bool:
        """Return whether a distance to `other` exists: same space, same dimensions."""
        return len(self.vector) == len(other.vector) and self.space == other.space

    def distance_to(self, other: Coordinate) -> float:
        """Return the estimated round trip time between two coordinates.

        Length of the difference plus both heights plus both adjustments; a sum that is not
        positive means that the adjustments are meaningless here, and they are left out.

        Args:
            other: A coordinate of the same space and dimensions.

        Returns:
            Seconds; >= 0 for heights >= 0.

        Raises:
            IncompatibleCoordinates: The two belong to different spaces.

        Complexity: O(dimensions).
        Source: serf/coordinate DistanceTo, without its rounding to nanoseconds.

        >>> here, there = Coordinate((0.75, 0.0), height=0.25), Coordinate((0.0, 1.0), height=0.5)
        >>> here.distance_to(there)
        2.0
        """
        if len(self.vector) != len(other.vector) or self.space != other.space:
            raise IncompatibleCoordinates(
                f"no distance from {self.dimensions} dimensions of space {self.space!r} "
                f"to {other.dimensions} of {other.space!r}"
            )
        raw = dist(self.vector, other.vector) + self.height + other.height
        adjusted = raw + self.adjustment + other.adjustment
        return adjusted if adjusted > 0.0 else raw

    def displacement_to(self, other: Coordinate) -> float:
        """Return how far the node has moved between two of its own coordinates.

        Returns:
            Seconds: length of the move of the vector plus the change of the height.

        Raises:
            IncompatibleCoordinates: The two belong to different spaces.
        """
        if not self.is_compatible_with(other):
            raise IncompatibleCoordinates("no path leads from one space to another")
        return dist(self.vector, other.vector) + abs(self.height - other.height)

    @property
    def norm(self) -> float:
        """Seconds from the origin of the space: length of the vector plus the height."""
        return length(self.vector) + self.height

    def encode(self) -> bytes:
        """Return the payload that Serf agents put into the acknowledgement of a ping.

        A version byte, then a msgpack map of Adjustment, Error, Height and Vec.
        """
        packed: bytes = msgpack.packb(self.to_json())
        return bytes((PING_VERSION,)) + packed

    @classmethod
    def decode(cls, payload: bytes, *, space: str = "") -> Coordinate:
        """Return the coordinate in the payload of a ping's acknowledgement.

        As Serf does it: fields that are missing are zero, unknown ones and trailing bytes
        are ignored. Whether the coordinate makes sense is for `Client.update` to judge.

        Args:
            payload: What `encode` or a Serf agent made; at most `PAYLOAD_BYTES_MAX` bytes.
            space: Tag of the space that the peer belongs to; the wire does not carry it.

        Raises:
            DecodeError: The payload is empty, of another version, or not a coordinate.
        """
        if not payload:
            raise DecodeError("the payload is empty")
        if payload[0] != PING_VERSION:
            raise DecodeError(f"the ping version is {payload[0]}, not {PING_VERSION}")
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise DecodeError(f"the payload is longer than {PAYLOAD_BYTES_MAX} bytes")
        # The bound is also one on what lists and maps claim to hold: without it msgpack sets
        # memory aside for a hundred million items at each of hundreds of nested headers.
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=PAYLOAD_BYTES_MAX)
        unpacker.feed(payload[1:])
        try:
            fields = unpacker.unpack()
        except (ValueError, TypeError, msgpack.OutOfData) as error:
            raise DecodeError(f"the payload is not msgpack: {error}") from error
        return cls.from_json(fields, space=space)

    def to_json(self) -> dict[str, float | list[float]]:
        """Return the coordinate with Serf's field names, as Consul's HTTP API shows it."""
        return {
            "Adjustment": self.adjustment,
            "Error": self.error,
            "Height": self.height,
            "Vec": list(self.vector),
        }

    @classmethod
    def from_json(cls, fields: object, *, space: str = "") -> Coordinate:
        """Return the coordinate in a parsed JSON object with Serf's field names.

        Raises:
            DecodeError: Not a mapping, or a field is not a number or not a list of numbers.
        """
        if not isinstance(fields, Mapping):
            raise DecodeError("a coordinate is a map of Adjustment, Error, Height and Vec")
        vector = fields.get("Vec", ())
        if not isinstance(vector, Sequence) or isinstance(vector, str | bytes):
            raise DecodeError("Vec is not a list")
        if len(vector) > DIMENSIONS_MAX:
            raise DecodeError(f"Vec has more than {DIMENSIONS_MAX} dimensions")
        return cls(
            tuple([number(x, "Vec") for x in vector]),
            number(fields.get("Error", 0.0), "Error"),
            number(fields.get("Adjustment", 0.0), "Adjustment"),
            number(fields.get("Height", 0.0), "Height"),
            space,
        )


def number(value: object, field: str) -> float:
    """Return a decoded number as a float.

    Raises:
        DecodeError: `value`, found in `field`, is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"{field} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise DecodeError(f"{field} is too large for a float") from error


def confidence_band(
    estimate: float, error: float, other_error: float, *, factor: float
) -> Interval:
    """Return the band around `estimate` that two nodes' errors justify.

    The relative error of a pair is the root of the mean square of its nodes' errors times
    `factor`; the band is wider above, as round trip times have no upper bound.

    Args:
        estimate: Seconds, >= 0.
        error: Error of one coordinate, >= 0.
        other_error: Error of the other, >= 0.
        factor: How many errors wide; > 0.

    >>> confidence_band(0.1, 0.25, 0.25, factor=4.0)
    Interval(low=0.05, estimate=0.1, high=0.2)
    """
    ratio = 1.0 + factor * sqrt((error * error + other_error * other_error) / 2.0)
    return Interval(estimate / ratio, estimate, estimate * ratio)
