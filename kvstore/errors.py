"""What can be refused by raising: one small tree. An error that is raised changed nothing.

Commands never end here. What a log may contain is refused as a result (`kvstore.refusals`), the
same on every replica; errors tell the program that holds the store that it made a mistake, or
that its direct read cannot be answered.
"""

from __future__ import annotations


class KvstoreError(Exception):
    """Base of every refusal of this package that is raised."""


class StaleIndex(KvstoreError):
    """A command came with an index that is not above the last one applied.

    Attributes:
        index: The index that was given.
        applied_index: The last index applied; the next must be greater.
    """

    def __init__(self, index: int, applied_index: int) -> None:
        super().__init__(f"index {index} is not above the applied index {applied_index}")
        self.index = index
        self.applied_index = applied_index


class CompactedRevision(KvstoreError):
    """A direct read asked for a revision below the floor of the history.

    Attributes:
        revision: The revision that was asked for.
        floor: The oldest revision that can still be read.
    """

    def __init__(self, revision: int, floor: int) -> None:
        super().__init__(f"revision {revision} is compacted, the oldest kept is {floor}")
        self.revision = revision
        self.floor = floor


class FutureRevision(KvstoreError):
    """A direct read asked for a revision that is not there yet.

    Attributes:
        revision: The revision that was asked for.
        applied_index: The newest index at which the store can be read.
    """

    def __init__(self, revision: int, applied_index: int) -> None:
        super().__init__(f"revision {revision} is in the future, the newest is {applied_index}")
        self.revision = revision
        self.applied_index = applied_index


class WatchExists(KvstoreError):
    """A watch was registered under an id that is taken.

    Attributes:
        watch: The id.
    """

    def __init__(self, watch: int) -> None:
        super().__init__(f"watch {watch} exists")
        self.watch = watch


class UnknownWatch(KvstoreError):
    """No watch has this id: it was never registered, or cancelled, or its end was polled.

    Attributes:
        watch: The id.
    """

    def __init__(self, watch: int) -> None:
        super().__init__(f"watch {watch} is unknown")
        self.watch = watch


class TooManyWatches(KvstoreError):
    """The hub holds as many watches and waits as it may.

    Attributes:
        limit: The most it may hold.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} watches already")
        self.limit = limit


class ImportRefused(KvstoreError):
    """Exported rows are not a state: a row is malformed, missing, twice, or out of order."""


class DecodeError(KvstoreError):
    """Bytes that are no command, result or snapshot of a known version; nothing was made of them.

    Attributes:
        reason: A short stable word for counters, such as `truncated` or `too-large`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class RulesError(KvstoreError, ValueError):
    """A text that holds no access rules.

    Attributes:
        reason: What is wrong with it.
        line: Where, counted from 1.
        column: Where in its line, counted from 1.
    """

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason = reason
        self.line = line
        self.column = column
