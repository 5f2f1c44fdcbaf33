"""A machine of the contract without a protocol: it says what a test tells it to say.

It pings its neighbours once a second, writes down every input, and echoes what comes in streams.
"""

from collections import deque
from typing import Any

from memberlist.node import ALIVE, Node
from memberlist.outputs import CloseStream, OpenStream, SendDatagram, SendStream
from memberlist.testing import Birth, Cluster


class Toy:
    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.rng = birth.rng
        self.incarnation = birth.incarnation
        own = Node(birth.name, birth.address, b"", b"", birth.incarnation)
        self.node = next((node for node in birth.known if node.name == birth.name), own)
        self.others = [node for node in birth.known if node.name != birth.name]
        self.heard: list[tuple[Any, ...]] = []
        self.checked = 0
        self.streams = 0
        self.half: set[int] = set()
        self._outputs: deque[Any] = deque()
        self._due: float | None = birth.now + self.rng.random() if self.others else None

    @property
    def members(self) -> tuple[Node, ...]:
        return (self.node, *self.others)

    def poll(self) -> Any:
        return self._outputs.popleft() if self._outputs else None

    def next_timeout(self) -> float | None:
        return self._due

    def check_invariants(self) -> None:
        self.checked += 1

    def handle_timeout(self, now: float) -> None:
        if self._due is not None and self._due <= now:
            to = self.others[int(self.rng.random() * len(self.others))]
            self._outputs.append(SendDatagram(to.address, b"ping"))
            self._due = now + 1.0
            self.heard.append(("timeout", now))

    def receive_datagram(self, data: bytes, source: Any, now: float) -> None:
        self.heard.append((data, source, now))
        if data == b"ping":
            self._outputs.append(SendDatagram(source, b"ack"))

    def stream_accepted(self, source: Any, now: float) -> int:
        self.streams += 1
        number = 2 * self.streams + 1
        self.heard.append(("accepted", number, source[0], now))
        return number

    def stream_opened(self, stream: int, now: float) -> None:
        self.heard.append(("opened", stream, now))

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        self.heard.append(("received", stream, data, now))
        if stream % 2:
            self._outputs.append(SendStream(stream, data.upper()))

    def stream_closed(self, stream: int, now: float) -> None:
        self.heard.append(("closed", stream, now))
        if stream % 2:
            self._outputs.append(CloseStream(stream))

    # --- commands

    def say(self, output: Any, now: float) -> None:
        """Put out anything."""
        self.heard.append(("said", now))
        self._outputs.append(output)

    def connect(self, to: Any, now: float, *, timeout: float = 10.0) -> int:
        self.streams += 1
        self.heard.append(("connect", now))
        self._outputs.append(OpenStream(2 * self.streams, to, timeout))
        return 2 * self.streams

    def become(self, incarnation: int, now: float) -> None:
        self.heard.append(("became", now))
        self.incarnation = incarnation

    def wake_at(self, due: float | None, now: float) -> None:
        self.heard.append(("armed", now))
        self._due = due

    # --- queries

    def kinds(self) -> list[Any]:
        """Return the inputs in order, without their times."""
        return [entry[0] for entry in self.heard]

    def times(self, kind: Any) -> list[float]:
        return [entry[-1] for entry in self.heard if entry[0] == kind]


def toys(count: int, *, seed: int = 1, idle: bool = False, **options: Any) -> Cluster:
    """Return a cluster of toys called n1 to n`count`; idle ones have no timers."""
    cluster = Cluster(Toy, seed=seed, **options)
    cluster.start(count)
    if idle:
        for name in cluster.machines:
            cluster.call(name, "wake_at", None)
    return cluster


def record(name: str, incarnation: int, state: Any = ALIVE) -> Node:
    return Node(name, ("10.0.0.9", 7946), b"", b"", incarnation, state)
