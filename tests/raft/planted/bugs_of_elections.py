"""Bugs of elections, of terms and of what has to be durable for them."""

from __future__ import annotations

from tests.raft.planted.planting import Bug, Edit

_ELECTIONS = "raft.server.elections:Elections."
_SERVER = "raft.server.server:Server."
_DURABILITY = "raft.server.durability:Durability."

BUGS = (
    Bug(
        "no-log-check",
        "A vote goes to a candidate whatever its log (paper 5.4.1): committed entries get lost.",
        (
            Edit(
                _ELECTIONS + "_refusal",
                "if (message.last_term, message.last_index) < (",
                "if False and (message.last_term, message.last_index) < (",
            ),
        ),
        (
            "test_scenarios_safety::test_who_lacks_what_is_committed_is_not_elected",
            "test_paper::test_5_4_1_only_one_whose_log_is_as_up_to_date_gets_a_vote",
            "test_scenarios_safety::test_two_halves_of_a_changed_cluster_never_decide_apart",
        ),
    ),
    Bug(
        "log-check-by-index",
        "The longer log is taken for the more up to date one, whatever its last term.",
        (
            Edit(
                _ELECTIONS + "_refusal",
                "if (message.last_term, message.last_index) < "
                "(core.log.last_term, core.log.last_index):",
                "if message.last_index < core.log.last_index:",
            ),
        ),
        (
            "test_scenarios_safety::test_the_log_of_the_latest_term_wins_over_the_longer_one",
            "test_paper::test_5_4_1_only_one_whose_log_is_as_up_to_date_gets_a_vote",
        ),
    ),
    Bug(
        "two-votes",
        "A server votes for whoever asks, more than once in a term: two leaders of one term.",
        (
            Edit(
                _ELECTIONS + "_refusal",
                "if core.voted_for != message.source and not free and not ahead:",
                "if False:",
            ),
            Edit(
                _ELECTIONS + "on_request_vote",
                "if core.voted_for is None:",
                "if core.voted_for != message.source:",
            ),
        ),
        (
            "test_scenarios_safety::test_two_candidates_of_one_term_do_not_both_win",
            "test_paper::test_5_2_a_server_votes_for_one_candidate_in_a_term",
            "test_scenarios_peers::test_votes_that_come_late_elect_no_second_leader",
        ),
    ),
    Bug(
        "vote-not-stored",
        "The vote is not written with the term: after a crash there is another one to give.",
        (
            Edit(
                _DURABILITY + "_render",
                "HardState(core.term, core.voted_for,",
                "HardState(core.term, None,",
            ),
        ),
        (
            "test_scenarios_safety::test_a_crash_does_not_give_a_second_vote",
            "test_paper::test_figure_2_term_and_vote_are_durable_before_a_vote_is_given",
        ),
    ),
    Bug(
        "term-not-stored",
        "Neither term nor vote are written before there are entries of the term.",
        (
            Edit(
                _DURABILITY + "_render",
                "HardState(core.term, core.voted_for,",
                "HardState(core.log.last_term, None,",
            ),
        ),
        (
            "test_scenarios_safety::test_a_crash_does_not_give_a_second_vote",
            "test_paper::test_figure_2_term_and_vote_are_durable_before_a_vote_is_given",
        ),
    ),
    Bug(
        "vote-forgotten",
        "A candidate that steps down within its term forgets that it voted for itself.",
        (
            Edit(
                _ELECTIONS + "become_follower",
                "    self._change_role(FOLLOWER, cause)",
                "    core.voted_for = None\n    self._change_role(FOLLOWER, cause)",
            ),
        ),
        ("server.test_elections::test_a_lost_election_leaves_the_vote_as_it_is",),
    ),
    Bug(
        "vote-before-disk",
        "A vote leaves before it is durable.",
        (
            Edit(
                _DURABILITY + "send_when_durable",
                "if seq > self._confirmed:",
                "if seq > self._confirmed and ("
                "type(message).__name__ != 'RequestVoteResponse' or message.to == self._core.id):",
            ),
        ),
        ("test_paper::test_figure_2_term_and_vote_are_durable_before_a_vote_is_given",),
    ),
    Bug(
        "own-vote-before-disk",
        "A candidate counts its own vote before it is durable: a server alone leads a term twice.",
        (
            Edit(
                _DURABILITY + "send_when_durable",
                "if seq > self._confirmed:",
                "if message.to == self._core.id:\n"
                "        self._deliver(message)\n"
                "    elif seq > self._confirmed:",
            ),
        ),
        ("server.test_durability::test_the_own_vote_counts_only_when_it_is_durable",),
    ),
    Bug(
        "request-before-disk",
        "A candidate asks before the log that it boasts of is durable (as etcd's asynchronous "
        "storage writes let it): elected by old grants after a crash, without those entries.",
        (
            Edit(
                _DURABILITY + "send_when_durable",
                "if seq > self._confirmed:",
                "if seq > self._confirmed and type(message).__name__ != 'RequestVote':",
            ),
        ),
        (
            "test_scenarios_safety::test_a_grant_that_outlives_a_crash_elects_nobody_without_what_was_claimed",
            "server.test_durability::test_a_vote_request_leaves_only_when_term_vote_and_log_are_durable",
        ),
    ),
    Bug(
        "everything-before-disk",
        "All messages leave before what they claim is durable.",
        (
            Edit(
                _DURABILITY + "send_when_durable",
                "if seq > self._confirmed:",
                "if message.to == self._core.id:\n        self._deliver(message)\n    elif False:",
            ),
            Edit(_DURABILITY + "acknowledge", "if seq > self._confirmed:", "if False:"),
        ),
        (
            "test_scenarios_safety::test_a_grant_that_outlives_a_crash_elects_nobody_without_what_was_claimed",
            "server.test_durability::test_answers_to_pre_votes_wait_for_the_term_that_they_tell",
        ),
    ),
    Bug(
        "old-votes-count",
        "A vote of an earlier term counts in the present one.",
        (
            Edit(
                _SERVER + "admit",
                "    if term < core.term:",
                "    if kind is RequestVoteResponse and term < core.term:\n"
                "        return True\n"
                "    if term < core.term:",
            ),
        ),
        ("server.test_elections::test_a_vote_of_an_earlier_election_does_not_count",),
    ),
    Bug(
        "votes-without-names",
        "Votes are counted, not voters: one that is heard twice is a majority.",
        (
            Edit(
                _ELECTIONS + "_count",
                "    self._votes.setdefault(message.source, (message.granted, message.refusal))",
                "    voters = self._core.configuration.all_voters\n"
                "    missing = [voter for voter in voters if voter not in self._votes]\n"
                "    again = message.source in self._votes and missing\n"
                "    vote = message.granted, message.refusal\n"
                "    self._votes[missing[0] if again else message.source] = vote",
            ),
        ),
        ("server.test_elections::test_the_first_answer_of_each_voter_counts",),
    ),
    Bug(
        "joint-vote-by-one-half",
        "In a joint configuration the new voters alone elect.",
        (
            Edit(
                _ELECTIONS + "_count",
                "configuration.voters, configuration.voters_outgoing",
                "configuration.voters, ()",
            ),
        ),
        ("test_scenarios_safety::test_a_joint_configuration_elects_by_both_majorities",),
    ),
    Bug(
        "learner-refuses-vote",
        "Who takes itself for a learner refuses to vote, though it may have been promoted since "
        "(etcd issue 10998): nobody can be elected.",
        (
            Edit(
                _ELECTIONS + "_refusal",
                "if core.regressed:",
                "if core.id not in core.configuration.all_voters:\n"
                "        return Refusal.NOT_A_MEMBER\n"
                "    if core.regressed:",
            ),
        ),
        ("server.test_elections::test_a_learner_votes_but_does_not_campaign",),
    ),
    Bug(
        "learner-campaigns",
        "A learner campaigns: it raises terms for ever, without a chance.",
        (
            Edit(
                _ELECTIONS + "is_promotable",
                "core.configuration.is_electable(core.id)",
                "core.id in core.configuration.members",
            ),
        ),
        (
            "server.test_elections::test_a_learner_votes_but_does_not_campaign",
            "server.test_elections::test_a_witness_votes_but_does_not_campaign",
        ),
    ),
    Bug(
        "pre-vote-in-own-term",
        "The grant of a pre-vote carries the voter's term: stale to who asked, nobody is elected.",
        (
            Edit(
                _ELECTIONS + "answer",
                "term = message.term if granted else core.term",
                "term = core.term",
            ),
        ),
        (
            "server.test_elections::test_a_pre_vote_is_granted_in_a_later_term_whoever_had_our_vote",
            "server.test_elections::test_the_leader_itself_is_no_rival_of_the_leader",
            "test_scenarios_progress::test_a_pre_vote_that_ends_in_a_tie_is_repeated",
        ),
    ),
    Bug(
        "pre-vote-raises-terms",
        "The request for a pre-vote is taken for a sight of a later term.",
        (
            Edit(
                _SERVER + "admit",
                "if isinstance(message, RequestPreVote):",
                "if False:",
            ),
        ),
        ("server.test_elections::test_asking_in_advance_binds_nobody",),
    ),
    Bug(
        "earlier-pre-candidate-unanswered",
        "A pre-candidate of an earlier term gets no answer, and never learns of the later one: "
        "with the longer log on its side, nobody is ever elected.",
        (
            Edit(
                _SERVER + "_answer_from_the_past",
                "isinstance(message, (RequestVote, RequestPreVote))",
                "isinstance(message, RequestVote)",
            ),
        ),
        (
            "test_scenarios_progress::test_an_earlier_term_with_the_longer_log_is_elected_in_the_end",
            "server.test_elections::test_a_pre_candidate_of_an_earlier_term_learns_ours",
        ),
    ),
    Bug(
        "earlier-leader-unanswered",
        "A leader of an earlier term gets no answer (etcd issue 8501): who was cut off in a later "
        "term, and may not depose it, is out for good.",
        (
            Edit(
                _SERVER + "_answer_from_the_past",
                "elif type(message) in _FROM_LEADERS:",
                "elif False:",
            ),
        ),
        (
            "test_scenarios_progress::test_a_server_that_was_cut_off_in_a_later_term_comes_back",
            "test_paper::test_5_1_a_request_of_an_earlier_term_is_refused",
            "test_scenarios_progress::test_a_learner_of_a_later_term_disturbs_nobody_for_long",
        ),
    ),
    Bug(
        "pre-candidate-keeps-leader",
        "A pre-candidate still names the leader that it misses.",
        (Edit(_ELECTIONS + "_become_pre_candidate", "core.follow(None)", "pass"),),
        ("test_scenarios_safety::test_who_misses_its_leader_names_none",),
    ),
    Bug(
        "disloyal-voters",
        "Who hears a leader votes for another nevertheless: one that was cut off deposes it.",
        (
            Edit(
                _ELECTIONS + "loyal_refusal",
                "if not self._hears_leader(core.now):",
                "if True:",
            ),
        ),
        (
            "server.test_elections::test_who_hears_a_leader_refuses_others_and_says_why",
            "server.test_elections::test_a_leader_that_hears_its_quorum_is_loyal_to_itself",
            "test_scenarios_progress::test_a_server_that_was_cut_off_and_asks_first_disturbs_nobody",
        ),
    ),
    Bug(
        "too-loyal-voters",
        "Loyalty to the leader binds even when it hands over: no transfer ever succeeds.",
        (
            Edit(
                _ELECTIONS + "loyal_refusal",
                "if transfer or not core.config.check_quorum",
                "if not core.config.check_quorum",
            ),
        ),
        (
            "server.test_elections::test_a_candidate_that_the_leader_sent_gets_a_vote_at_once",
            "server.test_leading::test_leadership_is_handed_over_by_way_of_a_follower",
            "test_scenarios_peers::test_a_promoted_learner_can_lead",
            "test_scenarios_peers::test_leadership_is_handed_to_one_that_needs_a_snapshot_first",
        ),
    ),
    Bug(
        "campaign-with-unapplied-change",
        "A server campaigns by a configuration that it knows to be replaced (etcd issue 12133): "
        "two majorities without a common server elect.",
        (
            Edit(
                _ELECTIONS + "_has_unapplied_configuration",
                "return core.log",
                "return False and core.log",
            ),
        ),
        (
            "server.test_elections::test_nobody_campaigns_by_a_configuration_that_is_known_to_be_replaced",
        ),
    ),
    Bug(
        "campaign-with-pending-snapshot",
        "A server campaigns while the snapshot that replaces its log is not yet durable.",
        (
            Edit(
                _ELECTIONS + "is_promotable",
                "and self._durability.snapshot_due is None",
                "",
            ),
        ),
        (
            "server.test_snapshot_receiving::test_a_server_does_not_campaign_before_its_snapshot_is_installed",
        ),
    ),
    Bug(
        "stale-timeout-now",
        "A wish of a former leader to take over starts an election (hashicorp/raft).",
        (
            Edit(
                _SERVER + "admit",
                "    if term < core.term:",
                "    if kind is TimeoutNow and term < core.term:\n"
                "        return True\n"
                "    if term < core.term:",
            ),
            Edit(
                _SERVER + "_on_timeout_now",
                "self.core.leader not in (None, message.source)",
                "False",
            ),
        ),
        ("server.test_leading::test_a_stale_wish_to_take_over_is_ignored",),
    ),
    Bug(
        "deaf-candidate",
        "A candidate does not follow the leader of its own term.",
        (
            Edit(
                _ELECTIONS + "heard",
                "self.become_follower(core.term, leader, Cause.LEADER_HEARD)",
                "pass",
            ),
        ),
        ("test_paper::test_5_2_a_candidate_that_hears_a_leader_follows_it",),
    ),
    Bug(
        "regressed-server-votes",
        "A server that lost acknowledged entries votes: for one that lacks them, too.",
        (Edit(_ELECTIONS + "_refusal", "if core.regressed:", "if False:"),),
        ("server.test_following::test_it_neither_votes_nor_campaigns_even_after_a_restart",),
    ),
    Bug(
        "no-patience-after-restart",
        "A server that restarts forgets that a leader may count on its patience for a lease.",
        (
            Edit(
                _ELECTIONS + "loyal_refusal",
                "if core.now < self._patient_until:",
                "if False:",
            ),
        ),
        ("server.test_elections::test_a_restarted_server_votes_for_nobody_for_a_while",),
    ),
)
