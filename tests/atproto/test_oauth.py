"""Logins by OAuth at the newest reference PDS: consent in Chromium, writing, refresh, logout, and each refusal."""

from __future__ import annotations

import stat
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import keyring.backends.fail
import pytest
from click.testing import CliRunner

from catalog.atproto.credentials import known_account, open_session, remember_oauth
from catalog.atproto.identity import Resolver
from catalog.atproto.loopback import Listener
from catalog.atproto.oauth import Login, find_server, missing_scopes, refresh
from catalog.atproto.oauth_session import OAuthSession, SessionStore
from catalog.atproto.session import Write
from catalog.cli import cli
from catalog.client import Client as CatalogClient
from catalog.config import NetworkSettings, config_folder
from catalog.errors import SessionError
from catalog.network.http import Client
from catalog.publish.scope import PUBLISH_SCOPE
from catalog.records import COLLECTIONS, LABEL
from catalog.syntax import RAW, Cid, Did
from tests.keyrings import MemoryKeyring
from tests.shardfiles import packed_shard
from tests.world import TIME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from catalog.atproto.oauth import Tokens
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

VALUE = {"$type": LABEL, "name": "a", "datasetUri": "at://did:web:a.example/x.y.z/a", "createdAt": TIME}


@pytest.fixture(autouse=True)
def no_account_and_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.get_keyring", keyring.backends.fail.Keyring)
    for name in ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD", "CATALOG_SESSION", "CATALOG_OAUTH_CLIENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    monkeypatch.setattr("keyring.get_keyring", lambda: found)
    return found


@contextmanager
def _network() -> Iterator[tuple[Client, Resolver]]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield client, Resolver(client, settings)


def _consent(page: Page, url: str, password: str, button: str = "Authorize") -> None:
    """Log in on the server's page, and press a button of the consent page."""
    page.goto(url)
    page.fill("input[type=password]", password)
    page.keyboard.press("Enter")
    page.get_by_role("button", name=button).click()
    page.wait_for_url("http://127.0.0.1:*/callback*")


def _login(page: Page, account: Account, client: Client, resolver: Resolver, button: str = "Authorize") -> Tokens:
    server = find_server(client, account.pds_url)
    assert server is not None
    with Listener() as listener:
        pending = Login.begin(
            client, resolver, account.handle, server, redirect_uri=listener.redirect_uri, scope=PUBLISH_SCOPE
        )
        done: list[str] = []
        waiting = threading.Thread(target=lambda: done.append(listener.wait(pending.is_answer)), daemon=True)
        waiting.start()
        _consent(page, pending.url, account.password, button)
        waiting.join(60)
        return pending.finish(done[0])


def _write(rkey: str, collection: str = LABEL) -> Write:
    return Write(action="create", collection=collection, rkey=rkey, value={**VALUE, "$type": collection})


