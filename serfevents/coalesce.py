"""Gathering what happens in quick succession, so that it is told once.

Owns the two rules of what is kept, and the window in which they gather: it closes when nothing
came for a while, and at the latest some time after the first.

Source: serf/coalesce.go, coalesce_member.go, coalesce_user.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from serfevents.core import Core
from serfevents.members import Member
from serfevents.outputs import Change, MembersChanged
from serfevents.timers import Timer
from serfevents.wire.messages import UserEvent


class Window:
    """When to flush.

    The timer is moved lazily: while things come, it is only noted when the last one came.
    """

    __slots__ = ("_closes", "_core", "_flush", "_last", "_period", "_quiescent", "_timer")

    def __init__(
        self, core: Core, period: float, quiescent: float, flush: Callable[[], None]
    ) -> None:
        self._core = core
        self._period = period
        self._quiescent = quiescent
        self._flush = flush
        self._timer: Timer | None = None
        self._closes = self._last = 0.0

    def extend(self) -> None:
        """Note that something came; open the window if it is shut."""
        now = self._core.now
        self._last = now
        if self._timer is None:
            self._closes = now + self._period
            self._arm()

    def shut(self) -> None:
        """Shut it without a flush: there is nothing to be told."""
        self._core.timers.cancel(self._timer)
        self._timer = None

    def _arm(self) -> None:
        at = min(self._closes, self._last + self._quiescent)
        self._timer = self._core.timers.arm(at, self._expire)

    def _expire(self, _: object) -> None:
        if min(self._closes, self._last + self._quiescent) > self._core.now:
            self._arm()
            return
        self._timer = None
        self._flush()


class MemberChanges:
    """The newest change of each member; one that only repeats what was told last is dropped."""

    __slots__ = ("_gathered", "_told")

    def __init__(self) -> None:
        self._gathered: dict[str, tuple[Change, Member]] = {}
        # What was last told of a member. Entries go when the member is reaped.
        self._told: dict[str, Change] = {}

    def __len__(self) -> int:
        return len(self._gathered)

    def add(self, change: Change, member: Member) -> None:
        """Take a change, which replaces an earlier one of the member."""
        self._gathered[member.name] = change, member

    def flush(self) -> list[MembersChanged]:
        """Return what is to be told, a group for each kind of change."""
        groups: dict[Change, list[Member]] = {}
        for name, (change, member) in self._gathered.items():
            if self._told.get(name) is change and change is not Change.UPDATE:
                continue
            if change is Change.REAP:
                self._told.pop(name, None)
            else:
                self._told[name] = change
            groups.setdefault(change, []).append(member)
        self._gathered.clear()
        return [MembersChanged(change, tuple(members)) for change, members in groups.items()]


class NewestEvents:
    """The events with the newest Lamport time of each name."""

    __slots__ = ("_count", "_newest")

    def __init__(self) -> None:
        self._newest: dict[str, list[UserEvent]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, event: UserEvent) -> None:
        """Take an event: it replaces older ones of its name, or joins those of its time."""
        events = self._newest.get(event.name)
        if events is None or events[0].ltime < event.ltime:
            self._count += 1 - len(events or ())
            self._newest[event.name] = [event]
        elif events[0].ltime == event.ltime:
            events.append(event)
            self._count += 1

    def flush(self) -> Iterable[UserEvent]:
        """Return what is to be told, names in the order in which they first came."""
        newest, self._newest, self._count = self._newest, {}, 0
        return [event for events in newest.values() for event in events]
