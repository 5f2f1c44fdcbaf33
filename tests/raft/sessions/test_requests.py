"""Requests as bytes: what is none is refused, whoever wrote it."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.sessions import Close, Command, Register, Request, decode_request, encode_request


@pytest.mark.parametrize(
    "request_", [Register(), Close(9), Command(9, 2, 1, b""), Command(1, 2**63 - 1, 5, b"x")]
)
def test_a_request_survives(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize(
    "elements",
    [
        None,
        [],
        [2, 0],
        [1, 3],
        [1, 0, 0],
        [1, 1],
        [1, 1, "9"],
        [1, 2, 9, 1, 1],
        [1, 2, 9, 1, 1, "text"],
        [1, 2, 9, 1, 2, b""],
        [1, 2, 9, 0, 0, b""],
        [1, 2, 0, 1, 1, b""],
        [1, 2, 9, 2**63, 1, b""],
        [1, 2, 9, 1, 1, b"", 0],
        {},
    ],
)
def test_what_is_no_request_is_refused(elements: object) -> None:
    with pytest.raises(ValueError, match="not a request"):
        decode_request(msgpack.packb(elements))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        request = decode_request(data)
    except ValueError:
        return

    assert decode_request(encode_request(request)) == request
