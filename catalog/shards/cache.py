"""Verified copies of remote shards, in ``$CATALOG_CACHE/shards`` (``~/.cache/atdata-catalog/shards``).

A file is named by its digest, so equal shards are downloaded once, and gets its name only when it is complete and
verified. While it is downloaded it is ``….part``, locked: other processes that need it (the workers of a DataLoader)
wait for the lock, then find the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from catalog.errors import ChecksumMismatch, DataError, InvalidShard
from catalog.shards.progress import download_progress
from catalog.shards.source import open_nonblocking

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from io import FileIO

    from catalog.shards.checksum import ExpectedDigest


Download: TypeAlias = "Callable[[], Generator[tuple[int, bytes], None, None]]"
"""Starts the download of a shard: (offset, chunk); an offset of 0 discards what came before."""

_verified: Final[set[tuple[str, int, int, int, str]]] = set()
"""Files verified in this process: (path, inode, bytes, mtime in ns, checksum). A dataset is read more than once."""


@contextmanager
def open_file(path: Path, where: str) -> Iterator[FileIO]:
    """Open a regular file without a buffer: the tar reader has its own. Raises :class:`InvalidShard`, OSError."""
    with open(path, "rb", buffering=0, opener=open_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidShard("the file can't be read: it is a device or a pipe", where=where)
        yield file


def verify(file: FileIO, path: Path, expected: ExpectedDigest, where: str) -> None:
    """Check the digest of an open file and rewind it. What is read then was verified, whatever happens to the path."""
    mark = _mark(file, path, expected)
    if mark not in _verified:
        expected.check(hashlib.file_digest(file, expected.new_hash).hexdigest(), where, file)
        file.seek(0)
        _verified.add(mark)


def _mark(file: BinaryIO | FileIO, path: Path, expected: ExpectedDigest) -> tuple[str, int, int, int, str]:
    status = os.fstat(file.fileno())
    return str(path.absolute()), status.st_ino, status.st_size, status.st_mtime_ns, str(expected)


@contextmanager
def cached_copy(expected: ExpectedDigest, where: str, download: Download) -> Iterator[FileIO]:
    """Open the verified copy of a remote shard, downloaded first if there is none."""
    from catalog.config import cache_folder

    folder = cache_folder() / "shards"
    path = folder / f"{expected.algorithm}-{expected.digest}.tar"
    with ExitStack() as stack:
        try:
            file = _open_verified(path, expected, where, stack)
            while file is None:
                folder.mkdir(parents=True, exist_ok=True)
                _fetch(path, expected, where, download)
                file = _open_verified(path, expected, where, stack)
        except OSError as error:
            what = f"the cache can't be used: {error.strerror or error}"
            raise DataError(what, where=str(folder), hint="set CATALOG_CACHE to another folder") from error
        yield file


def _open_verified(path: Path, expected: ExpectedDigest, where: str, stack: ExitStack) -> FileIO | None:
    """Open the copy; ``None`` if there is none, or a damaged one, which is deleted."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open_file(path, where))
            verify(file, path, expected, where)
        except FileNotFoundError:
            return None
        except ChecksumMismatch:
            path.unlink(missing_ok=True)
            return None
        stack.push(opened.pop_all())
        return file


def _fetch(path: Path, expected: ExpectedDigest, where: str, download: Download) -> None:
    """Download a shard to its path in the cache, unless another process has done so when the lock is free."""
    part = path.with_name(f"{path.name}.part" if sys.platform != "win32" else f"{path.name}.{os.getpid()}.part")
    with part.open("a+b") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, part):  # the previous holder of the lock renamed or deleted the file
                return
            if path.exists():  # the previous holder had finished before this process opened its file
                part.unlink()
                return
        try:
            _fill(file, path, expected, where, download)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if sys.platform == "win32":
            file.close()  # an open file can't be renamed
        part.replace(path)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _fill(file: BinaryIO, path: Path, expected: ExpectedDigest, where: str, download: Download) -> None:
    digest = expected.new_hash()
    file.truncate(0)  # a killed process may have left bytes
    with closing(download()) as downloaded, download_progress(where) as received:
        for offset, chunk in downloaded:
            if offset == 0:
                file.truncate(0)
                digest = expected.new_hash()
            file.write(chunk)
            digest.update(chunk)
            received(offset + len(chunk))
    file.flush()
    expected.check(digest.hexdigest(), where, file)
    _verified.add(_mark(file, path, expected))
