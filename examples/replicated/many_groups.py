"""Many Raft groups in one process: one frame to each server carries the heartbeats of all.

Owns which groups have something to say and when the next one is due. A group knows nothing of
the others; what makes their heartbeats meet in one frame is two habits of the driver:

- it wakes on a grid (`grain`), because a timeout that is handled late is handled all the same.
  Periods begin anew from the time of handling, so groups that were due together stay so;
- it gathers outputs over all groups that had an input, and packs messages by their receiver
  (`raft.codec.encode_batch`).

Groups that sleep (`Raft.quiesce`) have no timer and send nothing. As nobody hears a sleeping
leader, `unreachable` has to tell of a dead server: it wakes those that it led.

Source: CockroachDB, "Scaling Raft" (2015), on coalesced heartbeats and quiescence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

from raft import Message, Output, Raft, SendMessage
from raft.codec import decode_batch, encode_batch

#: Hears of every output that is no message: the group, and the output.
OnOutput: TypeAlias = Callable[[str, Output], None]


class Groups:
    """The groups that one server takes part in.

    Args:
        on_output: Writes what is to be written, and applies what is committed.
        grain: Seconds between two times at which timers are handled; a fraction of the heartbeat
            interval. Election timeouts become longer by up to that much.
    """

    def __init__(self, on_output: OnOutput, *, grain: float = 0.025) -> None:
        self._on_output = on_output
        self._grain = grain
        self._machines: dict[str, Raft] = {}
        # Groups that had an input since their outputs were fetched; in order, each once.
        self._stirred: dict[str, None] = {}
        # Invariant: no group is due before its entry here, which may be out of date.
        self._due: list[tuple[float, str]] = []
        self._armed: dict[str, float] = {}

    def add(self, group: str, machine: Raft) -> None:
        """Take on a group."""
        self._machines[group] = machine
        self._stirred[group] = None

    def machine(self, group: str) -> Raft:
        """Return a group's machine, for an input: `frames` will fetch what follows from it."""
        self._stirred[group] = None
        return self._machines[group]

    def receive(self, data: bytes, now: float) -> None:
        """Take a frame of a peer; messages for groups that are not here are passed over.

        Raises:
            raft.codec.DecodeError: It is none.
        """
        for group, message in decode_batch(data):
            if group in self._machines:
                self.machine(group).receive(message, now)

    def unreachable(self, peer: str, now: float) -> None:
        """Note in all groups that a server can't be reached: those that it led wake."""
        for group in self._machines:
            self.machine(group).unreachable(peer, now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, on the grid, or None. Call `frames` first."""
        due = self._due
        while due and self._armed.get(due[0][1]) != due[0][0]:
            heappop(due)
        if not due:
            return None
        at = due[0][0]
        return max(at, math.ceil(at / self._grain) * self._grain)  # rounding must not be early

    def handle_timeout(self, now: float) -> None:
        """Let every group that is due do what it has to."""
        due = self._due
        while due and due[0][0] <= now:
            at, group = heappop(due)
            if self._armed.get(group) == at:
                del self._armed[group]
                self.machine(group).handle_timeout(now)

    def frames(self) -> dict[str, bytes]:
        """Return one frame for each server that there are messages for.

        Outputs that are no messages go to `on_output`; what that begins is included.
        """
        outgoing: dict[str, list[tuple[str, Message]]] = {}
        while self._stirred:
            group = next(iter(self._stirred))
            del self._stirred[group]
            machine = self._machines[group]
            while (output := machine.poll()) is not None:
                if isinstance(output, SendMessage):
                    outgoing.setdefault(output.to, []).append((group, output.message))
                else:
                    self._on_output(group, output)
            self._arm(group, machine)
        return {to: encode_batch(messages) for to, messages in outgoing.items()}

    def _arm(self, group: str, machine: Raft) -> None:
        """Note when a group is due."""
        at = machine.next_timeout()
        if at is None:
            self._armed.pop(group, None)
        elif at != self._armed.get(group):
            self._armed[group] = at
            heappush(self._due, (at, group))
