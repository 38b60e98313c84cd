"""Our lexicon files: what they are, the limits on the wire, and records that pass by them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.atproto.datamodel import bytes_json
from catalog.atproto.lexicon import Lexicons
from catalog.config import resources
from tests.counting import calls

PREFIX = "science.alt.dataset"
DID = "did:plc:7iza6de2dwap2sbkpav7c6c6"
CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
CREATED = "2024-05-17T09:30:00.000Z"
CHECKSUM = {"algorithm": "sha256", "digest": "0" * 64}
CODE = {
    "repository": "https://example.org/lenses",
    "commit": "0" * 40,
    "path": "lenses/digits.py:flatten",
    "branch": "main",
    "language": "python",
}
TAR = {"$type": "blob", "ref": {"$link": CID}, "mimeType": "application/x-tar", "size": 52_428_800}

RECORDS: dict[str, dict[str, Any]] = {
    "schema": {
        "name": "DigitSample",
        "version": "1.0.0",
        "schemaType": "jsonSchema",
        "schema": {
            "$type": f"{PREFIX}.schema#jsonSchemaFormat",
            "draft": "draft-07",
            "content": {"type": "object", "properties": {}},
            "arrayFormatVersions": {"ndarrayBytes": "1.0.0"},
        },
        "description": "A digit.",
        "metadata": {"license": "MIT", "tags": ["vision"], "more": 1},
        "$atdataSchemaVersion": 1,
        "createdAt": CREATED,
    },
    "entry": {
        "name": "digits",
        "schemaRef": f"at://{DID}/{PREFIX}.schema/DigitSample:1.0.0",
        "storage": {
            "$type": f"{PREFIX}.storageHttp",
            "shards": [{"url": "https://example.org/digits-000000.tar", "checksum": CHECKSUM}],
        },
        "description": "Digits.",
        "metadata": {"$bytes": "gaFhAQ"},
        "tags": ["classification"],
        "size": {"samples": 0, "bytes": 0, "shards": 1},
        "license": "BSD-3-Clause",
        "metadataSchemaRef": f"at://{DID}/{PREFIX}.schema/Meta:1.0.0",
        "contentMetadata": {"lens": "50mm"},
        "manifests": [{"header": {**TAR, "mimeType": "application/json", "size": 1_048_576}}],
        "createdAt": CREATED,
    },
    "lens": {
        "name": "flatten",
        "sourceSchema": f"at://{DID}/{PREFIX}.schema/DigitSample:1.0.0",
        "targetSchema": f"at://{DID}/{PREFIX}.schema/FlatDigit:1.0.0",
        "getterCode": CODE,
        "putterCode": CODE,
        "description": "Rows in one.",
        "language": "python",
        "metadata": {"author": "somebody"},
        "sourceSchemaVersion": ">=1.0.0 <2.0.0",
        "targetSchemaVersion": "1.0.0",
        "createdAt": CREATED,
    },
    "label": {
        "name": "digits",
        "datasetUri": f"at://{DID}/{PREFIX}.entry/3jzfcijpj2z2a",
        "version": "1.0.0",
        "description": "The first.",
        "createdAt": CREATED,
    },
    "lensVerification": {
        "lens": f"at://{DID}/{PREFIX}.lens/3jzfcijpj2z2a",
        "lensCommit": CID,
        "verificationMethod": "automatedTest",
        "codeHash": CHECKSUM,
        "proofRef": CODE,
        "description": "All laws hold.",
        "createdAt": CREATED,
    },
}

STORAGES: dict[str, dict[str, Any]] = {
    "storageHttp": RECORDS["entry"]["storage"],
    "storageS3": {
        "bucket": "digits",
        "region": "eu-central-1",
        "endpoint": "https://s3.example.org",
        "shards": [{"key": "digits-000000.tar", "checksum": CHECKSUM}],
    },
    "storageBlobs": {"blobs": [{"blob": TAR}, {"blob": TAR, "checksum": CHECKSUM}]},
    "storageExternal": {"urls": ["https://example.org/digits-{000000..000003}.tar"]},
}


def judge(kind: str, record: dict[str, Any]) -> list[str]:
    """The paths of what is wrong with a record."""
    nsid = f"{PREFIX}.{kind}"
    return [fault.where for fault in Lexicons.load().validate(nsid, {"$type": nsid, **record})]


def changed(kind: str, path: str, value: object) -> dict[str, Any]:
    """The record of that kind with another value at a path such as ``storage.shards.0.url``."""
    record: dict[str, Any] = json.loads(json.dumps(RECORDS[kind]))  # no part shared with another
    *outer, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = record
    for step in outer:
        place = place[step]
    place[last] = value
    return record


def test_a_file_bears_the_name_of_its_lexicon() -> None:
    paths = sorted(resources.lexicons().glob("*.json"))
    assert len(paths) >= 32
    assert [json.loads(path.read_text(encoding="utf-8"))["id"] for path in paths] == [path.stem for path in paths]


def test_the_lexicons_are_read_once() -> None:
    assert Lexicons.load() is Lexicons.load()


@pytest.mark.parametrize("kind", RECORDS)
def test_a_whole_record_passes(kind: str) -> None:
    assert judge(kind, RECORDS[kind]) == []


REQUIRED = {
    "schema": {"name", "version", "schemaType", "schema", "createdAt"},
    "entry": {"name", "schemaRef", "storage", "createdAt"},
    "lens": {"name", "sourceSchema", "targetSchema", "getterCode", "putterCode", "createdAt"},
    "label": {"name", "datasetUri", "createdAt"},
    "lensVerification": {"lens", "lensCommit", "verificationMethod", "createdAt"},
}


@pytest.mark.parametrize("kind", RECORDS)
def test_the_required_fields_are_those_of_the_wire(kind: str) -> None:
    assert set(judge(kind, {})) == REQUIRED[kind]
    assert judge(kind, {name: RECORDS[kind][name] for name in REQUIRED[kind]}) == []


LENGTHS = {
    "schema": {
        "name": 100, "version": 100, "schemaType": 50, "description": 5000, "metadata.license": 200,
        "metadata.tags.0": 150,
    },
    "entry": {
        "name": 200, "description": 5000, "license": 200, "tags.0": 150,
        "storage.shards.0.checksum.algorithm": 20, "storage.shards.0.checksum.digest": 128,
    },
    "lens": {
        "name": 100, "description": 1000, "language": 50, "sourceSchemaVersion": 100, "targetSchemaVersion": 100,
        "getterCode.repository": 500, "getterCode.commit": 40, "getterCode.path": 500, "putterCode.branch": 100,
        "putterCode.language": 50,
    },
    "label": {"name": 200, "version": 50, "description": 5000},
    "lensVerification": {
        "lensCommit": 128, "verificationMethod": 50, "description": 1000, "codeHash.algorithm": 20,
        "codeHash.digest": 128, "proofRef.commit": 40,
    },
}  # fmt: skip


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in LENGTHS.items() for path in paths])
def test_a_text_may_have_the_bytes_of_the_wire_and_not_one_more(kind: str, path: str) -> None:
    longest = LENGTHS[kind][path]
    where = path.replace(".0", "[0]")
    assert judge(kind, changed(kind, path, "é" * (longest // 2))) == []
    assert judge(kind, changed(kind, path, "é" * (longest // 2) + "a")) == [where]


@pytest.mark.parametrize(
    ("kind", "path", "good", "bad"),
    [
        ("entry", "schemaRef", "at://" + DID + "/a.b.c/" + "x" * 456, "at://" + DID + "/a.b.c/" + "x" * 457),
        ("entry", "schemaRef", f"at://{DID}", DID),
        ("entry", "storage.shards.0.url", "https:" + "x" * 1994, "https:" + "x" * 1995),
        ("entry", "storage.shards.0.url", "pipe:cat", "not a url"),
        ("entry", "storage.shards", [RECORDS["entry"]["storage"]["shards"][0]], []),
        (
            "entry",
            "storage.shards.0",
            {"url": "https://example.org/a.tar", "checksum": CHECKSUM},
            "https://example.org",
        ),
        ("entry", "metadata", bytes_json(bytes(100_000)), bytes_json(bytes(100_001))),
        ("entry", "metadata", {"$bytes": "gA=="}, {"split": "train"}),
        ("entry", "tags", ["x"] * 30, ["x"] * 31),
        ("entry", "size.samples", 0, -1),
        ("entry", "size.bytes", 0, -1),
        ("entry", "size.shards", 1, 0),
        ("entry", "contentMetadata", {}, "text"),
        ("entry", "manifests.0.header.size", 1, 1_048_577),
        ("entry", "manifests.0.header.mimeType", "application/json", "application/x-tar"),
        ("entry", "createdAt", "2024-05-17T09:30:00+00:00", "yesterday"),
        ("schema", "schema.draft", "draft-07", "draft-06"),
        ("schema", "metadata.tags", ["x"] * 30, ["x"] * 31),
        ("schema", "$atdataSchemaVersion", 1, 0),
        ("schema", "atdataSchemaVersion", 1, 0),
        ("lens", "sourceSchema", f"at://{DID}", "https://example.org"),
        ("lens", "targetSchema", f"at://{DID}", "https://example.org"),
        ("label", "datasetUri", "at://alice.example.org/a.b.c/d", "alice.example.org"),
        ("lensVerification", "lens", f"at://{DID}", "flatten"),
    ],
)
def test_the_limits_are_those_of_the_wire(kind: str, path: str, good: object, bad: object) -> None:
    assert judge(kind, changed(kind, path, good)) == []
    assert len(judge(kind, changed(kind, path, bad))) == 1


@pytest.mark.parametrize("name", STORAGES)
def test_every_storage_is_known(name: str) -> None:
    """Known means checked: the storage passes, and without its content it doesn't."""
    kind = {"$type": f"{PREFIX}.{name}"}
    assert judge("entry", changed("entry", "storage", {**STORAGES[name], **kind})) == []
    assert judge("entry", changed("entry", "storage", kind)) != []


