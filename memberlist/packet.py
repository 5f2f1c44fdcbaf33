"""The layers of a datagram: label, encryption, checksum, compression, compound.

Owns their order, outermost first: label, encryption, CRC, then compression and compound in any
nesting. Knows nothing of the messages inside (codec.py).

Liberal where peers differ (a CRC is always optional, parts cut off at the end leave the complete
ones), stricter than upstream in three points: nesting, parts and expansion are limited; an inner
layer that can't be read refuses the packet, not only itself; so does an empty message.

Source: memberlist `net.go`, `label.go`, `util.go`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

from attrs import frozen
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memberlist.codec import decode_compressed, encode_compressed
from memberlist.errors import DecodeError
from memberlist.messages import MessageType
from memberlist.security import ENCRYPTION_OVERHEAD, NONCE_SIZE, Keyring

LABEL_SIZE_MAX: Final = 255
CRC_SIZE: Final = 5
#: Bytes of a compound's header, and of each part besides the part itself.
COMPOUND_OVERHEAD: Final = 2
COMPOUND_PART_OVERHEAD: Final = 2
#: memberlist 0.2.2 computes the table of 128 and more parts with 8 bits and reads rubbish.
COMPOUND_PARTS_MAX: Final = 127

_COMPOUND: Final = MessageType.COMPOUND.value
_COMPRESS: Final = MessageType.COMPRESS.value
_LAYERS: Final = frozenset((_COMPOUND, _COMPRESS))
_HAS_CRC: Final = MessageType.HAS_CRC.value
_HAS_LABEL: Final = MessageType.HAS_LABEL.value
_LENGTHS: Final = tuple(struct.Struct(f">{count}H") for count in range(256))
_COMPOUND_HEADS: Final = tuple(bytes((_COMPOUND, count)) for count in range(COMPOUND_PARTS_MAX + 1))


@frozen
class PacketLimits:
    """What one datagram may unfold to.

    Attributes:
        parts: Messages in it, after all unpacking.
        depth: Compounds and compressions inside each other.
        decompressed_size: Bytes after decompression, all parts together.
    """

    parts: int
    depth: int
    decompressed_size: int


class PacketCodec:
    """Opens and seals the datagrams of one member.

    Attributes:
        overhead: The most bytes that `seal` ever adds: label, CRC, and encryption if there is a
            keyring, because an empty one may get keys at any time.
    """

    __slots__ = (
        "_compression",
        "_compression_size_min",
        "_encryption_version",
        "_entropy",
        "_header",
        "_keyring",
        "_label",
        "_label_check_skipped",
        "_limits",
        "_ring",
        "_verify_incoming",
        "_verify_outgoing",
        "overhead",
    )

    def __init__(
        self,
        *,
        label: bytes,
        label_check_skipped: bool,
        keyring: Keyring | None,
        verify_incoming: bool,
        verify_outgoing: bool,
        encryption_version: int,
        compression: bool,
        compression_size_min: int,
        entropy: Callable[[int], bytes],
        limits: PacketLimits,
    ) -> None:
        """Make a codec.

        Args:
            label: The cluster's label, at most `LABEL_SIZE_MAX` bytes; empty for none.
            label_check_skipped: A front-end removes labels: a packet that has one is refused.
            keyring: Shared and live; None or empty means that encryption is off.
            verify_incoming: Refuse what isn't encrypted while there are keys.
            verify_outgoing: Encrypt while there are keys.
            encryption_version: 0 or 1, of what is sent.
            compression: Whether to compress what gets smaller by it.
            compression_size_min: Messages below so many bytes are not tried.
            entropy: Where nonces come from.
            limits: What a packet may unfold to.

        Raises:
            ValueError: The label is too long, or there is no such encryption version.
        """
        if encryption_version not in ENCRYPTION_OVERHEAD:
            raise ValueError(f"there is no encryption version {encryption_version}")
        self._label = label
        self._header = label_header(label)
        self._label_check_skipped = label_check_skipped
        self._keyring = keyring if keyring is not None else Keyring()
        # The ring itself: asking a list whether it is empty is what every packet pays.
        self._ring: list[tuple[bytes, AESGCM]] = self._keyring.ring
        self._verify_incoming = verify_incoming
        self._verify_outgoing = verify_outgoing
        self._encryption_version = encryption_version
        self._compression = compression
        self._compression_size_min = compression_size_min
        self._entropy = entropy
        self._limits = limits
        encryption = 0 if keyring is None else ENCRYPTION_OVERHEAD[encryption_version]
        self.overhead = len(self._header) + encryption + CRC_SIZE

    def open(self, data: bytes) -> bytes:
        """Return the message inside a datagram: label, encryption and CRC taken off.

        Raises:
            DecodeError: `empty`, `label`, `decrypt`, `plaintext` (it isn't encrypted but must be)
                or `crc`.
        """
        if data and data[0] < _HAS_CRC and not self._header and not self._ring:
            return data
        message = self._without_label(data)
        if self._ring:
            message = self._decrypted(message)
        if message and message[0] == _HAS_CRC and len(message) >= CRC_SIZE:
            if crc32(message[CRC_SIZE:]) != int.from_bytes(message[1:CRC_SIZE], "big"):
                raise DecodeError("crc", "the checksum is wrong")
            message = message[CRC_SIZE:]
        if not message:
            raise DecodeError("empty", "nothing is inside")
        return message

    def split(self, message: bytes) -> tuple[list[bytes], int]:
        """Return the single messages inside a compound or compressed one, and how many were lost.

        Lost are parts that were cut off at the end, and empty ones.

        Args:
            message: Compound or compressed, by its type byte.

        Raises:
            DecodeError: A layer is `truncated`, `malformed` or `bad-compression`, or a limit is
                exceeded: `too-deep`, `too-many-parts`, `too-large`.
        """
        unfolding = _Unfolding(self._limits)
        unfolding.unfold(message, self._limits.depth)
        return unfolding.parts, unfolding.lost

    def seal(self, message: bytes, *, crc: bool) -> bytes:
        """Return the datagram that carries `message`, at most `overhead` bytes longer.

        Args:
            message: With its type byte.
            crc: Whether the receiver is known to understand a checksum.
        """
        if not (crc or self._header or self._ring or self._compression):
            return message
        if self._compression and len(message) >= self._compression_size_min:
            compressed = encode_compressed(message)
            if len(compressed) < len(message):
                message = compressed
        if crc:
            message = b"\x0c" + crc32(message).to_bytes(4, "big") + message
        if self._ring and self._verify_outgoing:
            nonce = self._entropy(NONCE_SIZE)
            message = self._keyring.seal(message, self._label, nonce, self._encryption_version)
        return self._header + message

    def _without_label(self, data: bytes) -> bytes:
        if not data or data[0] != _HAS_LABEL:
            if self._header and not self._label_check_skipped:
                raise DecodeError("label", "no label")
            return data
        label, rest = split_label(data)
        if self._label_check_skipped:
            raise DecodeError("label", "a label where they are removed beforehand")
        if label != self._label:
            raise DecodeError("label", f"another label: {label!r}")
        return rest

    def _decrypted(self, data: bytes) -> bytes:
        try:
            return self._keyring.open(data, self._label)
        except DecodeError:
            if self._verify_incoming:
                raise
            return data


class _Unfolding:
    """The single messages of one packet, in order, while its layers are taken off."""

    __slots__ = ("_budget", "_parts_max", "lost", "parts")

    def __init__(self, limits: PacketLimits) -> None:
        self.parts: list[bytes] = []
        self.lost = 0
        self._parts_max = limits.parts
        self._budget = limits.decompressed_size

    def unfold(self, message: bytes, depth: int) -> None:
        """Take a compound or compressed message apart; `depth` layers are allowed from here."""
        if depth <= 0:
            raise DecodeError("too-deep", "too many layers inside each other")
        inner: Sequence[bytes]
        if message[0] == _COMPRESS:
            inner = (decode_compressed(message, self._budget),)
            self._budget -= len(inner[0])
        else:
            inner, missing = decode_compound(message[1:])
            self.lost += missing
        parts = self.parts
        for part in inner:
            kind = part[0] if part else -1
            if kind in _LAYERS:
                self.unfold(part, depth - 1)
            elif part:
                parts.append(part)
            else:
                self.lost += 1
        if len(parts) > self._parts_max:
            raise DecodeError("too-many-parts", f"more than {self._parts_max} messages")


def label_header(label: bytes) -> bytes:
    """Return the header that announces a label; nothing for an empty one.

    Raises:
        ValueError: It is longer than `LABEL_SIZE_MAX` bytes.

    >>> label_header(b"dc1").hex()
    'f403646331'
    """
    if len(label) > LABEL_SIZE_MAX:
        raise ValueError(f"a label of {len(label)} bytes exceeds {LABEL_SIZE_MAX}")
    return bytes([_HAS_LABEL, len(label)]) + label if label else b""


def split_label(data: bytes) -> tuple[bytes, bytes]:
    """Return the label in front of a packet, empty if it has none, and the rest.

    Raises:
        DecodeError: `label`: the header is cut off, or announces an empty label.
    """
    if not data or data[0] != _HAS_LABEL:
        return b"", data
    if len(data) < 2 or len(data) < 2 + data[1]:
        raise DecodeError("label", "the label is cut off")
    if not data[1]:
        raise DecodeError("label", "an empty label")
    end = 2 + data[1]
    return data[2:end], data[end:]


def encode_compound(parts: Sequence[bytes]) -> bytes:
    """Return several messages as one.

    Raises:
        ValueError: More than `COMPOUND_PARTS_MAX` parts, or one of more than 65535 bytes.
    """
    count = len(parts)
    if count > COMPOUND_PARTS_MAX:
        raise ValueError(f"{count} parts exceed {COMPOUND_PARTS_MAX}")
    try:
        lengths = _LENGTHS[count].pack(*map(len, parts))
    except struct.error:
        raise ValueError("a part exceeds 65535 bytes") from None
    return b"".join((_COMPOUND_HEADS[count], lengths, *parts))


def decode_compound(body: bytes) -> tuple[list[bytes], int]:
    """Return the parts of a compound, and how many at its end were cut off.

    Args:
        body: Without the type byte.

    Raises:
        DecodeError: `truncated`: not even the table of lengths is whole.

    >>> decode_compound(bytes.fromhex("02 0001 0005 61 62"))
    ([b'a'], 1)
    """
    count = body[0] if body else 0
    at = 1 + 2 * count
    size = len(body)
    if not body or size < at:
        raise DecodeError("truncated", "a compound without its table of lengths")
    parts = []
    for length in _LENGTHS[count].unpack_from(body, 1):
        end = at + length
        if end > size:
            break
        parts.append(body[at:end])
        at = end
    return parts, count - len(parts)
