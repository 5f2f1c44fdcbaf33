"""The experiments behind the figures: each a function of profile and seed.

The measured matrices are other people's data and stay out of this repository; they are read
from `../shared/data`, seen from its root. Relative error is |estimate - truth| / truth over
all pairs i < j.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from functools import cache
from pathlib import Path
from random import Random

import attrs
import pytest

from vivaldi import Client, Config, Coordinate, Publisher
from vivaldi.testing import (
    LatencyModel,
    Matrix,
    Simulation,
    Stream,
    centroid,
    circle_with_height,
    clusters,
    coverage,
    drift,
    grid,
    line,
    parse_matrix,
    quantile,
    random_matrix,
    ranking,
    relative_errors,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PLANETLAB = "planetlab/PlanetLabData_{}.gz"
FIXTURE = "planetlab98_ms.txt"
SEATTLE = "seattle/SeattleData_1-120.tar.xz"


def raw(name: str) -> bytes:
    """Return a data file; skip the test that asked where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in ../shared/data: it is not ours to distribute")
    return path.read_bytes()


def checksum(name: str) -> str:
    return hashlib.sha256(raw(name)).hexdigest()


@cache
def planetlab(part: int = 1) -> Matrix:
    return parse_matrix(gzip.decompress(raw(PLANETLAB.format(part))).decode())


@cache
def fixture() -> Matrix:
    return parse_matrix(raw(FIXTURE).decode())


@cache
def seattle() -> Stream:
    with tarfile.open(fileobj=io.BytesIO(raw(SEATTLE))) as archive:
        names = sorted(archive.getnames(), key=lambda name: int(name.rpartition("_")[2]))
        files = [archive.extractfile(name) for name in names]
        slices = [parse_matrix(f.read().decode(), unit=1.0).rows for f in files if f is not None]
    return Stream(slices, rounds=10)


def simulate(model: LatencyModel, config: Config, seed: int, **options: object) -> Simulation:
    return Simulation(
        model,
        lambda i: Client(config, rng=Random(f"node {i} of {seed}")),
        rng=Random(f"world {seed}"),
        **options,  # type: ignore[arg-type]  # passed through as they are
    )


@attrs.frozen
class Settled:
    """What a long run reaches."""

    median: float
    p90: float
    first: float
    ten: float
    penalty_ms: float
    moved_ms: float
    published: float
    covered: float


