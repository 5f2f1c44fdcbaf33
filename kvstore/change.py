"""One change of one key, inside as a tuple and outside as an event.

Changes are what the history is a list of. Like records they are exact tuples.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, TypeAlias

import attrs

from kvstore.entry import Entry, Record, make_entry


class Cause(IntEnum):
    """Why a key changed."""

    COMMAND = 0
    LOCK = 1
    UNLOCK = 2
    SESSION = 3
    TTL = 4
    RANGE = 5


# What happened to a key: (revision, key, the record now or None for a deletion, the record before
# or None, cause, link). The link of a creation is the sequence of the deletion before it, and -1
# if there was none, or none that is remembered; it is -1 for all others.
Change: TypeAlias = tuple[int, str, Record | None, Record | None, int, int]

REVISION: Final = 0
CHANGED_KEY: Final = 1
NEW: Final = 2
OLD: Final = 3
CAUSE: Final = 4
LINK: Final = 5

NO_LINK: Final = -1

Kind: TypeAlias = Literal["put", "delete"]


@attrs.frozen
class Event:
    """One change as told to those who watch.

    Attributes:
        kind: "put" or "delete".
        key: The key.
        revision: The index of the command that changed it.
        entry: The entry from there on; None for a deletion.
        previous: The entry before, if it was asked for and there was one.
        cause: Why it changed.
    """

    kind: Kind
    key: str
    revision: int
    entry: Entry | None
    previous: Entry | None
    cause: Cause


def make_event(change: Change, *, previous: bool = False, keys_only: bool = False) -> Event:
    """Return the event that tells a change.

    Args:
        change: The change.
        previous: Whether to tell the entry before.
        keys_only: Whether to leave values out.
    """
    revision, key, new, old, cause, _ = change
    return Event(
        "delete" if new is None else "put",
        key,
        revision,
        None if new is None else _entry(new, keys_only),
        _entry(old, keys_only) if previous and old is not None else None,
        Cause(cause),
    )


def _entry(record: Record, keys_only: bool) -> Entry:
    return make_entry((record[0], b"", *record[2:]) if keys_only else record)
