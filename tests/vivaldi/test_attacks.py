"""Attacks on a node and on its tables: each was found by trying, none may work again."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.vivaldi.conftest import at
from vivaldi import (
    Coordinate,
    DecodeError,
    InvalidCoordinate,
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


def test_a_negative_height_makes_nobody_the_nearest_peer() -> None:
    peers = Peers()
    peers.put("honest", at(0.05, height=0.0))

    with pytest.raises(InvalidCoordinate) as caught:
        peers.put("liar", at(0.3, height=-100.0))

    assert caught.value.reason is Rejection.HEIGHT_RANGE
    assert peers.nearest(at(height=0.0), 2) == [("honest", 0.05)]


def test_an_adjustment_that_moves_estimates_is_published() -> None:
    publisher = Publisher()
    publisher.offer(Coordinate((0.1,), 0.2, 0.0))

    assert not publisher.offer(Coordinate((0.1,), 0.2, 0.004))
    assert publisher.offer(Coordinate((0.1,), 0.2, -0.010))
