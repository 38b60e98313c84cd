"""Write typed values as records, validated against their lexicon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import msgpack

from catalog.atproto import datamodel
from catalog.errors import Fault, InvalidRecord
from catalog.records import kinds
from catalog.schema import write_body

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.records.kinds import Record


def write_record(record: Record) -> dict[str, Json]:
    """Return the record as atproto JSON, validated against its lexicon. Raises :class:`InvalidRecord`."""
    match record:
        case kinds.Schema():
            collection, value = kinds.SCHEMA, _write_schema(record)
        case kinds.Dataset():
            collection, value = kinds.DATASET, _write_dataset(record)
        case kinds.Lens():
            collection, value = kinds.LENS, _write_lens(record)
        case kinds.Label():
            collection = kinds.LABEL
            value = {
                "name": record.name,
                "datasetUri": record.dataset,
                "version": record.version,
                "description": record.description,
            }
        case kinds.LensVerification():
            collection = kinds.VERIFICATION
            value = {
                "lens": record.lens,
                "lensCommit": record.lens_commit,
                "verificationMethod": record.method,
                "description": record.description,
            }
    written = _present({"$type": collection, **value, "createdAt": str(record.created_at)})
    from catalog.atproto.lexicon import Lexicons

    faults = (*Lexicons.load().validate(collection, written), *islice(_refused_keys(written, ""), 1))
    if faults:
        raise InvalidRecord(faults)
    return written


def _refused_keys(value: Json, path: str) -> Iterator[Fault]:
    """Keys that the lexicons allow but the reference PDS rejects (``Invalid key``)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        place = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
        if key == "__proto__":
            yield Fault(where=place, message="a PDS rejects the name '__proto__'", hint="use a different name")
        elif isinstance(item, dict | list):
            yield from _refused_keys(item, place)


def _present(value: Mapping[str, Json]) -> dict[str, Json]:
    """Drop the keys without a value: absent and null differ on the wire. Strings lose their subclass."""
    return {key: str(item) if isinstance(item, str) else item for key, item in value.items() if item is not None}


def _write_schema(record: kinds.Schema) -> dict[str, Json]:
    metadata = _present({"license": record.license, "tags": list(record.tags) or None})
    return {
        "name": record.sample_type.name,
        "version": record.sample_type.version,
        "schemaType": "jsonSchema",
        "schema": {"$type": kinds.JSON_SCHEMA_FORMAT, **write_body(record.sample_type)},
        "description": record.sample_type.description,
        "metadata": metadata or None,
        "atdataSchemaVersion": 1,
    }


def _write_dataset(record: kinds.Dataset) -> dict[str, Json]:
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
        "splits": [
            _present({"name": split.name, "shards": list(split.shards), "samples": split.samples})
            for split in record.splits
        ]
        or None,
        "manifests": [_write_manifest(one) for one in record.manifests] or None,
        "sampleFormat": None if record.sample_format == "msgpack" else record.sample_format,
    }


def _write_metadata(metadata: Mapping[str, object]) -> dict[str, Json]:
    try:
        return datamodel.bytes_json(msgpack.packb(dict(metadata)))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        hint = "use text, numbers, lists and maps"
        raise InvalidRecord((Fault(where="metadata", message=f"can't be packed: {error}", hint=hint),)) from None


def _write_storage(storage: kinds.Storage) -> dict[str, Json]:
    match storage:
        case kinds.HttpStorage():
            shards: list[Json] = [{"url": s.url, "checksum": _write_checksum(s.checksum)} for s in storage.shards]
            return {"$type": kinds.STORAGE_HTTP, "shards": shards}
        case kinds.S3Storage():
            keys: list[Json] = [{"key": s.key, "checksum": _write_checksum(s.checksum)} for s in storage.shards]
            place = _present({"bucket": storage.bucket, "region": storage.region, "endpoint": storage.endpoint})
            return {"$type": kinds.STORAGE_S3, **place, "shards": keys}
        case kinds.BlobStorage():
            return {"$type": kinds.STORAGE_BLOBS, "blobs": [_write_blob(blob) for blob in storage.blobs]}
        case kinds.ExternalStorage() | kinds.UnknownStorage():
            message = "this storage is read-only"
            raise InvalidRecord((Fault(where="storage", message=message, hint="use https shards, S3 or blobs"),))


def _write_blob(shard: kinds.BlobShard) -> Json:
    blob: dict[str, Json] = {
        "$type": "blob",
        "ref": {"$link": str(shard.cid)},
        "mimeType": shard.mime_type,
        "size": shard.size if shard.size is not None else 0,
    }
    checksum = {} if shard.checksum is None else {"checksum": _write_checksum(shard.checksum)}
    return {"blob": blob, **checksum}


def _write_manifest(one: kinds.ManifestRef) -> Json:
    value: dict[str, Json] = {"header": _write_file(one.header, "application/json")}
    return value if one.samples is None else {**value, "samples": _write_file(one.samples, "application/octet-stream")}


def _write_file(blob: kinds.Blob, mime_type: str) -> Json:
    return {"$type": "blob", "ref": {"$link": str(blob.cid)}, "mimeType": mime_type, "size": blob.size or 0}


def _write_checksum(checksum: kinds.Checksum | None) -> dict[str, Json]:
    if checksum is None:
        return {"algorithm": "none", "digest": ""}
    return {"algorithm": checksum.algorithm, "digest": checksum.digest}


def _write_lens(record: kinds.Lens) -> dict[str, Json]:
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


def _write_code(code: kinds.CodeReference) -> dict[str, Json]:
    return _present(
        {
            "repository": code.repository,
            "commit": code.commit,
            "path": code.path,
            "branch": code.branch,
            "language": code.language,
        }
    )
