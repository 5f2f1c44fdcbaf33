"""How ZooKeeper's nodes stand in the store, and back.

A node is some keys, chosen so that the store itself keeps every stamp of ZooKeeper's, through the
ends of sessions too, in replicas and in snapshots. For the node /a/b:

- "/a/b" holds the data, and nothing else, so that the other dialects read it as it is. It changes
  with the data only: its create and mod revision are czxid and mzxid, its version counts the
  transactions that set it. Flags: see `_flags`. An ephemeral's owner is its session.
- "/a//b", its birth, is written once, together with the node, and goes with it: the keys below
  "/a//" are the children of /a, and the last change there is pzxid. It holds ctime and the
  lifetime. It has the same owner: a session's end takes it along.
- "/a/b//" exists from the first child on; its flags count all children that were ever created:
  ZooKeeper's hidden counter, which names sequential nodes and makes cversion.
- "expiring/a/b" lists it among containers and nodes with a time to live, for who deletes them.

No path has an empty name in it, so that none of these is the data of another node.

Source: ZooKeeper DataNode.java, DataTree.java, EphemeralType.java, PathUtils.java.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

import attrs

from kvstore.commands import Delete, Operation, Put
from kvstore.dialects.zookeeper_values import Stat
from kvstore.entry import KEY
from kvstore.store import Store

#: The lifetime of a container. Others are milliseconds to live; 0 is for ever.
CONTAINER: Final = -1

#: Milliseconds to live at most.
TTL_MAX: Final = 2**40 - 1

#: What the keys begin with that list containers and nodes with a time to live.
EXPIRING: Final = "expiring"

ROOT: Final = "/"

# ctime and lifetime.
_BIRTH: Final = struct.Struct(">qq")

# Flags of a node's data: whether it is null, 19 bits of versions beyond the store's, 44 of mtime.
_EXTRA_MAX: Final = 2**19 - 1
_TIME_MAX: Final = 2**44 - 1

_SESSION: Final = re.compile("[0-9a-f]{16}")

# What ZooKeeper finds in no path: control characters, what is not one UTF-16 unit, private use.
_INVALID: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]|//|/\\.\\.?(?:/|$)"
)


@attrs.frozen
class Node:
    """One node.

    Attributes:
        data: Its data, which may be null.
        czxid: As in `Stat`; so are `mzxid`, `pzxid`, `ctime`, `mtime`, `version`.
        creates: Children that were ever created.
        children: Children there are.
        owner: The session that it ends with, or 0.
        lifetime: `CONTAINER`, milliseconds to live, or 0 for ever.
        writes: Transactions that wrote it, as the store counts them; 0 if the store has it not.
    """

    data: bytes | None
    czxid: int
    mzxid: int
    pzxid: int
    ctime: int
    mtime: int
    version: int = 0
    creates: int = 0
    children: int = 0
    owner: int = 0
    lifetime: int = 0
    writes: int = 0

    @property
    def stat(self) -> Stat:
        """What there is to know about it."""
        return Stat(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            2 * self.creates - self.children,
            0,
            self.owner,
            len(self.data or b""),
            self.children,
            self.pzxid,
        )


# --- paths


def is_path(path: str) -> bool:
    """Return whether a text is a path.

    >>> is_path("/a/b"), is_path("/a/"), is_path("/a/../b"), is_path("a")
    (True, False, False, False)
    """
    if path == ROOT:
        return True
    return path.startswith("/") and not path.endswith("/") and _INVALID.search(path) is None


def parent_of(path: str) -> str:
    """Return the path of what a node is a child of; of "/" it is "/" itself."""
    return path[: path.rindex("/")] or ROOT


def session_id(session: int) -> str:
    """Return the store's id of a session."""
    return f"{session:016x}"


def session_number(session: str) -> int:
    """Return the session of an id of the store's, 0 if it is none of ZooKeeper's."""
    return int(session, 16) if _SESSION.fullmatch(session) else 0


# --- keys


def children_prefix(path: str) -> str:
    """Return what the births of a node's children begin with.

    >>> children_prefix("/"), children_prefix("/a")
    ('//', '/a//')
    """
    return "//" if path == ROOT else f"{path}//"


