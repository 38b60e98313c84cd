"""Trees of the wrong shape are refused, each with its reason, though the account's own key signed them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import mst
from catalog.atproto.car import Blocks
from catalog.atproto.datamodel import bytes_json, encode
from catalog.errors import InvalidProof
from tests.repos import SigningKey, car, cid_of, entry, layer, link, node, proven, put, refusal, signed_commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.mark import ParameterSet

    from catalog.atproto.datamodel import Json

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
KEY = SigningKey()


def keys_of(wanted: int) -> list[bytes]:
    """Ascending keys of one layer."""
    made = (b"b.c/%05d" % number for number in itertools.count())
    return list(itertools.islice((key for key in made if layer(key) == wanted), 8))


ZERO, ONE, TWO = keys_of(0), keys_of(1), keys_of(2)
SOME = encode({"some": "record"})
VALUE = cid_of(SOME)

Trees = dict[bytes, bytes]
Made: TypeAlias = "Callable[[Trees], bytes]"
TREES: list[ParameterSet] = []


def refused(reason: str) -> Callable[[Made], None]:
    """A tree that is refused for a reason: the root's block; other nodes are put into the blocks handed in."""

    def note(made: Made) -> None:
        TREES.append(pytest.param(reason, made, id=made.__name__.strip("_")))

    return note


def leaf(*keys: bytes) -> bytes:
    return node(None, [(key, VALUE, None) for key in keys])


def raw_node(left: Json, *entries: Json, **more: Json) -> bytes:
    return encode({"l": left, "e": list(entries), **more})


@refused("a key of layer 1 is in layer 0")
def _too_low(_: Trees) -> bytes:
    return leaf(ZERO[0], next(key for key in ONE if key > ZERO[0]))


@refused("a key of layer 0 is in layer 1")
def _too_high(_: Trees) -> bytes:
    return leaf(ONE[0], next(key for key in ZERO if key > ONE[0]))


@refused("a key of layer 0 is in layer 1")
def _skipped_layer(blocks: Trees) -> bytes:
    below = put(blocks, leaf(next(key for key in ZERO if key < TWO[0])))
    return node(below, [(TWO[0], VALUE, None)])


@refused("the keys are not in ascending order")
def _descending(_: Trees) -> bytes:
    return leaf(ZERO[1], ZERO[0])


@refused("a key is there twice")
def _twice(_: Trees) -> bytes:
    return leaf(ZERO[0], ZERO[1], ZERO[1])


@refused("a key is outside its node's range")
def _left_of_it_and_larger(blocks: Trees) -> bytes:
    below = put(blocks, leaf(next(key for key in ZERO if key > ONE[0])))
    return node(below, [(ONE[0], VALUE, None)])


@refused("a key is outside its node's range")
def _right_of_it_and_smaller(blocks: Trees) -> bytes:
    below = put(blocks, leaf(next(key for key in ZERO if key < ONE[1])))
    return node(None, [(ONE[1], VALUE, below)])


@refused("a key is outside its node's range")
def _between_two_and_beyond_the_second(blocks: Trees) -> bytes:
    below = put(blocks, leaf(next(key for key in ZERO if key > ONE[1])))
    return node(None, [(ONE[0], VALUE, below), (ONE[1], VALUE, None)])


@refused("a key is outside its node's range")
def _the_key_itself_below_it(blocks: Trees) -> bytes:
    """Two layers down, where only the bound that was handed on can tell."""
    lowest = put(blocks, leaf(next(key for key in ZERO if key > TWO[0])))
    between = put(blocks, node(lowest, []))
    return node(between, [(TWO[0], VALUE, None)])


@refused("a node of the tree is used twice")
def _one_tree_on_both_sides(blocks: Trees) -> bytes:
    below = put(blocks, leaf(next(key for key in ZERO if key < ONE[1])))
    return node(below, [(ONE[1], VALUE, below)])


@refused("there is a tree below layer 0")
def _below_the_lowest(blocks: Trees) -> bytes:
    return node(put(blocks, leaf(ZERO[0])), [(ZERO[1], VALUE, None)])


