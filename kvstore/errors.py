"""What can be refused: one small tree of exceptions. One that is raised changed nothing."""

from __future__ import annotations


class KvstoreError(Exception):
    """Base of every refusal of this package."""


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
