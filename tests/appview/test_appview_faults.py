"""Whatever one record, account or file causes in the AppView ends only the work on it, and is reported."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

import pytest

from catalog.appview import health, service
from catalog.appview import worker as following
from catalog.appview.document import document
from catalog.appview.health import DEAD, RESTARTING, RUNNING, Health, Work, read_health
from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.appview.lens_network import LensNetwork
from catalog.appview.queries import Queries
from catalog.appview.serializers import hit_of, item_of
from catalog.appview.worker import _Following
from catalog.atproto import datamodel
from catalog.config import CatalogSettings, Source
from catalog.errors import StoreBusy, StoreError
from catalog.records import DATASET, LENS, SCHEMA, VERIFICATION
from catalog.store import PastCrawl
from catalog.store.reader import Past, Reader, Shown
from tests import sitecatalog
from tests.appviewservices import PREFIX, asking
from tests.appviewstores import ALICE, BOB, HANDLES, SOURCE, World, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from tests.appviewservices import Asked

FAULTS = (ValueError, RecursionError, MemoryError, OSError)


class Panic(BaseException):
    """As the search engine's panics: not an Exception."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


def _twenty(world: World) -> list[str]:
    put(world, *(dataset(f"tide {number}", number) for number in range(20)))
    return [f"tide {number}" for number in range(20)]


def _failing(real: Callable[..., Any], fault: type[BaseException]) -> Callable[..., Any]:
    """The function, which fails for the record k00007."""

    def fail(shown: Any, *more: Any) -> Any:  # noqa: ANN401 - whatever it takes
        if shown.uri.endswith("/k00007"):
            raise fault("in the way")
        return real(shown, *more)

    return fail


# --- the index -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("anew", ["built", "caught up"])
def test_a_record_that_cant_be_indexed_is_left_out_and_reported(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: type[Exception], anew: str
) -> None:
    """When the index is built, and when it catches up; once the cause is gone, a check takes the record in."""
    if anew == "caught up":
        world.catch_up()
    names = _twenty(world)
    told: list[str] = []
    with Indexer(world.index, world.reader) as indexer:
        with monkeypatch.context() as patch:
            patch.setattr("catalog.appview.indexer.document", _failing(document, fault))
            stop = threading.Event()
            indexer.follow(stop, progress=told.append, done=stop.set)
        assert set(world.names("tide")) == {*names} - {"tide 7"}
        assert world.queries.behind == 0
        assert [*indexer.left_out] == [str(uri(f"{DATASET}/k00007"))]
        assert any(fault.__name__ in line and "k00007" in line for line in told)
        assert indexer.check().missing == 1
        assert set(world.names("tide")) == {*names}
        assert indexer.left_out == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_schema_that_fails_costs_its_datasets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def fail(_: object) -> None:
        raise fault("in the way")

    world.put({f"{SCHEMA}/k00007": sitecatalog.schema("Wave")})
    put(world, dataset("tide", schemaRef=str(uri(f"{SCHEMA}/k00007"))))
    monkeypatch.setattr("catalog.appview.indexer.facts_of", fail)
    world.catch_up()
    assert world.names("tide") == ["tide"]


