"""The download URLs of shards, and the Croissant with them, as its own readers load it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from itertools import count
from typing import TYPE_CHECKING

import msgpack
import pyarrow as pa
import pytest
import rdflib
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from catalog.atproto import datamodel
from catalog.manifest import load
from catalog.records import DATASET, SCHEMA
from catalog.samples.write_shards import write_shards
from catalog.site.exports import dcat, jsonld
from catalog.site.exports.downloads import Download, downloads
from catalog.site.exports.downloads import uri as uri_of
from catalog.site.load_code import own_programs
from catalog.site.markup import shown
from catalog.site.pages.dataset import shard_rows
from catalog.syntax import Cid, Datetime, Tid
from tests.exportgraphs import NOWHERE, PDS, URL, accepted, graph_of, one, shards
from tests.paths import ROOT
from tests.sitecatalog import DID, dataset, schema, uri

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json

EXAMPLES = ROOT / "examples"
SUM = "ab" * 32
# rdflib's own parser of JSON-LD uses a class that rdflib has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")


# --- where shards can be had -----------------------------------------------------------------------------------


def test_a_listed_address_is_a_valid_one_and_braces_are_just_characters_in_one_with_a_checksum(tmp_path: Path) -> None:
    places = [
        "https://d.example/{0..3}|^`.tar",
        "https://d.example/50%.tar?a=ü",
        "javascript:alert(1)",
        "ftp://d.example/",
    ]
    checksum: Json = {"algorithm": "sha256", "digest": "0" * 64}
    listed: list[Json] = [{"url": place, "checksum": checksum} for place in places]
    node = one(tmp_path, storage=shards(*listed))
    assert [found.url for found in downloads(node, 9)] == [
        "https://d.example/%7B0..3%7D%7C%5E%60.tar",
        "https://d.example/50%25.tar?a=%C3%BC",
    ]
    assert [found.url for found in downloads(node, 1)] == ["https://d.example/%7B0..3%7D%7C%5E%60.tar"]


@pytest.mark.parametrize(
    ("storage", "places"),
    [
        (shards({"url": "https://d.example/t-{08..10}.tar"}), "https://d.example/t-{}.tar"),
        (
            {"$type": "science.alt.dataset.storageS3", "bucket": "tides", "shards": [{"key": "t-{08..10}.tar"}]},
            "s3://tides/t-{}.tar",
        ),
        (
            {"$type": "science.alt.dataset.storageExternal", "urls": ["https://d.example/t-{08..10}.tar"]},
            "https://d.example/t-{}.tar",
        ),
    ],
)
def test_a_pattern_of_another_client_is_expanded_on_the_page_and_in_its_programs(
    tmp_path: Path, storage: Json, places: str
) -> None:
    """The table of shards, the downloads, the snippet and the other programs, in a file of the dataset's own."""
    node = one(tmp_path, storage=storage)
    urls = [places.format(number) for number in ("08", "09", "10")]
    assert [row.place for row in shard_rows(node)] == urls
    assert [found.url for found in downloads(node, 9)] == urls
    assert own_programs(node)


def test_a_pattern_is_written_out_where_the_storage_has_patterns(tmp_path: Path) -> None:
    urls: list[Json] = ["https://d.example/t-{08..10}.tar", "https://d.example/{0..99999999}.tar", "pipe:rm -rf /"]
    node = one(tmp_path, storage={"$type": "science.alt.dataset.storageExternal", "urls": urls})
    assert [found.url for found in downloads(node, 9)] == [
        f"https://d.example/t-{number}.tar" for number in ("08", "09", "10")
    ]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "s3://tides/a%20b/%C3%BC%3F.tar"),
        ("https://s3.example/", "https://s3.example/tides/a%20b/%C3%BC%3F.tar"),
        ("https://s3.example/?x=", None),
        ("javascript:alert(1)//", None),
    ],
)
def test_an_object_of_a_bucket_has_the_address_its_endpoint_gives(
    tmp_path: Path, endpoint: str | None, url: str | None
) -> None:
    storage: dict[str, Json] = {
        "$type": "science.alt.dataset.storageS3", "bucket": "tides",
        "shards": [{"key": "a b/ü?.tar", "checksum": {"algorithm": "sha256", "digest": SUM}}],
    }  # fmt: skip
    node = one(tmp_path, storage=storage | ({} if endpoint is None else {"endpoint": endpoint}))
    assert downloads(node, 9) == (() if url is None else (Download(url=url, sha256=SUM),))


