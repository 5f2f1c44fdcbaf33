"""One watch: which changes wait to be told, and where in the history it goes on.

Changes are never copied: what waits are references, a bounded number, and behind them the watch
has a place in the history that it shares with all others. A watcher that does not poll holds up
nobody; when the history behind its place is forgotten, it is lost and told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from kvstore.change import CHANGED_KEY, NEW, OLD, REVISION, Change, make_event
from kvstore.state.history import History
from kvstore.watches.values import BOTH, WatchBatch, WatchSpec

#: Changes of the history that one poll looks at, at most.
SCAN: Final = 4096

# A place behind every floor.
_LOST: Final = -1

Filter: TypeAlias = Callable[[Iterable[str]], list[str]] | None


class WatchCursor:
    """What one watch has told and has to tell.

    Args:
        id_: Its id.
        spec: What to watch, and how.
        low: The first key that is watched.
        high: The first key beyond, or None.

    Attributes:
        id: Its id.
        spec: What to watch, and how.
        place: The sequence in the history at which it goes on when all that waits is told, or
            None if nothing lies between that and what comes.
        pending: Changes that wait, in order; all of them come before `place`.
        room: How many may wait, as long as the watch wants every change and has no place to go
            on at; else 0, so that `take` is asked.
        told: Whether a batch was polled since the last progress mark.
        mark: Whether a progress mark is due.
    """

    __slots__ = (
        "_goes_on",
        "_high",
        "_is_plain",
        "_low",
        "_start",
        "id",
        "mark",
        "pending",
        "place",
        "room",
        "spec",
        "told",
    )

    def __init__(self, id_: int, spec: WatchSpec, low: str, high: str | None) -> None:
        self.id = id_
        self.spec = spec
        self.place: int | None = None
        self.told = False
        self.mark = False
        self._low, self._high = low, high
        self._start = 0 if spec.from_revision is None else spec.from_revision
        self._is_plain = not self._start and len(set(spec.kinds)) == len(BOTH)
        self.pending: list[Change] = []
        self.room = 0
        self._go_to(None)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing has to be looked for."""
        return not self.pending and self.place is None and not self.mark

    def take(self, sequence: int, change: Change) -> bool:
        """Take note of a change of a watched key; return whether it is to be told."""
        if self.place is not None or not (self._is_plain or self._wants(change)):
            return False
        if self._is_full():
            self._go_to(sequence, change[REVISION])
        else:
            self.pending.append(change)
        return True

    def go_on_at(self, sequence: int) -> None:
        """Go on in the history, as changes from there on may not have been taken note of."""
        if self.place is None:
            self._go_to(sequence)

    def lose(self) -> None:
        """Give up: what comes next is not what came before."""
        self.pending.clear()
        self._go_to(_LOST)

    def reached(self, history: History, newest: int) -> int:
        """Return the revision up to which everything is told; 0 if that is forgotten.

        Args:
            history: The history.
            newest: The index up to which changes were taken note of.
        """
        if self.pending:
            return self.pending[0][REVISION] - 1
        if self.place is None or self.place >= history.sequence:
            return newest
        if self.place < history.freed:
            return max(self._goes_on - 1, 0)
        return history.at(self.place)[REVISION] - 1

    def poll(
        self, history: History, end: int, newest: int, events_max: int, readable: Filter
    ) -> WatchBatch | None:
        """Return what comes next, or None if there is nothing.

        Args:
            history: The history.
            end: The sequence up to which changes were taken note of.
            newest: The index up to which they were.
            events_max: Events at most, 1 or more.
            readable: What leaves out the keys that may not be read, None if nothing has to.
        """
        if self.place is not None:
            if self.place < history.floor_sequence and not self.pending:
                return WatchBatch(self.id, "lost", history.floor, final=True)
            if self.place >= history.floor_sequence:
                self._read_on(history, end)
        count, fragment = self._cut(history, 1 if self.spec.once else events_max)
        if count:
            return self._events(count, fragment, readable)
        if self.place is not None or self.mark:
            self.mark = False
            revision = self.reached(history, newest)
            return WatchBatch(self.id, "progress", revision, more=self.place is not None)
        return None

    def _wants(self, change: Change) -> bool:
        kind = "delete" if change[NEW] is None else "put"
        return change[REVISION] >= self._start and kind in self.spec.kinds

    def _read_on(self, history: History, end: int) -> None:
        """Read a piece of the history, as long as there is room for what waits."""
        place = self.place
        assert place is not None
        low, high, pending = self._low, self._high, self.pending
        stop = min(end, place + SCAN)
        while place < stop:
            change = history.at(place)
            key = change[CHANGED_KEY]
            if low <= key and (high is None or key < high) and self._wants(change):
                if self._is_full():
                    break
                pending.append(change)
            place += 1
        if place < end:
            self._go_to(place, history.at(place)[REVISION])
        else:
            self._go_to(None)

    def _go_to(self, place: int | None, revision: int = 0) -> None:
        """Go on at a place in the history, where the change has a revision; 0 if it begins one."""
        self.place = place
        self._goes_on = revision
        self.room = self.spec.pending_max if place is None and self._is_plain else 0

    def _is_full(self) -> bool:
        pending, limit = self.pending, self.spec.pending_max
        if not self.spec.coalesce:
            return len(pending) >= limit
        # Twice as many may wait, so that putting them together is worth it.
        if len(pending) < 2 * limit:
            return False
        pending[:] = coalesced(pending)
        return len(pending) > limit

    def _cut(self, history: History, events_max: int) -> tuple[int, bool]:
        """Return how many changes to tell, and whether that is in the middle of a revision."""
        pending = self.pending
        if self.spec.coalesce:
            pending[:] = coalesced(pending)
        complete = size = len(pending)
        # The last revision may go on where the watch does, also if that is forgotten by now.
        while complete and pending[complete - 1][REVISION] == self._goes_on:
            complete -= 1
        count = min(complete, events_max)
        if count < size:
            while count and pending[count][REVISION] == pending[count - 1][REVISION]:
                count -= 1
        if count or not size:
            return count, False
        is_kept = self.place is not None and self.place >= history.floor_sequence
        if not complete and is_kept and size < min(events_max, self.spec.pending_max):
            # There is room for the rest of the revision, once it is read.
            return 0, False
        return min(events_max, size), True

    def _events(self, count: int, fragment: bool, readable: Filter) -> WatchBatch | None:
        spec = self.spec
        told = self.pending[:count]
        del self.pending[:count]
        revision = told[-1][REVISION] - fragment
        more = bool(self.pending) or self.place is not None
        if readable is not None:
            allowed = set(readable(change[CHANGED_KEY] for change in told))
            told = [change for change in told if change[CHANGED_KEY] in allowed]
            if not told:
                # That something happened to keys that may not be read is not told either.
                return WatchBatch(self.id, "progress", revision, more=True) if more else None
        self.told = True
        events = tuple(
            make_event(change, previous=spec.previous, keys_only=spec.keys_only) for change in told
        )
        if spec.once:
            return WatchBatch(self.id, "events", revision, events, final=True)
        return WatchBatch(self.id, "events", revision, events, more, fragment)


def coalesced(changes: Sequence[Change]) -> list[Change]:
    """Return the newest of the changes of each key, with what the key was before the first."""
    newest: dict[str, Change] = {}
    for change in changes:
        revision, key, new, old, cause, link = change
        before = newest.pop(key, None)
        if before is not None:
            old = before[OLD]
        newest[key] = (revision, key, new, old, cause, link)
    return list(newest.values())
