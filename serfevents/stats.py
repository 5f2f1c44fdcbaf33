"""Plain counters of one machine: what a metrics exporter reads. They only grow.

Source: Serf's metrics (`serf.events`, `serf.member.join`, ...), under readable names.
"""

from __future__ import annotations

from attrs import Factory, define


@define
class Stats:
    """Counters since the machine was made; sizes in bytes.

    Attributes:
        messages_received: Payloads in. `bytes_received` counts their size.
        messages_sent: Payloads out, broadcasts and replies. `bytes_sent` counts their size.
        duplicates: Payloads that said nothing new, as gossip brings them.
        events: User events delivered. `event_names` counts them by name.
        queries: Queries that were new here. `query_names` counts them by name.
        query_acks: Acknowledgements of our queries; `query_duplicate_acks` came again.
        query_responses: Answers to our queries; `query_duplicate_responses` came again.
        query_late: Answers to queries of ours that were over.
        relayed: Answers of others that we passed on.
        member_join: Members that joined. `member_update`, `member_left`, `member_failed` and
            `member_reap` likewise.
        member_flap: Members that were back within `Config.flap_timeout` after failing.
        refutations: Leave intents about ourselves that we answered.
        rejected: What was not taken, by reason.
    """

    messages_received: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    duplicates: int = 0
    events: int = 0
    queries: int = 0
    query_acks: int = 0
    query_duplicate_acks: int = 0
    query_responses: int = 0
    query_duplicate_responses: int = 0
    query_late: int = 0
    relayed: int = 0
    member_join: int = 0
    member_update: int = 0
    member_left: int = 0
    member_failed: int = 0
    member_reap: int = 0
    member_flap: int = 0
    refutations: int = 0
    event_names: dict[str, int] = Factory(dict)
    query_names: dict[str, int] = Factory(dict)
    rejected: dict[str, int] = Factory(dict)

    def reject(self, reason: str) -> None:
        """Count one rejection."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def metrics(self) -> dict[str, int]:
        """Return the counters that Serf has too, under its names."""
        values = {
            "serf.events": self.events,
            "serf.queries": self.queries,
            "serf.member.join": self.member_join,
            "serf.member.update": self.member_update,
            "serf.member.left": self.member_left,
            "serf.member.failed": self.member_failed,
            "serf.member.flap": self.member_flap,
            "serf.msgs.received": self.messages_received,
            "serf.msgs.sent": self.messages_sent,
            "serf.query_acks": self.query_acks,
            "serf.query_responses": self.query_responses,
            "serf.query_duplicate_acks": self.query_duplicate_acks,
            "serf.query_duplicate_responses": self.query_duplicate_responses,
        }
        values |= {f"serf.events.{name}": count for name, count in self.event_names.items()}
        return values | {f"serf.queries.{name}": count for name, count in self.query_names.items()}


def count_name(names: dict[str, int], name: str, limit: int) -> None:
    """Count one more of a name; beyond `limit` names only those that are there already."""
    count = names.get(name)
    if count is not None:
        names[name] = count + 1
    elif len(names) < limit:
        names[name] = 1
