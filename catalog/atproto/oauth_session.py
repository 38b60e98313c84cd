"""A session by OAuth, and its place: the system's keyring, else a file that only its owner can read.

A refresh token is of use once, and its second use ends the whole session. So processes of a machine take turns: under a
lock the stored session is read again, renewed, stored, and only then used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from catalog.atproto import oauth, secret_store
from catalog.atproto.dpop import DpopKey
from catalog.atproto.session import Session
from catalog.config import config_folder
from catalog.errors import RequestFailed, SessionError
from catalog.network.http import origin

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Identity
    from catalog.atproto.oauth import Tokens
    from catalog.network.http import Client, Headers
    from catalog.syntax import Cid, Did

_LOCK_SECONDS: Final = 90.0
_FRESH_NONCE: Final = 60.0
"""Seconds that a nonce is surely accepted; the reference PDS changes it every minute and takes the two before it."""
_LARGE: Final = 1_000_000
"""Bytes from which a file isn't sent with an old nonce: it would be read and refused."""
_NO_RIGHT: Final = ("ScopeMissingError", "insufficient_scope", "InsufficientScope")


class SessionStore:
    """The stored session of an account."""

    def __init__(self, did: Did) -> None:
        self._did = did
        self._name = f"{did} oauth"
        self._file = config_folder() / f"{quote(str(did), safe='')}.session"

    def load(self) -> Tokens | None:
        """Return the session; None without one."""
        text = secret_store.get_long(self._name)
        if text is None:
            try:
                text = self._file.read_text(encoding="ascii")
            except (OSError, ValueError):
                return None
        tokens = oauth.Tokens.of_json(text)
        return tokens if tokens is not None and tokens.did == str(self._did) else None

    def save(self, tokens: Tokens) -> Path | None:
        """Store the session in the keyring; without one in a file, which is returned. Raises :class:`SessionError`."""
        if secret_store.put_long(self._name, tokens.to_json()):
            self._file.unlink(missing_ok=True)
            return None
        try:
            secret_store.write_private(self._file, tokens.to_json())
        except OSError as error:
            message = f"the session can't be stored: {error.strerror or error}"
            raise SessionError(message, where=str(self._file)) from None
        return self._file

    def delete(self) -> bool:
        """Delete the session. Return whether there was one."""
        found = secret_store.delete_long(self._name)
        if self._file.exists():
            self._file.unlink(missing_ok=True)
            found = True
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from renewing the session. Raises :class:`SessionError`."""
        lock = self._file.with_suffix(".lock")
        try:
            lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:  # a home that can't be written: then the keyring is elsewhere, and rarely shared
            yield
            return
        try:
            with FileLock(lock, timeout=_LOCK_SECONDS):
                yield
        except Timeout:
            raise SessionError("another process renews this session, and doesn't end", where=str(lock)) from None


class OAuthSession(Session):
    """A session by OAuth. See :class:`Session`; it has no session string."""

    _expired = ("ExpiredToken", "invalid_token", "InvalidToken")

    def __init__(self, client: Client, identity: Identity, tokens: Tokens, store: SessionStore | None = None) -> None:
        """Without ``store``, renewed tokens are only in this object. Raises :class:`SessionError`."""
        if oauth.moved(tokens, identity.pds):
            message = f"the account has moved to {identity.pds}; the session is of {tokens.pds}"
            raise SessionError(message, where=tokens.did, hint=oauth.AGAIN)
        self._store = store
        self._asked_at = -_FRESH_NONCE
        shown = str(identity.handle or identity.did)
        super().__init__(
            client, did=identity.did, handle=shown, pds=identity.pds, access=tokens.access, refresh=tokens.refresh
        )
        self._use(tokens)

    def _use(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._key = DpopKey.of_pem(tokens.key)
        self._keep(tokens.access, tokens.refresh)
        self._due = time.monotonic() + tokens.expires - time.time()

    @property
    def scope(self) -> str:
        """The rights that the server granted."""
        return self._tokens.scope

    def export(self) -> str:
        """Raise :class:`SessionError`: without its key the session is worth nothing elsewhere."""
        message = "a session by OAuth has no session string"
        raise SessionError(message, where=str(self.did), hint="use an app password for other machines")

    def renew(self) -> None:
        """New tokens for the old ones, or those that another process has stored meanwhile."""
        if self._store is None:
            self._use(oauth.refresh(self._client, self._tokens))
            return
        with self._store.locked():
            stored = self._store.load()
            if stored is None:
                raise SessionError("the account was logged out", where=str(self.did), hint=oauth.AGAIN)
            if stored.refresh == self._tokens.refresh:
                try:
                    stored = oauth.refresh(self._client, stored)
                except SessionError:
                    self._store.delete()
                    raise
                self._store.save(stored)
            self._use(stored)

    def close(self) -> None:
        """End the session at the server, and delete it here."""
        if self._store is not None:
            self._store.delete()
        oauth.revoke(self._client, self._tokens)

    def upload_blob(self, path: Path, *, cid: Cid, size: int, mime_type: str) -> str:
        """Upload a file as a blob; see :meth:`Session.upload_blob`."""
        if size >= _LARGE and time.monotonic() - self._asked_at >= _FRESH_NONCE:
            url = f"{self.pds}/xrpc/com.atproto.server.getSession"
            self._renewing(url, lambda headers: self._client.get_json(url, headers=_mapping(headers)))
        return super().upload_blob(path, cid=cid, size=size, mime_type=mime_type)

    def _sent(self, url: str, ask: Callable[[Headers], Json]) -> Json:
        """Return the answer to a request with token and proof, sent again once if the server wants a newer nonce."""
        method = "GET" if url.endswith("getSession") else "POST"

        def headers() -> dict[str, str]:
            nonce = self._client.nonces.get(origin(url))
            proof = self._key.proof(method, url, nonce=nonce, token=self._access)
            return {"Authorization": f"DPoP {self._access}", "DPoP": proof}

        try:
            try:
                found = ask(headers)
            except RequestFailed as error:
                if error.name != "use_dpop_nonce":
                    raise
                found = ask(headers)
        except RequestFailed as error:
            raise self._explained(error) from None
        self._asked_at = time.monotonic()
        return found

    def _explained(self, error: RequestFailed) -> RequestFailed | SessionError:
        if error.name in _NO_RIGHT:
            message = f"the session lacks a permission ({error.what})"
            return SessionError(message, where=str(self.did), hint=oauth.AGAIN)
        if error.name == "invalid_dpop_proof":
            hint = oauth.clock_hint(self._client, self.pds) or oauth.AGAIN
            return SessionError(f"the server refused the proof of a request ({error.what})", where=self.pds, hint=hint)
        return error


def _mapping(headers: Headers) -> dict[str, str]:
    return dict(headers() if callable(headers) else headers or {})
