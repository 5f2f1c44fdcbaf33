"""The default rule: bounded by construction, whatever a peer says."""

from __future__ import annotations

from random import Random

import attrs
import pytest

from tests.vivaldi.conftest import at, client, listen, numbers
from vivaldi import Client, Config, Coordinate, InvalidCoordinate, InvalidRtt, Rejection
from vivaldi.vectors import length

CC = Config().position_step

# A settled node, and what was done to Serf's node of the same kind.
VICTIM = at(0.02, 0.01, error=0.2, height=0.003)


def moved(node: Client, other: Coordinate, rtt: float) -> tuple[float, float, float]:
    """Feed one sample; return working move, estimate before, move of the published one."""
    before, published = node.working, node.coordinate
    node.update("peer", other, rtt)
    return (
        before.displacement_to(node.working),
        before.distance_to(other),
        published.displacement_to(node.coordinate),
    )


@pytest.mark.parametrize(
    ("other", "rtt"),
    [
        pytest.param(at(0.0201, 0.01, height=0.010), 0.050, id="100 us away, heights 3 + 10 ms"),
        pytest.param(at(0.020002, 0.01, height=0.010), 0.050, id="2 us away"),
        pytest.param(at(0.02, 0.01, height=0.010), 0.050, id="on the same spot"),
        pytest.param(at(0.05, height=5.0), 0.050, id="height of 5 s"),
        pytest.param(at(30.0), 0.050, id="vector of 30 s"),
        pytest.param(at(0.05), 10.0, id="round trip of 10 s"),
        pytest.param(at(0.05), 0.0, id="round trip of zero"),
        pytest.param(at(0.05, error=0.0), 0.5, id="a peer that claims to be perfect"),
        pytest.param(at(-20.0, error=0.0), 1e-6, id="far away, but a microsecond"),
        pytest.param(Coordinate((0.05,) + (0.0,) * 7, 0.2, -9.0, 0.01), 0.05, id="adjustment -9"),
        pytest.param(Coordinate((0.05,) + (0.0,) * 7, 0.2, 9.0, 0.01), 0.05, id="adjustment 9"),
    ],
)
@pytest.mark.parametrize("error", [0.005, 0.2, 0.99, 1.0, 1.5])
def test_one_message_moves_the_node_by_at_most_cc_times_the_larger(
    other: Coordinate, rtt: float, error: float
) -> None:
    node = client(at=at(0.02, 0.01, error=error))

    working, estimate, published = moved(node, other, rtt)

    assert working <= CC * max(rtt, estimate) * (1 + 1e-9)
    assert published <= working * (1 + 1e-9)
    assert node.coordinate.height <= 0.003 + max(rtt, estimate)
    node.check_invariants()


def test_any_message_moves_the_node_by_at_most_cc_times_the_larger(seed: int) -> None:
    rng = Random(seed)
    node = client(Config(position_step=rng.choice((0.01, 0.25, 0.6, 1.0))), at=VICTIM)
    step = node.config.position_step

    for _ in range(2000):
        vector = tuple([rng.gauss(0.0, 10.0 ** rng.uniform(-6, 1)) for _ in range(8)])
        other = Coordinate(vector, rng.uniform(0.0, 1.5), 0.0, 10.0 ** rng.uniform(-5, 1))
        if length(vector) > 40.0:
            continue
        rtt = 10.0 ** rng.uniform(-7, 1)
        working, estimate, _ = moved(node, other, rtt)
        assert working <= step * max(rtt, estimate) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (at(error=-0.2), Rejection.ERROR_RANGE),
        (at(error=1.6), Rejection.ERROR_RANGE),
        (at(height=-5.0), Rejection.HEIGHT_RANGE),
        (at(height=10.1), Rejection.HEIGHT_RANGE),
        (Coordinate((0.0,) * 8, 0.2, 1e6), Rejection.ADJUSTMENT_RANGE),
        (Coordinate((0.0,) * 8, 0.2, -11.0), Rejection.ADJUSTMENT_RANGE),
        (at(1e6), Rejection.VECTOR_RANGE),
        (at(1e300), Rejection.VECTOR_RANGE),
        (at(float("nan")), Rejection.NOT_FINITE),
        (at(0.0, float("inf")), Rejection.NOT_FINITE),
        (at(error=float("nan")), Rejection.NOT_FINITE),
        (at(height=float("inf")), Rejection.NOT_FINITE),
        (at(space="wan"), Rejection.SPACE),
        (Coordinate((0.0,) * 7), Rejection.DIMENSIONS),
    ],
)
def test_a_bad_coordinate_is_refused_with_its_reason_and_changes_nothing(
    bad: Coordinate, reason: Rejection
) -> None:
    node, twin = client(at=VICTIM), client(at=VICTIM)

    for attempt in (lambda: node.update("m", bad, 0.05), lambda: node.set_coordinate(bad)):
        with pytest.raises(InvalidCoordinate) as caught:
            attempt()
        assert caught.value.reason is reason
    listen(node, at(0.05), 0.05, 3)
    listen(twin, at(0.05), 0.05, 3)

    assert node.stats.rejected == dict.fromkeys(Rejection, 0) | {reason: 2}
    assert (node.coordinate, node.peers_known) == (twin.coordinate, 1)


