"""Trees: what is read is what was put in, from either end, and nothing of the wrong shape is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.atproto import mst_node as nodes
from catalog.atproto.car import Blocks
from catalog.atproto.datamodel import encode
from catalog.atproto.mst import Op, invert, layer_of, read
from catalog.atproto.mst_node import write_node
from catalog.errors import InvalidProof
from catalog.syntax import Cid
from tests.paths import TESTS
from tests.repos import build_tree, cid_of, entry, layer, node, shared_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VECTORS = TESTS / "data" / "interop"

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


def spans(blocks: Blocks, cid: bytes, lower: bytes, upper: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Every node from the root on, with the keys on its two sides."""
    yield cid, lower, upper
    found: Any = libipld.decode_dag_cbor(blocks.get(cid) or b"")
    before, tree = lower, found["l"]
    key = b""
    for part in [*found["e"], None]:
        key = upper if part is None else key[: part["p"]] + part["k"]
        if tree is not None:
            yield from spans(blocks, tree, before, key)
        before, tree = key, part and part["t"]


def test_the_nodes_that_are_read_are_those_that_may_hold_a_key_of_the_slice() -> None:
    root, blocks = tree_of({f"app.example.post/{n}": cid_of(b"") for n in range(150)})
    every = list(spans(blocks, root, b"", b"\xff"))
    keys = [path.encode() for path in read(blocks, root).entries]
    for low in keys:
        for high in filter(layer, keys):  # such keys have trees beside them
            nearby = [cid for cid, lower, upper in every if low < upper and lower < high]
            assert list(read(blocks, root, low, high).nodes) == nearby


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


# --- inversion -----------------------------------------------------------------------------------------------


def ops_between(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Op]:
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    return [Op(path=path, cid=after.get(path), prev=before.get(path)) for path in changed]


