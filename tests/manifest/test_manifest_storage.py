"""Manifests whose shards lie in buckets and in blobs, labels that are written out, and sets with a name."""

from __future__ import annotations

import ast
import hashlib
import html
import re
import sys
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Dataset as Samples
from catalog import PackableSample, records
from catalog.errors import InvalidManifest
from catalog.manifest import (
    MARK,
    DatasetDraft,
    DraftRecord,
    LabelDraft,
    LocalBlob,
    ManifestSet,
    SchemaKey,
    ShardDraft,
    load,
)
from catalog.manifest.diagnostics import Report
from catalog.manifest.glob import named_files
from catalog.records import BlobShard, BlobStorage, Checksum, Dataset, Label, S3Shard, S3Storage, Size, read_record
from catalog.samples.write_shards import write_shards
from catalog.syntax import RAW, AtUri, Cid, Datetime, Did, Tid
from tests import forked

if TYPE_CHECKING:
    from pathlib import Path

DID = Did.parse("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb")
NOW = Datetime.parse("2024-05-06T07:08:09.000Z")
SCHEMA = "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]\n"


def made(drafts: ManifestSet, **more: str) -> tuple[DraftRecord, ...]:
    numbers = count(1)
    return drafts.records(DID, created_at=NOW, new_tid=lambda: Tid.at(next(numbers), 0), mark=more.get("mark"))


def written(folder: Path, text: str) -> Path:
    file = folder / "m.yaml"
    file.write_text(SCHEMA + text, encoding="utf-8")
    return file


def dataset(folder: Path, storage: str) -> DraftRecord:
    """The one dataset of a manifest, whose storage is given."""
    text = f"datasets:\n  - name: d\n    schema: S@1.0.0\n{storage}"
    return made(load([written(folder, text)]))[1]


def shards(folder: Path, *names: str) -> list[str]:
    """Files with different contents; their checksums."""
    found = []
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
        found.append(hashlib.sha256(name.encode()).hexdigest())
    return found


# --- buckets -------------------------------------------------------------------------------------------------


def test_keys_of_a_bucket_may_be_patterns_with_local_copies(tmp_path: Path) -> None:
    """Keys as text and as maps, ranges expanded; a copy gives checksum and size, a stated checksum stays."""
    one, two = shards(tmp_path, "c-1.tar", "c-2.tar")
    draft = dataset(
        tmp_path,
        """\
    s3:
      bucket: example-data
      region: eu-central-1
      endpoint: https://s3.example.org
      keys:
        - "a/{09..10}.tar"
        - {key: "b/{1..2}.tar", local: "c-{1..2}.tar"}
        - {key: c.tar, sha256: ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789, bytes: 9}
""",
    )
    stated = "abcdef0123456789" * 4
    keys = [("a/09.tar", None), ("a/10.tar", None), ("b/1.tar", one), ("b/2.tar", two), ("c.tar", stated)]
    assert isinstance(draft.record, Dataset)
    assert draft.record.storage == S3Storage(
        bucket="example-data",
        region="eu-central-1",
        endpoint="https://s3.example.org",
        shards=tuple(
            S3Shard(key=key, checksum=None if digest is None else Checksum(algorithm="sha256", digest=digest))
            for key, digest in keys
        ),
    )
    assert draft.record.size == Size(shards=5)
    assert draft.local == (tmp_path / "c-1.tar", tmp_path / "c-2.tar")
    assert read_record(records.DATASET, draft.value) == draft.record


def test_copies_of_a_bucket_give_its_keys(tmp_path: Path) -> None:
    """With local alone the keys are the file names behind the prefix, in the order of the names."""
    digests = shards(tmp_path, "data/b.tar", "data/a.tar", "data/.hidden.tar", "data/a.txt")
    (tmp_path / "data" / "folder.tar").mkdir()
    draft = dataset(tmp_path, "    s3: {bucket: example-data, prefix: x/y-, local: data/*.tar}\n")
    assert isinstance(draft.record, Dataset)
    assert isinstance(draft.record.storage, S3Storage)
    found = [(shard.key, shard.checksum and shard.checksum.digest) for shard in draft.record.storage.shards]
    assert found == [("x/y-a.tar", digests[1]), ("x/y-b.tar", digests[0])]
    assert draft.record.size == Size(shards=2, bytes=20)


