"""The five record kinds of ``science.alt.dataset.*`` as typed values: read tolerantly, written strictly.

::

    Schema ◀── Dataset ◀── Label            Dataset.schema_ref, Label.dataset
      ▲▲
      └┴──── Lens ◀── LensVerification      Lens.source, Lens.target, LensVerification.lens

Reading forgives what existing clients are known to write against their own lexicon (the list is
:func:`_forgive`); everything else that breaks the lexicon is refused with all its faults. Writing forgives nothing.

Tricky bits
-----------
- ``entry.metadata`` is msgpack inside bytes, because the data model has no floats.
- A checksum ``{"algorithm": "none", "digest": ""}`` means there is none.
- ``language`` stands on the code reference, or (deprecated) on the lens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeAlias

import msgpack

from catalog import datamodel
from catalog.datamodel import Json
from catalog.errors import Fault, InvalidData, InvalidRecord, InvalidSchema
from catalog.lexicon import Lexicons
from catalog.sampletype import SampleType, read_body, write_body
from catalog.syntax import AtUri, Cid, Datetime, RecordKey

__all__ = [
    "COLLECTIONS",
    "DATASET",
    "LABEL",
    "LENS",
    "SCHEMA",
    "VERIFICATION",
    "BlobShard",
    "BlobStorage",
    "Checksum",
    "CodeReference",
    "Dataset",
    "ExternalStorage",
    "HttpShard",
    "HttpStorage",
    "Label",
    "Lens",
    "LensVerification",
    "Record",
    "S3Shard",
    "S3Storage",
    "Schema",
    "Size",
    "Storage",
    "UnknownStorage",
    "read_record",
    "schema_rkey",
    "write_record",
]

_NS: Final = "science.alt.dataset."
SCHEMA: Final = _NS + "schema"
DATASET: Final = _NS + "entry"
LENS: Final = _NS + "lens"
LABEL: Final = _NS + "label"
VERIFICATION: Final = _NS + "lensVerification"
COLLECTIONS: Final = (SCHEMA, DATASET, LENS, LABEL, VERIFICATION)

_JSON_SCHEMA_FORMAT: Final = SCHEMA + "#jsonSchemaFormat"
_HTTP: Final = _NS + "storageHttp"
_S3: Final = _NS + "storageS3"
_BLOBS: Final = _NS + "storageBlobs"
_EXTERNAL: Final = _NS + "storageExternal"

MAX_METADATA: Final = 100_000
"""Bytes of msgpack in ``entry.metadata``, by the lexicon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """A digest of a shard's bytes, as lower-case hex."""

    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpShard:
    """A shard at a URL. Braces in it are just characters."""

    url: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStorage:
    """Shards at https addresses."""

    shards: tuple[HttpShard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Shard:
    """A shard under a key of a bucket."""

    key: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Storage:
    """Shards in a bucket of S3 or a compatible store (then with its ``endpoint``)."""

    bucket: str
    shards: tuple[S3Shard, ...]
    region: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobShard:
    """A shard kept as a blob on the publisher's PDS. ``size`` in bytes."""

    cid: Cid
    mime_type: str
    size: int | None = None
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStorage:
    """Shards kept as blobs."""

    blobs: tuple[BlobShard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalStorage:
    """Deprecated, still met: URLs in which braces *are* a pattern."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownStorage:
    """A storage of a type we don't know; its ``$type`` is all we say."""

    type: str


Storage: TypeAlias = HttpStorage | S3Storage | BlobStorage | ExternalStorage | UnknownStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is; ``None`` where the record doesn't say."""

    samples: int | None = None
    bytes: int | None = None
    shards: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReference:
    """Code in a git repository, pinned to a commit. ``path`` is ``file.py:function`` or ``module:function``."""

    repository: str
    commit: str
    path: str
    branch: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A published sample type."""

    sample_type: SampleType
    created_at: Datetime
    license: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A published dataset (lexicon ``entry``). ``metadata`` is the decoded msgpack map, empty when absent."""

    name: str
    schema_ref: AtUri
    storage: Storage
    created_at: Datetime
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    size: Size | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    metadata_schema_ref: AtUri | None = None
    content_metadata: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A two-way transformation between two schemas; its code is a pinned reference."""

    name: str
    source: AtUri
    target: AtUri
    getter: CodeReference
    putter: CodeReference
    created_at: Datetime
    description: str | None = None
    source_version: str | None = None
    target_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name, perhaps with a version, for a dataset record."""

    name: str
    dataset: AtUri
    created_at: Datetime
    version: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LensVerification:
    """Somebody's word that a lens is right, for one version (``lens_commit``, a CID) of its record."""

    lens: AtUri
    lens_commit: str
    method: str
    created_at: Datetime
    description: str | None = None


Record: TypeAlias = Schema | Dataset | Lens | Label | LensVerification


def schema_rkey(name: str, version: str) -> RecordKey:
    """The record key of a schema version: ``Name:1.0.0``.

    A second create of the same version then fails on the server, which is what an immutable version means. What
    a record key may not hold (also semver's ``+``) becomes ``_``. Raises :class:`InvalidSyntax` when too long.
    """
    return RecordKey.parse(re.sub(r"[^A-Za-z0-9._~-]", "_", name) + ":" + re.sub(r"[^A-Za-z0-9._~-]", "_", version))


# --- reading -------------------------------------------------------------------------------------------------


@cache
def _lexicons() -> Lexicons:
    return Lexicons.load()


def read_record(collection: str, value: Json) -> Record:
    """A typed view of a record as the network has it.

    Raises :class:`InvalidRecord` with every fault: the lexicon's, and a schema body or metadata that can't be read.
    """
    if collection not in COLLECTIONS:
        raise InvalidRecord((Fault(where="$type", message=f"{collection!r} is not a dataset collection"),))
    forgiven = _forgive(value)
    faults = _lexicons().validate(collection, forgiven)
    if faults:
        raise InvalidRecord(faults)
    read = _Reader(forgiven)
    match collection:
        case "science.alt.dataset.schema":
            return _read_schema(read)
        case "science.alt.dataset.entry":
            return _read_dataset(read)
        case "science.alt.dataset.lens":
            return _read_lens(read)
        case "science.alt.dataset.label":
            return Label(
                name=read.text("name"),
                dataset=read.uri("datasetUri"),
                created_at=read.moment(),
                version=read.maybe("version"),
                description=read.maybe("description"),
            )
        case _:
            return LensVerification(
                lens=read.uri("lens"),
                lens_commit=read.text("lensCommit"),
                method=read.text("verificationMethod"),
                created_at=read.moment(),
                description=read.maybe("description"),
            )


def _forgive(value: Json) -> Json:
    """The record without the deviations that existing clients are known for (``wire-format``: read without complaint).

    A flattened or nested schema body gets the envelope's keys; metadata as an object becomes msgpack bytes; a blob
    of any MIME type becomes a tar. Whatever isn't of the expected shape is left for the validator to name.
    """
    if not isinstance(value, dict):
        return value
    fixed = dict(value)
    metadata = fixed.get("metadata")
    if fixed.get("$type") == DATASET and isinstance(metadata, dict) and "$bytes" not in metadata:
        try:
            packed = msgpack.packb(metadata)
        except (ValueError, TypeError, RecursionError, OverflowError):
            return fixed
        fixed["metadata"] = datamodel.bytes_json(packed)
    body = fixed.get("schema")
    if isinstance(body, dict) and not isinstance(body.get("content"), dict):
        nested = body.get("schemaBody")
        content = nested if isinstance(nested, dict) else {key: part for key, part in body.items() if key != "$type"}
        fixed["schema"] = {"draft": "draft-07", **body, "content": content}
    storage = fixed.get("storage")
    if isinstance(storage, dict):
        fixed["storage"] = {
            key: [_forgive_shard(item) for item in part] if key in ("shards", "blobs") and isinstance(part, list) else part
            for key, part in storage.items()
        }
    return fixed


def _forgive_shard(shard: Json) -> Json:
    if not isinstance(shard, dict):
        return shard
    fixed = dict(shard)
    blob = fixed.get("blob")
    if isinstance(blob, dict) and isinstance(blob.get("mimeType"), str):
        fixed["blob"] = {**blob, "mimeType": "application/x-tar"}
    return fixed


class _Reader:
    """Typed access to a record that has passed its lexicon."""

    def __init__(self, value: Json) -> None:
        self.value: dict[str, Json] = value if isinstance(value, dict) else {}

    def text(self, key: str) -> str:
        found = self.value.get(key)
        return found if isinstance(found, str) else ""

    def maybe(self, key: str) -> str | None:
        found = self.value.get(key)
        return found if isinstance(found, str) else None

    def number(self, key: str) -> int | None:
        found = self.value.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def uri(self, key: str) -> AtUri:
        return AtUri.parse(self.text(key))

    def moment(self) -> Datetime:
        return Datetime.parse(self.text("createdAt"))

    def part(self, key: str) -> _Reader:
        return _Reader(self.value.get(key))

    def has(self, key: str) -> bool:
        return self.value.get(key) is not None

    def parts(self, key: str) -> tuple[_Reader, ...]:
        found = self.value.get(key)
        return tuple(_Reader(item) for item in found) if isinstance(found, list) else ()

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.value.get(key)
        items = found if isinstance(found, list) else []
        return tuple(dict.fromkeys(item for item in items if isinstance(item, str)))


def _read_schema(read: _Reader) -> Schema:
    try:
        fields = read_body(read.value.get("schema"))
    except InvalidSchema as error:
        raise InvalidRecord((Fault(where="schema", message=error.what, hint=error.hint),)) from None
    metadata = read.part("metadata")
    return Schema(
        sample_type=SampleType(
            name=read.text("name"),
            version=read.text("version"),
            fields=fields,
            description=read.maybe("description"),
        ),
        created_at=read.moment(),
        license=metadata.maybe("license"),
        tags=metadata.texts("tags"),
    )


def _read_dataset(read: _Reader) -> Dataset:
    size = read.part("size")
    return Dataset(
        name=read.text("name"),
        schema_ref=read.uri("schemaRef"),
        storage=_read_storage(read.part("storage")),
        created_at=read.moment(),
        description=read.maybe("description"),
        license=read.maybe("license"),
        tags=read.texts("tags"),
        size=Size(samples=size.number("samples"), bytes=size.number("bytes"), shards=size.number("shards"))
        if read.has("size")
        else None,
        metadata=_read_metadata(read.value.get("metadata")),
        metadata_schema_ref=read.uri("metadataSchemaRef") if read.has("metadataSchemaRef") else None,
        content_metadata=read.value.get("contentMetadata"),
    )


def _read_metadata(value: Json) -> Mapping[str, object]:
    if value is None:
        return {}
    try:
        found = msgpack.unpackb(
            datamodel.bytes_of(value), strict_map_key=False, timestamp=0, ext_hook=lambda code, _: f"<extension {code}>"
        )
    except (ValueError, TypeError, RecursionError, OverflowError, InvalidData, msgpack.UnpackException) as error:
        fault = Fault(where="metadata", message=f"not a msgpack map: {error}", hint="pack a flat map with msgpack")
        raise InvalidRecord((fault,)) from None
    if not isinstance(found, dict):
        raise InvalidRecord((Fault(where="metadata", message=f"a msgpack {type(found).__name__}, expected a map"),))
    return {str(key): _plain(item, depth=0) for key, item in found.items()}


def _plain(value: object, *, depth: int) -> object:
    """Msgpack's values as JSON has them: bytes as ``$bytes``, keys as text, timestamps as text, no bottomless nesting."""
    if depth > 16:  # deeper is nobody's metadata, and would let a record overflow the stack of whoever prints it
        return "…"
    if isinstance(value, dict):
        return {str(key): _plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth=depth + 1) for item in value]
    if isinstance(value, bytes):
        return datamodel.bytes_json(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _read_storage(read: _Reader) -> Storage:
    kind = read.text("$type")
    if kind == _HTTP:
        return HttpStorage(
            shards=tuple(HttpShard(url=shard.text("url"), checksum=_checksum(shard)) for shard in read.parts("shards"))
        )
    if kind == _S3:
        return S3Storage(
            bucket=read.text("bucket"),
            region=read.maybe("region"),
            endpoint=read.maybe("endpoint"),
            shards=tuple(S3Shard(key=shard.text("key"), checksum=_checksum(shard)) for shard in read.parts("shards")),
        )
    if kind == _BLOBS:
        return BlobStorage(blobs=tuple(_read_blob(entry) for entry in read.parts("blobs")))
    if kind == _EXTERNAL:
        return ExternalStorage(urls=read.texts("urls"))
    return UnknownStorage(type=kind)


def _read_blob(entry: _Reader) -> BlobShard:
    blob = entry.part("blob")
    return BlobShard(
        cid=Cid.parse(blob.part("ref").text("$link")),
        mime_type=blob.text("mimeType"),
        size=blob.number("size"),
        checksum=_checksum(entry),
    )


def _checksum(shard: _Reader) -> Checksum | None:
    found = shard.part("checksum")
    algorithm, digest = found.text("algorithm").lower(), found.text("digest").lower()
    return None if algorithm in ("", "none") or not digest else Checksum(algorithm=algorithm, digest=digest)


def _read_lens(read: _Reader) -> Lens:
    return Lens(
        name=read.text("name"),
        source=read.uri("sourceSchema"),
        target=read.uri("targetSchema"),
        getter=_read_code(read.part("getterCode"), read.maybe("language")),
        putter=_read_code(read.part("putterCode"), read.maybe("language")),
        created_at=read.moment(),
        description=read.maybe("description"),
        source_version=read.maybe("sourceSchemaVersion"),
        target_version=read.maybe("targetSchemaVersion"),
    )


def _read_code(read: _Reader, language: str | None) -> CodeReference:
    return CodeReference(
        repository=read.text("repository"),
        commit=read.text("commit"),
        path=read.text("path"),
        branch=read.maybe("branch"),
        language=read.maybe("language") or language,
    )


# --- writing -------------------------------------------------------------------------------------------------


def write_record(record: Record) -> dict[str, Json]:
    """The record in atproto's JSON form, checked against its lexicon. Raises :class:`InvalidRecord`."""
    match record:
        case Schema():
            collection, value = SCHEMA, _write_schema(record)
        case Dataset():
            collection, value = DATASET, _write_dataset(record)
        case Lens():
            collection, value = LENS, _write_lens(record)
        case Label():
            collection = LABEL
            value = {
                "name": record.name,
                "datasetUri": record.dataset,
                "version": record.version,
                "description": record.description,
            }
        case LensVerification():
            collection = VERIFICATION
            value = {
                "lens": record.lens,
                "lensCommit": record.lens_commit,
                "verificationMethod": record.method,
                "description": record.description,
            }
    written = _present({"$type": collection, **value, "createdAt": str(record.created_at)})
    faults = _lexicons().validate(collection, written)
    if faults:
        raise InvalidRecord(faults)
    return written


def _present(value: Mapping[str, Json]) -> dict[str, Json]:
    """Without the keys that have no value: absent and null differ on the wire. Strings lose their subclass."""
    return {
        key: str(item) if isinstance(item, str) else item for key, item in value.items() if item is not None
    }


def _write_schema(record: Schema) -> dict[str, Json]:
    metadata = _present({"license": record.license, "tags": list(record.tags) or None})
    return {
        "name": record.sample_type.name,
        "version": record.sample_type.version,
        "schemaType": "jsonSchema",
        "schema": {"$type": _JSON_SCHEMA_FORMAT, **write_body(record.sample_type)},
        "description": record.sample_type.description,
        "metadata": metadata or None,
        "atdataSchemaVersion": 1,
    }


def _write_dataset(record: Dataset) -> dict[str, Json]:
    size = record.size
    return {
        "name": record.name,
        "schemaRef": record.schema_ref,
        "storage": _write_storage(record.storage),
        "description": record.description,
        "license": record.license,
        "tags": list(record.tags) or None,
        "size": None
        if size is None
        else _present({"samples": size.samples, "bytes": size.bytes, "shards": size.shards}),
        "metadata": _write_metadata(record.metadata) if record.metadata else None,
        "metadataSchemaRef": record.metadata_schema_ref,
        "contentMetadata": record.content_metadata,
    }


def _write_metadata(metadata: Mapping[str, object]) -> dict[str, Json]:
    try:
        return datamodel.bytes_json(msgpack.packb(dict(metadata)))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        hint = "use text, numbers, lists and maps"
        raise InvalidRecord((Fault(where="metadata", message=f"can't be packed: {error}", hint=hint),)) from None


def _write_storage(storage: Storage) -> dict[str, Json]:
    match storage:
        case HttpStorage():
            shards: list[Json] = [{"url": s.url, "checksum": _write_checksum(s.checksum)} for s in storage.shards]
            return {"$type": _HTTP, "shards": shards}
        case S3Storage():
            keys: list[Json] = [{"key": s.key, "checksum": _write_checksum(s.checksum)} for s in storage.shards]
            place = _present({"bucket": storage.bucket, "region": storage.region, "endpoint": storage.endpoint})
            return {"$type": _S3, **place, "shards": keys}
        case BlobStorage():
            return {"$type": _BLOBS, "blobs": [_write_blob(blob) for blob in storage.blobs]}
        case ExternalStorage() | UnknownStorage():
            message = "this storage can be read, not written"
            raise InvalidRecord((Fault(where="storage", message=message, hint="use https shards, S3 or blobs"),))


def _write_blob(shard: BlobShard) -> Json:
    blob: dict[str, Json] = {
        "$type": "blob",
        "ref": {"$link": str(shard.cid)},
        "mimeType": shard.mime_type,
        "size": shard.size if shard.size is not None else 0,
    }
    checksum = {} if shard.checksum is None else {"checksum": _write_checksum(shard.checksum)}
    return {"blob": blob, **checksum}


def _write_checksum(checksum: Checksum | None) -> dict[str, Json]:
    if checksum is None:
        return {"algorithm": "none", "digest": ""}
    return {"algorithm": checksum.algorithm, "digest": checksum.digest}


def _write_lens(record: Lens) -> dict[str, Json]:
    return {
        "name": record.name,
        "sourceSchema": record.source,
        "targetSchema": record.target,
        "getterCode": _write_code(record.getter),
        "putterCode": _write_code(record.putter),
        "description": record.description,
        "sourceSchemaVersion": record.source_version,
        "targetSchemaVersion": record.target_version,
    }


def _write_code(code: CodeReference) -> dict[str, Json]:
    return _present(
        {
            "repository": code.repository,
            "commit": code.commit,
            "path": code.path,
            "branch": code.branch,
            "language": code.language,
        }
    )
