"""The AppView's index is never apart from its store: live, after a crash, and on several machines."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalog.appview.index import Index, State, directory
from catalog.appview.indexer import Drift, Indexer
from catalog.appview.queries import Queries
from catalog.appview.query import Filters, ask
from catalog.errors import StoreError
from catalog.records import DATASET, LENS, SCHEMA
from catalog.store.reader import Reader
from catalog.store.replicate import copy_store
from tests import sitecatalog
from tests.appviewstores import ALICE, BOB, HANDLES, SOURCE, World, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


WORDS = ("tide", "tidal gauge", "harbour", "wave", "TideGauge")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


def test_what_is_committed_is_found_and_what_is_deleted_gone(world: World) -> None:
    """The follower sees commits of others, gathers them, and makes them visible."""
    stop = threading.Event()
    with Indexer(world.index, world.reader) as writer:
        thread = threading.Thread(target=writer.follow, args=(stop,))
        thread.start()
        try:
            for number in range(5):
                deadline = time.monotonic() + 60
                put(world, dataset(f"arrival {number}"))
                while f"arrival {number}" not in world.names("arrival"):
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
            deadline = time.monotonic() + 60
            world.take([f"{DATASET}/k00000"])
            while ask(world.index, "arrival", Filters()).count() != 4:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            stop.set()
            thread.join()


def test_who_was_away_catches_up_without_building_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what changed is looked at; what came, changed and went is as if it had been seen."""
    put(world, *(dataset(f"tide {number}") for number in range(20)))
    assert world.catch_up() == 20
    put(world, dataset("tide new"))
    world.put({f"{DATASET}/k00003": dataset("tide changed")})
    world.take([f"{DATASET}/k00004"])
    monkeypatch.setattr(Indexer, "rebuild", None)
    assert world.catch_up() == 2
    assert {"tide new", "tide changed"} <= set(world.names("tide"))
    assert not {"tide 3", "tide 4"} & set(world.names("tide"))
    assert world.catch_up() == 0
    assert world.queries.behind == 0


def test_an_index_of_another_store_or_of_a_later_state_is_built_anew(tmp_path: Path) -> None:
    """A store that was deleted and crawled again, or put back from a backup, isn't mistaken for the one indexed."""
    world = World(tmp_path)
    put(world, dataset("tide one"))
    world.catch_up()
    backup = sqlite_copy(world.path)
    put(world, dataset("tide two"))
    world.catch_up()
    world.close()

    for end in ("", "-wal", "-shm"):
        world.path.with_name(world.path.name + end).unlink(missing_ok=True)
    world.path.write_bytes(backup)
    world = World(tmp_path)
    assert world.queries.behind == 0, "it is ahead"
    world.catch_up()
    assert world.names("tide") == ["tide one"]
    assert ask(world.index, "", Filters()).count() == 1
    world.close()

    for end in ("", "-wal", "-shm"):
        world.path.with_name(world.path.name + end).unlink(missing_ok=True)
    world = World(tmp_path)
    assert world.queries.behind is None
    put(world, dataset("tide three"), dataset("tide four"), did=BOB)
    world.catch_up()
    assert sorted(world.names("tide")) == ["tide four", "tide three"]
    assert ask(world.index, "", Filters()).count() == 2
    world.close()


def sqlite_copy(path: Path) -> bytes:
    """The store as a backup has it."""
    copy = path.with_name("copy.sqlite")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    raw = copy.read_bytes()
    copy.unlink()
    return raw


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"store": "x"}', '{"store": "x", "number": "y", "configuration": ""}']
)
def test_a_broken_position_is_none(world: World, text: str) -> None:
    """The index is then built anew."""
    put(world, dataset("tide"))
    world.catch_up()
    (world.index.folder / "position.json").write_text(text)
    assert world.index.state() is None
    world.catch_up()
    assert world.names("tide") == ["tide"]


