from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.testing import (
    UNKNOWN,
    CompareAndSet,
    LogError,
    Operation,
    Read,
    Registers,
    Verdict,
    Write,
    check,
    jepsen,
    read_jepsen_log,
)

# A register of which an acknowledged write is lost for process 0, in the form of Jepsen 0.0.
LOG = """\
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:write\t2
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:write\t2
INFO  jepsen.util - 2\t:invoke\t:cas\t[3 0]
INFO  jepsen.core - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 2\t:fail\t:cas\t[3 0]
INFO  jepsen.util - 2\t:invoke\t:cas\t[2 4]
INFO  jepsen.util - 3\t:invoke\t:write\t1
INFO  jepsen.util - 2\t:ok\t:cas\t[2 4]
INFO  jepsen.util - 3\t:info\t:write\t:timed-out
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:fail\t:read\t:timed-out
INFO  jepsen.util - 0\t:ok\t:read\t2
INFO  jepsen.util - 1\t:invoke\t:cas\t[4 1]
"""


def fields(log: str | bytes) -> list[tuple[Any, ...]]:
    return [
        (each.client, each.input, each.called, each.returned, each.output)
        for each in read_jepsen_log(log)
    ]


def test_a_log_is_read_with_line_numbers_for_times() -> None:
    assert read_jepsen_log(LOG) == (
        Operation(0, Read(), 1, 3, None),
        Operation(1, Write(2), 2, 4, None),
        Operation(2, CompareAndSet(3, 0), 5, 7, False),
        Operation(2, CompareAndSet(2, 4), 8, 10, True),
        Operation(3, Write(1), 9),
        Operation(0, Read(), 12, 15, 2),
        Operation(1, CompareAndSet(4, 1), 16),
    )


def test_what_was_read_can_be_checked() -> None:
    report = check(Registers(), read_jepsen_log(LOG))

    assert report.verdict is Verdict.ILLEGAL
    (window,) = [part.window for part in report.parts]
    assert window is not None
    assert (window.begin, window.end) == (12, 15)
    assert set(window.states) == {4, 1}


def test_text_bytes_lines_and_open_files_are_all_the_same() -> None:
    expected = read_jepsen_log(LOG)

    assert read_jepsen_log(LOG.encode()) == expected
    assert read_jepsen_log(LOG.splitlines()) == expected
    assert read_jepsen_log(LOG.encode().splitlines()) == expected
    assert read_jepsen_log(io.StringIO(LOG)) == expected
    assert read_jepsen_log(io.BytesIO(LOG.replace("\n", "\r\n").encode())) == expected


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "INFO  jepsen.util - ",
        "2021-03-04 05:06:07,890{GMT}\tINFO\t[jepsen worker 0] jepsen.util: ",
        "   ",
    ],
)
def test_whatever_stands_before_the_process_is_skipped(prefix: str) -> None:
    log = f"{prefix}7 :invoke :write 3\n{prefix}7\t:ok\t:write\t3\n"

    assert fields(log) == [(7, Write(3), 1, 2, None)]


def test_lines_without_an_operation_are_skipped() -> None:
    log = ":nemesis :info :kill nil\n\nreading 5 :values\nsome text 3 :invoked\n0 :invoke :read nil"

    assert fields(log) == [(0, Read(), 5, None, UNKNOWN)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("nil", None),
        ("true", True),
        ("false", False),
        (":red", ":red"),
        ('"a b"', "a b"),
        ('"5"', "5"),
    ],
)
def test_a_register_holds_numbers_words_and_texts(text: str, value: object) -> None:
    assert fields(f"0 :invoke :write {text}")[0][1] == Write(value)


def test_registers_of_several_keys_are_told_apart() -> None:
    log = """\
        0 :invoke :write [7 3]
        1 :invoke :read [7 nil]
        2 :invoke :cas [8 [3 4]]
        3 :invoke :cas [8, [3, 5]]
        0 :ok :write [7 3]
        1 :ok :read [7 3]
        2 :ok :cas [8 [3 4]]
        3 :fail :cas [8 [3 5]]
        """

    assert fields(log) == [
        (0, Write(3, 7), 1, 5, None),
        (1, Read(7), 2, 6, 3),
        (2, CompareAndSet(3, 4, 8), 3, 7, True),
        (3, CompareAndSet(3, 5, 8), 4, 8, False),
    ]


