"""The example runs as a newcomer would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.vivaldi import scenarios

ROOT = Path(__file__).parents[2]


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "examples/coordinates.py", "--output", str(output), *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": ":".join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_model_gives_a_table_and_a_picture(tmp_path: Path) -> None:
    output = tmp_path / "map.svg"

    done = run(output, "--nodes", "40", "--rounds", "60")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("40 nodes, 780 pairs, 60 pings per node\n")
    errors = dict(re.findall(r"^(default|serf) +([\d.]+)%", done.stdout, re.MULTILINE))
    assert float(errors["default"]) < float(errors["serf"]) < 60.0
    circles = ET.parse(output).iter("{http://www.w3.org/2000/svg}circle")
    assert len(list(circles)) == 40


def test_a_measured_matrix_is_taken(tmp_path: Path) -> None:
    if not (scenarios.DATA / scenarios.FIXTURE).exists():
        pytest.skip(f"{scenarios.FIXTURE} is not in ../shared/data")

    done = run(
        tmp_path / "map.svg", "--rounds", "60", "--matrix", str(scenarios.DATA / scenarios.FIXTURE)
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("98 nodes, 4753 pairs")


def test_arguments_without_sense_are_refused(tmp_path: Path) -> None:
    assert run(tmp_path / "map.svg", "--nodes", "1").returncode == 2
