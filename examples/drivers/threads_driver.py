"""Run a machine on threads: one owns it, others only wait for sockets and feed its inbox.

No lock is needed, because only the owner touches the machine. The inbox is
bounded: when the owner can't keep up, the readers stop reading.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from examples.drivers.shared import CHUNK, LINGER, Machine, bind, local_address
from memberlist import Address, CloseStream, OpenStream, SendDatagram, SendStream

#: Inputs that wait for the owner at most.
INBOX = 256

#: Seconds after which a thread that waits for a socket looks whether it should stop.
TICK = 0.1

_M = TypeVar("_M", bound=Machine)
_T = TypeVar("_T")


class Stream:
    """One connection: one thread reads it, another writes what the owner puts into `unsent`."""

    def __init__(self) -> None:
        self.connection: socket.socket | None = None  # None while it opens
        self.unsent: queue.Queue[tuple[bytes, bool] | None] = queue.Queue()  # None is the end
        self.finished = False

    def write(self, data: bytes, *, eof: bool) -> None:
        """Queue bytes (the owner's work)."""
        if not self.finished:
            self.unsent.put((data, eof))

    def finish(self) -> None:
        """Have the connection closed after what was written (the owner's work)."""
        if not self.finished:
            self.finished = True
            self.unsent.put(None)

    def write_all(self, connection: socket.socket) -> None:
        """Write until told to end; after an error the rest fails at once and is gone."""
        while (item := self.unsent.get()) is not None:
            with suppress(OSError):
                connection.sendall(item[0])
                if item[1]:
                    connection.shutdown(socket.SHUT_WR)
            self.unsent.task_done()
        self.unsent.task_done()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes the reader

    def read(self, connection: socket.socket) -> bytes:
        """Return the next bytes, or none at EOF or error.

        A peer that doesn't read our answers is not read either, hence `join`.
        """
        self.unsent.join()
        while True:
            try:
                return connection.recv(CHUNK)
            except TimeoutError:
                continue
            except OSError:
                return b""


class Driver(Generic[_M]):
    """Own the sockets and threads of one machine; use `call` and `ask`, and `close` at the end.

    Attributes:
        machine: The owner's; name its methods in `call`, and put queries through `ask`.
        address: Where UDP and TCP are bound.

    Raises:
        OSError: The address can't be bound.
    """

    def __init__(
        self,
        make: Callable[[Address, float], _M],
        on_event: Callable[[Any], None],
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._udp, self._tcp = bind(host, port)
        self._udp.settimeout(TICK)
        self._tcp.settimeout(TICK)
        self.address = local_address(self._tcp)
        self.machine = make(self.address, time.monotonic())
        self._on_event = on_event  # called by the owning thread
        self._inbox: queue.Queue[Callable[[], object]] = queue.Queue(INBOX)
        self._streams: dict[int, Stream] = {}
        self._stopped = threading.Event()
        self._owner = threading.Thread(target=self._own, daemon=True)
        self._threads = {self._owner}
        self._owner.start()
        self._begin(self._receive)
        self._begin(self._accept)

    def ask(self, question: Callable[[_M], _T]) -> _T:
        """Have the owner run `question(machine)`, and return or raise what comes of it."""
        if threading.current_thread() is self._owner:  # from `on_event`
            return question(self.machine)
        answer: Future[_T] = Future()

        def work() -> None:
            try:
                answer.set_result(question(self.machine))
            except Exception as error:  # noqa: BLE001 - it belongs to the caller, who waits
                answer.set_exception(error)

        self._put(work)
        while not wait([answer], TICK).done:
            if not self._owner.is_alive() and not answer.done():
                raise RuntimeError("the driver is closed")
        return answer.result()

    def call(self, method: Callable[..., _T], *args: Any, **options: Any) -> _T:
        """Have the owner give the machine one input at the present time; wait for its result."""
        return self.ask(lambda _: method(*args, time.monotonic(), **options))

    def close(self) -> None:
        """Free everything at once. To be missed by nobody, let the machine leave first."""
        self._stopped.set()
        self._owner.join()
        for stream in list(self._streams.values()):
            stream.finish()
            if stream.connection is not None:
                with suppress(OSError):
                    stream.connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        self._udp.close()
        self._tcp.close()

    # --- the owner ----------------------------------------------------------------------------

    def _own(self) -> None:
        """Run inputs and timers; nobody else touches the machine or `_streams`."""
        while not self._stopped.is_set():
            self._pump()
            at = self.machine.next_timeout()
            pause = TICK if at is None else min(TICK, at - time.monotonic())
            with suppress(queue.Empty):
                self._inbox.get(timeout=max(0.0, pause))()
            if at is not None and (now := time.monotonic()) >= at:
                self.machine.handle_timeout(now)

    def _pump(self) -> None:
        """Carry out all outputs; `on_event` may call back in."""
        while (output := self.machine.poll()) is not None:
            match output:
                case SendDatagram(to, data):
                    with suppress(OSError):  # a loss, which the protocol is made for
                        self._udp.sendto(data, to)
                case OpenStream(stream, to, timeout):
                    self._streams[stream] = Stream()
                    self._begin(self._open, stream, self._streams[stream], to, timeout)
                case SendStream(stream, data, eof) if stream in self._streams:
                    self._streams[stream].write(data, eof=eof)
                case CloseStream(stream) if stream in self._streams:
                    self._streams[stream].finish()
                case SendStream() | CloseStream():
                    pass  # lost meanwhile, and reported
                case event:
                    self._on_event(event)

    def _put(self, work: Callable[[], object]) -> bool:
        """Queue an input for the owner when there is room; return False if it is too late."""
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._inbox.put(work, timeout=TICK)
                return True
        return False

    # --- the others ---------------------------------------------------------------------------

    def _begin(self, target: Callable[..., None], *args: Any) -> None:
        def run() -> None:
            target(*args)
            self._threads.discard(thread)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _input(self, method: Callable[..., None], *args: Any) -> None:
        self._put(lambda: method(*args, time.monotonic()))

    def _receive(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):  # a tick, or the echo of a packet that was not delivered
                data, source = self._udp.recvfrom(CHUNK)
                self._input(self.machine.receive_datagram, data, source[:2])

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):
                connection, source = self._tcp.accept()
                if not self._put(partial(self._accepted, connection, source[:2])):
                    connection.close()

    def _accepted(self, connection: socket.socket, source: Address) -> None:
        number = self.machine.stream_accepted(source, time.monotonic())
        if number < 0:  # the machine is over
            connection.close()
            return
        self._streams[number] = Stream()
        self._begin(self._serve, number, self._streams[number], connection)

    def _open(self, number: int, stream: Stream, to: Address, timeout: float) -> None:
        try:
            connection = socket.create_connection(to, timeout)
        except (OSError, UnicodeError):  # UnicodeError: no possible host name
            self._put(partial(self._ended, number))
            return
        self._input(self.machine.stream_opened, number)
        self._serve(number, stream, connection)

    def _serve(self, number: int, stream: Stream, connection: socket.socket) -> None:
        connection.settimeout(LINGER)
        stream.connection = connection
        writer = threading.Thread(target=stream.write_all, args=(connection,), daemon=True)
        writer.start()
        while data := stream.read(connection):
            self._input(self.machine.stream_received, number, data)
        self._put(partial(self._ended, number))
        writer.join()
        connection.close()

    def _ended(self, number: int) -> None:
        """Report the end of a stream, and let what was written to it flush."""
        self.machine.stream_closed(number, time.monotonic())
        self._streams.pop(number).finish()