@pytest.mark.parametrize(
    "failure",
    [
        ":fail :cas :timed-out",
        ":fail :cas [1 2] :timed-out",
        ":fail :cas [3 4]",
        ":fail :cas nil",
        ":fail :cas",
        ":fail :cas {:broken",
        ":fail :cas [1 2",
    ],
)
def test_a_compare_and_set_that_failed_for_a_reason_observed_nothing(failure: str) -> None:
    assert fields(f"0 :invoke :cas [1 2]\n0 {failure}") == []


@pytest.mark.parametrize("request_", [":write 1", ":read nil"])
def test_what_failed_otherwise_never_happened(request_: str) -> None:
    assert fields(f"0 :invoke {request_}\n0 :fail {request_}") == []


def test_the_answer_to_a_write_need_not_be_a_value() -> None:
    assert fields("0 :invoke :write 1\n0 :ok :write {:version 5}") == [(0, Write(1), 1, 2, None)]


def test_a_process_may_go_on_after_any_end_of_its_operation() -> None:
    log = "".join(f"0 :invoke :write 1\n0 :{end} :write 1\n" for end in ("ok", "fail", "info"))

    assert [each[2:4] for each in fields(log)] == [(1, 2), (5, None)]


@pytest.mark.parametrize(
    ("log", "line", "reason"),
    [
        ("0 :invoke :read nil\n0 :invoke :read nil", 2, "process 0 has an operation open"),
        ("0 :ok :read 3", 1, "process 0 has no :read open"),
        ("0 :invoke :read nil\n0 :ok :write 3", 2, "process 0 has no :write open"),
        ("0 :invoke :read nil\n0 :ok :read 3\n0 :ok :read 3", 3, "process 0 has no :read open"),
        ("0 :invoke :enqueue 3", 1, "registers have no operation :enqueue"),
        ("0 :invoke :write", 1, "no value of :write: ''"),
        ("0 :invoke :write 1x", 1, "no value of :write: '1x'"),
        ("0 :invoke :write [1 2 3]", 1, "no value of :write: '[1 2 3]'"),
        ("0 :invoke :write [1 2", 1, "no value of :write: '[1 2'"),
        ("0 :invoke :write [[[1]]]", 1, "no value of :write: '[[[1]]]'"),
        ("0 :invoke :write {1 2}", 1, "no value of :write: '{1 2}'"),
        ("0 :invoke :write 1234567890123456789", 1, "no value of :write: '1234567890123456789'"),
        ("0 :invoke :cas 3", 1, "no value of :cas: '3'"),
        ("0 :invoke :cas [1]", 1, "no value of :cas: '[1]'"),
        ("0 :invoke :read nil\n0 :ok :read", 2, "no value of :read: ''"),
        ("0 :invoke :read [1 nil]\n0 :ok :read [2 5]", 2, "the answer is of another key"),
        ("0 :invoke :write " + "9" * 1001, 1, "the value has more than 1000 characters"),
    ],
)
def test_a_line_that_is_no_step_of_a_history_is_refused_with_its_number(
    log: str, line: int, reason: str
) -> None:
    with pytest.raises(LogError) as caught:
        read_jepsen_log(log)

    assert (caught.value.line, caught.value.reason) == (line, reason)
    assert str(caught.value) == f"line {line}: {reason}"


def test_a_log_holds_a_bounded_number_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jepsen, "OPERATIONS_MAX", 2)
    lines = [f"{process} :invoke :read nil" for process in range(3)]

    assert len(read_jepsen_log(lines[:2])) == 2
    with pytest.raises(LogError, match="line 3: there are more than 2 operations"):
        read_jepsen_log(lines)


TOKENS = st.sampled_from(
    [
        "0", "1", "9" * 30, ":invoke", ":ok", ":fail", ":info", ":read", ":write", ":cas", "nil",
        "[", "]", "[1 2]", "[1 [2 3]]", '"', "\\", "\n", "\t", " ", "[[[[", "é", "\u0661", "{", ",",
    ]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(TOKENS, max_size=40).map(" ".join)))
def test_any_text_is_read_or_refused_by_line(log: str | bytes) -> None:
    with suppress(LogError):
        assert all(each.called >= 1 for each in read_jepsen_log(log))
