"""Streams: the layers of one connection, and the messages that only streams carry.

Owns a push parser for the one message that each direction of a stream carries, and the bytes of
such messages. Layers, outermost first: label (the opening side only), encryption in one frame,
compression, message. Knows nothing of sockets, deadlines or what a message means.

Bytes after the message are ignored, as upstream never reads them. An entry of a push/pull that
describes no member (its name, address, versions or state) is left out and counted, so that one
bad record, which Go would pass on, does not cut a cluster's anti-entropy. `REFUSED_MAX` of them do.

Stricter than upstream: headers and entries have a size limit, and a negative count is refused.

Source: memberlist `net.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from attrs import frozen

from memberlist.codec import (
    NODE_STATE_PREFIX,
    decode_ack,
    decode_compressed,
    decode_error,
    decode_node_state,
    decode_ordered_node_state,
    decode_ping,
    encode_compressed,
    encode_node_state,
    known_node_states,
)
from memberlist.dialect import (
    INT_MAX,
    Extent,
    decode_fields,
    encode_uint,
    take_bool,
    take_uint,
)
from memberlist.errors import DecodeError
from memberlist.messages import MessageType, PushPull, StreamMessage, UserMessage
from memberlist.node import Node
from memberlist.packet import label_header
from memberlist.security import NONCE_SIZE, Keyring, sealed_size

#: Largest header of a message, and largest entry of a push/pull, in bytes.
HEADER_SIZE_MAX: Final = 65536
NODE_STATE_SIZE_MAX: Final = 65536

_FRAME_HEADER_SIZE: Final = 5
#: Entries of a push/pull that are left out before the whole is refused: each may be one byte that
#: compression takes to nothing, and costs as much as a member.
REFUSED_MAX: Final = 1024
#: Largest entry without `NODE_STATE_PREFIX`.
_PIECE_SIZE_MAX: Final = NODE_STATE_SIZE_MAX - len(NODE_STATE_PREFIX)
#: From so many waiting bytes on, the entries of a push/pull are taken apart together.
_BULK_SIZE_MIN: Final = 512

_PUSH_PULL: Final = MessageType.PUSH_PULL.value
_USER: Final = MessageType.USER.value
_COMPRESS: Final = MessageType.COMPRESS.value
_ENCRYPT: Final = MessageType.ENCRYPT.value
_HAS_LABEL: Final = MessageType.HAS_LABEL.value

#: Messages that are nothing but their fields.
_WHOLE_MESSAGES: Final[dict[int, Callable[[bytes], StreamMessage]]] = {
    MessageType.PING: decode_ping,
    MessageType.ACK: decode_ack,
    MessageType.ERROR: decode_error,
}


@frozen
class StreamLimits:
    """What one direction of a stream may carry.

    Attributes:
        frame_size: Bytes of an encrypted frame, or of a compressed message.
        decompressed_size: Bytes of a message after decompression, or as it is.
        nodes: Entries of a push/pull.
        user_state_size: Bytes of the application's state in a push/pull.
        user_message_size: Bytes of a user message.
    """

    frame_size: int
    decompressed_size: int
    nodes: int
    user_state_size: int
    user_message_size: int


class StreamDecoder:
    """Reads the one message of one direction of a stream, in whatever pieces it comes.

    Attributes:
        refused: Entries of a push/pull that describe no member and were left out.
        refusal: Why the last of them was, as a reason of `DecodeError`.
    """

    __slots__ = (
        "_aad",
        "_budget",
        "_buffer",
        "_bulk",
        "_extent",
        "_inflated",
        "_join",
        "_keyring",
        "_kind",
        "_label",
        "_label_check_skipped",
        "_limits",
        "_message",
        "_nodes",
        "_nodes_missing",
        "_over",
        "_size",
        "_step",
        "_verify_incoming",
        "_whole",
        "refusal",
        "refused",
    )

    def __init__(
        self,
        *,
        label: bytes,
        label_check_skipped: bool,
        keyring: Keyring | None,
        verify_incoming: bool,
        reply: bool,
        limits: StreamLimits,
    ) -> None:
        """Make a decoder for one direction.

        Args:
            label: The cluster's label; empty for none.
            label_check_skipped: A front-end removes labels: a stream that has one is refused.
            keyring: Shared and live; None or empty means that encryption is off.
            verify_incoming: Refuse what isn't encrypted while there are keys.
            reply: We opened the stream: the answer has no label in front, though its associated
                data ends with it.
            limits: What the direction may carry.
        """
        self._label = label
        self._label_check_skipped = label_check_skipped
        self._keyring = keyring
        self._verify_incoming = verify_incoming
        self._limits = limits
        self._buffer = bytearray()
        self._extent = Extent(HEADER_SIZE_MAX)
        self._message: StreamMessage | None = None
        self._step: Callable[[], bool] = self._read_layer if reply else self._read_label
        self._over = False
        self._inflated = False
        self._whole = False  # whether no more bytes can come, because a layer was unpacked
        self._kind = 0
        self._size = 0
        self._budget = limits.decompressed_size
        self._join = False
        self._nodes: list[Node] = []
        self._nodes_missing = 0
        self._bulk = True
        self.refused = 0
        self.refusal = ""

    @property
    def pending(self) -> int:
        """Bytes that wait for more."""
        return len(self._buffer)

    def feed(self, data: bytes) -> StreamMessage | None:
        """Take what arrived; return the message once it is complete, and only that once.

        Bytes after the message, or after an error, are ignored.

        Raises:
            DecodeError: `label`, `plaintext` (it isn't encrypted but must be), `encrypted` (we
                have no key), `decrypt`, `unknown-type`, `malformed`, `bad-field`,
                `bad-compression`, `truncated` (a frame ends before its message), `too-large` or
                `too-many-refused`.

        Complexity: O(len(data)) on average, however it is cut.
        """
        if self._over:
            return None
        self._buffer += data
        try:
            self._advance()
        except DecodeError:
            self._end()
            raise
        return self._message

    def _advance(self) -> None:
        while self._step():
            pass
        if self._whole and self._message is None:
            raise DecodeError("truncated", "a frame ends before its message")

    # Each step takes something off the buffer and names the next one; False means that the
    # bytes don't suffice, or that there is no next one.

    def _read_label(self) -> bool:
        buffer = self._buffer
        if not buffer:
            return False
        self._step = self._read_layer
        if buffer[0] != _HAS_LABEL:
            if self._label and not self._label_check_skipped:
                raise DecodeError("label", "no label")
            return True
        if self._label_check_skipped:
            raise DecodeError("label", "a label where they are removed beforehand")
        header = label_header(self._label)
        if not header.startswith(buffer[: len(header)]) or not header:
            raise DecodeError("label", "another label")
        if len(buffer) < len(header):
            self._step = self._read_label
            return False
        del buffer[: len(header)]
        return True

    def _read_layer(self) -> bool:
        """Look at the first byte: a frame, or what comes without encryption."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer[0] != _ENCRYPT:
            if self._keyring and self._verify_incoming:
                raise DecodeError("plaintext", "the stream is not encrypted but must be")
            self._step = self._read_kind
            return True
        if not self._keyring:
            raise DecodeError("encrypted", "the stream is encrypted and we have no key")
        if len(buffer) < _FRAME_HEADER_SIZE:
            return False
        self._size = int.from_bytes(buffer[1:_FRAME_HEADER_SIZE], "big")
        _check("an encrypted frame", self._size, self._limits.frame_size)
        self._step = self._read_frame
        return True

    def _read_frame(self) -> bool:
        end = _FRAME_HEADER_SIZE + self._size
        if len(self._buffer) < end:
            return False
        assert self._keyring is not None
        frame = bytes(self._buffer[:end])
        aad = frame[:_FRAME_HEADER_SIZE] + self._label
        self._unpack(self._keyring.open(frame[_FRAME_HEADER_SIZE:], aad))
        return True

    def _read_kind(self) -> bool:
        """Look at the type byte: a compressed message, or one of those that streams carry."""
        buffer = self._buffer
        if not buffer:
            return False
        kind = self._kind = buffer[0]
        limit = HEADER_SIZE_MAX
        if kind == _COMPRESS and not self._inflated:
            limit = self._limits.frame_size
            self._step = self._read_compressed
        elif kind in _WHOLE_MESSAGES:
            self._step = self._read_whole_message
        elif kind in (_PUSH_PULL, _USER):
            self._step = self._read_header
        else:
            raise DecodeError("unknown-type", f"a stream does not carry type {kind}")
        del buffer[:1]
        self._extent.reset(limit)
        return True

    def _read_compressed(self) -> bool:
        envelope = self._take_value()
        if not envelope:
            return False
        self._inflated = True
        self._unpack(decode_compressed(b"\x09" + envelope, self._limits.decompressed_size))
        return True

    def _read_whole_message(self) -> bool:
        value = self._take_value()
        return bool(value) and self._finish(
            _WHOLE_MESSAGES[self._kind](bytes([self._kind]) + value)
        )

    def _read_header(self) -> bool:
        """Read the header of a push/pull or a user message; what it claims is checked at once."""
        value = self._take_value()
        if not value:
            return False
        limits = self._limits
        fields = decode_fields(value)
        if self._kind == _USER:
            self._size = take_uint(fields, b"UserMsgLen", INT_MAX)
            _check("a user message", self._size, limits.user_message_size)
            self._step = self._read_rest
            return True
        self._join = take_bool(fields, b"Join")
        self._nodes_missing = take_uint(fields, b"Nodes", INT_MAX)
        if self._nodes_missing > limits.nodes:
            raise DecodeError("too-large", f"{self._nodes_missing} members")
        self._size = take_uint(fields, b"UserStateLen", INT_MAX)
        _check("a user state", self._size, limits.user_state_size)
        self._extent.reset(NODE_STATE_SIZE_MAX)
        self._step = self._read_nodes
        return True

    def _read_nodes(self) -> bool:
        # Linear however it is cut: taking entries apart together leaves less than one entry, and
        # what is left is not looked at again before the extent has found its end.
        buffer = self._buffer
        while self._nodes_missing:
            if self._bulk and not self._extent.seen and len(buffer) >= _BULK_SIZE_MIN:
                self._read_nodes_together()
            entry = self._take_value()
            if not entry:
                return False
            self._extent.reset(NODE_STATE_SIZE_MAX)
            self._nodes_missing -= 1
            self._spend(len(entry))
            self._add(entry)
        self._step = self._read_rest
        return True

    def _read_nodes_together(self) -> None:
        """Take all waiting entries but the last apart at their common first bytes.

        A piece that is remembered is one whole entry, and so is one that decodes exactly. At the
        first that is neither, because its metadata happens to hold the same bytes or because its
        fields have another order, the rest is left to the careful way.
        """
        first, *pieces = bytes(self._buffer).split(NODE_STATE_PREFIX, self._nodes_missing)
        if first or not pieces:
            self._bulk = False
            return
        pieces.pop()
        read = len(pieces)
        append = self._nodes.append
        for place, node in enumerate(map(known_node_states.recent.get, pieces)):
            if node is not None:
                append(node)
                continue
            try:
                _check("an entry", len(pieces[place]), _PIECE_SIZE_MAX)
                append(decode_ordered_node_state(pieces[place]))
            except DecodeError as error:
                if error.reason in ("malformed", "too-large"):
                    self._bulk = False
                    read = place
                    break
                self._refuse(error)
        size = sum(map(len, pieces[:read])) + read * len(NODE_STATE_PREFIX)
        del self._buffer[:size]
        self._nodes_missing -= read
        self._spend(size)

    def _read_rest(self) -> bool:
        """Read the raw bytes at the end: the user state, or the user message itself."""
        if len(self._buffer) < self._size:
            return False
        rest = bytes(self._buffer[: self._size])
        if self._kind == _USER:
            return self._finish(UserMessage(rest))
        return self._finish(PushPull(self._join, self._nodes, rest))

    def _add(self, entry: bytes) -> None:
        try:
            self._nodes.append(decode_node_state(entry))
        except DecodeError as error:
            if error.reason == "malformed":
                raise
            self._refuse(error)

    def _refuse(self, error: DecodeError) -> None:
        self.refused += 1
        self.refusal = error.reason
        if self.refused > REFUSED_MAX:
            raise DecodeError("too-many-refused", f"the last as {error}")

    def _take_value(self) -> bytes:
        """Return the msgpack value in front, or nothing while it isn't complete."""
        size = self._extent.find(self._buffer)
        value = bytes(self._buffer[:size])
        del self._buffer[:size]
        return value

    def _unpack(self, inner: bytes) -> None:
        """Go on with what was inside a layer: all that there will ever be."""
        self._buffer = bytearray(inner)
        self._whole = True
        self._step = self._read_kind

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise DecodeError("too-large", f"more than {self._limits.decompressed_size} bytes")

    def _finish(self, message: StreamMessage) -> bool:
        self._message = message
        self._end()
        return False

    def _end(self) -> None:
        self._over = True
        self._buffer.clear()


