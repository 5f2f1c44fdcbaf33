"""Being asked: queries of every member, acknowledgements, answers, and passing answers on.

Owns the buffer against repeated queries, the queries that wait for the application's answer, and
where answers are sent: straight to who asked, and through some other members besides if it asked
for that. What is passed on for others goes to members that are known, and nowhere else.

Source: serf/serf.go handleQuery, serf/event.go Query.Respond, serf/query.go relayResponse.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from attrs import evolve

from serfevents.core import Core, Source
from serfevents.errors import DecodeError, InvalidExpression, PayloadTooLarge, UnknownQuery
from serfevents.filters import compile_filters
from serfevents.members import ALIVE, NAME_SIZE_MAX
from serfevents.outputs import Kind, QueryReceived
from serfevents.queries import INTERNAL_PREFIX, Queries
from serfevents.records import Address
from serfevents.roster import Entry, Roster
from serfevents.stats import count_name
from serfevents.wire.codec import (
    decode_query,
    decode_query_response,
    decode_relay,
    encode_query_response,
    encode_relay,
)
from serfevents.wire.messages import (
    FLAG_ACK,
    FLAG_NO_BROADCAST,
    MessageType,
    Query,
    QueryResponse,
    Relay,
)

_QUERY: Final = Kind.QUERY
_QUERY_RESPONSE: Final = bytes([MessageType.QUERY_RESPONSE])

#: The lowest memberlist protocol of members that pass answers on.
RELAY_PROTOCOL: Final = 5

#: Bytes of an answer that is passed on for others, unless our own may be larger: who answers may
#: be configured for larger ones than we are.
RELAYED_SIZE_MAX: Final = 2048

NEW: Final = "new"
DUPLICATE: Final = "duplicate"
TOO_OLD: Final = "query-too-old"
FULL: Final = "query-buffer-full"


class QueryBuffer:
    """Which queries were seen, of the newest Lamport times.

    Attributes:
        ltime_min: Older queries are too old; it never falls.
        count: How many are remembered.
    """

    __slots__ = ("_ids_max", "_slots", "_times", "count", "ltime_min")

    def __init__(self, times: int, ids_max: int, ltime_min: int) -> None:
        self._times = times
        self._ids_max = ids_max
        self._slots: dict[int, tuple[int, dict[int, None]]] = {}
        self.count = 0
        self.ltime_min = ltime_min

    def add(self, ltime: int, id: int, time: int) -> str:  # noqa: A002 -- the protocol's word
        """Remember a query, and say whether it is `NEW`, `DUPLICATE`, `TOO_OLD` or `FULL`.

        Args:
            ltime: Its Lamport time.
            id: Its number.
            time: Our query clock, which has witnessed it.
        """
        if ltime < self.ltime_min or ltime < time - self._times:
            return TOO_OLD
        index = ltime % self._times
        slot = self._slots.get(index)
        if slot is not None and slot[0] == ltime:
            if id in slot[1]:
                return DUPLICATE
        else:
            if slot is not None:
                self.count -= len(slot[1])
            slot = self._slots[index] = ltime, {}
        if self.count >= self._ids_max and not self._make_room(ltime):
            return FULL
        slot[1][id] = None
        self.count += 1
        return NEW

    def _make_room(self, ltime: int) -> bool:
        """Forget the oldest times before `ltime`, a good part at once; return whether it helps."""
        goal = self._ids_max - self._ids_max // 8 - 1
        older = sorted((at, index) for index, (at, _) in self._slots.items() if at < ltime)
        for time, index in older:
            if self.count <= goal:
                break
            self.count -= len(self._slots.pop(index)[1])
            self.ltime_min = time + 1
        return self.count < self._ids_max

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert self.count == sum(len(ids) for _, ids in self._slots.values()) <= self._ids_max


class _Pending:
    """A query that may still be answered."""

    __slots__ = ("answered", "deadline", "query")

    def __init__(self, query: Query, deadline: float) -> None:
        # Who asks chooses the size of a query and how long it may be answered: what an answer
        # doesn't need is not kept.
        self.query = evolve(query, filters=(), name="", payload=b"")
        self.deadline = deadline
        self.answered = False


class Answers:
    """Takes queries, and answers them.

    Attributes:
        buffer: Against repeats.
        queries: Where answers to our own queries go.
        internal: Takes the queries that Serf answers itself, by name without its prefix; each is
            given the number to answer, and the query.
    """

    __slots__ = ("_core", "_pending", "_roster", "buffer", "internal", "queries")

    def __init__(self, core: Core, roster: Roster, ltime_min: int) -> None:
        config = core.config
        self._core = core
        self._roster = roster
        self.buffer = QueryBuffer(config.query_buffer, config.query_ids_max, ltime_min)
        self.queries: Queries | None = None
        self.internal: dict[str, Callable[[int, Query], None]] = {}
        # In the order in which they came.
        self._pending: OrderedDict[int, _Pending] = OrderedDict()

    @property
    def pending_count(self) -> int:
        """How many queries are kept that may still be answered."""
        return len(self._pending)

    def receive(self, payload: bytes, source: Source) -> bool:
        """Take a query of another member; return whether it was new.

        Raises:
            DecodeError: It is none.
        """
        query = decode_query(payload)
        if len(query.source) > NAME_SIZE_MAX:
            raise DecodeError("bad-name", f"a name of {len(query.source)} characters")
        core = self._core
        if not core.witness(core.query_clock, query.ltime, source):
            return False
        outcome = self.buffer.add(query.ltime, query.id, core.query_clock.time)
        if outcome is DUPLICATE:
            core.stats.duplicates += 1
            return False
        if outcome is not NEW:
            core.reject(source, outcome, f"{query.name} of Lamport time {query.ltime}")
            return False
        if not query.flags & FLAG_NO_BROADCAST:
            core.pass_on(_QUERY, payload)
        self._process(query, source)
        return True

    def take_own(self, query: Query) -> None:
        """Take a query of ours as every other member does."""
        self.buffer.add(query.ltime, query.id, self._core.query_clock.time)
        self._process(query, None)

    def _process(self, query: Query, source: Source) -> None:
        """Deal with a query that is new here."""
        core = self._core
        count_name(core.stats.query_names, query.name, core.config.counted_names_max)
        core.stats.queries += 1
        try:
            concerned = compile_filters(query.filters)
        except (DecodeError, InvalidExpression) as error:
            core.reject(source, "bad-filter", str(error))
            return
        own = self._own()
        if not concerned(core.name, own.member.tags):
            return
        if query.flags & FLAG_ACK:
            self._send(query, self._encode(query, FLAG_ACK, b""))
        number = core.next_number()
        deadline = core.now + query.timeout
        if not query.name.startswith(INTERNAL_PREFIX):
            self._await(number, query, deadline)
            core.emit(
                QueryReceived(
                    number,
                    query.ltime,
                    query.id,
                    query.name,
                    query.payload,
                    query.source,
                    deadline,
                )
            )
            return
        answer = self.internal.get(query.name.removeprefix(INTERNAL_PREFIX))
        if answer is None:
            core.reject(source, "unknown-internal-query", query.name)
            return
        self._await(number, query, deadline)
        answer(number, query)

    def _await(self, number: int, query: Query, deadline: float) -> None:
        """Keep a query until it is answered, or there are too many."""
        pending, now = self._pending, self._core.now
        # Those in front are the oldest; mostly their time is up.
        while pending and next(iter(pending.values())).deadline < now:
            pending.popitem(last=False)
        if len(pending) == self._core.config.pending_queries_max:
            pending.popitem(last=False)
        pending[number] = _Pending(query, deadline)

    def respond(self, number: int, payload: bytes) -> None:
        """Answer a query, once.

        Raises:
            UnknownQuery: There is none, it was answered, or its time is up.
            PayloadTooLarge: The encoding exceeds the limit.
        """
        pending = self._pending.get(number)
        if pending is None:
            raise UnknownQuery(number, "unknown")
        if pending.answered:
            raise UnknownQuery(number, "answered")
        if self._core.now > pending.deadline:
            raise UnknownQuery(number, "expired")
        message = self._encode(pending.query, 0, payload)
        limit = self._core.config.query_response_size_limit
        if len(message) > limit:
            raise PayloadTooLarge("response", len(message), limit)
        pending.answered = True
        self._send(pending.query, message)

    def respond_if_possible(self, number: int, payload: bytes) -> None:
        """Answer a query that Serf answers itself, unless it is too late or too large."""
        try:
            self.respond(number, payload)
        except UnknownQuery:
            self._core.stats.reject("answer-too-late")
        except PayloadTooLarge:
            self._core.stats.reject("answer-too-large")

    def size_of(self, query: Query, payload: bytes) -> int:
        """Return how large an answer would be."""
        return len(self._encode(query, 0, payload))

    def _encode(self, query: Query, flags: int, payload: bytes) -> bytes:
        response = QueryResponse(query.ltime, query.id, self._core.name, flags, payload)
        return encode_query_response(response)

    def _send(self, query: Query, message: bytes) -> None:
        """Send an answer to who asked, and to others that pass it on."""
        core = self._core
        if query.source == core.name:
            self._deliver(message, None)
            return
        if query.address is None:
            core.reject(None, "bad-address", f"no answer to a query of {query.source!r}")
            return
        core.reply(query.address, query.source, message)
        # As many as to have an effect beside who asked and who answers; and none to an address
        # that anybody may have written, where it would be a flood of up to 255 answers for one.
        asker = self._find(query.source, query.address)
        if asker is not None and 0 < query.relay_factor < len(self._roster):
            wrapped = encode_relay(Relay(query.address, query.source, message))
            for helper in self._helpers(query):
                core.reply(helper.member.address, helper.member.name, wrapped)

    def _helpers(self, query: Query) -> list[Entry]:
        """Choose who passes an answer on.

        Deviation: the asker itself is chosen only where there is nobody else. Serf takes it like
        any other, which then is no other way.
        """
        own, asker = self._core.name, query.source

        def is_helper(entry: Entry) -> bool:
            member = entry.member
            able = member.status is ALIVE and member.versions[1:2] >= bytes([RELAY_PROTOCOL])
            return able and member.name not in (own, asker)

        helpers = self._roster.sample(query.relay_factor, self._core.rng, is_helper)
        if helpers:
            return helpers
        entry = self._roster.get(asker)
        return [entry] if entry is not None and entry.status is ALIVE else []

    # --- answers of others -------------------------------------------------------------------

    def relay(self, payload: bytes, source: Source) -> bool:
        """Pass an answer of another member on, to a member that we know.

        Raises:
            DecodeError: It is no answer to be passed on.
        """
        core = self._core
        relay = decode_relay(payload)
        message = relay.message
        if message[:1] != _QUERY_RESPONSE:
            raise DecodeError("relay-bad-message", "only answers to queries are passed on")
        limit = max(core.config.query_response_size_limit, RELAYED_SIZE_MAX)
        if len(message) > limit:
            raise DecodeError("too-large", f"{len(message)} bytes to pass on, limit {limit}")
        if relay.address is None:
            raise DecodeError("bad-address", "nowhere to pass an answer on to")
        entry = self._find(relay.name, relay.address)
        if entry is None:
            raise DecodeError("relay-unknown-destination", f"{relay.name!r} at {relay.address}")
        if entry.member.name == core.name:
            return self._deliver(message, source)
        # A broken answer would be the next member's trouble, in our name.
        decode_query_response(message)
        core.stats.relayed += 1
        core.reply(entry.member.address, entry.member.name, message)
        return True

    def _deliver(self, message: bytes, source: Source) -> bool:
        assert self.queries is not None
        return self.queries.receive(message, source)

    def _find(self, name: str, address: Address) -> Entry | None:
        """Return the member of a name at an address; without a name, whoever lives there."""
        entry = self._roster.get(name) if name else self._roster.at(address)
        return entry if entry is not None and entry.member.address == address else None

    def _own(self) -> Entry:
        entry = self._roster.get(self._core.name)
        assert entry is not None
        return entry

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        self.buffer.check_invariants()
        assert len(self._pending) <= self._core.config.pending_queries_max

    def stop(self) -> None:
        """Forget who waits: no more answers are given."""
        self._pending.clear()
