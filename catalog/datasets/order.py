"""The order of an epoch, and its division among readers.

The order is a sequence of the stored samples that depends on the dataset, the seed, the epoch and the buffers alone::

    shards      in random order
    samples     of these shards, one after the other, cut into blocks of ``buffer_samples``
    block       its samples in random order

Without shuffling it is the order in which the samples are stored. Readers (the workers of a ``DataLoader`` on each
node) divide this sequence, they don't change it: it is cut into units, a unit is what one reader hands out at a time
(a sample, or the samples of a batch), and the units are dealt to the readers in turn. A loop that takes from its nodes
and workers in turn, as data-parallel training and a ``DataLoader`` do, therefore sees the same sequence, however many
there are.

::

    units                 0  1  2  3  4  5  6  7  8
    2 nodes, no workers   a  b  a  b  a  b  a  b  a
    1 node, 3 workers     0  1  2  0  1  2  0  1  2
    2 nodes, 2 workers    a0 b0 a1 b1 a0 b0 a1 b1 a0
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import cycle, repeat
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Partition", "Shuffle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """A random order: of the shards, or within blocks of them, and of the samples within blocks."""

    seed: int
    buffer_samples: int
    buffer_shards: int | None = None
    epoch: int = 0

    def shards(self, count: int) -> list[int]:
        """Return the numbers of ``count`` shards in the order of the epoch."""
        size = count if self.buffer_shards is None else self.buffer_shards
        order: list[int] = []
        for start in range(0, count, max(1, size)):
            order += [start + one for one in self._permutation(f"shards {start}", min(size, count - start))]
        return order

    def block(self, number: int, count: int) -> list[int]:
        """Return the places in a block of ``count`` samples in the order in which they are handed out."""
        return self._permutation(f"block {number}", count)

    def _permutation(self, what: str, count: int) -> list[int]:
        """Return a permutation that is the same on every machine and with every version of NumPy."""
        digest = hashlib.sha256(f"{self.seed} {self.epoch} {what}".encode()).digest()
        # RandomState is the generator of NumPy whose values never change (NEP 19).
        chance = np.random.RandomState(np.frombuffer(digest, "<u4"))
        order: list[int] = chance.permutation(count).tolist()
        return order


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The part of reader ``rank`` of ``ranks``: the units ``rank``, ``rank + ranks``, … of ``unit`` items each."""

    rank: int = 0
    ranks: int = 1
    unit: int = 1

    def divided(self, rank: int, ranks: int) -> Partition:
        """Return the part of one of several readers that divide this part."""
        return replace(self, rank=self.rank + self.ranks * rank, ranks=self.ranks * ranks)

    def mask(self) -> Iterator[bool]:
        """Yield for each item whether it is in this part; endless."""
        if self.ranks == 1:
            return repeat(object=True)
        before, after = [False] * (self.unit * self.rank), [False] * (self.unit * (self.ranks - 1 - self.rank))
        return cycle(before + [True] * self.unit + after)

    def size(self, items: int) -> int:
        """Return how many of the first ``items`` items are in this part."""
        units, rest = divmod(items, self.unit)
        whole = len(range(self.rank, units, self.ranks))
        return whole * self.unit + (rest if units % self.ranks == self.rank else 0)
