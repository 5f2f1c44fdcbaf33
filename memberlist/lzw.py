"""Go's `compress/lzw`, least significant bit first, 8-bit literals: bytes in, bytes out.

This is the GIF flavour (codes of 9 to 12 bits, a clear and an end code), which no Python library
has. Knows nothing of the envelope around it (codec.py). Output is byte-identical to Go's; input
is taken as Go takes it: bytes after the end code are ignored, a missing end code is an error.

Source: Welch (1984); Go `compress/lzw`.
"""

from __future__ import annotations

from memberlist.errors import DecodeError

CLEAR = 256
END = 257
_WIDTH_MAX = 12
_CODE_MAX = (1 << _WIDTH_MAX) - 1
# Bytes read ahead at a time: measured; more make the shifts dearer than they save reads.
_REFILL_BYTES = 15

_LITERALS = [bytes([value]) for value in range(256)] + [b"", b""]


def compress(data: bytes) -> bytes:
    """Return `data` compressed; random bytes grow by up to 3/8.

    Complexity: O(len(data)), some 80 ns a byte.

    >>> compress(b"A").hex()
    '00830404'
    """
    # A key is the code of a known string with one more byte behind it.
    table: dict[int, int] = {}
    find = table.get
    out = bytearray()
    bits, count = CLEAR, 9  # bits not yet written, and how many
    width, high = 9, END  # of the next code; the newest entry of the table
    code = -1
    for byte in data:
        key = code << 8 | byte
        longer = find(key)
        if longer is not None:
            code = longer
            continue
        if code < 0:
            code = byte
            continue
        bits |= code << count
        count += width
        code = byte
        high += 1
        if high == _CODE_MAX:
            bits |= CLEAR << count
            count += width
            table.clear()
            width, high = 9, END
        else:
            table[key] = high
            if not high & (high - 1):
                width += 1
        if count >= 32:
            whole = count >> 3
            out += (bits & ((1 << (whole << 3)) - 1)).to_bytes(whole, "little")
            bits >>= whole << 3
            count &= 7
    return bytes(out) + _ending(bits, count, width, high, code)


def _ending(bits: int, count: int, width: int, high: int, code: int) -> bytes:
    """Return the last bytes: what waits, the pending code if there is one, and the end code."""
    if code >= 0:
        bits |= code << count
        count += width
        high += 1
        if high == _CODE_MAX:
            bits |= CLEAR << count
            count += width
            width = 9
        elif not high & (high - 1):
            width += 1
    bits |= END << count
    count += width
    return bits.to_bytes((count + 7) >> 3, "little")


def decompress(data: bytes, limit: int) -> bytes:  # noqa: C901 - a call per code doubles it
    """Return what `data` expands to, at most `limit` bytes.

    Raises:
        DecodeError: `truncated` (no end code), `bad-compression` (a code that is not defined),
            `too-large` (more than `limit` bytes).

    Complexity: O(len(data) + output); the table holds at most 8 MiB.

    >>> decompress(bytes.fromhex("00830404"), limit=100)
    b'A'
    """
    out: list[bytes] = []
    emit = out.append
    table = _LITERALS.copy()
    define = table.append
    size = position = bits = count = 0
    # `high` is the code to be defined next, `known` the size of the table, and `last` the
    # previous expansion, or empty if there is nothing to define.
    width, mask, widen, high, known, last = 9, 511, 512, END, 258, b""
    while True:
        if count < width:
            chunk = data[position : position + _REFILL_BYTES]
            position += _REFILL_BYTES
            bits |= int.from_bytes(chunk, "little") << count
            count += len(chunk) << 3
            if count < width:
                raise DecodeError("truncated", "compressed data without an end")
        code = bits & mask
        bits >>= width
        count -= width
        text = table[code] if code < known else b""
        if not text:
            if code == CLEAR:
                del table[258:]
                width, mask, widen, high, known, last = 9, 511, 512, END, 258, b""
                continue
            if code == END:
                return b"".join(out)
            if code != high or not last:
                raise DecodeError("bad-compression", f"code {code} is not defined")
            text = last + last[:1]  # a code used just as it is being defined
        emit(text)
        size += len(text)
        if size > limit:
            raise DecodeError("too-large", f"more than {limit} bytes decompressed")
        if last:
            define(last + text[:1])
            known += 1
        if high < _CODE_MAX:
            high += 1
            last = text
            if high == widen:  # never 4096: `high` stops before
                width += 1
                widen <<= 1
                mask = widen - 1
        else:
            last = b""
