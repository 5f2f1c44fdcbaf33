"""What the RPC answers with, as the maps that Serf sends: its field names, in its order.

Source: serf's cmd/serf/command/agent/ipc.go; what 0.9.4 sends is what these give.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from examples.serf.happenings import Happening, kind_of
from serfevents import Member, MembersChanged, QueryReceived, UserEventReceived

Body = dict[str, Any]


def members(known: Iterable[Member]) -> Body:
    """Return the answer to `members` and `members-filtered`."""
    return {"Members": [member(each) for each in known]}


def member(known: Member) -> Body:
    """Return one member."""
    host, port = known.address
    lowest, highest, spoken, delegate_lowest, delegate_highest, delegate_spoken = known.versions
    return {
        "Addr": ipaddress.ip_address(host).packed,
        "DelegateCur": delegate_spoken,
        "DelegateMax": delegate_highest,
        "DelegateMin": delegate_lowest,
        "Name": known.name,
        "Port": port,
        "ProtocolCur": spoken,
        "ProtocolMax": highest,
        "ProtocolMin": lowest,
        "Status": known.status.name.lower(),
        "Tags": dict(known.tags),
    }


def happening(happened: Happening, number: int = 0) -> Body:
    """Return the record of a stream about one event.

    Args:
        happened: The event.
        number: By which a query may be responded to.
    """
    match happened:
        case MembersChanged(_, changed):
            return {"Event": kind_of(happened)} | members(changed)
        case UserEventReceived(ltime, name, payload, coalesce):
            return {
                "Coalesce": coalesce,
                "Event": "user",
                "LTime": ltime,
                "Name": name,
                "Payload": payload,
            }
        case QueryReceived(ltime=ltime, name=name, payload=payload):
            return {
                "Event": "query",
                "ID": number,
                "LTime": ltime,
                "Name": name,
                "Payload": payload,
            }


def log(line: str) -> Body:
    """Return the record of a monitor about one line."""
    return {"Log": line}


def joined(contacted: int) -> Body:
    """Return the answer to `join`."""
    return {"Num": contacted}


def query(kind: str, sender: str = "", payload: bytes | None = None) -> Body:
    """Return the record of a query: an `ack`, a `response`, or that it is `done`."""
    return {"From": sender, "Payload": payload, "Type": kind}


def keys(
    messages: Mapping[str, str],
    counts: Mapping[str, int] | None,
    *,
    nodes: int,
    errors: int,
    responses: int,
) -> Body:
    """Return the answer to the key commands; `counts` is None except for a list."""
    return {
        "Keys": None if counts is None else dict(counts),
        "Messages": dict(messages),
        "NumErr": errors,
        "NumNodes": nodes,
        "NumResp": responses,
    }


def coordinate(
    vector: Sequence[float] | None,
    *,
    error: float = 0.0,
    adjustment: float = 0.0,
    height: float = 0.0,
) -> Body:
    """Return the answer to `get-coordinate`; without a vector there is none."""
    coord = {
        "Adjustment": adjustment,
        "Error": error,
        "Height": height,
        "Vec": None if vector is None else list(vector),
    }
    return {"Coord": coord, "Ok": vector is not None}
