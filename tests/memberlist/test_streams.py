"""One message in each direction of a stream: layers, limits, and every way of cutting it."""

from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.codec import (
    NODE_STATE_PREFIX,
    encode_ack,
    encode_compressed,
    encode_error,
    encode_nack,
    encode_node_state,
    encode_ping,
    known_node_states,
)
from memberlist.dialect import encode_uint
from memberlist.errors import DecodeError
from memberlist.messages import Ack, ErrorReply, Ping, PushPull, StreamMessage, UserMessage
from memberlist.node import ALIVE, DEAD, LEFT, SUSPECT, Node
from memberlist.packet import label_header
from memberlist.security import Keyring
from memberlist.streams import (
    HEADER_SIZE_MAX,
    NODE_STATE_SIZE_MAX,
    StreamDecoder,
    StreamLimits,
    encode_push_pull,
    encode_user_message,
    seal_stream,
)
from tests.strategies import mangled

KEY = bytes(range(16))
OTHER = bytes(16)
VERSIONS = bytes((1, 5, 2, 2, 5, 5))
LIMITS = StreamLimits(
    frame_size=200_000,
    decompressed_size=200_000,
    nodes=500,
    user_state_size=10_000,
    user_message_size=10_000,
)


def decoder(
    *,
    label: bytes = b"",
    label_check_skipped: bool = False,
    keyring: Keyring | None = None,
    verify_incoming: bool = True,
    reply: bool = False,
    limits: StreamLimits = LIMITS,
) -> StreamDecoder:
    return StreamDecoder(
        label=label,
        label_check_skipped=label_check_skipped,
        keyring=keyring,
        verify_incoming=verify_incoming,
        reply=reply,
        limits=limits,
    )


def sealed(
    message: bytes,
    *,
    label: bytes = b"",
    keyring: Keyring | None = None,
    verify_outgoing: bool = True,
    encryption_version: int = 1,
    compression: bool = False,
    entropy: Callable[[int], bytes] = bytes,
    reply: bool = False,
) -> bytes:
    return seal_stream(
        message,
        label=label,
        keyring=keyring,
        verify_outgoing=verify_outgoing,
        encryption_version=encryption_version,
        compression=compression,
        entropy=entropy,
        reply=reply,
    )


def member(number: int, **changes: object) -> Node:
    values = {
        "address": (f"10.0.{number >> 8}.{number & 255}", 7946),
        "meta": b"role" * (number % 3),
        "versions": VERSIONS,
        "incarnation": number * 100,
        "state": (ALIVE, SUSPECT, DEAD, LEFT)[number % 4],
        **changes,
    }
    return Node(f"node-{number}", **values)  # type: ignore[arg-type] # of the same names


MEMBERS = [member(number) for number in range(300)]


def forgotten(nodes: list[Node]) -> None:
    """Make the decoder see the entries of these nodes for the first time."""
    for node in nodes:
        entry = encode_node_state(node)
        known_node_states.recent.pop(entry[len(NODE_STATE_PREFIX) :], None)


def fed(target: StreamDecoder, data: bytes, step: int) -> StreamMessage | None:
    """Feed `data` in pieces of `step` bytes; the message must come with the last."""
    message = None
    for at in range(0, len(data), step):
        assert message is None
        message = target.feed(data[at : at + step])
    return message


def refusal(data: bytes, **settings: object) -> str:
    with pytest.raises(DecodeError) as error:
        decoder(**settings).feed(data)  # type: ignore[arg-type] # of the same names
    return error.value.reason


def push_pull(count: int, *entries: bytes, user_state: bytes = b"") -> bytes:
    """Return a push/pull of raw entries whose header claims `count`."""
    header = encode_push_pull(False, [], user_state).removesuffix(user_state)
    claim = header.replace(b"Nodes\x00", b"Nodes" + encode_uint(count))
    return b"".join((claim, *entries, user_state))


