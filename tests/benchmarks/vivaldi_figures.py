"""Print every figure that vivaldi promises beside Serf's.

Run `python -m tests.benchmarks.vivaldi_figures`. Takes some minutes on one core and reads
`../shared/data`, seen from the root of the repository. The column "Serf (Go)" was measured
with HashiCorp's own code, "serf()" with our profile of that name, "default" with the default
profile. The worst seed counts for a bound; the median of the seeds stands in brackets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from tests.vivaldi import scenarios
from tests.vivaldi.scenarios import Settled
from vivaldi import Config

FIVE = range(1, 6)
TEN = range(1, 11)
THREE = range(1, 4)


@cache
def settled(part: int, profile: str, seed: int) -> Settled:
    config = scenarios.profiles()[profile]
    if part == 0:
        return scenarios.settled(scenarios.fixture(), config, seed, 300)
    return scenarios.settled(scenarios.planetlab(part), config, seed, 1000)


def row(
    what: str, go: str, bound: float, figure: Callable[[str, int], float], seeds: range, sign: int
) -> None:
    """Print one line; `sign` is 1 if small figures are good, -1 if large ones are."""
    cells = []
    for profile in ("serf", "default"):
        values = sorted(figure(profile, seed) for seed in seeds)
        worst = values[-1] if sign > 0 else values[0]
        cells.append(f"{worst:.3g} ({values[len(values) // 2]:.3g})")
    relation, met = ("<=", worst <= bound) if sign > 0 else (">=", worst >= bound)
    print(
        f"{what:52} {go:>10} {cells[0]:>18} {cells[1]:>18}   "
        f"{relation} {bound:<6g} {'yes' if met else 'NO'}",
        flush=True,
    )


def config(profile: str) -> Config:
    return scenarios.profiles()[profile]


def planetlab(part: int, name: str) -> None:
    def get(field: str) -> Callable[[str, int], float]:
        return lambda profile, seed: float(getattr(settled(part, profile, seed), field))

    seeds = FIVE if part == 1 else range(1, 3)
    row(f"{name}: median relative error", ".078", 0.070, get("median"), seeds, 1)
    row(f"{name}: 90th percentile", ".372", 0.25, get("p90"), seeds, 1)
    row(f"{name}: nearest peer picked right", ".10", 0.28, get("first"), seeds, -1)
    row(f"{name}: within the true ten nearest", ".49", 0.80, get("ten"), seeds, -1)
    row(f"{name}: extra RTT of the picked peer, median, ms", "11", 2.0, get("penalty_ms"), seeds, 1)
    row(f"{name}: published coordinate moves, ms", "2.2", 0.3, get("moved_ms"), seeds, 1)
    row(f"{name}: updates worth publishing", "-", 0.05, get("published"), seeds, 1)
    row(f"{name}: truth inside the confidence band", "-", 0.80, get("covered"), seeds, -1)


def main() -> None:
    names = (scenarios.PLANETLAB.format(1), scenarios.FIXTURE, scenarios.SEATTLE)
    for name in names:
        print(f"sha256 {scenarios.checksum(name)}  {name}")
    print("relative error = |estimate - truth| / truth over all pairs i < j; worst seed (median)")
    print(f"{'what':52} {'Serf (Go)':>10} {'serf()':>18} {'default':>18}   must reach")
    planetlab(1, "PlanetLab 490, 1000 rounds")

    def fixture(field: str) -> Callable[[str, int], float]:
        return lambda profile, seed: float(getattr(settled(0, profile, seed), field))

    row("98 hosts, 300 rounds: median", ".077-.093", 0.072, fixture("median"), TEN, 1)
    row("98 hosts, 300 rounds: 90th percentile", ".37-.49", 0.26, fixture("p90"), TEN, 1)
    row(
        "samples per node from nothing to median .15",
        "67",
        40,
        lambda p, s: scenarios.rounds_to(0.15, scenarios.planetlab(), config(p), s),
        FIVE,
        1,
    )
    row(
        "probes until joining nodes are at .10",
        "22",
        10,
        lambda p, s: scenarios.probes_to_join(0.10, config(p), s),
        FIVE,
        1,
    )
    row(
        "PlanetLab: centroid after 10,000 rounds, ms",
        "52",
        2.0,
        lambda p, s: scenarios.drift_ms(config(p), s, 10_000),
        range(1, 3),
        1,
    )

    @cache
    def tails(profile: str, seed: int) -> tuple[float, float]:
        return scenarios.heavy_tails(config(profile), seed)

    row("Seattle, 120 slices: median error", ".625", 0.20, lambda p, s: tails(p, s)[0], THREE, 1)
    row("Seattle, 120 slices: centroid, s", "3.0", 0.1, lambda p, s: tails(p, s)[1], THREE, 1)

    def liars(fixed: bool, profile: str, seed: int) -> float:
        return scenarios.among_liars(config(profile), seed, fixed=fixed)

    for fixed in (False, True):
        row(
            f"a tenth lies ({'one lie each' if fixed else 'ever new lies'}): median, honest",
            ".19",
            0.12,
            partial(liars, fixed),
            THREE,
            1,
        )
    for part in (2, 3):
        planetlab(part, f"held out: PlanetLab slice {part}")
    print("\nperfect synthetic layouts, 10 seeds: mean error, median and worst; worst pair")
    for name in scenarios.LAYOUTS:
        for profile in ("serf", "default"):
            runs = [scenarios.layout_errors(name, profile, seed) for seed in TEN]
            means = sorted(mean for mean, _ in runs)
            worst = max(pair for _, pair in runs)
            print(f"{name:8} {profile:8} {means[5]:.5f} {means[-1]:.5f}  {worst:.4f}")
    for profile in ("serf", "default"):
        first, last = scenarios.square_drift(profile, 1)
        print(f"drift    {profile:8} {first:.3f} s after 1,000 rounds, {last:.3f} s 10,000 later")


if __name__ == "__main__":
    main()
