"""Lifeguard's suspicion: the formulas against HashiCorp's, and who may shorten the time."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist import Evidence, ProbeRecord
from memberlist.suspicion import (
    Suspicion,
    confirmations_expected,
    suspicion_timeout,
    suspicion_timeout_min,
)

VECTORS = Path(__file__).parent.parent / "interop" / "vectors" / "memberlist.json"


def table(name: str) -> list[dict[str, Any]]:
    """Return a table of what HashiCorp's functions return."""
    rows: list[dict[str, Any]] = json.loads(VECTORS.read_text())["functions"][name]
    assert rows
    return rows


def suspicion(expected: int = 3, *, minimum: float = 2.0, maximum: float = 30.0) -> Suspicion:
    """Return a suspicion that b began at 100 s."""
    return Suspicion("b", 100.0, expected=expected, minimum=minimum, maximum=maximum)


# --- the least time --------------------------------------------------------------------------


def test_the_minimum_agrees_with_hashicorps() -> None:
    for row in table("suspicion_timeout"):
        timeout = suspicion_timeout_min(row["suspicion_mult"], row["n"], row["interval_ns"] / 1e9)

        assert timeout == pytest.approx(row["timeout_ns"] / 1e9, abs=1e-9), row


@pytest.mark.parametrize(
    ("n", "scale"),
    [(0, 1.0), (5, 1.0), (10, 1.0), (50, 1.698), (100, 2.0), (500, 2.698), (1000, 3.0)],
)
def test_the_minimum_grows_with_the_logarithm_of_the_size(n: int, scale: float) -> None:
    assert suspicion_timeout_min(3, n, 1.0) / 3 == pytest.approx(scale)


# --- the time after c confirmations ----------------------------------------------------------


def test_the_remaining_time_agrees_with_hashicorps() -> None:
    """HashiCorp's count of confirmations is not capped; ours never passes what is expected."""
    for row in table("remaining_suspicion_time"):
        timeout = suspicion_timeout(
            row["n"], expected=row["k"], minimum=row["min_ns"] / 1e9, maximum=row["max_ns"] / 1e9
        )
        remaining = timeout - row["elapsed_ns"] / 1e9

        assert remaining == pytest.approx(row["remaining_ns"] / 1e9, abs=1e-9), row


def test_it_falls_from_the_maximum_to_the_minimum() -> None:
    timeouts = [suspicion_timeout(c, expected=3, minimum=0.5, maximum=2.0) for c in range(5)]

    assert timeouts == [2.0, 1.25, 0.811, 0.5, 0.5]


@pytest.mark.parametrize(
    ("alpha", "timeouts"),
    [
        (5, [63.21, 36.87, 21.47, 10.535]),
        (4, [50.57, 29.5, 17.17, 8.428]),
        (2, [25.28, 14.75, 8.59, 4.214]),
    ],
)
def test_128_members_as_in_the_paper(alpha: int, timeouts: list[float]) -> None:
    """Lifeguard, evaluation: beta 6, K 3."""
    minimum = suspicion_timeout_min(alpha, 128, 1.0)

    assert [
        suspicion_timeout(c, expected=3, minimum=minimum, maximum=6 * minimum) for c in range(4)
    ] == pytest.approx(timeouts, abs=5e-3)


@pytest.mark.parametrize("expected", [0, -1])
def test_with_nobody_to_confirm_the_minimum_holds_from_the_start(expected: int) -> None:
    assert suspicion_timeout(0, expected=expected, minimum=2.0, maximum=12.0) == 2.0


def test_a_minimum_above_the_maximum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"minimum 3\.0 exceeds the maximum 2\.0"):
        suspicion_timeout(0, expected=3, minimum=3.0, maximum=2.0)


@given(
    expected=st.integers(0, 20),
    minimum=st.floats(0.001, 1000),
    factor=st.floats(1, 100),
    data=st.data(),
)
def test_more_confirmations_never_lengthen_it(
    expected: int, minimum: float, factor: float, data: st.DataObject
) -> None:
    maximum = minimum * factor
    count = data.draw(st.integers(0, 25))
    before, after = (
        suspicion_timeout(c, expected=expected, minimum=minimum, maximum=maximum)
        for c in (count, count + 1)
    )

    assert minimum <= after <= before <= maximum


# --- how many confirmations are wanted -------------------------------------------------------


@pytest.mark.parametrize(
    ("mult", "n", "expected"),
    [(4, 100, 2), (4, 4, 2), (4, 3, 0), (4, 1, 0), (5, 5, 3), (5, 4, 0), (2, 100, 0), (1, 100, 0)],
)
def test_confirmations_are_wanted_where_enough_others_could_give_them(
    mult: float, n: int, expected: int
) -> None:
    assert confirmations_expected(mult, n) == expected


# --- one suspicion ---------------------------------------------------------------------------


def test_it_begins_with_the_maximum() -> None:
    assert suspicion().timeout == 30.0
    assert suspicion().deadline == 130.0


def test_each_new_voice_brings_the_deadline_nearer() -> None:
    running = suspicion()

    deadlines = []
    for name in ("c", "d", "e"):
        assert running.confirm(name)
        deadlines.append(running.deadline)

    assert deadlines == [116.0, 107.81, 102.0]
    assert running.confirmed_by == ["c", "d", "e"]


@pytest.mark.parametrize("name", ["b", "c"])
def test_the_originator_and_who_confirmed_already_say_nothing_new(name: str) -> None:
    running = suspicion()
    running.confirm("c")

    assert not running.confirm(name)
    assert running.confirmed_by == ["c"]
    assert running.timeout == 16.0


def test_past_what_is_expected_nobody_is_counted() -> None:
    running = suspicion(expected=1)

    assert running.confirm("c")
    assert not running.confirm("d")
    assert running.confirmed_by == ["c"]
    assert running.timeout == 2.0


def test_expecting_nobody_it_runs_for_the_minimum() -> None:
    running = suspicion(expected=0)

    assert not running.confirm("c")
    assert running.timeout == 2.0


def test_the_evidence_tells_who_how_long_and_why() -> None:
    probe = ProbeRecord("c", 99.0, 100.0, ("d",), 1, 1, "off", 0)
    running = Suspicion("a", 100.0, expected=3, minimum=2.0, maximum=30.0, probe=probe)
    running.confirm("d")
    running.confirm("e")

    assert running.evidence(health=2) == Evidence(
        suspected_by="a",
        confirmed_by=("d", "e"),
        since=100.0,
        timeout=7.81,
        probe=probe,
        health=2,
    )
