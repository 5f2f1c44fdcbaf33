"""Every knob of a member's events layer, with its unit, default and origin.

Owns validation: a `Config` that exists is usable. Knows nothing of the machine.

Source: serf/config.go; the agent's own defaults are in `Config.agent`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from attrs import Attribute, evolve, field, frozen

#: Protocol versions of Serf that are spoken here: 3 has tags, 4 has queries.
PROTOCOL_VERSION_MIN: Final = 2
PROTOCOL_VERSION_MAX: Final = 5

#: Most bytes of a user event, whatever is configured. Source: serf/serf.go UserEventSizeLimit.
USER_EVENT_SIZE_MAX: Final = 9 * 1024

#: Most bytes of encoded tags: memberlist's MetaMaxSize.
TAGS_SIZE_MAX: Final = 512

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def _number(low: float, high: float, *, kind: type = float) -> _Check:
    """Return a validator: a finite number (an int where `kind` says so) within [low, high]."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        allowed = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise TypeError(f"{attribute.name} must be a number, not {value!r}")
        assert isinstance(value, (int, float))
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{attribute.name} must be within [{low}, {high}], not {value!r}")

    return check


def _seconds(low: float = 0.001, high: float = 1e9) -> _Check:
    return _number(low, high)


def _count(low: int, high: int) -> _Check:
    return _number(low, high, kind=int)


