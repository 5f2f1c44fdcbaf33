"""A real ZooKeeper behind the face of our façade: the same requests, the same answers.

Each `RealZooKeeper` has a corner of the server to itself: a node that stands for "/". Transaction
ids are counted from there on. Requests go as they are: kazoo's client would mend paths before.
Events are taken from the wire, as kazoo tells each watch once only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from struct import pack
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import ZookeeperError as Refused
from kazoo.protocol.connection import Watch
from kazoo.protocol.serialization import (
    CheckVersion,
    Create,
    Create2,
    Delete,
    Exists,
    GetChildren,
    GetChildren2,
    GetData,
    MultiHeader,
    SetData,
    Sync,
    Transaction,
    int_struct,
    read_string,
    stat_struct,
    write_string,
)
from kazoo.protocol.states import ZnodeStat
from kazoo.security import OPEN_ACL_UNSAFE

from kvstore.dialects.zookeeper_values import (
    AddWatchMode,
    CheckResult,
    CheckVersionRequest,
    Code,
    CreateMode,
    CreateRequest,
    CreateResult,
    DeleteRequest,
    DeleteResult,
    ErrorResult,
    EventType,
    GetChildrenRequest,
    GetChildrenResult,
    GetDataRequest,
    GetDataResult,
    ReadRequest,
    ReadResult,
    Request,
    Result,
    SetDataRequest,
    SetDataResult,
    Stat,
    WatchedEvent,
    WatcherType,
    ZookeeperError,
)
from tests.interop.servers import PATIENCE, ZooKeeper

_corners = count(1)


def _unheard(_event: object) -> None:
    """Take what kazoo tells of a watch: we listen before."""


class CreateContainer(Create2):  # type: ignore[misc] # kazoo has no types
    type = 19


class CreateTtl(Create2):  # type: ignore[misc]
    type = 21
    ttl = 0

    def serialize(self) -> bytearray:
        plain: bytearray = super().serialize()
        return plain + pack("!q", self.ttl)


class AddWatch:
    type = 106

    def __init__(self, path: str, mode: int) -> None:
        self.path, self.mode = path, mode

    def serialize(self) -> bytes:
        packed: bytes = write_string(self.path)
        return packed + pack("!i", self.mode)

    def deserialize(self, _data: bytes, _offset: int) -> bool:
        return True


class RemoveWatches(AddWatch):
    type = 18


class GetAllChildrenNumber:
    type = 104

    def __init__(self, path: str) -> None:
        self.path = path

    def serialize(self) -> bytes:
        packed: bytes = write_string(self.path)
        return packed

    def deserialize(self, data: bytes, offset: int) -> int:
        number: int = int_struct.unpack_from(data, offset)[0]
        return number


class GetEphemerals(GetAllChildrenNumber):
    type = 103

    def deserialize(self, data: bytes, offset: int) -> Any:
        count, offset = int_struct.unpack_from(data, offset)[0], offset + int_struct.size
        paths = []
        for _ in range(count):
            path, offset = read_string(data, offset)
            paths.append(path)
        return paths


class MultiRead:
    """Several reads at once. What a node holds comes with its stat, its children without."""

    type = 22

    def __init__(self, requests: list[Any]) -> None:
        self.requests = requests

    def serialize(self) -> bytes:
        packed = b""
        for request in self.requests:
            packed += MultiHeader(request.type, False, -1).serialize() + request.serialize()
        return packed + bytes(MultiHeader(-1, True, -1).serialize())

    def deserialize(self, data: bytes, offset: int) -> list[Any]:
        answers: list[Any] = []
        header, offset = MultiHeader.deserialize(data, offset)
        while not header.done:
            if header.type == -1:
                answers.append(int_struct.unpack_from(data, offset)[0])
                offset += int_struct.size
            elif header.type == GetData.type:
                answer = GetData.deserialize(data, offset)
                answers.append(answer)
                offset += int_struct.size + len(answer[0] or b"") + stat_struct.size
            else:
                answers.append(GetChildren.deserialize(data, offset))
                names = (len(name.encode()) + int_struct.size for name in answers[-1])
                offset += int_struct.size + sum(names)
            header, offset = MultiHeader.deserialize(data, offset)
        return answers


class RealZooKeeper:
    """One corner of a server, with sessions of its own. Close it.

    Args:
        server: The server.
        client: A client for what is not of a session.
    """

    def __init__(self, server: ZooKeeper, client: KazooClient) -> None:
        self.server = server
        self.client = client
        self.root = f"/corner-{next(_corners):06}"
        client.create(self.root)
        # Our "/" was created by transaction 1.
        self.base = client.exists(self.root).czxid - 1
        self.ids: dict[int, int] = {0: 0}
        self._sessions = ExitStack()

    def close(self) -> None:
        """End the sessions, and delete everything."""
        self._sessions.close()
        self.client.delete(self.root, recursive=True)

    def open_session(self, id: int, timeout: float = PATIENCE) -> RealSession:  # noqa: A002
        """Begin a session that answers call by an id of the caller's."""
        client = self._sessions.enter_context(self.server.client(timeout))
        session = RealSession(self, client)
        self.ids[client.client_id[0]] = id
        return session

    def stat(self, stat: ZnodeStat) -> Stat:
        """Return a stat as of the corner; times are the server's own."""
        return Stat(
            stat.czxid - self.base,
            stat.mzxid - self.base,
            stat.ctime,
            stat.mtime,
            stat.version,
            stat.cversion,
            stat.aversion,
            self.ids[stat.ephemeralOwner],
            stat.dataLength,
            stat.numChildren,
            stat.pzxid - self.base,
        )

    def theirs(self, path: str) -> str:
        """Return where a path of the corner's is on the server; what is none is left alone."""
        if path == "/":
            return self.root or "/"
        return self.root + path if path.startswith("/") else path

    def ours(self, path: str) -> str:
        """Return the path in the corner."""
        return path.removeprefix(self.root) or "/"


