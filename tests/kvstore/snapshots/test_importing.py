"""Rows that are no state are refused, wherever they come from and whatever is wrong with them.

Each case changes one thing in the rows of a store that has something in each of its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvstore.acl.rules import GLOBAL_MANAGEMENT, Policy, Role, Token
from kvstore.commands import (
    Compact,
    Configure,
    Delete,
    Lock,
    Put,
    SessionClose,
    SessionOpen,
    SetQuota,
)
from kvstore.config import Config
from kvstore.errors import ImportRefused
from kvstore.snapshots.export import SECTIONS
from kvstore.store import Store
from tests.kvstore.snapshots.test_export import busy_store

Header = dict[str, Any]
Rows = dict[str, list[Any]]
#: Changes what was told.
Edit = Callable[[Header, Rows], object]


def told(store: Store, since: int | None = None) -> tuple[Header, Rows]:
    """Return all that a view of a store tells."""
    rows: Rows = {}
    with store.view() as view:
        for section, batch in view.batches(since):
            rows.setdefault(section, []).extend(batch)
        return dict(view.header), rows


def imported(header: Header, rows: Rows) -> Store:
    importer = Store.importer(header)
    for section, batch in rows.items():
        importer.add(section, batch)
    store = importer.finish()
    store.check_invariants()
    return store


def continued(base: Store, since: int, header: Header, rows: Rows) -> Store:
    importer = base.continuation(header, since)
    for section, batch in rows.items():
        importer.add(section, batch)
    store = importer.finish()
    store.check_invariants()
    return store


def put(section: str, row: int, *fields: tuple[int, Any]) -> Edit:
    """Replace fields of a row, each told by its place; negative rows count from the end."""

    def edit(_: Header, rows: Rows) -> None:
        changed = list(rows[section][row])
        for place, value in fields:
            changed[place] = value
        rows[section][row] = tuple(changed)

    return edit


def nested(section: str, row: int, place: int, *fields: tuple[int, Any]) -> Edit:
    """Replace fields of a tuple within a row."""

    def edit(_: Header, rows: Rows) -> None:
        inner = list(rows[section][row][place])
        for inner_place, value in fields:
            inner[inner_place] = value
        put(section, row, (place, tuple(inner)))(_, rows)

    return edit


def replace(section: str, row: int, value: Any) -> Edit:
    """Replace a row."""

    def edit(_: Header, rows: Rows) -> None:
        rows[section][row] = value

    return edit


def drop(section: str, row: int) -> Edit:
    """Leave a row out."""
    return lambda _, rows: rows[section].pop(row)


def add(section: str, *values: Any) -> Edit:
    """Append rows."""
    return lambda _, rows: rows.setdefault(section, []).extend(values)


def head(**fields: Any) -> Edit:
    """Replace fields of the header, `config_` ones by their names."""
    return lambda header, _: header.update(
        {name.replace("config_", "config.", 1): value for name, value in fields.items()}
    )


def forget(name: str) -> Edit:
    """Leave a field of the header out."""
    return lambda header, _: header.pop(name)


def both(*edits: Edit) -> Edit:
    """Change several things."""

    def edit(header: Header, rows: Rows) -> None:
        for each in edits:
            each(header, rows)

    return edit


def reorder(section: str) -> Edit:
    """Tell the rows of a section backwards."""
    return lambda _, rows: rows[section].reverse()


def changes_first(_: Header, rows: Rows) -> None:
    entries = rows.pop("entries")
    rows["entries"] = entries


# --- everything


def test_a_store_of_every_section_is_told_and_made() -> None:
    store = busy_store()

    header, rows = told(store)

    assert set(rows) == set(SECTIONS)
    assert imported(header, rows).digest() == store.digest()


def test_rows_may_come_in_any_batches() -> None:
    store = busy_store()
    header, rows = told(store)
    importer = Store.importer(header)

    for section, batch in rows.items():
        for row in batch:
            importer.add(section, [row])
            importer.add(section, [])

    assert importer.finish().digest() == store.digest()


@pytest.mark.parametrize("name", ["list_needs_right", "acl"])
def test_a_header_that_lacks_a_later_setting_takes_its_default(name: str) -> None:
    header, rows = told(busy_store())
    del header[f"config.{name}"]

    assert getattr(imported(header, rows).config, name) is getattr(Config(), name)


# Rows of the store: the entries are back, jobs/0000000000, jobs/0000000001, locks/a, locks/b,
# locks/c, locks/d, owned, web/a, web/b; the first changes make web/b, make and delete gone, make,
# delete and make back.
BROKEN: list[tuple[str, Edit]] = [
    ("the header's clock is None", forget("clock")),
    ("the header's clock is -1", head(clock=-1)),
    ("the header's clock is True", head(clock=True)),
    ("the numbers of the header contradict", head(floor=999)),
    ("the numbers of the header contradict", head(revision=999)),
    ("the numbers of the header contradict", head(floor_sequence=999)),
    ("the configuration is none", head(config_acl=9)),
    ("the configuration is none", head(config_depth_max=0)),
    ("the configuration is none", head(config_separator=5)),
    ("the feature level is 99", head(config_feature_level=99)),
    ("come too late, or are no section", add("sections")),
    ("come too late, or are no section", changes_first),
    # Entries; test_imported_entries.py has the rest.
    ("the entries are not in the order of keys", reorder("entries")),
    ("the bonds of an entry are no tuple of five", put("entries", 3, (6, (1, "s1")))),
    ("a number is not", nested("entries", 9, 6, (4, 0))),
    ("a number is not", nested("entries", 3, 6, (0, -1))),
    ("text", nested("entries", 3, 6, (1, 5))),
    ("the lock of an entry contradicts itself", nested("entries", 3, 6, (2, 0))),
    ("a key depends on a session that is not there", drop("sessions", 0)),
    # Changes.
    ("a change is no tuple of six", replace("changes", 0, (1, 2, 3))),
    ("a change is no tuple of six", replace("changes", 0, None)),
    ("a number is not", put("changes", 0, (0, 0))),
    ("a number is not", put("changes", -1, (0, 999))),
    ("no cause is 9", put("changes", 0, (4, 9))),
    ("no cause is None", put("changes", 0, (4, None))),
    ("a number is not", put("changes", 0, (5, -2))),
    ("a number is not", put("changes", 2, (3, 999))),
    ("a number is not", put("changes", 2, (3, "x"))),
    ("an entry is no tuple of eight", put("changes", 0, (2, (1,)))),
    ("an entry is no tuple of eight", put("changes", 0, (2, "x"))),
    ("a field of an entry is out of range", nested("changes", 0, 2, (1, None))),
    ("a change changes nothing", put("changes", 2, (3, None))),
    ("a change changes nothing", put("changes", 0, (1, 5), (2, None))),
    ("a change makes what it cannot", put("changes", 0, (1, "other"))),
    ("a change makes what it cannot", nested("changes", 0, 2, (4, 11))),
    ("a change replaces what it cannot",
     put("changes", 2, (3, ("other", b"", 0, 1, 1, 1, None, 0)))),
    ("a change replaces what it cannot",
     put("changes", 2, (3, ("gone", b"", 0, 13, 13, 1, None, 0)))),
    ("the changes are not in order",
     both(put("changes", 0, (0, 9)), nested("changes", 0, 2, (3, 9), (4, 9)))),
    ("a change does not go on from the one before", put("changes", 2, (3, 2))),
    ("a change does not go on from the one before", put("changes", 5, (5, -1))),
    ("a change does not go on from the one before", put("changes", 2, (0, 11))),
    ("a change goes on from one that is not there", put("changes", 0, (3, 1))),
    ("a change goes on from one that is not there", put("changes", 0, (5, 1))),
    ("a change replaces what was changed later",
     both(put("changes", 0, (0, 11), (3, ("web/b", b"", 0, 10, 10, 1, None, 0))),
          nested("changes", 0, 2, (4, 11)))),
    ("a change is not at its place", nested("changes", 0, 2, (7, 5))),
    ("an entry is not what its change made it", nested("changes", 0, 2, (1, b"other"))),
    ("a change replaces what was changed later",
     put("changes", 0, (3, ("web/b", b"", 0, 9, 9, 1, None, 5)))),
    ("changes are missing", drop("changes", -1)),
    ("changes are missing", head(applied_index=28, revision=28)),
    ("an entry is not what its last change made it", drop("entries", 0)),
    ("an entry is not what its last change made it", put("entries", 0, (7, 1))),
    ("the change of an entry is missing",
     lambda _, rows: rows["entries"].insert(1, ("back2", b"", 0, 16, 16, 1, None, 1))),
    ("the change of an entry is missing",
     lambda _, rows: rows["entries"].insert(1, ("back2", b"", 0, 1, 1, 1, None, 5))),
    # Directories.
    ("a directory is none", put("directories", 0, (0, "jobs"))),
    ("a directory is none", put("directories", 0, (0, ""))),
    ("a directory is none", put("directories", 0, (1, 999))),
    ("the directories are not those of the keys", add("directories", ("x/", 1))),
    ("the directories are not those of the keys", put("directories", 0, (1, 1))),
    ("a row is no pair", replace("directories", 0, ("jobs/",))),
    # Small parts.
    ("a row is no pair", replace("deadlines", 0, 5)),
    ("the deadlines are not those of the keys with a ttl", drop("deadlines", 0)),
    ("the deadlines are not those of the keys with a ttl", add("deadlines", ("x", 1))),
    ("the deadlines are not in order", add("deadlines", ("web/b", 6009))),
    ("a session is no tuple of nine", replace("sessions", 0, ("s1",))),
    ("a session is no tuple of nine", replace("sessions", 0, None)),
    ("text", put("sessions", 0, (0, 5))),
    ("a session has no id, or no end", put("sessions", 0, (0, ""))),
    ("a session has no id, or no end", put("sessions", 0, (2, "explode"))),
    ("a session has a ttl or a deadline alone", put("sessions", 0, (8, None))),
    ("a session has a ttl or a deadline alone", put("sessions", 2, (8, 5))),
    ("a number is not", put("sessions", 0, (1, 0))),
    ("a number is not", put("sessions", 0, (3, None))),
    ("texts are no tuple", put("sessions", 0, (4, "node:a"))),
    ("text", put("sessions", 0, (4, (5,)))),
    ("the meta of a session is no tuple", put("sessions", 0, (6, None))),
    ("texts are no tuple", put("sessions", 0, (6, ("kv",)))),
    ("the meta of a session is not made of pairs", put("sessions", 0, (6, (("k",),)))),
    ("the sessions are not in order", reorder("sessions")),
    ("a number is not", put("delays", 0, (1, None))),
    ("a directory gave no number", put("sequences", 0, (1, 0))),
    ("the sequences are not in order", add("sequences", ("a/", 1))),
    ("a quota is no prefix with limits", put("quotas", 0, (1, None), (2, None))),
    ("a quota is no prefix with limits", replace("quotas", 0, ("web/", 1))),
    ("a number is not", put("quotas", 0, (1, -1))),
    ("text", put("quotas", 0, (0, None))),
    ("the quotas are not in order", add("quotas", ("a/", 1, None))),
    ("one of the policies is none", replace("policies", 0, ("web",))),
    ("one of the tokens is none", replace("tokens", 0, Role("x"))),
    ("the policies are not in order", reorder("policies")),
    ("the roles are not in order", add("roles", Role("a"))),
    ("the tokens are not in order", add("tokens", Token("a"))),
    ("is there twice",
     lambda _, rows: rows["policies"].insert(1, Policy(GLOBAL_MANAGEMENT))),
    ("two tokens have one secret", add("tokens", Token("z", "secret"))),
    ("a mark is no pair", replace("marks", 0, 5)),
    ("a number is not", put("marks", 0, (0, None))),
    ("the marks are not in order", add("marks", (1, 0))),
    ("the marks are not in order", put("marks", 0, (1, 999))),
    ("the marks are not in order", both(put("marks", 0, (1, 5)), add("marks", (10**9, 4)))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "edit"), BROKEN)
def test_what_is_no_state_is_refused(reason: str, edit: Edit) -> None:
    header, rows = told(busy_store())
    edit(header, rows)

    with pytest.raises(ImportRefused, match=reason):
        imported(header, rows)


def test_a_store_cannot_be_newer_than_its_last_change() -> None:
    store = Store(Config(history_changes=0))
    store.apply(Put("a"))
    store.apply(Compact(1))
    store.apply(Put("b"))
    store.apply(Compact(3))
    header, rows = told(store)

    with pytest.raises(ImportRefused, match="changes are missing"):
        imported(header | {"applied_index": 9, "revision": 9}, rows)
    assert imported(header, rows).digest() == store.digest()


def test_nested_quotas_are_counted_as_each_alone_would_be() -> None:
    store = Store()
    prefixes = ["", "a", "a/", "a/b", "a/\U0010ffff", "b", "\U0010ffff"]
    for key in ("Z", "a", "a/b", "a/b/c", "a/é", "a/\U0010ffff", "b", "\U0010ffffx"):
        store.apply(Put(key, b"value"))
    for prefix in prefixes:
        store.apply(SetQuota(prefix, 100))

    copy = imported(*told(store))

    for prefix in prefixes:
        assert copy.state.quotas.usage(prefix) == store.state.tree.weigh(prefix)


def test_what_is_new_makes_no_store_alone() -> None:
    header, _ = told(busy_store())

    with pytest.raises(ImportRefused, match="what is new since 5 makes no store alone"):
        Store.importer(header, 5)
    with pytest.raises(ImportRefused, match="nothing to bring one forward"):
        busy_store().continuation(header, None)


# --- what is new


def pair() -> tuple[Store, Store, int]:
    """Return a store, the same some commands earlier, and its index then."""
    store, base = busy_store(), busy_store()
    for command in (
        Put("web/a", b"3"),
        Put("web/a", b"4"),
        Put("web/b", b"5"),
        Put("fresh", b"1", ttl=9000),
        Delete("jobs/0000000000"),
        Delete("back"),
        Put("back", b"3"),
        SessionClose("s2"),
        SessionOpen("s9"),
        Lock("locks/z", "s9"),
        Configure(Config(history_changes=None, history_age=1_000_000)),
        Compact(12),
    ):
        store.apply(command, now=1300)
    return store, base, base.applied_index


def test_what_is_new_brings_a_store_forward() -> None:
    store, base, since = pair()

    header, rows = told(store, since)

    assert set(SECTIONS) - set(rows) == {"entries", "directories"} - set(rows)
    assert continued(base, since, header, rows).digest() == store.digest()


# The changes are web/a twice, web/b, fresh, jobs deleted, back deleted and made, locks/b freed,
# locks/z.
BROKEN_ON: list[tuple[str, Edit]] = [
    ("the export does not go on from this state", head(applied_index=3, revision=3, floor=3)),
    ("the export does not go on from this state", head(floor=30)),
    ("the export does not go on from this state", head(floor=5)),
    ("the export does not go on from this state", head(floor_sequence=2)),
    ("the export does not go on from this state", head(config_separator=".")),
    ("the numbers of the header contradict", head(revision=999)),
    ("an incremental export tells no entries",
     lambda _, rows: rows.update({"entries": []} | {name: rows.pop(name) for name in [*rows]})),
    ("changes are missing", drop("changes", -1)),
    ("changes are missing", head(sequence=99)),
    ("changes are missing",
     both(drop("changes", -1), lambda header, _: header.update(sequence=header["sequence"] - 1))),
    ("a change does not go on from the one before", drop("changes", 0)),
    ("a change is not at its place", reorder("changes")),
    ("the changes are not in order", put("changes", 0, (0, 20), (2, None))),
    ("a change does not go on from the one before", put("changes", 0, (3, None))),
    ("a change does not go on from the one before", put("changes", 1, (3, None))),
    ("a change does not go on from the one before", put("changes", 3, (5, 3))),
    ("a change does not go on from the one before", put("changes", 6, (5, -1))),
    ("a change does not go on from the one before", nested("changes", 0, 3, (1, b"other"))),
    ("a change is not at its place", nested("changes", 0, 2, (7, 5))),
    ("a change is no tuple of six", replace("changes", 0, None)),
    ("the deadlines are not those of the keys with a ttl", drop("deadlines", 0)),
    ("a key depends on a session that is not there", drop("sessions", 0)),
    ("a key depends on a session that is not there", drop("sessions", -1)),
    ("two tokens have one secret", add("tokens", Token("z", "secret"))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "edit"), BROKEN_ON)
def test_what_does_not_go_on_is_refused_and_changes_nothing(reason: str, edit: Edit) -> None:
    store, base, since = pair()
    header, rows = told(store, since)
    edit(header, rows)
    before = told(base)

    with pytest.raises(ImportRefused, match=reason):
        continued(base, since, header, rows)

    assert told(base) == before
    assert base.digest() == busy_store().digest()
    base.check_invariants()
