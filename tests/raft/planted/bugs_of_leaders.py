"""Bugs of changes, reads, leases and transfers."""

from __future__ import annotations

from tests.raft.planted.planting import Bug, Edit

_LEADER = "raft.server.leading:Leader."
_ROUNDS = "raft.server.rounds:Rounds."
_READS = "raft.server.reads:Reads."
_CONFIGURATION = "raft.membership.configuration:Configuration."
_TRANSFER = "raft.server.transfer:Transfer."

_STAYS = Edit(
    _LEADER + "on_configuration",
    "if not core.configuration.is_electable(core.id):",
    "if False:",
)

BUGS = (
    Bug(
        "two-changes-at-a-time",
        "A change is appended while an earlier one is not yet in force: their quorums need not "
        "have a common server.",
        (Edit(_LEADER + "change", "if self._pending_change_index > core.applied:", "if False:"),),
        (
            "server.test_leading::test_one_change_at_a_time",
            "server.test_leading::test_a_new_leader_waits_for_what_it_took_over",
        ),
    ),
    Bug(
        "inherited-change-forgotten",
        "A new leader does not count with a change in what it took over.",
        (
            Edit(
                _LEADER + "__init__",
                "self._pending_change_index = core.log.last_index",
                "self._pending_change_index = 0",
            ),
        ),
        ("server.test_leading::test_a_new_leader_waits_for_what_it_took_over",),
    ),
    Bug(
        "many-voters-at-once",
        "Several voters change at once without a joint configuration.",
        (
            Edit(
                _CONFIGURATION + "apply",
                "if change.enters_joint:",
                "if change.transition is not Transition.AUTO:",
            ),
            Edit(
                _CONFIGURATION + "simple",
                "if len(draft.voters.symmetric_difference(self.voters)) > 1:",
                "if False:",
            ),
        ),
        (
            "membership.test_configuration::test_two_voters_do_not_change_without_a_joint_configuration",
            "membership.test_configuration::test_several_changes_enter_a_joint_configuration_that_is_left_by_itself",
        ),
    ),
    Bug(
        "joint-never-left",
        "A leader that took a joint configuration over does not leave it.",
        (
            Edit(
                _LEADER + "on_applied",
                "if core.configuration.auto_leave and core.applied >= self._pending_change_index:",
                "if core.configuration.auto_leave and core.applied == self._pending_change_index:",
            ),
            Edit(_LEADER + "handle_timeout", "if core.configuration.auto_leave:", "if False:"),
        ),
        ("server.test_leading::test_a_joint_configuration_is_left_after_a_transfer_that_failed",),
    ),
    Bug(
        "joint-left-twice",
        "The change that leaves a joint configuration is proposed again and again.",
        (
            Edit(
                _LEADER + "on_applied",
                "if core.configuration.auto_leave and core.applied >= self._pending_change_index:",
                "if core.configuration.auto_leave:",
            ),
        ),
        ("server.test_leading::test_the_next_leader_leaves_a_joint_configuration_too",),
    ),
    Bug(
        "removed-leader-stays",
        "A leader that is no voter any more goes on: its group is stuck with it.",
        (_STAYS,),
        (
            "server.test_leading::test_a_removed_leader_without_heirs_steps_down_too",
            "server.test_leading::test_a_removed_leader_steps_down_and_another_takes_over_at_once",
        ),
    ),
    Bug(
        "quorum-not-counted-again",
        "When a change shrinks the quorum, what it has already is not committed.",
        (
            Edit(
                _LEADER + "on_configuration",
                "    replication.try_commit()\n",
                "",
            ),
        ),
        ("test_scenarios_safety::test_a_quorum_that_shrinks_commits_what_it_has_at_once",),
    ),
    Bug(
        "removed-member-not-told",
        "A removed server never learns of it, and campaigns against the others.",
        (
            Edit(
                "raft.server.replication:Replication._say_goodbye",
                "self._core.send(self.heartbeat(peer, 0))",
                "pass",
            ),
        ),
        (
            "server.test_leading::test_a_removed_member_is_told_and_does_not_disturb",
            "server.test_leading::test_a_removed_member_that_refuses_entries_is_told_nothing",
        ),
    ),
    Bug(
        "read-without-quorum",
        "A leader answers reads without asking whether it still leads.",
        (
            Edit(
                _READS + "_lead",
                "        commit = self._core.commit\n",
                "        commit = self._core.commit\n"
                "        self._answer(source, number, commit)\n"
                "        return\n",
            ),
        ),
        (
            "server.test_reads::test_a_read_without_a_quorum_waits_and_fails_in_the_end",
            "server.test_reads::test_a_learners_answer_confirms_nothing",
            "test_scenarios_peers::test_a_read_is_confirmed_by_the_quorum_that_is_left",
        ),
    ),
    Bug(
        "read-before-own-term",
        "A leader answers reads before it has committed an entry of its term: it does not know "
        "yet what is committed.",
        (Edit(_READS + "_lead", "if leader.has_committed:", "if True:"),),
        (
            "server.test_reads::test_a_new_leader_answers_when_it_has_committed_an_entry_of_its_term",
            "server.test_reads::test_a_server_alone_does_not_know_what_it_committed_before_its_term_begins",
        ),
    ),
    Bug(
        "single-voter-read",
        "A server alone answers reads before it has committed an entry of its term: after a "
        "restart it does not know what it had acknowledged.",
        (
            Edit(
                _READS + "_lead",
                "if leader.has_committed:",
                "if leader.has_committed or self._core.configuration.voters == (self._core.id,):",
            ),
        ),
        (
            "server.test_reads::test_a_server_alone_does_not_know_what_it_committed_before_its_term_begins",
        ),
    ),
    Bug(
        "one-other-voter-read",
        "A removed leader that stays answers reads at once, because its configuration has a "
        "single voter: another server.",
        (
            _STAYS,
            Edit(
                _READS + "_lead",
                "    if leader.has_committed:\n",
                "    if leader.has_committed and len(self._core.configuration.all_voters) == 1:\n"
                "        self._answer(source, number, self._core.commit)\n"
                "        return\n"
                "    if leader.has_committed:\n",
            ),
        ),
        (
            "server.test_reads::test_a_removed_leader_whose_configuration_has_one_other_voter_answers_nothing",
        ),
    ),
    Bug(
        "reads-outlive-term",
        "Reads that wait survive the end of a leadership, and the rounds of the next one, which "
        "are counted from the beginning again, confirm them.",
        (Edit(_READS + "on_leader_changed", "self.unconfirmed.clear()", "pass"),),
        (
            "test_scenarios_safety::test_a_read_that_waits_does_not_outlive_its_leaders_term",
            "server.test_reads::test_rounds_that_nobody_answers_are_forgotten_in_the_end",
        ),
    ),
    Bug(
        "old-round-confirms",
        "The answer to a round of heartbeats of an earlier term confirms one of this term.",
        (
            Edit(
                "raft.server.server:Server.admit",
                "    if term < core.term:",
                "    if kind is HeartbeatResponse and term < core.term:\n"
                "        return True\n"
                "    if term < core.term:",
            ),
        ),
        ("test_scenarios_safety::test_an_answer_to_a_round_of_an_earlier_term_confirms_no_read",),
    ),
    Bug(
        "read-joins-sent-round",
        "A read joins a round of heartbeats that was sent before it began (etcd issue 20418).",
        (Edit(_ROUNDS + "begin", "if not self._is_open():", "if not self.latest:"),),
        (
            "server.test_reads::test_only_an_answer_to_a_round_that_began_after_the_read_confirms_it",
        ),
    ),
    Bug(
        "learner-confirms-read",
        "The answer of a learner confirms a read.",
        (
            Edit(
                "raft.server.replication:Replication.quorum_round",
                "rounds = [peer.round for peer in peers]",
                "rounds = [peer.round for peer in self.peers.values()]  # learners, too",
            ),
        ),
        ("test_scenarios_safety::test_learners_confirm_no_read",),
    ),
    Bug(
        "lease-until-quorum-check",
        "A lease lasts until the leader next looks whether it hears a quorum (etcd's rule): "
        "others may lead by then.",
        (
            Edit(
                _ROUNDS + "has_lease",
                "core.now < self._lease_begin + core.config.lease_duration",
                "True",
            ),
        ),
        ("server.test_reads::test_a_lease_is_measured_from_the_sending_of_what_a_quorum_answered",),
    ),
    Bug(
        "lease-from-answer",
        "A lease is measured from when the answers came, not from when they were asked for.",
        (
            Edit(
                _ROUNDS + "confirm",
                "self._lease_begin = times.popleft()[1]",
                "times.popleft()\n        self._lease_begin = self._core.now",
            ),
        ),
        ("server.test_reads::test_a_lease_is_measured_from_the_sending_of_what_a_quorum_answered",),
    ),
    Bug(
        "lease-without-drift",
        "A lease takes all clocks to run equally fast.",
        (
            Edit(
                _ROUNDS + "has_lease",
                "core.config.lease_duration",
                "core.config.election_timeout",
            ),
        ),
        (
            "server.test_reads::test_a_lease_ends_before_anyone_else_can_lead",
            "server.test_reads::test_a_lease_is_measured_from_the_sending_of_what_a_quorum_answered",
        ),
    ),
    Bug(
        "lease-during-transfer",
        "A leader that told another to take over at once still trusts its lease.",
        (Edit(_ROUNDS + "end_leases", "self._lease_void = True", "pass"),),
        (
            "server.test_reads::test_without_a_lease_the_read_goes_the_long_way",
            "server.test_reads::test_there_is_no_lease_in_a_term_in_which_leadership_was_transferred",
        ),
    ),
    Bug(
        "transfer-without-end",
        "A transfer that fails is never given up: no proposals are taken any more.",
        (Edit(_TRANSFER + "handle_timeout", "if self._due <= self._core.now:", "if False:"),),
        ("test_scenarios_progress::test_a_transfer_ends_when_its_time_is_over",),
    ),
    Bug(
        "transfer-outlives-term",
        "A transfer is still in progress when its server leads the next time.",
        (Edit(_TRANSFER + "leader_changed", "if leader is not None and", "if False and"),),
        (
            "server.test_leading::test_leadership_is_handed_over",
            "server.test_leading::test_a_transfer_ends_with_any_other_leader",
        ),
    ),
    Bug(
        "transfer-to-removed",
        "A transfer goes on though its transferee was removed.",
        (
            Edit(
                _LEADER + "on_configuration",
                "if transferee is not None and not",
                "if False and not",
            ),
        ),
        ("server.test_leading::test_a_transferee_that_is_removed_ends_the_transfer",),
    ),
    Bug(
        "transferee-not-caught-up",
        "The transferee is told to take over before it has all entries.",
        (
            Edit(
                _LEADER + "transfer",
                "if peer.match == core.log.last_index:",
                "if True:",
            ),
        ),
        ("server.test_leading::test_the_transferee_gets_all_entries_first",),
    ),
    Bug(
        "proposals-during-transfer",
        "Proposals are taken during a transfer: the transferee never catches up.",
        (
            Edit(
                _LEADER + "_check_no_transfer",
                "if self._transfer.to is not None:",
                "if False:",
            ),
        ),
        ("server.test_leading::test_proposals_and_changes_are_dropped_meanwhile",),
    ),
    Bug(
        "leader-without-quorum",
        "A leader that hears nobody goes on for ever.",
        (
            Edit(
                _LEADER + "handle_timeout",
                "            self._step_down(Cause.QUORUM_LOST)\n            return\n",
                "            pass\n",
            ),
        ),
        ("test_scenarios_progress::test_a_leader_without_a_quorum_ends",),
    ),
    Bug(
        "sleeps-too-early",
        "A group falls asleep though a follower lacks entries.",
        (
            Edit(
                _LEADER + "quiesce",
                "and all(peer.state is REPLICATE and peer.match == last for peer in peers)",
                "",
            ),
        ),
        ("test_scenarios_safety::test_a_group_does_not_sleep_while_one_lacks_entries",),
    ),
)
