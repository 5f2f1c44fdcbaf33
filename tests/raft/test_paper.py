"""The Raft paper's rules, a test for each sentence that a server can break."""

from __future__ import annotations

import random

import pytest

from raft import (
    Config,
    EntriesCommitted,
    Persist,
    Raft,
    Refusal,
    Role,
    RoleChanged,
    SendMessage,
)
from raft.entries import Entries
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    RequestVote,
    RequestVoteResponse,
)
from tests.raft.vocabulary import (
    THREE,
    Servers,
    drain,
    entries,
    founded,
    machine,
    of,
    persist_all,
    sent,
    voters,
)

#: Elections as the paper has them: no pre-vote, no loyalty.
PLAIN = Config(pre_vote=False, check_quorum=False)
FIVE = ("a", "b", "c", "d", "e")


def follower(**options: object) -> Raft:
    """Return a server of three, plain, which heard of leader b."""
    made = machine("a", config=PLAIN, **options)  # type: ignore[arg-type]
    made.receive(Heartbeat("a", "b", made.term), 0.0)
    drain(made)
    return made


def candidate(*names: str, **options: object) -> Raft:
    """Return a server that asks for votes."""
    made = machine("a", *(names or THREE), config=PLAIN, **options)  # type: ignore[arg-type]
    made.campaign(0.0)
    persist_all(made)
    return made


def elected(*names: str, acknowledged: bool = True, **options: object) -> Raft:
    """Return a leader; all have acknowledged its first entry."""
    made = candidate(*names, **options)
    for name in (names or THREE)[1:]:
        made.receive(RequestVoteResponse("a", name, made.term, True), 0.0)
    persist_all(made)
    if acknowledged:
        for name in (names or THREE)[1:]:
            made.receive(AppendEntriesResponse("a", name, made.term, False, made.last_index), 0.0)
        persist_all(made)
    assert made.role is Role.LEADER
    return made


# --- 5.1 terms


@pytest.mark.parametrize("make", [follower, candidate, elected])
def test_5_1_a_server_that_sees_a_later_term_takes_it_and_follows(make: type) -> None:
    server = make()
    later = server.term + 5

    server.receive(AppendEntries("a", "b", later, 1, 1), 0.0)

    assert (server.role, server.term, server.leader) == (Role.FOLLOWER, later, "b")


def test_5_1_a_request_of_an_earlier_term_is_refused() -> None:
    server = follower(term=5)

    server.receive(AppendEntries("a", "c", 4, 1, 1, entries(4, first=2), 2), 0.0)
    messages = sent(persist_all(server))

    assert messages == [AppendEntriesResponse("c", "a", 5, True, 0)]
    assert (server.last_index, server.leader) == (1, "b")


# --- 5.2 elections


def test_5_2_servers_start_as_followers() -> None:
    assert machine().role is Role.FOLLOWER


def test_5_2_a_leader_sends_heartbeats_to_everyone() -> None:
    server = elected()
    at = server.next_timeout()
    assert at == 0.1

    server.handle_timeout(at)
    messages = of(Heartbeat, sent(drain(server)))

    assert [(m.to, m.commit, m.round) for m in messages] == [("b", 2, 1), ("c", 2, 1)]


@pytest.mark.parametrize("make", [follower, candidate])
def test_5_2_who_hears_no_leader_begins_a_term_votes_for_itself_and_asks(make: type) -> None:
    server = make()
    term = server.term
    at = server.next_timeout()
    assert at is not None

    server.handle_timeout(at)
    messages = sent(persist_all(server))

    assert (server.role, server.term, server.voted_for) == (Role.CANDIDATE, term + 1, "a")
    assert messages == [RequestVote(to, "a", term + 1, 1, 1, 1, 1) for to in ("b", "c")]


@pytest.mark.parametrize(
    ("size", "votes", "role"),
    [
        (1, "", Role.LEADER),
        (3, "yy", Role.LEADER),
        (3, "y", Role.LEADER),
        (5, "yyyy", Role.LEADER),
        (5, "yyy", Role.LEADER),
        (5, "yy", Role.LEADER),
        (3, "nn", Role.FOLLOWER),
        (5, "nnnn", Role.FOLLOWER),
        (5, "ynnn", Role.FOLLOWER),
        (3, "", Role.CANDIDATE),
        (5, "y", Role.CANDIDATE),
        (5, "nn", Role.CANDIDATE),
        (5, "", Role.CANDIDATE),
    ],
)
def test_5_2_a_majority_of_votes_makes_a_leader(size: int, votes: str, role: Role) -> None:
    server = candidate(*FIVE[:size])
    term = server.term

    for name, vote in zip(FIVE[1:], votes, strict=False):
        refusal = Refusal.NONE if vote == "y" else Refusal.VOTED
        server.receive(RequestVoteResponse("a", name, term, vote == "y", refusal), 0.0)

    assert (server.role, server.term) == (role, term)


