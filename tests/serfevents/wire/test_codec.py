"""Messages as bytes: odd forms, and bounds. (Upstream's vectors are in test_vectors.py.)"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents import DecodeError
from serfevents.wire.codec import (
    FILTERS_MAX,
    MEMO_SIZE_MAX,
    decode_conflict_response,
    decode_filter,
    decode_join,
    decode_key_request,
    decode_key_response,
    decode_query,
    decode_query_response,
    decode_relay,
    decode_user_event,
    encode_conflict_response,
    encode_query,
    encode_relay,
    nanoseconds,
)
from serfevents.wire.messages import (
    ConflictResponse,
    JoinIntent,
    LeaveIntent,
    Query,
    QueryResponse,
    Relay,
    UserEvent,
)
from tests.serfevents.vocabulary import address, decode, encode, event, query

ltimes = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
texts = st.text(max_size=40)
blobs = st.binary(max_size=60)
addresses = st.tuples(
    st.ip_addresses(v=4).map(str).filter(lambda ip: ip != "0.0.0.0"), st.integers(1, 65535)
)
queries = st.builds(
    Query,
    ltimes,
    u32,
    addresses,
    texts,
    st.lists(blobs, max_size=5).map(tuple),
    u32,
    st.integers(0, 255),
    st.integers(0, 10**12).map(lambda milliseconds: milliseconds / 1000),
    texts,
    blobs,
)
responses = st.builds(QueryResponse, ltimes, u32, texts, u32, blobs)
messages = st.one_of(
    st.builds(JoinIntent, ltimes, texts),
    st.builds(LeaveIntent, ltimes, texts, st.booleans()),
    st.builds(UserEvent, ltimes, texts, blobs, st.booleans()),
    queries,
    responses,
    st.builds(Relay, addresses, texts, responses.map(encode)),
)


@given(messages)
def test_what_is_written_is_read(message: Query) -> None:
    assert decode(encode(message)) == message


@given(st.integers(0, 9), st.binary(max_size=80))
def test_noise_is_refused_or_read_but_nothing_else(kind: int, noise: bytes) -> None:
    payload = bytes([kind]) + noise
    for read in (
        decode,
        decode_filter,
        decode_conflict_response,
        decode_key_request,
        decode_key_response,
    ):
        reason = ""
        try:
            read(payload)
        except DecodeError as error:
            reason = error.reason
        assert reason in {"", "malformed", "bad-field", "unknown-type", "unknown-filter"}


def test_equal_payloads_are_decoded_once_unless_they_are_large() -> None:
    small, large = encode(event("x", 1)), encode(event("x", 1, bytes(MEMO_SIZE_MAX)))

    assert decode_user_event(small) is decode_user_event(bytes(bytearray(small)))
    assert decode_user_event(large) is not decode_user_event(large)
    assert decode_user_event(large) == decode_user_event(large)


@pytest.mark.parametrize(
    ("packed", "port"), [(b"", 1), (bytes(4), 1), (bytes(5), 1), (b"\x7f\x00\x00\x01", 0)]
)
def test_where_nobody_can_be_there_is_no_address(packed: bytes, port: int) -> None:
    wire = b"\x04\x82\xa4Addr" + bytes([0xA0 + len(packed)]) + packed + b"\xa4Port" + bytes([port])

    assert decode_query(wire).address is None


def test_a_query_from_nowhere_is_written_without_an_address() -> None:
    nowhere = query()
    nowhere.address = None

    assert decode_query(encode_query(nowhere)) == nowhere


def test_a_relay_to_nowhere_is_written_without_an_address() -> None:
    assert decode_relay(encode_relay(Relay(None, "b", b"x"))) == Relay(None, "b", b"x")


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_relay_to_a_port_that_is_none_has_no_address(port: int) -> None:
    wire = b"\x09\x81\xa8DestAddr\x82\xa2IP\xa4\x7f\x00\x00\x01\xa4Port"
    wire += (port % 2**64).to_bytes(8, "big").join((b"\xd3", b""))

    assert decode_relay(wire) == Relay(None, "", b"")


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x09\x81\xa8DestAddr\x01", "bad-field"),
        (b"\x09\x90", "malformed"),
        (b"\x04\x81\xa7Filters\x91\x01", "bad-field"),
        (b"\x04\x81\xa7Filters\xdc" + (FILTERS_MAX + 1).to_bytes(2, "big") + b"\xa0" * 129,
         "too-large"),
        (b"\x05\x81\xa2ID\xcf\x00\x00\x00\x01\x00\x00\x00\x00", "bad-field"),
    ],
)  # fmt: skip
def test_a_message_of_the_wrong_shape_is_refused(wire: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(wire)

    assert refused.value.reason == reason


def test_a_relay_without_a_destination_goes_nowhere() -> None:
    assert decode_relay(b"\x09\x80") == Relay(None, "", b"")


def test_a_conflict_is_answered_with_what_is_known() -> None:
    known = ConflictResponse("b", address("b"), (("role", "web"),), 1, bytes([1, 5, 2, 2, 5, 5]))
    nowhere = ConflictResponse("b", None, (), 4)

    assert decode_conflict_response(encode_conflict_response(known)) == known
    assert decode_conflict_response(encode_conflict_response(nowhere)) == nowhere
    with pytest.raises(DecodeError, match="Tags is not a map"):
        decode_conflict_response(b"\x06\x81\xa4Tags\x01")
    with pytest.raises(DecodeError, match="unknown-type"):
        decode_conflict_response(b"")


def test_answers_of_another_type_are_refused() -> None:
    for read in (decode_key_request, decode_key_response):
        with pytest.raises(DecodeError, match="unknown-type"):
            read(b"\x06\x80")


def test_durations_are_rounded_and_end_where_gos_do() -> None:
    assert nanoseconds(1.6) == 1_600_000_000
    assert nanoseconds(1e12) == 2**63 - 1
    assert decode_query_response(encode(QueryResponse(1, 2, "b", 0, b""))).payload == b""
    assert decode_join(encode(JoinIntent(1, "b"))).node == "b"
