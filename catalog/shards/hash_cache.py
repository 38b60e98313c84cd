"""Cache of the SHA-256, size and number of samples of shards: one SQLite file in the user's cache folder.

Faults of the file (locked for long by another process, disk full, damaged) only cost time: shards that aren't in it are
hashed again, and a damaged file is replaced.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from catalog.shards.source import Source

    T = TypeVar("T")

MAX_ROWS: Final = 500_000
"""The newest rows are kept."""

_FILE: Final = "measures.sqlite"
_FLUSH_SECONDS: Final = 1.0
"""At most the rows of so many seconds are lost if the process is killed."""
_BUSY_SECONDS: Final = 5.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DAMAGED: Final = frozenset({1, 11, 26})
"""SQLITE_ERROR (no such column: a table of another program), SQLITE_CORRUPT and SQLITE_NOTADB."""

_MAKE: Final = """
CREATE TABLE IF NOT EXISTS measures_2 (
    key BLOB PRIMARY KEY, mark TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, samples INTEGER,
    format TEXT, counted INTEGER NOT NULL, misfit TEXT, at REAL NOT NULL
) WITHOUT ROWID
"""
_READ: Final = "SELECT sha256, bytes, samples, format, counted, misfit FROM measures_2 WHERE key = ? AND mark = ?"
_MARK: Final = "SELECT mark FROM measures_2 WHERE key = ?"
_WRITE: Final = "INSERT OR REPLACE INTO measures_2 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TRIM: Final = """
DELETE FROM measures_2 WHERE key IN (SELECT key FROM measures_2 ORDER BY at DESC LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStats:
    """The SHA-256 of a shard in lower-case hex, its bytes and samples.

    ``samples`` and ``format`` are ``None`` if they weren't counted, or (with ``counted``) if the file isn't a valid
    shard. ``misfit`` is the difference that a :class:`Check` found.
    """

    sha256: str
    bytes: int
    samples: int | None = None
    format: str | None = None
    counted: bool = False
    misfit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The result of a :class:`Check`: samples, format and difference of a shard; see :class:`ShardStats`.

    ``keep`` is called with SHA-256 and bytes of the shard when they are known.
    """

    samples: int | None
    format: str | None = None
    misfit: str | None = None
    keep: Callable[[str, int], object] | None = None


class Check(Protocol):
    """Examines a shard in the pass that hashes it, such as :class:`catalog.samples.conformance.SampleCheck`."""

    @property
    def key(self) -> bytes:
        """The identity of the check in the cache: equal checks give equal results for equal bytes."""
        ...

    def is_complete(self, stats: ShardStats) -> bool:
        """Return whether nothing else of a shard with these statistics is wanted."""
        ...

    def __call__(self, source: Source, where: str, /) -> Examined:
        """Examine the bytes of a shard; the text is for errors."""
        ...


class HashCache:
    """Statistics by key and mark; a mark names the version of the file. Without a folder nothing is kept.

    Several processes may use the same folder. The methods are called within :meth:`opened`, in one thread.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._db: sqlite3.Connection | None = None
        self._pending: dict[bytes, tuple[object, ...]] = {}
        self._flushed = 0.0

    @contextmanager
    def opened(self) -> Iterator[HashCache]:
        """Open the file; everything that was put is written at the end."""
        self._flushed = time.monotonic()
        self._db = self._open()
        try:
            yield self
        finally:
            self._flush(trim=True)
            self._close()

    def get(self, key: bytes, mark: str) -> ShardStats | None:
        """Return the statistics under a key with this mark."""
        match self._try(lambda db: db.execute(_READ, (key, mark)).fetchone()):
            case (
                str(sha256),
                int(size),
                None | int() as samples,
                None | str() as form,
                (0 | 1) as counted,
                None | str() as misfit,
            ) if _SHA256.fullmatch(sha256):
                return ShardStats(
                    sha256=sha256, bytes=size, samples=samples, format=form, counted=bool(counted), misfit=misfit
                )
        return None

    def mark(self, key: bytes) -> str | None:
        """Return the mark of the statistics under a key."""
        match self._try(lambda db: db.execute(_MARK, (key,)).fetchone()):
            case (str(mark),):
                return mark
        return None

    def put(self, key: bytes, mark: str, stats: ShardStats) -> None:
        """Store statistics, in place of those under the key."""
        self._pending[key] = (
            key, mark, stats.sha256, stats.bytes, stats.samples, stats.format, int(stats.counted), stats.misfit,
            time.time(),
        )  # fmt: skip
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush(trim=False)

    def _flush(self, *, trim: bool) -> None:
        rows, self._pending = list(self._pending.values()), {}
        self._flushed = time.monotonic()
        if not rows:
            return

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany(_WRITE, rows)
                if trim:
                    db.execute(_TRIM, (MAX_ROWS,))

        self._try(write)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return the result of ``work``. A file that fails is given up; a damaged one is replaced first."""
        for _ in range(2):
            if self._db is None:
                return None
            try:
                return work(self._db)
            except (sqlite3.Error, ValueError) as error:  # ValueError: text in it that isn't UTF-8
                self._close()
                self._db = self._open() if self._discarded(error) else None
        return None

    def _open(self) -> sqlite3.Connection | None:
        if self._folder is None:
            return None
        for _ in range(2):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with ExitStack() as stack:
                    db = stack.enter_context(closing(sqlite3.connect(self._folder / _FILE, timeout=_BUSY_SECONDS)))
                    db.execute(_MAKE)
                    db.execute(_READ, (b"", ""))
                    stack.pop_all()
                    return db
            except sqlite3.Error as error:
                if not self._discarded(error):
                    return None
            except OSError:
                return None
        return None

    def _discarded(self, error: Exception) -> bool:
        """Delete the file if it is damaged, and return whether it was."""
        if self._folder is None or getattr(error, "sqlite_errorcode", 1) & 0xFF not in _DAMAGED:
            return False
        with suppress(OSError):
            for name in (_FILE, f"{_FILE}-journal"):
                (self._folder / name).unlink(missing_ok=True)
            return True
        return False

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
