"""How long the linearizability checker takes for 10,000 operations of 10 clients.

    python -m pytest tests/benchmarks/bench_linearizability.py

Each round checks one history of registers that was recorded from a linearizable system with
random delays: 40 % reads, 30 % writes, 30 % compare-and-sets, of five values or of values that
are all different, over one key or ten. The illegal ones have one read, three quarters through,
that answers what was never written. "lost" is the share of operations without an answer.
"""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from kvstore.testing import Operation, Read, Registers, Report, Verdict, check, picture
from tests.kvstore.testing.histories import register_history

OPERATIONS = 10_000


def with_a_wrong_read(history: list[Operation]) -> list[Operation]:
    """Return a history with one answer that nothing explains."""
    wrong = next(
        place
        for place in range(3 * len(history) // 4, len(history))
        if isinstance(history[place].input, Read) and history[place].returned is not None
    )
    changed = list(history)
    changed[wrong] = attrs.evolve(history[wrong], output="never written")
    return changed


@pytest.mark.parametrize("lost", [0.0, 0.005])
@pytest.mark.parametrize("values", [5, 1_000_000])
@pytest.mark.parametrize("keys", [1, 10])
def test_a_legal_history(benchmark: Any, keys: int, values: int, lost: float) -> None:
    history = register_history(Random(1), OPERATIONS, keys=keys, values=values, lost=lost)

    report: Report = benchmark.pedantic(check, (Registers(), history), rounds=3)

    assert report.verdict is Verdict.LEGAL
    benchmark.extra_info["steps"] = report.steps


@pytest.mark.parametrize("values", [5, 1_000_000])
@pytest.mark.parametrize("keys", [1, 10])
def test_an_illegal_history_with_its_window(benchmark: Any, keys: int, values: int) -> None:
    history = with_a_wrong_read(register_history(Random(1), OPERATIONS, keys=keys, values=values))

    report: Report = benchmark.pedantic(check, (Registers(), history), rounds=3)

    (part,) = report.illegal
    assert part.window is not None
    benchmark.extra_info["steps"] = report.steps
    benchmark.extra_info["operations in the window"] = len(part.window.operations)


def test_giving_up(benchmark: Any) -> None:
    """What the default limit costs: lost operations of one key and an answer nothing explains."""
    history = with_a_wrong_read(register_history(Random(1), OPERATIONS, lost=0.01))

    report: Report = benchmark.pedantic(check, (Registers(), history), rounds=1)

    assert report.verdict is not Verdict.LEGAL
    benchmark.extra_info["steps"] = report.steps


def test_a_picture(benchmark: Any) -> None:
    report = check(Registers(), with_a_wrong_read(register_history(Random(1), OPERATIONS)))

    page: str = benchmark.pedantic(picture, (report, Registers()), rounds=3)

    assert page.endswith("</html>\n")
