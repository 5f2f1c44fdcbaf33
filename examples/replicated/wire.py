"""What goes over TCP: frames, and what clients and servers say in them.

Owns the bytes between processes. Knows no sockets: frames are pushed in and come out whole.

    frame      length (4 bytes, big-endian), body
    hello      (version, "peer" or "client", id): the first frame of every connection
    request    (number, kind, data), from a client
    reply      (number, kind, fields...), to a client, in any order

What one server sends another, after its hello, are `raft.codec` messages, one to a frame.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, assert_never

import msgpack
from attrs import frozen

VERSION: Final = 1

#: Larger frames are neither sent nor taken. A chunk of a snapshot and a full batch of entries
#: have to fit: see the limits in `examples.replicated.server`.
FRAME_BYTES_MAX: Final = 4 << 20

EXECUTE, QUERY, STATUS = range(3)

_LENGTH = 4


class WireError(Exception):
    """Bytes that make no sense: the connection they came from is to be closed."""


# --- frames


def frame(body: bytes) -> bytes:
    """Return a body as a frame.

    Raises:
        ValueError: It is too long.
    """
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame has at most {FRAME_BYTES_MAX} bytes, not {len(body)}")
    return len(body).to_bytes(_LENGTH, "big") + body


class FrameParser:
    """Turns what a stream brings, however it is cut, into bodies.

    It holds one frame that is not whole yet, at most.

    >>> parser = FrameParser()
    >>> parser.feed(frame(b"one") + frame(b"two")[:3]), parser.feed(frame(b"two")[3:])
    ([b'one'], [b'two'])
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the bodies that are complete now.

        Raises:
            WireError: A frame is too long.
        """
        buffer = self._buffer
        buffer += data
        bodies = []
        at = 0
        while len(buffer) - at >= _LENGTH:
            end = at + _LENGTH + int.from_bytes(buffer[at : at + _LENGTH], "big")
            if end - at - _LENGTH > FRAME_BYTES_MAX:
                raise WireError("a frame is too long")
            if end > len(buffer):
                break
            bodies.append(bytes(buffer[at + _LENGTH : end]))
            at = end
        del buffer[:at]
        return bodies


# --- what a request is answered with


@frozen
class Opened:
    """A session was opened.

    Attributes:
        session: Its id.
    """

    session: int


@frozen
class Done:
    """It was executed, once.

    Attributes:
        result: What `kvstore.codec.codec.encode_result` made of the answer; b"" for what has none.
    """

    result: bytes


@frozen
class Oversized:
    """It was executed, and the answer is larger than is kept or sent: ask for less."""


@frozen
class Gone:
    """The session is over, or never was; whether the command was executed is not known here."""


@frozen
class Refused:
    """It makes no sense, changed nothing, and would be refused again.

    Attributes:
        reason: Why.
    """

    reason: str


@frozen
class Retry:
    """It was not executed for this request: ask again, through the session, or elsewhere.

    Attributes:
        reason: Why.
        leader: Who leads, as far as is known.
    """

    reason: str
    leader: str | None = None


Answer: TypeAlias = Opened | Done | Oversized | Gone | Refused | Retry

_KINDS: Final[tuple[type[Answer], ...]] = (Opened, Done, Oversized, Gone, Refused, Retry)


def encode_reply(number: int, answer: Answer) -> bytes:
    """Return the answer to a client's request.

    >>> decode_reply(encode_reply(7, Retry("this server does not lead", "n2")))
    (7, Retry(reason='this server does not lead', leader='n2'))
    """
    fields: tuple[object, ...]
    match answer:
        case Opened(session):
            fields = (session,)
        case Done(result):
            fields = (result,)
        case Oversized() | Gone():
            fields = ()
        case Refused(reason):
            fields = (reason,)
        case Retry(reason, leader):
            fields = (reason, leader)
        case _:
            assert_never(answer)
    return bytes(msgpack.packb((number, _KINDS.index(type(answer)), *fields)))


def decode_reply(body: bytes) -> tuple[int, Answer]:
    """Return the number of a request and its answer.

    Raises:
        WireError: It is none.
    """
    match _unpack(body):
        case (int(number), 0, int(session)):
            return number, Opened(session)
        case (int(number), 1, bytes(result)):
            return number, Done(result)
        case (int(number), 2):
            return number, Oversized()
        case (int(number), 3):
            return number, Gone()
        case (int(number), 4, str(reason)):
            return number, Refused(reason)
        case (int(number), 5, str(reason), (str() | None) as leader):
            return number, Retry(reason, leader)
        case other:
            raise WireError(f"not a reply: {other!r:.60}")


# --- what a connection begins with, and requests


def encode_hello(role: str, name: str) -> bytes:
    """Return how a connection begins; `role` is "peer" or "client"."""
    return bytes(msgpack.packb((VERSION, role, name)))


def decode_hello(body: bytes) -> tuple[str, str]:
    """Return the role and the name of who connected.

    Raises:
        WireError: It is none, or of another version.
    """
    match _unpack(body):
        case (1, ("peer" | "client") as role, str(name)):
            return role, name
        case other:
            raise WireError(f"not a greeting of version {VERSION}: {other!r:.60}")


def encode_request(number: int, kind: int, data: bytes) -> bytes:
    """Return a client's request: `EXECUTE` a session's, `QUERY` a command, or `STATUS`."""
    return bytes(msgpack.packb((number, kind, data)))


def decode_request(body: bytes) -> tuple[int, int, bytes]:
    """Return the number, kind and data of a request.

    Raises:
        WireError: It is none.
    """
    match _unpack(body):
        case (int(number), int(kind), bytes(data)) if EXECUTE <= kind <= STATUS:
            return number, kind, data
        case other:
            raise WireError(f"not a request: {other!r:.60}")


def _unpack(body: bytes) -> Any:
    try:
        return msgpack.unpackb(body, use_list=False, max_array_len=8, max_map_len=0)
    except (ValueError, TypeError) as error:
        raise WireError(f"not msgpack: {error}") from None
