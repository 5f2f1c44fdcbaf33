"""Watches and blocking queries: who hears of what, at what pace. Local, never replicated.

A hub is told of every applied command, finds who watches what changed, and is polled. Nobody is
called, nothing is copied: a watch is a place in the history that all share, with a bounded number
of changes that wait. The guarantees are etcd's: events are ordered, unique, complete within the
history, whole for each revision (unless one is more than fits, and then marked), resumable from
any revision, and a progress mark promises that everything up to it was told.

Time is the caller's monotonic clock, for progress marks and the ends of waits only.

Source: etcd server/storage/mvcc/watchable_store.go, doc "KV API guarantees"; Consul
agent/blockingquery; ZooKeeper's one-shot triggers (`once`).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf, nextafter
from typing import Final

from kvstore.acl.rules import Level
from kvstore.change import CHANGED_KEY, NEW, OLD, Change
from kvstore.entry import DIRECTORY
from kvstore.errors import TooManyWatches, UnknownWatch, WatchExists
from kvstore.results import Applied
from kvstore.store import Store
from kvstore.watches.cursor import Filter, WatchCursor
from kvstore.watches.index import UNKNOWN, WatchIndex
from kvstore.watches.values import (
    WaitDone,
    WatchBatch,
    WatchSpec,
    check_actor,
    check_seconds,
    check_whole,
)
from kvstore.watches.wait import Query, Wait, selected_by

#: Changes that are distributed together, at the latest.
GATHER: Final = 256


class Watches:
    """A hub of watches and waits over one store.

    Args:
        store: The store.
        watches_max: Watches and waits at most; 1 or more.

    Raises:
        TypeError: `store` is none, or `watches_max` no whole number.
        ValueError: `watches_max` is out of range.

    >>> from kvstore.commands import Put
    >>> store = Store()
    >>> hub = Watches(store)
    >>> watch = hub.watch(WatchSpec(prefix="web/"), 0.0)
    >>> hub.publish(store.apply(Put("web/port", b"80")))
    >>> [(event.kind, event.key) for event in hub.poll(watch).events]
    [('put', 'web/port')]
    """

    def __init__(self, store: Store, *, watches_max: int = 1_000_000) -> None:
        _check_store(store)
        check_whole("watches_max", watches_max, 1)
        self._store = store
        self._watches_max = watches_max
        self._index: WatchIndex[WatchCursor | Wait] = WatchIndex(store.config.separator)
        self._all: dict[int, WatchCursor | Wait] = {}
        # Invariant: above all ids that were ever used.
        self._next_id = 1
        # Ids with something to poll, in the order in which they got it.
        self._ready: dict[int, None] = {}
        # Changes that were published since they were distributed up to a sequence, for when the
        # history forgets them before.
        self._gathered: list[Change] = []
        self._end = store.state.tree.history.sequence
        self._newest = store.applied_index
        self._directories = store.state.tree.directories
        self._reused = self._directories.reused
        # (deadline, order, id) of progress marks and of the ends of waits.
        self._timers: list[tuple[float, int, int]] = []
        # The order of the timer that is meant, by id: others in the heap are stale.
        self._armed: dict[int, int] = {}
        self._order = 0
        self._now = float("-inf")

    def __len__(self) -> int:
        """Number of watches and waits."""
        return len(self._all)

    # --- queries

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        return self._timers[0][0] if self._timers else None

    def ready(self) -> tuple[int, ...]:
        """Return the ids with something to poll, in the order in which they got it."""
        self._distribute()
        return tuple(self._ready)

    def progress(self, watch: int) -> int:
        """Return the revision up to which everything was told: to resume with `+ 1`.

        Of a watch that will tell that it is lost, it may be an earlier one, down to 0.

        Raises:
            UnknownWatch: There is no such watch, or it is a wait, which has no progress.
        """
        self._distribute()
        one = self._get(watch)
        if not isinstance(one, WatchCursor):
            raise UnknownWatch(watch)
        return one.reached(self._store.state.tree.history, self._newest)

    # --- inputs

    def publish(self, applied: Applied) -> None:
        """Take note of an applied command, each once and in order.

        Cheap: changes are distributed when somebody asks, or when some have gathered. What was
        not published by then is found in the history.

        Raises:
            TypeError: It is nothing that a store answered.
        """
        try:
            changes = applied.changes
        except AttributeError:
            raise TypeError(f"{type(applied).__name__} is nothing applied") from None
        if changes:
            self._gathered += changes
            if len(self._gathered) >= GATHER:
                self._distribute()

    def watch(self, spec: WatchSpec, now: float, *, id: int | None = None) -> int:  # noqa: A002
        """Begin a watch, and return its id.

        Args:
            spec: What to watch, and how. If `from_revision` is not above the floor of the history,
                the first batch is "lost".
            now: Seconds on the caller's clock.
            id: Its id, 0 or more, or None for the next.

        Raises:
            WatchExists: The id is taken.
            TooManyWatches: There are as many as there may be.
            TypeError: An argument is of another type.
            ValueError: `now` or `id` is out of range.
        """
        if type(spec) is not WatchSpec:
            raise TypeError(f"{type(spec).__name__} is no WatchSpec")
        check_seconds("now", now)
        id_ = self._claim(id)
        self._advance(now)
        self._distribute()
        low, high = spec.bounds
        cursor = WatchCursor(id_, spec, low, high)
        history = self._store.state.tree.history
        if spec.from_revision is not None:
            if spec.from_revision <= history.floor:
                cursor.lose()
            else:
                first = history.first_after(spec.from_revision - 1)
                if first < history.sequence:
                    cursor.go_on_at(first)
        self._add(id_, cursor, spec)
        if not cursor.idle:
            self._ready[id_] = None
        if spec.progress_interval is not None:
            self._arm(id_, self._now + spec.progress_interval)
        return id_

    def wait(
        self,
        query: Query,
        index: int,
        now: float,
        *,
        timeout: float | None = None,
        actor: str | None = None,
        id: int | None = None,  # noqa: A002
    ) -> int:
        """Begin a blocking query, and return its id: it is ready when its answer may be new.

        Args:
            query: What to answer.
            index: The index of an earlier answer: any change after it is news. -1 is ready at
                once.
            now: Seconds on the caller's clock.
            timeout: Seconds after which the answer is told in any case, 0 or more; None for never.
            actor: By whose rights, as in `WatchSpec`. What it may not read is refused at once.
            id: Its id, 0 or more, or None for the next.

        Raises:
            WatchExists: The id is taken.
            TooManyWatches: There are as many as there may be.
            TypeError: `query` is no read of one key or one selection, or an argument is of
                another type.
            ValueError: The selection is malformed, or an argument out of range.
        """
        spec = selected_by(query)
        check_whole("index", index, -1)
        check_seconds("now", now)
        if timeout is not None:
            check_seconds("timeout", timeout)
            if timeout < 0:
                raise ValueError(f"timeout must be 0 or more, not {timeout}")
        check_actor(actor)
        id_ = self._claim(id)
        self._advance(now)
        self._distribute()
        one = Wait(id_, query, spec, index, actor)
        self._add(id_, one, spec)
        if self._is_news(one) or self._is_denied(one):
            self._finish(one)
        elif timeout is not None:
            self._arm(id_, self._now + timeout)
        return id_

    def cancel(self, id: int) -> None:  # noqa: A002
        """End a watch or a wait; what it has not told is dropped.

        Raises:
            UnknownWatch: There is none with this id.
        """
        self._get(id)
        self._remove(id)

    def poll(self, id: int, *, events_max: int = 1000) -> WatchBatch | WaitDone | None:  # noqa: A002
        """Return what a watch or a wait tells next, or None if there is nothing.

        A final batch, and the end of a wait, are the last: the id is free then.

        Args:
            id: The watch or the wait.
            events_max: Events at most, 1 or more.

        Raises:
            UnknownWatch: There is none with this id.
            TypeError: `events_max` is no whole number.
            ValueError: `events_max` is out of range.
        """
        check_whole("events_max", events_max, 1)
        one = self._get(id)
        self._distribute()
        if isinstance(one, Wait):
            return self._poll_wait(one)
        readable, allowed = self._readable(one.spec.actor)
        if not allowed:
            self._remove(id)
            return WatchBatch(id, "closed", self._newest, final=True)
        history = self._store.state.tree.history
        batch = one.poll(history, self._end, self._newest, events_max, readable)
        if batch is not None and batch.final:
            self._remove(id)
        elif one.idle:
            self._ready.pop(id, None)
        return batch

    def reset(self, store: Store) -> None:
        """Go on with another store, after a restore: watches are lost, waits are ready.

        Raises:
            TypeError: `store` is none.
        """
        _check_store(store)
        self._store = store
        history = store.state.tree.history
        self._gathered = []
        self._end, self._newest = history.sequence, store.applied_index
        for id_, one in self._all.items():
            self._ready[id_] = None
            if isinstance(one, Wait):
                one.is_ready = one.is_reset = True
            else:
                one.lose()

    def handle_timeout(self, now: float) -> None:
        """Fire what is due: waits end, and quiet watches tell how far they are.

        Raises:
            TypeError: `now` is no number.
            ValueError: `now` is out of range.
        """
        check_seconds("now", now)
        self._advance(now)
        while self._timers and self._timers[0][0] <= self._now:
            _, order, id_ = heappop(self._timers)
            if self._armed.get(id_) != order:
                continue
            one = self._all[id_]
            if isinstance(one, Wait):
                del self._armed[id_]
                one.timed_out = not one.is_ready
                self._finish(one)
                continue
            interval = one.spec.progress_interval
            assert interval is not None
            if one.idle and not one.told:
                one.mark = True
                self._ready[id_] = None
            one.told = False
            # Late is one round, however short the interval is beside the clock's own precision.
            self._arm(id_, max(self._now + interval, nextafter(self._now, inf)))
        self._settle()

    # --- internals

    def _distribute(self) -> None:
        """Hand the changes since the last time to who watches them."""
        history = self._store.state.tree.history
        changes, self._gathered = self._gathered, []
        first, self._end = self._end, history.sequence
        self._newest = self._store.applied_index
        if first == self._end:
            return
        if first >= history.freed:
            # What was published late, twice or never is here once.
            changes = history.since(first)
        elif first + len(changes) != self._end:
            self._catch_up(first)
            return
        directories = self._store.state.tree.directories
        if directories is not self._directories:
            self._directories = directories
            self._sort_anew()
        if self._reused != directories.reused:
            # The numbers in these changes may be those of other directories by now.
            self._reused = directories.reused
            self._index.forget()
            self._distribute_by_name(changes, first)
        elif self._all:
            self._distribute_by_number(changes, first)

    def _distribute_by_name(self, changes: list[Change], sequence: int) -> None:
        ready = self._ready
        for change in changes:
            for one in self._index.find(change[CHANGED_KEY]):
                if one.take(sequence, change):
                    ready[one.id] = None
            sequence += 1

    def _distribute_by_number(self, changes: list[Change], first: int) -> None:
        index, ready, directories = self._index, self._ready, self._directories
        index.make_room(len(directories.names))
        remembered, has_more = index.remembered, index.has_more
        for sequence, change in enumerate(changes, first):
            record = change[NEW] or change[OLD]
            number = record[DIRECTORY]  # type: ignore[index]  # one of the two is there
            watches = remembered[number + 1]
            if has_more or not watches:
                if watches is UNKNOWN:
                    watches = index.remember(number, directories)
                if watches is None:
                    watches = index.find(change[CHANGED_KEY])
                elif has_more:
                    name = directories.names[number] if number >= 0 else ""
                    watches = (*watches, *index.more(name, change[CHANGED_KEY]))
            for one in watches:
                # What `take` does, for most watches: this is where most time goes.
                pending = one.pending
                if len(pending) < one.room:
                    if not pending:
                        ready[one.id] = None
                    pending.append(change)
                elif one.take(sequence, change):
                    ready[one.id] = None

    def _sort_anew(self) -> None:
        """Make the index anew, as the separator may have changed."""
        self._index = WatchIndex(self._directories.separator)
        for id_, one in self._all.items():
            self._sort_in(id_, one, one.spec)

    def _catch_up(self, first: int) -> None:
        """Let everybody look for themselves: changes were forgotten before they were published."""
        for id_, one in self._all.items():
            if isinstance(one, Wait):
                if self._is_news(one):
                    self._finish(one)
            else:
                one.go_on_at(first)
                self._ready[id_] = None

    def _poll_wait(self, one: Wait) -> WaitDone | None:
        if not one.is_ready:
            return None
        self._remove(one.id)
        if one.actor is None:
            result = self._store.read(one.query)
        else:
            result = self._store.query(one.query, actor=one.actor)
        return WaitDone(one.id, result, one.timed_out, one.is_reset)

    def _is_news(self, one: Wait) -> bool:
        """Return whether anything that a query reads changed after its index."""
        tree = self._store.state.tree
        if one.spec.key is not None:
            return tree.index_of(one.spec.key) > one.index
        low, high = one.spec.bounds
        directory = tree.directories.enclosing(low, high)
        if tree.index_below(directory) <= one.index:
            return False
        return one.spec.prefix == directory or tree.index_between(low, high, directory) > one.index

    def _is_denied(self, one: Wait) -> bool:
        """Return whether a query would be refused: its end must not tell of what it waits for."""
        state = self._store.state
        if one.actor is None or not state.guarded:
            return False
        authorizer = state.acl.authorizer(one.actor, state.clock)
        if authorizer is None:
            return True
        if one.spec.key is not None:
            return not authorizer.allows_key(one.spec.key, Level.READ)
        if state.config.list_needs_right:
            return not authorizer.allows_range(*one.spec.bounds, Level.LIST)
        return False

    def _finish(self, one: Wait) -> None:
        one.is_ready = True
        self._ready[one.id] = None

    def _readable(self, actor: str | None) -> tuple[Filter, bool]:
        """Return what leaves out what an actor may not read, and whether it may watch at all."""
        state = self._store.state
        if actor is None or not state.guarded:
            return None, True
        authorizer = state.acl.authorizer(actor, state.clock)
        return (None, False) if authorizer is None else (authorizer.filter_keys, True)

    def _claim(self, id_: int | None) -> int:
        """Return an id that is free."""
        if id_ is not None:
            check_whole("id", id_, 0)
        if len(self._all) >= self._watches_max:
            raise TooManyWatches(self._watches_max)
        if id_ is None:
            return self._next_id
        if id_ in self._all:
            raise WatchExists(id_)
        return id_

    def _get(self, id_: int) -> WatchCursor | Wait:
        one = self._all.get(id_)
        if one is None:
            raise UnknownWatch(id_)
        return one

    def _add(self, id_: int, one: WatchCursor | Wait, spec: WatchSpec) -> None:
        self._all[id_] = one
        self._next_id = max(self._next_id, id_ + 1)
        self._sort_in(id_, one, spec)

    def _sort_in(self, id_: int, one: WatchCursor | Wait, spec: WatchSpec) -> None:
        if spec.key is not None:
            self._index.add_key(id_, one, spec.key)
        elif spec.prefix is not None:
            self._index.add_prefix(id_, one, spec.prefix)
        else:
            self._index.add_range(id_, one, *spec.bounds)

    def _remove(self, id_: int) -> None:
        spec = self._all.pop(id_).spec
        self._ready.pop(id_, None)
        self._armed.pop(id_, None)
        if spec.key is not None:
            self._index.remove_key(id_, spec.key)
        elif spec.prefix is not None:
            self._index.remove_prefix(id_, spec.prefix)
        else:
            self._index.remove_range(id_)
        self._settle()

    # --- timers

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)

    def _arm(self, id_: int, at: float) -> None:
        self._order += 1
        self._armed[id_] = self._order
        heappush(self._timers, (at, self._order, id_))

    def _settle(self) -> None:
        """Forget timers of watches and waits that are over: those in front, or many."""
        timers, armed = self._timers, self._armed
        if len(timers) > 2 * len(armed) + 64:
            timers[:] = [one for one in timers if armed.get(one[2]) == one[1]]
            heapify(timers)
        while timers and armed.get(timers[0][2]) != timers[0][1]:
            heappop(timers)


def _check_store(store: object) -> None:
    if not isinstance(store, Store):
        raise TypeError(f"{type(store).__name__} is no Store")
