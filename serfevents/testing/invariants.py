"""What may never happen in a cluster, whatever the medium does to it.

Owns the checks of one run, made as it runs: a step costs what it put out. Part of the simulator; no
machine uses it. Knows nothing of links and faults (cluster.py), so that the checks apply to a
recorded run of real processes too.
"""

from __future__ import annotations

from typing import Any, Final

from serfevents.outputs import (
    Broadcast,
    Change,
    Kind,
    MembersChanged,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    UserEventReceived,
)
from serfevents.records import Recovered
from serfevents.wire.codec import decode_join, decode_leave
from serfevents.wire.messages import MessageType

#: Outputs that one input may cause, besides a few for each member and each event remembered.
OUTPUTS_MAX: Final = 200

#: What may follow what of one member, while changes are told one by one.
_FOLLOWS: Final[dict[Change, frozenset[Change | None]]] = {
    Change.JOIN: frozenset({None, Change.LEAVE, Change.FAILED, Change.REAP}),
    Change.UPDATE: frozenset(Change) - {Change.REAP},
    Change.FAILED: frozenset({Change.JOIN, Change.UPDATE}),
    Change.LEAVE: frozenset({Change.JOIN, Change.UPDATE, Change.FAILED}),
    Change.REAP: frozenset(Change) - {Change.REAP},
}

#: The clocks of a member, under Serf's names.
_CLOCKS: Final = ("member_time", "event_time", "query_time")


class InvariantBroken(AssertionError):
    """Something happened that never may, or a cluster does not agree.

    Attributes:
        rule: A short stable word; see `Invariants`, and `Cluster` for `delivery` and
            `convergence`.
    """

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule


class _Life:
    """What is known of one member since it started."""

    def __init__(self, recovered: Recovered) -> None:
        self.floor = recovered.event_clock
        self.clocks = [recovered.clock, recovered.event_clock, recovered.query_clock]
        self.told: set[tuple[int, str, bytes]] = set()
        self.newest = 0
        self.asked: set[tuple[int, int, str]] = set()
        self.changes: dict[str, Change] = {}
        self.joins: dict[str, int] = {}
        self.intents: dict[bytes, int] = {}
        self.answers: dict[int, tuple[set[str], set[str]]] = {}
        self.deadlines: dict[int, float] = {}
        self.finished: set[int] = set()
        self.outputs = 0


