"""The tables of the store, and the migrations of files that older versions wrote.

History can't be crawled again, so a store is migrated in place, one version after the other, in one transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from catalog.errors import StoreError

APPLICATION_ID: Final = 0x61746463
"""``atdc`` in ASCII."""
SCHEMA_VERSION: Final = 6

CHANGES_KEPT: Final = 1_000_000
"""Changes that are kept; a reader that is further behind reads everything again."""

_LARGE_ROWS: Final = """
CREATE TABLE records (
    uri TEXT PRIMARY KEY, did TEXT NOT NULL, cid TEXT NOT NULL, source TEXT NOT NULL, draft INTEGER NOT NULL,
    verified INTEGER NOT NULL, local TEXT NOT NULL, first_seen TEXT NOT NULL, updated TEXT NOT NULL, value TEXT NOT NULL
) STRICT;
CREATE INDEX records_did ON records (did);
CREATE TABLE versions (
    uri TEXT NOT NULL, number INTEGER NOT NULL, cid TEXT NOT NULL, rev TEXT, seen TEXT NOT NULL, value TEXT,
    PRIMARY KEY (uri, number)
) STRICT;
"""
"""The newest version has no ``value``: it is the record's.

Tables with rowids: without them, a row of over a kilobyte takes a page by itself. ``value`` is last, so that queries
for other columns don't read it."""
_NOTE: Final = "DELETE FROM changes WHERE what = {0}; INSERT INTO changes (what) VALUES ({0});"
_RECORD_TRIGGERS: Final = f"""
CREATE TRIGGER record_came AFTER INSERT ON records BEGIN {_NOTE.format("NEW.uri")} END;
CREATE TRIGGER record_went AFTER DELETE ON records BEGIN {_NOTE.format("OLD.uri")} END;
CREATE TRIGGER record_changed AFTER UPDATE ON records
WHEN OLD.cid <> NEW.cid OR OLD.verified <> NEW.verified OR OLD.source <> NEW.source OR OLD.draft <> NEW.draft
BEGIN {_NOTE.format("NEW.uri")} END;
"""
_LISTINGS: Final = """
CREATE TABLE listings (
    source TEXT NOT NULL, did TEXT NOT NULL, PRIMARY KEY (source, did)
) STRICT, WITHOUT ROWID;
CREATE TABLE trees (did TEXT PRIMARY KEY, nodes BLOB NOT NULL) STRICT;
CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE crawls (number INTEGER PRIMARY KEY, ended TEXT NOT NULL, report TEXT NOT NULL) STRICT;
"""
_CHANGES: Final = f"""
CREATE INDEX repos_handle ON repos (handle);
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL UNIQUE) STRICT;
CREATE TRIGGER repo_changed BEFORE INSERT ON repos
WHEN EXISTS (SELECT 1 FROM repos WHERE did = NEW.did AND (handle IS NOT NEW.handle OR active <> NEW.active))
BEGIN {_NOTE.format("NEW.did")} END;
CREATE TRIGGER repo_listed AFTER INSERT ON listings BEGIN {_NOTE.format("NEW.did")} END;
CREATE TRIGGER repo_unlisted AFTER DELETE ON listings BEGIN {_NOTE.format("OLD.did")} END;
"""
"""Changes, each once by its latest number: URIs of records, and DIDs of accounts that are shown differently."""
_LABELS: Final = f"""
CREATE TABLE labels (
    source TEXT NOT NULL, subject TEXT NOT NULL, value TEXT NOT NULL, cid TEXT NOT NULL,
    PRIMARY KEY (source, subject, value, cid)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_subject ON labels (subject);
CREATE TABLE label_actions (value TEXT PRIMARY KEY, action TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER label_came AFTER INSERT ON labels BEGIN {_NOTE.format("NEW.subject")} END;
CREATE TRIGGER label_went AFTER DELETE ON labels BEGIN {_NOTE.format("OLD.subject")} END;
CREATE TRIGGER labelled_record_went AFTER DELETE ON records
BEGIN DELETE FROM labels WHERE source = OLD.did AND subject = OLD.uri; END;
"""
"""Moderation labels, those that records give themselves among them, and the action of each value."""
_CURSOR_MOMENT: Final = "ALTER TABLE cursors ADD COLUMN moment TEXT;"

