"""The digests of local files: hashed on several cores, and remembered while the files stay as they are.

Tricky bits
-----------
- A file is known again by its path, size, inode, and the times of its last write (mtime) and of its last change of any
  kind (ctime, in nanoseconds both): who puts an old mtime back, as ``cp -p`` does, still moves the ctime.
- Times are as coarse as the file system's clock. A file that was written within the last two seconds may be written
  again and still have the same time, so it isn't remembered.
- hashlib lets go of the interpreter's lock: two threads hash two files on two cores.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from catalog.errors import DataError, Fault
from catalog.manifest.diagnostics import place, shown
from catalog.manifest.glob import instead_of, is_there
from catalog.shards.hash_cache import Measure, Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from catalog.manifest.drafts import DatasetDraft, ShardDraft

__all__ = [
    "Counter",
    "Digests",
    "Hashing",
    "Heard",
    "Readable",
    "counted_shards",
    "local_faults",
    "other_faults",
    "without_waiting",
]

_BLOCK: Final = 1 << 20
_LARGE: Final = 1 << 26
"""Bytes of a file that is large, and between two words on it."""
_RACY_NANOSECONDS: Final = 2_000_000_000
"""FAT's clock ticks every two seconds, others' much oftener."""
_WORKERS: Final = 4


class Readable(Protocol):
    """Where bytes come from: an unbuffered file, a download."""

    def readinto(self, into: memoryview, /) -> int | None:
        """Fill the beginning of ``into`` and say how much that was; 0 at the end."""


class Hashing:
    """Bytes on their way through: hashed as they are read. ``heard`` gets the count after each piece."""

    def __init__(self, source: Readable, heard: Callable[[int], object] | None = None) -> None:
        self._source, self._heard = source, heard
        self._digest = hashlib.sha256()
        self.bytes = 0

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into``; 0 at the end."""
        count = self._source.readinto(into) or 0
        self._digest.update(into[:count])
        self.bytes += count
        if self._heard is not None:
            self._heard(self.bytes)
        return count

    def finish(self) -> str:
        """Read what is left; the SHA-256 of everything in lower-case hex."""
        rest = memoryview(bytearray(_BLOCK))
        while self.readinto(rest):
            pass
        return self._digest.hexdigest()


Heard: TypeAlias = "Callable[[Path, int, int], object]"
"""Is told of a large file now and then, by one thread at a time: which, its bytes so far, all of them."""

Counter: TypeAlias = "Callable[[Readable, str], int | None]"
"""Counts the samples in the bytes of a shard, ``None`` for what is no tar of samples; the text is for errors."""


