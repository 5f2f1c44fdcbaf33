"""Each rule of a simulated cluster must be able to break."""

from __future__ import annotations

from typing import Any

import pytest

from serfevents import (
    Broadcast,
    Change,
    Kind,
    Left,
    Output,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    Recovered,
    UserEventReceived,
)
from serfevents.testing import InvariantBroken, Invariants
from tests.serfevents.vocabulary import changed, encode, join, leave, machine, member


def watching(*outputs: Output, recovered: Recovered = Recovered(), **options: Any) -> Invariants:  # noqa: B008
    """Return checks that have seen a member called `a` put these out."""
    checks = Invariants(**options)
    checks.born("a", recovered)
    for output in outputs:
        checks.saw("a", output)
    return checks


def breaks(checks: Invariants, output: Output, rule: str) -> None:
    with pytest.raises(InvariantBroken, match=rule) as caught:
        checks.saw("a", output)
    assert caught.value.rule == rule


class Fake:
    """A machine that says of itself what a test wants."""

    def __init__(self, clocks: tuple[int, int, int] = (1, 1, 1), due: float | None = None) -> None:
        self.clocks = clocks
        self.due = due
        self.checked = 0

    def statistics(self) -> dict[str, str]:
        names = ("member_time", "event_time", "query_time")
        return {"members": "1"} | dict(zip(names, map(str, self.clocks), strict=True))

    def next_timeout(self) -> float | None:
        return self.due

    def check_invariants(self) -> None:
        self.checked += 1


DEPLOY = UserEventReceived(5, "deploy", b"v1", coalesce=True)
FINISHED = QueryFinished(1, 2, 1, 1, complete=False)
ASKED = QueryReceived(9, 3, 77, "load", b"", "b", 5.0)


# --- events


def test_an_event_is_told_once() -> None:
    breaks(watching(DEPLOY), DEPLOY, "exactly-once")


def test_events_that_differ_in_time_name_or_payload_are_different_events() -> None:
    checks = watching(DEPLOY)

    for each in [(6, "deploy", b"v1"), (5, "restart", b"v1"), (5, "deploy", b"v2")]:
        checks.saw("a", UserEventReceived(*each, coalesce=True))
        assert checks.delivered("a", each)
    assert not checks.delivered("a", (7, "deploy", b"v1"))


def test_what_the_snapshot_had_is_not_told_again() -> None:
    breaks(watching(recovered=Recovered(event_clock=5)), DEPLOY, "exactly-once")


def test_a_new_life_may_be_told_again_of_what_its_snapshot_had_not() -> None:
    checks = watching(DEPLOY)
    checks.born("a", Recovered(event_clock=4))

    checks.saw("a", DEPLOY)

    assert checks.delivered("a", (5, "deploy", b"v1"))


def test_an_event_is_newer_than_all_that_its_origin_knew_of() -> None:
    checks = watching()
    checks.fired("a", 5, 5)

    with pytest.raises(InvariantBroken, match="order"):
        checks.fired("a", 5, 6)


# --- clocks and timers


def test_clocks_never_go_back() -> None:
    checks = watching()
    checks.stepped("a", Fake((3, 3, 3)), 0.0)

    for clocks in [(2, 3, 3), (3, 2, 3), (3, 3, 2)]:
        with pytest.raises(InvariantBroken, match="clock: a went back"):
            checks.stepped("a", Fake(clocks), 0.0)


def test_clocks_never_go_back_behind_the_snapshot() -> None:
    checks = watching(recovered=Recovered((), 3, 3, 3))

    with pytest.raises(InvariantBroken, match="clock"):
        checks.stepped("a", Fake((3, 3, 2)), 0.0)


def test_the_clock_is_ahead_of_all_that_was_told() -> None:
    checks = watching(DEPLOY)
    checks.stepped("a", Fake((1, 6, 1)), 0.0)

    checks.saw("a", UserEventReceived(6, "deploy", b"v1", coalesce=True))
    with pytest.raises(InvariantBroken, match="clock: a is at 6 and knows of 6"):
        checks.stepped("a", Fake((1, 6, 1)), 0.0)


def test_no_deadline_lies_in_the_past() -> None:
    checks = watching()
    checks.stepped("a", Fake(due=5.0), 5.0)

    with pytest.raises(InvariantBroken, match="busy"):
        checks.stepped("a", Fake(due=5.0), 5.1)


