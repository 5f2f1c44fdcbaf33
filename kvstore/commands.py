"""The commands: everything that may stand in a log, as plain values.

A command says what is wanted and nothing about when, where or by whom: the index, the time and
the actor come beside it, to `Store.apply`. Nothing is checked here, because a log may hold what a
program never built: a field of a wrong type, out of range or too large is refused by the store,
as a result, on every replica alike.

Commands are immutable. Those that come by the hundred thousand are built by a plain constructor,
at a third of the cost of a frozen one; nothing may assign to their fields either.

Selections are the same everywhere: either `prefix` (plain text, "" selects everything) or
`start`, a key, and `end`, the first key beyond, or None for no end.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

import attrs

from kvstore.acl.access import Policy, Role, Token
from kvstore.config import Config


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""Leaves a field of the entry as it is; what a new entry starts with if there is none."""

OnEnd: TypeAlias = Literal["release", "delete"]
SequenceMode: TypeAlias = Literal["counter", "revision"]
Target: TypeAlias = Literal["exists", "value", "create", "mod", "version", "lock", "owner", "flags"]
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
SortTarget: TypeAlias = Literal["key", "version", "create", "mod", "value"]


@attrs.define(unsafe_hash=True)
class Put:
    """Write a key: create it or replace what it holds.

    A write that changes nothing is answered with the entry as it is, moves no revision and wakes
    nobody. It never takes or frees a lock.

    Attributes:
        key: The key.
        value: Its new value.
        flags: Opaque number, 0 to 2**64 - 1, or KEEP.
        cas: Only if the key's `mod_revision` is this; 0 means only if the key is absent.
        if_version: Only if the key's `version` is this; 0 means only if the key is absent.
        owner: The session whose end deletes the key, None for none, or KEEP.
        ttl: Milliseconds after which the key is deleted unless it is written or touched again,
            None for never, or KEEP, which begins the same span anew.
        keep_value: Change everything but the value; refused if the key is absent.
        force: Make a revision even if nothing changes.
        want_previous: Tell the entry that was replaced.

    Answers `PutOk`, or refuses with `CasMismatch`, `VersionMismatch`, `NoSession`, `NotFound`,
    `TooLarge`, `QuotaExceeded`, `Denied`, `Malformed`.
    """

    key: str
    value: bytes = b""
    flags: int | Keep = 0
    cas: int | None = None
    if_version: int | None = None
    owner: str | Keep | None = KEEP
    ttl: int | Keep | None = KEEP
    keep_value: bool = False
    force: bool = False
    want_previous: bool = False


@attrs.define(unsafe_hash=True)
class Create:
    """Write a key that must be absent, or one whose name ends in a number that was never used.

    Attributes:
        key: The key, or what comes before the number.
        value: Its value.
        flags: Opaque number, 0 to 2**64 - 1.
        owner: The session whose end deletes the key, or None.
        ttl: Milliseconds after which the key is deleted unless written or touched, or None.
        sequence: "counter" appends the next number of the key's directory, which counts the
            names it gave; "revision" appends the index of the command in 20 digits.
        width: Digits of the counter, zero-padded; greater numbers are longer. 1 to 20.

    Answers `PutOk` with the final key, or refuses with `Exists` and as `Put` does.
    """

    key: str
    value: bytes = b""
    flags: int = 0
    owner: str | None = None
    ttl: int | None = None
    sequence: SequenceMode | None = None
    width: int = 10


@attrs.define(unsafe_hash=True)
class Delete:
    """Delete a key; an absent one is deleted already.

    Attributes:
        key: The key.
        cas: Only if the key is absent or its `mod_revision` is this.
        if_version: Only if the key is absent or its `version` is this.
        want_previous: Tell the entry that was deleted.

    Answers `DeleteOk`, or refuses with `CasMismatch`, `VersionMismatch`, `Denied`, `Malformed`.
    """

    key: str
    cas: int | None = None
    if_version: int | None = None
    want_previous: bool = False


@attrs.frozen
class DeleteRange:
    """Delete every key of a selection, as one revision, in the order of keys.

    Attributes:
        prefix: The keys that begin with this; or use `start` and `end`.
        start: The first key.
        end: The first key beyond, or None.
        limit: Delete this many at most; the answer tells where to go on. None for all.
        want_previous: Tell the entries that were deleted.

    Answers `DeleteOk`, or refuses with `Denied`, `Malformed`.
    """

    prefix: str | None = None
    start: str | None = None
    end: str | None = None
    limit: int | None = None
    want_previous: bool = False


