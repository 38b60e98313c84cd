"""Datasets under PyTorch's DataLoader: every sample once, whoever reads it."""

from __future__ import annotations

import gc
import subprocess
import sys
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time
from torch.utils.data import DataLoader, IterableDataset

from catalog import Dataset, DictSample, PackableSample
from catalog.datasets.tensors import _tensor
from catalog.errors import InvalidSample
from catalog.samples.packable import class_from, sample_type
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from catalog.datasets.batches import SampleBatch

# Three workers are more than a small machine has processors.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

COUNT = 23


class Item(PackableSample):
    image: NDArray[np.uint8]
    number: int


def items() -> Iterator[Item]:
    return (Item(image=np.full((2, 2), number, np.uint8), number=number) for number in range(COUNT))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset[Item]:
    """Twenty-three items in five shards: 5, 5, 5, 5, 3."""
    return Dataset(write_shards(items(), tmp_path / "i-%06d.tar", maxcount=5), Item)


@pytest.fixture
def single(tmp_path: Path) -> Dataset[Item]:
    """The same in one shard."""
    return Dataset(write_shards(items(), tmp_path / "one-%d.tar"), Item)


@pytest.fixture(autouse=True)
def _no_loader_is_left() -> Iterator[None]:
    yield
    gc.collect()  # ends the workers of this test, not in the middle of another's


def numbers(samples: Iterable[Any]) -> list[int]:
    return [int(sample.number) for sample in samples]


def values(items: Iterable[Any]) -> list[Any]:
    """The numbers of samples, and lists of them for batches."""
    return [item.number if isinstance(item, Item) else item.number.tolist() for item in items]


def in_turn(parts: list[list[Any]]) -> list[Any]:
    """One of each part in turn."""
    return [one for turn in zip_longest(*parts) for one in turn if one is not None]


def loader(dataset: Dataset[Any], workers: int, start: str = "fork", *, stay: bool = False) -> Any:  # noqa: ANN401 - PyTorch's
    context = start if workers else None
    return DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context, persistent_workers=stay
    )


def double(item: Item) -> Item:
    return Item(image=item.image, number=item.number * 2)


def is_odd(item: Item) -> bool:
    return item.number % 2 == 1


def tensors(batch: SampleBatch[Item]) -> dict[str, Any]:
    return {"image": torch.from_numpy(batch.image), "number": torch.from_numpy(batch.number)}


@pytest.mark.parametrize("nodes", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 1, 2, 3, 8])
def test_workers_and_nodes_give_the_order_of_one_process(dataset: Dataset[Item], workers: int, nodes: int) -> None:
    shuffled = dataset.shuffled(seed=3, buffer_samples=8)
    for given in (shuffled, shuffled.batched(2), shuffled.filter(is_odd).map(double).batched(2)):
        seen = [values(loader(given.split_by_node(rank, nodes), workers)) for rank in range(nodes)]
        assert in_turn(seen) == values(given)


@pytest.mark.parametrize("workers", [2, 3])
def test_more_workers_than_shards_share_samples(single: Dataset[Item], workers: int) -> None:
    assert numbers(loader(single, workers)) == list(range(COUNT))  # in turn, as they lie
    shuffled = single.shuffled(buffer_samples=5)
    assert numbers(loader(shuffled, workers)) == numbers(shuffled)


@pytest.mark.parametrize("nodes", [2, 7])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", [None, 5])
def test_nodes_and_workers_together_see_every_sample_once(
    dataset: Dataset[Item], nodes: int, workers: int, seed: int | None
) -> None:
    given = dataset if seed is None else dataset.shuffled(buffer_samples=4, seed=seed)
    seen = [numbers(loader(given.split_by_node(rank, nodes), workers)) for rank in range(nodes)]
    assert sorted(chain(*seen)) == list(range(COUNT))
    assert all(seen), "no node is idle"


@pytest.mark.parametrize("nodes", [2, 6])
def test_nodes_need_not_have_the_same_number_of_workers(dataset: Dataset[Item], nodes: int) -> None:
    seen = [numbers(loader(dataset.split_by_node(rank, nodes), rank % 3)) for rank in range(nodes)]
    assert sorted(chain(*seen)) == list(range(COUNT))


class Row(PackableSample):
    """A row of a table."""

    number: int
    name: str


