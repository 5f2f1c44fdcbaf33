"""What is known of one member: a name, an address, tags, a status, versions.

Owns the record that the application sees. Knows nothing of rules or time (membership.py).

Source: serf/serf.go Member and MemberStatus.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final

from attrs import field, frozen

from serfevents.errors import DecodeError
from serfevents.records import Address

#: Longest name of a member that is believed of peers; Serf's own are at most 128.
NAME_SIZE_MAX: Final = 512
#: Longest name that `is_valid_name` allows. Source: serf/serf.go ValidateNodeName.
VALID_NAME_SIZE_MAX: Final = 128

_VALID_NAME = re.compile(r"[A-Za-z0-9\-.]*")

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class Status(IntEnum):
    """The states of a member, with Serf's numbers."""

    NONE = 0
    ALIVE = 1
    LEAVING = 2
    LEFT = 3
    FAILED = 4


NONE: Final = Status.NONE
ALIVE: Final = Status.ALIVE
LEAVING: Final = Status.LEAVING
LEFT: Final = Status.LEFT
FAILED: Final = Status.FAILED


@frozen
class Member:
    """One member as we see it.

    Attributes:
        name: Unique in the cluster.
        address: Where it is reached.
        tags: The application's description of it; can't be written to.
        status: See `Status`.
        versions: Six bytes: protocol minimum, maximum, current, then Serf's own three.
    """

    name: str
    address: Address
    tags: Mapping[str, str] = field(hash=False)
    status: Status
    versions: bytes


def is_valid_name(name: str) -> bool:
    """Whether a name has only letters, digits, dashes and dots, at most 128 of them.

    Serf demands it where ValidateNodeNames is on; a composite may in memberlist's `accept`.

    >>> is_valid_name("web-1.example"), is_valid_name("web_1")
    (True, False)
    """
    return len(name) <= VALID_NAME_SIZE_MAX and _VALID_NAME.fullmatch(name) is not None


@lru_cache(maxsize=4096)
def pack_ip(host: str) -> bytes:
    """Return an IP as 4 or 16 bytes; IPv4 always as 4, as Serf compares them bytewise.

    Raises:
        ValueError: It is no IP.
    """
    packed = ipaddress.ip_address(host.partition("%")[0]).packed
    return packed[12:] if packed.startswith(_MAPPED_PREFIX) else packed


@lru_cache(maxsize=4096)
def unpack_ip(packed: bytes) -> str:
    """Return the text of an IP of 4 or 16 bytes.

    Raises:
        DecodeError: `bad-address`.
    """
    if packed.startswith(_MAPPED_PREFIX) and len(packed) == 16:
        packed = packed[12:]
    if len(packed) not in (4, 16):
        raise DecodeError("bad-address", f"an IP of {len(packed)} bytes")
    return str(ipaddress.ip_address(packed))
