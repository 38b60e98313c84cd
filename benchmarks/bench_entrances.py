"""Time the commands that turn files of seven kinds into a published dataset, a loaded sample and a page.

    python benchmarks/bench_entrances.py [--samples 500] [--only webdataset,csv]

The files are written by the libraries that people use for them. Each kind has an account of its own on a reference PDS
on this machine, and is published as blobs, without a web server. Every command runs in a fresh process; a draft is
published as it was written. Exit code 1 if a kind needs more than five commands, or one of more than 100 characters.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shlex
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.crawl_network import environment_of, memory_folder, running_network
from benchmarks.rows import Results

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Account, Network

__all__ = ["ENTRANCES", "Entrance", "Step", "enter"]

MOST_COMMANDS, MOST_CHARACTERS = 5, 100
SITES = ("pond", "wood", "field")


# --- files -------------------------------------------------------------------------------------------------------


def picture(number: int) -> bytes:
    """Return a small JPEG."""
    from PIL import Image, ImageDraw

    shade = number * 37 % 200
    image = Image.new("RGB", (160, 120), (255 - shade, 200, 55 + shade))
    draw = ImageDraw.Draw(image)
    left = number * 13 % 90
    draw.ellipse((left, 20, left + 60, 90), fill=(shade, 60, 90))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_webdataset(folder: Path, samples: int) -> None:
    """Write images, labels, JSON, text and arrays, as ``webdataset`` writes them."""
    import webdataset as wds

    (folder / "birds").mkdir()
    with wds.ShardWriter(str(folder / "birds" / "birds-%06d.tar"), maxcount=max(1, samples // 2), verbose=0) as sink:
        for number in range(samples):
            sink.write({
                "__key__": f"{number:06d}",
                "jpg": picture(number),
                "cls": number % 3,
                "json": {"site": SITES[number % 3], "hour": 6 + number % 12},
                "txt": f"a wren, seen {number} times",
                "npy": np.full((4, 8), number, np.float32),
            })  # fmt: skip


def write_img2dataset(folder: Path, samples: int) -> None:
    """Write tars, tables and statistics as img2dataset lays them out; failed downloads are only in the tables."""
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "pictures").mkdir()
    per_shard = max(2, samples // 2)
    for shard in range(2):
        rows: list[dict[str, object]] = []
        with tarfile.open(folder / "pictures" / f"{shard:05d}.tar", "w") as tar:
            for number in range(per_shard):
                failed = number % 10 == 9
                row: dict[str, object] = {
                    "url": f"https://pictures.example.net/{number}.jpg", "caption": f"a picture of {number}",
                    "key": f"{shard:05d}{number:04d}", "status": "failed_to_download" if failed else "success",
                    "error_message": "HTTP Error 404" if failed else None, "width": None if failed else 160,
                    "height": None if failed else 120, "exif": None if failed else "{}",
                }  # fmt: skip
                rows.append(row)
                if not failed:
                    members = (
                        ("jpg", picture(number)), ("json", json.dumps(row, indent=4).encode()),
                        ("txt", str(row["caption"]).encode()),
                    )  # fmt: skip
                    for field, data in members:
                        member = tarfile.TarInfo(f"{row['key']}.{field}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
        parquet.write_table(pa.Table.from_pylist(rows), folder / "pictures" / f"{shard:05d}.parquet")
        statistics = {"count": per_shard, "successes": per_shard - per_shard // 10, "duration": 1.5}
        (folder / "pictures" / f"{shard:05d}_stats.json").write_text(json.dumps(statistics, indent=4))


def write_parquet(folder: Path, samples: int) -> None:
    """Write images, classes and nested columns, as Hugging Face ``datasets`` writes them."""
    import datasets

    datasets.disable_progress_bars()
    boxes = {
        "bbox": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
        "category": datasets.List(datasets.Value("int64")),
    }
    features = datasets.Features({
        "image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]),
        "caption": datasets.Value("string"), "objects": boxes, "source": {"camera": datasets.Value("string")},
    })  # fmt: skip
    numbers = range(samples)
    columns = {
        "image": [{"bytes": picture(number), "path": None} for number in numbers],
        "label": [number % 2 for number in numbers],
        "caption": [f"pet {number}" for number in numbers],
        "objects": [{"bbox": [[1, 2, 3, 4.5]] * (number % 3), "category": [0] * (number % 3)} for number in numbers],
        "source": [{"camera": SITES[number % 3]} for number in numbers],
    }
    datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / "pets.parquet")


def write_csv(folder: Path, samples: int) -> None:
    """Write a table of measurements as the UCI repository has them: semicolons, and a header in quotation marks."""
    with (folder / "winequality-red.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["fixed acidity", "volatile acidity", "pH", "alcohol", "quality"])
        for number in range(samples):
            acids = round(7 + number % 9 / 10, 1), round(0.2 + number % 7 / 100, 2)
            writer.writerow([*acids, round(3 + number % 5 / 10, 2), round(9 + number % 40 / 10, 1), 3 + number % 6])


def write_jsonl(folder: Path, samples: int) -> None:
    """Write objects with text, lists and objects inside."""
    with (folder / "reviews.jsonl").open("w", encoding="utf-8") as file:
        for number in range(samples):
            user = {"name": f"reader {number % 9}", "age": None if number % 3 else 30}
            row = {"id": number, "text": f"A fine day ☀, number {number}", "stars": number % 5 + 1, "user": user}
            file.write(json.dumps({**row, "tags": ["short"] * (number % 3)}, ensure_ascii=False) + "\n")


def write_images(folder: Path, samples: int) -> None:
    """Write a folder for each split, with one for each class."""
    for number in range(samples):
        split, kind = "train" if number % 5 else "test", ("cat", "dog")[number % 2]
        path = folder / "photos" / split / kind / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))


def write_hdf5(folder: Path, samples: int) -> None:
    """Write a group for each split, with signals, labels and names."""
    import h5py

    with h5py.File(folder / "waves.h5", "w") as file:
        for split, count in (("train", samples - samples // 5), ("test", samples // 5)):
            group = file.create_group(split)
            group["signal"] = np.arange(count * 128, dtype=np.float32).reshape(count, 2, 64)
            group["label"] = np.arange(count) % 10
            group["station"] = [f"station {number % 7}" for number in range(count)]


# --- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A kind of files: ``source`` is what the first command is given, ``first`` that command."""

    name: str
    what: str
    source: str
    write: Callable[[Path, int], None]
    imported: bool = False

    @property
    def first(self) -> str:
        """The command that drafts the manifest."""
        if self.imported:
            return f"catalog import {self.source} --blobs -o shards"
        return f"catalog manifest from-shards {self.source} --blobs -o {self.dataset}.yaml"

    @property
    def dataset(self) -> str:
        """The name of the dataset, which is that of the files."""
        return self.source.partition(".")[0]

    @property
    def manifest(self) -> str:
        """The file that the first command writes."""
        return f"shards/{self.dataset}.yaml" if self.imported else f"{self.dataset}.yaml"


