"""Plan an import: which rows go into which shard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.errors import DataError
from catalog.manifest.shards import MAX_SHARDS

if TYPE_CHECKING:
    from catalog.publish.imports.source import Source, Split

SHARD_BYTES: Final = 100_000_000
"""Approximate bytes of a shard by default, on a web server or in a bucket."""
BLOB_BYTES: Final = 50_000_000
"""The same for a shard that becomes a blob of a PDS, which is limited."""

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_NAME: Final = 80
_END: Final = 1024
"""Bytes of the end mark of a tar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShard:
    """A shard to write: its file name, its split, and its rows."""

    name: str
    split: str | None
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """A source and its shards. ``name`` is that of the dataset, ``bytes`` the approximate size of all shards."""

    source: Source
    name: str
    shards: tuple[PlannedShard, ...]
    limits: tuple[int | None, int]
    bytes: int

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return sum(split.stop - split.start for split in self.source.splits)

    @property
    def manifest(self) -> str:
        """The file name of the manifest."""
        return f"{_file_name(self.name)}.yaml"


def plan_import(
    source: Source, *, name: str | None = None, per_shard: int | None = None, shard_bytes: int = SHARD_BYTES
) -> ImportPlan:
    """Return the shards of a source: at most ``per_shard`` samples each, and about ``shard_bytes`` bytes.

    ``name`` is that of the dataset, by default the source's. Raises ValueError for limits below 1,
    :class:`DataError` for too many shards.
    """
    if min(shard_bytes, per_shard or 1) < 1:
        raise ValueError("per_shard and shard_bytes are at least 1")
    shards: list[PlannedShard] = []
    total = 0
    chosen = (name or source.name)[:_MAX_NAME].strip() or "dataset"
    for split in source.splits:
        ranges, size = _ranges(source, split, per_shard, shard_bytes)
        total += size
        for number, (start, stop) in enumerate(ranges):
            label = "" if split.name is None else f"{split.name}-"
            file = f"{_file_name(chosen)}-{label}{number:06d}.tar"
            shards.append(PlannedShard(name=file, split=split.name, start=start, stop=stop))
    if len(shards) > MAX_SHARDS:
        raise DataError(f"{len(shards):,} shards; the most is {MAX_SHARDS:,}", hint="--shard-bytes makes larger ones")
    return ImportPlan(source=source, name=chosen, shards=tuple(shards), limits=(per_shard, shard_bytes), bytes=total)


def _ranges(source: Source, split: Split, per_shard: int | None, shard_bytes: int) -> tuple[list[tuple[int, int]], int]:
    ranges: list[tuple[int, int]] = []
    start, size, total = split.start, 0, 0
    for row in range(split.start, split.stop):
        added = source.size_of(row)
        if row > start and (size + added + _END > shard_bytes or row - start == per_shard):
            ranges.append((start, row))
            start, size = row, 0
        size += added
        total += added
    ranges.append((start, split.stop))
    return ranges, total


def _file_name(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name).strip("._-") or "dataset"
