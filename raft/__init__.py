"""Raft consensus as a pure state machine."""

from __future__ import annotations

from raft.errors import RaftError

__all__ = ["RaftError"]
