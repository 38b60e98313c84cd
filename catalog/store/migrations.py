"""The store's tables, and how a file of an older version becomes one of this version.

History can't be crawled again, so a store is brought forward, never thrown away.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from catalog.errors import StoreError

__all__ = ["APPLICATION_ID", "CHANGES_KEPT", "REFUSED", "SCHEMA_VERSION", "VISIBLE", "check_or_create", "check_version"]

APPLICATION_ID: Final = 0x61746463
"""``atdc`` in ASCII."""
SCHEMA_VERSION: Final = 4

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

CHANGES_KEPT: Final = 1_000_000
"""Who is further behind than so many changes reads everything again."""
_NOTE: Final = "DELETE FROM changes WHERE what = {0}; INSERT INTO changes (what) VALUES ({0});"
_SINCE_3: Final = f"""
CREATE INDEX repos_handle ON repos (handle);
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL UNIQUE) STRICT;
CREATE TRIGGER record_came AFTER INSERT ON records BEGIN {_NOTE.format("NEW.uri")} END;
CREATE TRIGGER record_went AFTER DELETE ON records BEGIN {_NOTE.format("OLD.uri")} END;
CREATE TRIGGER record_changed AFTER UPDATE ON records
WHEN OLD.cid <> NEW.cid OR OLD.verified <> NEW.verified OR OLD.source <> NEW.source OR OLD.draft <> NEW.draft
BEGIN {_NOTE.format("NEW.uri")} END;
CREATE TRIGGER repo_changed BEFORE INSERT ON repos
WHEN EXISTS (SELECT 1 FROM repos WHERE did = NEW.did AND (handle IS NOT NEW.handle OR active <> NEW.active))
BEGIN {_NOTE.format("NEW.did")} END;
CREATE TRIGGER repo_listed AFTER INSERT ON listings BEGIN {_NOTE.format("NEW.did")} END;
CREATE TRIGGER repo_unlisted AFTER DELETE ON listings BEGIN {_NOTE.format("OLD.did")} END;
"""
"""What changed, each thing once, by its latest number: URIs of records, and DIDs of accounts that show differently."""

_SINCE_4: Final = """
ALTER TABLE repos ADD COLUMN newest TEXT;
UPDATE repos SET newest = rev WHERE root IS NOT NULL;
ALTER TABLE cursors ADD COLUMN moment TEXT;
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
_UPGRADES: Final = {1: _FROM_1 + _SINCE_3 + _SINCE_4, 2: _SINCE_3 + _SINCE_4, 3: _SINCE_4}

# CROSS JOIN: for each of the few sources a look whether it lists the account. Left alone, SQLite reads all listings.
_LISTED: Final = "EXISTS (SELECT 1 FROM sources CROSS JOIN listings USING (source) WHERE listings.did = {0}.did)"
VISIBLE: Final = f"""
FROM records JOIN repos USING (did)
WHERE repos.active AND did NOT IN (SELECT did FROM denied)
AND CASE WHEN records.draft THEN records.source IN (SELECT source FROM sources) ELSE {_LISTED.format("records")} END
"""
"""What is to be shown. Drafts of several sources share an account, so that theirs is a matter of each record."""
REFUSED: Final = f"""
FROM refused LEFT JOIN repos USING (did)
WHERE coalesce(repos.active, 1) AND did NOT IN (SELECT did FROM denied) AND {_LISTED.format("refused")}
"""


def check_or_create(db: sqlite3.Connection, where: str) -> None:
    """Make the tables in a new file, bring an older one forward. Raises :class:`StoreError` for a file not ours."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and application == 0 and version == 0:
        _run(db, _TABLES + _SINCE_2 + _SINCE_3 + _SINCE_4)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif application != APPLICATION_ID:
        raise StoreError("this SQLite file is not a catalog's store", where=where, hint="name another file")
    elif version in _UPGRADES:
        _run(db, _UPGRADES[version])
    elif version != SCHEMA_VERSION:
        hint = "delete it and crawl again, or use the version that wrote it"
        raise StoreError(f"its version is {version}, this program's is {SCHEMA_VERSION}", where=where, hint=hint)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_version(db: sqlite3.Connection, where: str) -> None:
    """Raise :class:`StoreError` for a file that is not ours, or of another version; for one that can't be written."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
        hint = "a crawl that may write it brings an older store forward"
        raise StoreError("the file is not a store of this version, and can't be written", where=where, hint=hint)


def _run(db: sqlite3.Connection, statements: str) -> None:
    """Not ``executescript``: that one commits, and a half-made file must roll back."""
    statement = ""
    for part in statements.strip().removesuffix(";").split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):  # a trigger has statements inside
            db.execute(statement)
            statement = ""
