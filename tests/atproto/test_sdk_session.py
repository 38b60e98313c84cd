"""One session for a client of the atproto SDK and for us, on a fake PDS: runs with the oldest and the newest SDK.

``tests/client/test_sdk.py`` does it with a real PDS.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from atproto import AsyncClient, SessionEvent
from atproto import Client as AtprotoClient
from atproto_client.client.session import Session as AtprotoSession

from catalog.atproto.sdk import SdkSession, is_sdk_client
from catalog.atproto.session import Write
from catalog.config import NetworkSettings
from catalog.errors import SessionError
from catalog.network.http import Client
from catalog.syntax import Cid, Did
from tests.fakes import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from tests.fakes import Asked, Fake

pytestmark = pytest.mark.publishing

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
COMMIT = Cid.of_block(b"commit")
XRPC = "/xrpc/com.atproto."
WRITE = Write(action="create", collection="org.example.thing", rkey="r", value={"$type": "org.example.thing"})


def token(name: str, *, lasts: float = 7200, did: str = DID) -> str:
    now = int(time.time())
    parts = ({"alg": "HS256"}, {"jti": name, "sub": did, "iat": now, "exp": now + int(lasts)})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, "c2ln"))


class Server:
    """A PDS that accepts the newest tokens only: a refresh token counts once."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.made = 0
        self.access = self.refresh = ""
        fake.routes[f"{XRPC}server.refreshSession"] = self._renew
        fake.routes[f"{XRPC}server.getSession"] = self._session
        fake.routes[f"{XRPC}repo.applyWrites"] = self._write
        self.give()

    def give(self, lasts: float = 7200) -> None:
        self.made += 1
        self.access, self.refresh = token(f"a{self.made}", lasts=lasts), token(f"r{self.made}")

    def _renew(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if asked.headers["authorization"] != f"Bearer {self.refresh}":
            answer(handler, {"error": "ExpiredToken", "message": "Token has been revoked"}, 400)
            return
        self.give()
        tokens = {"did": DID, "handle": "a.test", "accessJwt": self.access, "refreshJwt": self.refresh}
        answer(handler, tokens, Content_Type="application/json")

    def _checked(self, handler: BaseHTTPRequestHandler, asked: Asked, body: dict[str, Any]) -> None:
        if asked.headers["authorization"] != f"Bearer {self.access}":
            answer(handler, {"error": "ExpiredToken", "message": "Token has expired"}, 400)
        else:
            answer(handler, body, Content_Type="application/json")

    def _session(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        self._checked(handler, asked, {"did": DID, "handle": "a.test"})

    def _write(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        self._checked(handler, asked, {"commit": {"cid": str(COMMIT), "rev": "3kaaaaaaaaaa2"}})

    @property
    def renewals(self) -> int:
        return self.fake.paths().count(f"{XRPC}server.refreshSession")


@pytest.fixture
def server() -> Iterator[Server]:
    with fake_server({}) as fake:
        yield Server(fake)


class There:
    """A resolver by which every account is at one server."""

    def __init__(self, pds: str) -> None:
        self.pds, self.did, self.handle = pds, Did.parse(DID), None

    def resolve(self, _account: str) -> Any:  # noqa: ANN401 - stands for an Identity
        return self


@pytest.fixture
def sdk(server: Server) -> Iterator[AtprotoClient]:
    """An SDK client with the newest tokens."""
    client = AtprotoClient(server.fake.url)
    imported = AtprotoSession("a.test", DID, server.access, server.refresh, server.fake.url)
    client._set_session(SessionEvent.IMPORT, imported)
    yield client
    client.request._client.close()


@pytest.fixture
def session(sdk: AtprotoClient, server: Server) -> Iterator[SdkSession]:
    with Client(NetworkSettings(allow_loopback=True)) as client:
        yield SdkSession(client, There(server.fake.url), sdk)  # type: ignore[arg-type]


def saved_by(client: AtprotoClient) -> list[str]:
    """Return the list in which a user's callback saves the session."""
    saved: list[str] = []
    client.on_session_change(lambda _event, session: saved.append(session.export()))
    return saved


def test_a_client_of_the_sdk_is_known_by_its_class(sdk: AtprotoClient) -> None:
    assert is_sdk_client(sdk)
    assert is_sdk_client(AsyncClient())
    assert not is_sdk_client(object())


@pytest.mark.parametrize("lasts", [7200, 30])
def test_tokens_renewed_here_are_those_of_the_sdk_client(
    sdk: AtprotoClient, session: SdkSession, server: Server, lasts: float
) -> None:
    """Also a token that the server refuses although it lasts, and one that ends soon."""
    saved = saved_by(sdk)
    assert sdk._session is not None
    sdk._session.access_jwt = token("old", lasts=lasts)
    assert session.apply([WRITE], swap_commit=COMMIT) == COMMIT
    assert (sdk._session.access_jwt, sdk._session.refresh_jwt) == (server.access, server.refresh)
    assert saved == [sdk.export_session_string()]
    assert sdk.com.atproto.server.get_session().did == DID
    assert server.renewals == 1


def test_tokens_renewed_by_the_sdk_client_are_used_here(
    sdk: AtprotoClient, session: SdkSession, server: Server
) -> None:
    assert sdk._session is not None
    sdk._session.access_jwt = token("old", lasts=30)
    sdk.com.atproto.server.get_session()
    assert session.apply([WRITE], swap_commit=COMMIT) == COMMIT
    assert server.renewals == 1


def test_tokens_that_the_sdk_client_renews_meanwhile_are_not_renewed_again(
    sdk: AtprotoClient, session: SdkSession, server: Server
) -> None:
    sdk._refresh_and_set_session()
    session.renew()
    assert server.renewals == 1
    assert session.refresh_token == server.refresh


def test_a_session_that_has_ended_is_an_error_and_leaves_the_sdk_client_as_it_was(
    sdk: AtprotoClient, session: SdkSession, server: Server
) -> None:
    before = sdk.export_session_string()
    server.give()
    with pytest.raises(SessionError, match="session has ended"):
        session.apply([WRITE], swap_commit=COMMIT)
    assert sdk.export_session_string() == before


def test_clients_without_a_usable_session_are_refused(server: Server) -> None:
    wrong: list[tuple[Any, str]] = [
        (AtprotoClient(server.fake.url), "not logged in"),
        (AsyncClient(server.fake.url), "AsyncClient"),
        (with_session(server, did="nobody"), "no DID"),
        (with_session(server, access=""), "no tokens"),
        (with_session(server, access="line\nbreak"), "no tokens"),
        (with_session(server, access=token("a", did=OTHER)), "another account"),
    ]
    with Client(NetworkSettings(allow_loopback=True)) as client:
        for sdk, message in wrong:
            with pytest.raises(SessionError, match=message):
                SdkSession(client, There(server.fake.url), sdk)  # type: ignore[arg-type]


def with_session(server: Server, *, did: str = DID, access: str = "a") -> AtprotoClient:
    client = AtprotoClient(server.fake.url)
    client._set_session(SessionEvent.IMPORT, AtprotoSession("a.test", did, access, "r", server.fake.url))
    return client
