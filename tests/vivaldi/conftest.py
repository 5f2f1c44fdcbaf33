"""The words in which the tests of vivaldi speak."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from vivaldi import Client, Config, Coordinate

GOLDEN = Path(__file__).parent / "data"


def golden(name: str) -> Any:
    """Return a file of what Serf's own code does with given inputs."""
    return json.loads((GOLDEN / name).read_text())


def seconds(nanoseconds: int) -> float:
    """Return a Go duration in seconds, rounded as Go does it."""
    sign = -1 if nanoseconds < 0 else 1
    whole, rest = divmod(abs(nanoseconds), 10**9)
    return sign * (whole + rest / 1e9)


def numbers(coordinate: Coordinate) -> tuple[float, ...]:
    """Return all fields of a coordinate."""
    own = coordinate
    return (*own.vector, own.error, own.adjustment, own.height)


def client(config: Config | None = None, *, at: Coordinate | None = None, seed: int = 1) -> Client:
    """Return a client, placed at a coordinate if one is given."""
    made = Client(config, rng=Random(seed))
    if at is not None:
        made.set_coordinate(at)
    return made


def at(*vector: float, error: float = 0.2, height: float = 0.003, space: str = "") -> Coordinate:
    """Return a coordinate; missing components of its 8 dimensions are zero."""
    return Coordinate(vector + (0.0,) * (8 - len(vector)), error, 0.0, height, space)


def listen(listener: Client, peer: Coordinate, rtt: float, times: int, name: str = "peer") -> None:
    """Feed the same sample many times."""
    for _ in range(times):
        listener.update(name, peer, rtt)
