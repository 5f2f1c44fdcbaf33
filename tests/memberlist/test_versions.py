"""The protocol's versions: the matrix of upstream's tests, and what peers understand."""

import pytest

from memberlist.versions import (
    supports_crc,
    supports_nack,
    supports_stream_ping,
    verify_protocol,
)

NOTHING = (0, 0, 0)


def protocol(*three: int) -> bytes:
    return bytes((*three, *NOTHING))


def application(*three: int) -> bytes:
    return bytes((*NOTHING, *three))


@pytest.mark.parametrize("make", [protocol, application])
@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ([NOTHING], [NOTHING], True),
        ([NOTHING], [(0, 1, 0)], True),
        ([NOTHING], [(1, 1, 1)], False),
        ([(0, 1, 0), (0, 2, 1)], [(1, 3, 1)], False),
        ([(0, 3, 2), (0, 2, 0)], [(0, 2, 1), (0, 5, 0)], True),
        ([(1, 5, 2)], [(1, 5, 5)], True),
        ([(1, 5, 6)], [(1, 5, 5)], False),
    ],
)
def test_members_live_together_if_all_speak_what_all_understand(
    make: object, ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]], fits: bool
) -> None:
    """Upstream's `TestMemberlist_VerifyProtocol`, each pair both ways."""
    assert callable(make)
    mine, others = [make(*v) for v in ours], [make(*v) for v in theirs]

    assert (verify_protocol(mine + others, mine + others) is None) == fits
    assert (verify_protocol(others + mine, others + mine) is None) == fits


def test_the_dead_have_no_say_but_must_fit() -> None:
    alive, dead = protocol(1, 5, 2), protocol(4, 4, 4)

    assert verify_protocol([alive], [alive, dead]) is None
    assert verify_protocol([alive], [alive, protocol(1, 9, 9)]) == (
        "protocol version 9 of a member is not within 1 to 5, which all alive ones speak"
    )


def test_application_versions_are_told_apart_from_the_protocol_s() -> None:
    mine, other = bytes((1, 5, 2, 2, 5, 4)), bytes((1, 5, 2, 0, 3, 0))

    assert verify_protocol([mine, other], [mine, other]) == (
        "application version 4 of a member is not within 2 to 3, which all alive ones speak"
    )


def test_missing_versions_count_as_zeros_and_have_no_say() -> None:
    assert verify_protocol([b""], [b""]) is None
    assert verify_protocol([b"", protocol(0, 5, 2)], [b"", protocol(0, 5, 2)]) is None
    assert verify_protocol([b"", protocol(1, 5, 2)], [b"", protocol(1, 5, 2)]) is not None
    assert verify_protocol([], []) is None


@pytest.mark.parametrize(
    ("versions", "stream_ping", "nack", "crc"),
    [
        (b"", False, False, False),
        (b"\x01", False, False, False),
        (protocol(1, 2, 2), False, False, False),
        (protocol(1, 3, 2), True, False, False),
        (protocol(1, 4, 2), True, True, False),
        (protocol(1, 5, 2), True, True, True),
    ],
)
def test_a_peer_understands_what_its_maximum_says(
    versions: bytes, stream_ping: bool, nack: bool, crc: bool
) -> None:
    assert supports_stream_ping(versions) == stream_ping
    assert supports_nack(versions) == nack
    assert supports_crc(versions) == crc