def _damage(path: Path, mark: bytes) -> None:
    """Overwrite the page of the store that has ``mark``, as a bad disk would."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
    raw = bytearray(path.read_bytes())
    places = [at for at in range(0, len(raw), size) if mark in raw[at : at + size]]
    assert places
    for at in places:
        raw[at : at + 4] = b"\xff\xff\xff\xff"  # of an overflow page: the number of the next one
    path.write_bytes(raw)


def test_a_damaged_part_of_the_store_costs_only_the_records_in_it(world: World, tmp_path: Path) -> None:
    """The index is built from the others; lists have the others, and all that is asked for is answered."""
    names = _twenty(world)
    marked = "".join(f"damaged{number:05}" for number in range(1500))
    world.put({f"{DATASET}/k00007": dataset("tide 7", license="MIT", contentMetadata={"a": marked})})
    world.catch_up()
    world.close()
    _damage(world.path, b"damaged00700")
    opened = World(tmp_path)
    anew = Index(tmp_path / "anew")
    with Indexer(anew, opened.reader) as indexer:
        assert indexer.rebuild() == 20 - len(indexer.left_out)
        left_out = {f"tide {int(key[-5:])}" for key in indexer.left_out}
    assert "tide 7" in left_out
    assert len(left_out) < 5, "SQLite reads a record to find its neighbours"
    found = Queries(anew, opened.reader).search_datasets(q="tide", limit=100)["entries"]
    assert {one["name"] for one in found} == {*names} - left_out
    with asking(opened.path, tmp_path / "counts") as asked:
        assert asked.send(f"{PREFIX}getEntry?uri={uri(f'{DATASET}/k00007')}").status_code == 503
        assert asked.query("getEntry", uri=str(uri(f"{DATASET}/k00002")))["entry"]["name"] == "tide 2"
    opened.close()


# --- the follower ----------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.01)


def _settings(world: World) -> CatalogSettings:
    return CatalogSettings(store=world.path, sources=(Source(kind="pds", value="https://pds.example"),))


class _Run:
    """A follower that runs in this process until the block ends."""

    def __init__(self, world: World) -> None:
        self.folder = directory(world.path)
        self.inner = _Following(_settings(world), self.folder)
        self._thread = threading.Thread(target=self.inner.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.inner.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def until(self, holds: Callable[[Health], bool]) -> Health:
        deadline = time.monotonic() + 60
        while True:
            found = read_health(self.folder)
            if found is not None and holds(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.01)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", [*FAULTS, SystemExit, Panic])
@pytest.mark.parametrize("work", ["sources", "index"])
def test_the_follower_goes_on_whatever_it_raised(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], work: str
) -> None:
    """Again and again with pauses; meanwhile the other work goes on, and once the cause is gone this one does."""
    _twenty(world)
    mended = threading.Event()

    def crawl(*_: object, stop: threading.Event, watch: Callable[[Any], object], **__: object) -> None:
        if work == "sources" and not mended.is_set():
            raise fault("in the way")
        watch([])
        watch([])
        stop.wait(60)
        raise StoreError("the end")

    follow = Indexer.follow

    def index(self: Indexer, *given: Any, **more: Any) -> None:  # noqa: ANN401 - as follow's
        if work == "index" and not mended.is_set():
            raise fault("in the way")
        follow(self, *given, **more)

    monkeypatch.setattr(following, "follow", crawl)
    monkeypatch.setattr(Indexer, "follow", index)
    other = "index" if work == "sources" else "sources"
    with _Run(world) as run:
        failing = run.until(lambda found: found.works[work].restarts >= 3 and found.works[other].success is not None)
        assert failing.works[work].state == failing.state == RESTARTING
        assert failing.works[work].error == "InternalError"
        assert failing.works[other].state == RUNNING
        mended.set()
        well = run.until(lambda found: found.works[work].success is not None)
        assert well.state == RUNNING
        assert well.works[work].error == "InternalError", "of the last error the class stays known"
    assert read_health(run.folder) is None, "one that ended well isn't taken for a dead one"
    assert len(world.names("tide")) == 20


@pytest.mark.usefixtures("quick")
def test_pauses_grow_to_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Following(_settings(world), directory(world.path))
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 12:
                self.set()
            return self.is_set()

    def fail() -> None:
        raise RecursionError

    monkeypatch.setattr(following, "AGAIN_SECONDS", 2.0)
    run.stop = Stop()
    run._again("index", fail)
    assert pauses == sorted(pauses)
    assert pauses[0] >= 2
    assert pauses[-1] == 60


def test_a_follower_that_crashed_counts_and_a_silent_one_is_dead(world: World) -> None:
    folder = directory(world.path)
    told = Health(works={"index": Work(success=1.0), "sources": Work(success=2.0, restarts=4, error="StoreError")})
    told.write(folder)
    assert read_health(folder) == told
    assert _Following(_settings(world), folder).health.restarts == 1
    past = time.time() - health.DEAD_SECONDS - 1
    os.utime(folder / health.HEARTBEAT, (past, past))
    silent = read_health(folder)
    assert silent is not None
    assert (silent.state, silent.works["sources"].restarts) == (DEAD, 4)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"works": {"index": 1}, "left_out": 0, "restarts": 0}', '{"works": []}', "\xff"]
)
def test_a_broken_heartbeat_is_a_dead_follower(world: World, text: str) -> None:
    (directory(world.path) / health.HEARTBEAT).write_bytes(text.encode("latin-1"))
    found = read_health(directory(world.path))
    assert found is not None
    assert found.state == DEAD


def test_readiness_metrics_and_page_tell_of_the_follower(world: World, tmp_path: Path) -> None:
    """Restarting, then dead; with nothing of our insides."""
    _twenty(world)
    world.catch_up()
    folder = directory(world.path)
    works = {"index": Work(success=time.time()), "sources": Work(success=1e9)}
    works["sources"].failed("StoreError")
    Health(works=works, left_out=3).write(folder)
    with asking(world.path, tmp_path / "counts") as asked:
        ready = asked.send("/readyz")
        assert ready.status_code == 200
        told = ready.json()["following"]
        assert (told["state"], told["leftOut"]) == (RESTARTING, 3)
        assert told["sources"] == {
            "state": RESTARTING, "restarts": 1, "lastSuccess": "2001-09-09T01:46:40.000Z", "lastError": "StoreError",
        }  # fmt: skip
        lines = asked.send("/metrics").text.splitlines()
        assert {
            "catalog_follower_up 1", "catalog_sources_running 0", "catalog_index_running 1",
            "catalog_sources_restarts 1", "catalog_index_left_out 3", 'catalog_sources_error{kind="StoreError"} 1',
        } <= {*lines}  # fmt: skip
        assert "Sources: 1 restarts" in asked.send("/").text
        past = time.time() - health.DEAD_SECONDS - 1
        os.utime(folder / health.HEARTBEAT, (past, past))
        assert asked.send("/readyz").json()["following"]["state"] == DEAD
        assert "catalog_follower_up 0" in asked.send("/metrics").text
        assert "not followed" in asked.send("/").text


def test_an_empty_index_is_not_ready_before_the_first_crawl_ends(world: World, tmp_path: Path) -> None:
    """Queries don't answer that there is nothing while the follower still reads the sources."""
    world.catch_up()
    Health(works={"index": Work(), "sources": Work()}).write(directory(world.path))
    with asking(world.path, tmp_path / "counts") as asked:
        for path in ("/readyz", f"{PREFIX}search?q=tide"):
            answer = asked.send(path)
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        world.store.put_crawl(PastCrawl(ended=sitecatalog.SEEN, report={}))
        assert asked.send("/readyz").status_code == 200
        assert asked.query("search", q="tide")["hits"] == []


