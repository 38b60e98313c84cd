"""What shards measure, remembered from one run to the next: one SQLite file in the user's cache folder.

It is a memory and nothing else. Whatever is wrong with it (another process has it for long, the disk is full, it is
damaged) only costs time: what isn't remembered is measured again, and a damaged file is written anew.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["Measure", "Memory"]

MOST: Final = 500_000
"""Rows that are kept, the newest."""

_FILE: Final = "measures.sqlite"
_FLUSH_SECONDS: Final = 1.0
"""Measures lost at most when the process is killed: those of so many seconds."""
_BUSY_SECONDS: Final = 5.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DAMAGED: Final = frozenset({1, 11, 26})
"""SQLITE_ERROR (no such column: somebody else's table), SQLITE_CORRUPT and SQLITE_NOTADB."""

_MAKE: Final = """
CREATE TABLE IF NOT EXISTS measures_1 (
    key BLOB PRIMARY KEY, mark TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, samples INTEGER,
    counted INTEGER NOT NULL, at REAL NOT NULL
) WITHOUT ROWID
"""
_READ: Final = "SELECT sha256, bytes, samples, counted FROM measures_1 WHERE key = ? AND mark = ?"
_MARK: Final = "SELECT mark FROM measures_1 WHERE key = ?"
_WRITE: Final = "INSERT OR REPLACE INTO measures_1 VALUES (?, ?, ?, ?, ?, ?, ?)"
_TRIM: Final = """
DELETE FROM measures_1 WHERE key IN (SELECT key FROM measures_1 ORDER BY at DESC LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What was found in the bytes of a shard: their SHA-256 in lower-case hex, how many they are, samples in them.

    ``samples`` is ``None`` where nobody counted them, or (with ``counted``) where it isn't a tar of samples.
    """

    sha256: str
    bytes: int
    samples: int | None = None
    counted: bool = False


class Memory:
    """Measures by key, each good only while its mark is the same. Without a folder it forgets everything at once.

    Several processes may use the same folder. What is asked and told goes between :meth:`opened`'s begin and end, and
    in one thread.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._db: sqlite3.Connection | None = None
        self._waiting: dict[bytes, tuple[object, ...]] = {}
        self._flushed = 0.0

    @contextmanager
    def opened(self) -> Iterator[Memory]:
        """Open the file; at the end all is kept that was put."""
        self._flushed = time.monotonic()
        self._db = self._open()
        try:
            yield self
        finally:
            self._flush(trim=True)
            self._close()

    def get(self, key: bytes, mark: str) -> Measure | None:
        """The measure under a key with this mark."""
        match self._try(lambda db: db.execute(_READ, (key, mark)).fetchone()):
            case (str(sha256), int(size), None | int() as samples, (0 | 1) as counted) if _SHA256.fullmatch(sha256):
                return Measure(sha256=sha256, bytes=size, samples=samples, counted=bool(counted))
        return None

    def mark(self, key: bytes) -> str | None:
        """The mark that the measure under a key has."""
        match self._try(lambda db: db.execute(_MARK, (key,)).fetchone()):
            case (str(mark),):
                return mark
        return None

    def put(self, key: bytes, mark: str, measure: Measure) -> None:
        """Remember a measure; what was there under the key is forgotten."""
        self._waiting[key] = (
            key, mark, measure.sha256, measure.bytes, measure.samples, int(measure.counted), time.time(),
        )  # fmt: skip
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush(trim=False)

    def _flush(self, *, trim: bool) -> None:
        rows, self._waiting = list(self._waiting.values()), {}
        self._flushed = time.monotonic()
        if not rows:
            return

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany(_WRITE, rows)
                if trim:
                    db.execute(_TRIM, (MOST,))

        self._try(write)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What ``work`` answers. Where the file fails it is given up, a damaged one is begun anew."""
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
        """Whether the file is damaged; then it is gone now."""
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
