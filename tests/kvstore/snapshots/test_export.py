"""Snapshots of a store: taken while it goes on, restored, refused, and brought forward."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.commands import (
    Command,
    Compact,
    Configure,
    Create,
    Delete,
    DeleteRange,
    Lock,
    Noop,
    Put,
    SessionClose,
    SessionOpen,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Tick,
    Txn,
)
from kvstore.config import Config
from kvstore.errors import CompactedRevision, DecodeError, FutureRevision
from kvstore.snapshots import export, snapshot
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store
from kvstore.testing import strategies as kv
from kvstore.testing.strategies import LogEntry
from tests.kvstore.messages import POLICY, ROLE, TOKEN

GOLDEN = Path(__file__).parents[1] / "golden"
NEWEST = GOLDEN / "snapshot-store-1.1.bin"


def taken(store: Store, since: int | None = None, *, compress: bool = False) -> bytes:
    """Return the whole snapshot of a store at once."""
    return b"".join(SnapshotWriter(store.view(), since=since, compress=compress))


def cut(stream: bytes, piece: int) -> Iterable[bytes]:
    return (stream[start : start + piece] for start in range(0, len(stream), piece))


def restored(stream: bytes, base: Store | None = None) -> Store:
    reader = SnapshotReader(Store.importer if base is None else base.continuation)
    for piece in cut(stream, 10_000):
        reader.feed(piece)
    return reader.finish()


def replay(store: Store, log: Iterable[LogEntry]) -> Store:
    for command, now, actor in log:
        store.apply(command, now=now, actor=actor)
    return store


def busy_store() -> Store:
    """Return a store with something in each of its parts."""
    store = Store(Config(history_age=1_000_000))
    commands: list[Command] = [
        SetPolicy(POLICY),
        SetPolicy(POLICY.__class__("db")),
        SetRole(ROLE),
        SetToken(TOKEN),
        SessionOpen("s1", ttl=10_000, on_end="delete", bindings=("node:a",), meta=(("k", "v"),)),
        SessionOpen("s2", ttl=20_000),
        SetQuota("web/", 10, 1000),
        Put("web/a", b"1"),
        Put("web/a", b"2"),
        Put("web/b", b"3", flags=2**64 - 1, ttl=5000),
        Put("gone", b"x"),
        Compact(9),
        Delete("gone"),
        Put("back", b"1"),
        Delete("back"),
        Put("back", b"2"),
        Lock("locks/a", "s1", b"held"),
        Lock("locks/b", "s2"),
        Put("owned", owner="s1"),
        Create("jobs/", sequence="counter"),
        Create("jobs/", sequence="counter"),
        Tick(),
    ]
    for i, command in enumerate(commands):
        store.apply(command, now=1000 + i)
    store.apply(SessionOpen("s3", lock_delay=60_000), now=1100)
    store.apply(Lock("locks/c", "s3"), now=1100)
    store.apply(SessionOpen("s4"), now=1200)
    store.apply(Lock("locks/d", "s4"), now=1200)
    store.apply(SessionClose("s4"), now=1200)
    return store


# --- both ways


@pytest.mark.parametrize("compress", [False, True])
def test_a_store_comes_back_as_it_was(compress: bool) -> None:
    store = busy_store()

    copy = restored(taken(store, compress=compress))

    copy.check_invariants()
    assert taken(copy) == taken(store)
    assert copy.digest() == store.digest()
    assert copy.range("") == store.range("")
    assert copy.sessions() == store.sessions()
    assert copy.acl.tokens == store.acl.tokens
    assert copy.config == store.config
    assert (copy.applied_index, copy.revision, copy.floor) == (
        store.applied_index,
        store.revision,
        store.floor,
    )
    assert (copy.clock, copy.next_deadline) == (store.clock, store.next_deadline)


def test_the_past_comes_back_as_well() -> None:
    store = busy_store()

    copy = restored(taken(store))

    for revision in range(store.floor, store.applied_index + 1):
        assert copy.range("", revision=revision) == store.range("", revision=revision)
        assert copy.changes_since(revision) == store.changes_since(revision)


def test_an_empty_store_has_a_snapshot() -> None:
    copy = restored(taken(Store()))

    assert copy.range("").entries == ()
    assert copy.apply(Put("a")).index == 1


@given(kv.logs(min_size=10, access=True), st.data())
def test_a_copy_goes_on_as_the_original_does(log: list[LogEntry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log)))
    store = replay(Store(), log[:at])

    copy = restored(taken(store))
    copy.check_invariants()
    for command, now, actor in log[at:]:
        ours = copy.apply(command, now=now, actor=actor)
        assert ours == store.apply(command, now=now, actor=actor)

    assert taken(copy) == taken(store)
    assert copy.digest() == store.digest()


def test_the_bytes_of_this_version_never_change(rewrite: bool) -> None:
    stream = taken(busy_store())
    if rewrite:
        NEWEST.write_bytes(stream)

    assert stream == NEWEST.read_bytes()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_file_of_every_version_is_read_for_ever(version: str) -> None:
    store = restored((GOLDEN / f"snapshot-store-{version}.bin").read_bytes())

    assert store.digest() == busy_store().digest()
    assert taken(store) == NEWEST.read_bytes()


# --- the digest


def verified(stream: bytes) -> Store:
    reader = SnapshotReader(Store.importer, verify=True)
    reader.feed(stream)
    return reader.finish()


@given(kv.logs(min_size=10, access=True))
def test_the_footer_tells_the_digest_of_the_store(log: list[LogEntry]) -> None:
    store = replay(Store(Config(history_changes=5)), log)
    stream = taken(store)

    reader = SnapshotReader(Store.importer)
    reader.feed(stream)

    assert reader.digest == store.digest()
    assert verified(stream).digest() == store.digest()


def test_a_store_that_was_made_wrong_is_refused_by_its_digest() -> None:
    store = busy_store()
    reader: SnapshotReader[Store] = SnapshotReader(
        lambda header, since: Store.importer(dict(header) | {"offset": 5}, since), verify=True
    )
    reader.feed(taken(store))

    assert store.clock_offset != 5
    with pytest.raises(DecodeError, match="bad-state: the digest is not the one"):
        reader.finish()


# --- while writes go on


@given(kv.logs(min_size=10, access=True), st.data())
def test_a_snapshot_is_of_the_moment_it_was_begun(log: list[LogEntry], data: st.DataObject) -> None:
    """Whatever is written, compacted, configured or ended while its pieces are fetched."""
    at = data.draw(st.integers(0, len(log)))
    store = replay(Store(), log[:at])
    whole = taken(store)

    pieces = []
    rest = iter(log[at:])
    # One key looked at, and one batch fetched, at a time.
    with patch.object(export, "BATCH", 1), patch.object(snapshot, "PIECE_BATCHES", 1):
        for piece in SnapshotWriter(store.view()):
            pieces.append(piece)
            replay(store, islice(rest, 1))
    replay(store, rest)

    assert b"".join(pieces) == whole
    store.check_invariants()


def test_a_large_snapshot_is_of_the_moment_it_was_begun(seed: int) -> None:
    random = Random(seed)
    store = Store(Config(history_changes=2000))
    names = [f"dir{i % 40}/key{i}" for i in range(6000)]
    for name in names[:5000]:
        store.apply(Put(name, random.randbytes(random.randrange(200))))
    whole = taken(store)

    pieces = []
    for piece in SnapshotWriter(store.view()):
        pieces.append(piece)
        for _ in range(300):
            name = random.choice(names)
            choices: list[Command] = [Put(name, b"new"), Delete(name), Put(name), Noop()]
            command = random.choice(choices)
            store.apply(command)
        store.apply(Compact(store.revision - 10))
    replay(store, [(DeleteRange(prefix=""), None, None)])

    assert len(pieces) > 5
    assert b"".join(pieces) == whole
    store.check_invariants()


def test_several_snapshots_may_be_under_way(seed: int) -> None:
    random = Random(seed)
    store = Store(Config(history_changes=100))
    wholes, writers = [], []
    for i in range(3000):
        store.apply(Put(f"key{random.randrange(2000)}", bytes(random.randrange(300))))
        if i % 700 == 0:
            wholes.append(taken(store))
            writers.append(SnapshotWriter(store.view()))

    assert [b"".join(writer) for writer in writers] == wholes
    assert store.stats.views == 0


def test_history_is_held_back_no_longer_than_a_snapshot_lasts() -> None:
    store = Store()
    for _ in range(100):
        store.apply(Put("a", force=True))

    writer = SnapshotWriter(store.view())
    store.apply(Compact(90))
    assert store.stats.views == 1
    writer.close()

    assert store.stats.views == 0


def test_a_view_may_be_closed_again() -> None:
    store = busy_store()
    view, other = store.view(), store.view()

    view.close()
    view.close()

    assert store.stats.views == 1
    other.close()


def test_deadlines_of_many_keys_are_found_by_walking_the_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = busy_store()
    for name in ("web/c", "web/d", "a"):
        store.apply(Put(name, ttl=10_000))
    whole, digest = taken(store), store.digest()

    monkeypatch.setattr(export, "SORTED_MAX", 1)
    monkeypatch.setattr(export, "BATCH", 3)

    assert taken(store) == whole
    assert store.digest() == digest
    assert taken(restored(whole)) == whole


def test_an_answer_never_depends_on_a_snapshot_under_way() -> None:
    with_one, without = busy_store(), busy_store()
    writer = SnapshotWriter(with_one.view())

    for command in (Compact(12), Put("web/a"), DeleteRange(prefix="jobs/"), Noop()):
        assert with_one.apply(command) == without.apply(command)
    writer.close()

    assert taken(with_one) == taken(without)


# --- the same bytes


@given(kv.logs(min_size=10, access=True))
def test_two_replicas_write_the_same_bytes(log: list[LogEntry]) -> None:
    """Also when one was restored on the way, and has other numbers for its directories."""
    one = replay(Store(), log)
    half = len(log) // 2
    other = replay(restored(taken(replay(Store(), log[:half]))), log[half:])

    assert taken(one) == taken(other)
    assert one.digest() == other.digest()


SCRIPT = """
from hashlib import sha256
from tests.kvstore.snapshots.test_export import busy_store, taken
print(sha256(taken(busy_store())).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_bytes_do_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=True,
        text=True,
    )

    assert done.stdout.strip() == sha256(taken(busy_store())).hexdigest()


