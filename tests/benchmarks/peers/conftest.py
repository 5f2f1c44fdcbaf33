"""Modules of peers that are not installed can't be imported, and so not looked at for doctests."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("pysyncobj") else ["raft_pysyncobj.py"]
