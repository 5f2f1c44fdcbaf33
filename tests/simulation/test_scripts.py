"""Transcripts: a command, a line of dashes, and everything that happened.

They are documentation that is checked. `--rewrite` writes them anew: commit the difference only
if you understand what caused it. Addresses are shown as names. The commands:

    members N seed=S [field=value ...]   start N members that know each other
    run SECONDS [all|events|quiet]       let time pass; show effects and events, or less
    view NAME                            whom a member knows, and its health score
    crash|pause|resume|leave|rejoin NAME, restart NAME, join NAME SEED, meta NAME TEXT
    cut FROM TO, partition NAME ..., heal
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from memberlist import CloseStream, Config, OpenStream, SendDatagram, SendStream
from memberlist.testing import Cluster, describe
from tests.simulation.transcripts import replay

pytestmark = pytest.mark.simulation

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.txt"))
EFFECTS = (SendDatagram, OpenStream, SendStream, CloseStream)


class Scribe(Cluster):
    """A cluster that writes down what its members put out."""

    show = "quiet"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lines: list[str] = []

    def route(self, name: str, output: Any) -> None:
        if self.show == "all" or (self.show == "events" and type(output) not in EFFECTS):
            self.lines.append(f"{self.now:8.4f} {name} {self.named(describe(output))}")
        super().route(name, output)

    def named(self, text: str) -> str:
        """Return `text` with names in place of addresses."""
        names = {f"{host}:{port}": name for (host, port), name in self._names.items()}
        return re.sub(r"\d+\.\d+\.\d+\.\d+:\d+", lambda m: names.get(m[0], m[0]), text)


class Runner:
    """Runs the commands of one script."""

    def __init__(self) -> None:
        self.cluster: Scribe | None = None

    def do(self, line: str) -> list[str]:
        """Run one command and return what it shows."""
        verb, *words = line.split()
        if verb == "members":
            return self.members(*words)
        cluster = self.cluster
        assert cluster is not None, "a script begins with `members`"
        cluster.lines = []
        cluster.show = words[1] if verb == "run" and words[1:] else "all"
        if verb == "run":
            cluster.run(float(words[0]))
        elif verb == "view":
            machine = cluster.machine(words[0])
            lines = [cluster.named(describe(node)) for node in machine.nodes]
            return [*lines, f"health {machine.health}"]
        elif verb in ("leave", "rejoin"):
            cluster.call(words[0], verb)
        elif verb == "meta":
            cluster.call(words[0], "update_meta", words[1].encode())
        elif verb == "partition":
            cluster.partition(words)
        else:
            assert verb in ("crash", "restart", "join", "pause", "resume", "cut", "heal"), verb
            getattr(cluster, verb)(*words)
        return cluster.lines

    def members(self, count: str, *options: str) -> list[str]:
        """Start a cluster; options are `seed` and fields of the configuration."""
        fields = dict(option.split("=") for option in options)
        values = {name: ast.literal_eval(value) for name, value in fields.items()}
        seed = values.pop("seed")
        self.cluster = Scribe(seed=seed, config=Config.lan(**values))
        return [" ".join(self.cluster.start(int(count)))]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, rewrite: bool) -> None:
    expected = path.read_text()
    actual = replay(expected, Runner().do)
    if rewrite:
        path.write_text(actual)

    assert actual == path.read_text()


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 5
