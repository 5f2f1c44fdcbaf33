"""The entries of an export, by the thousand: what restoring a large store spends its time on.

Rows are looked at as columns: a check of a column is one call into C for a thousand rows, where
one of a row is a dozen comparisons. What is checked is what `imported_rows.read_record` checks,
and that keys are in order.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, islice
from operator import le, lt
from typing import Any, Final

from kvstore.applying.fields import text_fault
from kvstore.config import INTEGER_MAX, KEY_SIZE_LIMIT, UNSIGNED_MAX
from kvstore.entry import BONDS, Record
from kvstore.errors import ImportRefused
from kvstore.keys import prefix_end
from kvstore.snapshots.imported_rows import read_bonds
from kvstore.state.directories import Directories
from kvstore.state.tree import Records

_FIELDS: Final = 8
_ROW_TYPES: Final = {tuple}
_ROW_LENGTHS: Final = {_FIELDS}
_NO_BONDS: Final = {type(None)}
_TYPES: Final = ({str}, {bytes}, {int}, {int}, {int}, {int}, None, {int})
#: Rows that are looked at together.
_ROWS_MAX: Final = 4096
#: Keys of one directory that are worth looking for its end by bisection.
_RUN: Final = 16


class Entries:
    """Records of rows, and what the rest of the export has to agree with.

    Args:
        directories: Where the numbers of directories come from.
        revision_max: The newest revision there is.
        end: The sequence of the first change that is not there.
        floor: The oldest revision that can be read.
        first: The sequence of the first change above the floor.

    Attributes:
        records: By key.
        keys: In order.
        bound: The records that have bonds.
        fresh: The keys of which the last change must be among those above the floor.
        newest: The newest revision of the entries in each directory, by number.
    """

    __slots__ = (
        "_directories",
        "_directory",
        "_end",
        "_first",
        "_floor",
        "_number",
        "_revision_max",
        "bound",
        "fresh",
        "keys",
        "newest",
        "records",
    )

    def __init__(
        self, directories: Directories, *, revision_max: int, end: int, floor: int, first: int
    ) -> None:
        self._directories = directories
        self._revision_max = revision_max
        self._end = end
        self._floor = floor
        self._first = first
        # The directory of the last key, and its number; None before the first.
        self._directory: str | None = None
        self._number = 0
        self.records = Records()
        self.keys: list[str] = []
        self.bound: list[Record] = []
        self.fresh: list[str] = []
        self.newest: dict[int, int] = {}

    def add(self, rows: list[Any]) -> None:
        """Take rows, which come in the order of keys.

        Raises:
            ImportRefused: A row is malformed or out of order.
        """
        for start in range(0, len(rows), _ROWS_MAX):
            self._add(rows[start : start + _ROWS_MAX])

    def _add(self, rows: list[Any]) -> None:
        if set(map(type, rows)) != _ROW_TYPES or set(map(len, rows)) != _ROW_LENGTHS:
            raise ImportRefused("an entry is no tuple of eight")
        fields = list(chain.from_iterable(rows))
        columns = [fields[place::_FIELDS] for place in range(_FIELDS)]
        self._check_types(columns)
        keys, _, _, _, modified, _, _, sequences = columns
        self._check_keys(keys)
        self._check_numbers(columns)
        numbers = self._numbers(keys, modified)
        records: list[Record] = list(zip(*columns, numbers, strict=True))
        self.records.update(zip(keys, records, strict=True))
        self.keys.extend(keys)
        if set(map(type, columns[BONDS])) != _NO_BONDS:
            self.bound.extend(record for record in records if record[BONDS] is not None)
        if max(modified) > self._floor or max(sequences) >= self._first:
            floor, first = self._floor, self._first
            self.fresh.extend(
                key
                for key, revision, sequence in zip(keys, modified, sequences, strict=True)
                if revision > floor or sequence >= first
            )

    def _check_types(self, columns: list[list[Any]]) -> None:
        for column, types in zip(columns, _TYPES, strict=True):
            if types is not None and set(map(type, column)) != types:
                raise ImportRefused("a field of an entry is of another type")
        for bonds in columns[BONDS]:
            if bonds is not None:
                read_bonds(bonds)

    def _check_keys(self, keys: list[str]) -> None:
        lengths = list(map(len, keys))
        last = self.keys[-1] if self.keys else ""
        if not (last < keys[0] and all(map(lt, keys, islice(keys, 1, None)))):
            raise ImportRefused("the entries are not in the order of keys")
        text = "\n".join(keys)
        if (
            max(lengths) > KEY_SIZE_LIMIT
            or "\0" in text
            or not (
                text.isascii()
                or all(text_fault("key", key, KEY_SIZE_LIMIT) is None for key in keys)
            )
        ):
            raise ImportRefused("the key of an entry is none")

    def _check_numbers(self, columns: list[list[Any]]) -> None:
        _, _, flags, created, modified, versions, _, sequences = columns
        if not (
            min(flags) >= 0
            and max(flags) <= UNSIGNED_MAX
            and min(created) > 0
            and all(map(le, created, modified))
            and max(modified) <= self._revision_max
            and min(versions) > 0
            and max(versions) <= INTEGER_MAX
            and min(sequences) >= 0
            and max(sequences) < self._end
        ):
            raise ImportRefused("a field of an entry is out of range")

    def _numbers(self, keys: list[str], modified: list[int]) -> list[int]:
        """Return the numbers of the directories of keys; note the newest revision in each."""
        separator, newest = self._directories.separator, self.newest
        numbers: list[int] = []
        begin, size = 0, len(keys)
        while begin < size:
            key = keys[begin]
            directory = key[: key.rfind(separator) + 1]
            if directory != self._directory:
                self._directory, self._number = directory, self._directories.number(key)
            number = self._number
            end = self._end_of_run(keys, begin, directory)
            numbers += [number] * (end - begin)
            newest[number] = max(newest.get(number, 0), *modified[begin:end])
            begin = end
        return numbers

    def _end_of_run(self, keys: list[str], begin: int, directory: str) -> int:
        """Return where the keys right in the directory of the one at `begin` end."""
        separator, length = self._directories.separator, len(directory)
        end = begin + 1
        far = begin + _RUN
        if far < len(keys) and keys[far].startswith(directory):
            # As keys are in order, all between two that begin with it do so as well. If there
            # are no more separators in them than in its name, none is further below.
            bound = prefix_end(directory)
            end = len(keys) if bound is None else bisect_left(keys, bound, far)
            run = "".join(keys[begin:end])
            if run.count(separator) == (end - begin) * directory.count(separator):
                return end
            end = begin + 1
        while (
            end < len(keys)
            and keys[end].startswith(directory)
            and keys[end].rfind(separator) + 1 == length
        ):
            end += 1
        return end
