"""Histories recorded from the store under concurrency, served rightly and wrongly."""

from __future__ import annotations

from random import Random

import pytest

from kvstore.testing import (
    Acquire,
    CompareAndSet,
    Locks,
    Operation,
    Read,
    Registers,
    Verdict,
    check,
)
from tests.kvstore.testing.services import (
    LostUpdates,
    Service,
    SharedLocks,
    StaleReads,
    lock_request,
    record,
    register_request,
    update_request,
)

CLIENTS = 8
LOST = [0.0, 0.03]


def overlaps(history: tuple[Operation, ...]) -> int:
    """How many operations were called while another was under way."""
    ends = [each.returned for each in history if each.returned is not None]
    return sum(
        any(other.called < each.called < (other.returned or max(ends)) for other in history)
        for each in history
    )


@pytest.mark.parametrize("lost", LOST)
def test_registers_of_the_store_are_linearizable(seed: int, lost: float) -> None:
    history = record(Random(seed), Service(CLIENTS), register_request, lost=lost)

    assert overlaps(history) > len(history) // 2
    assert check(Registers(), history).verdict is Verdict.LEGAL


def test_updates_of_the_store_are_linearizable(seed: int) -> None:
    history = record(Random(seed), Service(CLIENTS), update_request, lost=0.03)

    assert sum(each.output is True for each in history) > 10
    assert check(Registers(), history).verdict is Verdict.LEGAL


@pytest.mark.parametrize("lost", LOST)
def test_locks_of_the_store_are_linearizable(seed: int, lost: float) -> None:
    history = record(Random(seed), Service(CLIENTS), lock_request, lost=lost)

    assert sum(each.output is True for each in history) > 10
    assert check(Locks(), history).verdict is Verdict.LEGAL


def test_reads_of_a_replica_that_lags_are_found(seed: int) -> None:
    report = check(Registers(), record(Random(seed), StaleReads(CLIENTS), register_request))

    assert report.verdict is Verdict.ILLEGAL
    assert any(isinstance(part.stuck.input, Read) for part in report.illegal if part.stuck)


def test_updates_that_overwrite_each_other_are_found(seed: int) -> None:
    report = check(Registers(), record(Random(seed), LostUpdates(CLIENTS), update_request))

    assert report.verdict is Verdict.ILLEGAL
    (part,) = report.illegal
    assert part.window is not None
    assert any(isinstance(each.input, CompareAndSet) for each in part.window.operations)


def test_a_lock_that_two_clients_hold_is_found(seed: int) -> None:
    report = check(Locks(), record(Random(seed), SharedLocks(CLIENTS), lock_request))

    assert report.verdict is Verdict.ILLEGAL
    for part in report.illegal:
        assert part.window is not None
        assert any(
            isinstance(each.input, Acquire) and each.output is True
            for each in part.window.operations
        )
