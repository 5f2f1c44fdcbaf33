"""What watches are asked for and what they tell, as plain values."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from kvstore.applying.fields import key_fault, selection
from kvstore.change import Event, Kind
from kvstore.config import INTEGER_MAX
from kvstore.keys import prefix_end
from kvstore.refusals import Refusal
from kvstore.results import Result

BatchKind: TypeAlias = Literal["events", "progress", "lost", "closed"]

BOTH: tuple[Kind, ...] = ("put", "delete")

#: Latest time, and earliest, in seconds: floats beyond lose deadlines, so that one never comes.
TIME_MAX: Final = 1e12


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
        TypeError: A field is of another type; the message names it.
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
        _check_selected(self)
        if self.from_revision is not None:
            check_whole("from_revision", self.from_revision, 1)
        if type(self.kinds) is not tuple:
            raise TypeError(f"kinds must be a tuple, not {type(self.kinds).__name__}")
        if not self.kinds or not all(kind in BOTH for kind in self.kinds):
            raise ValueError(f"kinds are put and delete, not {self.kinds}")
        for name in ("previous", "keys_only", "once", "coalesce"):
            if type(getattr(self, name)) is not bool:
                raise TypeError(f"{name} must be a bool, not {getattr(self, name)!r}")
        check_whole("pending_max", self.pending_max, 1)
        if self.progress_interval is not None:
            check_seconds("progress_interval", self.progress_interval)
            if not self.progress_interval > 0:
                raise ValueError(f"progress_interval must be > 0, not {self.progress_interval}")
        check_actor(self.actor)

    @property
    def bounds(self) -> tuple[str, str | None]:
        """The first key that is watched, and the first beyond or None."""
        if self.key is not None:
            # No key holds a NUL, so that this is the first text above the key.
            return self.key, self.key + "\0"
        if self.prefix is not None:
            return self.prefix, prefix_end(self.prefix)
        assert self.start is not None
        return self.start, self.end


def _check_selected(spec: WatchSpec) -> None:
    """Refuse what can be neither key nor range."""
    for name in ("key", "prefix", "start", "end"):
        text = getattr(spec, name)
        if text is not None and type(text) is not str:
            raise TypeError(f"{name} must be text, not {type(text).__name__}")
    selected = selection(spec) if spec.key is None else key_fault(spec.key)
    fault = selected if isinstance(selected, Refusal) else None
    if fault is not None:
        raise ValueError(str(fault))


def check_whole(name: str, number: object, low: int) -> None:
    """Refuse what is no whole number from `low` on."""
    if type(number) is not int:
        raise TypeError(f"{name} must be a whole number, not {type(number).__name__}")
    if not low <= number <= INTEGER_MAX:
        raise ValueError(f"{name} must be {low} or more, to 2**63 - 1, not {number}")


def check_seconds(name: str, seconds: object) -> None:
    """Refuse what is no number of seconds, or so many that milliseconds get lost among them."""
    if type(seconds) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    assert isinstance(seconds, (int, float))
    if not -TIME_MAX <= seconds <= TIME_MAX:
        raise ValueError(f"{name} must be finite, within {TIME_MAX:.0e} seconds, not {seconds}")


def check_actor(actor: object) -> None:
    """Refuse what is neither an accessor id nor None."""
    if actor is not None and type(actor) is not str:
        raise TypeError(f"actor must be text or None, not {type(actor).__name__}")


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
