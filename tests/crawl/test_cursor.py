"""A cursor has an age: where events may have been missed, every account of the source is looked at again."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import serve

from catalog.config import CatalogSettings, NetworkSettings, Source, read_settings
from catalog.crawl import crawl
from catalog.crawl.cursor import Cursor
from catalog.errors import InvalidConfig
from catalog.store import Store
from tests.smallpds import SmallPds, small_pds
from tests.streams import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

DAY = timedelta(hours=24)
NOW = datetime.now(UTC)
BIG = 11_500_000_000
POST = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": "a", "cid": "b", "record": {}}


# --- the cursor alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "number", "word"),
    [
        (BIG, BIG + 1, None), (BIG, BIG, None), (BIG, BIG + 900, None), (BIG, BIG + 5000, "jump"),
        (BIG, 100, "fall"), (500, 100, "fall"), (BIG, BIG - 1, "fall"), (None, 7, None),
    ],
)  # fmt: skip
def test_the_first_number_of_a_connection_is_compared_with_the_cursor(
    before: int | None, number: int, word: str | None
) -> None:
    cursor = Cursor(before, NOW, timed=False)
    assert cursor.opened(DAY) is None
    found = cursor.saw(number)
    assert (found is None) if word is None else (word in str(found))
    assert cursor.value == number


def test_numbers_that_fall_later_are_noticed_beyond_some_disorder() -> None:
    cursor = Cursor(None, None, timed=False)
    cursor.opened(DAY)
    assert cursor.saw(10_000) is None
    assert cursor.saw(9_990) is None
    assert cursor.value == 10_000
    assert cursor.saw(20_000) is None, "within a connection a busy relay may leave out what it likes"
    assert "fall" in str(cursor.saw(5))
    assert cursor.value == 5


@pytest.mark.parametrize(
    ("age", "told"), [(timedelta(hours=1), False), (timedelta(hours=25), True), (timedelta(days=900), True)]
)
def test_an_old_cursor_is_not_trusted(age: timedelta, *, told: bool) -> None:
    cursor = Cursor(7, NOW - age, timed=False)
    assert (cursor.opened(DAY) is not None) is told
    assert cursor.opened(DAY) is None, "it is up to date now"


def test_a_cursor_of_unknown_age_is_not_trusted() -> None:
    assert Cursor(7, None, timed=False).opened(DAY) is not None
    assert Cursor(None, None, timed=False).opened(DAY) is None, "without a cursor everything is looked at anyway"


def test_a_time_that_is_not_yet_is_no_cursor() -> None:
    """One event with a time of the next century would have everything until then passed over."""
    now = int(time.time() * 1e6)
    cursor = Cursor(now, NOW, timed=True)
    cursor.opened(DAY)
    assert cursor.saw(now + 10**14) is None
    assert cursor.value == now
    assert cursor.saw(now - 5_000_000) is None, "a Jetstream rewinds some seconds"
    assert "fall" in str(cursor.saw(now - 10**11))


def test_what_is_under_way_holds_the_cursor() -> None:
    cursor = Cursor(1, NOW, timed=False)
    cursor.begin(5)
    cursor.saw(9)
    assert cursor.value == 4
    cursor.end(5)
    assert cursor.value == 9


# --- in a crawl ------------------------------------------------------------------------------------------------------


@contextmanager
def _stream(plays: Callable[[ServerConnection, int | None], None], listed: list[str]) -> Iterator[str]:
    """A stream on loopback that plays for a cursor, and the accounts that a relay lists at the same address."""
    over = threading.Event()

    def http(_: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None
        body = json.dumps({"repos": [{"did": did} for did in listed]}).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
        return Response(200, "OK", headers, body)

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = parse_qs(urlsplit(connection.request.path).query).get("cursor")
        try:
            plays(connection, int(asked[0]) if asked else None)
            over.wait(60)
        except ConnectionClosed:
            pass

    with serve(handle, "127.0.0.1", 0, process_request=http) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def _settings(source: Source, pds: SmallPds) -> CatalogSettings:
    network = NetworkSettings(allow_loopback=True, plc_url=pds.url)
    return CatalogSettings(store=Path("unused.sqlite"), sources=(source,), network=network)


def _names(store: Store) -> set[str]:
    values = (record.value for record in store.records())
    return {str(value["name"]) for value in values if isinstance(value, dict)}


def _identity(seq: int) -> bytes:
    """A frame that concerns nobody in the catalog."""
    return frame("#identity", {"seq": seq, "did": "did:plc:" + "z" * 24, "time": "2026-01-02T03:04:05.678Z"})


@pytest.mark.parametrize(
    ("cursor", "age", "first"),
    [
        (BIG, 0, 100), (BIG, 0, BIG + 50_000), (100, 25, 101), (BIG, 0, None),
    ],
    ids=["falls", "jumps", "is old", "is ahead of a silent server"],
)  # fmt: skip
def test_all_accounts_are_looked_at_where_a_cursor(tmp_path: Path, cursor: int, age: int, first: int | None) -> None:
    listed: list[str] = []

    def play(connection: ServerConnection, _: int | None) -> None:
        if first is not None:
            connection.send(_identity(first))

    with small_pds() as pds, _stream(play, listed) as url, Store.open(tmp_path / "store.sqlite") as store:
        listed.append(pds.account("a", "missed").did)
        source = Source(kind="firehose", value=url)
        store.put_cursor(str(source), cursor, datetime.now(UTC) - timedelta(hours=age))
        (report,) = crawl(_settings(source, pds), store).sources
        assert _names(store) == {"missed"}
        assert report.error is None
        if first is not None:
            assert any("missed" in problem for problem in report.problems)
            assert store.cursor(str(source)) == first


def test_a_cursor_that_is_fresh_costs_no_list(tmp_path: Path) -> None:
    """The control: the next number, an hour later."""
    listed: list[str] = []
    with (
        small_pds() as pds,
        _stream(lambda connection, cursor: connection.send(_identity((cursor or 0) + 1)), listed) as url,
        Store.open(tmp_path / "store.sqlite") as store,
    ):
        listed.append(pds.account("a", "known").did)
        source = Source(kind="firehose", value=url)
        store.put_cursor(str(source), 100, datetime.now(UTC) - timedelta(hours=1))
        (report,) = crawl(_settings(source, pds), store).sources
        assert not report.problems
        assert not _names(store)
        assert store.cursor(str(source)) == 101
        moment = store.cursor_moment(str(source))
        assert moment is not None
        assert datetime.now(UTC) - moment < timedelta(minutes=10)


def test_a_jetstream_finds_those_who_published_before_at_its_relay(tmp_path: Path) -> None:
    """And what it sends of other collections costs no visit."""
    now = int(time.time() * 1e6)

    def play(connection: ServerConnection, _: int | None) -> None:
        for did in others:
            connection.send(json.dumps({"did": did, "time_us": now, "kind": "commit", "commit": POST}))

    with small_pds() as pds, _stream(play, []) as url, Store.open(tmp_path / "store.sqlite") as store:
        before = pds.account("a", "earlier")
        others = [pds.account(letter, "other").did for letter in "bcd"]
        with _stream(lambda *_: None, [before.did]) as relay:
            source = Source(kind="jetstream", value=url, relay=relay.replace("ws", "http", 1))
            (report,) = crawl(_settings(source, pds), store).sources
        assert report.error is None
        assert _names(store) == {"earlier"}
        assert not [asked for asked in pds.fake.asked if any(did in str(asked) for did in others)]


def test_a_relay_is_named_beside_a_jetstream_only() -> None:
    jetstream = {"jetstream": "wss://jetstream.example.org", "relay": "https://relay.example.org"}
    (source,) = read_settings({"sources": [jetstream]}, Path()).sources
    assert (source.value, source.relay) == ("wss://jetstream.example.org", "https://relay.example.org")
    assert str(source) == "jetstream:wss://jetstream.example.org"
    for wrong in ({"firehose": "wss://a.example", "relay": "https://b.example"}, {**jetstream, "relay": "ftp://x"}):
        with pytest.raises(InvalidConfig):
            read_settings({"sources": [wrong]}, Path())
