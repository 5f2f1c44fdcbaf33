"""Getting news out: gossip rounds, piggybacking, and fair shares of each packet's room.

Owns both broadcast queues (membership news and the application's) and every datagram that leaves.
Knows nothing of what a message means.

Source: SWIM section 4.1; memberlist `state.go` (gossip), `broadcast.go`, `net.go` (rawSendMsg).
"""

from __future__ import annotations

from bisect import insort

from memberlist.broadcasts import Broadcast, BroadcastQueue, retransmit_limit
from memberlist.codec import encode_alive, encode_user
from memberlist.core import Core
from memberlist.errors import PayloadTooLarge, QueueFull
from memberlist.members import MemberTable
from memberlist.node import DEAD, SUSPECT, Address, Node
from memberlist.outputs import BroadcastFinished, BroadcastOutcome, SendDatagram
from memberlist.packet import (
    COMPOUND_OVERHEAD,
    COMPOUND_PART_OVERHEAD,
    COMPOUND_PARTS_MAX,
    PacketCodec,
    encode_compound,
)
from memberlist.timers import Timer
from memberlist.versions import supports_crc

#: Most bytes of an indirect ping, the larger of both pings, beside the two names in it.
PROBE_SIZE = 128


class Dissemination:
    """Queues of news, and the packets that carry them."""

    def __init__(self, core: Core, table: MemberTable, packets: PacketCodec) -> None:
        """Wire the queues.

        Args:
            core: Clock, timers and outputs.
            table: The members that can be told.
            packets: Seals what leaves.
        """
        self._core = core
        self._table = table
        self._packets = packets
        # Bytes of a packet that are free for messages, all headers counted.
        self.room = core.config.datagram_size - packets.overhead
        # Largest message that fits a compound.
        self.message_size_max = self.room - COMPOUND_OVERHEAD - COMPOUND_PART_OVERHEAD
        self._membership = BroadcastQueue()
        # The application's queues by priority; invariant: `_priorities` is descending.
        self._user: dict[int, BroadcastQueue] = {}
        self._priorities: list[int] = []
        self._user_count = 0
        self._next_number = 1
        self._limit_for = (0, 0)
        # Accumulates `user_broadcast_share`; at 1 the application goes first in one packet.
        self._credit = 0.0
        self._gossip_timer: Timer | None = None
        # Whether our farewell was sent as often as it should be.
        self.farewell_told = False

    def fits_probe(self, name: str) -> bool:
        """Whether pings that name this member, and ours, fit a packet."""
        names = len(name.encode("utf-8", "surrogateescape")) + len(self._core.name.encode())
        return names + PROBE_SIZE <= self.message_size_max

    # --- single packets ----------------------------------------------------------------------

    def send(self, to: Address, message: bytes, node: Node | None = None) -> None:
        """Send one message, with as much news as fits beside it."""
        if self._membership.count or self._user_count:
            parts = self._collect(self.message_size_max - len(message), COMPOUND_PARTS_MAX - 1)
            if parts:
                message = encode_compound([message, *parts])
        self.send_plain(to, message, node)

    def send_plain(self, to: Address, message: bytes, node: Node | None = None) -> None:
        """Send one message as it is; with a CRC if it goes to a `node` that checks one."""
        data = self._packets.seal(message, crc=node is not None and supports_crc(node.versions))
        stats = self._core.stats
        stats.packets_sent += 1
        stats.bytes_sent += len(data)
        self._core.outputs.append(SendDatagram(to, data))

    # --- news --------------------------------------------------------------------------------

    def announce(self, name: str, message: bytes) -> None:
        """Gossip a membership message; it supersedes older news of the same member."""
        if len(message) > self.message_size_max:
            self._core.stats.reject("too-large-to-gossip")
            self._membership.discard(name)
            return
        self._membership.add(message, key=name)
        self.wake()

    def withdraw(self, name: str) -> None:
        """Tell nothing more of a member."""
        self._membership.discard(name)

    def announce_alive(self, node: Node) -> None:
        """Gossip that a member is alive."""
        self.announce(node.name, encode_alive(node))

    def check_broadcast(self, payload: bytes, key: str | None, priority: int) -> None:
        """Check that a broadcast of the application can be queued.

        Raises:
            PayloadTooLarge: It would not fit a packet.
            QueueFull: Too many wait already.
        """
        if len(payload) >= self.message_size_max:  # A type byte comes in front.
            raise PayloadTooLarge(len(payload), self.message_size_max - 1)
        queue = self._user.get(priority)
        replaces = key is not None and queue is not None and queue.holds(key)
        limit = self._core.config.user_broadcasts_max
        if self._user_count >= limit and not replaces:
            raise QueueFull("user broadcasts", limit)

    def broadcast(self, payload: bytes, key: str | None, priority: int) -> int:
        """Queue a broadcast of the application that was checked, and return its number."""
        queue = self._user.get(priority)
        if queue is None:
            queue = self._user[priority] = BroadcastQueue()
            insort(self._priorities, priority, key=lambda value: -value)
        number = self._next_number
        self._next_number += 1
        superseded = queue.add(encode_user(payload), key=key, number=number)
        if superseded is None:
            self._user_count += 1
        else:
            self._core.stats.broadcasts_superseded += 1
            self._report(superseded, BroadcastOutcome.SUPERSEDED)
        self.wake()
        return number

    @property
    def membership_count(self) -> int:
        """Membership messages that wait."""
        return self._membership.count

    @property
    def user_count(self) -> int:
        """User broadcasts that wait."""
        return self._user_count

    # --- gossip ------------------------------------------------------------------------------

    def wake(self) -> None:
        """Arm the gossip timer if there is news and somebody to tell.

        An idle member does not wake at all. The first round after a pause comes at a random part
        of the interval, as a free-running ticker's would.
        """
        config = self._core.config
        if self._gossip_timer is not None or not config.gossip_interval or not config.gossip_nodes:
            return
        if len(self._table) > 1 and (self._membership.count or self._user_count):
            delay = (1.0 - self._core.rng.random()) * config.gossip_interval
            self._gossip_timer = self._core.timers.arm(self._core.now + delay, self._gossip)

    def _gossip(self, _: object) -> None:
        """Tell the news to a few random members, and again while there is some."""
        config = self._core.config
        for node in self._table.sample(config.gossip_nodes, also=self._wants_gossip):
            parts = self._collect(self.room - COMPOUND_OVERHEAD, COMPOUND_PARTS_MAX)
            if not parts:
                break
            message = parts[0] if len(parts) == 1 else encode_compound(parts)
            self.send_plain(node.address, message, node)
        self._gossip_timer = None
        if len(self._table) > 1 and (self._membership.count or self._user_count):
            at = self._core.now + config.gossip_interval
            self._gossip_timer = self._core.timers.arm(at, self._gossip)

    def _wants_gossip(self, node: Node) -> bool:
        """Suspects, and dead ones for a while, so that they can refute; never left ones."""
        if node.state is SUSPECT:
            return True
        since = self._table.since(node.name)
        window = self._core.config.gossip_to_the_dead_time
        return node.state is DEAD and since is not None and self._core.now - since <= window

    # --- fair shares -------------------------------------------------------------------------

    def _collect(self, room: int, parts: int) -> list[bytes]:
        """Take what fits from both queues; who goes first alternates while they compete.

        Deviation: memberlist gives the application only what its own news leave, so that user
        messages starve under churn (memberlist #299).
        """
        limit = self._retransmit_limit()
        if not self._user_count:
            return self._take_membership(room, parts, limit)
        if not self._membership.count:
            return self._take_user(room, parts, limit)
        self._credit += self._core.config.user_broadcast_share
        user_first = self._credit >= 1.0
        if user_first:
            self._credit -= 1.0
        first, second = self._take_membership, self._take_user
        if user_first:
            first, second = second, first
        messages = first(room, parts, limit)
        room -= sum(map(len, messages)) + COMPOUND_PART_OVERHEAD * len(messages)
        return messages + second(room, parts - len(messages), limit)

    def _retransmit_limit(self) -> int:
        """Return the limit for the present size of the cluster, computed once a size."""
        n = len(self._table)
        if n != self._limit_for[0]:
            self._limit_for = (n, retransmit_limit(self._core.config.retransmit_mult, n))
        return self._limit_for[1]

    def _take_membership(self, room: int, parts: int, limit: int) -> list[bytes]:
        messages, finished = self._membership.take(room=room, parts=parts, limit=limit)
        if finished and self._core.leaving and not self.farewell_told:
            self.farewell_told = any(done.key == self._core.name for done in finished)
            if self.farewell_told:  # The machine looks at it when it wakes.
                self._core.timers.arm(self._core.now, self._nothing)
        return messages

    def _nothing(self, _: object) -> None:
        """Do nothing: that the timer fires is all that is wanted."""

    def _take_user(self, room: int, parts: int, limit: int) -> list[bytes]:
        collected: list[bytes] = []
        for priority in self._priorities:
            queue = self._user[priority]
            if not queue.count:
                continue
            messages, finished = queue.take(room=room, parts=parts - len(collected), limit=limit)
            room -= sum(map(len, messages)) + COMPOUND_PART_OVERHEAD * len(messages)
            collected += messages
            for done in finished:
                self._user_count -= 1
                self._core.stats.broadcasts_sent += 1
                self._report(done, BroadcastOutcome.SENT)
        return collected

    def stop(self) -> None:
        """Stop gossiping, and report every user broadcast that still waits as dropped."""
        self._core.timers.cancel(self._gossip_timer)
        self._gossip_timer = None
        self._membership.clear()
        for priority in self._priorities:
            for dropped in self._user[priority].clear():
                self._user_count -= 1
                self._core.stats.broadcasts_dropped += 1
                self._report(dropped, BroadcastOutcome.DROPPED)

    def _report(self, broadcast: Broadcast, outcome: BroadcastOutcome) -> None:
        self._core.emit(BroadcastFinished(broadcast.number, outcome, broadcast.transmits))

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        self._membership.check_invariants()
        for queue in self._user.values():
            queue.check_invariants()
        assert sum(queue.count for queue in self._user.values()) == self._user_count
        assert self._user_count <= self._core.config.user_broadcasts_max
