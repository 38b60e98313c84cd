"""The embedded store: one SQLite file with every record that the crawls found, and its history.

::

    listings ─did─▶ repos ──did──▶ records ──uri──▶ versions      refused      trees, cursors    crawls
    which source    rev, handle    current          earlier       reasons      resume points     reports

One process writes, many read; the crawl of one repository is one transaction, so that readers see it whole or not at
all. A record is *visible* if its account is active, not denied, and listed by a configured source.

- A record that its owner deletes is deleted here too, with all its versions.
- ``application_id`` marks our SQLite files, ``user_version`` their schema.
- Times are UTC in ISO 8601 with microseconds, so that their text sorts chronologically.
- Crawls lock a file beside the store (:meth:`Store.crawling`): the lock ends with the process, however that ends.
- One connection serves all threads of a crawl, one at a time.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Final, Self

import filelock

from catalog.atproto.labels import self_labels
from catalog.errors import CatalogError, StoreBusy, StoreError
from catalog.store.fingerprint import fingerprint
from catalog.store.migrations import CHANGES_KEPT, REFUSED, VALUE_OF_VERSION, VISIBLE, check_or_create, check_version
from catalog.store.open import DAMAGED, faults, is_unwritable, open_read_only, refuse_empty, translated
from catalog.store.rows import (
    REPO_COLUMNS,
    Changes,
    Found,
    PastCrawl,
    Refused,
    Repo,
    StoredLabel,
    StoredRecord,
    Version,
    moment_text,
    repo_of,
    row_of,
)
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.atproto.labels import ModerationLabel
    from catalog.config import CatalogSettings

__all__ = [
    "DAMAGED",
    "Changes",
    "Found",
    "PastCrawl",
    "Refused",
    "Repo",
    "Store",
    "StoredLabel",
    "StoredRecord",
    "Version",
    "refuse_empty",
]

_BUSY_SECONDS: Final = 10.0
_OF_READERS: Final = (
    "PRAGMA temp_store = MEMORY",
    "CREATE TEMP TABLE sources AS SELECT * FROM main.sources",
    "CREATE TEMP TABLE denied AS SELECT * FROM main.denied",
    "CREATE TEMP TABLE label_actions AS SELECT * FROM main.label_actions",
)
"""The configuration of a reader that can't write the file: temporary tables take precedence over those of the file."""
VERSIONS_KEPT: Final = 1000
"""Versions of one record where nothing else is said; older ones are forgotten."""
HISTORY_KEPT: Final = 16_000_000
"""Characters of all versions of one record; older ones are forgotten, the newest never is.

No setting: it is what reading a history may take of memory.
"""
_PRUNE: Final = f"""
DELETE FROM versions WHERE uri = :uri
AND number < (SELECT max(number) FROM versions WHERE uri = :uri)
AND number <= (
    SELECT max(number) FROM (
        SELECT number, row_number() OVER newest AS place, sum(length({VALUE_OF_VERSION})) OVER newest AS characters
        FROM versions WHERE uri = :uri WINDOW newest AS (ORDER BY number DESC)
    ) WHERE place > :versions OR characters > :characters
)
"""
_CRAWLS_KEPT: Final = 30


