"""Clients that break every rule: nothing is executed twice, and nothing grows without bound."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

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
    SessionExpired,
    SessionRegistered,
    Sessions,
    encode_request,
)
from tests.raft.effort import peak_of

LIMITS = {"sessions_max": 3, "outstanding_max": 4, "retained_bytes_max": 60}

NUMBERS = st.integers(1, 12)
REQUESTS = st.one_of(
    st.just(Register()),
    st.builds(Close, NUMBERS),
    st.builds(Command, NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=2)).map(
        lambda command: Command(
            command.session,
            max(command.serial, command.acknowledged),
            min(command.serial, command.acknowledged),
            command.payload,
        )
    ),
)


class Model:
    """Keeps for ever what was executed, and answers by it."""

    def __init__(self) -> None:
        self.executed: dict[tuple[int, int], bytes] = {}
        self.alive: set[int] = set()

    def check(self, request: Request, outcome: Outcome, response: bytes) -> None:
        """Assert that an outcome agrees with all that happened before."""
        match outcome:
            case Execute(session, serial, payload):
                assert session in self.alive
                assert (session, serial) not in self.executed
                assert request == Command(session, serial, request.acknowledged, payload)  # type: ignore[union-attr]
                self.executed[session, serial] = response
            case Duplicate(session, serial, answer):
                assert self.executed[session, serial] == answer
            case SessionExpired(session):
                assert session not in self.alive
            case SerialStale() | SerialAhead() | RequestMalformed():
                assert isinstance(request, Command)
            case SessionRegistered(session, expired):
                self.alive.add(session)
                self.alive -= set(expired)
            case _:
                self.alive.discard(outcome.session)


@given(st.lists(st.tuples(REQUESTS, st.binary(max_size=40)), max_size=60))
def test_whatever_clients_do_each_command_is_executed_at_most_once(
    log: list[tuple[Request, bytes]],
) -> None:
    sessions, model = Sessions(**LIMITS), Model()
    for index, (request, response) in enumerate(log, 1):
        outcome = sessions.apply(index, encode_request(request))
        model.check(request, outcome, response)
        if isinstance(outcome, Execute):
            model.alive -= set(sessions.executed(response))

        assert len(sessions) == len(model.alive) <= 3
        assert all(session in sessions for session in model.alive)
        assert sessions.retained_bytes <= 60
        restored = Sessions.restore(sessions.export())
        assert restored.export() == sessions.export()
        assert restored.retained_bytes == sessions.retained_bytes


def flood(rng: Random, count: int) -> Iterator[Request]:
    """Yield many requests of few clients, and of many that register and go."""
    for index in range(1, count):
        match rng.randrange(4):
            case 0:
                yield Register()
            case 1:
                yield Command(rng.randint(1, index), rng.choice((1, 2**63 - 1)), 1, b"x")
            case _:
                serial = rng.randint(1, 300)
                yield Command(max(1, index - rng.randint(1, 9)), serial, 1, b"x")


def test_a_flood_takes_no_more_memory_the_longer_it_lasts() -> None:
    limits = {"sessions_max": 20, "outstanding_max": 8, "retained_bytes_max": 2000}

    def run(count: int) -> Sessions:
        sessions = Sessions(**limits)
        for index, request in enumerate(flood(Random(1), count), 1):
            if isinstance(sessions.apply(index, encode_request(request)), Execute):
                sessions.executed(bytes(20))
        assert len(sessions) == 20
        return sessions

    assert peak_of(lambda: run(20_000)) < 1.5 * peak_of(lambda: run(2_000))
    assert len(run(20_000).export()) < 20 * 8 * (20 + 16) + 1000


def test_a_serial_used_again_for_another_command_is_answered_as_before() -> None:
    sessions = Sessions()
    sessions.apply(1, encode_request(Register()))
    sessions.apply(2, encode_request(Command(1, 1, 1, b"add 1")))
    sessions.executed(b"now 1")

    outcome = sessions.apply(3, encode_request(Command(1, 1, 1, b"add 1000")))

    assert outcome == Duplicate(1, 1, b"now 1")


def test_who_claims_answers_it_never_had_only_harms_itself() -> None:
    sessions = Sessions()
    sessions.apply(1, encode_request(Register()))
    sessions.apply(2, encode_request(Register()))

    for index, session in enumerate((1, 2), 3):
        sessions.apply(index, encode_request(Command(session, 1, 1, b"x")))
        sessions.executed(b"done")
    last = 2**63 - 1
    assert isinstance(sessions.apply(5, encode_request(Command(1, last, last, b"y"))), Execute)
    sessions.executed(b"")

    assert sessions.apply(6, encode_request(Command(1, 2, 2, b"z"))) == SerialStale(1, 2)
    assert sessions.apply(7, encode_request(Command(2, 1, 1, b"x"))) == Duplicate(2, 1, b"done")
