"""Asking the cluster: queries of ours, who is expected to answer, and when it is over.

Owns the open queries, keyed by Lamport time and id together, so that two with one Lamport time
don't clobber each other; and the formula of the default timeout. A query is over as soon as
everyone has answered who was expected to, or has gone. Knows nothing of how members answer
(answers.py).

Source: serf/query.go, serf/serf.go Query, handleQueryResponse.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from serfevents.core import Core, Source
from serfevents.errors import PayloadTooLarge, QueueFull
from serfevents.filters import compile_filters
from serfevents.outputs import Kind, QueryAcknowledged, QueryAnswered, QueryFinished
from serfevents.records import Address
from serfevents.roster import Roster, is_active
from serfevents.timers import Timer
from serfevents.wire.codec import decode_query_response, encode_query
from serfevents.wire.messages import FLAG_ACK, FLAG_NO_BROADCAST, Query, QueryResponse

#: The first protocol version that has queries.
QUERY_VERSION: Final = 4
#: Names of queries that Serf answers itself.
INTERNAL_PREFIX: Final = "_serf_"
#: The one internal query that an application may ask: who acknowledges it?
PING: Final = INTERNAL_PREFIX + "ping"
#: Ids are positive 32-bit numbers, as Go's rand.Int31 draws them.
ID_BITS: Final = 31

#: Answers that are taken beyond those expected: of members that joined meanwhile.
_UNEXPECTED_MAX: Final = 64
#: How many finished queries are remembered, to tell a late answer from a wrong one.
_OVER_MAX: Final = 1024

_QUERY: Final = Kind.QUERY


def default_query_timeout(members: int, gossip_interval: float, mult: int) -> float:
    """Return how long a query stays open, in seconds.

    Gossip reaches n members in a number of rounds that grows with the logarithm of n.

    Args:
        members: How many are alive, ourselves included; >= 0.
        gossip_interval: Seconds between two rounds.
        mult: `Config.query_timeout_mult`.

    Source: serf/query.go DefaultQueryTimeout.

    >>> default_query_timeout(9, 0.2, 16), default_query_timeout(10, 0.2, 16)
    (3.2, 6.4)
    """
    return gossip_interval * mult * math.ceil(math.log10(members + 1))


class Collector:
    """What an internal query does with its answers; the default tells the application.

    A plain set of methods instead of outputs, since internal queries have no listener outside.

    Attributes:
        expects_self: Whether we answer the query ourselves, as everybody does.
    """

    expects_self = True

    def acknowledged(self, query: int, source: str) -> None:
        """A member said that the query arrived."""

    def answered(self, query: int, source: str, payload: bytes) -> None:
        """A member answered."""

    def finished(self, outcome: QueryFinished) -> None:
        """The query is over."""


class _Open:
    """A query of ours that waits for answers."""

    __slots__ = (
        "acks",
        "collector",
        "expected",
        "missing",
        "number",
        "query",
        "responses",
        "room",
        "timer",
    )

    def __init__(self, number: int, query: Query, collector: Collector) -> None:
        self.number = number
        self.query = query
        self.collector = collector
        self.expected: dict[str, None] = {}
        self.acks: dict[str, None] = {}
        self.responses: dict[str, None] = {}
        # How many acks and responses of those expected are still to come.
        self.missing = 0
        # How many more members may answer that aren't expected.
        self.room = _UNEXPECTED_MAX
        self.timer: Timer | None = None

    @property
    def wants_ack(self) -> bool:
        """Whether members shall say that it arrived."""
        return bool(self.query.flags & FLAG_ACK)

    @property
    def wants_response(self) -> bool:
        """Whether members answer at all."""
        return self.query.name != PING

    def expect(self, names: list[str]) -> None:
        """Wait for these members."""
        self.expected = dict.fromkeys(names)
        self.missing = len(names) * (self.wants_ack + self.wants_response)

    def give_up(self, name: str) -> None:
        """Don't wait for a member any more: it is gone."""
        del self.expected[name]
        self.missing -= self.wants_ack and name not in self.acks
        self.missing -= self.wants_response and name not in self.responses


