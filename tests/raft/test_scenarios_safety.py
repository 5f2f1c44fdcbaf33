"""What must never happen, as stories: each ends badly in a server with one well-known bug.

The bugs are planted, one by one, by `python -m tests.raft.planted`.
"""

from __future__ import annotations

from zlib import crc32

from raft import (
    AddVoter,
    Change,
    Config,
    Configuration,
    EntriesCommitted,
    Persist,
    ReadReady,
    RemoveMember,
    Role,
    SnapshotInstalled,
    Transition,
)
from raft.entries import Entries
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Message,
    ReadIndex,
    ReadIndexResponse,
    RequestVote,
    RequestVoteResponse,
)
from raft.raft import Raft
from raft.stored import HardState, Stored
from tests.raft.vocabulary import (
    THREE,
    Servers,
    drain,
    entries,
    founding,
    machine,
    of,
    persist_all,
    sent,
    voters,
)

PLAIN = Config(pre_vote=False, check_quorum=False)
FIVE = ("a", "b", "c", "d", "e")


def led(*names: str, **options: object) -> Servers:
    """Return servers of which a leads."""
    servers = Servers(*(names or THREE), **options)  # type: ignore[arg-type]
    servers.elect("a")
    return servers


def on_disk(names: tuple[str, ...], *terms: int, term: int) -> Stored:
    """Return a disk with a log of the given terms behind the founding entry."""
    log = [founding(voters(*names)), *entries(*terms, first=2)]
    return Stored(hard_state=HardState(term, None, 1), entries=Entries.of(log), applied=1)


def elected(server: Raft, *grants: str) -> Raft:
    """Return a server that was elected, its writes done."""
    server.campaign(0.0)
    persist_all(server)
    for voter in grants:
        server.receive(RequestVoteResponse(server.id, voter, server.term, True), 0.0)
    persist_all(server)
    assert server.role is Role.LEADER
    return server


# --- commitment


def test_figure_8_an_entry_of_an_earlier_term_that_a_majority_has_can_still_be_replaced() -> None:
    """Paper 5.4.2: (c) and then (d), where what a majority had is overwritten."""
    servers = Servers(*FIVE, config=PLAIN)
    servers.start("a", on_disk(FIVE, 2, term=3))
    servers.start("b", on_disk(FIVE, 2, term=3))
    servers.start("e", on_disk(FIVE, 3, term=3))
    for name in ("c", "d"):
        servers.start(name, on_disk(FIVE, term=3))

    # (c): a leads again and brings its entry of term 2 to c, and nothing more.
    servers["a"].campaign(servers.now)
    servers.deliver(keep=lambda m: not isinstance(m, AppendEntries))
    assert servers.leaders() == ["a"]
    term = servers["a"].term
    servers["c"].receive(AppendEntries("c", "a", term, 1, 1, entries(2, first=2)), servers.now)
    servers.deliver()
    for name in ("b", "c"):
        servers["a"].receive(AppendEntriesResponse("a", name, term, False, 2), servers.now)
    assert servers["a"].commit_index == 1

    # (d): e is elected by the others, and its entry of term 3 takes the place.
    servers.network.clear()
    servers.isolate("a")
    servers["e"].campaign(servers.now)
    servers.deliver()
    assert servers.leaders() != ["a"]
    assert servers["c"].term_at(2) == 3


def test_learners_are_no_part_of_a_quorum() -> None:
    configuration = Configuration(voters=THREE, learners=("d", "e"))
    servers = led(*FIVE, configuration=configuration)
    before = servers["a"].commit_index
    servers.isolate("b")
    servers.isolate("c")

    servers["a"].propose(b"x", servers.now)
    servers.deliver()

    assert servers["d"].last_index > before
    assert servers["a"].commit_index == before


def test_an_acknowledgement_of_an_earlier_term_does_not_count() -> None:
    """Its entries may have been replaced since it was sent."""
    server = elected(machine("a", terms=[2, 2], config=PLAIN), "b")
    last = server.last_index

    server.receive(AppendEntriesResponse("a", "b", server.term - 1, False, last), 0.0)
    before = server.commit_index
    server.receive(AppendEntriesResponse("a", "b", server.term, False, last), 0.0)

    assert (before, server.commit_index) == (1, last)


def test_a_message_without_entries_takes_nothing_back() -> None:
    server = machine("a", terms=[1, 1, 1])

    server.receive(AppendEntries("a", "b", 1, 2, 1), 0.0)

    assert server.last_index == 4


def test_a_heartbeat_does_not_commit_what_conflicts() -> None:
    """A follower with as many entries as the leader, but others, is told nothing of them."""
    leader = elected(machine("a", terms=[2, 2], config=PLAIN), "b")
    leader.receive(AppendEntriesResponse("a", "b", leader.term, False, leader.last_index), 0.0)
    assert leader.commit_index == 4
    drain(leader)

    leader.handle_timeout(leader.next_timeout() or 0.0)

    told = {m.to: m.commit for m in of(Heartbeat, sent(drain(leader)))}
    assert told == {"b": 4, "c": 0}


