"""From committed to applied: what is handed to the application, and when configurations switch.

Owns the commit index's way forward and the `EntriesCommitted`s. Knows nothing of how commitment
was found out, or of what a new configuration changes for a leader.

Entries are handed out once they are committed and durable here, so that an application whose own
state is durable is never ahead of its log.

A configuration comes into force when its entry is handed out. Quorums of two consecutive ones
share a server, so what could go wrong is an election by one that is two behind. It can't be won:
- a leader appends a configuration only when the one before is in force there, so committed;
- whoever has the later entry therefore was told, by the same message, that the earlier one is
  committed, and wrote both down in the same `Persist`;
- nobody campaigns, or takes office, who knows of a committed configuration that is not in force;
- so a candidate two behind lacks the later entry, and the quorum that committed that shares a
  server with its own, whose log is more up to date.

Source: Raft paper 5.3 (commit and last applied); etcd-io/raft for switching at application.
Deviation: the dissertation (4.1) switches as soon as the entry is in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from raft.membership.configuration import Configuration
from raft.outputs import ConfigurationChanged, EntriesCommitted, SnapshotInstalled
from raft.server.core import Core
from raft.server.durability import Durability
from raft.stored import Snapshot


class Applying:
    """Hands out what is committed, in order, each index once.

    Args:
        core: The machine's common ground.
        durability: What is durable.
        switched: Told of each configuration that came into force, with the one before.
        applied: Told that more was handed out.
    """

    __slots__ = ("_applied", "_busy", "_core", "_durability", "_open", "_render", "_switched")

    def __init__(
        self,
        core: Core,
        durability: Durability,
        switched: Callable[[Configuration], None],
        applied: Callable[[], None],
    ) -> None:
        self._core = core
        self._durability = durability
        self._switched = switched
        self._applied = applied
        self._busy = False
        # First and last index of the batch that is queued and can still grow.
        self._open: list[int] | None = None
        self._render: Callable[[list[int]], EntriesCommitted] = self._render_batch

    def commit(self, index: int) -> None:
        """Note that everything up to `index`, which is news and in the log, is committed."""
        core = self._core
        assert core.commit < index <= core.log.last_index
        core.commit = index
        self.apply()

    def apply(self) -> None:
        """Hand out what is committed and durable."""
        core, durability = self._core, self._durability
        upto, applied = core.commit, core.applied
        if upto > durability.index:  # noqa: PLR1730  # on the hottest path, `min` is a call too many
            upto = durability.index
        if upto <= applied or self._busy or durability.snapshot_due is not None:
            return  # Busy: a configuration that comes into force may commit more.
        if core.log.last_mark > applied:
            self._busy = True
            while (upto := min(core.commit, durability.index)) > core.applied:
                self._apply_up_to_configuration(upto)
            self._busy = False
        else:
            self._hand_out(upto)
        self._applied()

    def _apply_up_to_configuration(self, upto: int) -> None:
        """Hand out entries up to `upto` or the first configuration, which comes into force."""
        core = self._core
        for index, configuration in core.log.marks(core.applied + 1, upto):
            if configuration is not None:
                self._hand_out(index)
                self._switch(configuration, index, core.log.context_at(index))
                return
        self._hand_out(upto)

    def _hand_out(self, upto: int) -> None:
        """Queue the entries up to `upto`, in one batch with those that were not yet fetched."""
        core = self._core
        if self._open is not None:
            self._open[1] = upto
        else:
            self._open = [core.applied + 1, upto]
            core.outputs.append((self._render, self._open))
        core.applied = upto

    def _switch(self, configuration: Configuration, index: int, context: bytes = b"") -> None:
        """Bring a configuration into force."""
        core = self._core
        self._open = None  # Later entries come after the news.
        previous = core.configuration
        core.configuration = configuration
        core.configuration_index = index
        core.emit(ConfigurationChanged(configuration, previous, index, context))
        self._switched(previous)

    def _render_batch(self, batch: list[int]) -> EntriesCommitted:
        """Return the entries of a batch, or the first of them if they are too many for one."""
        core = self._core
        first, last = batch
        if self._open is batch:
            self._open = None
        most = core.config.committed_entries_max
        if last - first >= most:
            core.outputs.appendleft((self._render, [first + most, last]))
            last = first + most - 1
        return EntriesCommitted(core.log.entries(first, last))

    def settle(self, index: int) -> None:
        """Make the queued batches now that reach into what is up to `index`: it will be gone."""
        outputs = self._core.outputs
        for at in range(len(outputs)):
            item: object = outputs[at]
            if type(item) is tuple and item[0] is self._render and item[1][0] <= index:
                first, last = item[1]
                if item[1] is self._open:
                    self._open = None
                outputs[at] = EntriesCommitted(self._core.log.entries(first, last))

    def installed(self, snapshot: Snapshot) -> None:
        """Hand out a leader's snapshot that is durable now."""
        core = self._core
        self._open = None
        core.applied = snapshot.index
        core.stats.snapshots_installed += 1
        core.emit(SnapshotInstalled(snapshot))
        self._switch(snapshot.configuration, snapshot.configuration_index)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        core = self._core
        assert core.applied <= core.commit <= core.log.last_index
        assert core.configuration_index <= core.applied
        assert self._open is None or self._open[1] == core.applied
