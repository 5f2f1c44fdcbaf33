"""Events of a server as lines for people; those of every day have none."""

from __future__ import annotations

from raft import (
    ConfigurationChanged,
    LeaderChanged,
    LogRegression,
    Role,
    RoleChanged,
    SnapshotInstalled,
)


def narrate(event: object) -> str:
    """Return a line about an event, or "" if it needs none.

    >>> narrate(LeaderChanged("n2", 7))
    'knows that n2 leads in term 7'
    """
    line = ""
    match event:
        case RoleChanged(Role.LEADER, _, term, _):
            line = f"LEADS in term {term}"
        case RoleChanged(Role.FOLLOWER, Role.LEADER, term, cause):
            line = f"leads no longer, in term {term}: {cause.value}"
        case RoleChanged(Role.PRE_CANDIDATE, _, _, cause):
            line = f"asks who would vote for it: {cause.value}"
        case LeaderChanged(None, _):
            line = "knows of no leader"
        case LeaderChanged(leader, term):
            line = f"knows that {leader} leads in term {term}"
        case ConfigurationChanged(configuration):
            line = f"is in a cluster of {', '.join(sorted(configuration.voters))}"
        case SnapshotInstalled(snapshot):
            line = f"took over a snapshot of all up to {snapshot.index}"
        case LogRegression(last, expected):
            line = f"LOST ITS MEMORY: has {last} entries, had {expected}; it will not vote"
    return line
