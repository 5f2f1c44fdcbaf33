"""Members: memberlist's word, their intents, and what is made of both."""

import random
from typing import Any

import pytest

from serfevents import Change, Config, MembersChanged, PayloadRejected, QueueFull, Reconnect, Status
from serfevents.outputs import Broadcast
from serfevents.wire.messages import JoinIntent, PushPull
from tests.serfevents.vocabulary import (
    OLD_VERSIONS,
    VERSIONS,
    Told,
    address,
    changed,
    drain,
    event,
    hears,
    join,
    joins,
    leave,
    machine,
    member,
    merges,
    meta,
    only,
    state,
    status,
    wait,
)

ALIVE, LEAVING, LEFT, FAILED = Status.ALIVE, Status.LEAVING, Status.LEFT, Status.FAILED


# --- memberlist's word -----------------------------------------------------------------------


def test_a_member_begins_with_itself() -> None:
    a = machine("a", tags={"role": "web"}, fresh=True)

    assert drain(a) == [changed(Change.JOIN, member("a", role="web"))]
    assert a.own == a.member("a") == member("a", role="web")


def test_a_member_that_joins_is_told_with_its_tags() -> None:
    a = machine()

    joins(a, "b", role="db")

    assert drain(a) == [changed(Change.JOIN, member("b", role="db"))]
    assert [each.name for each in a.members] == ["a", "b"]
    assert a.stats.member_join == 2


def test_a_member_of_old_describes_its_role_only() -> None:
    a = machine()

    a.member_joined("b", address("b"), b"web", OLD_VERSIONS, 0.0)

    assert drain(a) == [changed(Change.JOIN, member("b", versions=OLD_VERSIONS, role="web"))]


def test_what_memberlist_repeats_is_told_once() -> None:
    a = machine(knows="b")

    joins(a, "b")
    a.member_updated("b", address("b"), meta(), VERSIONS, 0.0)

    assert drain(a) == []


def test_a_change_of_tags_or_address_is_an_update() -> None:
    a = machine(knows="b")

    a.member_updated("b", address("b"), meta(role="db"), VERSIONS, 0.0)
    a.member_updated("b", address("y"), meta(role="db"), VERSIONS, 0.0)

    assert drain(a) == [
        changed(Change.UPDATE, member("b", role="db")),
        changed(Change.UPDATE, member("b", at=address("y"), role="db")),
    ]
    assert a.stats.member_update == 2


def test_a_dead_member_has_failed_and_may_be_back() -> None:
    a = machine(knows="b")

    a.member_failed("b", 1.0)
    a.member_failed("b", 1.0)
    joins(a, "b", now=2.0)

    assert drain(a) == [
        changed(Change.FAILED, member("b", FAILED)),
        changed(Change.JOIN, member("b")),
    ]
    assert a.stats.member_failed == 1


@pytest.mark.parametrize(("back_after", "flaps"), [(59.0, 1), (60.0, 0)])
def test_a_member_that_is_back_soon_flaps(back_after: float, flaps: int) -> None:
    a = machine(knows="b", now=0.0)
    a.member_failed("b", 1.0)

    joins(a, "b", now=1.0 + back_after)

    assert a.stats.member_flap == flaps


def test_a_member_that_memberlist_saw_leave_has_left_though_its_intent_was_lost() -> None:
    a = machine(knows="b")

    a.member_left("b", 1.0)
    a.member_left("b", 1.0)

    assert drain(a) == [changed(Change.LEAVE, member("b", LEFT))]


def test_a_failed_member_that_left_after_all_has_left() -> None:
    a = machine(knows="b")
    a.member_failed("b", 1.0)
    drain(a)

    a.member_left("b", 2.0)

    assert drain(a) == [changed(Change.LEAVE, member("b", LEFT))]
    assert a.statistics()["left"] == "1"


def test_a_member_that_said_it_would_leave_and_is_dead_has_left() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5))
    drain(a)

    a.member_failed("b", 1.0)

    assert drain(a) == [changed(Change.LEAVE, member("b", LEFT))]


