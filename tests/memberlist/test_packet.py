"""The layers of a datagram: in order, each optional, none of them a way to hurt us."""

from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.codec import encode_ack, encode_compressed, encode_nack
from memberlist.errors import DecodeError
from memberlist.lzw import compress
from memberlist.packet import (
    COMPOUND_OVERHEAD,
    COMPOUND_PART_OVERHEAD,
    COMPOUND_PARTS_MAX,
    LABEL_SIZE_MAX,
    PacketCodec,
    PacketLimits,
    decode_compound,
    encode_compound,
    label_header,
    split_label,
)
from memberlist.security import Keyring
from tests.strategies import mangled

KEY = bytes(range(16))
OTHER = bytes(16)
ACK = encode_ack(1, b"")
NACK = encode_nack(2)
LONG = encode_ack(1, bytes(300))
NONCE = bytes(12)


def codec(
    *,
    label: bytes = b"",
    label_check_skipped: bool = False,
    keyring: Keyring | None = None,
    verify_incoming: bool = True,
    verify_outgoing: bool = True,
    encryption_version: int = 1,
    compression: bool = False,
    compression_size_min: int = 0,
    entropy: Callable[[int], bytes] = bytes,
    parts: int = 20,
    depth: int = 3,
    decompressed_size: int = 10_000,
) -> PacketCodec:
    return PacketCodec(
        label=label,
        label_check_skipped=label_check_skipped,
        keyring=keyring,
        verify_incoming=verify_incoming,
        verify_outgoing=verify_outgoing,
        encryption_version=encryption_version,
        compression=compression,
        compression_size_min=compression_size_min,
        entropy=entropy,
        limits=PacketLimits(parts, depth, decompressed_size),
    )


def refusal(call: Callable[[bytes], object], data: bytes) -> str:
    with pytest.raises(DecodeError) as error:
        call(data)
    return error.value.reason


# --- nothing in the way ----------------------------------------------------------------------


def test_without_label_keys_and_compression_a_message_is_its_datagram() -> None:
    plain = codec()

    assert plain.seal(ACK, crc=False) is ACK
    assert plain.open(ACK) is ACK
    assert plain.overhead == 5


def test_an_empty_datagram_is_refused() -> None:
    assert refusal(codec().open, b"") == "empty"
    assert refusal(codec(label=b"x").open, b"\xf4\x01x") == "empty"


# --- label -----------------------------------------------------------------------------------


def test_a_label_goes_in_front_and_must_be_there() -> None:
    labelled = codec(label=b"dc1")

    datagram = labelled.seal(ACK, crc=False)

    assert datagram == b"\xf4\x03dc1" + ACK
    assert labelled.open(datagram) == ACK
    assert labelled.overhead == 5 + 5
    assert refusal(labelled.open, ACK) == "label"
    assert refusal(labelled.open, b"\xf4\x03dc2" + ACK) == "label"
    assert refusal(codec().open, datagram) == "label"


def test_where_labels_are_removed_beforehand_a_label_is_one_too_many() -> None:
    behind = codec(label=b"dc1", label_check_skipped=True)

    assert behind.open(ACK) == ACK
    assert refusal(behind.open, b"\xf4\x03dc1" + ACK) == "label"
    assert refusal(codec(label_check_skipped=True).open, b"\xf4\x03dc1" + ACK) == "label"


def test_a_label_of_255_bytes_is_the_longest() -> None:
    assert label_header(bytes(LABEL_SIZE_MAX)) == b"\xf4\xff" + bytes(255)
    assert label_header(b"") == b""
    with pytest.raises(ValueError, match="a label of 256 bytes exceeds 255"):
        codec(label=bytes(256))


@pytest.mark.parametrize("data", [b"\xf4", b"\xf4\x00\x01", b"\xf4\x05abcd"])
def test_a_broken_label_is_refused(data: bytes) -> None:
    assert refusal(split_label, data) == "label"
    assert refusal(codec(label=b"abcde").open, data) == "label"


@given(st.binary(min_size=1, max_size=255), st.binary(max_size=20))
def test_a_label_is_split_off(label: bytes, rest: bytes) -> None:
    assert split_label(label_header(label) + rest) == (label, rest)
    assert split_label(b"\x00" + rest) == (b"", b"\x00" + rest)


# --- checksum --------------------------------------------------------------------------------


def test_a_checksum_is_optional_for_the_receiver() -> None:
    datagram = codec().seal(ACK, crc=True)

    assert datagram == b"\x0c" + crc32(ACK).to_bytes(4, "big") + ACK
    assert codec().open(datagram) == ACK


def test_a_wrong_checksum_is_refused() -> None:
    datagram = codec().seal(ACK, crc=True)
    for place in range(1, len(datagram)):
        broken = datagram[:place] + bytes([datagram[place] ^ 0x10]) + datagram[place + 1 :]
        assert refusal(codec().open, broken) == "crc"


