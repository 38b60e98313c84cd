"""``catalog import``: shards that hold what the files held, by the libraries that wrote them; resumed after a kill."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
import yaml
import zarr
from click.testing import CliRunner
from numcodecs import Pickle, VLenUTF8
from PIL import Image
from pyarrow import parquet
from webdataset import autodecode, tariterators

from catalog import Dataset
from catalog.cli import cli
from catalog.config import NetworkSettings
from catalog.errors import DataError
from catalog.manifest import load
from catalog.publish.imports import draft_manifest, numpy_files, open_source, plan_import, run_import
from catalog.publish.infer_manifest import sketch
from catalog.samples.packable import class_from
from catalog.schema import Array, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RANDOM = np.random.default_rng(17)
STR, INT = Scalar(kind="str"), Scalar(kind="int")
NAMES = np.array([f"é{number}" for number in range(7)])


def image(path: Path, size: int = 8) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(path)
    return path.read_bytes()


def imported(source: Path, folder: Path, **options: Any) -> list[Path]:  # noqa: ANN401
    """Import with at most two samples a shard; the tars in order."""
    only, sample = options.pop("only", ()), options.pop("sample", None)
    plan = plan_import(open_source(source, only=only, sample=sample), per_shard=options.pop("per_shard", 2))
    found = run_import(plan, folder, workers=1, **options)
    (folder / plan.manifest).write_text(draft_manifest(plan, found, folder), encoding="utf-8")
    return [shard.path for shard in found.shards]


def fields_of(source: Path, **options: Any) -> dict[str, object]:  # noqa: ANN401
    return {field.name: field.type for field in open_source(source, **options).fields}


def by_webdataset(tars: list[Path]) -> list[dict[str, Any]]:
    """The samples as webdataset decodes them."""
    samples: list[dict[str, Any]] = []
    for path in tars:
        with path.open("rb") as file:
            members = ({**member, "__url__": str(path)} for member in tariterators.tar_file_iterator(file))
            samples += map(autodecode.Decoder([]), tariterators.group_by_keys(members))
    return [
        {name: value for name, value in sample.items() if name[:2] != "__" or name == "__key__"} for sample in samples
    ]


def rows(tars: list[Path]) -> list[dict[str, Any]]:
    return [dict(sample) for sample in Dataset(tars)]


# --- images --------------------------------------------------------------------------------------------------


def test_folders_are_classes_and_splits(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    given = {
        f"{split}/{kind}/{name}": image(photos / split / kind / name)
        for split in ("val", "train")
        for kind in ("dog", "cat")
        for name in ("1.JPG", "2.png")
    }
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "train" / "readme.txt").write_text("not an image")
    tars = imported(photos, tmp_path / "out")
    assert [path.name for path in tars] == [
        "photos-train-000000.tar",
        "photos-train-000001.tar",
        "photos-validation-000000.tar",
        "photos-validation-000001.tar",
    ]
    assert by_webdataset(tars) == [
        {
            "__key__": f"{split}/{kind}/{name[0]}",
            name[2:].lower(): given[f"{split}/{kind}/{name}"],
            "cls": label,
            "txt": kind,
        }
        for split in ("train", "val")
        for label, kind in enumerate(("cat", "dog"))
        for name in ("1.JPG", "2.png")
    ]
    assert any("1 txt" in note for note in open_source(photos).notes)


@pytest.mark.parametrize(
    "paths", [["a/1.png", "a/2.png"], ["1.png", "2.png"], ["a/1.png", "b/c/2.png"]], ids=["one class", "flat", "depths"]
)
def test_folders_that_are_no_classes(tmp_path: Path, paths: list[str]) -> None:
    for path in paths:
        image(tmp_path / "photos" / path)
    assert [set(sample) for sample in by_webdataset(imported(tmp_path / "photos", tmp_path / "out"))] == [
        {"__key__", "png"},
        {"__key__", "png"},
    ]


def test_images_of_one_name_have_different_keys(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b c.png", "b.c.png"):
        image(tmp_path / "photos" / name)
    keys = [sample["__key__"] for sample in by_webdataset(imported(tmp_path / "photos", tmp_path / "out"))]
    assert keys == ["a", "a~2", "b_c", "b_c~2"]


def test_rows_of_metadata_csv_belong_to_their_images(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    first, second = image(photos / "1.png"), image(photos / "deep" / "2.jpg")
    image(photos / "unnamed.png")
    (photos / "metadata.csv").write_bytes(
        '\ufefffile_name,caption,count,score,zip,gap\ndeep/2.jpg,"a, b",2,0.5,01234,\n1.png,é,3,1,5,4\n'.encode()
    )
    assert by_webdataset(imported(photos, tmp_path / "out")) == [
        {"__key__": "deep/2", "jpg": second,
         "json": {"caption": "a, b", "count": 2, "score": 0.5, "zip": "01234", "gap": None}},
        {"__key__": "1", "png": first, "json": {"caption": "é", "count": 3, "score": 1.0, "zip": "5", "gap": 4}},
    ]  # fmt: skip
    assert any("without a row" in note for note in open_source(photos).notes)


def test_rows_of_metadata_parquet_belong_to_their_images(tmp_path: Path) -> None:
    """Times are text, arrays lists, and NaN is null, as JSON has them."""
    photos = tmp_path / "photos"
    first, second = image(photos / "1.png"), image(photos / "deep" / "2.jpg")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    rows = [
        {"file_name": "deep/2.jpg", "caption": "a", "box": [1, 2], "at": at, "score": float("nan"), "meta": {"x": 1}},
        {"file_name": "1.png", "caption": None, "box": [3, 4], "at": at, "score": 0.5, "meta": {"x": 2}},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), photos / "metadata.parquet")
    given = {"at": "2026-01-02T00:00:00+00:00"}
    assert by_webdataset(imported(photos, tmp_path / "out")) == [
        {"__key__": "deep/2", "jpg": second,
         "json": {"caption": "a", "box": [1, 2], **given, "score": None, "meta": {"x": 1}}},
        {"__key__": "1", "png": first,
         "json": {"caption": None, "box": [3, 4], **given, "score": 0.5, "meta": {"x": 2}}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "where", "word"),
    [
        ([{"file_name": "1.png", "a": b"x"}], "metadata.parquet:1", "bytes in the column 'a'"),
        ([{"file_name": "1.png", "a": 1}, {"file_name": "2.png", "a": 1}], "metadata.parquet:2", "2.png"),
        ([{"name": "1.png"}], "metadata.parquet:1", "file_name"),
    ],
)
def test_metadata_parquet_that_does_not_fit(tmp_path: Path, rows: list[dict[str, Any]], where: str, word: str) -> None:
    image(tmp_path / "photos" / "1.png")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "photos" / "metadata.parquet")
    with pytest.raises(DataError, match=word) as caught:
        open_source(tmp_path / "photos")
    assert caught.value.where == where


def test_metadata_jsonl_may_name_several_images_a_row(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    picture, mask = image(photos / "in" / "1.jpg"), image(photos / "in" / "1_mask.png")
    row = {"image_file_name": "1.jpg", "mask_file_name": "1_mask.png", "boxes": [[1, 2], [3, 4]]}
    (photos / "in" / "metadata.jsonl").write_text(json.dumps(row) + "\n\n")
    assert by_webdataset(imported(photos, tmp_path / "out")) == [
        {"__key__": "in/1", "image.jpg": picture, "mask.png": mask, "json": {"boxes": row["boxes"]}}
    ]


@pytest.mark.parametrize(
    ("name", "text", "where", "word"),
    [
        ("metadata.csv", "file_name,a\nnone.png,1\n", "metadata.csv:2", "none.png"),
        ("metadata.csv", "file_name,a\n../1.png,1\n", "metadata.csv:2", "../1.png"),
        ("metadata.csv", "name,a\n1.png,1\n", "metadata.csv:2", "file_name"),
        ("metadata.csv", "file_name,a\n1.png,1,2\n", "metadata.csv:2", "3 cells"),
        ("metadata.csv", "file_name,a,a\n1.png,1,2\n", "metadata.csv:1", "'a'"),
        ("metadata.csv", "file_name,a\n1.png,1\n1.png,2\n", "metadata.csv:3", "second row"),
        ("metadata.csv", "file_name,a\n", "metadata.csv", "no rows"),
        ("metadata.jsonl", '{"file_name": "1.png"}\n[1]\n', "metadata.jsonl:2", "object"),
        ("metadata.jsonl", '{"file_name": "1.png", "a": NaN}\n', "metadata.jsonl:1", "JSON"),
        ("metadata.jsonl", "{\n", "metadata.jsonl:1", "JSON"),
        ("metadata.jsonl", '{"file_name": "1.png", "a": 1, "a": 2}\n', "metadata.jsonl:1", "'a' occurs twice"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, name: str, text: str, where: str, word: str) -> None:
    image(tmp_path / "photos" / "1.png")
    (tmp_path / "photos" / name).write_text(text)
    with pytest.raises(DataError, match=word) as caught:
        open_source(tmp_path / "photos")
    assert caught.value.where == where


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    image(tmp_path / "photos" / "1.png")
    (tmp_path / "photos" / "2.png").write_bytes(b"<!DOCTYPE html>")
    (tmp_path / "photos" / "3.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 files are not an image: 2\.png.*3\.jpg"):
        open_source(tmp_path / "photos")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, kind: str) -> None:
    image(tmp_path / "photos" / "1.png")
    image(tmp_path / "secret" / "2.png")
    target = tmp_path / "secret" / "2.png" if kind == "file" else tmp_path / "secret"
    (tmp_path / "photos" / "link.png").symlink_to(target)
    with pytest.raises(DataError, match="outside of the folder"):
        open_source(tmp_path / "photos")


# --- arrays --------------------------------------------------------------------------------------------------


def test_hdf5_groups_are_splits_and_datasets_fields(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for split, count in (("test", 3), ("train", 5)):
            group = file.create_group(split)
            group.create_dataset("image", data=RANDOM.random((count, 4, 2), dtype=np.float32), chunks=(2, 4, 2))
            group["label"] = np.arange(count, dtype=np.uint8)
            group["name"] = [f"é{number}" for number in range(count)]
            group["fixed"] = np.array([b"ab", b"c"] * count, dtype="S2")[:count]
            group["flag"] = np.arange(count) % 2 == 0
            group["wave"] = RANDOM.random((count, 2)) + 1j
            varying = group.create_dataset("path", (count,), dtype=h5py.vlen_dtype("i4"))
            for number in range(count):
                varying[number] = np.arange(number)
        file["version"] = 3
    tars = imported(tmp_path / "d.h5", tmp_path / "out")
    with h5py.File(tmp_path / "d.h5") as file:
        assert [path.name for path in tars] == [
            *(f"d-train-{number:06d}.tar" for number in range(3)),
            *(f"d-test-{number:06d}.tar" for number in range(2)),
        ]
        samples = rows(tars)
        expected = [(file[split], number) for split, count in (("train", 5), ("test", 3)) for number in range(count)]
        for sample, (group, number) in zip(samples, expected, strict=True):
            assert sample["label"] == group["label"][number]
            assert sample["name"] == group["name"].asstr()[number]
            assert sample["fixed"] == group["fixed"][number].decode()
            assert sample["flag"] is bool(group["flag"][number])
            for name in ("image", "wave", "path"):
                assert sample[name].dtype == group[name][number].dtype
                np.testing.assert_array_equal(sample[name], group[name][number])
    assert fields_of(tmp_path / "d.h5") == {
        "fixed": STR,
        "flag": Scalar(kind="bool"),
        "image": Array(dtype="float32", shape=(4, 2)),
        "label": INT,
        "name": STR,
        "path": Array(dtype="int32", shape=(None,)),
        "wave": Array(dtype="complex128", shape=(2,)),
    }
    assert any("/version is left out" in note for note in open_source(tmp_path / "d.h5").notes)


def test_a_table_of_hdf5_has_a_field_a_column(tmp_path: Path) -> None:
    kind = np.dtype([("id", "i8"), ("name", h5py.string_dtype()), ("position", "f4", (3,))])
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["table"] = np.array([(1, "a", (1, 2, 3)), (2, "ü", (4, 5, 6))], dtype=kind)
    first, second = rows(imported(tmp_path / "t.h5", tmp_path / "out"))
    assert (first["id"], first["name"], first["position"].tolist()) == (1, "a", [1, 2, 3])
    assert (second["id"], second["name"], second["position"].tolist()) == (2, "ü", [4, 5, 6])


def test_arrays_of_different_lengths_need_a_choice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["image"], file["label"], file["mean"] = np.zeros((4, 2)), np.arange(4), np.zeros(2)
    with pytest.raises(DataError, match="mean 2") as caught:
        open_source(tmp_path / "d.h5")
    assert caught.value.hint is not None
    assert "--field image --field label" in caught.value.hint
    assert set(fields_of(tmp_path / "d.h5", only=("image", "label"))) == {"image", "label"}
    with pytest.raises(DataError, match="'picture'"):
        open_source(tmp_path / "d.h5", only=("picture",))


def test_hdf5_does_not_open_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(3)
    (tmp_path / "raw.bin").write_bytes(bytes(24))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["y"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("y", (3,), "i8", external=[(str(tmp_path / "raw.bin"), 0, 24)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
        file.create_virtual_dataset("y", layout)
    for name in ("link", "raw", "virtual"):
        with pytest.raises(DataError, match=r"'/y'.*another file"):
            open_source(tmp_path / f"{name}.h5")


def test_damaged_hdf5_and_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(DataError, match="HDF5"):
        open_source(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "latin.h5", "w") as file:
        file["name"] = np.array([b"ok", b"\xe9"], dtype="S2")
    with pytest.raises(DataError, match="UTF-8") as caught:
        imported(tmp_path / "latin.h5", tmp_path / "out")
    assert caught.value.where == "/name, row 1"


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(tmp_path: Path, version: int) -> None:
    values = RANDOM.random((7, 3), dtype=np.float32)
    root = zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=version)
    group = root.create_group("in")
    group.create_array("image", shape=(7, 3), chunks=(2, 3), dtype="float32")[:] = values
    root.create_array("label", shape=(7,), chunks=(3,), dtype=">i2")[:] = np.arange(7)
    root.create_array("name", shape=(7,), chunks=(3,), dtype=str if version == 3 else "U4")[:] = NAMES
    samples = rows(imported(tmp_path / "d.zarr", tmp_path / "out"))
    assert [(sample["label"], sample["name"]) for sample in samples] == [(number, f"é{number}") for number in range(7)]
    np.testing.assert_array_equal(np.stack([sample["image"] for sample in samples]), values)
    assert fields_of(tmp_path / "d.zarr")["image"] == Array(dtype="float32", shape=(3,))


def test_zarr_with_text_of_any_length(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=2)
    texts = ["", "a", "long " * 100]
    root.create_array("name", shape=(3,), chunks=(2,), dtype=str, filters=[VLenUTF8()])[:] = np.array(texts, object)
    assert [sample["name"] for sample in rows(imported(tmp_path / "d.zarr", tmp_path / "out"))] == texts


def test_zarr_does_not_unpickle(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=2)
    folder = tmp_path / "d.zarr" / "evil"
    folder.mkdir()
    facts = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None,
             "order": "C", "filters": [Pickle().get_config()]}  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(facts))
    (folder / "0").write_bytes(Pickle().encode(np.array([print], dtype=object)))
    with pytest.raises(DataError, match="'pickle'"):
        open_source(tmp_path / "d.zarr")


def test_zarr_with_a_link_out_of_the_folder(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=3)
    root.create_array("x", shape=(2,), chunks=(2,), dtype="i4")[:] = 1
    (tmp_path / "secret").write_bytes(b"secret!!")
    chunk = tmp_path / "d.zarr" / "x" / "c" / "0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="outside of the folder"):
        open_source(tmp_path / "d.zarr")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_splits_in_its_names(tmp_path: Path, save: Callable[..., None]) -> None:
    given = {"x_train": RANDOM.random((5, 2, 3)), "y_train": np.arange(5), "y_test": np.arange(3)}
    given["x_test"] = np.asfortranarray(RANDOM.random((3, 2, 3)))
    save(tmp_path / "d.npz", **given)
    tars = imported(tmp_path / "d.npz", tmp_path / "out")
    samples = rows(tars)
    assert [path.name.split("-")[1] for path in tars] == ["train"] * 3 + ["test"] * 2
    assert [sample["y"] for sample in samples] == [0, 1, 2, 3, 4, 0, 1, 2]
    expected = np.concatenate([given["x_train"], given["x_test"]])
    np.testing.assert_array_equal(np.stack([sample["x"] for sample in samples]), expected)


def test_a_folder_of_npy_has_a_field_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "image.npy", np.asfortranarray(RANDOM.random((3, 2))))
    np.save(tmp_path / "d" / "when.npy", np.array(["2020-01-01", "NaT", "2021-05-06"], "M8[D]"))
    np.save(tmp_path / "d" / "name.npy", np.array(["a", "é", ""]))
    samples = rows(imported(tmp_path / "d", tmp_path / "out"))
    assert [(sample["when"], sample["name"]) for sample in samples] == [
        ("2020-01-01", "a"), (None, "é"), ("2021-05-06", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_numbered_files_are_samples(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "d").mkdir()
    volumes = [RANDOM.random((2, size)) for size in (3, 4, 5)]
    for number, volume in enumerate(volumes):
        path = tmp_path / "d" / f"scan{number:03}.{suffix}"
        np.save(path, volume) if suffix == "npy" else np.savez(path, array=volume)
    samples = rows(imported(tmp_path / "d", tmp_path / "out"))
    for sample, volume in zip(samples, volumes, strict=True):
        np.testing.assert_array_equal(sample["array"], volume)
    assert fields_of(tmp_path / "d") == {"array": Array(dtype="float64", shape=(2, None))}


@pytest.mark.parametrize("name", ["d.npz", "d.npy"])
def test_arrays_of_objects_are_refused(tmp_path: Path, name: str) -> None:
    array = np.array([{"a": 1}, print], dtype=object)
    np.save(tmp_path / name, array) if name.endswith("npy") else np.savez(tmp_path / name, x=array)
    with pytest.raises(DataError, match="Python objects"):
        open_source(tmp_path / name)


def test_npz_that_is_cut_short(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros(1000))
    (tmp_path / "d.npz").write_bytes((tmp_path / "d.npz").read_bytes()[:4000])
    with pytest.raises(DataError, match="can't be read"):
        open_source(tmp_path / "d.npz")


# --- the whole way -------------------------------------------------------------------------------------------


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = RANDOM.random((24, 50))
    return tmp_path / "d.h5"


KILLED = """\
import os, pathlib, signal, sys
from catalog.publish.imports import open_source, plan_import, run_import
lines = []
def progress(line):
    lines.append(line)
    if len(lines) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
