"""Shard manifests: written beside shards and for records, read tolerantly, exchanged with atdata."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, PackableSample, write_samples
from catalog.config import NetworkSettings
from catalog.errors import DataError
from catalog.manifest import load
from catalog.publish.checksums import with_checksums
from catalog.samples import shard_manifest
from catalog.samples.conformance import SampleCheck
from catalog.samples.shard_manifest import ShardManifest, manifest_paths, read_manifest
from catalog.shards.hash_local import LocalHasher
from catalog.syntax import Datetime, Did, Tid
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = ROOT / ".venv-atdata" / "bin" / "python"


class Digit(PackableSample):
    image: Annotated[NDArray[np.uint8], Array(shape=(4, 4))]
    label: int
    name: str | None
    score: float


def digits(count: int) -> list[Digit]:
    return [
        Digit(
            image=np.full((4, 4), number, np.uint8),
            label=number % 10,
            name=None if number % 4 == 0 else f"n{number}",
            score=number / 8,
        )
        for number in range(count)
    ]


def read(shard: Path) -> ShardManifest:
    header, table = manifest_paths(shard)
    return read_manifest(header.read_bytes(), table.read_bytes() if table.exists() else None, shard.name)


@pytest.mark.parametrize("form", ["msgpack", "webdataset", "parquet"])
def test_a_manifest_beside_each_shard(tmp_path: Path, form: Any) -> None:  # noqa: ANN401 - a name of a format
    dataset = write_samples(
        [{"image.npy": d.image, "label.cls": d.label, "name.txt": d.name or ""} for d in digits(25)]
        if form == "webdataset"
        else digits(25),
        tmp_path / ("d.parquet" if form == "parquet" else "d.tar"), maxcount=10, format=form, manifest=True,
    )  # fmt: skip
    number = 0
    for shard in dataset.shards:
        found = read(Path(shard.url))
        raw = Path(shard.url).read_bytes()
        assert (found.sha256, found.size, found.format) == ((shard.checksum or "")[7:], len(raw), form)
        label = "label.cls" if form == "webdataset" else "label"
        assert found.columns[label] == [n % 10 for n in range(number, number + found.samples)]
        for row in found.rows:
            if form == "parquet":  # rows without keys are numbered
                assert (row.key, row.offset) == (f"{number % 10:09d}", None)
            else:
                assert row.key == f"{number:08d}"
                assert row.offset is not None
                assert raw[row.offset - 512 :].startswith(row.key.encode())  # the header of its (first) member
            number += 1
        assert found.statistics[label].count == found.samples
        assert found.statistics["image.npy" if form == "webdataset" else "image"].shapes == (
            ("uint8", (4, 4), found.samples),
        )
    assert number == 25


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", '\ufeff{"a": 1}\n\n{"a": 2, "b": "é"}\n{"a": 3}'), ("a.csv", 'a,b\n1,x\n2,"y\nz"\n\n3,w\n')],
)  # fmt: skip
def test_offsets_of_rows_in_text_tables(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    check = SampleCheck(None, manifests=tmp_path / "kept")
    stats = LocalHasher().hash_files([path], {path: check})[path]
    assert not isinstance(stats, Exception)
    header, table = check.manifest_of(stats) or (path, None)
    assert table is not None
    found = read_manifest(header.read_bytes(), table.read_bytes(), name)
    raw = path.read_bytes()
    rows = [raw[row.offset : row.offset + (row.size or 0)].strip() for row in found.rows if row.offset is not None]
    assert len(rows) == 3
    assert rows[1] == ('{"a": 2, "b": "é"}'.encode() if name == "a.jsonl" else b'2,"y\nz"')


MANIFEST = """\
schemas:
  - {name: Digit, version: 1.0.0, fields: {image: "array[uint8, 4, 4]", label: int, name: str?, score: float}}
datasets:
  - name: digits
    schema: Digit@1.0.0
    license: CC0-1.0
    manifests: true
    shards: [{url: "https://data.example.org/d-{000000..000002}.tar", local: "d-{000000..000002}.tar"}]
