"""A member's record, and the two forms of an IP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.errors import DecodeError
from memberlist.node import ALIVE, DEAD, SUSPECT, Node, pack_ip, parse_address, unpack_ip

VERSIONS = bytes((1, 5, 2, 2, 5, 5))
GO1 = Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 3)


def test_a_record_is_alive_unless_it_says_otherwise() -> None:
    assert GO1.state is ALIVE
    assert GO1.ip == bytes((10, 0, 0, 1))
    assert GO1.wire is None
    assert GO1.wire_state is None
    assert repr(GO1) == "<Node go1 alive incarnation=3 10.0.0.1:7946>"


def test_records_are_equal_if_every_field_is() -> None:
    assert Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 3) == GO1
    assert hash(Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 3)) == hash(GO1)
    for other in (
        Node("go2", ("10.0.0.1", 7946), b"role", VERSIONS, 3),
        Node("go1", ("10.0.0.2", 7946), b"role", VERSIONS, 3),
        Node("go1", ("10.0.0.1", 7947), b"role", VERSIONS, 3),
        Node("go1", ("10.0.0.1", 7946), b"", VERSIONS, 3),
        Node("go1", ("10.0.0.1", 7946), b"role", b"", 3),
        Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 4),
        Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 3, SUSPECT),
        "go1",
    ):
        assert other != GO1


def test_a_replaced_record_keeps_who_it_is() -> None:
    dead = GO1.replaced(state=DEAD, incarnation=9)

    assert dead == Node("go1", ("10.0.0.1", 7946), b"role", VERSIONS, 9, DEAD)
    assert repr(dead) == "<Node go1 dead incarnation=9 10.0.0.1:7946>"
    assert GO1.incarnation == 3


def test_a_record_can_be_matched_by_its_fields() -> None:
    match GO1:
        case Node(name, (host, port), meta, versions, incarnation, state):
            found = (name, host, port, meta, versions, incarnation, state)

    assert found == ("go1", "10.0.0.1", 7946, b"role", VERSIONS, 3, ALIVE)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_an_ip_comes_back_in_its_canonical_form(address: object) -> None:
    packed = pack_ip(str(address))

    assert pack_ip(unpack_ip(packed)) == packed
    assert len(packed) in (4, 16)


def test_ipv4_inside_ipv6_is_ipv4_and_a_zone_is_not_sent() -> None:
    mapped = bytes(10) + b"\xff\xff\x0a\x00\x00\x01"

    assert pack_ip("::ffff:10.0.0.1") == pack_ip("10.0.0.1") == bytes((10, 0, 0, 1))
    assert unpack_ip(mapped) == "10.0.0.1"
    assert pack_ip("fe80::1%eth0") == pack_ip("fe80::1")
    assert unpack_ip(bytes(16)) == "::"


@pytest.mark.parametrize("size", [0, 1, 3, 5, 15, 17])
def test_an_ip_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"bad-address: an IP of {size} bytes"):
        unpack_ip(bytes(size))


def test_what_is_no_ip_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        pack_ip("localhost")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", ("10.0.0.1", 7946)),
        ("10.0.0.1:7000", ("10.0.0.1", 7000)),
        ("web1/10.0.0.1:7000", ("10.0.0.1", 7000)),
        ("db.example.com:1", ("db.example.com", 1)),
        ("::1", ("::1", 7946)),
        ("[::1]", ("::1", 7946)),
        ("[::1]:65535", ("::1", 65535)),
        ("web1/[fe80::1]:7000", ("fe80::1", 7000)),
    ],
)
def test_an_address_is_read_in_every_form_that_people_type(
    text: str, address: tuple[str, int]
) -> None:
    assert parse_address(text, 7946) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no host"),
        (":7946", "no host"),
        ("[]", "no host"),
        ("[::1", "not an address"),
        ("[::1]x", "not an address"),
        ("host:x", "not a port"),
        ("host:-1", "not a port"),
        ("host:0", "port 0 is not within"),
        ("host:65536", "port 65536 is not within"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(text, 7946)