def test_a_blob_of_a_shard_is_a_tar_of_at_most_50_mib() -> None:
    for change in ({"size": 52_428_801}, {"mimeType": "*/*"}):
        storage = {"$type": f"{PREFIX}.storageBlobs", "blobs": [{"blob": {**TAR, **change}}]}
        [where] = judge("entry", changed("entry", "storage", storage))
        assert where == f"storage.blobs[0].blob.{next(iter(change))}"


def test_storages_and_schema_languages_of_the_future_pass() -> None:
    assert judge("entry", changed("entry", "storage", {"$type": "org.example.storageTape"})) == []
    assert judge("schema", changed("schema", "schema", {"$type": "org.example.schema#avro"})) == []


def test_a_known_value_of_ours_is_a_token() -> None:
    for name in ("schemaType", "arrayFormat", "programmingLanguage", "verificationMethod"):
        path = resources.lexicons() / f"{PREFIX}.{name}.json"
        defs = json.loads(path.read_text(encoding="utf-8"))["defs"]
        assert defs["main"]["knownValues"] == [key for key in defs if key != "main"]


def test_an_entry_is_validated_with_few_calls() -> None:
    """About 340: a crawl validates millions of records."""
    validate = Lexicons.load().validate
    record = {"$type": f"{PREFIX}.entry", **RECORDS["entry"]}
    assert calls(lambda: validate(f"{PREFIX}.entry", record)) < 1000
