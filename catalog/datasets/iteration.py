"""Iteration of a dataset: deal out shards, shuffle and unpack samples, apply steps.

::

    shards ─▶ shuffled ─▶ dealt to nodes ─▶ dealt to workers ─▶ (key, bytes) ─▶ window ─▶ sample ─▶ steps
              same seed everywhere                                             shuffled   unpacked

Tricky bits
-----------
- Shards are shuffled before they are dealt out, with the same seed everywhere: that makes the parts disjoint.
- If there are fewer shards than parts, every part reads all of them and takes every n-th sample: no part is empty as
  long as there are samples, and no sample is in two parts.
- The window holds packed samples, which are smaller; they are unpacked when they leave it.
- Steps are small frozen objects, not closures, so a dataset can be pickled.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np

from catalog.datasets.batches import SampleBatch, batches
from catalog.errors import CatalogError
from catalog.samples.packing import reader
from catalog.shards.reader import open_samples
from catalog.shards.storage import shared_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.formats import Format
    from catalog.shards.shard import Shard

__all__ = ["Batched", "Filtered", "Mapped", "Part", "Shuffle", "Step", "samples_of"]

T = TypeVar("T")

_Read: TypeAlias = "Callable[[Any, str], Any]"
"""Makes a sample of what is stored and its key."""

_Placed: TypeAlias = "tuple[tuple[str, Any], tuple[_Read, str]]"
"""Key and sample as it is stored; the function that reads it, and the URL of its shard."""

_SMALL: Final = 1 << 14

_LARGEST_REUSED: Final = (1 << 25) - (1 << 16)
"""The largest size that raises glibc's threshold: DEFAULT_MMAP_THRESHOLD_MAX in malloc.c, less its overhead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """An order: shards anywhere or within a window of them, samples within a window."""

    seed: int
    buffer_samples: int
    buffer_shards: int | None = None

    def shards(self, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
        """Return the shards in this order."""
        chance, listed = random.Random(self.seed), list(shards)  # noqa: S311 - an order, not a secret
        if self.buffer_shards is None or self.buffer_shards >= len(listed):
            chance.shuffle(listed)
            return tuple(listed)
        return tuple(_windowed(iter(listed), chance, self.buffer_shards))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of one of several readers: the samples numbered ``first``, ``first + every``, … of these shards."""

    shards: tuple[Shard, ...]
    first: int = 0
    every: int = 1

    def dealt(self, rank: int, parts: int) -> Part:
        """Return the part of ``rank`` within this part: whole shards if there are enough, else samples."""
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
    """Yield the samples of a part, unpacked; its shards are already in the order of iteration.

    An error of a sample names its shard. Nothing is opened before the first sample is requested.
    """
    _keep_freed_memory()
    reading = partial(reader, cls=sample_class, validate=validate)
    if shuffle is None and part.every == 1:
        return _in_order(part.shards, reading, settings)
    packed = chain.from_iterable(_packed(part.shards, reading, settings))
    dealt: Iterator[_Placed] = islice(packed, part.first, None, part.every)
    if shuffle is not None:
        dealt = _windowed(map(_kept, dealt), random.Random(shuffle.seed), shuffle.buffer_samples)  # noqa: S311 - an order, not a secret
    return _unpacked(dealt)


@cache
def _keep_freed_memory() -> None:
    """Allocate and free a large block once, untouched: glibc then keeps the freed memory of large samples.

    Otherwise it returns each block to the system, and the next costs a page fault for every 4 KiB: 20,000 samples of
    1 MiB took 16 s instead of 4. The same happens when a program frees its first array of 32 MB.
    """
    np.empty(_LARGEST_REUSED, np.uint8)


def _in_order(
    shards: tuple[Shard, ...], reading: Callable[[Format], _Read], settings: NetworkSettings | None
) -> Iterator[Any]:
    """Yield the samples of shards in order: as :func:`_unpacked`, with fewer objects for each sample."""
    with _client_for(shards, settings) as client:
        for shard in shards:
            with open_samples(shard, settings=settings, client=client) as (form, samples):
                read = reading(form)
                for key, raw in samples:
                    try:
                        sample = read(raw, key)
                    except CatalogError as error:
                        raise error.within(shard.url) from None
                    yield sample


def _packed(
    shards: tuple[Shard, ...], reading: Callable[[Format], _Read], settings: NetworkSettings | None
) -> Iterator[Iterator[_Placed]]:
    with _client_for(shards, settings) as client:
        for shard in shards:
            with open_samples(shard, settings=settings, client=client) as (form, samples):
                yield zip(samples, repeat((reading(form), shard.url)))


def _client_for(shards: tuple[Shard, ...], settings: NetworkSettings | None) -> AbstractContextManager[Client | None]:
    """Open one HTTP client for all shards, so that those of a host share its connections; none for local files."""
    remote = any(shard.path is None for shard in shards)
    return shared_client(settings) if remote else nullcontext()


def _unpacked(pairs: Iterator[_Placed]) -> Iterator[Any]:
    for (key, raw), (read, url) in pairs:
        try:
            sample = read(raw, key)
        except CatalogError as error:
            raise error.within(url) from None
        yield sample


def _windowed(items: Iterator[T], chance: random.Random, buffer: int) -> Iterator[T]:
    """Fill a window, then yield a random item of it for each new one."""
    window = list(islice(items, buffer))
    size, draw = len(window), chance.random  # randrange takes five times as long
    for item in items:
        place = int(draw() * size)
        out, window[place] = window[place], item
        yield out
    chance.shuffle(window)
    while window:
        yield window.pop()


def _kept(pair: _Placed) -> _Placed:
    """Copy a small sample: it is a slice of a block of many, which the window would otherwise keep alive."""
    (key, raw), place = pair
    if type(raw) is dict:
        return (key, {name: _copied(value) for name, value in raw.items()}), place
    return pair if len(raw) > _SMALL else ((key, bytes(raw)), place)


def _copied(value: object) -> object:
    if type(value) is memoryview and len(value) <= _SMALL:
        return bytes(value)
    return value.copy() if type(value) is np.ndarray and value.base is not None else value


# --- steps ---------------------------------------------------------------------------------------------------


class Step(Protocol):
    """A step of a dataset: applied to the samples after they are read."""

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Return the samples after this step."""
        ...

    def length(self, before: int) -> int | None:
        """Return the number of samples after this step; ``None`` if it isn't known."""
        ...

    def gives(self, before: type[Any] | None) -> type[Any] | None:
        """Return the class after this step; ``None`` if it isn't known."""
        ...


@dataclass(frozen=True, slots=True)
class Mapped:
    """Applies ``change`` to each sample; ``made`` is the class of the results if it is known."""

    change: Callable[[Any], Any]
    made: type[Any] | None = None

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Return the changed samples."""
        return map(self.change, samples)

    def length(self, before: int) -> int | None:
        """Return the same number."""
        return before

    def gives(self, before: type[Any] | None) -> type[Any] | None:  # noqa: ARG002 - the protocol
        """Return the class of the results."""
        return self.made


@dataclass(frozen=True, slots=True)
class Filtered:
    """Keeps the samples for which ``keep`` returns true."""

    keep: Callable[[Any], object]

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Return the samples that are kept."""
        return filter(self.keep, samples)

    def length(self, before: int) -> int | None:  # noqa: ARG002 - the protocol
        """Return ``None``: it isn't known."""
        return None

    def gives(self, before: type[Any] | None) -> type[Any] | None:
        """Return the same class."""
        return before


@dataclass(frozen=True, slots=True)
class Batched:
    """Groups ``size`` samples into a batch."""

    size: int
    drop_last: bool

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Return the batches."""
        return batches(samples, self.size, drop_last=self.drop_last)

    def length(self, before: int) -> int | None:
        """Return the number of batches, with a smaller last one unless it is dropped."""
        return before // self.size if self.drop_last else -(-before // self.size)

    def gives(self, before: type[Any] | None) -> type[Any] | None:  # noqa: ARG002 - the protocol
        """Return :class:`SampleBatch`."""
        return SampleBatch
