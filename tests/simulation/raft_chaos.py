"""Random Raft runs by the thousand: `python -m tests.simulation.raft_chaos --steps 1000000`.

A failing seed prints what was drawn, what was done, and the line that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import frozen

from raft.testing import Birth, Chaos, make_raft
from raft.testing.mixes import THEMES

#: Inputs that one seed's machines get while there are faults.
STEPS = 2500


@frozen
class Failure:
    """A seed that failed.

    Attributes:
        seed: Which.
        why: What was wrong.
        scenario: What led to it, in words.
    """

    seed: int
    why: str
    scenario: str


def play(
    seed: int,
    *,
    steps: int = STEPS,
    theme: str | None = None,
    make: Callable[[Birth], Any] = make_raft,
) -> Chaos:
    """Run one seed; whatever goes wrong is raised."""
    run = Chaos(seed, steps=steps, theme=theme, make=make)
    run.play()
    return run


def explain(
    seed: int,
    *,
    steps: int = STEPS,
    theme: str | None = None,
    make: Callable[[Birth], Any] = make_raft,
) -> Failure | None:
    """Run a seed and tell all about it; None if nothing goes wrong."""
    run = Chaos(seed, steps=steps, theme=theme, make=make, tell=True)
    try:
        run.play()
    except Exception as error:  # noqa: BLE001  # a machine that raises at all is a failure
        return Failure(seed, f"{type(error).__name__}: {error}", run.scenario())
    return None


def repeating(seed: int, *, steps: int = STEPS, theme: str | None = None) -> str:
    """Return the line that repeats a seed."""
    chosen = f" --theme {theme}" if theme else ""
    more = f" --steps-per-seed {steps}" if steps != STEPS else ""
    return f"python -m tests.simulation.raft_chaos --seed {seed}{chosen}{more}"


def parser() -> argparse.ArgumentParser:
    """Return what the command line may say."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--seed", type=int, help="this one only, told as a scenario")
    found.add_argument("--first", type=int, default=0, help="the first of many")
    found.add_argument("--seeds", type=int, help="how many (default: 100)")
    found.add_argument("--steps", type=int, help="as many seeds as make so many steps")
    found.add_argument("--steps-per-seed", type=int, default=STEPS)
    found.add_argument("--theme", choices=sorted(THEMES))
    return found


def main(arguments: list[str] | None = None, *, make: Callable[[Birth], Any] = make_raft) -> int:
    """Run what the command line asks for; return 1 if a seed failed."""
    chosen = parser().parse_args(arguments)
    how = {"steps": chosen.steps_per_seed, "theme": chosen.theme}
    if chosen.seed is not None:
        failure = explain(chosen.seed, make=make, **how)
        print(f"{failure.scenario}\n{failure.why}" if failure else "nothing was wrong")
        return 1 if failure else 0
    number = 100 if chosen.seeds is None and chosen.steps is None else chosen.seeds
    return campaign(chosen.first, number, chosen.steps, how, make)


def campaign(
    first: int,
    number: int | None,
    steps_max: int | None,
    how: dict[str, Any],
    make: Callable[[Birth], Any],
) -> int:
    """Run seeds until one fails, so many are done, or they have made so many steps."""
    begin = time.perf_counter()
    played = steps = messages = leaders = 0
    for seed in count(first):
        try:
            run = play(seed, make=make, **how)
        except Exception:  # noqa: BLE001  # told in full
            failure = explain(seed, make=make, **how)
            print(f"{failure.scenario}\n{failure.why}" if failure else "it fails only once")
            print(f"repeat: {repeating(seed, **how)}")
            return 1
        played += 1
        steps += run.cluster.steps
        messages += run.cluster.messages
        assert run.cluster.invariants is not None
        leaders += len(run.cluster.invariants.leaders)
        if played == number or (steps_max is not None and steps >= steps_max):
            break
    seconds = time.perf_counter() - begin
    print(
        f"{played} seeds, {steps} steps, {messages} messages, {leaders} leaders:"
        f" nothing was wrong; {seconds:.0f} s, {seconds / steps * 1e6:.0f} us a step"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
