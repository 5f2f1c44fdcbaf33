"""The replicated state: a key-value store behind a table of client sessions.

Owns what an entry of the log means and what one replica makes of it; the same entries make the
same state everywhere. Knows nothing of consensus: the composite with it is
`examples.replicated.machine`.

An entry is what its proposer made of a client's request: the request, and the proposer's time,
because no replica may look at a clock. Upkeep is what a leader proposes for itself.

Source: Raft dissertation 6.3 (sessions in the replicated state).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final, TypeAlias, assert_never, cast
from zlib import crc32

from examples.replicated.wire import Answer, Done, Gone, Opened, Oversized, Refused
from kvstore.codec.codec import encode_command, encode_result, read_command
from kvstore.commands import Command, Operation
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store
from raft.sessions import (
    Duplicate,
    Execute,
    RequestMalformed,
    SerialAhead,
    SerialStale,
    SessionClosed,
    SessionExpired,
    SessionRegistered,
    Sessions,
)

#: Larger answers are not kept, so that no client can fill the table of sessions by one command.
ANSWER_BYTES_MAX: Final = 1 << 20

_REQUEST, _UPKEEP = b"\x00", b"\x01"
_TIME = 8

_Settled: TypeAlias = (
    Duplicate
    | SessionRegistered
    | SessionClosed
    | SessionExpired
    | SerialStale
    | SerialAhead
    | RequestMalformed
)


def request_entry(request: bytes, milliseconds: int) -> bytes:
    """Return the entry for a client's request, at the proposer's time.

    Raises:
        TypeError: The request is not bytes.
    """
    return _REQUEST + milliseconds.to_bytes(_TIME, "big") + request


def upkeep_entry(command: Command, milliseconds: int) -> bytes:
    """Return the entry for a command that a leader proposes itself."""
    return _UPKEEP + encode_command(command, now=milliseconds)


class Replica:
    """One copy of the state.

    Attributes:
        store: The keys. Read it; only `apply` may change it.
        sessions: Who asked for what, and was answered how.
        index: Of the last entry that was applied.

    >>> from raft.sessions import Register, encode_request
    >>> replica = Replica()
    >>> replica.apply(1, request_entry(encode_request(Register()), 0))
    Opened(session=1)
    """

    __slots__ = ("index", "sessions", "store")

    def __init__(self) -> None:
        self.store = Store()
        self.sessions = Sessions()
        self.index = 0

    def apply(self, index: int, payload: bytes) -> Answer | None:
        """Apply an entry and return what its client is to hear, or None for upkeep.

        Whatever it holds is answered; all replicas answer it alike.
        """
        self.index = index
        kind, rest = payload[:1], payload[1:]
        if kind == _UPKEEP:
            self._change(index, rest, None)
            return None
        if kind != _REQUEST or len(rest) < _TIME:
            return Refused("not an entry of this version")
        outcome = self.sessions.apply(index, rest[_TIME:])
        if not isinstance(outcome, Execute):
            return _answer(outcome)
        response = self._change(index, outcome.payload, int.from_bytes(rest[:_TIME], "big"))
        if len(response) > ANSWER_BYTES_MAX:
            response = b""
        self.sessions.executed(response)
        return _done(response)

    def query(self, data: bytes) -> Answer:
        """Answer a read from the state as it is."""
        command, _, actor = read_command(data)
        # Whatever else it is, the store refuses.
        result = encode_result(self.store.query(cast("Operation", command), actor=actor))
        return Done(result) if len(result) <= ANSWER_BYTES_MAX else Oversized()

    @property
    def digest(self) -> int:
        """A number that is the same on replicas in the same state."""
        return crc32(self.sessions.export(), self.store.digest() & 0xFFFFFFFF)

    # --- snapshots

    def snapshot_pieces(self) -> Iterator[bytes]:
        """Return the state as it is now, piece by piece, while entries go on being applied."""
        table = self.sessions.export()
        head = self.index.to_bytes(_TIME, "big") + len(table).to_bytes(_TIME, "big") + table
        return chain((head,), SnapshotWriter(self.store.view()))

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return b"".join(self.snapshot_pieces())

    def restore(self, data: bytes) -> None:
        """Replace the state by one that `snapshot` returned.

        Raises:
            ValueError, kvstore.errors.DecodeError: It is none.
        """
        behind = 2 * _TIME + int.from_bytes(data[_TIME : 2 * _TIME], "big")
        sessions = Sessions.restore(data[2 * _TIME : behind])
        reader = SnapshotReader(Store.importer)
        reader.feed(data[behind:])
        self.store, self.sessions = reader.finish(), sessions
        self.index = int.from_bytes(data[:_TIME], "big")

    # --- internals

    def _change(self, index: int, data: bytes, milliseconds: int | None) -> bytes:
        """Let the store have a command, at the time of its proposer; return the answer."""
        command, told, actor = read_command(data)
        now = told if milliseconds is None else milliseconds
        return encode_result(self.store.apply(command, index=index, now=now, actor=actor).result)


def _answer(outcome: _Settled) -> Answer:
    """Return what a client hears where nothing is to be executed."""
    match outcome:
        case Duplicate(_, _, response):
            return _done(response)
        case SessionRegistered(session):
            return Opened(session)
        case SessionClosed():
            return Done(b"")
        case SessionExpired():
            return Gone()
        case SerialStale() | SerialAhead():
            return Refused(f"serial {outcome.serial} is out of order")
        case RequestMalformed(reason):
            return Refused(reason)
        case _:
            assert_never(outcome)


def _done(response: bytes) -> Answer:
    return Done(response) if response else Oversized()
