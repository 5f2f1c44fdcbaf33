"""How the values inside commands, results and snapshots are written.

Owns the field orders of rules, policies, roles, tokens, configurations, sessions, records and
entries. Fields are only ever appended, with a default; none changes its place or its meaning.
"""

from __future__ import annotations

from typing import Any, Final

from kvstore.acl.access import AclMode, Level, Policy, Role, Rule, Token
from kvstore.codec.wire import (
    BOOL,
    BYTES,
    INTEGER,
    INTEGER_OR_NONE,
    REQUIRED,
    TEXT,
    Field,
    Form,
    form_list,
    pack_list,
    text_list,
    unpack_list,
)
from kvstore.config import Config
from kvstore.entry import BONDS, DIRECTORY, Entry, Record
from kvstore.errors import DecodeError
from kvstore.state.directories import NO_DIRECTORY
from kvstore.state.sessions import Session

_NONE: Final = type(None)

# --- access control


def _number(value: int, _: int) -> int:
    """Return an enumeration's value as the plain number that is written."""
    return int(value)


_RULE: Final = Form(
    Rule,
    [
        Field("resource", TEXT),
        Field("label", TEXT),
        Field("level", (Level,), write=_number, wire_types=INTEGER),
        Field("prefix", BOOL, False),
        Field(
            "intentions",
            (Level, _NONE),
            None,
            write=_number,
            wire_types=INTEGER_OR_NONE,
            converted=(Level,),
        ),
    ],
)

POLICY_FORM: Final = Form(
    Policy, [Field("name", TEXT), form_list("rules", _RULE, ()), Field("description", TEXT, "")]
)
ROLE_FORM: Final = Form(
    Role, [Field("name", TEXT), text_list("policies", ()), Field("description", TEXT, "")]
)
TOKEN_FORM: Final = Form(
    Token,
    [
        Field("accessor", TEXT),
        Field("secret", TEXT, ""),
        text_list("policies", ()),
        text_list("roles", ()),
        form_list("rules", _RULE, ()),
        Field("management", BOOL, False),
        Field("expires", INTEGER_OR_NONE, None),
        Field("description", TEXT, ""),
    ],
)

# No field has a default on the wire: those of a build may change, a log's meaning may not.
_CONFIG_FIELDS: Final = [
    Field("key_size_max", INTEGER),
    Field("value_size_max", INTEGER),
    Field("operations_max", INTEGER),
    Field("depth_max", INTEGER),
    Field("session_ttl_min", INTEGER),
    Field("session_ttl_max", INTEGER),
    Field("session_grace", INTEGER),
    Field("session_keys_max", INTEGER),
    Field("lock_delay_max", INTEGER),
    Field("history_changes", INTEGER_OR_NONE),
    Field("history_age", INTEGER_OR_NONE),
    Field("separator", TEXT),
    Field("acl", (AclMode,), write=_number, wire_types=INTEGER),
    Field("list_needs_right", BOOL),
    Field("feature_level", INTEGER),
]


def _config(*fields: Any) -> Config:
    values = {field.name: value for field, value in zip(_CONFIG_FIELDS, fields, strict=True)}
    return Config(**values | {"acl": AclMode(values["acl"])})


CONFIG_FORM: Final = Form(_config, _CONFIG_FIELDS)


def pair_list(name: str, types: tuple[type, type], default: object = ()) -> Field:
    """Return a field that is a tuple of pairs; a number that comes second may be None."""
    first, second = types

    def fits(pair: object) -> bool:
        return (
            type(pair) is tuple
            and len(pair) == 2
            and type(pair[0]) is first
            and (type(pair[1]) is second or (pair[1] is None and second is int))
        )

    def write(pairs: tuple[object, ...], _: int) -> bytes:
        if not all(map(fits, pairs)):
            raise TypeError(f"{name} must hold pairs of {first.__name__} and {second.__name__}")
        return pack_list(pairs)

    def read(data: bytes, _: int) -> tuple[Any, ...]:
        pairs = tuple(unpack_list(data))
        if not all(map(fits, pairs)):
            raise DecodeError("bad-field", f"{name} holds something else than pairs")
        return pairs

    return Field(name, (tuple,), default, write=write, read=read, wire_types=(bytes,))


SESSION_FORM: Final = Form(
    Session,
    [
        Field("id", TEXT),
        Field("ttl", INTEGER_OR_NONE),
        Field("on_end", TEXT),
        Field("lock_delay", INTEGER),
        text_list("bindings"),
        Field("name", TEXT),
        pair_list("meta", (str, str)),
        Field("create_revision", INTEGER),
    ],
)

# --- entries

# The shapes of bonds and of records, the latter without the local number of their directory.
_BONDS_SHAPES: Final = frozenset({(int, str, int, str, int), (int, str, int, str, _NONE)})
_PLAIN_SHAPE: Final = (str, bytes, int, int, int, int, _NONE, int)
_BOUND_SHAPE: Final = (str, bytes, int, int, int, int, tuple, int)


def is_record(fields: object) -> bool:
    """Return whether fields are those of a record, without its directory."""
    if type(fields) is not tuple:
        return False
    shape = tuple(map(type, fields))
    return shape == _PLAIN_SHAPE or (
        shape == _BOUND_SHAPE and tuple(map(type, fields[BONDS])) in _BONDS_SHAPES
    )


def write_record(record: Record, _: int = 0) -> tuple[object, ...]:
    """Return the fields of a record that are the same on every replica."""
    fields = record[:DIRECTORY]
    if not is_record(fields):
        raise TypeError(f"{fields!r} is no record")
    return fields


def read_record(fields: tuple[Any, ...], _: int = 0) -> Record:
    """Return the record of some fields; its directory is not known."""
    is_plain = type(fields) is tuple and tuple(map(type, fields)) == _PLAIN_SHAPE
    if not is_plain and not is_record(fields):
        raise DecodeError("bad-field", "an array is no record")
    return (*fields, NO_DIRECTORY)


def record_field(name: str, *, optional: bool = False) -> Field:
    """Return a field that is a record, or None if it is optional."""
    none = (_NONE,) if optional else ()
    return Field(
        name,
        (tuple, *none),
        write=write_record,
        read=read_record,
        converted=(tuple,),
        converted_wire=(tuple,),
    )


def record_list(name: str, default: object = REQUIRED) -> Field:
    """Return a field that is a tuple of records."""

    def write(records: tuple[Record, ...], _: int) -> bytes:
        return pack_list(map(write_record, records))

    def read(data: bytes, _: int) -> tuple[Record, ...]:
        return tuple(map(read_record, unpack_list(data)))

    return Field(name, (tuple,), default, write=write, read=read, wire_types=BYTES)


ENTRY_FORM: Final = Form(
    Entry,
    [
        Field("key", TEXT),
        Field("value", BYTES),
        Field("flags", INTEGER),
        Field("create_revision", INTEGER),
        Field("mod_revision", INTEGER),
        Field("version", INTEGER),
        Field("lock_count", INTEGER, 0),
        Field("lock_session", TEXT, ""),
        Field("lock_revision", INTEGER, 0),
        Field("owner", TEXT, ""),
        Field("ttl", INTEGER_OR_NONE, None),
        Field("expires", INTEGER_OR_NONE, None),
    ],
)
