"""How the rows of a snapshot's sections are written: as elements of msgpack, back to back.

Most rows are tuples, and written as they are. Policies, roles and tokens have the forms that they
have in commands; the lists within a session are packed as bytes of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from kvstore.codec.value_forms import POLICY_FORM, ROLE_FORM, TOKEN_FORM
from kvstore.codec.wire import Form, pack, pack_list, unpack_list
from kvstore.errors import DecodeError

# Sections whose rows are values.
_VALUES: Final[Mapping[str, Form[Any]]] = {
    "policies": POLICY_FORM,
    "roles": ROLE_FORM,
    "tokens": TOKEN_FORM,
}
# Lists within the rows of sessions: where the bindings are, and the pairs behind them.
_BINDINGS: Final = 4
_META: Final = 6


def encode_rows(section: str, rows: Iterable[Any]) -> Iterator[bytes]:
    """Yield the bytes of each row of a section."""
    if section in _VALUES:
        rows = map(_VALUES[section].write, rows)
    elif section == "sessions":
        rows = map(_session_out, rows)
    return map(pack, rows)


def decode_rows(section: str, payload: bytes) -> list[Any]:
    """Return the rows that stand back to back in some bytes.

    Raises:
        DecodeError: They are none of this section.
    """
    rows = unpack_list(payload)
    if section in _VALUES:
        return [_VALUES[section].read_any(row) for row in rows]
    if section == "sessions":
        return [_session_in(row) for row in rows]
    return rows


def _session_out(row: tuple[Any, ...]) -> tuple[Any, ...]:
    fields = list(row)
    fields[_BINDINGS], fields[_META] = pack_list(row[_BINDINGS]), pack_list(row[_META])
    return tuple(fields)


def _session_in(row: Any) -> tuple[Any, ...]:
    if type(row) is not tuple or len(row) <= _META:
        raise DecodeError("malformed", "a session is an array")
    fields = list(row)
    for at in (_BINDINGS, _META):
        if type(row[at]) is not bytes:
            raise DecodeError("bad-field", "a session's bindings and meta are lists")
        fields[at] = tuple(unpack_list(row[at]))
    return tuple(fields)
