from __future__ import annotations

from random import Random

import pytest

from vivaldi import Client, Config, Coordinate
from vivaldi.testing import (
    CONTINENTS,
    Jittered,
    Matrix,
    Ranking,
    Simulation,
    Stream,
    centroid,
    circle_with_height,
    clusters,
    coverage,
    drift,
    grid,
    internet,
    line,
    parse_matrix,
    quantile,
    random_matrix,
    ranking,
    relative_errors,
)


def simulation(model: Matrix | Jittered | Stream, seed: int = 1) -> Simulation:
    return Simulation(model, lambda i: Client(rng=Random(i)), rng=Random(seed))


def on_axis(*places: float) -> list[Coordinate]:
    return [Coordinate((place,), height=0.0) for place in places]


def test_a_matrix_is_read_from_text() -> None:
    matrix = parse_matrix("0 10 20\n\n10 0\t5\n20 5 0\n")

    assert (matrix.size, matrix.truth(0, 2)) == (3, 0.02)
    assert matrix.sample(2, 1, 7, Random(1)) == 0.005
    assert parse_matrix("0 0.5\n0.5 0", unit=1.0).truth(0, 1) == 0.5


@pytest.mark.parametrize("text", ["0 1\n1 0 2", "0 1", "0 x\nx 0"])
def test_what_is_no_matrix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"the matrix has|could not convert"):
        parse_matrix(text)


def test_the_layouts_have_the_distances_of_their_names() -> None:
    row, square = line(10, 0.010), grid(5, 0.010)
    split, circle = clusters((2, 1), inside=0.001, across=0.011), circle_with_height(5, 0.1)

    assert row.truth(1, 4) == pytest.approx(0.030)
    assert square.truth(0, 6) == pytest.approx(0.010 * 2**0.5)
    assert split.rows == ((0.0, 0.001, 0.011), (0.001, 0.0, 0.011), (0.011, 0.011, 0.0))
    assert [circle.truth(0, i) for i in range(5)] == pytest.approx([0.0, 0.2, 0.2, 0.2, 0.2])
    assert circle.truth(1, 3) == pytest.approx(0.2)
    assert circle.truth(2, 2) == 0.0


def test_the_drifting_square_starts_beside_the_origin_with_two_nodes_on_one_spot() -> None:
    square, places = drift(0.5)

    assert [square.truth(0, i) for i in range(4)] == pytest.approx([0.0, 0.5, 0.5 * 2**0.5, 0.5])
    assert places == ((0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 0.5))
    assert square.size == len(places)


def test_random_round_trips_are_symmetric_and_not_negative() -> None:
    matrix = random_matrix(20, 0.01, 0.02, Random(1))

    for i in range(20):
        assert matrix.truth(i, i) == 0.0
        assert all(matrix.truth(i, j) == matrix.truth(j, i) >= 0.0 for j in range(20))
    assert quantile(matrix.rows[0], 0.5) > 0.0


def test_the_internet_has_continents_apart() -> None:
    model = internet(200, Random(1))
    by_name = {name: [i for i in range(200) if model.labels[i] == name] for name, *_ in CONTINENTS}

    europe, oceania = by_name["Europe"], by_name["Oceania"]
    near = quantile([model.truth(i, j) for i in europe for j in europe if i != j], 0.5)
    far = quantile([model.truth(i, j) for i in europe for j in oceania], 0.5)
    assert sum(map(len, by_name.values())) == 200
    assert 0.01 < near < 0.06 < 0.15 < far < 0.35


def test_jitter_delays_spikes_multiply_and_losses_lose() -> None:
    model, rng = Jittered(line(2, 0.1), jitter=0.1, spikes=0.1, loss=0.2), Random(1)

    samples = [model.sample(0, 1, 0, rng) for _ in range(4000)]

    arrived = [sample for sample in samples if sample is not None]
    assert (model.size, model.truth(0, 1)) == (2, 0.1)
    assert 0.17 < 1.0 - len(arrived) / 4000 < 0.23
    assert min(arrived) >= 0.1
    assert quantile(arrived, 0.5) == pytest.approx(0.107, abs=0.003)
    assert 0.07 < sum(sample > 0.8 for sample in arrived) / len(arrived) < 0.13


