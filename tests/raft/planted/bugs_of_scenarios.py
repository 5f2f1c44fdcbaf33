"""Bugs that are about how servers of a cluster get on with each other over a while."""

from __future__ import annotations

from tests.raft.planted.planting import Bug, Edit

_CONFIGURATION = "raft.membership.configuration:Configuration."
_ELECTIONS = "raft.server.elections:Elections."
_LEADER = "raft.server.leading:Leader."
_REPLICATION = "raft.server.replication:Replication."
_SERVER = "raft.server.server:Server."

BUGS = (
    Bug(
        "two-elect",
        "Two voters elect, however many there are.",
        (
            Edit(
                "raft.membership.quorum:_majority_vote",
                "majority(len(answers))",
                "len(answers) // 2",
            ),
        ),
        ("test_scenarios_peers::test_an_election_takes_a_majority",),
    ),
    Bug(
        "half-commits",
        "What half of the voters have is committed.",
        (
            Edit(
                "raft.membership.quorum:majority_reached",
                "(len(values) - 1) // 2",
                "len(values) // 2",
            ),
        ),
        ("test_scenarios_peers::test_half_a_cluster_removes_nobody",),
    ),
    Bug(
        "earlier-terms-are-heard",
        "What was sent in an earlier term is taken as if it were of the present one.",
        (
            Edit(
                _SERVER + "admit",
                "        self._answer_from_the_past(message)\n        return False",
                "        return True",
            ),
        ),
        (
            "test_scenarios_peers::test_messages_of_a_leader_of_old_are_ignored",
            "test_paper::test_5_1_a_request_of_an_earlier_term_is_refused",
        ),
    ),
    Bug(
        "one-vote-in-a-life",
        "A vote binds for later terms, too.",
        (Edit(_ELECTIONS + "become_follower", "core.voted_for = None", "pass"),),
        ("test_scenarios_progress::test_each_server_in_turn_can_lead",),
    ),
    Bug(
        "probed-for-ever",
        "A follower that was out of reach is never again sent more than it was probed with.",
        (
            Edit(
                _REPLICATION + "_leave_state",
                "        if index == peer.match:\n            peer.replicate()",
                "        pass",
            ),
        ),
        ("test_scenarios_peers::test_a_follower_that_was_out_of_reach_is_sent_entries_as_before",),
    ),
    Bug(
        "backlog-without-limit",
        "A leader takes whatever is proposed, though nothing is committed.",
        (Edit(_LEADER + "propose", "self._check_room(", "(lambda *_: None)("),),
        ("test_scenarios_peers::test_a_leader_without_a_quorum_does_not_grow_without_bound",),
    ),
    Bug(
        "backlog-of-a-former-term",
        "What a leader proposed in a former term still counts as uncommitted in the next.",
        (
            Edit(
                _LEADER + "__init__",
                "self._backlog_size = 0",
                "self._backlog_size = core.stats.proposed",
            ),
        ),
        ("test_scenarios_peers::test_what_a_leader_could_not_commit_does_not_fill_its_next_term",),
    ),
    Bug(
        "applied-forgotten",
        "A server that starts hands out again what the application's own disk has.",
        (
            Edit(
                "raft.server.restoring:restore",
                "min(max(stored.applied, covered), last)",
                "min(covered, last)",
            ),
        ),
        ("test_scenarios_peers::test_what_is_handed_out_after_a_restart_follows_what_was_applied",),
    ),
    Bug(
        "leader-not-named",
        "Who does not lead keeps to itself who does.",
        (Edit("raft.raft:Raft.propose", "raise NotLeader(core.leader)", "raise NotLeader"),),
        ("test_scenarios_progress::test_who_is_not_the_leader_says_who_is",),
    ),
    Bug(
        "leaves-without-a-word",
        "A leader that is removed steps down without telling that this is committed.",
        (
            Edit(_LEADER + "_leave", "core.send(self.replication.heartbeat(peer, 0))", "pass"),
            Edit(_LEADER + "_leave", "core.send(TimeoutNow(heir.id, core.id, core.term))", "pass"),
        ),
        ("test_scenarios_progress::test_two_of_whom_the_leader_is_removed_go_on_as_one",),
    ),
    Bug(
        "leaves-at-every-change",
        "A leader steps down whenever a configuration comes into force.",
        (
            Edit(
                _LEADER + "on_configuration",
                "if not core.configuration.is_electable(core.id):",
                "if len(core.configuration.voters) > 1:",
            ),
        ),
        ("test_scenarios_progress::test_the_removal_of_a_follower_causes_no_election",),
    ),
    Bug(
        "several-voters-at-once",
        "Several voters change in one step: majorities before and after need not meet.",
        (
            Edit(_CONFIGURATION + "apply", "if change.enters_joint:", "if False:"),
            Edit(_CONFIGURATION + "simple", "> 1", "> 9"),
        ),
        (
            "test_scenarios_safety::test_a_change_with_several_voters_never_skips_the_joint_configuration",
        ),
    ),
    Bug(
        "added-twice-is-removed",
        "Who is added again is gone.",
        (
            Edit(
                _CONFIGURATION + "simple",
                "draft.make(changes)",
                "draft.make(changes)\n"
                "    draft.voters -= {c.id for c in changes if c.id in self.voters}",
            ),
        ),
        ("test_scenarios_peers::test_adding_a_member_twice_is_harmless",),
    ),
)
