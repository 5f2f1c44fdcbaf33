"""The msgpack dialect: what is written, what is read, and where a value ends."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.dialect import (
    ELEMENTS_MAX,
    INT_MAX,
    MESSAGE_SIZE_MAX,
    U16_MAX,
    U32_MAX,
    Extent,
    Fields,
    decode_fields,
    encode_raw,
    encode_text,
    encode_uint,
    take_bool,
    take_raw,
    take_text,
    take_uint,
)
from memberlist.errors import DecodeError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(st.integers(0, 2**64 - 1))
def test_an_integer_is_written_in_its_shortest_form(value: int) -> None:
    assert encode_uint(value) == msgpack.packb(value)


@pytest.mark.parametrize(
    "value", [0, 127, 128, 255, 256, U16_MAX, U16_MAX + 1, U32_MAX, U32_MAX + 1, 2**64 - 1]
)
def test_each_width_of_integers_has_its_own_form(value: int) -> None:
    assert encode_uint(value) == msgpack.packb(value)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_an_integer_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="is not within"):
        encode_uint(value)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, U16_MAX, U16_MAX + 1])
def test_bytes_are_written_in_the_raw_family_only(size: int) -> None:
    assert encode_raw(bytes(size)) == msgpack.packb(bytes(size), use_bin_type=False)


@given(st.binary(max_size=50))
def test_bytes_that_are_not_utf8_survive_as_text(data: bytes) -> None:
    fields = decode_fields(b"\x81\xa1k" + encode_raw(data))

    assert encode_text(take_text(fields, b"k")) == encode_raw(data)


def test_a_field_that_is_missing_or_nil_has_its_zero_value() -> None:
    for fields in (decode_fields(b"\x80"), decode_fields(b"\xc0"), {b"k": None}):
        assert take_uint(fields, b"k", 1) == 0
        assert take_raw(fields, b"k") == b""
        assert take_text(fields, b"k") == ""
        assert take_bool(fields, b"k") is False


@pytest.mark.parametrize("value", [-1, 256, True, 1.0, b"1", [], {}])
def test_an_integer_field_of_another_type_or_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(DecodeError, match="bad-field: k is not within 0 to 255"):
        take_uint({b"k": value}, b"k", 255)


@pytest.mark.parametrize("value", [1, True, 1.0, {}, [256], [-1], [True], [b"a"]])
def test_a_bytes_field_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(DecodeError, match="bad-field: k is not bytes"):
        take_raw({b"k": value}, b"k")


@pytest.mark.parametrize("value", [0, 1, b"", [], 1.0])
def test_a_bool_field_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(DecodeError, match="bad-field: k is not a bool"):
        take_bool({b"k": value}, b"k")


def test_bools_and_small_integers_as_bytes_are_read() -> None:
    assert take_bool({b"k": True}, b"k")
    assert not take_bool({b"k": False}, b"k")
    assert take_raw({b"k": [0, 97, 255]}, b"k") == b"\x00a\xff"
    assert take_uint({b"k": 2**63 - 1}, b"k", INT_MAX) == 2**63 - 1
    with pytest.raises(DecodeError, match="bad-field"):
        take_uint({b"k": 2**63}, b"k", INT_MAX)


def test_bytes_behind_the_fields_are_ignored_unless_one_value_is_asked_for() -> None:
    assert decode_fields(b"\x81\xa1k\x01\xde\xad") == {b"k": 1}
    with pytest.raises(DecodeError, match="malformed: bytes behind the fields"):
        decode_fields(b"\x81\xa1k\x01\xde\xad", exact=True)


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x90", b"\xa1k", b"\x81\xa1k", b"\xc1", b"\x91\x90\x01"]
)
def test_what_is_not_a_map_is_malformed(data: bytes) -> None:
    with pytest.raises(DecodeError, match="malformed"):
        decode_fields(data)


@pytest.mark.parametrize("elements", [ELEMENTS_MAX, ELEMENTS_MAX + 1])
def test_no_more_elements_are_built_than_the_limit(elements: int) -> None:
    """A header may claim what never comes, and some versions of msgpack make room for it."""
    data = msgpack.packb({b"Unknown": [0] * elements})

    if elements <= ELEMENTS_MAX:
        assert decode_fields(data) == {b"Unknown": [0] * elements}
    else:
        with pytest.raises(DecodeError, match="malformed"):
            decode_fields(data)


def test_a_message_above_the_limit_is_not_built() -> None:
    largest = b"\x81\xa1k\x01" + bytes(MESSAGE_SIZE_MAX - 4)
    assert decode_fields(largest) == {b"k": 1}
    bomb = b"\x81\xa1k\xdd" + (MESSAGE_SIZE_MAX).to_bytes(4, "big") + bytes(MESSAGE_SIZE_MAX)

    with pytest.raises(DecodeError, match="too-large: a message of 131080 bytes"):
        decode_fields(bomb)


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_a_decode_error(data: bytes) -> None:
    fields: Fields = {}
    reason = "malformed"
    try:
        fields = decode_fields(data)
    except DecodeError as error:
        reason = error.reason

    assert reason == "malformed"
    assert all(type(key) is bytes for key in fields)


# --- extents ---------------------------------------------------------------------------------


@given(VALUES, st.binary(max_size=20))
def test_a_value_ends_where_msgpack_says_so(value: object, behind: bytes) -> None:
    for data in (msgpack.packb(value), msgpack.packb(value, use_bin_type=False)):
        assert Extent(10000).find(bytearray(data + behind)) == len(data)


@given(VALUES)
def test_a_value_that_arrives_byte_by_byte_ends_with_its_last_byte(value: object) -> None:
    data = msgpack.packb(value)
    extent = Extent(10000)
    buffer = bytearray()
    found = []
    for byte in data:
        found.append(extent.find(buffer))
        buffer.append(byte)

    assert not any(found)
    assert extent.find(buffer) == len(data)


@pytest.mark.parametrize("length", [b"\x02", b"\x00\x02", b"\x00\x00\x00\x02"])
@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_understood_as_msgpack_does(first: int, length: bytes) -> None:
    data = bytes([first]) + length + bytes(600)
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(data)
    extent = Extent(len(data))
    try:
        unpacker.skip()
        end = unpacker.tell()
    except msgpack.FormatError:
        end = -1
    except msgpack.OutOfData:  # read as a longer length, these bytes claim more than there is
        end = len(data) + 1

    if end < 0:
        with pytest.raises(DecodeError, match="malformed: a byte that is not msgpack"):
            extent.find(bytearray(data))
    elif end > len(data):
        with pytest.raises(DecodeError, match="too-large"):
            extent.find(bytearray(data))
    else:
        assert extent.find(bytearray(data)) == end


@pytest.mark.parametrize(
    "claim",
    [
        b"\xdb\xff\xff\xff\xff",  # 4 GiB of raw
        b"\xc6\xff\xff\xff\xff",  # of bin
        b"\xc9\xff\xff\xff\xff",  # of an extension
        b"\xdd\xff\xff\xff\xff",  # 4 Gi values
        b"\xdf\xff\xff\xff\xff",  # 4 Gi pairs
        b"\xda\x00\x63",  # 3 + 99 bytes
        b"\xdc\x00\x62",  # 3 + 98 values of a byte at least
    ],
)
def test_a_claim_above_the_limit_is_refused_with_its_header(claim: bytes) -> None:
    with pytest.raises(DecodeError, match="too-large: a value of more than 100 bytes"):
        Extent(100).find(bytearray(claim))


def test_a_claim_within_the_limit_is_waited_for() -> None:
    for claim in (b"\xda\x00\x61", b"\xdc\x00\x61"):
        assert Extent(100).find(bytearray(claim)) == 0


def test_an_extent_can_begin_anew() -> None:
    extent = Extent(3)
    assert extent.find(bytearray(b"\xa2ab")) == 3

    extent.reset(4)

    assert extent.seen == 0
    assert extent.find(bytearray(b"\xa3abc")) == 4
