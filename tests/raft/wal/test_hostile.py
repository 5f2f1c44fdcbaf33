"""A damaged log is refused, or what it says was once so; noise is no log."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import RaftError
from raft.membership.configuration import Configuration
from raft.stored import HardState, Stored
from raft.testing.storage_checks import PersistModel
from raft.wal import Recovered, Recovery, SnapshotMarker, WalCorrupted, WalForeign, WalWriter
from raft.wal.records import (
    HEADER_BYTES,
    PREAMBLE_BYTES,
    RECORD_MAGIC,
    Body,
    RecordKind,
    decode_body,
    encode_body,
    encode_preamble,
    encode_record,
    segment_seed,
)
from tests.raft.effort import calls_of
from tests.raft.test_packing import SAMPLE

LOG = b"0123456789abcdef"
Segments = dict[int, bytes]


class History:
    """A log of several segments, all of it durable, and what each prefix of it comes to.

    Attributes:
        segments: Contents by number.
        model: What was written.
    """

    def __init__(self, rng: Random) -> None:
        self.model = PersistModel(rng, Stored())
        self.segments: Segments = {}
        self._data: dict[int, bytes] = {}
        writer = WalWriter(Recovery().finish(), log_id=LOG, segment_bytes=rng.randint(150, 900))
        for _ in range(rng.randint(1, 15)):
            if not writer.segment or writer.is_full:
                content = writer.begin_segment()
                writer.synced(writer.last_number)
                self.segments[writer.segment] = content
            for _ in range(rng.randint(1, 3)):
                persist = self.model.next()
                if persist.snapshot is not None:
                    self._data[persist.snapshot.index] = bytes(persist.snapshot.data)
                self.segments[writer.segment] += writer.append(persist)
            writer.synced(writer.last_number)
            self.segments[writer.segment] += writer.mark()

    def prefix(self, recovered: Recovered) -> int:
        """Return how many writes a recovered log is what became of, or -1 if it is of none."""
        marker = recovered.snapshot
        data = self._data.get(marker.index) if marker is not None else None
        return self.model.prefix(recovered.stored(data))


def recover(segments: Segments, step: int = 0) -> Recovered:
    """Return what segments say, fed whole or in pieces of `step` bytes."""
    recovery = Recovery()
    for number, content in sorted(segments.items()):
        recovery.begin(number)
        size = step or len(content) or 1
        for begin in range(0, len(content), size):
            recovery.feed(content[begin : begin + size])
    return recovery.finish()


# --- what may happen to files


def truncate(rng: Random, segments: Segments) -> None:
    """Cut a file short."""
    number = rng.choice(list(segments))
    segments[number] = segments[number][: rng.randint(0, len(segments[number]))]


def flip(rng: Random, segments: Segments) -> None:
    """Turn a bit round."""
    number = rng.choice(list(segments))
    content = bytearray(segments[number])
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    segments[number] = bytes(content)


def overwrite(rng: Random, segments: Segments) -> None:
    """Put other bytes in place of some: zeros, noise, or bytes of the log itself."""
    number, other = rng.choices(list(segments), k=2)
    content, source = segments[number], segments[other]
    size = rng.randint(0, 64)
    begin, at = rng.randint(0, len(source)), rng.randint(0, len(content))
    new = rng.choice((bytes(size), rng.randbytes(size), source[begin : begin + size]))
    segments[number] = content[:at] + new + content[at + len(new) :]


def insert(rng: Random, segments: Segments) -> None:
    """Move a file's rest, with a piece of another before it."""
    number, other = rng.choices(list(segments), k=2)
    content, source = segments[number], segments[other]
    begin, at = rng.randint(0, len(source)), rng.randint(0, len(content))
    piece = source[begin : rng.randint(begin, len(source))]
    segments[number] = content[:at] + piece + content[at:]


def repeat(rng: Random, segments: Segments) -> None:
    """Append a file's end to it once more, or noise."""
    number = rng.choice(list(segments))
    content = segments[number]
    more = content[rng.randint(0, len(content)) :]
    segments[number] = content + rng.choice((more, rng.randbytes(rng.randint(0, 99))))


def swap(rng: Random, segments: Segments) -> None:
    """Exchange two files."""
    one, other = rng.choices(list(segments), k=2)
    segments[one], segments[other] = segments[other], segments[one]


