"""What the store and the naive model answered, in a form in which the two can be compared.

Records become entries: where a change stands in the history, and the number of a directory, are
the store's own. The words of a `Malformed` are too. An index to wait with may be any that loses
no change and is not in the future, so it is compared apart (`waiting_indexes`).
"""

from __future__ import annotations

from typing import Any

import attrs

from kvstore.entry import make_entry
from kvstore.refusals import Malformed
from kvstore.results import Applied, CountOk, GetOk, KeysOk, RangeOk

READS = (GetOk, RangeOk, CountOk, KeysOk)


def plain(value: Any) -> Any:
    """Return a result, or any part of it, as nested tuples."""
    if isinstance(value, Malformed):
        return ("Malformed", value.field)
    if attrs.has(type(value)):
        return (
            type(value).__name__,
            *(
                (field.name, plain_field(field.name, getattr(value, field.name)))
                for field in attrs.fields(type(value))
                if not (field.name == "index" and isinstance(value, READS))
            ),
        )
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    return value


def plain_field(name: str, value: Any) -> Any:
    """Return a field of a result; those that hold records are known by their names."""
    if name in {"record", "previous_record"}:
        return None if value is None else plain(make_entry(value))
    if name in {"records", "previous_records"}:
        return tuple(plain(make_entry(record)) for record in value)
    return plain(value)


def plain_applied(applied: Applied) -> Any:
    """Return what a command did; events in the order of keys."""
    events = sorted(map(plain, applied.events), key=repr)
    return applied.index, applied.changed, plain(applied.result), events


def waiting_indexes(result: Any) -> list[int]:
    """Return the indexes to wait with in a result, in order."""
    if isinstance(result, READS):
        return [result.index]
    results = getattr(result, "results", ())
    return [index for each in results for index in waiting_indexes(each)]
