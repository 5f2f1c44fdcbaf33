"""Single rows of an export, looked at field by field.

Each function returns the value that a row tells, or raises `ImportRefused`. Whether values fit
together is importing.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from kvstore.acl.access import AclMode
from kvstore.applying.fields import NAME_SIZE_MAX, text_fault
from kvstore.change import NO_LINK, Cause
from kvstore.config import FEATURE_LEVEL, INTEGER_MAX, KEY_SIZE_LIMIT, UNSIGNED_MAX, Config
from kvstore.entry import DIRECTORY, KEY, MOD_REVISION, NO_BONDS, Record
from kvstore.errors import ImportRefused
from kvstore.snapshots.export import HEADER, Scalar, config_scalars
from kvstore.state.quotas import Limits
from kvstore.state.sessions import Session

_CAUSES: Final = frozenset(map(int, Cause))
_NO_RECORDS: Final[Mapping[str, Record]] = MappingProxyType({})

#: A change: its revision and key; the record now, if any; the record before, or its sequence, if
#: any; its cause and its link.
ChangeRow: TypeAlias = tuple[int, str, Record | None, Record | int | None, int, int]


def read_header(header: Mapping[str, Scalar]) -> tuple[dict[str, int], Config]:
    """Return the numbers and the configuration that a header tells."""
    numbers: dict[str, int] = {}
    for name in HEADER:
        value = header.get(name)
        low = -INTEGER_MAX if name == "offset" else 0
        if type(value) is not int or not low <= value <= INTEGER_MAX:
            raise ImportRefused(f"the header's {name} is {value!r}")
        numbers[name] = value
    if not (
        numbers["floor"] <= numbers["applied_index"]
        and numbers["revision"] <= numbers["applied_index"]
        and numbers["floor_sequence"] <= numbers["sequence"]
    ):
        raise ImportRefused("the numbers of the header contradict each other")
    names = [name for name in config_scalars(Config()) if name in header]
    fields: dict[str, Any] = {name.removeprefix("config."): header[name] for name in names}
    try:
        if "acl" in fields:
            fields["acl"] = AclMode(fields["acl"])
        config = Config(**fields)
    except (TypeError, ValueError) as error:
        raise ImportRefused(f"the configuration is none: {error}") from None
    if config.feature_level > FEATURE_LEVEL:
        raise ImportRefused(f"the feature level is {config.feature_level}, not {FEATURE_LEVEL}")
    return numbers, config


def read_record(row: Any, number: Callable[[str], int], revision_max: int, end: int) -> Record:
    """Return the record of a row.

    Args:
        row: The row.
        number: Gives the number of a key's directory.
        revision_max: The newest revision there is.
        end: The sequence of the first change that is not there.
    """
    if type(row) is not tuple or len(row) != 8:
        raise ImportRefused("an entry is no tuple of eight")
    key, value, flags, created, modified, version, bonds, sequence = row
    if not (
        type(key) is str
        and type(value) is bytes
        and type(flags) is int
        and type(created) is int
        and type(modified) is int
        and type(version) is int
        and type(sequence) is int
        and 0 <= flags <= UNSIGNED_MAX
        and 0 < created <= modified <= revision_max
        and 0 < version <= INTEGER_MAX
        and 0 <= sequence < end
        and 0 < len(key) <= KEY_SIZE_LIMIT
        and "\0" not in key
        and (key.isascii() or text_fault("key", key, KEY_SIZE_LIMIT) is None)
    ):
        raise ImportRefused("a field of an entry is out of range")
    if bonds is not None:
        read_bonds(bonds)
    return (key, value, flags, created, modified, version, bonds, sequence, number(key))


def read_bonds(bonds: Any) -> None:
    """Refuse what are no bonds."""
    if type(bonds) is not tuple or len(bonds) != len(NO_BONDS) or bonds == NO_BONDS:
        raise ImportRefused("the bonds of an entry are no tuple of five")
    count, holder, since, owner, ttl = bonds
    read_text(holder)
    read_text(owner)
    read_number(count)
    read_number(since)
    if ttl is not None:
        read_number(ttl, 1)
    if bool(holder) != bool(since) or (holder and not count):
        raise ImportRefused("the lock of an entry contradicts itself")


def read_change(
    row: Any,
    number: Callable[[str], int],
    revision_max: int,
    end: int,
    records: Mapping[str, Record] = _NO_RECORDS,
) -> ChangeRow:
    """Return what the row of a change tells.

    Args:
        row: The row.
        number: Gives the number of a key's directory.
        revision_max: The newest revision there is.
        end: The sequence of the first change that is not there.
        records: Those of rows that were looked at: what a change made mostly is one of them.
    """
    if type(row) is not tuple or len(row) != 6:
        raise ImportRefused("a change is no tuple of six")
    revision, key, new, old, cause, link = row
    read_number(revision, 1, revision_max)
    if type(cause) is not int or cause not in _CAUSES:
        raise ImportRefused(f"no cause is {cause!r}")
    read_number(link, NO_LINK, end - 1)
    if type(key) is not str or (new is None and old is None):
        raise ImportRefused("a change changes nothing")
    after = None
    if new is not None:
        after = records.get(key)
        if after is None or new != after[:DIRECTORY]:
            after = read_record(new, number, revision_max, end)
    before: Record | int | None
    if type(old) is tuple:
        before = read_record(old, number, revision_max, end)
        if before[KEY] != key or before[MOD_REVISION] >= revision:
            raise ImportRefused("a change replaces what it cannot")
    else:
        before = None if old is None else read_number(old, 0, end - 1)
    if after is not None and (after[KEY] != key or after[MOD_REVISION] != revision):
        raise ImportRefused("a change makes what it cannot")
    return revision, key, after, before, cause, link


def read_session(row: Any) -> tuple[Session, int | None]:
    """Return a session and its deadline."""
    if type(row) is not tuple or len(row) != 9:
        raise ImportRefused("a session is no tuple of nine")
    id_, ttl, on_end, lock_delay, bindings, name, meta, created, deadline = row
    for text in (id_, name):
        read_text(text)
    for number in (lock_delay, created):
        read_number(number)
    if not id_ or on_end not in ("release", "delete"):
        raise ImportRefused("a session has no id, or no end")
    if (ttl is None) != (deadline is None):
        raise ImportRefused("a session has a ttl or a deadline alone")
    if ttl is not None:
        read_number(ttl, 1)
        read_number(deadline)
    _check_texts(bindings)
    if type(meta) is not tuple:
        raise ImportRefused("the meta of a session is no tuple")
    for pair in meta:
        _check_texts(pair)
        if len(pair) != 2:
            raise ImportRefused("the meta of a session is not made of pairs")
    return Session(id_, ttl, on_end, lock_delay, bindings, name, meta, created), deadline


def read_pair(row: Any, size: int = KEY_SIZE_LIMIT) -> tuple[str, int]:
    """Return a text and a number."""
    if type(row) is not tuple or len(row) != 2:
        raise ImportRefused("a row is no pair")
    read_text(row[0], size)
    read_number(row[1])
    return cast("tuple[str, int]", row)


def read_mark(row: Any) -> tuple[int, int]:
    """Return a logical time and a sequence."""
    if type(row) is not tuple or len(row) != 2:
        raise ImportRefused("a mark is no pair")
    return read_number(row[0]), read_number(row[1])


def read_quota(row: Any) -> tuple[str, Limits]:
    """Return a prefix and its limits."""
    if type(row) is not tuple or len(row) != 3 or row[1:] == (None, None):
        raise ImportRefused("a quota is no prefix with limits")
    prefix, *limits = row
    read_text(prefix, KEY_SIZE_LIMIT)
    for limit in limits:
        if limit is not None:
            read_number(limit)
    return prefix, (limits[0], limits[1])


def read_number(number: Any, low: int = 0, high: int = INTEGER_MAX) -> int:
    """Return a whole number within bounds."""
    if type(number) is not int or not low <= number <= high:
        raise ImportRefused(f"a number is not {low} to {high}")
    return number


def read_text(text: Any, size: int = NAME_SIZE_MAX) -> str:
    """Return a text of at most `size` bytes."""
    if (refusal := text_fault("text", text, size)) is not None:
        raise ImportRefused(str(refusal))
    return cast("str", text)


def _check_texts(texts: Any) -> None:
    if type(texts) is not tuple:
        raise ImportRefused("texts are no tuple")
    for text in texts:
        read_text(text)
