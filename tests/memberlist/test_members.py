"""The member table: records, the probe rotation, random picks, and since when."""

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memberlist import Node, NodeState
from memberlist.members import MemberTable
from memberlist.node import ALIVE, DEAD, LEFT, SUSPECT
from tests.memberlist.vocabulary import node


def table(*others: str | Node, seed: int = 1) -> MemberTable:
    """Return the table of `a`, who knows these members."""
    known = (node(other) if isinstance(other, str) else other for other in others)
    return MemberTable(node("a"), known, random.Random(seed))


def probes(members: MemberTable, count: int) -> list[str | None]:
    """Return whom the next probes go to."""
    picks = (members.next_probe() for _ in range(count))
    return [None if pick is None else pick.name for pick in picks]


def names(nodes: Iterable[Node]) -> list[str]:
    return [each.name for each in nodes]


# --- records ---------------------------------------------------------------------------------


def test_it_knows_us_and_whom_it_was_given_in_order() -> None:
    members = table("c", "b")

    assert names(members) == ["c", "b", "a"]
    assert len(members) == 3
    assert members.own == node("a")
    assert members.get("b") == node("b")


def test_unknown_members_are_none() -> None:
    members = table("b")

    assert members.get("x") is None
    assert "x" not in members
    assert "b" in members


def test_a_stored_record_replaces_the_older() -> None:
    members = table("b")

    members.store(node("b", 2, meta=b"new"), 5.0)

    assert members.get("b") == node("b", 2, meta=b"new")
    assert len(members) == 2


def test_a_removed_member_is_unknown() -> None:
    members = table("b", "c")

    members.remove("b")

    members.check_invariants()
    assert members.get("b") is None
    assert names(members) == ["c", "a"]


def test_company_is_who_is_alive_or_suspect_besides_us() -> None:
    members = table("b", "c")
    assert members.has_company
    members.store(node("b", 1, DEAD), 1.0)
    members.store(node("c", 1, SUSPECT), 1.0)
    assert members.has_company

    members.store(node("c", 1, LEFT), 2.0)

    assert not members.has_company


# --- since when ------------------------------------------------------------------------------


def test_the_living_have_no_time_of_death() -> None:
    assert table("b").since("b") is None
    assert table("b").since("nobody") is None


def test_the_time_counts_from_the_change_of_state() -> None:
    members = table("b")
    members.store(node("b", 1, SUSPECT), 5.0)
    members.store(node("b", 2, SUSPECT), 6.0)
    assert members.since("b") == 5.0

    members.store(node("b", 2, DEAD), 9.0)
    assert members.since("b") == 9.0

    members.store(node("b", 3), 10.0)
    assert members.since("b") is None


def test_who_is_not_alive_is_listed_in_the_order_of_ceasing_to_be() -> None:
    members = table("b", "c", "d")
    members.store(node("d", 1, SUSPECT), 1.0)
    members.store(node("b", 1, LEFT), 2.0)
    members.store(node("c", 1, DEAD), 3.0)
    members.store(node("d", 2), 4.0)

    assert members.not_alive() == [node("b", 1, LEFT), node("c", 1, DEAD)]


# --- the probe rotation (SWIM 4.3) -----------------------------------------------------------


def test_nobody_probes_himself() -> None:
    assert probes(table(), 5) == [None] * 5


@pytest.mark.parametrize("start", range(20))
def test_each_round_probes_everybody_once(start: int) -> None:
    members = table(*"bcdef", seed=start)

    for _ in range(4):
        assert sorted(filter(None, probes(members, 5))) == list("bcdef")


def test_rounds_differ() -> None:
    members = table(*"bcdefghijk")
    rounds = {tuple(probes(members, 10)) for _ in range(20)}

    assert len(rounds) == 20


def test_every_order_of_a_round_is_as_likely() -> None:
    members = table(*"bcd")
    counts: dict[tuple[str | None, ...], int] = {}
    for _ in range(6000):
        order = tuple(probes(members, 3))
        counts[order] = counts.get(order, 0) + 1

    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())


def test_between_two_probes_of_a_member_lie_at_most_two_rounds() -> None:
    """SWIM 4.3: at most 2n - 1 periods, n others."""
    members = table(*"bcdef")
    gaps = []
    last: dict[str, int] = {}
    for at, name in enumerate(probes(members, 2000)):
        assert name is not None
        gaps.append(at - last.get(name, at))
        last[name] = at

    assert max(gaps) == 9


