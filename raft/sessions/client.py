"""The client's end of a session: it numbers commands, and repeats them until they are answered.

Knows nothing of how requests get into the log, nor of the table that they change
(`raft.sessions.table`).

Source: Raft dissertation 6.3.
"""

from __future__ import annotations

from raft.errors import RaftError
from raft.sessions.requests import OUTSTANDING_MAX, Command, encode_request


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

    >>> from raft.sessions.requests import decode_request
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
