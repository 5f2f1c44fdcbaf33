"""Seeds times scenarios. `--seeds N` runs more of them, `--seed S` one; see also seeds.txt."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.scenarios import SCENARIOS, chaos

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


def test_chaos_is_the_same_chaos_under_any_hash_seed() -> None:
    code = "from tests.simulation.scenarios import chaos; print(chaos(1).digest())"
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

    assert digests == {chaos(1).digest()}
