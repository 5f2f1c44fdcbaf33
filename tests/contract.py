"""The contract of the README as executable rules: one battery for every machine.

What it owns: the `Machine` protocol, logs of inputs (`Call`), their replay (`Battery.trace`), one
checker for each rule that can be seen from outside, and the run under several hash seeds.
What it must never know: any package. A machine plugs in with a few lines:

    BATTERY = Battery(
        make=lambda rng, now: Memberlist("a", ADDRESS, Config.lan(), rng=rng, now=now),
        refusals=(MemberlistError,),
        misuse=(call("broadcast", b"x" * 10_000),),
        ending=call("leave"),
    )

    @given(logs(PACKETS, COMMANDS))          # tests/strategies.py
    def test_it_obeys_the_contract(log: list[Call]) -> None:
        BATTERY.check(log)

    def trace() -> list[Step]:
        return BATTERY.trace(LOG)

    def test_it_is_the_same_under_any_hash_seed() -> None:
        assert_same_under_hash_seeds(trace)

The README's ten rules in seventeen, as they are cited here and in tests:

    C1  inputs take `now` last; queries change nothing    C10 effects may fail
    C2  `poll` only pops, whenever it is called           C11 nothing leaves before its precondition
    C3  one owner; any input between any two polls        C12 hooks are pure
    C4  an older `now` counts as the newest seen          C13 peers can't make it raise
    C5  an early timeout changes nothing                  C14 misuse raises and changes nothing
    C6  a timeout on the dot moves the deadline on        C15 all queues and outputs are bounded
    C7  a late timeout is one round                       C16 outputs can't be changed
    C8  the same inputs give the same outputs             C17 over is over
    C9  effects and events share one queue, in order

Most rules are metamorphic: the same log is replayed with something added that must not matter
(queries, early timeouts, misuse, late polls), and the traces are compared.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

ROOT = Path(__file__).resolve().parent.parent

HASH_SEEDS = ("0", "1", "random")

# Timeouts fired at the end of each replay, so that a log also shows what it set in motion.
ROUNDS = 20

# Timeouts after which a machine that was told to end must have ended (C17).
ROUNDS_TO_END = 1_000

# Seconds. Long enough to miss every period a machine has; a machine that catches up by firing
# each missed period fails on its outputs instead of hanging the test.
LATENESS = 1_000.0

# Seconds. Callers may pass time since boot or since 1970: a deadline must still move there.
ORIGINS = (0.0, 1_700_000_000.0)


class Machine(Protocol):
    """What every machine has; its inputs, each with `now` last, come on top."""

    def poll(self) -> object | None:
        """Return the oldest output not yet fetched, or None."""

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None. Pure."""

    def handle_timeout(self, now: float) -> None:
        """Fire what is due at `now`."""


Make = Callable[[random.Random, float], Machine]


@attrs.frozen
class Call:
    """One input: `machine.method(*args, now, **options)`.

    Attributes:
        method: Name of the input.
        args: Positional arguments before `now`.
        now: Seconds after the start of the run. Logs may go back in time: see C4.
        options: What follows `now`, by keyword.
    """

    method: str
    args: tuple[object, ...] = ()
    now: float = 0.0
    options: Mapping[str, object] = attrs.field(factory=dict)


def call(method: str, *args: object, now: float = 0.0, **options: object) -> Call:
    """Return the input `method(*args, now, **options)`, written as it is called."""
    return Call(method, args, now, options)


@attrs.frozen
class Step:
    """What one input did, in words: comparable between runs, processes and machines.

    Attributes:
        method: The input, or `start` for the constructor.
        result: The handle it returned, or the refusal it raised.
        refused: Whether it raised.
        outputs: What was polled after it.
        deadline: `next_timeout()` after it, in seconds after the start of the run.
    """

    method: str
    result: str
    refused: bool
    outputs: tuple[str, ...]
    deadline: float | None


class ContractBroken(AssertionError):
    """A machine broke a rule of the contract; the message begins with its number."""


def require(rule: str, holds: bool, why: str) -> None:
    """Raise `ContractBroken` unless `holds`."""
    if not holds:
        raise ContractBroken(f"{rule}: {why}")


