"""Data that doesn't fit its record: each kind is stopped by validate, plan and publish, with one line per shard."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner

from catalog.cli import cli
from catalog.config import NetworkSettings
from catalog.errors import InvalidManifest
from catalog.manifest import load
from catalog.publish.checksums import with_checksums
from catalog.samples import conformance
from catalog.shards.hash_local import LocalHasher
from tests.fakes import fake_server
from tests.shardfiles import labelled_image as sample
from tests.shardfiles import npy
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
FIELDS = '{image: "array[uint8, 2, 3]", label: int, writer: str, weight: float?, tags: "list[str]?"}'
LINE = 4


def shard_of(*samples: bytes) -> bytes:
    return tar_of(*((f"{number:03d}.msgpack", raw) for number, raw in enumerate(samples)))


GOOD = shard_of(sample(), sample(weight=1), sample(tags=["x"], extra="ignored"))
CSV = b"image,label\n1,2\n3,4\n5,6\n"

KINDS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "wrong dtype": (
        shard_of(sample(image=npy(np.zeros((2, 3), "float32")))),
        ("sample 000", "'image'", "array[uint8, 2, 3]", "array[float32, 2, 3]"),
    ),
    "wrong shape": (
        shard_of(sample(), sample(image=npy(np.zeros((3, 2), "uint8")))),
        ("1 of 2", "sample 001", "'image'", "array[uint8, 2, 3]", "array[uint8, 3, 2]"),
    ),
    "missing field": (shard_of(sample(writer=None)), ("'writer'", "expected str", "found nothing")),
    "bytes for an array": (shard_of(sample(image=b"raw pixels")), ("sample 000", "'image'")),
    "text for a number": (shard_of(sample(label="seven")), ("'label'", "expected int", "found str")),
    "number for text": (shard_of(sample(writer=7)), ("'writer'", "expected str", "found int")),
    "truth for a number": (shard_of(sample(label=True)), ("'label'", "expected int", "found bool")),
    "item of another type": (shard_of(sample(tags=["a", 1])), ("'tags'", "found int")),
    "no map": (shard_of(msgpack.packb([1, 2])), ("sample 000", "map")),
    "no msgpack": (shard_of(b"\xc1"), ("sample 000", "msgpack")),
    "another schema in the last sample": (
        shard_of(*[sample()] * 40, msgpack.packb({"text": "x"})),
        ("1 of 41", "sample 040", "'image'", "found nothing"),
    ),
    "ordinary WebDataset": (
        tar_of(("0.jpg", b"\xff\xd8\xff"), ("0.cls", b"7"), ("1.jpg", b"\xff\xd8\xff"), ("1.cls", b"7")),
        ("2 of 2", "webdataset", "sample 0", "'image'"),
    ),
    "truncated": (GOOD[:2000], ("cut short",)),
    "empty file": (b"", ("empty",)),
    "web page": (b"<!DOCTYPE html><html><body>Sign in, please</body></html>", ("web page",)),
    "LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
        ("Git LFS",),
    ),
    "CSV under the name of a tar": (CSV, ("a CSV table under the name of a tar",)),
    "gzip of a web page": (gzip.compress(b"<html><body>Quota exceeded</body></html>"), ("web page",)),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(2000), ("HDF5",)),
    "NumPy array": (npy(np.zeros(9)), ("NumPy",)),
    "zip file": (b"PK\x03\x04" + bytes(2000), ("zip",)),
    "tar of other files": (tar_of(("README", b"hello")), ("sample",)),
}


def manifest(folder: Path, more: str = "", *, fields: str = FIELDS, shards: str | None = None) -> Path:
    """The shard is on line ``LINE``."""
    shards = shards or '{url: "https://data.host.org/s.tar", local: s.tar}'
    file = folder / "m.yaml"
    file.write_text(
        f"schemas: [{{name: S, version: 1.0.0, fields: {fields}}}]\n"
        f"datasets:\n  - {{name: d, schema: S@1.0.0, license: CC0-1.0, description: numbers of a test{more},\n"
        f"     shards: [{shards}]}}\n",
        encoding="utf-8",
    )
    return file


def faults(file: Path, **options: Any) -> list[str]:  # noqa: ANN401 - of with_checksums
    hasher = LocalHasher(file.parent / "cache")
    with pytest.raises(InvalidManifest) as caught:
        with_checksums(load([file]), **{"read_urls": False, "settings": LOOPBACK, "hasher": hasher, **options})
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_does_not_fit_its_record_is_one_line(tmp_path: Path, kind: str) -> None:
    raw, words = KINDS[kind]
    (tmp_path / "s.tar").write_bytes(raw)
    [fault] = faults(manifest(tmp_path))
    assert fault.startswith(f"{tmp_path}/m.yaml:{LINE}: '{tmp_path}/s.tar'")
    assert "\n" not in fault
    assert [word for word in words if word not in fault] == []


def test_data_that_fits_is_counted(tmp_path: Path) -> None:
    """The control; fields that the schema doesn't have are ignored, as by readers."""
    (tmp_path / "s.tar").write_bytes(GOOD)
    done = with_checksums(load([manifest(tmp_path)]), read_urls=False, settings=LOOPBACK, hasher=LocalHasher())
    assert done.datasets[0].samples == 3


