"""A server's disk with real bytes on it: the write-ahead log, torn as real disks tear it.

Slower than `raft.testing.disk`, and proves `raft.wal` with every crash: what was durable must come
back, and what was not may come back in part only.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from random import Random

from attrs import evolve

from raft.stored import Stored
from raft.testing.disk import Disk
from raft.testing.simulated_disk import DiskStopped, SimulatedDisk
from raft.testing.wal_driver import WalDriver


class WalDisk(Disk):
    """What one server has written, as segments of `raft.wal`.

    Args:
        rng: Decides what crashes leave.
        trailing: Entries that are kept behind a snapshot.
    """

    __slots__ = ("_bytes", "_driver", "_log_id", "_rng", "_segment_bytes")

    def __init__(self, rng: Random, trailing: int = 0) -> None:
        super().__init__(trailing)
        self._rng = rng
        self._log_id = rng.randbytes(16)
        self._segment_bytes = rng.choice((200, 2000, 1 << 20))
        self._bytes = SimulatedDisk(rng, sector=rng.choice((16, 512)))
        self._driver = self._recover()

    def _recover(self) -> WalDriver:
        return WalDriver(
            self._bytes,
            log_id=self._log_id,
            segment_bytes=self._segment_bytes,
            trailing=self.trailing,
        )

    def sync(self, count: int) -> int:
        """Write and sync the oldest `count` of what was handed over."""
        self._driver.write(islice(self.pending, count))
        return super().sync(count)

    def crash(self, rng: Random) -> None:
        """Lose power, perhaps in the middle of a write."""
        floor = self.last_index
        for persist in self.pending:
            if persist.entries.payloads:
                floor = min(floor, persist.entries.first_index - 1)
            elif persist.truncate_from:
                floor = min(floor, persist.truncate_from - 1)
        if self.pending:
            self._bytes.stop_at = self._bytes.operations + rng.randint(0, 8)
            with suppress(DiskStopped):
                self._driver.write(islice(self.pending, rng.randint(1, len(self.pending))))
            self.pending.clear()
        term = self.hard_state.term
        self._bytes.crash()
        self._driver = self._recover()
        self._load(self._driver.load())
        assert self.hard_state.term >= term, f"term {term} is gone: {self.hard_state}"
        assert self.last_index >= floor, f"entries up to {floor} are gone: {self.last_index}"

    def _load(self, stored: Stored) -> None:
        """Take what was recovered for what is durable."""
        self.hard_state, self.snapshot = stored.hard_state, stored.snapshot
        self._entries = list(stored.entries)
        covered = stored.snapshot.index if stored.snapshot is not None else 0
        self._base = stored.entries.first_index - 1 if self._entries else covered

    def stored(self) -> Stored:
        """Return what was recovered, with what the application kept."""
        stored = self._driver.load()
        return evolve(stored, applied=max(self.applied, stored.applied))
