"""The order of an epoch and its state: the same samples in the same order, whoever reads and wherever they stop."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import chain, islice, pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import Dataset, PackableSample
from catalog.errors import DataError, InvalidSample
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from catalog.shards.shard import Shard


class Item(PackableSample):
    number: int


SIZES = (5, 1, 7, 4, 9, 2, 8)
"""Samples in the shards: 36 in all."""


def is_kept(item: Item) -> bool:
    return item.number % 3 != 1


def doubled(item: Item) -> Item:
    return Item(number=item.number * 2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shard, ...]:
    """Seven shards of different sizes; their checksums are known."""
    folder, number = tmp_path_factory.mktemp("shards"), 0
    found: list[Any] = []
    for place, size in enumerate(SIZES):
        items = [Item(number=one) for one in range(number, number + size)]
        found += write_shards(items, folder / f"{place}-%d.tar")
        number += size
    return Dataset(found, Item).shards


def values(items: Iterable[Any]) -> list[Any]:
    """The numbers of samples, and lists of them for batches."""
    return [item.number.tolist() if hasattr(item, "samples") else item.number for item in items]


def in_turn(readers: Sequence[Iterator[Any]]) -> list[Any]:
    """Take one item from each reader in turn, as data-parallel training does."""
    nothing = object()
    return [one for turn in zip_longest(*readers, fillvalue=nothing) for one in turn if one is not nothing]


def nodes_of(dataset: Dataset[Any], nodes: int) -> list[Dataset[Any]]:
    return [dataset.split_by_node(rank, nodes) for rank in range(nodes)]


STEPS: dict[str, Callable[[Dataset[Any]], Dataset[Any]]] = {
    "samples": lambda dataset: dataset,
    "mapped": lambda dataset: dataset.map(doubled),
    "filtered": lambda dataset: dataset.filter(is_kept).map(doubled),
    "batched": lambda dataset: dataset.map(doubled).batched(3),
    "batched, full": lambda dataset: dataset.batched(5, drop_last=True),
    "filtered, batched": lambda dataset: dataset.filter(is_kept).batched(4).map(lambda batch: batch),
    "batched, filtered": lambda dataset: dataset.batched(2).filter(lambda batch: batch.number.sum() % 3),
}
ORDERS: dict[str, Callable[[Dataset[Any]], Dataset[Any]]] = {
    "ordered": lambda dataset: dataset.ordered(),
    "buffer 1": lambda dataset: dataset.shuffled(seed=1, buffer_samples=1),
    "buffer 6": lambda dataset: dataset.shuffled(seed=2, buffer_samples=6, epoch=4),
    "buffer 6, 3 shards": lambda dataset: dataset.shuffled(3, 6, seed=2),
    "buffer 100": lambda dataset: dataset.shuffled(seed=-3, buffer_samples=100),
}


# --- the order -----------------------------------------------------------------------------------------------


def test_the_order_is_a_function_of_seed_epoch_and_buffer(shards: tuple[Shard, ...]) -> None:
    dataset = Dataset(shards, Item)
    assert values(dataset) == list(range(36))
    first = values(dataset.shuffled(seed=1, buffer_samples=6))
    assert sorted(first) == list(range(36))
    others = [{"seed": 2}, {"seed": 1, "epoch": 1}, {"seed": 1, "buffer_samples": 7}, {"seed": 1, "buffer_shards": 2}]
    for other in others:
        assert values(dataset.shuffled(**{"buffer_samples": 6, **other})) not in (first, list(range(36)))
    # The values themselves: another order would be another experiment to everybody who goes on with an old state.
    assert first[:6] == FIRST


FIRST = [20, 19, 18, 17, 26, 27]


def test_samples_are_shuffled_over_the_shards_of_a_block(shards: tuple[Shard, ...]) -> None:
    order = values(Dataset(shards, Item).shuffled(seed=5, buffer_samples=100))
    assert sum(abs(one - other) == 1 for one, other in pairwise(order)) < 10
    moved = [abs(place - one) for place, one in enumerate(order)]
    assert sum(moved) / len(moved) > 36 / 6, "on average they move a third of the length"


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("order", ORDERS)
def test_nodes_together_give_the_order_of_one(shards: tuple[Shard, ...], order: str, steps: str) -> None:
    dataset = STEPS[steps](ORDERS[order](Dataset(shards, Item)))
    expected = values(dataset)
    for nodes in (1, 2, 3, 4, 8, 50):
        assert in_turn([iter(values(part)) for part in nodes_of(dataset, nodes)]) == expected


def test_batches_of_any_size_have_the_samples_in_one_order(shards: tuple[Shard, ...]) -> None:
    dataset = Dataset(shards, Item).shuffled(seed=1, buffer_samples=6)
    for size in (1, 2, 5, 7, 40):
        assert list(chain(*values(dataset.batched(size)))) == values(dataset)


def test_an_epoch_set_in_place_is_that_of_a_new_dataset(shards: tuple[Shard, ...]) -> None:
    dataset = Dataset(shards, Item).shuffled(seed=1, buffer_samples=6)
    dataset.set_epoch(3)
    assert values(dataset) == values(dataset.shuffled(seed=1, buffer_samples=6, epoch=3))
    assert values(dataset.head(5)) == values(dataset)[:5]
    dataset.load_state_dict(dataset.state_dict(after=3))
    next(iter(dataset))
    dataset.set_epoch(0)
    assert values(dataset) == values(dataset.shuffled(seed=1, buffer_samples=6))
    with pytest.raises(ValueError, match="epoch"):
        dataset.set_epoch(-1)


# --- the state -----------------------------------------------------------------------------------------------


@given(
    order=st.sampled_from(sorted(ORDERS)),
    steps=st.sampled_from(sorted(STEPS)),
    stops=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), min_size=1, max_size=3),
    data=st.data(),
)
def test_what_is_read_in_parts_is_what_is_read_at_once(
    shards: tuple[Shard, ...], order: str, steps: str, stops: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Any number of stops, after any number of items, each with another number of nodes; the state is of any node."""
    dataset = STEPS[steps](ORDERS[order](Dataset(shards, Item)))
    expected, seen, state = values(dataset), [], None
    for stop, nodes in [*stops, (100, data.draw(st.integers(1, 4)))]:
        parts = nodes_of(dataset, nodes)
        iterators = []
        for part in parts:
            if state is not None:
                part.load_state_dict(json.loads(state))
            iterators.append(iter(part))
        seen += in_turn([iter(values(islice(one, stop))) for one in iterators])
        rank = data.draw(st.integers(0, nodes - 1))
        state = json.dumps(parts[rank].state_dict())
    assert seen == expected
    assert state is not None
    assert len(state) < 400


