"""The store in the words of its peers: Consul, etcd and ZooKeeper.

Each module is a thin façade over `kvstore.Store`: the peer's verbs, fields, error texts and
numbers, no network. They serve who moves from a peer, and stand in for one in tests. What they
do otherwise than the peer stands in the README's table, and in each module's docstring.
"""
