"""Iteration of a dataset: read the samples in the order of the epoch, hand out a reader's part, apply the steps.

::

    shards ─▶ in order ─▶ (key, bytes) ─▶ blocks ─▶ own units ─▶ sample ─▶ steps
                                          shuffled               unpacked
    with a filter:
    shards ─▶ in order ─▶ (key, bytes) ─▶ blocks ─▶ sample ─▶ steps up to it ─▶ own units ─▶ other steps

The order and its units are described in :mod:`catalog.datasets.order`, the state in :mod:`catalog.datasets.state`.

Tricky bits
-----------
- Each reader passes over the samples of the others: they are neither unpacked nor given to steps. Only steps up to the
  last filter are applied to all samples by all readers, since only they say how many there are.
- A block holds packed samples, which are smaller; they are unpacked when they leave it. While it is emptied the next
  one is filled, sixteen samples at a time, so the pace is even and memory that of one block.
- The functions that hand out samples count them before they yield: after an error or an interrupt in the middle of a
  batch the state is that of the last item which the caller has.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, compress, count, islice, repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from catalog.datasets.in_memory import SamplesShard
from catalog.datasets.order import Partition
from catalog.datasets.pytorch import caller_frame, loader_batch_size
from catalog.datasets.row_access import SelectedShard, find_key, positions
from catalog.datasets.skips import Skips
from catalog.datasets.state import Run, Start
from catalog.datasets.steps import Mapped, unit_of
from catalog.errors import CatalogError
from catalog.samples.packing import reader_of_shard
from catalog.shards.read_ahead import ReadAhead
from catalog.shards.reader import open_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from catalog.config import NetworkSettings
    from catalog.datasets.mix import Mix
    from catalog.datasets.order import Shuffle
    from catalog.datasets.skips import SkipRule
    from catalog.datasets.steps import Step
    from catalog.shards.formats import Format
    from catalog.shards.shard import Shard
    from catalog.shards.source import Source

__all__ = ["Reading", "samples_for_loader", "samples_of"]

_Read: TypeAlias = "Callable[[Any, str], Any]"
"""Makes a sample of what is stored and its key."""

_Placed: TypeAlias = "tuple[tuple[str, Any], tuple[_Read, str], int]"
"""Key and sample as it is stored; the function that reads it, and the URL of its shard; its number in the epoch."""

_SMALL: Final = 1 << 14

_PIECE: Final = 16
"""Samples that leave a block before as many are read into the next one."""

_LARGEST_REUSED: Final = (1 << 25) - (1 << 16)
"""The largest size that raises glibc's threshold: DEFAULT_MMAP_THRESHOLD_MAX in malloc.c, less its overhead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The input of an iteration: shards, class of samples, order and steps; of a mix its ``sources``."""

    shards: tuple[Shard, ...]
    sample_class: type[Any]
    shuffle: Shuffle | None
    validate: bool
    settings: NetworkSettings | None
    steps: tuple[Step, ...]
    skip_rule: SkipRule | None = None
    mix: Mix | None = None
    sources: tuple[Reading, ...] = ()

    @contextmanager
    def opened(
        self, shard: Shard, source: AbstractContextManager[Source]
    ) -> Iterator[tuple[_Read, Iterator[tuple[str, Any]]]]:
        """Open a shard; return the function that reads its samples, and key and sample as they are stored."""
        if isinstance(shard, SamplesShard):
            yield _only, shard.pairs()
        elif isinstance(shard, SelectedShard):
            with shard.opened(self.settings) as (form, samples):
                yield reader_of_shard(form, self.sample_class, shard.url, validate=self.validate), samples
        else:
            with open_samples(shard, source=source) as (form, samples):
                yield reader_of_shard(form, self.sample_class, shard.url, validate=self.validate), samples

    @property
    def ordered_shards(self) -> tuple[Shard, ...]:
        """The shards in the order of the epoch."""
        if self.shuffle is None:
            return self.shards
        return tuple(self.shards[number] for number in self.shuffle.shards(len(self.shards)))