def test_memberlists_word_about_ourselves_or_strangers_is_nothing() -> None:
    a = machine()

    a.member_failed("a", 1.0)
    a.member_left("a", 1.0)
    a.member_failed("z", 1.0)
    a.member_left("z", 1.0)

    assert drain(a) == []
    assert status(a, "a") is ALIVE


def test_a_returning_member_is_alive_whatever_its_intents_said() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5))
    a.member_left("b", 1.0)
    drain(a)

    joins(a, "b", at=address("y"), now=2.0)

    assert drain(a) == [changed(Change.JOIN, member("b", at=address("y")))]


# --- intents ---------------------------------------------------------------------------------


def test_a_leave_intent_makes_a_member_leave_and_is_passed_on() -> None:
    a = machine(knows="b")

    hears(a, leave("b", 14))

    assert drain(a) == [Told(leave("b", 14))]
    assert status(a, "b") is LEAVING
    assert a.statistics()["member_time"] == "15"


def test_a_join_intent_calls_a_leave_off() -> None:
    a = machine(knows="b")

    hears(a, leave("b", 5), join("b", 6))

    assert status(a, "b") is ALIVE
    assert state(a).status_ltimes["b"] == 6


def test_an_intent_that_is_not_newer_is_nothing() -> None:
    a = machine(knows="b")
    hears(a, join("b", 12))
    drain(a)

    hears(a, join("b", 12), join("b", 10), leave("b", 11))

    assert drain(a) == []
    assert status(a, "b") is ALIVE
    assert a.stats.duplicates == 3


def test_a_leave_counts_more_than_a_join_of_one_time_in_whatever_order() -> None:
    a, b = machine("a", knows="c"), machine("b", knows="c")

    hears(a, join("c", 7), leave("c", 7))
    hears(b, leave("c", 7), join("c", 7))

    assert status(a, "c") is status(b, "c") is LEAVING


def test_a_newer_intent_takes_the_place_of_an_older_one_that_waits() -> None:
    a = machine(knows="b")
    hears(a, join("b", 4))

    hears(a, leave("b", 5))

    keys = [out.key for out in iter(a.poll, None) if isinstance(out, Broadcast)]
    assert keys == ["intent:b", "intent:b"]


def test_a_failed_member_of_whom_a_leave_is_declared_has_left() -> None:
    a = machine(knows="b")
    a.member_failed("b", 1.0)
    drain(a)

    hears(a, leave("b", 5), now=2.0)

    assert drain(a) == [changed(Change.LEAVE, member("b", LEFT)), Told(leave("b", 5))]


def test_a_leave_intent_about_ourselves_is_refuted() -> None:
    a = machine(knows="b")

    hears(a, leave("a", 9))

    assert drain(a) == [Told(join("a", 10))]
    assert status(a, "a") is ALIVE
    assert a.stats.refutations == 1


def test_our_refutation_is_not_undone_by_its_echo() -> None:
    a = machine(knows="b")
    hears(a, leave("a", 9))
    drain(a)

    hears(a, leave("a", 9), join("a", 10))

    assert drain(a) == []


def test_a_join_intent_of_an_earlier_life_is_ours() -> None:
    a = machine(knows="b")

    hears(a, join("a", 9))

    assert drain(a) == [Told(join("a", 9))]
    assert state(a).status_ltimes["a"] == 9


@pytest.mark.parametrize("name", ["", "x" * 513])
def test_an_intent_about_an_impossible_name_is_rejected(name: str) -> None:
    a = machine()

    hears(a, join(name, 1), leave(name, 1))

    assert {out.reason for out in drain(a)} == {"bad-name"}


def test_an_intent_from_a_far_time_is_rejected() -> None:
    a = machine(ltime_jump_max=10)

    hears(a, join("b", 100), leave("b", 100))

    assert [out.reason for out in drain(a)] == ["ltime-too-far"] * 2


# --- early intents ---------------------------------------------------------------------------


def test_an_intent_about_a_stranger_is_kept_until_it_joins() -> None:
    a = machine()

    hears(a, leave("b", 5))
    hears(a, leave("b", 5), leave("b", 4), join("b", 5))
    joins(a, "b")

    assert drain(a) == [Told(leave("b", 5)), changed(Change.JOIN, member("b", LEAVING))]
    assert state(a).status_ltimes["b"] == 5


