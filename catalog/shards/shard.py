"""Shards: tars of samples, read safely.

A shard is a WebDataset tar with one member a sample, ``<key>.msgpack``. It lies at an ``https`` address (plain ``http``
only on the own machine, and where the network settings allow loopback), in a bucket (``s3://bucket/key``), or in a file
of the local user. Every other scheme is refused: ``pipe:`` runs shell commands in other readers. ::

    storage   where its bytes come from: files, addresses, buckets; cache and checksums
    tar       the members in them
    shards    the samples in those
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.storage import Shard, opened, shown
from catalog.shards.tar import members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.config import NetworkSettings
    from catalog.shards.tar import Source

__all__ = ["Shard", "count_samples", "read_shard"]

SUFFIX: Final = ".msgpack"
"""Of the member that is a sample."""


# --- reading -------------------------------------------------------------------------------------------------


def read_shard(shard: Shard, *, settings: NetworkSettings | None = None) -> Iterator[tuple[str, memoryview]]:
    """The samples of a shard in their order: (key, msgpack bytes).

    Members of other kinds are passed over. The bytes are a read-only slice of a larger buffer: who keeps them for long
    copies them. Raises :class:`RefusedUrl`, :class:`~catalog.errors.ChecksumMismatch`, :class:`InvalidShard` (cut, no
    tar, nothing in it that is a sample, no such file), a :class:`~catalog.errors.NetworkError` (not there, with status
    404; doesn't answer, stalls), :class:`~catalog.errors.MissingExtra` (a bucket that isn't public needs botocore).
    """
    where = shown(shard.url)
    length = len(SUFFIX)
    with opened(shard, settings) as source:
        samples = others = 0
        for name, data in members(source, where):
            if name.endswith(SUFFIX):
                samples += 1
                yield name[:-length], data
            else:
                others += 1
        if others and not samples:
            raise InvalidShard("no member is a .msgpack sample", where=where)


def count_samples(source: Source, where: str) -> int | None:
    """How many samples are in the bytes of a shard, ``None`` for what is no tar of samples: cut, or others' members.

    What is behind the tar's end mark isn't read. Raises what reading ``source`` does, but for :class:`InvalidShard`.
    """
    samples = others = 0
    try:
        for name, _ in members(source, where):
            if name.endswith(SUFFIX):
                samples += 1
            else:
                others += 1
    except InvalidShard:
        return None
    return None if others and not samples else samples
