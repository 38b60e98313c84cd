"""``catalog store``: stores are looked at and copied while they are in use."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from catalog.cli import cli
from catalog.errors import StoreError
from catalog.store import Store
from catalog.store import replicate as copying
from catalog.store.replicate import copy_store
from catalog.store.summary import summary
from tests import forked
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "manifests"


@pytest.fixture
def crawled(tmp_path: Path) -> Path:
    """The store of the example manifests, below ``tmp_path`` as ``catalog crawl`` makes it."""
    config = f"plugins:\n  - catalog:\n      sources: [{{manifests: {json.dumps(str(EXAMPLES))}}}]\n"
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    forked.run([sys.executable, "-m", "catalog", "crawl"], cwd=tmp_path, check=True)
    return tmp_path / ".catalog" / "catalog.sqlite"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["store", *map(str, arguments)])


def test_info_tells_what_a_store_holds(crawled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of the store of the settings and of a file; as JSON, too."""
    monkeypatch.chdir(crawled.parents[1])
    told = run("info", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    with Store.open(crawled) as store:
        collections = [record.collection for record in store.records()]
        assert found["crawled"] == store.crawls()[0].ended.isoformat()
        assert found["accounts"] == len({repo.did for repo in store.repos()})
    assert found["records"] == {name: collections.count(name) for name in sorted(set(collections))}
    assert sum(found["records"].values()) > 10
    assert found["sources"] == [f"manifests:{EXAMPLES}"]
    lines = run("info", crawled).stdout
    assert f"{len(collections):,}, and 0 refused" in lines
    assert "science.alt.dataset.entry" in lines


def test_a_copy_is_the_same_store(crawled: Path, tmp_path: Path) -> None:
    """Copied into a folder that wasn't there, and again over the copy."""
    target = tmp_path / "backup" / "copy.sqlite"
    for _ in range(2):
        told = run("copy", crawled, target)
        assert told.exit_code == 0, told.output
        assert "copied" in told.stderr
        assert summary(target).identity == summary(crawled).identity
    with Store.open(crawled) as here, Store.open(target) as there:
        assert list(here.records()) == list(there.records())
    assert [path.name for path in target.parent.iterdir() if "part" in path.name] == []


def test_each_copy_of_a_store_that_is_written_is_a_moment_of_it(crawled: Path, tmp_path: Path) -> None:
    """Never half of a transaction: here each writes two cursors that are equal."""
    stop, done, failures = threading.Event(), threading.Event(), []

    def write() -> None:
        try:
            with closing(sqlite3.connect(crawled, timeout=60)) as db:
                for number in count():
                    db.execute("INSERT OR REPLACE INTO cursors (source, cursor) VALUES ('one', ?)", (number,))
                    db.execute("INSERT OR REPLACE INTO cursors (source, cursor) VALUES ('two', ?)", (number,))
                    db.commit()
                    done.set()
                    if stop.is_set():
                        return
        except sqlite3.Error as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    met = set()
    try:
        for number in range(20):
            while not done.wait(0.1):
                assert writer.is_alive(), failures
            target = tmp_path / f"copy-{number % 3}.sqlite"
            copy_store(crawled, target)
            with Store.open(target) as store:
                assert store.cursor("one") == store.cursor("two")
                met.add(store.cursor("one"))
            done.clear()
    finally:
        stop.set()
        writer.join()
    assert failures == []
    assert len(met) > 1, "it was written meanwhile"


def test_a_copy_that_fails_leaves_no_file(crawled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the new one nor a part of it."""

    def failing(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(copying, "_copy", failing)
    folder = tmp_path / "full"
    with pytest.raises(StoreError, match="disk is full"):
        copy_store(crawled, folder / "copy.sqlite")
    assert list(folder.iterdir()) == []


def test_what_cannot_be_copied_is_said_in_one_line(crawled: Path, tmp_path: Path) -> None:
    """Nothing is written then."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be read as a header of one" * 9)
    before = crawled.read_bytes()
    for source, target, words in (
        (tmp_path / "none", tmp_path / "new.sqlite", "no store"),
        (text, tmp_path / "new.sqlite", "file is not a database"),
        (crawled, text, "file is not a database"),
        (crawled, crawled, "is the store that is to be copied"),
    ):
        told = run("copy", source, target)
        assert told.exit_code == 1
        assert isinstance(told.exception, StoreError)
        assert words in str(told.exception)
    assert not (tmp_path / "new.sqlite").exists()
    assert text.read_text().startswith("not a database")
    assert crawled.read_bytes() == before
    assert isinstance(run("info", text).exception, StoreError)
