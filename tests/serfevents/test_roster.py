"""The table of members: found by name, address and chance; consistent after anything."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serfevents import Status
from serfevents.roster import Entry, Roster, is_active, make_member
from tests.serfevents.vocabulary import VERSIONS, address, meta

ALIVE, LEAVING, LEFT, FAILED = Status.ALIVE, Status.LEAVING, Status.LEFT, Status.FAILED


def roster(names: str) -> Roster:
    made = Roster()
    for name in names:
        made.add(name, address(name), meta(role=name), VERSIONS)
    return made


def entry(made: Roster, name: str) -> Entry:
    found = made.get(name)
    assert found is not None
    return found


def names(entries: list[Entry]) -> list[str]:
    return [each.member.name for each in entries]


def test_a_member_is_found_by_name_and_address() -> None:
    table = roster("abc")

    assert entry(table, "b").member.tags == {"role": "b"}
    assert table.at(address("b")) is entry(table, "b")
    assert table.get("z") is None
    assert table.at(address("z")) is None
    assert names(list(table)) == ["a", "b", "c"]


def test_a_member_that_moved_is_found_at_its_new_address_only() -> None:
    table = roster("ab")

    moved = table.update(entry(table, "b"), address("y"), meta(), VERSIONS)

    assert moved
    assert table.at(address("b")) is None
    assert table.at(address("y")) is entry(table, "b")
    assert not table.update(entry(table, "b"), address("y"), meta(), VERSIONS)


def test_of_two_at_one_address_the_newer_is_found_and_the_older_does_not_take_it_along() -> None:
    table = roster("ab")
    table.add("c", address("b"), meta(), VERSIONS)

    table.remove(entry(table, "b"))

    assert table.at(address("b")) is entry(table, "c")


def test_the_failed_and_the_left_are_listed() -> None:
    table = roster("abcd")

    table.set_status(entry(table, "b"), FAILED)
    table.set_status(entry(table, "c"), FAILED)
    table.set_status(entry(table, "b"), LEFT)
    table.set_status(entry(table, "b"), LEFT)
    table.set_status(entry(table, "d"), LEAVING)

    assert (list(table.failed), list(table.left)) == (["c"], ["b"])
    assert table.active_count == 2
    assert [is_active(each) for each in table] == [True, False, False, True]


def test_chance_picks_different_members_that_fit(seed: int) -> None:
    table = roster("abcdefgh")
    rng = random.Random(seed)

    for count in range(10):
        picked = names(table.sample(count, rng, lambda each: each.member.name > "c"))
        assert len(picked) == len(set(picked)) == min(count, 5)
        assert min(picked, default="z") > "c"


def test_chance_finds_the_only_one_that_fits(seed: int) -> None:
    table = roster("abcdefghijklmnop")

    picked = table.sample(2, random.Random(seed), lambda each: each.member.name == "k")

    assert names(picked) == ["k"]


def test_equal_records_are_one_object() -> None:
    made = [make_member("a", address("a"), meta(), ALIVE, VERSIONS) for _ in range(2)]

    assert made[0] is made[1]


steps = st.tuples(
    st.sampled_from(["add", "remove", "update", "status"]),
    st.sampled_from("abcd"),
    st.sampled_from("wxyz"),
    st.sampled_from([ALIVE, LEAVING, LEFT, FAILED]),
)


@given(st.lists(steps, max_size=60))
def test_it_is_consistent_after_anything(log: list[tuple[str, str, str, Any]]) -> None:
    table = Roster()
    model: dict[str, tuple[str, Status]] = {}

    for what, name, where, status in log:
        found = table.get(name)
        if what == "add" and found is None:
            table.add(name, address(where), b"", VERSIONS)
            model[name] = where, ALIVE
        elif found is None:
            continue
        elif what == "remove":
            table.remove(found)
            del model[name]
        elif what == "update":
            table.update(found, address(where), b"", VERSIONS)
            model[name] = where, model[name][1]
        elif what == "status":
            table.set_status(found, status)
            model[name] = model[name][0], status
        table.check_invariants()

    assert {e.member.name: (e.member.address, e.status) for e in table} == {
        name: (address(where), status) for name, (where, status) in model.items()
    }
