"""Manifests that are right: what is read from them, and the records they become."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING

import msgpack
import pytest

from catalog import records
from catalog.atproto.datamodel import bytes_of, record_cid
from catalog.errors import InvalidManifest
from catalog.manifest import DraftRecord, ManifestSet, SchemaKey, load
from catalog.records import Checksum, Dataset, HttpStorage, Lens, LensVerification, Schema, Size, read_record
from catalog.schema import Array, Field, List, Scalar
from catalog.shards.braces import expand_ranges
from catalog.syntax import Datetime, Did, RecordKey, Tid
from tests.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

GOOD = TESTS / "data" / "manifests" / "good"
DID = Did.parse("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb")
NOW = Datetime.parse("2024-05-06T07:08:09.000Z")
LATER = Datetime.parse("2025-05-06T07:08:09.000Z")


def made(drafts: ManifestSet) -> tuple[DraftRecord, ...]:
    numbers = count(1)
    return drafts.records(DID, created_at=NOW, new_tid=lambda: Tid.at(next(numbers), 0))


def test_the_records_come_in_the_order_of_their_references() -> None:
    """Schemas, datasets, labels, lenses, verifications: no record refers to one behind it."""
    found = [(record.collection, record.name, record.version) for record in made(load([GOOD]))]
    assert found == [
        (records.SCHEMA, "DigitSample", "1.0.0"),
        (records.SCHEMA, "FlatDigit", "1.0.0-rc.1+build.5"),
        (records.DATASET, "digits", None),
        (records.DATASET, "remote", None),
        (records.LABEL, "digits", "1.0.0"),
        (records.LENS, "flatten", None),
        (records.VERIFICATION, "flatten", None),
    ]


def test_every_record_reads_back_as_it_was_meant_and_has_its_cid() -> None:
    """The wire value is the record: reading it gives the same typed value, and its CID is the one told."""
    for draft in made(load([GOOD])):
        read = read_record(draft.collection, draft.value)
        assert record_cid(draft.value) == draft.cid
        if not isinstance(read, Dataset):  # a dataset's NaN is equal to nothing
            assert read == draft.record


def test_a_schema_has_its_fields_in_the_order_of_the_manifest() -> None:
    """Short and long forms, optional fields, and a key that YAML 1.1 takes for a truth value."""
    schema = load([GOOD]).schemas[0]
    assert schema.sample_type.fields == (
        Field(name="image", type=Array(dtype="uint8", shape=(8, 8))),
        Field(name="label", type=Scalar(kind="int")),
        Field(name="writer", type=Scalar(kind="str"), optional=True),
        Field(name="scores", type=List(item=Scalar(kind="float"))),
        Field(
            name="mask",
            type=Array(dtype="bool", shape=(None, None), dimensions=("y", "x")),
            optional=True,
            description="Where the ink is.",
        ),
        Field(name="on", type=Scalar(kind="bytes")),
    )
    assert (schema.license, schema.tags) == ("BSD-3-Clause", ("vision", "digits"))
    assert (schema.file, schema.line, schema.lines["tags[1]"]) == (GOOD / "digits.yaml", 2, 6)


def test_a_dataset_has_its_shards_expanded_and_its_metadata_packed() -> None:
    """Patterns keep their zeros; a shard without a checksum says so; dates are text; floats live in msgpack."""
    draft = made(load([GOOD]))[2]
    record = draft.record
    assert isinstance(record, Dataset)
    assert isinstance(record.storage, HttpStorage)
    names = [f"https://example.org/digits-{number}.tar" for number in ("000000", "000009", "000010", "000011")]
    assert [shard.url for shard in record.storage.shards] == names
    assert record.storage.shards[0].checksum == Checksum(algorithm="sha256", digest="0123456789abcdef" * 4)
    storage = draft.value["storage"]
    assert isinstance(storage, dict)
    assert isinstance(storage["shards"], list)
    assert storage["shards"][1] == {"url": names[1], "checksum": {"algorithm": "none", "digest": ""}}
    assert record.size == Size(samples=1797, bytes=None, shards=4)
    packed = msgpack.unpackb(bytes_of(draft.value["metadata"]))
    assert packed["collected"] == "1998-07-01"
    assert packed["mean"] == 4.884
    assert packed["missing"] != packed["missing"]
    assert draft.value["contentMetadata"] == {"split": "train", "folds": 5, "collected": "1998-07-01"}
    assert draft.local == ()


def test_references_go_to_the_records_of_the_account() -> None:
    """A schema's key is its name and version; a label, a lens and a verification point at their records."""
    flat, digits, remote, label, lens, verification = made(load([GOOD]))[1:]
    assert flat.uri == f"at://{DID}/{records.SCHEMA}/FlatDigit:1.0.0-rc.1_build.5"
    assert digits.value["schemaRef"] == f"at://{DID}/{records.SCHEMA}/DigitSample:1.0.0"
    assert str(remote.value["schemaRef"]).startswith("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/")
    assert (label.value["datasetUri"], label.value["version"]) == (digits.uri, "1.0.0")
    assert isinstance(lens.record, Lens)
    assert (lens.record.target, lens.record.target_version) == (flat.uri, "1.0.0-rc.1+build.5")
    assert isinstance(verification.record, LensVerification)
    assert (verification.record.lens, verification.record.lens_commit) == (lens.uri, lens.cid)