class Watched(Blocks):
    """Blocks that remember which of them were used."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        super().__init__()
        self.used: set[bytes] = set()

    def get(self, cid: bytes) -> bytes | None:
        self.used.add(cid)
        return super().get(cid)


@given(before=trees, changes=st.dictionaries(paths, st.none() | st.binary(max_size=3).map(cid_of), max_size=12))
def test_an_inverted_tree_is_the_one_before(before: dict[str, bytes], changes: dict[str, bytes | None]) -> None:
    after = {path: cid for path, cid in {**before, **changes}.items() if cid is not None}
    ops = ops_between(before, after)
    root, blocks = tree_of(after)
    assert invert(blocks, root, ops) == tree_of(before)[0]
    # Another record, or one operation less, makes another tree.
    for index in range(len(ops)):
        assert differs(blocks, root, ops[:index] + ops[index + 1 :], tree_of(before)[0])
        other = Op(path=ops[index].path, cid=ops[index].cid, prev=cid_of(b"other"))
        assert differs(blocks, root, [*ops[:index], other, *ops[index + 1 :]], tree_of(before)[0])


def differs(blocks: Blocks, root: bytes, ops: list[Op], expected: bytes) -> bool:
    try:
        return invert(blocks, root, ops) != expected
    except InvalidProof:
        return True


@given(before=trees, changes=st.dictionaries(paths, st.none() | st.binary(max_size=3).map(cid_of), max_size=4))
def test_an_inversion_without_a_node_that_it_needs_is_refused(
    before: dict[str, bytes], changes: dict[str, bytes | None]
) -> None:
    after = {path: cid for path, cid in {**before, **changes}.items() if cid is not None}
    root, blocks = tree_of(after)
    ops = ops_between(before, after)
    expected = tree_of(before)[0]
    for absent in read(blocks, root).nodes:
        few = Blocks()
        for cid in read(blocks, root).nodes:
            if cid != absent:
                few.put(cid, blocks.get(cid) or b"")
        try:
            found = invert(few, root, ops)
        except InvalidProof as error:
            assert error.what == "a node of the tree that the operations touch is missing"
        else:
            # A root that lost its only key leaves the tree below it: when that isn't there, only its name is known.
            assert found in {expected, absent}


FIRST = {f"app.example.post/{n}": cid_of(b"%d" % n) for n in range(200)}
ONE, TWO = cid_of(b"one"), cid_of(b"two")


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        ([Op(path="app.example.post/x", cid=ONE, prev=None)], "a record that was written is not in the tree"),
        ([Op(path="app.example.post/x", cid=ONE, prev=TWO)], "a record that was written is not in the tree"),
        ([Op(path="app.example.post/5", cid=ONE, prev=None)], "a record in the tree is not the one that was written"),
        ([Op(path="app.example.post/5", cid=ONE, prev=TWO)], "a record in the tree is not the one that was written"),
        ([Op(path="app.example.post/5", cid=None, prev=ONE)], "a record that was deleted is still in the tree"),
        (
            [Op(path="app.example.post/5", cid=None, prev=None)],
            "an operation tells no record, neither before nor after",
        ),
        ([Op(path="app.example.post/x", cid=None, prev=b"x")], "an operation's CID is not that of a record"),
        ([Op(path="app.example.post/x", cid=None, prev=ONE)] * 2, "two operations are on one path"),
        ([Op(path="app.example.post", cid=None, prev=ONE)], "a key is not a path: collection/rkey"),
        ([Op(path="app.example.post/\udc00", cid=None, prev=ONE)], "a key is not a path: collection/rkey"),
        ([Op(path="app.example.post/" + "x" * 1024, cid=None, prev=ONE)], "a key has 1,041 bytes; the most is 1,024"),
    ],
)
def test_operations_that_the_tree_does_not_bear_out_are_refused(ops: list[Op], reason: str) -> None:
    root, blocks = tree_of(FIRST)
    with pytest.raises(InvalidProof) as caught:
        invert(blocks, root, ops)
    assert caught.value.what == reason


def test_a_node_that_is_not_written_in_its_only_form_is_refused() -> None:
    """A key whose prefix is cut shorter than it could be: it reads the same, but no tree is made so."""
    loose = encode({"l": None, "e": [entry(0, b"b.c/1", ONE), entry(0, b"b.c/12", ONE)]})
    blocks = Blocks()
    blocks.put(cid_of(loose), loose)
    assert list(read(blocks, cid_of(loose)).entries) == ["b.c/1", "b.c/12"]
    with pytest.raises(InvalidProof, match="not written in its only form"):
        invert(blocks, cid_of(loose), [Op(path="b.c/1", cid=ONE, prev=None)])


links = st.binary(max_size=3).map(cid_of)


@given(entries=st.dictionaries(st.binary(min_size=1, max_size=300), st.tuples(links, st.none() | links)), left=links)
def test_a_node_is_written_as_the_slow_way_writes_it(
    entries: dict[bytes, tuple[bytes, bytes | None]], left: bytes
) -> None:
    ordered = sorted(entries.items())
    written = write_node(
        list(dict(ordered)), [value for _, (value, _) in ordered], [left, *(t for _, (_, t) in ordered)]
    )
    assert written == node(left, [(key, value, tree) for key, (value, tree) in ordered])


# --- the protocol's own vectors ------------------------------------------------------------------------------


def vectors(name: str) -> Any:  # noqa: ANN401 — what the file holds
    return json.loads((VECTORS / name).read_text())


def test_layers_are_those_of_the_vectors() -> None:
    for case in vectors("mst/key_heights.json"):
        assert layer_of(case["key"].encode()) == case["height"]


def test_common_prefixes_are_those_of_the_vectors() -> None:
    for case in vectors("mst/common_prefix.json"):
        left, right = case["left"].encode(), case["right"].encode()
        assert shared_length(left, right) == case["len"]
        assert nodes._shared(left, right) == case["len"]


def test_a_tree_of_the_example_keys_is_read() -> None:
    keys = (VECTORS / "mst" / "example_keys.txt").read_text().split()
    root, blocks = tree_of(dict.fromkeys(keys, ONE))
    assert list(read(blocks, root).entries) == sorted(keys)
    assert all(int(key[1]) == layer_of(key.encode()) for key in keys)  # their names tell


def test_commit_proofs_of_the_vectors_invert_with_the_blocks_they_bring() -> None:
    for case in vectors("firehose/commit-proof-fixtures.json"):
        value = Cid(case["leafValue"]).binary
        before = dict.fromkeys(case["keys"], value)
        after = {**before, **dict.fromkeys(case["adds"], value)}
        for path in case["dels"]:
            del after[path]
        root, blocks = tree_of(after)
        assert tree_of(before)[0] == Cid(case["rootBeforeCommit"]).binary
        assert root == Cid(case["rootAfterCommit"]).binary
        brought = Watched()
        proof = {Cid(text).binary for text in case["blocksInProof"]}
        for cid in proof:
            brought.put(cid, blocks.get(cid) or b"")
        assert invert(brought, root, ops_between(before, after)) == tree_of(before)[0], case["comment"]
        assert brought.used <= proof
