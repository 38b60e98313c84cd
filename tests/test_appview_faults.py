"""Whatever one record, account or file causes in the AppView ends only the work on it, and is reported."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

import pytest

from catalog.appview import following, health
from catalog.appview.documents import document
from catalog.appview.following import _Following
from catalog.appview.health import DEAD, RESTARTING, RUNNING, Health, Work, read_health
from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.config import CatalogSettings, Source
from catalog.errors import StoreBusy, StoreError
from catalog.records import DATASET, SCHEMA
from tests import sitecatalog
from tests.appviewservices import PREFIX, asking
from tests.appviewstores import World, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    _twenty(world)
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
