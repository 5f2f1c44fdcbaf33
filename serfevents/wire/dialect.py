"""The msgpack dialect of the wire: fields in, fields out.

Written is the old "raw" family only (no str8, no bin), integers in their shortest form, empty
bytes as nil. Read is more: raw, str8 and bin alike, any order, unknown keys, nil for the zero
value, an array of small integers for bytes. Knows nothing of messages (codec.py).

Stricter than upstream, because no peer writes these: a struct as an array, a map for bytes or for
an array, an integer for a bool, and unknown fields that msgpack's timestamp extension can't
represent.

Source: hashicorp/go-msgpack, with the options that Serf gives it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgpack

from serfevents.errors import DecodeError

Fields: TypeAlias = Mapping[bytes, object]

#: Largest map that is decoded at once, in bytes. Objects take up to a hundred times their
#: encoding (an empty map is one byte on the wire), so this bounds what a bomb may allocate.
MESSAGE_SIZE_MAX: Final = 131072
#: Most elements of a map or an array: what a header may claim before its elements are there.
ELEMENTS_MAX: Final = 4096

U8_MAX: Final = 2**8 - 1
U16_MAX: Final = 2**16 - 1
U32_MAX: Final = 2**32 - 1
U64_MAX: Final = 2**64 - 1
#: Durations and some ports are signed on the wire.
INT_MAX: Final = 2**63 - 1

NIL: Final = b"\xc0"
TRUE: Final = b"\xc3"
FALSE: Final = b"\xc2"

_FIXRAW = [bytes([0xA0 + size]) for size in range(32)]
_FIXINT = [bytes([value]) for value in range(128)]
_U8 = struct.Struct(">BB").pack
_U16 = struct.Struct(">BH").pack
_U32 = struct.Struct(">BI").pack
_U64 = struct.Struct(">BQ").pack


def encode_raw(value: bytes) -> bytes:
    """Return `value` with its length in front: fixraw, raw16 or raw32; empty is an empty raw.

    >>> encode_raw(b"go1").hex(" "), encode_raw(bytes(40))[:3].hex(" ")
    ('a3 67 6f 31', 'da 00 28')
    """
    size = len(value)
    if size < 32:
        return _FIXRAW[size] + value
    if size <= U16_MAX:
        return _U16(0xDA, size) + value
    return _U32(0xDB, size) + value


def encode_bytes(value: bytes) -> bytes:
    """Return bytes as raw; none at all are nil, as from a Go program that has nothing to say."""
    return encode_raw(value) if value else NIL


def encode_text(value: str) -> bytes:
    """Return a text as raw UTF-8; bytes that were not UTF-8 when decoded come out as they were."""
    return encode_raw(value.encode("utf-8", "surrogateescape"))


def encode_uint(value: int) -> bytes:
    """Return an integer, 0 to 2**64 - 1, in its shortest form.

    Raises:
        ValueError: It is negative or too large.
    """
    if 0 <= value < 128:
        return _FIXINT[value]
    if not 0 <= value <= U64_MAX:
        raise ValueError(f"{value} is not within 0 to 2**64 - 1")
    if value <= U16_MAX:
        return _U8(0xCC, value) if value < 256 else _U16(0xCD, value)
    return _U32(0xCE, value) if value <= U32_MAX else _U64(0xCF, value)


def encode_bool(value: bool) -> bytes:
    """Return a truth value."""
    return TRUE if value else FALSE


def _encode_count(count: int, fix: int, first: int) -> bytes:
    if count < 16:
        return bytes([fix + count])
    return _U16(first, count) if count <= U16_MAX else _U32(first + 1, count)


def encode_array(values: Iterable[bytes]) -> bytes:
    """Return an array of values that are encoded already."""
    values = list(values)
    return _encode_count(len(values), 0x90, 0xDC) + b"".join(values)


def encode_map(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a map with values that are encoded already, in the order given."""
    pairs = list(pairs)
    body = b"".join(encode_text(key) + value for key, value in pairs)
    return _encode_count(len(pairs), 0x80, 0xDE) + body


def decode_fields(data: bytes) -> Fields:
    """Return the map that `data` begins with; nil is a map without fields.

    What stands behind it is ignored, as upstream does.

    Args:
        data: At most `MESSAGE_SIZE_MAX` bytes.

    Raises:
        DecodeError: `too-large`, or `malformed`.
    """
    return decode_fields_and_rest(data)[0]


def decode_fields_and_rest(data: bytes) -> tuple[Fields, bytes]:
    """Return the map that `data` begins with, and what stands behind it.

    Raises:
        DecodeError: `too-large`, or `malformed`.
    """
    value, rest = decode_value(data)
    if type(value) is dict:
        return value, rest
    if value is None:
        return {}, rest
    raise DecodeError("malformed", f"a {type(value).__name__} instead of fields")


def decode_value(data: bytes) -> tuple[object, bytes]:
    """Return the value that `data` begins with, and what stands behind it.

    Raises:
        DecodeError: `too-large`, or `malformed`.
    """
    if len(data) > MESSAGE_SIZE_MAX:
        raise DecodeError("too-large", f"a message of {len(data)} bytes")
    try:
        # Older versions of msgpack make room for as many elements as a header claims, at each
        # level of nesting; no field of ours has so many.
        value = msgpack.unpackb(
            data, raw=True, max_array_len=ELEMENTS_MAX, max_map_len=ELEMENTS_MAX
        )
    except msgpack.ExtraData as extra:
        return extra.unpacked, bytes(extra.extra)
    except (ValueError, TypeError) as error:
        raise DecodeError("malformed", str(error)) from None
    return value, b""


def take_int(fields: Fields, key: bytes, minimum: int, maximum: int) -> int:
    """Return an integer field from `minimum` to `maximum`; 0 if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type, or out of range.
    """
    value = fields.get(key)
    if type(value) is int and minimum <= value <= maximum:
        return value
    if value is None:
        return 0
    raise DecodeError("bad-field", f"{key.decode()} is not within {minimum} to {maximum}")


def take_uint(fields: Fields, key: bytes, maximum: int) -> int:
    """Return an integer field from 0 to `maximum`; 0 if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type, or out of range.
    """
    return take_int(fields, key, 0, maximum)


def to_bytes(value: object, what: str) -> bytes:
    """Return a decoded value that must be bytes; nil is none at all.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if type(value) is list and all(type(item) is int and 0 <= item < 256 for item in value):
        return bytes(value)
    raise DecodeError("bad-field", f"{what} is not bytes")


def to_text(value: object, what: str) -> str:
    """Return a decoded value that must be text, with surrogate escapes for what is not UTF-8.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    return to_bytes(value, what).decode("utf-8", "surrogateescape")


def take_raw(fields: Fields, key: bytes) -> bytes:
    """Return a bytes field; empty if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    value = fields.get(key)
    return value if type(value) is bytes else to_bytes(value, key.decode())


def take_text(fields: Fields, key: bytes) -> str:
    """Return a text field, with surrogate escapes for what is not UTF-8.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    return take_raw(fields, key).decode("utf-8", "surrogateescape")


def take_bool(fields: Fields, key: bytes) -> bool:
    """Return a bool field; False if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    value = fields.get(key)
    if value is None or type(value) is bool:
        return bool(value)
    raise DecodeError("bad-field", f"{key.decode()} is not a bool")


def take_list(fields: Fields, key: bytes) -> list[object]:
    """Return an array field; empty if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    value = fields.get(key)
    if value is None:
        return []
    if type(value) is list:
        return value
    raise DecodeError("bad-field", f"{key.decode()} is not an array")
