"""Run one replicated store on asyncio: TCP to peers and clients, a log on disk, one timer.

The driver owns sockets, files and the clock; every decision is the machine's. All inputs may come
in any number before the outputs are fetched, and all outputs may be acted on in any order: what
must wait for the disk, the machine keeps to itself. So one task does all of it (`_drive`), one
writes the log (`_write`), and one for each connection reads.

Group commit is in `_write`: while one sync runs, `Persist`s gather, and share the next.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

import msgpack

from examples.replicated.disk import LogDirectory
from examples.replicated.machine import Answered, ReplicatedStore
from examples.replicated.narration import narrate
from examples.replicated.wire import (
    EXECUTE,
    QUERY,
    Answer,
    Done,
    FrameParser,
    Retry,
    WireError,
    decode_hello,
    decode_request,
    encode_hello,
    encode_reply,
    frame,
)
from raft import Config, Message, Persist, SendMessage
from raft.codec import DecodeError, decode, encode

Address: TypeAlias = tuple[str, int]

#: Fast enough that a demonstration shows an election, slow enough for a busy machine. What is
#: sent at once fits into a frame: entries together, one entry alone, and a snapshot's chunk.
CONFIG: Final = Config(
    election_timeout=0.5,
    heartbeat_interval=0.05,
    append_size_max=1 << 20,
    payload_size_max=2 << 20,
    snapshot_chunk_size=1 << 18,
)

#: Seconds between two attempts to reach a peer.
RECONNECT: Final = 0.1

#: Bytes that wait for a peer's socket; messages beyond are dropped, which Raft is made for.
BACKLOG_MAX: Final = 32 << 20

#: Requests that one client may have under way.
REQUESTS_MAX: Final = 4096

#: Seconds that a connection may take to be made, and then to say whose it is.
GREETING: Final = 5.0

_READ_BYTES: Final = 1 << 16


class Link:
    """Our connection to a peer; what can't be sent is lost."""

    def __init__(self, name: str, peer: str, address: Address) -> None:
        self.peer = peer
        self._address = address
        self._hello = frame(encode_hello("peer", name))
        self._writer: asyncio.StreamWriter | None = None
        self.dropped = 0

    def send(self, messages: list[Message]) -> None:
        """Send messages, one frame each, by one write."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > BACKLOG_MAX:
            self.dropped += len(messages)
            return
        writer.write(b"".join([frame(encode(message)) for message in messages]))

    async def run(self, on_lost: Callable[[str], None]) -> None:
        """Connect, again and again; `on_lost` hears of the peer whenever that is over."""
        while True:
            with suppress(OSError):
                async with asyncio.timeout(GREETING):
                    reader, writer = await asyncio.open_connection(*self._address)
                try:
                    writer.write(self._hello)
                    self._writer = writer
                    await reader.read(1)  # a peer says nothing here: this returns at its end
                finally:
                    self._writer = None
                    writer.transport.abort()
                on_lost(self.peer)
            await asyncio.sleep(RECONNECT)


class Server:
    """One process of the replicated store.

    Args:
        machine: What decides.
        disk: Where it is written.
        peers: The addresses of the other servers, by id.
        say: Hears of what happens, one line at a time.
    """

    def __init__(
        self,
        machine: ReplicatedStore,
        disk: LogDirectory,
        peers: Mapping[str, Address],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._machine = machine
        self._disk = disk
        self._say = say
        self._links = {peer: Link(machine.raft.id, peer, peers[peer]) for peer in sorted(peers)}
        # Set when the machine had an input, and when there is something to write.
        self._stirred = asyncio.Event()
        self._to_write: list[Persist] = []
        self._writable = asyncio.Event()
        # Who waits for the answer to a request, and what the client calls it.
        self._waiting: dict[int, tuple[_Client, int]] = {}
        self._now = asyncio.get_running_loop().time

    async def run(self, listener: socket.socket) -> None:
        """Serve until cancelled, or until the disk fails."""
        async with asyncio.TaskGroup() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._serve(reader, writer))

            await asyncio.start_server(accept, sock=listener)
            for link in self._links.values():
                group.create_task(link.run(self._lost))
            group.create_task(self._write())
            group.create_task(self._drive())

    # --- the machine

    async def _drive(self) -> None:
        """Wait for inputs or the timer, then act on all outputs."""
        machine, stirred = self._machine, self._stirred
        self._act()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(machine.next_timeout()):
                    await stirred.wait()
            stirred.clear()
            machine.handle_timeout(self._now())  # if it is early, this does nothing
            self._act()

    def _act(self) -> None:
        """Act on all outputs; what goes to one peer is one write."""
        outgoing: dict[str, list[Message]] = {}
        while (output := self._machine.poll()) is not None:
            match output:
                case SendMessage():
                    outgoing.setdefault(output.to, []).append(output.message)
                case Persist():
                    self._to_write.append(output)
                case Answered(request, answer):
                    self._answer(request, answer)
                case _:
                    self._say_of(output)
        if self._to_write:
            self._writable.set()
        for to, messages in outgoing.items():
            if to in self._links:
                self._links[to].send(messages)

    def _say_of(self, event: object) -> None:
        """Tell of an event, unless it is of every day."""
        text = narrate(event)
        if text:
            self._say(text)

    async def _write(self) -> None:
        """Write what is to be written, all that gathered with one sync."""
        while True:
            await self._writable.wait()
            self._writable.clear()
            persists, self._to_write = self._to_write, []
            seq = await asyncio.to_thread(self._disk.write, persists)
            self._machine.persisted(seq, self._now())
            self._stirred.set()

    def _lost(self, peer: str) -> None:
        self._machine.unreachable(peer, self._now())
        self._stirred.set()

    # --- connections from others

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection to its end; one that makes no sense ends at once."""
        client: _Client | None = None
        peer = ""
        parser = FrameParser()
        try:
            async with asyncio.timeout(GREETING) as greeting:
                while data := await reader.read(_READ_BYTES):
                    for body in parser.feed(data):
                        if client is not None:
                            self._request(client, body)
                        elif peer:
                            self._receive(peer, body)
                        else:
                            role, name = decode_hello(body)
                            greeting.reschedule(None)
                            if role == "client":
                                client = _Client(writer)
                            else:
                                peer = name
                    self._stirred.set()
                    await writer.drain()
        except (OSError, TimeoutError, WireError, DecodeError) as error:
            if not isinstance(error, OSError):
                self._say(f"closed a connection: {error or 'no greeting'}")
        finally:
            writer.transport.abort()

    def _receive(self, peer: str, body: bytes) -> None:
        """Take a message of a peer, which speaks for itself only."""
        message = decode(body)
        if message.source != peer:
            raise WireError(f"{peer} speaks for {message.source}")
        self._machine.receive(message, self._now())

    def _request(self, client: _Client, body: bytes) -> None:
        """Take a request of a client."""
        number, kind, data = decode_request(body)
        if client.waiting >= REQUESTS_MAX:
            client.reply(number, Retry("too many requests of this client are under way"))
            return
        if kind == EXECUTE:
            request = self._machine.execute(data, self._now())
        elif kind == QUERY:
            request = self._machine.query(data, self._now())
        else:
            client.reply(number, Done(self._status()))
            return
        client.waiting += 1
        self._waiting[request] = (client, number)

    def _answer(self, request: int, answer: Answer) -> None:
        client, number = self._waiting.pop(request)
        client.waiting -= 1
        client.reply(number, answer)

    def _status(self) -> bytes:
        raft = self._machine.raft
        pairs = {
            "id": raft.id,
            "role": raft.role.value,
            "leader": raft.leader,
            "term": raft.term,
            "commit": raft.commit_index,
            "applied": raft.applied_index,
            "first": raft.first_index,
            "syncs": self._disk.syncs,
            "digest": self._machine.replica.digest,
        }
        return bytes(msgpack.packb(pairs))


class _Client:
    """A connection of a client, and how many of its requests wait."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.waiting = 0

    def reply(self, number: int, answer: Answer) -> None:
        """Answer a request, unless the client is gone."""
        if not self._writer.is_closing():
            self._writer.write(frame(encode_reply(number, answer)))
