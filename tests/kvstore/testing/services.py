"""Services over a store, right and wrong, and clients that use them at once.

`record` is a discrete-event simulation: a request travels for a random time, is carried out in
one step or in several at different moments, and its answer travels back or is lost. What the
clients saw is the history. The right service takes one step; the wrong ones are the classics.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from random import Random
from typing import Any, TypeAlias

import attrs

from kvstore.commands import Check, Lock, Put, SessionOpen, Txn, Unlock
from kvstore.entry import Entry
from kvstore.results import LockOk, TxnOk, UnlockOk
from kvstore.store import Store
from kvstore.testing import (
    Acquire,
    CompareAndSet,
    Operation,
    Read,
    Recorder,
    Release,
    Write,
)

# What happens to a request: at each `yield` others are served; the end is the answer.
Steps: TypeAlias = Generator[None, None, Any]


class Service:
    """Registers and locks over one store, each request one command: linearizable."""

    def __init__(self, clients: int) -> None:
        self.store = Store()
        for client in range(clients):
            self.store.apply(SessionOpen(session(client)))

    def serve(self, request: Any) -> Steps:
        """Carry a request out."""
        yield from ()
        return self.answer(request)

    def answer(self, request: Any) -> Any:
        """Carry a request out at once."""
        result: Any
        match request:
            case Read(key):
                return decoded(self.store.get(str(key)))
            case Write(value, key):
                self.store.apply(Put(str(key), encoded(value)))
                return None
            case CompareAndSet(old, new, key):
                check = Check(str(key), "value", "=", encoded(old))
                result = self.store.apply(Txn((check,), (Put(str(key), encoded(new)),))).result
                assert isinstance(result, TxnOk)
                return result.branch
            case Acquire(owner, key):
                result = self.store.apply(Lock(str(key), session(owner))).result
                return isinstance(result, LockOk) and result.fresh
            case Release(owner, key):
                result = self.store.apply(Unlock(str(key), session(owner))).result
                return isinstance(result, UnlockOk)
            case _:
                raise AssertionError(request)


class StaleReads(Service):
    """Reads are answered by a replica that is a few commands behind: stale reads."""

    def __init__(self, clients: int) -> None:
        super().__init__(clients)
        self.replica = Store()
        self.log: list[Put | Txn] = []

    def answer(self, request: Any) -> Any:
        match request:
            case Read(key):
                while len(self.log) > 3:
                    self.replica.apply(self.log.pop(0))
                return decoded(self.replica.get(str(key)))
            case Write(value, key):
                self.log.append(Put(str(key), encoded(value)))
            case CompareAndSet(old, new, key):
                check = Check(str(key), "value", "=", encoded(old))
                self.log.append(Txn((check,), (Put(str(key), encoded(new)),)))
            case _:
                pass
        return super().answer(request)


class LostUpdates(Service):
    """A compare-and-set is a read and then a write: two of them may both succeed."""

    def serve(self, request: Any) -> Steps:
        if not isinstance(request, CompareAndSet):
            return (yield from super().serve(request))
        if decoded(self.store.get(str(request.key))) != request.old:
            return False
        yield
        self.store.apply(Put(str(request.key), encoded(request.new)))
        return True


class SharedLocks(Service):
    """A lock is free if nobody's name is on it, which is looked up first and written then."""

    def serve(self, request: Any) -> Steps:
        yield from ()
        key = str(request.key)
        holder = self.store.get(key)
        if isinstance(request, Release):
            if holder is None or holder.value != session(request.owner).encode():
                return False
            self.store.apply(Put(key, b""))
            return True
        if holder is not None and holder.value:
            return False
        yield
        self.store.apply(Put(key, session(request.owner).encode()))
        return True


def session(client: Any) -> str:
    return f"session-{client}"


def encoded(value: Any) -> bytes:
    return str(value).encode()


def decoded(entry: Entry | None) -> int | None:
    return None if entry is None else int(entry.value)


def register_request(rng: Random, client: int) -> Any:
    key, kind = rng.randrange(3), rng.random()
    if kind < 0.4:
        return Read(key)
    if kind < 0.6:
        return Write(rng.randrange(4), key)
    return CompareAndSet(rng.randrange(4), rng.randrange(4), key)


def update_request(rng: Random, client: int) -> Any:
    """Hardly anything but compare-and-sets of one register."""
    if rng.random() < 0.05:
        return Write(rng.randrange(3))
    return CompareAndSet(rng.randrange(3), rng.randrange(3))


def lock_request(rng: Random, client: int) -> Any:
    return (Acquire if rng.random() < 0.5 else Release)(client, rng.randrange(2))


def record(
    rng: Random,
    service: Service,
    request_of: Callable[[Random, int], Any],
    *,
    clients: int = 8,
    operations: int = 300,
    lost: float = 0.0,
) -> tuple[Operation, ...]:
    """Let clients use a service at once and return what they saw.

    Args:
        rng: Decides everything.
        service: What is used.
        request_of: Makes the requests.
        clients: How many there are.
        operations: Requests in all.
        lost: The share of answers that never arrive. The client goes on under another name:
            for itself, nothing is known of the request.
    """
    recorder = Recorder()
    names = list(range(clients))
    # Time, tie-break, client, and what it waits for: the number of its request, and the steps or
    # the answer of it; nothing if it is free.
    agenda: list[tuple[float, int, int, tuple[int, Steps | Answer] | None]] = [
        (rng.random(), client, client, None) for client in range(clients)
    ]
    turns = count(clients)
    while agenda:
        now, _, client, waiting = heapq.heappop(agenda)
        if waiting is None:
            if len(recorder.operations) == operations:
                continue
            request = request_of(rng, client)
            waiting = recorder.called(names[client], request), service.serve(request)
        elif isinstance(waiting[1], Answer):
            recorder.returned(waiting[0], waiting[1].value)
            waiting = None
        else:
            waiting = next_step(waiting[0], waiting[1])
            if isinstance(waiting[1], Answer) and rng.random() < lost:
                names[client] = max(names) + 1
                waiting = None
        heapq.heappush(agenda, (now + rng.expovariate(1.0), next(turns), client, waiting))
    return recorder.operations


@attrs.frozen
class Answer:
    """An answer on its way to the client."""

    value: Any


def next_step(number: int, steps: Steps) -> tuple[int, Steps | Answer]:
    """Let a service take one step."""
    try:
        next(steps)
    except StopIteration as end:
        return number, Answer(end.value)
    return number, steps