@pytest.mark.parametrize("rtt", [-1e-9, 10.1, float("nan"), float("inf"), -float("inf")])
def test_a_bad_round_trip_is_refused_and_changes_nothing(rtt: float) -> None:
    node = client(at=VICTIM)

    with pytest.raises(InvalidRtt) as caught:
        node.update("mallory", at(0.05), rtt)

    assert caught.value.reason is Rejection.RTT_RANGE
    assert (node.coordinate, node.peers_known, node.stats.updates) == (VICTIM, 0, 0)


def test_a_zero_round_trip_hardly_changes_the_error() -> None:
    node = client(at=VICTIM)

    node.update("peer", at(0.05), 0.0)

    assert abs(node.coordinate.error - 0.2) <= 0.1
    assert node.stats.zero_rtts == 1


def test_below_the_grain_of_the_clock_an_estimate_below_it_is_right() -> None:
    grain = Config(clock_resolution=0.016, centring=0.0)
    near = at(0.02, 0.011, height=0.003)
    node = client(grain, at=VICTIM)
    before = node.coordinate.distance_to(near)

    listen(node, near, 0.0, 50)

    assert before < 0.016
    assert node.coordinate.vector == VICTIM.vector
    assert node.coordinate.error < 0.05


def test_above_the_grain_of_the_clock_a_zero_pulls_towards_the_grain() -> None:
    node = client(Config(clock_resolution=0.016, centring=0.0), at=VICTIM)

    listen(node, at(0.20), 0.0, 500)

    assert node.distance_to(at(0.20)) == pytest.approx(0.016, rel=0.1)


def test_an_own_error_of_zero_does_not_freeze_the_node() -> None:
    node, peer = client(at=at(0.01, error=0.0)), at(0.0, error=0.5)

    listen(node, peer, 0.5, 100)

    assert node.distance_to(peer) == pytest.approx(0.5, rel=0.1)


def test_a_poisoned_node_comes_back_without_a_reset() -> None:
    honest = at(0.05, error=0.2)
    node = client(at=VICTIM)

    listen(node, at(30.0, error=0.0), 0.05, 1, "mallory")
    listen(node, honest, 0.05, 60)

    assert node.distance_to(honest) == pytest.approx(0.05, rel=0.1)
    assert node.stats.resets == 0


def test_a_node_that_was_dragged_away_finds_back() -> None:
    # A thousand lies from one who also delays his answers, then honest peers again.
    node = client(at=VICTIM)
    listen(node, at(-3.0, error=0.0), 6.0, 1000, "mallory")
    dragged = node.coordinate
    peers = [at(0.05), at(-0.05), at(0.0, 0.05), at(0.0, 0.0, 0.05)]

    for _ in range(60):
        for i, peer in enumerate(peers):
            node.update(f"peer-{i}", peer, 0.06)

    assert dragged.norm > 1.0
    assert all(node.distance_to(peer) == pytest.approx(0.06, rel=0.2) for peer in peers)


def test_a_node_pushed_beyond_any_round_trip_resets_once() -> None:
    node = client(Config(rtt_max=1.0))
    edge = at(3.999, error=0.0, height=0.001)

    for i in range(300):
        node.update(f"edge-{i}", edge, 0.0001)
        if node.coordinate.norm > 3.9:
            break
    for i in range(100):
        node.update(f"push-{i}", at(3.5, error=0.0), 1.0)
        if node.stats.resets:
            break
    assert node.stats.resets == 1
    assert node.coordinate == Coordinate((0.0,) * 8)
    assert node.peers_known == 0

    listen(node, at(0.05), 0.05, 100)
    assert node.stats.resets == 1
    assert node.distance_to(at(0.05)) == pytest.approx(0.05, rel=0.1)