"""


def records(folder: Path) -> Mapping[str, Any]:
    manifests = with_checksums(load([folder / "m.yaml"]), read_urls=False, settings=NetworkSettings())
    made = manifests.records(
        Did.parse("did:plc:abcdefghijklmnopqrstuvwx"), created_at=Datetime.parse("2026-01-01T00:00:00Z"),
        new_tid=lambda: Tid.at(1, 1), hash_local=False,
    )  # fmt: skip
    return {one.name: one for one in made}


def test_manifests_are_made_in_the_pass_that_hashes_and_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    write_samples(digits(25), tmp_path / "d.tar", maxcount=10)
    (tmp_path / "m.yaml").write_text(MANIFEST, encoding="utf-8")
    first, again = records(tmp_path)["digits"], records(tmp_path)["digits"]
    assert first.cid == again.cid
    assert len(first.blobs) == 6
    assert [set(one) for one in first.value["manifests"]] == [{"header", "samples"}] * 3
    mime_types = [(one["header"]["mimeType"], one["samples"]["mimeType"]) for one in first.value["manifests"]]
    assert mime_types == [("application/json", "application/octet-stream")] * 3
    found = read_manifest(first.blobs[2].path.read_bytes(), first.blobs[3].path.read_bytes(), "d")
    assert [row.key for row in found.rows] == [f"{number:08d}" for number in range(10, 20)]
    assert (found.schema_type, found.schema_version) == ("Digit", "1.0.0")
    assert found.sha256 == first.draft.shards[1].sha256
    for kept in (tmp_path / "cache" / "manifests").iterdir():  # they are made again if they are lost
        kept.unlink()
    assert records(tmp_path)["digits"].cid == first.cid


def test_without_pyarrow_only_the_header_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    for module in ("shard_manifest", "conformance"):
        monkeypatch.setattr(f"catalog.samples.{module}.find_spec", lambda _: None)
    write_samples(digits(25), tmp_path / "d.tar", maxcount=10)
    (tmp_path / "m.yaml").write_text(MANIFEST, encoding="utf-8")
    assert [set(one) for one in records(tmp_path)["digits"].value["manifests"]] == [{"header"}] * 3


def test_large_tables_lose_columns_and_never_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    from catalog.samples.manifest_builder import ManifestBuilder
    from catalog.shards.formats.jsonl import JSONL

    builder = ManifestBuilder(JSONL)
    chance = np.random.default_rng(1)
    for number in range(2000):
        builder.add(f"{number}", {"small": number % 7, "long": chance.bytes(60).hex()}, [number, number + 1])
    made = builder.finish()
    monkeypatch.setattr(shard_manifest, "MAX_TABLE", 60_000)
    raw = made.parquet()
    assert raw is not None
    assert pq.read_table(pa.BufferReader(raw)).column_names == ["__key__", "__offset__", "__size__", "small"]
    monkeypatch.setattr(shard_manifest, "MAX_TABLE", 100)
    assert len(pq.read_table(pa.BufferReader(made.parquet() or b""))) == 2000
    monkeypatch.setattr(shard_manifest, "MAX_HEADER", 1500)
    assert len(made.header("a")) <= 1500


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b'{"num_samples": -1}', b'{"num_samples": "3"}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_header_is_an_error(header: bytes) -> None:
    with pytest.raises(DataError):
        read_manifest(header, None, "a")


@pytest.mark.parametrize("table", [b"", b"PAR1", b"no table"])
def test_what_is_no_table_is_an_error(table: bytes) -> None:
    with pytest.raises(DataError):
        read_manifest(b'{"num_samples": 1}', table, "a")


THEIRS = """
import sys, json
import numpy as np
from dataclasses import dataclass
from numpy.typing import NDArray
from atdata.manifest import ManifestBuilder, ManifestWriter, ShardManifest
import atdata
base, theirs = sys.argv[1:]
found = ShardManifest.from_files(base + ".manifest.json", base + ".manifest.parquet")
@atdata.packable
class Point:
    label: str
    x: float
    n: int
builder = ManifestBuilder(sample_type=Point, shard_id="theirs")
for number in range(4):
    point = Point(label="ab"[number % 2], x=number / 2, n=number)
    builder.add_sample(key=f"{number}", offset=number, size=9, sample=point)
ManifestWriter(theirs).write(builder.build())
print(json.dumps([found.num_samples, found.aggregates["label"], list(found.samples["__key__"]),
                  [int(v) for v in found.samples["__offset__"]], [int(v) for v in found.samples["label"]]]))
"""


def test_atdata_reads_ours_and_theirs_are_read_here(tmp_path: Path) -> None:
    write_samples(digits(6), tmp_path / "ours.tar", manifest=True)
    ours = read(tmp_path / "ours.tar")
    command = [str(PYTHON), "-c", THEIRS, str(tmp_path / "ours"), str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    samples, label, keys, offsets, labels = json.loads(done.stdout.splitlines()[-1])
    assert (samples, keys) == (6, [row.key for row in ours.rows])
    assert offsets == [row.offset for row in ours.rows]
    assert (label["min"], label["max"], label["count"]) == (0, 5, 6)
    assert labels == [0, 1, 2, 3, 4, 5]
    theirs = read(tmp_path / "theirs.tar")
    assert (theirs.samples, theirs.sha256) == (4, None)
    assert [row.key for row in theirs.rows] == ["0", "1", "2", "3"]
    assert {row.offset for row in theirs.rows} == {None}  # their offsets aren't believed
    assert theirs.columns == {"label": ["a", "b", "a", "b"], "x": [0, 0.5, 1, 1.5], "n": [0, 1, 2, 3]}
    assert theirs.statistics["label"].top == (("a", 2), ("b", 2))
    assert (theirs.statistics["x"].min, theirs.statistics["x"].max) == (0, 1.5)