def test_a_stated_number_of_samples_must_be_that_of_the_shards(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(GOOD)
    [fault] = faults(manifest(tmp_path, ", samples: 4"))
    assert "'samples' is 4" in fault


@pytest.mark.parametrize("command", [["validate"], ["plan", "--handle", "a.test"], ["publish", "--handle", "a.test"]])
def test_the_commands_stop_before_any_request(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.tar").write_bytes(KINDS["text for a number"][0])
    ran = CliRunner().invoke(cli, [*command, str(manifest(tmp_path))])
    assert ran.exit_code == 1
    lines = [
        line for line in str(ran.exception or ran.stderr).splitlines() + ran.stderr.splitlines() if "s.tar" in line
    ]
    assert lines
    assert all(f"m.yaml:{LINE}: " in line and "'label'" in line for line in lines)
    assert "0 of 0" not in ran.output


def test_an_unchanged_shard_is_not_read_again_until_the_schema_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.shards.hash_local._RACY_NANOSECONDS", 0)
    (tmp_path / "s.tar").write_bytes(GOOD)
    read: list[str] = []
    examine = conformance.SampleCheck.__call__

    def watched(self: conformance.SampleCheck, source: Any, where: str) -> Any:  # noqa: ANN401
        read.append(where)
        return examine(self, source, where)

    monkeypatch.setattr(conformance.SampleCheck, "__call__", watched)
    for _ in range(3):
        [fault] = faults(manifest(tmp_path, fields="{image: int}"))
        assert "'image': expected int" in fault
    assert read == ["s.tar"]
    [fault] = faults(manifest(tmp_path, fields="{image: str}"))
    assert "'image': expected str" in fault
    assert read == ["s.tar"] * 2


def test_a_file_of_two_datasets_is_compared_with_the_schema_of_each(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(shard_of(sample()))
    file = tmp_path / "m.yaml"
    one = "{{name: {0}, schema: {1}@1.0.0, shards: [{{url: 'https://data.host.org/{0}.tar', local: s.tar}}]}}"
    file.write_text(
        f"schemas:\n  - {{name: S, version: 1.0.0, fields: {FIELDS}}}\n"
        "  - {name: T, version: 1.0.0, fields: {label: str}}\n"
        f"datasets:\n  - {one.format('a', 'S')}\n  - {one.format('b', 'T')}\n",
        encoding="utf-8",
    )
    [fault] = faults(file)
    assert fault.startswith(f"{file}:6: ")
    assert "T@1.0.0" in fault


@pytest.mark.parametrize(("compare", "found"), [(0, False), (2, False), (3, True), (None, True)])
def test_so_many_samples_are_compared(tmp_path: Path, compare: int | None, *, found: bool) -> None:
    (tmp_path / "s.tar").write_bytes(shard_of(sample(), sample(), sample(label="x"), sample()))
    file = manifest(tmp_path)
    if found:
        [fault] = faults(file, compare=compare)
        assert f"1 of {compare or 4}" in fault
    else:
        done = with_checksums(load([file]), read_urls=False, settings=LOOPBACK, hasher=LocalHasher(), compare=compare)
        assert done.datasets[0].samples == 4


def test_shards_at_addresses_are_compared_in_the_pass_that_hashes_them(tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.fakes import answer

    page = KINDS["web page"][0]
    promised = hashlib.sha256(GOOD).hexdigest()
    routes: Any = {
        "/good.tar": lambda handler, _: answer(handler, GOOD, 200),
        "/page.tar": lambda handler, _: answer(handler, page, 200),
        "/label.tar": lambda handler, _: answer(handler, KINDS["text for a number"][0], 200),
    }
    with fake_server(routes) as server:
        entries = (
            '{url: "https://data.host.org/good.tar"}, {url: "https://data.host.org/label.tar"}, '
            f'{{url: "https://data.host.org/page.tar", sha256: "{promised}"}}'
        )
        found = load([manifest(tmp_path, shards=entries)])
        [draft] = found.datasets
        at = tuple(replace(shard, url=shard.url.replace("https://data.host.org", server.url)) for shard in draft.shards)
        found = replace(found, datasets=(replace(draft, shards=at),))
        with pytest.raises(InvalidManifest) as caught:
            with_checksums(found, read_urls=True, settings=LOOPBACK, hasher=LocalHasher(tmp_path / "cache"))
    label, wrong = (str(fault) for fault in caught.value.faults)
    assert "label.tar" in label
    assert "'label': expected int, found str" in label
    assert f"'sha256' is {promised}" in wrong
    assert "web page" in wrong


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma"])
def test_a_packed_blob_is_one_fault(tmp_path: Path, module: str) -> None:
    """A server would refuse it, after the upload."""
    (tmp_path / "s.tar").write_bytes(import_module(module).compress(GOOD))
    file = manifest(tmp_path)
    file.write_text(
        file.read_text().replace(
            'shards: [{url: "https://data.host.org/s.tar", local: s.tar}]', "blobs: {local: s.tar}"
        )
    )
    [fault] = faults(file)
    assert "is packed with" in fault


def test_validate_says_nothing_of_copies_that_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    ran = CliRunner().invoke(cli, ["validate", "--json", str(manifest(tmp_path))])
    assert json.loads(ran.stdout)["ok"] is True
