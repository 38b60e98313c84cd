"""Sources of a dataset: URLs, paths, brace patterns, shards, and objects in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from catalog.samples.write_shards import ShardInfo
from catalog.shards.braces import expand
from catalog.shards.shard import Shard

__all__ = ["S3Source", "Source", "URLSource", "shards_from"]


@dataclass(frozen=True, slots=True)
class URLSource:
    """Shards at a URL, a local path, or a brace pattern of either: the same as the text itself."""

    url: str

    def list_shards(self) -> list[str]:
        """Return the URL of each shard."""
        return list(expand(self.url))


@dataclass(frozen=True, slots=True)
class S3Source:
    """Objects of a bucket of S3 or a compatible store.

    ``endpoint`` is the URL of the store, ``None`` for that of the environment or AWS.
    """

    bucket: str
    keys: Sequence[str]
    endpoint: str | None = None
    region: str | None = None

    def list_shards(self) -> list[str]:
        """Return the ``s3://`` URL of each shard."""
        return [f"s3://{self.bucket}/{key}" for key in self.keys]


Source: TypeAlias = str | Path | Shard | ShardInfo | URLSource | S3Source | Sequence[str | Path | Shard | ShardInfo]
"""What a dataset is made of."""


def shards_from(source: Source, checksums: Sequence[str | None] | None) -> tuple[tuple[Shard, ...], int | None]:
    """Return the shards of a source, and the number of their samples if it is known.

    Raises as :class:`~catalog.datasets.dataset.Dataset` does.
    """
    if isinstance(source, str | URLSource):
        listed: Sequence[str | Path | Shard | ShardInfo] = expand(source if isinstance(source, str) else source.url)
    elif isinstance(source, S3Source):
        listed = [Shard(url=url, endpoint=source.endpoint, region=source.region) for url in source.list_shards()]
    else:
        listed = (source,) if isinstance(source, Path | Shard | ShardInfo) else tuple(source)
    given = (None,) * len(listed) if checksums is None else tuple(checksums)
    shards = tuple(_shard(one, checksum) for one, checksum in zip(listed, given, strict=True))
    infos = [one for one in listed if isinstance(one, ShardInfo)]
    return shards, sum(info.samples for info in infos) if infos and len(infos) == len(listed) else None


def _shard(one: str | Path | Shard | ShardInfo, checksum: str | None) -> Shard:
    if isinstance(one, ShardInfo):
        shard = Shard(url=str(one.path), checksum=f"sha256:{one.sha256}", format=one.format)
    elif isinstance(one, Shard):
        shard = one
    else:
        shard = Shard(url=str(one), checksum=checksum)
    _ = shard.path  # raises for a scheme that isn't opened
    return shard
