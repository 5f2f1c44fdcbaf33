"""The example runs as a newcomer would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vivaldi import scenarios

ROOT = Path(__file__).parents[2]


PNG = b"\x89PNG\r\n\x1a\n"


def run(picture: Path, *arguments: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """Run the example; modules are looked for in the directory `first` before all others."""
    path = ":".join([first or str(ROOT), str(ROOT), *sys.path])
    return subprocess.run(
        [sys.executable, "examples/coordinates.py", "--picture", str(picture), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_model_gives_a_table_and_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "map.png"

    done = run(picture, "--nodes", "40", "--rounds", "60")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 nodes, 780 pairs, 60 pings per node\n")
    errors = dict(re.findall(r"^(default|serf) +([\d.]+)%", done.stdout, re.MULTILINE))
    assert float(errors["default"]) < float(errors["serf"]) < 60.0
    assert done.stdout.endswith(f"picture: {picture}\n")
    assert picture.read_bytes().startswith(PNG)


def test_without_matplotlib_the_table_is_printed_and_the_extra_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')\n")

    done = run(tmp_path / "map.png", "--nodes", "2", "--rounds", "1", first=str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    *_, default, serf, last = done.stdout.splitlines()
    assert (default.split()[0], serf.split()[0]) == ("default", "serf")
    assert last == "no picture: matplotlib is missing, install the extra: pip install '.[examples]'"


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    for picture in (tmp_path / "map.unknown", tmp_path / "nowhere" / "map.png"):
        done = run(picture, "--nodes", "5", "--rounds", "1")

        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("no picture: ")


def test_a_measured_matrix_is_taken(tmp_path: Path) -> None:
    if not (scenarios.DATA / scenarios.FIXTURE).exists():
        pytest.skip(f"{scenarios.FIXTURE} is not in ../shared/data")

    done = run(
        tmp_path / "map.png", "--rounds", "60", "--matrix", str(scenarios.DATA / scenarios.FIXTURE)
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("98 nodes, 4753 pairs")


def test_arguments_without_sense_are_refused(tmp_path: Path) -> None:
    assert run(tmp_path / "map.png", "--nodes", "1").returncode == 2
