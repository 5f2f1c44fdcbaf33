"""The composite is a machine: the contract, and whole clusters in virtual time."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serfevents
import vivaldi
from examples.serf.agent import NotSent, SerfAgent, StoreKeys
from memberlist import Config, JoinFinished, Keyring, Memberlist, MemberlistError
from memberlist.testing import Birth, Cluster
from serfevents import (
    Change,
    KeyChange,
    KeysAnswered,
    Left,
    MembersChanged,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    Recovered,
    SerfEventsError,
    Status,
    UserEventReceived,
)
from serfevents.records import Alive
from tests.contract import Battery, Call, Step, assert_same_under_hash_seeds, call

KEY, NEW_KEY = bytes(range(32)), bytes(range(1, 33))
MEMBERSHIP = Config.lan(app_versions=(2, 5, 5))
EVENTS = serfevents.Config(snapshot=True)


def agent(birth: Birth, **options: Any) -> SerfAgent:
    return SerfAgent(
        birth.name,
        birth.address,
        birth.config,
        EVENTS,
        rng=birth.rng,
        now=birth.now,
        incarnation=birth.incarnation,
        known=birth.known,
        entropy=Random(birth.name).randbytes,
        coordinates=vivaldi.Config.serf(),
        **options,
    )


def encrypted(birth: Birth) -> SerfAgent:
    return agent(birth, keyring=Keyring([KEY]))


def tagged(birth: Birth) -> SerfAgent:
    return agent(birth, tags={"role": "web" if birth.name in ("n1", "n2") else "db"})


def view(machine: SerfAgent) -> Memberlist:
    return machine.membership


def run(seed: int, make: Any = agent, count: int = 5) -> Cluster:
    """Start agents that have joined each other one after the other."""
    cluster = Cluster(make, seed=seed, config=MEMBERSHIP, view=view)
    cluster.start(count, warm=False)
    cluster.run(3.0)
    return cluster


def statuses(cluster: Cluster, of: str) -> list[str]:
    """Return what status each agent holds a member for."""
    members = [machine.events.member(of) for machine in cluster.machines.values()]
    return ["gone" if member is None else member.status.name.lower() for member in members]


def told(cluster: Cluster, kind: type) -> list[tuple[str, Any]]:
    return [(name, event) for _, name, event in cluster.trace if type(event) is kind]


# --- the contract -----------------------------------------------------------------------------


def make(rng: Random, now: float) -> SerfAgent:
    return SerfAgent(
        "a",
        ("10.0.0.1", 7946),
        MEMBERSHIP,
        EVENTS,
        rng=rng,
        now=now,
        keyring=Keyring([KEY]),
        entropy=Random(1).randbytes,
        coordinates=vivaldi.Config.serf(),
        recovered=Recovered((Alive("b", ("10.0.0.2", 7946)),)),
    )


BATTERY = Battery(
    make=make,
    refusals=(MemberlistError, SerfEventsError),
    queries={"coordinate": ("a",)},
    misuse=(
        call("fire", "x", b"x" * 600),
        call("query", "_serf_conflict", b"a"),
        call("query", "x", b"x" * 2000),
        call("respond", 99, b""),
        call("set_tags", {"a": "x" * 600}),
        call("change_key", KeyChange.INSTALL, b"short"),
        call("join", []),
    ),
    ending=call("leave"),
    revives=frozenset({"rejoin"}),
    outputs_max=200,
)

LOG = [
    call("join", [("10.0.0.3", 7946)], now=0.1),
    call("stream_opened", 2, now=0.2),
    call("fire", "deploy", b"v1", now=0.3),
    call("query", "load", b"", now=0.4, ack=True),
    call("set_tags", {"role": "web"}, now=0.5),
    call("list_keys", now=0.6),
    call("change_key", KeyChange.INSTALL, NEW_KEY, now=0.7),
    call("change_key", KeyChange.USE, NEW_KEY, now=0.8),
    call("stream_closed", 2, now=0.9),
    call("receive_datagram", b"garbage", ("10.0.0.9", 1), now=1.0),
    call("force_leave", "b", now=1.1),
    call("handle_timeout", now=2.0),
    call("leave", now=3.0),
    call("handle_timeout", now=9.0),
]

COMMANDS = st.sampled_from(LOG)


@given(st.lists(st.tuples(COMMANDS, st.floats(0, 20)), max_size=12))
@settings(max_examples=25)
def test_it_obeys_the_contract(moments: list[tuple[Call, float]]) -> None:
    log = [Call(each.method, each.args, now, each.options) for each, now in moments]
    BATTERY.check(log)


def trace() -> list[Step]:
    return BATTERY.trace(LOG)


def test_it_is_the_same_under_any_hash_seed() -> None:
    assert_same_under_hash_seeds(trace)


# --- clusters ---------------------------------------------------------------------------------


def test_agents_agree_on_members_and_tags(seed: int) -> None:
    cluster = run(seed, tagged)

    for machine in cluster.machines.values():
        tags = {m.name: m.tags["role"] for m in machine.events.members}
        assert tags == {"n1": "web", "n2": "web", "n3": "db", "n4": "db", "n5": "db"}
        assert all(m.status is Status.ALIVE for m in machine.events.members)


def test_agents_that_know_each_other_from_the_start_know_themselves_best(seed: int) -> None:
    cluster = Cluster(tagged, seed=seed, config=MEMBERSHIP, view=view)
    cluster.start(3, warm=True)

    tags = [dict(cluster.machine(name).events.own.tags) for name in ("n1", "n2", "n3")]
    assert tags == [{"role": "web"}, {"role": "web"}, {"role": "db"}]
    assert statuses(cluster, "n1") == ["alive"] * 3


def test_an_event_reaches_everybody_once(seed: int) -> None:
    cluster = run(seed)
    cluster.conditions(loss=0.1, duplication=0.1)

    for number in range(20):
        cluster.call(f"n{1 + number % 5}", "fire", f"e{number}", b"payload")
        cluster.run(0.3)
    cluster.run(60.0)

    seen = told(cluster, UserEventReceived)
    pairs = sorted((name, event.name) for name, event in seen)
    assert pairs == sorted((f"n{n}", f"e{e}") for n in range(1, 6) for e in range(20))


def test_a_query_is_answered_by_whom_it_concerns(seed: int) -> None:
    cluster = run(seed, tagged)

    def respond(name: str, event: Any) -> None:
        if isinstance(event, QueryReceived):
            cluster.call(name, "respond", event.query, name.encode())

    cluster.on_event = respond
    number = cluster.call("n1", "query", "load", b"", tags={"role": "^d"}, ack=True, relay_factor=2)
    cluster.run(10.0)

    acks = {e.source for _, e in told(cluster, QueryAcknowledged) if e.query == number}
    answers = {(e.source, e.payload) for _, e in told(cluster, QueryAnswered)}
    (finished,) = (event for _, event in told(cluster, QueryFinished))
    assert acks == {"n3", "n4", "n5"}
    assert answers == {("n3", b"n3"), ("n4", b"n4"), ("n5", b"n5")}
    assert finished.complete


def test_tags_are_told_to_everybody(seed: int) -> None:
    cluster = run(seed)

    cluster.call("n2", "set_tags", {"a": "1"})
    cluster.run(5.0)

    for machine in cluster.machines.values():
        assert dict(machine.events.member("n2").tags) == {"a": "1"}


def test_a_leave_is_known_as_one(seed: int) -> None:
    cluster = run(seed)

    cluster.call("n2", "leave")
    cluster.run(10.0)

    assert [name for name, _ in told(cluster, Left)] == ["n2"]
    assert statuses(cluster, "n2") == ["left"] * 5
    assert cluster.machine("n2").is_over


def test_who_left_can_come_back_in_the_same_object(seed: int) -> None:
    cluster = run(seed)
    cluster.call("n2", "leave")
    cluster.run(10.0)

    cluster.call("n2", "rejoin")
    cluster.run(10.0)

    assert statuses(cluster, "n2") == ["alive"] * 5


def test_a_leave_can_be_called_off(seed: int) -> None:
    cluster = run(seed)

    cluster.call("n2", "leave")
    cluster.run(0.05)
    cluster.call("n2", "rejoin")
    cluster.run(60.0)  # until a full exchange, for those whom gossip missed

    assert statuses(cluster, "n2") == ["alive"] * 5
    assert told(cluster, Left) == []


def test_who_has_not_left_can_not_come_back(seed: int) -> None:
    cluster = run(seed, count=2)

    with pytest.raises(ValueError, match="has not left"):
        cluster.call("n2", "rejoin")


def test_what_is_no_time_is_refused(seed: int) -> None:
    machine = run(seed, count=1).machine("n1")

    with pytest.raises(ValueError, match="must be finite"):
        machine.fire("x", b"", float("inf"))


def test_a_crash_is_a_failure_until_it_is_declared_a_leave(seed: int) -> None:
    cluster = run(seed)
    cluster.crash("n2")
    assert cluster.run_until(lambda: statuses(cluster, "n2") == ["failed"] * 4, within=60.0)

    cluster.call("n1", "force_leave", "n2")
    cluster.run(5.0)
    left = statuses(cluster, "n2")
    cluster.call("n1", "force_leave", "n2", prune=True)
    cluster.run(5.0)

    assert left == ["left"] * 4
    assert statuses(cluster, "n2") == ["gone"] * 4


def test_an_agent_that_returns_is_alive_again(seed: int) -> None:
    cluster = run(seed)
    cluster.crash("n2")
    cluster.run(60.0)

    cluster.restart("n2")
    cluster.join("n2", "n1")
    cluster.run(10.0)

    assert statuses(cluster, "n2") == ["alive"] * 5


def test_an_agent_rejoins_its_earlier_cluster_by_itself(seed: int) -> None:
    cluster = run(seed)
    earlier = cluster.machine("n2").events.members
    gone = Alive("gone", ("10.9.9.9", 7946))
    alive = (gone, *(Alive(m.name, m.address) for m in earlier))
    cluster.crash("n2")
    cluster.run(60.0)

    cluster._make = lambda birth: agent(birth, recovered=Recovered(alive, 7, 3, 2))
    cluster.restart("n2")
    cluster.run(120.0)

    assert statuses(cluster, "n2") == ["alive"] * 5
    assert {name for name, _ in told(cluster, JoinFinished)} >= {"n2"}


def test_replay_is_for_those_who_want_it(seed: int) -> None:
    cluster = run(seed)
    cluster.call("n1", "fire", "before", b"")
    cluster.run(5.0)

    for name, replay in (("n6", True), ("n7", False)):
        cluster.add(name)
        cluster.call(name, "join", [cluster.address("n1")], replay=replay)
    cluster.run(60.0)

    heard = [name for name, event in told(cluster, UserEventReceived) if event.name == "before"]
    assert "n6" in heard
    assert "n7" not in heard


def test_coordinates_predict_round_trips(seed: int) -> None:
    cluster = Cluster(agent, seed=seed, config=MEMBERSHIP, view=view, latency=(0.020, 0.020))
    cluster.start(5, warm=False)

    cluster.run(120.0)

    first = cluster.machine("n1")
    for other in ("n2", "n3", "n4", "n5"):
        ours, theirs = first.coordinate("n1"), first.coordinate(other)
        assert ours.distance_to(theirs) == pytest.approx(0.040, rel=0.25)


def test_keys_are_rotated_while_everybody_talks(seed: int) -> None:
    cluster = run(seed, encrypted)

    for change, key in (
        (KeyChange.INSTALL, NEW_KEY),
        (KeyChange.USE, NEW_KEY),
        (KeyChange.REMOVE, KEY),
    ):
        cluster.call("n1", "change_key", change, key)
        cluster.run(10.0)
    cluster.call("n1", "list_keys")
    cluster.run(10.0)

    answers = [event for _, event in told(cluster, KeysAnswered)]
    assert [answer.error for answer in answers] == [""] * 4
    assert [count for _, count in answers[-1].keys] == [5]
    assert all(machine.keys == (NEW_KEY,) for machine in cluster.machines.values())
    assert cluster.converged()


@pytest.mark.parametrize(
    ("change", "key", "text"),
    [
        (KeyChange.USE, NEW_KEY, "Requested key is not in the keyring"),
        (KeyChange.REMOVE, KEY, "Removing the primary key is not allowed"),
    ],
)
def test_a_change_of_keys_that_fails_says_why(
    seed: int, change: KeyChange, key: bytes, text: str
) -> None:
    cluster = run(seed, encrypted, count=2)

    cluster.call("n1", "change_key", change, key)
    cluster.run(10.0)

    ((_, answer),) = told(cluster, KeysAnswered)
    assert dict(answer.messages) == {"n1": text, "n2": text}
    assert answer.error == "2/2 nodes reported failure"


def test_keys_are_stored_before_they_are_reported(seed: int) -> None:
    cluster = run(seed, lambda birth: agent(birth, keyring=Keyring([KEY]), stores_keys=True))
    refused = "disk full"

    def store(name: str, event: Any) -> None:
        if isinstance(event, StoreKeys):
            assert event.keys == (KEY, NEW_KEY)
            error = refused if name == "n3" else ""
            cluster.call(name, "keys_stored", event.number, error=error)

    cluster.on_event = store
    cluster.call("n1", "change_key", KeyChange.INSTALL, NEW_KEY)
    cluster.run(10.0)

    ((_, answer),) = told(cluster, KeysAnswered)
    assert (answer.responses, answer.errors) == (5, 1)
    assert dict(answer.messages) == {"n3": refused}


def test_who_loses_the_vote_over_a_name_is_over(seed: int) -> None:
    cluster = run(seed)

    cluster.add("twin", called="n1")
    cluster.join("twin", "n2")
    cluster.run(30.0)

    assert cluster.machine("twin").is_over
    assert cluster.machine("twin").next_timeout() is None
    assert cluster.machine("twin").stream_accepted(("10.0.0.1", 1), cluster.now) == -1
    assert not cluster.machine("n1").is_over
    with pytest.raises(MemberlistError):
        cluster.call("twin", "fire", "x", b"")


def test_a_member_of_an_invalid_name_is_let_in_unless_names_are_validated(seed: int) -> None:
    def strict_if_first(birth: Birth) -> SerfAgent:
        return agent(birth, validates_names=birth.name == "n1")

    cluster = run(seed, strict_if_first, count=2)

    cluster.add("web_1")
    cluster.join("web_1", "n2")
    cluster.run(10.0)

    assert statuses(cluster, "web_1") == ["gone", "alive", "alive"]


def test_what_membership_can_not_send_is_reported(seed: int) -> None:
    events = EVENTS.changed(user_event_size_limit=9000)
    machine = SerfAgent("a", ("10.0.0.1", 7946), MEMBERSHIP, events, rng=Random(seed), now=0.0)

    machine.fire("large", bytes(5000), 1.0)

    outputs = []
    while (output := machine.poll()) is not None:
        outputs.append(output)
    (lost,) = (each for each in outputs if isinstance(each, NotSent))
    assert len(lost.payload) > 5000
    assert machine.statistics()["event_queue"] == "0"


def test_without_coordinates_none_is_told(seed: int) -> None:
    machine = SerfAgent("a", ("10.0.0.1", 7946), MEMBERSHIP, EVENTS, rng=Random(seed), now=0.0)

    assert machine.coordinate("a") is None
    assert machine.statistics()["coordinate_resets"] == "0"


def test_everything_can_be_dumped(seed: int) -> None:
    dump = run(seed, count=2).machine("n1").dump()

    assert set(dump) == {"membership", "events"}


def test_a_storm_leaves_everybody_in_agreement(seed: int) -> None:
    cluster = run(seed, tagged)
    cluster.conditions(loss=0.2, duplication=0.1, reordering=0.1)
    rng = Random(seed)

    for number in range(40):
        name = rng.choice(list(cluster.machines))
        match rng.randrange(5):
            case 0:
                cluster.call(name, "fire", f"e{number}", rng.randbytes(20))
            case 1:
                cluster.call(name, "query", f"q{number}", b"", ack=True)
            case 2:
                cluster.call(name, "set_tags", {"n": str(number)})
            case 3 if len(cluster.machines) > 3:
                cluster.crash(name)
            case _:
                gone = [n for n in ("n1", "n2", "n3", "n4", "n5") if n not in cluster.machines]
                if gone:
                    cluster.restart(gone[0])
                    cluster.join(gone[0], next(iter(cluster.machines)))
        cluster.run(2.0)
    cluster.conditions(loss=0.0, duplication=0.0, reordering=0.0)
    for name in ("n1", "n2", "n3", "n4", "n5"):
        if name not in cluster.machines:
            cluster.restart(name)
            cluster.join(name, next(iter(cluster.machines)))
    cluster.run(120.0)

    for name in ("n1", "n2", "n3", "n4", "n5"):
        assert statuses(cluster, name) == ["alive"] * 5, name
    joins = [e for _, e in told(cluster, MembersChanged) if e.change is Change.JOIN]
    assert joins
