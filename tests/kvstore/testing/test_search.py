from __future__ import annotations

from random import Random
from typing import Any

import pytest

from kvstore.testing import UNKNOWN, Model, Operation, Read, Registers, Verdict, Write, check
from kvstore.testing.search import Search
from tests.kvstore.testing.histories import register_history


def test_a_search_in_pieces_finds_what_a_search_at_once_finds(seed: int) -> None:
    history = register_history(Random(seed), 300, values=2)
    history.append(Operation("late", Read(0), 1e9, 2e9, "never written"))
    whole, pieces = Search(Registers(), history), Search(Registers(), history)

    whole.run(10**9)
    while pieces.legal is None:
        before = pieces.steps
        pieces.run(7)
        assert pieces.steps - before < 7 + 20

    assert pieces.legal is whole.legal is False
    assert pieces.steps == whole.steps
    assert pieces.seen == whole.seen
    assert pieces.longest == whole.longest


def test_a_search_that_is_over_does_nothing_more() -> None:
    search = Search(Registers(), [Operation("a", Write(1), 0, 1)])
    search.run(100)
    steps = search.steps

    search.run(100)

    assert search.legal
    assert search.steps == steps


class Log(Model[tuple[int, ...], Any, Any]):
    """Appends lists, which are not hashable, and answers the length."""

    def initial(self) -> tuple[int, ...]:
        return ()

    def step(self, state: tuple[int, ...], request: Any, output: Any) -> tuple[bool, Any]:
        after = (*state, *request)
        return output in (UNKNOWN, len(after)), after


def test_requests_need_not_be_hashable() -> None:
    lost = [Operation(n, [n % 2], 0) for n in range(3)]

    for length, verdict in [(1, Verdict.LEGAL), (4, Verdict.LEGAL), (5, Verdict.ILLEGAL)]:
        history = [*lost, Operation("a", [9], 1, 2, length)]
        assert check(Log(), history).verdict is verdict


def test_pure_operations_are_never_left_out_where_they_are_legal() -> None:
    reads = [Operation(n, Read(), n, 100 + n, None) for n in range(30)]
    impossible = Operation("late", Read(), 500, 501, "never written")

    search = Search(Registers(), [*reads, impossible])
    search.run(10**9)

    assert search.legal is False
    assert search.steps < 200


@pytest.mark.parametrize("count", [10, 1_000])
def test_pure_operations_are_never_tried_in_two_orders(count: int) -> None:
    reads = [Operation(n, Read(), n, count + n, None) for n in range(count // 2)]

    search = Search(Registers(), [*reads, Operation("w", Write(1), 0, 3 * count)])
    search.run(10**9)

    assert search.legal
    assert search.steps <= 2 * count
