"""The choice between the part and the whole repository, on trees of many sizes."""

from __future__ import annotations

import pytest

from catalog.atproto import mst
from catalog.atproto.car import Blocks
from catalog.atproto.proof import Part
from catalog.atproto.read_planner import Speed, worth_of_whole
from catalog.records import COLLECTIONS, DATASET, LABEL
from tests.repos import build_tree, cid_of

PART = Part(COLLECTIONS)
NEAR = Speed(latency=0.004, throughput=20_000_000)
FAR = Speed(latency=0.15, throughput=2_000_000)


def _choice(ours: int, others: int, speed: Speed, *, known: bool = False, name: str = "key") -> str:
    """Return the decision of a reader, level by level, for a tree of so many keys."""
    keys = [f"{(DATASET, LABEL)[number % 2]}/{name}{number}" for number in range(ours)]
    keys += [f"app.bsky.feed.post/{name}{number}" for number in range(others)]
    nodes: dict[bytes, bytes] = {}
    root = build_tree({key.encode(): cid_of(key.encode()) for key in keys}, nodes)
    here = Blocks()
    if known:  # all nodes are held but those on the way to one key, which changed
        everything = Blocks()
        _bring(everything, nodes, tuple(nodes))
        changed = max(keys).encode()
        way_there = mst.read(everything, root, changed, changed + b"\0").nodes
        _bring(here, nodes, tuple(cid for cid in nodes if cid not in way_there))
    edge = f"{min(COLLECTIONS)}/0".encode()
    _bring(here, nodes, (root,))
    while (way := mst.read(here, root, edge, edge + b"\0")).missing:
        _bring(here, nodes, way.missing)
    while (part := mst.read(here, root, PART.low, PART.high)).missing:
        if worth_of_whole(part, here, root=root, anew=not known, speed=speed):
            return "whole"
        _bring(here, nodes, part.missing)
    assert len(part.entries) == ours
    return "part"


def _bring(blocks: Blocks, nodes: dict[bytes, bytes], wanted: tuple[bytes, ...]) -> None:
    for cid in wanted:
        blocks.put(cid, nodes[cid])


@pytest.mark.parametrize("speed", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize(("ours", "others"), [(100, 3000), (20, 1000), (5, 10_000), (1, 600), (400, 4000)])
def test_of_a_large_repository_only_the_part_is_read(ours: int, others: int, speed: Speed) -> None:
    """However far the server is: bytes follow the dataset records."""
    assert _choice(ours, others, speed) == "part"


@pytest.mark.parametrize(("ours", "others"), [(60, 0), (100, 20), (1000, 0)])
def test_a_repository_that_is_small_or_mostly_ours_is_often_read_whole(ours: int, others: int) -> None:
    """From a server that is far: one request instead of many. A tree's size is a guess, so not always."""
    choices = [_choice(ours, others, FAR, name=name) for name in "abcdefghi"]
    assert choices.count("whole") >= 4, choices


def test_a_root_that_is_missing_tells_nothing() -> None:
    """The server answered with the commit only: the next level is looked at first."""
    root = cid_of(b"root")
    part = mst.read(Blocks(), root, PART.low, PART.high)
    assert part.missing == (root,)
    assert worth_of_whole(part, Blocks(), root=root, anew=True, speed=FAR) == 0


def test_a_few_changes_are_never_worth_a_large_whole() -> None:
    """Not even where everything is ours."""
    assert _choice(4000, 0, FAR, known=True) == "part"
