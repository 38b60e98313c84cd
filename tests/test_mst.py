"""Trees: what is read is what was put in, from either end, and nothing of the wrong shape is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.network.car import Blocks
from catalog.network.mst import layer_of, read
from tests.repos import build_tree, cid_of, layer

if TYPE_CHECKING:
    from collections.abc import Mapping

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "interop"

collections = st.sampled_from(["app.example.post", "app.example.post.x", "app.example.like", "b.c"])
paths = st.builds(lambda collection, number: f"{collection}/{number}", collections, st.integers(0, 3000))
trees = st.dictionaries(paths, st.binary(max_size=3).map(cid_of), max_size=120)


def tree_of(entries: Mapping[str, bytes]) -> tuple[bytes, Blocks]:
    made: dict[bytes, bytes] = {}
    root = build_tree({path.encode(): cid for path, cid in entries.items()}, made)
    blocks = Blocks()
    for cid, block in made.items():
        blocks.put(cid, block)
    return root, blocks


@given(entries=trees)
def test_a_tree_is_read_as_it_was_put_together_and_in_order(entries: dict[str, bytes]) -> None:
    root, blocks = tree_of(entries)
    found = read(blocks, root)
    assert list(found.entries.items()) == sorted(entries.items())
    assert found.missing == ()
    assert len(found.nodes) == len(blocks)
    assert found.layer == max((layer(path.encode()) for path in entries), default=-1)


@given(entries=trees, low=paths, high=paths)
def test_a_slice_has_the_entries_between_two_keys(entries: dict[str, bytes], low: str, high: str) -> None:
    root, blocks = tree_of(entries)
    found = read(blocks, root, low.encode(), high.encode())
    assert list(found.entries.items()) == sorted((k, v) for k, v in entries.items() if low <= k < high)
    assert set(found.nodes) <= set(read(blocks, root).nodes)


@settings(max_examples=50)
@given(entries=trees, low=paths, high=paths)
def test_the_nodes_of_a_slice_prove_it_without_the_rest(entries: dict[str, bytes], low: str, high: str) -> None:
    root, blocks = tree_of(entries)
    whole = read(blocks, root, low.encode(), high.encode())
    few = Blocks()
    for cid in whole.nodes:
        few.put(cid, blocks.get(cid) or b"")
    assert read(few, root, low.encode(), high.encode()) == whole


@settings(max_examples=50)
@given(entries=trees, low=paths, high=paths, gone=st.integers(0, 1000))
def test_a_node_that_is_missing_is_told_exactly_when_it_matters(
    entries: dict[str, bytes], low: str, high: str, gone: int
) -> None:
    root, blocks = tree_of(entries)
    nodes = read(blocks, root).nodes
    absent = nodes[gone % len(nodes)]
    few = Blocks()
    for cid in nodes:
        if cid != absent:
            few.put(cid, blocks.get(cid) or b"")
    found = read(few, root, low.encode(), high.encode())
    whole = read(blocks, root, low.encode(), high.encode())
    assert found.missing == ((absent,) if absent in whole.nodes else ())
    assert found.missing or found == whole
    assert found.entries.items() <= whole.entries.items()


@given(key=st.binary(max_size=40))
def test_layers_are_those_of_the_slow_way(key: bytes) -> None:
    assert layer_of(key) == layer(key)


def test_a_missing_root_is_told() -> None:
    found = read(Blocks(), cid_of(b"gone"))
    assert (found.missing, found.entries, found.layer) == ((cid_of(b"gone"),), {}, -1)
