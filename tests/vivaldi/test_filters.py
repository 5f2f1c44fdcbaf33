from __future__ import annotations

import tracemalloc

import pytest

from tests.vivaldi.conftest import at, client
from vivaldi import Config
from vivaldi.filters import LatencyFilters

SEQUENCE = (0.201, 0.200, 0.207, 1.9, 0.203, 0.199, 0.211)


def test_the_median_of_three_is_serfs_sequence() -> None:
    # serf/coordinate's own unit test of the filter.
    filters = LatencyFilters(3, 0.5, 10)

    assert [filters.push("alice", rtt) for rtt in SEQUENCE] == [
        0.201, 0.201, 0.201, 0.207, 0.207, 0.203, 0.203
    ]  # fmt: skip
    assert filters.push("bob", 0.310) == 0.310
    filters.forget("alice")
    assert filters.push("alice", 0.888) == 0.888


def test_the_lower_quartile_of_eight_leaves_slow_answers_out() -> None:
    filters = LatencyFilters(8, 0.25, 10)

    filtered = [filters.push("alice", rtt) for rtt in (9.0, 0.3, 0.1, 0.4, 0.2, 0.5, 8.0, 7.0)]

    assert filtered == [9.0, 0.3, 0.1, 0.3, 0.2, 0.2, 0.2, 0.3]


def test_a_window_of_zero_filters_nothing_and_remembers_nothing() -> None:
    filters = LatencyFilters(0, 0.5, 10)

    assert [filters.push("alice", rtt) for rtt in SEQUENCE] == list(SEQUENCE)
    assert len(filters) == 0


def test_a_new_peer_takes_the_place_of_the_one_known_longest() -> None:
    filters = LatencyFilters(3, 0.5, 2)

    for peer in ("alice", "bob", "alice", "carol"):
        filters.push(peer, 0.1)

    assert [peer for peer, _ in filters.export()] == ["bob", "carol"]


def test_forgetting_a_stranger_is_nothing() -> None:
    filters = LatencyFilters(3, 0.5, 2)

    filters.forget("alice")

    assert len(filters) == 0


@pytest.mark.parametrize("config", [Config(peers_max=1000), Config.serf()], ids=["default", "serf"])
def test_churn_of_a_hundred_thousand_peers_does_not_grow_the_memory(config: Config) -> None:
    node, peer = client(config), at(0.05)
    node.update("first", peer, 0.05)
    for i in range(config.peers_max):
        node.update(f"peer-{i}", peer, 0.05)
    tracemalloc.start()

    before, _ = tracemalloc.get_traced_memory()
    for i in range(100_000):
        node.update(f"late-{i}", peer, 0.05)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert node.peers_known == config.peers_max
    # All new names and samples replaced untraced old ones: as many as are held, and no more.
    assert after - before <= 500 * config.peers_max


def test_a_known_peer_takes_no_more_than_is_said() -> None:
    filters = LatencyFilters(8, 0.25, 10_000)
    tracemalloc.start()

    before, _ = tracemalloc.get_traced_memory()
    for i in range(10_000):
        for _ in range(8):
            filters.push(f"peer-{i}", 0.1 + i)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (after - before) / 10_000 <= 250 + 8 * 32