# --- blobs ---------------------------------------------------------------------------------------------------


def test_a_blob_is_named_by_its_bytes_without_any_upload(tmp_path: Path) -> None:
    """Its CID is version 1, raw, SHA-256 of the file: what a PDS will call it."""
    digests = shards(tmp_path, "data/b.tar", "data/a.tar")
    draft = dataset(tmp_path, "    blobs: {local: data/*.tar}\n")
    names = ("data/a.tar", "data/b.tar")
    cids = [Cid.of_block(name.encode(), RAW) for name in names]
    assert draft.blobs == tuple(
        LocalBlob(path=tmp_path / name, cid=cid, size=len(name)) for name, cid in zip(names, cids, strict=True)
    )
    assert draft.blobs[0].mime_type == "application/x-tar"
    assert draft.local == tuple(tmp_path / name for name in names)
    assert isinstance(draft.record, Dataset)
    assert draft.record.storage == BlobStorage(
        blobs=tuple(
            BlobShard(cid=cid, mime_type="application/x-tar", size=10, checksum=Checksum(algorithm="sha256", digest=it))
            for cid, it in zip(cids, reversed(digests), strict=True)
        )
    )
    assert draft.record.size == Size(shards=2, bytes=20)
    assert read_record(records.DATASET, draft.value) == draft.record


def test_a_blob_that_is_elsewhere_is_named_by_what_is_stated(tmp_path: Path) -> None:
    """With checksum and bytes stated the record is the same, whether the file is there or not."""
    (digest,) = shards(tmp_path, "a.tar")
    storage = f"    blobs:\n      - {{local: a.tar, sha256: {digest}, bytes: 5}}\n"
    here = dataset(tmp_path, storage)
    (tmp_path / "a.tar").unlink()
    gone = dataset(tmp_path, storage)
    assert gone.cid == here.cid
    assert [blob.path for blob in here.blobs] == [tmp_path / "a.tar"]
    assert gone.blobs == (replace(here.blobs[0], path=None),)
    assert gone.local == ()


@pytest.mark.parametrize("stated", ["", "sha256: " + "ab" * 32, "bytes: 5"])
def test_a_blob_that_is_elsewhere_needs_both(tmp_path: Path, stated: str) -> None:
    """Half of what is needed isn't enough; the manifest itself is fine."""
    drafts = load([written(tmp_path, f"datasets: [{{name: d, schema: S@1.0.0, blobs: {{local: a.tar, {stated}}}}}]")])
    with pytest.raises(InvalidManifest, match=r"m\.yaml:2: the local copy '.*a\.tar' can't be read"):
        made(drafts)


@pytest.mark.parametrize(
    ("local", "hint"),
    [
        ("data/iris-000.tar", "did you mean 'iris-0000.tar'?"),
        ("dat/iris-0000.tar", "did you mean 'data'?"),
        ("data/zzz", "paths are relative to the manifest"),
        ("zzz/iris-0000.tar", "there is no folder 'zzz'; paths are relative to the manifest"),
        ("zzz/yyy/iris-0000.tar", "there is no folder 'zzz'; paths are relative to the manifest"),
        ("/zzz/iris-0000.tar", "there is no folder 'zzz'; paths are relative to the manifest"),
        ("data/iris-0000.tar/x", "there is no folder 'iris-0000.tar'"),
        ("x" * 3000, "paths are relative to the manifest"),
    ],
)
@pytest.mark.parametrize("kind", ["blobs: {local: %s}", "shards: [{url: 'https://example.org/x', local: %s}]"])
def test_a_copy_that_is_missing_is_told_with_what_looks_like_it(
    tmp_path: Path, kind: str, local: str, hint: str
) -> None:
    """A file or folder of a similar name, where the path ends that is right."""
    shards(tmp_path, "data/iris-0000.tar", "iris-0000.tar.d/x")
    drafts = load([written(tmp_path, f"datasets: [{{name: d, schema: S@1.0.0, {kind % local}}}]")])
    with pytest.raises(InvalidManifest) as caught:
        made(drafts)
    (fault,) = caught.value.faults
    assert (fault.where, "can't be read" in fault.message) == (f"{tmp_path / 'm.yaml'}:2", True)
    assert (fault.hint or "").startswith(hint)


