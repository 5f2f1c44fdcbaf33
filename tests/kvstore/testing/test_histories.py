from __future__ import annotations

import attrs
import pytest

from kvstore.testing import UNKNOWN, Operation, Recorder


def test_an_operation_is_an_immutable_value() -> None:
    operation = Operation("alice", "ping", called=1.0, returned=2.0, output="pong")

    assert operation == Operation("alice", "ping", 1.0, 2.0, "pong")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        operation.output = "other"  # type: ignore[misc]


def test_an_operation_may_return_in_the_moment_of_its_call_but_not_before() -> None:
    assert Operation("alice", "ping", called=3, returned=3).output is UNKNOWN

    with pytest.raises(ValueError, match="returned at 2, before the call at 3"):
        Operation("alice", "ping", called=3, returned=2)


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="before the call"):
        Operation("alice", "ping", called=float("nan"), returned=2)


def test_what_never_returned_has_no_output() -> None:
    with pytest.raises(ValueError, match="never returned has the output 'pong'"):
        Operation("alice", "ping", called=3, output="pong")


def test_a_recorder_keeps_the_order_of_calls_and_returns() -> None:
    recorder = Recorder()

    first = recorder.called("alice", "ping")
    second = recorder.called("bob", "ping")
    recorder.returned(second, "pong")
    third = recorder.called("bob", "ping")
    recorder.returned(first)
    recorder.returned(third, "pong")

    assert recorder.operations == (
        Operation("alice", "ping", 0, 4, UNKNOWN),
        Operation("bob", "ping", 1, 2, "pong"),
        Operation("bob", "ping", 3, 5, "pong"),
    )


def test_what_has_not_returned_yet_is_an_operation_without_answer() -> None:
    recorder = Recorder()

    operation = recorder.called("alice", "ping")
    before = recorder.operations
    recorder.returned(operation, "pong")

    assert before == (Operation("alice", "ping", 0),)
    assert recorder.operations == (Operation("alice", "ping", 0, 1, "pong"),)


def test_a_recorder_refuses_returns_without_call_and_second_returns() -> None:
    recorder = Recorder()
    operation = recorder.called("alice", "ping")
    recorder.returned(operation, "pong")
    before = recorder.operations

    for unknown in (-1, 1):
        with pytest.raises(ValueError, match=f"there is no operation {unknown}"):
            recorder.returned(unknown, "pong")
    with pytest.raises(ValueError, match="operation 0 has returned already"):
        recorder.returned(operation, "pong")

    assert recorder.operations == before


def test_the_unknown_output_reads_as_such() -> None:
    assert repr(UNKNOWN) == "UNKNOWN"
