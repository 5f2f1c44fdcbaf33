"""The machine under the contract's battery: absurd messages, wrong calls, odd times."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft import (
    AddLearner,
    AddVoter,
    Change,
    Config,
    Configuration,
    Entry,
    EntryKind,
    Output,
    Persist,
    PromoteLearner,
    Raft,
    RaftError,
    RemoveMember,
    Stored,
    Transition,
)
from raft.entries import NO_ENTRIES, Entries
from raft.membership.changes import SingleChange
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    Message,
    Propose,
    ProposeResponse,
    ReadIndex,
    ReadIndexResponse,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
    TransferLeadership,
)
from tests.contract import Battery, Call, Step, assert_same_under_hash_seeds, call
from tests.raft.vocabulary import THREE, drain, entries, founded, voters
from tests.strategies import logs


class Driven(Raft):
    """A server with a disk that writes when told to, whatever was fetched before.

    `persisted` needs numbers that were fetched; so that logs mean the same whenever they are
    polled, `written` fetches all that is there, keeps it for `poll`, and reports the writes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fetched: deque[Output] = deque()
        self.seq = 0

    def _fetch(self) -> Output | None:
        output = super().poll()
        if isinstance(output, Persist):
            self.seq = output.seq
        return output

    def written(self, now: float) -> None:
        self.unreachable("nobody", now)  # So that the time counts in any case.
        reported = -1
        while reported < self.seq:
            while (output := self._fetch()) is not None:
                self.fetched.append(output)
            if reported := self.seq:
                self.persisted(self.seq, now)
            while (output := self._fetch()) is not None:
                self.fetched.append(output)

    def poll(self) -> Output | None:
        return self.fetched.popleft() if self.fetched else self._fetch()


SMALL = {
    "uncommitted_size_max": 40,
    "payload_size_max": 20,
    "append_entries_max": 2,
    "inflight_messages_max": 2,
    "reads_max": 3,
    "forwarded_max": 2,
    "persists_max": 2,
    "trailing_entries": 1,
    "snapshot_chunk_size": 4,
    "snapshot_size_max": 64,
    "committed_entries_max": 3,
    "forwarding": True,
    "quiescence": True,
}


def make(rng: random.Random, now: float, *, names: tuple[str, ...], **options: Any) -> Driven:
    """Return a server with little room in every queue, of a cluster of `names`."""
    stored = founded(voters(*names)) if names else Stored()
    return Driven("a", Config(**(SMALL | options)), rng=rng, now=now, stored=stored)


# Refused whatever the state.
MISUSE = (
    call("propose", "text"),
    call("propose", bytes(21)),
    call("propose_many", []),
    call("propose_many", [b"x", "text"]),
    call("forward", []),
    call("read", lease=True),
    call("change", ["x"]),
    call("transfer", ""),
    call("compact", 1 << 40, b"state"),
    call("compact", 0, b"state"),
    call("compact", 1, "text"),
    call("bootstrap", Configuration()),
    call("bootstrap", "a"),
    call("unsafe_force_configuration", voters("x")),
    call("persisted", 0),
    call("persisted", 1 << 40),
    call("reload", Config(persists_max=1, quiescence=True)),
)


def battery(names: tuple[str, ...] = THREE, **options: Any) -> Battery:
    return Battery(
        make=functools.partial(make, names=names, **options),
        refusals=(RaftError,),
        network=("receive", "handle_timeout", "unreachable", "snapshot_failed", "written"),
        misuse=[each for each in MISUSE if each.method != "read" or "lease_reads" not in options],
        queries={"term_at": (2,), "entries": (1, 3)},
        outputs_max=60,
        renders=True,
    )


# --- what may come ---------------------------------------------------------------------------

JOINT = Configuration(voters=("a", "b"), voters_outgoing=THREE, auto_leave=True)
TERMS = (0, 1, 2, 3, 5, -1)
INDEXES = (0, 1, 2, 3, 5, 1 << 40, -1)


def senders() -> st.SearchStrategy[str]:
    return st.sampled_from(("b", "b", "c", "a", "stranger"))


def ints(*values: int) -> st.SearchStrategy[int]:
    return st.sampled_from(values)


