"""SHA-256, size and number of samples of local files: hashed in several threads, cached while the files are unchanged.

A file is unchanged if its path, size, inode, mtime and ctime (in nanoseconds) are the same: a program that restores an
old mtime, as ``cp -p`` does, still changes the ctime. A file written within the last two seconds may be written again
and keep its time, as the clock of the file system is coarse, so it isn't cached.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.errors import CatalogError, DataError
from catalog.shards.hash_cache import Examined, HashCache, ShardStats
from catalog.shards.source import HashingSource, open_nonblocking
from catalog.shards.thread_pool import run_all

if TYPE_CHECKING:
    from catalog.shards.hash_cache import Check
    from catalog.shards.reader import Counted
    from catalog.shards.source import Source

_LARGE: Final = 1 << 26
"""Bytes of a file from which progress is reported, and between two reports."""
_RACY_NANOSECONDS: Final = 2_000_000_000
"""The clock of FAT ticks every two seconds; others are finer."""
_WORKERS: Final = 4
_NO_CHECKS: Final[Mapping[Path, Check]] = MappingProxyType({})

Progress: TypeAlias = "Callable[[Path, int, int], object]"
"""Called for a large file, by one thread at a time: the file, its bytes so far, its size."""

Counter: TypeAlias = "Callable[[Source, str], Counted]"
"""Counts the samples of a shard, such as :func:`catalog.shards.reader.count_samples`; the text is for errors."""


class LocalHasher:
    """Hashes local files. ``folder`` is that of the cache, ``None`` for no cache.

    ``count`` counts the samples in the same pass over the bytes; ``workers`` files are hashed at a time.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        count: Counter | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        self.cache = HashCache(folder)
        self._count, self._progress = count, progress
        self._workers = workers or min(_WORKERS, os.cpu_count() or 1)
        self._lock, self._stopped = Lock(), Event()

    @classmethod
    def of_user(cls, *, count: Counter | None = None, progress: Progress | None = None) -> LocalHasher:
        """Return a hasher with a cache in the user's cache folder, :func:`catalog.config.cache_folder`."""
        from catalog.config import cache_folder

        try:
            folder = cache_folder() / "measures"
        except RuntimeError:  # the user has no home folder
            folder = None
        return cls(folder, count=count, progress=progress)

    def hash_files(
        self, paths: Iterable[Path], checks: Mapping[Path, Check] = _NO_CHECKS
    ) -> dict[Path, ShardStats | CatalogError]:
        """Return the statistics of each file, or its error: it is absent, can't be read, or changes meanwhile.

        A file with a check is examined by it in the same pass, instead of counted.
        """
        found: dict[Path, ShardStats | CatalogError] = {}
        with self.cache.opened() as cache:
            unknown = []
            for path in dict.fromkeys(paths):
                known = self._cached(path, checks.get(path), cache)
                if known is None:
                    unknown.append(path)
                else:
                    found[path] = known
            self._stopped.clear()

            def hash_file(path: Path) -> tuple[ShardStats, str | None]:
                return self._hash(path, checks.get(path))

            with closing(run_all(hash_file, unknown, workers=self._workers, stop=self._stopped)) as results:
                for path, result in results:
                    if isinstance(result, CatalogError):
                        found[path] = result
                        continue
                    found[path], mark = result
                    if mark is not None:
                        cache.put(_key(path, checks.get(path)), mark, result[0])
        return found

    def _cached(self, path: Path, check: Check | None, cache: HashCache) -> ShardStats | None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        known = cache.get(_key(path, check), _mark(status))
        if known is not None and check is not None and not check.is_complete(known):
            return None
        if known is None or known.bytes != status.st_size or (self._count is not None and not known.counted):
            return None
        return known

    def _hash(self, path: Path, check: Check | None) -> tuple[ShardStats, str | None]:
        """Return the statistics of a file and its mark in the cache, ``None`` if it must not be cached."""
        try:
            with open(path, "rb", buffering=0, opener=open_nonblocking) as file:
                before, since = os.fstat(file.fileno()), time.time_ns()
                if not stat.S_ISREG(before.st_mode):
                    raise DataError("can't be read: it is no regular file")
                hashing = HashingSource(file, self._watch(path, before.st_size))
                examined = self._examined(hashing, path.name, check)
                sha256 = hashing.finish()
                after = os.fstat(file.fileno())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataError(f"can't be read: {reason}") from error
        if _mark(before) != _mark(after) or hashing.bytes != after.st_size:
            raise DataError("was changed while it was read", hint="try again when nothing writes to it")
        stats = ShardStats(
            sha256=sha256,
            bytes=hashing.bytes,
            samples=None if examined is None else examined.samples,
            format=None if examined is None else examined.format,
            counted=examined is not None,
            misfit=None if examined is None else examined.misfit,
        )
        if examined is not None and examined.keep is not None:
            examined.keep(sha256, hashing.bytes)
        racy = max(before.st_mtime_ns, before.st_ctime_ns) > since - _RACY_NANOSECONDS
        return stats, None if racy else _mark(before)

    def _examined(self, source: Source, where: str, check: Check | None) -> Examined | None:
        if check is not None:
            return check(source, where)
        if self._count is None:
            return None
        samples, form = self._count(source, where)
        return Examined(samples=samples, format=form)

    def _watch(self, path: Path, total: int) -> Callable[[int], object]:
        reported = 0

        def watch(done: int) -> None:
            nonlocal reported
            if self._stopped.is_set():
                raise DataError("wasn't read to its end")
            if self._progress is None or total < _LARGE:
                return
            if done - reported >= _LARGE or done == total > reported:
                reported = done
                with self._lock:
                    self._progress(path, done, total)

        return watch


def _key(path: Path, check: Check | None) -> bytes:
    name = os.fsencode(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, which change
    return b"file " + name if check is None else b"file " + name + b"\0" + check.key


def _mark(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
