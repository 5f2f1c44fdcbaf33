"""One server, without what applications and drivers see of it: the paper, a section to a module.

In the order in which they are best read:

- `core`: the state of figure 2, which all others share; `log`: its entries.
- `server`: the rules for servers, which messages go where, and how the parts are wired.
- `elections`: who leads (5.2, 5.4.1; dissertation 9.6).
- `leading`, `replication`, `progress`: what a leader does (5.3, 5.4.2), with `transfer` of
  leadership (dissertation 3.10); `following`: what a follower does (5.3).
- `snapshot_sending`, `snapshot_receiving`: for who is behind the log's start (7).
- `durability`: what has to be on disk before what leaves; `applying`: what is handed to the
  application, and when a configuration comes into force; `restoring`: a new life after a crash.
- `reads` (8; dissertation 6.4), which `rounds` of heartbeats confirm, with leases.
- `forwarding`, and `open_proposals`, which tells a former leader what became of what it proposed.
"""