def duplicate(rng: Random, segments: Segments) -> None:
    """Copy a file under a new name."""
    segments[max(segments) + rng.randint(1, 2)] = segments[rng.choice(list(segments))]


def lose(rng: Random, segments: Segments) -> None:
    """Delete a file."""
    if len(segments) > 1:
        del segments[rng.choice(list(segments))]


DAMAGES = (truncate, flip, overwrite, insert, repeat, swap, duplicate, lose)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_log_damaged_in_one_way_is_refused_or_a_prefix(
    damage: Callable[[Random, Segments], None], seed: int
) -> None:
    rng = Random(f"{damage.__name__} {seed}")
    for _ in range(60):
        history = History(rng)
        segments = dict(history.segments)

        damage(rng, segments)

        _check(history, segments, rng.choice((0, 1, 13)))


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(DAMAGES), max_size=5))
def test_a_log_damaged_in_several_ways_is_refused_or_a_prefix(
    rng: Random, damages: list[Callable[[Random, Segments], None]]
) -> None:
    history = History(rng)
    segments = dict(history.segments)

    for damage in damages:
        damage(rng, segments)

    _check(history, segments, 0)


def _check(history: History, segments: Segments, step: int) -> None:
    """Assert that a log is refused or a prefix, and whole if the last mark is still there.

    The mark says that everything before it was durable: what is missing then is missed.
    """
    last, content = max(history.segments.items())
    try:
        recovered = recover(segments, step)
        prefix = history.prefix(recovered)
    except (WalCorrupted, WalForeign):
        return

    assert prefix >= 0, recovered
    if segments.get(last, b"")[: len(content)][-HEADER_BYTES:] == content[-HEADER_BYTES:]:
        assert prefix == len(history.model.states) - 1


def test_a_log_that_is_whole_is_not_refused(seed: int) -> None:
    rng = Random(seed)
    for _ in range(60):
        history = History(rng)

        assert history.prefix(recover(history.segments)) == len(history.model.states) - 1


@given(st.dictionaries(st.integers(1, 9), st.binary(max_size=300), max_size=4))
def test_noise_is_refused_or_nothing(segments: Segments) -> None:
    try:
        recovered = recover(segments)
    except RaftError as error:
        assert isinstance(error, WalCorrupted | WalForeign)  # noqa: PT017  # nothing else may be
        return

    assert recovered.stored() == Stored()


# --- bytes behind right checksums


MARKER = SnapshotMarker(6, 2, Configuration(("n1",)), 1, 5, 99)
GOOD = msgpack.unpackb(encode_body(Body(HardState(3, "n1", 1), MARKER, 0, SAMPLE)))

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=24),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw the body of a record: noise, or a good one with other elements."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60))
    elements = list(GOOD)
    for at in draw(st.lists(st.integers(0, len(elements) - 1), max_size=3)):
        elements[at] = draw(VALUES)
    return bytes(msgpack.packb(elements[: draw(st.integers(0, 20))]))


@given(bodies())
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    try:
        decoded = decode_body(body)
    except ValueError:
        return

    assert decode_body(encode_body(decoded)) == decoded


@given(st.lists(st.tuples(st.sampled_from(RecordKind), bodies()), max_size=4), st.integers(1, 3))
def test_records_that_no_writer_writes_are_refused_or_say_something(
    records: list[tuple[RecordKind, bytes]], first: int
) -> None:
    content = encode_preamble(LOG, 1)
    for number, (kind, body) in enumerate(records, first):
        seed = segment_seed(LOG, 1) + len(content)
        content += encode_record(kind, body, number, number - 1, seed)

    try:
        recovered = recover({1: content})
    except WalCorrupted:
        return

    assert recovered.last_number == (first + len(records) - 1 if records else 0)


def test_a_hole_is_searched_in_time_that_grows_with_its_size() -> None:
    """Noise that is nothing but beginnings of records, fed in small pieces."""
    torn = encode_preamble(LOG, 1) + encode_record(
        RecordKind.SEGMENT,
        encode_body(Body(HardState())),
        1,
        0,
        segment_seed(LOG, 1) + PREAMBLE_BYTES,
    )

    def calls(size: int) -> int:
        return calls_of(lambda: recover({1: torn + RECORD_MAGIC * size}, step=64))

    assert calls(4000) < 2.2 * calls(2000)
