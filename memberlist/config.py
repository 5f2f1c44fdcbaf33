"""Every knob of a member, with its unit, default and origin, and which combinations make sense.

Owns validation: a `Config` that exists is usable. Knows nothing of the machine.

Source: memberlist `config.go`; the presets are its LAN, WAN and local profiles; the paper's names
where they differ are given beside the field.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from typing import Any

from attrs import Attribute, evolve, field, frozen

#: Highest version of memberlist's protocol that is spoken here, and the lowest.
PROTOCOL_VERSION_MAX = 5
PROTOCOL_VERSION_MIN = 1

#: Most metadata that any member may have, in bytes: memberlist's MetaMaxSize.
META_SIZE_MAX = 512

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def _number(low: float, high: float, *, kind: type = float) -> _Check:
    """Return a validator: a finite number (an int where `kind` says so) within [low, high]."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        allowed = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise TypeError(f"{attribute.name} must be a number, not {value!r}")
        assert isinstance(value, (int, float))
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{attribute.name} must be within [{low}, {high}], not {value!r}")

    return check


def _seconds(low: float = 0.001, high: float = 1e6) -> _Check:
    return _number(low, high)


def _period() -> _Check:
    """Return a validator: seconds between two rounds, or 0 for none."""
    number = _seconds()

    def check(instance: object, attribute: Attribute[Any], value: object) -> None:
        if value != 0 or isinstance(value, bool):
            number(instance, attribute, value)

    return check


def _count(low: int, high: int) -> _Check:
    return _number(low, high, kind=int)


