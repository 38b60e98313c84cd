"""Columns of Arrow tables: their field types, and their values as Python objects.

The table in :mod:`catalog.shards.formats.parquet` lists what each type becomes. Hugging Face describes columns in the
footer of its files (images, classes, shapes of arrays); its description is read, too.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from catalog.errors import InvalidShard
from catalog.schema import Array, List, Scalar

if TYPE_CHECKING:
    from catalog.schema import FieldType

_DESCRIBED: Final = 1000

_Read: TypeAlias = "Callable[[Any], list[Any]]"
"""An Arrow array to Python values."""


class Column(NamedTuple):
    """A column: its field type, or the reason why there is none; the function that reads it."""

    type: FieldType | str
    read: _Read


def _plain(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
    if array.null_count:
        found: list[Any] = array.to_pylist()
        return found
    numbers: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return numbers


def _values(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
    found: list[Any] = array.to_pylist()
    return found


def _texts(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
    return [None if value is None else str(value) for value in array.to_pylist()]


def _cast(kind: Any) -> _Read:  # noqa: ANN401 - an Arrow type
    return lambda array: _values(array.cast(kind))


def _decimals(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
    return [None if value is None else format(value, "f") for value in array.to_pylist()]


def _timestamps(zone: str | None, *, as_text: bool) -> _Read:
    """Read timestamps: datetimes, or text where they have nanoseconds, which a datetime can't hold."""

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        import pyarrow as pa

        try:
            found = _values(array.cast(pa.timestamp("us", zone)).cast(pa.timestamp("us", None)))
        except pa.ArrowInvalid:
            end = "+00:00" if zone else ""
            texts = _values(array.cast(pa.timestamp(array.type.unit, None)).cast(pa.string()))
            if any(text is not None and text.startswith("<") for text in texts):
                raise InvalidShard("a timestamp outside the years that a datetime has") from None
            return [None if text is None else text.replace(" ", "T") + end for text in texts]
        if zone:
            found = [None if one is None else one.replace(tzinfo=dt.UTC) for one in found]
        return [None if one is None else one.isoformat() for one in found] if as_text else found

    return read


def column_of(kind: Any, feature: Any, *, inside: bool = False) -> Column:  # noqa: ANN401, C901, PLR0911, PLR0912 - a rule a line
    """Return how a column of an Arrow type is read. ``inside`` a map its values are JSON."""
    import pyarrow as pa
    from pyarrow import types

    if isinstance(kind, pa.FixedShapeTensorType):
        return _tensor(kind)
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name in ("arrow.uuid", "arrow.bool8"):
            uuid = kind.extension_name == "arrow.uuid"
            return Column(Scalar(kind="str"), _texts) if uuid else Column(Scalar(kind="bool"), _values)
        stored = column_of(kind.storage_type, feature, inside=inside)
        return Column(stored.type, lambda array: stored.read(array.storage))
    if types.is_dictionary(kind):
        inner = column_of(kind.value_type, feature, inside=inside)
        return Column(inner.type, lambda array: inner.read(array.dictionary_decode()))
    if types.is_boolean(kind):
        return Column(Scalar(kind="bool"), _plain)
    if types.is_integer(kind):
        return Column(Scalar(kind="int"), _plain)
    if types.is_floating(kind):
        return Column(Scalar(kind="float"), _plain)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Column(Scalar(kind="str"), _values)
    if (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    ):
        return Column("bytes in a map, which holds JSON" if inside else Scalar(kind="bytes"), _values)
    if types.is_decimal(kind):
        return Column(Scalar(kind="str"), _decimals)
    if types.is_timestamp(kind):
        return Column(Scalar(kind="str" if inside else "datetime"), _timestamps(kind.tz, as_text=inside))
    if types.is_date(kind) or types.is_time(kind):
        return Column(Scalar(kind="str"), _cast(pa.string()))
    if types.is_duration(kind):
        return Column(Scalar(kind="int"), _cast(pa.int64()))
    if types.is_null(kind):
        return Column("it never has a value", _values)
    return _nested(kind, feature, inside=inside)