def test_an_empty_index_is_not_ready_until_it_has_what_the_store_has(world: World, tmp_path: Path) -> None:
    """Neither between the end of the first crawl and the indexing of its records, nor after a change of the sources."""
    world.catch_up()
    with asking(world.path, tmp_path / "counts") as asked:
        world.put({f"{DATASET}/k": dataset("tide")})
        world.store.put_crawl(PastCrawl(ended=sitecatalog.SEEN, report={}))
        assert asked.send("/readyz").status_code == 503
        world.store.configure(["http://other.example"], [])
        world.catch_up()
        assert asked.query("search", q="tide")["hits"] == []
        world.store.configure([SOURCE], [])
        assert asked.send("/readyz").status_code == 503
        world.catch_up()
        assert len(asked.query("search", q="tide")["hits"]) == 1


def test_nothing_in_a_heartbeat_becomes_a_label_or_a_line(world: World, tmp_path: Path) -> None:
    """Whoever can write the file can't forge metrics."""
    world.catch_up()
    folder = directory(world.path)
    forged = {"works": {"index": {"state": "<b>", "success": None, "restarts": 0, "error": 'x"} 1\ncatalog 2'}}}
    (folder / health.HEARTBEAT).write_text(json.dumps({**forged, "left_out": 0, "restarts": 0}))
    with asking(world.path, tmp_path / "counts") as asked:
        assert "catalog 2" not in asked.send("/metrics").text
        assert asked.send("/readyz").json()["following"]["index"]["state"] == DEAD


# --- storage ---------------------------------------------------------------------------------------------------------