@pytest.mark.parametrize(
    ("voted_for", "asking", "granted"),
    [
        (None, "b", True),
        (None, "c", True),
        ("b", "b", True),
        ("c", "c", True),
        ("b", "c", False),
        ("c", "b", False),
    ],
)
def test_5_2_a_server_votes_for_one_candidate_in_a_term(
    voted_for: str | None, asking: str, granted: bool
) -> None:
    server = machine("a", vote=voted_for, config=PLAIN)

    server.receive(RequestVote("a", asking, 1, 1, 1), 0.0)
    [answer] = of(RequestVoteResponse, sent(persist_all(server)))

    assert answer.granted is granted
    assert answer.refusal is (Refusal.NONE if granted else Refusal.VOTED)


@pytest.mark.parametrize("later", [0, 1])
def test_5_2_a_candidate_that_hears_a_leader_follows_it(later: int) -> None:
    server = candidate()
    term = server.term + later

    server.receive(AppendEntries("a", "c", term, 1, 1), 0.0)

    assert (server.role, server.term, server.leader) == (Role.FOLLOWER, term, "c")


def test_5_2_a_candidate_ignores_a_leader_of_an_earlier_term() -> None:
    server = candidate()

    server.receive(AppendEntries("a", "c", server.term - 1, 1, 1), 0.0)

    assert server.role is Role.CANDIDATE


@pytest.mark.parametrize("make", [follower, candidate])
def test_5_2_timeouts_are_drawn_anew_from_the_whole_range(make: type, seed: int) -> None:
    rng = random.Random(seed)
    drawn = []
    for _ in range(500):
        server = Raft("a", PLAIN, rng=rng, now=0.0, stored=founded(voters(*THREE)))
        if make is candidate:
            server.campaign(0.0)
        at = server.next_timeout()
        assert at is not None
        drawn.append(at)

    assert all(1.0 <= at < 2.0 for at in drawn)
    assert {int(at * 10) for at in drawn} == set(range(10, 20))


def test_5_2_timeouts_seldom_coincide(seed: int) -> None:
    """Five servers that draw from ten ticks would clash far more often."""
    rng = random.Random(seed)
    clashes = 0
    for _ in range(1000):
        times = sorted(1.0 + rng.random() for _ in FIVE)
        clashes += times[1] - times[0] < 0.01

    assert clashes <= 100


# --- 5.3 replication


def test_5_3_a_leader_appends_a_command_and_sends_it_to_everyone() -> None:
    server = elected()
    last, commit = server.last_index, server.commit_index

    server.propose(b"x", 0.0)
    outputs = drain(server)

    expected = Entries.of(server.entries(last + 1, last + 1))
    assert server.commit_index == commit
    assert sent(outputs) == [
        AppendEntries(to, "a", server.term, last, server.term, expected, commit)
        for to in ("b", "c")
    ]
    [persist] = of(Persist, outputs)
    assert persist.entries == expected
    assert [entry.payload for entry in expected] == [b"x"]


def test_5_3_a_leader_commits_and_tells_once_a_majority_has_the_entry() -> None:
    server = elected()
    log_id = server.propose(b"x", 0.0)
    persist_all(server)
    assert server.commit_index == log_id.index - 1

    server.receive(AppendEntriesResponse("a", "b", server.term, False, log_id.index), 0.0)
    outputs = drain(server)

    assert server.commit_index == log_id.index
    [committed] = of(EntriesCommitted, outputs)
    assert list(committed.commands()) == [(log_id.index, b"x")]
    assert [(m.to, m.commit) for m in of(Heartbeat, sent(outputs))] == [("b", log_id.index)]


