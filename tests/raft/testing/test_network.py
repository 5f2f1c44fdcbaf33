"""The network kernel's edges, which chaos with Raft does not reach by itself."""

from __future__ import annotations

from typing import Any

import pytest

from raft.testing import Network


class Echo:
    """A machine that counts what it is given."""

    def __init__(self, due: float | None = None) -> None:
        self.due = due
        self.given: list[float] = []

    def poll(self) -> Any:
        return None

    def next_timeout(self) -> float | None:
        return self.due

    def handle_timeout(self, now: float) -> None:
        self.due = None
        self.given.append(now)

    def hear(self, now: float, *, times: int = 1) -> None:
        self.given += times * [now]


def network() -> Network:
    found = Network(1, latency=(0.1, 0.1), buffer=2)
    found.watched = True
    found.enter("a", Echo())
    found.enter("b", Echo())
    return found


def test_a_network_by_itself_routes_nothing_and_looks_at_nobody() -> None:
    with pytest.raises(NotImplementedError):
        network().route("a", "output")


def test_a_paused_machine_keeps_as_much_as_its_buffer_takes() -> None:
    found = network()
    found.pause("b")
    found.pause("b")

    for _ in range(5):
        found.send("a", "b", "hear", ())
    found.run(1.0)
    assert found.machines["b"].given == []
    found.resume("b")

    # First its timers, late; then what waited.
    assert found.machines["b"].given == 3 * [1.0]


def test_what_waits_for_a_paused_machine_keeps_its_options() -> None:
    found = network()
    found.pause("b")

    found.give("b", "hear", (), times=2)
    found.resume("b")

    # First its timers; then what waited.
    assert found.machines["b"].given == [0.0] + 2 * [0.0]


def test_what_a_paused_machine_sends_waits_too() -> None:
    found = network()
    found.pause("a", timers=True)

    found.send("a", "b", "hear", ())
    found.run(1.0)
    found.resume("a")
    found.run(1.0)

    assert found.machines["b"].given == [1.1]


def test_a_stopped_machine_does_not_hear_its_timer() -> None:
    found = network()
    found.enter("c", Echo(due=0.5))
    found.pause("c")

    found.run(1.0)
    assert found.machines["c"].given == []
    found.resume("c")

    assert found.machines["c"].given == [1.0]


def test_who_is_gone_is_given_nothing() -> None:
    found = network()
    found.remove("b")

    found.send("a", "b", "hear", ())
    found.run(1.0)

    assert found.give("b", "hear", ()) is None


def test_packets_are_lost_doubled_and_slowed() -> None:
    found = network()
    found.conditions(loss=1.0)
    found.send("a", "b", "hear", ())
    found.conditions(loss=0.0, duplication=1.0, reordering=1.0, latency=(0.1, 0.2))
    found.slow("b", 5.0)
    found.send("a", "b", "hear", ())
    found.run(20.0)

    assert len(found.machines["b"].given) == 2
    assert min(found.machines["b"].given) > 5.0


def test_a_deadline_that_moved_away_is_armed_again() -> None:
    found = network()
    echo = Echo(due=0.5)
    found.enter("c", echo)
    echo.due = 0.8

    found.run(0.7)
    assert echo.given == []
    found.run(0.3)

    assert echo.given == [0.8]
