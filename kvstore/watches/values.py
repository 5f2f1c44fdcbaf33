"""What watches are asked for and what they tell, as plain values."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from kvstore.change import Event, Kind
from kvstore.results import Result

BatchKind: TypeAlias = Literal["events", "progress", "lost", "closed"]

BOTH: tuple[Kind, ...] = ("put", "delete")


@attrs.frozen(kw_only=True)
class WatchSpec:
    """What to watch, and how.

    Attributes:
        key: One key; or use a prefix, or a start and an end.
        prefix: The keys that begin with this.
        start: The first key of a range.
        end: The first key beyond, or None.
        from_revision: Tell every change with this revision or a later one; 1 or more. One in the
            future is waited for. None for what comes.
        kinds: What to tell: "put", "delete".
        previous: Whether to tell what a key was before.
        keys_only: Whether to leave values out.
        once: Whether to end with the first event, as ZooKeeper's triggers do.
        coalesce: Whether to tell only the newest of several events of a key that wait to be
            polled; its previous entry is then the one before the first of them.
        pending_max: Events that may wait in memory, twice as many if they are coalesced; more are
            read from the history when they are polled. 1 or more.
        progress_interval: Seconds without a batch after which the revision reached is told, > 0;
            None for never.
        actor: The accessor id of a token by whose rights to read events are left out; None for
            the program itself, which may read everything.

    Raises:
        ValueError: Fields don't go together, or one is out of its range.
    """

    key: str | None = None
    prefix: str | None = None
    start: str | None = None
    end: str | None = None
    from_revision: int | None = None
    kinds: tuple[Kind, ...] = BOTH
    previous: bool = False
    keys_only: bool = False
    once: bool = False
    coalesce: bool = False
    pending_max: int = 1024
    progress_interval: float | None = None
    actor: str | None = None

    def __attrs_post_init__(self) -> None:
        chosen = [one for one in (self.key, self.prefix, self.start) if one is not None]
        if len(chosen) != 1 or (self.end is not None and self.start is None):
            raise ValueError("a watch is of a key, of a prefix, or of a start and an end")
        if self.from_revision is not None and self.from_revision < 1:
            raise ValueError(f"from_revision must be 1 or more, not {self.from_revision}")
        if not self.kinds or not set(self.kinds) <= set(BOTH):
            raise ValueError(f"kinds are put and delete, not {self.kinds}")
        if self.pending_max < 1:
            raise ValueError(f"pending_max must be 1 or more, not {self.pending_max}")
        if self.progress_interval is not None and not self.progress_interval > 0:
            raise ValueError(f"progress_interval must be > 0, not {self.progress_interval}")


@attrs.frozen
class WatchBatch:
    """What one poll of a watch tells.

    Attributes:
        watch: The watch.
        kind: "events"; "progress", a promise that everything up to `revision` was told; "lost",
            if events were forgotten before they were told, and the watcher has to read anew from
            `revision` on; "closed", if it may not watch any more.
        revision: The last one that is told completely: to resume from with `revision + 1`. Of
            "lost" the floor of the history.
        events: In the order of changes. All events of one revision come together.
        more: Whether more waits to be polled.
        fragment: Whether more events of the last revision follow: there were more than fit.
        final: Whether the watch is over.
    """

    watch: int
    kind: BatchKind
    revision: int
    events: tuple[Event, ...] = ()
    more: bool = False
    fragment: bool = False
    final: bool = False


@attrs.frozen
class WaitDone:
    """How a blocking query ended.

    Attributes:
        wait: The wait.
        result: What the query answers now.
        timed_out: Whether the time was over before anything changed.
        reset: Whether the store was replaced: forget the old index.
    """

    wait: int
    result: Result
    timed_out: bool = False
    reset: bool = False