@attrs.frozen(kw_only=True)
class Battery:
    """The rules, and what has to be known about one machine to check them.

    Attributes:
        make: Builds a machine from an rng and the time of its start.
        refusals: What its commands may raise, besides ValueError and TypeError (C14).
        network: Prefixes of the inputs that carry what peers or drivers did: they never
            raise (C13).
        queries: Arguments for the queries that need some, by name. Queries without arguments and
            properties are found without help.
        misuse: Calls that are refused at any time, in any state.
        ending: The command that ends the machine, at once or after some timeouts (C17).
        revives: Commands that are legal after the end and begin anew.
        outputs_max: Most outputs that one input may cause (C15).
        renders: Whether outputs are built when they are popped, from the state of that moment
            ("Batching under C2"); late polls may then see fewer.
        describe: One stable line for an output, handle or query result.
    """

    make: Make
    refusals: tuple[type[Exception], ...] = ()
    network: tuple[str, ...] = ("receive", "stream_", "handle_timeout", "persisted")
    queries: Mapping[str, tuple[object, ...]] = attrs.field(factory=dict)
    misuse: Sequence[Call] = ()
    ending: Call | None = None
    revives: frozenset[str] = frozenset()
    outputs_max: int = 100
    renders: bool = False
    describe: Callable[[object], str] = repr

    def check(self, log: Sequence[Call]) -> None:
        """Hold the machine against every rule, over one log of inputs.

        Raises:
            ContractBroken: It broke one.
        """
        check_shape(self)
        log = in_order(log)
        expected = self.trace(log)
        for rule in RULES:
            rule(self, log, expected)

    def trace(self, log: Sequence[Call], *, seed: int = 1) -> list[Step]:
        """Return what a fresh machine does with `log`, and then with some timeouts."""
        run = Run(self, seed=seed)
        run.replay(log)
        run.fire(ROUNDS)
        return run.steps

    def is_network(self, method: str) -> bool:
        """Return whether an input carries what peers or drivers did."""
        return method.startswith(self.network)


class Run:
    """One machine under observation; what can be seen at any input is checked here."""

    def __init__(self, battery: Battery, *, seed: int = 1, origin: float = 0.0) -> None:
        self.battery = battery
        self.origin = origin
        self.clock = 0.0  # Seconds after the start. Invariant: the newest `now` given so far.
        self.rng = random.Random(seed)
        world = random.getstate()
        self.machine = battery.make(self.rng, origin)
        require("C8", random.getstate() == world, "the constructor drew from the global `random`")
        self.calls: list[Call] = []
        self.steps: list[Step] = []
        self.record("start", "")

    def replay(self, log: Iterable[Call]) -> None:
        """Give each input of `log`, and record what it does."""
        for each in log:
            self.step(each)

    def fire(self, rounds: int) -> None:
        """Let the next `rounds` deadlines come, each on the dot (C6)."""
        for _ in range(rounds):
            if self.deadline() is None:
                return
            self.expire()

    def expire(self) -> None:
        """Let the next deadline come: on the dot (C6), or at once where it has passed (C7)."""
        at = self.deadline()
        assert at is not None
        if at < self.clock:
            self.expire_late(self.clock)
            return
        self.step(call("handle_timeout", now=at))
        self.require_progress("C6")

    def expire_late(self, now: float) -> None:
        """Give a timeout at `now`, after its deadline: one round, and no more (C7)."""
        try:
            self.step(call("handle_timeout", now=now))
        except ContractBroken as broken:
            raise ContractBroken(f"C7: a late timeout at {now}: {broken}") from broken
        self.require_progress("C7")

    def require_progress(self, rule: str) -> None:
        """Require that the deadline lies ahead, as it does after each timeout that was due."""
        at = self.deadline()
        ahead = at is None or at > self.clock
        require(rule, ahead, f"handle_timeout({self.clock}) leaves next_timeout() at {at}")

    def step(self, each: Call) -> Step:
        """Give one input and record what it did."""
        result, refused = self.give(each)
        step = self.record(each.method, result, refused=refused)
        require("C14", not (refused and step.outputs), f"{each} was refused and caused {step}")
        return step

    def record(self, method: str, result: str, *, refused: bool = False) -> Step:
        """Poll what an input caused; the poll itself must change nothing (C2)."""
        before, draws = self.machine.next_timeout(), self.rng.getstate()
        outputs = self.drain(self.battery.outputs_max)
        after = self.machine.next_timeout()
        require("C2", after == before, f"polling moved next_timeout() from {before} to {after}")
        require("C2", self.rng.getstate() == draws, "polling drew randomness")
        self.steps.append(Step(method, result, refused, outputs, self.deadline()))
        return self.steps[-1]

    def give(self, each: Call) -> tuple[str, bool]:
        """Give one input; return its handle or refusal, and whether it was refused."""
        self.calls.append(each)
        now = self.origin + each.now
        self.clock = max(self.clock, now - self.origin)  # As rounded as what the machine sees.
        deadline, draws = self.machine.next_timeout(), self.rng.getstate()
        world = random.getstate()
        try:
            method = getattr(self.machine, each.method)
            handle = method(*each.args, now, **each.options)
        except Exception as refusal:
            rule = "C13" if self.battery.is_network(each.method) else "C14"
            allowed: tuple[type[Exception], ...] = (ValueError, TypeError, *self.battery.refusals)
            if rule == "C13" or not isinstance(refusal, allowed):
                raise ContractBroken(f"{rule}: {each} raised {refusal!r}") from refusal
            require("C14", self.rng.getstate() == draws, f"{each} was refused and drew randomness")
            kept = self.machine.next_timeout() == deadline
            require("C14", kept, f"{each} was refused and moved next_timeout()")
            return repr(refusal), True
        require("C8", random.getstate() == world, f"{each} drew from the global `random`")
        return self.battery.describe(handle), False

    def drain(self, limit: int) -> tuple[str, ...]:
        """Poll until None; more than `limit` outputs are too many (C15)."""
        outputs: list[str] = []
        while (output := self.poll()) is not None:
            outputs.append(output)
            require("C15", len(outputs) <= limit, f"more than {limit} outputs of one input")
        return tuple(outputs)

    def poll(self) -> str | None:
        """Poll once and describe the output."""
        try:
            output = self.machine.poll()
        except Exception as error:
            raise ContractBroken(f"C2: poll() raised {error!r}") from error
        if output is None:
            return None
        require("C16", not has_mutable_field(output), f"{output!r} can be changed by its receiver")
        return self.battery.describe(output)

    def deadline(self) -> float | None:
        """Return `next_timeout()` in seconds after the start."""
        at = self.machine.next_timeout()
        return None if at is None else at - self.origin


