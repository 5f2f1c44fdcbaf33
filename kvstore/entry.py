"""An entry of the store: the immutable record inside, and the value handed out.

Records are exact tuples: a tuple of strings, bytes and numbers is created three times as fast as
the smallest class, and the garbage collector stops looking at it, so that a million of them cost
no pause. Everything that reads a field by position lives on the constants here. `Entry` is made
from a record when somebody asks for one.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

# What few entries have: (lock_count, lock_session, lock_revision, owner, ttl).
Bonds: TypeAlias = tuple[int, str, int, str, int | None]

# What an entry is: (key, value, flags, create_revision, mod_revision, version, bonds, sequence,
# directory). The sequence is the position of the change in the history, counted from the first
# ever. The directory is a local number (`Directories`), the one field in which replicas differ.
Record: TypeAlias = tuple[str, bytes, int, int, int, int, Bonds | None, int, int]

KEY: Final = 0
VALUE: Final = 1
FLAGS: Final = 2
CREATE_REVISION: Final = 3
MOD_REVISION: Final = 4
VERSION: Final = 5
BONDS: Final = 6
SEQUENCE: Final = 7
DIRECTORY: Final = 8

LOCK_COUNT: Final = 0
LOCK_SESSION: Final = 1
LOCK_REVISION: Final = 2
OWNER: Final = 3
TTL: Final = 4

NO_BONDS: Final[Bonds] = (0, "", 0, "", None)

# How an entry without bonds ends: with none, and without an end of its time.
BARE: Final = (*NO_BONDS, None)

#: The constructor of tuples: it matches no arguments, which is half of the time of `Entry(...)`.
new_tuple: Final = tuple.__new__


class Entry(NamedTuple):
    """One key with its value and its stamps, as of one revision.

    A named tuple, as reads make millions of them: nothing that is immutable is built faster.

    Attributes:
        key: Non-empty text without NUL.
        value: Opaque bytes.
        flags: Opaque number of the client, 0 to 2**64 - 1.
        create_revision: Index of the command that created this incarnation of the key.
        mod_revision: Index of the last command that changed it; the token of `cas`.
        version: Revisions that touched this incarnation, 1 at its creation.
        lock_count: How often the key was locked in this incarnation; together with the key and
            the session it is a fencing token.
        lock_session: The session that holds the lock, or "".
        lock_revision: Index of the command that took the lock now held, or 0.
        owner: The session whose end deletes the key, or "".
        ttl: Milliseconds from the last write or touch to the deletion of the key, or None.
        expires: Logical time of that deletion in milliseconds, where it is known: None without
            a ttl, and in reads of the past.
    """

    key: str
    value: bytes
    flags: int
    create_revision: int
    mod_revision: int
    version: int
    lock_count: int = 0
    lock_session: str = ""
    lock_revision: int = 0
    owner: str = ""
    ttl: int | None = None
    expires: int | None = None


def make_entry(record: Record, expires: int | None = None) -> Entry:
    """Return the entry that a record describes.

    >>> make_entry(("key", b"value", 0, 7, 9, 2, None, 1, -1)).mod_revision
    9
    """
    bonds = record[BONDS]
    if bonds is None:
        return new_tuple(Entry, record[:BONDS] + BARE)
    return new_tuple(Entry, (*record[:BONDS], *bonds, expires))


def make_bonds(
    lock_count: int, lock_session: str, lock_revision: int, owner: str, ttl: int | None
) -> Bonds | None:
    """Return the bonds of a record in their one form: None if there are none."""
    bonds = (lock_count, lock_session, lock_revision, owner, ttl)
    return None if bonds == NO_BONDS else bonds


def shared(record: Record | None) -> object:
    """Return what is the same on every replica of a record: all but the directory."""
    return None if record is None else record[:DIRECTORY]


def all_shared(records: tuple[Record, ...]) -> object:
    """Return what is the same on every replica of some records."""
    return tuple(map(shared, records))
