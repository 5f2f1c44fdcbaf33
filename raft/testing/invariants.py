"""What may never happen in a cluster of Raft servers.

Owns the invariants that a simulation checks after every step, incrementally: a step costs the
same after a million entries. Part of the simulator; no machine uses it. Knows nothing of links
and faults.

The whole is exact and yet cheap because of one table: which entry stands at (index, term), and
the term of the one before it. If every log that ever grew agrees with the table, then by
induction logs that agree at one place agree in all that is before it (log matching), and other
rules need to look at one place only.

Source: Raft paper figure 3; dissertation 3.6.3 (safety), 4 (membership), 6.4 (reads).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import combinations
from typing import Any, TypeAlias

from raft.entries import CONFIGURATION_SIZE, NO_ENTRIES, Entries, Entry, EntryKind, LogIds
from raft.membership.configuration import Configuration
from raft.messages import (
    AppendEntriesResponse,
    Message,
    RequestVote,
    RequestVoteResponse,
)
from raft.outputs import Persist, Role
from raft.server.progress import PROBE
from raft.stored import Snapshot
from raft.testing.describe import describe
from raft.testing.disk import Disk

#: Outputs that one drain may have, besides one for each entry handed out and each member.
OUTPUTS_MAX = 4096
#: Of so many messages one is watched for changes, and so many are so at a time.
WATCH_EVERY = 16
WATCHED_MAX = 64
#: How often a machine is asked for its own invariants, and a leader for its view of followers.
EVERY = 8


#: Of an entry: the term before it, payload and kind unless only witnesses have it, configuration.
_Known: TypeAlias = tuple[int, bytes | None, EntryKind | None, Configuration | None]


class InvariantBroken(AssertionError):
    """Something happened that never may.

    Attributes:
        rule: A short stable word, listed at `Invariants`.
    """

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule


class _Life:
    """What is known of one server's present life."""

    __slots__ = (
        "applied",
        "commit",
        "configuration",
        "disk",
        "floors",
        "last",
        "log",
        "outputs",
        "role",
        "seq",
        "steps",
        "term",
        "vote",
    )

    def __init__(self, disk: Disk, applied: int) -> None:
        self.disk = disk
        self.term = disk.hard_state.term
        self.vote = (self.term, disk.hard_state.voted_for)
        self.commit = 0
        self.applied = applied
        self.role = Role.FOLLOWER
        self.last = 0
        self.seq = 0
        self.steps = 0
        self.outputs = 0
        # Least index that each read may return.
        self.floors: dict[int, int] = {}
        # In force after the last step.
        self.configuration = Configuration()
        # Terms by index, as handed to the disk: what it will be once all is synced.
        self.log: dict[int, int] = {}