def path_of_birth(key: str) -> str | None:
    """Return the path of the node whose birth a key tells, or None if it tells none.

    >>> path_of_birth("/a//b"), path_of_birth("//a"), path_of_birth("/a/b"), path_of_birth("/a//")
    ('/a/b', '/a', None, None)
    """
    parent, separator, name = key.partition("//")
    return f"{parent}/{name}" if separator and name else None


def _birth(path: str) -> str:
    return children_prefix(parent_of(path)) + path[path.rindex("/") + 1 :]


# --- reading and writing


def read_node(store: Store, path: str) -> Node | None:
    """Return the node at a path, None if there is none.

    Complexity: O(log n), however many children it has.
    """
    entry = store.get(path) if is_path(path) else None
    if entry is None:
        return None
    birth = store.get(_birth(path))
    prefix = children_prefix(path)
    counter = store.get(prefix)
    ctime, lifetime = 0, 0
    if birth is not None and len(birth.value) == _BIRTH.size:
        ctime, lifetime = _BIRTH.unpack(birth.value)
    return Node(
        None if entry.flags & 1 else entry.value,
        entry.create_revision,
        entry.mod_revision,
        entry.create_revision if counter is None else store.index_below(prefix),
        ctime,
        entry.flags >> 20,
        entry.version - 1 + (entry.flags >> 1 & _EXTRA_MAX),
        0 if counter is None else counter.flags,
        store.count(prefix) - (counter is not None),
        session_number(entry.owner),
        lifetime,
        entry.version,
    )


def children(store: Store, path: str) -> tuple[str, ...]:
    """Return the names of a node's children, in order."""
    prefix = children_prefix(path)
    names = (key[len(prefix) :] for key in store.range(prefix).keys)
    return tuple(name for name in names if name)


def count_below(store: Store, path: str) -> int:
    """Return how many nodes there are below one, at any depth. Complexity: O(them)."""
    prefix = ROOT if path == ROOT else f"{path}/"
    return sum(record[KEY] != path and is_path(record[KEY]) for record in store.records(prefix))


def ephemerals(store: Store, session: int) -> tuple[str, ...]:
    """Return the paths of the nodes that end with a session, in order."""
    return tuple(filter(is_path, store.session_keys(session_id(session))))


def expiring(store: Store) -> tuple[str, ...]:
    """Return the paths of containers and of nodes with a time to live, in order."""
    return tuple(key[len(EXPIRING) :] for key in store.range(f"{EXPIRING}/").keys)


def changes(path: str, before: Node | None, after: Node | None, zxid: int) -> Iterator[Operation]:
    """Yield what a transaction does to the store so that a node becomes what it shall be.

    Args:
        path: The path of the node.
        before: What the store has.
        after: What it shall have.
        zxid: The index of the transaction.
    """
    if before is not None and (after is None or not after.writes):
        yield from _removal(path, before)
    if after is None:
        return
    if after.writes:
        if after.mzxid == zxid:
            yield Put(path, after.data or b"", _flags(after), force=True)
    else:
        owner = session_id(after.owner) if after.owner else None
        yield Put(path, after.data or b"", _flags(after), owner=owner)
        yield Put(_birth(path), _BIRTH.pack(after.ctime, after.lifetime), owner=owner)
        if after.lifetime:
            yield Put(EXPIRING + path)
    if after.creates and after.pzxid == zxid:
        yield Put(children_prefix(path), flags=after.creates, force=True)


def _removal(path: str, node: Node) -> Iterator[Operation]:
    yield Delete(path)
    yield Delete(_birth(path))
    if node.creates:
        yield Delete(children_prefix(path))
    if node.lifetime:
        yield Delete(EXPIRING + path)


def _flags(node: Node) -> int:
    """Return the flags of a node's data.

    The store gives a key one version for a transaction, ZooKeeper one for each setting in it:
    what is more is kept beside mtime.
    """
    extra = min(node.version - node.writes, _EXTRA_MAX)
    return min(node.mtime, _TIME_MAX) << 20 | extra << 1 | (node.data is None)
