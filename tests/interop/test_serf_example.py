"""The main job, as a guest in a real Serf pool."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from tests.interop.agents import REPOSITORY, text, until
from tests.interop.conftest import StartAgent

pytestmark = pytest.mark.interop

KEY = bytes(range(16))


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "AES-128"])
def test_the_main_job_is_a_good_guest(key: bytes | None, agent: StartAgent) -> None:
    """Its members show as alive with tags, then as left; the agent has nothing to complain of."""
    them = agent("them", key=key)
    script = str(REPOSITORY / "examples" / "cluster.py")
    line = [sys.executable, script, "--members=2", f"--join={text(them.address)}"]
    line += ["--duration=4", *([] if key is None else [f"--key={base64.b64encode(key).decode()}"])]

    guest = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    ours = ("shoal-1", "shoal-2")
    until(lambda: all(them.status(name) == "alive" for name in ours))
    assert all(them.members()[name]["tags"] == {"role": "shoal"} for name in ours)
    output, _ = guest.communicate(timeout=60)

    assert guest.returncode == 0, output
    assert "others in the pool: them (alive)" in output
    up = [row.split()[0] for row in output.splitlines() if row.endswith("  left")]
    until(lambda: all(them.status(name) == "left" for name in up))
    errors = [line for line in them.written().splitlines() if "[ERR]" in line]
    assert all("Failed fallback ping" in line for line in errors), errors  # of frozen members
