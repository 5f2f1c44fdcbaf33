"""Every knob of a server, with its unit, default and origin, and which combinations make sense.

Owns validation: a `Config` that exists is usable. Knows nothing of the machine.

Source: Raft dissertation chapters 3, 4, 6 and 9; etcd-io/raft Config, whose names are given where
they differ. Traps that etcd's accepts (a limit of no bytes, leases without check-quorum) are
refused here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from attrs import Attribute, field, frozen

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def _number(low: float, high: float) -> _Check:
    """Return a validator: a finite number within [low, high]."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{attribute.name} must be a number, not {value!r}")
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{attribute.name} must be within [{low}, {high}], not {value!r}")

    return check


def _count(low: int, high: int) -> _Check:
    """Return a validator: a whole number within [low, high]."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{attribute.name} must be a whole number, not {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{attribute.name} must be within [{low}, {high}], not {value!r}")

    return check


def _flag(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be a bool, not {value!r}")


_SIZE_MAX = 1 << 40
#: What `Config.check_reload` lets nobody change.
_FIXED = ("lease_reads", "quiescence", "persists_max", "gated_messages_max")


@frozen(kw_only=True)
class Config:
    """How one server behaves. Durations are seconds, sizes are bytes.

    All servers of a cluster should agree on `election_timeout`, `check_quorum` and
    `lease_reads`: leases are sound only if everyone is as patient as the leader believes.

    Attributes:
        election_timeout: How long a leader must be silent before anyone campaigns, and how long
            a leader goes on without hearing from a quorum (E of the paper; ElectionTick).
        election_timeout_max: Campaigns begin after a time drawn uniformly from
            [`election_timeout`, this); 0 stands for twice `election_timeout`.
        heartbeat_interval: Period of a leader's heartbeats; less than `election_timeout`, better
            a tenth of it.
        pre_vote: Whether a candidate asks first if it could win, without raising its term
            (dissertation 9.6). That others hear from a leader is an objection only with
            `check_quorum`; without it a server that was cut off may depose the leader when it
            comes back, if its log is up to date.
        check_quorum: Whether a leader that hears from no quorum steps down, and whether servers
            that hear from a leader refuse to vote (leader stickiness, dissertation 6.2 and 4.2.3).
        lease_reads: Whether `read(lease=True)` is allowed. A server that restarts then refuses to
            vote for one `election_timeout`: it may have promised that to a leader.
        clock_drift_bound: By how much the fastest clock outruns the slowest, as a fraction;
            leases are shorter by it.
        priority: A server refuses to vote for one of a lower priority unless that one's log is
            longer. A hint for liveness only (as in raft-rs).
        append_size_max: Bytes of entries in one message; one entry always fits (MaxSizePerMsg).
        append_entries_max: Entries in one message.
        inflight_messages_max: Unanswered messages with entries to one follower
            (MaxInflightMsgs).
        inflight_size_max: Bytes of entries in them; at least `append_size_max`.
        uncommitted_size_max: Bytes of proposals that wait on the leader to be committed and
            durable there. What finds none waiting is always let in (MaxUncommittedEntriesSize).
            A follower takes no more entries either while so many wait for its disk.
        uncommitted_entries_max: Entries that wait likewise.
        gated_messages_max: Messages that wait for a write; what would come beyond is dropped,
            as if the network had lost it. At least `persists_max`.
        payload_size_max: Bytes of one proposal.
        committed_entries_max: Entries in one `EntriesCommitted`.
        forwarding: Whether proposals may be forwarded to the leader, and are taken from others.
            A forwarded one can be applied twice if the network duplicates it: use sessions.
        forwarded_max: Forwarded proposals that wait for their outcome.
        reads_max: Reads that wait for their answer.
        read_timeout: After this a read fails; 0 stands for twice `election_timeout`.
        forward_timeout: After this the outcome of a forwarded proposal is unknown; 0 stands for
            four times `election_timeout`.
        transfer_timeout: After this a transfer of leadership is given up; 0 stands for
            `election_timeout`.
        persists_max: Outstanding `Persist`s; what comes beyond waits and joins the next one.
        trailing_entries: Entries that `compact` keeps in memory behind the snapshot, for slow
            followers.
        snapshot_chunk_size: Bytes of a snapshot in one message.
        snapshot_chunks_max: Chunks of a snapshot under way to one follower.
        snapshot_size_max: Larger snapshots are not received.
        quiescence: Whether an idle leader may stop its heartbeats and its followers their
            timers, as `quiesce` asks. The driver has then to report dead servers by
            `unreachable`.
    """

    election_timeout: float = field(default=1.0, validator=_number(1e-6, 1e6))
    election_timeout_max: float = field(default=0.0, validator=_number(0, 1e7))
    heartbeat_interval: float = field(default=0.1, validator=_number(1e-6, 1e6))
    pre_vote: bool = field(default=True, validator=_flag)
    check_quorum: bool = field(default=True, validator=_flag)
    lease_reads: bool = field(default=False, validator=_flag)
    clock_drift_bound: float = field(default=0.01, validator=_number(0, 1))
    priority: int = field(default=0, validator=_count(-(1 << 31), 1 << 31))
    append_size_max: int = field(default=1 << 20, validator=_count(1, _SIZE_MAX))
    append_entries_max: int = field(default=8192, validator=_count(1, 1 << 24))
    inflight_messages_max: int = field(default=256, validator=_count(1, 1 << 20))
    inflight_size_max: int = field(default=16 << 20, validator=_count(1, _SIZE_MAX))
    uncommitted_size_max: int = field(default=64 << 20, validator=_count(1, _SIZE_MAX))
    uncommitted_entries_max: int = field(default=1 << 20, validator=_count(1, 1 << 40))
    payload_size_max: int = field(default=8 << 20, validator=_count(1, _SIZE_MAX))
    committed_entries_max: int = field(default=65536, validator=_count(1, 1 << 24))
    forwarding: bool = field(default=False, validator=_flag)
    forwarded_max: int = field(default=4096, validator=_count(1, 1 << 20))
    reads_max: int = field(default=16384, validator=_count(1, 1 << 24))
    read_timeout: float = field(default=0.0, validator=_number(0, 1e6))
    forward_timeout: float = field(default=0.0, validator=_number(0, 1e6))
    transfer_timeout: float = field(default=0.0, validator=_number(0, 1e6))
    persists_max: int = field(default=64, validator=_count(1, 1 << 20))
    gated_messages_max: int = field(default=4096, validator=_count(1, 1 << 24))
    trailing_entries: int = field(default=1024, validator=_count(0, 1 << 40))
    snapshot_chunk_size: int = field(default=256 << 10, validator=_count(1, 1 << 30))
    snapshot_chunks_max: int = field(default=4, validator=_count(1, 1 << 16))
    snapshot_size_max: int = field(default=1 << 32, validator=_count(0, 1 << 48))
    quiescence: bool = field(default=False, validator=_flag)

    def __attrs_post_init__(self) -> None:
        if self.heartbeat_interval >= self.election_timeout:
            raise ValueError("heartbeat_interval must be less than election_timeout")
        if self.election_timeout_max and self.election_timeout_max < self.election_timeout:
            raise ValueError("election_timeout_max must not be less than election_timeout")
        if self.inflight_size_max < self.append_size_max:
            raise ValueError("inflight_size_max must not be less than append_size_max")
        if self.gated_messages_max < self.persists_max:
            raise ValueError("gated_messages_max must not be less than persists_max")
        if self.lease_reads and not self.check_quorum:
            raise ValueError("lease_reads needs check_quorum: it is what lets no other lead")
        if self.lease_reads and not self.pre_vote:
            raise ValueError("lease_reads needs pre_vote: candidates would end leases")

    def check_reload(self, later: Config) -> None:
        """Refuse what a running server can't go over to from this.

        Raises:
            ValueError: Another value for leases, sleep, or what waits for the disk: these need a
                restart. With leases, another election timeout: a lease that was taken counts on
                the patience that was promised.
        """
        for name in _FIXED:
            if getattr(self, name) != getattr(later, name):
                raise ValueError(f"{name} can't change while the server runs")
        if self.lease_reads and self.election_timeout != later.election_timeout:
            raise ValueError("election_timeout can't change while there may be leases")

    @property
    def election_timeout_limit(self) -> float:
        """Upper end of the times that campaigns wait for, seconds."""
        return self.election_timeout_max or 2 * self.election_timeout

    @property
    def lease_duration(self) -> float:
        """How long a confirmed round of heartbeats is a lease, seconds from when it was sent.

        Source: dissertation 6.4.1: election timeout over clock drift bound.
        """
        return self.election_timeout / (1 + self.clock_drift_bound)

    @property
    def read_limit(self) -> float:
        """How long a read may take, seconds."""
        return self.read_timeout or 2 * self.election_timeout

    @property
    def forward_limit(self) -> float:
        """How long the outcome of a forwarded proposal is waited for, seconds."""
        return self.forward_timeout or 4 * self.election_timeout

    @property
    def transfer_limit(self) -> float:
        """How long a transfer of leadership may take, seconds."""
        return self.transfer_timeout or self.election_timeout
