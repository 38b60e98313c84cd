"""The store as others follow it: read-only, what is shown of a record, and what changed since.

::

    Position(store, number)  ──changes(after)──▶  URIs and DIDs, each by its latest number
    URIs ──shown()──▶ the visible ones of them, with their account's handle

*Tricky bits.*

- A number tells *that* something changed, not how: who follows looks the thing up again, so that doing it twice is
  no harm, and a thing that changed ten times is looked up once.
- What is listed and denied is told by :meth:`Reader.configuration`; it changes seldom, and for all accounts at once.
- Only a million changes are kept. Who is further behind reads everything again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from catalog.errors import StoreError
from catalog.store.rows import Version
from catalog.store.tables import APPLICATION_ID, CHANGES_KEPT, SCHEMA_VERSION, VISIBLE
from catalog.syntax import Cid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from catalog.datamodel import Json

__all__ = ["Position", "Reader", "Shown", "Trace", "is_damage"]

_BUSY_SECONDS: Final = 10.0
_AT_ONCE: Final = 500
"""URIs in one statement."""
_COLUMNS: Final = "uri, did, cid, records.draft, verified, first_seen, updated, handle, value"
_TRACES: Final = "uri, cid, records.draft, verified, handle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a store has come. ``store`` names the file, whatever its path; a copy of it has the same name."""

    store: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A visible record with its account's handle; ``text`` is the record's JSON as the store keeps it."""

    uri: str
    did: str
    cid: str
    draft: bool
    verified: bool
    first_seen: datetime
    updated: datetime
    handle: str | None
    text: str

    @property
    def collection(self) -> str:
        """Its collection."""
        return self.uri.split("/", 4)[3]

    @property
    def rkey(self) -> str:
        """Its record key."""
        return self.uri.rpartition("/")[2]

    @property
    def value(self) -> Json:
        """The record."""
        return json.loads(self.text)  # type: ignore[no-any-return]

    @property
    def trace(self) -> Trace:
        """What tells this state of it from another."""
        return Trace(uri=self.uri, cid=self.cid, draft=self.draft, verified=self.verified, handle=self.handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What tells a state of a visible record from another, without the record."""

    uri: str
    cid: str
    draft: bool
    verified: bool
    handle: str | None


