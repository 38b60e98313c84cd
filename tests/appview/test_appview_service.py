"""The AppView by HTTP: what clients get, what they can't do to it, and what whoever looks after it can see."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx
import pytest

from catalog.appview import queries, service
from catalog.appview.facets import FACETS
from catalog.appview.logs import _Json, _Lines
from catalog.appview.metrics import Metrics
from catalog.appview.middleware import LONGEST_ADDRESS
from catalog.appview.rate_limit import Buckets, client_of
from catalog.appview.serving import listen
from catalog.appview.xrpc import METHODS
from catalog.atproto.lexicon import Lexicons
from catalog.errors import InvalidConfig
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from tests import sitecatalog
from tests.appviewservices import PREFIX, Asked, asking, serving
from tests.appviewstores import ALICE, BOB, World, at, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from catalog.atproto.datamodel import Json
    from tests.conftest import Watch

ENTRY, TYPE, FLAT, WAY, NAME, WORD = (
    f"{DATASET}/3kentry", f"{SCHEMA}/Digit:1.0.0", f"{SCHEMA}/Flat:1.0.0", f"{LENS}/3klens", f"{LABEL}/3klabel",
    f"{VERIFICATION}/3kword",
)  # fmt: skip


def _records(world: World) -> dict[str, dict[str, Json]]:
    code: Json = {"repository": "https://example.org/lenses", "commit": "0" * 40, "path": "a.py:f"}
    lens: dict[str, Json] = {
        "$type": LENS, "name": "flatten", "sourceSchema": str(uri(TYPE)), "targetSchema": str(uri(FLAT)),
        "getterCode": code, "putterCode": code, "createdAt": at(3),
    }  # fmt: skip
    world.put({WAY: lens})
    cid = world.reader.shown([str(uri(WAY))])[str(uri(WAY))].cid
    word: dict[str, Json] = {
        "$type": VERIFICATION, "lens": str(uri(WAY)), "lensCommit": cid, "verificationMethod": "automatedTest",
        "createdAt": at(5),
    }  # fmt: skip
    label: dict[str, Json] = {
        "$type": LABEL, "name": "tides", "datasetUri": str(uri(ENTRY)), "version": "1.0.0", "createdAt": at(4),
    }  # fmt: skip
    return {
        TYPE: {**sitecatalog.schema("Digit"), "createdAt": at(0)},
        FLAT: {**sitecatalog.schema("Flat"), "createdAt": at(1)},
        ENTRY: dataset(
            "tides", 2, tags=["ocean", "ß"], schemaRef=str(uri(TYPE)), license="MIT", size={"bytes": 2**53 - 1}
        ),
        NAME: label,
        WORD: word,
    }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    opened.put(_records(opened))
    opened.catch_up()
    yield opened
    opened.close()


@pytest.fixture
def asked(world: World, tmp_path: Path) -> Iterator[Asked]:
    with asking(world.path, tmp_path / "counts") as found:
        yield found


def _questions() -> dict[str, list[dict[str, Any]]]:
    entry, schema, flat, lens = (str(uri(path)) for path in (ENTRY, TYPE, FLAT, WAY))
    by_handle = entry.replace(ALICE, "alice.example.org")
    page = {"limit": 1}
    return {
        "resolveSchema": [
            {"handle": "alice.example.org", "schemaId": "Digit"},
            {"handle": ALICE, "schemaId": "Flat", "version": "1.0.0"},
        ],
        "resolveLabel": [{"handle": ALICE, "name": "tides"}],
        "getEntry": [{"uri": entry}, {"uri": by_handle}],
        "getSchema": [{"uri": schema}],
        "getEntries": [{"uris": [entry, by_handle, schema]}],
        "listEntries": [{}, page, {"repo": "alice.example.org"}, {"repo": BOB}],
        "listSchemas": [{}, page],
        "listLenses": [{}, {"sourceSchema": schema}, {"targetSchema": schema}],
        "searchDatasets": [{"q": "tide*"}, {"q": "", "tags": ["ocean", "ß"]}, {"q": "tids", "schemaRef": schema}],
        "searchLenses": [{"sourceSchema": schema, "targetSchema": flat}],
        "search": [
            {}, {"limit": 2}, {"q": "tidse"}, {"facets": [*FACETS]},
            {"kinds": ["label", "verification", "lens"]},
            {"since": at(2), "until": at(2), "minBytes": 1, "maxBytes": 2**53 - 1},
            {"publisher": "alice.example.org", "license": "mit", "state": "verified"},
        ],
        "suggest": [{"q": "ti"}, {"q": "oc"}],
        "listLabels": [{}, {"dataset": entry, "name": "tides"}],
        "getLens": [{"uri": lens}],
        "listVerifications": [{"lens": lens}],
        "getLensPaths": [{"source": schema, "target": flat}, {"source": flat, "target": schema}],
        "getHistory": [{"uri": entry}],
        "getStatistics": [{}],
        "resolveBlobs": [{"uris": [entry, by_handle, schema]}],
        "describeService": [{}],
        "getEntryStats": [{"uri": entry}, {"uri": by_handle, "period": "month"}],
    }  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_every_answer_is_as_its_lexicon_says(asked: Asked, name: str) -> None:
    """Held against the lexicon, and not empty where there is something."""
    for parameters in _questions()[name]:
        asked.query(name, **parameters)
    first = asked.query(name, **_questions()[name][0])
    assert all(part or part in (0, False) for part in first.values())


def test_every_query_has_a_lexicon_and_every_lexicon_a_query() -> None:
    assert [f"science.alt.dataset.{name}" for name in sorted(METHODS)] == sorted(Lexicons.load().queries)


def test_existing_clients_find_what_they_look_for(asked: Asked) -> None:
    """Names and places of what is found, as the wire has them."""
    entry = str(uri(ENTRY))
    found = asked.query("getEntry", uri=entry)["entry"]
    assert (found["uri"], found["did"], found["name"]) == (entry, ALICE, "tides")
    assert asked.query("resolveLabel", handle=ALICE, name="tides")["uri"] == entry
    assert asked.query("resolveSchema", handle=ALICE, schemaId="Digit")["record"]["name"] == "Digit"
    assert [one["uri"] for one in asked.query("searchDatasets", q="tides", tags=["ocean"])["entries"]] == [entry]
    assert [one["name"] for one in asked.query("listSchemas", limit=1)["schemas"]] == ["Flat"]


def test_blobs_are_resolved_to_the_server_of_their_account(asked: Asked, world: World) -> None:
    """A dataset without blobs has a reason instead, and so has one that isn't there."""
    cid = "bafkreiabencwpcnlzxxqci2fm6e2xtppaerukz4jvpg66ajdivtytk6n54"
    blob: Json = {"$type": "blob", "ref": {"$link": cid}, "mimeType": "application/x-tar", "size": 7}
    storage: Json = {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]}
    world.put({f"{DATASET}/blobs": dataset("in blobs", 9, storage=storage)})
    world.catch_up()
    there, elsewhere, gone = str(uri(f"{DATASET}/blobs")), str(uri(ENTRY)), str(uri(f"{DATASET}/gone"))
    found = asked.query("resolveBlobs", uris=[there, elsewhere, gone])["blobs"]
    assert [one["uri"] for one in found] == [there, elsewhere, gone]
    assert found[0]["cid"] == cid
    assert found[0]["url"].endswith(f"/xrpc/com.atproto.sync.getBlob?did={ALICE}&cid={cid}")
    assert "not in blobs" in found[1]["error"]
    assert "no such dataset" in found[2]["error"]


