"""What a user event costs one machine: decode, recognise repeats, queue, deliver.

`python -m tests.benchmarks.bench_serfevents` prints one table; each figure is the best of three
runs, in CPU time. Read it on an idle machine: repeats under load vary by a factor of two. The
target is 50,000 events a second, delivered and passed on.

- `new`: each event is new; it is delivered, and a broadcast put out and reported as finished.
- `heard 8 times`: the same, but each comes seven times more, as gossip to three does; counted are
  payloads.
- `coalesced`: each event is new; the agent's windows gather them by name.
- `fired`: our own.
- `replayed`: in states of 512 events, as push/pulls bring them to a newcomer.
- `intents`: join intents of 1,000 members, each newer than the last of its member.
- `queries`: queries of another, each acknowledged and answered.
- `state`, `merge`: one side of a push/pull of a member that knows 1,000 others, with 512 events.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence

from serfevents import (
    Broadcast,
    Config,
    QueryReceived,
    SendReply,
    SerfEvents,
    UserEventReceived,
    encode_tags,
)
from serfevents.wire.codec import encode_join, encode_query, encode_user_event
from serfevents.wire.messages import FLAG_ACK, JoinIntent, Query, UserEvent

#: Events a second that one machine must take.
TARGET = 50_000
SOURCE = ("10.0.0.2", 7946)
META = encode_tags({"role": "web"}, 5)
VERSIONS = bytes((1, 5, 2, 2, 5, 5))


def machine(members: int = 1, config: Config = Config()) -> SerfEvents:  # noqa: B008 -- frozen
    """Return a member that knows some others."""
    made = SerfEvents("n0", ("10.0.0.1", 7946), config, rng=random.Random(1), now=0.0)
    for number in range(1, members):
        address = (f"10.1.{number >> 8}.{number & 255}", 7946)
        made.member_joined(f"n{number}", address, META, VERSIONS, 0.0)
    while made.poll() is not None:
        pass
    return made


def payloads(count: int) -> list[bytes]:
    """Return encoded events, one for each Lamport time."""
    return [
        encode_user_event(UserEvent(number + 1, "deploy", b"payload-%d" % number, True))
        for number in range(count)
    ]


def drain(made: SerfEvents, now: float) -> tuple[int, int]:
    """Do what a driver does with outputs; return how many were events and broadcasts."""
    events = broadcasts = 0
    while (output := made.poll()) is not None:
        if isinstance(output, UserEventReceived):
            events += 1
        elif isinstance(output, Broadcast):
            broadcasts += 1
            made.broadcast_finished(output.number, now)
    return events, broadcasts


def new(count: int) -> tuple[int, float]:
    return _heard(payloads(count), count, Config())


def heard_8_times(count: int) -> tuple[int, float]:
    rng, heard = random.Random(1), []
    events = payloads(count // 8)
    for begin in range(0, len(events), 100):
        some = events[begin : begin + 100] * 8
        rng.shuffle(some)
        heard += some
    return _heard(heard, len(events), Config())


def coalesced(count: int) -> tuple[int, float]:
    made, events = machine(config=Config.agent()), payloads(count)
    told = 0
    begin = time.process_time()
    for number, payload in enumerate(events):
        now = number * 1e-4
        made.receive(payload, SOURCE, now)
        made.handle_timeout(now)
        told += drain(made, now)[0]
    spent = time.process_time() - begin
    assert 0 < told < count
    return count, spent


def _heard(heard: list[bytes], expected: int, config: Config) -> tuple[int, float]:
    made = machine(config=config)
    told = passed = 0
    begin = time.process_time()
    for payload in heard:
        made.receive(payload, SOURCE, 1.0)
        events, broadcasts = drain(made, 1.0)
        told += events
        passed += broadcasts
    spent = time.process_time() - begin
    assert told == passed == expected, (told, passed, expected)
    return len(heard), spent


def fired(count: int) -> tuple[int, float]:
    made = machine()
    told = 0
    begin = time.process_time()
    for _ in range(count):
        made.fire("deploy", b"payload", 1.0)
        told += drain(made, 1.0)[0]
    spent = time.process_time() - begin
    assert told == count
    return count, spent


def replayed(count: int) -> tuple[int, float]:
    teller, made, states = machine(), machine(), []
    for number, payload in enumerate(payloads(count // 512 * 512), start=1):
        teller.receive(payload, SOURCE, 1.0)
        if number % 512 == 0:
            states.append(teller.state())
    told = 0
    begin = time.process_time()
    for state in states:
        made.merge(state, 1.0, join=False)
        told += drain(made, 1.0)[0]
    spent = time.process_time() - begin
    assert told == len(states) * 512
    return told, spent


def intents(count: int) -> tuple[int, float]:
    made = machine(1000)
    told = [encode_join(JoinIntent(number + 1, f"n{1 + number % 999}")) for number in range(count)]
    passed = 0
    begin = time.process_time()
    for payload in told:
        made.receive(payload, SOURCE, 1.0)
        passed += drain(made, 1.0)[1]
    spent = time.process_time() - begin
    assert passed == count
    return count, spent


def queries(count: int) -> tuple[int, float]:
    made = machine(10)
    asked = [
        encode_query(Query(i + 1, i + 1, SOURCE, "n1", (), FLAG_ACK, 0, 5.0, "load", b""))
        for i in range(count)
    ]
    replies = 0
    begin = time.process_time()
    for payload in asked:
        made.receive(payload, SOURCE, 1.0)
        while (output := made.poll()) is not None:
            if isinstance(output, QueryReceived):
                made.respond(output.query, b"ok", 1.0)
            elif isinstance(output, Broadcast):
                made.broadcast_finished(output.number, 1.0)
            replies += isinstance(output, SendReply)
    spent = time.process_time() - begin
    assert replies == 2 * count
    return count, spent


def full(members: int = 1000) -> SerfEvents:
    """Return a member whose event buffer is full."""
    made = machine(members)
    for payload in payloads(512):
        made.receive(payload, SOURCE, 1.0)
    drain(made, 1.0)
    return made


def state(_: int) -> tuple[int, float]:
    made = full()
    begin = time.process_time()
    for _ in range(20):
        made.state()
    return 20, time.process_time() - begin


def merge(_: int) -> tuple[int, float]:
    made, told = full(), full().state()
    begin = time.process_time()
    for _ in range(20):
        made.merge(told, 1.0, join=False)
    return 20, time.process_time() - begin


CASES: tuple[Callable[[int], tuple[int, float]], ...] = (
    new,
    heard_8_times,
    coalesced,
    fired,
    replayed,
    intents,
    queries,
    state,
    merge,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_serfevents")
    parser.add_argument("--count", type=int, default=51_200, help="inputs a run (51200)")
    parser.add_argument("--runs", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    print(f"{'':16} {'a second':>10} {'us each':>9}")
    for case in CASES:
        runs = [case(options.count) for _ in range(options.runs)]
        rate = max(count / spent for count, spent in runs)
        mark = f"   target {TARGET:,}: {'met' if rate >= TARGET else 'NOT MET'}"
        name = case.__name__.replace("_", " ")
        print(f"{name:16} {rate:10,.0f} {1e6 / rate:9.1f}{mark * (case is new)}", flush=True)


if __name__ == "__main__":
    main()
