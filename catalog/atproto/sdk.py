"""Clients of the atproto SDK for Python (``pip install atproto``): their session as one of ours.

::

    atproto.Client ── session ──▶ SdkSession ── requests ──▶ the account's PDS     by our guarded HTTP client
                  ◀── tokens that were renewed here, as SessionEvent.REFRESH

An SDK client is recognised by its class; the SDK is never imported before its user has imported it. Its requests are
not used: the PDS is looked up in the account's DID document, and addresses, sizes and time are limited as always.

- Either side may renew the tokens, and servers may accept a refresh token only once. So the SDK client's session is
  read before each request, and a renewal holds the lock that the SDK holds for its own.
- ``_session``, ``_refresh_lock`` and ``_set_session`` are internal to the SDK. The public way to import tokens,
  ``login(session_string=…)``, makes a request. The tests run with the oldest and the newest supported SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from catalog.atproto.session import Session, claims_of, is_sendable
from catalog.errors import InvalidSyntax, SessionError
from catalog.syntax import Did

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client, Headers

_PACKAGE: Final = "atproto_client"
_LOGIN: Final = "call client.login('alice.example.org', password) first"


class SdkClient(Protocol):
    """A client of the atproto SDK: ``atproto.Client``."""

    def export_session_string(self) -> str:
        """Return handle, DID, tokens and PDS."""
        ...


def is_sdk_client(client: object) -> bool:
    """Return whether this is a client of the atproto SDK, also an ``AsyncClient``."""
    return any(cls.__module__.partition(".")[0] == _PACKAGE for cls in type(client).__mro__)


class SdkSession(Session):
    """The session of an SDK client, which both use.

    Raises :class:`SessionError` for a client that is logged out, logged in to another account than before, or not
    ``atproto.Client``.
    """

    def __init__(self, client: Client, resolver: Resolver, sdk: SdkClient) -> None:
        self._sdk: Any = sdk
        names = {cls.__name__ for cls in type(sdk).__mro__ if cls.__module__.partition(".")[0] == _PACKAGE}
        if "Client" not in names:
            name = "AsyncClient" if "AsyncClient" in names else type(sdk).__name__
            hint = "pass an atproto.Client: client.login(session_string=other.export_session_string())"
            raise SessionError(f"an {name} of the atproto SDK can't be used for publishing", hint=hint)
        did, access, refresh = self._tokens()
        identity = resolver.resolve(did)
        shown = str(identity.handle or identity.did)
        super().__init__(client, did=did, handle=shown, pds=identity.pds, access=access, refresh=refresh)

    def renew(self) -> None:
        """Renew the tokens and give them to the SDK client, unless it has just renewed them itself."""
        used = self.refresh_token
        with self._sdk._refresh_lock:  # noqa: SLF001 - see above
            self._take_over()
            if self.refresh_token == used:
                super().renew()
                self._hand_over()

    def _renewing(self, url: str, ask: Callable[[Headers], Json]) -> Json:
        self._take_over()
        return super()._renewing(url, ask)

    def _take_over(self) -> None:
        did, access, refresh = self._tokens()
        if did != self.did:
            hint = "use one client for each account"
            raise SessionError(f"the atproto client is now logged in to {did}", where=str(self.did), hint=hint)
        if (access, refresh) != (self._access, self._refresh):
            self._take(access, refresh)

    def _tokens(self) -> tuple[Did, str, str]:
        found = self._sdk._session  # noqa: SLF001 - see above
        if found is None:
            raise SessionError("the atproto client is not logged in", hint=_LOGIN)
        access, refresh = found.access_jwt, found.refresh_jwt
        try:
            did = Did.parse(found.did)
        except (InvalidSyntax, TypeError, AttributeError):
            raise SessionError("the session of the atproto client names no DID", hint=_LOGIN) from None
        if not all(isinstance(token, str) and token and is_sendable(token) for token in (access, refresh)):
            raise SessionError("the session of the atproto client has no tokens", where=str(did), hint=_LOGIN)
        owner = claims_of(access).get("sub")
        if isinstance(owner, str) and owner.startswith("did:") and owner != did:
            what = f"the tokens of the atproto client belong to {owner[:100]!a}, its session names another account"
            raise SessionError(what, where=str(did), hint=_LOGIN)
        return did, access, refresh

    def _hand_over(self) -> None:
        """Give the tokens to the SDK client, which calls its callbacks for a changed session."""
        from atproto_client.client.session import SessionEvent

        session = self._sdk._session.copy()  # noqa: SLF001 - see above
        session.access_jwt, session.refresh_jwt = self._access, self._refresh
        self._sdk._set_session(SessionEvent.REFRESH, session)  # noqa: SLF001 - see above
