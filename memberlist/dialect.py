"""The msgpack dialect of the wire: fields in, fields out, and where a value ends.

Written is the old "raw" family only (no str8, no bin), integers in their shortest form, empty
bytes as nil. Read is more: raw, str8 and bin alike, any order, unknown keys, nil for the zero
value, an array of small integers for bytes. Knows nothing of messages (codec.py).

Stricter than upstream, because no peer writes these: a struct as an array, a map for bytes, an
integer for a bool, and unknown fields that msgpack's timestamp extension can't represent.

Source: hashicorp/go-msgpack, with the options that memberlist gives it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

import msgpack

from memberlist.errors import DecodeError

Fields: TypeAlias = Mapping[bytes, object]

#: Largest map that is decoded at once, in bytes. Objects take up to a hundred times their
#: encoding (an empty map is one byte on the wire), so this bounds what a bomb may allocate.
MESSAGE_SIZE_MAX = 131072
#: Most elements of a map or an array: what a header may claim before its elements are there.
ELEMENTS_MAX = 1024

U16_MAX = 2**16 - 1
U32_MAX = 2**32 - 1
#: Signed on the wire: lengths and counts are Go's `int`.
INT_MAX = 2**63 - 1

NIL = b"\xc0"

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


def encode_uint(value: int) -> bytes:
    """Return an integer, 0 to 2**64 - 1, in its shortest form.

    Raises:
        ValueError: It is negative or too large.
    """
    if 0 <= value < 128:
        return _FIXINT[value]
    if value < 0 or value >> 64:
        raise ValueError(f"{value} is not within 0 to 2**64 - 1")
    if value <= U16_MAX:
        return _U8(0xCC, value) if value < 256 else _U16(0xCD, value)
    return _U32(0xCE, value) if value <= U32_MAX else _U64(0xCF, value)


def encode_text(value: str) -> bytes:
    """Return a text as raw UTF-8; bytes that were not UTF-8 when decoded come out as they were."""
    return encode_raw(value.encode("utf-8", "surrogateescape"))


def decode_fields(data: bytes, *, exact: bool = False) -> Fields:
    """Return the map that `data` begins with; nil is a map without fields.

    Args:
        data: At most `MESSAGE_SIZE_MAX` bytes.
        exact: Refuse bytes behind the map; else they are ignored, as upstream does.

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
        if exact:
            raise DecodeError("malformed", "bytes behind the fields") from None
        value = extra.unpacked
    except (ValueError, TypeError) as error:
        raise DecodeError("malformed", str(error)) from None
    if type(value) is dict:
        return value
    if value is None:
        return {}
    raise DecodeError("malformed", f"a {type(value).__name__} instead of fields")


def take_uint(fields: Fields, key: bytes, maximum: int) -> int:
    """Return an integer field from 0 to `maximum`; 0 if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type, or out of range.
    """
    value = fields.get(key)
    if type(value) is int and 0 <= value <= maximum:
        return value
    if value is None:
        return 0
    raise DecodeError("bad-field", f"{key.decode()} is not within 0 to {maximum}")


def take_raw(fields: Fields, key: bytes) -> bytes:
    """Return a bytes field; empty if it is missing or nil.

    Raises:
        DecodeError: `bad-field`: another type.
    """
    value = fields.get(key)
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if type(value) is list and all(type(item) is int and 0 <= item < 256 for item in value):
        return bytes(value)
    raise DecodeError("bad-field", f"{key.decode()} is not bytes")


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


# Of each first byte: how many bytes of length follow (or -1 if the byte is not msgpack), how many
# of content besides, and how many values. Where a length follows, it counts bytes (values = 0) or
# so many values for each.
_Head: TypeAlias = tuple[int, int, int]


def _head(first: int) -> _Head:
    """Return the row of the table for one first byte."""
    if first < 0x80 or first >= 0xE0:
        return 0, 0, 0
    if first < 0xA0:
        return 0, 0, 2 * (first & 15) if first < 0x90 else first & 15
    if first < 0xC0:
        return 0, first & 31, 0
    return _HEADS_OF_C0[first - 0xC0]


_HEADS_OF_C0: tuple[_Head, ...] = (
    (0, 0, 0),  # nil
    (-1, 0, 0),
    *((0, 0, 0),) * 2,  # false, true
    *((1, 0, 0), (2, 0, 0), (4, 0, 0)),  # bin
    *((1, 1, 0), (2, 1, 0), (4, 1, 0)),  # ext
    *((0, 4, 0), (0, 8, 0)),  # floats
    *((0, 1, 0), (0, 2, 0), (0, 4, 0), (0, 8, 0)) * 2,  # unsigned, signed
    *((0, 2, 0), (0, 3, 0), (0, 5, 0), (0, 9, 0), (0, 17, 0)),  # fixext
    *((1, 0, 0), (2, 0, 0), (4, 0, 0)),  # str8, raw16, raw32
    *((2, 0, 1), (4, 0, 1)),  # arrays
    *((2, 0, 2), (4, 0, 2)),  # maps
)
_HEADS = tuple(_head(first) for first in range(256))


class Extent:
    """Finds where the value at the front of a growing buffer ends, without building it.

    Remembers how far it came, so that a value that arrives byte by byte costs linear time.

    Attributes:
        seen: Bytes that were understood so far; 0 before the first and after `reset`.
    """

    __slots__ = ("_limit", "_missing", "seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset(limit)

    def reset(self, limit: int) -> None:
        """Begin anew, for a value of at most `limit` bytes."""
        self.seen = 0
        self._missing = 1
        self._limit = limit

    def find(self, buffer: bytearray) -> int:
        """Return the value's size, or 0 while it isn't complete.

        Raises:
            DecodeError: `malformed`, or `too-large` as soon as a length or a count claims more
                than the limit.
        """
        at, missing, limit = self.seen, self._missing, self._limit
        available = len(buffer)
        while missing and at < available:
            length_size, size, values = _HEADS[buffer[at]]
            if length_size:
                if length_size < 0:
                    raise DecodeError("malformed", "a byte that is not msgpack")
                if at + length_size >= available:
                    break
                length = int.from_bytes(buffer[at + 1 : at + 1 + length_size], "big")
                if values:
                    values *= length
                else:
                    size += length
            end = at + 1 + length_size + size
            missing += values - 1
            if end + missing > limit:
                raise DecodeError("too-large", f"a value of more than {limit} bytes")
            if end > available:
                missing += 1 - values
                break
            at = end
        self.seen, self._missing = at, missing
        return 0 if missing else at
