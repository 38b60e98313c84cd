"""Datasets as Arrow tables, Polars data frames and Hugging Face datasets: the same values, typed."""

from __future__ import annotations

import datetime as dt
import io
from importlib import util
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time
from PIL import Image
from polars.testing import assert_frame_equal

from catalog import Array, Dataset, DictSample, Media, PackableSample, write_samples
from catalog.errors import DataError, InvalidSample, MissingExtra
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 7


class Picture(PackableSample):
    """One of each kind of column."""

    pixels: Annotated[NDArray[np.uint8], Array(shape=(2, 3))]
    signal: NDArray[np.float32]
    embedding: Annotated[NDArray[np.float32], Array(shape=(4,))]
    jpg: Annotated[bytes, Media("image/png")]
    label: int
    name: str
    when: dt.datetime
    tags: list[str]
    score: float | None = None


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


def pictures(count: int = COUNT) -> list[Picture]:
    return [
        Picture(
            pixels=np.full((2, 3), number, np.uint8),
            signal=np.arange(number + 1, dtype=np.float32),
            embedding=np.full(4, number, np.float32),
            jpg=png(number),
            label=number,
            name=f"n{number}",
            when=dt.datetime(2026, 1, 1 + number, tzinfo=dt.UTC),
            tags=["a"] * number,
            score=None if number % 2 else number / 2,
        )
        for number in range(count)
    ]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset[Picture]:
    return Dataset(write_shards(pictures(), tmp_path / "p-%06d.tar", maxcount=3), Picture)


def test_a_table_of_arrow_has_the_values_and_types_of_the_samples(dataset: Dataset[Picture]) -> None:
    table = dataset.to_arrow()
    assert table.schema.field("pixels").type == pa.list_(pa.list_(pa.uint8(), 3), 2)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 4)
    assert table.schema.field("signal").type == pa.list_(pa.float32())
    assert table.schema.field("when").type == pa.timestamp("us", "UTC")
    rows = table.to_pylist()
    assert len(rows) == COUNT
    for row, sample in zip(rows, pictures(), strict=True):
        for name in ("jpg", "label", "name", "when", "tags", "score"):
            assert row[name] == getattr(sample, name)
        for name in ("pixels", "signal", "embedding"):
            assert row[name] == getattr(sample, name).tolist()


def test_a_table_has_what_the_steps_leave_and_no_more_than_asked_for(dataset: Dataset[Picture]) -> None:
    even = dataset.filter(lambda sample: sample.label % 2 == 0)
    assert even.to_arrow()["label"].to_pylist() == [0, 2, 4, 6]
    assert even.to_arrow(limit=2)["label"].to_pylist() == [0, 2]
    named = dataset.map(lambda sample: DictSample(name=sample.name, numbers=[sample.label, 1]))
    assert named.to_arrow(1).to_pylist() == [{"name": "n0", "numbers": [0, 1]}]


def test_making_a_table_leaves_the_state_of_an_iteration_as_it_is(dataset: Dataset[Picture]) -> None:
    iterator = iter(dataset)
    next(iterator)
    before = dataset.state_dict()
    dataset.to_arrow()
    assert dataset.state_dict() == before


def test_an_empty_table_has_the_columns_that_the_class_declares(dataset: Dataset[Picture]) -> None:
    table = dataset.filter(lambda _: False).to_arrow()
    assert (table.num_rows, set(table.column_names)) == (0, set(dataset.to_arrow().column_names))
    assert table.schema.field("label").type == pa.int64()


def test_arrays_that_have_several_types_are_npy_bytes_and_other_mixtures_are_refused(tmp_path: Path) -> None:
    mixed: list[dict[str, Any]] = [{"x": np.zeros(2, np.int8)}, {"x": np.zeros((1, 1), np.float32)}]
    table = Dataset(write_shards(mixed, tmp_path / "m-%d.tar")).to_arrow()
    assert [np.load(io.BytesIO(raw)).shape for raw in table["x"].to_pylist()] == [(2,), (1, 1)]
    texts: list[dict[str, Any]] = [{"x": "a"}, {"x": 1}]
    with pytest.raises(InvalidSample, match="'x'"):
        Dataset(write_shards(texts, tmp_path / "t-%d.tar")).to_arrow()


def test_an_array_of_another_shape_than_the_class_states_is_an_error_that_names_the_field(tmp_path: Path) -> None:
    class Wide(PackableSample):
        pixels: Annotated[NDArray[np.uint8], Array(shape=(2, 3))]

    stored = write_samples([{"pixels": np.zeros((2, 4), np.uint8)}], tmp_path / "w.tar")
    with pytest.raises(InvalidSample, match="'pixels'"):
        Dataset(stored.shards, Wide).to_arrow()


def test_batches_and_other_objects_are_no_rows(dataset: Dataset[Picture]) -> None:
    with pytest.raises(DataError, match="SampleBatch"):
        dataset.batched(2).to_arrow()
    with pytest.raises(DataError, match="int"):
        dataset.map(lambda sample: sample.label).to_arrow()


def test_a_data_frame_of_polars_has_arrays_of_fixed_shape(dataset: Dataset[Picture]) -> None:
    import polars as pl

    frame = dataset.to_polars()
    assert frame.schema["pixels"] == pl.Array(pl.UInt8, (2, 3))
    assert frame["pixels"].to_numpy().tolist() == [sample.pixels.tolist() for sample in pictures()]
    assert_frame_equal(frame.head(3), dataset.to_polars(limit=3))


def test_a_hugging_face_dataset_has_arrays_and_images_as_features(dataset: Dataset[Picture]) -> None:
    import datasets as hf

    found = dataset.to_hf()
    assert isinstance(found, hf.Dataset)
    assert found.features["pixels"] == hf.Array2D((2, 3), "uint8")
    assert isinstance(found.features["jpg"], hf.Image)
    for row, sample in zip(found, pictures(), strict=True):
        assert (row["label"], row["name"], row["tags"], row["score"]) == (
            sample.label, sample.name, sample.tags, sample.score,
        )  # fmt: skip
        assert np.array_equal(row["pixels"], sample.pixels)
        assert row["jpg"].getpixel((0, 0)) == (sample.label, 0, 0)
    assert dataset.to_hf(limit=2).num_rows == 2


def test_a_streamed_hugging_face_dataset_divides_the_shards(dataset: Dataset[Picture]) -> None:
    import datasets as hf

    streamed = dataset.to_hf(streaming=True)
    assert isinstance(streamed, hf.IterableDataset)
    assert streamed.num_shards == 3
    assert [row["label"] for row in streamed] == list(range(COUNT))
    parts = [[row["label"] for row in streamed.shard(3, index)] for index in range(3)]
    assert sorted(label for part in parts for label in part) == list(range(COUNT))
    with pytest.raises(ValueError, match="take"):
        dataset.to_hf(2, streaming=True)


@pytest.mark.parametrize(
    ("call", "package"), [(Dataset.to_arrow, "pyarrow"), (Dataset.to_polars, "polars"), (Dataset.to_hf, "datasets")]
)
def test_a_missing_package_is_named_with_what_to_install(
    dataset: Dataset[Picture], call: Callable[[Any], object], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == package else known(name))
    with pytest.raises(MissingExtra, match=package) as caught:
        call(dataset)
    assert "pip install" in str(caught.value.hint)
