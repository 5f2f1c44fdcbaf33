"""How commands are written: their numbers, and the order of their fields.

Owns format version 1 of the commands. Numbers are never used again, places never change; a new
field is appended with a default, and a build that does not know it refuses the command.
"""

from __future__ import annotations

from typing import Any, Final

from kvstore import commands
from kvstore.acl.access import Policy, Role, Token
from kvstore.codec.value_forms import CONFIG_FORM, POLICY_FORM, ROLE_FORM, TOKEN_FORM, pair_list
from kvstore.codec.wire import (
    BOOL,
    BYTES,
    DEPTH_MAX,
    INTEGER,
    INTEGER_OR_NONE,
    TEXT,
    TEXT_OR_NONE,
    Field,
    Form,
    form_field,
    form_list,
    pack_list,
    read_nested,
    text_list,
)
from kvstore.commands import KEEP, Keep, Operation
from kvstore.config import Config
from kvstore.errors import DecodeError

# `KEEP` is an empty array: no field has another array besides.


def _write_keep(_: Keep, __: int) -> tuple[()]:
    return ()


def _read_keep(value: tuple[object, ...], _: int) -> Keep:
    if value:
        raise DecodeError("bad-field", "an array where a plain value belongs")
    return KEEP


def _keep(name: str, types: tuple[type, ...], default: object) -> Field:
    """Return a field that may be `KEEP`."""
    return Field(
        name,
        (*types, Keep),
        default,
        write=_write_keep,
        read=_read_keep,
        wire_types=(*types, tuple),
        converted=(Keep,),
        converted_wire=(tuple,),
    )


def _selection() -> list[Field]:
    return [Field(name, TEXT_OR_NONE, None) for name in ("prefix", "start", "end")]


def _integers(*names: str) -> list[Field]:
    """Return optional numbers."""
    return [Field(name, INTEGER_OR_NONE, None) for name in names]


_KEY: Final = Field("key", TEXT)
_VALUE: Final = Field("value", BYTES, b"")
_WANT_PREVIOUS: Final = Field("want_previous", BOOL, False)

# No operand is left out: as a default, True would stand for 1 as well.
_CHECK: Final = Form(
    commands.Check,
    [
        Field("key", TEXT_OR_NONE),
        Field("target", TEXT),
        Field("operator", TEXT),
        Field("operand", (bool, int, str, bytes)),
        *_selection(),
    ],
)


def _write_operations(operations: tuple[Operation, ...], depth: int) -> bytes:
    if depth >= DEPTH_MAX:
        raise ValueError(f"transactions are nested deeper than {DEPTH_MAX} levels")
    written = []
    for operation in operations:
        found = COMMANDS.get(type(operation))
        if found is None or found[0] not in OPERATION_FORMS:
            raise TypeError(f"{type(operation).__name__} is no operation of a transaction")
        written.append((found[0], *found[1].write(operation, depth + 1)))
    return pack_list(written)


def _read_operations(data: bytes, depth: int) -> tuple[Operation, ...]:
    return tuple(read_nested(data, depth, OPERATION_FORMS, "operation"))


def _operations(name: str) -> Field:
    return Field(
        name,
        (tuple,),
        (),
        write=_write_operations,
        read=_read_operations,
        wire_types=(bytes,),
    )


def _put_fields(put: commands.Put) -> tuple[object, ...]:
    return (
        put.key,
        put.value,
        put.flags,
        put.cas,
        put.if_version,
        put.owner,
        put.ttl,
        put.keep_value,
        put.force,
        put.want_previous,
    )


def _range_fields(range_: commands.Range) -> tuple[object, ...]:
    return (
        range_.prefix,
        range_.start,
        range_.end,
        range_.revision,
        range_.limit,
        range_.after,
        range_.max_bytes,
        range_.keys_only,
        range_.sort,
        range_.descending,
        range_.min_mod_revision,
        range_.max_mod_revision,
        range_.min_create_revision,
        range_.max_create_revision,
        range_.include_deleted_since,
    )


# --- the numbers of the commands

