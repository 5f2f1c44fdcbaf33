"""Snapshots: the whole state of a store as a stream of bytes, and back.

Owns which rows go into which frames; what the rows are is export.py's, how they are written
row_forms.py's, how frames show damage frames.py's. The stream is:

    header frame   pairs of a name and a value, sorted by name
    rows frames    the rows of a section back to back, sections in the order of `SECTIONS`
    footer frame   pairs of a section and its number of rows, of "bytes" and their number, and of
                   "digest" and that of the state, unless it tells only what is new

Two replicas at one index write the same bytes: rows come in one order, frames are cut by the
sizes of the rows alone, and nothing of the machine is told.

Writing never holds up the store for longer than one piece takes, and reading makes a new store,
which nobody gets unless the footer was right.

A store is written while it goes on, and read back in pieces of any size; so is what it has and
another store lacks:

>>> from kvstore import Put, SnapshotReader, SnapshotWriter, Store
>>> store = Store()
>>> for key in ("a", "b"):
...     last = store.apply(Put(key, b"1"))
>>> reader = SnapshotReader(Store.importer)
>>> with SnapshotWriter(store.view()) as pieces:
...     for piece in pieces:
...         reader.feed(piece)
>>> copy = reader.finish()
>>> last = store.apply(Put("b", b"2"))
>>> reader = SnapshotReader(copy.continuation)
>>> with SnapshotWriter(store.view(), since=copy.applied_index) as pieces:
...     for piece in pieces:
...         reader.feed(piece)
>>> copy = reader.finish()
>>> copy.get("b").value, copy.digest() == store.digest()
(b'2', True)

Major versions differ in the magic. Minor ones append: names to header and footer, fields to rows,
sections that older readers may skip. Minor 1 brought the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from kvstore.codec.wire import pack_list, unpack_list
from kvstore.errors import DecodeError, ImportRefused
from kvstore.snapshots.frames import FOOTER, OPTIONAL, FrameReader, FrameWriter
from kvstore.snapshots.row_forms import decode_rows, encode_rows
from kvstore.state.digest import LEFT_OUT, header_hash, rows_hash, total

Restored = TypeVar("Restored")
Restored_co = TypeVar("Restored_co", covariant=True)

Scalar: TypeAlias = "int | str | bool | None"
#: The name of a section, and some of its rows.
Batch: TypeAlias = "tuple[str, Sequence[Any]]"

#: What this build writes; readers of older ones ignore what they do not know.
MINOR: Final = 1
#: Bytes from which on rows are a frame, and frames are handed out.
PIECE_SIZE: Final = 96 * 1024
#: Batches of rows that are looked at for one piece, at most.
PIECE_BATCHES: Final = 4

HEADER: Final = 1
#: The tag of each section; they come in this order.
SECTIONS: Final = {
    "entries": 2,
    "deadlines": 3,
    "sessions": 4,
    "delays": 5,
    "sequences": 6,
    "directories": 7,
    "quotas": 8,
    "policies": 9,
    "roles": 10,
    "tokens": 11,
    "marks": 12,
    "changes": 13,
}
_NAMES: Final = {tag: name for name, tag in SECTIONS.items()}

_MINOR_NAME: Final = "snapshot.minor"
_SINCE_NAME: Final = "snapshot.since"
_BYTES_NAME: Final = "bytes"
_DIGEST_NAME: Final = "digest"
_SCALARS: Final = frozenset({int, str, bool, type(None)})


@runtime_checkable
class Source(Protocol):
    """What is written: a view of a store."""

    @property
    def header(self) -> Mapping[str, Scalar]:
        """What there is to tell but rows."""

    def batches(self, since: int | None = None) -> Iterable[Batch]:
        """Tell a section's name with rows of it, in the order of `SECTIONS`.

        Args:
            since: Tell only what a store at this index lacks, None for everything.
        """

    def close(self) -> None:
        """Let go what the view holds back."""


class Sink(Protocol[Restored_co]):
    """What is read into: an importer of a new store."""

    def add(self, section: str, rows: list[Any]) -> None:
        """Take rows; what cannot be is an `ImportRefused`."""

    def finish(self, digest: int | None) -> Restored_co:
        """Return the store, after all rows; what cannot be is an `ImportRefused`.

        Args:
            digest: What the digest of its state must be, or None.
        """


# --- writing


class SnapshotWriter:
    """The bytes of a snapshot, piece by piece: an iterator that may be abandoned.

    Pieces are about `PIECE_SIZE` bytes, larger only where one row is, and small or empty where
    much had to be looked at for little: none takes long. Close it, or use it in a `with`
    statement: until then, or until its end, the view holds back the freeing of history.

    Args:
        view: What to write. It is closed with the writer.
        since: Write only what a store at this index lacks, None for everything.
        compress: Whether to compress; see `FrameWriter`.

    Raises:
        TypeError: `view` is none, or another argument of a wrong type.
        Exception: What the view says to `since`; it is closed then.
    """

    __slots__ = ("_pieces", "_view")

    def __init__(self, view: Source, *, since: int | None = None, compress: bool = False) -> None:
        if not isinstance(view, Source):
            raise TypeError(f"{type(view).__name__} is no view of a store")
        if since is not None and type(since) is not int:
            raise TypeError(f"since must be an index or None, not {type(since).__name__}")
        self._view = view
        try:
            batches = view.batches(since)
        except BaseException:
            view.close()
            raise
        header = dict(view.header) | {_MINOR_NAME: MINOR, _SINCE_NAME: since}
        self._pieces = _pieces(FrameWriter(compress=compress), header, batches)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            # Its end, or an error: there is no more to come either way.
            self._view.close()
            raise

    def close(self) -> None:
        """End it where it is."""
        self._pieces.close()
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _pieces(
    writer: FrameWriter, header: Mapping[str, Scalar], batches: Iterable[Batch]
) -> Generator[bytes, None, None]:
    """Yield the stream, cut into pieces."""
    parts, size, batches_since = [writer.begin()], 0, 0
    for frame in _frames(writer, header, batches):
        if frame is None:
            batches_since += 1
        else:
            parts.append(frame)
            size += len(frame)
        if size >= PIECE_SIZE or batches_since >= PIECE_BATCHES:
            yield b"".join(parts)
            parts, size, batches_since = [], 0, 0
    yield b"".join(parts)


def _frames(
    writer: FrameWriter, header: Mapping[str, Scalar], batches: Iterable[Batch]
) -> Iterator[bytes | None]:
    """Yield the frames of the stream, the footer's included, and None before each batch."""
    yield writer.frame(HEADER, pack_list(sorted(header.items())))
    digest = _Digest(header)
    counts: dict[str, int] = {}
    # Rows that are no frame yet, and their size. Where frames end depends on the sizes of rows
    # alone: neither on how they come in batches nor on how frames go out in pieces.
    rows: list[bytes] = []
    size = 0
    section = ""
    for name, batch in batches:
        yield None
        if not batch:
            continue
        if name != section and rows:
            yield writer.frame(SECTIONS[section], b"".join(rows))
            rows, size = [], 0
        section = name
        counts[name] = counts.get(name, 0) + len(batch)
        digest.add(name, batch)
        for row in encode_rows(name, batch):
            rows.append(row)
            size += len(row)
            if size >= PIECE_SIZE:
                yield writer.frame(SECTIONS[name], b"".join(rows))
                rows, size = [], 0
    if rows:
        yield writer.frame(SECTIONS[section], b"".join(rows))
    told = [*sorted(counts.items()), (_BYTES_NAME, writer.size)]
    yield writer.end(pack_list(told + digest.pairs()))


