"""A hash of everything that a store shows: the same as long as every page made from it would be the same.

The source of a record and the times of crawls don't count: no page shows them. The status page shows the reports of the
crawls; :mod:`catalog.site.build_fingerprint` adds those.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from catalog.store.migrations import REFUSED, VISIBLE

if TYPE_CHECKING:
    import sqlite3

_SHOWN: Final = (
    f"SELECT uri, cid, records.draft, verified, local, updated, handle, pds {VISIBLE} ORDER BY uri",
    f"""SELECT uri, number, cid, rev, seen FROM versions
    WHERE uri IN (SELECT uri FROM versions WHERE number > 1) AND uri IN (SELECT uri {VISIBLE}) ORDER BY uri, number""",
    f"SELECT uri, reason, cid {REFUSED} ORDER BY uri, reason",
    "SELECT source, subject, value, cid, action FROM labels JOIN label_actions USING (value) ORDER BY 1, 2, 3, 4",
)
"""A CID represents the whole value. Handle and PDS are the publisher's."""


def fingerprint(db: sqlite3.Connection) -> str:
    """SHA-256 in hexadecimal digits. A hundred thousand records take less than a second."""
    digest = hashlib.sha256()
    for query in _SHOWN:
        digest.update(f"{query}\n".encode())
        for row in db.execute(query):
            digest.update(f"{row!r}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
