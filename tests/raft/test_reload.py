"""Other timings, limits and switches while a server runs: `Raft.reload`."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from raft import Config, QuiescenceChanged, ReadFailed, Role
from raft.messages import AppendEntries, AppendEntriesResponse, HeartbeatResponse, Message
from raft.outputs import ForwardFinished
from raft.raft import Raft
from tests.raft.test_scenarios_safety import elected, led
from tests.raft.vocabulary import THREE, Servers, drain, machine, of, persist_all, sent

PLAIN = Config(pre_vote=False, check_quorum=False)


def leader(config: Config) -> Raft:
    """Return a leader whose followers b and c have everything."""
    made = elected(machine(config=config), "b", "c")
    for name in ("b", "c"):
        acknowledge(made, name)
    persist_all(made)
    return made


def acknowledge(made: Raft, name: str) -> None:
    made.receive(AppendEntriesResponse("a", name, made.term, False, made.last_index), 0.0)


def appends(made: Raft, to: str) -> list[AppendEntries]:
    messages: list[Message] = sent(persist_all(made))
    return [message for message in of(AppendEntries, messages) if message.to == to]


# --- what can't change


@pytest.mark.parametrize(
    ("before", "changes", "field"),
    [
        ({}, {"lease_reads": True}, "lease_reads"),
        ({}, {"quiescence": True}, "quiescence"),
        ({}, {"persists_max": 3}, "persists_max"),
        ({}, {"gated_messages_max": 5000}, "gated_messages_max"),
        ({"lease_reads": True}, {"election_timeout": 2.0}, "election_timeout"),
        ({"lease_reads": True}, {"lease_reads": False}, "lease_reads"),
    ],
)
def test_what_needs_a_restart_is_refused_and_changes_nothing(
    before: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    config = Config(**before)
    server = machine(config=config)

    with pytest.raises(ValueError, match=field):
        server.reload(attrs.evolve(config, **changes), 5.0)
    with pytest.raises(TypeError, match="Config"):
        server.reload({}, 5.0)  # type: ignore[arg-type]

    assert server.config is config
    assert drain(server) == []


def test_with_leases_all_else_can_change() -> None:
    config = Config(lease_reads=True)
    server = machine(config=config)

    server.reload(attrs.evolve(config, heartbeat_interval=0.2, clock_drift_bound=0.5), 0.0)

    assert server.config.lease_duration == pytest.approx(1 / 1.5)


# --- timings


def test_a_follower_waits_for_a_time_of_the_new_range_from_when_it_began_to_wait() -> None:
    server = machine()
    before = server.next_timeout()

    server.reload(Config(election_timeout=10.0), 0.5)

    assert before is not None
    assert before < 2.0
    after = server.next_timeout()
    assert after is not None
    assert 10.0 <= after < 20.0


def test_a_follower_that_has_waited_long_enough_campaigns_at_once() -> None:
    server = machine(config=Config(election_timeout=10.0))

    server.reload(Config(election_timeout=1.0), 5.0)
    server.handle_timeout(5.0)

    assert server.role is Role.PRE_CANDIDATE


def test_the_timer_stays_as_it_is_where_its_range_does() -> None:
    server = machine()
    before = server.next_timeout()

    server.reload(Config(heartbeat_interval=0.2, pre_vote=False), 0.5)

    assert server.next_timeout() == before


def test_a_leader_sends_heartbeats_in_the_new_interval() -> None:
    server = leader(attrs.evolve(PLAIN, heartbeat_interval=0.5))
    assert server.next_timeout() == 0.5

    server.reload(attrs.evolve(PLAIN, heartbeat_interval=0.2), 0.1)
    assert server.next_timeout() == pytest.approx(0.3)

    server.reload(attrs.evolve(PLAIN, heartbeat_interval=0.9), 0.1)
    server.handle_timeout(0.31)
    assert server.next_timeout() == pytest.approx(1.21)


@pytest.mark.parametrize("heard", [True, False])
def test_a_leader_can_be_told_to_look_for_its_quorum(heard: bool) -> None:
    """raft-rs: check_quorum is switched at run time."""
    server = leader(PLAIN)
    if heard:
        server.receive(HeartbeatResponse("a", "b", server.term, 0), 5.0)

    server.reload(attrs.evolve(PLAIN, check_quorum=True), 5.5)
    server.handle_timeout(5.5)

    assert server.role is (Role.LEADER if heard else Role.FOLLOWER)


def test_a_leader_is_as_patient_with_its_quorum_as_it_is_told_to_be() -> None:
    server = leader(attrs.evolve(PLAIN, check_quorum=True, election_timeout=10.0))

    server.reload(attrs.evolve(PLAIN, check_quorum=True, election_timeout=1.0), 0.5)
    server.handle_timeout(0.9)
    roles = [server.role]
    server.handle_timeout(1.0)
    roles.append(server.role)

    assert roles == [Role.LEADER, Role.FOLLOWER]


def test_a_sleeping_group_sleeps_on() -> None:
    servers = led(config=Config(quiescence=True))
    servers.advance(1.0)
    assert servers["a"].quiesce(servers.now)
    servers.deliver()

    for name in THREE:
        servers[name].reload(Config(quiescence=True, election_timeout=3.0), servers.now)

    assert servers["a"].next_timeout() is None
    assert servers["b"].next_timeout() is None
    assert sent(drain(servers["a"])) == []
    assert of(QuiescenceChanged, servers.events["a"]) == [QuiescenceChanged(quiescent=True)]


# --- windows


def test_a_wider_window_is_used_at_once() -> None:
    server = leader(attrs.evolve(PLAIN, inflight_messages_max=1))
    for payload in (b"x", b"y"):
        server.propose(payload, 0.0)
        persist_all(server)

    server.reload(attrs.evolve(PLAIN, inflight_messages_max=2), 0.0)

    assert [len(message.entries) for message in appends(server, "b")] == [1]


@pytest.mark.parametrize(
    "narrow",
    [{"inflight_messages_max": 1}, {"inflight_size_max": 10, "append_size_max": 10}],
)
def test_who_has_more_under_way_than_may_be_is_probed_from_what_it_has(
    narrow: dict[str, Any],
) -> None:
    """raft-rs: adjust_max_inflight_msgs below what is under way."""
    server = leader(PLAIN)
    match = server.last_index
    for payload in (b"1234567", b"7654321"):
        server.propose(payload, 0.0)
        persist_all(server)

    server.reload(attrs.evolve(PLAIN, **narrow), 0.0)

    server.check_invariants()
    [probe] = appends(server, "b")
    assert probe.prev_index == match
    assert [peer.state.value for peer in server.status().peers] == ["probe", "probe"]


def test_a_full_window_whose_limits_stay_is_left_alone() -> None:
    config = attrs.evolve(PLAIN, inflight_size_max=10, append_size_max=10)
    server = leader(config)
    server.propose(b"0123456789", 0.0)
    assert len(appends(server, "b")) == 1

    server.reload(attrs.evolve(config, priority=3), 0.0)

    assert appends(server, "b") == []
    assert [peer.inflight for peer in server.status().peers] == [1, 1]


# --- deadlines of what waits


def test_reads_that_wait_keep_their_deadlines() -> None:
    server = machine()
    first = server.read(0.0)
    server.reload(Config(read_timeout=0.5, election_timeout=50.0), 0.0)
    second = server.read(0.0)
    drain(server)

    server.handle_timeout(1.9)
    assert drain(server) == []

    server.handle_timeout(2.0)
    assert [event.read for event in of(ReadFailed, drain(server))] == [first, second]


def test_forwarded_proposals_that_wait_keep_their_deadlines() -> None:
    servers = Servers(*THREE, config=Config(forwarding=True))
    servers.elect("a")
    servers.isolate("b")
    began = servers.now
    first = servers["b"].forward([b"x"], began)
    patient = Config(forwarding=True, election_timeout=50.0, forward_timeout=0.5)
    servers["b"].reload(patient, began)
    second = servers["b"].forward([b"y"], began)

    servers["b"].handle_timeout(began + 3.9)
    assert of(ForwardFinished, drain(servers["b"])) == []

    servers["b"].handle_timeout(began + 4.0)
    finished = of(ForwardFinished, drain(servers["b"]))
    assert [event.request for event in finished] == [first, second]