@pytest.mark.parametrize(
    ("size", "acknowledging", "committed"),
    [
        (1, "", True),
        (3, "", False),
        (3, "b", True),
        (3, "bc", True),
        (5, "", False),
        (5, "b", False),
        (5, "bc", True),
        (5, "bcd", True),
        (5, "bcde", True),
    ],
)
def test_5_3_an_entry_is_committed_by_a_majority(
    size: int, acknowledging: str, committed: bool
) -> None:
    server = elected(*FIVE[:size])
    log_id = server.propose(b"x", 0.0)
    persist_all(server)

    for name in acknowledging:
        server.receive(AppendEntriesResponse("a", name, server.term, False, log_id.index), 0.0)

    assert (server.commit_index == log_id.index) is committed


@pytest.mark.parametrize("old", [(), (2,), (1,), (1, 2)])
def test_5_3_committing_an_entry_commits_all_before_it(old: tuple[int, ...]) -> None:
    server = elected(terms=old, term=2, acknowledged=False)
    log_id = server.propose(b"x", 0.0)
    outputs = persist_all(server)

    server.receive(AppendEntriesResponse("a", "b", server.term, False, log_id.index), 0.0)
    outputs += persist_all(server)

    handed_out = [entry.index for o in of(EntriesCommitted, outputs) for entry in o.entries]
    assert handed_out == list(range(2, log_id.index + 1))


@pytest.mark.parametrize(
    ("count", "commit", "handed_out"), [(1, 2, [2]), (2, 3, [2, 3]), (2, 2, [2]), (1, 9, [2])]
)
def test_5_3_a_follower_applies_what_it_learns_is_committed(
    count: int, commit: int, handed_out: list[int]
) -> None:
    server = follower()

    server.receive(AppendEntries("a", "b", 1, 1, 1, entries(*[1] * count, first=2), commit), 0.0)
    outputs = persist_all(server)

    assert [e.index for o in of(EntriesCommitted, outputs) for e in o.entries] == handed_out


@pytest.mark.parametrize(
    ("prev_index", "prev_term", "answer"),
    [
        (1, 1, (False, 1, 0, 0)),
        (2, 1, (False, 2, 0, 0)),
        (3, 2, (False, 3, 0, 0)),
        # What our index 3 has is of term 2: above the leader's, so look before it.
        (3, 1, (True, 3, 2, 1)),
        (4, 3, (True, 4, 3, 2)),
    ],
)
def test_5_3_a_follower_refuses_what_does_not_follow_its_log(
    prev_index: int, prev_term: int, answer: tuple[bool, int, int, int]
) -> None:
    server = follower(terms=[1, 2], term=3)

    server.receive(AppendEntries("a", "b", 3, prev_index, prev_term), 0.0)
    [response] = of(AppendEntriesResponse, sent(persist_all(server)))

    told = (response.rejected, response.index, response.hint_index, response.hint_term)
    assert told == answer


@pytest.mark.parametrize(
    ("prev", "sent_terms", "log", "written"),
    [
        ((3, 2), [3], [1, 1, 2, 3], [4]),
        ((2, 1), [3, 4], [1, 1, 3, 4], [3, 4]),
        ((1, 1), [1], [1, 1, 2], []),
        ((1, 1), [3], [1, 3], [2]),
    ],
)
def test_5_3_a_follower_replaces_what_conflicts_and_appends_what_is_missing(
    prev: tuple[int, int], sent_terms: list[int], log: list[int], written: list[int]
) -> None:
    server = follower(terms=[1, 2], term=4)

    new = entries(*sent_terms, first=prev[0] + 1)
    server.receive(AppendEntries("a", "b", 4, *prev, new), 0.0)
    writes = of(Persist, drain(server))

    assert [entry.term for entry in server.entries(1, 99)] == log
    assert [e.index for write in writes for e in write.entries] == written


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 4),
        (1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 4, 4, 4, 4),
        (1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
)
def test_5_3_figure_7_a_leader_makes_every_followers_log_its_own(terms: tuple[int, ...]) -> None:
    servers = Servers(config=PLAIN, configuration=voters(*THREE))
    leads = machine("a", terms=(1, 1, 4, 4, 5, 5, 6, 6, 6), term=7, config=PLAIN)
    follows = machine("b", terms=terms, term=7, config=PLAIN)
    votes = machine("c", term=7, config=PLAIN)
    for each in (leads, follows, votes):
        servers.adopt(each)
    leads.campaign(servers.now)
    servers.deliver(keep=lambda m: m.to != "b" or not isinstance(m, RequestVote))
    assert leads.role is Role.LEADER

    leads.propose(b"new", servers.now)
    servers.deliver()

    assert follows.entries(1, 99) == leads.entries(1, 99)
    assert votes.entries(1, 99) == leads.entries(1, 99)