def test_a_blob_lies_at_its_publishers_server_and_its_name_is_its_checksum(tmp_path: Path) -> None:
    cid = str(datamodel.record_cid({}))
    blob: Json = {"$type": "blob", "mimeType": "application/x-tar", "size": 10, "ref": {"$link": cid}}
    storage: Json = {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]}
    (found,) = downloads(one(tmp_path, storage=storage), 9)
    assert found.url == f"{PDS}/xrpc/com.atproto.sync.getBlob?did={DID}&cid={cid}"
    assert found.sha256 == datamodel.record_cid({}).digest.hex()
    assert found.size == 10
    (tmp_path / "s.sqlite").unlink()
    assert downloads(one(tmp_path, storage=storage, pds=None), 9) == (), "nobody knows where"


@pytest.mark.parametrize(
    ("checksum", "wanted"),
    [
        ({"algorithm": "SHA256", "digest": SUM.upper()}, {"sha256": SUM}),
        ({"algorithm": "md5", "digest": "cd" * 16}, {"md5": "cd" * 16}),
        ({"algorithm": "sha256", "digest": "<script>"}, {}),
        ({"algorithm": "sha256", "digest": "ab"}, {}),
        ({"algorithm": "none", "digest": ""}, {}),
        ({"algorithm": "blake3", "digest": SUM}, {}),
    ],
)
def test_only_a_checksum_that_can_be_one_is_told(tmp_path: Path, checksum: Json, wanted: dict[str, str]) -> None:
    held = accepted(one(tmp_path, storage=shards({"url": "https://d.example/a.tar", "checksum": checksum})))
    told = {key: held["distribution"][0][key] for key in ("sha256", "md5") if key in held["distribution"][0]}
    assert told == wanted
    assert held.get("isLiveDataset", False) is ("sha256" not in wanted)


# --- Croissant -------------------------------------------------------------------------------------------------


def test_mlcroissant_loads_the_samples_of_an_example(tmp_path: Path) -> None:
    """From the shards themselves, whose checksums it checks: the bytes of each sample, in order."""
    ticks = count()
    made = load([EXAMPLES / "manifests"]).records(
        DID, created_at=Datetime.parse("2026-11-01T12:00:00.000Z"), new_tid=lambda: Tid.at(next(ticks), 0)
    )
    graph = graph_of(tmp_path, [(draft.collection, str(draft.uri.rkey), draft.value) for draft in made])
    node = next(node for node in graph.datasets if node.record.name == "Handwritten digits")
    held = accepted(node)
    shards_named = [file for file in held["distribution"] if "contentUrl" in file]
    assert len(shards_named) == 2
    for file in shards_named:  # as a reader that works on a copy of the shards finds them
        name = file["contentUrl"].rpartition("/")[2]
        shutil.copy(EXAMPLES / "shards" / name, tmp_path / name)
        file["contentUrl"] = name
    (tmp_path / "croissant.json").write_text(json.dumps(held), encoding="utf-8")
    (tmp_path / "load.py").write_text(LOADER, encoding="utf-8")
    environment = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "load.py"], cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = msgpack.unpackb(done.stdout)
    wanted = [member for file in shards_named for member in _members(tmp_path / file["contentUrl"])]
    assert sorted(found) == sorted(wanted)
    assert len(found) == node.record.size.samples  # type: ignore[union-attr]
    assert set(msgpack.unpackb(found[0])) >= {"image", "label"}


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_mlcroissant_loads_the_columns_of_a_table(tmp_path: Path, form: str) -> None:
    rows = [{"heard": "01", "gain": 0.5}, {"heard": "gulls", "gain": 2.0}]
    path = tmp_path / f"tides.{form}"
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif form == "csv":
        path.write_text("heard,gain\n01,0.5\ngulls,2.0\n")
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    sum_: Json = {"algorithm": "sha256", "digest": hashlib.sha256(path.read_bytes()).hexdigest()}
    properties: Json = {"heard": {"type": "string"}, "gain": {"type": "number"}, "raw": BYTES}
    body: Json = {
        "$type": f"{SCHEMA}#jsonSchemaFormat",
        "content": {"type": "object", "properties": properties, "propertyOrder": ["heard", "gain", "raw"]},
    }
    storage = shards({"url": f"https://tides.example/{path.name}", "checksum": sum_})
    found = [
        (SCHEMA, "Wave:1.1.0", schema(schema=body)),
        (DATASET, "3kone", dataset(1, storage=storage, sampleFormat=form)),
    ]
    held = accepted(graph_of(tmp_path, found).datasets[0])
    held["distribution"][0]["contentUrl"] = path.name
    (tmp_path / "croissant.json").write_text(json.dumps(held), encoding="utf-8")
    loader = LOADER.replace('"samples"', '"rows"').replace('record["sample"]', "list(record.values())")
    (tmp_path / "load.py").write_text(loader, encoding="utf-8")
    environment = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "load.py"], cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert msgpack.unpackb(done.stdout) == [[b"01", 0.5], [b"gulls", 2.0]]