class Reader:
    """A store, open for reading. Every thread has a connection of its own; each call sees the newest commit.

    Every method may raise :class:`StoreError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """Where the store is."""
        return self._path

    def close(self) -> None:
        """Close the connections of all threads; they must have ended."""
        with self._lock:
            while self._open:
                self._open.pop().close()
        self._threads = threading.local()

    def position(self) -> Position:
        """How far it has come."""
        with self._reading() as db:
            query = "SELECT id, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0) FROM identity"
            store, number = db.execute(query).fetchone()
        return Position(store=store, number=number)

    def commits(self) -> int:
        """A number that is another one when somebody else has committed since this thread last asked."""
        with self._reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    def configuration(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sources that are shown, and the accounts that are not."""
        with self._reading() as db:
            sources = db.execute("SELECT source FROM sources ORDER BY source").fetchall()
            denied = db.execute("SELECT did FROM denied ORDER BY did").fetchall()
        return tuple(source for (source,) in sources), tuple(did for (did,) in denied)

    def changes(self, after: int, *, most: int) -> list[tuple[int, str]] | None:
        """The first ``most`` changes after that number; None where some of them are no longer known."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT number, what FROM changes WHERE number > ? ORDER BY number LIMIT ?", (after, most)
            ).fetchall()
        return None if self.position().number - after > CHANGES_KEPT else rows

    def shown(self, uris: Collection[str]) -> dict[str, Shown]:
        """By URI those of these records that are visible."""
        wanted = [*dict.fromkeys(uris)]
        found: dict[str, Shown] = {}
        with self._reading() as db:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = db.execute(f"SELECT {_COLUMNS} {VISIBLE} AND uri IN ({marks})", some)
                found.update((row[0], _shown(row)) for row in rows)
        return found

    def each(self, uris: Collection[str]) -> Iterator[Shown]:
        """Those of these records that are visible, read one at a time, in no particular order."""
        wanted = [*dict.fromkeys(uris)]
        with self._reading() as db:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                for row in db.execute(f"SELECT {_COLUMNS} {VISIBLE} AND uri IN ({', '.join('?' * len(some))})", some):
                    yield _shown(row)

    def everything(self) -> Iterator[Shown]:
        """All visible records as of one moment, in the order of their URIs."""
        with self._reading() as db:
            for row in db.execute(f"SELECT {_COLUMNS} {VISIBLE} ORDER BY uri"):
                yield _shown(row)

    def traces(self) -> Iterator[Trace]:
        """What tells the states of all visible records, as of one moment."""
        with self._reading() as db:
            for uri, cid, draft, verified, handle in db.execute(f"SELECT {_TRACES} {VISIBLE}"):
                yield Trace(uri=uri, cid=cid, draft=bool(draft), verified=bool(verified), handle=handle)

    def uris(self) -> list[str]:
        """All records, visible or not, in order. Reads nothing of them but their URIs."""
        with self._reading() as db:
            return [uri for (uri,) in db.execute("SELECT uri FROM records ORDER BY uri")]

    def uris_of(self, did: str) -> list[str]:
        """The records of an account, visible or not."""
        with self._reading() as db:
            return [uri for (uri,) in db.execute("SELECT uri FROM records WHERE did = ?", (did,))]

    def did_of(self, handle: str) -> str | None:
        """The account with this handle; of several, as of one that moved, the one looked up last."""
        query = "SELECT did FROM repos WHERE handle = ? AND active ORDER BY identified DESC LIMIT 1"
        with self._reading() as db:
            row = db.execute(query, (handle.lower(),)).fetchone()
        return None if row is None else row[0]

    def handles(self, dids: Collection[str]) -> dict[str, str]:
        """The handles of these accounts, where they have one."""
        wanted = [*dict.fromkeys(dids)][:_AT_ONCE]
        query = f"SELECT did, handle FROM repos WHERE handle IS NOT NULL AND did IN ({', '.join('?' * len(wanted))})"
        with self._reading() as db:
            return dict(db.execute(query, wanted).fetchall())

    def publishers(self) -> int:
        """How many accounts have something that is visible."""
        query = f"SELECT count(*) FROM repos AS one WHERE EXISTS (SELECT 1 {VISIBLE} AND records.did = one.did)"
        with self._reading() as db:
            return int(db.execute(query).fetchone()[0])

    def versions(self, uri: str) -> list[Version]:
        """The versions of a visible record, the newest first; none of a record that isn't visible."""
        query = f"SELECT cid, rev, seen, value FROM versions WHERE uri = (SELECT uri {VISIBLE} AND uri = ?)"
        with self._reading() as db:
            rows = db.execute(f"{query} ORDER BY number DESC", (uri,)).fetchall()
        return [
            Version(cid=Cid(cid), rev=rev, seen=datetime.fromisoformat(seen), value=json.loads(value))
            for cid, rev, seen, value in rows
        ]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            db: sqlite3.Connection | None = getattr(self._threads, "db", None)
            if db is None:
                db = self._threads.db = self._connect()
            yield db
        except sqlite3.Error as error:
            raise StoreError(f"SQLite says: {error}", where=str(self._path)) from error

    def _connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise StoreError("there is no store", where=str(self._path), hint="catalog crawl makes one")
        # Closed by whichever thread closes the reader.
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only = ON")
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            db.close()
            raise StoreError("not a store of this version", where=str(self._path), hint="catalog crawl brings it up")
        with self._lock:
            self._open.append(db)
        return db


def is_damage(error: StoreError) -> bool:
    """Whether a part of the store's file is damaged, so that other records may still be read.

    Locked, missing, full or unreadable files are :class:`sqlite3.OperationalError`, and no single record's matter.
    """
    cause = error.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


_Row = tuple[str, str, str, int, int, str, str, str | None, str]


def _shown(row: _Row) -> Shown:
    uri, did, cid, draft, verified, first_seen, updated, handle, text = row
    return Shown(
        uri=uri,
        did=did,
        cid=cid,
        draft=bool(draft),
        verified=bool(verified),
        first_seen=datetime.fromisoformat(first_seen),
        updated=datetime.fromisoformat(updated),
        handle=handle,
        text=text,
    )
