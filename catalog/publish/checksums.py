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
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from catalog.errors import Fault, InvalidManifest
from catalog.formatting import byte_size, counted
from catalog.manifest.checksums import ShardChecks
from catalog.manifest.glob import is_there
from catalog.shards.hash_local import LocalHasher
from catalog.shards.hash_remote import hash_remote

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.manifest import ManifestSet
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

_REPORT_SECONDS: Final = 5.0
_NO_SCHEMAS: Final[Mapping[AtUri, SampleType]] = MappingProxyType({})


def with_checksums(
    manifests: ManifestSet,
    *,
    read_urls: bool,
    settings: NetworkSettings,
    progress: Callable[[str], object] | None = None,
    hasher: LocalHasher | None = None,
    compare: int | None = None,
    published: Mapping[AtUri, SampleType] = _NO_SCHEMAS,
) -> ManifestSet:
    """Return the manifests with checksum and size of each shard, and the samples of each dataset, where they were read.

    Local copies are always read, URLs only with ``read_urls``, then all of them, even if a checksum is stated.
    ``progress`` is called with a line every few seconds. ``hasher`` hashes local files; by default that with the
    user's cache. ``compare`` is the number of samples of each shard to compare with the schema, by default all;
    ``published`` are the schemas that datasets name by URI, see :func:`~catalog.publish.schemas.published_schemas`.

    Raises :class:`InvalidManifest` with every fault: a shard that can't be read, or differs from the manifest or from
    the schema.
    """
    reporter = _Reporter(progress or (lambda _line: None))
    hasher = hasher or LocalHasher.of_user(progress=reporter.hashed)
    checks = ShardChecks(manifests.datasets, manifests.schemas, published, compare)
    checks.hash_local(hasher)
    for shards in checks.remote() if read_urls else ():
        read = hash_remote(list(shards), settings, hasher.cache, progress=reporter.read, checks=shards)
        checks.stats |= {(shard, shards[shard].key): one for shard, one in read.items()}
    faults: list[Fault] = []
    datasets = tuple(checks.filled_in(draft, faults) for draft in manifests.datasets)
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