def _nested(kind: Any, feature: Any, *, inside: bool) -> Column:  # noqa: ANN401
    from pyarrow import types

    if types.is_struct(kind):
        return _media(kind, feature) or _struct(kind, feature)
    if types.is_map(kind):
        return _map(kind)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(kind, feature, inside=inside)
    return Column(f"the type {str(kind)[:60]} is not read", lambda array: [None] * len(array))


def _media(kind: Any, feature: Any) -> Column | None:  # noqa: ANN401
    """Return the column of files in a struct of their bytes and their path; ``None`` for other structs."""
    from pyarrow import types

    names = [kind.field(number).name for number in range(kind.num_fields)]
    if sorted(names) != ["bytes", "path"]:
        return None
    content = kind.field("bytes").type
    if not (types.is_binary(content) or types.is_large_binary(content) or types.is_null(content)):
        return None
    media = {"Image": "image/*", "Audio": "audio/*", "Video": "video/*"}.get(str(_part(feature, "_type")))

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        found = _values(array.field("bytes"))
        if None in found:
            whole = _values(array)
            other = next((one for one in whole if one is not None and one["bytes"] is None and one["path"]), None)
            if other is not None:
                hint = "in datasets: cast_column(…) to embed the files, then to_parquet"
                raise InvalidShard(f"a file outside the table: {other['path']!a:.80}", hint=hint)
            found = [None if one is None else one["bytes"] for one in whole]
        return found

    return Column(Scalar(kind="bytes", media=media), read)


def _struct(kind: Any, feature: Any) -> Column:  # noqa: ANN401
    names = [kind.field(number).name for number in range(kind.num_fields)]
    inner = [column_of(kind.field(number).type, _part(feature, name), inside=True) for number, name in enumerate(names)]
    fault = next((one.type for one in inner if isinstance(one.type, str) and "JSON" in one.type), None)
    if len(set(names)) < len(names):
        fault = "a struct with one name twice"

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        columns = [column.read(child) for column, child in zip(inner, array.flatten(), strict=True)]
        rows = (
            [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] if columns else [{}] * len(array)
        )
        if not array.null_count:
            return rows
        return [row if valid else None for row, valid in zip(rows, _values(array.is_valid()), strict=True)]

    return Column(fault or Scalar(kind="map"), read)


def _map(kind: Any) -> Column:  # noqa: ANN401
    from pyarrow import types

    keys, items = column_of(kind.key_type, None, inside=True), column_of(kind.item_type, None, inside=True)
    fault = items.type if isinstance(items.type, str) and "JSON" in items.type else None
    if not (types.is_string(kind.key_type) or types.is_large_string(kind.key_type)):
        fault = "a map whose keys are no text"

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        starts = array.offsets.to_numpy().tolist()
        names, values = keys.read(array.keys), items.read(array.items)
        first = starts[0] if len(names) < starts[-1] else 0
        valid = _values(array.is_valid())
        return [
            dict(zip(names[a - first : b - first], values[a - first : b - first], strict=True)) if there else None
            for (a, b), there in zip(pairwise(starts), valid, strict=True)
        ]

    return Column(fault or Scalar(kind="map"), read)


def _tensor(kind: Any) -> Column:  # noqa: ANN401
    shape = tuple(kind.shape)

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        rows = list(array.to_numpy_ndarray()) if not array.null_count else None
        if rows is not None:
            return rows
        return [None if one is None else np.asarray(one).reshape(shape) for one in array.storage.to_pylist()]

    return Column(Array(dtype=str(kind.value_type.to_pandas_dtype()().dtype), shape=shape), read)


def _list(kind: Any, feature: Any, *, inside: bool) -> Column:  # noqa: ANN401
    import pyarrow as pa
    from pyarrow import types

    plain, depth, shape = kind, 0, []
    while types.is_list(plain) or types.is_large_list(plain) or types.is_fixed_size_list(plain):
        shape.append(plain.list_size if types.is_fixed_size_list(plain) else None)
        plain, depth = plain.value_type, depth + 1
    if not (types.is_integer(plain) or types.is_floating(plain) or types.is_boolean(plain)):
        return _list_of_others(kind, feature, inside=inside)
    as_lists = plain
    for _ in range(depth):
        as_lists = pa.large_list(as_lists)
    stated = _stated_shape(feature, depth) or tuple(shape)

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        rows = _arrays(array if array.type == as_lists else array.cast(as_lists), depth)
        return [one.tolist() if isinstance(one, np.ndarray) else one for one in rows] if inside else rows

    return Column(Array(dtype=np.dtype(plain.to_pandas_dtype()).name, shape=stated), read)


