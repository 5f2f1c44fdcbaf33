"""Records as lines of Serf's snapshot file, and back.

It owns the format of one line. It does not know what the lines add up to (reader.py) nor
when they are written (snapshot.py).

Each line is a record: `alive: NAME ADDRESS`, `not-alive: NAME`, `clock: N`, `event-clock: N`,
`query-clock: N`, `leave`, `coordinate: JSON` of old versions, or a comment after `#`. A name may
hold spaces: the address begins after the last one. Names that are no UTF-8 pass as they are, by
`surrogateescape`.

Source: serf/snapshot.go replay and the functions that call tryAppend.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, assert_never

from serfevents.errors import DecodeError
from serfevents.lamport import LTIME_MAX
from serfevents.records import (
    Address,
    Alive,
    Clock,
    Coordinate,
    EventClock,
    Leave,
    NotAlive,
    QueryClock,
    Record,
)

# Bytes of a member's name: it comes in a datagram. Serf has no limit.
NAME_MAX: Final = 65_535

# Bytes of a line without its end: room for the longest name, an address and what is around them.
LINE_MAX: Final = NAME_MAX + 65


def encode_record(record: Record) -> bytes:
    r"""Return a record as a line, its end included.

    Raises:
        ValueError: It can't be a line: a name or text with a line's end in it, which would be read
            back as another record, or that exceeds `NAME_MAX`; a Lamport time beyond 64 bits; no
            IP address.

    >>> encode_record(Alive("n1", ("2001:db8::1", 7946)))
    b'alive: n1 [2001:db8::1]:7946\n'
    """
    match record:
        case Alive(name, address):
            text = f"alive: {_checked_text(name)} {_format_address(address)}"
        case NotAlive(name):
            text = f"not-alive: {_checked_text(name)}"
        case Clock(ltime):
            text = f"clock: {_checked(ltime)}"
        case EventClock(ltime):
            text = f"event-clock: {_checked(ltime)}"
        case QueryClock(ltime):
            text = f"query-clock: {_checked(ltime)}"
        case Leave():
            text = "leave"
        case Coordinate(json):
            text = f"coordinate: {_checked_text(json)}"
        case _:
            assert_never(record)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def decode_line(line: bytes) -> Record | None:
    """Return the record of a line without its end; None for a comment.

    Raises:
        DecodeError: It is none. `reason` is `too-long`, `address`, `number` or `unknown`.

    Deviation: an address that is no IP and port is refused here. Serf keeps it until it tries to
    join there.
    """
    if len(line) > LINE_MAX:
        raise DecodeError("too-long", f"{len(line)} bytes")
    if line == b"leave":
        return Leave()
    if line.startswith(b"#"):
        return None
    kind, colon, value = line.partition(b": ")
    decode = _DECODERS.get(kind)
    if decode is None or not colon:
        raise DecodeError("unknown", repr(line[:64]))
    return decode(value)


def _decode_alive(value: bytes) -> Record:
    name, _, address = value.rpartition(b" ")
    if b" " not in value or (endpoint := _parse_address(address)) is None:
        raise DecodeError("address", repr(address[:64]))
    return Alive(_decode_text(name), endpoint)


def _decode_not_alive(value: bytes) -> Record:
    return NotAlive(_decode_text(value))


def _decode_coordinate(value: bytes) -> Record:
    return Coordinate(_decode_text(value))


def _decode_clock(make: Callable[[int], Record]) -> Callable[[bytes], Record]:
    def decode(value: bytes) -> Record:
        # Leading zeros are fine to Serf; without them, a length that is checked before its digits
        # are read.
        digits = value.lstrip(b"0")
        ltime = int(digits or b"0") if value.isdigit() and len(digits) <= 20 else -1
        if not 0 <= ltime <= LTIME_MAX:
            raise DecodeError("number", repr(value[:64]))
        return make(ltime)

    return decode


_DECODERS: Final[dict[bytes, Callable[[bytes], Record]]] = {
    b"alive": _decode_alive,
    b"not-alive": _decode_not_alive,
    b"clock": _decode_clock(Clock),
    b"event-clock": _decode_clock(EventClock),
    b"query-clock": _decode_clock(QueryClock),
    b"coordinate": _decode_coordinate,
}


def _decode_text(value: bytes) -> str:
    if len(value) > NAME_MAX:
        raise DecodeError("too-long", f"{len(value)} bytes")
    return value.decode("utf-8", "surrogateescape")


def _checked_text(text: str) -> str:
    if "\n" in text:
        raise ValueError(f"a line of a snapshot holds no other line: {text[:64]!r}")
    if len(text.encode("utf-8", "surrogateescape")) > NAME_MAX:
        raise ValueError(f"more than {NAME_MAX} bytes: {text[:64]!r}")
    return text


def _checked(ltime: int) -> int:
    if not 0 <= ltime <= LTIME_MAX:
        raise ValueError(f"a Lamport time has 64 bits: {ltime}")
    return ltime


def _format_address(address: Address) -> str:
    """Return an endpoint in the form of Go's net.TCPAddr."""
    text = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    if _parse_address(text.encode()) is None:
        raise ValueError(f"no address that can be joined: {address!r}")
    return text


def _parse_address(text: bytes) -> Address | None:
    """Return the IP and port of an endpoint, None if it is none that could be joined."""
    host, _, digits = _decode_text(text).rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        return None
    if not 0 < (port := int(digits)) < 65536:
        return None
    try:
        if host.startswith("[") and host.endswith("]") and "%" not in host:
            return str(IPv6Address(host[1:-1])), port
        return str(IPv4Address(host)), port
    except AddressValueError:
        return None