def test_a_single_lie_among_settled_peers_moves_the_map_hardly() -> None:
    node, honest = client(), at(0.05, error=0.1)
    listen(node, honest, 0.06, 200)
    settled = node.coordinate

    node.update("mallory", at(-0.4, 0.3, error=0.0), 0.05)

    assert settled.displacement_to(node.coordinate) < 0.0005


def test_the_first_sample_of_two_new_nodes_parts_them() -> None:
    node = client()

    node.update("peer", Coordinate((0.0,) * 8), 0.100)

    assert node.coordinate.norm == pytest.approx(0.5 * 0.8 * 0.1, rel=0.3)


def test_an_adjustment_of_a_serf_peer_counts_in_the_estimate() -> None:
    adjusted = Coordinate((0.05,) + (0.0,) * 7, 0.2, 0.020, 0.005)
    node = client()

    listen(node, adjusted, 0.100, 200)

    assert node.distance_to(adjusted) == pytest.approx(0.100, rel=0.05)


def test_an_adjustment_that_eats_the_whole_estimate_is_left_out() -> None:
    absurd = Coordinate((0.05,) + (0.0,) * 7, 0.2, -9.0, 0.005)
    plain = Coordinate((0.05,) + (0.0,) * 7, 0.2, 0.0, 0.005)
    one, other = client(), client()

    listen(one, absurd, 0.1, 20)
    listen(other, plain, 0.1, 20)

    assert one.coordinate == other.coordinate


def test_centring_takes_far_peers_at_no_more_than_ten_round_trips() -> None:
    # Same peer, same tiny round trip: seen from a lost node, so that everybody is trusted.
    strong = client(at=at(39.0, error=1.5))
    weak = client(Config(centring=0.0), at=at(39.0, error=1.5))

    for node in (strong, weak):
        node.update("peer", at(39.0, 0.0001, height=0.0), 0.0001)

    pulled = weak.coordinate.vector[0] - strong.coordinate.vector[0]
    estimate = 0.0001 + 0.003
    assert pulled == pytest.approx(0.005 * 10 * estimate, rel=1e-6)


def test_averaging_of_one_publishes_the_working_coordinate() -> None:
    node = client(Config(averaging=1.0))

    listen(node, at(0.05), 0.06, 100)

    assert node.coordinate == node.working


def test_a_sample_moves_the_published_coordinate_less_than_the_working_one() -> None:
    node = client()
    listen(node, at(0.05), 0.06, 500)

    working, _, published = moved(node, at(0.051), 0.06)

    assert working > 1e-6
    assert 0.0 < published < 0.1 * working


@pytest.mark.parametrize("dimensions", [1, 2, 5, 8])
def test_every_number_of_dimensions_follows_the_same_rule(dimensions: int) -> None:
    # The written out rule for eight dimensions and the loop agree on what both can say.
    peers = [Coordinate((x,) + (0.0,) * (dimensions - 1), 0.3, 0.0, 0.002) for x in (0.05, -0.05)]
    reference = [at(0.05, error=0.3, height=0.002), at(-0.05, error=0.3, height=0.002)]
    start = Coordinate((0.01,) + (0.0,) * (dimensions - 1), 0.5)
    node = client(Config(dimensions=dimensions), at=start)
    eight = client(at=at(0.01, error=0.5, height=10e-6))

    for i in range(100):
        node.update(f"{i % 2}", peers[i % 2], 0.06)
        eight.update(f"{i % 2}", reference[i % 2], 0.06)

    assert node.coordinate.vector[0] == eight.coordinate.vector[0]
    assert node.coordinate.height == eight.coordinate.height


def test_a_config_without_filter_or_height_works() -> None:
    node = client(Config(filter_window=0, height_min=0.0))

    listen(node, at(0.05, height=0.0), 0.05, 200)

    assert node.distance_to(at(0.05, height=0.0)) == pytest.approx(0.05, rel=0.05)
    assert node.peers_known == 0
    node.check_invariants()


def test_the_same_seed_and_samples_give_the_same_bits() -> None:
    def run() -> Coordinate:
        node, rng = Client(rng=Random(3)), Random(4)
        for i in range(300):
            vector = tuple([rng.gauss(0.0, 0.05) for _ in range(8)])
            node.update(f"peer-{i % 7}", Coordinate(vector, 0.3), rng.random())
        return node.coordinate

    assert numbers(run()) == numbers(run())


