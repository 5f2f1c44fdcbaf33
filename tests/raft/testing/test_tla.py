"""The TLA+ trace: its lines have the shape and the order that etcd's specification reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raft import AddVoter, Config
from raft.testing import Cluster
from raft.testing.tla import TlaTrace

#: Every event of etcd-io/raft state_trace.go that this trace may show.
NAMES = {
    "InitState",
    "BecomeCandidate",
    "BecomeFollower",
    "BecomeLeader",
    "Commit",
    "Replicate",
    "ChangeConf",
    "ApplyConfChange",
    "Ready",
    "SendAppendEntriesRequest",
    "ReceiveAppendEntriesRequest",
    "SendAppendEntriesResponse",
    "ReceiveAppendEntriesResponse",
    "SendRequestVoteRequest",
    "ReceiveRequestVoteRequest",
    "SendRequestVoteResponse",
    "ReceiveRequestVoteResponse",
}
MESSAGE = {
    "type": str,
    "term": int,
    "from": str,
    "to": str,
    "entries": int,
    "logTerm": int,
    "index": int,
    "commit": int,
    "vote": str,
    "reject": bool,
    "rejectHint": int,
}


class Traced:
    """A traced cluster of three, and its events."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[str] = []
        self.cluster: Cluster = TlaTrace(self.lines.append).cluster(seed=1, **options)
        self.cluster.start(3)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything that was shown."""
        return [json.loads(line)["event"] for line in self.lines]

    def names(self, of: str) -> list[str]:
        """Return the names of one server's events, in order."""
        return [event["name"] for event in self.events if event["nid"] == of]


def busy() -> Traced:
    """Return a trace with elections, entries, a snapshot, a crash and a change in it."""
    traced = Traced(config=Config(trailing_entries=0, snapshot_chunk_size=7))
    cluster = traced.cluster
    leader = cluster.elect()
    cluster.propose(b"x", b"y")
    cluster.run(0.5)
    other = next(name for name in cluster.names if name != leader)
    cluster.crash(other)
    cluster.propose(b"z")
    cluster.run(0.5)
    cluster.compact(leader)
    cluster.restart(other)
    cluster.add("n4")
    cluster.change(AddVoter("n4"))
    cluster.run(1.0)
    cluster.elect(other)
    cluster.run(0.5)
    assert cluster.agreed()
    return traced


def test_each_line_is_a_tagged_event_of_the_published_shape() -> None:
    for line in busy().lines:
        record = json.loads(line)
        event = record["event"]

        assert record.keys() == {"tag", "event"}
        assert record["tag"] == "trace"
        assert event.keys() - {"msg", "prop"} == {"name", "nid", "state", "role", "log", "conf"}
        assert event["name"] in NAMES
        assert {name: type(value) for name, value in event["state"].items()} == {
            "term": int,
            "vote": str,
            "commit": int,
        }
        assert event["role"] in {"StateFollower", "StateCandidate", "StateLeader"}
        assert len(event["conf"]) == 2
        assert all(number.isdecimal() for half in event["conf"] for number in half)
        assert ("msg" in event) == event["name"].startswith(("Send", "Receive"))
        if "msg" in event:
            assert {name: type(value) for name, value in event["msg"].items()} == MESSAGE


def test_a_run_shows_every_event_there_is() -> None:
    assert {event["name"] for event in busy().events} == NAMES


def test_a_founded_server_begins_and_learns_its_configuration() -> None:
    traced = Traced()
    traced.cluster.run(0.1)
    traced.cluster.call("n3", "wake")

    assert traced.names("1") == [
        "InitState",
        "BecomeFollower",
        "Ready",
        "ApplyConfChange",
        "Ready",
    ]
    applied = [event for event in traced.events if event["name"] == "ApplyConfChange"]
    assert applied[0]["conf"] == [[], []]
    assert applied[0]["prop"] == {"cc": {"newconf": ["1", "2", "3"]}}


def test_an_election_is_told_in_the_order_of_the_specification() -> None:
    traced = Traced()
    leader = traced.cluster.elect("n2")

    names = traced.names("2")
    assert leader == "n2"
    assert names[names.index("BecomeCandidate") :][:2] == [
        "BecomeCandidate",
        "SendRequestVoteResponse",
    ]
    own = names.index("ReceiveRequestVoteResponse")
    assert names.index("Ready", names.index("BecomeCandidate")) < own < names.index("BecomeLeader")
    begun = names.index("BecomeLeader")
    assert names[begun : begun + 3] == ["BecomeLeader", "Replicate", "SendAppendEntriesResponse"]
    assert names.index("ReceiveAppendEntriesResponse", begun) < names.index("Commit", begun)


def test_what_is_received_is_shown_before_it_is_handled() -> None:
    traced = Traced()
    traced.cluster.elect("n2")

    (asked, *_) = (
        event
        for event in traced.events
        if event["name"] == "ReceiveRequestVoteRequest" and event["nid"] == "1"
    )
    assert asked["state"] == {"term": 1, "vote": "0", "commit": 1}
    assert asked["msg"]["term"] == 2


def test_whatever_is_received_was_sent() -> None:
    sent: list[dict[str, Any]] = []
    for event in busy().events:
        if event["name"].startswith("Send"):
            sent.append(event["msg"])
        elif event["name"].startswith("Receive"):
            assert event["msg"] in sent


def test_an_own_acknowledgement_counts_only_when_it_is_durable() -> None:
    traced = Traced(sync=(0.05, 0.05))
    leader = traced.cluster.elect()
    number = leader[1:]
    traced.lines.clear()

    traced.cluster.propose(b"x")
    traced.cluster.run(0.02)
    early = traced.names(number)
    traced.cluster.run(0.1)

    assert "Replicate" in early
    assert "ReceiveAppendEntriesResponse" not in early
    assert "ReceiveAppendEntriesResponse" in traced.names(number)


def test_a_restart_begins_a_life() -> None:
    traced = Traced()
    traced.cluster.elect()
    traced.cluster.restart("n1")
    traced.cluster.run(1.0)

    assert traced.names("1").count("InitState") == 2


def test_a_snapshot_counts_with_its_last_chunk() -> None:
    snapshots = [
        event
        for event in busy().events
        if event.get("msg", {}).get("type") == "MsgSnap" and event["name"].startswith("Send")
    ]

    assert snapshots
    assert all(each["msg"]["index"] == 0 < each["msg"]["entries"] for each in snapshots)


def test_what_the_specification_lacks_is_switched_off() -> None:
    config = Traced(config=Config(pre_vote=True)).cluster.config

    assert (config.pre_vote, config.check_quorum) == (False, False)


def test_leases_can_not_be_traced() -> None:
    with pytest.raises(ValueError, match="lease_reads"):
        Traced(config=Config(lease_reads=True))
