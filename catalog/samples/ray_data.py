"""Rows of Ray Data, and shards that its workers write.

::

    sample ─▶ row ─▶ Ray's blocks ─▶ map, filter, … ─▶ row ─▶ sample ─▶ shard      a worker writes and hashes it
                                                              ShardInfo ◀──┘       the driver names them all

A row is a dict of wire name → value, with ``__key__``. Arrays of numbers are NumPy arrays; datetimes are ISO 8601 text
and maps are JSON text, as Arrow would lose zones and add absent keys; what else Arrow doesn't have is in the form that
samples have in a shard (arrays of text: ``.npy`` bytes). The class of the samples reverses it.

Tricky bits
-----------
- Workers write under temporary names into the folder of the shards, which must be one for all machines. The driver
  renames the files when all are there, in the order of the blocks, and removes what is left of failed tasks.
- The modules of Ray are imported by functions only: pickling takes functions, and its import takes seconds.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import uuid4

import numpy as np

from catalog.errors import CatalogError, DataError, InvalidSample
from catalog.samples.annotations import plan_of
from catalog.samples.arrays import encode_array
from catalog.samples.packing import DictSample, wire_values
from catalog.schema import Array, Scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Written(Protocol):
    """A shard that was written: ``ShardInfo``."""

    @property
    def path(self) -> Path: ...


_I = TypeVar("_I", bound=_Written)

_NUMBERS: Final = frozenset("?bhilqBHILQefd")
"""The characters of dtypes that Ray stores as tensors."""


def is_ray_dataset(samples: object) -> bool:
    """Return whether this is a ``ray.data.Dataset``."""
    return any(cls.__name__ == "Dataset" and cls.__module__.startswith("ray.data") for cls in type(samples).__mro__)


# --- rows ----------------------------------------------------------------------------------------------------


def row_of(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - samples of any class
    """Return a sample as a row. Raises :class:`~catalog.errors.DataError` for a batch or another object."""
    key = getattr(sample, "__key__", "")
    if isinstance(sample, dict):
        values = {name: _plain(value) for name, value in sample.items()}
    elif hasattr(type(sample), "__packable__"):
        values = wire_values(sample, key)
        for entry in plan_of(type(sample)).entries:
            name, value = entry.field.name, getattr(sample, entry.attribute)
            if isinstance(value, np.ndarray) and isinstance(entry.field.type, Array) and _is_tensor(value):
                values[name] = value
            elif isinstance(values[name], dict):
                values[name] = json.dumps(values[name])
    else:
        what = f"a row is made of a sample, found {type(sample).__name__}"
        raise DataError(what, hint="call it before batched(), and let map() return samples or dicts")
    return {"__key__": key, **values}


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as the columns of a block of Ray."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[Any]) -> list[Any] | NDArray[Any]:
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if not arrays:
        return values
    if len(arrays) == len(values) and len({(array.dtype, array.shape) for array in arrays}) == 1:
        return np.stack(arrays)
    column = np.empty(len(values), object)
    column[:] = values if len({np.shape(value) for value in values}) > 1 else [*values]
    return column


def _plain(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    if isinstance(value, np.ndarray):
        return value if _is_tensor(value) else encode_array(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict) else value


def _is_tensor(array: NDArray[Any]) -> bool:
    return array.ndim > 0 and array.dtype.char in _NUMBERS and array.dtype.isnative


def sample_of(row: Mapping[str, Any], cls: type[Any] | None) -> Any:  # noqa: ANN401 - samples of any class
    """Return a row as a sample of a class, or as a :class:`DictSample`. Raises :class:`InvalidSample`."""
    values = {name: _unboxed(value) for name, value in row.items() if name != "__key__"}
    if cls is None or issubclass(cls, DictSample):
        sample: Any = DictSample.from_data(values)
    else:
        for name, entry in plan_of(cls).by_name.items():
            value, type_ = values.get(name), entry.field.type
            if isinstance(value, str) and isinstance(type_, Scalar) and type_.kind == "map":
                values[name] = _parsed(name, value)
            elif isinstance(value, dt.datetime):
                values[name] = value.isoformat()
        sample = cls.from_data(values)
    key = row.get("__key__")
    if isinstance(key, str) and key:
        sample.__key__ = key
    return sample


def _unboxed(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _parsed(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidSample(f"field {name[:100]!a}: a map is a dict or JSON text") from None


# --- shards --------------------------------------------------------------------------------------------------


def write_ray_shards(
    samples: Any,  # noqa: ANN401 - a ray.data.Dataset
    *,
    folder: Path,
    paths: Iterator[Path],
    sample_type: type[Any] | None,
    maxcount: int | None,
    write: Callable[[Iterable[Any], Path], tuple[_I, ...]],
) -> tuple[_I, ...]:
    """Write a dataset of Ray: a shard for each ``maxcount`` rows of a task, without it for each block.

    ``paths`` are those of the shards in ``folder``; ``write`` writes samples into files of a pattern. Raises as
    :func:`~catalog.samples.write_shards.write_shards`.
    """
    folder, run = folder.absolute(), uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)

    def written(rows: Any) -> dict[str, list[Any]]:  # noqa: ANN401 - a pyarrow.Table
        try:
            made = [sample_of(row, sample_type) for row in rows.to_pylist()]
            return {"result": list(write(made, folder / f".{run}.{uuid4().hex}-%06d.part")) if made else []}
        except CatalogError as error:  # of an error that is raised, Ray keeps the text only
            return {"result": [error]}

    options = samples.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        blocks = samples.map_batches(written, batch_size=maxcount, batch_format="pyarrow")
        infos: list[_I] = []
        for row in blocks.iter_rows():
            if isinstance(row["result"], CatalogError):
                raise row["result"]
            infos.append(row["result"])
        return _named(infos, paths)
    finally:
        options.preserve_order = before
        for left in folder.glob(f".{run}.*"):
            left.unlink(missing_ok=True)


def _named(infos: Sequence[_I], paths: Iterator[Path]) -> tuple[_I, ...]:
    """Give the shards their names. Raises :class:`DataError` if a file isn't on this machine."""
    lost = next((info.path for info in infos if not info.path.is_file()), None)
    if lost is not None:
        hint = "name a folder on a file system that all machines share"
        raise DataError("a worker wrote a shard that isn't on this machine", where=str(lost.parent), hint=hint)
    named: list[_I] = []
    for info, path in zip(infos, paths, strict=False):
        info.path.replace(path)
        named.append(replace(info, path=path))  # type: ignore[type-var] # a dataclass
    return tuple(named)
