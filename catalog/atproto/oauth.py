"""OAuth of atproto for a public native client: discovery, login, refresh, revocation. https://atproto.com/specs/oauth

::

    account ─▶ PDS ─▶ protected resource ─▶ issuer ─▶ server metadata
    Login.begin ─▶ PAR ─▶ Login.url ─▶ browser ─▶ redirect ─▶ Login.finish ─▶ Tokens ─▶ OAuthSession

Every address of a server's metadata is a stranger's text: it passes the guard of the HTTP client, and metadata are read
without redirects. Tokens of a login whose issuer, account or rights aren't those that were asked for are revoked.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from catalog.atproto.dpop import DpopKey, digest_of
from catalog.atproto.identity import same_server
from catalog.errors import CatalogError, NetworkError, RequestFailed, SessionError
from catalog.network.http import message_line, origin

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client
    from catalog.syntax import Did

AGAIN: Final = "run `catalog login` again"
REDIRECT_PATH: Final = "/callback"
LOGIN_SECONDS: Final = 300.0
"""Seconds from the request to the redirect; servers forget a request after five minutes."""
CLIENT_PORTS: Final = (8917, 28917, 48917)
"""Ports of a published client: several servers compare redirect addresses with their port."""
_MAX_METADATA: Final = 100_000
_MAX_TOKEN: Final = 8000
_MAX_SECONDS: Final = 10 * 365 * 86_400
_METADATA_SECONDS: Final = 20.0
_MOVED: Final = (301, 302, 303, 307, 308)
_MISSING: Final = (400, 403, 404, 405, 410, 501)
_NONCE: Final = "use_dpop_nonce"
_ENDED: Final = ("invalid_grant", "invalid_token", "invalid_client", "unauthorized_client")
_CLOCK: Final = 60
_FEATURES: Final = (
    "require_pushed_authorization_requests",
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
)
_LISTS: Final = (
    ("scopes_supported", "atproto"),
    ("code_challenge_methods_supported", "S256"),
    ("dpop_signing_alg_values_supported", "ES256"),
)
_ACTIONS: Final = ("create", "update", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """An authorization server, as its metadata describe it."""

    issuer: str
    authorization: str
    par: str
    token: str
    revocation: str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tokens:
    """A stored session by OAuth: its tokens, its key, and its account. ``expires`` is in Unix time."""

    did: str
    pds: str
    issuer: str
    token_endpoint: str
    revocation_endpoint: str | None
    client_id: str
    scope: str
    key: str
    access: str
    refresh: str
    expires: float

    def to_json(self) -> str:
        """Return the text to store: a secret."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of_json(cls, text: str) -> Tokens | None:
        """Read a stored session; None if it is none."""
        try:
            found = json.loads(text)
            values = {field.name: found[field.name] for field in fields(cls)}
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = [value for name, value in values.items() if name not in ("expires", "revocation_endpoint")]
        good = all(isinstance(value, str) for value in texts) and isinstance(values["expires"], int | float)
        revocation = values["revocation_endpoint"]
        return cls(**values) if good and (revocation is None or isinstance(revocation, str)) else None


def find_server(client: Client, pds: str) -> AuthorizationServer | None:
    """Return the authorization server of a PDS; None if the PDS has no OAuth.

    Raises :class:`SessionError` for metadata that don't fit, and another :class:`NetworkError`.
    """
    try:
        found = _metadata(client, f"{pds}/.well-known/oauth-protected-resource")
    except RequestFailed as error:
        if error.status in _MISSING:
            return None
        raise
    named = found.get("authorization_servers")
    if not isinstance(named, list) or not named:
        return None
    issuer = named[0] if len(named) == 1 else None
    if not isinstance(issuer, str) or not _is_origin(client, issuer):
        raise SessionError("the server doesn't name one authorization server by its address", where=pds)
    return _server(client, issuer)


def _server(client: Client, issuer: str) -> AuthorizationServer:
    found = _metadata(client, f"{issuer}/.well-known/oauth-authorization-server")
    if found.get("issuer") != issuer:
        raise SessionError("the authorization server names another issuer in its metadata", where=issuer)
    lacking = [name for name in _FEATURES if found.get(name) is not True]
    for name, value in _LISTS:
        listed = found.get(name)
        if not isinstance(listed, list) or value not in listed:
            lacking.append(f"{name}: {value}")
    if lacking:
        message = f"the authorization server isn't one of atproto, it lacks {', '.join(lacking)}"
        raise SessionError(message, where=issuer, hint="use an app password: catalog login --app-password")
    return AuthorizationServer(
        issuer=issuer,
        authorization=_endpoint(client, found, "authorization_endpoint", issuer),
        par=_endpoint(client, found, "pushed_authorization_request_endpoint", issuer),
        token=_endpoint(client, found, "token_endpoint", issuer),
        revocation=_endpoint(client, found, "revocation_endpoint", issuer)
        if found.get("revocation_endpoint") is not None
        else None,
    )


