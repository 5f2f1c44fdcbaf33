"""Go's LZW in both directions; the vectors of the real library are in interop/test_wire.py."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.errors import DecodeError
from memberlist.lzw import CLEAR, END, compress, decompress


def packed(codes: list[tuple[int, int]]) -> bytes:
    """Return codes, each with its width in bits, packed least significant bit first."""
    bits = count = 0
    for code, width in codes:
        bits |= code << count
        count += width
    return bits.to_bytes((count + 7) // 8, "little")


def test_nothing_is_a_clear_code_and_an_end_code() -> None:
    assert compress(b"") == packed([(CLEAR, 9), (END, 9)])
    assert decompress(compress(b""), limit=0) == b""


def test_a_repeated_string_is_one_code() -> None:
    assert compress(b"ababab") == packed(
        [(CLEAR, 9), (ord("a"), 9), (ord("b"), 9), (258, 9), (258, 9), (END, 9)]
    )


def test_a_code_may_be_used_just_as_it_is_being_defined() -> None:
    data = packed([(CLEAR, 9), (ord("a"), 9), (258, 9), (259, 9), (END, 9)])

    assert decompress(data, limit=10) == b"aaaaaa"


@given(st.binary(max_size=2000))
def test_any_bytes_come_back(data: bytes) -> None:
    assert decompress(compress(data), limit=len(data)) == data


def without_repetition(size: int) -> bytes:
    """Return bytes in which no two neighbours come a second time: a code for each of them."""
    pairs = bytearray()
    for low in range(10):
        for high in range(low + 1, 256):
            pairs += bytes((low, high))
    return bytes(pairs[:size])


@pytest.mark.parametrize(
    ("size", "end"),
    [
        (253, [(END, 9)]),
        (254, [(END, 9)]),
        (255, [(END, 10)]),  # entry 512 is next: the code after it has another width
        (256, [(END, 10)]),
        (767, [(END, 11)]),
        (1791, [(END, 12)]),
        (3837, [(END, 12)]),
        (3838, [(CLEAR, 12), (END, 9)]),  # the table is full
        (3839, [(END, 9)]),
    ],
)
def test_the_end_code_has_the_width_of_the_code_that_would_follow(
    size: int, end: list[tuple[int, int]]
) -> None:
    data = without_repetition(size)
    widths = [9] * 255 + [10] * 512 + [11] * 1024 + [12] * 2047
    codes = list(zip(data[:3838], widths, strict=False))
    if size > 3838:
        codes += [(CLEAR, 12), *((byte, 9) for byte in data[3838:])]

    assert compress(data) == packed([(CLEAR, 9), *codes, *end])
    assert decompress(compress(data), limit=size) == data


@pytest.mark.parametrize("size", [254, 255, 256, 766, 1790, 3836, 3837, 3838, 3839, 8000, 30000])
def test_bytes_without_repetition_come_back_across_every_change_of_width(size: int) -> None:
    data = random.Random(size).randbytes(size)

    assert decompress(compress(data), limit=size) == data


@given(st.integers(0, 2000), st.integers(1, 4), st.randoms(use_true_random=False))
def test_long_repetitive_bytes_come_back(size: int, letters: int, rng: random.Random) -> None:
    data = bytes(rng.choices(range(letters), k=size))

    assert decompress(compress(data), limit=size) == data


def test_a_full_table_is_kept_until_a_clear_code_comes() -> None:
    """Other encoders than Go's may go on with a full table."""
    # 3838 codes fill the entries 258 to 4095, the last of which stands for "aa"; then any code
    # may follow without a new one being defined.
    literals = [ord("a") + number % 2 for number in range(3839)]
    widths = [9] * 255 + [10] * 512 + [11] * 1024 + [12] * 10000
    codes = [(CLEAR, 9), *zip(literals, widths, strict=False)]
    tail = [(4095, 12), (4095, 12), (ord("z"), 12), (CLEAR, 12), (ord("q"), 9), (END, 9)]

    plain = decompress(packed(codes + tail), limit=5000)

    assert plain == bytes(literals) + b"baba" + b"z" + b"q"


@given(st.binary(max_size=300), st.integers(0, 500))
def test_any_input_expands_within_the_limit_or_is_a_decode_error(data: bytes, limit: int) -> None:
    plain, reason = b"", "truncated"
    try:
        plain = decompress(data, limit)
    except DecodeError as error:
        reason = error.reason

    assert reason in ("truncated", "bad-compression", "too-large")
    assert len(plain) <= limit


def test_what_expands_above_the_limit_is_refused_before_it_is_built() -> None:
    bomb = compress(bytes(1_000_000))

    assert len(bomb) < 3_000
    with pytest.raises(DecodeError, match="too-large: more than 1000 bytes"):
        decompress(bomb, limit=1000)


@given(st.binary(min_size=1, max_size=200))
def test_every_cut_is_noticed(data: bytes) -> None:
    compressed = compress(data)
    for size in range(len(compressed)):
        with pytest.raises(DecodeError, match="truncated"):
            decompress(compressed[:size], limit=1000)


@pytest.mark.parametrize("code", [258, 259, 511])
def test_an_undefined_code_is_refused(code: int) -> None:
    with pytest.raises(DecodeError, match=f"bad-compression: code {code} is not defined"):
        decompress(packed([(CLEAR, 9), (code, 9), (END, 9)]), limit=10)
