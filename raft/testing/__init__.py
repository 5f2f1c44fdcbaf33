"""A Raft cluster in virtual time: every fault, one seed, invariants after every step.

`Cluster` runs servers (`n1`, `n2`, ...) against a simulated network, disks and clocks. The same
seed is the same run. Any machine that obeys the contract can be run, composites too
(`make=`, `view=`).

    start(3) / add("n4")            servers, of a new cluster or of none yet
    elect() / elect("n2")           a leader
    propose(b"x", b"y")             commands at the leader; `read(name)`, `change(...)`
    call(name, "transfer", "n3")    any input of a machine by its name
    crash / crash_after / restart   at any seam between two outputs
    cut / partition / heal / slow / pause / resume / conditions(loss=, duplication=, ...)
    set_clock(name, 1.05) / set_sync(name, (0.1, 0.2)) / compact(name) / checkpoint(name)
    run(seconds) / run_until(condition, within)
    machine(name) / application(name) / leader / committed(log_id) / agreed() / trace / digest()

`Chaos(seed).play()` draws all of this, heals the cluster and looks whether it lives.

For a driver's storage there are `STORAGE_CHECKS`, and with `SimulatedDisk` `check_crashes`;
`WalDriver` is the shortest one that passes them.

>>> cluster = Cluster(seed=1)
>>> names = cluster.start(3)
>>> leader = cluster.elect()
>>> (log_id,) = cluster.propose(b"x")
>>> cluster.crash(leader)
>>> cluster.run_until(lambda: cluster.leader is not None and cluster.committed(log_id), 10.0)
True
"""

from __future__ import annotations

from raft.testing.chaos import Chaos
from raft.testing.cluster import Cluster, make_raft
from raft.testing.describe import describe
from raft.testing.disk import Disk
from raft.testing.host import Application, Birth, Clock, Host, Journal
from raft.testing.invariants import InvariantBroken, Invariants
from raft.testing.mixes import Mix
from raft.testing.network import Network
from raft.testing.simulated_disk import DiskStopped, SimulatedDisk
from raft.testing.storage_checks import STORAGE_CHECKS, Storage, check_crashes
from raft.testing.wal_disk import WalDisk
from raft.testing.wal_driver import WalDriver

__all__ = [
    "STORAGE_CHECKS",
    "Application",
    "Birth",
    "Chaos",
    "Clock",
    "Cluster",
    "Disk",
    "DiskStopped",
    "Host",
    "InvariantBroken",
    "Invariants",
    "Journal",
    "Mix",
    "Network",
    "SimulatedDisk",
    "Storage",
    "WalDisk",
    "WalDriver",
    "check_crashes",
    "describe",
    "make_raft",
]