class RealSession:
    """One session, with the methods of ours."""

    def __init__(self, zookeeper: RealZooKeeper, client: Any) -> None:
        self._zookeeper = zookeeper
        self._client = client
        self._events: deque[WatchedEvent] = deque()
        client._connection._read_watch_event = self._take

    def _take(self, buffer: bytes, offset: int) -> None:
        watch, _ = Watch.deserialize(buffer, offset)
        path = self._zookeeper.ours(watch.path)
        self._events.append(WatchedEvent(EventType(watch.type), path))

    def _call(self, request: Any) -> Any:
        answer = self._client.handler.async_result()
        self._client._call(request, answer)
        try:
            return answer.get(timeout=PATIENCE)
        except Refused as refused:
            raise ZookeeperError(Code(refused.code)) from None

    def create(
        self,
        path: str,
        data: bytes | None,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl: int | None = None,
    ) -> CreateResult:
        """Create a node."""
        kind = Create2
        if mode is CreateMode.CONTAINER:
            kind = CreateContainer
        elif mode.has_ttl:
            kind = CreateTtl
        request = kind(self._zookeeper.theirs(path), data, OPEN_ACL_UNSAFE, int(mode))
        if ttl is not None:
            request.ttl = ttl
        created, stat = self._call(request)
        return CreateResult(self._zookeeper.ours(created), self._zookeeper.stat(stat))

    def delete(self, path: str, version: int) -> None:
        """Delete a node."""
        self._call(Delete(self._zookeeper.theirs(path), version))

    def set(self, path: str, data: bytes | None, version: int) -> Stat:
        """Set the data of a node."""
        answer = self._call(SetData(self._zookeeper.theirs(path), data, version))
        return self._zookeeper.stat(answer)

    def multi(self, requests: Sequence[Request]) -> tuple[Result, ...]:
        """Do all of some requests, or none. What was created has no stat."""
        answers = self._call(Transaction([self._encode(one) for one in requests]))
        return tuple(map(self._result, requests, answers))

    def _encode(self, request: Request) -> Any:
        path = self._zookeeper.theirs(request.path)
        match request:
            case CreateRequest():
                return Create(path, request.data, OPEN_ACL_UNSAFE, int(request.mode))
            case DeleteRequest():
                return Delete(path, request.version)
            case SetDataRequest():
                return SetData(path, request.data, request.version)
            case CheckVersionRequest():
                return CheckVersion(path, request.version)

    def _result(self, request: Request, answer: Any) -> Result:
        if isinstance(answer, Refused):
            return ErrorResult(Code(answer.code))
        match request:
            case CreateRequest():
                return CreateResult(self._zookeeper.ours(answer), NO_STAT)
            case DeleteRequest():
                return DeleteResult()
            case SetDataRequest():
                return SetDataResult(self._zookeeper.stat(answer))
            case CheckVersionRequest():
                return CheckResult()

    def exists(self, path: str, *, watch: bool) -> Stat | None:
        """Return the stat of a node, or None."""
        stat = self._call(Exists(self._zookeeper.theirs(path), watch and _unheard))
        return None if stat is None else self._zookeeper.stat(stat)

    def get(self, path: str, *, watch: bool) -> tuple[bytes | None, Stat]:
        """Return the data of a node, and its stat."""
        data, stat = self._call(GetData(self._zookeeper.theirs(path), watch and _unheard))
        return data, self._zookeeper.stat(stat)

    def get_children(self, path: str, *, watch: bool) -> tuple[tuple[str, ...], Stat]:
        """Return the names of a node's children, sorted, and its stat."""
        names, stat = self._call(GetChildren2(self._zookeeper.theirs(path), watch and _unheard))
        return tuple(sorted(names)), self._zookeeper.stat(stat)

    def multi_read(self, requests: Sequence[ReadRequest]) -> tuple[ReadResult, ...]:
        """Read several nodes at once."""
        kinds = {GetDataRequest: GetData, GetChildrenRequest: GetChildren}
        encoded = [kinds[type(one)](self._zookeeper.theirs(one.path), None) for one in requests]
        return tuple(map(self._read_result, requests, self._call(MultiRead(encoded))))

    def _read_result(self, request: ReadRequest, answer: Any) -> ReadResult:
        if isinstance(answer, int):
            return ErrorResult(Code(answer))
        if isinstance(request, GetDataRequest):
            return GetDataResult(answer[0], self._zookeeper.stat(answer[1]))
        return GetChildrenResult(tuple(sorted(answer)))

    def get_all_children_number(self, path: str) -> int:
        """Return how many nodes there are below one."""
        number: int = self._call(GetAllChildrenNumber(self._zookeeper.theirs(path)))
        return number

    def get_ephemerals(self, prefix_path: str) -> tuple[str, ...]:
        """Return the session's ephemeral nodes below what a text begins, sorted."""
        paths = self._call(GetEphemerals(self._zookeeper.theirs(prefix_path)))
        return tuple(sorted(map(self._zookeeper.ours, paths)))

    def sync(self, path: str) -> str:
        """Wait until the server knows what its leader does."""
        return self._zookeeper.ours(self._call(Sync(self._zookeeper.theirs(path))))

    def add_watch(self, path: str, mode: AddWatchMode) -> None:
        """Watch a node until the watch is removed."""
        self._call(AddWatch(self._zookeeper.theirs(path), int(mode)))

    def remove_watches(self, path: str, kind: WatcherType) -> None:
        """Remove watches of a path."""
        self._call(RemoveWatches(self._zookeeper.theirs(path), int(kind)))

    def events(self) -> list[WatchedEvent]:
        """Return the events of everything that was answered to anybody before."""
        # Events of what was committed before come before the answer to a later request.
        self._client.exists("/")
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def zxid(self) -> int:
        """The newest transaction that the last answer told of."""
        newest: int = self._client.last_zxid - self._zookeeper.base
        return newest

    @property
    def connected(self) -> bool:
        """Whether the client has a connection."""
        return bool(self._client.connected)

    def fall_silent(self) -> None:
        """Send nothing any more, until the server ends it."""
        self._client._connection._send_ping = lambda _timeout: None

    def close(self) -> None:
        """End it."""
        self._client.stop()
        self._client.close()


#: What a transaction's created node has to show.
NO_STAT = Stat(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
