"""Samples of a program as the source of a dataset: a list, another iterable, or a function that returns one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from catalog.errors import DataError, InvalidSample
from catalog.samples.packable import fields_of
from catalog.samples.packing import DictSample
from catalog.samples.write_shards import check_iterable
from catalog.shards.shard import Shard

S = TypeVar("S")

SampleSource: TypeAlias = Iterable[S] | Callable[[], Iterable[S]]
"""Samples, or a function that returns them, called for each iteration."""


class SamplesOnce:
    """An iterator as an iterable that can be iterated once. It can't be pickled."""

    def __init__(self, samples: Iterator[Any]) -> None:
        self._samples: Iterator[Any] | None = samples

    def __iter__(self) -> Iterator[Any]:
        if self._samples is None:
            hint = "pass a function that returns the samples: Dataset.from_samples(lambda: …)"
            raise DataError("the samples come from an iterator, which can be read once", hint=hint)
        samples, self._samples = self._samples, None
        return samples


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesShard(Shard):
    """The samples of a program in the place of a shard."""

    samples: SampleSource[Any]

    @property
    def path(self) -> Path | None:
        """Not a remote file."""
        return Path(self.url)

    def pairs(self) -> Iterator[tuple[str, tuple[Any]]]:
        """Yield each sample as those of a shard are: a key, and what is stored, which is the sample in a tuple."""
        samples = self.samples() if callable(self.samples) and not isinstance(self.samples, Iterable) else self.samples
        return (("", (sample,)) for sample in samples)


@dataclass(frozen=True, slots=True)
class AsSample:
    """Checks that a sample is of a class; without one, dicts become :class:`DictSample`."""

    cls: type[Any] | None

    def __call__(self, sample: Any) -> Any:  # noqa: ANN401 - samples of any class
        """Return the sample. Raises :class:`InvalidSample` for one of another class."""
        if self.cls is None or issubclass(self.cls, DictSample):
            if isinstance(sample, Mapping) and not isinstance(sample, DictSample):
                made = DictSample({name: value for name, value in sample.items() if name != "__key__"})
                if isinstance(key := sample.get("__key__"), str):
                    made.__key__ = key
                return made
            if self.cls is None:
                return sample
        if not isinstance(sample, self.cls):
            what = f"a sample of type {type(sample).__name__} in a dataset of {self.cls.__name__}"
            raise InvalidSample(what, hint="leave the class out, or convert the samples first")
        return sample


def samples_shard(samples: SampleSource[Any]) -> SamplesShard:
    """Return samples in the place of a shard.

    Raises TypeError for what isn't iterable, InvalidSample for a table, which iterates over its columns.
    """
    if not isinstance(samples, Mapping):
        check_iterable(samples)
    if isinstance(samples, str | bytes | Mapping) or not (isinstance(samples, Iterable) or callable(samples)):
        what = f"samples are an iterable or a function that returns one, not {type(samples).__name__}"
        raise TypeError(what)
    url = f"<{getattr(samples, '__name__', type(samples).__name__)}>"
    if isinstance(samples, Iterator):
        samples = SamplesOnce(samples)
    return SamplesShard(url=url, samples=samples)


def as_webdataset(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - samples of any class
    """Return key and fields of a sample in one dict, as webdataset has them."""
    return {"__key__": getattr(sample, "__key__", ""), **fields_of(sample)}