plan = plan_import(open_source(pathlib.Path(sys.argv[1])), per_shard=2)
run_import(plan, pathlib.Path(sys.argv[2]), workers=int(sys.argv[3]), progress=progress)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_import_that_was_killed_is_continued(tmp_path: Path, arrays: Path, workers: int) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    imported(arrays, calm)
    command = [sys.executable, "-c", KILLED, str(arrays), str(killed), str(workers)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (killed / ".d-000007.tar.1.part").write_bytes(b"left by the process that was killed")
    with (killed / ".import.jsonl").open("a") as file:
        file.write('{"shard": "d-000007.tar", "sam')
    plan = plan_import(open_source(arrays), per_shard=2)
    found = run_import(plan, killed, workers=1)
    assert found.kept == 3
    assert hashes(killed) == hashes(calm)
    assert [shard.sha256 for shard in found.shards] == list(hashes(calm).values())
    assert not list(killed.glob(".*.part"))
    assert run_import(plan, killed).kept == 12


def test_a_finished_shard_that_was_changed_is_written_again(tmp_path: Path, arrays: Path) -> None:
    first = imported(arrays, tmp_path / "out")
    expected = hashes(tmp_path / "out")
    changed = bytearray(first[3].read_bytes())
    changed[600] ^= 1
    first[3].write_bytes(changed)
    first[5].unlink()
    found = run_import(plan_import(open_source(arrays), per_shard=2), tmp_path / "out")
    assert found.kept == 10
    assert hashes(tmp_path / "out") == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_compressed_array_is_read_forwards_whatever_the_number_of_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Each shard would otherwise decompress all rows before it again."""
    np.savez_compressed(tmp_path / "d.npz", x=RANDOM.random((40, 3)), y=np.arange(40))
    opened: list[int] = []
    begin = numpy_files._Files._member

    def watched(self: Any, array: Any) -> Any:  # noqa: ANN401
        opened.append(1)
        return begin(self, array)

    monkeypatch.setattr(numpy_files._Files, "_member", watched)
    plan = plan_import(open_source(tmp_path / "d.npz"), per_shard=2)
    run_import(plan, tmp_path / "out", workers=workers)
    assert len(opened) == (2 if workers == 1 else 0), "each array once; other processes have opened their own"
    np.testing.assert_array_equal(
        [sample["y"] for sample in rows(sorted((tmp_path / "out").glob("*.tar")))], np.arange(40)
    )


def test_processes_write_the_same_as_one(tmp_path: Path) -> None:
    for number in range(8):
        image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    imported(tmp_path / "photos", tmp_path / "one")
    plan = plan_import(open_source(tmp_path / "photos"), per_shard=2)
    found = run_import(plan, tmp_path / "two", workers=2)
    assert hashes(tmp_path / "two") == hashes(tmp_path / "one")
    assert [shard.sha256 for shard in found.shards] == list(hashes(tmp_path / "one").values())


def test_an_error_in_a_process_keeps_its_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "latin.h5", "w") as file:
        file["name"] = np.array([b"ok", b"ok", b"ok", b"\xe9"], dtype="S2")
    plan = plan_import(open_source(tmp_path / "latin.h5"), per_shard=1)
    with pytest.raises(DataError, match="UTF-8") as caught:
        run_import(plan, tmp_path / "out", workers=2)
    assert caught.value.where == "/name, row 3"


def test_another_source_needs_another_folder(tmp_path: Path, arrays: Path) -> None:
    imported(arrays, tmp_path / "out")
    before = hashes(tmp_path / "out")
    with pytest.raises(DataError, match="other options") as caught:
        imported(arrays, tmp_path / "out", per_shard=3)
    assert caught.value.hint is not None
    assert "--force" in caught.value.hint
    assert hashes(tmp_path / "out") == before
    imported(arrays, tmp_path / "out", per_shard=12, force=True)
    (tmp_path / "out" / ".import.jsonl").unlink()
    with pytest.raises(DataError, match="already exists"):
        imported(arrays, tmp_path / "out", per_shard=12)


def test_shards_have_about_the_size_that_is_asked_for(tmp_path: Path, arrays: Path) -> None:
    plan = plan_import(open_source(arrays), shard_bytes=20_480)
    found = run_import(plan, tmp_path / "out", workers=1)
    assert sum(shard.samples for shard in found.shards) == 24
    assert all(shard.bytes == 20_480 for shard in found.shards)
    assert len(found.shards) > 1


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    error = result.exception
    text = result.stderr + (str(error) if error is not None and not isinstance(error, SystemExit) else "")
    return result.exit_code, result.stdout, text


def test_the_command_writes_shards_and_a_valid_manifest(tmp_path: Path, arrays: Path) -> None:
    out = tmp_path / "out"
    code, _, said = run("import", arrays, "-o", out, "--per-shard", 12, "--url-prefix", "https://data.example.org/d")
    assert code == 0, said
    manifest = yaml.safe_load((out / "d.yaml").read_text())
    (dataset,) = manifest["datasets"]
    assert dataset["samples"] == 24
    assert [shard["url"] for shard in dataset["shards"]] == [
        f"https://data.example.org/d/d-{number:06d}.tar" for number in range(2)
    ]
    assert {shard["local"]: shard["sha256"] for shard in dataset["shards"]} == hashes(out)
    assert load([out / "d.yaml"]).datasets[0].samples == 24
    code, _, said = run("import", arrays, "-o", out, "--per-shard", 12)
    assert code == 0
    assert "kept" in said


@pytest.mark.parametrize("metadata", [False, True])
def test_the_manifest_of_images_says_what_is_in_the_shards(tmp_path: Path, *, metadata: bool) -> None:
    """As from-shards infers it from them; and the samples are read with its schema."""
    photos = tmp_path / "photos"
    for number, name in enumerate(["train/cat/0.png", "train/dog/1.jpg", "test/cat/2.png", "test/dog/3.png"]):
        image(photos / name)
        if metadata:
            with (photos / "metadata.jsonl").open("a") as file:
                file.write(json.dumps({"file_name": name, "number": number}) + "\n")
    tars = imported(photos, tmp_path / "out")
    drafted = load([tmp_path / "out" / "photos.yaml"])
    found = sketch([str(path) for path in tars], settings=NetworkSettings())
    (dataset,) = drafted.datasets
    assert dataset.sample_format == found.format == "webdataset"
    assert [(split.name, split.shards, split.samples) for split in dataset.splits] == [
        ("train", (0,), 2),
        ("test", (1,), 2),
    ]
    sample_type = drafted.schemas[0].sample_type
    assert {field.name: (field.type, field.optional) for field in sample_type.fields} == {
        field.name: (field.type, field.optional) for field in found.seen.fields
    }
    samples = list(Dataset([str(path) for path in tars], class_from(sample_type)))
    assert [sample.__key__ for sample in samples] == ["train/cat/0", "train/dog/1", "test/cat/2", "test/dog/3"]


def test_a_dry_run_writes_nothing(tmp_path: Path, arrays: Path) -> None:
    before = sorted(tmp_path.iterdir())
    code, out, _ = run("import", arrays, "--dry-run", "--per-shard", 12)
    assert code == 0
    assert "array[float64, 50]" in out
    assert "2 shards" in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl", "s.tar"])
def test_what_needs_no_import_names_the_command(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    code, _, said = run("import", tmp_path / name, "-o", tmp_path / "out")
    assert code == 1
    assert "needs no import" in said
    assert f"catalog manifest from-shards {tmp_path / name}" in said


def test_a_folder_for_the_shards_is_required(arrays: Path) -> None:
    code, _, said = run("import", arrays)
    assert code == 2
    assert "--dry-run" in said


def test_shards_become_blobs_of_at_most_their_size(tmp_path: Path, arrays: Path) -> None:
    out = tmp_path / "out"
    code, _, said = run("import", arrays, "-o", out, "--blobs", "--per-shard", 12)
    assert code == 0
    assert "address" not in said
    [dataset] = load([out / "d.yaml"]).datasets
    assert dataset.as_blobs
    assert {shard.url: shard.sha256 for shard in dataset.shards} == hashes(out)
    for options in (["--shard-bytes", "60MB"], ["--url-prefix", "https://data.example.org"]):
        code, _, said = run("import", arrays, "-o", tmp_path / "other", "--blobs", *options)
        assert code == 2
        assert options[0] in said
    assert not (tmp_path / "other").exists()
