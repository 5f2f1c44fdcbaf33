import os
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from memberlist.node import DEAD, SUSPECT, Address, Node
from memberlist.outputs import (
    Evidence,
    HealthChanged,
    MemberFailed,
    MemberJoined,
    MemberlistLeft,
    MemberSuspected,
    SendDatagram,
    SendStream,
)
from memberlist.testing import Birth, Cluster, InvariantBroken, Network, make_memberlist
from tests.memberlist.toy import Toy, record, toys


def test_a_datagram_arrives_within_the_latency_and_is_answered() -> None:
    cluster = toys(2, idle=True, latency=(0.01, 0.02))

    cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"ping"))
    cluster.run(1.0)

    [asked] = cluster.machine("n2").times(b"ping")
    [answered] = cluster.machine("n1").times(b"ack")
    assert 0.01 <= asked <= 0.02
    assert 0.01 <= answered - asked <= 0.02
    assert cluster.machine("n1").heard[-1][1] == cluster.address("n2")
    assert (cluster.messages, cluster.bytes) == (2, 7)


def test_a_deadline_is_met_on_the_dot_and_armed_anew() -> None:
    cluster = toys(2)

    cluster.run(10.0)

    first, *_, last = times = cluster.machine("n1").times("timeout")
    assert len(times) in (10, 11)
    assert last - first == pytest.approx(len(times) - 1)


def test_a_deadline_that_moves_away_or_comes_nearer_is_met_where_it_is() -> None:
    cluster = toys(2, idle=True)
    cluster.call("n1", "wake_at", 5.0)
    cluster.call("n1", "wake_at", 7.0)
    cluster.run(6.0)
    cluster.call("n2", "wake_at", 50.0)
    cluster.call("n2", "wake_at", 7.5)

    cluster.run(2.0)

    assert cluster.machine("n1").times("timeout") == [7.0, 8.0]
    assert cluster.machine("n2").times("timeout") == [7.5]


def test_loss_duplication_and_reordering_happen_as_often_as_asked() -> None:
    cluster = toys(2, idle=True, latency=(0.01, 0.01))
    counts = {}
    for condition in ("loss", "duplication", "reordering"):
        cluster.conditions(loss=0.0, duplication=0.0, reordering=0.0)
        cluster.conditions(**{condition: 0.25})  # type: ignore[arg-type] # a float for each
        cluster.machine("n2").heard.clear()
        for _ in range(1000):
            cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"x"))
        sent_at = cluster.now
        cluster.run(1.0)
        times = cluster.machine("n2").times(b"x")
        counts[condition] = len(times), sum(time > sent_at + 0.011 for time in times)

    assert counts["loss"][0] == pytest.approx(750, abs=60)
    assert counts["duplication"][0] == pytest.approx(1250, abs=60)
    assert counts["reordering"] == (1000, pytest.approx(250, abs=60))


def test_latency_can_change_while_it_runs() -> None:
    cluster = toys(2, idle=True)
    cluster.conditions(latency=(0.5, 0.5))

    cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"x"))
    cluster.run(1.0)

    assert cluster.machine("n2").times(b"x") == [0.5]


def test_a_cut_is_one_way_and_heals() -> None:
    cluster = toys(2, idle=True)
    cluster.cut("n1", "n2")

    def both_say() -> tuple[int, int]:
        for name, other in (("n1", "n2"), ("n2", "n1")):
            cluster.call(name, "say", SendDatagram(cluster.address(other), b"x"))
        cluster.run(1.0)
        return len(cluster.machine("n1").times(b"x")), len(cluster.machine("n2").times(b"x"))

    assert both_say() == (1, 0)

    cluster.heal()

    assert both_say() == (2, 1)
    assert list(cluster.disturbed) == ["n1", "n2"]


def test_a_partition_separates_its_groups_and_the_rest() -> None:
    cluster = toys(4)
    cluster.partition(["n1"], ["n2", "n3"])

    reach = {(a, b) for a in cluster.machines for b in cluster.machines if cluster.reaches(a, b)}

    assert reach - {(name, name) for name in cluster.machines} == {("n2", "n3"), ("n3", "n2")}
    assert list(cluster.disturbed) == ["n1", "n2", "n3", "n4"]


def test_a_slow_member_is_late_in_both_directions_until_it_is_not() -> None:
    cluster = toys(2, idle=True, latency=(0.0, 0.0))
    cluster.slow("n2", 0.3)
    cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"ping"))
    cluster.run(1.0)
    slow = cluster.machine("n1").times(b"ack")
    cluster.slow("n2", 0.0)

    cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"ping"))
    cluster.run(1.0)

    assert slow == [0.6]
    assert cluster.machine("n1").times(b"ack") == [0.6, 1.0]


