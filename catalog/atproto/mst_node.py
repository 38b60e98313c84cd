"""One node of a repository's tree: read with every check that can be made on it alone, and written.

Specification: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, TypeAlias

import libipld

from catalog.atproto.car import CBOR_CID, CID_BYTES, is_cid
from catalog.atproto.datamodel import has_more_values
from catalog.errors import InvalidProof

MAX_KEY: Final = 1024
"""Bytes of a path: an NSID has at most 317, a record key 512."""
HIGHEST: Final = b"\xff"
"""Above every path, as paths are ASCII."""
PATH_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-"
"""The characters of a collection and a record key; a slash separates the two."""

_LARGE: Final = 65_536
"""Bytes of a node above which its values are counted before it is decoded; nodes of real trees have hundreds."""
_VALUE_BYTES: Final = 5
"""A node has no more than one value in so many bytes: an entry has 10 of them, in 54 bytes and more."""
_LAYERS: Final = 128
UNKNOWN: Final = _LAYERS
"""A placeholder for the layer of a root, which is that of its keys."""

# A digest is of layer n when it is at least _FLOORS[n] and below _CEILINGS[n]: two zero bits more for each layer.
_FLOORS: Final = tuple((1 << (254 - 2 * layer)).to_bytes(32) for layer in range(_LAYERS))
_CEILINGS: Final = (b"\xff" * 33, *_FLOORS)

_BROKEN: Final = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip
"""Exceptions of libipld, and those caused by treating another value as a node."""

Node: TypeAlias = tuple[int, list[bytes], list[bytes], list[bytes | None] | None]
"""Layer, keys, values, and the subtrees before, between and after the keys (None when there are none at all)."""


def layer_of(key: bytes) -> int:
    """The layer of a key in every tree: the leading zero bits of its SHA-256, halved."""
    return (256 - int.from_bytes(sha256(key).digest()).bit_length()) // 2


def open_node(block: bytes, lower: bytes, upper: bytes, layer: int) -> Node:
    """Return a node: its layer, keys, values, and the subtrees around its keys (None if there are none).

    Its keys must be between ``lower`` and ``upper`` and in the layer. For a root, :data:`UNKNOWN`, that is the layer of
    its first key (-1 for an empty tree). Raises :class:`InvalidProof`.
    """
    keys: list[bytes] = []
    values: list[bytes] = []
    if len(block) > _LARGE and has_more_values(block, len(block) // _VALUE_BYTES):
        raise _not_a_node()
    try:
        node = libipld.decode_dag_cbor(block)
        entries, left = node["e"], node["l"]
        if layer == UNKNOWN:
            layer = layer_of(entries[0]["k"]) if entries else -1
        floor, ceiling = _FLOORS[layer], _CEILINGS[layer]
        trees: list[bytes | None] = [left]
        before, last = b"", lower
        for entry in entries:
            prefix, rest, value, tree = entry["p"], entry["k"], entry["v"], entry["t"]
            key = before[:prefix] + rest
            if not (
                last < key
                and prefix + len(rest) == len(key) <= MAX_KEY  # not so if the prefix is longer than the key before
                and floor <= sha256(key).digest() < ceiling
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
    except _BROKEN as error:
        raise _not_a_node() from error
    if keys and last >= upper:
        raise _out_of_range(last)
    if trees.count(None) != len(trees):
        _check_trees(trees, layer)
        return layer, keys, values, trees
    if not keys and layer >= 0:
        raise InvalidProof("a node of the tree is empty")
    return layer, keys, values, None


def _check_trees(trees: list[bytes | None], layer: int) -> None:
    """Check that links to subtrees are CIDs, in a layer that can have subtrees. Raises :class:`InvalidProof`."""
    if layer < 0:
        raise InvalidProof("the root of the tree holds no key, but another tree")
    if layer == 0:
        raise InvalidProof("there is a tree below layer 0")
    for tree in trees:
        if tree is not None and not is_cid(tree):
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
    check_key(key)
    return InvalidProof("a key is outside its node's range", where=_shown(key))


def _shown(key: bytes) -> str:
    return key[:200].decode("ascii", "backslashreplace")


def check_key(key: bytes) -> None:
    """Raises :class:`InvalidProof` for what is not a path: ``collection/rkey``, in the letters that those may have."""
    if len(key) > MAX_KEY:
        raise InvalidProof(f"a key has {len(key):,} bytes; the most is {MAX_KEY:,}", where=_shown(key))
    if key.translate(None, PATH_BYTES) != b"/" or key.startswith(b"/") or key.endswith(b"/"):
        raise InvalidProof("a key is not a path: collection/rkey", where=_shown(key))


def write_node(keys: Sequence[bytes], values: Sequence[bytes], trees: Sequence[bytes | None]) -> bytes:
    """The only block for a node, in DAG-CBOR. ``trees`` has one more than there are keys."""
    parts = [b"\xa2\x61e", _head(0x80, len(keys))]
    before = b""
    for key, value, tree in zip(keys, values, trees[1:], strict=True):
        prefix = _shared(before, key)
        rest = key[prefix:]
        parts += (b"\xa4\x61k", _head(0x40, len(rest)), rest, b"\x61p", _head(0, prefix))
        parts += (b"\x61t", _link(tree), b"\x61v", _link(value))
        before = key
    return b"".join((*parts, b"\x61l", _link(trees[0])))


def _head(kind: int, number: int) -> bytes:
    """The start of a CBOR item: its kind, and a number in the fewest bytes."""
    if number < 24:
        return bytes((kind | number,))
    if number < 0x100:
        return bytes((kind | 24, number))
    if number < 0x10000:
        return bytes((kind | 25,)) + number.to_bytes(2)
    return bytes((kind | 26,)) + number.to_bytes(4)


def _link(cid: bytes | None) -> bytes:
    return b"\xf6" if cid is None else b"\xd8\x2a\x58\x25\x00" + cid


def _shared(left: bytes, right: bytes) -> int:
    """Return the length of the common prefix of two keys: up to the highest bit in which they differ as numbers."""
    length = min(len(left), len(right))
    differ = int.from_bytes(left[:length]) ^ int.from_bytes(right[:length])
    return length - (differ.bit_length() + 7) // 8
