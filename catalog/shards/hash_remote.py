"""SHA-256, size and number of samples of remote shards, read once and cached by version.

*Version*: what identifies the bytes at a URL: a strong ETag or a Last-Modified, and the length. Each shard is requested
every time. The server answers 304, or starts to send the cached version, and then the body isn't read (an S3 request
has no condition: a signed one that is answered with 304 would be an error). A shard whose server names no version is
read every time. A download that breaks off is resumed; if another version comes instead, hashing starts again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.errors import CatalogError, DataError
from catalog.network.http import Client
from catalog.shards.download import download, validator_of
from catalog.shards.hash_cache import Examined, ShardStats
from catalog.shards.reader import count_samples
from catalog.shards.shard import Shard, display_url
from catalog.shards.source import ChunkSource, HashingSource
from catalog.shards.storage import shard_request
from catalog.shards.thread_pool import run_all

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.network.http import Stream
    from catalog.shards.download import Request
    from catalog.shards.hash_cache import Check, HashCache
    from catalog.shards.source import Source

    Progress: TypeAlias = Callable[[int, int, int], object]

READERS: Final = 4
"""Shards that are read at a time."""
_NO_CHECKS: Final[Mapping[Shard, Check]] = MappingProxyType({})


def hash_remote(
    shards: Sequence[Shard],
    settings: NetworkSettings,
    cache: HashCache,
    *,
    progress: Progress,
    checks: Mapping[Shard, Check] = _NO_CHECKS,
) -> dict[Shard, ShardStats | CatalogError]:
    """Return the statistics of each remote shard, or its error. No error of a shard is raised.

    ``progress`` is called from many threads: shards that are done, all shards, bytes received. A shard with a check is
    examined by it in the same pass, instead of counted.
    """
    wanted = list(dict.fromkeys(shards))
    found: dict[Shard, ShardStats | CatalogError] = {}
    if not wanted:
        return found
    with cache.opened(), Client(settings, parks=True) as client:
        known = {shard: entry for shard in wanted if (entry := _cached(cache, shard, checks.get(shard))) is not None}
        hasher = _RemoteHasher(client, known, checks, len(wanted), progress)
        with closing(run_all(hasher.hash, wanted, workers=READERS, stop=hasher.stopped)) as results:
            for shard, result in results:
                if isinstance(result, CatalogError):
                    found[shard] = result
                else:
                    found[shard], version = result
                    if version is not None:
                        cache.put(_key(shard, checks.get(shard)), version.mark, result[0])
                hasher.report(done=1)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version of the bytes at a URL: a strong ETag or a Last-Modified, and their number."""

    validator: str
    bytes: int

    @classmethod
    def of_mark(cls, mark: str | None) -> _Version | None:
        size, _, validator = (mark or "").partition(" ")
        known = size.isascii() and size.isdigit() and validator
        return cls(validator=validator, bytes=int(size)) if known else None

    @property
    def mark(self) -> str:
        return f"{self.bytes} {self.validator}"

    @property
    def condition(self) -> dict[str, str]:
        return {"If-None-Match" if self.validator.startswith('"') else "If-Modified-Since": self.validator}

    def is_of(self, answer: Stream) -> bool:
        if answer.status == 304:
            return True
        length = answer.headers.get("content-length", str(self.bytes))
        return answer.status == 200 and validator_of(answer.headers) == self.validator and length == str(self.bytes)