@pytest.mark.parametrize(("state", "probed"), [(SUSPECT, True), (DEAD, False), (LEFT, False)])
def test_suspects_are_probed_and_the_gone_are_not(state: NodeState, *, probed: bool) -> None:
    members = table("b", "c")
    members.store(node("b", 1, state), 1.0)

    assert ("b" in probes(members, 10)) is probed
    assert None not in probes(members, 10)


@pytest.mark.parametrize("start", range(20))
def test_who_can_be_probed_is_found_among_many_dead(start: int) -> None:
    members = table(*"bcdefgh", seed=start)
    for name in "cdefgh":
        members.store(node(name, 1, DEAD), 1.0)

    assert probes(members, 20) == ["b"] * 20


@pytest.mark.parametrize("start", range(20))
def test_a_newcomer_is_due_within_the_running_round_or_the_next(start: int) -> None:
    """SWIM 4.3: inserted at a random place, so that the bound holds for it at once."""
    members = table(*"bcdef", seed=start)
    probes(members, 3)
    members.store(node("n7"), 1.0)

    assert "n7" in probes(members, 8)


def test_a_newcomer_comes_at_a_random_place() -> None:
    places = set()
    for start in range(60):
        members = table(*"bcdef", seed=start)
        probes(members, 1)
        members.store(node("n7"), 1.0)
        places.add(probes(members, 12).index("n7"))

    assert places >= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("start", range(20))
def test_a_member_that_was_reaped_and_returns_is_in_the_rotation_once(start: int) -> None:
    members = table(*"bcdef", seed=start)
    probes(members, 2)
    members.remove("c")
    members.store(node("c", 9), 5.0)

    members.check_invariants()
    probes(members, 3)
    assert sorted(filter(None, probes(members, 5))) == list("bcdef")


@pytest.mark.parametrize("start", range(20))
def test_a_member_that_was_reaped_gives_up_its_place(start: int) -> None:
    members = table(*"bcdef", seed=start)
    probes(members, 2)
    members.remove("c")

    assert set(probes(members, 8)) == set("bdef")
    members.check_invariants()
    members.store(node("c", 9), 5.0)
    members.check_invariants()
    assert set(probes(members, 10)) == set("bcdef")


def test_reaping_a_large_part_at_once_loses_nobody_of_the_running_round() -> None:
    """The rotation is cleaned when most of it is gone: who was due in this round still is."""
    others = [f"n{number}" for number in range(100, 300)]
    members = table(*others)
    probed = set(probes(members, 100))
    doomed = [name for name in others if name in probed][:90] + [
        name for name in others if name not in probed
    ][:90]
    for name in doomed:
        members.remove(name)
        members.check_invariants()

    due = [name for name in others if name not in probed and name not in doomed]
    assert sorted(filter(None, probes(members, len(due)))) == due


# --- random picks ----------------------------------------------------------------------------


def test_a_sample_has_distinct_living_others() -> None:
    members = table(*"bcdefg")
    members.store(node("c", 1, SUSPECT), 1.0)
    members.store(node("e", 1, DEAD), 1.0)

    assert sorted(names(members.sample(9))) == list("bdfg")
    assert sorted(names(members.sample(9, exclude="d"))) == list("bfg")


def test_others_than_the_living_are_sampled_if_that_is_asked() -> None:
    members = table(*"bcd")
    members.store(node("c", 1, SUSPECT), 1.0)
    members.store(node("d", 1, DEAD), 1.0)

    assert sorted(names(members.sample(9, also=lambda each: each.state is SUSPECT))) == ["b", "c"]


def test_a_sample_is_no_larger_than_asked_for() -> None:
    assert len(table(*"bcdef").sample(3)) == 3
    assert table(*"bcdef").sample(0) == []
    assert table().sample(3) == []


@pytest.mark.parametrize("start", range(20))
def test_in_a_small_table_who_is_wanted_is_found(start: int) -> None:
    members = table(*"bcdef", seed=start)
    for name in "bcdf":
        members.store(node(name, 1, DEAD), 1.0)

    assert names(members.sample(2)) == ["e"]


