"""A real etcd behind the face of our façade: the same requests, the same answers.

Each `RealEtcd` has a corner of the server to itself: keys under a prefix, leases from a number
on, and revisions counted from where the server stood at its beginning, as 1.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from kvstore.dialects.etcd_messages import (
    Code,
    CompactionResponse,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    EtcdError,
    KeyValue,
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
    WatchCreateRequest,
    WatchEvent,
    WatchResponse,
)
from tests.interop.servers import Etcd, encoded
from tests.interop.servers import EtcdError as Refused

_corners = count(1)

#: Leases of one corner.
LEASES = 1000


class RealEtcd:
    """One corner of a server. Close it: a lease that ends later moves others' revisions."""

    def __init__(self, server: Etcd) -> None:
        self.server = server
        corner = next(_corners)
        self.prefix = f"corner-{corner:06}/".encode()
        self.first_lease = corner * LEASES
        self._granted: set[int] = set()
        # The corner's first revision, which no key of it has; nothing below it is compacted.
        self.base = int(self._put_outside()["header"]["revision"]) - 1

    def close(self) -> None:
        """End the leases that were granted."""
        for lease in self._granted:
            with suppress(EtcdError):
                self.lease_revoke(lease)

    def _put_outside(self) -> dict[str, Any]:
        return self.server.call("kv/put", key=encoded(b"outside"), value=encoded(self.prefix))

    def _call(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.server.call(method, **fields)
        except Refused as refused:
            raise EtcdError(Code(refused.code), refused.message) from None

    # --- requests

    def _key(self, key: bytes) -> str:
        return encoded(self.prefix + key) if key else ""

    def _end(self, end: bytes) -> str:
        if not end:
            return ""
        # The end of everything is the end of the corner.
        return encoded(self.prefix[:-1] + b"0" if end == b"\0" else self.prefix + end)

    def _lease(self, lease: int) -> int:
        return self.first_lease + lease if lease else 0

    def _revision(self, revision: int) -> int:
        return self.base + revision if revision > 0 else revision

    def _encode(self, request: RequestOp | Compare | WatchCreateRequest) -> dict[str, Any]:
        match request:
            case TxnRequest():
                return {
                    "compare": [self._encode(one) for one in request.compare],
                    "success": [self._encode_op(one) for one in request.success],
                    "failure": [self._encode_op(one) for one in request.failure],
                }
            case Compare():
                return self._encode_compare(request)
            case PutRequest():
                return {
                    "key": self._key(request.key),
                    "value": encoded(request.value),
                    "lease": self._lease(request.lease),
                    "prev_kv": request.prev_kv,
                    "ignore_value": request.ignore_value,
                    "ignore_lease": request.ignore_lease,
                }
            case DeleteRangeRequest():
                return self._encode_selection(request) | {"prev_kv": request.prev_kv}
            case WatchCreateRequest():
                return self._encode_selection(request) | {
                    "start_revision": self._revision(request.start_revision),
                    "filters": list(request.filters),
                    "prev_kv": request.prev_kv,
                    "watch_id": request.watch_id,
                }
            case RangeRequest():
                revisions = ("min_mod", "max_mod", "min_create", "max_create")
                return (
                    self._encode_selection(request)
                    | {
                        "revision": self._revision(request.revision),
                        "limit": request.limit,
                        "sort_order": request.sort_order,
                        "sort_target": request.sort_target,
                        "keys_only": request.keys_only,
                        "count_only": request.count_only,
                    }
                    | {
                        f"{name}_revision": self._revision(getattr(request, f"{name}_revision"))
                        for name in revisions
                    }
                )

    def _encode_selection(
        self, request: RangeRequest | DeleteRangeRequest | WatchCreateRequest | Compare
    ) -> dict[str, Any]:
        return {"key": self._key(request.key), "range_end": self._end(request.range_end)}

    def _encode_op(self, request: RequestOp) -> dict[str, Any]:
        names = {
            PutRequest: "request_put",
            RangeRequest: "request_range",
            DeleteRangeRequest: "request_delete_range",
            TxnRequest: "request_txn",
        }
        return {names[type(request)]: self._encode(request)}

    def _encode_compare(self, compare: Compare) -> dict[str, Any]:
        fields = {
            "VERSION": "version",
            "CREATE": "create_revision",
            "MOD": "mod_revision",
            "VALUE": "value",
            "LEASE": "lease",
        }
        value: Any = compare.value
        if isinstance(value, bytes):
            value = encoded(value)
        elif compare.target == "LEASE":
            value = self._lease(value)
        elif compare.target != "VERSION":
            value = self._revision(value)
        return self._encode_selection(compare) | {
            "target": compare.target,
            "result": compare.result,
            fields[compare.target]: value,
        }

    # --- answers

    def _number(self, answer: dict[str, Any], name: str) -> int:
        """Return a revision of the corner's, 0 where there is none."""
        number = int(answer.get(name, 0))
        return number - self.base if number else 0

    def _head(self, answer: dict[str, Any]) -> int:
        return self._number(answer["header"], "revision")

    def _kv(self, kv: dict[str, Any]) -> KeyValue:
        lease = int(kv.get("lease", 0))
        return KeyValue(
            base64.b64decode(kv["key"]).removeprefix(self.prefix),
            self._number(kv, "create_revision"),
            self._number(kv, "mod_revision"),
            int(kv.get("version", 0)),
            base64.b64decode(kv.get("value", "")),
            lease - self.first_lease if lease else 0,
        )

    def _response(self, request: RequestOp, answer: dict[str, Any]) -> ResponseOp:
        head = self._head(answer)
        match request:
            case RangeRequest():
                kvs = tuple(map(self._kv, answer.get("kvs", ())))
                return RangeResponse(
                    head, kvs, answer.get("more", False), int(answer.get("count", 0))
                )
            case PutRequest():
                previous = answer.get("prev_kv")
                return PutResponse(head, previous and self._kv(previous))
            case DeleteRangeRequest():
                previous = tuple(map(self._kv, answer.get("prev_kvs", ())))
                return DeleteRangeResponse(head, int(answer.get("deleted", 0)), previous)
            case TxnRequest():
                succeeded = answer.get("succeeded", False)
                branch = request.success if succeeded else request.failure
                responses = tuple(
                    self._response(one, *made.values())
                    for one, made in zip(branch, answer.get("responses", ()), strict=True)
                )
                return TxnResponse(head, succeeded, responses)

    # --- the face

    def call(self, request: RequestOp) -> ResponseOp:
        """Put any request about keys."""
        methods = {
            PutRequest: "kv/put",
            RangeRequest: "kv/range",
            DeleteRangeRequest: "kv/deleterange",
            TxnRequest: "kv/txn",
        }
        return self._response(request, self._call(methods[type(request)], self._encode(request)))

    def compact(self, revision: int) -> CompactionResponse:
        """Compact the server up to a revision of the corner's."""
        answer = self._call("kv/compaction", {"revision": self.base + revision})
        return CompactionResponse(self._head(answer))

    def lease_grant(self, ttl: int, id: int) -> LeaseGrantResponse:  # noqa: A002
        """Begin a lease."""
        answer = self._call("lease/grant", {"TTL": ttl, "ID": self._lease(id)})
        lease = int(answer["ID"]) - self.first_lease
        self._granted.add(lease)
        return LeaseGrantResponse(self._head(answer), lease, int(answer["TTL"]))

    def lease_revoke(self, id: int) -> LeaseRevokeResponse:  # noqa: A002
        """End a lease."""
        return LeaseRevokeResponse(self._head(self._call("lease/revoke", {"ID": self._lease(id)})))

    def lease_keep_alive(self, id: int) -> LeaseKeepAliveResponse:  # noqa: A002
        """Renew a lease."""
        answer = self._call("lease/keepalive", {"ID": self._lease(id)})["result"]
        return LeaseKeepAliveResponse(self._head(answer), id, int(answer.get("TTL", 0)))

    def lease_time_to_live(self, id: int) -> LeaseTimeToLiveResponse:  # noqa: A002
        """Tell what a lease has; the seconds left are the server's own, and not told."""
        answer = self._call("lease/timetolive", {"ID": self._lease(id), "keys": True})
        keys = (base64.b64decode(key).removeprefix(self.prefix) for key in answer.get("keys", ()))
        granted = int(answer.get("grantedTTL", 0))
        left = -1 if answer.get("TTL") == "-1" else granted
        return LeaseTimeToLiveResponse(self._head(answer), id, left, granted, tuple(sorted(keys)))

    def watch(self, request: WatchCreateRequest, until: int) -> Iterator[WatchResponse]:
        """Yield what a watch is told, up to the response with a revision's events, or its end."""
        with self.server.stream("watch", create_request=self._encode(request)) as answers:
            for answer in answers:
                response = self._watch_response(answer)
                yield response
                told = [event.kv.mod_revision for event in response.events]
                if until in told or response.canceled:
                    return

    def _watch_response(self, answer: dict[str, Any]) -> WatchResponse:
        return WatchResponse(
            self._head(answer),
            int(answer.get("watch_id", 0)),
            answer.get("created", False),
            answer.get("canceled", False),
            self._number(answer, "compact_revision"),
            answer.get("cancel_reason", ""),
            tuple(map(self._event, answer.get("events", ()))),
        )

    def _event(self, event: dict[str, Any]) -> WatchEvent:
        previous = event.get("prev_kv")
        return WatchEvent(
            event.get("type", "PUT"), self._kv(event["kv"]), previous and self._kv(previous)
        )
