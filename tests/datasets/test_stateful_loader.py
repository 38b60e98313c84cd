"""Datasets under torchdata's StatefulDataLoader: an interrupted epoch goes on, also in another number of workers."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any

import pytest
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from catalog import Dataset, PackableSample
from catalog.errors import DataError
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 with PyTorch 2.13
]

COUNT = 37


class Item(PackableSample):
    number: int


def is_kept(item: Item) -> bool:
    return item.number % 3 != 1


def numbers(batches: Iterable[Any]) -> list[list[int]]:
    return [batch.number.tolist() if hasattr(batch.number, "tolist") else [batch.number] for batch in batches]


def flat(batches: Iterable[Any]) -> list[int]:
    return list(chain(*numbers(batches)))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset[Item]:
    items = (Item(number=number) for number in range(COUNT))
    return Dataset(write_shards(items, tmp_path / "i-%06d.tar", maxcount=6), Item)


@pytest.fixture(autouse=True)
def _no_loader_is_left() -> Iterator[None]:
    yield
    gc.collect()  # ends the workers of this test, not in the middle of another's


def given(dataset: Dataset[Item], kind: str) -> tuple[Dataset[Any], int | None]:
    """A dataset and the batch size of its loader."""
    shuffled = dataset.shuffled(buffer_samples=8, seed=1)
    kinds: dict[str, tuple[Dataset[Any], int | None]] = {
        "batches of the dataset": (shuffled.batched(3), None),
        "batches of the loader": (shuffled, 3),
        "batches after a filter": (shuffled.filter(is_kept).batched(3), None),
        "filtered, batches of the loader": (shuffled.filter(is_kept), 3),
    }
    return kinds[kind]


KINDS = (
    "batches of the dataset", "batches of the loader", "batches after a filter", "filtered, batches of the loader",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("stop", [0, 1, 5])
def test_a_loader_goes_on_after_its_last_batch(dataset: Dataset[Item], kind: str, workers: int, stop: int) -> None:
    data, size = given(dataset, kind)
    expected = flat(data)
    first: Any = StatefulDataLoader(data, batch_size=size, num_workers=workers)
    batches = iter(first)
    seen = flat(islice(batches, stop))
    state = json.loads(json.dumps(first.state_dict()))
    again: Any = StatefulDataLoader(given(dataset, kind)[0], batch_size=size, num_workers=workers)
    again.load_state_dict(state)
    assert seen + flat(again) == expected
    assert flat(again) == expected, "the next epoch is whole"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after", "every"), [(2, 3, 1), (3, 0, 1), (0, 2, 1), (2, 4, 3), (4, 1, 1)])
def test_the_state_of_a_loader_is_one_of_any_number_of_workers(
    dataset: Dataset[Item], kind: str, before: int, after: int, every: int
) -> None:
    data, size = given(dataset, kind)
    expected = flat(data)
    for stop in (1, 2, 5):
        first: Any = StatefulDataLoader(data, batch_size=size, num_workers=before, snapshot_every_n_steps=every)
        batches = iter(first)
        seen = flat(islice(batches, stop))
        other = given(dataset, kind)[0]
        state = json.loads(json.dumps(first.state_dict()))
        if size is not None and stop < every:
            with pytest.raises(DataError, match="snapshot_every_n_steps"):
                other.load_state_dict(state)
            continue
        other.load_state_dict(state)
        again: Any = StatefulDataLoader(other, batch_size=size, num_workers=after)
        assert seen + flat(again) == expected


@pytest.mark.parametrize(("nodes", "others"), [(2, 2), (2, 1), (1, 2), (2, 3)])
def test_nodes_with_workers_go_on_in_another_number_of_nodes(dataset: Dataset[Item], nodes: int, others: int) -> None:
    data = dataset.shuffled(buffer_samples=8, seed=1).batched(2)

    def rest(loaders: list[Any], stop: int | None = None) -> list[int]:
        parts = [numbers(islice(iter(loader), stop)) for loader in loaders]
        return list(chain(*(one for turn in zip_longest(*parts) for one in turn if one is not None)))

    loaders: list[Any] = [
        StatefulDataLoader(data.split_by_node(rank, nodes), batch_size=None, num_workers=2) for rank in range(nodes)
    ]
    iterators = [iter(loader) for loader in loaders]
    parts = [numbers(islice(one, 3)) for one in iterators]
    seen = list(chain(*(one for turn in zip_longest(*parts) for one in turn if one is not None)))
    states = [loader.state_dict() for loader in loaders]
    again = []
    for rank in range(others):
        part = data.split_by_node(rank, others)
        part.load_state_dict(states[rank % nodes])
        again.append(StatefulDataLoader(part, batch_size=None, num_workers=3 if rank else 0))
    assert seen + rest(again) == flat(data)


def test_workers_that_stay_go_on_once(dataset: Dataset[Item]) -> None:
    data = dataset.shuffled(buffer_samples=8, seed=1).batched(3)
    first: Any = StatefulDataLoader(data, batch_size=None, num_workers=2, persistent_workers=True)
    seen = flat(islice(iter(first), 5))
    again: Any = StatefulDataLoader(data, batch_size=None, num_workers=2, persistent_workers=True)
    again.load_state_dict(first.state_dict())
    assert seen + flat(again) == flat(data)
    assert flat(again) == flat(data)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_with_a_plain_loader_the_number_of_batches_is_the_state(dataset: Dataset[Item], start: str) -> None:
    """PyTorch's own loader keeps no state: the dataset says so, and makes one from the number of batches."""
    data = dataset.shuffled(buffer_samples=8, seed=1).batched(3)
    expected = flat(data)

    def loader(given: Dataset[Any]) -> Any:  # noqa: ANN401 - PyTorch's
        return DataLoader(given, batch_size=None, num_workers=2, multiprocessing_context=start)

    data = dataset.shuffled(buffer_samples=8, seed=1).batched(3)
    seen = flat(islice(iter(loader(data)), 5))
    with pytest.raises(DataError, match="StatefulDataLoader"):
        data.state_dict()
    state = data.state_dict(after=5)
    data.load_state_dict(state)
    assert seen + flat(loader(data)) == expected
    assert flat(loader(data)) == expected, "the next epoch is whole"