ENTRANCES = (
    Entrance(name="webdataset", what="a WebDataset", source="birds", write=write_webdataset),
    Entrance(name="img2dataset", what="a folder of img2dataset", source="pictures", write=write_img2dataset),
    Entrance(name="parquet", what="a Parquet file of datasets", source="pets.parquet", write=write_parquet),
    Entrance(name="csv", what="a CSV file", source="winequality-red.csv", write=write_csv),
    Entrance(name="jsonl", what="a JSON Lines file", source="reviews.jsonl", write=write_jsonl),
    Entrance(name="images", what="a folder of images", source="photos", write=write_images, imported=True),
    Entrance(name="hdf5", what="an HDF5 file", source="waves.h5", write=write_hdf5, imported=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that ran: its seconds, and what it printed."""

    command: str
    seconds: float
    output: str


def enter(
    entrance: Entrance,
    folder: Path,
    network: Network,
    account: Account,
    start: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> list[Step]:
    """Run the commands of a kind of files in their folder, as its owner. Raises :class:`SystemExit` if one fails.

    ``start`` runs a process as :func:`subprocess.run` does.
    """
    environment = {
        **environment_of(network), "CATALOG_HANDLE": account.handle, "CATALOG_APP_PASSWORD": account.password,
        "CATALOG_CACHE": str(folder / ".cache"),
    }  # fmt: skip

    def run(command: str) -> Step:
        words = [sys.executable, "-m", "catalog", *shlex.split(command)[1:]]
        begun = time.perf_counter()
        done = start(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise SystemExit(f"$ {command}\n{done.stdout}{done.stderr}")
        return Step(command=command, seconds=seconds, output=done.stdout + done.stderr)

    steps = [run(entrance.first), run(f"catalog publish --yes {entrance.manifest}")]
    found = re.search(r"at://\S+/science\.alt\.dataset\.entry/\S+", steps[-1].output)
    if found is None:
        raise SystemExit(f"no dataset was published:\n{steps[-1].output}")
    steps += [run(f"catalog load {found[0]}"), run(f"catalog init pages --handle {account.handle} --published")]
    return [*steps, run("catalog build -f pages/mkdocs.yml")]


def page_of(folder: Path) -> Path:
    """Return the page of the only dataset."""
    (found,) = (folder / "pages" / "site" / "datasets").glob("*/*/index.html")
    return found


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def measure(entrance: Entrance, network: Network, samples: int, results: Results) -> list[str]:
    """Run one kind of files; print and add its rows. Return the commands."""
    account = network.account(entrance.name)
    with TemporaryDirectory(dir=memory_folder()) as scratch:
        folder = Path(scratch)
        entrance.write(folder, samples)
        given = size_of(folder / entrance.source)
        steps = enter(entrance, folder, network, account)
        page = size_of(page_of(folder).parent)
    uploads = sum(int(size.replace(",", "")) for size in re.findall(r"\(([\d,]+) bytes\)", steps[1].output))
    print(f"{entrance.what}: {given / 1e3:,.0f} kB of files, {uploads / 1e3:,.0f} kB published", flush=True)
    results.add(f"{entrance.what}: files", "kB", given / 1e3)
    results.add(f"{entrance.what}: published", "kB", uploads / 1e3)
    for step in steps:
        shown = re.sub(r"at://\S+", "URI", step.command).replace(account.handle, "HANDLE")
        print(f"  {step.seconds:6.2f} s  $ {shown}", flush=True)
        results.add(f"{entrance.what}: `{shown}`", "s", step.seconds)
    results.add(f"{entrance.what}: all commands", "s", sum(step.seconds for step in steps))
    results.add(f"{entrance.what}: its page and the files beside it", "kB", page / 1e3)
    return [step.command for step in steps]


def main() -> int:
    """Run all kinds of files, print, compare with what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--samples", type=int, default=500, help="samples of each kind")
    parser.add_argument("--only", default="", help="names with commas between them")
    asked = parser.parse_args()
    only = set(filter(None, asked.only.split(",")))
    with running_network() as network:
        commands = [
            measure(entrance, network, asked.samples, results)
            for entrance in ENTRANCES
            if not only or entrance.name in only
        ]
    most, longest = max(map(len, commands)), max(len(command) for each in commands for command in each)
    print(f"commands of a kind: at most {most}; the longest has {longest} characters")
    results.add("commands of each, at most", "", most, wanted=MOST_COMMANDS)
    results.add("characters of a command, at most", "", longest, wanted=MOST_CHARACTERS)
    results.write(asked)
    return 0 if most <= MOST_COMMANDS and longest <= MOST_CHARACTERS else 1


if __name__ == "__main__":
    sys.exit(main())
