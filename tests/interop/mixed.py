"""Agents of ours beside theirs: the same process to a test, whoever wrote it.

`OurAgent` is examples/serf_agent.py under the flags and the configuration file that a real agent
is given, driven by the same `serf` command. Where a test takes a kind of agent, it is run with
both: what it expects of ours is thereby known to be what theirs does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.agents import REPOSITORY, Agent

SCRIPT = REPOSITORY / "examples" / "serf_agent.py"


class OurAgent(Agent):
    """One process of examples/serf_agent.py."""

    program: ClassVar[tuple[str, ...]] = (sys.executable, str(SCRIPT))


KINDS: dict[str, type[Agent]] = {"theirs": Agent, "ours": OurAgent}


def handler(directory: Path, name: str, body: str) -> str:
    """Write an event handler and return its path."""
    file = directory / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def recorder(directory: Path, name: str) -> tuple[str, Path]:
    """Return a handler that appends each event as a line, and the file that it appends to."""
    out = directory / f"{name}.events"
    out.touch()
    line = 'printf "%s %s %s\\n" "$SERF_EVENT" "$SERF_USER_EVENT$SERF_QUERY_NAME"'
    return handler(directory, f"{name}.sh", f'{line} "$(tr "\\n\\t" ";," | cat)" >> {out}'), out


def lines(file: Path) -> list[str]:
    """Return the lines that a recorder has written so far."""
    return file.read_text().splitlines()


def output(answer: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, which must have worked."""
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def finish(process: subprocess.Popen[Any], within: float) -> int:
    """Wait for a process to end; return its exit code."""
    return process.wait(within)
