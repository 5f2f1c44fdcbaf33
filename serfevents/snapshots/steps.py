"""How a driver starts from a snapshot file and how it replaces one, step by step.

It owns the order of the steps, which is what keeps a crash from losing both the file and its
replacement. It does nothing itself: a driver carries the steps out, and a test does so on a disk
that loses whatever was not synced, at every point.

The order: the replacement is written beside the file and synced before it takes the name; the name
changes hands in one step; then the folder is synced. At every moment the name stands for the old
file or for the whole new one.

Deviation: Serf deletes the file before it renames the replacement (for Windows; `os.replace` does
it at once there too). A crash in between leaves the replacement alone, and at the next start it
opens an empty file in the old one's place. `starting_steps` finds the replacement in both cases.

Source: serf/snapshot.go compact.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from serfevents.snapshots.reader import Restored

# What Serf appends to the file's name for its replacement.
REPLACEMENT_SUFFIX: Final = ".compact"


@frozen
class WriteFile:
    """Make a file with this content, in place of any that has the name, and close it."""

    path: str
    content: bytes


@frozen
class TruncateFile:
    """Cut a file to so many bytes."""

    path: str
    size: int


@frozen
class SyncFile:
    """Return when the content of a file is on the disk (`os.fsync`)."""

    path: str


@frozen
class RenameFile:
    """Give a file another name, atomically, in place of any that has it (`os.replace`)."""

    path: str
    target: str


@frozen
class RemoveFile:
    """Remove a file, if it is there."""

    path: str


@frozen
class SyncFolder:
    """Return when the names in a file's folder are on the disk (`os.fsync` of the folder).

    Where a folder can't be synced, as on Windows, this step is nothing.
    """

    path: str


Step: TypeAlias = WriteFile | TruncateFile | SyncFile | RenameFile | RemoveFile | SyncFolder


def replacing_steps(path: str, content: bytes) -> tuple[Step, ...]:
    """Return how to replace the file with a compacted one.

    Args:
        path: The snapshot file's.
        content: `Snapshot.compacted()`.
    """
    replacement = path + REPLACEMENT_SUFFIX
    return (
        WriteFile(replacement, content),
        SyncFile(replacement),
        RenameFile(replacement, path),
        SyncFolder(path),
    )


def starting_steps(
    path: str, current: Restored | None, replacement: Restored | None
) -> tuple[Restored, tuple[Step, ...]]:
    """Return what to start from, and how to make the file say just that.

    The replacement counts only if the file is missing or has no complete line: a driver of ours
    never leaves it so, Serf does.

    Args:
        path: The snapshot file's.
        current: What was read from it; None if there is none.
        replacement: What was read from the file at `path` + `REPLACEMENT_SUFFIX`, if there is one.

    Returns:
        What was restored, and the steps after which lines may be appended to the file.
    """
    spare = path + REPLACEMENT_SUFFIX
    if replacement is not None and replacement.end and not (current and current.end):
        cut: tuple[Step, ...] = _cut(spare, replacement)
        return replacement, (*cut, SyncFile(spare), RenameFile(spare, path), SyncFolder(path))
    steps: list[Step] = []
    if current is None:
        steps += [WriteFile(path, b""), SyncFile(path)]
    elif cut := _cut(path, current):
        steps += [*cut, SyncFile(path)]
    if replacement is not None:
        steps.append(RemoveFile(spare))
    if current is None or replacement is not None:
        steps.append(SyncFolder(path))
    return current or Restored(), tuple(steps)


def _cut(path: str, restored: Restored) -> tuple[Step, ...]:
    """Return how to cut off a torn line: the next one would be appended to it."""
    return (TruncateFile(path, restored.end),) if restored.size > restored.end else ()
