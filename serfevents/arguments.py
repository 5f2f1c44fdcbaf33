"""Checks of what the application passes to a machine: refused before anything changes.

Knows nothing of the machine. Each check returns what it was given, in the form that is kept.
"""

from __future__ import annotations

from typing import Final

from serfevents.members import VALID_NAME_SIZE_MAX, pack_ip, unpack_ip
from serfevents.records import Address

#: Latest time, and earliest, in seconds: floats beyond lose deadlines, so that one never comes.
TIME_MAX: Final = 1e12


def check_bytes(value: bytes, what: str) -> bytes:
    """Return `value`, which must be bytes; `what` names it in the refusal."""
    if not isinstance(value, bytes):
        raise TypeError(f"{what} must be bytes, not {type(value).__name__}")
    return value


def check_text(value: str, what: str) -> str:
    """Return `value`, which must be text; `what` names it in the refusal."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {type(value).__name__}")
    return value


def check_name(name: str) -> str:
    """Return a member's name, which must be text of 1 to 128 bytes of UTF-8."""
    size = len(check_text(name, "a name").encode("utf-8", "surrogateescape"))
    if not 0 < size <= VALID_NAME_SIZE_MAX:
        raise ValueError(f"a name must have 1 to {VALID_NAME_SIZE_MAX} bytes, not {name!r}")
    return name


def check_address(address: Address) -> Address:
    """Return the address that others shall use, in the form in which peers tell it.

    >>> check_address(("2001:DB8::0001", 7946)), check_address(("::ffff:10.0.0.1", 7946))
    (('2001:db8::1', 7946), ('10.0.0.1', 7946))
    """
    match address:
        case [str(host), int(port)] if host and 0 < port < 65536:
            packed = pack_ip(host)
        case _:
            raise ValueError(f"not an address (host, port): {address!r}")
    if not any(packed):
        raise ValueError(f"others can't reach {host}: give the address that they should use")
    return unpack_ip(packed), port


def check_time(now: float) -> float:
    """Return a time, which must be fine enough to tell a millisecond from none."""
    if type(now) is not float and not isinstance(now, (int, float)):
        raise TypeError(f"time is a number of seconds, not {type(now).__name__}")
    if not -TIME_MAX <= now <= TIME_MAX:
        raise ValueError(f"time must be finite, and within {TIME_MAX:.0e} seconds, not {now}")
    return now
