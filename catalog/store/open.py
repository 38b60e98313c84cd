"""Open the file of a store, also in a read-only folder, and diagnose a damaged one.

SQLite reads a file in WAL mode only if it can write beside it. Otherwise the file is opened as *immutable* if it is
complete; if a part is still in its ``-wal`` file, both are copied to a temporary folder and read there.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

from catalog.errors import StoreError

BUSY_SECONDS: Final = 10.0
DAMAGED: Final = "restore a copy of it, or delete it: the next crawl makes a new one, which lacks only the history"
_MOST_FAULTS: Final = 20
_HINTS: Final = (
    ("SQLITE_CORRUPT", "is damaged", DAMAGED),
    ("SQLITE_NOTADB", "is damaged, or not a store", DAMAGED),
    ("SQLITE_FULL", "can't be written: the disk is full", "free some space, then run the command again"),
    (
        "SQLITE_READONLY",
        "can't be written",
        "crawls write the store; building with --no-crawl and searching only read it",
    ),
    ("SQLITE_CANTOPEN", "can't be opened", "check that the folder exists and that you may write to it"),
    ("SQLITE_IOERR", "can't be read or written", "check the disk"),
    ("SQLITE_BUSY", "is in use", "is another crawl running?"),
)


class _Copy(sqlite3.Connection):
    """A connection to a temporary copy, which is removed with it."""

    folder: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        super().close()
        if self.folder is not None:
            self.folder.cleanup()


def translated(error: sqlite3.Error, where: str) -> StoreError:
    """Return an error of SQLite's as ours: what is wrong with the store, and what to do."""
    name = getattr(error, "sqlite_errorname", "")
    for prefix, what, hint in _HINTS:
        if name.startswith(prefix):
            return StoreError(f"the store {what} (SQLite: {error})", where=where, hint=hint)
    return StoreError(f"SQLite says: {error}", where=where)


def is_unwritable(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file or its folder can't be written."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a store that can't be written. Raises :class:`sqlite3.Error` and OSError."""
    plain = _connected(f"file:{quote(str(path.resolve()))}?mode=ro")
    try:
        plain.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        plain.close()
        if not is_unwritable(error):
            raise
    else:
        return plain
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return _copied(path, wal)
    return _connected(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1")


def _copied(path: Path, wal: Path) -> sqlite3.Connection:
    folder = TemporaryDirectory(prefix="catalog-store-", ignore_cleanup_errors=True)
    copy = Path(folder.name) / "store.sqlite"
    shutil.copyfile(path, copy)
    shutil.copyfile(wal, copy.with_name(copy.name + "-wal"))
    connection = _connected(f"file:{quote(str(copy))}")
    connection.folder = folder
    return connection


def _connected(uri: str) -> _Copy:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Copy
    )


def refuse_empty(path: Path) -> None:
    """Raise :class:`StoreError` for a file of no bytes: what was in it is lost, and a site of it would be empty."""
    try:
        empty = path.stat().st_size == 0 and not path.with_name(path.name + "-wal").exists()
    except OSError:
        return
    if empty:
        hint = "restore a copy of it, or crawl: a crawl fills it again"
        raise StoreError("the store is damaged: the file is empty", where=str(path), hint=hint)


def faults(db: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with the file's pages, at most 20 lines. A hundred thousand records take a second."""
    try:
        for (text,) in db.execute(f"PRAGMA quick_check({_MOST_FAULTS})"):
            yield from (line for line in text.splitlines() if line not in {"ok", "*** in database main ***"})
    except sqlite3.DatabaseError as error:
        yield str(error)