# --- messages --------------------------------------------------------------------------------

MESSAGES: list[tuple[bytes, StreamMessage]] = [
    (encode_ping(7, "go1", ("10.0.0.1", 7946), "go2"), Ping(7, "go1", ("10.0.0.1", 7946), "go2")),
    (encode_ack(7, b""), Ack(7)),
    (encode_ack(7, bytes(300)), Ack(7, bytes(300))),
    (encode_error("no"), ErrorReply("no")),
    (encode_user_message(b""), UserMessage(b"")),
    (encode_user_message(bytes(300)), UserMessage(bytes(300))),
    (encode_push_pull(True, [], b""), PushPull(True, [])),
    (encode_push_pull(False, [], b"state"), PushPull(False, [], b"state")),
    (encode_push_pull(True, MEMBERS[:3], b"state"), PushPull(True, MEMBERS[:3], b"state")),
    (encode_push_pull(False, MEMBERS, b""), PushPull(False, MEMBERS)),
]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 1000, 5000, 10**6])
@pytest.mark.parametrize(("data", "message"), MESSAGES)
def test_a_message_comes_complete_however_it_is_cut(
    data: bytes, message: StreamMessage, step: int
) -> None:
    target = decoder()

    assert fed(target, data, step) == message
    assert target.pending == 0
    assert target.refused == 0


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("label", [b"", b"dc1"])
@pytest.mark.parametrize("reply", [False, True])
def test_all_layers_come_off_at_every_place_of_a_cut(
    compression: bool, version: int, label: bytes, reply: bool
) -> None:
    ring = Keyring([KEY])
    message = encode_push_pull(True, MEMBERS[:2], b"s")
    data = sealed(
        message,
        label=label,
        keyring=ring,
        encryption_version=version,
        compression=compression,
        reply=reply,
    )
    for cut in range(len(data) + 1):
        target = decoder(label=label, keyring=ring, reply=reply)
        first = target.feed(data[:cut])
        if cut < len(data):
            assert first is None
            assert target.pending <= cut
            first = target.feed(data[cut:])

        assert first == PushPull(True, MEMBERS[:2], b"s")


def test_what_follows_the_message_is_ignored() -> None:
    target = decoder()

    assert target.feed(encode_ack(1, b"") + b"junk") == Ack(1)
    assert target.feed(encode_ack(2, b"")) is None
    assert target.pending == 0


def test_after_an_error_nothing_is_read_any_more() -> None:
    target = decoder()
    with pytest.raises(DecodeError, match="unknown-type: a stream does not carry type 11"):
        target.feed(encode_nack(1))

    assert target.feed(encode_ack(2, b"")) is None
    assert target.pending == 0


@pytest.mark.parametrize("kind", [1, 3, 4, 5, 7, 11, 12, 14, 244])
def test_types_that_streams_do_not_carry_are_refused(kind: int) -> None:
    assert refusal(bytes([kind]) + encode_ack(1, b"")[1:], reply=True) == "unknown-type"


# --- label -----------------------------------------------------------------------------------


def test_the_opening_side_announces_the_label_and_the_answer_does_not() -> None:
    data = encode_ack(1, b"")

    assert sealed(data, label=b"dc1") == label_header(b"dc1") + data
    assert sealed(data, label=b"dc1", reply=True) == data
    assert decoder(label=b"dc1").feed(label_header(b"dc1") + data) == Ack(1)
    assert decoder(label=b"dc1", reply=True).feed(data) == Ack(1)


@pytest.mark.parametrize("data", [b"\x02", b"\xf4\x04", b"\xf4\x03x", b"\xf4\x00", b"\xf4\x03dc2"])
def test_another_label_is_refused_at_its_first_wrong_byte(data: bytes) -> None:
    assert refusal(data, label=b"dc1") == "label"


