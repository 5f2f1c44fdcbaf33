"""What a member would want to know after a crash, as a file: lines to append, and when to compact.

It owns what the file adds up to and how large it may get. It opens nothing: it returns the bytes to
append and the bytes to replace the file with, and the driver does that.

What a driver does, in Serf's own manner except where the file is replaced:

1. At the start, read the file and its replacement if they are there (`SnapshotReader`), let
   `starting_steps` choose, do the steps that it returns, and make the `Snapshot` and the machine
   from what was chosen.
2. For each `Remember(record)` that the machine puts out, append `Snapshot.append(record)` to the
   file. Gather lines for `FLUSH_INTERVAL` seconds before they are written. After a `Leave`, and
   when it stops, write at once and sync the file.
3. When `Snapshot.is_large`, write anything gathered, then do `replacing_steps` with
   `Snapshot.compacted()`, in their order and with no line appended in between. When all are done,
   call `Snapshot.replaced()` and append to the new file from then on.
4. If a step or an append fails, go on appending to whichever file bears the name, and try again not
   before `RETRY_INTERVAL` seconds; `is_large` stays true until then.
5. When the machine is told to `rejoin` after a `leave`, call `Snapshot.resume()` first.

Source: serf/snapshot.go.
"""

from __future__ import annotations

from typing import Final, assert_never

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
)
from serfevents.snapshots.lines import encode_record
from serfevents.snapshots.reader import Restored

# Serf's own: bytes below which no file is replaced, and what a member is worth of them above.
SIZE_MIN: Final = 128 * 1024
BYTES_PER_MEMBER: Final = 128
GROWTH: Final = 2

# Seconds, Serf's own: between two writes, and between two attempts to replace a file in vain.
FLUSH_INTERVAL: Final = 0.5
RETRY_INTERVAL: Final = 30.0


class Snapshot:
    r"""The file of one member, as it stands after all that was appended to it.

    Args:
        restored: What was read from the file; it has been cut at its `end`.
        size_min: Bytes below which the file is never replaced, >= 0.
        rejoin_after_leave: Whether members stay listed after we left on purpose.

    >>> snapshot = Snapshot()
    >>> snapshot.append(Alive("n1", ("127.0.0.1", 7946)))
    b'alive: n1 127.0.0.1:7946\n'
    >>> snapshot.append(Clock(7))
    b'clock: 7\n'
    >>> snapshot.compacted().splitlines()[1:]
    [b'clock: 7', b'event-clock: 0', b'query-clock: 0']
    """

    def __init__(
        self,
        restored: Restored | None = None,
        *,
        size_min: int = SIZE_MIN,
        rejoin_after_leave: bool = False,
    ) -> None:
        restored = Restored() if restored is None else restored
        recovered = restored.recovered
        self._size = restored.end
        self._size_min = size_min
        self._rejoin_after_leave = rejoin_after_leave
        self._alive: dict[str, Address] = {each.name: each.address for each in recovered.alive}
        self._ltimes: dict[type[Record], int] = {
            Clock: recovered.clock,
            EventClock: recovered.event_clock,
            QueryClock: recovered.query_clock,
        }
        # What the file took when it was replaced last; 0 if it never was.
        self._compacted_size = 0
        # A start is a new life: what is appended counts, whether or not the last one ended well.
        self._is_leaving = False
        self._unwritable = 0

    @property
    def size(self) -> int:
        """Bytes of the file, with all that was appended."""
        return self._size

    @property
    def size_max(self) -> int:
        """Bytes above which the file is to be replaced by a compacted one.

        Source: serf/snapshot.go snapshotMaxSize. Deviation: never less than twice what it was
        compacted to, or names of hundreds of bytes would have it compacted at every line.
        """
        estimate = len(self._alive) * BYTES_PER_MEMBER
        return max(self._size_min, GROWTH * estimate, GROWTH * self._compacted_size)

    @property
    def is_large(self) -> bool:
        """Whether the file is to be replaced by a compacted one."""
        return self._size > self.size_max

    @property
    def unwritable(self) -> int:
        """Members that can't be lines and were dropped: a line's end in a name, or no IP."""
        return self._unwritable

    def append(self, record: Record) -> bytes:
        """Return what to append to the file for a record; nothing if it says nothing new.

        After a `Leave`, members and the clocks of events and queries are not recorded any more, as
        in Serf, so that a restart does not join again. A member that can't be a line is dropped
        and counted: it came from a peer.

        Raises:
            ValueError: A Lamport time is not one of 64 bits.
        """
        if not self._is_news(record):
            return b""
        try:
            line = encode_record(record)
        except ValueError:
            if not isinstance(record, Alive | NotAlive):
                raise
            self._unwritable += 1
            return b""
        self._add(record)
        self._size += len(line)
        return line

    def resume(self) -> None:
        """Record members again after a `Leave`: we are joining again without a restart."""
        self._is_leaving = False

    def compacted(self) -> bytes:
        """Return a file that says the same and no more. Pure. O(members).

        Deviation: Serf forgets here that we left; a `leave` before the clocks keeps it, and leaves
        the clocks in force.
        """
        records: list[Record] = [Alive(name, address) for name, address in self._alive.items()]
        if self._is_leaving:
            records.append(Leave())
        records += [
            Clock(self._ltimes[Clock]),
            EventClock(self._ltimes[EventClock]),
            QueryClock(self._ltimes[QueryClock]),
        ]
        return b"".join(map(encode_record, records))

    def replaced(self) -> None:
        """Report that `compacted` is the file now; nothing was appended in between."""
        self._size = self._compacted_size = len(self.compacted())

    def _is_news(self, record: Record) -> bool:
        """Return whether a record is to be written and says what the file does not."""
        if self._is_leaving and not isinstance(record, Clock):
            return False
        match record:
            case Alive(name, address):
                return self._alive.get(name) != address
            case NotAlive(name):
                return name in self._alive
            case Clock(ltime) | EventClock(ltime) | QueryClock(ltime):
                return ltime > self._ltimes[type(record)]
            case Leave() | Coordinate():
                return isinstance(record, Leave)
            case _:
                assert_never(record)

    def _add(self, record: Record) -> None:
        """Take a record that was written into account."""
        match record:
            case Alive(name, address):
                self._alive[name] = address
            case NotAlive(name):
                del self._alive[name]
            case Clock(ltime) | EventClock(ltime) | QueryClock(ltime):
                self._ltimes[type(record)] = ltime
            case _:
                self._is_leaving = True
                if not self._rejoin_after_leave:
                    self._alive.clear()
