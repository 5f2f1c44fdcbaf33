"""Serve Serf's RPC on asyncio: one task for each client, one session for each task.

Owns sockets and back-pressure. What a request means is its caller's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from examples.serf.journal import Journal
from examples.serf.session import Asked, Session
from memberlist import Address

#: Clients at once; more are hung up on.
CLIENTS_MAX = 256

#: Seconds that a client may take to say who it is; else strangers could hold all the places.
HANDSHAKE_MAX = 10.0

#: Bytes that may wait for a client that does not read; from then on records are dropped.
WAITING_MAX = 4 << 20

#: Bytes read at once.
CHUNK = 1 << 16


class Client:
    """One client: its session and the way back to it.

    Attributes:
        session: What it has asked for.
        name: Where it is, for the journal.
        monitor: The listener of its monitor in our journal, if it has one.
    """

    def __init__(self, session: Session, writer: asyncio.StreamWriter, name: str) -> None:
        self.session = session
        self.name = name
        self.monitor: int | None = None
        self._writer = writer

    @property
    def is_gone(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self._writer.is_closing()

    def answer(self, asked: Asked, error: str = "", body: dict[str, Any] | None = None) -> None:
        """Answer a request."""
        self.session.answer(asked.number, error, body)
        self.flush()

    def record(self, number: int, body: dict[str, Any]) -> bool:
        """Send a record of a stream, monitor or query; return False if it had to be dropped."""
        if self._writer.transport.get_write_buffer_size() > WAITING_MAX:
            return False
        self.session.answer(number, body=body)
        self.flush()
        return True

    def flush(self) -> None:
        """Send what the session has to say."""
        data = self.session.take()
        if data and not self._writer.is_closing():
            self._writer.write(data)


Execute = Callable[[Client, Asked], Awaitable[None]]


class RpcServer:
    """Listen, and run a session for each client.

    Args:
        key: What clients must show; empty if nothing.
        execute: Carries out a request and answers it.
        journal: For who comes and why they are hung up on.
    """

    def __init__(self, key: str, execute: Execute, journal: Journal) -> None:
        self.clients: dict[Client, None] = {}
        self._key = key
        self._execute = execute
        self._journal = journal
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, address: Address) -> Address:
        """Listen, and return where.

        Raises:
            OSError: The address can't be bound.
        """
        self._server = await asyncio.start_server(self._accept, *address)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Hang up on everybody, once they were sent what there was to say."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None or len(self.clients) >= CLIENTS_MAX:
            self._journal.warn(
                "agent.ipc", "Too many clients" if peer else "Client was gone at once"
            )
            writer.close()
            return
        client = Client(Session(self._key), writer, f"{peer[0]}:{peer[1]}")
        self.clients[client] = None
        self._journal.info("agent.ipc", f"Accepted client: {client.name}")
        task = asyncio.get_running_loop().create_task(self._run(client, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Forget a client's task; a fault of ours in it must not go unnoticed."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def _run(
        self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with suppress(OSError):
                await self._serve(client, reader, writer)
        finally:
            del self.clients[client]
            if client.monitor is not None:
                self._journal.forget(client.monitor)
            writer.close()
        if client.session.over:
            self._journal.error("agent.ipc", f"Failed to evaluate request: {client.session.over}")
        with suppress(OSError):
            await writer.wait_closed()

    async def _serve(
        self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read and execute, one request after the other; nothing is read meanwhile."""
        session, begun = client.session, asyncio.get_running_loop().time()
        while not session.over and (data := await self._read(session, reader, begun)):
            session.receive(data)
            while (asked := session.next_request()) is not None:
                client.flush()
                await self._execute(client, asked)
                await writer.drain()
            client.flush()
            await writer.drain()

    @staticmethod
    async def _read(session: Session, reader: asyncio.StreamReader, begun: float) -> bytes:
        """Return the next bytes; none at the end, or from a stranger that takes too long."""
        try:
            async with asyncio.timeout_at(None if session.is_trusted else begun + HANDSHAKE_MAX):
                return await reader.read(CHUNK)
        except TimeoutError:
            session.over = f"no handshake within {HANDSHAKE_MAX:g} s"
            return b""
