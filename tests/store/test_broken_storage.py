"""A store that is damaged, can't be written or has no room left: one clear error, and the old site stays."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from catalog.errors import StoreError
from catalog.store import Store
from catalog.store.graph import Graph
from catalog.store.reader import Reader
from tests import forked
from tests.sitecatalog import CHANGED, MKDOCS, SOURCE, fill

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "store.sqlite"
    fill(path, datasets=40)
    return path


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.copy(filled, folder / "store.sqlite")
    return folder / "store.sqlite"


# --- nothing can be written ------------------------------------------------------------------------------------


@contextmanager
def _unwritable(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let SQLite meet what it meets in a folder that can't be written, also for a user who may write everything."""
    real = sqlite3.connect

    def connect(database: object, **options: object) -> sqlite3.Connection:
        if str(database) == str(path):
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            return _refusing(error)
        return real(database, **options)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        yield


def _refusing(error: sqlite3.Error) -> sqlite3.Connection:
    class Refusing(sqlite3.Connection):
        def execute(self, *_: object) -> sqlite3.Cursor:
            raise error

    return Refusing(":memory:")


def test_a_store_in_a_folder_that_cannot_be_written_is_searched_and_built_from(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.read_bytes()
    with _unwritable(store, monkeypatch):
        with Store.open(store) as opened:
            opened.configure([SOURCE], [])
            assert len(Graph.from_store(opened).datasets) == 40
            shown = opened.fingerprint()
            opened.configure(["pds:https://other.example"], [])
            assert len(Graph.from_store(opened).datasets) == 0, "what is shown is this reader's own setting"
            with pytest.raises(StoreError, match="written"), opened.crawling():
                pass
            with pytest.raises(StoreError, match="written"):
                opened.list_repo("x", "did:web:example.org")
        reader = Reader(store)
        assert sum(1 for _ in reader.everything()) > 40
        reader.close()
    assert store.read_bytes() == before
    with Store.open(store) as opened:
        assert opened.fingerprint() == shown


def test_what_is_only_in_the_log_of_a_killed_crawl_is_read_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = sqlite3.connect(store, isolation_level=None)
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("DELETE FROM records WHERE uri LIKE ?", (f"%{CHANGED}",))
    copy = store.with_name("copy.sqlite")
    for rest in ("", "-wal"):
        shutil.copy(f"{store}{rest}", f"{copy}{rest}")
    writer.close()
    real = sqlite3.connect

    def connect(database: object, **options: object) -> sqlite3.Connection:
        refused = str(copy) in str(database)
        if refused:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            return _refusing(error)
        return real(database, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect)
    with Store.open(copy) as opened:
        assert len(Graph.from_store(opened).datasets) == 39


def _run(folder: Path, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", *command],
        cwd=folder, env={**os.environ, **extra}, timeout=300,
    )  # fmt: skip


# --- damage ----------------------------------------------------------------------------------------------------


def _truncated(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def _flipped(raw: bytes) -> bytes:
    """Half of its pages overwritten, as by a disk at its end."""
    return raw[:4096] + b"".join(
        b"\xff" * 4096 if number % 2 else raw[start : start + 4096]
        for number, start in enumerate(range(4096, len(raw), 4096))
    )


def _of_another(raw: bytes) -> bytes:
    return raw[:68] + b"\0\0\0\x2a" + raw[72:]


DAMAGES = [_truncated, _flipped, _of_another, lambda _: b"no store at all " * 500, lambda _: b""]


def _project(store: Path) -> Path:
    folder = store.parent
    (folder / "mkdocs.yml").write_text(MKDOCS % "false", encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("old")
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_told_by_each_command_and_no_site_is_built_from_it(
    store: Path, damage: Callable[[bytes], bytes]
) -> None:
    folder = _project(store)
    store.write_bytes(damage(store.read_bytes()))
    commands = [["build", "--no-crawl"], ["store", "check"]]
    if store.stat().st_size:  # an empty file is as good as none: a crawl fills it
        commands.append(["crawl"])
    for command in commands:
        done = _run(folder, *command, CATALOG_ALLOW_LOOPBACK="1")
        assert done.returncode == 1, (command, done.stderr)
        assert "Traceback" not in done.stderr
        assert "store.sqlite" in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 2, done.stderr
    assert (folder / "site" / "index.html").read_text() == "old"


def test_rows_that_are_damaged_are_left_out_and_the_others_are_read(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("UPDATE records SET value = CAST(x'7bff7d' AS TEXT) WHERE uri LIKE ?", (f"%{CHANGED}",))
    with Store.open(store) as opened:
        opened.configure([SOURCE], [])
        graph = Graph.from_store(opened)
        assert len(graph.datasets) == 39
        assert [found.uri.rpartition("/")[2] for found in opened.damaged] == [CHANGED]
        assert any(CHANGED in found.uri and "damaged" in found.reason for found in graph.refused)
        opened.check()
    done = _run(store.parent, "store", "check", str(store))
    assert done.returncode == 1, "a check reads the rows, too"


def test_a_whole_store_passes_the_check(store: Path) -> None:
    done = _run(store.parent, "store", "check", str(store))
    assert done.returncode == 0, done.stderr
    assert _run(store.parent, "store", "check", "none.sqlite").returncode == 0


# --- no room ---------------------------------------------------------------------------------------------------


def _write_on(store: Store) -> None:
    for number in range(10_000):
        store.list_repo(f"source {number} {'x' * 3000}", "did:web:example.org")


def test_a_full_disk_is_one_clear_error_and_the_store_goes_on_as_it_was(store: Path) -> None:
    """SQLite ends the transaction itself then; the connection must be of use afterwards."""
    with Store.open(store) as opened:
        before = opened.fingerprint()
        pages = opened._db.execute("PRAGMA page_count").fetchone()[0]
        opened._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            _write_on(opened)
        opened._db.execute("PRAGMA max_page_count = 1000000")
        opened.list_repo("one", "did:web:example.org")
        assert opened.listed("one") == {"did:web:example.org"}
        assert opened.fingerprint() == before
        opened.check()
