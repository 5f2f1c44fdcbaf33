"""Entries as columns: what goes in comes out, and nothing else is taken for entries."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.entries import INDEX_MAX, NO_ENTRIES, TERM_MAX, Entries, Entry, EntryKind
from raft.membership.configuration import Configuration
from raft.packing import (
    ENTRIES_COLUMNS,
    Columns,
    pack_entries,
    pack_numbers,
    pack_strings,
    unpack_entries,
    unpack_numbers,
    unpack_strings,
)

CONFIGURATION = Configuration(voters=("n1", "n2", "n3"))

SAMPLE = Entries.of(
    [
        Entry(2, 7, kind=EntryKind.EMPTY),
        Entry(2, 8, b"set x"),
        Entry(2, 9, b"why", EntryKind.CONFIGURATION, CONFIGURATION),
        Entry(5, 10, b""),
        Entry(5, 11, kind=EntryKind.EMPTY),
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> Entries:
    """Draw consecutive entries of all kinds, none too."""
    first = draw(st.integers(1, 2**40))
    term = draw(st.integers(1, 2**40))
    listed = []
    for offset in range(draw(st.integers(0, 12))):
        term += draw(st.sampled_from([0, 0, 0, 1, 7]))
        kind = draw(st.sampled_from(EntryKind))
        payload = b"" if kind is EntryKind.EMPTY else draw(st.binary(max_size=20))
        configuration = CONFIGURATION if kind is EntryKind.CONFIGURATION else None
        listed.append(Entry(term, first + offset, payload, kind, configuration))
    return Entries.of(listed)


# --- columns


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_numbers_survive_their_column(numbers: list[int]) -> None:
    assert unpack_numbers(pack_numbers(numbers)) == tuple(numbers)


@given(st.lists(st.binary(max_size=40)))
def test_byte_strings_survive_their_column(strings: list[bytes]) -> None:
    assert unpack_strings(*pack_strings(strings)) == tuple(strings)


@pytest.mark.parametrize("column", [b"1234567", "12345678", None, 8, [1]])
def test_what_is_no_column_of_numbers_is_refused(column: bytes) -> None:
    with pytest.raises(ValueError, match="not a column of numbers"):
        unpack_numbers(column)


@pytest.mark.parametrize(
    ("lengths", "blob"),
    [(b"\1\0\0", b"x"), ("\1\0\0\0", b"x"), (b"\1\0\0\0", "x"), (None, b""), (b"", None)],
)
def test_what_is_no_column_of_strings_is_refused(lengths: bytes, blob: bytes) -> None:
    with pytest.raises(ValueError, match="not a column of byte strings"):
        unpack_strings(lengths, blob)


@pytest.mark.parametrize(
    "sizes", [(), (4,), (6,), (2, 2), (3, 3), (0xFFFFFFFF,), (0xFFFFFFFF, 6, 0xFFFFFFFF)]
)
def test_lengths_that_do_not_add_up_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="lengths that are not those of the blob"):
        unpack_strings(struct.pack(f"<{len(sizes)}I", *sizes), b"12345")


# --- entries


@given(entries())
def test_entries_survive_their_columns(some: Entries) -> None:
    unpacked = unpack_entries(pack_entries(some))

    assert unpacked == some
    assert unpacked.first_index == some.first_index
    assert unpacked.size == some.size
    assert len(pack_entries(some)) == ENTRIES_COLUMNS


def test_a_batch_of_commands_survives() -> None:
    batch = Entries(1000, ((1000, 7), (1100, 8)), tuple(b"%d" % n for n in range(256)))

    assert unpack_entries(pack_entries(batch)) == batch
    assert unpack_entries(pack_entries(batch)).size == batch.size


def test_no_entries_are_the_same_value_again() -> None:
    assert unpack_entries(pack_entries(NO_ENTRIES)) is NO_ENTRIES


def test_where_no_entries_would_begin_is_kept() -> None:
    assert unpack_entries(pack_entries(Entries(9, (), ()))).first_index == 9


def replaced(column: int, value: object) -> list[object]:
    """Return the columns of the sample with one of them replaced."""
    columns: list[object] = [*pack_entries(SAMPLE)]
    columns[column] = value
    return columns


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (0, 0, "a first index out of range"),
        (0, -1, "a first index out of range"),
        (0, INDEX_MAX - 4, "a first index out of range"),
        (0, True, "a first index out of range"),
        (0, None, "a first index out of range"),
        (0, b"7", "a first index out of range"),
        (0, 8, "terms that are not those of the entries"),
        (1, b"", "terms that are not those of the entries"),
        (1, pack_numbers([8, 2, 10, 5]), "terms that are not those of the entries"),
        (1, pack_numbers([7, 2, 12, 5]), "terms that are not those of the entries"),
        (1, pack_numbers([7, 0, 10, 5]), "a term out of range"),
        (1, pack_numbers([7, 5, 10, 2]), "a term out of range"),
        (1, pack_numbers([7, 2, 10, TERM_MAX + 1]), "a term out of range"),
        (1, pack_numbers([7, 2, 10, 2]), "terms out of order"),
        (1, pack_numbers([7, 2, 10, 9, 10, 10]), "terms out of order"),
        (1, pack_numbers([7, 2, 10, 9, 11, 8, 11, 10]), "terms out of order"),
        (1, pack_numbers([7]), "argument 2 is shorter"),
        (1, b"123", "not a column of numbers"),
        (1, 7, "not a column of numbers"),
        (2, b"", "not those of the blob"),
        (4, b"123", "not a column of numbers"),
        (4, None, "not a column of numbers"),
        (4, pack_numbers([6]), "a mark beside the entries"),
        (4, pack_numbers([12]), "a mark beside the entries"),
        (4, pack_numbers([8]), "an empty entry with a payload"),
        (4, pack_numbers([9]), "two marks of one entry"),
        (5, pack_numbers([]), "configurations without places"),
        (5, pack_numbers([9, 10]), "configurations without places"),
        (7, b"x", "not those of the blob"),
        (7, bytes(len(CONFIGURATION.encode())), "not an encoded configuration"),
    ],
)
def test_what_is_no_entries_is_refused(column: int, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack_entries(replaced(column, value))


@pytest.mark.parametrize(
    "columns",
    [
        (1, pack_numbers([1, 1]), b"", b"", b"", b"", b"", b""),
        (1, b"", b"", b"", pack_numbers([1]), b"", b"", b""),
        (1, b"", b"", b"", b"", pack_numbers([1]), b"", b""),
    ],
)
def test_no_entries_have_neither_terms_nor_marks(columns: Columns) -> None:
    with pytest.raises(ValueError, match="terms or marks of no entries"):
        unpack_entries(columns)


def test_configurations_without_indexes_are_refused() -> None:
    columns = [*pack_entries(Entries(1, ((1, 1),), (b"x",)))]
    for lengths, blob, reason in (
        (b"\0\0\0\0", b"", "configurations without places"),
        (b"", b"x", "not those of the blob"),
    ):
        with pytest.raises(ValueError, match=reason):
            unpack_entries([*columns[:6], lengths, blob])


def test_empty_columns_of_another_type_are_refused() -> None:
    columns = [*pack_entries(Entries(1, ((1, 1),), (b"x",)))]

    with pytest.raises(ValueError, match="not a column of numbers"):
        unpack_entries([*columns[:4], None, b"", b"", b""])


@pytest.mark.parametrize("count", [0, 3, 7, 9])
def test_another_number_of_columns_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=r"another number of columns|not enough values"):
        unpack_entries([b""] * count)
