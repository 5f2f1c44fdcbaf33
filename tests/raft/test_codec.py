"""Messages and entries as bytes: everything survives, nothing hostile does harm."""

from __future__ import annotations

import tracemalloc
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.codec import (
    MESSAGE_BYTES_MAX,
    VERSION,
    DecodeError,
    decode,
    decode_batch,
    decode_entries,
    encode,
    encode_batch,
    encode_entries,
)
from raft.entries import NO_ENTRIES, Entries
from raft.errors import Drop
from raft.membership.configuration import Configuration
from raft.messages import (
    KINDS,
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    Message,
    Propose,
    ProposeResponse,
    ReadIndex,
    ReadIndexResponse,
    Refusal,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
    TransferLeadership,
)
from tests.raft.test_packing import SAMPLE

HEAD = ("n2", "n1", 7)

BATCH = Entries(1001, ((1001, 7),), tuple(b"%016d" % number for number in range(256)))

MESSAGES: list[Message] = [
    AppendEntries(*HEAD, 6, 1, SAMPLE, 5),
    AppendEntries(*HEAD, 1000, 7, BATCH, 900),
    AppendEntries(*HEAD, 1000, 7),
    AppendEntriesResponse(*HEAD, rejected=True, index=9, hint_index=3, hint_term=2, regressed=True),
    Heartbeat(*HEAD, 2**62, 3, 4, quiesce=True),
    HeartbeatResponse(*HEAD, 5),
    RequestVote(*HEAD, 5, 4, 3, 2, -1, transfer=True),
    RequestVoteResponse(*HEAD, granted=True, commit=3, commit_term=2),
    RequestPreVote(*HEAD, 5, 4, 3, 2, 1),
    *(RequestPreVoteResponse(*HEAD, granted=False, refusal=refusal) for refusal in Refusal),
    InstallSnapshot(
        *HEAD, 9, 3, Configuration(("n1", "n2"), learners=("n3",)), 4, 1000, 2**32 - 1, 5, b"chunk"
    ),
    InstallSnapshotResponse(*HEAD, 9, 500, refused=True),
    TimeoutNow(*HEAD),
    TransferLeadership("n2", "n1", 0, "n3"),
    ReadIndex("n2", "n1", 0, 2**60),
    ReadIndexResponse(*HEAD, 3, 9, refused=True),
    Propose("n2", "n1", 0, 3, (b"a", b"", b"ccc")),
    *(ProposeResponse(*HEAD, 3, 7, 9, reason) for reason in (None, *Drop)),
]


def elements_of(message: Message) -> list[Any]:
    """Return the elements of an encoded message."""
    elements: list[Any] = msgpack.unpackb(encode(message))
    return elements


# --- what goes in comes out


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_kind_of_message_has_a_sample_here() -> None:
    assert {type(message) for message in MESSAGES} == set(KINDS) == set(get_args(Message))


def test_entries_survive() -> None:
    for entries in (SAMPLE, BATCH, NO_ENTRIES):
        assert decode_entries(encode_entries(entries)) == entries


def test_messages_of_many_groups_travel_together() -> None:
    messages = [(f"group {number}", message) for number, message in enumerate(MESSAGES)]

    assert decode_batch(encode_batch(messages)) == messages
    assert decode_batch(encode_batch([])) == []


def test_a_heartbeat_in_a_batch_takes_few_bytes() -> None:
    messages = [(f"g{number:04}", Heartbeat("n2", "n1", 7, 9, 9, 3)) for number in range(1000)]

    assert len(encode_batch(messages)) < 30 * 1000


def test_a_message_begins_with_version_kind_and_head() -> None:
    assert elements_of(HeartbeatResponse("to", "from", 7, 9)) == [1, 3, "to", "from", 7, 9]


def test_the_numbers_of_kinds_and_reasons_are_fixed() -> None:
    """A log of what is on the wire: a change here is a change of version."""
    assert [kind.__name__ for kind in KINDS] == [
        "AppendEntries",
        "AppendEntriesResponse",
        "Heartbeat",
        "HeartbeatResponse",
        "RequestVote",
        "RequestVoteResponse",
        "RequestPreVote",
        "RequestPreVoteResponse",
        "InstallSnapshot",
        "InstallSnapshotResponse",
        "TimeoutNow",
        "TransferLeadership",
        "ReadIndex",
        "ReadIndexResponse",
        "Propose",
        "ProposeResponse",
    ]
    numbers = {
        refusal.name: elements_of(RequestVoteResponse(*HEAD, granted=False, refusal=refusal))[6]
        for refusal in Refusal
    }
    assert numbers == {name: number for number, name in enumerate(Refusal.__members__)}
    reasons = [elements_of(ProposeResponse(*HEAD, 1, reason=reason))[8] for reason in Drop]
    assert reasons == list(range(1, len(Drop) + 1))


# --- what a receiver does not know


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_a_later_release_appends_is_ignored(message: Message) -> None:
    appended = [*elements_of(message), {"hint": [1, 2]}, None]

    assert decode(msgpack.packb(appended)) == message


@pytest.mark.parametrize("version", [0, 2, True, None, "1", 1.0])
def test_another_version_is_refused(version: object) -> None:
    elements = [version, *elements_of(TimeoutNow(*HEAD))[1:]]

    with pytest.raises(DecodeError, match="version") as refused:
        decode(msgpack.packb(elements))
    assert refused.value.reason == "version"


@pytest.mark.parametrize("kind", [-1, len(KINDS), True, None, "Heartbeat"])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    elements = elements_of(TimeoutNow(*HEAD))
    elements[1] = kind

    with pytest.raises(DecodeError, match="kind") as refused:
        decode(msgpack.packb(elements))
    assert refused.value.reason == "kind"