def test_drift_is_found_and_mended(world: World) -> None:
    """Missing, additional and outdated records of the index are found by comparison, and corrected."""
    put(world, *(dataset(f"tide {number}") for number in range(10)))
    world.catch_up()
    with Indexer(world.index, world.reader) as writer:
        assert not writer.check()
        inner = writer._writer
        inner.delete_documents_by_term("uri", str(uri(f"{DATASET}/k00001")))
        inner.add_json(
            json.dumps(
                {"uri": "at://nobody", "stamp": "00", "kind": "dataset", "name": "tide", "words": "tide", "rank": 1}
            )
        )
        inner.commit()
        assert ask(world.index, "tide", Filters()).count() == 10
        assert writer.check() == Drift(missing=1, surplus=1)
        assert not writer.check()
    assert len(world.names("tide")) == 10
    # A change that no number tells of: as if the log were wrong.
    world.store._db.execute("UPDATE records SET cid = 'bafyreiother' WHERE uri = ?", (str(uri(f"{DATASET}/k00002")),))
    state = world.index.state()
    assert state is not None
    world.index.put_state(State(position=world.reader.position(), configuration=state.configuration))
    with Indexer(world.index, world.reader) as writer:
        assert writer.catch_up() == 0
        assert writer.check() == Drift(missing=1, surplus=1)
        assert not writer.check()


def test_the_follower_checks_now_and_then_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences made by others are corrected without a request, and reported."""
    put(world, *(dataset(f"tide {number}") for number in range(3)))
    world.catch_up()
    monkeypatch.setattr("catalog.appview.indexer._FIRST_CHECK_SECONDS", 0.2)
    stop = threading.Event()
    told: list[str] = []
    with Indexer(world.index, world.reader) as writer:
        writer._writer.delete_documents_by_term("uri", str(uri(f"{DATASET}/k00001")))
        writer._writer.commit()
        thread = threading.Thread(target=writer.follow, args=(stop,), kwargs={"progress": told.append})
        thread.start()
        begun = time.monotonic()
        while len(world.names("tide")) < 3 and time.monotonic() < begun + 60:
            time.sleep(0.02)
        stop.set()
        thread.join()
    assert len(world.names("tide")) == 3
    assert told == ["index and store differed: 1 records missing, 0 too many"]


def _change(world: World, chance: Random, schemas: list[str]) -> None:
    """Something that may happen to a store."""
    did = chance.choice([ALICE, BOB])
    held = [path for path in world.held.get(did, {}) if path.startswith(DATASET)]
    value = dataset(chance.choice(WORDS), chance.randrange(9), schemaRef=chance.choice(schemas))
    match chance.randrange(9):
        case 0 | 1 | 2:
            put(world, value, did=did)
        case 3 if held:
            world.put({chance.choice(held): value}, did)
        case 4 if held:
            world.take([chance.choice(held)], did)
        case 5:
            number = chance.randrange(3)
            world.put({f"{SCHEMA}/s{number}": sitecatalog.schema(chance.choice(WORDS), f"{number}.0.0")})
        case 6 if f"{SCHEMA}/s1" in world.held.get(ALICE, {}):
            world.take([f"{SCHEMA}/s1"])
        case 7:
            world.store.configure([SOURCE], chance.choice([[], [], [BOB]]))
        case _:
            world.store.put_repo(world.repo(did, active=chance.random() < 0.7))


@pytest.mark.parametrize("seed", range(4))
def test_step_by_step_is_as_built_anew(world: World, seed: int) -> None:
    """After changes of any kind, in batches of any size, each answer is that of an index built anew."""
    chance = Random(seed)  # noqa: S311
    schemas = [str(uri(f"{SCHEMA}/s{number}")) for number in range(3)]
    for _ in range(30):
        for _ in range(chance.randrange(4)):
            _change(world, chance, schemas)
        world.catch_up()
    anew = Index(world.path.with_name("anew"))
    with Indexer(anew, world.reader) as writer:
        writer.rebuild()
    for q in ("", *WORDS, "ti*", "harbuor", "alice", f"{WORDS[0]} {WORDS[1]}"):
        for filters in (Filters(), Filters(dtype="float32"), Filters(schema=schemas[0]), Filters(did=BOB)):
            assert ask(world.index, q, filters).page(500).uris == ask(anew, q, filters).page(500).uris
    with Indexer(world.index, world.reader) as writer:
        assert not writer.check()


def test_whoever_is_too_far_behind_builds_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are kept for a while only; their lack is noticed."""
    put(world, *(dataset(f"tide {number}") for number in range(3)))
    world.catch_up()
    put(world, *(dataset(f"tide {number}") for number in range(3, 8)))
    world.store._db.execute("DELETE FROM changes WHERE number < (SELECT max(number) FROM changes) - 1")
    monkeypatch.setattr("catalog.store.reader.CHANGES_KEPT", 2)
    world.catch_up()
    assert len(world.names("tide")) == 8


