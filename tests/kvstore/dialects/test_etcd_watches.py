"""What watches of our etcd are told."""

from __future__ import annotations

import pytest

from kvstore.dialects.etcd import Etcd
from kvstore.dialects.etcd_messages import (
    DeleteRangeRequest,
    FilterType,
    KeyValue,
    PutRequest,
    TxnRequest,
    WatchCreateRequest,
    WatchEvent,
    WatchResponse,
)
from kvstore.dialects.etcd_watches import BATCH_REVISIONS, NO_WATCH, WatchStream


def polled(stream: WatchStream) -> list[WatchResponse]:
    """Return everything that there is to tell."""
    responses = []
    while (response := stream.poll()) is not None:
        responses.append(response)
    return responses


def put_event(key: bytes, revision: int) -> WatchEvent:
    return WatchEvent("PUT", KeyValue(key, revision, revision, 1))


def test_a_watch_is_told_what_happens_from_now_on() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))
    stream = etcd.watch()
    watch = stream.create(WatchCreateRequest(b"a", b"\0"))

    etcd.put(PutRequest(b"b"))

    assert polled(stream) == [
        WatchResponse(2, watch, created=True),
        WatchResponse(3, watch, events=(put_event(b"b", 3),)),
    ]


def test_a_watch_may_begin_in_the_past() -> None:
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))
    etcd.delete_range(DeleteRangeRequest(b"a"))
    stream = etcd.watch()
    stream.create(WatchCreateRequest(b"a", start_revision=2, prev_kv=True))

    events = polled(stream)[-1].events

    assert events == (
        put_event(b"a", 2),
        WatchEvent("DELETE", KeyValue(b"a", mod_revision=3), KeyValue(b"a", 2, 2, 1)),
    )


def test_a_watch_may_begin_in_the_future() -> None:
    etcd = Etcd()
    stream = etcd.watch()
    watch = stream.create(WatchCreateRequest(b"a", b"\0", start_revision=3))

    etcd.put(PutRequest(b"a"))
    early = polled(stream)
    etcd.put(PutRequest(b"b"))

    assert early == [WatchResponse(1, watch, created=True)]
    assert polled(stream) == [WatchResponse(3, watch, events=(put_event(b"b", 3),))]


@pytest.mark.parametrize(("kind", "types"), [("NOPUT", ["DELETE"]), ("NODELETE", ["PUT"])])
def test_a_watch_is_spared_what_it_filters(kind: FilterType, types: list[str]) -> None:
    etcd = Etcd()
    stream = etcd.watch()
    stream.create(WatchCreateRequest(b"a", b"b", filters=(kind,)))

    etcd.put(PutRequest(b"b"))
    assert polled(stream) == [WatchResponse(1, 0, created=True)]
    etcd.put(PutRequest(b"a"))
    etcd.delete_range(DeleteRangeRequest(b"a"))

    assert [event.type for event in polled(stream)[-1].events] == types


def test_the_changes_of_one_revision_are_told_together() -> None:
    etcd = Etcd()
    stream = etcd.watch()
    stream.create(WatchCreateRequest(b"a", b"\0"))
    etcd.txn(TxnRequest(success=(PutRequest(b"b"), PutRequest(b"a"))))

    assert polled(stream)[-1].events == (put_event(b"b", 2), put_event(b"a", 2))


def test_a_long_past_is_told_in_pieces_of_whole_revisions() -> None:
    etcd = Etcd()
    stream = etcd.watch()
    stream.create(WatchCreateRequest(b"a", b"\0"))
    for _ in range(BATCH_REVISIONS + 1):
        etcd.put(PutRequest(b"a"))

    _, first, second = polled(stream)

    assert (len(first.events), len(second.events)) == (BATCH_REVISIONS, 1)


def test_a_watch_whose_past_is_compacted_ends() -> None:
    etcd = Etcd()
    for _ in range(3):
        etcd.put(PutRequest(b"a"))
    stream = etcd.watch()
    watch = stream.create(WatchCreateRequest(b"a", start_revision=2))
    etcd.compact(4)

    assert polled(stream) == [
        WatchResponse(4, watch, created=True),
        WatchResponse(0, watch, canceled=True, compact_revision=4),
    ]
    etcd.put(PutRequest(b"a"))
    assert polled(stream) == []


def test_a_deletion_at_the_compacted_revision_is_told() -> None:
    """etcd issue 18089: version 3.4 loses it."""
    etcd = Etcd()
    etcd.put(PutRequest(b"a"))
    etcd.delete_range(DeleteRangeRequest(b"a"))
    etcd.compact(3)
    stream = etcd.watch()
    stream.create(WatchCreateRequest(b"a", start_revision=3, prev_kv=True))

    (event,) = polled(stream)[-1].events

    assert event == WatchEvent("DELETE", KeyValue(b"a", mod_revision=3))


def test_a_cancelled_watch_is_told_so_and_nothing_more() -> None:
    etcd = Etcd()
    stream = etcd.watch()
    watch = stream.create(WatchCreateRequest(b"a"))
    stream.cancel(watch)
    stream.cancel(watch)
    etcd.put(PutRequest(b"a"))

    assert polled(stream)[1:] == [WatchResponse(1, watch, canceled=True)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (WatchCreateRequest(b"b", b"a"), "mvcc: watcher range is empty"),
        (
            WatchCreateRequest(b"a", watch_id=7),
            "mvcc: duplicate watch ID provided on the WatchStream",
        ),
    ],
)
def test_a_watch_may_be_refused(request_: WatchCreateRequest, reason: str) -> None:
    stream = Etcd().watch()
    stream.create(WatchCreateRequest(b"a", watch_id=7))
    stream.poll()

    assert stream.create(request_) == NO_WATCH
    assert stream.poll() == WatchResponse(
        1, NO_WATCH, created=True, canceled=True, cancel_reason=reason
    )


def test_watches_are_numbered_from_0_where_a_number_is_free() -> None:
    stream = Etcd().watch()

    assert stream.create(WatchCreateRequest(b"a")) == 0
    assert stream.create(WatchCreateRequest(b"a", watch_id=1)) == 1
    assert stream.create(WatchCreateRequest(b"a")) == 2
    stream.cancel(0)
    stream.cancel(2)
    assert stream.create(WatchCreateRequest(b"a")) == 3


def test_progress_comes_behind_all_that_happened_before() -> None:
    etcd = Etcd()
    stream = etcd.watch()
    watch = stream.create(WatchCreateRequest(b"a"))
    stream.poll()
    etcd.put(PutRequest(b"a"))
    stream.progress()

    assert polled(stream) == [
        WatchResponse(2, watch, events=(put_event(b"a", 2),)),
        WatchResponse(2, NO_WATCH),
    ]
