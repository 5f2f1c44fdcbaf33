"""When a learner is ready to vote (dissertation 4.2.1)."""

from __future__ import annotations

import pytest

from raft import AddLearner, Configuration, ProgressState, PromoteLearner, Role
from raft.promotion import CatchUp, Readiness
from raft.status import PeerStatus, Status
from raft.testing import Cluster

TIMEOUT = 1.0


def status(
    match: int, last: int, *, leader: str = "n1", term: int = 2, silent: float = 0
) -> Status:
    """Return what a leader with `last` entries says, whose learner has `match`."""
    peer = PeerStatus("n2", match, match + 1, ProgressState.REPLICATE, 0, 0, silent, True, "")
    return Status(
        id=leader,
        role=Role.LEADER,
        term=term,
        voted_for=leader,
        leader=leader,
        commit_index=last,
        applied_index=last,
        durable_index=last,
        first_index=1,
        last_index=last,
        snapshot_index=0,
        configuration=Configuration(voters=[leader], learners=["n2"]),
        configuration_index=1,
        regressed=False,
        quiescent=False,
        transferee=None,
        peers=(peer,),
    )


def test_a_learner_that_has_everything_is_ready() -> None:
    catch_up = CatchUp("n2", TIMEOUT)

    assert catch_up.observe(status(9, 9), 5.0) is Readiness.READY


def test_a_round_ends_when_the_learner_has_what_the_log_had_at_its_beginning() -> None:
    catch_up = CatchUp("n2", TIMEOUT)

    assert catch_up.observe(status(0, 100), 0.0) is Readiness.CATCHING_UP
    assert catch_up.observe(status(99, 150), 0.5) is Readiness.CATCHING_UP
    assert catch_up.observe(status(100, 151), 0.9) is Readiness.READY


def test_a_round_that_lasts_too_long_is_followed_by_another() -> None:
    catch_up = CatchUp("n2", TIMEOUT)

    assert catch_up.observe(status(0, 100), 0.0) is Readiness.CATCHING_UP
    assert catch_up.observe(status(100, 150), 1.0) is Readiness.CATCHING_UP
    assert catch_up.rounds == 1
    assert catch_up.observe(status(149, 160), 1.5) is Readiness.CATCHING_UP
    assert catch_up.observe(status(150, 160), 1.9) is Readiness.READY


def test_a_learner_that_never_keeps_up_is_too_slow_for_good() -> None:
    catch_up = CatchUp("n2", TIMEOUT, rounds_max=3)
    seen = [catch_up.observe(status(10 * at, 10 * at + 10), 2.0 * at) for at in range(4)]

    assert seen == [Readiness.CATCHING_UP] * 3 + [Readiness.TOO_SLOW]
    assert catch_up.observe(status(99, 99), 9.0) is Readiness.TOO_SLOW
    assert catch_up.rounds == 3


def test_ten_rounds_are_what_a_learner_has() -> None:
    catch_up = CatchUp("n2", TIMEOUT)
    at = 0
    while catch_up.observe(status(10 * at, 10 * at + 10), 2.0 * at) is Readiness.CATCHING_UP:
        at += 1

    assert at == 10


@pytest.mark.parametrize("later", [{"leader": "n3"}, {"term": 3}])
def test_another_leadership_begins_anew(later: dict[str, str | int]) -> None:
    catch_up = CatchUp("n2", TIMEOUT, rounds_max=1)
    catch_up.observe(status(0, 10), 0.0)
    assert catch_up.observe(status(10, 20), 2.0) is Readiness.TOO_SLOW

    assert catch_up.observe(status(0, 20, **later), 3.0) is Readiness.CATCHING_UP  # type: ignore[arg-type]
    assert catch_up.observe(status(20, 20, **later), 3.5) is Readiness.READY  # type: ignore[arg-type]


def test_a_learner_that_is_not_heard_is_said_to_be_silent() -> None:
    catch_up = CatchUp("n2", TIMEOUT)

    assert catch_up.observe(status(9, 9, silent=0.9), 5.0) is Readiness.READY
    assert catch_up.observe(status(9, 9, silent=1.0), 5.1) is Readiness.SILENT


def test_only_a_leader_knows_and_only_of_members() -> None:
    cluster = Cluster(seed=1)
    cluster.start(3)
    leader = cluster.elect()
    follower = next(name for name in cluster.names if name != leader)

    for name, learner in ((follower, leader), (leader, "n9")):
        observed = CatchUp(learner, TIMEOUT).observe(cluster.machine(name).status(), cluster.now)
        assert observed is Readiness.UNKNOWN


@pytest.mark.parametrize(("timeout", "rounds"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_limits_are_above_zero(timeout: float, rounds: int) -> None:
    with pytest.raises(ValueError, match=r"election timeout|rounds_max"):
        CatchUp("n2", timeout, rounds_max=rounds)


def test_a_learner_far_behind_is_promoted_without_a_pause() -> None:
    cluster = Cluster(seed=1)
    cluster.start(3)
    leader = cluster.elect()
    for number in range(200):
        cluster.propose(b"%d" % number)
    cluster.add("n4")
    cluster.change(AddLearner("n4"))
    machine = cluster.machine(leader)
    catch_up = CatchUp("n4", machine.config.election_timeout)

    def ready() -> bool:
        return catch_up.observe(machine.status(), cluster.now) is Readiness.READY

    assert cluster.run_until(ready, 10.0)
    cluster.change(PromoteLearner("n4"))

    assert cluster.run_until(lambda: "n4" in cluster.machine("n4").configuration.voters, 5.0)
    assert cluster.leader == leader
