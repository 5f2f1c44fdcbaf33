from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from kvstore.testing import (
    UNKNOWN,
    Acquire,
    CompareAndSet,
    Locks,
    Model,
    Operation,
    Queues,
    Read,
    Registers,
    Release,
    Report,
    Verdict,
    Write,
    check,
)
from kvstore.testing.models import Dequeue, Enqueue
from tests.kvstore.testing.brute_force import is_linearizable, outcome
from tests.kvstore.testing.histories import (
    all_histories,
    register_history,
    shapes,
)

ANSWERED: list[tuple[Any, Any]] = [
    (Read(), 0),
    (Read(), 1),
    (Write(0), None),
    (Write(1), None),
    (CompareAndSet(0, 1), True),
    (CompareAndSet(0, 1), False),
    (CompareAndSet(1, 0), True),
    (CompareAndSet(1, 0), False),
]
LOST: list[Any] = [Write(0), Write(1), CompareAndSet(0, 1), CompareAndSet(1, 0)]
REGISTER = Registers(initial=0)


def verdict(model: Model[Any, Any, Any], *operations: Operation) -> Verdict:
    return check(model, operations).verdict


def assert_well_founded(model: Model[Any, Any, Any], report: Report) -> None:
    """What a report calls linearizations are: legal, in an order that time allows."""
    for part in report.parts:
        for order in part.linearizations:
            operations = [part.operations[place] for place in order]

            assert len(set(order)) == len(order)
            assert outcome(model, model.initial(), operations)[0]
            for place, late in enumerate(operations):
                assert not any(
                    late.returned is not None and late.returned < early.called
                    for early in operations[:place]
                )
        if part.verdict is Verdict.LEGAL:
            missing = set(range(len(part.operations))) - set(part.linearizations[0])

            assert all(part.operations[place].returned is None for place in missing)


# --- against the definition


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_every_history_of_up_to_three_operations_gets_the_verdict_of_the_definition(
    count: int,
) -> None:
    legal = 0
    for history in all_histories(count, ANSWERED, LOST):
        report = check(REGISTER, history)
        expected = is_linearizable(REGISTER, history)
        legal += expected

        assert (report.verdict is Verdict.LEGAL) == expected, history
        assert report.verdict is not Verdict.UNDECIDED
        assert_well_founded(REGISTER, report)
    assert legal == [1, 9, 295, 17429][count]


def test_every_history_of_four_operations_of_few_kinds_gets_the_verdict_of_the_definition() -> None:
    legal = 0
    answered = [(Read(), 0), (Read(), 1), (Write(1), None)]
    for history in all_histories(4, answered, [CompareAndSet(1, 0)]):
        expected = is_linearizable(REGISTER, history)
        legal += expected

        assert (check(REGISTER, history).verdict is Verdict.LEGAL) == expected, history
    assert legal == 16441


def test_the_shapes_of_small_histories_are_all_there() -> None:
    assert [len(set(shapes(count))) for count in range(6)] == [1, 1, 3, 15, 105, 945]


def test_larger_random_histories_get_the_verdict_of_the_definition(seed: int) -> None:
    rng = Random(seed)
    verdicts = set()
    for _ in range(200):
        history = random_history(rng, rng.choice([5, 6]))
        report = check(REGISTER, history)
        verdicts.add(report.verdict)

        assert (report.verdict is Verdict.LEGAL) == is_linearizable(REGISTER, history), history
        assert_well_founded(REGISTER, report)
    assert verdicts == {Verdict.LEGAL, Verdict.ILLEGAL}


def random_history(rng: Random, count: int) -> list[Operation]:
    places = list(range(2 * count))
    rng.shuffle(places)
    history: list[Operation] = []
    for client in range(count):
        called, returned = sorted(places[2 * client : 2 * client + 2])
        if rng.random() < 0.15:
            history.append(Operation(client, rng.choice(LOST), called))
        else:
            request, output = rng.choice(ANSWERED)
            history.append(Operation(client, request, called, returned, output))
    return history