def test_the_newest_intent_about_a_stranger_counts() -> None:
    a = machine()

    hears(a, leave("b", 5), join("b", 6))
    joins(a, "b")

    assert status(a, "b") is ALIVE
    assert state(a).status_ltimes["b"] == 6


def test_intents_about_strangers_are_forgotten_after_a_while() -> None:
    a = machine(recent_intent_timeout=20.0)
    hears(a, leave("b", 5), now=1.0)

    wait(a, 40.0)
    joins(a, "b", now=40.0)

    assert status(a, "b") is ALIVE


def test_only_so_many_intents_about_strangers_are_kept() -> None:
    a = machine(recent_intents_max=2)

    hears(a, leave("b", 5), leave("c", 5), leave("b", 6), leave("d", 5))
    for name in "bcd":
        joins(a, name)

    assert [status(a, name) for name in "bcd"] == [LEAVING, ALIVE, LEAVING]


# --- our own intents -------------------------------------------------------------------------


def test_a_join_that_reached_somebody_is_announced() -> None:
    a = machine()
    a.join_begun(0.0)

    a.join_ended(0, 0.0)
    nobody = drain(a)
    a.join_ended(2, 0.0)

    assert nobody == []
    assert drain(a) == [Told(join("a", 1))]


def test_a_failed_member_is_forced_to_leave() -> None:
    a = machine(knows="b")
    a.member_failed("b", 1.0)
    drain(a)

    a.force_leave("b", 2.0)

    assert drain(a) == [changed(Change.LEAVE, member("b", LEFT)), Told(leave("b", 1))]


def test_a_living_member_that_is_forced_to_leave_is_leaving_only() -> None:
    a = machine(knows="b")

    a.force_leave("b", 2.0)

    assert drain(a) == [Told(leave("b", 1))]
    assert status(a, "b") is LEAVING


def test_a_stranger_may_be_forced_to_leave_too() -> None:
    a = machine()

    a.force_leave("z", 0.0)

    assert drain(a) == [Told(leave("z", 1))]


def test_force_leave_is_refused_while_too_many_intents_wait() -> None:
    a = machine(knows="bc", queue_depth_max=1)
    a.force_leave("b", 0.0)

    with pytest.raises(QueueFull, match="intents"):
        a.force_leave("c", 0.0)


# --- pruning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["member_failed", "member_left"])
def test_a_member_that_is_gone_is_pruned_at_once(gone: str) -> None:
    a = machine(knows="b")
    getattr(a, gone)("b", 1.0)
    drain(a)

    a.force_leave("b", 2.0, prune=True)

    outputs = only(drain(a), MembersChanged)
    assert outputs[-1] == changed(Change.REAP, member("b", LEFT))
    assert a.member("b") is None


def test_a_living_member_is_pruned_once_the_news_have_spread() -> None:
    a = machine(knows="b", broadcast_timeout=5.0, leave_propagate_delay=1.0)
    hears(a, leave("b", 5, prune=True), now=1.0)
    drain(a)

    assert only(wait(a, 6.9), MembersChanged) == []
    assert wait(a, 7.0) == [changed(Change.REAP, member("b", LEAVING))]
    assert a.member("b") is None


def test_a_member_that_is_leaving_can_be_pruned_again() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5), leave("b", 6, prune=True), leave("b", 7, prune=True), now=0.0)

    wait(a, 10.0)

    assert a.member("b") is None
    assert a.stats.member_reap == 1


def test_a_member_that_refutes_is_not_pruned() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5, prune=True), join("b", 6), now=0.0)

    wait(a, 10.0)

    assert status(a, "b") is ALIVE


def test_a_member_that_is_back_is_not_pruned() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5, prune=True), now=0.0)
    a.member_left("b", 1.0)
    joins(a, "b", now=2.0)

    wait(a, 10.0)

    assert status(a, "b") is ALIVE


