"""Mixes of datasets: one order of the samples of several, in which each has a share.

For each place of the order the datasets are put into a random order by their weights, and the first one that has
samples left gives the next. What is drawn for a place depends on the seed, the epoch and the place alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Mix", "Stop", "checked_weights"]

Stop: TypeAlias = Literal["first", "all"]

_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The shares of the datasets of a mix. It ends with the ``first`` of them that ends, or when ``all`` have."""

    weights: tuple[float, ...]
    seed: int
    stop: Stop
    epoch: int

    def draws(self, position: int) -> Iterator[list[int]]:
        """Yield for each place from ``position`` the numbers of the datasets, in the order in which they are asked."""
        first, passed = divmod(position, _BLOCK)
        for block in count(first):
            yield from islice(self._block(block), passed, None)
            passed = 0

    def _block(self, number: int) -> list[list[int]]:
        digest = hashlib.sha256(f"{self.seed} {self.epoch} mix {number}".encode()).digest()
        chance = np.random.RandomState(np.frombuffer(digest, "<u4"))
        # The smallest of exponential variables of these rates is each one's as often as its share is large.
        waits = chance.standard_exponential((_BLOCK, len(self.weights))) / np.array(self.weights)
        order: list[list[int]] = waits.argsort(axis=1, kind="stable").tolist()
        return order


def checked_weights(weights: Sequence[float] | None, number: int) -> tuple[float, ...]:
    """Return the weights of so many datasets, equal ones by default. Raises ValueError if they can't be used."""
    found = tuple(float(one) for one in weights) if weights is not None else (1.0,) * number
    if not number:
        raise ValueError("a mix needs at least one dataset")
    if len(found) != number:
        raise ValueError(f"{len(found)} weights for {number} datasets")
    if not all(0 < one < float("inf") for one in found):
        raise ValueError("weights must be positive numbers")
    return found
