"""The failure detector: probing others, helping others to probe, and answering.

Owns the probe that is under way, the pings that wait for an ack, and what a missing answer says
about us (health) or about the other (suspicion). Knows nothing of streams but how to ask for one,
and leaves what a suspicion means to membership.py.

Source: SWIM section 3; Lifeguard (2018), LHA-Probe and Buddy System; memberlist `state.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import define

from memberlist.codec import (
    encode_ack,
    encode_indirect_ping,
    encode_nack,
    encode_ping,
    encode_suspect,
)
from memberlist.core import Core
from memberlist.dissemination import Dissemination
from memberlist.errors import QueueFull
from memberlist.members import MemberTable
from memberlist.membership import AddressClaim, Membership
from memberlist.messages import Ack, IndirectPing, Nack, Ping, Suspect
from memberlist.node import ALIVE, NAME_SIZE_MAX, Address, Node
from memberlist.outputs import PingCompleted, PingFailed, ProbeFailed, ProbeRecord
from memberlist.packet import encode_compound
from memberlist.timers import Timer
from memberlist.versions import supports_nack, supports_stream_ping

#: What to do with an ack: a method, and its first argument.
_Waiting: TypeAlias = tuple[Callable[[Any, Ack, Address], None], Any]

_SEQUENCE_MASK = 2**32 - 1


def nack_delay(probe_interval: float, probe_timeout: float) -> float:
    """Return how long a helper waits for its own ping before it says that nothing came.

    The nack must be back before the prober's period ends: the prober has waited `probe_timeout`
    already. The paper says 80 % of the timeout (footnote 5), which is too late in the WAN preset;
    memberlist waits all of it, which is too late in both.

    >>> nack_delay(1.0, 0.5), round(nack_delay(5.0, 3.0), 3)
    (0.4, 1.6)
    """
    return 0.8 * min(probe_timeout, probe_interval - probe_timeout)


@define(eq=False)
class Probe:
    """One probe under way.

    Attributes:
        node: The member, as it was when the probe began.
        sequence: Of the direct ping and the indirect ones.
        sent_at: When the direct ping went out.
        deadline: When the probe is given up.
        health: Our score when it began.
        timer: What ends the present stage.
        helpers: The members asked for help.
        nackers: Addresses of helpers that have said nack.
        nacks_expected: How many can say it.
        nacks_due: When the slowest honest helper would have been heard.
        stream: State of the stream ping: off, pending, failed, answered.
        failed: Whether it was given up: only nacks count from then on.
    """

    node: Node
    sequence: int
    sent_at: float
    deadline: float
    health: int
    timer: Timer | None = None
    helpers: tuple[Node, ...] = ()
    nackers: tuple[Address, ...] = ()
    nacks_expected: int = 0
    nacks_due: float = 0.0
    stream: str = "off"
    failed: bool = False

    def record(self, now: float) -> ProbeRecord:
        """Return it as evidence."""
        return ProbeRecord(
            node=self.node.name,
            sent_at=self.sent_at,
            ended_at=now,
            helpers=tuple(helper.name for helper in self.helpers),
            nacks=len(self.nackers),
            nacks_expected=self.nacks_expected,
            stream=self.stream,
            health=self.health,
        )


@define(eq=False)
class _Relay:
    """A ping that we do for somebody else."""

    sequence: int
    requester: Address
    asked: int
    timer: Timer | None = None


@define(eq=False)
class _Manual:
    """A ping that the application asked for."""

    sequence: int
    name: str
    sent_at: float
    timer: Timer | None = None


@define(eq=False)
class _Challenge:
    """A ping that asks an address whether it answers to a claimed name; sent twice at most."""

    sequence: int
    claim: AddressClaim
    timer: Timer | None = None
    again: bool = False


class FailureDetector:
    """One probe a period, round robin; and the other side of everybody else's."""

    def __init__(
        self,
        core: Core,
        table: MemberTable,
        news: Dissemination,
        membership: Membership,
        open_stream_ping: Callable[[Probe], None],
        may_stream_ping: Callable[[Node], bool],
    ) -> None:
        self._core = core
        self._table = table
        self._news = news
        self._membership = membership
        self._open_stream_ping = open_stream_ping
        self._may_stream_ping = may_stream_ping
        self._waiting: dict[int, _Waiting] = {}
        # Probes whose helpers may still say nack: from asking them until the nacks are counted,
        # which is after the probe ended (`_blame_ourselves`).
        self._nacks: dict[int, Probe] = {}
        # A random start, so that who can't see our packets can't guess what we wait for.
        self._sequence = int(core.rng.random() * _SEQUENCE_MASK)
        self._payload = b""
        self._own_address = table.own.address
        self._tick_timer: Timer | None = None

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to probe at a random part of the period, so that members don't march in step."""
        delay = (1.0 - self._core.rng.random()) * self._core.config.probe_interval
        self._tick_timer = self._core.timers.arm(self._core.now + delay, self._tick)

    def stop(self) -> None:
        """Forget every probe and ping; the timers are the machine's to clear."""
        for _, waiting in self._waiting.values():
            if isinstance(waiting, _Manual):
                self._core.emit(PingFailed(waiting.sequence, waiting.name))
        self._waiting.clear()
        self._nacks.clear()

    def set_payload(self, payload: bytes) -> None:
        """Attach these bytes to every ack."""
        self._payload = payload

    @property
    def pending(self) -> int:
        """Pings that wait for an ack, our probe included."""
        return len(self._waiting)

    def _next_sequence(self) -> int:
        # No ping waits so long that its number could come again.
        self._sequence = (self._sequence + 1) & _SEQUENCE_MASK
        return self._sequence

    def _ping_message(self, node_name: str, sequence: int) -> bytes:
        return encode_ping(sequence, node_name, self._own_address, self._core.name)

    # --- answering ---------------------------------------------------------------------------

    def answer(self, ping: Ping, source: Address) -> None:
        """Answer a ping that means us; others' names are somebody else's at our address."""
        if ping.node and ping.node != self._core.name:
            self._core.reject(source, "wrong-node", ping.node)
            return
        self._news.send(ping.source or source, encode_ack(ping.sequence, self._payload))

    def acked(self, ack: Ack, source: Address) -> None:
        """Hand an ack to who waits for it; one that nobody waits for is late, and normal."""
        waiting = self._waiting.get(ack.sequence)
        if waiting is not None:
            waiting[0](waiting[1], ack, source)

    # --- the probe ---------------------------------------------------------------------------

    def _tick(self, _: object) -> None:
        core = self._core
        node = self._table.next_probe()
        if node is None:
            self._tick_timer = core.timers.arm(core.now + core.config.probe_interval, self._tick)
            return
        awareness, config = core.awareness, core.config
        timeout = config.probe_timeout
        if config.scale_probe_timeout:
            timeout = awareness.scale(timeout)
        deadline = core.now + awareness.scale(config.probe_interval)
        probe = Probe(node, self._next_sequence(), core.now, deadline, awareness.score)
        core.stats.probes += 1
        self._waiting[probe.sequence] = (self._probe_answered, probe)
        self._send_probe(probe)
        probe.timer = core.timers.arm(core.now + timeout, self._ask_helpers, probe)

    def _send_probe(self, probe: Probe) -> None:
        node = probe.node
        message = self._ping_message(node.name, probe.sequence)
        if node.state is ALIVE or not self._core.config.buddy_system:
            self._news.send(node.address, message)
            return
        # The buddy system: who is suspected hears it with the ping, and can refute at once.
        accusation = encode_suspect(node.incarnation, node.name, self._core.name)
        both = encode_compound([message, accusation])
        if len(both) > self._news.room:  # Long names: the ping is what counts.
            both = message
        self._news.send_plain(node.address, both, node)

    def _probe_answered(self, probe: Probe, ack: Ack, source: Address) -> None:
        core = self._core
        if source == probe.node.address or not probe.helpers:
            core.emit(PingCompleted(None, probe.node.name, core.now - probe.sent_at, ack.payload))
        if core.awareness.score:
            core.adjust_health(-1, "probe-answered")
        self._end(probe)

    def _end(self, probe: Probe) -> None:
        """Forget the probe and arm the next tick, at the next multiple of the period."""
        core = self._core
        self._waiting.pop(probe.sequence, None)
        self._nacks.pop(probe.sequence, None)
        core.timers.cancel(probe.timer)
        interval = core.config.probe_interval
        if core.config.scale_probe_timeout:
            interval = core.awareness.scale(interval)
        at = probe.sent_at + interval
        if at <= core.now:
            # Ticks that the probe overran are skipped, not queued.
            at = core.now + interval - (core.now - probe.sent_at) % interval
        self._tick_timer = core.timers.arm(at, self._tick)

    def _ask_helpers(self, probe: Probe) -> None:
        """No direct ack came: ask helpers, and try a stream beside them."""
        core = self._core
        config = core.config
        if not config.blame_lateness:
            # Woken late, the others still get the time that they are due.
            least = core.now + config.probe_interval - config.probe_timeout
            probe.deadline = max(probe.deadline, least)
        helpers = self._table.sample(config.indirect_checks, exclude=probe.node.name)
        probe.helpers = tuple(helpers)
        probe.nacks_due = core.now + 1.5 * config.probe_timeout
        self._nacks[probe.sequence] = probe
        for helper in helpers:
            wants_nack = supports_nack(helper.versions)
            probe.nacks_expected += wants_nack
            request = IndirectPing(
                probe.sequence,
                probe.node.name,
                probe.node.address,
                wants_nack,
                self._own_address,
                core.name,
            )
            self._news.send(helper.address, encode_indirect_ping(request))
        probe.timer = core.timers.arm(probe.deadline, self._give_up, probe)
        if (
            config.stream_pings
            and supports_stream_ping(probe.node.versions)
            and self._may_stream_ping(probe.node)
        ):
            probe.stream = "pending"
            self._open_stream_ping(probe)

    def stream_ping_ended(self, probe: Probe, answered: bool) -> None:
        """Hear how the stream ping ended. It is looked at only when the probe ends."""
        probe.stream = "answered" if answered else "failed"

    def nacked(self, nack: Nack, source: Address) -> None:
        """Note that a helper lives and got no answer either; each helper counts once."""
        probe = self._nacks.get(nack.sequence)
        if probe is None or source in probe.nackers or len(probe.nackers) >= probe.nacks_expected:
            return
        probe.nackers = (*probe.nackers, source)
        if probe.failed and len(probe.nackers) == probe.nacks_expected:
            self._core.timers.cancel(probe.timer)
            del self._nacks[nack.sequence]

    def _give_up(self, probe: Probe) -> None:
        core, config = self._core, self._core.config
        if probe.stream == "answered":
            core.stats.stream_pings_needed += 1
            core.adjust_health(-1, "probe-answered")
            self._end(probe)
            return
        late = core.now - probe.deadline > config.probe_timeout
        if late and not config.blame_lateness:
            # We slept: the answer may have come meanwhile. That says something about us only.
            core.stats.probes_late += 1
            core.adjust_health(+1, "late")
            self._end(probe)
            return
        core.stats.probes_failed += 1
        record = probe.record(core.now)
        self._end(probe)
        self._blame_ourselves(probe)
        core.emit(ProbeFailed(record))
        claim = Suspect(probe.node.incarnation, probe.node.name, core.name)
        self._membership.suspect(claim, None, record)

    def _blame_ourselves(self, probe: Probe) -> None:
        """Let a failed probe count against our own health, as far as helpers kept silent.

        memberlist's helpers say nack only after a whole probe timeout of theirs, which is after
        our period in its LAN and WAN presets. So missing nacks are counted once the slowest
        honest helper could have been heard: a timeout, and half a one for the way.
        """
        core = self._core
        if not probe.nacks_expected:
            core.adjust_health(+1, "probe-failed")
            return
        probe.failed = True
        if len(probe.nackers) == probe.nacks_expected:
            return
        if probe.nacks_due > core.now:
            self._nacks[probe.sequence] = probe
            probe.timer = core.timers.arm(probe.nacks_due, self._count_nacks, probe)
        else:
            self._count_nacks(probe)

    def _count_nacks(self, probe: Probe) -> None:
        self._nacks.pop(probe.sequence, None)
        missed = probe.nacks_expected - len(probe.nackers)
        self._core.stats.nacks_missed += missed
        self._core.adjust_health(missed, "nack-missed")

    # --- helping others ----------------------------------------------------------------------

    def relay(self, request: IndirectPing, source: Address) -> None:
        """Ping a member for somebody else."""
        core = self._core
        if len(request.node) > NAME_SIZE_MAX or not self._news.fits_probe(request.node):
            core.reject(source, "name-too-large", "a ping with it would not fit a packet")
            return
        if len(self._waiting) >= core.config.pending_pings_max:
            core.reject(source, "too-many-pings", request.node)
            return
        core.stats.indirect_pings += 1
        host, port = request.target
        target = (host, port or self._own_address[1])
        relay = _Relay(self._next_sequence(), request.source or source, request.sequence)
        self._waiting[relay.sequence] = (self._relay_answered, relay)
        self._news.send(target, self._ping_message(request.node, relay.sequence))
        config = core.config
        if request.nack:
            delay = nack_delay(config.probe_interval, config.probe_timeout)
            relay.timer = core.timers.arm(core.now + delay, self._say_nack, relay)
        else:
            relay.timer = core.timers.arm(core.now + config.probe_timeout, self._forget, relay)

    def _relay_answered(self, relay: _Relay, _: Ack, __: Address) -> None:
        self._core.timers.cancel(relay.timer)
        self._forget(relay)
        self._news.send(relay.requester, encode_ack(relay.asked, b""))

    def _say_nack(self, relay: _Relay) -> None:
        """Say that nothing came; an answer that still comes is relayed all the same."""
        config = self._core.config
        self._news.send(relay.requester, encode_nack(relay.asked))
        rest = config.probe_timeout - nack_delay(config.probe_interval, config.probe_timeout)
        relay.timer = self._core.timers.arm(self._core.now + rest, self._forget, relay)

    def _forget(self, relay: _Relay) -> None:
        del self._waiting[relay.sequence]

    # --- pings by hand, and claims -----------------------------------------------------------

    def require_room(self) -> None:
        """Check that one more ping may wait.

        Raises:
            QueueFull: Too many wait already.
        """
        limit = self._core.config.pending_pings_max
        if len(self._waiting) >= limit:
            raise QueueFull("pings", limit)

    def ping(self, node: Node) -> int:
        """Ping a member for the application and return the ping's number."""
        core = self._core
        manual = _Manual(self._next_sequence(), node.name, core.now)
        self._waiting[manual.sequence] = (self._manual_answered, manual)
        self._news.send(node.address, self._ping_message(node.name, manual.sequence))
        at = core.now + core.config.probe_timeout
        manual.timer = core.timers.arm(at, self._manual_expired, manual)
        return manual.sequence

    def _manual_answered(self, manual: _Manual, ack: Ack, _: Address) -> None:
        core = self._core
        core.timers.cancel(manual.timer)
        del self._waiting[manual.sequence]
        rtt = core.now - manual.sent_at
        core.emit(PingCompleted(manual.sequence, manual.name, rtt, ack.payload))

    def _manual_expired(self, manual: _Manual) -> None:
        del self._waiting[manual.sequence]
        self._core.emit(PingFailed(manual.sequence, manual.name))

    def challenge(self, claim: AddressClaim) -> bool:
        """Ask an address whether it answers to a claimed name; twice, as packets get lost."""
        if len(self._waiting) >= self._core.config.pending_pings_max:
            return False
        challenge = _Challenge(self._next_sequence(), claim)
        self._waiting[challenge.sequence] = (self._challenge_answered, challenge)
        self._send_challenge(challenge)
        return True

    def _send_challenge(self, challenge: _Challenge) -> None:
        core, claim = self._core, challenge.claim
        self._news.send(claim.asked, self._ping_message(claim.other.name, challenge.sequence))
        at = core.now + core.config.probe_timeout
        challenge.timer = core.timers.arm(at, self._challenge_expired, challenge)

    def _challenge_answered(self, challenge: _Challenge, _: Ack, __: Address) -> None:
        self._core.timers.cancel(challenge.timer)
        del self._waiting[challenge.sequence]
        self._membership.challenge_ended(challenge.claim, answered=True)

    def _challenge_expired(self, challenge: _Challenge) -> None:
        if not challenge.again:
            challenge.again = True
            self._send_challenge(challenge)
            return
        del self._waiting[challenge.sequence]
        self._membership.challenge_ended(challenge.claim, answered=False)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        # Our own probe comes on top of the limit.
        assert len(self._waiting) <= self._core.config.pending_pings_max + 1
        assert all(probe.nacks_expected >= len(probe.nackers) for probe in self._nacks.values())
