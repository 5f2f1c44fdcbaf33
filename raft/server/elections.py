"""Who leads: timers, campaigns and votes.

Owns the term, the vote and the role: all three change here only. Knows nothing of entries beyond
what makes a log more up to date than another, nor of what a leader does.

Source: Raft paper 5.2 and 5.4.1; dissertation 3.10 (transfer), 4.2.3 and 6.2 (stickiness), 9.6
(pre-vote); raft-rs for priorities and for the commit index in votes, without which two servers
of which one was removed can be stuck (etcd issue 12359).
"""

from __future__ import annotations

from collections.abc import Callable

from raft.config import Config
from raft.entries import TERM_MAX
from raft.membership.quorum import VoteResult, vote_result
from raft.messages import (
    Refusal,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
)
from raft.outputs import Cause, ElectionFailed, Role, RoleChanged
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability

# Looked up once: a member's name behind its class costs as much as several calls.
FOLLOWER, PRE_CANDIDATE = Role.FOLLOWER, Role.PRE_CANDIDATE
CANDIDATE, LEADER = Role.CANDIDATE, Role.LEADER
WON, LOST, PENDING = VoteResult.WON, VoteResult.LOST, VoteResult.PENDING
NO_REFUSAL = Refusal.NONE


class Elections:
    """Campaigns when no leader is heard, votes when others do.

    Args:
        core: The machine's common ground.
        durability: What has to be durable before votes and requests leave.
        applying: Who is told of commit indexes that votes carry.
        begin_leading: Called when an election is won.
        end_leading: Called before a leader becomes a follower.
        restarted: Whether this is not the server's first life.
    """

    __slots__ = (
        "_applying",
        "_begin_leading",
        "_core",
        "_durability",
        "_end_leading",
        "_patient_until",
        "_timeout",
        "_votes",
        "_waiting_since",
    )

    def __init__(
        self,
        core: Core,
        durability: Durability,
        applying: Applying,
        *,
        begin_leading: Callable[[], None],
        end_leading: Callable[[], None],
        restarted: bool,
    ) -> None:
        self._core = core
        self._durability = durability
        self._applying = applying
        self._begin_leading = begin_leading
        self._end_leading = end_leading
        # The first answer of each voter: whether it granted, and why not.
        self._votes: dict[str, tuple[bool, Refusal]] = {}
        config = core.config
        # A former life may have told a leader that it hears it; leases build on our patience.
        patience = config.election_timeout if config.lease_reads and restarted else 0.0
        self._patient_until = core.now + patience
        self._draw_timeout()

    # --- roles: the only place where term, vote and role change

    def become_follower(self, term: int, leader: str | None, cause: Cause) -> None:
        """Follow `leader`, or whoever will lead `term`.

        The timer begins anew with a drawn time, also in a later term of which a candidate told
        that does not get our vote (as in etcd; the paper lets it run on). A new term is a new
        election: whoever caused it is waited for, and those who split the last one draw again.
        Nobody puts us off for long by that: it takes a term each time, and a pre-vote.
        """
        core = self._core
        if core.role is LEADER:
            self._end_leading()
        if term != core.term:
            assert term > core.term
            core.term = term
            core.voted_for = None
            self._durability.term_began()
        self._change_role(FOLLOWER, cause)
        self._draw_timeout()
        self._follow(leader)

    def _become_pre_candidate(self, cause: Cause) -> None:
        """Ask who would vote, without changing the term or the vote."""
        core = self._core
        self._change_role(PRE_CANDIDATE, cause)
        self.rearm()
        core.follow(None)

    def _become_candidate(self, cause: Cause) -> None:
        """Begin a term and vote for ourselves."""
        core = self._core
        core.term += 1
        core.voted_for = core.id
        self._durability.term_began()
        self._change_role(CANDIDATE, cause)
        self._draw_timeout()
        core.follow(None)

    def _become_leader(self) -> None:
        """Lead the term for which we were elected."""
        core = self._core
        assert core.role is CANDIDATE
        core.stats.elections_won += 1
        self._change_role(LEADER, Cause.ELECTION_WON)
        core.follow(core.id)
        self._begin_leading()

    def _change_role(self, role: Role, cause: Cause) -> None:
        """Take a role, without the votes of the one before, and say so if it is another."""
        core = self._core
        self._votes.clear()
        previous, core.role = core.role, role
        if role is not previous:
            core.emit(RoleChanged(role, previous, core.term, cause))

    # --- timers

    def _draw_timeout(self) -> None:
        """Wait anew, for a time that others hardly draw too (paper 5.2).

        We campaign when the time has passed since now, or since a leader was heard.
        """
        core = self._core
        low, high = core.config.election_timeout, core.config.election_timeout_limit
        self._timeout = low + (high - low) * core.rng.random()
        self._waiting_since = core.now

    def on_reload(self, before: Config) -> None:
        """Wait for a time of the new range, if it is new, from the same moment on."""
        config, since = self._core.config, self._waiting_since
        timeouts = (before.election_timeout, before.election_timeout_limit)
        if timeouts != (config.election_timeout, config.election_timeout_limit):
            self._draw_timeout()
            self._waiting_since = since

    def _follow(self, leader: str | None) -> None:
        """Note who leads; one that is named was just heard."""
        core = self._core
        if leader is not None:
            core.leader_heard_at = core.now
        core.follow(leader)

    def heard(self, leader: str) -> None:
        """Note a message of the term's leader; whoever else we thought to be, we follow it."""
        core = self._core
        if core.role is FOLLOWER:
            self._follow(leader)
        else:
            self.become_follower(core.term, leader, Cause.LEADER_HEARD)

    def rearm(self) -> None:
        """Begin to wait anew."""
        self._waiting_since = self._core.now

    @property
    def is_promotable(self) -> bool:
        """Whether we may campaign: others know us as a voter, and we have what voters have."""
        core = self._core
        return (
            core.configuration.is_electable(core.id)
            and core.term < TERM_MAX
            and not core.regressed
            and self._durability.snapshot_due is None
        )

    def next_timeout(self) -> float | None:
        """Return when to campaign, or None if we never will."""
        core = self._core
        if core.quiescent or not self.is_promotable:
            return None
        # A leader that was forgotten since does not bring back a deadline of before it was heard.
        return max(self._waiting_since, core.leader_heard_at) + self._timeout

    def handle_timeout(self) -> None:
        """Campaign if no leader was heard in time."""
        core, due = self._core, self.next_timeout()
        if due is None or due > core.now:
            return
        if self._has_unapplied_configuration():
            self.rearm()
            return
        if core.role is not FOLLOWER:
            self._report_failure()
        self.campaign(Cause.TIMEOUT)

    # --- candidates

    def _has_unapplied_configuration(self) -> bool:
        """Return whether a committed configuration is not yet in force here.

        By the configuration before it we might be elected though a majority of the new one
        elects another (etcd issue 12133).
        """
        core = self._core
        return core.log.has_configuration(core.applied + 1, core.commit)

    def may_campaign(self, now: float) -> str:
        """Return why we may not campaign at `now` on our own account, or "" if we may."""
        core = self._core
        if core.role is LEADER:
            return "it leads already"
        if not self.may_take_over():
            return "it is not a voter that may lead, or its configuration is not yet in force"
        if core.config.lease_reads and (self._hears_leader(now) or now < self._patient_until):
            return "it hears from a leader, who may have a lease"
        return ""

    def may_take_over(self) -> bool:
        """Return whether we may campaign if the leader wants it."""
        return self.is_promotable and not self._has_unapplied_configuration()

    def campaign(self, cause: Cause) -> None:
        """Try to be elected; at once and whatever others think if the leader hands over."""
        transfer = cause is Cause.TRANSFER
        if self._core.config.pre_vote and not transfer:
            self._ask_in_advance(cause)
        else:
            self._ask(cause, transfer=transfer)

    def _ask_in_advance(self, cause: Cause) -> None:
        """Ask who would vote for us (dissertation 9.6)."""
        core = self._core
        core.stats.pre_votes += 1
        self._become_pre_candidate(cause)
        own = RequestPreVoteResponse(core.id, core.id, core.term + 1, granted=True)
        for voter in core.configuration.all_voters:
            if voter != core.id:
                core.send(
                    RequestPreVote(
                        voter,
                        core.id,
                        core.term + 1,
                        core.log.last_index,
                        core.log.last_term,
                        core.commit,
                        core.commit_term,
                        core.config.priority,
                    )
                )
        self.on_pre_vote_response(own)

    def _ask(self, cause: Cause, *, transfer: bool = False) -> None:
        """Ask for votes (paper 5.2); what the requests claim has to be durable first."""
        core = self._core
        core.stats.elections += 1
        self._become_candidate(cause)
        for voter in core.configuration.all_voters:
            if voter != core.id:
                self._durability.send_when_durable(
                    RequestVote(
                        voter,
                        core.id,
                        core.term,
                        core.log.last_index,
                        core.log.last_term,
                        core.commit,
                        core.commit_term,
                        core.config.priority,
                        transfer,
                    )
                )
        own = RequestVoteResponse(core.id, core.id, core.term, granted=True)
        self._durability.send_when_durable(own)

    def on_pre_vote_response(self, message: RequestPreVoteResponse) -> None:
        """Begin the election if a quorum would vote for us."""
        self._learn_commit(message.commit, message.commit_term)
        core = self._core
        if core.role is not PRE_CANDIDATE or message.term != core.term + message.granted:
            return  # An answer to an earlier question says nothing about this one.
        result = self._count(message)
        if result is WON and not self._has_unapplied_configuration():
            self._ask(Cause.PRE_VOTE_WON)
        elif result is LOST:
            self._lose()

    def on_vote_response(self, message: RequestVoteResponse) -> None:
        """Lead if a quorum voted for us."""
        self._learn_commit(message.commit, message.commit_term)
        if self._core.role is not CANDIDATE:
            return
        result = self._count(message)
        if result is WON and not self._has_unapplied_configuration():
            self._become_leader()
        elif result is LOST:
            self._lose()

    def _count(self, message: RequestVoteResponse | RequestPreVoteResponse) -> VoteResult:
        """Count an answer, the first of each voter, and return how the election stands."""
        configuration = self._core.configuration
        if message.source not in configuration.all_voters:
            self._core.reject(message, "vote of a stranger")
            return PENDING
        self._votes.setdefault(message.source, (message.granted, message.refusal))
        votes = {voter: granted for voter, (granted, _) in self._votes.items()}
        return vote_result(votes, configuration.voters, configuration.voters_outgoing)

    def _lose(self) -> None:
        """Wait for a leader, or for the next timeout."""
        self._report_failure()
        self.become_follower(self._core.term, None, Cause.ELECTION_LOST)

    def _report_failure(self) -> None:
        """Tell that a campaign did not succeed."""
        core = self._core
        pre_vote = core.role is PRE_CANDIDATE
        votes = sorted(self._votes.items())
        refusals = tuple((voter, refusal) for voter, (granted, refusal) in votes if not granted)
        core.emit(ElectionFailed(core.term + pre_vote, pre_vote, refusals))

    # --- voters

    def _hears_leader(self, now: float) -> bool:
        """Return whether a leader was heard within the last election timeout."""
        core = self._core
        if core.role is LEADER:
            return True
        silence = now - core.leader_heard_at
        return core.leader is not None and silence < core.config.election_timeout

    def loyal_refusal(self, message: RequestVote | RequestPreVote) -> Refusal:
        """Return why a candidate of a later term is not even considered (dissertation 4.2.3).

        A leader's own request, and one that it caused, is no disloyalty. Without check-quorum
        there is no loyalty, not in pre-votes either (so in etcd; dissertation 9.6 has it there
        always): a leader that has lost its quorum then leads on, and the few who still hear it
        would keep a majority that does not from electing another.
        """
        core = self._core
        transfer = type(message) is RequestVote and message.transfer
        if transfer or not core.config.check_quorum or message.source == core.leader:
            return NO_REFUSAL
        if core.now < self._patient_until:
            return Refusal.LEASE
        if not self._hears_leader(core.now):
            return NO_REFUSAL
        known = message.source in core.configuration.members
        return Refusal.LEADER_ALIVE if known else Refusal.NOT_A_MEMBER

    def on_request_vote(self, message: RequestVote) -> None:
        """Vote, at most once in a term, for one whose log is at least as up to date (5.4.1).

        The request's term is ours by now. Servers that are no voters as far as they know vote
        too: the candidate's configuration may be newer than theirs.
        """
        core = self._core
        refusal = self._refusal(message)
        if refusal is NO_REFUSAL:
            if core.voted_for is None:
                core.voted_for = message.source
                self._durability.changed()
            self.rearm()
        else:
            self._learn_commit(message.commit, message.commit_term)
        self.answer(message, refusal)

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        """Tell whether we would vote; nothing changes by that."""
        refusal = self._refusal(message)
        if refusal is not NO_REFUSAL:
            self._learn_commit(message.commit, message.commit_term)
        self.answer(message, refusal)

    def _refusal(self, message: RequestVote | RequestPreVote) -> Refusal:
        """Return why a candidate does not get our vote."""
        core = self._core
        if core.regressed:
            return Refusal.REGRESSED
        ahead = type(message) is RequestPreVote and message.term > core.term
        free = core.voted_for is None and core.leader is None
        if core.voted_for != message.source and not free and not ahead:
            return Refusal.VOTED
        if (message.last_term, message.last_index) < (core.log.last_term, core.log.last_index):
            return Refusal.LOG
        same_log = (message.last_term, message.last_index) == (
            core.log.last_term,
            core.log.last_index,
        )
        if message.priority < core.config.priority and same_log and self.is_promotable:
            return Refusal.PRIORITY
        return NO_REFUSAL

    def answer(self, message: RequestVote | RequestPreVote, refusal: Refusal) -> None:
        """Answer a candidate, once our term and vote are durable.

        A granted pre-vote repeats the request's term, which is not ours, or it would be stale to
        the candidate; a refused one tells our own, so that a candidate in an earlier term learns
        of it. A refused vote belongs to the election that it was asked for, unless we are in a
        later term.
        """
        core = self._core
        granted = refusal is NO_REFUSAL
        if type(message) is RequestPreVote:
            term = message.term if granted else core.term
            kind: type[RequestVoteResponse | RequestPreVoteResponse] = RequestPreVoteResponse
        else:
            term, kind = max(message.term, core.term), RequestVoteResponse
        self._durability.send_when_durable(
            kind(message.source, core.id, term, granted, refusal, core.commit, core.commit_term)
        )

    def _learn_commit(self, commit: int, commit_term: int) -> None:
        """Commit what another knows to be committed, if it is what we have there."""
        core = self._core
        if commit > core.commit and core.log.term_at(commit) == commit_term:
            self._applying.commit(commit)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        core = self._core
        assert core.role is not CANDIDATE or core.voted_for == core.id
        assert core.role is not LEADER or (core.leader, core.voted_for) == (core.id, core.id)
        assert core.role not in (CANDIDATE, PRE_CANDIDATE) or core.leader is None
        assert core.term > 0 or core.voted_for is None
