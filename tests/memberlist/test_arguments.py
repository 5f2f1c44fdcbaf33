"""What a caller may pass, and in which form it is kept."""

import math
from typing import Any

import pytest

from memberlist import Node
from memberlist.arguments import (
    check_address,
    check_bytes,
    check_known,
    check_name,
    check_seed,
    check_time,
)
from memberlist.node import DEAD, INCARNATION_MAX
from tests.memberlist.vocabulary import VERSIONS, node


def test_bytes_are_bytes_and_nothing_like_them() -> None:
    assert check_bytes(b"x", "payload") == b"x"
    for value in ("x", bytearray(b"x"), memoryview(b"x"), None, [120]):
        with pytest.raises(TypeError, match="payload must be bytes, not"):
            check_bytes(value, "payload")  # type: ignore[arg-type] # that is the point


def test_a_name_is_text_of_one_to_512_bytes() -> None:
    assert check_name("\N{SNOWMAN}" * 170) == "\N{SNOWMAN}" * 170
    for name in ("", "\N{SNOWMAN}" * 171, "\udcff"):
        with pytest.raises(ValueError, match=r"."):
            check_name(name)
    with pytest.raises(TypeError, match="a name must be text, not bytes"):
        check_name(b"a")  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize("where", [("db.example", 1), ("10.0.0.1", 65535), ("::1", 7946)])
def test_a_seed_is_a_host_and_a_port(where: Any) -> None:
    assert check_seed(where) == where


@pytest.mark.parametrize(
    "where",
    [("", 1), ("a", 0), ("a", 65536), ("a", -1), ("a", "1"), (b"a", 1), (None, 1), "ab", "a:1", ()],
)
def test_anything_else_is_no_seed(where: Any) -> None:
    with pytest.raises(ValueError, match=r"not an address .*parse_address"):
        check_seed(where)


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_our_own_address_is_kept_as_peers_tell_it(host: str, kept: str) -> None:
    assert check_address((host, 7946)) == (kept, 7946)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:0.0.0.0", "localhost", "10.0.0"])
def test_our_own_address_is_an_ip_that_others_can_use(host: str) -> None:
    with pytest.raises(ValueError, match=r"can't reach|IP"):
        check_address((host, 7946))


def test_time_is_finite() -> None:
    assert check_time(-1e12) == -1e12
    for now in (math.inf, -math.inf, math.nan, 1.1e12, -1.1e12, 10**400):
        with pytest.raises(ValueError, match="time must be finite"):
            check_time(now)


def test_a_known_member_is_kept_as_it_is() -> None:
    for known in (node("b"), node("b", 7, DEAD, meta=bytes(512)), node("b", versions=b"")):
        assert check_known(known) is known


def test_a_known_members_address_is_kept_as_peers_tell_it() -> None:
    known = node("b", 7, DEAD, at=("2001:DB8:0::1", 7946), meta=b"x")

    assert check_known(known) == node("b", 7, DEAD, at=("2001:db8::1", 7946), meta=b"x")


@pytest.mark.parametrize(
    "known",
    [
        Node("", ("10.0.0.2", 7946), b"", VERSIONS, 1),
        Node("b" * 513, ("10.0.0.2", 7946), b"", VERSIONS, 1),
        Node("b", ("10.0.0.2", 0), b"", VERSIONS, 1),
        Node("b", ("10.0.0.2", 65536), b"", VERSIONS, 1),
        Node("b", ("10.0.0.2", 7946), bytes(513), VERSIONS, 1),
        Node("b", ("10.0.0.2", 7946), b"", b"\1\5", 1),
        Node("b", ("10.0.0.2", 7946), b"", VERSIONS, -1),
        Node("b", ("10.0.0.2", 7946), b"", VERSIONS, INCARNATION_MAX + 1),
    ],
)
def test_a_known_member_that_no_peer_could_have_told_of_is_refused(known: Node) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_known(known)


@pytest.mark.parametrize(
    "known",
    [
        "b",
        None,
        Node("b", ("10.0.0.2", 7946), "x", VERSIONS, 1),  # type: ignore[arg-type] # on purpose
        Node(5, ("10.0.0.2", 7946), b"", VERSIONS, 1),  # type: ignore[arg-type] # on purpose
        Node("b", ("10.0.0.2", 7946), b"", VERSIONS, 1.5),  # type: ignore[arg-type] # on purpose
    ],
)
def test_a_known_member_is_a_node_of_the_right_types(known: Any) -> None:
    with pytest.raises(TypeError):
        check_known(known)


def test_time_is_a_number() -> None:
    assert check_time(5) == 5
    for now in ("5", None, b"5"):
        with pytest.raises(TypeError):
            check_time(now)  # type: ignore[arg-type] # that is the point
