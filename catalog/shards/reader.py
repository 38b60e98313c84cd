"""Read the samples of a shard in any of its formats (:mod:`catalog.shards.formats`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from catalog.shards.formats import opened
from catalog.shards.shard import display_url
from catalog.shards.storage import open_shard

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.formats import Format, Raw
    from catalog.shards.shard import Shard
    from catalog.shards.source import Source

__all__ = ["Counted", "count_samples", "open_samples", "read_shard"]


@contextmanager
def open_samples(
    shard: Shard,
    *,
    settings: NetworkSettings | None = None,
    client: Client | None = None,
    source: AbstractContextManager[Source] | None = None,
) -> Iterator[tuple[Format, Iterator[tuple[str, Raw]]]]:
    """Open a shard; return its format and its samples in their order: (key, sample as it is stored).

    Members that are no samples are skipped. Bytes may be a read-only slice of a larger buffer: copy them to keep them
    for long. Shards that are read with one ``client`` share its connections. ``source`` opens the shard if it is given.

    Raises, also while the samples are read, :class:`~catalog.errors.RefusedUrl`,
    :class:`~catalog.errors.ChecksumMismatch`, :class:`~catalog.errors.InvalidShard` (truncated, of no known format, no
    samples in it, no such file), a :class:`~catalog.errors.NetworkError` (absent, with status 404; no answer; stalled),
    :class:`~catalog.errors.MissingExtra` (a bucket that isn't public needs botocore).
    """
    where = display_url(shard.url)
    with source or open_shard(shard, settings, client=client) as raw:
        form, found = opened(raw, shard.format, where)
        yield form, form.samples(found, where, whole=shard.checksum is not None)


def read_shard(
    shard: Shard, *, settings: NetworkSettings | None = None, client: Client | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the samples of a shard in their order, as they are stored; see :func:`open_samples`."""
    with open_samples(shard, settings=settings, client=client) as (_, samples):
        yield from samples


class Counted(NamedTuple):
    """The number of samples in a shard and the name of its format; both ``None`` if it isn't a valid shard."""

    samples: int | None
    format: str | None


def count_samples(source: Source, where: str) -> Counted:
    """Count the samples in the bytes of a shard, whose format is recognised.

    Bytes after the end of the samples are not read. Errors of ``source`` other than
    :class:`~catalog.errors.InvalidShard` are raised.
    """
    form, source = opened(source, None, where)
    samples = form.count(source, where)
    return Counted(samples, None if samples is None else form.name)
