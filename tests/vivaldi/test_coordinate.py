from __future__ import annotations

import base64
import json
from typing import Any

import msgpack
import pytest

from tests.vivaldi.conftest import at, golden, numbers
from vivaldi import Coordinate, DecodeError, IncompatibleCoordinates, Interval
from vivaldi.coordinate import PAYLOAD_BYTES_MAX, confidence_band

SERF = golden("serf_vectors.json")


def test_distances_are_serfs_worked_examples() -> None:
    # serf/coordinate's own unit test.
    a, b = (-0.5, 1.3, 2.4), (1.2, -2.3, 3.4)

    def distance(adjustments: tuple[float, float], heights: tuple[float, float]) -> float:
        one = Coordinate(a, 1.5, adjustments[0], heights[0])
        return one.distance_to(Coordinate(b, 1.5, adjustments[1], heights[1]))

    raw = 4.104875150354758
    assert Coordinate(a, height=0.0).distance_to(Coordinate(a, height=0.0)) == 0.0
    assert distance((0.0, 0.0), (0.0, 0.0)) == pytest.approx(raw, abs=1e-15)
    assert distance((-1e6, 0.0), (0.0, 0.0)) == pytest.approx(raw, abs=1e-15)
    assert distance((0.1, 0.2), (0.0, 0.0)) == pytest.approx(raw + 0.3, abs=1e-14)
    assert distance((0.0, 0.0), (0.7, 0.1)) == pytest.approx(raw + 0.8, abs=1e-14)


@pytest.mark.parametrize("far", [1e10, 1e300])
def test_no_distance_overflows(far: float) -> None:
    # In Serf, 1e10 s come out as -2562047 hours (2.4).
    assert at().distance_to(at(far)) == pytest.approx(far)


@pytest.mark.parametrize(
    "other", [Coordinate((0.0,) * 7), Coordinate((0.0,) * 8, space="wan")], ids=["7d", "wan"]
)
def test_coordinates_of_different_spaces_cannot_be_compared(other: Coordinate) -> None:
    own = Coordinate((0.0,) * 8)

    assert not own.is_compatible_with(other)
    for measure in (own.distance_to, own.displacement_to):
        with pytest.raises(IncompatibleCoordinates):
            measure(other)


def test_a_displacement_counts_vector_and_height() -> None:
    assert at(0.03, height=0.004).displacement_to(at(0.0, 0.04, height=0.001)) == pytest.approx(
        0.053
    )


def test_the_norm_is_the_distance_from_the_origin() -> None:
    assert at(0.03, 0.04, height=0.001).norm == pytest.approx(0.051)


@pytest.mark.parametrize("case", SERF["payloads"], ids=lambda case: str(case["name"]))
def test_ping_payloads_are_serfs_bytes_both_ways(case: Any) -> None:
    wire = base64.b64decode(case["wire"])

    decoded = Coordinate.decode(wire)

    assert decoded == Coordinate.from_json(case["fields"])
    assert decoded.encode() == wire


@pytest.mark.parametrize("case", SERF["ping_complete"], ids=lambda case: str(case["name"]))
def test_payloads_are_taken_and_refused_as_an_agent_does(case: Any) -> None:
    # What an agent caches decodes, and what decodes to nonsense is the client's to refuse.
    name = case["name"].partition("/")[2]
    payload = base64.b64decode(case["input"])

    if name in {"nil", "version-2", "version-0", "only-version", "garbage"}:
        with pytest.raises(DecodeError):
            Coordinate.decode(payload)
        return
    decoded = Coordinate.decode(payload, space="lan")
    assert decoded.space == "lan"
    assert decoded.is_finite == (name != "nan")
    assert (decoded.dimensions == 8) == (name != "wrong-dimensions")


@pytest.mark.parametrize(
    "fields",
    [
        7,
        [0.1, 0.2],
        None,
        {"Vec": 1},
        {"Vec": "12345678"},
        {"Vec": b"12345678"},
        {"Vec": ["a"]},
        {"Vec": [None]},
        {"Vec": [0.0] * 65},
        {"Vec": [], "Error": "1"},
        {"Vec": [], "Error": True},
        {"Vec": [], "Height": {}},
        {"Vec": [], "Adjustment": []},
    ],
    ids=repr,
)
def test_a_document_of_another_shape_does_not_decode(fields: object) -> None:
    with pytest.raises(DecodeError):
        Coordinate.decode(b"\x01" + msgpack.packb(fields))


def test_a_number_beyond_floats_does_not_decode() -> None:
    with pytest.raises(DecodeError, match="Error is too large"):
        Coordinate.from_json({"Error": 10**400})


@pytest.mark.parametrize("body", [b"\xc1", b"\x81\x90\x01", b"\x81\xa1\xff\x01", b"\x84\xa3Vec"])
def test_bytes_that_are_not_msgpack_do_not_decode(body: bytes) -> None:
    with pytest.raises(DecodeError):
        Coordinate.decode(b"\x01" + body)


def test_an_endless_payload_does_not_decode() -> None:
    with pytest.raises(DecodeError, match="longer"):
        Coordinate.decode(Coordinate((0.0,) * 8).encode() + b"x" * PAYLOAD_BYTES_MAX)


def test_missing_fields_are_zero_and_unknown_ones_are_ignored() -> None:
    decoded = Coordinate.decode(b"\x01" + msgpack.packb({"Vec": [1, 2.5], "Color": "red"}))

    assert numbers(decoded) == (1.0, 2.5, 0.0, 0.0, 0.0)


def test_the_json_form_has_serfs_names_both_ways() -> None:
    coordinate = Coordinate((0.5, -1.5), 0.25, -0.001, 0.003, "wan")

    text = json.dumps(coordinate.to_json())

    assert text == '{"Adjustment": -0.001, "Error": 0.25, "Height": 0.003, "Vec": [0.5, -1.5]}'
    assert Coordinate.from_json(json.loads(text), space="wan") == coordinate


def test_equality_looks_at_every_field_and_nothing_else() -> None:
    own = Coordinate((0.5,), 0.25, -0.001, 0.003, "wan")

    assert own == Coordinate((0.5,), 0.25, -0.001, 0.003, "wan")
    assert own != Coordinate((0.6,), 0.25, -0.001, 0.003, "wan")
    assert own != Coordinate((0.5,), 0.26, -0.001, 0.003, "wan")
    assert own != Coordinate((0.5,), 0.25, -0.002, 0.003, "wan")
    assert own != Coordinate((0.5,), 0.25, -0.001, 0.004, "wan")
    assert own != Coordinate((0.5,), 0.25, -0.001, 0.003, "lan")
    assert own != "coordinate"


def test_the_representation_shows_what_matters() -> None:
    assert repr(Coordinate((0.5, -0.25), 0.2)) == (
        "Coordinate((0.5, -0.25), error=0.2, adjustment=0, height=1e-05)"
    )
    assert repr(Coordinate((0.5,), space="wan")).endswith("height=1e-05, space='wan')")


def test_the_band_grows_with_both_errors_and_holds_the_estimate() -> None:
    perfect = confidence_band(0.1, 0.0, 0.0, factor=2.0)
    one = confidence_band(0.1, 0.2, 0.0, factor=2.0)
    both = confidence_band(0.1, 0.2, 0.2, factor=2.0)

    assert perfect == Interval(0.1, 0.1, 0.1)
    assert both.low < one.low < 0.1 < one.high < both.high
    assert both.high == pytest.approx(0.14)
