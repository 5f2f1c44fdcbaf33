"""What replicas hold, and what must be true between its parts.

- state: the whole, and the one way in which keys change;
- tree: records, their order and their past, over history, directories and ordered;
- sessions, deadlines, sequences, quotas: what else depends on keys and time;
- tables: what can be read as it was when a view was opened;
- digest, invariants: whether replicas, and parts, agree.
"""
