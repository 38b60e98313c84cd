"""The shards of a dataset record: storage of the lexicon to :class:`Shard`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from catalog.errors import DataError, RefusedUrl
from catalog.records import BlobStorage, ExternalStorage, HttpShard, HttpStorage, S3Shard, S3Storage
from catalog.shards.braces import MAX_NAMES, expand
from catalog.shards.shard import ManifestFiles, Shard
from catalog.syntax.cid import SHA_256

if TYPE_CHECKING:
    from catalog.records import Checksum, ManifestRef, Storage
    from catalog.syntax import Cid


def shards_of_storage(
    storage: Storage, did: str, pds: str, sample_format: str | None = None, manifests: Sequence[ManifestRef] = ()
) -> Iterator[Shard]:
    """Yield the shards of a storage; blobs are those of account ``did`` on its server ``pds``.

    ``sample_format`` and ``manifests`` are those of the record; the latter are only used if each shard has one.
    Patterns are expanded (:func:`expanded`).

    Only remote shards: a record never names a file of the reader's machine. Raises :class:`RefusedUrl` for a storage
    or a scheme that isn't opened, and for patterns of too many shards.
    """
    found = _shards(expanded(storage), did, pds)
    if manifests:
        listed = list(found)
        found = iter(listed)
        if len(listed) == len(manifests):
            files = (_manifest(one, did, pds) for one in manifests)
            found = (replace(shard, manifest=one) for shard, one in zip(listed, files, strict=True))
    for shard in found:
        if shard.path is not None:
            raise RefusedUrl("a record names a local file", where=shard.url[:200], hint="https, http and s3 are opened")
        yield shard if sample_format is None else replace(shard, format=sample_format)


def expanded(storage: Storage, *, strict: bool = True) -> Storage:
    """Return a storage with one entry for each shard, itself if it has no patterns.

    A URL or key with braces and without a checksum is a pattern: atdata lists patterns, and reads each as one. The
    deprecated ``storageExternal`` becomes an ``HttpStorage``. Raises :class:`RefusedUrl` for patterns of too many
    shards; if not ``strict``, they are left out.
    """
    match storage:
        case ExternalStorage():
            listed = HttpStorage(shards=tuple(HttpShard(url=url) for url in storage.urls))
            return expanded(listed, strict=strict)
        case HttpStorage() if any(one.checksum is None and "{" in one.url for one in storage.shards):
            urls = [(one.url, one.checksum) for one in storage.shards]
            return HttpStorage(shards=tuple(HttpShard(url=url, checksum=sum_) for url, sum_ in _each(urls, strict)))
        case S3Storage() if any(one.checksum is None and "{" in one.key for one in storage.shards):
            keys = [(one.key, one.checksum) for one in storage.shards]
            return replace(storage, shards=tuple(S3Shard(key=key, checksum=sum_) for key, sum_ in _each(keys, strict)))
    return storage


def _each(
    listed: Sequence[tuple[str, Checksum | None]],
    strict: bool,  # noqa: FBT001 - one caller
) -> Iterator[tuple[str, Checksum | None]]:
    left = MAX_NAMES
    for name, checksum in listed:
        try:
            names = _names(name, left) if checksum is None else (name,)
        except RefusedUrl:
            if strict:
                raise
            continue
        left -= len(names)
        yield from ((one, checksum) for one in names)


def _names(pattern: str, most: int) -> tuple[str, ...]:
    names = expand(pattern)
    if len(names) > most:
        raise RefusedUrl(f"the patterns of the record expand to more than {MAX_NAMES:,} shards", where=pattern[:200])
    return names


def _shards(storage: Storage, did: str, pds: str) -> Iterator[Shard]:
    match storage:
        case HttpStorage():
            return (Shard(url=one.url, checksum=_text(one.checksum)) for one in storage.shards)
        case S3Storage(bucket=bucket, endpoint=endpoint, region=region):
            return (
                Shard(url=f"s3://{bucket}/{one.key}", checksum=_text(one.checksum), endpoint=endpoint, region=region)
                for one in storage.shards
            )
        case BlobStorage():
            return (_blob(one.cid, did, pds) for one in storage.blobs)
    kind = getattr(storage, "type", "this storage")
    raise RefusedUrl(f"shards in {kind} are not opened", hint="https, S3 and blobs are")


def _text(checksum: Checksum | None) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"


def _manifest(one: ManifestRef, did: str, pds: str) -> ManifestFiles:
    table = None if one.samples is None else _blob(one.samples.cid, did, pds)
    return ManifestFiles(_blob(one.header.cid, did, pds), table)


def _blob(cid: Cid, did: str, pds: str) -> Shard:
    """Return a blob as a shard. Its checksum is that in the CID, which has precedence over the one in the record."""
    if cid.hash_function != SHA_256:
        raise DataError("a blob whose CID is not by SHA-256", where=str(cid))
    url = f"{pds.rstrip('/')}/xrpc/com.atproto.sync.getBlob?did={did}&cid={cid}"
    return Shard(url=url, checksum=f"sha256:{cid.digest.hex()}")