class Queries:
    """Asks, and gathers the answers."""

    __slots__ = ("_address", "_core", "_open", "_over", "_roster", "_take")

    def __init__(
        self,
        core: Core,
        roster: Roster,
        address: Address,
        take: Callable[[Query], None],
    ) -> None:
        self._core = core
        self._roster = roster
        self._address = address
        # Takes a query of ours as every member takes it.
        self._take = take
        self._open: dict[tuple[int, int], _Open] = {}
        self._over: deque[tuple[int, int]] = deque(maxlen=_OVER_MAX)

    @property
    def open_count(self) -> int:
        """How many wait for answers."""
        return len(self._open)

    @property
    def default_timeout(self) -> float:
        """How long a query stays open if its asker doesn't say."""
        config = self._core.config
        members = self._roster.active_count
        return default_query_timeout(members, config.gossip_interval, config.query_timeout_mult)

    def ask(
        self,
        name: str,
        payload: bytes,
        *,
        filters: tuple[bytes, ...] = (),
        ack: bool = False,
        relay_factor: int = 0,
        timeout: float | None = None,
        broadcast: bool = True,
        collector: Collector | None = None,
    ) -> int:
        """Ask everybody who matches the filters; return the query's number.

        Raises:
            PayloadTooLarge: The encoding exceeds the limit.
            QueueFull: Too many queries are open, or wait to be sent.
            ValueError: It isn't broadcast, and concerns too many members.
        """
        core = self._core
        config = core.config
        query = Query(
            core.query_clock.time,
            2**ID_BITS - 1,
            self._address,
            core.name,
            filters,
            FLAG_ACK * ack | FLAG_NO_BROADCAST * (not broadcast),
            relay_factor,
            self.default_timeout if timeout is None else timeout,
            name,
            payload,
        )
        size = len(encode_query(query))
        if size > config.query_size_limit:
            raise PayloadTooLarge("query", size, config.query_size_limit)
        if len(self._open) >= config.open_queries_max:
            raise QueueFull("open queries", config.open_queries_max)
        concerned = self._concerned(filters)
        if broadcast:
            core.require_room(_QUERY)
        elif len(concerned) > config.direct_query_max:
            raise ValueError(
                f"a query to {len(concerned)} members is to be broadcast: "
                f"direct_query_max is {config.direct_query_max}"
            )
        query.id = core.rng.getrandbits(ID_BITS)
        core.query_clock.increment()
        core.clock_moved()
        return self._send(query, concerned, broadcast, collector or _Teller(core))

    def _send(
        self, query: Query, concerned: dict[str, Address], broadcast: bool, collector: Collector
    ) -> int:
        core = self._core
        opened = _Open(core.next_number(), query, collector)
        opened.expect([n for n in concerned if collector.expects_self or n != core.name])
        self._open[query.ltime, query.id] = opened
        opened.timer = core.timers.arm(core.now + query.timeout, self._expire, opened)
        message = encode_query(query)
        if broadcast:
            core.broadcast(_QUERY, message)
        else:
            for name, address in concerned.items():
                if name != core.name:
                    core.reply(address, name, message)
        self._take(query)
        return opened.number

    def _concerned(self, filters: tuple[bytes, ...]) -> dict[str, Address]:
        """Return who is here and matches, and where. O(n)."""
        matches = compile_filters(filters)
        return {
            entry.member.name: entry.member.address
            for entry in self._roster
            if is_active(entry) and matches(entry.member.name, entry.member.tags)
        }

    # --- answers -----------------------------------------------------------------------------

    def receive(self, payload: bytes, source: Source) -> bool:
        """Take an answer; return whether it was news.

        Raises:
            DecodeError: It is none.
        """
        return self.take(decode_query_response(payload), source)

    def take(self, response: QueryResponse, source: Source) -> bool:
        """Take an answer that is decoded; return whether it was news."""
        core = self._core
        key = response.ltime, response.id
        opened = self._open.get(key)
        if opened is None:
            if key in self._over:
                core.stats.query_late += 1
            else:
                core.reject(source, "unknown-query", f"an answer of {response.source!r}")
            return False
        if response.flags & FLAG_ACK:
            return self._take_ack(opened, response.source, source)
        return self._take_response(opened, response, source)

    def _take_ack(self, opened: _Open, name: str, source: Source) -> bool:
        stats = self._core.stats
        if not opened.wants_ack:
            self._core.reject(source, "unwanted-ack", f"of {name!r}")
            return False
        if name in opened.acks:
            stats.query_duplicate_acks += 1
            return False
        if not self._has_room(opened, name, source):
            return False
        stats.query_acks += 1
        opened.acks[name] = None
        opened.missing -= name in opened.expected
        opened.collector.acknowledged(opened.number, name)
        self._finish_if_complete(opened)
        return True

    def _take_response(self, opened: _Open, response: QueryResponse, source: Source) -> bool:
        stats = self._core.stats
        name = response.source
        if name in opened.responses:
            stats.query_duplicate_responses += 1
            return False
        if not self._has_room(opened, name, source):
            return False
        stats.query_responses += 1
        opened.responses[name] = None
        opened.missing -= opened.wants_response and name in opened.expected
        opened.collector.answered(opened.number, name, response.payload)
        self._finish_if_complete(opened)
        return True

    def _has_room(self, opened: _Open, name: str, source: Source) -> bool:
        """Whether one more member may answer: names are what a peer says they are."""
        if name in opened.expected or name in opened.acks or name in opened.responses:
            return True
        if not opened.room:
            self._core.reject(source, "too-many-answers", f"of {name!r}")
            return False
        opened.room -= 1
        return True

    def member_gone(self, name: str) -> None:
        """Don't wait for a member any more. O(open queries)."""
        for opened in list(self._open.values()):
            if name in opened.expected:
                opened.give_up(name)
                self._finish_if_complete(opened)

    def _finish_if_complete(self, opened: _Open) -> None:
        # Where nobody is expected, somebody we don't know of may still answer.
        if not opened.missing and opened.expected:
            self._finish(opened)

    def _expire(self, opened: _Open) -> None:
        self._finish(opened)

    def _finish(self, opened: _Open) -> None:
        key = opened.query.ltime, opened.query.id
        if self._open.pop(key, None) is None:
            # One that ended before in the same round ended us, and with us all the others.
            return
        self._core.timers.cancel(opened.timer)
        self._over.append(key)
        opened.collector.finished(
            QueryFinished(
                opened.number,
                len(opened.expected),
                len(opened.acks),
                len(opened.responses),
                complete=bool(opened.expected) and not opened.missing,
            )
        )

    def stop(self) -> None:
        """End all queries: no more answers are taken."""
        for opened in list(self._open.values()):
            self._finish(opened)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        for opened in self._open.values():
            missing = opened.wants_ack * sum(n not in opened.acks for n in opened.expected)
            missing += opened.wants_response * sum(
                n not in opened.responses for n in opened.expected
            )
            assert opened.missing == missing, (opened.missing, missing)


class _Teller(Collector):
    """Tells the application of the answers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def acknowledged(self, query: int, source: str) -> None:
        self._core.emit(QueryAcknowledged(query, source))

    def answered(self, query: int, source: str, payload: bytes) -> None:
        self._core.emit(QueryAnswered(query, source, payload))

    def finished(self, outcome: QueryFinished) -> None:
        self._core.emit(outcome)


def check_filter_arguments(nodes: Iterable[str], tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of a filter; refuse filters that are not texts.

    Raises:
        TypeError: They are not, or `nodes` is one text, whose letters are nobody's names.
    """
    if isinstance(nodes, str):
        raise TypeError(f"nodes are several names, not {nodes!r}")
    nodes = tuple(nodes)
    for text in (*nodes, *tags.keys(), *tags.values()):
        if not isinstance(text, str):
            raise TypeError(f"filters are texts, not {text!r}")
    return nodes