# --- reading -------------------------------------------------------------------------------------------------


def samples_of(reading: Reading, run: Run) -> Iterator[Any]:
    """Yield the items of a run: the samples or what the steps make of them.

    An error of a sample names its shard. Nothing is opened before the first item is requested.
    """
    _keep_freed_memory()
    steps = reading.steps
    common, unit = unit_of(steps)
    run.filtered = common > 0 or reading.skip_rule is not None
    run.stepped = run.filtered or bool(steps) or reading.mix is not None
    run.partition = replace(run.partition, unit=run.outputs * unit)
    if not run.filtered and reading.mix is None:
        run.start = run.start.unfiltered()
    items = _stored(reading, run) if reading.mix is None else _mixed(reading.sources, reading.mix, run)
    for step in steps[:common]:
        items = step(items)
    if run.filtered:
        items = compress(islice(items, run.start.skip, None), run.partition.mask())
    for step in steps[common:]:
        items = step(items)
    return _handed_out(items, run) if run.stepped else items


def samples_for_loader(reading: Reading, run: Run) -> Iterator[Any]:
    """Yield the samples of a run to a ``DataLoader`` that makes batches: its units have the size of a batch."""
    run.outputs = loader_batch_size(caller_frame())
    yield from samples_of(reading, run)


def _stored(reading: Reading, run: Run) -> Iterator[Any]:
    """Yield the samples of this reader's part, unpacked, in the order of the epoch."""
    whole = run.filtered or run.partition.ranks == 1
    skips = None if reading.skip_rule is None else Skips(reading.skip_rule, silent=run.partition.rank > 0)
    if reading.shuffle is None and whole and skips is None:
        return _in_order(reading, run)
    placed = _in_epoch(reading, run, skips, repeat(object=True) if whole else run.partition.mask())
    return _unpacked(placed, run) if skips is None else _readable(placed, run, skips)


def _in_epoch(reading: Reading, run: Run, skips: Skips | None, mask: Iterator[bool]) -> Iterator[_Placed]:
    """Yield the samples of the mask, as they are stored, in the order of the epoch."""
    placed: Iterator[_Placed] = chain.from_iterable(_placed(reading, run, skips))
    if skips is not None:
        placed = skips.readable(placed)
    if reading.shuffle is not None:
        return _shuffled(placed, reading.shuffle, run.start, mask)
    return compress(islice(placed, run.start.position - run.start.first, None), mask)


def _mixed(sources: tuple[Reading, ...], mix: Mix, run: Run) -> Iterator[Any]:
    """Yield the samples of this reader's part of a mix, unpacked."""
    starts = run.start.sources or (Start(),) * len(sources)
    buffers = [None if one.shuffle is None else one.shuffle.buffer_samples for one in sources]
    run.sources = tuple(
        Run(start, Partition(), buffer=buffer, workers=run.workers)
        for start, buffer in zip(starts, buffers, strict=True)
    )
    placed = _drawn(sources, mix, run)
    if not run.filtered:
        placed = compress(islice(placed, run.start.skip, None), run.partition.mask())
    return _unpacked(placed, Run(Start(), Partition(), buffer=None))


def _drawn(sources: tuple[Reading, ...], mix: Mix, run: Run) -> Iterator[_Placed]:
    """Yield the samples of a mix in its order, as they are stored."""
    samples = [_of_source(reading, one) for reading, one in zip(sources, run.sources, strict=True)]
    for order in mix.draws(run.start.position):
        for number in order:
            found = next(samples[number], None)
            if found is not None or mix.stop == "first":
                break
        if found is None:
            return
        run.pulled += 1
        run.drawn = tuple(one.at for one in run.sources)
        yield found


