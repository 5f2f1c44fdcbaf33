"""What becomes of a request in the log: the same on every replica.

Owns these values. They are decided by `raft.sessions.table`.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen
class SessionRegistered:
    """A session was opened.

    Attributes:
        session: Its id.
        expired: Sessions that had to make room.
    """

    session: int
    expired: tuple[int, ...]


@attrs.frozen
class SessionClosed:
    """A session was ended at its client's wish.

    Attributes:
        session: Its id.
    """

    session: int


@attrs.frozen
class Execute:
    """A new command: the application executes it now and calls `Sessions.executed`.

    Attributes:
        session: The session.
        serial: The command's number in it.
        payload: What to execute.
    """

    session: int
    serial: int
    payload: bytes


@attrs.frozen
class Duplicate:
    """A command that was executed before: answer what was answered then.

    Attributes:
        session: The session.
        serial: The command's number in it.
        response: The answer of the one execution.
    """

    session: int
    serial: int
    response: bytes


@attrs.frozen
class SessionExpired:
    """The session is gone, or never was: whether the command was executed is unknown here.

    It is not executed now; the client has to find out, and to register anew.

    Attributes:
        session: The session.
        serial: The command's number in it; 0 for `Close`.
    """

    session: int
    serial: int


@attrs.frozen
class SerialStale:
    """A command whose answer the client has said to have: a copy that was on its way for long.

    Attributes:
        session: The session.
        serial: The command's number in it.
    """

    session: int
    serial: int


@attrs.frozen
class SerialAhead:
    """A command too far ahead of those that are unanswered; it may be proposed again later.

    Attributes:
        session: The session.
        serial: The command's number in it.
    """

    session: int
    serial: int


@attrs.frozen
class RequestMalformed:
    """Not a request of this version; it changed nothing.

    Attributes:
        reason: What was found.
    """

    reason: str


Outcome: TypeAlias = (
    SessionRegistered
    | SessionClosed
    | Execute
    | Duplicate
    | SessionExpired
    | SerialStale
    | SerialAhead
    | RequestMalformed
)