# --- planted violations


def test_a_stale_read_is_illegal() -> None:
    first = Operation("a", Write(1), 0, 1)
    second = Operation("a", Write(2), 2, 3)

    assert verdict(Registers(), first, second, Operation("b", Read(), 4, 5, 1)) is Verdict.ILLEGAL
    assert verdict(Registers(), first, second, Operation("b", Read(), 3, 5, 1)) is Verdict.LEGAL
    assert verdict(Registers(), first, second, Operation("b", Read(), 4, 5, 2)) is Verdict.LEGAL


def test_a_lost_update_is_illegal() -> None:
    both = [
        Operation("a", CompareAndSet(0, 1), 0, 4, True),
        Operation("b", CompareAndSet(0, 2), 1, 5, True),
    ]

    assert verdict(REGISTER, *both) is Verdict.ILLEGAL
    assert verdict(REGISTER, both[0], attrs.evolve(both[1], output=False)) is Verdict.LEGAL


def test_a_lock_held_twice_is_illegal() -> None:
    held = Operation("a", Acquire("a"), 0, 1, True)
    freed = Operation("a", Release("a"), 4, 5, True)

    assert verdict(Locks(), held, freed, Operation("b", Acquire("b"), 2, 3, True)) is (
        Verdict.ILLEGAL
    )
    assert verdict(Locks(), held, freed, Operation("b", Acquire("b"), 2, 4.5, True)) is (
        Verdict.LEGAL
    )


def test_a_queue_that_gives_the_second_first_is_illegal() -> None:
    one, two = Operation("a", Enqueue(1), 0, 1), Operation("a", Enqueue(2), 2, 3)

    assert verdict(Queues(), one, two, Operation("b", Dequeue(), 4, 5, 2)) is Verdict.ILLEGAL
    assert verdict(Queues(), one, two, Operation("b", Dequeue(), 4, 5, 1)) is Verdict.LEGAL


def test_reads_that_go_back_and_forth_are_illegal_though_each_alone_is_not() -> None:
    write = Operation("a", Write(1), 0, 10)
    new, old = Operation("b", Read(), 1, 2, 1), Operation("c", Read(), 3, 4, None)

    assert verdict(Registers(), write, new) is Verdict.LEGAL
    assert verdict(Registers(), write, old) is Verdict.LEGAL
    assert verdict(Registers(), write, new, old) is Verdict.ILLEGAL


# --- operations without answer


def test_what_never_returned_may_have_happened_or_not() -> None:
    lost = Operation("a", Write(1), 0)

    assert verdict(Registers(), lost, Operation("b", Read(), 1, 2, 1)) is Verdict.LEGAL
    assert verdict(Registers(), lost, Operation("b", Read(), 1, 2, None)) is Verdict.LEGAL
    assert verdict(Registers(), lost) is Verdict.LEGAL


def test_what_never_returned_may_happen_much_later_but_once() -> None:
    lost = Operation("a", Write(1), 0)
    reads = [
        Operation("b", Read(), 1, 2, None),
        Operation("b", Read(), 3, 4, 1),
        Operation("b", Write(2), 5, 6),
        Operation("b", Read(), 7, 8, 1),
    ]

    assert verdict(Registers(), lost, *reads[:2]) is Verdict.LEGAL
    assert verdict(Registers(), lost, *reads) is Verdict.ILLEGAL
    assert verdict(Registers(), lost, lost, *reads) is Verdict.LEGAL


def test_what_never_returned_did_not_happen_before_its_call() -> None:
    read, lost = Operation("b", Read(), 0, 1, 1), Operation("a", Write(1), 2)

    assert verdict(Registers(), read, lost) is Verdict.ILLEGAL


def test_what_returned_has_happened_even_if_the_answer_is_unknown() -> None:
    write = Operation("a", CompareAndSet(None, 1), 0, 1, UNKNOWN)

    assert verdict(Registers(), write, Operation("b", Read(), 2, 3, 1)) is Verdict.LEGAL
    assert verdict(Registers(), write, Operation("b", Read(), 2, 3, None)) is Verdict.ILLEGAL


