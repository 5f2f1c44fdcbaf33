"""Two members of one name: told where it concerns others, put to the vote where it concerns us.

Owns both sides of the vote. The others say where they know the name; we stay if most of them mean
us.

Deviation: if nobody answers, we stay. Serf takes silence for a lost vote, so that a partition
kills members on both sides.

Source: serf/serf.go resolveNodeConflict, serf/internal_query.go handleConflict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from serfevents.answers import Answers
from serfevents.core import Core
from serfevents.errors import DecodeError, PayloadTooLarge, QueueFull
from serfevents.outputs import NameConflictDecided, NameConflictSeen, QueryFinished
from serfevents.queries import INTERNAL_PREFIX, QUERY_VERSION, Collector, Queries
from serfevents.records import Address
from serfevents.roster import Roster
from serfevents.wire.codec import (
    conflict_response_of,
    decode_conflict_response,
    encode_conflict_response,
)
from serfevents.wire.messages import Query

CONFLICT: Final = "conflict"


class NameConflicts(Collector):
    """Deals with clashes of names; `lost` is called when the vote goes against us."""

    expects_self = False

    def __init__(
        self,
        core: Core,
        roster: Roster,
        queries: Queries,
        answers: Answers,
        lost: Callable[[], None],
    ) -> None:
        self._core = core
        self._roster = roster
        self._queries = queries
        self._answers = answers
        self._lost = lost
        self._voting = False
        self._votes = self._ours = 0
        answers.internal[CONFLICT] = self._answer

    def seen(self, name: str, other: Address) -> None:
        """Somebody at another address uses a known name."""
        entry = self._roster.get(name)
        if entry is None or entry.member.address == other:
            return
        core = self._core
        begins = name == core.name and not self._voting and self._may_vote()
        core.emit(NameConflictSeen(name, entry.member.address, other, voting=begins))
        if begins:
            self._vote()

    def _may_vote(self) -> bool:
        config = self._core.config
        able = config.name_conflict_vote and config.protocol_version >= QUERY_VERSION
        return able and not self._core.leaving

    def _vote(self) -> None:
        self._voting, self._votes, self._ours = True, 0, 0
        name = self._core.name.encode("utf-8", "surrogateescape")
        try:
            self._queries.ask(INTERNAL_PREFIX + CONFLICT, name, collector=self)
        except (QueueFull, PayloadTooLarge):
            # No room for the question now; the clash will be seen again.
            self._voting = False

    def answered(self, query: int, source: str, payload: bytes) -> None:  # noqa: ARG002
        """Count a vote."""
        try:
            response = decode_conflict_response(payload)
        except DecodeError as error:
            self._core.reject(source, error.reason, str(error))
            return
        if response.name != self._core.name:
            # It doesn't know the name, and so can't tell.
            return
        own = self._roster.get(self._core.name)
        assert own is not None
        self._votes += 1
        self._ours += response.address == own.member.address

    def finished(self, outcome: QueryFinished) -> None:  # noqa: ARG002
        """Decide."""
        self._voting = False
        kept = not self._votes or self._ours >= self._votes // 2 + 1
        self._core.emit(NameConflictDecided(kept, self._votes, self._ours))
        if not kept:
            self._lost()

    def _answer(self, number: int, query: Query) -> None:
        """Say where we know a disputed name, unless it is ours."""
        name = query.payload.decode("utf-8", "surrogateescape")
        if name == self._core.name:
            return
        entry = self._roster.get(name)
        response = None if entry is None else conflict_response_of(entry.member)
        self._answers.respond_if_possible(number, encode_conflict_response(response))