def _check(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise DecodeError("too-large", f"{what} of {size} bytes, above {limit}")


def encode_push_pull(join: bool, nodes: Iterable[Node], user_state: bytes) -> bytes:
    """Return a full state as one message.

    Complexity: O(nodes), 50 ns for a record that was encoded before.
    """
    entries = [node.wire_state or encode_node_state(node) for node in nodes]
    header = b"".join(
        (
            b"\x06\x83\xa4Join\xc3" if join else b"\x06\x83\xa4Join\xc2",
            b"\xa5Nodes",
            encode_uint(len(entries)),
            b"\xacUserStateLen",
            encode_uint(len(user_state)),
        )
    )
    return b"".join((header, *entries, user_state))


def encode_user_message(payload: bytes) -> bytes:
    """Return a user message in its form for streams."""
    return b"\x08\x81\xaaUserMsgLen" + encode_uint(len(payload)) + payload


def seal_stream(
    message: bytes,
    *,
    label: bytes,
    keyring: Keyring | None,
    verify_outgoing: bool,
    encryption_version: int,
    compression: bool,
    entropy: Callable[[int], bytes],
    reply: bool,
) -> bytes:
    """Return all the bytes of one direction of a stream.

    Args:
        message: With its type byte.
        label: The cluster's label; empty for none.
        keyring: None or empty means that encryption is off.
        verify_outgoing: Encrypt while there are keys.
        encryption_version: 0 or 1.
        compression: Compress, even where that makes it longer: so upstream does on streams.
        entropy: Where nonces come from.
        reply: The other side opened the stream: no label goes in front.
    """
    if compression:
        message = encode_compressed(message)
    if keyring and verify_outgoing:
        size = sealed_size(len(message), encryption_version)
        header = b"\x0a" + size.to_bytes(4, "big")
        nonce = entropy(NONCE_SIZE)
        message = header + keyring.seal(message, header + label, nonce, encryption_version)
    return message if reply else label_header(label) + message
