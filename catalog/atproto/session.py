"""A login at an account's own PDS, and writing to its repository.

The *access token* is sent with each request, for an hour or two. The *refresh token* makes new ones of both, for some
weeks. A *session string* has handle, DID, both tokens and the PDS, joined by ``:::``, as the atproto SDK for Python
exports it.

Tokens are only in this object, and where its owner's ``renewed`` stores them (:mod:`catalog.atproto.credentials`). The
HTTP client knows them and the password, to drop every text of a server that repeats one
(:mod:`catalog.network.redaction`).
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from catalog.atproto import repo
from catalog.atproto.car import Blocks
from catalog.atproto.commit import read_commit
from catalog.atproto.login_errors import WHY, is_wrong_code, no_login, wants_code
from catalog.errors import InvalidProof, InvalidSyntax, NetworkError, RequestFailed, SessionError
from catalog.network.http import message_line
from catalog.syntax import Cid, Did

if TYPE_CHECKING:
    from catalog.atproto.commit import SignedCommit
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Identity, Resolver
    from catalog.network.http import Client, Headers
    from catalog.syntax import Tid

MAX_BATCH_WRITES: Final = 200
MAX_BATCH_BYTES: Final = 150_000
"""The limits of one applyWrites, which is one atomic commit.

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


class Swap(StrEnum):
    """The support of a server for ``swapCommit``, which prevents overwriting concurrent changes."""

    KEPT = "kept"
    REFUSED = "refused"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


_JOINT: Final = ":::"
_REFUSED: Final = (400, 401, 403)
SMALLER_BLOBS: Final = "make smaller shards, or put them at https addresses"
_NO_COMMIT: Final = Cid.of_block(b"no commit of any repository")
_MAX_SINCE: Final = 100_000_000
_SINCE_SECONDS: Final = 300.0
_COMMIT: Final = b"\xa6\x63did"
"""First bytes of a commit's block: a map of six, and its first key."""
_SWAP: Final = re.compile("swap[ _]?commit", re.IGNORECASE)
_MARGIN: Final = 60.0
"""Seconds before its end that an access token is renewed: a file would be on its way for nothing."""
_CODES: Final = 4
"""Maximum number of login attempts while the server requests second-factor codes."""
_STATUSES: Final = ("takendown", "suspended", "deactivated", "deleted", "desynchronized", "throttled")
"""The states of inactive accounts (com.atproto.server.createSession)."""


