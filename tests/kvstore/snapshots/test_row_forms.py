"""The rows of a snapshot's sections as bytes, and back."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.codec.wire import pack, pack_list
from kvstore.errors import DecodeError
from kvstore.snapshots.row_forms import decode_rows, encode_rows
from tests.kvstore.messages import POLICY, ROLE, TOKEN

ROWS: dict[str, list[Any]] = {
    "entries": [("a", b"1", 2**64 - 1, 2, 2, 1, (1, "s", 2, "", None), 0)],
    "sessions": [
        ("s", 10, "delete", 15, ("node:a", "check:b"), "n", (("k", "v"), ("l", "")), 4, 20),
        ("t", None, "release", 0, (), "", (), 4, None),
    ],
    "quotas": [("a/", 1, None), ("b/", None, 2)],
    "policies": [POLICY],
    "roles": [ROLE, ROLE],
    "tokens": [TOKEN],
}


@pytest.mark.parametrize("section", ROWS)
def test_rows_come_back_as_they_were(section: str) -> None:
    assert decode_rows(section, b"".join(encode_rows(section, ROWS[section]))) == ROWS[section]
    assert decode_rows(section, b"") == []


def test_each_row_is_an_element_of_its_own() -> None:
    assert list(encode_rows("quotas", ROWS["quotas"])) == [pack(row) for row in ROWS["quotas"]]


SESSION = ("s", None, "release", 0, b"", "", b"", 4, None)


@pytest.mark.parametrize(
    ("section", "payload", "reason"),
    [
        ("entries", b"\xc1", "malformed"),
        ("entries", pack(("a", b"1"))[:-1], "malformed"),
        ("policies", pack(1), "malformed: Policy is no array"),
        ("policies", pack(("",)), "bad-field: Policy: name is empty"),
        ("sessions", pack(1), "malformed: a session is an array"),
        ("sessions", pack(SESSION[:6]), "malformed: a session is an array"),
        ("sessions", pack((*SESSION[:4], "", *SESSION[5:])), "bad-field: a session's bindings"),
        ("sessions", pack((*SESSION[:6], 5, 4)), "bad-field: a session's bindings and meta"),
        ("sessions", pack((*SESSION[:6], b"\xc1", 4)), "malformed"),
    ],
)
def test_what_is_no_row_is_refused_by_its_reason(section: str, payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_rows(section, payload)


def test_a_session_may_have_fields_that_are_not_known() -> None:
    (row,) = decode_rows("sessions", pack_list([(*SESSION, "later")]))

    assert row == ("s", None, "release", 0, (), "", (), 4, None, "later")
