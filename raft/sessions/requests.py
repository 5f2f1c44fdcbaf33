"""What a client writes into the log: requests of sessions, and their encoding.

Knows nothing of how they get there (`raft.sessions.client`), nor of what they change
(`raft.sessions.table`).

Source: Raft dissertation 6.3.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

import attrs
import msgpack

OUTSTANDING_MAX = 256
"""Commands that one session may have under way unless told otherwise."""

_VERSION = 1
_REGISTER, _CLOSE, _COMMAND = 0, 1, 2
_SERIAL_MAX = 2**63 - 1


@attrs.frozen
class Register:
    """Open a session; the index at which this is committed becomes its id."""


@attrs.frozen
class Close:
    """End a session that is not needed any more; to let it expire is as good.

    Attributes:
        session: The id of the session.
    """

    session: int


@attrs.frozen
class Command:
    """Execute a payload, once.

    Attributes:
        session: The id of the session.
        serial: Number of the command within the session, from 1.
        acknowledged: Every serial below has been answered, and the client has the answer;
            from 1, at most `serial`.
        payload: What the application is to execute.
    """

    session: int
    serial: int
    acknowledged: int
    payload: bytes


Request: TypeAlias = Register | Close | Command


def encode_request(request: Request) -> bytes:
    """Return a request as the payload of an entry.

    >>> decode_request(encode_request(Close(7)))
    Close(session=7)
    """
    match request:
        case Command(session, serial, acknowledged, payload):
            elements: tuple[object, ...] = (_COMMAND, session, serial, acknowledged, payload)
        case Close(session):
            elements = (_CLOSE, session)
        case Register():
            elements = (_REGISTER,)
        case _:
            assert_never(request)
    return bytes(msgpack.packb((_VERSION, *elements)))


def decode_request(data: bytes) -> Request:
    """Return the request that was encoded.

    Raises:
        ValueError: It is none of this version. Nothing unknown is passed over: a request must
            mean the same to every replica.
    """
    try:
        elements = msgpack.unpackb(data, use_list=False, max_array_len=6, max_map_len=0)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a request: {error}") from None
    request: Request
    match elements:
        case (1, 2, int(session), int(serial), int(acknowledged), bytes(payload)):
            if not (session > 0 and 0 < acknowledged <= serial <= _SERIAL_MAX):
                raise ValueError("not a request: numbers out of order")
            request = Command(session, serial, acknowledged, payload)
        case (1, 1, int(session)):
            request = Close(session)
        case (1, 0):
            request = Register()
        case _:
            raise ValueError(f"not a request of version {_VERSION}")
    return request
