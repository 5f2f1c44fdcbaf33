"""Turn what many members report into one story that a person can follow.

Each member tells of the same thing at its own time: the first report makes a line, and the last
one says how long the news took. Knows nothing of sockets.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence

from memberlist import (
    AccusationRefuted,
    Address,
    Evidence,
    HealthChanged,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    MergeRefused,
    NameConflict,
    NodeRefused,
    PacketRejected,
    StreamRejected,
    SuspicionConfirmed,
)


class Timeline:
    """Print the events of all members, each piece of news once.

    Args:
        clock: Seconds since the beginning of the story.
        audience: Names of the members of ours that are up, to tell when all of them know.
    """

    def __init__(self, clock: Callable[[], float], audience: Callable[[], Iterable[str]]) -> None:
        self._clock = clock
        self._audience = audience
        self.is_over = False  # once all leave, only what is done is told
        self._news: dict[tuple[str, str, int], tuple[float, set[str]]] = {}

    def say(self, text: str) -> None:
        """Print one line with its time."""
        try:
            print(f"{self._clock():7.2f}  {text}", flush=True)
        except BrokenPipeError:  # nobody reads any more (`| head`): end as on a signal
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)

    def act(self, text: str) -> None:
        """Print what is done to a member, so that it stands out from what others notice."""
        self.say(f"--- {text}")

    def note(self, observer: str, event: object) -> None:
        """Take one event of one member."""
        if self.is_over:
            return
        match event:
            case MemberJoined(node):
                self._tell(observer, "joined", node.name, node.incarnation, f"seen by {observer}")
            case MemberSuspected(node, evidence):
                why = suspicion(observer, evidence)
                self._tell(observer, "SUSPECTED", node.name, node.incarnation, why)
            case SuspicionConfirmed(node, evidence):
                confirmed = f"by {evidence.confirmed_by[-1]}, says {observer}"
                self._tell(observer, "suspicion confirmed", node.name, node.incarnation, confirmed)
            case MemberRefuted(node, suspected_for):
                heard = f"alive after all, {observer} hears ({suspected_for:.1f} s under suspicion)"
                self._tell(observer, "refuted", node.name, node.incarnation, heard)
            case MemberFailed(node, declared_by, evidence):
                why = failure(declared_by, evidence)
                self._tell(observer, "FAILED", node.name, node.incarnation, why)
            case MemberLeft(node):
                self._tell(observer, "left", node.name, node.incarnation, "on purpose")
            case MemberUpdated(node):
                self._tell(observer, "updated", node.name, node.incarnation, f"seen by {observer}")
            case _:
                self._note_other(observer, event)

    def _note_other(self, observer: str, event: object) -> None:
        match event:
            case AccusationRefuted(accuser, claim, incarnation):
                words = f"objects to {accuser}: not {claim}; now in incarnation {incarnation}"
                self.say(f"{observer} {words}")
            case HealthChanged(score, previous, cause) if score > previous:
                self.say(f"{observer} doubts itself: health score {score} ({cause})")
            case NameConflict(existing, other):
                claim = f"{place(other.address)} claims it too; members need different names"
                self._tell(observer, "name conflict", existing.name, 0, claim)
            case NodeRefused(node, reason):
                self._tell(observer, "refused", node.name, 0, reason)
            case MergeRefused(source, reason):
                self.say(f"{observer} did not merge the state of {place(source)}: {reason}")
            case PacketRejected(source, reason):
                self._tell(observer, "rejected", f"a packet from {source[0]}", 0, reason)
            case StreamRejected(_, source, reason):
                self._tell(observer, "failed", f"a stream with {place(source)}", 0, reason)

    def _tell(self, observer: str, news: str, name: str, incarnation: int, why: str) -> None:
        """Print a piece of news at its first report, and how long it took to reach everybody."""
        key = (news, name, incarnation)
        now = self._clock()
        if key not in self._news:
            self._news[key] = (now, set())
            self.say(f"{name} {news}: {why}")
        since, informed = self._news[key]
        informed.add(observer)
        audience = set(self._audience()) - {name}
        if news in ("FAILED", "left") and len(audience) > 1 and informed >= audience:
            self.say(
                f"    all {len(audience)} others know that {name} {news} ({now - since:.2f} s)"
            )
            self._news[key] = (since, set())  # said once


def place(address: Address) -> str:
    """Return an address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def suspicion(observer: str, evidence: Evidence) -> str:
    """Say why a member is suspected."""
    limit = f"{evidence.timeout:.0f} s to object"
    probe = evidence.probe
    if probe is None:
        return f"{evidence.suspected_by} says so; {observer} gives it {limit}"
    ways = ["a ping"]
    if probe.helpers:
        ways.append(f"pings through {', '.join(probe.helpers)}")
    if probe.stream != "off":
        ways.append("a stream ping")
    *first, last = ways
    tried = f"{', '.join(first)} and {last}" if first else last
    return f"{observer} sent {tried} in vain; {limit}"


def failure(declared_by: str, evidence: Evidence | None) -> str:
    """Say on what grounds a member was declared dead."""
    if evidence is None:
        return f"declared by {declared_by}"
    others = f", confirmed by {', '.join(evidence.confirmed_by)}" if evidence.confirmed_by else ""
    return f"declared by {declared_by}; suspected by {evidence.suspected_by}{others}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under heads, in columns as wide as they need; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]

    def line(texts: Sequence[str], values: Sequence[object]) -> str:
        parts = (
            text.rjust(width) if isinstance(value, (int, float)) else text.ljust(width)
            for text, value, width in zip(texts, values, widths, strict=True)
        )
        return "  ".join(parts).rstrip()

    sample = rows[0] if rows else heads
    rule = ["-" * width for width in widths]
    body = [line(texts, row) for texts, row in zip(cells, rows, strict=True)]
    return "\n".join([line(list(heads), sample), line(rule, heads), *body])
