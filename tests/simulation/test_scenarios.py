"""Seeds times scenarios. `--seeds N` runs more of them, `--seed S` one; see also seeds.txt."""

from pathlib import Path

import pytest

from tests.simulation.scenarios import SCENARIOS

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, seed: int) -> None:
    SCENARIOS[name](seed)


def kept() -> list[tuple[str, int]]:
    """Return the runs of seeds.txt that once failed, each with its scenario."""
    lines = Path(__file__).with_name("seeds.txt").read_text().splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    return [(name, int(number)) for name, number in filter(None, words)]


@pytest.mark.parametrize(("name", "number"), kept())
def test_what_failed_once_is_run_forever(name: str, number: int) -> None:
    SCENARIOS[name](number)
