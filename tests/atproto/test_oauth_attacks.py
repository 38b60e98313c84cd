"""A hostile authorization server, redirect or page gets nothing: no code, no tokens that are kept, no session."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from catalog.atproto.identity import Identity
from catalog.atproto.loopback import Listener
from catalog.atproto.oauth import Login, client_metadata, find_server, loopback_client, missing_scopes, refresh
from catalog.atproto.oauth_session import OAuthSession
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, SessionError
from catalog.network.http import Client
from catalog.publish.scope import PUBLISH_SCOPE
from catalog.syntax import Did
from tests.fakes import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.oauth import Tokens
    from tests.fakes import Asked, Fake

LOCAL = NetworkSettings(allow_loopback=True)
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
REDIRECT = "http://127.0.0.1:7777/callback"


@dataclass(slots=True)
class Server:
    """PDS and authorization server in one; a test changes what they answer."""

    fake: Fake
    resource: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    nonce: str = "nonce-1"

    def resolve(self, _account: str) -> Identity:
        return Identity(did=Did.parse(DID), handle=None, pds=self.fake.url)

    def sent(self, path: str) -> list[Asked]:
        return [asked for asked in self.fake.asked if asked.path == path]

    def guarded(self, then: Callable[[], object]) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
        """Answer a request whose proof has the nonce; to any other ask for it."""

        def serve(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
            if _claims(asked).get("nonce") == self.nonce:
                answer(handler, then(), DPoP_Nonce=self.nonce)
            else:
                answer(handler, {"error": "use_dpop_nonce"}, 400, DPoP_Nonce=self.nonce)

        return serve


def _claims(asked: Asked) -> dict[str, Any]:
    part = asked.headers["dpop"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    with fake_server({}) as fake:
        made = Server(fake)
        url = fake.url
        made.resource = {"resource": url, "authorization_servers": [url]}
        made.metadata = {
            "issuer": url, "authorization_endpoint": f"{url}/authorize", "token_endpoint": f"{url}/token",
            "pushed_authorization_request_endpoint": f"{url}/par", "revocation_endpoint": f"{url}/revoke",
            "require_pushed_authorization_requests": True, "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True, "scopes_supported": ["atproto"],
            "code_challenge_methods_supported": ["S256"], "dpop_signing_alg_values_supported": ["ES256"],
        }  # fmt: skip
        made.tokens = {
            "access_token": "access-token-of-the-server", "refresh_token": "refresh-token-of-the-server",
            "token_type": "DPoP", "scope": PUBLISH_SCOPE, "sub": DID, "expires_in": 3600,
        }  # fmt: skip
        fake.routes["/.well-known/oauth-protected-resource"] = lambda handler, _: answer(handler, made.resource)
        fake.routes["/.well-known/oauth-authorization-server"] = lambda handler, _: answer(handler, made.metadata)
        fake.routes["/par"] = made.guarded(lambda: {"request_uri": "urn:request", "expires_in": 300})
        fake.routes["/token"] = made.guarded(lambda: made.tokens)
        fake.routes["/revoke"] = made.guarded(dict)
        yield made


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(LOCAL) as made:
        yield made


def _begin(client: Client, server: Server) -> Login:
    found = find_server(client, server.fake.url)
    assert found is not None
    return Login.begin(client, server, DID, found, redirect_uri=REDIRECT, scope=PUBLISH_SCOPE)  # type: ignore[arg-type]


def _address(login: Login, server: Server, **changed: str | None) -> str:
    values = {"state": login.state, "iss": server.fake.url, "code": "the-code-of-this-login", **changed}
    return f"{REDIRECT}?{urlencode({name: value for name, value in values.items() if value is not None})}"


def _session(client: Client, server: Server) -> OAuthSession:
    login = _begin(client, server)
    tokens = login.finish(_address(login, server))
    return OAuthSession(client, server.resolve(DID), tokens)


def test_a_login_at_a_good_server_sends_what_the_standards_ask_for(client: Client, server: Server) -> None:
    """The control, and the form of each request: PKCE, client_id, proofs that differ, and nothing in the address."""
    login = _begin(client, server)
    assert login.finish(_address(login, server)).did == DID
    first, second = server.sent("/par")
    pushed = {name: values[0] for name, values in parse_qs(second.body.decode()).items()}
    assert pushed.pop("state") == login.state
    assert len(pushed.pop("code_challenge")) == 43
    assert pushed == {
        "client_id": loopback_client(PUBLISH_SCOPE), "response_type": "code", "code_challenge_method": "S256",
        "redirect_uri": REDIRECT, "scope": PUBLISH_SCOPE, "login_hint": DID,
    }  # fmt: skip
    assert _claims(first)["jti"] != _claims(second)["jti"]
    assert (_claims(second)["htm"], _claims(second)["htu"]) == ("POST", f"{server.fake.url}/par")
    assert set(parse_qs(urlsplit(login.url).query)) == {"client_id", "request_uri"}
    header = json.loads(base64.urlsafe_b64decode(second.headers["dpop"].split(".")[0] + "=="))
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    asked = parse_qs(server.sent("/token")[-1].body.decode())
    assert 43 <= len(asked["code_verifier"][0]) <= 128


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("resource", {"authorization_servers": ["https://one.example", "https://two.example"]}),
        ("resource", {"authorization_servers": ["https://user:x@auth.example"]}),
        ("resource", {"authorization_servers": ["https://auth.example/path"]}),
        ("resource", {"authorization_servers": ["http://auth.example"]}),
        ("resource", {"authorization_servers": [7]}),
        ("metadata", {"issuer": "https://other.example"}),
        ("metadata", {"issuer": None}),
        ("metadata", {"require_pushed_authorization_requests": False}),
        ("metadata", {"authorization_response_iss_parameter_supported": "true"}),
        ("metadata", {"code_challenge_methods_supported": ["plain"]}),
        ("metadata", {"dpop_signing_alg_values_supported": ["none"]}),
        ("metadata", {"scopes_supported": None}),
        ("metadata", {"authorization_endpoint": "file:///etc/passwd"}),
        ("metadata", {"authorization_endpoint": "javascript:alert(1)"}),
        ("metadata", {"authorization_endpoint": "https://a.example/\n--help"}),
        ("metadata", {"token_endpoint": "http://169.254.169.254/token"}),
        ("metadata", {"pushed_authorization_request_endpoint": ["x"]}),
        ("metadata", {"padding": "x" * 200_000}),
    ],
)
def test_metadata_that_are_wrong_end_the_login_before_anything_is_sent(
    client: Client, server: Server, where: str, change: dict[str, Any]
) -> None:
    getattr(server, where).update(change)
    with pytest.raises(CatalogError):
        find_server(client, server.fake.url)
    assert {asked.method for asked in server.fake.asked} == {"GET"}


def test_metadata_behind_a_redirect_and_servers_without_oauth(client: Client, server: Server) -> None:
    """The first is refused; the second is no error: an app password is asked for."""
    path = "/.well-known/oauth-authorization-server"
    server.fake.routes["/elsewhere"] = server.fake.routes[path]
    server.fake.routes[path] = lambda handler, _: answer(handler, b"", 302, Location="/elsewhere")
    with pytest.raises(CatalogError, match="redirects"):
        find_server(client, server.fake.url)
    assert server.sent("/elsewhere") == []
    del server.fake.routes["/.well-known/oauth-protected-resource"]
    assert find_server(client, server.fake.url) is None


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://attacker.example"},
        {"iss": None},
        {"state": "another-login"},
        {"state": None},
        {"state": ""},
        {"code": None},
        {"code": ""},
        {"error": "access_denied"},
        {"error": "access_denied", "error_description": "This request has expired"},
    ],
)
def test_a_redirect_that_is_mixed_up_gets_no_code_out_of_us(
    client: Client, server: Server, change: dict[str, str | None]
) -> None:
    login = _begin(client, server)
    with pytest.raises(SessionError) as caught:
        login.finish(_address(login, server, **change))
    assert server.sent("/token") == []
    assert "the-code-of-this-login" not in str(caught.value)
    assert ("too long" in str(caught.value)) is ("error_description" in change)


def test_a_parameter_that_occurs_twice_counts_as_absent_and_a_code_is_used_once(client: Client, server: Server) -> None:
    login = _begin(client, server)
    with pytest.raises(SessionError):
        login.finish(_address(login, server) + "&iss=https://attacker.example")
    assert server.sent("/token") == []
    login = _begin(client, server)
    login.finish(_address(login, server))
    number = len(server.sent("/token"))
    with pytest.raises(SessionError, match="answered before"):
        login.finish(_address(login, server))
    assert len(server.sent("/token")) == number


@pytest.mark.parametrize(
    ("change", "revoked"),
    [
        ({"sub": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}, True),
        ({"sub": None}, True),
        ({"scope": "atproto repo:science.alt.dataset.entry"}, True),
        ({"scope": "transition:generic"}, False),
        ({"token_type": "Bearer"}, False),
        ({"access_token": "with\nline"}, False),
        ({"refresh_token": None}, False),
        ({"access_token": "x" * 9000}, False),
    ],
)
def test_tokens_that_are_not_those_asked_for_are_thrown_away(
    client: Client, server: Server, change: dict[str, Any], revoked: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    """And revoked where they could be used; no message repeats one."""
    server.tokens.update(change)
    login = _begin(client, server)
    with pytest.raises(SessionError) as caught:
        login.finish(_address(login, server))
    assert "token-of-the-server" not in str(caught.value)
    assert bool(server.sent("/revoke")) is revoked


def test_a_renewal_for_another_account_or_with_a_spent_token_ends_the_session(client: Client, server: Server) -> None:
    login = _begin(client, server)
    tokens: Tokens = login.finish(_address(login, server))
    server.tokens["sub"] = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
    with pytest.raises(SessionError, match="another account"):
        refresh(client, tokens)
    server.fake.routes["/token"] = lambda handler, _: answer(
        handler, {"error": "invalid_grant", "error_description": "Refresh token replayed"}, 400
    )
    with pytest.raises(SessionError, match=r"the session has ended.*replayed") as caught:
        refresh(client, tokens)
    assert "catalog login" in str(caught.value)


def test_a_server_that_always_wants_another_nonce_gets_two_requests(client: Client, server: Server) -> None:
    numbers = iter(range(100))
    server.fake.routes["/par"] = lambda handler, _: answer(
        handler, {"error": "use_dpop_nonce"}, 400, DPoP_Nonce=f"n{next(numbers)}"
    )
    with pytest.raises(SessionError, match="use_dpop_nonce"):
        _begin(client, server)
    assert len(server.sent("/par")) == 2


@pytest.mark.parametrize("body", [{"error": "use_dpop_nonce"}, b""])
def test_a_write_is_sent_again_with_the_nonce_of_the_pds(client: Client, server: Server, body: object) -> None:
    """Also where a proxy has dropped the body; each proof names the token, the method and the address."""
    session = _session(client, server)

    def write(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if _claims(asked)["nonce"] == "of the pds":
            cid = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
            answer(handler, {"commit": {"cid": cid}})
        else:
            wanted = 'DPoP algs="ES256", error="use_dpop_nonce"'
            answer(handler, body, 401, DPoP_Nonce="of the pds", WWW_Authenticate=wanted)

    server.fake.routes["/xrpc/com.atproto.repo.applyWrites"] = write
    session.apply([], swap_commit=None)
    first, second = server.sent("/xrpc/com.atproto.repo.applyWrites")
    assert first.headers["authorization"] == f"DPoP {server.tokens['access_token']}"
    assert _claims(first)["jti"] != _claims(second)["jti"]
    assert len(_claims(second)["ath"]) == 43


def test_an_account_that_moved_and_an_absent_right_are_named(client: Client, server: Server) -> None:
    session = _session(client, server)
    elsewhere = Identity(did=Did.parse(DID), handle=None, pds="https://elsewhere.example")
    with pytest.raises(SessionError, match="has moved"):
        OAuthSession(client, elsewhere, session._tokens)
    server.fake.routes["/xrpc/com.atproto.repo.applyWrites"] = lambda handler, _: answer(
        handler, {"error": "ScopeMissingError", "message": "Missing required scope"}, 403
    )
    with pytest.raises(SessionError, match="lacks a permission"):
        session.apply([], swap_commit=None)
    with pytest.raises(SessionError, match="no session string"):
        session.export()


def test_the_listener_answers_only_the_redirect_of_its_login_once() -> None:
    """Other pages in the browser reach it too: a wrong state neither ends the login nor is passed on."""
    with Listener() as listener, httpx.Client(trust_env=False) as browser:
        found: list[str] = []
        started = threading.Event()

        def accepts(address: str) -> bool:
            return "state=right" in address

        def wait() -> None:
            listener._accepts = accepts
            started.set()
            found.append(listener.wait(accepts))

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        assert started.wait(30)
        base = listener.redirect_uri
        wrong = [f"{base}?state=wrong&code=x", base.replace("callback", "favicon.ico"), f"{base}?{'x' * 9000}"]
        assert [browser.get(url).status_code for url in wrong] == [404, 404, 404]
        assert browser.get(f"{base}?state=right&code=x").status_code == 200
        waiting.join(30)
        assert browser.get(f"{base}?state=right&code=x").status_code == 404
    assert len(found) == 1


def test_no_answer_in_time_is_an_error() -> None:
    with Listener() as listener, pytest.raises(SessionError, match="no answer"):
        listener.wait(lambda _: True, seconds=0.01)


@pytest.mark.parametrize(
    ("asked", "granted", "lacking"),
    [
        ("atproto repo:a.b.c", "repo?collection=a.b.c&collection=d.e.f atproto", []),
        ("repo:a.b.c", "repo:*", []),
        ("repo:a.b.c", "repo:a.b.c?action=create", ["repo:a.b.c"]),
        ("blob:application/x-tar", "blob:application/*", []),
        ("blob:application/x-tar", "blob?accept=image/*", ["blob:application/x-tar"]),
        ("repo:a.b.c blob:a/b", "atproto transition:generic", []),
        ("repo:a.b.c", "repo:a.b.*", ["repo:a.b.c"]),
    ],
)
def test_scopes_are_compared_by_meaning(asked: str, granted: str, lacking: list[str]) -> None:
    assert missing_scopes(asked, granted) == lacking


def test_a_published_client_lists_its_redirects_with_and_without_ports() -> None:
    found = client_metadata("https://a.example/client.json", PUBLISH_SCOPE)
    assert found["client_id"] == "https://a.example/client.json"
    assert found["application_type"] == "native"
    assert found["token_endpoint_auth_method"] == "none"
    assert found["scope"] == PUBLISH_SCOPE
    redirects = found["redirect_uris"]
    assert isinstance(redirects, list)
    assert redirects[0] == "http://127.0.0.1/callback"
    assert all(str(uri).startswith("http://127.0.0.1") for uri in redirects)
