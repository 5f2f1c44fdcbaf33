"""One blocking query: what it reads, and whether its answer may be new.

Source: Consul agent/blockingquery.
"""

from __future__ import annotations

from typing import TypeAlias

from kvstore.change import REVISION, Change
from kvstore.commands import Count, Get, Keys, Range
from kvstore.watches.values import WatchSpec

Query: TypeAlias = Get | Range | Count | Keys


class Wait:
    """One blocking query.

    Attributes:
        id: Its id.
        query: What to answer.
        spec: What it selects.
        index: What has to be passed.
        actor: By whose rights.
        is_ready: Whether it was passed, or the time is over.
        timed_out: Whether the time is over.
        is_reset: Whether the store was replaced.
        pending: Always empty.
        room: Always 0: a wait wants to look at changes itself.
    """

    __slots__ = (
        "actor",
        "id",
        "index",
        "is_ready",
        "is_reset",
        "pending",
        "query",
        "room",
        "spec",
        "timed_out",
    )

    def __init__(
        self, id_: int, query: Query, spec: WatchSpec, index: int, actor: str | None
    ) -> None:
        self.id = id_
        self.query = query
        self.spec = spec
        self.index = index
        self.actor = actor
        self.is_ready = False
        self.timed_out = False
        self.is_reset = False
        self.pending: list[Change] = []
        self.room = 0

    def take(self, _sequence: int, change: Change) -> bool:
        """Look at a change of what the query selects; return whether it is news."""
        self.is_ready = self.is_ready or change[REVISION] > self.index
        return self.is_ready


def selected_by(query: Query) -> WatchSpec:
    """Return what a query selects."""
    match query:
        case Get(key=key):
            return WatchSpec(key=key)
        case (
            Range(prefix=prefix, start=start, end=end) | Count(prefix=prefix, start=start, end=end)
        ):
            return WatchSpec(prefix=prefix, start=start, end=end)
        case Keys(prefix=prefix):
            return WatchSpec(prefix=prefix)
    raise TypeError(f"{type(query).__name__} is no query to wait for")
