"""What a caller may pass, and in which form it is kept."""

import math
from typing import Any

import pytest

from memberlist.arguments import check_address, check_bytes, check_name, check_seed, check_time


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
    [("", 1), ("a", 0), ("a", 65536), ("a", -1), ("a", "1"), (b"a", 1), (None, 1), "ab", "abc", ()],
)
def test_anything_else_is_no_seed(where: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
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
