"""Shards: tars of samples, read safely.

A shard is a WebDataset tar with one member a sample, ``<key>.msgpack``. It lies at an ``https`` address (plain ``http``
only on the own machine, and where the network settings allow loopback), in a bucket (``s3://bucket/key``), or in a file
of the local user. Every other scheme is refused: ``pipe:`` runs shell commands in other readers. ::

    storage   where its bytes come from: files, addresses, buckets; cache and checksums
    tar       the members in them
    shards    the samples in those

Braces in a URL mean a pattern only where somebody said so: :func:`expand` is called by ``Dataset.from_urls`` for a
single string, and for the deprecated ``storageExternal``, nowhere else.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard, RefusedUrl
from catalog.shards.storage import Shard, opened, shown
from catalog.shards.tar import members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.config import NetworkSettings
    from catalog.shards.tar import Source

__all__ = ["Shard", "count_samples", "expand", "read_shard"]

MAX_EXPANDED: Final = 100_000
"""Shards of one pattern."""

SUFFIX: Final = ".msgpack"
"""Of the member that is a sample."""
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"([0-9]{1,12})\.\.([0-9]{1,12})")


# --- brace notation ------------------------------------------------------------------------------------------


def expand(pattern: str) -> tuple[str, ...]:
    """Brace notation: ``a-{000..002}.tar`` → three names, ``{a,b}`` → two; several groups multiply, left slowest.

    Raises :class:`RefusedUrl` for more than ``MAX_EXPANDED`` names. Braces that are no pattern stay as they are.
    """
    parts = _BRACES.split(pattern)
    choices: list[tuple[str, ...]] = []
    total = 1
    for index, part in enumerate(parts):
        choices.append(_alternatives(part, pattern) if index % 2 else (part,))
        total *= len(choices[-1])
        if total > MAX_EXPANDED:
            raise RefusedUrl(f"the pattern stands for more than {MAX_EXPANDED} shards", where=shown(pattern))
    return tuple("".join(chosen) for chosen in product(*choices))


def _alternatives(inner: str, pattern: str) -> tuple[str, ...]:
    match = _RANGE.fullmatch(inner)
    if match is None:
        return tuple(inner.split(",")) if "," in inner else (f"{{{inner}}}",)
    first, last = int(match[1]), int(match[2])
    if abs(last - first) >= MAX_EXPANDED:
        raise RefusedUrl(f"the pattern stands for more than {MAX_EXPANDED} shards", where=shown(pattern))
    width = max(len(match[1]), len(match[2])) if match[1].startswith("0") else 0
    step = 1 if last >= first else -1
    return tuple(f"{number:0{width}d}" for number in range(first, last + step, step))


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
