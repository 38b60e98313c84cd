"""Draft the manifest of an import: its fields are those of the source, its shards those that were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.publish.infer_manifest import FoundShard, Sketch, blob_names, shard_urls
from catalog.publish.manifest_yaml import as_yaml

if TYPE_CHECKING:
    from catalog.publish.imports.plan import ImportPlan
    from catalog.publish.imports.run import Imported
    from catalog.samples.inference import LeftOut
    from catalog.schema import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownFields:
    """The fields of all samples, as the source states them."""

    samples: int
    fields: tuple[Field, ...]
    left_out: tuple[LeftOut, ...]
    missing: tuple[str, ...] = ()

    def present(self, name: str) -> int:  # noqa: ARG002 - as Inference has it
        """Return the number of samples that have a field; here all: a source doesn't count them."""
        return self.samples


def draft_manifest(
    plan: ImportPlan,
    found: Imported,
    folder: Path,
    *,
    url_prefix: str | None = None,
    schema: str | None = None,
    as_blobs: bool = False,
) -> str:
    """Return the text of a manifest in ``folder``; ``url_prefix`` is where the shards will be.

    ``as_blobs``: publishing uploads them to the PDS. Raises :class:`~catalog.errors.DataError` for an invalid prefix, a
    shard that is too large for a blob, or a manifest of too many shards.
    """
    source = plan.source
    paths = [shard.path for shard in found.shards]
    urls = blob_names(paths) if as_blobs else shard_urls(paths, url_prefix)
    shards = tuple(
        FoundShard(url=url, local=shard.path, sha256=shard.sha256, bytes=shard.bytes, samples=shard.samples)
        for url, shard in zip(urls, found.shards, strict=True)
    )
    sketch = Sketch(
        name=plan.name,
        shards=shards,
        seen=_KnownFields(samples=plan.samples, fields=source.fields, left_out=source.left_out),
        others=(),
        schema=schema,
        as_blobs=as_blobs,
        format=source.format,
        command="catalog import",
    )
    return as_yaml(sketch, folder)
