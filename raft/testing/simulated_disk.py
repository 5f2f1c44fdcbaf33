"""A disk that keeps only what was synced, and loses, tears and flips what real disks may.

Owns files of bytes and what a crash does to them, from a seed. Knows nothing of formats.

What a crash does to bytes that were not synced: of each file a random length of them is left, and
of that each sector is either written, or zero, or half of it; a file whose directory entry was
not synced may be gone. What was synced stays, until `flip` damages it.

Source: Pillai et al., All File Systems Are Not Created Equal (2014): appends are neither atomic
nor ordered across sectors, and new names need a sync of the directory.
"""

from __future__ import annotations

from random import Random


class DiskStopped(Exception):
    """The simulated disk reached `stop_at`: the process is to crash here."""


class _File:
    """Bytes as they would be read now, and how many of them are durable."""

    __slots__ = ("content", "durable", "is_named")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = 0
        # Whether the directory entry is durable.
        self.is_named = False


class SimulatedDisk:
    """Files by name, with what a crash may do to them.

    Args:
        rng: Decides what a crash leaves.
        sector: Bytes that are written or lost together.

    Attributes:
        operations: How often anything was done; the disk stops working at `stop_at`.
        stop_at: Number of operations after which every further one raises `DiskStopped`, or
            None.
    """

    def __init__(self, rng: Random, sector: int = 512) -> None:
        self.operations = 0
        self.stop_at: int | None = None
        self._rng = rng
        self._sector = sector
        self._files: dict[str, _File] = {}
        # Deleted, but the directory was not synced since.
        self._deleted: dict[str, _File] = {}

    def names(self) -> list[str]:
        """Return the names of all files, in order."""
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return bytes(self._files[name].content)

    def append(self, name: str, data: bytes) -> None:
        """Write behind the end of a file, which is made if it isn't there."""
        self._count()
        self._files.setdefault(name, _File()).content += data

    def sync(self, name: str) -> None:
        """Make a file's content durable."""
        self._count()
        file = self._files[name]
        file.durable = len(file.content)

    def sync_directory(self) -> None:
        """Make durable which files there are."""
        self._count()
        self._deleted.clear()
        for file in self._files.values():
            file.is_named = True

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._count()
        self._deleted[name] = self._files.pop(name)

    def crash(self) -> None:
        """Lose power: keep what was synced, and of the rest what chance leaves."""
        rng = self._rng
        self.stop_at = None
        for name, file in sorted(self._deleted.items()):
            if rng.random() < 0.5 and name not in self._files:
                self._files[name] = file
        self._deleted.clear()
        for name in self.names():
            file = self._files[name]
            if not file.is_named and rng.random() < 0.5:
                del self._files[name]
                continue
            file.content[file.durable :] = self._left_of(bytes(file.content[file.durable :]))
            # After the restart this is what the disk has.
            file.durable, file.is_named = len(file.content), True

    def flip(self, name: str, position: int, mask: int) -> None:
        """Damage a byte that was written: turn round the bits of `mask`."""
        self._files[name].content[position] ^= mask

    def _left_of(self, data: bytes) -> bytes:
        """Return what a crash leaves of bytes that were not synced."""
        rng = self._rng
        kept = data[: rng.randint(0, len(data))] if rng.random() < 0.7 else data
        left = bytearray()
        for begin in range(0, len(kept), self._sector):
            sector = kept[begin : begin + self._sector]
            fate = rng.random()
            if fate < 0.15:
                sector = bytes(len(sector))
            elif fate < 0.25:
                half = rng.randint(0, len(sector))
                sector = sector[:half] + bytes(len(sector) - half)
            left += sector
        return bytes(left)

    def _count(self) -> None:
        """Count one operation, or refuse it."""
        if self.stop_at is not None and self.operations >= self.stop_at:
            raise DiskStopped
        self.operations += 1