@pytest.mark.parametrize("stated", ["sha256: " + "ab" * 32, "bytes: 6"])
def test_a_blob_must_be_as_stated(tmp_path: Path, stated: str) -> None:
    """A file that isn't the one promised is a fault, at its line."""
    shards(tmp_path, "a.tar")
    drafts = load([written(tmp_path, f"datasets: [{{name: d, schema: S@1.0.0, blobs: {{local: a.tar, {stated}}}}}]")])
    with pytest.raises(InvalidManifest, match=r"m\.yaml:2: '(sha256|bytes)' is .*, but '.*a\.tar' has"):
        made(drafts)


@pytest.mark.parametrize(("size", "fine"), [(52_428_800, True), (52_428_801, False), (0, False)])
def test_the_size_of_a_blob_is_checked_without_reading_it(tmp_path: Path, size: int, *, fine: bool) -> None:
    """At once when the manifest is read, and again when the file is."""
    with (tmp_path / "a.tar").open("wb") as file:
        file.truncate(size)
    file_ = written(tmp_path, "datasets: [{name: d, schema: S@1.0.0, blobs: {local: a.tar}}]")
    if fine:
        assert made(load([file_]))[1].blobs[0].size == size
        return
    expected = f"{file_}:2: '{tmp_path / 'a.tar'}' has {size:,} bytes; a blob has 1 to 52,428,800"
    with pytest.raises(InvalidManifest) as caught:
        load([file_])
    assert str(caught.value).startswith(expected)
    (tmp_path / "a.tar").write_bytes(b"x")
    drafts = load([file_])
    with (tmp_path / "a.tar").open("wb") as file:
        file.truncate(size)
    with pytest.raises(InvalidManifest) as caught:
        made(drafts)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma"])
def test_a_packed_file_is_no_blob(tmp_path: Path, module: str) -> None:
    """A server would call it something else than a tar, and refuse the record."""
    (tmp_path / "a.tar").write_bytes(import_module(module).compress(b"x" * 600))
    drafts = load([written(tmp_path, "datasets: [{name: d, schema: S@1.0.0, blobs: {local: a.tar}}]")])
    with pytest.raises(
        InvalidManifest, match=r"m\.yaml:2: '.*a\.tar' is packed with (gzip|bzip2|xz); a blob is a plain"
    ):
        made(drafts)


def test_a_blob_of_code_is_never_named_by_a_stand_in(tmp_path: Path) -> None:
    """A draft that nobody can name is refused when records are made for somebody."""
    draft = DatasetDraft(
        file=tmp_path / "x.py",
        line=3,
        lines={},
        name="d",
        schema=SchemaKey(name="S", version="1.0.0"),
        shards=(ShardDraft(url="x.tar", line=3),),
        as_blobs=True,
        metadata={},
    )
    with pytest.raises(InvalidManifest, match=r"x\.py:3: 'x\.tar' has no known hash"):
        made(ManifestSet(files=(), datasets=(draft,)))