def row_files(folder: Path, form: str, files: int) -> list[str]:
    """The rows 0, 1, … of ``COUNT`` in so many files, as other programs write them."""
    frame = pd.DataFrame({"number": range(COUNT), "name": [f"n{number}" for number in range(COUNT)]})
    paths = []
    for at in range(files):
        part = frame.iloc[at * COUNT // files : (at + 1) * COUNT // files]
        path = folder / f"rows-{at}.{form}"
        if form == "parquet":
            part.to_parquet(path, row_group_size=3)
        elif form == "csv":
            part.to_csv(path, index=False)
        else:
            part.to_json(path, orient="records", lines=True)
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("files", [4, 1])
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_workers_read_every_row_of_tables_once(tmp_path: Path, form: str, files: int) -> None:
    """Files are divided, or, of a single one, its rows; an epoch in order is that of one process."""
    dataset = Dataset(row_files(tmp_path, form, files), Row)
    found = list(loader(dataset, 2))
    assert [sample.name for sample in found] == [f"n{sample.number}" for sample in found]
    assert numbers(found) == numbers(dataset) == list(range(COUNT))
    assert sorted(numbers(loader(dataset.shuffled(seed=1), 2))) == list(range(COUNT))


def test_workers_that_are_spawned_read_parquet(tmp_path: Path) -> None:
    dataset = Dataset(row_files(tmp_path, "parquet", 2), Row)
    assert numbers(loader(dataset, 2, "spawn")) == list(range(COUNT))


def test_workers_that_are_spawned_get_the_dataset_with_its_class_and_steps(dataset: Dataset[Item]) -> None:
    made = class_from(sample_type(Item))
    runtime = Dataset(dataset.shards, made)
    given = dataset.filter(is_odd).map(double).batched(2)
    assert sorted(chain(*(batch.number.tolist() for batch in loader(given, 3, "spawn")))) == list(range(2, 46, 4))
    assert sorted(numbers(loader(runtime, 2, "spawn"))) == list(range(COUNT))


def test_workers_that_stay_read_every_epoch_again(dataset: Dataset[Item]) -> None:
    staying = loader(dataset.shuffled(seed=1), 2, stay=True)
    first, second = numbers(staying), numbers(staying)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first == second, "the same seed, the same order"
    assert numbers(loader(dataset.shuffled(seed=2), 2)) != first


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_become_tensors_without_a_warning(dataset: Dataset[Item], workers: int) -> None:
    batches = list(loader(dataset.batched(4), workers))
    images = torch.cat([torch.from_numpy(batch.image) for batch in batches])
    assert images.shape == (COUNT, 2, 2)
    assert sorted(images[:, 0, 0].tolist()) == list(range(COUNT))
    in_worker = list(loader(dataset.batched(4).map(tensors), workers))
    assert sorted(torch.cat([batch["number"] for batch in in_worker]).tolist()) == list(range(COUNT))


def test_a_single_sample_is_a_view_that_torch_warns_of(dataset: Dataset[Item]) -> None:
    """The control of the test before: why the arrays of a batch may be written to."""
    (item,) = dataset.head(1)
    assert not item.image.flags.writeable
    code = "import numpy, torch; a = numpy.zeros(2); a.flags.writeable = False; torch.from_numpy(a)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert "not writable" in done.stderr


def test_length_goes_through_the_loader(dataset: Dataset[Item]) -> None:
    assert len(loader(dataset, 0)) == COUNT
    assert len(loader(dataset.batched(4), 0)) == 6
    assert len(loader(dataset.batched(4, drop_last=True), 0)) == 5


def test_an_error_in_a_worker_names_the_shard(dataset: Dataset[Item]) -> None:
    class Other(PackableSample):
        title: str

    iterator = iter(loader(Dataset(dataset.shards, Other), 2))
    with pytest.raises(InvalidSample, match=r"i-000000\.tar.*title"):
        next(iterator)
    iterator._shutdown_workers()  # left to the garbage collector, PyTorch waits ten seconds for them


def test_dicts_go_through_the_loader(dataset: Dataset[Item]) -> None:
    plain = Dataset(dataset.shards, DictSample).batched(4)
    assert sorted(chain(*(batch["number"].tolist() for batch in loader(plain, 2)))) == list(range(COUNT))


def test_a_dataset_is_an_iterable_dataset(dataset: Dataset[Item]) -> None:
    assert isinstance(dataset, IterableDataset)
    assert not isinstance([dataset], IterableDataset)


@pytest.mark.parametrize("known", [True, False])
def test_a_dataset_made_before_torch_was_imported_says_what_to_do(tmp_path: Path, known: bool) -> None:  # noqa: FBT001
    write_shards(items(), tmp_path / "i-%d.tar")
    code = f"""
from catalog import Dataset
dataset = Dataset("{tmp_path}/i-0.tar")
if {known}:
    object.__setattr__(dataset, "_stored", {COUNT})
from torch.utils.data import DataLoader
try:
    list(DataLoader(dataset, batch_size=None))
except TypeError as error:
    print(error)
print(len(list(DataLoader(dataset.ordered(), batch_size=None))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, count = done.stdout.splitlines()
    assert "import torch before the dataset is made" in said
    assert count == str(COUNT), "any step makes a dataset that PyTorch knows"


def test_nothing_of_torch_is_loaded_by_reading(tmp_path: Path) -> None:
    write_shards(items(), tmp_path / "i-%d.tar")
    code = f"import sys; from catalog import Dataset; d = Dataset('{tmp_path}/i-0.tar').batched(2)"
    code += "; print(len(list(d)))"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["12", "False"]


# --- batches made by the loader ------------------------------------------------------------------------------


class Mixed(PackableSample):
    image: NDArray[np.uint8]
    number: int
    score: float
    title: str
    ragged: NDArray[np.float32]
    other: int | None = None


def mixed(count: int) -> list[Mixed]:
    return [
        Mixed(
            image=np.full((2, 3), number, np.uint8), number=number, score=number / 2, title=f"t{number}",
            ragged=np.zeros(number % 3, np.float32),
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_loader_makes_batches_of_tensors(tmp_path: Path, workers: int, typed: bool, start: str) -> None:  # noqa: FBT001
    written = write_shards(mixed(10), tmp_path / "m-%d.tar", maxcount=3)
    dataset: Dataset[Any] = Dataset(written, Mixed if typed else None)
    context = start if workers else None
    batches: list[Any] = list(DataLoader(dataset, batch_size=4, num_workers=workers, multiprocessing_context=context))
    assert [len(batch["number"]) for batch in batches] == [4, 4, 2]
    first = batches[0]
    assert first.image.dtype == torch.uint8
    assert first.image.shape == (4, 2, 3)
    assert torch.equal(first["image"][:, 0, 0], torch.tensor([0, 1, 2, 3], dtype=torch.uint8))
    assert first.number.dtype == torch.int64
    assert first.score.tolist() == [0, 0.5, 1, 1.5]
    assert first["title"] == ["t0", "t1", "t2", "t3"]
    assert [len(one) for one in first.ragged] == [0, 1, 2, 0]
    assert not typed or first.other == [None] * 4
    with pytest.raises(AttributeError, match="image, number"):
        _ = first.absent


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("nodes", [1, 2])
def test_the_batches_of_a_loader_are_those_of_the_dataset(dataset: Dataset[Item], workers: int, nodes: int) -> None:
    shuffled = dataset.shuffled(buffer_samples=8, seed=3)
    for given in (shuffled, shuffled.filter(is_odd).map(double)):
        seen = [
            [batch.number.tolist() for batch in DataLoader(given.split_by_node(rank, nodes), 3, num_workers=workers)]
            for rank in range(nodes)
        ]
        assert in_turn(seen) == [batch.number.tolist() for batch in given.batched(3)]


def test_a_loaded_state_counts_once_also_for_workers(dataset: Dataset[Item]) -> None:
    batches = dataset.shuffled(buffer_samples=8, seed=3).batched(3)
    expected = values(batches)
    batches.load_state_dict(batches.state_dict(after=0) | {"position": 6})
    assert values(loader(batches, 2)) == expected[2:]
    assert values(batches) == expected, "in this process, too"
    assert values(loader(batches, 2)) == expected


def test_batches_of_batches_are_refused_with_what_to_write(dataset: Dataset[Item]) -> None:
    with pytest.raises(TypeError, match="batch_size=None"):
        next(iter(DataLoader(dataset.batched(2), batch_size=3)))


def test_dtypes_that_only_torch_or_only_numpy_has() -> None:
    short = np.array([1.5, -2], ml_dtypes.bfloat16)
    assert _tensor(short).dtype == torch.bfloat16
    assert _tensor(short).tolist() == [1.5, -2]
    assert _tensor(np.array(["2020-01-01"], "M8[D]")).dtype == "M8[D]"
