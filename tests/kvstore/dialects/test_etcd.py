"""What our etcd says. Every claim was true of a real one too: tests/interop holds them together."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from kvstore.commands import Put, SessionOpen, SetQuota
from kvstore.dialects.etcd import CONFIG, Etcd
from kvstore.dialects.etcd_messages import (
    Code,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    DeleteRangeResponse,
    EtcdError,
    KeyValue,
    LeaseKeepAliveResponse,
    LeaseTimeToLiveResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from kvstore.dialects.etcd_requests import OPERATIONS_MAX, REQUEST_SIZE_MAX
from kvstore.store import Store

EVERYTHING = RangeRequest(b"\0", b"\0")


def keys(etcd: Etcd) -> list[bytes]:
    return [kv.key for kv in etcd.range(EVERYTHING).kvs]


def send(etcd: Etcd, request: RequestOp) -> object:
    match request:
        case PutRequest():
            return etcd.put(request)
        case RangeRequest():
            return etcd.range(request)
        case DeleteRangeRequest():
            return etcd.delete_range(request)
        case TxnRequest():
            return etcd.txn(request)


def refusal(etcd: Etcd, request: RequestOp) -> tuple[Code, str]:
    """Return what the request is refused with; no key may have changed."""
    before = etcd.range(EVERYTHING)
    with pytest.raises(EtcdError) as refused:
        send(etcd, request)
    assert etcd.range(EVERYTHING) == before
    return refused.value.code, refused.value.message


# --- revisions


def test_an_empty_store_is_at_revision_1_and_the_first_write_makes_2() -> None:
    etcd = Etcd()

    assert etcd.revision == 1
    assert etcd.put(PutRequest(b"a")) == PutResponse(2)


def test_every_write_is_a_revision_even_if_it_changes_nothing() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a", b"1"))

    again = etcd.put(PutRequest(b"a", b"1", prev_kv=True))

    assert again == PutResponse(3, KeyValue(b"a", 2, 2, 1, b"1"))


def test_what_changes_no_key_is_no_revision() -> None:
    etcd = Etcd()
    etcd.lease_grant(10, 1)
    etcd.delete_range(DeleteRangeRequest(b"a"))

    assert etcd.revision == 1


def test_a_key_that_comes_back_begins_anew() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))
    etcd.delete_range(DeleteRangeRequest(b"a"))
    etcd.put(PutRequest(b"a"))

    assert etcd.range(RangeRequest(b"a")).kvs == (KeyValue(b"a", 4, 4, 1),)


def test_changes_by_others_are_revisions_too() -> None:
    etcd = Etcd()
    etcd.store.apply(Put("a", b"1"))
    etcd.store.apply(SessionOpen())
    etcd.store.apply(Put("a", b"2"))

    assert etcd.range(RangeRequest(b"a")).kvs == (KeyValue(b"a", 2, 3, 2, b"2"),)


def test_a_store_with_a_forgotten_past_keeps_its_numbers_in_order() -> None:
    store = Store(CONFIG)
    for value in range(5):
        store.apply(Put("a", b"%d" % value))
    first = Etcd(store)
    first.compact(first.revision)

    (kv,) = Etcd(store).range(RangeRequest(b"a")).kvs

    second = Etcd(store)
    compare = TxnRequest((Compare(b"a", "CREATE", "EQUAL", 1), Compare(b"a", "MOD", "EQUAL", 5)))

    assert (kv.create_revision, kv.mod_revision, kv.version) == (1, 5, 5)
    assert second.txn(compare).succeeded


def test_a_later_facade_refuses_what_an_earlier_one_compacted() -> None:
    first = Etcd()
    for _ in range(4):
        first.put(PutRequest(b"a"))
    first.compact(4)

    second = Etcd(first.store)

    assert second.compacted_revision > 0
    assert refusal(second, RangeRequest(b"a", revision=1))[0] is Code.OUT_OF_RANGE


# --- keys


@pytest.mark.parametrize(
    "key", [b"a", b"\0", b"\0\0", b"\x01", b"\x01\0", b"\0\x01", b"\x01\x02", b"\xff\x00\xfe"]
)
def test_a_key_may_be_any_bytes(key: bytes) -> None:
    etcd = Etcd()
    etcd.put(PutRequest(key, b"1"))

    assert keys(etcd) == [key]
    assert etcd.range(RangeRequest(key)).count == 1


def test_keys_are_in_the_order_of_their_bytes() -> None:
    etcd = Etcd()
    every = [
        b"\0",
        b"\0\0",
        b"\0\x01",
        b"\x01",
        b"\x01\x01",
        b"\x02",
        b"a",
        b"a\0",
        b"a\x01",
        b"\x80",
    ]
    for key in reversed(every):
        etcd.put(PutRequest(key))

    assert keys(etcd) == sorted(every) == every


def test_a_key_of_another_writers_alphabet_is_told_in_utf_8() -> None:
    etcd = Etcd()
    etcd.store.apply(Put("日本"))

    assert keys(etcd) == ["日本".encode()]


def test_one_key_is_not_the_keys_that_begin_with_it() -> None:
    etcd = Etcd()
    for key in (b"a", b"a\0", b"a\x01", b"ab"):
        etcd.put(PutRequest(key))

    assert etcd.delete_range(DeleteRangeRequest(b"a")).deleted == 1


# --- range


def test_a_range_tells_its_count_whatever_the_limit() -> None:
    etcd = Etcd()
    for key in (b"a", b"b", b"c"):
        etcd.put(PutRequest(key))

    answer = etcd.range(RangeRequest(b"a", b"c", limit=1))

    assert answer == RangeResponse(4, (KeyValue(b"a", 2, 2, 1),), more=True, count=2)


def test_a_count_has_no_keys() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))

    assert etcd.range(RangeRequest(b"a", b"\0", count_only=True)) == RangeResponse(2, count=1)


@pytest.mark.parametrize("target", ["VERSION", "CREATE", "MOD", "VALUE"])
def test_a_limit_of_what_is_sorted_tells_that_there_is_more(target: Any) -> None:
    etcd = Etcd()
    for key in (b"c", b"b", b"a"):
        etcd.put(PutRequest(key, key))

    request = RangeRequest(b"a", b"\0", limit=2, sort_order="ASCEND", sort_target=target)
    whole = attrs.evolve(request, limit=3)

    assert (etcd.range(request).more, etcd.range(whole).more) == (True, False)
    assert len(etcd.range(request).kvs) == 2


def test_a_target_without_an_order_sorts_the_keys_that_the_limit_lets_through() -> None:
    etcd = Etcd()
    for key, value in ((b"a", b"3"), (b"b", b"2"), (b"c", b"1")):
        etcd.put(PutRequest(key, value))

    request = RangeRequest(b"a", b"\0", limit=1, sort_target="VALUE")
    cut = etcd.range(request)
    blank = etcd.range(attrs.evolve(request, keys_only=True))
    counted = etcd.range(attrs.evolve(request, count_only=True))
    filtered = etcd.range(attrs.evolve(request, min_mod_revision=1))

    assert [one.value for one in cut.kvs] == [b"2"]  # of a and b, not of all
    assert [(one.key, one.value) for one in blank.kvs] == [(b"b", b"")]
    assert [one.value for one in filtered.kvs] == [b"1"]
    assert (cut.more, blank.more, filtered.more, counted.count) == (True, True, True, 3)


def test_a_range_is_sorted_by_what_was_asked() -> None:
    etcd = Etcd()
    for key, value in ((b"a", b"2"), (b"b", b"3"), (b"c", b"1")):
        etcd.put(PutRequest(key, value))

    answer = etcd.range(RangeRequest(b"a", b"\0", sort_order="DESCEND", sort_target="VALUE"))

    assert [kv.key for kv in answer.kvs] == [b"b", b"a", b"c"]


def test_a_range_leaves_out_what_is_older_or_newer() -> None:
    etcd = Etcd()
    for key in (b"a", b"b", b"c"):
        etcd.put(PutRequest(key))

    answer = etcd.range(
        RangeRequest(b"a", b"\0", min_mod_revision=3, max_create_revision=3, keys_only=True)
    )

    assert [kv.key for kv in answer.kvs] == [b"b"]


def test_the_past_can_be_read_until_it_is_compacted() -> None:
    etcd = Etcd()
    for value in (b"1", b"2", b"3"):
        etcd.put(PutRequest(b"a", value))
    assert etcd.range(RangeRequest(b"a", revision=2)).kvs[0].value == b"1"

    etcd.compact(3)

    assert etcd.range(RangeRequest(b"a", revision=3)).kvs[0].value == b"2"
    assert refusal(etcd, RangeRequest(b"a", revision=2)) == (
        Code.OUT_OF_RANGE,
        "etcdserver: mvcc: required revision has been compacted",
    )


def test_the_future_cannot_be_read() -> None:
    assert refusal(Etcd(), RangeRequest(b"a", revision=2)) == (
        Code.OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
    )


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        (0, "etcdserver: mvcc: required revision has been compacted"),
        (1, "etcdserver: mvcc: required revision has been compacted"),
        (9, "etcdserver: mvcc: required revision is a future revision"),
    ],
)
def test_a_compaction_goes_forward_only_and_not_too_far(revision: int, message: str) -> None:
    etcd = Etcd()
    etcd.compact(1)

    with pytest.raises(EtcdError) as refused:
        etcd.compact(revision)

    assert refused.value.message == message


# --- what is wrong with a request


@pytest.mark.parametrize(
    "request_",
    [PutRequest(b""), RangeRequest(b""), DeleteRangeRequest(b""), TxnRequest((Compare(b""),))],
)
def test_a_key_must_be_given(request_: RequestOp) -> None:
    assert refusal(Etcd(), request_) == (
        Code.INVALID_ARGUMENT,
        "etcdserver: key is not provided",
    )


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (PutRequest(b"a", b"1", ignore_value=True), 3, "value is provided"),
        (PutRequest(b"a", lease=1, ignore_lease=True), 3, "lease is provided"),
        (PutRequest(b"a", ignore_value=True), 3, "key not found"),
        (PutRequest(b"a", ignore_lease=True), 3, "key not found"),
        (PutRequest(b"a", lease=1), 5, "requested lease not found"),
        (PutRequest(b"a", lease=1, ignore_value=True), 5, "requested lease not found"),
        (TxnRequest(success=(PutRequest(b"a", lease=1),)), 5, "requested lease not found"),
        (PutRequest(b"a", bytes(REQUEST_SIZE_MAX)), 3, "request is too large"),
    ],
)
def test_a_contradiction_is_refused(request_: RequestOp, code: int, message: str) -> None:
    assert refusal(Etcd(), request_) == (code, f"etcdserver: {message}")


def test_what_etcd_has_no_words_for_is_told_in_the_stores() -> None:
    etcd = Etcd()
    etcd.store.apply(SetQuota("", max_keys=0))

    code, message = refusal(etcd, PutRequest(b"a"))

    assert code is Code.FAILED_PRECONDITION
    assert message.startswith("kvstore: ")


# --- transactions


@pytest.mark.parametrize(
    ("target", "result", "value", "holds"),
    [
        ("VERSION", "EQUAL", 2, True),
        ("VERSION", "GREATER", 1, True),
        ("CREATE", "LESS", 3, True),
        ("CREATE", "EQUAL", 1, False),
        ("MOD", "EQUAL", 3, True),
        ("MOD", "NOT_EQUAL", 3, False),
        ("MOD", "LESS", 99, True),
        ("MOD", "GREATER", -1, True),
        ("MOD", "EQUAL", -1, False),
        ("VALUE", "EQUAL", b"2", True),
        ("LEASE", "EQUAL", 0, True),
        ("LEASE", "LESS", 1, True),
    ],
)
def test_a_comparison_chooses_the_branch(
    target: CompareTarget, result: CompareResult, value: int | bytes, holds: bool
) -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a", b"1"))
    etcd.put(PutRequest(b"a", b"2"))

    answer = etcd.txn(TxnRequest((Compare(b"a", target, result, value),)))

    assert answer == TxnResponse(3, succeeded=holds)


@pytest.mark.parametrize(
    ("target", "result", "value", "holds"),
    [
        ("VERSION", "EQUAL", 0, True),
        ("MOD", "EQUAL", 1, False),
        ("VALUE", "NOT_EQUAL", b"1", False),
    ],
)
def test_an_absent_key_has_stamps_of_0_and_no_value(
    target: CompareTarget, result: CompareResult, value: int | bytes, holds: bool
) -> None:
    answer = Etcd().txn(TxnRequest((Compare(b"a", target, result, value),)))

    assert answer.succeeded is holds


def test_a_comparison_may_be_of_a_range() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))
    etcd.put(PutRequest(b"b"))

    one = etcd.txn(TxnRequest((Compare(b"a", "VERSION", "EQUAL", 1, b"\0"),)))
    etcd.put(PutRequest(b"b"))
    other = etcd.txn(TxnRequest((Compare(b"a", "VERSION", "EQUAL", 1, b"\0"),)))

    assert (one.succeeded, other.succeeded) == (True, False)


def test_a_transaction_is_one_revision_and_its_reads_see_its_writes() -> None:
    etcd = Etcd()
    read = RangeRequest(b"a")

    answer = etcd.txn(TxnRequest(success=(read, PutRequest(b"a", b"1"), read)))

    assert answer == TxnResponse(
        2,
        True,
        (
            RangeResponse(1),
            PutResponse(2),
            RangeResponse(2, (KeyValue(b"a", 2, 2, 1, b"1"),), count=1),
        ),
    )


def test_a_transaction_may_hold_others() -> None:
    etcd = Etcd()
    inner = TxnRequest((Compare(b"a"),), (PutRequest(b"a"),), (DeleteRangeRequest(b"a"),))

    first = etcd.txn(TxnRequest(success=(inner,)))
    second = etcd.txn(TxnRequest(success=(inner,)))

    assert first.responses == (TxnResponse(0, True, (PutResponse(2),)),)
    assert second.responses == (TxnResponse(0, False, (DeleteRangeResponse(3, 1),)),)


def test_keeping_a_lease_works_in_a_transaction_too() -> None:
    etcd = Etcd()
    etcd.lease_grant(10, 1)
    etcd.put(PutRequest(b"a", b"1", lease=1))

    keep = PutRequest(b"a", b"2", ignore_lease=True, prev_kv=True)
    answer = etcd.txn(TxnRequest(success=(keep,)))

    assert answer.responses == (PutResponse(3, KeyValue(b"a", 2, 2, 1, b"1", 1)),)
    assert etcd.range(RangeRequest(b"a")).kvs[0].lease == 1


A, A_TO_C = PutRequest(b"a"), DeleteRangeRequest(b"a", b"c")


@pytest.mark.parametrize(
    "operations",
    [
        (A, A),
        (A, A_TO_C),
        (A, DeleteRangeRequest(b"\0", b"\0")),
        (A, TxnRequest(success=(A,))),
        (A, TxnRequest(failure=(A,))),
        (TxnRequest(success=(A,)), TxnRequest(success=(A,))),
        (A_TO_C, TxnRequest(success=(A,))),
        (A, TxnRequest(success=(A_TO_C,))),
    ],
)
def test_no_key_is_put_twice_nor_put_and_deleted(operations: tuple[RequestOp, ...]) -> None:
    assert refusal(Etcd(), TxnRequest(success=operations)) == (
        Code.INVALID_ARGUMENT,
        "etcdserver: duplicate key given in txn request",
    )


@pytest.mark.parametrize(
    "operations",
    [
        (A_TO_C, A_TO_C),
        (TxnRequest(success=(A,), failure=(A,)),),
        (PutRequest(b"c"), A_TO_C),
    ],
)
def test_what_excludes_each_other_is_no_duplicate(operations: tuple[RequestOp, ...]) -> None:
    assert Etcd().txn(TxnRequest(success=operations)).succeeded


@pytest.mark.parametrize(
    "request_",
    [
        TxnRequest(success=tuple(map(RangeRequest, [b"a"] * (OPERATIONS_MAX + 1)))),
        TxnRequest((Compare(b"a"),) * (OPERATIONS_MAX + 1)),
        TxnRequest(
            (Compare(b"a"),) * OPERATIONS_MAX,
            failure=(TxnRequest(success=(RangeRequest(b"a"),)),),
        ),
    ],
)
def test_a_transaction_has_a_budget_of_operations(request_: TxnRequest) -> None:
    assert refusal(Etcd(), request_)[1] == "etcdserver: too many operations in txn request"


def test_writes_are_judged_before_reads() -> None:
    request = TxnRequest(success=(RangeRequest(b"a", revision=9), PutRequest(b"a", lease=9)))

    assert refusal(Etcd(), request)[1] == "etcdserver: requested lease not found"


def test_a_transaction_cannot_read_its_own_revision_by_number() -> None:
    request = TxnRequest(success=(PutRequest(b"a"), RangeRequest(b"a", revision=2)))

    assert refusal(Etcd(), request)[0] is Code.OUT_OF_RANGE


# --- leases


def test_a_lease_has_an_id_of_its_own_if_none_is_given() -> None:
    etcd = Etcd()

    one, two = etcd.lease_grant(10), etcd.lease_grant(10)

    assert one.id != two.id
    assert etcd.lease_leases().leases == (one.id, two.id)


def test_a_short_lease_is_raised_to_the_minimum() -> None:
    assert Etcd().lease_grant(-5, 1).ttl == 2
    assert Etcd(lease_ttl_min=7).lease_grant(1, 1).ttl == 7


@pytest.mark.parametrize(
    ("ttl", "code", "message"),
    [
        (9_000_000_001, 11, "etcdserver: too large lease TTL"),
        (10, 9, "etcdserver: lease already exists"),
    ],
)
def test_a_lease_is_refused(ttl: int, code: int, message: str) -> None:
    etcd = Etcd()
    etcd.lease_grant(10, 1)

    with pytest.raises(EtcdError) as refused:
        etcd.lease_grant(ttl, 1)

    assert (refused.value.code, refused.value.message) == (code, message)


def test_a_minimum_below_a_second_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="lease_ttl_min"):
        Etcd(lease_ttl_min=0)


@pytest.mark.parametrize("lease", [1, 2**63 - 1, -3])
def test_a_revoked_lease_takes_its_keys(lease: int) -> None:
    etcd = Etcd()
    etcd.lease_grant(10, lease)
    etcd.put(PutRequest(b"a", lease=lease))
    etcd.put(PutRequest(b"b", lease=lease))
    assert etcd.lease_time_to_live(lease, keys=True).keys == (b"a", b"b")

    assert etcd.lease_revoke(lease).revision == 4
    assert keys(etcd) == []
    with pytest.raises(EtcdError) as refused:
        etcd.lease_revoke(lease)
    assert refused.value.message == "etcdserver: requested lease not found"


def test_a_write_without_a_lease_detaches_the_key() -> None:
    etcd = Etcd()
    etcd.lease_grant(10, 1)
    etcd.put(PutRequest(b"a", lease=1))
    etcd.put(PutRequest(b"a"))

    etcd.lease_revoke(1)

    assert keys(etcd) == [b"a"]


def test_a_lease_lasts_as_long_as_it_is_kept_alive() -> None:
    etcd = Etcd()
    etcd.lease_grant(10, 1, now=0)
    etcd.put(PutRequest(b"a", lease=1), now=4_000)
    assert etcd.lease_time_to_live(1) == LeaseTimeToLiveResponse(2, 1, 6, 10)
    assert etcd.lease_keep_alive(1, now=9_000) == LeaseKeepAliveResponse(2, 1, 10)

    assert etcd.tick(18_999) == ()
    assert etcd.tick(19_000) == (1,)
    assert keys(etcd) == []


def test_an_unknown_lease_has_no_time() -> None:
    etcd = Etcd()

    assert etcd.lease_keep_alive(1) == LeaseKeepAliveResponse(1, 1, 0)
    assert etcd.lease_time_to_live(1) == LeaseTimeToLiveResponse(1, 1, -1)


def test_a_tick_ends_all_that_is_due_however_much_that_is() -> None:
    etcd = Etcd()
    for lease in range(1, 1_502):
        etcd.lease_grant(2, lease, now=0)

    assert len(etcd.tick(5_000)) == 1_501
