"""Serf's user events, queries, membership intents, tags and keys, as a pure state machine.

It speaks Serf's wire format and knows nothing of what carries it: a composite turns what
memberlist puts out into inputs, and these outputs into memberlist's commands. The contract, which
every machine of Shoal obeys, counted as in the README:

1. *Inputs* change state, take `now` as their last positional argument and return None or a
   handle. *Queries* are pure. `poll` pops one output.
2. After every input, or a batch of them, call `poll` until it returns None. A forgotten poll is a
   delay, never a loss.
3. Then sleep until `next_timeout` and call `handle_timeout`: early does nothing, late fires each
   timer once.
4. `now` is seconds on any monotonic clock of the caller's; an older one counts as the newest seen.
5. The same arguments, seed and inputs give the same outputs, byte for byte.
6. Effects (`Broadcast`, `SendReply`, `UpdateMeta`, `ChangeKeyring`, `Reconnect`, `Rejoin`,
   `LeaveMembership`, `Remember`) are for the composite or driver and may fail; everything else is
   an event for the application.
7. A peer's bytes never raise: they are believed, or dropped with an event and a counter.
8. A caller's mistake raises before anything changed.
9. Every queue has a named limit in `Config`.
10. After `Left`, a lost name or `shutdown` inputs are ignored; after `Left` until `rejoin`.

Where to look: `serfevents.serfevents` has all inputs and queries, `serfevents.outputs` what comes
of them. The rules stand in a module for each of Serf's subjects: `user_events`, `queries` (asking)
and `answers` (being asked), `membership` with the `roster` that it keeps, `keys` and `rotation`,
`conflict`; what they share is `core`. `serfevents.wire` has the messages and their bytes,
`serfevents.expressions` the regular expressions of tag filters, `serfevents.snapshots` the file
that the `records` of a `Remember` go to, `serfevents.testing` a simulator for what you build.

An event of one member that reaches another, with the gossip done by hand:

>>> import random
>>> a, b = (
...     SerfEvents(name, (f"10.0.0.{n}", 7946), rng=random.Random(n), now=0.0)
...     for n, name in enumerate("ab", start=1)
... )
>>> a.fire("deploy", b"v1.2.3", 1.0)
1
>>> while (output := a.poll()) is not None:
...     if isinstance(output, Broadcast):
...         b.receive(output.payload, a.own.address, 1.1)
>>> _ = b.poll()  # That b itself is here.
>>> while (output := b.poll()) is not None:
...     if isinstance(output, UserEventReceived):
...         print(output.name, output.payload)
deploy b'v1.2.3'
"""

from __future__ import annotations

from serfevents.config import Config
from serfevents.errors import (
    DecodeError,
    InvalidExpression,
    NotRunning,
    PayloadTooLarge,
    QueueFull,
    RotationRunning,
    SerfEventsError,
    UnknownQuery,
    UnsupportedVersion,
)
from serfevents.expressions.tag_expressions import TagExpression, compile_expression
from serfevents.members import Member, Status, is_valid_name
from serfevents.outputs import (
    Broadcast,
    Change,
    ChangeKeyring,
    Effect,
    Event,
    KeyChange,
    KeysAnswered,
    Kind,
    LeaveMembership,
    Left,
    MembersChanged,
    NameConflictDecided,
    NameConflictSeen,
    Output,
    PayloadRejected,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    Reconnect,
    Rejoin,
    Remember,
    Rotation,
    RotationAdvanced,
    RotationStopped,
    SendReply,
    Stage,
    UpdateMeta,
    UserEventReceived,
)
from serfevents.queries import default_query_timeout
from serfevents.records import Address, Recovered
from serfevents.serfevents import SerfEvents
from serfevents.stats import Stats
from serfevents.tags import decode_tags, encode_tags

__all__ = [
    "Address",
    "Broadcast",
    "Change",
    "ChangeKeyring",
    "Config",
    "DecodeError",
    "Effect",
    "Event",
    "InvalidExpression",
    "KeyChange",
    "KeysAnswered",
    "Kind",
    "LeaveMembership",
    "Left",
    "Member",
    "MembersChanged",
    "NameConflictDecided",
    "NameConflictSeen",
    "NotRunning",
    "Output",
    "PayloadRejected",
    "PayloadTooLarge",
    "QueryAcknowledged",
    "QueryAnswered",
    "QueryFinished",
    "QueryReceived",
    "QueueFull",
    "Reconnect",
    "Recovered",
    "Rejoin",
    "Remember",
    "Rotation",
    "RotationAdvanced",
    "RotationRunning",
    "RotationStopped",
    "SendReply",
    "SerfEvents",
    "SerfEventsError",
    "Stage",
    "Stats",
    "Status",
    "TagExpression",
    "UnknownQuery",
    "UnsupportedVersion",
    "UpdateMeta",
    "UserEventReceived",
    "compile_expression",
    "decode_tags",
    "default_query_timeout",
    "encode_tags",
    "is_valid_name",
]