def test_accounts_disappear_and_come_back(world: World) -> None:
    """Denied, taken down, not listed any more: gone from queries at once, and from the index when it has caught up."""
    put(world, dataset("tide of alice"))
    put(world, dataset("tide of bob"), did=BOB)
    world.catch_up()

    def indexed() -> int:
        world.catch_up()
        return ask(world.index, "tide", Filters()).count()

    world.store.configure([SOURCE], [BOB])
    assert world.names("tide") == ["tide of alice"]
    assert indexed() == 1
    world.store.configure([SOURCE], [])
    assert indexed() == 2
    world.store.put_repo(world.repo(BOB, active=False))
    assert world.names("tide") == ["tide of alice"]
    assert indexed() == 1
    world.store.put_repo(world.repo(BOB))
    assert indexed() == 2
    world.store.unlist(SOURCE, BOB)
    assert world.names("tide") == ["tide of alice"]
    assert indexed() == 1
    world.store.list_repo(SOURCE, BOB)
    assert indexed() == 2


def test_a_new_handle_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of the publisher's handle count, as it is now."""
    put(world, dataset("tide"))
    world.catch_up()
    assert world.names("alice") == ["tide"]
    monkeypatch.setitem(HANDLES, ALICE, "oceanlab.example.org")
    world.store.put_repo(world.repo(ALICE))
    world.catch_up()
    assert world.names("oceanlab") == ["tide"]
    assert world.names("alice") == []


def test_a_dataset_is_found_by_its_schema_whenever_that_comes(world: World) -> None:
    """Its name counts for datasets and lenses, fields and dtypes for datasets; when it comes, changes, or goes."""
    lens = next(value for collection, _, value in sitecatalog.records(0) if collection == LENS)
    reference = str(uri(f"{SCHEMA}/Wave:1.1.0"))
    lens |= {"sourceSchema": reference, "name": "a lens"}
    world.put({f"{DATASET}/k": dataset("recording", schemaRef=reference), f"{LENS}/l": lens})
    world.catch_up()
    assert world.names("wave") == []
    world.put({f"{SCHEMA}/Wave:1.1.0": sitecatalog.schema(version="1.1.0")})
    world.catch_up()
    assert sorted(world.names("wave")) == ["Wave", "a lens", "recording"]
    assert world.names("", filters=Filters(kinds=("dataset",), dtype="float32")) == ["recording"]
    assert sorted(world.names("heard")) == ["Wave", "recording"]
    world.take([f"{SCHEMA}/Wave:1.1.0"])
    world.catch_up()
    assert world.names("wave") == []
    assert world.names("", filters=Filters(dtype="float32")) == []


# --- several processes -----------------------------------------------------------------------------------------------


