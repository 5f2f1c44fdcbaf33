"""One command of the naive model being carried out, whatever it does.

Owns `Run`: rights, limits, and what writing and deleting an entry mean. A refusal is raised as
`Refused` wherever it is met: whoever runs the command drops the copy it worked on.
"""

from __future__ import annotations

from kvstore.acl.access import Acl, Level
from kvstore.acl.rules import ANONYMOUS
from kvstore.change import Cause
from kvstore.entry import Entry
from kvstore.refusals import Denied, QuotaExceeded, Refusal, TooLarge
from kvstore.testing.naive_state import Bounds, Past, State


class Refused(Exception):
    """A refusal on its way to whoever runs the command.

    Attributes:
        refusal: The refusal.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Run:
    """A command being carried out.

    Attributes:
        state: The copy it works on.
        before: The entries before the command.
        index: The index of the command.
        clock: Logical time in milliseconds.
        now: The proposer's time, if it was given.
        past: What was before.
        acl: Policies, roles and tokens. They are changed in place, by what cannot be refused.
    """

    def __init__(
        self,
        state: State,
        past: Past,
        acl: Acl,
        *,
        index: int,
        clock: int,
        now: int | None,
        actor: str | None,
    ) -> None:
        self.state = state
        self.before = dict(state.entries)
        self.index = index
        self.clock = clock
        self.now = now
        self.past = past
        self.acl = acl
        self._actor = actor

    # --- rights and limits

    def may(self, operation: str, label: str) -> bool:
        """Return whether the actor may do something to a key."""
        return self.acl.explain(self._actor, operation, label, now=self.clock).allowed

    def allow(self, operation: str, label: str = "", *, end: str | None = None) -> None:
        """Refuse what the actor may not do."""
        decision = self.acl.explain(self._actor, operation, label, end=end, now=self.clock)
        if not decision.allowed:
            raise Refused(Denied(operation, label, str(decision)))

    def is_known(self) -> bool:
        """Return whether the actor has a token, or needs none."""
        return self.acl.authorizer(self._actor, self.clock) is not None

    def is_anonymous(self) -> bool:
        """Return whether the actor shows no token of its own."""
        return self._actor is None or self._actor == ANONYMOUS

    def allow_range(self, operation: str, bounds: Bounds, level: Level) -> None:
        """Refuse what the actor may not do to every key of a range."""
        authorizer = self.acl.authorizer(self._actor, self.clock)
        if authorizer is None:
            decision = self.acl.explain(self._actor, operation, bounds[0], now=self.clock)
        else:
            decision = authorizer.decide_range(*bounds, level)
        if not decision.allowed:
            raise Refused(Denied(operation, bounds[0], str(decision)))

    def check_text(self, field: str, text: str) -> None:
        """Refuse a text that is longer than a new key may be."""
        limit = self.state.config.key_size_max
        if len(text.encode()) > limit:
            raise Refused(TooLarge(field, len(text.encode()), limit))

    def check_value(self, value: bytes) -> None:
        """Refuse a value that is too long."""
        limit = self.state.config.value_size_max
        if len(value) > limit:
            raise Refused(TooLarge("value", len(value), limit))

    def check_room(self, before: State) -> None:
        """Refuse what makes a session or a subtree larger than it may be."""
        limit = self.state.config.session_keys_max
        for session in sorted(self.state.sessions):
            had, has = len(before.keys_of(session)), len(self.state.keys_of(session))
            if has > had and has > limit:
                raise Refused(TooLarge("session", has, limit))
        for prefix, limits in sorted(self.state.quotas.items()):
            usage = self.state.usage(prefix)
            for what, used, most in zip(("keys", "bytes"), usage, limits, strict=True):
                if most is not None and used > most:
                    raise Refused(QuotaExceeded(prefix, what, most, used))

    # --- changes

    def write(self, old: Entry | None, new: Entry, cause: Cause, *, force: bool = False) -> Entry:
        """Make an entry what it shall be, stamp it if anything changed, and begin its ttl."""
        expires = None if new.ttl is None else self.clock + new.ttl
        new = new._replace(expires=expires)
        if old is None:
            new = new._replace(create_revision=self.index, mod_revision=self.index, version=1)
        elif force or new != old._replace(expires=expires):
            # Within one command a key is changed once, however often it is written.
            base = self.before.get(new.key)
            is_same = base is not None and base.create_revision == old.create_revision
            version = base.version if base is not None and is_same else 0
            new = new._replace(mod_revision=self.index, version=version + 1)
        else:
            self.state.entries[new.key] = new
            return new
        self._note(new.key, cause)
        if force:
            self.state.forced.add(new.key)
        self.state.entries[new.key] = new
        return new

    def remove(self, entry: Entry, cause: Cause) -> None:
        """Delete an entry."""
        self._note(entry.key, cause)
        del self.state.entries[entry.key]

    def _note(self, key: str, cause: Cause) -> None:
        # The last cause counts, in the place of the first.
        self.state.causes[key] = cause
