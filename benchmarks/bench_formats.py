"""Compare iteration over ordinary WebDatasets and tables with the libraries that people read them with.

    python benchmarks/bench_formats.py [--quick] [--only webdataset,parquet]

One file is read by both programs, each in fresh processes in turn; the best of several runs counts, and imports are not
timed. Ours are typed samples. Files are in memory if the system has a RAM disk. Before the measurement the values that
both read are compared. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from catalog import Dataset, Media, PackableSample, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SIDE = 256


# --- files -------------------------------------------------------------------------------------------------------


def jpeg(number: int) -> bytes:
    """Return a JPEG of about 15 kB: a smooth picture with some noise."""
    chance = np.random.default_rng(number)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    waves = np.stack([np.sin(rows / (9 + shift)) + np.cos(columns / (7 + shift)) for shift in range(3)], axis=-1)
    pixels = (waves * 50 + 128 + chance.normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_webdataset(folder: Path, samples: int) -> None:
    """Write images, classes and JSON, as ``webdataset`` writes them."""
    import webdataset as wds

    pictures = [jpeg(number) for number in range(16)]
    with wds.TarWriter(str(folder / "birds.tar")) as sink:
        for number in range(samples):
            about = {"site": f"pond {number % 9}", "hour": number % 24, "tags": ["wren", "adult"], "score": number / 7}
            sink.write({"__key__": f"{number:07d}", "jpg": pictures[number % 16], "cls": number, "json": about})


def columns(samples: int) -> dict[str, list[Any]]:
    """Return the columns of a table: numbers, text, a truth value."""
    numbers = range(samples)
    return {
        "label": list(numbers), "score": [number / 7 for number in numbers],
        "name": [f"station {number % 97}" for number in numbers], "wet": [number % 3 == 0 for number in numbers],
    }  # fmt: skip


def write_parquet(folder: Path, samples: int) -> None:
    """Write a Parquet file of four plain columns."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns(samples)), folder / "rows.parquet", row_group_size=10_000)


def write_blobs(folder: Path, samples: int) -> None:
    """Write a Parquet file with 3 kB of bytes and a list of numbers a row."""
    import pyarrow as pa
    from pyarrow import parquet

    chance = np.random.default_rng(3)
    raw = [chance.bytes(3000) for _ in range(64)]
    numbers = range(samples)
    table = pa.table({
        "label": list(numbers), "raw": [raw[number % 64] for number in numbers],
        "position": pa.array([[number / 2] * 8 for number in numbers], pa.list_(pa.float32())),
    })  # fmt: skip
    parquet.write_table(table, folder / "blobs.parquet", row_group_size=1000)


def write_csv(folder: Path, samples: int) -> None:
    """Write the same rows as CSV."""
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        table = columns(samples)
        writer.writerow(table)
        writer.writerows(
            (label, score, name, str(wet).lower()) for label, score, name, wet in zip(*table.values(), strict=True)
        )


def write_jsonl(folder: Path, samples: int) -> None:
    """Write the same rows as JSON Lines."""
    table = columns(samples)
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(
            json.dumps(dict(zip(table, row, strict=True))) + "\n" for row in zip(*table.values(), strict=True)
        )


# --- readers -----------------------------------------------------------------------------------------------------


class Bird(PackableSample):
    """An image as bytes, its class and JSON."""

    jpg: Annotated[bytes, Media("image/jpeg")]
    label: int = wire("cls")
    json: dict[str, Any]


class Picture(PackableSample):
    """The same with the image decoded."""

    jpg: Image.Image
    label: int = wire("cls")
    json: dict[str, Any]


class Row(PackableSample):
    """A row of plain columns."""

    label: int
    score: float
    name: str
    wet: bool


class Blob(PackableSample):
    """A row with bytes and an array."""

    label: int
    raw: bytes
    position: np.ndarray[Any, np.dtype[np.float32]]


def ours(path: Path, sample_class: type[PackableSample]) -> Iterable[Any]:
    """Return typed samples."""
    return Dataset(path, sample_class)


def by_webdataset(path: Path, *images: str) -> Iterable[Any]:
    """Return samples as ``webdataset`` decodes them."""
    import webdataset as wds

    return wds.WebDataset(str(path), shardshuffle=False).decode(*images)  # type: ignore[no-any-return] # no types


def by_datasets(path: Path, builder: str) -> Iterable[Any]:
    """Return rows as Hugging Face ``datasets`` streams them."""
    from datasets import load_dataset

    return load_dataset(builder, data_files=str(path), split="train", streaming=True)  # type: ignore[no-any-return]