def test_an_index_that_cant_be_written_is_told_apart_from_one_that_another_writes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one is waited for, the other fails with growing pauses, and says what to do."""

    class Broken:
        def writer(self, *_: object) -> None:
            raise ValueError("An IO error occurred: 'Read-only file system (os error 30)'")

    with Indexer(world.index, world.reader), pytest.raises(StoreBusy):
        world.index.writer(heap=50_000_000, threads=1)
    monkeypatch.setattr(world.index, "_index", Broken())
    with pytest.raises(StoreError) as failed:
        world.index.writer(heap=50_000_000, threads=1)
    assert not isinstance(failed.value, StoreBusy)
    assert failed.value.where == str(world.index.folder)
    assert "disk" in (failed.value.hint or "")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("state", ["damaged", "missing folder", "someone else's"])
def test_a_broken_store_is_tried_again_with_pauses_and_used_once_it_is_well(world: World, state: str) -> None:
    put(world, dataset("tide"))
    world.catch_up()
    world.close()
    whole = world.path.read_bytes()
    for end in ("-wal", "-shm"):
        world.path.with_name(world.path.name + end).unlink(missing_ok=True)
    if state == "missing folder":
        world.path.unlink()
        world.path.mkdir()
    elif state == "damaged":
        world.path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    else:
        world.path.write_bytes(b"")
        with closing(sqlite3.connect(world.path)) as db:
            db.execute("CREATE TABLE theirs (x)")
    run = _Following(CatalogSettings(store=world.path), directory(world.path))
    thread = threading.Thread(target=run.run)
    thread.start()
    deadline = time.monotonic() + 60
    while run.health.works["index"].restarts < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert run.health.works["index"].error == "StoreError"
    if world.path.is_dir():
        world.path.rmdir()
    for end in ("-wal", "-shm"):
        world.path.with_name(world.path.name + end).unlink(missing_ok=True)
    world.path.write_bytes(whole)
    while run.health.works["index"].success is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.stop.set()
    thread.join(60)


# --- answers ---------------------------------------------------------------------------------------------------------


def _hostile(name: str, seconds: int, parts: int = 200_000) -> dict[str, Json]:
    """A valid record that is small on the wire and large in memory."""
    return dataset(name, seconds, tags=["hostile"], contentMetadata={"a": [[] for _ in range(parts)]})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_record_that_cant_be_answered_is_left_out(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    fault: type[Exception],
) -> None:  # fmt: skip
    """Of each list and search; the record by itself is an error of that request only."""
    names = _twenty(world)
    world.catch_up()
    monkeypatch.setattr("catalog.appview.queries.item_of", _failing(item_of, fault))
    monkeypatch.setattr("catalog.appview.queries.hit_of", _failing(hit_of, fault))
    others = {*names} - {"tide 7"}
    wanted = [str(uri(f"{DATASET}/k{number:05}")) for number in range(20)]
    with asking(world.path, tmp_path / "counts") as asked:
        assert {one["name"] for one in asked.query("listEntries")["entries"]} == others
        assert {one["name"] for one in asked.query("searchDatasets", q="tide")["entries"]} == others
        assert {one["record"]["name"] for one in asked.query("search", q="tide")["hits"]} == others
        assert {one["name"] for one in asked.query("getEntries", uris=wanted)["entries"]} == others
        alone = asked.send(f"{PREFIX}getEntry?uri={wanted[7]}")
        assert (alone.status_code, alone.json()["error"]) == (500, "InternalServerError")
        assert "in the way" not in alone.text
        assert asked.query("getEntry", uri=wanted[8])["entry"]["name"] == "tide 8"
    assert any("k00007" in str(getattr(record, "fields", "")) for record in caplog.records)


@pytest.mark.parametrize("fault", [*FAULTS, Panic])
def test_a_handlers_exception_is_that_requests_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    _twenty(world)
    world.catch_up()

    def fail(*_: object, **__: object) -> None:
        raise fault("in the way")

    monkeypatch.setattr("catalog.appview.queries.Queries.list_entries", fail)
    monkeypatch.setattr("catalog.appview.queries.Queries.statistics", fail)
    with asking(world.path, tmp_path / "counts") as asked:
        for _ in range(5):
            found = asked.send(f"{PREFIX}listEntries")
            assert (found.status_code, found.json()["error"]) == (500, "InternalServerError")
        assert len(asked.query("searchDatasets", q="tide")["entries"]) == 20
        assert asked.send("/").status_code == 200
        assert asked.send("/readyz").status_code == 200
        assert asked.send("/metrics").status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lens_that_fails_is_no_step_of_a_path_and_no_other_suffers(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    code: Json = {"repository": "https://example.org/lenses", "commit": "0" * 40, "path": "a.py:f"}
    ends = {name: str(uri(f"{SCHEMA}/{name}")) for name in "ab"}
    lens: dict[str, Json] = {
        "$type": LENS, "name": "l", "sourceSchema": ends["a"], "targetSchema": ends["b"], "getterCode": code,
        "putterCode": code, "createdAt": "2026-01-02T03:04:05.000Z",
    }  # fmt: skip
    world.put({f"{LENS}/k{number:05}": lens for number in range(20)})
    world.catch_up()
    take = LensNetwork._take

    def fail(self: LensNetwork, shown: Any) -> None:  # noqa: ANN401
        if shown.uri.endswith("/k00007"):
            raise fault("in the way")
        take(self, shown)

    monkeypatch.setattr(LensNetwork, "_take", fail)
    found = world.queries.lens_paths(source=ends["a"], target=ends["b"], limit=100)
    assert len(found["paths"]) == 19


def test_lists_have_of_a_large_record_its_main_fields_and_one_query_has_it_whole(world: World, tmp_path: Path) -> None:
    """Each record once, whatever the pages; what is whole is exactly what was published."""
    put(world, *(dataset(f"tide {number}", number) for number in range(10)))
    large = _hostile("tide large", 5)
    own: dict[str, Json] = {**large, "uri": "theirs", "verified": "theirs", "partial": False, "draft": "theirs"}
    world.put({f"{DATASET}/large": large, f"{DATASET}/own": own})
    world.catch_up()
    address = str(uri(f"{DATASET}/large"))
    with asking(world.path, tmp_path / "counts") as asked:
        for name in ("listEntries", "searchDatasets"):
            found = {one["uri"]: one for one in _pages(asked, name, "entries")}
            assert len(found) == 12
            assert [key for key, one in found.items() if one.get("partial")] == [address, str(uri(f"{DATASET}/own"))]
            assert found[address].keys() == {
                "uri", "cid", "did", "handle", "verified", "indexedAt", "partial", "name", "schemaRef", "createdAt",
                "tags", "description", "license", "size",
            } & ({*found[address]} | {"partial", "tags"})  # fmt: skip
            assert (found[address]["name"], found[address]["tags"]) == ("tide large", ["hostile"])
        hits = {one["uri"]: one for one in _pages(asked, "search", "hits")}
        assert hits[address]["partial"] is True
        assert hits[address]["record"]["schemaRef"] == large["schemaRef"]
        assert "contentMetadata" not in hits[address]["record"]
        entry = asked.query("getEntry", uri=address)["entry"]
        assert {key: entry[key] for key in large if key != "$type"} == {k: v for k, v in large.items() if k != "$type"}
        assert "partial" not in entry
        theirs = asked.query("getEntry", uri=str(uri(f"{DATASET}/own")))["entry"]
        assert (theirs["uri"], theirs["verified"]) == (str(uri(f"{DATASET}/own")), True)
        assert "draft" not in theirs
        assert asked.query("getHistory", uri=address)["versions"][0]["record"] == large
        several = asked.query("getEntries", uris=[address, str(uri(f"{DATASET}/k00001"))])["entries"]
        assert [one.get("partial", False) for one in several] == [True, False]


def _pages(asked: Asked, name: str, part: str, limit: int = 100) -> list[dict[str, Any]]:
    """Everything that a query lists, page by page."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {"q": "tide"} if name.startswith("search") else {}
    while True:
        answer = asked.query(name, limit=limit, **more)
        found += answer[part]
        if "cursor" not in answer:
            return found
        more["cursor"] = answer["cursor"]