BYTES: Json = {"type": "string", "format": "byte", "contentEncoding": "base64"}


def test_mlcroissant_loads_a_split_by_its_name(tmp_path: Path) -> None:
    names = ["train-0.tar", "train-1.tar", "test-0.tar"]
    for number, name in enumerate(names):
        write_shards([{"image": number}], tmp_path / name.replace(".tar", "-%d.tar"))
        (tmp_path / name.replace(".tar", "-0.tar")).rename(tmp_path / name)
    splits: Json = [{"name": "train", "shards": [0, 1]}, {"name": "a/ü", "shards": [2]}, {"name": "no", "shards": [9]}]
    urls: list[Json] = [{"url": f"https://d.example/{name}"} for name in names]
    held = accepted(one(tmp_path, storage=shards(*urls), splits=splits))
    listed, *_ = held["recordSet"]
    assert [(row["splits/name"], row["splits/url"]) for row in listed["data"]] == [
        ("train", "cr:TrainingSplit"), ("a/ü", "cr:Split"),
    ]  # fmt: skip
    for file, name in zip((part for part in held["distribution"] if "contentUrl" in part), names, strict=True):
        file["contentUrl"] = name
        file["sha256"] = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    (tmp_path / "croissant.json").write_text(json.dumps(held), encoding="utf-8")
    environment = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}
    loader = LOADER.replace('["sample"]', '["sample-train"]').replace('"samples"', '"samples-train"')
    (tmp_path / "load.py").write_text(loader, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "load.py"], cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(msgpack.unpackb(raw)["image"] for raw in msgpack.unpackb(done.stdout)) == [0, 1]


LOADER = """
import sys
import mlcroissant, msgpack
records = mlcroissant.Dataset("croissant.json").records("samples")
sys.stdout.buffer.write(msgpack.packb([record["sample"] for record in records]))
"""
"""By itself: mlcroissant leaves thousands of files open, and keeps a cache in the user's folder."""


def _members(path: Path) -> list[bytes]:
    with tarfile.open(path) as tar:
        found = [tar.extractfile(info) for info in tar]
        return [member.read() for member in found if member is not None]


