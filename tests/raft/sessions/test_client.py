"""A client's end of a session: what it proposes, and when again."""

from __future__ import annotations

import pytest

from raft.sessions import Command, Session, SessionFull, decode_request


def test_a_client_may_have_commands_under_way_together() -> None:
    session = Session(5)
    serials = [session.command(b"x")[0] for _ in range(3)]

    session.answered(2)

    assert serials == [1, 2, 3]
    assert session.outstanding == (1, 3)
    assert decode_request(session.again(3)) == Command(5, 3, 1, b"x")


def test_a_client_tells_up_to_where_it_has_all_answers() -> None:
    session = Session(5)
    for _ in range(3):
        session.command(b"x")
    for serial in (1, 2, 2):
        session.answered(serial)

    assert decode_request(session.again(3)) == Command(5, 3, 3, b"x")
    session.answered(3)
    assert decode_request(session.command(b"y")[1]) == Command(5, 4, 4, b"y")


def test_a_client_waits_for_the_oldest_command() -> None:
    session = Session(5, outstanding_max=2)
    session.command(b"x")
    session.command(b"y")
    session.answered(2)

    with pytest.raises(SessionFull, match="command 1 is still under way") as full:
        session.command(b"z")
    assert full.value.oldest == 1
    session.answered(1)
    assert session.command(b"z")[0] == 3


def test_only_what_is_under_way_is_proposed_again() -> None:
    with pytest.raises(ValueError, match="command 1 is not under way"):
        Session(5).again(1)


@pytest.mark.parametrize(("id_", "limit"), [(0, 1), (1, 0)])
def test_a_session_has_an_id_and_a_limit(id_: int, limit: int) -> None:
    with pytest.raises(ValueError, match="an id and a limit are at least 1"):
        Session(id_, outstanding_max=limit)


def test_a_session_may_have_one_command_under_way() -> None:
    session = Session(1, outstanding_max=1)
    session.command(b"x")

    with pytest.raises(SessionFull):
        session.command(b"y")
