"""The first samples of a dataset: where its first shard lies, and no more of it than they need.

Tricky bits
-----------
- A shard isn't downloaded whole, so its checksum can't be checked; the page doesn't claim that it was.
- Requests to buckets are never signed, whatever credentials this machine has: a stranger's record may name a bucket of
  the catalog's owner, and a page is public.
- A record never names a file of this machine. Only a draft, the owner's own manifest, does.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from catalog.errors import CatalogError, DataError, InvalidShard, RefusedUrl, RequestFailed, ResponseTooLarge
from catalog.records import BlobStorage, ExternalStorage, HttpStorage, S3Storage
from catalog.shards.braces import expand
from catalog.shards.shard import Shard
from catalog.shards.storage import opened, shown
from catalog.shards.tar import members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client, Stream
    from catalog.shards.tar import Source
    from catalog.store.graph import DatasetNode

__all__ = ["Appetite", "Mark", "Place", "fetched", "first_samples", "local_samples", "place_of"]

SHARD_SECONDS: Final = 30.0
"""For the first bytes of a shard, from the request on."""
COUNTED: Final = 200
"""Samples that are counted for the histograms, where that many come in ``COUNTED_BYTES``."""
COUNTED_BYTES: Final = 1 << 18
_MOST_OTHERS: Final = 10_000
"""Members of a tar that are no samples; then it isn't a shard of samples."""
_SUFFIX: Final = ".msgpack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appetite:
    """How much is wanted: ``shown`` samples, within ``most`` bytes of the shard."""

    shown: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A dataset's first shard. ``host`` is whom it is asked of; ``checksum`` is empty where the record has none."""

    url: str
    host: str
    checksum: str = ""
    endpoint: str | None = None
    region: str | None = None
    blob_of: str = ""
    """The account whose server has it; the URL is then ``blob:<cid>``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """By what a server's file is known again: its ETag, its size in bytes, and when it was changed."""

    etag: str = ""
    size: str = ""
    modified: str = ""

    def is_same(self, other: Mark) -> bool:
        """Whether both are surely of one file: by their ETag, else by size and date together."""
        if self.etag or other.etag:
            return self.etag == other.etag
        return bool(self.size and self.modified) and (self.size, self.modified) == (other.size, other.modified)


def place_of(node: DatasetNode) -> Place:
    """Where the first shard of a dataset lies. Raises :class:`DataError` when it has none that is opened."""
    storage = node.record.storage
    match storage:
        case HttpStorage() if storage.shards:
            first = storage.shards[0]
            checksum = "" if first.checksum is None else f"{first.checksum.algorithm}:{first.checksum.digest}"
            return _remote(Place(url=first.url, host="", checksum=checksum))
        case S3Storage() if storage.shards:
            key = storage.shards[0]
            checksum = "" if key.checksum is None else f"{key.checksum.algorithm}:{key.checksum.digest}"
            url, endpoint = f"s3://{storage.bucket}/{key.key}", storage.endpoint
            return _remote(Place(url=url, host="", checksum=checksum, endpoint=endpoint, region=storage.region))
        case BlobStorage() if storage.blobs:
            cid, did = storage.blobs[0].cid, node.publisher.did
            return Place(url=f"blob:{cid}", host=did, checksum=f"cid:{cid}", blob_of=did)
        case ExternalStorage() if storage.urls:
            return _remote(Place(url=expand(storage.urls[0])[0], host=""))
    raise DataError("it has no shards that can be opened here")


def _remote(place: Place) -> Place:
    shard = Shard(url=place.url, endpoint=place.endpoint, region=place.region)
    if shard.path is not None:
        raise RefusedUrl("its shards are files of somebody’s machine")
    try:
        host = urlsplit(place.endpoint or place.url).netloc.rpartition("@")[2].lower()
    except ValueError:
        raise RefusedUrl("not a URL") from None
    return replace(place, host=host)


# --- the bytes -----------------------------------------------------------------------------------------------


class _Enough(ResponseTooLarge):
    """No more bytes are read; what came before counts."""


class _Capped:
    """A source that gives at most so many bytes, and no longer than until ``due`` on the monotonic clock."""

    def __init__(self, read: Callable[[memoryview], int | None], most: int, due: float) -> None:
        self._read, self._most, self._due = read, most, due
        self.taken = 0

    def readinto(self, into: memoryview, /) -> int | None:
        """As the source does; raises where it has given enough."""
        left = self._most - self.taken
        if left <= 0:
            raise _Enough(f"no whole sample in the first {self._most:,} bytes")
        _check_time(self._due)
        count = self._read(into[:left])
        self.taken += count or 0
        return count


