"""Encryption keys: answering for our own keyring, and asking all members about theirs.

Owns Serf's key queries on both sides. The keyring itself is the composite's: what is to be done
to it is put out, and the member that asked hears what became of it only after the report.

Source: serf/keymanager.go, serf/internal_query.go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from serfevents.answers import Answers
from serfevents.core import Core
from serfevents.errors import DecodeError
from serfevents.keytext import encode_key
from serfevents.outputs import ChangeKeyring, KeyChange, KeysAnswered, QueryFinished
from serfevents.queries import INTERNAL_PREFIX, Collector, Queries
from serfevents.roster import Roster
from serfevents.stats import count_name
from serfevents.wire.codec import (
    decode_key_request,
    decode_key_response,
    encode_key_request,
    encode_key_response,
)
from serfevents.wire.messages import KeyRequest, KeyResponse, Query

#: The query that asks for all keys; the others are named for the change that they ask for.
LIST_KEYS: Final = "list-keys"

#: Least bytes that a key takes in an answer. Source: serf/internal_query.go minEncodedKeyLength.
ENCODED_KEY_SIZE_MIN: Final = 25

#: Different keys that are counted of all members together: a few are in use, and one member may
#: make up thousands.
KEYS_MAX: Final = 1024

NO_KEYRING: Final = "No keyring to modify (encryption not enabled)"
EMPTY_KEYRING: Final = "Keyring is empty (encryption not enabled)"


class Keys:
    """Answers key queries.

    Args:
        core: The common ground.
        answers: Where the queries come from.
        supply: Returns the keyring, primary key first; None if there is no encryption.
    """

    __slots__ = ("_answers", "_changes", "_core", "_supply")

    def __init__(
        self, core: Core, answers: Answers, supply: Callable[[], Sequence[bytes]] | None
    ) -> None:
        self._core = core
        self._answers = answers
        self._supply = supply
        # Changes that wait for a report: the number of the query that asked for each. In order.
        self._changes: OrderedDict[int, int] = OrderedDict()
        answers.internal[LIST_KEYS] = self._list
        for change in KeyChange:
            answers.internal[change.value] = self._change

    @property
    def is_encrypted(self) -> bool:
        """Whether there is a keyring with a key in it."""
        return bool(self._keyring())

    def _keyring(self) -> Sequence[bytes]:
        return () if self._supply is None else self._supply()

    def _change(self, number: int, query: Query) -> None:
        core = self._core
        try:
            key = decode_key_request(query.payload).key
        except DecodeError as error:
            self._respond(number, KeyResponse(result=False, message=str(error)))
            return
        if not self._keyring():
            self._respond(number, KeyResponse(result=False, message=NO_KEYRING))
            return
        change = KeyChange(query.name.removeprefix(INTERNAL_PREFIX))
        asked = core.next_number()
        self._changes[asked] = number
        if len(self._changes) > core.config.pending_queries_max:
            self._changes.popitem(last=False)
        core.emit(ChangeKeyring(asked, change, key))

    def changed(self, number: int, error: str) -> None:
        """Tell who asked what became of a change of our keyring."""
        query = self._changes.pop(number, None)
        if query is not None:
            self._respond(query, KeyResponse(result=not error, message=error))

    def _list(self, number: int, query: Query) -> None:
        keys = self._keyring()
        if not keys:
            self._respond(number, KeyResponse(result=False, message=EMPTY_KEYRING))
            return
        texts = tuple(encode_key(key) for key in keys)
        self._respond(number, self._trim(query, texts))

    def _trim(self, query: Query, keys: tuple[str, ...]) -> KeyResponse:
        """Return an answer with as many keys as fit, and a remark if some don't."""
        limit = self._core.config.query_response_size_limit
        response = KeyResponse(result=True, keys=keys, primary_key=keys[0])
        count = min(limit // ENCODED_KEY_SIZE_MIN + 1, len(keys))
        while count and self._answers.size_of(query, encode_key_response(response)) > limit:
            count -= 1
            remark = f"truncated key list response, showing first {count} of {len(keys)} keys"
            response = KeyResponse(
                result=True, message=remark, keys=keys[:count], primary_key=keys[0]
            )
        return response

    def _respond(self, number: int, response: KeyResponse) -> None:
        self._answers.respond_if_possible(number, encode_key_response(response))


class KeyManager:
    """Asks all members about their keyrings."""

    __slots__ = ("_core", "_queries", "_roster")

    def __init__(self, core: Core, roster: Roster, queries: Queries) -> None:
        self._core = core
        self._roster = roster
        self._queries = queries

    def ask(
        self,
        name: str,
        key: bytes = b"",
        *,
        relay_factor: int = 0,
        then: Callable[[KeysAnswered], None] | None = None,
    ) -> int:
        """Have all members do something with a key; return the operation's number.

        Raises:
            PayloadTooLarge, QueueFull: As of `Queries.ask`.
        """
        members = self._roster.active_count
        operation = _Operation(name, members, then or self._core.emit)
        payload = encode_key_request(KeyRequest(key))
        return self._queries.ask(
            INTERNAL_PREFIX + name, payload, relay_factor=relay_factor, collector=operation
        )


class _Operation(Collector):
    """Adds up what members say of their keyrings."""

    def __init__(self, name: str, members: int, then: Callable[[KeysAnswered], None]) -> None:
        self._name = name
        self._members = members
        self._then = then
        self._errors = 0
        self._messages: dict[str, str] = {}
        self._keys: dict[str, int] = {}
        self._primary_keys: dict[str, int] = {}

    def answered(self, query: int, source: str, payload: bytes) -> None:  # noqa: ARG002
        try:
            response = decode_key_response(payload)
        except DecodeError as error:
            self._errors += 1
            self._messages[source] = f"Invalid key query response: {error}"
            return
        self._errors += not response.result
        if response.message or not response.result:
            self._messages[source] = response.message
        for key in dict.fromkeys(response.keys):
            count_name(self._keys, key, KEYS_MAX)
        if primary := response.primary_key:
            count_name(self._primary_keys, primary, KEYS_MAX)

    def finished(self, outcome: QueryFinished) -> None:
        self._then(
            KeysAnswered(
                outcome.query,
                self._name,
                self._members,
                outcome.responses,
                self._errors,
                tuple(self._messages.items()),
                tuple(self._keys.items()),
                tuple(self._primary_keys.items()),
            )
        )
