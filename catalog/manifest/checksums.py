"""Compare the shards of manifests with the files that are there: checksum, size, format, samples against the schema.

::

    ShardChecks(datasets, schemas) ─▶ hash_local()         each local copy read once ─▶ stats
                                   ─▶ filled_in(draft)     the draft with what was found; faults with their line

A copy of two datasets with two schemas is read twice. ``publish.checksums`` adds the shards at addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from catalog.errors import CatalogError, Fault, RequestFailed
from catalog.manifest.blobs import packed_with
from catalog.manifest.diagnostics import GUESSES, place, shown
from catalog.manifest.drafts import SchemaKey
from catalog.manifest.glob import instead_of, is_there
from catalog.samples.conformance import SampleCheck
from catalog.shards.hash_cache import ShardStats
from catalog.shards.shard import Shard, display_url

if TYPE_CHECKING:
    from catalog.manifest.drafts import DatasetDraft, SchemaDraft, SchemaRef, ShardDraft
    from catalog.schema import SampleType
    from catalog.shards.hash_local import LocalHasher
    from catalog.syntax import AtUri

T = TypeVar("T")

_HINTS: Final = {
    0: "readers of the dataset need this URL; is the server up?",
    401: "readers have no password: make the shard public",
    403: "readers have no password: make the shard public",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit(Fault):
    """Samples that don't fit their schema or their number, or a file that is no shard: not another file than stated."""


@dataclass(slots=True)
class ShardChecks:
    """The shards of datasets, each with the check that compares its samples with the schema of its dataset.

    ``published`` are schemas outside the set, by URI; samples of other schemas are counted, not compared. ``most`` is
    the number of samples of each shard to compare, by default all.
    """

    datasets: Sequence[DatasetDraft]
    schemas: Iterable[SchemaDraft]
    published: Mapping[AtUri, SampleType] = field(default_factory=dict)
    most: int | None = None
    stats: dict[tuple[Path | Shard, bytes], ShardStats | CatalogError] = field(init=False, default_factory=dict)
    """The results, by file or shard and the key of its check."""
    _checks: dict[tuple[SchemaRef, str | None, bool], SampleCheck] = field(init=False)

    def __post_init__(self) -> None:
        known: dict[SchemaRef, SampleType] = dict(self.published.items())
        for draft in self.schemas:
            one = draft.sample_type
            known[SchemaKey(name=one.name, version=one.version)] = one
        wanted = {(draft.schema, draft.sample_format, draft.manifests) for draft in self.datasets}
        self._checks = {
            (ref, form, manifests): SampleCheck(
                known.get(ref), stated=form, most=self.most, manifests=_manifest_folder() if manifests else None
            )
            for ref, form, manifests in wanted
        }

    def hash_local(self, hasher: LocalHasher) -> None:
        """Read every local copy: hash it, and compare its samples."""
        for copies in _rounds(
            (shard.local, self._check(draft)) for draft, shard in self._shards() if shard.local is not None
        ):
            found = hasher.hash_files(copies, copies)
            self.stats |= {(path, copies[path].key): one for path, one in found.items()}

    def remote(self) -> Iterator[dict[Shard, SampleCheck]]:
        """Yield the shards without a local copy, each once, with its check; blobs have no address yet."""
        return _rounds(
            (_remote(draft, shard), self._check(draft))
            for draft, shard in self._shards()
            if shard.local is None and not draft.as_blobs
        )

    def sound(self, faults: list[Fault]) -> tuple[DatasetDraft, ...]:
        """Return the drafts without faults but misfits, filled in; all faults are added to ``faults``."""
        found = []
        for draft in self.datasets:
            before = len(faults)
            filled = self.filled_in(draft, faults)
            if all(isinstance(fault, Misfit) for fault in faults[before:]):
                found.append(filled)
        return tuple(found)

    def filled_in(self, draft: DatasetDraft, faults: list[Fault]) -> DatasetDraft:
        """Return a draft with checksums, sizes, samples and format as found; faults are added to ``faults``.

        A local copy that is absent, though checksum and size are stated, is no fault, and left out.
        """
        shards: list[ShardDraft] = []
        counts: list[int | None] = []
        formats: dict[str, ShardDraft] = {}
        for shard in draft.shards:
            stats = self._stats(draft, shard, faults)
            counts.append(stats.samples if stats is not None else None)
            if stats is None:
                absent = shard.local is not None and not is_there(shard.local)
                shards.append(replace(shard, local=None) if absent else shard)
                continue
            if stats.format is not None:
                formats.setdefault(stats.format, shard)
            manifest = self._check(draft).manifest_of(stats)
            shards.append(replace(shard, sha256=stats.sha256, bytes=stats.bytes, manifest=manifest))
        sample_format = _sample_format(draft, formats, faults)
        known = [count for count in counts if count is not None]
        samples = sum(known) if known and len(known) == len(counts) else None
        if samples is not None and draft.samples not in (None, samples):
            where = place(draft.file, draft.lines.get("samples", draft.line))
            message = f"'samples' is {draft.samples:,}, but the shards hold {samples:,}"
            faults.append(Misfit(where=where, message=message, hint="leave it out, and it is counted"))
        return replace(
            draft,
            shards=tuple(shards),
            samples=draft.samples if samples is None else samples,
            sample_format=sample_format,
        )

    def _shards(self) -> Iterator[tuple[DatasetDraft, ShardDraft]]:
        return ((draft, shard) for draft in self.datasets for shard in draft.shards)

    def _check(self, draft: DatasetDraft) -> SampleCheck:
        return self._checks[draft.schema, draft.sample_format, draft.manifests]

    def _stats(self, draft: DatasetDraft, shard: ShardDraft, faults: list[Fault]) -> ShardStats | None:
        """Return what was found of a shard, and add its faults."""
        key = self._check(draft).key
        if shard.local is not None:
            found = self.stats[shard.local, key]
            faults += local_faults(draft, shard, found, guess=len(faults) < GUESSES)
        elif draft.as_blobs:
            faults += unknown_blob(draft, shard)
            return None
        else:
            maybe = self.stats.get((_remote(draft, shard), key))
            if maybe is None:
                return None
            found = maybe
            faults += _remote_faults(draft, shard, found)
        return None if isinstance(found, CatalogError) else found