def test_large_schemas_and_lenses_are_bounded_too(world: World, tmp_path: Path) -> None:
    """As facets, ends, steps, suggestions, and by their names."""
    big: Json = [[] for _ in range(200_000)]
    code: Json = {"repository": "https://example.org/lenses", "commit": "0" * 40, "path": "a.py:f"}
    schema, lens = f"{SCHEMA}/Wave:1.0.0", f"{LENS}/k"
    world.put({
        schema: {**sitecatalog.schema("Wave"), "more": big},
        lens: {
            "$type": LENS, "name": "wave lens", "sourceSchema": str(uri(schema)), "targetSchema": str(uri(schema)),
            "getterCode": code, "putterCode": code, "createdAt": "2026-01-02T03:04:05.000Z", "metadata": {"a": big},
        },
    })  # fmt: skip
    put(world, dataset("tide", schemaRef=str(uri(schema))))
    world.catch_up()
    with asking(world.path, tmp_path / "counts") as asked:
        assert [one.get("partial") for one in asked.query("listSchemas")["schemas"]] == [True]
        assert [one.get("partial") for one in asked.query("listLenses")["lenses"]] == [True]
        (facet,) = asked.query("search", q="tide", facets=["schema"])["facets"]
        assert facet["values"][0]["label"] == "Wave 1.0.0"
        found = asked.query("getLens", uri=str(uri(lens)))
        assert found["source"] == {"uri": str(uri(schema)), "name": "Wave", "version": "1.0.0"}
        assert found["lens"]["metadata"] == {"a": big}
        assert asked.query("getSchema", uri=str(uri(schema)))["more"] == big
        assert asked.query("resolveSchema", handle=ALICE, schemaId="Wave")["record"]["more"] == big
        assert {one["text"] for one in asked.query("suggest", q="wave")["suggestions"]} == {"Wave", "wave lens"}