def settled(model: LatencyModel, config: Config, seed: int, rounds: int) -> Settled:
    """Run `rounds`; movement and publications are counted in their last fifth."""
    simulation = simulate(model, config, seed)
    publishers = [Publisher() for _ in simulation.clients]
    offers: list[bool] = []

    def offer(node: int, coordinate: Coordinate) -> None:
        offers.append(publishers[node].offer(coordinate))

    simulation.run(rounds * 4 // 5, on_update=offer)
    offers.clear()
    simulation.run(rounds - rounds * 4 // 5, on_update=offer)
    errors = relative_errors(simulation.coordinates, model)
    nearest = ranking(simulation.coordinates, model)
    return Settled(
        quantile(errors, 0.5),
        quantile(errors, 0.9),
        nearest.first,
        nearest.ten,
        nearest.penalty * 1e3,
        simulation.moved / simulation.updates * 1e3,
        sum(offers) / len(offers),
        coverage(simulation.clients, model),
    )


def rounds_to(median: float, model: LatencyModel, config: Config, seed: int) -> int:
    """Return the samples per node from nothing until the median error is `median`."""
    simulation = simulate(model, config, seed)
    for turn in range(1, 200):
        simulation.run(1)
        if quantile(relative_errors(simulation.coordinates, model), 0.5) <= median:
            return turn
    return 200


def probes_to_join(median: float, config: Config, seed: int) -> int:
    """Return how many probes of settled nodes bring new ones to a median error of `median`.

    450 nodes of PlanetLab settle for 700 rounds, the other 40 join; each probe is of a
    random settled node, and the error is taken over all pairs of a new and a settled node.
    """
    model = planetlab()
    simulation = simulate(model, config, seed, nodes=450)
    simulation.run(700)
    old = simulation.coordinates
    for i in range(450, 490):
        simulation.clients.append(Client(config, rng=Random(f"node {i} of {seed}")))
    for probes in range(1, 100):
        for i in range(450, 490):
            simulation.exchange(i, simulation.rng.randrange(450))
        errors = [
            abs(client.distance_to(other) - model.truth(i, j)) / model.truth(i, j)
            for i, client in enumerate(simulation.clients[450:], 450)
            for j, other in enumerate(old)
        ]
        if quantile(errors, 0.5) <= median:
            return probes
    return 100


def drift_ms(config: Config, seed: int, rounds: int) -> float:
    """Return how far the centroid of PlanetLab's nodes is from the origin after `rounds`."""
    simulation = simulate(planetlab(), config, seed)
    simulation.run(rounds)
    return centroid(simulation.coordinates) * 1e3


def heavy_tails(config: Config, seed: int) -> tuple[float, float]:
    """Return median error and drift of the centroid in seconds on the Seattle stream."""
    simulation = simulate(seattle(), config, seed)
    simulation.run(1200)
    errors = relative_errors(simulation.coordinates, simulation.model)
    return quantile(errors, 0.5), centroid(simulation.coordinates)


def among_liars(config: Config, seed: int, *, fixed: bool = False, rounds: int = 700) -> float:
    """Return the median error among the honest when a tenth of PlanetLab's nodes lies.

    A liar claims a random position, each component uniform within 150 ms of the origin,
    with an error of 0.01; a new one for each sample, or one for ever if `fixed`.
    """
    model = planetlab()
    rng = Random(f"liars {seed}")

    def lie() -> Coordinate:
        return Coordinate(tuple([rng.uniform(-0.15, 0.15) for _ in range(8)]), 0.01, 0.0, 0.001)

    chosen = rng.sample(range(model.size), model.size // 10)
    claims = {i: lie() for i in chosen}
    liars = {i: (lambda claim=claims[i]: claim) if fixed else lie for i in chosen}
    simulation = simulate(model, config, seed, liars=liars)
    simulation.run(rounds)
    honest = [i for i in range(model.size) if i not in liars]
    return quantile(relative_errors(simulation.coordinates, model, among=honest), 0.5)


LAYOUTS: dict[str, tuple[Matrix, int]] = {
    "line": (line(10, 0.010), 8),
    "grid": (grid(5, 0.010), 8),
    "split": (clusters((13, 12), inside=0.001, across=0.011), 8),
    "height": (circle_with_height(25, 0.100), 2),
    "random": (random_matrix(25, 0.100, 0.010, Random(1)), 8),
}
"""Serf's synthetic layouts, with the dimensions in which they are tried."""


def layout_errors(name: str, profile: str, seed: int) -> tuple[float, float]:
    """Return mean and maximum relative error of a synthetic layout after 1000 rounds."""
    model, dimensions = LAYOUTS[name]
    simulation = simulate(model, profiles(dimensions)[profile], seed)
    simulation.run(1000)
    errors = relative_errors(simulation.coordinates, model)
    return sum(errors) / len(errors), max(errors)


def square_drift(profile: str, seed: int) -> tuple[float, float]:
    """Return how far the middle of Serf's drifting square is from the origin, in seconds.

    Four nodes on a square of 0.5 s, placed in the first quadrant, two of them on one spot.
    First after 1000 rounds, then after 10,000 more.
    """
    model, places = drift(0.5)
    simulation = simulate(model, profiles(2)[profile], seed)
    for client, place in zip(simulation.clients, places, strict=True):
        client.set_coordinate(Coordinate(place))

    def middle() -> float:
        columns = list(zip(*[c.vector for c in simulation.coordinates], strict=True))
        squares: list[float] = [((min(xs) + max(xs)) / 2.0) ** 2 for xs in columns]
        return float(sum(squares) ** 0.5)

    simulation.run(1000)
    baseline = middle()
    simulation.run(10_000)
    return baseline, middle()


def profiles(dimensions: int = 8) -> dict[str, Config]:
    return {"serf": Config.serf(dimensions=dimensions), "default": Config(dimensions=dimensions)}
