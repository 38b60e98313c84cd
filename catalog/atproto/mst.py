"""The Merkle search tree (MST) of a repository: a sorted map from paths to the CIDs of records.

::

    layer 2                    ┌──── k ────┐              a key's layer: the leading zero bits of its SHA-256, halved
    layer 1            ┌── d ──┴── g ──┐   └── p ──┐
    layer 0          a b c   e f     h i          q r     a node holds the keys between two keys of the layer above

A node is ``{l: CID | null, e: [{p, k, v, t}, …]}``: the tree before its first key, and for each key the length of the
prefix that it shares with the key before, the rest of it, its record, and the tree that follows. A **key** is a
record's path, ``collection/rkey``, as bytes. A **slice** is the part of a tree between two keys; it is proven without
the rest.

The same keys always make the same tree. A tree of another shape could hide a key from lookups, so order, range and
layer of every key are checked. A node without keys is the empty tree, or has a single subtree: no layer is skipped.

Specification: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from catalog.atproto.car import CBOR_CID, is_cid, no_garbage_collection
from catalog.atproto.mst_node import HIGHEST, PATH_BYTES, UNKNOWN, Node, check_key, layer_of, open_node, write_node
from catalog.errors import InvalidProof
from catalog.syntax import Cid

if TYPE_CHECKING:
    from catalog.atproto.car import Blocks

__all__ = ["MAX_ENTRIES", "Op", "Slice", "invert", "layer_of", "read"]

MAX_ENTRIES: Final = 5_000_000
"""Maximum number of records in a tree."""

_Step: TypeAlias = tuple[bytes, bytes, bytes, int] | tuple[bytes, bytes]
"""A node to read (CID, the two keys around it, layer), or an entry to emit (key, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The entries of a tree in a range of keys. They are complete if, and only if, nothing is missing."""

    entries: dict[str, bytes]
    """The CIDs of the records by path, ascending."""
    missing: tuple[bytes, ...]
    """The CIDs of the nodes that may hold keys of the range and weren't there."""
    nodes: tuple[bytes, ...]
    """The CIDs of the nodes that may hold keys of the range and were read."""
    layer: int
    """The layer of the root; -1 for an empty tree or a missing root. Of n keys a tree has about log₄ n layers."""


def read(blocks: Blocks, root: bytes, low: bytes = b"", high: bytes | None = None) -> Slice:
    """Return the entries of a tree from ``low`` (included) to ``high`` (excluded), with all nodes on the way checked.

    Only nodes that may hold such keys are read. Raises :class:`InvalidProof` for a block with the wrong CID, and for
    a tree of the wrong shape.
    """
    with no_garbage_collection():
        return _read(blocks, root, low, HIGHEST if high is None else high)


def _read(blocks: Blocks, root: bytes, low: bytes, high: bytes) -> Slice:
    keys: list[bytes] = []
    values: list[bytes] = []
    missing: list[bytes] = []
    nodes: list[bytes] = []
    seen: set[bytes] = set()
    top = -1
    # A stack: nodes to read, and the entries between them.
    pending: list[_Step] = [(root, b"", HIGHEST, UNKNOWN)]
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
    """Return the wanted entries and subtrees of a node, in reverse order."""
    layer, keys, values, trees = node
    low, high = wanted
    if trees is None:
        return [(key, value) for key, value in zip(reversed(keys), reversed(values), strict=True) if low <= key < high]
    steps: list[_Step] = []
    before, below = between[0], layer - 1
    for tree, key, value in zip(trees, keys, values, strict=False):  # one more tree follows the last key
        if tree is not None and low < key and before < high:
            steps.append((tree, before, key, below))
        if low <= key < high:
            steps.append((key, value))
        before = key
    if (tree := trees[-1]) is not None and before < high:
        steps.append((tree, before, between[1], below))
    steps.reverse()
    return steps


def _paths(keys: list[bytes], values: list[bytes]) -> dict[str, bytes]:
    """The entries by path. All keys are checked at once, which is much faster than one by one."""
    if not keys:
        return {}
    lines = b"\n".join(keys)
    good = (
        lines.translate(None, PATH_BYTES) == b"/\n" * (len(keys) - 1) + b"/"
        and not lines.startswith(b"/")
        and not lines.endswith(b"/")
        and b"\n/" not in lines
        and b"/\n" not in lines
    )
    if not good:
        for key in keys:
            check_key(key)
    return dict(zip(lines.decode("ascii").split("\n"), values, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """The change of one path by a commit: ``prev`` is the CID before (None: created), ``cid`` after (None: deleted)."""

    path: str
    cid: bytes | None
    prev: bytes | None


def invert(blocks: Blocks, root: bytes, ops: Sequence[Op]) -> bytes:
    """Return the root of the tree before these operations: the one that the previous commit signed.

    Needs only the nodes that the operations touch, as the firehose has them. Raises :class:`InvalidProof` if one of
    them is missing or malformed, or if the tree doesn't match the operations.
    """
    tree = _Tree.opened(blocks, root, UNKNOWN)
    keys = [_checked(op) for op in ops]
    if len(set(keys)) < len(keys):
        raise InvalidProof("two operations are on one path")
    for key, op in zip(keys, ops, strict=True):
        if op.prev is None:
            tree.take(blocks, key, op.cid)
        elif op.cid is None:
            tree = tree.with_entry(blocks, key, op.prev)
        else:
            tree.replace(blocks, key, op.cid, op.prev)
    return tree.trimmed(blocks)


def _checked(op: Op) -> bytes:
    """Return the key of an operation. Raises :class:`InvalidProof` if it is malformed."""
    key = op.path.encode("utf-8", "surrogatepass")
    check_key(key)
    if op.cid is None and op.prev is None:
        raise InvalidProof("an operation tells no record, neither before nor after", where=op.path)
    if not all(cid is None or is_cid(cid) for cid in (op.cid, op.prev)):
        raise InvalidProof("an operation's CID is not that of a record", where=op.path)
    return key


@dataclass(slots=True)
class _Tree:
    """A mutable node. The trees around its keys are loaded nodes, CIDs, or None."""

    layer: int
    keys: list[bytes]
    values: list[bytes]
    trees: list[_Tree | bytes | None]

    @classmethod
    def opened(cls, blocks: Blocks, cid: bytes, layer: int) -> Self:
        block = blocks.get(cid)
        if block is None:
            raise InvalidProof("a node of the tree that the operations touch is missing", where=str(Cid.of_binary(cid)))
        layer, keys, values, trees = open_node(block, b"", HIGHEST, layer)
        around = [None] * (len(keys) + 1) if trees is None else trees
        if write_node(keys, values, around) != block:
            raise InvalidProof("a node of the tree is not written in its only form", where=str(Cid.of_binary(cid)))
        return cls(layer, keys, values, list(around))

    @property
    def is_empty(self) -> bool:
        return self.trees == [None]

    def below(self, blocks: Blocks, place: int) -> _Tree | None:
        tree = self.trees[place]
        if isinstance(tree, bytes):
            tree = self.trees[place] = _Tree.opened(blocks, tree, self.layer - 1)
        return tree

    def found(self, blocks: Blocks, key: bytes, value: bytes | None) -> list[tuple[_Tree, int]]:
        """Return the path from this node to an entry: nodes, and positions in them."""
        way, node, layer = [], self, layer_of(key)
        while True:
            place = bisect_left(node.keys, key)
            way.append((node, place))
            if node.layer <= layer:
                break
            child = node.below(blocks, place)
            if child is None:
                break
            node = child
        if node.keys[place : place + 1] != [key]:
            raise InvalidProof("a record that was written is not in the tree", where=key.decode())
        if node.values[place] != value:
            raise InvalidProof("a record in the tree is not the one that was written", where=key.decode())
        return way

    def replace(self, blocks: Blocks, key: bytes, value: bytes, other: bytes) -> None:
        node, place = self.found(blocks, key, value)[-1]
        node.values[place] = other

    def take(self, blocks: Blocks, key: bytes, value: bytes | None) -> None:
        """Remove an entry, and merge the trees on its two sides."""
        way = self.found(blocks, key, value)
        node, place = way[-1]
        del node.keys[place], node.values[place]
        node.trees[place : place + 2] = [_merged(blocks, node.trees[place], node.trees[place + 1], node.layer - 1)]
        for (child, _), (parent, above) in zip(reversed(way), reversed(way[:-1]), strict=False):
            if child.is_empty:
                parent.trees[above] = None

    def with_entry(self, blocks: Blocks, key: bytes, value: bytes) -> _Tree:
        """Return the tree with one more entry; its root may be new."""
        layer = layer_of(key)
        if layer > self.layer:
            halves = _split(blocks, None if self.is_empty else self, key, self.layer)
            return _Tree(layer, [key], [value], [_raised(half, self.layer, layer - 1) for half in halves])
        node = self
        while node.layer > layer:
            place = bisect_left(node.keys, key)
            child = node.below(blocks, place)
            if child is None:
                child = node.trees[place] = _Tree(node.layer - 1, [], [], [None])
            node = child
        place = bisect_left(node.keys, key)
        if node.keys[place : place + 1] == [key]:
            raise InvalidProof("a record that was deleted is still in the tree", where=key.decode())
        node.trees[place : place + 1] = _split(blocks, node.trees[place], key, layer - 1)
        node.keys.insert(place, key)
        node.values.insert(place, value)
        return self

    def trimmed(self, blocks: Blocks) -> bytes:
        """Return the CID of the tree without the keyless nodes at its top; a missing node below is assumed to have
        keys.
        """
        top: _Tree | bytes | None = self
        while isinstance(top, _Tree) and not top.keys and not top.is_empty:
            below = top.layer - 1
            top = top.trees[0]
            if isinstance(top, bytes) and top in blocks:
                top = _Tree.opened(blocks, top, below)
        return top.written() if isinstance(top, _Tree) else top or b""

    def written(self) -> bytes:
        """Return the CID of the node, after writing those below it."""
        trees = [tree.written() if isinstance(tree, _Tree) else tree for tree in self.trees]
        return CBOR_CID + sha256(write_node(self.keys, self.values, trees)).digest()


def _split(blocks: Blocks, tree: _Tree | bytes | None, key: bytes, layer: int) -> list[_Tree | bytes | None]:
    """Split a tree of a layer into the parts before and after a key."""
    if tree is None:
        return [None, None]
    node = _Tree.opened(blocks, tree, layer) if isinstance(tree, bytes) else tree
    place = bisect_left(node.keys, key)
    left, right = _split(blocks, node.trees[place], key, layer - 1)
    halves = (
        _Tree(layer, node.keys[:place], node.values[:place], [*node.trees[:place], left]),
        _Tree(layer, node.keys[place:], node.values[place:], [right, *node.trees[place + 1 :]]),
    )
    return [None if half.is_empty else half for half in halves]


def _merged(
    blocks: Blocks, left: _Tree | bytes | None, right: _Tree | bytes | None, layer: int
) -> _Tree | bytes | None:
    if left is None or right is None:
        return right if left is None else left
    one = _Tree.opened(blocks, left, layer) if isinstance(left, bytes) else left
    two = _Tree.opened(blocks, right, layer) if isinstance(right, bytes) else right
    between = _merged(blocks, one.trees[-1], two.trees[0], layer - 1)
    return _Tree(layer, one.keys + two.keys, one.values + two.values, [*one.trees[:-1], between, *two.trees[1:]])


def _raised(tree: _Tree | bytes | None, layer: int, wanted: int) -> _Tree | bytes | None:
    """Put a tree of a layer below keyless nodes, up to another layer."""
    if tree is None:
        return None
    for above in range(layer + 1, wanted + 1):
        tree = _Tree(above, [], [], [tree])
    return tree
