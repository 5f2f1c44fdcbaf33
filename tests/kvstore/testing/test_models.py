from __future__ import annotations

from typing import Any

import pytest

from kvstore.testing import (
    UNKNOWN,
    Acquire,
    Add,
    Append,
    CompareAndSet,
    Contains,
    Dequeue,
    Enqueue,
    Locks,
    Members,
    Model,
    Queues,
    Read,
    Registers,
    Release,
    Remove,
    Sets,
    Write,
)

FOUR: list[Model[Any, Any, Any]] = [Registers(), Locks(), Queues(), Sets()]

# Each model with requests, answers and states enough to meet every rule.
CASES: list[tuple[Model[Any, Any, Any], list[Any], list[Any], list[Any]]] = [
    (
        Registers(),
        [Read(), Write("a"), CompareAndSet("a", "b"), Append("c")],
        [None, True, False, "a", "b", UNKNOWN],
        [None, "a", "b"],
    ),
    (
        Locks(reentrant=True),
        [Acquire(1), Release(1)],
        [True, False, UNKNOWN],
        [None, 1, 2],
    ),
    (Queues(), [Enqueue(1), Dequeue()], [None, 1, 2, UNKNOWN], [(), (1,), (2, 1)]),
    (
        Sets(),
        [Add(1), Remove(1), Contains(1), Members()],
        [True, False, frozenset(), frozenset({1}), UNKNOWN],
        [frozenset(), frozenset({1}), frozenset({1, 2})],
    ),
]


def run(model: Model[Any, Any, Any], *steps: tuple[Any, Any]) -> tuple[list[bool], Any]:
    state, legal = model.initial(), []
    for request, output in steps:
        allowed, state = model.step(state, request, output)
        legal.append(allowed)
    return legal, state


def test_a_register_answers_the_last_value_written() -> None:
    assert run(Registers(), (Read(), None), (Write(1), None), (Read(), 1)) == ([True] * 3, 1)
    assert run(Registers(), (Write(1), None), (Read(), 0))[0] == [True, False]
    assert run(Registers(initial=0), (Read(), 0))[0] == [True]


def test_a_compare_and_set_says_whether_it_compared_equal() -> None:
    assert run(Registers(1), (CompareAndSet(1, 2), True)) == ([True], 2)
    assert run(Registers(1), (CompareAndSet(1, 2), False))[0] == [False]
    assert run(Registers(1), (CompareAndSet(0, 2), False)) == ([True], 1)
    assert run(Registers(1), (CompareAndSet(0, 2), True))[0] == [False]


def test_an_append_adds_to_what_is_there() -> None:
    assert run(Registers(), (Append("a"), None), (Append("b"), None)) == ([True] * 2, "ab")


def test_a_lock_has_one_owner_at_a_time() -> None:
    assert run(Locks(), (Acquire(1), True), (Acquire(2), False)) == ([True] * 2, 1)
    assert run(Locks(), (Acquire(1), True), (Acquire(2), True))[0] == [True, False]
    assert run(Locks(), (Acquire(1), True), (Release(1), True)) == ([True] * 2, None)


def test_only_its_owner_releases_a_lock() -> None:
    assert run(Locks(), (Acquire(1), True), (Release(2), False)) == ([True] * 2, 1)
    assert run(Locks(), (Acquire(1), True), (Release(2), True))[0] == [True, False]
    assert run(Locks(), (Release(1), False)) == ([True], None)


def test_whether_an_owner_acquires_twice_is_a_choice() -> None:
    twice = ((Acquire(1), True), (Acquire(1), True))

    assert run(Locks(), *twice)[0] == [True, False]
    assert run(Locks(reentrant=True), *twice) == ([True] * 2, 1)


def test_a_queue_gives_first_what_came_first() -> None:
    both = ((Enqueue(1), None), (Enqueue(2), None))

    assert run(Queues(), *both, (Dequeue(), 1)) == ([True] * 3, (2,))
    assert run(Queues(), *both, (Dequeue(), 2))[0] == [True, True, False]
    assert run(Queues(), (Dequeue(), None)) == ([True], ())


