"""Latency models, a simulation loop and error statistics, to judge any coordinate system.

Everything follows from the seed. A model says how long round trips take, `Simulation` lets
each node of a model sample one random peer per round, and the statistics compare estimates
with the model's truth. Relative error is |estimate - truth| / truth, over all pairs i < j
whose truth is greater than zero.

>>> from random import Random
>>> from vivaldi import Client
>>> simulation = Simulation(line(10, 0.010), lambda i: Client(rng=Random(i)), rng=Random(1))
>>> simulation.run(300)
>>> quantile(relative_errors(simulation.coordinates, simulation.model), 0.5) < 0.05
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import cos, dist, log, pi, sin
from random import Random
from typing import Protocol

import attrs

from vivaldi.client import Client
from vivaldi.coordinate import Coordinate
from vivaldi.errors import SampleRejected
from vivaldi.vectors import length

__all__ = [
    "Jittered",
    "LatencyModel",
    "Matrix",
    "Ranking",
    "Simulation",
    "Stream",
    "centroid",
    "circle_with_height",
    "clusters",
    "coverage",
    "drift",
    "grid",
    "internet",
    "line",
    "parse_matrix",
    "quantile",
    "random_matrix",
    "ranking",
    "relative_errors",
]


class LatencyModel(Protocol):
    """How long round trips between the nodes 0 to `size` - 1 take."""

    @property
    def size(self) -> int:
        """Number of nodes."""

    def truth(self, i: int, j: int) -> float:
        """Return the round trip time in seconds that an estimate should have."""

    def sample(self, i: int, j: int, turn: int, rng: Random) -> float | None:
        """Return the seconds that `i` measures to `j` in round `turn`, None if it is lost."""


@attrs.frozen
class Matrix:
    """Constant round trip times.

    Attributes:
        rows: Seconds; `size` tuples of length `size`.
        labels: A name per node, or nothing.
    """

    rows: tuple[tuple[float, ...], ...]
    labels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.rows)

    def truth(self, i: int, j: int) -> float:
        """Return the seconds of the matrix."""
        return self.rows[i][j]

    def sample(self, i: int, j: int, turn: int, rng: Random) -> float | None:  # noqa: ARG002 - the protocol's
        """Return the seconds of the matrix."""
        return self.rows[i][j]


@attrs.frozen
class Jittered:
    """Another model with what real networks add: queues, a few slow answers, losses.

    Attributes:
        model: The model without noise; its truth is the truth.
        jitter: Mean of an exponential delay, as a share of the round trip time; >= 0.
        spikes: Share of round trips that take ten times as long; 0 to 1.
        loss: Share of round trips without answer; 0 to 1.
    """

    model: LatencyModel
    jitter: float = 0.05
    spikes: float = 0.01
    loss: float = 0.01

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.model.size

    def truth(self, i: int, j: int) -> float:
        """Return the truth of the model without noise."""
        return self.model.truth(i, j)

    def sample(self, i: int, j: int, turn: int, rng: Random) -> float | None:
        """Return a noisy sample; three draws each."""
        lost, spike, delay = rng.random(), rng.random(), rng.random()
        rtt = self.model.sample(i, j, turn, rng)
        if rtt is None or lost < self.loss:
            return None
        return rtt * (1.0 - self.jitter * log(1.0 - delay)) * (10.0 if spike < self.spikes else 1.0)


class Stream:
    """Matrices measured one after the other; the truth is the median of each link over time.

    Args:
        slices: Seconds, each a square matrix of one size; both directions of a link count.
        rounds: Rounds that each slice lasts; >= 1.
    """

    def __init__(self, slices: Sequence[Sequence[Sequence[float]]], *, rounds: int = 10) -> None:
        self.slices = slices
        self.rounds = rounds
        self.size = size = len(slices[0])
        self._medians = {
            (i, j): quantile([s[a][b] for s in slices for a, b in ((i, j), (j, i))], 0.5)
            for i in range(size)
            for j in range(i + 1, size)
        }

    def truth(self, i: int, j: int) -> float:
        """Return the median over all slices and both directions."""
        return self._medians.get((min(i, j), max(i, j)), 0.0)

    def sample(self, i: int, j: int, turn: int, rng: Random) -> float | None:  # noqa: ARG002 - the protocol's
        """Return the measurement of the slice that round `turn` falls into."""
        return self.slices[turn // self.rounds % len(self.slices)][i][j]


def parse_matrix(text: str, *, unit: float = 0.001) -> Matrix:
    r"""Return the square matrix written in `text`, a row per line, separated by white space.

    Args:
        text: The numbers.
        unit: Seconds per unit of the numbers.

    Raises:
        ValueError: Not numbers, or not square.

    >>> parse_matrix("0 25\n25 0").truth(0, 1)
    0.025
    """
    rows = tuple(
        [tuple([float(x) * unit for x in row.split()]) for row in text.splitlines() if row.strip()]
    )
    if any(len(row) != len(rows) for row in rows):
        raise ValueError(f"the matrix has {len(rows)} rows, but not as many columns in each")
    return Matrix(rows)


def _between(points: Sequence[Sequence[float]], heights: Sequence[float]) -> Matrix:
    return Matrix(
        tuple(
            [
                tuple(
                    [
                        dist(p, q) + heights[i] + heights[j] if i != j else 0.0
                        for j, q in enumerate(points)
                    ]
                )
                for i, p in enumerate(points)
            ]
        )
    )


def line(nodes: int, spacing: float) -> Matrix:
    """Return nodes on a line, `spacing` seconds from each to the next."""
    return _between([(i * spacing,) for i in range(nodes)], [0.0] * nodes)


def grid(side: int, spacing: float) -> Matrix:
    """Return `side` x `side` nodes on a square grid, `spacing` seconds apart."""
    points = [(i // side * spacing, i % side * spacing) for i in range(side * side)]
    return _between(points, [0.0] * len(points))


def clusters(sizes: Sequence[int], *, inside: float, across: float) -> Matrix:
    """Return groups of nodes: `inside` seconds within a group, `across` between two groups."""
    group = [k for k, size in enumerate(sizes) for _ in range(size)]
    return Matrix(
        tuple(
            [
                tuple(
                    [0.0 if i == j else inside if a == b else across for j, b in enumerate(group)]
                )
                for i, a in enumerate(group)
            ]
        )
    )


def circle_with_height(nodes: int, radius: float) -> Matrix:
    """Return nodes on a circle and, as node 0, one in the middle that is `radius` high."""
    angles = [2.0 * pi * i / (nodes - 1) for i in range(1, nodes)]
    points = [(0.0, 0.0)] + [(radius * cos(a), radius * sin(a)) for a in angles]
    return _between(points, [radius] + [0.0] * (nodes - 1))


def random_matrix(nodes: int, mean: float, deviation: float, rng: Random) -> Matrix:
    """Return normally distributed round trip times without any geometry, at least 0."""
    rows = [[0.0] * nodes for _ in range(nodes)]
    for i in range(nodes):
        for j in range(i + 1, nodes):
            rows[i][j] = rows[j][i] = max(0.0, rng.gauss(mean, deviation))
    return Matrix(tuple([tuple(row) for row in rows]))


CONTINENTS: tuple[tuple[str, float, float, float], ...] = (
    # Name, longitude and latitude of the middle, share of the nodes.
    ("North America", -95.0, 40.0, 0.35),
    ("South America", -55.0, -20.0, 0.1),
    ("Europe", 10.0, 50.0, 0.3),
    ("Asia", 115.0, 30.0, 0.2),
    ("Oceania", 145.0, -33.0, 0.05),
)


def internet(nodes: int, rng: Random) -> Matrix:
    """Return an internet-like model: continents, cables, access links, detours.

    Nodes are strewn some 1,000 km around the middle of their continent. A round trip takes
    1 ms per 66 km of great circle (light in fibre, there and back, by a route half as long
    again), plus both access links (log-normal, median 2 ms), plus a detour of up to 30 %
    that each pair has for itself. Labels are the continents.
    """
    places, access, labels = [], [], []
    weights = [share for *_, share in CONTINENTS]
    for name, longitude, latitude, _ in rng.choices(CONTINENTS, weights, k=nodes):
        theta = (latitude + rng.gauss(0.0, 8.0)) * pi / 180.0
        phi = (longitude + rng.gauss(0.0, 10.0)) * pi / 180.0
        places.append((cos(theta) * cos(phi), cos(theta) * sin(phi), sin(theta)))
        access.append(rng.lognormvariate(log(0.002), 0.8))
        labels.append(name)
    rows = [[0.0] * nodes for _ in range(nodes)]
    for i in range(nodes):
        for j in range(i + 1, nodes):
            # The chord approximates the arc; pairs at the far side of the earth get detours.
            cable = dist(places[i], places[j]) * 6371.0 / 66.0e3
            rows[i][j] = rows[j][i] = cable * rng.uniform(1.0, 1.3) + access[i] + access[j]
    return Matrix(tuple([tuple(row) for row in rows]), tuple(labels))


def drift(side: float) -> tuple[Matrix, tuple[tuple[float, float], ...]]:
    """Return four nodes on a square of `side` seconds, and where in the plane they start.

    They start beside the origin, two of them on one spot. Whatever the corners do to part
    and to settle, nothing that they measure says where the square lies, so it drifts:
    compare `centroid` after many rounds.

    Source: serf/coordinate, TestPerformance_Drift.

    >>> square, places = drift(0.5)
    >>> (square.truth(0, 1), places[1])
    (0.5, (0.0, 0.5))
    """
    corners = ((0.0, 0.0), (0.0, side), (side, side), (side, 0.0))
    return _between(corners, [0.0] * 4), (*corners[:3], corners[2])


class Simulation:
    """Nodes that sample each other, one random peer per node and round, as Serf's tests do.

    Args:
        model: How long round trips take.
        make: Returns the client of a node; seed each one differently.
        rng: Chooses peers and drives the model's noise.
        nodes: How many of the model's nodes take part; None means all.
        liars: What some nodes claim instead of their coordinate; liars learn nothing.
    """

    def __init__(
        self,
        model: LatencyModel,
        make: Callable[[int], Client],
        *,
        rng: Random,
        nodes: int | None = None,
        liars: Mapping[int, Callable[[], Coordinate]] | None = None,
    ) -> None:
        self.model = model
        self.rng = rng
        self.clients = [make(i) for i in range(model.size if nodes is None else nodes)]
        self.liars = dict(liars or {})
        self.names = [f"node-{i}" for i in range(model.size)]
        self.turn = 0
        self.updates = 0
        self.rejected = 0
        self.moved = 0.0
        """Seconds by which published coordinates moved in all updates since `run` began."""

    @property
    def coordinates(self) -> list[Coordinate]:
        """The coordinate of each node."""
        return [client.coordinate for client in self.clients]

    def run(
        self, rounds: int, *, on_update: Callable[[int, Coordinate], None] | None = None
    ) -> None:
        """Run some rounds; `moved`, `updates` and `rejected` count anew.

        Args:
            rounds: How many.
            on_update: Called with the node and its new coordinate after each update.
        """
        self.updates, self.rejected, self.moved = 0, 0, 0.0
        count = len(self.clients)
        for _ in range(rounds):
            for i in range(count):
                j = int(self.rng.random() * count)
                if i != j and i not in self.liars:
                    self.exchange(i, j, on_update)
            self.turn += 1

    def exchange(
        self, i: int, j: int, on_update: Callable[[int, Coordinate], None] | None = None
    ) -> None:
        """Let node `i` measure the round trip to node `j` and learn from it."""
        rtt = self.model.sample(i, j, self.turn, self.rng)
        if rtt is None:
            return
        client, lie = self.clients[i], self.liars.get(j)
        claim = self.clients[j].coordinate if lie is None else lie()
        before = client.coordinate
        try:
            after = client.update(self.names[j], claim, rtt)
        except SampleRejected:
            self.rejected += 1
            return
        self.updates += 1
        self.moved += before.displacement_to(after)
        if on_update is not None:
            on_update(i, after)


def quantile(values: Iterable[float], q: float) -> float:
    """Return the value at rank floor(q n) of the sorted values, 0 <= q < 1.

    Raises:
        ValueError: There are no values.

    >>> quantile([4.0, 1.0, 3.0, 2.0], 0.5)
    3.0
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, so no quantile")
    return ordered[int(q * len(ordered))]


