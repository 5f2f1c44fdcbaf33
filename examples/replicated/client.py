"""A client of the replicated store: it finds the leader, and repeats what was not answered.

Owns the session and the search for who answers. A command is executed once however often it is
sent, because its session numbers it; a read changes nothing and can be asked of any server.

Source: Raft dissertation 6.2 (finding the leader) and 6.3 (sessions).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any, Final, cast

import msgpack

from examples.replicated.server import Address
from examples.replicated.wire import (
    EXECUTE,
    QUERY,
    STATUS,
    Answer,
    Done,
    FrameParser,
    Gone,
    Opened,
    Oversized,
    Refused,
    Retry,
    WireError,
    decode_reply,
    encode_hello,
    encode_request,
    frame,
)
from kvstore.codec.codec import decode_result, encode_command
from kvstore.commands import Command, Operation
from kvstore.results import Result
from raft.sessions import Close, Register, Session
from raft.sessions import encode_request as encode_session_request

#: Seconds that one server is given for one attempt.
ATTEMPT: Final = 1.0

#: Least and greatest seconds between two attempts.
PAUSE: Final = (0.01, 0.1)


class OutcomeUnknown(Exception):
    """No answer came in time, or the session is over: it may have been executed, or not, or be
    executed later.
    """  # noqa: D205


class RequestRefused(Exception):
    """The servers will not do this, with the reason as its text."""


class Client:
    """One client, which does one thing at a time.

    Args:
        name: For the servers' logs.
        servers: Their addresses by id.
        rng: Decides who is asked first, and how long pauses are.
        patience: Seconds after which a command or read is given up.

    Attributes:
        repeated: How often something was asked again.
    """

    def __init__(
        self, name: str, servers: Mapping[str, Address], *, rng: Random, patience: float = 15.0
    ) -> None:
        self._name = name
        self._servers = dict(servers)
        self._rng = rng
        self._patience = patience
        self._session: Session | None = None
        # Who is asked to execute: the leader, as far as it is known.
        self._leader = rng.choice(sorted(self._servers))
        self._connections: dict[str, _Connection] = {}
        self.repeated = 0

    async def execute(self, command: Command) -> Result:
        """Have a command executed exactly once, and return its result, refusals included.

        Raises:
            OutcomeUnknown: It can't be told whether it was.
            RequestRefused: It was not, and will not be.
        """
        until = asyncio.get_running_loop().time() + self._patience
        if self._session is None:
            self._session = await self._open(until)
        session = self._session
        serial, request = session.command(encode_command(command))
        try:
            answer = await self._ask(EXECUTE, request, self._leader, until)
        except OutcomeUnknown:
            self._session = None  # what is open in it stays open
            raise
        if isinstance(answer, Gone):
            self._session = None
            raise OutcomeUnknown("the session is over")
        session.answered(serial)
        return _result(answer)

    async def query(self, command: Operation, *, at: str | None = None) -> Result:
        """Read linearizably; `at` names the server to ask first, which need not be the leader.

        Raises:
            OutcomeUnknown: No answer came in time.
            RequestRefused: It is too much for one answer.
        """
        until = asyncio.get_running_loop().time() + self._patience
        first = self._leader if at is None else at
        return _result(await self._ask(QUERY, encode_command(command), first, until))

    async def status(self, server: str) -> dict[str, Any] | None:
        """Return what a server says of itself, or None if it can't be reached."""
        try:
            answer = await self._attempt(STATUS, b"", server)
        except (OSError, WireError):
            return None
        assert isinstance(answer, Done)
        status: dict[str, Any] = msgpack.unpackb(answer.result)
        return status

    async def close(self) -> None:
        """Tell the servers, if one answers at once, that the session is over; disconnect."""
        if self._session is not None and not self._session.outstanding:
            request = encode_session_request(Close(self._session.id))
            with suppress(OSError, WireError):  # it expires
                await self._attempt(EXECUTE, request, self._leader)
        self._session = None
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # --- internals

    async def _open(self, until: float) -> Session:
        """Open a session; one that is opened twice by a repetition expires."""
        answer = await self._ask(EXECUTE, encode_session_request(Register()), self._leader, until)
        assert isinstance(answer, Opened)
        return Session(answer.session)

    async def _ask(self, kind: int, data: bytes, server: str, until: float) -> Answer:
        """Ask until there is an answer that is one, at `server` first."""
        loop = asyncio.get_running_loop()
        why = "no server answers"
        while loop.time() < until:
            try:
                answer = await self._attempt(kind, data, server)
            except (OSError, WireError):
                server = self._another(server)
            else:
                if not isinstance(answer, Retry):
                    if kind == EXECUTE:
                        self._leader = server
                    return answer
                why = answer.reason
                known = answer.leader in self._servers and answer.leader != server
                server = cast("str", answer.leader) if known else self._another(server)
            self.repeated += 1
            await asyncio.sleep(self._rng.uniform(*PAUSE))
        raise OutcomeUnknown(why)

    async def _attempt(self, kind: int, data: bytes, server: str) -> Answer:
        """Ask a server once.

        Raises:
            OSError: It did not answer in time (`TimeoutError` is one), or not at all.
            WireError: What it answered makes no sense.
        """
        try:
            async with asyncio.timeout(ATTEMPT):
                if server not in self._connections:
                    address = self._servers[server]
                    self._connections[server] = await _Connection.open(self._name, address)
                return await self._connections[server].ask(kind, data)
        except BaseException:
            # An answer that comes later must not be taken for another's.
            if server in self._connections:
                self._connections.pop(server).close()
            raise

    def _another(self, server: str) -> str:
        return self._rng.choice(sorted(set(self._servers) - {server}) or [server])


class _Connection:
    """A connection to one server, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = FrameParser()
        self._number = 0

    @classmethod
    async def open(cls, name: str, address: Address) -> _Connection:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(frame(encode_hello("client", name)))
        return cls(reader, writer)

    async def ask(self, kind: int, data: bytes) -> Answer:
        self._number += 1
        self._writer.write(frame(encode_request(self._number, kind, data)))
        while True:
            received = await self._reader.read(1 << 16)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            for body in self._parser.feed(received):
                number, answer = decode_reply(body)
                if number == self._number:
                    return answer

    def close(self) -> None:
        self._writer.transport.abort()


def _result(answer: Answer) -> Result:
    """Return the result that an answer carries."""
    match answer:
        case Done(result):
            return decode_result(result)
        case Oversized():
            raise RequestRefused("it was executed, but the answer is too large")
        case Refused(reason):
            raise RequestRefused(reason)
        case _:
            raise RequestRefused(f"an answer to something else: {answer}")
