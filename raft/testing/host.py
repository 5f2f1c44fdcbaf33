"""One life of one server: the machine on its own clock, and the application above it.

Owns what a driver owns between the network and the machine. Knows nothing of the cluster.
"""

from __future__ import annotations

from random import Random
from typing import Any, Protocol
from zlib import crc32

from attrs import frozen

from raft.config import Config
from raft.stored import Stored


@frozen(kw_only=True)
class Birth:
    """What a factory is given to make one server's machine.

    Attributes:
        name: The server's id.
        config: How it behaves.
        rng: Its own source of chance.
        now: The present on its own clock.
        stored: What its disk has.
    """

    name: str
    config: Config
    rng: Random
    now: float
    stored: Stored


class Application(Protocol):
    """What committed entries are applied to; deterministic."""

    def apply(self, index: int, payload: bytes) -> object:
        """Apply one command."""

    def snapshot(self) -> bytes:
        """Return the whole state."""

    def restore(self, data: bytes) -> None:
        """Replace the state by one that `snapshot` returned."""


class Journal:
    """The application of a cluster that was given none: it remembers what it applied.

    Attributes:
        count: How many commands it has seen.
        digest: A checksum of all of them, in order.
        recent: Those since the last restore.
    """

    __slots__ = ("count", "digest", "recent")

    def __init__(self) -> None:
        self.count = self.digest = 0
        self.recent: list[bytes] = []

    def apply(self, _: int, payload: bytes) -> None:
        """Remember a command."""
        self.count += 1
        self.digest = crc32(payload, self.digest)
        self.recent.append(payload)

    def snapshot(self) -> bytes:
        """Return the state: twelve bytes, and as many more as there were commands, up to 500."""
        head = self.count.to_bytes(8, "big") + self.digest.to_bytes(4, "big")
        return head + bytes(min(self.count, 500))

    def restore(self, data: bytes) -> None:
        """Take over a state."""
        self.count = int.from_bytes(data[:8], "big")
        self.digest = int.from_bytes(data[8:12], "big")
        self.recent = []


class Clock:
    """A server's monotonic clock: it may run fast or slow, but never back.

    Attributes:
        rate: Its seconds in each of the simulation's.
    """

    __slots__ = ("_local", "_shared", "rate")

    def __init__(self, origin: float = 0.0) -> None:
        self.rate = 1.0
        self._shared = 0.0
        self._local = origin

    def local(self, shared: float) -> float:
        """Return what it shows at a time of the simulation."""
        return self._local + (shared - self._shared) * self.rate

    def shared(self, local: float) -> float:
        """Return when it shows `local`."""
        return self._shared + (local - self._local) / self.rate

    def set_rate(self, rate: float, now: float) -> None:
        """Run at another rate from `now` on."""
        self._local, self._shared, self.rate = self.local(now), now, rate


class Host:
    """The process of one server, from one start to its end. The kernel takes it for the machine.

    Attributes:
        name: The server's id.
        life: Number of the start, over all servers.
        machine: What the factory made.
        application: What its entries are applied to.
        applied: Up to where they are.
        clock: Its clock, which outlives it.
        is_over: Whether it crashed: nothing comes out of it any more.
        is_busy: Whether its outputs are fetched later.
        is_writing: Whether its disk syncs.
        is_late: Whether its machine did what was due and is still due.
        fuse: After so many more outputs it crashes; 0 is never.
    """

    __slots__ = (
        "application",
        "applied",
        "clock",
        "fuse",
        "is_busy",
        "is_late",
        "is_over",
        "is_writing",
        "life",
        "machine",
        "name",
    )

    def __init__(
        self, name: str, life: int, machine: Any, application: Application, clock: Clock
    ) -> None:
        self.name = name
        self.life = life
        self.machine = machine
        self.application = application
        self.applied = 0
        self.clock = clock
        self.is_over = self.is_busy = self.is_writing = self.is_late = False
        self.fuse = 0

    def poll(self) -> Any:
        """Return the machine's next output, unless its process is over."""
        return None if self.is_over else self.machine.poll()

    def next_timeout(self) -> float | None:
        """Return when the machine is due, in the simulation's time."""
        due: float | None = self.machine.next_timeout()
        return None if due is None else self.clock.shared(due)

    def handle_timeout(self, now: float) -> None:
        """Let the machine do what is due."""
        local = self.clock.local(now)
        due = self.machine.next_timeout()
        if due is not None and due > local and self.clock.shared(due) <= now:
            local = due  # The conversion there and back lost a bit.
        self.machine.handle_timeout(local)
        due = self.machine.next_timeout()
        self.is_late = due is not None and due <= local

    def receive(self, message: Any, now: float) -> None:
        """Hand over a message."""
        self.machine.receive(message, self.clock.local(now))

    def persisted(self, seq: int, now: float) -> None:
        """Report what is durable."""
        self.machine.persisted(seq, self.clock.local(now))

    def command(self, method: str, args: tuple[Any, ...], now: float, **options: Any) -> Any:
        """Give the machine one of its other inputs."""
        return getattr(self.machine, method)(*args, self.clock.local(now), **options)