class Session:
    """A logged-in account. Every method may raise a :class:`~catalog.errors.NetworkError`.

    ``renewed`` is called with the refresh token whenever there is a new one.
    """

    _expired: tuple[str, ...] = ("ExpiredToken",)
    """Errors that mean that the access token has expired."""

    def __init__(self, client: Client, *, did: Did, handle: str, pds: str, access: str, refresh: str) -> None:
        self.did = did
        self.handle = handle
        self.pds = pds
        self.renewed: Callable[[str], object] | None = None
        self._client = client
        self._take(access, refresh)

    def _take(self, access: str, refresh: str) -> None:
        """Use tokens that were made at an unknown time."""
        self._keep(access, refresh)
        self._due = time.monotonic() + _lasts(access, time.time())

    def _keep(self, access: str, refresh: str) -> None:
        self._access, self._refresh = access, refresh
        self._client.secrets.add(access)
        self._client.secrets.add(refresh)

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Session(did={str(self.did)!r}, pds={self.pds!r})"

    def __reduce__(self) -> NoReturn:
        """Tokens are in no pickle."""
        raise TypeError("a session isn't pickled: log in where it is needed")

    @classmethod
    def login(
        cls,
        client: Client,
        resolver: Resolver,
        account: str,
        password: str,
        *,
        code: str | None = None,
        ask_code: Callable[[], str] | None = None,
    ) -> Session:
        """Log in to a handle's or DID's own PDS. Raises :class:`UnknownIdentity`, :class:`SessionError`.

        ``code`` is that of a second factor; ``ask_code`` is called for one when the server asks for it.
        """
        identity = resolver.resolve(account)
        client.secrets.add(password)
        # The reference PDS looks names up in lower case: a did:web with a port (%3A) isn't found by its DID.
        name = identity.did if identity.did.lower() == identity.did or identity.handle is None else identity.handle
        refused = RequestFailed("no login was tried")
        for _ in range(_CODES):
            answer = _create_session(client, identity.pds, str(name), password, code)
            if not isinstance(answer, RequestFailed):
                return cls._of(client, identity, *_tokens(answer, identity.did, identity.pds))
            refused = answer
            if ask_code is None or not (wants_code(answer) or (code and is_wrong_code(answer))):
                break
            code = ask_code().strip()
        # Raised here, outside the except block: the context of an error must not repeat what was sent to the server.
        raise no_login(client, refused, account, identity.pds, code=code)

    @classmethod
    def resume(cls, client: Client, resolver: Resolver, account: str, refresh: str) -> Session:
        """Go on with a refresh token, which is used up. Raises :class:`UnknownIdentity`, :class:`SessionError`."""
        identity = resolver.resolve(account)
        session = cls._of(client, identity, "", refresh)
        session.renew()
        return session

    @classmethod
    def of_string(cls, client: Client, resolver: Resolver, text: str) -> Session:
        """From a session string; its PDS is looked up, not believed. Raises :class:`SessionError`, no part of it."""
        parts = text.strip().split(_JOINT)
        try:
            did = Did.parse(parts[1])
            access, refresh = parts[2:4]
        except (IndexError, ValueError, InvalidSyntax):
            did, access, refresh = None, "", ""
        if did is None or not access or not is_sendable(access + refresh):
            hint = "handle:::did:::access:::refresh:::pds, as export_session_string() of the atproto SDK gives it"
            raise SessionError("that is no session string", hint=hint)
        return cls._of(client, resolver.resolve(did), access, refresh)

    @classmethod
    def _of(cls, client: Client, identity: Identity, access: str, refresh: str) -> Session:
        shown = str(identity.handle or identity.did)
        return cls(client, did=identity.did, handle=shown, pds=identity.pds, access=access, refresh=refresh)

    @property
    def refresh_token(self) -> str:
        """The token that resumes the session: a secret."""
        return self._refresh

    def export(self) -> str:
        """The session string: a secret."""
        return _JOINT.join((self.handle, str(self.did), self._access, self._refresh, self.pds))

    def list_records(self, collection: str) -> Iterator[repo.ListedRecord]:
        """The records of one of the account's collections."""
        with self._client.secrets.guarded():
            yield from repo.list_records(self._client, self.pds, self.did, collection)

    def latest_commit(self) -> repo.Commit:
        """The newest commit of the account's repository."""
        with self._client.secrets.guarded():
            return repo.latest_commit(self._client, self.pds, self.did)

    def apply(self, writes: Sequence[Write], *, swap_commit: Cid | None) -> Cid:
        """Write one batch (see :func:`batches`) as one commit, all or nothing, and return the commit.

        Raises :class:`RequestFailed` with the name ``InvalidSwap`` if the repository isn't at ``swap_commit`` any more,
        and the server compares it (:meth:`swap`).
        """
        body: dict[str, Json] = {"repo": str(self.did), "writes": [write.as_json() for write in writes]}
        if swap_commit is not None:
            body["swapCommit"] = str(swap_commit)
        answer = self._authorised("com.atproto.repo.applyWrites", body)
        commit = answer.get("commit") if isinstance(answer, dict) else None
        cid = commit.get("cid") if isinstance(commit, dict) else None
        try:
            return Cid.parse(cid if isinstance(cid, str) else "")
        except InvalidSyntax:  # servers older than 2024 don't tell
            return self.latest_commit().cid

    def swap(self) -> Swap:
        """Find out whether the server compares ``swapCommit``, by an empty write onto a nonexistent commit."""
        body: dict[str, Json] = {"repo": str(self.did), "writes": [], "swapCommit": str(_NO_COMMIT)}
        try:
            self._authorised("com.atproto.repo.applyWrites", body)
        except RequestFailed as error:
            return _swap_of(error)
        return Swap.IGNORED

    def commits_since(self, rev: Tid) -> tuple[SignedCommit, ...]:
        """The account's commits after a rev, as far as the server still has them; none where it doesn't answer."""
        parameters = {"did": str(self.did), "since": str(rev)}
        url = f"{self.pds}/xrpc/com.atproto.sync.getRepo"
        try:
            raw = self._client.get(url, params=parameters, max_bytes=_MAX_SINCE, seconds=_SINCE_SECONDS).body
            return tuple(found for found in _commits(raw) if found.did == self.did and found.rev > rev)
        except NetworkError:
            return ()

    def has_blobs(self, cids: Collection[Cid]) -> set[Cid]:
        """Return the blobs that a record of the repository already refers to, so that the server keeps them."""
        wanted = {str(cid): cid for cid in cids}
        return {wanted[text] for text in repo.list_blobs(self._client, self.pds, self.did) if text in wanted}

    def blob_limit(self) -> int | None:
        """The most bytes of a blob, where the server's description of itself says so."""
        try:
            answer = repo.query(self._client, self.pds, "com.atproto.server.describeServer", {})
        except NetworkError:
            return None
        limit = answer.get("blobUploadLimit") if isinstance(answer, dict) else None
        return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None

    def upload_blob(self, path: Path, *, cid: Cid, size: int, mime_type: str) -> str:
        """Upload a file as a blob, and return the media type that the server stored, which records must repeat.

        A server deletes the blob unless a record refers to it soon. Raises :class:`SessionError`,
        :class:`RequestFailed`, also if the file isn't the blob of this CID any more.
        """
        url = f"{self.pds}/xrpc/com.atproto.repo.uploadBlob"
        try:
            answer = self._renewing(
                url, lambda headers: self._client.post_file(url, path, size=size, mime_type=mime_type, headers=headers)
            )
        except RequestFailed as error:
            if error.status != 413 and error.name not in ("PayloadTooLarge", "BlobTooLarge"):
                raise
            message = f"{path.name} has {size:,} bytes, more than this server takes as a blob ({error.what})"
            raise RequestFailed(
                message, status=error.status, name=error.name, where=self.pds, hint=SMALLER_BLOBS
            ) from None
        except OSError as error:
            raise RequestFailed(f"{path} can't be read: {error.strerror or error}") from None
        blob = answer.get("blob") if isinstance(answer, dict) else None
        link = blob.get("ref") if isinstance(blob, dict) else None
        if not isinstance(blob, dict) or not isinstance(link, dict):
            message = f"the answer to an upload names no blob: {self._shown(answer)}"
            hint = "this server may not take blobs: put the shards at https addresses"
            raise RequestFailed(message, where=self.pds, hint=hint)
        if link.get("$link") != str(cid):
            message = f"the server has another blob than {cid}; was {path.name} changed meanwhile?"
            raise RequestFailed(message, where=self.pds, hint="run it again")
        stored = blob.get("mimeType")
        return stored if isinstance(stored, str) else mime_type

    def _authorised(self, method: str, body: Json) -> Json:
        url = f"{self.pds}/xrpc/{method}"
        return self._renewing(url, lambda headers: self._client.post_json(url, body, headers=headers))

    def _understood(self, answer: Json) -> Json:
        """The answer, unless it is an error that came with status 200. Raises :class:`RequestFailed`."""
        status, name, message = _hidden_error(answer)
        if not status:
            return answer
        name, message = map(message_line, self._client.secrets.cleaned(name, message))
        what = f"HTTP 200 with an error: {': '.join(part for part in (name, message) if part)}"
        raise RequestFailed(what, status=status, name=name, where=self.pds)

    def _shown(self, answer: Json) -> str:
        return message_line(self._client.secrets.cleaned("", json.dumps(answer))[1])

    def _renewing(self, url: str, ask: Callable[[Headers], Json]) -> Json:
        """Return the answer to a request with the access token, renewed once if it expires soon or has expired."""
        renewals = (True,) if time.monotonic() >= self._due - _MARGIN else (False, True)
        for renewal in renewals:
            if renewal:
                self.renew()
            try:
                return self._understood(self._sent(url, ask))
            except RequestFailed as error:
                if error.name not in self._expired:
                    raise
        message = "the server finds a token expired that it has just given"
        raise SessionError(message, where=self.pds, hint="is its clock right? log in again")

    def _sent(self, url: str, ask: Callable[[Headers], Json]) -> Json:  # noqa: ARG002 — a proof names the URL
        """Return the answer to a request with the headers that authorise it."""
        return ask({"Authorization": f"Bearer {self._access}"})

    def renew(self) -> None:
        """New tokens for the old ones. Raises :class:`SessionError` when the session has ended."""
        url = f"{self.pds}/xrpc/com.atproto.server.refreshSession"
        try:
            answer = self._client.post_json(url, None, headers={"Authorization": f"Bearer {self._refresh}"})
        except RequestFailed as error:
            if error.status in _REFUSED:
                hint = WHY.get(error.name, "log in again")
                raise SessionError(f"the session has ended ({error.what})", where=str(self.did), hint=hint) from None
            raise
        self._keep(*_tokens(answer, self.did, self.pds))
        self._due = time.monotonic() + _lasts(self._access)
        if self.renewed is not None:
            self.renewed(self._refresh)

    def close(self) -> None:
        """End the session at the server: its tokens are worth nothing any more. What fails there is no matter."""
        url = f"{self.pds}/xrpc/com.atproto.server.deleteSession"
        try:
            self._client.post_json(url, None, headers={"Authorization": f"Bearer {self._refresh}"})
        except NetworkError:
            return


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
    if not isinstance(access, str) or not isinstance(refresh, str) or not is_sendable(access + refresh):
        raise SessionError("the PDS answered a login without tokens", where=pds)
    if found.get("did") != str(did):
        raise SessionError("the PDS logged in to another account", where=pds)
    if found.get("active") is False:  # the reference PDS lets deactivated accounts log in, and write nothing
        status = found.get("status")
        hint = WHY["AccountDeactivated"] if status == "deactivated" else "contact the operator of its server"
        state = status if status in _STATUSES else "not active"
        raise SessionError(f"the account is {state}", where=str(did), hint=hint)
    return access, refresh


