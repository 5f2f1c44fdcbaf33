"""Run a machine on `selectors`: one thread, no framework, non-blocking sockets.

The shape to copy into a program that has a loop of its own: call `step` when it suits you. Names
of seeds are resolved with a blocking call; give addresses where that matters.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from examples.drivers.shared import CHUNK, LINGER, Machine, bind, local_address
from memberlist import Address, CloseStream, OpenStream, SendDatagram, SendStream

#: Packets taken before others get their turn.
BURST = 64

_M = TypeVar("_M", bound=Machine)
_T = TypeVar("_T")


class Stream:
    """One connection and what waits to be written to it."""

    def __init__(self, number: int, connection: socket.socket, *, opening: bool) -> None:
        self.number = number
        self.connection = connection
        self.opening = opening
        self.unsent = bytearray()
        self.eof = False  # half-close when `unsent` is empty
        self.deadline: float | None = None  # set once it is to be closed
        self.ended = False  # whether the machine was told of the end

    def interest(self) -> int:
        """Return what to wait for; a peer that doesn't read our answers is not read either."""
        if self.opening or self.unsent:
            return selectors.EVENT_WRITE
        return selectors.EVENT_READ


class Driver(Generic[_M]):
    """Own the sockets of one machine; use `step` or `run`, `call`, and `close` at the end.

    Attributes:
        machine: For queries. Inputs go through `call`, which also carries the outputs out.
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
        self.address = local_address(self._tcp)
        self.machine = make(self.address, time.monotonic())
        self._on_event = on_event
        self._streams: dict[int, Stream] = {}
        self._selector = selectors.DefaultSelector()
        for listener in (self._udp, self._tcp):
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
        self._pump()

    def call(self, method: Callable[..., _T], *args: Any, **options: Any) -> _T:
        """Give the machine one input at the present time, then carry out what follows from it."""
        result = method(*args, time.monotonic(), **options)
        self._pump()
        return result

    def run(self, until: Callable[[], bool], timeout: float) -> bool:
        """Step until a condition holds or time is up; return whether it holds."""
        deadline = time.monotonic() + timeout
        while not (held := until()) and (left := deadline - time.monotonic()) > 0:
            self.step(left)
        return held

    def step(self, timeout: float) -> None:
        """Wait for sockets or timers, at most `timeout` seconds, and handle what came."""
        at = self.machine.next_timeout()
        lingering = [s.deadline for s in self._streams.values() if s.deadline is not None]
        now = time.monotonic()
        wake = min(now + timeout, *lingering, *([] if at is None else [at]), now + 3600.0)
        for key, _ in self._selector.select(max(0.0, wake - now)):
            if key.fileobj is self._udp:
                self._receive()
            elif key.fileobj is self._tcp:
                self._accept()
            elif key.data.number in self._streams:  # else an earlier socket's input closed it
                self._ready(key.data)
        now = time.monotonic()
        for stream in [s for s in self._streams.values() if (s.deadline or now) < now]:
            self._drop(stream)
        if at is not None and now >= at:
            self.call(self.machine.handle_timeout)

    def close(self) -> None:
        """Free everything at once. To be missed by nobody, let the machine leave first."""
        for stream in list(self._streams.values()):
            stream.ended = True
            self._drop(stream)
        self._selector.close()
        self._udp.close()
        self._tcp.close()

    # --- the only way out ---------------------------------------------------------------------

    def _pump(self) -> None:
        """Carry out all outputs; `on_event` may call back in."""
        while (output := self.machine.poll()) is not None:
            match output:
                case SendDatagram(to, data):
                    with suppress(OSError):  # a loss, which the protocol is made for
                        self._udp.sendto(data, to)
                case OpenStream(stream, to):
                    self._open(stream, to)
                case SendStream(stream, data, eof):
                    self._write(stream, data, eof=eof)
                case CloseStream(stream):
                    self._finish(stream)
                case event:
                    self._on_event(event)

    # --- sockets ------------------------------------------------------------------------------

    def _receive(self) -> None:
        for _ in range(BURST):
            try:
                data, source = self._udp.recvfrom(CHUNK)
            except OSError:  # nothing more, or the echo of a packet that could not be delivered
                return
            self.call(self.machine.receive_datagram, data, source[:2])

    def _accept(self) -> None:
        try:
            connection, source = self._tcp.accept()
        except OSError:  # reset before it was accepted
            return
        number = self.machine.stream_accepted(source[:2], time.monotonic())
        if number < 0:  # the machine is over
            connection.close()
            return
        self._add(Stream(number, connection, opening=False))
        self._pump()

    def _open(self, number: int, to: Address) -> None:
        try:
            family, kind, _, _, target = socket.getaddrinfo(*to, type=socket.SOCK_STREAM)[0]
            stream = Stream(number, socket.socket(family, kind), opening=True)
        except (OSError, UnicodeError):  # UnicodeError: no possible host name
            self.machine.stream_closed(number, time.monotonic())
            return
        self._add(stream)
        stream.connection.connect_ex(target)  # an error shows as soon as we wait for it

    def _add(self, stream: Stream) -> None:
        stream.connection.setblocking(False)
        self._streams[stream.number] = stream
        self._selector.register(stream.connection, stream.interest(), stream)

    def _ready(self, stream: Stream) -> None:
        opening = stream.opening
        try:
            data = self._transfer(stream)
        except BlockingIOError:
            return
        except OSError:
            self._drop(stream)
            return
        if opening:
            self.call(self.machine.stream_opened, stream.number)
        elif data:
            self.call(self.machine.stream_received, stream.number, data)
        elif data is not None:  # EOF
            self._end(stream)
            self._finish(stream.number)
        self._settle(stream)

    @staticmethod
    def _transfer(stream: Stream) -> bytes | None:
        """Conclude the connecting, write or read; return what was read, empty at EOF."""
        if stream.opening:
            if error := stream.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "connection failed")
            stream.opening = False
            return None
        if stream.unsent:
            del stream.unsent[: stream.connection.send(stream.unsent)]
            return None
        return stream.connection.recv(CHUNK)

    def _write(self, number: int, data: bytes, *, eof: bool) -> None:
        if (stream := self._streams.get(number)) is not None:
            stream.unsent += data
            stream.eof = eof
            self._settle(stream)

    def _finish(self, number: int) -> None:
        """Close after flushing; give up on a connection that is not open yet."""
        if (stream := self._streams.get(number)) is not None and stream.deadline is None:
            stream.deadline = time.monotonic() + LINGER
            self._settle(stream)

    def _settle(self, stream: Stream) -> None:
        """Do what was due when everything is written, and wait for the right thing."""
        if stream.number not in self._streams:
            return
        if stream.deadline is not None and not stream.unsent:
            self._drop(stream)
            return
        if stream.eof and not stream.unsent:
            stream.eof = False
            with suppress(OSError):
                stream.connection.shutdown(socket.SHUT_WR)
        self._selector.modify(stream.connection, stream.interest(), stream)

    def _drop(self, stream: Stream) -> None:
        if self._streams.pop(stream.number, None) is not None:
            self._selector.unregister(stream.connection)
            stream.connection.close()
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        """Tell the machine of a stream's end, once."""
        if not stream.ended:
            stream.ended = True
            self.call(self.machine.stream_closed, stream.number)
