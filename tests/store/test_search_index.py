"""The search index of a store: after any updates it finds what one that is built at once finds."""

from __future__ import annotations

import shutil
import sqlite3
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalog.records import DATASET
from catalog.store import search_index
from catalog.store.matching import question
from catalog.store.search_index import SearchIndex, index_path
from tests.sitecatalog import dataset, fill

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from catalog.atproto.datamodel import Json

WORDS = ("tide", "harbour", "wave", "images", "leaf", "leaves", "深海データ", "reef")
QUERIES = (*WORDS, "image", "tide wave", "harbor", "wave zebra", "recordings", "深海", "tid*", "levaes", "audio ocean")


def _found(store: Path) -> dict[str, tuple[list[str], int]]:
    """Return the URIs of each query's results, and the number of records."""
    found = {}
    with SearchIndex.open(store) as index:
        for query in QUERIES:
            ranking, planned = index.search(question(query))
            found[query] = ([entry.uri for entry in index.entries(ranking.rows)], planned.total)
    return found


def _datasets(seed: int) -> list[tuple[str, str, dict[str, Json]]]:
    """Return some datasets out of thirty, with texts that depend on the seed."""
    chance = Random(seed)  # noqa: S311
    found = []
    for number in sorted(chance.sample(range(30), 20)):
        name, description = " ".join(chance.sample(WORDS, 2)), " ".join(chance.sample(WORDS, 3))
        found.append((DATASET, f"3kword{number:07d}", dataset(number, name=name, description=description)))
    return found


def test_an_updated_index_finds_what_a_new_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "_SEGMENT", 7)
    monkeypatch.setattr(search_index, "_MOST_SEGMENTS", 3)
    monkeypatch.setattr(search_index, "_FEW_DEAD", 50)
    store, other = tmp_path / "store.sqlite", tmp_path / "other" / "store.sqlite"
    other.parent.mkdir()
    for seed in range(7):
        fill(store, datasets=3, extra=_datasets(seed))
        shutil.copy(store, other)
        index_path(other).unlink(missing_ok=True)
        assert _found(store) == _found(other)


def test_an_index_of_another_format_is_built_again(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    fill(store, extra=_datasets(1))
    expected = _found(store)
    with sqlite3.connect(index_path(store)) as db:
        db.execute("UPDATE meta SET value = '2' WHERE key = 'format'")
        db.execute("DELETE FROM lists")
        db.execute("CREATE VIRTUAL TABLE vocabulary USING fts5 (term)")
    db.close()
    assert _found(store) == expected
    index_path(store).write_bytes(b"no database")
    assert _found(store) == expected


def test_a_crawl_makes_the_first_index_of_small_stores_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite"
    fill(path, datasets=3)
    assert SearchIndex.is_quick(path)
    monkeypatch.setattr("catalog.store.search_index._QUICK_CHANGES", 2)
    assert not SearchIndex.is_quick(path)
    SearchIndex.open(path).close()
    assert SearchIndex.is_quick(path)
