"""A summary of a store in numbers, to tell which store a file is."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.errors import StoreError
from catalog.store.migrations import REFUSED, SCHEMA_VERSION, VISIBLE
from catalog.store.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSummary:
    """Counts of a store's visible records and accounts.

    ``identity`` is the same in all copies, and ``changes`` tells which copy is newer; ``records`` is by collection.
    ``bytes`` is the file's size. ``crawled`` is the end of the last crawl; None before the first.
    """

    version: int
    identity: str
    changes: int
    bytes: int
    accounts: int
    records: Mapping[str, int]
    refused: int
    sources: tuple[str, ...]
    denied: int
    crawled: datetime | None


def summary(path: Path) -> StoreSummary:
    """Return the numbers of the store at ``path``, which may be in use. Raises :class:`StoreError`."""
    with closing(Reader(path)) as reader:
        position, accounts = reader.position(), reader.publishers()
        sources, denied, _ = reader.configuration()
    try:
        with closing(sqlite3.connect(path)) as db:
            # "at://", the DID and "/" stand before the collection.
            records = db.execute(
                "SELECT substr(tail, 1, instr(tail, '/') - 1) AS collection, count(*)"
                f" FROM (SELECT substr(uri, length(did) + 7) AS tail {VISIBLE}) GROUP BY collection ORDER BY collection"
            ).fetchall()
            (refused,) = db.execute(f"SELECT count(*) {REFUSED}").fetchone()
            crawled = db.execute("SELECT ended FROM crawls ORDER BY number DESC LIMIT 1").fetchone()
        size = path.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"can't be read: {error}", where=str(path)) from None
    return StoreSummary(
        version=SCHEMA_VERSION,
        identity=position.store,
        changes=position.number,
        bytes=size,
        accounts=accounts,
        records=dict(records),
        refused=refused,
        sources=sources,
        denied=len(denied),
        crawled=None if crawled is None else datetime.fromisoformat(crawled[0]),
    )
