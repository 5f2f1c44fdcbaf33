"""Writing the log: what is refused, when segments begin and go, and what survives any crash."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest

from raft.entries import NO_ENTRIES, Entries
from raft.membership.configuration import Configuration
from raft.outputs import Persist
from raft.stored import HardState, Snapshot, Stored
from raft.testing.simulated_disk import DiskStopped, SimulatedDisk
from raft.testing.storage_checks import PersistModel, check_crashes
from raft.testing.wal_driver import WalDriver
from raft.wal.records import SPLIT_BYTES, SnapshotMarker
from raft.wal.recovered import Recovered, SnapshotMissing
from raft.wal.recovery import Recovery, WalCorrupted, WalForeign
from raft.wal.writer import WalWriter

LOG = b"0123456789abcdef"
ONE = Configuration(("n1",))


def begun(recovered: Recovered | None = None, **options: int) -> WalWriter:
    """Return a writer with a durable segment."""
    writer = WalWriter(recovered or Recovery().finish(), log_id=LOG, **options)
    writer.begin_segment()
    writer.synced(writer.last_number)
    return writer


def commands(first: int, term: int, *payloads: bytes) -> Entries:
    """Return the application's entries of one term."""
    return Entries(first, ((first, term),) if payloads else (), payloads)


def some(first: int = 1, *payloads: bytes, snapshot: Snapshot | None = None) -> Persist:
    """Return a `Persist` in term 1."""
    return Persist(1, HardState(1), commands(first, 1, *payloads), snapshot)


# --- what is refused


@pytest.mark.parametrize("log_id", [None, b"", bytes(15)])
def test_a_new_log_needs_a_random_id(log_id: bytes | None) -> None:
    with pytest.raises(ValueError, match="a new log needs a random id of 16 bytes"):
        WalWriter(Recovery().finish(), log_id=log_id)


def test_segments_have_a_size() -> None:
    with pytest.raises(ValueError, match="segment_bytes must be at least 1"):
        WalWriter(Recovery().finish(), log_id=LOG, segment_bytes=0)


@pytest.mark.parametrize("call", [lambda writer: writer.append(some()), WalWriter.mark])
def test_nothing_is_appended_before_its_segment_is_durable(
    call: Callable[[WalWriter], bytes],
) -> None:
    writer = WalWriter(Recovery().finish(), log_id=LOG)
    with pytest.raises(ValueError, match="begin a segment first"):
        call(writer)
    writer.begin_segment()

    with pytest.raises(ValueError, match="a segment is durable before"):
        call(writer)
    writer.synced(writer.last_number)
    assert call(writer)


def test_what_is_still_to_come_is_not_durable() -> None:
    writer = begun()

    with pytest.raises(ValueError, match="record 2 is still to come"):
        writer.synced(2)
    assert writer.durable == 1


def test_reports_may_come_late() -> None:
    writer = begun()
    writer.append(some(1, b"x"))
    writer.synced(2)

    writer.synced(1)

    assert writer.durable == 2


def test_an_entry_too_large_for_a_record_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft.wal.writer.BODY_BYTES_MAX", 100)
    writer = begun()

    with pytest.raises(ValueError, match="an entry is larger than the limit of 100 bytes"):
        writer.append(some(1, bytes(101)))
    assert writer.last_number == 1
    assert writer.append(some(1, b"small"))


# --- records and segments


def test_one_persist_is_one_record() -> None:
    writer = begun()

    writer.append(some(1, b"a", b"b"))

    assert writer.last_number == 2


