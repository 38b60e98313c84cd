"""A login at an account's own PDS, and writing to its repository.

The password is sent once and not kept. Tokens live in this object only: they are in no error, no ``repr``, no file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from catalog.errors import RequestFailed, SessionError
from catalog.network import repo
from catalog.syntax import Cid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.datamodel import Json
    from catalog.network.http import Client
    from catalog.network.identity import Resolver
    from catalog.syntax import Did

__all__ = ["MAX_BATCH_BYTES", "MAX_BATCH_WRITES", "Session", "Write", "batches"]

MAX_BATCH_WRITES: Final = 200
MAX_BATCH_BYTES: Final = 150_000
"""What a PDS takes in one applyWrites; each is one commit, all of it or nothing.

The reference PDS reads 150 KiB of JSON in one request (its ``jsonLimit``) and answers 413 to more.
"""
_ENVELOPE: Final = 4_000
"""Bytes for the DID, the commit and the braces around the writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One change of a repository; ``value`` is None for a deletion."""

    action: Literal["create", "update", "delete"]
    collection: str
    rkey: str
    value: Json = None

    def as_json(self) -> dict[str, Json]:
        """As applyWrites takes it."""
        written: dict[str, Json] = {
            "$type": f"com.atproto.repo.applyWrites#{self.action}",
            "collection": str(self.collection),
            "rkey": str(self.rkey),
        }
        return written if self.action == "delete" else {**written, "value": self.value}


class Session:
    """A logged-in account. Every method may raise a :class:`~catalog.errors.NetworkError`."""

    def __init__(self, client: Client, *, did: Did, handle: str, pds: str, access: str, refresh: str) -> None:
        self.did = did
        self.handle = handle
        self.pds = pds
        self._client = client
        self._access = access
        self._refresh = refresh

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Session(did={str(self.did)!r}, pds={self.pds!r})"

    @classmethod
    def login(cls, client: Client, resolver: Resolver, account: str, password: str) -> Session:
        """Log in to a handle's or DID's own PDS. Raises :class:`UnknownIdentity`, :class:`SessionError`."""
        identity = resolver.resolve(account)
        url = f"{identity.pds}/xrpc/com.atproto.server.createSession"
        try:
            answer = client.post_json(url, {"identifier": str(identity.did), "password": password})
        except RequestFailed as error:
            if error.status in (400, 401, 403):
                hint = "is it an app password of this account?"
                reason = error.name or error.status
                raise SessionError(f"the login was refused ({reason})", where=account, hint=hint) from None
            raise
        access, refresh = _tokens(answer, identity.did, identity.pds)
        shown = identity.handle or identity.did
        return cls(client, did=identity.did, handle=str(shown), pds=identity.pds, access=access, refresh=refresh)

    def list_records(self, collection: str) -> Iterator[repo.ListedRecord]:
        """The records of one of the account's collections."""
        return repo.list_records(self._client, self.pds, self.did, collection)

    def latest_commit(self) -> repo.Commit:
        """The newest commit of the account's repository."""
        return repo.latest_commit(self._client, self.pds, self.did)

    def apply(self, writes: Sequence[Write], *, swap_commit: Cid) -> Cid:
        """Write one batch (:func:`batches` cuts them) as one commit, all of it or nothing; the commit it made.

        The repository must still stand at ``swap_commit``. Raises :class:`RequestFailed`, with the name
        ``InvalidSwap`` when it doesn't; then nothing was written.
        """
        body: dict[str, Json] = {
            "repo": str(self.did),
            "writes": [write.as_json() for write in writes],
            "swapCommit": str(swap_commit),
        }
        answer = self._authorised("com.atproto.repo.applyWrites", body)
        commit = answer.get("commit") if isinstance(answer, dict) else None
        cid = commit.get("cid") if isinstance(commit, dict) else None
        if isinstance(cid, str):
            return Cid.parse(cid)
        return self.latest_commit().cid  # servers older than 2024 don't tell

    def _authorised(self, method: str, body: Json) -> Json:
        url = f"{self.pds}/xrpc/{method}"
        try:
            return self._client.post_json(url, body, headers={"Authorization": f"Bearer {self._access}"})
        except RequestFailed as error:
            if error.name != "ExpiredToken":
                raise
        self._renew()
        return self._client.post_json(url, body, headers={"Authorization": f"Bearer {self._access}"})

    def _renew(self) -> None:
        url = f"{self.pds}/xrpc/com.atproto.server.refreshSession"
        try:
            answer = self._client.post_json(url, None, headers={"Authorization": f"Bearer {self._refresh}"})
        except RequestFailed as error:
            if error.status in (400, 401, 403):
                raise SessionError("the session has ended", where=str(self.did), hint="log in again") from None
            raise
        self._access, self._refresh = _tokens(answer, self.did, self.pds)


def batches(writes: Sequence[Write]) -> Iterator[tuple[Write, ...]]:
    """Writes in their order, cut where a batch would pass a limit of applyWrites."""
    batch: list[Write] = []
    size = _ENVELOPE
    for write in writes:
        more = len(json.dumps(write.as_json(), ensure_ascii=False, separators=(",", ":")).encode()) + 1
        if batch and (len(batch) == MAX_BATCH_WRITES or size + more > MAX_BATCH_BYTES):
            yield tuple(batch)
            batch, size = [], _ENVELOPE
        batch.append(write)
        size += more
    if batch:
        yield tuple(batch)


def _tokens(answer: Json, did: Did, pds: str) -> tuple[str, str]:
    found = answer if isinstance(answer, dict) else {}
    access, refresh = found.get("accessJwt"), found.get("refreshJwt")
    if not isinstance(access, str) or not isinstance(refresh, str) or not _sendable(access + refresh):
        raise SessionError("the PDS answered a login without tokens", where=pds)
    if found.get("did") != str(did):
        raise SessionError("the PDS logged somebody else in", where=pds)
    return access, refresh


def _sendable(text: str) -> bool:
    """Whether a text may stand in a header."""
    return text.isascii() and all("!" <= char <= "~" for char in text)