# --- patterns of files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.tar", ["a.tar", "b.tar"]),
        ("d/*.tar", ["d/a.tar", "d/b.tar"]),
        ("*/*.tar", ["d/a.tar", "d/b.tar", "e/a.tar"]),
        ("*/a.tar", ["d/a.tar", "e/a.tar"]),
        ("./*.tar", ["./a.tar", "./b.tar"]),
        ("d/../*.tar", ["d/../a.tar", "d/../b.tar"]),
        ("*a*r", ["a.tar", "b.tar"]),
        ("*.t*r", ["a.tar", "b.tar", "x.t[1]r"]),
        ("x.t[1]*", ["x.t[1]r"]),
        (".h*", [".h.tar"]),
        ("a.tar*", ["a.tar"]),
        ("a.tar", ["a.tar"]),
        ("absent.tar", ["absent.tar"]),
        ("n-{8..10}.tar", ["n-8.tar", "n-9.tar", "n-10.tar"]),
        ("?.tar*", []),
        ("a.tar*r", []),
        ("a.tar/*", []),
        ("absent/*", []),
    ],
)
def test_a_star_stands_for_any_characters_within_a_name(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    """Files only, sorted, hidden ones by their dot alone; no other character is special."""
    shards(tmp_path, "b.tar", "a.tar", ".h.tar", "d/b.tar", "d/a.tar", "e/a.tar", "e/f/a.tar", "x.t[1]r")
    (tmp_path / "e.tar").mkdir()
    report = Report(tmp_path / "m.yaml")
    assert named_files(pattern, 1, report) == expected
    assert len(report) == (not expected)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text("ab*", min_size=1, max_size=8), names=st.sets(st.text("ab", min_size=1, max_size=6), max_size=6))
def test_a_star_means_what_a_shell_means(
    tmp_path_factory: pytest.TempPathFactory, pattern: str, names: set[str]
) -> None:
    """The slow obvious way, pathlib's, finds the same."""
    assume("**" not in pattern and "*" in pattern)
    folder = tmp_path_factory.mktemp("x")
    shards(folder, *names)
    report = Report(folder / "m.yaml")
    assert named_files(pattern, 1, report) == sorted(path.name for path in folder.glob(pattern))
    assert len(report) == (not list(folder.glob(pattern)))


def test_a_pattern_that_would_search_the_whole_disk_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many names are looked at and no more."""
    shards(tmp_path, *(f"d{n}/{m}.tar" for n in range(5) for m in range(5)))
    monkeypatch.setattr("catalog.manifest.glob._MAX_NAMES_LISTED", 29)
    report = Report(tmp_path / "m.yaml")
    assert named_files("*/*.tar", 1, report) == []
    assert "lists more than 29 files" in str(report.faults()[0])
    monkeypatch.setattr("catalog.manifest.glob._MAX_NAMES_LISTED", 30)
    assert len(named_files("*/*.tar", 1, report)) == 25


def test_no_pattern_stands_for_more_files_than_a_dataset_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted for a star as for a range."""
    shards(tmp_path, "a", "b", "c")
    report = Report(tmp_path / "m.yaml")
    monkeypatch.setattr("catalog.manifest.glob.MAX_SHARDS", 3)
    assert named_files("*", 1, report) == ["a", "b", "c"]
    monkeypatch.setattr("catalog.manifest.glob.MAX_SHARDS", 2)
    assert named_files("*", 2, report) == named_files("{1..3}", 3, report) == []
    assert [fault.message for fault in report.faults()] == [
        "'*' matches 3 files; the most is 2",
        "the pattern expands to 3 shards; the most is 2",
    ]


def test_a_folder_that_may_not_be_read_holds_nothing(tmp_path: Path) -> None:
    """No other error comes out, whatever the disk says."""
    (tmp_path / "loop").symlink_to("loop")
    report = Report(tmp_path / "m.yaml")
    for pattern in ("loop/*", "*/x", "lo*", "x" * 5000 + "/*", "/dev/null/*", "/proc/self/mem/*"):
        assert named_files(pattern, 1, report) == []
    assert len(report) == 6


# --- labels and sets -----------------------------------------------------------------------------------------

