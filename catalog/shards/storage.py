"""Where a shard's bytes come from: a local file, an address, a bucket; the cache, and checksums.

Tricky bits
-----------
- A remote shard with a checksum is downloaded whole into a cache and checked before its first sample comes out; one
  without is read as it arrives. The cache is ``$CATALOG_CACHE``, else ``~/.cache/atdata-catalog``.
- A file in the cache is named by its content, and gets its name only when it is whole and right. While it is fetched
  it is ``….part``, locked: whoever else wants it (a DataLoader's other workers) waits, then finds it there.
- Files are read, not mapped into memory. A mapped file that somebody cuts kills the process that looks at it (SIGBUS),
  and one that is overwritten changes arrays that were already checked. Reading costs nothing for that: with data that
  is looked at, members of 3 kB take 3.2 µs read and 3.5 mapped, members of 1 MB 111 µs read and 144 mapped.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from catalog.errors import ChecksumMismatch, DataError, InvalidShard, RefusedUrl

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from contextlib import AbstractContextManager
    from io import FileIO
    from typing import BinaryIO, TypeAlias

    from catalog.config import NetworkSettings
    from catalog.network.http import Client, Stream
    from catalog.shards.download import Ask
    from catalog.shards.tar import Source

    _Pieces: TypeAlias = Generator[tuple[int, bytes], None, None]

__all__ = ["Shard", "asking", "opened", "shown"]

MAX_SHARD: Final = 1 << 40
"""Bytes of one remote shard."""

_SLOWEST: Final = 86_400.0
"""Seconds for a whole shard, with what the samples are used for in between; stalls are noticed long before."""

_ALGORITHMS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Where one shard lies. ``checksum`` is ``sha256:<hex>`` (or another algorithm's name), ``None`` for unchecked.

    ``endpoint`` (a URL) and ``region`` are for ``s3://bucket/key``, where the key stands as it is, unescaped; without
    them it lies on AWS, or where ``AWS_ENDPOINT_URL_S3`` says. Not opened and not looked at until it is read.
    """

    url: str
    checksum: str | None = None
    endpoint: str | None = None
    region: str | None = None

    @property
    def path(self) -> Path | None:
        """The local file, ``None`` for a remote shard. Raises :class:`RefusedUrl` for a scheme that isn't opened."""
        url = self.url
        match = _SCHEME.match(url.strip())
        scheme = match[1].lower() if match else ""
        odd = url != url.strip() and (scheme or "//" in url)
        if scheme in ("http", "https") and not odd:
            return None
        if scheme == "s3" and url.startswith("s3://"):
            from catalog.shards.s3 import Place

            Place.of(url, self.endpoint, self.region)
            return None
        path = url
        if scheme == "file" and not odd and urlsplit(url).netloc in ("", "localhost"):
            scheme, path = "", unquote(urlsplit(url).path)
        if scheme or odd or any(ord(char) < 32 for char in path):
            what = f"{scheme or 'file'}: is not opened"
            raise RefusedUrl(what, where=shown(url), hint="https, http, s3 and files are")
        if path.startswith(("//", "\\\\")):
            raise RefusedUrl("a file of another machine is not opened", where=shown(url), hint="mount it")
        return Path(path)


def shown(url: str) -> str:
    """A shard's URL fit for an error: on one line, cut, without a user's name or a query, which may be a key.

    The query of a PDS's ``getBlob`` stays: it is all there is to tell one blob from another.
    """
    if url.lower().startswith(("http:", "https:")) and "/xrpc/com.atproto." not in url:
        before, slashes, after = url.partition("//")
        host, slash, path = after.partition("/")
        url = (before + slashes + host.rpartition("@")[2] + slash + path).partition("?")[0].partition("#")[0]
    url = url if len(url) <= 200 else url[:199] + "…"
    return url if url.isprintable() else ascii(url)[1:-1]


@contextmanager
def opened(shard: Shard, settings: NetworkSettings | None) -> Iterator[Source]:
    """The bytes of a shard, checked if it has a checksum.

    Raises :class:`RefusedUrl`, :class:`ChecksumMismatch`, :class:`InvalidShard` for a file that can't be read (also
    while it is read), a :class:`~catalog.errors.NetworkError`, :class:`~catalog.errors.MissingExtra`.
    """
    path = shard.path
    with ExitStack() as stack:
        if path is not None:
            try:
                yield stack.enter_context(_file(path, shard))
            except OSError as error:
                reason = error.strerror or type(error).__name__
                pattern = isinstance(error, FileNotFoundError) and any(mark in str(path) for mark in "*?")
                hint = "many shards are named as a-{000000..000009}.tar, or in a list" if pattern else None
                raise InvalidShard(f"the file can't be read: {reason}", where=shown(shard.url), hint=hint) from error
        elif shard.checksum is not None:
            yield stack.enter_context(_cached(shard, settings))
        else:
            downloaded = stack.enter_context(closing(_download(shard, settings, restart=False)))
            yield _Chunks(piece for _, piece in downloaded)


@contextmanager
def _file(path: Path, shard: Shard) -> Iterator[FileIO]:
    with open(path, "rb", buffering=0, opener=_descriptor) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidShard("the file can't be read: it is a device or a pipe", where=shown(shard.url))
        if shard.checksum is not None:
            _verify(file, path, shard)
        yield file  # without a buffer: the tar reader has its own


