"""Refusals: each has a code of its own and explains itself in a sentence."""

from __future__ import annotations

import pytest

from kvstore import refusals
from kvstore.entry import Entry
from kvstore.refusals import (
    BadTtl,
    CasMismatch,
    CheckFailed,
    Compacted,
    Delayed,
    Denied,
    Exists,
    Future,
    Held,
    Malformed,
    NoSession,
    NotFound,
    NotHeld,
    OverAlready,
    QuotaExceeded,
    Refusal,
    SessionExists,
    TooDeep,
    TooLarge,
    TooManyOperations,
    TxnError,
    TxnFailed,
    Unsupported,
    VersionMismatch,
)

ENTRY = Entry("a", b"1", 0, 3, 7, 2)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (CasMismatch("a", 5, ENTRY), "'a' is at revision 7, not 5"),
        (CasMismatch("a", 5, None), "'a' is at revision 0, not 5"),
        (VersionMismatch("a", 5, ENTRY), "'a' has version 2, not 5"),
        (VersionMismatch("a", 5, None), "'a' has version 0, not 5"),
        (Exists(ENTRY), "'a' exists since revision 3"),
        (NotFound("a"), "'a' does not exist"),
        (Held("a", "s", 9), "'a' is held by session 's' since revision 9"),
        (Delayed("a", 1500, 1000), "'a' cannot be locked for another 500 ms"),
        (NotHeld("a", ""), "'a' is not locked"),
        (NotHeld("a", "s"), "'a' is held by session 's'"),
        (NoSession("s"), "there is no session 's'"),
        (SessionExists("s"), "session 's' exists"),
        (BadTtl(5, 10, 20), "a ttl of 5 ms is not within 10 to 20 ms"),
        (CheckFailed("a", None), "the check of 'a' failed"),
        (Compacted(3, 5), "revision 3 is compacted, the oldest kept is 5"),
        (Future(9, 5), "revision 9 is in the future, the newest is 5"),
        (TooLarge("value", 11, 10), "value has a size of 11, the limit is 10"),
        (
            QuotaExceeded("a/", "keys", 5, 7),
            "'a/' would hold 7 keys, 2 more than its quota of 5",
        ),
        (OverAlready("a/", "bytes", 5, 7), "'a/' holds 7 bytes already, over 5"),
        (Denied("put", "a", "key write on 'a' is denied"), "key write on 'a' is denied"),
        (TooManyOperations(128, 200), "a transaction of 200 operations, the limit is 128"),
        (TooDeep(8), "transactions are nested deeper than 8 levels"),
        (Malformed("ttl", "must be 1 or more"), "ttl must be 1 or more"),
        (Unsupported("Put/9", "newer"), "Put/9 is not supported: newer"),
        (
            TxnFailed((TxnError(("then", 2, "otherwise", 0), NotFound("a")),)),
            "then.2.otherwise.0: 'a' does not exist",
        ),
    ],
)
def test_a_refusal_reads_as_a_sentence(refusal: Refusal, sentence: str) -> None:
    assert str(refusal) == sentence


def test_every_refusal_has_a_code_of_its_own() -> None:
    kinds = [
        one
        for one in vars(refusals).values()
        if isinstance(one, type) and issubclass(one, Refusal) and one is not Refusal
    ]

    assert len({kind.code for kind in kinds}) == len(kinds) > 20
    assert TxnError(("then", 0), NotFound("a")).code == "not_found"
    assert QuotaExceeded("a", "keys", 5, 7).over_by == 2