def test_a_label_where_there_must_be_none_is_refused() -> None:
    data = label_header(b"dc1") + encode_ack(1, b"")

    assert refusal(data) == "label"
    assert refusal(data, label=b"dc1", label_check_skipped=True) == "label"
    assert decoder(label=b"dc1", label_check_skipped=True).feed(encode_ack(1, b"")) == Ack(1)


# --- encryption ------------------------------------------------------------------------------


def test_a_frame_is_bound_to_its_length_and_the_label() -> None:
    ring = Keyring([KEY])
    data = sealed(encode_ack(1, b""), label=b"dc1", keyring=ring)
    frame = data.removeprefix(label_header(b"dc1"))

    assert frame[0] == 10
    assert int.from_bytes(frame[1:5], "big") == len(frame) - 5
    assert ring.open(frame[5:], frame[:5] + b"dc1") == encode_ack(1, b"")
    assert refusal(frame, keyring=ring, reply=True) == "decrypt"
    assert refusal(frame, label=b"dc1", keyring=Keyring([OTHER]), reply=True) == "decrypt"


def test_what_has_no_key_and_what_lacks_one_is_told_apart() -> None:
    frame = sealed(encode_ack(1, b""), keyring=Keyring([KEY]))

    assert refusal(frame) == "encrypted"
    assert refusal(frame, keyring=Keyring()) == "encrypted"
    assert refusal(encode_ack(1, b""), keyring=Keyring([KEY])) == "plaintext"
    lenient = decoder(keyring=Keyring([KEY]), verify_incoming=False)
    assert lenient.feed(encode_ack(1, b"")) == Ack(1)


def test_nothing_is_sealed_without_a_key_or_while_verification_is_off() -> None:
    data = encode_ack(1, b"")

    assert sealed(data, keyring=Keyring()) == data
    assert sealed(data, keyring=Keyring([KEY]), verify_outgoing=False) == data


def test_a_frame_within_a_frame_is_refused() -> None:
    ring = Keyring([KEY])
    data = sealed(sealed(encode_ack(1, b""), keyring=ring), keyring=ring)

    assert refusal(data, keyring=ring) == "unknown-type"


def test_a_frame_above_the_limit_is_refused_with_its_header() -> None:
    header = b"\x0a" + (LIMITS.frame_size + 1).to_bytes(4, "big")
    target = decoder(keyring=Keyring([KEY]))

    assert target.feed(header[:4]) is None
    with pytest.raises(DecodeError, match="too-large: an encrypted frame of 200001 bytes"):
        target.feed(header[4:])


@pytest.mark.parametrize("inner", [b"", b"\x06", b"\x02\x82", encode_user_message(b"abc")[:-1]])
def test_a_frame_that_ends_before_its_message_is_truncated(inner: bytes) -> None:
    ring = Keyring([KEY])

    assert refusal(sealed(inner, keyring=ring), keyring=ring) == "truncated"
    assert refusal(encode_compressed(inner)) == "truncated"


def test_an_incomplete_envelope_within_a_frame_is_truncated() -> None:
    ring = Keyring([KEY])
    envelope = encode_compressed(encode_ack(1, b""))

    assert refusal(sealed(envelope[:-1], keyring=ring), keyring=ring) == "truncated"


# --- compression -----------------------------------------------------------------------------


def test_a_stream_is_compressed_even_if_that_makes_it_longer() -> None:
    data = sealed(encode_ack(1, b""), compression=True)

    assert len(data) > len(encode_ack(1, b""))
    assert decoder().feed(data) == Ack(1)


def test_a_compression_within_a_compression_is_refused() -> None:
    assert refusal(encode_compressed(encode_compressed(encode_ack(1, b"")))) == "unknown-type"


def test_a_bomb_is_refused() -> None:
    assert refusal(encode_compressed(encode_user_message(bytes(300_000)))) == "too-large"


def test_an_envelope_above_the_limit_is_refused_with_its_length() -> None:
    claim = b"\x09\x82\xa4Algo\x00\xa3Buf\xdb" + LIMITS.frame_size.to_bytes(4, "big")

    assert refusal(claim) == "too-large"


