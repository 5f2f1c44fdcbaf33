"""Attacks on a node and on its tables: each was found by trying, none may work again."""

from __future__ import annotations

import tracemalloc

import pytest

from vivaldi import (
    Coordinate,
    DecodeError,
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