def _manifest_folder() -> Path | None:
    """Return the folder in the user's cache in which shard manifests are kept; ``None`` without a home folder."""
    from catalog.config import cache_folder

    try:
        return cache_folder() / "manifests"
    except RuntimeError:
        return None


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


def _remote_faults(draft: DatasetDraft, shard: ShardDraft, found: ShardStats | CatalogError) -> list[Fault]:
    name = display_url(_remote(draft, shard).url)
    if isinstance(found, ShardStats):
        return mismatches(draft, shard, found, name)
    hint = found.hint or (_HINTS.get(found.status) if isinstance(found, RequestFailed) else None)
    message = f"{name!r} can't be read: {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


def local_faults(
    draft: DatasetDraft, shard: ShardDraft, found: ShardStats | CatalogError, *, guess: bool = True
) -> list[Fault]:
    """Return the faults of a shard's local copy: it can't be read, or differs from what the manifest states.

    An absent copy is no fault if the manifest states checksum and size: manifests are published without the data.
    ``guess`` searches the folder for a similar name, which takes longer the more files it has.
    """
    name = shown(str(shard.local), 200)
    if isinstance(found, ShardStats):
        return _packed(draft, shard, name) or mismatches(draft, shard, found, name)
    absent = shard.local is not None and not is_there(shard.local)
    if absent and shard.sha256 is not None and shard.bytes is not None:
        return []
    guess = guess and absent and bool(draft.lines)
    hint = found.hint or (instead_of(shard.local) if guess and shard.local is not None else None)
    message = f"the local copy {name!r} {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


def mismatches(draft: DatasetDraft, shard: ShardDraft, found: ShardStats, name: str) -> list[Fault]:
    """Return a fault for each value that a manifest states of a shard and the file ``name`` doesn't have.

    Samples that don't fit the schema are a fault, too, if the file is the one with the stated checksum.
    """
    where = place(draft.file, shard.line)
    faults = []
    if shard.sha256 not in (None, found.sha256):
        message = f"'sha256' is {shard.sha256}, but {name!r} has {found.sha256}"
        faults.append(Fault(where=where, message=message, hint=found.misfit))
    elif found.misfit is not None:
        faults.append(Misfit(where=where, message=f"{name!r}: {found.misfit}"))
    if shard.bytes not in (None, found.bytes):
        faults.append(Fault(where=where, message=f"'bytes' is {shard.bytes}, but {name!r} has {found.bytes}"))
    return faults


def unknown_blob(draft: DatasetDraft, shard: ShardDraft) -> list[Fault]:
    """Return the fault of a blob without a local copy, unless its hash is stated."""
    if shard.sha256 is not None and shard.bytes is not None:
        return []
    message, hint = f"{shown(shard.url, 200)!r} has no known hash", "a blob needs a local copy, or 'sha256' and 'bytes'"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


def _packed(draft: DatasetDraft, shard: ShardDraft, name: str) -> list[Fault]:
    if not draft.as_blobs or shard.local is None or (packed := packed_with(shard.local)) is None:
        return []
    message = f"{name!r} is packed with {packed}; a blob is a plain tar"
    return [Fault(where=place(draft.file, shard.line), message=message, hint="unpack it")]