def test_only_one_writes_and_a_killed_writer_leaves_no_lock(world: World) -> None:
    """A second writer is told so; after SIGKILL in the middle of a batch the next one goes on from the last commit."""
    put(world, *(dataset(f"tide {number}") for number in range(50)))
    code = (
        "import sys, time; from pathlib import Path; from catalog.appview.index import Index; "
        "from catalog.appview.indexer import Indexer; from catalog.store.reader import Reader\n"
        "index = Indexer(Index(Path(sys.argv[1])), Reader(Path(sys.argv[2]))); index.catch_up()\n"
        'index._writer.add_json(\'{"name": "tide", "words": "tide"}\'); print(\'ready\', flush=True); time.sleep(60)'
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(world.index.folder), str(world.path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match="can't be written"):
            Indexer(world.index, world.reader)
        assert len(world.names("tide")) == 50, "reading is fine"
        child.send_signal(signal.SIGKILL)
    put(world, dataset("tide 50"))
    assert world.catch_up() == 1
    assert len(world.names("tide")) == 51
    with Indexer(world.index, world.reader) as writer:
        assert not writer.check()


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the size of files")
def test_what_cant_be_written_is_told_and_done_again(world: World) -> None:
    """As on a full disk: the position stays where it was, and the next writer does it all."""
    put(world, dataset("tide"))
    world.catch_up()
    put(world, *(dataset(f"tide {number}", description=f"word{number}") for number in range(100)))
    code = (
        "import resource, signal, sys; from pathlib import Path; from catalog.appview.index import Index; "
        "from catalog.appview.indexer import Indexer; from catalog.store.reader import Reader; "
        "from catalog.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with Indexer(Index(Path(sys.argv[1])), Reader(Path(sys.argv[2]))) as indexer:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    try: indexer.catch_up()\n"
        "    except StoreError as error: sys.exit(str(error))\n"
    )
    arguments = [sys.executable, "-c", code, str(world.index.folder), str(world.path)]
    told = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1
    assert "the index can't be written" in told.stderr
    assert world.queries.behind == 100
    assert world.catch_up() == 100
    assert len(world.names("tide")) == 100


def test_readers_in_other_processes_never_fail_while_it_is_written(world: World) -> None:
    """Two processes page through everything again and again while segments come, merge and go."""
    put(world, *(dataset(f"tide {number}", number) for number in range(300)))
    world.catch_up()
    code = (
        "import sys, time; from pathlib import Path; from catalog.appview.index import Index; "
        "from catalog.appview.queries import Queries; from catalog.store.reader import Reader\n"
        "queries, rounds, end = Queries(Index(Path(sys.argv[1])), Reader(Path(sys.argv[2]))), 0, time.time() + 60\n"
        "while not Path(sys.argv[3]).exists() and time.time() < end:\n"
        "    met, cursor = [], None\n"
        "    while True:\n"
        "        page = queries.search_datasets(q='tide', limit=50, cursor=cursor)\n"
        "        met += [entry['uri'] for entry in page['entries']]; cursor = page.get('cursor'); rounds += 1\n"
        "        if cursor is None: break\n"
        "    assert len(met) == len(set(met)) >= 300, len(met)\n"
        "print(rounds)"
    )
    done = world.path.with_name("done")
    arguments = [sys.executable, "-c", code, str(world.index.folder), str(world.path), str(done)]
    readers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with Indexer(world.index, world.reader) as writer:
        for number in range(60):
            put(world, dataset(f"tide {300 + number}", number))
            writer.catch_up()
    done.touch()
    for reader in readers:
        told, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        assert int(told) > 0


def test_a_replica_goes_on_where_another_machine_was(world: World) -> None:
    """A copy of the store has an index of its own, only catches up with later copies, and takes the same cursors."""
    put(world, *(dataset(f"tide {number}", number // 9) for number in range(200)))
    world.catch_up()
    replica = world.path.with_name("replica") / "store.sqlite"
    copy_store(world.path, replica)
    reader, index = Reader(replica), Index(directory(replica))
    stop, failures = threading.Event(), []
    queries = Queries(index, reader)

    def go_on_asking() -> None:
        try:
            while not stop.is_set():
                assert queries.search(q="tide")["hits"]
        except Exception as error:  # noqa: BLE001 - whatever it is
            failures.append(error)

    with Indexer(index, reader) as writer:
        assert writer.catch_up() == 200
    threads = [threading.Thread(target=go_on_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    met: list[str] = []
    cursor = None
    for number in count():
        page = ask(world.index if number % 2 else index, "tide", Filters(), cursor).page(7)
        met += page.uris
        cursor = page.cursor
        if cursor is None:
            break
        if number % 5 == 0:
            put(world, dataset("tide", 1000))  # before the first page
            copy_store(world.path, replica)
            with Indexer(index, reader) as writer:
                assert writer.catch_up() == 1
    stop.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert not failures
    assert len(met) == len(set(met)) == 200


def test_only_stores_are_copied_and_only_over_stores(world: World, tmp_path: Path) -> None:
    """A file that isn't a store is neither read nor overwritten."""
    (tmp_path / "text").write_text("not a database, and long enough to be read as a header of one" * 9)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE theirs (x)")
    for source, target in (
        (world.path, tmp_path / "other.sqlite"),
        (world.path, tmp_path / "text"),
        (tmp_path / "other.sqlite", tmp_path / "new.sqlite"),
        (tmp_path / "text", tmp_path / "new.sqlite"),
        (tmp_path / "none", tmp_path / "new.sqlite"),
        (world.path, tmp_path),
    ):
        with pytest.raises(StoreError):
            copy_store(source, target)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        assert other.execute("SELECT * FROM theirs").fetchall() == []