# --- claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10_001, 2**31, 2**63 - 1])
def test_a_claimed_size_above_the_limit_is_refused_with_the_header(size: int) -> None:
    user = b"\x08\x81\xaaUserMsgLen" + encode_uint(size)
    state = b"\x06\x81\xacUserStateLen" + encode_uint(size)

    assert refusal(user) == "too-large"
    assert refusal(state) == "too-large"
    assert refusal(push_pull(max(size, 501))) == "too-large"


@pytest.mark.parametrize("size", [-1, 2**63, 1.5, b"1", True])
def test_a_claimed_size_that_is_no_size_is_refused(size: object) -> None:
    for kind, field in ((8, "UserMsgLen"), (6, "UserStateLen"), (6, "Nodes")):
        header = msgpack.packb({field: size}, use_bin_type=False)

        assert refusal(bytes([kind]) + header) == "bad-field"


def test_the_largest_sizes_are_allowed() -> None:
    state = bytes(LIMITS.user_state_size)
    nodes = [member(number) for number in range(LIMITS.nodes)]

    assert decoder().feed(encode_user_message(state)) == UserMessage(state)
    assert decoder().feed(encode_push_pull(True, nodes, state)) == PushPull(True, nodes, state)


def test_a_header_or_an_entry_above_its_limit_is_refused() -> None:
    large = b"\xda" + (65535).to_bytes(2, "big")

    assert HEADER_SIZE_MAX == NODE_STATE_SIZE_MAX == 65536
    assert refusal(b"\x0d\x81\xa5Error" + large) == "too-large"
    assert refusal(push_pull(1, b"\x81\xa4Name" + large)) == "too-large"


def test_a_push_pull_that_is_never_compressed_is_limited_too() -> None:
    entry = encode_node_state(member(1, meta=bytes(50_000)))

    assert refusal(push_pull(5, *[entry] * 5)) == "too-large"
    target = decoder()
    with pytest.raises(DecodeError, match="too-large: more than 200000 bytes"):
        fed(target, push_pull(5, *[entry] * 5), 1000)


def test_a_push_pull_with_fewer_entries_than_it_claims_waits() -> None:
    target = decoder()

    assert target.feed(push_pull(3, *map(encode_node_state, MEMBERS[:2]))) is None
    assert target.pending == 0


# --- entries ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 100, 1000, 10**6])
def test_entries_are_decoded_alike_whether_remembered_or_not(step: int) -> None:
    data = encode_push_pull(True, MEMBERS, b"state")

    forgotten(MEMBERS)
    first = fed(decoder(), data, step)
    second = fed(decoder(), data, step)

    assert first == second == PushPull(True, MEMBERS, b"state")
    assert isinstance(first, PushPull)
    assert isinstance(second, PushPull)
    assert all(one is other for one, other in zip(first.nodes, second.nodes, strict=True))


def reordered(node: Node) -> bytes:
    """Return an entry with its name in front, as no encoder of today writes it."""
    fields = msgpack.unpackb(encode_node_state(node), raw=True)
    return bytes(msgpack.packb({b"Name": fields.pop(b"Name"), **fields}, use_bin_type=False))


@pytest.mark.parametrize("step", [1, 1000, 10**6])
@pytest.mark.parametrize("odd", [0, 1, 7, 298, 299])
def test_entries_in_another_order_are_found_among_the_others(odd: int, step: int) -> None:
    entries = [encode_node_state(node) for node in MEMBERS]
    entries[odd] = reordered(MEMBERS[odd])
    forgotten(MEMBERS)

    message = fed(decoder(), push_pull(300, *entries, user_state=b"abc"), step)

    assert message == PushPull(False, MEMBERS, b"abc")


