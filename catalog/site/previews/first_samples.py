"""The first samples of a dataset: the beginning of its first shard.

- The shard isn't downloaded whole, so its checksum can't be verified; the page doesn't claim it was.
- Requests to buckets are never signed, whatever credentials this machine has: a record of another account may name a
  bucket of the catalog's owner, and a page is public.
- A record never names a file of this machine. Only a draft, from the owner's own manifest, does.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from catalog.errors import (
    CatalogError,
    DataError,
    InvalidSample,
    InvalidShard,
    RefusedUrl,
    RequestFailed,
    ResponseTooLarge,
)
from catalog.records import BlobStorage
from catalog.samples.packing import DictSample, pack
from catalog.shards.formats import opened
from catalog.shards.locations import shards_of_storage
from catalog.shards.ranges import RangeFile
from catalog.shards.shard import Shard, display_url
from catalog.shards.source import ChunkSource, RemoteSource, as_file
from catalog.shards.storage import open_shard, shard_request

if TYPE_CHECKING:
    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client
    from catalog.schema import SampleType
    from catalog.shards.download import Request
    from catalog.shards.formats import Format
    from catalog.shards.source import Source
    from catalog.store.graph import DatasetNode

SHARD_SECONDS: Final = 30.0
"""For the first bytes of a shard, from the request on."""
COUNTED: Final = 200
"""Samples counted for the histograms, if that many are in the first ``COUNTED_BYTES``."""
COUNTED_BYTES: Final = 1 << 18
_MAX_OTHERS: Final = 10_000
"""Members of a tar that are no samples; a tar with more isn't a shard of samples."""
_PDS: Final = "https://pds.invalid"
"""In the URL of a blob until its account's server is resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The samples of a preview: ``shown`` of them, within the first ``most`` bytes of the shard."""

    shown: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstShard:
    """A dataset's first shard, and the host that is requested. ``blob_of`` is the account of a blob."""

    shard: Shard
    host: str
    blob_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The version of a file on a server: its ETag, its size in bytes, and its Last-Modified."""

    etag: str = ""
    size: str = ""
    modified: str = ""

    def is_same(self, other: Mark) -> bool:
        """Return whether both are surely of one version: by their ETag, else by size and date together."""
        if self.etag or other.etag:
            return self.etag == other.etag
        return bool(self.size and self.modified) and (self.size, self.modified) == (other.size, other.modified)


def first_shard(node: DatasetNode) -> FirstShard:
    """Return the first shard of a dataset. Raises :class:`DataError` if it has none that can be opened."""
    storage, did = node.record.storage, node.publisher.did
    shard = next(shards_of_storage(storage, did, _PDS, node.record.sample_format), None)
    if shard is None:
        raise DataError("it has no shards that can be opened here")
    if isinstance(storage, BlobStorage):
        return FirstShard(shard=shard, host=did, blob_of=did)
    try:
        host = urlsplit(shard.endpoint or shard.url).netloc.rpartition("@")[2].lower()
    except ValueError:
        raise RefusedUrl("not a URL") from None
    return FirstShard(shard=shard, host=host)


class _EnoughError(ResponseTooLarge):
    """No more bytes are read; the samples before count."""


class _LimitedSource:
    """A source of at most ``most`` bytes, until ``due`` on the monotonic clock."""

    def __init__(self, source: Source, most: int, due: float) -> None:
        self._source, self._most, self._due = source, most, due
        self.taken = 0

    def file(self) -> BinaryIO | None:
        """Return the source as a file, ``None`` if it isn't one: of tables, single row groups are read."""
        return as_file(self._source)

    def readinto(self, into: memoryview, /) -> int | None:
        """Fill the beginning of ``into``; raises at a limit."""
        left = self._most - self.taken
        if left <= 0:
            raise _EnoughError(f"no whole sample in the first {self._most:,} bytes")
        _check_time(self._due)
        count = self._source.readinto(into[:left])
        self.taken += count or 0
        return count


def _check_time(due: float) -> None:
    if time.monotonic() > due:
        raise RequestFailed("its first samples took too long to come")


def _packer(form: Format, wanted: SampleType | None) -> Callable[[Any, str], bytes]:
    """Return the function that makes msgpack bytes of a sample in any format."""
    decode = form.decoder(wanted)
    if decode is None:
        return lambda raw, _: bytes(raw)

    def packed(raw: Any, key: str) -> bytes:  # noqa: ANN401 - see formats.Raw
        try:
            values = decode(raw, key)
        except InvalidSample:
            if wanted is None:
                raise
            values = _field_by_field(form, wanted, raw, key)  # shown as far as it goes, and compared when painted
        return pack(DictSample({name: _storable(value) for name, value in values.items()}))

    return packed


