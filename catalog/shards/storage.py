"""Open a shard: local file, HTTPS, S3 or PDS blob.

A remote shard with a checksum is downloaded whole into the cache and verified before its first sample is returned; one
without a checksum is read while it arrives. Files are read, not mapped into memory: a mapped file that is truncated
kills the process (SIGBUS), and one that is overwritten changes arrays after they were verified. Reading is as fast.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from catalog.errors import ChecksumMismatch, InvalidShard, RequestFailed
from catalog.shards.cache import cached_copy, open_file, verify
from catalog.shards.checksum import ALGORITHMS, ExpectedDigest
from catalog.shards.shard import display_url
from catalog.shards.source import RemoteSource

if TYPE_CHECKING:
    from io import FileIO
    from threading import Event

    from catalog.config import NetworkSettings
    from catalog.network.http import Client, Stream
    from catalog.shards.download import Request
    from catalog.shards.shard import Shard
    from catalog.shards.source import Source

__all__ = ["download_shard", "fetch_into_cache", "open_ranges", "open_shard", "shard_request", "shared_client"]

MAX_SHARD: Final = 1 << 40
"""Bytes of one remote shard."""

_WHOLE_SECONDS: Final = 86_400.0
"""Seconds for a whole shard, including the caller's use of its samples; stalls are noticed much earlier."""


@contextmanager
def open_shard(
    shard: Shard, settings: NetworkSettings | None = None, *, client: Client | None = None
) -> Iterator[Source]:
    """Open the bytes of a shard, verified if it has a checksum.

    Remote shards are requested with ``client``; without one, with a client of their own made from ``settings``, or
    from those of the environment. Raises :class:`~catalog.errors.RefusedUrl`, :class:`ChecksumMismatch`,
    :class:`InvalidShard` for a file that can't be read (also while it is read), a
    :class:`~catalog.errors.NetworkError`, :class:`~catalog.errors.MissingExtra`.
    """
    path = shard.path
    expected = None if shard.checksum is None else _expected(shard.checksum, shard)
    with ExitStack() as stack:
        if path is not None:
            yield stack.enter_context(_open_local(path, expected, display_url(shard.url)))
        elif expected is not None:
            download = partial(download_shard, shard, settings, client, restart=True)
            yield stack.enter_context(cached_copy(expected, display_url(shard.url), download))
        else:
            downloaded = stack.enter_context(closing(download_shard(shard, settings, client, restart=False)))
            yield RemoteSource((piece for _, piece in downloaded), partial(open_ranges, shard, settings, client, stack))


@contextmanager
def _open_local(path: Path, expected: ExpectedDigest | None, where: str) -> Iterator[FileIO]:
    try:
        with open_file(path, where) as file:
            if expected is not None:
                verify(file, path, expected, where)
            yield file
    except OSError as error:
        reason = error.strerror or type(error).__name__
        pattern = isinstance(error, FileNotFoundError) and any(mark in str(path) for mark in "*?")
        hint = "name many shards with a pattern, a-{000000..000009}.tar, or in a list" if pattern else None
        raise InvalidShard(f"the file can't be read: {reason}", where=where, hint=hint) from error


def _expected(checksum: str, shard: Shard) -> ExpectedDigest:
    expected = ExpectedDigest.parse(checksum)
    if not expected.valid:
        what = f"not a checksum that can be verified: {checksum[:80]!a}"
        raise ChecksumMismatch(what, where=display_url(shard.url), hint=f"known: {', '.join(ALGORITHMS)}, in hex")
    return expected


@contextmanager
def shared_client(settings: NetworkSettings | None) -> Iterator[Client]:
    """Open an HTTP client for several shards: those of one host share its connections."""
    from catalog.config import NetworkSettings
    from catalog.network.http import Client

    with Client(settings or NetworkSettings.from_environment()) as client:
        yield client


def download_shard(
    shard: Shard,
    settings: NetworkSettings | None,
    client: Client | None,
    *,
    restart: bool,
    stop: Event | None = None,
) -> Generator[tuple[int, bytes], None, None]:
    """Yield (offset, chunk) of a remote shard; see :func:`catalog.shards.download.download`.

    Raises :class:`~catalog.errors.RequestFailed` when ``stop`` is set.
    """
    from catalog.shards.download import download

    with shared_client(settings) if client is None else nullcontext(client) as http:
        for piece in download(shard_request(http, shard), display_url(shard.url), restart=restart):
            if stop is not None and stop.is_set():
                raise RequestFailed("no longer wanted", where=display_url(shard.url))
            yield piece


def fetch_into_cache(shard: Shard, settings: NetworkSettings | None, client: Client | None, stop: Event) -> None:
    """Download a remote shard with a checksum into the cache, unless it is there. Raises as :func:`open_shard` does."""
    expected = _expected(shard.checksum or "", shard)
    download = partial(download_shard, shard, settings, client, restart=True, stop=stop)
    with cached_copy(expected, display_url(shard.url), download):
        return


def open_ranges(
    shard: Shard, settings: NetworkSettings | None, client: Client | None, stack: ExitStack
) -> BinaryIO | None:
    """Open a remote shard as a file, read by ranges; ``None`` if the server has none."""
    from catalog.shards.ranges import RangeFile

    http = stack.enter_context(shared_client(settings) if client is None else nullcontext(client))
    return cast("BinaryIO | None", RangeFile.open(shard_request(http, shard), display_url(shard.url)))


def shard_request(client: Client, shard: Shard, *, sign: bool = True, seconds: float = _WHOLE_SECONDS) -> Request:
    """Return the function that requests a remote shard with the given headers, for ``seconds`` at most.

    Requests to buckets that aren't public are signed with the user's credentials if ``sign``.
    """
    from catalog.shards.download import ACCEPTED

    if shard.url.startswith("s3://"):
        from catalog.shards import s3

        target = s3.S3Object.parse(shard.url, shard.endpoint, shard.region, shard.credentials, sign=sign)
        return partial(s3.open_object, client, target, max_bytes=MAX_SHARD, seconds=seconds)

    verified = shard.checksum is not None and ExpectedDigest.parse(shard.checksum).strong

    def request(headers: Mapping[str, str]) -> AbstractContextManager[Stream]:
        return client.stream(
            shard.url, headers=headers, max_bytes=MAX_SHARD, seconds=seconds, answers=ACCEPTED, verified=verified
        )

    return request
