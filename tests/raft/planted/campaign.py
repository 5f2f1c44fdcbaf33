"""One bug after the other: who kills it, and how fast.

Owns the three ways to look: the bug's named tests, seeds of the simulator, and the exhaustive
search. A way that "kills" what has no bug is worth nothing, so each is tried without one first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import pytest
from attrs import frozen

from raft.testing.chaos import Chaos
from tests.raft.planted import (
    bugs_of_elections,
    bugs_of_leaders,
    bugs_of_replication,
    bugs_of_scenarios,
)
from tests.raft.planted.killing import PATIENCE, Endless, failure, patience
from tests.raft.planted.planting import Bug

BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        *bugs_of_elections.BUGS,
        *bugs_of_replication.BUGS,
        *bugs_of_leaders.BUGS,
        *bugs_of_scenarios.BUGS,
    )
}
NO_BUG = Bug("none", "No bug: nothing may fail.", (), ())

#: Themes of `raft.testing.mixes` that random runs take in turn, those that hunt leaders first.
THEMES = ("leaders", "tiny", "members", "readers", "disks", "snapshots", "calm", "plain")
#: Inputs of machines in one random run.
STEPS = 2500


@frozen
class Death:
    """How a bug was found.

    Attributes:
        killer: A test, or a seed and theme, that failed.
        why: What it says.
        seconds: How long that took.
    """

    killer: str
    why: str
    seconds: float


def by_tests(bug: Bug, killers: Iterable[str] | None = None) -> list[Death]:
    """Plant a bug and return which of its named tests fail."""
    deaths = []
    with bug.planted():
        for killer in bug.killers if killers is None else killers:
            raised, seconds = failure(killer)
            if raised is not None:
                deaths.append(Death(killer, _reason(raised), seconds))
    return deaths


def by_chance(bug: Bug, seconds: float, themes: Sequence[str] = THEMES) -> tuple[Death | None, int]:
    """Plant a bug and play random runs until one fails or time is over; return it and the runs.

    A run that fails without the bug, too, does not count.
    """
    begin = time.perf_counter()
    for played, (seed, theme) in enumerate(_runs(themes)):
        if (left := seconds - (time.perf_counter() - begin)) <= 0:
            return None, played
        with bug.planted():
            error = _play(seed, theme, left)
        took = time.perf_counter() - begin
        if error is not None and (bug is NO_BUG or _play(seed, theme, PATIENCE) is None):
            return Death(f"{theme} seed {seed}", _reason(error), took), played + 1
    raise AssertionError("there is no end of seeds")


def _play(seed: int, theme: str, seconds: float) -> BaseException | None:
    """Play one run; return how it failed, or None if it did not within its time."""
    try:
        with patience(max(seconds, 0.1)):
            Chaos(seed, steps=STEPS, theme=theme).play()
    except Endless:
        return None
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # a bug may raise anything
        return error
    return None


def _runs(themes: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Return seeds with each theme in turn."""
    for number in count():
        yield number, themes[number % len(themes)]


def _reason(error: BaseException) -> str:
    """Return one line about an error."""
    lines = f"{type(error).__name__}: {error}".strip().splitlines()
    return lines[0][:100]
