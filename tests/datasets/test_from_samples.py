"""Samples of a program as a dataset."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import webdataset as wds
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time
from torch.utils.data import DataLoader

from catalog import Dataset, PackableSample, lens, write_samples
from catalog.errors import DataError, InvalidSample, PublishError
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 23


class Point(PackableSample):
    at: NDArray[np.float32]
    number: int


class Named(PackableSample):
    name: str


@lens(register=False)
def named(point: Point) -> Named:
    return Named(name=f"p{point.number}")


def points(count: int = COUNT) -> list[Point]:
    return [Point(at=np.full(2, number, np.float32), number=number) for number in range(count)]


class Points:
    """An iterable that isn't a sequence, and can be pickled."""

    def __iter__(self) -> Iterator[Point]:
        return iter(points())


def numbers(dataset: Any) -> list[int]:  # noqa: ANN401 - whatever yields points
    return [sample.number for sample in dataset]


@pytest.mark.parametrize("source", [points(), Points(), points, tuple(points())])
def test_each_iteration_has_all_samples_in_order(source: Any) -> None:  # noqa: ANN401
    dataset = Dataset.from_samples(source, Point)
    assert list(dataset) == points()
    assert list(dataset) == points()
    assert dataset.sample_type is Point
    assert dataset.length == (COUNT if hasattr(source, "__len__") else None)


def test_the_class_of_the_samples_may_be_given_in_brackets() -> None:
    dataset = Dataset[Point].from_samples(points())
    assert dataset.sample_type is Point
    with pytest.raises(InvalidSample, match="Named in a dataset of Point"):
        list(Dataset[Point].from_samples([Named(name="x")]))


def test_they_are_shuffled_mapped_filtered_and_batched_as_those_of_shards() -> None:
    dataset = Dataset.from_samples(points, Point)
    shuffled = numbers(dataset.shuffled(seed=3, buffer_samples=10))
    assert sorted(shuffled) == list(range(COUNT)) != shuffled
    assert numbers(dataset.shuffled(seed=3, buffer_samples=10)) == shuffled
    even = dataset.filter(lambda point: point.number % 2 == 0)
    assert [batch.number.tolist() for batch in even.batched(5)] == [[0, 2, 4, 6, 8], [10, 12, 14, 16, 18], [20, 22]]
    assert [one.name for one in dataset.as_type(Named, through=named).head(2)] == ["p0", "p1"]
    parts = [numbers(dataset.split_by_node(rank, 3)) for rank in range(3)]
    assert sorted(number for part in parts for number in part) == list(range(COUNT))


def test_an_iteration_is_continued_from_a_state() -> None:
    dataset = Dataset.from_samples(points(), Point).shuffled(seed=1, buffer_samples=8)
    whole = numbers(dataset)
    iterator = iter(dataset)
    first = [next(iterator).number for _ in range(9)]
    again = Dataset.from_samples(points(), Point).shuffled(seed=1, buffer_samples=8)
    again.load_state_dict(dataset.state_dict())
    assert first + numbers(again) == whole


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_the_workers_of_a_loader_divide_them() -> None:
    loader = DataLoader(Dataset.from_samples(Points(), Point).batched(4), batch_size=None, num_workers=2)
    assert sorted(number for batch in loader for number in batch.number.tolist()) == list(range(COUNT))


def test_an_iterator_is_read_once_and_the_second_time_says_what_to_pass() -> None:
    dataset = Dataset.from_samples(iter(points()), Point)
    assert numbers(dataset) == list(range(COUNT))
    with pytest.raises(DataError, match="once") as caught:
        list(dataset)
    assert "from_samples(lambda" in str(caught.value.hint)


def test_dicts_are_samples_with_attributes_and_keep_their_keys(tmp_path: Path) -> None:
    rows = [{"__key__": f"k{number}", "number": number} for number in range(3)]
    dataset = Dataset.from_samples(rows)
    assert [(sample.__key__, sample.number, dict(sample)) for sample in dataset] == [  # type: ignore[attr-defined]
        (f"k{number}", number, {"number": number}) for number in range(3)
    ]
    written = Dataset(write_shards(dataset, tmp_path / "d-%d.tar"))
    assert [(sample.__key__, sample["number"]) for sample in written] == [(f"k{number}", number) for number in range(3)]


def test_they_are_written_and_then_published_not_before(tmp_path: Path) -> None:
    dataset = Dataset.from_samples(points, Point)
    client: Any = object()
    with pytest.raises(PublishError, match="steps") as caught:
        dataset.publish_to_atproto(client, name="points")
    assert "write_samples" in str(caught.value.hint)
    infos = write_shards(dataset.shuffled(seed=1), tmp_path / "p-%06d.tar", maxcount=10)
    assert [info.samples for info in infos] == [10, 10, 3]
    assert sorted(numbers(Dataset(infos, Point))) == list(range(COUNT))


def test_samples_of_another_class_and_other_objects_are_refused() -> None:
    with pytest.raises(InvalidSample, match="Named in a dataset of Point"):
        list(Dataset.from_samples([Named(name="x")], Point))  # type: ignore[list-item]
    wrong: Any
    for wrong in (5, "text", {"number": 1}):
        with pytest.raises(TypeError, match="iterable or a function"):
            Dataset.from_samples(wrong)
    with pytest.raises(InvalidSample, match="columns"):
        Dataset.from_samples(pa.table({"number": [1, 2]}))


def test_a_dataset_of_a_picklable_source_is_pickled() -> None:
    assert list(pickle.loads(pickle.dumps(Dataset.from_samples(Points(), Point)))) == points()  # noqa: S301 - our own


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_that_run_a_pipeline_divide_the_samples(tmp_path: Path) -> None:
    stored = write_samples(points(), tmp_path / "p-%06d.tar", maxcount=5)
    pipeline = wds.DataPipeline(stored.to_webdataset(), wds.to_tuple("number"), wds.batched(3, partial=True))
    loader = DataLoader(pipeline, batch_size=None, num_workers=2)
    assert sorted(number for (batch,) in loader for number in batch.tolist()) == list(range(COUNT))