class Invariants:
    """The checks of one run. `saw` takes every output, `stepped` follows every input.

    | rule | what it means |
    |---|---|
    | `exactly-once` | no event is delivered twice in a life, none from before the snapshot |
    | `order` | an event is newer, by Lamport time, than all that its origin fired or had heard of |
    | `clock` | no Lamport clock goes back, and each is ahead of all that was delivered |
    | `query` | no query comes twice, no member counts twice, and each ends once and in time |
    | `status` | what is told of a member follows from what was told before |
    | `rebroadcast` | no intent is passed on again, unless its member came back meanwhile |
    | `bounded` | no input causes a flood of outputs |
    | `busy` | after an input no deadline lies in the past |
    """

    def __init__(self, *, every: int = 1, coalesced: bool = False, events_max: int = 512) -> None:
        """Check nothing yet.

        Args:
            every: Every how many steps the machine that stepped checks itself; 0 is never.
            coalesced: Whether changes of members are gathered: they may skip a step then.
            events_max: How many events one input may deliver.
        """
        self._every = every
        self._coalesced = coalesced
        self._outputs_max = OUTPUTS_MAX + events_max
        self._lives: dict[str, _Life] = {}
        self._steps = 0

    def born(self, name: str, recovered: Recovered) -> None:
        """A member starts, with nothing in its memory but what its snapshot adds up to."""
        self._lives[name] = _Life(recovered)

    def fired(self, name: str, ltime: int, before: int) -> None:
        """Check the Lamport time of an event.

        Args:
            name: Who fired it.
            ltime: Its time.
            before: The event clock that its member had before: ahead of all that it had heard of.

        Raises:
            InvariantBroken: It is not newer.
        """
        if ltime < before:
            raise InvariantBroken("order", f"{name} fires at {ltime}, and was at {before} before")

    def asked(self, name: str, query: int, deadline: float) -> None:
        """Take that a query was asked, which must have ended when its deadline has passed."""
        life = self._lives[name]
        if query not in life.finished:
            life.deadlines[query] = deadline

    def delivered(self, name: str, event: tuple[int, str, bytes]) -> bool:
        """Return whether a member was told of an event (its Lamport time, name, payload)."""
        return event in self._lives[name].told

    def saw(self, name: str, output: Any) -> None:
        """Check one output of a member.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        life.outputs += 1
        match output:
            case UserEventReceived(ltime, what, payload):
                self._delivers(name, life, (ltime, what, payload))
            case MembersChanged(change, members):
                for member in members:
                    self._changes(name, life, member.name, change)
            case Broadcast(_, payload, Kind.INTENT):
                self._tells(name, life, payload)
            case QueryReceived(_, ltime, number, source=source):
                if (ltime, number, source) in life.asked:
                    raise InvariantBroken("query", f"{name} is asked twice: {output}")
                life.asked.add((ltime, number, source))
            case QueryAcknowledged(query, source):
                self._counts(name, life, query, source, answer=False)
            case QueryAnswered(query, source):
                self._counts(name, life, query, source, answer=True)
            case QueryFinished():
                self._finishes(name, life, output)
            case _:
                pass

    def stepped(self, name: str, machine: Any, now: float) -> None:
        """Check one machine after an input whose outputs were all seen.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        outputs, life.outputs = life.outputs, 0
        statistics = machine.statistics()
        if outputs > self._outputs_max + 4 * int(statistics["members"]):
            raise InvariantBroken("bounded", f"{outputs} outputs of one input of {name}")
        clocks = [int(statistics[clock]) for clock in _CLOCKS]
        if any(new < old for new, old in zip(clocks, life.clocks, strict=True)):
            raise InvariantBroken("clock", f"{name} went back from {life.clocks} to {clocks}")
        life.clocks = clocks
        if clocks[1] <= life.newest:
            raise InvariantBroken("clock", f"{name} is at {clocks[1]} and knows of {life.newest}")
        due = machine.next_timeout()
        if due is not None and due < now:
            raise InvariantBroken("busy", f"at {now} the deadline of {name} is {due}")
        for query, deadline in life.deadlines.items():
            if deadline < now:
                raise InvariantBroken("query", f"{query} of {name} goes on after {deadline}")
        self._steps += 1
        if self._every and self._steps % self._every == 0:
            machine.check_invariants()

    def _delivers(self, name: str, life: _Life, event: tuple[int, str, bytes]) -> None:
        if event in life.told:
            raise InvariantBroken("exactly-once", f"{name} is told twice of {event}")
        if event[0] <= life.floor:
            raise InvariantBroken("exactly-once", f"{name} was told of {event} in an earlier life")
        life.told.add(event)
        life.newest = max(life.newest, event[0])

    def _changes(self, name: str, life: _Life, who: str, change: Change) -> None:
        before = life.changes.get(who)
        if not self._coalesced and before not in _FOLLOWS[change]:
            raise InvariantBroken("status", f"{name} tells {change} of {who} after {before}")
        life.changes[who] = change
        if change is Change.JOIN:
            life.joins[who] = life.joins.get(who, 0) + 1

    def _tells(self, name: str, life: _Life, payload: bytes) -> None:
        leaves = payload[0] == MessageType.LEAVE
        who = (decode_leave(payload) if leaves else decode_join(payload)).node
        times = life.intents[payload] = life.intents.get(payload, 0) + 1
        if times > 1 + life.joins.get(who, 0):
            raise InvariantBroken("rebroadcast", f"{name} tells {payload!r} for the {times}. time")

    def _counts(self, name: str, life: _Life, query: int, source: str, *, answer: bool) -> None:
        sources = life.answers.setdefault(query, (set(), set()))[answer]
        if query in life.finished or source in sources:
            raise InvariantBroken("query", f"{source} counts twice or late at {name}: {query}")
        sources.add(source)

    def _finishes(self, name: str, life: _Life, outcome: QueryFinished) -> None:
        acks, answers = life.answers.get(outcome.query, (set(), set()))
        counted = len(acks), len(answers)
        if outcome.query in life.finished or counted != (outcome.acks, outcome.responses):
            raise InvariantBroken("query", f"{name} ends {outcome} after {counted}")
        life.finished.add(outcome.query)
        life.deadlines.pop(outcome.query, None)
