"""What holds whatever comes, in whatever order, to however many members."""

from __future__ import annotations

import itertools
import random

import hypothesis.strategies as st
from hypothesis import given, settings

from serfevents import (
    Broadcast,
    QueryFinished,
    QueryReceived,
    SendReply,
    SerfEvents,
    Status,
    UserEventReceived,
)
from serfevents.wire.messages import LeaveIntent
from tests.serfevents.vocabulary import (
    Message,
    address,
    drain,
    encode,
    event,
    hears,
    join,
    leave,
    machine,
    only,
    query,
    state,
)

intents = st.builds(
    lambda leaves, name, ltime: (leave if leaves else join)(name, ltime),
    st.booleans(),
    st.sampled_from("bc"),
    st.integers(0, 6),
)
user_events = st.builds(event, st.sampled_from("xy"), st.integers(0, 8))


def clocks(made: SerfEvents) -> list[int]:
    statistics = made.statistics()
    return [int(statistics[key]) for key in ("member_time", "event_time", "query_time")]


@given(st.lists(st.one_of(intents, user_events, st.builds(query, ltime=st.integers(0, 9)))))
def test_clocks_never_go_back_and_stay_ahead_of_all_that_was_seen(heard: list[Message]) -> None:
    a = machine("a", knows="b")
    newest = [1, 1, 1]

    for message in heard:
        hears(a, message)
        now = clocks(a)
        assert all(new >= old for new, old in zip(now, newest, strict=True))
        assert max(now) > message.ltime  # type: ignore[union-attr]
        newest = now


@given(st.lists(intents, max_size=12), st.randoms(use_true_random=False))
def test_members_that_heard_the_same_intents_believe_the_same(
    heard: list[Message], chance: random.Random
) -> None:
    """Whatever the order and the repeats."""
    one, two = machine("a", knows="bc"), machine("a", knows="bc")
    other = heard + chance.sample(heard, len(heard) // 2)
    chance.shuffle(other)

    hears(one, *heard)
    hears(two, *other)

    assert one.members == two.members
    assert state(one).status_ltimes == state(two).status_ltimes


@given(st.lists(intents, max_size=12), st.lists(intents, max_size=12))
def test_two_members_agree_after_one_exchange_each_way(
    here: list[Message], there: list[Message]
) -> None:
    a, b = machine("a", knows="bcd"), machine("d", knows="abc")
    hears(a, *here)
    hears(b, *there)

    for _ in range(2):
        a.merge(b.state(), 0.0, join=False)
        b.merge(a.state(), 0.0, join=False)

    for name in "bc":
        assert a.member(name) == b.member(name)
        assert state(a).status_ltimes[name] == state(b).status_ltimes[name]


@given(st.lists(user_events, max_size=40), st.randoms(use_true_random=False))
def test_each_event_is_told_once_whatever_comes_twice(
    heard: list[Message], chance: random.Random
) -> None:
    a = machine("a")
    repeated = heard + chance.sample(heard, len(heard) // 2)
    chance.shuffle(repeated)

    hears(a, *repeated)

    told = [(out.name, out.ltime) for out in only(drain(a), UserEventReceived)]
    assert len(told) == len(set(told))
    expected = {(each.name, each.ltime) for each in repeated}  # type: ignore[union-attr]
    assert set(told) == expected


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(0, 3), st.integers(0, 2**16))
def test_a_query_is_finished_once_and_counts_its_answers(size: int, silent: int, seed: int) -> None:
    names = [f"n{number}" for number in range(size)]
    cluster = {
        name: machine(name, knows=[each for each in names if each != name], seed=seed)
        for name in names
    }
    asker = cluster[names[0]]

    asker.query("load", b"", 0.0, ack=True, relay_factor=seed % 4)
    finished = talk(cluster, mute=names[1 : 1 + silent])
    for made in cluster.values():
        made.handle_timeout(99.0)
    finished += talk(cluster, mute=names)

    (over,) = finished
    mute = min(silent, size - 1)
    assert (over.expected, over.acks, over.responses) == (size, size, size - mute)
    assert over.complete is (mute == 0)


def talk(cluster: dict[str, SerfEvents], mute: list[str]) -> list[QueryFinished]:
    """Carry everything until all are quiet; members that aren't mute answer what they are asked."""
    at = {address(name): made for name, made in cluster.items()}
    finished: list[QueryFinished] = []
    busy = True
    while busy:
        busy = False
        for name, made in cluster.items():
            while (output := made.poll()) is not None:
                busy = True
                match output:
                    case Broadcast(payload=payload):
                        for other in cluster.values():
                            if other is not made:
                                other.receive(payload, address(name), 0.0)
                    case SendReply(to, _, payload):
                        at[to].receive(payload, address(name), 0.0)
                    case QueryFinished():
                        finished.append(output)
                    case QueryReceived(number) if name not in mute:
                        made.respond(number, b"", 0.0)
                    case _:
                        pass
    return finished


PAIRS = list(itertools.combinations("abcd", 2))
STATUSES = st.sampled_from([Status.ALIVE, Status.LEAVING, Status.LEFT, Status.FAILED])
views = st.dictionaries(st.sampled_from("abcd"), st.tuples(STATUSES, st.integers(1, 9)))


def in_view(name: str, view: dict[str, tuple[Status, int]]) -> SerfEvents:
    """Return a member that believes these things of the others."""
    made = machine(name, knows=[other for other in "abcd" if other != name])
    for other, (status, ltime) in sorted(view.items()):
        if other == name:
            hears(made, join(other, ltime))
        elif status is Status.LEAVING or status is Status.LEFT:
            hears(made, LeaveIntent(ltime, other))
        else:
            hears(made, join(other, ltime))
    drain(made)
    return made


@settings(max_examples=40)
@given(st.lists(views, min_size=4, max_size=4), st.permutations(sorted(PAIRS)))
def test_intents_converge_from_any_state_to_what_everybody_is(
    given_views: list[dict[str, tuple[Status, int]]], pairs: list[tuple[str, str]]
) -> None:
    """All are alive: whatever anybody believed, all come to believe it."""
    cluster = {name: in_view(name, view) for name, view in zip("abcd", given_views, strict=True)}

    # Twice everybody with everybody: once to hear of all intents, once of what was refuted.
    for one, two in pairs * 2:
        cluster[one].merge(cluster[two].state(), 0.0, join=False)
        cluster[two].merge(cluster[one].state(), 0.0, join=False)
        talk(cluster, mute=[])

    beliefs = {tuple(sorted((e.name, e.status) for e in made.members)) for made in cluster.values()}
    assert beliefs == {tuple((name, Status.ALIVE) for name in "abcd")}
    times = {tuple(sorted(state(made).status_ltimes.items())) for made in cluster.values()}
    assert len(times) == 1


def test_an_intent_is_news_once_to_each() -> None:
    a = machine("a", knows="b")

    payload = encode(leave("b", 5))
    for _ in range(3):
        a.receive(payload, None, 0.0)

    assert len(drain(a)) == 1
