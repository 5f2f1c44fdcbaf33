"""A replicated, ordered key-value tree with revisions, watches, sessions and transactions.

`Store` is a state machine for a log that others agree on: no network, no clock, no disk. Its
contract, a cell's, since it has neither outputs nor timers:

1. `apply` is the one input. The same commands with the same indexes and times give the same
   answers, changes, digests and snapshots, byte for byte, on every replica.
2. What a log may hold is answered, refusals included: a refusal says why, as data, and changed
   nothing. What raises is a mistake of the program, and changed nothing either.
3. Time is `now`, milliseconds that the proposer put into the log; nothing ends unless a `Tick`
   says so, and `next_deadline` tells when one is worth proposing.
4. One index is the token for compare-and-set, the revision of the history, the mark to wait
   from, the fencing token and the point of a snapshot. It never goes back.
5. Reads are pure. `query` reads by the rights of an actor, the others by those of the program.
6. Every limit that can change an answer is in `Config`, which is part of the state.

`Watches` is a machine of its own beside a store, local to a replica: publish to it what was
applied, poll it, and call `handle_timeout` at `next_timeout`. `SnapshotWriter` and
`SnapshotReader` turn a store into bytes while writes go on, and back. `kvstore.dialects` speaks as
Consul, etcd and ZooKeeper do.

>>> store = Store()
>>> put = store.apply(Put("web/port", b"80"))
>>> store.apply(Put("web/port", b"81", cas=put.index)).ok
True
>>> str(store.apply(Put("web/port", b"82", cas=put.index)).result)
"'web/port' is at revision 2, not 1"
>>> [event.entry.value for event in store.changes_since(0)]
[b'80', b'81']
"""

from __future__ import annotations

from kvstore.acl.access import AclMode, Right
from kvstore.acl.language import parse_rules
from kvstore.acl.legacy import legacy_token
from kvstore.acl.rules import Level, Policy, Role, Rule, Token
from kvstore.change import Cause, Event
from kvstore.codec.codec import (
    decode_command,
    decode_result,
    encode_command,
    encode_result,
    read_command,
)
from kvstore.commands import (
    KEEP,
    Check,
    Command,
    Compact,
    Configure,
    Count,
    Create,
    Delete,
    DeleteRange,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Get,
    Invalidate,
    Keys,
    Lock,
    Noop,
    Operation,
    Put,
    Range,
    Rebase,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Tick,
    Touch,
    Txn,
    Unknown,
    Unlock,
)
from kvstore.config import Config
from kvstore.entry import Entry
from kvstore.errors import (
    CompactedRevision,
    DecodeError,
    FutureRevision,
    ImportRefused,
    KvstoreError,
    RulesError,
    StaleIndex,
    TooManyWatches,
    UnknownWatch,
    WatchExists,
)
from kvstore.refusals import (
    BadTtl,
    CasMismatch,
    CheckFailed,
    Compacted,
    Delayed,
    Denied,
    Exists,
    Future,
    Held,
    Malformed,
    NoSession,
    NotFound,
    NotHeld,
    OverAlready,
    QuotaExceeded,
    Refusal,
    SessionExists,
    TooDeep,
    TooLarge,
    TooManyOperations,
    TxnError,
    TxnFailed,
    Unsupported,
    VersionMismatch,
)
from kvstore.results import (
    Applied,
    CheckOk,
    CloseOk,
    CompactOk,
    ConfigureOk,
    CountOk,
    DeleteOk,
    Fencing,
    GetOk,
    KeysOk,
    LockOk,
    Ok,
    PutOk,
    RangeOk,
    RebaseOk,
    RenewOk,
    Result,
    SessionOk,
    Success,
    TickOk,
    TouchOk,
    TxnOk,
    UnlockOk,
)
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.state.sessions import Session
from kvstore.store import Stats, Store
from kvstore.watches.values import WaitDone, WatchBatch, WatchSpec
from kvstore.watches.watches import Watches

__all__ = [
    "KEEP",
    "AclMode",
    "Applied",
    "BadTtl",
    "CasMismatch",
    "Cause",
    "Check",
    "CheckFailed",
    "CheckOk",
    "CloseOk",
    "Command",
    "Compact",
    "CompactOk",
    "Compacted",
    "CompactedRevision",
    "Config",
    "Configure",
    "ConfigureOk",
    "Count",
    "CountOk",
    "Create",
    "DecodeError",
    "Delayed",
    "Delete",
    "DeleteOk",
    "DeleteRange",
    "Denied",
    "DropPolicy",
    "DropQuota",
    "DropRole",
    "DropToken",
    "Entry",
    "Event",
    "Exists",
    "Fencing",
    "Future",
    "FutureRevision",
    "Get",
    "GetOk",
    "Held",
    "ImportRefused",
    "Invalidate",
    "Keys",
    "KeysOk",
    "KvstoreError",
    "Level",
    "Lock",
    "LockOk",
    "Malformed",
    "NoSession",
    "Noop",
    "NotFound",
    "NotHeld",
    "Ok",
    "Operation",
    "OverAlready",
    "Policy",
    "Put",
    "PutOk",
    "QuotaExceeded",
    "Range",
    "RangeOk",
    "Rebase",
    "RebaseOk",
    "Refusal",
    "RenewOk",
    "Result",
    "Right",
    "Role",
    "Rule",
    "RulesError",
    "Session",
    "SessionClose",
    "SessionExists",
    "SessionOk",
    "SessionOpen",
    "SessionRenew",
    "SetPolicy",
    "SetQuota",
    "SetRole",
    "SetToken",
    "SnapshotReader",
    "SnapshotWriter",
    "StaleIndex",
    "Stats",
    "Store",
    "Success",
    "Tick",
    "TickOk",
    "Token",
    "TooDeep",
    "TooLarge",
    "TooManyOperations",
    "TooManyWatches",
    "Touch",
    "TouchOk",
    "Txn",
    "TxnError",
    "TxnFailed",
    "TxnOk",
    "Unknown",
    "UnknownWatch",
    "Unlock",
    "UnlockOk",
    "Unsupported",
    "VersionMismatch",
    "WaitDone",
    "WatchBatch",
    "WatchExists",
    "WatchSpec",
    "Watches",
    "decode_command",
    "decode_result",
    "encode_command",
    "encode_result",
    "legacy_token",
    "parse_rules",
    "read_command",
]
