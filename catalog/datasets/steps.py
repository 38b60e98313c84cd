"""Steps of a dataset: map, filter and batch its samples. Small frozen objects, so that a dataset can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from catalog.datasets.batches import SampleBatch, batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Batched", "Filtered", "Mapped", "Step", "unit_of"]


class Step(Protocol):
    """A step of a dataset: applied to the samples after they are read."""

    @property
    def takes(self) -> int | None:
        """The number of samples that it takes for one; ``None`` if it isn't always the same."""
        ...

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

    @property
    def takes(self) -> int:
        """One sample for one."""
        return 1

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

    @property
    def takes(self) -> None:
        """``None``: it isn't known."""

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

    @property
    def takes(self) -> int:
        """The size of a batch."""
        return self.size

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Return the batches."""
        return batches(samples, self.size, drop_last=self.drop_last)

    def length(self, before: int) -> int | None:
        """Return the number of batches, with a smaller last one unless it is dropped."""
        return before // self.size if self.drop_last else -(-before // self.size)

    def gives(self, before: type[Any] | None) -> type[Any] | None:  # noqa: ARG002 - the protocol
        """Return :class:`SampleBatch`."""
        return SampleBatch


def unit_of(steps: Sequence[Step]) -> tuple[int, int]:
    """Return how many steps there are up to the last filter, and how many items those after it take for one."""
    common = 1 + max((number for number, step in enumerate(steps) if step.takes is None), default=-1)
    return common, prod(step.takes or 1 for step in steps[common:])