def test_the_service_describes_itself(asked: Asked) -> None:
    found = asked.query("describeService")
    assert found["did"].startswith("did:web:")
    assert DATASET in found["availableCollections"]
    counts = {"entry": 1, "schema": 2, "label": 1, "lens": 1, "lensVerification": 1}
    assert found["recordCount"] == {f"science.alt.dataset.{name}": number for name, number in counts.items()}
    assert found["analytics"]["totalViews"] == 0
    asked.query("getEntry", uri=str(uri(ENTRY)))
    assert asked.query("getEntryStats", uri=str(uri(ENTRY)))["views"] == 1
    assert asked.query("describeService")["analytics"]["totalViews"] == 1, "the answer isn't a cached one"


@pytest.mark.parametrize("apart", [1, 86_400, 10 * 86_400])
def test_pages_are_followed_to_the_end(asked: Asked, world: World, apart: int) -> None:
    """However close together the records are in time."""
    put(world, *[dataset(f"wave {number}", number * apart) for number in range(25)])
    world.catch_up()
    names: list[str] = []
    answer = asked.query("searchDatasets", q="wave", limit=4)
    while True:
        names += [one["name"] for one in answer["entries"]]
        if "cursor" not in answer:
            break
        answer = asked.query("searchDatasets", q="wave", limit=4, cursor=answer["cursor"])
    assert names == [f"wave {number}" for number in reversed(range(25))]