def test_an_input_has_no_flood_of_outputs() -> None:
    checks = watching(*[Left()] * 205, events_max=1)
    checks.stepped("a", Fake(), 0.0)

    for _ in range(206):
        checks.saw("a", Left())
    with pytest.raises(InvariantBroken, match="bounded: 206 outputs"):
        checks.stepped("a", Fake(), 0.0)


@pytest.mark.parametrize(("every", "times"), [(0, 0), (1, 6), (3, 2)])
def test_a_machine_checks_itself_every_so_many_steps(every: int, times: int) -> None:
    checks, fake = watching(every=every), Fake()

    for _ in range(6):
        checks.stepped("a", fake, 0.0)

    assert fake.checked == times


# --- queries


def test_a_query_arrives_once() -> None:
    breaks(watching(ASKED), ASKED, "query")


def test_queries_of_one_time_differ_in_their_id_or_source() -> None:
    checks = watching(ASKED)

    checks.saw("a", QueryReceived(10, 3, 78, "load", b"", "b", 5.0))
    checks.saw("a", QueryReceived(11, 3, 77, "load", b"", "c", 5.0))


def test_a_member_counts_once_in_each_way() -> None:
    checks = watching(QueryAcknowledged(1, "b"), QueryAnswered(1, "b", b""))

    breaks(checks, QueryAcknowledged(1, "b"), "query")
    breaks(checks, QueryAnswered(1, "b", b""), "query")


def test_a_query_ends_once_and_nobody_counts_after_that() -> None:
    checks = watching(QueryAcknowledged(1, "b"), QueryAnswered(1, "b", b""), FINISHED)

    breaks(checks, FINISHED, "query")
    breaks(checks, QueryAnswered(1, "c", b""), "query")


@pytest.mark.parametrize(("acks", "responses"), [(0, 1), (1, 0)])
def test_a_query_ends_with_what_was_counted(acks: int, responses: int) -> None:
    checks = watching(QueryAcknowledged(1, "b"), QueryAnswered(1, "b", b""))

    breaks(checks, QueryFinished(1, 2, acks, responses, complete=False), "query")


def test_a_query_ends_in_time() -> None:
    checks = watching()
    checks.asked("a", 1, 5.0)
    checks.stepped("a", Fake(), 5.0)

    with pytest.raises(InvariantBroken, match="query: 1 of a goes on"):
        checks.stepped("a", Fake(), 5.1)


def test_a_query_that_ended_has_no_deadline() -> None:
    checks = watching()
    checks.asked("a", 2, 5.0)
    checks.saw("a", QueryFinished(1, 1, 0, 0, complete=True))
    checks.saw("a", QueryFinished(2, 1, 0, 0, complete=True))
    checks.asked("a", 1, 5.0)

    checks.stepped("a", Fake(), 9.0)


# --- members and intents


def test_what_is_told_of_a_member_follows_from_what_was() -> None:
    checks = watching(
        *(changed(change, member("b")) for change in (
            Change.JOIN, Change.UPDATE, Change.FAILED, Change.LEAVE, Change.JOIN, Change.REAP,
        ))
    )  # fmt: skip

    for change in (Change.UPDATE, Change.FAILED, Change.LEAVE, Change.REAP):
        if change is not Change.UPDATE:
            breaks(checks, changed(change, member("b")), "status")
        breaks(checks, changed(change, member("c")), "status")


def test_a_member_that_is_here_does_not_come() -> None:
    breaks(watching(changed(Change.JOIN, member("b"))), changed(Change.JOIN, member("b")), "status")


def test_gathered_changes_may_skip_some() -> None:
    checks = watching(coalesced=True)

    checks.saw("a", changed(Change.FAILED, member("b")))


@pytest.mark.parametrize("intent", [join("b", 5), leave("b", 5)])
def test_an_intent_is_passed_on_once_for_each_time_that_its_member_came(intent: Any) -> None:
    told = Broadcast(1, encode(intent), Kind.INTENT)
    checks = watching(told)
    breaks(checks, told, "rebroadcast")

    again = watching(told, changed(Change.JOIN, member("b")), told)
    breaks(again, told, "rebroadcast")


def test_only_intents_are_watched_for_repeats() -> None:
    watching(*[Broadcast(number, b"\x03", Kind.EVENT) for number in range(3)])


def test_a_real_machine_breaks_nothing() -> None:
    a = machine("a", knows="bc", fresh=True)
    checks = watching()
    a.fire("deploy", b"v1", 0.0)

    while (output := a.poll()) is not None:
        checks.saw("a", output)

    checks.stepped("a", a, 0.0)
