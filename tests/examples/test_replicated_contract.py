"""The replicated store is a machine: the contract holds for Raft and the store together."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from examples.replicated.machine import ReplicatedOutput, ReplicatedStore
from kvstore.codec.codec import encode_command
from kvstore.commands import Get, Put, SessionOpen
from raft import Config, Configuration, Persist, RaftError
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
)
from raft.sessions import Command, Register, encode_request
from tests.contract import Battery, Call, Step, assert_same_under_hash_seeds, call
from tests.raft.vocabulary import THREE, entries, founded, voters
from tests.strategies import logs


class Driven(ReplicatedStore):
    """A store with a disk that writes when told to, whatever was fetched before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fetched: deque[ReplicatedOutput] = deque()
        self.seq = 0

    def _fetch(self) -> ReplicatedOutput | None:
        output = super().poll()
        if isinstance(output, Persist):
            self.seq = output.seq
        return output

    def written(self, now: float) -> None:
        """Fetch all there is, and report that it is durable."""
        self.unreachable("nobody", now)  # so that the time counts in any case
        reported = -1
        while reported < self.seq:
            while (output := self._fetch()) is not None:
                self.fetched.append(output)
            if reported := self.seq:
                self.persisted(self.seq, now)
            while (output := self._fetch()) is not None:
                self.fetched.append(output)

    def poll(self) -> ReplicatedOutput | None:
        return self.fetched.popleft() if self.fetched else self._fetch()


CONFIG = Config(payload_size_max=200, trailing_entries=1, snapshot_size_max=1 << 16)


def make(rng: Random, now: float, names: tuple[str, ...] = THREE) -> Driven:
    stored = founded(voters(*names))
    return Driven("a", CONFIG, rng=rng, now=now, stored=stored, compact_every=4)


MISUSE = (
    call("execute", "text"),
    call("query", "text"),
    call("persisted", 0),
    call("persisted", 1 << 40),
    call("bootstrap", Configuration()),
    call("transfer", ""),
)


def battery(names: tuple[str, ...] = THREE) -> Battery:
    return Battery(
        make=lambda rng, now: make(rng, now, names),
        refusals=(RaftError,),
        network=("receive", "handle_timeout", "unreachable", "written"),
        misuse=MISUSE,
        outputs_max=80,
        renders=True,
    )


PUT = encode_command(Put("key", b"value"))
REQUESTS = [
    encode_request(Register()),
    *(encode_request(Command(session, serial, 1, PUT)) for session in (4, 5) for serial in (1, 2)),
    *(
        encode_request(Command(session, 3, 1, encode_command(SessionOpen(ttl=2000))))
        for session in (4, 5)
    ),
    encode_request(Command(4, 4, 1, b"noise")),
    b"noise",
    bytes(400),
]
indexes, terms = st.sampled_from((0, 1, 2, 3, 9)), st.sampled_from((1, 2, 3))
senders = st.sampled_from(("b", "c", "stranger"))
messages = st.one_of(
    st.builds(
        AppendEntries,
        st.just("a"),
        senders,
        terms,
        indexes,
        terms,
        st.sampled_from([entries(1, 1, first=2), entries(2, 3, first=2), entries(2, first=3)]),
        indexes,
    ),
    st.builds(AppendEntriesResponse, st.just("a"), senders, terms, st.booleans(), indexes),
    st.builds(Heartbeat, st.just("a"), senders, terms, indexes, indexes, st.integers(0, 2)),
    st.builds(HeartbeatResponse, st.just("a"), senders, terms, st.integers(0, 2)),
    st.builds(RequestVote, st.just("a"), senders, terms, indexes, terms),
    st.builds(
        InstallSnapshot,
        st.just("a"),
        senders,
        terms,
        indexes,
        terms,
        st.just(voters("a", "b")),
        st.just(1),
        st.just(5),
        st.just(0),
        st.just(0),
        st.just(b"noise"),
    ),
)


def calls(method: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(lambda *drawn: Call(method, drawn), *args)


inputs = st.one_of(
    calls("receive", messages),
    calls("handle_timeout"),
    calls("unreachable", senders),
    calls("written"),
    calls("written"),
    calls("execute", st.sampled_from(REQUESTS)),
    calls("execute", st.sampled_from(REQUESTS)),
    calls("query", st.sampled_from([encode_command(Get("key")), PUT, b"noise"])),
    calls("campaign"),
    calls("transfer", senders),
    calls("bootstrap", st.just(voters("a"))),
)

ELECTION = [
    call("campaign", now=0.5),
    call("receive", RequestPreVoteResponse("a", "b", 2, True), now=0.5),
    call("written", now=0.5),
    call("receive", RequestVoteResponse("a", "b", 2, True), now=0.6),
    call("written", now=0.6),
    call("receive", AppendEntriesResponse("a", "b", 2, False, 2), now=0.7),
]


@settings(max_examples=12)
@given(logs(inputs, size_max=18, step_max=1.0))
def test_a_follower_obeys_the_contract(log: list[Call]) -> None:
    battery().check(log)


@settings(max_examples=12)
@given(logs(inputs, size_max=18, step_max=0.3))
def test_a_leader_obeys_the_contract(log: list[Call]) -> None:
    moved = [Call(each.method, each.args, each.now + 0.7, each.options) for each in log]
    battery().check([*ELECTION, *moved])


@settings(max_examples=12)
@given(logs(inputs, size_max=18, step_max=1.0))
def test_a_server_alone_obeys_the_contract(log: list[Call]) -> None:
    battery(("a",)).check(log)


def log_of_a_leader() -> list[Call]:
    log = [call("campaign", now=0.1), call("written", now=0.1)]
    for at, request in enumerate(REQUESTS):
        log += [call("execute", request, now=0.2 + at), call("written", now=0.2 + at)]
        log += [call("query", encode_command(Get("key")), now=0.3 + at)]
    return log


def test_a_leader_with_sessions_to_end_and_snapshots_to_make_obeys_the_contract() -> None:
    battery(("a",)).check(log_of_a_leader())


def trace() -> list[Step]:
    return battery(("a",)).trace(log_of_a_leader())


def test_it_is_the_same_under_any_hash_seed() -> None:
    assert_same_under_hash_seeds(trace)
