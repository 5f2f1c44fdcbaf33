"""The parts of the replicated store without processes: its log on disk, its machine, its state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from examples.replicated.disk import DirectoryInUse, LogDirectory
from examples.replicated.machine import TICK_INTERVAL, Answered, ReplicatedStore
from examples.replicated.narration import narrate
from examples.replicated.replica import ANSWER_BYTES_MAX, Replica, request_entry, upkeep_entry
from examples.replicated.wire import Answer, Done, Gone, Opened, Oversized, Refused, Retry
from kvstore.codec.codec import decode_result, encode_command
from kvstore.commands import Get, Put, Range, Rebase
from kvstore.results import GetOk, PutOk
from raft import (
    Config,
    Configuration,
    ConfigurationChanged,
    Entries,
    Entry,
    HardState,
    LeaderChanged,
    LogRegression,
    Persist,
    QuiescenceChanged,
    Role,
    SendMessage,
    Snapshot,
    SnapshotInstalled,
)
from raft.outputs import Cause, RoleChanged
from raft.sessions import Close, Command, Register, Session, encode_request
from raft.wal.recovered import SnapshotMissing
from raft.wal.recovery import WalCorrupted

ONE = Configuration(voters=["n1"])


# --- the log on disk -------------------------------------------------------------------------


def persist(seq: int, first: int, *payloads: bytes, snapshot: Snapshot | None = None) -> Persist:
    entries = Entries.of(Entry(1, first + at, payload) for at, payload in enumerate(payloads))
    return Persist(seq, HardState(1, "n1", first - 1), entries, snapshot)


def payloads(disk: LogDirectory) -> list[bytes]:
    return list(disk.stored.entries.payloads)


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path / "log")

    assert disk.write([persist(1, 1, b"a", b"b"), persist(2, 3, b"c")]) == 2
    disk.close()

    again = LogDirectory(tmp_path / "log")
    assert payloads(again) == [b"a", b"b", b"c"]
    assert again.stored.hard_state == HardState(1, "n1", 2)
    assert again.recovered.torn is None


def test_many_persists_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = LogDirectory(tmp_path)
    syncs: list[int] = []
    monkeypatch.setattr(os, "fsync", syncs.append)

    disk.write([persist(seq, seq, b"x") for seq in range(1, 101)])

    assert len(syncs) == 1
    assert disk.syncs == 1


def test_one_process_at_a_time_has_a_directory(tmp_path: Path) -> None:
    first = LogDirectory(tmp_path)

    with pytest.raises(DirectoryInUse):
        LogDirectory(tmp_path)

    first.close()
    LogDirectory(tmp_path).close()


def test_a_torn_write_loses_nothing_that_was_reported_wherever_it_is_torn(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path / "log")
    disk.write([persist(1, 1, b"reported")])
    path = tmp_path / "log" / "00000001.wal"
    durable = path.stat().st_size
    disk.write([persist(2, 2, b"torn")])
    disk.close()
    size = path.stat().st_size
    outcomes = set()

    for length in range(durable, size + 1):
        copy = tmp_path / f"copy-{length}"
        shutil.copytree(tmp_path / "log", copy)
        os.truncate(copy / "00000001.wal", length)
        again = LogDirectory(copy)
        outcomes.add(tuple(payloads(again)))
        again.write([persist(1, 2, b"new")])
        again.close()
        assert payloads(LogDirectory(copy)) == [b"reported", b"new"]

    assert outcomes == {(b"reported",), (b"reported", b"torn")}


def test_damage_in_what_was_durable_is_refused(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path)
    disk.write([persist(1, 1, b"reported")])
    disk.close()
    path = tmp_path / "00000001.wal"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"reported", b"rep0rted"))

    with pytest.raises(WalCorrupted):
        LogDirectory(tmp_path)

    path.write_bytes(content)
    assert payloads(LogDirectory(tmp_path)) == [b"reported"]


def test_segments_and_snapshots_that_are_not_needed_are_deleted(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path, segment_bytes=300, trailing=2)
    for index in range(1, 41):
        snapshot = Snapshot(index - 1, 1, ONE, 1, b"%d" % index) if index % 10 == 0 else None
        disk.write([persist(index, index, b"x" * 50, snapshot=snapshot)])
    disk.close()

    segments = sorted(int(path.stem) for path in tmp_path.glob("*.wal"))
    assert segments[0] > 1
    assert len(segments) < 6
    assert len(list(tmp_path.glob("*.snapshot"))) == 1
    again = LogDirectory(tmp_path, trailing=2)
    assert again.stored.snapshot is not None
    assert (again.stored.snapshot.index, again.stored.snapshot.data) == (39, b"40")
    assert again.stored.entries.first_index == 38
    assert again.stored.entries.last_index == 40


def test_a_snapshot_of_a_crash_is_passed_over_and_deleted(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path)
    disk.write([persist(1, 1, b"a", snapshot=Snapshot(0, 0, ONE, 0, b"whole"))])
    disk.close()
    (tmp_path / f"{99:020}.snapshot").write_bytes(b"half")

    again = LogDirectory(tmp_path)
    again.write([persist(1, 2, b"b")])

    assert again.stored.snapshot is not None
    assert again.stored.snapshot.data == b"whole"
    assert [path.read_bytes() for path in tmp_path.glob("*.snapshot")] == [b"whole"]


def test_a_snapshot_that_is_gone_is_missed(tmp_path: Path) -> None:
    disk = LogDirectory(tmp_path)
    disk.write([persist(1, 2, b"b", snapshot=Snapshot(1, 1, ONE, 1, b"state"))])
    disk.close()
    for path in tmp_path.glob("*.snapshot"):
        path.unlink()

    with pytest.raises(SnapshotMissing):
        LogDirectory(tmp_path)


def test_everything_is_synced_before_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = LogDirectory(tmp_path, segment_bytes=1)
    calls: list[tuple[str, str]] = []

    def spy(name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(file: int, *rest: Any) -> Any:
            target = Path(f"/proc/self/fd/{file}").readlink()
            calls.append((name, target.suffix or "directory"))
            return real(file, *rest)

        monkeypatch.setattr(os, name, call)

    spy("write")
    spy("fsync")

    disk.write([persist(1, 2, b"b", snapshot=Snapshot(1, 1, ONE, 1, b"state"))])

    assert calls == [
        # The old segment's end, the new segment's beginning, its name.
        ("fsync", ".wal"),
        ("write", ".wal"),
        ("fsync", ".wal"),
        ("fsync", "directory"),
        # The snapshot and its name, before the record that tells of it.
        ("write", ".snapshot"),
        ("fsync", ".snapshot"),
        ("fsync", "directory"),
        ("write", ".wal"),
        ("fsync", ".wal"),
        # The mark that all is durable, and one directory sync for each segment that is deleted.
        ("write", ".wal"),
    ]


# --- the machine -----------------------------------------------------------------------------


class Alone:
    """A cluster of one server, whose disk is as fast as it is asked."""

    def __init__(self, *, compact_every: int = 1000, **options: Any) -> None:
        self.machine = ReplicatedStore(
            "n1", Config(**options), rng=Random(1), now=0.0, compact_every=compact_every
        )
        self.outputs: list[Any] = []
        self.now = 0.0

    def led(self) -> Alone:
        self.machine.bootstrap(ONE, self.now)
        self.drain()
        self.machine.campaign(self.now)
        self.drain()
        assert self.machine.raft.role is Role.LEADER
        return self

    def drain(self) -> list[Any]:
        """Fetch all outputs, writing what is to be written."""
        came = []
        while (output := self.machine.poll()) is not None:
            came.append(output)
            if isinstance(output, Persist):
                self.machine.persisted(output.seq, self.now)
        self.outputs += came
        return came

    def answer(self, request: int) -> Answer:
        self.drain()
        (found,) = [
            each.answer
            for each in self.outputs
            if isinstance(each, Answered) and each.request == request
        ]
        return found

    def execute(self, request: bytes) -> Answer:
        return self.answer(self.machine.execute(request, self.now))

    def session(self) -> Session:
        opened = self.execute(encode_request(Register()))
        assert isinstance(opened, Opened)
        return Session(opened.session)


def test_a_command_that_is_sent_twice_is_executed_once() -> None:
    alone = Alone().led()
    _, request = alone.session().command(encode_command(Put("a", b"1", cas=0)))

    first, second = alone.execute(request), alone.execute(request)

    assert first == second
    assert isinstance(first, Done)
    assert isinstance(decode_result(first.result), PutOk)


def test_reads_are_answered_from_what_was_committed() -> None:
    alone = Alone().led()
    alone.execute(alone.session().command(encode_command(Put("a", b"1")))[1])

    answer = alone.answer(alone.machine.query(encode_command(Get("a")), alone.now))

    assert isinstance(answer, Done)
    result = decode_result(answer.result)
    assert isinstance(result, GetOk)
    assert result.entry is not None
    assert result.entry.value == b"1"


def test_many_requests_between_two_polls_are_one_write() -> None:
    alone = Alone().led()
    session = alone.session()
    for number in range(100):
        request = session.command(encode_command(Put(f"key-{number}", b"")))[1]
        alone.machine.execute(request, alone.now)

    came = alone.drain()

    assert len([each for each in came if isinstance(each, Persist) and each.entries]) == 1
    assert len([each for each in came if isinstance(each, Answered)]) == 100


def test_a_server_that_does_not_lead_says_so() -> None:
    machine = ReplicatedStore("n1", Config(), rng=Random(1), now=0.0)

    executed, asked = machine.execute(b"x", 0.0), machine.query(b"x", 0.0)
    machine.handle_timeout(60.0)

    answers = [each for each in iter(machine.poll, None) if isinstance(each, Answered)]
    assert answers == [
        Answered(executed, Retry("this server does not lead")),
        Answered(asked, Retry("no leader is known")),
    ]


def test_what_is_too_large_to_propose_is_refused() -> None:
    alone = Alone(payload_size_max=100).led()

    assert isinstance(alone.execute(bytes(101)), Refused)


def test_misuse_raises_and_changes_nothing() -> None:
    alone = Alone().led()
    alone.drain()

    for misuse in (alone.machine.execute, alone.machine.query):
        with pytest.raises(TypeError):
            misuse("text", 0.0)  # type: ignore[arg-type]

    assert alone.drain() == []
    assert alone.machine.execute(encode_request(Register()), 0.0) == 1


def test_a_state_is_compacted_and_a_restarted_server_goes_on_from_it() -> None:
    alone = Alone(compact_every=10, trailing_entries=0).led()
    session = alone.session()
    for number in range(30):
        serial, request = session.command(encode_command(Put(f"key-{number}", b"x")))
        alone.execute(request)
        session.answered(serial)
    snapshot = alone.machine.raft.snapshot
    assert snapshot is not None
    assert snapshot.index >= 10

    replica = Replica()
    replica.restore(bytes(snapshot.data))

    assert replica.index == snapshot.index
    assert replica.store.count("key-") >= 5
    assert session.id in replica.sessions


def test_the_leader_ends_keys_that_are_due() -> None:
    alone = Alone().led()
    alone.now = 1.0
    alone.execute(alone.session().command(encode_command(Put("brief", b"", ttl=2000)))[1])
    alone.machine.unreachable("nobody", alone.now)  # any input

    due = 3.0
    while (at := alone.machine.next_timeout()) is not None and at < due + TICK_INTERVAL:
        assert at > alone.now or alone.now == 1.0
        assert alone.now >= due or alone.machine.replica.store.get("brief") is not None
        alone.now = max(at, alone.now)
        alone.machine.handle_timeout(alone.now)
        alone.drain()

    assert alone.machine.replica.store.get("brief") is None


def test_an_early_timeout_changes_nothing() -> None:
    alone = Alone().led()
    alone.drain()
    due = alone.machine.next_timeout()
    assert due is not None

    alone.machine.handle_timeout(due - 0.01)

    assert alone.machine.next_timeout() == due
    assert alone.drain() == []


def test_a_leader_that_is_replaced_lets_its_clients_ask_again() -> None:
    machines = {
        name: ReplicatedStore(name, Config(), rng=Random(name), now=0.0)
        for name in ("n1", "n2", "n3")
    }
    cut: set[str] = set()

    def settle(now: float) -> list[Any]:
        answers = []
        busy = True
        while busy:
            busy = False
            for name, machine in machines.items():
                while (output := machine.poll()) is not None:
                    busy = True
                    match output:
                        case Persist(seq=seq):
                            machine.persisted(seq, now)
                        case SendMessage() if not {name, output.to} & cut:
                            machines[output.to].receive(output.message, now)
                        case Answered():
                            answers.append(output)
                        case _:
                            pass
        return answers

    for machine in machines.values():
        machine.bootstrap(Configuration(voters=machines), 0.0)
    settle(0.0)
    machines["n1"].campaign(0.0)
    settle(0.0)
    cut.add("n1")
    request = machines["n1"].execute(encode_request(Register()), 0.0)
    settle(0.0)
    machines["n2"].handle_timeout(5.0)
    machines["n3"].handle_timeout(5.0)
    settle(5.0)
    machines["n2"].campaign(5.0)
    settle(5.0)
    assert machines["n2"].raft.role is Role.LEADER
    cut.clear()
    due = machines["n2"].next_timeout()
    assert due is not None
    machines["n2"].handle_timeout(due)

    answers = settle(due)

    assert answers == [Answered(request, Retry("another leader took over", "n2"))]


# --- the state -------------------------------------------------------------------------------


def registered() -> Replica:
    replica = Replica()
    replica.apply(1, request_entry(encode_request(Register()), 0))
    return replica


def command(payload: bytes, serial: int = 1, session: int = 1) -> bytes:
    return request_entry(encode_request(Command(session, serial, 1, payload)), 5)


def test_whatever_an_entry_holds_is_answered() -> None:
    replica = registered()

    assert isinstance(replica.apply(2, b""), Refused)
    assert isinstance(replica.apply(3, b"\x07other"), Refused)
    assert isinstance(replica.apply(4, b"\x00short"), Refused)
    assert isinstance(replica.apply(5, request_entry(b"no request", 0)), Refused)
    assert isinstance(replica.apply(6, command(b"no command")), Done)
    assert isinstance(replica.apply(7, command(b"", serial=5000)), Refused)
    assert replica.apply(8, command(b"", session=9)) == Gone()
    assert replica.apply(9, upkeep_entry(Rebase(), 0)) is None
    assert replica.apply(10, request_entry(encode_request(Close(1)), 0)) == Done(b"")
    assert replica.apply(11, request_entry(encode_request(Close(1)), 0)) == Gone()


def test_answers_that_are_too_large_are_not_kept_but_the_command_is_executed_once() -> None:
    replica = registered()
    count = ANSWER_BYTES_MAX // 400_000 + 1
    for number in range(count):
        replica.apply(
            2 + number, command(encode_command(Put(f"{number}", bytes(400_000))), 1 + number)
        )
    listing = command(encode_command(Range("")), 90)
    retained = replica.sessions.retained_bytes

    assert replica.apply(50, listing) == Oversized()
    assert replica.apply(51, listing) == Oversized()
    assert replica.query(encode_command(Range(""))) == Oversized()
    assert replica.sessions.retained_bytes == retained


def test_a_snapshot_is_of_the_moment_it_was_begun() -> None:
    replica = registered()
    replica.apply(2, command(encode_command(Put("a", b"1")), 1))
    before = replica.digest
    pieces = replica.snapshot_pieces()
    replica.apply(3, command(encode_command(Put("a", b"2")), 2))

    restored = Replica()
    restored.restore(b"".join(pieces))

    assert restored.digest == before != replica.digest
    assert restored.index == 2


def test_the_same_entries_make_the_same_bytes() -> None:
    first, second = registered(), registered()
    for replica in (first, second):
        replica.apply(2, command(encode_command(Put("a", b"1", ttl=100)), 1))

    assert first.snapshot() == second.snapshot()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (RoleChanged(Role.LEADER, Role.CANDIDATE, 3, Cause.ELECTION_WON), "LEADS in term 3"),
        (
            RoleChanged(Role.FOLLOWER, Role.LEADER, 3, Cause.QUORUM_LOST),
            "leads no longer, in term 3: no quorum was heard in time",
        ),
        (
            RoleChanged(Role.PRE_CANDIDATE, Role.FOLLOWER, 3, Cause.TIMEOUT),
            "asks who would vote for it: no leader was heard in time",
        ),
        (RoleChanged(Role.CANDIDATE, Role.PRE_CANDIDATE, 3, Cause.PRE_VOTE_WON), ""),
        (LeaderChanged(None, 3), "knows of no leader"),
        (LeaderChanged("n2", 3), "knows that n2 leads in term 3"),
        (ConfigurationChanged(ONE, Configuration(), 1), "is in a cluster of n1"),
        (SnapshotInstalled(Snapshot(7, 1, ONE, 1, b"")), "took over a snapshot of all up to 7"),
        (LogRegression(3, 9), "LOST ITS MEMORY: has 3 entries, had 9; it will not vote"),
        (QuiescenceChanged(quiescent=True), ""),
    ],
)
def test_events_are_told_in_words(event: object, line: str) -> None:
    assert narrate(event) == line
