"""Compile drafts to records: assign URIs, hash local shards, validate each record against its lexicon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from catalog import records
from catalog.atproto.datamodel import Json, record_cid
from catalog.errors import CatalogError, Fault, InvalidManifest, InvalidRecord
from catalog.manifest.blobs import BINARY, JSON, MAX_BLOB, LocalBlob, size_of
from catalog.manifest.checksums import local_faults, unknown_blob
from catalog.manifest.diagnostics import GUESSES, place, shown
from catalog.manifest.drafts import LabelDraft
from catalog.manifest.source_map import line_of
from catalog.records import (
    Blob,
    BlobShard,
    BlobStorage,
    Checksum,
    Dataset,
    HttpShard,
    HttpStorage,
    Label,
    Lens,
    LensVerification,
    ManifestRef,
    S3Shard,
    S3Storage,
    Schema,
    Size,
)
from catalog.shards.hash_local import LocalHasher
from catalog.syntax import AtUri, Cid, Datetime, Did, RecordKey, Tid

if TYPE_CHECKING:
    from catalog.manifest.drafts import (
        BucketDraft,
        DatasetDraft,
        Draft,
        LensDraft,
        SchemaDraft,
        SchemaRef,
        ShardDraft,
        VerificationDraft,
    )
    from catalog.records import Record, Storage
    from catalog.shards.hash_cache import ShardStats

DraftKey = tuple[str, str, str]
"""Identity of a record apart from its record key: collection, name, and the version or ``""``.