class Store:
    """An open store; a context manager. Every method may raise :class:`StoreError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        if path is None:
            raise TypeError("a store is opened by its path: Store.open(path)")
        self._db = connection
        self._path = path
        self._lock = RLock()
        self._writable = True
        self.versions_kept = VERSIONS_KEPT
        """Versions of one record; :meth:`replace` forgets older ones of those that it changes."""
        self.damaged: list[Refused] = []
        """The records whose rows the last :meth:`records` couldn't read."""

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the store at ``path``; create it and its folder if there is none.

        A read-only store is opened for reading, and :meth:`configure` then applies to this object only. Raises
        :class:`StoreError` if the file is no store, of a newer version, damaged, or can't be opened.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except (OSError, ValueError, sqlite3.Error) as error:
            raise StoreError(f"can't be opened: {error}", where=str(path)) from None
        store = cls(connection, path)
        try:
            store._prepare()
        except sqlite3.Error as error:
            connection.close()
            if not is_unwritable(error) or not path.is_file():
                raise translated(error, str(path)) from error
            return cls._opened_to_read(path)
        except BaseException:
            connection.close()
            raise
        return store

    @classmethod
    def _opened_to_read(cls, path: Path) -> Self:
        try:
            connection = open_read_only(path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"can't be opened: {error}", where=str(path)) from error
        store = cls(connection, path)
        store._writable = False
        try:
            with store._translated():
                check_version(connection, str(path))
                for statement in _OF_READERS:
                    connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return store

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- reading ---------------------------------------------------------------------------------------------

    def records(self) -> Iterator[StoredRecord]:
        """Yield the visible records by URI; unreadable ones are in :attr:`damaged`. Don't write while reading."""
        self.damaged = []
        with self._translated():
            columns = "uri, did, cid, CAST(value AS BLOB), records.source, records.draft, verified, local"
            columns += ", first_seen, updated"
            for row in self._db.execute(f"SELECT {columns} {VISIBLE} ORDER BY uri"):
                try:
                    record = _stored(row)
                except (ValueError, RecursionError, CatalogError):
                    reason = "its row in the store is damaged"
                    self.damaged.append(Refused(uri=str(row[0]), reason=reason, source=str(row[4])))
                else:
                    yield record

    def draft_sources(self, uris: Iterable[str], *, besides: str) -> dict[str, str]:
        """Return the source of each visible draft among these URIs that has another source than ``besides``."""
        query = (
            "SELECT uri, source FROM records WHERE uri IN (SELECT value FROM json_each(?))"
            " AND draft AND source <> ? AND source IN (SELECT source FROM sources)"
        )
        with self._guard():
            return dict(self._db.execute(query, (json.dumps(list(uris)), besides)).fetchall())

    def repos(self) -> Iterator[Repo]:
        """Every repository a crawl has met, visible or not."""
        with self._guard():
            rows = self._db.execute(f"SELECT {REPO_COLUMNS} FROM repos ORDER BY did").fetchall()
        return map(repo_of, rows)

    def repo(self, did: str) -> Repo | None:
        """One repository."""
        with self._guard():
            row = self._db.execute(f"SELECT {REPO_COLUMNS} FROM repos WHERE did = ?", (did,)).fetchone()
        return None if row is None else repo_of(row)

    def refused(self) -> Iterator[Refused]:
        """The records kept out, of accounts and sources that are shown."""
        with self._guard():
            rows = self._db.execute(
                f"SELECT uri, reason, refused.source, cid {REFUSED} ORDER BY uri, reason"
            ).fetchall()
        for uri, reason, source, cid in rows:
            yield Refused(uri=uri, reason=reason, source=source, cid=cid)

    def history(self, uri: str) -> list[Version]:
        """The versions of a record that crawls have seen, the newest first; the first is the present one."""
        with self._guard():
            rows = self._db.execute(
                f"SELECT cid, rev, seen, {VALUE_OF_VERSION} FROM versions WHERE uri = ? ORDER BY number DESC", (uri,)
            ).fetchall()
        return [
            Version(cid=Cid(cid), rev=rev, seen=datetime.fromisoformat(seen), value=json.loads(value))
            for cid, rev, seen, value in rows
        ]

    def histories(self) -> dict[str, tuple[Version, ...]]:
        """Return the histories of all changed records by URI, see :meth:`history`.

        Their values are outlines: each field of the outermost level has the hash of its JSON. Thirty versions of a
        megabyte as values take gigabytes.
        """
        found: dict[str, list[Version]] = {}
        with self._guard():
            several = "uri IN (SELECT uri FROM versions WHERE number > 1)"
            columns = f"uri, cid, rev, seen, CAST({VALUE_OF_VERSION} AS BLOB)"
            query = f"SELECT {columns} FROM versions WHERE {several} ORDER BY uri, number DESC"
            for uri, cid, rev, seen, value in self._db.execute(query):
                version = Version(cid=Cid(cid), rev=rev, seen=datetime.fromisoformat(seen), value=_outline(value))
                found.setdefault(uri, []).append(version)
        return {uri: tuple(versions) for uri, versions in found.items()}

    def known(self, did: str) -> dict[str, str]:
        """By URI the CID of every record of this account that was read, whether it was taken or refused."""
        with self._guard():
            query = (
                "SELECT uri, cid FROM records WHERE did = ? AND NOT draft"
                " UNION ALL SELECT uri, cid FROM refused WHERE did = ? AND cid IS NOT NULL"
            )
            return dict(self._db.execute(query, (did, did)).fetchall())

    def holds(self, did: str) -> bool:
        """Return whether the store has records or refused records of this account."""
        with self._guard():
            query = "SELECT 1 FROM records WHERE did = ? UNION ALL SELECT 1 FROM refused WHERE did = ?"
            return self._db.execute(query, (did, did)).fetchone() is not None

    def holders(self) -> set[str]:
        """The accounts, visible or not, that there is anything of; drafts aside."""
        with self._guard():
            query = "SELECT DISTINCT did FROM records WHERE NOT draft UNION SELECT did FROM refused"
            return {did for (did,) in self._db.execute(query).fetchall()}

    def listed(self, source: str) -> set[str]:
        """The accounts of a source."""
        with self._guard():
            rows = self._db.execute("SELECT did FROM listings WHERE source = ?", (source,)).fetchall()
        return {did for (did,) in rows}

    def unread(self, source: str) -> list[str]:
        """The accounts of a source that are to be read again."""
        with self._guard():
            query = (
                "SELECT did FROM repos JOIN listings USING (did) WHERE listings.source = ? AND active AND rev IS NULL"
            )
            return [did for (did,) in self._db.execute(query, (source,)).fetchall()]

    def tree(self, did: str) -> bytes | None:
        """The nodes of the account's tree that the last proof needed, as a CAR."""
        with self._guard():
            row = self._db.execute("SELECT nodes FROM trees WHERE did = ?", (did,)).fetchone()
        return None if row is None else row[0]

    def cursor_moment(self, source: str) -> datetime | None:
        """Return when a stream's cursor was last known to be up to date; None where that was not noted."""
        with self._guard():
            row = self._db.execute("SELECT moment FROM cursors WHERE source = ?", (source,)).fetchone()
        return None if row is None or row[0] is None else datetime.fromisoformat(row[0])

    def cursor(self, source: str) -> int | None:
        """Return the cursor up to which a stream was followed."""
        with self._guard():
            row = self._db.execute("SELECT cursor FROM cursors WHERE source = ?", (source,)).fetchone()
        return None if row is None else row[0]

    def crawls(self) -> list[PastCrawl]:
        """The last crawls, the newest first."""
        with self._guard():
            rows = self._db.execute("SELECT ended, report FROM crawls ORDER BY number DESC").fetchall()
        return [PastCrawl(ended=datetime.fromisoformat(ended), report=json.loads(report)) for ended, report in rows]

    def fingerprint(self) -> str:
        """A hash of all that is shown: the same as long as it is the same."""
        with self._guard():
            return fingerprint(self._db)

    # --- writing ---------------------------------------------------------------------------------------------

    @contextmanager
    def crawling(self) -> Iterator[None]:
        """Lock the store for one crawl, and check the file for damage meanwhile.

        Raises :class:`StoreBusy` at once if another crawl holds the lock, and :class:`StoreError` for a read-only or
        damaged store.
        """
        if not self._writable:
            hint = "crawls write the store; building with --no-crawl and searching only read it"
            raise StoreError("the store can't be written", where=str(self._path), hint=hint)
        lock = filelock.FileLock(f"{self._path}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            hint = "wait until it is done; a crawl with --follow goes on until it is stopped"
            raise StoreBusy("another crawl is at work on this store", where=str(self._path), hint=hint) from None
        except OSError as error:
            raise StoreError(f"can't be locked: {error}", where=str(self._path)) from None
        found: list[str] = []
        checking = Thread(target=self._look, args=(found,), name="store check", daemon=True)
        checking.start()  # beside the crawl, which waits for servers most of the time
        try:
            yield
        finally:
            checking.join()
            lock.release()
        self._refuse(found)

    def check(self) -> None:
        """Raise :class:`StoreError` if the file is damaged. A hundred thousand records take a second."""
        with self._guard():
            found = list(faults(self._db))
        self._refuse(found)

    def _look(self, found: list[str]) -> None:
        with suppress(OSError, sqlite3.Error), closing(open_read_only(self._path)) as connection:
            found += faults(connection)

    def _refuse(self, found: Sequence[str]) -> None:
        if found:
            raise StoreError(f"the store is damaged ({'; '.join(found[:3])})", where=str(self._path), hint=DAMAGED)

    def apply(self, settings: CatalogSettings) -> None:
        """Set what determines which records are visible: sources, denied accounts, labelers and actions of labels.

        Labels of labelers that the settings don't name are forgotten.
        """
        self.configure([str(source) for source in settings.sources], settings.deny)
        with self._transaction():
            actions = sorted(settings.label_actions.items())
            if self._db.execute("SELECT value, action FROM label_actions ORDER BY value").fetchall() != actions:
                self._db.execute("DELETE FROM label_actions")
                self._db.executemany("INSERT INTO label_actions VALUES (?, ?)", actions)
            if self._writable:
                kept = json.dumps([str(did) for did in settings.labelers])
                self._db.execute(
                    "DELETE FROM labels WHERE source NOT IN (SELECT value FROM json_each(?))"
                    " AND substr(subject, 1, length(source) + 6) <> 'at://' || source || '/'",
                    (kept,),
                )

    def put_labels(self, labeler: str, labels: Iterable[ModerationLabel]) -> None:
        """Make these labels all those of a labeler."""
        new = {(label.subject, label.value, label.cid) for label in labels}
        own = "source = ? AND substr(subject, 1, length(source) + 6) <> 'at://' || source || '/'"
        with self._transaction():
            old = set(self._db.execute(f"SELECT subject, value, cid FROM labels WHERE {own}", (labeler,)).fetchall())
            delete = "DELETE FROM labels WHERE source = ? AND subject = ? AND value = ? AND cid = ?"
            self._db.executemany(delete, [(labeler, *row) for row in sorted(old - new)])
            insert = "INSERT INTO labels (source, subject, value, cid) VALUES (?, ?, ?, ?)"
            self._db.executemany(insert, [(labeler, *row) for row in sorted(new - old)])

    def labels(self) -> dict[str, list[StoredLabel]]:
        """Return the labels that have an action, by subject: the URI of a record or the DID of an account."""
        found: dict[str, list[StoredLabel]] = {}
        columns = "source, subject, value, cid, action"
        query = f"SELECT {columns} FROM labels JOIN label_actions USING (value) ORDER BY value, source"
        with self._guard():
            for source, subject, value, cid, action in self._db.execute(query):
                found.setdefault(subject, []).append(StoredLabel(source=source, value=value, cid=cid, action=action))
        return found

    def configure(self, sources: Sequence[str], deny: Sequence[str]) -> None:
        """Set the sources and denied accounts that determine which records are visible."""
        with self._transaction():
            self._db.execute("DELETE FROM sources")
            self._db.execute("DELETE FROM denied")
            self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", [(str(source),) for source in sources])
            self._db.executemany("INSERT OR IGNORE INTO denied VALUES (?)", [(str(did),) for did in deny])

    def replace(
        self,
        repo: Repo,
        found: Iterable[Found],
        refused: Iterable[Refused],
        *,
        moment: datetime,
        kept: Collection[str] = (),
        proven: bool = False,
        tree: bytes | None = None,
    ) -> Changes:
        """Make ``found`` and ``refused`` the whole content of a repository (of a draft: of its source), in one
        transaction.

        Records at ``kept`` URIs stay, ``proven`` if that was just shown; all others are removed with their history.
        ``moment`` is the time of reading; ``tree`` replaces that of :meth:`tree`.
        """
        keep = frozenset(kept)
        with self._transaction():
            self._put_repo(repo)
            scope, bound = "did = ?", [str(repo.did)]
            if repo.draft:
                scope, bound = "did = ? AND source = ?", [str(repo.did), repo.source]
            query = f"SELECT uri, cid FROM records WHERE {scope}"
            before: dict[str, str] = dict(self._db.execute(query, bound).fetchall())
            stale = [row for row in self._refused_of(scope, bound) if row[0] not in keep]
            self._db.executemany("DELETE FROM refused WHERE did = ? AND uri = ? AND reason = ?", [
                (str(repo.did), uri, reason) for uri, reason in stale
            ])  # fmt: skip
            self._db.executemany(
                "INSERT OR IGNORE INTO refused (uri, reason, did, source, cid) VALUES (?, ?, ?, ?, ?)",
                [(item.uri, item.reason, str(repo.did), item.source, item.cid) for item in refused],
            )
            new = updated = forgotten = 0
            for record in found:
                known = before.pop(str(record.uri), None)
                new += known is None
                updated += known is not None and known != record.cid
                forgotten += self._put_record(repo, record, moment, known)
            gone = [(uri,) for uri in before if uri not in keep]
            self._db.executemany("DELETE FROM records WHERE uri = ?", gone)
            self._db.executemany("DELETE FROM versions WHERE uri = ?", gone)
            if proven:
                self._db.execute("UPDATE records SET verified = 1 WHERE did = ? AND NOT verified", (str(repo.did),))
            self._db.execute("DELETE FROM trees WHERE did = ?", (str(repo.did),))
            if tree is not None:
                self._db.execute("INSERT INTO trees VALUES (?, ?)", (str(repo.did), tree))
        return Changes(new=new, updated=updated, removed=len(gone), forgotten=forgotten)

    def reconsider(self, setting: str, now: str) -> None:
        """Mark records that a setting refused, whose limit (in the reason) isn't ``now``, for another read."""
        with self._transaction():
            refused = "cid IS NOT NULL AND instr(reason, ?) AND NOT instr(reason, ?)"
            accounts = f"SELECT did FROM refused WHERE {refused}"
            self._db.execute(f"UPDATE repos SET rev = NULL WHERE did IN ({accounts})", (setting, now))
            self._db.execute(f"UPDATE refused SET cid = NULL WHERE {refused}", (setting, now))

    def put_repo(self, repo: Repo) -> None:
        """Note a repository whose records haven't changed."""
        with self._transaction():
            self._put_repo(repo)

    def list_repo(self, source: str, did: str) -> None:
        """Note that a source has this account too."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO listings VALUES (?, ?)", (source, did))

    def unlist(self, source: str, did: str) -> None:
        """Note that a source has this account no more."""
        with self._transaction():
            self._db.execute("DELETE FROM listings WHERE source = ? AND did = ?", (source, did))

    def hide_missing(self, source: str, listed: Collection[str]) -> int:
        """Forget the repositories of a source that it doesn't list any more; how many there were."""
        with self._transaction():
            rows = self._db.execute("SELECT did FROM listings WHERE source = ?", (source,)).fetchall()
            gone = [(source, did) for (did,) in rows if did not in listed]
            self._db.executemany("DELETE FROM listings WHERE source = ? AND did = ?", gone)
        return len(gone)

    def put_cursor(self, source: str, cursor: int, moment: datetime | None = None) -> None:
        """Note how far a stream was followed, and when it was up to date (now, where no ``moment`` is given)."""
        text = (moment or datetime.now(UTC)).isoformat()
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (source, cursor, text))

    def put_crawl(self, crawl: PastCrawl) -> None:
        """Note what a crawl did; the oldest of many is forgotten."""
        with self._transaction():
            row = (moment_text(crawl.ended), json.dumps(crawl.report))
            self._db.execute("INSERT INTO crawls (ended, report) VALUES (?, ?)", row)
            self._db.execute("DELETE FROM crawls WHERE number <= (SELECT max(number) FROM crawls) - ?", (_CRAWLS_KEPT,))
            old = "DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - ?"
            self._db.execute(old, (CHANGES_KEPT,))

    def _refused_of(self, scope: str, bound: list[str]) -> list[tuple[str, str]]:
        return self._db.execute(f"SELECT uri, reason FROM refused WHERE {scope}", bound).fetchall()

    def _put_repo(self, repo: Repo) -> None:
        row = self._db.execute("SELECT newest FROM repos WHERE did = ?", (str(repo.did),)).fetchone()
        proven = (repo.newest, repo.rev if repo.root is not None else None, None if row is None else row[0])
        repo = replaced(repo, newest=max(filter(None, proven), default=None))
        marks = ", ".join("?" * len(row_of(repo)))
        self._db.execute(f"INSERT OR REPLACE INTO repos ({REPO_COLUMNS}) VALUES ({marks})", row_of(repo))
        self._db.execute("INSERT OR IGNORE INTO listings VALUES (?, ?)", (repo.source, str(repo.did)))

    def _put_record(self, repo: Repo, record: Found, moment: datetime, known: str | None) -> int:
        """Write one record; how many of its versions are forgotten."""
        uri, value, seen = str(record.uri), _json(record.value), moment_text(moment)
        local = _json([str(path) for path in record.local])
        common = (str(record.cid), repo.source, repo.draft, record.verified, local, value)
        if known is None:
            columns = "uri, did, first_seen, updated, cid, source, draft, verified, local, value"
            row = (uri, str(repo.did), seen, seen, *common)
            self._db.execute(f"INSERT INTO records ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        else:
            if known != record.cid:
                older = f"UPDATE versions SET value = {VALUE_OF_VERSION} WHERE uri = ? AND value IS NULL"
                self._db.execute(older, (uri,))
            changes = "cid = ?, source = ?, draft = ?, verified = ?, local = ?, value = ?"
            self._db.execute(f"UPDATE records SET {changes} WHERE uri = ?", (*common, uri))
        self._put_self_labels(str(repo.did), uri, self_labels(record.value), changed=known is not None)
        if known != record.cid:
            self._db.execute("UPDATE records SET updated = ? WHERE uri = ?", (seen, uri))
            self._db.execute(
                "INSERT INTO versions (uri, number, cid, rev, seen)"
                " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ? FROM versions WHERE uri = ?",
                (uri, str(record.cid), repo.rev, seen, uri),
            )
            if known is not None:
                most = {"uri": uri, "versions": self.versions_kept, "characters": HISTORY_KEPT}
                return self._db.execute(_PRUNE, most).rowcount
        return 0

    def _put_self_labels(self, did: str, uri: str, values: Sequence[str], *, changed: bool) -> None:
        if changed:
            self._db.execute("DELETE FROM labels WHERE source = ? AND subject = ?", (did, uri))
        if values:
            rows = [(did, uri, value) for value in dict.fromkeys(values)]
            self._db.executemany("INSERT INTO labels (source, subject, value, cid) VALUES (?, ?, ?, '')", rows)

    # --- the file --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Check that the file is a store, create or migrate its tables. Raises :class:`sqlite3.Error`, too."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                migrated = check_or_create(self._db, str(self._path))
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if migrated:
                with suppress(sqlite3.OperationalError):  # in use, or no space for a copy: the pages are used later
                    self._db.execute("VACUUM")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE" if self._writable else "BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        """End the transaction; SQLite has ended it itself after some errors, such as a full disk."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        with self._lock, self._translated():
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise translated(error, str(self._path)) from error


def _stored(row: tuple[Any, ...]) -> StoredRecord:
    uri = AtUri(row[0])
    return StoredRecord(
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


def _outline(text: bytes) -> Json:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # a row that is damaged
        return {}
    if not isinstance(value, dict):
        return {}
    return {key: hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest() for key, held in value.items()}


def _json(value: Json | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