@refused("there is a tree below layer 0")
def _a_long_way_down(blocks: Trees) -> bytes:
    below = put(blocks, leaf(ZERO[0]))
    for _ in range(2000):
        below = put(blocks, node(below, []))
    return node(below, [(TWO[0], VALUE, None)])


@refused("a block has the wrong CID: its bytes hash to another")
def _a_circle(blocks: Trees) -> bytes:
    """As near as one can come to a circle: a node whose tree has its own name."""
    name = cid_of(b"a circle")
    blocks[name] = node(name, [])
    return node(name, [(TWO[0], VALUE, None)])


@refused("a node of the tree is empty")
def _an_empty_leaf(blocks: Trees) -> bytes:
    return node(put(blocks, leaf()), [(ONE[0], VALUE, None)])


@refused("the root of the tree holds no key, but another tree")
def _a_root_above_the_root(blocks: Trees) -> bytes:
    return node(put(blocks, leaf(ZERO[0])), [])


@refused("a key shares more with the key before than that one has")
def _a_prefix_of_nothing(_: Trees) -> bytes:
    return raw_node(None, entry(1, ZERO[0], VALUE))


@refused("a key shares more with the key before than that one has")
def _a_prefix_too_long(_: Trees) -> bytes:
    return raw_node(None, entry(0, ZERO[0], VALUE), entry(len(ZERO[0]) + 1, b"0", VALUE))


@refused("a key shares more with the key before than that one has")
def _a_prefix_below_zero(_: Trees) -> bytes:
    return raw_node(None, entry(0, ZERO[0], VALUE), entry(-1, b"9", VALUE))


@refused("a key has 1,025 bytes; the most is 1,024")
def _a_long_key(_: Trees) -> bytes:
    return leaf(b"b.c/" + b"x" * 1021)


@refused("a key has 1,000,000 bytes; the most is 1,024")
def _keys_that_grow_out_of_prefixes(_: Trees) -> bytes:
    """A megabyte that a thousand more keys would share: a gigabyte, had they been put together."""
    first = b"b.c/" + b"x" * 999_996
    return raw_node(None, entry(0, first, VALUE), *(entry(len(first), b"%05d" % n, VALUE) for n in range(9000)))


@refused("a value is not the CID of a record")
def _a_value_of_raw_bytes(_: Trees) -> bytes:
    return leaf(ZERO[0])[:-36] + b"\x01\x55" + leaf(ZERO[0])[-34:]


@refused("a value is not the CID of a record")
def _a_value_of_bytes_that_only_begin_like_a_cid(_: Trees) -> bytes:
    return raw_node(None, {"k": bytes_json(ZERO[0]), "p": 0, "t": None, "v": bytes_json(VALUE + b"x")})


@refused("a link to a subtree is not the CID of a DAG-CBOR block")
def _a_tree_of_raw_bytes(_: Trees) -> bytes:
    return node(b"\x01\x55\x12\x20" + bytes(32), [(ONE[0], VALUE, None)])


@refused("a link to a subtree is not the CID of a DAG-CBOR block")
def _a_tree_in_words(_: Trees) -> bytes:
    return raw_node("left", entry(0, ONE[0], VALUE))


