"""Jetstream: the firehose as JSON, for selected collections, without proofs. Its events are hints only.

https://github.com/bluesky-social/jetstream
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from catalog.atproto.datamodel import MAX_RECORD_BYTES
from catalog.errors import InvalidProof, InvalidSyntax
from catalog.syntax import Did
from catalog.syntax.json import most_json_values

PATH: Final = "/subscribe"
REWIND: Final = 5_000_000
"""µs by which a cursor is moved back on reconnecting: simultaneous events may come in another order."""
_MAX_MESSAGE: Final = 5_000_000
_MAX_VALUES: Final = MAX_RECORD_BYTES + 1000
"""Maximum number of values in a message: a record has at most one a byte, whatever ``limits.record_values`` is."""
_MAX_TIME: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """An event of an account. ``time_us`` (µs since 1970) is the cursor.

    ``collection`` is that of the record in a commit event, None if unknown. ``active`` is False for an inactive
    account, with the reason in ``status``; ``identity`` means that its handle, key or PDS may have changed.
    """

    did: Did
    time_us: int
    collection: str | None = None
    identity: bool = False
    active: bool = True
    status: str | None = None


def read_hint(text: str | bytes) -> Hint | None:
    """Return the hint in a message, None for an unknown kind. Raises :class:`InvalidProof` for a malformed one."""
    if len(text) > _MAX_MESSAGE:
        raise InvalidProof(f"a message of {len(text):,} characters")
    if len(text) > _MAX_VALUES and most_json_values(text) > _MAX_VALUES:
        raise InvalidProof(f"a message of more than {_MAX_VALUES:,} values")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidProof("a message is not JSON") from None
    if not isinstance(message, dict):
        raise InvalidProof("a message is not an object")
    kind, moment, named = message.get("kind"), message.get("time_us"), message.get("did")
    if type(moment) is not int or not 0 <= moment < _MAX_TIME:
        raise InvalidProof("a message without a time")
    try:
        did = Did.parse(named if isinstance(named, str) else "")
    except InvalidSyntax:
        raise InvalidProof("a message about no account") from None
    if kind == "account":
        reported = message.get("account")
        active = not isinstance(reported, dict) or reported.get("active") is not False
        status = reported.get("status") if isinstance(reported, dict) else None
        return Hint(
            did=did,
            time_us=moment,
            identity=True,
            active=active,
            status=status[:50] if isinstance(status, str) else None,
        )
    if kind == "identity":
        return Hint(did=did, time_us=moment, identity=True)
    if kind == "commit":
        commit = message.get("commit")
        collection = commit.get("collection") if isinstance(commit, dict) else None
        return Hint(did=did, time_us=moment, collection=collection if isinstance(collection, str) else None)
    return None
