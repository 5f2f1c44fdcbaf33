"""One client of Serf's RPC, without its socket: bytes in, requests out; answers in, bytes out.

Owns the framing, the handshake and the authentication, and which streams, monitor and queries
the client has open. Knows no agent: whoever owns the session carries out what `next_request`
hands over, one request after the other, and answers by the request's number.

A client may send anything. What Serf answers with an error is answered with the same one; what
makes Serf hang up ends the session, and `over` says why. Nothing that a client sends makes the
session hold more than `REQUEST_SIZE_MAX` bytes, `STREAMS_MAX` streams and `PENDING_MAX` queries.

Source: serf's cmd/serf/command/agent/ipc.go; field order and texts are those that 0.9.4 sends.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import msgpack
from attrs import frozen

from examples.serf.requests import (
    BODILESS,
    ELEMENTS_MAX,
    U64,
    WITH_BODY,
    Authenticate,
    BadRequest,
    Fields,
    Handshake,
    Request,
)

#: The one version of the RPC that there is.
RPC_VERSION = 1

#: Bytes of the largest header or body, and of what waits behind it. What they decode to may take
#: sixty times as much.
REQUEST_SIZE_MAX = 1 << 20

#: The same before the client has shown that it may do anything.
STRANGERS_SIZE_MAX = 1 << 16

#: Streams that one client may have open.
STREAMS_MAX = 64

#: Queries told to one client that it may still respond to; the oldest go first.
PENDING_MAX = 1024

HANDSHAKE_REQUIRED = "Handshake required"
HANDSHAKE_TWICE = "Handshake already performed"
VERSION_UNSUPPORTED = "Unsupported IPC version"
COMMAND_UNSUPPORTED = "Unsupported command"
AUTHENTICATION_REQUIRED = "Authentication required"
KEY_INVALID = "Invalid authentication token"


@frozen
class Asked:
    """A request and the number that its answer must carry.

    Attributes:
        number: Chosen by the client; it may use one twice.
        request: What is asked for.
    """

    number: int
    request: Request


class Session:
    """The state of one client's connection.

    Args:
        key: What a client must show before it may do anything; empty if it need not.

    Attributes:
        over: Why the connection is to be closed once `take` is sent; empty while it is not.
        streams: Of each open stream, by the number of its request, whatever its owner keeps.
        monitor: The number of the request that began the monitor, if there is one.
    """

    def __init__(self, key: str = "") -> None:
        self.over = ""
        self.streams: dict[int, Any] = {}
        self.monitor: int | None = None
        self._key = key
        self._trusted = not key
        self._greeted = False
        self._header: tuple[str, int] | None = None  # of a request whose body is awaited
        self._pending: dict[int, Any] = {}
        self._told = 0
        self._out = bytearray()
        self._received = 0
        self._decoded = 0  # of `_received`: where the last complete value ended
        self._unpacker = msgpack.Unpacker(
            raw=True,
            strict_map_key=False,
            max_buffer_size=REQUEST_SIZE_MAX,
            max_array_len=ELEMENTS_MAX,
            max_map_len=ELEMENTS_MAX,
        )

    # --- in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the client, cut anywhere."""
        if self.over:
            return
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull:
            self._refuse_size(REQUEST_SIZE_MAX)
        self._received += len(data)

    @property
    def is_trusted(self) -> bool:
        """Whether the client has shown all that it must."""
        return self._greeted and self._trusted

    def _refuse_size(self, limit: int) -> None:
        self.over = f"a request is larger than {limit} bytes"

    def next_request(self) -> Asked | None:
        """Return the next request that is complete and allowed, or None.

        Call it until it returns None, answering each request before the next, as Serf does.
        """
        while not self.over:
            try:
                value = self._unpacker.unpack()
            except msgpack.OutOfData:
                # The unpacker bounds what it has not looked at; what it has begun to build it not.
                limit = REQUEST_SIZE_MAX if self.is_trusted else STRANGERS_SIZE_MAX
                if self._received - self._decoded > limit:
                    self._refuse_size(limit)
                return None
            except (ValueError, TypeError) as error:  # all that msgpack raises
                self.over = f"failed to decode: {error!r}"
                return None
            self._decoded = self._unpacker.tell()
            try:
                asked = self._take_value(value)
            except BadRequest as error:
                self.over = f"failed to decode: {error}"
                return None
            if asked is not None and (asked := self._admit(asked)) is not None:
                return asked
        return None

    def _take_value(self, value: object) -> Asked | None:
        """Take a header or the body of the header before; return what is complete."""
        if self._header is not None:
            (command, number), self._header = self._header, None
            return Asked(number, WITH_BODY[command](Fields(value)))
        fields = Fields(value)
        command, number = fields.text("Command"), fields.number("Seq", 0, U64)
        if not self._greeted and command != "handshake":
            self._refuse(number, HANDSHAKE_REQUIRED)
        elif command in BODILESS:
            return Asked(number, BODILESS[command]())
        elif command in WITH_BODY:
            self._header = command, number
        elif not self._trusted:
            self.answer(number, AUTHENTICATION_REQUIRED)
        else:
            self._refuse(number, COMMAND_UNSUPPORTED)
        return None

    def _admit(self, asked: Asked) -> Asked | None:
        """Answer what is the session's own affair, and what is not allowed yet."""
        match asked.request:
            case Handshake(version):
                if version != RPC_VERSION:
                    self.answer(asked.number, VERSION_UNSUPPORTED)
                elif self._greeted:
                    self.answer(asked.number, HANDSHAKE_TWICE)
                else:
                    self._greeted = True
                    self.answer(asked.number)
            case Authenticate(key):
                # In a time that tells nothing of how much of it is right.
                if hmac.compare_digest(encoded(key), encoded(self._key)):
                    self._trusted = True
                    self.answer(asked.number)
                else:
                    self.answer(asked.number, KEY_INVALID)
            case _ if not self._trusted:
                self.answer(asked.number, AUTHENTICATION_REQUIRED)
            case _:
                return asked
        return None

    def _refuse(self, number: int, error: str) -> None:
        self.answer(number, error)
        self.over = error

    # --- out ---------------------------------------------------------------------------------

    def answer(self, number: int, error: str = "", body: Mapping[str, Any] | None = None) -> None:
        """Answer a request, or send a record of a stream, monitor or query that it began.

        Args:
            number: The request's.
            error: Serf's words, empty for none.
            body: What follows the header, if anything.
        """
        self._out += pack({"Error": error, "Seq": number})
        if body is not None:
            self._out += pack(body)

    def take(self) -> bytes:
        """Return what is to be sent and forget it."""
        out = bytes(self._out)
        self._out.clear()
        return out

    # --- queries that a stream told of -------------------------------------------------------

    def expect_response(self, query: Any) -> int:
        """Remember a query that the client is told of; return the number it may respond to."""
        self._told += 1
        self._pending[self._told] = query
        if len(self._pending) > PENDING_MAX:
            del self._pending[next(iter(self._pending))]
        return self._told

    def pending(self, number: int) -> Any | None:
        """Return what `expect_response` was given, or None for an unknown or forgotten one."""
        return self._pending.get(number)


def encoded(text: str) -> bytes:
    """Return a text as it was on the wire."""
    return text.encode("utf-8", "surrogateescape")


def pack(value: Mapping[str, Any]) -> bytes:
    """Encode in the RPC's dialect: unlike gossip it has str8 and bin."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    return packed