_KEYS = (b"b.c", b"/c", b"b.c/", b"b.c/d/e", b"b c/d", b"b.c/\n", b"b.c/\xc3\xa9", b"\xff/x", b"b.c/%", b"b.c/\0")
_ENTRY = entry(0, ZERO[0], VALUE)
assert isinstance(_ENTRY, dict)
_BROKEN: dict[str, bytes] = {
    "no map": encode([1]),
    "no entries": encode({"l": None}),
    "no left": encode({"e": []}),
    "one field more": raw_node(None, m=1),
    "entries of another kind": encode({"l": None, "e": {}}),
    "entries in text": encode({"l": None, "e": ""}),
    "entries of zero": encode({"l": None, "e": 0}),
    "an entry of another kind": raw_node(None, 7),
    "an entry in a list": raw_node(None, [1, 2, 3, 4]),
    **{f"an entry without {name}": raw_node(None, {k: v for k, v in _ENTRY.items() if k != name}) for name in "kptv"},
    "an entry with more": raw_node(None, {**_ENTRY, "x": 1}),
    "a key in text": raw_node(None, {**_ENTRY, "k": "b.c/1"}),
    "a key of a list": raw_node(None, {**_ENTRY, "k": []}),
    "a prefix in text": raw_node(None, {**_ENTRY, "p": "0"}),
    "no prefix": raw_node(None, {**_ENTRY, "p": None}),
    "a value of none": raw_node(None, {**_ENTRY, "v": None}),
    "a value of a number": raw_node(None, {**_ENTRY, "v": 36}),
    "a float": b"\xa2\x61e\x80\x61l\xfb" + bytes(8) + b"x",
    "not CBOR": b"\xff\xff",
    "nothing": b"",
    "two values": raw_node(None) + raw_node(None),
    "fields in another order": b"\xa2\x61l\xf6\x61e\x80",
    "a field twice": b"\xa3\x61e\x80\x61e\x80\x61l\xf6",
    "deep lists": b"\x81" * 1_000_000 + b"\x01",
    "deep maps": b"\xa1\x61e" * 300_000 + b"\x01",
    "a list of 2^63": b"\xa2\x61e\x9b\x7f" + b"\xff" * 7,
    "bytes of 2^63": b"\xa2\x61e\x5b\x7f" + b"\xff" * 7,
    "two million lists": b"\xa2\x61e\x9a\x00\x1f\x00\x00" + b"\x80" * 0x1F0000 + b"\x61l\xf6",
    "a record": SOME,
    "a commit": signed_commit(VALUE, did=DID, key=KEY),
}


def signed(root: bytes, blocks: Trees) -> bytes:
    """The CAR of a tree, signed."""
    commit = signed_commit(cid_of(root), did=DID, key=KEY)
    return car([cid_of(commit)], [(cid_of(commit), commit), (cid_of(root), root), *blocks.items()])


@pytest.mark.parametrize(("reason", "made"), TREES)
def test_a_tree_of_the_wrong_shape_is_refused_though_it_is_signed(reason: str, made: Made) -> None:
    blocks: Trees = {VALUE: SOME}
    root = made(blocks)
    assert refusal(signed(root, blocks), did=DID, key=KEY.did_key) == reason


@pytest.mark.parametrize("key", _KEYS)
def test_a_key_that_is_not_a_path_is_refused(key: bytes) -> None:
    reason = refusal(signed(leaf(key), {VALUE: SOME}), did=DID, key=KEY.did_key)
    assert reason == "a key is not a path: collection/rkey"


@pytest.mark.parametrize("block", [pytest.param(block, id=name) for name, block in _BROKEN.items()])
def test_a_block_that_is_not_a_node_is_refused(block: bytes) -> None:
    assert refusal(signed(block, {VALUE: SOME}), did=DID, key=KEY.did_key) == "a block is not a node of the tree"


def test_the_trees_above_are_refused_for_their_shape_alone() -> None:
    """The control: the same keys, nodes and signature in the right shape."""
    blocks: Trees = {VALUE: SOME}
    lower = [key for key in ZERO if key < ONE[-1]]
    root = node(put(blocks, leaf(*lower)), [(ONE[-1], VALUE, None)])
    records = proven(signed(root, blocks), did=DID, key=KEY.did_key)
    assert list(records) == [key.decode() for key in (*lower, ONE[-1])]


def test_a_tree_of_more_entries_than_any_repository_has_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mst, "MAX_ENTRIES", 7)
    raw = signed(leaf(*ZERO), {VALUE: SOME})
    assert refusal(raw, did=DID, key=KEY.did_key) == "the tree has more than 7 entries"


@given(block=st.binary(max_size=60) | st.binary(max_size=60).map(lambda raw: b"\xa2\x61e" + raw))
def test_any_block_is_a_node_or_refused(block: bytes) -> None:
    blocks = Blocks()
    blocks.put(cid_of(block), block)
    try:
        found = mst.read(blocks, cid_of(block))
    except InvalidProof:
        return
    assert block == leaf() or found.entries or found.missing


def test_links_are_written_as_links() -> None:
    """The control of the builders above: a value made by hand is what ``entry`` makes."""
    assert {"p": 0, "k": bytes_json(ZERO[0]), "v": link(VALUE), "t": None} == _ENTRY
