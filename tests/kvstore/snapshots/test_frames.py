"""Frames: pieces of any size, and damage of any kind."""

from __future__ import annotations

import tracemalloc
import zlib
from hashlib import sha256
from random import Random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import DecodeError
from kvstore.snapshots.frames import (
    COMPRESSED,
    CONTINUED,
    FOOTER,
    FRAME_SIZE_MAX,
    MAGIC,
    Frame,
    FrameReader,
    FrameWriter,
)

FRAMES: list[Frame] = [(1, b"header"), (2, b"rows" * 100), (2, b""), (0x83, b"option")]


#: The largest payload that a frame holds, compressible but not by too much.
LARGEST = Random(1).randbytes(FRAME_SIZE_MAX // 32) * 32


def written(frames: list[Frame], *, compress: bool = False, footer: bytes = b"end") -> bytes:
    writer = FrameWriter(compress=compress)
    stream = writer.begin() + b"".join(writer.frame(*frame) for frame in frames)
    stream += writer.end(footer)
    assert writer.size == len(stream)
    return stream


def read(stream: bytes, piece: int = 1 << 20) -> list[Frame]:
    """Return the frames of a whole stream that comes in pieces."""
    reader = FrameReader()
    frames: list[Frame] = []
    for start in range(0, len(stream), piece):
        frames += reader.feed(stream[start : start + piece])
    reader.finish()
    return frames


# --- what is written is read


@given(
    st.lists(st.tuples(st.integers(0, 255).filter(lambda tag: tag != FOOTER), st.binary())),
    st.booleans(),
    st.integers(1, 100),
)
def test_what_is_written_is_read_in_pieces_of_any_size(
    frames: list[Frame], compress: bool, piece: int
) -> None:
    stream = written(frames, compress=compress)

    assert read(stream, piece) == [*frames, (FOOTER, b"end")]


def test_the_layout_is_as_told() -> None:
    """Magic; tag, flags, length, payload, chained checksum; the footer with the hash of all."""
    frame = b"\x02\x00" + pack(">I", 4) + b"rows"
    checksum = zlib.crc32(frame, zlib.crc32(MAGIC))
    head = MAGIC + frame + pack(">I", checksum)
    footer = bytes([FOOTER, 0]) + pack(">I", 35) + sha256(head).digest() + b"end"

    assert written([(2, b"rows")]) == head + footer + pack(">I", zlib.crc32(footer, checksum))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("size", [FRAME_SIZE_MAX, FRAME_SIZE_MAX + 1, 3 * FRAME_SIZE_MAX])
def test_a_large_payload_is_in_several_frames(size: int, compress: bool) -> None:
    payload = Random(1).randbytes(size)

    stream = written([(1, b"a"), (2, payload), (3, b"b")], compress=compress)

    assert len(stream) > size
    assert read(stream, 100_000) == [(1, b"a"), (2, payload), (3, b"b"), (FOOTER, b"end")]


def test_only_what_gets_smaller_is_compressed() -> None:
    stream = written([(2, b"x" * 1000), (3, b"x")], compress=True)

    assert len(stream) < 200
    assert stream[len(MAGIC) + 1] == COMPRESSED
    assert stream.index(b"\x03\x00\x00\x00\x00\x01x") > 0


def test_what_would_hold_too_much_for_its_size_is_not_compressed() -> None:
    stream = written([(2, bytes(100_000))], compress=True)

    assert len(stream) > 100_000
    assert read(stream) == [(2, bytes(100_000)), (FOOTER, b"end")]


def test_each_frame_comes_as_soon_as_it_is_whole() -> None:
    stream = written(FRAMES)
    reader = FrameReader()
    seen = [(i, frame) for i in range(len(stream)) for frame in reader.feed(stream[i : i + 1])]

    ends = []
    at = len(MAGIC)
    for _, payload in [*FRAMES, (FOOTER, bytes(32) + b"end")]:
        at += 10 + len(payload)
        ends.append(at - 1)
    assert seen == list(zip(ends, [*FRAMES, (FOOTER, b"end")], strict=True))
    assert reader.ended


def test_who_stops_in_the_middle_of_a_piece_goes_on_with_the_next() -> None:
    stream = written(FRAMES)
    reader = FrameReader()

    first = next(reader.feed(stream))
    rest = list(reader.feed(b""))

    assert [first, *rest] == [*FRAMES, (FOOTER, b"end")]


# --- damage


@pytest.mark.parametrize("compress", [False, True])
def test_every_bit_counts(compress: bool) -> None:
    stream = written(FRAMES, compress=compress)

    for bit in range(len(stream) * 8):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            read(bytes(damaged))


def test_every_truncation_is_found() -> None:
    stream = written(FRAMES)

    for size in range(len(stream)):
        with pytest.raises(DecodeError, match="truncated: the stream ends without its footer"):
            read(stream[:size])


def test_bytes_behind_the_end_are_found() -> None:
    stream = written(FRAMES)
    reader = FrameReader()
    list(reader.feed(stream))

    with pytest.raises(DecodeError, match="trailing"):
        read(stream + b"\0")
    with pytest.raises(DecodeError, match="trailing"):
        list(reader.feed(b"\0"))


@pytest.mark.parametrize("change", ["lost", "twice", "swapped"])
def test_a_frame_fits_at_its_own_place_only(change: str) -> None:
    writer = FrameWriter()
    parts = [writer.begin(), *[writer.frame(2, bytes([i])) for i in range(3)], writer.end()]
    parts = {
        "lost": parts[:2] + parts[3:],
        "twice": [*parts[:3], parts[2], *parts[3:]],
        "swapped": [parts[0], parts[2], parts[1], *parts[3:]],
    }[change]

    with pytest.raises(DecodeError, match="damaged: a frame's checksum is wrong"):
        read(b"".join(parts))


def test_the_end_of_another_stream_does_not_fit() -> None:
    one, other = FrameWriter(), FrameWriter()
    stream = one.begin() + one.frame(2, b"one")
    other.begin()
    other.frame(2, b"two")
    footer = bytes([FOOTER, 0]) + pack(">I", 32) + other._hash.digest()

    with pytest.raises(DecodeError, match="damaged: the hash of the stream is wrong"):
        read(stream + footer + pack(">I", zlib.crc32(footer, one._checksum)))


def forged(*frames: tuple[int, int, bytes], magic: bytes = MAGIC) -> bytes:
    """Return a stream of frames with right checksums, and no footer but what is told."""
    stream, checksum = magic, zlib.crc32(magic)
    for tag, flags, payload in frames:
        frame = bytes([tag, flags]) + pack(">I", len(payload)) + payload
        checksum = zlib.crc32(frame, checksum)
        stream += frame + pack(">I", checksum)
    return stream


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "truncated"),
        (b"shoal", "truncated"),
        (MAGIC, "truncated"),
        (b"other", "malformed"),
        (b"\0" * 8, "malformed"),
        (b"shoalkv\x02", "unsupported"),
        (b"shoalkv\x00", "unsupported"),
        (MAGIC + b"\x02\x00\xff\xff\xff\xff", "too-large"),
        (MAGIC + b"\x02\x00" + pack(">I", FRAME_SIZE_MAX + 1), "too-large"),
        (MAGIC + b"\x02\x00" + pack(">I", FRAME_SIZE_MAX), "truncated"),
        (forged((2, 4, b"")), "unsupported"),
        (forged((2, COMPRESSED, b"not zlib")), "malformed"),
        (forged((2, COMPRESSED, zlib.compress(b"abc")[:-1])), "malformed"),
        (forged((2, COMPRESSED, zlib.compress(b"abc") + b"\0")), "malformed"),
        (forged((2, COMPRESSED, zlib.compress(bytes(FRAME_SIZE_MAX + 1)))), "too-large"),
        (forged((2, COMPRESSED, zlib.compress(bytes(FRAME_SIZE_MAX)))), "too-large"),
        (forged((2, COMPRESSED, zlib.compress(LARGEST))), "truncated"),
        (forged((2, CONTINUED, b"a"), (3, 0, b"b")), "malformed"),
        (forged((2, CONTINUED, b"a"), (FOOTER, 0, bytes(32))), "malformed"),
        (forged((FOOTER, CONTINUED, bytes(32))), "malformed"),
        (forged((FOOTER, 0, b"")), "damaged"),
        (forged((FOOTER, 0, bytes(32))), "damaged"),
        (forged((FOOTER, 0, sha256(MAGIC).digest())), None),
    ],
)
def test_what_is_no_stream_is_refused_by_its_reason(stream: bytes, reason: str | None) -> None:
    if reason is None:
        assert read(stream) == [(FOOTER, b"")]
        return

    with pytest.raises(DecodeError) as caught:
        read(stream)

    assert caught.value.reason == reason


def test_there_is_no_way_back_into_a_damaged_stream() -> None:
    reader = FrameReader()
    with pytest.raises(DecodeError, match="malformed"):
        list(reader.feed(b"other"))

    for again in (lambda: list(reader.feed(written(FRAMES))), reader.finish):
        with pytest.raises(DecodeError, match="malformed"):
            again()
    assert not reader.ended


@given(st.binary(), st.integers(1, 10))
def test_any_bytes_are_a_stream_or_refused(data: bytes, piece: int) -> None:
    for stream in (data, MAGIC + data):
        with pytest.raises(DecodeError):
            read(stream, piece)


def test_a_bomb_gets_no_more_room_than_a_frame() -> None:
    bomb = forged((2, COMPRESSED, zlib.compress(bytes(1 << 27))))

    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="too-large"):
            read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8 * FRAME_SIZE_MAX