def test_a_stopped_process_wakes_to_a_late_timeout_and_then_to_what_waited_for_it() -> None:
    cluster = toys(2, idle=True, buffer=3)
    cluster.call("n2", "wake_at", 1.0)
    cluster.pause("n2")
    cluster.pause("n2")
    for _ in range(5):
        cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"x"))
    cluster.run(5.0)
    assert cluster.machine("n2").kinds() == ["armed", "armed"]

    cluster.resume("n2")

    assert cluster.machine("n2").kinds()[2:] == ["timeout", b"x", b"x", b"x"]
    assert cluster.machine("n2").times("timeout") == [5.0]
    cluster.run(2.0)
    assert cluster.machine("n2").times("timeout") == [5.0, 6.0, 7.0]


def test_a_blocked_process_keeps_its_timers_while_packets_wait_both_ways() -> None:
    cluster = toys(2, idle=True)
    cluster.call("n2", "wake_at", 1.5)
    cluster.pause("n2", timers=True)
    cluster.call("n1", "say", SendDatagram(cluster.address("n2"), b"x"))
    cluster.run(3.0)
    assert cluster.machine("n2").times("timeout") == [1.5, 2.5]
    assert cluster.machine("n1").times(b"ping") == []

    cluster.resume("n2")
    cluster.run(0.4)

    assert cluster.machine("n2").times(b"x") == [3.0]
    assert len(cluster.machine("n1").times(b"ping")) == 2


def test_resuming_who_is_not_paused_does_nothing() -> None:
    cluster = toys(1)

    cluster.resume("n1")

    assert cluster.machine("n1").kinds() == []


def test_a_command_returns_its_handle_or_waits_for_a_paused_member() -> None:
    cluster = toys(2, idle=True)

    handle = cluster.call("n1", "connect", cluster.address("n2"), timeout=1.0)
    cluster.pause("n1")
    waits = cluster.call("n1", "become", 3)

    assert (handle, waits) == (2, None)
    cluster.resume("n1")
    assert cluster.machine("n1").incarnation == 3


def test_a_crashed_member_hears_nothing_and_its_deadline_dies_with_it() -> None:
    cluster = toys(3)
    cluster.run(2.0)
    toy = cluster.machine("n3")
    heard = len(toy.heard)

    cluster.crash("n3")
    cluster.run(5.0)

    assert len(toy.heard) == heard
    assert list(cluster.machines) == ["n1", "n2"]


def test_a_packet_to_nowhere_is_counted_and_lost() -> None:
    cluster = toys(1)

    cluster.call("n1", "say", SendDatagram(("10.9.9.9", 1), b"x"))
    cluster.run(1.0)

    assert cluster.messages == 1


def test_a_restart_remembers_its_incarnation_only_if_asked() -> None:
    cluster = toys(1)
    cluster.call("n1", "become", 7)

    cluster.restart("n1", remembered=True)
    remembered = cluster.machine("n1").incarnation
    cluster.call("n1", "become", 9)
    cluster.crash("n1")
    cluster.restart("n1", remembered=True)
    later = cluster.machine("n1").incarnation
    cluster.restart("n1")

    assert (remembered, later, cluster.machine("n1").incarnation) == (7, 9, 0)


def test_a_restart_may_move_to_another_address() -> None:
    cluster = toys(2, idle=True)
    old = cluster.address("n2")
    cluster.restart("n2", address=("10.7.7.7", 1))

    for address in (old, ("10.7.7.7", 1)):
        cluster.call("n1", "say", SendDatagram(address, b"x"))
    cluster.run(1.0)

    assert len(cluster.machine("n2").times(b"x")) == 1
    assert cluster.address("n2") == ("10.7.7.7", 1)


def test_an_address_that_another_took_over_stays_with_it() -> None:
    cluster = toys(2, idle=True)
    cluster.crash("n2")
    old = cluster.address("n2")
    cluster.add("n3", address=old)
    cluster.restart("n2", address=("10.7.7.7", 1))

    cluster.call("n1", "say", SendDatagram(old, b"x"))
    cluster.run(1.0)

    assert cluster.machine("n3").kinds() == [b"x"]


def test_two_members_may_have_one_name() -> None:
    cluster = toys(1)

    cluster.add("other", called="n1")

    assert cluster.machine("other").node.name == "n1"
    assert cluster.address("other") != cluster.address("n1")


class Joiner(Toy):
    """A toy that knows whom it has joined, and is known to them a second later."""

    everybody: ClassVar[dict[str, list[Node]]] = {}

    def join(self, seeds: list[Address], now: float) -> None:
        self.heard.append(("join", *seeds, now))
        self._due = now + 1.0

    def handle_timeout(self, now: float) -> None:
        self._due = None
        self.everybody["known"] = [*self.everybody.get("known", []), self.node]

    @property
    def members(self) -> tuple[Node, ...]:
        return tuple(self.everybody.get("known", ()))