def test_a_pruned_member_that_is_alive_after_all_comes_back_with_its_next_change() -> None:
    a = machine(knows="b")
    hears(a, leave("b", 5, prune=True), now=0.0)
    wait(a, 10.0)

    a.member_updated("b", address("b"), meta(role="x"), VERSIONS, 11.0)

    assert drain(a) == [changed(Change.JOIN, member("b", role="x"))]


def test_an_older_leave_that_comes_late_does_not_take_the_place_of_a_prune() -> None:
    """It would be passed on under the member's key, and the prune be told to nobody."""
    a = machine(knows="b")
    hears(a, leave("b", 5), now=0.0)
    a.member_left("b", 1.0)
    a.force_leave("b", 2.0, prune=True)
    drain(a)

    hears(a, leave("b", 4), leave("b", 5), now=3.0)

    assert drain(a) == []


# --- push/pull -------------------------------------------------------------------------------


def test_a_state_moves_all_clocks_and_leaves_intents() -> None:
    """Source: serf/delegate_test.go, TestDelegate_MergeRemoteState."""
    a = machine()

    merges(
        a,
        PushPull(
            ltime=42,
            status_ltimes={"test": 20, "foo": 15},
            left=("foo",),
            event_ltime=50,
            query_ltime=100,
        ),
    )

    statistics = a.statistics()
    clocks = [statistics[key] for key in ("member_time", "event_time", "query_time")]
    assert clocks == ["42", "50", "100"]
    joins(a, "test")
    joins(a, "foo")
    assert state(a).status_ltimes == {"a": 0, "test": 20, "foo": 16}
    assert (status(a, "test"), status(a, "foo")) == (ALIVE, LEAVING)


def test_nothing_of_a_state_is_passed_on() -> None:
    a = machine(knows="bc")

    merges(a, PushPull(ltime=9, status_ltimes={"b": 5, "c": 6}, left=("c",)))

    assert drain(a) == []
    assert (status(a, "b"), status(a, "c")) == (ALIVE, LEAVING)


def test_our_state_tells_who_left_and_who_means_to() -> None:
    a = machine(knows="bcd")
    a.member_left("b", 0.0)
    hears(a, leave("c", 5))

    told = state(a)

    assert (told.ltime, told.left, told.leaving) == (6, ("b",), ("c",))
    assert told.status_ltimes == {"a": 0, "b": 0, "c": 5, "d": 0}


def test_two_members_that_know_who_left_do_not_drive_its_time_up() -> None:
    a, b = machine("a", knows="c"), machine("b", knows="c")
    for each in (a, b):
        hears(each, leave("c", 5))
        each.member_left("c", 0.0)

    for _ in range(5):
        merges(a, state(b))
        merges(b, state(a))

    assert state(a).status_ltimes["c"] == state(b).status_ltimes["c"] == 5
    merges(a, PushPull(status_ltimes={"c": 9}, left=("c",)))
    assert state(a).status_ltimes["c"] == 9


def test_a_member_that_failed_here_and_left_there_has_left() -> None:
    a = machine(knows="b")
    a.member_failed("b", 0.0)

    merges(a, PushPull(status_ltimes={"b": 0}, left=("b",)))

    assert status(a, "b") is LEFT


def test_who_means_to_leave_there_does_so_here() -> None:
    a = machine(knows="b")
    hears(a, join("b", 5))

    merges(a, PushPull(status_ltimes={"b": 5}, leaving=("b",)))

    assert status(a, "b") is LEAVING


def test_that_we_left_is_refuted() -> None:
    a = machine(knows="b")

    merges(a, PushPull(ltime=3, status_ltimes={"a": 7}, left=("a",)))

    assert drain(a) == [Told(join("a", 9))]


def test_an_intent_about_us_that_is_not_ours_is_refuted() -> None:
    a = machine(knows="b")

    merges(a, PushPull(status_ltimes={"a": 7}))
    merges(a, PushPull(status_ltimes={"a": 8}))

    assert drain(a) == [Told(join("a", 8))]
    assert a.stats.refutations == 1


