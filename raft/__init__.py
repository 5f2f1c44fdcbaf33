"""Raft consensus as a pure state machine: replicated logs without sockets, disk, clock or threads.

You own the transport, the disk and the time; `Raft` owns the protocol. Its contract:

- **Inputs** (`receive`, `persisted`, `handle_timeout`, `propose`, `read`, ...) take `now`, seconds
  on any monotonic clock, as their last positional argument; options follow it. They return
  nothing, or a handle.
- **`poll()`** returns one output at a time until None. Outputs are effects for the driver
  (`SendMessage`, `Persist`) and events for the application, in the order in which they happened.
  Polling decides nothing, whenever it is done; what is new between two polls travels together: a
  thousand proposals are one `Persist`, one message to each follower, one `EntriesCommitted`.
- **`Persist`** has to be written and reported by `persisted(seq, now)`. What depends on it stays
  inside until then: any output may be sent at once, and a forgotten report stalls, but never
  loses anything.
- **`next_timeout()`** is when `handle_timeout` is due, or None; early calls change nothing.
- **Peers can't make it raise.** What can't be taken is dropped, counted and told
  (`MessageRejected`). A caller's mistake raises, and has changed nothing.
- **The same inputs give the same outputs**: all chance comes from the `rng` passed in.
- **Everything ends in an outcome**: proposals are committed, lost or unknown; reads are ready or
  failed; changes and transfers tell how they ended.

Messages are objects; `raft.codec` turns them into bytes and back, `raft.wal` does so for what is
on disk, `raft.sessions` applies each command of a client once, `raft.promotion` tells when a
learner has caught up. A driver that runs many groups collects the messages of one pass over them
by `SendMessage.to` and packs them with `raft.codec.encode_batch`, so that one frame carries the
heartbeats of all groups to a server; `Raft.quiesce` stops those of idle groups altogether.

Where to look: `raft.raft` has all inputs and queries, `raft.outputs` what comes of them,
`raft.messages` what servers say to each other. `raft.server` is the paper, a section to a module;
`raft.membership` has configurations and quorums, `raft.testing` a simulator for what you build.

>>> from random import Random
>>> server = Raft("n1", Config(), rng=Random(1), now=0.0)
>>> def run():
...     while (output := server.poll()) is not None:
...         match output:
...             case Persist(seq=seq):
...                 server.persisted(seq, 0.0)  # once it is on disk
...             case EntriesCommitted():
...                 yield from output.commands()
>>> server.bootstrap(Configuration(voters=["n1"]), 0.0)
>>> list(run())
[]
>>> server.campaign(0.0)
>>> list(run()), server.role
([], <Role.LEADER: 'leader'>)
>>> server.propose(b"set x 1", 0.0)
LogId(term=2, index=3)
>>> list(run())  # behind the configuration and the empty entry that a leader begins with
[(3, b'set x 1')]
"""

from __future__ import annotations

from raft.config import Config
from raft.entries import Entries, Entry, EntryKind, LogId, LogIds
from raft.errors import (
    AlreadyBootstrapped,
    CampaignRefused,
    ChangePending,
    CompactionRefused,
    ConfigurationMismatch,
    Drop,
    NotLeader,
    ProposalDropped,
    RaftError,
    ReadRefused,
    StoredInvalid,
    TransferRefused,
    UnknownSequence,
)
from raft.membership.changes import (
    AddLearner,
    AddVoter,
    AddWitness,
    Change,
    ChangeRefusal,
    ChangeRefused,
    DemoteVoter,
    PromoteLearner,
    RemoveMember,
    Transition,
)
from raft.membership.configuration import Configuration
from raft.messages import Message, Refusal
from raft.outputs import (
    BacklogDrained,
    Cause,
    ConfigurationChanged,
    Effect,
    ElectionFailed,
    EntriesCommitted,
    Event,
    ForwardFinished,
    LeaderChanged,
    LogRegression,
    MessageRejected,
    Outcome,
    Output,
    Persist,
    ProposalsExpired,
    ProposalsLost,
    QuiescenceChanged,
    ReadFailed,
    ReadFailure,
    ReadReady,
    Role,
    RoleChanged,
    SendMessage,
    SnapshotInstalled,
    TransferFinished,
    TransferOutcome,
)
from raft.raft import Raft
from raft.server.progress import ProgressState
from raft.stats import Stats
from raft.status import PeerStatus, Status
from raft.stored import HardState, Snapshot, Stored

__all__ = [
    "AddLearner",
    "AddVoter",
    "AddWitness",
    "AlreadyBootstrapped",
    "BacklogDrained",
    "CampaignRefused",
    "Cause",
    "Change",
    "ChangePending",
    "ChangeRefusal",
    "ChangeRefused",
    "CompactionRefused",
    "Config",
    "Configuration",
    "ConfigurationChanged",
    "ConfigurationMismatch",
    "DemoteVoter",
    "Drop",
    "Effect",
    "ElectionFailed",
    "Entries",
    "EntriesCommitted",
    "Entry",
    "EntryKind",
    "Event",
    "ForwardFinished",
    "HardState",
    "LeaderChanged",
    "LogId",
    "LogIds",
    "LogRegression",
    "Message",
    "MessageRejected",
    "NotLeader",
    "Outcome",
    "Output",
    "PeerStatus",
    "Persist",
    "ProgressState",
    "PromoteLearner",
    "ProposalDropped",
    "ProposalsExpired",
    "ProposalsLost",
    "QuiescenceChanged",
    "Raft",
    "RaftError",
    "ReadFailed",
    "ReadFailure",
    "ReadReady",
    "ReadRefused",
    "Refusal",
    "RemoveMember",
    "Role",
    "RoleChanged",
    "SendMessage",
    "Snapshot",
    "SnapshotInstalled",
    "Stats",
    "Status",
    "Stored",
    "StoredInvalid",
    "TransferFinished",
    "TransferOutcome",
    "TransferRefused",
    "Transition",
    "UnknownSequence",
]
