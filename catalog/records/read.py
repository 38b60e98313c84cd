"""Read records from the network as typed values, tolerating the known deviations of existing clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import msgpack

from catalog.atproto import datamodel
from catalog.errors import Fault, InvalidData, InvalidRecord, InvalidSchema, InvalidSyntax
from catalog.records import kinds
from catalog.schema import Field, ForeignSchema, SampleType, read_body
from catalog.syntax import AtUri, Cid, Datetime
from catalog.syntax.cid import SHA_256

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.lexicon import Lexicons
    from catalog.records.kinds import Record

_JSON_SCHEMA = "jsonSchema"
_METADATA_NESTING = 16
"""Maximum nesting of metadata, so that no record overflows the stack of its readers."""


def read_record(collection: str, value: Json, *, checked: bool = False) -> Record:
    """Return a record from the network as a typed value.

    ``checked`` skips the validation against the lexicon, half of the time, for a value that was read before (from the
    store). Raises :class:`InvalidRecord` with every fault: violations of the lexicon, and an invalid schema body or
    metadata.
    """
    if collection not in kinds.COLLECTIONS:
        raise InvalidRecord((Fault(where="$type", message=f"{collection!r} is not a dataset collection"),))
    forgiven = _forgive(value)
    faults = () if checked else _lexicons().validate(collection, forgiven)
    if faults:
        raise InvalidRecord(faults)
    read = _Reader(forgiven)
    match collection:
        case kinds.SCHEMA:
            return _read_schema(read, value)
        case kinds.DATASET:
            return _read_dataset(read)
        case kinds.LENS:
            return _read_lens(read)
        case kinds.LABEL:
            return kinds.Label(
                name=read.text("name"),
                dataset=read.uri("datasetUri"),
                created_at=read.moment(),
                version=read.maybe("version"),
                description=read.maybe("description"),
            )
        case _:
            return kinds.LensVerification(
                lens=read.uri("lens"),
                lens_commit=read.text("lensCommit"),
                method=read.text("verificationMethod"),
                created_at=read.moment(),
                description=read.maybe("description"),
            )


def _forgive(value: Json) -> Json:
    """Return the record without the known deviations of existing clients from the lexicon.

    A flattened or nested schema body gets the envelope's keys; metadata as an object becomes msgpack bytes; a blob
    of any MIME type becomes a tar; a shard without a checksum gets the checksum "none"; ``splits`` and ``manifests`` of
    another form are left out, as other clients may use the names. Anything else is left for the validator to report.
    """
    if not isinstance(value, dict):
        return value
    fixed = dict(value)
    metadata = fixed.get("metadata")
    if fixed.get("$type") == kinds.DATASET and isinstance(metadata, dict) and "$bytes" not in metadata:
        try:
            packed = msgpack.packb(metadata)
        except (ValueError, TypeError, RecursionError, OverflowError):
            return fixed
        fixed["metadata"] = datamodel.bytes_json(packed)
    body = fixed.get("schema")
    if isinstance(body, dict) and not isinstance(body.get("content"), dict) and any(_says_json_schema(value)):
        nested = body.get("schemaBody")
        content = nested if isinstance(nested, dict) else {key: part for key, part in body.items() if key != "$type"}
        fixed["schema"] = {"draft": "draft-07", **body, "content": content}
    if not _are_splits(fixed.get("splits")):
        fixed.pop("splits", None)
    if not _are_manifests(fixed.get("manifests")):
        fixed.pop("manifests", None)
    storage = fixed.get("storage")
    if isinstance(storage, dict):
        fixed["storage"] = {
            key: [_forgive_shard(item) for item in part]
            if key in ("shards", "blobs") and isinstance(part, list)
            else part
            for key, part in storage.items()
        }
    return fixed


def _says_json_schema(schema: Mapping[str, Json]) -> tuple[bool, bool]:
    """Return whether ``schemaType`` and the ``$type`` of the body are those of JSON Schema, of any namespace."""
    body = schema.get("schema")
    kind = body.get("$type", _JSON_SCHEMA) if isinstance(body, dict) else _JSON_SCHEMA
    return str(schema.get("schemaType")).endswith(_JSON_SCHEMA), _JSON_SCHEMA in str(kind)


def _are_splits(value: Json) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("shards"), list)
        for item in value
    )


def _are_manifests(value: Json) -> bool:
    """Return whether a value is a list of shard manifests, whatever the media types of their blobs."""
    return isinstance(value, list) and all(isinstance(item, dict) and _is_manifest(item) for item in value)


def _is_manifest(item: Mapping[str, Json]) -> bool:
    return _is_blob(item.get("header")) and (item.get("samples") is None or _is_blob(item["samples"]))


def _is_blob(value: Json) -> bool:
    ref = value.get("ref") if isinstance(value, dict) else None
    try:
        return isinstance(ref, dict) and Cid.parse(str(ref.get("$link"))).hash_function == SHA_256
    except InvalidSyntax:
        return False


def _forgive_shard(shard: Json) -> Json:
    if not isinstance(shard, dict):
        return shard
    fixed = dict(shard)
    blob = fixed.get("blob")
    if isinstance(blob, dict) and isinstance(blob.get("mimeType"), str):
        fixed["blob"] = {**blob, "mimeType": "application/x-tar"}
    elif "checksum" not in fixed:
        fixed["checksum"] = {"algorithm": "none", "digest": ""}
    return fixed


class _Reader:
    """Typed access to a record that is valid by its lexicon."""

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

    def numbers(self, key: str) -> tuple[int, ...]:
        found = self.value.get(key)
        items = found if isinstance(found, list) else []
        return tuple(dict.fromkeys(item for item in items if isinstance(item, int) and not isinstance(item, bool)))

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.value.get(key)
        items = found if isinstance(found, list) else []
        return tuple(dict.fromkeys(item for item in items if isinstance(item, str)))


def _read_schema(read: _Reader, value: Json) -> kinds.Schema:
    fields, foreign = _read_fields(read, value if isinstance(value, dict) else {})
    metadata = read.part("metadata")
    return kinds.Schema(
        sample_type=SampleType(
            name=read.text("name"),
            version=read.text("version"),
            fields=fields,
            description=read.maybe("description"),
            foreign=foreign,
        ),
        created_at=read.moment(),
        license=metadata.maybe("license"),
        tags=metadata.texts("tags"),
    )


def _read_fields(read: _Reader, value: Mapping[str, Json]) -> tuple[tuple[Field, ...], ForeignSchema | None]:
    """Return the fields, or the schema itself if it is in another language, by both or one of the names of that."""
    named = _says_json_schema(value)
    if any(named):
        try:
            return read_body(read.value.get("schema")), None
        except InvalidSchema as error:
            if all(named):
                raise InvalidRecord((Fault(where="schema", message=error.what, hint=error.hint),)) from None
    body = value.get("schema")
    language = read.text("schemaType")
    if named[0] and isinstance(body, dict):
        language = str(body.get("$type")).rpartition("#")[2]
    return (), ForeignSchema(language=language, text=json.dumps(body, ensure_ascii=False))


def _read_dataset(read: _Reader) -> kinds.Dataset:
    size = read.part("size")
    return kinds.Dataset(
        name=read.text("name"),
        schema_ref=read.uri("schemaRef"),
        storage=_read_storage(read.part("storage")),
        created_at=read.moment(),
        description=read.maybe("description"),
        license=read.maybe("license"),
        tags=read.texts("tags"),
        size=kinds.Size(samples=size.number("samples"), bytes=size.number("bytes"), shards=size.number("shards"))
        if read.has("size")
        else None,
        metadata=_read_metadata(read.value.get("metadata")),
        metadata_schema_ref=read.uri("metadataSchemaRef") if read.has("metadataSchemaRef") else None,
        content_metadata=read.value.get("contentMetadata"),
        sample_format=read.maybe("sampleFormat") or "msgpack",
        splits=tuple(
            kinds.Split(name=split.text("name"), shards=split.numbers("shards"), samples=split.number("samples"))
            for split in read.parts("splits")
        ),
        manifests=tuple(
            kinds.ManifestRef(
                header=_read_file(one.part("header")),
                samples=_read_file(one.part("samples")) if one.has("samples") else None,
            )
            for one in read.parts("manifests")
        ),
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
        raise InvalidRecord((Fault(where="metadata", message=f"expected a msgpack map, not {type(found).__name__}"),))
    return {str(key): _plain(item, depth=0) for key, item in found.items()}


def _plain(value: object, *, depth: int) -> object:
    """A msgpack value as JSON: bytes as ``$bytes``, keys and timestamps as text, with limited nesting."""
    if depth > _METADATA_NESTING:
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


def _read_storage(read: _Reader) -> kinds.Storage:
    kind = read.text("$type")
    if kind == kinds.STORAGE_HTTP:
        return kinds.HttpStorage(
            shards=tuple(
                kinds.HttpShard(url=shard.text("url"), checksum=_checksum(shard)) for shard in read.parts("shards")
            )
        )
    if kind == kinds.STORAGE_S3:
        return kinds.S3Storage(
            bucket=read.text("bucket"),
            region=read.maybe("region"),
            endpoint=read.maybe("endpoint"),
            shards=tuple(
                kinds.S3Shard(key=shard.text("key"), checksum=_checksum(shard)) for shard in read.parts("shards")
            ),
        )
    if kind == kinds.STORAGE_BLOBS:
        return kinds.BlobStorage(blobs=tuple(_read_blob(entry) for entry in read.parts("blobs")))
    if kind == kinds.STORAGE_EXTERNAL:
        return kinds.ExternalStorage(urls=read.texts("urls"))
    return kinds.UnknownStorage(type=kind)


def _read_blob(entry: _Reader) -> kinds.BlobShard:
    blob = entry.part("blob")
    return kinds.BlobShard(
        cid=Cid.parse(blob.part("ref").text("$link")),
        mime_type=blob.text("mimeType"),
        size=blob.number("size"),
        checksum=_checksum(entry),
    )


def _read_file(blob: _Reader) -> kinds.Blob:
    return kinds.Blob(cid=Cid.parse(blob.part("ref").text("$link")), size=blob.number("size"))


def _checksum(shard: _Reader) -> kinds.Checksum | None:
    found = shard.part("checksum")
    algorithm, digest = found.text("algorithm").lower(), found.text("digest").lower()
    return None if algorithm in ("", "none") or not digest else kinds.Checksum(algorithm=algorithm, digest=digest)


def _read_lens(read: _Reader) -> kinds.Lens:
    return kinds.Lens(
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


def _read_code(read: _Reader, language: str | None) -> kinds.CodeReference:
    return kinds.CodeReference(
        repository=read.text("repository"),
        commit=read.text("commit"),
        path=read.text("path"),
        branch=read.maybe("branch"),
        language=read.maybe("language") or language,
    )


@cache
def _lexicons() -> Lexicons:
    from catalog.atproto.lexicon import Lexicons  # half of the time that importing this package takes

    return Lexicons.load()
