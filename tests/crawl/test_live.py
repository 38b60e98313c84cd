"""Following the real PDS's firehose, and a Jetstream that a fake plays."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import CrawlReport, crawl, follow
from catalog.crawl import streams as following
from catalog.records import DATASET, LABEL
from catalog.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

TIME = "2026-01-02T03:04:05.000Z"
SECONDS = 60.0
"""Timeout in seconds for something that is quick."""


def _label(did: str, name: str) -> dict[str, Json]:
    uri = f"at://{did}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


def _post(network: Network, account: Account) -> None:
    network.create_record(
        account, "app.bsky.feed.post", {"$type": "app.bsky.feed.post", "text": "x", "createdAt": TIME}
    )


def _settings(*sources: Source) -> CatalogSettings:
    return CatalogSettings(store=Path("nowhere"), sources=sources, network=NetworkSettings.from_environment())


def _firehose(network: Network) -> Source:
    return Source(kind="firehose", value=network.pds_url.replace("http", "ws", 1))


def _names(store: Store, did: str) -> list[str]:
    return sorted(str(r.value["name"]) for r in store.records() if r.did == did and isinstance(r.value, dict))


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDS on this machine is silent sooner."""
    monkeypatch.setattr(following, "IDLE_SECONDS", 0.7)
    monkeypatch.setattr(following, "_STORE_SECONDS", 0.1)


@contextmanager
def _followed(settings: CatalogSettings, store: Store) -> Iterator[list[str]]:
    """A crawl that goes on in a thread; the reports of the end are checked by the caller through the store."""
    stop, told = threading.Event(), list[str]()
    reports: list[CrawlReport] = []
    thread = threading.Thread(
        target=lambda: reports.append(follow(settings, store, stop=stop, every=1.0, progress=told.append))
    )
    thread.start()
    try:
        _until(lambda: any(line.startswith("following") for line in told), "the stream is followed")
        yield told
    finally:
        stop.set()
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert reports


def test_what_happens_is_in_the_store_a_moment_later(network: Network, store: Store) -> None:
    """New, changed, deleted, of an account known and of one unknown before; proven from the events themselves."""
    account, stranger = network.account("live"), network.account("stranger")
    network.put_record(account, LABEL, "one", _label(account.did, "one"))
    settings = _settings(_firehose(network))
    with _followed(settings, store):
        _until(lambda: _names(store, account.did) == ["one"], "the first record")
        network.put_record(account, LABEL, "two", _label(account.did, "two"))
        _until(lambda: _names(store, account.did) == ["one", "two"], "a new record")
        network.put_record(account, LABEL, "one", _label(account.did, "uno"))
        _post(network, account)
        network.delete_record(account, LABEL, "two")
        _until(lambda: _names(store, account.did) == ["uno"], "a change and a deletion")
        network.put_record(stranger, LABEL, "one", _label(stranger.did, "hello"))
        _until(lambda: _names(store, stranger.did) == ["hello"], "another account's record")
        _until(lambda: store.cursor(str(settings.sources[0])) is not None, "a cursor")
    assert {record.verified for record in store.records()} == {True}
    repo = store.repo(account.did)
    assert repo is not None
    assert repo.rev == network.latest_rev(account.did), "also a post moves the chain"
    ways = store.crawls()[0].report["sources"][0]["ways"]
    assert ways["firehose"] >= 3
    history = store.history(f"at://{account.did}/{LABEL}/one")
    assert [version.value["name"] for version in history if isinstance(version.value, dict)] == ["uno", "one"]


def test_a_scheduled_crawl_catches_up_from_its_cursor(network: Network, store: Store) -> None:
    """Missed events are read from the stream; inactive accounts are not visited."""
    accounts = [network.account("scheduled") for _ in range(3)]
    for account in accounts:
        network.put_record(account, LABEL, "one", _label(account.did, "one"))
    settings = _settings(_firehose(network))
    with _followed(settings, store):
        network.put_record(accounts[0], LABEL, "two", _label(accounts[0].did, "two"))
        _until(lambda: store.cursor(str(settings.sources[0])) is not None, "a cursor")
    first = store.cursor(str(settings.sources[0]))
    for number in range(5):
        network.put_record(accounts[1], LABEL, f"r{number}", _label(accounts[1].did, f"n{number}"))
    network.delete_record(accounts[1], LABEL, "one")
    report = crawl(settings, store).sources[0]
    assert report.error is None
    assert _names(store, accounts[1].did) == [f"n{number}" for number in range(5)]
    assert set(report.ways) == {"firehose"}
    assert report.ways["firehose"] in (6, 7), "the record that was written last before may come again"
    assert report.requests == 1, "the connection"
    second = store.cursor(str(settings.sources[0]))
    assert first is not None
    assert second is not None
    assert second > first