def test_a_state_from_a_far_time_is_not_believed() -> None:
    a = machine(knows="b", ltime_jump_max=10)

    merges(a, PushPull(ltime=100, status_ltimes={"b": 1}))
    merges(a, PushPull(status_ltimes={"b": 100, "c": 200}, left=("b",), leaving=("c",)))

    assert {out.reason for out in drain(a)} == {"ltime-too-far"}
    assert state(a).status_ltimes["b"] == 0


def test_a_left_member_from_a_far_time_is_not_believed() -> None:
    a = machine(knows="b", ltime_jump_max=10)
    a.member_left("b", 0.0)
    drain(a)

    merges(a, PushPull(status_ltimes={"b": 100}, left=("b",)))

    assert [out.reason for out in drain(a)] == ["ltime-too-far"]


# --- reaped and reconnected ------------------------------------------------------------------


def test_the_failed_and_the_left_are_forgotten_in_time() -> None:
    a = machine(knows="bcd", reap_interval=1.0, reconnect_timeout=10.0, tombstone_timeout=5.0)
    a.member_failed("b", 0.5)
    a.member_left("c", 0.5)

    outputs = [(out.change, out.members[0].name) for out in only(wait(a, 9.0), MembersChanged)]
    assert outputs == [
        (Change.FAILED, "b"),
        (Change.LEAVE, "c"),
        (Change.REAP, "c"),
    ]
    assert only(wait(a, 11.0), MembersChanged) == [changed(Change.REAP, member("b", FAILED))]
    assert [each.name for each in a.members] == ["a", "d"]


def test_we_do_not_forget_ourselves_when_we_have_left() -> None:
    a = machine(reap_interval=0.1, tombstone_timeout=0.0, leave_propagate_delay=1.0)
    a.leave(0.0)
    a.membership_left(0.0)

    wait(a, 0.9)

    assert status(a, "a") is LEFT


def test_the_time_may_be_overridden_for_each_member() -> None:
    def forget_after(each: object, timeout: float) -> float:
        assert timeout in (100.0, 200.0)
        return 2.0 if getattr(each, "name", "") == "b" else timeout

    a = machine(
        knows="bc",
        reap_interval=1.0,
        reconnect_timeout=100.0,
        tombstone_timeout=200.0,
        options={"forget_after": forget_after},
    )
    a.member_failed("b", 0.0)
    a.member_left("c", 0.0)
    drain(a)

    assert only(wait(a, 5.0), MembersChanged) == [changed(Change.REAP, member("b", FAILED))]


def test_failed_members_are_tried_now_and_then_and_more_often_the_more_they_are() -> None:
    def tries(failed: int, alive: int) -> int:
        names = [f"n{number}" for number in range(failed + alive)]
        a = machine(knows=names, reconnect_interval=1.0, reap_interval=1000.0)
        for name in names[:failed]:
            a.member_failed(name, 0.0)
        return len(only(wait(a, 400.0), Reconnect))

    # With probability failed / alive, ourselves counted.
    assert tries(0, 3) == 0
    assert 140 < tries(1, 1) < 260
    assert 60 < tries(1, 3) < 140
    assert tries(4, 1) == 400


def test_a_reconnect_names_who_is_tried_and_where() -> None:
    a = machine(knows="b", reconnect_interval=1.0)
    a.member_failed("b", 0.0)
    drain(a)

    assert wait(a, 2.0) == [Reconnect("b", address("b"))] * 2


def test_no_reconnect_is_tried_where_it_is_turned_off_or_while_leaving() -> None:
    off = machine(knows="bc", reconnect_interval=0.0)
    leaving = machine(knows="bc", reconnect_interval=1.0, broadcast_timeout=100.0)
    for each in (off, leaving):
        each.member_failed("b", 0.0)
    leaving.leave(0.0)

    assert only(wait(off, 90.0) + wait(leaving, 90.0), Reconnect) == []


def test_a_full_table_forgets_who_is_gone_first() -> None:
    a = machine(knows="bc", members_max=3)
    a.member_failed("b", 0.0)
    drain(a)

    joins(a, "d")
    joins(a, "e")

    assert drain(a) == [
        changed(Change.REAP, member("b", FAILED)),
        changed(Change.JOIN, member("d")),
        PayloadRejected(address("e"), "table-full", "e"),
    ]