def test_a_cold_start_joins_the_first_and_waits_until_they_agree() -> None:
    Joiner.everybody = {"known": [Node("n1", ("10.0.0.1", 7946), b"", b"", 0)]}
    cluster = Cluster(Joiner, seed=1)

    cluster.start(3, warm=False)

    assert cluster.machine("n3").heard == [("join", cluster.address("n1"), 0.0)]
    assert cluster.now == pytest.approx(1.0, abs=0.11)


def test_a_cold_start_whose_members_do_not_agree_is_no_start() -> None:
    Joiner.everybody = {}

    with pytest.raises(
        InvariantBroken, match=r"convergence: at 2.000: n1 holds None, the truth is"
    ):
        Cluster(Joiner, seed=1).start(2, warm=False, within=2.0)


def test_members_disagree_while_one_holds_another_for_what_it_is_not() -> None:
    cluster = toys(3)
    assert cluster.converged()

    cluster.machine("n2").others[0] = record("n1", 5, SUSPECT)

    assert not cluster.converged()
    assert cluster.converged(["n3"]) is False
    assert "n2 holds <Node n1 suspect" in cluster.disagreement()
    with pytest.raises(InvariantBroken, match=r"^convergence: "):
        cluster.check_convergence()


def test_who_has_left_needs_to_agree_with_nobody() -> None:
    cluster = toys(2)
    cluster.machine("n2").node = record("n2", 1, DEAD)
    cluster.machine("n1").others.clear()

    cluster.check_convergence()


def test_run_until_asks_now_and_then_and_says_whether() -> None:
    cluster = toys(1)
    asked: list[float] = []

    def late() -> bool:
        asked.append(cluster.now)
        return cluster.now > 0.45

    assert cluster.run_until(late, 2.0)
    assert asked == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert not cluster.run_until(lambda: False, 1.0, every=10.0)
    assert cluster.now == pytest.approx(1.5)


def test_a_crash_is_measured_from_the_first_suspicion_to_the_last_to_hear() -> None:
    cluster = toys(3)
    cluster.run(1.0)
    cluster.crash("n3")
    evidence = Evidence("n1", (), 0.0, 1.0, None, 0)
    events = [
        (0.5, "n1", MemberSuspected(record("n3", 1, SUSPECT), evidence)),
        (0.1, "n2", MemberSuspected(record("n3", 1, SUSPECT), evidence)),
        (0.4, "n1", MemberFailed(record("n3", 1, DEAD), "n1", None)),
        (0.1, "n1", MemberFailed(record("n3", 1, DEAD), "n1", None)),
    ]
    for wait, name, event in events:
        cluster.run(wait)
        cluster.call(name, "say", event)
    assert not cluster.informed("n3")

    cluster.run(0.4)
    cluster.call("n2", "say", MemberFailed(record("n3", 1, DEAD), "n1", None))

    detection = cluster.detections["n3"]
    assert cluster.informed("n3")
    assert detection.since == 1.0
    assert detection.suspected == pytest.approx(0.5)
    assert detection.failed == pytest.approx(1.0)
    assert detection.everybody == pytest.approx(1.5)
    assert list(detection.informed) == ["n1", "n2"]
    assert cluster.false_positives == 0


def test_a_verdict_on_a_running_member_is_a_false_positive_unless_it_was_disturbed() -> None:
    cluster = toys(4)
    cluster.pause("n3")
    cluster.resume("n3")

    def verdict(at: str, about: str, by: str) -> tuple[int, ...]:
        cluster.call(at, "say", MemberFailed(record(about, 1, DEAD), by, None))
        return (
            cluster.false_positives,
            cluster.false_positives_at_healthy,
            cluster.false_verdicts,
            cluster.false_verdicts_at_healthy,
        )

    assert verdict("n1", "n3", "n1") == (0, 0, 0, 0)
    assert verdict("n1", "stranger", "n1") == (0, 0, 0, 0)
    assert verdict("n1", "n2", "n1") == (1, 1, 1, 1)
    assert verdict("n4", "n2", "n1") == (2, 2, 1, 1)
    assert verdict("n3", "n2", "n3") == (3, 2, 2, 1)


def test_suspicions_of_those_who_run_are_no_detections() -> None:
    cluster = toys(2)
    cluster.restart("n2")
    evidence = Evidence("n1", (), 0.0, 1.0, None, 0)

    cluster.call("n1", "say", MemberSuspected(record("n2", 1, SUSPECT), evidence))

    assert cluster.detections["n2"].suspected is None