def test_accounts_that_close_are_hidden_at_once_and_come_back(network: Network, store: Store) -> None:
    """And a changed handle is looked up."""
    account = network.account("closing")
    network.put_record(account, LABEL, "one", _label(account.did, "one"))
    with _followed(_settings(_firehose(network)), store):
        _until(lambda: _names(store, account.did) == ["one"], "the record")
        network.post("com.atproto.server.deactivateAccount", {}, account)
        _until(lambda: _names(store, account.did) == [], "hidden")
        from tests.crawl.test_crawl import _activate

        _activate(account)
        _until(lambda: _names(store, account.did) == ["one"], "shown again")
        renamed = account.handle.replace("closing", "renamed")
        network.post("com.atproto.identity.updateHandle", {"handle": renamed}, account)
        _until(lambda: any(repo.handle == renamed for repo in store.repos()), "the new handle")


@dataclass(slots=True)
class FakeStream:
    """A websocket server that says what it is told to say, to each who connects, and then hangs up or waits."""

    url: str = ""
    says: list[bytes | str] = field(default_factory=list)
    hangs_up: bool = False
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def fake_stream() -> Iterator[FakeStream]:
    fake, over = FakeStream(), threading.Event()

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        fake.asked.append(connection.request.path)
        try:
            for message in list(fake.says):
                connection.send(message)
            if not fake.hangs_up:
                over.wait(SECONDS)
        except ConnectionClosed:
            pass

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        fake.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        yield fake
        over.set()
        server.shutdown()
        thread.join()


def _hint(did: str, number: int, kind: str = "commit", **more: object) -> str:
    return json.dumps({"did": did, "time_us": 1_700_000_000_000_000 + number, "kind": kind, **more})


def test_a_jetstream_is_believed_only_after_the_pds_was_asked(
    network: Network, store: Store, fake_stream: FakeStream
) -> None:
    """Its record contents are ignored, malformed messages skipped; the cursor advances."""
    account = network.account("jet")
    network.put_record(account, LABEL, "one", _label(account.did, "one"))
    lie = {"operation": "create", "collection": LABEL, "rkey": "x", "record": _label(account.did, "lie")}
    nobody = f"did:plc:{'a' * 24}"
    fake_stream.says = [
        _hint(account.did, 1, commit=lie), "{", "[]", _hint("nobody", 2), _hint(nobody, 3, commit=lie),
        _hint(nobody, 4, kind="account", account={"active": False}), _hint(account.did, 5, kind="other"),
        _hint(account.did, 6, commit=lie),
    ]  # fmt: skip
    source = Source(kind="jetstream", value=fake_stream.url)
    report = crawl(_settings(source), store).sources[0]
    assert report.error is None
    assert _names(store, account.did) == ["one"]
    assert {record.verified for record in store.records()} == {True}
    assert len(report.problems) == 4, "three messages, and an account that doesn't exist"
    assert store.cursor(str(source)) == 1_700_000_000_000_006
    assert "wantedCollections=science.alt.dataset.%2A" in fake_stream.asked[0]
    fake_stream.says = []
    crawl(_settings(source), store)
    assert f"cursor={1_700_000_000_000_006 - 5_000_000}" in fake_stream.asked[1]


def test_a_jetstreams_word_that_an_account_is_gone_is_checked(
    network: Network, store: Store, fake_stream: FakeStream
) -> None:
    """Its own PDS says that it isn't."""
    account = network.account("jet")
    network.put_record(account, LABEL, "one", _label(account.did, "one"))
    fake_stream.says = [
        _hint(account.did, 1), _hint(account.did, 2, kind="account", account={"active": False, "status": "deleted"}),
    ]  # fmt: skip
    crawl(_settings(Source(kind="jetstream", value=fake_stream.url)), store)
    assert _names(store, account.did) == ["one"]
