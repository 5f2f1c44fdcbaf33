"""What can be refused: one small tree of exceptions. One that is raised changed nothing."""

from __future__ import annotations


class SerfEventsError(Exception):
    """Base of every refusal of this package."""