def relative_errors(
    coordinates: Sequence[Coordinate], model: LatencyModel, *, among: Sequence[int] | None = None
) -> list[float]:
    """Return |estimate - truth| / truth of each pair i < j with truth > 0.

    Args:
        coordinates: One per node.
        model: Knows the truth.
        among: Nodes to look at; None means all.
    """
    nodes = range(len(coordinates)) if among is None else among
    return [
        abs(coordinates[i].distance_to(coordinates[j]) - truth) / truth
        for k, i in enumerate(nodes)
        for j in nodes[k + 1 :]
        if (truth := model.truth(i, j)) > 0.0
    ]


@attrs.frozen
class Ranking:
    """How well estimates find the nearest peer.

    Attributes:
        first: Share of the nodes whose estimated nearest peer is the nearest.
        ten: Share of the nodes whose estimated nearest peer is among the ten nearest.
        penalty: Seconds, median of how much farther than the nearest it is.
    """

    first: float
    ten: float
    penalty: float


def ranking(coordinates: Sequence[Coordinate], model: LatencyModel) -> Ranking:
    """Return how well each node finds its nearest peer."""
    size = len(coordinates)
    ranks, penalties = [], []
    for i, own in enumerate(coordinates):
        others = [j for j in range(size) if j != i]
        estimates = {j: own.distance_to(coordinates[j]) for j in others}
        picked = model.truth(i, min(others, key=estimates.__getitem__))
        truths = [model.truth(i, j) for j in others]
        ranks.append(sum(truth < picked for truth in truths))
        penalties.append(picked - min(truths))
    first, ten = sum(r == 0 for r in ranks), sum(r < 10 for r in ranks)
    return Ranking(first / size, ten / size, quantile(penalties, 0.5))


def centroid(coordinates: Sequence[Coordinate]) -> float:
    """Return the seconds between the origin and the mean of all vectors."""
    columns = zip(*[coordinate.vector for coordinate in coordinates], strict=True)
    return length(tuple([sum(column) / len(coordinates) for column in columns]))


def coverage(clients: Sequence[Client], model: LatencyModel) -> float:
    """Return the share of pairs whose truth lies within `Client.interval_to`."""
    hits = pairs = 0
    for i, client in enumerate(clients):
        for j in range(i + 1, len(clients)):
            band = client.interval_to(clients[j].coordinate)
            hits += band.low <= model.truth(i, j) <= band.high
            pairs += 1
    return hits / pairs
