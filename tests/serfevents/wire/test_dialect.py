"""The msgpack dialect: what is written, and what is read."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.errors import DecodeError
from serfevents.wire.dialect import (
    ELEMENTS_MAX,
    INT_MAX,
    MESSAGE_SIZE_MAX,
    U16_MAX,
    U32_MAX,
    Fields,
    decode_fields,
    decode_fields_and_rest,
    encode_array,
    encode_bool,
    encode_bytes,
    encode_map,
    encode_raw,
    encode_text,
    encode_uint,
    take_bool,
    take_int,
    take_list,
    take_raw,
    take_text,
    take_uint,
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


def test_bytes_behind_the_fields_are_ignored_or_kept() -> None:
    assert decode_fields(b"\x81\xa1k\x01\xde\xad") == {b"k": 1}
    assert decode_fields_and_rest(b"\x81\xa1k\x01\xde\xad") == ({b"k": 1}, b"\xde\xad")
    assert decode_fields_and_rest(b"\x81\xa1k\x01") == ({b"k": 1}, b"")
    assert decode_fields_and_rest(b"\xc0\x01") == ({}, b"\x01")


def test_a_list_field_is_read_or_refused() -> None:
    assert take_list({b"k": [1, b"x"]}, b"k") == [1, b"x"]
    assert take_list({b"k": None}, b"k") == take_list({}, b"k") == []
    with pytest.raises(DecodeError, match="bad-field: k is not an array"):
        take_list({b"k": b"x"}, b"k")


@pytest.mark.parametrize(("value", "fits"), [(-5, True), (-6, False), (9, True), (10, False)])
def test_a_signed_field_has_two_bounds(value: int, fits: bool) -> None:
    if fits:
        assert take_int({b"k": value}, b"k", -5, 9) == value
    else:
        with pytest.raises(DecodeError, match="k is not within -5 to 9"):
            take_int({b"k": value}, b"k", -5, 9)


@pytest.mark.parametrize("count", [0, 1, 15, 16, U16_MAX, U16_MAX + 1])
def test_arrays_and_maps_of_any_size_are_written_as_msgpack_does(count: int) -> None:
    values = list(range(count))
    keys = [str(value) for value in values]

    assert encode_array(map(encode_uint, values)) == msgpack.packb(values)
    pairs = ((key, encode_uint(value)) for key, value in zip(keys, values, strict=True))
    expected = msgpack.packb(dict(zip(keys, values, strict=True)), use_bin_type=False)
    assert encode_map(pairs) == expected


def test_nothing_is_nil_and_truth_is_one_byte() -> None:
    assert encode_bytes(b"") == b"\xc0"
    assert encode_bytes(b"x") == b"\xa1x"
    assert (encode_bool(True), encode_bool(False)) == (b"\xc3", b"\xc2")


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
