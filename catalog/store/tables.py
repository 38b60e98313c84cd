"""The store's tables, and how a file of an older version becomes one of this version.

History can't be crawled again, so a store is brought forward, never thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "VISIBLE", "check_or_create"]

APPLICATION_ID: Final = 0x61746463
"""``atdc`` in ASCII."""
SCHEMA_VERSION: Final = 2

_TABLES: Final = """
CREATE TABLE repos (
    did TEXT PRIMARY KEY, handle TEXT, pds TEXT, rev TEXT, active INTEGER NOT NULL, status TEXT,
    source TEXT NOT NULL, draft INTEGER NOT NULL, identified TEXT, signing_key TEXT, root TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    uri TEXT PRIMARY KEY, did TEXT NOT NULL, cid TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL,
    draft INTEGER NOT NULL, verified INTEGER NOT NULL, local TEXT NOT NULL,
    first_seen TEXT NOT NULL, updated TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX records_did ON records (did);
CREATE TABLE versions (
    uri TEXT NOT NULL, number INTEGER NOT NULL, cid TEXT NOT NULL, rev TEXT, seen TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (uri, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE refused (
    uri TEXT NOT NULL, reason TEXT NOT NULL, did TEXT NOT NULL, source TEXT NOT NULL, cid TEXT,
    PRIMARY KEY (did, uri, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE sources (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE denied (did TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""

_SINCE_2: Final = """
CREATE TABLE listings (
    source TEXT NOT NULL, did TEXT NOT NULL, PRIMARY KEY (source, did)
) STRICT, WITHOUT ROWID;
CREATE TABLE trees (did TEXT PRIMARY KEY, nodes BLOB NOT NULL) STRICT;
CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE crawls (number INTEGER PRIMARY KEY, ended TEXT NOT NULL, report TEXT NOT NULL) STRICT;
"""

_FROM_1: Final = f"""
ALTER TABLE repos ADD COLUMN signing_key TEXT;
ALTER TABLE repos ADD COLUMN root TEXT;
ALTER TABLE refused ADD COLUMN cid TEXT;
{_SINCE_2}
INSERT INTO listings SELECT source, did FROM repos;
UPDATE repos SET rev = NULL, identified = NULL WHERE NOT draft;
"""
"""Version 1 proved nothing: everything is read again."""

_LISTED: Final = "did IN (SELECT did FROM listings WHERE source IN (SELECT source FROM sources))"
VISIBLE: Final = f"""
FROM records JOIN repos USING (did)
WHERE repos.active AND did NOT IN (SELECT did FROM denied)
AND CASE WHEN records.draft THEN records.source IN (SELECT source FROM sources) ELSE {_LISTED} END
"""
"""What is to be shown. Drafts of several sources share an account, so that theirs is a matter of each record."""
REFUSED: Final = f"""
FROM refused LEFT JOIN repos USING (did)
WHERE coalesce(repos.active, 1) AND did NOT IN (SELECT did FROM denied) AND {_LISTED}
"""


def check_or_create(db: sqlite3.Connection, where: str) -> None:
    """Make the tables in a new file, bring an older one forward. Raises :class:`StoreError` for a file not ours."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and application == 0 and version == 0:
        _run(db, _TABLES + _SINCE_2)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif application != APPLICATION_ID:
        raise StoreError("this SQLite file is not a catalog's store", where=where, hint="name another file")
    elif version == 1:
        _run(db, _FROM_1)
    elif version != SCHEMA_VERSION:
        hint = "delete it and crawl again, or use the version that wrote it"
        raise StoreError(f"its version is {version}, this program's is {SCHEMA_VERSION}", where=where, hint=hint)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _run(db: sqlite3.Connection, statements: str) -> None:
    """Not ``executescript``: that one commits, and a half-made file must roll back."""
    for statement in statements.split(";"):
        if statement.strip():
            db.execute(statement)
