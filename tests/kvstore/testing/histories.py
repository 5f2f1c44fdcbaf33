"""Histories for the tests: all small ones, and long ones of a system that is right or wrong."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import product
from random import Random
from typing import Any

from kvstore.testing import UNKNOWN, CompareAndSet, Operation, Read, Registers, Write


def shapes(count: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield all ways in which intervals can overlap, as pairs of call and return, by calls.

    There are (2n - 1)!! of them: 1, 3, 15, 105, 945.
    """

    def rest(free: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], ...]]:
        if not free:
            yield ()
            return
        for place in range(1, len(free)):
            for others in rest(free[1:place] + free[place + 1 :]):
                yield ((free[0], free[place]), *others)

    return rest(tuple(range(2 * count)))


def all_histories(
    count: int, answered: Sequence[tuple[Any, Any]], lost: Sequence[Any]
) -> Iterator[list[Operation]]:
    """Yield all histories of `count` operations, each with an answer of `answered` or none."""
    for shape in shapes(count):
        for kinds in product([*answered, *((each, UNKNOWN) for each in lost)], repeat=count):
            yield [
                Operation(client, request, called)
                if output is UNKNOWN
                else Operation(client, request, called, returned, output)
                for client, ((called, returned), (request, output)) in enumerate(
                    zip(shape, kinds, strict=True)
                )
            ]


def register_history(
    rng: Random,
    count: int,
    *,
    clients: int = 10,
    keys: int = 1,
    values: int = 5,
    lost: float = 0.0,
) -> list[Operation]:
    """Return a history of registers that are linearizable: each takes effect while it is open.

    Args:
        rng: Decides everything.
        count: Operations.
        clients: How many are open at once at most; one that lost an answer is replaced.
        keys: Registers.
        values: Different values written.
        lost: The share of operations that never return.
    """
    model = Registers()
    states: dict[Any, Any] = {}
    history: list[Operation] = []
    # Time, tie-break, client, and the operation once it was called.
    agenda: list[tuple[float, int, int, Operation | None]] = [
        (rng.random(), client, client, None) for client in range(clients)
    ]
    begun, names, turn = 0, clients, clients
    while agenda:
        now, _, client, operation = heapq.heappop(agenda)
        turn += 1
        if operation is None:
            if begun < count:
                begun += 1
                asked = _request(rng, rng.randrange(keys), values)
                heapq.heappush(
                    agenda, (now + rng.random(), turn, client, Operation(client, asked, now))
                )
            continue
        request: Any = operation.input
        state = states.get(request.key)
        output = {
            Read: state,
            Write: None,
            CompareAndSet: isinstance(request, CompareAndSet) and state == request.old,
        }[type(request)]
        _, states[request.key] = model.step(state, request, output)
        if rng.random() < lost:
            history.append(operation)
            client, names = names, names + 1
        else:
            returned = now + rng.random()
            history.append(Operation(client, request, operation.called, returned, output))
            now = returned
        heapq.heappush(agenda, (now + rng.random() / 2, turn, client, None))
    return history


def _request(rng: Random, key: int, values: int) -> Any:
    kind = rng.random()
    if kind < 0.4:
        return Read(key)
    if kind < 0.7:
        return Write(rng.randrange(values), key)
    return CompareAndSet(rng.randrange(values), rng.randrange(values), key)
