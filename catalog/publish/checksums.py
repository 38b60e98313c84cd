"""What the shards of a set of manifests really are: checksums, bytes and samples, from the bytes themselves.

::

    local copies ─▶ hashed and counted ─────────────┐
    addresses    ─▶ read once, when asked for ──────┼─▶ as stated? ─▶ the same set, with what was found
                    or known from last time ────────┘              ─▶ every fault, with file and line

Tricky bits
-----------
- What can't be counted (no tar, other members than samples) is no fault: then nothing is said about ``samples``.
- A manifest that states a checksum is believed while nobody reads the shard; who reads it compares.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.errors import Fault, InvalidManifest, RequestFailed
from catalog.manifest.checksums import Digests, counted_shards, local_faults, other_faults
from catalog.manifest.diagnostics import GUESSES, place
from catalog.publish.hash_remote import read_once
from catalog.shards.hash_cache import Measure
from catalog.shards.shard import count_samples
from catalog.shards.storage import Shard, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from catalog.config import NetworkSettings
    from catalog.errors import CatalogError, DataError
    from catalog.manifest import DatasetDraft, ManifestSet, ShardDraft

__all__ = ["measured"]

_WORD_SECONDS: Final = 5.0
_HINTS: Final = {
    0: "whoever reads the dataset needs this address; is the server up?",
    401: "readers have no password: make the shard public",
    403: "readers have no password: make the shard public",
}


def measured(
    found: ManifestSet,
    *,
    read_urls: bool,
    settings: NetworkSettings,
    progress: Callable[[str], object] | None = None,
    digests: Digests | None = None,
) -> ManifestSet:
    """The same set, its shards with checksum and bytes, its datasets with their samples, as far as they were read.

    Local copies are always read; addresses only with ``read_urls``, all of them, also where a checksum is stated.
    ``progress`` gets a line now and then. ``digests`` is what hashes local files and remembers; without it that is the
    user's own.

    Raises :class:`InvalidManifest` with every fault: a shard can't be read, or isn't what the manifest states.
    """
    word = _Word(progress or (lambda _line: None))
    digests = digests or Digests.of_user(count=count_samples, heard=word.hashed)
    shards = [(dataset, shard) for dataset in found.datasets for shard in dataset.shards]
    local = digests.all(shard.local for _, shard in shards if shard.local is not None)
    places = [_place(one, shard) for one, shard in shards if shard.local is None and not one.as_blobs]
    remote = read_once(places, settings, digests.memory, heard=word.read) if read_urls else {}
    faults: list[Fault] = []
    datasets = tuple(_dataset(draft, local, remote, faults) for draft in found.datasets)
    if faults:
        raise InvalidManifest(tuple(dict.fromkeys(faults)))
    return replace(found, datasets=datasets)


def _is_remote(draft: DatasetDraft, shard: ShardDraft) -> bool:
    """Whether it is at an address: a blob that isn't here (its checksum is stated) is nowhere we could read it."""
    return shard.local is None and not draft.as_blobs


def _place(draft: DatasetDraft, shard: ShardDraft) -> Shard:
    bucket = draft.bucket
    if bucket is None:
        return Shard(url=shard.url)
    return Shard(url=f"s3://{bucket.name}/{shard.url}", endpoint=bucket.endpoint, region=bucket.region)


def _dataset(
    draft: DatasetDraft,
    local: Mapping[Path, Measure | DataError],
    remote: Mapping[Shard, Measure | CatalogError],
    faults: list[Fault],
) -> DatasetDraft:
    """The draft with what was found; what is wrong is added to ``faults``."""
    shards: list[ShardDraft] = []
    counts: list[int | None] = []
    for shard in draft.shards:
        measure: Measure | CatalogError | None
        if shard.local is not None:
            measure = local[shard.local]
            faults += local_faults(draft, shard, measure, guess=len(faults) < GUESSES)
        else:
            measure = remote.get(_place(draft, shard)) if _is_remote(draft, shard) else None
            faults += _remote_faults(draft, shard, measure)
        if isinstance(measure, Measure):
            counts.append(measure.samples)
            shards.append(replace(shard, sha256=measure.sha256, bytes=measure.bytes))
        else:
            counts.append(None)
            shards.append(shard)
    known = [count for count in counts if count is not None]
    samples = sum(known) if known and len(known) == len(counts) else None
    if samples is not None and draft.samples not in (None, samples):
        where = place(draft.file, draft.lines.get("samples", draft.line))
        message = f"'samples' is {draft.samples:,}, but the shards hold {samples:,}"
        faults.append(Fault(where=where, message=message, hint="leave it out, and it is counted"))
    return replace(draft, shards=tuple(shards), samples=draft.samples if samples is None else samples)


def _remote_faults(draft: DatasetDraft, shard: ShardDraft, found: Measure | CatalogError | None) -> list[Fault]:
    if found is None:
        return []
    name = shown(_place(draft, shard).url)
    if isinstance(found, Measure):
        return other_faults(draft, shard, found, name)
    hint = found.hint or (_HINTS.get(found.status) if isinstance(found, RequestFailed) else None)
    message = f"{name!r} can't be read: {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


class _Word:
    """Says how far it is, in a line every few seconds; for many threads."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self._lock = Lock()
        self._last = time.monotonic()

    def hashed(self, path: Path, done: int, total: int) -> None:
        """A local file: its bytes so far."""
        self._now_and_then(f"hashed {path.name}: {_megabytes(done)} of {_megabytes(total)}")

    def read(self, count: int, total: int, size: int) -> None:
        """Shards at addresses: how many are done, of how many, and the bytes that came."""
        self._now_and_then(f"read {count:,} of {counted_shards(total)}, {_megabytes(size)}", always=count == total)

    def _now_and_then(self, line: str, *, always: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if always or now - self._last >= _WORD_SECONDS:
                self._last = now
                self.say(line)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