def _stated_shape(feature: Any, depth: int) -> tuple[int | None, ...] | None:  # noqa: ANN401
    """Return the shape of Hugging Face's Array2D and the like."""
    shape = _part(feature, "shape")
    if not isinstance(shape, list) or len(shape) != depth:
        return None
    return tuple(one if isinstance(one, int) and not isinstance(one, bool) and one >= 0 else None for one in shape)


def _arrays(array: Any, depth: int) -> list[Any]:  # noqa: ANN401
    """Return the rows of nested lists of numbers: an array each, or lists where they have no one shape."""
    offsets, levels, rows = [], array, array
    for _ in range(depth):
        offsets.append(levels.offsets.to_numpy())
        if levels is not array and levels.null_count:
            return _values(array)
        levels = levels.values
    floats = levels.type.to_pandas_dtype() in (np.float16, np.float32, np.float64)
    if levels.null_count and not floats:
        return _values(array)
    flat = levels.to_numpy(zero_copy_only=False)
    starts = offsets[0].tolist()
    valid = _values(rows.is_valid()) if rows.null_count else None
    found = [flat[a:b] for a, b in pairwise(starts)] if depth == 1 else [
        _shaped(flat, offsets[1:], a, b) for a, b in pairwise(starts)
    ]  # fmt: skip
    for number, one in enumerate(found):
        if one is None or (valid is not None and not valid[number]):
            found[number] = rows[number].as_py()
    return found


def _shaped(flat: Any, offsets: list[Any], start: int, end: int) -> Any:  # noqa: ANN401
    """Return the array of one row; ``None`` if its lists differ in length."""
    shape = [end - start]
    for level in offsets:
        lengths = np.diff(level[start : end + 1])
        if lengths.size and (lengths != lengths[0]).any():
            return None
        shape.append(int(lengths[0]) if lengths.size else 0)
        start, end = int(level[start]), int(level[end])
    return flat[start:end].reshape(shape)


def _list_of_others(kind: Any, feature: Any, *, inside: bool) -> Column:  # noqa: ANN401
    import pyarrow as pa

    item = column_of(kind.value_type, _item_feature(feature), inside=inside)
    as_list = pa.large_list(kind.value_type)

    def read(array: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
        lists = array if array.type == as_list else array.cast(as_list)
        starts = lists.offsets.to_numpy().tolist()
        values = item.read(lists.values.slice(starts[0], starts[-1] - starts[0])) if len(lists) else []
        first = starts[0] if starts else 0
        rows = [values[a - first : b - first] for a, b in pairwise(starts)]
        if not lists.null_count:
            return rows
        return [row if there else None for row, there in zip(rows, _values(lists.is_valid()), strict=True)]

    return Column(item.type if isinstance(item.type, str) else List(item=item.type), read)


def _part(feature: Any, name: str) -> Any:  # noqa: ANN401
    return feature.get(name) if isinstance(feature, dict) else None


def _item_feature(feature: Any) -> Any:  # noqa: ANN401
    """Return the feature of the items of Hugging Face's List; old files write a list, or ``Sequence``."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return _part(feature, "feature")


def features_of(schema: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the features in the footer, by column; none if they can't be read."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def description(feature: Any) -> str | None:  # noqa: ANN401
    """Return the names of the classes of a ClassLabel: ``0 = cat, 1 = dog``."""
    names = _part(feature, "names")
    if _part(feature, "_type") != "ClassLabel" or not isinstance(names, list):
        return None
    text = ", ".join(f"{number} = {str(name)[:80]}" for number, name in enumerate(names[:1000]))
    return text if len(text) <= _DESCRIBED else f"{text[: _DESCRIBED - 1].rpartition(',')[0]}, …"
