"""Usage counts of datasets by day: the data of ``getEntryStats``, and the ``analytics`` of ``describeService``.

Each process counts in memory and adds its counts to one SQLite file every few seconds. The file has URIs, days (UTC)
and numbers of the last month, and nothing about clients. Counts are dropped, and logged, if it can't be written.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.appview.logs import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

PERIODS: Final = {"day": 1, "week": 7, "month": 30}
"""The days of a period, with the current one."""
_VIEWS, _SEARCHES = "views", "searches"
_ALL: Final = ""
"""The URI whose searches are those of all datasets."""
_FLUSH_SECONDS: Final = 5.0
_MOST_COUNTED: Final = 100_000
"""Counts in memory; further URIs are not counted until the next flush."""
_MOST_PAGES: Final = 65_536
"""Of the file, of 4 KiB each; when it is full, counts are dropped until old days go."""
_PATIENCE_SECONDS: Final = 1.0
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS counts (uri TEXT, day INTEGER, views INTEGER NOT NULL, searches INTEGER NOT NULL,"
    " PRIMARY KEY (uri, day)) WITHOUT ROWID"
)
_ADD: Final = (
    "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " views = views + excluded.views, searches = searches + excluded.searches"
)
_SUM: Final = "SELECT coalesce(sum(views), 0), coalesce(sum(searches), 0) FROM counts WHERE day > ?"


class Usage:
    """The counts of a service; all its processes share the file. ``clock`` returns seconds since 1970."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._lock = Lock()
        self._flushed = time.monotonic()

    def viewed(self, uris: Iterable[str]) -> None:
        """Count a view of each of these datasets."""
        self._count(uris, _VIEWS)

    def searched(self, uris: Iterable[str]) -> None:
        """Count a search with these datasets among its results."""
        self._count((_ALL, *uris), _SEARCHES)

    def of(self, uri: str, period: str) -> tuple[int, int]:
        """Return the views of a dataset, and the searches that found it. Raises ``sqlite3.Error``."""
        return self._sum(f"{_SUM} AND uri = ?", period, uri)

    def total(self, period: str) -> tuple[int, int]:
        """Return the views of all datasets, and the searches. Raises ``sqlite3.Error``."""
        views, _ = self._sum(_SUM, period)
        return views, self.of(_ALL, period)[1]

    def flush(self) -> None:
        """Add the counts of this process to the file."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._flushed = time.monotonic()
        if not counts:
            return
        rows = {(uri, day): (counts[uri, day, _VIEWS], counts[uri, day, _SEARCHES]) for uri, day, _ in counts}
        try:
            with closing(self._open()) as db, db:
                db.execute("DELETE FROM counts WHERE day <= ?", (self._today() - max(PERIODS.values()),))
                db.executemany(_ADD, ((*key, *numbers) for key, numbers in rows.items()))
        except sqlite3.Error as error:
            note("usage not counted", {"reason": str(error)}, level=logging.WARNING)

    def _count(self, uris: Iterable[str], what: str) -> None:
        day = self._today()
        with self._lock:
            for uri in uris:
                if len(self._counts) < _MOST_COUNTED:
                    self._counts[uri, day, what] += 1
            due = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if due:
            self.flush()

    def _sum(self, query: str, period: str, *more: str) -> tuple[int, int]:
        self.flush()
        with closing(self._open()) as db:
            views, searches = db.execute(query, (self._today() - PERIODS[period], *more)).fetchone()
        return int(views), int(searches)

    def _today(self) -> int:
        return int(self._clock() // 86_400)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=_PATIENCE_SECONDS)
        db.executescript(f"PRAGMA synchronous = OFF; PRAGMA max_page_count = {_MOST_PAGES}; {_TABLE}")
        return db
