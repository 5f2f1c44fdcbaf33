"""Finding each other again after a partition that outlasted everybody's memory of the dead."""

from itertools import pairwise
from typing import Any

import pytest

from memberlist import CloseStream, MemberJoined, Memberlist, OpenStream, StreamRejected
from memberlist.healing import SEEDS_MAX
from memberlist.node import DEAD
from tests.memberlist.vocabulary import (
    address,
    alive,
    dead,
    deliver,
    drain,
    hears,
    left,
    machine,
    node,
    of,
    suspect,
    timeline,
)
from tests.memberlist.wire import Wire, push_pull, tells

# A quarter of a minute to be forgotten in, a contact each minute at most, and no probes.
HEALING: dict[str, Any] = {
    "gossip_to_the_dead_time": 15.0,
    "heal_interval": 60.0,
    "stream_timeout": 100.0,
    "probe_interval": 1e6,
}


def healer(*, knows: str = "", **changes: Any) -> Memberlist:
    return machine("a", knows=knows, **(HEALING | changes))


def contacts(machine: Memberlist, until: float) -> list[tuple[float, Any]]:
    """Return when a member tried to reach whom, nobody being there."""
    tried = []
    while (due := machine.next_timeout()) is not None and due <= until:
        machine.handle_timeout(due)
        for opening in of(OpenStream, drain(machine)):
            tried.append((due, opening.to))
            machine.stream_closed(opening.stream, due)
            drain(machine)
    return tried


def whom(machine: Memberlist, until: float) -> set[Any]:
    return {to for _, to in contacts(machine, until)}


# --- who is missing --------------------------------------------------------------------------


def test_a_member_that_failed_and_was_forgotten_is_contacted_now_and_then() -> None:
    a = healer(knows="bc")
    hears(a, dead("c", by="b"), now=0.0)

    tried = contacts(a, 600.0)

    assert {to for _, to in tried} == {address("c")}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(tried)]
    assert all(30.0 <= gap <= 60.0 for gap in gaps)
    assert len(set(gaps)) == len(gaps)
    assert a.dump()["remembered"] == ["c"]


def test_a_seed_given_by_a_host_name_is_contacted_only_while_we_are_alone() -> None:
    """Whether a member lives there, only the driver could tell."""
    seed = ("seed.example", 7946)
    alone, accompanied = healer(), healer(knows="b")
    for each in (alone, accompanied):
        each.join([seed], 0.0)
        each.stream_closed(2, 0.0)
        drain(each)

    assert whom(alone, 600.0) == {seed}
    assert whom(accompanied, 600.0) == set()


def test_only_one_of_the_missing_is_contacted_at_a_time() -> None:
    a = healer(knows="bcdef")
    for name in "bcdef":
        hears(a, dead(name, by="z"), now=0.0)

    tried = contacts(a, 6000.0)

    assert {to for _, to in tried} == {address(name) for name in "bcdef"}
    assert len({at for at, _ in tried}) == len(tried)
    assert len(tried) <= 6000.0 / 30.0


def test_a_dead_member_in_the_table_is_contacted_too() -> None:
    a = healer(knows="bc", gossip_to_the_dead_time=1000.0)
    a.join([address("b")], 0.0)
    a.stream_closed(2, 0.0)
    drain(a)
    hears(a, dead("c", by="b"), now=0.0)

    assert whom(a, 900.0) == {address("c")}
    assert a.member("c") == node("c", 1, DEAD)


def test_a_seed_that_never_answered_is_contacted_again() -> None:
    a = healer()
    a.join([address("b"), ("db.example", 7946)], 0.0)
    for stream in (2, 4):
        a.stream_closed(stream, 0.1)
    drain(a)

    assert whom(a, 1200.0) == {address("b"), ("db.example", 7946)}


def test_a_seed_that_is_a_live_member_is_not_missing_nor_are_we() -> None:
    a = healer(knows="b")
    a.join([address("a"), address("b")], 0.0)
    for stream in (2, 4):
        a.stream_closed(stream, 0.1)
    drain(a)

    assert whom(a, 1200.0) == set()


def test_who_left_or_is_only_suspected_is_not_missing() -> None:
    a = healer(knows="bcd", gossip_to_the_dead_time=1e6)
    a.join([address("b")], 0.0)
    a.stream_closed(2, 0.0)
    hears(a, left("c"), now=0.0)
    hears(a, suspect("d", by="b"), now=0.0)

    assert whom(a, 1200.0) == set()
    assert a.dump()["remembered"] == []


def test_who_came_back_is_not_missing_any_more() -> None:
    a = healer(knows="bc")
    hears(a, dead("c", by="b"), now=0.0)
    assert whom(a, 300.0) == {address("c")}

    hears(a, alive("c", 2), source="c", now=300.0)

    assert whom(a, 1200.0) == set()
    assert a.dump()["remembered"] == []


def test_nobody_is_missing_in_a_cluster_that_never_lost_anybody() -> None:
    a = healer(knows="bc")

    assert timeline(a, 9999.0) == []


# --- limits ----------------------------------------------------------------------------------


def test_healing_can_be_turned_off() -> None:
    a = healer(knows="bc", heal_interval=0.0)
    a.join([address("d")], 0.0)
    a.stream_closed(2, 0.1)
    drain(a)
    hears(a, dead("c", by="b"), now=0.2)

    assert whom(a, 9999.0) == set()