# --- errors ----------------------------------------------------------------------------------------------------------

MISSING = str(uri(f"{DATASET}/3knone"))


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        (f"{PREFIX}getEntry", 400, "InvalidRequest"),
        (f"{PREFIX}getEntry?uri=https://example.org", 400, "InvalidRequest"),
        (f"{PREFIX}getEntry?uri={MISSING}", 404, "NotFound"),
        (f"{PREFIX}getEntry?uri={uri(TYPE)}", 404, "NotFound"),
        (f"{PREFIX}getSchema?uri={uri(ENTRY)}", 404, "NotFound"),
        (f"{PREFIX}getLens?uri={uri(ENTRY)}", 404, "NotFound"),
        (f"{PREFIX}getHistory?uri={MISSING}", 404, "NotFound"),
        (f"{PREFIX}listVerifications?lens={MISSING}", 404, "NotFound"),
        (f"{PREFIX}resolveSchema?handle=alice.example.org&schemaId=None", 404, "SchemaNotFound"),
        (f"{PREFIX}resolveLabel?handle=nobody.example.org&name=tides", 404, "LabelNotFound"),
        (f"{PREFIX}listEntries?limit=0", 400, "InvalidRequest"),
        (f"{PREFIX}listEntries?limit=101", 400, "InvalidRequest"),
        (f"{PREFIX}listEntries?limit=5&limit=6", 400, "InvalidRequest"),
        (f"{PREFIX}listEntries?repo=%00", 400, "InvalidRequest"),
        (f"{PREFIX}listEntries?cursor=nonsense", 400, "InvalidCursor"),
        (f"{PREFIX}search?cursor=1.000000000000..0.1", 400, "InvalidCursor"),
        (f"{PREFIX}getHistory?uri={uri(ENTRY)}&cursor=99", 400, "InvalidCursor"),
        (f"{PREFIX}search?q={'x' * 501}", 400, "InvalidRequest"),
        (f"{PREFIX}search?q=%ff", 400, "InvalidRequest"),
        (f"{PREFIX}search?facets=price", 400, "InvalidRequest"),
        (f"{PREFIX}search?kinds=post", 400, "InvalidRequest"),
        (f"{PREFIX}search?since=yesterday", 400, "InvalidRequest"),
        (f"{PREFIX}search?minBytes=-1", 400, "InvalidRequest"),
        (f"{PREFIX}search?" + "&".join(f"x{number}=1" for number in range(101)), 400, "InvalidRequest"),
        (f"{PREFIX}getEntries?" + "&".join(f"uris={MISSING}" for _ in range(26)), 400, "InvalidRequest"),
        (f"{PREFIX}getLensPaths?source={uri(TYPE)}&target={uri(FLAT)}&steps=9", 400, "InvalidRequest"),
        (f"{PREFIX}search?q={'x' * LONGEST_ADDRESS}", 414, "InvalidRequest"),
        (f"/{'x' * LONGEST_ADDRESS}", 414, "InvalidRequest"),
        (f"{PREFIX}getEverything", 501, "MethodNotImplemented"),
        ("/xrpc/com.atproto.repo.getRecord", 501, "MethodNotImplemented"),
        ("/xrpc/", 404, "NotFound"),
        ("/xrpc/a/b", 404, "NotFound"),
        ("/healthz/", 404, "NotFound"),
        ("/..%2f..%2fetc/passwd", 404, "NotFound"),
    ],
)
def test_errors_have_a_fitting_status_and_name(asked: Asked, path: str, status: int, name: str) -> None:
    found = asked.send(path)
    assert (found.status_code, found.json()["error"]) == (status, name)
    assert found.json().keys() == {"error", "message"}
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [f"{PREFIX}search", "/", "/metrics", f"{PREFIX}getEverything"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_there_is_nothing_to_write(asked: Asked, path: str, method: str) -> None:
    found = asked.send(path, method=method)
    assert found.status_code == 405
    assert set(found.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("name", ["Schema", "Dataset", "Label", "Lens", "LensVerification"])
def test_a_procedure_that_publishes_is_refused_with_where_to_write(asked: Asked, name: str) -> None:
    found = asked.send(f"{PREFIX}publish{name}", method="POST")
    assert (found.status_code, found.json()["error"]) == (501, "MethodNotImplemented")
    assert "the account's server" in found.json()["message"]


def test_what_fails_inside_is_logged_and_not_told(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("catalog.appview.queries.Queries.list_entries", fail)
    with caplog.at_level(logging.ERROR, "catalog.appview"):
        found = asked.send(f"{PREFIX}listEntries")
    assert (found.status_code, found.json()["error"]) == (500, "InternalServerError")
    assert "secret" not in found.text
    assert any(record.exc_info and "secret inside" in str(record.exc_info[1]) for record in caplog.records)


def test_a_store_that_cant_be_read_is_no_error_of_theirs(asked: Asked, world: World) -> None:
    """And the answer has nothing of our paths."""
    for file in world.path.parent.glob("store.sqlite*"):
        if file.is_file():
            file.write_bytes(b"no database" * 1000)
    for path in (f"{PREFIX}listEntries", "/readyz"):
        found = asked.send(path)
        assert (found.status_code, found.json()["error"]) == (503, "NotReady")
        assert found.headers["retry-after"] == "2"
        assert "sqlite" not in found.text.lower()
    assert asked.send("/").status_code == 200
    assert asked.send("/metrics").status_code == 200


def test_while_there_is_no_index_nothing_is_answered_as_if_there_were_nothing(tmp_path: Path) -> None:
    opened = World(tmp_path)
    with asking(opened.path, tmp_path / "counts") as asked:
        assert asked.send(f"{PREFIX}listEntries").json()["error"] == "NotReady"
        assert asked.send("/readyz").status_code == 503
        assert asked.send("/healthz").status_code == 200
        assert "is being built" in asked.send("/").text
        opened.catch_up()
        assert asked.query("listEntries") == {"entries": []}
        assert asked.send("/readyz").json() == {"ready": True, "behind": 0}
    opened.close()


def test_when_too_many_ask_at_once_some_are_turned_away(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_WAITING", 0)
    found = asked.send(f"{PREFIX}listEntries")
    assert (found.status_code, found.headers["retry-after"]) == (503, "2")
    assert asked.send("/healthz").status_code == 200


def test_an_answer_has_a_size_that_it_doesnt_exceed(
    asked: Asked, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages get shorter instead, and still lead to every record once."""
    put(world, *[dataset(f"big {number}", 10, description="ü" * 2400) for number in range(40)])
    world.catch_up()
    monkeypatch.setattr(queries, "MOST_COST", 20_000)
    names: list[str] = []
    more: dict[str, str] = {}
    while True:
        found = asked.send(f"{PREFIX}searchDatasets?{httpx.QueryParams({'q': 'big', 'limit': 100, **more})}")
        assert len(found.content) <= 20_000
        answer = found.json()
        names += [one["name"] for one in answer["entries"]]
        if "cursor" not in answer:
            break
        more = {"cursor": answer["cursor"]}
    assert sorted(names) == sorted(f"big {number}" for number in range(40))


# --- caching, compression, HEAD, other origins -----------------------------------------------------------------------


def test_an_answer_that_hasnt_changed_isnt_sent_again(asked: Asked, world: World) -> None:
    path = f"{PREFIX}searchDatasets?q=tides"
    first = asked.send(path)
    held = first.headers["etag"]
    assert held.startswith('W/"')
    assert first.headers["cache-control"] == "public, no-cache"
    same = asked.send(path, head={"if-none-match": f'"other", {held}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", held)
    # Something else changed: the same answer, of another state.
    put(world, dataset("elsewhere"), did=BOB)
    world.catch_up()
    other = asked.send(path, head={"if-none-match": held})
    assert other.status_code == 304
    assert other.headers["etag"] != held
    world.take([ENTRY])
    assert asked.send(path, head={"if-none-match": held}).json() == {"entries": []}, "gone before the index knows"


def test_statistics_are_never_taken_for_unchanged_unless_they_are(asked: Asked, world: World) -> None:
    held = asked.send(f"{PREFIX}getStatistics").headers["etag"]
    assert asked.send(f"{PREFIX}getStatistics", head={"if-none-match": held}).status_code == 304
    world.queries._statistics = None
    put(world, dataset("more"), did=BOB)
    time.sleep(2.1)
    assert asked.send(f"{PREFIX}getStatistics", head={"if-none-match": held}).json()["behind"] > 0


def test_large_answers_are_compressed_for_who_can_read_that(asked: Asked, world: World) -> None:
    put(world, *[dataset(f"wave {number}") for number in range(20)])
    world.catch_up()
    plain = asked.send(f"{PREFIX}listEntries")
    packed = asked.send(f"{PREFIX}listEntries", head={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert "content-encoding" not in asked.send("/healthz", head={"accept-encoding": "gzip"}).headers


@pytest.mark.parametrize("path", [f"{PREFIX}listEntries", f"{PREFIX}getEntry?uri=x", "/", "/openapi.json", "/nowhere"])
def test_head_is_get_without_the_body(asked: Asked, path: str) -> None:
    whole, head = asked.send(path), asked.send(path, method="HEAD")
    assert head.content == b""
    assert head.status_code == whole.status_code
    changing = {"ratelimit-remaining", "ratelimit-reset"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in whole.headers.items() if k not in changing
    }


def test_pages_of_every_origin_may_ask(asked: Asked) -> None:
    found = asked.send(f"{PREFIX}listEntries", head={"origin": "https://data.example.org"})
    assert found.headers["access-control-allow-origin"] == "*"
    assert "ETag" in found.headers["access-control-expose-headers"]
    before = asked.send(f"{PREFIX}listEntries", method="OPTIONS", head={"origin": "https://data.example.org"})
    assert (before.status_code, before.content) == (204, b"")
    assert before.headers["access-control-allow-methods"] == "GET, HEAD"
    assert asked.send(f"{PREFIX}getEntry").headers["access-control-allow-origin"] == "*", "errors are read, too"


def test_pages_of_other_origins_may_not_where_that_is_set(world: World, tmp_path: Path) -> None:
    with asking(world.path, tmp_path / "counts", origins=("https://data.example.org",)) as asked:
        ours = asked.send("/xrpc/_health", head={"origin": "https://data.example.org"})
        theirs = asked.send("/xrpc/_health", head={"origin": "https://evil.example"})
    assert ours.headers["access-control-allow-origin"] == "https://data.example.org"
    assert "access-control-allow-origin" not in theirs.headers
    assert "Origin" in theirs.headers["vary"]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_who_asks_too_often_is_told_to_wait(world: World, tmp_path: Path) -> None:
    """Each client by itself; and never whoever looks after the service."""
    with asking(world.path, tmp_path / "counts", requests=3, seconds=60) as asked:
        statuses = [asked.send(f"{PREFIX}listEntries", client="192.0.2.1").status_code for _ in range(4)]
        refused = asked.send(f"{PREFIX}listEntries", client="192.0.2.1")
        other = asked.send(f"{PREFIX}listEntries", client="192.0.2.2")
        careful = [
            asked.send(path, client="192.0.2.1").status_code
            for path in ("/healthz", "/readyz", "/metrics", "/xrpc/_health")
        ]
    assert statuses == [200, 200, 200, 429]
    assert refused.json()["error"] == "RateLimitExceeded"
    assert refused.headers["ratelimit-policy"] == "3;w=60"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert (other.status_code, other.headers["ratelimit-remaining"]) == (200, "2")
    assert careful == [200] * 4


def test_a_bucket_fills_evenly() -> None:
    buckets = Buckets(10, 100)
    assert [buckets.take("a", 0.0).left for _ in range(10)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    empty = buckets.take("a", 0.0)
    assert (empty.allowed, empty.wait, empty.reset) == (False, 10, 100)
    assert not buckets.take("a", 9.9).allowed
    assert buckets.take("a", 10.1).allowed
    assert buckets.take("a", 10_000.0).left == 9, "never more than full"


def test_no_more_clients_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.appview.rate_limit.MOST_CLIENTS", 100)
    buckets = Buckets(10, 100)
    for number in range(1000):
        buckets.take(str(number), 0.0)
    assert len(buckets) == 100


PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, <script>", "10.0.0.1"),
        ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("2001:db8:1:2:ffff::1", "", "2001:db8:1:2::/64"),
        (None, "198.51.100.7", "unknown"),
    ],
)
def test_a_client_is_who_the_last_proxy_that_is_trusted_says(peer: str | None, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


def test_behind_a_trusted_proxy_clients_are_told_apart(world: World, tmp_path: Path) -> None:
    settings = {"requests": 1, "seconds": 60, "trusted_proxies": PROXIES}
    with asking(world.path, tmp_path / "counts", **settings) as asked:

        def status(peer: str, forwarded: str) -> int:
            return asked.send("/openapi.json", client=peer, head={"x-forwarded-for": forwarded}).status_code

        through = [status("10.0.0.1", f"198.51.100.{number}") for number in (1, 2, 1)]
        pretending = [status("192.0.2.1", f"198.51.100.{number}") for number in (8, 9)]
    assert through == [200, 200, 429]
    assert pretending == [200, 429]


# --- looking after it ------------------------------------------------------------------------------------------------


def test_metrics_count_by_query_and_status_and_by_nothing_that_clients_choose(asked: Asked) -> None:
    asked.send(f"{PREFIX}listEntries")
    asked.send(f"{PREFIX}listEntries?limit=0")
    for number in range(20):
        asked.send(f"/xrpc/org.example.made{number}")
        asked.send(f"/{number}", method="POST")
    text = asked.send("/metrics").text
    assert 'catalog_requests_total{method="listEntries",status="200"} 1' in text
    assert 'catalog_requests_total{method="listEntries",status="400"} 1' in text
    assert 'catalog_requests_total{method="other",status="501"} 20' in text
    assert 'catalog_request_seconds_bucket{method="listEntries",le="+Inf"} 2' in text
    assert "catalog_index_ready 1" in text
    assert "catalog_index_records 6" in text
    assert "catalog_index_behind 0" in text
    assert "made" not in text
    names = set(re.findall(r'method="(\w+)"', text))
    assert names == {*METHODS, "other"}
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in text.splitlines())


def test_the_counts_of_several_processes_are_added_up(tmp_path: Path) -> None:
    """And those of one that ended stay."""
    code = (
        "import sys; from pathlib import Path; from catalog.appview.metrics import Metrics;"
        "Metrics(Path(sys.argv[1])).count('search', 200, 0.004, 10)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    metrics = Metrics(tmp_path)
    metrics.count("search", 200, 0.3, 5)
    text = metrics.text({})
    metrics.close()
    assert 'catalog_requests_total{method="search",status="200"} 3' in text
    assert 'catalog_request_seconds_bucket{method="search",le="0.005"} 2' in text
    assert 'catalog_response_bytes_total{method="search"} 25' in text


@pytest.mark.parametrize("formatter", [_Json(), _Lines()])
def test_a_request_is_one_line_whatever_it_holds(
    asked: Asked, caplog: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    with caplog.at_level(logging.INFO, "catalog.appview"):
        asked.send(f"{PREFIX}search?q={'%0aerror failed ' * 30}&limit=%1b%5b31m")
        asked.send("/%0a2026-01-01%20fake%1b")
    requests = [record for record in caplog.records if record.getMessage() == "request"]
    assert len(requests) == 2
    for record in requests:
        line = formatter.format(record)
        assert line.isprintable()
        assert len(line) < 1000
    first = json.loads(_Json().format(requests[0]))
    assert first["path"] == f"{PREFIX}search"
    assert len(first["query"]) <= 200
    assert {"time", "level", "status", "ms", "bytes", "client", "method"} <= first.keys()


def test_a_service_with_a_public_address_is_a_did_web(world: World, tmp_path: Path) -> None:
    with asking(world.path, tmp_path / "a") as asked:
        assert asked.send("/.well-known/did.json").status_code == 404
    with asking(world.path, tmp_path / "b", url="https://appview.example.org") as asked:
        document = asked.send("/.well-known/did.json").json()
    assert document["id"] == "did:web:appview.example.org"
    [service_] = document["service"]
    assert (service_["id"], service_["serviceEndpoint"]) == ("#dataset_appview", "https://appview.example.org")


# --- as a process ----------------------------------------------------------------------------------------------------


def _config(world: World, more: str = "") -> Path:
    file = world.path.parent / "mkdocs.yml"
    file.write_text(f"plugins: [catalog: {{store: {world.path}{more}}}]\n", encoding="utf-8")
    return file


def test_several_processes_answer_from_one_index_and_notice_what_is_new(world: World) -> None:
    with serving(_config(world), "--no-follow", "--workers", "2") as served:
        served.until_ready()
        assert len(served.query("listEntries")["entries"]) == 1
        put(world, dataset("newest", 9))
        world.catch_up()
        for _ in range(20):
            with httpx.Client(
                base_url=served.url, timeout=60
            ) as other:  # a connection of its own, so perhaps another process
                assert other.get(f"{PREFIX}listEntries").json()["entries"][0]["name"] == "newest"
        assert 'method="listEntries",status="200"} 21' in served.client.get("/metrics").text, "whoever is asked"
        assert served.end() == 0
    assert served.lines[-1]["event"] == "ended"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they share a socket")
def test_connections_are_dealt_out_to_all_processes(world: World) -> None:
    """Also those that come all at once; and nobody else gets the port."""
    with serving(_config(world), "--no-follow", "--workers", "2") as served, ExitStack() as stack:
        served.until_ready()
        host, port = urlsplit(served.url).hostname, urlsplit(served.url).port
        deadline = time.monotonic() + 60
        while _listening(port) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = [child for child in _children(served.process.pid) if _sockets_of(child)]
        before = {worker: len(_sockets_of(worker)) for worker in workers}
        for _ in range(64):
            stack.enter_context(socket.create_connection((host, port)))
        deadline = time.monotonic() + 60
        while sum(len(_sockets_of(worker)) - before[worker] for worker in workers) < 64:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        more = [len(_sockets_of(worker)) - before[worker] for worker in workers]
        assert sum(number >= 10 for number in more) == 2, more
        with pytest.raises(InvalidConfig, match="can't listen there"):
            listen(f"{host}:{port}")


def _listening(port: int | None) -> int:
    """Return the number of listening sockets; 0A is the state LISTEN: proc(5)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(line[3] == "0A" and line[1].endswith(f":{port:04X}") for line in lines)


def _children(pid: int) -> list[int]:
    lists = [file.read_text(encoding="ascii") for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in lists for child in text.split()]


def _sockets_of(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(link.readlink()))
    return [name for name in found if name.startswith("socket:")]


def test_a_worker_doesnt_outlive_a_service_that_was_killed(world: World) -> None:
    with serving(_config(world), "--no-follow", "--workers", "2") as served:
        served.until_ready()
        served.end(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{served.url}/healthz", timeout=5)
            except httpx.TransportError:
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_request_under_way_is_finished_before_the_end(world: World) -> None:
    """SIGTERM while clients ask: every answer that began is whole, and the command ends well."""
    put(world, *[dataset(f"wave {number}", description="x" * 3000) for number in range(100)])
    world.catch_up()
    with serving(_config(world, ", appview: {rate_limit: false}"), "--no-follow") as served:
        served.until_ready()
        count = 0
        with httpx.Client(base_url=served.url, timeout=30) as client:
            try:
                while True:
                    found = client.get(f"{PREFIX}listEntries?limit=100")
                    assert len(found.json()["entries"]) == 100
                    count += 1
                    if count == 5:
                        served.process.send_signal(signal.SIGTERM)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                pass  # a new request on a connection that was closed in between
        assert count >= 5
        assert served.process.wait(60) == 0


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "no.such.host.invalid:1", "127.0.0.1:{taken}"])
def test_an_address_that_cant_be_had_is_one_line(world: World, address: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = address.format(taken=taken.getsockname()[1])
        command = [sys.executable, "-m", "catalog", "appview", "-f", str(_config(world)), "-a", address]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert address in ran.stderr


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_for_people_asks_nobody_and_fits_a_phone(
    world: World, page: Page, watch: Watch, scheme: Literal["light", "dark"]
) -> None:
    with serving(_config(world), "--no-follow") as served:
        served.until_ready()
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 700})
        page.goto(served.url)
        assert page.locator("h1").inner_text() == "Datasets on the AT Protocol"
        assert page.locator(".counts dd").first.inner_text() == "1"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        back, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (back == "rgb(255, 255, 255)") is (scheme == "light")
        assert back != ink
        page.close()
    assert watch.errors == []
    assert watch.strangers == []