def test_a_follower_commits_nothing_of_its_own_tail() -> None:
    """A short message with a high commit index proves nothing of what is behind it."""
    server = machine("a", terms=[2, 2, 2])

    server.receive(AppendEntries("a", "b", 3, 1, 1, entries(2, first=2), commit=9), 0.0)

    assert server.commit_index == 2


def test_entries_wait_for_the_snapshot_before_them() -> None:
    server = machine("a", config=PLAIN)
    snapshot = InstallSnapshot(
        "a", "b", 3, 9, 3, voters("a", "b"), 5, 5, crc32(b"state"), 0, b"state"
    )
    server.receive(snapshot, 0.0)
    server.receive(AppendEntries("a", "b", 3, 9, 3, entries(3, first=10), commit=10), 0.0)
    early = drain(server)
    [persist] = of(Persist, early)
    server.persisted(persist.seq, 0.0)

    handed_out = [o for o in drain(server) if isinstance(o, (EntriesCommitted, SnapshotInstalled))]

    assert of(EntriesCommitted, early) == []
    assert [type(output) for output in handed_out] == [SnapshotInstalled, EntriesCommitted]


def test_a_quorum_that_shrinks_commits_what_it_has_at_once() -> None:
    four = ("a", "b", "c", "d")
    server = elected(machine("a", *four, config=PLAIN), "b", "c")
    server.receive(AppendEntriesResponse("a", "b", 2, False, 2), 0.0)
    server.receive(AppendEntriesResponse("a", "c", 2, False, 2), 0.0)
    persist_all(server)
    change = server.change([RemoveMember("d")], 0.0)
    command = server.propose(b"x", 0.0)
    persist_all(server)
    server.receive(AppendEntriesResponse("a", "b", 2, False, command.index), 0.0)
    assert server.commit_index == 2

    # a, b and c are three of four for the change; for what is behind it a and b are two of three.
    server.receive(AppendEntriesResponse("a", "c", 2, False, change.index), 0.0)

    assert server.commit_index == command.index


# --- elections


def test_who_lacks_what_is_committed_is_not_elected() -> None:
    servers = led(config=PLAIN)
    servers.isolate("c")
    log_id = servers["a"].propose(b"x", servers.now)
    servers.deliver()
    assert servers["a"].commit_index == log_id.index
    servers.network.clear()
    servers.heal()
    servers.isolate("a")

    servers["c"].campaign(servers.now)
    servers.deliver()
    servers["c"].campaign(servers.now)
    servers.deliver()

    assert servers["c"].role is not Role.LEADER
    servers.elect("b")
    assert servers["c"].term_at(log_id.index) == log_id.term


def test_a_grant_that_outlives_a_crash_elects_nobody_without_what_was_claimed() -> None:
    """The request may not leave before the log is durable: the grant is for that log."""
    servers = led("a", "b", "c", config=PLAIN)
    servers.elect("b")
    servers.slow.add("a")
    log_id = servers["b"].propose(b"x", servers.now)
    servers.deliver()
    assert servers["b"].commit_index == log_id.index
    # The entry is in a's memory and on no disk of it, and a boasts of it.
    assert servers["a"].last_index == log_id.index
    servers["a"].campaign(servers.now)
    servers.pump()
    for name in ("b", "c"):
        for request in [m for m in servers.network if isinstance(m, RequestVote)]:
            if request.to == name:
                servers[name].receive(request, servers.now)
    servers.pump()
    grants = [m for m in servers.network if isinstance(m, RequestVoteResponse)]
    servers.network.clear()

    servers.slow.clear()
    servers.restart("a")
    assert servers["a"].last_index < log_id.index
    servers["a"].campaign(servers.now)
    servers.pump("a")
    for grant in grants:
        servers["a"].receive(grant, servers.now)

    assert servers["a"].role is not Role.LEADER


def test_a_crash_does_not_give_a_second_vote() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers["a"].campaign(servers.now)
    servers["c"].campaign(servers.now)
    assert servers["a"].term == servers["c"].term == 2
    servers.deliver(keep=lambda m: (m.source, m.to) in {("a", "b"), ("b", "a")})
    assert servers.leaders() == ["a"]

    servers.restart("b")
    servers["b"].receive(RequestVote("b", "c", 2, 9, 9), servers.now)
    servers.pump("b")

    assert [m.granted for m in of(RequestVoteResponse, servers.network)] == [False]


def test_a_joint_configuration_elects_by_both_majorities() -> None:
    joint = Configuration(voters=("a", "d", "e"), voters_outgoing=THREE)
    servers = Servers(*FIVE, configuration=joint, config=PLAIN)
    servers.isolate("b")
    servers.isolate("c")

    servers["a"].campaign(servers.now)
    servers.deliver()
    by_one_half = servers.leaders()
    servers.heal()
    servers.isolate("c")
    servers["a"].campaign(servers.now)
    servers.deliver()

    assert (by_one_half, servers.leaders()) == ([], ["a"])