def test_a_checksum_is_looked_for_once_and_only_where_it_fits() -> None:
    inner = codec().seal(ACK, crc=True)

    assert codec().open(codec().seal(inner, crc=True)) == inner
    assert codec().open(b"\x0c\x00\x00\x00") == b"\x0c\x00\x00\x00"
    assert refusal(codec().open, b"\x0c\x00\x00\x00\x00") == "empty"


# --- encryption ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("label", [b"", b"dc1"])
def test_a_packet_is_sealed_with_the_primary_key_and_bound_to_the_label(
    version: int, label: bytes
) -> None:
    ring = Keyring([KEY, OTHER])
    sealed = codec(label=label, keyring=ring, encryption_version=version).seal(ACK, crc=False)
    inner = sealed.removeprefix(label_header(label))

    assert inner[0] == version
    assert Keyring([KEY]).open(inner, label) == ACK
    assert codec(label=label, keyring=Keyring([OTHER, KEY])).open(sealed) == ACK
    assert refusal(codec(label=label, keyring=Keyring([OTHER])).open, sealed) == "decrypt"


def test_a_nonce_comes_from_the_entropy_that_was_given() -> None:
    sealed = codec(keyring=Keyring([KEY]), entropy=lambda size: b"n" * size).seal(ACK, crc=False)

    assert sealed[1:13] == b"n" * 12


def test_plaintext_is_refused_while_there_are_keys_unless_verification_is_off() -> None:
    ring = Keyring([KEY])
    reserved = codec().seal(ACK, crc=True)

    assert refusal(codec(keyring=ring).open, ACK) == "decrypt"
    assert codec(keyring=ring, verify_incoming=False).open(ACK) == ACK
    assert codec(keyring=ring, verify_incoming=False).open(reserved) == ACK


def test_nothing_is_sealed_while_outgoing_verification_is_off() -> None:
    lenient = codec(keyring=Keyring([KEY]), verify_outgoing=False)

    assert lenient.seal(ACK, crc=False) == ACK


def test_a_change_of_the_ring_holds_from_the_next_packet_on() -> None:
    ring = Keyring()
    live = codec(keyring=ring)
    assert live.seal(ACK, crc=False) == ACK
    assert live.overhead == 5 + 29  # kept free for the keys that may come

    ring.add(KEY)
    first = live.seal(ACK, crc=False)
    ring.add(OTHER)
    ring.use(OTHER)
    second = live.seal(ACK, crc=False)

    assert live.overhead == 5 + 29
    assert Keyring([KEY]).open(first, b"") == ACK
    assert Keyring([OTHER]).open(second, b"") == ACK
    assert live.open(first) == live.open(second) == ACK


def test_there_is_no_third_encryption_version() -> None:
    with pytest.raises(ValueError, match="there is no encryption version 2"):
        codec(encryption_version=2)


# --- compression -----------------------------------------------------------------------------


def test_only_what_gets_smaller_is_compressed() -> None:
    small = codec(compression=True)

    assert small.seal(LONG, crc=False) == encode_compressed(LONG)
    assert len(small.seal(LONG, crc=False)) < len(LONG)
    assert small.seal(ACK, crc=False) == ACK
    assert codec(compression=True, compression_size_min=len(LONG) + 1).seal(LONG, crc=False) == LONG
    assert codec(
        compression=True, compression_size_min=len(LONG)
    ).seal(LONG, crc=False) == encode_compressed(LONG)  # fmt: skip


def test_what_stays_as_long_as_it_was_is_not_compressed() -> None:
    even = next(
        message
        for message in (b"\x08" + bytes(size) for size in range(100))
        if len(encode_compressed(message)) == len(message)
    )

    assert codec(compression=True).seal(even, crc=False) == even


@given(
    st.binary(min_size=1, max_size=400),
    st.binary(max_size=30),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1]),
)
def test_what_is_sealed_comes_back_within_the_overhead(
    message: bytes, label: bytes, crc: bool, encrypted: bool, compressed: bool, version: int
) -> None:
    message = b"\x08" + message
    whole = codec(
        label=label,
        keyring=Keyring([KEY]) if encrypted else None,
        encryption_version=version,
        compression=compressed,
    )

    datagram = whole.seal(message, crc=crc)
    inner = whole.open(datagram)

    assert len(datagram) <= len(message) + whole.overhead
    assert (whole.split(inner)[0] if inner[0] == 9 else [inner]) == [message]


def test_the_overhead_is_reached() -> None:
    whole = codec(label=b"dc1", keyring=Keyring([KEY]), encryption_version=0)
    message = b"\x08" + bytes(10)  # with its CRC a multiple of 16: a whole block of padding

    assert len(whole.seal(message, crc=True)) == len(message) + whole.overhead


