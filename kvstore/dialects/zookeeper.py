"""ZooKeeper's API over the store: nodes, transactions, sessions and watches.

A thin façade for programs that come from ZooKeeper, and a stand-in for it in tests: the answers,
stamps, error numbers and events are those of ZooKeeper 3.8. A zxid is an index of the store:
every request that may change something takes one, refused or not, and so does the beginning and
the end of a session. `zookeeper_nodes` tells how nodes stand in the store. What differs:

- Time passes only by the `now` (milliseconds) that requests carry. Sessions end, and containers
  and nodes with a time to live go, by `tick` alone, at their time and not at the next tick of the
  server. Requests do not keep a session alive: `ping` does, and takes an index.
- There are no connections: a session is a handle, its events wait until they are polled, however
  many, and nothing is missed. Session ids are counted, and need no password.
- "/" is created by the first transaction; "/zookeeper" and its quotas are not there. Quotas of
  the store (`SetQuota`) are told as QuotaExceeded, in transactions for the whole.
- Access control lists are not there: `aversion` is 0 and every node is open to all. Nor are
  `reconfig`, `whoAmI` and authentication.
- Children are listed in order, and the ephemerals of a session that ends go in order; ZooKeeper
  has the order of its hash table.
- Numbers do not wrap: ZooKeeper's versions and sequence numbers have 31 bits.
- In one incarnation a node shows at most 524,287 settings by transactions that had set it before;
  times beyond the year 2527 stand still.
- More data than a packet of ZooKeeper's takes is refused by ConnectionLoss, for that is what its
  clients see; the session goes on, and the request has taken its index.
- Reads of what is no path are refused by BadArguments, as ZooKeeper's clients do; ttl without a
  mode for it likewise.
- What others do to the store, and is told by `publish`, is told as what came of it, once for each
  node, however often a transaction of theirs changed it.
- Below the 30th level, `pzxid` is told right as long as the store keeps its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvstore.commands import Noop, Put, SessionClose, SessionOpen, SessionRenew, Tick, Txn
from kvstore.config import Config
from kvstore.dialects.zookeeper_draft import Draft
from kvstore.dialects.zookeeper_nodes import (
    CONTAINER,
    ROOT,
    Node,
    children,
    count_below,
    ephemerals,
    expiring,
    is_path,
    read_node,
    session_id,
    session_number,
)
from kvstore.dialects.zookeeper_values import (
    ANY_VERSION,
    AddWatchMode,
    Code,
    CreateMode,
    CreateRequest,
    CreateResult,
    DeleteRequest,
    ErrorResult,
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
from kvstore.dialects.zookeeper_watches import Watches, events_of
from kvstore.refusals import Malformed, QuotaExceeded, Refusal, TxnFailed
from kvstore.results import Applied, SessionOk, TickOk
from kvstore.store import Store

#: Milliseconds of a tick; a session lasts 2 to 20 of them. ZooKeeper's sample configuration.
TICK_TIME: Final = 2000

CONFIG: Final = Config(
    key_size_max=65_536,
    value_size_max=1_048_575,
    operations_max=1_000_000,
    session_ttl_min=1,
    session_ttl_max=2**31 - 1,
    session_keys_max=2**30,
    history_changes=0,
)
"""What a store is made with that stands for ZooKeeper: its limits, and no more history than the
store needs for itself."""


class Zookeeper:
    """One ZooKeeper, over a store of its own or one that is given.

    Args:
        store: The store, made with `CONFIG` or more; a new one if None.
        tick_time: Milliseconds; sessions last 2 to 20 times that. 1 or more.

    Raises:
        ValueError: `tick_time` is below 1.

    >>> zookeeper = Zookeeper()
    >>> session = zookeeper.open_session()
    >>> session.create("/locks/a").path
    Traceback (most recent call last):
    kvstore.dialects.zookeeper_values.ZookeeperError: KeeperErrorCode = NoNode for /locks/a
    >>> _ = session.create("/locks")
    >>> session.create("/locks/a-", b"", CreateMode.EPHEMERAL_SEQUENTIAL).path
    '/locks/a-0000000000'
    """

    def __init__(self, store: Store | None = None, *, tick_time: int = TICK_TIME) -> None:
        if tick_time < 1:
            raise ValueError("tick_time must be 1 or more")
        self.store = Store(CONFIG) if store is None else store
        self.tick_time = tick_time
        self.watches = Watches()
        if self.store.get(ROOT) is None:
            self.store.apply(Put(ROOT))

    def open_session(self, timeout: int = 10_000, *, now: int | None = None) -> Session:
        """Begin a session.

        Args:
            timeout: Milliseconds after which it ends without `ping`; brought within 2 and 20
                ticks.
            now: Milliseconds on the caller's clock.
        """
        timeout = max(2 * self.tick_time, min(timeout, 20 * self.tick_time))
        command = SessionOpen(None, timeout, "delete", lock_delay=0)
        result = self.store.apply(command, now=now).result
        assert isinstance(result, SessionOk), result
        return Session(self, session_number(result.session.id))

    def session(self, id: int) -> Session:  # noqa: A002 (ZooKeeper's name)
        """Return a session that goes on, as one does in a store that was restored.

        Raises:
            ZookeeperError: It has ended.
        """
        session = Session(self, id)
        session.check()
        return session

    def tick(self, now: int) -> tuple[int, ...]:
        """Let time pass: end the sessions that are due, and delete nodes whose time is over.

        Containers go that had children and have none; nodes with a time to live that have none
        and were not set for so long. Each session and each node is a transaction of its own.

        Args:
            now: Milliseconds on the caller's clock.

        Returns:
            The sessions that ended.
        """
        time = self.time(now)
        ended: list[int] = []
        while (deadline := self.store.next_deadline) is not None and deadline <= time:
            applied = self.store.apply(Tick(limit=1), now=now)
            assert isinstance(applied.result, TickOk), applied
            self.publish(applied)
            ended += filter(None, map(session_number, applied.result.sessions))
        for session in ended:
            self.watches.forget(session)
        due = [path for path in expiring(self.store) if self._is_over(path, time)]
        for path in due:
            self.write(0, (DeleteRequest(path),), now)
        return tuple(ended)

    def publish(self, applied: Applied) -> None:
        """Tell watches of a command that was applied to the store by others."""
        self.watches.fire(events_of(applied.events))

    # --- what sessions stand on

    def time(self, now: int | None) -> int:
        """Return the logical time, in milliseconds, of a request that carries `now`."""
        clock = self.store.clock
        return clock if now is None else max(clock, now + self.store.clock_offset)

    def write(self, session: int, requests: Sequence[Request], now: int | None) -> list[Result]:
        """Do all of some requests as one transaction, or none.

        Returns:
            Their results; if one is refused, an `ErrorResult` for each.

        Raises:
            ZookeeperError: The store has no room for it.
            TypeError: Data is no bytes.
        """
        draft = Draft(self.store, session, self.time(now))
        results: list[Result] = []
        for request in requests:
            try:
                results.append(draft.run(request))
            except ZookeeperError as refused:
                self.store.apply(Noop(), now=now)
                before, behind = len(results), len(requests) - len(results) - 1
                return [
                    *[ErrorResult(Code.OK)] * before,
                    ErrorResult(refused.code),
                    *[ErrorResult(Code.RUNTIME_INCONSISTENCY)] * behind,
                ]
        result = self.store.apply(Txn(then=draft.operations()), now=now).result
        if isinstance(result, Refusal):
            raise _refused(result)
        self.watches.fire(draft.events)
        return results

    def _is_over(self, path: str, time: int) -> bool:
        """Return whether a container, or a node with a time to live, is to be deleted."""
        node = read_node(self.store, path)
        if node is None or node.children or not node.lifetime:
            return False
        if node.lifetime == CONTAINER:
            return node.creates > 0
        return time - node.mtime > node.lifetime


class Session:
    """One client's session. Every method but `poll` raises SessionExpired once it has ended.

    Attributes:
        id: Its id, which is the `ephemeralOwner` of its nodes.
    """

    __slots__ = ("_zookeeper", "id")

    def __init__(self, zookeeper: Zookeeper, id: int) -> None:  # noqa: A002
        self._zookeeper = zookeeper
        self.id = id

    @property
    def timeout(self) -> int:
        """Milliseconds that it lasts without `ping`."""
        session = self._zookeeper.store.session(session_id(self.id))
        if session is None:
            raise ZookeeperError(Code.SESSION_EXPIRED)
        return session.ttl or 0

    def check(self) -> None:
        """Do nothing but raise SessionExpired if it has ended."""
        _ = self.timeout

    # --- nodes

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl: int | None = None,
        *,
        now: int | None = None,
    ) -> CreateResult:
        """Create a node below one that is there; return its path, which may be longer.

        Raises:
            ZookeeperError: NoNode for the parent, NodeExists, NoChildrenForEphemerals,
                BadArguments.
        """
        result = self._write(CreateRequest(path, data, mode, ttl), now)
        assert isinstance(result, CreateResult), result
        return result

    def delete(self, path: str, version: int = ANY_VERSION, *, now: int | None = None) -> None:
        """Delete a node without children.

        Raises:
            ZookeeperError: NoNode, BadVersion, NotEmpty, BadArguments.
        """
        self._write(DeleteRequest(path, version), now)

    def set(
        self, path: str, data: bytes | None, version: int = ANY_VERSION, *, now: int | None = None
    ) -> Stat:
        """Set the data of a node: always a new version.

        Raises:
            ZookeeperError: NoNode, BadVersion, BadArguments.
        """
        result = self._write(SetDataRequest(path, data, version), now)
        assert isinstance(result, SetDataResult), result
        return result.stat

    def multi(self, requests: Sequence[Request], *, now: int | None = None) -> tuple[Result, ...]:
        """Do all of some requests as one transaction, or none; return a result for each."""
        self.check()
        return tuple(self._zookeeper.write(self.id, requests, now))

    def exists(self, path: str, *, watch: bool = False) -> Stat | None:
        """Return the stat of a node, or None; a watch may wait for its creation."""
        node = self._read(path)
        if watch:
            self._zookeeper.watches.watch_data(self.id, path)
        return None if node is None else node.stat

    def get(self, path: str, *, watch: bool = False) -> tuple[bytes | None, Stat]:
        """Return the data of a node, and its stat.

        Raises:
            ZookeeperError: NoNode, BadArguments.
        """
        node = self._found(path)
        if watch:
            self._zookeeper.watches.watch_data(self.id, path)
        return node.data, node.stat

    def get_children(self, path: str, *, watch: bool = False) -> tuple[tuple[str, ...], Stat]:
        """Return the names of a node's children in order, and its stat.

        Raises:
            ZookeeperError: NoNode, BadArguments.
        """
        node = self._found(path)
        if watch:
            self._zookeeper.watches.watch_children(self.id, path)
        return children(self._zookeeper.store, path), node.stat

    def multi_read(self, requests: Sequence[ReadRequest]) -> tuple[ReadResult, ...]:
        """Read several nodes at one moment; return a result for each, an `ErrorResult` if refused.

        Raises:
            ZookeeperError: BadArguments, for what is no path in any of them.
        """
        self.check()
        for request in requests:
            self._check_path(request.path)
        return tuple(map(self._read_result, requests))

    def get_all_children_number(self, path: str) -> int:
        """Return how many nodes there are below one, at any depth.

        Raises:
            ZookeeperError: NoNode, BadArguments.
        """
        self._found(path)
        return count_below(self._zookeeper.store, path)

    def get_ephemerals(self, prefix_path: str = ROOT) -> tuple[str, ...]:
        """Return the session's ephemeral nodes whose paths begin with a text, in order.

        Args:
            prefix_path: A path, but what it begins is any text: "/a" begins "/ab" too. "/" is for
                all.

        Raises:
            ZookeeperError: BadArguments.
        """
        self._check_path(prefix_path)
        paths = ephemerals(self._zookeeper.store, self.id)
        return tuple(path for path in paths if path.startswith(prefix_path))

    def sync(self, path: str) -> str:
        """Do nothing, as no server is behind, and return the path, which need not be there.

        Raises:
            ZookeeperError: BadArguments.
        """
        self._check_path(path)
        return path

    # --- watches

    def add_watch(self, path: str, mode: AddWatchMode) -> None:
        """Watch a node, which need not be there, until the watch is removed.

        Raises:
            ZookeeperError: BadArguments.
        """
        self._check_path(path)
        self._zookeeper.watches.add(self.id, path, mode)

    def remove_watches(self, path: str, kind: WatcherType = WatcherType.ANY) -> None:
        """Remove watches of a path.

        Raises:
            ZookeeperError: NoWatcher, if there is none; BadArguments.
        """
        self._check_path(path)
        if not self._zookeeper.watches.remove(self.id, path, kind):
            raise ZookeeperError(Code.NO_WATCHER, path)

    def poll(self) -> WatchedEvent | None:
        """Return the next event that watches tell, None if there is nothing."""
        return self._zookeeper.watches.poll(self.id)

    # --- its life

    def ping(self, *, now: int) -> None:
        """Begin its time anew."""
        self.check()
        self._zookeeper.store.apply(SessionRenew((session_id(self.id),)), now=now)

    def close(self, *, now: int | None = None) -> None:
        """End it, and delete its ephemeral nodes, as one transaction."""
        self.check()
        applied = self._zookeeper.store.apply(SessionClose(session_id(self.id)), now=now)
        self._zookeeper.watches.forget(self.id)
        self._zookeeper.publish(applied)

    # --- internals

    def _write(self, request: Request, now: int | None) -> Result:
        (result,) = self.multi((request,), now=now)
        if isinstance(result, ErrorResult):
            raise ZookeeperError(result.code, request.path)
        return result

    def _read_result(self, request: ReadRequest) -> ReadResult:
        node = self._read(request.path)
        if node is None:
            return ErrorResult(Code.NO_NODE)
        if isinstance(request, GetDataRequest):
            return GetDataResult(node.data, node.stat)
        return GetChildrenResult(children(self._zookeeper.store, request.path))

    def _check_path(self, path: str) -> None:
        self.check()
        if not is_path(path):
            raise ZookeeperError(Code.BAD_ARGUMENTS, path)

    def _read(self, path: str) -> Node | None:
        self._check_path(path)
        return read_node(self._zookeeper.store, path)

    def _found(self, path: str) -> Node:
        node = self._read(path)
        if node is None:
            raise ZookeeperError(Code.NO_NODE, path)
        return node


def _refused(refusal: Refusal) -> Exception:
    """Return what is raised where the store has no room for a transaction."""
    reason = refusal.errors[0].refusal if isinstance(refusal, TxnFailed) else refusal
    if isinstance(reason, Malformed):
        return TypeError(str(reason))
    if isinstance(reason, QuotaExceeded):
        return ZookeeperError(Code.QUOTA_EXCEEDED, reason.prefix)
    return ZookeeperError(Code.CONNECTION_LOSS)
