from __future__ import annotations

from random import Random

import pytest

from kvstore.testing import (
    CompareAndSet,
    Operation,
    Read,
    Verdict,
    Window,
    Write,
    check,
    windows,
)
from tests.kvstore.testing.brute_force import (
    History,
    is_linearizable,
    is_possible_from,
    possible_states,
)
from tests.kvstore.testing.histories import all_histories
from tests.kvstore.testing.test_linearizability import ANSWERED, LOST, REGISTER, random_history


def window_of(history: History) -> Window:
    (part,) = check(REGISTER, history).parts
    assert part.window is not None
    return part.window


def assert_shortest(history: History) -> None:
    """By the definition: the window is impossible, and no part of it is."""
    window = window_of(history)
    begin = window.begin - 0.5  # places are whole numbers: the moment before the call

    assert window.is_shortest
    assert set(window.states) == possible_states(REGISTER, history, begin)
    assert len(set(window.states)) == len(window.states)
    assert not is_possible_from(REGISTER, set(window.states), history, begin, window.end)
    for later in (each.called - 0.5 for each in history if window.begin < each.called < window.end):
        states = possible_states(REGISTER, history, later)
        assert is_possible_from(REGISTER, states, history, later, window.end)
    # What came before the end was possible, so no window ends earlier.
    before = [
        each if each.returned is None or each.returned < window.end else pending(each)
        for each in history
        if each.called < window.end
    ]
    assert is_linearizable(REGISTER, before)


def pending(operation: Operation) -> Operation:
    return Operation(operation.client, operation.input, operation.called)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_window_of_every_small_illegal_history_is_the_shortest(count: int) -> None:
    illegal = 0
    for history in all_histories(count, ANSWERED, LOST):
        if check(REGISTER, history).verdict is Verdict.ILLEGAL:
            illegal += 1
            assert_shortest(history)
    assert illegal == [0, 3, 137, 8491][count]


def test_the_windows_of_larger_random_histories_are_the_shortest(seed: int) -> None:
    rng = Random(seed)
    for _ in range(150):
        history = random_history(rng, rng.choice([4, 5, 6]))
        if check(REGISTER, history).verdict is Verdict.ILLEGAL:
            assert_shortest(history)


def test_a_stale_read_is_a_window_by_itself() -> None:
    history = [
        Operation("a", Write(1), 0, 1),
        Operation("a", Write(2), 2, 3),
        Operation("b", Read(), 4, 5, 1),
        Operation("a", Write(3), 6, 7),
    ]

    assert window_of(history) == Window(4, 5, (2,), (history[2],), history[2], True)


def test_a_window_holds_what_was_under_way() -> None:
    history = [
        Operation("a", Write(1), 0, 1),
        Operation("b", Write(2), 2, 9),
        Operation("c", Read(), 3, 4, 2),
        Operation("d", Write(1), 5),
        Operation("c", Read(), 6, 7, 0),
    ]

    window = window_of(history)

    assert (window.begin, window.end) == (6, 7)
    assert set(window.states) == {1, 2}
    assert window.operations == (history[1], history[3], history[4])
    assert window.stuck == history[4]


def test_a_read_that_comes_first_in_the_search_hides_no_state_of_before_its_call() -> None:
    history = [
        Operation("a", Write(1), 0, 9),
        Operation("b", Read(), 1, 6, 7),
        Operation("c", Read(), 2, 5, 0),
    ]

    assert_shortest(history)
    assert set(window_of(history).states) == {0, 1}


def test_a_window_begins_as_early_as_it_takes() -> None:
    history = [
        Operation("a", Write(1), 0, 1),
        Operation("b", CompareAndSet(1, 2), 2, 6, True),
        Operation("c", CompareAndSet(1, 3), 3, 7, True),
        Operation("d", Read(), 8, 9, 3),
    ]

    window = window_of(history)

    # At 3 the state may be 1 still, with b's operation to come: not yet impossible.
    assert (window.begin, window.end) == (2, 7)
    assert window.states == (1,)
    assert window.stuck == history[2]


def test_a_window_that_takes_too_long_to_find_begins_with_the_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = [
        Operation("a", Write(1), 0, 1),
        Operation("a", Write(2), 2, 3),
        Operation("b", Read(), 4, 5, 1),
    ]
    monkeypatch.setattr(windows, "WINDOW_STEPS_MAX", 1)

    window = window_of(history)

    assert window == Window(0, 5, (0,), tuple(history), history[2], False)