class Invariants:
    """The checks of one run.

    | rule | what it means |
    |---|---|
    | `election-safety` | a term has at most one leader, ever |
    | `one-vote` | a server votes for at most one candidate in a term, crashes or not |
    | `leader-append-only` | a leader's log never shrinks, nor is any of it replaced |
    | `log-matching` | logs with the same term at an index are the same up to there |
    | `leader-completeness` | a new leader has every entry that was ever committed |
    | `state-machine-safety` | every server applies the same entries, each once, without gaps |
    | `monotonic` | term, commit and applied index never fall, nor the term in a crash |
    | `committed-is-durable` | what is committed is on the disks of a quorum, and of this term |
    | `configuration-safety` | one change at a time; old and new quorums always share a server |
    | `outcomes` | what was said to be lost is never committed |
    | `reads` | a read shows all that any client knew of when it began |
    | `progress` | a leader never believes that a follower has more than it has on disk |
    | `outbox` | what a message claims is durable when it leaves |
    | `mutation` | a message does not change once it has left |
    | `busy` | after a timeout the next deadline is later |
    | `bounded` | no step puts out without end |
    """

    def __init__(self, *, every: int = EVERY) -> None:
        """Check nothing yet; `every` so many steps the costly rules are looked at, 0 is never."""
        self.every = every
        #: Leader of each term: name and life.
        self.leaders: dict[int, tuple[str, int]] = {}
        #: Index up to which anything is committed anywhere, and the terms of that.
        self.commit = 0
        self.committed: dict[int, int] = {}
        self._commits: dict[int, int] = {}  # By the term of the leader that committed it.
        self._votes: dict[tuple[str, int], str] = {}
        self._entries: dict[tuple[int, int], _Known] = {}
        self._snapshots: dict[int, bytes] = {}
        self._digests: dict[int, int] = {}
        self._sent = 0
        self._watched: deque[tuple[Message, str]] = deque()
        self._lost: set[tuple[int, int]] = set()
        self._lives: dict[str, _Life] = {}
        self._witnesses: set[str] = set()
        self._intersecting: dict[tuple[Configuration, Configuration], bool] = {}
        # Bytes of the largest entry: one that is larger than a limit is sent nevertheless.
        self._largest = CONFIGURATION_SIZE
        # Largest index that any client knows to be committed.
        self._known = 0

    # --- births

    def founded(self, configuration: Configuration) -> None:
        """A cluster begins: its first entry is committed by decree."""
        self._entries.setdefault((1, 1), (0, b"", EntryKind.CONFIGURATION, configuration))
        self._witnesses.update(configuration.witnesses)
        self.committed.setdefault(1, 1)
        self.commit = max(self.commit, 1)

    def born(self, name: str, machine: Any, disk: Disk, applied: int) -> None:
        """A life begins, from what the disk has.

        Raises:
            InvariantBroken: A term was forgotten.
        """
        life = self._lives[name] = _Life(disk, applied)
        if machine.term < disk.hard_state.term:
            raise InvariantBroken("monotonic", f"{name} forgot term {disk.hard_state.term}")
        for index in range(disk.first_index, disk.last_index + 1):
            term = disk.term_at(index)
            assert term is not None
            life.log[index] = term
        if disk.snapshot is not None:
            life.log.setdefault(disk.snapshot.index, disk.snapshot.term)
        life.commit = machine.commit_index
        life.configuration = machine.configuration

    # --- outputs

    def sent(self, name: str, machine: Any, message: Message) -> None:
        """Check a message when it leaves.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        life.outputs += 1
        self._sent += 1
        if self._sent % WATCH_EVERY == 0:
            self._watch(message)
        kind = type(message)
        if kind is RequestVote:
            self._vote(name, message.term, name)
            if (machine.role, machine.term) == (Role.CANDIDATE, message.term):
                # A request that comes late, of one who campaigns no more, elects nobody.
                self._check_vote_request(name, life.disk, message)
        elif kind is RequestVoteResponse:
            if message.granted:  # type: ignore[union-attr]
                self._vote(name, message.term, message.to)
                state = life.disk.hard_state
                durable = (state.term, state.voted_for) == (message.term, message.to)
                if state.term <= message.term and not durable:
                    raise InvariantBroken("outbox", f"{name}'s vote is not durable: {message}")
        elif kind is AppendEntriesResponse and not message.rejected:  # type: ignore[union-attr]
            self._check_acknowledgement(name, life.disk, machine, message)

    def _watch(self, message: Message) -> None:
        """See to it that a message stays as it is, for as long as it may be under way."""
        self._watched.append((message, describe(message)))
        if len(self._watched) > WATCHED_MAX:
            watched, before = self._watched.popleft()
            if (after := describe(watched)) != before:
                raise InvariantBroken("mutation", f"{before} became {after}")

    def _vote(self, name: str, term: int, to: str) -> None:
        voted = self._votes.setdefault((name, term), to)
        if voted != to:
            raise InvariantBroken("one-vote", f"{name} votes for {voted} and {to} in term {term}")

    def _check_vote_request(self, name: str, disk: Disk, message: Any) -> None:
        state = disk.hard_state
        if (state.term, state.voted_for) != (message.term, message.source):
            raise InvariantBroken("outbox", f"{name}'s own vote is not durable: {message}")
        if not disk.covers(message.last_index, message.last_term):
            raise InvariantBroken("outbox", f"{name} lacks on disk what it claims: {message}")

    def _check_acknowledgement(self, name: str, disk: Disk, machine: Any, message: Any) -> None:
        if disk.last_index < message.index:
            raise InvariantBroken(
                "outbox", f"{name} has entries up to {disk.last_index} on disk only: {message}"
            )
        term = machine.term_at(message.index)
        if machine.term == message.term and term and not disk.covers(message.index, term):
            raise InvariantBroken("outbox", f"{name} has another entry on disk: {message}")

    def wrote(self, name: str, machine: Any, persist: Persist) -> None:
        """Check what is handed to the disk.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        life.outputs += 1
        if persist.seq != life.seq + 1:
            raise InvariantBroken("bounded", f"{name} numbers {persist.seq} after {life.seq}")
        life.seq = persist.seq
        log, entries, state = life.log, persist.entries, persist.hard_state
        vote, life.vote = life.vote, (state.term, state.voted_for)
        if vote[1] is not None and vote[0] == state.term and vote != life.vote:
            raise InvariantBroken("one-vote", f"{name} writes {state} after {vote}")
        if persist.snapshot is not None:
            self._check_snapshot(name, persist.snapshot)
            log.setdefault(persist.snapshot.index, persist.snapshot.term)
            if persist.truncate_from:
                log[persist.snapshot.index] = persist.snapshot.term
                self._cut(life, name, persist.truncate_from)
        if not entries.payloads:
            return
        self._cut(life, name, entries.first_index, entries)
        self._grow(life, name, entries)
        if entries.marks:
            self._check_changes(name, machine, life, entries)

    def _cut(self, life: _Life, name: str, index: int, entries: Entries = NO_ENTRIES) -> None:
        """Forget what is written from `index` on; `entries` take its place."""
        log = life.log
        if index not in log:
            return
        if life.role is Role.LEADER:
            raise InvariantBroken("leader-append-only", f"{name} replaces what is at {index}")
        while index in log:
            kept = index <= entries.last_index and entries.term_at(index) == log[index]
            if not kept and self.committed.get(index) == log[index]:
                raise InvariantBroken("state-machine-safety", f"{name} removes {index}")
            del log[index]
            index += 1

    def _grow(self, life: _Life, name: str, entries: Entries) -> None:
        """Compare new entries with all that ever stood in their places."""
        log, table = life.log, self._entries
        before = log.get(entries.first_index - 1, 0)
        is_witness = name in self._witnesses
        for entry in entries:
            key = (entry.index, entry.term)
            log[entry.index] = entry.term
            hidden = is_witness and entry.configuration is None
            payload, kind = (None, None) if hidden else (entry.payload, entry.kind)
            known = table.get(key)
            if known is None:
                table[key] = (before, payload, kind, entry.configuration)
                self._largest = max(self._largest, CONFIGURATION_SIZE + len(entry.payload))
                if entry.configuration is not None:
                    self._witnesses.update(entry.configuration.witnesses)
            elif known[0] != before or not _same(known, entry, hidden=hidden):
                raise InvariantBroken(
                    "log-matching", f"{name} has {entry} after term {before}, others {known}"
                )
            elif known[1] is None:
                table[key] = (before, payload, kind, entry.configuration)
            before = entry.term

    def _check_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """Compare a snapshot with those of the same index."""
        term = self.committed.get(snapshot.index)
        if term != snapshot.term:
            raise InvariantBroken(
                "state-machine-safety", f"{name} has a snapshot of {snapshot}, not of term {term}"
            )
        if name in self._witnesses:
            return
        data = bytes(snapshot.data)
        if self._snapshots.setdefault(snapshot.index, data) != data:
            raise InvariantBroken("state-machine-safety", f"{name} has another {snapshot}")

    def _check_changes(self, name: str, machine: Any, life: _Life, entries: Entries) -> None:
        """Check that configurations in a log follow each other safely."""
        changes = [(at, each) for at, each in entries.marks if each is not None]
        for index, configuration in changes:
            previous, earlier = machine.configuration, index - 1
            while earlier > machine.applied_index and earlier in life.log:
                if self._is_change(life, earlier):
                    previous = self._entries[earlier, life.log[earlier]][3] or previous
                    if life.role is Role.LEADER:
                        raise InvariantBroken(
                            "configuration-safety", f"{name} adds {index}, {earlier} is pending"
                        )
                    break
                earlier -= 1
            if previous.voters and not self._intersect(previous, configuration):
                raise InvariantBroken(
                    "configuration-safety", f"{name} goes from {previous} to {configuration}"
                )

    def _is_change(self, life: _Life, index: int) -> bool:
        return self._entries[index, life.log[index]][2] is EntryKind.CONFIGURATION

    def _intersect(self, old: Configuration, new: Configuration) -> bool:
        """Return whether no two quorums of the two are disjoint."""
        key = (old, new)
        found = self._intersecting.get(key)
        if found is None:
            everybody = sorted({*old.all_voters, *new.all_voters})
            found = self._intersecting[key] = not any(
                _is_quorum(old, set(chosen)) and _is_quorum(new, {*everybody} - {*chosen})
                for size in range(1, len(everybody))
                for chosen in combinations(everybody, size)
            )
        return found

    def applied(self, name: str, entries: Entries) -> None:
        """Check what is handed to an application.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        if entries.first_index != life.applied + 1:
            raise InvariantBroken(
                "state-machine-safety", f"{name} applies {entries!r} after {life.applied}"
            )
        is_witness = name in self._witnesses
        for entry in entries:
            known = self._entries.get((entry.index, entry.term))
            hidden = is_witness and entry.configuration is None
            if (
                self.committed.get(entry.index) != entry.term
                or known is None
                or not _same(known, entry, hidden=hidden)
            ):
                raise InvariantBroken("state-machine-safety", f"{name} applies {entry}")
        life.applied = entries.last_index
        self._known = max(self._known, entries.last_index)

    def installed(self, name: str, snapshot: Snapshot) -> None:
        """Check a snapshot that replaces an application's state.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        if snapshot.index <= life.applied:
            raise InvariantBroken("state-machine-safety", f"{name} goes back to {snapshot}")
        self._check_snapshot(name, snapshot)
        life.applied = snapshot.index

    def configurations(self) -> list[Configuration]:
        """Return the newest committed configuration, and all that may come behind it yet."""
        changes = {at: known[3] for at, known in self._entries.items() if known[3] is not None}
        committed = [index for index, term in changes if self.committed.get(index) == term]
        newest = max(committed, default=0)
        return [
            each
            for (index, term), each in changes.items()
            if index > newest or (index == newest and self.committed[index] == term)
        ]

    def in_force(self) -> list[Configuration]:
        """Return the configurations that are in force somewhere, or were when a server crashed."""
        return [life.configuration for life in self._lives.values()]

    def digested(self, name: str, index: int, digest: int) -> None:
        """Compare an application's state with others' at the same index.

        Raises:
            InvariantBroken: They differ.
        """
        if self._digests.setdefault(index, digest) != digest:
            raise InvariantBroken("state-machine-safety", f"{name}'s state differs at {index}")

    def lost(self, name: str, ids: LogIds) -> None:
        """Note proposals of which a server said that they never take effect.

        Raises:
            InvariantBroken: They did.
        """
        for index in range(ids.first, ids.last + 1):
            if self.committed.get(index) == ids.term:
                raise InvariantBroken("outcomes", f"{name} gave up {ids.term}/{index}")
            self._lost.add((index, ids.term))

    # --- reads

    def read_floor(self) -> int:
        """Return the least index that a read may return that begins now."""
        return self._known

    def read_began(self, name: str, read: int, floor: int) -> None:
        """Note a read."""
        self._lives[name].floors[read] = floor

    def read_ended(self, name: str, read: int, index: int | None) -> None:
        """Check the answer to a read; None if it failed.

        Raises:
            InvariantBroken: It misses what was known when the read began.
        """
        life = self._lives[name]
        floor = life.floors.pop(read, 0)
        if index is None:
            return
        if index < floor:
            raise InvariantBroken("reads", f"{name} reads at {index}, {floor} was known")
        if life.applied < index:
            raise InvariantBroken("reads", f"{name} has applied {life.applied}, reads at {index}")
        self._known = max(self._known, index)

    def open_reads(self, names: Iterable[str]) -> list[tuple[str, int]]:
        """Return the reads of these servers' present lives that have no answer."""
        return [(name, read) for name in names for read in self._lives[name].floors]

    # --- steps

    def stepped(self, name: str, life_number: int, machine: Any, *, is_late: bool) -> None:
        """Check one machine after one of its inputs.

        Args:
            name: Whose.
            life_number: Of its present life.
            machine: The machine.
            is_late: Whether it did what was due and is still due.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        life = self._lives[name]
        if is_late:
            raise InvariantBroken("busy", f"{name} is still due after its timeout")
        if life.outputs > OUTPUTS_MAX:
            raise InvariantBroken("bounded", f"{life.outputs} outputs of {name} in one step")
        life.outputs = 0
        term, role, commit = machine.term, machine.role, machine.commit_index
        if term < life.term or commit < life.commit:
            raise InvariantBroken("monotonic", f"{name} goes back to {term}, {commit}")
        led = life.role is Role.LEADER and life.term == term
        if role is Role.LEADER:
            self._check_leader(name, life_number, life, machine, led=led)
        life.term, life.role = term, role
        if commit > life.commit:
            self._committed(name, life, machine, led=led)
            life.commit = commit
        life.configuration = machine.configuration
        life.steps += 1
        if self.every and life.steps % self.every == 0:
            machine.check_invariants()
            if role is Role.LEADER:
                self._check_progress(name, machine)

    def _check_leader(
        self, name: str, life_number: int, life: _Life, machine: Any, *, led: bool
    ) -> None:
        """Check a leader, and more closely one that did not lead before."""
        term, last = machine.term, machine.last_index
        if led:
            if last < life.last:
                raise InvariantBroken("leader-append-only", f"{name} falls back to {last}")
        else:
            leader = self.leaders.setdefault(term, (name, life_number))
            if leader != (name, life_number):
                raise InvariantBroken(
                    "election-safety", f"{name} and {leader[0]} both lead term {term}"
                )
            # What was committed by leaders of later terms this one can't have.
            known = max((at for by, at in self._commits.items() if by < term), default=0)
            found = machine.term_at(known)
            if known > last or (found is not None and known and found != self.committed[known]):
                raise InvariantBroken(
                    "leader-completeness",
                    f"{name} leads term {term} with term {found} at {known} of {last}",
                )
        life.last = last

    def _committed(self, name: str, life: _Life, machine: Any, *, led: bool) -> None:
        """Check what a machine takes for committed now."""
        commit = machine.commit_index
        term = machine.term_at(commit)
        if commit > self.commit:
            for index in range(self.commit + 1, commit + 1):
                at = self.committed[index] = machine.term_at(index)
                if (index, at) in self._lost:
                    raise InvariantBroken("outcomes", f"{at}/{index} was said to be lost")
            self.commit = self._commits[machine.term] = commit
            self._check_durable(name, life, machine, led=led)
        elif term is not None and term != self.committed[commit]:
            raise InvariantBroken("state-machine-safety", f"{name} commits term {term} at {commit}")

    def _check_durable(self, name: str, life: _Life, machine: Any, *, led: bool) -> None:
        """Check that a quorum has on disk what is newly committed."""
        commit = self.commit
        term = self.committed[commit]
        if led and machine.role is Role.LEADER and term != machine.term:
            raise InvariantBroken(
                "committed-is-durable", f"{name} counts term {term} at {commit} in {machine.term}"
            )
        having = {each for each, other in self._lives.items() if other.disk.covers(commit, term)}
        in_force = (life.configuration, machine.configuration)
        if not any(_is_quorum(each, having) for each in in_force if each.voters):
            raise InvariantBroken(
                "committed-is-durable", f"{name} commits {commit}, durable at {sorted(having)} only"
            )

    def _check_progress(self, name: str, machine: Any) -> None:
        """Check a leader's view of its followers."""
        config, status = machine.config, machine.status()
        for peer in status.peers:
            if not (peer.match < peer.next and peer.match <= status.last_index):
                raise InvariantBroken("progress", f"{name}: {peer}")
            most = config.inflight_size_max + config.append_size_max + self._largest
            if peer.inflight > config.inflight_messages_max or peer.inflight_size > most:
                raise InvariantBroken("progress", f"{name} has too much under way: {peer}")
            if peer.state is PROBE and peer.inflight:
                raise InvariantBroken("progress", f"{name} probes more than once: {peer}")
            life = self._lives.get(peer.id)
            if life is None or life.term != machine.term or life.disk.is_liar:
                continue  # It follows another by now, or is to be found out by the machines.
            if life.disk.last_index < peer.match:
                raise InvariantBroken(
                    "progress", f"{peer.id} has {life.disk.last_index} on disk: {peer}"
                )


def _same(known: _Known, entry: Entry, *, hidden: bool) -> bool:
    """Return whether an entry is the known one; of a witness it does not tell what it is."""
    if known[3] != entry.configuration:
        return False
    return hidden or known[1] is None or known[1:3] == (entry.payload, entry.kind)


def _is_quorum(configuration: Configuration, servers: set[str]) -> bool:
    """Return whether servers are enough to decide; by counting, not by `raft.membership.quorum`."""
    halves = (configuration.voters, configuration.voters_outgoing)
    return all(2 * len(servers.intersection(half)) > len(half) for half in halves if half)
