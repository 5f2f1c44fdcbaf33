"""Deadlines: the next ones first, each as it was set last."""

from __future__ import annotations

from random import Random

from kvstore.config import INTEGER_MAX
from kvstore.state.deadlines import Deadlines


def test_what_is_due_comes_in_the_order_of_deadlines_and_names() -> None:
    deadlines = Deadlines()
    for name, after in (("c", 5), ("a", 9), ("b", 5), ("later", 50)):
        deadlines.arm(name, 100, after)

    assert deadlines.next == 105
    assert deadlines.due(109, 10) == ["b", "c", "a"]
    assert deadlines.due(109, 2) == ["b", "c"]
    assert deadlines.due(104, 10) == []


def test_a_deadline_that_was_moved_counts_as_it_is_now() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 0, 10)
    deadlines.arm("a", 5, 10)

    assert deadlines.next == 15
    assert deadlines.due(10, 10) == []
    assert deadlines.due(15, 10) == ["a"]


def test_a_deadline_set_twice_to_one_time_is_due_once() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 0, 10)
    deadlines.arm("a", 0, 10)

    assert deadlines.due(10, 10) == ["a"]


def test_a_deadline_that_was_taken_away_is_no_more() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 0, 10)
    deadlines.arm("b", 0, 20)

    deadlines.disarm("a")
    deadlines.disarm("unknown")

    assert (deadlines.next, deadlines.due(30, 10)) == (20, ["b"])
    deadlines.disarm("b")
    assert deadlines.next is None


def test_names_that_are_due_stay_until_they_are_disarmed() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 0, 1)

    assert deadlines.due(5, 1) == deadlines.due(5, 1) == ["a"]


def test_a_deadline_beyond_all_numbers_is_the_last_one() -> None:
    deadlines = Deadlines()

    assert deadlines.arm("a", INTEGER_MAX - 1, 10) == INTEGER_MAX


def test_renewals_take_no_memory_and_change_no_order(seed: int) -> None:
    rng = Random(seed)
    deadlines, model = Deadlines(), dict[str, int]()
    for now in range(5000):
        name = f"{rng.randrange(20)}"
        if rng.random() < 0.2:
            deadlines.disarm(name)
            model.pop(name, None)
        else:
            model[name] = deadlines.arm(name, now, rng.randrange(1, 1000))
        assert deadlines.next == min(model.values(), default=None)
        due = sorted((at, one) for one, at in model.items() if at <= now + 200)
        assert deadlines.due(now + 200, 5) == [one for _, one in due[:5]]
        assert len(deadlines._heap) <= 2 * len(model) + 65
