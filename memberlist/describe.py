"""How an output reads in one line, packets taken apart: for transcripts, digests and failures.

Part of the simulator; no machine uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from attrs import fields, has

from memberlist.codec import (
    decode_ack,
    decode_compressed,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_ping,
)
from memberlist.errors import DecodeError
from memberlist.messages import MessageType
from memberlist.node import Node, NodeState
from memberlist.outputs import OpenStream, SendDatagram, SendStream
from memberlist.packet import decode_compound


def describe(value: Any) -> str:
    """Return a stable line for an output: what a transcript shows, and what a digest hashes.

    >>> describe(SendDatagram(("10.0.0.2", 7946), bytes.fromhex("0b81a55365714e6f4e")))
    'SendDatagram 10.0.0.2:7946 [Nack sequence=78]'
    """
    if isinstance(value, SendDatagram):
        return f"SendDatagram {_value(value.to)} [{_packet(value.data)}]"
    if isinstance(value, SendStream):
        return f"SendStream {value.stream} {len(value.data)} bytes{' eof' * value.eof}"
    if isinstance(value, OpenStream):
        return f"OpenStream {value.stream} {_value(value.to)}"
    return _words(value) if has(type(value)) else _value(value)


def _words(value: Any) -> str:
    """Return an attrs object as its name and fields."""
    words = (f"{each.name}={_value(getattr(value, each.name))}" for each in fields(type(value)))
    return " ".join((type(value).__name__, *words))


def _value(value: Any) -> str:  # noqa: PLR0911 - one line a type
    """Return one value in a form that says what counts and never changes by itself."""
    match value:
        case Node():
            host, port = value.address
            meta = f" meta={_value(value.meta)}" if value.meta else ""
            state = NodeState(value.state).name.lower()
            return f"<{value.name} {host}:{port} {state} {value.incarnation}{meta}>"
        case (str(host), int(port)):
            return f"{host}:{port}"
        case Enum():
            return str(value.value)
        case bool() | None | int():
            return str(value)
        case float():
            return f"{value:.6g}"
        case bytes():
            return repr(value)[1:] if len(value) <= 40 else f"{len(value)} bytes"
        case tuple() | list():
            return f"({' '.join(_value(item) for item in value)})"
    return f"[{_words(value)}]" if has(type(value)) else str(value)


def _packet(data: bytes) -> str:
    """Return the messages of a plain packet, or its size if it can't be read without a key."""
    try:
        return " + ".join(_messages(data))
    except DecodeError:
        return f"{len(data)} bytes"


def _messages(data: bytes) -> list[str]:
    kind = data[0] if data else -1
    if kind == MessageType.HAS_CRC:
        return _messages(data[5:])
    if kind == MessageType.COMPRESS:
        return _messages(decode_compressed(data, 1 << 16))
    if kind == MessageType.COMPOUND:
        return [text for part in decode_compound(data[1:])[0] for text in _messages(part)]
    if kind == MessageType.USER:
        return [f"User {_value(data[1:])}"]
    message = _DECODERS.get(kind, decode_gossip)(data)
    return [f"Alive {_value(message)}" if isinstance(message, Node) else _words(message)]


_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    MessageType.PING: decode_ping,
    MessageType.INDIRECT_PING: decode_indirect_ping,
    MessageType.ACK: decode_ack,
    MessageType.NACK: decode_nack,
}
