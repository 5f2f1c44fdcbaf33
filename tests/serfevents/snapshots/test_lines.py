"""One line of a snapshot file: Serf's words, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.errors import DecodeError
from serfevents.lamport import LTIME_MAX
from serfevents.records import (
    Alive,
    Clock,
    Coordinate,
    EventClock,
    Leave,
    NotAlive,
    QueryClock,
    Record,
)
from serfevents.snapshots.lines import NAME_MAX, decode_line, encode_record

HOME = ("127.0.0.1", 7946)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (Alive("n1", HOME), b"alive: n1 127.0.0.1:7946"),
        (Alive("n1", ("2001:db8::1", 1)), b"alive: n1 [2001:db8::1]:1"),
        (Alive("with some spaces", HOME), b"alive: with some spaces 127.0.0.1:7946"),
        (Alive("", HOME), b"alive:  127.0.0.1:7946"),
        (Alive("caf\udce9", HOME), b"alive: caf\xe9 127.0.0.1:7946"),
        (NotAlive("n1"), b"not-alive: n1"),
        (NotAlive("caf\udce9 \u00e9"), b"not-alive: caf\xe9 \xc3\xa9"),
        (Clock(5), b"clock: 5"),
        (EventClock(0), b"event-clock: 0"),
        (QueryClock(LTIME_MAX), b"query-clock: 18446744073709551615"),
        (Leave(), b"leave"),
        (Coordinate('{"Vec":[]}'), b'coordinate: {"Vec":[]}'),
    ],
)
def test_a_record_is_a_line_of_serf_and_a_line_is_the_record(record: Record, line: bytes) -> None:
    assert encode_record(record) == line + b"\n"
    assert decode_line(line) == record


@pytest.mark.parametrize("line", [b"#", b"# comment", b"#clock: 5"])
def test_a_comment_is_no_record(line: bytes) -> None:
    assert decode_line(line) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "unknown"),
        (b"what is this", "unknown"),
        (b"leave ", "unknown"),
        (b"Leave", "unknown"),
        (b" leave", "unknown"),
        (b"clock:5", "unknown"),
        (b"clock", "unknown"),
        (b"alive", "unknown"),
        (b"\x00\x00\x00", "unknown"),
        (b"clock: 5: 6", "number"),
        (b"clock: ", "number"),
        (b"clock: x", "number"),
        (b"clock: 5 ", "number"),
        (b"clock: +5", "number"),
        (b"clock: -1", "number"),
        (b"clock: 1_0", "number"),
        (b"clock: \xd9\xa3", "number"),
        (b"event-clock: 5\r", "number"),
        (b"query-clock: 18446744073709551616", "number"),
        (b"clock: " + b"9" * 5000, "number"),
        (b"alive: noaddr", "address"),
        (b"alive: ", "address"),
        (b"alive: n1 ", "address"),
        (b"alive: n1 127.0.0.1", "address"),
        (b"alive: n1 127.0.0.1:", "address"),
        (b"alive: n1 127.0.0.1:0", "address"),
        (b"alive: n1 127.0.0.1:65536", "address"),
        (b"alive: n1 127.0.0.1:7946\r", "address"),
        (b"alive: n1 127.0.0.1:+1", "address"),
        (b"alive: n1 127.0.0.1:" + b"1" * 5000, "address"),
        (b"alive: n1 127.0.0.256:1", "address"),
        (b"alive: n1 2001:db8::1:1", "address"),
        (b"alive: n1 [127.0.0.1]:1", "address"),
        (b"alive: n1 [fe80::1%eth0]:1", "address"),
        (b"alive: n1 host:1", "address"),
        (b"alive: n1 \xff\xfe:1", "address"),
        (b"not-alive: " + b"n" * (NAME_MAX + 1), "too-long"),
        (b"alive: " + b"n" * (NAME_MAX + 1) + b" 127.0.0.1:1", "too-long"),
        (b"#" * (NAME_MAX + 100), "too-long"),
    ],
)
def test_what_is_no_line_has_a_reason(line: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_line(line)

    assert refused.value.reason == reason


def test_leading_zeros_are_read_as_serf_reads_them() -> None:
    assert decode_line(b"clock: " + b"0" * 5000 + b"7") == Clock(7)
    assert decode_line(b"clock: 000") == Clock(0)


@pytest.mark.parametrize(
    "record",
    [
        # It would be read back as two records, the second of a peer's choice.
        NotAlive("n1\nleave"),
        Alive("n1\n", HOME),
        Coordinate("{}\nleave"),
        Alive("n" * (NAME_MAX + 1), HOME),
        NotAlive("\ud800"),
        Clock(-1),
        EventClock(LTIME_MAX + 1),
        Alive("n1", ("localhost", 1)),
        Alive("n1", ("127.0.0.1", 0)),
        Alive("n1", ("127.0.0.1", 65536)),
        Alive("n1", ("127.0.0.1 ", 1)),
    ],
)
def test_what_can_t_be_a_line_is_refused(record: Record) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one of them is Python's own, of the encoding
        encode_record(record)


def test_the_longest_name_fits_a_line() -> None:
    longest = Alive("n" * NAME_MAX, ("2001:db8:1111:2222:3333:4444:5555:6666", 65535))

    assert decode_line(encode_record(longest)[:-1]) == longest


@given(st.binary(max_size=60) | st.from_regex(rb"(not-)?alive: .*", fullmatch=False))
def test_what_was_read_can_be_written_and_read_again(line: bytes) -> None:
    line = line.replace(b"\n", b" ")
    try:
        record = decode_line(line)
    except DecodeError:
        return

    if record is not None:
        assert decode_line(encode_record(record)[:-1]) == record
