"""Shoal and the Python packages that do the same: one module a side, run in its environment.

`python -m tests.benchmarks.peers.SIDE MEASURE` prints the figures of one measure as JSON. A peer's
environment has neither Shoal nor what it depends on, so only `shoal` imports either.
"""
