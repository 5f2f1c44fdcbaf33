"""Gathering: what is kept, and when the window closes. Source: serf/coalesce_*_test.go."""

import random

from serfevents import Change, MembersChanged, Status
from serfevents.coalesce import MemberChanges, NewestEvents, Window
from serfevents.config import Config
from serfevents.core import Core
from serfevents.records import Recovered
from tests.serfevents.vocabulary import changed, event, member


def test_the_newest_change_of_each_member_is_kept() -> None:
    changes = MemberChanges()
    for change in (Change.JOIN, Change.LEAVE, Change.JOIN):
        changes.add(change, member("a"))
    changes.add(Change.LEAVE, member("b"))
    changes.add(Change.JOIN, member("c"))

    assert len(changes) == 3
    assert changes.flush() == [
        changed(Change.JOIN, member("a"), member("c")),
        changed(Change.LEAVE, member("b")),
    ]
    assert len(changes) == 0
    assert changes.flush() == []


def test_what_was_told_last_is_not_told_again_but_updates_are() -> None:
    changes = MemberChanges()

    def flushed(change: Change) -> list[MembersChanged]:
        changes.add(change, member("a"))
        return changes.flush()

    assert flushed(Change.JOIN) != []
    assert flushed(Change.JOIN) == []
    assert flushed(Change.UPDATE) != []
    assert flushed(Change.UPDATE) != []
    assert flushed(Change.FAILED) != []
    assert flushed(Change.REAP) != []
    assert flushed(Change.JOIN) != []


def test_the_member_is_told_as_it_is_in_the_end() -> None:
    changes = MemberChanges()

    changes.add(Change.JOIN, member("a"))
    changes.add(Change.FAILED, member("a", Status.FAILED))

    assert changes.flush() == [changed(Change.FAILED, member("a", Status.FAILED))]


def test_all_events_of_the_newest_time_of_a_name_are_kept() -> None:
    events = NewestEvents()
    sent = [event("x", 2), event("x", 2, b"p"), event("y", 9), event("x", 1), event("x", 3)]
    sizes = []

    for each in sent:
        events.add(each)
        sizes.append(len(events))

    assert sizes == [1, 2, 3, 3, 2]
    assert list(events.flush()) == [event("x", 3), event("y", 9)]
    assert (len(events), list(events.flush())) == (0, [])


def fired(window: Window, core: Core, flushes: list[float], until: float) -> list[float]:
    """Let time pass, and return when the window closed."""
    while (at := core.timers.next()) is not None and at <= until:
        core.now = at
        due = core.timers.pop_due(at)
        assert due is not None
        due[0](due[1])
    core.now = until
    return flushes


def test_the_window_closes_when_it_is_quiet_and_at_the_latest_after_its_period() -> None:
    core = Core("a", Config(), random.Random(1), 0.0, Recovered())
    flushes: list[float] = []
    window = Window(core, 3.0, 1.0, lambda: flushes.append(core.now))

    window.extend()
    assert fired(window, core, flushes, 5.0) == [1.0]
    for tenth in range(51, 100):
        fired(window, core, flushes, tenth / 10)
        window.extend()
    assert [round(at, 6) for at in fired(window, core, flushes, 20.0)] == [1.0, 8.1, 10.9]


def test_a_window_that_is_shut_does_not_flush() -> None:
    core = Core("a", Config(), random.Random(1), 0.0, Recovered())
    flushes: list[float] = []
    window = Window(core, 3.0, 1.0, lambda: flushes.append(core.now))
    window.extend()

    window.shut()

    assert fired(window, core, flushes, 9.0) == []
    window.extend()
    assert fired(window, core, flushes, 20.0) == [10.0]
