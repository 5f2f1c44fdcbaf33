"""Whatever happens in small clusters is safe, and the search would see it if it were not."""

from __future__ import annotations

import pytest

from tests.raft.exhaustive import Machines, Scope, Search
from tests.raft.planted.campaign import BUGS
from tests.raft.scopes import SCOPES, describe, new

pytestmark = pytest.mark.simulation

#: Scopes that are seen whole in some seconds together; the others are for the command.
SMALL = ("voter", "pair", "leader", "boast")

FOUND = (
    ("voter", "vote-not-stored", "election safety"),
    ("voter", "term-not-stored", "election safety"),
    ("voter", "vote-before-disk", "election safety"),
    ("voter", "everything-before-disk", "election safety"),
    ("terms", "old-votes-count", "election safety"),
    ("claims", "no-log-check", "leader completeness"),
    ("boast", "request-before-disk", "leader completeness"),
    ("figure8", "commit-by-counting", "leader completeness"),
    ("figure8", "no-consistency-check", "state machine safety"),
    ("leader", "leader-counts-before-disk", "leader completeness"),
    ("follower", "acknowledged-before-disk", "leader completeness"),
)


@pytest.mark.parametrize("name", SMALL)
def test_nothing_that_can_happen_in_a_small_cluster_is_unsafe(name: str) -> None:
    found = Search(SCOPES[name]).run()

    assert (found.broken, found.path) == ("", ())
    assert found.complete


@pytest.mark.parametrize(("name", "bug", "rule"), FOUND)
def test_a_planted_bug_breaks_the_rule_that_it_is_about(name: str, bug: str, rule: str) -> None:
    with BUGS[bug].planted():
        found = Search(SCOPES[name]).run(seconds_max=60)

    assert rule in found.broken
    assert len(found.path) < 20


def test_a_search_ends_when_it_has_seen_enough() -> None:
    found = Search(SCOPES["pair"]).run(states_max=100)

    assert not found.complete
    assert "not complete" in describe("pair", found)


def test_a_search_is_the_same_each_time() -> None:
    first, second = (Search(SCOPES["voter"]).run() for _ in range(2))

    assert (first.states, first.steps) == (second.states, second.steps)


def test_what_a_machine_is_told_twice_is_computed_once() -> None:
    scope = Scope(disks=new("a"), campaigns={"a": 1})
    machines = Machines(scope.config)
    disk = machines.disks.number((1, None, 1, False, tuple(new("a")["a"].entries)))

    born = machines.born("a", disk)

    assert machines.input(born.machine, "campaign") is machines.input(born.machine, "campaign")
    assert machines.born("a", disk) is born
