"""Datasets in pipelines of webdataset, and pipelines as datasets. Needs no PyTorch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import webdataset as wds
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Dataset, PackableSample, write_samples

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 23


class Point(PackableSample):
    at: NDArray[np.float32]
    number: int


def points() -> list[Point]:
    return [Point(at=np.full(2, number, np.float32), number=number) for number in range(COUNT)]


@pytest.fixture
def stored(tmp_path: Path) -> Dataset[Point]:
    return write_samples(points(), tmp_path / "p-%06d.tar", maxcount=5)


def test_a_pipeline_of_webdataset_takes_a_dataset_as_its_source(stored: Dataset[Point]) -> None:
    pipeline = wds.DataPipeline(stored.to_webdataset(), wds.shuffle(10), wds.to_tuple("__key__", "number"))
    found = list(pipeline)
    assert sorted(found) == [(f"{number:08d}", number) for number in range(COUNT)]
    assert [sample.number for sample in wds.DataPipeline(stored)] == list(range(COUNT))
    untyped = wds.DataPipeline(Dataset(stored.shards), wds.map(lambda sample: sample["number"]))
    assert list(untyped) == list(range(COUNT))


def test_a_pipeline_without_torch_takes_it_too(stored: Dataset[Point]) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import webdataset as wds
from catalog import Dataset
dataset = Dataset({[shard.url for shard in stored.shards]!r})
assert list(wds.DataPipeline(dataset.to_webdataset(), wds.map(lambda one: one["number"]))) == list(range({COUNT}))
assert "torch.utils" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_pipeline_of_webdataset_is_a_source_of_samples(tmp_path: Path) -> None:
    pipeline = wds.DataPipeline(lambda: (point.as_wds for point in points()), wds.map(lambda sample: sample))
    dataset = Dataset.from_samples(pipeline).map(lambda sample: Point.from_bytes(sample["msgpack"]))
    assert list(dataset) == points()
    assert write_samples(dataset, tmp_path / "again.tar").length == COUNT
