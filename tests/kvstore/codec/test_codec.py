"""Commands and results as bytes: both ways, one form for each, and refusal of all else."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.codec import (
    VERSION,
    decode_command,
    decode_result,
    encode_command,
    encode_result,
    read_command,
)
from kvstore.codec.wire import ARRAY_LENGTH_MAX, DEPTH_MAX
from kvstore.commands import KEEP, Check, Command, Compact, Get, Noop, Put, Touch, Txn, Unknown
from kvstore.errors import DecodeError
from kvstore.refusals import NotFound
from kvstore.results import Ok, PutOk, RangeOk, Result, TxnOk
from tests.kvstore.messages import COMMANDS, PLAIN, RESULTS, any_command, any_result

GOLDEN = Path(__file__).parents[1] / "golden" / "messages.txt"


def name(value: object) -> str:
    return type(value).__name__


# --- both ways


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    data = encode_command(command, now=1_700_000_000_000, actor="alice")

    assert decode_command(data) == (command, 1_700_000_000_000, "alice")
    assert read_command(data) == decode_command(data)
    assert decode_command(encode_command(command)) == (command, None, None)


@pytest.mark.parametrize("result", RESULTS, ids=name)
def test_a_result_comes_back_as_it_was(result: Result) -> None:
    assert decode_result(encode_result(result)) == result


def test_every_command_and_every_result_is_among_them() -> None:
    assert {type(each) for each in COMMANDS} == set(get_args(Command)) - {Unknown}
    assert {type(each) for each in RESULTS} >= set(get_args(Result)) - set(get_args(Result)[-1:])


@given(any_command(), st.none() | st.integers(0, 2**62), st.none() | st.text())
def test_any_command_comes_back_as_it_was(
    command: Command, now: int | None, actor: str | None
) -> None:
    data = encode_command(command, now=now, actor=actor)

    assert decode_command(data) == (command, now, actor)
    assert encode_command(decode_command(data)[0], now=now, actor=actor) == data


@given(any_result())
def test_any_result_comes_back_as_it_was(result: Result) -> None:
    data = encode_result(result)

    assert decode_result(data) == result
    assert encode_result(decode_result(data)) == data


def test_one_is_not_true() -> None:
    number, truth = Check("a", "version", "=", 1), Check("a", "version", "=", True)

    assert encode_command(number) != encode_command(truth)
    assert type(decode_command(encode_command(number))[0].operand) is int  # type: ignore[union-attr]


def test_fields_that_have_their_defaults_take_no_room() -> None:
    data = encode_command(Put("a", b"b"))

    assert data == msgpack.packb([VERSION, 1, None, None, "a", b"b"])


def test_the_local_number_of_a_directory_is_not_told() -> None:
    one, other = (*PLAIN[:8], 5), (*PLAIN[:8], 6)

    assert encode_result(PutOk(one, None, True)) == encode_result(PutOk(other, None, True))


# --- golden bytes


def golden_lines() -> list[str]:
    messages = [f"{name(each)} {encode_command(each, now=5).hex()}" for each in COMMANDS]
    return messages + [f"{name(each)} {encode_result(each).hex()}" for each in RESULTS]


def test_bytes_of_this_version_never_change(rewrite: bool) -> None:
    if rewrite:
        GOLDEN.write_text("\n".join(golden_lines()) + "\n")

    assert GOLDEN.read_text().splitlines() == golden_lines()


def test_bytes_of_this_version_are_read() -> None:
    lines = [bytes.fromhex(line.split()[1]) for line in GOLDEN.read_text().splitlines()]

    assert [decode_command(data)[0] for data in lines[: len(COMMANDS)]] == COMMANDS
    assert [decode_result(data) for data in lines[len(COMMANDS) :]] == RESULTS


# --- mistakes of the program


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Put(5), r"Put\.key cannot be of type int"),  # type: ignore[arg-type]
        (Put("a", "b"), r"Put\.value cannot be of type str"),  # type: ignore[arg-type]
        (Put("a", cas=KEEP), r"Put\.cas cannot be of type Keep"),  # type: ignore[arg-type]
        (Put("a", cas=True), r"Put\.cas cannot be of type bool"),
        (Get("a", 1.5), r"Get\.revision cannot be of type float"),  # type: ignore[arg-type]
        (Touch(["a"]), r"Touch\.keys cannot be of type list"),  # type: ignore[arg-type]
        (Touch((b"a",)), "a list of texts cannot hold bytes"),  # type: ignore[arg-type]
        (Txn(then=(Noop(),)), "Noop is no operation of a transaction"),  # type: ignore[arg-type]
        (Txn(then=(5,)), "int is no operation of a transaction"),  # type: ignore[arg-type]
        (Txn(when=(Get("a"),)), "no attribute 'target'"),  # type: ignore[arg-type]
        (Unknown("x"), "Unknown is no command that can be written"),
        ("x", "str is no command that can be written"),
    ],
    ids=repr,
)
def test_a_field_of_another_type_cannot_be_written(command: Command, reason: str) -> None:
    with pytest.raises((TypeError, AttributeError), match=reason):
        encode_command(command)


@pytest.mark.parametrize(
    "command",
    [Put("\ud800"), Put("a", flags=2**64), Get("a", -(2**63) - 1), Touch(("\udfff",))],
    ids=repr,
)
def test_what_has_no_form_on_the_wire_cannot_be_written(command: Command) -> None:
    with pytest.raises(ValueError, match=r"surrogates|out of range|too large|too big"):
        encode_command(command)


@pytest.mark.parametrize(("now", "actor"), [(1.5, None), (True, None), (None, b"a")])
def test_a_time_is_a_number_and_an_actor_text(now: int, actor: str) -> None:
    with pytest.raises(TypeError, match=r"(now|actor) must be"):
        encode_command(Noop(), now=now, actor=actor)


@pytest.mark.parametrize("now", [-1, 2**62 + 1, 2**64])
def test_a_time_that_no_store_takes_cannot_be_written(now: int) -> None:
    with pytest.raises(ValueError, match=r"now must be 0 to 2\*\*62"):
        encode_command(Noop(), now=now)


def test_a_number_beyond_64_bits_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"out of range|too large|too big"):
        encode_command(Compact(2**64))


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Noop(), "Noop is no result"),
        (TxnOk(True, (Noop(),)), "Noop is no result"),  # type: ignore[arg-type]
        (PutOk((1, 2, 3), None, True), "is no record"),  # type: ignore[arg-type]
        (RangeOk(((1,),), 1, None, False, 1, 1), "is no record"),  # type: ignore[arg-type]
        (RangeOk((), 0, None, False, 1, 1, deleted=(("a", "b"),)), "deleted must hold pairs"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_a_result_of_another_type_cannot_be_written(result: Result, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        encode_result(result)


def test_a_result_beyond_64_bits_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"out of range|too large|too big"):
        encode_result(RangeOk((), 2**64, None, False, 1, 1))


def nested(depth: int) -> Txn:
    txn = Txn(then=(Get("a"),))
    for _ in range(depth - 1):
        txn = Txn(then=(txn,))
    return txn


def nested_result(depth: int) -> TxnOk:
    result = TxnOk(True, (Ok(),))
    for _ in range(depth - 1):
        result = TxnOk(True, (result,))
    return result


def test_nesting_has_a_limit_on_the_way_out() -> None:
    assert decode_command(encode_command(nested(DEPTH_MAX)))[0] == nested(DEPTH_MAX)
    assert decode_result(encode_result(nested_result(DEPTH_MAX))) == nested_result(DEPTH_MAX)

    with pytest.raises(ValueError, match="nested deeper than 33"):
        encode_command(Txn(then=(nested(DEPTH_MAX),)))
    with pytest.raises(ValueError, match="nested deeper than 33"):
        encode_result(nested_result(DEPTH_MAX + 1))


# --- bytes from elsewhere


def txn_bytes(operations: bytes) -> bytes:
    return bytes(msgpack.packb([VERSION, 13, None, None, b"", operations]))


def deep(kind: int, head: list[object], depth: int) -> bytes:
    """Return a message of nested lists, each of one message of `kind` whose last field it is."""
    inner = b""
    for _ in range(depth):
        inner = bytes(msgpack.packb([kind, *head, inner]))
    return inner


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (b"\x94\x01\x09\xc0", "malformed"),
        (msgpack.packb([VERSION, 48, None, None]) + b"\x00", "malformed"),
        (msgpack.packb("text"), "malformed"),
        (msgpack.packb([]), "malformed"),
        (msgpack.packb({"a": 1}), "malformed"),
        (msgpack.packb([VERSION, 9, None, None, {"a": 1}]), "malformed"),
        (msgpack.packb([VERSION, 9, None, None, msgpack.ExtType(1, b"a")]), "malformed"),
        (msgpack.packb([VERSION, 9, None, None, msgpack.Timestamp(1)]), "malformed"),
        (b"\x95\x01\x09\xc0\xc0\xa1\xff", "malformed"),
        (b"\x91" * 2000, "malformed"),
        (msgpack.packb([VERSION, *[None] * ARRAY_LENGTH_MAX]), "malformed"),
        (msgpack.packb([VERSION, 48, None]), "truncated"),
        (msgpack.packb([VERSION, 9, None, None]), "truncated"),
        (msgpack.packb([2, 48, None, None]), "unsupported"),
        (msgpack.packb([True, 48, None, None]), "unsupported"),
        (msgpack.packb([VERSION, 99, None, None]), "unsupported"),
        (msgpack.packb([VERSION, "put", None, None]), "unsupported"),
        (msgpack.packb([VERSION, [], None, None]), "unsupported"),
        (msgpack.packb([VERSION, 48, None, None, 1]), "unsupported"),
        (msgpack.packb([VERSION, 48, 1.5, None]), "bad-field"),
        (msgpack.packb([VERSION, 48, True, None]), "bad-field"),
        (msgpack.packb([VERSION, 48, None, b"alice"]), "bad-field"),
        (msgpack.packb([VERSION, 1, None, None, 5]), "bad-field"),
        (msgpack.packb([VERSION, 1, None, None, "a", b"b", []]), None),
        (msgpack.packb([VERSION, 1, None, None, "a", b"b", [1]]), "bad-field"),
        (msgpack.packb([VERSION, 1, None, None, "a", b"b", True]), "bad-field"),
        (msgpack.packb([VERSION, 5, None, None, msgpack.packb(b"a")]), "bad-field"),
        (msgpack.packb([VERSION, 5, None, None, b"\xc1"]), "malformed"),
        (msgpack.packb([VERSION, 5, None, None, msgpack.packb("abc")[:-1]]), "malformed"),
        (msgpack.packb([VERSION, 32, None, None, None, None, "release", 0, b"", "",
                        msgpack.packb(["a"])]), "bad-field"),
        (msgpack.packb([VERSION, 41, None, None, ["web", msgpack.packb(5)]]), "malformed"),
        (msgpack.packb([VERSION, 41, None, None, ["web", msgpack.packb(["key", "a", 9])]]),
         "bad-field"),
        (msgpack.packb([VERSION, 41, None, None, [""]]), "bad-field"),
        (msgpack.packb([VERSION, 47, None, None, [0] * 11 + ["/", 0, False, 1]]), "bad-field"),
        (msgpack.packb([VERSION, 47, None, None, [1] * 11 + ["/", 3, False, 1]]), "bad-field"),
        (txn_bytes(msgpack.packb([9, "a"])), None),
        (txn_bytes(msgpack.packb([48])), "unsupported"),
        (txn_bytes(msgpack.packb(["a"])), "malformed"),
        (txn_bytes(msgpack.packb([])), "malformed"),
        (txn_bytes(b"\x01"), "malformed"),
        (msgpack.packb([VERSION, *msgpack.unpackb(deep(13, [b""], 40))]), "bad-field"),
        (txn_bytes(deep(13, [b""], DEPTH_MAX - 1)), None),
        (txn_bytes(deep(13, [b""], DEPTH_MAX)), "too-deep"),
        (txn_bytes(deep(13, [b""], 5000)), "too-deep"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_command_is_refused_by_its_reason(data: bytes, reason: str | None) -> None:
    if reason is None:
        assert decode_command(data)
        return

    with pytest.raises(DecodeError) as caught:
        decode_command(data)

    assert caught.value.reason == reason
    assert isinstance(read_command(data)[0], Unknown)


def errors_bytes(paths: list[object], refusals: list[object]) -> bytes:
    parts = [b"".join(map(msgpack.packb, each)) for each in (paths, refusals)]
    return bytes(msgpack.packb([VERSION, 85, b"".join(map(msgpack.packb, parts))]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (msgpack.packb([VERSION]), "truncated"),
        (msgpack.packb([VERSION, 99]), "unsupported"),
        (msgpack.packb([VERSION, None]), "unsupported"),
        (msgpack.packb([3, 19]), "unsupported"),
        (msgpack.packb([VERSION, 19, 0]), "unsupported"),
        (msgpack.packb([VERSION, 1, [1], None, True]), "bad-field"),
        (msgpack.packb([VERSION, 1, [*PLAIN[:6], [1], 12], None, True]), "bad-field"),
        (msgpack.packb([VERSION, 1, PLAIN[:8], None, True]), None),
        (msgpack.packb([VERSION, 8, msgpack.packb(5), 0, None, False, 1, 1]), "bad-field"),
        (msgpack.packb([VERSION, 11, True, deep(11, [True], DEPTH_MAX)]), "too-deep"),
        (msgpack.packb([VERSION, 64, "a", 1, "entry"]), "bad-field"),
        (msgpack.packb([VERSION, 85, msgpack.packb(1)]), "bad-field"),
        (errors_bytes([b""], [[67, "a"]]), None),
        (errors_bytes([msgpack.packb(1.5)], [[67, "a"]]), "bad-field"),
        (errors_bytes([5], [[67, "a"]]), "bad-field"),
        (errors_bytes([], [[67, "a"]]), "bad-field"),
        (errors_bytes([b""], [[19]]), "unsupported"),
    ],
    ids=str,
)
def test_what_is_no_result_is_refused_by_its_reason(data: bytes, reason: str | None) -> None:
    if reason is None:
        assert decode_result(data)
        return

    with pytest.raises(DecodeError) as caught:
        decode_result(data)

    assert caught.value.reason == reason


def test_a_message_above_the_limit_is_not_looked_at() -> None:
    data = encode_command(Put("a", bytes(100)))

    assert decode_command(data, size_max=len(data))
    with pytest.raises(DecodeError, match=f"too-large: {len(data)} bytes exceed the limit of 50"):
        decode_command(data, size_max=50)
    with pytest.raises(DecodeError, match="too-large"):
        decode_result(encode_result(NotFound("a" * 100)), size_max=50)
    assert read_command(data, size_max=50)[0] == Unknown(
        "bytes", f"too-large: {len(data)} bytes exceed the limit of 50"
    )


@pytest.mark.parametrize(
    ("data", "kind", "now", "actor"),
    [
        (msgpack.packb([VERSION, 99, 5, "alice", "new"]), "command 99", 5, "alice"),
        (msgpack.packb([VERSION, 48, 5, "alice", "new"]), "command 48", 5, "alice"),
        (msgpack.packb([VERSION, 48, 5]), "command 48", 5, None),
        (msgpack.packb([VERSION]), "bytes", None, None),
        (msgpack.packb([VERSION, 48, 1.5, 5]), "command 48", None, None),
        (msgpack.packb([2, 48, 5, "alice"]), "bytes", None, None),
        (b"\xc1", "bytes", None, None),
    ],
    ids=str,
)
def test_a_log_entry_that_cannot_be_read_keeps_its_time(
    data: bytes, kind: str, now: int | None, actor: str | None
) -> None:
    command, found_now, found_actor = read_command(data)

    assert isinstance(command, Unknown)
    assert (command.kind, found_now, found_actor) == (kind, now, actor)
    assert command.reason


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decode in (decode_command, decode_result):
        try:
            decode(data)
        except DecodeError as error:
            assert error.reason  # noqa: PT017 (either way is right)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(lambda items: b"".join(map(msgpack.packb, items)))
    ),
)


@given(st.integers(0, 99), st.lists(ANY, max_size=8))
def test_any_fields_are_a_message_or_refused(kind: int, fields: list[object]) -> None:
    for decode, head in ((decode_command, [None, None]), (decode_result, [])):
        try:
            decode(msgpack.packb([VERSION, kind, *head, *fields]))
        except DecodeError as error:
            assert error.reason  # noqa: PT017


@given(st.sampled_from(COMMANDS), st.data())
def test_damage_is_refused_or_is_another_command(command: Command, data: st.DataObject) -> None:
    good = encode_command(command, now=5)
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8

    for damaged in (bytes(bad), good[: bit // 8]):
        try:
            decode_command(damaged)
        except DecodeError as error:
            assert error.reason  # noqa: PT017


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff" * 500 + bytes(1 << 20),
        b"\xdc\xff\xff" * 1000 + bytes(1 << 20),
        b"\xc6\xff\xff\xff\xff" + bytes(1 << 20),
        b"\xdb\xff\xff\xff\xff" + bytes(1 << 20),
        b"\xdf\xff\xff\xff\xff" * 500 + bytes(1 << 20),
        bytes(msgpack.packb([VERSION, 5, None, None, b"\xdd\xff\xff\xff\xff" * 200_000])),
        bytes(msgpack.packb([VERSION, 5, None, None, b"\xdc\x00\x40" * 300_000])),
        bytes(msgpack.packb([VERSION, 13, None, None, b"", b"\xc6\x7f\xff\xff\xff" * 200_000])),
    ],
    ids=lambda bomb: bomb[:6].hex(),
)  # fmt: skip
def test_a_header_gets_no_room_for_what_never_comes(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        for decode in (decode_command, decode_result):
            with pytest.raises(DecodeError):
                decode(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * len(bomb)