PROGRAM = """
import json, os, sys
from pathlib import Path
from torchdata.stateful_dataloader import StatefulDataLoader
from catalog import Dataset
urls, state, log, workers = sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
dataset = Dataset(urls).shuffled(buffer_samples=8, seed=1).batched(2)
loader = StatefulDataLoader(dataset, batch_size=None, num_workers=workers)
if state.exists():
    loader.load_state_dict(json.loads(state.read_text())["loader"])
seen = json.loads(state.read_text())["seen"] if state.exists() else []
for step, batch in enumerate(loader):
    seen += batch["number"].tolist()
    if step % 2:
        new = state.with_suffix(".new")
        new.write_text(json.dumps({"loader": loader.state_dict(), "seen": seen}))
        os.replace(new, state)
        print("saved", flush=True)
print(json.dumps(seen), flush=True)
"""


def test_a_killed_loader_goes_on_after_the_state_that_it_saved(dataset: Dataset[Item], tmp_path: Path) -> None:
    urls, state = ",".join(shard.url for shard in dataset.shards), tmp_path / "state.json"
    command = [sys.executable, "-c", PROGRAM, urls, str(state), "", "2"]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "saved\n"
            os.kill(process.pid, signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = Dataset(urls.split(","), Item).shuffled(buffer_samples=8, seed=1)
    assert json.loads(done.stdout.splitlines()[-1]) == [item.number for item in expected]


def test_the_state_of_a_loader_of_another_dataset_is_refused(dataset: Dataset[Item], tmp_path: Path) -> None:
    other = Dataset(write_shards([Item(number=1)], tmp_path / "other-%d.tar"), Item)
    first: Any = StatefulDataLoader(other, batch_size=None)
    list(first)
    again: Any = StatefulDataLoader(dataset, batch_size=None)
    again.load_state_dict(first.state_dict())
    with pytest.raises(DataError, match="another dataset"):
        iter(again)