def test_many_lost_operations_that_are_equal_cost_no_more_than_few() -> None:
    lost = [Operation(f"lost{number}", Write(number % 2), 0) for number in range(60)]
    history = [Operation("b", Read(), 1 + 2 * n, 2 + 2 * n, n % 2) for n in range(60)]

    assert check(Registers(), [*lost, *history]).verdict is Verdict.LEGAL
    impossible = Operation("b", Read(), 1000, 1001, 7)
    report = check(Registers(), [*lost, *history, impossible])
    assert report.verdict is Verdict.ILLEGAL
    assert report.steps < 10_000


def test_lost_operations_that_need_not_have_happened_cost_little() -> None:
    lost = [Operation(f"lost{number}", Write(number), 0) for number in range(20)]
    reads = [Operation("b", Read(), 1 + 2 * n, 2 + 2 * n, 3) for n in range(20)]
    impossible = Operation("b", Read(), 1000, 1001, "never written")

    report = check(Registers(), [*lost, *reads, impossible])

    assert report.verdict is Verdict.ILLEGAL
    assert report.steps < 10_000


# --- time


def test_operations_that_touch_in_time_are_concurrent() -> None:
    write = Operation("a", Write(1), 0, 5)

    assert verdict(Registers(), write, Operation("b", Read(), 5, 6, None)) is Verdict.LEGAL
    assert verdict(Registers(), write, Operation("b", Read(), 5.1, 6, None)) is Verdict.ILLEGAL


def test_operations_of_no_duration_are_allowed() -> None:
    write = Operation("a", Write(1), 0, 0)
    reads = [Operation(client, Read(), 3, 3, 1) for client in "bcd"]

    assert verdict(Registers(), write, *reads) is Verdict.LEGAL


def test_the_order_in_which_a_history_is_given_does_not_matter(seed: int) -> None:
    rng = Random(seed)
    history = register_history(rng, 200)
    shuffled = rng.sample(history, len(history))

    assert check(Registers(), shuffled) == check(Registers(), history)


# --- parts


def test_keys_are_checked_apart() -> None:
    history = [
        Operation("a", Write(1, "x"), 0, 1),
        Operation("a", Write(1, "y"), 2, 3),
        Operation("b", Read("x"), 4, 5, 1),
        Operation("b", Read("y"), 6, 7, None),
    ]

    report = check(Registers(), history)

    assert [(part.key, part.verdict) for part in report.parts] == [
        ("x", Verdict.LEGAL),
        ("y", Verdict.ILLEGAL),
    ]
    assert report.verdict is Verdict.ILLEGAL
    assert report.illegal == report.parts[1:]
    assert report.parts[1].operations == (history[1], history[3])
    assert report.parts[1].stuck == history[3]


def test_nothing_happened_is_legal() -> None:
    assert check(Registers(), []) == Report(Verdict.LEGAL, (), 0)


def test_a_part_of_which_nothing_returned_is_legal() -> None:
    report = check(Registers(), [Operation("a", Read(), 0)])

    assert report.verdict is Verdict.LEGAL
    assert report.parts[0].linearizations == ((),)


def test_the_longest_linearizations_are_told_where_none_is_whole() -> None:
    history = [
        Operation("a", Write(1), 0, 10),
        Operation("b", Write(2), 1, 9),
        Operation("c", Read(), 11, 12, 3),
    ]

    (part,) = check(Registers(), history).parts

    assert set(part.linearizations) == {(0, 1), (1, 0)}
    assert part.stuck == history[2]


def test_no_more_than_five_of_the_longest_linearizations_are_told() -> None:
    writes = [Operation(client, Write(client), 0, 10) for client in range(7)]

    (part,) = check(Registers(), [*writes, Operation("c", Read(), 11, 12, 9)]).parts

    assert len(set(part.linearizations)) == 5


# --- limits