def test_who_leaves_is_disturbed() -> None:
    cluster = toys(2)

    cluster.call("n2", "say", MemberlistLeft(True))

    assert list(cluster.disturbed) == ["n2"]


def test_events_are_traced_and_handed_on() -> None:
    seen: list[tuple[str, Any]] = []
    cluster = toys(2, idle=True, on_event=lambda name, event: seen.append((name, event)))
    event = HealthChanged(1, 0, "late")
    failed = MemberFailed(record("n9", 1, DEAD), "n1", None)

    cluster.call("n2", "say", event)
    cluster.run(1.0)
    cluster.call("n1", "say", failed)

    assert seen == [("n2", event), ("n1", failed)]
    assert cluster.trace == [(0.0, "n2", event), (1.0, "n1", failed)]
    assert cluster.events(HealthChanged) == [event]
    assert cluster.events(HealthChanged, at="n1") == []
    assert cluster.events(MemberFailed, about="n9") == [failed]
    assert cluster.events(HealthChanged, about="n9") == []


def test_without_trace_and_checks_nothing_is_kept() -> None:
    cluster = toys(3, trace=False, check=False)
    stream = cluster.call("n1", "connect", cluster.address("n2"))
    cluster.run(5.0)
    cluster.call("n1", "say", SendStream(stream, b"x"))
    cluster.restart("n2")
    cluster.call("n1", "say", HealthChanged(1, 0, "late"))

    assert cluster.trace == []
    assert cluster.machine("n1").checked == 0
    assert cluster.connections.opened == 1


def test_checking_can_be_thinned_out() -> None:
    steps = {}
    for every in (0, 1, 10):
        cluster = toys(3, check_every=every)
        cluster.run(20.0)
        steps[every] = sum(toy.checked for toy in cluster.machines.values())

    assert steps[0] == 0
    assert steps[10] == steps[1] // 10


def test_the_kernel_alone_leaves_outputs_to_its_heirs() -> None:
    network = Network(1, latency=(0.0, 0.0), buffer=1)
    toy = toys(1).machine("n1")
    network.enter("n1", toy)
    network.stepped("n1", toy)

    with pytest.raises(NotImplementedError):
        network.give("n1", "say", ("x",))
    with pytest.raises(AssertionError, match="n1 runs already"):
        network.enter("n1", toy)


class Counting:
    """A composite: a member, and how many others it has seen join."""

    def __init__(self, birth: Birth) -> None:
        self.inner = make_memberlist(birth)
        self.joined = 0
        self._outputs: list[Any] = []
        self._route()

    def poll(self) -> Any:
        return self._outputs.pop(0) if self._outputs else None

    def next_timeout(self) -> float | None:
        return self.inner.next_timeout()

    def check_invariants(self) -> None:
        self.inner.check_invariants()

    def __getattr__(self, name: str) -> Any:
        def give(*args: Any, **options: Any) -> Any:
            handle = getattr(self.inner, name)(*args, **options)
            self._route()
            return handle

        return give

    def _route(self) -> None:
        while (output := self.inner.poll()) is not None:
            if isinstance(output, MemberJoined):
                self.joined += 1
                self._outputs.append(f"joined {output.node.name}")
            else:
                self._outputs.append(output)


def test_a_composite_runs_like_a_member_and_its_own_outputs_are_events() -> None:
    cluster = Cluster(Counting, seed=1, view=lambda composite: composite.inner)

    cluster.start(3, warm=False)
    cluster.restart("n3", remembered=True)
    cluster.join("n3", "n1")
    cluster.run(5.0)

    cluster.check_convergence()
    assert cluster.machine("n3").inner.incarnation == 2
    assert cluster.machine("n3").joined == 2
    assert "joined n1" in cluster.events(str, at="n2")


def digest_of_a_rough_run(seed: int) -> str:
    cluster = toys(5, seed=seed)
    cluster.conditions(loss=0.1, duplication=0.1, reordering=0.1)
    cluster.run(5.0)
    cluster.call("n1", "connect", cluster.address("n3"))
    cluster.call("n4", "say", HealthChanged(1, 0, "late"))
    cluster.pause("n2")
    cluster.run(5.0)
    cluster.resume("n2")
    cluster.restart("n5")
    cluster.run(5.0)
    return cluster.digest()


def test_one_seed_is_one_run_under_any_hash_seed() -> None:
    code = "from tests.memberlist.test_testing import *; print(digest_of_a_rough_run(3))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("0", "1")
    }

    assert digests == {digest_of_a_rough_run(3)}
    assert digest_of_a_rough_run(4) not in digests
