"""What peers may send instead of messages: it is refused, or harmless, and never dear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.codec import (
    DecodeError,
    decode,
    decode_batch,
    decode_entries,
    encode,
    encode_batch,
    encode_entries,
)
from raft.membership.configuration import Configuration
from raft.messages import (
    KINDS,
    AppendEntries,
    Heartbeat,
    Message,
    Propose,
    RequestVoteResponse,
    TimeoutNow,
)
from raft.packing import pack_numbers, pack_strings
from tests.raft.effort import calls_of, peak_of
from tests.raft.test_codec import MESSAGES
from tests.raft.test_packing import SAMPLE
from tests.raft.vocabulary import drain, machine, persist_all
from tests.strategies import hostile

ENCODED = [encode(message) for message in MESSAGES]
BATCHES = [encode_batch([("g", message), ("", MESSAGES[0])]) for message in MESSAGES]
ENTRIES = [encode_entries(SAMPLE)]

#: What stands in good messages, or nearly: numbers at limits, columns, ids.
ELEMENTS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from((-1, 0, 1, 7, 2**31, 2**63 - 1, 2**63, 2**64 - 1)),
    st.sampled_from(("", "a", "b", "c", "\0", "é" * 300)),
    st.sampled_from([pack_numbers(numbers) for numbers in ((), (1, 1), (2, 2), (1, 2, 2, 1))]),
    st.sampled_from([bytes(4), bytes(8), b"\1\0\0\0", b"\xff" * 4, b"x"]),
    st.just(Configuration(("a", "b")).encode()),
    st.floats(),
    st.lists(st.integers(-9, 9), max_size=3),
    st.dictionaries(st.text(max_size=2), st.booleans(), max_size=2),
)


@st.composite
def crafted(draw: st.DrawFn) -> bytes:
    """Draw a message of a good version and kind with some elements replaced or added."""
    elements: list[Any] = msgpack.unpackb(draw(st.sampled_from(ENCODED)))
    for at in draw(st.lists(st.integers(0, len(elements) - 1), max_size=4)):
        elements[at] = draw(ELEMENTS)
    elements += draw(st.lists(ELEMENTS, max_size=2))
    return bytes(msgpack.packb(elements))


def decoded(function: Callable[[bytes], Any], data: bytes) -> Any:
    """Return what bytes are, or None if they are refused."""
    try:
        return function(data)
    except DecodeError:
        return None


@given(hostile(ENCODED) | crafted())
def test_what_is_taken_for_a_message_is_one(data: bytes) -> None:
    message = decoded(decode, data)

    if message is not None:
        assert decode(encode(message)) == message


@given(hostile(BATCHES))
def test_what_is_taken_for_a_batch_is_one(data: bytes) -> None:
    batch = decoded(decode_batch, data)

    if batch is not None:
        assert decode_batch(encode_batch(batch)) == batch


@given(hostile(ENTRIES))
def test_what_is_taken_for_entries_are_some(data: bytes) -> None:
    entries = decoded(decode_entries, data)

    if entries is not None:
        assert decode_entries(encode_entries(entries)) == entries


@given(st.lists(hostile(ENCODED) | crafted(), max_size=12), st.booleans())
def test_a_machine_takes_all_that_the_codec_lets_through(stream: list[bytes], leads: bool) -> None:
    server = machine("n2", "n1", "n2", "n3", terms=[3, 4], term=4, commit=3)
    if leads:
        server.campaign(0.0)
        for _ in range(2):
            persist_all(server)
            server.receive(RequestVoteResponse("n2", "n1", server.term, True), 0.0)
    persist_all(server)

    for data in stream:
        message = decoded(decode, data)
        if message is not None:
            server.receive(message, 1.0)
        server.check_invariants()
        persist_all(server, 1.0)

    assert drain(server) == []


# --- what is dear to decode


def append(lengths: bytes, blob: bytes, *marks: bytes, runs: bytes = pack_numbers((1, 1))) -> bytes:
    """Return an encoded AppendEntries of columns that nobody packed."""
    kind = KINDS.index(AppendEntries)
    marks = marks or (b"",) * 4
    return bytes(msgpack.packb((1, kind, "a", "b", 1, 0, 0, 1, runs, lengths, blob, *marks, 0)))


def bomb(name: str, size: int) -> bytes:
    """Return `size` of what costs most for its bytes."""
    one = Configuration(("a",)).encode()
    message: Message = Heartbeat("a", "b", 1, 1, 1, 1)
    match name:
        case "empty payloads":
            return append(bytes(4 * size), b"")
        case "payloads of one byte":
            return append(b"\1\0\0\0" * size, b"x" * size)
        case "terms":
            runs = pack_numbers([number for index in range(1, size + 1) for number in (index,) * 2])
            return append(bytes(4 * size), b"", runs=runs)
        case "empty entries":
            return append(bytes(4 * size), b"", pack_numbers(range(1, size + 1)), b"", b"", b"")
        case "configurations":
            columns = pack_strings([one] * size)
            return append(bytes(4 * size), b"", b"", pack_numbers(range(1, size + 1)), *columns)
        case "proposals":
            kind = KINDS.index(Propose)
            return bytes(msgpack.packb((1, kind, "a", "b", 1, 1, bytes(4 * size), b"")))
        case "messages":
            return encode_batch([("", message)] * size)
        case _:
            assert name == "short messages"
            return encode_batch([("g", TimeoutNow("a", "b", 1))] * size)


BOMBS = (
    "empty payloads",
    "payloads of one byte",
    "terms",
    "empty entries",
    "configurations",
    "proposals",
    "messages",
    "short messages",
)


def explode(name: str, size: int) -> Callable[[], object]:
    """Return what decodes a bomb, which is a good message."""
    data = bomb(name, size)
    function = decode_batch if name.endswith("messages") else decode
    return lambda: function(data)


@pytest.mark.parametrize("name", BOMBS)
def test_no_message_takes_more_than_twenty_times_its_size(name: str) -> None:
    size = 5000

    assert peak_of(explode(name, size)) < 20 * len(bomb(name, size)) + 100_000


@pytest.mark.parametrize("name", BOMBS)
def test_twice_as_much_costs_no_more_than_twice_as_many_calls(name: str) -> None:
    one, two = (calls_of(explode(name, size)) for size in (1000, 2000))

    assert two < 2.1 * one
