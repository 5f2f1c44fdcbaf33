"""What Serf calls an event: the outputs that handlers and RPC clients are told of, and filters.

Source: serf's cmd/serf/command/agent/event_handler.go.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from serfevents import Change, MembersChanged, QueryReceived, UserEventReceived

Happening: TypeAlias = MembersChanged | UserEventReceived | QueryReceived

KINDS = (*(change.value for change in Change), "user", "query")


def kind_of(happening: Happening) -> str:
    """Return which of `KINDS` an event is."""
    match happening:
        case MembersChanged(change):
            return change.value
        case UserEventReceived():
            return "user"
        case QueryReceived():
            return "query"


def title(happening: Happening) -> str:
    """Return what Serf's log calls an event."""
    match happening:
        case MembersChanged(change):
            return change.value
        case UserEventReceived(name=name):
            return f"user-event: {name}"
        case QueryReceived(name=name):
            return f"query: {name}"


@frozen
class Filter:
    """Which events are wanted.

    Attributes:
        kind: One of `KINDS`, or `*` for all.
        name: Of user events or queries; empty for all.
    """

    kind: str
    name: str = ""

    def admits(self, happening: Happening) -> bool:
        """Return whether an event is wanted."""
        if self.kind == "*":
            return True
        if self.kind != kind_of(happening):
            return False
        return not self.name or self.name == getattr(happening, "name", "")


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Read filters such as `member-join,user:deploy`; an empty text wants everything.

    Raises:
        ValueError: There is no such kind of event.
    """
    found = []
    for word in (text or "*").split(","):
        kind, name = word, ""
        if word.startswith(("user:", "query:")):
            kind, _, name = word.partition(":")
        if kind != "*" and kind not in KINDS:
            raise ValueError(f"{word!r} is no kind of event")
        found.append(Filter(kind, name))
    return tuple(found)
