"""Protocol versions: which members can live together, and what a peer understands.

A member announces six bytes: the protocol's minimum, maximum and current version, then the
application's. Versions of the protocol: 1 base; 2 encryption version 1 and a port in the indirect
ping; 3 stream pings; 4 nacks; 5 checksums. Features go by the maximum, whatever is current.

Source: memberlist `memberlist.go` (`verifyProtocol`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

STREAM_PING_VERSION: Final = 3
NACK_VERSION: Final = 4
CRC_VERSION: Final = 5

_NONE: Final = bytes(6)


def verify_protocol(alive: Iterable[bytes], everyone: Iterable[bytes]) -> str | None:
    """Tell whether all members, ours and the other side's, can speak together.

    The alive members' ranges must overlap, and everyone's current version, dead members included,
    must be within the overlap; for the protocol and for the application alike.

    Args:
        alive: Distinct versions of alive members of both sides; those of none or fewer than six
            bytes have no say.
        everyone: Distinct versions of all members of both sides; none counts as zeros.

    Returns:
        None if they can; else an explanation.

    >>> verify_protocol([bytes([1, 5, 2, 0, 0, 0])], [bytes([1, 5, 2, 0, 0, 0])])
    >>> verify_protocol([bytes([3, 5, 3, 0, 0, 0])], [bytes([1, 2, 2, 0, 0, 0])])
    'protocol version 2 of a member is not within 3 to 5, which all alive ones speak'
    """
    ranges = [versions for versions in alive if len(versions) >= len(_NONE)]
    currents = [versions if len(versions) >= len(_NONE) else _NONE for versions in everyone]
    return _verify("protocol", ranges, currents, 0) or _verify("application", ranges, currents, 3)


def _verify(
    what: str, ranges: Sequence[bytes], currents: Sequence[bytes], offset: int
) -> str | None:
    lowest = max((versions[offset] for versions in ranges), default=0)
    highest = min((versions[offset + 1] for versions in ranges), default=255)
    for versions in currents:
        current = versions[offset + 2]
        if not lowest <= current <= highest:
            return (
                f"{what} version {current} of a member is not within {lowest} to {highest}, "
                "which all alive ones speak"
            )
    return None


def supports_stream_ping(versions: bytes) -> bool:
    """Tell whether a member with these versions answers pings on a stream."""
    return len(versions) > 1 and versions[1] >= STREAM_PING_VERSION


def supports_nack(versions: bytes) -> bool:
    """Tell whether a member with these versions sends nacks."""
    return len(versions) > 1 and versions[1] >= NACK_VERSION


def supports_crc(versions: bytes) -> bool:
    """Tell whether a member with these versions understands a checksum on packets."""
    return len(versions) > 1 and versions[1] >= CRC_VERSION