def _metadata(client: Client, url: str) -> Mapping[str, Json]:
    with client.stream(url, max_bytes=_MAX_METADATA, seconds=_METADATA_SECONDS, answers=_MOVED) as answer:
        if answer.status != 200:
            raise RequestFailed(f"HTTP {answer.status}, and redirects aren't followed", status=answer.status, where=url)
        raw = b"".join(answer)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SessionError("the metadata of OAuth are no JSON object", where=url)
    return found


def _is_origin(client: Client, url: str) -> bool:
    try:
        client.check(url)
    except CatalogError:
        return False
    return url.isascii() and origin(url) == url


def _endpoint(client: Client, found: Mapping[str, Json], name: str, issuer: str) -> str:
    """Return an endpoint that may be requested, and opened in a browser."""
    url = found.get(name)
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or len(url) > 2000 or " " in url:
        raise SessionError(f"the authorization server has no usable {name}", where=issuer)
    client.check(url)
    return url


def loopback_client(scope: str, path: str = REDIRECT_PATH) -> str:
    """Return the client_id of a command line without a published document; a redirect may have any port."""
    return "http://localhost?" + urlencode({"redirect_uri": f"http://127.0.0.1{path}", "scope": scope})


def client_metadata(client_id: str, scope: str) -> dict[str, Json]:
    """Return the document to publish at ``client_id``, an https address, so that users find the client by name."""
    ports = ["", *(f":{port}" for port in CLIENT_PORTS)]
    return {
        "client_id": client_id,
        "client_name": "atdata-catalog",
        "application_type": "native",
        "redirect_uris": [f"http://127.0.0.1{port}{REDIRECT_PATH}" for port in ports],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": scope,
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
    }


