"""Every bug that can be planted is found by each test that is named for it, and none without it."""

from __future__ import annotations

from importlib import import_module

import pytest

from raft.membership.quorum import majority
from tests.raft.planted.campaign import BUGS, NO_BUG, by_tests
from tests.raft.planted.planting import Bug, Edit, NotThere


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_killed_by_its_named_tests(name: str) -> None:
    bug = BUGS[name]

    deaths = by_tests(bug)

    assert bug.killers
    assert [death.killer for death in deaths] == list(bug.killers)


@pytest.mark.parametrize(
    "module", ["test_scenarios_peers", "test_scenarios_progress", "test_scenarios_safety"]
)
def test_each_scenario_kills_a_bug(module: str) -> None:
    """What no bug can make fail proves nothing."""
    tests = {
        f"{module}::{name}"
        for name in vars(import_module(f"tests.raft.{module}"))
        if name.startswith("test_")
    }

    assert sorted(tests - {killer for bug in BUGS.values() for killer in bug.killers}) == []


def test_without_a_bug_nothing_is_killed() -> None:
    killers = sorted({killer for bug in BUGS.values() for killer in bug.killers})

    assert by_tests(NO_BUG, killers) == []


def test_a_bug_is_gone_when_it_was_looked_for() -> None:
    edit = Edit("raft.membership.quorum:majority", "// 2 + 1", "// 2")
    with Bug("half", "Half of the voters decide.", (edit,), ()).planted():
        planted = majority(4)

    assert (planted, majority(4)) == (2, 3)


def test_a_bug_that_has_no_place_any_more_is_told() -> None:
    edit = Edit("raft.membership.quorum:majority", "// 3", "// 2")

    with pytest.raises(NotThere, match="has 0 times"), Bug("gone", "", (edit,), ()).planted():
        pass


def test_each_bug_has_a_name_of_its_own_and_says_what_is_wrong() -> None:
    assert all(name == bug.name and bug.what.endswith(".") for name, bug in BUGS.items())
    assert len({bug.what for bug in BUGS.values()}) == len(BUGS)
