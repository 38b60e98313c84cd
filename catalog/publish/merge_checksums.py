"""Keep checksums of published records: what ``--read-urls`` found once isn't lost when a manifest doesn't state it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from catalog.errors import CatalogError
from catalog.records import DATASET, BlobStorage, Dataset, HttpStorage, S3Storage, read_record

if TYPE_CHECKING:
    from catalog.manifest import DatasetDraft, DraftKey, ManifestSet
    from catalog.publish.repo_state import PresentRecord
    from catalog.records import Checksum


def with_published_checksums(manifests: ManifestSet, by_key: Mapping[DraftKey, PresentRecord]) -> ManifestSet:
    """Return the manifests with the checksums of the published records, for shards whose manifest states none.

    The total of bytes and the number of samples are kept too, as long as the shards are the same.
    """
    datasets = tuple(_merged(draft, by_key.get((DATASET, draft.name, ""))) for draft in manifests.datasets)
    return replace(manifests, datasets=datasets)


def _merged(draft: DatasetDraft, record: PresentRecord | None) -> DatasetDraft:
    published = None if record is None else _dataset(record)
    if published is None:
        return draft
    draft = _with_manifests(draft, published)
    if draft.as_blobs or any(shard.local is not None for shard in draft.shards):
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
        # A record has only the total, so the total is given to the first shard.
        first, *others = shards
        shards = (replace(first, bytes=size.bytes), *(replace(shard, bytes=0) for shard in others))
    return replace(draft, shards=shards, samples=size.samples if draft.samples is None else draft.samples)


def _with_manifests(draft: DatasetDraft, published: Dataset) -> DatasetDraft:
    """Return the draft with the published shard manifests, if its shards have the same checksums."""
    if not draft.manifests or len(published.manifests) != len(draft.shards):
        return draft
    known = list(_checksums(published).values())
    same = all(shard.sha256 is not None for shard in draft.shards) and known == [one.sha256 for one in draft.shards]
    return replace(draft, published_manifests=published.manifests) if same else draft


def _dataset(record: PresentRecord) -> Dataset | None:
    try:
        found = read_record(DATASET, record.value)
    except CatalogError:
        return None
    return found if isinstance(found, Dataset) else None


def _checksums(record: Dataset) -> dict[str, str | None]:
    """Return the SHA-256 of each shard, by its URL or its key in a bucket."""
    match record.storage:
        case HttpStorage(shards=shards):
            return {shard.url: _sha256(shard.checksum) for shard in shards}
        case S3Storage(shards=keys):
            return {shard.key: _sha256(shard.checksum) for shard in keys}
        case BlobStorage(blobs=blobs):
            return {str(blob.cid): blob.cid.digest.hex() for blob in blobs}
    return {}


def _sha256(checksum: Checksum | None) -> str | None:
    return checksum.digest if checksum is not None and checksum.algorithm == "sha256" else None
