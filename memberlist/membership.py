"""The rules by which claims about members are believed: alive, suspect, dead, left.

While we run, every change of another member's state passes `_settle`, and every record of our
own is made by `renew` or `leave`. Owns running suspicions, refutation, and the challenges that
decide whether a name may move to another address. Knows nothing of probes, packets or streams.

A claim is anything that somebody says of a member; an `AddressClaim` is one that can't be weighed
before an address was asked.

Source: SWIM section 4.2; Lifeguard (2018), LHA-Suspicion; memberlist `state.go`.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterator

from attrs import define

from memberlist.codec import encode_alive, encode_dead, encode_suspect
from memberlist.config import META_SIZE_MAX
from memberlist.core import Core
from memberlist.dissemination import Dissemination
from memberlist.members import MemberTable
from memberlist.messages import Dead, PushPull, Suspect
from memberlist.node import ALIVE, DEAD, INCARNATION_MAX, LEFT, SUSPECT, Address, Node
from memberlist.outputs import (
    AccusationRefuted,
    Event,
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    MergeRefused,
    NameConflict,
    NodeRefused,
    ProbeRecord,
    SuspicionConfirmed,
    UserStateReceived,
)
from memberlist.suspicion import Suspicion, confirmations_expected, suspicion_timeout_min
from memberlist.timers import Timer
from memberlist.versions import verify_protocol

#: Seconds in which a name conflict, once established, is neither challenged nor reported again.
CONFLICT_QUIET_TIME = 30.0


@define
class _Running:
    """A suspicion, the timer that ends it, and whether it was prolonged because we slept."""

    suspicion: Suspicion
    timer: Timer
    prolonged: bool = False


@define
class AddressClaim:
    """A name that is announced from another address than the one we know.

    Attributes:
        asked: The address that is asked whether it still answers to the name.
        other: The record that is announced.
        reply_to: Where the announcement came from.
    """

    asked: Address
    other: Node
    reply_to: Address | None


class Membership:
    """What is believed of every member, and why."""

    def __init__(
        self,
        core: Core,
        table: MemberTable,
        news: Dissemination,
        *,
        accept: Callable[[Node], bool],
        accept_merge: Callable[[list[Node]], bool],
        challenge: Callable[[AddressClaim], bool],
        forgotten: Callable[[Node], None],
    ) -> None:
        """Wire the rules.

        Args:
            core: Clock, timers and outputs.
            table: The members.
            news: Where accepted claims are gossiped.
            accept: The application's veto of one member.
            accept_merge: The application's veto of a whole join.
            challenge: Asks the address of a claim; returns False when that is impossible now.
                Its answer comes as `challenge_ended`.
            forgotten: Told of each dead member that is reaped.
        """
        self._core = core
        self._table = table
        self._get = table.get
        self._news = news
        self._accept = accept
        self._accept_merge = accept_merge
        self._challenge = challenge
        self._forgotten = forgotten
        self._running: dict[str, _Running] = {}
        self._refuted_at = -math.inf
        # Names whose address is being asked, or was lately, and until when no further claim is
        # heard. Bounded by the table: only known names get here, and go as they are forgotten.
        self._disputed: dict[str, float] = {}
        # The claims whose address is being asked now, by name.
        self._asking: dict[str, AddressClaim] = {}
        # Invariant: one timer for each dead or left member, ourselves excepted.
        self._reaping: dict[str, Timer] = {}
        networks = core.config.allowed_networks
        self._networks = (
            None if networks is None else tuple(ipaddress.ip_network(text) for text in networks)
        )

    @property
    def suspicions(self) -> dict[str, Suspicion]:
        """The running suspicions by member's name."""
        return {name: running.suspicion for name, running in self._running.items()}

    # --- alive -------------------------------------------------------------------------------

    def alive(self, node: Node, source: Address | None) -> None:
        """Weigh the claim that `node` is alive; `source` is the packet's, None for a stream."""
        known = self._get(node.name)
        if known is node:
            return
        if node.name == self._core.name:
            self._alive_about_self(node, source)
        elif known is None:
            self._welcome(node, None)
        elif known.address != node.address:
            self._moved(known, node, source)
        elif node.incarnation > known.incarnation:
            self._welcome(node, known)
        elif source == node.address and node != known:
            if node.incarnation == INCARNATION_MAX:
                # Nothing is newer than the top: there a member's own word is believed.
                self._welcome(node, known)
            else:
                self._correct(known, source)

    def _welcome(self, node: Node, known: Node | None) -> None:
        """Believe an alive claim, unless a rule of this place refuses the member."""
        if reason := self._refusal(node, known):
            self._core.stats.reject(reason)
            self._core.emit(NodeRefused(node, reason))
            return
        since = self._table.since(node.name)
        self._settle(node)
        self._news.announce_alive(node)
        for event in _alive_events(node, known, 0.0 if since is None else self._core.now - since):
            self._core.emit(event)

    def _refusal(self, node: Node, known: Node | None) -> str | None:
        """Return why a new or changed record is not let in, or None."""
        versions = node.versions
        if len(versions) >= 3 and not 0 < versions[0] <= versions[1]:
            return "bad-versions"
        if len(node.meta) > META_SIZE_MAX:
            return "meta-too-large"
        reason = None
        if known is None or known.address != node.address:
            reason = self._refusal_of_address(node)
        if known is None:
            reason = reason or self._refusal_of_name(node.name)
        return reason or (None if self._accept(node) else "not-accepted")

    def _refusal_of_name(self, name: str) -> str | None:
        if len(self._table) >= self._core.config.members_max:
            return "table-full"
        return None if self._news.fits_probe(name) else "name-too-large"

    def _refusal_of_address(self, node: Node) -> str | None:
        if not 0 < node.address[1] < 65536:
            return "bad-address"
        if self._networks is not None:
            ip = ipaddress.ip_address(node.address[0])
            if not any(ip in network for network in self._networks):
                return "address-not-allowed"
        return None

    def _correct(self, known: Node, to: Address) -> None:
        """Tell a member that announces less than we hold of it what that is, so that it refutes.

        Deviation: memberlist leaves a restarted member with a stale incarnation to the next
        push/pull (memberlist #311).
        """
        if known.state is ALIVE:
            message = encode_alive(known)
        elif known.state is SUSPECT:
            message = encode_suspect(known.incarnation, known.name, self._core.name)
        else:
            message = encode_dead(known.incarnation, known.name, self._core.name)
        self._news.send_plain(to, message)

    # --- a name at another address ------------------------------------------------------------

    def _moved(self, known: Node, node: Node, source: Address | None) -> None:
        """Weigh a known name's claim to a new address.

        A left name may move at once; a dead one after `dead_reclaim_time`. Otherwise the old
        address is asked first.

        Deviation: memberlist has the global timer only (memberlist #307), and believes a lower
        incarnation with the move; here it must be newer in every case, so that no stale record
        can move a member. One that restarted elsewhere and knows no better is told what to
        outrank, once the old address kept silent.
        """
        if node.incarnation > known.incarnation and self._may_move(known):
            self._welcome(node, known)
        else:
            self._dispute(AddressClaim(known.address, node, source))

    def _may_move(self, known: Node) -> bool:
        """Tell whether a name may be taken to another address and the old one not be asked."""
        if known.state is not DEAD:
            return known.state is LEFT
        since = self._table.since(known.name)
        assert since is not None
        return 0 < self._core.config.dead_reclaim_time <= self._core.now - since

    def _dispute(self, claim: AddressClaim) -> None:
        """Have the address of a claim asked, unless one for the name was lately.

        While one is asked, the claimant may refute what others say of it: the newest record
        counts, or accusations of what it outranked would find it deaf.
        """
        name, now = claim.other.name, self._core.now
        asking = self._asking.get(name)
        if asking is not None:
            same = asking.other.address == claim.other.address
            if same and claim.other.incarnation > asking.other.incarnation:
                asking.other = claim.other
        elif self._disputed.get(name, -math.inf) < now and self._challenge(claim):
            self._disputed[name] = now + CONFLICT_QUIET_TIME
            self._asking[name] = claim

    def challenge_ended(self, claim: AddressClaim, *, answered: bool) -> None:
        """Hear whether the address that was asked answers under the name."""
        name = claim.other.name
        known = self._get(name)
        self._disputed.pop(name, None)
        del self._asking[name]
        if known is None:
            return
        if name == self._core.name:
            if answered:
                self._conflict(known, claim.other)
            elif not self._core.leaving:
                self._refute(claim.other.incarnation, "", "alive", claim.reply_to)
        elif known.address == claim.asked:
            if answered:
                self._conflict(known, claim.other)
            elif claim.other.incarnation > known.incarnation:
                self._welcome(claim.other, known)
            else:
                # Nobody holds the name, but this claim is outranked: an accusation makes its
                # owner refute, and so come back with an incarnation that is believed.
                accusation = encode_suspect(known.incarnation, known.name, self._core.name)
                self._news.send(claim.other.address, accusation)

    def _conflict(self, existing: Node, other: Node) -> None:
        self._disputed[existing.name] = self._core.now + CONFLICT_QUIET_TIME
        self._core.stats.reject("name-conflict")
        self._core.emit(NameConflict(existing, other))

    # --- suspect -----------------------------------------------------------------------------

    def suspect(
        self, claim: Suspect, source: Address | None, probe: ProbeRecord | None = None
    ) -> None:
        """Weigh the claim that a member is suspect; with `probe`, it is our own."""
        known = self._get(claim.node)
        if known is None or claim.incarnation < known.incarnation:
            self._remind(known, source)
            return
        if known.name == self._core.name:
            if not self._core.leaving:
                self._refute(claim.incarnation, claim.sender, "suspect", source)
            return
        if claim.incarnation == INCARNATION_MAX and probe is None:
            self._core.stats.reject("irrefutable-claim")
            return
        running = self._running.get(known.name)
        newer = claim.incarnation > known.incarnation
        if known.state is ALIVE or (running is not None and newer):
            # A newer suspicion proves that the member refuted the older: its time starts anew.
            # Deviation: memberlist takes it for a confirmation and forgets its incarnation.
            self._begin_suspicion(known, claim, probe)
        elif running is not None:
            self._confirm(known, running, claim)
        elif newer:
            self._settle(known.replaced(state=known.state, incarnation=claim.incarnation))

    def _begin_suspicion(self, known: Node, claim: Suspect, probe: ProbeRecord | None) -> None:
        config, now = self._core.config, self._core.now
        n = len(self._table)
        minimum = suspicion_timeout_min(config.suspicion_mult, n, config.probe_interval)
        suspicion = Suspicion(
            claim.sender,
            now,
            expected=confirmations_expected(config.suspicion_mult, n),
            minimum=minimum,
            maximum=minimum * config.suspicion_timeout_max_mult,
            probe=probe,
        )
        node = known.replaced(state=SUSPECT, incarnation=claim.incarnation)
        self._settle(node)
        if (older := self._running.get(node.name)) is not None:
            self._core.timers.cancel(older.timer)
        timer = self._core.timers.arm(suspicion.deadline, self._expire, node.name)
        self._running[node.name] = _Running(suspicion, timer)
        self._core.stats.suspicions += 1
        self._gossip_suspect(claim)
        self._core.emit(MemberSuspected(node, suspicion.evidence(self._core.awareness.score)))

    def _confirm(self, known: Node, running: _Running, claim: Suspect) -> None:
        if not running.suspicion.confirm(claim.sender):
            return
        self._gossip_suspect(claim)
        evidence = running.suspicion.evidence(self._core.awareness.score)
        self._core.emit(SuspicionConfirmed(known, evidence))
        self._core.timers.cancel(running.timer)
        if running.suspicion.deadline <= self._core.now:
            self._declare_dead(known.name)
        else:
            running.timer = self._core.timers.arm(
                running.suspicion.deadline, self._expire, known.name
            )

    def _gossip_suspect(self, claim: Suspect) -> None:
        message = encode_suspect(claim.incarnation, claim.node, claim.sender)
        self._news.announce(claim.node, message)

    def _expire(self, name: str) -> None:
        """Declare a member dead whose time to refute ran out.

        If we slept meanwhile, its refutation may wait in our own buffers: it gets the least time
        once more, counted from our waking.
        """
        running = self._running[name]
        suspicion, config = running.suspicion, self._core.config
        late = self._core.now - suspicion.deadline > config.probe_timeout
        if late and not config.blame_lateness and not running.prolonged:
            running.prolonged = True
            at = self._core.now + suspicion.minimum
            running.timer = self._core.timers.arm(at, self._expire, name)
        else:
            self._declare_dead(name)

    def _declare_dead(self, name: str) -> None:
        suspicion = self._running[name].suspicion
        stats = self._core.stats
        stats.suspicions_expired += 1
        stats.suspicions_degraded += len(suspicion.confirmed_by) < suspicion.expected
        known = self._table.get(name)
        assert known is not None
        self.dead(Dead(known.incarnation, name, self._core.name), None, own=True)

    # --- dead and left ------------------------------------------------------------------------

    def dead(self, claim: Dead, source: Address | None, *, own: bool = False) -> None:
        """Weigh the claim that a member is dead, or (in its own name) that it leaves.

        Args:
            claim: The claim.
            source: The packet's source; None for a stream or for ourselves.
            own: Whether it is our own suspicion timer that says so.
        """
        known = self._get(claim.node)
        if known is None or claim.incarnation < known.incarnation:
            self._remind(known, source)
            return
        if known.name == self._core.name:
            if not self._core.leaving:
                self._refute(claim.incarnation, claim.sender, "dead", source)
            return
        if claim.incarnation == INCARNATION_MAX and not own:
            self._core.stats.reject("irrefutable-claim")
            return
        if known.state >= DEAD:
            # Deviation: memberlist keeps the older incarnation, so that a stale alive between
            # the two resurrects a dead member (al8n/memberlist #197).
            if claim.incarnation > known.incarnation:
                self._settle(known.replaced(state=known.state, incarnation=claim.incarnation))
            return
        running = self._running.get(known.name)
        state = LEFT if claim.sender == claim.node else DEAD
        node = known.replaced(state=state, incarnation=claim.incarnation)
        self._settle(node)
        message = encode_dead(claim.incarnation, claim.node, claim.sender)
        self._news.announce(node.name, message)
        if state is LEFT:
            self._core.emit(MemberLeft(node))
        else:
            evidence = (
                None if running is None else running.suspicion.evidence(self._core.awareness.score)
            )
            self._core.emit(MemberFailed(node, claim.sender, evidence))

    def _settle(self, node: Node) -> None:
        """Store another member's record, and end the timers that its new state needs no more."""
        name = node.name
        timers = self._core.timers
        self._table.store(node, self._core.now)
        if node.state is not SUSPECT and (running := self._running.pop(name, None)):
            timers.cancel(running.timer)
        if node.state >= DEAD:
            if name not in self._reaping:
                delay = max(self._core.config.gossip_to_the_dead_time, 0.001)
                self._reaping[name] = timers.arm(self._core.now + delay, self._reap, name)
        elif name in self._reaping:
            timers.cancel(self._reaping.pop(name))

    def _reap(self, name: str) -> None:
        """Forget a member that has been dead or left for long enough."""
        node = self._table.get(name)
        assert node is not None
        self._table.remove(name)
        self._news.withdraw(name)
        self._disputed.pop(name, None)
        del self._reaping[name]
        if node.state is DEAD:
            self._forgotten(node)
        self._core.emit(MemberForgotten(node))

    # --- ourselves ---------------------------------------------------------------------------

    def _alive_about_self(self, node: Node, source: Address | None, accuser: str = "") -> None:
        """Somebody tells us who we are: correct it if it is wrong and would be believed."""
        own = self._table.own
        if self._core.leaving or node.incarnation < own.incarnation:
            return
        if node.address != own.address:
            # Another process with our name, or our own past at another address: only the
            # other address can tell, and a war of refutations would not.
            self._dispute(AddressClaim(node.address, node, source))
            return
        same = node.meta == own.meta and node.versions == own.versions
        if node.incarnation > own.incarnation or not same:
            self._refute(node.incarnation, accuser, "alive", source)

    def _refute(self, claimed: int, accuser: str, claim: str, source: Address | None) -> None:
        """Outrank what is said about us, at once to who said it and by gossip to everybody.

        Deviation: memberlist wraps around at the top of u32, which evicts a member for ever
        (memberlist #358); here the incarnation stays at the top, and claims there that their
        subject could not refute are not believed.
        """
        own = self._table.own
        incarnation = min(max(own.incarnation, claimed) + 1, INCARNATION_MAX)
        self._refuted_at = self._core.now
        self.renew(own.meta, incarnation)
        self._core.stats.refutations += 1
        self._core.adjust_health(+1, "refuted")
        who = accuser or (f"{source[0]}:{source[1]}" if source else "")
        self._core.emit(AccusationRefuted(who, claim, incarnation))
        if source is not None:
            self._news.send_plain(source, self.own_message())

    def _remind(self, known: Node | None, source: Address | None) -> None:
        """Tell who still spreads an accusation of us that we have refuted long ago.

        Deviation: memberlist ignores it. Who lost every copy of the refutation then declares us
        dead while we answer each of its probes (seen at a loss of 30 %). Within a period of the
        refutation the accusation may just have crossed it.
        """
        if known is None or known.name != self._core.name or source is None:
            return
        if self._core.now - self._refuted_at >= self._core.config.probe_interval:
            self._news.send_plain(source, self.own_message())

    def leave(self) -> None:
        """Announce that we leave, in our own name; nothing said about us is refuted from now."""
        self._core.leaving = True
        own = self._table.own
        self._table.store(own.replaced(state=LEFT, incarnation=own.incarnation), self._core.now)
        self._news.announce(own.name, self.own_message())

    def stop(self) -> None:
        """Forget who is dead or left, and take suspects for alive: a rejoin begins with those.

        No timer would reap the one or judge the other; the failure detector finds out anew.
        """
        self._running.clear()
        self._reaping.clear()
        self._disputed.clear()
        self._asking.clear()
        for node in self._table.not_alive():
            if node.name == self._core.name:
                continue
            if node.state is SUSPECT:
                alive = node.replaced(state=ALIVE, incarnation=node.incarnation)
                self._table.store(alive, self._core.now)
            else:
                self._table.remove(node.name)
                if node.state is DEAD:
                    self._forgotten(node)

    def own_message(self) -> bytes:
        """Return what we say of ourselves: alive, or that we leave."""
        own = self._table.own
        if own.state is LEFT:
            return encode_dead(own.incarnation, own.name, own.name)
        return encode_alive(own)

    def renew(self, meta: bytes, incarnation: int) -> None:
        """Announce ourselves with this metadata and incarnation."""
        own = self._table.own
        node = Node(own.name, own.address, meta, own.versions, incarnation, ALIVE)
        self._table.store(node, self._core.now)
        self._news.announce_alive(node)

    # --- merging -----------------------------------------------------------------------------

    def merge(self, state: PushPull, source: Address) -> str | None:
        """Weigh a peer's full state; return why it was refused as a whole, or None."""
        if reason := self._merge_refusal(state):
            self._core.stats.reject("merge-refused")
            self._core.emit(MergeRefused(source, reason))
            return reason
        get = self._get
        for node in state.nodes:
            known = get(node.name)
            if known is node:
                continue
            if node.name == self._core.name:
                self._merge_about_self(node, f"{source[0]}:{source[1]}")
            elif node.state is not ALIVE:
                self._merge_not_alive(node)
            elif (
                known is None
                or node.incarnation > known.incarnation
                or node.address != known.address
            ):
                self.alive(node, None)
        self._core.stats.push_pulls += 1
        if state.user_state:
            self._core.emit(UserStateReceived(source, state.user_state, state.join))
        return None

    def _merge_about_self(self, node: Node, accuser: str) -> None:
        if node.state is ALIVE:
            self._alive_about_self(node, None, accuser)
        elif not self._core.leaving and node.incarnation >= self._table.own.incarnation:
            claim = "suspect" if node.state is SUSPECT else "dead"
            self._refute(node.incarnation, accuser, claim, None)

    def _merge_not_alive(self, node: Node) -> None:
        """Left is believed; dead and suspect only as a suspicion of our own.

        So nobody dies by anti-entropy alone, and who is slandered can refute.
        """
        if node.state is LEFT:
            self.dead(Dead(node.incarnation, node.name, node.name), None)
        else:
            self.suspect(Suspect(node.incarnation, node.name, self._core.name), None)

    def _merge_refusal(self, state: PushPull) -> str | None:
        alive = {node.versions for node in state.nodes if node.state is ALIVE}
        # In order, as the reason may tell the first that does not fit.
        everyone = {node.versions: None for node in state.nodes}
        for versions, is_alive in self._table.versions.items():
            everyone[versions] = None
            if is_alive:
                alive.add(versions)
        if reason := verify_protocol(alive, everyone):
            return reason
        if state.join and not self._accept_merge(state.nodes):
            return "not-accepted"
        return None

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests. O(n)."""
        for node in self._table:
            others = node.name != self._core.name
            assert (node.name in self._running) == (node.state is SUSPECT), node
            assert (node.name in self._reaping) == (others and node.state >= DEAD), node
        assert self._core.leaving or self._table.own.state is ALIVE
        assert all(name in self._table for name in self._disputed)


def _alive_events(node: Node, known: Node | None, suspected_for: float) -> Iterator[Event]:
    """Yield what a believed alive claim means to the application."""
    if known is None or known.state >= DEAD:
        yield MemberJoined(node)
        return
    if known.state is SUSPECT:
        yield MemberRefuted(node, suspected_for)
    if (node.meta, node.address, node.versions) != (known.meta, known.address, known.versions):
        yield MemberUpdated(node, known)
