"""What a machine wants remembered across a restart, one record at a time.

Owns the records and what they add up to (`Recovered`). Knows nothing of files: the machine puts
out `Remember(record)`, snapshots/ turns records into lines of Serf's snapshot file and back, and a
machine that starts anew is given what was recovered.

Source: serf/snapshot.go.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

#: An endpoint: the IP as text and the port.
Address: TypeAlias = tuple[str, int]


@frozen
class Alive:
    """A member is alive at an address: a candidate to rejoin through (`alive: NAME ADDR:PORT`)."""

    name: str
    address: Address


@frozen
class NotAlive:
    """A member failed, left, or was pruned (`not-alive: NAME`)."""

    name: str


@frozen
class Clock:
    """Newest Lamport time of membership intents that was seen (`clock: N`)."""

    ltime: int


@frozen
class EventClock:
    """Newest Lamport time of user events that was seen (`event-clock: N`)."""

    ltime: int


@frozen
class QueryClock:
    """Newest Lamport time of queries that was seen (`query-clock: N`)."""

    ltime: int


@frozen
class Leave:
    """We left on purpose: without `rejoin_after_leave`, what came before is void (`leave`)."""


@frozen
class Coordinate:
    """A line of old versions, which nobody reads any more (`coordinate: JSON`).

    Attributes:
        text: What followed the colon, as it stood.
    """

    text: str


Record: TypeAlias = Alive | NotAlive | Clock | EventClock | QueryClock | Leave | Coordinate


@frozen
class Recovered:
    """What a snapshot adds up to; a machine starts from it.

    Attributes:
        alive: Members that were alive at the end, in the order in which they were first written.
        clock: Newest Lamport time of membership intents; 0 if none is known.
        event_clock: Newest Lamport time of user events; they are not delivered again.
        query_clock: Newest Lamport time of queries; they are not delivered again.
    """

    alive: tuple[Alive, ...] = ()
    clock: int = 0
    event_clock: int = 0
    query_clock: int = 0
