"""etcd's version 3 API over the store: keys, transactions, leases, compaction and watches.

A thin façade for programs that come from etcd, and a stand-in for it in tests: the answers and
error texts are those of etcd 3.4, revisions included. What differs:

- Time passes only by the `now` (milliseconds) that requests carry, and leases end by `tick`.
- A watch that starts at the compacted revision is told a deletion made there. etcd 3.4.23 loses
  it (etcd issue 18089, mended later).
- Values that are equal when sorted stay in the order of keys; etcd's sorting is not stable.
- Lease ids that etcd draws at random are counted here; leases are listed in the order of ids.
- Nothing is kept secret and nothing is replicated here: authentication, members, alarms and
  maintenance are not this façade's.

Keys of etcd are bytes; `etcd_keys` tells how they stand in the store.
"""

from __future__ import annotations

from typing import Final, TypeVar, assert_never

from kvstore.commands import (
    KEEP,
    Check,
    Command,
    Compact,
    DeleteRange,
    Noop,
    Operation,
    Operator,
    Put,
    Range,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SortTarget,
    Target,
    Tick,
    Txn,
)
from kvstore.config import Config
from kvstore.dialects import etcd_requests
from kvstore.dialects.etcd_keys import Revisions, bounds, lease_of, session_of, to_bytes, to_text
from kvstore.dialects.etcd_messages import (
    Code,
    CompactionResponse,
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    DeleteRangeResponse,
    EtcdError,
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseLeasesResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from kvstore.dialects.etcd_responses import COMPACTED, FUTURE, NO_LEASE, Answers, refused
from kvstore.dialects.etcd_watches import WatchStream
from kvstore.refusals import Refusal
from kvstore.results import (
    Applied,
    CompactOk,
    DeleteOk,
    RangeOk,
    RenewOk,
    Result,
    SessionOk,
    TickOk,
    TxnOk,
)
from kvstore.store import Store

ResultT = TypeVar("ResultT")

#: Seconds that a lease may last.
LEASE_TTL_MAX: Final = 9_000_000_000

#: Seconds that a lease lasts at least, with etcd's default election timeout of a second.
LEASE_TTL_MIN: Final = 2

CONFIG: Final = Config(
    key_size_max=65_536,
    value_size_max=1_572_864,
    operations_max=1_000_000,
    depth_max=32,
    session_ttl_min=1,
    session_ttl_max=LEASE_TTL_MAX * 1000,
    session_keys_max=2**30,
    history_changes=None,
)
"""What a store is made with that stands for etcd: its limits, and all history until compaction."""

_SORTS: Final[dict[str, SortTarget]] = {
    "KEY": "key",
    "VERSION": "version",
    "CREATE": "create",
    "MOD": "mod",
    "VALUE": "value",
}
_TARGETS: Final[dict[str, Target]] = {
    "VERSION": "version",
    "CREATE": "create",
    "MOD": "mod",
    "VALUE": "value",
    "LEASE": "owner",
}
_OPERATORS: Final[dict[str, Operator]] = {
    "EQUAL": "=",
    "GREATER": ">",
    "LESS": "<",
    "NOT_EQUAL": "!=",
}


class Etcd:
    """One etcd, over a store of its own or one that is given.

    Args:
        store: The store, made with `CONFIG`; a new one if None.
        lease_ttl_min: Seconds to which shorter leases are raised; 1 or more.

    Raises:
        ValueError: `lease_ttl_min` is below 1.

    >>> etcd = Etcd()
    >>> etcd.put(PutRequest(b"name", b"shoal")).revision
    2
    >>> etcd.range(RangeRequest(b"name")).kvs[0].version
    1
    """

    def __init__(self, store: Store | None = None, *, lease_ttl_min: int = LEASE_TTL_MIN) -> None:
        if lease_ttl_min < 1:
            raise ValueError("lease_ttl_min must be 1 or more")
        self.store = Store(CONFIG) if store is None else store
        if not self.store.applied_index:
            # etcd begins with revision 1, which no key has.
            self.store.apply(Noop())
        self.lease_ttl_min = lease_ttl_min
        self._revisions = Revisions(self.store)
        self._answers = Answers(self._revisions)
        # Invariant: reads below it are refused. etcd's store forgets one revision less than ours.
        self._compacted = self._revisions.of(self.store.floor) + 1 if self.store.floor else 0

    @property
    def revision(self) -> int:
        """The newest revision; 1 if there never was a key."""
        self._revisions.catch_up()
        return self._revisions.current

    @property
    def compacted_revision(self) -> int:
        """The revision of the last compaction, 0 before the first: the oldest to be read."""
        return self._compacted

    # --- keys

    def range(self, request: RangeRequest) -> RangeResponse:
        """Read keys, now or at an earlier revision.

        Raises:
            EtcdError: The key is missing, or the revision is compacted or to come.
        """
        etcd_requests.check(request)
        self._revisions.catch_up()
        result = _expect(RangeOk, self.store.query(self._command(request)))
        return self._answers.range(request, result, self._revisions.current)

    def put(self, request: PutRequest, *, now: int | None = None) -> PutResponse:
        """Write a key: always a new revision.

        Raises:
            EtcdError: The key is missing or not found, the lease is unknown, the request is too
                large, or contradicts itself.
        """
        etcd_requests.check(request)
        if request.lease and self.store.session(session_of(request.lease)) is None:
            # Of a single write the lease is looked at first; in a transaction the key is.
            raise EtcdError(Code.NOT_FOUND, NO_LEASE)
        result = self._apply(_write(request), now)
        if isinstance(result, Refusal):
            raise refused(result)
        return self._answers.put(request, result, self._revisions.current)

    def delete_range(
        self, request: DeleteRangeRequest, *, now: int | None = None
    ) -> DeleteRangeResponse:
        """Delete keys: one revision if there were any.

        Raises:
            EtcdError: The key is missing.
        """
        etcd_requests.check(request)
        result = _expect(DeleteOk, self._apply(self._command(request), now))
        return self._answers.delete_range(request, result, self._revisions.current)

    def txn(self, request: TxnRequest, *, now: int | None = None) -> TxnResponse:
        """Run a transaction.

        Raises:
            EtcdError: It is too large, writes a key twice, or one of its operations would be
                refused; then none of them was done.
        """
        etcd_requests.check(request)
        self._revisions.catch_up()
        before = self._revisions.current
        result = _expect(TxnOk, self._apply(self._command(request), now))
        return self._answers.txn(request, result, before, self._revisions.current)

    def compact(self, revision: int) -> CompactionResponse:
        """Forget what happened before a revision; reading at it stays possible.

        Raises:
            EtcdError: The revision is compacted already, or to come.
        """
        self._revisions.catch_up()
        if revision <= self._compacted:
            raise EtcdError(Code.OUT_OF_RANGE, COMPACTED)
        if revision > self._revisions.current:
            raise EtcdError(Code.OUT_OF_RANGE, FUTURE)
        floor = self._revisions.index(revision) - 1
        if floor > self.store.floor:
            _expect(CompactOk, self._apply(Compact(floor), None))
        self._compacted = revision
        return CompactionResponse(self._revisions.current)

    # --- leases

    def lease_grant(self, ttl: int, id: int = 0, *, now: int | None = None) -> LeaseGrantResponse:  # noqa: A002 (etcd's name)
        """Begin a lease of so many seconds; an id of 0 lets the store choose one.

        Raises:
            EtcdError: The id is taken, or the ttl too large.
        """
        if ttl > LEASE_TTL_MAX:
            raise EtcdError(Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")
        ttl = max(ttl, self.lease_ttl_min)
        session = session_of(id) if id else None
        command = SessionOpen(session, ttl * 1000, "delete", lock_delay=0)
        result = _expect(SessionOk, self._apply(command, now))
        return LeaseGrantResponse(self._revisions.current, lease_of(result.session.id), ttl)

    def lease_revoke(self, id: int, *, now: int | None = None) -> LeaseRevokeResponse:  # noqa: A002
        """End a lease, and delete its keys as one revision.

        Raises:
            EtcdError: The lease is unknown.
        """
        if self.store.session(session_of(id)) is None:
            raise EtcdError(Code.NOT_FOUND, NO_LEASE)
        self._apply(SessionClose(session_of(id)), now)
        return LeaseRevokeResponse(self._revisions.current)

    def lease_keep_alive(self, id: int, *, now: int | None = None) -> LeaseKeepAliveResponse:  # noqa: A002
        """Begin a lease's time anew; an unknown one is told by a ttl of 0."""
        result = _expect(RenewOk, self._apply(SessionRenew((session_of(id),)), now))
        ttl = 0 if result.missing else self._granted(id)
        return LeaseKeepAliveResponse(self._revisions.current, id, ttl)

    def lease_time_to_live(self, id: int, *, keys: bool = False) -> LeaseTimeToLiveResponse:  # noqa: A002
        """Tell how long a lease lasts still, and optionally its keys in order."""
        revision = self.revision
        session = session_of(id)
        deadline = self.store.session_deadline(session)
        if deadline is None:
            return LeaseTimeToLiveResponse(revision, id, -1)
        left = max(0, deadline - self.store.clock) // 1000
        names = map(to_bytes, self.store.session_keys(session)) if keys else ()
        return LeaseTimeToLiveResponse(revision, id, left, self._granted(id), tuple(names))

    def lease_leases(self) -> LeaseLeasesResponse:
        """List all leases."""
        leases = (lease_of(session.id) for session in self.store.sessions())
        return LeaseLeasesResponse(self.revision, tuple(sorted(filter(None, leases))))

    def tick(self, now: int) -> tuple[int, ...]:
        """Let time pass: end the leases that are due, with their keys; return their ids.

        Args:
            now: Milliseconds on the caller's clock.
        """
        ended: list[int] = []
        more = True
        while more:
            result = _expect(TickOk, self._apply(Tick(), now))
            ended += filter(None, map(lease_of, result.sessions))
            more = result.more
        return tuple(ended)

    # --- watches

    def watch(self) -> WatchStream:
        """Open a stream, on which watches are created and told what changes."""
        return WatchStream(self.store, self._revisions, self._answers, lambda: self._compacted)

    # --- internals

    def _apply(self, command: Command, now: int | None) -> Result:
        applied: Applied = self.store.apply(command, now=now)
        self._revisions.catch_up()
        return applied.result

    def _granted(self, lease: int) -> int:
        session = self.store.session(session_of(lease))
        assert session is not None
        return (session.ttl or 0) // 1000

    def _command(self, request: RequestOp) -> Operation:
        match request:
            case RangeRequest():
                return self._read(request)
            case PutRequest():
                return _write(request)
            case DeleteRangeRequest():
                start, end = bounds(request.key, request.range_end)
                return DeleteRange(start=start, end=end, want_previous=request.prev_kv)
            case TxnRequest():
                return Txn(
                    when=tuple(map(self._condition, request.compare)),
                    then=tuple(map(self._command, request.success)),
                    otherwise=tuple(map(self._command, request.failure)),
                )
            case _:
                assert_never(request)

    def _read(self, request: RangeRequest) -> Range:
        start, end = bounds(request.key, request.range_end)
        if etcd_requests.sorts_first_keys_only(request) and not request.count_only:
            # What it reads is sorted, cut and blanked by the answer.
            revision = self._readable(request.revision)
            return Range(start=start, end=end, revision=revision, limit=request.limit + 1)
        return Range(
            start=start,
            end=end,
            revision=self._readable(request.revision),
            limit=0 if request.count_only else request.limit if request.limit > 0 else None,
            keys_only=request.keys_only,
            sort=_SORTS[request.sort_target],
            descending=request.sort_order == "DESCEND",
            min_mod_revision=self._filter(request.min_mod_revision),
            max_mod_revision=self._filter(request.max_mod_revision),
            min_create_revision=self._filter(request.min_create_revision),
            max_create_revision=self._filter(request.max_create_revision),
        )

    def _readable(self, revision: int) -> int | None:
        """Return the index to read at; one that the store refuses where etcd refuses."""
        if revision <= 0:
            return None
        if revision < self._compacted:
            return 0
        index = self._revisions.index(revision)
        # The index behind the newest is the transaction's own, which is still to come.
        return index if revision <= self._revisions.current else index + 1

    def _filter(self, revision: int) -> int | None:
        return self._revisions.index(revision) if revision else None

    def _condition(self, compare: Compare) -> Check:
        target, operator = _TARGETS[compare.target], _OPERATORS[compare.result]
        operand: int | str | bytes = compare.value
        if isinstance(operand, int):
            operator, operand = self._number(compare.target, operator, operand)
        if not compare.range_end:
            return Check(to_text(compare.key), target, operator, operand)
        start, end = bounds(compare.key, compare.range_end)
        return Check(None, target, operator, operand, start=start, end=end)

    def _number(
        self, target: CompareTarget, operator: Operator, number: int
    ) -> tuple[Operator, int | str]:
        """Return the comparison with a number as the store makes it."""
        if target == "LEASE":
            return operator, session_of(number) if number else ""
        if number < 0:
            # No stamp is negative: what is asked holds for all, or for none.
            return (">=" if operator in ("!=", ">") else "<"), 0
        return operator, number if target == "VERSION" else self._revisions.index(number)


def _write(request: PutRequest) -> Put | Txn:
    key = to_text(request.key)
    put = Put(
        key,
        request.value,
        owner=KEEP if request.ignore_lease else _owner(request.lease),
        keep_value=request.ignore_value,
        force=True,
        want_previous=request.prev_kv,
    )
    return Txn(then=(Check(key), put)) if request.ignore_lease else put


def _expect(kind: type[ResultT], result: Result) -> ResultT:
    """Return a result of the kind that was expected, or raise what etcd says instead."""
    if isinstance(result, Refusal):
        raise refused(result)
    assert isinstance(result, kind), result
    return result


def _owner(lease: int) -> str | None:
    return session_of(lease) if lease else None