@attrs.frozen
class Touch:
    """Begin the ttl of keys anew, without a revision.

    Attributes:
        keys: The keys; absent ones and those without a ttl are passed over.

    Answers `TouchOk`, or refuses with `Denied`, `Malformed`.
    """

    keys: tuple[str, ...]


@attrs.define(unsafe_hash=True)
class Lock:
    """Take the lock of a key for a session; the key is created if it is absent.

    Locks are advisory: writes by others go through. Taking a lock that the session holds renews
    the value only.

    Attributes:
        key: The key.
        session: The session that will hold it.
        value: Its new value, or KEEP.
        flags: Its new flags, or KEEP.

    Answers `LockOk`, or refuses with `Held`, `Delayed`, `NoSession`, `TooLarge`, `QuotaExceeded`,
    `Denied`, `Malformed`.
    """

    key: str
    session: str
    value: bytes | Keep = KEEP
    flags: int | Keep = KEEP


@attrs.define(unsafe_hash=True)
class Unlock:
    """Give back the lock of a key; no lock-delay follows.

    Attributes:
        key: The key.
        session: The session that holds it.
        value: Its new value, or KEEP.
        flags: Its new flags, or KEEP.
        delete: Delete the key in the same step.

    Answers `UnlockOk`, or refuses with `NotHeld`, `TooLarge`, `QuotaExceeded`, `Denied`,
    `Malformed`.
    """

    key: str
    session: str
    value: bytes | Keep = KEEP
    flags: int | Keep = KEEP
    delete: bool = False


@attrs.frozen
class Check:
    """Compare what a key is with what it should be. In transactions only.

    Over a selection every key must pass. An absent key, and a selection without keys, has the
    number 0, the session "" and no value: a comparison of its value never passes, not even "!=".

    Attributes:
        key: The key; or use a selection.
        target: What to compare: "exists" (a bool), "value" (bytes), "create", "mod", "version",
            "flags" (numbers), "lock" (the session that holds it) or "owner" (a session).
        operator: How.
        operand: With what, of the type of the target.
        prefix: The keys that begin with this.
        start: The first key of a range.
        end: The first key beyond, or None.

    Answers `CheckOk`, or refuses with `CheckFailed`, `Denied`, `Malformed`.
    """

    key: str | None = None
    target: Target = "exists"
    operator: Operator = "="
    operand: bool | int | str | bytes = True
    prefix: str | None = None
    start: str | None = None
    end: str | None = None


@attrs.define(unsafe_hash=True)
class Get:
    """Read one key.

    Attributes:
        key: The key.
        revision: As of this revision, or None for now.

    Answers `GetOk`, or refuses with `Compacted`, `Future`, `Denied`, `Malformed`.
    """

    key: str
    revision: int | None = None


@attrs.define(unsafe_hash=True)
class Range:
    """Read the entries of a selection.

    Work is done in this order: the keys at the revision, then the filters, then the sorting,
    then the limits. Without filters and sorting only what is returned is visited.

    Attributes:
        prefix: The keys that begin with this; or use `start` and `end`.
        start: The first key.
        end: The first key beyond, or None.
        revision: As of this revision, or None for now.
        limit: Entries at most, or None.
        after: Go on behind this key, the `next` of an earlier answer. In the order of keys only.
        max_bytes: Bytes of keys and values at most; the first entry always fits. None for all.
        keys_only: Leave the values out.
        sort: What to order by. Equal ones stay in the order of keys.
        descending: The greatest first.
        min_mod_revision: Leave out older changes, or None.
        max_mod_revision: Leave out newer changes, or None.
        min_create_revision: Leave out older creations, or None.
        max_create_revision: Leave out newer creations, or None.
        include_deleted_since: Also tell the keys deleted after this revision and absent since,
            or None. Together with `min_mod_revision` this is "what changed since".

    Answers `RangeOk`, or refuses with `Compacted`, `Future`, `Malformed`. Keys that the actor
    may not read are left out, and the answer says so, except to the anonymous actor.
    """

    prefix: str | None = None
    start: str | None = None
    end: str | None = None
    revision: int | None = None
    limit: int | None = None
    after: str | None = None
    max_bytes: int | None = None
    keys_only: bool = False
    sort: SortTarget = "key"
    descending: bool = False
    min_mod_revision: int | None = None
    max_mod_revision: int | None = None
    min_create_revision: int | None = None
    max_create_revision: int | None = None
    include_deleted_since: int | None = None


