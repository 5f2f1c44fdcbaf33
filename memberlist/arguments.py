"""Checks of what the application passes to a machine: refused before anything changes.

Knows nothing of the machine. Each check returns what it was given, in the form that is kept.
"""

from __future__ import annotations

from typing import Final

from memberlist.config import META_SIZE_MAX
from memberlist.node import (
    INCARNATION_MAX,
    NAME_SIZE_MAX,
    Address,
    Node,
    pack_ip,
    unpack_ip,
)

#: Latest time, and earliest, in seconds: floats beyond lose deadlines, so that one never comes.
TIME_MAX: Final = 1e12


def check_bytes(value: bytes, what: str) -> bytes:
    """Return `value`, which must be bytes; `what` names it in the refusal."""
    if not isinstance(value, bytes):
        raise TypeError(f"{what} must be bytes, not {type(value).__name__}")
    return value


def check_name(name: str) -> str:
    """Return a member's name, which must be text of 1 to `NAME_SIZE_MAX` bytes of UTF-8."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be text, not {type(name).__name__}")
    if not 0 < len(name.encode()) <= NAME_SIZE_MAX:
        raise ValueError(f"a name must have 1 to {NAME_SIZE_MAX} bytes, not {name!r}")
    return name


def check_seed(seed: Address) -> Address:
    """Return an address to contact, whose host may be a name that the driver resolves."""
    match seed:
        case [str(host), int(port)] if host and 0 < port < 65536:
            return host, port
    raise ValueError(f"not an address (host, port), as `parse_address` reads from text: {seed!r}")


def check_address(address: Address) -> Address:
    """Return the address that others shall use, in the form in which peers tell it.

    The form matters: the same IP written otherwise would look like another member of our name.

    >>> check_address(("2001:DB8::0001", 7946)), check_address(("::ffff:10.0.0.1", 7946))
    (('2001:db8::1', 7946), ('10.0.0.1', 7946))
    """
    host, port = check_seed(address)
    packed = pack_ip(host)
    if not any(packed):
        raise ValueError(f"others can't reach {host}: give the address that they should use")
    return unpack_ip(packed), port


def check_known(node: Node) -> Node:
    """Return a member of an earlier life, which must be one that a peer could have told of.

    The IP comes back in the form in which peers tell it, as of `check_address`. A record is
    checked once, however many members share it.
    """
    if not isinstance(node, Node):
        raise TypeError(f"a known member is a Node, not {type(node).__name__}")
    if node.checked:
        return node
    host, port = check_seed(node.address)
    meta, versions, incarnation = node.meta, node.versions, node.incarnation
    if not isinstance(node.name, str) or not isinstance(incarnation, int):
        raise TypeError(f"a known member has a name and a whole incarnation: {node!r}")
    name_size = len(node.name.encode("utf-8", "surrogateescape"))
    if not (0 < name_size <= NAME_SIZE_MAX and 0 <= incarnation <= INCARNATION_MAX):
        raise ValueError(f"a known member's name or incarnation is out of range: {node!r}")
    if len(check_bytes(meta, "meta")) > META_SIZE_MAX:
        raise ValueError(f"a known member's metadata of {len(meta)} bytes: {node!r}")
    if len(check_bytes(versions, "versions")) not in (0, 6):
        raise ValueError(f"a known member's versions are none or six bytes: {node!r}")
    canonical = unpack_ip(node.ip)
    if canonical != host:
        node = Node(node.name, (canonical, port), meta, versions, incarnation, node.state)
    node.checked = True
    return node


def check_time(now: float) -> float:
    """Return a time, which must be fine enough to tell a millisecond from none.

    Milliseconds or nanoseconds of the wall clock given for seconds are beyond `TIME_MAX`.
    """
    if type(now) is not float and not isinstance(now, (int, float)):
        raise TypeError(f"time is a number of seconds, not {type(now).__name__}")
    if not -TIME_MAX <= now <= TIME_MAX:
        raise ValueError(f"time must be finite, and within {TIME_MAX:.0e} seconds, not {now}")
    return now