def _field_by_field(form: Format, wanted: SampleType, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the values of a sample that doesn't fit its type: a field that can't be decoded keeps its stored value."""
    values: dict[str, Any] = {}
    for one in wanted.fields:
        if one.name not in raw:
            continue
        decode = form.decoder(replace(wanted, fields=(one,)))
        try:
            values[one.name] = raw[one.name] if decode is None else decode(raw, key).get(one.name)
        except InvalidSample:
            stored = raw[one.name]
            values[one.name] = bytes(stored) if isinstance(stored, memoryview) else stored
    return values


def _storable(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _first_samples(
    source: Source, where: str, limits: Limits, *, due: float, sample_format: str | None, wanted: SampleType | None
) -> list[tuple[str, bytes]]:
    """Return (key, msgpack bytes) of the first samples of a shard.

    A shard that is damaged, or has too large a sample, after some valid ones is treated as if it ended there. Raises
    :class:`InvalidShard`, :class:`ResponseTooLarge`, and :class:`RequestFailed` if it is too slow.
    """
    limited = _LimitedSource(source, limits.most, due)
    found: list[tuple[str, bytes]] = []
    others = 0

    def on_other(_: str) -> None:
        nonlocal others
        others += 1
        _check_time(due)
        if others > _MAX_OTHERS:
            raise InvalidShard("no member belongs to a sample")

    try:
        form, replayed = opened(limited, sample_format, where)
        packed = _packer(form, wanted)
        for key, raw in form.samples(replayed, where, max_bytes=limits.most, on_other=on_other, whole=True):
            _check_time(due)
            found.append((key, packed(raw, key)))
            if len(found) >= max(COUNTED, limits.shown):
                break
            if len(found) >= limits.shown and limited.taken >= COUNTED_BYTES:
                break
    except (DataError, _EnoughError):
        if not found:
            raise
    if not found:
        raise InvalidShard("its first shard is empty")
    return found


def local_samples(path: str, limits: Limits, wanted: SampleType | None = None) -> list[tuple[str, bytes]]:
    """Return the first samples of a local file, as type ``wanted`` if its format has text only."""
    with open_shard(Shard(url=path)) as source:
        due = time.monotonic() + SHARD_SECONDS
        return _first_samples(source, display_url(path), limits, due=due, sample_format=None, wanted=wanted)


def fetch_samples(
    client: Client,
    resolver: Resolver,
    first: FirstShard,
    limits: Limits,
    *,
    known: Mark | None,
    due: float,
    wanted: SampleType | None = None,
) -> tuple[Mark, list[tuple[str, bytes]] | None]:
    """Return the version of a remote shard and its first samples.

    The samples are ``None`` if the version is ``known``. ``due`` is on the monotonic clock. Raises a
    :class:`~catalog.errors.NetworkError` or :class:`DataError`.
    """
    due = min(due, time.monotonic() + SHARD_SECONDS)
    headers = {"Range": f"bytes=0-{limits.most - 1}"}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    seconds, shard = max(0.1, due - time.monotonic()), first.shard
    if first.blob_of:
        pds = resolver.resolve(first.blob_of).pds.rstrip("/")
        shard = replace(shard, url=pds + shard.url.removeprefix(_PDS))
    with shard_request(client, shard, sign=False, seconds=seconds)(headers) as answer:
        if answer.status == 304 and known is not None:
            return known, None
        if answer.status == 416:
            raise InvalidShard("its first shard is empty")
        mark = _mark(answer.headers)
        if known is not None and known.is_same(mark):
            return known, None
        where = display_url(shard.url)
        source: Source = ChunkSource(answer.chunks)
        if shard.format == "parquet":  # its footer is at the end
            request = shard_request(client, shard, sign=False, seconds=seconds)
            source = RemoteSource(answer.chunks, partial(_open_ranges, request, where, limits.most))
        found = _first_samples(source, where, limits, due=due, sample_format=shard.format, wanted=wanted)
        return mark, found


def _open_ranges(request: Request, where: str, most: int) -> BinaryIO | None:
    return cast("BinaryIO | None", RangeFile.open(request, where, most=most))


def _mark(headers: Mapping[str, str]) -> Mark:
    size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    return Mark(etag=_plain(etag), size=_plain(size), modified=_plain(modified))


def _plain(text: str) -> str:
    return text if len(text) <= 300 and text.isascii() and text.isprintable() else ""


def reason(error: CatalogError) -> str:
    """Return why there is no preview, on one line, for a page: without any URL."""
    status = error.status if isinstance(error, RequestFailed) else 0
    if status in (401, 403):
        return "its first shard isn’t public"
    if status in (404, 410):
        return "its first shard isn’t there"
    if isinstance(error, RequestFailed):
        return f"its host answers HTTP {status}" if status else "its host didn’t answer in time"
    return " ".join(error.what.split())[:160]
