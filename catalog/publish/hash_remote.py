"""Shards read once from their addresses: hashed and counted as they arrive, and known again the next time.

::

    address ─▶ the version we know? ─▶ yes: what it measured then
                                    ─▶ no: bytes ─▶ hash, count ─▶ remembered under its version

Terminology
-----------
*Version*: what a server says by which bytes are the same: a strong ETag, or else a Last-Modified, and the length.

Tricky bits
-----------
- The server is asked every time. It says 304, or begins to send what we have, and then its body isn't read (S3 has no
  304 for us: a signed request that is answered so would be an error there). A server that names no version is read
  every time.
- A download that breaks off goes on where it was. Where another version comes instead, hash and count begin anew.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from catalog.errors import CatalogError, DataError
from catalog.manifest.checksums import Hashing
from catalog.network.http import Client
from catalog.shards.download import pieces, validator_of
from catalog.shards.hash_cache import Measure
from catalog.shards.shard import count_samples
from catalog.shards.storage import asking, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from catalog.config import NetworkSettings
    from catalog.network.http import Stream
    from catalog.shards.download import Ask
    from catalog.shards.hash_cache import Memory
    from catalog.shards.storage import Shard

    Heard: TypeAlias = Callable[[int, int, int], object]

__all__ = ["read_once"]

READERS: Final = 4
"""Shards that are read at a time."""


def read_once(
    shards: Sequence[Shard], settings: NetworkSettings, memory: Memory, *, heard: Heard
) -> dict[Shard, Measure | CatalogError]:
    """The measure of each remote shard, or why there is none. Nothing is raised for a shard.

    ``heard`` is told how many are done, of how many, and the bytes that came; by many threads.
    """
    return _Reading(settings, list(dict.fromkeys(shards)), heard).run(memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version of what is at an address: a strong ETag or a Last-Modified, and how many bytes it has."""

    validator: str
    bytes: int

    @classmethod
    def of_mark(cls, mark: str | None) -> _Version | None:
        """From its mark in the memory."""
        size, _, validator = (mark or "").partition(" ")
        known = size.isascii() and size.isdigit() and validator
        return cls(validator=validator, bytes=int(size)) if known else None

    @property
    def mark(self) -> str:
        """Its mark in the memory."""
        return f"{self.bytes} {self.validator}"

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for any version but this one."""
        return {"If-None-Match" if self.validator.startswith('"') else "If-Modified-Since": self.validator}

    def is_of(self, answer: Stream) -> bool:
        """Whether this is the version that an answer brings."""
        if answer.status == 304:
            return True
        length = answer.headers.get("content-length", str(self.bytes))
        return answer.status == 200 and validator_of(answer.headers) == self.validator and length == str(self.bytes)


class _Reading:
    """One call of :func:`read_once`."""

    def __init__(self, settings: NetworkSettings, shards: list[Shard], heard: Heard) -> None:
        self._settings, self._shards, self._heard = settings, shards, heard
        self._lock, self._stopped = Lock(), Event()
        self._done = self._bytes = 0

    def run(self, memory: Memory) -> dict[Shard, Measure | CatalogError]:
        found: dict[Shard, Measure | CatalogError] = {}
        if not self._shards:
            return found
        with (
            memory.opened(),
            Client(self._settings, parks=True) as client,
            ThreadPoolExecutor(min(READERS, len(self._shards)), thread_name_prefix="reading") as pool,
        ):
            try:
                waiting = {}
                for shard in self._shards:
                    waiting[pool.submit(self._read, client, shard, _known(memory, shard))] = shard
                for done in as_completed(waiting):
                    shard = waiting.pop(done)
                    try:
                        measure, version = done.result()
                    except CatalogError as error:
                        found[shard] = error.with_traceback(None)  # which would keep its buffers
                    else:
                        found[shard] = measure
                        if version is not None:
                            memory.put(_key(shard), version.mark, measure)
                    self._tell(done=1)
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        return found

    def _read(
        self, client: Client, shard: Shard, known: tuple[_Version, Measure] | None
    ) -> tuple[Measure, _Version | None]:
        """The measure of a shard, and the version it is of, if that has a name and is new."""
        where = shown(shard.url)
        ask = _Asking(asking(client, shard), known and known[0], conditional=not shard.url.startswith("s3://"))
        with closing(pieces(ask, where, restart=True)) as downloaded:
            arriving = _Arriving(downloaded)
            while True:
                hashing = Hashing(arriving, self._watched())
                try:
                    samples = count_samples(hashing, where)
                    sha256 = hashing.finish()
                except _AnotherVersion:
                    continue
                except _KnownVersion:
                    assert known is not None  # noqa: S101 - only then it is looked for
                    return known[1], None
                measure = Measure(sha256=sha256, bytes=hashing.bytes, samples=samples, counted=True)
                named = ask.validator
                return measure, None if named is None else _Version(validator=named, bytes=hashing.bytes)

    def _watched(self) -> Callable[[int], object]:
        told = 0

        def watch(count: int) -> None:
            nonlocal told
            if self._stopped.is_set():
                raise DataError("wasn't read to its end")
            self._tell(size=count - told)
            told = count

        return watch

    def _tell(self, *, done: int = 0, size: int = 0) -> None:
        with self._lock:
            self._done += done
            self._bytes += size
            self._heard(self._done, len(self._shards), self._bytes)


class _KnownVersion(Exception):
    """The server has the version that was read before. Never leaves this file."""


class _AnotherVersion(Exception):
    """What came so far belongs to a version that is no more. Never leaves this file."""


class _Asking:
    """Asks for a shard as ``ask`` does, and looks at what comes before anything else does."""

    def __init__(self, ask: Ask, known: _Version | None, *, conditional: bool) -> None:
        self._ask, self._known, self._conditional = ask, known, conditional
        self.validator: str | None = None
        """What names the version that came last, from its first byte on."""

    @contextmanager
    def __call__(self, headers: Mapping[str, str]) -> Iterator[Stream]:
        whole = not headers
        condition = self._known.condition if whole and self._known is not None and self._conditional else {}
        with self._ask({**headers, **condition}) as answer:
            if whole and self._known is not None and self._known.is_of(answer):
                raise _KnownVersion
            if answer.status == 200:
                self.validator = validator_of(answer.headers)
            yield answer


class _Arriving:
    """The pieces of a download as something to read from. An error is raised again each time it is read on."""

    def __init__(self, downloaded: Iterator[tuple[int, bytes]]) -> None:
        self._downloaded = downloaded
        self._rest = memoryview(b"")
        self._begun = False
        self._failed: Exception | None = None

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into``; 0 at the end. Raises ``_AnotherVersion`` where the next byte is a first."""
        if self._failed is not None:
            raise self._failed
        while not self._rest:
            try:
                offset, piece = next(self._downloaded, (1, b""))
            except Exception as error:
                self._failed = error
                raise
            if not piece:
                return 0
            self._rest = memoryview(piece)
            if offset == 0 and self._begun:
                raise _AnotherVersion
            self._begun = True
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _known(memory: Memory, shard: Shard) -> tuple[_Version, Measure] | None:
    mark = memory.mark(_key(shard))
    version = _Version.of_mark(mark)
    measure = None if mark is None else memory.get(_key(shard), mark)
    if version is None or measure is None or not measure.counted or measure.bytes != version.bytes:
        return None
    return version, measure


def _key(shard: Shard) -> bytes:
    """In the memory; the URL may have a secret in it, so only its hash is kept."""
    named = "\0".join((shard.url, shard.endpoint or "", shard.region or ""))
    return b"url " + hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
