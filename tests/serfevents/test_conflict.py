"""Two members of one name: seen, put to the vote, decided."""

from typing import Any

import pytest

from serfevents import (
    Address,
    NameConflictDecided,
    NameConflictSeen,
    PayloadRejected,
    SerfEvents,
    UserEventReceived,
)
from serfevents.wire.codec import decode_conflict_response, encode_conflict_response
from serfevents.wire.messages import ConflictResponse, Query
from tests.serfevents.vocabulary import (
    VERSIONS,
    Sent,
    Told,
    address,
    answer,
    drain,
    event,
    hears,
    machine,
    only,
    query,
    wait,
)

OTHER = address("y")


def voting(**changes: object) -> tuple[SerfEvents, Query]:
    """Return a member whose name is put to the vote, and the question."""
    a = machine("a", knows="bcdef", **changes)  # type: ignore[arg-type]
    a.name_conflict("a", OTHER, 0.0)
    (told,) = only(drain(a), Told)
    assert isinstance(told.message, Query)
    return a, told.message


def votes(made: SerfEvents, question: Query, *known: tuple[str, Address]) -> None:
    """Have members say where they know the name."""
    for name, where in known:
        payload = encode_conflict_response(ConflictResponse("a", where))
        hears(made, answer(question, name, payload), now=0.1)


def test_a_clash_over_our_name_is_put_to_the_vote() -> None:
    a = machine("a", knows="b")

    a.name_conflict("a", OTHER, 0.0)

    seen, told = drain(a)
    assert seen == NameConflictSeen("a", address("a"), OTHER, voting=True)
    assert (told.message.name, told.message.payload) == ("_serf_conflict", b"a")


def test_a_clash_over_the_name_of_others_is_told_only() -> None:
    a = machine("a", knows="b")

    a.name_conflict("b", OTHER, 0.0)
    a.name_conflict("z", OTHER, 0.0)
    a.name_conflict("b", address("b"), 0.0)

    assert drain(a) == [NameConflictSeen("b", address("b"), OTHER, voting=False)]


def test_who_has_the_majority_stays() -> None:
    a, question = voting()

    votes(a, question, ("b", address("a")), ("c", OTHER), ("d", address("a")))

    assert wait(a, 10.0) == [NameConflictDecided(True, 3, 2)]
    assert not a.is_over


@pytest.mark.parametrize("ours", [0, 1])
def test_who_has_none_is_over(ours: int) -> None:
    a, question = voting()
    known = [(name, address("a")) for name in "b"[:ours]]

    votes(a, question, *known, ("c", OTHER), ("d", OTHER))

    assert drain(a) == []
    assert wait(a, 10.0) == [NameConflictDecided(False, 2 + ours, ours)]
    assert a.is_over
    assert a.next_timeout() is None


def test_a_tie_is_no_majority() -> None:
    a, question = voting()

    votes(a, question, ("b", address("a")), ("c", OTHER))

    assert wait(a, 10.0) == [NameConflictDecided(False, 2, 1)]


def test_silence_is_no_verdict() -> None:
    """Serf would shut down: 0 of 0 is less than the 1 that it wants."""
    a, _ = voting()

    assert wait(a, 10.0) == [NameConflictDecided(True, 0, 0)]
    hears(a, event("x", 1), now=11.0)
    assert only(drain(a), UserEventReceived) != []


def test_the_vote_is_over_when_everybody_else_has_voted() -> None:
    a, question = voting()

    votes(a, question, *((name, address("a")) for name in "bcdef"))

    assert drain(a) == [NameConflictDecided(True, 5, 5)]


def test_who_does_not_know_the_name_has_no_vote() -> None:
    a, question = voting()
    unknown = encode_conflict_response(None)

    hears(a, answer(question, "b", unknown), answer(question, "c", unknown))

    assert wait(a, 10.0) == [NameConflictDecided(True, 0, 0)]


def test_a_vote_that_is_none_is_rejected() -> None:
    a, question = voting()

    hears(a, answer(question, "b", b"nonsense"))

    (out,) = only(drain(a), PayloadRejected)
    assert (out.source, out.reason) == ("b", "unknown-type")


def test_one_vote_is_held_at_a_time() -> None:
    a, _ = voting()

    a.name_conflict("a", OTHER, 0.5)
    again = drain(a)
    wait(a, 10.0)
    a.name_conflict("a", OTHER, 10.0)

    assert again == [NameConflictSeen("a", address("a"), OTHER, voting=False)]
    assert drain(a)[0].voting


@pytest.mark.parametrize("changes", [{"name_conflict_vote": False}, {"protocol_version": 3}])
def test_without_votes_a_clash_is_told_only(changes: dict[str, Any]) -> None:
    a = machine("a", knows="b", **changes)

    a.name_conflict("a", OTHER, 0.0)

    assert drain(a) == [NameConflictSeen("a", address("a"), OTHER, voting=False)]


def test_who_is_leaving_does_not_care() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)
    drain(a)

    a.name_conflict("a", OTHER, 0.0)

    assert [out.voting for out in drain(a)] == [False]


def test_without_room_for_the_question_the_vote_is_held_later() -> None:
    a = machine("a", knows="b", open_queries_max=1)
    a.query("load", b"", 0.0, timeout=1.0)
    drain(a)

    a.name_conflict("a", OTHER, 0.0)
    early = only(drain(a), Told)
    wait(a, 1.0)
    a.name_conflict("a", OTHER, 1.0)

    assert early == []
    assert len(only(drain(a), Told)) == 1


def test_a_vote_that_is_lost_ends_all_queries_once() -> None:
    a = machine("a", knows="bc")
    a.name_conflict("a", OTHER, 0.0)
    question = only(drain(a), Told)[0].message
    number = a.query("load", b"", 0.0, nodes=["b", "c"])
    asked = only(drain(a), Told)[0].message
    votes(a, question, ("b", OTHER))
    hears(a, answer(asked, "b"))
    drain(a)

    a.member_failed("c", 1.0)

    decided, finished, *_ = drain(a)
    assert decided == NameConflictDecided(False, 1, 0)
    assert (finished.query, finished.complete) == (number, False)


# --- voting ----------------------------------------------------------------------------------


def test_we_say_where_we_know_a_name() -> None:
    a = machine("a")
    a.member_joined("c", address("c"), b"web", VERSIONS, 0.0)
    drain(a)

    hears(a, query("_serf_conflict", payload=b"c"))

    (sent,) = only(drain(a), Sent)
    assert decode_conflict_response(sent.message.payload) == ConflictResponse(
        "c", address("c"), (("role", "web"),), 1, VERSIONS
    )


def test_a_member_without_versions_is_told_of_with_zeros() -> None:
    a = machine("a")
    a.member_joined("c", address("c"), b"", b"", 0.0)
    drain(a)

    hears(a, query("_serf_conflict", payload=b"c"))

    (sent,) = only(drain(a), Sent)
    assert decode_conflict_response(sent.message.payload).versions == bytes(6)


def test_we_say_that_we_do_not_know_a_name() -> None:
    a = machine("a", knows="b")

    hears(a, query("_serf_conflict", payload=b"z"))

    (sent,) = only(drain(a), Sent)
    assert sent.message.payload == b"\x06\xc0"


def test_whose_name_it_is_keeps_silent() -> None:
    a = machine("a", knows="b")

    hears(a, query("_serf_conflict", payload=b"a"))

    assert only(drain(a), Sent) == []