# --- damage


def test_damage_is_always_found(seed: int) -> None:
    random = Random(seed)
    stream = taken(busy_store())

    for _ in range(200):
        damaged = bytearray(stream)
        at = random.randrange(len(stream))
        if random.random() < 0.5:
            damaged[at] ^= 1 << random.randrange(8)
        else:
            del damaged[at:]
        with pytest.raises(DecodeError):
            restored(bytes(damaged))


def test_a_restored_store_is_whole_or_not_there() -> None:
    reader = SnapshotReader(Store.importer)
    stream = taken(busy_store())
    for piece in cut(stream[:-1], 100):
        reader.feed(piece)

    with pytest.raises(DecodeError, match="truncated"):
        reader.finish()


# --- increments


@given(kv.logs(min_size=10, access=True), st.data())
def test_an_increment_brings_a_copy_forward(log: list[LogEntry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log)))
    store = replay(Store(), log[:at])
    base = restored(taken(store))
    replay(store, log[at:])
    if base.applied_index < store.floor:
        with pytest.raises(CompactedRevision):
            taken(store, base.applied_index)
        assert store.stats.views == 0
        return

    copy = restored(taken(store, base.applied_index), base)

    copy.check_invariants()
    assert copy.digest() == store.digest()
    assert taken(copy) == taken(store)