def _descriptor(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # or opening a named pipe would wait for a writer


def _download(shard: Shard, settings: NetworkSettings | None, *, restart: bool) -> _Pieces:
    """(offset, piece) of a remote shard; see :func:`catalog.shards.download.pieces`."""
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.download import pieces

    with Client(settings or NetworkSettings.from_environment()) as client:
        yield from pieces(asking(client, shard), shown(shard.url), restart=restart)


def asking(client: Client, shard: Shard) -> Ask:
    """How a remote shard is asked for; for :func:`catalog.shards.download.pieces`."""
    if shard.url.startswith("s3://"):
        from catalog.shards import s3

        place = s3.Place.of(shard.url, shard.endpoint, shard.region)
        return partial(s3.opened, client, place, max_bytes=MAX_SHARD, seconds=_SLOWEST)

    from catalog.shards.download import ANSWERS

    def ask(headers: Mapping[str, str]) -> AbstractContextManager[Stream]:
        return client.stream(shard.url, headers=headers, max_bytes=MAX_SHARD, seconds=_SLOWEST, answers=ANSWERS)

    return ask


class _Chunks:
    """Chunks of bytes as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into``; 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


# --- checksums and the cache ---------------------------------------------------------------------------------

_verified: set[tuple[str, int, int, int, str]] = set()
"""Files found right in this process: (path, inode, bytes, mtime in ns, checksum). A dataset is read more than once."""


def _checksum(shard: Shard) -> tuple[str, str]:
    algorithm, _, digest = (shard.checksum or "").partition(":")
    algorithm, digest = algorithm.lower().replace("sha-", "sha"), digest.lower()
    if _ALGORITHMS.get(algorithm) != len(digest) or not re.fullmatch(r"[0-9a-f]+", digest):
        what = f"a checksum that can't be checked: {(shard.checksum or '')[:80]!a}"
        raise ChecksumMismatch(what, where=shown(shard.url), hint=f"known: {', '.join(_ALGORITHMS)}, in hex")
    return algorithm, digest


def _mark(file: BinaryIO | FileIO, path: Path, checksum: tuple[str, str]) -> tuple[str, int, int, int, str]:
    status = os.fstat(file.fileno())
    return str(path.absolute()), status.st_ino, status.st_size, status.st_mtime_ns, ":".join(checksum)


def _verify(file: FileIO, path: Path, shard: Shard) -> None:
    """Check an open file and go back to its beginning: what is read then is what was checked, whatever the path is."""
    checksum = _checksum(shard)
    mark = _mark(file, path, checksum)
    if mark in _verified:
        return
    _compare(shard, hashlib.file_digest(file, partial(hashlib.new, checksum[0], usedforsecurity=False)).hexdigest())
    file.seek(0)
    _verified.add(mark)


def _compare(shard: Shard, found: str) -> None:
    algorithm, promised = _checksum(shard)
    if found != promised:
        what = f"{algorithm} is {found}, the record promises {promised}"
        raise ChecksumMismatch(what, where=shown(shard.url), hint="it was changed or damaged; ask its publisher")


@contextmanager
def _cached(shard: Shard, settings: NetworkSettings | None) -> Iterator[FileIO]:
    """The checked copy of a remote shard; files are named by their content, so equal shards are fetched once."""
    from catalog.config import cache_folder

    algorithm, promised = _checksum(shard)
    folder = cache_folder() / "shards"
    path = folder / f"{algorithm}-{promised}.tar"
    with ExitStack() as stack:
        try:
            file = _found(path, shard, stack)
            while file is None:
                folder.mkdir(parents=True, exist_ok=True)
                _fetch(shard, settings, path)
                file = _found(path, shard, stack)
        except OSError as error:
            what = f"the cache can't be used: {error.strerror or error}"
            raise DataError(what, where=str(folder), hint="set CATALOG_CACHE to another folder") from error
        yield file


def _found(path: Path, shard: Shard, stack: ExitStack) -> FileIO | None:
    try:
        return stack.enter_context(_file(path, shard))
    except FileNotFoundError:
        return None
    except ChecksumMismatch:
        path.unlink(missing_ok=True)  # our own copy went bad; the publisher's may be right
        return None


def _fetch(shard: Shard, settings: NetworkSettings | None, path: Path) -> None:
    """Download a shard to its place in the cache, unless somebody else does while we wait."""
    part = path.with_name(f"{path.name}.part" if sys.platform != "win32" else f"{path.name}.{os.getpid()}.part")
    with part.open("a+b") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, part):  # whoever had the lock gave the file its name, or removed it
                return
            if path.exists():  # whoever had the lock was done before we opened ours
                part.unlink()
                return
        try:
            _fill(file, shard, settings, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if sys.platform == "win32":
            file.close()  # or it couldn't be renamed
        part.replace(path)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _fill(file: BinaryIO, shard: Shard, settings: NetworkSettings | None, path: Path) -> None:
    checksum = _checksum(shard)
    digest = hashlib.new(checksum[0], usedforsecurity=False)
    file.truncate(0)  # somebody who was killed left it
    with closing(_download(shard, settings, restart=True)) as downloaded:
        for offset, piece in downloaded:
            if offset == 0:
                file.truncate(0)
                digest = hashlib.new(checksum[0], usedforsecurity=False)
            file.write(piece)
            digest.update(piece)
    file.flush()
    _compare(shard, digest.hexdigest())
    _verified.add(_mark(file, path, checksum))
