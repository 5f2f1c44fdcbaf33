"""Who is here, who failed, who left: memberlist's word and the members' own intents, weighed.

Owns every change of a member's status. An intent counts if its Lamport time is newer than that of
the newest one known about its member; those about members not known yet are kept for a while.
Knows nothing of user events and queries.

Deviations from Serf:
- a leave that memberlist saw is a leave, whether or not its intent arrived;
- of a join and a leave intent with one Lamport time the leave counts, wherever which came first,
  so that all members come to believe the same; who is meant refutes it;
- pruning a member that is leaving arms a timer; Serf sleeps with its lock held;
- members that were not told of our newest intent, as their state shows, are told again.

Source: serf/serf.go handleNodeJoin, handleNodeLeave, handleNodeJoinIntent, handleNodeLeaveIntent,
handlePrune, reap, reconnect; serf/delegate.go MergeRemoteState.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import Final

from attrs import frozen

from serfevents.coalesce import MemberChanges, Window
from serfevents.core import Core, Source
from serfevents.errors import DecodeError
from serfevents.lamport import LTIME_MAX
from serfevents.members import ALIVE, FAILED, LEAVING, LEFT, NAME_SIZE_MAX, Member
from serfevents.outputs import Change, Kind, MembersChanged, Reconnect
from serfevents.records import Address, Alive, NotAlive
from serfevents.roster import Entry, Roster, is_active
from serfevents.wire.codec import decode_join, decode_leave, encode_join, encode_leave
from serfevents.wire.messages import JoinIntent, LeaveIntent, PushPull

_INTENT: Final = Kind.INTENT


@frozen
class _EarlyIntent:
    """An intent about a member that is not known yet.

    Attributes:
        ltime: Its Lamport time.
        leaving: Whether it means to leave.
        at: When it came, in seconds of the caller's clock.
    """

    ltime: int
    leaving: bool
    at: float


class Membership:
    """Keeps the roster."""

    def __init__(
        self,
        core: Core,
        roster: Roster,
        *,
        forget_after: Callable[[Member, float], float] | None,
        gone: Callable[[str], None],
    ) -> None:
        config = core.config
        self._core = core
        self._roster = roster
        self._forget_after = forget_after
        # Told of each member that failed or left: nobody waits for its answers.
        self._gone = gone
        # In the order in which they came, so that the oldest are in front.
        self._early: OrderedDict[str, _EarlyIntent] = OrderedDict()
        self._coalesced = config.coalesce_period > 0
        self._changes = MemberChanges()
        self._window = Window(core, config.coalesce_period, config.quiescent_period, self.flush)

    def start(self) -> None:
        """Begin the periodic work."""
        core = self._core
        core.timers.arm(core.now + core.config.reap_interval, self._reap)
        if core.config.reconnect_interval:
            core.timers.arm(core.now + core.config.reconnect_interval, self._reconnect)

    def stop(self) -> None:
        """Tell what was gathered, since no timer will."""
        self._window.shut()
        self.flush()

    @property
    def early_count(self) -> int:
        """How many intents about unknown members are kept."""
        return len(self._early)

    # --- memberlist's word -------------------------------------------------------------------

    def joined(self, name: str, address: Address, meta: bytes, versions: bytes) -> None:
        """A member is alive that was unknown, failed or left."""
        core, roster = self._core, self._roster
        entry = roster.get(name)
        if entry is None:
            if len(roster) >= core.config.members_max and not self._forget_one():
                core.reject(address, "table-full", name)
                return
            entry = roster.add(name, address, meta, versions)
            core.member_count = len(roster)
            if (early := self._early.pop(name, None)) is not None:
                entry.status_ltime = early.ltime
                if early.leaving:
                    roster.set_status(entry, LEAVING)
        else:
            if is_active(entry) and not roster.update(entry, address, meta, versions):
                # Known and unchanged: memberlist repeats itself, e.g. about ourselves.
                return
            self._returned(entry)
            roster.update(entry, address, meta, versions)
        core.stats.member_join += 1
        core.remember(Alive(name, address))
        self._changed(Change.JOIN, entry.member)

    def _returned(self, entry: Entry) -> None:
        """A known member is here again, whatever its intents say."""
        core = self._core
        if entry.status is FAILED and core.now - entry.gone_at < core.config.flap_timeout:
            core.stats.member_flap += 1
        self._roster.set_status(entry, ALIVE)
        core.timers.cancel(entry.prune_timer)
        entry.prune_timer = None

    def updated(self, name: str, address: Address, meta: bytes, versions: bytes) -> None:
        """A member changed its metadata, address or versions."""
        entry = self._roster.get(name)
        if entry is None:
            # Pruned here while it is alive: it is back.
            self.joined(name, address, meta, versions)
            return
        moved = entry.member.address != address
        if not self._roster.update(entry, address, meta, versions):
            return
        core = self._core
        core.stats.member_update += 1
        if moved and is_active(entry):
            core.remember(Alive(name, address))
        self._changed(Change.UPDATE, entry.member)

    def failed(self, name: str) -> None:
        """A member was declared dead."""
        entry = self._roster.get(name)
        if entry is None or not is_active(entry):
            return
        if entry.status is LEAVING:
            self._depart(entry)
            return
        self._go(entry)
        self._roster.set_status(entry, FAILED)
        self._core.stats.member_failed += 1
        self._changed(Change.FAILED, entry.member)

    def left(self, name: str) -> None:
        """A member left on purpose, whether or not its intent was heard of."""
        entry = self._roster.get(name)
        if entry is not None and entry.status is not LEFT:
            self._depart(entry)

    def _depart(self, entry: Entry) -> None:
        if entry.status is not FAILED:
            self._go(entry)
        self._roster.set_status(entry, LEFT)
        self._core.stats.member_left += 1
        self._changed(Change.LEAVE, entry.member)

    def _go(self, entry: Entry) -> None:
        """A member is here no more."""
        core = self._core
        entry.gone_at = core.now
        core.remember(NotAlive(entry.member.name))
        self._gone(entry.member.name)

    # --- intents -----------------------------------------------------------------------------

    def receive_join(self, payload: bytes, source: Source) -> bool:
        """Take a join intent; return whether it was news, which is then passed on.

        Raises:
            DecodeError: It is none.
        """
        intent = decode_join(payload)
        if not self._is_plausible(intent.node, intent.ltime, source):
            return False
        return self._pass_on(intent.node, payload, self._take_join(intent))

    def receive_leave(self, payload: bytes, source: Source) -> bool:
        """Take a leave intent; return whether it was news, which is then passed on.

        Raises:
            DecodeError: It is none.
        """
        intent = decode_leave(payload)
        if not self._is_plausible(intent.node, intent.ltime, source):
            return False
        return self._pass_on(intent.node, payload, self._take_leave(intent))

    def _is_plausible(self, name: str, ltime: int, source: Source) -> bool:
        if not 0 < len(name) <= NAME_SIZE_MAX:
            raise DecodeError("bad-name", f"a name of {len(name)} characters")
        return self._core.witness(self._core.clock, ltime, source)

    def _pass_on(self, name: str, payload: bytes, news: bool) -> bool:
        if news:
            self._core.pass_on(_INTENT, payload, _key(name))
        else:
            self._core.stats.duplicates += 1
        return news

    def _take_join(self, intent: JoinIntent) -> bool:
        """Weigh a join intent; return whether it was news."""
        entry = self._roster.get(intent.node)
        if entry is None:
            return self._take_early(intent.node, intent.ltime, leaving=False)
        if intent.ltime <= entry.status_ltime:
            return False
        entry.status_ltime = intent.ltime
        if entry.status is LEAVING and not self._is_self(entry):
            self._roster.set_status(entry, ALIVE)
            self._core.timers.cancel(entry.prune_timer)
            entry.prune_timer = None
        return True

    def _take_leave(self, intent: LeaveIntent, *, wins_ties: bool = True) -> bool:
        """Weigh a leave intent; return whether it was news."""
        entry = self._roster.get(intent.node)
        if entry is None:
            return self._take_early(intent.node, intent.ltime, leaving=True)
        wins_ties = wins_ties and (entry.status is ALIVE or entry.status is FAILED)
        if intent.ltime < entry.status_ltime + (not wins_ties):
            return False
        if self._is_self(entry) and not self._core.leaving:
            self._core.stats.refutations += 1
            self.announce()
            return False
        # Also where the status stays: else members pass it on to each other for ever.
        entry.status_ltime = intent.ltime
        if entry.status is ALIVE:
            self._roster.set_status(entry, LEAVING)
        elif entry.status is FAILED:
            self._depart(entry)
        if intent.prune and not self._is_self(entry):
            self._prune(entry)
        return True

    def _take_early(self, name: str, ltime: int, *, leaving: bool) -> bool:
        """Keep an intent about a member that is not known yet; return whether it was news."""
        known = self._early.get(name)
        if known is not None:
            if (ltime, leaving) <= (known.ltime, known.leaving):
                return False
            self._early.move_to_end(name)
        self._early[name] = _EarlyIntent(ltime, leaving, self._core.now)
        if len(self._early) > self._core.config.recent_intents_max:
            self._early.popitem(last=False)
        return True

    def _prune(self, entry: Entry) -> None:
        """Forget a member that left; one that is leaving once the news have spread."""
        if entry.status is LEFT:
            self._forget(entry)
        elif entry.prune_timer is None:
            core = self._core
            delay = core.config.broadcast_timeout + core.config.leave_propagate_delay
            entry.prune_timer = core.timers.arm(core.now + delay, self._prune_now, entry)

    def _prune_now(self, entry: Entry) -> None:
        entry.prune_timer = None
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        """Erase a member, but not when something was said of it last.

        Else an older intent that is still on its way would be news about an unknown member, and
        passing it on would take the place of the prune.
        """
        self._erase([entry])
        self._take_early(entry.member.name, entry.status_ltime, leaving=False)

    # --- our own intents ---------------------------------------------------------------------

    def announce(self) -> None:
        """Tell everybody that we are here, newer than anything that was said about us."""
        core = self._core
        own = self._own()
        own.status_ltime = core.clock.time
        core.clock.witness(own.status_ltime)
        core.clock_moved()
        payload = encode_join(JoinIntent(own.status_ltime, core.name))
        core.broadcast(_INTENT, payload, _key(core.name))

    def declare_leave(self, name: str, *, prune: bool) -> int:
        """Tell everybody that a member leaves, or has left; return the broadcast's number."""
        core = self._core
        intent = LeaveIntent(core.clock.time, name, prune)
        core.clock.increment()
        core.clock_moved()
        self._take_leave(intent)
        return core.broadcast(_INTENT, encode_leave(intent), _key(name))

    def come_back(self) -> None:
        """We are here again after a leave."""
        own = self._own()
        if own.status is LEFT:
            self._core.stats.member_join += 1
            self._returned(own)
            self._core.remember(Alive(own.member.name, own.member.address))
            self._changed(Change.JOIN, own.member)
        else:
            self._returned(own)
        self.announce()

    # --- push/pull ---------------------------------------------------------------------------

    def describe(self, state: PushPull) -> None:
        """Fill in what we know of the members. O(n)."""
        state.ltime = self._core.clock.time
        state.status_ltimes = {entry.member.name: entry.status_ltime for entry in self._roster}
        state.left = tuple(self._roster.left)
        state.leaving = tuple(
            entry.member.name for entry in self._roster if entry.status is LEAVING
        )

    def merge(self, state: PushPull, source: Source) -> None:
        """Weigh what another member knows of everybody. Nothing of it is passed on. O(n).

        One time that is too far ahead ends it: who tells one is not believed the rest.
        """
        core = self._core
        # No message has the time of its clock yet.
        if state.ltime and not core.witness(core.clock, state.ltime - 1, source):
            return
        ltimes = state.status_ltimes
        told = dict.fromkeys(state.left)
        # Leaves first: a join of the same time must not come before them.
        for name in told:
            if not self._merge_left(name, ltimes.get(name, 0), source):
                return
        for name in state.leaving:
            if name not in told:
                if not self._is_plausible(name, ltimes.get(name, 0), source):
                    return
                told[name] = None
                self._take_leave(LeaveIntent(ltimes.get(name, 0), name))
        for name, ltime in ltimes.items():
            if name not in told and not self._merge_here(name, ltime, source):
                return

    def _merge_here(self, name: str, ltime: int, source: Source) -> bool:
        """Another member knows that a member is here; return whether that is plausible."""
        core = self._core
        if not self._is_plausible(name, ltime, source):
            return False
        if name == core.name and ltime > self._own().status_ltime and not core.leaving:
            # Somebody heard of an intent about us that isn't ours, or of an earlier life.
            core.stats.refutations += 1
            self.announce()
        else:
            self._take_join(JoinIntent(ltime, name))
        return True

    def _merge_left(self, name: str, ltime: int, source: Source) -> bool:
        """Another member knows that a member left; return whether that is plausible.

        The leave is told one time later, since its own intent may have the time of our join.
        """
        entry = self._roster.get(name)
        if entry is not None and entry.status is LEFT:
            # Deviation: without this the time would grow with every exchange.
            if not self._is_plausible(name, ltime, source):
                return False
            entry.status_ltime = max(entry.status_ltime, ltime)
            return True
        ltime = min(ltime + 1, LTIME_MAX)
        if not self._is_plausible(name, ltime, source):
            return False
        self._take_leave(LeaveIntent(ltime, name), wins_ties=False)
        return True

    # --- periodic work -----------------------------------------------------------------------

    def _reap(self, _: object) -> None:
        """Forget who has been gone for long, and intents that nobody came for."""
        core, roster = self._core, self._roster
        config = core.config
        core.timers.arm(core.now + config.reap_interval, self._reap)
        lists = (roster.failed, config.reconnect_timeout), (roster.left, config.tombstone_timeout)
        expired = []
        for names, timeout in lists:
            for name in names:
                entry = roster.get(name)
                assert entry is not None
                if self._is_self(entry):
                    continue
                limit = timeout
                if self._forget_after is not None:
                    limit = self._forget_after(entry.member, timeout)
                if core.now - entry.gone_at > limit:
                    expired.append(entry)
        if expired:
            self._erase(expired)
        oldest = core.now - config.recent_intent_timeout
        while self._early and next(iter(self._early.values())).at < oldest:
            self._early.popitem(last=False)

    def _reconnect(self, _: object) -> None:
        """Try one failed member now and then; the more of them, the more often."""
        core, failed = self._core, self._roster.failed
        core.timers.arm(core.now + core.config.reconnect_interval, self._reconnect)
        if not failed or core.leaving:
            return
        if core.rng.random() * max(1, self._roster.active_count) > len(failed):
            return
        entry = self._roster.get(core.rng.choice(list(failed)))
        assert entry is not None
        core.emit(Reconnect(entry.member.name, entry.member.address))

    def _forget_one(self) -> bool:
        """Make room for a member by forgetting one that is gone; return whether there was one."""
        for name in chain(self._roster.failed, self._roster.left):
            entry = self._roster.get(name)
            assert entry is not None
            if not self._is_self(entry):
                self._erase([entry])
                return True
        return False

    def _erase(self, entries: list[Entry]) -> None:
        core = self._core
        for entry in entries:
            if is_active(entry):
                # Deviation: Serf's snapshot goes on listing a member that was pruned.
                self._go(entry)
            core.timers.cancel(entry.prune_timer)
            entry.prune_timer = None
            self._roster.remove(entry)
        core.member_count = len(self._roster)
        core.stats.member_reap += len(entries)
        members = [entry.member for entry in entries]
        if self._coalesced:
            for member in members:
                self._changed(Change.REAP, member)
        else:
            core.emit(MembersChanged(Change.REAP, tuple(members)))

    # --- internals ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Tell the changes that were gathered."""
        self._core.outputs.extend(self._changes.flush())

    def _changed(self, change: Change, member: Member) -> None:
        if not self._coalesced:
            self._core.emit(MembersChanged(change, (member,)))
            return
        self._changes.add(change, member)
        self._window.extend()
        if len(self._changes) >= self._core.config.coalesced_max:
            self.stop()

    def _own(self) -> Entry:
        entry = self._roster.get(self._core.name)
        assert entry is not None
        return entry

    def _is_self(self, entry: Entry) -> bool:
        return entry.member.name == self._core.name


def _key(name: str) -> str:
    """Return what makes a newer intent about a member supersede an older one in the queue."""
    return "intent:" + name
