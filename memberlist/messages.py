"""The messages of the wire as plain objects, one class a type; an alive message is a `Node`.

Knows nothing of bytes (codec.py) nor of what a message means (memberlist.py). Attribute names
are the protocol's terms; the codec maps them to HashiCorp's field names.

Source: memberlist `net.go`.
"""

from __future__ import annotations

from enum import IntEnum

from attrs import define

from memberlist.node import Address, Node


class MessageType(IntEnum):
    """The first byte of every message. Per-packet code takes the plain `value`, which is faster."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    HAS_CRC = 12
    ERROR = 13
    HAS_LABEL = 244


@define
class Ping:
    """Are you there?

    Attributes:
        sequence: u32, chosen by the prober; the answer carries it.
        node: Name of the member that is meant; empty means whoever receives it.
        source: Where to answer; None means to the packet's source.
        source_name: Name of the prober, empty if not told.
    """

    sequence: int
    node: str
    source: Address | None = None
    source_name: str = ""


@define
class IndirectPing:
    """Please ping this member for me.

    Attributes:
        sequence: u32, the prober's; ack and nack to the prober carry it.
        node: Name of the member to ping.
        target: Its address; port 0 means the helper's own port.
        nack: Whether the prober wants to hear when nothing came.
        source: Where to answer; None means to the packet's source.
        source_name: Name of the prober, empty if not told.
    """

    sequence: int
    node: str
    target: Address
    nack: bool = False
    source: Address | None = None
    source_name: str = ""


@define
class Ack:
    """I am here, or: the member you asked about answered me.

    Attributes:
        sequence: u32 of the ping.
        payload: The application's bytes (coordinates, say); empty when relayed.
    """

    sequence: int
    payload: bytes = b""


@define
class Nack:
    """I live, but the member you asked me about has not answered me.

    Attributes:
        sequence: u32 of the indirect ping.
    """

    sequence: int


@define
class Suspect:
    """`sender` suspects `node` at this incarnation."""

    incarnation: int
    node: str
    sender: str


@define
class Dead:
    """`sender` declares `node` dead at this incarnation; its own name means that it leaves."""

    incarnation: int
    node: str
    sender: str


@define
class ErrorReply:
    """A peer's words on a stream that it could not serve."""

    text: str


@define
class UserMessage:
    """The application's bytes, on a stream."""

    payload: bytes


@define
class PushPull:
    """A full state: what one side of an anti-entropy exchange knows.

    Attributes:
        join: Whether the exchange is part of a join.
        nodes: Every member known, the sender included.
        user_state: The application's bytes, empty if it has none.
    """

    join: bool
    nodes: list[Node]
    user_state: bytes = b""


#: What a stream may carry, one per direction.
StreamMessage = Ping | Ack | PushPull | UserMessage | ErrorReply