def test_an_answer_costs_no_more_than_its_budget_however_much_there_is(world: World, tmp_path: Path) -> None:
    """Decoded bytes count: of records just below what is large, a few fill an answer; pages lead to all of them."""
    put(world, *(_hostile(f"tide {number}", number, 12_000) for number in range(30)))
    world.catch_up()
    with asking(world.path, tmp_path / "counts") as asked:
        first = asked.query("listEntries", limit=100)
        assert not any("partial" in one for one in first["entries"])
        assert len(first["entries"]) < 10
        assert "cursor" in first
        names = [one["name"] for one in _pages(asked, "listEntries", "entries")]
        assert names == [f"tide {number}" for number in reversed(range(30))]
        wanted = [str(uri(f"{DATASET}/k{number:05}")) for number in range(25)]
        several = asked.query("getEntries", uris=wanted)["entries"]
        assert [one["uri"] for one in several] == wanted
        assert several[-1]["partial"] is True


def test_a_history_is_read_only_as_far_as_a_page_goes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has what its budget takes, at least one version, and leads to all; gaps in the numbers are no matter."""
    for number in range(12):
        world.put({f"{DATASET}/k": dataset(f"state {number}", description="x" * 4000)})
    world.catch_up()
    address = str(uri(f"{DATASET}/k"))
    world.store._db.execute("DELETE FROM versions WHERE number IN (3, 4, 7)")
    monkeypatch.setattr("catalog.appview.queries.MOST_COST", 12_000)
    read: list[int] = []
    versions = Reader.versions

    def count(self: Reader, *given: Any, **more: Any) -> list[Past]:  # noqa: ANN401
        found = versions(self, *given, **more)
        read.append(len(found))
        return found

    monkeypatch.setattr(Reader, "versions", count)
    names: list[str] = []
    more: dict[str, str] = {}
    with asking(world.path, tmp_path / "counts") as asked:
        while True:
            answer = asked.query("getHistory", uri=address, limit=100, **more)
            names += [one["record"]["name"] for one in answer["versions"]]
            if "cursor" not in answer:
                break
            more = {"cursor": answer["cursor"]}
    assert names == [f"state {number}" for number in (11, 10, 9, 8, 7, 5, 4, 1, 0)]
    assert max(read) == 2


def test_lenses_that_come_and_go_leave_nothing_behind(world: World) -> None:
    """The network of lenses holds what there is, not what there was."""
    code: Json = {"repository": "https://example.org/lenses", "commit": "0" * 40, "path": "a.py:f"}
    for number in range(20):
        ends = [str(uri(f"{SCHEMA}/{end}{number}")) for end in "st"]
        lens: dict[str, Json] = {
            "$type": LENS, "name": "l", "sourceSchema": ends[0], "targetSchema": ends[1], "getterCode": code,
            "putterCode": code, "createdAt": "2026-01-02T03:04:05.000Z",
        }  # fmt: skip
        word: dict[str, Json] = {
            "$type": VERIFICATION, "lens": str(uri(f"{LENS}/k")), "lensCommit": str(datamodel.record_cid(lens)),
            "verificationMethod": "automatedTest", "createdAt": "2026-01-02T03:04:05.000Z",
        }  # fmt: skip
        world.put({f"{LENS}/k": lens, f"{VERIFICATION}/v": word})
        world.catch_up()
        assert world.queries._lenses.vouched(str(uri(f"{LENS}/k")))
    network = world.queries._lenses
    held = (network._edges, network._onward, network._back, network._words, network._vouched)
    assert [len(one) for one in held] == [1] * 5


def test_no_more_main_fields_are_kept_than_there_is_room_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.store.reader._CARDS_KEPT", 3)
    put(world, *(_hostile(f"tide {number}", number) for number in range(6)))
    world.catch_up()
    assert len(world.queries.list_entries()["entries"]) == 6
    assert len(world.reader._cards) == 3


def test_a_client_that_doesnt_read_a_large_answer_is_left(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what waits to be read has a limit, beyond which large answers are refused, and small ones not."""
    put(world, _hostile("tide", 1))
    world.catch_up()
    path = f"{PREFIX}getEntry?uri={uri(f'{DATASET}/k00000')}"
    monkeypatch.setattr(service, "SENDING_SECONDS", 0.05)
    with asking(world.path, tmp_path / "counts") as asked:
        ends: list[str] = []

        async def hang() -> None:
            sent: list[str] = []

            async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's
                sent.append(message["type"])
                if len(sent) > 2:
                    await asyncio.Event().wait()

            scope: dict[str, Any] = {
                "type": "http", "method": "GET", "path": path.partition("?")[0], "headers": [], "client": None,
                "query_string": path.partition("?")[2].encode(), "raw_path": path.partition("?")[0].encode(),
                "root_path": "", "http_version": "1.1", "scheme": "http", "server": ("a", 1),
            }  # fmt: skip
            await asked.app(scope, None, send)  # type: ignore[arg-type]
            ends.extend(sent)

        asked.run(hang())
        assert ends[:2] == ["http.response.start", "http.response.body"]
        assert asked.send(path).status_code == 200
        monkeypatch.setattr(service, "MOST_OUTGOING", 100_000)
        refused = asked.send(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert asked.send(f"{PREFIX}listEntries").status_code == 200


def test_a_large_record_that_is_remembered_is_shown_as_it_is_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed, hidden, renamed, denied, deleted: at once; and it isn't read again while nothing of that happens."""
    put(world, _hostile("tide", 1))
    world.catch_up()
    address = str(uri(f"{DATASET}/k00000"))

    def shown() -> Shown | None:
        return world.reader.brief([address]).shown.get(address)

    first = shown()
    assert first is not None
    assert first.partial
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "_card", None)
        put(world, dataset("other"), did=BOB)
        assert shown() == first
    monkeypatch.setitem(HANDLES, ALICE, "oceanlab.example.org")
    world.store.put_repo(world.repo(ALICE))
    renamed = shown()
    assert renamed is not None
    assert renamed.handle == "oceanlab.example.org"
    world.store.configure([SOURCE], [ALICE])
    assert shown() is None
    world.store.configure([SOURCE], [])
    assert shown() == renamed
    world.store.put_repo(world.repo(ALICE, active=False))
    assert shown() is None
    world.store.put_repo(world.repo(ALICE))
    world.put({f"{DATASET}/k00000": _hostile("tide changed", 1)})
    changed = shown()
    assert changed is not None
    assert '"tide changed"' in changed.text
    world.put({f"{DATASET}/k00000": dataset("tide small", 1)})
    small = shown()
    assert small is not None
    assert not small.partial
    world.put({f"{DATASET}/k00000": _hostile("tide", 1)})
    assert shown() is not None
    world.take([f"{DATASET}/k00000"])
    assert shown() is None
