"""Known bugs of Raft servers, planted one by one, and the tests that kill each.

`python -m tests.raft.planted` plants every bug in turn and prints who killed it and how fast;
`--help` tells the rest. A test suite is as good as what it would notice: each bug here was once
in somebody's server, or is one word away from the rule that prevents it.
"""
