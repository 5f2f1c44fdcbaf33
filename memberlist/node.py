"""What is known of one member: a name, an address, metadata, an incarnation and a state.

Owns the record that the table, the wire and the application share, and the two conversions
between an IP's text and its bytes. Knows nothing of rules, queues or time.

Source: SWIM section 4.2 (incarnations), memberlist `state.go`, `net.go`.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from functools import lru_cache
from typing import TypeAlias

from memberlist.errors import DecodeError

#: An endpoint: the IP as text (canonical form) and the port, as `socket` gives them.
Address: TypeAlias = tuple[str, int]

#: Incarnations and sequence numbers are u32 on the wire.
INCARNATION_MAX = 2**32 - 1

#: Longest name in bytes that a decoder accepts; Serf itself allows 128.
NAME_SIZE_MAX = 512

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class NodeState(IntEnum):
    """The four states of a member, with their wire numbers."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


ALIVE, SUSPECT, DEAD, LEFT = NodeState


class Node:
    """One member as one node sees it. Treat it as immutable: many tables may share it.

    A slotted class with a plain constructor because one is made for each distinct gossip message;
    the simulator verifies that nobody writes to it.

    Attributes:
        name: Unique in the cluster; 1 to `NAME_SIZE_MAX` bytes of UTF-8.
        address: Where it receives packets and streams.
        meta: The application's bytes, at most memberlist's 512.
        versions: Six bytes: protocol min, max, current; application min, max, current.
        incarnation: 0 to `INCARNATION_MAX`; only the member itself raises it.
        state: A `NodeState`.
        ip: The IP of `address` as 4 or 16 bytes, as the wire has it.
    """

    __match_args__ = ("name", "address", "meta", "versions", "incarnation", "state")
    __slots__ = (
        "address",
        "checked",
        "incarnation",
        "ip",
        "meta",
        "name",
        "state",
        "versions",
        "wire",
        "wire_state",
    )

    def __init__(
        self,
        name: str,
        address: Address,
        meta: bytes,
        versions: bytes,
        incarnation: int,
        state: NodeState = ALIVE,
        ip: bytes | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.meta = meta
        self.versions = versions
        self.incarnation = incarnation
        self.state = state
        self.ip = pack_ip(address[0]) if ip is None else ip
        # Encodings as an alive message and as a push/pull entry, made by the codec when first
        # needed. They are functions of the fields above, so sharing them is not sharing state.
        self.wire: bytes | None = None
        self.wire_state: bytes | None = None
        # Whether the fields were checked since the application made the record (`check_known`).
        self.checked = False

    def replaced(self, *, state: NodeState, incarnation: int) -> Node:
        """Return this record with another state and incarnation."""
        return Node(self.name, self.address, self.meta, self.versions, incarnation, state)

    def _key(self) -> tuple[object, ...]:
        return (
            self.name,
            self.address,
            self.meta,
            self.versions,
            self.incarnation,
            self.state,
        )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Node) else NotImplemented

    def __hash__(self) -> int:
        return self._key().__hash__()

    def __repr__(self) -> str:
        host, port = self.address
        return (
            f"<Node {self.name} {NodeState(self.state).name.lower()} "
            f"incarnation={self.incarnation} {host}:{port}>"
        )


@lru_cache(maxsize=65536)
def pack_ip(host: str) -> bytes:
    r"""Return an IP's 4 or 16 bytes.

    An IPv4 address inside IPv6 (`::ffff:10.0.0.1`, as dual-stack sockets report it) becomes 4
    bytes, because peers compare addresses bytewise. A zone (`%eth0`) is local and not sent.

    Raises:
        ValueError: `host` is not an IP address.

    >>> pack_ip("127.0.0.1")
    b'\x7f\x00\x00\x01'
    >>> pack_ip("::ffff:127.0.0.1") == pack_ip("127.0.0.1")
    True
    """
    packed = ipaddress.ip_address(host.partition("%")[0]).packed
    return packed[12:] if packed.startswith(_MAPPED_PREFIX) and len(packed) == 16 else packed


def is_ip(host: str) -> bool:
    """Tell an IP address from a host name.

    >>> is_ip("::1"), is_ip("localhost")
    (True, False)
    """
    try:
        pack_ip(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65536)
def unpack_ip(packed: bytes) -> str:
    """Return the canonical text of an IP's 4 or 16 bytes.

    Raises:
        DecodeError: Any other length.

    >>> unpack_ip(bytes(15) + bytes([1]))
    '::1'
    """
    if len(packed) not in (4, 16):
        raise DecodeError("bad-address", f"an IP of {len(packed)} bytes")
    if packed.startswith(_MAPPED_PREFIX) and len(packed) == 16:
        packed = packed[12:]
    if len(packed) == 4:  # a tenth of what the module takes
        return ".".join(map(str, packed))
    return str(ipaddress.IPv6Address(packed))


def parse_address(text: str, port: int) -> Address:
    """Read `host`, `host:port`, `[ipv6]`, `[ipv6]:port` or any of them behind `name/`.

    The host may be a DNS name: the driver resolves it when it opens the stream.

    Args:
        text: What a user typed.
        port: The port to assume when the text has none; 1 to 65535.

    Raises:
        ValueError: No host, or a port that is not a number from 1 to 65535.

    >>> parse_address("web1/[::1]:7000", 7946), parse_address("10.0.0.5", 7946)
    (('::1', 7000), ('10.0.0.5', 7946))
    """
    rest = text.rpartition("/")[2]
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError(f"not an address: {text!r}")
        digits = tail[1:]
    elif rest.count(":") == 1:
        host, _, digits = rest.partition(":")
    else:
        host, digits = rest, ""
    if not host:
        raise ValueError(f"no host in {text!r}")
    if digits and not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"not a port: {digits!r} in {text!r}")
    number = int(digits) if digits else port
    if not 0 < number < 65536:
        raise ValueError(f"port {number} is not within 1 to 65535")
    return host, number
