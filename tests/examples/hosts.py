"""A toy machine that obeys the contract, and one way to run any machine on any driver.

Tests of drivers ask what a driver does with effects and sockets, so the toy does what it is told
and reports every input as an event. A host gives the three drivers one blocking face: `call`,
`ask`, `wait` (for a condition, with a deadline: nothing here sleeps and hopes) and `close`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from examples.drivers import asyncio_driver, selectors_driver, threads_driver
from examples.drivers.shared import Machine
from memberlist import Address

#: Seconds after which a condition is given up; generous, because it is only used up by failures.
PATIENCE = 10.0

M = TypeVar("M", bound=Machine)
M_co = TypeVar("M_co", bound=Machine, covariant=True)
T = TypeVar("T")


@frozen
class Told:
    """An input that the toy was given: which one, and with what."""

    what: str
    args: tuple[Any, ...] = ()


class Toy:
    """Do what `tell` says, remember every input, and answer as `react` says."""

    def __init__(self, address: Address, now: float) -> None:
        self.address = address
        self.now = now
        self.deadline: float | None = None
        self.accepted = 0
        self.is_over = False
        self.received: dict[int, int] = {}
        self.outputs: deque[object] = deque()
        self.react: Callable[[Told], list[object]] = lambda _: []

    def poll(self) -> object | None:
        return self.outputs.popleft() if self.outputs else None

    def next_timeout(self) -> float | None:
        return self.deadline

    def handle_timeout(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            due, self.deadline = self.deadline, None
            self._note("timeout", now - due)

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        self._note("datagram", data, source)

    def stream_accepted(self, source: Address, now: float) -> int:
        if self.is_over:
            return -1
        self.accepted += 1
        number = 2 * self.accepted - 1
        self._note("accepted", number, source)
        return number

    def stream_opened(self, stream: int, now: float) -> None:
        self._note("opened", stream)

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        self.received[stream] = self.received.get(stream, 0) + len(data)
        self._note("received", stream, data)

    def stream_closed(self, stream: int, now: float) -> None:
        self._note("closed", stream)

    def tell(self, effects: list[object], now: float) -> None:
        """Put out these effects."""
        self.outputs.extend(effects)

    def wake(self, delay: float, now: float) -> None:
        """Ask for a timeout."""
        self.deadline = now + delay

    def _note(self, what: str, *args: Any) -> None:
        told = Told(what, args)
        self.outputs.append(told)
        self.outputs.extend(self.react(told))


class Host(Protocol[M_co]):
    """A running driver."""

    @property
    def address(self) -> Address: ...
    def call(self, method: Callable[[M_co, float], T]) -> T: ...
    def ask(self, question: Callable[[M_co], T]) -> T: ...
    def close(self) -> None: ...


Make = Callable[[Address, float], M]
OnEvent = Callable[[Any], None]


class AsyncioHost(Generic[M]):
    """The asyncio driver, on a loop in a thread of its own."""

    def __init__(self, make: Make[M], on_event: OnEvent, host: str, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self._driver = self._run(asyncio_driver.Driver.start(make, on_event, host, port))
        except OSError:
            self._stop()
            raise
        self.address = self._driver.address

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def call(self, method: Callable[[M, float], T]) -> T:
        async def work() -> T:
            machine: M = self._driver.machine
            result: T = self._driver.call(lambda now: method(machine, now))
            return result

        result: T = self._run(work())
        return result

    def ask(self, question: Callable[[M], T]) -> T:
        async def work() -> T:
            return question(self._driver.machine)

        result: T = self._run(work())
        return result

    def close(self) -> None:
        self._run(self._driver.close())
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class SelectorsHost(Generic[M]):
    """The selectors driver, stepped by a thread; a lock keeps the test out meanwhile."""

    def __init__(self, make: Make[M], on_event: OnEvent, host: str, port: int) -> None:
        self._driver = selectors_driver.Driver(make, on_event, host, port)
        self.address = self._driver.address
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._step)
        self._thread.start()

    def _step(self) -> None:
        while not self._stopped:
            with self._lock:
                self._driver.step(0.01)
            time.sleep(0)  # a lock is not fair: let the test have its turn

    def call(self, method: Callable[[M, float], T]) -> T:
        with self._lock:
            return self._driver.call(lambda now: method(self._driver.machine, now))

    def ask(self, question: Callable[[M], T]) -> T:
        with self._lock:
            return question(self._driver.machine)

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        self._driver.close()


class ThreadsHost(Generic[M]):
    """The threads driver, which blocks by itself."""

    def __init__(self, make: Make[M], on_event: OnEvent, host: str, port: int) -> None:
        self._driver = threads_driver.Driver(make, on_event, host, port)
        self.address = self._driver.address
        self.ask = self._driver.ask
        self.close = self._driver.close

    def call(self, method: Callable[[M, float], T]) -> T:
        return self._driver.call(lambda now: method(self._driver.machine, now))


HOSTS: dict[str, Callable[[Any, OnEvent, str, int], Host[Any]]] = {
    "asyncio": AsyncioHost,
    "selectors": SelectorsHost,
    "threads": ThreadsHost,
}


class Running(Generic[M]):
    """A host together with the events that came out of it so far."""

    def __init__(self, kind: str, make: Make[M], host: str = "127.0.0.1", port: int = 0) -> None:
        self.events: list[Any] = []
        self._news = threading.Condition()
        self._host: Host[M] = HOSTS[kind](make, self._on_event, host, port)
        self.address = self._host.address
        self.call = self._host.call
        self.ask = self._host.ask
        self._closed = False

    def _on_event(self, event: Any) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait(self, condition: Callable[[list[Any]], T]) -> T:
        """Wait until a condition on the events is truthy, and return it; fail after `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not (held := condition(self.events)):
                left = deadline - time.monotonic()
                assert left > 0, f"not within {PATIENCE} s; events: {self.events[-20:]}"
                self._news.wait(left)
            return held

    def wait_for(self, what: str, *args: Any) -> Told:
        """Wait for an input of this kind whose arguments begin with these."""

        def seen(events: list[Any]) -> Told | None:
            fitting = (e for e in events if e.what == what and e.args[: len(args)] == args)
            return next(fitting, None)

        told = self.wait(seen)
        assert told is not None
        return told

    def close(self) -> None:
        """Close the driver; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._host.close()
