"""Tests: each reads as a specification; helpers are importable from here."""
