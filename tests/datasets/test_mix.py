"""Mixes of datasets, and damaged samples that are skipped: in one order, whoever reads them and wherever they stop."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import Dataset, PackableSample
from catalog.errors import CatalogError, DataError, InvalidSample, InvalidShard, PublishError, SkippedWarning
from catalog.samples.write_shards import write_shards
from tests.datasets.test_state import doubled, in_turn, is_kept, nodes_of, values
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Item(PackableSample):
    number: int


SIZES = (30, 50, 20)
ALL = [1000 * place + number for place, size in enumerate(SIZES) for number in range(size)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Dataset[Item]]:
    """Three datasets, with numbers from 0, 1000 and 2000."""
    folder = tmp_path_factory.mktemp("sources")
    found: list[Dataset[Item]] = []
    for place, size in enumerate(SIZES):
        items = [Item(number=1000 * place + number) for number in range(size)]
        found.append(Dataset(write_shards(items, folder / f"{place}-%d.tar", maxcount=7), Item))
    return found


MIXES: dict[str, Callable[[Sequence[Dataset[Any]]], Dataset[Any]]] = {
    "as stored": lambda all_: Dataset.mix(all_, [3, 5, 2], seed=1),
    "all": lambda all_: Dataset.mix([one.shuffled(seed=2, buffer_samples=6) for one in all_], [1, 2, 9], stop="all"),
    "batched": lambda all_: Dataset.mix([all_[0].map(doubled), all_[1].shuffled(seed=1)], seed=3, epoch=2).batched(3),
    "filtered sources": lambda all_: Dataset.mix([all_[0].filter(is_kept), all_[2]], seed=4, stop="all").batched(2),
    "filtered": lambda all_: Dataset.mix(all_, stop="all").filter(is_kept).batched(4),
}


@pytest.mark.parametrize("mix", MIXES)
def test_nodes_together_give_the_order_of_one(sources: list[Dataset[Item]], mix: str) -> None:
    dataset = MIXES[mix](sources)
    expected = values(dataset)
    assert expected
    for nodes in (1, 2, 3, 8):
        assert in_turn([iter(values(part)) for part in nodes_of(dataset, nodes)]) == expected


@given(
    mix=st.sampled_from(sorted(MIXES)),
    stops=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=3),
    data=st.data(),
)
def test_what_is_read_in_parts_is_what_is_read_at_once(
    sources: list[Dataset[Item]], mix: str, stops: list[tuple[int, int]], data: st.DataObject
) -> None:
    dataset = MIXES[mix](sources)
    expected, seen, state = values(dataset), [], None
    for stop, nodes in [*stops, (200, data.draw(st.integers(1, 4)))]:
        parts = nodes_of(dataset, nodes)
        for part in parts:
            if state is not None:
                part.load_state_dict(json.loads(state))
        seen += in_turn([iter(values(islice(part, stop))) for part in parts])
        state = json.dumps(parts[data.draw(st.integers(0, nodes - 1))].state_dict())
    assert seen == expected
    assert state is not None
    assert len(state) < 700


def test_a_mix_of_all_has_every_sample_once_and_shares_as_wanted(sources: list[Dataset[Item]]) -> None:
    whole = Dataset.mix(sources, [3, 5, 2], stop="all", seed=1)
    assert sorted(values(whole)) == ALL
    assert len(whole) == len(ALL)
    for place in range(3):
        own = [number for number in values(whole) if number // 1000 == place]
        assert own == sorted(own), "each in its own order"
    first = values(whole)[:60]
    assert 20 <= sum(number // 1000 == 1 for number in first) <= 40, "about half of them"
    assert values(Dataset.mix(sources, [3, 5, 2], seed=2)) != values(Dataset.mix(sources, [3, 5, 2], seed=1))


def test_a_mix_ends_with_the_first_that_ends(sources: list[Dataset[Item]]) -> None:
    numbers = values(Dataset.mix(sources, [1, 1, 50]))
    assert sum(number >= 2000 for number in numbers) == 20
    assert len(numbers) < 30


def test_the_epoch_of_a_mix_is_that_of_its_datasets(sources: list[Dataset[Item]]) -> None:
    mixed = Dataset.mix([one.shuffled(seed=1) for one in sources], stop="all")
    first = values(mixed)
    mixed.set_epoch(1)
    assert sorted(values(mixed)) == sorted(first)
    assert values(mixed) != first


def test_what_can_not_be_mixed_is_refused(sources: list[Dataset[Item]]) -> None:
    mixed = Dataset.mix(sources)
    for wrong in ([], [1], [1, 1, 0], [1, 1, float("nan")]):
        with pytest.raises(ValueError, match=r"weight|dataset"):
            Dataset.mix(sources if wrong else [], wrong)
    with pytest.raises(ValueError, match="one call"):
        Dataset.mix([mixed, sources[0]])
    with pytest.raises(ValueError, match="split_by_node"):
        Dataset.mix([sources[0].split_by_node(0, 2)])
    with pytest.raises(ValueError, match="shuffle the datasets"):
        mixed.shuffled(seed=1)
    with pytest.raises(PublishError):
        mixed.publish_to_atproto(None, name="x")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="another dataset"):
        Dataset.mix(sources, [1, 2, 3]).load_state_dict(mixed.state_dict())


# --- damaged samples -----------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path: Path) -> Dataset[Item]:
    """Four shards of six numbers: 3 and 13 can't be read, the second shard is cut after 7, the last isn't there."""
    urls = []
    for place in range(4):
        items = [
            (f"{n}.msgpack", msgpack.packb({"number": n if n not in (3, 13) else "?"}))
            for n in range(place * 6, place * 6 + 6)
        ]
        path = tmp_path / f"{place}.tar"
        path.write_bytes(tar_of(*items)[: 2 * 1024 + 700 if place == 1 else None])
        urls.append(str(path))
    Path(urls[3]).unlink()
    return Dataset(urls, Item)


LEFT = [0, 1, 2, 4, 5, 6, 7, 12, 14, 15, 16, 17]


def test_damaged_samples_and_shards_are_skipped_and_reported(damaged: Dataset[Item]) -> None:
    found: list[CatalogError] = []
    skipping = damaged.on_error("skip", report=found.append)
    assert values(skipping) == LEFT
    kinds = [(type(error), Path(str(error.where).partition(",")[0].partition(".tar")[0]).name) for error in found]
    assert kinds == [(InvalidSample, "0"), (InvalidShard, "1"), (InvalidSample, "2"), (InvalidShard, "3")]
    with pytest.warns(SkippedWarning, match="number"):
        assert len(damaged.on_error("skip").head(4)) == 4
    with pytest.raises(InvalidSample):
        list(damaged.on_error("skip").on_error("raise"))


@pytest.mark.parametrize("limit", range(5))
def test_more_than_the_limit_are_not_skipped(damaged: Dataset[Item], limit: int) -> None:
    skipping = iter(damaged.on_error("skip", limit=limit, report=lambda _: None))
    if limit == 4:
        assert values(skipping) == LEFT
        return
    with pytest.raises(DataError, match="limit"):
        list(skipping)


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("seed", [None, 3])
def test_all_skip_the_same_and_go_on_after_the_same(
    damaged: Dataset[Item], batch: int | None, seed: int | None
) -> None:
    def dataset(report: Callable[[CatalogError], object] = lambda _: None) -> Dataset[Any]:
        ordered = damaged if seed is None else damaged.shuffled(seed=seed, buffer_samples=5)
        skipping = ordered.on_error("skip", report=report)
        return skipping if batch is None else skipping.batched(batch)

    expected = values(dataset())
    found: list[CatalogError] = []
    parts = [dataset(found.append).split_by_node(rank, 3) for rank in range(3)]
    assert in_turn([iter(values(part)) for part in parts]) == expected
    assert len(found) == 4, "of three nodes one reports"
    for stop in range(len(expected)):
        one = dataset()
        seen = values(islice(one, stop))
        other = dataset()
        other.load_state_dict(one.state_dict())
        assert seen + values(other) == expected