def test_the_memory_of_the_missing_is_bounded_and_keeps_the_latest() -> None:
    a = healer(knows="bcdef", remembered_max=2)
    for at, name in enumerate("cdef"):
        hears(a, dead(name, by="b"), now=float(at))

    timeline(a, 25.0)

    assert a.dump()["remembered"] == ["e", "f"]


def test_nobody_is_remembered_where_the_memory_has_no_room() -> None:
    a = healer(knows="bc", remembered_max=0)
    hears(a, dead("c", by="b"), now=0.0)

    # While it is in the table it is in view; then it is gone for good.
    assert whom(a, 9999.0) == set()
    assert a.dump()["remembered"] == []


def test_the_missing_are_given_up_after_a_time() -> None:
    a = healer(knows="bc", remembered_time=300.0)
    hears(a, dead("c", by="b"), now=0.0)

    tried = contacts(a, 9999.0)

    assert 225.0 < max(at for at, _ in tried) <= 315.0
    assert a.dump()["remembered"] == []


def test_a_member_lost_again_is_remembered_anew() -> None:
    a = healer(knows="bcd", remembered_max=2)
    for at, (name, incarnation) in enumerate([("c", 1), ("d", 1)]):
        hears(a, dead(name, incarnation, by="b"), now=float(at))
    timeline(a, 20.0)
    hears(a, alive("c", 2), source="c", now=20.0)
    hears(a, dead("c", 2, by="b"), now=21.0)
    timeline(a, 40.0)

    assert a.dump()["remembered"] == ["d", "c"]


def test_the_seeds_are_bounded_and_the_latest_are_kept() -> None:
    a = healer()
    seeds = [(f"10.2.0.{number}", 7946) for number in range(1, SEEDS_MAX + 2)]
    for seed in [*seeds[:SEEDS_MAX], seeds[0], seeds[SEEDS_MAX]]:
        a.join([seed], 0.0)
    while (output := a.poll()) is not None:
        if isinstance(output, OpenStream):
            a.stream_closed(output.stream, 0.0)

    tried = whom(a, 60_000.0)

    assert tried == set(seeds) - {seeds[1]}


def test_a_leave_ends_the_search_and_a_rejoin_takes_it_up_again() -> None:
    a = healer(knows="bc")
    hears(a, dead("c", by="b"), now=0.0)
    timeline(a, 20.0)
    hears(a, dead("b", by="z"), now=20.0)
    hears(a, alive("d"), now=20.0)
    hears(a, left("d", 2), now=20.0)
    a.leave(21.0)
    drain(a)
    assert a.next_timeout() is None

    a.rejoin(1000.0)
    drain(a)

    assert whom(a, 1300.0) == {address("b"), address("c")}


# --- what a contact does ---------------------------------------------------------------------


def test_a_contact_that_succeeds_brings_both_sides_together() -> None:
    a = healer(knows="bc")
    hears(a, dead("c", by="b"), now=0.0)
    (opening,) = of(OpenStream, [output for _, output in timeline(a, 80.0)])
    a.stream_opened(opening.stream, 80.0)
    drain(a)

    tells(a, opening.stream, push_pull(node("c"), node("d"), node("a")), now=80.0)

    assert drain(a) == [
        CloseStream(opening.stream),
        MemberJoined(node("c")),
        MemberJoined(node("d")),
    ]


def test_a_contact_that_fails_is_told_and_tried_again() -> None:
    a = healer(knows="bc")
    hears(a, dead("c", by="b"), now=0.0)
    (opening,) = of(OpenStream, [output for _, output in timeline(a, 80.0)])

    a.stream_closed(opening.stream, 80.0)

    assert drain(a) == [
        CloseStream(opening.stream),
        StreamRejected(opening.stream, address("c"), "unreachable", ""),
    ]
    assert whom(a, 300.0) == {address("c")}


@pytest.mark.parametrize("healing", [True, False])
def test_halves_that_forgot_each_other_come_together_only_by_healing(healing: bool) -> None:
    changes: dict[str, Any] = {
        "gossip_interval": 0.2,
        "gossip_to_the_dead_time": 30.0,
        "heal_interval": 60.0 if healing else 0.0,
        "push_pull_interval": 30.0,
    }
    wire = Wire(*(machine(name, seed=seed, **changes) for seed, name in enumerate("ab")))
    wire.machines[address("a")].join([address("b")], 0.0)
    wire.pump()
    wire.run(5.0)
    assert [len(wire[name].members) for name in "ab"] == [2, 2]

    wire.separate("a", "b")
    wire.run(600.0)
    assert [len(wire[name].nodes) for name in "ab"] == [1, 1]

    wire.cut.clear()
    wire.run(200.0)

    assert [len(wire[name].members) for name in "ab"] == ([2, 2] if healing else [1, 1])


def test_healing_asks_for_members_and_does_not_resurrect_the_dead() -> None:
    # The other side still tells of c as it was when it died.
    a = healer(knows="bcd")
    hears(a, dead("c", 1, by="b"), now=0.0)
    hears(a, dead("d", 1, by="b"), now=10.0)
    timeline(a, 20.0)
    assert a.dump()["remembered"] == ["c"]

    deliver(a, alive("d", 1), source="e", now=20.0)

    assert of(MemberJoined, drain(a)) == []
    assert a.member("d") == node("d", 1, DEAD)