def test_records_that_exist_keep_their_keys_and_times() -> None:
    """With the keys and times of a first run a second one makes the very same records, whatever the time is."""
    drafts = load([GOOD])
    first = made(drafts)
    rkeys = {record.key: RecordKey.parse(str(record.uri.rkey)) for record in first}
    created = {record.key: NOW for record in first}

    def no_tid() -> Tid:
        pytest.fail("a key was made for a record that has one")

    assert len(rkeys) == len(first)
    second = drafts.records(DID, created_at=LATER, new_tid=no_tid, rkeys=rkeys, created=created)
    third = drafts.records(DID, created_at=LATER, new_tid=no_tid, rkeys=rkeys)
    assert [(r.uri, r.cid) for r in second] == [(r.uri, r.cid) for r in first]
    assert all(old.cid != new.cid for old, new in zip(first, third, strict=True))


def write(path: Path, shards: str) -> Path:
    text = f"""\
schemas: [{{name: S, version: 1.0.0, fields: {{a: int}}}}]
datasets:
  - name: d
    schema: S@1.0.0
    shards:
      - {shards}
"""
    path.write_text(text, encoding="utf-8")
    return path


def test_local_copies_are_hashed_and_measured(tmp_path: Path) -> None:
    """Each shard gets the checksum of its own copy, found beside the manifest, and the sizes add up."""
    for number in range(1, 4):
        (tmp_path / f"d-{number}.tar").write_bytes(b"x" * number)
    file = write(tmp_path / "m.yaml", '{url: "https://example.org/d-{1..3}.tar", local: "d-{1..3}.tar"}')
    draft = made(load([file]))[1]
    assert isinstance(draft.record, Dataset)
    assert isinstance(draft.record.storage, HttpStorage)
    digests = [shard.checksum.digest for shard in draft.record.storage.shards if shard.checksum is not None]
    assert digests == [hashlib.sha256(b"x" * number).hexdigest() for number in range(1, 4)]
    assert draft.record.size == Size(bytes=6, shards=3)
    assert draft.local == tuple(tmp_path / f"d-{number}.tar" for number in range(1, 4))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("", "can't be read"),
        ("sha256: " + "ab" * 32, "'sha256' is abab"),
        ("bytes: 7", "'bytes' is 7"),
    ],
)
def test_a_local_copy_that_is_missing_or_another_is_a_fault(tmp_path: Path, extra: str, message: str) -> None:
    """A local copy must match the stated values; without a copy the manifest is valid."""
    if extra:
        (tmp_path / "d.tar").write_bytes(b"xyz")
    drafts = load([write(tmp_path / "m.yaml", f"{{url: 'https://example.org/d.tar', local: d.tar, {extra}}}")])
    with pytest.raises(InvalidManifest) as caught:
        made(drafts)
    assert [fault.where for fault in caught.value.faults] == [f"{tmp_path / 'm.yaml'}:6"]
    assert message in str(caught.value)
    (tmp_path / "d.tar").write_bytes(b"xyz")
    digest = hashlib.sha256(b"xyz").hexdigest()
    right = f"{{url: 'https://example.org/d.tar', local: d.tar, bytes: 3, sha256: {digest}}}"
    assert len(made(load([write(tmp_path / "m.yaml", right)]))) == 2


def test_names_resolve_across_files_in_any_order_and_a_file_counts_once() -> None:
    """The lens file alone lacks its schemas; given with the other one, twice and in any order, all resolve."""
    with pytest.raises(InvalidManifest, match=r"there is no schema 'DigitSample@1\.0\.0'"):
        load([GOOD / "lenses.yml"])
    found = load([GOOD / "lenses.yml", GOOD, GOOD / "digits.yaml"])
    assert found.files == (GOOD / "lenses.yml", GOOD / "digits.yaml")
    assert found.lenses[0].source == SchemaKey(name="DigitSample", version="1.0.0")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a", ["a"]),
        ("a{1..3}", ["a1", "a2", "a3"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{0..1}-{8..9}", ["0-8", "0-9", "1-8", "1-9"]),
        ("{0..10}", [str(number) for number in range(11)]),
        ("a{b,c}", ["a{b,c}"]),
        ("a\\{1..2},{", ["a\\1,{", "a\\2,{"]),
    ],
)
def test_patterns_expand_as_a_shell_would(pattern: str, expected: list[str]) -> None:
    """Ranges only, padded where an end is padded, the rightmost counting fastest."""
    assert expand_ranges(pattern) == expected


def test_a_schema_record_holds_what_a_schema_draft_said() -> None:
    """The control of the whole way: nothing of the draft is lost in the record."""
    drafts = load([GOOD])
    record = made(drafts)[0].record
    assert isinstance(record, Schema)
    assert (record.sample_type, record.created_at) == (drafts.schemas[0].sample_type, NOW)