def test_in_a_large_table_a_sample_costs_few_looks() -> None:
    members = table(*(f"n{number}" for number in range(2, 1000)))
    looks: list[Node] = []
    for number in range(2, 1000, 3):
        members.store(node(f"n{number}", 1, DEAD), 1.0)

    def is_dead(each: Node) -> bool:
        looks.append(each)
        return True

    assert len(members.sample(3, also=is_dead)) == 3
    assert len(looks) <= 9


@pytest.mark.parametrize("start", range(20))
def test_in_a_large_table_the_few_that_live_are_found(start: int) -> None:
    members = table(*(node(f"n{number}", 1, DEAD) for number in range(2, 200)), "b", seed=start)

    assert names(members.sample(3)) == ["b"]


@pytest.mark.parametrize("start", range(50))
def test_a_large_table_gives_distinct_others_too(start: int) -> None:
    members = table(*(f"n{number}" for number in range(2, 12)), seed=start)
    members.remove("n3")
    members.store(node("n4", 1, DEAD), 1.0)
    members.store(node("n5", 1, DEAD), 1.0)

    sample = names(members.sample(3, exclude="n6", also=lambda each: each.name == "n5"))

    assert len(set(sample)) == len(sample) == 3
    assert not {"a", "n3", "n4", "n6"} & set(sample)


@pytest.mark.parametrize("k", [1, 3])
def test_everybody_is_sampled_as_often(k: int) -> None:
    """Small tables by searching, large ones by drawing."""
    members = table(*"bcdefg")
    counts: dict[str, int] = {}
    for _ in range(6000 // k):
        for each in members.sample(k):
            counts[each.name] = counts.get(each.name, 0) + 1

    mean = sum(counts.values()) / 6
    assert all(0.85 * mean < counts[name] < 1.15 * mean for name in "bcdefg")


# --- against a model -------------------------------------------------------------------------


class TableAgainstModel(RuleBasedStateMachine):
    """Whatever is stored and removed, the table agrees with a dict, and probes go round."""

    def __init__(self) -> None:
        super().__init__()
        self.table = table()
        self.model: dict[str, tuple[NodeState, float]] = {"a": (ALIVE, 0.0)}
        self.gone: dict[str, None] = {}
        self.now = 0.0

    @rule(name=st.sampled_from("bcdefgh"), state=st.sampled_from(list(NodeState)))
    def store(self, name: str, state: NodeState) -> None:
        self.now += 1.0
        self.table.store(node(name, 1, state), self.now)
        if self.model.get(name, (None, 0.0))[0] is not state:
            self.model[name] = (state, self.now)
        if state is ALIVE:
            self.gone.pop(name, None)
        else:
            self.gone.setdefault(name)

    @rule(name=st.sampled_from("bcdefgh"))
    def remove(self, name: str) -> None:
        self.gone.pop(name, None)
        if self.model.pop(name, None):
            self.table.remove(name)

    @rule(count=st.integers(1, 10))
    def probe(self, count: int) -> None:
        wanted = self.candidates(lambda state: state <= SUSPECT)
        assert set(probes(self.table, count)) <= (wanted or {None})

    @rule()
    def probe_two_rounds(self) -> None:
        wanted = self.candidates(lambda state: state <= SUSPECT)
        assert set(probes(self.table, 2 * len(wanted) + 1)) == (wanted or {None})

    @rule(k=st.integers(1, 4), state=st.sampled_from(list(NodeState)))
    def sample(self, k: int, state: NodeState) -> None:
        wanted = self.candidates(lambda each: each in (ALIVE, state))
        sample = names(self.table.sample(k, also=lambda each: each.state is state))
        assert len(set(sample)) == len(sample) <= k
        assert set(sample) <= wanted
        assert len(sample) == min(k, len(wanted))

    def candidates(self, wanted: Callable[[NodeState], bool]) -> set[str | None]:
        return {name for name, (state, _) in self.model.items() if name != "a" and wanted(state)}

    @invariant()
    def they_agree(self) -> None:
        self.table.check_invariants()
        assert {each.name: each.state for each in self.table} == {
            name: state for name, (state, _) in self.model.items()
        }
        for name, (state, since) in self.model.items():
            assert self.table.since(name) == (None if state is ALIVE else since)
        assert names(self.table.not_alive()) == list(self.gone)


TestTableAgainstModel = TableAgainstModel.TestCase
TestTableAgainstModel.settings = settings(stateful_step_count=40)
