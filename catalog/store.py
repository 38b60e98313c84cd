"""The embedded store: one SQLite file with every record the crawls found, and how each came to be as it is.

::

    repos ──did──▶ records ──uri──▶ versions        refused      sources, denied
    rev, handle    what it is now   what it was     and why      what is to be shown

A catalog is one writer and many readers; the crawl of one repository is one transaction, so that readers see it whole
or not at all. *Visible* is a record of an active, not denied account, from a source that is still configured.

Tricky bits
-----------
- A record that is deleted by its owner is gone from here too, with all its versions.
- ``application_id`` keeps us from writing into somebody else's SQLite file, ``user_version`` from misreading our own.
- Times are UTC in ISO 8601 with microseconds, so that their text sorts as they do.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from catalog.errors import StoreError
from catalog.syntax import AtUri, Cid, Did, Handle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from catalog.datamodel import Json

__all__ = ["Changes", "Found", "Refused", "Repo", "Store", "StoredRecord", "Version"]

APPLICATION_ID: Final = 0x61746463
"""``atdc`` in ASCII."""
SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 10.0

_TABLES: Final = """
CREATE TABLE repos (
    did TEXT PRIMARY KEY, handle TEXT, pds TEXT, rev TEXT, active INTEGER NOT NULL, status TEXT,
    source TEXT NOT NULL, draft INTEGER NOT NULL, identified TEXT
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
    uri TEXT NOT NULL, reason TEXT NOT NULL, did TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (did, uri, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE sources (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE denied (did TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""

_VISIBLE: Final = """
FROM records JOIN repos USING (did)
WHERE repos.active AND records.source IN (SELECT source FROM sources) AND did NOT IN (SELECT did FROM denied)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """An account's repository as the last crawl left it. ``identified`` is when its handle was last checked."""

    did: Did
    source: str
    handle: Handle | None = None
    pds: str | None = None
    rev: str | None = None
    active: bool = True
    status: str | None = None
    draft: bool = False
    identified: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record that a crawl found and checked. ``local`` are copies of its shards on this machine (drafts only)."""

    uri: AtUri
    cid: Cid
    value: Json
    local: tuple[Path, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A visible record. ``verified`` means proven against its repository's signed commit."""

    uri: AtUri
    cid: Cid
    collection: str
    did: Did
    rkey: str
    value: Json
    source: str
    draft: bool
    verified: bool
    local: tuple[Path, ...]
    first_seen: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A record as it once was; ``rev`` is its repository's when we saw it, None for a draft."""

    cid: Cid
    rev: str | None
    seen: datetime
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A record that is kept out, and why. Its URI is as it was listed: it may not even be one."""

    uri: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a crawl of one repository changed, in records."""

    new: int = 0
    updated: int = 0
    removed: int = 0


class Store:
    """An open store; a context manager. Every method may raise :class:`StoreError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at ``path``, making it and its directory where there is none.

        Raises :class:`StoreError` when the file is not ours, is of a newer version, or can't be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        except (OSError, ValueError, sqlite3.Error) as error:
            raise StoreError(f"can't be opened: {error}", where=str(path)) from None
        store = cls(connection, path)
        try:
            store._prepare()
        except BaseException:
            connection.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- reading ---------------------------------------------------------------------------------------------

    def records(self) -> Iterator[StoredRecord]:
        """The visible records, in the order of their URIs. Don't write while reading."""
        with self._guard():
            columns = "uri, did, cid, value, records.source, records.draft, verified, local, first_seen, updated"
            for row in self._db.execute(f"SELECT {columns} {_VISIBLE} ORDER BY uri"):
                uri = AtUri(row[0])
                yield StoredRecord(
                    uri=uri,
                    did=Did(row[1]),
                    cid=Cid(row[2]),
                    collection=str(uri.collection),
                    rkey=str(uri.rkey),
                    value=json.loads(row[3]),
                    source=row[4],
                    draft=bool(row[5]),
                    verified=bool(row[6]),
                    local=() if row[7] == "[]" else tuple(Path(text) for text in json.loads(row[7])),
                    first_seen=datetime.fromisoformat(row[8]),
                    updated=datetime.fromisoformat(row[9]),
                )

    def repos(self) -> Iterator[Repo]:
        """Every repository a crawl has met, visible or not."""
        with self._guard():
            rows = self._db.execute(f"SELECT {_REPO} FROM repos ORDER BY did").fetchall()  # noqa: S608
        return map(_repo, rows)

    def repo(self, did: str) -> Repo | None:
        """One repository."""
        with self._guard():
            row = self._db.execute(f"SELECT {_REPO} FROM repos WHERE did = ?", (did,)).fetchone()  # noqa: S608
        return None if row is None else _repo(row)

    def refused(self) -> Iterator[Refused]:
        """The records kept out, of accounts and sources that are shown."""
        with self._guard():
            rows = self._db.execute(
                "SELECT uri, reason, refused.source FROM refused LEFT JOIN repos USING (did)"
                " WHERE coalesce(repos.active, 1) AND refused.source IN (SELECT source FROM sources)"
                " AND did NOT IN (SELECT did FROM denied) ORDER BY uri, reason"
            )
            for uri, reason, source in rows:
                yield Refused(uri=uri, reason=reason, source=source)

    def history(self, uri: str) -> list[Version]:
        """The versions of a record that crawls have seen, the newest first; the first is the present one."""
        with self._guard():
            rows = self._db.execute(
                "SELECT cid, rev, seen, value FROM versions WHERE uri = ? ORDER BY number DESC", (uri,)
            ).fetchall()
        return [
            Version(cid=Cid(cid), rev=rev, seen=datetime.fromisoformat(seen), value=json.loads(value))
            for cid, rev, seen, value in rows
        ]

    def histories(self) -> dict[str, tuple[Version, ...]]:
        """By URI the histories of the records that have changed since they were first seen; each as :meth:`history`."""
        with self._guard():
            rows = self._db.execute("SELECT DISTINCT uri FROM versions WHERE number > 1").fetchall()
        return {uri: tuple(self.history(uri)) for (uri,) in rows}

    def holds(self, did: str) -> bool:
        """Whether there is anything of this account: records, or refused ones."""
        with self._guard():
            query = "SELECT 1 FROM records WHERE did = ? UNION ALL SELECT 1 FROM refused WHERE did = ?"
            return self._db.execute(query, (did, did)).fetchone() is not None

    # --- writing ---------------------------------------------------------------------------------------------

    def configure(self, sources: Sequence[str], deny: Sequence[str]) -> None:
        """Say what is to be shown: these sources without these accounts. Holds until it is said again."""
        with self._transaction():
            self._db.execute("DELETE FROM sources")
            self._db.execute("DELETE FROM denied")
            self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", [(str(source),) for source in sources])
            self._db.executemany("INSERT OR IGNORE INTO denied VALUES (?)", [(str(did),) for did in deny])

    def replace(self, repo: Repo, found: Sequence[Found], refused: Sequence[Refused], *, moment: datetime) -> Changes:
        """Make ``found`` all that there is of a repository (of a draft's: all that its source has).

        One transaction. What is no longer found is removed with its history; ``moment`` is when it was seen.
        """
        with self._transaction():
            self._put_repo(repo)
            scope, bound = "did = ?", [str(repo.did)]
            if repo.draft:
                scope, bound = "did = ? AND source = ?", [str(repo.did), repo.source]
            query = f"SELECT uri, cid FROM records WHERE {scope}"  # noqa: S608 — the scope is one of two texts above
            before: dict[str, str] = dict(self._db.execute(query, bound).fetchall())
            self._db.execute(f"DELETE FROM refused WHERE {scope}", bound)  # noqa: S608
            self._db.executemany(
                "INSERT OR IGNORE INTO refused (uri, reason, did, source) VALUES (?, ?, ?, ?)",
                [(item.uri, item.reason, str(repo.did), item.source) for item in refused],
            )
            new = updated = 0
            for record in found:
                known = before.pop(str(record.uri), None)
                new += known is None
                updated += known is not None and known != record.cid
                self._put_record(repo, record, moment, known)
            for uri in before:
                self._db.execute("DELETE FROM records WHERE uri = ?", (uri,))
                self._db.execute("DELETE FROM versions WHERE uri = ?", (uri,))
        return Changes(new=new, updated=updated, removed=len(before))

    def put_repo(self, repo: Repo) -> None:
        """Note a repository whose records haven't changed. They belong to its source from now on."""
        with self._transaction():
            self._put_repo(repo)
            self._db.execute("UPDATE records SET source = ? WHERE did = ? AND NOT draft", (repo.source, str(repo.did)))
            self._db.execute("UPDATE refused SET source = ? WHERE did = ?", (repo.source, str(repo.did)))

    def hide_missing(self, source: str, listed: set[str]) -> int:
        """Make a source's repositories inactive that it doesn't list any more; how many."""
        gone = [repo for repo in self.repos() if repo.source == source and repo.active and str(repo.did) not in listed]
        for repo in gone:
            self.put_repo(replace(repo, active=False, status="not listed", rev=None))
        return len(gone)

    def _put_repo(self, repo: Repo) -> None:
        self._db.execute(
            f"INSERT OR REPLACE INTO repos ({_REPO}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                str(repo.did),
                repo.handle,
                repo.pds,
                repo.rev,
                repo.active,
                repo.status,
                repo.source,
                repo.draft,
                None if repo.identified is None else _text(repo.identified),
            ),
        )

    def _put_record(self, repo: Repo, record: Found, moment: datetime, known: str | None) -> None:
        uri, value, seen = str(record.uri), _json(record.value), _text(moment)
        local = _json([str(path) for path in record.local])
        common = (str(record.cid), value, repo.source, repo.draft, record.verified, local)
        if known is None:
            row = (uri, str(repo.did), *common, seen, seen)
            self._db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        else:
            changes = "cid = ?, value = ?, source = ?, draft = ?, verified = ?, local = ?"
            self._db.execute(f"UPDATE records SET {changes} WHERE uri = ?", (*common, uri))  # noqa: S608
        if known != record.cid:
            self._db.execute("UPDATE records SET updated = ? WHERE uri = ?", (seen, uri))
            self._db.execute(
                "INSERT INTO versions SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ? FROM versions WHERE uri = ?",
                (uri, str(record.cid), repo.rev, seen, value, uri),
            )

    # --- the file --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Check that the file is ours, and make the tables in a new one."""
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._check_or_create()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")

    def _check_or_create(self) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        where = str(self._path)
        if empty and application == 0 and version == 0:
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise StoreError("this SQLite file is not a catalog's store", where=where, hint="name another file")
        elif version != SCHEMA_VERSION:
            hint = "delete it and crawl again, or use the version that wrote it"
            raise StoreError(f"its version is {version}, this program's is {SCHEMA_VERSION}", where=where, hint=hint)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "is another crawl running?" if "locked" in str(error) else None
            raise StoreError(f"SQLite says: {error}", where=str(self._path), hint=hint) from error


_REPO: Final = "did, handle, pds, rev, active, status, source, draft, identified"


def _repo(row: tuple[str, str | None, str | None, str | None, int, str | None, str, int, str | None]) -> Repo:
    did, handle, pds, rev, active, status, source, draft, identified = row
    return Repo(
        did=Did(did),
        handle=None if handle is None else Handle(handle),
        pds=pds,
        rev=rev,
        active=bool(active),
        status=status,
        source=source,
        draft=bool(draft),
        identified=None if identified is None else datetime.fromisoformat(identified),
    )


def _json(value: Json | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