@given(
    order=st.sampled_from(sorted(ORDERS)), first=st.integers(1, 6), second=st.integers(1, 6), stop=st.integers(0, 12)
)
def test_batches_of_another_size_go_on_where_the_others_ended(
    shards: tuple[Shard, ...], order: str, first: int, second: int, stop: int
) -> None:
    dataset = ORDERS[order](Dataset(shards, Item))
    before = dataset.batched(first)
    seen = list(chain(*values(islice(before, stop))))
    after = dataset.batched(second)
    after.load_state_dict(before.state_dict())
    assert seen + list(chain(*values(after))) == values(dataset)


def test_a_loaded_state_counts_for_one_iteration(shards: tuple[Shard, ...]) -> None:
    dataset = Dataset(shards, Item).shuffled(seed=1, buffer_samples=6)
    seen = values(islice(dataset, 10))
    state = dataset.state_dict()
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
    for one in (dataset, again):
        one.load_state_dict(state)
        assert one.state_dict() == state, "nothing was read since"
        assert len(one.head(2)) == 2
        assert seen + values(one) == values(one), "the second iteration is a whole epoch"
    dataset.load_state_dict(state)
    assert seen + values(pickle.loads(pickle.dumps(dataset))) == values(again)  # noqa: S301 - our own
    assert values(dataset.ordered()) == list(range(36)), "other datasets made of it begin at the beginning"


def test_the_state_after_a_number_of_items_is_that_of_an_iteration(shards: tuple[Shard, ...]) -> None:
    for steps in STEPS.values():
        dataset = steps(Dataset(shards, Item).shuffled(seed=1, buffer_samples=6))
        for nodes in (1, 2):
            parts = nodes_of(dataset, nodes)
            states = [parts[0].state_dict(after=3)]
            seen = in_turn([iter(values(islice(part, 3))) for part in parts])
            states += [parts[0].state_dict(), parts[0].state_dict(after=3)]
            for state in states:
                dataset.load_state_dict(state)
                assert seen + values(dataset) == values(dataset)


def test_no_shard_before_the_state_is_opened(shards: tuple[Shard, ...], tmp_path: Path) -> None:
    moved = []
    for place, shard in enumerate(shards):
        path = tmp_path / f"{place}.tar"
        path.write_bytes(Path(shard.url).read_bytes())
        moved.append(replace(shard, url=str(path)))
    dataset = Dataset(moved, Item)
    seen = values(islice(dataset, 25))
    state = dataset.state_dict()
    for shard in moved[:4]:
        Path(shard.url).unlink()
    dataset.load_state_dict(state)
    assert seen + values(dataset) == list(range(36))


def test_after_an_error_the_state_is_that_of_the_last_item(shards: tuple[Shard, ...]) -> None:
    def fails(item: Item) -> Item:
        if item.number == 17:
            raise InvalidSample("unlucky")
        return item

    for dataset in (Dataset(shards, Item), Dataset(shards, Item).filter(is_kept)):
        failing, good = dataset.map(fails).batched(4), dataset.batched(4)
        batches: list[Any] = []
        with pytest.raises(InvalidSample):
            batches.extend(failing)
        seen = values(batches)
        good.load_state_dict(failing.state_dict())
        assert seen + values(good) == values(good)


