"""How results and refusals are written: their numbers, and the order of their fields.

Owns format version 1 of the results; the rules of command_forms.py hold here as well.
"""

from __future__ import annotations

from typing import Any, Final

from kvstore import refusals, results
from kvstore.codec.value_forms import (
    CONFIG_FORM,
    ENTRY_FORM,
    SESSION_FORM,
    pair_list,
    record_field,
    record_list,
)
from kvstore.codec.wire import (
    BOOL,
    DEPTH_MAX,
    INTEGER,
    INTEGER_OR_NONE,
    TEXT,
    TEXT_OR_NONE,
    Field,
    Form,
    form_field,
    pack_list,
    read_nested,
    text_list,
    unpack_list,
)
from kvstore.config import Config
from kvstore.entry import Entry
from kvstore.errors import DecodeError
from kvstore.refusals import TxnError
from kvstore.results import Result
from kvstore.state.sessions import Session


def _write_nested(value: Result, depth: int) -> tuple[object, ...]:
    found = RESULTS.get(type(value))
    if found is None:
        raise TypeError(f"{type(value).__name__} is no result")
    return (found[0], *found[1].write(value, depth))


def _write_results(values: tuple[Result, ...], depth: int) -> bytes:
    if depth >= DEPTH_MAX:
        raise ValueError(f"results are nested deeper than {DEPTH_MAX} levels")
    return pack_list(_write_nested(value, depth + 1) for value in values)


def _read_results(data: bytes, depth: int) -> tuple[Result, ...]:
    return tuple(read_nested(data, depth, RESULT_FORMS, "result"))


# A failed transaction's errors are two lists: of paths, each a list of its own, and of refusals.


def _write_errors(errors: tuple[TxnError, ...], depth: int) -> bytes:
    paths = [pack_list(error.path) for error in errors]
    return pack_list((pack_list(paths), _write_results(tuple(e.refusal for e in errors), depth)))


def _read_errors(data: bytes, depth: int) -> tuple[TxnError, ...]:
    parts = unpack_list(data)
    if tuple(map(type, parts)) != (bytes, bytes):
        raise DecodeError("bad-field", "errors are a list of paths and a list of refusals")
    paths = unpack_list(parts[0])
    found = read_nested(parts[1], depth, _REFUSAL_FORMS, "refusal")
    if len(paths) != len(found):
        raise DecodeError("bad-field", f"{len(paths)} paths for {len(found)} refusals")
    return tuple([TxnError(_read_path(path), why) for path, why in zip(paths, found, strict=True)])


def _read_path(data: object) -> tuple[str | int, ...]:
    if type(data) is not bytes:
        raise DecodeError("bad-field", "a path is a list")
    path = tuple(unpack_list(data))
    if any(type(step) not in {str, int} for step in path):
        raise DecodeError("bad-field", "a path holds something else than names and positions")
    return path


def _integers(*names: str) -> list[Field]:
    return [Field(name, INTEGER) for name in names]


def _texts(*names: str) -> list[Field]:
    return [Field(name, TEXT) for name in names]


_EXPIRES: Final = Field("expires", INTEGER_OR_NONE, None)
_NEXT: Final = Field("next", TEXT_OR_NONE)
_FILTERED: Final = Field("filtered", BOOL, False)
_CURRENT: Final = form_field("current", ENTRY_FORM, Entry)
_CURRENT_OR_NONE: Final = form_field("current", ENTRY_FORM, Entry, None)

