"""Watches and blocking queries: local, never replicated.

- watches: the hub of a store;
- values: what is asked for and told;
- index: who watches a key;
- cursor, wait: how far one watch is; one blocking query.
"""
