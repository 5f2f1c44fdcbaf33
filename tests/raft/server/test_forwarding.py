"""Proposals that followers forward, until their outcome is known."""

from __future__ import annotations

import pytest

from raft import Config, Drop, ForwardFinished, Outcome, ProposalDropped
from raft.entries import LogIds
from raft.messages import AppendEntries, AppendEntriesResponse, Propose, ProposeResponse
from tests.raft.vocabulary import THREE, Servers, drain, entries, of, sent

OPEN = Config(forwarding=True, pre_vote=False, check_quorum=False)


def led(config: Config = OPEN, **options: object) -> Servers:
    servers = Servers(*THREE, config=config, **options)  # type: ignore[arg-type]
    servers.elect("a")
    return servers


@pytest.mark.parametrize("name", THREE)
def test_a_forwarded_batch_is_committed_and_told_so(name: str) -> None:
    servers = led()

    request = servers[name].forward([b"x", b"y"], servers.now)
    servers.deliver()
    servers.advance(0.3)

    assert servers.applied[name] == [(3, b"x"), (4, b"y")]
    assert servers.events[name][-1] == ForwardFinished(
        request, Outcome.COMMITTED, LogIds(2, 3, 4), None, "a"
    )
    assert servers[name].next_timeout() != 100.0


def test_without_a_leader_nothing_is_forwarded() -> None:
    with pytest.raises(ProposalDropped) as refused:
        Servers(*THREE, config=OPEN)["a"].forward([b"x"], 100.0)

    assert refused.value.reason is Drop.NO_LEADER


def test_forwarding_has_to_be_switched_on() -> None:
    servers = led(config=Config())
    with pytest.raises(ProposalDropped) as refused:
        servers["b"].forward([b"x"], servers.now)

    assert (refused.value.reason, refused.value.leader) == (Drop.FORWARDING_OFF, "a")


def test_only_so_many_wait() -> None:
    servers = led(config=Config(forwarding=True, forwarded_max=1))
    servers["b"].forward([b"x"], servers.now)

    with pytest.raises(ProposalDropped) as refused:
        servers["b"].forward([b"x"], servers.now)

    assert refused.value.reason is Drop.TOO_MANY


@pytest.mark.parametrize(
    ("leaders", "reason"),
    [
        (Config(forwarding=False), Drop.FORWARDING_OFF),
        (Config(forwarding=True, payload_size_max=1), Drop.TOO_LARGE),
    ],
)
def test_what_the_leader_does_not_take_is_dropped_with_its_reason(
    leaders: Config, reason: Drop
) -> None:
    servers = led(configs={"a": leaders})

    request = servers["b"].forward([b"large"], servers.now)
    servers.deliver()

    finished = servers.event("b", ForwardFinished)
    assert finished == ForwardFinished(request, Outcome.DROPPED, None, reason, "a")


def test_who_does_not_lead_says_so() -> None:
    servers = led()

    servers["b"].receive(Propose("b", "c", 0, 7, (b"x",)), servers.now)
    servers["a"].receive(Propose("a", "c", 0, 8, ()), servers.now)

    [answer] = of(ProposeResponse, sent(drain(servers["b"])))
    assert (answer.request, answer.reason) == (7, Drop.NOT_LEADER)
    [answer] = of(ProposeResponse, sent(drain(servers["a"])))
    assert (answer.request, answer.reason) == (8, Drop.TOO_LARGE)


def test_a_request_that_is_not_answered_expires() -> None:
    servers = led()
    request = servers["b"].forward([b"x"], servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, Propose))

    servers.advance(3.9)
    assert of(ForwardFinished, servers.events["b"]) == []
    servers.advance(0.2)

    finished = servers.event("b", ForwardFinished)
    assert finished == ForwardFinished(request, Outcome.EXPIRED, None, None, "a")


def test_answers_that_come_twice_or_from_others_change_nothing() -> None:
    servers = led()
    request = servers["b"].forward([b"x"], servers.now)
    servers["b"].receive(ProposeResponse("b", "c", 2, request, 2, 9), servers.now)
    servers["b"].receive(ProposeResponse("b", "a", 2, 12345, 2, 9), servers.now)
    servers.deliver()
    servers.advance(0.3)

    servers["b"].receive(ProposeResponse("b", "a", 2, request, 2, 9), servers.now)
    servers.pump()

    assert [event.outcome for event in of(ForwardFinished, servers.events["b"])] == [
        Outcome.COMMITTED
    ]


def accepted_in_part(servers: Servers, terms: tuple[int, ...]) -> list[ForwardFinished]:
    """Have b's batch of three at index 3, and then commit entries of these terms there."""
    servers["b"].forward([b"x", b"y", b"z"], servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, (AppendEntries, AppendEntriesResponse)))
    new = entries(*terms, first=3)
    message = AppendEntries("b", "c", 9, 2, 2, new, new.last_index)
    servers["b"].receive(message, servers.now)
    servers.pump()
    return of(ForwardFinished, servers.events["b"])


def test_a_batch_that_another_leader_replaced_is_lost() -> None:
    found = accepted_in_part(led(), (3, 3, 3))

    assert [(f.outcome, f.ids) for f in found] == [(Outcome.LOST, LogIds(2, 3, 5))]


def test_a_batch_that_was_cut_in_two_has_two_outcomes() -> None:
    found = accepted_in_part(led(), (2, 2, 3))

    assert [(f.outcome, f.ids) for f in found] == [
        (Outcome.COMMITTED, LogIds(2, 3, 4)),
        (Outcome.LOST, LogIds(2, 5, 5)),
    ]


def test_the_outcome_of_what_is_compacted_away_is_unknown() -> None:
    servers = led(config=Config(forwarding=True, trailing_entries=0))
    request = servers["b"].forward([b"x"], servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, ProposeResponse))
    servers.advance(0.3)
    servers["b"].compact(3, b"state", servers.now)
    servers["a"].propose(b"y", servers.now)
    servers.deliver()
    servers.advance(0.3)
    servers["b"].compact(4, b"state", servers.now)

    servers["b"].receive(ProposeResponse("b", "a", 2, request, 2, 3), servers.now)
    servers.pump()

    assert servers.event("b", ForwardFinished).outcome is Outcome.EXPIRED
