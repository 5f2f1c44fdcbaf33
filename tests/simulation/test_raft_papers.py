"""The figures of the Raft paper and dissertation, reduced: small samples, three standard errors.

The whole table is `python -m tests.benchmarks.raft_figures`.
"""

from __future__ import annotations

import math
import statistics

import pytest

from tests.benchmarks import raft_figures as figures

pytestmark = pytest.mark.simulation


def share_error(share: float, trials: int) -> float:
    """Return three standard errors of an observed share."""
    return 3 * math.sqrt(share * (1 - share) / trials)


# --- timers


@pytest.mark.parametrize("servers", [1, 2, 4, 9])
def test_the_earliest_of_some_timers_is_over_when_the_formula_says(servers: int) -> None:
    """Dissertation, figure 9.3."""
    trials = 3000
    found = figures.earliest_timeouts(servers, trials, seed=1)

    variance = servers / ((servers + 1) ** 2 * (servers + 2))
    mean = figures.earliest_by_formula(servers)
    early = figures.earliest_within_by_formula(servers, 0.25)
    over = sum(each <= 0.25 for each in found) / trials
    assert len(found) == trials
    assert statistics.fmean(found) == pytest.approx(mean, abs=3 * math.sqrt(variance / trials))
    assert over == pytest.approx(early, abs=share_error(early, trials))


def test_the_earliest_of_four_timers_is_over_in_the_first_quarter_two_times_of_three() -> None:
    """Dissertation, section 9.2: about 68 %."""
    assert figures.earliest_within_by_formula(4, 0.25) == pytest.approx(0.68, abs=0.005)


# --- split votes


@pytest.mark.parametrize(
    ("size", "failed", "latency", "percent"),
    [(5, 1, 0.01, "0.06"), (5, 1, 0.1, "5.2"), (5, 1, 0.2, "18.1"), (5, 2, 0.2, "48.8"),
     (9, 4, 0.1, "41")],
)  # fmt: skip
def test_the_formula_of_split_votes_gives_the_published_numbers(
    size: int, failed: int, latency: float, percent: str
) -> None:
    """Dissertation, figure 9.6."""
    found = figures.split_by_formula(size, size - failed, latency)

    digits = len(percent.partition(".")[2])
    assert f"{100 * found:.{digits}f}" == percent


@pytest.mark.parametrize(
    ("size", "failed", "latency"),
    [(5, 0, 0.2), (5, 1, 0.1), (5, 1, 0.2), (5, 2, 0.1), (5, 2, 0.2), (9, 4, 0.1)],
)
def test_votes_are_split_as_often_as_the_formula_says(
    size: int, failed: int, latency: float
) -> None:
    """Dissertation, figure 9.6."""
    trials = 600
    setting = figures.Setting(size=size, failed=failed, latency=(latency, latency))
    found = figures.split_rate(figures.elections(setting, trials, seed=1))

    expected = figures.split_by_formula(size, size - failed, latency)
    assert found == pytest.approx(expected, abs=share_error(expected, trials))


@pytest.mark.parametrize(("failed", "published"), [(1, 0.16), (2, 0.40)])
def test_votes_are_split_as_published_where_latencies_vary(failed: int, published: float) -> None:
    """Dissertation, section 9.3; the text gives whole percents."""
    trials = 600
    setting = figures.Setting(failed=failed, latency=(0.1, 0.2))
    found = figures.split_rate(figures.elections(setting, trials, seed=1))

    assert found == pytest.approx(published, abs=share_error(published, trials) + 0.005)


# --- how long elections take


@pytest.mark.parametrize(("size", "failed"), [(5, 0), (5, 1), (9, 1)])
def test_an_election_without_splits_takes_as_long_as_the_formula_says(
    size: int, failed: int
) -> None:
    """Dissertation, section 9.4; at this latency votes are hardly ever split."""
    trials, latency = 600, 0.01
    setting = figures.Setting(size=size, failed=failed, latency=(latency, latency))
    found = [seconds for seconds, _ in figures.elections(setting, trials, seed=1)]

    expected = figures.election_by_formula(size, size - failed, latency)
    error = 3 * statistics.stdev(found) / math.sqrt(trials)
    assert statistics.fmean(found) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("failed", [1, 2])
def test_elections_over_a_wan_take_as_long_as_published(failed: int) -> None:
    """Dissertation, figure 9.9; its means are read from a plot, to within 5 %."""
    trials = 1000
    found = [s for s, _ in figures.elections(figures.wan_setting(failed), trials, seed=1)]

    mean, late = figures.WAN_PUBLISHED[failed]
    error = 3 * statistics.stdev(found) / math.sqrt(trials)
    assert statistics.fmean(found) == pytest.approx(mean, abs=0.05 * mean + error)
    assert sum(each > late for each in found) / trials <= 0.001 + share_error(0.001, trials)


def test_too_narrow_a_range_of_timeouts_costs_more_than_it_saves() -> None:
    """Dissertation, figure 9.7: the knee lies between 3 and 8 latencies."""
    mean = {}
    for multiple in (2, 5, 20):
        setting = figures.Setting(failed=2, timeouts=(multiple, 2 * multiple), latency=(1, 1))
        held = figures.elections(setting, 300, seed=1)
        mean[multiple] = statistics.fmean(seconds for seconds, _ in held)

    assert mean[5] < mean[2]
    assert mean[5] < mean[20]


def test_a_little_randomness_in_timeouts_avoids_most_of_the_downtime() -> None:
    """Extended paper, figure 16: the order of its curves."""
    found = {
        timeouts: [figures.downtime(figures.lan_setting(*timeouts), seed) for seed in range(30)]
        for timeouts in ((150, 150), (150, 300), (12, 24))
    }
    mean = {timeouts: statistics.fmean(sample) for timeouts, sample in found.items()}

    assert mean[12, 24] < 0.1 < mean[150, 300] < mean[150, 150]
    assert max(found[150, 300]) < 2
    assert max(found[150, 150]) > 4


# --- leases, disturbances, clients


def test_a_lease_from_the_sending_ends_in_time_and_one_from_the_receipt_does_not() -> None:
    """Dissertation, section 6.4.1: the counterexample to leases that begin with the answers."""
    found = [figures.lease(seed) for seed in range(10)]

    assert all(each.last_read < each.elected for each in found)
    assert any(each.by_receipt > each.elected for each in found)


def test_a_server_that_returns_deposes_the_leader_unless_it_asks_first(seed: int) -> None:
    """Dissertation, section 9.6."""
    ahead, changes = figures.disturbance(seed, pre_vote=False)

    assert ahead > 1
    assert changes >= 1
    assert figures.disturbance(seed, pre_vote=True) == (0, 0)


@pytest.mark.parametrize("size", [3, 5, 9])
def test_a_client_that_asks_in_any_order_finds_the_leader_in_the_middle(size: int) -> None:
    """Dissertation, section 6.2: (n + 1) / 2 tries."""
    trials = 500
    found = figures.tries_to_find_the_leader(size, trials, seed=1)

    error = 3 * math.sqrt((size**2 - 1) / 12 / trials)
    assert found == pytest.approx((size + 1) / 2, abs=error)
