"""What a node remembers over a restart: its coordinate and recent round trip times.

Serf once wrote coordinates into its snapshot and stopped (serf #489), as a bad one survived
every restart. Hence three rules: what is restored must be within its ranges, it is never
trusted more than a half-settled node's, and less the older it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import attrs

from vivaldi.coordinate import Coordinate, number
from vivaldi.errors import DecodeError

ERROR_RESTORED_MIN = 0.3
"""A restored coordinate claims at least this error: some ten samples confirm or correct it."""

ERROR_PER_HOUR = 0.1
"""Error that a coordinate gains per hour without samples."""

ROUND_TRIPS_AGE_MAX = 3600.0
"""Seconds after which remembered round trip times say nothing about the next one."""


@attrs.frozen
class Memory:
    """The memory of one client; plain data, to be stored as the caller likes.

    Attributes:
        coordinate: The coordinate that was published.
        round_trips: Peers in the order they became known, each with its recent round trip
            times in seconds, oldest first.
    """

    coordinate: Coordinate
    round_trips: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return a mapping that `json.dumps` takes."""
        return {
            "Coordinate": self.coordinate.to_json(),
            "Space": self.coordinate.space,
            "RoundTrips": [[peer, list(rtts)] for peer, rtts in self.round_trips],
        }

    @classmethod
    def from_json(cls, fields: object) -> Memory:
        """Return what `to_json` made.

        Raises:
            DecodeError: Not such a mapping; values are validated by `Client.restore`.
        """
        if not isinstance(fields, Mapping) or not isinstance(fields.get("Space"), str):
            raise DecodeError("a memory is a map of Coordinate, Space and RoundTrips")
        round_trips = fields.get("RoundTrips")
        if not isinstance(round_trips, Sequence) or isinstance(round_trips, str | bytes):
            raise DecodeError("RoundTrips is not a list")
        return cls(
            Coordinate.from_json(fields.get("Coordinate"), space=fields["Space"]),
            tuple([_round_trips(pair) for pair in round_trips]),
        )


def _round_trips(pair: object) -> tuple[str, tuple[float, ...]]:
    match pair:
        case [str(peer), [*rtts]]:
            return peer, tuple([number(rtt, "RoundTrips") for rtt in rtts])
        case _:
            raise DecodeError("RoundTrips holds something else than [peer, [seconds, ...]]")


def aged(memory: Memory, *, age: float, error_max: float) -> Memory:
    """Return `memory` as it should be restored after `age` seconds.

    Args:
        memory: What was exported.
        age: Seconds, >= 0.
        error_max: Upper bound of the error that is set.

    Raises:
        ValueError: `age` is negative or not finite.
    """
    if not (isfinite(age) and age >= 0.0):
        raise ValueError(f"age is {age}, it must be finite and at least 0 seconds")
    own = memory.coordinate
    error = max(own.error, ERROR_RESTORED_MIN) + ERROR_PER_HOUR * age / 3600.0
    coordinate = Coordinate(
        own.vector, min(error, error_max), own.adjustment, own.height, own.space
    )
    return Memory(coordinate, memory.round_trips if age <= ROUND_TRIPS_AGE_MAX else ())
