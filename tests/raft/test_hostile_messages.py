"""Bytes of peers, through the codec into servers: refused there, or taken without harm.

What decodes has fields of the right types, and any values at all. Whatever they are, `receive`
does not raise, breaks no invariant, and answers with a bounded number of messages.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft import Config, Configuration, Entries, Entry, EntryKind, Raft, Role, Snapshot
from raft.codec import DecodeError, decode, encode
from raft.entries import INDEX_MAX
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
    Refusal,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
    TransferLeadership,
)
from tests.raft.vocabulary import drain, entries, machine, persist_all, remembered, voters

CONFIG = Config(
    payload_size_max=64,
    append_entries_max=4,
    snapshot_size_max=1000,
    reads_max=5,
    forwarding=True,
    quiescence=True,
    trailing_entries=0,
)

numbers = st.one_of(
    st.integers(0, 9),
    st.sampled_from([2**31, 2**32, 2**62, INDEX_MAX - 1, INDEX_MAX]),
    st.integers(0, INDEX_MAX),
)
terms = st.one_of(st.integers(0, 6), numbers)
flags = st.booleans()
refusals = st.sampled_from(Refusal)
members = st.lists(st.sampled_from("abcdxyz"), unique=True, max_size=4).map(tuple)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    in_voters, outgoing = draw(members), draw(members)
    if not in_voters:
        return Configuration()
    learners = tuple(each for each in draw(members) if each not in (*in_voters, *outgoing))
    return Configuration(voters=in_voters, voters_outgoing=outgoing, learners=learners)


@st.composite
def some_entries(draw: st.DrawFn) -> Entries:
    """Draw entries as a leader may have them: anywhere, of any rising terms, of any kind."""
    first = draw(st.one_of(st.integers(1, 9), st.just(INDEX_MAX - 9)))
    made = []
    for index, term in enumerate(sorted(draw(st.lists(terms.filter(bool), max_size=6))), first):
        kind = draw(st.sampled_from(EntryKind))
        payload = b"" if kind is EntryKind.EMPTY else draw(st.binary(max_size=3))
        wanted = draw(configurations()) if kind is EntryKind.CONFIGURATION else None
        made.append(Entry(term, index, payload, kind, wanted))
    return Entries.of(made)


def of_kind(kind: Any, *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(kind, st.just("a"), st.sampled_from("bcxa"), terms, *fields)


@st.composite
def appends(draw: st.DrawFn) -> Message:
    """Draw entries that mostly follow what they say that they follow."""
    new = draw(some_entries())
    prev = draw(st.one_of(st.just(new.first_index - 1), numbers))
    fields = draw(terms), prev, draw(terms), new, draw(numbers)
    return AppendEntries("a", draw(st.sampled_from("bc")), *fields)


messages = st.one_of(
    appends(),
    of_kind(AppendEntriesResponse, flags, numbers, numbers, terms, flags),
    of_kind(Heartbeat, numbers, numbers, numbers, flags),
    of_kind(HeartbeatResponse, numbers),
    of_kind(RequestVote, numbers, terms, numbers, terms, st.integers(-(2**31), 2**31), flags),
    of_kind(RequestVoteResponse, flags, refusals, numbers, terms),
    of_kind(RequestPreVote, numbers, terms, numbers, terms, st.integers(-(2**31), 2**31)),
    of_kind(RequestPreVoteResponse, flags, refusals, numbers, terms),
    of_kind(
        InstallSnapshot,
        *(numbers, terms, configurations(), numbers, numbers, numbers, numbers),
        st.binary(max_size=9),
    ),
    of_kind(InstallSnapshotResponse, numbers, numbers, flags),
    of_kind(TimeoutNow),
    of_kind(TransferLeadership, st.sampled_from("abcx")),
    of_kind(ReadIndex, numbers),
    of_kind(ReadIndexResponse, numbers, numbers, flags),
    of_kind(Propose, numbers, st.lists(st.binary(max_size=70), max_size=3).map(tuple)),
    of_kind(ProposeResponse, numbers, terms, numbers),
)

LEADING = (
    RequestPreVoteResponse("a", "b", 2, True),
    RequestVoteResponse("a", "b", 2, True),
    AppendEntriesResponse("a", "b", 2, False, 5),
)


def server(role: str) -> Raft:
    """Return a server in the midst of something."""
    made = machine(terms=[1, 1, 1], commit=2, config=CONFIG)
    drain(made)
    match role:
        case "following":
            made.receive(Heartbeat("a", "b", 1, 3, 3, 1), 0.0)
            made.read(0.0)
            made.forward([b"x"], 0.0)
        case "sleeping":
            made.receive(Heartbeat("a", "b", 1, 4, 4, quiesce=True), 0.0)
        case "receiving":
            part = (9, 1, voters("a", "b"), 1, 20, 7, 0, b"part")
            made.receive(InstallSnapshot("a", "b", 1, *part), 0.0)
        case "campaigning" | "leading" | "transferring" | "compacted":
            made.campaign(0.0)
            for answer in LEADING if role != "campaigning" else ():
                persist_all(made)
                made.receive(answer, 0.0)
        case _:
            raise AssertionError(role)
    if role in ("leading", "transferring", "compacted"):
        assert made.role is Role.LEADER
        made.propose(b"x", 0.0)
        made.read(0.0)
    if role == "transferring":
        made.transfer("c", 0.0)
    if role == "compacted":
        persist_all(made)
        made.compact(made.applied_index, b"state", 0.0)
        assert isinstance(made.snapshot, Snapshot)
    return made


ROLES = (
    *("following", "sleeping", "receiving"),
    *("campaigning", "leading", "transferring", "compacted"),
)


def take(made: Raft, received: Sequence[Message], rng: random.Random) -> None:
    """Give a server messages and, now and then, time and a disk."""
    now = 0.0
    for message in received:
        made.receive(message, now)
        made.check_invariants()
        outputs = persist_all(made, now) if rng.random() < 0.5 else drain(made)
        assert len(outputs) < 100
        made.check_invariants()
        if rng.random() < 0.2:
            now += rng.random()
            made.handle_timeout(now)
            made.check_invariants()


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=20)
@given(received=st.lists(messages, max_size=12), seed=st.integers(0, 99))
def test_no_message_that_decodes_raises_or_breaks_an_invariant(
    role: str, received: list[Message], seed: int
) -> None:
    decoded = [decode(encode(message)) for message in received]
    assert decoded == received

    take(server(role), decoded, random.Random(seed))


STRANGE: tuple[object, ...] = (
    *(0, 1, 7, -1, INDEX_MAX, 2**63, 2**64 - 1, 1.5),
    *(True, None, "", "b", b"", b"\x01" * 16, []),
)


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=20)
@given(
    message=messages,
    changes=st.lists(st.tuples(st.integers(0, 15), st.sampled_from(STRANGE)), max_size=3),
    seed=st.integers(0, 99),
)
def test_bytes_with_strange_fields_are_refused_or_taken_without_harm(
    role: str, message: Message, changes: list[tuple[int, object]], seed: int
) -> None:
    elements = msgpack.unpackb(encode(message))
    for at, strange in changes:
        elements[at % len(elements)] = strange
    try:
        decoded = decode(msgpack.packb(elements))
    except DecodeError:
        return

    take(server(role), [decoded] * 2, random.Random(seed))


def test_a_flood_of_messages_leaves_nothing_behind(seed: int) -> None:
    rng = random.Random(seed)
    made = server("following")
    kinds = (
        lambda n: AppendEntries("a", "b", 1, n, 1, entries(1, first=n + 1), n),
        lambda n: Heartbeat("a", "bc"[n % 2], 1, n % 5, 4, n),
        lambda n: InstallSnapshot("a", "b", 1, n, 1, voters("a"), 1, 1000, n, 0, bytes(500)),
        lambda n: RequestVote("a", f"stranger {n}", 1, n, n),
        lambda n: RequestPreVote("a", f"stranger {n}", n, n, n),
        lambda n: RequestVoteResponse("a", f"stranger {n}", 1, True),
        lambda n: ReadIndex("a", f"stranger {n}", 0, n),
        lambda n: ReadIndexResponse("a", "b", 1, n, n),
        lambda n: Propose("a", f"stranger {n}", 0, n, (b"x",)),
        lambda n: ProposeResponse("a", "b", 1, n, 1, n),
    )

    for number in range(3000):
        if number == 1000:
            before = remembered(made)
        made.receive(rng.choice(kinds)(10 + rng.randrange(10**6)), 0.0)
        drain(made)

    assert remembered(made) < before + 10_000
