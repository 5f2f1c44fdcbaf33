"""Members in virtual time over a lossy medium: every fault, one seed, invariants at every step.

`Cluster` stands in for what lies beneath the events layer: gossip, direct messages, push/pulls, and
a membership that says what a test wants it to say. The same seed is the same run. Whoever wants the
real membership beneath runs a composite of both in `memberlist.testing`.

    start(3) / add("n4") / join("n4", "n1", replay=True)      members, with or without each other
    fire("n1", "deploy", b"v1") / ask("n2", "load", b"")      events and queries, checked to the end
    call(name, "leave") ...                                   any input of a machine by its name
    notify(Report.FAILED, "n3", ["n1", "n2"])                 what membership tells whom
    exchange("n1", "n2")                                      a push/pull by hand
    drop("n3", MessageType.JOIN, MessageType.PUSH_PULL)       messages that somebody never gets
    crash(name, torn=10) / restart(name)                      with what its snapshot recovers
    cut / partition / heal / slow / pause / resume / conditions(loss=, duplication=, ...)
    run(seconds) / run_until(condition, within)
    machine(name) / beliefs(name) / events(kind) / converged() / check_delivery() / digest()

>>> cluster = Cluster(seed=1)
>>> names = cluster.start(5)
>>> cluster.conditions(loss=0.2, duplication=0.1, reordering=0.3)
>>> cluster.fire("n1", "deploy", b"v1.2.3")
1
>>> cluster.run_until(cluster.delivered, within=60.0)
True
"""

from __future__ import annotations

from serfevents.testing.cluster import Cluster, Report
from serfevents.testing.gossip import GossipQueue
from serfevents.testing.host import Birth, Host, make_serfevents
from serfevents.testing.invariants import InvariantBroken, Invariants
from serfevents.testing.network import Network
from serfevents.wire.messages import MessageType

__all__ = [
    "Birth",
    "Cluster",
    "GossipQueue",
    "Host",
    "InvariantBroken",
    "Invariants",
    "MessageType",
    "Network",
    "Report",
    "make_serfevents",
]