@attrs.define(unsafe_hash=True)
class Count:
    """Count the keys of a selection, without visiting them.

    Attributes:
        prefix: The keys that begin with this; or use `start` and `end`.
        start: The first key.
        end: The first key beyond, or None.
        revision: As of this revision, or None for now.

    Answers `CountOk`, or refuses with `Compacted`, `Future`, `Malformed`. With an actor whose
    rights end somewhere below the selection, only what it may read is counted, one by one.
    """

    prefix: str | None = None
    start: str | None = None
    end: str | None = None
    revision: int | None = None


@attrs.define(unsafe_hash=True)
class Keys:
    """List keys, folded at a separator like the names in a directory.

    A key whose rest behind the prefix contains the separator is cut behind it, and each cut is
    told once. What is folded away is skipped, not visited.

    Attributes:
        prefix: The keys that begin with this.
        separator: Where to fold; "" folds nothing.
        limit: Names at most, or None.
        after: Go on behind this name, the `next` of an earlier answer.
        revision: As of this revision, or None for now.

    Answers `KeysOk`, or refuses with `Compacted`, `Future`, `Malformed`.
    """

    prefix: str = ""
    separator: str = "/"
    limit: int | None = None
    after: str | None = None
    revision: int | None = None


@attrs.frozen
class Txn:
    """Run operations as one: all of a branch, or nothing.

    The checks of `when`, of all levels, are made first, on the state before; they choose the
    branches. Then the operations run in order and see each other's effects. One that refuses
    undoes everything; the others run on all the same, so that every refusal is told. A key may
    be written often: what remains is one change, one version and one event, or none.

    Attributes:
        when: Checks that choose the branch: `then` if all pass, else `otherwise`.
        then: Operations; each may be a transaction itself.
        otherwise: Operations.
        stop_at_first: Tell the first refusal only.

    Answers `TxnOk`, or refuses with `TxnFailed`, `TooManyOperations`, `TooDeep`, `Malformed`.
    """

    when: tuple[Check, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()
    stop_at_first: bool = False


@attrs.frozen
class SessionOpen:
    """Begin a session: what may hold locks and own keys.

    Attributes:
        id: Its id, or None for one made from the index of the command.
        ttl: Milliseconds of logical time until it ends unless it is renewed; None for never.
        on_end: What its end does to keys it holds locked: "release" or "delete". Keys it owns
            are deleted in any case.
        lock_delay: Milliseconds for which a key it held cannot be locked after its end; more than
            the configured maximum counts as that.
        bindings: Names of what it depends on, such as "node:web-1"; `Invalidate` ends it.
        name: For people to read.
        meta: Opaque pairs of text.

    Answers `SessionOk`, or refuses with `SessionExists`, `BadTtl`, `TooLarge`, `Denied`,
    `Malformed`.
    """

    id: str | None = None
    ttl: int | None = None
    on_end: OnEnd = "release"
    lock_delay: int = 15_000
    bindings: tuple[str, ...] = ()
    name: str = ""
    meta: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class SessionRenew:
    """Begin the ttl of sessions anew, without a revision; one command for many.

    Attributes:
        ids: The sessions; unknown ones are told in the answer.

    Answers `RenewOk`, or refuses with `Denied`, `Malformed`.
    """

    ids: tuple[str, ...]


@attrs.frozen
class SessionClose:
    """End a session; an unknown one has ended already.

    Attributes:
        id: The session.

    Answers `CloseOk`, or refuses with `Denied`, `Malformed`.
    """

    id: str


@attrs.frozen
class Invalidate:
    """End every session that has one of these bindings, in the order of their ids.

    Attributes:
        bindings: Names of what is gone, such as "node:web-1".

    Answers `CloseOk`, or refuses with `Denied`, `Malformed`.
    """

    bindings: tuple[str, ...]


@attrs.frozen
class Tick:
    """End the sessions and delete the keys whose time has come.

    Every deadline is compared with the logical clock when the command is applied: a stale or
    repeated tick changes nothing.

    Attributes:
        limit: Sessions and keys to end at most, where a session counts one and its keys; at
            least one due session or key ends. Sessions come first: while a due one does not fit,
            due keys wait as well. The answer tells whether more are due.

    Answers `TickOk`, or refuses with `Malformed`.
    """

    limit: int = 1000


@attrs.frozen
class Rebase:
    """Let the logical clock go on from where it is, by the clock of a new proposer.

    The first command of a new leader: without it a leader whose clock is ahead would end
    sessions early, and one whose clock is behind would stop time. Needs `now`. It needs no right,
    as no leader could do without: whoever proposes it at will can hold logical time back, so that
    a program takes it from no client.

    Answers `RebaseOk`, or refuses with `Malformed`.
    """


@attrs.frozen
class Compact:
    """Forget the history below a revision; reads at it and above stay possible.

    Attributes:
        revision: The new floor.

    Answers `CompactOk`, or refuses with `Compacted`, `Future`, `Denied`, `Malformed`.
    """

    revision: int


@attrs.frozen
class SetQuota:
    """Limit what a subtree may hold. All quotas above a key apply to it.

    Attributes:
        prefix: The keys that begin with this.
        max_keys: Keys at most, or None.
        max_bytes: Bytes of keys and values at most, or None.

    Answers `Ok`, or refuses with `OverAlready`, `TooLarge`, `Denied`, `Malformed`.
    """

    prefix: str
    max_keys: int | None = None
    max_bytes: int | None = None


@attrs.frozen
class DropQuota:
    """Take a quota away; one that is not there is gone already.

    Attributes:
        prefix: Its prefix.

    Answers `Ok`, or refuses with `Denied`, `Malformed`.
    """

    prefix: str


@attrs.frozen
class SetPolicy:
    """Write a policy of the access control list under its name.

    Answers `Ok`, or refuses with `Denied`, `TooLarge`, `Malformed`.
    """

    policy: Policy


@attrs.frozen
class DropPolicy:
    """Take a policy away by its name; tokens and roles that name it lose its rules.

    Answers `Ok`, or refuses with `Denied`, `Malformed`.
    """

    name: str


@attrs.frozen
class SetRole:
    """Write a role, a named list of policies, under its name.

    Answers `Ok`, or refuses with `Denied`, `TooLarge`, `Malformed`.
    """

    role: Role


@attrs.frozen
class DropRole:
    """Take a role away by its name; tokens that name it lose its policies.

    Answers `Ok`, or refuses with `Denied`, `Malformed`.
    """

    name: str


@attrs.frozen
class SetToken:
    """Write a token under its accessor, the id that commands are applied with as `actor`.

    Answers `Ok`, or refuses with `Denied`, `TooLarge`, `Malformed`.
    """

    token: Token


@attrs.frozen
class DropToken:
    """Take a token away by its accessor.

    Answers `Ok`, or refuses with `Denied`, `Malformed`.
    """

    accessor: str


@attrs.frozen
class Configure:
    """Replace the replicated configuration.

    Attributes:
        config: All of it; start from `store.config` and `attrs.evolve`.

    Answers `ConfigureOk` with the old one, or refuses with `Denied`, `Malformed`.
    """

    config: Config


@attrs.frozen
class Noop:
    """Do nothing but carry an index and a time. Answers `Ok`."""


@attrs.frozen
class Unknown:
    """What a log held and this build cannot read: a newer command, or damaged bytes.

    A decoder returns it, so that an entry which is agreed on is refused by all alike.

    Attributes:
        kind: What it seems to be.
        reason: Why it cannot be read.

    Always refused with `Unsupported`.
    """

    kind: str
    reason: str = ""


Operation: TypeAlias = (
    Put
    | Create
    | Delete
    | DeleteRange
    | Touch
    | Lock
    | Unlock
    | Check
    | Get
    | Range
    | Count
    | Keys
    | Txn
)
"""What may stand in a transaction."""

Command: TypeAlias = (
    Operation
    | SessionOpen
    | SessionRenew
    | SessionClose
    | Invalidate
    | Tick
    | Rebase
    | Compact
    | SetQuota
    | DropQuota
    | SetPolicy
    | DropPolicy
    | SetRole
    | DropRole
    | SetToken
    | DropToken
    | Configure
    | Noop
    | Unknown
)
"""What may stand in a log."""
