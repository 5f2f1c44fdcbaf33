"""Whatever happens to two or three members, in whatever order: what must hold, holds.

The rules are what an environment does: packets come late, twice or never, streams are cut, time
passes for one and not for the other, members crash, return, leave and change their metadata.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from memberlist import (
    Address,
    BroadcastFinished,
    CloseStream,
    Config,
    JoinFinished,
    Keyring,
    MemberForgotten,
    MemberJoined,
    Memberlist,
    MemberlistLeft,
    MessageDelivered,
    MessageFailed,
    NodeState,
    OpenStream,
    PingCompleted,
    PingFailed,
    QueueFull,
    SendDatagram,
    SendStream,
    UnknownMember,
)
from memberlist.node import ALIVE, LEFT
from tests.memberlist.vocabulary import address

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
KEYS = (bytes(16), bytes(range(32)))


class Cluster(RuleBasedStateMachine):
    """Members of one cluster and the network between them, in the hands of an adversary."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.members: dict[str, Memberlist] = {}
        self.keyrings: dict[str, Keyring] = {}
        self.gone: dict[str, int] = {}
        self.packets: list[tuple[Address, bytes, Address]] = []
        # Streams: which end each end belongs to, and what is on its way to an end.
        self.ends: dict[tuple[str, int], tuple[str, int]] = {}
        self.flow: dict[tuple[str, int], list[bytes | None]] = {}
        self.opening: list[tuple[str, OpenStream]] = []
        self.closed: dict[str, set[int]] = {}
        # What was promised: each handle is answered once.
        self.joins: dict[str, set[int]] = {}
        self.broadcasts: dict[str, set[int]] = {}
        self.messages: dict[str, set[int]] = {}
        self.pings: dict[str, set[int]] = {}
        self.incarnations: dict[tuple[str, str], int] = {}

    @initialize(
        encrypted=st.booleans(),
        label=st.sampled_from([b"", b"dc1"]),
        compression=st.booleans(),
        versions=st.tuples(*(st.sampled_from([1, 2, 5]) for _ in NAMES)),
    )
    def begin(
        self, encrypted: bool, label: bytes, compression: bool, versions: tuple[int, ...]
    ) -> None:
        self.config = Config.local(label=label, compression=compression)
        self.versions = dict(zip(NAMES, versions, strict=True))
        for name in NAMES:
            self.keyrings[name] = Keyring(KEYS[:1] if encrypted else ())
            self.start(name, 0)
        for name in NAMES[1:]:
            self.joins[name].add(self.members[name].join([address("a")], self.now))
        self.collect()

    def start(self, name: str, incarnation: int) -> None:
        self.members[name] = Memberlist(
            name,
            address(name),
            self.config.changed(protocol_version=self.versions[name]),
            rng=random.Random(f"{name} {self.now}"),
            now=self.now,
            incarnation=incarnation,
            keyring=self.keyrings[name],
            entropy=bytes,
            user_state=lambda _: name.encode(),
        )
        for promises in (self.joins, self.broadcasts, self.messages, self.pings):
            promises[name] = set()
        self.closed[name] = set()
        self.incarnations = {
            pair: highest for pair, highest in self.incarnations.items() if pair[0] != name
        }

    # --- the network -------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 2.0, 40.0, 4000.0]), deliver=st.booleans())
    def time_passes(self, seconds: float, deliver: bool) -> None:
        end = self.now + seconds
        for _ in range(60):
            due = [at for m in self.members.values() if (at := m.next_timeout()) is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            for member in self.members.values():
                member.handle_timeout(self.now)
            self.collect()
            if deliver:
                self.everything_arrives()
        self.now = end
        for member in self.members.values():
            member.handle_timeout(end)
            after = member.next_timeout()
            assert after is None or after > end
        self.collect()

    @rule(data=st.data(), twice=st.booleans())
    def a_packet_arrives(self, data: st.DataObject, twice: bool) -> None:
        if self.packets:
            index = data.draw(st.integers(0, len(self.packets) - 1))
            to, packet, source = self.packets[index]
            if not twice:
                del self.packets[index]
            self.give(to, packet, source)

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(20):
            packets, self.packets = self.packets, []
            for to, packet, source in packets:
                self.give(to, packet, source)
            opening, self.opening = self.opening, []
            for name, output in opening:
                self.connect(name, output)
            for end in list(self.flow):
                self.drain_flow(end, 1 << 20)
            if not (self.packets or self.opening or any(self.flow.values())):
                return

    @rule()
    def packets_are_lost(self) -> None:
        self.packets.clear()

    @rule(name=names, data=st.binary(max_size=40), peer=names)
    def noise_arrives(self, name: str, data: bytes, peer: str) -> None:
        self.give(address(name), data, address(peer))

    @rule(size=st.integers(1, 50))
    def streams_trickle(self, size: int) -> None:
        opening, self.opening = self.opening, []
        for name, output in opening:
            self.connect(name, output)
        for end in list(self.flow):
            self.drain_flow(end, size)

    @rule()
    def streams_break(self) -> None:
        opening, self.opening = self.opening, []
        for name, output in opening:
            if name in self.members:
                self.members[name].stream_closed(output.stream, self.now)
        for name, stream in list(self.ends):
            if name in self.members:
                self.members[name].stream_closed(stream, self.now)
        self.ends.clear()
        self.flow.clear()
        self.collect()

    def give(self, to: Address, packet: bytes, source: Address) -> None:
        for member in self.members.values():
            if member.node.address == to:
                member.receive_datagram(packet, source, self.now)
        self.collect()

    def connect(self, name: str, output: OpenStream) -> None:
        if name not in self.members or output.stream in self.closed[name]:
            return
        member = self.members[name]
        peer = next((m for m in self.members.values() if m.node.address == output.to), None)
        if peer is None:
            member.stream_closed(output.stream, self.now)
        else:
            number = peer.stream_accepted(member.node.address, self.now)
            assert number % 2 == 1
            if number > 0:
                self.ends[name, output.stream] = peer.name, number
                self.ends[peer.name, number] = name, output.stream
            member.stream_opened(output.stream, self.now)
        self.collect()

    def drain_flow(self, end: tuple[str, int], size: int) -> None:
        waiting = self.flow[end]
        while waiting and size > 0:
            name, stream = end
            first = waiting.pop(0)
            if name not in self.members:
                continue
            if first is None:
                self.members[name].stream_closed(stream, self.now)
            else:
                piece, rest = first[:size], first[size:]
                size -= len(piece)
                if rest:
                    waiting.insert(0, rest)
                self.members[name].stream_received(stream, piece, self.now)
            self.collect()
        if not waiting:
            self.flow.pop(end, None)

    # --- members -----------------------------------------------------------------------------

    @rule(name=names)
    def a_member_crashes(self, name: str) -> None:
        if name in self.members and len(self.members) > 1:
            self.gone[name] = self.members.pop(name).incarnation
            self.ends = {end: peer for end, peer in self.ends.items() if end[0] != name}

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), remembers=st.booleans())
    def a_member_starts_again(self, data: st.DataObject, remembers: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.gone)))
        incarnation = self.gone.pop(name)
        self.start(name, incarnation if remembers else 0)
        self.joins[name].add(
            self.members[name].join([address(each) for each in NAMES if each != name], self.now)
        )
        self.collect()

    @rule(name=names, timeout=st.sampled_from([0.1, 5.0]))
    def a_member_leaves(self, name: str, timeout: float) -> None:
        if (member := self.members.get(name)) is not None:
            member.leave(self.now, timeout=timeout)
            self.collect()

    @rule(name=names)
    def a_member_changes_its_mind(self, name: str) -> None:
        member = self.members.get(name)
        if member is not None and not member.is_leaving:
            member.leave(self.now, timeout=0.2)
            self.collect()
            member.rejoin(self.now)
            self.collect()

    @rule(name=names)
    def a_member_comes_back(self, name: str) -> None:
        member = self.members.get(name)
        if member is not None and member.is_leaving:
            before = member.incarnation
            member.rejoin(self.now)
            assert member.incarnation > before
            self.collect()

    @rule(name=names, seeds=st.lists(names, min_size=1, max_size=10))
    def a_member_joins(self, name: str, seeds: list[str]) -> None:
        member = self.members.get(name)
        if member is not None and not member.is_leaving:
            self.joins[name].add(member.join([address(seed) for seed in seeds], self.now))
            self.collect()

    @rule(name=names, meta=st.binary(max_size=200))
    def a_member_changes_its_metadata(self, name: str, meta: bytes) -> None:
        member = self.members.get(name)
        if member is not None and not member.is_leaving:
            member.update_meta(meta, self.now)
            self.collect()

    @rule(
        name=names,
        size=st.integers(0, 1200),
        key=st.sampled_from([None, "k", "l"]),
        priority=st.integers(0, 9),
    )
    def a_member_broadcasts(self, name: str, size: int, key: str | None, priority: int) -> None:
        member = self.members.get(name)
        if member is not None and not member.is_over:
            number = member.broadcast(bytes(size), self.now, key=key, priority=priority)
            assert number not in self.broadcasts[name]
            self.broadcasts[name].add(number)
            self.collect()

    @rule(name=names, to=names, reliable=st.booleans())
    def a_member_talks_and_pings(self, name: str, to: str, reliable: bool) -> None:
        member = self.members.get(name)
        if member is None or member.is_over:
            return
        try:
            number = member.message(to, b"hello", self.now, reliable=reliable)
            if reliable:
                self.messages[name].add(number)
            self.pings[name].add(member.ping(to, self.now))
        except UnknownMember:
            known = member.member(to)
            assert known is None or known.state >= NodeState.DEAD
        except QueueFull:
            pass
        self.collect()

    @rule(step=st.sampled_from(["add", "use", "remove"]), name=names)
    def keys_change(self, step: str, name: str) -> None:
        keyring = self.keyrings[name]
        if step == "add":
            keyring.add(KEYS[1])
        elif step == "use" and KEYS[1] in keyring.keys:
            keyring.use(KEYS[1])
        elif step == "remove" and keyring.primary == KEYS[1]:
            keyring.remove(KEYS[0])

    # --- what comes of it --------------------------------------------------------------------

    def collect(self) -> None:
        for member in list(self.members.values()):
            while (output := member.poll()) is not None:
                self.take(member, output)

    def take(self, member: Memberlist, output: Any) -> None:
        name = member.name
        match output:
            case SendDatagram(to, data):
                assert len(data) <= member.config.datagram_size
                self.packets.append((to, data, member.node.address))
            case OpenStream(stream):
                assert stream not in self.closed[name]
                self.opening.append((name, output))
            case SendStream(stream, data, eof):
                assert stream not in self.closed[name]
                if (end := self.ends.get((name, stream))) is not None:
                    self.flow.setdefault(end, []).extend([data, None] if eof else [data])
            case CloseStream(stream):
                assert stream not in self.closed[name], "closed twice"
                self.closed[name].add(stream)
                if (end := self.ends.pop((name, stream), None)) is not None:
                    self.flow.setdefault(end, []).append(None)
            case JoinFinished(join, contacted, seeds):
                self.joins[name].remove(join)
                assert contacted == sum(seed.joined for seed in seeds)
                assert all(seed.joined != bool(seed.reason) for seed in seeds)
            case BroadcastFinished(broadcast):
                self.broadcasts[name].remove(broadcast)
            case MessageDelivered(message) | MessageFailed(message):
                self.messages[name].remove(message)
            case PingCompleted(ping) | PingFailed(ping):
                if ping is not None:
                    self.pings[name].remove(ping)
            case MemberJoined(node):
                assert node.name != name
            case MemberForgotten(node):
                self.incarnations.pop((name, node.name), None)
            case MemberlistLeft():
                assert member.is_over
                assert not self.joins[name]
                assert not self.broadcasts[name]
                assert not self.messages[name]
                self.pings[name].clear()

    @invariant()
    def every_machine_is_sound(self) -> None:
        for member in self.members.values():
            member.check_invariants()
            assert member.poll() is None
            assert 0 <= member.health < member.config.awareness_max
            assert member.is_over <= member.is_leaving
            assert (member.node.state is LEFT) == member.is_leaving
            assert member.is_leaving or member.node.state is ALIVE

    @invariant()
    def an_incarnation_never_goes_back(self) -> None:
        for member in self.members.values():
            if member.is_over:  # Who was gone is forgotten at the end.
                self.incarnations = {
                    pair: highest
                    for pair, highest in self.incarnations.items()
                    if pair[0] != member.name
                }
            for node in member.nodes:
                pair = member.name, node.name
                assert node.incarnation >= self.incarnations.get(pair, 0)
                self.incarnations[pair] = node.incarnation

    @invariant()
    def the_dead_have_no_newer_life_here(self) -> None:
        for member in self.members.values():
            subject = {node.name: node for node in member.nodes}
            for name, node in subject.items():
                peer = self.members.get(name)
                if peer is not None and node.state is ALIVE and name not in self.gone:
                    assert node.address == address(name)

    def teardown(self) -> None:
        """In peace, those who run find each other again, and every promise has been kept."""
        if not self.members:
            return
        self.packets.clear()
        self.streams_break()
        agreed = len({keyring.keys for keyring in self.keyrings.values()}) == 1
        for name, member in self.members.items():
            if member.is_leaving:
                member.rejoin(self.now)
            self.joins[name].add(member.join([address(each) for each in NAMES], self.now))
        self.collect()
        for _ in range(400):
            self.now += 0.1
            for member in self.members.values():
                member.handle_timeout(self.now)
            self.collect()
            self.everything_arrives()

        for name, member in self.members.items():
            assert not self.joins[name]
            assert not self.messages[name]
            assert not self.pings[name]
            if agreed:
                running = {node.name for node in member.members}
                assert running == set(self.members), f"{name} sees {running}"
                assert {node.name: node for node in member.members if node.state is ALIVE} == {
                    name: peer.node for name, peer in self.members.items()
                }


Cluster.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestCluster = Cluster.TestCase