NDARRAY = "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"type": "string"}, {"dataType": "sc:Text"}),
        ({"type": "boolean"}, {"dataType": "sc:Boolean"}),
        ({"type": "string", "format": "date-time"}, {"dataType": "sc:DateTime"}),
        ({"type": "string", "format": "byte", "contentMediaType": "image/jpeg"}, {"dataType": "sc:ImageObject"}),
        ({"type": "string", "format": "byte", "contentMediaType": "audio/*"}, {"dataType": "sc:AudioObject"}),
        ({"type": "string", "format": "byte", "contentMediaType": "application/pdf"}, {}),
        ({"type": "object"}, {}),
        ({"type": "string", "format": "byte", "contentEncoding": "base64"}, {}),
        ({"type": "made-up"}, {}),
        ({"type": "array", "items": {"type": "number"}}, {"dataType": "sc:Float", "isArray": True, "arrayShape": "-1"}),
        ({"$ref": NDARRAY}, {"isArray": True, "arrayShape": "-1"}),
        ({"$ref": NDARRAY, "dtype": "complex64", "shape": [2]}, {"isArray": True, "arrayShape": "2"}),
        (
            {"$ref": NDARRAY, "dtype": ">f4", "shape": [None, 3]},
            {"dataType": "cr:Float32", "isArray": True, "arrayShape": "-1,3"},
        ),
        (
            {"type": "array", "items": {"$ref": NDARRAY, "dtype": "uint8", "shape": [4]}},
            {"dataType": "cr:UInt8", "isArray": True, "arrayShape": "-1,4"},
        ),
    ],
)
def test_a_field_has_the_type_that_croissant_has_for_it_or_none(
    tmp_path: Path, body: Json, wanted: dict[str, object]
) -> None:
    """Whatever a schema says, what is made of it is accepted."""
    content: Json = {"properties": {"x": body}, "required": ["x"]}
    held: Json = {"$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07", "content": content}
    graph = graph_of(tmp_path, [(SCHEMA, "Wave:1.1.0", schema(schema=held)), (DATASET, "3kone", dataset(1))])
    (record_set,) = accepted(graph.datasets[0])["recordSet"]
    (field,) = record_set["field"][0]["cr:annotation"]
    assert {key: value for key, value in field.items() if key not in {"@type", "@id", "name"}} == wanted


def test_a_dataset_without_its_schema_or_without_addresses_is_still_described(tmp_path: Path) -> None:
    lone = accepted(one(tmp_path, schemaRef=str(uri(SCHEMA, "Nowhere:1.0.0"))))
    assert "recordSet" not in lone
    assert lone["distribution"]
    (tmp_path / "s.sqlite").unlink()
    bare = accepted(one(tmp_path, storage={"$type": "org.example.storageTape", "shelf": 4}))
    assert {"distribution", "recordSet"}.isdisjoint(bare)


def test_where_a_site_does_not_know_its_address_the_record_has_one(tmp_path: Path) -> None:
    node = one(tmp_path)
    assert accepted(node, NOWHERE)["url"] == str(node.uri)
    assert accepted(node)["url"].startswith(URL)
    assert "url" not in jsonld.dataset_jsonld(node, NOWHERE)


URI = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#\[\]-]|%[0-9A-Fa-f]{2})*")
"""The characters of RFC 3986, appendix A."""


@given(st.text())
def test_whatever_an_address_holds_a_uri_comes_of_it(text: str) -> None:
    made = uri_of(text)
    assert URI.fullmatch(made)
    assert uri_of(made) == made


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_a_turtle_file(name: str, tag: str, url: str) -> None:
    written = f"<https://x.example/{uri_of(url)}> <urn:name> {dcat._literal(name)}, {dcat._literal(tag)} ."
    graph = rdflib.Graph().parse(data=written, format="turtle", publicID=URL)
    assert {str(value) for value in graph.objects()} == {shown(name), shown(tag)}


def test_a_blob_whose_name_is_no_sha_256_has_no_checksum(tmp_path: Path) -> None:
    cid = str(Cid.of_binary(bytes((1, 0x55, 0x13, 64)) + bytes(64)))  # SHA-512
    blob: Json = {"$type": "blob", "mimeType": "application/x-tar", "size": 10, "ref": {"$link": cid}}
    storage: Json = {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]}
    (found,) = downloads(one(tmp_path, storage=storage), 9)
    assert found.url.endswith(f"&cid={cid}")
    assert found.sha256 is None
