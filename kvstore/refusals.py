"""Why a command was refused: data that explains, never a bare false.

A refusal is a result: it is the same on every replica, and it changed nothing but the applied
index and the clock. Each has a `code`, one stable word for programs, and reads as a sentence
with `str()`.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from kvstore.entry import Entry


class Refusal:
    """Base of all refusals.

    Attributes:
        code: One stable word.
    """

    __slots__ = ()

    code: ClassVar[str] = "refused"


@attrs.frozen
class CasMismatch(Refusal):
    """The key's `mod_revision` is not the one asked for.

    Attributes:
        key: The key.
        expected: The `mod_revision` that was asked for, 0 for "absent".
        current: The entry as it is, or None if absent.
    """

    code = "cas_mismatch"
    key: str
    expected: int
    current: Entry | None

    def __str__(self) -> str:
        found = 0 if self.current is None else self.current.mod_revision
        return f"{self.key!r} is at revision {found}, not {self.expected}"


@attrs.frozen
class VersionMismatch(Refusal):
    """The key's `version` is not the one asked for.

    Attributes:
        key: The key.
        expected: The `version` that was asked for, 0 for "absent".
        current: The entry as it is, or None if absent.
    """

    code = "version_mismatch"
    key: str
    expected: int
    current: Entry | None

    def __str__(self) -> str:
        found = 0 if self.current is None else self.current.version
        return f"{self.key!r} has version {found}, not {self.expected}"


@attrs.frozen
class Exists(Refusal):
    """The key is there already.

    Attributes:
        current: The entry as it is.
    """

    code = "exists"
    current: Entry

    def __str__(self) -> str:
        return f"{self.current.key!r} exists since revision {self.current.create_revision}"


@attrs.frozen
class NotFound(Refusal):
    """The key is absent, and the operation needs it.

    Attributes:
        key: The key.
    """

    code = "not_found"
    key: str

    def __str__(self) -> str:
        return f"{self.key!r} does not exist"


@attrs.frozen
class Held(Refusal):
    """Another session holds the lock.

    Attributes:
        key: The key.
        by: The session that holds it.
        since: The revision at which it took it.
    """

    code = "held"
    key: str
    by: str
    since: int

    def __str__(self) -> str:
        return f"{self.key!r} is held by session {self.by!r} since revision {self.since}"


@attrs.frozen
class Delayed(Refusal):
    """The last holder's session ended without unlocking, and its lock-delay runs.

    Attributes:
        key: The key.
        until: Logical time in milliseconds from which the lock can be taken.
        now: Logical time of the refusal.
    """

    code = "delayed"
    key: str
    until: int
    now: int

    def __str__(self) -> str:
        return f"{self.key!r} cannot be locked for another {self.until - self.now} ms"


@attrs.frozen
class NotHeld(Refusal):
    """The session does not hold the lock it wants to give back.

    Attributes:
        key: The key.
        by: The session that holds it, or "" for none.
    """

    code = "not_held"
    key: str
    by: str

    def __str__(self) -> str:
        if not self.by:
            return f"{self.key!r} is not locked"
        return f"{self.key!r} is held by session {self.by!r}"


@attrs.frozen
class NoSession(Refusal):
    """There is no such session, or there is none any more.

    Attributes:
        session: Its id.
    """

    code = "no_session"
    session: str

    def __str__(self) -> str:
        return f"there is no session {self.session!r}"


@attrs.frozen
class SessionExists(Refusal):
    """A session has this id already.

    Attributes:
        session: Its id.
    """

    code = "session_exists"
    session: str

    def __str__(self) -> str:
        return f"session {self.session!r} exists"


@attrs.frozen
class BadTtl(Refusal):
    """A session's ttl is out of the configured range.

    Attributes:
        ttl: Milliseconds that were asked for.
        minimum: Milliseconds at least.
        maximum: Milliseconds at most.
    """

    code = "bad_ttl"
    ttl: int
    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"a ttl of {self.ttl} ms is not within {self.minimum} to {self.maximum} ms"


@attrs.frozen
class CheckFailed(Refusal):
    """A check that had to pass did not.

    Attributes:
        key: The first key that did not pass, or what was selected if nothing was there.
        current: The entry as it is, or None if absent.
    """

    code = "check_failed"
    key: str
    current: Entry | None

    def __str__(self) -> str:
        return f"the check of {self.key!r} failed"


@attrs.frozen
class Compacted(Refusal):
    """The revision is below the floor of the history.

    Attributes:
        revision: The one asked for.
        floor: The oldest that can be read.
    """

    code = "compacted"
    revision: int
    floor: int

    def __str__(self) -> str:
        return f"revision {self.revision} is compacted, the oldest kept is {self.floor}"


@attrs.frozen
class Future(Refusal):
    """The revision is not there yet.

    Attributes:
        revision: The one asked for.
        newest: The newest that can be read.
    """

    code = "future"
    revision: int
    newest: int

    def __str__(self) -> str:
        return f"revision {self.revision} is in the future, the newest is {self.newest}"


@attrs.frozen
class TooLarge(Refusal):
    """A key, a value or a list is larger than the configuration allows.

    Attributes:
        what: What is too large.
        size: Bytes or items it has.
        limit: Bytes or items it may have.
    """

    code = "too_large"
    what: str
    size: int
    limit: int

    def __str__(self) -> str:
        return f"{self.what} has a size of {self.size}, the limit is {self.limit}"


@attrs.frozen
class QuotaExceeded(Refusal):
    """A subtree would hold more than its quota allows.

    Attributes:
        prefix: The quota's prefix.
        what: "keys" or "bytes".
        limit: How much the subtree may hold.
        wanted: How much it would hold.
    """

    code = "quota"
    prefix: str
    what: str
    limit: int
    wanted: int

    @property
    def over_by(self) -> int:
        """How much too much it would be."""
        return self.wanted - self.limit

    def __str__(self) -> str:
        return (
            f"{self.prefix!r} would hold {self.wanted} {self.what}, "
            f"{self.over_by} more than its quota of {self.limit}"
        )


@attrs.frozen
class OverAlready(Refusal):
    """A quota would be below what its subtree holds already.

    Attributes:
        prefix: The quota's prefix.
        what: "keys" or "bytes".
        limit: How much it would allow.
        current: How much the subtree holds.
    """

    code = "over_already"
    prefix: str
    what: str
    limit: int
    current: int

    def __str__(self) -> str:
        return f"{self.prefix!r} holds {self.current} {self.what} already, over {self.limit}"


@attrs.frozen
class Denied(Refusal):
    """The access control list says no.

    Attributes:
        operation: What was to be done, such as "put".
        label: To what: a key, the first of a range, a session's node; empty for the store.
        reason: Which rule of which policy decided, in words.
    """

    code = "denied"
    operation: str
    label: str
    reason: str

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class TooManyOperations(Refusal):
    """A transaction has more operations and checks than the configuration allows.

    Attributes:
        limit: How many it may have, with nested ones.
        got: How many it has; of nested ones, those of the levels up to the one that is too much.
    """

    code = "too_many_operations"
    limit: int
    got: int

    def __str__(self) -> str:
        return f"a transaction of {self.got} operations, the limit is {self.limit}"


@attrs.frozen
class TooDeep(Refusal):
    """Transactions are nested deeper than the configuration allows.

    Attributes:
        limit: Levels there may be.
    """

    code = "too_deep"
    limit: int

    def __str__(self) -> str:
        return f"transactions are nested deeper than {self.limit} levels"


@attrs.frozen
class Malformed(Refusal):
    """A field of the command is of a wrong type, out of range, or contradicts another.

    Attributes:
        field: The field.
        reason: What is wrong with it.
    """

    code = "malformed"
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


@attrs.frozen
class Unsupported(Refusal):
    """The store does not know such a command, or may not use it yet.

    Attributes:
        kind: The command's kind.
        reason: Why not.
    """

    code = "unsupported"
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} is not supported: {self.reason}"


@attrs.frozen
class TxnError:
    """One refusal in a transaction.

    Attributes:
        path: Where: the branch and the position in it, for each level, such as
            `("then", 2, "otherwise", 0)`; `("when", 0)` for a check that is malformed, and empty
            for what concerns the transaction as a whole, such as a quota.
        refusal: Why.
    """

    path: tuple[str | int, ...]
    refusal: Refusal

    @property
    def code(self) -> str:
        """The refusal's code."""
        return self.refusal.code

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.refusal}"


@attrs.frozen
class TxnFailed(Refusal):
    """A transaction did nothing, because operations in it refused.

    Attributes:
        errors: Every refusal in the order of execution. Later ones may follow from earlier ones.
    """

    code = "txn_failed"
    errors: tuple[TxnError, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))
