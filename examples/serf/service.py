"""The running agent: the composite on the asyncio driver, with its files, scripts and clients.

Owns what the composite must not touch (sockets, clock, files, processes) and hands each of its
events to those who wait for it. `commands.py` puts the RPC on top of the coroutines here.

Source: serf's cmd/serf/command/agent/agent.go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from examples.drivers.asyncio_driver import Driver
from examples.serf import files
from examples.serf.agent import SerfAgent, StoreKeys
from examples.serf.files import FileError
from examples.serf.handlers import Handlers
from examples.serf.happenings import Happening, title
from examples.serf.journal import Journal
from examples.serf.narration import narrate
from examples.serf.options import DEFAULT_PORT, Options
from examples.serf.settings import events_config, membership_config, reachable
from examples.serf.snapshots import SnapshotFile
from memberlist import Address, JoinFinished, Keyring, parse_address
from serfevents import (
    KeyChange,
    KeysAnswered,
    Left,
    Member,
    MembersChanged,
    NameConflictDecided,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    Recovered,
    Remember,
    UserEventReceived,
)
from vivaldi import Config as CoordinateConfig

#: Seconds beside the configured ones that a leave may take.
LEAVE_MARGIN = 2.0

QueryEvent = QueryAcknowledged | QueryAnswered | QueryFinished
Listener = Callable[[Happening], None]


class CantStart(Exception):
    """Why there is no agent, in one line."""


class Service:
    """One agent, from its start to its end.

    Args:
        options: All its settings.
        journal: Where it says what it does.

    Attributes:
        listeners: Called with each event that handlers are told of.
        over: Set when the agent has left or was ended.
    """

    def __init__(self, options: Options, journal: Journal) -> None:
        self.options = options
        self.journal = journal
        self.listeners: list[Listener] = []
        self.over = asyncio.Event()
        self.handlers = Handlers(options.scripts, lambda: self.own, self.respond, journal)
        self._loop = asyncio.get_running_loop()
        self._driver: Driver[SerfAgent] | None = None
        self._snapshot: SnapshotFile | None = None
        self._events: deque[object] = deque()
        self._joins: dict[int, asyncio.Future[JoinFinished]] = {}
        self._key_operations: dict[int, asyncio.Future[KeysAnswered]] = {}
        self._queries: dict[int, Callable[[QueryEvent], None]] = {}
        self._left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # --- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the files, bind, and run.

        Raises:
            CantStart: A file makes no sense, or the address can't be bound.
        """
        options = self.options
        host, port = options.bind_address
        try:
            tags = self._tags()
            keyring = self._keyring()
            recovered = self._recover()
            settings = membership_config(options), events_config(options)
            advertised = options.advertised

            def make(bound: Address, now: float) -> SerfAgent:
                return SerfAgent(
                    options.node_name,
                    reachable(bound, advertised),
                    *settings,
                    rng=Random(SystemRandom().getrandbits(64)),
                    now=now,
                    tags=tags,
                    keyring=keyring,
                    stores_keys=bool(options.keyring_file),
                    validates_names=options.validate_node_names,
                    coordinates=(None if options.disable_coordinates else CoordinateConfig.serf()),
                    recovered=recovered,
                )

            self._driver = await Driver.start(make, self._on_event, host, port)
        except (FileError, ValueError) as error:
            raise CantStart(str(error)) from None
        except OSError as error:
            raise CantStart(f"can't bind to {options.bind}: {error.strerror or error}") from None
        self.journal.info("agent", "Serf agent starting")
        self._tasks.append(self._loop.create_task(self.handlers.run()))

    def _tags(self) -> dict[str, str]:
        if not self.options.tags_file:
            return dict(self.options.tags)
        path = Path(self.options.tags_file)
        tags = files.read_tags(path)
        self.journal.info("agent", f"Restored {len(tags)} tag(s) from {path}")
        return tags

    def _keyring(self) -> Keyring | None:
        if self.options.keyring_file:
            keys = files.read_keyring(Path(self.options.keyring_file))
            text = f"Restored keyring with {len(keys)} keys from {self.options.keyring_file}"
            self.journal.info("agent", text)
            return Keyring(keys)
        return Keyring([self.options.key]) if self.options.key else None

    def _recover(self) -> Recovered | None:
        if not self.options.snapshot_path:
            return None
        self._snapshot = SnapshotFile(
            Path(self.options.snapshot_path),
            rejoin_after_leave=self.options.rejoin_after_leave,
            journal=self.journal,
        )
        return self._snapshot.recovered

    async def close(self) -> None:
        """End at once, without a word; to be missed by nobody, leave first."""
        self.over.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._driver is not None:
            await self._driver.close()
        self._handle_events()
        if self._snapshot is not None:
            self._snapshot.close()

    # --- queries -----------------------------------------------------------------------------

    @property
    def machine(self) -> SerfAgent:
        """The composite, for queries; its inputs go through the methods here."""
        assert self._driver is not None
        return self._driver.machine

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self._driver is not None
        return self._driver.address

    @property
    def own(self) -> Member:
        """Our own member."""
        return self.machine.events.own

    # --- what can be done --------------------------------------------------------------------

    def call(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Give the composite one input."""
        assert self._driver is not None
        return self._driver.call(method, *args, **options)

    async def join(self, addresses: Sequence[str], *, replay: bool) -> tuple[int, list[str]]:
        """Join, and return with how many members it worked and why with others it did not."""
        words = " ".join(addresses)
        self.journal.info("agent", f"joining: [{words}] replay: {str(replay).lower()}")
        seeds, failures = [], []
        for text in addresses:
            try:
                seeds.append(parse_address(text, DEFAULT_PORT))
            except ValueError as error:
                failures.append(f"Failed to resolve {text}: {error}")
        if not seeds:
            return 0, failures
        number = self.call(self.machine.join, seeds, replay=replay)
        self._joins[number] = self._loop.create_future()
        finished = await self._joins[number]
        if finished.contacted:
            self.journal.info("agent", f"joined: {finished.contacted} nodes")
        for each in finished.seeds:
            if not each.joined:
                host, port = each.seed
                failures.append(f"Failed to join {host}: {each.reason} ({host}:{port})")
        return finished.contacted, failures

    async def leave(self) -> bool:
        """Leave the cluster; return whether the leave was complete in time."""
        self.journal.info("agent", "requesting graceful leave from Serf")
        self.call(self.machine.leave)
        config = self.machine.events.config
        limit = 2 * config.broadcast_timeout + config.leave_propagate_delay + LEAVE_MARGIN
        try:
            async with asyncio.timeout(limit):
                await self._left.wait()
        except TimeoutError:
            return False
        return True

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Describe ourselves anew, and store that if there is a file for it.

        Raises:
            SerfEventsError: They are too large.
            FileError: They can't be stored; they hold all the same.
        """
        self.call(self.machine.set_tags, tags)
        if self.options.tags_file:
            try:
                files.write_tags(Path(self.options.tags_file), tags)
            except OSError as error:
                raise FileError(f"Failed to write tags file: {error}") from None

    def ask(
        self, listener: Callable[[QueryEvent], None], name: str, payload: bytes, **options: Any
    ) -> int:
        """Ask a query, whose events the listener gets; return its number."""
        number: int = self.call(self.machine.query, name, payload, **options)
        self._queries[number] = listener
        return number

    def respond(self, query: int, payload: bytes) -> None:
        """Answer a query.

        Raises:
            SerfEventsError: It is too late, too much, or answered already.
        """
        self.call(self.machine.respond, query, payload)

    async def change_key(self, change: KeyChange, key: bytes) -> KeysAnswered:
        """Have all members change a key; return what they said."""
        return await self._key_operation(self.machine.change_key, change, key)

    async def list_keys(self) -> KeysAnswered:
        """Ask all members for their keys."""
        return await self._key_operation(self.machine.list_keys)

    async def _key_operation(self, method: Callable[..., int], *args: Any) -> KeysAnswered:
        number = self.call(method, *args)
        self._key_operations[number] = self._loop.create_future()
        return await self._key_operations[number]

    # --- events ------------------------------------------------------------------------------

    def _on_event(self, event: object) -> None:
        """Put an event off until the input that caused it has returned its handle."""
        if not self._events:
            self._loop.call_soon(self._handle_events)
        self._events.append(event)

    def _handle_events(self) -> None:
        while self._events:
            self._handle(self._events.popleft())

    def _handle(self, event: object) -> None:  # noqa: C901, PLR0912 - a table
        """Give one event to those who wait for it."""
        narrate(event, self.journal)
        match event:
            case Remember(record):
                if self._snapshot is not None:
                    self._snapshot.append(record)
            case MembersChanged() | UserEventReceived() | QueryReceived():
                self.journal.info("agent", f"Received event: {title(event)}")
                for listener in [self.handlers.handle, *self.listeners]:
                    listener(event)
            case QueryAcknowledged(query) | QueryAnswered(query):
                if (ours := self._queries.get(query)) is not None:
                    ours(event)
            case QueryFinished(query):
                if (ours := self._queries.pop(query, None)) is not None:
                    ours(event)
            case JoinFinished(number):
                resolve(self._joins.pop(number, None), event)
            case KeysAnswered(number):
                resolve(self._key_operations.pop(number, None), event)
            case StoreKeys():
                self._store_keys(event)
            case Left():
                self._left.set()
            case NameConflictDecided(kept=False):
                self.journal.warn("agent", "Serf shutdown detected, quitting")
                self.over.set()

    def _store_keys(self, wanted: StoreKeys) -> None:
        error = ""
        try:
            files.write_keyring(Path(self.options.keyring_file), wanted.keys)
        except OSError as problem:
            error = f"Failed to write keyring file: {problem}"
            self.journal.error("serf", error)
        self.call(self.machine.keys_stored, wanted.number, error=error)


def resolve(future: asyncio.Future[Any] | None, result: object) -> None:
    """Give a waiting coroutine its result, if it still waits."""
    if future is not None and not future.done():
        future.set_result(result)
