"""Entries and what goes with them as flat columns of bytes, for the wire and for the disk.

Owns one encoding: numbers as columns of little-endian integers, byte strings as a column of
lengths and one blob. Nothing nests, so that hostile bytes never make more than they are long, and
the cost for each entry is that of one slice. Knows nothing of messages (`raft.codec`) or of
records (`raft.wal`), which put the columns into msgpack arrays.

Decoding raises `ValueError` only; the callers turn it into their own refusals.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from raft.entries import INDEX_MAX, NO_ENTRIES, TERM_MAX, Entries, Mark, TermRun
from raft.membership.configuration import Configuration

ENTRIES_COLUMNS = 8
"""Elements that entries take."""

Columns: TypeAlias = tuple[int, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""First index; runs as index and term in turn; lengths and blob of payloads; indexes of empty
entries; of configurations the indexes, lengths and blob."""

_NO_MARKS = (b"", b"", b"", b"")
_ONE_LENGTH = struct.Struct("<I").pack
_ONE_RUN = struct.Struct("<QQ")


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Return integers, each from 0 to 2**64 - 1, as one column."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def unpack_numbers(column: bytes) -> tuple[int, ...]:
    """Return the integers of a column.

    Raises:
        ValueError: It is no column.
    """
    if type(column) is not bytes or len(column) % 8:
        raise ValueError("not a column of numbers")
    return struct.unpack(f"<{len(column) // 8}Q", column)


def pack_strings(strings: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return byte strings, each shorter than 4 GiB, as a column of lengths and a blob."""
    if len(strings) == 1:
        return _ONE_LENGTH(len(strings[0])), bytes(strings[0])
    return struct.pack(f"<{len(strings)}I", *map(len, strings)), b"".join(strings)


def unpack_strings(lengths: bytes, blob: bytes) -> tuple[bytes, ...]:
    """Return the byte strings of a column of lengths and a blob.

    Raises:
        ValueError: They are not that.
    """
    if type(lengths) is not bytes or type(blob) is not bytes or len(lengths) % 4:
        raise ValueError("not a column of byte strings")
    if lengths == _ONE_LENGTH(len(blob)):
        return (blob,)
    count = len(lengths) // 4
    sizes = struct.unpack(f"<{count}I", lengths)
    if sum(sizes) != len(blob):
        raise ValueError("lengths that are not those of the blob")
    # A third less time than slicing; a `Struct` of one's own, as the module keeps those it makes.
    return struct.Struct("%ds" * count % sizes).unpack(blob)


def pack_entries(entries: Entries) -> Columns:
    """Return entries as columns; no work is done for a single entry but that of its bytes."""
    runs = entries.runs
    if len(runs) == 1:
        packed_runs = _ONE_RUN.pack(*runs[0])
    else:
        packed_runs = pack_numbers([number for run in runs for number in run])
    marks = _pack_marks(entries.marks) if entries.marks else _NO_MARKS
    return (entries.first_index, packed_runs, *pack_strings(entries.payloads), *marks)


def _pack_marks(marks: Sequence[Mark]) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the indexes of empty entries, and of configurations indexes, lengths and blob."""
    empty = [index for index, configuration in marks if configuration is None]
    others = [(index, value.encode()) for index, value in marks if value is not None]
    return (
        pack_numbers(empty),
        pack_numbers([index for index, _ in others]),
        *pack_strings([encoded for _, encoded in others]),
    )


def unpack_entries(columns: Sequence[Any]) -> Entries:
    """Return the entries of columns.

    Args:
        columns: `ENTRIES_COLUMNS` elements of any type and content.

    Raises:
        ValueError: They are not those of entries: another type, an index or term out of range,
            terms that fall, marks out of place.
    """
    if len(columns) != ENTRIES_COLUMNS:
        raise ValueError("another number of columns")
    first, packed_runs, lengths, blob = columns[:4]
    marked = tuple(columns[4:])
    payloads = unpack_strings(lengths, blob)
    if type(first) is not int or not 0 < first <= INDEX_MAX - len(payloads):
        raise ValueError("a first index out of range")
    if type(packed_runs) is bytes and len(packed_runs) == 16:
        runs: tuple[TermRun, ...] = (_ONE_RUN.unpack(packed_runs),)
    else:
        numbers = iter(unpack_numbers(packed_runs))
        runs = tuple(zip(numbers, numbers, strict=True))
    if not payloads:
        if runs or marked != _NO_MARKS:
            raise ValueError("terms or marks of no entries")
        return NO_ENTRIES if first == 1 else Entries(first, (), ())
    _check_runs(runs, first, len(payloads))
    if marked == _NO_MARKS:
        return Entries(first, runs, payloads, (), len(blob))
    marks = _unpack_marks(*marked)
    _check_marks(marks, first, payloads)
    return Entries(first, runs, payloads, marks)


def _check_runs(runs: Sequence[TermRun], first: int, count: int) -> None:
    """Raise ValueError unless runs of terms cover entries, each run with a higher term."""
    if not runs or runs[0][0] != first or runs[-1][0] >= first + count:
        raise ValueError("terms that are not those of the entries")
    if not 0 < runs[0][1] <= runs[-1][1] <= TERM_MAX:
        raise ValueError("a term out of range")
    if len(runs) > 1 and any(
        index >= next_index or term >= next_term
        for (index, term), (next_index, next_term) in pairwise(runs)
    ):
        raise ValueError("terms out of order")


def _unpack_marks(empty: bytes, configured: bytes, lengths: bytes, blob: bytes) -> tuple[Mark, ...]:
    """Return the marks of both kinds, in order."""
    indexes = unpack_numbers(configured)
    encoded = unpack_strings(lengths, blob)
    if len(indexes) != len(encoded):
        raise ValueError("configurations without places")
    marks: list[Mark] = [(index, None) for index in unpack_numbers(empty)]
    marks += zip(indexes, map(Configuration.decode, encoded), strict=True)
    return tuple(sorted(marks, key=lambda mark: mark[0]))


def _check_marks(marks: Sequence[Mark], first: int, payloads: Sequence[bytes]) -> None:
    """Raise ValueError unless marks stand at entries of their own, the empty without payload."""
    if not marks or marks[0][0] < first or marks[-1][0] >= first + len(payloads):
        raise ValueError("a mark beside the entries")
    if any(index == next_index for (index, _), (next_index, _) in pairwise(marks)):
        raise ValueError("two marks of one entry")
    if any(payloads[index - first] for index, configuration in marks if configuration is None):
        raise ValueError("an empty entry with a payload")
