"""The command: plant bugs, look for them, print who killed each and how fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.raft.planted.campaign import BUGS, NO_BUG, THEMES, Death, by_chance, by_tests
from tests.raft.planted.planting import Bug


def named(bugs: list[Bug]) -> int:
    """Let each bug's named tests look for it; return how many bugs survived."""
    innocent = by_tests(NO_BUG, sorted({killer for bug in bugs for killer in bug.killers}))
    for death in innocent:
        print(f"WITHOUT A BUG {death.killer} fails: {death.why}")
    survivors = 0
    for bug in bugs:
        deaths = by_tests(bug)
        survivors += len(deaths) < len(bug.killers) or not deaths
        tell(bug, deaths)
        for killer in sorted({*bug.killers} - {death.killer for death in deaths}):
            print(f"    NOT BY {killer}")
    print(f"{len(bugs)} bugs, {survivors} survive a test that is to kill them")
    return survivors + len(innocent)


def at_random(bugs: list[Bug], seconds: float, themes: Sequence[str]) -> int:
    """Let random runs look for each bug; return how many runs without a bug failed."""
    innocent, runs = by_chance(NO_BUG, seconds, themes)
    if innocent is not None:
        print(f"WITHOUT A BUG {innocent.killer} fails: {innocent.why}")
    else:
        print(f"without a bug {runs} runs pass in {seconds:.0f} s")
    killed = 0
    for bug in bugs:
        death, runs = by_chance(bug, seconds, themes)
        killed += death is not None
        if death is None:
            print(f"{bug.name}: survives {runs} runs, {seconds:.0f} s")
        else:
            tell(bug, [death])
        sys.stdout.flush()
    print(f"{killed} of {len(bugs)} bugs are found by chance")
    return int(innocent is not None)


def tell(bug: Bug, deaths: list[Death]) -> None:
    """Print how a bug was found."""
    print(f"{bug.name}: {bug.what}" if deaths else f"{bug.name} SURVIVES: {bug.what}")
    for death in deaths:
        print(f"    {death.seconds:6.3f} s {death.killer}\n             {death.why}")


def main() -> int:
    """Read the command line; return how much is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.planted", description=__doc__)
    parser.add_argument("names", nargs="*", help="of bugs; all if none is given")
    parser.add_argument("--list", action="store_true", help="list the bugs")
    parser.add_argument(
        "--random", type=float, metavar="SECONDS", help="let random runs look, so long for each"
    )
    parser.add_argument("--theme", choices=THEMES, help="of random runs; all in turn if not given")
    options = parser.parse_args()
    bugs = [BUGS[name] for name in options.names] or list(BUGS.values())
    if options.list:
        for bug in bugs:
            print(f"{bug.name}: {bug.what}")
        return 0
    if options.random:
        return at_random(bugs, options.random, [options.theme] if options.theme else THEMES)
    return named(bugs)


if __name__ == "__main__":
    sys.exit(main())
