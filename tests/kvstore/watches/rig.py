"""How the tests of watches speak: a store with its hub."""

from __future__ import annotations

from typing import Any

from kvstore.config import Config
from kvstore.store import Store
from kvstore.watches.values import WatchBatch, WatchSpec
from kvstore.watches.watches import Watches


class Rig:
    """A store and its hub."""

    def __init__(self, store: Store | None = None, **options: Any) -> None:
        self.store = Store(Config(**options)) if store is None else store
        self.hub = Watches(self.store)

    def do(self, *commands: Any, now: int | None = None) -> None:
        for command in commands:
            self.hub.publish(self.store.apply(command, now=now))

    def watch(self, at: float = 0.0, **fields: Any) -> int:
        return self.hub.watch(WatchSpec(**fields), at)

    def batch(self, watch: int, events_max: int = 1000) -> WatchBatch:
        batch = self.hub.poll(watch, events_max=events_max)
        assert isinstance(batch, WatchBatch), batch
        return batch

    def told(self, watch: int) -> list[tuple[str, str, int]]:
        """Poll until there is nothing, and return what was told."""
        found: list[tuple[str, str, int]] = []
        while isinstance(batch := self.hub.poll(watch), WatchBatch):
            found += [(event.kind, event.key, event.revision) for event in batch.events]
            if batch.final:
                break
        return found