@frozen(kw_only=True)
class Config:
    """How one member behaves. Durations are seconds, sizes are bytes.

    Use a preset and change what differs: `Config.lan(probe_interval=2.0, probe_timeout=0.8)`.

    Attributes:
        probe_interval: The protocol period T' of SWIM: one probe each.
        probe_timeout: Wait for a direct ack before helpers are asked. At most half of
            `probe_interval`, so that their answers can arrive within the period, unless
            `slow_helpers`; always less than all of it.
        slow_helpers: Allows a longer `probe_timeout`, as in memberlist's WAN preset (3 of 5):
            what only helpers can reach may then be suspected.
        slow_helpers: Whether a longer `probe_timeout` is accepted, with which only helpers that
            are quick themselves can save a member whose direct ack was lost.
        indirect_checks: Helpers asked when a direct ping fails (k of SWIM).
        stream_pings: Whether a stream ping runs beside the indirect ones.
        awareness_max: Health scores run from 0 to this minus 1 (S of Lifeguard, 8).
        suspicion_mult: Minimum suspicion timeout in probe intervals x log10(n) (alpha).
        suspicion_timeout_max_mult: Maximum over minimum of the suspicion timeout (beta).
        buddy_system: Whether a suspected member is told so with the ping that probes it.
        scale_probe_timeout: Paper-exact Lifeguard: the probe timeout and the period grow with
            the health score too. memberlist scales the deadline of a probe only.
        blame_lateness: Whether a machine that was woken late (a paused process) counts the probe
            against the peer as memberlist does, and lets suspicions run out while it slept.
            False: it takes a late probe for its own bad health, and suspects get the least
            timeout once more.
        gossip_interval: Period of gossip while there is something to tell; 0 turns it off.
        gossip_nodes: Members that each round goes to; 0 turns it off.
        gossip_to_the_dead_time: How long a dead member still gets gossip, and stays in the table.
        retransmit_mult: Each broadcast is sent this x ceil(log10(n + 1)) times (lambda of SWIM).
        push_pull_interval: Period of full state exchanges, before scaling; 0 turns it off.
        dead_reclaim_time: A member dead for this long may come back at another address without
            further ado. Before that, and always with 0, its old address is asked first.
        heal_interval: Period in which one remembered dead member or configured seed is contacted,
            to heal a partition longer than `gossip_to_the_dead_time`; 0 turns it off.
        remembered_max: How many reaped members are remembered for that.
        remembered_time: For how long.
        stream_timeout: Limit of every stream, from its opening to its end; only a stream ping
            ends earlier, with its probe.
        datagram_size: No packet of ours is larger, all headers counted.
        protocol_version: The version spoken, 1 to 5. 1 encrypts with padding (v0).
        app_versions: The application's protocol: minimum, maximum, current; 0 to 255 each.
        label: Cluster label, 0 to 255 bytes; packets and streams with another one are refused.
        label_check_skipped: Something in front of us removed the label already.
        verify_incoming: With a keyring: whether plaintext is refused.
        verify_outgoing: With a keyring: whether what we send is encrypted.
        compression: Whether to compress (LZW): packets where it makes them smaller, streams
            always, as memberlist does.
        compression_size_min: Smaller packets are not even tried; streams are.
        allowed_networks: CIDR networks that members' addresses must lie in; None allows all.
        meta_size_max: Limit of our own metadata; at most memberlist's 512, which is what others
            may have whatever is set here.
        members_max: Members that the table holds, dead ones included.
        user_broadcasts_max: User broadcasts that wait at once.
        user_broadcast_share: Share of the packets, 0 to 1, in which user broadcasts go first while
            membership news compete with them; who goes second gets the room that is left.
        streams_max: Inbound streams at once; memberlist's limit of push/pulls is 128.
        outbound_streams_max: Streams of ours under way at which joins and reliable messages are
            refused.
        pending_pings_max: Pings that wait for an ack at once: those of the application, those
            done for others, and those that ask an old address about a name.
        parts_max: Parts of one received packet, nested ones counted.
        nesting_max: Depth of compounds and compressions in a packet.
        packet_decompressed_max: Size to which one packet may expand; by default that of the
            largest packet, since compressing is what the sender saves by, and not more.
        streams_buffered_max: Bytes that wait in all streams together for the rest of a message.
        frame_size_max: An encrypted or compressed stream frame.
        stream_decompressed_max: Size to which one stream frame may expand.
        push_pull_nodes_max: Entries of one push/pull.
        user_state_size_max: The application's part of one push/pull.
        user_message_size_max: One reliable message.
    """

    probe_interval: float = field(default=1.0, validator=_seconds())
    probe_timeout: float = field(default=0.5, validator=_seconds())
    slow_helpers: bool = False
    indirect_checks: int = field(default=3, validator=_count(0, 64))
    stream_pings: bool = True
    awareness_max: int = field(default=8, validator=_count(1, 1000))
    suspicion_mult: float = field(default=4, validator=_number(1, 1000))
    suspicion_timeout_max_mult: float = field(default=6, validator=_number(1, 1000))
    buddy_system: bool = True
    scale_probe_timeout: bool = False
    blame_lateness: bool = False
    gossip_interval: float = field(default=0.2, validator=_period())
    gossip_nodes: int = field(default=3, validator=_count(0, 1000))
    gossip_to_the_dead_time: float = field(default=30.0, validator=_seconds(0))
    retransmit_mult: int = field(default=4, validator=_count(1, 1000))
    push_pull_interval: float = field(default=30.0, validator=_period())
    dead_reclaim_time: float = field(default=0.0, validator=_seconds(0))
    heal_interval: float = field(default=60.0, validator=_period())
    remembered_max: int = field(default=128, validator=_count(0, 1_000_000))
    remembered_time: float = field(default=86400.0, validator=_seconds(0))
    stream_timeout: float = field(default=10.0, validator=_seconds())
    datagram_size: int = field(default=1400, validator=_count(512, 65507))
    protocol_version: int = field(
        default=2, validator=_count(PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX)
    )
    app_versions: tuple[int, int, int] = (0, 0, 0)
    label: bytes = b""
    label_check_skipped: bool = False
    verify_incoming: bool = True
    verify_outgoing: bool = True
    compression: bool = True
    compression_size_min: int = field(default=512, validator=_count(0, 1 << 20))
    allowed_networks: tuple[str, ...] | None = None
    meta_size_max: int = field(default=META_SIZE_MAX, validator=_count(0, META_SIZE_MAX))
    members_max: int = field(default=100_000, validator=_count(1, 1 << 20))
    user_broadcasts_max: int = field(default=4096, validator=_count(1, 1 << 20))
    user_broadcast_share: float = field(default=0.5, validator=_number(0.0, 1.0))
    streams_max: int = field(default=128, validator=_count(1, 1 << 16))
    outbound_streams_max: int = field(default=1024, validator=_count(1, 1 << 16))
    pending_pings_max: int = field(default=1024, validator=_count(1, 1 << 20))
    parts_max: int = field(default=1024, validator=_count(1, 1 << 16))
    nesting_max: int = field(default=4, validator=_count(1, 16))
    packet_decompressed_max: int = field(default=1 << 16, validator=_count(1 << 10, 1 << 24))
    streams_buffered_max: int = field(default=64 << 20, validator=_count(1 << 10, 1 << 34))
    frame_size_max: int = field(default=20 << 20, validator=_count(1 << 10, 1 << 30))
    stream_decompressed_max: int = field(default=40 << 20, validator=_count(1 << 10, 1 << 30))
    push_pull_nodes_max: int = field(default=1 << 20, validator=_count(1, 1 << 20))
    user_state_size_max: int = field(default=20 << 20, validator=_count(0, 1 << 30))
    user_message_size_max: int = field(default=20 << 20, validator=_count(0, 1 << 30))

    def __attrs_post_init__(self) -> None:
        if 2 * self.probe_timeout > self.probe_interval and not self.slow_helpers:
            raise ValueError(
                f"probe_timeout {self.probe_timeout} is more than half of probe_interval "
                f"{self.probe_interval}: helpers' answers would come after the probe is over, so "
                "members would be suspected that helpers can reach; lower it, or accept that with "
                "slow_helpers=True"
            )
        if self.probe_timeout >= self.probe_interval:
            raise ValueError(
                f"probe_timeout {self.probe_timeout} must be less than probe_interval "
                f"{self.probe_interval}: no time is left for indirect pings"
            )
        if 0 < self.gossip_to_the_dead_time < self.gossip_interval:
            raise ValueError(
                f"gossip_to_the_dead_time {self.gossip_to_the_dead_time} is less than "
                f"gossip_interval {self.gossip_interval}: a dead member would be reaped before it "
                "could hear of it and refute"
            )
        if self.frame_size_max > self.streams_buffered_max:
            raise ValueError(
                f"frame_size_max {self.frame_size_max} exceeds streams_buffered_max "
                f"{self.streams_buffered_max}: a frame of that size could never arrive"
            )
        self._check_encodings()

    def _check_encodings(self) -> None:
        low, high, current = self.app_versions
        if not 0 <= low <= current <= high <= 255:
            raise ValueError(
                f"app_versions {self.app_versions} must be (minimum, maximum, current) with "
                "0 <= minimum <= current <= maximum <= 255"
            )
        if not isinstance(self.label, bytes) or len(self.label) > 255:
            raise ValueError(f"label must be bytes, at most 255 of them, not {self.label!r}")
        if self.label and self.label_check_skipped:
            raise ValueError(
                "a label and label_check_skipped exclude each other here: with the check skipped, "
                "the one in front of us owns the label"
            )
        if isinstance(self.allowed_networks, str):
            raise TypeError("allowed_networks is a tuple of networks, not one text")
        for network in self.allowed_networks or ():
            ipaddress.ip_network(network)
        # Only what can never work. The machine, which knows its name, checks its own message.
        room = self.datagram_size - 64 - len(self.label)
        if room < self.meta_size_max // 2:
            raise ValueError(
                f"datagram_size {self.datagram_size} leaves {room} bytes beside label and "
                "encryption: too few for an alive message with its metadata"
            )

    @property
    def versions(self) -> bytes:
        """The six bytes of an alive message: protocol and application minimum, maximum, current."""
        low, high, current = self.app_versions
        return bytes(
            (PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, self.protocol_version, low, high, current)
        )

    @property
    def encryption_version(self) -> int:
        """0 (padded) for protocol version 1, else 1. Source: memberlist `encryptionVersion`."""
        return 0 if self.protocol_version == 1 else 1

    @classmethod
    def lan(cls, **changes: Any) -> Config:
        """Return memberlist's LAN profile: hosts within a millisecond or so.

        >>> Config.lan().probe_interval, Config.lan(gossip_nodes=5).gossip_nodes
        (1.0, 5)
        """
        return cls(**changes)

    @classmethod
    def wan(cls, **changes: Any) -> Config:
        """Return memberlist's WAN profile: sites far apart, slower and more patient."""
        preset: dict[str, Any] = {
            "probe_interval": 5.0,
            "probe_timeout": 3.0,
            "slow_helpers": True,
            "suspicion_mult": 6,
            "gossip_interval": 0.5,
            "gossip_nodes": 4,
            "gossip_to_the_dead_time": 60.0,
            "push_pull_interval": 60.0,
            "stream_timeout": 30.0,
            "heal_interval": 120.0,
        }
        return cls(**(preset | changes))

    @classmethod
    def local(cls, **changes: Any) -> Config:
        """Return memberlist's local profile: members on one machine, quick to react."""
        preset: dict[str, Any] = {
            "probe_timeout": 0.2,
            "indirect_checks": 1,
            "suspicion_mult": 3,
            "retransmit_mult": 2,
            "gossip_interval": 0.1,
            "gossip_to_the_dead_time": 15.0,
            "push_pull_interval": 15.0,
            "stream_timeout": 1.0,
            "heal_interval": 30.0,
        }
        return cls(**(preset | changes))

    def changed(self, **changes: Any) -> Config:
        """Return a copy with some fields changed, validated anew."""
        return evolve(self, **changes)