@pytest.mark.parametrize("error_max", [0.1, 0.5, 1.5, 10.0])
def test_a_dragged_node_finds_back_whatever_the_largest_error_is(error_max: float) -> None:
    node = client(Config(error_max=error_max), at=at(5.0, error=min(0.05, error_max)))
    peers = [at(0.05, error=0.05), at(-0.05, error=0.05), at(0.0, 0.05, error=0.05)]

    for i in range(600):
        node.update(f"peer-{i % 3}", peers[i % 3], 0.06)

    assert all(node.distance_to(peer) == pytest.approx(0.06, rel=0.3) for peer in peers)


def test_position_step_below_the_centring_still_bounds_the_move() -> None:
    node = client(attrs.evolve(Config(), position_step=0.01, centring=0.04), at=VICTIM)

    working, estimate, _ = moved(node, at(0.03, error=0.0), 0.011)

    assert working <= 0.01 * max(0.011, estimate)


def test_the_step_and_the_centring_share_one_bound() -> None:
    # A lost node beyond its peer: both pull towards the origin, each as far as it may.
    node = client(at=at(10.0, error=1.5, height=0.0))

    working, estimate, _ = moved(node, at(9.9, error=0.0, height=0.0), 0.001)

    assert working <= CC * estimate
    assert working > 0.95 * CC * estimate


def test_who_is_not_trusted_does_not_centre_either() -> None:
    centred, free = client(at=VICTIM), client(Config(centring=0.0), at=VICTIM)

    for node in (centred, free):
        node.update("mallory", at(-0.4, 0.3, error=0.0), 0.05)

    assert centred.working == free.working


def test_vector_and_height_share_a_move_so_that_the_estimate_changes_by_the_force() -> None:
    # The vector with height of the paper, section 5.4.
    here, there = at(0.02, height=0.010), at(0.05, height=0.020)
    node = client(Config(centring=0.0), at=here)

    node.update("peer", there, 0.100)

    after = node.working
    stretched = (0.05 - after.vector[0]) / 0.03
    assert stretched > 1.01
    assert (after.height - 0.010) / 0.030 == pytest.approx(stretched - 1.0)
    assert after.distance_to(there) == pytest.approx(0.060 * stretched)


def test_the_error_of_a_perfect_map_stops_at_its_lower_bound() -> None:
    node = client(Config(centring=0.0), at=at(0.02, height=0.003))

    listen(node, at(0.05, height=0.003), 0.036, 500)

    assert node.coordinate.error == 0.005


def test_a_claim_below_five_percent_counts_as_five() -> None:
    modest, boastful = client(at=VICTIM), client(at=VICTIM)

    modest.update("peer", at(0.05, error=0.05), 0.060)
    boastful.update("peer", at(0.05, error=0.0), 0.060)

    assert boastful.coordinate == modest.coordinate


def test_a_near_peer_weighs_at_most_three_times_a_typical_one() -> None:
    node = client(Config(centring=0.0), at=at(0.02, error=0.02, height=0.003))
    listen(node, at(0.314, error=1.5, height=0.003), 0.300, 10, "far")
    before = node.working

    near = at(0.023, error=1.0, height=0.0)
    node.update("near", near, 0.001)

    weight = before.error / (before.error + 1.0)
    force = before.distance_to(near) - 0.001
    assert before.displacement_to(node.working) <= 3.0 * 0.25 * weight * force * (1 + 1e-6)
    assert before.displacement_to(node.working) >= 2.0 * 0.25 * weight * force


def restless() -> Client:
    """Return a node of many samples whose two peers contradict each other."""
    node = client()
    for i in range(500):
        node.update(f"{i % 2}", at(0.05), 0.06 if i % 2 else 0.12)
    assert 0.2 < node.coordinate.error < 0.9
    return node


def test_after_many_samples_even_a_wrong_node_publishes_calmly() -> None:
    node = restless()

    for i in range(10):
        before = node.coordinate
        node.update(f"{i % 2}", at(0.05), 0.06 if i % 2 else 0.12)
        gap = before.displacement_to(node.working)
        assert before.displacement_to(node.coordinate) <= 0.0501 * gap


def test_a_node_that_is_lost_publishes_fast_again() -> None:
    node = client()
    for i in range(500):
        node.update(f"{i % 2}", at(0.05 if i % 2 else -0.05), 0.06)
    settled = node.coordinate

    # Every peer has moved a second away; the round trips are what they were.
    for i in range(64):
        node.update(f"{i % 2}", at(1.05 if i % 2 else 0.95), 0.06)

    moved_by = settled.displacement_to(node.working)
    assert moved_by > 0.9
    assert node.coordinate.displacement_to(node.working) < 0.05 * moved_by
