"""Serf's user events, queries, membership intents, tags and keys, as a pure state machine."""

from __future__ import annotations

from serfevents.errors import SerfEventsError

__all__ = ["SerfEventsError"]
