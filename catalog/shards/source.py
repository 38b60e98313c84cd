"""Sources of bytes: anything with ``readinto``, such as an unbuffered file; adapters for iterators and for hashing."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, Protocol, cast

from catalog.errors import CatalogError
from catalog.shards.magic import HEAD

_BLOCK: Final = 1 << 20


class Source(Protocol):
    """Something to read bytes from: an unbuffered file, a download."""

    def readinto(self, into: memoryview, /) -> int | None:
        """Fill the beginning of ``into`` and return the number of bytes; 0 at the end."""


class ChunkSource:
    """An iterator of chunks as a source. An error of the iterator is raised again by every later read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._error: Exception | None = None

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into`` and return the number of bytes; 0 at the end."""
        while not self._rest:
            if self._error is not None:
                raise self._error
            try:
                chunk = next(self._chunks, None)
            except Exception as error:
                self._error = error
                raise
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class RemoteSource(ChunkSource):
    """A download as a source. ``open_ranges`` opens it as a file that reads ranges, ``None`` if the server has none."""

    def __init__(self, chunks: Iterator[bytes], open_ranges: Callable[[], BinaryIO | None]) -> None:
        super().__init__(chunks)
        self.file = open_ranges


class HashingSource:
    """A source that hashes what is read from another one. ``progress`` is called with the bytes so far."""

    def __init__(self, source: Source, progress: Callable[[int], object] | None = None) -> None:
        self._source, self._progress = source, progress
        self._digest = hashlib.sha256()
        self._ended = False
        self.bytes = 0

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into`` and return the number of bytes; 0 at the end."""
        count = 0 if self._ended else self._source.readinto(into) or 0
        self._digest.update(into[:count])
        self.bytes += count
        if self._progress is not None:
            self._progress(self.bytes)
        return count

    def file(self) -> BinaryIO | None:
        """Read to the end; return the file whose bytes were hashed, ``None`` if it isn't a local one."""
        if not isinstance(self._source, io.FileIO):
            return None
        self.finish()
        self._ended = True  # the caller seeks in the file
        return cast("BinaryIO", self._source)

    def finish(self) -> str:
        """Read to the end; return the SHA-256 of all bytes in lower-case hex."""
        rest = memoryview(bytearray(_BLOCK))
        while self.readinto(rest):
            pass
        return self._digest.hexdigest()


class _ReplayedSource:
    """A source whose first bytes were read already; ``error`` is raised after them."""

    def __init__(self, head: bytes, source: Source, error: Exception | None) -> None:
        self._head, self._source, self._error = memoryview(head), source, error

    def file(self) -> BinaryIO | None:
        return as_file(self._source)

    def readinto(self, into: memoryview, /) -> int | None:
        """Fill the beginning of ``into`` and return the number of bytes; 0 at the end."""
        if not self._head:
            if self._error is not None:
                raise self._error
            return self._source.readinto(into)
        count = min(len(into), len(self._head))
        into[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def peek(source: Source, size: int = HEAD) -> tuple[bytes, Source]:
    """Return the first ``size`` bytes of a source that wasn't read yet, and a source that yields all of its bytes.

    A file is rewound and stays a file. An error after the first bytes is raised by the returned source, after them.
    """
    head, filled, error = bytearray(size), 0, None
    while filled < size:
        try:
            count = source.readinto(memoryview(head)[filled:])
        except CatalogError as raised:
            if not filled:
                raise
            error = raised
            break
        if not count:
            break
        filled += count
    if isinstance(source, io.FileIO):
        source.seek(0)
        return bytes(head[:filled]), source
    return bytes(head[:filled]), _ReplayedSource(bytes(head[:filled]), source, error)


def as_file(source: Source) -> BinaryIO | None:
    """Return a source as a file with ``seek``, ``None`` if it isn't one."""
    if isinstance(source, io.FileIO):
        return cast("BinaryIO", source)
    opener = getattr(source, "file", None)
    found: BinaryIO | None = None if opener is None else opener()
    return found


@contextmanager
def random_access(source: Source) -> Iterator[BinaryIO]:
    """Open a source that wasn't read yet as a file with ``seek``.

    Local files and downloads from servers with ranges are that already; others are copied to a temporary file.
    """
    found = as_file(source)
    if found is not None:
        yield found
        return
    with tempfile.TemporaryFile() as copy:
        buffer = memoryview(bytearray(_BLOCK))
        while count := source.readinto(buffer):
            copy.write(buffer[:count])
        yield cast("BinaryIO", copy)


def open_nonblocking(path: str, flags: int) -> int:
    """Open a file for :func:`open` (its ``opener``) without waiting for the writer of a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
