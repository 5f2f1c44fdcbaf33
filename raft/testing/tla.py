"""A run as etcd's TLA+ trace: what the published specification of its Raft can be checked against.

Owns the translation of what a simulated cluster does into the events of etcd-io/raft's
state_trace.go. Lines are handed to a callback; nothing is written here.

    cluster = TlaTrace(lines.append).cluster(seed=1)

TLC checks them by etcd-io/raft's tla/Traceetcdraft.tla and .cfg and tla/etcdraft.tla, a few
hundred lines in seconds; tla/README.md there has the command. That needs CommunityModules. TLC
2.15 without them, with which this was tried, does it too: make a module of the lines that defines
`TraceLog`, define the few operators that are missing, and leave out what asks `TLCGet`. There, a
trace is accepted if TLC takes the step of its last line.

The specification has no pre-votes, no watched quorums, no commit indexes in votes and no joint
configurations: the first three are switched off, and the last must not be used. Reads, transfers
and forwarding leave no trace. As there, a message that is received is shown with the state before
it is handled, all else with the state after; servers are numbered; an own vote and an own
acknowledgement are messages to oneself, which take effect when they are durable here.

A run is refused rightly, and yet no error, where it has what the specification excludes:

- messages that arrive twice, priorities, demoted voters, or outputs that wait (`poll_delay`);
- a vote that is refused only because the term's leader is known;
- a crash while something is being written: whatever is on its way is durable there;
- a restart that knows an earlier commit index than before. etcd writes each one down, the paper
  none. Its `Restart` has to allow every `commitIndex` up to the durable one, and then the
  configuration that was in force there;
- a snapshot, unless it is for a server that knows of nothing committed; even then its answer is
  of subtype "snapshot", for which `LoglineIsAppendEntriesResponse` has no name;
- the last heartbeat, which tells a removed member that it is one.

Source: etcd-io/raft state_trace.go and tla/Traceetcdraft.tla.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve

from raft.config import Config
from raft.membership.configuration import Configuration
from raft.messages import (
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    RequestVote,
    RequestVoteResponse,
)
from raft.outputs import ConfigurationChanged, Persist, Role, RoleChanged, SendMessage
from raft.testing.cluster import Cluster

_ROLES = {
    Role.FOLLOWER: "StateFollower",
    Role.PRE_CANDIDATE: "StatePreCandidate",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
}
#: What the specification takes for a server's beginning, until anything else comes.
_BOOTSTRAP = {"InitState", "BecomeFollower", "ApplyConfChange"}
#: etcd's name of a message, and what its sending and receiving are called.
_MESSAGES: dict[type, tuple[str, str]] = {
    AppendEntries: ("MsgApp", "AppendEntriesRequest"),
    AppendEntriesResponse: ("MsgAppResp", "AppendEntriesResponse"),
    Heartbeat: ("MsgHeartbeat", "AppendEntriesRequest"),
    HeartbeatResponse: ("MsgHeartbeatResp", "AppendEntriesResponse"),
    InstallSnapshot: ("MsgSnap", "AppendEntriesRequest"),
    RequestVote: ("MsgVote", "RequestVoteRequest"),
    RequestVoteResponse: ("MsgVoteResp", "RequestVoteResponse"),
}


class _Shown:
    """What the trace has told of a server so far.

    A machine is past all that it did for an input when its first output is fetched; here it is
    where the trace is.

    Attributes:
        life: Number of the start.
        role: What it does.
        term: The one that it campaigned for last in this life.
        last_index: Of its log, while it campaigns or leads.
        commit: Its commit index, while it leads.
        configuration: The one in force.
        vote: The last term in which it voted for itself, and the number of the `Persist` that
            makes that count; 0 if it did.
        writes: Number of each `Persist` with entries of its own leadership that is not yet
            durable, and up to where they go.
    """

    __slots__ = (
        "commit",
        "configuration",
        "last_index",
        "life",
        "role",
        "term",
        "vote",
        "writes",
    )

    def __init__(self, life: int, configuration: Configuration) -> None:
        self.life = life
        self.role = Role.FOLLOWER
        self.term = self.last_index = self.commit = 0
        self.vote = 0, 0
        self.configuration = configuration
        self.writes: dict[int, int] = {}


class TlaTrace:
    """Writes one line of JSON for each step that the specification knows.

    Args:
        write: Takes a line, without its end.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._cluster: Cluster | None = None
        self._numbers: dict[str, str] = {}
        self._shown: dict[str, _Shown] = {}
        self._begun: set[str] = set()  # Of whom more was shown than how they began.
        self._lines = 0
        # Whose messages have not left yet, for the specification; it may have crashed since.
        self._unready: tuple[str, Any] | None = None

    def cluster(self, *, seed: int, config: Config | None = None, **options: Any) -> Cluster:
        """Return an empty cluster that is traced; the options are those of `Cluster`."""
        plain = evolve(config or Config(), pre_vote=False, check_quorum=False)
        self._cluster = Cluster(
            seed=seed, config=plain, on_input=self._entered, on_output=self._left, **options
        )
        return self._cluster

    # --- the cluster's hooks

    def _entered(self, name: str, method: str, args: tuple[Any, ...]) -> None:
        """Show what a server receives, with the state before it does."""
        self._ready()
        self._born(name)
        self._catch_up(name)
        if method == "receive" and _is_shown(args[0]):
            self._show(f"Receive{_MESSAGES[type(args[0])][1]}", name, args[0])
        elif method == "persisted":
            self._persisted(name, args[0])

    def _left(self, name: str, output: Any) -> None:
        """Show what a server puts out, with the state after it."""
        if self._unready is not None and self._unready[0] != name:
            self._ready()
        self._born(name)
        self._unready = name, self._machine(name)
        self._catch_up(name)
        match output:
            case RoleChanged(role=role, term=term):
                self._role_changed(name, role, term)
            case Persist():
                self._written(name, output)
            case ConfigurationChanged(configuration=configuration):
                prop = {"cc": {"newconf": self._members(configuration.voters)}}
                self._show("ApplyConfChange", name, prop=prop)
                self._shown[name].configuration = configuration
            case SendMessage(message=message) if _is_shown(message):
                if isinstance(message, RequestVote | RequestVoteResponse):
                    # It is sent so, too: who learned of a commit by a vote would take a step that
                    # the specification does not have.
                    message.commit = message.commit_term = 0
                self._show(f"Send{_MESSAGES[type(message)][1]}", name, message)
            case _:
                pass

    # --- events

    def _ready(self) -> None:
        """Show that all that a server wrote and sent since its last input is on its way.

        What was shown of its beginning is the specification's initial state, and as it is there.
        """
        unready, self._unready = self._unready, None
        if unready is not None and unready[0] in self._begun:
            self._show("Ready", unready[0], machine=unready[1])

    def _born(self, name: str) -> None:
        """Show the beginning of a life."""
        assert self._cluster is not None, "the cluster is not ours"
        life = self._cluster.machines[name].life
        if name not in self._shown or self._shown[name].life != life:
            if name in self._shown:
                self._ready()  # What the life before sent is on its way.
            self._shown[name] = _Shown(life, self._machine(name).configuration)
            self._show("InitState", name)
            if name not in self._begun:
                self._show("BecomeFollower", name)

    def _joined(self, name: str) -> None:
        """Show a new member's beginning, even if it hears of nothing: it needs an initial state."""
        assert self._cluster is not None, "the cluster is not ours"
        if name not in self._shown and name in self._cluster.machines:
            self._born(name)

    def _role_changed(self, name: str, role: Role, term: int) -> None:
        """Show a new role."""
        shown = self._shown[name]
        shown.role = role
        if role is Role.CANDIDATE:
            self._campaigned(name, term)
        elif role is Role.LEADER:
            shown.commit = self._machine(name).commit_index
            self._show("BecomeLeader", name)
            self._catch_up(name)
        else:
            self._show("BecomeFollower", name)

    def _campaigned(self, name: str, term: int) -> None:
        """Show a candidacy, and the vote for oneself."""
        shown, machine = self._shown[name], self._machine(name)
        shown.term, shown.last_index = term, machine.last_index
        shown.writes.clear()
        self._show("BecomeCandidate", name)
        self._show("SendRequestVoteResponse", name, _own_vote(machine))

    def _catch_up(self, name: str) -> None:
        """Show what no output tells, or a later one: a candidate's next term, a leader's entries.

        What a leader did in its term it did before it heard of a later one.
        """
        shown, machine = self._shown[name], self._machine(name)
        if shown.role is Role.CANDIDATE and machine.role is Role.CANDIDATE:
            if machine.term > shown.term:
                self._campaigned(name, machine.term)
        elif shown.role is Role.LEADER and machine.term == shown.term:
            if machine.commit_index > shown.commit:
                shown.commit = machine.commit_index
                self._show("Commit", name)
            if machine.last_index > shown.last_index:
                self._appended(name)

    def _appended(self, name: str) -> None:
        """Show a leader's new entries."""
        shown, machine = self._shown[name], self._machine(name)
        for entry in machine.entries(shown.last_index + 1, machine.last_index):
            if entry.configuration is None:
                self._show("Replicate", name)
            else:
                for each in entry.configuration.members:
                    self._joined(each)
                changes = self._changes(shown.configuration, entry.configuration)
                self._show("ChangeConf", name, prop={"cc": {"changes": changes}})
            shown.last_index = entry.index
        self._show("SendAppendEntriesResponse", name, _own_acknowledgement(machine, entry.index))

    def _written(self, name: str, persist: Persist) -> None:
        """Note a write that makes an own vote or own entries count."""
        shown, machine, state = self._shown[name], self._machine(name), persist.hard_state
        if machine.role is Role.CANDIDATE and state.term > shown.vote[0]:
            shown.vote = state.term, persist.seq
        elif machine.role is Role.LEADER and persist.entries.payloads:
            shown.writes[persist.seq] = persist.entries.last_index

    def _persisted(self, name: str, seq: int) -> None:
        """Show that a candidate's own vote, or a leader's own entries, are about to count."""
        shown, machine = self._shown[name], self._machine(name)
        durable = [shown.writes.pop(each) for each in list(shown.writes) if each <= seq]
        if shown.role is Role.LEADER and durable:
            message = _own_acknowledgement(machine, durable[-1])
            self._show("ReceiveAppendEntriesResponse", name, message)
        term, vote = shown.vote
        if 0 < vote <= seq and term == machine.term and shown.role is Role.CANDIDATE:
            shown.vote = term, 0
            self._show("ReceiveRequestVoteResponse", name, _own_vote(machine))

    # --- lines

    def _machine(self, name: str) -> Any:
        assert self._cluster is not None, "the cluster is not ours"
        return self._cluster.machine(name)

    def _number(self, name: str | None) -> str:
        """Return a server's number in the trace; 0 is nobody."""
        if name is None:
            return "0"
        return self._numbers.setdefault(name, str(len(self._numbers) + 1))

    def _members(self, names: Iterable[str]) -> list[str]:
        return [self._number(name) for name in names]

    def _changes(self, old: Configuration, new: Configuration) -> list[dict[str, str]]:
        """Return what makes one configuration of another, in etcd's words."""
        actions = {
            "AddNewServer": set(new.voters) - set(old.voters),
            "AddLearner": set(new.learners) - set(old.learners),
            "RemoveServer": set(old.members) - set(new.members),
        }
        return [
            {"nid": self._number(name), "action": action}
            for action, names in actions.items()
            for name in sorted(names)
        ]

    def _show(
        self,
        event: str,
        name: str,
        message: Any = None,
        *,
        prop: dict[str, Any] | None = None,
        machine: Any = None,
    ) -> None:
        known, machine = self._shown[name], machine or self._machine(name)
        conf = known.configuration
        leads = known.role is Role.LEADER and machine.term == known.term
        shown: dict[str, Any] = {
            "name": event,
            "nid": self._number(name),
            "state": {
                "term": machine.term,
                "vote": self._number(machine.voted_for),
                "commit": machine.commit_index,
            },
            "role": _ROLES[known.role],
            "log": known.last_index if leads else machine.last_index,
            "conf": [self._members(conf.voters), self._members(conf.voters_outgoing)],
        }
        if message is not None:
            shown["msg"] = self._message(message)
        if prop is not None:
            shown["prop"] = prop
        if event not in _BOOTSTRAP:
            self._begun.add(name)
        self._lines += 1
        # etcd's validate.sh sorts lines by what is behind their second colon.
        line = {"tag": "trace", "line": f"{self._lines:09}", "event": shown}
        self._write(json.dumps(line, separators=(",", ":")))

    def _message(self, message: Any) -> dict[str, Any]:
        """Return a message in etcd's words."""
        index = log_term = entries = commit = hint = 0
        reject = False
        match message:
            case AppendEntries():
                index, log_term = message.prev_index, message.prev_term
                entries, commit = len(message.entries), message.commit
            case AppendEntriesResponse():
                index, reject, hint = message.index, message.rejected, message.hint_index
                log_term = message.hint_term
            case Heartbeat():
                commit = message.commit
            case InstallSnapshot():
                entries = message.index
            case RequestVote():
                index, log_term = message.last_index, message.last_term
            case RequestVoteResponse():
                reject = not message.granted
            case _:
                pass
        return {
            "type": _MESSAGES[type(message)][0],
            "term": message.term,
            "from": self._number(message.source),
            "to": self._number(message.to),
            "entries": entries,
            "logTerm": log_term,
            "index": index,
            "commit": commit,
            "vote": "0",
            "reject": reject,
            "rejectHint": hint,
        }


def _is_shown(message: Any) -> bool:
    """Return whether the specification knows a message; of a snapshot, the last chunk counts."""
    if isinstance(message, InstallSnapshot):
        return message.offset + len(message.chunk) >= message.size
    return type(message) in _MESSAGES


def _own_vote(machine: Any) -> RequestVoteResponse:
    return RequestVoteResponse(machine.id, machine.id, machine.term, True)


def _own_acknowledgement(machine: Any, index: int) -> AppendEntriesResponse:
    return AppendEntriesResponse(machine.id, machine.id, machine.term, False, index)
