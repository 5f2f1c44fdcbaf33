"""Watches and blocking queries: local, never replicated."""
