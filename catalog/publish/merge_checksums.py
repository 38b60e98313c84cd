"""What the repository knows of shards and a manifest doesn't state: measured once (``--read-urls``), it isn't lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from catalog.errors import CatalogError
from catalog.records import DATASET, Dataset, HttpStorage, S3Storage, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.manifest import DatasetDraft, DraftKey, ManifestSet
    from catalog.publish.repo_state import PresentRecord
    from catalog.records import Checksum

__all__ = ["with_published_measures"]


def with_published_measures(manifests: ManifestSet, by_key: Mapping[DraftKey, PresentRecord]) -> ManifestSet:
    """The same set, its shards with the checksums of the published record where nothing states another one.

    The sum of the bytes and the number of samples are kept, too, while the shards are the same ones.
    """
    datasets = tuple(_kept(draft, by_key.get((DATASET, draft.name, ""))) for draft in manifests.datasets)
    return replace(manifests, datasets=datasets)


def _kept(draft: DatasetDraft, there: PresentRecord | None) -> DatasetDraft:
    published = None if there is None else _published(there)
    if published is None or draft.as_blobs or any(shard.local is not None for shard in draft.shards):
        return draft
    known = _checksums(published)
    shards = tuple(
        shard if shard.sha256 is not None or known.get(shard.url) is None else replace(shard, sha256=known[shard.url])
        for shard in draft.shards
    )
    if {shard.url: shard.sha256 for shard in shards} != known or published.size is None:
        return replace(draft, shards=shards)
    size = published.size
    if size.bytes is not None and all(shard.bytes is None for shard in shards):
        # The record has only their sum, and only their sum becomes a record.
        first, *others = shards
        shards = (replace(first, bytes=size.bytes), *(replace(shard, bytes=0) for shard in others))
    return replace(draft, shards=shards, samples=size.samples if draft.samples is None else draft.samples)


def _published(there: PresentRecord) -> Dataset | None:
    try:
        record = read_record(DATASET, there.value)
    except CatalogError:
        return None
    return record if isinstance(record, Dataset) else None


def _checksums(record: Dataset) -> dict[str, str | None]:
    """The SHA-256 of each shard, by its URL or its key in a bucket."""
    match record.storage:
        case HttpStorage(shards=shards):
            return {shard.url: _digest(shard.checksum) for shard in shards}
        case S3Storage(shards=keys):
            return {shard.key: _digest(shard.checksum) for shard in keys}
    return {}


def _digest(checksum: Checksum | None) -> str | None:
    return checksum.digest if checksum is not None and checksum.algorithm == "sha256" else None
