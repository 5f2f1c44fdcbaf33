from __future__ import annotations

from math import inf
from random import Random

import pytest

from tests.vivaldi.conftest import at
from vivaldi import Coordinate, IncompatibleCoordinates, InvalidCoordinate, Peers, Rejection

HERE = at(height=0.0)


def table(**coordinates: Coordinate | None) -> Peers:
    peers = Peers()
    for name, coordinate in coordinates.items():
        peers.put(name, coordinate)
    return peers


def names(pairs: list[tuple[str, float]]) -> list[str]:
    return [name for name, _ in pairs]


def test_peers_are_ranked_by_distance_and_strangers_come_last() -> None:
    peers = table(lost=None, far=at(0.3, height=0.0), near=at(0.1, height=0.0), gone=None)

    assert peers.rank(HERE) == [("near", 0.1), ("far", 0.3), ("lost", inf), ("gone", inf)]


def test_ties_keep_the_order_in_which_peers_were_added() -> None:
    peers = table(c=at(0.1), a=at(0.0, 0.1), b=at(0.0, 0.0, -0.1), first=at(0.05))
    peers.put("c", at(0.0, -0.1))

    assert names(peers.rank(HERE)) == ["first", "c", "a", "b"]


def test_a_choice_of_peers_is_ranked_in_its_own_order() -> None:
    peers = table(a=at(0.1), b=at(0.1), c=at(0.05), lost=None)

    assert names(peers.rank(HERE, ["stranger", "b", "a", "lost"])) == ["b", "a", "stranger", "lost"]


def test_the_ranking_agrees_with_distance_to(seed: int) -> None:
    rng = Random(seed)
    peers = Peers()
    for i in range(300):
        vector = tuple([rng.gauss(0.0, 0.05) for _ in range(8)])
        coordinate = Coordinate(vector, 0.2, rng.uniform(-0.3, 0.3), rng.random() * 0.01)
        peers.put(f"peer-{i}", coordinate if rng.random() < 0.9 else None)
    origin = Coordinate((0.01,) * 8, 0.2, -0.1, 0.002)

    ranked = peers.rank(origin)

    assert ranked == sorted(ranked, key=lambda pair: pair[1])
    for name, seconds in ranked:
        other = peers.get(name)
        assert seconds == (inf if other is None else origin.distance_to(other))


def test_the_nearest_have_coordinates() -> None:
    peers = table(lost=None, far=at(0.3), near=at(0.1))

    assert names(peers.nearest(HERE)) == ["near"]
    assert names(peers.nearest(HERE, 5)) == ["near", "far"]
    assert peers.nearest(HERE, 0) == []
    with pytest.raises(ValueError, match="count is -1"):
        peers.nearest(HERE, -1)


def test_within_a_radius_means_at_most() -> None:
    peers = table(lost=None, far=at(0.3, height=0.0), near=at(0.1, height=0.0))

    assert names(peers.within(HERE, 0.1)) == ["near"]
    assert names(peers.within(HERE, 0.3)) == ["near", "far"]
    assert names(peers.within(HERE, inf)) == ["near", "far"]


def test_datacenters_are_ordered_by_their_upper_median_as_consul_does() -> None:
    peers = Peers()
    for datacenter, distances in {
        "west": (0.2, 0.9, 0.3),
        "east": (0.1, 0.25),
        "asia": (0.25,),
        "home": (0.5,),
        "moon": (None, None),
    }.items():
        for i, distance in enumerate(distances):
            where = None if distance is None else at(distance, height=0.0)
            peers.put(f"{datacenter}-{i}", where, datacenter=datacenter)

    assert peers.datacenters(HERE) == [
        ("asia", 0.25), ("east", 0.25), ("west", 0.3), ("home", 0.5), ("moon", inf)
    ]  # fmt: skip
    assert peers.datacenters(HERE, own="home")[0] == ("home", 0.0)
    assert names(peers.datacenters(HERE, own="mars")) == names(peers.datacenters(HERE))


def test_peers_come_and_go() -> None:
    peers = table(a=at(0.1), b=None)

    peers.remove("a")
    peers.remove("stranger")

    assert (len(peers), "a" in peers, "b" in peers) == (1, False, True)
    assert (peers.get("a"), peers.get("b")) == (None, None)
    assert peers.datacenters(HERE) == [("", inf)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (at(space="wan"), Rejection.SPACE),
        (Coordinate((0.0,) * 3), Rejection.DIMENSIONS),
        (at(float("nan")), Rejection.NOT_FINITE),
    ],
)
def test_what_cannot_be_compared_does_not_enter(bad: Coordinate, reason: Rejection) -> None:
    peers = table(a=at(0.1))

    with pytest.raises(InvalidCoordinate) as caught:
        peers.put("a", bad)

    assert caught.value.reason is reason
    assert peers.get("a") == at(0.1)


@pytest.mark.parametrize("origin", [at(space="wan"), Coordinate((0.0,) * 3)])
def test_no_ranking_from_another_space(origin: Coordinate) -> None:
    peers = table(a=at(0.1))

    for question in (peers.rank, peers.nearest, peers.datacenters):
        with pytest.raises(IncompatibleCoordinates):
            question(origin)
    with pytest.raises(IncompatibleCoordinates):
        peers.within(origin, 1.0)
