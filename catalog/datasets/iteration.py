"""What happens when a dataset is iterated: shards are dealt out, their samples shuffled, unpacked, changed.

::

    shards ─▶ shuffled ─▶ dealt to nodes ─▶ dealt to workers ─▶ (key, bytes) ─▶ window ─▶ sample ─▶ steps
              same seed everywhere                                             shuffled   unpacked

Tricky bits
-----------
- Shards are shuffled before they are dealt, by the same seed everywhere: that makes the parts disjoint.
- Where there are fewer shards than parts, every part reads them all and takes every n-th sample: no part is empty while
  there are samples, and none is seen twice.
- The window holds samples that aren't unpacked yet, which is smaller, and they are unpacked when they are used.
- Steps are small frozen objects, not closures: a dataset travels to other processes.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from catalog.datasets.batches import Batch, batches
from catalog.errors import CatalogError
from catalog.samples.packing import unpacker
from catalog.shards.reader import read_shard
from catalog.shards.storage import shared_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.shard import Shard

__all__ = ["Batched", "Filtered", "Mapped", "Part", "Shuffle", "Step", "samples_of"]

_Placed: TypeAlias = "tuple[tuple[str, bytes | memoryview], str]"
"""Key and bytes, and the shard they are from."""

_SMALL: Final = 1 << 14

_LARGEST_REUSED: Final = (1 << 25) - (1 << 16)
"""The most that glibc takes as a sign: DEFAULT_MMAP_THRESHOLD_MAX in its malloc.c, less what surrounds a piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """An order: shards anywhere, samples within a window of ``buffer``."""

    seed: int
    buffer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one of several readers reads: of these shards' samples those numbered ``first``, ``first + every``, …."""

    shards: tuple[Shard, ...]
    first: int = 0
    every: int = 1

    def dealt(self, rank: int, parts: int) -> Part:
        """The part of this part that is ``rank``'s: whole shards where there are enough, else samples."""
        if self.every == 1 and len(self.shards) >= parts:
            return replace(self, shards=self.shards[rank::parts])
        return replace(self, first=self.first + self.every * rank, every=self.every * parts)


# --- reading -------------------------------------------------------------------------------------------------


def samples_of(
    part: Part,
    sample_class: type[Any],
    *,
    shuffle: Shuffle | None,
    validate: bool,
    settings: NetworkSettings | None,
) -> Iterator[Any]:
    """The samples of a part, unpacked; its shards are in the order wanted already.

    An error of a sample names its shard. Nothing is opened before the first sample is asked for.
    """
    _let_memory_be_reused()
    unpack = unpacker(sample_class, validate=validate)
    if shuffle is None and part.every == 1:
        return _in_order(part.shards, unpack, settings)
    dealt: Iterator[_Placed] = islice(_packed(part.shards, settings), part.first, None, part.every)
    if shuffle is not None:
        dealt = _shuffled(dealt, random.Random(shuffle.seed), shuffle.buffer)  # noqa: S311 - an order, not a secret
    return _unpacked(dealt, unpack)


@cache
def _let_memory_be_reused() -> None:
    """Free a large piece of memory once, untouched: glibc then keeps what large samples free, up to twice as much.

    Before, it returns each to the system, and the next costs a page fault for every 4 KiB: 20,000 samples of 1 MiB took
    16 s instead of 4. It is what happens anyway when a program frees its first array of 32 MB.
    """
    np.empty(_LARGEST_REUSED, np.uint8)


def _in_order(
    shards: tuple[Shard, ...], unpack: Callable[[bytes | memoryview, str], Any], settings: NetworkSettings | None
) -> Iterator[Any]:
    """Yield the samples of shards in order: as :func:`_unpacked`, with fewer objects for each sample."""
    with _client_for(shards, settings) as client:
        for shard in shards:
            for key, raw in read_shard(shard, settings=settings, client=client):
                try:
                    sample = unpack(raw, key)
                except CatalogError as error:
                    raise error.within(shard.url) from None
                yield sample


def _packed(shards: tuple[Shard, ...], settings: NetworkSettings | None) -> Iterator[_Placed]:
    with _client_for(shards, settings) as client:
        for shard in shards:
            yield from zip(read_shard(shard, settings=settings, client=client), repeat(shard.url))


def _client_for(shards: tuple[Shard, ...], settings: NetworkSettings | None) -> AbstractContextManager[Client | None]:
    """Open one HTTP client for all shards, so that those of a host share its connections; none for local files."""
    remote = any(shard.path is None for shard in shards)
    return shared_client(settings) if remote else nullcontext()


def _unpacked(pairs: Iterator[_Placed], unpack: Callable[[bytes | memoryview, str], Any]) -> Iterator[Any]:
    for (key, raw), url in pairs:
        try:
            sample = unpack(raw, key)
        except CatalogError as error:
            raise error.within(url) from None
        yield sample


def _shuffled(pairs: Iterator[_Placed], chance: random.Random, buffer: int) -> Iterator[_Placed]:
    """Fill a window, then give out a random one for each that comes in."""
    window = [_kept(pair) for pair in islice(pairs, buffer)]
    size, draw = len(window), chance.random  # randrange takes five times as long
    for pair in pairs:
        place = int(draw() * size)
        out, window[place] = window[place], _kept(pair)
        yield out
    chance.shuffle(window)
    while window:
        yield window.pop()


def _kept(pair: _Placed) -> _Placed:
    """Small samples are slices of a block that holds many: copied, or each in the window would keep a whole block."""
    (key, raw), url = pair
    return pair if len(raw) > _SMALL else ((key, bytes(raw)), url)


# --- steps ---------------------------------------------------------------------------------------------------


class Step(Protocol):
    """What is done to the samples after they were read."""

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """The samples as they are after this step."""
        ...

    def length(self, before: int) -> int | None:
        """How many come out of so many; ``None`` where that can't be told."""
        ...

    def gives(self, before: type[Any] | None) -> type[Any] | None:
        """The class of what comes out; ``None`` where that can't be told."""
        ...


@dataclass(frozen=True, slots=True)
class Mapped:
    """Each sample as ``change`` makes it, of class ``made`` where that is known."""

    change: Callable[[Any], Any]
    made: type[Any] | None = None

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Each one changed."""
        return map(self.change, samples)

    def length(self, before: int) -> int | None:
        """As many as before."""
        return before

    def gives(self, before: type[Any] | None) -> type[Any] | None:  # noqa: ARG002 - the protocol
        """What was said to come out."""
        return self.made


@dataclass(frozen=True, slots=True)
class Filtered:
    """Only the samples that ``keep`` says yes to."""

    keep: Callable[[Any], object]

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Those that are kept."""
        return filter(self.keep, samples)

    def length(self, before: int) -> int | None:  # noqa: ARG002 - the protocol
        """Nobody knows."""
        return None

    def gives(self, before: type[Any] | None) -> type[Any] | None:
        """What came in."""
        return before


@dataclass(frozen=True, slots=True)
class Batched:
    """``size`` samples at a time."""

    size: int
    drop_last: bool

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Batches of them."""
        return batches(samples, self.size, drop_last=self.drop_last)

    def length(self, before: int) -> int | None:
        """Whole batches, and one of the rest unless that is dropped."""
        return before // self.size if self.drop_last else -(-before // self.size)

    def gives(self, before: type[Any] | None) -> type[Any] | None:  # noqa: ARG002 - the protocol
        """Batches, whatever came in."""
        return Batch
