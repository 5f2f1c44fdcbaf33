"""What the options mean for the machines.

Source: serf's cmd/serf/command/agent/command.go setupAgent.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import memberlist
import serfevents
from examples.serf.options import Options
from memberlist import Address

#: Serf's local profile sends each piece of news so few times that one member in a handful misses
#: it until the next full exchange (15 s); with the retransmit multiplier of the others none does.
PROFILES: dict[str, Callable[..., memberlist.Config]] = {
    "lan": memberlist.Config.lan,
    "local": partial(memberlist.Config.local, retransmit_mult=4),
    "wan": memberlist.Config.wan,
}


def membership_config(options: Options) -> memberlist.Config:
    """Return how members find and watch each other."""
    wanted = {
        "gossip_interval": options.gossip_interval,
        "gossip_nodes": options.gossip_nodes,
        "push_pull_interval": options.push_pull_interval,
        "retransmit_mult": options.retransmit_mult,
    }
    return PROFILES[options.profile](
        app_versions=(2, 5, options.protocol),
        compression=options.enable_compression,
        **given(wanted),
    )


def events_config(options: Options) -> serfevents.Config:
    """Return how events, queries and intents are dealt with."""
    wanted = {
        "reconnect_interval": options.reconnect_interval,
        "reconnect_timeout": options.reconnect_timeout,
        "tombstone_timeout": options.tombstone_timeout,
    }
    return serfevents.Config.agent(
        protocol_version=options.protocol,
        gossip_interval=membership_config(options).gossip_interval,
        broadcast_timeout=options.broadcast_timeout,
        query_size_limit=options.query_size_limit,
        query_response_size_limit=options.query_response_size_limit,
        user_event_size_limit=options.user_event_size_limit,
        name_conflict_vote=not options.disable_name_resolution,
        snapshot=bool(options.snapshot_path),
        **given(wanted),
    )


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are not left to their defaults."""
    return {name: value for name, value in values.items() if value is not None}


def reachable(bound: Address, advertised: Address | None) -> Address:
    """Return where others reach us: where we were told, or where we are bound.

    Who listens at all addresses of the host tells the one that a packet to the outside would
    come from.
    """
    host, port = advertised or bound
    if not ipaddress.ip_address(host).is_unspecified:
        return host, port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    outside = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((outside, 9))  # sends nothing: the system only looks for a route
            own: str = probe.getsockname()[0]
    except OSError:
        own = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    return own, port
