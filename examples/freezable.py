"""Freeze a member inside a living process, as SIGSTOP freezes a process of its own.

A wrapper that obeys the machine's contract itself, so that any driver runs it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memberlist import Address, Memberlist

#: Inputs that wait while a member is frozen; a kernel's buffers have an end too.
WAITING_MAX = 1000


class Freezable:
    """A machine that can be frozen as SIGSTOP freezes a process, under the same contract.

    Whatever comes in meanwhile waits, as it would in the kernel's buffers, and no timer fires.
    """

    def __init__(self, machine: Memberlist) -> None:
        self.machine = machine
        self.is_frozen = False
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def poll(self) -> object | None:
        """Pop the oldest output; none while frozen."""
        return None if self.is_frozen else self.machine.poll()

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due; never while frozen."""
        return None if self.is_frozen else self.machine.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._input(self.machine.handle_timeout, now=now)

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one packet."""
        self._input(self.machine.receive_datagram, data, source, now=now)

    def stream_accepted(self, source: Address, now: float) -> int:
        """Take a connection, which a kernel accepts for a frozen process too."""
        return self.machine.stream_accepted(source, now)

    def stream_opened(self, stream: int, now: float) -> None:
        """Learn that a stream is open."""
        self._input(self.machine.stream_opened, stream, now=now)

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        """Take bytes of a stream."""
        self._input(self.machine.stream_received, stream, data, now=now)

    def stream_closed(self, stream: int, now: float) -> None:
        """Learn of the end of a stream."""
        self._input(self.machine.stream_closed, stream, now=now)

    def freeze(self, _: float) -> None:
        """Stop."""
        self.is_frozen = True

    def thaw(self, now: float) -> None:
        """Go on: late timers first, as in a real process's loop, then what has waited."""
        self.is_frozen = False
        self.machine.handle_timeout(now)
        waiting, self._waiting = self._waiting, []
        for method, args in waiting:
            method(*args, now)

    def _input(self, method: Callable[..., None], *args: Any, now: float) -> None:
        if not self.is_frozen:
            method(*args, now)
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append((method, args))