Only schemas and labels have a version; of a verification it is the lens and the method.
"""

_NOTHING: Final[Mapping[DraftKey, RecordKey]] = MappingProxyType({})
_NO_TIMES: Final[Mapping[DraftKey, Datetime]] = MappingProxyType({})
_NO_MARKS: Final[Mapping[DraftKey, str | None]] = MappingProxyType({})

MARK: Final = "manifestSet"
"""Field with the name of the set of manifests that a record was published from. Absent from records of code."""

DEFAULT_SET: Final = "default"
"""Name of a set without ``set:``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRecord:
    """A record ready to be written: its URI, its value, and its source lines.

    ``value`` is its JSON and ``cid`` its CID. ``local`` are the shards' local copies, in order, and ``blobs`` the files
    to upload before the record is written.
    """

    uri: AtUri
    cid: Cid
    collection: str
    name: str
    version: str | None
    key: DraftKey
    record: Record
    value: dict[str, Json]
    file: Path
    line: int
    draft: Draft = field(repr=False)
    local: tuple[Path, ...] = ()
    blobs: tuple[LocalBlob, ...] = ()

    def line_of(self, path: str) -> int:
        """Return the manifest's line of a path in ``value``, such as ``getterCode.commit``."""
        return line_of(self.draft, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSet:
    """The drafts of a set of manifests; every name resolves. ``name`` marks the records published from it.

    ``doubts`` are warnings about ambiguous values.
    """

    files: tuple[Path, ...]
    name: str = DEFAULT_SET
    schemas: tuple[SchemaDraft, ...] = ()
    datasets: tuple[DatasetDraft, ...] = ()
    labels: tuple[LabelDraft, ...] = ()
    lenses: tuple[LensDraft, ...] = ()
    verifications: tuple[VerificationDraft, ...] = ()
    doubts: tuple[str, ...] = ()

    def records(
        self,
        did: Did,
        *,
        created_at: Datetime,
        new_tid: Callable[[], Tid],
        rkeys: Mapping[DraftKey, RecordKey] = _NOTHING,
        created: Mapping[DraftKey, Datetime] = _NO_TIMES,
        mark: str | None = None,
        marks: Mapping[DraftKey, str | None] = _NO_MARKS,
        hash_local: bool = True,
        hasher: LocalHasher | None = None,
        faults: list[Fault] | None = None,
    ) -> tuple[DraftRecord, ...]:
        """Return the records for an account, in order of reference: schemas, datasets, labels, lenses, verifications.

        ``rkeys`` and ``created`` are the record keys and times of existing records; new ones get a TID (a schema: its
        name and version) and ``created_at``. A verification contains the CID of its lens, which depends on the lens's
        time. ``mark`` is added to every record as :data:`MARK`, except where ``marks`` has another value.
        ``hash_local=False`` doesn't read local copies; ``hasher`` may cache their hashes. Samples are not compared with
        their schema: :class:`~catalog.manifest.checksums.ShardChecks` does that.

        Raises :class:`InvalidManifest`, with all faults: a local copy is missing or differs from its checksum, or a
        record breaks its lexicon. If ``faults`` is a list, they are added to it and the other records are returned.
        """
        build = _Build(
            did=did,
            created_at=created_at,
            new_tid=new_tid,
            rkeys=rkeys,
            created=created,
            mark=mark,
            marks=marks,
            hash_local=hash_local,
        )
        if hash_local:
            local = (shard.local for dataset in self.datasets for shard in dataset.shards)
            build.stats = (hasher or LocalHasher()).hash_files(path for path in local if path is not None)
        build.run(self)
        if build.faults and faults is None:
            raise InvalidManifest(tuple(build.faults))
        if faults is not None:
            faults += build.faults
        return tuple(build.done)


def closed(found: ManifestSet) -> tuple[ManifestSet, tuple[Fault, ...]]:
    """Return a set without drafts whose target is missing, and a fault for each such reference."""
    schemas = {(one.sample_type.name, one.sample_type.version) for one in found.schemas}
    datasets, lenses = {one.name for one in found.datasets}, {one.name for one in found.lenses}
    labels = tuple(one for one in found.labels if not _lost(one.dataset, datasets))
    verifications = tuple(one for one in found.verifications if not _lost(one.lens, lenses))
    references: list[tuple[Draft, str, str]] = [
        *((one, "schema", str(one.schema)) for one in found.datasets if _lacks(one.schema, schemas)),
        *((one, "source", str(one.source)) for one in found.lenses if _lacks(one.source, schemas)),
        *((one, "target", str(one.target)) for one in found.lenses if _lacks(one.target, schemas)),
        *((one, "dataset", str(one.dataset)) for one in found.labels if _lost(one.dataset, datasets)),
        *((one, "lens", str(one.lens)) for one in found.verifications if _lost(one.lens, lenses)),
    ]
    faults = tuple(
        Fault(
            where=place(draft.file, draft.lines.get(key, draft.line)),
            message=f"the {key} {shown(name)!r} is in no manifest without mistakes",
            hint="correct the manifest that declares it",
        )
        for draft, key, name in references
    )
    return replace(found, labels=labels, verifications=verifications), faults


def _lost(name: str | AtUri, known: set[str]) -> bool:
    return not isinstance(name, AtUri) and name not in known


def _lacks(ref: SchemaRef, schemas: set[tuple[str, str]]) -> bool:
    return not isinstance(ref, AtUri) and (ref.name, ref.version) not in schemas


@dataclass(slots=True, kw_only=True)
class _Build:
    did: Did
    created_at: Datetime
    new_tid: Callable[[], Tid]
    rkeys: Mapping[DraftKey, RecordKey]
    created: Mapping[DraftKey, Datetime]
    mark: str | None
    marks: Mapping[DraftKey, str | None]
    hash_local: bool
    stats: Mapping[Path, ShardStats | CatalogError] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    done: list[DraftRecord] = field(default_factory=list)
    datasets: dict[str, AtUri] = field(default_factory=dict)
    lenses: dict[str, DraftRecord] = field(default_factory=dict)

    def run(self, drafts: ManifestSet) -> None:
        for schema in drafts.schemas:
            self._schema(schema)
        for dataset in drafts.datasets:
            self._dataset(dataset)
        for dataset in drafts.datasets:
            if dataset.version is not None:
                self._label(dataset, dataset.name)
        for label in drafts.labels:
            self._label(label, label.dataset)
        for lens in drafts.lenses:
            self._lens(lens)
        for verification in drafts.verifications:
            self._verification(verification)

    def _schema(self, draft: SchemaDraft) -> None:
        sample_type = draft.sample_type
        key = (records.SCHEMA, sample_type.name, sample_type.version)
        record = Schema(sample_type=sample_type, created_at=self._time(key), license=draft.license, tags=draft.tags)
        self._add(draft, key, record, version=sample_type.version)

    def _dataset(self, draft: DatasetDraft) -> None:
        key = (records.DATASET, draft.name, "")
        before = len(self.faults)
        measured = [self._measure(draft, shard) for shard in draft.shards]
        if len(self.faults) > before:
            return
        sizes = [shard.bytes for shard in measured]
        known = [size for size in sizes if size is not None]
        blobs = tuple(LocalBlob.of(shard) for shard in measured) if draft.as_blobs else ()
        manifests, files = _manifests(draft)
        record = Dataset(
            name=draft.name,
            schema_ref=self._schema_uri(draft.schema),
            storage=_storage(draft.bucket, measured, blobs),
            created_at=self._time(key),
            description=draft.description,
            license=draft.license,
            tags=draft.tags,
            size=Size(samples=draft.samples, bytes=sum(known) if len(known) == len(sizes) else None, shards=len(sizes)),
            metadata=draft.metadata,
            content_metadata=draft.content_metadata,
            sample_format=draft.sample_format or "msgpack",
            splits=draft.splits,
            manifests=manifests,
        )
        local = tuple(shard.local for shard in measured if shard.local is not None)
        added = self._add(draft, key, record, local=local, blobs=(*blobs, *files))
        if added is not None:
            self.datasets[draft.name] = added.uri

    def _measure(self, draft: DatasetDraft, shard: ShardDraft) -> ShardDraft:
        """Return the shard with checksum and bytes, from the local copy if it exists; it must match the stated ones."""
        if shard.local is not None and self.hash_local:
            found = self.stats[shard.local]
            faults = local_faults(draft, shard, found, guess=len(self.faults) < GUESSES)
            self.faults += faults
            if isinstance(found, CatalogError):
                shard = replace(shard, local=None)  # if that is no fault, checksum and bytes are stated
            else:
                shard = replace(shard, sha256=found.sha256, bytes=found.bytes)
            if faults:
                return shard
        elif draft.as_blobs and shard.bytes is None:
            shard = replace(shard, bytes=size_of(shard.local))
        if draft.as_blobs:
            self._check_blob(draft, shard)
        return shard

    def _check_blob(self, draft: DatasetDraft, shard: ShardDraft) -> None:
        if self.hash_local:
            self.faults += unknown_blob(draft, shard)
        if shard.bytes is not None and not 0 < shard.bytes <= MAX_BLOB:
            name = shown(shard.url if shard.local is None else str(shard.local), 200)
            message = f"{name!r} has {shard.bytes:,} bytes; a blob has 1 to {MAX_BLOB:,}"
            hint = "make smaller shards, or put them at https addresses"
            self.faults.append(Fault(where=place(draft.file, shard.line), message=message, hint=hint))

    def _label(self, draft: DatasetDraft | LabelDraft, dataset: str | AtUri) -> None:
        uri = dataset if isinstance(dataset, AtUri) else self.datasets.get(dataset)
        if uri is None:  # its faults are reported already
            return
        key = (records.LABEL, draft.name, draft.version or "")
        description = draft.description if isinstance(draft, LabelDraft) else None
        record = Label(
            name=draft.name,
            dataset=uri,
            created_at=self._time(key),
            version=draft.version,
            description=description,
        )
        self._add(draft, key, record, version=draft.version)

    def _lens(self, draft: LensDraft) -> None:
        key = (records.LENS, draft.name, "")
        record = Lens(
            name=draft.name,
            source=self._schema_uri(draft.source),
            target=self._schema_uri(draft.target),
            getter=draft.getter,
            putter=draft.putter,
            created_at=self._time(key),
            description=draft.description,
            source_version=None if isinstance(draft.source, AtUri) else draft.source.version,
            target_version=None if isinstance(draft.target, AtUri) else draft.target.version,
        )
        added = self._add(draft, key, record)
        if added is not None:
            self.lenses[draft.name] = added

    def _verification(self, draft: VerificationDraft) -> None:
        key = (records.VERIFICATION, str(draft.lens), draft.method)
        if isinstance(draft.lens, AtUri):
            uri, commit = draft.lens, draft.lens_commit
        else:
            lens = self.lenses.get(draft.lens)
            if lens is None:  # its faults are reported already
                return
            uri, commit = lens.uri, draft.lens_commit if draft.lens_commit is not None else lens.cid
        record = LensVerification(
            lens=uri,
            lens_commit=str(commit),
            method=draft.method,
            created_at=self._time(key),
            description=draft.description,
        )
        self._add(draft, key, record)

    def _time(self, key: DraftKey) -> Datetime:
        return self.created.get(key, self.created_at)

    def _schema_uri(self, ref: SchemaRef) -> AtUri:
        if isinstance(ref, AtUri):
            return ref
        rkey = self.rkeys.get((records.SCHEMA, ref.name, ref.version))
        return AtUri.of(self.did, records.SCHEMA, records.schema_rkey(ref.name, ref.version) if rkey is None else rkey)

    def _add(
        self,
        draft: Draft,
        key: DraftKey,
        record: Record,
        *,
        version: str | None = None,
        local: tuple[Path, ...] = (),
        blobs: tuple[LocalBlob, ...] = (),
    ) -> DraftRecord | None:
        collection, name, _ = key
        try:
            value = records.write_record(record)
            mark = self.marks.get(key, self.mark)
            if mark is not None:
                value[MARK] = mark
            cid = record_cid(value)
        except InvalidRecord as error:
            self.faults += [
                Fault(where=place(draft.file, line_of(draft, fault.where)), message=_message(fault), hint=fault.hint)
                for fault in error.faults
            ]
            return None
        except CatalogError as error:  # from the data model, not the lexicon
            self.faults.append(Fault(where=place(draft.file, draft.line), message=error.what, hint=error.hint))
            return None
        rkey = self.rkeys.get(key)
        if rkey is None:
            is_schema = collection == records.SCHEMA
            rkey = records.schema_rkey(name, key[2]) if is_schema else RecordKey.parse(self.new_tid())
        added = DraftRecord(
            uri=AtUri.of(self.did, collection, rkey),
            cid=cid,
            collection=collection,
            name=name,
            version=version,
            key=key,
            record=record,
            value=value,
            file=draft.file,
            line=draft.line,
            draft=draft,
            local=local,
            blobs=blobs,
        )
        self.done.append(added)
        return added


def _manifests(draft: DatasetDraft) -> tuple[tuple[ManifestRef, ...], tuple[LocalBlob, ...]]:
    """Return the shard manifests of a dataset, and the files of those that aren't published yet."""
    if draft.published_manifests or not draft.manifests:
        return draft.published_manifests, ()
    refs, files = [], []
    for shard in draft.shards:
        if shard.manifest is None:
            return (), ()
        header, table = shard.manifest
        blobs = [LocalBlob.of_file(header, JSON)]
        blobs += [] if table is None else [LocalBlob.of_file(table, BINARY)]
        made = [Blob(cid=blob.cid, size=blob.size) for blob in blobs]
        refs.append(ManifestRef(header=made[0], samples=made[1] if table is not None else None))
        files += blobs
    return tuple(refs), tuple(files)


def _storage(bucket: BucketDraft | None, shards: list[ShardDraft], blobs: tuple[LocalBlob, ...]) -> Storage:
    if blobs:
        kept = (
            BlobShard(cid=blob.cid, mime_type=blob.mime_type, size=blob.size, checksum=_checksum(shard))
            for blob, shard in zip(blobs, shards, strict=True)
        )
        return BlobStorage(blobs=tuple(kept))
    if bucket is None:
        return HttpStorage(shards=tuple(HttpShard(url=shard.url, checksum=_checksum(shard)) for shard in shards))
    keys = tuple(S3Shard(key=shard.url, checksum=_checksum(shard)) for shard in shards)
    return S3Storage(bucket=bucket.name, region=bucket.region, endpoint=bucket.endpoint, shards=keys)


def _checksum(shard: ShardDraft) -> Checksum | None:
    return None if shard.sha256 is None else Checksum(algorithm="sha256", digest=shard.sha256)


def _message(fault: Fault) -> str:
    return f"{shown(fault.where, 100)}: {shown(fault.message, 300)}" if fault.where else shown(fault.message, 300)