def _create_session(client: Client, pds: str, name: str, password: str, code: str | None) -> Json | RequestFailed:
    """Return the answer to a login: tokens, or an error, which isn't raised."""
    asked: dict[str, Json] = {"identifier": name, "password": password}
    if code:
        client.secrets.add(code)
        asked["authFactorToken"] = code
    try:
        return client.post_json(f"{pds}/xrpc/com.atproto.server.createSession", asked, patient=False)
    except RequestFailed as error:
        return error


def _swap_of(error: RequestFailed) -> Swap:
    if error.name == "InvalidSwap":
        return Swap.KEPT
    return Swap.REFUSED if _SWAP.search(error.what) and 400 <= error.status < 502 else Swap.UNKNOWN


def _commits(raw: bytes) -> Iterator[SignedCommit]:
    _, blocks = Blocks.of_car(raw)
    for cid in blocks.cids():
        block = blocks.get(cid)
        if block is not None and block.startswith(_COMMIT):
            with suppress(InvalidProof):
                yield read_commit(block)


def _hidden_error(answer: Json) -> tuple[int, str, str]:
    """Status, name and message of an error that came as ``[message, status]`` or ``{error, message}``; else 0."""
    if isinstance(answer, list) and len(answer) == 2:
        message, status = answer
        if isinstance(message, str) and isinstance(status, int) and 400 <= status < 600:
            return status, "", message
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        name, message = answer["error"], answer.get("message")
        return 500, str(name), message if isinstance(message, str) else ""
    return 0, "", ""


def _lasts(access: str, now: float | None = None) -> float:
    """Return the lifetime of an access token in seconds, as it states; infinite if it doesn't."""
    claims = claims_of(access)
    try:
        left = float(claims["exp"]) - (float(claims["iat"]) if now is None else now)
    except (ValueError, TypeError, KeyError, OverflowError):
        return math.inf
    return math.inf if math.isnan(left) else max(0.0, left)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a JSON Web Token, unverified; none if it isn't one."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def is_sendable(text: str) -> bool:
    """Return whether a text may be sent in a header."""
    return text.isascii() and all("!" <= char <= "~" for char in text)