def hard_history(key: str = "") -> list[Operation]:
    """Twenty concurrent writes and a read of something else: every order leads nowhere."""
    writes = [Operation(client, Write(client, key), 0, 10) for client in range(20)]
    return [*writes, Operation("r", Read(key), 11, 12, "never")]


def test_a_limit_of_steps_leaves_a_hard_history_undecided() -> None:
    report = check(Registers(), hard_history(), steps=5_000)

    assert report.verdict is Verdict.UNDECIDED
    assert 5_000 <= report.steps < 5_010
    (part,) = report.parts
    assert part.verdict is Verdict.UNDECIDED
    assert part.window is None
    assert part.linearizations
    assert part.stuck is not None
    assert_well_founded(Registers(), report)


def test_the_same_limit_gives_the_same_report() -> None:
    assert check(Registers(), hard_history(), steps=777) == check(
        Registers(), hard_history(), steps=777
    )


def test_a_limit_of_time_is_the_callers_clock() -> None:
    asked: list[int] = []

    def expired() -> bool:
        asked.append(len(asked))
        return len(asked) > 3

    report = check(Registers(), hard_history(), expired=expired)

    assert report.verdict is Verdict.UNDECIDED
    assert len(asked) == 4
    assert report.steps < 20_000


def test_time_that_is_up_already_decides_nothing() -> None:
    report = check(Registers(), [Operation("a", Write(1), 0, 1)], expired=lambda: True)

    assert report.verdict is Verdict.UNDECIDED
    assert report.parts[0].linearizations == ((),)


def test_a_hard_part_hides_no_violation_of_another() -> None:
    violation = [
        Operation("a", Write(1, "easy"), 20, 21),
        Operation("a", Read("easy"), 22, 23, None),
    ]

    report = check(Registers(), [*hard_history("hard"), *violation], steps=5_000)

    assert [part.verdict for part in report.parts] == [Verdict.UNDECIDED, Verdict.ILLEGAL]
    assert report.verdict is Verdict.ILLEGAL


def test_what_is_decided_beside_something_undecided_stays_undecided() -> None:
    report = check(
        Registers(), [*hard_history("hard"), Operation("a", Write(1, "easy"), 20, 21)], steps=5_000
    )

    assert [part.verdict for part in report.parts] == [Verdict.UNDECIDED, Verdict.LEGAL]
    assert report.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("steps", [0, -1])
def test_a_check_of_no_steps_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="at least one step"):
        check(Registers(), [], steps=steps)


class Lists(Model[Any, Any, Any]):
    """Its states cannot be remembered."""

    def initial(self) -> Any:
        return []

    def step(self, state: Any, request: Any, output: Any) -> tuple[bool, Any]:
        return True, [*state, request]


def test_states_must_be_hashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        check(Lists(), [Operation("a", 1, 0, 1)])


# --- long histories


@pytest.mark.parametrize("keys", [1, 10])
@pytest.mark.parametrize("lost", [0.0, 0.002])
def test_a_long_history_of_ten_clients_is_legal_within_a_few_steps_each(
    keys: int, lost: float, seed: int
) -> None:
    history = register_history(Random(seed), 3_000, keys=keys, lost=lost)

    report = check(Registers(), history)

    assert report.verdict is Verdict.LEGAL
    assert report.steps < 30 * len(history)
    assert_well_founded(Registers(), report)


def test_one_wrong_answer_in_a_long_history_is_found(seed: int) -> None:
    rng = Random(seed)
    history = register_history(rng, 3_000, keys=3)
    reads = [n for n, each in enumerate(history) if isinstance(each.input, Read)]
    wrong = rng.choice(reads[len(reads) // 2 :])
    history[wrong] = attrs.evolve(history[wrong], output="never written")

    report = check(Registers(), history)

    (part,) = report.illegal
    assert part.stuck == history[wrong]
    assert part.window is not None
    assert part.window.stuck == history[wrong]
    assert history[wrong] in part.window.operations
    assert len(part.window.operations) < 40
