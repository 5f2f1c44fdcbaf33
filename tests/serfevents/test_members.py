"""Records of members, and the two forms of an IP."""

import pytest

from serfevents import DecodeError, Status, is_valid_name
from serfevents.members import pack_ip, unpack_ip
from tests.serfevents.vocabulary import member


def test_statuses_have_serfs_numbers() -> None:
    assert [each.name for each in sorted(Status)] == ["NONE", "ALIVE", "LEAVING", "LEFT", "FAILED"]
    assert [int(each) for each in sorted(Status)] == [0, 1, 2, 3, 4]


def test_equal_records_are_equal_and_can_be_put_in_sets() -> None:
    assert member("a", role="web") == member("a", role="web")
    assert member("a", role="web") != member("a", role="db")
    assert len({member("a"), member("a"), member("b")}) == 2


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("127.0.0.1", bytes([127, 0, 0, 1])),
        ("::ffff:127.0.0.1", bytes([127, 0, 0, 1])),
        ("2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
        ("fe80::1%eth0", bytes.fromhex("fe800000000000000000000000000001")),
    ],
)
def test_an_ip_is_packed_ipv4_always_into_4_bytes(text: str, packed: bytes) -> None:
    assert pack_ip(text) == packed
    assert pack_ip(unpack_ip(packed)) == packed


def test_mapped_ipv4_is_unpacked_as_ipv4() -> None:
    assert unpack_ip(bytes(10) + b"\xff\xff\x7f\x00\x00\x01") == "127.0.0.1"


@pytest.mark.parametrize("packed", [b"", b"abc", bytes(5), bytes(17)])
def test_what_is_no_ip_is_refused(packed: bytes) -> None:
    with pytest.raises(DecodeError, match="bad-address"):
        unpack_ip(packed)


def test_a_text_that_is_no_ip_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        pack_ip("host")


@pytest.mark.parametrize("name", ["web-1.example\n", "wéb", "a" * 129, "a b"])
def test_serfs_rule_for_names_is_strict(name: str) -> None:
    assert not is_valid_name(name)
