"""Checks of what the application passes to a machine: refused before anything changes.

Knows nothing of the machine. Each check returns what it was given, in the form that is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raft.errors import Drop, ProposalDropped
from raft.membership.changes import Change, SingleChange
from raft.membership.configuration import Configuration
from raft.stored import SnapshotData

#: Latest time, in seconds: floats beyond it are too coarse for deadlines.
TIME_MAX = 1e12


def check_time(now: float) -> float:
    """Return a time, which must be a number within `TIME_MAX`."""
    if isinstance(now, bool) or not isinstance(now, (int, float)):
        raise TypeError(f"time is a number of seconds, not {type(now).__name__}")
    if not -TIME_MAX <= now <= TIME_MAX:
        raise ValueError(f"time must be finite, and within {TIME_MAX:.0e} seconds, not {now}")
    return now


def check_payload(payload: bytes, size_max: int) -> int:
    """Return the size of a proposal, which must be bytes and within the limit.

    Raises:
        ProposalDropped: It is too large.
    """
    if type(payload) is not bytes:
        raise TypeError("a proposal must be bytes")
    if len(payload) > size_max:
        raise ProposalDropped(Drop.TOO_LARGE)
    return len(payload)


def check_payloads(payloads: Sequence[bytes], size_max: int) -> tuple[tuple[bytes, ...], int]:
    """Return proposals and their size; there must be one, and each must be as `check_payload` says.

    Raises:
        ProposalDropped: One is too large.
    """
    checked = tuple(payloads)
    if not checked:
        raise ValueError("nothing is proposed")
    if set(map(type, checked)) != {bytes}:
        raise TypeError("a proposal must be bytes")
    size = sum(map(len, checked))
    if size > size_max and max(map(len, checked)) > size_max:
        raise ProposalDropped(Drop.TOO_LARGE)
    return checked, size


def check_change(change: Change | Iterable[SingleChange]) -> Change:
    """Return a change; single ones are made into one."""
    return change if isinstance(change, Change) else Change(tuple(change))


def check_configuration(configuration: Configuration) -> Configuration:
    """Return a configuration that can decide something."""
    if not isinstance(configuration, Configuration):
        raise TypeError(f"not a Configuration: {configuration!r}")
    if not configuration.voters:
        raise ValueError("a cluster needs a voter")
    return configuration


def check_snapshot(index: int, contents: SnapshotData) -> None:
    """Refuse what can't be a snapshot."""
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"an index is a whole number, not {index!r}")
    if not isinstance(contents, (bytes, memoryview)):
        raise TypeError(f"a snapshot is bytes or a memoryview, not {type(contents).__name__}")