# --- 5.4 safety


def test_5_4_1_a_candidate_tells_how_far_its_log_is() -> None:
    server = candidate(terms=[1, 2], term=2)
    server.campaign(0.0)

    messages = of(RequestVote, sent(persist_all(server)))

    assert {(m.last_index, m.last_term) for m in messages} == {(3, 2)}


@pytest.mark.parametrize(
    ("own", "last_term", "last_index", "granted"),
    [
        ([1], 1, 2, True),
        ([1], 1, 3, True),
        ([1, 1], 1, 2, False),
        ([1], 2, 2, True),
        ([1], 2, 3, True),
        ([1, 1], 2, 2, True),
        ([2], 1, 2, False),
        ([2], 1, 3, False),
        ([1, 2], 1, 2, False),
        ([2], 2, 1, False),
    ],
)
def test_5_4_1_only_one_whose_log_is_as_up_to_date_gets_a_vote(
    own: list[int], last_term: int, last_index: int, granted: bool
) -> None:
    server = machine("a", terms=own, term=2, config=PLAIN)

    server.receive(RequestVote("a", "b", 3, last_index, last_term), 0.0)
    [answer] = of(RequestVoteResponse, sent(persist_all(server)))

    assert answer.granted is granted
    assert answer.refusal is (Refusal.NONE if granted else Refusal.LOG)


@pytest.mark.parametrize(("acknowledged", "commit"), [(2, 1), (3, 1), (4, 4)])
def test_5_4_2_only_entries_of_its_own_term_are_committed_by_counting(
    acknowledged: int, commit: int
) -> None:
    server = elected(terms=[1, 2], term=2, acknowledged=False)
    assert server.term == 3

    server.receive(AppendEntriesResponse("a", "b", 3, False, acknowledged), 0.0)

    assert server.commit_index == commit


# --- 5.5, 8, figure 2


def test_5_5_a_request_that_comes_twice_does_no_harm() -> None:
    server = follower()
    message = AppendEntries("a", "b", 1, 1, 1, entries(1, 1, first=2), 2)
    server.receive(message, 0.0)
    persist_all(server)

    server.receive(message, 0.0)
    outputs = persist_all(server)

    assert outputs == [SendMessage(AppendEntriesResponse("b", "a", 1, False, 2))]
    assert server.last_index == 3


def test_figure_2_a_late_append_does_not_take_back_what_was_acknowledged_since() -> None:
    server = follower()
    server.receive(AppendEntries("a", "b", 1, 1, 1, entries(1, 1, 1, first=2)), 0.0)
    persist_all(server)

    server.receive(AppendEntries("a", "b", 1, 1, 1, entries(1, first=2)), 0.0)

    assert server.last_index == 4


def test_figure_2_term_and_vote_are_durable_before_a_vote_is_given() -> None:
    server = machine("a", config=PLAIN)
    server.receive(RequestVote("a", "b", 2, 1, 1), 0.0)

    outputs = drain(server)
    [persist] = of(Persist, outputs)
    server.persisted(persist.seq, 0.0)
    later = sent(drain(server))

    assert sent(outputs) == []
    assert (persist.hard_state.term, persist.hard_state.voted_for) == (2, "b")
    assert later == [RequestVoteResponse("b", "a", 2, True, commit=1, commit_term=1)]


def test_8_a_new_leader_begins_its_term_with_an_empty_entry() -> None:
    server = elected(acknowledged=False)

    [entry] = server.entries(2, 2)

    assert (entry.term, entry.index, entry.kind.value) == (server.term, 2, "empty")


def test_leader_append_only_a_leader_never_removes_an_entry() -> None:
    server = elected(terms=[1, 1])
    before = server.entries(1, 99)

    server.receive(AppendEntries("a", "b", server.term, 1, 1, entries(2, first=2)), 0.0)

    assert server.entries(1, 99) == before
    assert server.stats.rejected == {"another leader in our term": 1}


def test_a_role_changes_as_figure_4_says() -> None:
    servers = Servers(*THREE, config=PLAIN)
    servers["a"].campaign(servers.now)
    servers.deliver()
    servers["b"].campaign(servers.now)
    servers.deliver()

    roles = [(e.previous, e.role) for e in of(RoleChanged, servers.events["a"])]

    assert roles == [
        (Role.FOLLOWER, Role.CANDIDATE),
        (Role.CANDIDATE, Role.LEADER),
        (Role.LEADER, Role.FOLLOWER),
    ]
