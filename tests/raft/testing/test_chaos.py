"""Random runs: what they draw, how they are told, and that each way to be stuck is noticed."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve

from raft import Output, Raft, ReadFailed, ReadReady
from raft.testing import Birth, Chaos, InvariantBroken, Mix
from raft.testing.mixes import THEMES


def raft(birth: Birth, kind: type[Raft] = Raft) -> Raft:
    return kind(birth.name, birth.config, rng=birth.rng, now=birth.now, stored=birth.stored)


def test_each_seed_draws_a_mix_of_its_own() -> None:
    mixes = [Mix.draw(Random(seed)) for seed in range(200)]

    assert {mix.theme for mix in mixes} == set(THEMES)
    assert len({str(mix) for mix in mixes}) == 200
    assert {mix.voters for mix in mixes} == {1, 2, 3, 4, 5}
    assert all(mix.weights["heal"] and mix.weights["restart"] for mix in mixes)


def test_clocks_stay_within_the_drift_that_leases_allow() -> None:
    leases = [mix for seed in range(300) if (mix := Mix.draw(Random(seed))).config.lease_reads]

    assert len(leases) > 20
    for mix in leases:
        slowest, fastest = mix.rates
        assert fastest / slowest <= 1 + mix.config.clock_drift_bound


def test_a_run_is_told_with_what_was_done_and_what_came_of_it() -> None:
    run = Chaos(1, steps=300, tell=True)
    run.play()

    told = run.scenario()
    assert told.startswith("seed 1: Mix(theme=")
    assert "SendMessage" in told


def test_events_are_told_only_if_asked_for() -> None:
    run = Chaos(1, steps=300)
    run.play()

    assert "SendMessage" not in run.scenario()
    assert "heal everything" in run.scenario()


class Deaf(Raft):
    """A server that never campaigns."""

    def campaign(self, now: float) -> None:
        del now

    def next_timeout(self) -> float | None:
        return None


class Secretive(Raft):
    """A server that keeps the answers to reads for itself."""

    def poll(self) -> Output | None:
        while isinstance(output := super().poll(), ReadReady | ReadFailed):
            pass
        return output


def test_a_cluster_without_a_leader_is_stuck() -> None:
    run = Chaos(3, steps=50, theme="calm", make=lambda birth: raft(birth, Deaf))

    with pytest.raises(InvariantBroken, match=r"liveness: no agreement: .*follower of None"):
        run.play()


def test_a_read_without_an_answer_is_stuck() -> None:
    run = Chaos(1, steps=300, theme="calm", make=lambda birth: raft(birth, Secretive))

    with pytest.raises(InvariantBroken, match="liveness: no outcome"):
        run.play()


def test_a_proposal_that_is_not_committed_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Chaos(1, steps=300, theme="calm")
    monkeypatch.setattr(run.cluster, "committed", lambda _: False)

    with pytest.raises(InvariantBroken, match="liveness: a proposal is stuck"):
        run.play()


def test_a_storm_of_messages_is_noticed() -> None:
    def hasty(birth: Birth) -> Raft:
        return raft(evolve(birth, config=evolve(birth.config, heartbeat_interval=0.001)))

    run = Chaos(2, steps=300, theme="calm", make=hasty)

    with pytest.raises(InvariantBroken, match=r"liveness: .* messages when idle"):
        run.play()


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_every_theme_plays_to_its_end(theme: str) -> None:
    """Many seeds of each are simulations; a few here reach every fault and use at least once."""
    for seed in range(4):
        run = Chaos(seed, theme=theme)
        run.play()

        assert run.cluster.leader is not None, run.scenario()


def test_who_was_removed_is_shut_down_where_leaders_watch_no_quorum() -> None:
    removed = []
    for seed in range(25):
        run = Chaos(seed, theme="members")
        if not run.mix.config.check_quorum:
            run.play()
            removed += run._removed()

    assert removed
