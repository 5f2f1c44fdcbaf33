"""The stream of a snapshot over rows: its layout, its pieces, its refusals.

What the rows of a store are, and that they come back, is shown in test_export.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from random import Random
from struct import unpack
from typing import Any

import pytest

from kvstore.codec.wire import pack, pack_list, unpack_list
from kvstore.errors import DecodeError, ImportRefused
from kvstore.snapshots import snapshot
from kvstore.snapshots.frames import FOOTER, FRAME_SIZE_MAX, FrameReader, FrameWriter
from kvstore.snapshots.snapshot import (
    HEADER,
    PIECE_BATCHES,
    PIECE_SIZE,
    SECTIONS,
    Batch,
    Scalar,
    SnapshotReader,
    SnapshotWriter,
)
from kvstore.state.digest import header_hash, rows_hash, total
from tests.kvstore.messages import POLICY, ROLE, TOKEN

#: The same rows in every version that there was.
GOLDEN = Path(__file__).parents[1] / "golden"
NEWEST = GOLDEN / "snapshot-rows-1.1.bin"
DESCRIPTION = GOLDEN / "snapshot-rows-1.1.txt"

Rows = dict[str, list[Any]]

#: Rows of every section, as export.py tells them.
ROWS: Rows = {
    "entries": [
        ("a", b"1", 0, 2, 2, 1, None, 0),
        ("b", b"", 2**64 - 1, 3, 5, 2, (1, "s1", 5, "", 9000), 3),
    ],
    "deadlines": [("b", 19_000)],
    "sessions": [
        ("s1", 10_000, "delete", 15_000, ("node:a", "check:b"), "n", (("k", "v"),), 4, 20_000),
        ("s2", None, "release", 0, (), "", (), 4, None),
    ],
    "delays": [("c", 30_000)],
    "sequences": [("dir/", 7)],
    "directories": [("dir/", 5)],
    "quotas": [("dir/", 10, None)],
    "policies": [POLICY],
    "roles": [ROLE],
    "tokens": [TOKEN],
    "marks": [(1000, 0), (2000, 2)],
    "changes": [
        (2, "a", ("a", b"1", 0, 2, 2, 1, None, 0), None, 0, -1),
        (5, "b", ("b", b"", 1, 3, 5, 2, None, 3), 1, 1, -1),
        (6, "c", None, ("c", b"", 1, 3, 5, 2, None, 3), 0, -1),
    ],
}
HEAD: dict[str, Scalar] = {"store": "one", "applied_index": 9, "config.acl": 2, "flag": True}


class View:
    """A source of rows; tells whether it was closed."""

    def __init__(self, rows: Rows, header: Mapping[str, Scalar] = HEAD, batch: int = 2) -> None:
        self.header = header
        self.rows = rows
        self.batch = batch
        self.closed = False
        self.since: int | None = None

    def batches(self, since: int | None = None) -> Iterable[Batch]:
        if since == -1:
            raise ValueError("since is -1")
        self.since = since
        return self.told()

    def told(self) -> Iterator[Batch]:
        for name, rows in self.rows.items():
            for start in range(0, len(rows), self.batch):
                yield name, rows[start : start + self.batch]

    def close(self) -> None:
        self.closed = True


class Collected:
    """A sink of rows, which refuses what it is told to refuse."""

    def __init__(self, header: Mapping[str, Scalar], since: int | None) -> None:
        self.header = dict(header)
        self.since = since
        self.rows: Rows = {}
        self.digest: int | None = None

    def add(self, section: str, rows: list[Any]) -> None:
        if self.header.get("refuse") == section:
            raise ImportRefused(f"{section} are wrong")
        self.rows.setdefault(section, []).extend(rows)

    def finish(self, digest: int | None) -> Collected:
        self.digest = digest
        if self.header.get("refuse") == "all":
            raise ImportRefused("they don't fit together")
        return self


def written(view: View, **options: Any) -> bytes:
    return b"".join(SnapshotWriter(view, **options))


def read(stream: bytes, piece: int = 1 << 30) -> Collected:
    reader = SnapshotReader(Collected)
    for start in range(0, len(stream), piece):
        reader.feed(stream[start : start + piece])
    return reader.finish()


# --- both ways


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("piece", [1, 7, 1 << 30])
def test_rows_of_every_section_come_back(piece: int, compress: bool) -> None:
    found = read(written(View(ROWS), compress=compress), piece)

    assert found.rows == ROWS
    assert found.header == HEAD
    assert found.since is None


def test_rows_are_of_every_section_there_is() -> None:
    assert list(ROWS) == list(SECTIONS)


def test_a_store_without_rows_has_a_snapshot() -> None:
    assert read(written(View({}, {}))).rows == {}


def test_an_increment_tells_from_where_it_goes_on() -> None:
    view = View(ROWS)

    found = read(written(view, since=7))

    assert view.since == 7
    assert found.since == 7
    assert found.header == HEAD


def test_bytes_depend_on_rows_alone_and_not_on_batches() -> None:
    random = Random(1)
    rows = {"entries": [(f"k{i}", random.randbytes(i % 300), 0, i, i, 1, None, i)
                        for i in range(5000)]}  # fmt: skip
    header = dict(reversed(HEAD.items()))

    streams = {written(View(rows, batch=n)) for n in (1, 2, 100, 5000)}

    assert len(streams) == 1
    assert written(View(rows, header)) in streams


def test_the_layout_is_as_told() -> None:
    frames = list(FrameReader().feed(written(View({"quotas": ROWS["quotas"]}, {"a": 1}))))

    assert [tag for tag, _ in frames] == [HEADER, SECTIONS["quotas"], FOOTER]
    assert unpack_list(frames[0][1]) == [("a", 1), ("snapshot.minor", 1), ("snapshot.since", None)]
    assert unpack_list(frames[1][1]) == ROWS["quotas"]
    assert unpack_list(frames[2][1])[0] == ("quotas", 1)
    assert [name for name, _ in unpack_list(frames[2][1])[1:]] == ["bytes", "digest"]


# --- golden bytes: a stream of this version, for ever


def described(stream: bytes) -> str:
    """Return a stream in hexadecimal, frame by frame, each part with what it is."""
    names = {HEADER: "header", FOOTER: "footer"} | {tag: name for name, tag in SECTIONS.items()}
    lines = [f"{0:5} {stream[:8].hex()} magic {stream[:8]!r}"]
    at = 8
    while at < len(stream):
        tag, flags, length = unpack(">BBI", stream[at : at + 6])
        payload = stream[at + 6 : at + 6 + length]
        head = f"tag {tag} ({names[tag]}), flags {flags}, {length} bytes"
        lines.append(f"{at:5} {stream[at : at + 6].hex()} {head}")
        if tag == FOOTER:
            lines.append(f"{at + 6:5}   {payload[:32].hex()} SHA-256 of all before this frame")
            payload = payload[32:]
        start = at + 6 + length - len(payload)
        for row in unpack_list(payload):
            lines.append(f"{start:5}   {pack(row).hex()} {row!r}")
            start += len(pack(row))
        at += 6 + length + 4
        lines.append(f"{at - 4:5}   {stream[at - 4 : at].hex()} checksum")
    return "\n".join(lines) + "\n"


def test_bytes_of_this_version_never_change(rewrite: bool) -> None:
    stream = written(View(ROWS))
    if rewrite:
        NEWEST.write_bytes(stream)
        DESCRIPTION.write_text(described(stream))

    assert stream == NEWEST.read_bytes()
    assert described(stream) == DESCRIPTION.read_text()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_bytes_of_every_version_are_read(version: str) -> None:
    found = read((GOLDEN / f"snapshot-rows-{version}.bin").read_bytes())

    assert (found.header, found.rows) == (HEAD, ROWS)


@pytest.mark.parametrize("major", [0, 2, 255])
def test_another_major_version_is_refused_as_such(major: int) -> None:
    stream = NEWEST.read_bytes()

    with pytest.raises(DecodeError, match=f"unsupported: the major version is {major}"):
        read(stream[:7] + bytes([major]) + stream[8:])


# --- the digest


def test_the_footer_tells_the_digest_of_the_rows_and_the_header() -> None:
    reader = SnapshotReader(Collected)
    reader.feed(written(View(ROWS)))

    told = {name: rows for name, rows in ROWS.items() if name not in {"directories", "changes"}}
    rows = (rows_hash(name, rows) for name, rows in told.items())
    assert reader.digest == total(*rows, header_hash(HEAD))


def test_there_is_no_digest_where_none_is_told() -> None:
    older = (GOLDEN / "snapshot-rows-1.0.bin").read_bytes()

    for stream in (older, older[:-1], written(View(ROWS))[:-1], written(View(ROWS), since=5)):
        reader = SnapshotReader(Collected, verify=True)
        reader.feed(stream)
        assert reader.digest is None
    assert reader.finish().digest is None


def test_who_makes_the_store_is_told_the_digest_only_if_it_shall_be_verified() -> None:
    stream = written(View(ROWS))

    careless, careful = (SnapshotReader(Collected, verify=verify) for verify in (False, True))
    careless.feed(stream)
    careful.feed(stream)

    assert careless.finish().digest is None
    assert careful.finish().digest == careful.digest == careless.digest is not None


def test_a_digest_that_an_increment_should_not_have_is_passed_over() -> None:
    reader = SnapshotReader(Collected, verify=True)
    reader.feed(forged((HEADER, [("a", 1), ("snapshot.since", 5)]), footer=[("digest", 7)]))

    assert reader.finish().digest is None


# --- pieces


def test_pieces_are_neither_small_nor_large() -> None:
    rows = {"entries": [(f"k{i}", bytes(100), 0, i, i, 1, None, i) for i in range(10_000)]}

    pieces = list(SnapshotWriter(View(rows, batch=1000)))

    assert len(pieces) > 5
    assert all(PIECE_SIZE <= len(piece) <= FRAME_SIZE_MAX for piece in pieces[:-1])
    assert len(pieces[-1]) < PIECE_SIZE


def test_nobody_waits_long_for_a_piece_where_there_is_little_to_tell() -> None:
    class Idle(View):
        looked_at = 0

        def told(self) -> Iterator[Batch]:
            for _ in range(100):
                self.looked_at += 1
                yield "directories", []
            yield "quotas", self.rows["quotas"]

    view = Idle({"quotas": ROWS["quotas"]})
    pieces, steps = [], []
    for piece in SnapshotWriter(view):
        pieces.append(piece)
        steps.append(view.looked_at)

    assert max(b - a for a, b in pairwise([0, *steps])) <= PIECE_BATCHES
    assert b"".join(pieces) == written(View({"quotas": ROWS["quotas"]}))


def test_a_large_row_is_a_piece_of_its_own_and_still_in_small_frames() -> None:
    value = Random(1).randbytes(1_000_000)
    rows = {"entries": [("a", value, 0, 1, 1, 1, None, 0), ("b", b"", 0, 1, 1, 1, None, 1)]}

    stream = written(View(rows))

    assert read(stream, 10_000).rows == rows


def test_a_view_is_closed_at_the_end() -> None:
    view = View(ROWS)
    writer = SnapshotWriter(view)

    pieces = list(writer)

    assert pieces
    assert view.closed


@pytest.mark.parametrize("after", [0, 1])
def test_a_view_is_closed_with_its_writer(after: int) -> None:
    rows = {"entries": [(f"k{i}", bytes(100), 0, i, i, 1, None, i) for i in range(10_000)]}
    view = View(rows)

    with SnapshotWriter(view) as writer:
        for _ in range(after):
            assert next(writer)
        assert not view.closed

    assert view.closed
    assert list(writer) == []


def test_a_view_that_cannot_tell_is_closed_before_anything_is_written() -> None:
    view = View(ROWS)

    with pytest.raises(ValueError, match="since is -1"):
        SnapshotWriter(view, since=-1)

    assert view.closed


def test_what_is_no_view_or_no_index_is_a_mistake() -> None:
    wrong: Any = object()

    with pytest.raises(TypeError, match="object is no view"):
        SnapshotWriter(wrong)
    with pytest.raises(TypeError, match="since must be an index"):
        SnapshotWriter(View(ROWS), since=wrong)


def test_a_view_is_closed_if_it_fails() -> None:
    view = View({"entries": [object()]})

    with pytest.raises(TypeError):
        written(view)

    assert view.closed


# --- damage


def test_every_bit_of_a_snapshot_counts() -> None:
    stream = written(View(ROWS))

    for bit in range(len(stream) * 8):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            read(bytes(damaged), 100)


def test_every_truncation_of_a_snapshot_is_found() -> None:
    stream = written(View(ROWS))

    for size in range(len(stream)):
        with pytest.raises(DecodeError, match="truncated"):
            read(stream[:size])


def test_random_damage_to_a_larger_snapshot_is_found(seed: int) -> None:
    random = Random(seed)
    rows = {"entries": [(f"k{i}", random.randbytes(50), 0, i, i, 1, None, i)
                        for i in range(5000)]}  # fmt: skip
    stream = written(View(rows), compress=bool(seed % 2))

    for _ in range(20):
        damaged = bytearray(stream)
        at = random.randrange(len(stream))
        match random.randrange(4):
            case 0:
                damaged[at] ^= 1 << random.randrange(8)
            case 1:
                del damaged[at:]
            case 2:
                del damaged[at : at + random.randrange(1, 100)]
            case _:
                damaged[at:at] = random.randbytes(random.randrange(1, 100))
        with pytest.raises(DecodeError):
            read(bytes(damaged), 65_536)


def forged(*frames: tuple[int, object], footer: object = ()) -> bytes:
    """Return a stream with right checksums, of frames of elements, or of bytes as they are."""
    writer = FrameWriter()

    def payload(of: Any) -> bytes:
        return of if isinstance(of, bytes) else pack_list(of)

    stream = writer.begin() + b"".join(writer.frame(tag, payload(of)) for tag, of in frames)
    return stream + writer.end(payload(footer))


HEADER_FRAME = (HEADER, [("a", 1)])
QUOTAS = (SECTIONS["quotas"], ROWS["quotas"])
SESSION = ("s1", None, "release", 0, b"", "", b"", 4, None)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (forged(HEADER_FRAME), None),
        (forged(HEADER_FRAME, QUOTAS, footer=[("quotas", 1), ("bytes", 5)]), None),
        (forged(HEADER_FRAME, QUOTAS, footer=[("quotas", 1), ("later", 5)]), None),
        (forged(HEADER_FRAME, (0x85, b"\xc1"), (0x85, b"")), None),
        (forged((0x85, b""), HEADER_FRAME), None),
        (forged(), "malformed: a snapshot begins with its header"),
        (forged(QUOTAS), "malformed: a snapshot begins with its header"),
        (forged(HEADER_FRAME, HEADER_FRAME), "unsupported: no section has the tag 1"),
        (forged(HEADER_FRAME, (0x40, [])), "unsupported: no section has the tag 64"),
        (forged(HEADER_FRAME, QUOTAS), "damaged: there are {'quotas': 1} rows, not {}"),
        (forged(HEADER_FRAME, footer=[("quotas", 1)]), "damaged: there are {} rows"),
        (forged(HEADER_FRAME, QUOTAS, (SECTIONS["entries"], [])),
         "malformed: entries come too late"),
        (forged(HEADER_FRAME, (SECTIONS["quotas"], b"\xc1")), "malformed"),
        (forged((HEADER, [1])), "malformed: neither header nor footer"),
        (forged((HEADER, [("a", 1, 2)])), "malformed: neither header nor footer"),
        (forged((HEADER, [(1, 1)])), "malformed: neither header nor footer"),
        (forged((HEADER, [("a", 1.5)])), "bad-field: the header's a is no plain value"),
        (forged((HEADER, [("snapshot.since", "x")])), "bad-field: a snapshot goes on from"),
        (forged(HEADER_FRAME, footer=[("digest", "x")]), "bad-field: a digest is a number"),
        (forged(HEADER_FRAME, footer=[1]), "malformed: neither header nor footer"),
        (forged((HEADER, [("refuse", "quotas")]), QUOTAS), "bad-state: quotas are wrong"),
        (forged((HEADER, [("refuse", "all")])), "bad-state: they don't fit together"),
        (forged(HEADER_FRAME, (SECTIONS["policies"], [1])), "malformed: Policy is no array"),
        (forged(HEADER_FRAME, (SECTIONS["policies"], [("",)])), "bad-field: Policy: name is empty"),
        (forged(HEADER_FRAME, (SECTIONS["sessions"], [SESSION]), footer=[("sessions", 1)]), None),
        (forged(HEADER_FRAME, (SECTIONS["sessions"], [1])), "malformed: a session is an array"),
        (forged(HEADER_FRAME, (SECTIONS["sessions"], [SESSION[:6]])),
         "malformed: a session is an array"),
        (forged(HEADER_FRAME, (SECTIONS["sessions"], [(*SESSION[:6], "", 4)])),
         "bad-field: a session's bindings and meta are lists"),
    ],
)  # fmt: skip
def test_what_is_no_snapshot_is_refused_by_its_reason(stream: bytes, error: str | None) -> None:
    if error is None:
        assert read(stream)
        return

    with pytest.raises(DecodeError) as caught:
        read(stream)

    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"other bytes", "malformed: these are not the first bytes"),
        (forged((HEADER, [("refuse", "quotas")]), QUOTAS), "bad-state: quotas are wrong"),
    ],
)
def test_there_is_no_way_back_into_a_refused_snapshot(stream: bytes, error: str) -> None:
    reader = SnapshotReader(Collected)
    with pytest.raises(DecodeError, match=error):
        reader.feed(stream)

    for again in (lambda: reader.feed(written(View(ROWS))), reader.finish):
        with pytest.raises(DecodeError, match=error):
            again()


def test_a_reader_knows_when_all_has_come() -> None:
    stream = written(View(ROWS))
    reader = SnapshotReader(Collected)

    reader.feed(stream[:-1])
    assert not reader.complete
    reader.feed(stream[-1:])

    assert reader.complete
    assert reader.finish().rows == ROWS


@pytest.mark.parametrize("piece", ["text", None, bytearray(b"x"), 5])
def test_what_is_no_bytes_is_a_mistake_and_no_damage(piece: Any) -> None:
    stream = written(View(ROWS))
    reader = SnapshotReader(Collected)
    reader.feed(stream[:50])

    with pytest.raises(TypeError, match="must be bytes"):
        reader.feed(piece)

    reader.feed(stream[50:])
    assert reader.finish().rows == ROWS


def test_a_later_minor_version_is_read() -> None:
    """It may have names in its header that are not known, sections to skip, and counts of them."""
    header = (HEADER, [("a", 1), ("new", "x"), ("snapshot.minor", 9)])
    stream = forged(header, (0xF0, [1, 2]), QUOTAS, footer=[("quotas", 1), ("new", 2)])

    found = read(stream)

    assert found.header == {"a": 1, "new": "x"}
    assert found.rows == {"quotas": ROWS["quotas"]}


def test_tags_are_not_used_twice() -> None:
    tags = [HEADER, FOOTER, *SECTIONS.values()]

    assert len(set(tags)) == len(tags)
    assert max(tags) < 0x80
    assert snapshot.MINOR == 1
