"""Fill in checksum, size and number of samples of the shards of manifests, read from the shards themselves.

::

    local copies ─▶ hashed, samples compared ───────┐
    URLs         ─▶ read once, if requested ────────┼─▶ as stated? ─▶ the same manifests, filled in
                    or cached from the last time ───┘              ─▶ every fault, with file and line

Whenever a shard is read, its checksum is compared with the stated one, and its samples with the schema, in one pass. A
file that is no shard (a web page, a truncated tar) is a fault, too.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from catalog.errors import Fault, InvalidManifest, RequestFailed
from catalog.formatting import byte_size, counted
from catalog.manifest.checksums import local_faults, mismatches
from catalog.manifest.diagnostics import GUESSES, place, shown
from catalog.manifest.drafts import SchemaKey
from catalog.manifest.glob import is_there
from catalog.samples.conformance import SampleCheck
from catalog.shards.hash_cache import ShardStats
from catalog.shards.hash_local import LocalHasher
from catalog.shards.hash_remote import hash_remote
from catalog.shards.shard import Shard, display_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from catalog.config import NetworkSettings
    from catalog.errors import CatalogError
    from catalog.manifest import DatasetDraft, ManifestSet, ShardDraft
    from catalog.manifest.drafts import SchemaRef
    from catalog.schema import SampleType

__all__ = ["local_copies", "with_checksums"]

T = TypeVar("T")

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
    compare: int | None = None,
) -> ManifestSet:
    """Return the manifests with checksum and size of each shard, and the samples of each dataset, where they were read.

    Local copies are always read, URLs only with ``read_urls``, then all of them, even if a checksum is stated.
    ``progress`` is called with a line every few seconds. ``hasher`` hashes local files; by default that with the
    user's cache. ``compare`` is the number of samples of each shard to compare with the schema, by default all.

    Raises :class:`InvalidManifest` with every fault: a shard that can't be read, or differs from the manifest or from
    the schema.
    """
    reporter = _Reporter(progress or (lambda _line: None))
    hasher = hasher or LocalHasher.of_user(progress=reporter.hashed)
    checks = _checks(manifests, compare)
    shards = [
        (dataset, shard, checks[dataset.schema, dataset.sample_format])
        for dataset in manifests.datasets
        for shard in dataset.shards
    ]
    local = [(shard.local, check) for _, shard, check in shards if shard.local is not None]
    urls = [(_remote(one, shard), check) for one, shard, check in shards if shard.local is None and not one.as_blobs]
    found: dict[tuple[Path | Shard, bytes], ShardStats | CatalogError] = {}
    for some in _rounds(local):
        stats = hasher.hash_files(some, some)
        found |= {(path, some[path].key): one for path, one in stats.items()}
    for these in _rounds(urls if read_urls else []):
        read = hash_remote(list(these), settings, hasher.cache, progress=reporter.read, checks=these)
        found |= {(shard, these[shard].key): one for shard, one in read.items()}
    faults: list[Fault] = []
    datasets = tuple(
        _filled_in(draft, checks[draft.schema, draft.sample_format].key, found, faults) for draft in manifests.datasets
    )
    if faults:
        raise InvalidManifest(tuple(dict.fromkeys(faults)))
    return replace(manifests, datasets=datasets)


def local_copies(manifests: ManifestSet) -> ManifestSet:
    """Return the manifests without the local copies that don't exist, which are faults of a plan only."""
    datasets = (
        replace(
            draft,
            shards=tuple(
                replace(shard, local=None) if shard.local is not None and not is_there(shard.local) else shard
                for shard in draft.shards
            ),
        )
        for draft in manifests.datasets
    )
    return replace(manifests, datasets=tuple(datasets))


def _checks(manifests: ManifestSet, compare: int | None) -> dict[tuple[SchemaRef, str | None], SampleCheck]:
    """Return the check for each schema and format of datasets; a schema that isn't in the set is not known here."""
    types = [one.sample_type for one in manifests.schemas]
    known: dict[SchemaRef, SampleType] = {SchemaKey(name=one.name, version=one.version): one for one in types}
    wanted = {(draft.schema, draft.sample_format) for draft in manifests.datasets}
    return {(ref, form): SampleCheck(known.get(ref), stated=form, most=compare) for ref, form in wanted}


def _rounds(wanted: Iterable[tuple[T, SampleCheck]]) -> Iterator[dict[T, SampleCheck]]:
    """Yield the checks of all shards, each shard once: one of two datasets with two schemas is read twice."""
    left = list(wanted)
    while left:
        checks: dict[T, SampleCheck] = {}
        later = [(one, check) for one, check in left if checks.setdefault(one, check).key != check.key]
        yield checks
        left = later


def _remote(draft: DatasetDraft, shard: ShardDraft) -> Shard:
    bucket = draft.bucket
    if bucket is None:
        plain = shard.url[:7].lower() == "http://"  # opened if its checksum is stated
        return Shard(url=shard.url, checksum=f"sha256:{shard.sha256}" if plain and shard.sha256 is not None else None)
    return Shard(url=f"s3://{bucket.name}/{shard.url}", endpoint=bucket.endpoint, region=bucket.region)


def _filled_in(
    draft: DatasetDraft,
    check: bytes,
    found: Mapping[tuple[Path | Shard, bytes], ShardStats | CatalogError],
    faults: list[Fault],
) -> DatasetDraft:
    """Return the draft with what was found; faults are added to ``faults``."""
    shards: list[ShardDraft] = []
    counts: list[int | None] = []
    formats: dict[str, ShardDraft] = {}
    for shard in draft.shards:
        stats: ShardStats | CatalogError | None = None
        if shard.local is not None:
            stats = found[shard.local, check]
            faults += local_faults(draft, shard, stats, guess=len(faults) < GUESSES)
        elif not draft.as_blobs:  # a blob without a local copy has no URL yet
            stats = found.get((_remote(draft, shard), check))
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
        self._line(f"hashed {path.name}: {byte_size(done)} of {byte_size(total)}")

    def read(self, count: int, total: int, size: int) -> None:
        """Report remote shards: those that are done, all, and the bytes received."""
        self._line(f"read {count:,} of {counted(total, 'shard')}, {byte_size(size)}", always=count == total)

    def _line(self, line: str, *, always: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if always or now - self._last >= _REPORT_SECONDS:
                self._last = now
                self._report(line)