class _RemoteHasher:
    """One call of :func:`hash_remote`, in its threads."""

    def __init__(
        self,
        client: Client,
        known: Mapping[Shard, tuple[_Version, ShardStats]],
        checks: Mapping[Shard, Check],
        total: int,
        progress: Progress,
    ) -> None:
        self._client, self._known, self._checks = client, known, checks
        self._total, self._progress = total, progress
        self._lock, self.stopped = Lock(), Event()
        self._done = self._bytes = 0

    def hash(self, shard: Shard) -> tuple[ShardStats, _Version | None]:
        """Return the statistics of a shard, and their version if it has a validator and isn't cached."""
        where = display_url(shard.url)
        known, stats = self._known.get(shard, (None, None))
        request = _VersionedRequest(
            shard_request(self._client, shard), known, conditional=not shard.url.startswith("s3://")
        )
        with closing(download(request, where, restart=True)) as downloaded:
            versions = Versions(downloaded)
            while True:
                hashing = HashingSource(ChunkSource(versions.next()), self._watch())
                try:
                    examined = self._examined(hashing, where, self._checks.get(shard))
                    sha256 = hashing.finish()
                except AnotherVersionError:
                    continue
                except _KnownVersionError:
                    assert stats is not None  # noqa: S101 - only a known version is recognised
                    return stats, None
                found = ShardStats(
                    sha256=sha256,
                    bytes=hashing.bytes,
                    samples=examined.samples,
                    format=examined.format,
                    counted=True,
                    misfit=examined.misfit,
                )
                if examined.keep is not None:
                    examined.keep(sha256, hashing.bytes)
                validator = request.validator
                return found, None if validator is None else _Version(validator=validator, bytes=hashing.bytes)

    @staticmethod
    def _examined(source: Source, where: str, check: Check | None) -> Examined:
        if check is not None:
            return check(source, where)
        samples, form = count_samples(source, where)
        return Examined(samples=samples, format=form)

    def _watch(self) -> Callable[[int], object]:
        reported = 0

        def watch(count: int) -> None:
            nonlocal reported
            if self.stopped.is_set():
                raise DataError("wasn't read to its end")
            self.report(size=count - reported)
            reported = count

        return watch

    def report(self, *, done: int = 0, size: int = 0) -> None:
        with self._lock:
            self._done += done
            self._bytes += size
            self._progress(self._done, self._total, self._bytes)


class _KnownVersionError(Exception):
    """The server has the cached version. Never leaves this module."""


class AnotherVersionError(Exception):
    """The chunks so far belong to a version that is gone: read the next one, of the same :class:`Versions`."""


class _VersionedRequest:
    """A request that ends with :class:`_KnownVersionError` if the answer is of the cached version."""

    def __init__(self, request: Request, known: _Version | None, *, conditional: bool) -> None:
        self._request, self._known, self._conditional = request, known, conditional
        self.validator: str | None = None
        """The validator of the last answer for the whole shard."""

    @contextmanager
    def __call__(self, headers: Mapping[str, str]) -> Iterator[Stream]:
        whole = not headers
        condition = self._known.condition if whole and self._known is not None and self._conditional else {}
        with self._request({**headers, **condition}) as answer:
            if whole and self._known is not None and self._known.is_of(answer):
                raise _KnownVersionError
            if answer.status == 200:
                self.validator = validator_of(answer.headers)
            yield answer


class Versions:
    """The chunks of a download, version by version."""

    def __init__(self, downloaded: Iterator[tuple[int, bytes]]) -> None:
        self._downloaded = downloaded
        self._first: bytes | None = None

    def next(self) -> Generator[bytes, None, None]:
        """Yield the chunks of one version; raises :class:`AnotherVersionError` where the next one starts."""
        first, self._first = self._first, None
        started = first is not None
        if first is not None:
            yield first
        for offset, chunk in self._downloaded:
            if offset == 0 and started:
                self._first = chunk
                raise AnotherVersionError
            started = True
            yield chunk


def _cached(cache: HashCache, shard: Shard, check: Check | None) -> tuple[_Version, ShardStats] | None:
    key = _key(shard, check)
    mark = cache.mark(key)
    version = _Version.of_mark(mark)
    stats = None if mark is None else cache.get(key, mark)
    if version is None or stats is None or not stats.counted or stats.bytes != version.bytes:
        return None
    if check is not None and not check.is_complete(stats):
        return None
    return version, stats


def _key(shard: Shard, check: Check | None) -> bytes:
    """Return the key in the cache: a hash, as the URL may contain a secret."""
    named = "\0".join((shard.url, shard.endpoint or "", shard.region or ""))
    key = b"url " + hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
    return key if check is None else key + check.key
