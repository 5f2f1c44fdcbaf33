"""Refusals of the package: what was wrong with a sample, a coordinate or a payload.

Every refusal leaves the state that it would have changed as it was.
"""

from __future__ import annotations

from enum import Enum


class Rejection(Enum):
    """Why a sample from a peer was refused; the counters in `Stats` have the same names."""

    SPACE = "coordinate of another space"
    DIMENSIONS = "coordinate of another number of dimensions"
    NOT_FINITE = "coordinate has a field that is not finite"
    VECTOR_RANGE = "vector is farther away than any accepted round trip"
    ERROR_RANGE = "claimed error is outside its range"
    HEIGHT_RANGE = "claimed height is outside its range"
    ADJUSTMENT_RANGE = "claimed adjustment is outside its range"
    RTT_RANGE = "round trip time is not a number of seconds within its range"


class VivaldiError(Exception):
    """Base of every refusal of this package."""


class DecodeError(VivaldiError):
    """Bytes or a mapping that do not hold a coordinate; nothing was made of them."""


class SampleRejected(VivaldiError):
    """A sample that was refused; the client is as it was, but for its counters.

    Attributes:
        reason: What was wrong with it.
    """

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason.value)
        self.reason = reason


class InvalidCoordinate(SampleRejected):
    """The coordinate of a sample, or one to be set, cannot be used."""


class InvalidRtt(SampleRejected, ValueError):
    """The round trip time of a sample is negative, too long or not a number."""


class IncompatibleCoordinates(VivaldiError, ValueError):
    """Two coordinates of different spaces or dimensions: no distance exists between them."""
