"""The machine: one server of a Raft cluster, without sockets, clock, threads or disk.

Owns the inputs, their checks, the term filter and the wiring of the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from raft.changes import Change, SingleChange
from raft.config import Config
from raft.entries import LogId, LogIds
from raft.membership import Configuration
from raft.messages import Message
from raft.outputs import Output, Role
from raft.stored import NOTHING_STORED, SnapshotData, Stored


class Raft:
    """One server: feed it what arrives, write and send what it puts out, wake it when it asks.

    Every input takes the caller's monotonic time in seconds as its last positional argument and
    queues outputs; `poll` hands them out one by one.

    What a driver does, with each output, in any order that is convenient:
    - `SendMessage`: send it, now or later or never; nothing has to be durable first.
    - `Persist`: write it, in order; then `persisted(seq)`. Several at once are fine (group
      commit), one after another too. Until then the machine withholds what depends on it.
    - events: apply `EntriesCommitted` and `SnapshotInstalled` in order; the rest is news.

    After a crash: construct it anew from what is durable (`Stored`), with any prefix of the
    unanswered `Persist`s included. Ids of reads and forwards don't repeat across lives.

    Args:
        id: Unique in the cluster, never used again by a server that lost its disk.
        config: How it behaves.
        rng: The only source of chance: one draw for each election timer, one at the start.
        now: The present time.
        stored: What is on disk; a new server has nothing and waits until it is bootstrapped,
            added to a cluster, or asked for its vote.

    Raises:
        StoredInvalid: `stored` contradicts itself.
        ValueError, TypeError: An argument is out of its range.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  # the word for it
        config: Config,
        *,
        rng: Random,
        now: float,
        stored: Stored = NOTHING_STORED,
    ) -> None:
        raise NotImplementedError

    # --- queries: pure

    @property
    def id(self) -> str:
        raise NotImplementedError

    @property
    def term(self) -> int:
        raise NotImplementedError

    @property
    def role(self) -> Role:
        raise NotImplementedError

    @property
    def leader(self) -> str | None:
        raise NotImplementedError

    @property
    def voted_for(self) -> str | None:
        raise NotImplementedError

    @property
    def commit_index(self) -> int:
        raise NotImplementedError

    @property
    def applied_index(self) -> int:
        """Up to where entries were handed out (or queued to be)."""
        raise NotImplementedError

    @property
    def first_index(self) -> int:
        raise NotImplementedError

    @property
    def last_index(self) -> int:
        raise NotImplementedError

    @property
    def configuration(self) -> Configuration:
        raise NotImplementedError

    @property
    def configuration_index(self) -> int:
        raise NotImplementedError

    def term_at(self, index: int) -> int | None:
        """Return the term of an entry in memory or of the snapshot, else None."""
        raise NotImplementedError

    def next_timeout(self) -> float | None:
        raise NotImplementedError

    def check_invariants(self) -> None:
        raise NotImplementedError

    # --- outputs

    def poll(self) -> Output | None:
        raise NotImplementedError

    # --- inputs: network, disk, time

    def receive(self, message: Message, now: float) -> None:
        raise NotImplementedError

    def persisted(self, seq: int, now: float) -> None:
        raise NotImplementedError

    def handle_timeout(self, now: float) -> None:
        raise NotImplementedError

    def unreachable(self, peer: str, now: float) -> None:
        raise NotImplementedError

    def snapshot_failed(self, peer: str, now: float) -> None:
        raise NotImplementedError

    # --- inputs: application

    def bootstrap(self, configuration: Configuration, now: float) -> None:
        raise NotImplementedError

    def propose(self, payload: bytes, now: float) -> LogId:
        raise NotImplementedError

    def propose_many(self, payloads: Sequence[bytes], now: float) -> LogIds:
        raise NotImplementedError

    def forward(self, payloads: Sequence[bytes], now: float) -> int:
        raise NotImplementedError

    def read(self, now: float, *, lease: bool = False) -> int:
        raise NotImplementedError

    def change(
        self,
        change: Change | Iterable[SingleChange],
        now: float,
        *,
        expected_index: int | None = None,
    ) -> LogId:
        raise NotImplementedError

    def transfer(self, to: str, now: float) -> None:
        raise NotImplementedError

    def campaign(self, now: float) -> None:
        raise NotImplementedError

    def step_down(self, now: float) -> None:
        raise NotImplementedError

    def forget_leader(self, now: float) -> None:
        raise NotImplementedError

    def compact(self, index: int, data: SnapshotData, now: float) -> None:
        raise NotImplementedError

    def quiesce(self, now: float) -> bool:
        raise NotImplementedError

    def wake(self, now: float) -> None:
        raise NotImplementedError

    def unsafe_force_configuration(self, configuration: Configuration, now: float) -> LogId:
        raise NotImplementedError
