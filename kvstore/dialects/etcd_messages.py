"""Requests and responses of etcd's version 3 API, as plain values with etcd's field names.

Absent fields have the values that protocol buffers give them: 0, empty, false.

Source: etcd api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto, api/v3rpc/rpctypes/error.go.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, TypeAlias

import attrs

SortOrder: TypeAlias = Literal["NONE", "ASCEND", "DESCEND"]
SortTarget: TypeAlias = Literal["KEY", "VERSION", "CREATE", "MOD", "VALUE"]
CompareResult: TypeAlias = Literal["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]
CompareTarget: TypeAlias = Literal["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]
FilterType: TypeAlias = Literal["NOPUT", "NODELETE"]
EventType: TypeAlias = Literal["PUT", "DELETE"]


class Code(IntEnum):
    """Codes of gRPC that etcd answers with."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11


class EtcdError(Exception):
    """A refusal, in etcd's words. It changed nothing.

    Attributes:
        code: Of gRPC.
        message: What etcd says.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@attrs.frozen
class KeyValue:
    """One key. `lease` is 0 for none."""

    key: bytes
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    value: bytes = b""
    lease: int = 0


# --- requests


@attrs.frozen
class RangeRequest:
    """Read `key`, or from it to before `range_end`; an end of one NUL means no end."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = "NONE"
    sort_target: SortTarget = "KEY"
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


@attrs.frozen
class PutRequest:
    """Write `key`. Without `lease` or `ignore_lease` it loses the lease that it has."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


@attrs.frozen
class DeleteRangeRequest:
    """Delete `key`, or from it to before `range_end`."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


@attrs.frozen
class Compare:
    """Compare a key, or all of a range, with `value` (bytes for VALUE, else a number)."""

    key: bytes
    target: CompareTarget = "VERSION"
    result: CompareResult = "EQUAL"
    value: int | bytes = 0
    range_end: bytes = b""


@attrs.frozen
class TxnRequest:
    """Run `success` if every comparison holds, else `failure`; all of it, as one revision."""

    compare: tuple[Compare, ...] = ()
    success: tuple[RequestOp, ...] = ()
    failure: tuple[RequestOp, ...] = ()


RequestOp: TypeAlias = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest


@attrs.frozen
class WatchCreateRequest:
    """Watch `key` or a range from `start_revision` on; 0 means from the next change."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    progress_notify: bool = False
    filters: tuple[FilterType, ...] = ()
    prev_kv: bool = False
    watch_id: int = 0


# --- responses


@attrs.frozen
class RangeResponse:
    """`count` is of the whole range, whatever limit and filters; `more` says the limit cut."""

    revision: int
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


@attrs.frozen
class PutResponse:
    """`prev_kv` only if it was asked for and there was one."""

    revision: int
    prev_kv: KeyValue | None = None


@attrs.frozen
class DeleteRangeResponse:
    """How many keys went."""

    revision: int
    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


@attrs.frozen
class TxnResponse:
    """One response for each operation of the branch. A nested one has revision 0, as etcd's."""

    revision: int
    succeeded: bool = False
    responses: tuple[ResponseOp, ...] = ()


ResponseOp: TypeAlias = RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse


@attrs.frozen
class CompactionResponse:
    """History below is forgotten."""

    revision: int


@attrs.frozen
class LeaseGrantResponse:
    """The lease, with the ttl in seconds that it really has."""

    revision: int
    id: int
    ttl: int


@attrs.frozen
class LeaseRevokeResponse:
    """The lease is gone, and its keys with it."""

    revision: int


@attrs.frozen
class LeaseKeepAliveResponse:
    """`ttl` is the full one again; 0 for an unknown lease."""

    revision: int
    id: int
    ttl: int


@attrs.frozen
class LeaseTimeToLiveResponse:
    """Whole seconds left, -1 for an unknown lease."""

    revision: int
    id: int
    ttl: int
    granted_ttl: int = 0
    keys: tuple[bytes, ...] = ()


@attrs.frozen
class LeaseLeasesResponse:
    """The ids of all leases in order."""

    revision: int
    leases: tuple[int, ...] = ()


@attrs.frozen
class WatchEvent:
    """A change. Of a deletion `kv` has the key and its revision only."""

    type: EventType
    kv: KeyValue
    prev_kv: KeyValue | None = None


@attrs.frozen
class WatchResponse:
    """What a watch tells: its beginning, changes, progress (no events), or its end."""

    revision: int
    watch_id: int = 0
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: tuple[WatchEvent, ...] = ()