def test_an_increment_tells_what_is_new_and_no_more() -> None:
    store = Store()
    for i in range(2000):
        store.apply(Put(f"key{i}", bytes(100)))
    base = restored(taken(store))
    replay(store, [(Put("key5", b"new"), None, None), (Delete("key6"), None, None)])

    increment = taken(store, 2000)
    copy = restored(increment, base)

    assert len(increment) < len(taken(store)) / 100
    assert copy.get("key5") == store.get("key5")
    assert copy.get("key6") is None
    assert copy.changes_since(2000) == store.changes_since(2000)


def test_an_increment_may_tell_nothing() -> None:
    store = busy_store()
    base = restored(taken(store))

    copy = restored(taken(store, store.applied_index), base)

    assert taken(copy) == taken(store)


def test_increments_may_follow_each_other(seed: int) -> None:
    random = Random(seed)
    store = Store()
    follower = restored(taken(store))
    points = sorted(random.sample(range(1, 400), 8))
    for low, high in pairwise([0, *points]):
        for _ in range(high - low):
            name = f"key{random.randrange(30)}"
            choices: list[Command] = [Put(name, random.randbytes(4)), Delete(name)]
            store.apply(random.choice(choices))
        follower = restored(taken(store, follower.applied_index), follower)
        assert follower.digest() == store.digest()

    assert taken(follower) == taken(store)


@pytest.mark.parametrize("ahead", [1, -1])
def test_an_increment_fits_on_its_own_index_only(ahead: int) -> None:
    store = busy_store()
    log = [Put("a", b"1"), Put("b", b"2"), Put("c", b"3")]
    replay(store, [(command, None, None) for command in log[:2]])
    base = busy_store()
    replay(base, [(command, None, None) for command in log[: 1 + ahead]])
    increment_since = store.applied_index - 1
    before = taken(base)

    with pytest.raises(DecodeError, match="bad-state"):
        restored(taken(store, increment_since), base)

    assert taken(base) == before


def test_an_increment_needs_a_base_and_a_whole_snapshot_none() -> None:
    store = busy_store()

    with pytest.raises(DecodeError, match="bad-state"):
        restored(taken(store, store.applied_index))
    with pytest.raises(DecodeError, match="bad-state"):
        restored(taken(store), busy_store())


def test_a_damaged_increment_leaves_its_base_as_it_was(seed: int) -> None:
    random = Random(seed)
    store, base = busy_store(), busy_store()
    replay(store, [(Put("a", b"1"), None, None), (Delete("web/a"), None, None)])
    increment = taken(store, base.applied_index)
    before = taken(base)

    for _ in range(50):
        damaged = bytearray(increment)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        with pytest.raises(DecodeError):
            restored(bytes(damaged), base)

    assert taken(base) == before


def test_an_increment_since_what_is_forgotten_is_refused() -> None:
    store = busy_store()

    with pytest.raises(CompactedRevision):
        taken(store, store.floor - 1)

    assert store.stats.views == 0


def test_an_increment_since_the_future_is_a_mistake() -> None:
    store = busy_store()

    with pytest.raises(FutureRevision):
        taken(store, store.applied_index + 1)

    assert store.stats.views == 0


def test_an_increment_carries_the_configuration() -> None:
    store, base = busy_store(), busy_store()
    config = Config(history_age=None, value_size_max=10)
    store.apply(Configure(config))
    store.apply(Txn(then=(Put("a", b"1"), Put("b", b"2"))))

    copy = restored(taken(store, base.applied_index), base)

    assert copy.config == store.config
    assert taken(copy) == taken(store)
