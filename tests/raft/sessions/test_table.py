"""Sessions: copies are answered, not executed, whatever the log holds and in what order."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.sessions import (
    Close,
    Command,
    Duplicate,
    Execute,
    Outcome,
    Register,
    Request,
    RequestMalformed,
    SerialAhead,
    SerialStale,
    Session,
    SessionClosed,
    SessionExpired,
    SessionFull,
    SessionRegistered,
    Sessions,
    encode_request,
)


class Replica:
    """Applies a log to a table, executing by noting what was executed."""

    def __init__(self, **limits: int) -> None:
        self.sessions = Sessions(**limits)
        self.executed: list[tuple[int, int, bytes]] = []
        self.expired: list[int] = []
        self.index = 0

    def apply(self, request: Request | bytes, *, index: int | None = None) -> Outcome:
        """Apply one request at the next index, and execute what is to be executed."""
        self.index = self.index + 1 if index is None else index
        data = request if isinstance(request, bytes) else encode_request(request)
        outcome = self.sessions.apply(self.index, data)
        match outcome:
            case Execute(session, serial, payload):
                self.executed.append((session, serial, payload))
                self.expired += self.sessions.executed(b"did " + payload)
            case SessionRegistered(_, expired):
                self.expired += expired
        return outcome

    def register(self, count: int = 1) -> int:
        """Open sessions; return the last."""
        for _ in range(count):
            assert isinstance(self.apply(Register()), SessionRegistered)
        return self.index

    def check(self) -> None:
        """Assert that a snapshot of it is the same table."""
        exported = self.sessions.export()
        restored = Sessions.restore(exported)

        assert restored.export() == exported
        assert len(restored) == len(self.sessions)
        assert restored.retained_bytes == self.sessions.retained_bytes


# --- once


def test_a_session_is_called_by_the_index_at_which_it_was_opened() -> None:
    replica = Replica()

    assert replica.apply(Register(), index=7) == SessionRegistered(7, ())
    assert 7 in replica.sessions
    assert len(replica.sessions) == 1


def test_a_command_that_stands_in_the_log_twice_is_executed_once() -> None:
    replica = Replica()
    command = Command(replica.register(), 1, 1, b"x")

    first, second = replica.apply(command), replica.apply(command)

    assert first == Execute(1, 1, b"x")
    assert second == Duplicate(1, 1, b"did x")
    assert replica.executed == [(1, 1, b"x")]


def test_commands_of_one_session_may_be_committed_in_any_order() -> None:
    replica = Replica()
    session = replica.register()

    for serial in (3, 1, 2, 1, 3):
        replica.apply(Command(session, serial, 1, b"%d" % serial))

    assert [serial for _, serial, _ in replica.executed] == [3, 1, 2]


def test_serials_of_one_session_mean_nothing_to_another() -> None:
    replica = Replica()
    one, other = replica.register(), replica.register()

    replica.apply(Command(one, 1, 1, b"x"))
    replica.apply(Command(other, 1, 1, b"y"))

    assert replica.executed == [(one, 1, b"x"), (other, 1, b"y")]


def test_an_empty_answer_is_an_answer() -> None:
    sessions = Sessions()
    sessions.apply(1, encode_request(Register()))
    command = encode_request(Command(1, 1, 1, b"x"))
    sessions.apply(2, command)
    sessions.executed(b"")

    assert sessions.apply(3, command) == Duplicate(1, 1, b"")


def test_an_answer_is_dropped_once_the_client_has_it() -> None:
    replica = Replica()
    session = replica.register()
    replica.apply(Command(session, 1, 1, b"x"))
    replica.apply(Command(session, 2, 1, b"y"))
    kept = replica.sessions.retained_bytes

    replica.apply(Command(session, 3, 2, b""))

    assert kept == len(b"did xdid y")
    assert replica.sessions.retained_bytes == len(b"did ydid ")
    assert replica.apply(Command(session, 1, 1, b"x")) == SerialStale(session, 1)
    assert replica.apply(Command(session, 2, 1, b"y")) == Duplicate(session, 2, b"did y")
    assert len(replica.executed) == 3


def test_a_session_that_is_gone_executes_nothing() -> None:
    """Dissertation 6.3: it must be an error, as it may be a copy of what was executed."""
    replica = Replica()
    session = replica.register()
    command = Command(session, 1, 1, b"x")
    replica.apply(command)
    assert replica.apply(Close(session)) == SessionClosed(session)

    assert replica.apply(command) == SessionExpired(session, 1)
    assert replica.apply(Close(session)) == SessionExpired(session, 0)
    assert replica.apply(Command(99, 1, 1, b"x")) == SessionExpired(99, 1)
    assert len(replica.executed) == 1
    assert replica.sessions.retained_bytes == 0


# --- bounds


def test_one_session_too_many_makes_the_longest_unused_expire() -> None:
    replica = Replica(sessions_max=3)
    replica.register(3)
    replica.apply(Command(1, 1, 1, b"x"))
    replica.apply(Command(1, 1, 1, b"x"))
    replica.apply(Command(2, 1, 1, b"y"))

    outcome = replica.apply(Register())

    assert outcome == SessionRegistered(replica.index, (3,))
    assert [session for session in range(9) if session in replica.sessions] == [1, 2, 7]


def test_what_a_session_has_under_way_is_bounded() -> None:
    replica = Replica(outstanding_max=2)
    session = replica.register()

    assert replica.apply(Command(session, 3, 1, b"c")) == SerialAhead(session, 3)
    assert replica.apply(Command(session, 2, 1, b"b")) == Execute(session, 2, b"b")
    assert replica.apply(Command(session, 3, 2, b"c")) == Execute(session, 3, b"c")


def test_answers_are_bounded_in_bytes_over_all_sessions() -> None:
    replica = Replica(retained_bytes_max=20)
    replica.register(2)
    replica.apply(Command(1, 1, 1, b"123456"))
    assert replica.expired == []

    replica.apply(Command(2, 1, 1, b"1234567"))

    assert replica.expired == [1]
    assert 1 not in replica.sessions
    assert replica.sessions.retained_bytes == 11


def test_a_session_that_keeps_too_much_itself_expires_too() -> None:
    replica = Replica(retained_bytes_max=20)
    session = replica.register()

    replica.apply(Command(session, 1, 1, b"123456"))
    replica.apply(Command(session, 2, 1, b"1234567"))

    assert replica.expired == [session]
    assert replica.apply(Command(session, 2, 1, b"1234567")) == SessionExpired(session, 2)


# --- mistakes


@pytest.mark.parametrize("limit", ["sessions_max", "outstanding_max", "retained_bytes_max"])
def test_limits_are_at_least_one(limit: str) -> None:
    with pytest.raises(ValueError, match="limits must be at least 1"):
        Sessions(**{limit: 0})


def test_nothing_goes_on_before_a_command_is_executed() -> None:
    sessions = Sessions()
    sessions.apply(1, encode_request(Register()))
    sessions.apply(2, encode_request(Command(1, 1, 1, b"x")))

    with pytest.raises(ValueError, match="is not executed"):
        sessions.apply(3, encode_request(Register()))
    with pytest.raises(ValueError, match="is not executed"):
        sessions.export()
    sessions.executed(b"")
    with pytest.raises(ValueError, match="nothing was to be executed"):
        sessions.executed(b"")


def test_an_answer_that_could_never_be_kept_is_refused_and_another_may_be_given() -> None:
    sessions = Sessions(retained_bytes_max=4)
    sessions.apply(1, encode_request(Register()))
    sessions.apply(2, encode_request(Command(1, 1, 1, b"x")))

    with pytest.raises(ValueError, match="an answer has at most 4 bytes"):
        sessions.executed(b"12345")
    assert sessions.executed(b"1234") == ()


def test_no_entry_is_applied_twice() -> None:
    replica = Replica()
    replica.apply(Register(), index=4)

    with pytest.raises(ValueError, match="entry 4 was applied before"):
        replica.apply(Register(), index=4)
    with pytest.raises(ValueError, match="entry 0"):
        replica.apply(Register(), index=0)


# --- requests that are none


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01\x03", b"\x92\x02\x00"])
def test_what_is_no_request_is_malformed_and_changes_nothing(data: bytes) -> None:
    replica = Replica()
    before = replica.sessions.export()

    outcome = replica.apply(data)

    assert isinstance(outcome, RequestMalformed)
    assert outcome.reason.startswith("not a request")
    assert replica.sessions.export() == before


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    replica = Replica()

    replica.apply(data)

    replica.check()


# --- snapshots


def test_a_restored_table_goes_on_as_the_first_would() -> None:
    replica = Replica(sessions_max=2, outstanding_max=3)
    replica.register(2)
    replica.apply(Command(1, 1, 1, b"x"))
    replica.apply(Command(1, 3, 1, b"y"))

    restored = Sessions.restore(replica.sessions.export())

    assert restored.apply(9, encode_request(Command(1, 1, 1, b"x"))) == Duplicate(1, 1, b"did x")
    assert restored.apply(10, encode_request(Register())) == SessionRegistered(10, (2,))
    assert restored.apply(11, encode_request(Command(1, 4, 1, b""))) == SerialAhead(1, 4)


def exported(**changes: object) -> bytes:
    """Return a small exported table with some of its elements replaced."""
    replica = Replica(sessions_max=2, outstanding_max=3, retained_bytes_max=50)
    replica.register(2)
    replica.apply(Command(1, 2, 1, b"x"))
    names = [
        "version",
        "sessions_max",
        "outstanding_max",
        "retained_bytes_max",
        "ids",
        "bounds",
        "counts",
        "serials",
        "lengths",
        "blob",
    ]
    elements = dict(zip(names, msgpack.unpackb(replica.sessions.export()), strict=True))
    return bytes(msgpack.packb(list((elements | changes).values())))


def numbers(*values: int) -> bytes:
    """Return a column of numbers."""
    return b"".join(value.to_bytes(8, "little") for value in values)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"sessions_max": 0},
        {"sessions_max": "2"},
        {"sessions_max": 1},
        {"outstanding_max": 1},
        {"retained_bytes_max": 4},
        {"ids": numbers(2)},
        {"ids": numbers(2, 2)},
        {"bounds": numbers(1)},
        {"bounds": numbers(1, 3)},
        {"counts": numbers(0, 0)},
        {"counts": numbers(0, 2)},
        {"counts": numbers(0, 4)},
        {"counts": numbers(2**63, 1)},
        {"serials": numbers(4)},
        {"serials": numbers(2, 3)},
        {"serials": b"1"},
        {"lengths": b""},
        {"blob": None},
        {"more": 0},
    ],
)
def test_what_is_no_table_is_refused(changes: dict[str, object]) -> None:
    assert Sessions.restore(exported()).export() == exported()

    with pytest.raises(ValueError, match="not a table of sessions"):
        Sessions.restore(exported(**changes))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"\x01"])
def test_what_is_no_array_is_no_table(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a table of sessions"):
        Sessions.restore(data)


# --- a log that holds copies, late ones too


def log_of_clients(rng: Random, *, window: int) -> Iterable[bytes]:
    """Yield what clients propose, each copy as often and as late as the network likes."""
    sessions: dict[int, Session] = {}
    late: list[bytes] = []
    index = 0
    while index < 300:
        index += 1
        if not sessions or rng.random() < 0.03:
            sessions[index] = Session(index, outstanding_max=window)
            yield encode_request(Register())
            continue
        session = rng.choice(list(sessions.values()))
        if late and rng.random() < 0.3:
            yield late.pop(rng.randrange(len(late)))
            continue
        for serial in session.outstanding:
            if rng.random() < 0.3:
                session.answered(serial)
        try:
            serial, data = session.command(rng.randbytes(3))
        except SessionFull as full:
            data = session.again(full.oldest)
        late += [data] * rng.randint(0, 3)
        yield data


def test_no_command_is_executed_twice_and_replicas_agree(seed: int) -> None:
    rng = Random(seed)
    limits = {"sessions_max": 4, "outstanding_max": 5, "retained_bytes_max": 120}
    one, other = Replica(**limits), Replica(**limits)
    for data in log_of_clients(rng, window=5):
        assert one.apply(data) == other.apply(data)
        if rng.random() < 0.1:
            # As a follower that was sent a snapshot.
            other.sessions = Sessions.restore(one.sessions.export())

        assert one.sessions.export() == other.sessions.export()
        assert len(one.sessions) <= 4
        assert one.sessions.retained_bytes <= 120
    keys = [(session, serial) for session, serial, _ in one.executed]
    assert len(keys) == len(set(keys)) > 50
    assert one.executed == other.executed
