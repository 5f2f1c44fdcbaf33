"""What one request makes of ZooKeeper's tree, before the store is asked to do it.

Requests of a transaction see the effects of those before. What they refuse, and in which order
they look, is ZooKeeper's.

Source: ZooKeeper PrepRequestProcessor.java (pRequest2Txn), DataTree.java (createNode, deleteNode,
setData).
"""

from __future__ import annotations

from typing import Final, assert_never

import attrs

from kvstore.commands import Operation
from kvstore.dialects.zookeeper_nodes import (
    CONTAINER,
    ROOT,
    TTL_MAX,
    Node,
    changes,
    is_path,
    parent_of,
    read_node,
)
from kvstore.dialects.zookeeper_values import (
    ANY_VERSION,
    CheckResult,
    CheckVersionRequest,
    Code,
    CreateMode,
    CreateRequest,
    CreateResult,
    DeleteRequest,
    DeleteResult,
    EventType,
    Request,
    Result,
    SetDataRequest,
    SetDataResult,
    WatchedEvent,
    ZookeeperError,
)
from kvstore.store import Store

_SEQUENCE_WIDTH: Final = 10


class Draft:
    """One transaction in the making.

    Args:
        store: The tree as it is.
        session: Whose ephemeral nodes are created.
        time: Milliseconds that the transaction happens at.

    Attributes:
        events: What happens, in order.
    """

    def __init__(self, store: Store, session: int, time: int) -> None:
        self._store = store
        self._session = session
        self._time = time
        self._zxid = store.applied_index + 1
        # What the store has of the nodes that are changed, and what they shall be.
        self._before: dict[str, Node | None] = {}
        self._after: dict[str, Node | None] = {}
        self.events: list[WatchedEvent] = []

    def run(self, request: Request) -> Result:
        """Add a request; return what it answers.

        Raises:
            ZookeeperError: It is refused; the draft is of no use any more.
        """
        match request:
            case CreateRequest():
                return self._create(request)
            case DeleteRequest():
                return self._delete(request)
            case SetDataRequest():
                return self._set_data(request)
            case CheckVersionRequest():
                self._versioned(request.path, request.version)
                return CheckResult()
            case _:
                assert_never(request)

    def operations(self) -> tuple[Operation, ...]:
        """Return what the store has to do."""
        return tuple(
            operation
            for path, after in self._after.items()
            for operation in changes(path, self._before[path], after, self._zxid)
        )

    # --- requests

    def _create(self, request: CreateRequest) -> CreateResult:
        path, mode = request.path, request.mode
        _check_ttl(request)
        if "/" not in path or "\0" in path:
            raise ZookeeperError(Code.BAD_ARGUMENTS, path)
        parent_path = parent_of(path)
        parent = self._node(parent_path)
        if parent is None:
            raise ZookeeperError(Code.NO_NODE, path)
        if mode.is_sequential:
            path += f"{parent.creates:0{_SEQUENCE_WIDTH}d}"
        if not is_path(path):
            raise ZookeeperError(Code.BAD_ARGUMENTS, path)
        if self._node(path) is not None:
            raise ZookeeperError(Code.NODE_EXISTS, path)
        if parent.owner:
            raise ZookeeperError(Code.NO_CHILDREN_FOR_EPHEMERALS, path)
        zxid, time = self._zxid, self._time
        node = Node(
            request.data,
            zxid,
            zxid,
            zxid,
            time,
            time,
            owner=self._session if mode.is_ephemeral else 0,
            lifetime=CONTAINER if mode is CreateMode.CONTAINER else request.ttl or 0,
        )
        self._put(path, node)
        self._put_parent(parent_path, parent, 1)
        self._tell(EventType.CREATED, path)
        self._tell(EventType.CHILDREN_CHANGED, parent_path)
        return CreateResult(path, node.stat)

    def _delete(self, request: DeleteRequest) -> DeleteResult:
        path = request.path
        if "/" not in path or "\0" in path or path == ROOT:
            raise ZookeeperError(Code.BAD_ARGUMENTS, path)
        parent_path = parent_of(path)
        parent, node = self._node(parent_path), self._node(path)
        if parent is None or node is None:
            raise ZookeeperError(Code.NO_NODE, path)
        _check_version(node, request.version, path)
        if node.children:
            raise ZookeeperError(Code.NOT_EMPTY, path)
        self._put(path, None)
        self._put_parent(parent_path, parent, -1)
        self._tell(EventType.DELETED, path)
        self._tell(EventType.CHILDREN_CHANGED, parent_path)
        return DeleteResult()

    def _set_data(self, request: SetDataRequest) -> SetDataResult:
        path = request.path
        node = attrs.evolve(
            before := self._versioned(path, request.version),
            data=request.data,
            mzxid=self._zxid,
            mtime=self._time,
            version=before.version + 1,
        )
        self._put(path, node)
        self._tell(EventType.DATA_CHANGED, path)
        return SetDataResult(node.stat)

    # --- what they have in common

    def _node(self, path: str) -> Node | None:
        return self._after[path] if path in self._after else read_node(self._store, path)

    def _versioned(self, path: str, version: int) -> Node:
        """Return a node that is there, in a version."""
        if not is_path(path):
            raise ZookeeperError(Code.BAD_ARGUMENTS, path)
        node = self._node(path)
        if node is None:
            raise ZookeeperError(Code.NO_NODE, path)
        _check_version(node, version, path)
        return node

    def _put(self, path: str, node: Node | None) -> None:
        if path not in self._after:
            self._before[path] = read_node(self._store, path)
        self._after[path] = node

    def _put_parent(self, path: str, parent: Node, more: int) -> None:
        """Count a child more, or less."""
        creates, number = parent.creates + (more > 0), parent.children + more
        node = attrs.evolve(parent, creates=creates, children=number, pzxid=self._zxid)
        self._put(path, node)

    def _tell(self, what: EventType, path: str) -> None:
        self.events.append(WatchedEvent(what, path))


def _check_ttl(request: CreateRequest) -> None:
    ttl = request.ttl
    if request.mode.has_ttl:
        if ttl is None or not 1 <= ttl <= TTL_MAX:
            raise ZookeeperError(Code.BAD_ARGUMENTS, request.path)
    elif ttl is not None:
        raise ZookeeperError(Code.BAD_ARGUMENTS, request.path)


def _check_version(node: Node, version: int, path: str) -> None:
    if version not in (ANY_VERSION, node.version):
        raise ZookeeperError(Code.BAD_VERSION, path)
