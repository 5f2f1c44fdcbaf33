"""The machine: one server of a Raft cluster, without sockets, clock, threads or disk.

Owns the inputs, their checks and the queries: what drivers and applications see. What a server
does by itself is in server.py and its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from raft.arguments import (
    check_change,
    check_configuration,
    check_payload,
    check_payloads,
    check_snapshot,
    check_time,
)
from raft.config import Config
from raft.entries import TERM_MAX, Entries, LogId, LogIds
from raft.errors import (
    AlreadyBootstrapped,
    CampaignRefused,
    CompactionRefused,
    NotLeader,
)
from raft.membership.changes import Change, SingleChange, check_id
from raft.membership.configuration import Configuration
from raft.messages import Message, TransferLeadership
from raft.outputs import Cause, Output, Role
from raft.server.server import Server
from raft.stats import Stats
from raft.status import Status, peer_statuses
from raft.stored import NOTHING_STORED, Snapshot, SnapshotData, Stored

FOLLOWER, LEADER = Role.FOLLOWER, Role.LEADER
HANDLERS = Server.HANDLERS


class Raft:
    """One server: feed it what arrives, write and send what it puts out, wake it when it asks.

    Every input takes the caller's monotonic time in seconds as its last positional argument and
    queues outputs; `poll` hands them out one by one. Options follow the time.

    What a driver does with each output, at its own pace:
    - `SendMessage`: send it, now, later or never; nothing has to be durable first.
    - `Persist`: write it, in order, then `persisted(seq)`. Several at once are fine (group
      commit), one by one too. Until then the machine withholds what depends on it.
    - events: apply `EntriesCommitted` and `SnapshotInstalled` in order; the rest is news.

    After a crash, make it anew from what is durable (`Stored`): everything up to the last
    `persisted`, and of what was handed out since any prefix.

    A new server does nothing until it is bootstrapped, asked for its vote or sent entries by a
    leader to whose cluster it was added; the same is true of one that joins by its name.

    Args:
        id: Unique in the cluster, and never used again by a server that lost its disk.
        config: How it behaves.
        rng: The only source of chance: drawn from for each election timer, and at the start.
        now: The present time.
        stored: What is on disk.

    Raises:
        StoredInvalid: `stored` contradicts itself.
        ValueError, TypeError: An argument is out of its range.
    """

    __slots__ = ("_core", "_queue", "_server")

    def __init__(
        self,
        id: str,  # noqa: A002  # the word for it
        config: Config,
        *,
        rng: Random,
        now: float,
        stored: Stored = NOTHING_STORED,
    ) -> None:
        self._server = Server(check_id(id), config, rng, check_time(now), stored)
        self._core = self._server.core
        self._queue = self._core.outputs

    # --- queries -----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Our name in the cluster."""
        return self._core.id

    @property
    def config(self) -> Config:
        """How we behave."""
        return self._core.config

    @property
    def role(self) -> Role:
        """What we do."""
        return self._core.role

    @property
    def term(self) -> int:
        """Latest term we have been in."""
        return self._core.term

    @property
    def voted_for(self) -> str | None:
        """Whom we voted for in that term."""
        return self._core.voted_for

    @property
    def leader(self) -> str | None:
        """Who leads, as far as we know."""
        return self._core.leader

    @property
    def commit_index(self) -> int:
        """Up to where our log is known to be committed."""
        return self._core.commit

    @property
    def applied_index(self) -> int:
        """Up to where it was handed out, fetched or not."""
        return self._core.applied

    @property
    def first_index(self) -> int:
        """Index of the first entry that is in memory, or would be."""
        return self._core.log.first_index

    @property
    def last_index(self) -> int:
        """Index of our last entry."""
        return self._core.log.last_index

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._core.configuration

    @property
    def configuration_index(self) -> int:
        """Index of the entry that brought it: what `change` takes as `expected_index`."""
        return self._core.configuration_index

    @property
    def snapshot(self) -> Snapshot | None:
        """The last snapshot."""
        return self._core.snapshot

    @property
    def stats(self) -> Stats:
        """Counters; they only grow."""
        return self._core.stats

    def term_at(self, index: int) -> int | None:
        """Return the term of an entry; None if it is compacted or not there yet."""
        return self._core.log.term_at(index)

    def entries(self, first: int, last: int) -> Entries:
        """Return the entries from `first` to `last` that are in memory."""
        log = self._core.log
        return log.entries(max(first, log.first_index), min(last, log.last_index))

    def status(self) -> Status:
        """Return everything that matters as one value."""
        core = self._core
        return Status(
            id=core.id,
            role=core.role,
            term=core.term,
            voted_for=core.voted_for,
            leader=core.leader,
            commit_index=core.commit,
            applied_index=core.applied,
            durable_index=self._server.durability.index,
            first_index=core.log.first_index,
            last_index=core.log.last_index,
            snapshot_index=core.snapshot.index if core.snapshot is not None else 0,
            configuration=core.configuration,
            configuration_index=core.configuration_index,
            regressed=core.regressed,
            quiescent=core.quiescent,
            transferee=self._server.transfer.to,
            peers=peer_statuses(core, self._server.leader),
        )

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests.

        Raises:
            AssertionError: Something does not. The machine must be discarded.
        """
        core = self._core
        core.log.check_invariants()
        for part in (
            self._server.durability,
            self._server.applying,
            self._server.elections,
            self._server.reads,
        ):
            part.check_invariants()
        assert (core.role is LEADER) == (self._server.leader is not None)
        assert core.log.last_term <= core.term
        assert core.snapshot is None or core.snapshot.index >= core.log.base_index
        if self._server.leader is not None:
            self._server.leader.check_invariants()

    # --- outputs and time --------------------------------------------------------------------

    def poll(self) -> Output | None:
        """Return the oldest output not yet fetched, or None.

        What is sent, written and applied is built now, from all that is new; nothing else
        changes by that.
        """
        queue = self._queue
        while queue:
            item = queue.popleft()
            if not isinstance(item, tuple):
                return item
            make, argument = item
            output = make(argument)
            if output is not None:
                return output
        return None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        return self._server.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; earlier calls change nothing."""
        self._core.clock(now)
        self._server.handle_timeout()

    # --- inputs from network and disk --------------------------------------------------------

    def receive(self, message: Message, now: float) -> None:
        """Take a message of a peer. Whatever it says, this does not raise.

        Its fields have to be of the types that they are declared with: bytes are checked once,
        where they are decoded. `raft.codec` makes no others, whatever the bytes; a codec of
        one's own has to see to that.

        Outputs: what the message leads to; `MessageRejected` if it can't be taken.
        """
        core = self._core
        if not now <= core.now:
            self._core.clock(now)
        if message.to != core.id or message.source == core.id:
            core.reject(message, "not for us" if message.to != core.id else "from ourselves")
            return
        if core.quiescent and self._server.is_reason_to_wake(message):
            self._server.wake()
        handler = HANDLERS.get(type(message))
        if handler is None:
            core.reject(message, "unknown kind")
        elif message.term == core.term > 0 or self._server.admit(message):
            handler(self._server, message)

    def persisted(self, seq: int, now: float) -> None:
        """Note that everything up to `Persist(seq)` is durable.

        Outputs: what waited for that. A number that was reported before changes nothing.

        Raises:
            UnknownSequence: No such `Persist` was fetched.
        """
        self._server.persisted(seq, now)

    def unreachable(self, peer: str, now: float) -> None:
        """Note that a server can't be reached: the driver's connection broke, or it is dead.

        A leader stops sending it entries behind those that may be lost; a follower of a sleeping
        group whose leader it is wakes.
        """
        self._core.clock(now)
        core = self._core
        if self._server.leader is not None:
            progress = self._server.leader.replication.peers.get(peer)
            if progress is not None:
                self._server.leader.replication.unreachable(progress)
        elif core.quiescent and peer == core.leader:
            self._server.wake()

    def snapshot_failed(self, peer: str, now: float) -> None:
        """Note that a snapshot can't be brought to a follower: it is tried again later."""
        self._core.clock(now)
        if self._server.leader is not None:
            progress = self._server.leader.replication.peers.get(peer)
            if progress is not None:
                self._server.leader.replication.snapshot_failed(progress)

    # --- inputs from the application: the log ------------------------------------------------

    def propose(self, payload: bytes, now: float) -> LogId:
        """Have a command appended to the log of all servers.

        Returns:
            Where it stands. It is committed when `EntriesCommitted` has an entry there of this
            term, lost when `ProposalsLost` says so, and as long as neither came it is open.

        Raises:
            NotLeader: Ask the one that `leader` names.
            ProposalDropped: It did not enter the log, for the reason given.
        """
        core, leader = self._core, self._server.leader
        size = check_payload(payload, core.config.payload_size_max)
        if leader is None:
            raise NotLeader(core.leader)
        index = leader.propose((payload,), size, now)
        if core.quiescent:
            self._server.wake()
        return LogId(core.term, index)

    def propose_many(self, payloads: Sequence[bytes], now: float) -> LogIds:
        """Propose several commands, which will stand one behind the other; see `propose`."""
        core = self._core
        checked, size = check_payloads(payloads, core.config.payload_size_max)
        if self._server.leader is None:
            raise NotLeader(core.leader)
        first = self._server.leader.propose(checked, size, now)
        self._server.wake_if_quiescent()
        return LogIds(core.term, first, first + len(checked) - 1)

    def forward(self, payloads: Sequence[bytes], now: float) -> int:
        """Propose here or, if another leads, there; see `Config.forwarding`.

        Returns:
            A number that `ForwardFinished` repeats.

        Raises:
            ProposalDropped: Forwarding is off, too many wait, or no leader is known.
        """
        checked, size = check_payloads(payloads, self._core.config.payload_size_max)
        number = self._server.forwarding.forward(checked, size, now)
        self._server.wake_if_quiescent()
        return number

    def read(self, now: float, *, lease: bool = False) -> int:
        """Begin a linearizable read, at any server.

        Args:
            now: The present time.
            lease: Whether the leader may answer without asking others, while it has a lease
                (`Config.lease_reads`); without one the read goes the long way.

        Returns:
            A number that `ReadReady` or `ReadFailed` repeats.

        Raises:
            ReadRefused: Too many reads wait, or leases are switched off.
        """
        number = self._server.reads.read(now, lease=lease)
        self._server.wake_if_quiescent()
        return number

    def compact(self, index: int, data: SnapshotData, now: float) -> None:
        """Replace the log up to `index` by a snapshot of the application's state there.

        Some entries are kept behind it in memory (`Config.trailing_entries`).

        Args:
            index: Last index that the state has seen; at most what was handed out.
            data: The state, in the application's format.
            now: The present time.

        Outputs: `Persist` with the snapshot.

        Raises:
            CompactionRefused: Not all up to `index` was handed out, or a newer snapshot is there.
        """
        core = self._core
        check_snapshot(index, data)
        if index > core.applied:
            raise CompactionRefused(f"only entries up to {core.applied} were handed out")
        if index <= (core.snapshot.index if core.snapshot is not None else 0):
            raise CompactionRefused(f"there is a snapshot of index {index} or later already")
        self._core.clock(now)
        found = core.log.configuration_at(index)
        if found is None and core.snapshot is None:
            found = 0, Configuration()
        elif found is None:
            assert core.snapshot is not None
            found = core.snapshot.configuration_index, core.snapshot.configuration
        term = core.log.term_at(index)
        assert term is not None
        core.snapshot = Snapshot(index, term, found[1], found[0], data)
        base = max(core.log.base_index, index - core.config.trailing_entries)
        self._server.applying.settle(base)
        core.log.compact(base)
        self._server.durability.compacted(core.snapshot)

    # --- inputs from the application: the cluster --------------------------------------------

    def bootstrap(self, configuration: Configuration, now: float) -> None:
        """Found a cluster: the configuration becomes the first entry of the log.

        Do this on one of its voters, or on several with the very same configuration. The others
        learn it from the leader. Never do it on a server that is to join a cluster.

        Raises:
            AlreadyBootstrapped: The server has a log or has been in a term.
        """
        core = self._core
        check_configuration(configuration)
        if core.term or core.log.last_index:
            raise AlreadyBootstrapped(f"{core.id} is in term {core.term} already")
        self._core.clock(now)
        self._server.elections.become_follower(1, None, Cause.FORCED)
        self._adopt(configuration)

    def change(
        self,
        change: Change | Iterable[SingleChange],
        now: float,
        *,
        expected_index: int | None = None,
    ) -> LogId:
        """Have the membership changed; on the leader only.

        Args:
            change: What to change.
            now: The present time.
            expected_index: If given, the `configuration_index` that the change was made for.

        Returns:
            Where it stands; `ConfigurationChanged` tells that it is in force. It is lost when
            `ProposalsLost` says so.

        Raises:
            NotLeader: Ask the one that `leader` names.
            ChangePending: An earlier change has to come into force first.
            ConfigurationMismatch: The configuration is not the expected one.
            ChangeRefused: The configuration does not allow it.
            ProposalDropped: Leadership is being transferred.
        """
        checked = check_change(change)
        if self._server.leader is None:
            raise NotLeader(self._core.leader)
        log_id = self._server.leader.change(checked, expected_index, now)
        self._server.wake_if_quiescent()
        return log_id

    def transfer(self, to: str, now: float) -> None:
        """Have another server lead; a follower passes the wish on to its leader.

        Outputs: `TransferFinished` on the leader, by `Config.transfer_timeout` at the latest.
        Until then it takes no proposals.

        Raises:
            TransferRefused: The server can't lead, or does so already.
            NotLeader: No leader is known to pass the wish on to.
        """
        core = self._core
        check_id(to)
        if self._server.leader is None and core.leader is None:
            raise NotLeader
        if self._server.leader is not None:
            self._server.leader.transfer(to, now)
        else:
            assert core.leader is not None
            core.clock(now)
            core.send(TransferLeadership(core.leader, core.id, 0, to))
        self._server.wake_if_quiescent()

    def campaign(self, now: float) -> None:
        """Try to be elected without waiting for the timer.

        Raises:
            CampaignRefused: It may not, for the reason given.
        """
        reason = self._server.elections.may_campaign(max(self._core.now, check_time(now)))
        if reason:
            raise CampaignRefused(reason)
        self._core.clock(now)
        self._server.wake_if_quiescent()
        self._server.elections.campaign(Cause.CAMPAIGN)

    def step_down(self, now: float) -> None:
        """Lead no longer; `transfer` is the gentle way.

        Raises:
            NotLeader: It doesn't.
        """
        if self._server.leader is None:
            raise NotLeader(self._core.leader)
        self._core.clock(now)
        self._server.step_down(Cause.STEPPED_DOWN)

    def forget_leader(self, now: float) -> None:
        """Believe that the leader is gone, so that another can be elected at once.

        Raises:
            CampaignRefused: The leader may have a lease.
        """
        core = self._core
        if core.config.lease_reads:
            raise CampaignRefused("the leader may have a lease")
        self._core.clock(now)
        if core.role is FOLLOWER:
            self._server.wake_if_quiescent()
            core.follow(None)

    def unsafe_force_configuration(self, configuration: Configuration, now: float) -> LogId:
        """Make this server's log the truth, and give it a new configuration. UNSAFE.

        Only for a cluster of which a quorum is lost for good. What the lost servers had committed
        and this one lacks is lost; what this one had and was never committed, is. Do it on the one
        server with the longest log of the latest term; all others must never come back with
        their data.

        Raises:
            ValueError: The configuration doesn't let this server lead.
            CampaignRefused: There is no later term to lead in.
        """
        core = self._core
        check_configuration(configuration)
        if not configuration.is_electable(core.id):
            raise ValueError(f"{core.id} must be a voter that may lead")
        if core.term + 2 > TERM_MAX:  # one for the configuration, one to be elected in
            raise CampaignRefused("the last term of all is reached")
        self._core.clock(now)
        self._server.wake_if_quiescent()
        core.regressed = False
        self._server.elections.become_follower(core.term + 1, None, Cause.FORCED)
        self._adopt(configuration)
        return LogId(core.term, core.log.last_index)

    def _adopt(self, configuration: Configuration) -> None:
        """Append a configuration and take our whole log for committed."""
        core = self._core
        core.log.append_mark(core.term, configuration)
        core.commit = core.log.last_index
        self._server.durability.changed()

    def reload(self, config: Config, now: float) -> None:
        """Go on with other timings, limits and switches; without a restart, and in any role.

        Reads, transfers and forwarded proposals that wait keep their deadlines, and a snapshot
        that is being sent its chunks.

        Raises:
            ValueError: `Config.check_reload` refuses.
        """
        if not isinstance(config, Config):
            raise TypeError(f"not a Config: {config!r}")
        self._core.config.check_reload(config)
        self._core.clock(now)
        self._server.reload(config)

    # --- inputs from the application: sleep --------------------------------------------------

    def quiesce(self, now: float) -> bool:
        """Put an idle group to sleep: no heartbeats, no timers, until something happens.

        Any proposal, read, change or message of a server that is awake wakes it. As nobody
        watches the leader, the driver must report a dead one to its followers (`unreachable`).

        Returns:
            Whether the group sleeps: only a leader can have it so, and only if all members have
            everything and nothing waits.
        """
        self._core.clock(now)
        core, leader = self._core, self._server.leader
        if leader is None or not core.config.quiescence or not self._server.reads.is_idle:
            return core.quiescent
        return leader.quiesce()

    def wake(self, now: float) -> None:
        """Wake a sleeping group."""
        self._core.clock(now)
        self._server.wake_if_quiescent()
