"""The tree that a repository's commit signs: from paths to the CIDs of records, in order.

::

    layer 2                    ┌──── k ────┐              a key's layer: the leading zero bits of its SHA-256, halved
    layer 1            ┌── d ──┴── g ──┐   └── p ──┐
    layer 0          a b c   e f     h i          q r     a node holds the keys between two keys of the layer above

A node is ``{l: CID | null, e: [{p, k, v, t}, …]}``: the tree before its first key, and for each key the length of the
prefix that it shares with the key before, the rest of it, its record, and the tree that follows.

*Terminology.* A **key** is a record's path, ``collection/rkey``, as bytes. A **slice** is the part of a tree between
two keys; it can be read, and is proven, without the rest of the tree.

*Tricky bits.*

- The same keys always make the same tree. One of another shape can hide a key from those who look it up, so order,
  range and layer of every key that is read are checked. A tree of the wrong shape is refused whole.
- A node without keys is the empty tree, or a stop on the way down: below it is one tree, and no layer is skipped.

Specification: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import libipld

from catalog.errors import InvalidProof
from catalog.network.car import CBOR_CID, CID_BYTES, is_cid, no_garbage_collection
from catalog.syntax import Cid

if TYPE_CHECKING:
    from catalog.network.car import Blocks

__all__ = ["MAX_ENTRIES", "MAX_KEY", "UNKNOWN", "Node", "Slice", "check_key", "layer_of", "open_node", "read"]

MAX_KEY: Final = 1024
"""Bytes of a path: an NSID has at most 317, a record key 512."""
MAX_ENTRIES: Final = 5_000_000
"""More records than any repository has; a tree with more is not read on."""

_HIGHEST: Final = b"\xff"
"""Above every path, as paths are ASCII."""
_PATH_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-"
_LAYERS: Final = 128
UNKNOWN: Final = _LAYERS
"""A layer that no key is in: it stands for that of a root, which its keys tell."""

# A digest is of layer n when it is at least _FLOORS[n] and below _CEILINGS[n]: two zero bits more for each layer.
_FLOORS: Final = tuple((1 << (254 - 2 * layer)).to_bytes(32) for layer in range(_LAYERS))
_CEILINGS: Final = (b"\xff" * 33, *_FLOORS)

Node: TypeAlias = tuple[int, list[bytes], list[bytes], list[bytes | None] | None]
"""Layer, keys, values, and the subtrees before, between and after the keys (None when there are none at all)."""
_Step: TypeAlias = tuple[bytes, bytes, bytes, int] | tuple[bytes, bytes]
"""A node to be read (CID, the two keys around it, layer), or an entry to be told (key, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What a tree holds from one key to another. The entries are complete if, and only if, nothing is missing."""

    entries: dict[str, bytes]
    """The CIDs of the records by path, ascending."""
    missing: tuple[bytes, ...]
    """The CIDs of the nodes that may hold keys of the range and weren't there."""
    nodes: tuple[bytes, ...]
    """The CIDs of the nodes that may hold keys of the range and were read."""
    layer: int
    """The layer of the root; -1 for an empty tree or a missing root. Of n keys a tree has about log₄ n layers."""


def layer_of(key: bytes) -> int:
    """The layer of a key in every tree: the leading zero bits of its SHA-256, halved."""
    return (256 - int.from_bytes(sha256(key).digest()).bit_length()) // 2


def read(blocks: Blocks, root: bytes, low: bytes = b"", high: bytes | None = None) -> Slice:
    """The entries of a tree from ``low`` (included) to ``high`` (not), every step of the way checked.

    Only nodes that may hold such keys are read. Raises :class:`InvalidProof` for a block with the wrong CID, and for
    a tree of the wrong shape.
    """
    with no_garbage_collection():
        return _read(blocks, root, low, _HIGHEST if high is None else high)


def _read(blocks: Blocks, root: bytes, low: bytes, high: bytes) -> Slice:
    keys: list[bytes] = []
    values: list[bytes] = []
    missing: list[bytes] = []
    nodes: list[bytes] = []
    seen: set[bytes] = set()
    top = -1
    # What is still to do, the next at the end: nodes, and the entries that come between them.
    pending: list[_Step] = [(root, b"", _HIGHEST, UNKNOWN)]
    while pending:
        step = pending.pop()
        if len(step) == 2:
            keys.append(step[0])
            values.append(step[1])
            continue
        cid, lower, upper, layer = step
        if cid in seen:
            raise InvalidProof("a node of the tree is used twice", where=str(Cid.of_binary(cid)))
        seen.add(cid)
        block = blocks.get(cid)
        if block is None:
            missing.append(cid)
            continue
        nodes.append(cid)
        node = open_node(block, lower, upper, layer)
        if layer == UNKNOWN:
            top = node[0]
        if node[3] is None and low <= lower and upper <= high:
            keys += node[1]
            values += node[2]
        else:
            pending += _steps(node, (lower, upper), (low, high))
        if len(keys) + len(pending) > MAX_ENTRIES:
            raise InvalidProof(f"the tree has more than {MAX_ENTRIES:,} entries")
    return Slice(entries=_paths(keys, values), missing=tuple(missing), nodes=tuple(nodes), layer=top)


def _steps(node: Node, between: tuple[bytes, bytes], wanted: tuple[bytes, bytes]) -> list[_Step]:
    """The entries and subtrees of a node that are wanted, the last first."""
    layer, keys, values, trees = node
    low, high = wanted
    steps: list[_Step] = []
    bounds = (between[0], *keys, between[1])
    for place in range(len(keys), -1, -1):
        lower, upper = bounds[place : place + 2]
        if trees is not None and (tree := trees[place]) is not None and low < upper and lower < high:
            steps.append((tree, lower, upper, layer - 1))
        if place and low <= lower < high:
            steps.append((lower, values[place - 1]))
    return steps


def open_node(block: bytes, lower: bytes, upper: bytes, layer: int) -> Node:
    """A node: its layer, its keys, its values, and the subtrees around its keys (None when there are none at all).

    Its keys must lie between ``lower`` and ``upper`` and be of the layer. The layer of a root is :data:`UNKNOWN`: it is
    that of its first key (-1 for an empty tree). Raises :class:`InvalidProof`.
    """
    keys: list[bytes] = []
    values: list[bytes] = []
    try:
        node = libipld.decode_dag_cbor(block)
        entries, left = node["e"], node["l"]
        if layer == UNKNOWN:
            layer = layer_of(entries[0]["k"]) if entries else -1
        floor, ceiling = _FLOORS[layer], _CEILINGS[layer]
        trees: list[bytes | None] = [left]
        before, last = b"", lower
        for entry in entries:
            prefix, value, tree = entry["p"], entry["v"], entry["t"]
            key = before[:prefix] + entry["k"]
            if not (
                last < key
                and len(key) <= MAX_KEY
                and floor <= sha256(key).digest() < ceiling
                and type(prefix) is int
                and 0 <= prefix <= len(before)
                and len(value) == CID_BYTES
                and value.startswith(CBOR_CID)
                and len(entry) == 4
            ):
                raise _fault(entry, before, lower if not keys else None, layer)
            keys.append(key)
            values.append(value)
            trees.append(tree)
            before = last = key
        if len(node) != 2 or type(entries) is not list:
            raise _not_a_node()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError) as error:
        raise _not_a_node() from error
    if keys and last >= upper:
        raise _out_of_range(last)
    leaf = trees.count(None) == len(trees)
    _check_shape(trees, layer, empty=not keys, leaf=leaf)
    return layer, keys, values, None if leaf else trees