def of_kind(kind: Any, *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    """Draw messages of one kind to us, at all terms."""
    return st.builds(kind, st.sampled_from(("a", "a", "a", "b")), senders(), ints(*TERMS), *fields)


configuration = Entry(2, 3, b"why", EntryKind.CONFIGURATION, JOINT)
some_entries = st.sampled_from(
    [
        NO_ENTRIES,
        entries(1, 1, first=2),
        entries(1, 2, 3, first=2),
        entries(2, 2, first=3),
        entries(5, first=2),
        entries(3, first=6),
        Entries.of([Entry(2, 2, b"", EntryKind.EMPTY), configuration]),
    ]
)
grants = st.booleans()
index, term = ints(*INDEXES), ints(*TERMS)
messages = st.one_of(
    of_kind(AppendEntries, index, term, some_entries, index),
    of_kind(AppendEntriesResponse, grants, index, index, term, grants),
    of_kind(Heartbeat, index, index, ints(0, 1), grants),
    of_kind(HeartbeatResponse, ints(0, 1, -1)),
    of_kind(RequestVote, index, term, index, term, ints(0, 1), grants),
    of_kind(RequestVoteResponse, grants),
    of_kind(RequestPreVote, index, term, index, term),
    of_kind(RequestPreVoteResponse, grants),
    st.builds(
        InstallSnapshot,
        st.just("a"),
        senders(),
        term,
        index,
        term,
        st.just(voters("a", "b")),
        ints(0, 1, 5),
        ints(0, 4, 8, 65, -1),
        ints(0, 7),
        ints(0, 4, 9, -1),
        st.sampled_from([b"", b"part", b"two parts"]),
    ),
    of_kind(InstallSnapshotResponse, index, ints(0, 4, 99, -1), grants),
    of_kind(TimeoutNow),
    of_kind(TransferLeadership, st.sampled_from(("a", "b", "x"))),
    of_kind(ReadIndex, ints(1, 2)),
    of_kind(ReadIndexResponse, ints(1, 2), index, grants),
    of_kind(Propose, ints(1, 2), st.sampled_from([(), (b"x",), (bytes(30),), (b"x", b"y")])),
    of_kind(ProposeResponse, ints(1, 2), term, index),
)


def calls(method: str, *args: st.SearchStrategy[Any], **options: object) -> Any:
    """Draw calls of one input."""
    return st.tuples(*args).map(lambda drawn: Call(method, drawn, options=options))


payloads = st.binary(max_size=22)
single_changes: st.SearchStrategy[SingleChange] = st.sampled_from(
    [AddVoter("d"), AddLearner("d"), RemoveMember("c"), RemoveMember("a"), AddVoter("c")]
)
changes = st.one_of(
    st.just(Change.leave_joint()),
    st.lists(single_changes, max_size=2).map(tuple),
    st.lists(single_changes, max_size=2).map(lambda made: Change(made, Transition.EXPLICIT)),
)
peers = st.sampled_from(("b", "c", "x"))
network = st.one_of(
    calls("receive", messages),
    calls("handle_timeout"),
    calls("unreachable", peers),
    calls("snapshot_failed", peers),
)
disk = st.just(call("written"))
reloads = st.sampled_from(
    [
        SMALL | {"inflight_messages_max": 1, "reads_max": 1, "payload_size_max": 5},
        SMALL | {"heartbeat_interval": 0.5, "priority": 1, "forwarding": False},
        SMALL | {"append_size_max": 8, "inflight_size_max": 8, "read_timeout": 0.3},
    ]
).map(lambda options: Config(**options))  # type: ignore[arg-type]
commands = st.one_of(
    calls("propose", payloads),
    calls("propose_many", st.lists(payloads, max_size=4)),
    calls("forward", st.lists(payloads, max_size=2)),
    calls("read"),
    calls("read", lease=True),
    calls("change", changes),
    calls("change", changes, expected_index=1),
    calls("transfer", peers),
    calls("campaign"),
    calls("step_down"),
    calls("forget_leader"),
    calls("compact", ints(1, 2, 3), st.just(b"state")),
    calls("bootstrap", st.just(voters("a"))),
    calls("quiesce"),
    calls("wake"),
    calls("reload", reloads),
    calls("unsafe_force_configuration", st.just(voters("a"))),
)
# How a becomes leader of term 2, as its logs mostly do not contain by chance.
ELECTION = [
    call("campaign", now=0.5),
    call("receive", RequestPreVoteResponse("a", "b", 2, True), now=0.5),
    call("written", now=0.5),
    call("receive", RequestVoteResponse("a", "b", 2, True), now=0.6),
    call("written", now=0.6),
    call("receive", AppendEntriesResponse("a", "b", 2, False, 2), now=0.7),
]


# --- the battery -----------------------------------------------------------------------------


@settings(max_examples=40)
@given(logs(network, network, disk, commands, size_max=25, step_max=1.0))
def test_it_obeys_the_contract(log: list[Call]) -> None:
    battery().check(log)


@settings(max_examples=40)
@given(logs(network, disk, commands, size_max=20, step_max=0.3))
def test_a_leader_obeys_the_contract(log: list[Call]) -> None:
    battery().check([*ELECTION, *(shifted(each, 0.7) for each in log)])


def shifted(each: Call, seconds: float) -> Call:
    return Call(each.method, each.args, each.now + seconds, each.options)


@settings(max_examples=25)
@given(logs(network, disk, commands, size_max=20, step_max=1.0))
def test_a_server_with_leases_obeys_the_contract(log: list[Call]) -> None:
    battery(lease_reads=True).check(log)


@settings(max_examples=25)
@given(logs(network, disk, commands, size_max=20, step_max=1.0))
def test_a_server_without_pre_vote_obeys_the_contract(log: list[Call]) -> None:
    battery(pre_vote=False, check_quorum=False).check(log)


@settings(max_examples=25)
@given(logs(network, disk, commands, size_max=20, step_max=1.0))
def test_a_server_alone_obeys_the_contract(log: list[Call]) -> None:
    battery(("a",)).check(log)


@settings(max_examples=25)
@given(logs(network, disk, commands, size_max=20, step_max=1.0))
def test_a_new_server_obeys_the_contract(log: list[Call]) -> None:
    battery(()).check(log)


@settings(max_examples=100)
@given(logs(network, disk, commands, size_max=40, step_max=0.5), st.booleans())
def test_nothing_breaks_an_invariant(log: Sequence[Call], elect: bool) -> None:
    server = make(random.Random(1), 0.0, names=THREE)
    for each in [*(ELECTION if elect else ()), *log]:
        try:
            getattr(server, each.method)(*each.args, each.now, **each.options)
        except (RaftError, ValueError, TypeError):
            assert not battery().is_network(each.method)
        server.check_invariants()
        drain(server)
        server.check_invariants()


# --- C14 for each command --------------------------------------------------------------------

STATES: dict[str, list[Call]] = {
    "following": [call("receive", Heartbeat("a", "b", 1))],
    "campaigning": [call("campaign")],
    "leading": ELECTION,
    "transferring": [*ELECTION, call("transfer", "b", now=0.8)],
}


@pytest.mark.parametrize("wrong", MISUSE, ids=lambda wrong: wrong.method)
@pytest.mark.parametrize("state", STATES)
def test_a_refused_command_leaves_no_trace(state: str, wrong: Call) -> None:
    rng = random.Random(1)
    server = make(rng, 0.0, names=THREE)
    for each in STATES[state]:
        getattr(server, each.method)(*each.args, each.now, **each.options)
    drain(server)
    before, draws = server.status(), rng.getstate()

    now = STATES[state][-1].now
    with pytest.raises((ValueError, TypeError, RaftError)):
        getattr(server, wrong.method)(*wrong.args, now, **wrong.options)

    assert server.status() == before
    assert rng.getstate() == draws
    assert server.poll() is None


#: Refused in some states.
REFUSED = (
    *MISUSE,
    call("propose", b"x"),
    call("propose_many", [b"x"]),
    call("forward", [b"x"]),
    call("read"),
    call("change", (AddVoter("d"),), expected_index=7),
    call("change", (PromoteLearner("b"),)),
    call("transfer", "a"),
    call("transfer", "x"),
    call("campaign"),
    call("step_down"),
    call("forget_leader"),
    call("bootstrap", voters("a")),
)


@pytest.mark.parametrize("state", STATES)
def test_time_does_not_pass_by_a_refused_command(state: str) -> None:
    refusals = set()
    for wrong in REFUSED:
        servers = [make(random.Random(1), 0.0, names=THREE) for _ in range(2)]
        for server in servers:
            for each in STATES[state]:
                getattr(server, each.method)(*each.args, each.now, **each.options)
        now = STATES[state][-1].now
        try:
            getattr(servers[0], wrong.method)(*wrong.args, now + 50.0, **wrong.options)
        except (ValueError, TypeError, RaftError):
            refusals.add(wrong.method)
            for server in servers:
                server.receive(Heartbeat("a", "b", 3), now)
            assert servers[0].next_timeout() == servers[1].next_timeout(), wrong
    assert refusals > {"propose", "persisted", "change", "transfer", "compact", "bootstrap"}


# --- the same under any hash seed ------------------------------------------------------------


def trace() -> Iterable[Step]:
    """Return what a server does with a long log of everything."""
    chance = random.Random(7)
    log = list(ELECTION)
    now = 0.7
    for number in range(120):
        now += chance.random() * 0.2
        match number % 6:
            case 0 | 1:
                log.append(call("propose", b"%d" % number, now=now))
            case 2:
                last = chance.randrange(2, 30)
                answer = AppendEntriesResponse("a", chance.choice("bc"), 2, False, last)
                log.append(call("receive", answer, now=now))
            case 3:
                log.append(call("written", now=now))
            case 4:
                beat = HeartbeatResponse("a", chance.choice("bc"), 2, 1)
                log.append(call("receive", beat, now=now))
            case _:
                log.append(call("handle_timeout", now=now))
                log.append(call("read", now=now))
    log.append(call("change", (AddVoter("d"), RemoveMember("c")), now=now))
    log.append(call("receive", Heartbeat("a", "c", 9, 1, 1, 1), now=now))
    return battery().trace(log)


def test_it_is_the_same_under_any_hash_seed() -> None:
    steps = list(trace())

    assert len(steps) > 100
    assert sum(bool(step.outputs) for step in steps) > 50
    assert_same_under_hash_seeds(trace)
