"""Datasets as tables: Arrow, Polars, and ``datasets`` of Hugging Face.

::

    samples ─▶ rows, as write_shards(format="parquet") has them ─▶ pyarrow.Table ─┬─▶ polars.DataFrame
                                                                                 └─▶ datasets.Dataset

A column of arrays whose class states all lengths is of fixed size: ``list[list[uint8, 8], 8]`` in Arrow, ``Array`` in
Polars, ``Array2D`` at Hugging Face. Other arrays are nested lists if all have one dtype and as many axes, else ``.npy``
bytes. Images are bytes; Hugging Face decodes them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import DataError, InvalidSample, require_package
from catalog.samples.write_parquet import ParquetRows
from catalog.schema import Array, Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from catalog.schema import Field

_CHUNK: Final = 10_000
"""Rows that are Python objects at a time; the first of them decide the types of the columns."""
_HF_AXES: Final = range(2, 6)
"""The numbers of axes for which Hugging Face has an array type."""


def to_arrow(dataset: Any, limit: int | None) -> Any:  # noqa: ANN401 - a Dataset; pyarrow.Table
    """Return the samples as a table. Raises :class:`~catalog.errors.InvalidSample` with key and field."""
    rows = ParquetRows(lists=True, purpose="Arrow tables")
    import pyarrow as pa

    tables = [rows.table(keys, values) for keys, values in _chunks(rows, islice(dataset.__replace__(), limit))]
    if not tables:
        return pa.table({name: pa.array([], type_) for name, type_ in rows.declared(dataset.sample_type).items()})
    return _fixed(pa.concat_tables(tables), _fields(dataset))


def to_polars(dataset: Any, limit: int | None) -> Any:  # noqa: ANN401 - a Dataset; polars.DataFrame
    """Return the samples as a data frame of Polars."""
    require_package("polars", "polars", purpose="to_polars")
    import polars as pl

    return pl.from_arrow(to_arrow(dataset, limit))


def to_hf(dataset: Any, limit: int | None, *, streaming: bool) -> Any:  # noqa: ANN401 - a Dataset; datasets.Dataset
    """Return the samples as a ``datasets.Dataset``, or an ``IterableDataset`` that reads the shards as it goes."""
    require_package("datasets", "datasets", purpose="to_hf")
    import datasets as hf

    fields = _fields(dataset)
    if streaming:
        if limit is not None:
            raise ValueError("limit is not for streaming: use to_hf(streaming=True).take(limit)")
        parts = [dataset.__replace__(shards=(shard,), _stored=None) for shard in dataset.shards]
        return hf.IterableDataset.from_generator(_streamed, gen_kwargs={"parts": parts})
    table = to_arrow(dataset, limit)
    features = hf.Features.from_arrow_schema(table.schema)
    for name in table.column_names:
        features[name] = _feature(hf, fields.get(name), features[name])
    return hf.Dataset(
        hf.table.InMemoryTable(hf.table.table_cast(table, features.arrow_schema)),
        info=hf.DatasetInfo(features=features),
    )


def _chunks(rows: ParquetRows, samples: Iterable[Any]) -> Iterator[tuple[Sequence[str], Sequence[Mapping[str, Any]]]]:
    """Yield keys and rows of many samples at a time."""
    from catalog.datasets.batches import SampleBatch

    keys: list[str] = []
    values: list[Mapping[str, Any]] = []
    for number, sample in enumerate(samples):
        if isinstance(sample, SampleBatch) or not (isinstance(sample, dict) or hasattr(type(sample), "__packable__")):
            what = f"a row is made of a sample, found {type(sample).__name__}"
            raise DataError(what, hint="call it before batched(), and let map() return samples or dicts")
        key = getattr(sample, "__key__", "") or str(number)
        keys.append(key)
        values.append(rows.row(sample, key))
        if len(keys) == _CHUNK:
            yield keys, values
            keys, values = [], []
    if keys:
        yield keys, values


def _streamed(parts: Sequence[Iterable[Any]]) -> Iterator[Mapping[str, Any]]:
    rows = ParquetRows(lists=True, purpose="to_hf")
    for part in parts:
        for number, sample in enumerate(part):
            yield rows.row(sample, str(number))


def _fields(dataset: Any) -> dict[str, Field]:  # noqa: ANN401 - a Dataset
    return {} if dataset.schema is None else {field.name: field for field in dataset.schema.fields}


def _fixed(table: Any, fields: Mapping[str, Field]) -> Any:  # noqa: ANN401 - pyarrow.Table
    """Return the table with arrays of stated lengths as lists of fixed size."""
    import pyarrow as pa

    for place, name in enumerate(table.column_names):
        type_ = table.schema.field(name).type
        shape = _shape(fields.get(name))
        if shape is None or not pa.types.is_list(type_):
            continue
        while pa.types.is_list(type_):
            type_ = type_.value_type
        for length in reversed(shape):
            type_ = pa.list_(type_, length)
        try:
            column = table[name].cast(type_)
        except pa.ArrowException:
            what = f"field {name[:100]!a}: an array of another shape than {'×'.join(map(str, shape))}"
            raise InvalidSample(what, hint="dataset.validated() names the sample") from None
        table = table.set_column(place, name, column)
    return table


def _shape(field: Field | None) -> tuple[int, ...] | None:
    """Return the shape of a field's arrays if all lengths are stated."""
    if field is None or not isinstance(field.type, Array) or not field.type.shape:
        return None
    lengths = tuple(length for length in field.type.shape if isinstance(length, int) and length > 0)
    return lengths if len(lengths) == len(field.type.shape) else None


def _feature(hf: Any, field: Field | None, found: Any) -> Any:  # noqa: ANN401 - classes of datasets
    """Return the Hugging Face feature of a column."""
    if field is None:
        return found
    if isinstance(field.type, Scalar) and (field.type.media or "").startswith("image/"):
        return hf.Image()
    shape = _shape(field)
    if shape is not None and len(shape) in _HF_AXES and isinstance(field.type, Array) and "list" in str(found).lower():
        return getattr(hf, f"Array{len(shape)}D")(shape, str(field.type.dtype))
    return found
