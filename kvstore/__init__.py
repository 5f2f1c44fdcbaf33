"""A replicated, ordered key-value tree with revisions, watches, sessions and transactions."""

from __future__ import annotations

from kvstore.errors import KvstoreError

__all__ = ["KvstoreError"]
