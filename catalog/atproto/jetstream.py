"""Jetstream: the firehose as JSON, of the collections one asks for, without any proof. A hint where to look.

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

__all__ = ["PATH", "REWIND", "Hint", "read_hint"]

PATH: Final = "/subscribe"
REWIND: Final = 5_000_000
"""µs that a cursor is put back when the stream is opened anew: events of one moment may come in another order."""
_MAX_MESSAGE: Final = 5_000_000
_MAX_VALUES: Final = MAX_RECORD_BYTES + 1000
"""Values of a message: a record has no more of them than bytes, whatever ``limits.record_values`` says."""
_MAX_TIME: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something happened to an account. ``time_us`` (µs since 1970) is the cursor.

    ``collection`` is that of the record that a commit is said to have changed; None where none is told.
    ``active`` is False where the account is said to be gone, and ``status`` why; ``identity`` says that its handle, key
    or PDS may have changed.
    """

    did: Did
    time_us: int
    collection: str | None = None
    identity: bool = False
    active: bool = True
    status: str | None = None


def read_hint(text: str | bytes) -> Hint | None:
    """What a message tells; None for a kind that we don't know. Raises :class:`InvalidProof` for a broken one."""
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
        told = message.get("account")
        active = not isinstance(told, dict) or told.get("active") is not False
        status = told.get("status") if isinstance(told, dict) else None
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
        told = message.get("commit")
        collection = told.get("collection") if isinstance(told, dict) else None
        return Hint(did=did, time_us=moment, collection=collection if isinstance(collection, str) else None)
    return None
