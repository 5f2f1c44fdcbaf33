"""What the commands on the store as a whole do: time, history, quotas, rights, configuration."""

from __future__ import annotations

from typing import Final

from kvstore.acl.rules import NAME_SIZE_MAX, Policy, Role, Token
from kvstore.applying.fields import number_fault, optional_fault, text_fault
from kvstore.commands import (
    Compact,
    Configure,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Noop,
    Rebase,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Unknown,
)
from kvstore.config import FEATURE_LEVEL, KEY_SIZE_LIMIT, Config
from kvstore.refusals import Compacted, Future, Malformed, OverAlready, Refusal, Unsupported
from kvstore.results import CompactOk, ConfigureOk, Ok, RebaseOk
from kvstore.state.directories import Directories
from kvstore.state.state import State

_OK: Final = Ok()


def noop(_state: State, _command: Noop) -> Ok:
    """Do nothing."""
    return _OK


def unknown(_state: State, command: Unknown) -> Refusal:
    """Refuse what this build cannot read."""
    for field, text in (("kind", command.kind), ("reason", command.reason)):
        if type(text) is not str:
            return Malformed(field, f"must be text, not {type(text).__name__}")
    return Unsupported(command.kind, command.reason)


def rebase(state: State, _command: Rebase) -> RebaseOk | Refusal:
    """Let logical time go on by the clock of a new proposer."""
    if state.now is None:
        return Malformed("now", "is missing")
    state.offset = state.clock - state.now
    return RebaseOk(state.offset)


def compact(state: State, command: Compact) -> CompactOk | Refusal:
    """Forget the history below a revision."""
    if (refusal := number_fault("revision", command.revision)) is not None:
        return refusal
    if (refusal := state.denied("compact", "")) is not None:
        return refusal
    history = state.tree.history
    if command.revision <= history.floor:
        return Compacted(command.revision, history.floor)
    if command.revision > state.index:
        return Future(command.revision, state.index)
    return CompactOk(command.revision, history.raise_floor(command.revision))


# --- quotas


def set_quota(state: State, command: SetQuota) -> Ok | Refusal:
    """Limit a subtree. Complexity: O(keys below it) the first time."""
    prefix, limits = command.prefix, (command.max_keys, command.max_bytes)
    refusal = (
        text_fault("prefix", prefix, state.config.key_size_max)
        or optional_fault("max_keys", command.max_keys)
        or optional_fault("max_bytes", command.max_bytes)
        or (
            Malformed("max_keys", "is missing, as is max_bytes") if limits == (None, None) else None
        )
        or state.denied("set_quota", "")
    )
    if refusal is not None:
        return refusal
    usage = state.quotas.usage(prefix) or state.tree.weigh(prefix)
    for what, limit, current in zip(("keys", "bytes"), limits, usage, strict=True):
        if limit is not None and current > limit:
            return OverAlready(prefix, what, limit, current)
    state.quotas.set(prefix, limits, usage)
    state.limited = True
    return _OK


def drop_quota(state: State, command: DropQuota) -> Ok | Refusal:
    """Take a quota away."""
    refusal = text_fault("prefix", command.prefix, KEY_SIZE_LIMIT)
    if refusal is not None or (refusal := state.denied("drop_quota", "")) is not None:
        return refusal
    state.quotas.drop(command.prefix)
    state.limited = bool(state.quotas.table)
    return _OK


# --- rights


def set_policy(state: State, command: SetPolicy) -> Ok | Refusal:
    """Write a policy."""
    refusal = _value_fault(state, "set_policy", "policy", command.policy, Policy)
    if refusal is None:
        state.acl.set_policy(command.policy)
    return refusal or _OK


def set_role(state: State, command: SetRole) -> Ok | Refusal:
    """Write a role."""
    refusal = _value_fault(state, "set_role", "role", command.role, Role)
    if refusal is None:
        state.acl.set_role(command.role)
    return refusal or _OK


def set_token(state: State, command: SetToken) -> Ok | Refusal:
    """Write a token."""
    refusal = _value_fault(state, "set_token", "token", command.token, Token)
    if refusal is None:
        state.acl.set_token(command.token)
    return refusal or _OK


def drop_policy(state: State, command: DropPolicy) -> Ok | Refusal:
    """Take a policy away."""
    refusal = _name_fault(state, "drop_policy", "name", command.name)
    if refusal is None:
        state.acl.drop_policy(command.name)
    return refusal or _OK


def drop_role(state: State, command: DropRole) -> Ok | Refusal:
    """Take a role away."""
    refusal = _name_fault(state, "drop_role", "name", command.name)
    if refusal is None:
        state.acl.drop_role(command.name)
    return refusal or _OK


def drop_token(state: State, command: DropToken) -> Ok | Refusal:
    """Take a token away."""
    refusal = _name_fault(state, "drop_token", "accessor", command.accessor)
    if refusal is None:
        state.acl.drop_token(command.accessor)
    return refusal or _OK


def _value_fault(
    state: State, operation: str, field: str, value: Policy | Role | Token, wanted: type
) -> Refusal | None:
    if type(value) is not wanted:
        return Malformed(field, f"must be a {wanted.__name__}")
    if (refusal := state.denied(operation, "")) is not None:
        return refusal
    problem = state.acl.problem(value)
    return None if problem is None else Malformed(field, f"cannot be set: {problem}")


def _name_fault(state: State, operation: str, field: str, name: str) -> Refusal | None:
    return text_fault(field, name, NAME_SIZE_MAX) or state.denied(operation, "")


# --- configuration


def configure(state: State, command: Configure) -> ConfigureOk | Refusal:
    """Replace the configuration."""
    config, old = command.config, state.config
    if type(config) is not Config:
        return Malformed("config", "must be a Config")
    if (refusal := state.denied("configure", "")) is not None:
        return refusal
    if config.feature_level > FEATURE_LEVEL:
        return Unsupported("feature_level", f"this build has {FEATURE_LEVEL}")
    if config.feature_level < old.feature_level:
        return Malformed("feature_level", "cannot be lowered")
    if config.separator != old.separator:
        tree = state.tree
        if tree.records or tree.tombstones or state.sequences.table:
            return Malformed("separator", "cannot be changed while keys are remembered")
        tree.directories = Directories(config.separator)
    state.reconfigure(config)
    return ConfigureOk(old)