@frozen(kw_only=True)
class Config:
    """How one member's events layer behaves. Durations are seconds, sizes are bytes.

    Attributes:
        protocol_version: Serf's, 2 to 5: below 3 only the tag `role` is told, below 4 there are
            no queries.
        gossip_interval: That of the gossip underneath; query timeouts are multiples of it.
        event_buffer: How many Lamport times of user events are remembered, against repeats and
            for replay. A peer with a larger buffer may replay what ours has forgotten.
        event_buffer_size_max: Bytes of all the events in it; the oldest go first.
        query_buffer: How many Lamport times of queries are remembered, against repeats.
        query_ids_max: Queries remembered of all those times together.
        user_event_size_limit: Name and payload of our own user events together, and also their
            encoding.
        query_size_limit: Encoding of our own queries.
        query_response_size_limit: Encoding of our own answers, and of what we relay for others.
        query_timeout_mult: Default timeout of a query: this x `gossip_interval` x
            ceil(log10(n + 1)).
        open_queries_max: Queries of ours that wait for answers at once.
        pending_queries_max: Queries of others that wait for our answer at once; the oldest are
            forgotten.
        direct_query_max: Members that a query which isn't broadcast goes to.
        reap_interval: Period in which the dead and left are looked through.
        reconnect_interval: Period in which a failed member may be tried; 0 turns it off.
        reconnect_timeout: A failed member is forgotten after it.
        tombstone_timeout: A member that left is forgotten after it.
        recent_intent_timeout: Lifetime of intents about members not known yet.
        recent_intents_max: How many of them are kept; the oldest go first.
        members_max: Members that are known at once; the oldest failed or left go first.
        flap_timeout: A member that is back this soon after failing counts as flapping.
        broadcast_timeout: Wait for our own leave intent to be sent.
        leave_propagate_delay: Pause at the end of a leave, for the news to spread.
        queue_depth_max: Broadcasts of one kind (intents, queries, events) that wait at once; more
            of our own are refused, more of others not passed on.
        queue_depth_min: If not 0: the limit is twice the members, and at least this, instead.
        coalesce_period: Membership changes are gathered at most so long; 0 tells each at once.
        quiescent_period: They are told once nothing changed for so long.
        user_coalesce_period: The same for user events that may be coalesced.
        user_quiescent_period: The same for user events that may be coalesced.
        coalesced_max: Members, or user events, gathered at once; more are told early.
        name_conflict_vote: Whether a clash over our own name is put to the vote.
        remember_interval: Period in which moved clocks are put out for the snapshot.
        snapshot: Whether `Remember` is put out at all.
        state_size_max: A push/pull state that is merged.
        ltime_jump_max: A Lamport time so far ahead of our clock is not believed: a few of them
            would bring all clocks to their end.
        recent_payloads_max: Payloads that are told apart from repeats by their bytes alone.
        counted_names_max: Names of events and queries that have a counter each.
    """

    protocol_version: int = field(
        default=5, validator=_count(PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX)
    )
    gossip_interval: float = field(default=0.2, validator=_seconds())
    event_buffer: int = field(default=512, validator=_count(1, 1 << 20))
    event_buffer_size_max: int = field(default=16 << 20, validator=_count(1 << 10, 1 << 32))
    query_buffer: int = field(default=512, validator=_count(1, 1 << 20))
    query_ids_max: int = field(default=65536, validator=_count(1, 1 << 24))
    user_event_size_limit: int = field(default=512, validator=_count(1, USER_EVENT_SIZE_MAX))
    query_size_limit: int = field(default=1024, validator=_count(1, 65000))
    query_response_size_limit: int = field(default=1024, validator=_count(1, 65000))
    query_timeout_mult: int = field(default=16, validator=_count(1, 100_000))
    open_queries_max: int = field(default=4096, validator=_count(1, 1 << 20))
    pending_queries_max: int = field(default=4096, validator=_count(1, 1 << 20))
    direct_query_max: int = field(default=64, validator=_count(1, 1 << 16))
    reap_interval: float = field(default=15.0, validator=_seconds())
    reconnect_interval: float = field(default=30.0, validator=_seconds(0))
    reconnect_timeout: float = field(default=86400.0, validator=_seconds(0))
    tombstone_timeout: float = field(default=86400.0, validator=_seconds(0))
    recent_intent_timeout: float = field(default=300.0, validator=_seconds(0))
    recent_intents_max: int = field(default=65536, validator=_count(1, 1 << 24))
    members_max: int = field(default=100_000, validator=_count(1, 1 << 20))
    flap_timeout: float = field(default=60.0, validator=_seconds(0))
    broadcast_timeout: float = field(default=5.0, validator=_seconds())
    leave_propagate_delay: float = field(default=1.0, validator=_seconds(0))
    queue_depth_max: int = field(default=4096, validator=_count(1, 1 << 24))
    queue_depth_min: int = field(default=0, validator=_count(0, 1 << 24))
    coalesce_period: float = field(default=0.0, validator=_seconds(0))
    quiescent_period: float = field(default=0.0, validator=_seconds(0))
    user_coalesce_period: float = field(default=0.0, validator=_seconds(0))
    user_quiescent_period: float = field(default=0.0, validator=_seconds(0))
    coalesced_max: int = field(default=65536, validator=_count(1, 1 << 24))
    name_conflict_vote: bool = True
    remember_interval: float = field(default=0.5, validator=_seconds())
    snapshot: bool = False
    state_size_max: int = field(default=4 << 20, validator=_count(1 << 10, 1 << 30))
    ltime_jump_max: int = field(default=1 << 48, validator=_count(1, 1 << 63))
    recent_payloads_max: int = field(default=4096, validator=_count(0, 1 << 24))
    counted_names_max: int = field(default=256, validator=_count(0, 1 << 20))

    def __attrs_post_init__(self) -> None:
        pairs = (
            ("coalesce_period", "quiescent_period"),
            ("user_coalesce_period", "user_quiescent_period"),
        )
        for period, quiescent in pairs:
            if bool(getattr(self, period)) != bool(getattr(self, quiescent)):
                raise ValueError(
                    f"{period} and {quiescent} go together: with one of them 0, events would "
                    "be gathered but never told, or told at once and never gathered"
                )

    @classmethod
    def agent(cls, **changes: Any) -> Config:
        """Return the defaults of Serf's agent, which gathers changes before it tells of them.

        >>> Config.agent().coalesce_period, Config().coalesce_period
        (3.0, 0.0)
        """
        preset: dict[str, Any] = {
            "coalesce_period": 3.0,
            "quiescent_period": 1.0,
            "user_coalesce_period": 3.0,
            "user_quiescent_period": 1.0,
        }
        return cls(**(preset | changes))

    def changed(self, **changes: Any) -> Config:
        """Return a copy with some fields changed, validated anew."""
        return evolve(self, **changes)
