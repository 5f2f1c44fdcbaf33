"""What Consul's HTTP interface tells and takes, as plain values with its field names."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

Behavior: TypeAlias = Literal["release", "delete"]

Verb: TypeAlias = Literal[
    "set",
    "cas",
    "lock",
    "unlock",
    "get",
    "get-or-empty",
    "get-tree",
    "check-index",
    "check-session",
    "check-not-exists",
    "delete",
    "delete-tree",
    "delete-cas",
]


class ConsulError(Exception):
    """An answer that is no success. It changed nothing.

    Attributes:
        status: Of HTTP.
        message: In Consul's words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@attrs.frozen
class KVPair:
    """One entry. An empty value is None, and so is one that is not told."""

    key: str
    value: bytes | None
    flags: int = 0
    create_index: int = 0
    modify_index: int = 0
    lock_index: int = 0
    session: str = ""


@attrs.frozen
class SessionEntry:
    """One session; `ttl` and `lock_delay` in seconds, 0 for no ttl."""

    id: str
    name: str
    node: str
    checks: tuple[str, ...]
    behavior: Behavior
    ttl: float
    lock_delay: float
    create_index: int


@attrs.frozen
class KVOp:
    """One operation of a transaction; `index` is of cas, delete-cas and check-index."""

    verb: Verb
    key: str
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""


@attrs.frozen
class TxnError:
    """What one operation was refused for."""

    op_index: int
    what: str


@attrs.frozen
class TxnAnswer:
    """Results, or errors: never both."""

    results: tuple[KVPair, ...] = ()
    errors: tuple[TxnError, ...] = ()
