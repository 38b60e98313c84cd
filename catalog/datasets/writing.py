"""Write samples into shards, and get the dataset of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from catalog.datasets.dataset import Dataset
from catalog.samples.packable import DictSample
from catalog.samples.ray_data import is_ray_dataset
from catalog.samples.write_shards import check_iterable, write_shards

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from catalog.samples.write_shards import ShardFormat

__all__ = ["write_samples"]

T = TypeVar("T")


def write_samples(
    samples: Iterable[T],
    path: str | Path,
    *,
    maxcount: int | None = None,
    maxsize: int | None = None,
    format: ShardFormat = "msgpack",  # noqa: A002 - the name of the record's field
    sample_type: type[T] | None = None,
    manifest: bool = False,
) -> Dataset[T]:
    """Write samples (of packable classes, or dicts) into files, and return the dataset of them.

    A shard has at most ``maxcount`` samples and ``maxsize`` bytes; without both limits there is one, the file ``path``.
    ``path`` may number the shards (``digits-%06d.tar``); with limits ``digits.tar`` does so, too.

    ``format`` is ``msgpack``; or ``webdataset``: each field is a member, and the last extension of its name says how it
    is stored (``cls`` an int, ``txt`` text, ``json`` other JSON, ``npy`` an array, others bytes); or ``parquet``: each
    field is a column, keys are the column ``__key__``, and only ``maxcount`` limits a shard.

    Samples are written as the iterator yields them, so they needn't fit into memory; the same samples give the same
    bytes. A sample keeps its key, the attribute or item ``__key__``; one without is named by its number. All files get
    their names after the last one was written; on an error none does, and existing files stay.

    ``manifest`` also writes a shard manifest beside each shard: ``digits.manifest.json`` with the statistics of its
    fields, and with the extra ``arrow`` ``digits.manifest.parquet`` with the place and the small values of each sample.

    ``samples`` may be a ``ray.data.Dataset``: its workers write and hash the shards, into a folder that all machines
    share. A row becomes a sample of ``sample_type`` (:class:`DictSample` without it); a shard has the rows of a block,
    or ``maxcount`` rows of a task.

    Raises :class:`InvalidSample` for a sample or key that can't be written and read again, and ValueError for another
    format or a limit below 1.
    """
    first: list[Any] = []

    def noting() -> Iterable[T]:
        for sample in samples:
            if not first:
                first.append(type(sample))
            yield sample

    check_iterable(samples)
    write = partial(write_shards, maxcount=maxcount, maxsize=maxsize, format=format, manifest=manifest)
    if sample_type is not None or is_ray_dataset(samples):
        return Dataset(write(samples, path, sample_type=sample_type), sample_type)
    infos = write(noting(), path)
    kind = first[0] if first and hasattr(first[0], "__packable__") else DictSample
    return Dataset(infos, kind)