def _of_source(reading: Reading, run: Run) -> Iterator[_Placed]:
    """Yield the samples of a dataset in a mix; they are unpacked later if it has no steps but ``map``."""
    changes = tuple(step.change for step in reading.steps if isinstance(step, Mapped))
    if len(changes) < len(reading.steps) or reading.skip_rule is not None:
        for item in samples_of(reading, run):
            yield ("", (item,)), (_only, ""), 0
        return
    run.start = run.start.unfiltered()
    placed = _in_epoch(reading, run, None, repeat(object=True))
    for pulled, (sample, (read, url), number) in enumerate(placed, 1):
        run.pulled = pulled
        yield sample, (partial(_changed, read, changes) if changes else read, url), number


def _changed(read: _Read, changes: tuple[Callable[[Any], Any], ...], raw: Any, key: str) -> Any:  # noqa: ANN401
    sample = read(raw, key)
    for change in changes:
        sample = change(sample)
    return sample


def _handed_out(items: Iterator[Any], run: Run) -> Iterator[Any]:
    """Yield the items and count them, and the samples that were read for them."""
    for item in items:
        run.handed, run.handed_drawn = run.pulled, run.drawn
        run.done += 1
        yield item
    run.ended = True


def _only(stored: tuple[Any], _key: str) -> Any:  # noqa: ANN401 - of a program
    return stored[0]


def sample_with_key(reading: Reading, key: str) -> Iterator[Any]:
    """Yield what the steps make of the sample with a key: nothing if no sample has it."""
    at = find_key(reading.shards, key, reading.settings)
    if at is not None:
        yield from _made(reading, *at)
        return
    with ReadAhead(reading.shards, reading.settings) as ahead:
        for place, shard in enumerate(reading.shards):
            with reading.opened(shard, ahead.source(place)) as (read, samples):
                for found, raw in samples:
                    if found == key:
                        yield from _stepped(reading, shard, read, raw, key)
                        return


def samples_at(reading: Reading, wanted: Sequence[int], total: int | None) -> dict[int, Any] | None:
    """Return the samples at positions of the epoch by shard manifests; ``None`` if the shards must be read in order."""
    mapped = all(isinstance(step, Mapped) for step in reading.steps)
    if reading.mix is not None or reading.skip_rule is not None or not mapped:
        return None
    stored = {number: number for number in wanted}
    if reading.shuffle is not None:
        if total is None:
            return None
        size, orders = reading.shuffle.buffer_samples, dict[int, list[int]]()
        for number in (one for one in wanted if one < total):
            block, place = divmod(number, size)
            if block not in orders:
                orders[block] = reading.shuffle.block(block, min(size, total - block * size))
            stored[number] = block * size + orders[block][place]
    found = positions(reading.ordered_shards, [*stored.values()], reading.settings)
    if found is None:
        return None
    made = {place: next(_made(reading, *one)) for place, one in found.items()}
    return {number: made[place] for number, place in stored.items() if place in made}


def _made(reading: Reading, shard: Shard, form: Format, key: str, raw: Any) -> Iterator[Any]:  # noqa: ANN401
    read = reader_of_shard(form, reading.sample_class, shard.url, validate=reading.validate)
    return _stepped(reading, shard, read, raw, key)


def _stepped(reading: Reading, shard: Shard, read: _Read, raw: Any, key: str) -> Iterator[Any]:  # noqa: ANN401
    try:
        items = iter([read(raw, key)])
    except CatalogError as error:
        raise error.within(shard.url) from None
    for step in reading.steps:
        items = step(items)
    return items


@cache
def _keep_freed_memory() -> None:
    """Allocate and free a large block once, untouched: glibc then keeps the freed memory of large samples.

    Otherwise it returns each block to the system, and the next costs a page fault for every 4 KiB: 20,000 samples of
    1 MiB took 16 s instead of 4. The same happens when a program frees its first array of 32 MB.
    """
    np.empty(_LARGEST_REUSED, np.uint8)