# --- which states are refused --------------------------------------------------------------------------------


def test_the_state_of_another_dataset_or_order_is_refused(shards: tuple[Shard, ...]) -> None:
    dataset = Dataset(shards, Item).shuffled(seed=1, buffer_samples=6)
    state = dataset.state_dict()
    others = {
        "shards": Dataset(shards[:-1], Item),
        "in another order": Dataset(shards[::-1], Item),
        "record bafy": Dataset(shards, Item).__replace__(_cid="bafyother"),
    }
    for word, other in others.items():
        with pytest.raises(DataError, match=f"another dataset.*{word.split()[-1]}|another dataset.*same order"):
            other.shuffled(seed=1, buffer_samples=6).load_state_dict(state)
    for other in (
        dataset.ordered(),
        dataset.shuffled(seed=2, buffer_samples=6),
        dataset.shuffled(seed=1, buffer_samples=7),
    ):
        with pytest.raises(DataError, match=r"another order.*shuffled\(buffer_samples=6, seed=1\)"):
            other.load_state_dict(state)
    moved = [replace(shard, url=f"/elsewhere{shard.url}") for shard in shards]
    Dataset(moved, Item).shuffled(seed=1, buffer_samples=6, epoch=7).load_state_dict(state)
    nameless = [replace(shard, checksum=None) for shard in shards]
    with pytest.raises(DataError, match="another dataset"):
        Dataset(nameless, Item).shuffled(seed=1, buffer_samples=6).load_state_dict(state)


@pytest.mark.parametrize(
    "state",
    [
        {}, [], None, {"version": 2}, {"version": 1}, {"_snapshot": {}}, {"_snapshot": 3}, {"_num_yielded": 1},
        {"_snapshot": {"_worker_snapshots": {"worker_0": {"dataset_state": None}}}, "_steps_since_snapshot": 0},
        {"_snapshot": {"_worker_snapshots": {}}, "_steps_since_snapshot": 0},
    ],
)  # fmt: skip
def test_anything_else_is_no_state(shards: tuple[Shard, ...], state: Any) -> None:  # noqa: ANN401
    with pytest.raises(DataError, match="state"):
        Dataset(shards, Item).load_state_dict(state)


@given(st.data())
def test_a_damaged_state_raises_only_our_errors(shards: tuple[Shard, ...], data: st.DataObject) -> None:
    dataset = Dataset(shards, Item).shuffled(seed=1, buffer_samples=6)
    state = dataset.state_dict(after=7)
    name = data.draw(st.sampled_from(sorted(state)))
    state[name] = data.draw(
        st.none() | st.integers(-5, 100) | st.text(max_size=3) | st.lists(st.integers(), max_size=1)
    )
    try:
        dataset.load_state_dict(state)
    except DataError:
        return
    assert set(values(dataset)) <= set(range(36))


# --- killed --------------------------------------------------------------------------------------------------

PROGRAM = """
import json, os, sys
from pathlib import Path
from catalog import Dataset
urls, state, log, nodes, rank = sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])
dataset = Dataset(urls).shuffled(seed=1, buffer_samples=6).split_by_node(rank, nodes)
if state.exists():
    dataset.load_state_dict(json.loads(state.read_text()))
some = []
for sample in dataset:
    some.append(sample["number"])
    if len(some) == 4:
        done = state.with_suffix(".new")
        done.write_text(json.dumps({**dataset.state_dict(), "seen": some}))
        with open(log, "a") as file:
            file.write(json.dumps(some) + "\\n")
        os.replace(done, state)
        some = []
        print("saved", flush=True)
print("end", some, flush=True)
"""


def test_a_killed_process_goes_on_after_the_state_that_it_saved(shards: tuple[Shard, ...], tmp_path: Path) -> None:
    urls, state, log = ",".join(shard.url for shard in shards), tmp_path / "state.json", tmp_path / "log"
    order = values(Dataset(urls.split(","), Item).shuffled(seed=1, buffer_samples=6))
    command = [sys.executable, "-c", PROGRAM, urls, str(state), str(log), "1", "0"]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "saved\n"
            assert process.stdout.readline() == "saved\n"
            os.kill(process.pid, signal.SIGKILL)
    saved = list(chain(*(json.loads(line) for line in log.read_text().splitlines())))
    dataset = Dataset(urls.split(","), Item).shuffled(seed=1, buffer_samples=6)
    dataset.load_state_dict(json.loads(state.read_text()))
    rest = values(dataset)
    assert len(rest) < 36 - 3 * 8 + 1
    assert order[len(order) - len(rest) :] == rest
    done = order[: len(order) - len(rest)]
    assert saved == done or saved[:-4] == done, "killed between the log and the state: these four come again"
