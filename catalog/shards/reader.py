"""Read the samples of a shard: tars with one member per sample, ``<key>.msgpack``.

:func:`samples_in` decides which member is a sample; the library, the publisher and the previews all read by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.shard import display_url
from catalog.shards.storage import open_shard
from catalog.shards.tar import MAX_MEMBER, members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.shard import Shard
    from catalog.shards.source import Source

__all__ = ["SUFFIX", "count_samples", "read_shard", "samples_in"]

SUFFIX: Final = ".msgpack"
"""The end of the name of a member that is a sample."""


def samples_in(
    source: Source, where: str, *, max_bytes: int = MAX_MEMBER, on_other: Callable[[str], object] | None = None
) -> Iterator[tuple[str, memoryview]]:
    """Yield (key, msgpack bytes) of the samples of a shard in their order.

    ``on_other`` is called with the name of each member that is not a sample. Raises :class:`InvalidShard` for a
    damaged tar, for a member of more than ``max_bytes``, and at the end of a tar that has members but no sample.
    """
    length = len(SUFFIX)
    samples = others = 0
    for name, data in members(source, where, most=max_bytes):
        if name.endswith(SUFFIX):
            samples += 1
            yield name[:-length], data
        else:
            others += 1
            if on_other is not None:
                on_other(name)
    if others and not samples:
        raise InvalidShard("no member is a .msgpack sample", where=where)


def read_shard(
    shard: Shard, *, settings: NetworkSettings | None = None, client: Client | None = None
) -> Iterator[tuple[str, memoryview]]:
    """Yield the samples of a shard in their order: (key, msgpack bytes).

    Other members are skipped. The bytes are a read-only slice of a larger buffer: copy them to keep them for long.
    Shards that are read with one ``client`` share its connections.

    Raises :class:`~catalog.errors.RefusedUrl`, :class:`~catalog.errors.ChecksumMismatch`, :class:`InvalidShard`
    (truncated, no tar, no samples in it, no such file), a :class:`~catalog.errors.NetworkError` (absent, with status
    404; no answer; stalled), :class:`~catalog.errors.MissingExtra` (a bucket that isn't public needs botocore).
    """
    with open_shard(shard, settings, client=client) as source:
        yield from samples_in(source, display_url(shard.url))


def count_samples(source: Source, where: str) -> int | None:
    """Return the number of samples in the bytes of a shard, ``None`` if it isn't a valid tar of samples.

    Bytes after the tar's end mark are not read. Errors of ``source`` other than :class:`InvalidShard` are raised.
    """
    try:
        return sum(1 for _ in samples_in(source, where))
    except InvalidShard:
        return None
