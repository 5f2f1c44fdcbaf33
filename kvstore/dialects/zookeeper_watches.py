"""ZooKeeper's watches: which session is told what, and what waits for it to be polled.

There are two tables, of watches for data and for children. A session has one watch of a kind on
a path: setting it again changes how it goes on, as in ZooKeeper 3.8, where a read with a watch
makes a persistent one of the same path end with the next event (ZOOKEEPER-4466).

Source: ZooKeeper WatchManager.java (triggerWatch), DataTree.java.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from kvstore.change import Event
from kvstore.dialects.zookeeper_nodes import ROOT, is_path, parent_of, path_of_birth
from kvstore.dialects.zookeeper_values import (
    AddWatchMode,
    EventType,
    WatchedEvent,
    WatcherType,
)


class _Table:
    """Watches of one kind."""

    __slots__ = ("_modes", "_paths")

    def __init__(self) -> None:
        # How the watches of a path go on, by path and session, None for those that end with one
        # event; the paths of each session.
        self._modes: dict[str, dict[int, AddWatchMode | None]] = {}
        self._paths: dict[int, dict[str, None]] = {}

    def add(self, session: int, path: str, mode: AddWatchMode | None = None) -> None:
        self._modes.setdefault(path, {})[session] = mode
        self._paths.setdefault(session, {})[path] = None

    def remove(self, session: int, path: str) -> bool:
        """Remove a watch; return whether there was one."""
        at = self._modes.get(path, {})
        if session not in at:
            return False
        del at[session]
        if not at:
            del self._modes[path]
        paths = self._paths[session]
        del paths[path]
        if not paths:
            del self._paths[session]
        return True

    def forget(self, session: int) -> None:
        for path in list(self._paths.get(session, ())):
            self.remove(session, path)

    def trigger(self, event: WatchedEvent) -> list[int]:
        """Return the sessions that are told an event, and end the watches that are used up."""
        told: dict[int, None] = {}
        place, last = event.path, not self._modes
        while not last:
            for session, mode in list(self._modes.get(place, {}).items()):
                if mode is AddWatchMode.PERSISTENT_RECURSIVE:
                    if event.type is not EventType.CHILDREN_CHANGED:
                        told[session] = None
                elif place == event.path:
                    told[session] = None
                    if mode is None:
                        self.remove(session, place)
            place, last = parent_of(place), place == ROOT
        return list(told)


class Watches:
    """All watches, and the events that wait for each session."""

    def __init__(self) -> None:
        self._data = _Table()
        self._children = _Table()
        self._waiting: dict[int, deque[WatchedEvent]] = {}

    def watch_data(self, session: int, path: str) -> None:
        """Tell a session once when a node is created, set or deleted."""
        self._data.add(session, path)

    def watch_children(self, session: int, path: str) -> None:
        """Tell a session once when a node is deleted, or a child of it created or deleted."""
        self._children.add(session, path)

    def add(self, session: int, path: str, mode: AddWatchMode) -> None:
        """Tell a session of a node again and again; recursively of all below it as well."""
        self._data.add(session, path, mode)
        self._children.add(session, path, mode)

    def remove(self, session: int, path: str, kind: WatcherType) -> bool:
        """Remove a session's watches of a path; return whether there was one."""
        removed = [
            table.remove(session, path)
            for table, of in (
                (self._children, WatcherType.CHILDREN),
                (self._data, WatcherType.DATA),
            )
            if kind & of
        ]
        return any(removed)

    def forget(self, session: int) -> None:
        """Remove everything of a session."""
        self._data.forget(session)
        self._children.forget(session)
        self._waiting.pop(session, None)

    def fire(self, events: Iterable[WatchedEvent]) -> None:
        """Tell what happened, in order, to who watches it."""
        for event in events:
            if event.type is EventType.CHILDREN_CHANGED:
                self._tell(event, self._children.trigger(event))
                continue
            told = self._data.trigger(event)
            self._tell(event, told)
            if event.type is EventType.DELETED:
                # A watch of the children ends too, but one session is told once.
                self._tell(event, self._children.trigger(event), told)

    def poll(self, session: int) -> WatchedEvent | None:
        """Return the next event that a session is told, None if there is nothing."""
        waiting = self._waiting.get(session)
        return waiting.popleft() if waiting else None

    def _tell(self, event: WatchedEvent, to: Iterable[int], but: Collection[int] = ()) -> None:
        for session in to:
            if session not in but:
                self._waiting.setdefault(session, deque()).append(event)


def events_of(changes: Iterable[Event]) -> Iterable[WatchedEvent]:
    """Yield what changes of the store mean to ZooKeeper: each node once, by the net effect."""
    for change in changes:
        path = path_of_birth(change.key)
        before, after = change.previous, change.entry
        renewed = before is None or after is None or before.create_revision != after.create_revision
        if path is None:
            if not renewed and is_path(change.key):
                yield WatchedEvent(EventType.DATA_CHANGED, change.key)
        elif renewed:
            for what in ((before, EventType.DELETED), (after, EventType.CREATED)):
                if what[0] is not None:
                    yield WatchedEvent(what[1], path)
                    yield WatchedEvent(EventType.CHILDREN_CHANGED, parent_of(path))
