"""What a snapshot file adds up to, read in pieces of any size, whatever is in it.

It owns the sum of the lines and the report of what was dropped. It knows no files: bytes come in
as they are read. No content raises, and none costs more memory than `LINE_MAX` and `MEMBERS_MAX`
allow.

A file that was torn by a crash is good up to its last line's end: what comes after is dropped, and
`Restored.end` tells where to cut the file before anything is appended. A damaged line in the
middle is skipped, as Serf skips it; every one is counted, the first ones are told.

Source: serf/snapshot.go replay.
"""

from __future__ import annotations

from typing import Final, assert_never

from attrs import field, frozen

from serfevents.errors import DecodeError
from serfevents.records import (
    Address,
    Alive,
    Clock,
    Coordinate,
    EventClock,
    Leave,
    NotAlive,
    QueryClock,
    Record,
    Recovered,
)
from serfevents.snapshots.lines import LINE_MAX, decode_line

# Members that are taken from one file: some 30 MB. Further ones are dropped and told.
MEMBERS_MAX: Final = 100_000

# Damages that are told one by one, and the bytes that each shows.
DAMAGES_MAX: Final = 32
EXCERPT_MAX: Final = 64


@frozen
class Damage:
    """A line that was dropped.

    Attributes:
        line: Its number, from 1.
        offset: The byte that it begins at, from 0.
        reason: `torn` (the last one has no end), `too-long`, `address`, `number`, `unknown`, or
            `too-many-members`.
        excerpt: Its beginning, at most `EXCERPT_MAX` bytes.
    """

    line: int
    offset: int
    reason: str
    excerpt: bytes


@frozen
class Restored:
    """What was read from a snapshot file.

    Attributes:
        recovered: What a machine starts from.
        left: Whether we had left on purpose, and nobody was seen alive since.
        lines: Complete lines.
        end: Bytes up to the end of the last complete line: the rest is to be cut off.
        size: Bytes that were read.
        damages: The first `DAMAGES_MAX` dropped lines, in their order.
        damage_count: All dropped lines.
    """

    recovered: Recovered = field(factory=Recovered)
    left: bool = False
    lines: int = 0
    end: int = 0
    size: int = 0
    damages: tuple[Damage, ...] = ()
    damage_count: int = 0


class SnapshotReader:
    r"""Reads one file: feed it with `receive`, ask it for `restored` at the end.

    Args:
        rejoin_after_leave: Whether a `leave` is to be overlooked; else what came before is void.

    >>> reader = SnapshotReader()
    >>> reader.receive(b"alive: n1 127.0.0.1:79")
    >>> reader.receive(b"46\nclock: 5\nclock: 1")
    >>> restored = reader.restored()
    >>> restored.recovered.alive, restored.recovered.clock
    ((Alive(name='n1', address=('127.0.0.1', 7946)),), 5)
    >>> restored.damages
    (Damage(line=3, offset=34, reason='torn', excerpt=b'clock: 1'),)
    """

    def __init__(self, *, rejoin_after_leave: bool = False) -> None:
        self._rejoin_after_leave = rejoin_after_leave
        self._alive: dict[str, Address] = {}
        self._ltimes: dict[type[Record], int] = dict.fromkeys((Clock, EventClock, QueryClock), 0)
        self._left = False
        self._lines = self._end = 0
        self._damages: list[Damage] = []
        self._damage_count = 0
        # The line that has not ended yet. Invariant: at most LINE_MAX + 1 of its bytes are held.
        self._held = bytearray()
        self._held_size = 0

    def restored(self) -> Restored:
        """Return what was read so far, as if the file ended here. Pure. O(members)."""
        damages, count = tuple(self._damages), self._damage_count
        if self._held_size:
            damages = (*damages, self._damage("torn", bytes(self._held)))[:DAMAGES_MAX]
            count += 1
        alive = tuple(Alive(name, address) for name, address in self._alive.items())
        return Restored(
            recovered=Recovered(alive, *self._ltimes.values()),
            left=self._left,
            lines=self._lines,
            end=self._end,
            size=self._end + self._held_size,
            damages=damages,
            damage_count=count,
        )

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the file. O(their number)."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._hold(data, start, end)
            self._end_line()
            start = end + 1
        self._hold(data, start, len(data))

    def _hold(self, data: bytes, start: int, end: int) -> None:
        """Keep a part of a line, as long as the line may still be one."""
        room = LINE_MAX + 1 - len(self._held)
        self._held += data[start : min(end, start + room)]
        self._held_size += end - start

    def _end_line(self) -> None:
        """Take the line that is held into account."""
        line = bytes(self._held)
        try:
            record = decode_line(line)
        except DecodeError as refused:
            self._drop(refused.reason, line)
        else:
            if record is not None and not self._add(record):
                self._drop("too-many-members", line)
        self._lines += 1
        self._end += self._held_size + 1
        self._held.clear()
        self._held_size = 0

    def _add(self, record: Record) -> bool:
        """Add a record to the sum; return False if there is no room for it."""
        match record:
            case Alive(name, address):
                if name not in self._alive and len(self._alive) >= MEMBERS_MAX:
                    return False
                self._alive[name] = address
                self._left = False
            case NotAlive(name):
                self._alive.pop(name, None)
            case Clock(ltime) | EventClock(ltime) | QueryClock(ltime):
                self._ltimes[type(record)] = ltime
            case Leave():
                self._leave()
            case Coordinate():
                pass
            case _:
                assert_never(record)
        return True

    def _leave(self) -> None:
        self._left = True
        if not self._rejoin_after_leave:
            self._alive.clear()
            self._ltimes = dict.fromkeys(self._ltimes, 0)

    def _drop(self, reason: str, line: bytes) -> None:
        self._damage_count += 1
        if len(self._damages) < DAMAGES_MAX:
            self._damages.append(self._damage(reason, line))

    def _damage(self, reason: str, line: bytes) -> Damage:
        return Damage(self._lines + 1, self._end, reason, line[:EXCERPT_MAX])
