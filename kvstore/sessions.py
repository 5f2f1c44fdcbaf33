"""Sessions: what holds locks and owns keys, until it ends."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen
class Session:
    """One session.

    Attributes:
        id: Its id.
        ttl: Milliseconds it lasts without renewal, before the configured grace; None for ever.
        on_end: What its end does to keys it holds locked.
        lock_delay: Milliseconds for which those keys cannot be locked afterwards.
        bindings: Names whose invalidation ends it.
        name: For people to read.
        meta: Opaque pairs.
        create_revision: The index of the command that began it.
    """

    id: str
    ttl: int | None
    on_end: Literal["release", "delete"]
    lock_delay: int
    bindings: tuple[str, ...]
    name: str
    meta: tuple[tuple[str, str], ...]
    create_revision: int
