"""How the tests of the store speak: a few commands, an answer, what is left."""

from __future__ import annotations

from typing import Any, TypeVar

from kvstore.commands import Command
from kvstore.refusals import Refusal
from kvstore.results import Result
from kvstore.store import Store

R = TypeVar("R")


def made(*commands: Command, store: Store | None = None, now: int | None = None) -> Store:
    """Return a store to which commands were applied, none of which was refused."""
    store = Store() if store is None else store
    for command in commands:
        applied = store.apply(command, now=now)
        assert applied.ok, applied
    return store


def done(store: Store, command: Command, kind: type[R], now: int | None = None) -> R:
    """Apply a command and return its answer, of the kind that is expected."""
    result = store.apply(command, now=now).result
    assert isinstance(result, kind), result
    return result


def refused(store: Store, command: Command, kind: type[R], now: int | None = None) -> R:
    """Apply a command that is refused, changing nothing, and return the refusal."""
    before = contents(store)
    applied = store.apply(command, now=now)
    assert isinstance(applied.result, kind), applied.result
    assert isinstance(applied.result, Refusal)
    assert (applied.ok, applied.changed, applied.changes) == (False, False, ())
    assert contents(store) == before
    assert str(applied.result)
    store.check_invariants()
    return applied.result


def answer(store: Store, command: Command) -> Result:
    """Apply a command and return whatever it answers."""
    return store.apply(command).result


def contents(store: Store) -> tuple[object, list[tuple[str, list[Any]]]]:
    """Return the state row by row, but for the numbers that every command moves."""
    with store.view() as view:
        header = {
            name: value
            for name, value in view.header.items()
            if name not in {"applied_index", "clock"}
        }
        rows = [(section, list(rows)) for section, rows in view.batches() if section != "marks"]
    return header, rows


def keys(store: Store, prefix: str = "") -> list[str]:
    """Return the keys below a prefix."""
    return [record[0] for record in store.records(prefix)]
