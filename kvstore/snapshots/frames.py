"""The frames of a snapshot: pieces of bytes that show when one is lost, swapped or damaged.

Owns the outer layout and knows nothing of what is in it:

    stream   magic frame... footer
    magic    8 bytes, the last of which is the major version
    frame    tag (1 byte), flags (1), length (4, big-endian), payload, checksum (4, big-endian)

The checksum is the CRC-32 of the magic and of all tags, flags, lengths and payloads so far, so
that a frame fits at its own place only. The footer's payload begins with the SHA-256 of all bytes
before the footer's frame. A reader needs neither a seek nor the length of the whole.

A payload above `FRAME_SIZE_MAX` goes on in further frames of its tag, so that one damaged length
never makes a reader wait for more than that. A reader that does not know a tag must refuse the
stream, or may skip the frame if the tag's highest bit is set.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import sha256
from struct import Struct
from typing import Final, TypeAlias

from kvstore.errors import DecodeError

MAGIC: Final = b"shoalkv\x01"
#: Bytes of a payload, before compression, that one frame holds.
FRAME_SIZE_MAX: Final = 1 << 18
#: How many times its size a compressed frame may hold, so that a stream costs memory in
#: proportion to its bytes. The few frames that would hold more are not compressed.
RATIO_MAX: Final = 64
FOOTER: Final = 0x7F
#: Set in tags of frames that may be skipped.
OPTIONAL: Final = 0x80

COMPRESSED: Final = 1
CONTINUED: Final = 2

_HEAD: Final = Struct(">BBI")
_CHECKSUM: Final = Struct(">I")
_HASH_SIZE: Final = 32

#: A tag and its payload.
Frame: TypeAlias = tuple[int, bytes]


class FrameWriter:
    """Turns payloads into the bytes of one stream.

    Args:
        compress: Whether payloads are compressed where that makes them smaller, by `RATIO_MAX`
            at most. The bytes then depend on the library that does it, not on the payloads alone.

    Attributes:
        size: Bytes written so far.
    """

    __slots__ = ("_checksum", "_compress", "_hash", "size")

    def __init__(self, *, compress: bool = False) -> None:
        self._compress = compress
        self._checksum = 0
        self._hash = sha256()
        self.size = 0

    def begin(self) -> bytes:
        """Return the first bytes of the stream."""
        self._checksum = zlib.crc32(MAGIC)
        return self._written(MAGIC)

    def frame(self, tag: int, payload: bytes) -> bytes:
        """Return the frames of one payload."""
        if len(payload) <= FRAME_SIZE_MAX:
            return self._frame(tag, 0, payload)
        view, size = memoryview(payload), len(payload)
        return b"".join(
            self._frame(
                tag,
                CONTINUED if start + FRAME_SIZE_MAX < size else 0,
                view[start : start + FRAME_SIZE_MAX],
            )
            for start in range(0, size, FRAME_SIZE_MAX)
        )

    def end(self, payload: bytes = b"") -> bytes:
        """Return the last bytes of the stream.

        Args:
            payload: What the footer tells besides the hash; small.
        """
        return self._frame(FOOTER, 0, self._hash.digest() + payload)

    def _frame(self, tag: int, flags: int, payload: bytes | memoryview) -> bytes:
        if self._compress:
            smaller = zlib.compress(payload, 1)
            if len(smaller) < len(payload) <= RATIO_MAX * len(smaller):
                payload, flags = smaller, flags | COMPRESSED
        head = _HEAD.pack(tag, flags, len(payload))
        self._checksum = zlib.crc32(payload, zlib.crc32(head, self._checksum))
        return self._written(b"".join((head, payload, _CHECKSUM.pack(self._checksum))))

    def _written(self, data: bytes) -> bytes:
        self._hash.update(data)
        self.size += len(data)
        return data


class FrameReader:
    """Takes the bytes of one stream in pieces of any size, and gives back its payloads.

    Attributes:
        ended: Whether the footer came and was right: only then the payloads are what was written.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_checksum",
        "_failed",
        "_hash",
        "_offset",
        "_parts",
        "_tag",
        "ended",
    )

    def __init__(self) -> None:
        self.ended = False
        self._begun = False
        self._failed: DecodeError | None = None
        self._buffer = bytearray()
        self._offset = 0
        self._checksum = 0
        self._hash = sha256()
        # Of a payload that is not all there: its tag, and what there is of it.
        self._tag: int | None = None
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the payloads that a piece completes; the footer's, without the hash, is the last.

        Raises:
            DecodeError: `malformed`, `unsupported`, `too-large`, `damaged` or `trailing`; from
                then on always, as there is no way back into the stream.
        """
        if self._failed is not None:
            raise self._failed
        self._buffer += data
        try:
            yield from self._frames()
        except DecodeError as error:
            self._failed = error
            self._buffer.clear()
            raise

    def finish(self) -> None:
        """Check that the stream is whole.

        Raises:
            DecodeError: `truncated`, or what `feed` raised.
        """
        if self._failed is not None:
            raise self._failed
        if not self.ended:
            raise DecodeError("truncated", "the stream ends without its footer")

    def _frames(self) -> Iterator[Frame]:
        buffer = self._buffer
        if not self._begun:
            self._begin()
        while not self.ended and (end := self._end()) is not None:
            frame = self._frame(bytes(memoryview(buffer)[self._offset : end]))
            # Before the frame is handed out, as who takes it may never come back for more.
            self._offset = end
            if frame is not None:
                yield frame
        del buffer[: self._offset]
        self._offset = 0
        if self.ended and buffer:
            raise DecodeError("trailing", "there are bytes behind the footer")

    def _begin(self) -> None:
        head = bytes(self._buffer[: len(MAGIC)])
        if not MAGIC.startswith(head):
            if head[:-1] == MAGIC[:-1]:
                raise DecodeError("unsupported", f"the major version is {head[-1]}")
            raise DecodeError("malformed", "these are not the first bytes of a snapshot")
        if len(head) == len(MAGIC):
            self._begun = True
            self._offset = len(head)
            self._hash.update(head)
            self._checksum = zlib.crc32(head)

    def _end(self) -> int | None:
        """Return where the next frame ends, or None if it is not all there."""
        offset = self._offset
        if not self._begun or len(self._buffer) < offset + _HEAD.size:
            return None
        _, _, length = _HEAD.unpack_from(self._buffer, offset)
        if length > FRAME_SIZE_MAX:
            raise DecodeError("too-large", f"a frame of {length} bytes")
        end: int = offset + _HEAD.size + length + _CHECKSUM.size
        return end if end <= len(self._buffer) else None

    def _frame(self, frame: bytes) -> Frame | None:
        """Check one frame, and return the payload that it completes, if it does."""
        tag, flags, _ = _HEAD.unpack_from(frame)
        payload = frame[_HEAD.size : -_CHECKSUM.size]
        self._checksum = zlib.crc32(memoryview(frame)[: -_CHECKSUM.size], self._checksum)
        if _CHECKSUM.pack(self._checksum) != frame[-_CHECKSUM.size :]:
            raise DecodeError("damaged", "a frame's checksum is wrong")
        if flags & ~(COMPRESSED | CONTINUED):
            raise DecodeError("unsupported", f"a frame has the flags {flags}")
        if flags & COMPRESSED:
            payload = _inflate(payload)
        if self._tag not in {None, tag}:
            raise DecodeError("malformed", "a payload goes on in a frame of another kind")
        if tag == FOOTER:
            return self._footer(flags, payload)
        self._hash.update(frame)
        if flags & CONTINUED or self._parts:
            self._parts.append(payload)
            self._tag = tag
            if flags & CONTINUED:
                return None
            payload = b"".join(self._parts)
            self._parts, self._tag = [], None
        return tag, payload

    def _footer(self, flags: int, payload: bytes) -> Frame:
        if flags & CONTINUED:
            raise DecodeError("malformed", "the footer goes on")
        if payload[:_HASH_SIZE] != self._hash.digest():
            raise DecodeError("damaged", "the hash of the stream is wrong")
        self.ended = True
        return FOOTER, payload[_HASH_SIZE:]


def _inflate(payload: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(payload, min(FRAME_SIZE_MAX, RATIO_MAX * len(payload)))
    except zlib.error as error:
        raise DecodeError("malformed", str(error)) from None
    if inflater.unconsumed_tail:
        raise DecodeError("too-large", "a frame is larger than it may be when decompressed")
    if not inflater.eof or inflater.unused_data:
        raise DecodeError("malformed", "a compressed frame is cut off, or goes on")
    return found
