"""What a program does wrong with a hub of watches raises, before anything changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvstore.commands import Get, Noop, Put, Range
from kvstore.errors import UnknownWatch, WatchExists
from kvstore.store import Store
from kvstore.watches.values import WatchBatch, WatchSpec
from kvstore.watches.watches import Watches

SPEC = WatchSpec(prefix="")
NAN = float("nan")


@pytest.mark.parametrize(
    ("misuse", "error"),
    [
        (lambda hub: hub.watch(None, 9.0), TypeError),
        (lambda hub: hub.watch("a", 9.0), TypeError),
        (lambda hub: hub.watch(SPEC, "9"), TypeError),
        (lambda hub: hub.watch(SPEC, None), TypeError),
        (lambda hub: hub.watch(SPEC, True), TypeError),
        (lambda hub: hub.watch(SPEC, NAN), ValueError),
        (lambda hub: hub.watch(SPEC, float("inf")), ValueError),
        (lambda hub: hub.watch(SPEC, 9.0, id="x"), TypeError),
        (lambda hub: hub.watch(SPEC, 9.0, id=-1), ValueError),
        (lambda hub: hub.watch(SPEC, 9.0, id=1), WatchExists),
        (lambda hub: hub.wait(None, 0, 9.0), TypeError),
        (lambda hub: hub.wait(Noop(), 0, 9.0), TypeError),
        (lambda hub: hub.wait(Get(5), 0, 9.0), TypeError),  # type: ignore[arg-type]
        (lambda hub: hub.wait(Get(""), 0, 9.0), ValueError),
        (lambda hub: hub.wait(Range(start=5), 0, 9.0), TypeError),  # type: ignore[arg-type]
        (lambda hub: hub.wait(Get("a"), "x", 9.0), TypeError),
        (lambda hub: hub.wait(Get("a"), 1.0, 9.0), TypeError),
        (lambda hub: hub.wait(Get("a"), -2, 9.0), ValueError),
        (lambda hub: hub.wait(Get("a"), 0, "9"), TypeError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, timeout="1"), TypeError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, timeout=NAN), ValueError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, timeout=-1.0), ValueError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, actor=5), TypeError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, id="x"), TypeError),
        (lambda hub: hub.wait(Get("a"), 0, 9.0, id=1), WatchExists),
        (lambda hub: hub.publish(None), TypeError),
        (lambda hub: hub.cancel("x"), UnknownWatch),
        (lambda hub: hub.cancel([]), TypeError),
        (lambda hub: hub.poll("x"), UnknownWatch),
        (lambda hub: hub.poll(1, events_max="9"), TypeError),
        (lambda hub: hub.poll(1, events_max=9.0), TypeError),
        (lambda hub: hub.progress("x"), UnknownWatch),
        (lambda hub: hub.progress(2), UnknownWatch),
        (lambda hub: hub.reset(None), TypeError),
        (lambda hub: hub.handle_timeout("9"), TypeError),
        (lambda hub: hub.handle_timeout(NAN), ValueError),
    ],
)
def test_misuse_raises_and_leaves_no_trace(
    misuse: Callable[[Any], object], error: type[Exception]
) -> None:
    store = Store()
    hub = Watches(store)
    watch = hub.watch(WatchSpec(prefix="", progress_interval=10.0), 0.0)
    wait = hub.wait(Get("b"), 1, 1.0, timeout=5.0)
    assert (watch, wait) == (1, 2)
    hub.publish(store.apply(Put("a")))

    with pytest.raises(error):
        misuse(hub)

    assert (len(hub), hub.next_timeout(), hub.ready()) == (2, 6.0, (watch,))
    batch = hub.poll(watch)
    assert isinstance(batch, WatchBatch)
    assert [event.key for event in batch.events] == ["a"]
    # The clock of the hub has not moved either, and the next id is the next.
    assert hub.watch(WatchSpec(prefix="", progress_interval=1.0), 1.0) == 3
    assert hub.next_timeout() == 2.0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None,), TypeError),
        ((Store(), "9"), TypeError),
        ((Store(), True), TypeError),
        ((Store(), 0), ValueError),
    ],
)
def test_a_hub_of_nothing_raises(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    store, *rest = arguments
    with pytest.raises(error):
        Watches(store, **dict(zip(("watches_max",), rest, strict=False)))
