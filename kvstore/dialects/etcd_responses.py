"""What the store answers, as etcd would say it.

Source: etcd server/etcdserver/apply.go, api/v3rpc/rpctypes/error.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Final, assert_never

import attrs

from kvstore.change import Event
from kvstore.dialects.etcd_keys import Revisions, lease_of, to_bytes
from kvstore.dialects.etcd_messages import (
    Code,
    DeleteRangeRequest,
    DeleteRangeResponse,
    EtcdError,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
    WatchEvent,
)
from kvstore.dialects.etcd_requests import sorts_first_keys_only
from kvstore.entry import Entry
from kvstore.refusals import (
    CheckFailed,
    Compacted,
    Future,
    NoSession,
    NotFound,
    Refusal,
    SessionExists,
    TxnFailed,
)
from kvstore.results import DeleteOk, PutOk, RangeOk, Result, TxnOk

COMPACTED: Final = "etcdserver: mvcc: required revision has been compacted"
FUTURE: Final = "etcdserver: mvcc: required revision is a future revision"
NO_LEASE: Final = "etcdserver: requested lease not found"

# Writes are checked before reads, each in the order of the request.
_WRITES: Final[Mapping[type[Refusal], tuple[Code, str]]] = {
    NotFound: (Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    CheckFailed: (Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    NoSession: (Code.NOT_FOUND, NO_LEASE),
    SessionExists: (Code.FAILED_PRECONDITION, "etcdserver: lease already exists"),
}
_READS: Final[Mapping[type[Refusal], tuple[Code, str]]] = {
    Compacted: (Code.OUT_OF_RANGE, COMPACTED),
    Future: (Code.OUT_OF_RANGE, FUTURE),
}


def refused(refusal: Refusal) -> EtcdError:
    """Return the error that etcd answers with where the store refuses.

    What etcd has no words for, such as a quota that was set on the store, is told in the store's.
    """
    refusals = (
        [error.refusal for error in refusal.errors] if isinstance(refusal, TxnFailed) else [refusal]
    )
    for words in (_WRITES, _READS):
        for one in refusals:
            if type(one) in words:
                return EtcdError(*words[type(one)])
    return EtcdError(Code.FAILED_PRECONDITION, f"kvstore: {refusals[0]}")


_SORTS: Final = {
    "VERSION": attrgetter("version"),
    "CREATE": attrgetter("create_revision"),
    "MOD": attrgetter("mod_revision"),
    "VALUE": attrgetter("value"),
}


class Answers:
    """Makes responses of results.

    Args:
        revisions: Numbers changes as etcd does.
    """

    __slots__ = ("_revisions",)

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions

    def key_value(self, entry: Entry) -> KeyValue:
        """Return an entry as etcd tells it."""
        return KeyValue(
            to_bytes(entry.key),
            self._revisions.of(entry.create_revision),
            self._revisions.of(entry.mod_revision),
            entry.version,
            entry.value,
            lease_of(entry.owner),
        )

    def event(self, event: Event, *, previous: bool) -> WatchEvent:
        """Return a change as etcd tells it."""
        before = None
        if previous and event.previous is not None:
            before = self.key_value(event.previous)
        if event.entry is None:
            key = KeyValue(to_bytes(event.key), mod_revision=self._revisions.of(event.revision))
            return WatchEvent("DELETE", key, before)
        return WatchEvent("PUT", self.key_value(event.entry), before)

    def range(self, request: RangeRequest, result: RangeOk, revision: int) -> RangeResponse:
        """Return what a read found."""
        if request.count_only:
            return RangeResponse(revision, count=result.count)
        kvs, more = tuple(map(self.key_value, result.entries)), result.more
        if sorts_first_keys_only(request):
            more = len(kvs) > request.limit
            kvs = tuple(sorted(kvs, key=_SORTS[request.sort_target]))[: request.limit]
            if request.keys_only:
                kvs = tuple(attrs.evolve(one, value=b"") for one in kvs)
        return RangeResponse(revision, kvs, more, result.count)

    def put(self, request: PutRequest, result: Result, revision: int) -> PutResponse:
        """Return what a write replaced."""
        if isinstance(result, TxnOk):
            # The check that the key is there came first.
            result = result.results[1]
        assert isinstance(result, PutOk), (request, result)
        previous = result.previous
        return PutResponse(revision, None if previous is None else self.key_value(previous))

    def delete_range(
        self, _request: DeleteRangeRequest, result: DeleteOk, revision: int
    ) -> DeleteRangeResponse:
        """Return what a deletion took."""
        previous = tuple(map(self.key_value, result.previous))
        return DeleteRangeResponse(revision, result.count, previous)

    def txn(self, request: TxnRequest, result: TxnOk, before: int, after: int) -> TxnResponse:
        """Return what a transaction did.

        Args:
            request: The transaction.
            result: Its result.
            before: The revision before it.
            after: The revision behind it.
        """
        responses, _ = self._responses(request, result, before, after)
        return TxnResponse(after, result.branch, responses)

    def _responses(
        self, request: TxnRequest, result: TxnOk, revision: int, after: int
    ) -> tuple[tuple[ResponseOp, ...], int]:
        """Return the responses of a branch, and the revision that its last one saw.

        Each is headed by the revision that stood when it was done: the new one as soon as
        something has changed.
        """
        responses = []
        operations = request.success if result.branch else request.failure
        for one, done in zip(operations, result.results, strict=True):
            if isinstance(one, PutRequest) or (isinstance(done, DeleteOk) and done.count):
                revision = after
            response, revision = self._response(one, done, revision, after)
            responses.append(response)
        return tuple(responses), revision

    def _response(
        self, request: RequestOp, result: Result, revision: int, after: int
    ) -> tuple[ResponseOp, int]:
        match request:
            case RangeRequest():
                assert isinstance(result, RangeOk)
                return self.range(request, result, revision), revision
            case PutRequest():
                return self.put(request, result, revision), revision
            case DeleteRangeRequest():
                assert isinstance(result, DeleteOk)
                return self.delete_range(request, result, revision), revision
            case TxnRequest():
                assert isinstance(result, TxnOk)
                responses, revision = self._responses(request, result, revision, after)
                return TxnResponse(0, result.branch, responses), revision
            case _:
                assert_never(request)
