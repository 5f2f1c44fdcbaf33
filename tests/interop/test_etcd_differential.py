"""Our etcd beside a real one: the same requests, the same answers, revisions and events included.

What may differ stands in kvstore/dialects/etcd.py and in the README's table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from kvstore.dialects.etcd import Etcd
from kvstore.dialects.etcd_messages import (
    Compare,
    DeleteRangeRequest,
    EtcdError,
    LeaseTimeToLiveResponse,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseOp,
    TxnRequest,
    WatchCreateRequest,
    WatchEvent,
    WatchResponse,
)
from kvstore.dialects.etcd_watches import WatchStream
from tests.interop import servers
from tests.interop.agents import until
from tests.interop.real_etcd import RealEtcd

pytestmark = pytest.mark.interop

# Six at most: what etcd sorts unstably are longer answers.
KEYS = (b"a", b"a/b", b"a0", b"b\x00", b"b\xff")

keys = st.sampled_from(KEYS)
ends = st.sampled_from((b"", b"", b"\0", b"a\0", b"b", b"a", b"zz"))
values = st.sampled_from((b"", b"1", b"2", b"\xff\0"))
revisions = st.integers(0, 12)
leases = st.sampled_from((0, 0, 0, 1, 2, 3))
flag = st.booleans()

puts = st.builds(
    PutRequest,
    keys,
    values,
    lease=leases,
    prev_kv=flag,
    ignore_value=st.sampled_from((False, False, False, True)),
    ignore_lease=st.sampled_from((False, False, False, True)),
)
deletes = st.builds(DeleteRangeRequest, keys, ends, prev_kv=flag)
ranges = st.builds(
    RangeRequest,
    st.one_of(keys, st.just(b"\0")),
    ends,
    limit=st.integers(0, 3),
    revision=st.one_of(st.just(0), revisions),
    sort_order=st.sampled_from(("NONE", "ASCEND", "DESCEND")),
    sort_target=st.sampled_from(("KEY", "VERSION", "CREATE", "MOD", "VALUE")),
    keys_only=flag,
    count_only=flag,
    min_mod_revision=st.one_of(st.just(0), revisions),
    max_mod_revision=st.one_of(st.just(0), revisions),
    min_create_revision=st.one_of(st.just(0), revisions),
    max_create_revision=st.one_of(st.just(0), revisions),
)
results = st.sampled_from(("EQUAL", "GREATER", "LESS", "NOT_EQUAL"))
compares = st.one_of(
    st.builds(
        Compare,
        keys,
        st.sampled_from(("VERSION", "CREATE", "MOD")),
        results,
        st.integers(-1, 9),
        ends,
    ),
    st.builds(Compare, keys, st.just("VALUE"), results, values, ends),
    st.builds(Compare, keys, st.just("LEASE"), results, leases, ends),
)


def transactions(operation: st.SearchStrategy[RequestOp]) -> st.SearchStrategy[TxnRequest]:
    branch = st.lists(operation, max_size=4).map(tuple)
    return st.builds(TxnRequest, st.lists(compares, max_size=2).map(tuple), branch, branch)


single = st.one_of(puts, ranges, deletes)
requests: st.SearchStrategy[RequestOp] = st.one_of(
    puts, deletes, ranges, transactions(st.one_of(single, single, transactions(single)))
)

Step = tuple[str, Any]

steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("call"), requests),
    st.tuples(st.just("call"), requests),
    st.tuples(st.just("call"), requests),
    st.tuples(st.just("grant"), st.tuples(st.sampled_from((-1, 60, 100)), st.integers(1, 3))),
    st.tuples(st.just("revoke"), st.integers(1, 3)),
    st.tuples(st.just("keep alive"), st.integers(1, 3)),
    st.tuples(st.just("time to live"), st.integers(1, 3)),
    st.tuples(st.just("compact"), st.integers(1, 12)),
)

#: What most logs go on from, so that fewer are refused for want of keys, leases and revisions.
PRELUDE: tuple[Step, ...] = (
    ("grant", (60, 1)),
    ("grant", (100, 2)),
    *(("call", PutRequest(key, b"1", lease=number % 3)) for number, key in enumerate(KEYS)),
    ("call", DeleteRangeRequest(KEYS[0])),
)


def call(etcd: Etcd, request: RequestOp) -> ResponseOp:
    match request:
        case PutRequest():
            return etcd.put(request)
        case RangeRequest():
            return etcd.range(request)
        case DeleteRangeRequest():
            return etcd.delete_range(request)
        case TxnRequest():
            return etcd.txn(request)


def full_time(answer: LeaseTimeToLiveResponse) -> LeaseTimeToLiveResponse:
    """Leave out the seconds that are left, which pass on one side only."""
    left = -1 if answer.ttl == -1 else answer.granted_ttl
    return attrs.evolve(answer, ttl=left)


def ours_does(etcd: Etcd, step: Step) -> object:
    match step:
        case "call", request:
            return call(etcd, request)
        case "grant", (ttl, lease):
            return etcd.lease_grant(ttl, lease)
        case "revoke", lease:
            return etcd.lease_revoke(lease)
        case "keep alive", lease:
            return etcd.lease_keep_alive(lease)
        case "time to live", lease:
            return full_time(etcd.lease_time_to_live(lease, keys=True))
        case "compact", revision:
            return etcd.compact(revision)
    raise AssertionError(step)


def theirs_does(real: RealEtcd, step: Step) -> object:
    match step:
        case "call", request:
            return real.call(request)
        case "grant", (ttl, lease):
            return real.lease_grant(ttl, lease)
        case "revoke", lease:
            return real.lease_revoke(lease)
        case "keep alive", lease:
            return real.lease_keep_alive(lease)
        case "time to live", lease:
            return real.lease_time_to_live(lease)
        case "compact", revision:
            return real.compact(revision)
    raise AssertionError(step)


def outcome(does: Callable[[], object]) -> object:
    try:
        return does()
    except EtcdError as refused:
        return refused.code, refused.message


@settings(suppress_health_check=list(HealthCheck))
@given(
    log=st.lists(steps, min_size=10, max_size=40),
    prelude=st.sampled_from((True, True, True, False)),
)
def test_every_answer_is_etcds(etcd: servers.Etcd, log: list[Step], prelude: bool) -> None:
    ours = Etcd()
    with closing(RealEtcd(etcd)) as real:
        for step in (*(PRELUDE if prelude else ()), *log):
            expected = outcome(lambda step=step: theirs_does(real, step))  # type: ignore[misc]
            actual = outcome(lambda step=step: ours_does(ours, step))  # type: ignore[misc]

            what = step[0] if step[0] != "call" else type(step[1]).__name__
            event(f"{what}: {'refused' if isinstance(expected, tuple) else 'done'}")
            assert actual == expected, step


def events_of(responses: Iterable[WatchResponse], lost_at: int) -> list[WatchEvent | int]:
    """Return what a watch was told, and the compacted revision if that ended it.

    Deletions at `lost_at` are left out: etcd 3.4 loses them if it was compacted there.
    """
    told: list[WatchEvent | int] = []
    for response in responses:
        told += [
            one for one in response.events if one.type == "PUT" or one.kv.mod_revision != lost_at
        ]
        if response.canceled:
            told.append(response.compact_revision)
    return told


def polled(stream: WatchStream) -> Iterator[WatchResponse]:
    while (response := stream.poll()) is not None:
        yield response


watched = st.sampled_from(
    [(key, b"") for key in KEYS]
    + [(key, b"\0") for key in KEYS]
    + [(key, b"b") for key in KEYS if key < b"b"]
)


@settings(suppress_health_check=list(HealthCheck))
@given(
    log=st.lists(
        st.one_of(puts.map(lambda put: attrs.evolve(put, lease=0)), deletes),
        min_size=3,
        max_size=15,
    ),
    compact=st.integers(1, 8),
    start=st.integers(1, 14),
    watched=watched,
    filters=st.sampled_from(((), ("NOPUT",), ("NODELETE",))),
    prev_kv=flag,
)
def test_every_watch_is_told_what_etcd_tells(
    etcd: servers.Etcd,
    log: list[RequestOp],
    compact: int,
    start: int,
    watched: tuple[bytes, bytes],
    **options: Any,
) -> None:
    real, ours = RealEtcd(etcd), Etcd()
    key, end = watched
    for one in (*log, PutRequest(key, b"end")):
        outcome(lambda one=one: real.call(one))  # type: ignore[misc]
        outcome(lambda one=one: call(ours, one))  # type: ignore[misc]
    compacted = outcome(lambda: ours.compact(compact))
    assert compacted == outcome(lambda: real.compact(compact))
    if "NOPUT" in options["filters"]:
        assert call(ours, DeleteRangeRequest(key)) == real.call(DeleteRangeRequest(key))
    start = min(start, ours.revision)
    request = WatchCreateRequest(key, end, start_revision=start, **options)
    lost_at = 0 if isinstance(compacted, tuple) else compact

    stream = ours.watch()
    stream.create(request)
    expected = events_of(real.watch(request, ours.revision), lost_at)
    actual = events_of(polled(stream), lost_at)

    event("nothing is compacted" if not lost_at else "something is compacted")
    event("ended by compaction" if expected and isinstance(expected[-1], int) else "told")
    assert actual == expected


def test_a_watch_of_an_empty_range_is_refused_in_etcds_words(etcd: servers.Etcd) -> None:
    request = WatchCreateRequest(b"b", b"a")
    stream = Etcd().watch()

    stream.create(request)
    expected = next(RealEtcd(etcd).watch(request, 0))

    assert stream.poll() == expected


def test_a_lease_that_ends_takes_its_keys_as_etcds_does(etcd: servers.Etcd) -> None:
    real, ours = RealEtcd(etcd), Etcd()
    assert ours.lease_grant(1, 1, now=0) == real.lease_grant(1, 1)
    for key in (b"b", b"a"):
        put = PutRequest(key, b"1", lease=1)
        assert call(ours, put) == real.call(put)

    assert ours.tick(2_000) == (1,)
    until(lambda: not real.call(RangeRequest(b"a", b"\0", count_only=True)).count)  # type: ignore[union-attr]
    watch = WatchCreateRequest(b"a", b"\0", start_revision=4)
    stream = ours.watch()
    stream.create(watch)

    assert events_of(polled(stream), 0) == events_of(real.watch(watch, 4), 0)
