"""Published datasets: shards of a record and back, and whether a class can read its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import InvalidSample, PublishError
from catalog.samples.annotations import plan_of
from catalog.samples.clients import PublishedShard
from catalog.samples.packable import DictSample
from catalog.schema import check_fit
from catalog.schema.compatibility import Kind
from catalog.shards.braces import expand
from catalog.shards.locations import shards_of_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.records import Dataset as DatasetRecord
    from catalog.records.fetch import Published
    from catalog.schema import SampleType
    from catalog.shards.shard import Shard

__all__ = ["require_fit", "shards_of", "shards_to_publish"]


def require_fit(own: type, published: SampleType) -> None:
    """Raise :class:`InvalidSample` with every reason if samples of the published type can't be read as ``own``.

    Dicts read everything, and with a foreign schema there is nothing to compare with.
    """
    if issubclass(own, DictSample) or published.foreign is not None:
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


def shards_of(found: Published[DatasetRecord]) -> tuple[Shard, ...]:
    """Return the shards of a published dataset; see :func:`catalog.shards.locations.shards_of_storage`."""
    record, account = found.record, found.account
    return tuple(shards_of_storage(record.storage, account.did, account.pds, record.sample_format, record.manifests))


def shards_to_publish(shards: Sequence[Shard], urls: str | Sequence[str] | None) -> list[PublishedShard]:
    """Return the shards for a record, at their own URLs or at ``urls`` (a pattern, or one for each shard).

    Raises :class:`PublishError` for local files without urls, and if the numbers differ.
    """
    given = expand(urls) if isinstance(urls, str) else urls
    if given is not None and len(given) != len(shards):
        raise PublishError(f"{len(given)} urls for {len(shards)} shards")
    return [_to_publish(shard, None if given is None else given[index]) for index, shard in enumerate(shards)]


def _to_publish(shard: Shard, url: str | None) -> PublishedShard:
    if url is None and shard.path is not None:
        raise PublishError("a local file", where=shard.url, hint="urls=… sets the URL at which others read it")
    algorithm, _, digest = (shard.checksum or "").partition(":")
    sha256 = digest.lower() if algorithm.lower() in ("sha256", "sha-256") else None
    if url is not None:
        return PublishedShard(url=url, local=shard.path, sha256=sha256)
    return PublishedShard(url=shard.url, sha256=sha256, endpoint=shard.endpoint, region=shard.region)
