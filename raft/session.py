"""The client's end of a session, and what a client writes into the log.

Owns the requests and their encoding, and `Session`, which numbers commands and repeats them.
Knows nothing of how they get into the log, nor of the table that they change (`raft.sessions`).

Source: Raft dissertation 6.3.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

import attrs
import msgpack

from raft.errors import RaftError

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


class SessionFull(RaftError):
    """A session has as many commands under way as it may; wait for the oldest.

    Attributes:
        oldest: Serial of the command that is waited for.
    """

    def __init__(self, oldest: int) -> None:
        super().__init__(f"command {oldest} is still under way")
        self.oldest = oldest


class Session:
    """The client's end of a session: numbers commands, and repeats them until they are answered.

    Args:
        id: What `SessionRegistered` told.
        outstanding_max: At most that of the table.

    >>> session = Session(5)
    >>> first, data = session.command(b"add 1")
    >>> decode_request(data)
    Command(session=5, serial=1, acknowledged=1, payload=b'add 1')
    >>> session.again(first) == data
    True
    >>> session.answered(first)
    >>> decode_request(session.command(b"add 2")[1])
    Command(session=5, serial=2, acknowledged=2, payload=b'add 2')
    """

    def __init__(
        self,
        id: int,  # noqa: A002  # the word for it
        *,
        outstanding_max: int = OUTSTANDING_MAX,
    ) -> None:
        if id < 1 or outstanding_max < 1:
            raise ValueError("an id and a limit are at least 1")
        self.id = id
        self._outstanding_max = outstanding_max
        self._next = 1
        # Payloads by serial, in order of serials.
        self._outstanding: dict[int, bytes] = {}

    @property
    def outstanding(self) -> tuple[int, ...]:
        """Serials of the commands under way, in order."""
        return tuple(self._outstanding)

    def command(self, payload: bytes) -> tuple[int, bytes]:
        """Return the serial of a new command, and what to propose for it.

        Raises:
            SessionFull: Too many are under way.
        """
        serial = self._next
        if serial >= self._acknowledged + self._outstanding_max:
            raise SessionFull(self._acknowledged)
        self._next += 1
        self._outstanding[serial] = payload
        return serial, self.again(serial)

    def again(self, serial: int) -> bytes:
        """Return what to propose for a command whose outcome is unknown.

        Raises:
            ValueError: It is not under way.
        """
        payload = self._outstanding.get(serial)
        if payload is None:
            raise ValueError(f"command {serial} is not under way")
        return encode_request(Command(self.id, serial, self._acknowledged, payload))

    def answered(self, serial: int) -> None:
        """Note that a command's answer is here; it may come more than once."""
        self._outstanding.pop(serial, None)

    @property
    def _acknowledged(self) -> int:
        """Every serial below has been answered."""
        return next(iter(self._outstanding), self._next)