def _check_time(due: float) -> None:
    if time.monotonic() > due:
        raise RequestFailed("its first samples took too long to come")


class _Pieces:
    """Chunks as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readinto(self, into: memoryview) -> int:
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


def first_samples(source: _Capped, where: str, appetite: Appetite, *, due: float) -> list[tuple[str, bytes]]:
    """(key, msgpack bytes) of the first samples of a shard.

    A shard that is damaged, or has too large a sample, after some that are right, is as if it ended there. Raises
    :class:`InvalidShard`, :class:`ResponseTooLarge`, and :class:`RequestFailed` for what is too slow.
    """
    found: list[tuple[str, bytes]] = []
    others = 0
    try:
        for name, data in members(source, where, most=appetite.most):
            _check_time(due)
            if not name.endswith(_SUFFIX):
                others += 1
                if others > _MOST_OTHERS:
                    break
                continue
            found.append((name[: -len(_SUFFIX)], bytes(data)))
            if len(found) >= max(COUNTED, appetite.shown):
                break
            if len(found) >= appetite.shown and source.taken >= COUNTED_BYTES:
                break
    except (InvalidShard, _Enough):
        if not found:
            raise
    if not found:
        raise InvalidShard("no member is a .msgpack sample" if others else "its first shard is empty")
    return found


def local_samples(path: str, appetite: Appetite) -> list[tuple[str, bytes]]:
    """The first samples of a file of this machine."""
    due = time.monotonic() + SHARD_SECONDS
    with opened(Shard(url=path), None) as source:
        read: Source = source
        return first_samples(_Capped(read.readinto, appetite.most, due), shown(path), appetite, due=due)


def fetched(
    client: Client, resolver: Resolver, place: Place, appetite: Appetite, *, known: Mark | None, due: float
) -> tuple[Mark, list[tuple[str, bytes]] | None]:
    """The first samples of a remote shard, and by what it will be known again.

    ``None`` instead of samples when it is still what is ``known``. ``due`` is on the monotonic clock. Raises a
    :class:`~catalog.errors.NetworkError` or :class:`DataError`.
    """
    due = min(due, time.monotonic() + SHARD_SECONDS)
    headers = {"Range": f"bytes=0-{appetite.most - 1}"}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    with _answer(client, resolver, place, headers, due) as answer:
        if answer.status == 304 and known is not None:
            return known, None
        mark = _mark(answer.headers)
        if known is not None and known.is_same(mark):
            return known, None
        source = _Capped(_Pieces(answer.chunks).readinto, appetite.most, due)
        return mark, first_samples(source, shown(place.url), appetite, due=due)


@contextmanager
def _answer(
    client: Client, resolver: Resolver, place: Place, headers: Mapping[str, str], due: float
) -> Iterator[Stream]:
    seconds = max(0.1, due - time.monotonic())
    if place.url.startswith("s3://"):
        from catalog.shards import s3

        bucket = replace(s3.Place.of(place.url, place.endpoint, place.region), trusted=False)
        with s3.opened(client, bucket, headers, max_bytes=1 << 40, seconds=seconds) as answer:
            yield answer
        return
    url = place.url
    if place.blob_of:
        pds = resolver.resolve(place.blob_of).pds.rstrip("/")
        url = f"{pds}/xrpc/com.atproto.sync.getBlob?did={place.blob_of}&cid={place.url.removeprefix('blob:')}"
    with client.stream(url, headers=headers, seconds=seconds) as answer:
        yield answer


def _mark(headers: Mapping[str, str]) -> Mark:
    size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    return Mark(etag=_kept(headers.get("etag", "")), size=_kept(size), modified=_kept(headers.get("last-modified", "")))


def _kept(text: str) -> str:
    return text if len(text) <= 300 and text.isascii() and text.isprintable() else ""


def reason(error: CatalogError) -> str:
    """Why there is no preview, on one line, fit for a page: no address of anything."""
    status = error.status if isinstance(error, RequestFailed) else 0
    if status in (401, 403):
        return "its first shard isn’t public"
    if status in (404, 410):
        return "its first shard isn’t there"
    if isinstance(error, RequestFailed):
        return f"its host answers HTTP {status}" if status else "its host didn’t answer in time"
    return " ".join(error.what.split())[:160]