class Login:
    """A login in progress: open ``url`` in a browser, and give the address of the redirect to :meth:`finish`."""

    def __init__(
        self, client: Client, *, server: AuthorizationServer, did: Did, pds: str, client_id: str, redirect_uri: str,
        scope: str,
    ) -> None:  # fmt: skip
        self.state = secrets.token_urlsafe(24)
        self.url = ""
        self._client, self._server = client, server
        self._did, self._pds = did, pds
        self._client_id, self._redirect_uri, self._scope = client_id, redirect_uri, scope
        self._key = DpopKey()
        self._verifier = secrets.token_urlsafe(48)
        self._finished = False
        client.secrets.add(self._verifier)

    @classmethod
    def begin(
        cls, client: Client, resolver: Resolver, account: str, server: AuthorizationServer, *, redirect_uri: str,
        scope: str, client_id: str | None = None,
    ) -> Login:  # fmt: skip
        """Push the request of an account to its server. Raises :class:`SessionError` if that refuses it."""
        identity = resolver.resolve(account)
        login = cls(
            client, server=server, did=identity.did, pds=identity.pds, redirect_uri=redirect_uri, scope=scope,
            client_id=client_id or loopback_client(scope),
        )  # fmt: skip
        login._push(str(identity.handle or identity.did))
        return login

    def _push(self, hint: str) -> None:
        sent = {
            "client_id": self._client_id,
            "response_type": "code",
            "code_challenge": digest_of(self._verifier),
            "code_challenge_method": "S256",
            "state": self.state,
            "redirect_uri": self._redirect_uri,
            "scope": self._scope,
            "login_hint": hint,
        }
        try:
            answer = _post_form(self._client, self._server.par, sent, self._key)
        except RequestFailed as error:
            raise _refused(self._client, error, "the server refused the request for a login", self._server) from None
        request = answer.get("request_uri")
        if not isinstance(request, str) or not request:
            raise SessionError(
                "the server answered the request for a login without its address", where=self._server.par
            )
        joint = "&" if urlsplit(self._server.authorization).query else "?"
        query = urlencode({"client_id": self._client_id, "request_uri": request})
        self.url = f"{self._server.authorization}{joint}{query}"

    def is_answer(self, address: str) -> bool:
        """Return whether an address is the redirect of this login: its ``state`` is known only to the server."""
        return hmac.compare_digest(_query(address).get("state", "").encode(), self.state.encode())

    def finish(self, address: str) -> Tokens:
        """Check the redirect and exchange its code for tokens, once. Raises :class:`SessionError`."""
        answer = _query(address)
        if not self.is_answer(address):
            raise SessionError("the address is not the answer to this login", hint=AGAIN)
        if self._finished:
            raise SessionError("this login was answered before", hint=AGAIN)
        self._finished = True
        if answer.get("iss") != self._server.issuer:
            message = "the answer to the login comes from another server than the one that was asked"
            raise SessionError(message, where=self._server.issuer, hint=f"nothing was sent to it; {AGAIN}")
        if "error" in answer:
            raise self._denied(answer)
        code = answer.get("code", "")
        if not code:
            raise SessionError("the answer to the login has no code", where=self._server.issuer, hint=AGAIN)
        self._client.secrets.add(code)
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": self._verifier,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
        }
        try:
            found = _post_form(self._client, self._server.token, sent, self._key)
        except RequestFailed as error:
            raise _refused(self._client, error, "the server refused the login", self._server) from None
        return self._checked(found)

    def _denied(self, answer: Mapping[str, str]) -> SessionError:
        error, said = map(message_line, (answer["error"], answer.get("error_description", "")))
        error, said = self._client.secrets.cleaned(error, said)
        if "expired" in said.lower():
            return SessionError("the login took too long, the server forgot it", where=self._server.issuer, hint=AGAIN)
        if error == "access_denied":
            return SessionError("access was denied on the page of the server", where=str(self._did), hint=AGAIN)
        return SessionError(f"the login failed ({error}: {said})", where=self._server.issuer, hint=AGAIN)

    def _checked(self, found: Mapping[str, Json]) -> Tokens:
        """Return the tokens if they are for this account and its rights; else revoke them and raise."""
        blank = Tokens(
            did=str(self._did), pds=self._pds, issuer=self._server.issuer, token_endpoint=self._server.token,
            revocation_endpoint=self._server.revocation, client_id=self._client_id, scope=self._scope,
            key=self._key.pem(), access="", refresh="", expires=0.0,
        )  # fmt: skip
        tokens = _taken(self._client, blank, found)
        wrong = self._mistake(tokens, found.get("sub"))
        if wrong is not None:
            revoke(self._client, tokens)
            raise wrong
        return tokens

    def _mistake(self, tokens: Tokens, subject: Json) -> SessionError | None:
        if subject != tokens.did:
            other = message_line(subject) or "no account"
            message = f"the server logged in {other}, not the account that was named"
            return SessionError(message, where=tokens.did, hint="log out in the browser first, or give --handle")
        lacking = missing_scopes(self._scope, tokens.scope)
        if not lacking:
            return None
        message = f"the server didn't grant all that publishing needs: {', '.join(lacking)}"
        hint = "allow it on the page of the server, or use an app password: catalog login --app-password"
        return SessionError(message, where=self._server.issuer, hint=hint)


def refresh(client: Client, tokens: Tokens) -> Tokens:
    """Return new tokens for the old ones, which end with it. Raises :class:`SessionError` if the session has ended."""
    sent = {"grant_type": "refresh_token", "refresh_token": tokens.refresh, "client_id": tokens.client_id}
    for secret in (tokens.access, tokens.refresh):
        client.secrets.add(secret)
    try:
        found = _post_form(client, tokens.token_endpoint, sent, DpopKey.of_pem(tokens.key))
    except RequestFailed as error:
        if error.name in _ENDED:
            raise SessionError(f"the session has ended ({error.what})", where=tokens.did, hint=AGAIN) from None
        raise
    fresh = _taken(client, tokens, found)
    if found.get("sub") != tokens.did:
        raise SessionError("the server renewed the session of another account", where=tokens.did, hint=AGAIN)
    return fresh


def revoke(client: Client, tokens: Tokens) -> bool:
    """End a session at its server, as far as it answers. Return whether it took the request."""
    if tokens.revocation_endpoint is None:
        return False
    with suppress(NetworkError):
        sent = {"token": tokens.refresh, "client_id": tokens.client_id}
        _post_form(client, tokens.revocation_endpoint, sent, DpopKey.of_pem(tokens.key))
        return True
    return False


