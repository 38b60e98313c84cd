"""Published datasets: where the shards of a record are, and what a record says of shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import (
    DataError,
    InvalidSample,
    PublishError,
    RefusedUrl,
)
from catalog.records import (
    BlobStorage,
    ExternalStorage,
    HttpStorage,
    S3Storage,
)
from catalog.records import Dataset as DatasetRecord
from catalog.samples.annotations import plan_of
from catalog.samples.packable import DictSample
from catalog.samples.publishing import PublishedShard
from catalog.schema import check_fit
from catalog.schema.compatibility import Kind
from catalog.shards.braces import expand
from catalog.shards.shard import Shard
from catalog.syntax.cid import SHA_256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.records import BlobShard, Checksum, Storage
    from catalog.records.fetch import Published
    from catalog.schema import SampleType
    from catalog.syntax import Did


__all__ = ["require_fit", "shards_of", "shards_to_publish"]


def require_fit(own: type, published: SampleType) -> None:
    """Check that samples of the published type can be read as ``own``; dicts read everything.

    Raises :class:`InvalidSample` with every reason why not.
    """
    if issubclass(own, DictSample):
        return
    plan = plan_of(own)
    reasons = [
        str(change)
        for change in check_fit(plan.sample_type, published)
        if change.kind is not Kind.ADDED_REQUIRED or not plan.by_name[change.field].has_default
    ]
    if reasons:
        what = f"{own.__name__} can't read samples of {published.name}: {'; '.join(reasons)}"
        raise InvalidSample(what, hint="leave the class out, and one is made that fits")


# --- where the shards lie ------------------------------------------------------------------------------------


def shards_of(found: Published[DatasetRecord]) -> tuple[Shard, ...]:
    """The shards of a dataset: remote ones only, a record never names a file of the reader's machine.

    Raises :class:`RefusedUrl` for a storage or a scheme that isn't opened.
    """
    shards = _shards(found.record.storage, found.account.did, found.account.pds)
    for shard in shards:
        if shard.path is not None:
            raise RefusedUrl("a record names a local file", where=shard.url[:200], hint="https, http and s3 are opened")
    return shards


def _shards(storage: Storage, did: Did, pds: str) -> tuple[Shard, ...]:
    match storage:
        case HttpStorage():
            return tuple(Shard(url=one.url, checksum=_text(one.checksum)) for one in storage.shards)
        case S3Storage(bucket=bucket, endpoint=endpoint, region=region):
            return tuple(
                Shard(url=f"s3://{bucket}/{one.key}", checksum=_text(one.checksum), endpoint=endpoint, region=region)
                for one in storage.shards
            )
        case ExternalStorage():
            return tuple(Shard(url=url) for pattern in storage.urls for url in expand(pattern))
        case BlobStorage():
            address = f"{pds.rstrip('/')}/xrpc/com.atproto.sync.getBlob?did={did}&cid="
            return tuple(Shard(url=f"{address}{one.cid}", checksum=_blob_checksum(one)) for one in storage.blobs)
    raise RefusedUrl(f"shards in {storage.type} are not opened", hint="https, S3 and blobs are")


def _text(checksum: Checksum | None) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"


def _blob_checksum(blob: BlobShard) -> str:
    """What the blob's bytes must hash to: its CID says so, whatever else the record says."""
    if blob.cid.hash_function != SHA_256:
        raise DataError("a blob whose CID is not by SHA-256", where=str(blob.cid))
    return f"sha256:{blob.cid.digest.hex()}"


# --- the other way -------------------------------------------------------------------------------------------


def shards_to_publish(shards: Sequence[Shard], urls: str | Sequence[str] | None) -> list[PublishedShard]:
    """The shards as a record is to name them: where they are, or at ``urls`` (a pattern, or one for each).

    Raises :class:`PublishError` for files of this machine without urls, and when the numbers differ.
    """
    given = expand(urls) if isinstance(urls, str) else urls
    if given is not None and len(given) != len(shards):
        raise PublishError(f"{len(given)} urls for {len(shards)} shards")
    return [_to_publish(shard, None if given is None else given[index]) for index, shard in enumerate(shards)]


def _to_publish(shard: Shard, url: str | None) -> PublishedShard:
    if url is None and shard.path is not None:
        raise PublishError("a file of this machine", where=shard.url, hint="urls=… says where others find it")
    algorithm, _, digest = (shard.checksum or "").partition(":")
    sha256 = digest.lower() if algorithm.lower() in ("sha256", "sha-256") else None
    if url is not None:
        return PublishedShard(url=url, local=shard.path, sha256=sha256)
    return PublishedShard(url=shard.url, sha256=sha256, endpoint=shard.endpoint, region=shard.region)