# --- gathered --------------------------------------------------------------------------------

GATHERING: dict[str, Any] = {"coalesce_period": 3.0, "quiescent_period": 1.0}


def test_changes_are_gathered_by_their_kind() -> None:
    a = machine(**GATHERING)
    wait(a, 5.0)

    for name in "bcd":
        joins(a, name, now=6.0)
    a.member_failed("b", 6.5)
    a.member_updated("c", address("c"), meta(x="y"), VERSIONS, 6.6)

    assert wait(a, 7.5) == []
    assert wait(a, 9.0) == [
        changed(Change.FAILED, member("b", FAILED)),
        changed(Change.UPDATE, member("c", x="y")),
        changed(Change.JOIN, member("d")),
    ]


def test_a_change_that_was_undone_is_not_told() -> None:
    a = machine(**GATHERING)
    joins(a, "b")
    wait(a, 5.0)

    a.member_failed("b", 6.0)
    joins(a, "b", now=6.1)

    assert wait(a, 10.0) == []


def test_updates_are_told_again_and_again() -> None:
    a = machine(knows="b", **GATHERING)
    wait(a, 5.0)

    told = []
    for number in (1, 2):
        a.member_updated("b", address("b"), meta(x=str(number)), VERSIONS, number * 10.0)
        told += wait(a, number * 10.0 + 5.0)

    assert [out.change for out in told] == [Change.UPDATE] * 2


def test_the_reaped_are_gathered_and_may_join_anew() -> None:
    a = machine(knows="bc", **GATHERING, reap_interval=1.0, tombstone_timeout=0.5)
    wait(a, 5.0)
    a.member_left("b", 10.0)
    a.member_left("c", 10.0)

    told = wait(a, 15.0)
    joins(a, "b", now=20.0)
    told += wait(a, 25.0)

    changes = [(out.change, [each.name for each in out.members]) for out in told]
    assert changes == [
        (Change.LEAVE, ["b", "c"]),
        (Change.REAP, ["b", "c"]),
        (Change.JOIN, ["b"]),
    ]


def test_too_many_gathered_changes_are_told_early() -> None:
    a = machine(**GATHERING, coalesced_max=3)

    joins(a, "b")
    joins(a, "c")

    assert drain(a) == [changed(Change.JOIN, member("a"), member("b"), member("c"))]


# --- whole clusters --------------------------------------------------------------------------


def test_a_leave_is_not_passed_on_for_ever() -> None:
    """Source: serf/serf_test.go, TestSerf_AvoidInfiniteLeaveRebroadcast."""
    cluster = {name: machine(name, knows=set("abcd") - {name}) for name in "abcd"}
    news = [leave("b", 5), leave("b", 9), leave("b", 7)]
    queue = [(name, message) for name in "acd" for message in news]
    random.Random(1).shuffle(queue)

    passed = 0
    while queue:
        name, message = queue.pop()
        hears(cluster[name], message)
        for out in only(drain(cluster[name]), Told):
            passed += 1
            queue += [(other, out.message) for other in "acd" if other != name]

    assert passed <= 3 * len(news)
    assert {status(cluster[name], "b") for name in "acd"} == {LEAVING}


def test_the_queue_of_intents_has_the_depth_that_the_members_ask_for() -> None:
    """Source: serf/serf_test.go, TestSerf_GetQueueMax."""

    def depth(members: int, least: int) -> int:
        a = machine(knows=[f"n{i}" for i in range(members - 1)], queue_depth_min=least)
        hears(a, *(event("x", 1, b"%d" % number) for number in range(4200)))
        return int(a.statistics()["event_queue"])

    assert [depth(100, least) for least in (0, 1024, 16)] == [4096, 1024, 200]
    assert depth(101, 16) == 202


def test_the_intents_that_are_kept_can_be_seen() -> None:
    a = machine()

    hears(a, JoinIntent(3, "z"))

    assert a.dump()["early_intents"] == 1
    assert Config().recent_intents_max > 1
