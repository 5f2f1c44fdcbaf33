"""What every part of one machine shares: clocks, randomness, timers, outputs and counters.

Owns the queue of outputs, and how many broadcasts of each kind still wait underneath. Knows
nothing of what is told.
"""

from __future__ import annotations

from collections import deque
from random import Random

from serfevents.config import Config
from serfevents.errors import QueueFull
from serfevents.lamport import LamportClock
from serfevents.outputs import Broadcast, Kind, Output, PayloadRejected, Remember, SendReply
from serfevents.records import Address, Clock, EventClock, QueryClock, Record, Recovered
from serfevents.stats import Stats
from serfevents.timers import Timer, Timers

Source = str | Address | None

_PLURAL = {Kind.INTENT: "intents", Kind.QUERY: "queries", Kind.EVENT: "user events"}


class Core:
    """The common ground of a machine's parts.

    Attributes:
        name: Our own, in the cluster.
        config: How we behave.
        rng: The only source of chance.
        now: Newest time that any input gave, seconds; only the machine sets it, and never back.
        outputs: Not yet fetched outputs, oldest first.
        timers: The machine's deadlines, of all parts.
        stats: The machine's counters.
        clock: The Lamport clock of membership intents.
        event_clock: That of user events.
        query_clock: That of queries.
        leaving: Whether `leave` was called: an intent of ours to leave is then no accusation.
        member_count: How many members are known, for the depth of queues.
        waiting: The kind of each broadcast that is still to be reported, by number.
    """

    __slots__ = (
        "_depths",
        "_numbers",
        "_remember_timer",
        "_remembered",
        "clock",
        "config",
        "event_clock",
        "leaving",
        "member_count",
        "name",
        "now",
        "outputs",
        "query_clock",
        "rng",
        "stats",
        "timers",
        "waiting",
    )

    def __init__(
        self, name: str, config: Config, rng: Random, now: float, recovered: Recovered
    ) -> None:
        self.name = name
        self.config = config
        self.rng = rng
        self.now = now
        self.outputs: deque[Output] = deque()
        self.timers = Timers()
        self.stats = Stats()
        self.leaving = False
        self.member_count = 1
        self.waiting: dict[int, Kind] = {}
        self._depths = dict.fromkeys(Kind, 0)
        self._numbers = 0
        # The first time that is given out is 1, so that 0 means never.
        self.clock, self.event_clock, self.query_clock = (LamportClock(1) for _ in range(3))
        self.clock.witness(recovered.clock)
        self.event_clock.witness(recovered.event_clock)
        self.query_clock.witness(recovered.query_clock)
        self._remembered = self._times()
        self._remember_timer: Timer | None = None

    # --- outputs -----------------------------------------------------------------------------

    def emit(self, output: Output) -> None:
        """Queue one output."""
        self.outputs.append(output)

    def reject(self, source: Source, reason: str, detail: str = "") -> None:
        """Drop a payload or a part of one: count it and say why."""
        self.stats.reject(reason)
        self.outputs.append(PayloadRejected(source, reason, detail))

    def reply(self, to: Address, name: str, payload: bytes) -> None:
        """Send a payload to one member."""
        self.stats.messages_sent += 1
        self.stats.bytes_sent += len(payload)
        self.outputs.append(SendReply(to, name, payload))

    def next_number(self) -> int:
        """Return a number that was not given out before: of a query, a broadcast, ..."""
        self._numbers += 1
        return self._numbers

    # --- broadcasts --------------------------------------------------------------------------

    def depth(self, kind: Kind) -> int:
        """Return how many broadcasts of a kind wait."""
        return self._depths[kind]

    @property
    def depth_max(self) -> int:
        """How many may wait. Source: serf/serf.go getQueueMax."""
        config = self.config
        if not config.queue_depth_min:
            return config.queue_depth_max
        return max(config.queue_depth_min, 2 * self.member_count)

    def require_room(self, kind: Kind) -> None:
        """Refuse a command whose broadcast would find no room.

        Raises:
            QueueFull: It would not.
        """
        if self._depths[kind] >= (limit := self.depth_max):
            raise QueueFull(_PLURAL[kind], limit)

    def pass_on(self, kind: Kind, payload: bytes, key: str | None = None) -> None:
        """Broadcast what others said, as it came, if there is room."""
        if self._depths[kind] < self.depth_max:
            self.broadcast(kind, payload, key)
        else:
            self.stats.reject("queue-full")

    def broadcast(self, kind: Kind, payload: bytes, key: str | None = None) -> int:
        """Broadcast a payload and return its number."""
        self._numbers += 1
        self.waiting[self._numbers] = kind
        self._depths[kind] += 1
        self.stats.messages_sent += 1
        self.stats.bytes_sent += len(payload)
        self.outputs.append(Broadcast(self._numbers, payload, kind, key))
        return self._numbers

    def broadcast_finished(self, number: int) -> bool:
        """Take a report; return whether that broadcast was waiting."""
        kind = self.waiting.pop(number, None)
        if kind is None:
            return False
        self._depths[kind] -= 1
        return True

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        for kind in Kind:
            waiting = sum(each is kind for each in self.waiting.values())
            assert self._depths[kind] == waiting, (kind, waiting)

    # --- Lamport clocks ----------------------------------------------------------------------

    def witness(self, clock: LamportClock, ltime: int, source: Source) -> bool:
        """Move a clock ahead of a peer's time; return False if it is too far to be believed."""
        if ltime < clock.time:
            return True
        if ltime - clock.time > self.config.ltime_jump_max:
            self.reject(source, "ltime-too-far", f"{ltime} while our clock is at {clock.time}")
            return False
        clock.witness(ltime)
        self.clock_moved()
        return True

    def clock_moved(self) -> None:
        """See to it that the moved clocks are remembered, but not each of their moves."""
        if self._remember_timer is None and self.config.snapshot:
            at = self.now + self.config.remember_interval
            self._remember_timer = self.timers.arm(at, self._remember_clocks)

    def remember(self, record: Record) -> None:
        """Put a record out for the snapshot, if one is kept."""
        if self.config.snapshot:
            self.outputs.append(Remember(record))

    def remember_clocks(self) -> None:
        """Put out the clocks that moved since they were put out last."""
        self.timers.cancel(self._remember_timer)
        self._remember_clocks(None)

    def _remember_clocks(self, _: object) -> None:
        self._remember_timer = None
        times = self._times()
        records: tuple[type[Clock | EventClock | QueryClock], ...] = (Clock, EventClock, QueryClock)
        for record, time, before in zip(records, times, self._remembered, strict=True):
            if time != before:
                # What was seen, not what comes next. Source: serf/snapshot.go updateClock.
                self.remember(record(time - 1))
        self._remembered = times

    def _times(self) -> tuple[int, int, int]:
        return self.clock.time, self.event_clock.time, self.query_clock.time