def test_who_misses_its_leader_names_none() -> None:
    servers = led()
    servers.isolate("b")

    servers.advance(3.0)

    assert (servers["b"].role, servers["b"].leader) == (Role.PRE_CANDIDATE, None)


def test_the_log_of_the_latest_term_wins_over_the_longer_one() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers.start("a", on_disk(THREE, 2, 2, 2, 2, term=3))
    servers.start("b", on_disk(THREE, 3, term=3))
    servers.start("c", on_disk(THREE, 3, term=3))

    servers["a"].campaign(servers.now)
    servers.deliver()
    first = servers.leaders()
    servers["b"].campaign(servers.now)
    servers.deliver()

    assert (first, servers.leaders()) == ([], ["b"])
    assert [servers["a"].term_at(index) for index in (2, 3)] == [3, servers["b"].term]


def test_two_candidates_of_one_term_do_not_both_win() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers["a"].campaign(servers.now)
    servers["c"].campaign(servers.now)

    servers.deliver()

    assert len(servers.leaders()) == 1
    assert servers["a"].term == servers["b"].term == servers["c"].term == 2


# --- changes


def test_two_halves_of_a_changed_cluster_never_decide_apart() -> None:
    """Ongaro's 2015 erratum: two changes that different leaders made on the same configuration."""
    four = ("a", "b", "c", "d")
    servers = Servers(*FIVE, configuration=voters(*four), config=PLAIN)
    servers.elect("a")
    # a adds e, which nobody hears of; b is elected and removes d.
    servers.network.clear()
    servers["a"].change([AddVoter("e")], servers.now)
    servers.network.clear()
    servers.isolate("a")
    servers["b"].campaign(servers.now)
    servers.deliver()
    servers["b"].change([RemoveMember("a")], servers.now)
    servers.deliver()
    committed = servers["b"].commit_index
    assert servers["b"].configuration == voters("b", "c", "d")

    servers["a"].step_down(servers.now)
    for _ in range(2):  # the second time in a term that is later than b's
        servers["a"].campaign(servers.now)
    servers.heal()
    servers["a"].campaign(servers.now)
    servers.deliver()

    assert servers["a"].role is not Role.LEADER
    assert servers["b"].commit_index >= committed


def test_a_change_with_several_voters_never_skips_the_joint_configuration() -> None:
    servers = led(*FIVE, configuration=voters(*THREE))
    change = Change([AddVoter("d"), AddVoter("e")], Transition.AUTO)

    for name in ("c", "d", "e"):
        servers.isolate(name)
    servers["a"].change(change, servers.now)
    servers.deliver()
    assert servers["a"].configuration.voters_outgoing == THREE
    assert servers["a"].configuration.voters == FIVE

    servers.heal()
    servers.advance(1.0)

    assert servers["a"].configuration == voters(*FIVE)


# --- reads


def test_learners_confirm_no_read() -> None:
    configuration = Configuration(voters=("a", "b"), learners=("d", "e"))
    servers = led("a", "b", "d", "e", configuration=configuration)
    servers.isolate("b")

    servers["a"].read(servers.now)
    servers.deliver()

    assert of(ReadReady, servers.events["a"]) == []


def test_an_answer_to_a_round_of_an_earlier_term_confirms_no_read() -> None:
    """Rounds are counted anew in each term, so the numbers come again."""
    servers = led()
    server = servers["a"]
    servers.advance(0.5)
    read = server.read(servers.now)
    servers.pump("a")
    [latest, *_] = [m.round for m in servers.network if isinstance(m, Heartbeat) and m.round]

    server.receive(HeartbeatResponse("a", "b", server.term - 1, latest), servers.now)
    servers.pump("a")
    before = of(ReadReady, servers.events["a"])
    server.receive(HeartbeatResponse("a", "b", server.term, latest), servers.now)
    servers.pump("a")

    assert before == []
    assert [event.read for event in of(ReadReady, servers.events["a"])] == [read]


def test_a_read_that_waits_does_not_outlive_its_leaders_term() -> None:
    """What was committed when it began is not all that was committed when it is answered."""
    servers = led(config=PLAIN)
    servers["a"].receive(ReadIndex("a", "c", 0, 7), servers.now)
    servers.pump("a")
    servers.network.clear()
    servers.elect("b")
    servers["b"].propose(b"newer", servers.now)
    servers.deliver()

    servers.elect("a")
    seen: list[Message] = []

    def see(message: Message) -> bool:
        seen.append(message)
        return True

    for _ in range(5):
        servers.advance(servers.config.heartbeat_interval, deliver=False)
        servers.deliver(see)

    assert len(of(HeartbeatResponse, seen)) >= 8
    assert of(ReadIndexResponse, seen) == []


# --- sleep


def test_a_group_does_not_sleep_while_one_lacks_entries() -> None:
    servers = led(config=Config(quiescence=True))
    servers.isolate("c")
    servers["a"].propose(b"x", servers.now)
    servers.deliver()
    assert servers["a"].applied_index == servers["a"].last_index

    slept = servers["a"].quiesce(servers.now)
    servers.heal()
    servers.advance(1.0)

    assert not slept
    assert servers["a"].quiesce(servers.now)
