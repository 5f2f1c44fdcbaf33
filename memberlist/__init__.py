"""SWIM membership with Lifeguard, as a pure state machine that speaks memberlist's wire format.

The contract, which every machine of Shoal obeys, counted as in the README:

1. *Inputs* change state, take `now` as their last positional argument and return None or a
   handle. *Queries* are pure. `poll` pops one output.
2. After every input, or a batch of them, call `poll` until it returns None. A forgotten poll is a
   delay, never a loss.
3. Then sleep until `next_timeout` and call `handle_timeout`: early does nothing, late fires each
   timer once.
4. `now` is seconds on any monotonic clock of the caller's; an older one counts as the newest seen.
5. The same arguments, seed and inputs give the same outputs, byte for byte.
6. Effects (`SendDatagram`, `OpenStream`, `SendStream`, `CloseStream`) are for the driver and may
   fail; everything else is an event for the application.
7. A peer's bytes never raise: they are believed, or dropped with an event and a counter.
8. A caller's mistake raises before anything changed.
9. Every queue has a named limit in `Config`.
10. After `MemberlistLeft` inputs are ignored until `rejoin`.

One owner, no callbacks; any input is legal at any time, also while handling an output.

Two members that find each other, with the network done by hand:

>>> import random
>>> from memberlist.testing import Cluster
>>> cluster = Cluster(seed=1)
>>> a, b = cluster.add("a"), cluster.add("b")
>>> _ = cluster.join("b", "a")
>>> cluster.run(1.0)
>>> [node.name for node in cluster.machine("a").members]
['a', 'b']
"""

from __future__ import annotations

from memberlist.config import Config
from memberlist.errors import (
    DecodeError,
    KeyringError,
    MemberlistError,
    NotRunning,
    PayloadTooLarge,
    QueueFull,
    UnknownMember,
)
from memberlist.memberlist import Memberlist
from memberlist.node import Address, Node, NodeState, parse_address
from memberlist.outputs import (
    AccusationRefuted,
    BroadcastFinished,
    BroadcastOutcome,
    CloseStream,
    Effect,
    Event,
    Evidence,
    HealthChanged,
    JoinFinished,
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    MemberlistLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    MergeRefused,
    MessageDelivered,
    MessageFailed,
    MessageReceived,
    NameConflict,
    NodeRefused,
    OpenStream,
    Output,
    PacketRejected,
    PingCompleted,
    PingFailed,
    ProbeFailed,
    ProbeRecord,
    SeedOutcome,
    SendDatagram,
    SendStream,
    StreamRejected,
    SuspicionConfirmed,
    UserStateReceived,
)
from memberlist.security import Keyring
from memberlist.stats import Stats

__all__ = [
    "AccusationRefuted",
    "Address",
    "BroadcastFinished",
    "BroadcastOutcome",
    "CloseStream",
    "Config",
    "DecodeError",
    "Effect",
    "Event",
    "Evidence",
    "HealthChanged",
    "JoinFinished",
    "Keyring",
    "KeyringError",
    "MemberFailed",
    "MemberForgotten",
    "MemberJoined",
    "MemberLeft",
    "MemberRefuted",
    "MemberSuspected",
    "MemberUpdated",
    "Memberlist",
    "MemberlistError",
    "MemberlistLeft",
    "MergeRefused",
    "MessageDelivered",
    "MessageFailed",
    "MessageReceived",
    "NameConflict",
    "Node",
    "NodeRefused",
    "NodeState",
    "NotRunning",
    "OpenStream",
    "Output",
    "PacketRejected",
    "PayloadTooLarge",
    "PingCompleted",
    "PingFailed",
    "ProbeFailed",
    "ProbeRecord",
    "QueueFull",
    "SeedOutcome",
    "SendDatagram",
    "SendStream",
    "Stats",
    "StreamRejected",
    "SuspicionConfirmed",
    "UnknownMember",
    "UserStateReceived",
    "parse_address",
]
