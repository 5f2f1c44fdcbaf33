"""The claims of the SWIM and Lifeguard papers, reduced: small samples, wide bounds.

The whole table is `python -m tests.benchmarks.papers`.
"""

import math
import statistics

import pytest

from memberlist import Config
from memberlist.testing import Cluster
from tests.benchmarks import papers

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("n", [8, 32, 128])
def test_the_first_detection_takes_e_over_e_minus_1_periods_whatever_the_size(n: int) -> None:
    """SWIM, section 4; the standard error of 100 samples is below 0.1."""
    found = papers.first_detections(n, 100, seed=1)

    expected = papers.first_detection_expected(n)
    assert expected < papers.FIRST_DETECTION
    assert statistics.fmean(found) == pytest.approx(expected, abs=0.3)


def test_the_first_detection_at_512_members_is_no_later_than_at_8() -> None:
    """SWIM, section 4."""
    found = papers.first_detections(512, 60, seed=1)

    assert statistics.fmean(found) == pytest.approx(papers.FIRST_DETECTION, abs=0.4)


def test_the_load_of_a_member_does_not_grow_with_the_size() -> None:
    """SWIM, section 5: two messages per member and period; with 28 rarely five or more."""
    loads = {n: papers.load(n, 20, seed=1) for n in (8, 28, 128, 512)}

    assert {n: round(mean, 1) for n, (mean, _) in loads.items()} == dict.fromkeys(loads, 2.0)
    assert loads[28][1] > 0.95


def test_news_needs_about_log_n_periods_on_probes_and_a_few_rounds_of_gossip() -> None:
    """SWIM, section 4.1: infection-style dissemination."""
    for n in (8, 32, 128, 512):
        by_probes = papers.spread(n, seed=1, gossip=False)
        by_gossip = papers.spread(n, seed=1, gossip=True)

        assert by_probes.half <= math.log(n)
        assert by_probes.everybody <= 2.5 * math.log(n)
        assert by_gossip.everybody <= 0.2 * (2 + 2 * math.log2(n))


def test_after_lambda_log_n_periods_fewer_are_missed_than_the_formula_allows() -> None:
    """SWIM, section 4.1: n^-((2 - 4/n) lambda - 2)."""
    for n in (32, 128):
        missed = [papers.uninfected(n, 1.2, seed=seed) for seed in range(5)]

        assert statistics.fmean(missed) <= papers.uninfected_by_formula(n, 1.2)


@pytest.mark.parametrize(
    ("loss", "k", "expected"),
    [(0.01, 1, 1.240e-3), (0.05, 1, 2.861e-2), (0.10, 1, 1.034e-1),
     (0.01, 3, 1.926e-6), (0.05, 3, 9.844e-4), (0.10, 3, 1.223e-2)],
)  # fmt: skip
def test_the_formula_of_false_detections_gives_the_published_numbers(
    loss: float, k: int, expected: float
) -> None:
    assert papers.false_detections_by_formula(loss, k) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("loss", "k", "periods"), [(0.05, 1, 200), (0.10, 1, 100), (0.10, 3, 300)])
def test_false_detections_under_loss_follow_the_formula(loss: float, k: int, periods: int) -> None:
    """SWIM, section 4; without the formula's last factor it is the rate itself."""
    rate, count = papers.false_detections(loss, k, n=64, periods=periods, seed=1)

    expected = papers.false_detections_by_formula(loss, k) / papers.FIRST_DETECTION
    assert count > 100
    assert 0.7 * expected < rate < 1.4 * expected


def test_lifeguard_makes_false_positives_rare_at_no_cost_in_messages() -> None:
    """Lifeguard, the tables of false positives and of load; 64 members, 8 of them stopped."""
    anomaly = papers.Anomaly(members=8, stopped=32.0, between=60.0)
    base, *others = (papers.suffer(variant, anomaly, n=64, seed=1) for variant in papers.VARIANTS)
    shares = {
        variant: papers.share(outcome.false_positives, base.false_positives)
        for variant, outcome in zip(list(papers.VARIANTS)[1:], others, strict=True)
    }
    messages = [papers.share(outcome.messages, base.messages) for outcome in others]

    assert base.false_positives > 1000
    assert 10 < shares["LHA-Probe"] < 95
    assert shares["LHA-Suspicion"] < 10
    assert 70 < shares["Buddy System"] < 115
    assert shares["Lifeguard"] < 5
    assert all(70 < share < 115 for share in messages)


@pytest.mark.parametrize("preset", [Config.lan, Config.wan, Config.local])
def test_a_death_leaves_the_health_of_the_healthy_at_zero(preset: object) -> None:
    """Lifeguard, footnote 5: nacks come in time (they do not in memberlist's LAN and WAN)."""
    assert callable(preset)
    cluster = Cluster(seed=1, config=preset())
    cluster.start(5)
    cluster.run(10.0)
    cluster.crash("n3")

    assert cluster.run_until(lambda: cluster.informed("n3"), within=400.0)
    assert {machine.health for machine in cluster.machines.values()} == {0}
    assert not [event for event in cluster.trace if type(event[2]).__name__ == "HealthChanged"]
