"""The cache of previews and of failures: one file for each shard, in the folder of the store.

A file is a line of JSON (``checked``, ``etag``, ``failed``), then the preview. Files are replaced atomically; one that
can't be read is treated as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from catalog.errors import InvalidData
from catalog.site.previews.first_samples import Mark
from catalog.site.previews.model import Preview

FORMAT: Final = 2
"""Increased when previews are rendered differently: then all are rendered again."""

_SUFFIX: Final = ".preview"
_MOST_HEAD: Final = 4000
_REASON: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The preview of one shard in ``raw``, or in ``failed`` the reason why there is none.

    ``checked`` is in seconds since 1970, ``mark`` the version of the shard, ``misfit`` that of the preview.
    """

    checked: float
    mark: Mark
    failed: str | None = None
    misfit: str = ""
    raw: bytes = b""


class Cache:
    """The folder of entries, of at most ``most`` bytes in total after :meth:`trim`. For many threads."""

    def __init__(self, folder: Path, *, most: int) -> None:
        self.folder = folder
        self.most = most

    def path(self, *key: str | None) -> Path:
        """Return the file of the entry for a key."""
        named = json.dumps([FORMAT, *key]).encode()
        return self.folder / (hashlib.sha256(named).hexdigest() + _SUFFIX)

    @staticmethod
    def read(path: Path) -> Entry | None:
        """Return the entry; ``None`` if there is none that can be read."""
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        head = raw[:_MOST_HEAD].partition(b"\n")[0]
        try:
            facts = json.loads(head)
            failed = facts["failed"]
            return Entry(
                checked=float(facts["checked"]),
                mark=Mark(etag=str(facts["etag"]), size=str(facts["size"]), modified=str(facts["modified"])),
                failed=None if failed is None else str(failed)[:_REASON],
                misfit=str(facts["misfit"]),
                raw=raw[len(head) + 1 :] if failed is None else b"",
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def write(self, path: Path, entry: Entry) -> None:
        """Write an entry, replacing the old one. Raises OSError."""
        mark = entry.mark
        facts = {
            "checked": entry.checked, "etag": mark.etag, "size": mark.size, "modified": mark.modified,
            "failed": entry.failed, "misfit": entry.misfit,
        }  # fmt: skip
        replace_file(path, json.dumps(facts).encode() + b"\n" + entry.raw)

    @classmethod
    def preview(cls, path: Path) -> Preview | None:
        """Return the preview of an entry; ``None`` if there is none, or it can't be read."""
        entry = cls.read(path)
        if entry is None or entry.failed is not None:
            return None
        try:
            return Preview.load(entry.raw)
        except InvalidData:
            return None

    @staticmethod
    def used(path: Path, now: float) -> None:
        """Mark an entry as used: the least recently used are removed first."""
        try:
            os.utime(path, (now, now))
        except OSError:  # deleted, or without permission; nothing depends on it
            return

    def trim(self, kept: Collection[Path]) -> int:
        """Delete the least recently used entries, except ``kept``, until the size is met; return the number deleted."""
        entries = []
        for path in self.folder.glob(f"*{_SUFFIX}") if self.folder.is_dir() else ():
            try:
                status = path.stat()
            except OSError:
                continue
            entries.append((status.st_mtime, path.name, status.st_size, path))
        total, gone, needed = sum(entry[2] for entry in entries), 0, set(kept)
        for _, _, size, path in sorted(entries):
            if total <= self.most:
                break
            if path not in needed:
                path.unlink(missing_ok=True)
                total, gone = total - size, gone + 1
        return gone


def replace_file(path: Path, raw: bytes) -> None:
    """Write a file of a cache at once, also beside threads and processes that write the same. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        part.write_bytes(raw)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
