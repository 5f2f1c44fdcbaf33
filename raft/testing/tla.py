"""A run as etcd's TLA+ trace: what the published specification of its Raft can be checked against.

Owns the translation of what a simulated cluster does into the events of etcd-io/raft's
state_trace.go. Lines are handed to a callback; nothing is written here. To check them, a trace
needs TLC and etcd's `Traceetcdraft.tla`.

    cluster = TlaTrace(lines.append).cluster(seed=1)

The specification has no pre-votes, no watched quorums and no joint configurations: the first two
are switched off, and the last must not be used. Reads, transfers and forwarding leave no trace.
As there, a message that is received is shown with the state before it is handled, all else with
the state after; servers are numbered; an own vote and an own acknowledgement are messages to
oneself, which take effect when they are durable here.

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
_BECAME = {
    Role.FOLLOWER: "BecomeFollower",
    Role.CANDIDATE: "BecomeCandidate",
    Role.LEADER: "BecomeLeader",
}
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


class TlaTrace:
    """Writes one line of JSON for each step that the specification knows.

    Args:
        write: Takes a line, without its end.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._cluster: Cluster | None = None
        self._numbers: dict[str, str] = {}
        self._lives: dict[str, int] = {}
        # Of each server: the commit index shown last, and up to where it acknowledged to itself.
        self._commits: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._voted: dict[str, int] = {}  # The term of each one's own vote that counted.
        self._unready: str | None = None  # Whose messages have not left, for the specification.

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
        if method == "receive" and type(args[0]) in _MESSAGES:
            if not isinstance(args[0], InstallSnapshot) or _is_last_chunk(args[0]):
                self._show(f"Receive{_MESSAGES[type(args[0])][1]}", name, args[0])
        elif method == "persisted":
            self._vote_for_oneself(name)

    def _left(self, name: str, output: Any) -> None:
        """Show what a server puts out, with the state after it."""
        if self._unready != name:
            self._ready()
        self._born(name)
        self._unready = name
        match output:
            case RoleChanged(role=role) if role in _BECAME:
                self._show(_BECAME[role], name)
                if role is Role.CANDIDATE:
                    self._show("SendRequestVoteResponse", name, self._own_vote(name))
            case Persist():
                self._appended(name, output)
            case ConfigurationChanged(configuration=configuration):
                prop = {"cc": {"newconf": self._members(configuration.voters)}}
                self._show("ApplyConfChange", name, prop=prop, configuration=output.previous)
            case SendMessage(message=message) if type(message) in _MESSAGES:
                if not isinstance(message, InstallSnapshot) or _is_last_chunk(message):
                    self._show(f"Send{_MESSAGES[type(message)][1]}", name, message)
            case _:
                pass
        self._committed(name)

    # --- events

    def _ready(self) -> None:
        """Show that all that a server wrote and sent since its last input is on its way."""
        name, self._unready = self._unready, None
        assert self._cluster is not None
        if name is not None and name in self._cluster.machines:
            self._show("Ready", name)

    def _born(self, name: str) -> None:
        """Show the beginning of a life."""
        assert self._cluster is not None, "the cluster is not ours"
        life = self._cluster.machines[name].life
        if self._lives.get(name) != life:
            self._lives[name] = life
            machine = self._machine(name)
            self._commits[name], self._own[name] = machine.commit_index, 0
            self._show("InitState", name)
            self._show("BecomeFollower", name)

    def _own_vote(self, name: str) -> RequestVoteResponse:
        return RequestVoteResponse(name, name, self._machine(name).term, True)

    def _vote_for_oneself(self, name: str) -> None:
        """Show that a candidate's own vote, or a leader's own entries, are about to count."""
        machine = self._machine(name)
        if machine.role is Role.CANDIDATE and self._voted.get(name) != machine.term:
            self._voted[name] = machine.term
            self._show("ReceiveRequestVoteResponse", name, self._own_vote(name))
        elif machine.role is Role.LEADER and machine.last_index > self._own[name]:
            self._own[name] = machine.last_index
            message = AppendEntriesResponse(name, name, machine.term, False, machine.last_index)
            self._show("ReceiveAppendEntriesResponse", name, message)

    def _appended(self, name: str, persist: Persist) -> None:
        """Show what a leader appended."""
        machine = self._machine(name)
        if machine.role is not Role.LEADER or not persist.entries.payloads:
            return
        for entry in persist.entries:
            if entry.configuration is None:
                self._show("Replicate", name, log=entry.index - 1)
            else:
                prop = {"cc": {"newconf": self._members(entry.configuration.voters)}}
                self._show("ChangeConf", name, log=entry.index - 1, prop=prop)
        last = persist.entries.last_index
        message = AppendEntriesResponse(name, name, machine.term, False, last)
        self._show("SendAppendEntriesResponse", name, message)

    def _committed(self, name: str) -> None:
        """Show that a leader's commit index moved."""
        machine = self._machine(name)
        if machine.commit_index != self._commits[name]:
            self._commits[name] = machine.commit_index
            if machine.role is Role.LEADER:
                self._show("Commit", name)

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

    def _show(
        self,
        event: str,
        name: str,
        message: Any = None,
        *,
        log: int | None = None,
        prop: dict[str, Any] | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        machine = self._machine(name)
        status = machine.status()
        conf = configuration or machine.configuration
        shown: dict[str, Any] = {
            "name": event,
            "nid": self._number(name),
            "state": {
                "term": status.term,
                "vote": self._number(status.voted_for),
                "commit": status.commit_index,
            },
            "role": _ROLES[status.role],
            "log": status.last_index if log is None else log,
            "conf": [self._members(conf.voters), self._members(conf.voters_outgoing)],
        }
        if message is not None:
            shown["msg"] = self._message(message)
        if prop is not None:
            shown["prop"] = prop
        self._write(json.dumps({"tag": "trace", "event": shown}, separators=(",", ":")))

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


def _is_last_chunk(message: InstallSnapshot) -> bool:
    """Return whether a chunk is the one that counts as the snapshot."""
    return message.offset + len(message.chunk) >= message.size
