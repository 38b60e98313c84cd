"""Schemas as a user names them on a command line: files first, then addresses, then accounts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto.datamodel import record_cid
from catalog.client import Client, FoundSchema, find_schemas
from catalog.codegen import generate
from catalog.errors import (
    CatalogError,
    Fault,
    InvalidManifest,
    InvalidRecord,
    InvalidSchema,
    InvalidSyntax,
    RequestFailed,
    UnknownIdentity,
)
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION, CodeReference, Schema, write_record
from catalog.samples.clients import PublishedShard
from catalog.schema import Field, SampleType, Scalar, write_body
from catalog.syntax import AtUri, Datetime
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Account, Network

EXAMPLES = ROOT / "examples" / "manifests"
POINT = SampleType(name="Point", version="1.0.0", fields=(Field(name="x", type=Scalar(kind="float")),))
POINT_10 = replace(POINT, version="1.10.0", fields=(*POINT.fields, Field(name="y", type=Scalar(kind="float"))))
WORD = SampleType(name="Word", version="1.0.0", fields=(Field(name="w", type=Scalar(kind="str")),))
CODE = CodeReference(repository="https://git.example/x", commit="c" * 40, path="a.py:f")
NOW = Datetime.parse("2026-01-01T00:00:00Z")


def shown(found: tuple[FoundSchema, ...]) -> list[str]:
    return [f"{one.sample_type.name}@{one.sample_type.version}" for one in found]


# --- published -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def account(network: Network) -> Account:
    made = network.account("lookup")
    with Client.login(made.did, made.password) as client:
        client.publish_schema(POINT_10)
        shard = PublishedShard(url="https://data.example/d.tar")
        client.publish_dataset(name="d", schema=POINT, shards=[shard], version="1.0.0")
        client.publish_lens(name="l", source=POINT, target=WORD, getter=CODE, putter=CODE)
    return made


def address(network: Network, account: Account, collection: str) -> str:
    page = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": collection})
    return str(page["records"][0]["uri"])


def test_a_schema_by_its_address_with_did_or_handle(network: Network, account: Account) -> None:
    uri = f"at://{account.did}/{SCHEMA}/Point:1.0.0"
    cid = network.get_record(account.did, SCHEMA, "Point:1.0.0")["cid"]
    expected = (FoundSchema(sample_type=POINT, uri=AtUri(uri), cid=cid, where=uri),)
    assert find_schemas(uri) == expected
    assert find_schemas(uri.replace(account.did, account.handle)) == expected


@pytest.mark.parametrize(
    ("collection", "expected"),
    [(DATASET, ["Point@1.0.0"]), (LABEL, ["Point@1.0.0"]), (LENS, ["Point@1.0.0", "Word@1.0.0"])],
)
def test_a_record_that_refers_to_schemas_leads_to_them(
    network: Network, account: Account, collection: str, expected: list[str]
) -> None:
    with Client() as client:
        assert shown(find_schemas(address(network, account, collection), client=client)) == expected


def test_an_account_stands_for_all_its_schemas_in_the_order_of_versions(account: Account) -> None:
    """By handle, with @, by DID, as an address, and one of them behind a #."""
    every = ["Point@1.0.0", "Point@1.10.0", "Word@1.0.0"]
    with Client() as client:
        for text in (account.handle, f"@{account.handle}", account.did, f"at://{account.did}",
                     f"at://{account.handle}/{SCHEMA}"):  # fmt: skip
            assert shown(find_schemas(text, client=client)) == every, text
        assert shown(find_schemas(f"{account.handle}#Point@1.10.0", client=client)) == ["Point@1.10.0"]
        assert shown(find_schemas(f"{account.did}#Point", client=client)) == every[:2]
        with pytest.raises(InvalidSchema, match=r"no schema 'Pont' .*Point@1\.10\.0"):
            find_schemas(f"{account.did}#Pont", client=client)


