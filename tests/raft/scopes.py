"""What is searched exhaustively: small clusters, each about one of Raft's arguments.

`python -m tests.raft.scopes` searches all of them, or those named, and prints how much there was
to see; `--bug` plants one of `tests.raft.planted` first.
"""

from __future__ import annotations

import argparse
import sys

from raft import Config
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
)
from raft.stored import Stored
from tests.raft.exhaustive import Found, Scope, Search
from tests.raft.planted.campaign import BUGS, NO_BUG
from tests.raft.test_scenarios_safety import on_disk
from tests.raft.vocabulary import THREE, founded, voters

FOUR = (*THREE, "d")
ONE_AT_A_TIME = Config(pre_vote=False, check_quorum=False, read_timeout=1e6, append_entries_max=1)
#: All that does not elect.
ENTRIES = (AppendEntries, AppendEntriesResponse, Heartbeat, HeartbeatResponse)


def new(*names: str) -> dict[str, Stored]:
    """Return the disks of a cluster that was just founded."""
    return dict.fromkeys(names, founded(voters(*names)))


SCOPES: dict[str, Scope] = {
    # Two campaign in one term, and who votes crashes before and after its vote is durable.
    "voter": Scope(
        disks=new(*THREE), campaigns={"a": 1, "c": 1}, crashes={"b": 1}, slow=("b",), lost=ENTRIES
    ),
    # The same, and one campaigns again: votes of two terms are under way.
    "terms": Scope(
        disks=new(*THREE), campaigns={"a": 2, "c": 1}, crashes={"b": 1}, slow=("b",), lost=ENTRIES
    ),
    # A candidate crashes, and campaigns again.
    "candidate": Scope(
        disks=new(*THREE), campaigns={"a": 2, "c": 1}, crashes={"a": 1}, slow=("a",), lost=ENTRIES
    ),
    # Two candidates and two others, whose answers arrive twice.
    "copies": Scope(disks=new(*FOUR), campaigns={"a": 1, "c": 1}, copies=2, lost=ENTRIES),
    # Two servers, both with slow disks: nothing is left out but a second crash.
    "pair": Scope(
        disks=new("a", "b"),
        campaigns={"a": 1, "b": 1},
        crashes={"b": 1},
        proposals=1,
        slow=("a", "b"),
    ),
    # Figure 8 from its state (b) on: two tails of different terms, one server without.
    "figure8": Scope(
        disks={
            "a": on_disk(THREE, 2, term=3),
            "b": on_disk(THREE, 3, term=3),
            "c": on_disk(THREE, term=3),
        },
        campaigns={"a": 1, "b": 1},
        forgetful=True,
        config=ONE_AT_A_TIME,
    ),
    # A leader with a slow disk crashes, and another is elected.
    "leader": Scope(
        disks=new(*THREE),
        campaigns={"a": 1, "b": 1},
        crashes={"a": 1},
        slow=("a",),
        forgetful=True,
        lost=(Heartbeat,),
    ),
    # A follower with a slow disk crashes: what it acknowledged has to be there.
    "follower": Scope(
        disks=new(*THREE),
        campaigns={"a": 1, "b": 1},
        crashes={"c": 1},
        slow=("c",),
        forgetful=True,
        lost=(Heartbeat,),
    ),
    # Who campaigns with what is in memory only crashes, and old grants are still under way.
    "claims": Scope(
        disks={name: on_disk(THREE, term=2) for name in THREE},
        campaigns={"b": 1, "a": 2},
        crashes={"a": 1},
        slow=("a",),
        forgetful=True,
        lost=(Heartbeat,),
    ),
    # The same between two servers only, the third acknowledging what one of them leads with.
    "boast": Scope(
        disks={name: on_disk(THREE, term=2) for name in THREE},
        campaigns={"b": 1, "a": 2},
        crashes={"a": 1},
        slow=("a",),
        lost=(Heartbeat,),
        cut=(("a", "c"), ("c", "a")),
        forgetful=True,
    ),
    # Logs that conflict over two entries, and heartbeats.
    "tails": Scope(
        disks={
            "a": on_disk(THREE, 2, 2, term=3),
            "b": on_disk(THREE, 3, 3, term=3),
            "c": on_disk(THREE, 2, 2, term=3),
        },
        campaigns={"b": 1, "a": 1},
        heartbeats=1,
        forgetful=True,
        config=ONE_AT_A_TIME,
    ),
    # A read at one of two leaders, one of whom does not know of the other.
    "reads": Scope(
        disks=new(*THREE),
        campaigns={"a": 1, "b": 1},
        proposals=1,
        reads=1,
        forgetful=True,
    ),
    # Messages that come twice, the second time late.
    "late": Scope(
        disks=new(*THREE),
        campaigns={"a": 1, "b": 1},
        copies=1,
        proposals=1,
        forgetful=True,
        lost=(Heartbeat,),
    ),
}


def describe(name: str, found: Found) -> str:
    """Return what a search came to, in a line, and the path to what is broken."""
    extent = "complete" if found.complete else "not complete"
    line = (
        f"{name}: {found.states:,} states of {found.machine_states:,} machine states,"
        f" {found.steps:,} steps in {found.seconds:.1f} s, {extent}"
    )
    return "\n    ".join((f"{line} {found.broken}", *found.path)) if found.broken else line


def main() -> int:
    """Read the command line, search, and return how many scopes are broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.scopes", description=__doc__)
    parser.add_argument("names", nargs="*", help="of scopes; all if none is given")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each scope")
    parser.add_argument("--bug", default="none", choices=["none", *BUGS])
    options = parser.parse_args()
    broken = 0
    with BUGS.get(options.bug, NO_BUG).planted():
        for name in options.names or SCOPES:
            found = Search(SCOPES[name]).run(seconds_max=options.seconds)
            print(describe(name, found), flush=True)
            broken += bool(found.broken)
    return broken


if __name__ == "__main__":
    sys.exit(main())
