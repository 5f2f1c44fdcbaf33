"""etcd's watches: a stream of them, told what changed, in order, each change once.

A watch is a place in the store's history and keeps nothing else: a slow reader costs no memory
and holds nobody up.

Source: etcd server/etcdserver/api/v3rpc/watch.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import groupby
from typing import Final

from kvstore.change import Event
from kvstore.dialects.etcd_keys import Revisions, bounds
from kvstore.dialects.etcd_messages import WatchCreateRequest, WatchEvent, WatchResponse
from kvstore.dialects.etcd_responses import Answers
from kvstore.store import Store

#: Revisions that one response tells at most, as in etcd's catching up.
BATCH_REVISIONS: Final = 1000

#: The id of what is no watch: of a refused one, and of progress of the whole stream.
NO_WATCH: Final = -1


class _Watch:
    """One watch. `next` is the first revision that it was not told yet."""

    __slots__ = ("next", "request", "selected")

    def __init__(self, request: WatchCreateRequest, first: int) -> None:
        self.request = request
        self.selected = bounds(request.key, request.range_end)
        self.next = first

    def wants(self, event: Event) -> bool:
        """Return whether a change is of its keys and of a kind that it is told."""
        start, end = self.selected
        unwanted = "NODELETE" if event.entry is None else "NOPUT"
        return (
            start <= event.key
            and (end is None or event.key < end)
            and unwanted not in self.request.filters
        )


class WatchStream:
    """Watches that one client created together. `poll` it when the store may have changed.

    Args:
        store: What is watched.
        revisions: Numbers changes as etcd does.
        answers: Makes responses of changes.
        compacted: Tells the revision of the last compaction.
    """

    __slots__ = (
        "_answers",
        "_compacted",
        "_next_id",
        "_revisions",
        "_store",
        "_waiting",
        "_watches",
    )

    def __init__(
        self, store: Store, revisions: Revisions, answers: Answers, compacted: Callable[[], int]
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._answers = answers
        self._compacted = compacted
        self._watches: dict[int, _Watch] = {}
        self._waiting: deque[WatchResponse] = deque()
        self._next_id = 0

    def create(self, request: WatchCreateRequest) -> int:
        """Begin a watch; return its id, or -1 if it was refused, which a response tells."""
        self._revisions.catch_up()
        revision = self._revisions.current
        if (reason := self._refusal(request)) is not None:
            self._waiting.append(WatchResponse(revision, NO_WATCH, True, True, 0, reason))
            return NO_WATCH
        watch = request.watch_id or self._free_id()
        first = request.start_revision if request.start_revision > 0 else revision + 1
        self._watches[watch] = _Watch(request, first)
        self._waiting.append(WatchResponse(revision, watch, created=True))
        return watch

    def cancel(self, watch: int) -> None:
        """End a watch, which a response tells; an unknown one has ended already."""
        if self._watches.pop(watch, None) is not None:
            self._revisions.catch_up()
            self._waiting.append(WatchResponse(self._revisions.current, watch, canceled=True))

    def progress(self) -> None:
        """Ask how far the stream is: answered once every watch on it was told everything."""
        self._queue_changes()
        self._waiting.append(WatchResponse(self._revisions.current, NO_WATCH))

    def poll(self) -> WatchResponse | None:
        """Return the next response, or None if there is nothing to tell."""
        if not self._waiting:
            self._queue_changes()
        return self._waiting.popleft() if self._waiting else None

    # --- internals

    def _refusal(self, request: WatchCreateRequest) -> str | None:
        start, end = bounds(request.key, request.range_end)
        if end is not None and end <= start:
            return "mvcc: watcher range is empty"
        if request.watch_id and request.watch_id in self._watches:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        return None

    def _free_id(self) -> int:
        """Return an id that was not given before, as etcd's streams count them."""
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _queue_changes(self) -> None:
        self._revisions.catch_up()
        current, compacted = self._revisions.current, self._compacted()
        for number, watch in list(self._watches.items()):
            if watch.next < compacted:
                del self._watches[number]
                lost = WatchResponse(0, number, canceled=True, compact_revision=compacted)
                self._waiting.append(lost)
            elif watch.next <= current:
                self._queue_events(number, watch, current, compacted)
                watch.next = current + 1

    def _queue_events(self, number: int, watch: _Watch, current: int, compacted: int) -> None:
        """Queue what a watch has to be told, whole revisions together.

        What stood before a change is told if the revision before it can still be read.
        """
        since = self._revisions.index(watch.next) - 1
        events = filter(watch.wants, self._store.changes_since(since))
        batch: list[WatchEvent] = []
        for count, (_, together) in enumerate(groupby(events, key=lambda event: event.revision)):
            if count and count % BATCH_REVISIONS == 0:
                self._waiting.append(WatchResponse(current, number, events=tuple(batch)))
                batch = []
            for event in together:
                readable = self._revisions.of(event.revision) > compacted
                previous = watch.request.prev_kv and readable
                batch.append(self._answers.event(event, previous=previous))
        if batch:
            self._waiting.append(WatchResponse(current, number, events=tuple(batch)))
