"""Each rule of `raft.testing.invariants` can fail: a machine that says what it must not is caught.

The machines here are no machines: they claim what a test has them claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from raft import Config, Configuration, Entry, HardState, LogIds, Persist, Role, Snapshot
from raft.entries import NO_ENTRIES, Entries, EntryKind
from raft.messages import AppendEntriesResponse, Heartbeat, RequestVote, RequestVoteResponse
from raft.server.progress import PROBE, REPLICATE
from raft.status import PeerStatus
from raft.testing import Disk, InvariantBroken, Invariants
from raft.testing.invariants import OUTPUTS_MAX, WATCH_EVERY, WATCHED_MAX
from tests.raft.vocabulary import entries, founding, voters

ABC = voters("a", "b", "c")


class Claims:
    """What looks like a server, and says what it is told to say."""

    def __init__(self, **claims: Any) -> None:
        self.role = Role.FOLLOWER
        self.term = 1
        self.commit_index = 0
        self.applied_index = 0
        self.last_index = 0
        self.configuration = ABC
        self.config = Config()
        self.terms: dict[int, int] = {0: 0}
        self.peers: tuple[PeerStatus, ...] = ()
        self.checked = 0
        self.say(**claims)

    def say(self, **claims: Any) -> Claims:
        """Claim something else."""
        for name, value in claims.items():
            setattr(self, name, value)
        return self

    def term_at(self, index: int) -> int | None:
        """Return the claimed term."""
        return self.terms.get(index)

    def status(self) -> Any:
        """Return the claimed view of followers."""
        return SimpleNamespace(peers=self.peers, last_index=self.last_index)

    def check_invariants(self) -> None:
        """Count that we were asked."""
        self.checked += 1


class World:
    """Three servers, their disks, and the checks."""

    def __init__(self, *, every: int = 0) -> None:
        self.checks = Invariants(every=every)
        self.disks = {name: Disk() for name in "abc"}
        self.machines = {name: Claims() for name in "abc"}
        self.seqs = dict.fromkeys("abc", 0)
        for name in "abc":
            self.born(name)

    def born(self, name: str) -> None:
        """Begin a life."""
        self.checks.born(name, self.machines[name], self.disks[name], 0)
        self.seqs[name] = 0

    def write(
        self,
        name: str,
        written: Entries = NO_ENTRIES,
        *,
        term: int = 1,
        voted_for: str | None = None,
        synced: bool = True,
        **more: Any,
    ) -> None:
        """Hand something to a disk, and sync it."""
        self.seqs[name] += 1
        state = HardState(term, voted_for)
        persist = Persist(self.seqs[name], state, written, **more)
        self.checks.wrote(name, self.machines[name], persist)
        self.disks[name].write(persist)
        if synced:
            self.disks[name].sync(1)
        for entry in written:
            self.machines[name].terms[entry.index] = entry.term
            self.machines[name].last_index = entry.index

    def step(self, name: str, *, is_late: bool = False, life: int = 1, **claims: Any) -> None:
        """Let a machine claim something, as after an input."""
        machine = self.machines[name].say(**claims)
        self.checks.stepped(name, life, machine, is_late=is_late)

    def send(self, name: str, message: Any) -> None:
        """Let a message leave."""
        self.checks.sent(name, self.machines[name], message)

    def commit(self, *terms: int, term: int = 1) -> None:
        """Have entries of these terms on all disks, and committed by `a`."""
        for name in "abc":
            self.write(name, entries(*terms), term=term)
        self.step("a", role=Role.LEADER, term=term)
        self.step("a", commit_index=len(terms))


@pytest.fixture
def world() -> World:
    return World()


@contextmanager
def breaks(rule: str, match: str | None = None) -> Iterator[None]:
    """Expect that a rule is broken."""
    with pytest.raises(InvariantBroken, match=match) as broken:
        yield
    assert broken.value.rule == rule


# --- elections


def test_two_leaders_in_a_term_are_found(world: World) -> None:
    world.step("a", role=Role.LEADER, term=2)
    world.step("a", role=Role.LEADER, term=2)

    with breaks("election-safety", "b and a both lead term 2"):
        world.step("b", role=Role.LEADER, term=2)


def test_a_server_that_leads_the_same_term_in_two_lives_is_found(world: World) -> None:
    world.step("a", role=Role.LEADER, term=2)
    world.born("a")

    with breaks("election-safety"):
        world.step("a", life=2)


def test_a_second_vote_in_a_term_is_found_over_crashes_too(world: World) -> None:
    world.write("a", term=2, voted_for="b")
    world.machines["a"].term = 2
    world.send("a", RequestVoteResponse("b", "a", 2, True))
    world.send("a", RequestVoteResponse("b", "a", 2, True))
    world.send("a", RequestVoteResponse("c", "a", 2, False))

    with breaks("one-vote", "votes for b and c in term 2"):
        world.send("a", RequestVoteResponse("c", "a", 2, True))
    world.born("a")
    with breaks("one-vote"):
        world.send("a", RequestVote("b", "a", 2, 0, 0))


def test_a_vote_that_is_written_over_is_found(world: World) -> None:
    world.write("a", term=2)
    world.write("a", term=2, voted_for="b")
    world.write("a", term=2, voted_for="b")
    world.write("a", term=3, voted_for="c")

    with breaks("one-vote"):
        world.write("a", term=3)


def test_a_leader_without_a_committed_entry_is_found(world: World) -> None:
    world.commit(1, 1)
    world.write("c", entries(1, first=3))

    world.step("c", role=Role.LEADER, term=2)
    with breaks("leader-completeness", "with term None at 2 of 1"):
        world.step("b", role=Role.LEADER, term=3, last_index=1, terms={0: 0, 1: 1})
    with breaks("leader-completeness", "with term 2 at 2 of 2"):
        world.step("b", role=Role.LEADER, term=4, last_index=2, terms={0: 0, 1: 1, 2: 2})


def test_a_leader_of_an_earlier_term_need_not_have_what_later_ones_committed(world: World) -> None:
    world.commit(1, 5, term=5)

    world.step("b", role=Role.LEADER, term=4, last_index=1, terms={0: 0, 1: 1})


# --- logs


def test_a_leader_whose_log_shrinks_is_found(world: World) -> None:
    world.step("a", role=Role.LEADER, term=2, last_index=7)

    with breaks("leader-append-only", "falls back to 6"):
        world.step("a", last_index=6)


def test_a_leader_that_replaces_entries_is_found(world: World) -> None:
    world.write("a", entries(1, 1))
    world.step("a", role=Role.LEADER, term=2)

    with breaks("leader-append-only", "replaces what is at 2"):
        world.write("a", entries(2, first=2), term=2)


def test_logs_that_differ_in_the_past_are_found(world: World) -> None:
    world.write("a", entries(1, 2, 3), term=3)
    world.write("b", entries(1, 1), term=3)

    with breaks("log-matching"):
        world.write("b", entries(3, first=3), term=3)


def test_logs_that_differ_in_contents_are_found(world: World) -> None:
    world.write("a", entries(1, 1))
    world.write("b", entries(1))

    with breaks("log-matching"):
        world.write("b", Entries.of([Entry(1, 2, b"another")]))
    with breaks("log-matching"):
        world.write("c", Entries.of([Entry(1, 1, b"1/1", EntryKind.EMPTY)]))


def test_logs_that_differ_in_a_configuration_are_found(world: World) -> None:
    world.write("a", Entries.of([founding(voters("a", "b"))]))

    with breaks("log-matching"):
        world.write("b", Entries.of([founding(voters("a", "c"))]))


def test_a_witness_may_lack_contents_whoever_writes_first(world: World) -> None:
    witnessed = Configuration(voters="abc", witnesses="c")
    world.checks.founded(witnessed)
    world.write("c", Entries.of([founding(witnessed), Entry(1, 2)]))
    world.write("a", Entries.of([founding(witnessed), Entry(1, 2, b"x")]))

    with breaks("log-matching"):
        world.write("b", Entries.of([founding(witnessed), Entry(1, 2, b"y")]))


def test_what_is_committed_and_removed_is_found(world: World) -> None:
    world.commit(1, 1)
    world.write("b", entries(1, 1))

    with breaks("state-machine-safety", "b removes 2"):
        world.write("b", entries(2, first=2), term=2)


def test_a_term_or_commit_index_that_falls_is_found(world: World) -> None:
    world.step("a", term=3, commit_index=0)

    with breaks("monotonic"):
        world.step("a", term=2)
    world.step("a", term=4)
    world.machines["a"].terms = {0: 0, 1: 1}
    world.checks.founded(ABC)
    world.step("a", commit_index=1)
    with breaks("monotonic"):
        world.step("a", commit_index=0)


def test_a_term_that_is_forgotten_in_a_crash_is_found(world: World) -> None:
    world.write("a", term=5)
    world.machines["a"].term = 4

    with breaks("monotonic", "a forgot term 5"):
        world.born("a")


# --- commitment


def test_an_entry_of_an_earlier_term_committed_by_counting_is_found(world: World) -> None:
    for name in "abc":
        world.write(name, entries(1, 2), term=4)
    world.step("a", role=Role.LEADER, term=4)

    with breaks("committed-is-durable", "counts term 2 at 2 in 4"):
        world.step("a", commit_index=2)


def test_a_commit_without_a_quorum_of_disks_is_found(world: World) -> None:
    world.write("a", entries(1))
    world.write("b", entries(1), synced=False)
    world.step("a", role=Role.LEADER)

    with breaks("committed-is-durable", "durable at .'a'. only"):
        world.step("a", commit_index=1)


def test_both_halves_of_a_joint_configuration_count(world: World) -> None:
    joint = Configuration(voters="ab", voters_outgoing="bc")
    world.machines["a"].configuration = joint
    world.born("a")
    for name in "ab":
        world.write(name, entries(1))
    world.step("a", role=Role.LEADER)

    with breaks("committed-is-durable"):
        world.step("a", commit_index=1)


def test_two_servers_that_commit_different_entries_are_found(world: World) -> None:
    world.commit(1, 1)

    world.step("b", commit_index=1)
    with breaks("state-machine-safety", "b commits term 2 at 2"):
        world.step("b", commit_index=2, terms={0: 0, 1: 1, 2: 2})


def test_a_commit_within_a_snapshot_needs_no_entry(world: World) -> None:
    world.commit(1, 1)

    world.step("b", commit_index=2, terms={})


def test_what_was_said_to_be_lost_and_is_committed_is_found(world: World) -> None:
    world.checks.lost("b", LogIds(1, 2, 3))

    with breaks("outcomes", "1/2 was said to be lost"):
        world.commit(1, 1)


def test_what_is_committed_and_said_to_be_lost_is_found(world: World) -> None:
    world.commit(1, 1)

    world.checks.lost("b", LogIds(2, 2, 2))
    with breaks("outcomes", "b gave up 1/2"):
        world.checks.lost("b", LogIds(1, 2, 2))


# --- the application


def test_an_entry_that_is_applied_twice_or_skipped_is_found(world: World) -> None:
    world.commit(1, 1, 1)
    world.checks.applied("a", entries(1, 1))

    for first in (2, 4):
        with breaks("state-machine-safety"):
            world.checks.applied("a", entries(1, first=first))


def test_an_entry_that_is_not_the_committed_one_is_found(world: World) -> None:
    world.commit(1)

    with breaks("state-machine-safety"):
        world.checks.applied("a", entries(2))
    with breaks("state-machine-safety"):
        world.checks.applied("a", Entries.of([Entry(1, 1, b"another")]))
    world.checks.committed[1] = 7
    with breaks("state-machine-safety"):
        world.checks.applied("a", entries(7))


def test_states_that_differ_are_found(world: World) -> None:
    world.checks.digested("a", 5, 1234)
    world.checks.digested("b", 5, 1234)

    with breaks("state-machine-safety", "c's state differs at 5"):
        world.checks.digested("c", 5, 1235)


def snapshot(index: int, term: int, data: bytes = b"state") -> Snapshot:
    return Snapshot(index, term, ABC, 1, data)


def test_a_snapshot_of_what_is_not_committed_is_found(world: World) -> None:
    world.commit(1, 1)

    with breaks("state-machine-safety", "not of term 1"):
        world.write("b", snapshot=snapshot(2, 9))
    with breaks("state-machine-safety"):
        world.checks.installed("b", snapshot(3, 1))


def test_snapshots_that_differ_are_found(world: World) -> None:
    world.commit(1, 1)
    world.write("b", snapshot=snapshot(1, 1))

    with breaks("state-machine-safety", "c has another"):
        world.write("c", snapshot=snapshot(1, 1, b"other"))


def test_a_witness_has_a_snapshot_without_contents(world: World) -> None:
    world.commit(1, 1)
    world.checks.founded(Configuration(voters="abc", witnesses="c"))

    world.write("b", snapshot=snapshot(1, 1))
    world.write("c", snapshot=snapshot(1, 1, b""))


def test_a_snapshot_that_takes_an_application_back_is_found(world: World) -> None:
    world.commit(1, 1)
    world.checks.installed("b", snapshot(2, 1))

    with breaks("state-machine-safety", "b goes back"):
        world.checks.installed("b", snapshot(1, 1))


def test_a_leaders_snapshot_replaces_the_log(world: World) -> None:
    world.commit(1, 1, 3, term=3)
    world.machines["b"] = Claims(term=3)
    world.disks["b"] = Disk()
    world.born("b")
    world.write("b", entries(1, 1, 2, 2), term=3)

    world.write("b", snapshot=snapshot(3, 3), truncate_from=4, term=3)

    world.write("b", entries(3, first=4), term=3)
    assert world.disks["b"].term_at(4) == 3
    world.born("b")
    world.write("b", entries(3, first=5), term=3)


# --- membership


def change(index: int, configuration: Configuration, term: int = 1) -> Entries:
    return Entries.of([Entry(term, index, b"", EntryKind.CONFIGURATION, configuration)])


def test_a_second_change_before_the_first_is_applied_is_found(world: World) -> None:
    world.write("a", entries(1))
    world.step("a", role=Role.LEADER)
    world.write("a", change(2, voters("a", "b", "c", "d")))

    with breaks("configuration-safety", "adds 3, 2 is pending"):
        world.write("a", change(3, voters("a", "b", "c", "d", "e")))


def test_a_second_change_after_the_first_is_applied_is_right(world: World) -> None:
    world.write("a", entries(1))
    world.step("a", role=Role.LEADER)
    world.write("a", change(2, voters("a", "b", "c", "d")))
    world.step("a", applied_index=2, configuration=voters("a", "b", "c", "d"))

    world.write("a", change(3, voters("a", "b", "c", "d", "e")))


def test_a_follower_may_be_sent_several_changes_at_once(world: World) -> None:
    four = voters("a", "b", "c", "d")
    five = voters("a", "b", "c", "d", "e")

    world.write("b", Entries.of([*entries(1), *change(2, four), *change(3, five)]))

    with breaks("configuration-safety"):
        world.write("b", change(4, voters("a")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ABC, voters("c", "d", "e")),
        (ABC, voters("a", "b", "c", "d", "e")),
        (ABC, Configuration(voters="de", voters_outgoing="fgh")),
        (Configuration(voters="ab", voters_outgoing="cde"), voters("d", "e", "f")),
    ],
)
def test_configurations_with_disjoint_quorums_are_found(
    world: World, old: Configuration, new: Configuration
) -> None:
    world.machines["a"].configuration = old

    with breaks("configuration-safety", "a goes from"):
        world.write("a", change(1, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ABC, voters("a", "b", "c", "d")),
        (ABC, voters("a", "b")),
        (ABC, Configuration(voters="de", voters_outgoing="abc")),
        (Configuration(voters="de", voters_outgoing="abc"), voters("d", "e")),
        (ABC, evolve(ABC, learners=("z",))),
    ],
)
def test_configurations_whose_quorums_share_a_server_are_right(
    world: World, old: Configuration, new: Configuration
) -> None:
    world.machines["a"].configuration = old

    world.write("a", change(1, new))
    world.write("a", change(1, new))


def test_configurations_that_may_come_into_force_are_known(world: World) -> None:
    four = voters("a", "b", "c", "d")
    world.checks.founded(ABC)
    world.write("a", change(1, ABC))
    world.write("a", change(2, four))
    world.write("a", change(3, ABC, term=2), term=2)
    world.checks.committed[2] = 1
    world.checks.committed[3] = 9

    assert world.checks.configurations() == [four, ABC]
    assert world.checks.in_force() == [ABC, ABC, ABC]


# --- reads


def test_a_read_that_misses_what_was_known_is_found(world: World) -> None:
    world.commit(1, 1, 1)
    world.checks.applied("a", entries(1, 1))
    world.checks.applied("b", entries(1))
    world.checks.read_began("b", 7, world.checks.read_floor())

    assert world.checks.read_floor() == 2
    assert world.checks.open_reads("abc") == [("b", 7)]
    with breaks("reads", "b reads at 1, 2 was known"):
        world.checks.read_ended("b", 7, 1)


def test_a_read_before_its_index_is_applied_is_found(world: World) -> None:
    world.checks.read_began("b", 7, 0)

    with breaks("reads", "has applied 0, reads at 1"):
        world.checks.read_ended("b", 7, 1)


def test_a_later_read_shows_what_an_earlier_one_did(world: World) -> None:
    world.checks.read_began("b", 7, 0)
    world.checks.read_ended("b", 7, None)
    world.commit(1)
    world.checks.applied("a", entries(1))
    world.checks.read_began("a", 8, world.checks.read_floor())
    world.checks.read_ended("a", 8, 1)

    assert world.checks.read_floor() == 1


# --- what messages claim


def test_a_vote_that_is_not_durable_is_found(world: World) -> None:
    world.write("a", term=2, voted_for="b", synced=False)

    with breaks("outbox", "a's vote is not durable"):
        world.send("a", RequestVoteResponse("b", "a", 2, True))


def test_a_vote_that_leaves_late_is_right(world: World) -> None:
    world.write("a", term=2, voted_for="b")
    world.write("a", term=3)

    world.send("a", RequestVoteResponse("b", "a", 2, True))
    world.send("a", Heartbeat("b", "a", 3))


def test_a_candidate_that_claims_what_is_not_durable_is_found(world: World) -> None:
    world.write("a", entries(1))
    world.write("a", entries(1, first=2), term=2, voted_for="a", synced=False)
    world.machines["a"].say(role=Role.CANDIDATE, term=2)

    with breaks("outbox", "own vote is not durable"):
        world.send("a", RequestVote("b", "a", 2, 1, 1))
    world.disks["a"].sync(1)
    world.send("a", RequestVote("b", "a", 2, 2, 1))
    world.disks["a"].lose(1)
    with breaks("outbox", "lacks on disk"):
        world.send("a", RequestVote("b", "a", 2, 2, 1))
    world.machines["a"].say(role=Role.FOLLOWER)
    world.send("a", RequestVote("b", "a", 2, 2, 1))


def test_an_acknowledgement_of_what_is_not_durable_is_found(world: World) -> None:
    world.write("a", entries(1, 1))
    world.write("a", entries(1, first=3), synced=False)
    world.send("a", AppendEntriesResponse("b", "a", 1, False, 2))
    world.send("a", AppendEntriesResponse("b", "a", 1, True, 3))

    with breaks("outbox", "up to 2 on disk only"):
        world.send("a", AppendEntriesResponse("b", "a", 1, False, 3))


def test_an_acknowledgement_that_an_earlier_write_seems_to_cover_is_found(world: World) -> None:
    world.write("a", entries(1, 1))
    world.write("a", entries(2, first=2), term=2, synced=False)

    with breaks("outbox", "another entry on disk"):
        world.machines["a"].term = 2
        world.send("a", AppendEntriesResponse("b", "a", 2, False, 2))


# --- followers, deadlines, floods


def peer(**claims: Any) -> PeerStatus:
    view = PeerStatus("b", 1, 2, REPLICATE, 0, 0, 0.0, False, "")
    return evolve(view, **claims)


@pytest.mark.parametrize(
    ("view", "match"),
    [
        (peer(match=2), "match=2"),
        (peer(match=9, next=10), "match=9"),
        (peer(inflight=257), "too much"),
        (peer(inflight=1, inflight_size=18 << 20), "too much"),
        (peer(state=PROBE, inflight=1), "probes more than once"),
        (peer(match=2, next=3), "b has 1 on disk"),
    ],
)
def test_a_wrong_view_of_a_follower_is_found(view: PeerStatus, match: str) -> None:
    world = World(every=2)
    world.write("b", entries(1))
    world.step("b")
    world.step("a", role=Role.LEADER, last_index=3)

    with breaks("progress", match):
        world.step("a", peers=(view,))


def test_a_right_view_of_a_follower_is_right() -> None:
    world = World(every=1)
    world.write("b", entries(1))

    world.step("b")

    world.step("a", role=Role.LEADER, last_index=3, peers=(peer(), peer(id="z"), peer(match=0)))

    assert world.machines["a"].checked == 1


def test_a_view_of_an_earlier_term_is_history() -> None:
    world = World(every=1)
    world.step("b", term=2)

    world.step("a", role=Role.LEADER, last_index=3, peers=(peer(match=3, next=4),))


def test_a_deadline_that_does_not_move_is_found(world: World) -> None:
    with breaks("busy"):
        world.step("a", is_late=True)


def test_a_message_that_is_changed_after_it_left_is_found(world: World) -> None:
    message = Heartbeat("b", "a", 1)
    others = WATCH_EVERY * WATCHED_MAX
    for _ in range(others):
        world.send("a", message)
    message.commit = 7

    with breaks("mutation", "commit=0.* became .*commit=7"):
        for _ in range(WATCH_EVERY):
            world.send("a", message)


def test_a_flood_is_found(world: World) -> None:
    for _ in range(OUTPUTS_MAX + 1):
        world.send("a", Heartbeat("b", "a", 1))

    with breaks("bounded"):
        world.step("a")


def test_writes_that_are_not_numbered_one_by_one_are_found(world: World) -> None:
    world.seqs["a"] = 1

    with breaks("bounded", "numbers 2 after 0"):
        world.write("a")


def test_a_life_begins_with_what_the_disk_has(world: World) -> None:
    world.write("a", entries(1, 1))
    world.disks["a"].crash(Random(1))
    world.born("a")

    world.write("a", entries(1, first=3))