# --- logs


def in_order(log: Iterable[Call], *, start: float = 0.0) -> list[Call]:
    """Return `log` with each older `now` raised to the newest seen before it."""
    log = list(log)
    newest = itertools.accumulate((each.now for each in log), max, initial=start)
    return [
        attrs.evolve(each, now=now)
        for each, now in zip(log, itertools.islice(newest, 1, None), strict=True)
    ]


def with_old_times(log: Iterable[Call]) -> list[Call]:
    """Return `log` with every second `now` long gone."""
    return [
        attrs.evolve(each, now=each.now - 3_600.0) if index % 2 else each
        for index, each in enumerate(log)
    ]


def require_same(rule: str, expected: Sequence[object], actual: Sequence[object], why: str) -> None:
    """Raise `ContractBroken` at the first difference between two traces."""
    for index, (left, right) in enumerate(itertools.zip_longest(expected, actual)):
        require(
            rule, left == right, f"{why}; at step {index}\n  expected {left}\n  got      {right}"
        )


# --- rules: each is given the battery, a log in order, and the trace of that log


def check_shape(battery: Battery) -> None:
    """C1: every public method takes `now` last, or is `poll`, or is a query."""
    for name, method in public_methods(battery.make(random.Random(1), 0.0)):
        parameters = list(inspect.signature(method).parameters.values())
        positional = [p.name for p in parameters if p.kind < p.KEYWORD_ONLY]
        if takes_now(method):
            last = positional[-1:] == ["now"]
            require("C1", last, f"`now` is not the last positional parameter of {name}()")
            continue
        required = [p for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
        require(
            "C1",
            name in battery.queries or not required,
            f"{name}() takes no `now`: if it is a query, give the battery arguments for it",
        )


def check_queries_are_pure(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C1: queries draw no randomness, change nothing and can be asked twice."""
    run = Run(battery)
    for each in log:
        run.step(each)
        draws, world = run.rng.getstate(), random.getstate()
        for name, ask in queries(battery, run.machine):
            first, second = answer(ask, battery), answer(ask, battery)
            require("C1", first == second, f"{name} answered {first}, then {second}")
            require("C1", run.rng.getstate() == draws, f"{name} drew randomness")
            require("C1", random.getstate() == world, f"{name} drew from the global `random`")
    run.fire(ROUNDS)
    require_same("C1", expected, run.steps, "asking queries changed what happens")


def check_polls_only_pop(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C2, C3: whether outputs are polled at once, one by one or at the end does not matter."""
    eager = Run(battery)
    eager.replay(log)
    eager.fire(ROUNDS)
    for polls in (0, 1):
        late = Run(battery)
        polled = list(late.steps[0].outputs)
        seen = [("", late.deadline())]
        for each in eager.calls:
            result, _ = late.give(each)
            polled += [output for _ in range(polls) if (output := late.poll()) is not None]
            seen.append((result, late.deadline()))
        polled += late.drain(battery.outputs_max * len(expected))
        why = f"polling {polls} outputs after each input changed what happens"
        require_same("C2", [(step.result, step.deadline) for step in expected], seen, why)
        if not battery.renders:
            require_same("C2", all_outputs(expected), polled, why)


def check_old_times_are_clamped(battery: Battery, log: Sequence[Call], _: list[Step]) -> None:
    """C4: a smaller `now` than seen before counts as the newest seen.

    The `now` of a refused command (C14) may count as seen or not: no rule says.
    """
    run, newest = Run(battery), 0.0
    old = with_old_times(log)
    for each in old:
        now = max(newest, each.now)
        if not run.step(attrs.evolve(each, now=now)).refused:
            newest = now
    run.fire(ROUNDS)
    require_same("C4", run.steps, battery.trace(old), "an old `now` counted")


def check_early_is_free(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C5: a timeout before its time changes nothing and draws no randomness."""
    run = Run(battery)
    steps = [run.steps[0]]
    for each in log:
        give_early(run, each.now)
        steps.append(run.step(each))
    for _ in range(ROUNDS):
        at = run.deadline()
        if at is None:
            break
        # As late as early can be: a machine that rounds would fire here.
        give_early(run, math.nextafter(at, -math.inf))
        run.expire()
        steps.append(run.steps[-1])
    require_same("C5", expected, steps, "an early timeout changed what happens")


def give_early(run: Run, now: float) -> None:
    """Give a timeout at `now`, if that is before the deadline, and see that nothing happens."""
    deadline, draws = run.deadline(), run.rng.getstate()
    now = max(now, run.clock)
    if deadline is None or now >= deadline:
        return
    step = run.step(call("handle_timeout", now=now))
    require("C5", not step.outputs, f"handle_timeout({now}) before {deadline} caused {step}")
    require("C5", step.deadline == deadline, f"handle_timeout({now}) moved {deadline}: {step}")
    require("C5", run.rng.getstate() == draws, f"handle_timeout({now}) drew randomness")


def check_on_the_dot_progresses(battery: Battery, log: Sequence[Call], _: list[Step]) -> None:
    """C6: a timeout at its time moves the deadline on, whatever the origin of the clock."""
    for origin in ORIGINS:
        run = Run(battery, origin=origin)
        for each in log:
            run.step(each)
            run.fire(1)
        run.fire(ROUNDS)


def check_late_is_one_round(battery: Battery, log: Sequence[Call], _: list[Step]) -> None:
    """C7: a late timeout fires each due timer once and re-arms from `now`."""
    for length in {len(log) // 2, len(log)}:
        run = Run(battery)
        run.replay(log[:length])
        run.expire_late(run.clock + LATENESS)


def check_deterministic(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C8: the same constructor arguments, seed and inputs give the same outputs."""
    require_same("C8", expected, battery.trace(log), "a second run differs")


def check_misuse_is_atomic(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C14: misuse is refused and leaves no trace: not in state, outputs or randomness."""
    run = Run(battery)
    for each in log:
        for wrong in battery.misuse:
            result, refused = run.give(attrs.evolve(wrong, now=each.now))
            require("C14", refused, f"{wrong} was accepted and returned {result}")
            outputs = run.drain(battery.outputs_max)
            require("C14", not outputs, f"{wrong} was refused and caused {outputs}")
        run.step(each)
    run.fire(ROUNDS)
    require_same("C14", expected, run.steps, "misuse changed what happens")


def check_refusals_are_atomic(battery: Battery, log: Sequence[Call], expected: list[Step]) -> None:
    """C14: without the commands that were refused, the same happens."""
    run = Run(battery)
    for each, step in zip(log, expected[1:], strict=False):
        if step.refused:
            run.clock = max(run.clock, each.now)
        else:
            run.step(each)
    run.fire(ROUNDS)
    accepted = [step for step in expected if not step.refused]
    require_same("C14", accepted, run.steps, "a refused command changed what happens")


def check_over_is_over(battery: Battery, log: Sequence[Call], _: list[Step]) -> None:
    """C17: after the end no deadline and no effect of inputs; outputs can still be polled."""
    if battery.ending is None:
        return
    run = Run(battery)
    run.replay(log)
    run.step(attrs.evolve(battery.ending, now=run.clock))
    run.fire(ROUNDS_TO_END)
    require(
        "C17",
        run.deadline() is None,
        f"{ROUNDS_TO_END} timeouts after {battery.ending}"
        f" there is still a deadline, {run.deadline()}",
    )
    draws = run.rng.getstate()
    after = [each for each in log if each.method not in battery.revives]
    for each in [*after, call("handle_timeout", now=LATENESS)]:
        step = run.step(attrs.evolve(each, now=run.clock + 1.0))
        require("C17", not step.outputs, f"after the end {each} caused {step}")
        require("C17", step.deadline is None, f"after the end {each} armed {step.deadline}")
        require("C17", run.rng.getstate() == draws, f"after the end {each} drew randomness")
    if battery.renders:
        return
    late = Run(battery)
    for each in run.calls:
        late.give(each)
    polled = [*late.steps[0].outputs, *late.drain(battery.outputs_max * len(run.steps))]
    require_same("C17", all_outputs(run.steps), polled, "after the end outputs were lost")


RULES = (
    check_deterministic,
    check_queries_are_pure,
    check_polls_only_pop,
    check_early_is_free,
    check_on_the_dot_progresses,
    check_late_is_one_round,
    check_old_times_are_clamped,
    check_misuse_is_atomic,
    check_refusals_are_atomic,
    check_over_is_over,
)


# --- looking at a machine


def public_methods(machine: Machine) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the public methods of a machine, except `poll`."""
    for name in dir(type(machine)):
        method = inspect.getattr_static(type(machine), name)
        if not name.startswith("_") and name != "poll" and inspect.isfunction(method):
            yield name, getattr(machine, name)


def takes_now(method: Callable[..., object]) -> bool:
    """Return whether a method is an input."""
    return "now" in inspect.signature(method).parameters


def queries(battery: Battery, machine: Machine) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield every query of a machine, ready to be asked."""
    for name, method in public_methods(machine):
        if not takes_now(method):
            yield name, functools.partial(method, *battery.queries.get(name, ()))
    for name in dir(type(machine)):
        kind = inspect.getattr_static(type(machine), name)
        if not name.startswith("_") and isinstance(kind, property):
            yield name, functools.partial(getattr, machine, name)


def answer(ask: Callable[[], object], battery: Battery) -> str:
    """Ask a query and describe its answer, without the addresses of objects."""
    refusals: tuple[type[Exception], ...] = (LookupError, ValueError, *battery.refusals)
    try:
        result = ask()
    except refusals as refusal:
        return repr(refusal)
    if isinstance(result, Iterator):
        result = tuple(result)
    return re.sub(r"0x[0-9a-f]+", "0x", battery.describe(result))


def all_outputs(steps: Iterable[Step]) -> list[str]:
    """Return the outputs of a trace in their order."""
    return [output for step in steps for output in step.outputs]


def has_mutable_field(output: object) -> bool:
    """Return whether a list, dict, set or buffer can be reached in an output."""
    if isinstance(output, bytearray | memoryview | list | dict | set):
        return True
    if isinstance(output, tuple | frozenset):
        return any(has_mutable_field(item) for item in output)
    kind = type(output)
    if not attrs.has(kind):
        return False
    return any(has_mutable_field(getattr(output, field.name)) for field in attrs.fields(kind))


# --- several processes


CHILD = """
import importlib, sys
from tests.contract import digest
module, name = sys.argv[1:]
print(digest(getattr(importlib.import_module(module), name)()))
"""


def digest(trace: Iterable[object]) -> str:
    """Return one hash of a whole trace."""
    total = hashlib.sha256()
    for step in trace:
        total.update(repr(step).encode() + b"\n")
    return total.hexdigest()


def digests_under_hash_seeds(trace: Callable[[], Iterable[object]]) -> dict[str, str]:
    """Run a function of a module in one process for each hash seed; return the digests.

    Args:
        trace: A function at the top of an importable module, without arguments.
    """
    digests = {}
    for hash_seed in HASH_SEEDS:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, trace.__module__, trace.__qualname__],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        digests[hash_seed] = done.stdout.strip()
    return digests


def assert_same_under_hash_seeds(trace: Callable[[], Iterable[object]]) -> None:
    """C8 across processes: no order of a set, `hash` or `id` shows in what happens."""
    digests = digests_under_hash_seeds(trace)
    require("C8", len(set(digests.values())) == 1, f"PYTHONHASHSEED shows in the trace: {digests}")
