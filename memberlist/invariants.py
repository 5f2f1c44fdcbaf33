"""What may never happen in a cluster.

Owns the invariants that a simulation checks as it runs, incrementally: a step costs the same in
ten members as in ten thousand. Part of the simulator; no machine uses it. Knows nothing of links,
faults or the order of events (testing.py), so that the checks apply to a recorded run of real
processes too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from memberlist.describe import describe
from memberlist.node import DEAD, LEFT, Node, NodeState
from memberlist.outputs import (
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    SendDatagram,
    SuspicionConfirmed,
)

#: Outputs that one input may cause, besides one for each member that the machine knows.
OUTPUTS_MAX: Final = 200
#: Outputs and records that are watched for changes at a time.
WATCHED_MAX: Final = 512

#: Events that carry a member's record, and whether it must be newer than the one before.
_MUST_BE_NEWER: Final[dict[type, bool]] = {
    MemberJoined: False,  # Unless the member was gone before; see `_check_record`.
    MemberUpdated: False,
    MemberSuspected: False,
    SuspicionConfirmed: False,
    MemberRefuted: True,
    MemberFailed: False,
    MemberLeft: False,
}


class InvariantBroken(AssertionError):
    """Something happened that never may, or a cluster does not agree.

    Attributes:
        rule: A short stable word: `incarnation`, `resurrection`, `datagram-size`, `mutation`,
            `bounded`, `busy` or `convergence`.
    """

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule


class Invariants:
    """The checks of one run. `saw` takes every output, `stepped` follows every input.

    | rule | what it means |
    |---|---|
    | `incarnation` | nobody's own incarnation, nor what another holds of it, ever goes back |
    | `resurrection` | who was dead, left or suspect is alive again only by a newer incarnation |
    | `datagram-size` | no packet exceeds the configured size |
    | `mutation` | no output and no shared record is changed after it was handed out |
    | `bounded` | no input causes a flood of outputs, no table holds more than ever existed |
    | `busy` | after an input no deadline lies in the past |
    """

    def __init__(self, datagram_size: int, *, view: Callable[[Any], Any], every: int) -> None:
        """Check nothing yet.

        Args:
            datagram_size: Most bytes of a packet.
            view: Finds the `Memberlist` in a composite.
            every: Every how many steps the machine that stepped checks itself; 0 is never.
        """
        self._datagram_size = datagram_size
        self._view = view
        self._every = every
        self._steps = 0
        self._outputs = 0
        self._names: set[str] = set()  # Members that ever were; asked, never iterated.
        # What the events of each member last said of another: incarnation and state.
        self._records: dict[str, dict[str, tuple[int, NodeState]]] = {}
        self._own: dict[str, int] = {}
        self._watched: deque[tuple[Any, object]] = deque()
        self._known: tuple[Node, ...] = ()
        self._kept: list[tuple[Node, object]] = []

    def born(self, name: str, *, called: str, known: tuple[Node, ...] = ()) -> None:
        """A member starts, with nothing in its memory but `known`, which it shares with others."""
        self._names.add(called)
        self._records.pop(name, None)
        self._own.pop(name, None)
        if known is not self._known:
            self._known = known
            self._names.update(node.name for node in known)
            self._kept.extend((node, _print_of(node)) for node in known)

    def saw(self, name: str, output: Any) -> None:
        """Check one output of a member, and watch it from now on.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        self._outputs += 1
        if type(output) is SendDatagram:
            if len(output.data) > self._datagram_size:
                raise InvariantBroken("datagram-size", f"{name} sends {describe(output)}")
        elif type(output) in _MUST_BE_NEWER:
            self._check_record(name, output)
        elif type(output) is MemberForgotten:
            self._records.get(name, {}).pop(output.node.name, None)
        self._watched.append((output, _print_of(output)))
        if len(self._watched) > WATCHED_MAX:
            self._check_watched(*self._watched.popleft())

    def stepped(self, name: str, machine: Any, now: float) -> None:
        """Check one machine after an input whose outputs were all seen.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        outputs, self._outputs = self._outputs, 0
        if outputs > OUTPUTS_MAX + len(self._names):
            raise InvariantBroken("bounded", f"{outputs} outputs of one input of {name}")
        due = machine.next_timeout()
        if due is not None and due < now:
            raise InvariantBroken("busy", f"at {now} the deadline of {name} is {due}")
        view = self._view(machine)
        own = view.incarnation
        if own < self._own.get(name, 0):
            raise InvariantBroken("incarnation", f"{name} went back to {own} itself")
        self._own[name] = own
        self._steps += 1
        if self._every and self._steps % self._every == 0:
            machine.check_invariants()
            if len(view.members) > len(self._names):
                raise InvariantBroken("bounded", f"{name} knows more members than ever were")

    def finish(self) -> None:
        """Check once more everything that is still watched.

        Raises:
            InvariantBroken: It was changed.
        """
        for thing, before in (*self._watched, *self._kept):
            self._check_watched(thing, before)

    def _check_record(self, name: str, event: Any) -> None:
        node: Node = event.node
        records = self._records.setdefault(name, {})
        incarnation, state = records.get(node.name, (-1, DEAD))
        if node.incarnation < incarnation:
            raise InvariantBroken(
                "incarnation", f"{name} went back from {incarnation} in {describe(event)}"
            )
        back = type(event) is MemberJoined and state in (DEAD, LEFT)
        if (back or _MUST_BE_NEWER[type(event)]) and node.incarnation == incarnation:
            raise InvariantBroken("resurrection", f"not by {describe(event)} at {name}")
        records[node.name] = (node.incarnation, node.state)

    def _check_watched(self, thing: Any, before: object) -> None:
        if (after := _print_of(thing)) != before:
            raise InvariantBroken("mutation", f"{before} became {after}")


def _print_of(thing: Any) -> object:
    """Return what must stay the same about an output or a record."""
    if type(thing) is SendDatagram:
        return thing.to, thing.data
    return describe(thing)
