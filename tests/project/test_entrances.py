"""Seven kinds of files, by at most five commands, are a published dataset, its samples and a page; no draft is edited.

The files are those of ``benchmarks/bench_entrances.py``, written by the real libraries, which also read them here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from pyarrow import parquet

from benchmarks.bench_entrances import ENTRANCES, MOST_CHARACTERS, MOST_COMMANDS, enter, page_of
from catalog import Dataset
from catalog.samples.annotations import plan_of
from tests import forked
from tests.publish.test_import import by_webdataset as decoded_by_webdataset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from playwright.sync_api import Page

    from benchmarks.bench_entrances import Entrance
    from tests.conftest import Network, Watch

SAMPLES = 20


def by_webdataset(folder: Path) -> list[dict[str, Any]]:
    samples = decoded_by_webdataset(sorted((folder / "birds").glob("*.tar")))
    return [{name: value for name, value in sample.items() if name != "__key__"} for sample in samples]


def by_tarfile(folder: Path) -> list[dict[str, Any]]:
    samples: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "pictures").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, field = member.name.partition(".")
                opened = tar.extractfile(member)
                assert opened is not None
                raw = opened.read()
                value = json.loads(raw) if field == "json" else raw.decode() if field == "txt" else raw
                samples.setdefault(key, {})[field] = value
    return list(samples.values())


def by_pyarrow(folder: Path) -> list[dict[str, Any]]:
    rows = parquet.read_table(folder / "pets.parquet").to_pylist()
    return [{**row, "image": row["image"]["bytes"]} for row in rows]


def by_csv(folder: Path) -> list[dict[str, Any]]:
    with (folder / "winequality-red.csv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";", quoting=csv.QUOTE_NONNUMERIC))


def by_json(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "reviews.jsonl").read_text("utf-8").splitlines()]


def by_path(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "photos").rglob("*.jpg"), key=lambda path: (path.parts[-3] != "train", path))
    return [
        {"jpg": path.read_bytes(), "cls": ("cat", "dog").index(path.parent.name), "txt": path.parent.name}
        for path in paths
    ]


def by_h5py(folder: Path) -> list[dict[str, Any]]:
    with h5py.File(folder / "waves.h5") as file:
        return [
            {
                "signal": file[split]["signal"][row],
                "label": file[split]["label"][row],
                "station": file[split]["station"].asstr()[row],
            }
            for split in ("train", "test")
            for row in range(len(file[split]["label"]))
        ]


READERS: Mapping[str, Callable[[Path], list[dict[str, Any]]]] = {
    "webdataset": by_webdataset, "img2dataset": by_tarfile, "parquet": by_pyarrow, "csv": by_csv, "jsonl": by_json,
    "images": by_path, "hdf5": by_h5py,
}  # fmt: skip


@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: str(entrance.name))
def test_files_become_a_dataset_and_a_page(
    entrance: Entrance, tmp_path: Path, network: Network, page: Page, watch: Watch, serve: Callable[[Path], str]
) -> None:
    entrance.write(tmp_path, SAMPLES)
    steps = enter(entrance, tmp_path, network, network.account(entrance.name), start=forked.run)
    assert len(steps) <= MOST_COMMANDS
    assert max(len(step.command) for step in steps) <= MOST_CHARACTERS
    found = re.search(r"at://\S+", steps[2].command)
    assert found is not None
    dataset: Dataset[Any] = Dataset.from_atproto(found[0])
    samples, expected = list(dataset), READERS[entrance.name](tmp_path)
    assert dataset.length == len(samples) == len(expected) > 0
    assert [plain(values_of(sample)) for sample in samples] == [plain(sample) for sample in expected]
    assert samples[0].__key__ in steps[2].output
    site = tmp_path / "pages" / "site"
    check_page(page, serve(site) + page_of(tmp_path).parent.relative_to(site).as_posix() + "/", entrance)
    assert (watch.errors, watch.strangers) == ([], [])


def values_of(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of a class made at run time
    """The values of a sample by the names of its fields."""
    entries = plan_of(type(sample)).entries
    return {entry.field.name: getattr(sample, entry.attribute) for entry in entries}


def plain(sample: dict[str, Any]) -> dict[str, Any]:
    """Values that compare and print: arrays as lists, files by their hash."""
    return {name: _plain(sample[name]) for name in sorted(sample)}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def check_page(page: Page, url: str, entrance: Entrance) -> None:
    """The page has the first samples, and fits a screen and a phone, light and dark."""
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        page.goto(url)
        assert entrance.dataset in page.locator("h1").inner_text()
        shown = page.locator(".cat-sample, .cat-first tbody tr")
        assert shown.count() == 8
        spare = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(spare) <= 0
        for image in page.locator(".cat-sample img").all():
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
