"""Push/pull states: a member's whole view as bytes, and back.

Owns the layout, and the bounds of what a peer's state may cost: it is read value by value, and
nothing is built of what isn't asked for. Knows nothing of what is believed of it.

Two fields are ours alone; Serf skips what it doesn't know. `LeavingMembers` names those that mean
to leave, so that two members can agree about them, and `CC` keeps an event's coalesce flag.

Source: serf/messages.go messagePushPull, serf/delegate.go LocalState.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgpack

from serfevents.errors import DecodeError
from serfevents.wire.dialect import (
    NIL,
    TRUE,
    encode_array,
    encode_bytes,
    encode_map,
    encode_text,
    encode_uint,
)
from serfevents.wire.messages import MessageType, PushPull, UserEvent

_PUSH_PULL: Final = bytes([MessageType.PUSH_PULL])

#: Most Lamport times in a peer's event buffer; Serf's default has 512.
SLOTS_MAX: Final = 65536
#: Most fields of one map.
FIELDS_MAX: Final = 64

_by_ltime = attrgetter("ltime")


def encode_state(state: PushPull) -> bytes:
    """Return a state as bytes. O(members + events).

    Slots of the event buffer that hold nothing are left out: a receiver sorts by Lamport time.
    """
    events = sorted(state.events, key=_by_ltime)
    slots = [_encode_slot(ltime, group) for ltime, group in groupby(events, key=_by_ltime)]
    fields = [
        ("EventLTime", encode_uint(state.event_ltime)),
        ("Events", encode_array(slots)),
        ("LTime", encode_uint(state.ltime)),
    ]
    if state.leaving:
        fields.append(("LeavingMembers", encode_array(map(encode_text, state.leaving))))
    fields += [
        ("LeftMembers", encode_array(map(encode_text, state.left))),
        ("QueryLTime", encode_uint(state.query_ltime)),
        ("StatusLTimes", _encode_ltimes(state.status_ltimes)),
    ]
    return _PUSH_PULL + encode_map(fields)


def _encode_slot(ltime: int, events: Iterable[UserEvent]) -> bytes:
    fields = [("Events", encode_array(map(_encode_event, events))), ("LTime", encode_uint(ltime))]
    return encode_map(fields)


def _encode_event(event: UserEvent) -> bytes:
    fields = [("CC", TRUE)] if event.coalesce else []
    fields += [("Name", encode_text(event.name)), ("Payload", encode_bytes(event.payload))]
    return encode_map(fields)


def _encode_ltimes(ltimes: Mapping[str, int]) -> bytes:
    return encode_map((name, encode_uint(ltime)) for name, ltime in ltimes.items())


def decode_state(data: bytes, *, size_max: int, members_max: int, events_size_max: int) -> PushPull:
    """Return a peer's state.

    Args:
        data: The whole state, type byte first.
        size_max: Most bytes.
        members_max: Most members that it may name.
        events_size_max: Most bytes of names and payloads of events.

    Raises:
        DecodeError: `unknown-type`, `malformed`, `bad-field` or `too-large`.
    """
    if len(data) > size_max:
        raise DecodeError("too-large", f"a state of {len(data)} bytes")
    if data[:1] != _PUSH_PULL:
        raise DecodeError("unknown-type", "not a push/pull state")
    reader = _StateReader(data, members_max, events_size_max)
    try:
        return reader.read()
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise DecodeError("malformed", str(error) or "cut off") from None


class _StateReader:
    """Reads one state, value by value."""

    def __init__(self, data: bytes, members_max: int, events_size_max: int) -> None:
        self._data = data
        self._members_max = members_max
        self._events_room = events_size_max
        self._unpacker = msgpack.Unpacker(raw=True, max_buffer_size=len(data))
        self._unpacker.feed(data)
        self._unpacker.skip()  # The type byte is a small integer to msgpack.

    def read(self) -> PushPull:
        """Return the state."""
        state = PushPull()
        if self._is_nil():
            return state
        for _ in range(self._fields()):
            field = _FIELDS.get(self._raw())
            if field is None:
                self._unpacker.skip()
            elif not self._is_nil():
                name, read = field
                setattr(state, name, read(self))
        return state

    def ltime(self) -> int:
        """Read a Lamport time."""
        first = self._peek()
        value: object = None
        if first < 0x80 or 0xCC <= first <= 0xD3:
            value = self._unpacker.unpack()
        if type(value) is int and value >= 0:
            return value
        raise DecodeError("bad-field", "a Lamport time that is none")

    def names(self) -> tuple[str, ...]:
        """Read a list of members."""
        count = self._count(self._unpacker.read_array_header())
        return tuple(self._text() for _ in range(count))

    def ltimes(self) -> dict[str, int]:
        """Read Lamport times by member."""
        count = self._count(self._unpacker.read_map_header())
        return {self._text(): self.ltime() for _ in range(count)}

    def events(self) -> tuple[UserEvent, ...]:
        """Read the event buffer."""
        events: list[UserEvent] = []
        slots = self._unpacker.read_array_header()
        if slots > SLOTS_MAX:
            raise DecodeError("too-large", f"a state with {slots} times of events")
        for _ in range(slots):
            if not self._is_nil():
                self._read_slot(events)
        return tuple(events)

    def _read_slot(self, events: list[UserEvent]) -> None:
        """Read the events of one Lamport time."""
        ltime = 0
        begun = len(events)
        for _ in range(self._fields()):
            key = self._raw()
            if key == b"LTime":
                ltime = self.ltime()
            elif key != b"Events":
                self._unpacker.skip()
            elif not self._is_nil():
                events += [self._event() for _ in range(self._unpacker.read_array_header())]
        for event in events[begun:]:
            event.ltime = ltime

    def _event(self) -> UserEvent:
        event = UserEvent(0, "", b"")
        for _ in range(0 if self._is_nil() else self._fields()):
            key = self._raw()
            if key == b"Name":
                event.name = self._text()
            elif key == b"Payload":
                event.payload = self._raw()
            elif key == b"CC" and self._peek() in (0xC2, 0xC3):
                event.coalesce = self._unpacker.unpack()
            else:
                self._unpacker.skip()
        self._events_room -= len(event.name) + len(event.payload) + 64
        if self._events_room < 0:
            raise DecodeError("too-large", "a state with too many events")
        return event

    def _fields(self) -> int:
        """Read how many fields follow; no struct of any version comes near the bound."""
        count: int = self._unpacker.read_map_header()
        if count > FIELDS_MAX:
            raise DecodeError("too-large", f"a map with {count} fields")
        return count

    def _count(self, count: int) -> int:
        if count > self._members_max:
            raise DecodeError("too-large", f"a state that names {count} members")
        return count

    def _peek(self) -> int:
        """Return the first byte of the next value, without reading it."""
        at: int = self._unpacker.tell()
        if at >= len(self._data):
            raise DecodeError("malformed", "cut off")
        return self._data[at]

    def _is_nil(self) -> bool:
        """Read a nil and say so, or read nothing."""
        if self._peek() != NIL[0]:
            return False
        self._unpacker.skip()
        return True

    def _raw(self) -> bytes:
        """Read bytes or text; nil is empty. Anything else is refused before it is built."""
        first = self._peek()
        if first == NIL[0] or 0xA0 <= first <= 0xBF or first in _RAW:
            return self._unpacker.unpack() or b""
        raise DecodeError("bad-field", "not a text where one belongs")

    def _text(self) -> str:
        return self._raw().decode("utf-8", "surrogateescape")


#: First bytes of longer texts and bytes: bin8 to bin32, str8, raw16, raw32.
_RAW: Final = (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB)

_FIELDS: dict[bytes, tuple[str, Callable[[_StateReader], Any]]] = {
    b"LTime": ("ltime", _StateReader.ltime),
    b"StatusLTimes": ("status_ltimes", _StateReader.ltimes),
    b"LeftMembers": ("left", _StateReader.names),
    b"LeavingMembers": ("leaving", _StateReader.names),
    b"EventLTime": ("event_ltime", _StateReader.ltime),
    b"Events": ("events", _StateReader.events),
    b"QueryLTime": ("query_ltime", _StateReader.ltime),
}


def in_ltime_order(events: Iterable[UserEvent]) -> list[UserEvent]:
    """Return events by Lamport time; those of one time stay in the order they came in."""
    return sorted(events, key=_by_ltime)
