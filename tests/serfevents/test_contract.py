"""The contract battery over a machine with little room in every queue."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serfevents import Config, Rotation, SerfEvents, SerfEventsError, Stage
from serfevents.filters import encode_filters
from serfevents.records import Alive, Recovered
from serfevents.wire.codec import (
    encode_conflict_response,
    encode_key_request,
    encode_key_response,
)
from serfevents.wire.messages import (
    ConflictResponse,
    KeyRequest,
    KeyResponse,
    PushPull,
    Relay,
)
from serfevents.wire.states import encode_state
from tests.contract import Battery, Call, Step, assert_same_under_hash_seeds, call
from tests.serfevents.vocabulary import (
    VERSIONS,
    ack,
    address,
    answer,
    drain,
    encode,
    event,
    join,
    leave,
    meta,
    query,
    relay,
)
from tests.strategies import hostile, logs, mangled

KEY = bytes(range(16))


def make(rng: random.Random, now: float, *, coalescing: bool, keyed: bool) -> SerfEvents:
    """Return a member with little room in every queue."""
    period = 0.5 if coalescing else 0.0
    config = Config(
        event_buffer=4,
        event_buffer_size_max=1024,
        query_buffer=4,
        query_ids_max=8,
        open_queries_max=3,
        pending_queries_max=3,
        direct_query_max=2,
        reap_interval=1.0,
        reconnect_interval=1.5,
        reconnect_timeout=3.0,
        tombstone_timeout=2.0,
        recent_intent_timeout=4.0,
        recent_intents_max=3,
        members_max=4,
        flap_timeout=1.0,
        broadcast_timeout=1.0,
        leave_propagate_delay=0.2,
        queue_depth_max=12,
        coalesce_period=period,
        quiescent_period=period / 2,
        user_coalesce_period=period,
        user_quiescent_period=period / 2,
        coalesced_max=5,
        snapshot=coalescing,
        state_size_max=2048,
        recent_payloads_max=8,
        counted_names_max=3,
    )
    recovered = Recovered((Alive("a", address("a")), Alive("b", address("b"))), 2, 1, 1)
    made = SerfEvents(
        "a",
        address("a"),
        config,
        rng=rng,
        now=now,
        tags={"role": "web"},
        keys=(lambda: [KEY]) if keyed else None,
        recovered=recovered if keyed else Recovered(),
        forget_after=lambda member, timeout: timeout / 2 if member.name == "c" else timeout,
    )
    for name in "bc":
        made.member_joined(name, address(name), meta(role="db"), VERSIONS, now)
    return made


# Refused whatever the state: a wrong argument, or more than there is room for.
MISUSE = (
    call("fire", "x", "text"),
    call("fire", 1, b""),
    call("fire", "x", bytes(600)),
    call("fire", "x" * 505, b""),
    call("query", "_serf_list-keys", b""),
    call("query", "x", "text"),
    call("query", "x", bytes(2000)),
    call("query", "x", b"", timeout=0.0),
    call("query", "x", b"", timeout=float("nan")),
    call("query", "x", b"", relay_factor=256),
    call("query", "x", b"", tags={"role": "("}),
    call("query", "x", b"", nodes=[1]),
    call("respond", -1, b""),
    call("respond", 1, "text"),
    call("set_tags", {"role": "x" * 600}),
    call("set_tags", {"role": 1}),
    call("force_leave", "a"),
    call("force_leave", ""),
    call("install_key", b"short"),
    call("use_key", "text"),
    call("remove_key", KEY, relay_factor=-1),
    call("list_keys", relay_factor=300),
    call("rotate_keys", b"short"),
    call("rotate_keys", Rotation(KEY, Stage.DONE)),
)


def battery(*, coalescing: bool = False, keyed: bool = False) -> Battery:
    return Battery(
        make=functools.partial(make, coalescing=coalescing, keyed=keyed),
        refusals=(SerfEventsError,),
        network=(
            "receive",
            "merge",
            "member_",
            "name_conflict",
            "broadcast_finished",
            "join_",
            "membership_left",
            "keyring_changed",
            "handle_timeout",
        ),
        misuse=MISUSE,
        queries={"member": ("b",)},
        ending=call("shutdown"),
        revives=frozenset(("rejoin",)),
        outputs_max=80,
    )


# --- what may come ---------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "z")
QUERIES = [
    *(query(name, ltime) for ltime, name in enumerate(("load", "uptime", "load"), start=1)),
    query("load", 1, 2, flags=3),
    query("load", 2, 9, flags=1, relay_factor=1),
    query("load", 9, 9, filters=encode_filters(("a",), {"role": "^w"})),
    query("load", 9, 8, filters=(b"", b"\x07")),
    query("load", 9, 7, timeout=0.0, source="q"),
    query("_serf_ping", 3, 3, flags=1),
    query("_serf_nonsense", 3, 4),
    query("_serf_conflict", 3, 5, payload=b"b"),
    query("_serf_conflict", 3, 6, payload=b"a"),
    query("_serf_list-keys", 3, 7, payload=encode_key_request(KeyRequest(b""))),
    query("_serf_install-key", 3, 8, payload=encode_key_request(KeyRequest(KEY))),
    query("_serf_use-key", 4, 8, payload=b"nonsense"),
]
OWN = query("load", 2, 0, source="a")
PAYLOADS = [
    *(encode(about(name, ltime)) for about in (join, leave) for name in NAMES for ltime in (1, 4)),
    encode(leave("b", 5, prune=True)),
    encode(leave("d", 2**64 - 1)),
    encode(event("deploy", 3, b"x", coalesce=True)),
    encode(event("deploy", 3, b"y", coalesce=True)),
    *(encode(event("noise", ltime)) for ltime in (0, 1, 9, 30)),
    encode(event("large", 9, bytes(700))),
    encode(event("larger", 9, bytes(9300))),
    *map(encode, QUERIES),
    encode(answer(query(ltime=1), "b", b"!")),
    encode(ack(query(ltime=1), "c")),
    encode(relay("b", answer(query(), "c"))),
    encode(relay("", answer(query(), "c"), at=address("c"))),
    encode(relay("a", answer(query(), "c"))),
    encode(relay("b", answer(query(), "c"), at=address("y"))),
    encode(Relay(None, "b", encode(join("b", 1)))),
    encode_conflict_response(ConflictResponse("a", address("a"))),
    encode_key_response(KeyResponse(result=True)),
]
STATES = [
    encode_state(PushPull()),
    encode_state(
        PushPull(
            ltime=9,
            status_ltimes={"a": 7, "b": 5, "c": 6, "d": 3},
            left=("c", "e"),
            leaving=("b",),
            event_ltime=12,
            events=(event("old", 2), event("new", 11, b"x", coalesce=True), event("new", 11)),
            query_ltime=8,
        )
    ),
    encode_state(PushPull(left=("a",), leaving=("a", "b"), status_ltimes={"a": 40})),
    encode_state(PushPull(event_ltime=2**64 - 1, ltime=2**64 - 1, query_ltime=2**64 - 1)),
]

names = st.sampled_from(NAMES)
addresses = st.sampled_from([address(name) for name in NAMES])
numbers = st.integers(-1, 40)
metas = st.sampled_from([b"", b"web", meta(role="web"), meta(role="db"), b"\xff\xff"])
texts = st.sampled_from(["deploy", "load", "x"])
payloads = st.binary(max_size=80)


def calls(method: str, *args: st.SearchStrategy[Any], **options: Any) -> st.SearchStrategy[Call]:
    """Draw calls of one input."""
    return st.tuples(st.tuples(*args), st.fixed_dictionaries(options)).map(
        lambda drawn: Call(method, drawn[0], options=drawn[1])
    )


received = calls("receive", hostile(PAYLOADS), addresses)
merged = calls("merge", st.one_of(st.sampled_from(STATES), mangled(STATES)), join=st.booleans())
memberlist = st.one_of(
    calls("member_joined", names, addresses, metas, st.just(VERSIONS)),
    calls("member_updated", names, addresses, metas, st.just(VERSIONS)),
    calls("member_failed", names),
    calls("member_left", names),
    calls("name_conflict", names, addresses),
)
reports = st.one_of(
    calls("broadcast_finished", numbers),
    calls("join_begun", ignore_old=st.booleans()),
    calls("join_ended", st.integers(0, 1)),
    calls("membership_left"),
    calls("keyring_changed", numbers, error=st.sampled_from(["", "no"])),
)
filters: dict[str, Any] = {
    "nodes": st.sampled_from([(), ("a",), ("a", "b")]),
    "tags": st.sampled_from([{}, {"role": "^w"}]),
    "ack": st.booleans(),
    "relay_factor": st.integers(0, 2),
    "broadcast": st.booleans(),
}
commands = st.one_of(
    calls("fire", texts, payloads, coalesce=st.booleans()),
    calls("query", texts, payloads, **filters),
    calls("respond", numbers, payloads),
    calls("set_tags", st.sampled_from([{}, {"role": "web"}, {"x": "y"}])),
    calls("force_leave", st.sampled_from("bcdz"), prune=st.booleans()),
    calls("install_key", st.just(KEY)),
    calls("use_key", st.just(KEY)),
    calls("remove_key", st.just(KEY)),
    calls("list_keys"),
    calls("rotate_keys", st.sampled_from([KEY, Rotation(KEY, Stage.REMOVE, (KEY[::-1],))])),
    calls("leave"),
    calls("rejoin"),
    calls("handle_timeout"),
)


# --- the battery -----------------------------------------------------------------------------


@settings(max_examples=30)
@given(logs(received, received, merged, memberlist, reports, commands, size_max=20, step_max=2.0))
def test_it_obeys_the_contract(log: list[Call]) -> None:
    battery().check(log)


@settings(max_examples=20)
@given(logs(received, merged, memberlist, reports, commands, size_max=20, step_max=1.0))
def test_it_obeys_the_contract_when_it_gathers_and_remembers(log: list[Call]) -> None:
    battery(coalescing=True).check(log)


@settings(max_examples=20)
@given(logs(received, memberlist, reports, commands, commands, size_max=20, step_max=2.0))
def test_it_obeys_the_contract_with_keys_and_a_past(log: list[Call]) -> None:
    battery(keyed=True).check(log)


everything = logs(
    received, merged, memberlist, reports, commands, commands, size_max=40, step_max=1.0
)


@given(everything, st.booleans())
def test_nothing_breaks_an_invariant(log: Sequence[Call], keyed: bool) -> None:
    a = make(random.Random(1), 0.0, coalescing=not keyed, keyed=keyed)

    for each in log:
        try:
            getattr(a, each.method)(*each.args, each.now, **each.options)
        except (SerfEventsError, ValueError):
            assert not each.method.startswith(("receive", "merge", "member"))
        a.check_invariants()
        # What is put out must find its way on.
        drain(a)


# --- C14 for each command --------------------------------------------------------------------

STATES_OF_LIFE: dict[str, list[Call]] = {
    "running": [],
    "busy": [call("fire", "x", b""), call("query", "x", b"", ack=True), call("list_keys")],
    "leaving": [call("leave")],
    "over": [call("shutdown")],
}


@pytest.mark.parametrize("wrong", MISUSE, ids=lambda wrong: f"{wrong.method}")
@pytest.mark.parametrize("state", STATES_OF_LIFE)
def test_a_refused_command_leaves_no_trace(state: str, wrong: Call) -> None:
    rng = random.Random(1)
    a = make(rng, 0.0, coalescing=True, keyed=True)
    for each in STATES_OF_LIFE[state]:
        getattr(a, each.method)(*each.args, each.now, **each.options)
    before, draws = a.dump(), rng.getstate()
    drain(a)

    with pytest.raises((ValueError, TypeError, SerfEventsError)):
        getattr(a, wrong.method)(*wrong.args, 1.0, **wrong.options)

    assert a.dump() == before
    assert rng.getstate() == draws
    assert a.poll() is None


# --- the same under any hash seed ------------------------------------------------------------


def trace() -> Iterable[Step]:
    """Return what a member does with a long log of everything, for two configurations."""
    chance = random.Random(7)
    log = []
    now = 0.0
    for number in range(200):
        now += chance.random() * 0.3
        source = address(chance.choice(NAMES))
        match number % 5:
            case 0 | 1:
                log.append(call("receive", chance.choice(PAYLOADS), source, now=now))
            case 2:
                log.append(call("merge", chance.choice(STATES), now=now, join=True))
            case 3:
                what = chance.choice(("member_joined", "member_updated"))
                name = chance.choice(NAMES)
                log.append(call(what, name, address(name), meta(n="x"), VERSIONS, now=now))
                log.append(call("member_failed", chance.choice("bcd"), now=now))
            case 4:
                log.append(call("fire", "x", b"%d" % number, now=now))
                log.append(call("query", "y", b"", now=now, ack=True, nodes=["b"]))
                log.append(call("broadcast_finished", chance.randrange(60), now=now))
    return [*battery(coalescing=True).trace(log), *battery(keyed=True).trace(log)]


def test_it_is_the_same_under_any_hash_seed() -> None:
    steps = list(trace())

    assert len(steps) > 400
    assert sum(bool(step.outputs) for step in steps) > 150
    assert_same_under_hash_seeds(trace)
