"""What it costs to read a part of a repository, and the whole of it: estimated from the first look at its tree.

Random as they are, trees tell their size: of n keys about a quarter is of layer 1 and above, a sixteenth of layer 2 and
above, and so on. Two estimates are made, and the larger one counts, as reading a large whole for a small part is the
costlier mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import libipld

from catalog.network.mst import layer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalog.network.car import Blocks
    from catalog.network.mst import Slice

__all__ = ["Speed", "keys_in_all", "whole_is_cheaper"]

# Bytes, measured on repositories of posts and of datasets.
_RECORD_BYTES: Final = 850
"""A dataset record with its share of the tree."""
_KEY_BYTES: Final = 430
"""A record of a network of posts with its share of the tree."""
_SLACK_BYTES: Final = 100_000
"""A whole may weigh this much more than twice the part, for the requests that it saves."""
_CIDS: Final = 100
"""Blocks in a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a server has been so far: seconds to its headers, bytes a second; guesses where it wasn't measured."""

    latency: float = 0.1
    throughput: float = 2_000_000.0


def keys_in_all(path: Iterable[bytes], layer: int) -> int:
    """About how many keys a tree has: from its root's layer, and from the nodes on one way down."""
    widths: list[int] = [len(libipld.decode_dag_cbor(block)["e"]) + 1 for block in path]
    if not widths:
        return 0
    return max(widths[0] << 2 * max(layer, 0), prod(widths))


def whole_is_cheaper(part: Slice, blocks: Blocks, *, keys_in_all: int, anew: bool, speed: Speed) -> bool:
    """Whether the rest of a part would cost more than the whole, in time; never much more than that in bytes.

    ``anew`` says that nothing of the part is known yet: then all its records are still to come.
    """
    layers = _missing_layers(part, blocks)
    keys = len(part.entries) + sum(4 << 2 * layer for layer in layers) if anew else sum(layers) + len(layers)
    part_bytes = keys * _RECORD_BYTES
    whole_bytes = max(keys_in_all, keys) * _KEY_BYTES
    requests = max(layers) + 2 + keys / _CIDS
    part_seconds = requests * speed.latency + part_bytes / speed.throughput
    whole_seconds = speed.latency + whole_bytes / speed.throughput
    return whole_seconds < part_seconds and whole_bytes <= 2 * part_bytes + _SLACK_BYTES


def _missing_layers(part: Slice, blocks: Blocks) -> list[int]:
    """The layers of the nodes that are missing, from the keys of those above them."""
    missing = frozenset(part.missing)
    found: list[int] = []
    for cid in part.nodes:
        node = libipld.decode_dag_cbor(blocks.get(cid) or b"")
        entries = node["e"]
        count = sum(tree in missing for tree in (node["l"], *(entry["t"] for entry in entries)))
        if count and entries:
            found += [layer_of(entries[0]["k"]) - 1] * count
    return found or [max(part.layer, 0)]