def _taken(client: Client, before: Tokens, found: Mapping[str, Json]) -> Tokens:
    """Return the tokens of an answer. Raises :class:`SessionError`, with none of them."""
    access, fresh, scope = found.get("access_token"), found.get("refresh_token"), found.get("scope")
    for token in (access, fresh):
        if not isinstance(token, str) or not 0 < len(token) <= _MAX_TOKEN or not _is_sendable(token):
            raise SessionError("the server answered a login without tokens", where=before.issuer)
        client.secrets.add(token)
    kind = found.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "dpop":
        raise SessionError("the server's tokens aren't bound to a key (DPoP)", where=before.issuer)
    if not isinstance(scope, str) or "atproto" not in scope.split():
        raise SessionError("the server's tokens aren't for atproto", where=before.issuer)
    lasts = found.get("expires_in")
    seconds = float(lasts) if isinstance(lasts, int | float) and 0 < lasts < _MAX_SECONDS else 300.0
    return replace(before, access=str(access), refresh=str(fresh), scope=scope, expires=time.time() + seconds)


def _post_form(client: Client, url: str, sent: Mapping[str, str], key: DpopKey) -> Mapping[str, Json]:
    """Return the answer to a form with a proof, sent again once if the server wants a newer nonce."""

    def headers() -> dict[str, str]:
        return {"DPoP": key.proof("POST", url, nonce=client.nonces.get(origin(url)))}

    try:
        found = client.post_form(url, sent, headers=headers)
    except RequestFailed as error:
        if error.name != _NONCE:
            raise
        found = client.post_form(url, sent, headers=headers)
    return found if isinstance(found, dict) else {}


def _refused(client: Client, error: RequestFailed, message: str, server: AuthorizationServer) -> NetworkError:
    if not error.status or error.status >= 500:
        return error
    hints = {
        "invalid_scope": "the server doesn't know these permissions; try catalog login --app-password",
        "invalid_client": "the server doesn't take this client; try catalog login --app-password",
        "invalid_client_metadata": "is the document of CATALOG_OAUTH_CLIENT published as it should be?",
        "invalid_grant": AGAIN,
        "slow_down": "wait a few minutes",
    }
    hint = hints.get(error.name, AGAIN)
    if error.name == "invalid_dpop_proof":
        hint = clock_hint(client, server.issuer) or hint
    return SessionError(f"{message} ({error.what})", where=server.issuer, hint=hint)


def clock_hint(client: Client, url: str) -> str | None:
    """Return a hint if this machine's clock differs from a server's by more than a minute."""
    try:
        with client.stream(f"{url}/.well-known/oauth-protected-resource", answers=range(300, 600)) as answer:
            then = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (NetworkError, ValueError, TypeError):
        return None
    apart = round(time.time() - then)
    return f"this machine's clock differs from the server's by {abs(apart)} s: set it" if abs(apart) > _CLOCK else None


def missing_scopes(asked: str, granted: str) -> list[str]:
    """Return the scopes that were asked for and not granted, by their meaning: servers rewrite and join them."""
    have = {grant for part in granted.split() for grant in _grants(part)}
    if ("transition", "generic", "") in have:
        return []
    return [part for part in asked.split() if not all(_covered(grant, have) for grant in _grants(part))]


def _grants(scope: str) -> Iterator[tuple[str, str, str]]:
    """Each single right of a scope: resource, its name, the action."""
    head, _, query = scope.partition("?")
    resource, _, name = head.partition(":")
    options = parse_qs(query)
    key = {"repo": "collection", "blob": "accept"}.get(resource)
    names = [name] if name else options.get(key or "", [""])
    for each in names:
        for action in options.get("action", _ACTIONS) if resource == "repo" else ("",):
            yield resource, each, action


def _covered(grant: tuple[str, str, str], have: set[tuple[str, str, str]]) -> bool:
    resource, name, action = grant
    wider = {name}
    if resource == "repo":
        wider.add("*")
    elif resource == "blob":
        wider |= {"*/*", f"{name.partition('/')[0]}/*"}
    return any((resource, each, action) in have for each in wider)


def _query(address: str) -> dict[str, str]:
    """The parameters of an address; one that occurs twice is left out."""
    try:
        found = parse_qs(urlsplit(address.strip()).query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _is_sendable(text: str) -> bool:
    return text.isascii() and all("!" <= char <= "~" for char in text)


def moved(tokens: Tokens, pds: str) -> bool:
    """Return whether the account of a session is at another server by now."""
    return not same_server(tokens.pds, pds)