def test_a_very_large_persist_is_several_and_a_prefix_of_them_is_consistent() -> None:
    writer = WalWriter(Recovery().finish(), log_id=LOG)
    log = writer.begin_segment()
    writer.synced(writer.last_number)
    payloads = tuple(bytes([n]) * (SPLIT_BYTES // 2) for n in range(3))
    log += writer.append(Persist(1, HardState(1, commit=3), commands(1, 1, *payloads)))

    recovery = Recovery()
    recovery.begin(1)
    recovery.feed(log[:-1])
    recovered = recovery.finish()

    assert writer.last_number == 3
    assert recovered.entries.payloads == payloads[:2]
    assert recovered.hard_state == HardState(1, commit=2)


def test_a_marker_that_is_known_is_not_computed_again() -> None:
    snapshot = Snapshot(1, 1, ONE, 1, b"data")
    marker = SnapshotMarker(1, 1, ONE, 1, 4, 12345)
    writer = WalWriter(Recovery().finish(), log_id=LOG)
    log = writer.begin_segment()
    writer.synced(1)
    log += writer.append(some(1, b"x", snapshot=snapshot), marker=marker)

    recovery = Recovery()
    recovery.begin(1)
    recovery.feed(log)

    assert recovery.finish().snapshot == marker


def test_a_segment_is_full_at_its_size() -> None:
    writer = begun(segment_bytes=200)
    assert not writer.is_full

    writer.append(some(1, bytes(100)))

    assert writer.is_full
    writer.begin_segment()
    assert not writer.is_full


def test_a_log_goes_on_with_its_own_id_and_number() -> None:
    writer = begun(Recovered(HardState(3), None, NO_ENTRIES, None, bytes(16), 9, {4: 7}))

    assert writer.segment == 5
    assert writer.last_number == 10


@pytest.mark.parametrize(
    ("persists", "last_index"),
    [
        ([], 0),
        ([some(1, b"a", b"b", b"c")], 3),
        ([some(1, b"a", b"b", b"c"), some(2, b"d")], 2),
        ([some(1, b"a", b"b", b"c"), Persist(1, HardState(1), NO_ENTRIES, None, 2)], 1),
        ([some(1, b"a"), Persist(1, HardState(1), NO_ENTRIES, None, 9)], 1),
        ([some(1, b"a", b"b"), some()], 2),
    ],
)
def test_a_segment_tells_up_to_where_the_log_goes(persists: list[Persist], last_index: int) -> None:
    writer = begun()
    for persist in persists:
        writer.append(persist)
    recovery = Recovery()
    recovery.begin(2)
    recovery.feed(writer.begin_segment())

    if not last_index:
        assert not recovery.finish().entries
        return
    with pytest.raises(WalCorrupted, match=f"of the entries before {last_index + 1}"):
        recovery.finish()


def test_the_smallest_segments_have_one_record_each() -> None:
    assert begun(segment_bytes=1).is_full


def test_nothing_is_released_before_a_segment_was_begun() -> None:
    recovered = Recovered(
        HardState(1), SnapshotMarker(9, 1, ONE, 1, 0, 0), NO_ENTRIES, None, LOG, 0, {1: 0}
    )
    writer = WalWriter(recovered)

    assert writer.release(trailing=0) == ()
    writer.begin_segment()
    assert writer.release(trailing=0) == ()
    writer.synced(1)
    assert writer.release(trailing=0) == (1,)


# --- what may go


def test_a_segment_goes_once_a_durable_snapshot_covers_it() -> None:
    writer = begun()
    writer.append(some(1, b"a", b"b"))
    writer.begin_segment()
    writer.synced(writer.last_number)
    writer.append(some(3, b"c", snapshot=Snapshot(2, 1, ONE, 1, b"")))

    assert writer.release(trailing=0) == ()
    writer.synced(writer.last_number)
    assert writer.release(trailing=1) == ()
    assert writer.release(trailing=0) == (1,)
    assert writer.release(trailing=0) == ()


def test_segments_go_from_the_front_only() -> None:
    writer = begun()
    writer.append(some(1, b"a", b"b", b"c"))
    for first in (2, 3):
        writer.begin_segment()
        writer.synced(writer.last_number)
        writer.append(some(first, b"x"))
    writer.append(some(snapshot=Snapshot(2, 1, ONE, 1, b"")))
    writer.synced(writer.last_number)

    assert writer.release(trailing=0) == ()


def test_no_segment_goes_before_the_next_is_durable() -> None:
    recovered = Recovered(
        HardState(1), SnapshotMarker(5, 1, ONE, 1, 0, 0), NO_ENTRIES, None, LOG, 9, {1: 3, 2: 4}
    )
    writer = WalWriter(recovered)
    assert writer.release(trailing=0) == ()

    writer.begin_segment()
    assert writer.release(trailing=0) == ()

    writer.synced(writer.last_number)
    assert writer.release(trailing=0) == (1, 2)


# --- every crash


def open_driver(disk: SimulatedDisk) -> WalDriver:
    """Return a driver with small segments, so that many begin and go."""
    return WalDriver(disk, log_id=LOG, segment_bytes=400, trailing=3)


def live(disk: SimulatedDisk, rng: Random, *, groups: int) -> tuple[PersistModel, int]:
    """Write to a new disk until it stops; return what was written, and how much is reported."""
    model = PersistModel(rng, Stored())
    reported = 0
    try:
        driver = open_driver(disk)
        for _ in range(groups):
            reported = driver.write([model.next() for _ in range(rng.randint(1, 4))])
    except DiskStopped:
        pass
    return model, reported


def test_every_crash_leaves_a_prefix_with_all_that_was_reported(seed: int) -> None:
    check_crashes(open_driver, Random(seed), lives=80)


def test_a_crash_after_any_operation_of_one_life_is_survived(seed: int) -> None:
    def lived(stop_at: int | None) -> tuple[SimulatedDisk, PersistModel, int]:
        disk = SimulatedDisk(Random(seed), sector=64)
        disk.stop_at = stop_at
        return (disk, *live(disk, Random(seed), groups=8))

    operations = lived(None)[0].operations
    assert operations > 30
    for stop_at in range(operations):
        for _ in range(2):
            disk, model, reported = lived(stop_at)
            disk.crash()

            assert model.prefix(open_driver(disk).load()) >= reported


def test_no_flipped_bit_takes_away_what_was_reported(seed: int) -> None:
    rng = Random(seed)
    lives = []
    for _ in range(10):
        disk = SimulatedDisk(rng, sector=64)
        lives.append((disk, *live(disk, rng, groups=rng.randint(1, 12))))
    refused = 0
    for disk, model, reported in lives:
        for _ in range(60):
            name = rng.choice(disk.names())
            position, mask = rng.randrange(max(1, len(disk.read(name)))), 1 << rng.randrange(8)
            if not disk.read(name):
                continue
            damaged = deepcopy(disk)
            damaged.flip(name, position, mask)
            try:
                stored = open_driver(damaged).load()
            except (WalCorrupted, WalForeign, SnapshotMissing):
                refused += 1
            else:
                assert model.prefix(stored) >= reported
    assert refused > 100


# --- what the rules are for


def loses(seed: int) -> bool:
    """Return whether some crash loses what was reported."""
    rng = Random(seed)
    try:
        for _ in range(40):
            check_crashes(open_driver, rng, lives=6)
    except (AssertionError, WalCorrupted, SnapshotMissing):
        return True
    return False


def skip_sync_of(ending: str) -> Callable[[SimulatedDisk, str], None]:
    """Return a sync that does nothing for some files."""
    sync = SimulatedDisk.sync

    def skipping(disk: SimulatedDisk, name: str) -> None:
        if not name.endswith(ending):
            sync(disk, name)

    return skipping


def recover_only(driver: WalDriver) -> Recovered:
    """Recover without making durable what was read."""
    recovery = Recovery()
    for name in driver._names(".wal"):
        recovery.begin(int(name.partition(".")[0]))
        recovery.feed(driver._disk.read(name))
    return recovery.finish()


def release_all(writer: WalWriter, *, trailing: int) -> tuple[int, ...]:
    """Release every segment but the last."""
    released = [segment for segment in writer._segments if segment != writer.segment]
    for segment in released:
        del writer._segments[segment]
    return tuple(released)


def begin_without_sync(driver: WalDriver) -> None:
    """Begin a segment and say that it is durable."""
    data = driver._writer.begin_segment()
    driver._disk.append(f"{driver._writer.segment:08}.wal", data)
    driver._writer.synced(driver._writer.last_number)


def test_a_driver_that_keeps_all_rules_loses_nothing() -> None:
    assert not loses(1)


@pytest.mark.parametrize(
    ("rule", "owner", "name", "breach"),
    [
        (1, WalDriver, "_begin_segment", begin_without_sync),
        (1, SimulatedDisk, "sync_directory", lambda disk: None),
        (3, SimulatedDisk, "sync", skip_sync_of(".wal")),
        (4, SimulatedDisk, "sync", skip_sync_of(".snapshot")),
        (6, WalDriver, "_recover", recover_only),
        (7, WalWriter, "release", release_all),
    ],
)
def test_a_driver_that_breaks_a_rule_loses_what_it_reported(
    rule: int, owner: type, name: str, breach: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, breach)

    assert loses(1), f"nothing tells whether rule {rule} is kept"
