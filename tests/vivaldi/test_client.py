from __future__ import annotations

from random import Random

import attrs
import pytest

from tests.vivaldi.conftest import at, client, listen, numbers
from vivaldi import (
    Client,
    Config,
    Coordinate,
    IncompatibleCoordinates,
    InvalidCoordinate,
    Rejection,
    Stats,
)


@pytest.mark.parametrize("config", [Config(dimensions=7), Config.serf(dimensions=7)])
def test_a_new_client_stands_at_the_origin_and_knows_nothing(config: Config) -> None:
    node = client(config)

    assert node.coordinate == Coordinate((0.0,) * 7, 1.5, 0.0, 10e-6)
    assert node.working == node.coordinate
    assert node.stats == Stats(rejected=dict.fromkeys(Rejection, 0))
    assert node.peers_known == 0


def test_the_default_configuration_is_the_default() -> None:
    assert Client(rng=Random(1)).config == Config()


@pytest.mark.parametrize("make", [Config, Config.serf])
def test_a_node_learns_the_way_to_a_peer(make: type[Config]) -> None:
    # serf/coordinate: a peer 1 ms above and 2 ms away pushes the node down.
    node = client(attrs.evolve(make(), dimensions=3))

    state = node.update("peer", Coordinate((0.0, 0.0, 0.001), 0.5), 0.002)

    assert state is node.coordinate
    assert state.vector[2] < 0.0
    assert state.vector[:2] == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("config", [Config(), Config.serf()])
def test_a_coordinate_can_be_set(config: Config) -> None:
    node = client(config)

    node.set_coordinate(at(0.0, 0.099))

    assert node.coordinate == at(0.0, 0.099)
    assert node.distance_to(at(0.0, height=0.0)) == pytest.approx(0.102)


def test_set_coordinates_are_lifted_to_the_bounds_of_the_rule() -> None:
    node = client(at=at(0.05, error=0.0, height=0.0))

    node.update("peer", at(0.0), 0.05)

    node.check_invariants()
    assert node.coordinate.error > 0.0


@pytest.mark.parametrize("config", [Config(space="lan"), Config.serf(space="lan")])
def test_spaces_never_mix(config: Config) -> None:
    node = client(config)

    for other in (at(), at(space="wan")):
        with pytest.raises(InvalidCoordinate):
            node.update("peer", other, 0.1)
        with pytest.raises(IncompatibleCoordinates):
            node.distance_to(other)
        with pytest.raises(IncompatibleCoordinates):
            node.interval_to(other)
    node.update("peer", at(space="lan"), 0.1)
    assert node.coordinate.space == "lan"
    assert node.stats.rejected[Rejection.SPACE] == 2


@pytest.mark.parametrize("config", [Config(), Config.serf()])
def test_an_update_never_touches_coordinates_handed_out(config: Config) -> None:
    node = client(config)
    peer = at(0.05)
    listen(node, peer, 0.06, 3)
    held, fields = node.coordinate, numbers(node.coordinate)

    listen(node, peer, 0.2, 50)

    assert numbers(held) == fields
    assert peer == at(0.05)


def test_the_band_is_narrow_for_the_sure_and_wide_for_the_lost() -> None:
    sure, lost = client(at=at(error=0.1)), client(at=at(error=1.0))
    peer = at(0.05, error=0.1)

    narrow, wide = sure.interval_to(peer), lost.interval_to(peer)

    assert narrow.estimate == wide.estimate == sure.distance_to(peer)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_a_forgotten_peer_starts_a_new_filter() -> None:
    node = client()
    listen(node, at(0.05), 0.05, 3, "alice")
    listen(node, at(0.05), 0.05, 3, "bob")

    node.forget("alice")
    node.forget("stranger")

    assert node.peers_known == 1
    assert node.stats.updates == 6


@pytest.mark.parametrize("config", [Config(), Config.serf()])
def test_the_two_profiles_understand_each_other(config: Config) -> None:
    other_kind = Config.serf() if config == Config() else Config()
    alice, bob = client(config, seed=1), client(other_kind, seed=2)

    for _ in range(300):
        alice.update("bob", Coordinate.decode(bob.coordinate.encode()), 0.040)
        bob.update("alice", Coordinate.decode(alice.coordinate.encode()), 0.040)

    assert alice.distance_to(bob.coordinate) == pytest.approx(0.040, rel=0.05)
