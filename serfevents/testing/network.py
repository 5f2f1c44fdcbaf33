"""The network kernel: machines by name, a clock, faulty links and one queue.

Owns time, links and pauses. Knows the contract of a machine and nothing else: not Serf.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any

# --- network kernel

Action = Callable[..., object]


class Network:
    """Machines by name, a clock, faulty links and one queue of what is to happen.

    A machine is anything with `poll`, `next_timeout`, `handle_timeout` and inputs that are called
    by their names, `now` last. Deadlines are armed lazily: the queue holds an entry at or before
    each one, and nothing ever looks at all machines. A subclass says in `route` what an output
    means, and may look at a machine after each of its inputs in `stepped`.

    Attributes:
        rng: The only source of chance; every machine's own is seeded from it.
        now: Virtual seconds since the start.
        machines: Those that run, paused ones included.
        latency: Least and greatest seconds that a packet takes.
        buffer: Inputs that wait for a paused machine; more are lost, as in a socket's buffer.
        watched: Whether `stepped` is called.
    """

    def __init__(self, seed: int, *, latency: tuple[float, float], buffer: int) -> None:
        self.rng = Random(seed)
        self._random = self.rng.random
        self.now = 0.0
        self.machines: dict[str, Any] = {}
        self.latency = latency
        self.buffer = buffer
        self.watched = True
        self._loss = self._duplication = self._reordering = 0.0
        self._cuts: set[tuple[str, str]] = set()
        self._sides: dict[str, int] = {}
        self._slow: dict[str, float] = {}
        self._faulty = False  # Invariant: True where any of the six above, or a pause, is set.
        # (time, counter, action, name, what, args): the counter decides between equal times.
        self._queue: list[tuple[float, int, Action, str, Any, Any]] = []
        self._count = 0
        # Invariant: no entry of the queue for this machine's deadline is earlier than this.
        self._armed: dict[str, float] = {}
        self._held: dict[str, deque[tuple[Action, tuple[Any, ...]]]] = {}
        self._stopped: set[str] = set()

    def route(self, name: str, output: Any) -> None:
        """Do what an output of `name` asks for."""
        raise NotImplementedError

    def stepped(self, name: str, machine: Any) -> None:
        """Look at a machine after one of its inputs."""

    def disturb(self, *names: str) -> None:
        """Take note of who suffers a fault of its own from now on."""

    def conditions(
        self,
        *,
        latency: tuple[float, float] | None = None,
        loss: float | None = None,
        duplication: float | None = None,
        reordering: float | None = None,
    ) -> None:
        """Change what every link does from now on; None leaves a condition as it is.

        Args:
            latency: Least and greatest seconds from sending to arrival.
            loss: Probability that a packet vanishes.
            duplication: Probability that it arrives twice.
            reordering: Probability that it takes up to ten times as long.
        """
        self.latency = self.latency if latency is None else latency
        self._loss = self._loss if loss is None else loss
        self._duplication = self._duplication if duplication is None else duplication
        self._reordering = self._reordering if reordering is None else reordering
        self._judge()

    def cut(self, source: str, to: str) -> None:
        """Let nothing more through from `source` to `to`; the other way stays as it is."""
        self._cuts.add((source, to))
        self.disturb(source, to)
        self._judge()

    def partition(self, *groups: Iterable[str]) -> None:
        """Let members of different groups hear nothing of each other; the rest is one group."""
        self.disturb(*self.machines)
        self._sides = {name: side for side, group in enumerate(groups, 1) for name in group}
        self._judge()

    def heal(self) -> None:
        """End every cut and partition."""
        self._cuts.clear()
        self._sides.clear()
        self._judge()

    def slow(self, name: str, seconds: float) -> None:
        """Let all that `name` sends or receives take `seconds` longer; 0 ends that."""
        self._slow[name] = seconds
        self.disturb(name)
        self._slow = {each: extra for each, extra in self._slow.items() if extra > 0}
        self._judge()

    def pause(self, name: str, *, timers: bool = False) -> None:
        """Stop a machine: inputs wait for it, as far as `buffer` goes.

        Args:
            name: Whom; pausing it again changes nothing.
            timers: Whether its timers run on while packets wait in both directions: Lifeguard's
                anomaly. Otherwise it is a stopped process, which wakes to a late timeout.
        """
        if name not in self._held:
            self._held[name] = deque()
            self.disturb(name)
            if not timers:
                self._stopped.add(name)
            self._judge()

    def resume(self, name: str) -> None:
        """Let a paused machine go on: first its timers, then what waited, in order."""
        held = self._held.pop(name, ())
        self._judge()
        if name in self._stopped:
            self._stopped.remove(name)
            self.give(name, "handle_timeout", ())
        for function, args in held:
            function(*args)

    def held(self, name: str, function: Action, *args: Any, lossy: bool = True) -> bool:
        """Return whether `name` is paused; the call waits for its return, if there is room.

        Without `lossy` there always is: a stream has flow control, a datagram has not.
        """
        waiting = self._held.get(name)
        if waiting is None:
            return False
        if not lossy or len(waiting) < self.buffer:
            waiting.append((function, args))
        return True

    def reaches(self, source: str, to: str) -> bool:
        """Return whether no cut and no partition lies between two machines, one way."""
        sides = self._sides
        return (source, to) not in self._cuts and sides.get(source, 0) == sides.get(to, 0)

    def loses(self) -> bool:
        """Return whether a packet that is sent now vanishes by chance."""
        return self._loss > 0.0 and self.rng.random() < self._loss

    def lag(self, source: str, to: str) -> float:
        """Return how long a packet takes."""
        low, high = self.latency
        seconds = low + (high - low) * self._random()
        if self._faulty:
            if self._reordering and self._random() < self._reordering:
                seconds += 9 * high * self._random()
            seconds += self._slow.get(source, 0.0) + self._slow.get(to, 0.0)
        return seconds

    def at(
        self, time: float, action: Action, name: str, what: Any = None, args: Any = None
    ) -> None:
        """Call `action(name, what, args)` at `time`."""
        self._count += 1
        heappush(self._queue, (time, self._count, action, name, what, args))

    def send(self, source: str, to: str, method: str, args: tuple[Any, ...]) -> None:
        """Give `to` an input after the link's latency: once, or as often as the faults want."""
        copies = 1
        if self._faulty:
            if self.held(source, self.send, source, to, method, args):
                return
            if not self.reaches(source, to) or self.loses():
                return
            if self._duplication and self.rng.random() < self._duplication:
                copies = 2
        for _ in range(copies):
            self._count += 1
            at = self.now + self.lag(source, to)
            heappush(self._queue, (at, self._count, self.give, to, method, args))

    def enter(self, name: str, machine: Any) -> None:
        """Let a machine run under a name that no other has."""
        assert name not in self.machines, f"{name} runs already"
        self.machines[name] = machine
        self._armed[name] = inf
        self.pump(name)

    def remove(self, name: str) -> Any:
        """Take a machine away at once, with all that waited for it, and return it."""
        self._held.pop(name, None)
        self._stopped.discard(name)
        del self._armed[name]
        return self.machines.pop(name)

    def give(self, name: str, method: str, args: tuple[Any, ...], **options: Any) -> Any:
        """Give a machine one input now and route what it puts out; None if it is not there."""
        if self._held and self.held(name, lambda: self.give(name, method, args, **options)):
            return None
        machine = self.machines.get(name)
        if machine is None:
            return None
        handle = getattr(machine, method)(*args, self.now, **options)
        self.pump(name)
        return handle

    def pump(self, name: str) -> None:
        """Route what a machine has put out and arm its deadline."""
        machine = self.machines[name]
        while (output := machine.poll()) is not None:
            self.route(name, output)
        self._arm(name, machine)
        if self.watched:
            self.stepped(name, machine)

    def _arm(self, name: str, machine: Any) -> None:
        due = machine.next_timeout()
        if due is not None and due < self._armed.get(name, -inf):
            self._armed[name] = due = max(due, self.now)
            self._count += 1
            heappush(self._queue, (due, self._count, self._expire, name, due, None))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, action, name, what, args = heappop(queue)
            action(name, what, args)
        self.now = end

    def run_until(
        self, condition: Callable[[], bool], within: float, *, every: float = 0.1
    ) -> bool:
        """Let virtual time pass until `condition()` holds; it is asked `every` so many seconds.

        Returns:
            Whether it came to hold `within` so many seconds.
        """
        end = self.now + within
        while not (holds := condition()) and self.now < end:
            self.run(min(every, end - self.now))
        return holds

    def _expire(self, name: str, at: float, _: None) -> None:
        if self._armed.get(name) != at:  # An earlier one took its place, or the machine is gone.
            return
        self._armed[name] = inf
        if name in self._stopped:
            return
        machine = self.machines[name]
        due = machine.next_timeout()
        if due is not None and due <= at:
            machine.handle_timeout(at)
            self.pump(name)
        else:  # It moved away since it was armed.
            self._arm(name, machine)

    def _judge(self) -> None:
        chances = self._loss or self._duplication or self._reordering
        self._faulty = bool(chances or self._cuts or self._sides or self._slow or self._held)


# --- end of the network kernel