class _Digest:
    """The digest of a state as its rows go by: it need not be known when writing begins.

    Args:
        header: The header as it is written.
    """

    __slots__ = ("_is_whole", "_sum")

    def __init__(self, header: Mapping[str, Scalar]) -> None:
        self._is_whole = header[_SINCE_NAME] is None
        names = {_MINOR_NAME, _SINCE_NAME}
        self._sum = header_hash({name: header[name] for name in header if name not in names})

    def add(self, section: str, rows: Sequence[Any]) -> None:
        """Follow rows of a section."""
        if self._is_whole and section not in LEFT_OUT:
            self._sum += rows_hash(section, rows)

    def pairs(self) -> list[tuple[str, int]]:
        """Return what the footer tells of it: nothing where rows are told without the others."""
        return [(_DIGEST_NAME, total(self._sum))] if self._is_whole else []


# --- reading


class SnapshotReader(Generic[Restored]):
    """Makes a store of the bytes of a snapshot, which come in pieces of any size.

    Args:
        make: Begins a new store with a snapshot's header. Of an incremental snapshot the header
            tells `since`, the index of the store that it goes on from.
        verify: Whether to compute the digest of the store that was made, for about half the cost
            of making it, and to refuse one that is not the written one's. Damage is found in any
            case: this is for who doubts that the right store was made of the right bytes. Without
            a digest (`digest`) there is nothing to compare.

    Raises:
        DecodeError: By every method, as soon as the bytes are found to be damaged, or not to be
            a snapshot, and from then on always.
    """

    __slots__ = (
        "_counts",
        "_digest",
        "_failed",
        "_frames",
        "_is_whole",
        "_make",
        "_sink",
        "_tag",
        "_verify",
    )

    def __init__(
        self,
        make: Callable[[Mapping[str, Scalar], int | None], Sink[Restored]],
        *,
        verify: bool = False,
    ) -> None:
        self._make = make
        self._verify = verify
        self._frames = FrameReader()
        self._sink: Sink[Restored] | None = None
        self._tag = HEADER
        self._counts: dict[str, int] = {}
        self._is_whole = False
        self._digest: int | None = None
        self._failed: DecodeError | None = None

    @property
    def complete(self) -> bool:
        """Whether the footer has come, so that `finish` can be called."""
        return self._frames.ended

    @property
    def digest(self) -> int | None:
        """The digest of the state that was written: what `Store.digest` said of it.

        None before the footer has come, and where it tells none: before minor version 1, and of
        what is new only.
        """
        return self._digest

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            TypeError: It is not of type bytes; that is no damage, and nothing changed.
        """
        if type(data) is not bytes:
            raise TypeError(f"a piece must be bytes, not {type(data).__name__}")
        if self._failed is not None:
            raise self._failed
        try:
            for tag, payload in self._frames.feed(data):
                self._take(tag, payload)
        except (DecodeError, ImportRefused) as error:
            raise self._fail(error) from None

    def finish(self) -> Restored:
        """Return the store, if all of the snapshot has come and fits together."""
        if self._failed is not None:
            raise self._failed
        try:
            self._frames.finish()
            assert self._sink is not None  # the footer is refused without a header
            return self._sink.finish(self._digest if self._verify else None)
        except (DecodeError, ImportRefused) as error:
            raise self._fail(error) from None

    def _fail(self, error: Exception) -> DecodeError:
        self._failed = (
            error if isinstance(error, DecodeError) else DecodeError("bad-state", str(error))
        )
        # Nobody gets any of it.
        self._sink = None
        return self._failed

    def _take(self, tag: int, payload: bytes) -> None:
        if tag & OPTIONAL:
            return
        if self._sink is None:
            if tag != HEADER:
                raise DecodeError("malformed", "a snapshot begins with its header")
            self._sink = self._begin(payload)
            return
        if tag == FOOTER:
            self._end(payload)
            return
        section = _NAMES.get(tag)
        if section is None:
            raise DecodeError("unsupported", f"no section has the tag {tag}")
        if tag < self._tag:
            raise DecodeError("malformed", f"{section} come too late")
        self._tag = tag
        rows = decode_rows(section, payload)
        self._counts[section] = self._counts.get(section, 0) + len(rows)
        self._sink.add(section, rows)

    def _begin(self, payload: bytes) -> Sink[Restored]:
        header: dict[str, Scalar] = {}
        for name, value in _read_pairs(payload):
            if type(value) not in _SCALARS:
                raise DecodeError("bad-field", f"the header's {name} is no plain value")
            header[name] = value
        since = header.pop(_SINCE_NAME, None)
        if since is not None and type(since) is not int:
            raise DecodeError("bad-field", "a snapshot goes on from an index")
        header.pop(_MINOR_NAME, None)
        self._is_whole = since is None
        return self._make(header, since)

    def _end(self, payload: bytes) -> None:
        told = dict(_read_pairs(payload))
        counts = {name: count for name, count in told.items() if name in SECTIONS}
        if counts != self._counts:
            raise DecodeError("damaged", f"there are {self._counts} rows, not {counts}")
        digest = told.get(_DIGEST_NAME) if self._is_whole else None
        if digest is not None and type(digest) is not int:
            raise DecodeError("bad-field", "a digest is a number")
        self._digest = digest


def _read_pairs(payload: bytes) -> list[tuple[str, Any]]:
    pairs = unpack_list(payload)
    if not all(type(pair) is tuple and len(pair) == 2 and type(pair[0]) is str for pair in pairs):
        raise DecodeError("malformed", "neither header nor footer hold anything but pairs")
    return pairs
