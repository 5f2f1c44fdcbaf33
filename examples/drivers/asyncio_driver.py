"""Run a machine on asyncio: UDP, TCP and one timer on one event loop.

The driver owns sockets, the clock and nothing else: every decision is the machine's. One input,
then all outputs (`call`), is its only pattern.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from examples.drivers.shared import CHUNK, LINGER, Machine, bind, local_address
from memberlist import Address, CloseStream, OpenStream, SendDatagram, SendStream

_M = TypeVar("_M", bound=Machine)
_T = TypeVar("_T")


class Driver(asyncio.DatagramProtocol, Generic[_M]):
    """Own the sockets of one machine; use `Driver.start`, then `call`, and `close` at the end.

    Attributes:
        machine: For queries. Inputs go through `call`, which also carries the outputs out.
        address: Where UDP and TCP are bound.
    """

    def __init__(self, machine: _M, address: Address, on_event: Callable[[Any], None]) -> None:
        self.machine = machine
        self.address = address
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._packets: asyncio.DatagramTransport | None = None
        self._congested = False
        self._server: asyncio.Server | None = None
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @classmethod
    async def start(
        cls,
        make: Callable[[Address, float], _M],
        on_event: Callable[[Any], None],
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> Driver[_M]:
        """Bind, build the machine with `make(address, now)`, and run it.

        Raises:
            OSError: The address can't be bound.
        """
        udp, tcp = bind(host, port)
        address = local_address(tcp)
        driver = cls(make(address, asyncio.get_running_loop().time()), address, on_event)
        driver._packets, _ = await driver._loop.create_datagram_endpoint(lambda: driver, sock=udp)
        driver._server = await asyncio.start_server(driver._accept, sock=tcp)
        driver._pump()
        return driver

    def call(self, method: Callable[..., _T], *args: Any, **options: Any) -> _T:
        """Give the machine one input at the present time, then carry out what follows from it."""
        result = method(*args, self._loop.time(), **options)
        self._pump()
        return result

    async def close(self) -> None:
        """Free everything at once. To be missed by nobody, let the machine leave first."""
        self._on_event = lambda _: None
        if self._timer is not None:
            self._timer.cancel()
        assert self._packets is not None
        assert self._server is not None
        self._packets.close()
        self._server.close()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._server.wait_closed()

    # --- datagrams: errors of sending are losses, which the protocol is made for ---------------

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Pass a packet in (asyncio calls this)."""
        self.call(self.machine.receive_datagram, data, addr[:2])  # IPv6 gives 4-tuples

    def pause_writing(self) -> None:
        """Drop packets from now on: the system takes no more (asyncio calls this)."""
        self._congested = True

    def resume_writing(self) -> None:
        """Send again (asyncio calls this)."""
        self._congested = False

    # --- the only way out ---------------------------------------------------------------------

    def _pump(self) -> None:
        """Carry out all outputs and arm the timer; `on_event` may call back in."""
        while (output := self.machine.poll()) is not None:
            match output:
                case SendDatagram(to, data):
                    if self._packets is not None and not self._congested:
                        self._packets.sendto(data, to)
                case OpenStream(stream, to, timeout):
                    self._spawn(stream, self._open(stream, to, timeout))
                case SendStream(stream, data, eof):
                    self._write(stream, data, eof=eof)
                case CloseStream(stream):
                    self._finish(stream)
                case event:
                    self._on_event(event)
        self._arm()

    def _arm(self) -> None:
        """Set the timer, unless it is set right: setting it costs more than most inputs."""
        at = self.machine.next_timeout()
        if at != self._armed_for:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if at is None else self._loop.call_at(at, self._expire, at)
            self._armed_for = at

    def _expire(self, at: float) -> None:
        """Hand the time in; a loop may wake up to one clock tick early, hence `max`."""
        self._timer = self._armed_for = None
        self.machine.handle_timeout(max(at, self._loop.time()))
        self._pump()

    # --- streams: one task each ---------------------------------------------------------------

    def _spawn(self, stream: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks[stream] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:  # reset before it was accepted
            writer.close()
            return
        stream = self.machine.stream_accepted(peer[:2], self._loop.time())
        if stream < 0:  # the machine is over
            writer.close()
            return
        self._writers[stream] = writer  # before pumping: the machine may close it at once
        self._spawn(stream, self._serve(stream, reader, writer))
        self._pump()

    async def _open(self, stream: int, to: Address, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                reader, writer = await asyncio.open_connection(*to)
        except (OSError, UnicodeError):  # UnicodeError: no possible host name
            self.call(self.machine.stream_closed, stream)
            return
        self._writers[stream] = writer
        self.call(self.machine.stream_opened, stream)
        await self._serve(stream, reader, writer)

    async def _serve(
        self, stream: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await self._read(reader, writer):
                self.call(self.machine.stream_received, stream, data)
            self.call(self.machine.stream_closed, stream)
            self._finish(stream)
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            del self._writers[stream]
            writer.transport.abort()

    @staticmethod
    async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the next bytes, or none at EOF or error.

        A peer that doesn't read our answers is not read either, hence `drain`.
        """
        try:
            await writer.drain()
            return await reader.read(CHUNK)
        except OSError:
            return b""

    def _write(self, stream: int, data: bytes, *, eof: bool) -> None:
        writer = self._writers.get(stream)
        if writer is None or writer.is_closing():
            return  # lost meanwhile; `stream_closed` is on its way
        writer.write(data)
        if eof:
            writer.write_eof()

    def _finish(self, stream: int) -> None:
        """Flush and close; give up on a connection that is not open yet."""
        if (writer := self._writers.get(stream)) is not None:
            writer.close()
            self._loop.call_later(LINGER, writer.transport.abort)
        elif (task := self._tasks.get(stream)) is not None:
            task.cancel()
