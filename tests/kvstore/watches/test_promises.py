"""What etcd promises to watchers, kept over random logs.

Ordered, unique, reliable, atomic, resumable and bookmarkable: the guarantees of etcd's document
"KV API guarantees", as the validators of its robustness tests check them. Histories are compacted
and cut on the way: then a watch may end as lost, but never with a hole.
"""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from kvstore.change import Event
from kvstore.commands import Command, Compact, Delete, Put
from kvstore.config import Config
from kvstore.store import Store
from kvstore.testing import strategies as kv
from kvstore.testing.strategies import LogEntry
from kvstore.watches.values import WatchBatch, WatchSpec
from kvstore.watches.watches import GATHER, Watches
from tests.kvstore.watches.rig import Rig


def selects(fields: dict[str, str], key: str) -> bool:
    if "prefix" in fields:
        return key.startswith(fields["prefix"])
    if "key" in fields:
        return key == fields["key"]
    return fields["start"] <= key < fields["end"]


@attrs.frozen
class Run:
    """One watch that lived through a log.

    Attributes:
        store: The store in the end.
        hub: Its hub.
        fields: What was watched.
        start: The revision from which on.
        truth: Everything that happened to what was watched, as the store answered it.
        batches: What the watch told.
    """

    store: Store
    hub: Watches
    fields: dict[str, str]
    start: int
    truth: list[Event]
    batches: list[WatchBatch]

    @property
    def told(self) -> list[Event]:
        return [one for batch in self.batches for one in batch.events]

    @property
    def lost(self) -> bool:
        return self.batches[-1:] != [] and self.batches[-1].kind == "lost"


def watched(
    log: list[LogEntry],
    fields: dict[str, str],
    begin: int,
    from_revision: int | None,
    pending_max: int,
    polls: list[int],
    compactions: set[int],
) -> Run:
    """Return the run of a watch that begins at a step of a log, and is polled now and then."""
    store = Store(Config(history_changes=None))
    hub = Watches(store)
    truth: list[Event] = []
    batches: list[WatchBatch] = []
    start, watch = 0, None
    for step, (command, now, actor) in enumerate(log):
        if step == begin:
            start = store.applied_index + 1 if from_revision is None else from_revision
            watch = hub.watch(
                WatchSpec(
                    **fields,  # type: ignore[arg-type]
                    from_revision=from_revision,
                    pending_max=pending_max,
                    previous=True,
                    progress_interval=2.0,
                ),
                float(step),
            )
        applied = store.apply(command, now=now, actor=actor)
        truth += applied.events
        hub.publish(applied)
        if step in compactions:
            hub.publish(store.apply(Compact(store.applied_index)))
        hub.handle_timeout(float(step))
        events_max = polls[step % len(polls)]
        if watch is not None and events_max:
            batches += polled(hub, watch, events_max)
            if batches and batches[-1].final:
                watch = None
    if watch is not None:
        batches += polled(hub, watch, 3)
    truth = [one for one in truth if selects(fields, one.key) and one.revision >= start]
    run = Run(store, hub, fields, start, truth, batches)
    event("lost" if run.lost else "told" if run.told else "nothing to tell")
    return run


def polled(hub: Watches, watch: int, events_max: int) -> list[WatchBatch]:
    """Return what a watch tells until there is nothing, or it is over."""
    batches: list[WatchBatch] = []
    while isinstance(batch := hub.poll(watch, events_max=events_max), WatchBatch):
        batches.append(batch)
        if batch.final:
            break
        assert hub.progress(watch) >= batch.revision
    return batches


runs = st.builds(
    watched,
    kv.logs(min_size=20),
    st.sampled_from(
        [
            {"prefix": ""},
            {"prefix": "a"},
            {"prefix": "a/"},
            {"key": "a/b"},
            {"start": "a", "end": "b"},
        ]
    ),
    st.integers(0, 15),
    st.none() | st.integers(1, 30),
    st.sampled_from([1, 1, 2, 1024]),
    st.lists(st.sampled_from([0, 0, 0, 1, 2, 4]), min_size=1),
    st.sets(st.integers(0, 30), max_size=3),
)


