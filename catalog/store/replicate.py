"""Copy a store while both source and target may be in use, for replicas.

An open SQLite file must not be replaced: its companion files would then belong to another file. So the target changes
in one transaction, and its readers see the old state, then the new one. A copy has the store's identity and change
numbers, so that an index beside it only catches up.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from catalog.errors import StoreError
from catalog.store.migrations import APPLICATION_ID, SCHEMA_VERSION

_BUSY_SECONDS: Final = 30.0


def copy_store(source: Path, target: Path) -> None:
    """Make ``target`` a copy of ``source``; both may be in use.

    Raises :class:`~catalog.errors.StoreError` if ``source`` isn't a store of this version, or ``target`` is another
    kind of file or can't be written.
    """
    if not source.is_file():
        raise StoreError("there is no store", where=str(source))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if target.samefile(source):
                raise StoreError("is the store that is to be copied", where=str(target), hint="name another file")
            _copy(source, target)
        else:
            _create(source, target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"can't be copied: {error}", where=str(target)) from None


def _create(source: Path, target: Path) -> None:
    """Write a new file beside its place and rename it, so that no reader opens half of it."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _copy(source, part)
        part.replace(target)
    finally:
        for rest in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                part.with_name(part.name + rest).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as here,
        closing(sqlite3.connect(target, timeout=_BUSY_SECONDS)) as there,
    ):
        if _kind(here) != (APPLICATION_ID, SCHEMA_VERSION):
            hint = "a crawl brings an older store of ours forward"
            raise StoreError("not a store of this version", where=str(source), hint=hint)
        if there.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] and _kind(there)[0] != APPLICATION_ID:
            raise StoreError("this SQLite file is not a catalog's store", where=str(target), hint="name another file")
        here.backup(there)  # in one step: were it many, each commit of a crawl would start it anew
        there.execute("PRAGMA journal_mode = WAL")


def _kind(db: sqlite3.Connection) -> tuple[int, int]:
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    return application, version