LABELS = """\
datasets:
  - {name: d, schema: S@1.0.0, version: 1.0.0, shards: [{url: "https://example.org/d.tar"}]}
labels:
  - name: latest
    dataset: d
  - name: d
    version: 0.9.0
    description: As it was.
    dataset: at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.entry/3kaaaaaaaaa2a
"""


def test_labels_are_records_behind_their_datasets(tmp_path: Path) -> None:
    """The one of a dataset's version, and those written out: of the set's datasets and of others'."""
    found = made(load([written(tmp_path, LABELS)]))
    entry = found[1]
    other = AtUri.parse("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.entry/3kaaaaaaaaa2a")
    assert [one.record for one in found[2:]] == [
        Label(name="d", version="1.0.0", dataset=entry.uri, created_at=NOW),
        Label(name="latest", dataset=entry.uri, created_at=NOW),
        Label(name="d", version="0.9.0", dataset=other, created_at=NOW, description="As it was."),
    ]
    assert [one.key for one in found[2:]] == [
        (records.LABEL, "d", "1.0.0"),
        (records.LABEL, "latest", ""),
        (records.LABEL, "d", "0.9.0"),
    ]
    assert [one.version for one in found[2:]] == ["1.0.0", None, "0.9.0"]
    assert [(one.line, one.line_of("datasetUri")) for one in found[3:]] == [(5, 6), (7, 10)]
    assert all(read_record(records.LABEL, one.value) == one.record for one in found[2:])


def test_a_label_may_be_in_another_file_than_its_dataset(tmp_path: Path) -> None:
    """Names resolve across the files of a set, in any order."""
    (tmp_path / "a.yaml").write_text("labels: [{name: newest, dataset: d}]\n", encoding="utf-8")
    written(tmp_path, LABELS)
    found = load([tmp_path])
    first = found.labels[0]
    assert isinstance(first, LabelDraft)
    assert (first.name, first.dataset) == ("newest", "d")
    with pytest.raises(InvalidManifest, match="there is no dataset 'd'"):
        load([tmp_path / "a.yaml"])


def test_a_set_is_called_default_unless_it_says_otherwise(tmp_path: Path) -> None:
    """One file's word is enough."""
    written(tmp_path, LABELS)
    assert load([tmp_path]).name == "default"
    (tmp_path / "a.yaml").write_text("set: Œuvres\n", encoding="utf-8")
    assert load([tmp_path]).name == "Œuvres"


def test_records_are_marked_only_when_that_is_asked_for(tmp_path: Path) -> None:
    """The mark is one more field at the top of every record, and in its CID."""
    drafts = load([written(tmp_path, LABELS + "set: mine\n")])
    plain, marked = made(drafts), made(drafts, mark=drafts.name)
    assert all(MARK not in one.value for one in plain)
    assert [one.value for one in marked] == [{**one.value, "manifestSet": "mine"} for one in plain]
    assert not {one.cid for one in plain} & {one.cid for one in marked}
    assert all(read_record(one.collection, one.value) == one.record for one in marked)


def test_anchors_reach_across_keys_and_every_form_of_a_field(tmp_path: Path) -> None:
    """An anchor may stand in one section and its alias in another, for a value, a list or a map."""
    shards(tmp_path, "a.tar")
    text = """\
schemas:
  - name: &name Sample
    version: &version 1.0.0
    license: &licence CC0-1.0
    tags: &tags [one, two]
    description: &text What it is.
    fields:
      short: int
      marked: str?
      long: &long {type: "array[float32, *]", description: Long., dimensions: [time]}
      again: *long
      said: {type: str, optional: true}
datasets:
  - name: *name
    schema: Sample@1.0.0
    version: *version
    license: *licence
    tags: *tags
    description: *text
    metadata: &free {tags: *tags}
    content_metadata: *free
    blobs: &stored {local: a.tar}
  - {name: other, schema: Sample@1.0.0, blobs: *stored}
labels:
  - {name: alias, version: *version, description: *text, dataset: *name}
"""
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    schema, sample, other, label, alias = made(load([tmp_path]))
    assert isinstance(schema.record, records.Schema)
    fields = {field.name: field for field in schema.record.sample_type.fields}
    assert replace(fields["again"], name="long") == fields["long"]
    assert [name for name, field in fields.items() if field.optional] == ["marked", "said"]
    assert isinstance(sample.record, Dataset)
    assert isinstance(other.record, Dataset)
    assert (sample.record.license, sample.record.tags) == ("CC0-1.0", ("one", "two"))
    assert sample.record.storage == other.record.storage
    assert sample.record.content_metadata == {"tags": ["one", "two"]}
    assert (label.name, alias.name, alias.value["datasetUri"]) == ("Sample", "alias", sample.uri)
    assert alias.line_of("description") == 25