def test_a_broken_schema_of_an_account_is_passed_over_and_told(network: Network) -> None:
    made = network.account("half")
    network.create_record(made, SCHEMA, {"$type": SCHEMA, "name": "Broken"})
    refused: list[Fault] = []
    with pytest.raises(InvalidSchema, match=r"has no schema \(1 can't be read; the first: at://"):
        find_schemas(made.did)
    value = write_record(Schema(sample_type=WORD, created_at=NOW))
    network.create_record(made, SCHEMA, value)
    assert shown(find_schemas(made.did, refused=refused)) == ["Word@1.0.0"]
    assert len(refused) == 1


def test_addresses_that_lead_to_no_schema_say_why(network: Network, account: Account) -> None:
    did = account.did
    with Client() as client:
        for text, words, kind in (
            (f"at://{did}/{SCHEMA}/Gone:1.0.0", "Gone:1.0.0: .* has no such record", RequestFailed),
            (f"at://{did}/{VERIFICATION}/x", "has no schema", InvalidSchema),
            (f"at://{did}/{DATASET}", "contains no schemas", InvalidSchema),
            (f"at://{did}/{SCHEMA}/a/b", "nothing may follow", InvalidSyntax),
            ("nobody-here.test", "nobody-here", UnknownIdentity),
        ):
            with pytest.raises(kind, match=words):
                find_schemas(text, client=client)
    label = {"$type": LABEL, "name": "x", "datasetUri": f"at://{did}/{LENS}/x", "createdAt": str(NOW)}
    uri = network.create_record(account, LABEL, label)["uri"]
    with pytest.raises(InvalidSchema, match="refer to a dataset"):
        find_schemas(uri)


# --- manifests -----------------------------------------------------------------------------------------------


def test_a_manifest_has_all_its_schemas_and_one_behind_a_hash() -> None:
    """No network is needed; and what its lenses refer to in other files doesn't matter."""
    found = find_schemas(str(EXAMPLES / "digits.yaml"))
    assert {"DigitSample@1.0.0", "DigitSample@1.1.0"} <= set(shown(found))
    assert all(one.uri is None and one.where.startswith(f"{EXAMPLES / 'digits.yaml'}:") for one in found)
    assert shown(find_schemas(f"{EXAMPLES / 'digits.yaml'}#DigitSample@1.1.0")) == ["DigitSample@1.1.0"]
    assert "LabelledVector@1.0.0" not in shown(find_schemas(str(EXAMPLES / "breast-cancer.yaml")))


def test_a_folder_has_the_schemas_of_all_its_manifests() -> None:
    found = shown(find_schemas(str(EXAMPLES)))
    assert len(found) == len(set(found)) >= 5
    assert found == sorted(found)
    assert shown(find_schemas(f"{EXAMPLES}#NucleiSample")) == ["NucleiSample@1.0.0"]