_OPERATIONS: Final[dict[int, tuple[type, Form[Any]]]] = {
    1: (
        commands.Put,
        Form(
            commands.Put,
            [
                _KEY,
                _VALUE,
                _keep("flags", INTEGER, 0),
                *_integers("cas", "if_version"),
                _keep("owner", TEXT_OR_NONE, KEEP),
                _keep("ttl", INTEGER_OR_NONE, KEEP),
                Field("keep_value", BOOL, False),
                Field("force", BOOL, False),
                _WANT_PREVIOUS,
            ],
            often=(2, 4, 7),
            get=_put_fields,
        ),
    ),
    2: (
        commands.Create,
        Form(
            commands.Create,
            [
                _KEY,
                _VALUE,
                Field("flags", INTEGER, 0),
                Field("owner", TEXT_OR_NONE, None),
                Field("ttl", INTEGER_OR_NONE, None),
                Field("sequence", TEXT_OR_NONE, None),
                Field("width", INTEGER, 10),
            ],
            often=(2,),
        ),
    ),
    3: (
        commands.Delete,
        Form(commands.Delete, [_KEY, *_integers("cas", "if_version"), _WANT_PREVIOUS]),
    ),
    4: (
        commands.DeleteRange,
        Form(commands.DeleteRange, [*_selection(), *_integers("limit"), _WANT_PREVIOUS]),
    ),
    5: (commands.Touch, Form(commands.Touch, [text_list("keys")])),
    6: (
        commands.Lock,
        Form(
            commands.Lock,
            [
                _KEY,
                Field("session", TEXT),
                _keep("value", BYTES, KEEP),
                _keep("flags", INTEGER, KEEP),
            ],
        ),
    ),
    7: (
        commands.Unlock,
        Form(
            commands.Unlock,
            [
                _KEY,
                Field("session", TEXT),
                _keep("value", BYTES, KEEP),
                _keep("flags", INTEGER, KEEP),
                Field("delete", BOOL, False),
            ],
        ),
    ),
    8: (commands.Check, _CHECK),
    9: (commands.Get, Form(commands.Get, [_KEY, *_integers("revision")])),
    10: (
        commands.Range,
        Form(
            commands.Range,
            [
                *_selection(),
                *_integers("revision", "limit"),
                Field("after", TEXT_OR_NONE, None),
                *_integers("max_bytes"),
                Field("keys_only", BOOL, False),
                Field("sort", TEXT, "key"),
                Field("descending", BOOL, False),
                *_integers("min_mod_revision", "max_mod_revision"),
                *_integers("min_create_revision", "max_create_revision"),
                *_integers("include_deleted_since"),
            ],
            often=(3, 5),
            get=_range_fields,
        ),
    ),
    11: (commands.Count, Form(commands.Count, [*_selection(), *_integers("revision")])),
    12: (
        commands.Keys,
        Form(
            commands.Keys,
            [
                Field("prefix", TEXT, ""),
                Field("separator", TEXT, "/"),
                *_integers("limit"),
                Field("after", TEXT_OR_NONE, None),
                *_integers("revision"),
            ],
        ),
    ),
    13: (
        commands.Txn,
        Form(
            commands.Txn,
            [
                form_list("when", _CHECK, ()),
                _operations("then"),
                _operations("otherwise"),
                Field("stop_at_first", BOOL, False),
            ],
        ),
    ),
}

_OTHERS: Final[dict[int, tuple[type, Form[Any]]]] = {
    32: (
        commands.SessionOpen,
        Form(
            commands.SessionOpen,
            [
                Field("id", TEXT_OR_NONE, None),
                *_integers("ttl"),
                Field("on_end", TEXT, "release"),
                Field("lock_delay", INTEGER, 15_000),
                text_list("bindings", ()),
                Field("name", TEXT, ""),
                pair_list("meta", (str, str)),
            ],
        ),
    ),
    33: (commands.SessionRenew, Form(commands.SessionRenew, [text_list("ids")])),
    34: (commands.SessionClose, Form(commands.SessionClose, [Field("id", TEXT)])),
    35: (commands.Invalidate, Form(commands.Invalidate, [text_list("bindings")])),
    36: (commands.Tick, Form(commands.Tick, [Field("limit", INTEGER, 1000)])),
    37: (commands.Rebase, Form(commands.Rebase, [])),
    38: (commands.Compact, Form(commands.Compact, [Field("revision", INTEGER)])),
    39: (
        commands.SetQuota,
        Form(commands.SetQuota, [Field("prefix", TEXT), *_integers("max_keys", "max_bytes")]),
    ),
    40: (commands.DropQuota, Form(commands.DropQuota, [Field("prefix", TEXT)])),
    41: (
        commands.SetPolicy,
        Form(commands.SetPolicy, [form_field("policy", POLICY_FORM, Policy)]),
    ),
    42: (commands.DropPolicy, Form(commands.DropPolicy, [Field("name", TEXT)])),
    43: (commands.SetRole, Form(commands.SetRole, [form_field("role", ROLE_FORM, Role)])),
    44: (commands.DropRole, Form(commands.DropRole, [Field("name", TEXT)])),
    45: (commands.SetToken, Form(commands.SetToken, [form_field("token", TOKEN_FORM, Token)])),
    46: (commands.DropToken, Form(commands.DropToken, [Field("accessor", TEXT)])),
    47: (
        commands.Configure,
        Form(commands.Configure, [form_field("config", CONFIG_FORM, Config)]),
    ),
    48: (commands.Noop, Form(commands.Noop, [])),
}

#: The forms of operations, and of all commands, by number.
OPERATION_FORMS: Final = {kind: form for kind, (_, form) in _OPERATIONS.items()}
COMMAND_FORMS: Final = {kind: form for kind, (_, form) in (_OPERATIONS | _OTHERS).items()}
#: The number and the form of each class.
COMMANDS: Final[dict[type, tuple[int, Form[Any]]]] = {
    command: (kind, form) for kind, (command, form) in (_OPERATIONS | _OTHERS).items()
}
