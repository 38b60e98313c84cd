"""Stores that older versions wrote are migrated in place: every record, version and account stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.datamodel import record_cid
from catalog.store import Found, Store
from catalog.store.migrations import SCHEMA_VERSION
from catalog.store.reader import Reader
from catalog.syntax import AtUri, Did
from tests.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json

A, B = Did.parse("did:plc:" + "a" * 24), Did.parse("did:plc:" + "b" * 24)
LABEL = "science.alt.dataset.label"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = [*range(1, SCHEMA_VERSION)]


def _old(path: Path, version: int) -> Path:
    """Return a store as the program of that version wrote it."""
    dump = TESTS / "data" / "stores" / f"store-v{version}.sql"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text(encoding="utf-8"))
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    return path


def _schema(path: Path) -> dict[str, list[object]]:
    """The columns of every table, the statements of every index and trigger."""
    with closing(sqlite3.connect(path)) as db:
        objects = db.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {
            name: sorted(row[1:] for row in db.execute(f"PRAGMA table_info({name})")) if kind == "table" else [sql]
            for kind, name, sql in objects
        }


@pytest.mark.parametrize("version", OLD)
def test_a_migrated_store_has_the_tables_of_a_new_one(tmp_path: Path, version: int) -> None:
    Store.open(tmp_path / "new.sqlite").close()
    Store.open(_old(tmp_path / "old.sqlite", version)).close()
    assert _schema(tmp_path / "old.sqlite") == _schema(tmp_path / "new.sqlite")
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)


@pytest.mark.parametrize("version", OLD)
def test_records_history_and_accounts_stay(tmp_path: Path, version: int) -> None:
    with Store.open(_old(tmp_path / "old.sqlite", version)) as store:
        records = {record.uri: record for record in store.records()}
        changed = AtUri.of(A, LABEL, "a")
        assert {uri.rkey for uri in records} == {"a", "b", "big", "c"}
        for record in records.values():
            assert record_cid(record.value) == record.cid
            assert record.verified is (version > 1 and record.did == A)
        assert (records[changed].first_seen, records[changed].updated) == (NOW, NOW + timedelta(days=1))
        history = [(one.rev, one.seen, one.value) for one in store.history(changed)]
        assert history == [
            ("3kaaaaaaaaab2", NOW + timedelta(days=1), {"$type": LABEL, "name": "2"}),
            ("3kaaaaaaaaaa2", NOW, {"$type": LABEL, "name": "1"}),
        ]
        assert [(item.uri, item.reason) for item in store.refused()] == [("at://x", "bad")]
        assert {repo.did: repo.rev for repo in store.repos()} == (
            {A: "3kaaaaaaaaab2", B: "3kbbbbbbbbbb2"} if version > 1 else {A: None, B: None}
        ), "version 1 proved nothing: its accounts are read again"
        if version > 1:
            assert (store.tree(A), store.cursor("firehose:x")) == (b"nodes", 7)


@pytest.mark.parametrize("version", [3, 4])
def test_a_migration_is_no_change_of_records(tmp_path: Path, version: int) -> None:
    """An index beside the store stays valid: identity and numbers are the same, and later changes are noted."""
    path = _old(tmp_path / "old.sqlite", version)
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT what, number FROM changes ORDER BY number").fetchall()
    with Store.open(path) as store, closing(Reader(path)) as reader:
        position = reader.position()
        assert (position.store, position.number) == ("of the test", before[-1][1])
        assert [(what, number) for number, what in reader.changes(0, most=100) or ()] == before
        repo = store.repo(B)
        assert repo is not None
        value: Json = {"$type": LABEL, "name": "4"}
        found = Found(uri=AtUri.of(B, LABEL, "c"), cid=record_cid(value), value=value)
        store.replace(repo, [found], [], moment=NOW + timedelta(days=2))
        assert [what for _, what in reader.changes(position.number, most=100) or ()] == [found.uri]
        assert [one.value for one in store.history(found.uri)] == [value, {"$type": LABEL, "name": "3"}]
