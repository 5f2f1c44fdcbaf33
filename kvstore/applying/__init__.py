"""What each command does to the state, or why it is refused.

- fields: what commands may hold at all;
- operations, reading, checks: one key, one selection, one comparison;
- transactions, draft: several at once, of which all are done or none;
- session_commands: sessions, and what time ends;
- administration: the store as a whole.
"""
