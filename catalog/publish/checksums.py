"""Fill in checksum, size and number of samples of the shards of manifests, read from the shards themselves.

::

    local copies ─▶ hashed and counted ─────────────┐
    URLs         ─▶ read once, if requested ────────┼─▶ as stated? ─▶ the same manifests, filled in
                    or cached from the last time ───┘              ─▶ every fault, with file and line

Samples that can't be counted (no tar, other members) are no fault: ``samples`` is left out. A checksum that a manifest
states is compared with the shard whenever the shard is read.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.errors import Fault, InvalidManifest, RequestFailed
from catalog.manifest.checksums import counted_shards, local_faults, mismatches
from catalog.manifest.diagnostics import GUESSES, place, shown
from catalog.shards.hash_cache import ShardStats
from catalog.shards.hash_local import LocalHasher
from catalog.shards.hash_remote import hash_remote
from catalog.shards.reader import count_samples
from catalog.shards.shard import Shard, display_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from catalog.config import NetworkSettings
    from catalog.errors import CatalogError
    from catalog.manifest import DatasetDraft, ManifestSet, ShardDraft

__all__ = ["with_checksums"]

_REPORT_SECONDS: Final = 5.0
_HINTS: Final = {
    0: "readers of the dataset need this URL; is the server up?",
    401: "readers have no password: make the shard public",
    403: "readers have no password: make the shard public",
}


def with_checksums(
    manifests: ManifestSet,
    *,
    read_urls: bool,
    settings: NetworkSettings,
    progress: Callable[[str], object] | None = None,
    hasher: LocalHasher | None = None,
) -> ManifestSet:
    """Return the manifests with checksum and size of each shard, and the samples of each dataset, where they were read.

    Local copies are always read, URLs only with ``read_urls``, then all of them, even if a checksum is stated.
    ``progress`` is called with a line every few seconds. ``hasher`` hashes local files; by default that with the
    user's cache.

    Raises :class:`InvalidManifest` with every fault: a shard that can't be read, or differs from the manifest.
    """
    reporter = _Reporter(progress or (lambda _line: None))
    hasher = hasher or LocalHasher.of_user(count=count_samples, progress=reporter.hashed)
    shards = [(dataset, shard) for dataset in manifests.datasets for shard in dataset.shards]
    local = hasher.hash_files(shard.local for _, shard in shards if shard.local is not None)
    urls = [_remote(one, shard) for one, shard in shards if shard.local is None and not one.as_blobs]
    remote = hash_remote(urls, settings, hasher.cache, progress=reporter.read) if read_urls else {}
    faults: list[Fault] = []
    datasets = tuple(_filled_in(draft, local, remote, faults) for draft in manifests.datasets)
    if faults:
        raise InvalidManifest(tuple(dict.fromkeys(faults)))
    return replace(manifests, datasets=datasets)


def _remote(draft: DatasetDraft, shard: ShardDraft) -> Shard:
    bucket = draft.bucket
    if bucket is None:
        return Shard(url=shard.url)
    return Shard(url=f"s3://{bucket.name}/{shard.url}", endpoint=bucket.endpoint, region=bucket.region)


def _filled_in(
    draft: DatasetDraft,
    local: Mapping[Path, ShardStats | CatalogError],
    remote: Mapping[Shard, ShardStats | CatalogError],
    faults: list[Fault],
) -> DatasetDraft:
    """Return the draft with what was found; faults are added to ``faults``."""
    shards: list[ShardDraft] = []
    counts: list[int | None] = []
    formats: dict[str, ShardDraft] = {}
    for shard in draft.shards:
        stats: ShardStats | CatalogError | None = None
        if shard.local is not None:
            stats = local[shard.local]
            faults += local_faults(draft, shard, stats, guess=len(faults) < GUESSES)
        elif not draft.as_blobs:  # a blob without a local copy has no URL yet
            stats = remote.get(_remote(draft, shard))
            faults += _remote_faults(draft, shard, stats)
        if isinstance(stats, ShardStats):
            counts.append(stats.samples)
            if stats.format is not None:
                formats.setdefault(stats.format, shard)
            shards.append(replace(shard, sha256=stats.sha256, bytes=stats.bytes))
        else:
            counts.append(None)
            shards.append(shard)
    sample_format = _sample_format(draft, formats, faults)
    known = [count for count in counts if count is not None]
    samples = sum(known) if known and len(known) == len(counts) else None
    if samples is not None and draft.samples not in (None, samples):
        where = place(draft.file, draft.lines.get("samples", draft.line))
        message = f"'samples' is {draft.samples:,}, but the shards hold {samples:,}"
        faults.append(Fault(where=where, message=message, hint="leave it out, and it is counted"))
    return replace(
        draft,
        shards=tuple(shards),
        samples=draft.samples if samples is None else samples,
        sample_format=sample_format,
    )


def _sample_format(draft: DatasetDraft, found: Mapping[str, ShardDraft], faults: list[Fault]) -> str | None:
    """Return the format of the shards, ``None`` for ``msgpack``; it must be the stated one, the same for all shards.

    ``found`` is the first shard of each format.
    """
    stated = draft.sample_format or next(iter(found), None)
    for name, shard in found.items():
        if name != stated:
            says = "format" if draft.sample_format is not None else "format of the shards before"
            message = f"the {says} is {stated}, but {shown(shard.url)!r} has the format {name}"
            hint = "leave 'format' out, and it is recognised" if draft.sample_format else "make it a dataset of its own"
            faults.append(Fault(where=place(draft.file, shard.line), message=message, hint=hint))
    return stated if draft.sample_format is not None or stated != "msgpack" else None


def _remote_faults(draft: DatasetDraft, shard: ShardDraft, found: ShardStats | CatalogError | None) -> list[Fault]:
    if found is None:
        return []
    name = display_url(_remote(draft, shard).url)
    if isinstance(found, ShardStats):
        return mismatches(draft, shard, found, name)
    hint = found.hint or (_HINTS.get(found.status) if isinstance(found, RequestFailed) else None)
    message = f"{name!r} can't be read: {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


class _Reporter:
    """Reports progress, a line every few seconds; for many threads."""

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._lock = Lock()
        self._last = time.monotonic()

    def hashed(self, path: Path, done: int, total: int) -> None:
        """Report a local file: its bytes so far."""
        self._line(f"hashed {path.name}: {_megabytes(done)} of {_megabytes(total)}")

    def read(self, count: int, total: int, size: int) -> None:
        """Report remote shards: those that are done, all, and the bytes received."""
        self._line(f"read {count:,} of {counted_shards(total)}, {_megabytes(size)}", always=count == total)

    def _line(self, line: str, *, always: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if always or now - self._last >= _REPORT_SECONDS:
                self._last = now
                self._report(line)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