def _check_shape(trees: list[bytes | None], layer: int, *, empty: bool, leaf: bool) -> None:
    """What is below a node has a layer to be in, and there is something in it or below it."""
    if leaf:
        if empty and layer >= 0:
            raise InvalidProof("a node of the tree is empty")
        return
    if layer < 0:
        raise InvalidProof("the root of the tree holds no key, but another tree")
    if layer == 0:
        raise InvalidProof("there is a tree below layer 0")
    if not all(tree is None or is_cid(tree) for tree in trees):
        raise InvalidProof("a link to a subtree is not the CID of a DAG-CBOR block")


def _fault(entry: dict[str, Any], before: bytes, lower: bytes | None, layer: int) -> InvalidProof:
    """Why an entry was refused; ``lower`` is what its node's first key must be above."""
    prefix, value = entry["p"], entry["v"]
    if len(entry) != 4 or type(prefix) is not int:
        return _not_a_node()
    key = before[: max(prefix, 0)] + entry["k"]
    if not 0 <= prefix <= len(before):
        what = "a key shares more with the key before than that one has"
    elif not is_cid(value):
        what = "a value is not the CID of a record"
    elif lower is not None and key <= lower:
        return _out_of_range(key)
    elif key == before:
        what = "a key is there twice"
    elif key < before:
        what = "the keys are not in ascending order"
    else:
        check_key(key)
        what = f"a key of layer {layer_of(key)} is in layer {layer}"
    return InvalidProof(what, where=_shown(key))


def _not_a_node() -> InvalidProof:
    return InvalidProof("a block is not a node of the tree")


def _out_of_range(key: bytes) -> InvalidProof:
    return InvalidProof("a key is outside its node's range", where=_shown(key))


def _shown(key: bytes) -> str:
    return key[:200].decode("ascii", "backslashreplace")


def check_key(key: bytes) -> None:
    """Raises :class:`InvalidProof` for what is not a path: ``collection/rkey``, in the letters that those may have."""
    if len(key) > MAX_KEY:
        raise InvalidProof(f"a key has {len(key):,} bytes; the most is {MAX_KEY:,}", where=_shown(key))
    if key.translate(None, _PATH_BYTES) != b"/" or key.startswith(b"/") or key.endswith(b"/"):
        raise InvalidProof("a key is not a path: collection/rkey", where=_shown(key))


def _paths(keys: list[bytes], values: list[bytes]) -> dict[str, bytes]:
    """The entries by path. All keys are checked at once, which is ten times as fast as one by one."""
    if not keys:
        return {}
    lines = b"\n".join(keys)
    good = (
        lines.translate(None, _PATH_BYTES) == b"/\n" * (len(keys) - 1) + b"/"
        and not lines.startswith(b"/")
        and not lines.endswith(b"/")
        and b"\n/" not in lines
        and b"/\n" not in lines
        and len(max(keys, key=len)) <= MAX_KEY
    )
    if not good:
        for key in keys:
            check_key(key)
    return dict(zip(lines.decode("ascii").split("\n"), values, strict=True))
