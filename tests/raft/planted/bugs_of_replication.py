"""Bugs of replication, commitment, snapshots and of what has to be durable for them."""

from __future__ import annotations

from tests.raft.planted.planting import Bug, Edit

_APPLYING = "raft.server.applying:Applying."
_DURABILITY = "raft.server.durability:Durability."
_FOLLOWING = "raft.server.following:Following."
_LEADER = "raft.server.leading:Leader."
_PROGRESS = "raft.server.progress:Progress."
_REPLICATION = "raft.server.replication:Replication."
_SERVER = "raft.server.server:Server."

BUGS = (
    Bug(
        "commit-by-counting",
        "Entries of earlier terms are committed by counting who has them (figure 8): another "
        "leader may still replace them.",
        (
            Edit(
                _REPLICATION + "try_commit",
                "index > core.commit and core.log.term_at(index) == core.term",
                "index > core.commit",
            ),
        ),
        (
            "test_scenarios_safety::test_figure_8_an_entry_of_an_earlier_term_that_a_majority_has_can_still_be_replaced",
            "test_paper::test_5_4_2_only_entries_of_its_own_term_are_committed_by_counting",
        ),
    ),
    Bug(
        "leader-without-empty-entry",
        "A new leader does not begin its term with an entry (paper 8): what it took over is not "
        "committed before somebody proposes.",
        (
            Edit(
                _LEADER + "__init__",
                "core.log.append_mark(core.term)",
                "core.log.last_index + 1",
            ),
        ),
        ("test_paper::test_8_a_new_leader_begins_its_term_with_an_empty_entry",),
    ),
    Bug(
        "leader-counts-before-disk",
        "A leader counts its own log before it is durable.",
        (
            Edit(
                _REPLICATION + "committed_index",
                "self._durability.index",
                "self._core.log.last_index",
            ),
        ),
        (
            "server.test_durability::test_a_leaders_entries_leave_at_once_but_its_own_log_counts_when_durable",
        ),
    ),
    Bug(
        "joint-commit-by-one-half",
        "In a joint configuration the new voters alone commit.",
        (
            Edit(
                _REPLICATION + "update_members",
                "(configuration.voters, configuration.voters_outgoing)",
                "(configuration.voters,)",
            ),
        ),
        ("server.test_leading::test_a_joint_configuration_needs_both_majorities",),
    ),
    Bug(
        "learners-count",
        "What a learner has counts for commitment.",
        (
            Edit(
                _REPLICATION + "update_members",
                "(configuration.voters, configuration.voters_outgoing)",
                "((*configuration.voters, *configuration.learners), configuration.voters_outgoing)",
            ),
        ),
        ("test_scenarios_safety::test_learners_are_no_part_of_a_quorum",),
    ),
    Bug(
        "acknowledged-before-disk",
        "Entries are acknowledged before they are durable.",
        (Edit(_DURABILITY + "acknowledge", "if seq > self._confirmed:", "if False:"),),
        (
            "server.test_durability::test_a_refusal_between_two_acknowledgements_keeps_them_apart",
            "server.test_durability::test_nothing_is_acknowledged_before_it_is_durable",
        ),
    ),
    Bug(
        "always-truncates",
        "A follower removes what is behind the entry before the new ones, conflict or not: a late "
        "message takes back what was acknowledged.",
        (
            Edit(
                _FOLLOWING + "_merge",
                "missing = log.first_missing(entries)",
                "missing = message.prev_index + 1",
            ),
        ),
        (
            "test_paper::test_5_3_a_follower_replaces_what_conflicts_and_appends_what_is_missing",
            "test_paper::test_figure_2_a_late_append_does_not_take_back_what_was_acknowledged_since",
        ),
    ),
    Bug(
        "empty-append-truncates",
        "A message without entries removes what is behind the entry before it.",
        (
            Edit(
                _FOLLOWING + "on_append",
                "    if entries.payloads:\n        if prev == log.last_index:",
                "    if not entries.payloads and prev < log.last_index:\n"
                "        log.truncate(prev + 1)\n"
                "        self._durability.truncated(prev + 1)\n"
                "    if entries.payloads:\n        if prev == log.last_index:",
            ),
        ),
        ("test_scenarios_safety::test_a_message_without_entries_takes_nothing_back",),
    ),
    Bug(
        "commits-what-it-has",
        "A follower commits up to its own last index, not the last new entry's: what is behind "
        "that may not be the leader's (figure 2, rule 5).",
        (
            Edit(
                _FOLLOWING + "on_append",
                "min(message.commit, last_new)",
                "min(message.commit, log.last_index)",
            ),
        ),
        (
            "test_scenarios_safety::test_a_follower_commits_nothing_of_its_own_tail",
            "server.test_following::test_a_follower_commits_no_more_than_the_message_proves",
        ),
    ),
    Bug(
        "acknowledges-what-it-has",
        "A follower acknowledges up to its own last index, not the last new entry's.",
        (
            Edit(
                _FOLLOWING + "on_append",
                "self._durability.acknowledge(message.source, last_new)",
                "self._durability.acknowledge(message.source, log.last_index)",
            ),
        ),
        ("test_paper::test_5_3_a_follower_refuses_what_does_not_follow_its_log",),
    ),
    Bug(
        "no-consistency-check",
        "A follower takes entries whatever stands before them.",
        (
            Edit(
                _FOLLOWING + "on_append",
                "if (log.last_term if prev == log.last_index else log.term_at(prev)) != "
                "message.prev_term:",
                "if prev > log.last_index:",
            ),
        ),
        (
            "test_scenarios_safety::test_figure_8_an_entry_of_an_earlier_term_that_a_majority_has_can_still_be_replaced",
            "test_paper::test_5_3_a_follower_refuses_what_does_not_follow_its_log",
        ),
    ),
    Bug(
        "heartbeat-commit-not-clamped",
        "A heartbeat tells the leader's commit index, whether the follower has those entries or "
        "others in their place.",
        (
            Edit(
                _REPLICATION + "heartbeat",
                "commit = peer.match",
                "pass",
            ),
        ),
        (
            "test_scenarios_safety::test_a_heartbeat_does_not_commit_what_conflicts",
            "server.test_leading::test_a_heartbeat_tells_only_what_its_receiver_has",
        ),
    ),
    Bug(
        "rejection-taken-for-acceptance",
        "A leader takes the index of a rejection for acknowledged.",
        (Edit(_REPLICATION + "on_append_response", "if message.rejected:", "if False:"),),
        (
            "test_paper::test_5_3_figure_7_a_leader_makes_every_followers_log_its_own",
            "test_scenarios_peers::test_a_slow_follower_catches_up_after_a_compaction",
        ),
    ),
    Bug(
        "old-acknowledgement-counts",
        "An acknowledgement of an earlier term counts, though its entries were replaced since.",
        (
            Edit(
                _SERVER + "admit",
                "    if term < core.term:",
                "    if kind is AppendEntriesResponse and term < core.term:\n"
                "        return True\n"
                "    if term < core.term:",
            ),
        ),
        ("test_scenarios_safety::test_an_acknowledgement_of_an_earlier_term_does_not_count",),
    ),
    Bug(
        "rejection-goes-below-match",
        "A late rejection has the leader send again from before what was acknowledged.",
        (
            Edit(
                _PROGRESS + "rejected",
                "        if index <= self.match:\n            return False\n        self.probe()",
                "        self.probe()\n        self.next = max(1, min(index, hint + 1))",
            ),
            Edit(
                _PROGRESS + "rejected",
                "self.next = max(min(index, hint + 1), self.match + 1)",
                "self.next = max(1, min(index, hint + 1))",
            ),
        ),
        (
            "server.test_progress::test_a_rejected_probe_looks_further_back_but_never_below_match",
            "server.test_progress::test_an_old_rejection_is_ignored_while_replicating",
        ),
    ),
    Bug(
        "probe-never-goes-on",
        "The answer to a heartbeat does not let the next probe go: one that was lost stops "
        "replication for good.",
        (Edit(_REPLICATION + "on_heartbeat_response", "peer.paused = False", "pass"),),
        (
            "test_scenarios_progress::test_a_probe_that_was_lost_is_sent_again",
            "server.test_replication::test_an_answered_heartbeat_lets_the_next_probe_go",
            "test_scenarios_progress::test_a_leader_that_is_cut_off_loses_what_it_took_and_says_so",
        ),
    ),
    Bug(
        "window-never-checked",
        "What was lost of a full window is never found out (no message without entries).",
        (
            Edit(
                _REPLICATION + "on_heartbeat_response",
                "peer.probe_due = True",
                "pass",
            ),
        ),
        (
            "server.test_replication::test_what_may_be_lost_is_found_out_by_a_message_without_entries",
        ),
    ),
    Bug(
        "window-without-limit",
        "The number of messages under way has no limit.",
        (
            Edit(
                _REPLICATION + "_next_entries",
                "and len(peer.ends) < config.inflight_messages_max",
                "",
            ),
        ),
        (
            "server.test_replication::test_messages_and_what_is_under_way_are_limited",
            "server.test_replication::test_an_answer_frees_its_place_in_the_window",
        ),
    ),
    Bug(
        "write-of-truncated-counts",
        "A write that was handed out before a truncation counts for entries that came after it "
        "(ABA): they are taken for durable when they are not.",
        (
            Edit(
                _DURABILITY + "_take_back",
                "(seq, min(last, index), size) for",
                "(seq, last, size) for",
            ),
        ),
        ("server.test_durability::test_a_write_of_what_was_truncated_since_does_not_count",),
    ),
    Bug(
        "truncated-stays-durable",
        "The same, and what was durable before a truncation still counts as such.",
        (
            Edit(
                _DURABILITY + "_take_back",
                "(seq, min(last, index), size) for",
                "(seq, last, size) for",
            ),
            Edit(_DURABILITY + "_take_back", "self.index = min(self.index, index)", "pass"),
        ),
        ("server.test_durability::test_a_write_of_what_was_truncated_since_does_not_count",),
    ),
    Bug(
        "truncated-is-acknowledged",
        "An acknowledgement that waits for the disk is sent though its entries were removed.",
        (
            Edit(
                _DURABILITY + "term_began",
                "if item[1].term >= term",
                "",
            ),
        ),
        ("server.test_durability::test_what_was_truncated_since_is_not_acknowledged",),
    ),
    Bug(
        "applied-before-disk",
        "Entries are handed out before they are durable here: a crash leaves the application "
        "ahead of its log.",
        (
            Edit(
                _APPLYING + "apply",
                "upto = durability.index",
                "pass",
            ),
            Edit(
                _APPLYING + "apply",
                "(upto := min(core.commit, durability.index))",
                "(upto := core.commit)",
            ),
        ),
        (
            "server.test_durability::test_what_is_committed_is_handed_out_only_when_it_is_durable_here",
        ),
    ),
    Bug(
        "applied-with-pending-snapshot",
        "Entries are handed out while the snapshot before them is not yet installed.",
        (
            Edit(
                _APPLYING + "apply",
                "or self._busy or durability.snapshot_due is not None:",
                "or self._busy:",
            ),
            Edit(_APPLYING + "apply", "upto = durability.index", "pass"),
        ),
        (
            "test_scenarios_safety::test_entries_wait_for_the_snapshot_before_them",
            "server.test_snapshot_receiving::test_a_second_snapshot_overtakes_the_first_on_its_way_to_disk",
        ),
    ),
    Bug(
        "old-snapshot-accepted",
        "A snapshot of less than what is committed is put in place: the log falls back.",
        (
            Edit(
                "raft.server.snapshot_receiving:SnapshotReceiving.on_chunk",
                "if message.index <= core.commit:",
                "if False:",
            ),
        ),
        (
            "server.test_snapshot_receiving::test_a_snapshot_of_what_is_committed_here_is_not_needed",
        ),
    ),
    Bug(
        "snapshot-replaces-good-log",
        "A snapshot of what the log already has replaces it: what was acknowledged behind it "
        "is gone.",
        (
            Edit(
                "raft.server.snapshot_receiving:SnapshotReceiving.on_chunk",
                "if core.log.term_at(message.index) == message.index_term:",
                "if False:",
            ),
        ),
        (
            "server.test_snapshot_receiving::test_a_snapshot_of_what_the_log_has_only_commits_it",
            "server.test_snapshot_receiving::test_a_part_that_is_no_longer_needed_is_dropped",
        ),
    ),
    Bug(
        "follower-stuck-in-snapshot",
        "A follower that got what it lacked another way never leaves the snapshot state "
        "(etcd issue 10308).",
        (
            Edit(
                _REPLICATION + "_leave_state",
                "elif peer.match >= base or peer.match >= peer.sending.index:",
                "elif peer.match > peer.sending.index:",
            ),
        ),
        (
            "server.test_replication::test_an_installed_snapshot_is_followed_by_entries",
            "server.test_replication::test_a_snapshot_that_was_compacted_away_is_followed_by_the_next",
        ),
    ),
    Bug(
        "regression-not-told",
        "A follower that lost acknowledged entries is not told from one that lags behind.",
        (
            Edit(
                _FOLLOWING + "on_heartbeat",
                "if message.match > last:",
                "if False:",
            ),
        ),
        (
            "server.test_following::test_it_is_told_once_what_is_lost",
            "server.test_following::test_it_neither_votes_nor_campaigns_even_after_a_restart",
        ),
    ),
    Bug(
        "replaced-is-lost",
        "A former leader's entries are said to be lost when they are removed from its own log: "
        "another server may keep and commit them.",
        (
            Edit(
                _FOLLOWING + "_merge",
                "log.truncate(missing)",
                "from raft.outputs import LogIds, ProposalsLost\n"
                "        core.emit(ProposalsLost(LogIds(log.last_term, missing, log.last_index)))\n"
                "        log.truncate(missing)",
            ),
        ),
        (
            "server.test_open_proposals::test_what_the_next_leader_removes_may_be_committed_by_the_one_after_it",
        ),
    ),
)