# --- compounds -------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=30), max_size=COMPOUND_PARTS_MAX))
def test_a_compound_comes_back(parts: list[bytes]) -> None:
    data = encode_compound(parts)

    assert decode_compound(data[1:]) == (parts, 0)
    assert len(data) == COMPOUND_OVERHEAD + sum(COMPOUND_PART_OVERHEAD + len(p) for p in parts)


def test_a_compound_that_old_peers_misread_is_never_written() -> None:
    with pytest.raises(ValueError, match="128 parts exceed 127"):
        encode_compound([b"x"] * 128)
    with pytest.raises(ValueError, match="a part exceeds 65535 bytes"):
        encode_compound([bytes(65536)])


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5), st.data())
def test_a_compound_that_is_cut_off_keeps_its_complete_parts(
    parts: list[bytes], data: st.DataObject
) -> None:
    body = encode_compound(parts)[1:]
    size = data.draw(st.integers(0, len(body) - 1))

    if size < 1 + 2 * len(parts):
        assert refusal(decode_compound, body[:size]) == "truncated"
    else:
        kept, lost = decode_compound(body[:size])
        assert kept == parts[: len(kept)]
        assert lost == len(parts) - len(kept) > 0


def test_layers_inside_each_other_are_flattened_in_order() -> None:
    nested = encode_compound([ACK, encode_compressed(encode_compound([NACK, LONG])), ACK])

    assert codec().split(nested) == ([ACK, NACK, LONG, ACK], 0)
    assert codec(depth=4).split(encode_compressed(nested)) == ([ACK, NACK, LONG, ACK], 0)


def test_empty_parts_and_those_cut_off_are_counted_as_lost() -> None:
    compound = encode_compound([b"", ACK, encode_compressed(b""), NACK])

    assert codec().split(compound) == ([ACK, NACK], 2)
    assert codec().split(compound[:-1]) == ([ACK], 3)


def test_an_inner_layer_that_cannot_be_read_refuses_the_packet() -> None:
    assert refusal(codec().split, encode_compound([ACK, b"\x07"])) == "truncated"
    assert refusal(codec().split, encode_compound([ACK, b"\x09"])) == "malformed"


def test_depth_is_limited() -> None:
    message = ACK
    for _ in range(3):
        message = encode_compound([message])
    assert codec(depth=3).split(message) == ([ACK], 0)

    assert refusal(codec(depth=3).split, encode_compound([message])) == "too-deep"
    assert refusal(codec(depth=3).split, encode_compressed(message)) == "too-deep"


def test_the_number_of_messages_is_limited() -> None:
    half = encode_compound([ACK] * 10)

    assert codec(parts=20).split(encode_compound([half, half])) == ([ACK] * 20, 0)
    assert refusal(codec(parts=20).split, encode_compound([half, half, ACK])) == "too-many-parts"


def test_the_expansion_of_all_parts_together_is_limited() -> None:
    part = encode_compressed(bytes(4000))

    assert codec(decompressed_size=8000).split(encode_compound([part] * 2))[0] == [bytes(4000)] * 2
    assert refusal(codec(decompressed_size=7999).split, encode_compound([part] * 2)) == "too-large"


def test_a_bomb_of_bombs_is_refused() -> None:
    inner = encode_compressed(bytes(1_000_000))
    bomb = b"\x09\x82\xa4Algo\x00\xa3Buf\xda" + len(compress(inner)).to_bytes(2, "big")

    assert refusal(codec().split, bomb + compress(inner)) == "too-large"


# --- hostile bytes ---------------------------------------------------------------------------

SAMPLES = [
    ACK,
    codec().seal(ACK, crc=True),
    encode_compound([ACK, encode_compound([NACK, NACK]), b""]),
    encode_compressed(LONG),
    codec(label=b"dc1", keyring=Keyring([KEY])).seal(encode_compound([ACK, NACK]), crc=True),
    label_header(b"dc1") + ACK,
]
REASONS = {
    "bad-compression", "bad-field", "crc", "decrypt", "empty", "label", "malformed", "too-deep",
    "too-large", "too-many-parts", "truncated",
}  # fmt: skip


@given(mangled(SAMPLES) | st.binary(max_size=200), st.booleans(), st.booleans())
def test_any_datagram_gives_few_and_small_messages_or_a_decode_error(
    data: bytes, labelled: bool, encrypted: bool
) -> None:
    receiver = codec(
        label=b"dc1" if labelled else b"",
        keyring=Keyring([KEY]) if encrypted else None,
        verify_incoming=False,
    )
    parts: list[bytes] = []
    reason = "crc"
    try:
        message = receiver.open(data)
        parts, _ = receiver.split(message) if message[0] in (7, 9) else ([message], 0)
    except DecodeError as error:
        reason = error.reason

    assert reason in REASONS
    assert len(parts) <= 20
    assert all(parts)
    assert sum(map(len, parts)) <= len(data) + 10_000
