"""What holds for every input: properties, and a million odd samples."""

from __future__ import annotations

from math import cos, dist, sin
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vivaldi.conftest import client, numbers
from vivaldi import Config, Coordinate, DecodeError, SampleRejected

FUZZED = 1_000_000
PARTS = 5

PLAUSIBLE = (0.0, -0.0, 1e-300, -1e-9, 1e-9, 1e-6, 1e-3, 0.02, 0.1, 1.0, 1.5, 9.9, 10.0, 40.0)
NONSENSE = (1.6, 10.1, -0.2, -5.0, 1e6, 1e154, 1e300, -1e300)
ODD = PLAUSIBLE + NONSENSE + (float("inf"), float("-inf"), float("nan"))

finite = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(1e-4, 1.0)
vectors = st.tuples(*[st.floats(-1.0, 1.0)] * 8)
coordinates = st.builds(
    Coordinate, vectors, st.floats(0.0, 1.5), st.just(0.0), st.floats(1e-5, 0.1)
)


def odd_coordinate(rng: Random) -> Coordinate:
    """Return a coordinate of which each field may be plausible, extreme or nonsense."""

    def field(plausible: float) -> float:
        return rng.choice(ODD) if rng.random() < 0.1 else plausible

    vector = tuple([field(rng.gauss(0.0, 10.0 ** rng.uniform(-4, 1))) for _ in range(8)])
    return Coordinate(
        vector, field(rng.uniform(0.0, 1.5)), field(0.0), field(10.0 ** rng.uniform(-5, 0.5))
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_a_million_odd_samples_leave_every_field_finite_and_in_range(part: int) -> None:
    print(f"seed {part}; to repeat: python -m pytest {__file__} -k million")
    rng = Random(part)
    node = client(Config(peers_max=50), seed=part)
    pool = [odd_coordinate(rng) for _ in range(5000)]
    rtts = [rng.choice(ODD) if rng.random() < 0.1 else rng.random() for _ in range(997)]
    names = [f"peer-{i}" for i in range(211)]

    refused = 0
    for i in range(FUZZED // PARTS):
        if i % 2000 == 0:
            pool[i // 40 % 5000 :][:50] = []
            pool += [odd_coordinate(rng) for _ in range(5000 - len(pool))]
        try:
            own = node.update(names[i % 211], pool[i * 31 % 5000], rtts[i % 997])
        except SampleRejected:
            refused += 1
            continue
        assert 0.005 <= own.error <= 1.5
        assert 10e-6 <= own.height <= 10.0
        assert min(own.vector) >= -40.1
        assert max(own.vector) <= 40.1
    node.check_invariants()

    assert 0.1 < refused / (FUZZED // PARTS) < 0.9
    assert sum(node.stats.rejected.values()) == refused


def test_serfs_profile_survives_finite_odd_samples_too(seed: int) -> None:
    rng = Random(seed)
    node = client(Config.serf(), seed=seed)

    for i in range(10_000):
        try:
            own = node.update(f"peer-{i % 50}", odd_coordinate(rng), rng.random())
        except SampleRejected:
            continue
        assert own.is_finite


@given(coordinates, coordinates)
def test_distance_is_symmetric_and_never_negative(a: Coordinate, b: Coordinate) -> None:
    # Up to the rounding of Serf's order of additions.
    assert a.distance_to(b) == pytest.approx(b.distance_to(a), rel=1e-15)
    assert a.distance_to(b) >= 0.0


@given(coordinates, st.lists(st.tuples(coordinates, seconds), max_size=8), vectors)
def test_the_spring_does_not_care_where_the_origin_is(
    start: Coordinate, samples: list[tuple[Coordinate, float]], shift: tuple[float, ...]
) -> None:
    def shifted(c: Coordinate) -> Coordinate:
        vector = tuple([x + y for x, y in zip(c.vector, shift, strict=True)])
        return Coordinate(vector, c.error, c.adjustment, c.height)

    if any(dist(start.vector, other.vector) < 0.01 for other, _ in samples):
        return
    # Without centring: that is what ties the nodes to the origin.
    config = Config(centring=0.0, averaging=1.0)
    here, there = client(config, at=start), client(config, at=shifted(start))
    for i, (other, rtt) in enumerate(samples):
        here.update(f"peer-{i}", other, rtt)
        there.update(f"peer-{i}", shifted(other), rtt)

    expected = numbers(shifted(here.coordinate))
    assert numbers(there.coordinate) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(coordinates, st.tuples(coordinates, seconds), st.floats(0.0, 6.3))
def test_a_rotation_of_the_space_rotates_the_update(
    start: Coordinate, sample: tuple[Coordinate, float], angle: float
) -> None:
    def rotated(c: Coordinate) -> Coordinate:
        x, y, *rest = c.vector
        turned = (x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle), *rest)
        return Coordinate(turned, c.error, c.adjustment, c.height)

    other, rtt = sample
    if dist(start.vector, other.vector) < 0.01:
        return
    here, there = client(at=start), client(at=rotated(start))

    expected = numbers(rotated(here.update("peer", other, rtt)))
    found = numbers(there.update("peer", rotated(other), rtt))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.permutations(range(6)))
def test_the_names_of_peers_mean_nothing(order: list[int]) -> None:
    peers = [Coordinate((0.01 * i,) * 8, 0.3, 0.0, 0.001) for i in range(6)]
    one, other = client(), client()

    for turn in range(30):
        i = turn % 6
        one.update(f"peer-{i}", peers[i], 0.05)
        other.update(f"peer-{order[i]}", peers[i], 0.05)

    assert one.coordinate == other.coordinate


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    for candidate in (payload, b"\x01" + payload):
        try:
            decoded = Coordinate.decode(candidate)
        except DecodeError:
            continue
        assert isinstance(decoded, Coordinate)


@given(st.tuples(*[finite] * 8), finite, finite, finite)
def test_every_coordinate_survives_both_encodings(
    vector: tuple[float, ...], error: float, adjustment: float, height: float
) -> None:
    own = Coordinate(vector, error, adjustment, height)

    assert Coordinate.decode(own.encode()) == own
    assert Coordinate.from_json(own.to_json()) == own
