"""Entries by the thousand: what reading rows one by one gives, and refuses."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.config import INTEGER_MAX, KEY_SIZE_LIMIT, UNSIGNED_MAX
from kvstore.entry import BONDS, DIRECTORY, MOD_REVISION, Record
from kvstore.errors import ImportRefused
from kvstore.snapshots import imported_entries
from kvstore.snapshots.imported_entries import Entries
from kvstore.snapshots.imported_rows import read_record
from kvstore.state.directories import Directories

END, REVISION_MAX, FLOOR, FIRST = 1000, 500, 100, 50

KEYS = st.text("ab/\U0010ffff", min_size=1, max_size=6)
BONDS_ROW = (1, "s1", 5, "s2", 9000)
NUMBERS = st.integers(1, REVISION_MAX)


def row(key: str, **fields: Any) -> tuple[Any, ...]:
    """Return a row of an entry, old and plain unless told otherwise."""
    values = {"value": b"x", "flags": 0, "created": 1, "modified": 2, "version": 1}
    values |= {"bonds": None, "sequence": 1} | fields
    return (key, *values.values())


ROWS = st.lists(
    st.builds(
        lambda key, created, later, flags, bonds, sequence: row(
            key,
            flags=flags,
            created=created,
            modified=min(created + later, REVISION_MAX),
            bonds=bonds,
            sequence=sequence,
        ),
        KEYS,
        NUMBERS,
        st.integers(0, 200),
        st.integers(0, UNSIGNED_MAX),
        st.sampled_from([None, BONDS_ROW]),
        st.integers(0, END - 1),
    ),
    unique_by=lambda each: each[0],
    max_size=60,
).map(sorted)


def entries() -> Entries:
    """Return an import that knows nothing yet."""
    return Entries(Directories("/"), revision_max=REVISION_MAX, end=END, floor=FLOOR, first=FIRST)


@given(ROWS, st.integers(1, 30), st.integers(1, 20))
def test_rows_together_give_what_rows_alone_give(rows: list[Any], batch: int, run: int) -> None:
    whole, alone = entries(), Directories("/")
    with patch.object(imported_entries, "_RUN", run):
        for start in range(0, len(rows), batch):
            whole.add(rows[start : start + batch])

    records: list[Record] = [read_record(each, alone.number, REVISION_MAX, END) for each in rows]
    newest: dict[int, int] = {}
    for record in records:
        directory = record[DIRECTORY]
        newest[directory] = max(newest.get(directory, 0), record[MOD_REVISION])
    assert list(whole.records.values()) == records
    assert whole.keys == list(whole.records) == [record[0] for record in records]
    assert whole.bound == [record for record in records if record[BONDS] is not None]
    assert whole.fresh == [r[0] for r in records if r[MOD_REVISION] > FLOOR or r[7] >= FIRST]
    assert whole.newest == newest


def test_many_rows_of_one_directory_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imported_entries, "_ROWS_MAX", 100)
    names = [f"dir/{i:04}" for i in range(250)] + [f"dir/a/{i:04}" for i in range(50)]
    names += [f"dir/b{i:04}" for i in range(50)] + [f"x{i:04}" for i in range(50)]
    rows = [row(name) for name in sorted(names)]
    whole, alone = entries(), Directories("/")

    whole.add(rows)

    assert [record[DIRECTORY] for record in whole.records.values()] == [
        alone.number(each[0]) for each in rows
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (["no tuple"], "no tuple of eight"),
        ([row("a")[:7]], "no tuple of eight"),
        ([(*row("a"), 1)], "no tuple of eight"),
        ([(b"a", *row("a")[1:])], "of another type"),
        ([row("a", value="x")], "of another type"),
        ([row("a", flags=True)], "of another type"),
        ([row("a", flags=None)], "of another type"),
        ([row("a", created=1.0)], "of another type"),
        ([row("a", modified="2")], "of another type"),
        ([row("a", version=True)], "of another type"),
        ([row("a", sequence=None)], "of another type"),
        ([row("a", flags=-1)], "out of range"),
        ([row("a", flags=UNSIGNED_MAX + 1)], "out of range"),
        ([row("a", created=0)], "out of range"),
        ([row("a", created=3, modified=2)], "out of range"),
        ([row("a", modified=REVISION_MAX + 1)], "out of range"),
        ([row("a", version=0)], "out of range"),
        ([row("a", version=INTEGER_MAX + 1)], "out of range"),
        ([row("a", sequence=-1)], "out of range"),
        ([row("a", sequence=END)], "out of range"),
        ([row("")], "not in the order"),
        ([row("b"), row("a")], "not in the order"),
        ([row("a"), row("a")], "not in the order"),
        ([row("a\0")], "the key of an entry is none"),
        ([row("\ud800")], "the key of an entry is none"),
        ([row("x" * (KEY_SIZE_LIMIT + 1))], "the key of an entry is none"),
        ([row("ä" * (KEY_SIZE_LIMIT // 2 + 1))], "the key of an entry is none"),
        ([row("a", bonds=())], "bonds"),
        ([row("a", bonds=(0, "", 0, "", None))], "bonds"),
        ([row("a", bonds=(1, "s1", 0, "", None))], "the lock of an entry contradicts itself"),
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused_wherever_it_is(bad: list[Any], reason: str) -> None:
    for rows in (bad, [*bad, row("\U0010ffff")], [row("A"), *bad]):
        with pytest.raises(ImportRefused, match=reason):
            entries().add(rows)


def test_the_order_of_keys_goes_on_from_batch_to_batch() -> None:
    whole = entries()
    whole.add([row("a"), row("b")])

    with pytest.raises(ImportRefused, match="not in the order"):
        whole.add([row("b")])


def test_no_rows_are_fine() -> None:
    whole = entries()

    whole.add([])

    assert whole.records == {}


def test_the_largest_of_everything_is_an_entry() -> None:
    whole = entries()

    whole.add(
        [
            row(
                "ä" * (KEY_SIZE_LIMIT // 2),
                flags=UNSIGNED_MAX,
                created=REVISION_MAX,
                modified=REVISION_MAX,
                version=INTEGER_MAX,
                sequence=END - 1,
            )
        ]
    )

    assert len(whole.keys) == 1
