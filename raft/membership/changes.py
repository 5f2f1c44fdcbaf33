"""What can be asked of the membership: single changes, and how they are made together.

Owns the kinds of change, and the reasons for which one is refused. Knows nothing of what a
configuration is, which makes the changes. They stay on the leader: what its log holds, and what
others are sent, is the configuration that comes of one.

Source: Raft dissertation chapter 4; etcd-io/raft raftpb/confchange.go (ConfChangeV2) and, for
the texts of refusals, confchange/confchange.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias

import attrs
from attrs import field

from raft.errors import RaftError

ID_BYTES_MAX = 255
"""Longest id of a server, as UTF-8."""

MEMBERS_MAX = 1024
"""Most servers in one set of a configuration, and most single changes in one change."""

CONTEXT_BYTES_MAX = 65536
"""Longest `Change.context`."""


def check_id(server: str) -> str:
    """Return `server` if it can name a server.

    Raises:
        TypeError: It is not a str.
        ValueError: It is empty, longer than `ID_BYTES_MAX` as UTF-8, or not Unicode text.
    """
    if not isinstance(server, str):
        raise TypeError(f"an id is a str, not {type(server).__name__}")
    if not 0 < len(server.encode()) <= ID_BYTES_MAX:  # lone surrogates are a ValueError too
        raise ValueError(f"an id has 1 to {ID_BYTES_MAX} bytes: {server!r}")
    return server


@attrs.frozen
class AddVoter:
    """Let a server vote; a learner is promoted, a voter stays one."""

    id: str = field(converter=check_id)


@attrs.frozen
class AddLearner:
    """Let a server receive the log without a vote; a voter is demoted, a learner stays one."""

    id: str = field(converter=check_id)


@attrs.frozen
class AddWitness:
    """Let a server vote without keeping payloads; it can never lead, nor become anything else.

    Not after it was removed either: its log lacks the commands. A server that takes its place has
    an empty disk and another id.
    """

    id: str = field(converter=check_id)


@attrs.frozen
class RemoveMember:
    """Let a server go, whatever it is; one that is not a member stays none."""

    id: str = field(converter=check_id)


@attrs.frozen
class PromoteLearner:
    """As `AddVoter`, but refused unless the server is a learner."""

    id: str = field(converter=check_id)


@attrs.frozen
class DemoteVoter:
    """As `AddLearner`, but refused unless the server is a voter."""

    id: str = field(converter=check_id)


SingleChange: TypeAlias = (
    AddVoter | AddLearner | AddWitness | RemoveMember | PromoteLearner | DemoteVoter
)


class Transition(Enum):
    """Whether a change goes through a joint configuration, and who ends that."""

    AUTO = "auto"
    """Joint if there is more than one single change, and then as `IMPLICIT`."""
    IMPLICIT = "implicit"
    """Joint; the leader leaves it by itself as soon as it can."""
    EXPLICIT = "explicit"
    """Joint until `Change.leave_joint()` is proposed."""


def _check_changes(changes: Iterable[SingleChange]) -> tuple[SingleChange, ...]:
    """Return the single changes as a tuple."""
    checked = tuple(changes)
    if len(checked) > MEMBERS_MAX:
        raise ValueError(f"{len(checked)} single changes exceed the limit of {MEMBERS_MAX}")
    for change in checked:
        if not isinstance(change, SingleChange):
            raise TypeError(f"not a single change: {change!r}")
    return checked


@attrs.frozen
class Change:
    """A change of the membership, to be proposed as one entry of the log.

    Attributes:
        changes: What to do, in order; none of them, with `Transition.AUTO`, leaves a joint
            configuration.
        transition: Whether to go through a joint configuration.
        context: Bytes for the application, such as addresses; at most `CONTEXT_BYTES_MAX`.

    >>> Change([AddVoter("n4"), RemoveMember("n1")]).enters_joint
    True
    """

    changes: tuple[SingleChange, ...] = field(default=(), converter=_check_changes)
    transition: Transition = field(
        default=Transition.AUTO, validator=attrs.validators.instance_of(Transition)
    )
    context: bytes = field(default=b"", validator=attrs.validators.instance_of(bytes))

    def __attrs_post_init__(self) -> None:
        if len(self.context) > CONTEXT_BYTES_MAX:
            raise ValueError(f"a context has at most {CONTEXT_BYTES_MAX} bytes")

    @classmethod
    def leave_joint(cls) -> Change:
        """Return the change that ends a joint configuration."""
        return cls()

    @property
    def leaves_joint(self) -> bool:
        """Whether this is the change that ends a joint configuration, whatever its context."""
        return not self.changes and self.transition is Transition.AUTO

    @property
    def enters_joint(self) -> bool:
        """Whether this change leads into a joint configuration."""
        return self.transition is not Transition.AUTO or len(self.changes) > 1


class ChangeRefusal(Enum):
    """Why a change can't be made; the value is the text of the error."""

    ALREADY_JOINT = "config is already joint"
    NO_VOTERS = "can't make a zero-voter config joint"
    NOT_JOINT = "can't leave a non-joint config"
    JOINT = "can't apply simple config change in joint config"
    MANY_VOTERS = "more than one voter changed without entering joint config"
    ALL_REMOVED = "removed all voters"
    NOT_A_LEARNER = "only a learner can be promoted"
    NOT_A_VOTER = "only a voter can be demoted"
    WITNESS_FIXED = "a witness can't be turned into another member, nor another member into one"
    WITNESS_QUORUM = "witnesses alone would be a quorum"


class ChangeRefused(RaftError):
    """A change that the configuration does not allow; nothing has changed.

    Attributes:
        refusal: Which rule it breaks.
    """

    def __init__(self, refusal: ChangeRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