def _in_order(reading: Reading, run: Run) -> Iterator[Any]:
    """Yield the samples of shards as they are stored: as :func:`_unpacked`, with fewer objects for each sample."""
    position, number, shards = run.start.position, run.start.first, reading.shards
    with ReadAhead(shards, reading.settings, readers=run.workers) as ahead:
        for place in range(run.start.shard, len(shards)):
            run.marks.append((place, number))
            shard = shards[place]
            with reading.opened(shard, ahead.source(place)) as (read, samples):
                if number < position:
                    number += sum(1 for _ in islice(samples, position - number))
                for key, raw in samples:
                    number += 1
                    try:
                        sample = read(raw, key)
                    except CatalogError as error:
                        raise error.within(shard.url) from None
                    run.pulled = number - position
                    yield sample
    run.ended = not run.stepped


def _placed(reading: Reading, run: Run, skips: Skips | None) -> Iterator[Iterator[_Placed]]:
    """Yield the samples of each shard, numbered; opens them one after the other in the order of the epoch."""
    shards, number = reading.ordered_shards, run.start.first
    with ReadAhead(shards, reading.settings, readers=run.workers) as ahead:
        for place in range(run.start.shard, len(shards)):
            run.marks.append((place, number))
            shard, numbers = shards[place], count(number)
            try:
                with reading.opened(shard, ahead.source(place)) as (read, samples):
                    yield zip(samples, repeat((read, shard.url)), numbers)
            except CatalogError as error:
                if skips is None:
                    raise
                skips.skip(error)
            number = next(numbers)


def _unpacked(pairs: Iterator[_Placed], run: Run) -> Iterator[Any]:
    for pulled, ((key, raw), (read, url), _) in enumerate(pairs, 1):
        try:
            sample = read(raw, key)
        except CatalogError as error:
            raise error.within(url) from None
        run.pulled = pulled
        yield sample
    run.ended = not run.stepped


def _readable(placed: Iterator[_Placed], run: Run, skips: Skips) -> Iterator[Any]:
    """Yield the samples that can be unpacked."""
    for pulled, ((key, raw), (read, url), _) in enumerate(placed, 1):
        try:
            sample = read(raw, key)
        except CatalogError as error:
            skips.skip(error.within(url))
            continue
        run.pulled = pulled
        yield sample


def _shuffled(placed: Iterator[_Placed], shuffle: Shuffle, start: Start, mask: Iterator[bool]) -> Iterator[_Placed]:
    """Yield the samples of the mask, block by block in random order, from the position of ``start``."""
    return chain.from_iterable(_shuffled_pieces(placed, shuffle, start, mask))


def _shuffled_pieces(
    placed: Iterator[_Placed], shuffle: Shuffle, start: Start, mask: Iterator[bool]
) -> Iterator[Iterator[_Placed]]:
    """Yield the samples of :func:`_shuffled` in pieces of ``_PIECE``; after each, as many are read for the next block.

    A piece costs one turn of this generator: its samples are passed on by functions in C.
    """
    number, passed = divmod(start.position, shuffle.buffer_samples)
    placed = islice(placed, number * shuffle.buffer_samples - start.first, None)
    block: list[Any] = [_kept(one) for one in islice(placed, shuffle.buffer_samples)]
    while block:
        following: list[Any] = []
        order = shuffle.block(number, len(block))
        for first in range(passed, len(order), _PIECE):
            piece = order[first : first + _PIECE]
            yield map(block.__getitem__, compress(piece, mask))
            for place in piece:
                block[place] = None
            following += [_kept(one) for one in islice(placed, len(piece))]
        following += [_kept(one) for one in islice(placed, shuffle.buffer_samples - len(following))]
        block, number, passed = following, number + 1, 0


def _kept(pair: _Placed) -> _Placed:
    """Copy a small sample: it is a slice of a block of many, which the window would otherwise keep alive."""
    (key, raw), place, number = pair
    if type(raw) is tuple:  # of a program
        return pair
    if type(raw) is dict:
        return (key, {name: _copied(value) for name, value in raw.items()}), place, number
    return pair if len(raw) > _SMALL else ((key, bytes(raw)), place, number)


def _copied(value: object) -> object:
    if type(value) is memoryview and len(value) <= _SMALL:
        return bytes(value)
    return value.copy() if type(value) is np.ndarray and value.base is not None else value
