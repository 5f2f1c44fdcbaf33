"""What an update, a distance and a ranking cost: `pytest tests/benchmarks/bench_vivaldi.py`.

Eight dimensions, settled nodes, warm filters. Read the minimum, on an idle machine: repeats
under load vary by a factor of two. Targets on CPython 3.11: 2.6 us for an update of Serf's
profile, 3.5 us for the default one, 0.3 us for a distance, 5 ms to rank 10,000 peers; Go
takes 0.84 us and 0.04 us.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from vivaldi import Client, Config, Coordinate, Peers
from vivaldi.testing import Simulation, internet

PEERS = 50


def settled(config: Config) -> tuple[Client, list[tuple[str, Coordinate, float]]]:
    """Return a settled node and one sample of each of its peers."""
    model = internet(PEERS + 1, Random(1))
    simulation = Simulation(model, lambda i: Client(config, rng=Random(i)), rng=Random(2))
    simulation.run(500)
    node = simulation.clients[0]
    samples = [
        (simulation.names[i], simulation.coordinates[i], model.truth(0, i))
        for i in range(1, PEERS + 1)
    ]
    for _ in range(10):
        for sample in samples:
            node.update(*sample)
    return node, samples


@pytest.mark.parametrize("config", [Config(), Config.serf()], ids=["default", "serf"])
def test_fifty_updates(benchmark: Any, config: Config) -> None:
    node, samples = settled(config)

    def update() -> None:
        for peer, coordinate, rtt in samples:
            node.update(peer, coordinate, rtt)

    benchmark(update)
    benchmark.extra_info["us_per_update_min"] = benchmark.stats.stats.min / PEERS * 1e6


def test_a_distance(benchmark: Any) -> None:
    node, samples = settled(Config())

    benchmark(node.coordinate.distance_to, samples[0][1])


def test_a_ranking_of_ten_thousand_peers(benchmark: Any) -> None:
    rng, peers = Random(1), Peers()
    for i in range(10_000):
        vector = tuple([rng.gauss(0.0, 0.05) for _ in range(8)])
        peers.put(f"peer-{i}", Coordinate(vector, 0.2, 0.0, rng.random() * 0.01))

    ranked = benchmark(peers.rank, Coordinate((0.0,) * 8))

    assert len(ranked) == 10_000


def test_a_ping_payload_both_ways(benchmark: Any) -> None:
    node, _ = settled(Config())

    benchmark(lambda: Coordinate.decode(node.coordinate.encode()))
