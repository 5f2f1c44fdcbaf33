"""Client sessions: a command that is proposed again is executed once.

A proposal whose outcome a client did not learn must be proposed again, and may then stand in the
log twice. Here every command bears a session and a serial number; the answer to each is kept
until the client says that it has it, so that the copy is answered and not executed. The table is
part of the replicated state: it changes only by what stands in the log, and goes into snapshots.

`Session` is the client's end, `Sessions` the table of a replica. Neither knows anything of
consensus: requests are payloads of entries.

Everything is bounded, and what has to go goes by log order alone: the session that was unused
for longest expires. All replicas must be given the same limits.

Source: Raft dissertation 6.3, with its expiry of the least recently used session and its error
for expired ones; dragonboat's client sessions. Beyond both, commands of one session may be under
way together and be committed in any order.

>>> sessions = Sessions()
>>> sessions.apply(5, encode_request(Register()))
SessionRegistered(session=5, expired=())
>>> session = Session(5)
>>> serial, command = session.command(b"add 1")
>>> sessions.apply(6, command)
Execute(session=5, serial=1, payload=b'add 1')
>>> sessions.executed(b"now 1")
()
>>> sessions.apply(7, session.again(serial))
Duplicate(session=5, serial=1, response=b'now 1')
>>> session.answered(serial)
"""

from __future__ import annotations

from raft.sessions.client import Session, SessionFull
from raft.sessions.outcomes import (
    Duplicate,
    Execute,
    Outcome,
    RequestMalformed,
    SerialAhead,
    SerialStale,
    SessionClosed,
    SessionExpired,
    SessionRegistered,
)
from raft.sessions.requests import (
    OUTSTANDING_MAX,
    Close,
    Command,
    Register,
    Request,
    decode_request,
    encode_request,
)
from raft.sessions.table import RETAINED_BYTES_MAX, SESSIONS_MAX, Sessions

__all__ = [
    "OUTSTANDING_MAX",
    "RETAINED_BYTES_MAX",
    "SESSIONS_MAX",
    "Close",
    "Command",
    "Duplicate",
    "Execute",
    "Outcome",
    "Register",
    "Request",
    "RequestMalformed",
    "SerialAhead",
    "SerialStale",
    "Session",
    "SessionClosed",
    "SessionExpired",
    "SessionFull",
    "SessionRegistered",
    "Sessions",
    "decode_request",
    "encode_request",
]