class Digests:
    """The measures of local files. ``folder`` is where they are remembered, ``None`` for nowhere.

    ``count`` counts the samples on the same way through the bytes. ``workers`` files are hashed at a time.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        count: Counter | None = None,
        heard: Heard | None = None,
        workers: int | None = None,
    ) -> None:
        self.memory = Memory(folder)
        self._count, self._heard = count, heard
        self._workers = workers or min(_WORKERS, os.cpu_count() or 1)
        self._lock, self._stopped = Lock(), Event()

    @classmethod
    def of_user(cls, *, count: Counter | None = None, heard: Heard | None = None) -> Digests:
        """Remembered in the user's cache folder, :func:`catalog.config.cache_folder`."""
        from catalog.config import cache_folder

        try:
            folder = cache_folder() / "measures"
        except RuntimeError:  # somebody without a home
            folder = None
        return cls(folder, count=count, heard=heard)

    def all(self, paths: Iterable[Path]) -> dict[Path, Measure | DataError]:
        """The measure of each file, or what is wrong with it: it isn't there, can't be read, changes meanwhile."""
        found: dict[Path, Measure | DataError] = {}
        with self.memory.opened() as memory:
            unknown = []
            for path in dict.fromkeys(paths):
                known = self._remembered(path, memory)
                if known is None:
                    unknown.append(path)
                else:
                    found[path] = known
            for path, measure, mark in self._measured(unknown):
                found[path] = measure
                if mark is not None and isinstance(measure, Measure):
                    memory.put(_key(path), mark, measure)
        return found

    def _remembered(self, path: Path, memory: Memory) -> Measure | None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        known = memory.get(_key(path), _mark(status))
        if known is None or known.bytes != status.st_size or (self._count is not None and not known.counted):
            return None
        return known

    def _measured(self, paths: list[Path]) -> Iterable[tuple[Path, Measure | DataError, str | None]]:
        """Each file with its measure, and the mark by which it may be remembered; as they get ready."""
        if not paths:
            return
        self._stopped.clear()
        with ThreadPoolExecutor(min(self._workers, len(paths)), thread_name_prefix="hashing") as pool:
            try:
                waiting = {pool.submit(self._measure, path): path for path in paths}
                for done in as_completed(waiting):
                    path = waiting.pop(done)
                    try:
                        yield path, *done.result()
                    except DataError as error:
                        yield path, error, None
            except BaseException:
                self._stopped.set()  # or who interrupts us would wait for a terabyte
                pool.shutdown(cancel_futures=True)
                raise

    def _measure(self, path: Path) -> tuple[Measure, str | None]:
        try:
            with open(path, "rb", buffering=0, opener=without_waiting) as file:
                before, since = os.fstat(file.fileno()), time.time_ns()
                if not stat.S_ISREG(before.st_mode):
                    raise DataError("can't be read: it is no regular file")
                hashing = Hashing(file, self._hearing(path, before.st_size))
                samples = None if self._count is None else self._count(hashing, path.name)
                sha256 = hashing.finish()
                after = os.fstat(file.fileno())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataError(f"can't be read: {reason}") from error
        if _mark(before) != _mark(after) or hashing.bytes != after.st_size:
            raise DataError("was changed while it was read", hint="try again when nobody writes it")
        counted = self._count is not None
        measure = Measure(sha256=sha256, bytes=hashing.bytes, samples=samples, counted=counted)
        racy = max(before.st_mtime_ns, before.st_ctime_ns) > since - _RACY_NANOSECONDS
        return measure, None if racy else _mark(before)

    def _hearing(self, path: Path, total: int) -> Callable[[int], object]:
        told = 0

        def hear(done: int) -> None:
            nonlocal told
            if self._stopped.is_set():
                raise DataError("wasn't read to its end")
            if self._heard is not None and total >= _LARGE and (done - told >= _LARGE or (done == total > told)):
                told = done
                with self._lock:
                    self._heard(path, done, total)

        return hear


def local_faults(
    draft: DatasetDraft, shard: ShardDraft, found: Measure | DataError, *, guess: bool = True
) -> list[Fault]:
    """What is wrong with a shard's local copy: it can't be read, or is not what the manifest states.

    ``guess`` looks for a file of a similar name, which costs as much as the folder has files.

    Nothing is wrong with one that isn't there when its checksum and bytes are stated: manifests travel without data.
    """
    name = shown(str(shard.local), 200)
    if isinstance(found, Measure):
        return other_faults(draft, shard, found, name)
    gone = shard.local is not None and not is_there(shard.local)
    if gone and shard.sha256 is not None and shard.bytes is not None:
        return []
    guess = guess and gone and bool(draft.lines)
    hint = found.hint or (instead_of(shard.local) if guess and shard.local is not None else None)
    message = f"the local copy {name!r} {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


def other_faults(draft: DatasetDraft, shard: ShardDraft, found: Measure, name: str) -> list[Fault]:
    """What a manifest states of a shard, and what else was found in the bytes called ``name``."""
    where = place(draft.file, shard.line)
    faults = []
    if shard.sha256 not in (None, found.sha256):
        message = f"'sha256' is {shard.sha256}, but {name!r} has {found.sha256}"
        faults.append(Fault(where=where, message=message))
    if shard.bytes not in (None, found.bytes):
        faults.append(Fault(where=where, message=f"'bytes' is {shard.bytes}, but {name!r} has {found.bytes}"))
    return faults


def counted_shards(count: int) -> str:
    """``1 shard``, ``2 shards``."""
    return "1 shard" if count == 1 else f"{count:,} shards"


def without_waiting(path: str, flags: int) -> int:
    """Open a file for :func:`open` without waiting for the writer of a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _key(path: Path) -> bytes:
    return b"file " + os.fsencode(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, which change


def _mark(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
