"""The TLA+ trace: its lines have the shape and the order that etcd's specification reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raft import AddLearner, AddVoter, Config, DemoteVoter, PromoteLearner, RemoveMember, Role
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

        assert record.keys() == {"tag", "line", "event"}
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

    # Anything else would end what the specification takes for the initial state.
    assert traced.names("1") == ["InitState", "BecomeFollower", "ApplyConfChange"]
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


def test_an_own_acknowledgement_goes_as_far_as_what_is_durable() -> None:
    traced = Traced()
    leader = traced.cluster.elect()
    number = leader[1:]
    traced.cluster.set_sync(leader, (0.05, 0.05))
    traced.cluster.propose(b"x")
    traced.cluster.run(0.02)
    traced.cluster.propose(b"y")
    traced.cluster.run(0.2)

    own = [
        (event["name"], event["msg"]["index"])
        for event in traced.events
        if event.get("msg", {}).get("from") == event.get("msg", {}).get("to") == number
        and event["name"].endswith("AppendEntriesResponse")
    ]
    assert own[-4:] == [
        ("SendAppendEntriesResponse", 3),
        ("SendAppendEntriesResponse", 4),
        ("ReceiveAppendEntriesResponse", 3),
        ("ReceiveAppendEntriesResponse", 4),
    ]


def test_a_restart_is_one_step() -> None:
    traced = Traced()
    traced.cluster.elect()
    traced.cluster.restart("n1")
    traced.cluster.run(1.0)

    names = traced.names("1")
    assert names.count("InitState") == 2
    assert names.count("BecomeFollower") == 1


def test_what_a_crashed_server_sent_is_on_its_way() -> None:
    traced = Traced()
    leader = traced.cluster.elect()
    traced.cluster.propose(b"x")
    traced.cluster.restart(leader)
    traced.cluster.run(0.1)

    names = traced.names(leader[1:])
    restarted = len(names) - 1 - names[::-1].index("InitState")
    assert names[restarted - 1] == "Ready"


def test_every_candidacy_of_a_row_is_shown() -> None:
    traced = Traced()
    cluster = traced.cluster
    cluster.partition(["n1"], ["n2"], ["n3"])
    cluster.run_until(lambda: cluster.machine("n1").term >= 4, 30.0, every=0.01)

    terms = [
        event["state"]["term"]
        for event in traced.events
        if event["nid"] == "1" and event["name"] == "BecomeCandidate"
    ]
    assert terms[:3] == [2, 3, 4]


def test_a_leader_begins_with_the_log_that_it_had() -> None:
    traced = Traced()
    traced.cluster.elect("n2")

    own = [event for event in traced.events if event["nid"] == "2"]
    (begun,) = (event for event in own if event["name"] == "BecomeLeader")
    assert begun["log"] == 1
    assert own[own.index(begun) + 1]["name"] == "Replicate"
    assert own[own.index(begun) + 2]["log"] == 2


@pytest.mark.parametrize("persists_max", [1, 4])
def test_a_leader_sends_no_entry_that_was_not_shown(persists_max: int) -> None:
    traced = Traced(config=Config(persists_max=persists_max), sync=(0.02, 0.03))
    cluster = traced.cluster
    number = cluster.elect("n1")[1:]
    for _ in range(5):
        cluster.propose(b"x", b"y")
        cluster.run(0.005)
    cluster.run(0.3)

    length, sent = 0, 0
    for event in traced.events:
        if event["nid"] == number:
            length = event["log"] + (event["name"] == "Replicate")
            if event["name"] == "SendAppendEntriesRequest":
                assert event["msg"]["index"] + event["msg"]["entries"] <= length
                sent += event["msg"]["entries"]
    assert length == 12
    assert sent >= 22


def test_a_commit_is_shown_before_the_configuration_that_it_brings_into_force() -> None:
    traced = Traced()
    cluster = traced.cluster
    number = cluster.elect("n1")[1:]
    cluster.add("n4")
    cluster.change(AddVoter("n4"))
    cluster.run(0.3)

    own = [event for event in traced.events if event["nid"] == number]
    applied = max(at for at, event in enumerate(own) if event["name"] == "ApplyConfChange")
    assert own[applied - 1]["name"] == "Commit"
    assert own[applied - 1]["conf"] == own[applied]["conf"] == [["1", "2", "3"], []]
    assert own[applied]["prop"] == {"cc": {"newconf": ["1", "2", "3", "4"]}}
    assert own[applied + 1]["conf"] == [["1", "2", "3", "4"], []]


def test_a_leader_that_is_removed_leads_until_it_is_shown_to_step_down() -> None:
    traced = Traced()
    cluster = traced.cluster
    number = cluster.elect("n1")[1:]
    cluster.change(RemoveMember("n1"))
    cluster.run(0.3)

    own = [event for event in traced.events if event["nid"] == number]
    applied = max(at for at, event in enumerate(own) if event["name"] == "ApplyConfChange")
    down = max(at for at, event in enumerate(own) if event["name"] == "BecomeFollower")
    assert own[applied - 1]["name"] == "Commit"
    assert applied < down
    assert {event["role"] for event in own[applied - 1 : down]} == {"StateLeader"}
    assert own[down]["role"] == "StateFollower"


def test_a_change_is_told_in_the_words_of_etcd() -> None:
    traced = Traced()
    cluster = traced.cluster
    cluster.elect("n1")
    cluster.add("n4")
    for change in (AddLearner("n4"), PromoteLearner("n4"), RemoveMember("n3"), DemoteVoter("n4")):
        cluster.change(change)
        cluster.run(0.5)

    changes = [
        event["prop"]["cc"]["changes"] for event in traced.events if event["name"] == "ChangeConf"
    ]
    assert changes == [
        [{"nid": "4", "action": "AddLearner"}],
        [{"nid": "4", "action": "AddNewServer"}],
        [{"nid": "3", "action": "RemoveServer"}],
        [{"nid": "4", "action": "AddLearner"}],
    ]


def test_a_new_member_has_begun_even_if_it_hears_of_nothing() -> None:
    traced = Traced()
    cluster = traced.cluster
    cluster.elect("n1")
    cluster.add("n4")
    cluster.partition(["n4"], ["n1", "n2", "n3"])
    cluster.change(AddLearner("n4"))
    cluster.run(0.1)

    begun = traced.names("4")
    (changed,) = (at for at, each in enumerate(traced.events) if each["name"] == "ChangeConf")
    assert begun == ["InitState", "BecomeFollower"]
    assert [each["nid"] for each in traced.events[changed - 2 : changed]] == ["4", "4"]


def test_a_new_member_that_does_not_run_has_no_beginning() -> None:
    traced = Traced()
    traced.cluster.elect("n1")
    traced.cluster.change(AddLearner("n4"))
    traced.cluster.run(0.1)

    assert traced.names("4") == []


def test_lines_keep_their_order_when_they_are_sorted_behind_their_second_colon() -> None:
    lines = busy().lines

    assert sorted(lines, key=lambda line: line.split(":", 2)[2]) == lines


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


def test_votes_tell_nobody_what_is_committed() -> None:
    traced = Traced()
    cluster = traced.cluster
    cluster.elect("n1")
    cluster.propose(b"x")
    cluster.run(0.2)
    cluster.restart("n3")
    forgotten = cluster.machine("n3").commit_index
    cluster.run(0.01)
    cluster.call("n3", "campaign")
    cluster.run_until(lambda: cluster.machine("n3").role is Role.LEADER, 0.1, every=0.0001)

    (begun,) = (
        event for event in traced.events if event["nid"] == "3" and event["name"] == "BecomeLeader"
    )
    assert forgotten < cluster.machine("n1").commit_index
    assert begun["state"]["commit"] == forgotten


def test_leases_can_not_be_traced() -> None:
    with pytest.raises(ValueError, match="lease_reads"):
        Traced(config=Config(lease_reads=True))