_SUCCESSES: Final[dict[int, tuple[type, list[Field]]]] = {
    1: (
        results.PutOk,
        [
            record_field("record"),
            record_field("previous_record", optional=True),
            Field("created", BOOL),
            _EXPIRES,
        ],
    ),
    2: (
        results.DeleteOk,
        [
            Field("count", INTEGER),
            record_list("previous_records", ()),
            Field("next", TEXT_OR_NONE, None),
        ],
    ),
    3: (results.TouchOk, _integers("count")),
    4: (results.LockOk, [record_field("record"), Field("fresh", BOOL), _EXPIRES]),
    5: (results.UnlockOk, [record_field("record"), Field("deleted", BOOL), _EXPIRES]),
    6: (results.CheckOk, [record_field("record", optional=True)]),
    7: (
        results.GetOk,
        [
            record_field("record", optional=True),
            Field("expires", INTEGER_OR_NONE),
            *_integers("index", "revision"),
        ],
    ),
    8: (
        results.RangeOk,
        [
            record_list("records"),
            Field("count", INTEGER),
            _NEXT,
            Field("more", BOOL),
            *_integers("index", "revision"),
            _FILTERED,
            pair_list("deleted", (str, int)),
            pair_list("expiries", (str, int)),
        ],
    ),
    9: (results.CountOk, [*_integers("count", "index", "revision"), _FILTERED]),
    10: (
        results.KeysOk,
        [text_list("names"), _NEXT, *_integers("index", "revision"), _FILTERED],
    ),
    11: (
        results.TxnOk,
        [
            Field("branch", BOOL),
            Field(
                "results", (tuple,), write=_write_results, read=_read_results, wire_types=(bytes,)
            ),
        ],
    ),
    12: (
        results.SessionOk,
        [form_field("session", SESSION_FORM, Session), Field("deadline", INTEGER_OR_NONE)],
    ),
    13: (results.RenewOk, [pair_list("deadlines", (str, int)), text_list("missing", ())]),
    14: (results.CloseOk, [text_list("sessions"), *_integers("released", "deleted")]),
    15: (results.TickOk, [text_list("sessions"), Field("keys", INTEGER), Field("more", BOOL)]),
    16: (results.RebaseOk, _integers("offset")),
    17: (results.CompactOk, _integers("floor", "dropped")),
    18: (results.ConfigureOk, [form_field("old", CONFIG_FORM, Config)]),
    19: (results.Ok, []),
}

_REFUSALS: Final[dict[int, tuple[type, list[Field]]]] = {
    64: (refusals.CasMismatch, [*_texts("key"), *_integers("expected"), _CURRENT_OR_NONE]),
    65: (refusals.VersionMismatch, [*_texts("key"), *_integers("expected"), _CURRENT_OR_NONE]),
    66: (refusals.Exists, [_CURRENT]),
    67: (refusals.NotFound, _texts("key")),
    68: (refusals.Held, [*_texts("key", "by"), *_integers("since")]),
    69: (refusals.Delayed, [*_texts("key"), *_integers("until", "now")]),
    70: (refusals.NotHeld, _texts("key", "by")),
    71: (refusals.NoSession, _texts("session")),
    72: (refusals.SessionExists, _texts("session")),
    73: (refusals.BadTtl, _integers("ttl", "minimum", "maximum")),
    74: (refusals.CheckFailed, [*_texts("key"), _CURRENT_OR_NONE]),
    75: (refusals.Compacted, _integers("revision", "floor")),
    76: (refusals.Future, _integers("revision", "newest")),
    77: (refusals.TooLarge, [*_texts("what"), *_integers("size", "limit")]),
    78: (refusals.QuotaExceeded, [*_texts("prefix", "what"), *_integers("limit", "wanted")]),
    79: (refusals.OverAlready, [*_texts("prefix", "what"), *_integers("limit", "current")]),
    80: (refusals.Denied, _texts("operation", "label", "reason")),
    81: (refusals.TooManyOperations, _integers("limit", "got")),
    82: (refusals.TooDeep, _integers("limit")),
    83: (refusals.Malformed, _texts("field", "reason")),
    84: (refusals.Unsupported, _texts("kind", "reason")),
    85: (
        refusals.TxnFailed,
        [Field("errors", (tuple,), write=_write_errors, read=_read_errors, wire_types=(bytes,))],
    ),
}

_ALL: Final[dict[int, tuple[type, Form[Any]]]] = {
    kind: (result, Form(result, fields))
    for kind, (result, fields) in (_SUCCESSES | _REFUSALS).items()
}

#: The forms of results, refusals included, by number.
RESULT_FORMS: Final = {kind: form for kind, (_, form) in _ALL.items()}
#: The number and the form of each class.
RESULTS: Final[dict[type, tuple[int, Form[Any]]]] = {
    result: (kind, form) for kind, (result, form) in _ALL.items()
}
_REFUSAL_FORMS: Final = {kind: RESULT_FORMS[kind] for kind in _REFUSALS}
