"""Records: what is written reads back the same; what others write is read; what is broken is refused by name."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import datamodel
from catalog.codegen import Source, generate, load_snippets, package
from catalog.errors import InvalidRecord, InvalidSchema, InvalidSyntax
from catalog.records import (
    COLLECTIONS,
    DATASET,
    LABEL,
    LENS,
    SCHEMA,
    VERIFICATION,
    BlobStorage,
    Checksum,
    CodeReference,
    Dataset,
    ExternalStorage,
    HttpShard,
    HttpStorage,
    Label,
    Lens,
    LensVerification,
    Record,
    S3Shard,
    S3Storage,
    Schema,
    Size,
    UnknownStorage,
    read_record,
    schema_rkey,
    write_record,
)
from catalog.schema import Array, Field, SampleType, Scalar
from catalog.syntax import AtUri, Datetime, RecordKey
from tests.strategies import sample_types

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

NOW = Datetime.parse("2026-11-01T12:00:00.000Z")
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
SCHEMA_URI = AtUri.parse(f"at://{DID}/{SCHEMA}/Digit:1.0.0")
LENS_URI = AtUri.parse(f"at://{DID}/{LENS}/3kabcdefghijk")
EMPTY = datamodel.record_cid({})
CODE = CodeReference(repository="https://git.example/lenses", commit="a" * 40, path="digits.py:flatten")

DIGIT = SampleType(
    name="Digit",
    version="1.0.0",
    fields=(
        Field(name="image", type=Array(dtype="uint8", shape=(8, 8), dimensions=("y", "x"))),
        Field(name="label", type=Scalar(kind="int"), description="Which digit."),
        Field(name="writer", type=Scalar(kind="str"), optional=True),
    ),
)

HTTP = HttpStorage(
    shards=(
        HttpShard(url="https://data.example/a-{0..1}.tar", checksum=Checksum(algorithm="sha256", digest="ab" * 32)),
        HttpShard(url="https://data.example/b.tar"),
    )
)
DATASETS = [
    Dataset(name="digits", schema_ref=SCHEMA_URI, storage=HTTP, created_at=NOW),
    Dataset(
        name="d",
        schema_ref=SCHEMA_URI,
        storage=S3Storage(bucket="b", region="eu", endpoint="https://s3.example", shards=(S3Shard(key="k"),)),
        created_at=NOW,
        description="",
        license="MIT",
        tags=("a", "b"),
        size=Size(samples=0, shards=1),
        metadata={"pi": 3.5, "nested": {"list": [1, None, "x"]}},
        content_metadata={"a": 1},
    ),
]
RECORDS: list[tuple[str, Record]] = [
    (SCHEMA, Schema(sample_type=DIGIT, created_at=NOW, license="MIT", tags=("vision",))),
    *((DATASET, dataset) for dataset in DATASETS),
    (
        LENS,
        Lens(
            name="flatten", source=SCHEMA_URI, target=SCHEMA_URI, getter=CODE, putter=CODE, created_at=NOW,
            source_version="^1.0.0",
        ),
    ),
    (LABEL, Label(name="digits", dataset=AtUri.parse(f"at://{DID}/{DATASET}/3k"), created_at=NOW, version="1.0.0")),
    (VERIFICATION, LensVerification(lens=LENS_URI, lens_commit=str(EMPTY), method="x", created_at=NOW)),
]  # fmt: skip


@pytest.mark.parametrize(("collection", "record"), RECORDS)
def test_what_is_written_reads_back_the_same(collection: str, record: Record) -> None:
    """Typed value → JSON form → DAG-CBOR → JSON form → the same typed value."""
    arrived = datamodel.decode(datamodel.encode(write_record(record)))
    assert read_record(collection, arrived) == record


@given(sample_types())
def test_any_sample_type_survives_the_network(sample_type: SampleType) -> None:
    """A schema record of any fields comes back with the same fields in the same order."""
    record = Schema(sample_type=sample_type, created_at=NOW)
    try:
        written = write_record(record)
    except InvalidRecord as error:  # a name over the lexicon's length in bytes
        assert all(fault.where == "name" for fault in error.faults)
        return
    assert read_record(SCHEMA, datamodel.decode(datamodel.encode(written))) == record


@pytest.mark.parametrize(("collection", "record"), RECORDS)
def test_each_required_field_is_missed_by_name(collection: str, record: Record) -> None:
    """Take one required field away and the fault names that field; with all of them the record reads."""
    good = write_record(record)
    read_record(collection, good)
    for key in ("name", "schemaRef", "storage", "sourceSchema", "getterCode", "datasetUri", "lens", "createdAt"):
        if key in good:
            with pytest.raises(InvalidRecord) as caught:
                read_record(collection, {k: v for k, v in good.items() if k != key})
            assert any(key in f"{fault.where} {fault.message}" for fault in caught.value.faults)


def _dataset(**changes: Json) -> dict[str, Json]:
    return {**write_record(DATASETS[0]), **changes}


AVRO: Json = {"$type": f"{SCHEMA}#avro", "type": "record", "name": "Wave", "fields": [{"name": "x", "type": "int"}]}
ARROW: Json = {"$type": "org.example.arrow#schema", "ipc": {"$bytes": "AAAA"}}


@pytest.mark.parametrize(
    ("kind", "body", "language"),
    [
        ("avro", AVRO, "avro"),
        ("arrow", ARROW, "arrow"),
        ("jsonSchema", AVRO, "avro"),
        ("avro", {**AVRO, "$type": f"{SCHEMA}#jsonSchemaFormat"}, "avro"),  # type: ignore[dict-item]
        ("protobuf", {"$type": f"{SCHEMA}#protobuf", "properties": {"x": {"type": "integer"}}}, "protobuf"),
    ],
)
def test_a_schema_in_another_language_is_kept_as_it_is(kind: str, body: Json, language: str) -> None:
    """Its fields are not known; code that needs them says so, and it is never written."""
    value: Json = {**write_record(RECORDS[0][1]), "schemaType": kind, "schema": body}
    record = read_record(SCHEMA, value)
    assert isinstance(record, Schema)
    foreign = record.sample_type.foreign
    assert foreign is not None
    assert (foreign.language, json.loads(foreign.text), record.sample_type.fields) == (language, body, ())
    for use in (
        lambda: generate(record.sample_type, "python"),
        lambda: package([Source(sample_type=record.sample_type)], "rust"),
        lambda: write_record(record),
    ):
        with pytest.raises(InvalidSchema, match=rf"'{language}'; only JSON Schema"):
            use()
    assert all("import" in one.code for one in load_snippets("d", str(SCHEMA_URI), record.sample_type, ["https://a/b"]))


@pytest.mark.parametrize(
    ("kind", "type_"),
    [("jsonSchema", f"{SCHEMA}#jsonSchemaFormat"), (f"{SCHEMA}Type#jsonSchema", "x.y#jsonSchemaFormat")],
)
def test_a_json_schema_that_can_not_be_read_is_an_error(kind: str, type_: str) -> None:
    value: Json = {**write_record(RECORDS[0][1]), "schemaType": kind, "schema": {"$type": type_, "type": "record"}}
    with pytest.raises(InvalidRecord, match="properties"):
        read_record(SCHEMA, value)


@pytest.mark.parametrize(
    ("kind", "type_"), [("anything", f"{SCHEMA}#jsonSchemaFormat"), ("jsonSchema", "org.example#other")]
)
def test_a_json_schema_is_read_if_one_of_the_names_says_so(kind: str, type_: str) -> None:
    written = write_record(RECORDS[0][1])
    body = written["schema"]
    assert isinstance(body, dict)
    value: Json = {**written, "schemaType": kind, "schema": {**body, "$type": type_}}
    assert read_record(SCHEMA, value) == RECORDS[0][1]


def test_metadata_as_an_object_is_read() -> None:
    """Metadata as an older client writes it instead of msgpack bytes."""
    record = read_record(DATASET, _dataset(metadata={"sourceUri": "https://x.example", "custom": {"a": 1}}))
    assert isinstance(record, Dataset)
    assert record.metadata == {"sourceUri": "https://x.example", "custom": {"a": 1}}


def test_metadata_that_holds_what_json_does_not() -> None:
    """Bytes, timestamps, odd keys and bottomless nesting become plain values; nothing is run or lost silently."""
    deep: object = "end"
    for _ in range(100):
        deep = [deep]
    packed = msgpack.packb({"b": b"\x01", 1: "one", "t": msgpack.Timestamp(1), "e": msgpack.ExtType(5, b""), "d": deep})
    record = read_record(DATASET, _dataset(metadata=datamodel.bytes_json(packed)))
    assert isinstance(record, Dataset)
    assert record.metadata["b"] == {"$bytes": "AQ"}
    assert record.metadata["1"] == "one"
    assert record.metadata["e"] == "<extension 5>"
    assert "…" in str(record.metadata["d"])


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x93\x01", b"\x01", b"\xdf\xff\xff\xff\xff", b"\x91" * 5000])
def test_metadata_that_is_no_msgpack_map_is_refused(raw: bytes) -> None:
    """Cut, huge by its own word, bottomless, or not a map: a fault at ``metadata``."""
    with pytest.raises(InvalidRecord) as caught:
        read_record(DATASET, _dataset(metadata=datamodel.bytes_json(raw)))
    assert caught.value.faults[0].where == "metadata"


def test_storages_of_others_are_read() -> None:
    """The deprecated form, blobs of any MIME type, and a storage nobody here knows."""
    blob: Json = {
        "$type": "blob",
        "ref": {"$link": str(datamodel.record_cid({}))},
        "mimeType": "*/*",
        "size": 3,
    }
    kinds: dict[str, tuple[dict[str, Json], type]] = {
        "storageHttp": ({"shards": [{"url": "https://x.example/a.tar"}]}, HttpStorage),
        "storageExternal": ({"urls": ["https://x.example/{0..1}.tar"]}, ExternalStorage),
        "storageBlobs": ({"blobs": [{"blob": blob}]}, BlobStorage),
        "storageMoon": ({}, UnknownStorage),
    }
    for name, (body, expected) in kinds.items():
        storage = cast("Json", {"$type": f"science.alt.dataset.{name}", **body})
        record = read_record(DATASET, _dataset(storage=storage))
        assert isinstance(record, Dataset)
        assert isinstance(record.storage, expected)


def test_a_checksum_of_no_algorithm_is_none() -> None:
    """Seen in the wild: ``{"algorithm": "none", "digest": ""}``."""
    record = read_record(DATASET, write_record(DATASETS[0]))
    assert isinstance(record, Dataset)
    assert isinstance(record.storage, HttpStorage)
    assert [shard.checksum is None for shard in record.storage.shards] == [False, True]


def test_language_on_the_lens_counts_for_its_code() -> None:
    """The deprecated place is read where the new one is empty."""
    lens = {**write_record(RECORDS[3][1]), "language": "python"}
    record = read_record(LENS, lens)
    assert isinstance(record, Lens)
    assert record.getter.language == "python"


def test_flattened_and_nested_schema_bodies_of_others_are_read() -> None:
    """Neither has the newest lexicon's required keys; both are on the network."""
    written = write_record(RECORDS[0][1])
    body = cast("dict[str, Json]", written["schema"])
    content = cast("dict[str, Json]", body["content"])
    for form in (content, {"schemaBody": content}):
        other = {**written, "schema": cast("Json", {"$type": body["$type"], **form})}
        record = read_record(SCHEMA, other)
        assert isinstance(record, Schema)
        assert record.sample_type == DIGIT


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(RECORDS), st.data())
def test_a_record_with_one_part_replaced_reads_or_is_refused(pair: tuple[str, Record], data: st.DataObject) -> None:
    """Whatever stands in a field, the reader returns a record or raises InvalidRecord."""
    collection, record = pair
    value = copy.deepcopy(write_record(record))
    place: dict[str, Json] = value
    key = data.draw(st.sampled_from(sorted(place)))
    inner = place[key]
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        place, key = inner, data.draw(st.sampled_from(sorted(inner)))
    place[key] = data.draw(json_values)
    try:
        read_record(collection, value)
    except InvalidRecord as error:
        assert error.faults


@given(json_values, st.sampled_from([*COLLECTIONS, "app.bsky.feed.post", ""]))
def test_any_value_reads_or_is_refused(value: Json, collection: str) -> None:
    """No value makes the reader raise anything but InvalidRecord."""
    with pytest.raises(InvalidRecord):
        read_record(collection, value)


def test_deprecated_storage_is_not_written() -> None:
    """Read-only storages are refused when written."""
    with pytest.raises(InvalidRecord, match="read-only"):
        write_record(
            Dataset(name="d", schema_ref=SCHEMA_URI, storage=ExternalStorage(urls=("https://x",)), created_at=NOW)
        )


def test_schema_record_keys_are_valid_on_a_real_pds() -> None:
    """``Name:1.0.0``; what a record key may not hold becomes an underscore."""
    assert schema_rkey("Digit", "1.0.0") == "Digit:1.0.0"
    assert schema_rkey("Ein Bild/ü", "1.0.0+b") == RecordKey.parse("Ein_Bild__:1.0.0_b")
    with pytest.raises(InvalidSyntax):
        schema_rkey("x" * 600, "1.0.0")
