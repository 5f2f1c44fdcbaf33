"""What the application may pass: in the right form, or refused."""

from typing import Any

import pytest

from serfevents.arguments import (
    check_address,
    check_bytes,
    check_name,
    check_text,
    check_time,
)


def test_what_is_right_comes_back() -> None:
    assert check_bytes(b"x", "it") == b"x"
    assert check_text("x", "it") == "x"
    assert check_name("x" * 128) == "x" * 128
    assert check_time(1) == 1
    assert check_address(("2001:DB8::1", 1)) == ("2001:db8::1", 1)


@pytest.mark.parametrize("name", ["", "x" * 129, "é" * 65])
def test_a_name_has_1_to_128_bytes(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 bytes"):
        check_name(name)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:1", ("", 1), ("10.0.0.1", 0), ("10.0.0.1", 65536), ("::", 1), ("host", 1), (1, 2)],
)
def test_an_address_is_one_that_others_can_reach(address: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- also what ipaddress says of a host name
        check_address(address)


def test_wrong_types_are_named() -> None:
    with pytest.raises(TypeError, match="it must be bytes, not str"):
        check_bytes("x", "it")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="it must be text, not bytes"):
        check_text(b"x", "it")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="seconds, not str"):
        check_time("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [float("inf"), float("nan"), 2e12, -2e12])
def test_a_time_is_finite_and_fine(now: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        check_time(now)
