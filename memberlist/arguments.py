"""Checks of what the application passes to a machine: refused before anything changes.

Knows nothing of the machine. Each check returns what it was given, in the form that is kept.
"""

from __future__ import annotations

import math

from memberlist.node import NAME_SIZE_MAX, Address, pack_ip, unpack_ip


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
    host, port = seed
    if not (isinstance(host, str) and host and isinstance(port, int) and 0 < port < 65536):
        raise ValueError(f"not an address (host, port): {seed!r}")
    return host, port


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


def check_time(now: float) -> float:
    """Return a time, which must be finite."""
    if not -math.inf < now < math.inf:
        raise ValueError(f"time must be finite, not {now}")
    return now