def test_a_manifest_with_mistakes_says_them_all_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("schemas:\n  - {name: A, version: one, fields: {x: flaot}}\n", encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        find_schemas(str(path))
    assert len(caught.value.faults) == 2
    assert all(fault.where == f"{path}:2" for fault in caught.value.faults)
    path.write_text("lenses: []\n", encoding="utf-8")
    with pytest.raises(InvalidSchema, match="no schemas in the manifest"):
        find_schemas(str(path))


def test_what_exists_as_a_file_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is named like an account, or with a # in its name."""
    monkeypatch.chdir(tmp_path)
    manifest = "schemas:\n  - {name: A, version: 1.0.0, fields: {x: float}}\n"
    for name in ("alice.example.org", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "a#B.yaml"):
        (tmp_path / name).write_text(manifest, encoding="utf-8")
        assert shown(find_schemas(name)) == ["A@1.0.0"]
    assert shown(find_schemas("a#B.yaml#A")) == ["A@1.0.0"]


# --- JSON ----------------------------------------------------------------------------------------------------


def written(path: Path, value: object) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def test_a_record_in_a_file_as_a_pds_answers_it_or_bare(tmp_path: Path) -> None:
    """With its address and CID in the first case; the CID is computed, and a wrong one refused."""
    value = write_record(Schema(sample_type=POINT, created_at=NOW))
    uri, cid = f"at://did:plc:{'a' * 24}/{SCHEMA}/Point:1.0.0", record_cid(value)
    path = tmp_path / "record.json"
    text = written(path, {"uri": uri, "cid": str(cid), "value": value})
    assert find_schemas(text) == (FoundSchema(sample_type=POINT, uri=AtUri(uri), cid=cid, where=text),)
    written(path, value)
    assert find_schemas(text) == (FoundSchema(sample_type=POINT, where=text),)
    written(path, {"uri": uri, "cid": "bafyreiaaaa", "value": value})
    with pytest.raises(InvalidSchema, match="the CID of its content"):
        find_schemas(text)
    written(path, {"uri": "nonsense", "cid": str(cid), "value": value})
    with pytest.raises(InvalidSyntax):
        find_schemas(text)


def test_a_json_schema_is_named_by_its_title_or_file(tmp_path: Path) -> None:
    body = write_body(POINT)
    text = written(tmp_path / "point.json", body["content"])
    (found,) = find_schemas(text)
    assert found.sample_type == POINT
    text = written(tmp_path / "envelope.json", {"draft": "draft-07", "content": body["content"]})
    assert find_schemas(text)[0].sample_type == POINT
    text = written(tmp_path / "spot.json", {"properties": {"x": {"type": "number"}}, "version": "2.0.0"})
    assert shown(find_schemas(text)) == ["spot@2.0.0"]
    assert shown(find_schemas(f"{text}#spot")) == ["spot@2.0.0"]


def test_a_generated_json_schema_is_read_with_its_version(tmp_path: Path) -> None:
    """The output of ``catalog codegen --lang jsonschema`` can be compared with later versions."""
    path = tmp_path / "point.json"
    path.write_text(generate(POINT_10, "jsonschema", uri=f"at://did:plc:{'a' * 24}/{SCHEMA}/x"), encoding="utf-8")
    assert find_schemas(str(path)) == (FoundSchema(sample_type=POINT_10, where=str(path)),)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "not JSON"),
        (b'{"properties": NaN}', "not JSON"),
        (b"{" + b'"a":{' * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b'{"type": "object"}', "no 'properties' object"),
        (json.dumps({"$type": DATASET, "name": "x"}).encode(), "a record of '" + DATASET),
        (json.dumps({"uri": f"at://did:plc:{'a' * 24}/a.b.c/x", "value": {"$type": "a.b.c"}}).encode(), "'a.b.c'"),
        (b'{"properties": {' + b" " * 5_000_000 + b"}}", "more than 5,000,000 bytes"),
    ],
)
def test_a_json_file_that_is_no_schema_says_what_it_is(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(InvalidSchema) as caught:
        find_schemas(str(path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_broken_record_in_a_file_says_all_that_is_broken(tmp_path: Path) -> None:
    text = written(tmp_path / "x.json", {"$type": SCHEMA, "name": "x"})
    with pytest.raises(InvalidRecord) as caught:
        find_schemas(text)
    assert len(caught.value.faults) > 1
    assert str(caught.value).startswith(text)


# --- what is none of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("digits.yaml", "the file doesn't exist"),
        ("some/where", "the file doesn't exist"),
        ("digits.json#A", "the file doesn't exist"),
        ("module:Class", "neither a file, nor an at:// URI, nor an account"),
        ("", "neither a file"),
        ("#A", "neither a file"),
        ("two words", "neither a file"),
        ("x" * 5000, "neither a file"),
        ("a\0b", "neither a file"),
    ],
)
def test_what_is_nothing_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """Without asking the network: a file that isn't there is no handle, though it looks like one."""
    monkeypatch.chdir(tmp_path)
    with Client() as client:
        with pytest.raises(InvalidSchema) as caught:
            find_schemas(text, client=client)
        assert client.http.requests == 0
    assert words in str(caught.value)
    assert len(str(caught.value)) < 700


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab$#", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$#", max_size=4), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(["$type", "value", "uri", "cid", "properties", "content", "schemaBody", "title", "version"])


@given(st.dictionaries(keys, st.sampled_from([SCHEMA, DATASET, "at://x"]) | json_values))
def test_any_json_is_a_schema_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    try:
        found = find_schemas(written(path, value))
    except CatalogError:
        return
    assert len(found) == 1
