"""How etcd's keys, leases and revisions stand in the store, and back.

etcd's keys are bytes, the store's are text without NUL. A byte becomes the character of its
number, so that ASCII stays as it is; NUL and 0x01 are escaped in a way that keeps the order of
all keys. etcd counts only changes; the store's index counts every command. `Revisions` translates.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from kvstore.store import Store

_SESSION = re.compile("[0-9a-f]{16}")
_ESCAPE = str.maketrans({"\0": "\x01\x01", "\x01": "\x01\x02"})

#: What `range_end` is to mean "no end".
NO_END = b"\0"


def to_text(key: bytes) -> str:
    r"""Return the store's key for one of etcd's; the order of keys is the same.

    >>> to_text(b"a/\0")
    'a/\x01\x01'
    """
    return key.decode("latin-1").translate(_ESCAPE)


def to_bytes(key: str) -> bytes:
    """Return etcd's key for one of the store's: the inverse of `to_text`.

    A key that other writers made of characters beyond 255 is told in UTF-8.
    """
    try:
        plain = key.encode("latin-1")
    except UnicodeEncodeError:
        return key.encode()
    return plain.replace(b"\x01\x01", b"\0").replace(b"\x01\x02", b"\x01")


def bounds(key: bytes, range_end: bytes) -> tuple[str, str | None]:
    """Return the first key and the first beyond, None for no end, that a request selects."""
    start = to_text(key)
    if not range_end:
        # No key lies between: what follows `start` in an escaped key is \x01\x01 or greater.
        return start, start + "\x01"
    return start, None if range_end == NO_END else to_text(range_end)


def session_of(lease: int) -> str:
    """Return the id of the session that stands for a lease; the order of positive ones is kept."""
    return f"{lease & (2**64 - 1):016x}"


def lease_of(session: str) -> int:
    """Return the lease that a session stands for; 0 for none, and for those of other programs."""
    if not _SESSION.fullmatch(session):
        return 0
    number = int(session, 16)
    return number - 2**64 if number >= 2**63 else number


class Revisions:
    """Numbers the changes of a store as etcd does: 1 for an empty store, then one each.

    Attached to a store with a past that is forgotten, it begins with the number of its floor.
    """

    __slots__ = ("_base", "_indexes", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        # Invariant: ascending; the index of each revision from `_base` on.
        self._indexes = [max(1, store.floor)]
        self._base = self._indexes[0]
        self.catch_up()

    def catch_up(self) -> None:
        """Number the changes that were made since the last time."""
        last = self._indexes[-1]
        if self._store.revision > last:
            for event in self._store.changes_since(max(last, self._store.floor)):
                if event.revision > self._indexes[-1]:
                    self._indexes.append(event.revision)

    @property
    def current(self) -> int:
        """The newest revision."""
        return self._base + len(self._indexes) - 1

    def of(self, index: int) -> int:
        """Return the revision that was newest at an index of the store."""
        if index < self._indexes[0]:
            return index
        return self._base + bisect_right(self._indexes, index) - 1

    def index(self, revision: int) -> int:
        """Return the index of a revision; of one to come, an index that is not there yet."""
        if revision < self._base:
            return max(revision, 0)
        if revision <= self.current:
            return self._indexes[revision - self._base]
        return self._store.applied_index + revision - self.current