@given(runs)
def test_events_are_ordered(run: Run) -> None:
    revisions = [one.revision for one in run.told]

    assert revisions == sorted(revisions)


@given(runs)
def test_no_event_is_told_twice(run: Run) -> None:
    places = [(one.revision, one.key) for one in run.told]

    assert len(places) == len(set(places))


@given(runs)
def test_no_event_is_left_out_before_one_that_is_told(run: Run) -> None:
    told = run.told

    assert told == run.truth[: len(told)]
    if run.lost:
        # What was not told is forgotten, and where to read anew is told.
        assert run.batches[-1].revision <= run.store.floor
    else:
        assert told == run.truth


@given(runs)
def test_the_events_of_a_revision_come_together_or_are_marked(run: Run) -> None:
    count = 0
    for batch in run.batches:
        count += len(batch.events)
        if batch.kind == "events" and batch.fragment:
            assert batch.revision < batch.events[-1].revision
        elif batch.kind == "events":
            assert batch.revision == batch.events[-1].revision
            assert all(one.revision > batch.revision for one in run.truth[count:])


@given(runs)
def test_a_watch_resumes_behind_any_batch_without_a_hole(run: Run) -> None:
    bookmarks = [0, *(batch.revision for batch in run.batches if batch.kind != "lost")]

    for revision in bookmarks:
        start = max(revision + 1, run.start)
        spec = WatchSpec(**run.fields, previous=True, from_revision=start)  # type: ignore[arg-type]
        again = polled(run.hub, run.hub.watch(spec, 0.0), 1000)
        lost = [batch.kind for batch in again] == ["lost"]
        rest = [one for batch in again for one in batch.events]
        assert lost == (start <= run.store.floor)
        assert rest == [one for one in run.truth if one.revision >= start and not lost]


@given(runs)
def test_a_bookmark_promises_that_everything_up_to_it_was_told(run: Run) -> None:
    count = bookmark = 0
    for batch in run.batches:
        count += len(batch.events)
        if batch.kind != "lost":
            assert batch.revision >= bookmark
            bookmark = batch.revision
            assert all(one.revision > bookmark for one in run.truth[count:])


# --- many at once


@pytest.mark.parametrize("gap", [0, GATHER])
def test_all_promises_hold_for_many_watches_at_once(seed: int, gap: int) -> None:
    rng = Random(seed)
    rig = Rig(history_changes=None)
    alphabet = ["a", "b", "a/", "b/", "x", "/"]
    specs: list[dict[str, Any]] = []
    for _ in range(60):
        words = sorted("".join(rng.choices(alphabet, k=rng.randrange(1, 4))) for _ in range(2))
        specs.append(
            rng.choice(
                [{"prefix": words[0]}, {"key": words[0]}, {"start": words[0], "end": words[1]}]
            )
        )
    watches = [
        (fields, rig.watch(**fields, pending_max=rng.choice([1, 5, 99]))) for fields in specs
    ]
    told: dict[int, list[tuple[str, str, int]]] = {watch: [] for _, watch in watches}
    made_events: list[Event] = []
    for _ in range(600 + gap):
        key = "".join(rng.choices(alphabet, k=rng.randrange(1, 4)))
        choices: list[Command] = [Put(key), Put(key, b"1"), Delete(key)]
        command = rng.choice(choices)
        applied = rig.store.apply(command)
        made_events += applied.events
        rig.hub.publish(applied)
        if not gap and rng.random() < 0.1:
            for watch in rig.hub.ready():
                told[watch] += rig.told(watch)

    for fields, watch in watches:
        told[watch] += rig.told(watch)
        assert told[watch] == [
            (event.kind, event.key, event.revision)
            for event in made_events
            if selects(fields, event.key)
        ]
