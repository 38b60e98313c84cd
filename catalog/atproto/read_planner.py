"""Estimate the cost of reading a part of a repository, and all of it, from the first nodes of its tree.

Of n keys about a quarter are in layer 1 and above, a sixteenth in layer 2 and above, and so on. That is a rough
estimate, so the cost of a wrong one is bounded, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import libipld

from catalog.atproto.mst import layer_of

if TYPE_CHECKING:
    from catalog.atproto.car import Blocks
    from catalog.atproto.mst import Slice


# Bytes, measured on repositories of posts and of datasets.
_RECORD_BYTES: Final = 850
"""A dataset record with its share of the tree."""
_KEY_BYTES: Final = 430
"""A record of a network of posts with its share of the tree."""
_SLACK_BYTES: Final = 60_000
"""A whole may weigh this much more than the part, for the requests that it saves."""
_NEAR: Final = 2
"""The highest layer of a missing node that something can be said of: below it are about 64 keys, or a few. Of higher
ones the next level is looked at first."""
_CIDS: Final = 100
"""Blocks in a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The measured speed of a server: seconds to its headers, bytes a second. The defaults are guesses."""

    latency: float = 0.1
    throughput: float = 2_000_000.0


def worth_of_whole(part: Slice, blocks: Blocks, *, root: bytes, anew: bool, speed: Speed) -> int:
    """Return the maximum size of a whole repository to be cheaper than the rest of the part; 0 if it seems larger.

    The caller stops reading at that many bytes, so a wrong guess costs no more than the part. ``anew``: no record of
    the part is known yet.
    """
    top = blocks.get(root)
    if top is None:  # a server that answered with the commit only
        return 0
    layers = _missing_layers(part, blocks)
    if max(layers) > _NEAR:
        return 0
    keys = len(part.entries) + sum(4 << 2 * layer for layer in layers) if anew else sum(layers) + len(layers)
    part_bytes = keys * _RECORD_BYTES
    whole_bytes = max(_keys_in_all(top, part.layer), keys) * _KEY_BYTES
    requests = max(layers) + 2 + keys / _CIDS
    part_seconds = requests * speed.latency + part_bytes / speed.throughput
    whole_seconds = speed.latency + whole_bytes / speed.throughput
    most = part_bytes + _SLACK_BYTES
    return most if whole_seconds < part_seconds and whole_bytes <= most else 0


def _keys_in_all(root: bytes, layer: int) -> int:
    """Estimate the number of keys in a tree: the number in its root, scaled by its layer."""
    entries: list[object] = libipld.decode_dag_cbor(root)["e"]
    return len(entries) << 2 * max(layer, 0)


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