def test_unknown_elements_of_entries_are_refused() -> None:
    elements = [*msgpack.unpackb(encode_entries(SAMPLE)), 0]

    with pytest.raises(DecodeError, match="another number of columns"):
        decode_entries(msgpack.packb(elements))


# --- what is malformed


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_without_its_last_element_is_refused(message: Message) -> None:
    with pytest.raises(DecodeError, match=r"too few|no head") as refused:
        decode(msgpack.packb(elements_of(message)[:-1]))
    assert refused.value.reason == "malformed"


JUNK: tuple[object, ...] = (
    None,
    -1,
    2**63,
    2**64 - 1,
    1.5,
    True,
    "text",
    b"bytes",
    "",
    b"",
    [],
    [[1]],
    {},
    {1: 2},
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_field_of_another_type_or_range_is_refused_or_fits(message: Message) -> None:
    elements = elements_of(message)
    refused = 0
    for at in range(2, len(elements)):
        for junk in JUNK:
            changed = msgpack.packb([*elements[:at], junk, *elements[at + 1 :]])
            try:
                decoded = decode(changed)
            except DecodeError:
                refused += 1
            else:
                assert decode(encode(decoded)) == decoded
                assert type(junk) is type(elements[at])
    assert refused >= (len(elements) - 2) * (len(JUNK) - 3)


@pytest.mark.parametrize("value", [2**31 + 1, -(2**31) - 1])
def test_a_priority_has_a_range(value: int) -> None:
    elements = elements_of(RequestPreVote(*HEAD, 5, 4))
    elements[-1] = value

    with pytest.raises(DecodeError, match="not a priority"):
        decode(msgpack.packb(elements))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x80",
        b"\x01",
        b"\x91\x01",
        b"\x94\x01\x0a\xa1a\xa1b",
        b"\x95\x01\x0a\xa1\xff\xa1b\x00",
        b"\x95\x01\x0a\xa1a\xa1b\x00\x00",
        b"\x96\x01\x0a\xa1a\xa1b\x00\xd6\xff\x00\x00\x00\x00",
        b"\x96\x01\x0a\xa1a\xa1b\x00\x81\x90\x00",
    ],
)
def test_what_is_no_message_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="malformed") as refused:
        decode(data)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("data", [b"\x91\x01", b"\x95\x01\xc0\xc0\xc0\xc0"])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="malformed"):
        decode_batch(data)


def test_a_batch_with_a_bad_message_or_name_is_refused() -> None:
    version, *names, lengths, blob = msgpack.unpackb(encode_batch([("g", TimeoutNow(*HEAD))]))
    bad_kind = blob.replace(b"\x0a", b"\x7f", 1)

    with pytest.raises(DecodeError, match="kind"):
        decode_batch(msgpack.packb([version, *names, lengths, bad_kind]))
    with pytest.raises(DecodeError, match="malformed"):
        decode_batch(msgpack.packb([version, names[0], b"\xff", lengths, blob]))
    with pytest.raises(DecodeError, match="malformed"):
        decode_batch(msgpack.packb([version, b"", b"", lengths, blob]))


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for function in (decode, decode_batch, decode_entries):
        try:
            function(data)
        except DecodeError as refused:
            assert refused.reason  # noqa: PT017 # whatever it is, it is nothing else


@given(st.data())
def test_any_damaged_message_is_decoded_or_refused(data: st.DataObject) -> None:
    encoded = bytearray(encode(data.draw(st.sampled_from(MESSAGES))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = data.draw(st.integers(0, 255))

    try:
        message = decode(bytes(encoded))
    except DecodeError:
        return
    assert decode(encode(message)) == message


@pytest.mark.parametrize("priority", [2**31, -(2**31), 0])
def test_every_priority_of_a_configuration_travels(priority: int) -> None:
    message = RequestPreVote(*HEAD, 5, 4, priority=priority)

    assert decode(encode(message)) == message


@pytest.mark.parametrize("count", [0, 2**63 - 1])
def test_every_term_and_index_travels(count: int) -> None:
    message = HeartbeatResponse("n2", "n1", count, count)

    assert decode(encode(message)) == message


# --- what it may cost


def peak_of(data: bytes) -> int:
    """Return the most bytes that decoding took while it went on."""
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x95\x01\x00\xa1a\xa1b\xdd\x00\x00\xff\xff" + bytes(1000),
        b"\xdd\x00\x00\x00\x40" * 1000,
        b"\xdd\x00\x01\x00\x00" * 20_000,
        b"\xdc\x00\x40" * 30_000,
        b"\x91" * 100_000,
        b"\xdf\x00\x00\x00\x40" * 20_000,
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xc6\xff\xff\xff\xff",
    ],
)
def test_what_a_header_claims_takes_no_memory_until_it_is_there(data: bytes) -> None:
    assert peak_of(data) < 2_000_000


def test_columns_take_no_more_than_a_small_multiple() -> None:
    elements = elements_of(MESSAGES[0])
    empty_payloads = bytes(4 * 250_000)
    elements[7:11] = [7, b"?" * 16, empty_payloads, b""]
    data = msgpack.packb(elements)

    assert peak_of(data) < 30 * len(data)


def test_a_message_above_the_limit_is_not_read() -> None:
    data = encode(MESSAGES[1])

    for function in (decode, decode_batch, decode_entries):
        with pytest.raises(DecodeError, match="too-large") as refused:
            function(data, size_max=len(data) - 1)
        assert refused.value.reason == "too-large"
    assert decode(data, size_max=len(data)) == MESSAGES[1]
    assert MESSAGE_BYTES_MAX >= 2**26
    assert VERSION == 1