def test_jitter_over_a_lossy_model_keeps_its_losses() -> None:
    lossy = Jittered(line(2, 0.1), loss=1.0)

    assert Jittered(lossy, loss=0.0).sample(0, 1, 0, Random(1)) is None


def test_a_stream_goes_on_from_slice_to_slice_and_knows_its_medians() -> None:
    slices = [[[0.0, 0.1], [0.3, 0.0]], [[0.0, 0.2], [9.0, 0.0]]]
    stream = Stream(slices, rounds=2)

    rng = Random(1)
    assert [stream.sample(0, 1, turn, rng) for turn in range(5)] == [0.1, 0.1, 0.2, 0.2, 0.1]
    assert stream.truth(0, 1) == stream.truth(1, 0) == 0.3
    assert stream.truth(1, 1) == 0.0
    assert stream.size == 2


def test_the_same_seed_gives_the_same_simulation() -> None:
    def run() -> list[Coordinate]:
        world = simulation(Jittered(internet(10, Random(3))))
        world.run(20)
        return world.coordinates

    assert run() == run()


def test_each_node_samples_one_peer_per_round_but_never_itself() -> None:
    world = simulation(line(10, 0.01))
    seen: list[int] = []

    world.run(100, on_update=lambda node, _: seen.append(node))

    assert world.updates == len(seen) == sum(c.stats.updates for c in world.clients)
    assert 850 < world.updates < 950
    assert world.turn == 100
    assert world.moved > 0.0


def test_lost_and_rejected_samples_are_no_updates() -> None:
    lost = simulation(Jittered(line(5, 0.01), loss=1.0))
    slow = simulation(line(5, 20.0))

    lost.run(10)
    slow.run(10)

    assert (lost.updates, lost.rejected) == (0, 0)
    assert slow.updates == 0
    assert slow.rejected > 30


def test_liars_claim_what_they_like_and_learn_nothing() -> None:
    claim = Coordinate((1.0,) * 8, 0.01)
    world = Simulation(
        line(3, 0.01),
        lambda i: Client(rng=Random(i)),
        rng=Random(1),
        liars={0: lambda: claim},
    )
    honest = simulation(line(3, 0.01))

    world.run(30)
    honest.run(30)

    assert world.clients[0].stats.updates == 0
    assert world.clients[1].coordinate != honest.clients[1].coordinate


def test_a_part_of_the_model_can_start_alone() -> None:
    world = Simulation(line(5, 0.01), lambda i: Client(rng=Random(i)), rng=Random(1), nodes=2)

    world.run(10)

    assert len(world.coordinates) == 2


def test_quantiles_are_values_that_occur() -> None:
    assert [quantile([3.0, 1.0, 2.0], q) for q in (0.0, 0.5, 0.9)] == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_relative_errors_are_shares_of_the_truth_over_all_pairs() -> None:
    truth = Matrix(((0.0, 1.0, 2.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0)))
    coordinates = on_axis(0.0, 1.5, 1.0)

    assert relative_errors(coordinates, truth) == [0.5, 0.5]
    assert relative_errors(coordinates, truth, among=[0, 2]) == [0.5]


def test_the_ranking_compares_the_pick_with_the_truth() -> None:
    # Node 0 picks 1 instead of 2, and node 2 picks 1 instead of 0; node 1 picks right.
    truth = Matrix(((0.0, 3.0, 1.0), (3.0, 0.0, 4.0), (1.0, 4.0, 0.0)))

    assert ranking(on_axis(0.0, 0.5, 1.0), truth) == Ranking(1 / 3, 1.0, 2.0)
    assert ranking(on_axis(0.0, -3.0, 1.0), truth) == Ranking(1.0, 1.0, 0.0)


def test_the_centroid_is_the_distance_of_the_mean() -> None:
    assert centroid([Coordinate((3.0, 0.0)), Coordinate((3.0, 8.0))]) == 5.0


def test_coverage_counts_pairs_within_their_band() -> None:
    clients = [Client(Config(dimensions=1), rng=Random(1)) for _ in range(2)]
    clients[0].set_coordinate(Coordinate((0.0,), 0.1, 0.0, 0.001))
    clients[1].set_coordinate(Coordinate((0.05,), 0.1, 0.0, 0.001))

    assert coverage(clients, line(2, 0.055)) == 1.0
    assert coverage(clients, line(2, 0.090)) == 0.0