def test_a_set_tells_what_is_new_and_what_was_there() -> None:
    assert run(Sets(), (Add(1), True), (Add(1), False)) == ([True] * 2, {1})
    assert run(Sets(), (Remove(1), False), (Add(1), True), (Remove(1), True)) == ([True] * 3, set())
    assert run(Sets(), (Add(1), True), (Contains(1), True), (Contains(2), False))[0] == [True] * 3
    assert run(Sets(), (Add(1), True), (Members(), frozenset({1})))[0] == [True] * 2
    assert run(Sets(), (Add(1), True), (Members(), frozenset()))[0] == [True, False]


@pytest.mark.parametrize(("model", "requests", "outputs", "states"), CASES)
def test_an_unknown_answer_is_legal_and_changes_what_the_right_one_changes(
    model: Model[Any, Any, Any], requests: list[Any], outputs: list[Any], states: list[Any]
) -> None:
    for request in requests:
        for state in states:
            legal, after = model.step(state, request, UNKNOWN)
            known = [model.step(state, request, output) for output in outputs]

            assert legal
            assert {following for allowed, following in known if allowed} == {after}


@pytest.mark.parametrize(("model", "requests", "outputs", "states"), CASES)
def test_what_is_called_pure_changes_no_state_in_which_it_is_legal(
    model: Model[Any, Any, Any], requests: list[Any], outputs: list[Any], states: list[Any]
) -> None:
    pure = 0
    for request in requests:
        for output in outputs:
            if model.is_pure(request, output):
                pure += 1
                steps = [(state, model.step(state, request, output)) for state in states]

                assert all(after == state for state, (legal, after) in steps if legal)
    assert pure > 0


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        (Registers(), Read("x")),
        (Locks(), Acquire(1, "x")),
        (Queues(), Dequeue("x")),
        (Sets(), Members("x")),
    ],
)
def test_every_key_is_a_part(model: Model[Any, Any, Any], request_: Any) -> None:
    assert model.key(request_) == "x"


@pytest.mark.parametrize(
    ("model", "request_", "output", "text"),
    [
        (Registers(), Read(), 3, "read → 3"),
        (Registers(), Read(), UNKNOWN, "read → ?"),
        (Registers(), Write(3), None, "write(3)"),
        (Registers(), Write(3), UNKNOWN, "write(3) → ?"),
        (Registers(), CompareAndSet(3, 4), True, "cas(3, 4) → ok"),
        (Registers(), CompareAndSet(3, 4), False, "cas(3, 4) → refused"),
        (Registers(), CompareAndSet(3, 4), UNKNOWN, "cas(3, 4) → ?"),
        (Registers(), Append("a"), None, "append('a')"),
        (Locks(), Acquire("alice"), True, "acquire('alice') → ok"),
        (Locks(), Release("alice"), False, "release('alice') → refused"),
        (Queues(), Enqueue(3), None, "enqueue(3)"),
        (Queues(), Dequeue(), 3, "dequeue → 3"),
        (Queues(), Dequeue(), UNKNOWN, "dequeue → ?"),
        (Sets(), Add(3), True, "add(3) → ok"),
        (Sets(), Remove(3), False, "remove(3) → refused"),
        (Sets(), Contains(3), True, "contains(3) → ok"),
        (Sets(), Members(), frozenset({2, 1}), "members → {1, 2}"),
        (Sets(), Members(), UNKNOWN, "members → ?"),
        (Model(), "ping", "pong", "'ping' → 'pong'"),
        (Model(), "ping", UNKNOWN, "'ping' → ?"),
    ],
)
def test_an_operation_reads_as_people_write_it(
    model: Model[Any, Any, Any], request_: Any, output: Any, text: str
) -> None:
    assert model.describe_operation(request_, output) == text


def test_a_state_reads_as_people_write_it() -> None:
    assert Registers().describe_state("a") == "'a'"
    assert Locks().describe_state(None) == "free"
    assert Locks().describe_state("alice") == "held by 'alice'"
    assert Sets().describe_state(frozenset({3, 1, 2})) == "{1, 2, 3}"


def test_a_model_of_ones_own_needs_a_beginning_and_a_step_and_no_more() -> None:
    model: Model[int, str, int] = Model()

    with pytest.raises(NotImplementedError):
        model.initial()
    with pytest.raises(NotImplementedError):
        model.step(0, "increment", 1)
    assert model.key("increment") is None
    assert not model.is_pure("increment", 1)