# --- drafts on the site --------------------------------------------------------------------------------------


class Seen(PackableSample):
    """Return the contents of the drafts' shards."""

    picture: NDArray[np.uint8]
    label: int


SITE = """\
site_name: Drafts
site_url: https://drafts.example/
theme: {name: material, font: false}
plugins:
  - catalog:
      store: .catalog/catalog.sqlite
      previews: {samples: 2}
      sources: [{manifests: manifests}]
nav: [{Home: index.md}, {Datasets: datasets/index.md}]
"""

DRAFTS = """\
schemas: [{name: Seen, version: 1.0.0, fields: {picture: "array[uint8, *, *]", label: int}}]
datasets:
  - name: in blobs
    schema: Seen@1.0.0
    version: 1.0.0
    blobs: {local: "../data/*.tar"}
  - name: in a bucket
    schema: Seen@1.0.0
    s3: {bucket: example-data, endpoint: "https://s3.example.org", local: "../data/*.tar", prefix: seen/}
  - name: elsewhere
    schema: Seen@1.0.0
    blobs: [{local: gone.tar, sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", bytes: 7}]
labels:
  - {name: latest, dataset: in blobs}
"""


def test_drafts_in_buckets_and_blobs_have_pages_that_load_their_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``catalog build`` without any network; what a page says how to load is loaded as it says."""
    samples = [Seen(picture=np.full((6, 5), n, np.uint8), label=n) for n in range(4)]
    (tmp_path / "data").mkdir()
    infos = write_shards(samples, tmp_path / "data" / "seen-%06d.tar", maxcount=2)
    for name, text in {"mkdocs.yml": SITE, "docs/index.md": "# Drafts\n", "manifests/m.yaml": DRAFTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = forked.run(
        [sys.executable, "-m", "catalog", "build"],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    pages = {}
    for file in (tmp_path / "site" / "datasets").glob("*/*/index.html"):
        text = file.read_text(encoding="utf-8")
        found = re.search(r"<h1[^>]*>(.*?)</h1>", text, re.DOTALL)
        assert found is not None
        pages[re.sub(r"<[^>]+>", "", found[1]).strip()] = (file, text)
    assert set(pages) == {"in blobs", "in a bucket", "elsewhere"}
    monkeypatch.chdir(tmp_path)
    for name in ("in blobs", "in a bucket"):
        file, text = pages[name]
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        assert "previews are" not in plain
        assert "isn’t published" in plain
        call = re.search(r"Dataset\((.*)\)", plain)
        assert call is not None
        loaded = Samples(ast.literal_eval(call[1]), Seen)
        assert [sample.label for sample in loaded] == [0, 1, 2, 3]
        assert len(list(file.parent.glob("preview-*"))) == 2
    for info in infos:
        assert f"s3://example-data/seen/{info.path.name}" in pages["in a bucket"][1]
        assert Cid.of_block(info.path.read_bytes(), RAW) in pages["in blobs"][1]
    assert "latest" in pages["in blobs"][1]
    assert "bafkreiabencwpcnlzxxqci2fm6e2xtppaerukz4jvpg66ajdivtytk6n54" in pages["elsewhere"][1]
    assert "Dataset(" not in pages["elsewhere"][1]
