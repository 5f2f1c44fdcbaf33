"""What can be refused: one small tree of exceptions. One that is raised changed nothing."""

from __future__ import annotations

from enum import Enum


class RaftError(Exception):
    """Base of every refusal of this package."""


class Drop(Enum):
    """Why a proposal or a change was not taken; the value is the text of the error."""

    NOT_LEADER = "this server does not lead"
    NO_LEADER = "no leader is known"
    TRANSFERRING = "leadership is being transferred"
    BACKLOG_FULL = "too much is proposed and not yet committed"
    TOO_LARGE = "the payload is larger than the limit"
    TOO_MANY = "too many forwarded proposals wait for their outcome"
    FORWARDING_OFF = "forwarding is switched off"
    DISK_BEHIND = "too much is proposed and not yet durable on the leader"


class ProposalDropped(RaftError):
    """A proposal or change that did not enter the log; it will never take effect.

    Attributes:
        reason: Why.
        leader: Who leads as far as is known here, or None.
    """

    def __init__(self, reason: Drop, leader: str | None = None) -> None:
        super().__init__(reason.value if leader is None else f"{reason.value}; try {leader}")
        self.reason = reason
        self.leader = leader


class NotLeader(ProposalDropped):
    """Only the leader can do this; `leader` is who that is, as far as is known."""

    def __init__(self, leader: str | None = None) -> None:
        super().__init__(Drop.NOT_LEADER, leader)


class ChangePending(RaftError):
    """An earlier change of the configuration is not yet applied here.

    Attributes:
        index: Where it may stand in the log; the next change has to wait for this to be applied.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"what stands at index {index} or before has to be applied first")
        self.index = index


class ConfigurationMismatch(RaftError):
    """The configuration is not the one that the change was made for.

    Attributes:
        expected: Index of the configuration that the caller named.
        actual: Index of the configuration that is in force.
    """

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the configuration is that of index {actual}, not {expected}")
        self.expected = expected
        self.actual = actual


class ReadRefused(RaftError):
    """A read that was not begun.

    Attributes:
        leader: Who leads as far as is known, or None.
    """

    def __init__(self, why: str, leader: str | None = None) -> None:
        super().__init__(why)
        self.leader = leader


class TransferRefused(RaftError):
    """A transfer of leadership that was not begun, with the reason as its text."""


class UnknownSequence(RaftError):
    """`persisted` named a `Persist` that was never handed out."""


class CompactionRefused(RaftError):
    """A snapshot that can't be one: of what was not handed out yet, or older than the last."""


class AlreadyBootstrapped(RaftError):
    """The server has a log, a term or a configuration already."""


class CampaignRefused(RaftError):
    """This server may not campaign now, with the reason as the text."""


class StoredInvalid(RaftError):
    """What was read from disk contradicts itself, with the reason as the text."""