def by_pandas(path: Path) -> Iterable[Any]:
    """Return rows as pandas reads them, in blocks."""
    import pandas as pd

    if path.suffix == ".csv":
        blocks: Iterable[Any] = pd.read_csv(path, chunksize=10_000)
    else:
        blocks = pd.read_json(path, lines=True, chunksize=10_000, precise_float=True)
    return (row for block in blocks for row in block.to_dict("records"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file, its readers, and the ratio that is wanted of them."""

    name: str
    what: str
    file: str
    write: Callable[[Path, int], None]
    sample_class: type[PackableSample]
    peers: Mapping[str, Callable[[Path], Iterable[Any]]]
    samples: int
    quick: int
    wanted: float | None = None


CASES = (
    Case(
        name="webdataset", what="WebDataset, images as bytes", file="birds.tar", write=write_webdataset,
        sample_class=Bird, peers={"webdataset": by_webdataset}, samples=20_000, quick=3000, wanted=1.5,
    ),
    Case(
        name="images", what="WebDataset, images decoded", file="birds.tar", write=write_webdataset,
        sample_class=Picture, peers={"webdataset": lambda path: by_webdataset(path, "pil")}, samples=20_000,
        quick=1000, wanted=1.0,
    ),
    Case(
        name="parquet", what="Parquet, plain columns", file="rows.parquet", write=write_parquet, sample_class=Row,
        peers={"datasets": lambda path: by_datasets(path, "parquet")}, samples=200_000, quick=50_000, wanted=1.0,
    ),
    Case(
        name="blobs", what="Parquet, 3 kB of bytes and a list", file="blobs.parquet", write=write_blobs,
        sample_class=Blob, peers={"datasets": lambda path: by_datasets(path, "parquet")}, samples=50_000, quick=10_000,
        wanted=1.0,
    ),
    Case(
        name="csv", what="CSV", file="rows.csv", write=write_csv, sample_class=Row,
        peers={"datasets": lambda path: by_datasets(path, "csv"), "pandas": by_pandas}, samples=200_000, quick=50_000,
    ),
    Case(
        name="jsonl", what="JSON Lines", file="rows.jsonl", write=write_jsonl, sample_class=Row,
        peers={"datasets": lambda path: by_datasets(path, "json"), "pandas": by_pandas}, samples=200_000,
        quick=50_000,
    ),
)  # fmt: skip


# --- one process -------------------------------------------------------------------------------------------------


def reader_of(case: Case, who: str, folder: Path) -> Iterable[Any]:
    """Return the samples of a case by one reader."""
    path = folder / case.file
    return ours(path, case.sample_class) if who == "ours" else case.peers[who](path)


def child(case: Case, who: str, folder: Path, samples: int) -> None:
    """Iterate once; print the seconds, without those of imports."""
    import_module("pyarrow.parquet")

    found = reader_of(case, who, folder)
    names = list(case.sample_class.__dataclass_fields__)  # type: ignore[attr-defined] # it is a dataclass
    renamed = {"label": "cls"} if case.file == "birds.tar" else {}
    theirs = [renamed.get(name, name) for name in names]
    count = total = 0
    start = time.perf_counter()
    if who == "ours":
        for sample in found:
            for name in names:
                getattr(sample, name)
            count, total = count + 1, total + sample.label
    else:
        label = theirs[names.index("label")]
        for sample in found:
            for name in theirs:
                sample[name]
            count, total = count + 1, total + sample[label]
    seconds = time.perf_counter() - start
    if (count, total) != (samples, samples * (samples - 1) // 2):
        sys.exit(f"{who}, {case.name}: {count} samples with labels of {total}")
    print(seconds)


def measured(case: Case, who: str, folder: Path, samples: int) -> float:
    """Iterate once in a fresh process; return the seconds."""
    command = [sys.executable, __file__, "--child", who, case.name, str(folder), str(samples)]
    quiet = {**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        sys.exit(f"{who}, {case.name}: failed\n{done.stderr[-2000:]}")
    return float(done.stdout)


# --- all of them -------------------------------------------------------------------------------------------------


def check(case: Case, folder: Path) -> None:
    """Compare the values that all read."""
    names = list(case.sample_class.__dataclass_fields__)  # type: ignore[attr-defined]
    for who in case.peers:
        for mine, theirs in zip(reader_of(case, "ours", folder), reader_of(case, who, folder), strict=True):
            for name in names:
                other = theirs["cls" if name == "label" and "cls" in theirs else name]
                value = getattr(mine, name)
                same = mine is None or (
                    np.array_equal(np.asarray(value), np.asarray(other))
                    if isinstance(value, Image.Image | np.ndarray)
                    else value == other
                )
                if not same:
                    sys.exit(f"{case.name}, {who}: {name} is {value!r:.200}, not {other!r:.200}")


def compare(case: Case, folder: Path, samples: int, rounds: int, results: Results) -> bool:
    """Time one file with all its readers; print and add rows. Return whether the target is reached."""
    found: dict[str, list[float]] = {who: [] for who in ("ours", *case.peers)}
    for _ in range(rounds):
        for who, seconds in found.items():
            seconds.append(measured(case, who, folder, samples))
    mine = samples / min(found["ours"])
    reached = True
    for who in case.peers:
        theirs = samples / min(found[who])
        print(f"  {case.what:36} {mine:11,.0f} {theirs:11,.0f} samples/s {mine / theirs:7.2f}  {who}", flush=True)
        row = results.add(
            case.what if len(case.peers) == 1 else f"{case.what}, {who}", "samples/s", mine, peer=named(who),
            theirs=theirs, better="higher", wanted_ratio=case.wanted,
        )  # fmt: skip
        reached = reached and not row.missed
    return reached


def main() -> int:
    """Write the files, compare what all read, time all, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--only", default="", help="names with commas between them")
    parser.add_argument("--child", nargs=4, metavar=("WHO", "CASE", "FOLDER", "SAMPLES"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    by_name = {case.name: case for case in CASES}
    if asked.child is not None:
        who, name, folder, samples = asked.child
        child(by_name[name], who, Path(folder), int(samples))
        return 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a place of its own is made in it
    only = [name for name in asked.only.split(",") if name] or list(by_name)
    print(f"  {'':36} {'ours':>11} {'other':>11} {'ratio':>17}")
    reached = True
    for case in (by_name[name] for name in only):
        with TemporaryDirectory(prefix="bench-formats-", dir=memory) as temporary:
            folder = Path(temporary)
            case.write(folder, 50)
            check(case, folder)
            samples = case.quick if asked.quick else case.samples
            case.write(folder, samples)
            reached = compare(case, folder, samples, asked.rounds, results) and reached
    results.write(asked)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
