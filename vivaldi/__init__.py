"""Network coordinates: each node learns where it sits, and so how far any other node is.

A node tells its coordinate in every answer it gives and measures the round trip of every
question it asks; from these samples alone `Client` moves the coordinate until distances
between coordinates predict round trip times, also to peers that were never measured.

The package is a cell: pure, synchronous, deterministic. It has no sockets, no clock and no
queue; the same constructor arguments, seed and samples give the same bits. One owner calls
it; it calls nobody. What a peer sends can be refused (`SampleRejected`), never harm.

- `Client` with `Config()`: accurate, stable, hard to poison. With `Config.serf()`: Serf's
  arithmetic to the bit, for joining Serf or Consul pools. Both read each other's coordinates.
- `Coordinate`: immutable by convention; `encode` and `decode` speak Serf's ping payload.
- `Peers`: who is near, within reach, in which datacenter.
- `Publisher`: when a coordinate has changed enough to be told to a directory.
- `Memory`: what to keep over a restart.
- `vivaldi.testing`: latency models, a simulation loop and error statistics.

The model has limits. Real networks violate the triangle inequality (79 % of PlanetLab's pairs
have a shorter detour), paths through proxies measure the proxy, and an estimate says nothing
of whether a peer can be reached. Ask `Client.interval_to` how far an estimate can be trusted.

>>> from random import Random
>>> alice, bob = Client(rng=Random(1)), Client(rng=Random(2))
>>> for _ in range(50):  # pings and their answers, 40 ms the round trip
...     payload = bob.coordinate.encode()
...     alice_now = alice.update("bob", Coordinate.decode(payload), 0.040)
...     bob_now = bob.update("alice", alice_now, 0.040)
>>> f"{alice.distance_to(bob_now):.2f} seconds"
'0.04 seconds'
"""

from vivaldi.client import Client
from vivaldi.config import Config, Profile
from vivaldi.coordinate import Coordinate, Interval
from vivaldi.errors import (
    DecodeError,
    IncompatibleCoordinates,
    InvalidCoordinate,
    InvalidRtt,
    Rejection,
    SampleRejected,
    VivaldiError,
)
from vivaldi.memory import Memory
from vivaldi.peers import Peers
from vivaldi.publishing import Publisher
from vivaldi.stats import Stats

__all__ = [
    "Client",
    "Config",
    "Coordinate",
    "DecodeError",
    "IncompatibleCoordinates",
    "Interval",
    "InvalidCoordinate",
    "InvalidRtt",
    "Memory",
    "Peers",
    "Profile",
    "Publisher",
    "Rejection",
    "SampleRejected",
    "Stats",
    "VivaldiError",
]
