"""Sources of a dataset: URLs, paths, brace patterns, shards, and objects in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

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

    ``endpoint`` is the URL of the store, ``None`` for that of the environment or AWS. Without ``access_key`` and
    ``secret_key`` a bucket that isn't public is read with the credentials of the environment. Raises ValueError for one
    of them alone.
    """

    bucket: str
    keys: Sequence[str]
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None

    def __post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key are given together")

    @classmethod
    def from_urls(cls, urls: Sequence[str], **options: Any) -> S3Source:  # noqa: ANN401 - of the constructor
        """Return the source of ``s3://bucket/key`` URLs of one bucket; ``options`` are those of the constructor.

        Raises ValueError for other URLs.
        """
        parts = [url.removeprefix("s3://").partition("/") for url in urls if url.startswith("s3://")]
        buckets = {bucket for bucket, _, key in parts if key}
        if len(parts) < len(urls) or len(buckets) != 1 or not all(key for _, _, key in parts):
            raise ValueError("from_urls takes s3://bucket/key URLs of one bucket")
        return cls(buckets.pop(), [key for _, _, key in parts], **options)

    def list_shards(self) -> list[str]:
        """Return the ``s3://`` URL of each shard."""
        return [f"s3://{self.bucket}/{key}" for key in self.keys]

    def shards(self) -> list[Shard]:
        """Return the shards, with the credentials."""
        from catalog.shards.s3 import Credentials  # imports the network

        keys = None
        if self.access_key is not None and self.secret_key is not None:
            keys = Credentials(access_key=self.access_key, secret_key=self.secret_key)
        return [
            Shard(url=url, endpoint=self.endpoint, region=self.region, credentials=keys) for url in self.list_shards()
        ]


Source: TypeAlias = str | Path | Shard | ShardInfo | URLSource | S3Source | Sequence[str | Path | Shard | ShardInfo]
"""The types from which a dataset is made."""


def shards_from(source: Source, checksums: Sequence[str | None] | None) -> tuple[tuple[Shard, ...], int | None]:
    """Return the shards of a source, and the number of their samples if it is known.

    Raises as :class:`~catalog.datasets.dataset.Dataset` does.
    """
    if isinstance(source, str | URLSource):
        listed: Sequence[str | Path | Shard | ShardInfo] = expand(source if isinstance(source, str) else source.url)
    elif isinstance(source, S3Source):
        listed = source.shards()
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
