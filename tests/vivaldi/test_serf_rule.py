"""Serf's rule: what Serf's own code did with the same inputs, to the bit."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from tests.vivaldi import scenarios
from tests.vivaldi.conftest import client, golden, listen, numbers, seconds
from vivaldi import Client, Config, Coordinate, InvalidCoordinate, InvalidRtt, Rejection
from vivaldi.serf_rule import OVERFLOWN, added, added_in_order, apply_force, truncated

VECTORS = golden("serf_vectors.json")["coordinate"]


def read(fields: Any) -> Coordinate:
    """Return a coordinate of the golden files; floats that JSON lacks are maps there."""
    if isinstance(fields["Error"], dict):
        fields = fields | {"Error": float(fields["Error"]["float"])}
    return Coordinate.from_json(fields)


def configuration(run: Any) -> Config:
    return attrs.evolve(
        Config.serf(dimensions=run["Dims"]),
        adjustment_window=run["Window"],
        filter_window=run["Filter"],
        height_min=run["HeightMin"],
        gravity_rho=run["Rho"],
        error_step=run["CE"],
        position_step=run["CC"],
        error_max=run["ErrMax"],
    )


@pytest.mark.parametrize("run", golden("serf_golden.json"), ids=lambda run: f"{run['Dims']}d")
def test_every_state_of_540_updates_is_serfs(run: Any) -> None:
    node = client(configuration(run), at=read(run["Start"]))
    peers = {step["Node"]: read(step["Other"]) for step in run["Steps"]}

    for number, step in enumerate(run["Steps"]):
        state = node.update(step["Node"], read(step["Other"]), seconds(step["RttNs"]))
        assert numbers(state) == numbers(read(step["Result"])), number
    assert len(peers) > 1


@pytest.mark.parametrize("case", VECTORS["distance"])
def test_distances_are_serfs_to_the_nanosecond(case: Any) -> None:
    distance = read(case["a"]).distance_to(read(case["b"]))

    assert int(distance * 1e9) == case["distance_ns"]


@pytest.mark.parametrize("case", VECTORS["updates"])
def test_sequences_of_updates_and_refusals_are_serfs(case: Any) -> None:
    node = client(Config.serf(), at=read(case["start"]))

    for step in case["steps"]:
        before = node.coordinate
        if "error" in step:
            with pytest.raises((InvalidCoordinate, InvalidRtt)):
                node.update(step["node"], read(step["other"]), seconds(step["rtt_ns"]))
            assert node.coordinate is before
            continue
        state = node.update(step["node"], read(step["other"]), seconds(step["rtt_ns"]))
        assert numbers(state) == numbers(read(step["result"]))
        assert node.stats.resets == step["resets"]


@pytest.mark.parametrize("case", VECTORS["apply_force"])
def test_a_force_moves_vector_and_height_as_serf_moves_them(case: Any) -> None:
    state = apply_force(
        read(case["c"]), case["force"], read(case["other"]), height_min=10e-6, rng=Random(1)
    )

    assert numbers(state) == numbers(read(case["result"]))


@pytest.mark.parametrize("dimensions", [3, 8])
def test_an_update_is_a_spring_and_then_gravity(dimensions: int) -> None:
    # The same rule twice: written out for eight dimensions, and in forces.
    config = attrs.evolve(Config.serf(dimensions=dimensions), adjustment_window=0)
    here = Coordinate(tuple([0.01 * (i + 1) for i in range(dimensions)]), 0.5, 0.0, 0.002)
    there = Coordinate(tuple([0.02 * (3 - i) for i in range(dimensions)]), 0.5, 0.0, 0.004)
    node, rng = client(config, at=here), Random(1)

    state = node.update("peer", there, 0.2)

    force = 0.25 * 0.5 * (0.2 - truncated(here.distance_to(there)))
    sprung = apply_force(here, force, there, height_min=10e-6, rng=rng)
    origin = Coordinate((0.0,) * dimensions)
    pull = -((truncated(sprung.distance_to(origin)) / 150.0) ** 2)
    settled = apply_force(sprung, pull, origin, height_min=10e-6, rng=rng)
    assert (state.vector, state.height) == (settled.vector, settled.height)


EXTREME = (0.0, -0.0, 1e-7, -1e-7, 1e-3, 0.5, -0.5, 2.0, 1e9, -1e9, 1e155, 1e300, -1e300)
EVERYDAY = (0.001, 0.01, -0.01, 0.02, -0.02, 0.05)


class East(Random):
    """Whose random directions are all the first axis."""

    def random(self) -> float:
        return 0.5


@pytest.mark.parametrize("extremes", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("changes", [{}, {"gravity_rho": 1e-3, "adjustment_window": 0}])
def test_eight_dimensions_written_out_are_the_general_rule(
    extremes: float, changes: dict[str, Any]
) -> None:
    # A ninth dimension of zeros changes no bit, but takes the general way.
    rng = Random(1)
    eight = Client(attrs.evolve(Config.serf(), **changes), rng=East())
    nine = Client(attrs.evolve(Config.serf(dimensions=9), **changes), rng=East())

    for number in range(3000):
        fields = [rng.choice(EXTREME if rng.random() < extremes else EVERYDAY) for _ in range(11)]
        here = Coordinate(tuple(fields[:8]), fields[8], fields[9], fields[10])
        there = Coordinate((*here.vector, 0.0), fields[8], fields[9], fields[10])
        if number % 50 == 0:
            eight.set_coordinate(here)
            nine.set_coordinate(there)
            continue
        rtt = rng.choice([0.0, 1e-7, 0.01, 0.05, 0.06, 10.0])
        state = numbers(eight.update(f"peer-{number % 5}", here, rtt))
        general = numbers(nine.update(f"peer-{number % 5}", there, rtt))
        assert state == general[:8] + general[9:], number
    assert eight.stats.resets == nine.stats.resets


@pytest.mark.parametrize("dimensions", [1, 2, 3, 8, 9])
def test_nodes_on_one_spot_part_in_a_random_direction(dimensions: int) -> None:
    node = client(Config.serf(dimensions=dimensions))
    peer = Coordinate((0.0,) * dimensions)

    state = node.update("peer", peer, 0.100)

    moved = state.displacement_to(peer)
    assert moved == pytest.approx(0.25 * 0.5 * (0.100 - 20e-6), rel=1e-6)
    assert state.height == 10e-6


@pytest.mark.parametrize("dimensions", [2, 8])
def test_gravity_at_the_origin_has_a_random_direction_too(dimensions: int) -> None:
    config = attrs.evolve(Config.serf(dimensions=dimensions), gravity_rho=1e-6)
    there = Coordinate((0.1,) + (0.0,) * (dimensions - 1), height=0.001)
    node = client(config)

    # The estimate is right, so that only gravity moves the node.
    state = node.update("peer", there, node.distance_to(there))

    assert state.vector != (0.0,) * dimensions


def test_the_filter_takes_the_median_of_the_last_three_round_trips() -> None:
    node, other = client(Config.serf()), Coordinate((0.05,) + (0.0,) * 7)
    plain = client(attrs.evolve(Config.serf(), filter_window=0))

    for measured, filtered in zip(
        (0.201, 0.200, 0.207, 1.9, 0.203, 0.199, 0.211),
        (0.201, 0.201, 0.201, 0.207, 0.207, 0.203, 0.203),
        strict=True,
    ):
        assert node.update("alice", other, measured) == plain.update("alice", other, filtered)
    assert node.update("bob", other, 0.310) == plain.update("bob", other, 0.310)
    node.forget("alice")
    assert node.update("alice", other, 0.888) == plain.update("alice", other, 0.888)


@pytest.mark.parametrize(
    "rtt", [-1e-9, -35.0, 10.0 + 1e-9, 11.0, 1e300, float("inf"), float("nan")]
)
def test_a_round_trip_out_of_range_is_refused_and_changes_nothing(rtt: float) -> None:
    node, other = client(Config.serf()), Coordinate((0.05,) + (0.0,) * 7)
    listen(node, other, 0.1, 5)
    before = node.coordinate

    with pytest.raises(InvalidRtt) as caught:
        node.update("new peer", other, rtt)

    assert caught.value.reason is Rejection.RTT_RANGE
    assert node.coordinate is before
    assert (node.peers_known, node.stats.rejected[Rejection.RTT_RANGE]) == (1, 1)


def test_ten_seconds_and_zero_are_accepted_and_zero_is_counted() -> None:
    node, other = client(Config.serf()), Coordinate((0.05,) + (0.0,) * 7)

    node.update("a", other, 10.0)
    node.update("b", other, 0.0)

    assert (node.stats.updates, node.stats.zero_rtts) == (2, 1)


@pytest.mark.parametrize("field", range(11))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_field_that_is_not_finite_is_refused(field: int, value: float) -> None:
    fields = [0.01] * 11
    fields[field] = value
    bad = Coordinate(tuple(fields[:8]), fields[8], fields[9], fields[10])
    node = client(Config.serf())
    before = node.coordinate

    for attempt in (lambda: node.update("peer", bad, 0.1), lambda: node.set_coordinate(bad)):
        with pytest.raises(InvalidCoordinate) as caught:
            attempt()
        assert caught.value.reason is Rejection.NOT_FINITE
    assert node.coordinate is before


def test_a_huge_but_finite_sum_is_no_reason_to_refuse() -> None:
    node = client(Config.serf())
    huge = Coordinate((1e200,) + (0.0,) * 7, 0.5)

    node.update("peer", huge, 0.1)

    assert node.stats.updates == 1


def test_one_poisoned_sample_resets_serf_twenty_times() -> None:
    # Parity includes the fault: infinity stays in the adjustment window for 20 updates.
    node, honest = client(Config.serf()), Coordinate((0.05,) + (0.0,) * 7, 0.3)
    listen(node, honest, 0.05, 30)

    node.update("mallory", Coordinate((1e300,) + (0.0,) * 7, 0.3), 0.05)
    listen(node, honest, 0.05, 40)

    assert node.stats.resets == 20
    node.check_invariants()


def test_a_sure_node_is_frozen_as_in_serf() -> None:
    here = Coordinate((0.01,) + (0.0,) * 7, error=0.0)
    node = client(attrs.evolve(Config.serf(), gravity_rho=1e9), at=here)

    listen(node, Coordinate((0.0,) * 8, 0.5), 0.5, 100)

    assert node.coordinate.vector == here.vector


def test_distances_overflow_as_durations_do() -> None:
    assert truncated(12.345678901234) == 12.345678901
    assert truncated(9.3e9) == OVERFLOWN
    assert truncated(float("inf")) == truncated(-9.3e9) == truncated(-1e300) == OVERFLOWN
    assert pytest.approx(-9223372036.854776) == OVERFLOWN


def test_the_window_is_added_from_left_to_right_on_any_python() -> None:
    # 3.12 and later compensate for rounding in `sum`, Go does not.
    rng = Random(5)
    for _ in range(100):
        values = [rng.uniform(-1.0, 1.0) * 10.0 ** rng.randrange(-9, 9) for _ in range(20)]
        assert added(values, 0.25) == added_in_order(values, 0.25)
    assert added_in_order([1e100, 1.0, -1e100], 0.0) == 0.0


# Median and worst mean error, worst pair: what Go reached over 40 seeds.
BANDS = {
    "line": (0.0025, 0.0043, 0.023),
    "grid": (0.0017, 0.0024, 0.027),
    "split": (0.000055, 0.0043, 0.037),
    "height": (0.0032, 0.0047, 0.104),
    "random": (0.051, 0.062, 0.388),
}


@pytest.mark.simulation
@pytest.mark.parametrize("name", BANDS)
def test_serfs_scenarios_stay_within_serfs_own_bands(
    name: str, pytestconfig: pytest.Config
) -> None:
    # Ten seeds, or all forty with `--seeds 40`, which is when the median means something.
    median, worst, worst_pair = BANDS[name]
    count = max(10, int(pytestconfig.getoption("--seeds")))
    tolerance = 0.15 if count >= 40 else 0.5

    runs = [scenarios.layout_errors(name, "serf", seed) for seed in range(count)]

    means = sorted(mean for mean, _ in runs)
    print(name, f"seeds 0 to {count - 1}, mean errors:", means)
    assert abs(means[count // 2] / median - 1.0) <= tolerance
    # The worst of 40 runs is one draw of chance: one run in twenty may be worse than Go's worst.
    beyond = max(1, count // 20)
    assert sum(mean > worst for mean in means) <= beyond
    assert sum(pair > worst_pair for _, pair in runs) <= beyond


@pytest.mark.simulation
def test_only_the_high_node_is_high(seed: int) -> None:
    model, dimensions = scenarios.LAYOUTS["height"]
    simulation = scenarios.simulate(model, Config.serf(dimensions=dimensions), seed)

    simulation.run(1000)

    heights = [coordinate.height for coordinate in simulation.coordinates]
    assert heights[0] >= 0.97 * 0.1
    # Serf's own test asks for 0.03 of the radius; Go itself reaches 0.0041 s (3.2).
    assert max(heights[1:]) <= 0.0045


@pytest.mark.simulation
def test_the_square_does_not_drift_away() -> None:
    baseline, later = scenarios.square_drift("serf", 1)

    assert later <= 0.8 * baseline


def test_the_same_seed_and_samples_give_the_same_bits() -> None:
    def run() -> Coordinate:
        node, rng = Client(Config.serf(), rng=Random(3)), Random(4)
        for i in range(300):
            peer = Coordinate(tuple([rng.gauss(0.0, 0.05) for _ in range(8)]), 0.3)
            node.update(f"peer-{i % 7}", peer, rng.random())
        return node.coordinate

    assert numbers(run()) == numbers(run())
