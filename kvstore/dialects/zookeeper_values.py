"""Requests, answers, errors and events of ZooKeeper, as plain values with ZooKeeper's names.

Source: ZooKeeper zookeeper.jute, KeeperException.java, CreateMode.java, Watcher.java.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

import attrs

#: The version that matches any.
ANY_VERSION: Final = -1


class Code(IntEnum):
    """What ZooKeeper answers besides results. `str()` gives its words."""

    OK = 0
    RUNTIME_INCONSISTENCY = -2
    CONNECTION_LOSS = -4
    BAD_ARGUMENTS = -8
    NO_NODE = -101
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    NO_WATCHER = -121
    QUOTA_EXCEEDED = -125

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS: Final = {
    Code.OK: "ok",
    Code.RUNTIME_INCONSISTENCY: "RuntimeInconsistency",
    Code.CONNECTION_LOSS: "ConnectionLoss",
    Code.BAD_ARGUMENTS: "BadArguments",
    Code.NO_NODE: "NoNode",
    Code.BAD_VERSION: "BadVersion",
    Code.NO_CHILDREN_FOR_EPHEMERALS: "NoChildrenForEphemerals",
    Code.NODE_EXISTS: "NodeExists",
    Code.NOT_EMPTY: "Directory not empty",
    Code.SESSION_EXPIRED: "Session expired",
    Code.NO_WATCHER: "No such watcher",
    Code.QUOTA_EXCEEDED: "Quota has exceeded",
}


class ZookeeperError(Exception):
    """A refusal, with ZooKeeper's number and words. It changed no node.

    Attributes:
        code: The number.
        path: The path that it is about, or None.
    """

    def __init__(self, code: Code, path: str | None = None) -> None:
        super().__init__(f"KeeperErrorCode = {code}" + ("" if path is None else f" for {path}"))
        self.code = code
        self.path = path


class CreateMode(IntEnum):
    """What kind of node to create, by ZooKeeper's flags."""

    PERSISTENT = 0
    EPHEMERAL = 1
    PERSISTENT_SEQUENTIAL = 2
    EPHEMERAL_SEQUENTIAL = 3
    CONTAINER = 4
    PERSISTENT_WITH_TTL = 5
    PERSISTENT_SEQUENTIAL_WITH_TTL = 6

    @property
    def is_ephemeral(self) -> bool:
        """Whether the node ends with its session."""
        return self in {CreateMode.EPHEMERAL, CreateMode.EPHEMERAL_SEQUENTIAL}

    @property
    def is_sequential(self) -> bool:
        """Whether the parent's number is appended to the path."""
        return self in {
            CreateMode.PERSISTENT_SEQUENTIAL,
            CreateMode.EPHEMERAL_SEQUENTIAL,
            CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL,
        }

    @property
    def has_ttl(self) -> bool:
        """Whether the node ends some time after its last change."""
        return self >= CreateMode.PERSISTENT_WITH_TTL


@attrs.frozen
class Stat:
    """What there is to know about a node but its data.

    Attributes:
        czxid: Transaction that created it.
        mzxid: Transaction that last set its data.
        ctime: Milliseconds of its creation.
        mtime: Milliseconds of the last setting of its data.
        version: How often its data was set.
        cversion: How often a child was created or deleted.
        aversion: 0, as there are no access control lists.
        ephemeralOwner: The session it ends with, or 0.
        dataLength: Bytes of its data.
        numChildren: Children it has.
        pzxid: Transaction that last created or deleted a child.
    """

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeralOwner: int  # noqa: N815 (ZooKeeper's name)
    dataLength: int  # noqa: N815
    numChildren: int  # noqa: N815
    pzxid: int


# --- what a transaction is made of


@attrs.frozen
class CreateRequest:
    """Create a node. `ttl` is in milliseconds, for the modes that have one."""

    path: str
    data: bytes | None = b""
    mode: CreateMode = CreateMode.PERSISTENT
    ttl: int | None = None


@attrs.frozen
class DeleteRequest:
    """Delete a node without children."""

    path: str
    version: int = ANY_VERSION


@attrs.frozen
class SetDataRequest:
    """Set the data of a node: always a new version."""

    path: str
    data: bytes | None
    version: int = ANY_VERSION


@attrs.frozen
class CheckVersionRequest:
    """Require that a node is there, in a version. In transactions only."""

    path: str
    version: int = ANY_VERSION


Request: TypeAlias = CreateRequest | DeleteRequest | SetDataRequest | CheckVersionRequest


@attrs.frozen
class CreateResult:
    """The node was created, at this path."""

    path: str
    stat: Stat


@attrs.frozen
class DeleteResult:
    """The node is gone."""


@attrs.frozen
class SetDataResult:
    """The data was set."""

    stat: Stat


@attrs.frozen
class CheckResult:
    """The node is as it was required."""


@attrs.frozen
class ErrorResult:
    """An operation of a transaction that was not done.

    Attributes:
        code: Why that one failed; `OK` for those before it, which were rolled back, and
            `RUNTIME_INCONSISTENCY` for those behind it, which were not tried.
    """

    code: Code


Result: TypeAlias = CreateResult | DeleteResult | SetDataResult | CheckResult | ErrorResult


# --- what several reads are made of


@attrs.frozen
class GetDataRequest:
    """Read the data of a node."""

    path: str


@attrs.frozen
class GetChildrenRequest:
    """Read the names of a node's children."""

    path: str


ReadRequest: TypeAlias = GetDataRequest | GetChildrenRequest


@attrs.frozen
class GetDataResult:
    """The data of a node, and its stat."""

    data: bytes | None
    stat: Stat


@attrs.frozen
class GetChildrenResult:
    """The names of a node's children, in order."""

    children: tuple[str, ...]


ReadResult: TypeAlias = GetDataResult | GetChildrenResult | ErrorResult


# --- watches


class EventType(IntEnum):
    """What happened to a node."""

    CREATED = 1
    DELETED = 2
    DATA_CHANGED = 3
    CHILDREN_CHANGED = 4


@attrs.frozen
class WatchedEvent:
    """What a watch tells."""

    type: EventType
    path: str


class AddWatchMode(IntEnum):
    """How a watch goes on. Those that reads leave behind have none: they end with one event."""

    PERSISTENT = 0
    PERSISTENT_RECURSIVE = 1


class WatcherType(IntEnum):
    """Which watches of a path to remove."""

    CHILDREN = 1
    DATA = 2
    ANY = 3
