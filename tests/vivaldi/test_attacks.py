"""Attacks on a node and on its tables: each was found by trying, none may work again."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from tests.vivaldi.conftest import at, client
from vivaldi import (
    Config,
    Coordinate,
    DecodeError,
    InvalidCoordinate,
    Memory,
    Peers,
    Publisher,
    Rejection,
)
from vivaldi.coordinate import PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(
    "header",
    [b"\xdd\x06\x40\x00\x00", b"\x81\xa1a\xdf\x03\x20\x00\x00", b"\x81\xa1a\xdc\xff\xff"],
    ids=["list of a hundred million", "map of fifty million", "list of sixty thousand"],
)
def test_a_payload_that_claims_to_be_huge_takes_no_memory(header: bytes) -> None:
    payload = b"\x01" + header * (PAYLOAD_BYTES_MAX // len(header) - 1)
    tracemalloc.start()

    with pytest.raises(DecodeError):
        Coordinate.decode(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100_000


def test_negative_adjustments_never_lift_a_node_above_what_peers_accept() -> None:
    # A liar at the greatest height whose adjustment takes the estimate back to almost zero.
    node = client(at=at(1e-5, error=0.9, height=5.0))

    for i in range(50):
        node.update(f"liar-{i}", Coordinate((0.0,) * 8, 0.0, -9.99, 5.0), 10.0)

        assert node.working.height <= 10.0
        node.check_invariants()
    client().update("node", node.coordinate, 0.05)


def test_negative_adjustments_never_push_a_node_beyond_reach() -> None:
    # At the edge of the space, a peer three quarters of the way out pushes by twice rtt_max.
    node = client(at=at(39.9, error=1.2))

    node.update("liar", Coordinate((29.99,) + (0.0,) * 7, 0.0, -9.0, 0.0), 10.0)

    assert node.working.norm <= 40.0
    assert node.stats.resets == 1
    node.check_invariants()


def test_a_claimed_adjustment_never_throws_a_node_beyond_reach() -> None:
    # On one spot the direction is random; the estimate of 30 s is all claims.
    for seed in range(20):
        node = client(Config(position_step=1.0), at=at(20.0, error=1.5, height=10.0), seed=seed)

        for i in range(30):
            spot = Coordinate(node.working.vector, 0.0, 10.0, 10.0)
            node.update(f"liar-{i}", spot, 0.0)

            node.check_invariants()


@pytest.mark.parametrize("dimensions", [2, 8])
def test_invariants_hold_among_liars_that_mix_extremes(seed: int, dimensions: int) -> None:
    rng = Random(seed)
    node = client(Config(dimensions=dimensions), seed=seed)

    for i in range(3000):
        own, spread = node.working, rng.choice((0.0, 1e-7, 1e-3, 1.0))
        vector = tuple([x * 0.7 + rng.gauss(0.0, spread) for x in own.vector])
        error, height = rng.choice((0.0, 1.5)), rng.choice((0.0, 5.0, 9.99))
        other = Coordinate(vector, error, rng.choice((-10.0, -9.9, -5.0, 0.0, 10.0)), height)
        node.update(f"liar-{i % 50}", other, rng.choice((0.0, 1e-3, 10.0)))

        node.check_invariants()


@pytest.mark.parametrize(
    "config",
    [
        Config(rtt_max=1e6, error_max=1e3, clock_resolution=1e-9),
        Config(rtt_max=1e-3, height_min=0.0, clock_resolution=1e-9),
        Config(error_max=0.1, error_step=1.0, position_step=1.0, averaging=1.0),
        Config(position_step=1e-300, averaging=1e-300, error_step=1e-300),
    ],
    ids=["widest", "narrowest", "boldest", "slowest"],
)
def test_every_accepted_configuration_keeps_its_invariants(config: Config) -> None:
    rng = Random(1)
    node = client(config)

    for i in range(2000):
        vector = tuple([rng.uniform(-1.0, 1.0) * config.rtt_max for _ in range(8)])
        height = rng.choice((0.0, 1.0)) * config.rtt_max
        error = rng.choice((0.0, 1.0)) * config.error_max
        other = Coordinate(vector, error, rng.uniform(-1.0, 1.0) * config.rtt_max, height)
        node.update(f"{i % 7}", other, rng.choice((0.0, 1e-12, 1.0)) * config.rtt_max)

        node.check_invariants()


@pytest.mark.parametrize("config", [Config(), Config.serf()], ids=["default", "serf"])
@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (at(error=-5.0), Rejection.ERROR_RANGE),
        (at(error=1e300), Rejection.ERROR_RANGE),
        (at(error=float("inf")), Rejection.NOT_FINITE),
        (at(height=-7.0), Rejection.HEIGHT_RANGE),
        (at(1e100), Rejection.VECTOR_RANGE),
        (Coordinate((0.0,) * 8, 0.2, -1e6), Rejection.ADJUSTMENT_RANGE),
    ],
)
def test_a_damaged_memory_is_refused_by_both_profiles(
    config: Config, damaged: Coordinate, reason: Rejection
) -> None:
    # In Serf's profile 1e100 seconds would stay for ever: gravity is capped far below that.
    node = client(config, at=at(0.01))

    with pytest.raises(InvalidCoordinate) as caught:
        node.restore(Memory(damaged, (("alice", (0.1,)),)), age=0.0)

    assert caught.value.reason is reason
    assert node.stats.rejected[reason] == 1
    assert (node.coordinate, node.peers_known) == (at(0.01), 0)


@pytest.mark.parametrize("text", ["", b""])
def test_a_string_is_no_list_of_round_trips(text: object) -> None:
    with pytest.raises(DecodeError, match="RoundTrips is not a list"):
        Memory.from_json({"Space": "", "RoundTrips": text, "Coordinate": {}})


def test_a_negative_height_makes_nobody_the_nearest_peer() -> None:
    peers = Peers()
    peers.put("honest", at(0.05, height=0.0))

    with pytest.raises(InvalidCoordinate) as caught:
        peers.put("liar", at(0.3, height=-100.0))

    assert caught.value.reason is Rejection.HEIGHT_RANGE
    assert peers.nearest(at(height=0.0), 2) == [("honest", 0.05)]


@pytest.mark.parametrize("claim", [-0.2, 1e200, float("inf"), float("nan")])
def test_an_absurd_claim_of_error_widens_the_band_like_the_largest(claim: float) -> None:
    node = client(Config(height_min=0.0))

    for vector in ((0.0,) * 8, (0.01,) * 8):
        band = node.interval_to(Coordinate(vector, claim, height=0.0))
        assert band == node.interval_to(Coordinate(vector, 1.5, height=0.0))


def test_an_adjustment_that_moves_estimates_is_published() -> None:
    publisher = Publisher()
    publisher.offer(Coordinate((0.1,), 0.2, 0.0))

    assert not publisher.offer(Coordinate((0.1,), 0.2, 0.004))
    assert publisher.offer(Coordinate((0.1,), 0.2, -0.010))


def test_serfs_profile_keeps_serfs_weakness_and_its_own_invariants() -> None:
    # In Serf a claimed error just below minus one's own is a weight of 2e5.
    node = client(Config.serf(), at=at(0.02, error=0.2))
    liar = at(0.1, error=-0.3)

    node.update("liar", liar, node.distance_to(liar))

    assert node.coordinate.error < 0.0
    node.check_invariants()
