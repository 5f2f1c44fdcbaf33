"""The replicated configuration: every limit and switch that can change a result.

It is part of the state, changes by the `Configure` command only, and travels in snapshots: two
replicas with different limits would answer one log differently. What is local, such as the
bounds of watches, lives with what it bounds.
"""

from __future__ import annotations

from typing import Final

import attrs

from kvstore.acl.access import AclMode

FEATURE_LEVEL: Final = 1
"""What this build can do; a greater `feature_level` in a configuration is refused."""

KEY_SIZE_LIMIT: Final = 65_536
"""Bytes of a key that no configuration can exceed."""

INTEGER_MAX: Final = 2**63 - 1
UNSIGNED_MAX: Final = 2**64 - 1

TIME_MAX: Final = 2**62
"""The latest time that a proposer may tell: far beyond any clock, and leaves room for spans."""


@attrs.frozen(kw_only=True)
class Config:
    """Limits and switches of one store.

    What is not limited here is for rights and for the program to limit: how many keys, sessions,
    policies and tokens there are (`SetQuota` limits keys and bytes), in how many directories names
    were numbered, the bytes of the history (its changes are limited), and how much of the store
    one command may select.

    Attributes:
        key_size_max: Bytes of UTF-8 of a key that is created; 1 to 65,536. Keys that are there
            already may be longer, and are read, changed and deleted as any other. ZooKeeper and
            Consul state none, etcd none but the request's.
        value_size_max: Bytes of a value; 0 to 2**30. Consul: 512 KiB, etcd: 1.5 MiB.
        operations_max: Operations and checks of a transaction, nested ones included; 1 to
            1,000,000. Consul and etcd: 128.
        depth_max: Levels of nested transactions; 1 to 32.
        session_ttl_min: Milliseconds; 1 or more. Consul: 10 s, etcd: 2 s with its defaults.
        session_ttl_max: Milliseconds; at least the minimum. Consul: 24 h.
        session_grace: How many times its ttl a session lasts without renewal; 1 to 10. Consul: 2,
            etcd: 1.
        session_keys_max: Keys that one session may own or hold locked, which bounds the work of
            its end; 1 to 2**30.
        lock_delay_max: Milliseconds; 0 or more. Consul: 60 s.
        history_changes: Changes kept for reads in the past, watches and "what changed since";
            at most an eighth more (1024 at least) are kept. None keeps all until `Compact`.
            etcd: all.
        history_age: Milliseconds of logical time after which a change may be forgotten even if
            fewer are kept; None for never. etcd's periodic mode: an hour and more.
        separator: The character that parts a key into directories; changes only while the store
            is empty.
        acl: Whether access is controlled, and what holds where no rule says.
        list_needs_right: Whether ranges and lists need the right to list their prefix, besides
            reading each key. Consul: `enable_key_list_policy`.
        feature_level: What replicas may use; raised when all of them can, never lowered.

    Raises:
        TypeError: A field is of another type; the message names it.
        ValueError: A field is out of its range; the message names it.
    """

    key_size_max: int = 1024
    value_size_max: int = 512 * 1024
    operations_max: int = 128
    depth_max: int = 8
    session_ttl_min: int = 1_000
    session_ttl_max: int = 86_400_000
    session_grace: int = 1
    session_keys_max: int = 5_000
    lock_delay_max: int = 60_000
    history_changes: int | None = 10_000
    history_age: int | None = None
    separator: str = "/"
    acl: AclMode = AclMode.OFF
    list_needs_right: bool = False
    feature_level: int = FEATURE_LEVEL

    def __attrs_post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check(name, getattr(self, name), low, high)
        for name in ("history_changes", "history_age"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 0, INTEGER_MAX)
        if self.session_ttl_max < self.session_ttl_min:
            raise ValueError("session_ttl_max is below session_ttl_min")
        if type(self.separator) is not str:
            raise TypeError("separator must be text")
        if len(self.separator) != 1 or self.separator == "\0" or _is_surrogate(self.separator):
            raise ValueError("separator must be one character, neither NUL nor a surrogate")
        if type(self.acl) is not AclMode:
            raise TypeError("acl must be an AclMode")
        if type(self.list_needs_right) is not bool:
            raise TypeError("list_needs_right must be a bool")


_RANGES: Final = {
    "key_size_max": (1, KEY_SIZE_LIMIT),
    "value_size_max": (0, 2**30),
    "operations_max": (1, 1_000_000),
    "depth_max": (1, 32),
    "session_ttl_min": (1, INTEGER_MAX),
    "session_ttl_max": (1, INTEGER_MAX),
    "session_grace": (1, 10),
    "session_keys_max": (1, 2**30),
    "lock_delay_max": (0, INTEGER_MAX),
    "feature_level": (1, INTEGER_MAX),
}


def _check(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"
