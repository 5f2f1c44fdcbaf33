"""Reads the data-driven test files of etcd-io/raft, which stay where they are.

A file is a list of cases: a line `command key=value key=(v1,v2)`, lines of input, `----`, and the
expected output until the next blank line; `#` starts a comment.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "etcd-raft"

ARGUMENT = re.compile(r"(\w[\w-]*)(?:=(\([^)]*\)|\S+))?")


@attrs.frozen
class Case:
    """One case of a file.

    Attributes:
        line: Where its command stands, from 1.
        command: The first word.
        arguments: Values by key, each a list; of a flag, an empty one.
        input: The lines between the command and the dashes.
        expected: The output, with its line ends.
    """

    line: int
    command: str
    arguments: dict[str, list[str]]
    input: list[str]
    expected: str


def cases(folder: str, name: str) -> list[Case]:
    """Return the cases of one file; skips the test that asks if the file is not there."""
    path = FOLDER / folder / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"etcd-raft's data is not beside the repository: {folder}/{name}.txt")
    found, lines = [], [*enumerate(path.read_text().splitlines(), start=1)]
    while lines:
        number, line = lines.pop(0)
        if not line.strip() or line.startswith("#"):
            continue
        command, _, rest = line.partition(" ")
        arguments = {
            match[1]: [part.strip() for part in match[2].strip("()").split(",")] if match[2] else []
            for match in ARGUMENT.finditer(rest)
        }
        given: list[str] = []
        while (text := lines.pop(0)[1]) != "----":
            given.append(text)
        expected = ""
        while lines and (text := lines.pop(0)[1]):
            expected += f"{text}\n"
        found.append(Case(number, command, arguments, given, expected))
    return found
