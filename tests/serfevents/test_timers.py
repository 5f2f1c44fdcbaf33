"""One heap of deadlines: order, cancellation, and that nothing is lost or kept."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from serfevents.timers import Timer, Timers


def fire(timers: Timers, now: float) -> list[Any]:
    """Return the arguments of all timers that are due, in the order of firing."""
    fired = []
    while (due := timers.pop_due(now)) is not None:
        action, argument = due
        action(argument)
        fired.append(argument)
        timers.check_invariants()
    return fired


def nothing(_: object) -> None:
    """Do nothing, as the action of a timer."""


def test_no_timers_have_no_deadline_and_nothing_due() -> None:
    timers = Timers()

    assert timers.next() is None
    assert timers.pop_due(1e9) is None
    assert len(timers) == 0


def test_timers_fire_in_the_order_of_their_deadlines() -> None:
    timers = Timers()
    for at in (3.0, 1.0, 2.0):
        timers.arm(at, nothing, at)

    assert timers.next() == 1.0
    assert fire(timers, 2.5) == [1.0, 2.0]
    assert timers.next() == 3.0


def test_equal_deadlines_fire_in_the_order_of_arming() -> None:
    timers = Timers()
    for name in ("first", "second", "third"):
        timers.arm(1.0, nothing, name)

    assert fire(timers, 1.0) == ["first", "second", "third"]


def test_a_timer_is_due_on_the_dot_and_not_before() -> None:
    timers = Timers()
    timers.arm(1.0, nothing, "due")

    assert timers.pop_due(0.999999) is None
    assert fire(timers, 1.0) == ["due"]
    assert fire(timers, 1.0) == []


def test_the_action_comes_with_its_argument() -> None:
    heard: list[str] = []
    timers = Timers()
    timers.arm(1.0, heard.append, "word")

    fire(timers, 1.0)

    assert heard == ["word"]


def test_a_cancelled_timer_never_fires_and_is_no_deadline() -> None:
    timers = Timers()
    first = timers.arm(1.0, nothing, "first")
    second = timers.arm(2.0, nothing, "second")
    timers.arm(3.0, nothing, "third")

    timers.cancel(second)
    timers.cancel(first)

    assert timers.next() == 3.0
    assert len(timers) == 1
    assert fire(timers, 9.0) == ["third"]


def test_a_cancelled_timer_behind_one_that_fires_is_skipped() -> None:
    timers = Timers()
    timers.arm(1.0, nothing, "first")
    second = timers.arm(2.0, nothing, "second")
    timers.cancel(second)

    assert fire(timers, 1.0) == ["first"]
    assert timers.next() is None
    assert len(timers) == 0


def test_cancelling_none_twice_or_too_late_is_no_mistake() -> None:
    timers = Timers()
    fired, kept = timers.arm(1.0, nothing, "fired"), timers.arm(2.0, nothing, "kept")
    fire(timers, 1.0)

    timers.cancel(fired)
    timers.cancel(None)
    timers.cancel(timers.arm(3.0, nothing))
    last = timers.arm(4.0, nothing)
    timers.cancel(last)
    timers.cancel(last)

    timers.check_invariants()
    assert len(timers) == 1
    timers.cancel(kept)
    assert timers.next() is None


def test_cleared_timers_are_forgotten_and_can_still_be_cancelled() -> None:
    timers = Timers()
    timers.arm(1.0, nothing)
    cancelled, armed = timers.arm(2.0, nothing), timers.arm(3.0, nothing)
    timers.cancel(cancelled)

    timers.clear()
    timers.cancel(armed)

    timers.check_invariants()
    assert (len(timers), timers.next(), timers.pop_due(9.0)) == (0, None, None)


def test_ten_thousand_cancelled_timers_leave_the_others_in_order() -> None:
    timers = Timers()
    for at in range(10_000):
        timer = timers.arm(float(at), nothing, at)
        if at % 100:
            timers.cancel(timer)
            timers.check_invariants() if at % 97 == 0 else None
        else:
            timers.arm(float(at), nothing, -at)

    timers.check_invariants()
    assert len(timers) == 200
    assert fire(timers, 200.0) == [0, 0, 100, -100, 200, -200]


@given(st.lists(st.tuples(st.sampled_from("aacf"), st.integers(0, 9)), max_size=200))
def test_the_heap_agrees_with_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    timers = Timers()
    armed: dict[int, Timer] = {}
    model: list[tuple[float, int]] = []
    for number, (step, value) in enumerate(steps):
        if step == "a":
            armed[number] = timers.arm(float(value), nothing, number)
            model.append((float(value), number))
        elif step == "c" and armed:
            key = sorted(armed)[value % len(armed)]
            timers.cancel(armed[key])
            model = [entry for entry in model if entry[1] != key]
        elif step == "f":
            due = sorted(entry for entry in model if entry[0] <= value)
            model = [entry for entry in model if entry[0] > value]
            assert fire(timers, float(value)) == [key for _, key in due]
        timers.check_invariants()

        assert len(timers) == len(model)
        assert timers.next() == min((at for at, _ in model), default=None)