def test_login_publish_refresh_and_logout_by_the_command(
    newest: Network, page: Page, ring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command opens the page, the session publishes records and blobs, is renewed, and is worth nothing after."""
    account = newest.account("alice")
    opened: list[str] = []
    ready = threading.Event()

    def open_page(url: str) -> bool:
        opened.append(url)
        ready.set()
        return True

    monkeypatch.setattr("webbrowser.open", open_page)
    results = []
    command = threading.Thread(
        target=lambda: results.append(CliRunner().invoke(cli, ["login", "--handle", account.handle])), daemon=True
    )
    command.start()
    assert ready.wait(60)
    _consent(page, opened[0], account.password)
    command.join(60)
    assert results[0].exit_code == 0, results[0].output
    assert f"{account.handle} is logged in" in results[0].output
    assert known_account() == account.did
    assert set(parse_qs(urlsplit(opened[0]).query)) == {"client_id", "request_uri"}
    assert all(len(secret) <= 1280 for secret in ring.kept.values())  # the limit of Windows

    with CatalogClient.login(account.handle) as catalog_client:
        assert catalog_client.did == account.did
    with _network() as (client, resolver):
        session = open_session(client, resolver, None)
        assert isinstance(session, OAuthSession)
        session.apply([_write("first")], swap_commit=session.latest_commit().cid)
        assert session.swap().value == "kept"
        shard = tmp_path / "a.tar"
        shard.write_bytes(packed_shard({"a": 1}, length=1_200_000))  # large: the nonce is renewed before it is sent
        cid = Cid.of_block(shard.read_bytes(), RAW)
        _expire(account)
        before = SessionStore(Did.parse(account.did)).load()
        session = open_session(client, resolver, None)
        session.apply([_write("second")], swap_commit=None)
        after = SessionStore(Did.parse(account.did)).load()
        assert before is not None
        assert after is not None
        assert (before.access != after.access, before.refresh != after.refresh) == (True, True)
        assert session.upload_blob(shard, cid=cid, size=1_200_000, mime_type="application/x-tar")
    out = CliRunner().invoke(cli, ["logout"])
    assert "is logged out" in out.output
    assert ring.kept == {}
    with _network() as (client, resolver):
        revoked = OAuthSession(client, resolver.resolve(account.did), after)
        with pytest.raises(SessionError, match="the session has ended"):
            revoked.apply([_write("third")], swap_commit=None)
    assert newest.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": LABEL})["records"][2:] == []


def _expire(account: Account) -> None:
    """Make the stored access token look expired."""
    store = SessionStore(Did.parse(account.did))
    tokens = store.load()
    assert tokens is not None
    store.save(replace(tokens, expires=time.time() - 1))


def test_without_a_keyring_a_session_is_in_a_private_file_and_two_processes_share_it(
    newest: Network, page: Page
) -> None:
    """A renewal by one is taken over by the other: a refresh token that is used twice would end the session."""
    account = newest.account("bob")
    with _network() as (client, resolver):
        tokens = _login(page, account, client, resolver)
        file = remember_oauth(client, resolver.resolve(account.did), tokens)
        assert file is not None
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(config_folder().stat().st_mode) == 0o700
        one, other = (open_session(client, resolver, account.handle) for _ in range(2))
        one.renew()
        other.apply([_write("a")], swap_commit=None)  # its access token ended with the renewal
        one.apply([_write("b")], swap_commit=None)
        assert CliRunner().invoke(cli, ["login", "--list"]).output.split() == [account.handle, account.did]
        with pytest.raises(SessionError, match="lacks a permission"):
            one.apply([_write("c", "app.bsky.feed.post")], swap_commit=None)
        one.close()
        assert not file.exists()
        with pytest.raises(SessionError, match="catalog login"):
            other.renew()
        CliRunner().invoke(cli, ["logout", "--handle", account.handle])
    assert known_account() is None


def test_the_login_asks_for_the_rights_of_publishing_and_no_more(newest: Network, page: Page) -> None:
    """Each is granted as asked; other collections, other blobs and other services are refused by the server."""
    account = newest.account("carol")
    blobs = {f"blob:application/{name}" for name in ("x-tar", "json", "octet-stream")}
    asked = {"atproto", *blobs, *(f"repo:{name}" for name in COLLECTIONS)}
    assert set(PUBLISH_SCOPE.split()) == asked
    with _network() as (client, resolver):
        tokens = _login(page, account, client, resolver)
        assert missing_scopes(PUBLISH_SCOPE, tokens.scope) == []
        assert missing_scopes(tokens.scope, PUBLISH_SCOPE) == []
        session = OAuthSession(client, resolver.resolve(account.did), tokens)
        for number, name in enumerate(COLLECTIONS):
            session.apply([_write(f"r{number}", name)], swap_commit=None)
        url = f"{session.pds}/xrpc/com.atproto.repo.uploadBlob"
        shard = config_folder().parent / "image.png"
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(SessionError, match="lacks a permission"):
            session._renewing(
                url, lambda headers: client.post_file(url, shard, size=8, mime_type="image/png", headers=headers)
            )
        assert refresh(client, tokens).did == account.did


def test_denied_consent_is_an_error_that_says_so(newest: Network, page: Page) -> None:
    account = newest.account("dave")
    with _network() as (client, resolver), pytest.raises(SessionError, match="denied"):
        _login(page, account, client, resolver, button="Deny access")