_TABLES: Final = f"""
CREATE TABLE repos (
    did TEXT PRIMARY KEY, handle TEXT, pds TEXT, rev TEXT, active INTEGER NOT NULL, status TEXT,
    source TEXT NOT NULL, draft INTEGER NOT NULL, identified TEXT, signing_key TEXT, root TEXT, newest TEXT
) STRICT, WITHOUT ROWID;
{_LARGE_ROWS}
CREATE TABLE refused (
    uri TEXT NOT NULL, reason TEXT NOT NULL, did TEXT NOT NULL, source TEXT NOT NULL, cid TEXT,
    PRIMARY KEY (did, uri, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE sources (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE denied (did TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
{_LISTINGS}{_CURSOR_MOMENT}{_CHANGES}{_RECORD_TRIGGERS}{_LABELS}
"""

_MIGRATIONS: Final = {
    # Version 1 proved nothing: every repository is read again.
    1: f"""
    ALTER TABLE repos ADD COLUMN signing_key TEXT;
    ALTER TABLE repos ADD COLUMN root TEXT;
    ALTER TABLE refused ADD COLUMN cid TEXT;
    {_LISTINGS}
    INSERT INTO listings SELECT source, did FROM repos;
    UPDATE repos SET rev = NULL, identified = NULL WHERE NOT draft;
    """,
    2: _CHANGES + _RECORD_TRIGGERS,
    3: f"""
    ALTER TABLE repos ADD COLUMN newest TEXT;
    UPDATE repos SET newest = rev WHERE root IS NOT NULL;
    {_CURSOR_MOMENT}
    """,
    4: f"""
    ALTER TABLE records RENAME TO old_records;
    ALTER TABLE versions RENAME TO old_versions;
    DROP INDEX records_did;
    {_LARGE_ROWS}
    INSERT INTO records
    SELECT uri, did, cid, source, draft, verified, local, first_seen, updated, value FROM old_records;
    INSERT INTO versions SELECT uri, number, cid, rev, seen, CASE
        WHEN number = (SELECT max(number) FROM old_versions AS other WHERE other.uri = old_versions.uri)
        AND EXISTS (SELECT 1 FROM records WHERE records.uri = old_versions.uri AND records.cid = old_versions.cid)
        THEN NULL ELSE value END FROM old_versions;
    DROP TABLE old_records;
    DROP TABLE old_versions;
    {_RECORD_TRIGGERS}
    """,
    5: _LABELS,
}
"""By version the statements that make a file one of the next version."""

# CROSS JOIN: for each of the few sources a look whether it lists the account. Left alone, SQLite reads all listings.
_LISTED: Final = "EXISTS (SELECT 1 FROM sources CROSS JOIN listings USING (source) WHERE listings.did = {0}.did)"
_HIDDEN: Final = """EXISTS (
    SELECT 1 FROM labels JOIN label_actions USING (value) WHERE action = 'hide'
    AND labels.subject IN (records.uri, records.did) AND labels.cid IN ('', records.cid)
)"""
VISIBLE: Final = f"""
FROM records JOIN repos USING (did)
WHERE repos.active AND did NOT IN (SELECT did FROM denied)
AND CASE WHEN records.draft THEN records.source IN (SELECT source FROM sources) ELSE {_LISTED.format("records")} END
AND NOT {_HIDDEN}
"""
"""Selects the visible records. Drafts of several sources share an account, so theirs depends on each record."""
VALUE_OF_VERSION: Final = "coalesce(value, (SELECT value FROM records WHERE records.uri = versions.uri), 'null')"
"""A version's JSON; ``null`` where the record's row is lost."""
REFUSED: Final = f"""
FROM refused LEFT JOIN repos USING (did)
WHERE coalesce(repos.active, 1) AND did NOT IN (SELECT did FROM denied) AND {_LISTED.format("refused")}
"""


def check_or_create(db: sqlite3.Connection, where: str) -> bool:
    """Create the tables, or migrate an older store; return whether it was migrated. Raises :class:`StoreError`."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and application == 0 and version == 0:
        _run(db, _TABLES)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif application != APPLICATION_ID:
        raise StoreError("this SQLite file is not a catalog's store", where=where, hint="name another file")
    elif version in _MIGRATIONS:
        for older in range(version, SCHEMA_VERSION):
            _run(db, _MIGRATIONS[older])
    elif version != SCHEMA_VERSION:
        hint = "delete it and crawl again, or use the version that wrote it"
        raise StoreError(f"its version is {version}, this program's is {SCHEMA_VERSION}", where=where, hint=hint)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return version in _MIGRATIONS


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
