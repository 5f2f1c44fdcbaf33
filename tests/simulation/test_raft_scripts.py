"""Transcripts that teach Raft: a command, a line of dashes, and everything that happened.

They are documentation that is checked. `--rewrite` writes them anew: commit the difference only
if you understand what caused it.

Every message takes 10 ms and every sync of a disk 1 ms unless a script says otherwise. A line
shows when, who and what was put out; of a message when it was sent, from whom to whom. A message
to someone who can't be reached, or who is down, ends in `(lost)`. `persisted` is the one input
that is shown: what waited for the disk comes right after it. The commands:

    servers N seed=S [latency=(L,H)] [sync=(L,H)] [field=value ...]   found a cluster of N
    add NAME                                 start one that belongs to no cluster yet
    run SECONDS [all|exchange|events|quiet]  let time pass; `exchange` leaves out heartbeats
    elect NAME                               let time pass, quietly, until it leads
    status [NAME ...], log [NAME ...]        what servers know, what is in their logs
    propose TEXT ... [at=NAME]               at the leader, or elsewhere
    change [+NAME] [learner:NAME] [-NAME]    a change of the membership, at the leader
    campaign NAME, transfer FROM TO, read NAME [lease], compact NAME
    crash|restart NAME, cut FROM TO, partition NAME ... [| NAME ...], heal
    sync NAME LEAST MOST                     how long syncs of a disk take
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from raft import AddLearner, AddVoter, Config, Persist, RaftError, RemoveMember, SendMessage
from raft.messages import Heartbeat, HeartbeatResponse
from raft.testing import Cluster, describe
from tests.simulation.transcripts import replay

pytestmark = pytest.mark.simulation

SCRIPTS = sorted(Path(__file__).with_name("raft_scripts").glob("*.txt"))
EFFECTS = (Persist, SendMessage)
HEARTBEATS = (Heartbeat, HeartbeatResponse)
CHANGES: dict[str, type[AddVoter | AddLearner | RemoveMember]] = {
    "+": AddVoter,
    "learner:": AddLearner,
    "-": RemoveMember,
}


def values(words: list[str]) -> dict[str, Any]:
    """Return what `field=value ...` says."""
    fields = dict(word.split("=") for word in words)
    return {name: ast.literal_eval(value) for name, value in fields.items()}


class Scribe(Cluster):
    """A cluster that writes down what its servers put out."""

    show = "quiet"

    def __init__(self, **options: Any) -> None:
        super().__init__(on_input=self.entered, on_output=self.left, **options)
        self.lines: list[str] = []

    def entered(self, name: str, method: str, args: tuple[Any, ...]) -> None:
        """Show what became durable."""
        if method == "persisted" and self.show in ("all", "exchange"):
            self.lines.append(f"{self.now:8.4f} {name} persisted {args[0]}")

    def left(self, name: str, output: Any) -> None:
        """Show an output."""
        if self.show == "quiet" or (self.show == "events" and isinstance(output, EFFECTS)):
            return
        shown = f"{name} {describe(output)}"
        if isinstance(output, SendMessage):
            message = output.message
            if self.show == "exchange" and isinstance(message, HEARTBEATS):
                return
            lost = message.to not in self.machines or not self.reaches(name, message.to)
            shown = describe(message) + (" (lost)" if lost else "")
        self.lines.append(f"{self.now:8.4f} {shown}")


class Runner:
    """Runs the commands of one script."""

    def __init__(self) -> None:
        self.made: Scribe | None = None

    @property
    def cluster(self) -> Scribe:
        assert self.made is not None, "a script begins with `servers`"
        return self.made

    def do(self, line: str) -> list[str]:
        """Run one command and return what it shows."""
        verb, *words = line.split()
        if verb != "servers":
            self.cluster.lines = []
            self.cluster.show = words[1] if verb == "run" and words[1:] else "all"
        try:
            shown: list[str] | None = getattr(self, verb)(*words)
        except RaftError as refused:
            shown = [f"{type(refused).__name__}: {refused}"]
        return self.cluster.lines + (shown or [])

    # --- servers

    def servers(self, count: str, *words: str) -> list[str]:
        given = {"latency": (0.01, 0.01), "sync": (0.001, 0.001), **values(list(words))}
        options = {name: given.pop(name) for name in ("seed", "latency", "sync")}
        self.made = Scribe(config=Config(**given), **options)
        return [" ".join(self.made.start(int(count)))]

    def add(self, name: str) -> None:
        self.cluster.add(name)

    def status(self, *names: str) -> list[str]:
        shown = []
        for name in names or self.cluster.machines:
            one = self.cluster.machine(name).status()
            what = f"{one.role.value} term={one.term} voted_for={one.voted_for}"
            where = f"durable={one.durable_index} commit={one.commit_index}"
            shown.append(
                f"{name} {what} leader={one.leader} log={one.first_index}..{one.last_index} {where}"
            )
        return shown

    def log(self, *names: str) -> list[str]:
        """Show the term of each entry, and what is committed before the bar."""
        shown = []
        for name in names or self.cluster.machines:
            machine = self.cluster.machine(name)
            first, commit = machine.first_index, machine.commit_index
            terms = [str(machine.term_at(index)) for index in range(first, machine.last_index + 1)]
            terms.insert(commit + 1 - first, "|")
            shown.append(f"{name} from {first}: {' '.join(terms)}")
        return shown

    # --- what users ask for

    def propose(self, *words: str) -> list[str]:
        at = next((word[3:] for word in words if word.startswith("at=")), None)
        payloads = [word.encode() for word in words if not word.startswith("at=")]
        ids = self.cluster.propose(*payloads, at=at)
        return [f"accepted as {describe_ids(ids)}"]

    def change(self, *words: str) -> list[str]:
        changes: list[AddVoter | AddLearner | RemoveMember] = [
            kind(word.removeprefix(sign))
            for word in words
            for sign, kind in CHANGES.items()
            if word.startswith(sign)
        ]
        assert len(changes) == len(words), words
        found = self.cluster.change(*changes)
        return [f"accepted as {found.term}/{found.index}"]

    def read(self, name: str, *lease: str) -> list[str]:
        return [f"read {self.cluster.read(name, lease=bool(lease))}"]

    def campaign(self, name: str) -> None:
        self.cluster.call(name, "campaign")

    def transfer(self, source: str, to: str) -> None:
        self.cluster.call(source, "transfer", to)

    def elect(self, name: str) -> None:
        self.cluster.show = "quiet"
        self.cluster.elect(name)

    def compact(self, name: str) -> list[str]:
        return [f"snapshot of 1..{self.cluster.compact(name)}"]

    # --- time and faults

    def run(self, seconds: str, _: str = "") -> None:
        self.cluster.run(float(seconds))

    def crash(self, name: str) -> None:
        self.cluster.crash(name)

    def restart(self, name: str) -> None:
        self.cluster.restart(name)

    def cut(self, source: str, to: str) -> None:
        self.cluster.cut(source, to)

    def partition(self, *words: str) -> None:
        self.cluster.partition(*(group.split() for group in " ".join(words).split("|")))

    def heal(self) -> None:
        self.cluster.heal()

    def sync(self, name: str, least: str, most: str) -> None:
        self.cluster.set_sync(name, (float(least), float(most)))


def describe_ids(ids: Any) -> str:
    """Return where proposals stand."""
    first = f"{ids[0].term}/{ids[0].index}"
    return first if len(ids) == 1 else f"{first}..{ids[-1].index}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, rewrite: bool) -> None:
    expected = path.read_text()
    actual = replay(expected, Runner().do)
    if rewrite:
        path.write_text(actual)

    assert actual == path.read_text()


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 10
