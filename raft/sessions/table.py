"""The table of sessions of one replica: which commands were executed, and what was answered.

Owns that table, which is part of the replicated state: it changes only by what stands in the log,
and goes into snapshots. Knows nothing of consensus, nor of what the payloads mean.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Any, assert_never

import msgpack

from raft.packing import pack_numbers, pack_strings, unpack_numbers, unpack_strings
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
from raft.sessions.requests import OUTSTANDING_MAX, Close, Command, Register, decode_request

SESSIONS_MAX = 4096
"""Sessions that a table holds unless told otherwise, as in dragonboat."""

RETAINED_BYTES_MAX = 64 * 2**20
"""Bytes of answers that a table keeps unless told otherwise."""

_VERSION = 1


class _Record:
    """One session: the answers that its client may still ask for."""

    __slots__ = ("acknowledged", "responses")

    def __init__(self, acknowledged: int, responses: dict[int, bytes]) -> None:
        # Invariant: every serial in `responses` is within acknowledged and
        # acknowledged + outstanding_max - 1.
        self.acknowledged = acknowledged
        self.responses = responses


class Sessions:
    """The table of sessions of one replica.

    Feed it every entry that holds a request, in log order; execute what it says to execute.

    Args:
        sessions_max: Sessions that are kept; one more makes the longest unused expire.
        outstanding_max: How far a serial may be ahead of the lowest one unanswered.
        retained_bytes_max: Bytes of answers that are kept; more makes sessions expire.

    >>> from raft.sessions.requests import encode_request
    >>> sessions = Sessions()
    >>> sessions.apply(5, encode_request(Register()))
    SessionRegistered(session=5, expired=())
    >>> command = encode_request(Command(5, 1, 1, b"add 1"))
    >>> sessions.apply(6, command)
    Execute(session=5, serial=1, payload=b'add 1')
    >>> sessions.executed(b"now 1")
    ()
    >>> sessions.apply(7, command)
    Duplicate(session=5, serial=1, response=b'now 1')
    """

    def __init__(
        self,
        *,
        sessions_max: int = SESSIONS_MAX,
        outstanding_max: int = OUTSTANDING_MAX,
        retained_bytes_max: int = RETAINED_BYTES_MAX,
    ) -> None:
        if min(sessions_max, outstanding_max, retained_bytes_max) < 1:
            raise ValueError("limits must be at least 1")
        self._sessions_max = sessions_max
        self._outstanding_max = outstanding_max
        self._retained_bytes_max = retained_bytes_max
        # The least recently used session first.
        self._records: OrderedDict[int, _Record] = OrderedDict()
        # Invariant: the length of all responses of all records.
        self._retained_bytes = 0
        # What the application was told to execute and has not answered.
        self._executing: Execute | None = None

    # --- queries

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, session: object) -> bool:
        return session in self._records

    @property
    def retained_bytes(self) -> int:
        """Bytes of answers that are kept."""
        return self._retained_bytes

    # --- what stands in the log

    def apply(self, index: int, data: bytes) -> Outcome:
        """Take an entry that holds a request; entries must come in log order, each once.

        Args:
            index: The entry's index.
            data: Its payload. Any bytes are answered, as clients write them.

        Raises:
            ValueError: The command before is not `executed`, or the index is that of a session.
        """
        self._check_idle()
        if index < 1 or index in self._records:
            raise ValueError(f"entry {index} was applied before")
        try:
            request = decode_request(data)
        except ValueError as error:
            return RequestMalformed(str(error))
        match request:
            case Command():
                return self._command(request)
            case Close(session):
                if session not in self._records:
                    return SessionExpired(session, 0)
                self._drop(session)
                return SessionClosed(session)
            case Register():
                self._records[index] = _Record(1, {})
                return SessionRegistered(index, self._expire())
            case _:
                assert_never(request)

    def executed(self, response: bytes) -> tuple[int, ...]:
        """Note the answer of the command that was to be executed.

        Args:
            response: What the application answers, an error too: the same on every replica.

        Returns:
            Sessions that had to make room for the answer, perhaps its own.

        Raises:
            ValueError: Nothing was to be executed, or the answer is larger than all that may be
                kept.
        """
        execute = self._executing
        if execute is None:
            raise ValueError("nothing was to be executed")
        if len(response) > self._retained_bytes_max:
            raise ValueError(f"an answer has at most {self._retained_bytes_max} bytes")
        self._executing = None
        self._records[execute.session].responses[execute.serial] = response
        self._retained_bytes += len(response)
        return self._expire()

    # --- snapshots

    def export(self) -> bytes:
        """Return the table for a snapshot; equal tables are equal bytes.

        Raises:
            ValueError: The last command is not `executed`.
        """
        self._check_idle()
        records = self._records
        responses = [record.responses for record in records.values()]
        limits = (self._sessions_max, self._outstanding_max, self._retained_bytes_max)
        return bytes(
            msgpack.packb(
                (
                    _VERSION,
                    *limits,
                    pack_numbers(list(records)),
                    pack_numbers([record.acknowledged for record in records.values()]),
                    pack_numbers([len(kept) for kept in responses]),
                    pack_numbers([serial for kept in responses for serial in kept]),
                    *pack_strings([answer for kept in responses for answer in kept.values()]),
                )
            )
        )

    @classmethod
    def restore(cls, data: bytes) -> Sessions:
        """Return the table that a snapshot has, with its limits.

        Raises:
            ValueError: It is no table of this version, or exceeds its limits.
        """
        try:
            table = cls._parsed(data)
            canonical = table.export()
        except (ValueError, TypeError) as error:
            raise ValueError(f"not a table of sessions: {error}") from None
        if canonical != data:
            raise ValueError("not a table of sessions: another form of one")
        return table

    # --- internals

    @classmethod
    def _parsed(cls, data: bytes) -> Sessions:
        """Return the table that `data` has."""
        elements = msgpack.unpackb(data, use_list=False, max_array_len=10, max_map_len=0)
        version, sessions_max, outstanding_max, retained_bytes_max, *columns = elements
        if version != _VERSION:
            raise ValueError(f"of version {version!r:.40}")
        table = cls(
            sessions_max=sessions_max,
            outstanding_max=outstanding_max,
            retained_bytes_max=retained_bytes_max,
        )
        table._fill(*columns)
        return table

    def _fill(self, ids: bytes, bounds: bytes, counts: bytes, serials: bytes, *blob: Any) -> None:
        """Take over the records of a snapshot."""
        remaining = iter(zip(unpack_numbers(serials), unpack_strings(*blob), strict=True))
        for session, acknowledged, count in zip(
            unpack_numbers(ids), unpack_numbers(bounds), unpack_numbers(counts), strict=True
        ):
            if count > self._outstanding_max:
                raise ValueError(f"{count} answers of session {session}")
            responses = dict(islice(remaining, count))
            window = range(acknowledged, acknowledged + self._outstanding_max)
            if not all(serial in window for serial in responses):
                raise ValueError(f"serials out of order in session {session}")
            self._records[session] = _Record(acknowledged, responses)
            self._retained_bytes += sum(map(len, responses.values()))
        if self._expire():
            raise ValueError("more than its limits")

    def _check_idle(self) -> None:
        """Refuse to go on before the last command is executed."""
        if self._executing is not None:
            raise ValueError(f"{self._executing} is not executed")

    def _command(self, command: Command) -> Outcome:
        """Decide about a command, and note what its client has."""
        session, serial = command.session, command.serial
        record = self._records.get(session)
        if record is None:
            return SessionExpired(session, serial)
        self._records.move_to_end(session)
        if command.acknowledged > record.acknowledged:
            self._acknowledge(record, command.acknowledged)
        if serial < record.acknowledged:
            return SerialStale(session, serial)
        if serial >= record.acknowledged + self._outstanding_max:
            return SerialAhead(session, serial)
        response = record.responses.get(serial)
        if response is not None:
            return Duplicate(session, serial, response)
        self._executing = Execute(session, serial, command.payload)
        return self._executing

    def _acknowledge(self, record: _Record, acknowledged: int) -> None:
        """Drop the answers that a client has."""
        record.acknowledged = acknowledged
        for serial in [serial for serial in record.responses if serial < acknowledged]:
            self._retained_bytes -= len(record.responses.pop(serial))

    def _expire(self) -> tuple[int, ...]:
        """Drop the least recently used sessions until the rest fits, and return them."""
        expired = []
        while (
            len(self._records) > self._sessions_max
            or self._retained_bytes > self._retained_bytes_max
        ):
            session = next(iter(self._records))
            self._drop(session)
            expired.append(session)
        return tuple(expired)

    def _drop(self, session: int) -> None:
        """Forget a session."""
        record = self._records.pop(session)
        self._retained_bytes -= sum(map(len, record.responses.values()))
