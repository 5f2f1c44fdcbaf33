"""Who belongs to the cluster, and which changes of that are safe.

Owns `Configuration`, a value, and the rules by which one becomes the next: a simple change of at
most one voter, entering a joint configuration, leaving it. Knows nothing of logs, of leaders, or
of when a change may be proposed; those are the machine's rules.

A joint configuration has two sets of voters, and every decision needs a majority of each. A voter
that is demoted stays a voter of the old set until the joint configuration is left; only then does
it become the learner that it is marked to be (`learners_next`).

Witnesses go beyond the dissertation: they vote and acknowledge without keeping payloads. So that
each committed entry has its payload on a voter that knows it, no quorum may consist of witnesses
only; and as a witness lacks what a voter must have, it can be added and removed but not turned
into something else.

Source: Raft dissertation chapter 4; etcd-io/raft confchange/confchange.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, assert_never

import attrs
import msgpack
from attrs import field

from raft.membership.changes import (
    ID_BYTES_MAX,
    MEMBERS_MAX,
    AddLearner,
    AddVoter,
    AddWitness,
    Change,
    ChangeRefusal,
    ChangeRefused,
    DemoteVoter,
    PromoteLearner,
    RemoveMember,
    SingleChange,
    Transition,
    check_id,
)
from raft.membership.quorum import majority

ENCODING_VERSION = 1
"""First element of every encoded configuration."""

_ENCODED_BYTES_MAX = 5 * MEMBERS_MAX * (ID_BYTES_MAX + 3) + 64


def _sorted_ids(servers: Iterable[str]) -> tuple[str, ...]:
    """Return ids in order."""
    ids = tuple(sorted(check_id(server) for server in servers))
    if len(ids) > MEMBERS_MAX:
        raise ValueError(f"{len(ids)} servers exceed the limit of {MEMBERS_MAX}")
    if len(set(ids)) < len(ids):
        raise ValueError(f"an id stands twice in {ids}")
    return ids


def _witnesses_decide(witnesses: Iterable[str], *halves: Collection[str]) -> bool:
    """Return whether some quorum of a half would consist of witnesses only."""
    return any(half and len({*witnesses} & {*half}) >= majority(len(half)) for half in halves)


@attrs.frozen
class Configuration:
    """The servers of a cluster, as a value; without voters it is that of a server yet to join.

    It is what a snapshot carries, and making one from its parts is how it is restored.

    Attributes:
        voters: Those whose majority decides; in a joint configuration those of the new one.
        voters_outgoing: Those of the old configuration; empty unless joint.
        learners: Those that receive the log and don't vote; disjoint from both kinds of voters.
        learners_next: Outgoing voters that become learners as soon as the joint configuration
            is left.
        witnesses: Which of the voters, new and outgoing, keep no payloads.
        auto_leave: Whether the leader leaves the joint configuration by itself.

    All ids are kept in order, so that equal configurations are equal values.

    Raises:
        ValueError: An id is none, or stands twice, or the parts contradict each other.

    >>> str(Configuration(voters=("n1", "n2", "n3")).apply(Change([AddLearner("n4")])))
    'voters=(n1 n2 n3) learners=(n4)'
    """

    voters: tuple[str, ...] = field(default=(), converter=_sorted_ids)
    voters_outgoing: tuple[str, ...] = field(default=(), converter=_sorted_ids)
    learners: tuple[str, ...] = field(default=(), converter=_sorted_ids)
    learners_next: tuple[str, ...] = field(default=(), converter=_sorted_ids)
    witnesses: tuple[str, ...] = field(default=(), converter=_sorted_ids)
    auto_leave: bool = field(default=False, validator=attrs.validators.instance_of(bool))

    def __attrs_post_init__(self) -> None:
        voters, outgoing = set(self.voters), set(self.voters_outgoing)
        if not voters and (outgoing or self.learners):
            raise ValueError("a configuration with members has voters")
        if not outgoing.issuperset(self.learners_next):
            raise ValueError("who is a learner next is an outgoing voter now")
        if not voters.isdisjoint(self.learners_next):
            raise ValueError("who is a learner next is no voter then")
        if not (voters | outgoing).isdisjoint(self.learners):
            raise ValueError("a learner is no voter")
        if not (voters | outgoing).issuperset(self.witnesses):
            raise ValueError("a witness is a voter")
        if not set(self.witnesses).isdisjoint(self.learners_next):
            raise ValueError("a witness does not become a learner")
        if self.auto_leave and not outgoing:
            raise ValueError("only a joint configuration is left")
        if _witnesses_decide(self.witnesses, self.voters, self.voters_outgoing):
            raise ValueError(ChangeRefusal.WITNESS_QUORUM.value)

    # --- queries

    @property
    def is_joint(self) -> bool:
        """Whether decisions need two majorities."""
        return bool(self.voters_outgoing)

    @property
    def members(self) -> tuple[str, ...]:
        """Everyone who receives the log, in order."""
        if not (self.voters_outgoing or self.learners):
            return self.voters
        return tuple(sorted({*self.voters, *self.voters_outgoing, *self.learners}))

    @property
    def all_voters(self) -> tuple[str, ...]:
        """Everyone who has a vote, new and outgoing, in order."""
        if not self.voters_outgoing:
            return self.voters
        return tuple(sorted({*self.voters, *self.voters_outgoing}))

    def is_electable(self, server: str) -> bool:
        """Return whether a server may lead: it has a vote, and keeps payloads."""
        is_voter = server in self.voters or server in self.voters_outgoing
        return is_voter and server not in self.witnesses

    def __str__(self) -> str:
        """Return one line, in the form that etcd-raft prints."""

        def listed(ids: Iterable[str]) -> str:
            return f"({' '.join(ids)})"

        parts = [f"voters={listed(self.voters)}"]
        if self.voters_outgoing:
            parts[0] += f"&&{listed(self.voters_outgoing)}"
        others = ("learners", "learners_next", "witnesses")
        parts += [f"{name}={listed(ids)}" for name in others if (ids := getattr(self, name))]
        if self.auto_leave:
            parts.append("autoleave")
        return " ".join(parts)

    # --- transitions

    def apply(self, change: Change) -> Configuration:
        """Return the configuration that a change leads to.

        Raises:
            ChangeRefused: The configuration does not allow it.
        """
        if change.leaves_joint:
            return self.leave_joint()
        if change.enters_joint:
            auto_leave = change.transition is not Transition.EXPLICIT
            return self.enter_joint(change.changes, auto_leave=auto_leave)
        return self.simple(change.changes)

    def simple(self, changes: Iterable[SingleChange]) -> Configuration:
        """Return the configuration after changes that touch at most one voter.

        Any majority before shares a server with any majority after, so no joint configuration
        is needed (dissertation 4.1).

        Raises:
            ChangeRefused: It is joint, or more than one voter would change, or see `apply`.
        """
        if self.is_joint:
            raise ChangeRefused(ChangeRefusal.JOINT)
        draft = _Draft(self)
        draft.make(changes)
        if len(draft.voters.symmetric_difference(self.voters)) > 1:
            raise ChangeRefused(ChangeRefusal.MANY_VOTERS)
        return draft.finish(self)

    def enter_joint(
        self, changes: Iterable[SingleChange], *, auto_leave: bool = False
    ) -> Configuration:
        """Return the joint configuration between this one and the one after any changes.

        Raises:
            ChangeRefused: It is joint already, or has no voters, or see `apply`.
        """
        if self.is_joint:
            raise ChangeRefused(ChangeRefusal.ALREADY_JOINT)
        if not self.voters:
            raise ChangeRefused(ChangeRefusal.NO_VOTERS)
        draft = _Draft(self)
        draft.voters_outgoing = set(self.voters)
        draft.make(changes)
        return draft.finish(self, auto_leave=auto_leave)

    def leave_joint(self) -> Configuration:
        """Return the new configuration alone, with its learners-to-be as learners.

        Raises:
            ChangeRefused: It is not joint.
        """
        if not self.is_joint:
            raise ChangeRefused(ChangeRefusal.NOT_JOINT)
        return Configuration(
            voters=self.voters,
            learners=(*self.learners, *self.learners_next),
            witnesses=set(self.witnesses).intersection(self.voters),
        )

    # --- encoding

    def encode(self) -> bytes:
        """Return the configuration as bytes; equal configurations are equal bytes."""
        return bytes(msgpack.packb((ENCODING_VERSION, *attrs.astuple(self))))

    @classmethod
    def decode(cls, data: bytes) -> Configuration:
        """Return the configuration that was encoded.

        Raises:
            ValueError: It is not an encoded configuration of this version.
        """
        try:
            configuration = cls(*_unpack_elements(data))
        except (ValueError, TypeError) as error:
            raise ValueError(f"not an encoded configuration: {error}") from None
        if configuration.encode() != data:
            raise ValueError("not an encoded configuration: it has a shorter form")
        return configuration


def _unpack_elements(data: bytes) -> Sequence[Any]:
    """Return the elements behind the version.

    Raises:
        ValueError: They are too large, malformed, or of another version.
    """
    if len(data) > _ENCODED_BYTES_MAX:
        raise ValueError(f"more than {_ENCODED_BYTES_MAX} bytes")
    elements = msgpack.unpackb(data, use_list=False, max_array_len=MEMBERS_MAX, max_map_len=0)
    if not isinstance(elements, tuple) or elements[:1] != (ENCODING_VERSION,):
        raise ValueError(f"not of version {ENCODING_VERSION}")
    return elements[1:]


class _Draft:
    """A configuration in the making: sets that single changes are made to, one by one."""

    __slots__ = ("learners", "learners_next", "voters", "voters_outgoing", "witnesses")

    def __init__(self, configuration: Configuration) -> None:
        self.voters = set(configuration.voters)
        self.voters_outgoing = set(configuration.voters_outgoing)
        self.learners = set(configuration.learners)
        self.learners_next = set(configuration.learners_next)
        self.witnesses = set(configuration.witnesses)

    def make(self, changes: Iterable[SingleChange]) -> None:
        """Make changes in order.

        Raises:
            ChangeRefused: One of them doesn't fit, or no voter is left after all of them.
        """
        for change in changes:
            match change:
                case AddVoter(server):
                    self._add_voter(server)
                case AddLearner(server):
                    self._add_learner(server)
                case AddWitness(server):
                    self._add_witness(server)
                case RemoveMember(server):
                    self._remove(server)
                case PromoteLearner(server):
                    self._promote(server)
                case DemoteVoter(server):
                    self._demote(server)
                case _:
                    assert_never(change)
        if not self.voters:
            raise ChangeRefused(ChangeRefusal.ALL_REMOVED)

    def finish(self, before: Configuration, *, auto_leave: bool = False) -> Configuration:
        """Return the result as a value.

        Raises:
            ChangeRefused: It breaks a rule of witnesses.
        """
        voters = self.voters | self.voters_outgoing
        self.witnesses &= voters
        stayed = (voters | self.learners).intersection(before.members)
        # Removed and added again within one change is a change of kind, too: the server stays a
        # member, and what it has acknowledged still counts.
        if self.witnesses.symmetric_difference(before.witnesses) & stayed:
            raise ChangeRefused(ChangeRefusal.WITNESS_FIXED)
        if _witnesses_decide(self.witnesses, self.voters, self.voters_outgoing):
            raise ChangeRefused(ChangeRefusal.WITNESS_QUORUM)
        return Configuration(
            self.voters,
            self.voters_outgoing,
            self.learners,
            self.learners_next,
            self.witnesses,
            auto_leave,
        )

    def _add_voter(self, server: str) -> None:
        """Give a server a vote, in the new configuration if joint."""
        self._refuse_witness(server)
        self.learners.discard(server)
        self.learners_next.discard(server)
        self.voters.add(server)

    def _add_learner(self, server: str) -> None:
        """Make a server a learner, or mark it to be one if it is still an outgoing voter."""
        self._refuse_witness(server)
        self.voters.discard(server)
        (self.learners_next if server in self.voters_outgoing else self.learners).add(server)

    def _add_witness(self, server: str) -> None:
        """Give a server a vote without payloads."""
        self._remove(server)
        self.witnesses.add(server)
        self.voters.add(server)

    def _promote(self, server: str) -> None:
        """Give a learner a vote."""
        if server not in self.learners and server not in self.learners_next:
            raise ChangeRefused(ChangeRefusal.NOT_A_LEARNER)
        self._add_voter(server)

    def _demote(self, server: str) -> None:
        """Make a voter a learner."""
        if server not in self.voters:
            raise ChangeRefused(ChangeRefusal.NOT_A_VOTER)
        self._add_learner(server)

    def _remove(self, server: str) -> None:
        """Let a server go; its outgoing vote stays until the joint configuration is left."""
        self.voters.discard(server)
        self.learners.discard(server)
        self.learners_next.discard(server)
        if server not in self.voters_outgoing:
            self.witnesses.discard(server)

    def _refuse_witness(self, server: str) -> None:
        """Refuse to turn a witness into something else."""
        if server in self.witnesses:
            raise ChangeRefused(ChangeRefusal.WITNESS_FIXED)
