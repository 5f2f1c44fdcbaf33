"""User events: told once to every member, in no order but that of their Lamport times.

Owns the buffer against repeats, which is also what newcomers are told, and the rules of what is
too old. Knows nothing of members.

Source: serf/serf.go UserEvent, handleUserEvent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from serfevents.coalesce import NewestEvents, Window
from serfevents.config import USER_EVENT_SIZE_MAX
from serfevents.core import Core, Source
from serfevents.errors import PayloadTooLarge
from serfevents.outputs import Kind, UserEventReceived
from serfevents.stats import count_name
from serfevents.wire.codec import decode_user_event, encode_user_event
from serfevents.wire.messages import UserEvent
from serfevents.wire.states import in_ltime_order

_EVENT: Final = Kind.EVENT

#: Bytes that an event is taken to cost in the buffer beside its name and payload.
_OVERHEAD: Final = 64

NEW: Final = "new"
DUPLICATE: Final = "duplicate"
TOO_OLD: Final = "event-too-old"
FULL: Final = "event-buffer-full"


class _Slot:
    """The events of one Lamport time, by name and payload."""

    __slots__ = ("events", "ltime")

    def __init__(self, ltime: int) -> None:
        self.ltime = ltime
        self.events: dict[tuple[str, bytes], UserEvent] = {}


class EventBuffer:
    """The events of the newest Lamport times.

    Attributes:
        ltime_min: Older events are too old, whatever the buffer could hold; it never falls.
        size: Bytes that the events cost.
    """

    __slots__ = ("_slots", "_times", "ltime_min", "size", "size_max")

    def __init__(self, times: int, size_max: int, ltime_min: int = 0) -> None:
        self._times = times
        self._slots: dict[int, _Slot] = {}
        self.size = 0
        self.size_max = size_max
        self.ltime_min = ltime_min

    def __iter__(self) -> Iterator[UserEvent]:
        for slot in self._slots.values():
            yield from slot.events.values()

    def add(self, event: UserEvent, time: int) -> str:
        """Remember an event, and say whether it is `NEW`, `DUPLICATE`, `TOO_OLD` or `FULL`.

        Args:
            event: The event.
            time: Our event clock, which has witnessed it.
        """
        ltime = event.ltime
        if ltime < self.ltime_min or ltime < time - self._times:
            return TOO_OLD
        index = ltime % self._times
        slot = self._slots.get(index)
        key = event.name, event.payload
        if slot is None or slot.ltime != ltime:
            # All times that aren't too old have slots of their own: this one is too old by now.
            if slot is not None:
                self._drop(index)
            slot = None
        elif key in slot.events:
            return DUPLICATE
        cost = _cost(event)
        if self.size + cost > self.size_max and not self._make_room(cost, ltime):
            return FULL
        if slot is None:
            slot = self._slots[index] = _Slot(ltime)
        slot.events[key] = event
        self.size += cost
        return NEW

    def _make_room(self, cost: int, ltime: int) -> bool:
        """Forget the oldest times before `ltime`, a good part at once; return whether it helps."""
        goal = self.size_max - max(cost, self.size_max // 8)
        oldest = sorted((slot.ltime, index) for index, slot in self._slots.items())
        for time, index in oldest:
            if self.size <= goal or time >= ltime:
                break
            self._drop(index)
            self.ltime_min = time + 1
        return self.size + cost <= self.size_max

    def _drop(self, index: int) -> None:
        slot = self._slots.pop(index)
        self.size -= sum(map(_cost, slot.events.values()))

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert self.size == sum(map(_cost, self)) <= self.size_max
        for index, slot in self._slots.items():
            assert slot.ltime % self._times == index
            assert slot.events


def _cost(event: UserEvent) -> int:
    return len(event.name) + len(event.payload) + _OVERHEAD


class UserEvents:
    """Fires user events, and takes those of others.

    Attributes:
        buffer: Against repeats, and for replay.
    """

    __slots__ = ("_coalesced", "_core", "_newest", "_window", "buffer")

    def __init__(self, core: Core, ltime_min: int) -> None:
        config = core.config
        self._core = core
        self.buffer = EventBuffer(config.event_buffer, config.event_buffer_size_max, ltime_min)
        self._coalesced = config.user_coalesce_period > 0
        self._newest = NewestEvents()
        self._window = Window(
            core, config.user_coalesce_period, config.user_quiescent_period, self.flush
        )

    def fire(self, name: str, payload: bytes, *, coalesce: bool) -> int:
        """Tell everybody of a new event, ourselves included; return its Lamport time.

        Raises:
            PayloadTooLarge: Name and payload, or their encoding, exceed the limit.
            QueueFull: Too many wait to be sent.
        """
        core = self._core
        limit = core.config.user_event_size_limit
        size = len(name.encode("utf-8", "surrogateescape")) + len(payload)
        event = UserEvent(core.event_clock.time, name, payload, coalesce)
        if size <= limit:
            message = encode_user_event(event)
            size = len(message)
        if size > limit:
            raise PayloadTooLarge("user event", size, limit)
        core.require_room(_EVENT)
        core.event_clock.increment()
        core.clock_moved()
        self.buffer.add(event, core.event_clock.time)
        self._deliver(event)
        core.broadcast(_EVENT, message)
        return event.ltime

    def receive(self, payload: bytes, source: Source) -> bool:
        """Take an event of another member; return whether it was new.

        Raises:
            DecodeError: It is none.
        """
        event = decode_user_event(payload)
        core = self._core
        if not self._is_plausible(event, source):
            return False
        outcome = self.buffer.add(event, core.event_clock.time)
        if outcome is NEW:
            core.pass_on(_EVENT, payload)
            self._deliver(event)
            return True
        if outcome is DUPLICATE:
            core.stats.duplicates += 1
        else:
            core.reject(source, outcome, f"{event.name} of Lamport time {event.ltime}")
        return False

    def replay(self, events: Iterable[UserEvent], source: Source) -> None:
        """Take the event buffer of another member, in the order of Lamport times.

        What is too old is counted only: a buffer may hold many of them.
        """
        core = self._core
        for event in in_ltime_order(events):
            if not self._is_plausible(event, source):
                return
            outcome = self.buffer.add(event, core.event_clock.time)
            if outcome is NEW:
                self._deliver(event)
            elif outcome is not DUPLICATE:
                core.stats.reject(outcome)

    def ignore_before(self, ltime: int) -> None:
        """Take all events before a Lamport time for too old."""
        self.buffer.ltime_min = max(self.buffer.ltime_min, ltime)

    def flush(self) -> None:
        """Tell the events that were gathered."""
        for event in self._newest.flush():
            self._tell(event)

    def stop(self) -> None:
        """Tell what was gathered, since no timer will."""
        self._window.shut()
        self.flush()

    def _is_plausible(self, event: UserEvent, source: Source) -> bool:
        size = len(event.name) + len(event.payload)
        if size > USER_EVENT_SIZE_MAX:
            self._core.reject(source, "too-large", f"a user event of {size} bytes")
            return False
        return self._core.witness(self._core.event_clock, event.ltime, source)

    def _deliver(self, event: UserEvent) -> None:
        core = self._core
        stats = core.stats
        stats.events += 1
        count_name(stats.event_names, event.name, core.config.counted_names_max)
        if not (self._coalesced and event.coalesce):
            self._tell(event)
            return
        self._newest.add(event)
        self._window.extend()
        if len(self._newest) >= core.config.coalesced_max:
            self.stop()

    def _tell(self, event: UserEvent) -> None:
        self._core.outputs.append(
            UserEventReceived(event.ltime, event.name, event.payload, event.coalesce)
        )