@pytest.mark.parametrize("step", [1, 1000, 10**6])
@pytest.mark.parametrize("odd", [0, 1, 150, 299])
def test_metadata_that_looks_like_an_entry_is_metadata(odd: int, step: int) -> None:
    nodes = [*MEMBERS]
    nodes[odd] = member(odd, meta=encode_node_state(MEMBERS[5]) * 3)
    entries = [encode_node_state(node) for node in nodes]
    forgotten(nodes)

    message = fed(decoder(), push_pull(300, *entries, user_state=entries[9]), step)

    assert message == PushPull(False, nodes, entries[9])


def bad_entry(**changes: object) -> bytes:
    """Return an entry with its fields in another order than usual and some of them changed."""
    fields = {"Name": "bad", "Addr": bytes(4), "State": 0, "Vsn": VERSIONS, **changes}
    return bytes(msgpack.packb(fields, use_bin_type=False))


@pytest.mark.parametrize("before", [0, 1, 20])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (bad_entry(Name=""), "bad-name"),
        (bad_entry(Addr=b"abc"), "bad-address"),
        (bad_entry(Vsn=b"\x01"), "bad-versions"),
        (bad_entry(State=4), "bad-state"),
        (bad_entry(Port=70000), "bad-field"),
        (encode_node_state(MEMBERS[0]).replace(b"State\x00", b"State\x09"), "bad-state"),
        (b"\xc0", "bad-name"),
    ],
)
def test_an_entry_that_is_no_member_is_left_out_and_counted(
    bad: bytes, reason: str, before: int
) -> None:
    good = [encode_node_state(node) for node in MEMBERS[:20]]
    target = decoder()

    message = target.feed(push_pull(21, *good[:before], bad, *good[before:]))

    assert message == PushPull(False, MEMBERS[:20])
    assert (target.refused, target.refusal) == (1, reason)


@pytest.mark.parametrize("bad", [b"\x01", b"\x90", b"\xa1x", b"\x81\x01\x01", b"\xc1"])
@pytest.mark.parametrize("before", [0, 1, 20])
def test_an_entry_that_is_not_fields_refuses_the_push_pull(bad: bytes, before: int) -> None:
    good = [encode_node_state(node) for node in MEMBERS[:20]]

    assert refusal(push_pull(21, *good[:before], bad, *good[before:])) == "malformed"


# --- hostile bytes ---------------------------------------------------------------------------

SAMPLES = [
    *[data for data, _ in MESSAGES[:9]],
    encode_push_pull(True, MEMBERS[:12], b"state"),
    sealed(encode_push_pull(True, MEMBERS[:2], b"s"), compression=True),
    sealed(encode_ack(1, b""), label=b"dc1", keyring=Keyring([KEY]), compression=True),
]
REASONS = {
    "bad-compression", "bad-address", "bad-field", "decrypt", "encrypted", "label", "malformed",
    "plaintext", "too-large", "truncated", "unknown-type",
}  # fmt: skip


@given(
    mangled(SAMPLES) | st.binary(max_size=200),
    st.integers(1, 400),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_stream_gives_a_message_or_a_decode_error_and_waits_for_little(
    data: bytes, step: int, labelled: bool, encrypted: bool, reply: bool
) -> None:
    whole, pieces = (
        decoder(
            label=b"dc1" if labelled else b"",
            keyring=Keyring([KEY]) if encrypted else None,
            verify_incoming=not encrypted or labelled,
            reply=reply,
        )
        for _ in range(2)
    )

    def outcome(target: StreamDecoder, step: int) -> StreamMessage | str | None:
        message = None
        try:
            for at in range(0, len(data), step):
                message = message or target.feed(data[at : at + step])
        except DecodeError as error:
            return error.reason
        assert target.pending <= len(data)
        return message

    result = outcome(whole, len(data) + 1)

    assert outcome(pieces, step) == result
    assert not isinstance(result, str) or result in REASONS
    assert whole.refused == pieces.refused
